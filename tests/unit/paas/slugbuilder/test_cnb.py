"""Cloud Native Buildpacks: descriptors, orders, plans, variables, processes, TOML."""

from __future__ import annotations

import io
import subprocess
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from paas.slugbuilder.cnb.bringing import Brought, _reference, _together
from paas.slugbuilder.cnb.building import _tell_unused
from paas.slugbuilder.cnb.choosing import follow_project
from paas.slugbuilder.cnb.descriptor import (
    Descriptor,
    Entry,
    Order,
    Pack,
    Place,
    Target,
    parse_descriptor,
    unfit,
)
from paas.slugbuilder.cnb.detecting import Answer, ask_pack, detect
from paas.slugbuilder.cnb.exec_d import EXEC_D
from paas.slugbuilder.cnb.exporting import Built
from paas.slugbuilder.cnb.keeping import forget_others
from paas.slugbuilder.cnb.order import MOST_GROUPS, Member, groups_of
from paas.slugbuilder.cnb.plan import Section, agree, entries_for, parse_sections, still_open
from paas.slugbuilder.cnb.processes import Process, combined, commands, parse_processes
from paas.slugbuilder.cnb.tables import parse_table
from paas.slugbuilder.cnb.toml_writing import to_toml
from paas.slugbuilder.cnb.variables import Action, Change, apply, with_users
from paas.slugbuilder.errors import BuildError
from paas.slugbuilder.heroku.references import Source, of_one_kind, parse_reference
from paas.slugbuilder.output import Output
from paas.slugbuilder.project_toml import Project, parse_project
from paas.slugbuilder.workspace import Stack, Workspace

pytestmark = pytest.mark.unit

PLACE = Place("io.paas.stacks.debian-13", distro="debian", distro_version="13")


def known(id: str, *order: tuple[str, ...], version: str = "1") -> Pack:
    """A buildpack; a name with `?` in its order is optional."""
    groups: Order = tuple(
        tuple(Entry(one.rstrip("?"), optional=one.endswith("?")) for one in group) for group in order
    )
    return Pack(Descriptor(id, version, (0, 10), order=groups))


def shown(order: Order, packs: list[Pack]) -> list[str]:
    return [
        "".join(one.pack.descriptor.id + ("?" if one.optional else "") for one in group)
        for group in groups_of(order, packs)
    ]


def test_orders_are_resolved_as_in_the_specification() -> None:
    packs = [known(id) for id in "abcdefgh"]
    packs += [known("o", ("a", "b"), ("c", "d")), known("p", ("e", "f"), ("g", "h"))]
    assert shown(((Entry("e"), Entry("o"), Entry("f")),), packs) == ["eabf", "ecdf"]
    assert shown(((Entry("o"), Entry("p")),), packs) == ["abef", "abgh", "cdef", "cdgh"]
    assert shown(((Entry("e"), Entry("o", optional=True)),), packs) == ["eab", "ecd", "e"]
    assert shown(((Entry("a"), Entry("b", optional=True), Entry("a")),), packs) == ["ab?"]


def test_orders_that_cannot_be_used() -> None:
    with pytest.raises(BuildError, match=r"there is no buildpack x@2 \(there are: x@1\)"):
        groups_of(((Entry("x", "2"),),), [known("x")])
    with pytest.raises(BuildError, match="name each other"):
        groups_of(((Entry("x"),),), [known("x", ("x",))])
    with pytest.raises(BuildError, match="a/b and a_b stand in one group"):
        groups_of(((Entry("a/b"), Entry("a_b")),), [known("a/b"), known("a_b")])
    assert len(groups_of(((Entry("a/b"),), (Entry("a_b"),)), [known("a/b"), known("a_b")])) == 2
    two = [known("x", version="1.9"), known("x", version="1.10")]
    assert groups_of(((Entry("x"),),), two)[0][0].pack.descriptor.version == "1.10"


def test_collections_in_a_list_are_combined_in_order() -> None:
    one, other = (Brought((known(a), known(b)), ((Entry(a),), (Entry(b),))) for a, b in ("ab", "cd"))
    both = _together([one, other])
    assert shown(both.order, list(both.packs)) == ["ac", "ad", "bc", "bd"]
    wide = Brought((known("a"),), ((Entry("a"),),) * 12)
    with pytest.raises(BuildError, match=f"more than {MOST_GROUPS} groups"):
        groups_of(_together([wide] * 16).order, wide.packs)


def section(provides: str = "", requires: str = "") -> Section:
    return Section(tuple(provides.split()), tuple({"name": name} for name in requires.split()))


