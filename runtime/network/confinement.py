"""Which containers may go where, kept equal to what is wanted.

In: egress rules of owners and of their builds, containers that come and go, answers of name servers.  Out: firewall
elements, at once and for what runs already. The rules are on disk before they are in force, so that the next process
of the same home confines its containers before they can send another packet.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from runtime.container.port import Asking, Attempt, EngineError
from runtime.container.storage import write_atomically
from runtime.egress import Egress, EgressRule, matches
from runtime.model import Struct, decode, encode
from runtime.network import egress, rules
from runtime.network.egress import Confined, Named
from runtime.network.nftables import Nftables

log = logging.getLogger(__name__)
_NAMED_SETS = ("named", "named_protocols", "named_ports")
_REFUSED_SETS = ("refusals", "refused")
ANSWERS_KEPT = 4096  # of each set of rules
STALE_KEPT = 2000


class Ruled(Struct):
    """Rules in force. Their `number` changes with them."""

    number: int
    egress: Egress


class Kept(Struct):
    """By owner. `last` is the highest number given so far."""

    last: int = 0
    apps: dict[str, Ruled] = {}
    builds: dict[str, Ruled] = {}


Key = tuple[str, bool]  # owner, is it a build?
Answers = dict[tuple[str, str], float]  # name and address -> until when


class Confinement:
    """One platform's. Thread-safe."""

    def __init__(
        self, file: Path, names: rules.Names, firewall: Nftables, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._file, self._names, self._firewall, self._now = file, names, firewall, now
        self._lock = threading.RLock()
        self._kept = Kept()
        self._shown: dict[str, Confined] = {}  # as the firewall has them
        self._keys: dict[str, Key] = {}
        self._answers: dict[Key, Answers] = {}
        self._serial, self._stale = (
            0,
            0,
        )  # of the set with networks, and elements in it that nobody needs any more

    def load(self, members: Iterable[tuple[rules.Member, str]]) -> str:
        """Recall the rules; return the firewall commands that confine these containers, each with its owner."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            self._kept = decode(self._file.read_bytes(), Kept)
        self._keys = {member.address: _key(member, owner) for member, owner in members}
        self._shown = self._wanted()
        in_force = _numbered(self._kept)
        self._serial, self._stale = 0, 0
        text = egress.render_rules(self._names.table, 0, in_force)
        text += egress.render_confine(self._names.table, (), tuple(self._shown.values()))
        return text + egress.render_kept(self._names.table, self._still_named(in_force))

    def containers(self) -> dict[str, str]:
        """Return the owner of each container with an address, but for builds, which nobody reaches."""
        with self._lock:
            return {address: owner for address, (owner, build) in self._keys.items() if not build}

    def admit(self, member: rules.Member, owner: str) -> None:
        """Let a container talk, as its owner's rules say, in one step."""
        with self._lock:
            self._keys[member.address] = _key(member, owner)
            self._show(rules.render_join(self._names, member))

    def leave(self, member: rules.Member) -> None:
        """Close the firewall for an address."""
        with self._lock:
            self._keys.pop(member.address, None)
            try:
                self._show(rules.render_leave(self._names, member))
            except EngineError:  # it was never added
                self._rebuild()

    def apply(self, apps: Mapping[str, Egress], builds: Mapping[str, Egress]) -> None:
        """Make these the rules in force. Repeatable. Raises EngineError when the firewall takes none at all."""
        with self._lock:
            before, after = self._kept, renumber(self._kept, apps, builds)
            gone, new = _differences(_numbered(before), _numbered(after))
            if after != before:
                write_atomically(self._file, encode(after))
                self._kept = after
            try:
                self._show(egress.render_rules(self._names.table, self._serial, new) + self._rename(new))
                self._stale += egress.count_elements(gone)
                if self._stale > STALE_KEPT:
                    self._renew()
            except EngineError as error:
                log.warning("the egress rules are loaded anew: %s", error)
                self._rebuild()

    def asks(self, address: str, name: str) -> Asking:
        """Tell what becomes of a container's question. Quick: for the event loop."""
        ruled = self._ruled(self._keys.get(address, ("", False)))
        if ruled is None:
            return Asking.FREE
        if any(matches(rule, name) for rule in ruled.egress.rules):
            return Asking.WATCHED
        # Whoever may reach networks needs names for them. Who may reach names only could talk by questions.
        return Asking.FREE if any(rule.network for rule in ruled.egress.rules) else Asking.REFUSED

    def answered(self, address: str, name: str, addresses: Iterable[str], ttl: int) -> None:
        """A container is about to learn these addresses of an allowed name: let it through to them."""
        with self._lock:
            key = self._keys.get(address, ("", False))
            ruled, seconds = self._ruled(key), egress.timeout_of(ttl)
            if ruled is None:
                return
            known, now = self._answers.setdefault(key, {}), self._now()
            text = ""
            for one in addresses:  # others may have been told a longer time
                until = known[name, one] = max(known.get((name, one), 0.0), now + seconds)
                allowed = _merge(ruled, name, (one,), max(1, int(until - now)))
                text += egress.render_named(self._names.table, allowed)
            self._forget_old(known)
            if text:
                self._firewall.run(text)

    def refused(self) -> tuple[Attempt, ...]:
        """Return what was refused and is still remembered by the firewall; nothing is looked up when all are free."""
        if not self._shown:
            return ()
        table = self._names.table
        return tuple(
            attempt
            for name in _REFUSED_SETS
            for attempt in egress.read_attempts(self._firewall.read(f"list set inet {table} {name}"))
        )

    def remove(self) -> None:
        with self._lock:
            self._kept, self._shown, self._keys = Kept(), {}, {}
            self._file.unlink(missing_ok=True)

    def _ruled(self, key: Key) -> Ruled | None:
        owner, build = key
        return (self._kept.builds if build else self._kept.apps).get(owner)

    def _wanted(self) -> dict[str, Confined]:
        ruled = ((address, self._ruled(key)) for address, key in self._keys.items())
        return {
            address: Confined(address=address, number=one.number) for address, one in ruled if one is not None
        }

    def _show(self, commands: str) -> None:
        """Run commands together with what makes the containers' numbers right."""
        wanted, shown = self._wanted(), self._shown
        gone = [one for address, one in shown.items() if wanted.get(address) != one]
        new = [one for address, one in wanted.items() if shown.get(address) != one]
        commands += egress.render_confine(self._names.table, gone, new)
        if commands:
            self._firewall.run(commands)
        self._shown = wanted

    def _renew(self) -> None:
        """Put a set without stale elements in place of the one that has them."""
        self._firewall.run(self._render_renewal())
        self._serial, self._stale = self._serial + 1, 0

    def _render_renewal(self) -> str:
        return egress.render_replacement(self._names.table, self._serial + 1, _numbered(self._kept))

    def _rebuild(self) -> None:
        """The firewall is not as we think: in one step, all rules and all containers anew."""
        table, wanted = self._names.table, self._wanted()
        text = self._render_renewal() + egress.render_flush(table) + self._rename(_numbered(self._kept))
        self._firewall.run(text + egress.render_confine(table, (), tuple(wanted.values())))
        self._serial, self._stale, self._shown = self._serial + 1, 0, wanted

    def _rename(self, new: Mapping[int, Egress]) -> str:
        """What was answered under an owner's earlier rules counts under new ones that allow the same names."""
        text = ""
        for key, known in self._answers.items():
            ruled = self._ruled(key)
            if ruled is None or ruled.number not in new:
                continue
            self._forget_old(known)
            for (name, address), until in known.items():
                seconds = max(1, int(until - self._now()))
                text += egress.render_named(self._names.table, _merge(ruled, name, (address,), seconds))
        return text

    def _forget_old(self, known: Answers) -> None:
        now = self._now()
        for pair in [pair for pair, until in known.items() if until <= now]:
            del known[pair]
        while len(known) > ANSWERS_KEPT:
            del known[next(iter(known))]

    def _still_named(self, in_force: Mapping[int, Egress]) -> dict[str, list[str]]:
        """What an earlier process let through: the table is about to be replaced."""
        found: dict[str, list[str]] = {}
        for name in _NAMED_SETS:
            with contextlib.suppress(EngineError):  # the first start on this host
                found |= egress.read_named(self._firewall.read(f"list set inet {self._names.table} {name}"))
        numbers = {str(number) for number in in_force}
        return {
            name: kept
            for name, elements in found.items()
            if (kept := [one for one in elements if one.split(" ", 1)[0] in numbers])
        }


def renumber(kept: Kept, apps: Mapping[str, Egress], builds: Mapping[str, Egress]) -> Kept:
    """Return these rules with numbers: the old one for the same rules, else one that was never used. Pure."""
    last = kept.last

    def number(before: Mapping[str, Ruled], after: Mapping[str, Egress]) -> dict[str, Ruled]:
        nonlocal last
        done: dict[str, Ruled] = {}
        for owner, wanted in after.items():
            old = before.get(owner)
            if old is None or old.egress != wanted:
                last += 1
                old = Ruled(number=last, egress=wanted)
            done[owner] = old
        return done

    ruled_apps, ruled_builds = number(kept.apps, apps), number(kept.builds, builds)
    return Kept(last=last, apps=ruled_apps, builds=ruled_builds)


def _key(member: rules.Member, owner: str) -> Key:
    return owner, member.owner == 0


def _numbered(kept: Kept) -> dict[int, Egress]:
    return {one.number: one.egress for one in (*kept.apps.values(), *kept.builds.values())}


def _differences(
    before: Mapping[int, Egress], after: Mapping[int, Egress]
) -> tuple[dict[int, Egress], dict[int, Egress]]:
    gone = {number: one for number, one in before.items() if number not in after}
    return gone, {number: one for number, one in after.items() if number not in before}


def _merge(ruled: Ruled, name: str, addresses: Iterable[str], seconds: int) -> tuple[Named, ...]:
    fitting: list[EgressRule] = [rule for rule in ruled.egress.rules if matches(rule, name)]
    return tuple(
        Named(number=ruled.number, address=address, rule=rule, seconds=seconds)
        for address in addresses
        for rule in fitting
    )
