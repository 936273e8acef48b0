"""Requirements, Staticfile, environment and output: the small readers."""

import io
import os
import signal
import stat
import sys
from pathlib import Path

import pytest

from paas.slugbuilder.buildpacks.requirements import included_files, is_cacheable, read_requirements
from paas.slugbuilder.command import LINE_BYTES, run
from paas.slugbuilder.environment import CA_VARIABLES, SHOWN, build_environment
from paas.slugbuilder.errors import BuildError
from paas.slugbuilder.output import FLOOD, Output
from paas.slugbuilder.pipeline import settle
from paas.slugbuilder.staticfile import Site, parse_staticfile, read_site
from paas.slugbuilder.tree_cache import key_of, restore, save

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_requirements_in_any_encoding(tmp_path, encoding):
    file = tmp_path / "requirements.txt"
    file.write_bytes("flask==3.1.3\r\n".encode(encoding))
    text, recoded = read_requirements(file)
    assert text.strip() == "flask==3.1.3"
    assert recoded == ("UTF-16" if encoding == "utf-16" else "")


def test_included_files_stay_inside(tmp_path):
    app = tmp_path / "app"
    (app / "req").mkdir(parents=True)
    (tmp_path / "outside.txt").write_text("x")
    main = app / "requirements.txt"
    main.write_text("-r req/base.txt\n-c req/limits.txt\n-r ../outside.txt\n-r requirements.txt\n")
    (app / "req" / "base.txt").write_text("--requirement=more.txt\n")
    for name in ("limits.txt", "more.txt"):
        (app / "req" / name).write_text("")
    assert [path.name for path in included_files(app, main)] == [
        "requirements.txt",
        "base.txt",
        "limits.txt",
        "more.txt",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "-e .",
        ".",
        "./lib",
        "../lib",
        "git+https://x/y",
        "pkg @ git+https://x/y",
        "pkg @ file:///x",
        "--find-links x",
        "-r https://x/y.txt",
    ],
)
def test_lines_that_are_not_a_key(line):
    assert not is_cacheable(f"flask==3.1.3\n{line}\n")


def test_lines_that_are_a_key():
    assert is_cacheable(
        "flask==3.1.3 # see git+https\n# -e .\n-r base.txt\ndjango[argon2]>=5 ; python_version > '3'\n"
    )


def test_staticfile():
    settings, warnings = parse_staticfile("---\nroot: dist # built\npushstate: Enabled\nforce_https: true\n")
    assert settings == {"root": "dist", "pushstate": "enabled"}
    assert warnings == ("Staticfile line 4: 'force_https' is not known and has no effect.",)
    with pytest.raises(BuildError, match="line 1"):
        parse_staticfile("root dist")


def test_the_root_of_a_site(tmp_path):
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "index.html").touch()
    assert read_site(tmp_path) == (Site("public", spa=False), ())
    (tmp_path / "index.html").touch()
    assert read_site(tmp_path)[0].root == "."
    for bad in ("..", "/etc", "nothing", ".hidden"):
        (tmp_path / ".hidden").mkdir(exist_ok=True)
        (tmp_path / "Staticfile").write_text(f"root: {bad}\n")
        with pytest.raises(BuildError):
            read_site(tmp_path)


def test_config_vars_reach_the_tools_but_not_the_builders_own_path(tmp_path):
    environ = {
        "GREETING": "a\nb",
        "PYTHONPATH": "/opt/paas:/app/lib",
        "HOME": "/root",
        "SSL_CERT_FILE": "/own.pem",
    }
    bundle = tmp_path / "ca.crt"
    bundle.touch()
    env = build_environment(
        environ, home=tmp_path, temporary=tmp_path / "t", stack="debian-13", ca_bundle=bundle
    )
    assert env["GREETING"] == "a\nb"
    assert env["PYTHONPATH"] == "/app/lib"
    assert env["HOME"] == str(tmp_path)
    assert env["SSL_CERT_FILE"] == "/own.pem"
    assert env["NODE_EXTRA_CA_CERTS"] == str(bundle)
    assert env["STACK"] == "debian-13"


def test_builds_trust_the_platforms_authorities_on_every_host(tmp_path):
    bundle = tmp_path / "ca.crt"
    places = {"home": tmp_path, "temporary": tmp_path / "t", "stack": "debian-13", "ca_bundle": bundle}
    told = {"SSL_CERT_FILE": SHOWN}
    assert build_environment(told, **places)["SSL_CERT_FILE"] == SHOWN
    bundle.touch()
    env = build_environment(told, **places)
    assert {env[name] for name in CA_VARIABLES} == {str(bundle)}


