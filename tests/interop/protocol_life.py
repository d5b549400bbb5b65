"""Cases 101-114 and what is around them: who may control a session, and how everything ends."""
import os
import resource
import signal
import socket
import struct
import subprocess
import time

from interop import Server, expect, is_sanitized
from protocol_cases import case
from protocol_messages import expect_status, expect_usable
from rtsp_client import Client

CLIP = "clip.mp4"
LONG = "long.mp4"
LATE = 4  # seconds that a loaded machine may add
TCP = "RTP/AVP/TCP;unicast;interleaved={}"


def receiver_report(ssrc):
    return (struct.pack(">BBHI", 0x80, 201, 1, ssrc)
            + struct.pack(">BBHIBB", 0x81, 202, 2, ssrc, 1, 1) + b"x\0")


def playing_udp(server, **options):
    client = Client(server, **options)
    client.set_up_udp(LONG)
    client.play(LONG)
    expect(client.receive(5, until=lambda: client.rtp[0] and client.rtp[1]), "no media")
    return client


def expect_plays(client, seconds=0.5, stream=0):
    count = len(client.rtp[stream])
    client.receive(seconds)
    expect(client.receive(LATE, until=lambda: len(client.rtp[stream]) > count), "the media stopped")


def expect_gone(client, within):
    """BYE comes, nothing after it, and the session is not known any more."""
    expect(client.receive(within, until=lambda: client.said_goodbye(2)),
           f"no BYE within {within} s")
    counts = [len(client.rtp[stream]) for stream in (0, 1)]
    client.receive(0.5)
    expect(counts == [len(client.rtp[stream]) for stream in (0, 1)], "media after the BYE")
    with Client(client.server) as other:
        expect_status(other.ask("PLAY", LONG, {"Session": client.session}), 454)


@case("101, 146 TEARDOWN: BYE, silence, 454")
def teardown(world):
    for set_up in (Client.set_up_tcp, Client.set_up_udp):
        with Client(world.server) as client:
            set_up(client, LONG)
            client.play(LONG)
            client.receive(0.5)
            expect_status(client.ask("TEARDOWN", LONG), 200)
            expect(client.receive(LATE, until=lambda: client.said_goodbye(2)), "no BYE")
            for stream in (0, 1):
                goodbye = next(r for r in client.rtcp[stream] if r.kind == 203)
                late = [p for p in client.rtp[stream] if p.at > goodbye.at + 0.2]
                expect(not late, f"{len(late)} packets after the BYE")
            expect_status(client.ask("PLAY", LONG), 454)
            expect_status(client.ask("TEARDOWN", LONG), 454)


@case("102 TEARDOWN of one track leaves the other")
def teardown_track(world):
    with Client(world.server) as client:
        client.set_up_tcp(LONG)
        client.play(LONG)
        client.receive(0.5)
        expect_status(client.ask("TEARDOWN", f"{LONG}/trackID=1"), 200, 460)
        client.receive(0.3)
        count = len(client.rtp[0])
        expect_plays(client, stream=1)
        expect(len(client.rtp[0]) == count, "the torn down track goes on")
        expect_status(client.ask("GET_PARAMETER", LONG), 200)
        expect_status(client.ask("TEARDOWN", LONG), 200)


@case("104 another connection may not control a session, not from this address nor another")
def foreign(world):
    with playing_udp(world.server) as owner:
        for source in (None, "127.0.0.2"):
            with Client(world.server, source=source) as other:
                for method in ("PLAY", "PAUSE", "GET_PARAMETER", "SETUP", "TEARDOWN", "OPTIONS"):
                    headers = {"Session": owner.session}
                    path = LONG
                    if method == "SETUP":
                        headers["Transport"] = TCP.format("0-1")
                        path += "/trackID=1"
                    expect_status(other.ask(method, path, headers), 454)
        expect_plays(owner)


@case("105, 106, 107 parameters: none is known, an empty body is a ping")
def parameters(world):
    with Client(world.server) as client:
        client.set_up_tcp(CLIP)
        for method in ("GET_PARAMETER", "SET_PARAMETER"):
            expect_status(client.ask(method, CLIP), 200)
            response = client.ask(method, CLIP, {"Content-Type": "text/parameters"},
                                  b"fish\r\ntrout: 7\r\n")
            expect_status(response, 451)
            expect(b"fish" in response.body, f"body {response.body!r}")
        expect_usable(client)


