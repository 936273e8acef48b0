"""Prebuilt images: deploy one from a registry or from an archive.

In: where the image is.  Out: the output of its deployment.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from paas.cli.call import Call, command
from paas.cli.failures import Failure, Unreachable, Usage
from paas.cli.output import remark, say
from paas.cli.registry_auth import read_auth_file

ARCHIVES = ("oci-archive:", "docker-archive:")
SOURCE_OPTION = click.option(
    "--image",
    required=True,
    metavar="IMAGE",
    help="docker://REGISTRY/NAME:TAG, oci-archive:FILE, docker-archive:FILE.",
)
AUTH_OPTION = click.option(
    "--auth-file", metavar="FILE", help="Registry credentials (mode 0600), as `podman login` writes them."
)


@command(
    SOURCE_OPTION,
    click.option("--type", "type_", default="web", show_default=True, help="The process type it is for."),
    AUTH_OPTION,
    app=True,
    help="Deploy a prebuilt image.",
)
def deploy(call: Call, image: str, type_: str, auth_file: str | None) -> None:
    body: dict[str, Any] = {"process_type": type_, "credentials": read_auth_file(auth_file)}
    source, url = located(call, image, f"{call.path}/sources")
    upload = {"source_blob_url": url} if url else {}
    build = call.api.post(f"{call.path}/images", {**body, "image": source, **upload})
    if call.json:
        call.show(build, lambda: None)
        return
    ended = follow(call, build["output_stream_url"], f"{call.path}/builds/{build['id']}", ("pending",))
    if ended["status"] == "failed":
        raise Failure(f"The image was not deployed: {ended['message']}")


def follow(call: Call, output: str, path: str, going: tuple[str, ...]) -> dict[str, Any]:
    """Print the output of work at `path` until its status is not among `going`; return it as it is then.

    A step that says nothing for long, or a platform that is started anew, breaks the stream off: it is read again.
    """
    shown = 0
    while True:
        try:
            for number, line in enumerate(call.api.lines(output)):
                if number >= shown:
                    say(line)
                    shown = number + 1
        except Unreachable:
            remark("       (still at it)")
        ended: dict[str, Any] = call.api.get(path)
        if ended["status"] not in going:
            return ended


def located(call: Call, image: str, sources: str) -> tuple[str, str]:
    """Return a reference as the platform takes it; an archive is uploaded first, and its URL is the second part."""
    transport = next((one for one in ARCHIVES if image.startswith(one)), "")
    if not transport:
        return image, ""
    name, _, tag = image.removeprefix(transport).partition(":")
    file = Path(name)
    if not file.is_file():
        raise Usage(f"There is no file {name}.")
    blob = call.api.post(sources)["source_blob"]
    call.api.upload(blob["put_url"], file)
    return f"{transport}{file.name}" + (f":{tag}" if tag else ""), blob["get_url"]
