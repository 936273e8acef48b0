"""Settings are read from the environment; every problem is named at once."""

from __future__ import annotations

import pytest

from paas.router.config import HostPort, SettingsError, parse_host_port, read_settings

pytestmark = pytest.mark.unit


@pytest.fixture
def environ(tmp_path):
    (tmp_path / "token").write_text("0123456789abcdef\n")
    return {
        "PAAS_ROUTER_HOME": "/var/lib/paas/router",
        "PAAS_ROUTER_ID": "edge-1",
        "PAAS_ROUTER_TOKEN_FILE": str(tmp_path / "token"),
        "PAAS_ROUTER_CONTROLLER": "http://127.0.0.1:8000/",
        "PAAS_ROUTER_CONTROLLER_TOKEN_FILE": str(tmp_path / "token"),
        "PATH": "/usr/bin",
    }


def test_defaults(environ):
    settings = read_settings(environ)
    assert settings.binds == (HostPort("127.0.0.1", 8080),)
    assert settings.listen == HostPort("127.0.0.1", 5020)
    assert settings.token == "0123456789abcdef"
    assert settings.controller == "http://127.0.0.1:8000"
    assert (settings.haproxy, settings.threads, settings.platform_backend) == ("auto", 1, None)


def test_all_settings(environ):
    environ |= {
        "PAAS_ROUTER_BIND": "0.0.0.0:80, [::]:8080",
        "PAAS_ROUTER_THREADS": "4",
        "PAAS_HAPROXY": "/opt/haproxy",
        "PAAS_ROUTER_PLATFORM_HOST": "Paas.test",
        "PAAS_ROUTER_PLATFORM_BACKEND": "127.0.0.1:8000",
    }
    settings = read_settings(environ)
    assert [str(bind) for bind in settings.binds] == ["0.0.0.0:80", "[::]:8080"]
    assert settings.platform_host == "paas.test"
    assert settings.platform_backend == HostPort("127.0.0.1", 8000)
    assert (settings.threads, settings.haproxy) == (4, "/opt/haproxy")


def test_every_problem_at_once(environ, tmp_path):
    (tmp_path / "short").write_text("short")
    environ |= {
        "PAAS_ROUTER_HOME": "relative",
        "PAAS_ROUTER_ID": "a/b",
        "PAAS_ROUTER_BIND": "localhost",
        "PAAS_ROUTER_LISTEN": "127.0.0.1:99999",
        "PAAS_ROUTER_TOKEN_FILE": str(tmp_path / "missing"),
        "PAAS_ROUTER_CONTROLLER_TOKEN_FILE": str(tmp_path / "short"),
        "PAAS_ROUTER_CONTROLLER": "",
        "PAAS_ROUTER_THREADS": "none",
        "PAAS_ROUTER_PLATFORM_HOST": "paas.test",
        "PAAS_ROUTER_BINDS": "typo",
    }
    with pytest.raises(SettingsError) as error:
        read_settings(environ)
    text = "\n".join(error.value.problems)
    for name in environ:
        if name.startswith("PAAS_"):
            assert name in text
    assert len(error.value.problems) == 10
    assert "PAAS_ROUTER_BINDS is not a setting" in text
    assert "0123456789abcdef" not in str(error.value)


@pytest.mark.parametrize("text", ["", "8080", "host", "host:", "host:0", "host:65536", "a b:80", "::1:80"])
def test_host_port_refuses(text):
    with pytest.raises(ValueError, match="is not host:port"):
        parse_host_port(text)
