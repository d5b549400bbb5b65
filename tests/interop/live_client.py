"""A publisher and a reader of live streams for the tests, on top of the small RTSP client.

Source makes up packets of the right shape with contents of which no two are alike; Broadcast sends
them in real time from a thread of its own and remembers each; Reader plays what a path has.
"""
import base64
import collections
import random
import socket
import struct
import threading
import time

from rtsp_client import Client, expect_continuous, ticks_between

FRAMES_PER_SECOND = 25
SR_EVERY = 0.5
NOTHING_YET = 0.05  # seconds before PLAY; what was sent later need not be there by then
SPROP = "Z01ADeygoP2AiAAAAwAIAAADAZB4oUyw,aOvjyyA="
H264_SETS = [base64.b64decode(unit) for unit in SPROP.split(",")]
MEDIA = {  # kind: (m= line's start, payload type, its attributes, clock rate, units per second)
    "h264": ("video", 96, ["rtpmap:96 H264/90000", "fmtp:96 packetization-mode=1;profile-level-id="
             "4d400d;sprop-parameter-sets=" + SPROP], 90000, FRAMES_PER_SECOND),
    "aac": ("audio", 97, ["rtpmap:97 MPEG4-GENERIC/48000/2",
            "fmtp:97 streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;"
            "indexdeltalength=3;config=1190"], 48000, 48000 / 1024),
    "data": ("application", 107, ["rtpmap:107 smpte336m/90000"], 90000, 10),
    "opus": ("audio", 111, ["rtpmap:111 opus/48000/2", "fmtp:111 sprop-stereo=1"], 48000, 50),
    "pcmu": ("audio", 0, [], 8000, 50),
}

Packet = collections.namedtuple("Packet", "stream sequence timestamp marker payload key at")


def sdp(kinds=("h264", "aac"), leave_out=None):
    """The description of these media; without the lines or parameters that hold `leave_out`."""
    lines = ["v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=test", "c=IN IP4 127.0.0.1", "t=0 0"]
    for stream, kind in enumerate(kinds):
        name, payload_type, attributes, _, _ = MEDIA[kind]
        lines.append(f"m={name} 0 RTP/AVP {payload_type}")
        lines += ["a=" + attribute for attribute in attributes]
        lines.append(f"a=control:streamid={stream}")
    if leave_out:
        lines = [";".join(part for part in line.split(";") if leave_out not in part)
                 for line in lines]
    return ("\r\n".join(lines) + "\r\n").encode()


class Source:
    """Media units by the clock.

    `gop`: frames from key frame to key frame; `first`: the number of the first one within it.
    `sets`: key frames are preceded by their parameter sets. `unit_bytes`: a frame is one NAL unit
    of that size in one packet, whatever the packet size."""

    def __init__(self, kinds=("h264", "aac"), gop=FRAMES_PER_SECOND, first=0, sets=False,
                 unit_bytes=None, seed=1):
        self.kinds = kinds
        self.gop, self.first, self.sets, self.unit_bytes = gop, first, sets, unit_bytes
        self.random = random.Random(seed)
        self.units = [0] * len(kinds)
        self.ssrcs = [self.random.getrandbits(32) for _ in kinds]
        # So that both wrap soon.
        self.sequences = [65536 - self.random.randrange(1, 60) for _ in kinds]
        self.timestamps = [2**32 - self.random.randrange(1, 90000) for _ in kinds]
        self.wall = 3_900_000_000 + self.random.random() * 1e6  # NTP seconds at elapsed time 0

    def rate(self, stream):
        return MEDIA[self.kinds[stream]][3]

    def due(self, elapsed, now):
        """The packets of the units due by then."""
        packets = []
        for stream, kind in enumerate(self.kinds):
            per_second = MEDIA[kind][4]
            while self.units[stream] / per_second <= elapsed:
                timestamp = self.timestamp(stream, self.units[stream] / per_second)
                payloads, key = self._payloads(stream, kind)
                for i, payload in enumerate(payloads):
                    packets.append(Packet(stream, self.sequences[stream], timestamp,
                                          i + 1 == len(payloads), payload, key and i == 0, now))
                    self.sequences[stream] = (self.sequences[stream] + 1) % 65536
                self.units[stream] += 1
        return packets

    def timestamp(self, stream, elapsed):
        return (self.timestamps[stream] + round(elapsed * self.rate(stream))) % 2**32

    def sender_report(self, stream, elapsed):
        ntp = self.wall + elapsed
        ssrc = self.ssrcs[stream]
        return (struct.pack(">BBHIIIIII", 0x80, 200, 6, ssrc, int(ntp),
                            int((ntp - int(ntp)) * 2**32), self.timestamp(stream, elapsed),
                            self.units[stream], 100 * self.units[stream])
                + struct.pack(">BBHI", 0x81, 202, 3, ssrc) + b"\x01\x04test\x00\x00")

    def rtp(self, packet):
        payload_type = MEDIA[self.kinds[packet.stream]][1]
        return struct.pack(">BBHII", 0x80, payload_type | packet.marker << 7, packet.sequence,
                           packet.timestamp, self.ssrcs[packet.stream]) + packet.payload

    def _payloads(self, stream, kind):
        fill = self.random.randbytes
        if kind == "aac":
            return [b"\x00\x10" + struct.pack(">H", 120 << 3) + fill(120)], False
        if kind != "h264":
            return [fill(160)], False
        key = (self.units[stream] + self.first) % self.gop == 0
        header = 0x65 if key else 0x41
        if self.unit_bytes:
            frame = [bytes([header, 0x88]) + fill(self.unit_bytes - 2)]
        else:
            count = 6 if key else 2
            frame = [bytes([header & 0xE0 | 28, (i == 0) << 7 | (i + 1 == count) << 6 | header & 31,
                            0x88]) + fill(1100) for i in range(count)]
        return (H264_SETS if key and self.sets else []) + frame, key


