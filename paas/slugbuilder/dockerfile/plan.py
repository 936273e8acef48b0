"""What is to be built, as the platform tells the builder.

In: JSON, or values.  Out: the same, frozen. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

REGISTRY_AUTH = "PAAS_REGISTRY_AUTH"  # a config var of image builds alone: credentials for base images


@dataclass(frozen=True)
class Target:
    """One image: a Dockerfile, relative to the source, and the stage of it that counts ('': the last one).

    The folder of the Dockerfile is its context, as on Heroku.
    """

    dockerfile: str = "Dockerfile"
    stage: str = ""


@dataclass(frozen=True)
class Orders:
    """What a builder has to do. `arguments` are for every `ARG` of that name; `stacks` are base images by name, each
    with the digests of its layers, the topmost first; `insecure` are registries without TLS; `told` is for the
    pusher."""

    targets: tuple[Target, ...]
    arguments: Mapping[str, str] = field(default_factory=dict)
    stacks: Mapping[str, Sequence[str]] = field(default_factory=dict)
    insecure: Sequence[str] = ()
    told: Sequence[str] = ()


@dataclass(frozen=True)
class Process:
    """What a process type runs: the image of which type, and a command in place of the image's own ('': that)."""

    image: str
    command: str = ""


@dataclass(frozen=True)
class Plan:
    """What a source asks for. `images` are by process type, `runs` what runs in them; `told` is for the pusher."""

    images: Mapping[str, Target]
    runs: Mapping[str, Process] = field(default_factory=dict)
    arguments: Mapping[str, str] = field(default_factory=dict)
    told: tuple[str, ...] = ()
    file: str = "Dockerfile"

    @property
    def targets(self) -> tuple[Target, ...]:
        """Each image once, however many process types run it."""
        return tuple(dict.fromkeys(self.images.values()))


def dump_orders(orders: Orders) -> str:
    return json.dumps(asdict(orders), sort_keys=True)


def load_orders(text: str) -> Orders:
    """Read what `dump_orders` wrote. Raises ValueError."""
    values: dict[str, Any] = json.loads(text)
    targets = tuple(Target(**one) for one in values["targets"])
    return Orders(targets, values["arguments"], values["stacks"], values["insecure"], values["told"])
