"""Cases 1-44: messages, names, DESCRIBE and its SDP."""
import base64
import re
import time
import urllib.parse

from interop import Server, expect, is_sanitized, nal_type, split_nal_units
from protocol_cases import case
from rtsp_client import Client

METHODS = {"OPTIONS", "DESCRIBE", "SETUP", "PLAY", "PAUSE", "TEARDOWN"}


def expect_status(response, *statuses):
    expect(response.status in statuses, f"{response.text.splitlines()[0]!r}, wanted {statuses}")


def expect_usable(client):
    expect_status(client.ask("OPTIONS", "*"), 200)


# What one raw request is answered with. {url} is a clip's. A trailing blank line is added.
REQUESTS = [
    ("1 OPTIONS of a path", "OPTIONS {url} RTSP/1.0\nCSeq: 1", {200}),
    ("2 OPTIONS *", "OPTIONS * RTSP/1.0\nCSeq: 1", {200}),
    ("4 no CSeq", "OPTIONS * RTSP/1.0\nUser-Agent: x", {400}),
    ("6 CSeq of letters", "OPTIONS * RTSP/1.0\nCSeq: abc", {400}),
    ("6 negative CSeq", "OPTIONS * RTSP/1.0\nCSeq: -1", {400}),
    ("6 CSeq with NUL", "OPTIONS * RTSP/1.0\nCSeq: 1\0", {400}),
    ("6 CSeq of 400 digits", "OPTIONS * RTSP/1.0\nCSeq: " + "1" * 400, {400}),
    ("7 unknown method", "FROB {url} RTSP/1.0\nCSeq: 1", {501}),
    ("8 method in lower case", "options {url} RTSP/1.0\nCSeq: 1", {501}),
    ("9 RECORD of a file", "RECORD {url} RTSP/1.0\nCSeq: 1", {405}),
    ("9 ANNOUNCE of a file", "ANNOUNCE {url} RTSP/1.0\nCSeq: 1", {405}),
    ("10 RTSP/9.9", "OPTIONS * RTSP/9.9\nCSeq: 1", {505}),
    ("11 RTSP/2.0", "OPTIONS * RTSP/2.0\nCSeq: 1", {505}),
    ("13 header names in any case", "OPTIONS * RTSP/1.0\ncSeQ:1", {200}),
    ("13 space before the colon", "OPTIONS * RTSP/1.0\ncseq :1", {400}),
    ("14 blank lines before the request", "\n\nOPTIONS * RTSP/1.0\nCSeq: 1", {200}),
    ("22 unknown headers", "OPTIONS * RTSP/1.0\nCSeq: 1\nX-Fish: trout\nFish:", {200}),
    ("28 rtspu", "DESCRIBE rtspu://h/clip.mp4 RTSP/1.0\nCSeq: 1", {501}),
    ("28 rtsps on the plain port", "DESCRIBE rtsps://h/clip.mp4 RTSP/1.0\nCSeq: 1", {301, 400}),
    ("34 DESCRIBE of what is not there", "DESCRIBE {base}nothing.mp4 RTSP/1.0\nCSeq: 1", {404}),
    ("35 Accept: application/json",
     "DESCRIBE {url} RTSP/1.0\nCSeq: 1\nAccept: application/json", {406}),
    ("33 Accept: application/sdp",
     "DESCRIBE {url} RTSP/1.0\nCSeq: 1\nAccept: application/sdp", {200}),
    ("60 SETUP in an unknown session",
     "SETUP {url}/trackID=1 RTSP/1.0\nCSeq: 1\nSession: 12345678\n"
     "Transport: RTP/AVP/TCP;interleaved=0-1", {454}),
    ("78 PLAY without a session", "PLAY {url} RTSP/1.0\nCSeq: 1", {454}),
    ("78 PLAY in an unknown session", "PLAY {url} RTSP/1.0\nCSeq: 1\nSession: 12345678", {454}),
    ("79 PAUSE without a session", "PAUSE {url} RTSP/1.0\nCSeq: 1", {454, 455}),
    ("103 TEARDOWN without a session", "TEARDOWN {url} RTSP/1.0\nCSeq: 1", {454}),
    ("103 TEARDOWN of an unknown session", "TEARDOWN {url} RTSP/1.0\nCSeq: 1\nSession: 9", {454}),
    ("105 GET_PARAMETER of an unknown session", "GET_PARAMETER {url} RTSP/1.0\nCSeq: 1\nSession: 9",
     {454}),
    ("a folder is 404", "DESCRIBE {base}a RTSP/1.0\nCSeq: 1", {404}),
    ("the root is 404", "DESCRIBE {base} RTSP/1.0\nCSeq: 1", {404}),
    ("a broken file is 415", "DESCRIBE {base}broken.mp4 RTSP/1.0\nCSeq: 1", {415}),
    ("an empty file is 415", "DESCRIBE {base}empty.mp4 RTSP/1.0\nCSeq: 1", {415}),
    ("a fifo is not opened", "DESCRIBE {base}fifo.mp4 RTSP/1.0\nCSeq: 1", {403, 404}),
    (".. is refused", "DESCRIBE {base}../{folder}/clip.mp4 RTSP/1.0\nCSeq: 1", {400, 403, 404}),
    ("encoded .. is refused", "DESCRIBE {base}%2e%2e/{folder}/clip.mp4 RTSP/1.0\nCSeq: 1",
     {400, 403, 404}),
    (".. behind an encoded slash is refused",
     "DESCRIBE {base}a%2f..%2f..%2f{folder}%2fclip.mp4 RTSP/1.0\nCSeq: 1", {400, 403, 404}),
    ("an absolute path is refused", "DESCRIBE {base}/etc/passwd RTSP/1.0\nCSeq: 1",
     {400, 403, 404}),
    ("a link out of the root is 404", "DESCRIBE {base}out.mp4 RTSP/1.0\nCSeq: 1", {404}),
    ("a folder linked from outside is 404",
     "DESCRIBE {base}folder-out/h264_aac.mp4 RTSP/1.0\nCSeq: 1", {404}),
    ("a link within the root is served", "DESCRIBE {base}in.mp4 RTSP/1.0\nCSeq: 1", {200}),
    ("an encoded NUL is refused", "DESCRIBE {base}clip.mp4%00 RTSP/1.0\nCSeq: 1", {400, 404}),
    ("29 half an escape is refused", "DESCRIBE {base}clip.mp4%4 RTSP/1.0\nCSeq: 1", {400, 404}),
    ("29 percent-encoded path", "DESCRIBE {base}%63lip%2Emp4 RTSP/1.0\nCSeq: 1", {200}),
    ("29 query", "DESCRIBE {url}?token=1&x=%20 RTSP/1.0\nCSeq: 1", {200}),
]


