"""What an engine does for the network of its containers: peers, names, and who may go where.

In: the calls of the port `Engine` about it.  Out: firewall and routes, where the network is our own.
"""

from __future__ import annotations

from collections.abc import Mapping

from runtime.container.ledger import Ledger
from runtime.container.port import Asking, Attempt, EngineError
from runtime.model import Egress, HostNetwork, Member, Network, Peer
from runtime.network import rules

NO_EGRESS = "Containers of this host are on a CNI network, which keeps no egress rules."


class Networking(Ledger):
    """A part of `CrunEngine`."""

    def connect(
        self,
        peers: tuple[Peer, ...],
        members: tuple[Member, ...],
        network: int,
        networks: tuple[Network, ...] = (),
    ) -> None:
        if self._parts.pool.guarded:
            self._parts.wiring.apply(peers, members, network, networks)
        elif peers:
            raise EngineError(f"{self._unjoined()} {len(peers)} hosts are not reached.")
        elif networks:
            names = ", ".join(one.name for one in networks)
            raise EngineError(f"{self._unjoined()} Its apps are not in {names}.")

    def network(self) -> HostNetwork:
        return (
            self._parts.wiring.status() if self._parts.pool.guarded else HostNetwork(problem=self._unjoined())
        )

    def _unjoined(self) -> str:
        return f"Containers are on the CNI network {self._config.cni}, which joins no hosts."

    def serve_names(self, port: int) -> None:
        if self._parts.pool.guarded:
            self._parts.firewall.run(rules.render_names(self._parts.names, port))

    def owner_at(self, address: str) -> str | None:
        seen = tuple(self._records.values())
        return next((one.owner if one.peers else "" for one in seen if one.address == address), None)

    def confine(self, apps: Mapping[str, Egress], builds: Mapping[str, Egress]) -> None:
        if self._parts.pool.guarded:
            self._parts.confinement.apply(apps, builds)
            return
        self._unconfined = frozenset({*apps, *builds})
        if self._unconfined:
            raise EngineError(
                f"{NO_EGRESS} {len(self._unconfined)} apps that have some are not started here."
            )

    def asks(self, address: str, name: str) -> Asking:
        return self._parts.confinement.asks(address, name)

    def answered(self, address: str, name: str, addresses: tuple[str, ...], ttl: int) -> None:
        self._parts.confinement.answered(address, name, addresses, ttl)

    def refused(self) -> tuple[Attempt, ...]:
        return self._parts.confinement.refused() if self._parts.pool.guarded else ()

    def _check_address(self, address: str) -> None:
        holder = next(
            (one for one in tuple(self._records.values()) if address and one.address == address), None
        )
        if holder is not None:
            raise EngineError(
                f"{address} is the address of {holder.name} of {holder.owner} (container {holder.id}); "
                "ask for another one, or for none."
            )
