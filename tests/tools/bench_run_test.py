#!/usr/bin/env python3
"""bench/run: with the real programs and a handful of viewers, and with programs that are scripts;
and how bench/run and bench/gate judge.

    bench_run_test.py BUILD_FOLDER
"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
RUN = os.path.join(ROOT, "bench", "run")
BUILD = os.path.abspath(sys.argv.pop(1))
sys.dont_write_bytecode = True  # leaves no cache in the source tree
sys.path.insert(0, os.path.join(ROOT, "bench"))

from lab import micro, tables
from lab.rows import Row, troubles_of
from lab.targets import targets

SERVER = """#!/usr/bin/env python3
import socket, sys, time
port = int(sys.argv[sys.argv.index("--port") + 1])
listener = socket.create_server(("127.0.0.1", port))
time.sleep(60)
"""
# Says what the test wrote into its folder; without that, it fails; told to hang, it does.
CLIENT = """#!/usr/bin/env python3
import os, shutil, sys, time
here = os.path.dirname(os.path.realpath(__file__))
open(os.path.join(here, "pid"), "w").write(str(os.getpid()))
if os.path.exists(os.path.join(here, "hang")):
    time.sleep(60)
if not os.path.exists(os.path.join(here, "answer.json")):
    sys.exit("the client has no idea")
