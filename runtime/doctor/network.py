"""Interfaces and firewall elements that belong to no container, and containers that the firewall does not know.

In: this host's interfaces and the platform's table.  Out: leftovers.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import socket
import subprocess
from collections.abc import Iterator
from functools import partial
from typing import Any

from runtime.container.port import EngineError
from runtime.doctor.place import Known, Leftover, Place
from runtime.network import rules
from runtime.network.rtnetlink import Netlink

SETS = ("senders", "owner_of", "members")
NFT_SECONDS = 30.0


def look(place: Place, known: Known) -> Iterator[Leftover]:
    for index, name in socket.if_nameindex():
        if name.startswith(place.names.veth) and name not in known.interfaces:
            problem = "is a network interface that no container uses"
            yield Leftover("interface", name, problem, partial(_delete_link, index, name))
        elif name in (place.names.vxlan, place.names.wireguard) and place.inside is None:
            problem = "is the tunnel of an agent that was removed"
            yield Leftover("interface", name, problem, partial(_delete_link, index, name))
    table = read_table(place.names.table)
    if table is None:
        if known.members:
            text = "is missing: containers are neither connected nor kept apart; restart the agent"
            yield Leftover("firewall", place.names.table, text)
        return
    if place.inside is None and not known.containers:
        text = "is the firewall of an agent that was removed"
        yield Leftover("firewall", place.names.table, text, partial(_nft, rules.render_removal(place.names)))
        return
    yield from _judge_elements(place, known, table)


def _judge_elements(place: Place, known: Known, table: dict[str, list[Any]]) -> Iterator[Leftover]:
    for name, elements in table.items():
        for element in elements:
            words = words_of(element)
            stranger = find_stranger(words, place.subnet, place.names.veth, known)
            if stranger:
                text = f"the firewall still lets {stranger} talk, which is no container's"
                key = " . ".join(words)
                command = f"delete element inet {place.names.table} {name} {{ {_render(words)} }}\n"
                yield Leftover("firewall", f"{name} {key}", text, partial(_nft, command))
    present = {words_of(element) for element in table.get("senders", ())}
    for member in known.members:
        if (member.interface, member.address) not in present:
            command = rules.render_join(place.names, member)
            text = "is a container's address, but the firewall drops what it sends"
            yield Leftover("firewall", member.address, text, partial(_nft, command))


def read_table(table: str) -> dict[str, list[Any]] | None:
    """Return the elements of the sets of containers, None when there is no such table."""
    done = subprocess.run(
        ["nft", "-j", "list", "table", "inet", table], capture_output=True, timeout=NFT_SECONDS, check=False
    )
    if done.returncode != 0:
        return None
    objects = json.loads(done.stdout)["nftables"]
    found = [one.get("set") or one.get("map") for one in objects]
    return {one["name"]: one.get("elem", []) for one in found if one and one["name"] in SETS}


def words_of(element: Any) -> tuple[str, ...]:
    """The key of an element as nft's JSON shows it: a value, a concatenation, or [key, value] of a map. Pure."""
    if isinstance(element, dict) and "elem" in element:
        return words_of(element["elem"]["val"])
    if isinstance(element, dict) and "concat" in element:
        return tuple(str(part) for part in element["concat"])
    if isinstance(element, list):
        return words_of(element[0])
    return (str(element),)


def find_stranger(words: tuple[str, ...], subnet: str, veth: str, known: Known) -> str:
    """Return the interface or address in an element that no container has, '' when there is none. Pure."""
    for word in words:
        if word.startswith(veth) and word not in known.interfaces:
            return word
        with contextlib.suppress(ValueError):
            inside = ipaddress.IPv4Address(word) in ipaddress.IPv4Network(subnet)
            if inside and word not in known.addresses:
                return word
    return ""


def _render(words: tuple[str, ...]) -> str:
    """Interfaces are quoted; addresses and marks are not."""
    return " . ".join(word if word[0].isdigit() else f'"{word}"' for word in words)


def _nft(commands: str) -> None:
    done = subprocess.run(
        ["nft", "-f", "-"], input=commands, capture_output=True, text=True, timeout=NFT_SECONDS, check=False
    )
    if done.returncode != 0:
        raise EngineError(f"nft refused: {' '.join(done.stderr.split())[:200]}")


def _delete_link(index: int, name: str) -> None:
    if (index, name) in socket.if_nameindex():
        with Netlink() as netlink:
            netlink.delete_link(index)