@case("108 a silent UDP session ends after its time-out [slow]")
def session_timeout(world):
    with playing_udp(world.brief) as client:
        begin = time.monotonic()
        expect_gone(client, 2 + 10)
        expect(time.monotonic() - begin > 1.5, "too early")
        expect_status(client.ask("PLAY", LONG), 454)


@case("108 a session that was only set up ends as well")
def ready_timeout(world):
    with Client(world.brief) as client:
        client.set_up_udp(LONG)
        time.sleep(2 + LATE)
        expect_status(client.ask("PLAY", LONG), 454)


@case("109 any request keeps a session alive [slow]")
def kept_by_requests(world):
    with playing_udp(world.brief) as client:
        for method in 2 * ("OPTIONS", "GET_PARAMETER", "SET_PARAMETER", "DESCRIBE", "PLAY"):
            client.receive(1)
            expect_status(client.ask(method, LONG), 200)
        expect_plays(client)


@case("110 receiver reports alone keep a UDP session alive [slow]")
def kept_by_reports(world):
    with playing_udp(world.brief) as client:
        for _ in range(8):
            client.receive(1)
            client.rtcp_sockets[0].sendto(receiver_report(7), client.server_rtcp)
        expect_plays(client)


@case("148 receiver reports from elsewhere do not [slow]")
def not_kept_by_strangers(world):
    with playing_udp(world.brief) as client, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as same_port:
        stranger.bind(("127.0.0.1", 0))
        same_port.bind(("127.0.0.2", client.rtcp_sockets[0].getsockname()[1]))
        deadline = time.monotonic() + 2 + 10
        while not client.said_goodbye(2) and time.monotonic() < deadline:
            for sock in (stranger, same_port):
                sock.sendto(receiver_report(7), client.server_rtcp)
            client.receive(0.5, until=lambda: client.said_goodbye(2))
        expect_gone(client, 1)


@case("147 nonsense instead of RTCP is ignored and keeps nothing alive [slow]")
def bad_rtcp(world):
    bad = [b"", b"\x80", b"\x00" * 8, b"\x40\xc9\0\1\0\0\0\7", b"\x80\xc9\xff\xff\0\0\0\7",
           b"\x9f\xc9\0\1\0\0\0\7", b"\x80\x00\0\1\0\0\0\7", b"\xff" * 1400, os.urandom(60000)]
    with playing_udp(world.server) as client:
        for _ in range(200):
            for data in bad:
                client.rtcp_sockets[0].sendto(data, client.server_rtcp)
        expect_plays(client)
        expect_usable(client)


@case("110 a receiver's BYE ends its session")
def receiver_goodbye(world):
    with playing_udp(world.server) as client:
        for stream in (0, 1):
            bye = receiver_report(7) + struct.pack(">BBHI", 0x81, 203, 1, 7)
            client.rtcp_sockets[stream].sendto(bye, client.server_rtcp)
        client.receive(1)
        counts = [len(client.rtp[stream]) for stream in (0, 1)]
        client.receive(1)
        expect(counts == [len(client.rtp[stream]) for stream in (0, 1)], "plays on")
        expect_status(client.ask("PLAY", LONG), 454)


@case("111 an interleaved session ends with its connection, closed or reset")
def interleaved_ends(world):
    for reset in (False, True):
        client = Client(world.server)
        client.set_up_tcp(LONG)
        client.play(LONG)
        client.receive(0.3)
        if reset:
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        time.sleep(1)
        with Client(world.server) as other:
            expect_status(other.ask("PLAY", LONG, {"Session": client.session}), 454)


@case("112 a UDP session is taken over from the same address once its connection closed")
def take_over(world):
    with playing_udp(world.server) as client:
        client.close()
        client.receive(1)
        with Client(world.server, source="127.0.0.2") as stranger:
            expect_status(stranger.ask("PAUSE", LONG, {"Session": client.session}), 454)
        with Client(world.server) as heir:
            expect_plays(client)
            expect_status(heir.ask("PAUSE", LONG, {"Session": client.session}), 200)
            client.receive(0.5)
            count = len(client.rtp[0])
            client.receive(0.5)
            expect(len(client.rtp[0]) == count, "PAUSE did not stop it")
            expect_status(heir.ask("PLAY", LONG, {"Session": client.session}), 200)
            expect_plays(client)
            with Client(world.server) as third:
                expect_status(third.ask("PAUSE", LONG, {"Session": client.session}), 454)
            expect_status(heir.ask("TEARDOWN", LONG, {"Session": client.session}), 200)
        expect_gone(client, LATE)


