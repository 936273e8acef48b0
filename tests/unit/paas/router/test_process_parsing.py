"""What HAProxy prints about itself is understood: its processes, its complaints."""

from __future__ import annotations

import pytest

from paas.router.haproxy import alerts
from paas.router.masterline import Processes, parse_processes

pytestmark = pytest.mark.unit

AFTER_RELOAD = """#<PID>          <type>          <reloads>       <uptime>        <version>
29380           master          1 [failed: 2]   0d00h01m21s     2.6.12-1+deb12u4
# workers
32113           worker          0               0d00h00m00s     2.6.12-1+deb12u4
# old workers
29383           worker          1               0d00h01m21s     2.6.12-1+deb12u4
29384           worker          2               0d00h02m21s     2.6.12-1+deb12u4
# programs

"""


def test_processes():
    assert parse_processes(AFTER_RELOAD) == Processes(29380, 32113, (29383, 29384), 2)
    assert parse_processes(AFTER_RELOAD.split("# workers")[0]) is None
    assert parse_processes("") is None


def test_a_taken_port_is_explained():
    output = (
        "[NOTICE]   (1264) : haproxy version is 2.6.12\n"
        "[ALERT]    (1264) : Binding [haproxy.cfg:15] for frontend edge: cannot bind socket "
        "(Address already in use) for [127.0.0.1:18996]\n"
    )
    assert alerts(output) == (
        "the address 127.0.0.1:18996 is in use by another program: stop that one or change PAAS_ROUTER_BIND"
    )


def test_other_complaints_are_passed_on():
    assert alerts("[ALERT]    (26619) : config : parsing [haproxy.cfg:7] : unknown keyword") == (
        "config : parsing [haproxy.cfg:7] : unknown keyword"
    )
    assert alerts("") == "it said nothing"
