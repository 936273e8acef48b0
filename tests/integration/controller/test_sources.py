"""Sources that the platform fetches: from URLs, and from real git servers on loopback; what hooks start."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client

from paas.controller.api import limits
from paas.controller.api.sources import uploads
from paas.controller.models import App, Build, Delivery, Event, Source, User
from paas.controller.selectors.builds import build_output
from paas.controller.services import builds, source_fetching, sources
from paas.controller.services.config import set_config
from paas.controller.services.source_fetching import bring, build_from_url
from paas.controller.services.sources import Repository, connect, secret_of, set_path, start_waiting
from paas.controller.tasks import builds as tasks
from paas.controller.tasks.housekeeping import start_waiting_sources
from paas.errors import InvalidParams
from paas.oci.fetch import Cancelled
from paas.sources.errors import SourceError
from paas.sources.http import Bounds, download
from tests.integration.controller.machines import Platform, Worker
from tests.integration.controller.test_build_runs import RESULT, SLUG, ends
from tests.integration.controller.test_build_runs import builder as builder
from tests.source_server import SourceServer, git, serving
from tests.unit.paas.sources.test_hooks import signature

pytestmark = pytest.mark.integration


@pytest.fixture
def server(tmp_path: Path, settings: Any) -> Iterator[SourceServer]:
    """One that may be called: the operator has named loopback."""
    settings.PAAS = replace(django_settings.PAAS, source_networks="127.0.0.0/8")
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    with serving(folder) as one:
        yield one


def zip_of(files: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return out.getvalue()


def files_of(build: Build) -> list[str]:
    with tarfile.open(builds.source_path(build.id)) as archive:
        return sorted(member.name for member in archive if member.isreg())


def fetched(build: Build) -> Build:
    bring(build, lambda: True)
    build.refresh_from_db()
    return build


def cancel(build: Build) -> None:
    builds.cancel_build(None, build)


class TestUrl:
    def test_an_archive_is_fetched_by_the_worker(self, app: App, user: User, server: SourceServer) -> None:
        data = zip_of({"shop-1/Procfile": "web: x", "shop-1/src/a": "b"})
        (server.folder / "shop.zip").write_bytes(data)
        url = f"{server.url}/shop.zip?secret=s3cr3t"
        build = build_from_url(user, app, url, hashlib.sha256(data).hexdigest(), "v7", "Seven")
        assert not builds.source_path(build.id).exists()
        assert files_of(fetched(build)) == ["Procfile", "src/a"]
        assert build.commit == "v7"
        assert build.source == {
            "kind": "url",
            "url": f"{server.url}/shop.zip",
            "checksum": f"SHA256:{hashlib.sha256(data).hexdigest()}",
        }
        assert "s3cr3t" not in json.dumps([build.source, str(bytes(build.credentials_encrypted))])
        bring(build, lambda: True)
        assert len(server.asked) == 1, "a worker that takes over finds it"

    def test_another_checksum_than_promised(self, app: App, user: User, server: SourceServer) -> None:
        (server.folder / "a.zip").write_bytes(zip_of({"a": "b"}))
        build = build_from_url(user, app, f"{server.url}/a.zip", "0" * 64, "", "")
        with pytest.raises(SourceError, match="not SHA256:000") as raised:
            bring(build, lambda: True)
        assert raised.value.id == "source_checksum"

    def test_redirects_are_followed_only_to_where_one_may_go(
        self, app: App, user: User, server: SourceServer, settings: Any
    ) -> None:
        (server.folder / "a.zip").write_bytes(zip_of({"a": "b"}))
        server.redirects["/here"] = f"{server.url}/a.zip"
        assert files_of(fetched(build_from_url(user, app, f"{server.url}/here", "", "", ""))) == ["a"]
        for place in ("http://169.254.169.254/latest", "file:///etc/passwd", f"{server.url}/again"):
            server.redirects["/again"] = place
            cancel(Build.objects.filter(app=app).latest("created_at"))
            build = build_from_url(user, app, f"{server.url}/again", "", "", "")
            with pytest.raises(SourceError):
                bring(build, lambda: True)

    @pytest.mark.parametrize(
        "host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "[::ffff:127.0.0.1]", "2130706433"]
    )
    def test_the_platforms_own_network_is_not_reached(
        self, app: App, user: User, server: SourceServer, settings: Any, host: str
    ) -> None:
        settings.PAAS = replace(django_settings.PAAS, source_networks="")
        (server.folder / "a.zip").write_bytes(zip_of({"a": "b"}))
        port = server.url.rpartition(":")[2]
        build = build_from_url(user, app, f"http://{host}:{port}/a.zip", "", "", "")
        with pytest.raises(SourceError, match="own network") as raised:
            bring(build, lambda: True)
        assert raised.value.id == "source_forbidden"
        assert server.asked == []

    def test_too_large_or_not_there(self, server: SourceServer, tmp_path: Path) -> None:
        (server.folder / "big").write_bytes(bytes(200_000))
        with pytest.raises(SourceError, match="larger than 0 MB") as raised:
            download(f"{server.url}/big", tmp_path / "x", source_fetching.reach(), Bounds(size=100_000))
        assert raised.value.id == "source_too_large"
        with pytest.raises(SourceError, match="took longer than 0 seconds"):
            download(f"{server.url}/big", tmp_path / "x", source_fetching.reach(), Bounds(seconds=0))
        with pytest.raises(SourceError, match="answered with status 404"):
            download(f"{server.url}/none", tmp_path / "x", source_fetching.reach())

    def test_a_source_that_cannot_be_had_fails_the_build_in_words(
        self, platform: Platform, app: App, user: User, server: SourceServer
    ) -> None:
        (server.folder / "a.zip").write_bytes(b"PK\x03\x04 and nothing more")
        build = build_from_url(user, app, f"{server.url}/a.zip", "", "", "")
        tasks.run_build(str(build.id))
        build.refresh_from_db()
        assert (build.status, build.error_id) == ("failed", "source_invalid")
        assert "not a readable" in build.message
        assert bytes(build.credentials_encrypted) == b""
        assert not list(builds.source_path(build.id).parent.glob(".fetch-*"))

    def test_nobody_wants_it_any_more(self, app: App, user: User, server: SourceServer) -> None:
        (server.folder / "a.zip").write_bytes(zip_of({"a": "b"}))
        build = build_from_url(user, app, f"{server.url}/a.zip", "", "", "")
        with pytest.raises(Cancelled):
            bring(build, lambda: False)
        assert not builds.source_path(build.id).exists()


def headers_of(user: User) -> dict[str, str]:
    from paas.controller.services.accounts import create_token

    token = create_token(user, "tests")[1]
    return {"Authorization": f"Bearer {token}", "Accept": "application/vnd.heroku+json; version=3"}


def post_build(user: User, app: App, **blob: str) -> Any:
    headers = headers_of(user)
    made = Client().post(f"/apps/{app.name}/sources", content_type="application/json", headers=headers).json()
    url = made["source_blob"]["put_url"]
    upload = zip_of({"top/Procfile": "web: x", "top/.gitmodules": "[submodule]\npath = libs/x\n"})
    Client().put(url, upload, content_type="")
    body = json.dumps({"source_blob": {"url": url, **blob}})
    return Client().post(f"/apps/{app.name}/builds", body, content_type="application/json", headers=headers)


def test_an_uploaded_zip_with_its_checksum(app: App, user: User, worker: Worker) -> None:
    refused = post_build(user, app, checksum="SHA256:" + "0" * 64)
    assert (refused.status_code, refused.json()["id"]) == (422, "source_checksum")
    assert post_build(user, app, checksum="md5:1").status_code == 422
    upload = zip_of({"top/Procfile": "web: x", "top/.gitmodules": "[submodule]\npath = libs/x\n"})
    made = post_build(user, app, checksum=f"SHA256:{hashlib.sha256(upload).hexdigest()}")
    assert made.status_code == 201, made.content
    build = Build.objects.get(id=made.json()["id"])
    assert files_of(build) == [".gitmodules", "Procfile"]
    assert not list(uploads().glob("*.tar"))
    cancel(build)
    assert any("libs/x is a submodule" in line for line in build_output(build))


@pytest.fixture
def repository(server: SourceServer, app: App, user: User) -> Path:
    """Connected to the app."""
    work = server.repository("shop", {"Procfile": "web: x", "apps/api/Procfile": "web: y"})
    connect(user, app, Repository(f"{server.url}/shop.git"))
    return work


class TestGit:
    def test_branch_tag_and_commit(
        self, app: App, user: User, server: SourceServer, repository: Path
    ) -> None:
        first = git(repository, "rev-parse", "HEAD")
        git(repository, "tag", "-a", "v1", "-m", "One")
        git(repository, "push", "-q", "origin", "v1")
        second = server.commit(repository, {"new": "x"}, "Second")
        for ref, commit in {"": second, "main": second, "v1": first, first: first}.items():
            build = fetched(sources.deploy(user, app, ref))
            assert build.commit == commit
            assert ("new" in files_of(build)) == (commit == second)
            assert build.commit_message == ("Second" if commit == second else "Say hello")
            cancel(build)

    def test_what_is_not_there(self, app: App, user: User, server: SourceServer, repository: Path) -> None:
        def said(ref: str) -> str:
            build = sources.deploy(user, app, ref)
            with pytest.raises(SourceError) as raised:
                bring(build, lambda: True)
            cancel(build)
            return raised.value.message

        assert said("nope") == "The repository has no branch, tag or commit nope. Its branches: main."
        unknown = said("d" * 40)
        assert unknown.startswith(f"{source_url(app)} could not be fetched (")
        assert unknown.endswith(" Check its URL, or try again later.")
        connect(user, app, Repository(f"{server.url}/none.git"))
        assert "There is no repository at" in said("main")

    def test_a_server_of_the_dumb_protocol(
        self, app: App, user: User, server: SourceServer, repository: Path
    ) -> None:
        server.dumb = True
        git(server.folder / "shop.git", "update-server-info")
        with pytest.raises(SourceError, match="only git's old dumb protocol"):
            bring(sources.deploy(user, app), lambda: True)

    def test_a_private_one(self, app: App, user: User, server: SourceServer, repository: Path) -> None:
        server.token = "t0ken-of-ada"
        with pytest.raises(SourceError, match="wants credentials"):
            bring(sources.deploy(user, app), lambda: True)
        cancel(Build.objects.get(app=app))
        source, _ = connect(user, app, Repository(source_url(app), token=server.token, token_user="ada"))
        assert b"t0ken" not in bytes(source.token_encrypted)
        server.asked.clear()
        assert files_of(fetched(sources.deploy(user, app)))
        assert server.asked[0].startswith("ada ")
        assert "t0ken" not in json.dumps(list(Event.objects.values_list("data", flat=True)))

    def test_a_token_goes_nowhere_else(
        self, app: App, user: User, server: SourceServer, repository: Path, settings: Any
    ) -> None:
        connect(user, app, Repository(source_url(app), token="t0ken"))
        with serving(server.folder) as other:
            path = "/shop.git/info/refs"
            server.redirects[path] = f"{other.url}{path}?service=git-upload-pack"
            fetched(sources.deploy(user, app))
            assert {one.split()[0] for one in other.asked} == {path} | {"/shop.git/git-upload-pack"}
        connect(user, app, Repository("https://elsewhere.example.com/shop.git"))
        assert Source.objects.get(app=app).token_encrypted == b""
        settings.PAAS = replace(django_settings.PAAS, source_networks="")
        cancel(Build.objects.get(app=app))
        connect(user, app, Repository("http://192.0.2.1/shop.git", token="t0ken"))
        with pytest.raises(SourceError, match="not sent over http"):
            bring(sources.deploy(user, app), lambda: True)

    def test_submodules_and_lfs_are_told(
        self, app: App, user: User, server: SourceServer, repository: Path
    ) -> None:
        git(repository, "update-index", "--add", "--cacheinfo", f"160000,{'e' * 40},libs/x")
        git(repository, "commit", "-q", "-m", "Module")
        git(repository, "push", "-q", "origin", "main")
        build = fetched(sources.deploy(user, app))
        cancel(build)
        assert any("libs/x is a submodule" in line for line in build_output(build))
        server.commit(
            repository, {"logo": "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"}
        )
        with pytest.raises(SourceError, match="logo is a Git LFS pointer"):
            bring(sources.deploy(user, app), lambda: True)

    def test_ssh_gets_a_key_of_its_own(self, app: App, user: User) -> None:
        source, secret = connect(user, app, Repository("git@git.example.com:acme/shop.git"))
        assert source.public_key.startswith("ssh-ed25519 ")
        assert len(secret) > 30
        again, none = connect(user, app, Repository("git@git.example.com:acme/shop.git", branch="next"))
        assert (again.public_key, none) == (source.public_key, "")
        with pytest.raises(InvalidParams, match="deploy key alone"):
            connect(user, app, Repository("git@git.example.com:acme/shop.git", token="t"))
        with pytest.raises(SourceError, match="leads to no address|own network"):
            bring(sources.deploy(user, app), lambda: True)

    def test_disconnected(self, app: App, user: User, repository: Path) -> None:
        build = sources.deploy(user, app)
        sources.disconnect(user, app)
        sources.disconnect(user, app)
        with pytest.raises(SourceError, match="not connected"):
            bring(build, lambda: True)
        actions = list(
            Event.objects.filter(app=app, action__startswith="source.").values_list("action", flat=True)
        )
        assert actions == ["source.connect", "source.disconnect"]


class TestChanging:
    """What a request does not name stays as it is."""

    @pytest.fixture
    def change(self, app: App, user: User, server: SourceServer) -> Callable[..., Any]:
        headers = headers_of(user)

        def change(**given: Any) -> Any:
            body = json.dumps(given)
            path = f"/apps/{app.name}/source"
            return Client().patch(path, body, content_type="application/json", headers=headers)

        return change

    def test_the_secret_is_not_lost_to_a_folder_that_is_none(
        self, app: App, server: SourceServer, change: Callable[..., Any]
    ) -> None:
        refused = change(url=f"{server.url}/shop.git", path="../x")
        assert (refused.status_code, Source.objects.count()) == (422, 0)
        assert change(url=f"{server.url}/shop.git", path="x").json()["secret"]

    def test_the_host_key_stays_until_it_is_connected_again(
        self, app: App, change: Callable[..., Any]
    ) -> None:
        url = "ssh://git@git.example.com/acme/shop.git"
        change(url=url)
        Source.objects.update(host_keys="git.example.com ssh-ed25519 AAAA")
        for given in ({"automatic": False}, {"branch": "next"}, {"path": "x"}):
            assert change(**given).status_code == 200
            assert Source.objects.get(app=app).host_keys, given
        change(url=url)
        assert Source.objects.get(app=app).host_keys == ""

    def test_the_token_is_for_the_repository_it_was_given_for(
        self, app: App, server: SourceServer, change: Callable[..., Any]
    ) -> None:
        change(url=f"{server.url}/shop.git", token="t0ken")
        for given in ({"branch": "next"}, {"url": f"{server.url}/shop.git"}):
            assert change(**given).json()["token"], given
        assert not change(url=f"{server.url}/other.git").json()["token"]


def source_url(app: App) -> str:
    return Source.objects.get(app=app).url


class TestHooks:
    @pytest.fixture
    def call(self, app: App, repository: Path) -> Callable[..., tuple[int, str]]:
        source = Source.objects.get(app=app)

        def call(
            commit: str, event: str = "push", branch: str = "main", delivery: str = "d1", secret: str = ""
        ) -> Any:
            body = json.dumps({"ref": f"refs/heads/{branch}", "after": commit}).encode()
            signed = signature(body, secret or secret_of(source))
            headers = {
                "X-GitHub-Event": event,
                "X-GitHub-Delivery": delivery,
                "X-Hub-Signature-256": f"sha256={signed}",
            }
            path = f"/hooks/{source.id}"
            answer = Client().post(path, body, content_type="application/json", headers=headers)
            return answer.status_code, answer.json()["message"]

        return call

    def test_a_push_is_built_once(
        self, app: App, server: SourceServer, repository: Path, call: Callable[..., tuple[int, str]]
    ) -> None:
        commit = git(repository, "rev-parse", "HEAD")
        assert call("", event="ping") == (200, "pong")
        assert call(commit, branch="other")[1] == "ignored: shop is built from main"
        assert call(commit) == (202, "a build was started")
        build = fetched(Build.objects.get(app=app))
        assert (build.commit, build.origin, build.user_id) == (
            commit,
            "hook",
            Source.objects.get(app=app).user_id,
        )
        cancel(build)
        assert call(commit)[1].startswith("ignored: this delivery was taken before")
        assert call(commit, delivery="forged")[1].startswith("ignored: this delivery was taken before")
        assert Build.objects.filter(app=app).count() == 1

    def test_without_the_secret(self, app: App, call: Callable[..., tuple[int, str]]) -> None:
        status, words = call("a" * 40, secret="guessed")
        assert (status, words[:22]) == (401, "The hook is not signed")
        assert not Build.objects.exists()
        assert not Delivery.objects.exists()
        assert (
            Client().post("/hooks/00000000-0000-4000-8000-000000000000", b"{}", content_type="x").status_code
            == 404
        )

    def test_too_many(
        self, app: App, call: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "HOOKS", limits.Limit("hooks", 2, 86400))
        answers = [call("", event="ping", delivery=str(number)) for number in range(3)]
        assert [status for status, _ in answers] == [200, 200, 429]

    def test_a_push_while_a_build_runs_is_built_next(
        self,
        platform: Platform,
        app: App,
        user: User,
        server: SourceServer,
        repository: Path,
        call: Callable[..., tuple[int, str]],
    ) -> None:
        running = sources.deploy(user, app)
        second = server.commit(repository, {"a": "2"})
        third = server.commit(repository, {"a": "3"})
        assert call(second, delivery="2") == (202, "noted: it is built when the running build is over")
        assert call(third, delivery="3")[0] == 202
        platform.agent.job_ends = ends(result=RESULT, slug=SLUG)
        tasks.run_build(str(running.id))
        assert ("sources.start_waiting", (str(app.id),)) in platform.worker.waiting()
        start_waiting(str(app.id))
        start_waiting(str(app.id))
        newest = Build.objects.filter(app=app).latest("created_at")
        assert fetched(newest).commit == third
        assert Build.objects.filter(app=app).count() == 2

    def test_a_hint_that_is_lost(self, app: App, user: User, call: Callable[..., tuple[int, str]]) -> None:
        running = sources.deploy(user, app)
        call("a" * 40)
        start_waiting_sources()
        assert Build.objects.count() == 1, "one still runs"
        cancel(running)
        start_waiting_sources()
        assert Build.objects.filter(app=app, commit="a" * 40, origin="hook").exists()

    def test_automatic_deploys_that_are_off(
        self, app: App, user: User, call: Callable[..., tuple[int, str]]
    ) -> None:
        connect(user, app, Repository(source_url(app), automatic=False))
        assert call("a" * 40) == (200, "ignored: automatic deploys are off")


def test_the_folder_that_is_built(app: App, user: User) -> None:
    assert source_fetching.source_arguments(app) == ()
    set_config(user, app, {"PROJECT_PATH": "/from/config/"})
    assert source_fetching.source_arguments(app) == ("--project-path=from/config",)
    app = set_path(user, app, "/apps/api/")
    assert source_fetching.source_arguments(app) == ("--project-path=apps/api",)
    for bad in ("../x", "a//b", "a/./b", "x" * 600):
        with pytest.raises(InvalidParams, match="no folder of a repository"):
            set_path(user, app, bad)
    assert set_path(user, app, "").source_path == ""


def test_a_setting_that_is_no_network(settings: Any) -> None:
    settings.PAAS = replace(django_settings.PAAS, source_networks="my-lan")
    with pytest.raises(InvalidParams, match="PAAS_SOURCE_NETWORKS"):
        source_fetching.reach()
