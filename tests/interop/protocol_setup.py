"""Cases 50-75: SETUP and Transport."""
import re
import socket
import struct

from interop import expect
from protocol_cases import case
from protocol_messages import expect_status, expect_usable
from rtsp_client import Client

CLIP = "clip.mp4"
TCP = "RTP/AVP/TCP;unicast;interleaved={}"


@case("50, 53 SETUP over UDP: ports, ssrc")
def udp(world):
    with Client(world.server) as client:
        ports = client.udp_ports(0)
        response = client.set_up(CLIP, 0, f"RTP/AVP;unicast;{ports}")
        expect_status(response, 200)
        expect(len(client.session) >= 8 and re.fullmatch(r"[\w$.+-]+", client.session),
               f"session {client.session!r}")
        expect("," not in response["Transport"], "several transports")
        expect(f"client_port={response.transport('client_port')}" == ports, "another client_port")
        rtp, rtcp = map(int, response.transport("server_port").split("-"))
        expect(rtp % 2 == 0 and rtcp == rtp + 1, f"server_port {rtp}-{rtcp}")
        ssrc = response.transport("ssrc")
        client.play(CLIP)
        expect(client.receive(5, until=lambda: len(client.rtp[0]) > 20), "no media")
        if ssrc is not None:
            expect(re.fullmatch(r"[0-9A-Fa-f]{8}", ssrc), f"ssrc={ssrc}")
            expect({packet.ssrc for packet in client.rtp[0]} == {int(ssrc, 16)}, "another SSRC")


@case("51 session ids are distinct")
def ids(world):
    seen = set()
    with Client(world.server) as client:
        for _ in range(400):
            response = client.ask("SETUP", f"{CLIP}/trackID=1", {"Transport": TCP.format("0-1")},
                                  session=False)
            expect_status(response, 200)
            seen.add(response.session())
            client.ask("TEARDOWN", CLIP, {"Session": response.session()})
    expect(len(seen) == 400, f"{len(seen)} of 400 are distinct")
    for position in range(8):
        expect(len({session[position] for session in seen}) > 4,
               f"character {position} hardly varies")


@case("52 the time-out is said and is what is granted")
def timeout_said(world):
    for server, seconds in ((world.server, 60), (world.brief, 2)):
        with Client(server) as client:
            response = client.set_up_tcp(CLIP)
            found = re.search(r";timeout=(\d+)", response["Session"])
            expect((int(found.group(1)) if found else 60) == seconds, response["Session"])


@case("54 the interleaved pair asked for carries that stream and nothing else does")
def interleaved(world):
    with Client(world.server) as client:
        for stream, pair in ((0, "4-5"), (1, "200-201")):
            response = client.set_up(CLIP, stream, TCP.format(pair))
            expect_status(response, 200)
            expect(response.transport("interleaved") == pair, response["Transport"])
        info = client.play(CLIP).rtp_info()
        client.receive(1)
        expect(set(client.rtp) == {2, 100} and set(client.rtcp) == {2, 100},
               f"channels {set(client.rtp)} {set(client.rtcp)}")
        for key, (_, seq, _) in zip((2, 100), info):
            expect(client.rtp[key][0].sequence == seq, "streams swapped")


@case("55 without interleaved= the server picks free pairs")
def pair_chosen(world):
    with Client(world.server) as client:
        pairs = set()
        for stream in (0, 1):
            response = client.set_up(CLIP, stream, "RTP/AVP/TCP;unicast")
            expect_status(response, 200)
            pairs.add(response.transport("interleaved"))
        expect(len(pairs) == 2 and None not in pairs, f"{pairs}")


@case("56 never two streams on one channel")
def pair_taken(world):
    with Client(world.server) as client:
        first = client.set_up(CLIP, 0, TCP.format("0-1"))
        expect_status(first, 200)
        for wanted in ("0-1", "1-2"):
            second = client.set_up(CLIP, 1, TCP.format(wanted))
            expect_status(second, 200, 400, 461)
            if second.status == 200:
                channels = set(second.transport("interleaved").split("-"))
                expect(not channels & {"0", "1"}, second["Transport"])