class Publisher(Client):
    def announce(self, path, description, content_type="application/sdp"):
        headers = {"Content-Type": content_type} if content_type else {}
        return self.ask("ANNOUNCE", path, headers, description)

    def set_up_record(self, path, stream, transport):
        lower = (f"/TCP;unicast;interleaved={2 * stream}-{2 * stream + 1}" if transport == "tcp"
                 else f";unicast;{self.udp_ports(stream)}")
        response = self.ask("SETUP", f"{path}/streamid={stream}",
                            {"Transport": f"RTP/AVP{lower};mode=record"})
        if response.status == 200:
            self.session = response.session()
            if transport == "udp":
                ports = response.transport("server_port").split("-")
                self.to_ports[stream] = [int(port) for port in ports]
        return response

    to_ports = None  # stream: the server's ports; empty over TCP

    def publish(self, path, description, streams, transport):
        """ANNOUNCE to RECORD; an assertion when anything but 200 is the answer."""
        self.to_ports = {}
        steps = [lambda: self.announce(path, description)]
        steps += [lambda stream=stream: self.set_up_record(path, stream, transport)
                  for stream in range(streams)]
        steps.append(lambda: self.ask("RECORD", path, {"Range": "npt=0-"}))
        for step in steps:
            response = step()
            if response.status != 200:
                raise AssertionError(f"publishing {path}: {response.text}")
        return response

    def send(self, stream, data, rtcp=False):
        if self.to_ports:
            wanted = next(sock for sock, use in self.udp.items() if use == (stream, rtcp))
            wanted.sendto(data, (self.host, self.to_ports[stream][rtcp]))
        else:
            self.sock.sendall(struct.pack(">cBH", b"$", 2 * stream + rtcp, len(data)) + data)

    def cut(self):
        """As the kernel does for a process killed with unread data: a reset, no TEARDOWN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
        for sock in self.udp:
            sock.close()


class Broadcast:
    """Publishes a Source; `with` starts it, and stops it with TEARDOWN if nothing has before."""

    def __init__(self, server, path, transport="tcp", source=None, description=None, meddle=None):
        """`meddle`: given a list of packets, the list that goes out instead."""
        self.server, self.path, self.transport = server, path, transport
        self.source = source or Source()
        self.description = description or sdp(self.source.kinds)
        self.meddle = meddle or (lambda packets: packets)
        self.sent = [[] for _ in self.source.kinds]  # lost ones left out, in order of their numbers
        self.client = Publisher(server)
        self.ending = None
        self.error = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.client.publish(self.path, self.description, len(self.source.kinds), self.transport)
        self.started = time.monotonic()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self._end(self._tear_down)
        self.client.__exit__()

    def _run(self):
        report_at = 0
        try:
            while not self.ending:
                now = time.monotonic()
                due = self.source.due(now - self.started, now)
                packets = self.meddle(due)
                for packet in packets:
                    self.client.send(packet.stream, self.source.rtp(packet))
                for packet in due:
                    if packet in packets:
                        self.sent[packet.stream].append(packet)
                if now >= report_at:
                    report_at = now + SR_EVERY
                    for stream in range(len(self.source.kinds)):
                        self.client.send(stream, self.source.sender_report(
                            stream, time.monotonic() - self.started), rtcp=True)
                self.client.receive(0.008)
                if self.client.closed_at:
                    return
            self.ending()
        except (OSError, AssertionError) as error:
            self.error = error

    def _tear_down(self):
        if self.transport == "udp":
            time.sleep(0.1)  # the other way is another queue: the packets are to be there first
        self.client.ask("TEARDOWN", self.path)
        self.client.close()

    def _end(self, how):
        self.ending = self.ending or how
        self.thread.join(20)
        self.ended_at = time.monotonic()

    def stop(self):
        self._end(self._tear_down)
        if self.error:
            raise AssertionError(f"the publisher: {self.error}")

    def cut(self):
        self._end(self.client.cut)

    def fall_silent(self):
        """Stays connected and sends no more."""
        self._end(lambda: None)


class Reader(Client):
    """Plays all streams of a path."""

    def join(self, path, transport):
        self.sdp, self.controls = self.describe(path)
        self.streams = len(self.controls)
        for stream, url in enumerate(self.controls):
            lower = (f"/TCP;unicast;interleaved={2 * stream}-{2 * stream + 1}"
                     if transport == "tcp" else f";unicast;{self.udp_ports(stream)}")
            response = self.ask("SETUP", url, {"Transport": "RTP/AVP" + lower})
            if response.status != 200:
                raise AssertionError(f"SETUP: {response.text}")
            self.session = response.session()
        self.joined_at = time.monotonic()
        self.answer = self.play(path)
        return self

    def ends_within(self, seconds):
        """Whether it is told of the end: BYE for every stream, or the connection closed."""
        over = self.receive(seconds, until=self.is_over) or self.is_over()
        self.receive(0.1)  # what came before it by another socket
        return over

    def is_over(self):
        return self.said_goodbye(self.streams) or self.closed_at is not None


def where(packets, sent):
    """The index in `sent` of each packet; payloads are the key. An assertion for a strange one."""
    index = {packet.payload: i for i, packet in enumerate(sent)}
    places = [index.get(packet.payload) for packet in packets]
    if None in places:
        raise AssertionError(f"packet {places.index(None)} of {len(places)} was never published")
    return places


def check_run(packets, sent, tail_max=0):
    """`packets` are published ones without a gap, to the end but for `tail_max`, with continuous
    numbers and the publisher's distances in time; the index of the first one."""
    if not packets:
        raise AssertionError("not one packet came")
    places = where(packets, sent)
    wanted = list(range(places[0], places[0] + len(places)))
    if places != wanted:
        at = next(i for i, (a, b) in enumerate(zip(places, wanted)) if a != b)
        raise AssertionError(f"after published packet {places[at - 1]} came {places[at]}")
    if len(sent) - 1 - places[-1] > tail_max:
        raise AssertionError(f"the last is published packet {places[-1]} of {len(sent)}")
    expect_continuous(packets)
    for packet, place in zip(packets, places):
        if packet.marker != sent[place].marker:
            raise AssertionError(f"marker {packet.marker} at published packet {place}")
        off = (ticks_between(packet.timestamp, packets[0].timestamp)
               - ticks_between(sent[place].timestamp, sent[places[0]].timestamp))
        if off:
            raise AssertionError(f"published packet {place} is {off} ticks off")
    return places[0]


def check_rtp_info(reader, sent=None):
    """RTP-Info names the first packet of every stream, to the number and the tick. One that had
    nothing yet may be left out (all, when the first key frame was still to come); whether that was
    so, only `sent` can tell."""
    info = {url: (seq, rtptime) for url, seq, rtptime in reader.answer.rtp_info()}
    if (sent and not info) or not set(info) <= set(reader.controls):
        raise AssertionError(f"RTP-Info names {sorted(info)}, the streams are {reader.controls}")
    for stream, url in enumerate(reader.controls):
        packet = reader.rtp[stream][0]
        first = packet.sequence, packet.timestamp
        if url in info and info[url] != first:
            raise AssertionError(f"stream {stream}: RTP-Info says {info[url]}, first is {first}")
        if url not in info and sent:
            early = reader.joined_at - sent[stream][where([packet], sent[stream])[0]].at
            if early > NOTHING_YET:
                raise AssertionError(f"stream {stream}, {early:.3f} s old, is not in RTP-Info")
