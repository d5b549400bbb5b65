"""A small RTSP client for the tests: says exactly what it is told to, and keeps all it receives."""
import collections
import re
import select
import socket
import struct
import time

ANSWER_WITHIN = 10
DATAGRAM_MAX = 65536


class Response:
    def __init__(self, head, body):
        lines = head.decode("utf-8", "replace").split("\r\n")
        found = re.fullmatch(r"RTSP/1\.0 (\d{3}) [^\r\n]+", lines[0])
        if not found:
            raise AssertionError(f"not an RTSP/1.0 status line: {lines[0]!r}")
        self.status = int(found.group(1))
        self.headers = {}
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon or name != name.strip():
                raise AssertionError(f"not a header: {line!r}")
            self.headers[name.lower()] = value.strip()
        self.body = body
        self.text = head.decode("utf-8", "replace")

    def __getitem__(self, name):
        return self.headers.get(name.lower())

    def session(self):
        return (self["Session"] or "").partition(";")[0]

    def transport(self, name):
        found = re.search(rf"(?:^|;){name}=([^;]*)", self["Transport"] or "")
        return found and found.group(1)

    def rtp_info(self):
        """[(url, seq, rtptime)]"""
        return [(re.search(r"url=([^;]*)", entry).group(1),
                 int(re.search(r"seq=(\d+)", entry).group(1)),
                 int(re.search(r"rtptime=(\d+)", entry).group(1)))
                for entry in (self["RTP-Info"] or "").split(",") if entry]

    def range(self):
        """(start, end); end is None when open."""
        found = re.fullmatch(r"npt=([\d.]+)-([\d.]*)", self["Range"] or "")
        if not found:
            raise AssertionError(f"no npt range in {self['Range']!r}")
        return float(found.group(1)), float(found.group(2)) if found.group(2) else None


class Rtp:
    """One packet, and when it came."""

    def __init__(self, data, at):
        self.at = at
        self.size = len(data)
        self.version = data[0] >> 6
        self.csrc_count = data[0] & 15
        self.marker = bool(data[1] & 128)
        self.payload_type = data[1] & 127
        self.sequence, self.timestamp, self.ssrc = struct.unpack(">HII", data[2:12])
        if data[0] & 0x30:
            raise AssertionError("padding or an extension")
        self.payload = data[12 + 4 * self.csrc_count:]


Report = collections.namedtuple("Report", "kind ssrc ntp rtp packets octets cname at")


def parse_rtcp(data, at):
    """The reports of one compound; an assertion when it breaks RFC 3550 section 6.1."""
    reports = []
    cnames = {}
    while data:
        if len(data) < 4 or data[0] >> 6 != 2:
            raise AssertionError("RTCP: not version 2")
        length = 4 * (struct.unpack(">H", data[2:4])[0] + 1)
        packet, data = data[:length], data[length:]
        if len(packet) < length or packet[0] & 0x20:
            raise AssertionError("RTCP: a length that lies, or padding")
        kind = packet[1]
        if not reports and kind not in (200, 201):
            raise AssertionError(f"RTCP: a compound that starts with {kind}")
        ssrc = struct.unpack(">I", packet[4:8])[0]
        ntp = rtp = packets = octets = 0
        if kind == 200:
            seconds, fraction, rtp, packets, octets = struct.unpack(">IIIII", packet[8:28])
            ntp = seconds + fraction / 2**32
        elif kind == 202:
            if packet[8] != 1:
                raise AssertionError("RTCP: SDES without CNAME")
            cnames[ssrc] = packet[10:10 + packet[9]].decode()
        reports.append(Report(kind, ssrc, ntp, rtp, packets, octets, cnames.get(ssrc), at))
    if not cnames:
        raise AssertionError("RTCP: no SDES in the compound")
    return reports


ReportBlock = collections.namedtuple("ReportBlock", "ssrc fraction lost highest jitter")


def report_blocks(data):
    """What the SR and RR of one compound say of the streams received (RFC 3550 section 6.4.1)."""
    blocks = []
    while data:
        length = 4 * (struct.unpack(">H", data[2:4])[0] + 1)
        packet, data = data[:length], data[length:]
        at = {200: 28, 201: 8}.get(packet[1], len(packet))
        for _ in range(packet[0] & 31 if at < len(packet) else 0):
            ssrc, loss, highest, jitter = struct.unpack(">IIII", packet[at:at + 16])
            lost = (loss & 0xFFFFFF) - (1 << 24 if loss & 0x800000 else 0)
            blocks.append(ReportBlock(ssrc, loss >> 24, lost, highest, jitter))
            at += 24
    return blocks


