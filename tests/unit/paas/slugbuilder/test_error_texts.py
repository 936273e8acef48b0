"""uv's and npm's failures in plain words."""

import pytest

from paas.slugbuilder.buildpacks.node_packages import explain_npm
from paas.slugbuilder.buildpacks.python_errors import explain_uv

pytestmark = pytest.mark.unit

NEW = """Using Python 3.13.5 environment at: .venv
error: No solution found when resolving dependencies
  cause: Because nosuchpackage-xyz was not found in the package registry and you require nosuchpackage-xyz==9, we can
         conclude that your requirements are unsatisfiable.
"""
OLD = """  × No solution found when resolving dependencies:
  ╰─▶ Because there is no version of flask==99.1 and you require flask==99.1,
      we can conclude that your requirements are unsatisfiable.
"""


def test_an_unknown_package():
    error = explain_uv(NEW, "requirements.txt")
    assert error.id == "requirements_unresolvable"
    assert error.message == "The dependencies in requirements.txt cannot be resolved."
    assert " ".join(error.details) == (
        "Nosuchpackage-xyz was not found in the package registry and you require nosuchpackage-xyz==9."
    )


def test_an_unknown_version_in_the_boxed_form():
    error = explain_uv(OLD, "requirements.txt")
    assert " ".join(error.details) == "There is no version of flask==99.1 and you require flask==99.1."


def test_a_package_that_does_not_build():
    text = (
        "error: Failed to build `mysqlclient==2.2.4`\n  cause: x\n"
        "    Exception: Can not find valid pkg-config name.\n\nhint: y"
    )
    error = explain_uv(text, "requirements.txt")
    assert (error.id, error.message) == ("package_build_failed", "mysqlclient==2.2.4 could not be built.")
    assert error.details[-1] == "Exception: Can not find valid pkg-config name."


@pytest.mark.parametrize(
    ("text", "error_id"),
    [
        (
            "error: Couldn't parse requirement in `r.txt` at position 0\n  cause: no such operator",
            "requirements_invalid",
        ),
        ("error: Failed to fetch: `x`\n  cause: error sending request for url", "registry_unreachable"),
        (
            "error: The lockfile at `uv.lock` needs to be updated, but `--locked` was provided.",
            "lock_outdated",
        ),
        ("error: failed to write: No space left on device (os error 28)", "build_disk_full"),
        ("error: something else", "install_failed"),
    ],
)
def test_uv(text, error_id):
    assert explain_uv(text, "requirements.txt").id == error_id


@pytest.mark.parametrize(
    ("text", "error_id", "words"),
    [
        (
            "npm error code ETARGET\nnpm error notarget No matching version found for express@99.9.9.",
            "requirements_unresolvable",
            "express@99.9.9",
        ),
        (
            "npm error code E404\nnpm error 404  'nosuch-xyz@1' is not in this registry.",
            "requirements_unresolvable",
            "nosuch-xyz@1",
        ),
        (
            "npm error code EUSAGE\nnpm error `npm ci` can only install packages when your package.json and "
            "package-lock.json or npm-shrinkwrap.json are in sync.",
            "lock_outdated",
            "does not match",
        ),
        ("npm error code ENOTFOUND", "registry_unreachable", "registry"),
        ("npm error boom", "install_failed", "npm"),
    ],
)  # fmt: skip
def test_npm(text, error_id, words):
    error = explain_npm(text)
    assert error.id == error_id
    assert words in error.message


def test_npm_noise_is_left_out():
    details = explain_npm("npm error boom\nnpm error A complete log of this run can be found in: /x").details
    assert details == ("boom",)
