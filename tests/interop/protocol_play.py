"""Cases 76-100: PLAY, PAUSE and ranges."""
import time

import clips
from interop import expect
from protocol_cases import case
from protocol_messages import expect_status, expect_usable, sdp_of, value
from rtsp_client import Client, aac_units, access_units, expect_continuous, ticks_between

CLIP = "clip.mp4"
LONG = "long.mp4"
TCP = "RTP/AVP/TCP;unicast;interleaved={}"
A_WHILE = 0.7


def media_times(client, response, stream, rate, begin=0):
    """npt of the stream's units since that PLAY, in the order they came."""
    base = response.rtp_info()[stream][2]
    start = response.range()[0]
    packets = client.rtp[stream][begin:]
    ticks = ([timestamp for timestamp, _ in access_units(packets)] if stream == 0
             else [timestamp for timestamp, _ in aac_units(packets)])
    return [start + ticks_between(tick, base) / rate for tick in ticks]


def end_of(client):
    """As the SDP of CLIP says it."""
    return float(value(sdp_of(client, CLIP)[1], r"^a=range:npt=0-([\d.]+)$"))


def expect_silence(client, seconds=A_WHILE):
    counts = {stream: len(packets) for stream, packets in client.rtp.items()}
    client.receive(seconds)
    expect(counts == {stream: len(packets) for stream, packets in client.rtp.items()},
           "media comes")


@case("76, 77, 81 PLAY without a range starts at 0 and says where its first packets are")
def play(world):
    with Client(world.server) as client:
        client.set_up_tcp(CLIP)
        response = client.play(CLIP)
        start, end = response.range()
        expect(start == 0 and abs(end - end_of(client)) < 0.002, response["Range"])
        expect(response.session() == client.session, "no Session")
        info = response.rtp_info()
        expect([url for url, _, _ in info] == [client.url(f"{CLIP}/trackID={i}") for i in (1, 2)],
               response["RTP-Info"])
        expect(client.receive(5, until=lambda: client.rtp[0] and client.rtp[1]), "no media")
        for stream in (0, 1):
            expect(client.rtp[stream][0].sequence == info[stream][1], "another first packet")
        # The audio starts before the video, by its encoder's delay.
        expect(abs(media_times(client, response, 0, 90000)[0] - 1024 / 48000) < 1e-4, "video start")
        expect(abs(media_times(client, response, 1, 48000)[0]) < 1e-4, "audio start")


@case("80 a seek starts at a key frame at or before the point")
def seek(world):
    reference = world.references["h264_aac.mp4"]
    for asked in ("npt=3.5-", "npt=0:00:03.5-", "npt=3.50-4.9", "npt=3.5-;time=20300101T000000Z"):
        with Client(world.server) as client:
            client.set_up_tcp(CLIP)
            response = client.play(CLIP, asked)
            start, end = response.range()
            key = reference.video_times[reference.key_frame_at_or_before(3.5)]
            expect(abs(start - key) < 0.002,
                   f"{asked}: {response['Range']}, the key frame is at {key}")
            wanted = 4.9 if "4.9" in asked else end_of(client)
            expect(abs(end - wanted) < 0.002, f"{asked}: {response['Range']}, the end is {wanted}")
            client.receive(0.3)
            got = media_times(client, response, 0, 90000)[0]
            expect(abs(got - key) < 0.002, f"{asked}: the first picture is at {got}")