@pytest.mark.parametrize(
    ("options", "ids", "reason"),
    [
        ([("a", [section("x")]), ("b", [section("", "x")])], "ab", ""),
        ([("a", [section("x", "x")])], "a", ""),
        ([("b", [section("", "x")]), ("a", [section("x")])], "", "b requires x, which no buildpack before"),
        ([("a", [section("x")])], "", "a provides x, which no buildpack after"),
        ([("a?", [section("x")]), ("b", [section()])], "b", ""),
        ([("a?", [section("x")]), ("b?", [section("y", "x")]), ("c", [section()])], "c", ""),
        ([("a?", [section("x")])], "", "no buildpack is left"),
        ([("a", [section("x"), section("y")]), ("b", [section("", "y")])], "ab", ""),
        ([("a", [section("x"), section()]), ("b", [section("", "y"), section()])], "ab", ""),
    ],
)
def test_plans(options: list[tuple[str, list[Section]]], ids: str, reason: str) -> None:
    found, why = agree([(id.rstrip("?"), id.endswith("?"), sections) for id, sections in options])
    assert "".join(found.ids if found else ()) == ids
    assert reason in " ".join(why)


def test_unmet_entries_go_to_the_next_provider() -> None:
    options = [("a", False, [section("x")]), ("b", False, [section("x")]), ("c", False, [section("", "x")])]
    found, _ = agree(options)
    assert found is not None
    assert entries_for("a", found.needs) == ({"name": "x"},)
    assert entries_for("b", still_open("a", found.needs, ())) == ()
    assert entries_for("b", still_open("a", found.needs, ("x",))) == ({"name": "x"},)


def test_plan_sections_with_or() -> None:
    text = b'[[provides]]\nname = "x"\n[[or]]\n[[or.requires]]\nname = "y"\n[or.requires.metadata]\nv = 1\n'
    first, second = parse_sections(parse_table(text, "plan"))
    assert first.provides == ("x",)
    assert second.requires == ({"name": "y", "metadata": {"v": 1}},)
    with pytest.raises(BuildError, match="needs a `name`"):
        parse_sections(parse_table(b"[[provides]]\n", "plan"))


def test_where_a_buildpack_runs() -> None:
    def why(**values: object) -> str:
        return unfit(Descriptor("x", "1", **{"api": (0, 10), **values}), PLACE)  # type: ignore[arg-type]

    assert why() == why(stacks=("*",)) == why(stacks=(PLACE.stack_id,)) == ""
    assert "io.other" in why(stacks=("io.other",))
    assert why(stacks=("io.other",), targets=(Target("linux"),)) == ""
    assert (
        why(targets=(Target(distros=(("ubuntu", "24.04"),)),))
        == "none of its targets is linux/amd64 debian 13"
    )
    assert why(targets=(Target(distros=(("debian", ""),)),)) == ""
    assert why(api=(0, 9), targets=(Target("windows"),)) == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('api = "0.7"\n[buildpack]\nid = "x"', "`api` is '0.7'; .* 0.8, 0.9, 0.10"),
        ('api = "0.10"', "`buildpack.id` is ''"),
        ('api = "0.10"\n[buildpack]\nid = "sbom"', "`buildpack.id`"),
        ('api = "0.10"\n[buildpack]\nid = "../x"', "`buildpack.id`"),
        ('api = "0.10"\n[buildpack]\nid = "x"\n[[order]]\n', "order.group"),
        ("api = 1", "`buildpack.id`|`api` is no string"),
        ("api = \n", "line 1"),
    ],
)
def test_descriptors_that_are_refused(text: str, words: str) -> None:
    with pytest.raises(BuildError, match=words):
        parse_descriptor(parse_table(text.encode(), "buildpack.toml"))


def test_changes_of_variables() -> None:
    env = {"A": "a", "EMPTY": ""}
    for change, value in (
        (Change("A", Action.OVERRIDE, "v"), "v"),
        (Change("A", Action.DEFAULT, "v"), "a"),
        (Change("EMPTY", Action.DEFAULT, "v"), "v"),
        (Change("A", Action.APPEND, "v"), "av"),
        (Change("A", Action.PREPEND, "v", ":"), "v:a"),
        (Change("EMPTY", Action.APPEND, "v", ":"), "v"),
        (Change("NEW", Action.PREPEND, "v", ":"), "v"),
    ):
        assert apply(env, [change])[change.name] == value
    assert with_users({"CPATH": "/l", "X": "1"}, {"CPATH": "/u", "X": "2"}) == {"CPATH": "/u:/l", "X": "2"}


