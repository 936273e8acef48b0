"""Settings: defaults, and every problem at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.config import SettingsError, parse_bytes, parse_listen, read_settings

pytestmark = pytest.mark.unit


@pytest.fixture
def token(tmp_path: Path) -> str:
    file = tmp_path / "token"
    file.write_text("a-token-of-enough-length\n")
    file.chmod(0o600)
    return str(file)


def test_a_token_is_all_it_needs(token: str) -> None:
    settings = read_settings({"PAAS_AGENT_TOKEN_FILE": token, "HOME": "/root"})
    assert (settings.listen_host, settings.listen_port) == ("127.0.0.1", 5010)
    assert settings.token == "a-token-of-enough-length"
    assert "enough-length" not in repr(settings)
    assert (settings.controller, settings.runtime, settings.tag) == ("", "crun", "paas")


def test_every_problem_is_told_at_once(tmp_path: Path, token: str) -> None:
    with pytest.raises(SettingsError) as error:
        read_settings(
            {
                "PAAS_AGENT_HOME": "relative",
                "PAAS_AGENT_LISTEN": "nowhere",
                "PAAS_AGENT_SUBNET": "10.0.0.1/24",
                "PAAS_AGENT_CONTROLLER": "ftp://x",
                "PAAS_AGENT_COLOUR": "red",
                "PAAS_AGENT_BLOCKED": "10.0.0.0/8, nonsense",
            }
        )
    lines = str(error.value).splitlines()
    for name in ("HOME", "LISTEN", "TOKEN_FILE", "SUBNET", "CONTROLLER", "COLOUR", "BLOCKED"):
        assert any(f"PAAS_AGENT_{name}" in line for line in lines), name


def test_a_controller_needs_its_token(token: str) -> None:
    with pytest.raises(SettingsError, match="CONTROLLER_TOKEN_FILE"):
        read_settings({"PAAS_AGENT_TOKEN_FILE": token, "PAAS_AGENT_CONTROLLER": "http://127.0.0.1:5000/"})


def test_a_token_others_can_read_is_refused(token: str) -> None:
    Path(token).chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        read_settings({"PAAS_AGENT_TOKEN_FILE": token})


@pytest.mark.parametrize(
    ("text", "expected"),
    [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:0", ("::1", 0)), ("host:65535", ("host", 65535))],
)
def test_listen(text: str, expected: tuple[str, int]) -> None:
    assert parse_listen(text) == expected


@pytest.mark.parametrize("text", ["80", ":80", "host:", "host:65536", "host:-1"])
def test_listen_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        parse_listen(text)


def test_what_to_keep(token: str) -> None:
    settings = read_settings({"PAAS_AGENT_TOKEN_FILE": token})
    assert (settings.images_max_bytes, settings.images_keep_hours) == (10 * 1024**3, 24)
    assert (settings.caches_keep_days, settings.disk_free_min) == (30, None)
    given = {"PAAS_AGENT_IMAGES_MAX_BYTES": "1.5 GiB", "PAAS_AGENT_DISK_FREE_MIN": "7.5%"}
    settings = read_settings({"PAAS_AGENT_TOKEN_FILE": token, **given})
    assert (settings.images_max_bytes, settings.disk_free_min) == (3 * 1024**3 // 2, 0.075)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("IMAGES_MAX_BYTES", "much"),
        ("IMAGES_KEEP_HOURS", "-1"),
        ("DISK_FREE_MIN", "101%"),
        ("CACHES_MAX_BYTES", ""),
    ],
)
def test_what_to_keep_must_be_a_number(token: str, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"PAAS_AGENT_{name}"):
        read_settings({"PAAS_AGENT_TOKEN_FILE": token, f"PAAS_AGENT_{name}": value})


@pytest.mark.parametrize(
    ("text", "expected"), [("0", 0), ("7", 7), ("1KiB", 1024), ("2M", 2 * 1024**2), ("1T", 1024**4)]
)
def test_sizes(text: str, expected: int) -> None:
    assert parse_bytes(text) == expected
