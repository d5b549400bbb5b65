#!/usr/bin/env python3
"""What stands behind a URL, with real players: loops, starts, channels, transport streams and
subtitles.

    options_test.py PATH_OF_MILLRACE WORK_FOLDER

Pictures are compared with those of the file, which begins anew as often as it takes.
"""
import os
import re
import socket
import sys
import tempfile

sys.dont_write_bytecode = True  # leaves no cache in the source tree
import clips
import interop
from interop import expect, expect_run, expect_same_list

CLIP = "h264_aac.mp4"
TRANSPORT_STREAM = "h264_aac.ts"
LOOPED = 12  # seconds: two whole turns of the clip and a bit
CHANNELS = 4
PLAYED_WITHIN = LOOPED + 60


def pictures(url, out, transport, *arguments):
    interop.tool("ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-threads", "1",
                 "-rtsp_transport", transport, "-i", url, *arguments, "-map", "0:v", "-fps_mode",
                 "passthrough", "-f", "framehash", "-hash", "md5", out, within=PLAYED_WITHIN)
    return interop.framehash_hashes(out)


def times(path):
    """Presentation times of the pictures that a framehash file lists."""
    with open(path) as file:
        return [int(line.split(",")[2]) for line in file if not line.startswith("#")]


def loops(server, reference, transport, work):
    out = os.path.join(work, f"loop-{transport}")
    got = pictures(server.url(CLIP + "?loop"), out, transport, "-t", str(LOOPED))
    turns = reference.frames * (LOOPED // clips.SECONDS + 1)
    expect(len(got) >= (LOOPED - 1) * clips.RATE, f"{len(got)} pictures in {LOOPED} s")
    expect_same_list(got, turns[:len(got)], "pictures")
    stamps = times(out)
    steps = [b - a for a, b in zip(stamps, stamps[1:])]
    expect(min(steps) > 0 and max(steps) < 3 * min(steps),
           f"pictures are {min(steps)} to {max(steps)} ticks apart")


def starts_later(server, reference, transport, work):
    """At the key frame before, of which there is one every KEY_FRAME_EVERY frames."""
    first = 3 * clips.RATE // clips.KEY_FRAME_EVERY * clips.KEY_FRAME_EVERY
    got = pictures(server.url(CLIP + "?start=3"), os.path.join(work, f"start-{transport}"),
                   transport)
    expect_same_list(got, reference.frames[first:], "pictures")


def is_a_channel(server, reference, number, work):
    got = pictures(server.url(f"load/{number}"), os.path.join(work, f"channel-{number}"), "udp",
                   "-t", "4")
    turns = reference.frames * 3
    expect(len(got) >= 3 * clips.RATE, f"{len(got)} pictures in 4 s")
    places = [i for i, frame in enumerate(reference.frames) if frame == got[0]]
    expect(any(turns[place:place + len(got)] == got for place in places),
           f"no run of the file's pictures; the first is {places[:3]}")


def whole_packets(path):
    """Of a transport stream: those that are no stuffing."""
    with open(path, "rb") as file:
        data = file.read()
    return [data[i:i + 188] for i in range(0, len(data), 188) if data[i + 1:i + 3] != b"\x1f\xff"]


def is_a_transport_stream(server, reference, transport, work):
    """But for the last picture: ffmpeg waits for the next packet of its stream to know its end."""
    got = pictures(server.url(TRANSPORT_STREAM + "?mp2t"), os.path.join(work, f"ts-{transport}"),
                   transport)
    expect_run(got, reference.frames, "pictures", starts={0}, tail_max=1)


def arrives_packet_by_packet(server, transport, path, work):
    out = os.path.join(work, f"packets-{transport}.ts")
    pipeline = (f"rtspsrc protocols={transport} location={server.url(TRANSPORT_STREAM)}?mp2t ! "
                f"rtpmp2tdepay ! filesink sync=false async=false location={out}")
    interop.tool(sys.executable, interop.gst_client.__file__, pipeline, "play=0",
                 f"end={PLAYED_WITHIN}", within=PLAYED_WITHIN + 30)
    expect_same_list(whole_packets(out), whole_packets(path), "transport packets")


def describe(server, path):
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(f"DESCRIBE {server.url(path)} RTSP/1.0\r\nCSeq: 1\r\n"
                           "Connection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: connection.recv(4096), b"")).decode()


def refuses(server, query, status):
    answer = describe(server, CLIP + query)
    expect(re.match(rf"RTSP/1.0 {status} ", answer), answer)


def subtitled(clip, folder):
    """The clip with two cues."""
    cues = os.path.join(folder, "cues.srt")
    with open(cues, "w") as file:
        file.write("1\n00:00:01,000 --> 00:00:02,000\n<i>The first</i> of two\n\n"
                   "2\n00:00:03,000 --> 00:00:04,000\nThe second\n\n")
    interop.tool("ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-i", clip, "-i", cues, "-map",
                 "0", "-map", "1", "-c", "copy", "-c:s", "srt",
                 os.path.join(folder, "subtitled.mkv"))


def shows_subtitles_on_request(server, transport, work):
    expect("m=text" not in describe(server, "texts/subtitled.mkv"), "text without being asked for")
    out = os.path.join(work, f"text-{transport}")
    interop.tool("ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-rtsp_transport", transport,
                 "-i", server.url("texts/subtitled.mkv?subtitles"), "-map", "0:s", "-c", "copy",
                 "-f", "data", out, within=PLAYED_WITHIN)
    with open(out, encoding="utf-8") as file:
        got = file.read()
    expect(got == "\u2028The first of two\u2028The second", repr(got))


def main():
    millrace, folder = sys.argv[1], sys.argv[2]
    os.makedirs(folder, exist_ok=True)
    if not interop.have("ffmpeg", "ffprobe"):
        return 0
    root = clips.make(folder)
    checks = interop.Checks(within=200)
    with tempfile.TemporaryDirectory(dir=folder) as work, interop.Server(
            millrace, root, f"/texts={work}", "--channels",
            f"{CHANNELS}:/load/{{i}}={CLIP}") as server:
        subtitled(os.path.join(root, CLIP), work)
        reference = clips.Reference(os.path.join(root, CLIP), work)
        for transport in ("udp", "tcp"):
            checks.add(f"loops over {transport}", loops, server, reference, transport, work)
            checks.add(f"starts later over {transport}", starts_later, server, reference,
                       transport, work)
            checks.add(f"subtitles over {transport}", shows_subtitles_on_request, server,
                       transport, work)
            checks.add(f"a transport stream over {transport}", is_a_transport_stream, server,
                       reference, transport, work)
            if interop.gstreamer_plays():
                checks.add(f"its packets over {transport}", arrives_packet_by_packet, server,
                           transport, os.path.join(root, TRANSPORT_STREAM), work)
        for number in range(CHANNELS):
            checks.add(f"channel {number}", is_a_channel, server, reference, number, work)
        checks.add("no such time", refuses, server, "?start=soon", 400)
        checks.add("a start behind the end", refuses, server, "?start=100", 457)
        failures = checks.run(6)
        failures += server.stop() != 0
        if failures:
            print("the server's log:\n" + "\n".join(server.log_lines[-40:]))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
