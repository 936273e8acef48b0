"""Lines and bodies. In: texts, gzip, clone requests.  Out: clean lines, bounded pieces, the right choice."""

from __future__ import annotations

import gzip
import io

import pytest
from dulwich.protocol import pkt_line

from paas.controller.git.body import Body, BodyBroken
from paas.controller.git.limits import Limits, size
from paas.controller.git.objects import PackRefused
from paas.controller.git.upload import is_plain_clone
from paas.controller.git.wire import clean_line, remote_line

pytestmark = pytest.mark.unit
A, B = b"a" * 40, b"b" * 40
DONE = b"0009done\n"


def body(data: bytes, **environ: object) -> Body:
    return Body({"wsgi.input": io.BytesIO(data), "wsgi.input_terminated": True, **environ}, Limits())


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert clean_line("ok \x1b[31mred\x07\r\nnext\x9b1m\tx") == "ok [31mred next1m\tx"
    assert remote_line("hi") == b"0008\x02hi\n"


def test_sizes_in_words() -> None:
    assert [size(n) for n in (12, 4096, 512 << 20, 3 << 29)] == ["12 bytes", "4 KB", "512 MB", "1.5 GB"]


def test_a_gzip_bomb_comes_in_pieces() -> None:
    found = body(gzip.compress(bytes(50 << 20)), HTTP_CONTENT_ENCODING="gzip")
    assert len(found.recv(65536)) <= 65536


def test_gzip_bodies() -> None:
    data = bytes(range(256)) * 999
    found = body(gzip.compress(data), HTTP_CONTENT_ENCODING="gzip")
    assert b"".join(iter(lambda: found.recv(1000), b"")) == data
    with pytest.raises(BodyBroken):
        cut = body(gzip.compress(data)[:100], HTTP_CONTENT_ENCODING="gzip")
        while cut.recv(1000):
            pass
    with pytest.raises(PackRefused):
        body(b"no gzip", HTTP_CONTENT_ENCODING="gzip").recv(10)


def test_a_body_shorter_than_it_said() -> None:
    short = Body({"wsgi.input": io.BytesIO(b"abc"), "CONTENT_LENGTH": "5"}, Limits())
    assert short.recv(10) == b"abc"
    with pytest.raises(BodyBroken):
        short.recv(10)


def request(
    *wants: bytes, caps: bytes = b"side-band-64k ofs-delta", extra: bytes = b"", end: bytes = b"0009done\n"
) -> bytes:
    lines = [b"want " + want for want in wants]
    lines[0] += b" " + caps
    return b"".join(pkt_line(line + b"\n") for line in lines) + extra + b"0000" + end


def test_only_plain_clones_get_the_pack_as_it_is() -> None:
    tips = {A, B}
    assert is_plain_clone(request(A, B), tips)
    assert not is_plain_clone(request(A), tips)
    assert not is_plain_clone(request(A, B, b"c" * 40), tips)
    assert not is_plain_clone(request(A, B, extra=pkt_line(b"deepen 1\n")), tips)
    assert not is_plain_clone(request(A, B, extra=pkt_line(b"filter blob:none\n")), tips)
    assert not is_plain_clone(request(A, B, end=pkt_line(b"have " + A) + b"0009done\n"), tips)
    assert not is_plain_clone(request(A, B, caps=b"ofs-delta"), tips)
    assert not is_plain_clone(b"0000", tips)
    assert not is_plain_clone(b"junk", tips)
