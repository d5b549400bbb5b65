#!/usr/bin/env python3
"""The load check: a real server on loopback, a 2 Mbit/s clip, many viewers, not one packet lost.

    run_load.py MILLRACE MILLRACE_LOAD FOLDER [--udp 100] [--tcp 20] [--for 20] [--backend NAME]…

The defaults are a tenth of the full load, which is --udp 1000 --tcp 200. FOLDER keeps the clip between
runs. Without --backend both are run, one after the other, on one shard per core.
"""
import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

RAMP = 3
START_WITHIN = 20
STOP_WITHIN = 20


def make_clip(folder, seconds):
    """2 Mbit/s of H.264 and AAC, `seconds` long; the noise keeps the encoder at its rate."""
    path = os.path.join(folder, f"load_{seconds}s.mp4")
    if os.path.exists(path):
        return path
    os.makedirs(folder, exist_ok=True)
    part = path + ".part"
    subprocess.run(
        ["ffmpeg", "-nostdin", "-loglevel", "error", "-y",
         "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=30,noise=alls=12:allf=t",
         "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-t", str(seconds),
         "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "60",
         "-b:v", "1900k", "-maxrate", "2000k", "-bufsize", "2000k",
         "-c:a", "aac", "-b:a", "128k", "-movflags", "+faststart", "-f", "mp4", part],
        check=True, timeout=300)
    os.rename(part, path)
    megabits = os.path.getsize(path) * 8 / 1e6 / seconds
    print(f"{os.path.basename(path)}: {megabits:.2f} Mbit/s")
    if not 1.5 < megabits < 2.5:
        sys.exit("run_load: the clip is not one of 2 Mbit/s")
    return path


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def wait_until_served(server, port):
    deadline = time.monotonic() + START_WITHIN
    while time.monotonic() < deadline and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return True
        except OSError:
            time.sleep(0.05)
    return False


def run_on(backend, options, clip):
    """Whether a server with this backend passed, which includes leaving with status 0."""
    print(f"\n== {backend}", flush=True)
    port = free_port()
    with tempfile.TemporaryFile("w+") as log:
        server = subprocess.Popen(
            [options.millrace, "serve", os.path.dirname(clip), "--bind", "127.0.0.1",
             "--port", str(port), "--backend", backend], stdout=log, stderr=subprocess.STDOUT)
        ok = False
        try:
            if wait_until_served(server, port):
                ok = subprocess.run(
                    [options.millrace_load, "play",
                     f"rtsp://127.0.0.1:{port}/{os.path.basename(clip)}",
                     "--udp", str(options.udp), "--tcp", str(options.tcp),
                     "--for", str(options.seconds), "--rate",
                     str((options.udp + options.tcp) / RAMP),
                     "--server-pid", str(server.pid)],
                    timeout=options.seconds + RAMP + 40, check=False).returncode == 0
            else:
                print("run_load: the server did not come up")
        except subprocess.TimeoutExpired:
            print("run_load: millrace-load did not come to an end")
        finally:
            status = stop(server)
        if status != 0:
            print(f"run_load: the server left with status {status}, not 0")
        if not ok or status != 0:
            log.seek(0)
            print("the server's log, its end:\n" + "".join(log.readlines()[-60:]))
        sys.stdout.flush()
        return ok and status == 0


def stop(server):
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
    try:
        return server.wait(STOP_WITHIN)
    except subprocess.TimeoutExpired:
        server.kill()
        return server.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("millrace")
    parser.add_argument("millrace_load")
    parser.add_argument("folder")
    parser.add_argument("--udp", type=int, default=100)
    parser.add_argument("--tcp", type=int, default=20)
    parser.add_argument("--for", type=int, default=20, dest="seconds")
    parser.add_argument("--backend", action="append", choices=["io_uring", "epoll"])
    options = parser.parse_args()

    clip = make_clip(options.folder, options.seconds + RAMP + 17)
    passed = [run_on(backend, options, clip)
              for backend in options.backend or ["io_uring", "epoll"]]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
