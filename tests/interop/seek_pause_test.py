#!/usr/bin/env python3
"""Seeking and pausing lose nothing, repeat nothing, and keep the viewer's timeline continuous.

    seek_pause_test.py PATH_OF_MILLRACE WORK_FOLDER

With ffmpeg and GStreamer, what arrives after a seek is the file from the key frame at or before the
point asked for; with a client that sees the packets, so are sequence numbers and timestamps.
"""
import os
import sys
import tempfile

sys.dont_write_bytecode = True  # leaves no cache in the source tree
import clips
import interop
from interop import expect, expect_same_list
from rtsp_client import (Client, aac_units, access_units, expect_continuous, nal_units,
                         ticks_between)

ENDS_WITHIN = 40
AT_ONCE = 16
# How far the first audio packet may lie from the key frame: a packet holds up to 100 ms.
AUDIO_SLACK = 0.11
STOPS_WITHIN = 0.5  # after the answer to PAUSE; more than the machine may be late


# Of the packets that had come over UDP when ffmpeg asked for the seek, it may hand on the last few.
LEFT_OVER_MAX = 8


def without_left_overs(got, wanted):
    """`got` from where it is the end of `wanted`, if what stands before is short."""
    same = 0
    while same < min(len(got), len(wanted)) and got[-1 - same] == wanted[-1 - same]:
        same += 1
    return got[-same:] if same and len(got) - same <= LEFT_OVER_MAX else got


def expect_tail(got, reference, key_frame):
    """Audio units that are the file's last ones, from about the key frame on."""
    first = len(reference.audio) - len(got)
    expect_same_list(got, reference.audio[max(first, 0):], "audio units")
    distance = reference.audio_times[first] - reference.video_times[key_frame]
    expect(abs(distance) < AUDIO_SLACK, f"audio starts {distance:.3f} s from the key frame")


# --- Players

def seek_with_ffmpeg(server, reference, transport, seconds, work):
    # ffmpeg asks for a little less where there are B-frames; that leads to the same key frame here.
    name = os.path.basename(reference.path)
    out = os.path.join(work, f"seek-{transport}-{seconds}-{name}")
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-threads", "1",
               "-noaccurate_seek", "-ss", str(seconds), "-rtsp_transport", transport,
               "-i", server.url(name),
               "-map", "0:v", "-fps_mode", "passthrough", "-f", "framehash", "-hash", "md5",
               out + ".frames"]
    if reference.has_audio:
        command += ["-map", "0:a", "-c", "copy", "-f", "framehash", "-hash", "md5", out + ".audio"]
    interop.tool(*command, within=ENDS_WITHIN)
    key_frame = reference.key_frame_at_or_before(seconds)
    frames = interop.framehash_hashes(out + ".frames")
    wanted = reference.frames_from(key_frame)
    if transport == "udp":
        frames = without_left_overs(frames, wanted)
    expect_same_list(frames, wanted, "pictures")
    if reference.has_audio:
        audio = interop.framehash_hashes(out + ".audio")
        if transport == "udp":
            audio = without_left_overs(audio, reference.audio)
        expect_tail(audio, reference, key_frame)


def use_gstreamer(server, reference, transport, work, *actions, seek=None):
    name = os.path.basename(reference.path)
    out = os.path.join(work, "-".join(["gst", transport, *actions, name]))
    interop.run_gstreamer(server.url(name), transport, reference, out, *actions,
                          within=ENDS_WITHIN + 30)
    units, audio = interop.gstreamer_received(reference, out)
    if seek is None:
        expect_same_list(units, reference.units, "NAL units")
        expect_same_list(audio, reference.audio, "audio units")
        return
    key_frame = reference.key_frame_at_or_before(seek)
    # The sink forgets at the flush of the seek what came before.
    expect_same_list(units, reference.units_from(key_frame), "NAL units")
    expect_tail(audio, reference, key_frame)


# --- Packets

def setup(client, name, transport):
    (client.set_up_tcp if transport == "tcp" else client.set_up_udp)(name)


def media_hashes(packets, codec):
    return interop.media_units(nal_units(packets, codec), codec)


