"""Which package manager and which Node.js a Node app gets."""

from __future__ import annotations

import pytest

from paas.slugbuilder.buildpacks.node_choice import WantedNode, check_age, from_text, wanted_node
from paas.slugbuilder.buildpacks.node_managers import choose_manager
from paas.slugbuilder.buildpacks.node_tools import npm_for
from paas.slugbuilder.errors import BuildError

pytestmark = pytest.mark.unit
BERRY_LOCK = "# generated\n\n__metadata:\n  version: 8\n"


def tree(folder, **files):
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "package", "kind", "tool"),
    [
        ({}, {}, "npm", ""),
        ({"package-lock.json": "{}"}, {}, "npm", ""),
        ({"package-lock.json": "{}"}, {"packageManager": "npm@10.9.0"}, "npm", "npm@10.9.0"),
        ({"yarn.lock": "# yarn lockfile v1\n"}, {}, "yarn", "yarn@1.22.22"),
        ({"yarn.lock": "# yarn lockfile v1\n"}, {"packageManager": "yarn@1.22.19"}, "yarn", "yarn@1.22.19"),
        ({"yarn.lock": BERRY_LOCK}, {}, "berry", "@yarnpkg/cli-dist@4.9.2"),
        (
            {"yarn.lock": BERRY_LOCK},
            {"packageManager": "yarn@4.1.0+sha224.0a"},
            "berry",
            "@yarnpkg/cli-dist@4.1.0",
        ),
        ({"pnpm-lock.yaml": "lockfileVersion: '9.0'\n"}, {}, "pnpm", "pnpm@9.15.9"),
        ({"pnpm-lock.yaml": "lockfileVersion: '6.0'\n"}, {}, "pnpm", "pnpm@8.15.9"),
        ({"pnpm-lock.yaml": "lockfileVersion: 5.4\n"}, {}, "pnpm", "pnpm@7.33.7"),
        ({"pnpm-lock.yaml": "lockfileVersion: '9.0'\n"}, {"engines": {"pnpm": "^10"}}, "pnpm", "pnpm@^10"),
    ],
)
def test_the_manager_follows_from_the_lock_or_from_package_json(tmp_path, files, package, kind, tool):
    manager, _ = choose_manager(tree(tmp_path, **files), package)
    assert (manager.kind, manager.tool) == (kind, tool)


def test_a_yarn_in_the_commit_is_used(tmp_path):
    (tmp_path / "yarn.cjs").write_text("")
    app = tree(
        tmp_path, **{".yarnrc.yml": "nodeLinker: node-modules\nyarnPath: yarn.cjs\n", "yarn.lock": BERRY_LOCK}
    )
    manager, _ = choose_manager(app, {})
    assert (manager.kind, manager.tool, manager.pnp) == ("berry", "", False)


def test_lock_files_of_two_managers_are_refused_unless_package_json_decides(tmp_path):
    app = tree(tmp_path, **{"package-lock.json": "{}", "yarn.lock": ""})
    with pytest.raises(BuildError) as caught:
        choose_manager(app, {})
    assert caught.value.id == "lock_files_conflict"
    manager, warning = choose_manager(app, {"packageManager": "yarn@1.22.22"})
    assert manager.lock == "yarn.lock"
    assert warning == "yarn.lock is used, package-lock.json is not: delete it."


@pytest.mark.parametrize("value", ["bun@1.1.0", "pnpm", "pnpm@latest", "pnpm@9", 9])
def test_a_manager_that_is_none(tmp_path, value):
    with pytest.raises(BuildError, match="packageManager in package.json is"):
        choose_manager(tmp_path, {"packageManager": value})


def test_a_lock_of_another_program_is_told(tmp_path):
    _, warning = choose_manager(tree(tmp_path, **{"bun.lock": ""}), {})
    assert warning.startswith("bun.lock is not read: versions may differ")


@pytest.mark.parametrize(
    ("text", "range_"),
    [
        ("v22.12.0\n", "v22.12.0"),
        ("20", "20"),
        ("lts/hydrogen\n", "18"),
        ("Jod", "22"),
        ("# ours\n22 # current\n", "22"),
    ],
)
def test_nvmrc(text, range_):
    wanted = from_text(text, ".nvmrc")
    assert wanted is not None
    assert wanted.range_ == range_


@pytest.mark.parametrize("text", ["lts/*", "node", "stable", ""])
def test_nvmrc_that_takes_anything(text):
    assert from_text(text, ".nvmrc") is None


def test_engines_come_before_nvmrc(tmp_path):
    app = tree(tmp_path, **{".nvmrc": "18", ".node-version": "16"})
    assert wanted_node(app, {"engines": {"node": ">=20"}}).file == "engines.node in package.json"
    assert wanted_node(app, {"engines": {"npm": "9"}}).range_ == "18"


@pytest.mark.parametrize("range_", ["0.10.x", "^4.2.0", "~6", "v7.10.1"])
def test_what_is_too_old(range_):
    with pytest.raises(BuildError) as caught:
        check_age(WantedNode(range_, range_, "engines.node in package.json"), "debian-13", "20.19.2")
    assert caught.value.id == "node_version_unsupported"
    assert "there is 20.19.2 on stack debian-13" in caught.value.message


@pytest.mark.parametrize(
    ("node", "npm"),
    [
        ("26.1.0", ""),
        ("22.12.0", "npm@10.9.4"),
        ("18.20.8", "npm@10.8.2"),
        ("14.21.3", "npm@8.19.4"),
        ("8.17.0", "npm@6.14.18"),
    ],
)
def test_the_npm_that_runs_on_a_node(node, npm):
    assert npm_for(node) == npm
