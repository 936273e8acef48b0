"""What every implementation of the port `Engine` does: the promises the agent builds on.

Another implementation takes part by overriding the fixture `engine` and the names of its programs.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from runtime.container.port import Engine, EngineError
from runtime.model import ContainerSpec, ExitReason, Limits, Rootfs
from tests.system.runtime.conftest import Host

pytestmark = pytest.mark.system

FOREVER = ("/bin/sleep", "600")
AT_ONCE = ("/bin/true",)
FAILING = ("/bin/false",)
MIB = 1024**2


def spec(name: str, argv: tuple[str, ...] = FOREVER) -> ContainerSpec:
    return ContainerSpec(id=name, owner="app-1", name="web.1", rootfs=Rootfs(host=True), argv=argv)


@pytest.fixture(scope="module", params=["crun", "runc"])
def opened(open_host: Callable[..., Host], request: pytest.FixtureRequest) -> Engine:
    return open_host(runtime=request.param).engine


@pytest.fixture
def engine(opened: Engine) -> Iterator[Engine]:
    yield opened
    for observed in opened.list():
        opened.delete(observed.id)
    assert opened.list() == ()


def test_open_is_repeatable(engine: Engine) -> None:
    engine.create(spec("a"))
    engine.open()
    assert [observed.id for observed in engine.list()] == ["a"]


def test_a_created_container_waits_for_start(engine: Engine) -> None:
    created = engine.create(spec("a", AT_ONCE))
    assert created.id == "a"
    assert created.pid > 0
    assert created.address
    assert engine.wait("a", 0.2) is None
    (observed,) = engine.list()
    assert (observed.running, observed.started_at, observed.address) == (True, None, created.address)
    engine.start("a")
    ended = engine.wait("a", 20)
    assert ended is not None
    assert (ended.reason, ended.code) == (ExitReason.EXITED, 0)


def test_creating_again_returns_the_same(engine: Engine) -> None:
    assert engine.create(spec("a")) == engine.create(spec("a"))
    assert len(engine.list()) == 1


def test_starting_again_is_a_no_op(engine: Engine) -> None:
    engine.create(spec("a", FAILING))
    engine.start("a")
    engine.start("a")
    ended = engine.wait("a", 20)
    engine.start("a")
    assert ended is not None
    assert ended.code == 1
    assert engine.wait("a", 0) == ended


def test_an_ended_container_stays_listed_until_deleted(engine: Engine) -> None:
    engine.create(spec("a", FAILING))
    engine.start("a")
    ended = engine.wait("a", 20)
    (observed,) = engine.list()
    assert (observed.id, observed.owner, observed.name) == ("a", "app-1", "web.1")
    assert (observed.running, observed.pid, observed.exit) == (False, 0, ended)
    engine.delete("a")
    assert engine.list() == ()
    engine.delete("a")


def test_kill(engine: Engine) -> None:
    for name, number in (("a", signal.SIGTERM), ("b", signal.SIGKILL)):
        engine.create(spec(name))
        engine.start(name)
        engine.kill(name, number)
        ended = engine.wait(name, 20)
        assert ended is not None
        assert (ended.reason, ended.signal, ended.code) == (ExitReason.SIGNALED, number, 128 + number)
        engine.kill(name, number)


def test_a_container_can_be_killed_before_it_starts(engine: Engine) -> None:
    engine.create(spec("a"))
    engine.kill("a", signal.SIGTERM)
    assert engine.wait("a", 20) is not None
    engine.start("a")
    assert not engine.list()[0].running


def test_what_does_not_exist(engine: Engine) -> None:
    engine.kill("none", signal.SIGTERM)
    engine.delete("none")
    engine.reopen_log("none")
    assert engine.usage("none") is None
    for call in (
        engine.start,
        lambda name: engine.wait(name, 0),
        lambda name: engine.read_file(name, "/x", 1),
    ):
        with pytest.raises(EngineError, match="none"):
            call("none")


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "x" * 64, "a b"])
def test_ids_that_could_be_paths_are_refused(engine: Engine, name: str) -> None:
    with pytest.raises(EngineError, match="container id"):
        engine.create(spec(name))


def test_deleting_a_running_container_ends_it(engine: Engine) -> None:
    engine.create(spec("a"))
    engine.start("a")
    engine.delete("a")
    assert engine.list() == ()
    assert engine.create(spec("a", AT_ONCE)).id == "a"


def test_calls_from_many_threads(engine: Engine) -> None:
    """The same container made, started, killed and deleted by several threads at once ends up gone."""
    errors: list[BaseException] = []

    def work() -> None:
        try:
            for call in (
                lambda: engine.create(spec("a")),
                lambda: engine.start("a"),
                lambda: engine.kill("a", 9),
            ):
                try:
                    call()
                except EngineError as error:
                    if "does not exist" not in str(error):
                        raise
            engine.delete("a")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert engine.list() == ()


def test_another_container_is_waited_for_independently(engine: Engine) -> None:
    for name, argv in (("a", FOREVER), ("b", AT_ONCE)):
        engine.create(spec(name, argv))
        engine.start(name)
    waiting = threading.Thread(target=engine.wait, args=("a", 5))
    waiting.start()
    assert engine.wait("b", 20) is not None
    engine.kill("a", 9)
    waiting.join()


def test_limits_change_while_it_runs(engine: Engine) -> None:
    engine.create(spec("a"))
    engine.start("a")
    engine.update("a", Limits(memory_bytes=96 * MIB, cpu_shares=512, cpu_cores=0.5, pids=33))
    usage = engine.usage("a")
    assert usage is not None
    assert usage.memory_limit_bytes == 96 * MIB
    engine.kill("a", signal.SIGKILL)
    assert engine.wait("a", 20) is not None
    for container in ("a", "none"):
        with pytest.raises(EngineError, match=container):
            engine.update(container, Limits())
