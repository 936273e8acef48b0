"""Buildpacks of others, real bash programs: folders of the repository, git repositories, archives."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest

from paas.gateway import certificates
from tests.source_server import git, serving

from .builds import Built, build

pytestmark = pytest.mark.integration

FILE = ("--buildpack-schemes", "https,file")
COMPILE = """#!/usr/bin/env bash
set -e
here=$(cd "$(dirname "$0")/.." && pwd)
echo "-----> Making NAME"
echo "count: $(cat "$2/count" 2> /dev/null || echo 0)"
echo "$(($(cat "$2/count" 2> /dev/null || echo 0) + 1))" > "$2/count"
printf '%s|' NAME "$STACK" "${WORD-unset}" "$(cat "$3/WORD")" "$(ls "$3" | grep -cx -e PATH -e LD_PRELOAD)" \\
  "${BEFORE-nothing}" > "$1/made-NAME"
mkdir -p "$1/.profile.d"
echo 'words=(from NAME); export FROM_NAME="${words[*]}"' > "$1/.profile.d/NAME.sh"
echo 'export BEFORE=NAME' > "$here/export"
"""
RELEASE = """#!/bin/sh
cat <<END
---
addons: []
config_vars:
  DEFAULT_OF: NAME
default_process_types:
  web: cat made-NAME
