#!/usr/bin/env python3
"""The library check: many viewers on many titles, a few of them much asked for and most seldom
(Zipf's law), with a packet cache that has room for a part of what they watch.

    run_zipf_load.py MILLRACE MILLRACE_LOAD FOLDER [--titles 20] [--kbit 800] [--cache-mb 16]
                     [--udp 60] [--tcp 40] [--ramp 4] [--for 10] [--zipf 1] [--backend NAME]…

The defaults are a fiftieth of the full load, which is
    --titles 500 --kbit 300 --cache-mb 192 --udp 3000 --tcp 2000 --ramp 25 --for 20

Viewers join evenly over --ramp seconds, so that those of one title are at different places in it.
Nobody may lose a packet; the cache must have let blocks go for room, must never have held more than
its bound and the blocks that were being read, and what the process grew by must be explained by the
bound. The hit ratio is told. FOLDER keeps the titles between runs. Without --backend both are run.
"""
import argparse
import json
import os
import re
import shutil
import sys
import tempfile

sys.dont_write_bytecode = True  # leaves no cache in the source tree
from run_load import encode, free_port, serve_and_play

ENCODES = 4  # different films; the titles are copies of them, which the server cannot know
AUDIO_KBIT = 48
LOADER_THREADS = 8  # each may be reading a block of a second when the bound is reached
BLOCK_OVERHEAD = 1.5  # packets have headers, and a second may be one with two key frames
# Beside the cache: what the open files and the viewers may take, and what the heap keeps.
MIB_PER_TITLE, MIB_PER_VIEWER, MIB_OTHER = 0.25, 0.02, 32

CACHE_LINE = re.compile(
    r"packet cache: (\d+) blocks asked for, ([\d.]+) % of them there; (\d+) loaded, (\d+) let go "
    r"for room, ([\d.]+) MiB in use, ([\d.]+) MiB at most")


def make_titles(folder, count, seconds, kbit):
    """Files of `seconds`, in a folder that holds nothing else: its path, their names, their MiB."""
    library = os.path.join(folder, f"zipf_{count}x{seconds}s_{kbit}k")
    names = [f"title{i:03}.mp4" for i in range(count)]
    os.makedirs(library, exist_ok=True)
    paths = [os.path.join(library, name) for name in names]
    for i, path in enumerate(paths):
        if os.path.exists(path):
            continue
        if i < ENCODES:
            encode(path, seconds, size="320x180", frames=15, video_kbit=kbit - AUDIO_KBIT,
                   audio_kbit=AUDIO_KBIT, tone=220 * (i + 1))
        else:
            shutil.copyfile(paths[i % ENCODES], path + ".part")
            os.rename(path + ".part", path)
    mib = sum(os.path.getsize(path) for path in paths) / (1 << 20)
    print(f"{count} titles of {seconds} s, {mib:.0f} MiB together")
    return library, names, mib


def faults_of(cache, figures, options):
    """What is wrong with a run in which every viewer was content."""
    _, _, _, let_go, _, most = cache
    if let_go == 0:
        yield "the cache let nothing go for room: nothing was shown of its bound"
    bound = options.cache_mb + LOADER_THREADS * BLOCK_OVERHEAD * options.kbit * 125 / (1 << 20)
    if most > bound:
        yield f"the cache held {most} MiB; its bound is {options.cache_mb} MiB"
    viewers = options.udp + options.tcp
    grown = (figures["server"]["rss_playing"] - figures["server"]["rss_before"]) / (1 << 20)
    allowed = (bound + MIB_PER_TITLE * options.titles +
               MIB_PER_VIEWER * viewers + MIB_OTHER)
    if grown > allowed:
        yield f"the server grew by {grown:.0f} MiB; {allowed:.0f} MiB are explained"


