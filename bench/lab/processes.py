"""Child processes that are pinned, bounded in time, and gone when the measurement is.

Every child is known by its Popen; none outlives Children.stop_all(), and should this program be
killed outright, the kernel kills them (PR_SET_PDEATHSIG). Ctrl-C reaches only this program, which
then ends them itself, for they are in sessions of their own.
"""
import ctypes
import os
import signal
import socket
import subprocess
import tempfile
import time

PR_SET_PDEATHSIG = 1
STOP_WITHIN = 10
LIBC = ctypes.CDLL(None, use_errno=True)


class Failed(Exception):
    """A measurement that could not be made; the text says why, in one line."""


def end_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def pinned(cpus, command):
    """The command confined to processors, as it would be typed; taskset becomes the program."""
    command = [str(word) for word in command]
    return ["taskset", "-c", ",".join(map(str, cpus))] + command if cpus else command


class Children:
    def __init__(self):
        self.running = []  # (Popen, the file with what it printed)
        self.commands = None  # a list to which every command is added, when there is one

    def start(self, command, cpus=(), **options):
        command = pinned(cpus, command)
        if self.commands is not None:
            self.commands.append(" ".join(command))
        output = tempfile.TemporaryFile("w+", errors="replace")
        try:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output,
                                     stderr=subprocess.STDOUT, start_new_session=True,
                                     preexec_fn=end_with_parent, **options)
        except OSError as error:
            output.close()
            raise Failed(f"{command[0]}: {error.strerror}") from error
        self.running.append((child, output))
        return child

    def output(self, child):
        """What it has printed so far."""
        for known, file in self.running:
            if known is child:
                file.seek(0)
                return file.read()
        return ""

    def run(self, command, timeout, cpus=(), **options):
        """Runs it to its end; (status, output). One that takes longer than `timeout` s failed."""
        child = self.start(command, cpus, **options)
        try:
            status = child.wait(timeout)
            return status, self.output(child)
        except subprocess.TimeoutExpired as error:
            raise Failed(f"{os.path.basename(str(command[0]))} did not end in {timeout:.0f} s"
                         ) from error
        finally:
            self.stop(child)

    def stop(self, child):
        """Ends it if it has not ended, with what it has started, and forgets it; its status."""
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGTERM)  # its session, and so its group, is its own
        try:
            status = child.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            status = child.wait()
        for entry in [e for e in self.running if e[0] is child]:
            entry[1].close()
            self.running.remove(entry)
        return status

    def stop_all(self):
        for child, _ in list(self.running):
            self.stop(child)


def last_words(output):
    """The end of what a program printed, in one line."""
    return " / ".join(output.split("\n"))[-300:].strip(" /") or "it printed nothing"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def wait_until_listening(children, child, port, seconds=10):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            pass
        if child.poll() is not None:
            break
        time.sleep(0.02)
    raise Failed(f"the server did not come up: {last_words(children.output(child))}")


def cpu_seconds(pid):
    """What all threads of the process have used, by the scheduler's nanoseconds."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
        except FileNotFoundError:
            continue  # a thread that ended meanwhile
    return total / 1e9


def resident_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS"))