END
"""


def buildpack(folder: Path, name: str, **programs: str) -> Path:
    """Write a buildpack that records what it sees; `programs` replace its own."""
    own = {"detect": "#!/bin/sh\necho NAME-app\n", "compile": COMPILE, "release": RELEASE}
    (folder / "bin").mkdir(parents=True)
    for program, text in {**own, **programs}.items():
        path = folder / "bin" / program
        path.write_text(text.replace("NAME", name))
        path.chmod(0o755)
    return folder


@pytest.fixture
def source(work: Path) -> Path:
    folder = work / "source"
    folder.mkdir()
    (folder / "main.txt").write_text("hello\n")
    return folder


def choose(source: Path, *names: str) -> None:
    (source / ".buildpacks").write_text("# in order\n" + "\n".join(names) + "\n")


def failed(built: Built, error_id: str, *words: str) -> None:
    assert (built.code, built.result["error"]["id"]) == (1, error_id), built.output
    said = " ".join(built.output.replace(" !     ", " ").split())
    for word in words:
        assert word in said


def test_detect_compile_release_profile_and_cache(work: Path, source: Path) -> None:
    buildpack(source / "packs" / "one", "one")
    choose(source, "./packs/one")
    env = {"WORD": "from config\nvars", "LD_PRELOAD": ""}
    built = build(source, work, env=env)
    assert built.code == 0, built.output
    assert "-----> one-app app detected (buildpack ./packs/one)" in built.output
    assert "\n-----> Making one\ncount: 0\n" in built.output
    assert (work / "app" / "made-one").read_text() == "one|heroku-24|unset|from config\nvars|0|nothing|"
    assert built.result["process_types"] == {"web": "cat made-one"}
    assert built.result["config_defaults"] == {"DEFAULT_OF": "one"}
    assert built.result["buildpacks"] == [{"name": "./packs/one", "version": "one-app"}]
    assert not (work / "app" / "packs" / "one" / "export").exists()
    launch = [str(work / "app" / ".paas" / "launch"), "-c", 'echo "$FROM_one"']
    assert subprocess.run(launch, capture_output=True, text=True, check=True).stdout == "from one\n"
    assert "\ncount: 1\n" in build(source, work, env=env).output


def test_two_in_order_with_a_built_in_one_between(work: Path, source: Path) -> None:
    for name in ("one", "two"):
        buildpack(source / "packs" / name, name)
    (source / "Procfile").write_text("job: true\n")
    names = ("./packs/one", "heroku/procfile", "./packs/two")
    extra = tuple(f"--buildpack={name}" for name in names)
    built = build(source, work, env={"WORD": "x"}, extra=extra)
    assert built.code == 0, built.output
    assert (work / "app" / "made-two").read_text().endswith("|one|")
    assert built.result["process_types"] == {"job": "true", "web": "cat made-two"}
    assert [pack["name"] for pack in built.result["buildpacks"]] == ["./packs/one", "procfile", "./packs/two"]


def test_a_git_repository_at_a_tag_and_an_archive(work: Path, source: Path) -> None:
    origin = buildpack(work / "origin", "tagged")
    git = ("git", "-C", str(origin), "-c", "user.name=x", "-c", "user.email=x@example.com")
    for words in (
        ("init", "-q"),
        ("add", "."),
        ("commit", "-qm", "one"),
        ("tag", "v1"),
        ("rm", "-rqf", "bin"),
    ):
        subprocess.run([*git, *words], check=True)
    subprocess.run([*git, "commit", "-qm", "none"], check=True)
    packed = work / "packed.tgz"
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(buildpack(work / "packed", "packed"), "packed-main")
    names = (f"file://{origin}#v1", f"file://{packed}")
    choose(source, *names)
    failed(build(source, work, env={"WORD": "x"}), "buildpack_invalid", "buildpacks come by https only")
    built = build(source, work, env={"WORD": "x"}, extra=FILE)
    assert built.code == 0, built.output
    assert (work / "app" / "made-tagged").is_file() and (work / "app" / "made-packed").is_file()
    choose(source, f"file://{origin}")
    failed(build(source, work, extra=FILE), "buildpack_unavailable", "no bin/detect and no bin/compile")
    choose(source, f"file://{origin}#v2")
    failed(build(source, work, extra=FILE), "buildpack_unavailable", "git fetch ended with", "v2")


def test_over_https_from_a_server_whose_authority_the_operator_trusts(work: Path, source: Path) -> None:
    """By git with a ref and as an archive; nobody's words in place of a certificate that is not trusted."""
    certificates.ensure(work / "tls", ("127.0.0.1",))
    certificates.ensure(work / "other", ("127.0.0.1",))
    with serving(work, work / "tls") as server:
        files = {path.name: path.read_text() for path in (buildpack(work / "x", "cloned") / "bin").iterdir()}
        tree = server.repository("pack", {f"bin/{name}": text for name, text in files.items()})
        git(tree, "tag", "v1")
        git(tree, "push", "-q", "origin", "v1")
        server.commit(tree, {"bin/detect": "#!/bin/sh\necho only of tomorrow >&2\nexit 1\n"})
        with tarfile.open(work / "packed.tgz", "w:gz") as archive:
            archive.add(buildpack(work / "packed", "packed"), "packed-main")
        cloned, packed = f"{server.url}/pack.git#v1", f"{server.url}/packed.tgz"
        choose(source, cloned, packed)

        def trusting(folder: str) -> dict[str, str]:
            bundle = str(work / folder / "ca.pem")
            return {"WORD": "x", "SSL_CERT_FILE": bundle, "GIT_SSL_CAINFO": bundle}

        built = build(source, work, env=trusting("tls"))
        assert built.code == 0, built.output
        assert (work / "app" / "made-cloned").is_file() and (work / "app" / "made-packed").is_file()
        for name in (cloned, packed):
            choose(source, name)
            words = "certificate of its server is not trusted", "PAAS_CA_BUNDLE"
            failed(build(source, work, env=trusting("other")), "buildpack_unavailable", *words)
        choose(source, f"{server.url}/pack.git#main")
        refused = build(source, work, env=trusting("tls"))
        failed(refused, "buildpack_not_fitting", "only of tomorrow")
        choose(source, f"{server.url}/none.tgz")
        failed(build(source, work, env=trusting("tls")), "buildpack_unavailable", "404")


@pytest.mark.parametrize(
    ("programs", "error_id", "words"),
    [
        ({"compile": "#!/bin/sh\necho so far\nexit 7\n"}, "buildpack_compile_failed", "exit code 7"),
        ({"detect": "#!/bin/sh\necho no main.rs >&2\nexit 1\n"}, "buildpack_not_fitting", "no main.rs"),
        ({"release": "#!/bin/sh\nexit 3\n"}, "buildpack_release_invalid", "exit code 3"),
        (
            {"release": "#!/bin/sh\necho 'config_vars:'; echo ' A: |'\n"},
            "buildpack_release_invalid",
            "line 2",
        ),
    ],
)
def test_failures(work: Path, source: Path, programs: dict[str, str], error_id: str, words: str) -> None:
    buildpack(source / "mine", "mine", **programs)
    choose(source, "./mine")
    failed(build(source, work, env={"WORD": "x"}), error_id, words)


def test_what_is_not_there_or_does_not_fit(work: Path, source: Path) -> None:
    choose(source, "./none")
    failed(build(source, work), "buildpack_unavailable", "no such folder")
    choose(source, "heroku/python")
    failed(build(source, work), "buildpack_not_fitting", "requirements.txt")
