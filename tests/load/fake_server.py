"""A tiny RTSP server that can be told to misbehave, to show that millrace-load sees it.

Its media are two tracks of made-up packets, a hundred a second each; every video packet is a picture.
It can be paused and sought in: media time goes on where it was. A fault is one of FAULTS. With `trains` it sends over UDP as the kernel's segmentation offload has it, several packets a call.
"""
import re
import socket
import struct
import threading
import time

FAULTS = ("lost", "lost at the start", "swapped", "duplicate", "malformed", "other ssrc",
          "other payload type", "other address", "not found", "closes", "bye", "silent", "stalls",
          "nonsense", "mute", "no marker", "timestamp back", "audio timestamp back", "late",
          "wrong rtptime", "deaf to pause")
TRACKS = ((96, 90000), (97, 48000))
PACKETS_PER_SECOND = 100
PACKETS_PER_TRAIN = 5
UDP_SEGMENT = 103  # linux/udp.h; the socket module has no name for it
FAULT_AT = 30  # the packet of track 0 that shows the fault
LATE_FROM = 100  # from here on, of every LATE_EVERY packets some come LATE_BY too late
LATE_EVERY = 40
LATE_BY = 0.2
SDP = ("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=fake\r\nt=0 0\r\na=control:*\r\n"
       "a=range:npt=0-60\r\n"
       "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track=0\r\n"
       "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 mpeg4-generic/48000/2\r\na=control:track=1\r\n")


