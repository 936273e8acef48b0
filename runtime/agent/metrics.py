"""What Prometheus reads.

In: the instances of a host and their counters.  Out: text format 0.0.4. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from runtime.agent.janitor import Numbers
from runtime.container.port import Usage
from runtime.model import InstanceState, JobState

KINDS = ("image", "cache", "owner", "file", "leftover")


@dataclass(frozen=True)
class ContainerUsage:
    """Counters of one container with its labels."""

    id: str
    owner: str
    name: str
    usage: Usage


FAMILIES = (
    ("cpu_seconds_total", "counter", "CPU time used by a container.", "cpu_seconds"),
    ("cpu_periods_total", "counter", "Periods in which a container had work.", "cpu_periods"),
    (
        "cpu_throttled_periods_total",
        "counter",
        "Periods in which its quota ran out.",
        "cpu_throttled_periods",
    ),
    ("cpu_throttled_seconds_total", "counter", "Time it waited for its quota.", "cpu_throttled_seconds"),
    ("memory_bytes", "gauge", "Memory in use by a container.", "memory_bytes"),
    ("memory_peak_bytes", "gauge", "The most memory a container had in use.", "memory_peak_bytes"),
    ("memory_limit_bytes", "gauge", "Memory limit of a container.", "memory_limit_bytes"),
    ("pids", "gauge", "Processes and threads of a container.", "pids"),
    ("network_received_bytes_total", "counter", "Bytes a container received.", "network_received_bytes"),
    ("network_sent_bytes_total", "counter", "Bytes a container sent.", "network_sent_bytes"),
    ("disk_used_bytes", "gauge", "Used space of its writable layer.", "disk_used_bytes"),
    ("disk_limit_bytes", "gauge", "Size of its writable layer.", "disk_limit_bytes"),
    ("read_bytes_total", "counter", "Bytes read from block devices.", "read_bytes"),
    ("written_bytes_total", "counter", "Bytes written to block devices.", "written_bytes"),
    ("cpu_pressure_seconds_total", "counter", "Time some task waited for a CPU.", "cpu_pressure_seconds"),
    (
        "memory_pressure_seconds_total",
        "counter",
        "Time some task waited for memory.",
        "memory_pressure_seconds",
    ),
    ("io_pressure_seconds_total", "counter", "Time some task waited for disks.", "io_pressure_seconds"),
)


def render(
    instances: Iterable[InstanceState], jobs: Iterable[JobState], containers: Iterable[ContainerUsage]
) -> str:
    """The whole page."""
    containers = tuple(containers)
    by_state, jobs_by_state = Counter(instances), Counter(jobs)
    lines = [
        *_family("paas_instances", "gauge", "Instances of this host by state."),
        *(f'paas_instances{{state="{state}"}} {by_state[state]}' for state in InstanceState),
        *_family("paas_jobs", "gauge", "Jobs this host remembers by state."),
        *(f'paas_jobs{{state="{state}"}} {jobs_by_state[state]}' for state in JobState),
        *(line for family in FAMILIES for line in _render_family(*family, containers)),
    ]
    return "\n".join(lines) + "\n"


def _render_family(
    suffix: str, kind: str, text: str, field: str, containers: tuple[ContainerUsage, ...]
) -> list[str]:
    """One family, without the containers for which the kernel does not tell it; nothing when it tells for none."""
    name = f"paas_container_{suffix}"
    values = [(one, getattr(one.usage, field)) for one in containers]
    samples = [_sample(name, one, value) for one, value in values if value is not None]
    return [*_family(name, kind, text), *samples] if samples or not containers else []


def render_host(numbers: Numbers, last_event: int) -> str:
    """What the host keeps, and what was cleared away since the agent started."""
    gauges = (
        ("paas_images", "Images kept on this host.", numbers.images),
        ("paas_images_bytes", "Size of the images kept on this host.", numbers.image_bytes),
        ("paas_caches", "Build caches kept on this host.", numbers.caches),
        ("paas_caches_bytes", "Disk space taken by build caches.", numbers.cache_bytes),
        ("paas_disk_free_bytes", "Free space on the disk of the agent.", numbers.disk_free_bytes),
        ("paas_disk_bytes", "Size of the disk of the agent.", numbers.disk_bytes),
        ("paas_last_clearing_timestamp_seconds", "When the host was last cleared.", numbers.round_at),
    )
    counters = (
        ("paas_removed_bytes_total", "Size of what was cleared away.", numbers.removed_bytes),
        ("paas_events_total", "Number of the newest event of this host.", last_event),
    )
    lines = [
        line
        for name, text, value in gauges
        for line in (*_family(name, "gauge", text), f"{name} {value:.14g}")
    ]
    lines += [
        line
        for name, text, value in counters
        for line in (*_family(name, "counter", text), f"{name} {value}")
    ]
    lines += _family("paas_removed_total", "counter", "Things cleared away, by kind.")
    lines += [f'paas_removed_total{{kind="{kind}"}} {numbers.removed[kind]}' for kind in KINDS]
    return "\n".join(lines) + "\n"


def render_refused(totals: Mapping[str, int]) -> str:
    """Packets and questions that egress rules refused, by owner."""
    name = "paas_egress_refused_total"
    lines = _family(name, "counter", "Packets and questions for names that egress rules refused.")
    samples = (f'{name}{{owner="{_escape(owner)}"}} {count}' for owner, count in sorted(totals.items()))
    return "\n".join((*lines, *samples)) + "\n"


def _family(name: str, kind: str, text: str) -> tuple[str, str]:
    return f"# HELP {name} {text}", f"# TYPE {name} {kind}"


def _sample(name: str, one: ContainerUsage, value: float) -> str:
    labels = {"container": one.id, "owner": one.owner, "name": one.name}
    text = ",".join(f'{label}="{_escape(content)}"' for label, content in labels.items())
    return f"{name}{{{text}}} {value:.10g}"


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
