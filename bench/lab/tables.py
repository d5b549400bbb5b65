"""The results as Markdown."""
import os

from lab.plan import CASES
from lab.rows import OTHERS_CPUS_MAX
from lab.targets import span, targets

BEGIN, END = "<!-- results -->", "<!-- /results -->"


def table(heads, lines):
    yield "| " + " | ".join(heads) + " |"
    yield "|" + "---|" * len(heads)
    for line in lines:
        yield "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |"
    yield ""


def machine_lines(machine, times, rows):
    yield (f"{machine['cpu']}, {machine['cores']} processors, {machine['memory_gib']} GiB, Linux "
           f"{machine['kernel']}, governor {machine['governor']}, load average before "
           f"{machine['load_average_before']}. Compiler: {machine['compiler']}. Commit "
           f"{machine['commit']}, {machine['date']}.")
    yield ""
    yield (f"Each figure is the median of {times.runs} run{'s' if times.runs > 1 else ''} (least – "
           f"most), each with a server of its own and {times.window:g} s in which all viewers "
           "play. CPU is in seconds, user and system, of the server; on loopback that includes the "
           "kernel's receive path.")
    yield ""
    disturbed = sum(1 for row in rows.values() if row.disturbed)
    if disturbed:
        yield (f"**Not an idle machine:** in {disturbed} of {len(rows)} rows other programs, or "
               f"other machines of the same host, took more than {OTHERS_CPUS_MAX:g} of a processor; the "
               "notes say how much.")
        yield ""


def target_lines(rows, only_measured=False):
    return table(["target", "aim", "measured", ""],
                 [(t.what, t.aim, t.figure, t.verdict) for t in targets(rows)
                  if not only_measured or t.reached is not None])


def late(row):
    found = [row.median(f"late_{key}_ms") for key in ("p50", "p99", "p999", "max")]
    return " / ".join("–" if value is None else f"{value:.1f}" for value in found)


def percent(value):
    return "–" if value is None else f"{value:.0%}"


def macro_lines(rows, case):
    """The table of one case, Millrace and its peer, by viewers."""
    found = [row for row in rows.values() if row.group in ("macro", "gst")
             and case == f"{row.fields['media']}-{row.fields['transport']}"]
    if not found:
        return
    found.sort(key=lambda row: (row.group == "gst", row.fields["backend"], row.fields["shards"],
                                row.fields["viewers"]))
    yield f"#### {case}"
    yield ""
    lines = []
    for row in found:
        who = "gst-rtsp-server" if row.group == "gst" else \
            f"{row.fields['backend']}, {row.fields['shards']} shard" + \
            ("s" if row.fields["shards"] > 1 else "")
        gbit, worst = row.median("gbit_per_second"), row.figures.get("lost", {}).get("max")
        start = [row.median(f"start_{key}_ms") for key in ("p50", "p99")]
        lines.append((
            who, row.fields["viewers"], "–" if gbit is None else f"{gbit:.2f}",
            span(row, "cpu_per_gbit", 3), span(row, "limit_cpu_per_gbit", 3),
            span(row, "ratio", 2), percent(row.median("cpu_share")), late(row),
            "–" if start[0] is None or start[1] is None else f"{start[0]:.1f} / {start[1]:.1f}",
            "–" if worst is None else f"{worst:.0f}", percent(row.median("client_share")),
            row.remark))
    yield from table(["server", "viewers", "Gbit/s", "CPU s per Gbit", "bare loop", "ratio",
                      "core", "lateness p50 / p99 / p99.9 / max ms", "start p50 / p99 ms",
                      "lost, most", "client's core", "note"], lines)


def most_lines(rows):
    """The most viewers that were carried, for each way to serve them."""
    ways = {}
    for row in rows.values():
        if row.group in ("macro", "gst"):
            way = (f"{row.fields['media']}-{row.fields['transport']}", row.fields["backend"],
                   row.fields["shards"])
            ways.setdefault(way, []).append(row)
    lines = []
    for (case, backend, shards), group in sorted(ways.items()):
        group.sort(key=lambda row: row.fields["viewers"])
        good = [row for row in group if row.ok]
        over = [row for row in group if not row.ok]
        bound = "the most that was tried"
        if over and (not good or over[-1].fields["viewers"] > good[-1].fields["viewers"]):
            bound = f"{over[-1].fields['viewers']}: {over[-1].why}"
        lines.append((case, backend, shards, good[-1].fields["viewers"] if good else 0, bound))
    return table(["case", "server", "shards", "most viewers carried", "the next"], lines)


def other_lines(rows):
    lines = []
    for row in rows.values():
        if row.group in ("macro", "gst"):
            continue
        fields = ", ".join(f"{value} {key}" if key in ("viewers", "paused", "playing", "sessions")
                           else f"{key} {value}" for key, value in row.fields.items()
                           if key not in ("media", "transport", "backend"))
        figures = ", ".join(f"{name} {span(row, name, digits)}" for name, digits in SHOWN.items()
                            if name in row.figures)
        lines.append((row.name, fields, figures, row.remark))
    return table(["row", "of", "figures", "note"], lines)


# What the rows beside the macro table show, and with how many digits.
SHOWN = {"gbit_per_second": 2, "cpu_per_gbit": 3, "cpu_share": 4, "late_p99_ms": 1,
         "late_max_ms": 1, "start_p50_ms": 2, "start_p99_ms": 2, "start_max_ms": 1, "lost": 0,
         "sessions_per_second": 0, "sessions_per_cpu_second": 0, "session_p99_ms": 1, "failed": 0,
         "rss_growth": 0, "fd_growth": 0, "cpu_share_alone": 4, "cpu_share_both": 4,
         "cpu_share_paused": 4, "cpu_share_standing": 4, "cpu_share_silent": 4}


def not_measured_lines(skipped):
    yield ("Not measured: ffmpeg, which has no RTSP server; VLC, whose stream output could serve "
           "RTSP, but which is not among what tools/setup --bench installs." +
           (f" No time was left for {', '.join(skipped)}." if skipped else ""))
    yield ""


def markdown(machine, times, rows, skipped, plots):
    lines = list(machine_lines(machine, times, rows))
    lines += ["### Targets", "", *target_lines(rows)]
    lines += ["### Viewers", "", *most_lines(rows)]
    lines += [line for plot in plots for line in (f"![{plot[:-4]}](results/{plot})", "")]
    for media, transport in CASES:
        lines += macro_lines(rows, f"{media}-{transport}")
    lines += ["### Other rows", "", *other_lines(rows), *not_measured_lines(skipped)]
    return "\n".join(lines).rstrip() + "\n"


def splice(readme, text):
    """Puts the text between the markers of the page, which must have them."""
    with open(readme, encoding="utf-8") as file:
        page = file.read()
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        return False
    with open(readme + ".part", "w", encoding="utf-8") as file:
        file.write(f"{head}{BEGIN}\n{text}{END}{tail}")
    os.rename(readme + ".part", readme)
    return True