def test_processes_by_api() -> None:
    new = b'[[processes]]\ntype = "web"\ncommand = ["a", "b c"]\nargs = ["$D"]\ndefault = true\n'
    assert parse_processes(parse_table(new, "launch.toml"), (0, 9))[0].text == "a 'b c' '$D'"
    old = b'[[processes]]\ntype = "web"\ncommand = "a"\nargs = ["b c", "$D"]\n'
    assert parse_processes(parse_table(old, "launch.toml"), (0, 8))[0].text == 'a "b c" "$D"'
    for text, api, words in (
        (old, (0, 10), "`command` is no list"),
        (new, (0, 8), "`command` is no string"),
        (new + b"direct = true\n", (0, 10), "`direct` ended"),
        (new + new.replace(b'"web"', b'"x"'), (0, 10), "more than one process type"),
        (new + new, (0, 10), "there twice"),
        (b'[[processes]]\ntype = "a b"\n', (0, 10), "`type` is"),
        (new.replace(b"web", b"x" * 64), (0, 10), "1 to 63 letters"),
        (b'[[processes]]\ntype = "a"\n', (0, 10), "no `command`"),
    ):
        with pytest.raises(BuildError, match=words):
            parse_processes(parse_table(text, "launch.toml"), api)


def test_processes_of_several_buildpacks() -> None:
    def process(type: str, word: str = "x", default: bool = False) -> Process:
        return Process(type, (word,), True, default=default)

    both = combined([[process("web", default=True), process("job")], [process("web", "y")]])
    assert [(one.type, one.argv, one.default) for one in both] == [
        ("web", ("y",), False),
        ("job", ("x",), False),
    ]
    both = combined([[process("a", default=True)], [process("b", default=True)]])
    assert [one.default for one in both] == [False, True]
    named = commands([process("app", default=True), process("job"), process("with.dot", "z")])
    assert {type: text for type, (text, _) in named.items()} == {"web": "x", "job": "x # job"}
    assert named["web"][1].type == "app"


def test_toml_is_read_back_as_it_was() -> None:
    values = {
        "text": 'a "quoted" \\ line\nand\tmore \x01 ü',
        "with space": [1, 2.5, True, "x"],
        "when": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "nested": {"a": {"b": [{"c": 1}, {"c": {"d": "e"}}]}, "empty": {}},
        "mixed": [{"a": 1}, "x"],
        "none": [],
    }
    assert tomllib.loads(to_toml(values)) == values


@pytest.mark.parametrize("awk", ["mawk", "busybox awk"])
def test_what_exec_d_writes(awk: str) -> None:
    text = (
        '# a remark\nA = "it\'s \\"x\\" \\u00fc \\U0001F600 $HOME `id`"\r\nB = \'raw \\n\'  # more\n'
        '"C" = """\nlong \\\n   line\n"two" """\nD=\'\'\'\n\'q\'\'\'\'\nE = ""\n\n'
    )
    expected = tomllib.loads(text)
    lines = read_exec_d(awk, text)
    assert lines.returncode == 0, lines.stdout
    script = lines.stdout + 'for name in A B C D E; do eval "printf \'%s\\000\' \\"\\$$name\\""; done'
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    assert said.split("\0")[:-1] == [expected[name] for name in "ABCDE"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("A = 1", "a value is no string (line 1)"),
        ('A = "x"\nA-B = "y"', "`A-B` is no name of a variable (line 2)"),
        ('A = "x', "does not end"),
        ('A = "\\q"', "\\q is no escape"),
        ('A = "\\uD800"', "no character"),
        ('A = "x" y', "there is more"),
        ("A", "no = after A"),
    ],
)
def test_what_exec_d_may_not_write(text: str, why: str) -> None:
    said = read_exec_d("awk", text)
    assert said.returncode == 1
    assert why in said.stdout


def read_exec_d(awk: str, text: str) -> subprocess.CompletedProcess[str]:
    argv = [*awk.split(), EXEC_D]
    return subprocess.run(
        argv,
        input=text,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
    )


def test_references() -> None:
    one = parse_reference("cnb:./packs//mine", ("https",))
    assert (one.text, one.source, one.place) == ("cnb:./packs/mine", Source.CNB, "./packs/mine")
    assert parse_reference("cnb:example/x@1.2", ("https",)).place == "example/x@1.2"
    assert parse_reference("cnb:https://h/x.tgz", ("https",)).place == "https://h/x.tgz"
    image = "cnb:docker://127.0.0.1:5000/a/b:1"
    assert (parse_reference(image, ("https",)).text, parse_reference(image, ("https",)).source) == (
        image,
        Source.CNB,
    )
    for given in (
        "cnb:docker://nohost",
        "cnb:docker://u:p@h/x",
        "docker://h/x",
        "cnb:heroku/python",
        "cnb:",
        "cnb:cnb:./x",
        "cnb:http://h/x",
    ):
        with pytest.raises(ValueError):  # noqa: PT011
            parse_reference(given, ("https",))
    for given in ("cnb:urn:cnb:registry:example/x@1", "urn:cnb:registry:example/x"):
        with pytest.raises(ValueError, match="^'urn:cnb:registry:example/x.* the index of that registry"):
            parse_reference(given, ("https",))
    with pytest.raises(BuildError, match="the index of that registry is not read here"):
        _reference("urn:cnb:registry:example/x", ("https",))
    assert of_one_kind([one, one])
    assert not of_one_kind([])
    with pytest.raises(ValueError, match="cannot build an app together"):
        of_one_kind([one, parse_reference("heroku/python", ("https",))])


