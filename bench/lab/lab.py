"""The bench: servers, publishers and clients, each started where it belongs, and what they report.

The server has the first processors (as many as shards, two at most), the client the next one; where
there is none left, they share the last, which only the rows of two shards do on a machine of two.
The publisher of a live stream sits on the client's. Commands are given relative to the repository,
so that they can be typed again as the results show them.
"""
import contextlib
import dataclasses
import json
import math
import os
import resource
import socket
import subprocess
import time

from lab.processes import (Children, Failed, cpu_seconds, free_port, last_words,
                           wait_until_listening)

# Over UDP a viewer of two tracks has a connection and two pairs of ports, over TCP a connection.
DESCRIPTORS = {"udp": 5, "tcp": 1}
DESCRIPTORS_SPARE = 200
# Joins a second: more would be a measurement of joins.
JOINS_MAX = 500


@dataclasses.dataclass
class Times:
    """Of one run, in seconds."""
    runs: int = 3
    join: float = 2  # until the last viewer has joined, if JOINS_MAX allows
    settle: float = 1
    window: float = 5
    limit: float = 4  # twice the clip's distance between key frames
    clip: int = 150


@dataclasses.dataclass
class Server:
    process: subprocess.Popen
    port: int

    @property
    def pid(self):
        return self.process.pid

    def url(self, path):
        return f"rtsp://127.0.0.1:{self.port}/{path}"


