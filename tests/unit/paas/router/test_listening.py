"""A port that somebody holds is found before HAProxy is asked to take it."""

from __future__ import annotations

import os
import socket

import pytest

from paas.router.config import HostPort
from paas.router.listening import first_taken, ports_of

pytestmark = pytest.mark.unit


def test_taken_by_another_free_and_our_own():
    with socket.create_server(("127.0.0.1", 0)) as held, socket.create_server(("127.0.0.1", 0)) as spare:
        taken, free = held.getsockname()[1], spare.getsockname()[1]
        spare.close()
        binds = (HostPort("127.0.0.1", free), HostPort("0.0.0.0", taken))
        assert first_taken(binds, holder=1) == HostPort("0.0.0.0", taken)
        assert first_taken(binds[:1], holder=1) is None
        assert taken in ports_of(os.getpid())
        assert first_taken(binds, holder=os.getpid()) is None


def test_addresses_this_host_does_not_have_are_left_to_haproxy():
    assert first_taken((HostPort("192.0.2.1", 8080),), holder=1) is None


def test_a_process_that_has_ended_holds_nothing():
    assert ports_of(4194304) == frozenset()
