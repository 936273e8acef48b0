"""Many threads that decode a Struct for the first time at once: the plain call of msgspec ends the process."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import msgspec
import pytest

from runtime import shapes

pytestmark = pytest.mark.unit

THREADS = 4
DATA = b'{"number": 1, "leaves": [{"word": "x", "deep": [{"many": {"a": 1}}]}], "one": {"many": {}}}'


class Deep(msgspec.Struct):
    many: dict[str, int] = {}


class Leaf(msgspec.Struct):
    word: str = ""
    deep: tuple[Deep, ...] = ()


class Tree(msgspec.Struct):
    number: int = 0
    leaves: tuple[Leaf, ...] = ()
    one: Deep | None = None


def fresh(name: str, *fields: tuple[str, object]) -> type[msgspec.Struct]:
    return msgspec.defstruct(name, list(fields))


def fresh_tree() -> type[msgspec.Struct]:
    """Three types that nobody has decoded yet."""
    deep = fresh("Deep", ("many", dict[str, int]))
    leaf = fresh("Leaf", ("word", str), ("deep", tuple[deep, ...]))
    return fresh("Tree", ("number", int), ("leaves", tuple[leaf, ...]), ("one", deep))


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads take turns at almost every instruction."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_the_first_decoding_by_many_threads(hasty: None) -> None:
    for _ in range(50):
        tree, barrier = fresh_tree(), threading.Barrier(THREADS)
        read: list[msgspec.Struct] = []

        def go(tree=tree, barrier=barrier, read=read) -> None:
            barrier.wait(10)
            read.append(shapes.decode(DATA, tree))
            read.append(shapes.convert(msgspec.json.decode(DATA), tree))

        threads = [threading.Thread(target=go) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert len(read) == 2 * THREADS
        assert all(one == read[0] for one in read)


def test_what_is_wrong_is_named() -> None:
    assert shapes.decode(DATA, Tree).leaves[0].deep[0].many == {"a": 1}
    with pytest.raises(ValueError, match=r"Expected `str`, got `int` - at `\$\.leaves\[0\]\.word`"):
        shapes.decode(b'{"leaves": [{"word": 1}]}', Tree)
    with pytest.raises(ValueError, match=r"\$\.number"):
        shapes.convert({"number": "x"}, Tree)
