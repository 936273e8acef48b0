"""Cloud Native Buildpacks, real shell programs: groups, plans, layers and their reuse, launch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from paas.slugbuilder.image import build_builder_image
from tests.oci_images import File, Layout, directory
from tests.oci_registry import serve

from .builds import ROOT, Built, build

pytestmark = pytest.mark.integration

TOOL = """#!/bin/sh
set -e
layers=$CNB_LAYERS_DIR
[ "$1 $2 $3" = "$CNB_LAYERS_DIR $CNB_PLATFORM_DIR $CNB_BP_PLAN_PATH" ]
echo "plan: $(tr '\\n' ' ' < "$CNB_BP_PLAN_PATH")"
echo "secret: $(cat "$CNB_PLATFORM_DIR/env/WORD") ${WORD-unset}"
if [ -d "$layers/tool" ]; then
  echo "reusing version $(sed -n 's/^version = //p' "$layers/tool.toml") of the tool"
  [ -z "$(sed -n '/types/p' "$layers/tool.toml")" ] && [ -f "$layers/tool.sbom.cdx.json" ]
else
  mkdir -p "$layers/tool/bin" "$layers/tool/env" "$layers/tool/env.build"
  printf '#!/bin/sh\\necho tool of "$1"\\n' > "$layers/tool/bin/tool"
  chmod +x "$layers/tool/bin/tool"
  printf :one > "$layers/tool/env/LIST.append"
  printf only-build > "$layers/tool/env.build/WHEN"
  echo '{"components": [{"purl": "pkg:generic/of/t%C3%BCl@1.2?a=b"}, {"purl": "pkg:x"}, 1]}' \\
    > "$layers/tool.sbom.cdx.json"
fi
printf '[types]\\nlaunch = true\\nbuild = true\\ncache = true\\n[metadata]\\nversion = "1.2"\\n' > "$layers/tool.toml"
mkdir "$layers/scratch"
printf '[metadata]\\nruns = %s\\n' "$(($(sed -n 's/^runs = //p' "$layers/store.toml" 2> /dev/null) + 1))" \\
  > "$layers/store.toml.new"
mv "$layers/store.toml.new" "$layers/store.toml"
echo "run $(sed -n 's/^runs = //p' "$layers/store.toml")"
"""
APP = """#!/bin/sh
set -e
layers=$CNB_LAYERS_DIR
echo "made by $(tool build) WHEN=$WHEN LIST=$LIST"
[ ! -d "$layers/../example_tool/scratch" ] && [ -d "$layers/../example_tool/scratch.ignore" ]
if [ -f "$layers/files.toml" ]; then
  [ ! -d "$layers/files" ]
  echo "taking over $(sed -n 's/^key = //p' "$layers/files.toml")"
else
  mkdir -p "$layers/files/exec.d/web" "$layers/files/env.launch/web" "$layers/files/profile.d"
  printf '#!/bin/sh\\nprintf "FROM_EXEC = \\\\"%%s ü\\\\"\\\\n" "$LIST" >&3\\n' > "$layers/files/exec.d/one"
  printf '#!/bin/sh\\necho "ONLY_WEB = '"'it is'"' # a remark" >&3\\n' > "$layers/files/exec.d/web/two"
  chmod +x "$layers/files/exec.d/one" "$layers/files/exec.d/web/two"
  printf , > "$layers/files/env.launch/LIST.delim"
  printf two > "$layers/files/env.launch/LIST.append"
  printf 'it is $web' > "$layers/files/env.launch/web/TYPE"
  printf fallback > "$layers/files/env.launch/WORD.default"
  echo 'PROFILED=(yes); export PROFILED_TOO="${PROFILED[*]}"' > "$layers/files/profile.d/x.sh"
