"""Apps that cannot be built, and odd ones that can: what the pusher reads."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .builds import CA_BUNDLE, ROOT, build, tar_of

pytestmark = pytest.mark.integration


def app(work, files):
    source = work / "source"
    source.mkdir()
    for name, content in files.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return source


def failed(built, error_id, *words):
    assert built.code == 1
    assert built.result["error"]["id"] == error_id, built.output
    marked = [line for line in built.output.splitlines() if line.startswith(" !")]
    text = " ".join(" ".join(marked).replace("!", " ").split())
    for word in words:
        assert word in text, text
    return built


def test_no_buildpack(work):
    built = build(app(work, {"main.rs": "fn main() {}"}), work)
    failed(built, "no_buildpack", "No buildpack fits this app", "main.rs", "requirements.txt", "package.json")


def test_a_requirement_that_does_not_exist(work):
    built = build(app(work, {"requirements.txt": "nosuchpackage-xyz==9\n", "Procfile": "web: x"}), work)
    failed(built, "requirements_unresolvable", "nosuchpackage-xyz", "Correct the version in requirements.txt")


def test_a_version_that_does_not_exist(work):
    built = build(app(work, {"requirements.txt": "flask==99.1\n", "Procfile": "web: x"}), work)
    failed(built, "requirements_unresolvable", "no version of flask==99.1")


def test_a_requirement_that_cannot_be_read(work):
    built = build(app(work, {"requirements.txt": "flask=3\n", "Procfile": "web: x"}), work)
    failed(built, "requirements_invalid", "flask=3")


def test_a_merge_conflict_in_the_procfile_is_told_before_anything_is_installed(work):
    procfile = "<<<<<<< HEAD\nweb: a\n=======\nweb: b\n>>>>>>> topic\n"
    built = build(app(work, {"requirements.txt": "flask\n", "Procfile": procfile}), work)
    failed(built, "procfile_conflict", "Procfile line 1: merge conflict marker")
    assert "Installing" not in built.output


def test_bom_and_crlf_everywhere(work):
    source = app(
        work,
        {
            "requirements.txt": "\ufeffitsdangerous==2.2.0\r\n",
            "Procfile": "\ufeffweb: python -m http.server $PORT\r\n\r\nworker: sleep 1\r\n",
            ".slugignore": "\ufeff*.psd\r\ndocs/\r\n",
            "big.psd": "x",
            "docs/a.txt": "x",
            "kept.txt": "x",
        },
    )
    built = build(source, work)
    assert built.code == 0, built.output
    assert built.result["process_types"] == {"web": "python -m http.server $PORT", "worker": "sleep 1"}
    assert (work / "app" / "kept.txt").exists()
    assert not (work / "app" / "big.psd").exists()
    assert not (work / "app" / "docs").exists()


def test_requirements_from_powershell(work):
    source = app(work, {"requirements.txt": "itsdangerous==2.2.0\r\n".encode("utf-16"), "Procfile": "web: x"})
    built = build(source, work)
    assert built.code == 0, built.output
    assert "UTF-16" in built.output


def test_an_unsupported_python(work):
    source = app(work, {"requirements.txt": "", ".python-version": "3.6", "Procfile": "web: x"})
    failed(
        build(source, work),
        "python_version_unsupported",
        ".python-version asks for Python 3.6, stack host has",
    )


def test_a_python_app_that_nothing_can_start(work):
    source = app(work, {"requirements.txt": "itsdangerous==2.2.0\n", "app.py": "print('hello')\n"})
    failed(build(source, work), "no_process_types", "There is nothing to run", "Procfile")


def test_a_lock_without_its_project(work):
    failed(
        build(app(work, {"uv.lock": "version = 1\n", "Procfile": "web: x"}), work),
        "python_packages_unsupported",
        "uv.lock is there without pyproject.toml.",
    )


def package(**fields):
    return json.dumps({"name": "x", "version": "1.0.0", **fields})


def test_an_engine_that_the_stack_has_not(work):
    built = build(app(work, {"package.json": package(engines={"node": ">=99"}), "server.js": ""}), work)
    failed(built, "node_version_unsupported", "There is no Node.js >=99: the npm registry has versions")


def test_an_engine_that_is_too_old(work):
    built = build(app(work, {"package.json": package(engines={"node": "0.10.x"}), "server.js": ""}), work)
    failed(built, "node_version_unsupported", "asks for Node.js 0.10.x; there is", "on stack host")


def test_an_engine_that_is_none(work):
    built = build(app(work, {"package.json": package(engines={"node": "banana"}), "server.js": ""}), work)
    failed(built, "node_version_invalid", "'banana'")


def test_package_json_that_is_no_json(work):
    failed(build(app(work, {"package.json": "{"}), work), "package_json_invalid")


def test_a_lock_that_does_not_match(work):
    lock = json.dumps(
        {"name": "x", "version": "1.0.0", "lockfileVersion": 3, "packages": {"": {"name": "x"}}}
    )
    source = app(work, {"package.json": package(dependencies={"express": "5.3.0"}), "server.js": ""})
    (source / "package-lock.json").write_text(lock)
    failed(build(source, work), "lock_outdated", "package-lock.json does not match package.json")


def test_a_package_that_npm_does_not_know(work):
    source = app(
        work, {"package.json": package(dependencies={"nosuchpackage-xyz-paas": "1"}), "server.js": ""}
    )
    failed(build(source, work), "requirements_unresolvable", "nosuchpackage-xyz-paas")


def test_a_build_script_runs_and_its_failure_is_told(work):
    scripts = {
        "build": "node -e \"require('fs').writeFileSync('out.txt', process.env.GREETING)\"",
        "start": "node x",
    }
    source = app(work, {"package.json": package(scripts=scripts)})
    built = build(source, work, env={"GREETING": "two\nlines"})
    assert built.code == 0, built.output
    assert (work / "app" / "out.txt").read_text() == "two\nlines"
    (source / "package.json").write_text(package(scripts={"build": "exit 7", "start": "node x"}))
    failed(build(source, work), "build_script_failed", "exit code 7")


def test_collectstatic_that_fails(work):
    manage = "import sys\nprint('settings: KeyError SECRET')\nsys.exit(1)\n"
    source = app(work, {"requirements.txt": "django==5.2.19\n", "manage.py": manage, "Procfile": "web: x"})
    failed(build(source, work), "collectstatic_failed", "KeyError SECRET", "DISABLE_COLLECTSTATIC=1")


def test_a_link_out_of_the_tree(work):
    source = app(work, {"Procfile": "web: x"})
    (source / "secret").symlink_to("../../etc/passwd")
    failed(build(source, work), "source_refused", "secret", "link out of the repository")


def test_uv_lock(work):
    pyproject = '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.11"\n'
    pyproject += 'dependencies = ["itsdangerous==2.2.0"]\n'
    source = app(work, {"pyproject.toml": pyproject, "Procfile": "web: x"})
    uv = str(Path(sys.executable).parent / "uv")
    subprocess.run(
        [uv, "lock", "-q", "--system-certs", "--python", "/usr/bin/python3"], cwd=source, check=True
    )
    built = build(source, work)
    assert built.code == 0, built.output
    assert list((work / "app" / ".venv").glob("lib/python*/site-packages/itsdangerous"))
    assert "uv.lock unchanged" in build(source, work).output
    (source / "pyproject.toml").write_text(pyproject.replace("2.2.0", "2.1.2"))
    failed(build(source, work), "lock_outdated", "uv lock")


def test_without_a_cache(work):
    source = app(work, {"requirements.txt": "itsdangerous==2.2.0\n", "Procfile": "web: x"})
    tar = tar_of(source, work / "s.tar")
    argv = [
        sys.executable,
        "-m",
        "paas.slugbuilder",
        "build",
        "--source",
        str(tar),
        "--app",
        str(work / "app"),
    ]
    argv += ["--cache", str(work / "absent"), "--result", str(work / "r.json")]
    environ = {**os.environ, "SSL_CERT_FILE": CA_BUNDLE}
    done = subprocess.run(
        argv, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (work / "absent").exists()
