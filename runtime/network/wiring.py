"""This host's connections to its peers, kept equal to what is wanted.

In: peers and the containers on them.  Out: routes, tunnel devices and firewall elements; nothing is restarted.
What was made is on disk before it exists, so that the next process of the same home knows what to take back.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from runtime.container.port import EngineError
from runtime.container.storage import write_atomically
from runtime.model import HostNetwork, Member, Network, Peer, Struct, decode, encode
from runtime.network import overlay, reach, rules, wireguard
from runtime.network.nftables import Nftables
from runtime.network.overlay import Mode, Way
from runtime.network.reach import Reach
from runtime.network.rtnetlink import Netlink

_VXLAN_HEADERS, _WIREGUARD_HEADERS = 50, 80  # bytes around each packet, over IPv4
_GUESTS = 2**24  # numbers of owners that have no user range here; those that have one are below
_GONE = (errno.ESRCH, errno.ENOENT, errno.ENODEV, errno.EADDRNOTAVAIL)


class Wired(Struct):
    """What is, or is about to be, there."""

    ways: tuple[Way, ...] = ()
    members: tuple[Member, ...] = ()
    network: int = 1
    underlay: str = ""
    networks: tuple[Network, ...] = ()


class Wiring:
    """One platform's. `marks` gives the firewall's number of each owner that this host knows, `local` the owner of each
    container here by its address."""

    def __init__(
        self, file: Path, names: rules.Names, firewall: Nftables, subnet: str, mode: Mode, underlay: str,
        marks: Callable[[], Mapping[str, int]], local: Callable[[], Mapping[str, str]], mtu: Callable[[], int],
    ) -> None:  # fmt: skip
        self._file, self._names, self._firewall = file, names, firewall
        self._subnet, self._mode, self._underlay = subnet, mode, underlay
        self._marks, self._local, self._mtu = marks, local, mtu
        self._key = file.with_name("wireguard.key")
        self._lock = threading.RLock()
        self._wired = Wired()
        self._shown = Reach()  # as the firewall has it
        self._guests: dict[str, int] = {}
        self._owners: set[str] = set()
        self._rendered = False
        self._known_key, self._refused, self._problem = "", False, ""

    def load(self) -> str:
        """Recall what an earlier process has made; return the firewall commands that go with it."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            self._wired = decode(self._file.read_bytes(), Wired)
        self._owners = set(self._marks())
        self._shown, self._rendered = self._wanted_reach(), True
        return self._render(self._wired) + rules.render_reach(self._names, Reach(), self._shown)

    def status(self) -> HostNetwork:
        """Return what the peers must know of this host; without WireGuard, where it is asked for, why not."""
        problem = ""
        try:
            key = self._public_key()
        except EngineError as error:
            key, problem = "", str(error)
        return HostNetwork(
            subnet=self._subnet, underlay=self._address(), public_key=key, problem=problem or self._problem
        )

    def apply(
        self,
        peers: tuple[Peer, ...],
        members: tuple[Member, ...],
        network: int,
        networks: tuple[Network, ...] = (),
    ) -> None:
        """Make the network equal to this. Repeatable: it also mends what went missing meanwhile.

        Raises EngineError naming the peers that cannot be joined, once the others are.
        """
        with self._lock:
            self._problem = "Joining this host to its peers failed; the agent's log says why."
            planned = self._plan(peers)
            wanted = Wired(
                ways=planned.ways,
                members=members,
                network=network,
                underlay=self._address(),
                networks=networks,
            )
            try:
                problems = (*planned.problems, *self._rewire(wanted))
            except OSError as error:
                raise EngineError(f"This host could not be joined to its peers: {error}.") from error
            self._show()
            self._problem = " ".join(problems)
            if problems:
                raise EngineError(self._problem)

    def _rewire(self, wanted: Wired) -> tuple[str, ...]:
        before = self._wired
        self._take_back(before, wanted)
        if wanted != before:
            write_atomically(self._file, encode(wanted))
        self._wired = wanted
        if (wanted.ways, wanted.network) != (before.ways, before.network) or not self._rendered:
            self._rendered = False
            self._firewall.run(self._render(wanted))
            self._rendered = True
        return self._connect(wanted)

    def admit(self, owner: str) -> None:
        """An app has a container here: its containers elsewhere, and its networks, may talk to it from now on."""
        with self._lock:
            self._owners.add(owner)
            self._show()

    def left(self) -> None:
        """A container here is gone: nobody has a way to its address any more."""
        with self._lock:
            self._show()

    def expel(self, owner: str) -> None:
        """An app's number is about to be freed: nobody elsewhere has it any more."""
        with self._lock:
            if owner in self._owners:
                self._owners.discard(owner)
                self._show()

    def remove(self) -> None:
        """Take everything back but the key."""
        with self._lock:
            with contextlib.suppress(OSError):
                self._take_back(self._wired, Wired())
            self._wired, self._shown = Wired(), Reach()
            self._file.unlink(missing_ok=True)

    def _plan(self, peers: tuple[Peer, ...]) -> overlay.Plan:
        here = overlay.Here(
            underlay=self._address(),
            subnet=self._subnet,
            routes=overlay.ROUTES.read_text(),
            wireguard=bool(peers and self._public_key()),
        )
        return overlay.plan(self._mode, peers, here, self._names)

    def _public_key(self) -> str:
        """Return '' where WireGuard is not used; looked for once, then known."""
        if not self._known_key and self._mode in (Mode.WIREGUARD, Mode.AUTO) and not self._refused:
            if self._mode is Mode.WIREGUARD:
                wireguard.check(self._names.wireguard)
            self._refused = not wireguard.usable(self._names.wireguard)
            self._known_key = "" if self._refused else wireguard.public_key(self._key)
        return self._known_key

    def _address(self) -> str:
        return self._underlay or overlay.outgoing_address()

    def _render(self, wired: Wired) -> str:
        vni = wired.network if any(way.by is Mode.VXLAN for way in wired.ways) else 0
        return rules.render_neighbours(self._names, overlay.neighbours(wired.ways), vni)

    def _wanted_reach(self) -> Reach:
        """Owners without a number here have one only while they share a network with one that does."""
        subnets, marks = overlay.Subnets(self._wired.ways), self._marks()
        here = {owner: mark for owner, mark in marks.items() if owner in self._owners}
        # Any other address could open this host's own ones.
        elsewhere = [one for one in self._wired.members if subnets.has_container(one.address)]
        return reach.plan(here, self._local(), elsewhere, self._wired.networks, self._guest)

    def _guest(self, owner: str) -> int:
        return self._guests.setdefault(owner, _GUESTS + len(self._guests))

    def _show(self) -> None:
        wanted, shown = self._wanted_reach(), self._shown
        gone, new = _without(shown, wanted), _without(wanted, shown)
        if gone != new:  # else both are empty
            self._firewall.run(rules.render_reach(self._names, gone, new))
            self._shown = wanted

    def _take_back(self, before: Wired, wanted: Wired) -> None:
        devices = _devices()
        same_tunnel = (before.network, before.underlay) == (wanted.network, wanted.underlay)
        with Netlink() as netlink:
            for way in before.ways:
                if way not in wanted.ways:
                    _forget(netlink, way, devices)
            for mode, name in ((Mode.VXLAN, self._names.vxlan), (Mode.WIREGUARD, self._names.wireguard)):
                unused = not any(way.by is mode for way in wanted.ways)
                stale = mode is Mode.VXLAN and not same_tunnel
                if name in devices and (unused or stale):
                    netlink.delete_link(devices[name])

    def _connect(self, wired: Wired) -> tuple[str, ...]:
        """Return a sentence for each peer that the kernel refuses."""
        problems: list[str] = []
        used = {way.by for way in wired.ways}
        with Netlink() as netlink:
            if Mode.VXLAN in used:
                self._open_tunnel(netlink, Mode.VXLAN, wired)
            if Mode.WIREGUARD in used:
                self._open_tunnel(netlink, Mode.WIREGUARD, wired)
                encrypted = [way for way in wired.ways if way.by is Mode.WIREGUARD]
                wireguard.configure(self._names.wireguard, self._key, encrypted)
            devices = _devices()
            for way in wired.ways:
                try:
                    _join(netlink, way, devices)
                except OSError as error:
                    problems.append(f"Host {way.host} ({way.address}) could not be joined: {error}.")
        return tuple(problems)

    def _open_tunnel(self, netlink: Netlink, mode: Mode, wired: Wired) -> None:
        """The device's own address lets this host's routers and health checks reach containers of peers."""
        name = self._names.vxlan if mode is Mode.VXLAN else self._names.wireguard
        if name not in _devices():
            if mode is Mode.VXLAN:
                mac, mtu = overlay.mac_of(wired.underlay), self._mtu() - _VXLAN_HEADERS
                netlink.add_vxlan(name, wired.network, wired.underlay, rules.VXLAN_PORT, mac, mtu)
            else:
                netlink.add_wireguard(name, self._mtu() - _WIREGUARD_HEADERS)
        index = _devices()[name]
        with contextlib.suppress(FileExistsError):  # since an earlier call
            netlink.add_address(index, overlay.first_address(self._subnet))
        netlink.set_up(index)


