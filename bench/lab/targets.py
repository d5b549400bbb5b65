"""The figures to reach, and whether they are: reckoned from the rows, never written by hand."""
from lab.plan import CASES, CHURN_SESSIONS, JOINS_PER_SECOND, PAUSED, TARGET_VIEWERS
from lab.rows import ratio

KIB = 1024
RATIO_MAX = {"live-udp": 1.3, "vod-udp": 1.2, "live-tcp": 1.3, "vod-tcp": 1.2}
PEER_TIMES = {"vod": 20, "live": 8}
MEMORY_KIB_MAX = {"udp": 8, "tcp": 12}
# Pages that the allocator keeps anyhow; a leak of six bytes a session is more.
GROWTH_MAX = 1 << 20


class Target:
    """`reached` is None when the row it needs has not been measured."""

    def __init__(self, what, aim, figure, reached):
        self.what, self.aim, self.figure, self.reached = what, aim, figure, reached

    @property
    def verdict(self):
        return {None: "not measured", True: "reached", False: "**not reached**"}[self.reached]


def at_most(what, value, aim, text, unit="", trouble=""):
    if value is None:
        return Target(what, f"≤ {aim:g}{unit}", trouble or "–", None)
    return Target(what, f"≤ {aim:g}{unit}", text + (f" ({trouble})" if trouble else ""),
                  value <= aim and not trouble)


def at_least(what, value, aim, text, unit="", trouble=""):
    if value is None:
        return Target(what, f"≥ {aim:g}{unit}", trouble or "–", None)
    return Target(what, f"≥ {aim:g}{unit}", text + (f" ({trouble})" if trouble else ""),
                  value >= aim and not trouble)


def trouble_of(row):
    return row.why if row is not None and not row.ok else ""


def targets(rows):
    """All of them, from the rows by name."""
    found = []
    for group in (against_limit, against_peer, latency, joins, memory, shards, churn, standing):
        found += group(rows)
    return found


def macro(rows, case, viewers, shards=1):
    return rows.get(f"macro/{case}/io_uring/{shards}/{viewers}")


def against_limit(rows):
    for case, aim in RATIO_MAX.items():
        row = macro(rows, case, TARGET_VIEWERS)
        value = row.median("ratio") if row else None
        yield at_most(f"{case}: CPU per Gbit, times the bare loop, {TARGET_VIEWERS} viewers", value,
                      aim, span(row, "ratio", 2), trouble=trouble_of(row))


def span(row, figure, digits, factor=1.0):
    """'median (min – max)'."""
    found = row.figures.get(figure) if row else None
    if not found:
        return "–"
    median, low, high = (f"{found[key] * factor:.{digits}f}" for key in ("median", "min", "max"))
    return median if low == high else f"{median} ({low} – {high})"


def against_peer(rows):
    for media, aim in PEER_TIMES.items():
        for transport in ("udp", "tcp"):
            case = f"{media}-{transport}"
            both = [(row, macro(rows, case, row.fields["viewers"])) for row in rows.values()
                    if row.group == "gst" and row.name.startswith(f"gst/{case}/")]
            both = [(peer, ours) for peer, ours in both if peer.median("cpu_per_gbit") and
                    ours is not None and ours.median("cpu_per_gbit")]
            # The most viewers that the peer carries, for that is where it is at its best.
            # Judged where the peer is at its best, which is with the most viewers it carries.
            both.sort(key=lambda pair: (pair[0].ok, pair[0].fields["viewers"]))
            what = f"{case}: times less CPU per Gbit than gst-rtsp-server"
            if not both:
                yield at_least(what, None, aim, "")
                continue
            times = [(ratio(peer.median("cpu_per_gbit"), ours.median("cpu_per_gbit")),
                      peer.fields["viewers"]) for peer, ours in both]
            text = ", ".join(f"{value:.1f} at {viewers}" for value, viewers in reversed(times))
            yield at_least(what, times[-1][0], aim, text + " viewers",
                           trouble=trouble_of(both[-1][1]))


def latency(rows):
    for media, transport in CASES:
        row = rows.get(f"latency/{media}-{transport}")
        value = row.median("late_p99_ms") if row else None
        trouble = trouble_of(row)
        text = ""
        if value is not None:
            share = row.median("cpu_share") or 0
            text = (f"{span(row, 'late_p99_ms', 1)} ms, {row.fields['viewers']} viewers, "
                    f"{share:.0%} of the core")
            if not trouble and not 0.6 <= share <= 0.8:
                trouble = "too far from 70 % of the core"
        yield at_most(f"{media}-{transport}: p99 lateness at 70 % of the core, without loss", value,
                      10, text, " ms", trouble)


