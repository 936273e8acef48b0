"""Which paths a .slugignore takes out."""

import pytest

from paas.slugbuilder.slugignore import parse_slugignore

pytestmark = pytest.mark.unit


def matches(text, path, *, folder=False):
    patterns, _ = parse_slugignore(text)
    return any(pattern.matches(path, folder) for pattern in patterns)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*.psd", "a.psd"),
        ("*.psd", "deep/in/a.psd"),
        ("/doc", "doc"),
        ("doc/notes", "doc/notes"),
        ("doc/*.md", "doc/a.md"),
        ("**/tmp", "a/b/tmp"),
        ("**/tmp", "tmp"),
        ("a/**/b", "a/b"),
        ("a/**/b", "a/x/y/b"),
        ("logs/**", "logs/a/b"),
        ("file?.txt", "file1.txt"),
        ("[ab].txt", "b.txt"),
        ("[!ab].txt", "c.txt"),
        ("\\#odd", "#odd"),
        ("a.b", "a.b"),
        ("trailing   ", "trailing"),
    ],
)
def test_matches(pattern, path):
    assert matches(pattern, path)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/doc", "src/doc"),
        ("doc/notes", "src/doc/notes"),
        ("doc/*.md", "doc/deep/a.md"),
        ("file?.txt", "file12.txt"),
        ("a.b", "axb"),
        ("# comment", "# comment"),
        ("[!ab].txt", "a.txt"),
        ("", "anything"),
        ("/", "anything"),
        ("[z-a]", "b"),
        ("[]", "[]"),
        ("[!]", "!"),
    ],
)
def test_does_not_match(pattern, path):
    assert not matches(pattern, path)


def test_a_trailing_slash_means_folders_only():
    assert matches("build/", "build", folder=True)
    assert not matches("build/", "build")


def test_negation_is_told_and_ignored():
    patterns, negated = parse_slugignore("*.md\r\n!README.md\r\n")
    assert negated == ("!README.md",)
    assert len(patterns) == 1