def ask_raw(world, request, statuses):
    with Client(world.server) as client:
        text = request.format(url=client.url("clip.mp4"), base=client.url(),
                              folder=world.root.rsplit("/", 1)[1])
        response = client.raw((text + "\n\n").replace("\n", "\r\n").encode())
        expect_status(response, *statuses)
        if "CSeq: 1" in text.splitlines():
            expect(response["CSeq"] == "1", f"CSeq {response['CSeq']!r}")
        if response.status in (400,):
            expect("abc" not in response.text and "\0" not in response.text,
                   "nonsense is reflected")
        if response.status in (405, 455):
            expect("PLAY" in (response["Allow"] or ""), f"Allow {response['Allow']!r}")
        if request.startswith("OPTIONS") and response.status == 200:
            methods = {word.strip() for word in (response["Public"] or "").split(",")}
            expect(METHODS <= methods, f"Public {response['Public']!r}")
        if response.status in (404, 405, 406, 454, 501):
            expect_usable(client)


for _name, _request, _statuses in REQUESTS:
    case(_name)(lambda world, request=_request, statuses=_statuses:
                ask_raw(world, request, statuses))


@case("3 the CSeq comes back with every status")
def cseq_everywhere(world):
    with Client(world.server) as client:  # Client.ask compares it
        for method, path, headers, status in (
                ("DESCRIBE", "nothing.mp4", {}, 404), ("PLAY", "clip.mp4", {}, 454),
                ("DESCRIBE", "clip.mp4", {"Accept": "a/b"}, 406), ("FROB", "clip.mp4", {}, 501),
                ("OPTIONS", "*", {"Require": "x"}, 551), ("RECORD", "clip.mp4", {}, 405),
                ("SETUP", "clip.mp4/trackID=1", {"Transport": "FOO/BAR"}, 461)):
            expect_status(client.ask(method, path, headers), status)