def expect_times(reference, packets, stream, times, first=0):
    """Timestamps lie as the file's times do, to the tick."""
    rate = 90000 if stream == 0 else reference.audio_rate
    got = ([timestamp for timestamp, _ in access_units(packets)] if stream == 0
           else [timestamp for timestamp, _ in aac_units(packets)])
    wanted = times[first:]
    expect(len(got) == len(wanted),
           f"stream {stream}: {len(got)} times, the file has {len(wanted)}")
    for i, (ticks, time) in enumerate(zip(got, wanted)):
        off = ticks_between(ticks, got[0]) - (time - wanted[0]) * rate
        # Half a tick of either rounding; the file's times are given to a microsecond.
        expect(abs(off) <= 2 or stream == 1 and abs(off) <= 0.001 * rate,
               f"stream {stream}, unit {i}: {off:.1f} ticks off")


def pause_and_resume(server, reference, transport):
    name = os.path.basename(reference.path)
    with Client(server) as client:
        setup(client, name, transport)
        response = client.play(name, "npt=0-")
        first = {stream: seq for stream, (_, seq, _) in enumerate(response.rtp_info())}
        for seconds in (1.1, 0.05, 1.3):
            client.receive(seconds)
            paused = client.ask("PAUSE", name)
            expect(paused.status == 200, paused.text)
            client.receive(STOPS_WITHIN)
            counts = [len(client.rtp[stream]) for stream in (0, 1)]
            client.receive(0.4)
            expect(counts == [len(client.rtp[stream]) for stream in (0, 1)],
                   "packets come while paused")
            resumed = client.play(name)
            expect(abs(resumed.range()[0] - paused.range()[0]) < 0.01,
                   f"paused at {paused['Range']}, resumed at {resumed['Range']}")
            for stream, (_, seq, _) in enumerate(resumed.rtp_info()):
                expected = (client.rtp[stream][counts[stream] - 1].sequence + 1) % 65536
                expect(seq == expected, f"RTP-Info seq={seq} where {expected} is next")
        expect(client.receive(ENDS_WITHIN, until=lambda: client.said_goodbye(2)),
               "no BYE at the end")
        for stream in (0, 1):
            packets = client.rtp[stream]
            expect(packets[0].sequence == first[stream], "RTP-Info named another first packet")
            expect_continuous(packets)
        expect_same_list(media_hashes(client.rtp[0], reference.codec), reference.units, "NAL units")
        expect_same_list([interop.md5(unit) for _, unit in aac_units(client.rtp[1])],
                         reference.audio, "audio units")
        expect_times(reference, client.rtp[0], 0, reference.video_times)
        expect_times(reference, client.rtp[1], 1, reference.audio_times)


def check_stretch(reference, response, packets, key_frame, to_the_end):
    """The packets of one PLAY: content from the key frame on, and where their times lie."""
    (_, video_seq, video_base), (_, audio_seq, audio_base) = response.rtp_info()
    video, audio = packets
    expect((video[0].sequence, audio[0].sequence) == (video_seq, audio_seq),
           "RTP-Info named other packets")
    if to_the_end:
        expect_same_list(media_hashes(video, reference.codec), reference.units_from(key_frame),
                         "NAL units")
        expect_tail([interop.md5(unit) for _, unit in aac_units(audio)], reference, key_frame)
    start = response.range()[0]
    at = start + ticks_between(video[0].timestamp, video_base) / 90000
    expect(abs(at - reference.video_times[key_frame]) < 0.002,
           f"the first picture is at {at:.4f}, not {reference.video_times[key_frame]:.4f}")
    at = start + ticks_between(audio[0].timestamp, audio_base) / reference.audio_rate
    nearest = min(abs(at - time) for time in reference.audio_times)
    expect(nearest < 0.002, f"the first audio unit is at {at:.4f}, where the file has none")


def indices(client, sequences):
    """Of each stream's packet with its sequence number; None where it has not come."""
    return [next((i for i, packet in enumerate(client.rtp[stream]) if packet.sequence == sequence),
                 None) for stream, sequence in enumerate(sequences)]


