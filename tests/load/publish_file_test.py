#!/usr/bin/env python3
"""Files that millrace-load publishes: what players get of them is the file, and what cannot be
published is refused with one clear line.

    publish_file_test.py MILLRACE MILLRACE_LOAD WORK_FOLDER [WORD…]

WORDs select the checks whose names contain one of them.
"""
import concurrent.futures
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True  # leaves no cache in the source tree
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "interop"))
import clips  # noqa: E402  (the path must be there first)
import interop  # noqa: E402
import publish_players  # noqa: E402
from interop import expect, expect_run, media_units  # noqa: E402
from live_client import Reader  # noqa: E402
from publish_protocol import expect_gone, status_of  # noqa: E402
from rtsp_client import (aac_units, access_units, expect_continuous, nal_units,  # noqa: E402
                         ticks_between)

WITHIN = 220
AT_ONCE = 4  # checks side by side, each with its players
COMMAND_WITHIN = 60
PUBLISHED_WITHIN = 20
CLIPS = {"h264": "live_h264.mp4", "h265": "live_h265.mp4"}
AUDIO_RATES = {"h264": 48000, "h265": 44100}
SATURATED = 3  # a machine that is too busy for the test is not a fault


class World:
    """What the checks share."""

    def __init__(self, server, load, folder, references, work):
        self.server, self.load = server, load
        self.clip = {codec: os.path.join(folder, name) for codec, name in CLIPS.items()}
        self.references = references
        self.work = work

    def start(self, *arguments):
        return subprocess.Popen([self.load, "publish", *arguments], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, *arguments):
        return finish(self.start(*arguments))


