#!/usr/bin/env python3
"""load_check itself: it must pass a server that is right and fail one that is not, and say why.

    load_check_test.py PATH_OF_LOAD_CHECK
"""
import concurrent.futures
import os
import re
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from fake_server import FAULTS, PACKETS_PER_TRAIN, FakeServer  # noqa: E402  (the path must be there first)

LOAD_CHECK = sys.argv.pop(1)

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
    "mute": ("2 viewers: did not get to play: DESCRIBE",) * 2,
}
# A standstill is told from a pause by its length.
SECONDS = {"silent": 7, "stalls": 7, "mute": 1}


def run(*arguments):
    return subprocess.run([LOAD_CHECK, *arguments], capture_output=True, text=True, timeout=60,
                          check=False)


def run_against(fault, transport):
    with FakeServer(fault) as server:
        done = run(server.url, f"--{transport}", "2", "--ramp", "0", "--for",
                   str(SECONDS.get(fault, 2)))
        return done, server.connections


class LoadCheck(unittest.TestCase):
    def row(self, output, name):
        return [float(x) for x in re.search(rf"^{name} +(\S+) +(\S+)$", output, re.M).groups()]

    def test_passes_a_server_that_is_right_and_counts_what_it_sent(self):
        with FakeServer() as server:
            done = run(server.url, "--udp", "3", "--tcp", "2", "--for", "6", "--ramp", "0.5",
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

    def test_takes_trains_of_packets_apart(self):
        with FakeServer(trains=True) as server:
            done = run(server.url, "--udp", "2", "--for", "2", "--ramp", "0")
        self.assertEqual(done.stdout.splitlines()[-1], "RESULT ok", done.stdout)
        packets = self.row(done.stdout, "RTP packets")[0]
        self.assertTrue(packets > 2 * 50 and packets % PACKETS_PER_TRAIN == 0, done.stdout)

    def test_fails_for_every_fault_and_names_it(self):
        self.assertEqual(set(VERDICTS), set(FAULTS))
        cases = [(fault, transport, verdicts[i]) for fault, verdicts in VERDICTS.items()
                 for i, transport in enumerate(("udp", "tcp")) if verdicts[i]]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            runs = list(pool.map(lambda case: run_against(*case[:2]), cases))
        for (fault, transport, verdict), (done, _) in zip(cases, runs):
            with self.subTest(fault=fault, transport=transport):
                self.assertEqual(done.returncode, 1, done.stdout)
                self.assertIn(f"RESULT FAILED {verdict}", done.stdout.splitlines()[-1])

    def test_says_that_nobody_listens(self):
        done = run("rtsp://127.0.0.1:1/x", "--udp", "2", "--for", "5", "--ramp", "0")
        self.assertEqual(done.returncode, 1)
        self.assertIn("RESULT FAILED 2 viewers: connect: Connection refused", done.stdout)

    def test_refuses_what_it_cannot_do_with_status_2(self):
        for arguments, words in ((["rtsp://127.0.0.1/x"], "no viewers"),
                                 (["http://127.0.0.1/x", "--udp", "1"], "rtsp://HOST"),
                                 (["rtsp://127.0.0.1:99999/x", "--udp", "1"], "rtsp://HOST"),
                                 (["rtsp://[::1/x", "--udp", "1"], "rtsp://HOST"),
                                 (["rtsp://127.0.0.1/x", "--udp", "-1"], "--udp"),
                                 (["rtsp://127.0.0.1/x", "--udp", "1", "--server-pid",
                                   "999999999"], "no such process"),
                                 ([], "URL")):
            with self.subTest(arguments=arguments):
                done = run(*arguments)
                self.assertEqual(done.returncode, 2, done.stdout)
                self.assertIn(words, done.stderr)


if __name__ == "__main__":
    unittest.main()
