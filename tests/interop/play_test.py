#!/usr/bin/env python3
"""Real players receive every frame of a file, in order and bit for bit.

    play_test.py PATH_OF_MILLRACE WORK_FOLDER

ffmpeg's decoded pictures are compared with those of the file itself, and its audio access units
with the file's; of GStreamer, the NAL units and the audio access units as they leave the
depayloaders.
"""
import contextlib
import os
import sys
import tempfile

sys.dont_write_bytecode = True  # leaves no cache in the source tree
import clips
import interop

PLAYED_WITHIN = clips.SECONDS + 40
AT_ONCE = 14


def play_with_ffmpeg(server, reference, transport, work):
    name = os.path.basename(reference.path)
    out = os.path.join(work, f"ffmpeg-{transport}-{name}")
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-threads", "1",
               "-rtsp_transport", transport, "-i", server.url(name),
               "-map", "0:v", "-fps_mode", "passthrough", "-f", "framehash", "-hash", "md5",
               out + ".frames"]
    if reference.has_audio:
        command += ["-map", "0:a", "-c", "copy", "-f", "framehash", "-hash", "md5", out + ".audio"]
    interop.tool(*command, within=PLAYED_WITHIN)
    interop.expect_same_list(interop.framehash_hashes(out + ".frames"), reference.frames,
                             "pictures")
    if reference.has_audio:
        interop.expect_same_list(interop.framehash_hashes(out + ".audio"), reference.audio,
                                 "audio units")


def play_with_gstreamer(server, reference, transport, work):
    name = os.path.basename(reference.path)
    out = os.path.join(work, f"gst-{transport}-{name}")
    interop.run_gstreamer(server.url(name), transport, reference, out, "play=0",
                          f"end={PLAYED_WITHIN}", within=PLAYED_WITHIN + 30)
    units, audio = interop.gstreamer_received(reference, out)
    interop.expect_same_list(units, reference.units, "NAL units")
    interop.expect_same_list(audio, reference.audio, "audio units")


def main():
    millrace, folder = sys.argv[1], sys.argv[2]
    os.makedirs(folder, exist_ok=True)
    if not interop.have("ffmpeg", "ffprobe"):
        return 0
    with_gstreamer = interop.gstreamer_plays()
    root = clips.make(folder)
    names = [name for name in clips.RECIPES if name != "long.mp4"]
    checks = interop.Checks(within=180)
    with contextlib.ExitStack() as stack:
        work = stack.enter_context(tempfile.TemporaryDirectory(dir=folder))
        servers = [stack.enter_context(interop.Server(millrace, root))]
        server = servers[0]
        if "io_uring" in interop.usable_backends(millrace, root):
            servers.append(stack.enter_context(
                interop.Server(millrace, root, "--zero-copy", "on", backend="io_uring")))
        os.mkdir(os.path.join(work, "without_copies"))
        for name in names:
            reference = clips.Reference(os.path.join(root, name), work)
            for transport in ("udp", "tcp"):
                checks.add(f"{name} over {transport} with ffmpeg", play_with_ffmpeg, server,
                           reference, transport, work)
                if with_gstreamer:
                    checks.add(f"{name} over {transport} with GStreamer", play_with_gstreamer,
                               server, reference, transport, work)
            for without_copy in servers[1:]:
                checks.add(f"{name} without copies", play_with_ffmpeg, without_copy, reference, "udp",
                           os.path.join(work, "without_copies"))
        failures = checks.run(AT_ONCE)
        for server in servers:
            status = server.stop()
            if status != 0:
                failures += 1
                print(f"FAILED the server leaves with status 0: it was {status}")
            if failures:
                print("the server's log:\n" + "\n".join(server.log_lines[-40:]))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
