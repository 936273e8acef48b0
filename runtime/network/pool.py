"""Ready network namespaces: made ahead in the background, taken by a container at once.

In: a subnet.  Out: `Slot`s, each a pinned namespace with one address, connected to the host by a veth pair.
Host side 169.254.1.1, the same for all; no bridge, so that every packet passes the firewall. Names count upwards,
because the kernel frees a veth's name some time after its namespace.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import ipaddress
import os
import queue
import secrets
import socket
import struct
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path

from runtime.container import syscalls
from runtime.container.port import EngineError
from runtime.model import Struct
from runtime.network.rtnetlink import Netlink
from runtime.network.rules import GATEWAY

_IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
_NAME_ATTEMPTS = 1000
_SIOCGIFMTU = 0x8921  # netdevice(7)


class Slot(Struct):
    """A ready namespace. `interface` is the host's end of its veth pair."""

    number: int
    address: str
    interface: str
    path: str


def next_address(subnet: ipaddress.IPv4Network, last: int, used: Collection[str]) -> tuple[int, str]:
    """Return the next free host offset and address after `last`, round and round, so that none is reused soon.

    Raises EngineError when all are used. The subnet's first and last address stay free.
    """
    size = subnet.num_addresses - 2
    for step in range(1, size + 1):
        offset = (last + step - 1) % size + 1
        address = str(subnet[offset])
        if address not in used:
            return offset, address
    raise EngineError(f"Every address of {subnet} is in use; stop containers or configure a larger subnet.")