class Connection:
    """One client: his requests on this thread, his media on another."""

    def __init__(self, sock, fault, trains):
        self.sock = sock
        self.fault = fault
        self.trains = trains
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.send_packet = {}
        self.udp = []
        self.methods = []
        self.described = None  # the URL
        self.ranges = []  # of PLAY
        self.number = 0  # of the packets to be sent next
        self.paused = False
        self.started = None
        self.turn = threading.Lock()  # what is sent in one go
        self.reports = 0

    def write(self, data):
        # In small pieces, so that the reader sees messages torn at every place.
        with self.lock:
            for i in range(0, len(data), 7):
                self.sock.sendall(data[i:i + 7])

    def serve(self):
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = b""
        try:
            while not self.over.is_set():
                received = self.sock.recv(65536)
                if not received:
                    break
                data += received
                data = self.take(data)
        except OSError:
            pass
        self.over.set()
        self.sock.close()
        if self.started is None:  # else the other thread closes them
            self.close_udp()

    def close_udp(self):
        for sock in self.udp:
            sock.close()

    def take(self, data):
        while data:
            if data[:1] == b"$":
                if len(data) < 4 or len(data) < 4 + struct.unpack(">H", data[2:4])[0]:
                    break
                self.reports += 1
                data = data[4 + struct.unpack(">H", data[2:4])[0]:]
            elif b"\r\n\r\n" in data:
                request, data = data.split(b"\r\n\r\n", 1)
                self.answer(request.decode())
            else:
                break
        return data

    def answer(self, request):
        method, url, _ = request.split("\r\n")[0].split(" ")
        self.methods.append(method)
        cseq = re.search(r"CSeq: (\d+)", request).group(1)
        head = f"CSeq: {cseq}\r\n"
        if method == "DESCRIBE":
            self.described = url
            if self.fault == "not found":
                self.reply("404 Not Found", head)
            elif self.fault == "nonsense":
                self.write(b"HTTP/1.1 200 OK\r\n\r\n")
            elif self.fault != "mute":
                self.reply("200 OK", f"{head}Content-Base: {url}/\r\n"
                                     f"Content-Length: {len(SDP)}\r\n", SDP)
        elif method == "SETUP":
            self.reply("200 OK", f"{head}Session: 12345678;timeout=60\r\n"
                                 f"Transport: {self.set_up(int(url[-1]), request)}\r\n")
        elif method == "PLAY":
            self.ranges += re.findall(r"Range: (\S+)", request)
            with self.turn:
                self.play(url, head)
        elif method == "PAUSE":
            with self.turn:
                self.paused = self.fault != "deaf to pause"
                self.reply("200 OK", head)
        else:
            if method == "TEARDOWN":
                self.over.set()
            self.reply("200 OK", head)

    def play(self, url, head):
        off = 10 if self.fault == "wrong rtptime" and self.started else 0
        infos = ",".join(
            f"url={url}track={t};seq={(first_sequence(t) + self.number) & 0xffff};"
            f"rtptime={timestamp_of(t, self.number) + off * TRACKS[t][1]}"
            for t in range(len(TRACKS)))
        self.reply("200 OK", f"{head}Session: 12345678\r\nRTP-Info: {infos}\r\n")
        self.started = time.monotonic() - self.number / PACKETS_PER_SECOND
        self.paused = False
        if self.number == 0:
            threading.Thread(target=self.send_media, daemon=True).start()

    def reply(self, status, headers, body=""):
        self.write(f"RTSP/1.0 {status}\r\n{headers}\r\n{body}".encode())

    def set_up(self, track, request):
        ssrc = f"ssrc={ssrc_of(track):08x}"
        ports = re.search(r"client_port=(\d+)-(\d+)", request)
        if not ports:
            channel = int(re.search(r"interleaved=(\d+)", request).group(1))
            self.send_packet[track] = lambda packet, rtcp=False, other=False: self.write(
                struct.pack(">cBH", b"$", channel + rtcp, len(packet)) + packet)
            return f"RTP/AVP/TCP;unicast;interleaved={channel}-{channel + 1};{ssrc}"
        sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        self.udp += sockets
        train = []

        def send(packet, rtcp=False, other=False):
            address = ("127.0.0.1", int(ports.group(1 + rtcp)))
            if not self.trains or rtcp:
                sockets[2 if other else rtcp].sendto(packet, address)
                return
            train.append(packet)
            if len(train) == PACKETS_PER_TRAIN:
                size = struct.pack("H", len(packet))
                sockets[0].sendmsg(train, [(socket.IPPROTO_UDP, UDP_SEGMENT, size)], 0, address)
                train.clear()

        self.send_packet[track] = send
        server = "-".join(str(s.getsockname()[1]) for s in sockets[:2])
        return f"RTP/AVP;unicast;client_port={ports.group(1)}-{ports.group(2)};" \
               f"server_port={server};{ssrc}"

    def send_media(self):
        try:
            self.send_packets()
        except OSError:
            pass
        self.close_udp()

    def send_packets(self):
        for track, send in self.send_packet.items():
            send(struct.pack(">BBHIQIII", 0x80, 200, 6, ssrc_of(track), 0, 0, 0, 0), rtcp=True)
        while not self.over.is_set():
            if self.fault == "late" and self.number > LATE_FROM and self.number % LATE_EVERY == 0:
                time.sleep(LATE_BY)
            with self.turn:
                if not self.paused:
                    for track in range(len(TRACKS)):
                        self.send_one(track, self.number)
                    self.number += 1
                due = self.started + self.number / PACKETS_PER_SECOND
            pause = due - time.monotonic()
            time.sleep(pause if pause > 0 else 0.001 if self.paused else 0)

    def send_one(self, track, number):
        fault = self.fault if track == (self.fault == "audio timestamp back") else None
        if fault == "silent" or (fault == "stalls" and number > FAULT_AT):
            return
        send = self.send_packet[track]
        packet = make_packet(track, number)
        if fault == "lost at the start" and number < 3:
            return
        if number != FAULT_AT:
            if not (fault == "swapped" and number == FAULT_AT + 1):
                send(packet)
            return
        if fault == "lost":
            return
        if fault == "swapped":
            send(make_packet(track, number + 1))
        elif fault == "duplicate":
            send(packet)
        elif fault == "malformed":
            send(b"\x80\x60\x00")
        elif fault == "other ssrc":
            send(packet[:8] + b"\xde\xad\xbe\xef" + packet[12:])
        elif fault == "other payload type":
            packet = packet[:1] + b"\xff" + packet[2:]
        elif fault == "no marker":
            packet = packet[:1] + bytes([packet[1] & 0x7f]) + packet[2:]
        elif fault == "timestamp back":
            packet = packet[:4] + struct.pack(">I", 2**32 - 2 * 90000) + packet[8:]
        elif fault == "audio timestamp back":
            packet = packet[:4] + struct.pack(">I", 0) + packet[8:]
        elif fault == "other address":
            send(packet, other=True)
        elif fault == "closes":
            self.over.set()
            self.sock.shutdown(socket.SHUT_RDWR)
        elif fault == "bye":
            send(struct.pack(">BBHI", 0x81, 203, 1, ssrc_of(track)), rtcp=True)
        send(packet)


def first_sequence(track):
    # Wraps soon: the client must not take that for a loss.
    return 65500 + track


def ssrc_of(track):
    return 0x01020300 + track


def timestamp_of(track, number):
    return number * TRACKS[track][1] // PACKETS_PER_SECOND


def make_packet(track, number):
    payload_type = TRACKS[track][0]
    return struct.pack(">BBHII", 0x80, 0x80 | payload_type,
                       (first_sequence(track) + number) & 0xffff, timestamp_of(track, number),
                       ssrc_of(track)) + bytes(100)


class FakeServer:
    """Listens on a free port of loopback until closed; a context manager."""

    def __init__(self, fault=None, trains=False):
        assert fault is None or fault in FAULTS
        self.fault = fault
        self.trains = trains
        self.connections = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"rtsp://127.0.0.1:{self.listener.getsockname()[1]}/fake"

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.connections:
            connection.over.set()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            connection = Connection(sock, self.fault, self.trains)
            self.connections.append(connection)
            threading.Thread(target=connection.serve, daemon=True).start()