class Lab:
    def __init__(self, root, build, times):
        self.root, self.build, self.times = root, build, times
        os.chdir(root)
        self.work = self.shown(os.path.join(build, "lab"))
        self.clip = os.path.join(self.work, "clips", f"clip_{times.clip}s.mp4")
        self.trains = os.path.join(self.work, "trains.txt")
        self.children = Children()
        self.cpus = sorted(os.sched_getaffinity(0))
        self.descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - DESCRIPTORS_SPARE
        os.makedirs(os.path.dirname(self.clip), exist_ok=True)

    def shown(self, path):
        """The path as commands name it: relative to the repository, if it is below it."""
        relative = os.path.relpath(path, self.root)
        return os.path.abspath(path) if relative.startswith("..") else relative

    def program(self, *path):
        """A program of the build, which must be there."""
        found = self.shown(os.path.join(self.build, *path))
        if not os.access(found, os.X_OK):
            raise Failed(f"{found} is missing; build it: cmake --build {self.shown(self.build)}")
        return found

    def server_cpus(self, shards):
        return self.cpus[:min(shards, 2)]

    def client_cpu(self, shards=1):
        return self.cpus[min(shards, len(self.cpus) - 1, 2)]

    def make_clip(self):
        """2 Mbit/s of H.264, 720p25, a key frame every 2 s, no B-frames, and AAC."""
        if not os.path.exists(self.clip):
            part = self.clip + ".part"
            status, output = self.children.run(
                ["ffmpeg", "-nostdin", "-loglevel", "error", "-y",
                 "-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25,noise=alls=6:allf=t",
                 "-f", "lavfi", "-i", "sine=frequency=330:beep_factor=4:sample_rate=48000",
                 "-t", self.times.clip, "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt",
                 "yuv420p", "-bf", "0", "-g", "50", "-keyint_min", "50", "-sc_threshold", "0",
                 "-b:v", "2M", "-maxrate", "2M", "-bufsize", "1M", "-c:a", "aac", "-b:a", "128k",
                 "-movflags", "+faststart", "-f", "mp4", part], 300)
            if status != 0:
                raise Failed(f"ffmpeg could not make the clip: {last_words(output)}")
            os.rename(part, self.clip)

    @contextlib.contextmanager
    def millrace(self, backend="auto", shards=1, program=None):
        port = free_port()
        process = self.children.start(
            [program or self.program("millrace"), "serve", os.path.dirname(self.clip), "--bind",
             "127.0.0.1", "--port", port, "--shards", shards, "--backend", backend,
             "--log-level", "warning"], self.server_cpus(shards))
        try:
            wait_until_listening(self.children, process, port)
            yield Server(process, port)
            if process.poll() is not None:
                raise Failed(f"the server ended by itself with status {process.returncode}: "
                             + last_words(self.children.output(process)))
        finally:
            self.children.stop(process)

    @contextlib.contextmanager
    def gst(self):
        port = free_port()
        process = self.children.start([self.program("bench", "gst_peer"), "--port", port, "--file",
                                       self.clip], self.server_cpus(1))
        try:
            wait_until_listening(self.children, process, port)
            yield Server(process, port)
            if process.poll() is not None:
                raise Failed(f"gst-rtsp-server ended by itself with status {process.returncode}")
        finally:
            self.children.stop(process)

    @contextlib.contextmanager
    def published(self, server, path="live/bench", shards=1):
        """The clip as a live stream at `path`, over and over."""
        url = server.url(path)
        process = self.children.start([self.program("millrace-load"), "publish", self.clip, url,
                                       "--loop"], [self.client_cpu(shards)])
        try:
            wait_until_described(server.port, url)
            # Until there is a key frame to join at, and the log holds what it always will.
            time.sleep(self.times.settle)
            yield url
            if process.poll() is not None:
                raise Failed("the publisher ended by itself: "
                             + last_words(self.children.output(process)))
        finally:
            self.children.stop(process)

    @contextlib.contextmanager
    def source(self, server, media, shards=1):
        """The URL to play: the clip itself, or a live stream of it."""
        if media == "vod":
            yield server.url(os.path.basename(self.clip))
        else:
            with self.published(server, shards=shards) as url:
                yield url

    def viewers_max(self, transport):
        return self.descriptors // DESCRIPTORS[transport]

    def play(self, server, url, viewers, transport, *extra, shards=1, rate=None, window=None,
             settle=None):
        """The report of the client, which has run to its end."""
        window, settle = window or self.times.window, settle or self.times.settle
        rate = rate or min(JOINS_MAX, max(50, round(viewers / self.times.join)))
        if viewers > self.viewers_max(transport):
            raise Failed(f"{viewers} viewers need more descriptors than a process may have here")
        return self.load("play", url, "--viewers", viewers, "--transport", transport, "--rate",
                         rate, "--for", f"{window:g}s", "--settle", f"{settle:g}s",
                         "--server-pid", server.pid, *extra, shards=shards,
                         timeout=viewers / rate + window + 40)

    def load(self, *arguments, timeout, shards=1):
        """Runs millrace-load on the client's processor; its JSON, to which it adds nothing."""
        report = os.path.join(self.work, "report.json")
        with contextlib.suppress(FileNotFoundError):
            os.remove(report)
        status, output = self.children.run(
            [self.program("millrace-load"), *arguments, "--cpus", self.client_cpu(shards),
             "--json", report], timeout)
        return read_report(report, "millrace-load", status, output)

    def record_trains(self):
        """The trains that one viewer of the live stream gets: what the bare loops send. The first
        second, in which he is given what has been since the key frame, is left out, and what is
        left is a whole number of key frames' distances."""
        seconds = 2 * max(1, math.ceil(self.times.limit / 2))
        raw = self.trains + ".raw"
        with self.millrace() as server, self.published(server) as url:
            self.play(server, url, 1, "udp", "--trains", raw, window=seconds + 2)
        with open(raw, encoding="utf-8") as file:
            lines = [line for line in file
                     if 1e6 <= int(line.split()[0]) < (1 + seconds) * 1e6]
        if not lines:
            raise Failed("no trains were recorded of the live stream")
        with open(self.trains, "w", encoding="utf-8") as file:
            file.writelines(lines)

    def limit(self, transport, sockets, backend="io_uring", shards=1):
        """The bare loop, with as many sockets and the same trains."""
        if not os.path.exists(self.trains):
            self.record_trains()
        report = os.path.join(self.work, "limit.json")
        with contextlib.suppress(FileNotFoundError):
            os.remove(report)
        status, output = self.children.run(
            [self.program("bench", "limit"), transport, "--sockets", sockets, "--trains",
             self.trains, "--for", f"{self.times.limit:g}", "--cpu", self.cpus[0],
             "--receiver-cpu", self.client_cpu(shards), "--contiguous", "--io",
             "syscall" if backend == "epoll" else "uring", "--json", report],
            self.times.limit + 30)
        return read_report(report, "limit", status, output)

    def idle(self, server, seconds):
        """The share of a processor that a server uses while nobody does anything to it."""
        before, start = cpu_seconds(server.pid), time.monotonic()
        time.sleep(seconds)
        return (cpu_seconds(server.pid) - before) / (time.monotonic() - start)


def read_report(path, name, status, output):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        raise Failed(f"{name} left with status {status} and no report: {last_words(output)}"
                     ) from error


def wait_until_described(port, url, seconds=10):
    """Until a DESCRIBE of the URL is answered with 200."""
    request = f"DESCRIBE {url} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n".encode()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            with socket.create_connection(("127.0.0.1", port), timeout=2) as sock:
                sock.sendall(request)
                if sock.recv(64).startswith(b"RTSP/1.0 200"):
                    return
        time.sleep(0.05)
    raise Failed(f"{url} was not published within {seconds} s")