fi
printf '[types]\\nlaunch = true\\n[metadata]\\nkey = "k1"\\n' > "$layers/files.toml"
mkdir -p sub
cat > "$layers/launch.toml" <<END
[[labels]]
key = "example.label"
value = "of the app"
[[processes]]
type = "web"
command = ["sh", "-c"]
args = ['echo "\\$TYPE|\\$LIST|\\$FROM_EXEC|\\$ONLY_WEB|\\$WORD|\\$PROFILED_TOO|\\$(tool launch)|\\${PWD##*/}"']
default = true
working-dir = "sub"
[[processes]]
type = "worker"
command = ["sh", "-c"]
args = ['echo "\\$TYPE|\\$LIST|\\$FROM_EXEC|\\$ONLY_WEB"']
END
"""


def pack(folder: Path, id: str, build: str, detect: str = "", api: str = "0.10", more: str = "") -> Path:
    """Write one buildpack."""
    (folder / "bin").mkdir(parents=True)
    about = f'api = "{api}"\n[buildpack]\nid = "{id}"\nversion = "1.0.0"\nname = "{id} pack"\n'
    (folder / "buildpack.toml").write_text(about + more)
    for name, text in (("detect", f"#!/bin/sh\n{detect}"), ("build", build)):
        (folder / "bin" / name).write_text(text)
    return folder


def plan(text: str) -> str:
    return f"cat > \"$CNB_BUILD_PLAN_PATH\" <<'END'\n{text}\nEND\n"


PROVIDES = '[[provides]]\nname = "tool"\n'
REQUIRES = '[[requires]]\nname = "tool"\n[requires.metadata]\nwanted = "1.x"\n'


@pytest.fixture
def source(work: Path) -> Path:
    folder = work / "source"
    folder.mkdir()
    (folder / "main.txt").write_text("hello\n")
    return folder


def failed(built: Built, error_id: str, *words: str) -> None:
    assert (built.code, built.result["error"]["id"]) == (1, error_id), built.output
    said = " ".join(built.output.replace(" !     ", " ").split())
    for word in words:
        assert word in said, built.output


def launched(work: Path, command: str, **env: str) -> str:
    done = subprocess.run(
        [str(work / "app/.paas/launch"), "-c", command],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], **env},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def collection(source: Path) -> None:
    """Two buildpacks in an order of two groups, of which the first does not fit."""
    root = source / "packs"
    pack(root / "tool", "example/tool", TOOL, plan(PROVIDES))
    pack(root / "app", "example/app", APP, plan(REQUIRES))
    (root / "app" / "tests").mkdir()
    (root / "app" / "tests" / "buildpack.toml").write_text("no buildpack of ours")
    pack(root / "other", "example/other", "#!/bin/sh\n", "echo no main.rs here >&2; exit 100")
    (root / "order.toml").write_text(
        '[[order]]\n[[order.group]]\nid = "example/other"\n[[order.group]]\nid = "example/tool"\n'
        '[[order]]\n[[order.group]]\nid = "example/other"\noptional = true\n[[order.group]]\nid = "example/tool"\n'
        '[[order.group]]\nid = "example/app"\nversion = "1.0.0"\n'
    )


def test_a_group_with_a_plan_its_layers_and_the_launch_environment(work: Path, source: Path) -> None:
    collection(source)
    extra, env = ("--buildpack=cnb:./packs",), {"WORD": "from config"}
    built = build(source, work, env=env, extra=extra)
    assert built.code == 0, built.output
    said = " ".join(built.output.split())
    assert "example/other@1.0.0: left out, does not fit" in said
    assert 'plan: [[entries]] name = "tool" [entries.metadata] wanted = "1.x"' in said
    assert "secret: from config from config" in said and "run 1" in said
    assert "made by tool of build WHEN=only-build LIST=:one" in said
    types = built.result["process_types"]
    assert launched(work, types["web"]) == "it is $web|:one,two|:one,two ü|it is|fallback||tool of launch|sub"
    assert launched(work, types["worker"], WORD="x", LIST="a") == "|a:one,two|a:one,two ü|"
    assert launched(work, 'echo "$LIST $WORD $PROFILED_TOO"', WORD="mine") == ":one,two mine yes"
    assert built.result["buildpacks"] == [
        {"name": "example/tool", "version": "1.0.0"},
        {"name": "example/app", "version": "1.0.0"},
    ]
    layers = work / "app/.paas/layers"
    assert (layers / "sbom/launch/example_tool/tool/sbom.cdx.json").is_file()
    assert '"pkg:generic/of/t%C3%BCl@1.2"' in (work / "app/.paas/sbom.cdx.json").read_text()
    assert 'value = "of the app"' in (layers / "config/metadata.toml").read_text()
    assert sorted(one.name for one in (layers / "example_tool").iterdir()) == ["tool"]

    (work / "cache/cnb/example_gone").mkdir()
    again = build(source, work, env=env, extra=extra)
    assert again.code == 0, again.output
    assert sorted(one.name for one in (work / "cache/cnb").iterdir()) == ["example_app", "example_tool"]
    said = " ".join(again.output.split())
    assert "Restored the layer tool from the cache" in said and 'reusing version "1.2" of the tool' in said
    assert 'taking over "k1"' in said and "run 2" in said
    assert launched(work, again.result["process_types"]["web"]).startswith("it is $web|:one,two|")
    assert launched(work, again.result["process_types"]["web"]).endswith("|tool of launch|sub")


def test_project_toml_with_an_older_api_a_script_and_files_left_out(work: Path, source: Path) -> None:
    """API 0.8: processes in a shell. The environment of project.toml is a default."""
    build_old = (
        "#!/bin/sh\nset -e\n[ ! -e tests ] && [ -f main.txt ]\n"
        'mkdir -p "$CNB_LAYERS_DIR/p/profile.d/job"\n'
        'echo "export P=all" > "$CNB_LAYERS_DIR/p/profile.d/a"\n'
        "echo 'P=$P-job' > \"$CNB_LAYERS_DIR/p/profile.d/job/b\"\n"
        "printf '[types]\\nlaunch = true\\n' > \"$CNB_LAYERS_DIR/p.toml\"\n"
        "cat > \"$CNB_LAYERS_DIR/launch.toml\" <<'END'\n"
        '[[processes]]\ntype = "job"\ncommand = "echo \\"$P\\" && echo $1"\n'
        '[[processes]]\ntype = "args"\ncommand = "echo"\nargs = ["$P", "b  c"]\n'
        '[[processes]]\ntype = "straight"\ncommand = "echo"\nargs = ["$P"]\ndirect = true\nEND\n'
    )
    pack(source / "old", "example/old", build_old, api="0.8", more='[[stacks]]\nid = "*"\n')
    (source / "tests").mkdir()
    (source / "tests" / "big").write_text("x")
    (source / "project.toml").write_text(
        '[_]\nschema-version = "0.2"\n[io.buildpacks]\nexclude = ["/tests"]\n'
        '[[io.buildpacks.build.env]]\nname = "A"\nvalue = "project"\n'
        '[[io.buildpacks.build.env]]\nname = "B"\nvalue = "project"\n'
        '[[io.buildpacks.group]]\nuri = "old"\n'
        '[[io.buildpacks.group]]\nid = "example/inline"\n'
        "[io.buildpacks.group.script]\napi = \"0.10\"\ninline = 'echo inline: $A and $B'\n"
    )
    built = build(source, work, env={"B": "config"})
    assert built.code == 0, built.output
    assert "inline: project and config" in built.output
    types = built.result["process_types"]
    assert types == {
        "job": 'echo "$P" && echo $1',
        "args": 'echo "$P" "b  c"',
        "straight": "echo '$P'",
    }
    assert launched(work, types["job"]) == "all-job"
    assert launched(work, types["args"]) == "all b  c"
    assert launched(work, types["straight"]) == "$P"


def test_by_git_and_as_an_archive(work: Path, source: Path) -> None:
    origin = pack(work / "origin", "example/tool", TOOL, plan(PROVIDES))
    git = ("git", "-C", str(origin), "-c", "user.name=x", "-c", "user.email=x@example.com")
    for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "one")):
        subprocess.run([*git, *words], check=True)
    with tarfile.open(work / "app.tgz", "w:gz") as archive:
        archive.add(pack(work / "app-pack", "example/app", APP, plan(REQUIRES)), "app-main")
    (source / ".buildpacks").write_text(f"cnb:file://{origin}\ncnb:file://{work}/app.tgz\n")
    built = build(source, work, env={"WORD": "x"}, extra=("--buildpack-schemes", "https,file"))
    assert built.code == 0, built.output
    assert [one["name"] for one in built.result["buildpacks"]] == ["example/tool", "example/app"]


def test_detection_fails_with_each_ones_reason(work: Path, source: Path) -> None:
    pack(source / "a", "example/a", "#!/bin/sh\n", "echo there is no main.rs >&2; exit 100")
    pack(source / "b", "example/b", "#!/bin/sh\n", "exit 3")
    pack(source / "c", "example/c", "#!/bin/sh\n", more='[[targets]]\nos = "windows"\n')
    (source / ".buildpacks").write_text("cnb:./a\ncnb:./b\ncnb:./c\n")
    words = (
        "example/a@1.0.0: does not fit (bin/detect ended with 100)",
        "there is no main.rs",
        "example/b@1.0.0: failed (bin/detect ended with exit code 3)",
        "example/c@1.0.0: none of its targets is linux/",
    )
    failed(build(source, work), "cnb_detect_failed", *words)
    (source / ".buildpacks").write_text("cnb:./d\n")
    pack(source / "d", "example/d", "#!/bin/sh\n", plan(PROVIDES))
    why = "example/d provides tool, which no buildpack after it requires"
    failed(build(source, work), "cnb_detect_failed", why)


@pytest.mark.parametrize(
    ("script", "more", "error_id", "words"),
    [
        ("exit 7", "", "cnb_build_failed", "example/x@1.0.0 failed: bin/build ended with exit code 7"),
        (
            "echo 'x' > $CNB_LAYERS_DIR/l.toml",
            "",
            "cnb_invalid",
            "l.toml of example/x@1.0.0: it cannot be read",
        ),
        (
            "printf '[types]\\nlaunch = true\\n' > $CNB_LAYERS_DIR/gone.toml",
            "",
            "cnb_layer_missing",
            "takes the layer gone from the previous build",
        ),
        (
            "true",
            "[[stacks]]\nid = 'io.example.other'\n",
            "cnb_detect_failed",
            "it is made for io.example.other",
        ),
        ("true", "", "no_process_types", "No buildpack declares a process type"),
    ],
)
def test_failures(work: Path, source: Path, script: str, more: str, error_id: str, words: str) -> None:
    pack(source / "x", "example/x", f"#!/bin/sh\n{script}\n", more=more)
    (source / ".buildpacks").write_text("cnb:./x\n")
    failed(build(source, work), error_id, words)


def test_what_cannot_be_used(work: Path, source: Path) -> None:
    pack(source / "x", "example/x", "#!/bin/sh\n", api="0.12")
    (source / ".buildpacks").write_text("cnb:./x\n")
    failed(build(source, work), "cnb_invalid", "`api` is '0.12'")
    (source / ".buildpacks").write_text("cnb:./none\n")
    failed(build(source, work), "buildpack_unavailable", "no such folder")
    (source / ".buildpacks").write_text("cnb:./x\nheroku/procfile\n")
    failed(build(source, work), "buildpack_invalid", "cannot build an app together")


def files_of(folder: Path, place: str) -> list[File]:
    return [
        File(
            f"{place}/{path.relative_to(folder)}",
            path.read_bytes(),
            0o755 if path.parent.name == "bin" else 0o644,
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]


def test_images_from_a_registry_and_from_an_archive(
    work: Path, source: Path, free_ports: Callable[[int], list[int]]
) -> None:
    """A buildpackage and a builder, as pack makes them: one layer per buildpack, the order in labels."""
    tool = pack(work / "tool", "example/tool", TOOL, plan(PROVIDES))
    app = pack(work / "app-pack", "example/app", APP, plan(REQUIRES))
    one, other = Layout(work / "one"), Layout(work / "other")
    label = {"io.buildpacks.buildpackage.metadata": json.dumps({"id": "example/tool", "version": "1.0.0"})}
    tool_layer = one.layer([directory("cnb"), *files_of(tool, "/cnb/buildpacks/example_tool/1.0.0")])
    one.image(tool_layer, one.layer([File("etc/passwd", b"not wanted"), directory("dev")]), Labels=label)
    order = {
        "io.buildpacks.buildpack.order": json.dumps([{"group": [{"id": "example/app", "optional": False}]}])
    }
    trap = [directory("cnb/buildpacks"), File("cnb/buildpacks/out", link="/etc"), File("etc/x", b"")]
    layers = [other.layer(trap), other.layer(files_of(app, "cnb/buildpacks/example_app/1.0.0"))]
    other.index(other.image(*layers, Labels=order))
    other.archive(source / "app.cnb")
    with serve(work / "registry", free_ports(2)) as registry:
        one.push(f"{registry.host}/team/tool:2")
        names = (f"cnb:docker://{registry.host}/team/tool:2", "cnb:./app.cnb")
        (source / ".buildpacks").write_text("\n".join(names))
        built = build(source, work, env={"WORD": "x"}, extra=("--buildpack-schemes", "http"))
        assert built.code == 0, built.output
        assert "made by tool of build" in built.output
        (source / ".buildpacks").write_text(f"cnb:docker://{registry.host}/team/tool:3\n")
        failed(
            build(source, work, extra=("--buildpack-schemes", "http")),
            "buildpack_unavailable",
            "answered 404",
        )
    (source / ".buildpacks").write_text("cnb:./main.txt\n")
    failed(build(source, work), "buildpack_unavailable", "no archive of an OCI image")


def test_what_the_platform_offers(work: Path, source: Path) -> None:
    """By id, by an id in project.toml, and all in their order."""
    collection(source)
    offered = work / "offered"
    (source / "packs").rename(offered)
    extra, env = ("--offered", str(offered)), {"WORD": "x"}
    for names in (("cnb:example/tool@1.0.0", "cnb:example/app"), ("cnb:platform",)):
        built = build(source, work, env=env, extra=(*extra, *(f"--buildpack={name}" for name in names)))
        assert built.code == 0, built.output
        assert [one["name"] for one in built.result["buildpacks"]] == ["example/tool", "example/app"]
    (source / "project.toml").write_text(
        '[_]\nschema-version = "0.2"\n'
        '[[io.buildpacks.group]]\nid = "example/tool"\n[[io.buildpacks.group]]\nid = "example/app"\n'
    )
    assert build(source, work, env=env, extra=extra).code == 0
    (source / ".buildpacks").write_text("cnb:example/none\n")
    words = "does not offer it (it offers: example/app@1.0.0, example/other@1.0.0, example/tool@1.0.0)"
    failed(build(source, work, extra=extra), "buildpack_unavailable", words)


def test_the_operators_buildpacks_are_in_the_builder(work: Path) -> None:
    folder = work / "buildpacks"
    pack(folder / "one", "example/one", "#!/bin/sh\n")
    (folder / "one" / "link").symlink_to("bin")
    first = build_builder_image(work / "image", folder)
    listed = subprocess.run(
        ["unsquashfs", "-ll", str(first.path), "opt/paas/cnb"], capture_output=True, text=True, check=True
    )
    modes = {line.split()[-1]: line.split()[0] for line in listed.stdout.splitlines() if "/cnb/" in line}
    assert modes["squashfs-root/opt/paas/cnb/one/bin/build"] == "-rwxr-xr-x"
    assert modes["squashfs-root/opt/paas/cnb/one/buildpack.toml"] == "-rw-r--r--"
    assert build_builder_image(work / "image", folder).digest == first.digest
    (folder / "one" / "buildpack.toml").write_text("")
    assert build_builder_image(work / "image", folder).digest != first.digest


def test_layers_that_may_not_be_written_are_removed(work: Path) -> None:
    """As Go's module cache is. Root may write to all, so this is without that right, as in a container."""
    layers, outside = work / "layers", work / "outside"
    outside.mkdir(mode=0o555)
    for name in ("kept", "cache", "scratch.ignore"):
        (layers / name / "mod" / "x@v1").mkdir(parents=True)
        (layers / name / "mod" / "x@v1" / "x.go").touch(0o444)
        (layers / name / "mod" / "link").symlink_to(outside)
        for folder in (layers / name / "mod" / "x@v1", layers / name / "mod", layers / name):
            folder.chmod(0o555)
    code = "import pathlib, sys; from paas.slugbuilder.cnb.layers import leave_only; "
    code += "leave_only(pathlib.Path(sys.argv[1]), {'kept'})"
    rights = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    done = subprocess.run(
        [*rights, sys.executable, "-c", code, str(layers)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [one.name for one in layers.iterdir()] == ["kept"]
    assert [one.stat().st_mode & 0o777 for one in (layers / "kept", outside)] == [0o555, 0o555]
