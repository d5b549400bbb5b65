#!/usr/bin/env python3
"""The program millrace from outside: what it says, how it leaves.

    cli_test.py PATH_OF_MILLRACE VERSION
"""
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

MILLRACE = sys.argv.pop(1)
VERSION = sys.argv.pop(1)
PATIENCE = 60  # of a loaded machine with sanitizers


def run(*arguments, **options):
    return subprocess.run([MILLRACE, *arguments], capture_output=True, text=True, timeout=PATIENCE,
                          check=False, **options)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def has_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        return True
    except OSError:
        return False


class Server:
    """millrace serving an empty folder on loopback, up when entered."""

    def __init__(self, *options, host="127.0.0.1", **process_options):
        self.options = options
        self.host = host
        self.process_options = process_options

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.log = tempfile.TemporaryFile("w+")
        self.port = free_port()
        self.process = subprocess.Popen(
            [MILLRACE, "serve", self.folder.name, "--port", str(self.port), "--shards", "2",
             *self.options], stdout=self.log, stderr=subprocess.STDOUT, **self.process_options)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.connect().close()
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.__exit__()
                    raise AssertionError("the server did not come up:\n" + self.text) from None
                time.sleep(0.02)

    def connect(self, host=None):
        return socket.create_connection((host or self.host, self.port), timeout=PATIENCE)

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.log.seek(0)
        self.text = self.log.read()
        self.log.close()
        self.folder.cleanup()


class Words(unittest.TestCase):
    def test_version_is_one_line(self):
        done = run("--version")
        self.assertEqual((done.returncode, done.stdout, done.stderr),
                         (0, f"millrace {VERSION}\n", ""))

    def test_help_names_every_option_and_gives_examples(self):
        done = run("--help")
        self.assertEqual(done.returncode, 0)
        self.assertIn("serve", done.stdout)
        self.assertIn("Examples:", done.stdout)
        done = run("serve", "--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for word in ("DIR", "--bind", "--port", "--shards", "--backend", "--cache-mb",
                     "--session-timeout", "--log-level", "--publish ", "--publish-takeover",
                     "--on-publisher-loss", "--describe-wait", "--join", "--live-window ",
                     "--live-window-mb", "--channels", "Examples:"):
            self.assertIn(word, done.stdout)

    def test_a_value_that_cannot_be_meant_is_one_line_and_status_2(self):
        for option, values in (("--port", ["65536", "-1", "rtsp", "", "8554x", "0x10"]),
                               ("--bind", ["localhost", "1.2.3", "::1::", "127.0.0.1:8554"]),
                               ("--shards", ["-1", "two", "1025", "99999999999999999999"]),
                               ("--backend", ["uring", "EPOLL", ""]),
                               ("--zero-copy", ["yes", "ON", ""]),
                               ("--cache-mb", ["15", "-5", "1G", "16777217"]),
                               ("--session-timeout", ["0", "-1", "1m", "86401"]),
                               ("--log-level", ["loud", "", "INFO"]),
                               ("--channels", ["", "5", "0:/a/{i}=b.mp4", "x:/a/{i}=b.mp4",
                                               "5:/a=b.mp4", "5:/a/{i}=", "5:a/{i}=b.mp4",
                                               "5:/a/../{i}=b.mp4", "5:/{i}/{i}=b.mp4",
                                               "1000001:/a/{i}=b.mp4"]),
                               ("--publish", ["", "live", "OFF", "none"]),
                               ("--publish-takeover", ["maybe"]),
                               ("--on-publisher-loss", ["", "keep", "hold", "hold:", "hold:0",
                                                        "hold:1m", "hold:3601", "holds:5",
                                                        "end:5"]),
                               ("--describe-wait", ["-1", "61", "1s", ""]),
                               ("--join", ["", "keyframe", "now"]),
                               ("--live-window", ["0", "61", "5s"]),
                               ("--live-window-mb", ["0", "1025", "32M"])):
            for value in values:
                with self.subTest(option=option, value=value):
                    # An empty value cannot be written with '='.
                    done = run("serve", *([f"{option}={value}"] if value else [option, ""]))
                    self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
                    self.assertRegex(done.stderr, rf"^millrace: .*{option}.*\n$")

    def test_hold_in_two_words_takes_a_number_and_nothing_else(self):
        for words, value in ((["hold", "0"], "hold:0"), (["hold", "."], "hold:."),
                             (["hold"], "hold"), (["hold", "--shards", "1"], "hold"),
                             (["hold", "-5"], "hold:-5")):
            with self.subTest(words=words):
                done = run("serve", "--on-publisher-loss", *words)
                self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
                self.assertEqual(done.stderr, f"millrace: --on-publisher-loss '{value}': expected "
                                              "end, or hold:SECONDS with 1 to 3600\n")

    def test_live_options_leave_the_folder_alone(self):
        # That the folder is missing is found behind all options; so it has been understood.
        for options in (["--on-publisher-loss", "hold", "30"], ["--on-publisher-loss=hold", "30"],
                        ["--on-publisher-loss", "hold:3600"], ["--on-publisher-loss", "end"],
                        ["--publish", "off"], ["--publish", "/"], ["--publish", "/a/b/"],
                        ["--publish-takeover"], ["--describe-wait", "60"], ["--join", "live-edge"],
                        ["--join", "key-frame"], ["--live-window", "60"],
                        ["--live-window-mb", "1024"]):
            with self.subTest(options=options):
                done = run("serve", *options, "/nowhere/at/all", "--port", "0")
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn("/nowhere/at/all", done.stderr.splitlines()[-1])

    def test_settings_of_folders_are_taken_off_their_names(self):
        for value, folder in (("/nowhere/at/all?loop", "/nowhere/at/all"),
                              ("/ads=/nowhere?loop&start=5", "/nowhere"),
                              ("/nowhere?what", "/nowhere?what"), ("/nowhere?", "/nowhere?")):
            with self.subTest(value=value):
                done = run("serve", "--channels", "5:/load/{i}=demo.mp4", value, "--port", "0")
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertRegex(done.stderr.splitlines()[-1], rf"{re.escape(folder)}(\W|$)")

    def test_what_is_not_known_is_one_line_and_status_2(self):
        for arguments, word in (([], "nothing to do"), (["play"], "play"),
                                (["serve", "--colour"], "--colour"),
                                (["serve", "/x="], "/x="), (["serve", "/a/../b=."], "/a/../b=."),
                                (["serve", "--port"], "--port")):
            with self.subTest(arguments=arguments):
                done = run(*arguments)
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
                self.assertIn(word, done.stderr)


