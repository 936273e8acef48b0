"""Free ports for tests.

In: how many.  Out: ports of the loopback address that are free now and that no outgoing connection will be given.
"""

from __future__ import annotations

import os
import random
import socket

# Below the range from which the kernel takes the ports of outgoing connections: one of those would be in the way.
# Tests that run beside others have a part of it: what one has just found free, nobody else takes.
_first, _last = map(int, os.environ.get("PAAS_TEST_PORTS", "20000-31999").split("-"))
_candidates = random.sample(range(_first, _last + 1), _last + 1 - _first)


def free_ports(count: int) -> list[int]:
    """Return `count` ports, all different and never given before in this process."""
    return [next(port for port in iter(_candidates.pop, None) if _is_free(port)) for _ in range(count)]


def free_port() -> int:
    return free_ports(1)[0]


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
