"""What go.mod says, and which Go fits."""

import pytest

from paas.slugbuilder.buildpacks.go import linker, web_program
from paas.slugbuilder.buildpacks.go_errors import explain_go
from paas.slugbuilder.errors import BuildError
from paas.slugbuilder.go_module import check_version, parse_go_mod

pytestmark = pytest.mark.unit


def test_directives_come_before_the_go_line():
    text = "// +heroku goVersion go1.21\n// +heroku install ./cmd/... ./tools/x\nmodule a.example/b/v3\n\ngo 1.18\n"
    module = parse_go_mod(text)
    assert (module.name, module.wanted, module.install) == ("b", "go1.21", ("./cmd/...", "./tools/x"))
    assert parse_go_mod('module "x"\n').wanted == ""


@pytest.mark.parametrize(
    ("text", "have", "error"),
    [
        ("module x\ngo 1.22\n", "1.24.4", ""),
        ("module x\ngo 1.24.9\n", "1.24.4", ""),
        ("module x\ngo 1.25\n", "1.24.4", "go_version_unsupported"),
        ("module x\n// +heroku goVersion stable\n", "1.24.4", "go_version_invalid"),
    ],
)
def test_versions(text, have, error):
    if not error:
        return check_version(parse_go_mod(text), have, "debian-13")
    with pytest.raises(BuildError) as caught:
        check_version(parse_go_mod(text), have, "debian-13")
    assert caught.value.id == error
    return None


def test_go_mod_without_a_module_is_refused():
    with pytest.raises(BuildError) as caught:
        parse_go_mod("go 1.22\n")
    assert caught.value.id == "go_mod_invalid"


@pytest.mark.parametrize(
    ("programs", "web"),
    [(["any"], "any"), (["clock", "shop"], "shop"), (["clock", "web"], "web"), (["clock", "seed"], "")],
)
def test_web_program(programs, web):
    assert web_program(programs, parse_go_mod("module a.example/shop/v2\n")) == web


def test_linked_symbol():
    assert linker({"GO_LINKER_SYMBOL": "main.v", "SOURCE_VERSION": "abc"}) == ["-ldflags", "-X 'main.v=abc'"]
    assert linker({}) == []


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (
            "go: inconsistent vendoring in /app:\n\tx@v1: is explicitly required in go.mod",
            "go_vendor_outdated",
        ),
        ("main.go:3:8: missing go.sum entry for module providing package x", "lock_outdated"),
        (
            'go: x@v1: Get "https://proxy.golang.org/x": dial tcp: lookup proxy.golang.org: no such host',
            "registry_unreachable",
        ),
        (
            "go: example.com/x@v1.2.0 requires go >= 1.25.0 (running go 1.24.4; GOTOOLCHAIN=local)",
            "go_version_unsupported",
        ),
        ("main.go:4:2: cannot lookup user", "go_build_failed"),
        ("verifying x@v1: checksum mismatch", "hash_mismatch"),
        ("go: x@v9: reading https://p/x/@v/v9.info: 404 Not Found", "requirements_unresolvable"),
        ("compile: signal: killed", "build_memory"),
        ("./main.go:4:2: undefined: y", "go_build_failed"),
    ],
)
def test_errors(said, error):
    assert explain_go(said, False).id == error
