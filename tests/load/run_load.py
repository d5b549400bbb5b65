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


def encode(path, seconds, size, frames, video_kbit, audio_kbit, tone):
    """H.264 and AAC in an MP4 file, a key frame every two seconds; the noise keeps the encoder at its
    rate."""
    part = path + ".part"
    subprocess.run(
        ["ffmpeg", "-nostdin", "-loglevel", "error", "-y",
         "-f", "lavfi", "-i", f"testsrc2=size={size}:rate={frames},noise=alls=12:allf=t",
         "-f", "lavfi", "-i", f"sine=frequency={tone}:sample_rate=48000", "-t", str(seconds),
         "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", str(2 * frames),
         "-b:v", f"{video_kbit}k", "-maxrate", f"{video_kbit * 20 // 19}k",
         "-bufsize", f"{video_kbit * 20 // 19}k",
         "-c:a", "aac", "-b:a", f"{audio_kbit}k", "-movflags", "+faststart", "-f", "mp4", part],
        check=True, timeout=300)
    os.rename(part, path)


def make_clip(folder, seconds):
    """2 Mbit/s, `seconds` long."""
    path = os.path.join(folder, f"load_{seconds}s.mp4")
    if os.path.exists(path):
        return path
    os.makedirs(folder, exist_ok=True)
    encode(path, seconds, size="640x360", frames=30, video_kbit=1900, audio_kbit=128, tone=440)
    megabits = os.path.getsize(path) * 8 / 1e6 / seconds
    print(f"{os.path.basename(path)}: {megabits:.2f} Mbit/s")
    if not 1.5 < megabits < 2.5:
        os.remove(path)
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


def serve_and_play(name, serve, play, port, within):
    """Runs the server `serve` on `port` and, once it answers, the client `play`, which is told the
    server's process, for `within` seconds at most. (Whether both left with status 0, the log.)"""
    with tempfile.TemporaryFile("w+") as log:
        server = subprocess.Popen([*serve, "--port", str(port)], stdout=log,
                                  stderr=subprocess.STDOUT)
        ok = False
        try:
            if wait_until_served(server, port):
                ok = subprocess.run([*play, "--server-pid", str(server.pid)], timeout=within,
                                    check=False).returncode == 0
            else:
                print(f"{name}: the server did not come up")
        except subprocess.TimeoutExpired:
            print(f"{name}: millrace-load did not come to an end")
        finally:
            status = stop(server)
        log.seek(0)
        lines = log.readlines()
    if status != 0:
        print(f"{name}: the server left with status {status}, not 0")
    if not ok or status != 0:
        print("the server's log, its end:\n" + "".join(lines[-60:]))
    sys.stdout.flush()
    return ok and status == 0, "".join(lines)


def run_on(backend, options, clip):
    """Whether a server with this backend passed, which includes leaving with status 0."""
    print(f"\n== {backend}", flush=True)
    port = free_port()
    return serve_and_play(
        "run_load",
        [options.millrace, "serve", os.path.dirname(clip), "--bind", "127.0.0.1",
         "--backend", backend],
        [options.millrace_load, "play", f"rtsp://127.0.0.1:{port}/{os.path.basename(clip)}",
         "--udp", str(options.udp), "--tcp", str(options.tcp), "--for", str(options.seconds),
         "--rate", str((options.udp + options.tcp) / RAMP)],
        port, options.seconds + RAMP + 40)[0]


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
