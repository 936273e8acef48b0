"""Images made into stacks: the app's user, and what programs built on them count on."""

from __future__ import annotations

from pathlib import Path

import pytest

from paas.oci.abi import abi, installed, interpreters, system
from paas.oci.errors import ImageError
from paas.oci.flatten import Flattened
from paas.oci.layers import Layer
from paas.oci.stack import add_group, add_user, check, shared_layers

pytestmark = pytest.mark.unit

DEBIAN = (
    'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\nID=debian\n'
)
FORKY = 'PRETTY_NAME="Debian GNU/Linux forky/sid"\nVERSION_CODENAME=forky\nID=debian\n'
STATUS = """\
Package: python3.11
Status: install ok installed
Version: 3.11.2-6+deb12u4
Description: x
 Version: 9.9

Package: nodejs
Status: install ok installed
Version: 18.20.4+dfsg-1~deb12u1

Package: python3.12
Status: deinstall ok config-files
Version: 3.12.1-1

Package: tzdata
Status: install ok installed
Version: 1:2024a-0
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (DEBIAN, "debian 12"),
        (FORKY, "debian forky"),
        ("ID=alpine\nVERSION_ID=3.20.1\n", "alpine 3.20.1"),
        ("ID='unclosed\n", ""),
        ("", ""),
    ],
)
def test_systems(text: str, expected: str) -> None:
    assert system(text) == expected


def test_interpreters_of_a_debian_root() -> None:
    assert installed(STATUS)["nodejs"] == "18.20.4"
    assert "python3.12" not in installed(STATUS)
    assert interpreters({"dpkg": STATUS}, "3.11") == ("3.11.2", "18.20.4")
    assert interpreters({}, "3.12") == ("3.12", "")
    assert interpreters({}, "") == ("", "")


def test_what_slugs_count_on() -> None:
    assert abi("debian 12", "3.11.2", "18.20.4") == {"os": "debian 12", "python": "3.11", "node": "18"}
    assert abi("", "", "") == {"os": "", "python": "", "node": ""}


def test_the_apps_user_is_added_once() -> None:
    root = b"root:x:0:0::/root:/bin/sh"
    assert add_user(root) == root + b"\napp:x:1000:1000:app:/app:/bin/sh\n"
    assert add_user(add_user(root)) == add_user(root)
    assert (
        add_user(b"ubuntu:x:1000:1000::/home/ubuntu:/bin/sh\n")
        == b"ubuntu:x:1000:1000::/home/ubuntu:/bin/sh\n"
    )
    assert add_user(b"app:x:500:500::/:/bin/sh\n").endswith(b"paas-app:x:1000:1000:app:/app:/bin/sh\n")
    assert add_group(b"") == b"app:x:1000:\n"


def layer(name: str) -> Layer:
    return Layer(Path(name), f"sha256:{name}")


def test_a_build_image_on_its_run_image_adds_only_its_own_layers() -> None:
    run = [layer("a"), layer("b")]
    assert shared_layers(run, [*run, layer("c")]) == 2
    assert shared_layers(run, [layer("a"), layer("c")]) == 0
    assert shared_layers(run, [layer("a")]) == 0


def flat(*, shell: bool, python: str) -> Flattened:
    return Flattened(Path("x"), "sha256:x", 1, 1, {}, shell, python, {})


def test_what_nothing_can_be_built_or_run_on() -> None:
    check(flat(shell=True, python=""), flat(shell=True, python="3.12"))
    with pytest.raises(ImageError, match="no /bin/sh"):
        check(flat(shell=False, python="3.12"), None)
    with pytest.raises(ImageError, match="--build"):
        check(flat(shell=True, python=""), None)
