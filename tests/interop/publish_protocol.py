"""Cases 161-165: publishing, as a publisher and its readers see it packet by packet."""
import contextlib
import re
import time

from interop import Server, expect, expect_same_list, md5
from live_client import (H264_SETS, SPROP, Broadcast, Publisher, Reader, Source, check_rtp_info,
                         check_run, sdp, where)
from protocol_cases import case
from rtsp_client import Client, expect_continuous, nal_units, ticks_between

AT_ONCE = 1.5  # seconds; what is immediate, on a machine that has much else to do
PUBLISHER_SILENT_AFTER = 10
SR_LINE_TOLERANCE = 0.002
REPORT_WITHIN = 10
TAIL_MAX = {"tcp": 0, "udp": 8}  # packets that TEARDOWN may overtake
DATAGRAM_MAX = 1500 - 28


class World:
    """A backend's server with the default rules, and the means to start others."""

    def __init__(self, millrace, backend, root):
        self.millrace, self.backend, self.root = millrace, backend, root
        self.server = self.start()

    def start(self, *options):
        return Server(self.millrace, self.root, "--shards", "2", *options, backend=self.backend)


def status_of(server, path):
    with Client(server) as client:
        return client.ask("DESCRIBE", path, {"Accept": "application/sdp"}).status


def expect_gone(server, path, within=AT_ONCE):
    deadline = time.monotonic() + within
    while (status := status_of(server, path)) != 404:
        expect(time.monotonic() < deadline, f"{path} still answers {status} after {within} s")
        time.sleep(0.05)


@contextlib.contextmanager
def readers_of(server, path):
    """One over TCP and one over UDP, playing."""
    with Reader(server) as tcp, Reader(server) as udp:
        yield tcp.join(path, "tcp"), udp.join(path, "udp")


