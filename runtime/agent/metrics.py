"""What Prometheus reads.

In: the instances of a host and their counters.  Out: text format 0.0.4. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from runtime.container.port import Usage
from runtime.model import InstanceState, JobState


@dataclass(frozen=True)
class ContainerUsage:
    """Counters of one container with its labels."""

    id: str
    owner: str
    name: str
    usage: Usage


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
        *_family("paas_container_cpu_seconds_total", "counter", "CPU time used by a container."),
        *(_sample("paas_container_cpu_seconds_total", one, one.usage.cpu_seconds) for one in containers),
        *_family("paas_container_memory_bytes", "gauge", "Memory in use by a container."),
        *(_sample("paas_container_memory_bytes", one, one.usage.memory_bytes) for one in containers),
        *_family("paas_container_memory_limit_bytes", "gauge", "Memory limit of a container."),
        *(
            _sample("paas_container_memory_limit_bytes", one, one.usage.memory_limit_bytes)
            for one in containers
        ),
        *_family("paas_container_pids", "gauge", "Processes and threads of a container."),
        *(_sample("paas_container_pids", one, one.usage.pids) for one in containers),
    ]
    return "\n".join(lines) + "\n"


def _family(name: str, kind: str, text: str) -> tuple[str, str]:
    return f"# HELP {name} {text}", f"# TYPE {name} {kind}"


def _sample(name: str, one: ContainerUsage, value: float) -> str:
    labels = {"container": one.id, "owner": one.owner, "name": one.name}
    text = ",".join(f'{label}="{_escape(content)}"' for label, content in labels.items())
    return f"{name}{{{text}}} {value:.10g}"


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
