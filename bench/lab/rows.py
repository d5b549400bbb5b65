"""Rows: one measurement each, made several times; what was done, what came of it, and why not."""
import statistics

from lab.machine import Others
from lab.processes import Failed

# Beyond these a server does not carry its viewers any more.
LATE_P99_MS_MAX = 100
CPU_SHARE_MAX = 0.97
# Processors that others may use of the machine before the row says so.
OTHERS_CPUS_MAX = 0.1


class Row:
    """`fields` tell what is measured; `figures` {name: {median, min, max}} follow from `runs`."""

    def __init__(self, group, *words, **fields):
        self.group = group
        self.name = "/".join(str(word) for word in (group, *words))
        self.fields = fields
        self.runs = []
        self.troubles = []  # one list for each run, those that failed included
        self.commands = []
        self.why_failed = ""

    @property
    def ok(self):
        """Whether it was measured and more than half of the runs had no trouble."""
        good = sum(1 for troubles in self.troubles if not troubles)
        return not self.why_failed and bool(self.runs) and 2 * good > len(self.troubles)

    @property
    def why(self):
        if self.why_failed:
            return self.why_failed
        return "; ".join(sorted({t for troubles in self.troubles for t in troubles}))

    @property
    def others(self):
        return (self.median("others_cpus") or 0) + (self.median("stolen_cpus") or 0)

    @property
    def disturbed(self):
        return self.others > OTHERS_CPUS_MAX

    @property
    def remark(self):
        """Why it failed, or what else is to be said of it, for a table."""
        found = [("" if self.ok else "**failed** ") + self.why] if self.why or not self.ok else []
        if self.disturbed:
            found.append(f"{self.others:.1f} processors were taken by others")
        return "; ".join(found)

    @property
    def figures(self):
        names = dict.fromkeys(name for run in self.runs for name in run)
        return {name: spread([run[name] for run in self.runs if run.get(name) is not None])
                for name in names if any(run.get(name) is not None for run in self.runs)}

    def median(self, figure):
        found = self.figures.get(figure)
        return found["median"] if found else None

    def as_json(self):
        return {"name": self.name, **self.fields, "ok": self.ok, "why": self.why,
                "figures": self.figures, "runs": self.runs, "troubles": self.troubles,
                "commands": self.commands}

    def measure(self, lab, once, runs):
        """Calls `once()`, which returns (figures, troubles), `runs` times, but not again after two
        that failed or one that shows that the row is beyond what the machine carries."""
        lab.children.commands = self.commands
        failures = 0
        try:
            for _ in range(runs):
                others = Others()
                try:
                    figures, troubles = once()
                    self.runs.append({**figures, **others.figures()})
                    self.troubles.append(troubles)
                except Failed as failed:
                    self.troubles.append([str(failed)])
                    failures += 1
                lab.children.commands = None  # the other runs' are the same
                if failures == 2 or any(t.startswith(BEYOND) for t in self.troubles[-1]):
                    break
        finally:
            lab.children.commands = None
        return self


BEYOND = "beyond: "


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratio(a, b):
    return a / b if a is not None and b else None


def from_play(report):
    """The figures of one run of `millrace-load play`, flat."""
    server, client = report.get("server", {}), report.get("client", {})
    figures = {
        "gbit_per_second": report.get("gbit_per_second"),
        "cpu_per_gbit": server.get("cpu_seconds_per_gbit"),
        "cpu_share": server.get("cpu_share"),
        "lost": report.get("lost"),
        "failed_viewers": report.get("failed"),
        "rss_playing": server.get("rss_playing"),
        "packets_per_train": report.get("trains", {}).get("packets_mean"),
        "client_share": client.get("busiest_thread_share"),
        "buffer_drops": client.get("buffer_drops")}
    for name, short in (("lateness_ms", "late"), ("describe_to_first_packet_ms", "start"),
                        ("play_to_first_packet_ms", "play_to_first")):
        for key in ("p50", "p99", "p999", "max"):
            figures[f"{short}_{key}_ms"] = report.get(name, {}).get(key)
    return figures


def troubles_of(report, figures, cores=1, checks=True):
    """Why a run of the client does not count as carried. Without `checks` a client that disapproves
    of the peer's protocol, but got its media, is no trouble."""
    troubles = []
    if report.get("client", {}).get("saturated"):
        troubles.append(BEYOND + "the client was saturated")
    if figures["failed_viewers"]:
        reasons = ", ".join(report.get("failures", {}))
        troubles.append(f"{BEYOND}{figures['failed_viewers']} viewers failed ({reasons})")
    if (figures["cpu_share"] or 0) > CPU_SHARE_MAX * cores:
        troubles.append(BEYOND + "the server was saturated")
    if (figures["late_p99_ms"] or 0) > LATE_P99_MS_MAX:
        troubles.append(f"{BEYOND}p99 lateness over {LATE_P99_MS_MAX} ms")
    if checks and figures["lost"]:
        troubles.append(f"{figures['lost']} packets lost")
    if checks and not troubles and report.get("status"):
        troubles.append(report.get("verdict", f"the client's status is {report['status']}"))
    return troubles


def beside_limit(lab, figures, troubles, transport, viewers, backend, shards):
    """Adds the bare loop of the same run and the ratio to it; without the loop, the trouble."""
    try:
        bare = lab.limit(transport, viewers, backend, shards)
    except Failed as failed:
        troubles.append(f"no bare loop: {failed}")
        return
    figures["limit_cpu_per_gbit"] = bare.get("cpu_seconds_per_gbit")
    figures["limit_short_sends"] = bare.get("short_sends")
    figures["limit_late_max_ms"] = bare.get("late_ms_max")
    figures["ratio"] = ratio(figures["cpu_per_gbit"], figures["limit_cpu_per_gbit"])
