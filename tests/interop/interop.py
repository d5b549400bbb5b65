"""What the interoperability tests share: the server, the clips, and a list of named checks.

A test prints one line per check, `ok NAME` or `FAILED NAME: what was seen`, and leaves with 1 when
any failed. A client that is not there is named in a SKIP line, never passed over in silence. A machine
that starves a player loses packets that no server lost. That can be seen: only a check during which the
kernel dropped datagrams at a full receive buffer, or the processor was taken away, is tried once more.
"""
import concurrent.futures
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback

import gst_client

START_WITHIN = 30
STOP_WITHIN = 20
TOOL_WITHIN = 120  # one run of ffmpeg on a clip of seconds, on a loaded machine

SECOND_TRIES_MAX = 3  # more failures than these are no accident
STOLEN_SHARE_MAX = 0.05  # of the processors' time, taken by other machines

H264_PARAMETER_SETS = {7, 8, 9}  # and the access unit delimiter, which RTP has no use for
H265_PARAMETER_SETS = {32, 33, 34, 35}


# --- The server

class Server:
    """millrace serving `root` on a free port of loopback; `with` starts and stops it."""

    def __init__(self, millrace, root, *options, backend="auto", bind="127.0.0.1", files_max=None):
        self.command = [millrace, "serve", root, "--port", "0", "--backend", backend, *options]
        if bind:
            self.command += ["--bind", bind]
        if files_max:
            self.command = ["sh", "-c", f'ulimit -n {files_max} && exec "$@"', "sh", *self.command]
        self.log_lines = []
        self.process = None
        self.port = None

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, errors="replace")
        listening = threading.Event()
        self.reader = threading.Thread(target=self._read_log, args=(listening,), daemon=True)
        self.reader.start()
        listening.wait(START_WITHIN)
        if self.port is None:
            self.stop()
            raise AssertionError("the server did not come up: " + " | ".join(self.log_lines))
        return self

    def _read_log(self, listening):
        for line in self.process.stdout:
            self.log_lines.append(line.rstrip())
            found = re.search(r"listening on \S*:(\d+)", line)
            if found and self.port is None:
                self.port = int(found.group(1))
                listening.set()
        listening.set()

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """The status it left with."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.reader.join(5)
        return status

    def url(self, path="", host="127.0.0.1"):
        return f"rtsp://{host}:{self.port}/{path}"

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_kib(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


def is_sanitized(millrace):
    """Whether it is a build for finding bugs, which keeps freed memory and needs descriptors of its
    own."""
    with open(millrace, "rb") as program:
        content = program.read()
    return b"__asan_init" in content or b"__tsan_init" in content


def usable_backends(millrace, root):
    """The backends this machine allows; says which it does not and why."""
    usable = []
    for backend in ("io_uring", "epoll"):
        try:
            with Server(millrace, root, backend=backend):
                usable.append(backend)
        except AssertionError as error:
            if backend == "epoll":
                raise
            print(f"SKIP backend {backend}: {error}")
    return usable


# --- Checks

class Starvation:
    """Whether the machine kept from a player what he needs, since this was made."""

    def __init__(self):
        self.dropped, self.stolen, self.whole = self._look()

    @staticmethod
    def _look():
        with open("/proc/net/snmp") as file:
            names, numbers = [line.split() for line in file if line.startswith("Udp:")]
        with open("/proc/stat") as file:
            times = [int(word) for word in file.readline().split()[1:9]]
        return int(numbers[names.index("RcvbufErrors")]), times[7], sum(times)

    def seen(self):
        dropped, stolen, whole = self._look()
        share = (stolen - self.stolen) / max(1, whole - self.whole)
        return dropped > self.dropped or share > STOLEN_SHARE_MAX


class Checks:
    """Named checks, run side by side; each is bounded by itself, and all of them by `within`."""

    def __init__(self, within):
        self.within = within
        self.jobs = []
        self.failed = []  # (job, whether the machine starved it)
        self.print_lock = threading.Lock()
        self.running = {}

    def add(self, name, function, *arguments):
        self.jobs.append((name, function, arguments))

    def _run_one(self, name, function, arguments):
        started = time.monotonic()
        self.running[name] = started
        starvation = Starvation()
        seen = None
        try:
            function(*arguments)
        except AssertionError as error:
            seen = str(error) or traceback.format_exc(limit=-1)
        except Exception as error:  # a reset, a time-out: what was seen, too
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{os.path.basename(last.filename)}:{last.lineno}"
            seen = f"{type(error).__name__}: {error} ({where})"
        del self.running[name]
        with self.print_lock:
            if seen is None:
                print(f"ok {name} ({time.monotonic() - started:.1f} s)", flush=True)
            else:
                self.failed.append(((name, function, arguments), starvation.seen()))
                print(f"FAILED {name}: {seen}", flush=True)

    def _give_up(self):
        for name in list(self.running):
            print(f"FAILED {name}: still running after {self.within} s", flush=True)
        os._exit(1)

    def run(self, workers):
        """How many failed."""
        watchdog = threading.Timer(self.within, self._give_up)
        watchdog.daemon = True
        watchdog.start()
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            list(pool.map(lambda job: self._run_one(*job), self.jobs))
        if len(self.failed) <= SECOND_TRIES_MAX:
            again = [job for job, starved in self.failed if starved]
            self.failed = [entry for entry in self.failed if not entry[1]]
            for name, function, arguments in again:
                self._run_one(f"{name}, second try", function, arguments)
        watchdog.cancel()
        print(f"{len(self.jobs) - len(self.failed)} of {len(self.jobs)} checks passed")
        return len(self.failed)


def expect(condition, seen):
    if not condition:
        raise AssertionError(seen)


def expect_same_list(got, wanted, what):
    """One line that tells loss from reordering from doubling."""
    if got == wanted:
        return
    at = next((i for i, (a, b) in enumerate(zip(got, wanted)) if a != b),
              min(len(got), len(wanted)))
    counts = f"{len(got)} {what}, the file has {len(wanted)}; first difference at {at}"
    if at < len(got):
        where = [i for i, item in enumerate(wanted) if item == got[at]]
        counts += f", where the file's {where[0] if len(where) == 1 else where[:4]} came"
    raise AssertionError(counts)


def expect_run(got, wanted, what, starts=None, tail_max=0):
    """`got` is a run of `wanted`, to its end but for `tail_max`; if `starts` is given, from one of
    these places on. Returns where it begins; an item may be there more than once."""
    expect(got, f"not one of {len(wanted)} {what} came")
    places = [i for i, item in enumerate(wanted) if item == got[0]]
    expect(places, f"the first of the {what} is none of the file's")
    allowed = [place for place in places if starts is None or place in starts]
    expect(allowed, f"the {what} begin at {places[:4]}, where none may")
    for place in allowed:
        if wanted[place:place + len(got)] == got:
            missing = len(wanted) - place - len(got)
            expect(missing <= tail_max, f"{missing} {what} are missing at the end")
            return place
    expect_same_list(got, wanted[allowed[0]:], what)
    raise AssertionError(f"the {what} are no run of the file's")


# --- Tools

def have(*programs):
    missing = [program for program in programs if shutil.which(program) is None]
    for program in missing:
        print(f"SKIP {program} is not installed")
    return not missing


def tool(*command, within=TOOL_WITHIN):
    """Standard output; an assertion with the end of its error output when it fails."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=within, check=False,
                              stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as late:
        said = (late.stderr or b"").decode(errors="replace").strip().splitlines()
        raise AssertionError(f"{command[0]} did not end within {within} s: "
                             + " | ".join(said[-4:])) from None
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise AssertionError(f"{command[0]} left with {done.returncode}: " + " | ".join(said[-4:]))
    return done.stdout


