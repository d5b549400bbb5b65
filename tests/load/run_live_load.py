#!/usr/bin/env python3
"""The live load check: one publisher, many readers of it, some of which read nothing; nobody else
may lose a packet.

    run_live_load.py MILLRACE MILLRACE_LOAD [--udp 100] [--tcp 20] [--stalled 5] [--for 8]
                     [--backend NAME]… [--publisher tcp|udp]… [--strict]

The defaults are a tenth of the full load, which is --udp 1000 --tcp 200 --stalled 50 --for 20.
Without --backend both are run, without --publisher both lower transports. The delay from the
publisher to the readers is always told; with --strict 99 % of the packets must stay below 20 ms.
"""
import argparse
import os
import sys
import tempfile

sys.dont_write_bytecode = True  # leaves no cache in the source tree
from run_load import free_port, serve_and_play

DELAY_P99_MS = 20


def run_on(backend, publisher, options, empty):
    """Whether a server with this backend passed, which includes leaving with status 0."""
    print(f"\n== {backend}, published over {publisher}", flush=True)
    port = free_port()
    viewers = options.udp + options.tcp + options.stalled
    command = [options.millrace_load, "play", f"rtsp://127.0.0.1:{port}/live/load",
               "--publish", publisher, "--udp", str(options.udp), "--tcp", str(options.tcp),
               "--stalled", str(options.stalled), "--for", str(options.seconds),
               "--rate", str(viewers / options.ramp), "--settle", str(options.settle),
               "--threads", str(options.threads)]
    if options.strict:
        command += ["--max-p99-delay", f"{DELAY_P99_MS}ms"]
    return serve_and_play(
        "run_live_load",
        [options.millrace, "serve", empty, "--bind", "127.0.0.1", "--backend", backend],
        command, port, options.seconds + options.ramp + 40)[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("millrace")
    parser.add_argument("millrace_load")
    parser.add_argument("--udp", type=int, default=100)
    parser.add_argument("--tcp", type=int, default=20)
    parser.add_argument("--stalled", type=int, default=5)
    parser.add_argument("--for", type=int, default=8, dest="seconds")
    parser.add_argument("--ramp", type=float, default=2)
    parser.add_argument("--settle", type=float, default=0,
                        help="seconds after PLAY in which a reader's delay does not count")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count()),
                        help="of the readers: one that reads for all adds to their delay (2)")
    parser.add_argument("--backend", action="append", choices=["io_uring", "epoll"])
    parser.add_argument("--publisher", action="append", choices=["tcp", "udp"])
    parser.add_argument("--strict", action="store_true")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as empty:
        passed = [run_on(backend, publisher, options, empty)
                  for backend in options.backend or ["io_uring", "epoll"]
                  for publisher in options.publisher or ["tcp", "udp"]]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
