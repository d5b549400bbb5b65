#!/usr/bin/env python3
"""Every payload format and container: what a player receives of a file is what the file holds, byte
for byte.

    format_test.py PATH_OF_MILLRACE WORK_FOLDER

Compared are the coded bytes of each track, end to end: as ffmpeg reads them from the file, and as
ffmpeg's and GStreamer's depayloaders give them.
"""
import os
import sys
import tempfile

sys.dont_write_bytecode = True  # leaves no cache in the source tree
import clips
import interop

SECONDS = 3
PLAYED_WITHIN = SECONDS + 40
AT_ONCE = 12
PICTURE = "testsrc2=size=320x240:rate=25,noise=alls=40"


def video(*encoder):
    return ["-f", "lavfi", "-i", PICTURE, "-t", str(SECONDS), *encoder]


def audio(*encoder, rate=44100, layout="stereo"):
    return ["-f", "lavfi", "-i", f"sine=frequency=440:sample_rate={rate},"
            f"aformat=channel_layouts={layout}", "-t", str(SECONDS), *encoder]


def both(video_encoder, audio_encoder, rate=44100):
    return ["-f", "lavfi", "-i", PICTURE, "-f", "lavfi", "-i",
            f"sine=frequency=440:sample_rate={rate},aformat=channel_layouts=stereo",
            "-t", str(SECONDS), *video_encoder, *audio_encoder]


MP4V = ["-c:v", "mpeg4", "-b:v", "1M", "-g", "12", "-bf", "2"]
MPEG2 = ["-c:v", "mpeg2video", "-b:v", "2M", "-g", "12", "-bf", "2"]
VP8 = ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "1M", "-g", "25"]
VP9 = ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "1M", "-g", "25"]
# FFmpeg's own tables are better than those that the payload format knows.
JPEG = ["-c:v", "mjpeg", "-huffman", "default", "-pix_fmt", "yuvj420p", "-q:v", "5"]
MP3 = ["-c:a", "libmp3lame", "-b:a", "128k"]
H264 = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p"]

# name: (ffmpeg arguments, GStreamer's depayloader by medium)
FORMATS = {
    "vp8_vorbis.webm": (both(VP8, ["-c:a", "libvorbis"]), {"v": "rtpvp8depay",
                                                           "a": "rtpvorbisdepay"}),
    "vp9_opus.webm": (both(VP9, ["-c:a", "libopus"], 48000), {"v": "rtpvp9depay",
                                                              "a": "rtpopusdepay"}),
    "mpeg4_mp3.mp4": (both(MP4V, MP3), {"v": "rtpmp4vdepay", "a": "rtpmpadepay"}),
    "mpeg4_mp3.mkv": (both(MP4V, MP3), {"v": "rtpmp4vdepay", "a": "rtpmpadepay"}),
    "mpeg2_mp2.ts": (both(MPEG2, ["-c:a", "mp2"]), {"v": "rtpmpvdepay", "a": "rtpmpadepay"}),
    "mpeg2_ac3.mkv": (both(MPEG2, ["-c:a", "ac3"], 48000), {"v": "rtpmpvdepay",
                                                            "a": "rtpac3depay"}),
    "mpeg1_mp2.mkv": (both(["-c:v", "mpeg1video", "-b:v", "1M", "-g", "12", "-bf", "2"],
                           ["-c:a", "mp2"]), {"v": "rtpmpvdepay", "a": "rtpmpadepay"}),
    "h264_mp3.flv": (both(H264, MP3), {"a": "rtpmpadepay"}),
    "h264_opus.mkv": (both(H264, ["-c:a", "libopus"], 48000), {"a": "rtpopusdepay"}),
    "h264_pcm.mov": (both(H264, ["-c:a", "pcm_s16be"]), {"a": "rtpL16depay"}),
    "opus.ogg": (audio("-c:a", "libopus", rate=48000), {"a": "rtpopusdepay"}),
    "vorbis.ogg": (audio("-c:a", "libvorbis"), {"a": "rtpvorbisdepay"}),
    "layer3.mp3": (audio(*MP3), {"a": "rtpmpadepay"}),
    "layer3_mono_22050.mp3": (audio("-c:a", "libmp3lame", rate=22050, layout="mono"),
                              {"a": "rtpmpadepay"}),
    "bare.ac3": (audio("-c:a", "ac3", rate=48000), {"a": "rtpac3depay"}),
    "jpeg_pcm.mov": (both(JPEG, ["-c:a", "pcm_s16be"]), {"a": "rtpL16depay"}),
    "linear.wav": (audio("-c:a", "pcm_s16le"), {"a": "rtpL16depay"}),
    "linear_24.wav": (audio("-c:a", "pcm_s24le", rate=48000), {"a": "rtpL24depay"}),
    "linear_8.wav": (audio("-c:a", "pcm_u8", rate=16000, layout="mono"),
                     {"a": "rtpL8depay"}),
    "linear.aiff": (audio("-c:a", "pcm_s16be", layout="mono"), {"a": "rtpL16depay"}),
    "mulaw.wav": (audio("-c:a", "pcm_mulaw", rate=8000, layout="mono"), {"a": "rtppcmudepay"}),
    "alaw.au": (audio("-c:a", "pcm_alaw", rate=8000, layout="mono"), {"a": "rtppcmadepay"}),
}

