"""Containers on a CNI network in place of our own: the same slots, made by somebody else's plugins.

In: a network and the folder of its plugins.  Out: `Slot`s. Each attachment is on disk before its ADD and until its DEL.
There is no firewall of ours here, no joining of hosts and no name server: what the plugins give is all there is.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from pathlib import Path

import msgspec

from runtime.container import syscalls
from runtime.container.port import EngineError
from runtime.network.cni import chain as plugins
from runtime.network.cni.attachments import Attachments
from runtime.network.cni.chain import Attachment
from runtime.network.cni.conf import Chain
from runtime.network.pool import Slot, pin, set_up_namespace, unpin
from runtime.network.rtnetlink import Netlink

log = logging.getLogger(__name__)
WARNING = (
    "Containers are on the CNI network %s: apps are not kept apart from each other, from this host and from builds "
    "unless its plugins do it, hosts are not joined, and names of apps do not exist."
)


class CniNetwork:
    """See `runtime.network.pool.Pool`, whose place it takes. One operation at a time per container is the engine's
    business; different containers go side by side."""

    guarded = False

    def __init__(
        self,
        chain: Chain,
        programs: Path,
        attachments: Attachments,
        directory: Path,
        prefix: str,
        seconds: float = plugins.TAKES,
    ) -> None:
        self._chain, self._programs, self._attachments = chain, programs, attachments
        self._directory, self._prefix, self._seconds = directory, prefix, seconds
        self._lock = threading.Lock()
        self._live: dict[int, Slot] = {}
        self._number = 0

    def adopt(self, taken: tuple[tuple[int, str], ...]) -> None:
        """Take over the attachments of living containers, end all others. In the mount namespace."""
        self._directory.mkdir(mode=0o755, exist_ok=True)
        self._attachments.remember(self._chain)
        here = self._attachments.all()
        if strangers := {number for number, _ in taken} - {one.number for one in here}:
            raise EngineError(
                f"{len(strangers)} running containers are on the agent's own network: stop them before it changes to "
                "CNI (python -m runtime stop), or unset PAAS_AGENT_CNI."
            )
        kept = {number for number, _ in taken}
        self._live = {number: self.slot(number, address) for number, address in taken}
        self._number = max((one.number for one in here), default=0)
        for one in here:
            if one.number not in kept:
                self._end(one)

    def open(self) -> None:
        """Say what this network does not give."""
        missing = [name for name in self._chain.types if not (self._programs / name).exists()]
        if missing:
            raise EngineError(
                f"The CNI network {self._chain.name} needs the plugins {', '.join(sorted(set(missing)))} in "
                f"{self._programs}: apt install containernetworking-plugins, or mend PAAS_AGENT_CNI_BIN_DIR."
            )
        log.warning(WARNING, self._chain.name)

    def close(self) -> None:
        """Nothing is kept ready."""

    def take(self, container: str) -> Slot:
        """Attach a container. Raises EngineError in a plugin's words; then nothing of it is left."""
        with self._lock:
            self._number += 1
            number = self._number
            self._live[number] = Slot(number=number, address="", interface="", path=self._path(number))
        attachment = Attachment(
            number=number,
            container=f"{self._prefix}{container}",
            netns=self._path(number),
            chain=self._chain,
            plugins=str(self._programs),
        )
        try:
            self._attachments.save(attachment)
            _make_namespace(Path(attachment.netns))
            result = plugins.add(attachment, self._seconds)
            address = plugins.address_of(result)
            self._attachments.save(msgspec.structs.replace(attachment, result=result))
        except (EngineError, OSError) as error:
            self._drop(number)
            raise EngineError(f"The container could not be put on the network: {error}") from error
        slot = self.slot(number, address)
        with self._lock:
            self._live[number] = slot
        return slot

    def reserve(self) -> Slot:
        raise EngineError("A CNI network is attached before the container is made.")

    def connect(self, slot: Slot, pid: int) -> None:
        raise EngineError("A CNI network is attached before the container is made.")

    def slot(self, number: int, address: str) -> Slot:
        """Return the slot of a container known from its record."""
        found = self._attachments.load(number)
        interface = plugins.host_interface_of(found.result) if found and found.result else ""
        return Slot(number=number, address=address, interface=interface, path=self._path(number))

    def nameservers(self, slot: Slot) -> tuple[str, ...]:
        """Return those that the network itself names."""
        found = self._attachments.load(slot.number)
        return plugins.nameservers_of(found.result) if found and found.result else ()

    def release(self, slot: Slot) -> None:
        """End an attachment, once or again. What a plugin refuses stays on disk, for the doctor and the next agent."""
        self._drop(slot.number)

    def live(self) -> tuple[Slot, ...]:
        with self._lock:
            return tuple(self._live.values())

    def wait_gone(self, timeout: float) -> bool:
        """Its interfaces are the plugins' own."""
        return True

    def _drop(self, number: int) -> None:
        found = self._attachments.load(number)
        if found is None:
            unpin(Path(self._path(number)))
        else:
            self._end(found)
        with self._lock:
            self._live.pop(number, None)

    def _end(self, attachment: Attachment) -> None:
        try:
            end(self._attachments, attachment)
        except EngineError as error:
            log.error("container %s could not be taken off its network: %s", attachment.container, error)

    def _path(self, number: int) -> str:
        return str(self._directory / str(number))


def end(attachments: Attachments, attachment: Attachment) -> None:
    """DEL, then forget. Raises EngineError when a plugin refuses; then it is remembered. In the mount namespace."""
    try:
        plugins.delete(attachment)
    finally:
        with contextlib.suppress(OSError):
            unpin(Path(attachment.netns))
    attachments.forget(attachment.number)


def _make_namespace(path: Path) -> None:
    host = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.unshare(syscalls.CLONE_NEWNET)
        try:
            pin(path)
            set_up_namespace()
            with Netlink() as netlink:
                netlink.set_up(socket.if_nametoindex("lo"))
        finally:
            syscalls.setns(host, syscalls.CLONE_NEWNET)
    finally:
        os.close(host)