def joins(rows):
    for media, transport in CASES:
        row = rows.get(f"joins/{media}-{transport}")
        for key, aim in (("p50", 2), ("p99", 20)):
            figure = f"start_{key}_ms"
            yield at_most(f"{media}-{transport}: DESCRIBE to first packet, {key}, "
                          f"{JOINS_PER_SECOND} joins a second",
                          row.median(figure) if row else None, aim, span(row, figure, 2) + " ms", " ms", trouble_of(row))


def memory_per_viewer(rows, case):
    """Bytes a viewer more costs, and between how many viewers that was measured."""
    levels = sorted((row.fields["viewers"], row) for row in rows.values()
                    if row.name.startswith(f"macro/{case}/io_uring/1/") and row.ok
                    and row.median("rss_playing"))
    if len(levels) < 2:
        return None, ""
    (few, small), (many, large) = levels[0], levels[-1]
    each = (large.median("rss_playing") - small.median("rss_playing")) / (many - few)
    return each, f"from {few} to {many} viewers"


def memory(rows):
    for media, transport in CASES:
        each, between = memory_per_viewer(rows, f"{media}-{transport}")
        yield at_most(f"{media}-{transport}: resident memory per viewer",
                      each / KIB if each is not None else None, MEMORY_KIB_MAX[transport],
                      f"{each / KIB:.1f} KiB, {between}" if each is not None else "", " KiB")


def shards(rows):
    for media, transport in CASES:
        case = f"{media}-{transport}"
        one, two = macro(rows, case, TARGET_VIEWERS), macro(rows, case, TARGET_VIEWERS, 2)
        value = None
        if one is not None and two is not None:
            value = ratio(two.median("cpu_per_gbit"), one.median("cpu_per_gbit"))
        yield at_most(f"{case}: CPU per Gbit with two shards, times that with one", value, 1.1,
                      f"{value:.2f}" if value else "", trouble=trouble_of(two))


def churn(rows):
    for transport in ("udp", "tcp"):
        row = rows.get(f"churn/rate-{transport}")
        text = span(row, "sessions_per_second", 0)
        if row is not None and row.median("sessions_per_cpu_second"):
            text += f"; {row.median('sessions_per_cpu_second'):.0f} per second of the server's CPU"
        yield at_least(f"whole sessions a second on one core, {transport}",
                       row.median("sessions_per_second") if row else None, 5000, text,
                       trouble=trouble_of(row))
    row = rows.get("churn/growth")
    what = f"growth over {CHURN_SESSIONS} sessions: memory, descriptors"
    if row is None or row.median("rss_growth") is None:
        yield Target(what, "none", trouble_of(row) or "–", None)
        return
    grown, descriptors = row.median("rss_growth"), row.median("fd_growth")
    enough = (row.median("sessions") or 0) >= CHURN_SESSIONS
    yield Target(what, "none", f"{grown / KIB:.0f} KiB, {descriptors:.0f} descriptors over "
                 f"{row.median('sessions'):.0f} sessions" +
                 (f" ({row.why})" if not row.ok else ""),
                 grown <= GROWTH_MAX and descriptors <= 0 and row.ok if enough else None)


def standing(rows):
    row = next((row for row in rows.values() if row.group == "paused"), None)
    if row is not None and row.fields["paused"] < PAUSED:  # a quick run's say nothing of these
        row = None
    for figure, what in (
            ("cpu_share_silent", "that send keep-alives"),
            ("cpu_share_standing", "that send a receiver report of each track every 5 s, too"),
            ("cpu_share_paused", "beside 500 that play, less what those cost alone")):
        share = row.median(figure) if row else None
        yield at_most(f"9500 paused sessions {what}: share of a core",
                      share * 100 if share is not None else None, 1,
                      span(row, figure, 2, 100) + " %", " %", trouble_of(row))
    for backend in ("io_uring", "epoll"):
        row = rows.get(f"idle/{backend}")
        share = row.median("cpu_share") if row else None
        yield at_most(f"an idle server, {backend}: share of a core",
                      share * 100 if share is not None else None, 0.2,
                      span(row, "cpu_share", 3, 100) + " %", " %", trouble_of(row))