@case("112 a UDP session nobody takes over ends about 10 s later [slow]")
def orphan(world):
    with playing_udp(world.server) as client:
        client.close()
        begin = time.monotonic()
        expect_gone(client, 10 + LATE)
        expect(time.monotonic() - begin > 7, "too early")


@case("112 while reports come it goes on [slow]")
def orphan_with_reports(world):
    with playing_udp(world.server) as client:
        client.close()
        for _ in range(8):
            client.receive(1.8)
            client.rtcp_sockets[0].sendto(receiver_report(7), client.server_rtcp)
        expect(not client.said_goodbye(1), "ended although reports come")
        expect_plays(client)


@case("114 a file that is removed while it plays: to the end, or an end that is said [slow]")
def removed(world):
    with Client(world.server) as client:
        client.set_up_tcp("vanishing.mp4")
        client.play("vanishing.mp4")
        client.receive(0.5)
        os.remove(os.path.join(world.root, "vanishing.mp4"))
        client.receive(15, until=lambda: client.closed_at or client.said_goodbye(2))
        expect(client.closed_at or client.said_goodbye(2), "hangs")
        if not client.closed_at:
            expect_status(client.ask("DESCRIBE", "vanishing.mp4", session=False), 404)


# --- Time limits of connections

@case("a request that does not end is closed after 10 s [slow]")
def header_timeout(world):
    with Client(world.server) as client:
        client.sock.sendall(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n")
        begin = time.monotonic()
        # Bytes now and then do not help.
        while not client.closed_at and time.monotonic() - begin < 10 + LATE:
            client.receive(1, until=lambda: client.closed_at)
            if not client.closed_at:
                try:
                    client.sock.sendall(b"X: y\r\n")
                except OSError:
                    break
        took = time.monotonic() - begin
        expect(8 < took < 10 + LATE, f"closed after {took:.1f} s")


@case("an idle connection without a session is closed after 15 s [slow]")
def idle_timeout(world):
    with Client(world.server) as silent, Client(world.server) as once:
        expect_usable(once)
        begin = time.monotonic()
        for client in (silent, once):
            expect(client.closes_within(15 + LATE), "stays open")
            took = time.monotonic() - begin
            expect(took > 13, f"closed after {took:.1f} s")


@case("a peer that takes nothing is closed after 10 s, others play on [slow]")
def write_stall(world):
    with Client(world.server) as other:
        other.set_up_tcp(LONG)
        other.play(LONG)
        stuck = Client(world.server, receive_buffer=4096)
        stuck.set_up_tcp(LONG)
        # A stream alone would not fill the kernel's buffers in this time: ask until nothing fits.
        stuck.sock.settimeout(3)  # a loaded machine may keep the server from reading for a while
        request = stuck.format("DESCRIBE", LONG)
        try:
            for _ in range(100000):
                stuck.sock.sendall(request)
        except OSError:
            pass
        expect_plays(other, 10)
        expect_plays(other, LATE)
        expect(is_ended(stuck.sock), "still open")
        stuck.close()
        expect_plays(other)


def is_ended(sock):
    """Whether the other side has let go. A reset may not get through a window that was full, so it
    is asked for once more by sending."""
    sock.settimeout(2)
    for _ in range(2):
        try:
            while sock.recv(1 << 20):
                pass
            return True
        except TimeoutError:
            pass
        except ConnectionResetError:
            return True
        try:
            sock.send(b"\r\n")
        except TimeoutError:
            return False
        except OSError:
            return True
    return False


# --- Whole processes

@case("146 SIGTERM while playing: BYE over TCP and UDP, status 0")
def sigterm(world):
    for number in (signal.SIGTERM, signal.SIGINT):
        with Server(world.millrace, world.root, backend=world.backend) as server:
            with Client(server) as over_tcp, playing_udp(server) as over_udp:
                over_tcp.set_up_tcp(LONG)
                over_tcp.play(LONG)
                over_tcp.receive(0.5)
                server.process.send_signal(number)
                for client in (over_tcp, over_udp):
                    expect(client.receive(LATE, until=lambda: client.said_goodbye(2)), "no BYE")
                expect(server.process.wait(10) == 0, f"status {server.process.returncode}")


@case("a port in use is one clear line and a status other than 0")
def port_in_use(world):
    done = subprocess.run([world.millrace, "serve", world.root, "--bind", "127.0.0.1", "--port",
                           str(world.server.port), "--backend", world.backend],
                          capture_output=True, text=True, timeout=20, check=False)
    lines = (done.stdout + done.stderr).strip().splitlines()
    expect(done.returncode != 0, "status 0")
    expect(len(lines) == 1 and str(world.server.port) in lines[0], f"{lines}")


@case("out of descriptors: accepting pauses without spinning, then goes on")
def out_of_descriptors(world):
    if is_sanitized(world.millrace):
        print("SKIP out of descriptors: the sanitizers need some themselves")
        return
    with Server(world.millrace, world.root, backend=world.backend) as server, \
            Client(server) as first:
        first.set_up_tcp(LONG)
        first.play(LONG)
        first.receive(0.5)
        limits = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE,
                         (server.descriptors(), limits[1]))
        waiting = [socket.create_connection(("127.0.0.1", server.port), timeout=5)
                   for _ in range(20)]
        try:
            for sock in waiting:
                sock.sendall(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
            begin = server.cpu_seconds()
            expect_plays(first, 2)
            used = server.cpu_seconds() - begin
            expect(used < 0.6, f"{used:.2f} s of CPU in 2 s")
            # io_uring accepts by the limit of when it was asked to: there all are served.
            if world.backend == "epoll":
                waiting[-1].settimeout(0.5)
                try:
                    seen = waiting[-1].recv(4096)
                except TimeoutError:
                    seen = None
                expect(seen is None, f"received {seen!r} instead of waiting")
                pauses = sum("accepting pauses" in line for line in server.log_lines)
                expect(0 < pauses < 60, f"{pauses} lines about it in the log")
            resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, limits)
            for sock in waiting:
                sock.settimeout(5)
                expect(sock.recv(4096).startswith(b"RTSP/1.0 200"), "not served afterwards")
            expect_plays(first)
        finally:
            for sock in waiting:
                sock.close()