shutil.copy(os.path.join(here, "answer.json"), sys.argv[sys.argv.index("--json") + 1])
"""
ANSWER = {"gbit_per_second": 1.0, "lost": 0, "failed": 0, "status": 0,
          "server": {"cpu_seconds_per_gbit": 0.06, "cpu_share": 0.06, "rss_playing": 1000000},
          "lateness_ms": {"p50": 1, "p99": 2, "p999": 3, "max": 4},
          "client": {"saturated": False, "busiest_thread_share": 0.1, "buffer_drops": 0}}


def run(build, out, *arguments, **options):
    return subprocess.run([RUN, "--quick", "--build", build, "--out", out, *arguments],
                          capture_output=True, text=True, timeout=55, check=False, **options)


def measured(**figures):
    """A row of two runs with the same figures, both without trouble."""
    row = Row("macro", "live-udp", "io_uring", 1, 500, media="live", transport="udp",
              backend="io_uring", shards=1, viewers=500)
    row.runs, row.troubles = [figures, figures], [[], []]
    return row


class BenchRun(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.out = os.path.join(self.folder, "out")

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def play_the_programs(self):
        """A build folder of scripts, with the clip made already."""
        for name, text in (("millrace", SERVER), ("millrace-load", CLIENT),
                           ("bench/limit", CLIENT)):
            path = self.path(name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(path, 0o755)
        os.makedirs(self.path("lab", "clips"))
        for name in ("clips/clip_60s.mp4", "trains.txt"):
            open(self.path("lab", name), "w", encoding="utf-8").close()

    def write_answer(self, **changes):
        for folder in ("", "bench"):
            with open(self.path(folder, "answer.json"), "w", encoding="utf-8") as file:
                json.dump({**ANSWER, "cpu_seconds_per_gbit": 0.05, **changes}, file)

    def rows(self, group):
        with open(os.path.join(self.out, group + ".json"), encoding="utf-8") as file:
            return {row["name"]: row for row in json.load(file)["rows"]}

    def table(self):
        with open(os.path.join(self.out, "table.md"), encoding="utf-8") as file:
            return file.read()

    def test_measures_the_real_programs(self):
        done = run(BUILD, self.out, "--viewers", "5", "--only", "macro/io_uring/1/live-udp",
                   "--only", "macro/io_uring/1/vod-tcp", "--only", "idle/io_uring")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        rows = self.rows("macro")
        self.assertEqual(len(rows), 2)
        for row in rows.values():
            for figure in ("cpu_per_gbit", "limit_cpu_per_gbit", "ratio", "gbit_per_second"):
                self.assertGreater(row["figures"][figure]["median"], 0, row)
            self.assertTrue(row["commands"])
        self.assertIn("cpu_share", self.rows("idle")["idle/io_uring"]["figures"])
        self.assertIn("| io_uring, 1 shard | 5 |", self.table())

    def test_puts_the_ratio_to_the_bare_loop_beside_a_figure(self):
        self.play_the_programs()
        self.write_answer()
        done = run(self.folder, self.out, "--viewers", "500", "--only", "macro/vod-udp/io_uring/1")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        row = self.rows("macro")["macro/vod-udp/io_uring/1/500"]
        self.assertTrue(row["ok"], row)
        self.assertAlmostEqual(row["figures"]["ratio"]["median"], 1.2)
        self.assertIn("0.060", self.table())

    def test_goes_on_after_a_row_that_failed_and_says_why(self):
        self.play_the_programs()
        done = run(self.folder, self.out, "--viewers", "5", "--only", "macro/vod-udp/io_uring/1",
                   "--only", "idle/io_uring")
        self.assertEqual(done.returncode, 1, done.stderr)
        row = self.rows("macro")["macro/vod-udp/io_uring/1/5"]
        self.assertFalse(row["ok"])
        self.assertIn("the client has no idea", row["why"])
        self.assertIn("the client has no idea", self.table())
        self.assertTrue(self.rows("idle")["idle/io_uring"]["ok"])

    def test_stops_where_the_viewers_are_no_longer_carried(self):
        self.play_the_programs()
        self.write_answer(lateness_ms={"p50": 1, "p99": 4000, "p999": 4000, "max": 4000})
        run(self.folder, self.out, "--viewers", "10,500,600", "--only", "macro/vod-udp/io_uring/1")
        self.assertEqual({name: row["ok"] for name, row in self.rows("macro").items()},
                         {"macro/vod-udp/io_uring/1/500": False,
                          "macro/vod-udp/io_uring/1/10": False})
        self.assertIn("p99 lateness over", self.table())

    def test_leaves_no_process_behind_when_interrupted(self):
        self.play_the_programs()
        open(self.path("hang"), "w", encoding="utf-8").close()
        process = subprocess.Popen([RUN, "--quick", "--build", self.folder, "--out", self.out,
                                    "--only", "macro/vod-udp"], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while not (os.path.exists(self.path("pid")) and os.path.getsize(self.path("pid"))):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        with open(self.path("pid"), encoding="ascii") as file:
            client = int(file.read())
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(20), 130)
        with self.assertRaises(ProcessLookupError):
            os.kill(client, 0)

    def test_says_which_program_is_missing(self):
        done = run(self.folder, self.out)
        self.assertEqual(done.returncode, 2)
        self.assertIn("millrace is missing; build it", done.stderr)

    def test_refuses_what_is_no_list_of_viewers(self):
        done = run(self.folder, self.out, "--viewers", "5,many")
        self.assertEqual(done.returncode, 2)
        self.assertIn("'5,many' is not a list", done.stderr)


class Targets(unittest.TestCase):
    def verdict(self, row, what):
        found = [t for t in targets({row.name: row} if row else {}) if t.what.startswith(what)]
        self.assertEqual(len(found), 1)
        return found[0].verdict

    def test_are_judged_by_what_was_measured(self):
        what = "live-udp: CPU per Gbit, times the bare loop"
        self.assertEqual(self.verdict(measured(ratio=1.3), what), "reached")
        self.assertEqual(self.verdict(measured(ratio=1.31), what), "**not reached**")
        self.assertEqual(self.verdict(measured(lost=0), what), "not measured")
        self.assertEqual(self.verdict(None, what), "not measured")

    def test_are_not_reached_by_a_row_that_failed(self):
        row = measured(ratio=1.0)
        row.troubles = [["7 packets lost"], ["7 packets lost"]]
        self.assertEqual(self.verdict(row, "live-udp: CPU per Gbit, times the bare loop"),
                         "**not reached**")

    def test_and_tables_stand_between_the_markers_of_the_page(self):
        with tempfile.TemporaryDirectory() as folder:
            page = os.path.join(folder, "README.md")
            with open(page, "w", encoding="utf-8") as file:
                file.write(f"before\n{tables.BEGIN}\nold\n{tables.END}\nafter\n")
            self.assertTrue(tables.splice(page, "new\n"))
            with open(page, encoding="utf-8") as file:
                self.assertEqual(file.read(),
                                 f"before\n{tables.BEGIN}\nnew\n{tables.END}\nafter\n")
            with open(page, "w", encoding="utf-8") as file:
                file.write("no markers\n")
            self.assertFalse(tables.splice(page, "new\n"))


class Rows(unittest.TestCase):
    def troubles(self, cores=1, checks=True, **changes):
        figures = {"failed_viewers": 0, "cpu_share": 0.5, "late_p99_ms": 2, "lost": 0, **changes}
        return troubles_of({"status": 0, "client": {}}, figures, cores, checks)

    def test_know_loss_and_saturation(self):
        self.assertEqual(self.troubles(), [])
        self.assertEqual(self.troubles(lost=3), ["3 packets lost"])
        self.assertEqual(self.troubles(lost=3, checks=False), [])
        self.assertEqual(self.troubles(cpu_share=0.99), ["beyond: the server was saturated"])
        self.assertEqual(self.troubles(cpu_share=0.99, cores=2), [])

    def test_are_carried_when_most_runs_were(self):
        row = measured(lost=0)
        row.runs = [{"lost": 0}, {"lost": 4}, {"lost": 0}]
        row.troubles = [[], ["4 packets lost"], []]
        self.assertTrue(row.ok)
        self.assertEqual(row.why, "4 packets lost")
        self.assertEqual(row.figures["lost"], {"median": 0, "min": 0, "max": 4})
        row.troubles = [[], ["4 packets lost"], ["9 packets lost"]]
        self.assertFalse(row.ok)


class Gate(unittest.TestCase):
    def verdict(self, base, change):
        return micro.Comparison("BM_Any", base, change, 1.05).verdict

    def test_finds_what_is_slower_and_what_allocates(self):
        self.assertEqual(self.verdict((100, 0), (104.9, 0)), "")
        self.assertEqual(self.verdict((100, 0), (105.1, 0)), "worse")
        self.assertEqual(self.verdict((100, 0), (90, 1)), "new allocations")
        self.assertEqual(self.verdict((100, 2), (110, 3)), "worse, new allocations")
        self.assertEqual(self.verdict((100, None), (100, None)), "")

    def test_reads_what_perf_counted_and_that_it_could_not(self):
        self.assertEqual(micro.counted("# started on\n\n1234567,,instructions:u,100,,\n"), 1234567)
        self.assertIsNone(micro.counted("<not supported>,,instructions:u,0,100.00,,\n"))


if __name__ == "__main__":
    unittest.main()
