#!/usr/bin/env python3
"""millrace-load itself: it must pass a server that is right and fail one that is not, and say why.

    load_test.py PATH_OF_MILLRACE_LOAD
"""
import concurrent.futures
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from fake_server import FAULTS, PACKETS_PER_TRAIN, FakeServer  # noqa: E402  (the path must be there first)

LOAD = sys.argv.pop(1)

# Fault -> what the verdict must say, over UDP and over TCP; None where there can be no such fault.
VERDICTS = {
    "lost": ("2 packets lost", "2 packets lost"),
    "lost at the start": ("6 packets lost", "6 packets lost"),
    "swapped": ("2 out of order", "2 out of order"),
    "duplicate": ("2 duplicates", "2 duplicates"),
    "malformed": ("2 wrong packets", "2 wrong packets"),
    "other ssrc": ("2 wrong packets", "2 wrong packets"),
    "other payload type": ("2 wrong packets", "2 wrong packets"),
    "other address": ("2 packets from a wrong address", None),
    "not found": ("2 viewers: DESCRIBE answered 404 Not Found",) * 2,
    "closes": ("2 viewers: the server closed the connection: playing",) * 2,
    "bye": ("2 viewers: BYE before the time was up",) * 2,
    "nonsense": ("2 viewers: bytes that are neither",) * 2,
    "silent": ("2 viewers whose media stood still",) * 2,
    "stalls": ("2 viewers whose media stood still",) * 2,
    "mute": ("2 viewers: no answer in 10 s: DESCRIBE",) * 2,
    "no marker": ("2 markers missing or out of place",) * 2,
    "timestamp back": ("2 timestamps that went back",) * 2,
    "audio timestamp back": ("2 timestamps that went back",) * 2,
    "late": ("a lateness of",) * 2,
    "wrong rtptime": ("timestamps other than RTP-Info's",) * 2,
    "deaf to pause": ("packets during PAUSE",) * 2,
}
# A standstill is told from a pause by its length.
SECONDS = {"silent": 7, "stalls": 7, "late": 4, "deaf to pause": 4, "wrong rtptime": 3}
OPTIONS = {"late": ["--max-p99-late", "40ms"], "deaf to pause": ["--pause-every", "500ms"],
           "wrong rtptime": ["--seek-every", "1s"]}
AT_ONCE = ["--rate", "1000"]

HISTOGRAM = {"count", "p50", "p99", "p999", "max"}
PLAY_KEYS = {
    "command", "version", "urls", "transport", "viewers", "threads", "window_seconds",
    "joins_per_second", "packets", "bytes", "gbit_per_second", "lost", "reordered", "duplicates",
    "malformed", "wrong_ssrc", "wrong_payload_type", "timestamp_faults", "marker_faults",
    "strangers", "failed", "failures", "jumps", "describe_to_first_packet_ms",
    "play_to_first_packet_ms", "lateness_ms", "lateness_tracks", "trains", "server", "client",
    "status", "verdict"}
PLAY_PARTS = {
    "viewers": {"udp", "tcp", "stalled", "paused"},
    "describe_to_first_packet_ms": HISTOGRAM,
    "play_to_first_packet_ms": HISTOGRAM,
    "lateness_ms": HISTOGRAM,
    "lateness_tracks": {"measured", "excluded"},
    "trains": {"count", "packets_mean"},
    "server": {"pid", "cpu_seconds", "cpu_share", "cpu_seconds_per_gbit", "rss_before",
               "rss_playing", "rss_per_viewer"},
    "client": {"cpu_seconds", "busiest_thread_share", "buffer_drops", "saturated"}}
CHURN_KEYS = {"command", "sessions", "sessions_per_second", "reset", "failed", "failures",
              "session_ms", "describe_to_first_packet_ms", "server", "client", "status"}
CHURN_PARTS = {"session_ms": HISTOGRAM, "describe_to_first_packet_ms": HISTOGRAM,
               "server": {"cpu_seconds", "cpu_seconds_per_1000", "rss_growth", "fd_before",
                          "fd_after"}}


def run(*arguments, timeout=60):
    return subprocess.run([LOAD, *arguments], capture_output=True, text=True, timeout=timeout,
                          check=False)


def run_with_json(*arguments):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "result.json")
        done = run(*arguments, "--json", path)
        with open(path, encoding="utf-8") as file:
            return done, json.load(file)


