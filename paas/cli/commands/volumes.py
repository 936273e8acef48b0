"""Volumes: show, make, mount, grow, copy, destroy.

In: names, sizes such as 10GiB, places as TYPE:/PATH.  Out: volumes; a release wherever a mount changes.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from paas.cli.call import Call, command
from paas.cli.failures import Usage
from paas.cli.output import remark, say
from paas.sizes import parse_size

NAME = click.argument("name", metavar="VOLUME")
SNAPSHOT = click.argument("snapshot", metavar="SNAPSHOT")


@command(app=True, help="Show the volumes of an app.")
def volumes(call: Call) -> None:
    found = call.api.get(f"{call.path}/volumes")

    def people() -> None:
        for one in found:
            used = "?" if one["used"] is None else show_size(one["used"])
            mounts = ", ".join(one["mounts"]) or "not mounted"
            say(f"{one['name']}  {used} of {show_size(one['size'])}  {mounts}  on {one['host']}")
        if not found:
            remark(
                f"{call.app} has no volumes. Make one: `paas volumes:create data --size 1GiB --mount web:/data`."
            )

    call.show(found, people)


@command(
    NAME,
    click.option("--size", required=True, help="What it can hold: 1GiB, 500MiB."),
    click.option(
        "--mount", "mounts", multiple=True, metavar="TYPE:/PATH[:ro]", help="Where; may be repeated."
    ),
    app=True,
    help="Make a volume, and mount it in processes of a type.",
)
def create(call: Call, name: str, size: str, mounts: tuple[str, ...]) -> None:
    body = {"name": name, "size": read_size(size), "mounts": list(mounts)}
    made = call.api.post(f"{call.path}/volumes", body)
    places = f", mounted at {', '.join(made['mounts'])}" if made["mounts"] else ""
    call.show(
        made, lambda: say(f"Made volume {name} of {show_size(made['size'])} on {made['host']}{places}.")
    )


@command(
    NAME,
    click.argument("mounts", nargs=-1, metavar="TYPE:/PATH[:ro]..."),
    app=True,
    help="Mount a volume at these places and nowhere else; without any, unmount it. Makes a release.",
)
def mount(call: Call, name: str, mounts: tuple[str, ...]) -> None:
    changed = call.api.patch(_path(call, name), {"mounts": list(mounts)})
    words = f"mounted at {', '.join(changed['mounts'])}" if changed["mounts"] else "not mounted any more"
    call.show(changed, lambda: say(f"Volume {name} is {words}."))


@command(
    NAME, click.argument("size", metavar="SIZE"), app=True, help="Let a volume hold more; it never shrinks."
)
def resize(call: Call, name: str, size: str) -> None:
    changed = call.api.patch(_path(call, name), {"size": read_size(size)})
    call.show(changed, lambda: say(f"Volume {name} holds {show_size(changed['size'])}."))


@command(
    NAME,
    click.option("--force", is_flag=True, help="Also one that is mounted: it is unmounted by a release."),
    click.option("--confirm", metavar="VOLUME", help="Its name, to destroy it without being asked."),
    app=True,
    help="Destroy a volume with its data and its snapshots.",
)
def destroy(call: Call, name: str, force: bool, confirm: str | None) -> None:
    if confirm is None:
        if not sys.stdin.isatty():
            raise Usage(f"Destroying a volume cannot be undone. Repeat it with --confirm {name}.")
        confirm = click.prompt(f"This destroys all that is in {name}. Type its name to go on", err=True)
    if confirm != name:
        raise Usage(f"{confirm} is not the name of the volume ({name}). Nothing was destroyed.")
    gone = call.api.delete(f"{_path(call, name)}{'?force=true' if force else ''}")
    call.show(gone, lambda: say(f"Volume {name} is destroyed."))


@command(NAME, click.option("--name", "snapshot", default="", help="Default: the time."), app=True,
         help="Keep a volume as it is now, while it is used.")  # fmt: skip
def snapshot(call: Call, name: str, snapshot: str) -> None:
    taken = call.api.post(f"{_path(call, name)}/snapshots", {"snapshot": snapshot})
    call.show(taken, lambda: say(f"Took snapshot {taken['name']} of {name}."))


@command(NAME, app=True, help="List the snapshots of a volume.")
def snapshots(call: Call, name: str) -> None:
    found = call.api.get(f"{_path(call, name)}/snapshots")

    def people() -> None:
        for one in found:
            say(f"{one['name']}  {show_size(one['size'])}")

    call.show(found, people)


@command(NAME, SNAPSHOT, app=True, help="Put a volume back to a snapshot. Refused while a process uses it.")
def restore(call: Call, name: str, snapshot: str) -> None:
    restored = call.api.post(f"{_path(call, name)}/actions/restore", {"snapshot": snapshot})
    call.show(restored, lambda: say(f"Volume {name} is as it was at {snapshot}."))


@command(NAME, SNAPSHOT, click.argument("new", metavar="NEW-VOLUME"), app=True,
         help="Make another volume from a snapshot.")  # fmt: skip
def clone(call: Call, name: str, snapshot: str, new: str) -> None:
    made = call.api.post(f"{_path(call, name)}/actions/clone", {"snapshot": snapshot, "name": new})
    call.show(made, lambda: say(f"Made volume {new} from {snapshot} of {name}."))


def read_size(text: str) -> int:
    """Read 10GiB, 500M or bytes; units are powers of 1024. Raises Usage."""
    try:
        return parse_size(text)
    except ValueError as error:
        raise Usage(str(error)) from error


def show_size(size: int) -> str:
    for unit, name in ((1024**4, "TiB"), (1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB")):
        if size >= unit:
            return f"{size / unit:.4g} {name}"
    return f"{size} bytes"


def _path(call: Call, name: str) -> Any:
    from paas.cli.client import segment

    return f"{call.path}/volumes/{segment(name)}"