def seek_about(server, reference, transport, pause_between):
    """Forward, back and forward again; the last stretch to the end of the file."""
    name = os.path.basename(reference.path)
    with Client(server) as client:
        setup(client, name, transport)
        response = client.play(name, "npt=0-")
        client.receive(0.7)
        for seconds in (3.4, 0.2, 2.1):
            if pause_between:
                expect(client.ask("PAUSE", name).status == 200, "PAUSE failed")
                client.receive(0.3)
            seen = [max((ticks_between(packet.timestamp, client.rtp[stream][0].timestamp)
                         for packet in client.rtp[stream])) for stream in (0, 1)]
            response = client.play(name, f"npt={seconds}-")
            sequences = [seq for _, seq, _ in response.rtp_info()]
            expect(client.receive(10, until=lambda: None not in indices(client, sequences)),
                   "nothing after the seek")
            begins = indices(client, sequences)
            for stream in (0, 1):
                after = ticks_between(client.rtp[stream][begins[stream]].timestamp,
                                      client.rtp[stream][0].timestamp)
                expect(after > seen[stream], f"stream {stream}: timestamps went back at the seek")
            key_frame = reference.key_frame_at_or_before(seconds)
            if seconds != 2.1:
                client.receive(0.6)
                check_stretch(reference, response,
                              [client.rtp[stream][begins[stream]:] for stream in (0, 1)], key_frame,
                              to_the_end=False)
        expect(client.receive(ENDS_WITHIN, until=lambda: client.said_goodbye(2)),
               "no BYE at the end")
        packets = [client.rtp[stream][begins[stream]:] for stream in (0, 1)]
        check_stretch(reference, response, packets, key_frame, to_the_end=True)
        for stream in (0, 1):
            expect_continuous(client.rtp[stream])


def main():
    millrace, folder = sys.argv[1], sys.argv[2]
    os.makedirs(folder, exist_ok=True)
    if not interop.have("ffmpeg", "ffprobe"):
        return 0
    with_gstreamer = interop.gstreamer_plays()
    root = clips.make(folder)
    checks = interop.Checks(within=180)
    with tempfile.TemporaryDirectory(dir=folder) as work, interop.Server(millrace, root) as server:
        references = {name: clips.Reference(os.path.join(root, name), work)
                      for name in clips.RECIPES if name != "long.mp4"}
        for transport in ("udp", "tcp"):
            for name, reference in references.items():
                for seconds in (3.5,) if name != "h264_aac.mp4" else (0.7, 2.0, 3.5, 4.97):
                    checks.add(f"{name} over {transport}: ffmpeg seeks to {seconds}",
                               seek_with_ffmpeg, server, reference, transport, seconds, work)
            for name in ("h264_aac.mp4", "h265_aac.mp4", "h264_aac.ts", "h264_aac.mkv"):
                reference = references[name]
                checks.add(f"{name} over {transport}: packets across PAUSE and PLAY",
                           pause_and_resume, server, reference, transport)
                for pause in (False, True):
                    checks.add(f"{name} over {transport}: packets across seeks"
                               f"{', paused before each' if pause else ''}",
                               seek_about, server, reference, transport, pause)
                if not with_gstreamer:
                    continue
                checks.add(f"{name} over {transport}: GStreamer pauses and plays on", use_gstreamer,
                           server, reference, transport, work, "play=1.2", "pause=1", "play=1",
                           f"end={ENDS_WITHIN}")
                checks.add(f"{name} over {transport}: GStreamer seeks while paused",
                           lambda *arguments: use_gstreamer(*arguments, seek=3.5),
                           server, reference, transport, work, "play=1", "pause=0.5", "seek=3.5",
                           "play=0.5", f"end={ENDS_WITHIN}")
        # Over UDP, GStreamer 1.22 waits for ever for its own timers when it seeks while playing.
        if with_gstreamer:
            checks.add("h264_aac.mp4 over tcp: GStreamer seeks while playing",
                       lambda *arguments: use_gstreamer(*arguments, seek=3.5),
                       server, references["h264_aac.mp4"], "tcp", work, "play=1", "seek=3.5",
                       f"end={ENDS_WITHIN}")
        failures = checks.run(AT_ONCE)
        status = server.stop()
        if status != 0:
            print(f"FAILED the server leaves with status 0: it was {status}")
    if failures or status != 0:
        print("the server's log:\n" + "\n".join(server.log_lines[-40:]))
    return 1 if failures or status != 0 else 0


if __name__ == "__main__":
    sys.exit(main())
