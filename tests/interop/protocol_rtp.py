"""Cases 128 and 138-155: RTP and RTCP as a receiver sees them."""
from interop import expect, expect_same_list, is_picture, md5, media_units, nal_type
from protocol_cases import case
from protocol_messages import sdp_of, value
from rtsp_client import (Client, aac_units, access_units, expect_continuous, nal_units,
                         ticks_between)

IP_AND_UDP_HEADERS = 28
ETHERNET_MTU = 1500
SR, SDES, BYE = 200, 202, 203


def played_to_the_end(world, path, set_up, streams=2):
    """A client that has received all of it."""
    client = Client(world.server)
    set_up(client, path, streams)
    client.answer = client.play(path)
    expect(client.receive(20, until=lambda: client.said_goodbye(streams)), "no BYE at the end")
    client.receive(0.3)
    return client


def check_packets(world, path, client, streams):
    _, _, media = sdp_of(client, path)
    ssrcs = set()
    for stream in range(streams):
        packets = client.rtp[stream]
        payload_type = int(value(media[stream], r"^m=\w+ 0 RTP/AVP (\d+)$"))
        seen = {(p.version, p.csrc_count, p.payload_type) for p in packets}
        expect(seen == {(2, 0, payload_type)}, f"version, CSRCs and payload type are {seen}")
        expect_continuous(packets)
        ssrcs.add(packets[0].ssrc)
        largest = max(packet.size for packet in packets)
        expect(largest + IP_AND_UDP_HEADERS <= ETHERNET_MTU, f"a packet of {largest} bytes")
    expect(len(ssrcs) == streams, "one SSRC for two streams")


@case("128, 138, 141, 146 packets over TCP and UDP, to the BYE")
def packets(world):
    for path, streams in (("clip.mp4", 2), ("raw.h264", 1)):
        for set_up in (Client.set_up_tcp, Client.set_up_udp):
            with played_to_the_end(world, path, set_up, streams) as client:
                check_packets(world, path, client, streams)
                for stream in range(streams):
                    goodbyes = [report for report in client.rtcp[stream] if report.kind == BYE]
                    expect(len(goodbyes) == 1, f"{len(goodbyes)} BYEs")
                    expect(client.rtp[stream][-1].at <= goodbyes[0].at, "media after the BYE")


@case("138 another file starts at other sequence numbers and timestamps")
def random_start(world):
    starts = []
    for path in ("clip.mp4", "name%20with%20spaces.mp4", "in.mp4", "a/b%20c/deep.mp4"):
        with Client(world.server) as client:
            client.set_up_tcp(path)
            starts += [(seq, rtptime) for _, seq, rtptime in client.play(path).rtp_info()]
    expect(len({seq for seq, _ in starts}) > 5 and len({time for _, time in starts}) > 5,
           f"{starts}")


def check_video(client, stream, codec, reference):
    """Marker, timestamps and payload structures; content is the file's."""
    units = access_units(client.rtp[stream])
    expect(len(units) == len(reference.frames), f"{len(units)} access units")
    first = units[0][0]
    for (timestamp, packets), time in zip(units, reference.video_times):
        markers = [packet.marker for packet in packets]
        expect(markers == [False] * (len(markers) - 1) + [True], f"markers {markers}")
        nals = nal_units(packets, codec)
        expect(sum(is_picture(nal, codec) for nal in nals) == 1, "not one picture in a timestamp")
        off = ticks_between(timestamp, first) - (time - reference.video_times[0]) * 90000
        expect(abs(off) <= 2, f"a timestamp {off:.1f} ticks off")
    expect_same_list(media_units(nal_units(client.rtp[stream], codec), codec), reference.units,
                     "NAL units")


@case("139, 140, 152 H.264: markers, timestamps, packetization mode 1")
def h264(world):
    with played_to_the_end(world, "clip.mp4", Client.set_up_udp) as client:
        check_video(client, 0, "h264", world.references["h264_aac.mp4"])
        kinds = {packet.payload[0] & 31 for packet in client.rtp[0]}
        expect(28 in kinds and kinds <= set(range(1, 24)) | {24, 28}, f"structures {kinds}")


