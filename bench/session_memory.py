#!/usr/bin/env python3
"""What an idle UDP session costs: resident memory per session, connection included, cache excluded.

    session_memory.py MILLRACE FOLDER [--sessions 2000] [--max-kib 8]

Serves a short clip on loopback, sets up both tracks over UDP on one connection per session, plays for
a moment and pauses, then reads the server's resident set. A first batch warms up tables and heap; the
growth over the second batch is what counts. Exits with 1 above --max-kib.
"""
import argparse
import os
import re
import signal
import socket
import subprocess
import sys
import time


def make_clip(folder):
    path = os.path.join(folder, "memory.mp4")
    if not os.path.exists(path):
        os.makedirs(folder, exist_ok=True)
        subprocess.run(
            ["ffmpeg", "-nostdin", "-loglevel", "error", "-y",
             "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25",
             "-f", "lavfi", "-i", "sine=sample_rate=48000", "-t", "10",
             "-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-c:a", "aac",
             "-f", "mp4", path + ".part"], check=True, timeout=120)
        os.rename(path + ".part", path)
    return path


class Player:
    """A connection with one session of two tracks."""

    def __init__(self, port, client_port):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.url = f"rtsp://127.0.0.1:{port}/memory.mp4"
        self.cseq = 0
        self.session = ""
        for track in (1, 2):
            first = client_port + 2 * (track - 1)
            answer = self.ask("SETUP", f"/trackID={track}",
                              f"Transport: RTP/AVP;unicast;client_port={first}-{first + 1}\r\n")
            self.session = re.search(r"Session: (\w+)", answer).group(1)

    def ask(self, method, suffix="", headers=""):
        self.cseq += 1
        if self.session:
            headers += f"Session: {self.session}\r\n"
        self.sock.sendall(f"{method} {self.url}{suffix} RTSP/1.0\r\nCSeq: {self.cseq}\r\n"
                          f"{headers}\r\n".encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            part = self.sock.recv(4096)
            if not part:
                sys.exit("session_memory: the server closed a connection")
            answer += part
        if b" 200 " not in answer.split(b"\r\n")[0]:
            sys.exit(f"session_memory: {method} was answered {answer!r}")
        return answer.decode()


def resident(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def batch(port, count, sink_port):
    players = []
    for _ in range(count):
        player = Player(port, sink_port)
        player.ask("PLAY")
        player.ask("PAUSE")
        players.append(player)
    return players


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("millrace")
    parser.add_argument("folder")
    parser.add_argument("--sessions", type=int, default=2000)
    parser.add_argument("--max-kib", type=float, default=8)
    parser.add_argument("--backend", default="auto")
    args = parser.parse_args()
    make_clip(args.folder)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    # Media and reports of all sessions end here unread; it is the server that is measured.
    sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sink.bind(("127.0.0.1", 0))
    sink_port = min(sink.getsockname()[1], 65000)
    server = subprocess.Popen([args.millrace, "serve", args.folder, "--bind", "127.0.0.1", "--port",
                               str(port), "--shards", "1", "--backend", args.backend,
                               "--cache-mb", "64", "--log-level", "warning"])
    try:
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        held = batch(port, args.sessions, sink_port)
        before = resident(server.pid)
        held += batch(port, args.sessions, sink_port)
        time.sleep(0.5)
        after = resident(server.pid)
        each = (after - before) / args.sessions / 1024
        print(f"{len(held)} idle UDP sessions of two tracks: {each:.2f} KiB of resident memory each "
              f"(growth over the second {args.sessions}), {after / 2**20:.1f} MiB in all")
        return 0 if each <= args.max_kib else 1
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(20)


sys.exit(main())