def test_project_descriptors() -> None:
    old = parse_project(
        b'[project]\nid = "x"\n[build]\ninclude = ["a"]\n[[build.env]]\nname = "A"\nvalue = "b"\n'
    )
    assert (old.include, dict(old.env)) == (("a",), {"A": "b"})
    new = parse_project(
        b'[_]\nschema-version = "0.2"\n[io.buildpacks]\nexclude = ["/t"]\n[[io.buildpacks.group]]\nuri = "p"\n'
        b'[[io.buildpacks.pre.group]]\nid = "first"\nversion = "1"\n'
    )
    assert ([one.id or one.uri for one in new.group], new.exclude) == (["first", "p"], ("/t",))
    assert parse_project(b"[io.other]\nx = 1\n").group == ()
    script = b'[[io.buildpacks.group]]\nid = "x"\nscript = {api = "0.10", inline = "true", shell = END}\n'
    inline = parse_project(script.replace(b"END", b'"\'bash  -e"')).group[0].script
    assert inline is not None
    assert inline.shell == "'bash -e"
    for text, words in (
        (b'[_]\nschema-version = "0.3"\n', "0.1 and 0.2 are read"),
        (b'[io.buildpacks]\ninclude = ["a"]\nexclude = ["b"]\n', "cannot both"),
        (b"[[io.buildpacks.group]]\n", "`id` or a `uri`"),
        (b'[[io.buildpacks.group]]\nuri = "x"\nversion = "1"\n', "no `version` besides"),
        (b'[[io.buildpacks.build.env]]\nname = "A B"\n', "no name of a variable"),
        (script.replace(b"END", b'" "'), "`shell` names no program"),
    ):
        with pytest.raises(BuildError, match=words):
            parse_project(text)


def workspace(folder: Path, **values: dict[str, str]) -> Workspace:
    output = Output(io.StringIO())
    return Workspace(
        folder, None, folder, values.get("env", {}), Stack("host"), output, config=values["config"]
    )


def test_variables_of_project_toml_are_what_config_vars_may_be(tmp_path: Path) -> None:
    names = ("PATH", "LD_PRELOAD", "HOME", "TMPDIR", "A", "B")
    project = Project(env=dict.fromkeys(names, "project"))
    before = workspace(tmp_path, env={"PATH": "/bin", "HOME": "/h", "A": "config"}, config={"A": "config"})
    after = follow_project(project, before)
    assert after.env == {"PATH": "/bin", "HOME": "/h", "A": "config", "B": "project"}
    assert after.config == {"A": "config", "B": "project"}


def test_as_many_take_part_as_a_result_may_name(tmp_path: Path) -> None:
    def detected(number: int) -> int:
        group = tuple(Member(known(f"x{one}")) for one in range(number))
        return len(detect([group], lambda _: Answer(), workspace(tmp_path, config={})).packs)

    assert detected(20) == 20
    with pytest.raises(BuildError, match="21 Cloud Native Buildpacks take part, and 20 at most"):
        detected(21)


def test_a_detection_without_end_names_the_buildpack(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "detect").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "bin" / "detect").chmod(0o755)
    pack = Pack(Descriptor("example/x", "1", (0, 10)), tmp_path)
    work = workspace(tmp_path, config={})
    with pytest.raises(BuildError, match="example/x@1 failed: bin/detect took longer") as caught:
        ask_pack(pack, PLACE, tmp_path, {"PATH": "/usr/bin:/bin"}, work, seconds=0.1)
    assert caught.value.id == "cnb_detect_failed"


def test_nothing_is_kept_of_buildpacks_that_took_no_part(tmp_path: Path) -> None:
    for name in ("a", "b", "a.half"):
        (tmp_path / name).mkdir()
    forget_others([tmp_path / "a", tmp_path / "failed"])
    forget_others([None])
    assert [one.name for one in tmp_path.iterdir()] == ["a"]


def test_a_type_with_a_dot_is_told_unless_it_is_web(tmp_path: Path) -> None:
    processes = (Process("my.app", ("a",), True, default=True), Process("my.job", ("b",), True))
    work = workspace(tmp_path, config={})
    _tell_unused((Built(known("x"), tmp_path, None, (), processes),), commands(processes), work)
    assert work.output.warnings == ["The process type my.job is left out: here no type has a dot."]
