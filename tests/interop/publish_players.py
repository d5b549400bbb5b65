"""Real publishers and real players: what a player gets is the file, from its joining on."""
import concurrent.futures
import os
import re
import subprocess
import threading
import time

import clips
import interop
from interop import expect, expect_run, media_units
from live_client import Reader, check_rtp_info
from publish_protocol import status_of
from rtsp_client import aac_units, access_units, expect_continuous, nal_units

PUBLISHED_WITHIN = 20
ENDS_WITHIN = 40
PICTURES_MIN = 60  # of 225; a player on a busy machine takes its time to start
# Pictures that may be missing at the end: over UDP the TEARDOWN may overtake the last packets, and
# GStreamer does not wait for what its queues hold.
TAIL_MAX = {("ffmpeg", "tcp"): 0, ("ffmpeg", "udp"): 5, ("GStreamer", "tcp"): 5,
            ("GStreamer", "udp"): 5}
# A BYE may overtake the last packet as well.
TAIL_MAX_OF_READER = {"tcp": 0, "udp": 1}
# ffmpeg keeps the last units that it was gathering for a packet to itself.
AUDIO_TAIL_MAX = 12


def ffmpeg_publisher(path, url, transport):
    return ["ffmpeg", "-nostdin", "-loglevel", "error", "-re", "-i", path, "-c", "copy", "-f",
            "rtsp", "-rtsp_transport", transport, url]


def gstreamer_publisher(path, url, transport):
    return ["gst-launch-1.0", "-q", "-e", "rtspclientsink", "name=sink", f"location={url}",
            f"protocols={transport}", "filesrc", f"location={path}", "!", "qtdemux", "name=file",
            "file.video_0", "!", "queue", "!", "h264parse", "!", "identity", "sync=true", "!",
            "sink.",
            "file.audio_0", "!", "queue", "!", "aacparse", "!", "identity", "sync=true", "!",
            "sink."]


# Of two payloaders it would take the one for LATM, which the players here are not made for.
ENVIRONMENT = {**os.environ, "GST_PLUGIN_FEATURE_RANK": "rtpmp4apay:NONE"}
PUBLISHERS = {"ffmpeg": ffmpeg_publisher, "GStreamer": gstreamer_publisher}


def gstreamer_publishes():
    """Whether there is an rtspclientsink; says so when not."""
    found = interop.have("gst-launch-1.0", "gst-inspect-1.0") and subprocess.run(
        ["gst-inspect-1.0", "--exists", "rtspclientsink"], check=False).returncode == 0
    if not found:
        print("SKIP publishing with GStreamer: there is no rtspclientsink (gstreamer1.0-rtsp)")
    return found


def play_with_ffmpeg(server, path, reference, transport, out, tail_max):
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-threads", "1",
               "-rtsp_transport", transport, "-i", server.url(path),
               "-map", "0:v", "-fps_mode", "passthrough", "-f", "framehash", "-hash", "md5",
               out + ".frames", "-map", "0:a", "-c", "copy", "-f", "framehash", "-hash", "md5",
               out + ".audio"]
    interop.tool(*command, within=ENDS_WITHIN)
    frames = interop.framehash_hashes(out + ".frames")
    starts = {len(reference.frames) - len(reference.frames_from(i))
              for i, key in enumerate(reference.video_keys) if key}
    expect_run(frames, reference.frames, "pictures", starts, tail_max)
    expect(len(frames) >= PICTURES_MIN, f"only {len(frames)} pictures")
    expect_audio(interop.framehash_hashes(out + ".audio"), reference, tail_max)


def expect_units(units, audio, reference, tail_max):
    expect_run(units, reference.units, "NAL units", reference.key_frame_starts(), tail_max)
    expect(len(units) >= PICTURES_MIN, f"only {len(units)} NAL units")
    expect_audio(audio, reference, tail_max)


def expect_audio(audio, reference, tail_max):
    expect_run(audio, reference.audio, "audio units", tail_max=AUDIO_TAIL_MAX + 2 * tail_max)


def play_with_gstreamer(server, path, reference, transport, out, tail_max):
    interop.run_gstreamer(server.url(path), transport, reference, out, "play=0",
                          f"end={ENDS_WITHIN}", within=ENDS_WITHIN + 20)
    units, audio = interop.gstreamer_received(reference, out)
    expect_units(units, audio, reference, tail_max)


def play_packets(server, path, reference, transport, _out, tail_max):
    with Reader(server) as reader:
        reader.join(path, transport)
        expect(reader.ends_within(ENDS_WITHIN), "no BYE after the publisher's end")
        check_rtp_info(reader)
        for stream in (0, 1):
            expect_continuous(reader.rtp[stream])
        order = re.findall(r"(?m)^m=(\w+)", reader.sdp)
        video, sound = (reader.rtp[order.index(media)] for media in ("video", "audio"))
        for _, packets in access_units(video)[:-1]:
            expect([packet.marker for packet in packets] == [False] * (len(packets) - 1) + [True],
                   "the marker is not on the last packet of the picture, or on others")
        codec = reference.codec
        units = media_units(nal_units(video, codec), codec)
        audio = [interop.md5(unit) for _, unit in aac_units(sound)]
        expect_units(units, audio, reference, tail_max)


PLAYERS = {"ffmpeg": play_with_ffmpeg, "GStreamer": play_with_gstreamer, "packets": play_packets}


def publish_and_play(server, publisher, publish_over, reference, players, work):
    """One publisher, and every player over both lower transports beside each other."""
    name = os.path.basename(reference.path).partition(".")[0]
    path = f"live/{publisher}-{publish_over}-{name}"
    command = PUBLISHERS[publisher](reference.path, server.url(path), publish_over)
    tail_max = TAIL_MAX[publisher, publish_over]
    log = os.path.join(work, f"{publisher}-{publish_over}-{name}-{server.port}.log")
    with open(log, "wb") as said, subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said,
                                                   stderr=said, env=ENVIRONMENT) as process:
        # GStreamer's 1.22 now and then forgets to send TEARDOWN, or to leave after it.
        end = threading.Timer(clips.LIVE_SECONDS + 6, process.kill)
        end.start()
        try:
            deadline = time.monotonic() + PUBLISHED_WITHIN
            while status_of(server, path) != 200:
                expect(process.poll() is None and time.monotonic() < deadline,
                       f"{publisher} does not publish: {tail_of(log)}")
                time.sleep(0.1)
            problems = play_all(server, path, reference, players, work, tail_max)
            if publisher == "ffmpeg":
                status = process.wait(ENDS_WITHIN)
                expect(status == 0, f"{publisher} left with {status}: {tail_of(log)}")
        finally:
            end.cancel()
            process.kill()
    expect(not problems, "; ".join(problems))


def play_all(server, path, reference, players, work, tail_max):
    """What went wrong, one line per player."""
    problems = []

    def play(player, transport):
        out = os.path.join(work, f"{player}-{transport}-{path.replace('/', '-')}-{server.port}")
        try:
            PLAYERS[player](server, path, reference, transport, out,
                            tail_max + TAIL_MAX_OF_READER[transport])
        except (AssertionError, OSError) as error:
            problems.append(f"{player} over {transport}: {error}")

    with concurrent.futures.ThreadPoolExecutor(2 * len(players)) as pool:
        for player in players:
            for transport in ("udp", "tcp"):
                pool.submit(play, player, transport)
    return problems


def tail_of(log):
    with open(log, errors="replace") as said:
        return " | ".join(said.read().strip().splitlines()[-4:])
