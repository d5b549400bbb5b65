#!/usr/bin/env python3
"""Publishers and readers are killed with SIGKILL over and over; nothing of them may stay behind.

    kill_loop.py MILLRACE [--rounds 100] [--seed 1] [--backend NAME]…

In a round a publisher and two readers, over TCP and over UDP, get to where media flow and are
killed in one of several orders, while another publisher and another reader are killed wherever they
have got to by then. After 20 rounds of warm-up, and again at the end, the server is left alone
until its sessions have run out: its descriptors and sockets must then be as many as before, its
memory within 8 MiB. Without --backend both are run.
"""
import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback

sys.dont_write_bytecode = True  # leaves no cache in the source tree
HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "interop"))
from interop import is_sanitized  # noqa: E402  (the path must be there first)
from live_client import Broadcast, Reader  # noqa: E402
from rtsp_client import Client  # noqa: E402
from run_load import free_port, stop, wait_until_served  # noqa: E402

WARM_UP_ROUNDS = 20
SESSION_TIMEOUT = 2
SETTLED_WITHIN = 20
READY_WITHIN = 10
GONE_WITHIN = 3
GROWTH_BYTES_MAX = 8 << 20
EARLY_WITHIN = 0.04  # about as long as it takes to publish or to join
ORDERS = (("publisher", "tcp", "udp"), ("tcp", "udp", "publisher"), ("udp", "publisher", "tcp"))


class Address:
    """As much of a server as a client wants to know."""

    def __init__(self, port):
        self.port = port

    def url(self, path="", host="127.0.0.1"):
        return f"rtsp://{host}:{self.port}/{path}"


# --- The processes that are killed

def publish(address, path, transport, ready):
    with Broadcast(address, path, transport):
        ready()
        time.sleep(60)


def read(address, path, transport, ready):
    with Reader(address) as reader:
        reader.join(path, transport)
        if reader.receive(READY_WITHIN, until=lambda: reader.rtp[0] and reader.rtp[1]):
            ready()
            reader.receive(60)


class Child:
    def __init__(self, what, *arguments):
        self.what = " ".join([what.__name__, *arguments[1:]])
        self.pipe, write_end = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                os.close(self.pipe)
                what(*arguments, lambda: os.write(write_end, b"."))
                status = 0
            except BaseException:  # nothing may get back into the parent's code
                traceback.print_exc()
            finally:
                os._exit(status)
        os.close(write_end)

    def wait_ready(self):
        # An end of file instead, when it has failed; it says why.
        if os.read(self.pipe, 1) != b".":
            raise AssertionError(f"{self.what} did not get to media")

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.pipe)


# --- Rounds

def expect_gone(address, path):
    deadline = time.monotonic() + GONE_WITHIN
    with Client(address) as client:
        while client.ask("DESCRIBE", path).status != 404:
            if time.monotonic() > deadline:
                raise AssertionError(f"{path} outlived its publisher by {GONE_WITHIN} s")
            time.sleep(0.01)


def one_round(address, number, rng):
    path, early_path = f"live/kill-{number}", f"live/early-{number}"
    transport = rng.choice(("tcp", "udp"))
    children = {"publisher": Child(publish, address, path, transport)}
    early = []
    try:
        children["publisher"].wait_ready()
        early = [Child(publish, address, early_path, rng.choice(("tcp", "udp"))),
                 Child(read, address, path, rng.choice(("tcp", "udp")))]
        for reader in ("tcp", "udp"):
            children[reader] = Child(read, address, path, reader)
        time.sleep(rng.random() * EARLY_WITHIN)
        while early:
            early.pop().kill()
        for reader in ("tcp", "udp"):
            children[reader].wait_ready()
        for name in rng.choice(ORDERS):
            children.pop(name).kill()
            time.sleep(rng.choice((0, 0, 0.01)))
    finally:
        for child in [*early, *children.values()]:
            child.kill()
    expect_gone(address, path)
    expect_gone(address, early_path)


# --- What the server holds

def holdings(pid):
    """Its descriptors, and its sockets by their kind."""
    folder = f"/proc/{pid}/fd"
    inodes = set()
    count = 0
    for name in os.listdir(folder):
        try:
            target = os.readlink(os.path.join(folder, name))
        except FileNotFoundError:
            continue  # closed in between
        count += 1
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    held = {"descriptors": count}
    for kind in ("tcp", "tcp6", "udp", "udp6"):
        with open(f"/proc/{pid}/net/{kind}") as table:
            held[kind] = sum(line.split()[9] in inodes for line in list(table)[1:])
    return held


def resident(pid):
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def settle(pid, wanted=None):
    """What it holds once its sessions are over: `wanted`, if it gets there in time."""
    deadline = time.monotonic() + SETTLED_WITHIN
    time.sleep(SESSION_TIMEOUT + 2)
    held = holdings(pid)
    while wanted and held != wanted and time.monotonic() < deadline:
        time.sleep(0.2)
        held = holdings(pid)
    return held


def run_rounds(server, address, options):
    """What was wrong; nothing when all was well."""
    rng = random.Random(options.seed)
    for number in range(WARM_UP_ROUNDS):
        one_round(address, number, rng)
    before, memory_before = settle(server.pid), resident(server.pid)
    started = time.monotonic()
    for number in range(WARM_UP_ROUNDS, WARM_UP_ROUNDS + options.rounds):
        one_round(address, number, rng)
    took = time.monotonic() - started
    after, grown = settle(server.pid, before), resident(server.pid) - memory_before
    print(f"{options.rounds} rounds in {took:.1f} s; memory {memory_before / 2**20:.1f} MiB, grown "
          f"by {grown / 2**20:.2f} MiB; held: {after}", flush=True)
    wrong = []
    if after != before:
        wrong.append(f"it held {before} before")
    if grown > GROWTH_BYTES_MAX and not is_sanitized(options.millrace):
        wrong.append(f"its memory grew by {grown / 2**20:.1f} MiB")
    if server.poll() is not None:
        wrong.append("it has died")
    return wrong


def run_on(backend, options, empty):
    """Whether it went well, which includes the server's leaving with status 0."""
    print(f"\n== {backend}", flush=True)
    port = free_port()
    with tempfile.TemporaryFile("w+") as log:
        server = subprocess.Popen(
            [options.millrace, "serve", empty, "--bind", "127.0.0.1", "--port", str(port),
             "--shards", "2", "--backend", backend, "--session-timeout", str(SESSION_TIMEOUT)],
            stdout=log, stderr=subprocess.STDOUT)
        wrong = ["it did not come up"]
        try:
            if wait_until_served(server, port):
                wrong = run_rounds(server, Address(port), options)
        except (AssertionError, OSError) as error:
            wrong = [f"{type(error).__name__}: {error}"]
        finally:
            status = stop(server)
        if status != 0:
            wrong.append(f"it left with status {status}")
        if wrong:
            print("kill_loop: FAILED: " + "; ".join(wrong))
            log.seek(0)
            print("the server's log, its end:\n" + "".join(log.readlines()[-60:]))
        sys.stdout.flush()
        return not wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("millrace")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--backend", action="append", choices=["io_uring", "epoll"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as empty:
        passed = [run_on(backend, options, empty)
                  for backend in options.backend or ["io_uring", "epoll"]]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
