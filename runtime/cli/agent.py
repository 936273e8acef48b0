"""The agent itself.

In: the settings.  Out: a process that serves until it is told to end.
"""

from __future__ import annotations

import argparse
import logging
import sys

from runtime.cli.commands import Commands
from runtime.config import Settings


def register(commands: Commands) -> None:
    commands.add("agent", _agent, "run the agent in the foreground")


def _agent(settings: Settings, _: argparse.Namespace) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # Only the agent itself loads the server and the engine: the other commands stay quick.
    from runtime.agent.daemon import AlreadyRunning, run
    from runtime.container.config import EngineConfig
    from runtime.container.engine import CrunEngine
    from runtime.container.port import EngineError

    engine = CrunEngine(
        EngineConfig(
            home=settings.home,
            tag=settings.tag,
            subnet=settings.subnet,
            runtime=settings.runtime,
            runtimes=settings.runtimes,
            seccomp_dir=settings.seccomp_dir,
            hooks_dirs=settings.hooks_dirs,
            cni=settings.cni,
            cni_conf_dir=settings.cni_conf_dir,
            cni_bin_dir=settings.cni_bin_dir,
            cni_seconds=settings.cni_seconds,
            blocked=settings.blocked,
            overlay=settings.overlay,
            underlay=settings.underlay,
            ca_bundle=settings.ca_bundle,
        )
    )
    try:
        run(settings, engine)
    except (EngineError, AlreadyRunning, OSError) as error:
        print(f"The agent cannot run: {error}", file=sys.stderr)
        return 1
    return 0
