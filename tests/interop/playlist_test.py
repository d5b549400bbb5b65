#!/usr/bin/env python3
"""A playlist is played as one: players receive every frame of all its clips, in order and bit for bit.

    playlist_test.py PATH_OF_MILLRACE WORK_FOLDER

Compared are the pictures ffmpeg decodes and the audio access units, with those of the clips one after
the other.
"""
import os
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # leaves no cache in the source tree
import clips
import interop
import rtsp_client

PLAYED_WITHIN = 60
LOGGED_WITHIN = 10
AT_ONCE = 8
SECONDS = (2, 3, 1.5)


def recipes():
    """Three clips that one encoder made alike, of different pictures and lengths."""
    made = {}
    for at, seconds in enumerate(SECONDS):
        made[f"part{at}.mp4"] = ["-f", "lavfi", "-i", f"{clips.PICTURE},hue=h={60 * at}",
                                 "-f", "lavfi", "-i", f"sine=frequency={440 + 110 * at}:"
                                 "sample_rate=48000,aformat=channel_layouts=stereo",
                                 "-t", str(seconds), *clips.X264, *clips.AAC]
        for kind in ("ts", "mkv"):
            made[f"part{at}.{kind}"] = ["-i", f"@part{at}.mp4", "-c", "copy"]
    return made


PLAYLISTS = {
    "mp4.m3u": "\ufeff#EXTM3U\r\n#PLAYLIST:Three parts\r\npart0.mp4\r\n\r\n./part1.mp4\r\npart2.mp4",
    "mkv.m3u8": "part0.mkv\npart1.mkv\npart2.mkv\n",
    "hls.m3u8": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:3\n#EXT-X-MEDIA-SEQUENCE:0\n"
                "#EXTINF:2,\npart0.ts\n#EXTINF:3,\npart1.ts\n#EXTINF:1.5,\npart2.ts\n"
                "#EXT-X-ENDLIST\n",
    "sub/up.m3u": "../part0.mp4\n../part%31.mp4\n../part2.mp4\n",
}

# What is not played, and what the log says of it.
REFUSED = {
    "outside.m3u": ("part0.mp4\n../../secret.mp4\n", "line 2: ../../secret.mp4 leads out"),
    "url.m3u": ("http://localhost/a.mp4\n", "line 1: http://localhost/a.mp4 is a URL"),
    "absolute.m3u": ("/etc/passwd\n", "line 1: /etc/passwd is an absolute path"),
    "missing.m3u": ("part0.mp4\ngone.mp4\n", "line 2: gone.mp4: No such file"),
    "mixed.m3u": ("part0.mp4\npart1.ts\n", "line 2: part1.ts: track 0 is laid out in another way"),
    "nested.m3u": ("mp4.m3u\n", "line 1: mp4.m3u is a playlist itself"),
    "empty.m3u8": ("#EXTM3U\n", "the playlist names no file"),
}


def received(source, out, kind):
    """The pictures, the audio units and the times of both, as ffmpeg has them from there."""
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-threads", "1", *source,
               "-map", "0:v", "-fps_mode", "passthrough", "-f", "framehash", "-hash", "md5",
               out + ".frames", "-map", "0:a", "-c", "copy"]
    if kind == "ts":
        command += ["-bsf:a", "aac_adtstoasc"]
    interop.tool(*command, "-f", "framehash", "-hash", "md5", out + ".audio", within=PLAYED_WITHIN)
    return [interop.framehash_hashes(out + ending) for ending in (".frames", ".audio")]


def times_of(path):
    with open(path) as lines:
        rows = [line.split(",") for line in lines if not line.startswith("#")]
        return [int(row[2]) for row in rows]


def play(server, name, transport, wanted, work):
    out = os.path.join(work, f"{transport}-{name.replace('/', '-')}")
    got = received(["-rtsp_transport", transport, "-i", server.url(name)], out, None)
    for have, want, what in zip(got, wanted, ("pictures", "audio units")):
        interop.expect_same_list(have, want, what)
    times = times_of(out + ".frames")
    interop.expect(all(a < b for a, b in zip(times, times[1:])), "pictures' times do not ascend")


def refuse(server, name, said):
    with rtsp_client.Client(server) as client:
        reply = client.ask("DESCRIBE", client.url(name))
    interop.expect(reply.status == 415, f"DESCRIBE gave {reply.status}")
    until = time.monotonic() + LOGGED_WITHIN
    while not any(name in line and said in line for line in list(server.log_lines)):
        interop.expect(time.monotonic() < until, f"no line of the log says {said!r}")
        time.sleep(0.05)


def main():
    millrace, folder = sys.argv[1], sys.argv[2]
    os.makedirs(folder, exist_ok=True)
    if not interop.have("ffmpeg", "ffprobe"):
        return 0
    root = clips.make(folder, recipes=recipes())
    os.makedirs(os.path.join(root, "sub"), exist_ok=True)
    for name, text in [*PLAYLISTS.items(), *((n, text) for n, (text, _) in REFUSED.items())]:
        with open(os.path.join(root, name), "w", encoding="utf-8", newline="") as file:
            file.write(text)
    checks = interop.Checks(within=180)
    with tempfile.TemporaryDirectory(dir=folder) as work, interop.Server(millrace, root) as server:
        for name in PLAYLISTS:
            kind = {"mkv.m3u8": "mkv", "hls.m3u8": "ts"}.get(name, "mp4")
            wanted = [[], []]
            for at in range(len(SECONDS)):
                path = os.path.join(root, f"part{at}.{kind}")
                base = os.path.join(work, f"reference-{at}-{kind}")
                for whole, part in zip(wanted, received(["-i", path], base, kind)):
                    whole += part
            for transport in ("udp", "tcp"):
                checks.add(f"{name} over {transport}", play, server, name, transport, wanted, work)
        for name, (_, said) in REFUSED.items():
            checks.add(f"{name} is refused", refuse, server, name, said)
        failures = checks.run(AT_ONCE)
        status = server.stop()
        if status != 0:
            failures += 1
            print(f"FAILED the server leaves with status 0: it was {status}")
        if failures:
            print("the server's log:\n" + "\n".join(server.log_lines[-40:]))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