class Client:
    """One connection. Streams are numbered by channel // 2, or as `udp_ports` makes them."""

    def __init__(self, server, source=None, host="127.0.0.1", receive_buffer=None):
        self.server = server
        self.host = host
        self.sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.sock.settimeout(ANSWER_WITHIN)
        if receive_buffer:  # before the window is agreed on
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            self.sock.bind((source, 0))
        self.sock.connect((host, server.port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = b""
        self.cseq = 0
        self.session = None
        self.responses = []
        self.rtp = collections.defaultdict(list)
        self.rtcp = collections.defaultdict(list)
        self.blocks = collections.defaultdict(list)  # of the reports that came
        self.udp = {}  # socket: (stream, is_rtcp)
        self.rtcp_sockets = {}
        self.closed_at = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
        for sock in self.udp:
            sock.close()

    def close(self):
        self.sock.close()

    # --- Requests

    def url(self, path=""):
        return self.server.url(path, self.host)

    def format(self, method, target, headers=None, body=b""):
        """`target` is a path of the server, or a whole URL, or *."""
        self.cseq += 1
        url = target if ":" in target or target == "*" else self.url(target)
        lines = [f"{method} {url} RTSP/1.0", f"CSeq: {self.cseq}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    def ask(self, method, target, headers=None, body=b"", session=True, within=ANSWER_WITHIN):
        """The response; `session`: the Session header goes along once there is one."""
        headers = dict(headers or {})
        if session and self.session and "Session" not in headers:
            headers["Session"] = self.session
        self.sock.sendall(self.format(method, target, headers, body))
        response = self.response(within)
        if response["CSeq"] != str(self.cseq):
            raise AssertionError(f"CSeq {self.cseq} answered with {response['CSeq']}")
        return response

    def raw(self, data, within=ANSWER_WITHIN):
        self.sock.sendall(data)
        return self.response(within)

    def set_up(self, path, stream, transport, headers=None):
        response = self.ask("SETUP", f"{path}/trackID={stream + 1}",
                            {"Transport": transport, **(headers or {})})
        if response.status == 200:
            self.session = response.session()
        return response

    def set_up_tcp(self, path, streams=2):
        for stream in range(streams):
            response = self.set_up(path, stream,
                                   f"RTP/AVP/TCP;unicast;interleaved={2 * stream}-{2 * stream + 1}")
            if response.status != 200:
                raise AssertionError(f"SETUP: {response.text}")
        return response

    def set_up_udp(self, path, streams=2):
        for stream in range(streams):
            response = self.set_up(path, stream, f"RTP/AVP;unicast;{self.udp_ports(stream)}")
            if response.status != 200:
                raise AssertionError(f"SETUP: {response.text}")
            self.server_rtcp = (self.host, int(response.transport("server_port").split("-")[1]))
        return response

    def udp_ports(self, stream):
        """Binds a pair; the client_port parameter for it."""
        for _ in range(100):
            rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            rtcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                rtp.bind((self.host, 0))
                port = rtp.getsockname()[1]
                if port % 2 == 0:
                    rtcp.bind((self.host, port + 1))
                    rtp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
                    self.udp[rtp] = (stream, False)
                    self.udp[rtcp] = (stream, True)
                    self.rtcp_sockets[stream] = rtcp
                    return f"client_port={port}-{port + 1}"
            except OSError:
                pass
            rtp.close()
            rtcp.close()
        raise AssertionError("no free pair of ports")

    def describe(self, path):
        """The session description, and the URL of each of its streams."""
        response = self.ask("DESCRIBE", path, {"Accept": "application/sdp"})
        if response.status != 200:
            raise AssertionError(f"DESCRIBE: {response.text}")
        sdp = response.body.decode()
        base = (response["Content-Base"] or self.url(path)).rstrip("/")
        controls = [re.search(r"(?m)^a=control:(\S+)", media).group(1)
                    for media in re.split(r"(?m)^(?=m=)", sdp)[1:]]
        return sdp, [control if control.startswith("rtsp:") else f"{base}/{control}"
                     for control in controls]

    def play(self, path, range_=None, headers=None):
        headers = dict(headers or {})
        if range_:
            headers["Range"] = range_
        response = self.ask("PLAY", path, headers)
        if response.status != 200:
            raise AssertionError(f"PLAY: {response.text}")
        return response

    # --- What comes

    def response(self, within=ANSWER_WITHIN):
        """The next response, collecting media on the way."""
        self.receive(within, until=lambda: self.responses)
        if not self.responses:
            raise AssertionError("the connection was closed instead of an answer"
                                 if self.closed_at else f"no answer within {within} s")
        return self.responses.pop(0)

    def receive(self, seconds, until=None):
        """Collects what comes until then, or until `until()`; whether that came."""
        deadline = time.monotonic() + seconds
        self._take_messages()
        while not (until and until()):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            sockets = list(self.udp) + ([] if self.closed_at or self.sock.fileno() < 0
                                        else [self.sock])
            if not sockets:
                return False
            for sock in select.select(sockets, [], [], left)[0]:
                self._read(sock)
            if self.closed_at and not self.udp:
                return bool(until and until())
        return True

    def _read(self, sock):
        now = time.monotonic()
        if sock is not self.sock:
            stream, is_rtcp = self.udp[sock]
            self._take_packet(stream, is_rtcp, sock.recv(DATAGRAM_MAX), now)
            return
        try:
            received = sock.recv(1 << 18)
        except ConnectionResetError:
            received = b""
        if not received:
            self.closed_at = now
        self.data += received
        self._take_messages()

    def _take_packet(self, stream, is_rtcp, data, now):
        if is_rtcp:
            self.rtcp[stream] += parse_rtcp(data, now)
            self.blocks[stream] += report_blocks(data)
        else:
            self.rtp[stream].append(Rtp(data, now))

    def _take_messages(self):
        while self.data:
            if self.data[0] == ord("$"):
                if len(self.data) < 4:
                    return
                channel, length = struct.unpack(">BH", self.data[1:4])
                if len(self.data) < 4 + length:
                    return
                self._take_packet(channel // 2, channel % 2 == 1, self.data[4:4 + length],
                                  time.monotonic())
                self.data = self.data[4 + length:]
                continue
            head, end, rest = self.data.partition(b"\r\n\r\n")
            if not end:
                return
            found = re.search(rb"(?im)^content-length: *(\d+)\r?$", head)
            length = int(found.group(1)) if found else 0
            if len(rest) < length:
                return
            self.responses.append(Response(head, rest[:length]))
            self.data = rest[length:]

    def said_goodbye(self, streams):
        return all(any(report.kind == 203 for report in self.rtcp[stream])
                   for stream in range(streams))

    def closes_within(self, seconds):
        return self.receive(seconds, until=lambda: self.closed_at) or self.closed_at is not None

    def drop_media(self):
        self.rtp.clear()
        self.rtcp.clear()


# --- Payload formats, from the RFCs alone; a packet that may not be made is an assertion

def access_units(packets):
    """[(timestamp, [packets])]: runs of one timestamp."""
    units = []
    for packet in packets:
        if not units or units[-1][0] != packet.timestamp:
            units.append((packet.timestamp, []))
        units[-1][1].append(packet)
    return units


def nal_units(packets, codec):
    """NAL units of H.264 (RFC 6184 section 5) or H.265 (RFC 7798 section 4) packets in order."""
    header, aggregate, fragment = (1, 24, 28) if codec == "h264" else (2, 48, 49)
    units = []
    torn = None
    for packet in packets:
        data = packet.payload
        kind = data[0] & 31 if codec == "h264" else data[0] >> 1 & 63
        if torn is not None and kind != fragment:
            raise AssertionError("a fragmented unit is not followed by its next fragment")
        if kind == fragment:
            indicator = data[header]
            start, end = bool(indicator & 128), bool(indicator & 64)
            if start and end or start != (torn is None):
                raise AssertionError("wrong start or end bits in a fragment")
            if codec == "h264":
                if indicator & 32:
                    raise AssertionError("the reserved bit of a fragment is set")
                first = bytes([data[0] & 0xE0 | indicator & 31])
            else:
                first = bytes([data[0] & 0x81 | (indicator & 63) << 1, data[1]])
            if torn is not None and torn[:header] != first:
                raise AssertionError("fragments of one unit with different headers")
            torn = (first if start else torn) + data[header + 1:]
            if end:
                units.append(torn)
                torn = None
        elif kind == aggregate:
            at = header
            count = 0
            while at < len(data):
                size = struct.unpack(">H", data[at:at + 2])[0]
                if size == 0 or at + 2 + size > len(data):
                    raise AssertionError("an aggregated unit's size lies")
                units.append(data[at + 2:at + 2 + size])
                at += 2 + size
                count += 1
            if codec == "h265" and count < 2:
                raise AssertionError("an aggregation packet of one unit")
        else:
            if kind == 0 and codec == "h264" or kind > fragment:
                raise AssertionError(f"payload structure {kind}")
            units.append(data)
    if torn is not None:
        raise AssertionError("the last unit is torn")
    return units


def aac_units(packets):
    """[(timestamp, access unit)] of RFC 3640 packets in AAC-hbr mode with whole units only."""
    units = []
    for packet in packets:
        data = packet.payload
        bits = struct.unpack(">H", data[:2])[0]
        if bits == 0 or bits % 16:
            raise AssertionError(f"AU-headers-length {bits}")
        at = 2 + bits // 8
        for i in range(bits // 16):
            size_and_index = struct.unpack(">H", data[2 + 2 * i:4 + 2 * i])[0]
            if size_and_index & 7:
                raise AssertionError("an AU-Index or -delta other than 0")
            size = size_and_index >> 3
            units.append((packet.timestamp + 1024 * i & 0xFFFFFFFF, data[at:at + size]))
            at += size
        if at != len(data):
            raise AssertionError("AU sizes do not fill the packet")
    return units


def expect_continuous(packets):
    """Sequence numbers without a gap, one SSRC throughout."""
    for before, after in zip(packets, packets[1:]):
        if after.sequence != (before.sequence + 1) % 65536:
            raise AssertionError(f"sequence number {after.sequence} after {before.sequence}")
        if after.ssrc != before.ssrc:
            raise AssertionError("the SSRC changed")


def ticks_between(later, earlier):
    """Signed difference of 32-bit timestamps."""
    return (later - earlier + 2**31) % 2**32 - 2**31
