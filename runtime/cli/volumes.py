"""Volumes: make them, see who uses them, copy them, keep or remove them.

In: arguments; a volume is named by its id or as OWNER/NAME.  Out: tables and sentences; backups on standard output.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from typing import BinaryIO

from runtime.cli.commands import Commands
from runtime.cli.connection import connect
from runtime.cli.tables import age_of, show_table
from runtime.client import AgentClient, AgentError
from runtime.config import Settings
from runtime.model import VolumeSpec, VolumeStatus

Work = Callable[[AgentClient, argparse.Namespace], object]
_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_SIZE = re.compile(r"(\d+)\s*([kmgt]?)(i?b)?\Z", re.IGNORECASE)


def register(commands: Commands) -> None:
    volumes = commands.add("volumes", _perform(_list), "list, make, copy, keep and remove volumes")
    verbs = Commands(volumes.add_subparsers(metavar="VERB"))

    def add(name: str, work: Work, text: str, *words: str) -> argparse.ArgumentParser:
        parser = verbs.add(name, _perform(work), text)
        for word in words:
            parser.add_argument(word.lower(), metavar=word)
        return parser

    add("list", _list, "list volumes: who uses them, how full they are, whose owner is gone")
    create = add("create", _create, "make an empty volume", "OWNER/NAME")
    create.add_argument("--size", type=parse_size, required=True, help="what it can hold, such as 10GiB")
    add("inspect", _inspect, "show everything about a volume", "VOLUME")
    grow = add("grow", _grow, "let a volume hold more, also while it is used", "VOLUME")
    grow.add_argument("--size", type=parse_size, required=True)
    add("delete", _delete, "delete a volume, its data and its snapshots", "VOLUME")
    add("retain", _retain, "take a volume from its owner and keep it", "VOLUME")
    add("give", _give, "attach a retained volume to an owner", "VOLUME", "OWNER/NAME")
    snapshot = add("snapshot", _snapshot, "keep a volume as it is now, while it is used", "VOLUME")
    snapshot.add_argument("--name", default="", help="default: the time")
    add("snapshots", _snapshots, "list the snapshots of a volume", "VOLUME")
    add("delete-snapshot", _delete_snapshot, "delete a snapshot", "VOLUME", "SNAPSHOT")
    add("restore", _restore, "put a volume back to a snapshot; later data is lost", "VOLUME", "SNAPSHOT")
    clone = add("clone", _clone, "make a volume from a snapshot", "VOLUME", "SNAPSHOT", "OWNER/NAME")
    clone.add_argument("--size", type=parse_size, default=0, help="default: that of the snapshot")
    export = add("export", _export, "write a backup to standard output", "VOLUME")
    export.add_argument("--snapshot", default="", help="default: as it is now")
    add("import", _import, "make a volume from a backup on standard input", "OWNER/NAME")


def parse_size(text: str) -> int:
    """Read `512MiB`, `10G` or bytes; units are powers of 1024. Pure."""
    found = _SIZE.match(text.strip())
    if not found:
        raise argparse.ArgumentTypeError(f"'{text}' is not a size: write 512MiB, 10GiB or a number of bytes")
    return int(found[1]) * _UNITS[found[2].lower()]


def _perform(work: Work) -> Callable[[Settings, argparse.Namespace], int]:
    def command(settings: Settings, arguments: argparse.Namespace) -> int:
        with connect(settings) as client:
            words = work(client, arguments)
        if words:
            print(words)
        return 0

    return command


def _list(client: AgentClient, _: argparse.Namespace) -> None:
    rows = [("ID", "OWNER/NAME", "USED", "SIZE", "ON DISK", "SNAPSHOTS", "AGE", "IN USE BY")]
    for one in client.volumes():
        used = (_mib(one.used_bytes), _mib(one.size_bytes), _mib(one.disk_bytes))
        rows.append((one.id, _title(one), *used, str(one.snapshots), age_of(one.created_at), _users(one)))
    show_table(rows)


def _title(volume: VolumeStatus) -> str:
    return f"{volume.owner}/{volume.name}"


def _users(volume: VolumeStatus) -> str:
    if volume.retained:
        return "(retained)"
    if volume.orphan:
        return "(orphan: its owner has no container here)"
    return ", ".join(f"{one.name}{' read-only' if one.read_only else ''}" for one in volume.holders)


def _mib(size: int) -> str:
    return f"{size / 1024**2:.1f} MiB"


def _create(client: AgentClient, arguments: argparse.Namespace) -> str:
    owner, name = _owner_and_name(arguments)
    spec = VolumeSpec(id=uuid.uuid4().hex, owner=owner, name=name, size_bytes=arguments.size)
    return f"Made volume {client.create_volume(spec).id}."


def _inspect(client: AgentClient, arguments: argparse.Namespace) -> None:
    volume = _volume(client, arguments)
    show_table([(name, _value(getattr(volume, name))) for name in VolumeStatus.__struct_fields__])


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"{one.name} ({one.container}){' read-only' * one.read_only}" for one in value)
    return str(value)


def _grow(client: AgentClient, arguments: argparse.Namespace) -> str:
    grown = client.grow_volume(_volume(client, arguments).id, arguments.size)
    return f"Volume {_title(grown)} holds {_mib(grown.size_bytes)}."


def _delete(client: AgentClient, arguments: argparse.Namespace) -> str:
    volume = _volume(client, arguments)
    client.remove_volume(volume.id)
    return f"Volume {_title(volume)} is gone, with its data and {volume.snapshots} snapshots."


def _retain(client: AgentClient, arguments: argparse.Namespace) -> str:
    kept = client.retain_volume(_volume(client, arguments).id)
    return (
        f"Volume {kept.id} is kept and belongs to nobody: python -m runtime volumes give {kept.id} OWNER/NAME"
    )


def _give(client: AgentClient, arguments: argparse.Namespace) -> str:
    owner, name = _owner_and_name(arguments)
    return f"Volume {_volume(client, arguments).id} is now {_title(client.give_volume(arguments.volume, owner, name))}."


def _snapshot(client: AgentClient, arguments: argparse.Namespace) -> str:
    name = arguments.name or time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    taken = client.snapshot_volume(_volume(client, arguments).id, name)
    return f"Snapshot {taken.name} takes {_mib(taken.disk_bytes)}."


def _snapshots(client: AgentClient, arguments: argparse.Namespace) -> None:
    rows = [("SNAPSHOT", "AGE", "SIZE", "ON DISK")]
    for one in client.volume_snapshots(_volume(client, arguments).id):
        rows.append((one.name, age_of(one.created_at), _mib(one.size_bytes), _mib(one.disk_bytes)))
    show_table(rows)


def _delete_snapshot(client: AgentClient, arguments: argparse.Namespace) -> str:
    client.remove_snapshot(_volume(client, arguments).id, arguments.snapshot)
    return f"Snapshot {arguments.snapshot} is gone."


def _restore(client: AgentClient, arguments: argparse.Namespace) -> str:
    restored = client.restore_volume(_volume(client, arguments).id, arguments.snapshot)
    return f"Volume {_title(restored)} is as it was at {arguments.snapshot}."


def _clone(client: AgentClient, arguments: argparse.Namespace) -> str:
    owner, name = _owner_and_name(arguments)
    source = f"{_volume(client, arguments).id}/{arguments.snapshot}"
    spec = VolumeSpec(id=uuid.uuid4().hex, owner=owner, name=name, size_bytes=arguments.size, source=source)
    return f"Made volume {client.create_volume(spec).id} from {source}."


def _export(client: AgentClient, arguments: argparse.Namespace) -> None:
    if sys.stdout.isatty():
        raise AgentError("A backup is no text: send it to a file with > FILE.")
    for piece in client.export_volume(_volume(client, arguments).id, arguments.snapshot):
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


def _import(client: AgentClient, arguments: argparse.Namespace) -> str:
    owner, name = _owner_and_name(arguments)
    made = client.import_volume(uuid.uuid4().hex, owner, name, _pieces(sys.stdin.buffer))
    return f"Made volume {made.id} of {_mib(made.size_bytes)}; {_mib(made.used_bytes)} are used."


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    while piece := stream.read(256 * 1024):
        yield piece


def _volume(client: AgentClient, arguments: argparse.Namespace) -> VolumeStatus:
    wanted = arguments.volume
    for one in client.volumes():
        if wanted == one.id or (wanted == _title(one) and not one.retained):
            return one
    raise AgentError(f"There is no volume {wanted} on this host; see python -m runtime volumes.")


def _owner_and_name(arguments: argparse.Namespace) -> tuple[str, str]:
    text = getattr(arguments, "owner/name")
    owner, _, name = text.rpartition("/")
    if not owner or not name:
        raise AgentError(f"'{text}' does not say whose volume and its name: write OWNER/NAME.")
    return owner, name
