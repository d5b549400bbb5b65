#!/usr/bin/env python3
"""tools/check_floors must pass a good tree and name file and line of each fault in a bad one."""
import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
CHECK = os.path.join(ROOT, "tools", "check_floors")
MARK = "TO" + "DO"

GOOD = {
    "core/clock.h": "#pragma once\n#include <cstdint>\n#include <net/if.h>\n",
    "core/clock.cc": '#include "core/clock.h"\n\n#include <time.h>\n',
    "core/memory.cc": "#include <mimalloc.h>\n",
    "core/status.h": '#pragma once\n#include "absl/status/status.h"\n',
    "core/logging.h": "#pragma once\n#include <spdlog/spdlog.h>\n",
    "core/logging.cc": '#include "core/logging.h"\n#include <spdlog/sinks/stdout_sinks.h>\n',
    "core/io/uring_backend.cc": "#include <liburing.h>\n",
    "core/io/uring_part.h": "#pragma once\n#include <liburing.h>\n",
    "media/ffmpeg_demuxer.cc": 'extern "C" {\n#include <libavformat/avformat.h>\n}\n',
    "rtp/block.h": '#pragma once\n#include "core/clock.h"\n#include "media/track.h"\n',
    "net/tls.h": "#pragma once\n#include <openssl/ssl.h>\n",
    "net/tls.cc": '#include "net/tls.h"\n#include <openssl/err.h>\n#include "rtp/block.h"\n',
    "tools/millrace/cli.cc": '#include <CLI/CLI.hpp>\n#include "net/tls.h"\n',
    "tests/net/tls_test.cc": '#include <gtest/gtest.h>\n#include "net/tls.h"\n'
                             '#include "tests/sim/clock.h"\n',
    "bench/tls_bench.cc": '#include <benchmark/benchmark.h>\n#include "net/tls.h"\n',
    "tools/script": "#!/bin/sh\necho done\n",
}


class CheckFloors(unittest.TestCase):
    def run_on(self, changes):
        with tempfile.TemporaryDirectory() as tree:
            for name, text in {**GOOD, **changes}.items():
                path = os.path.join(tree, name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "w", encoding="utf-8") as f:
                    f.write(text)
            done = subprocess.run([sys.executable, CHECK, tree], capture_output=True, text=True,
                                  timeout=60, check=False)
        return done.returncode, done.stdout

    def assert_fault(self, name, text, line, words):
        status, output = self.run_on({name: text})
        self.assertEqual(status, 1, output)
        faults = output.splitlines()[:-1]
        self.assertEqual(len(faults), 1, output)
        self.assertTrue(faults[0].startswith(f"{name}:{line}: "), output)
        self.assertIn(words, faults[0])

    def test_passes_a_tree_that_keeps_the_rules(self):
        status, output = self.run_on({})
        self.assertEqual((status, output), (0, f"check_floors: {len(GOOD)} files, 0 faults\n"))

    def test_fails_on_a_tree_without_sources(self):
        with tempfile.TemporaryDirectory() as tree:
            done = subprocess.run([sys.executable, CHECK, tree], capture_output=True, text=True,
                                  timeout=60, check=False)
        self.assertEqual(done.returncode, 1)

    def test_an_include_never_runs_upward(self):
        rooms = ["core", "media", "rtp", "net"]
        for below, room in enumerate(rooms):
            for above in rooms[below + 1:]:
                self.assert_fault(f"{room}/x.cc", f'#include <vector>\n#include "{above}/y.h"\n', 2,
                                  "runs upward")

    def test_nobody_includes_tools_tests_or_bench(self):
        for target in ("tools", "tests", "bench"):
            for room in ("core", "media", "rtp", "net", "tools", "tests", "bench"):
                if room != target:
                    self.assert_fault(f"{room}/x.cc", f'#include "{target}/y.h"\n', 1,
                                      "nobody includes")

    def test_tests_tools_includes_the_tools_it_tests(self):
        status, output = self.run_on({"tests/tools/x_test.cc": '#include "tools/load/y.h"\n'})
        self.assertEqual(status, 0, output)
        self.assert_fault("tests/core/x_test.cc", '#include "tools/load/y.h"\n', 1, "nobody includes")

    def test_includes_start_at_the_root_and_ours_are_quoted(self):
        self.assert_fault("core/x.cc", '#include "clock.h"\n', 1, "repository root")
        self.assert_fault("core/x.cc", '#include "../core/clock.h"\n', 1, "repository root")
        self.assert_fault("core/io/x.cc", '#include "../clock.h"\n', 1, "repository root")
        self.assert_fault("core/x.cc", "#  include <core/clock.h>\n", 1, "is ours")

    def test_every_library_stays_behind_its_fence(self):
        for name, header in (("core/io/x.cc", "liburing.h"),
                             ("tests/core/x.cc", "liburing.h"),
                             ("core/io/x.h", "linux/io_uring.h"),
                             ("media/x.cc", "libavformat/avformat.h"),
                             ("rtp/x.cc", "libavutil/rational.h"),
                             ("rtp/x.cc", "mimalloc.h"),
                             ("core/x.cc", "mimalloc-new-delete.h"),
                             ("net/x.cc", "spdlog/spdlog.h"),
                             ("core/x.cc", "fmt/format.h"),
                             ("net/x.cc", "gtest/gtest.h"),
                             ("bench/x.cc", "gmock/gmock.h"),
                             ("tests/x.cc", "benchmark/benchmark.h"),
                             ("net/x.cc", "CLI/CLI.hpp"),
                             ("net/x.cc", "nlohmann/json.hpp")):
            text = f"#include <{header}>\n"
            line = 1
            if name.endswith(".h"):
                text, line = "#pragma once\n" + text, 2
            self.assert_fault(name, text, line, header)

    def test_openssl_and_srtp_live_in_one_file_pair_each(self):
        status, output = self.run_on({"net/digest.cc": "\n#include <openssl/evp.h>\n"})
        self.assertEqual(status, 1)
        self.assertIn("net/digest.cc:2: OpenSSL", output)
        self.assertIn("net/tls.cc:2: OpenSSL", output)
        status, output = self.run_on({"rtp/srtp.cc": "#include <srtp2/srtp.h>\n",
                                      "rtp/srtp.h": "#pragma once\n#include <srtp2/srtp.h>\n"})
        self.assertEqual(status, 0, output)
        status, output = self.run_on({"rtp/srtp.cc": "#include <srtp2/srtp.h>\n",
                                      "rtp/other.cc": "#include <srtp2/srtp.h>\n"})
        self.assertEqual(status, 1)
        self.assertIn("rtp/other.cc:1: libsrtp", output)

    def test_a_file_has_at_most_800_lines(self):
        status, output = self.run_on({"core/long.cc": "\n" * 800})
        self.assertEqual(status, 0, output)
        self.assert_fault("core/long.cc", "\n" * 801, 801, "801 lines")

    def test_a_header_has_pragma_once(self):
        self.assert_fault("net/x.h", "#include <vector>\n", 1, "#pragma once")
        self.assert_fault("net/x.h", "// #pragma once\n", 1, "#pragma once")

    def test_no_unfinished_work_is_left_in_sources(self):
        self.assert_fault("net/x.cc", f"int x;\n// {MARK}: more\n", 2, MARK)
        self.assert_fault("tools/script", f"#!/bin/sh\n# {MARK}\n", 2, MARK)
        self.assert_fault("tests/x.py", f"# FIX{'ME'}\n", 1, "FIX" + "ME")


if __name__ == "__main__":
    unittest.main()