def run_against(fault, transport):
    with FakeServer(fault) as server:
        done = run("play", server.url, f"--{transport}", "2", *AT_ONCE, "--for",
                   str(SECONDS.get(fault, 2)), *OPTIONS.get(fault, []))
        return done, server.connections


class LoadCase(unittest.TestCase):
    def expect_keys(self, result, keys, parts):
        self.assertLessEqual(keys, set(result))
        for name, part in parts.items():
            self.assertLessEqual(part, set(result[name]), name)


class Play(LoadCase):
    def row(self, output, name):
        return [float(x) for x in re.search(rf"^{name} +(\S+) +(\S+)$", output, re.M).groups()]

    def test_passes_a_server_that_is_right_and_counts_what_it_sent(self):
        with FakeServer() as server:
            done, result = run_with_json(
                "play", server.url, "--udp", "3", "--tcp", "2", "--for", "6", "--rate", "10",
                "--threads", "2", "--server-pid", str(os.getpid()))
            time.sleep(0.1)
        output = done.stdout
        self.assertEqual((done.returncode, output.splitlines()[-1]), (0, "RESULT ok"), output)
        self.assertEqual(self.row(output, "played to the end"), [3, 2])
        self.assertEqual(self.row(output, "sender reports"), [6, 4])
        udp, tcp = self.row(output, "RTP packets")
        # Two tracks of 100 packets a second each; a starved machine sends fewer.
        self.assertTrue(3 * 100 < udp <= 3 * 1400 and 2 * 100 < tcp <= 2 * 1400, output)
        self.assertRegex(output, r"server CPU: \d+\.\d+ s")
        self.assertEqual(len(server.connections), 5)
        for connection in server.connections:
            self.assertEqual(connection.methods,
                             ["DESCRIBE", "SETUP", "SETUP", "PLAY", "TEARDOWN"])
        self.assertEqual(sum(c.reports for c in server.connections), 4)

        self.expect_keys(result, PLAY_KEYS, PLAY_PARTS)
        self.assertEqual(result["viewers"], {"udp": 3, "tcp": 2, "stalled": 0, "paused": 0})
        self.assertEqual((result["status"], result["verdict"], result["failed"]), (0, "", 0))
        self.assertEqual(result["packets_checked"], udp + tcp)
        self.assertEqual(result["describe_to_first_packet_ms"]["count"], 5)
        self.assertEqual(result["lateness_tracks"], {"measured": 10, "excluded": 0})
        # The window is what comes after the second to settle.
        self.assertAlmostEqual(result["window_seconds"], 5, places=1)
        self.assertLess(result["packets"], udp + tcp)
        self.assertAlmostEqual(result["gbit_per_second"] * result["window_seconds"],
                               result["bytes"] * 8e-9, places=9)

    def test_takes_trains_of_packets_apart_and_writes_them_down(self):
        with FakeServer(trains=True) as server, tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "trains")
            done = run("play", server.url, "--udp", "2", "--for", "2", *AT_ONCE, "--trains", path)
            with open(path, encoding="utf-8") as file:
                trains = [[int(word) for word in line.split()] for line in file]
        self.assertEqual(done.stdout.splitlines()[-1], "RESULT ok", done.stdout)
        packets = self.row(done.stdout, "RTP packets")[0]
        self.assertTrue(packets > 2 * 50 and packets % PACKETS_PER_TRAIN == 0, done.stdout)
        self.assertEqual({track for _, track, *_ in trains}, {0, 1})
        self.assertEqual({tuple(train[2:]) for train in trains},
                         {(PACKETS_PER_TRAIN, 112, PACKETS_PER_TRAIN * 112)})
        self.assertEqual(trains[0][0], 0)
        self.assertEqual(trains, sorted(trains, key=lambda train: train[0]))

    def test_writes_interleaved_frames_down_as_trains_of_one(self):
        with FakeServer() as server, tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "trains")
            run("play", server.url, "--tcp", "1", "--for", "1", *AT_ONCE, "--trains", path)
            with open(path, encoding="utf-8") as file:
                lines = file.read().splitlines()
        self.assertGreater(len(lines), 20)
        self.assertRegex(lines[-1], r"^\d+ [01] 1 112 112$")

    def test_fails_for_every_fault_and_names_it(self):
        self.assertEqual(set(VERDICTS), set(FAULTS))
        cases = [(fault, transport, verdicts[i]) for fault, verdicts in VERDICTS.items()
                 for i, transport in enumerate(("udp", "tcp")) if verdicts[i]]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            runs = list(pool.map(lambda case: run_against(*case[:2]), cases))
        for (fault, transport, verdict), (done, _) in zip(cases, runs):
            with self.subTest(fault=fault, transport=transport):
                self.assertEqual(done.returncode, 1, done.stdout)
                self.assertRegex(done.stdout.splitlines()[-1],
                                 f"RESULT FAILED (\\d+ )?{re.escape(verdict)}")

    def test_seeks_and_pauses_with_nothing_lost(self):
        for transport in ("udp", "tcp"):
            with self.subTest(transport=transport), FakeServer() as server:
                done, result = run_with_json(
                    "play", server.url, "--viewers", "3", "--transport", transport, *AT_ONCE,
                    "--for", "5", "--seek-every", "700ms", "--pause-every", "2s")
                self.assertEqual(done.returncode, 0, done.stdout)
                self.assertGreater(result["seeks"], 3)
                self.assertGreater(result["pauses"], 2)
                methods = [c.methods for c in server.connections]
                self.assertEqual(sum(m.count("PAUSE") for m in methods), result["pauses"])

    def test_the_paused_stay_paused(self):
        with FakeServer() as server:
            done, result = run_with_json("play", server.url, "--viewers", "3", "--paused", "2",
                                         *AT_ONCE, "--for", "3")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual(sorted(c.methods.count("PAUSE") for c in server.connections), [0, 1, 1])
        self.assertEqual(result["lateness_tracks"]["measured"], 2)
        self.assertTrue(0 < result["packets"] <= 2 * 100 * 2.5, result)

    def test_numbers_urls_and_shares_them_out(self):
        with FakeServer() as server:
            base = server.url.rsplit("/", 1)[0]
            done = run("play", base + "/a{i}", base + "/b{i}", "--viewers", "4", *AT_ONCE,
                       "--for", "1")
            self.assertEqual(done.returncode, 0, done.stdout)
            self.assertEqual(sorted(c.described for c in server.connections),
                             [base + path for path in ("/a0", "/a2", "/b1", "/b3")])
            server.connections.clear()
            run("play", *(f"{base}/{c}" for c in "abcd"), "--viewers", "60", "--zipf", "1.5",
                *AT_ONCE, "--for", "1")
            shares = [sum(c.described.endswith(f"/{name}") for c in server.connections)
                      for name in "abcd"]
        self.assertEqual(sum(shares), 60)
        self.assertGreater(shares[0], 25)
        self.assertGreater(shares[1], shares[3])

    def test_tells_what_was_missing_before_the_first_packet(self):
        with FakeServer("lost at the start") as server:
            _, result = run_with_json("play", server.url, "--for", "1", *AT_ONCE)
        self.assertEqual((result["lost"], result["lost_at_start"]), (3, 3))
        with FakeServer("lost") as server:
            _, result = run_with_json("play", server.url, "--for", "1", *AT_ONCE)
        self.assertEqual((result["lost"], result["lost_at_start"]), (1, 0))

    def test_asks_for_the_range_it_was_given(self):
        for arguments, ranges in (([], ["npt=0-"]), (["--range", "npt=7-"], ["npt=7-"]),
                                  (["--range", "none"], [])):
            with self.subTest(arguments=arguments), FakeServer() as server:
                done = run("play", server.url, "--for", "1", *AT_ONCE, *arguments)
                self.assertEqual(done.returncode, 0, done.stdout)
                self.assertEqual(server.connections[0].ranges, ranges)

    def test_thresholds_decide(self):
        with FakeServer("lost") as server:
            self.assertEqual(run("play", server.url, "--for", "1", *AT_ONCE).returncode, 1)
            done = run("play", server.url, "--for", "1", *AT_ONCE, "--max-loss", "1",
                       "--max-p99-start", "5s")
            self.assertEqual(done.returncode, 0, done.stdout)
            done = run("play", server.url, "--for", "1", *AT_ONCE, "--max-loss", "1",
                       "--max-p99-start", "1us")
            self.assertEqual(done.returncode, 1)
            self.assertIn("RESULT FAILED a start of", done.stdout)

    def test_says_that_nobody_listens(self):
        done, result = run_with_json("play", "rtsp://127.0.0.1:1/x", "--udp", "2", "--for", "5",
                                     *AT_ONCE)
        self.assertEqual(done.returncode, 1)
        self.assertIn("RESULT FAILED 2 viewers: connect: Connection refused", done.stdout)
        self.assertEqual(result["failures"], {"connect: Connection refused": 2})
        self.assertEqual(result["window_seconds"], 0)

    def test_refuses_what_it_cannot_do_with_status_2(self):
        url = "rtsp://127.0.0.1/x"
        for arguments, words in (([url, "--viewers", "0"], "no viewers"),
                                 (["http://127.0.0.1/x", "--udp", "1"], "rtsp://HOST"),
                                 (["rtsp://127.0.0.1:99999/x", "--udp", "1"], "rtsp://HOST"),
                                 (["rtsp://[::1/x", "--udp", "1"], "rtsp://HOST"),
                                 ([url, "--udp", "-1"], "--udp"),
                                 ([url, "--for", "tomorrow"], "no duration"),
                                 ([url, "--transport", "sctp"], "neither udp nor tcp"),
                                 ([url, "--cpus", "1-"], "no list of CPUs"),
                                 ([url, "--cpus", "4000"], "no CPU 4000"),
                                 ([url, url, "--publish", "tcp"], "one URL"),
                                 ([url, "--max-p99-delay", "1ms"], "wants --publish"),
                                 ([url, "--udp", "1", "--server-pid", "999999999"],
                                  "no such process"),
                                 ([], "URL")):
            with self.subTest(arguments=arguments):
                done = run("play", *arguments)
                self.assertEqual(done.returncode, 2, done.stdout)
                self.assertIn(words, done.stderr)
        self.assertEqual(run().returncode, 2)
        self.assertEqual(run("dance").returncode, 2)
        self.assertEqual(run("play", "--help").returncode, 0)