# As they stand on the wire (RFC 3551 section 4.5: network byte order).
SWAPPED = {"linear.wav": "pcm_s16be", "linear_24.wav": "pcm_s24be"}
# GStreamer's puts the header packets, which the SDP carries, in front.
HEADERS_FIRST = {"rtpvorbisdepay"}


# FFmpeg's depayloaders know nothing of L8.
NOT_FOR_FFMPEG = {"linear_8.wav"}


def media_of(name):
    """Of H.264, which has a test of its own, containers and players differ in the framing; of
    Motion JPEG, players make headers of their own."""
    recipe = " ".join(FORMATS[name][0])
    compared = PICTURE in recipe and "libx264" not in recipe and "mjpeg" not in recipe
    return [medium for medium, there in (("v", compared), ("a", "sine" in recipe)) if there]


def pictures(source, out):
    """Hashes of what a player shows of a clip's Motion JPEG."""
    interop.tool("ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-threads", "1", *source,
                 "-map", "0:v", "-fps_mode", "passthrough", "-f", "framehash", "-hash", "md5",
                 out + ".frames", within=PLAYED_WITHIN)
    return interop.framehash_hashes(out + ".frames")


def copy_to(out, name, media, source):
    """Arguments that write each track's coded bytes to a file of their own."""
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-y", *source]
    for medium in media:
        codec = SWAPPED.get(name) if source[-1].startswith("/") else None
        # Of some formats FFmpeg does not say which frames are key frames, and would wait for one.
        command += ["-map", f"0:{medium}", f"-c:{medium}", codec or "copy",
                    f"-copyinkf:{medium}", "-f", "data", f"{out}.{medium}"]
    return command


def read(path):
    with open(path, "rb") as file:
        return file.read()


def expect_same_bytes(got, wanted, what):
    if got == wanted:
        return
    at = next((i for i, (a, b) in enumerate(zip(got, wanted)) if a != b),
              min(len(got), len(wanted)))
    raise AssertionError(f"{what}: {len(got)} bytes came, the file has {len(wanted)}; the first "
                         f"difference is at {at}")


def play_with_ffmpeg(server, name, transport, reference, work):
    out = os.path.join(work, f"ffmpeg-{transport}-{name}")
    interop.tool(*copy_to(out, name, media_of(name),
                          ["-rtsp_transport", transport, "-i", server.url("formats/" + name)]),
                 within=PLAYED_WITHIN)
    for medium in media_of(name):
        expect_same_bytes(read(f"{out}.{medium}"), read(f"{reference}.{medium}"), medium)


def look_with_ffmpeg(server, name, transport, path, work):
    out = os.path.join(work, f"look-{transport}-{name}")
    interop.expect_same_list(
        pictures(["-rtsp_transport", transport, "-i", server.url("formats/" + name)], out),
        pictures(["-i", path], out + "-reference"), "pictures")


def play_with_gstreamer(server, name, transport, reference, work):
    out = os.path.join(work, f"gst-{transport}-{name}")
    depayloaders = FORMATS[name][1]
    pipeline = (f"rtspsrc name=source protocols={transport} "
                f"location={server.url('formats/' + name)}")
    for medium, depayloader in depayloaders.items():
        element = {"v": "video", "a": "audio"}[medium]
        pipeline += (f" {depayloader} name={element} ! queue ! "
                     f"filesink sync=false async=false location={out}.{medium}")
    interop.tool(sys.executable, interop.gst_client.__file__, pipeline, "play=0",
                 f"end={PLAYED_WITHIN}", within=PLAYED_WITHIN + 30)
    for medium, depayloader in depayloaders.items():
        got, wanted = read(f"{out}.{medium}"), read(f"{reference}.{medium}")
        if depayloader in HEADERS_FIRST:
            got = got[-len(wanted):]
        expect_same_bytes(got, wanted, medium)


def main():
    millrace, folder = sys.argv[1], sys.argv[2]
    os.makedirs(folder, exist_ok=True)
    if not interop.have("ffmpeg"):
        return 0
    with_gstreamer = interop.gstreamer_plays()
    root = clips.make(folder, recipes={name: recipe for name, (recipe, _) in FORMATS.items()})
    checks = interop.Checks(within=240)
    with tempfile.TemporaryDirectory(dir=folder) as work, interop.Server(
            millrace, "/formats=" + root) as server:
        for name, (_, depayloaders) in FORMATS.items():
            path = os.path.join(root, name)
            reference = os.path.join(work, "reference-" + name)
            interop.tool(*copy_to(reference, name, media_of(name), ["-i", path]))
            for transport in ("udp", "tcp"):
                if name not in NOT_FOR_FFMPEG:
                    checks.add(f"{name} over {transport} with ffmpeg", play_with_ffmpeg, server,
                               name, transport, reference, work)
                if "mjpeg" in FORMATS[name][0]:
                    checks.add(f"{name} over {transport} looked at with ffmpeg", look_with_ffmpeg,
                               server, name, transport, path, work)
                if with_gstreamer and depayloaders:
                    checks.add(f"{name} over {transport} with GStreamer", play_with_gstreamer,
                               server, name, transport, reference, work)
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
