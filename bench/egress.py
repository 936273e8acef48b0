"""What it costs to change egress rules, and what they cost a packet: with 1, 50 and 200 apps that have rules.

In: nothing (root).  Out: milliseconds per change, and the rate of new connections through the firewall, beside none.

    .venv/bin/python bench/egress.py [apps...]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from runtime.model import Egress, parse_egress_rule
from runtime.network import rules
from runtime.network.confinement import Confinement
from runtime.network.nftables import Nftables

INSTANCES, RULES, CHANGES = 3, 10, 20
NAMES = rules.names_of(f"bench{time.time_ns() % 10**6}")


def egress(seed: int) -> Egress:
    texts = (f"203.0.{seed % 250}.{one * 8}/30:{440 + one},8000-8{seed % 900:03d}" for one in range(RULES))
    return Egress(rules=tuple(map(parse_egress_rule, texts)))


def median_ms(change: Callable[[int], None]) -> str:
    times = []
    for one in range(CHANGES):
        begun = time.perf_counter()
        change(one)
        times.append((time.perf_counter() - begun) * 1000)
    return f"{statistics.median(times):8.1f}"


def measure(apps: int, home: Path) -> None:
    firewall = Nftables()
    confinement = Confinement(home / f"egress-{apps}.json", NAMES, firewall)
    members = [
        (
            rules.Member(interface=f"x{app}.{one}", address=f"10.250.{app}.{one + 1}", owner=app + 1),
            f"app-{app}",
        )
        for app in range(apps)
        for one in range(INSTANCES)
    ]
    table = rules.render_table(NAMES, "10.250.0.0/16", (), (), tuple(member for member, _ in members))
    firewall.run(table + confinement.load(members))
    wanted = {f"app-{app}": egress(app) for app in range(apps)}
    begun = time.perf_counter()
    confinement.apply(wanted, {})
    first = (time.perf_counter() - begun) * 1000
    change = median_ms(lambda one: confinement.apply(wanted | {"app-0": egress(one + 300)}, {}))
    unchanged = median_ms(lambda _: confinement.apply(wanted | {"app-0": egress(300 + CHANGES - 1)}, {}))
    answer = median_ms(
        lambda one: confinement.answered("10.250.0.1", "a.example.com", (f"192.0.2.{one}",), 60)
    )
    listed = firewall.run(f"list table inet {NAMES.table}")
    chain = listed.split("chain ", 1)[1]
    lines = sum(1 for line in chain.splitlines() if line.startswith("\t\t"))
    print(f"{apps:6d} {first:9.1f} {change} {unchanged} {answer} {lines:7d}")
    firewall.run(rules.render_removal(NAMES))
    firewall.close()


def main() -> None:
    counts = [int(word) for word in sys.argv[1:]] or [1, 50, 200]
    print(f"{RULES} rules an app, {INSTANCES} instances an app; milliseconds, median of {CHANGES}")
    print("  apps  load all  change 1  nothing   answer   rules")
    with tempfile.TemporaryDirectory() as home:
        for apps in counts:
            measure(apps, Path(home))


if __name__ == "__main__":
    try:
        main()
    finally:
        subprocess.run(["nft", "delete", "table", "inet", NAMES.table], check=False, capture_output=True)