def tell(cache, figures, options):
    asked, there, loaded, let_go, _, most = cache
    server = figures["server"]
    print(f"\n{options.udp + options.tcp} viewers on {options.titles} titles, Zipf {options.zipf}: "
          f"hit ratio {there} % of {asked:.0f} blocks asked for; {loaded:.0f} loaded, {let_go:.0f} "
          f"let go for room; cache at most {most} MiB, its bound {options.cache_mb} MiB")
    print(f"{figures['gbit_per_second']:.3f} Gbit/s, lost {figures['lost']} of "
          f"{figures['packets_checked']} packets; server: {server['cpu_seconds_per_gbit']:.3f} CPU s "
          f"per Gbit, {server['cpu_share']:.2f} cores, {server['rss_playing'] / (1 << 20):.0f} MiB "
          f"resident ({server['rss_before'] / (1 << 20):.0f} before)")


def run_on(backend, options, library, names):
    """Whether a server with this backend passed, which includes leaving with status 0."""
    print(f"\n== {backend}", flush=True)
    port = free_port()
    with tempfile.NamedTemporaryFile("r", suffix=".json") as results:
        ok, log = serve_and_play(
            "run_zipf_load",
            [options.millrace, "serve", library, "--bind", "127.0.0.1", "--backend", backend,
             "--cache-mb", str(options.cache_mb)],
            [options.millrace_load, "play",
             *(f"rtsp://127.0.0.1:{port}/{name}" for name in names), "--zipf", str(options.zipf),
             "--udp", str(options.udp), "--tcp", str(options.tcp), "--for", str(options.seconds),
             "--rate", str((options.udp + options.tcp) / options.ramp),
             "--threads", str(options.threads), "--json", results.name],
            port, options.seconds + options.ramp + 60)
        if not ok:
            return False
        found = CACHE_LINE.search(log)
        if not found:
            print("run_zipf_load: the server's log does not tell of its cache\n" + log)
            return False
        cache = [float(group) for group in found.groups()]
        figures = json.load(results)
    tell(cache, figures, options)
    faults = list(faults_of(cache, figures, options))
    for fault in faults:
        print("run_zipf_load: " + fault)
    sys.stdout.flush()
    return not faults


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("millrace")
    parser.add_argument("millrace_load")
    parser.add_argument("folder")
    parser.add_argument("--titles", type=int, default=20)
    parser.add_argument("--kbit", type=int, default=800, help="of a title, per second")
    parser.add_argument("--cache-mb", type=int, default=16)
    parser.add_argument("--udp", type=int, default=60)
    parser.add_argument("--tcp", type=int, default=40)
    parser.add_argument("--ramp", type=int, default=4, help="seconds in which all join")
    parser.add_argument("--for", type=int, default=10, dest="seconds")
    parser.add_argument("--zipf", type=float, default=1.0, help="the law's exponent")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1),
                        help="of the viewers")
    parser.add_argument("--backend", action="append", choices=["io_uring", "epoll"])
    options = parser.parse_args()
    for name in ("titles", "cache_mb", "ramp", "seconds", "threads"):
        if getattr(options, name) < 1:
            flag = "for" if name == "seconds" else name.replace("_", "-")
            parser.error(f"--{flag} must be at least 1")
    if options.kbit <= AUDIO_KBIT:
        parser.error(f"--kbit must be more than {AUDIO_KBIT}, which the sound takes")
    if options.udp < 0 or options.tcp < 0 or options.udp + options.tcp == 0:
        parser.error("--udp and --tcp must give at least one viewer")

    # Longer than what is watched, by the time that a loaded machine may take for the joins.
    library, names, mib = make_titles(options.folder, options.titles,
                                      options.ramp + options.seconds + 15, options.kbit)
    if options.cache_mb > mib / 2:
        sys.exit("run_zipf_load: a cache of more than half of the titles shows nothing; "
                 "see --cache-mb")
    passed = [run_on(backend, options, library, names)
              for backend in options.backend or ["io_uring", "epoll"]]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
