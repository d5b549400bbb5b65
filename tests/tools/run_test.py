#!/usr/bin/env python3
"""tools/run, as far as it goes before it builds, and the URL path it prints."""
import os
import subprocess
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
RUN = os.path.join(ROOT, "tools", "run")


class Run(unittest.TestCase):
    def test_a_missing_folder_is_one_line_before_anything_is_built(self):
        for argument in ("/nowhere/at/all", RUN):
            done = subprocess.run([RUN, argument], capture_output=True, text=True, timeout=10,
                                  check=False)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
            self.assertIn(f"'{argument}'", done.stderr)

    def test_the_url_of_any_file_name_is_valid(self):
        for name, path in (("demo.mp4", "demo.mp4"),
                           ("a b/c-d_e~f.mkv", "a%20b/c-d_e~f.mkv"),
                           ("50% #1?.mp4", "50%25%20%231%3F.mp4"),
                           ("é'\"\\.ts", "%C3%A9%27%22%5C.ts")):
            done = subprocess.run(
                ["bash", "-c", f'eval "$(sed -n "/^url_path()/,/^}}/p" "{RUN}")"; url_path "$1"',
                 "url_path", name], capture_output=True, text=True, timeout=10, check=True)
            self.assertEqual(done.stdout, path)


if __name__ == "__main__":
    unittest.main()