@case("82, 83 a closed range ends in silence, and PLAY goes on from there")
def closed_range(world):
    reference = world.references["h264_aac.mp4"]
    with Client(world.server) as client:
        client.set_up_tcp(CLIP)
        response = client.play(CLIP, "npt=2-3")
        client.receive(2.2)
        expect_silence(client)
        video = media_times(client, response, 0, 90000)
        audio = media_times(client, response, 1, 48000)
        expect(max(video) < 3 and max(audio) < 3, f"media up to {max(video):.3f}, {max(audio):.3f}")
        expect(max(video) > 2.8 and max(audio) > 2.8, f"ends at {max(video):.3f}, {max(audio):.3f}")
        expect(not any(report.kind == 203 for report in client.rtcp[0]),
               "BYE at the end of a range")
        begins = [len(client.rtp[stream]) for stream in (0, 1)]
        response = client.play(CLIP)
        expect(abs(response.range()[0] - 3) < 0.002, response["Range"])
        expect(client.receive(10, until=lambda: client.said_goodbye(2)), "no BYE at the end")
        again = media_times(client, response, 0, 90000, begins[0])
        start = reference.video_times[reference.key_frame_at_or_before(2)]
        wanted = [time for time in reference.video_times if time >= start]
        # With B-frames the range ends between pictures that are coded in another order.
        expect(len(video) + len(again) == len(wanted) and all(
            abs(got - time) < 0.002 for got, time in zip(sorted(video + again), sorted(wanted))),
               f"{len(video)} + {len(again)} pictures, the file has {len(wanted)}")
        expect(min(again) >= 3, f"goes on at {min(again)}")
        for stream in (0, 1):
            expect_continuous(client.rtp[stream])


@case("84-87, 97 ranges, scales and speeds that cannot be")
def bad_ranges(world):
    with Client(world.server) as client:
        client.set_up_tcp(CLIP)
        for name, text, statuses in (
                ("Range", "npt=99-", {457}), ("Range", "npt=10-5", {400, 457}),
                ("Range", "npt=4-2", {400, 457}), ("Range", "npt=abc", {400, 457}),
                ("Range", "npt=-", {400, 457}), ("Range", "npt=nan-", {400, 457}),
                ("Range", "npt=-5--1", {400, 457}), ("Range", "npt=1e30-", {400, 457}),
                ("Range", "npt=99999999999999999999-", {400, 457}),
                ("Range", "bytes=0-100", {400, 456, 501}), ("Range", "nonsense", {400, 457}),
                ("Range", "smpte=10:07:00-", {400, 456, 501}),
                ("Range", "clock=19961108T142300Z-", {456, 457, 501}),
                ("Scale", "0", {400, 456}), ("Scale", "nan", {400, 456}),
                ("Speed", "0", {400, 456}), ("Speed", "x", {400, 456})):
            response = client.ask("PLAY", CLIP, {name: text})
            expect(response.status in statuses, f"{name}: {text}: {response.status}")
        expect(not client.rtp, "media for a refused PLAY")
        client.play(CLIP, "npt=1-")
        expect(client.receive(5, until=lambda: client.rtp[0]), "no media after all that")


@case("96 at twice the speed key frames come in half the time, and no sound")
def scale(world):
    with Client(world.server) as client:
        client.set_up_tcp(LONG)
        response = client.play(LONG, headers={"Scale": "2"})
        expect(float(response["Scale"]) == 2, f"Scale {response['Scale']}")
        client.receive(4)
        expect(not client.rtp[1], "sound")
        shown = sorted(set(media_times(client, response, 0, 90000)))
        apart = clips.KEY_FRAME_EVERY / clips.RATE / 2
        wanted = [shown[0] + apart * i for i in range(len(shown))]
        expect(len(shown) >= 4 and all(abs(a - b) < 0.002 for a, b in zip(shown, wanted)),
               f"shown at {shown}")


@case("97 the speed really used is said, and bounded")
def speed(world):
    with Client(world.server) as client:
        client.set_up_tcp(LONG)
        response = client.play(LONG, headers={"Speed": "1000000"})
        expect(float(response["Speed"]) == 4, f"Speed {response['Speed']}")
        client.receive(2)
        last = media_times(client, response, 1, 48000)[-1]
        expect(4 < last < 9.5, f"{last:.2f} s of media in two seconds")


