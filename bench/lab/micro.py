"""The micro-benchmarks of two builds against each other: instructions or time, and allocations.

Instructions per iteration are the better measure, for they hardly vary: a benchmark is run alone
under perf stat, which counts the whole program, a short and a long time; what the long one needed
more, by the iterations it made more, is the cost of one without start and set-up. Where the
processor's counters cannot be read (most virtual machines), the least CPU time of several rounds
stands in, the two builds by turns.
"""
import json
import os
import re
import shutil
import subprocess
import tempfile

from lab.processes import Failed, last_words

# Two threads' timing says nothing of the code of either.
NOT_JUDGED = re.compile(r"BetweenTwoThreads|threads:[2-9]")
COUNTED_SHORT = ["--benchmark_min_time=0.002", "--benchmark_repetitions=20"]
COUNTED_LONG = ["--benchmark_min_time=0.008", "--benchmark_repetitions=20"]
TIMED = ["--benchmark_min_time=0.01", "--benchmark_repetitions=5"]
PROGRAM_TIMEOUT = 90
# The first, or the first two, with all benchmarks; the others with what looks worse.
ROUNDS_COUNTED, ROUNDS_TIMED = 3, 10


def can_count(event):
    """Whether perf counts the event here."""
    if not shutil.which("perf"):
        return False
    done = subprocess.run(["perf", "stat", "-x,", "-e", event, "true"], capture_output=True,
                          text=True, timeout=20, check=False)
    return done.returncode == 0 and counted(done.stderr) is not None


def counted(text):
    """The count in what perf stat -x, wrote; None when there is none."""
    for line in text.splitlines():
        value = line.split(",")[0]
        try:
            return float(value)
        except ValueError:
            continue
    return None


class Bench:
    """One program of one build."""

    def __init__(self, children, program, cpu, event):
        self.children, self.program, self.cpu, self.event = children, program, cpu, event

    def run(self, options, pattern):
        """Its JSON and, with an event, how often that happened."""
        with tempfile.TemporaryDirectory() as folder:
            report, count = os.path.join(folder, "json"), os.path.join(folder, "count")
            command = [self.program, f"--benchmark_filter={pattern}", f"--benchmark_out={report}",
                       "--benchmark_out_format=json", *options]
            if self.event:
                command = ["perf", "stat", "-x,", "-e", self.event, "-o", count, *command]
            status, output = self.children.run(command, PROGRAM_TIMEOUT, [self.cpu])
            if status != 0:
                raise Failed(f"{self.program} left with status {status}: {last_words(output)}")
            found = None
            if self.event:
                with open(count, encoding="utf-8") as file:
                    found = counted(file.read())
                if found is None:
                    raise Failed(f"perf counted no {self.event} of {self.program}")
            with open(report, encoding="utf-8") as file:
                benchmarks = json.load(file)["benchmarks"]
            return [b for b in benchmarks if b["run_type"] == "iteration"], found

    def names(self):
        status, output = self.children.run([self.program, "--benchmark_list_tests"],
                                           PROGRAM_TIMEOUT)
        if status != 0:
            raise Failed(f"{self.program} cannot list its benchmarks: {last_words(output)}")
        return [name for name in output.split() if not NOT_JUDGED.search(name)]

    def measure(self, names):
        """{name: (cost of an iteration, allocations)}; the cost is in instructions or ns."""
        if not self.event:
            runs, _ = self.run(TIMED, one_of(names))
            return least(runs)
        found = {}
        for name in names:
            shorter, count_before = self.run(COUNTED_SHORT, one_of([name]))
            longer, count = self.run(COUNTED_LONG, one_of([name]))
            before, after = (sum(run["iterations"] for run in runs) for runs in (shorter, longer))
            if after <= before:  # the benchmark names its number of iterations itself
                before, count_before = 0, 0
            found[name] = ((count - count_before) / (after - before), allocations_of(longer))
        return found


def one_of(names):
    return "^(" + "|".join(re.escape(name) for name in names) + ")$"


def allocations_of(runs):
    return min((run["allocations"] for run in runs if "allocations" in run), default=None)


def least(runs):
    """Of each benchmark the least CPU time, in ns, and the allocations."""
    unit = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}
    by_name = {}
    for run in runs:
        by_name.setdefault(run["run_name"], []).append(run)
    return {name: (min(run["cpu_time"] * unit[run["time_unit"]] for run in group),
                   allocations_of(group)) for name, group in by_name.items()}


def merge(kept, more):
    """The least of what was measured so far."""
    for name, (cost, allocations) in more.items():
        if name in kept:
            cost = min(cost, kept[name][0])
            if allocations is not None and kept[name][1] is not None:
                allocations = min(allocations, kept[name][1])
        kept[name] = (cost, allocations)


class Comparison:
    """One benchmark, in both builds."""

    def __init__(self, name, base, change, ratio_max):
        self.name, self.base, self.change = name, base, change
        self.ratio = change[0] / base[0] if base[0] > 0 else 1
        self.slower = self.ratio > ratio_max
        before, after = base[1] or 0, change[1] or 0
        # A hundredth of an allocation each is the set-up that a short run divides by fewer items.
        self.allocates = after > before * 1.01 + 0.01

    @property
    def verdict(self):
        return ", ".join((["worse"] if self.slower else []) +
                         (["new allocations"] if self.allocates else []))


def compare(base, change, ratio_max):
    """Comparisons of the benchmarks that both programs have. What looks worse is measured again,
    several times before it is believed: the least of many is hardly disturbed."""
    names = [name for name in change.names() if name in set(base.names())]
    kept = {}, {}

    def measure(some):
        sides = list(zip(kept, (base, change)))
        for found, bench in sides if len(done) % 2 == 0 else reversed(sides):
            merge(found, bench.measure(some))
        done.append(some)

    def judged(some):
        return [Comparison(name, kept[0][name], kept[1][name], ratio_max) for name in some
                if name in kept[0] and name in kept[1]]

    done = []
    suspects = names
    for number in range(ROUNDS_COUNTED if base.event else ROUNDS_TIMED):
        if number >= (1 if base.event else 2):
            suspects = [c.name for c in judged(names) if c.verdict]
        if not suspects:
            break
        measure(suspects)
    return judged(names)