class Churn(LoadCase):
    def test_makes_whole_sessions(self):
        for transport in ("udp", "tcp"):
            with self.subTest(transport=transport), FakeServer() as server:
                done, result = run_with_json(
                    "churn", server.url, "--transport", transport, "--connections", "4",
                    "--sessions", "40", "--server-pid", str(os.getpid()))
                self.assertEqual(done.returncode, 0, done.stdout)
                self.expect_keys(result, CHURN_KEYS, CHURN_PARTS)
                self.assertEqual((result["sessions"], result["reset"], result["failed"]),
                                 (40, 0, 0))
                self.assertEqual(result["session_ms"]["count"], 40)
                self.assertEqual(len(server.connections), 40)
                for connection in server.connections:
                    self.assertEqual(connection.methods,
                                     ["DESCRIBE", "SETUP", "SETUP", "PLAY", "TEARDOWN"])

    def test_cuts_some_and_keeps_to_the_rate(self):
        with FakeServer() as server:
            done, result = run_with_json("churn", server.url, "--rate", "40", "--for", "2",
                                         "--reset", "50")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertTrue(60 <= result["sessions"] <= 81, result)
        self.assertTrue(15 <= result["reset"] <= 65, result)

    def test_says_why_sessions_failed(self):
        for fault, reason in (("not found", "DESCRIBE answered 404 Not Found"),
                              ("silent", "not a packet of every track within 1 s of PLAY"),
                              ("nonsense", "bytes that are neither a response")):
            with self.subTest(fault=fault), FakeServer(fault) as server:
                done = run("churn", server.url, "--sessions", "4", "--connections", "2")
                self.assertEqual(done.returncode, 1, done.stdout)
                self.assertIn(f"failed, 4: {reason}", done.stdout)

    def test_says_that_nobody_listens(self):
        with socket.create_server(("127.0.0.1", 0)) as sock:
            port = sock.getsockname()[1]
        done = run("churn", f"rtsp://127.0.0.1:{port}/x", "--sessions", "3")
        self.assertEqual(done.returncode, 1)
        self.assertIn("Connection refused", done.stdout)

    def test_refuses_what_it_cannot_do_with_status_2(self):
        for arguments in (["nowhere"], [], ["rtsp://127.0.0.1/x", "--reset", "101"],
                          ["rtsp://127.0.0.1/x", "--connections", "0"]):
            with self.subTest(arguments=arguments):
                self.assertEqual(run("churn", *arguments).returncode, 2)


if __name__ == "__main__":
    unittest.main()
