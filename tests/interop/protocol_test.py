#!/usr/bin/env python3
"""RTSP conformance over real sockets, on both backends.

    protocol_test.py PATH_OF_MILLRACE WORK_FOLDER [WORD…]

A check's name starts with the numbers of the conformance cases it covers, where there are any.
WORDs select the checks whose names contain one of them.
"""
import contextlib
import os
import sys
import tempfile

sys.dont_write_bytecode = True  # leaves no cache in the source tree
import clips
import interop
import protocol_cases
import protocol_life
import protocol_messages
import protocol_play
import protocol_rtp
import protocol_setup

WITHIN = 200
AT_ONCE = 48  # nearly all of them wait


def main():
    millrace, folder, words = sys.argv[1], sys.argv[2], sys.argv[3:]
    os.makedirs(folder, exist_ok=True)
    if not interop.have("ffmpeg", "ffprobe"):
        return 0
    made = clips.make(folder)
    checks = interop.Checks(WITHIN)
    worlds = []
    with contextlib.ExitStack() as stack:
        work = stack.enter_context(tempfile.TemporaryDirectory(dir=folder))
        references = {name: clips.Reference(os.path.join(made, name), work) for name in
                      ("h264_aac.mp4", "h265_aac.mp4", "raw.h264", "long.mp4")}
        empty = os.path.join(work, "empty")
        os.mkdir(empty)
        for backend in interop.usable_backends(millrace, empty):
            root = os.path.join(work, "root-" + backend)
            os.mkdir(root)
            protocol_cases.fill_root(root, made)
            server = stack.enter_context(interop.Server(millrace, root, backend=backend))
            brief = stack.enter_context(
                interop.Server(millrace, root, "--session-timeout", "2", backend=backend))
            worlds.append(protocol_cases.World(millrace, backend, root, server, brief, references))
        # Those that wait longest first.
        for name, function in sorted(protocol_cases.CASES, key=lambda case: "slow" not in case[0]):
            for world in worlds:
                if not words or any(word in name for word in words):
                    checks.add(f"{name} [{world.backend}]", function, world)
        failures = checks.run(AT_ONCE)
        for world in worlds:
            for server in (world.server, world.brief):
                alive = server.process.poll() is None
                status = server.stop()
                if not alive or status != 0:
                    failures += 1
                    print(f"FAILED the {world.backend} server lives and leaves with 0: {status}")
                if failures:
                    print("\n".join(server.log_lines[-30:]))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