@case("57, 62, 63, 66, 67, 73 transports that cannot be")
def bad_transports(world):
    with Client(world.server) as client:
        for transport, statuses in (
                [(TCP.format(pair), {400, 461})
                 for pair in ("256-257", "1-0", "0-0", "-1", "a-b", "")]
                + [(f"RTP/AVP;unicast;client_port={ports}", {400, 461})
                   for ports in ("0-0", "65536-65537", "5001-5000", "x-y", "-", "99999999999")]
                + [("FOO/BAR", {461}), ("RTP/AVP;multicast", {461}), ("RTP/SAVP;unicast", {461}),
                   ("RTP/AVP;unicast", {400, 461}), (";;;", {400, 461}), (",", {400, 461}),
                   ('RTP/AVP;unicast;client_port=5000-5001;mode="RECORD"', {403, 405, 461}),
                   ("RTP/AVP;unicast;client_port=5000-5001;append", {400, 461})]):
            response = client.ask("SETUP", f"{CLIP}/trackID=1", {"Transport": transport})
            expect(response.status in statuses, f"{transport!r}: {response.status}")
            expect(response["Session"] is None, f"{transport!r}: a session was made")
        expect_status(client.ask("SETUP", f"{CLIP}/trackID=1"), 400, 461)
        expect_usable(client)


@case("58-59 one session for the tracks of a file, and for no other file's")
def bundled(world):
    with Client(world.server) as client:
        first = client.set_up(CLIP, 0, TCP.format("0-1"))
        other = client.ask("SETUP", "h265.mp4/trackID=1", {"Transport": TCP.format("2-3")})
        expect_status(other, 200, 400, 459)
        second = client.set_up(CLIP, 1, TCP.format("4-5"))
        expect_status(second, 200)
        expect(first.session() == second.session(), "two sessions")
        client.play(CLIP)
        expect(client.receive(5, until=lambda: client.rtp[0] and client.rtp[2]), "no media")


@case("61, 71 tracks that are not there, and none named")
def tracks(world):
    with Client(world.server) as client:
        for path, statuses in ((f"{CLIP}/trackID=9", {404, 400}), (f"{CLIP}/trackID=0", {404, 400}),
                               (f"{CLIP}/fish", {404, 400}), (CLIP, {459, 400}),
                               ("nothing.mp4/trackID=1", {404})):
            response = client.ask("SETUP", path, {"Transport": TCP.format("0-1")})
            expect(response.status in statuses, f"{path}: {response.status}")
        expect_status(client.ask("SETUP", "raw.h264", {"Transport": TCP.format("0-1")}), 200)
        expect_usable(client)


@case("64 of several transports the first that is supported")
def several(world):
    with Client(world.server) as client:
        response = client.set_up(CLIP, 0, "FOO/BAR;x=y,RTP/AVP/TCP;unicast;interleaved=8-9,"
                                          "RTP/AVP;unicast;client_port=5000-5001")
        expect_status(response, 200)
        expect(response.transport("interleaved") == "8-9" and "," not in response["Transport"],
               response["Transport"])


@case("65 neither unicast nor multicast is taken as unicast")
def lenient(world):
    with Client(world.server) as client:
        response = client.set_up(CLIP, 0, f"RTP/AVP;{client.udp_ports(0)}")
        expect_status(response, 200, 461)
        if response.status == 200:
            expect("unicast" in response["Transport"], response["Transport"])


@case("68 media goes to nobody but who asked")
def destination(world):
    with Client(world.server) as client, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as victim:
        victim.bind(("127.0.0.3", 0))
        port = victim.getsockname()[1]
        response = client.set_up(CLIP, 0, f"RTP/AVP;unicast;client_port={port}-{port + 1};"
                                          "destination=127.0.0.3")
        expect_status(response, 200, 403, 461, 463)
        if response.status == 200:
            client.play(CLIP)
        victim.settimeout(1.5)
        try:
            expect(not victim.recv(2048), "a packet to a third address")
        except TimeoutError:
            pass


@case("69-70 SETUP again, in Ready and while playing")
def again(world):
    with Client(world.server) as client:
        client.set_up_tcp(CLIP)
        response = client.set_up(CLIP, 0, TCP.format("10-11"))
        expect_status(response, 200, 455, 459)
        client.play(CLIP)
        expect(client.receive(5, until=lambda: client.rtp[1] and (client.rtp[0] or client.rtp[5])),
               "no media")
        if response.status == 200:
            expect(client.rtp[5] and not client.rtp[0], "both transports carry the stream")
        response = client.ask("SETUP", f"{CLIP}/trackID=1", {"Transport": TCP.format("20-21")})
        expect_status(response, 200, 455)
        if response.status == 455:
            expect(response["Allow"], "455 without Allow")
        count = len(client.rtp[5])
        expect(client.receive(5, until=lambda: len(client.rtp[5]) > count), "the media stopped")


