"""What is measured, in the order in which it is: first what the targets are about.

Each function here measures rows and yields them; Plan decides which, and when to stop.
"""
import time

from lab.processes import resident_bytes
from lab.rows import Row, beside_limit, from_play, troubles_of

CASES = [(media, transport) for transport in ("udp", "tcp") for media in ("live", "vod")]
TARGET_VIEWERS = 500
JOINS_PER_SECOND = 200
AIM_SHARE = 0.7
PAUSED, PLAYING = 9500, 500
SETTLE_PAUSED = 3  # seconds; the last to join has paused by then
CHURN_SESSIONS = 200_000
# A session lasts until both its tracks have come, 21 ms at least with AAC's priming: 5000 a second
# are more than 100 at once.
CHURN_CONNECTIONS = 512
# Over UDP a session outlives its connection by ten seconds, in which it is sent to: of 5000 a second
# one per cent are 500 viewers.
RESET_PERCENT = {"udp": 1, "tcp": 10}
ORPHANS_GONE = 12  # seconds


class Plan:
    """`wanted(name)` chooses rows; after `deadline` (of the monotonic clock) no row is begun."""

    def __init__(self, lab, quick, levels, wanted, deadline):
        self.lab, self.quick, self.wanted, self.deadline = lab, quick, wanted, deadline
        self.levels = levels or ([50, 500] if quick else
                                 [100, 500, 1000, 2000, 3000, 4000, 6000, 8000])
        self.peer_levels = levels or ([50] if quick else [100, 500, 1000])
        self.main = TARGET_VIEWERS if TARGET_VIEWERS in self.levels else self.levels[-1]
        self.ended = {}  # (media, transport, backend, shards): viewers that were not carried
        self.rows = {}  # by name
        self.skipped = []  # names of rows that there was no time for

    def all(self):
        """Every row, as it is measured."""
        several = [1, 2] if len(self.lab.cpus) > 1 else [1]
        yield from self.macro([self.main], ["io_uring"], several)
        yield from self.macro([n for n in self.levels if n != self.main][:1], ["io_uring"], [1])
        for group in (self.joins, self.churn, self.paused, self.idle, self.latency, self.peers,
                      self.seek):
            yield from group()
        yield from self.macro([self.main], ["epoll"], [1] if self.quick else several)
        if self.quick:
            return
        yield from self.macro(self.levels, ["io_uring"], [1])
        yield from self.macro(self.levels, ["epoll"], [1])
        yield from self.macro(self.levels, ["io_uring", "epoll"], several)

    def row(self, group, *words, **fields):
        """A new row, or None when it is not wanted or has been measured."""
        row = Row(group, *words, **fields)
        if row.name in self.rows or not self.wanted(row.name):
            return None
        if time.monotonic() > self.deadline:
            if row.name not in self.skipped:
                self.skipped.append(row.name)
            return None
        self.rows[row.name] = row
        return row

    def macro(self, levels, backends, shards_list):
        for shards in shards_list:
            for backend in backends:
                for viewers in levels:
                    for media, transport in CASES:
                        yield from self.macro_row(media, transport, backend, shards, viewers)

    def macro_row(self, media, transport, backend, shards, viewers):
        case = (media, transport, backend, shards)
        if viewers > self.ended.get(case, viewers) or viewers > self.lab.viewers_max(transport):
            return
        row = self.row("macro", f"{media}-{transport}", backend, shards, viewers, media=media,
                       transport=transport, backend=backend, shards=shards, viewers=viewers)
        if row is None:
            return

        def once():
            figures, troubles = self.play_once(media, transport, backend, shards, viewers)
            beside_limit(self.lab, figures, troubles, transport, viewers, backend, shards)
            return figures, troubles

        yield row.measure(self.lab, once, self.lab.times.runs)
        if not row.ok and viewers >= self.main:
            self.ended[case] = viewers

    def play_once(self, media, transport, backend, shards, viewers, *extra, **options):
        with self.lab.millrace(backend, shards) as server, \
             self.lab.source(server, media, shards) as url:
            report = self.lab.play(server, url, viewers, transport, *extra, shards=shards,
                                   **options)
        figures = from_play(report)
        return figures, troubles_of(report, figures, shards)

    def peers(self):
        """gst-rtsp-server: /vod makes a pipeline for each viewer, /live shares one."""
        for media, transport in CASES:
            for viewers in self.peer_levels:
                row = self.row("gst", f"{media}-{transport}", viewers, media=media,
                               transport=transport, backend="gst", shards=1, viewers=viewers)
                if row is None:
                    continue

                def once(media=media, transport=transport, viewers=viewers):
                    with self.lab.gst() as server:
                        # Its shared media takes its time until it has caught up with the clock.
                        report = self.lab.play(server, server.url(media), viewers, transport,
                                               settle=2, window=self.lab.times.window + 1)
                    figures = from_play(report)
                    return figures, troubles_of(report, figures, checks=False)

                yield row.measure(self.lab, once, self.lab.times.runs)
                if not row.ok:
                    break

    def joins(self):
        """How long a viewer waits for his first packet while 200 come every second."""
        seconds = 2 if self.quick else 5
        for media, transport in CASES:
            row = self.row("joins", f"{media}-{transport}", media=media, transport=transport,
                           joins_per_second=JOINS_PER_SECOND)
            if row is not None:
                yield row.measure(self.lab, lambda m=media, t=transport: self.play_once(
                    m, t, "io_uring", 1, JOINS_PER_SECOND * seconds, rate=JOINS_PER_SECOND,
                    window=2), self.lab.times.runs)

    def latency(self):
        """Lateness while the server uses 70 % of its core, or what descriptors allow of it."""
        for media, transport in CASES:
            row = self.row("latency", f"{media}-{transport}", media=media, transport=transport)
            if row is None:
                continue
            known = self.shares(media, transport)
            if not known:
                row.why_failed = "no row of macro tells what share a number of viewers takes"
                yield row
                continue
            yield row.measure(self.lab, lambda r=row, k=known: self.latency_once(r, k),
                              self.lab.times.runs)

    def latency_once(self, row, known):
        media, transport = row.fields["media"], row.fields["transport"]
        if "viewers" not in row.fields:
            viewers = self.viewers_at_aim(transport, known)
            if not self.quick:  # what was far from the aim is reckoned once more from nearer by
                figures, _ = self.play_once(media, transport, "io_uring", 1, viewers, window=3)
                viewers = self.viewers_at_aim(
                    transport, [known[-1], (viewers, figures["cpu_share"] or AIM_SHARE)])
            row.fields["viewers"] = viewers
        return self.play_once(media, transport, "io_uring", 1, row.fields["viewers"])

    def shares(self, media, transport):
        """[(viewers, share of the core)] of the one-shard rows so far, by viewers."""
        prefix = f"macro/{media}-{transport}/io_uring/1/"
        return sorted((row.fields["viewers"], row.median("cpu_share"))
                      for name, row in self.rows.items()
                      if name.startswith(prefix) and row.median("cpu_share"))

    def viewers_at_aim(self, transport, known):
        """Along the line through the last two points: a server has costs that do not grow."""
        viewers, share = known[-1]
        each = share / viewers
        if len(known) > 1 and known[-2][0] != viewers:
            slope = (share - known[-2][1]) / (viewers - known[-2][0])
            each = slope if slope > 0.3 * each else each
        wanted = viewers + (AIM_SHARE - share) / each
        return max(10, int(min(wanted, self.lab.viewers_max(transport))) // 10 * 10)

    def seek(self):
        """Every viewer jumps to another place every five seconds."""
        for transport in ("udp", "tcp"):
            row = self.row("seek", f"vod-{transport}", media="vod", transport=transport,
                           viewers=self.main)
            if row is not None:
                yield row.measure(self.lab, lambda t=transport: self.play_once(
                    "vod", t, "io_uring", 1, self.main, "--seek-every", "5s"),
                    self.lab.times.runs)

    def churn(self):
        """Whole sessions a second, some of them cut off; then a great number of them for growth."""
        for transport, reset in RESET_PERCENT.items():
            row = self.row("churn", f"rate-{transport}", media="vod", transport=transport,
                           reset_percent=reset)
            if row is not None:
                yield row.measure(self.lab, lambda t=transport: self.churn_once(
                    t, 2000, "--for", "5s"), self.lab.times.runs)
        sessions = 10_000 if self.quick else CHURN_SESSIONS
        row = self.row("churn", "growth", media="vod", transport="udp", sessions=sessions)
        if row is not None:
            yield row.measure(self.lab, lambda: self.churn_once(
                "udp", sessions // 4, "--sessions", sessions, settle=ORPHANS_GONE), 1)

    def churn_once(self, transport, first, *how_long, settle=0):
        """`settle`: seconds after which the server's memory is read, before and after."""
        with self.lab.millrace("io_uring") as server, self.lab.source(server, "vod") as url:
            common = [url, "--connections", CHURN_CONNECTIONS, "--transport", transport,
                      "--reset", RESET_PERCENT[transport], "--server-pid", server.pid]
            # Tables and heap reach their size first; what grows after that counts.
            self.lab.load("churn", *common, "--sessions", first, timeout=60)
            time.sleep(settle)
            before = resident_bytes(server.pid)
            report = self.lab.load("churn", *common, *how_long, timeout=180)
            time.sleep(settle)
            grown = resident_bytes(server.pid) - before
        server, client = report.get("server", {}), report.get("client", {})
        per_1000 = server.get("cpu_seconds_per_1000")
        figures = {
            "sessions_per_second": report.get("sessions_per_second"),
            "sessions": report.get("sessions"), "failed": report.get("failed"),
            "server_cpu_per_1000": per_1000,
            # Which tells what one core would do with a client that is no bound.
            "sessions_per_cpu_second": 1000 / per_1000 if per_1000 else None,
            "session_p99_ms": report.get("session_ms", {}).get("p99"),
            "rss_growth": grown,
            "fd_growth": (server.get("fd_after") or 0) - (server.get("fd_before") or 0),
            "client_share": client.get("busiest_thread_share")}
        troubles = []
        if report.get("failed"):
            reasons = ", ".join(report.get("failures", {}))
            troubles.append(f"{report['failed']} sessions failed ({reasons})")
        elif report.get("client", {}).get("saturated"):
            troubles.append("the client was saturated")
        return figures, troubles

    def paused(self):
        """Sessions that are paused, beside some that play, and by themselves. Each run makes them
        all, for the machine may be another a minute later. What these clients still send is a
        keep-alive each 20 s and, as RFC 3550 wants it and few players do, a receiver report for
        each track every 5 s; the last of the figures is without the reports."""
        paused, playing = (1900, 100) if self.quick else (PAUSED, PLAYING)
        transport = "udp" if self.lab.viewers_max("udp") >= paused + playing else "tcp"
        row = self.row("paused", f"vod-{transport}", media="vod", transport=transport,
                       paused=paused, playing=playing)
        if row is None:
            return
        window = 4 if self.quick else 12

        def once():
            alone, troubles = self.play_once("vod", transport, "io_uring", 1, playing,
                                             window=window)
            shares = {"cpu_share_alone": alone["cpu_share"]}
            for name, viewers, *more in (("both", paused + playing), ("standing", paused),
                                         ("silent", paused, "--report-every", "0s")):
                figures, seen = self.play_once("vod", transport, "io_uring", 1, viewers,
                                               "--paused", paused, *more, window=window,
                                               settle=SETTLE_PAUSED, rate=1500)
                shares["cpu_share_" + name] = figures["cpu_share"]
                troubles = troubles + seen
            shares["cpu_share_paused"] = (shares["cpu_share_both"] or 0) - (
                shares["cpu_share_alone"] or 0)
            return shares, troubles

        yield row.measure(self.lab, once, self.lab.times.runs)

    def idle(self):
        for backend in ("io_uring", "epoll"):
            row = self.row("idle", backend, backend=backend)
            if row is None:
                continue

            def once(backend=backend):
                with self.lab.millrace(backend) as server:
                    return {"cpu_share": self.lab.idle(server, 3 if self.quick else 10)}, []

            yield row.measure(self.lab, once, self.lab.times.runs)
