"""Which name servers containers use: the host's real ones.

In: the host's resolv.conf files.  Out: addresses that can be reached from another network namespace, and the text
of a container's resolv.conf.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path

# systemd-resolved's stub listens on loopback only; the servers behind it are in its own file.
_PORT = 53
_FILES = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))


def parse_nameservers(text: str) -> tuple[str, ...]:
    """Return the IPv4 name servers that are not on loopback."""
    found: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver" and _is_usable(words[1]):
            found.append(words[1])
    return tuple(dict.fromkeys(found))


def nameservers(files: tuple[Path, ...] = _FILES) -> tuple[str, ...]:
    """Return the servers of the first file that names a usable one, () when none does."""
    for file in files:
        if file.exists() and (found := parse_nameservers(file.read_text(errors="replace"))):
            return found
    return ()


def host_servers(file: Path = _FILES[0]) -> tuple[tuple[str, int], ...]:
    """Return all servers that this host itself uses, those on loopback too, with their port."""
    try:
        words = [line.split() for line in file.read_text(errors="replace").splitlines()]
    except OSError:
        return ()
    named = [one[1] for one in words if len(one) >= 2 and one[0] == "nameserver" and _is_address(one[1])]
    return tuple((address, _PORT) for address in dict.fromkeys(named))


def render_resolv_conf(servers: tuple[str, ...]) -> str:
    """`search .`: without it glibc tries every name that there is not once more in the "domain" of a host name such
    as web.1, at a server far away (resolv.conf(5))."""
    return "".join(f"nameserver {server}\n" for server in servers[:3]) + "search .\noptions edns0\n"


def render_hosts(address: str, hostname: str) -> str:
    own = f"{address or '127.0.1.1'} {hostname}\n" if hostname else ""
    return f"127.0.0.1 localhost\n::1 ip6-localhost ip6-loopback\n{own}"


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def _is_usable(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return parsed.version == 4 and not parsed.is_loopback