def _join(netlink: Netlink, way: Way, devices: Mapping[str, int]) -> None:
    if way.by is Mode.ROUTES:
        netlink.replace_route(way.subnet, way.address)
        return
    index = devices[way.interface]
    if way.by is Mode.VXLAN:
        mac = overlay.mac_of(way.address)
        netlink.replace_forwarding(index, mac, way.address)
        netlink.replace_neighbour(index, way.gateway, mac)
        netlink.replace_route(way.subnet, way.gateway, index)
    else:
        netlink.replace_route(way.subnet, None, index)


def _forget(netlink: Netlink, way: Way, devices: Mapping[str, int]) -> None:
    _try(netlink.delete_route, way.subnet)
    if way.by is Mode.VXLAN and way.interface in devices:
        index, mac = devices[way.interface], overlay.mac_of(way.address)
        _try(netlink.delete_neighbour, index, way.gateway)
        _try(netlink.delete_forwarding, index, mac, way.address)


def _try(delete: Callable[..., None], *what: object) -> None:
    try:
        delete(*what)
    except OSError as error:
        if error.errno not in _GONE:
            raise


def _devices() -> dict[str, int]:
    return {name: index for index, name in socket.if_nameindex()}


def _without(one: Reach, other: Reach) -> Reach:
    owners = {address: mark for address, mark in one.owners.items() if other.owners.get(address) != mark}
    return Reach(owners=owners, pairs=one.pairs - other.pairs)