class Start(unittest.TestCase):
    def assert_refuses(self, done, *words):
        self.assertEqual(done.returncode, 1, done.stderr + done.stdout)
        last = done.stderr.splitlines()[-1]
        self.assertTrue(last.startswith("millrace: "), done.stderr)
        for word in words:
            self.assertIn(word, last)

    def test_a_missing_folder_is_named(self):
        self.assert_refuses(run("serve", "/nowhere/at/all", "--port", "0"), "/nowhere/at/all")

    def test_two_folders_at_one_place_are_named(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assert_refuses(run("serve", folder, "/tmp", "--port", "0"), folder, "/tmp",
                                "/NAME=/tmp")
            self.assert_refuses(run("serve", f"/a={folder}", "/a/=/nowhere", "--port", "0"), "/a")

    def test_a_file_is_no_folder(self):
        self.assert_refuses(run("serve", os.path.realpath(__file__), "--port", "0"), "cli_test.py")

    def test_a_port_in_use_is_named(self):
        with socket.create_server(("127.0.0.1", 0)) as taken, tempfile.TemporaryDirectory() as folder:
            port = str(taken.getsockname()[1])
            self.assert_refuses(run("serve", folder, "--bind", "127.0.0.1", "--port", port), port)

    def test_too_few_file_descriptors_are_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            done = run("serve", folder, "--port", "0", "--bind", "127.0.0.1",
                       preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24)))
        self.assert_refuses(done)


class Life(unittest.TestCase):
    @unittest.skipUnless(has_ipv6(), "this host has no IPv6")
    def test_serves_both_address_families_by_default(self):
        with Server() as server:
            for host in ("127.0.0.1", "::1"):
                with self.subTest(host=host):
                    server.connect(host).close()

    @unittest.skipUnless(has_ipv6(), "this host has no IPv6")
    def test_bind_keeps_to_one_address(self):
        with Server("--bind", "127.0.0.1") as server:
            with self.assertRaises(ConnectionRefusedError):
                server.connect("::1")

    def test_a_signal_ends_it_with_status_0_on_either_backend(self):
        for backend in ("io_uring", "epoll"):
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                with self.subTest(backend=backend, signal=number.name):
                    with Server("--backend", backend) as server:
                        # With a connection open, so that there is something to end.
                        with server.connect():
                            server.process.send_signal(number)
                            self.assertEqual(server.process.wait(PATIENCE), 0)

    def test_outlives_the_terminal_under_nohup(self):
        with Server(preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as server:
            server.process.send_signal(signal.SIGHUP)
            with self.assertRaises(subprocess.TimeoutExpired):
                server.process.wait(1)
            server.process.send_signal(signal.SIGTERM)
            self.assertEqual(server.process.wait(PATIENCE), 0)

    def test_start_up_tells_what_is_served_where_and_how(self):
        with Server("--backend", "epoll") as server:
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(PATIENCE)
        for words in (str(server.port), "epoll", server.folder.name, "2 shards"):
            self.assertIn(words, server.text)


if __name__ == "__main__":
    unittest.main()