@case("89 PLAY while playing changes nothing")
def play_again(world):
    with Client(world.server) as client:
        client.set_up_tcp(CLIP)
        client.play(CLIP)
        for _ in range(3):
            client.receive(0.5)
            client.play(CLIP)
        expect(client.receive(10, until=lambda: client.said_goodbye(2)), "no BYE at the end")
        expect_continuous(client.rtp[0])
        expect(len(access_units(client.rtp[0])) == len(world.references["h264_aac.mp4"].frames),
               f"{len(access_units(client.rtp[0]))} pictures")


@case("90 pipelined PLAYs are answered in order, and the last one holds")
def pipelined_plays(world):
    with Client(world.server) as client:
        client.set_up_tcp(LONG)
        client.sock.sendall(b"".join(
            client.format("PLAY", LONG, {"Session": client.session, "Range": f"npt={start}-"})
            for start in (10, 20, 30)))
        responses = [client.response() for _ in range(3)]
        expect([response.status for response in responses] == [200] * 3, "not 200")
        expect([response["CSeq"] for response in responses] == ["3", "4", "5"], "order")
        start = responses[2].range()[0]
        expect(28 < start <= 30.03, responses[2]["Range"])
        client.receive(1)
        last = media_times(client, responses[2], 0, 90000)[-1]
        expect(start < last < start + 2.5, f"plays at {last}")


@case("91, 93 PAUSE stops at once, over TCP and UDP, and may be repeated")
def pause(world):
    for set_up in (Client.set_up_tcp, Client.set_up_udp):
        with Client(world.server) as client:
            set_up(client, CLIP)
            expect_status(client.ask("PAUSE", CLIP), 200, 455)
            client.play(CLIP)
            client.receive(A_WHILE)
            expect_status(client.ask("PAUSE", CLIP), 200)
            client.receive(0.5)
            expect_silence(client)
            expect_status(client.ask("PAUSE", CLIP), 200, 455)


@case("92, 98 resumed where it stood, audio and video in the same place")
def resume(world):
    with Client(world.server) as client:
        client.set_up_tcp(CLIP)
        first = client.play(CLIP)
        client.receive(1)
        paused = client.ask("PAUSE", CLIP).range()[0]
        expect(0.8 < paused < 1.6, f"paused at {paused}")
        client.receive(0.5)
        counts = [len(client.rtp[stream]) for stream in (0, 1)]
        resumed = client.play(CLIP)
        expect(client.receive(10, until=lambda: client.said_goodbye(2)), "no BYE at the end")
        for stream, rate in ((0, 90000), (1, 48000)):
            expect_continuous(client.rtp[stream])
            # The timeline of the first PLAY still holds.
            by_first = media_times(client, first, stream, rate, counts[stream])
            by_second = media_times(client, resumed, stream, rate, counts[stream])
            expect(abs(by_first[0] - by_second[0]) < 0.002, f"{by_first[0]} or {by_second[0]}")


@case("94 single tracks of an aggregate are not played or paused alone")
def one_track(world):
    with Client(world.server) as client:
        client.set_up_tcp(CLIP)
        expect_status(client.ask("PLAY", f"{CLIP}/trackID=1"), 200, 460)
        client.play(CLIP)
        client.receive(0.5)
        response = client.ask("PAUSE", f"{CLIP}/trackID=1")
        expect_status(response, 200, 460)
        count = len(client.rtp[1])
        expect(client.receive(5, until=lambda: len(client.rtp[1]) > count),
               "the other track stopped")


@case("94 a session of one track is played by its own URL")
def only_track(world):
    with Client(world.server) as client:
        expect_status(client.set_up(CLIP, 1, TCP.format("0-1")), 200)
        client.play(f"{CLIP}/trackID=2")
        expect(client.receive(5, until=lambda: client.rtp[0]), "no media")
        expect_status(client.ask("PAUSE", f"{CLIP}/trackID=2"), 200)


