#!/usr/bin/env python3
"""tools/setup, with dpkg and apt played by small scripts that write down how they were called."""
import os
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
SETUP = os.path.join(ROOT, "tools", "setup")

# Of the packages asked about, those named in $ABSENT are not installed; as with the real dpkg-query, an
# unknown name makes the status 1.
DPKG_QUERY = """#!/bin/bash
echo "dpkg-query" >>"$CALLS"
status=0
for name in "${@:3}"; do
  case " $ABSENT " in *" $name "*) status=1 ;; *) echo "installed $name" ;; esac
done
exit $status
"""
APT_GET = """#!/bin/bash
words=()
for word in "$@"; do
  case "$word" in -* | DPkg::*) ;; *) words+=("$word") ;; esac
done
echo "apt-get ${words[*]} as $DEBIAN_FRONTEND" >>"$CALLS"
[[ ${words[0]} != "$APT_FAILS" ]]
"""
APT_CACHE = """#!/bin/bash
case " $UNKNOWN " in *" ${@: -1} "*) exit 100 ;; esac
"""
SUDO = """#!/bin/bash
exec "$@"
"""
HOST_TOOLS = ["bash", "sed", "env", "mktemp", "rm", "tail"]


class Setup(unittest.TestCase):
    def run_setup(self, *arguments, apt=True, absent="", unknown="", apt_fails=""):
        with tempfile.TemporaryDirectory() as bin_folder:
            for tool in HOST_TOOLS:
                for folder in ("/usr/bin", "/bin"):
                    if os.path.exists(os.path.join(folder, tool)):
                        os.symlink(os.path.join(folder, tool), os.path.join(bin_folder, tool))
                        break
            scripts = {"dpkg-query": DPKG_QUERY, "apt-get": APT_GET, "apt-cache": APT_CACHE,
                       "sudo": SUDO} if apt else {}
            for name, text in scripts.items():
                path = os.path.join(bin_folder, name)
                with open(path, "w", encoding="utf-8") as f:
                    f.write(text)
                os.chmod(path, 0o755)
            calls = os.path.join(bin_folder, "calls")
            environment = {"PATH": bin_folder, "CALLS": calls, "ABSENT": absent,
                           "UNKNOWN": unknown, "APT_FAILS": apt_fails}
            done = subprocess.run([SETUP, *arguments], env=environment, capture_output=True,
                                  text=True, timeout=60, check=False)
            made = []
            if os.path.exists(calls):
                with open(calls, encoding="utf-8") as f:
                    made = f.read().splitlines()
        return done, made

    def test_asks_dpkg_once_and_apt_never_when_nothing_is_missing(self):
        for arguments in ([], ["--test"], ["--bench"]):
            done, calls = self.run_setup(*arguments)
            self.assertEqual((done.returncode, done.stdout, calls), (0, "", ["dpkg-query"]))

    def test_installs_only_what_is_missing(self):
        done, calls = self.run_setup(absent="cmake libcli11-dev")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(calls, ["dpkg-query", "apt-get update as noninteractive",
                                 "apt-get install cmake libcli11-dev as noninteractive"])

    def test_does_not_install_what_only_the_tests_need_unless_asked(self):
        _, calls = self.run_setup(absent="gstreamer1.0-tools")
        self.assertEqual(calls, ["dpkg-query"])
        _, calls = self.run_setup("--test", absent="gstreamer1.0-tools")
        self.assertIn("apt-get install gstreamer1.0-tools as noninteractive", calls)

    def test_does_not_install_what_only_the_benchmarks_need_unless_asked(self):
        for arguments in ([], ["--test"]):
            _, calls = self.run_setup(*arguments, absent="gnuplot-nox libgstrtspserver-1.0-dev")
            self.assertEqual(calls, ["dpkg-query"])
        _, calls = self.run_setup("--bench", absent="gnuplot-nox libgstrtspserver-1.0-dev")
        self.assertIn("apt-get install libgstrtspserver-1.0-dev gnuplot-nox as noninteractive", calls)

    def test_takes_the_other_name_where_the_first_does_not_exist(self):
        done, calls = self.run_setup("--test", absent="clang-14 clang-format-14")
        self.assertEqual((done.returncode, calls), (0, ["dpkg-query"]))
        absent = "clang-format-14 clang-format"
        _, calls = self.run_setup("--test", absent=absent)
        self.assertEqual(calls[-1], "apt-get install clang-format-14 as noninteractive")
        _, calls = self.run_setup("--test", absent=absent, unknown="clang-format-14")
        self.assertEqual(calls[-1], "apt-get install clang-format as noninteractive")

    def test_goes_on_with_the_old_lists_when_the_update_fails(self):
        done, calls = self.run_setup(absent="cmake", apt_fails="update")
        self.assertEqual(done.returncode, 0)
        self.assertEqual(calls[-1], "apt-get install cmake as noninteractive")

    def test_says_what_to_do_by_hand_when_the_installation_fails(self):
        done, _ = self.run_setup(absent="cmake", apt_fails="install")
        self.assertEqual(done.returncode, 1)
        self.assertIn("by hand: apt-get install cmake", done.stderr)

    def test_prints_the_list_and_fails_where_there_is_no_apt(self):
        done, _ = self.run_setup(apt=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("liburing-dev", done.stderr)
        self.assertNotIn("gstreamer", done.stderr)

    def test_refuses_an_argument_it_does_not_know(self):
        done, calls = self.run_setup("--tests")
        self.assertEqual((done.returncode, calls), (2, []))
        self.assertIn("--tests", done.stderr)


if __name__ == "__main__":
    unittest.main()
