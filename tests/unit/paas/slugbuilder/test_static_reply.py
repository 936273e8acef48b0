"""What the small static server answers."""

from pathlib import Path

import pytest

from paas.slugbuilder.static_reply import (
    Request,
    Served,
    find,
    local_path,
    parse_request,
    redirect,
    reply_to_file,
)

pytestmark = pytest.mark.unit

CSS = Served(Path("/x/style.css"), 5000, 0, "abc")
PNG = Served(Path("/x/a.png"), 5000, 0, "abc")


def get(**headers):
    return Request("GET", "/", {name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/", ""),
        ("/a/b.css?x=1", "a/b.css"),
        ("/a%20b", "a b"),
        ("/a/", "a/"),
        ("//a", "a"),
        ("/.well-known/x", ".well-known/x"),
    ],
)
def test_clean_paths(target, path):
    assert local_path(target) == path


@pytest.mark.parametrize(
    "target",
    [
        "/../a",
        "/%2e%2e/a",
        "/a/..%2f..",
        "/.git/config",
        "/.paas/launch",
        "/a\0b%00",
        "a",
        "/Procfile",
        "/%2eenv",
    ],
)
def test_hidden_and_hostile_paths(target):
    assert local_path(target) is None


def test_etag_decides_and_times_of_zero_do_not():
    assert reply_to_file(get(if_none_match='"abc"'), PNG).status == 304
    assert reply_to_file(get(if_none_match='W/"abc", "x"'), PNG).status == 304
    assert reply_to_file(get(if_none_match='"old"'), PNG).status == 200
    assert reply_to_file(get(if_modified_since="Thu, 01 Jan 2026 00:00:00 GMT"), PNG).status == 200
    assert "Last-Modified" not in dict(reply_to_file(get(), PNG).headers)


@pytest.mark.parametrize(
    ("value", "start", "length"),
    [("bytes=0-3", 0, 4), ("bytes=-10", 4990, 10), ("bytes=4999-", 4999, 1), ("bytes=10-99999", 10, 4990)],
)
def test_ranges(value, start, length):
    reply = reply_to_file(get(range=value), PNG)
    assert (reply.status, reply.start, reply.length) == (206, start, length)
    assert dict(reply.headers)["Content-Range"] == f"bytes {start}-{start + length - 1}/5000"


def test_ranges_that_do_not_apply():
    assert reply_to_file(get(range="bytes=5000-"), PNG).status == 416
    assert reply_to_file(get(range="bytes=0-1,5-6"), PNG).status == 200
    assert reply_to_file(get(range="lines=1-2"), PNG).status == 200
    assert reply_to_file(get(range="bytes=5-1"), PNG).status == 200
    assert reply_to_file(get(range="bytes=0-3", if_range='"old"'), PNG).status == 200


def test_gzip_for_text_when_asked():
    reply = reply_to_file(get(accept_encoding="br, gzip;q=0.5"), CSS)
    assert reply.gzip
    assert dict(reply.headers)["Content-Encoding"] == "gzip"
    assert dict(reply.headers)["Vary"] == "Accept-Encoding"
    assert not reply_to_file(get(accept_encoding="gzip;q=0"), CSS).gzip
    assert not reply_to_file(get(accept_encoding="gzip"), PNG).gzip


@pytest.mark.parametrize(
    "head",
    [b"GET /", b"GET / HTTP/2.0", b"GET / HTTP/1.1\r\nbroken", b"\x16\x03\x01", b"GET / HTTP/1.1\r\nA : b"],
)
def test_no_http(head):
    assert parse_request(head) is None


def test_request_headers_are_case_blind():
    request = parse_request(b"HEAD /x HTTP/1.1\r\nIf-None-Match: a\r\nIF-NONE-MATCH: b")
    assert request == Request("HEAD", "/x", {"if-none-match": "a, b"})


def test_find(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "index.html").write_text("x")
    assert find(tmp_path, "d") == "/d/"
    assert find(tmp_path, "d/").path.name == "index.html"
    assert find(tmp_path, "d/index.html/") is None
    assert find(tmp_path, "nothing") is None
    assert find(tmp_path, "") is None


def test_a_redirect_never_leaves_the_host():
    reply = redirect("/evil.com/", "//evil.com?a=b")
    assert dict(reply.headers)["Location"] == "/evil.com/?a=b"