@case("4 no CSeq is invented")
def no_cseq(world):
    with Client(world.server) as client:
        expect(client.raw(b"OPTIONS * RTSP/1.0\r\n\r\n")["CSeq"] is None, "a CSeq in the answer")


@case("5 large CSeqs and leading zeros come back as they were")
def odd_cseq(world):
    with Client(world.server) as client:
        for cseq in ("2147483648", "4294967295", "0007", "0"):
            response = client.raw(f"OPTIONS * RTSP/1.0\r\nCSeq: {cseq}\r\n\r\n".encode())
            expect(response["CSeq"] == cseq, f"{cseq} became {response['CSeq']}")


@case("15 lines ended by bare LF are answered, by bare CR never hang")
def line_ends(world):
    with Client(world.server) as client:
        expect_status(client.raw(b"OPTIONS * RTSP/1.0\nCSeq: 1\n\n"), 200)
    with Client(world.server) as client:
        client.sock.sendall(b"OPTIONS * RTSP/1.0\rCSeq: 1\r\r")
        client.receive(14, until=lambda: client.responses or client.closed_at)
        expect(client.responses or client.closed_at, "neither an answer nor a close")


@case("16 one byte per segment")
def byte_by_byte(world):
    with Client(world.server) as client:
        request = client.format("DESCRIBE", "clip.mp4", {"Accept": "application/sdp"})
        for i in range(len(request)):
            client.sock.sendall(request[i:i + 1])
            time.sleep(0.005)
        slow = client.response()
        whole = client.ask("DESCRIBE", "clip.mp4", {"Accept": "application/sdp"})
        expect((slow.status, slow.body) == (whole.status, whole.body), "another answer")


@case("17 requests in one segment are answered in order")
def pipelined(world):
    with Client(world.server) as client:
        count = 60
        client.sock.sendall(b"".join(
            client.format("DESCRIBE" if i % 3 else "OPTIONS", "clip.mp4") for i in range(count)))
        got = [client.response()["CSeq"] for _ in range(count)]
        expect(got == [str(i + 1) for i in range(count)], f"order {got}")


@case("18 a body is skipped")
def body(world):
    with Client(world.server) as client:
        client.sock.sendall(client.format("OPTIONS", "*", body=b"12345")
                            + client.format("OPTIONS", "*"))
        for cseq in "12":
            response = client.response()
            expect_status(response, 200)
            expect(response["CSeq"] == cseq, f"CSeq {response['CSeq']}")


@case("19-20 impossible lengths are refused and the connection ends")
def lengths(world):
    for length in ("Content-Length: -1", "Content-Length: abc",
                   "Content-Length: 9223372036854775808",
                   "Content-Length: 5\r\nContent-Length: 6", "Content-Length: 100000000"):
        with Client(world.server) as client:
            response = client.raw(f"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n{length}\r\n\r\n".encode())
            expect(response.status in (400, 413), f"{length}: {response.status}")
            expect(client.closes_within(5), f"{length}: stays open")