def receive_all(readers, seconds):
    """What waits for one while the other is served is kept by the kernel."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for reader in readers:
            reader.receive(0.05)


def check_join(reader, sent):
    """It began with the newest key frame of the time, and with the audio that goes with it."""
    check_rtp_info(reader, sent)
    start = where(reader.rtp[0][:1], sent[0])[0]
    key = sent[0][start]
    expect(key.key, f"the first packet is published packet {start}, not a key frame's first")
    newer = [packet for packet in sent[0][start + 1:]
             if packet.key and packet.at < reader.joined_at - 0.2]
    expect(not newer, "there was a newer key frame at the time")
    if len(sent) > 1:
        audio = sent[1][where(reader.rtp[1][:1], sent[1])[0]]
        expect(abs(audio.at - key.at) < 0.3,
               f"audio begins {audio.at - key.at:.3f} s from the key frame")


# --- 161: what is published is what is played

def same_bytes(world, transport):
    path = f"live/same-{transport}"
    with Broadcast(world.server, path, transport) as broadcast:
        time.sleep(1.3)
        with readers_of(world.server, path) as readers:
            receive_all(readers, 2.5)
            broadcast.stop()
            for reader in readers:
                expect(reader.ends_within(5), "no BYE after the publisher's TEARDOWN")
                check_join(reader, broadcast.sent)
                for stream in (0, 1):
                    check_run(reader.rtp[stream], broadcast.sent[stream], TAIL_MAX[transport])
                    expect(len(reader.rtp[stream]) > 100, f"{len(reader.rtp[stream])} packets")
    expect_gone(world.server, path)


@case("161 published over TCP, the same bytes come over TCP and UDP")
def same_bytes_tcp(world):
    same_bytes(world, "tcp")


@case("161 published over UDP, the same bytes come over TCP and UDP")
def same_bytes_udp(world):
    same_bytes(world, "udp")


@case("161 ANNOUNCE, SETUP mode=record and RECORD answer as they should")
def answers(world):
    path = "live/answers"
    with Publisher(world.server) as publisher:
        response = publisher.publish(path, sdp(), 2, "udp")
        expect(response.session() == publisher.session, "RECORD answered for another session")
    with Publisher(world.server) as publisher:
        expect(publisher.announce(path + "-2", sdp()).status == 200, "ANNOUNCE was refused")
        setup = publisher.set_up_record(path + "-2", 0, "tcp")
        expect(setup.transport("interleaved") == "0-1", setup.text)
        expect((setup.transport("mode") or "").strip('"').lower() == "record", setup.text)
        response = publisher.ask("OPTIONS", "*", session=False)
        for method in ("ANNOUNCE", "RECORD"):
            expect(method in response["Public"], f"{method} is not among {response['Public']}")


@case("161 reordered UDP ingest comes out in order")
def reordered(world):
    path = "live/reordered"

    def swap(packets):
        return [packet for i in range(0, len(packets), 2) for packet in reversed(packets[i:i + 2])]

    with Broadcast(world.server, path, "udp", meddle=swap) as broadcast:
        time.sleep(1.1)
        with readers_of(world.server, path) as readers:
            receive_all(readers, 2)
            broadcast.stop()
            for reader in readers:
                expect(reader.ends_within(5), "no BYE after the publisher's TEARDOWN")
                for stream in (0, 1):
                    check_run(reader.rtp[stream], broadcast.sent[stream], TAIL_MAX["udp"])


@case("161 packets larger than a datagram are packed anew for the readers")
def oversize(world):
    path = "live/oversize"
    with Broadcast(world.server, path, source=Source(("h264",), unit_bytes=5000)) as broadcast:
        time.sleep(0.5)
        with readers_of(world.server, path) as readers:
            receive_all(readers, 2)
            broadcast.stop()
            for reader in readers:
                expect(reader.ends_within(5), "no BYE after the publisher's TEARDOWN")
                check_rtp_info(reader)
                packets = reader.rtp[0]
                expect_continuous(packets)
                largest = max(packet.size for packet in packets)
                expect(largest <= DATAGRAM_MAX, f"a packet of {largest} bytes")
                for before, after in zip(packets, packets[1:]):
                    expect(before.marker == (before.timestamp != after.timestamp),
                           "the marker is not on the last packet of the frame")
                units = [md5(unit) for unit in nal_units(packets, "h264")]
                sent = [md5(packet.payload) for packet in broadcast.sent[0]]
                start = sent.index(units[0])
                expect(broadcast.sent[0][start].key, "the first is no key frame")
                expect_same_list(units, sent[start:], "NAL units")


@case("161 what nobody here understands passes through")
def unknown_codecs(world):
    path = "live/unknown"
    kinds = ("data", "opus", "pcmu")
    with Broadcast(world.server, path, source=Source(kinds)) as broadcast:
        time.sleep(0.5)
        with readers_of(world.server, path) as readers:
            receive_all(readers, 1.5)
            broadcast.stop()
            for reader in readers:
                expect(reader.ends_within(5), "no BYE after the publisher's TEARDOWN")
                for line in (r"m=application \d+ RTP/AVP 107", r"m=audio \d+ RTP/AVP 111",
                             r"m=audio \d+ RTP/AVP 0", "a=rtpmap:107 smpte336m/90000",
                             "a=rtpmap:111 opus/48000/2", "a=fmtp:111 sprop-stereo=1"):
                    expect(re.search(f"(?m)^{line}\r?$", reader.sdp),
                           f"the description has no line {line}")
                for stream in range(len(kinds)):
                    check_run(reader.rtp[stream], broadcast.sent[stream])


@case("161 parameter sets that only the stream has get into the description")
def parameter_sets(world):
    path = "live/sets"
    description = sdp(("h264",), leave_out="sprop")
    source = Source(("h264",), sets=True)
    with Broadcast(world.server, path, source=source, description=description) as broadcast:
        time.sleep(1.2)
        with readers_of(world.server, path) as readers:
            receive_all(readers, 1.2)
            broadcast.stop()
            for reader in readers:
                expect(f"sprop-parameter-sets={SPROP}" in reader.sdp, reader.sdp)
                expect(reader.ends_within(5), "no BYE after the publisher's TEARDOWN")
                check_rtp_info(reader)
                payloads = [packet.payload for packet in reader.rtp[0][:3]]
                expect(payloads[:2] == H264_SETS, "it does not begin with the parameter sets")
                expect_continuous(reader.rtp[0])


# --- 162: what is wrong is refused and leaves nothing behind

BROKEN = {
    "nothing at all": b"",
    "no SDP": b"hello\r\n",
    "no media": b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\n",
    "no payload type": sdp().replace(b"RTP/AVP 96", b"RTP/AVP"),
    "a payload type of words": sdp().replace(b"RTP/AVP 96", b"RTP/AVP video"),
    "a payload type of 300": sdp().replace(b"RTP/AVP 96", b"RTP/AVP 300"),
    "half of it": sdp()[:20],
    "noise": bytes(range(256)) * 4,
}


@case("162 a wrong or missing content type or a broken description leaves no path behind")
def refused(world):
    cases = [("text/plain", sdp(), {415}, "another type"), (None, sdp(), {400}, "no type")]
    cases += [("application/sdp", body, {400}, what) for what, body in BROKEN.items()]
    wrong = []
    for number, (content_type, body, statuses, what) in enumerate(cases):
        path = f"live/refused-{number}"
        with Publisher(world.server) as publisher:
            status = publisher.announce(path, body, content_type).status
            if status not in statuses:
                wrong.append(f"{what}: {status}")
            if publisher.ask("DESCRIBE", path).status != 404:
                wrong.append(f"{what}: a path is left behind")
            if publisher.announce(path, sdp()).status != 200:
                wrong.append(f"{what}: the right one is then refused")
    expect(not wrong, "; ".join(wrong))


@case("9, 162 ANNOUNCE outside of the prefix is not allowed")
def prefix(world):
    for path in ("elsewhere/a", "livestream/a", "a", "live/../a", "live/%2e%2e/a", "live//a",
                 "LIVE/a"):
        with Publisher(world.server) as publisher:
            response = publisher.announce(path, sdp())
            expect(response.status == 405, f"{path}: {response.status}")
            expect("ANNOUNCE" not in response["Allow"], f"{path}: Allow: {response['Allow']}")
    with world.start("--publish", "/cameras") as server:
        for path, wanted in (("cameras/1", 200), ("cameras/a/b", 200), ("live/a", 405)):
            with Publisher(server) as publisher:
                status = publisher.announce(path, sdp()).status
                expect(status == wanted, f"--publish /cameras, {path}: {status}")
    with world.start("--publish", "any") as server, Publisher(server) as publisher:
        status = publisher.announce("anywhere/a", sdp()).status
        expect(status == 200, f"--publish any: {status}")


@case("162 with publishing off ANNOUNCE is not allowed")
def publish_off(world):
    with world.start("--publish", "off") as server, Publisher(server) as publisher:
        response = publisher.announce("live/a", sdp())
        expect(response.status == 405, response.text)
        expect("ANNOUNCE" not in (response["Allow"] or "ANNOUNCE"), f"Allow: {response['Allow']}")
        public = publisher.ask("OPTIONS", "*")["Public"]
        expect("ANNOUNCE" not in public, f"Public: {public}")


# --- 163: a busy path

@case("163 a second publisher is refused and the first one's readers notice nothing")
def busy(world):
    path = "live/busy"
    with Broadcast(world.server, path) as broadcast:
        time.sleep(0.5)
        with readers_of(world.server, path) as readers:
            receive_all(readers, 0.7)
            for _ in range(3):
                with Publisher(world.server) as second:
                    status = second.announce(path, sdp()).status
                    expect(400 <= status < 500 or status == 503, f"ANNOUNCE answered {status}")
            receive_all(readers, 1)
            broadcast.stop()
            for reader in readers:
                expect(reader.ends_within(5), "no BYE after the publisher's TEARDOWN")
                for stream in (0, 1):
                    check_run(reader.rtp[stream], broadcast.sent[stream])


# --- 164: states

@case("164 RECORD before all media are set up, and PLAY where RECORD belongs")
def wrong_state(world):
    path = "live/state"
    with Publisher(world.server) as publisher:
        publisher.to_ports = {}
        expect(publisher.announce(path, sdp()).status == 200, "ANNOUNCE was refused")
        expect(publisher.set_up_record(path, 0, "tcp").status == 200, "SETUP was refused")
        status = publisher.ask("RECORD", path).status
        expect(status == 455, f"RECORD with one of two set up: {status}")
        expect(publisher.set_up_record(path, 1, "tcp").status == 200, "SETUP was refused then")
        status = publisher.ask("PLAY", path).status
        expect(status == 455, f"PLAY instead of RECORD: {status}")
        expect(publisher.ask("RECORD", path).status == 200, "RECORD was refused then")
        status = publisher.ask("PLAY", path).status
        expect(status == 455, f"PLAY while recording: {status}")
        expect(publisher.ask("TEARDOWN", path).status == 200, "TEARDOWN was refused")
        expect_gone(world.server, path)


# --- 165: the publisher goes

@case("165 a killed publisher frees its path at once and ends its readers")
def killed(world):
    for transport in ("tcp", "udp"):
        path = f"live/killed-{transport}"
        with Broadcast(world.server, path, transport) as broadcast:
            time.sleep(0.3)
            with readers_of(world.server, path) as readers:
                receive_all(readers, 0.5)
                broadcast.cut()
                expect_gone(world.server, path)
                for reader in readers:
                    expect(reader.ends_within(AT_ONCE), "the reader was told nothing")


def silent(world, transport):
    path = f"live/silent-{transport}"
    with Broadcast(world.server, path, transport) as broadcast:
        time.sleep(0.5)
        with readers_of(world.server, path) as readers:
            receive_all(readers, 0.5)
            broadcast.fall_silent()
            since = broadcast.ended_at
            for reader in readers:
                expect(reader.ends_within(PUBLISHER_SILENT_AFTER + 4), "it was told nothing")
            took = time.monotonic() - since
            expect_gone(world.server, path)
            expect(PUBLISHER_SILENT_AFTER - 1 < took < PUBLISHER_SILENT_AFTER + 3,
                   f"the end came after {took:.1f} s")


@case("165 slow: a publisher silent over TCP for 10 s is given up")
def silent_tcp(world):
    silent(world, "tcp")


@case("165 slow: a publisher silent over UDP for 10 s is given up")
def silent_udp(world):
    silent(world, "udp")


def check_seam(reader, first, second):
    """First one Source, then another from a key frame on, and numbers and times that go on."""
    for stream in (0, 1):
        packets = reader.rtp[stream]
        ours = {packet.payload for packet in first.sent[stream]}
        seam = next((i for i, packet in enumerate(packets) if packet.payload not in ours), None)
        expect(seam, f"stream {stream}: nothing of the second publisher came")
        check_run(packets[:seam], first.sent[stream], tail_max=len(first.sent[stream]))
        start = check_run(packets[seam:], second.sent[stream])
        expect(stream != 0 or second.sent[0][start].key,
               "the second publisher's first packet is no key frame's")
        expect_continuous(packets)
        rate = first.source.rate(stream)
        step = ticks_between(packets[seam].timestamp, packets[seam - 1].timestamp) / rate
        passed = packets[seam].at - packets[seam - 1].at
        expect(0 < step < passed + 1,
               f"stream {stream}: the times go on by {step:.3f} s after {passed:.3f} s")


def expect_all_stay(readers):
    over = sum(reader.is_over() for reader in readers)
    expect(over == 0, f"{over} readers were ended")


def second_source():
    # Other numbers, and it does not begin with a key frame.
    return Source(seed=2, first=10)


@case("165 slow: with hold:10 the readers stay until a publisher returns")
def hold(world):
    path = "live/hold"
    with world.start("--on-publisher-loss", "hold:10") as server:
        with Broadcast(server, path) as first:
            time.sleep(0.3)
            with readers_of(server, path) as readers:
                receive_all(readers, 1)
                first.cut()
                receive_all(readers, 1.5)
                expect_all_stay(readers)
                with Broadcast(server, path, "udp", second_source()) as second:
                    receive_all(readers, 2)
                    expect_all_stay(readers)
                    second.fall_silent()
                    receive_all(readers, 0.3)
                    for reader in readers:
                        check_seam(reader, first, second)


@case("165 slow: with hold:3 the readers are ended when nobody returns")
def hold_ends(world):
    path = "live/hold-ends"
    with world.start("--on-publisher-loss", "hold:3") as server, Broadcast(server, path) as first:
        time.sleep(0.3)
        with readers_of(server, path) as readers:
            receive_all(readers, 0.5)
            first.cut()
            for reader in readers:
                expect(reader.ends_within(5), "the reader was told nothing")
            took = time.monotonic() - first.ended_at
            expect(2.5 < took < 5, f"the end came after {took:.1f} s")
            expect_gone(server, path)


@case("163 with --publish-takeover the second publisher has the readers of the first")
def takeover(world):
    path = "live/takeover"
    with world.start("--publish-takeover") as server, Broadcast(server, path) as first:
        time.sleep(0.3)
        with readers_of(server, path) as readers:
            receive_all(readers, 1)
            with Broadcast(server, path, source=second_source()) as second:
                receive_all(readers, 2)
                second.stop()
                for reader in readers:
                    expect(reader.ends_within(5), "no BYE after the publisher's TEARDOWN")
                    check_seam(reader, first, second)


# --- Reports

def ends_of_line(broadcast, reader, stream):
    """The reader's packets and sender reports against the publisher's own clock, in seconds."""
    packet = reader.rtp[stream][0]
    published = broadcast.sent[stream][where([packet], broadcast.sent[stream])[0]]
    rate = broadcast.source.rate(stream)
    for report in reader.rtcp[stream]:
        if report.kind != 200:
            continue
        # What the publisher's clock said at that report's RTP time.
        media = ticks_between(published.timestamp, broadcast.source.timestamps[stream]) / rate
        wall = (broadcast.source.wall + media
                + ticks_between(report.rtp, packet.timestamp) / rate)
        yield report.ntp - wall


@case("161 sender reports put the packets on the publisher's clock")
def sender_reports(world):
    path = "live/reports"
    with Broadcast(world.server, path) as broadcast:
        time.sleep(0.8)
        with readers_of(world.server, path) as readers:
            for reader in readers:
                expect(reader.receive(8, until=lambda: all(
                    any(report.kind == 200 for report in reader.rtcp[stream])
                    for stream in (0, 1))), "no sender report within 8 s")
                for stream in (0, 1):
                    for off in ends_of_line(broadcast, reader, stream):
                        expect(abs(off) < SR_LINE_TOLERANCE,
                               f"stream {stream}: {off * 1000:.1f} ms off the publisher's line")
                    ssrcs = {report.ssrc for report in reader.rtcp[stream]}
                    expect(ssrcs == {reader.rtp[stream][0].ssrc}, "the report is another source's")


@case("161 slow: the publisher is told what was lost on the way")
def receiver_reports(world):
    with Broadcast(world.server, "live/lossless", "tcp") as lossless:
        lost = []

        def lose(packets):
            gone = [packet for packet in packets
                    if packet.stream == 0 and packet.sequence % 20 == 7]
            lost.extend(gone)
            return [packet for packet in packets if packet not in gone]

        with Broadcast(world.server, "live/lossy", "udp", meddle=lose) as lossy:
            deadline = time.monotonic() + REPORT_WITHIN
            blocks = [lossy.client.blocks[0], lossy.client.blocks[1], lossless.client.blocks[0],
                      lossless.client.blocks[1]]
            while not all(blocks) and time.monotonic() < deadline:
                time.sleep(0.1)
            expect(all(blocks), f"within 10 s came {[len(part) for part in blocks]} report blocks")
            seen = [part[-1] for part in blocks]
            ssrcs = lossy.source.ssrcs + lossless.source.ssrcs
            expect([block.ssrc for block in seen] == ssrcs, "the reports name other sources")
            expect([block.lost for block in seen[1:]] == [0, 0, 0],
                   f"lost, where nothing is: {[block.lost for block in seen[1:]]}")
            # The extended number's low half tells how far the report had come.
            told = sum(ticks_between(packet.sequence << 16, seen[0].highest << 16) <= 0
                       for packet in lost)
            expect(abs(seen[0].lost - told) <= 2, f"{seen[0].lost} lost in the report, {told} were")
            expect(seen[0].fraction > 0, "no fraction lost in the report")
            expect(seen[0].jitter < 90000 / 5, f"a jitter of {seen[0].jitter} ticks")


# --- Joining

@case("161 DESCRIBE waits for the publisher, or for 5 s, where it is told to")
def describe_wait(world):
    path = "live/awaited"
    with world.start("--describe-wait", "5") as server, Client(server) as early:
        started = time.monotonic()
        early.sock.sendall(early.format("DESCRIBE", path))
        early.receive(1.2)
        expect(not early.responses, "answered before the publisher came")
        with Broadcast(server, path):
            response = early.response(3)
            expect(response.status == 200 and b"m=video" in response.body, response.text)
        with Client(server) as vain:
            started = time.monotonic()
            status = vain.ask("DESCRIBE", "live/never", within=9).status
            took = time.monotonic() - started
            expect(status == 404 and 4.5 < took < 7, f"{status} after {took:.1f} s")


@case("161 with --join live-edge a reader begins with what comes next")
def live_edge(world):
    path = "live/edge"
    with world.start("--join", "live-edge") as server:
        with Broadcast(server, path, source=Source(gop=250)) as broadcast:
            time.sleep(1.5)
            with readers_of(server, path) as readers:
                receive_all(readers, 1.5)
                broadcast.stop()
                for reader in readers:
                    expect(reader.ends_within(5), "no BYE after the publisher's TEARDOWN")
                    # When it is given, the next packet is not there yet: the time is an estimate.
                    for url, seq, rtptime in reader.answer.rtp_info():
                        stream = reader.controls.index(url)
                        first = reader.rtp[stream][0]
                        off = (ticks_between(first.timestamp, rtptime)
                               / broadcast.source.rate(stream))
                        expect(first.sequence == seq and abs(off) < 0.5,
                               f"stream {stream} begins with {first.sequence}, {off:.3f} s off "
                               f"what RTP-Info says: {seq}")
                    for stream in (0, 1):
                        start = check_run(reader.rtp[stream], broadcast.sent[stream])
                        early = reader.joined_at - broadcast.sent[stream][start].at
                        expect(early < 0.3, f"it begins {early:.3f} s before PLAY")


@case("161 a reader that joins late in a long group of pictures gets all of it")
def long_group(world):
    path = "live/long-group"
    with Broadcast(world.server, path, source=Source(gop=75)) as broadcast:
        time.sleep(2.5)
        with readers_of(world.server, path) as readers:
            receive_all(readers, 1.5)
            broadcast.stop()
            for reader in readers:
                expect(reader.ends_within(5), "no BYE after the publisher's TEARDOWN")
                check_join(reader, broadcast.sent)
                for stream in (0, 1):
                    check_run(reader.rtp[stream], broadcast.sent[stream])