# --- Elementary streams

def md5(data):
    return hashlib.md5(data).hexdigest()


def split_nal_units(annex_b):
    """The NAL units of an Annex B byte stream, without start codes and trailing zeros."""
    starts = [found.end() for found in re.finditer(b"\x00\x00\x01", annex_b)]
    ends = [start - 3 for start in starts[1:]] + [len(annex_b)]
    return [annex_b[start:end].rstrip(b"\x00") for start, end in zip(starts, ends)]


def split_prefixed(samples):
    """The NAL units of samples where four bytes of length stand before each."""
    units = []
    at = 0
    while at < len(samples):
        end = at + 4 + int.from_bytes(samples[at:at + 4], "big")
        units.append(samples[at + 4:end])
        at = end
    return units


def nal_type(unit, codec):
    return unit[0] & 31 if codec == "h264" else unit[0] >> 1 & 63


def without_parameter_sets(units, codec):
    not_media = H264_PARAMETER_SETS if codec == "h264" else H265_PARAMETER_SETS
    return [unit for unit in units if nal_type(unit, codec) not in not_media]


def media_units(units, codec):
    """Hashes of the units that are media: parameter sets travel in the SDP as well."""
    return [md5(unit) for unit in without_parameter_sets(units, codec)]


def is_picture(unit, codec):
    kind = nal_type(unit, codec)
    return 1 <= kind <= 5 if codec == "h264" else kind < 32


def split_adts(data):
    """Raw AAC access units of an ADTS stream."""
    units = []
    at = 0
    while at < len(data):
        expect(data[at] == 0xFF and data[at + 1] & 0xF6 == 0xF0, f"no ADTS header at byte {at}")
        length = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
        header = 7 if data[at + 1] & 1 else 9
        units.append(data[at + header:at + length])
        at += length
    return units


def framehash_hashes(path):
    """The hash column of what `-f framehash` wrote; columns behind it are side data."""
    with open(path) as lines:
        return [line.split(",")[5].strip() for line in lines if not line.startswith("#")]


# --- GStreamer

def gstreamer_plays():
    """Whether there is a GStreamer; says so when not."""
    if gst_client.load() is None:
        print("SKIP GStreamer: libgstreamer-1.0 is not installed")
        return False
    return True


def run_gstreamer(url, transport, reference, out, *actions, within):
    """Plays with gst_client.py; what leaves the depayloaders goes to OUT.video and OUT.audio."""
    codec = reference.codec
    sink = "queue ! filesink sync=false async=false location="
    pipeline = (f"rtspsrc name=source protocols={transport} location={url} "
                f"rtp{codec}depay name=video ! "
                f"video/x-{codec},stream-format=byte-stream,alignment=nal ! {sink}{out}.video")
    if reference.has_audio:
        pipeline += (" rtpmp4gdepay name=audio ! aacparse ! audio/mpeg,stream-format=adts ! "
                     f"{sink}{out}.audio")
    tool(sys.executable, gst_client.__file__, pipeline, *actions, within=within)


def gstreamer_received(reference, out):
    """Hashes of the NAL units and of the audio access units in those files."""
    with open(out + ".video", "rb") as video:
        units = media_units(split_nal_units(video.read()), reference.codec)
    if not reference.has_audio:
        return units, []
    with open(out + ".audio", "rb") as audio:
        return units, [md5(unit) for unit in split_adts(audio.read())]
