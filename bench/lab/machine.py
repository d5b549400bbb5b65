"""What must be known of the machine and the source for a figure to mean something."""
import datetime
import glob
import os
import platform
import resource
import subprocess
import time


def first_line(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except OSError:
        return ""
    return (done.stdout.strip().splitlines() or [""])[0]


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.lower().startswith(("model name", "cpu model")):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def governor():
    found = set()
    for path in glob.glob("/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"):
        with open(path, encoding="ascii") as file:
            found.add(file.read().strip())
    return ", ".join(sorted(found)) or "none"


def compiler(build):
    """The compiler and build type that the build folder was configured with."""
    cache = {}
    try:
        with open(os.path.join(build, "CMakeCache.txt"), encoding="utf-8") as file:
            for line in file:
                key, found, value = line.strip().partition("=")
                if found:
                    cache[key.split(":")[0]] = value
    except OSError:
        return "unknown"
    name = first_line(cache.get("CMAKE_CXX_COMPILER", "c++"), "--version")
    flags = cache.get("CMAKE_CXX_FLAGS_RELEASE", "")
    lto = ", LTO" if cache.get("CMAKE_INTERPROCEDURAL_OPTIMIZATION") == "ON" else ""
    return f"{name}, {cache.get('CMAKE_BUILD_TYPE', '?')} {flags}{lto}"


def commit(root):
    revision = first_line("git", "-C", root, "rev-parse", "--short=12", "HEAD") or "unknown"
    # What run itself writes does not make the source another one.
    changed = first_line("git", "-C", root, "status", "--porcelain", "--untracked-files=no",
                         "--", ".", ":!bench/results", ":!bench/README.md")
    return revision + (" with uncommitted changes" if changed else "")


def describe(root, build):
    return {
        "cpu": cpu_model(), "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(), "governor": governor(), "compiler": compiler(build),
        "load_average_before": round(os.getloadavg()[0], 2),
        "descriptors_max": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit(root)}


class Others:
    """What of the processors goes to programs that are none of ours, and to other machines of the
    same host (steal), from its making on; in processors. Ours count once they have ended."""

    def __init__(self):
        self.start = self.sample()

    @staticmethod
    def sample():
        with open("/proc/stat", encoding="ascii") as file:
            user, nice, system, _, _, irq, softirq, steal = map(int, file.readline().split()[1:9])
        tick = os.sysconf("SC_CLK_TCK")
        ours = sum(sum(resource.getrusage(who)[:2])
                   for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF))
        busy = (user + nice + system + irq + softirq) / tick
        return time.monotonic(), busy - ours, steal / tick

    def figures(self):
        then, now = self.start, self.sample()
        seconds = max(now[0] - then[0], 1e-3)
        return {"others_cpus": max(0.0, (now[1] - then[1]) / seconds),
                "stolen_cpus": (now[2] - then[2]) / seconds}
