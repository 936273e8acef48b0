"""`python3 -m slugbuilder build`: the program that a build container runs.

In: arguments (with the container's places as defaults) and the environment.  Out: exit code 0, 1 (build failed), 2.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from .dockerfile.plan import load_orders
from .heroku.compiling import OFFERED, Chosen
from .heroku.references import parse_schemes
from .masking import Masker
from .output import Output
from .pipeline import SLUG_LIMIT, Request, build
from .workspace import Stack

STACK_FILE = Path("/etc/paas-stack")


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="slugbuilder", description="Compile the source of an app into a slug."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("build", help="unpack, detect and compile one source tar")
    command.add_argument("--source", type=Path, default=Path("/source.tar"))
    command.add_argument("--app", type=Path, default=Path("/app"))
    command.add_argument("--cache", type=Path, default=Path("/cache"))
    command.add_argument("--result", type=Path, default=Path("/tmp/build/result.json"))
    command.add_argument(
        "--stack", default="", help="name of the stack (default: what the stack itself says)"
    )
    command.add_argument("--slug-limit", type=int, default=SLUG_LIMIT, metavar="BYTES")
    command.add_argument(
        "--buildpack",
        action="append",
        default=[],
        metavar="NAME",
        help="one to use, in order (default: detected)",
    )
    command.add_argument("--project-path", default="", metavar="FOLDER", help="of the source: the app")
    command.add_argument("--buildpack-schemes", type=parse_schemes, default=("https",), metavar="https,…")
    command.add_argument(
        "--offered", type=Path, default=OFFERED, metavar="DIR", help="Cloud Native Buildpacks of the platform"
    )
    command.add_argument(
        "--images", type=load_orders, metavar="JSON", help="build images from Dockerfiles, as it says"
    )
    return parser.parse_args(arguments)


def stack_name(given: str) -> str:
    if given:
        return given
    return STACK_FILE.read_text().strip() if STACK_FILE.is_file() else "host"


def main(arguments: list[str]) -> int:
    options = parse_arguments(arguments)
    # /tmp is small and in memory; /var/tmp lies on the build's disk
    place = "/var/tmp" if os.access("/var/tmp", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="build-", dir=place) as scratch:
        request = Request(
            options.source, options.app, options.cache, Path(scratch), options.result,
            Stack(stack_name(options.stack)), options.slug_limit,
            Chosen(tuple(options.buildpack), options.buildpack_schemes, options.offered),
            options.project_path,
        )  # fmt: skip
        make = None
        if options.images:
            from .dockerfile.building import image_maker  # most builds spare themselves reading it

            make = image_maker(options.images)
        return build(request, os.environ, Output(sys.stdout, masker=Masker(os.environ)), make)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