@case("139, 140, 154 H.265: markers, timestamps, FU and AP")
def h265(world):
    with played_to_the_end(world, "h265.mp4", Client.set_up_udp) as client:
        check_video(client, 0, "h265", world.references["h265_aac.mp4"])
        kinds = {nal_type(packet.payload, "h265") for packet in client.rtp[0]}
        expect(49 in kinds and 50 not in kinds, f"structures {kinds}")


@case("139, 140, 155 AAC: whole units, markers, timestamps")
def aac(world):
    for path, clip in (("clip.mp4", "h264_aac.mp4"), ("h265.mp4", "h265_aac.mp4")):
        reference = world.references[clip]
        with played_to_the_end(world, path, Client.set_up_udp) as client:
            units = aac_units(client.rtp[1])
            expect_same_list([md5(unit) for _, unit in units], reference.audio, "audio units")
            for (timestamp, _), time in zip(units, reference.audio_times):
                off = ticks_between(timestamp, units[0][0]) - time * reference.audio_rate
                expect(abs(off) <= 2, f"a timestamp {off:.1f} ticks off")
            # RFC 3640 section 3.1: set where a packet ends with the end of an access unit.
            expect(all(packet.marker for packet in client.rtp[1]), "no marker")


@case("140 media comes in real time")
def real_time(world):
    with played_to_the_end(world, "clip.mp4", Client.set_up_udp) as client:
        for stream, rate in ((0, 90000), (1, 48000)):
            packets = client.rtp[stream]
            took = packets[-1].at - packets[0].at
            expect(4.5 < took < 5.5, f"stream {stream} took {took:.2f} s")
            first = packets[0]
            ahead = max(ticks_between(p.timestamp, first.timestamp) / rate - (p.at - first.at)
                        for p in packets)
            # B-frames: a picture is sent up to three frames before it is shown.
            expect(ahead < 0.4, f"stream {stream} is {ahead:.2f} s ahead of its time")


@case("142-145 sender reports: when, how, and what they count [slow]")
def reports(world):
    for set_up, exact in ((Client.set_up_tcp, True), (Client.set_up_udp, False)):
        with Client(world.server) as client:
            set_up(client, "long.mp4")
            answer = client.play("long.mp4")
            client.receive(14)
            client.ask("TEARDOWN", "long.mp4")
            client.receive(2, until=lambda: client.said_goodbye(2))
            names = {report.cname for stream in (0, 1) for report in client.rtcp[stream]
                     if report.kind == SDES}
            expect(len(names) == 1 and None not in names, f"CNAMEs {names}")
            npt_at = []
            for stream, rate in ((0, 90000), (1, 48000)):
                sent = client.rtp[stream]
                senders = [report for report in client.rtcp[stream] if report.kind == SR]
                expect(senders[0].at - sent[0].at < 5, "the first report is late")
                gaps = [b.at - a.at for a, b in zip(senders[:-1], senders[1:-1])]
                expect(2 <= len(senders) <= 9, f"{len(senders)} reports in 14 s, {gaps}")
                expect({report.ssrc for report in senders} == {sent[0].ssrc}, "SSRC")
                last = senders[-1]
                expect((last.packets, last.octets) == (
                    len(sent), sum(len(packet.payload) for packet in sent)),
                    f"says {last.packets} packets, {last.octets} octets; {len(sent)} came")
                base = answer.rtp_info()[stream][2]
                for a, b in zip(senders, senders[1:]):
                    off = ticks_between(b.rtp, a.rtp) / rate - (b.ntp - a.ntp)
                    expect(abs(off) < 0.001, f"NTP and RTP time drift {off * 1000:.2f} ms")
                for report in senders:
                    npt_at.append(report.ntp - ticks_between(report.rtp, base) / rate)
                if exact:
                    for report in senders:
                        before = sum(packet.at <= report.at for packet in sent)
                        expect(abs(before - report.packets) <= 80,
                               f"a report counts {report.packets} packets where {before} had come")
            expect(max(npt_at) - min(npt_at) < 0.01,
                   f"audio and video timelines {max(npt_at) - min(npt_at):.3f} s apart")
