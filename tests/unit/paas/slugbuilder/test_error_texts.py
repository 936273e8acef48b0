"""uv's and npm's failures in plain words."""

import pytest

from paas.slugbuilder.buildpacks.node_errors import explain_node
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
    error = explain_node(text, "npm", "package-lock.json")
    assert error.id == error_id
    assert words in error.message


def test_npm_noise_is_left_out():
    details = explain_node(
        "npm error boom\nnpm error A complete log of this run can be found in: /x", "npm", ""
    ).details
    assert details == ("boom",)


# What the tools printed, cut to the lines that matter.
# ruff: noqa: E501
TOLD = [
    (
        "uv",
        "error: No solution found when resolving dependencies\n  cause: Because the current Python version (3.11.2) does "
        "not satisfy Python>=3.12 and django==6.0 depends on Python>=3.12, we can conclude that django==6.0 cannot be used.",
        "requirements_unresolvable",
        "django==6.0 has no version for Python 3.11.2: it needs Python >=3.12.",
    ),
    (
        "uv",
        "error: No solution found when resolving dependencies\n  cause: Because tensorflow==1.15.0 has no wheels with a "
        "matching Python ABI tag (e.g., `cp311`) and you require tensorflow==1.15, we can conclude that your requirements "
        "are unsatisfiable.\n\nhint: You require CPython 3.11 (`cp311`), but we only found wheels for `tensorflow`",
        "requirements_unresolvable",
        "tensorflow==1.15.0 has no version for Python 3.11, and cannot be built from source.",
    ),
    (
        "uv",
        "error: No solution found when resolving dependencies\n  cause: Because pywin32==306 has no wheels with a matching "
        "platform tag (e.g., `manylinux_2_36_x86_64`) and you require pywin32==306, we can conclude",
        "requirements_unresolvable",
        "pywin32==306 is not made for Linux.",
    ),
    (
        "uv",
        "error: Failed to download `itsdangerous==2.2.0`\n  cause: Hash mismatch for `itsdangerous==2.2.0`\n\n Expected:",
        "hash_mismatch",
        "itsdangerous==2.2.0 is not the file that requirements.txt names: its hash differs.",
    ),
    (
        "uv",
        "error: Error parsing included file in `requirements.txt` at position 0\n  cause: failed to read from file "
        "`/app/base.txt`: No such file or directory (os error 2)",
        "requirements_invalid",
        "requirements.txt includes base.txt, which is not in the commit.",
    ),
    (
        "uv",
        "error: Distribution not found at: file:///app/libs/rules",
        "requirements_invalid",
        "requirements.txt names libs/rules, which is not in the commit.",
    ),
    (
        "uv",
        "error: Git operation failed\n  cause: failed to clone into: /cache/uv/git-v2/db/e",
        "repository_unreachable",
        "A git repository that requirements.txt names could not be fetched.",
    ),
    (
        "uv",
        "hint: An index URL (http://inner.test:8999/simple) could not be queried due to a lack of valid authentication "
        "credentials (401 Unauthorized)",
        "registry_refused",
        "inner.test:8999 refused the packages (401): the credentials are missing or wrong.",
    ),
    (
        "uv",
        "error: Request failed after 3 retries in 10.2s\n  cause: Failed to fetch: https://packages.invalid/simple/flask/",
        "registry_unreachable",
        "The package registry packages.invalid could not be reached.",
    ),
    (
        "uv",
        "error: The requested interpreter resolved to Python 3.11.2, which is incompatible with the project's Python "
        "requirement: `>=3.12` (from `project.requires-python`)",
        "python_version_unsupported",
        "The project asks for Python >=3.12, the build has 3.11.2.",
    ),
    (
        "uv",
        "error: Failed to build `kdtree @ file:///app/kdtree`\n  cause: The build backend returned an error\n"
        "   kdtree.c:2:10: fatal error: nowhere/kdtree.h: No such file or directory",
        "package_build_failed",
        "kdtree could not be built: the header nowhere/kdtree.h is not in the stack.",
    ),
    (
        "uv",
        "error: Failed to build `sklearn==0.0.post12`\n  The 'sklearn' PyPI package is deprecated, use 'scikit-learn'",
        "requirements_invalid",
        "The package is called scikit-learn; sklearn is no package.",
    ),
    (
        "yarn",
        "error Your lockfile needs to be updated, but yarn was run with `--frozen-lockfile`.",
        "lock_outdated",
        "yarn.lock does not match package.json.",
    ),
    (
        "yarn",
        'error Couldn\'t find package "nosuch-xyz" on the "npm" registry.',
        "requirements_unresolvable",
        "nosuch-xyz is not in the npm registry.",
    ),
    (
        "yarn",
        'error Couldn\'t find any versions for "ms" that matches "99.1.3"',
        "requirements_unresolvable",
        "There is no version ms 99.1.3 in the npm registry.",
    ),
    (
        "yarn",
        'error x@1.0.0: The engine "node" is incompatible with this module. Expected version "12". Got "20.20.2"',
        "node_version_unsupported",
        "A package does not run on this version of Node.js.",
    ),
    (
        "yarn",
        "\u27a4 YN0028: \u2502 The lockfile would have been modified by this install, which is explicitly forbidden.",
        "lock_outdated",
        "yarn.lock does not match package.json.",
    ),
    (
        "yarn",
        "\u27a4 YN0035: \u2502 nosuch-xyz@npm:1: Package not found\n\u27a4 YN0035: \u2502   Response Code: 404 (Not Found)",
        "requirements_unresolvable",
        "nosuch-xyz is not in the npm registry.",
    ),
    (
        "yarn",
        "\u27a4 YN0082: \u2502 ms@npm:99.1.3: No candidates found",
        "requirements_unresolvable",
        "There is no version ms 99.1.3 in the npm registry.",
    ),
    (
        "pnpm",
        ' ERR_PNPM_OUTDATED_LOCKFILE  Cannot install with "frozen-lockfile" because pnpm-lock.yaml is not up to date',
        "lock_outdated",
        "pnpm-lock.yaml does not match package.json.",
    ),
    (
        "pnpm",
        " ERR_PNPM_FETCH_404  GET https://npm.test/nosuch-xyz: Not Found - 404\n\nThis error happened\n\n"
        "nosuch-xyz is not in the npm registry, or you have no permission to fetch it.",
        "requirements_unresolvable",
        "nosuch-xyz is not in the npm registry.",
    ),
    (
        "pnpm",
        " ERR_PNPM_NO_MATCHING_VERSION  No matching version found for ms@99.1.3\n\nThis error",
        "requirements_unresolvable",
        "There is no version ms@99.1.3 in the npm registry.",
    ),
    (
        "npm",
        "npm error code EINTEGRITY\nnpm error Integrity checksum failed when using sha512: wanted sha512-7F but got sha512-6F",
        "hash_mismatch",
        "A package is not the file that package-lock.json names: its hash differs.",
    ),
    (
        "npm",
        "npm error ../x.c:1:10: fatal error: nowhere.h: No such file or directory\nnpm error gyp ERR! build error",
        "package_build_failed",
        "A native module could not be compiled: the header nowhere.h is not in the stack.",
    ),
    (
        "npm",
        "npm error code 128\nnpm error An unknown git error occurred\nnpm error fatal: unable to access 'https://forge.test/'",
        "repository_unreachable",
        "A git repository among the dependencies could not be fetched.",
    ),
    (
        "npm",
        "npm error code ERESOLVE\nnpm error ERESOLVE unable to resolve dependency tree",
        "requirements_unresolvable",
        "npm cannot resolve the dependencies: packages want different versions of another.",
    ),
    (
        "npm",
        "npm error code E401\nnpm error Incorrect or missing password.",
        "registry_refused",
        "The npm registry refused a package: the token is missing, wrong, or may not read it.",
    ),
]
LOCK_OF = {"npm": "package-lock.json", "yarn": "yarn.lock", "pnpm": "pnpm-lock.yaml"}


@pytest.mark.parametrize(
    ("tool", "text", "error_id", "message"), TOLD, ids=[message[:40] for *_, message in TOLD]
)
def test_the_common_failures(tool, text, error_id, message):
    error = explain_uv(text, "requirements.txt") if tool == "uv" else explain_node(text, tool, LOCK_OF[tool])
    assert (error.id, error.message) == (error_id, message)
    assert error.hint.endswith((".", "`", "…"))
