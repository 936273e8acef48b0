"""A commit fetched from a real ssh server with a deploy key, and what it refuses."""

from __future__ import annotations

import os
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from paas.controller.git import pulling
from paas.controller.git.limits import Limits
from paas.controller.git.pulling import Pulled, Remote, pull
from paas.controller.services.sources import new_key
from paas.sources.addresses import Reach, parse_networks
from paas.sources.errors import SourceError
from paas.sources.urls import parse_git_url
from tests.source_server import SourceServer, git
from tests.ssh_server import SshServer

pytestmark = pytest.mark.integration

REACH = Reach(parse_networks("127.0.0.0/8"))
LIMITS = Limits()


@dataclass
class Elsewhere:
    """A server with one repository, and two keys that it takes: one for git, one whose command never says a word."""

    server: SshServer
    url: str
    commit: str
    key: str
    silent: str

    def pull(self, folder: Path, *, key: str = "", known: str = "", limits: Limits = LIMITS) -> Pulled:
        folder.mkdir()
        remote = Remote(parse_git_url(self.url), REACH, key=key or self.key, host_keys=known)
        return pull(remote, "main", folder, folder / "source.tar", limits, lambda: None)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    folder = tmp_path_factory.mktemp("ssh")
    sources = SourceServer(folder)
    work = sources.repository("shop", {"Procfile": "web: x"})
    (work / "big").write_bytes(os.urandom(200_000))
    commit = sources.commit(work, {})
    git(folder / "shop.git", "config", "uploadpack.allowAnySHA1InWant", "true")
    (key, public), (silent, mute) = new_key("shop"), new_key("silent")
    server = SshServer(folder)
    server.authorized.write_text(f'restrict {public}\nrestrict,command="exec cat" {mute}\n')
    server.start("host-key")
    try:
        yield Elsewhere(server, server.url(folder / "shop.git"), commit, key.decode(), silent.decode())
    finally:
        server.stop()


def test_the_deploy_key_opens_it_and_the_host_is_known_from_then_on(
    elsewhere: Elsewhere, tmp_path: Path
) -> None:
    first = elsewhere.pull(tmp_path / "first")
    assert (first.commit, first.subject) == (elsewhere.commit, "Say hello")
    with tarfile.open(tmp_path / "first" / "source.tar") as tar:
        assert sorted(tar.getnames()) == ["Procfile", "big"]
    assert first.host_keys.startswith(f"[127.0.0.1]:{elsewhere.server.port} ssh-ed25519 ")
    again = elsewhere.pull(tmp_path / "again", known=first.host_keys)
    assert (again.commit, again.host_keys) == (first.commit, first.host_keys)


def test_another_key_is_refused(elsewhere: Elsewhere, tmp_path: Path) -> None:
    stranger, _ = new_key("stranger")
    with pytest.raises(SourceError, match="does not take the deploy key. Add the public key"):
        elsewhere.pull(tmp_path / "in", key=stranger.decode())


def test_a_repository_that_is_not_there(elsewhere: Elsewhere, tmp_path: Path) -> None:
    missing = Elsewhere(elsewhere.server, f"{elsewhere.url}x", "", elsewhere.key, "")
    with pytest.raises(SourceError, match="does not appear to be a git repository|could not be fetched"):
        missing.pull(tmp_path / "in")


def test_what_comes_is_counted(elsewhere: Elsewhere, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="sends more than 50 KB for one commit") as raised:
        elsewhere.pull(tmp_path / "in", limits=Limits(max_pack=50 << 10))
    assert raised.value.id == "source_too_large"


def test_a_server_that_says_nothing_is_left_at_the_deadline(
    elsewhere: Elsewhere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulling, "SECONDS", 3.0)
    with pytest.raises(SourceError, match="took longer than 3 seconds. Try again"):
        elsewhere.pull(tmp_path / "in", key=elsewhere.silent)
    deadline = time.monotonic() + 20
    while elsewhere.server.sessions():
        assert time.monotonic() < deadline, "its session goes on"
        time.sleep(0.02)


def test_a_host_key_that_changed_is_refused(elsewhere: Elsewhere, tmp_path: Path) -> None:
    known = elsewhere.pull(tmp_path / "before").host_keys
    elsewhere.server.stop()
    elsewhere.server.start("another-host-key")
    try:
        with pytest.raises(SourceError, match="another host key than at the first fetch"):
            elsewhere.pull(tmp_path / "in", known=known)
    finally:
        elsewhere.server.stop()
        elsewhere.server.start("host-key")