def fitting(size: int, subnet: ipaddress.IPv4Network) -> int:
    """Return how many slots to keep ready: what nobody uses has at most a quarter of a small subnet's addresses."""
    return min(size, subnet.num_addresses // 4)


def missing(size: int, there: int) -> int:
    """Return how many slots to make now. Pure. Many at once, when half are gone: making one keeps the kernel's locks
    on networks and mounts, for which the container that has just taken one would wait."""
    return size - there if there <= size // 2 else 0


def check_address(subnet: ipaddress.IPv4Network, address: str, used: Collection[str]) -> None:
    """Raise EngineError when a container cannot have the address that it asks for."""
    try:
        asked = ipaddress.IPv4Address(address)
    except ValueError as error:
        raise EngineError(f"{address!r} is not an IPv4 address.") from error
    if asked not in subnet or asked in (subnet[0], subnet[-1]):
        raise EngineError(
            f"{address} cannot be a container's address here; take one of {subnet[1]} to {subnet[-2]}."
        )
    if address in used:
        raise EngineError(f"{address} is in use on this host; ask for another address, or for none.")


def encode_name(number: int) -> str:
    """Write a number in base 36, to fit the 15 characters of an interface name."""
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    text = ""
    while True:
        number, rest = divmod(number, 36)
        text = digits[rest] + text
        if not number:
            return text


class Pool:
    """Slots of one platform. `guarded`: our firewall stands around them. `run` runs a function in the private mount
    namespace, where `directory` is."""

    guarded = True

    def __init__(
        self, subnet: str, veth: str, directory: Path, size: int, run: Callable[[Callable[[], Slot]], Slot]
    ) -> None:
        self._subnet = ipaddress.IPv4Network(subnet)
        self._size = fitting(size, self._subnet)
        self._veth, self._directory, self._run = veth, directory, run
        self._ready: queue.SimpleQueue[Slot] = queue.SimpleQueue()
        self._wanted: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._used: set[str] = set()
        self._live: dict[int, Slot] = {}
        self._last = self._number = 0
        self._mtu = 1500
        self._thread: threading.Thread | None = None

    def adopt(self, taken: tuple[tuple[int, str], ...]) -> None:
        """Take over the slots (number, address) of living containers, drop all others. In the mount namespace."""
        self._directory.mkdir(mode=0o755, exist_ok=True)
        self._used = {address for _, address in taken}
        self._live = {number: self.slot(number, address) for number, address in taken}
        kept = {number for number, _ in taken}
        for path in self._directory.iterdir():
            if not path.name.isdigit() or int(path.name) not in kept:
                unpin(path)
        self._number = max(kept, default=0)
        # Anywhere: the addresses freed last are not known any more, and a router may still send requests there.
        self._last = secrets.randbelow(self._subnet.num_addresses)

    def open(self) -> None:
        """Let packets pass this host, and start filling. Outside: a thread starts where its starter is."""
        self._mtu = outgoing_mtu()
        _IP_FORWARD.write_text("1\n")
        self._thread = threading.Thread(target=self._fill, name="network-pool", daemon=True)
        self._thread.start()
        for _ in range(self._size):
            self._wanted.put(True)

    def close(self) -> None:
        """Stop filling and drop the slots that nobody took."""
        if self._thread is not None:
            self._wanted.put(False)
            self._thread.join()
            self._thread = None
        with contextlib.suppress(queue.Empty):
            while True:
                self._run_release(self._ready.get_nowait())

    def take(self, container: str) -> Slot:
        """Return a ready slot, or make one when the pool is empty."""
        try:
            return self._ready.get_nowait()
        except queue.Empty:
            return self._run(self._make)
        finally:
            for _ in range(missing(self._size, self._ready.qsize() + self._wanted.qsize())):
                self._wanted.put(True)

    def take_exactly(self, address: str) -> Slot:
        """Make a slot with this address. Raises EngineError when it is in use, or not of this host's subnet."""
        self._give_up_ready(address)
        return self._run(lambda: self._make(address))

    def _give_up_ready(self, address: str) -> None:
        """Drop the ready slot that has an address which somebody asks for by name."""
        kept: list[Slot] = []
        with contextlib.suppress(queue.Empty):
            while True:
                slot = self._ready.get_nowait()
                if slot.address == address:
                    self._run_release(slot)
                    self._wanted.put(True)
                else:
                    kept.append(slot)
        for slot in kept:
            self._ready.put(slot)

    def reserve(self, address: str = "") -> Slot:
        """Return a slot for a namespace that somebody else makes; `connect` it when it is there."""
        for _ in range(_NAME_ATTEMPTS):
            slot = self._reserve(address)
            if not Path("/sys/class/net", slot.interface).exists():
                return slot
            self.release(slot)
        raise EngineError("No free interface name was found for a container network.")

    def connect(self, slot: Slot, pid: int) -> None:
        """Connect the network namespace of process `pid` as one of the pool's would be. In the mount namespace."""
        try:
            with Path(f"/proc/{pid}/ns/net").open("rb") as inside:
                self._connect(slot, lambda: syscalls.setns(inside.fileno(), syscalls.CLONE_NEWNET))
        except OSError as error:
            raise EngineError(f"A container network could not be made: {error}.") from error

    def slot(self, number: int, address: str) -> Slot:
        """Return the slot of a container known from its record."""
        return Slot(
            number=number,
            address=address,
            interface=self._interface(number),
            path=str(self._directory / str(number)),
        )

    def nameservers(self, slot: Slot) -> tuple[str, ...]:
        """Return those that the network itself names: this one has none."""
        return ()

    def release(self, slot: Slot) -> None:
        """Drop a slot: unmounting its namespace also deletes the veth pair. Runs in the mount namespace."""
        unpin(Path(slot.path))
        with self._lock:
            self._used.discard(slot.address)
            self._live.pop(slot.number, None)

    def live(self) -> tuple[Slot, ...]:
        """Return every slot that is ready, being made, or a container's."""
        with self._lock:
            return tuple(self._live.values())

    def wait_gone(self, timeout: float) -> bool:
        """Wait until the kernel has freed every interface of ours, which it does some time after `release`."""
        deadline, pause = time.monotonic() + timeout, 0.005
        while any(name.startswith(self._veth) for _, name in socket.if_nameindex()):
            if time.monotonic() > deadline:
                return False
            time.sleep(pause)
            pause = min(pause * 2, 0.1)
        return True

    def cut(self) -> None:
        """Delete the interfaces that are still there. A connection that nobody answers any more keeps its namespace,
        and so the interface, for minutes after its process."""
        with Netlink() as netlink:
            for index, name in socket.if_nameindex():
                if name.startswith(self._veth):
                    with contextlib.suppress(OSError):  # gone this moment
                        netlink.delete_link(index)

    def _run_release(self, slot: Slot) -> None:
        def release() -> Slot:
            self.release(slot)
            return slot

        self._run(release)

    def _fill(self) -> None:
        while self._wanted.get():
            # A failure here shows, in words, when the next container takes from the empty pool.
            with contextlib.suppress(EngineError, OSError):
                self._ready.put(self._run(self._make))

    def _make(self, address: str = "") -> Slot:
        for _ in range(_NAME_ATTEMPTS):
            slot = self._reserve(address)
            try:
                self._connect(slot, lambda: syscalls.unshare(syscalls.CLONE_NEWNET))
                return slot
            except OSError as error:
                self.release(slot)
                if error.errno != errno.EEXIST:
                    raise EngineError(f"A container network could not be made: {error}.") from error
        raise EngineError("No free interface name was found for a container network.")

    def _reserve(self, address: str = "") -> Slot:
        with self._lock:
            self._number += 1
            if address:
                check_address(self._subnet, address, self._used)
            else:
                self._last, address = next_address(self._subnet, self._last, self._used)
            self._used.add(address)
            slot = self._live[self._number] = self.slot(self._number, address)
            return slot

    def _connect(self, slot: Slot, enter: Callable[[], None]) -> None:
        host = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            enter()
            try:
                pin(Path(slot.path))
                self._furnish(slot, host)
            finally:
                syscalls.setns(host, syscalls.CLONE_NEWNET)
        finally:
            os.close(host)
        index = socket.if_nametoindex(slot.interface)
        with Netlink() as netlink:
            netlink.add_address(index, GATEWAY)  # first, or a failed neighbour entry delays the first packets
            netlink.set_up(index)
            netlink.add_route(index, slot.address)

    def _furnish(self, slot: Slot, host: int) -> None:
        """Inside the new namespace: addresses, routes and the settings an unprivileged app cannot make itself."""
        set_up_namespace()
        sysctl = Path("/proc/sys/net")
        if (sysctl / "ipv6/conf/default/disable_ipv6").exists():
            (sysctl / "ipv6/conf/default/disable_ipv6").write_text("1\n")
        with Netlink() as netlink:
            netlink.set_up(socket.if_nametoindex("lo"))
            netlink.add_veth("eth0", slot.interface, host, self._mtu)
            index = socket.if_nametoindex("eth0")
            netlink.add_address(index, slot.address)
            netlink.set_up(index)
            netlink.add_route(index, GATEWAY)
            netlink.add_route(index, None, GATEWAY)

    def _interface(self, number: int) -> str:
        return f"{self._veth}{encode_name(number)}"


def set_up_namespace() -> None:
    """Inside a new namespace: what an unprivileged app may do there and cannot allow itself."""
    sysctl = Path("/proc/sys/net/ipv4")
    (sysctl / "ip_unprivileged_port_start").write_text("0\n")
    (sysctl / "ping_group_range").write_text("0 2147483647\n")


def device_mtu(name: str) -> int:
    """Return the MTU of an interface of this network namespace, which /sys need not show. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, _SIOCGIFMTU, struct.pack("16si20x", name.encode()[:15], 0))
    return int(struct.unpack("16si20x", answer)[1])


def outgoing_mtu(
    routes: Path = Path("/proc/thread-self/net/route"), mtu_of: Callable[[str], int] = device_mtu
) -> int:
    """Return the MTU of the interface with the default route, so that packets need no fragmenting; else 1500."""
    for line in routes.read_text().splitlines()[1:]:
        fields = line.split()
        if len(fields) > 7 and fields[1] == fields[7] == "00000000":
            with contextlib.suppress(OSError):
                return mtu_of(fields[0])
    return 1500


def pin(path: Path) -> None:
    """Keep the calling thread's network namespace at `path`."""
    path.touch(mode=0o600)
    syscalls.mount("/proc/thread-self/ns/net", path, "", syscalls.MS_BIND)


def unpin(path: Path) -> None:
    """Let go of the namespace at `path`. Nothing when it is gone."""
    with contextlib.suppress(OSError):
        syscalls.umount(path)
    path.unlink(missing_ok=True)