@case("a low ulimit -n: more connections than fit are turned away, others served when some close")
def low_limit(world):
    with Server(world.millrace, world.root, "--shards", "1", backend=world.backend,
                files_max=100) as server:
        def open_many():
            sockets = []
            served = 0
            for _ in range(120):
                sockets.append(socket.create_connection(("127.0.0.1", server.port), timeout=5))
            for sock in sockets:
                try:
                    sock.sendall(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
                except OSError:
                    pass
            time.sleep(1)
            for sock in sockets:
                sock.setblocking(False)
                try:
                    served += sock.recv(4096).startswith(b"RTSP/1.0 200")
                except OSError:
                    pass
            return sockets, served

        for _ in range(2):
            sockets, served = open_many()
            expect(8 <= served < 120, f"{served} of 120 connections are served")
            for sock in sockets:
                sock.close()
            time.sleep(1)
        with Client(server) as client:
            client.set_up_tcp(CLIP)
            client.play(CLIP)
            expect(client.receive(5, until=lambda: client.rtp[0]), "no media")


@case("IPv6: the SDP says so, media comes over TCP")
def ipv6(world):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        print("SKIP IPv6: this host has none")
        return
    with Server(world.millrace, world.root, backend=world.backend, bind=None) as server, \
            Client(server, host="::1") as client:
        described = client.ask("DESCRIBE", server.url(CLIP, "[::1]"))
        expect_status(described, 200)
        expect("IN IP6" in described.body.decode(), described.body.decode())
        for stream in (0, 1):
            response = client.ask("SETUP", server.url(f"{CLIP}/trackID={stream + 1}", "[::1]"),
                                  {"Transport": TCP.format(f"{2 * stream}-{2 * stream + 1}")})
            expect_status(response, 200)
            client.session = response.session()
        expect_status(client.ask("PLAY", server.url(CLIP, "[::1]")), 200)
        expect(client.receive(5, until=lambda: client.rtp[0] and client.rtp[1]), "no media")
