"""WireGuard, where the kernel has it: the host's key and the peers of its device.

In: a key file, ways to peers.  Out: a public key, and a device that lets in each peer's own addresses only.
"""

from __future__ import annotations

import base64
import errno
import os
import shutil
import socket
import subprocess
from collections.abc import Iterable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from runtime.container.port import EngineError
from runtime.container.storage import write_atomically
from runtime.network.overlay import Way
from runtime.network.rtnetlink import Netlink

PORT = 51820
KEEPALIVE = 25  # seconds; keeps the way open through address translation
_SECONDS = 10.0
_NO_KERNEL = (
    "This kernel has no WireGuard: modprobe wireguard, or set PAAS_AGENT_OVERLAY=vxlan (unencrypted)."
)
_NO_TOOL = "WireGuard is set up with the program wg: apt install wireguard-tools."


def has_kernel(name: str) -> bool:
    """Tell whether this kernel makes WireGuard devices, by making one (`name`) for a moment."""
    if any(known == name for _, known in socket.if_nameindex()):
        return True
    with Netlink() as netlink:
        try:
            netlink.add_wireguard(name, 1420)
        except OSError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.EPERM):
                return False
            raise
        netlink.delete_link(socket.if_nametoindex(name))
    return True


def check(name: str) -> None:
    """Raise EngineError saying what is missing."""
    if not has_kernel(name):
        raise EngineError(_NO_KERNEL)
    if shutil.which("wg") is None:
        raise EngineError(_NO_TOOL)


def usable(name: str) -> bool:
    return shutil.which("wg") is not None and has_kernel(name)


def public_key(file: Path) -> str:
    """Return this host's public key; the private one is made once and kept in `file`, mode 0600."""
    if not file.exists():
        write_atomically(file, base64.b64encode(X25519PrivateKey.generate().private_bytes_raw()) + b"\n")
    private = X25519PrivateKey.from_private_bytes(base64.b64decode(file.read_bytes()))
    return base64.b64encode(private.public_key().public_bytes_raw()).decode()


def render(private: str, ways: Iterable[Way]) -> str:
    """Return the device's configuration, as wg(8) reads it. Pure."""
    text = f"[Interface]\nPrivateKey = {private}\nListenPort = {PORT}\n"
    for way in ways:
        text += f"\n[Peer]\nPublicKey = {way.public_key}\nEndpoint = {way.address}:{PORT}\n"
        text += f"AllowedIPs = {way.subnet}\nPersistentKeepalive = {KEEPALIVE}\n"
    return text


def configure(name: str, file: Path, ways: Iterable[Way]) -> None:
    """Make the device's peers exactly these. The configuration goes through a pipe, never an argument."""
    text = render(file.read_text().strip(), ways)
    reader, writer = os.pipe()
    try:
        os.set_blocking(writer, True)
        command = ["wg", "syncconf", name, f"/dev/fd/{reader}"]
        with subprocess.Popen(command, pass_fds=(reader,), stderr=subprocess.PIPE, text=True) as process:
            with open(writer, "w", closefd=False) as stream:
                stream.write(text)
            os.close(writer)
            writer = -1
            _, error = process.communicate(timeout=_SECONDS)
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)
    if process.returncode:
        raise EngineError(f"WireGuard refused its peers: {' '.join(error.split())[:200]}")
