"""`paas source …` and `paas builds:create`: what the platform is asked, what people read."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from paas.cli import local_source
from paas.cli.failures import Usage
from paas.cli.local_source import commit_of, write_archive
from tests.unit.paas.cli.conftest import Platform

pytestmark = pytest.mark.unit

Paas = Callable[..., Any]
SOURCE = "/apps/shop/source"
CONNECTED = {
    "path": "apps/api",
    "url": "https://git.example.com/shop.git",
    "branch": "main",
    "automatic": True,
    "token": True,
    "deploy_key": None,
    "hook_url": "http://paas/hooks/1",
    "secret": "s3cr3t",
}


@pytest.fixture(autouse=True)
def shop(paas: Paas, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAAS_APP", "shop")


def test_connecting_with_a_token(platform: Platform, paas: Paas, monkeypatch: pytest.MonkeyPatch) -> None:
    platform.answer("PATCH", SOURCE, CONNECTED)
    monkeypatch.setattr("sys.stdin", io.StringIO("t0ken\n"))
    done = paas("source:connect", CONNECTED["url"], "--path", "apps/api", "--token-stdin")
    assert done.code == 0
    assert platform.last.body == {
        "url": CONNECTED["url"],
        "automatic": True,
        "path": "apps/api",
        "token": "t0ken",
    }
    assert "http://paas/hooks/1" in done.out and "s3cr3t" in done.out
    assert "t0ken" not in done.out


def test_showing(platform: Platform, paas: Paas) -> None:
    platform.answer("GET", SOURCE, {**CONNECTED, "secret": None, "deploy_key": "ssh-ed25519 AAAA paas-shop"})
    out = paas("source").out
    assert "apps/api" in out and "ssh-ed25519 AAAA" in out and "s3cr3t" not in out
    platform.answer("GET", SOURCE, dict.fromkeys(CONNECTED) | {"path": ""})
    done = paas("source")
    assert "Not connected" in done.err and "all of it" in done.out
    assert paas("source:hook").code == 2


def test_the_folder(platform: Platform, paas: Paas) -> None:
    platform.answer("PATCH", SOURCE, lambda asked: {"path": asked.body["path"]})
    assert "the folder apps/api" in paas("source:path", "apps/api").out
    assert platform.last.body == {"path": "apps/api"}
    assert "the whole repository" in paas("source:path", "--clear").out
    assert paas("source:path", "x", "--clear").code == 2


def test_a_build_of_a_url(platform: Platform, paas: Paas) -> None:
    platform.answer("POST", "/apps/shop/builds", {"id": "1"}, 201)
    done = paas("builds:create", "--source-url", "https://h/a.tgz", "--checksum", "SHA256:00", "--no-wait")
    assert done.code == 0 and "Build 1 has started" in done.out
    assert platform.last.body["source_blob"] == {
        "url": "https://h/a.tgz",
        "version": "",
        "checksum": "SHA256:00",
    }
    assert paas("builds:create", "--source-url", "x", "--dir", ".").code == 2
    assert paas("builds:create", "--source-tar", "/none").code == 2


def git(folder: Path, *words: str) -> None:
    subprocess.run(
        ("git", "-c", "user.name=A", "-c", "user.email=a@b", *words),
        cwd=folder,
        check=True,
        capture_output=True,
    )


def test_a_folder_as_git_sees_it(tmp_path: Path) -> None:
    folder, target = tmp_path / "app", tmp_path / "out.tgz"
    (folder / "sub").mkdir(parents=True)
    for name, text in {
        "Procfile": "web: x",
        "sub/new": "x",
        "secret.env": "x",
        ".gitignore": "*.env\n",
    }.items():
        (folder / name).write_text(text)
    assert write_archive(folder, target) == 4, "no repository: all of it"
    git(folder, "init", "-q")
    git(folder, "add", "Procfile", ".gitignore")
    git(folder, "commit", "-q", "-m", "x")
    assert write_archive(folder, target) == 3
    with tarfile.open(target) as archive:
        assert sorted(archive.getnames()) == [".gitignore", "Procfile", "sub/new"]
    assert commit_of(folder) == "", "what is sent is more than the commit"
    git(folder, "add", "--all")
    git(folder, "commit", "-q", "-m", "y")
    assert len(commit_of(folder)) == 40
    assert write_archive(folder / "sub", target) == 1
    with pytest.raises(Usage, match="no folder"):
        write_archive(folder / "none", target)


def test_a_git_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "git"
    slow.write_text("#!/bin/sh\nexec sleep 30\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(local_source, "GIT_SECONDS", 0.2)
    with pytest.raises(Usage, match="`git ls-files` took longer .* paas builds:create --source-tar"):
        write_archive(tmp_path, tmp_path / "out.tgz")
