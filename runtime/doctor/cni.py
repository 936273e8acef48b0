"""What containers that are gone have left on a CNI network: attachments, and addresses in its address management.

In: the attachments of a home, and host-local's files.  Out: leftovers; each is ended by the plugins' own DEL.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from runtime.container.port import EngineError
from runtime.doctor.place import Known, Leftover, Place
from runtime.network.cni import chain as plugins
from runtime.network.cni.attachments import Attachments
from runtime.network.cni.chain import Attachment
from runtime.network.cni.conf import Chain
from runtime.network.cni.network import end

_DATA = "/var/lib/cni/networks"  # host-local's default


def look(place: Place, known: Known) -> Iterator[Leftover]:
    attachments = Attachments(place.layout.cni)
    here = attachments.all()
    for one in here:
        if one.number not in known.slots:
            problem = f"is on the CNI network {one.chain.name} and belongs to no container"
            yield Leftover(
                "attachment", one.container, problem, partial(_inside, place, end, attachments, one)
            )
        elif one.result is not None and (words := _broken(place, one)):
            yield Leftover("network", one.container, f"is not on its CNI network as it should be: {words}")
    chain = attachments.chain()
    if chain is not None:
        yield from _look_addresses(place, known, chain, here)


def _look_addresses(
    place: Place, known: Known, chain: Chain, here: tuple[Attachment, ...]
) -> Iterator[Leftover]:
    prefix, attached = place.layout.cni_prefix, {one.container for one in here}
    for folder in folders_of(chain):
        for address, holder in holders(folder):
            if holder.startswith(prefix) and holder not in attached:
                if holder.removeprefix(prefix) in known.containers:
                    continue
                text = f"is taken on the CNI network {chain.name} by {holder}, which is on no network"
                yield Leftover("address", address, text, partial((folder / address).unlink, missing_ok=True))


def folders_of(chain: Chain) -> tuple[Path, ...]:
    """Return where host-local keeps the addresses of a network. Pure."""
    ipams = (plugin.get("ipam") for plugin in chain.plugins)
    local = (one for one in ipams if isinstance(one, dict) and one.get("type") == "host-local")
    return tuple(Path(one.get("dataDir") or _DATA, chain.name) for one in local)


def holders(folder: Path) -> Iterator[tuple[str, str]]:
    """Return each address taken with the container that has it, the first line of its file."""
    for file in sorted(folder.glob("*")):
        if file.name[:1].isdigit():
            try:
                yield file.name, file.read_text().split("\n")[0].strip()
            except FileNotFoundError:
                continue


def _broken(place: Place, attachment: Attachment) -> str:
    try:
        _inside(place, plugins.check, attachment)
    except EngineError as error:
        return str(error)
    return ""


def _inside(place: Place, function: object, *arguments: object) -> None:
    if place.inside is None:
        function(*arguments)  # type: ignore[operator]
    else:
        place.inside(function, *arguments)
