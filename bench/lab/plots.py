"""The results as SVG, drawn by gnuplot: one picture for each question, a panel for each case."""
import os
import shutil
import subprocess

from lab.plan import CASES

HEAD = """set terminal svg size 1000,860 dynamic noenhanced font 'sans-serif,12' background 'white'
set output '{path}'
set multiplot layout 2,2 title '{title}'
set grid
set xlabel 'viewers'
set ylabel '{unit}'
set key below
set linetype 1 lc rgb '#000000'
set linetype 2 lc rgb '#0060c0'
set linetype 3 lc rgb '#30a030'
set linetype 4 lc rgb '#a040c0'
set linetype 5 lc rgb '#e07000'
set logscale xy
set format y '%g'
"""


def of_case(rows, media, transport, **fields):
    found = [row for row in rows.values() if row.group in ("macro", "gst")
             and row.fields["media"] == media and row.fields["transport"] == transport
             and all(row.fields[key] == value for key, value in fields.items())]
    return sorted(found, key=lambda row: row.fields["viewers"])


def line_of(rows, figure, title):
    """(title, [(viewers, median, min, max)]) of the rows that have the figure."""
    points = [(row.fields["viewers"], *row.figures[figure].values())
              for row in rows if figure in row.figures]
    return title, [point for point in points if min(point[1:]) > 0]


def cpu_lines(rows, media, transport):
    one = of_case(rows, media, transport, backend="io_uring", shards=1)
    yield line_of(one, "limit_cpu_per_gbit", "bare loop")
    yield line_of(one, "cpu_per_gbit", "Millrace, io_uring")
    yield line_of(of_case(rows, media, transport, backend="epoll", shards=1), "cpu_per_gbit",
                  "Millrace, epoll")
    yield line_of(of_case(rows, media, transport, backend="io_uring", shards=2), "cpu_per_gbit",
                  "Millrace, io_uring, two shards")
    yield line_of(of_case(rows, media, transport, backend="gst"), "cpu_per_gbit",
                  "gst-rtsp-server")


def late_lines(rows, media, transport):
    one = of_case(rows, media, transport, backend="io_uring", shards=1)
    for key, title in (("p50", "p50"), ("p99", "p99"), ("p999", "p99.9"), ("max", "largest")):
        yield line_of(one, f"late_{key}_ms", title)


PLOTS = [("cpu_per_gbit.svg", "CPU per Gbit, the least to the most of the runs",
          "s of CPU per Gbit", cpu_lines),
         ("lateness.svg", "Lateness against the media clock, io_uring, one shard", "ms",
          late_lines)]


def script(path, title, unit, lines_of, rows):
    """What gnuplot is to do, or nothing when there is nothing to draw."""
    text = HEAD.format(path=path, title=title, unit=unit)
    drawn = 0
    for media, transport in CASES:
        lines = [line for line in lines_of(rows, media, transport) if line[1]]
        if not lines:
            continue
        drawn += len(lines)
        levels = [point[0] for line in lines for point in line[1]]
        text += f"set title '{media}, {transport.upper()}'\n"
        text += f"set xrange [{min(levels) * 0.8}:{max(levels) * 1.25}]\n"
        text += "set xtics (" + ", ".join(str(level) for level in sorted(set(levels))) + ")\n"
        for number, (_, points) in enumerate(lines):
            text += f"$line{number} << END\n"
            text += "\n".join(" ".join(f"{value:.6g}" for value in point) for point in points)
            text += "\nEND\n"
        text += "plot " + ", ".join(
            f"$line{number} using 1:2:3:4 with yerrorlines pointtype 7 pointsize 0.5 title '{name}'"
            for number, (name, _) in enumerate(lines)) + "\n"
    return text + "unset multiplot\n" if drawn else ""


def draw(rows, folder):
    """Names of the pictures made in the folder, and why one could not be."""
    if not shutil.which("gnuplot"):
        return [], "no plots: gnuplot is not installed; tools/setup --bench installs it"
    made = []
    for name, title, unit, lines_of in PLOTS:
        text = script(os.path.join(folder, name), title, unit, lines_of, rows)
        if not text:
            continue
        try:
            done = subprocess.run(["gnuplot"], input=text, text=True, capture_output=True,
                                  timeout=60, check=False)
        except subprocess.TimeoutExpired:
            return made, "no plots: gnuplot did not end in 60 s"
        if done.returncode != 0:
            return made, f"no plot {name}: {done.stderr.strip()[-200:]}"
        made.append(name)
    return made, ""
