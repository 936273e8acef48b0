"""Counters of the traffic. In: one call per request. Out: text in the Prometheus exposition format 0.0.4.

Labels are bounded: an app that leaves the table takes its series along.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field

BOUNDS = (5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000)  # milliseconds
UNROUTED = "-"


@dataclass
class Series:
    """What is counted of one app."""

    statuses: dict[str, int] = field(default_factory=dict)
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    milliseconds: int = 0

    def add(self, status: int, milliseconds: int) -> None:
        status_class = f"{status // 100}xx" if 100 <= status < 600 else "none"
        self.statuses[status_class] = self.statuses.get(status_class, 0) + 1
        self.buckets[bisect_left(BOUNDS, milliseconds)] += 1
        self.milliseconds += milliseconds


class Metrics:
    """Requests by app id; `-` collects what belongs to no app."""

    def __init__(self) -> None:
        self._series: dict[str, Series] = {}
        self.lost = 0

    def count(self, app: str, status: int, milliseconds: int) -> None:
        self._series.setdefault(app or UNROUTED, Series()).add(status, milliseconds)

    def keep(self, apps: Mapping[str, str]) -> None:
        """Forget apps that are not in `apps` (id → name)."""
        self._series = {app: series for app, series in self._series.items() if app in apps or app == UNROUTED}

    def render(self, apps: Mapping[str, str], gauges: Mapping[str, float]) -> str:
        """Return all series, labelled with the apps' names, and `gauges` as they are."""
        self.keep(apps)
        named = [(apps.get(app, UNROUTED), series) for app, series in sorted(self._series.items())]
        lines = ["# TYPE paas_router_requests_total counter"]
        for name, series in named:
            lines += [
                f'paas_router_requests_total{{app="{name}",status="{status}"}} {count}'
                for status, count in sorted(series.statuses.items())
            ]
        lines.append("# TYPE paas_router_request_duration_seconds histogram")
        for name, series in named:
            lines += _histogram(name, series)
        lines += [
            "# TYPE paas_router_access_lines_lost_total counter",
            f"paas_router_access_lines_lost_total {self.lost}",
        ]
        for name, value in gauges.items():
            lines += [f"# TYPE {name} gauge", f"{name} {value:g}"]
        return "\n".join(lines) + "\n"


def _histogram(name: str, series: Series) -> list[str]:
    metric = "paas_router_request_duration_seconds"
    total, lines = 0, []
    for bound, count in zip((*BOUNDS, None), series.buckets, strict=True):
        total += count
        label = "+Inf" if bound is None else f"{bound / 1000:g}"
        lines.append(f'{metric}_bucket{{app="{name}",le="{label}"}} {total}')
    return [
        *lines,
        f'{metric}_sum{{app="{name}"}} {series.milliseconds / 1000:g}',
        f'{metric}_count{{app="{name}"}} {total}',
    ]
