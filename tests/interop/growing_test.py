#!/usr/bin/env python3
"""Files that ffmpeg is still writing are watched by ffmpeg, from their start and from their end.

    growing_test.py PATH_OF_MILLRACE WORK_FOLDER

Whoever begins at the start gets every picture and sound of what the file holds in the end, bit for bit,
and is let go when the writing is over; whoever begins at the end gets what is new soon after it was
written.
"""
import os
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # leaves no cache in the source tree
import clips
import interop
import rtsp_client

WRITTEN_SECONDS = 14
BEGUN_WITHIN = 20
PLAYED_WITHIN = 90  # the end of a transport stream shows by 10 s of silence
# One second is promised; the rest is what a machine may take that does other things as well.
NEW_WITHIN = 2.5
AT_ONCE = 12
FORMS = {
    "ts": ["-f", "mpegts"],
    "mkv": ["-f", "matroska", "-cluster_time_limit", "500"],
    "mp4": ["-f", "mp4", "-movflags", "frag_keyframe+empty_moov", "-frag_duration", "500000"],
}


def write(root, form):
    """Starts to write a file at the rate at which it is played."""
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-y",
               "-re", "-f", "lavfi", "-i", clips.PICTURE,
               "-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000",
               "-t", str(WRITTEN_SECONDS), "-c:v", "libx264", "-preset", "ultrafast", "-bf", "2",
               "-g", "25", *clips.AAC, "-flush_packets", "1", *FORMS[form],
               os.path.join(root, f"growing.{form}")]
    return subprocess.Popen(command)


def wait_until_begun(server, name):
    until = time.monotonic() + BEGUN_WITHIN
    while True:
        with rtsp_client.Client(server) as client:
            reply = client.ask("DESCRIBE", client.url(name))
        if reply.status == 200:
            return reply.body.decode()
        interop.expect(time.monotonic() < until, f"DESCRIBE gives {reply.status}")
        time.sleep(0.2)


def received(source, out):
    interop.tool("ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-threads", "1", *source,
                 "-map", "0:v", "-fps_mode", "passthrough", "-f", "framehash", "-hash", "md5",
                 out + ".frames", "-map", "0:a", "-f", "framehash", "-hash", "md5", out + ".audio",
                 within=PLAYED_WITHIN)
    return [interop.framehash_hashes(out + ending) for ending in (".frames", ".audio")]


def watch_from_start(server, root, form, transport, writers, work):
    name = f"growing.{form}"
    body = wait_until_begun(server, name)
    interop.expect("a=range:npt=0-\r\n" in body, "its range is not open: " + body)
    got = received(["-rtsp_transport", transport, "-i", server.url(name)],
                   os.path.join(work, f"{form}-{transport}"))
    interop.expect(writers[form].poll() is not None, "it ended while it was written")
    wanted = received(["-i", os.path.join(root, name)], os.path.join(work, f"{form}-file"))
    for have, want, what in zip(got, wanted, ("pictures", "stretches of sound")):
        interop.expect_same_list(have, want, what)


def play(client, name, range_):
    client.describe(name)
    client.set_up_tcp(name)
    return client.play(name, range_)


def watch_from_end(server, form, began):
    """`began[form]`: when its first second was written."""
    name = f"growing.{form}"
    wait_until_begun(server, name)
    time.sleep(max(0, began[form] + 6 - time.monotonic()))
    with rtsp_client.Client(server) as client:
        written = time.monotonic() - began[form]
        begins = play(client, name, "npt=now-").range()
        interop.expect(begins[1] is None, f"its range ends: {begins}")
        behind = written - begins[0]
        # A group of pictures, a fragment, what the encoder keeps, and the time it took to begin.
        interop.expect(behind < 2.5 + NEW_WITHIN, f"it begins {behind:.2f} s behind the end")
        interop.expect(begins[0] > 2, f"it begins at {begins[0]} s")
        client.receive(4)
        for stream in (0, 1):
            ticks = client.rtp[stream][-1].timestamp - client.rtp[stream][0].timestamp
            seconds = ticks % 2**32 / (90000, 48000)[stream]
            interop.expect(1.5 < seconds < 6, f"4 s of stream {stream} show {seconds:.1f} s")


def is_sent_what_is_new(server, root, source):
    """Parts are added to a file while a viewer waits at its end."""
    with open(source, "rb") as file:
        whole = file.read()
    path = os.path.join(root, "parts.ts")
    part = -(-len(whole) // 5)
    size = 2 * part
    with open(path, "wb") as file, rtsp_client.Client(server) as client:
        file.write(whole[:size])
        file.flush()
        play(client, "parts.ts", "npt=0-")

        def count():
            return sum(len(packets) for packets in client.rtp.values())

        while size < len(whole):
            seen = -1
            while count() != seen:  # until he waits
                seen = count()
                client.receive(1)
            interop.expect(not client.said_goodbye(2), "it ended while it grew")
            file.write(whole[size:size + part])
            file.flush()
            size += part
            written = time.monotonic()
            came = client.receive(NEW_WITHIN, lambda: count() > seen)
            interop.expect(came, f"nothing new came in {time.monotonic() - written:.2f} s")
        over = client.receive(30, lambda: client.said_goodbye(2))
        interop.expect(over, "no end came after it was whole")
        pictures = sum(packet.marker for packet in client.rtp[0])
        interop.expect(pictures == clips.SECONDS * clips.RATE, f"{pictures} pictures came")


def main():
    millrace, folder = sys.argv[1], sys.argv[2]
    os.makedirs(folder, exist_ok=True)
    if not interop.have("ffmpeg"):
        return 0
    clip = os.path.join(clips.make(folder, ["h264_aac.mp4", "h264_aac.ts"]), "h264_aac.ts")
    checks = interop.Checks(within=180)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        root = os.path.join(work, "root")
        os.mkdir(root)
        with interop.Server(millrace, root) as server:
            writers, began = {}, {}
            for form in FORMS:
                writers[form], began[form] = write(root, form), time.monotonic()
            try:
                for form in FORMS:
                    for transport in ("udp", "tcp"):
                        checks.add(f"growing.{form} from its start over {transport}",
                                   watch_from_start, server, root, form, transport, writers, work)
                    checks.add(f"growing.{form} from its end", watch_from_end, server, form, began)
                checks.add("what is new is sent soon", is_sent_what_is_new, server, root, clip)
                failures = checks.run(AT_ONCE)
            finally:
                for writer in writers.values():
                    writer.kill()
                    writer.wait()
            if failures:
                print("the server's log:\n" + "\n".join(server.log_lines[-40:]))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