@case("95 PAUSE at a point to come stops there, at an impossible one is 457")
def pause_at(world):
    with Client(world.server) as client:
        client.set_up_tcp(CLIP)
        response = client.play(CLIP)
        client.receive(0.5)
        expect_status(client.ask("PAUSE", CLIP, {"Range": "npt=99-"}), 457)
        expect_status(client.ask("PAUSE", CLIP, {"Range": "npt=0-"}), 457)
        expect_status(client.ask("PAUSE", CLIP, {"Range": "npt=1.5-"}), 200)
        client.receive(1.6)
        expect_silence(client)
        last = max(media_times(client, response, 0, 90000))
        expect(1.3 < last < 1.5, f"stopped at {last}")
        resumed = client.play(CLIP)
        expect(abs(resumed.range()[0] - 1.5) < 0.05, resumed["Range"])


@case("98 an end and PLAY again: from the beginning")
def replay(world):
    with Client(world.server) as client:
        client.set_up_tcp(CLIP)
        client.play(CLIP, "npt=4.5-")
        expect(client.receive(10, until=lambda: client.said_goodbye(2)), "no BYE at the end")
        client.drop_media()
        response = client.play(CLIP)
        expect(response.range()[0] == 0, response["Range"])
        expect(client.receive(5, until=lambda: len(client.rtp[0]) > 30 and client.rtp[1]),
               "no media")
        expect(client.rtp[0][0].sequence == response.rtp_info()[0][1], "RTP-Info")
        expect_continuous(client.rtp[0])


@case("99, 100 every method in every state")
def state_walk(world):
    allowed = {
        "none": {"OPTIONS": {200}, "DESCRIBE": {200}, "GET_PARAMETER": {200},
                 "SET_PARAMETER": {200},
                 "PLAY": {454, 455}, "PAUSE": {454, 455}, "TEARDOWN": {454}, "RECORD": {405, 455},
                 "ANNOUNCE": {405, 455}, "REDIRECT": {405, 455, 501}},
        "ready": {"OPTIONS": {200}, "DESCRIBE": {200}, "GET_PARAMETER": {200},
                  "SET_PARAMETER": {200}, "PAUSE": {200, 455}, "RECORD": {405, 455},
                  "ANNOUNCE": {405, 455}, "REDIRECT": {405, 455, 501}},
    }
    allowed["playing"] = {**allowed["ready"], "PLAY": {200}, "PAUSE": {200}}
    with Client(world.server) as client:
        for state in ("none", "ready", "playing"):
            if state == "ready":
                client.set_up_tcp(CLIP)
            for method, statuses in allowed[state].items():
                if state == "playing":
                    client.play(CLIP)
                response = client.ask(method, CLIP)
                expect(response.status in statuses, f"{method} in {state}: {response.status}")
                if response.status in (405, 455):
                    expect(response["Allow"], f"{method} in {state}: no Allow")
            expect_usable(client)
        expect_status(client.ask("TEARDOWN", CLIP), 200)
        expect_status(client.ask("PLAY", CLIP), 454)


@case("131 GET_PARAMETER is answered during an interleaved stream")
def ping_while_playing(world):
    with Client(world.server) as client:
        client.set_up_tcp(CLIP)
        client.play(CLIP)
        took = []
        for _ in range(20):
            client.receive(0.1)
            begin = time.monotonic()
            expect_status(client.ask("GET_PARAMETER", CLIP), 200)
            took.append(time.monotonic() - begin)
        expect(sorted(took)[10] < 0.5, f"half of the answers took over {sorted(took)[10]:.2f} s")


@case("129 RTCP is on the channel behind its RTP")
def rtcp_channel(world):
    with Client(world.server) as client:
        client.set_up_tcp(CLIP)
        client.play(CLIP)
        expect(client.receive(6, until=lambda: client.rtcp[0] and client.rtcp[1]
                              and client.rtp[0] and client.rtp[1]), "no reports")
        for stream in (0, 1):
            expect(client.rtcp[stream][0].ssrc == client.rtp[stream][0].ssrc, "another SSRC")
