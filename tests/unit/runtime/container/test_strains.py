"""What the kernel tells of a process' open files, and the firewall of forged packets."""

from __future__ import annotations

from runtime.container.strains import parse_open_files_limit, parse_table_size
from runtime.network.rules import names_of, parse_forgers, render_forgers, render_table

LIMITS = """Limit                     Soft Limit           Hard Limit           Units
Max processes             96390                96390                processes
Max open files            512                  1024                 files
"""
LISTING = """table inet paas_x {
  set forgers {
    type ifname
    size 4096
    flags dynamic,timeout
    timeout 1h
    elements = { "vabc12" timeout 1h expires 59m59s counter packets 3 bytes 87,
                 "v0" counter packets 12 bytes 348 timeout 1h expires 59m }
  }
}
"""


def test_the_soft_limit_counts() -> None:
    assert parse_open_files_limit(LIMITS) == 512
    assert parse_open_files_limit(LIMITS.replace("512 ", "unlimited ")) == 0
    assert parse_open_files_limit("") == 0


def test_the_size_of_the_table() -> None:
    assert parse_table_size("Name:\tx\nFDSize:\t256\nGroups:\t") == 256
    assert parse_table_size("") == 0


def test_packets_per_interface() -> None:
    assert parse_forgers(LISTING) == {"vabc12": 3, "v0": 12}
    assert parse_forgers("table inet x { set forgers { type ifname } }") == {}


def test_only_a_packet_that_is_dropped_is_counted() -> None:
    names = names_of("x")
    table = render_table(names, "10.9.0.0/24", (), (), ())
    rule = next(line for line in table.splitlines() if "@senders" in line)
    assert rule.index("!= @senders") < rule.index("update @forgers") < rule.index("drop")
    assert render_forgers(names) == "list set inet paas_x forgers\n"
