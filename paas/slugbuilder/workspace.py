"""What one build works with and what a buildpack gives back.

In: folders, environment and stack of this build.  Out: frozen values that steps and buildpacks share.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .output import Output


@dataclass(frozen=True)
class Stack:
    """The system the slug will run on. `name` is `debian-13`, `host` …; versions are asked from its own programs."""

    name: str
    python: Path = Path("/usr/bin/python3")
    node: Path = Path("/usr/bin/node")


@dataclass(frozen=True)
class Workspace:
    """One build. `app` is the final place of the code; `cache` outlives the build (None: there is none);
    `scratch` is thrown away; `env` is what tools and the app's own build steps get (config vars included);
    `config` is the app's config vars alone; `offered` holds the dependencies of the last build as they were packed
    (None: the host shows none), `trees` those that this one has marked, each with the time of its last change."""

    app: Path
    cache: Path | None
    scratch: Path
    env: Mapping[str, str]
    stack: Stack
    output: Output
    timings: dict[str, float] = field(default_factory=dict)
    config: Mapping[str, str] = field(default_factory=dict)
    offered: Path | None = None
    trees: dict[Path, int] = field(default_factory=dict)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add the seconds spent inside to `timings[name]`."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.timings[name] = round(self.timings.get(name, 0.0) + time.monotonic() - start, 3)

    def cache_dir(self, name: str) -> Path:
        """A folder for downloads: in the cache if there is one, else in scratch."""
        folder = (self.cache or self.scratch) / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


@dataclass(frozen=True)
class Compiled:
    """What a buildpack made. `processes` are defaults for types that the Procfile does not name; `env` are defaults
    that config vars override; `web_memory_mb` is what one web worker process needs (0: no WEB_CONCURRENCY);
    `no_web` says why there is no default web process; `dependencies` are folders of the app that hold what was
    installed: they make a layer of their own, which stays when only the app's code changes."""

    version: str
    processes: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    web_memory_mb: int = 0
    no_web: str = ""
    python: str = ""
    node: str = ""
    dependencies: tuple[str, ...] = ()


@dataclass(frozen=True)
class Buildpack:
    """`detect` looks at the source and must not change it; `compile` makes it runnable in place or raises."""

    name: str
    label: str
    looks_for: str
    detect: Callable[[Path], bool]
    compile: Callable[[Workspace], Compiled]
