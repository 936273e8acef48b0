"""What is in a release's slug, and where it came from.

In: a version.  Out: the documents as JSON, for scanners and for whoever has to prove it.
"""

from __future__ import annotations

import json
from typing import Any

import click

from paas.cli.call import Call, command
from paas.cli.failures import Failure
from paas.cli.output import say


@command(
    click.argument("version", default="current"),
    app=True,
    help="Print the packages in a release's slug (CycloneDX JSON).",
)
def sbom(call: Call, version: str) -> None:
    _print(call, version, "sbom")


@command(
    click.argument("version", default="current"),
    app=True,
    help="Print what a release's slug was built from (in-toto statement, SLSA provenance).",
)
def provenance(call: Call, version: str) -> None:
    _print(call, version, "provenance")


def _print(call: Call, version: str, what: str) -> None:
    from paas.cli.client import segment

    release: Any = call.api.get(f"{call.path}/releases/{segment(version)}")
    if not release["slug"]:
        raise Failure(
            f"v{release['version']} of {call.app} has no slug yet. Deploy something with `git push`."
        )
    document = call.api.get(f"{call.path}/slugs/{release['slug']['id']}/{what}")
    call.show(document, lambda: say(json.dumps(document, indent=2)))