@case("72 after a refused SETUP a good one works")
def after_refusal(world):
    with Client(world.server) as client:
        expect_status(client.set_up(CLIP, 0, TCP.format("0-1")), 200)
        expect_status(client.set_up(CLIP, 1, "FOO/BAR"), 461)
        expect_status(client.set_up(CLIP, 1, TCP.format("2-3")), 200)
        client.play(CLIP)
        expect(client.receive(5, until=lambda: client.rtp[0] and client.rtp[1]), "no media")


@case("72 tracks over both transports in one session")
def mixed(world):
    with Client(world.server) as client:
        expect_status(client.set_up(CLIP, 0, f"RTP/AVP;unicast;{client.udp_ports(0)}"), 200)
        expect_status(client.set_up(CLIP, 1, TCP.format("2-3")), 200)
        client.play(CLIP)
        expect(client.receive(12, until=lambda: client.said_goodbye(2)), "no BYE on both")


@case("74 Blocksize is obeyed or ignored")
def blocksize(world):
    with Client(world.server) as client:
        response = client.set_up(CLIP, 0, TCP.format("0-1"), {"Blocksize": "512"})
        expect_status(response, 200)
        client.play(CLIP)
        expect(client.receive(5, until=lambda: len(client.rtp[0]) > 20), "no media")
        if response["Blocksize"]:
            expect(max(len(packet.payload) for packet in client.rtp[0]) <= 512, "larger packets")


@case("75 too many sessions on a connection are refused, those that are stay")
def too_many(world):
    with Client(world.server) as client:
        sessions = []
        for _ in range(80):
            response = client.ask("SETUP", f"{CLIP}/trackID=1",
                                  {"Transport": "RTP/AVP/TCP;unicast"}, session=False)
            if response.status != 200:
                break
            sessions.append(response.session())
        expect_status(response, 453, 503)
        expect(response.status != 503 or response["Retry-After"], "no Retry-After")
        expect_status(client.ask("PLAY", CLIP, {"Session": sessions[0]}), 200)
        expect(client.receive(5, until=lambda: len(client.rtp[0]) > 20), "no media")


@case("113 two clients on one connection have distinct sessions")
def two_on_one(world):
    with Client(world.server) as client:
        sessions = []
        for pair in ("0-1", "2-3"):
            response = client.ask("SETUP", f"{CLIP}/trackID=1", {"Transport": TCP.format(pair)},
                                  session=False)
            expect_status(response, 200)
            sessions.append(response.session())
        expect(sessions[0] != sessions[1], "one session")
        for session in sessions:
            expect_status(client.ask("PLAY", CLIP, {"Session": session}), 200)
        expect(client.receive(5, until=lambda: client.rtp[0] and client.rtp[1]), "no media")
        expect_status(client.ask("TEARDOWN", CLIP, {"Session": sessions[0]}), 200)
        count = len(client.rtp[1])
        expect(client.receive(5, until=lambda: len(client.rtp[1]) > count), "the other one stopped")


@case("130 interleaved frames: RTCP is read, unknown channels and nonsense are ignored")
def client_frames(world):
    with Client(world.server) as client:
        client.set_up_tcp(CLIP)
        client.play(CLIP)
        report = struct.pack(">BBHI", 0x80, 201, 1, 0x1234) + struct.pack(
            ">BBHIBB", 0x81, 202, 2, 0x1234, 1, 0) + b"\0\0"
        for channel, data in ((1, report), (9, b"x" * 100), (0, b""), (1, b""), (1, b"\xff" * 50),
                              (200, b"y" * 65535), (3, report)):
            client.sock.sendall(struct.pack(">cBH", b"$", channel, len(data)) + data)
        expect_status(client.ask("GET_PARAMETER", CLIP), 200)
        expect(client.receive(10, until=lambda: client.said_goodbye(2)), "no BYE at the end")