def test_output_has_herokus_shape():
    stream = io.StringIO()
    output = Output(stream)
    output.step("Python app detected")
    output.info("Using Python 3.13.5")
    output.warn("old")
    output.error("It failed.", ("because",), "Do that.")
    assert stream.getvalue().splitlines() == [
        "-----> Python app detected",
        "       Using Python 3.13.5",
        " !     Warning: old",
        " !",
        " !     It failed.",
        " !",
        " !     because",
        " !",
        " !     Do that.",
        " !",
    ]
    assert output.warnings == ["old"]


def test_tools_may_print_much_but_not_without_end():
    stream = io.StringIO()
    output = Output(stream, lines=3, characters=100)
    for number in range(9):
        output.tool(f"line {number}")
    output.step("Packaging")
    lines = stream.getvalue().splitlines()
    assert lines[:3] == ["       line 0", "       line 1", "       line 2"]
    assert lines[3].startswith(" !     Warning: The build prints more than is kept")
    assert lines[4:] == ["-----> Packaging"], "it is said once, and the builder's own words still come"
    wordy = Output(io.StringIO(), lines=10, characters=5)
    wordy.tool("123456")
    assert wordy.warnings


def test_who_prints_on_and_on_is_stopped():
    output = Output(io.StringIO(), lines=2, characters=100)
    for _ in range(2 + 2 * FLOOD):
        output.tool("x")
    with pytest.raises(BuildError, match="more than 200 lines") as caught:
        output.tool("x")
    assert caught.value.id == "build_output_too_large"


def test_what_is_left_in_the_background_is_not_waited_for(tmp_path):
    stream = io.StringIO()
    script = "(echo later; exec sleep 60) & echo $!"
    finished = run(
        ["sh", "-c", script], cwd=tmp_path, env={"PATH": os.environ["PATH"]}, output=Output(stream)
    )
    assert finished.code == 0
    pid = int(next(line for line in finished.lines if line.isdigit()))
    assert Path(f"/proc/{pid}/cmdline").read_bytes(), "it still runs"
    os.kill(pid, signal.SIGKILL)


def test_no_program_keeps_anothers_rights(tmp_path):
    (tmp_path / "bin").mkdir(mode=0o2755)
    for name, mode in (("setuid", 0o4755), ("setgid", 0o2755), ("plain", 0o755)):
        (tmp_path / "bin" / name).touch()
        (tmp_path / "bin" / name).chmod(mode)
    settled = settle(tmp_path, 1)
    assert sorted(settled.lowered) == ["bin/setgid", "bin/setuid"]
    assert {
        stat.S_IMODE((tmp_path / "bin" / name).stat().st_mode) for name in ("setuid", "setgid", "plain")
    } == {0o755}


def test_a_line_without_an_end_comes_in_pieces(tmp_path):
    stream = io.StringIO()
    code = "import sys; sys.stdout.write('x' * 100_000)"
    finished = run([sys.executable, "-c", code], cwd=tmp_path, env={}, output=Output(stream))
    assert (finished.code, "".join(finished.lines)) == (0, "x" * 100_000)
    assert max(map(len, finished.lines)) <= LINE_BYTES


def test_a_key_knows_where_parts_end():
    assert key_of(["ab", "c"]) != key_of(["a", "bc"])
    assert key_of(["a", b"b"]) == key_of(["a", "b"])


def test_a_kept_tree_comes_back_only_for_its_key(tmp_path):
    cache, tree = tmp_path / "cache", tmp_path / "app" / ".venv"
    tree.mkdir(parents=True)
    (tree / "x").write_text("1")
    assert save(cache, "venv", "k1", tree)
    (tree / "x").unlink()
    tree.rmdir()
    assert not restore(cache, "venv", "k2", tree)
    assert restore(cache, "venv", "k1", tree)
    assert (tree / "x").read_text() == "1"


def test_a_broken_kept_tree_is_dropped(tmp_path):
    cache, tree = tmp_path / "cache", tmp_path / ".venv"
    tree.mkdir()
    save(cache, "venv", "k", tree)
    kept = next(cache.rglob("*.tar"))
    kept.write_bytes(b"broken" * 100)
    tree.rmdir()
    assert not restore(cache, "venv", "k", tree)
    assert not kept.exists()
    assert not tree.exists()
