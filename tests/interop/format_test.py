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
import klv_clip

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
THEORA = ["-c:v", "libtheora", "-b:v", "1M", "-g", "25"]
# Of groups of blocks with start codes, and without.
H263 = ["-vf", "scale=352:288", "-c:v", "h263", "-ps", "500", "-b:v", "1M", "-g", "12"]
H263P = ["-c:v", "h263p", "-b:v", "1M", "-g", "12"]
DV = ["-vf", "scale=720:576", "-pix_fmt", "yuv420p", "-c:v", "dvvideo"]
J2K = ["-c:v", "jpeg2000", "-format", "j2k", "-tile_width", "128", "-tile_height", "128"]
H264 = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p"]

BY_HAND = ["sine"]  # there is no encoder


def amr(wideband):
    """Frames of every type of speech in turn; what they say is noise."""
    octets = [17, 23, 32, 36, 40, 46, 50, 58, 60] if wideband else [12, 13, 15, 17, 19, 20, 26, 31]
    frames = [bytes([kind << 3 | 4]) + bytes((i * 7 + kind) % 256 for i in range(octets[kind]))
              for kind in (number % len(octets) for number in range(SECONDS * 50))]
    return (b"#!AMR-WB\n" if wideband else b"#!AMR\n") + b"".join(frames)


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
    "mpeg1_mp2.mpg": (both(["-c:v", "mpeg1video", "-b:v", "1M", "-g", "12", "-bf", "2"],
                           ["-c:a", "mp2"]), {"v": "rtpmpvdepay", "a": "rtpmpadepay"}),
    "mpeg2_ac3.vob": (both(MPEG2, ["-c:a", "ac3"], 48000), {"v": "rtpmpvdepay",
                                                            "a": "rtpac3depay"}),
    "mpeg4_mp3.avi": (both(MP4V, MP3), {"v": "rtpmp4vdepay", "a": "rtpmpadepay"}),
    "xvid_ac3.avi": (both([*MP4V, "-vtag", "xvid"], ["-c:a", "ac3"], 48000),
                     {"v": "rtpmp4vdepay", "a": "rtpac3depay"}),
    "jpeg_pcm.avi": (both(JPEG, ["-c:a", "pcm_s16le"]), {"a": "rtpL16depay"}),
    "mpeg4_mp3.asf": (both(MP4V, MP3), {"v": "rtpmp4vdepay", "a": "rtpmpadepay"}),
    "raw.m4e": (video(*MP4V, "-f", "m4v"), {"v": "rtpmp4vdepay"}),
    "raw.m2v": (video(*MPEG2, "-f", "mpeg2video"), {"v": "rtpmpvdepay"}),
    "raw.mjpg": (video(*JPEG, "-f", "mjpeg"), {}),
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
    # GStreamer's depayloader pads each picture with zeros.
    "h263.3gp": (video(*H263), {}),
    "h263p.mov": (video(*H263P), {}),
    "h263_mp3.mkv": (both(H263, MP3), {"a": "rtpmpadepay"}),
    "theora_vorbis.ogv": (both(THEORA, ["-c:a", "libvorbis"]), {"v": "rtptheoradepay",
                                                                "a": "rtpvorbisdepay"}),
    "theora.mkv": (video(*THEORA), {"v": "rtptheoradepay"}),
    "dv.mov": (video(*DV), {"v": "rtpdvdepay"}),
    # As a tape has it, sound in its frames.
    "tape.dv": (both([*DV[:-2], "-ac", "2", "-ar", "48000"], []), {"v": "rtpdvdepay"}),
    "j2k.mov": (video(*J2K), {"v": "rtpj2kdepay"}),
    "j2k_420.mkv": (video(*J2K[:4], "-pix_fmt", "yuv420p"), {"v": "rtpj2kdepay"}),
    "aac.m4a": (audio("-c:a", "aac"), {"a": "rtpmp4gdepay"}),
    "latm.ts": (["-i", "@aac.m4a", "-c", "copy", "-mpegts_flags", "latm"], {"a": "rtpmp4adepay"}),
    "bare.loas": (["-i", "@aac.m4a", "-c", "copy", "-f", "latm"], {"a": "rtpmp4adepay"}),
    "linear.wav": (audio("-c:a", "pcm_s16le"), {"a": "rtpL16depay"}),
    "linear_24.wav": (audio("-c:a", "pcm_s24le", rate=48000), {"a": "rtpL24depay"}),
    "linear_8.wav": (audio("-c:a", "pcm_u8", rate=16000, layout="mono"),
                     {"a": "rtpL8depay"}),
    "linear.aiff": (audio("-c:a", "pcm_s16be", layout="mono"), {"a": "rtpL16depay"}),
    "mulaw.wav": (audio("-c:a", "pcm_mulaw", rate=8000, layout="mono"), {"a": "rtppcmudepay"}),
    "g722.wav": (audio("-c:a", "g722", rate=16000, layout="mono"), {"a": "rtpg722depay"}),
    "g722.mka": (audio("-c:a", "g722", rate=16000, layout="mono"), {"a": "rtpg722depay"}),
    **{f"g726_{rate}.wav": (audio("-c:a", "g726", "-b:a", f"{rate}k", rate=8000, layout="mono"), {})
       for rate in (16, 24, 32, 40)},
    "speex.ogg": (audio("-c:a", "libspeex", rate=16000, layout="mono"), {"a": "rtpspeexdepay"}),
    # Beside a picture that is compared elsewhere; what it must be is known without ffmpeg.
    "plain.ts": (video(*H264), {}),
    "klv.ts": (BY_HAND, {"d": "rtpklvdepay"}),
    "narrow.amr": (BY_HAND, {"a": "rtpamrdepay"}),
    "wide.awb": (BY_HAND, {"a": "rtpamrdepay"}),
    "alaw.au": (audio("-c:a", "pcm_alaw", rate=8000, layout="mono"), {"a": "rtppcmadepay"}),
}

