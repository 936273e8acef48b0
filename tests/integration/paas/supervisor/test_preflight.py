"""Real sockets and a real /proc: what is wrong with this machine, in words."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from paas.configuration import Configuration
from paas.supervisor import logs, preflight, subnets
from paas.supervisor.layout import Layout

pytestmark = pytest.mark.integration


def free_ports() -> dict[str, int]:
    """Ports that were free a moment ago, one per setting."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in preflight.PORTS]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return dict(zip(preflight.PORTS.values(), ports, strict=True))


def test_free_ports_are_no_problem(tmp_path: Path) -> None:
    assert preflight.port_problems(Configuration(home=tmp_path, **free_ports())) == []


def test_a_taken_port_names_its_holder_and_its_setting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        settings = replace(Configuration(home=tmp_path, **free_ports()), git_port=port)
        (problem,) = preflight.port_problems(settings)
    assert f"Port {port} is taken by" in problem
    assert f"(process {os.getpid()})" in problem
    assert "PAAS_GIT_PORT" in problem


def test_two_settings_with_one_port_are_both_named(tmp_path: Path) -> None:
    ports = free_ports()
    settings = Configuration(home=tmp_path, **{**ports, "git_port": ports["api_port"]})
    assert any("PAAS_API_PORT and PAAS_GIT_PORT" in problem for problem in preflight.port_problems(settings))


def test_an_address_that_is_not_of_this_machine_is_said(tmp_path: Path) -> None:
    problems = preflight.port_problems(Configuration(home=tmp_path, bind="203.0.113.7", **free_ports()))
    assert problems
    assert "PAAS_BIND" in problems[0]


def test_a_data_folder_that_leaves_no_room_for_sockets_is_refused() -> None:
    problems = preflight.machine_problems(Configuration(home=Path("/tmp/" + "x" * 60)))
    assert any("PAAS_HOME" in problem and "too long" in problem for problem in problems)


def test_a_log_is_rotated_while_its_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"old\n" * 100)
        assert logs.rotate(log, limit=100, kept=2)
        writer.write(b"new\n")
    assert log.read_bytes() == b"new\n"
    assert log.with_name("web.log.1").read_bytes() == b"old\n" * 100
    assert not logs.rotate(log, limit=100)


def test_two_installations_get_different_subnets_and_give_them_back(tmp_path: Path) -> None:
    claims, homes = tmp_path / "claims", [Layout(tmp_path / name) for name in ("a", "b")]
    for layout in homes:
        layout.make_folders()
    first, second = (subnets.claim(layout, claims) for layout in homes)
    assert first != second
    assert subnets.claim(homes[0], claims) == first
    for layout in homes:
        subnets.release(layout, claims)
    assert not claims.exists()


def test_the_subnet_of_a_folder_that_was_deleted_is_free_again(tmp_path: Path) -> None:
    claims, gone = tmp_path / "claims", Layout(tmp_path / "gone")
    gone.make_folders()
    subnets.claim(gone, claims)
    (claims / "10.200.0.0-18").unlink(missing_ok=True)
    for link in claims.iterdir():
        link.unlink()
        link.symlink_to(tmp_path / "nowhere")
    other = Layout(tmp_path / "other")
    other.make_folders()
    subnets.claim(other, claims)
    assert [link.readlink() for link in claims.iterdir()] == [other.home]