def finish(process):
    """(status, standard output, standard error)."""
    try:
        said, complained = process.communicate(timeout=COMMAND_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise AssertionError(f"publish did not end within {COMMAND_WITHIN} s") from None
    return process.returncode, said, complained


def expect_fine(status, said, complained):
    if status == SATURATED and "RESULT CLIENT SATURATED" in said:
        return
    expect((status, complained) == (0, "") and said.endswith("RESULT ok\n"),
           f"left with {status}: {complained}{said}")


@contextlib.contextmanager
def published(world, path, *arguments):
    """While it is; the process must not fail."""
    process = world.start(*arguments)
    try:
        deadline = time.monotonic() + PUBLISHED_WITHIN
        while status_of(world.server, path) != 200:
            expect(process.poll() is None and time.monotonic() < deadline,
                   f"{path} is not published")
            time.sleep(0.02)
        yield process
        expect_fine(*finish(process))
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            pipe.close()


# --- What players get

def plays_as_the_file(world, codec, transport):
    """From a key frame to the very end, over both transports, decoded and packet by packet."""
    path = f"live/{codec}-{transport}"
    figures = os.path.join(world.work, f"{codec}-{transport}.json")
    reference = world.references[codec]
    with published(world, path, world.clip[codec], world.server.url(path), "--transport",
                   transport, "--json", figures):
        problems = publish_players.play_all(world.server, path, reference, ["ffmpeg", "packets"],
                                            world.work, tail_max=0)
    expect(not problems, "; ".join(problems))
    with open(figures) as file:
        result = json.load(file)
    expect(result["units"] == len(reference.frames) + len(reference.audio),
           f"{result['units']} units left, the file has {len(reference.frames)} pictures and "
           f"{len(reference.audio)} audio frames")
    expect((result["command"], result["recorded"], result["failures"], result["transport"])
           == ("publish", 1, {}, transport), str(result))
    reports = result["reports"]
    expect(reports["sent"] >= 4 and reports["received"] >= 2
           and reports["fraction_lost_max"] == reports["packets_lost"] == 0, str(reports))


def ffmpeg_records_the_file(world, codec, transport):
    """The same with ffmpeg as the server, which shares no line with either of us."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"rtsp://127.0.0.1:{port}/live/a"
    out = os.path.join(world.work, f"recorded-{codec}-{transport}")
    recorder = subprocess.Popen(
        ["ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-threads", "1", "-rtsp_flags", "listen",
         "-i", url, "-map", "0:v", "-fps_mode", "passthrough", "-f", "framehash", "-hash", "md5",
         out + ".frames", "-map", "0:a", "-c", "copy", "-f", "framehash", "-hash", "md5",
         out + ".audio"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + PUBLISHED_WITHIN
        while not is_listening(port):  # a connection would be taken for the publisher's
            expect(time.monotonic() < deadline, "ffmpeg does not listen")
            time.sleep(0.05)
        expect_fine(*world.run(world.clip[codec], url, "--transport", transport))
        recorder.communicate(timeout=COMMAND_WITHIN)
    finally:
        recorder.kill()
        recorder.communicate()
    reference = world.references[codec]
    interop.expect_same_list(interop.framehash_hashes(out + ".frames"), reference.frames,
                             "pictures")
    interop.expect_same_list(interop.framehash_hashes(out + ".audio"), reference.audio,
                             "audio frames")


def is_listening(port):
    with open("/proc/net/tcp") as sockets:
        return any(re.search(rf":{port:04X} \S+ 0A ", line) for line in sockets)


def several_streams(world):
    """Each number has a stream of its own, all of them the file."""
    reference = world.references["h264"]
    paths = [f"live/several-{i}" for i in range(4)]
    url = world.server.url("live/several-{i}")
    with published(world, paths[-1], world.clip["h264"], url, "--streams", "4", "--transport",
                   "udp"), contextlib.ExitStack() as stack:
        readers = [stack.enter_context(Reader(world.server)).join(path, "tcp") for path in paths]
        with concurrent.futures.ThreadPoolExecutor(len(readers)) as pool:
            ended = list(pool.map(lambda reader: reader.ends_within(40), readers))
    expect(all(ended), f"which were told of the end: {ended}")
    ssrcs = set()
    for reader in readers:
        video, sound = tracks_of(reader)
        expect_continuous(video)
        expect_continuous(sound)
        publish_players.expect_units(media_units(nal_units(video, "h264"), "h264"),
                                     [interop.md5(unit) for _, unit in aac_units(sound)],
                                     reference, tail_max=0)
        ssrcs |= {video[0].ssrc, sound[0].ssrc}
    expect(len(ssrcs) == 8, f"{len(ssrcs)} SSRCs in 8 tracks")


def tracks_of(reader):
    """Packets of video and of audio."""
    order = re.findall(r"(?m)^m=(\w+)", reader.sdp)
    return [reader.rtp[order.index(media)] for media in ("video", "audio")]


def starts_anew(world):
    """With --for beyond the end: sequence numbers go on, and time by the same for both tracks."""
    path = "live/loop"
    reference = world.references["h264"]
    with published(world, path, world.clip["h264"], world.server.url(path), "--for",
                   f"{clips.LIVE_SECONDS + 4}s"), Reader(world.server) as reader:
        reader.join(path, "tcp")
        expect(reader.ends_within(40), "was not told of the end")
    video, sound = tracks_of(reader)
    for packets in (video, sound):
        expect_continuous(packets)
    expect_run(media_units(nal_units(video, "h264"), "h264"), reference.units * 2, "NAL units",
               tail_max=len(reference.units))
    audio = aac_units(sound)
    expect_run([interop.md5(unit) for _, unit in audio], reference.audio * 2, "audio frames",
               tail_max=len(reference.audio))
    pictures = [timestamp for timestamp, _ in access_units(video)]
    passed = {"video": seconds_of_a_pass(pictures, len(reference.frames), 90000),
              "audio": seconds_of_a_pass([timestamp for timestamp, _ in audio],
                                         len(reference.audio), AUDIO_RATES["h264"])}
    expect(abs(passed["video"] - passed["audio"]) < 1e-4, f"seconds of a pass: {passed}")
    expect(clips.LIVE_SECONDS <= passed["video"] < clips.LIVE_SECONDS + 0.2, f"{passed}")


def seconds_of_a_pass(timestamps, units, clock_rate):
    expect(len(timestamps) > units + 25, f"only {len(timestamps)} units of {units} and some more")
    return ticks_between(timestamps[units], timestamps[0]) / clock_rate


def is_interrupted(world):
    """SIGINT ends a loop in order."""
    path = "live/interrupted"
    with published(world, path, world.clip["h264"], world.server.url(path), "--loop") as process:
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        expect_gone(world.server, path, within=5)


# --- What cannot be published

def refusals(world):
    """(name, arguments, status, words of the one line of complaint)."""
    clip, server = world.clip["h264"], world.server
    text = os.path.join(world.work, "text.mp4")
    with open(text, "w") as file:
        file.write("no media at all\n" * 100)
    nothing = os.path.join(world.work, "nothing.mkv")
    interop.tool("ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-f", "lavfi", "-i",
                 "testsrc=d=1", "-c:v", "ffv1", nothing)
    url = server.url("live/refused")
    closed = socket.socket()
    closed.bind(("127.0.0.1", 0))  # and nobody listens
    nobody = f"rtsp://127.0.0.1:{closed.getsockname()[1]}/live/a"
    return [
        ("no such file", [clip + "x", url], 2, [clip + "x", "No such file"]),
        ("a file that is no media", [text, url], 2, [text, "media"]),
        ("a file of which nothing can be sent", [nothing, url], 2, [nothing]),
        ("a folder", [world.work, url], 2, [world.work]),
        ("another protocol", [clip, "http://127.0.0.1/a"], 2, ["http://127.0.0.1/a", "rtsp://"]),
        ("several streams at one URL", [clip, url, "--streams", "3"], 2, [url, "{i}"]),
        ("a path that may not be published to", [clip, server.url("elsewhere")], 1,
         [server.url("elsewhere"), "ANNOUNCE", "405"]),
        ("nobody listening", [clip, nobody], 1, [nobody, "connect: Connection refused"]),
    ], closed


def is_refused(world, arguments, status, words):
    left_with, said, complained = world.run(*arguments)
    expect(left_with == status, f"left with {left_with}: {complained}{said}")
    expect(complained.count("\n") == 1 and all(word in complained for word in words), complained)


def taken_path(world):
    """The second publisher of a path is refused, the first goes on."""
    path = "live/taken"
    url = world.server.url(path)
    with published(world, path, world.clip["h264"], url, "--for", "4s"):
        is_refused(world, [world.clip["h264"], url], 1, [url, "ANNOUNCE", " answered 4"])


def many_refused(world):
    """A handful of lines for however many streams, the rest counted."""
    status, said, complained = world.run(world.clip["h264"], world.server.url("elsewhere/{i}"),
                                         "--streams", "30")
    expect(status == 1 and said.endswith("RESULT FAILED 30 streams: ANNOUNCE answered 405 "
                                         "Method Not Allowed\n"), f"{status}: {said}")
    expect(complained.count("\n") == 5, complained)


# --- Servers that do not do as they should

class Recorder:
    """Takes whatever is published; `behaviour(method, connection)` may do something else than
    answer, and then returns True. Notes when the media of each connection began."""

    def __init__(self, behaviour=lambda method, connection: False):
        self.behaviour = behaviour
        self.listener = socket.socket()
        # Set before there are connections, which take it over: little of the media fits in there.
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        self.media_began = {}

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.close()

    def url(self, path):
        return f"rtsp://127.0.0.1:{self.listener.getsockname()[1]}/{path}"

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection = self.listener.accept()[0]
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        data = b""
        with connection, contextlib.suppress(OSError):
            while received := connection.recv(65536):
                data = self.take(connection, data + received)

    def take(self, connection, data):
        while data:
            if data[:1] == b"$":
                size = 4 + int.from_bytes(data[2:4], "big")
                if len(data) < size:
                    break
                if data[1] == 0:
                    self.media_began.setdefault(connection, time.monotonic())
                data = data[size:]
                continue
            head, end, rest = data.partition(b"\r\n\r\n")
            length = int((re.search(rb"Content-Length: (\d+)", head) or [b"", b"0"])[1])
            if not end or len(rest) < length:
                break
            data = rest[length:]
            self.answer(connection, head.decode())
        return data

    def answer(self, connection, head):
        if self.behaviour(head.split(" ")[0], connection):
            return
        lines = ["RTSP/1.0 200 OK", re.search(r"CSeq: \d+", head)[0], "Session: 12345678;timeout=8"]
        transport = re.search(r"Transport: .*", head)
        lines += [transport[0].strip()] if transport else []
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())


def against(world, behaviour, words, *arguments):
    """One stream to a Recorder that fails; the complaint says so in one line."""
    with Recorder(behaviour) as server:
        is_refused(world, [world.clip["h264"], server.url("a"), *arguments], 1,
                   [server.url("a"), *words])


def answers_with(method, line):
    def behaviour(asked, connection):
        if asked == method:
            connection.sendall(f"RTSP/1.0 {line}\r\nCSeq: {answers_with.cseq[method]}\r\n\r\n"
                               .encode())
        return asked == method
    return behaviour


answers_with.cseq = {"ANNOUNCE": 1, "SETUP": 2, "RECORD": 4}


def closes_at(method):
    def behaviour(asked, connection):
        if asked == method:
            connection.shutdown(socket.SHUT_RDWR)
        return asked == method
    return behaviour


def is_silent_at(method):
    return lambda asked, connection: asked == method


def busy_clip(world):
    """Enough bits that the kernel's buffers do not hide a server that reads nothing."""
    path = os.path.join(world.work, "busy.mp4")
    interop.tool("ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-f", "lavfi", "-i",
                 "testsrc2=size=640x360:rate=25:d=5,noise=alls=100:allf=t", "-c:v", "libx264",
                 "-preset", "ultrafast", "-b:v", "20M", "-maxrate", "20M", "-bufsize", "2M",
                 "-g", "25", "-pix_fmt", "yuv420p", path)
    return path


def naps_at_record(seconds):
    def behaviour(method, connection):
        if method == "RECORD":
            connection.sendall(b"RTSP/1.0 200 OK\r\nCSeq: 3\r\n\r\n")
            time.sleep(seconds)
        return method == "RECORD"
    return behaviour


def falls_behind(world, clip):
    """A server that stops reading for a while holds units up, which is its fault and not ours."""
    with Recorder(naps_at_record(3)) as server:
        status, said, _ = world.run(clip, server.url("a"))
    expect(status == 1 and "RESULT FAILED the server fell behind" in said, f"{status}: {said}")


def reads_nothing(world, clip):
    """What waits for such a server is bounded."""
    with Recorder(naps_at_record(COMMAND_WITHIN)) as server:
        status, said, complained = world.run(clip, server.url("a"), "--loop")
        expect(status == 1 and "too slowly: 8 MiB" in complained, f"{status}: {complained}{said}")


def starts_are_strewn(world):
    """Four streams of a file with a key frame a second begin a quarter of a second apart."""
    with Recorder() as server:
        expect_fine(*world.run(world.clip["h264"], server.url("{i}"), "--streams", "4", "--for",
                               "2s"))
        began = sorted(server.media_began.values())
    gaps = [later - earlier for earlier, later in zip(began, began[1:])]
    expect(len(gaps) == 3 and all(0.15 < gap < 0.35 for gap in gaps), f"gaps: {gaps}")


def is_interrupted_while_opening(world):
    """A server that answers nothing is left at once."""
    with Recorder(lambda method, connection: True) as server:
        process = world.start(world.clip["h264"], server.url("{i}"), "--streams", "100")
        time.sleep(1)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        status, said, complained = finish(process)
    expect(time.monotonic() - began < 2, f"left {time.monotonic() - began:.1f} s later")
    expect((status, complained) == (1, "")
           and said.endswith("FAILED interrupted when 0 of 100 streams recorded\n"),
           f"{status}: {complained}{said}")


def keeps_alive(world):
    """The server says that it forgets sessions after 8 s."""
    asked = []
    with Recorder(lambda method, connection: asked.append(method)) as server:
        expect_fine(*world.run(world.clip["h264"], server.url("a")))
    expect(asked == ["ANNOUNCE", "SETUP", "SETUP", "RECORD", "OPTIONS", "OPTIONS", "TEARDOWN"],
           str(asked))


def add_checks(checks, world):
    for codec in CLIPS:
        for transport in ("tcp", "udp"):
            checks.add(f"{codec} published over {transport} is played as it is in the file",
                       plays_as_the_file, world, codec, transport)
    for codec, transport in (("h264", "tcp"), ("h265", "udp")):
        checks.add(f"{codec} published over {transport} to ffmpeg is the file",
                   ffmpeg_records_the_file, world, codec, transport)
    checks.add("several streams, each the file", several_streams, world)
    checks.add("a file that starts anew goes on in sequence and time", starts_anew, world)
    checks.add("SIGINT ends a loop in order", is_interrupted, world)
    checks.add("SIGINT while a server does not answer", is_interrupted_while_opening, world)
    checks.add("a path that somebody publishes already", taken_path, world)
    checks.add("many refused streams make few lines", many_refused, world)
    busy = busy_clip(world)
    checks.add("a server that stops reading for a while", falls_behind, world, busy)
    checks.add("a server that reads nothing", reads_nothing, world, busy)
    checks.add("the streams' starts are strewn", starts_are_strewn, world)
    checks.add("the session is kept alive", keeps_alive, world)
    checks.add("a server that does not answer", against, world, is_silent_at("SETUP"),
               ["SETUP was not answered within 10 s"])
    checks.add("a server that closes", against, world, closes_at("RECORD"),
               ["the server closed the connection"])
    for method, line in (("SETUP", "461 Unsupported Transport"), ("RECORD", "503 No")):
        checks.add(f"{method} that is refused", against, world, answers_with(method, line),
                   [f"{method} answered {line}"])
    cases, closed = refusals(world)
    for name, *case in cases:
        checks.add(f"{name}: one line and the status", is_refused, world, *case)
    return closed


def main():
    millrace, load, folder, words = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
    os.makedirs(folder, exist_ok=True)
    if not interop.have("ffmpeg", "ffprobe"):
        return 0
    made = clips.make(folder, recipes=clips.LIVE_RECIPES)
    checks = interop.Checks(WITHIN)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        empty = os.path.join(work, "empty")
        os.mkdir(empty)
        references = {codec: clips.Reference(os.path.join(made, name), work)
                      for codec, name in CLIPS.items()}
        with interop.Server(millrace, empty) as server:
            with add_checks(checks, World(server, load, made, references, work)):
                checks.jobs = [job for job in checks.jobs
                               if not words or any(word in job[0] for word in words)]
                return 1 if checks.run(AT_ONCE) else 0


if __name__ == "__main__":
    sys.exit(main())