@case("21 lines and headers without end are refused")
def endless(world):
    for data in (b"OPTIONS rtsp://h/" + b"a" * 70000,
                 b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nX: " + b"a" * 200000,
                 b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n" + b"X: y\r\n" * 6000):
        with Client(world.server) as client:
            try:
                client.sock.sendall(data)
                response = client.response()
                expect(response.status in (400, 413, 414, 431), f"{response.status}")
            except (ConnectionResetError, BrokenPipeError):
                pass
            except AssertionError as error:
                expect(client.closed_at, str(error))


@case("23 Connection: close")
def close(world):
    with Client(world.server) as client:
        expect_status(client.ask("OPTIONS", "*", {"Connection": "close"}), 200)
        expect(client.closes_within(5), "stays open")


@case("24 Timestamp comes back")
def timestamp(world):
    with Client(world.server) as client:
        got = client.ask("OPTIONS", "*", {"Timestamp": "123.4"})["Timestamp"] or ""
        expect(re.fullmatch(r"123\.4( [\d.]+)?", got), f"Timestamp {got!r}")


@case("25-26 what is required and not known is named and nothing is done")
def require(world):
    with Client(world.server) as client:
        response = client.ask("SETUP", "clip.mp4/trackID=1", {
            "Transport": "RTP/AVP/TCP;interleaved=0-1", "Require": "funky-a, funky-b"})
        expect_status(response, 551)
        expect("funky-a" in response["Unsupported"] and "funky-b" in response["Unsupported"],
               f"Unsupported {response['Unsupported']!r}")
        expect(response["Session"] is None, "a session was made")
        response = client.ask("OPTIONS", "*", {"Proxy-Require": "funky"})
        expect_status(response, 551)
        expect("funky" in response["Unsupported"], f"Unsupported {response['Unsupported']!r}")


@case("27, 33, 44 DESCRIBE: date, type, length, no session")
def describe(world):
    with Client(world.server) as client:
        response = client.ask("DESCRIBE", "clip.mp4")
        expect_status(response, 200)
        expect(response["Content-Type"] == "application/sdp", f"{response['Content-Type']}")
        expect(len(response.body) == int(response["Content-Length"]) > 0, "length")
        expect(response["Session"] is None, "a Session header")
        time.strptime(response["Date"], "%a, %d %b %Y %H:%M:%S GMT")
        expect_usable(client)  # nothing follows the counted body


@case("29 names with spaces, UTF-8, a percent sign and folders")
def names(world):
    with Client(world.server) as client:
        for name in ("name with spaces.mp4", "grüße 日本.mp4", "100%.mp4", "a/b c/deep.mp4"):
            path = urllib.parse.quote(name)
            response = client.ask("DESCRIBE", path)
            expect(response.status == 200, f"{name}: {response.status}")
            control = control_urls(response, client.url(path))[1]
            response = client.ask("SETUP", control, {"Transport": "RTP/AVP/TCP;interleaved=0-1"},
                                  session=False)
            expect(response.status == 200, f"SETUP {control}: {response.status}")
            played = client.ask("PLAY", path, {"Session": response.session()})
            expect(played.status == 200, f"PLAY {name}: {played.status}")
            expect(control in [url for url, _, _ in played.rtp_info()], f"{played['RTP-Info']}")
            client.ask("TEARDOWN", path, {"Session": response.session()})


@case("31 a response nobody asked for does no harm")
def unasked(world):
    with Client(world.server) as client:
        client.sock.sendall(b"RTSP/1.0 501 Not Implemented\r\nCSeq: 7\r\n\r\n")
        expect_usable(client)


@case("34, 44 thousands of DESCRIBEs leave memory and descriptors flat")
def flat(world):
    with Server(world.millrace, world.root, backend=world.backend) as server, \
            Client(server) as client:
        def ask(count, path):
            for begin in range(0, count, 50):
                client.sock.sendall(b"".join(client.format("DESCRIBE", path.format(begin + i))
                                             for i in range(50)))
                for _ in range(50):
                    client.response()

        ask(500, "n{}.mp4")
        ask(100, "clip.mp4")
        before = server.memory_kib(), server.descriptors()
        ask(5000, "random-{}/n.mp4")
        ask(1000, "clip.mp4")
        after = server.memory_kib(), server.descriptors()
        expect(is_sanitized(world.millrace) or after[0] - before[0] < 4 << 10,
               f"{before[0]} KiB became {after[0]} KiB")
        expect(after[1] <= before[1] + 2, f"{before[1]} descriptors became {after[1]}")


# --- SDP

def control_urls(response, request_url):
    """Of the session and of each media section (RFC 2326 C.1.1)."""
    base = response["Content-Base"] or response["Content-Location"] or request_url
    controls = re.findall(r"^a=control:(.*)\r$", response.body.decode(), re.M)
    return [base if control == "*" else control if "://" in control
            else base + ("" if base.endswith("/") else "/") + control for control in controls]


def sdp_of(client, path):
    response = client.ask("DESCRIBE", path)
    expect_status(response, 200)
    text = response.body.decode()
    expect(text.endswith("\r\n") and "\n" not in text.replace("\r\n", ""), "line ends")
    session, *media = re.split(r"(?m)^(?=m=)", text.replace("\r\n", "\n"))
    return response, session, media


def value(section, pattern):
    found = re.search(pattern, section, re.M)
    expect(found, f"no {pattern} in {section!r}")
    return found.group(1)


@case("36-41 the SDP: order, addresses, controls that resolve, payload types")
def sdp(world):
    with Client(world.server) as client:
        for path, tracks in (("clip.mp4", 2), ("h265.mp4", 2), ("raw.h264", 1)):
            response, session, media = sdp_of(client, path)
            expect(re.match(r"v=0\no=\S+ \d+ \d+ IN IP4 \S+\ns=[^\n]+\n", session), session)
            letters = "".join(re.findall(r"(?m)^(\w)=", session))
            expect(re.fullmatch(r"vosi?u?e*p*c?b*t+a*", letters), f"order {letters}")
            value(session, r"^t=(0 0)$")
            expect(len(media) == tracks, f"{len(media)} media sections")
            expect("\nc=" in session or all("\nc=" in section for section in media), "no c=")
            value(session, r"^a=control:(.+)$")
            urls = control_urls(response, client.url(path))
            expect(len(set(urls)) == tracks + 1, f"controls {urls}")
            for section in media:
                payload_type = value(section, r"^m=\w+ 0 RTP/AVP (\d+)$")
                expect(96 <= int(payload_type) <= 127, payload_type)
                expect(f"\na=rtpmap:{payload_type} " in section, "no rtpmap")
            for url in urls[1:]:
                expect(url.startswith("rtsp://"), url)


@case("42 a=range is the file's duration")
def duration(world):
    with Client(world.server) as client:
        for path, clip in (("clip.mp4", "h264_aac.mp4"), ("h265.mp4", "h265_aac.mp4")):
            reference = world.references[clip]
            end = max(max(reference.video_times) + 1 / 25, max(reference.audio_times))
            got = float(value(sdp_of(client, path)[1], r"^a=range:npt=0(?:\.0*)?-([\d.]+)$"))
            expect(abs(got - end) < 0.045, f"{path}: {got}, the file ends at {end}")


@case("43 o= is the same in every answer")
def origin(world):
    with Client(world.server) as client:
        lines = {value(sdp_of(client, "clip.mp4")[1], r"^(o=.*)$") for _ in range(50)}
        expect(len(lines) == 1, f"{len(lines)} origins")
        other = value(sdp_of(client, "h265.mp4")[1], r"^(o=.*)$")
        expect(other not in lines, "two files with one origin")


@case("46 H.264 parameters")
def h264_parameters(world):
    with Client(world.server) as client:
        section = sdp_of(client, "clip.mp4")[2][0]
        value(section, r"^a=rtpmap:\d+ (H264/90000)$")
        expect("packetization-mode=1" in section, "packetization-mode")
        sets = [base64.b64decode(part, validate=True) for part in
                value(section, r"sprop-parameter-sets=([^;\s]+)").split(",")]
        expect([nal_type(unit, "h264") for unit in sets] == [7, 8], "not SPS and PPS")
        level = value(section, r"profile-level-id=(\w{6})")
        expect(level.upper() == sets[0][1:4].hex().upper(), f"profile-level-id {level}")
        with open(world.references["raw.h264"].path, "rb") as raw:
            units = split_nal_units(raw.read(65536))
        for unit in sets:
            expect(unit in units, "a parameter set that is not the file's")


@case("47 H.265 parameters")
def h265_parameters(world):
    with Client(world.server) as client:
        section = sdp_of(client, "h265.mp4")[2][0]
        value(section, r"^a=rtpmap:\d+ (H265/90000)$")
        for name, kind in (("vps", 32), ("sps", 33), ("pps", 34)):
            unit = base64.b64decode(value(section, rf"sprop-{name}=([^;\s]+)"), validate=True)
            expect(nal_type(unit, "h265") == kind,
                   f"sprop-{name} holds type {nal_type(unit, 'h265')}")
        expect("sprop-max-don-diff" not in section, "DON")


@case("48 AAC parameters")
def aac_parameters(world):
    with Client(world.server) as client:
        for path, rate, config in (("clip.mp4", 48000, "1190"), ("h265.mp4", 44100, "1210")):
            section = sdp_of(client, path)[2][1]
            value(section, rf"^a=rtpmap:\d+ (mpeg4-generic/{rate}/2)$")
            for word in ("streamtype=5", "mode=AAC-hbr", "sizelength=13", "indexlength=3",
                         "indexdeltalength=3"):
                expect(re.search(rf"[; ]{word}(;|\s)", section), f"no {word}")
            got = value(section, r"config=([0-9A-Fa-f]+)")
            expect(got.startswith(config), f"config {got}")
