"""What cannot become a container is refused in words, before anything is made."""

from __future__ import annotations

import pytest

from runtime.container.conmon import Places, Stdio, arguments, parse_report
from runtime.container.files import locate
from runtime.container.parts import Request
from runtime.container.port import Bind, EngineError, VolumeBind
from runtime.container.requests import check_request, clean_hostname
from runtime.container.storage import check_id
from runtime.model import ContainerSpec, Rootfs

pytestmark = pytest.mark.unit


def request(binds: tuple[Bind, ...] = (), volumes: tuple[VolumeBind, ...] = (), **changes: object) -> Request:
    values = {"id": "a", "owner": "o", "name": "web.1", "rootfs": Rootfs(host=True), "argv": ("true",)}
    return Request(ContainerSpec(**(values | changes)), binds, 0, volumes)


def test_a_plain_request_passes() -> None:
    check_request(request(env={"A": "line\nline"}, cwd="/"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"argv": ()}, "no command"),
        ({"argv": ("a\0b",)}, "NUL"),
        ({"rootfs": Rootfs()}, "no root file system"),
        ({"cwd": "app"}, "absolute path"),
        ({"env": {"A=B": "x"}}, "config var"),
        ({"env": {"A": "x\0"}}, "config var"),
        ({"binds": (Bind(source="/a", target="/app/../etc"),)}, "absolute path"),
        ({"volumes": (VolumeBind(name="a", target="/", size_bytes=1),)}, "over the root"),
    ],
)
def test_refusals(changes: dict[str, object], words: str) -> None:
    with pytest.raises(EngineError, match=words):
        check_request(request(**changes))


def test_a_refusal_never_shows_a_value() -> None:
    with pytest.raises(EngineError) as caught:
        check_request(request(env={"KEY": "s3cret\0"}))
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("name", ["a", "web.1", "0-b_c", "x" * 63])
def test_good_ids(name: str) -> None:
    assert check_id(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\n", "-x", "x" * 64])
def test_bad_ids(name: str) -> None:
    with pytest.raises(EngineError):
        check_id(name)


@pytest.mark.parametrize(
    ("name", "expected"), [("web.1", "web.1"), ("a b\n10.0.0.1 evil", "a-b-10.0.0.1-evil"), ("--", "app")]
)
def test_hostnames(name: str, expected: str) -> None:
    assert clean_hostname(name) == expected


def test_paths_are_found_in_the_innermost_bind() -> None:
    binds = (("/cache", "/v/1"), ("/cache/in", "/b/0"))
    assert locate("/r", binds, "/cache/in/x") == ("/b/0", "x")
    assert locate("/r", binds, "/cache/inner") == ("/v/1", "inner")
    assert locate("/r", binds, "/cache/in") == ("/b/0", ".")
    assert locate("/r", binds, "app/x") == ("/r", "app/x")


def test_conmon_reports() -> None:
    assert parse_report(b'{"data": 42}\n') == 42
    with pytest.raises(EngineError, match="no such thing"):
        parse_report(b'{"data": -1, "message": "no  such\\nthing"}\n')
    with pytest.raises(EngineError, match="exec failed"):
        parse_report(b"", "exec failed")


def test_conmon_is_told_no_secret_and_the_log_is_plain() -> None:
    places = Places(bundle="/h/c/a", state="/h/oci", exits="/h/exits", log="/h/logs/a.log")
    words = arguments("a", "/usr/bin/crun", places)
    assert words[words.index("-l") + 1] == "k8s-file:/h/logs/a.log"
    assert "--stdin" in words
    assert "--leave-stdin-open" not in words


def test_a_terminal_stays_open_for_the_next_client_and_output_may_be_for_clients_alone() -> None:
    places = Places(bundle="/h/c/a", state="/h/oci", exits="/h/exits", log="/h/logs/a.log")
    words = arguments("a", "/usr/bin/crun", places, Stdio(tty=True, stdin=True, logged=False))
    assert {"--terminal", "--leave-stdin-open"} <= set(words)
    assert words[words.index("-l") + 1] == "none"
    assert "--leave-stdin-open" not in arguments("a", "/usr/bin/crun", places, Stdio(stdin=True))
