#!/usr/bin/env python3
"""Publishing, on both backends: real publishers and players, and the protocol packet by packet.

    publish_test.py PATH_OF_MILLRACE WORK_FOLDER [WORD…]

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
import publish_players
import publish_protocol

WITHIN = 220
AT_ONCE = 8  # what real players decode side by side; the rest waits
PUBLISHED = [("ffmpeg", "tcp", "live_h264.mp4"), ("ffmpeg", "udp", "live_h264.mp4"),
             ("ffmpeg", "tcp", "live_h265.mp4"), ("GStreamer", "tcp", "live_h264.mp4"),
             ("GStreamer", "udp", "live_h264.mp4")]


def add_players(checks, worlds, references, chosen, work):
    players = ["ffmpeg", "packets"] + (["GStreamer"] if interop.gstreamer_plays() else [])
    publishers = ["ffmpeg"] + (["GStreamer"] if publish_players.gstreamer_publishes() else [])
    for publisher, transport, clip in PUBLISHED:
        for world in worlds if publisher in publishers else ():
            name = f"{clip} published by {publisher} over {transport} [{world.backend}]"
            if chosen(name):
                checks.add(name, publish_players.publish_and_play, world.server, publisher,
                           transport, references[clip], players, work)


def main():
    millrace, folder, words = sys.argv[1], sys.argv[2], sys.argv[3:]
    os.makedirs(folder, exist_ok=True)
    if not interop.have("ffmpeg", "ffprobe"):
        return 0
    made = clips.make(folder, recipes=clips.LIVE_RECIPES)
    checks = interop.Checks(WITHIN)
    worlds = []

    def chosen(name):
        return not words or any(word in name for word in words)

    with contextlib.ExitStack() as stack:
        work = stack.enter_context(tempfile.TemporaryDirectory(dir=folder))
        references = {name: clips.Reference(os.path.join(made, name), work)
                      for name in clips.LIVE_RECIPES}
        empty = os.path.join(work, "empty")
        os.mkdir(empty)
        for backend in interop.usable_backends(millrace, empty):
            worlds.append(publish_protocol.World(millrace, backend, empty))
            stack.enter_context(worlds[-1].server)
        # Those that wait longest first.
        for name, function in sorted(protocol_cases.CASES, key=lambda case: "slow" not in case[0]):
            for world in worlds:
                if chosen(f"{name} [{world.backend}]"):
                    checks.add(f"{name} [{world.backend}]", function, world)
        add_players(checks, worlds, references, chosen, work)
        failures = checks.run(AT_ONCE)
        for world in worlds:
            alive = world.server.process.poll() is None
            status = world.server.stop()
            if not alive or status != 0:
                failures += 1
                print(f"FAILED the {world.backend} server lives and leaves with 0: {status}")
            if failures:
                print("\n".join(world.server.log_lines[-30:]))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