# In these the frames are wrapped in what is not sent; they are those of another clip.
SAME_FRAMES = {"latm.ts": "aac.m4a", "bare.loas": "aac.m4a"}
# Heard again in units that stand alone (RFC 5219), which are no frames of the file. GStreamer's
# depayloader (1.22) takes the second byte of each descriptor for sound.
ROBUST = ["layer3.mp3", "layer3_mono_22050.mp3"]

# As they stand on the wire (RFC 3551 section 4.5: network byte order).
SWAPPED = {"linear.wav": "pcm_s16be", "jpeg_pcm.avi": "pcm_s16be", "linear_24.wav": "pcm_s24be"}
# Packed the other way in the file: what the words say is compared.
DECODED = {f"g726_{rate}.wav" for rate in (16, 24, 32, 40)}
# GStreamer's puts the header packets, which the SDP carries, in front.
HEADERS_FIRST = {"rtpvorbisdepay", "rtpspeexdepay", "rtptheoradepay", "rtpmp4adepay"}


# FFmpeg's depayloaders know nothing of L8 and JPEG 2000.
NOT_FOR_FFMPEG = {"linear_8.wav", "j2k.mov", "j2k_420.mkv"}


def media_of(name):
    """Of H.264, which has a test of its own, containers and players differ in the framing; of
    Motion JPEG, players make headers of their own; the sound of a tape is in its frames."""
    if name == "klv.ts":
        return []
    recipe = " ".join(FORMATS[SAME_FRAMES.get(name, name)][0])
    compared = PICTURE in recipe and "libx264" not in recipe and "mjpeg" not in recipe
    return [medium for medium, there in (("v", compared), ("a", "sine" in recipe
                                                           and not name.endswith(".dv"))) if there]


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
        if name in DECODED:
            codec = "pcm_s16le"
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
        element = {"v": "video", "a": "audio", "d": "application"}[medium]
        pipeline += (f" {depayloader} name={element} ! queue ! "
                     f"filesink sync=false async=false location={out}.{medium}")
    interop.tool(sys.executable, interop.gst_client.__file__, pipeline, "play=0",
                 f"end={PLAYED_WITHIN}", within=PLAYED_WITHIN + 30)
    for medium, depayloader in depayloaders.items():
        got, wanted = read(f"{out}.{medium}"), read(f"{reference}.{medium}")
        if depayloader in HEADERS_FIRST:
            got = got[-len(wanted):]
        expect_same_bytes(got, wanted, medium)


def samples(source, out):
    """What a player makes of the sound."""
    interop.tool("ffmpeg", "-nostdin", "-loglevel", "error", "-y", *source, "-map", "0:a", "-f",
                 "s16le", out, within=PLAYED_WITHIN)
    return read(out)


def hear_robust_with_ffmpeg(server, name, transport, reference, work):
    out = os.path.join(work, f"ffmpeg-robust-{transport}-{name}")
    url = server.url("formats/" + name + "?mpa-robust")
    expect_same_bytes(samples(["-rtsp_transport", transport, "-i", url], out),
                      samples(["-f", "mp3", "-i", reference + ".a"], out + "-reference"), "samples")


def main():
    millrace, folder = sys.argv[1], sys.argv[2]
    os.makedirs(folder, exist_ok=True)
    if not interop.have("ffmpeg"):
        return 0
    with_gstreamer = interop.gstreamer_plays()
    root = clips.make(folder, recipes={name: recipe for name, (recipe, _) in FORMATS.items()
                                       if recipe is not BY_HAND})
    klv, klv_items = klv_clip.put_into(read(os.path.join(root, "plain.ts")))
    for name in (name for name, (recipe, _) in FORMATS.items() if recipe is BY_HAND):
        with open(os.path.join(root, name), "wb") as file:
            file.write(klv if name == "klv.ts" else amr(name.endswith(".awb")))
    checks = interop.Checks(within=240)
    with tempfile.TemporaryDirectory(dir=folder) as work, interop.Server(
            millrace, "/formats=" + root) as server:
        for name, (_, depayloaders) in FORMATS.items():
            path = os.path.join(root, name)
            reference = os.path.join(work, "reference-" + name)
            compared = media_of(name)
            if name == "klv.ts":
                with open(reference + ".d", "wb") as file:
                    file.write(klv_items)
            if compared:
                source = os.path.join(root, SAME_FRAMES.get(name, name))
                interop.tool(*copy_to(reference, name, compared, ["-i", source]))
            for transport in ("udp", "tcp"):
                if compared and name not in NOT_FOR_FFMPEG:
                    checks.add(f"{name} over {transport} with ffmpeg", play_with_ffmpeg, server,
                               name, transport, reference, work)
                if "mjpeg" in FORMATS[name][0]:
                    checks.add(f"{name} over {transport} looked at with ffmpeg", look_with_ffmpeg,
                               server, name, transport, path, work)
                if name in ROBUST:
                    checks.add(f"{name} in ADUs over {transport} with ffmpeg",
                               hear_robust_with_ffmpeg, server, name, transport, reference, work)
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
