"""Who is held back for what it was refused, for how long, and what is told of it."""

from __future__ import annotations

import asyncio

import pytest

from runtime.agent.holding import CORES, FREED, HELD, KEPT_LOOKS, Holding, Refused, decide
from runtime.container.port import Strain
from runtime.model import ContainerSpec, Limits, Rootfs

pytestmark = pytest.mark.unit


class Calls:
    def __init__(self) -> None:
        self.cores: dict[str, float | None] = {}

    async def hold_back(self, container: str, cores: float | None) -> None:
        self.cores[container] = cores


def spec(id: str, cores: float | None = None, bundle: str = "") -> ContainerSpec:
    limits = Limits(cpu_cores=cores)
    return ContainerSpec(
        id=id, owner="app", name="web.1", rootfs=Rootfs(), argv=("x",), limits=limits, bundle=bundle
    )


@pytest.mark.parametrize(
    ("refused", "held"),
    [
        (Refused(forks=199), False),
        (Refused(forks=200), True),
        (Refused(kills=3), False),
        (Refused(kills=4), True),
        (Refused(), False),
    ],
)
def test_only_who_is_refused_much_is_held_back(refused: Refused, held: bool) -> None:
    assert decide({}, {"one": refused}, 2.0) == ({"one": KEPT_LOOKS} if held else {})


def test_one_who_is_held_back_stays_so_until_nothing_was_refused_for_a_while() -> None:
    held = decide({}, {"one": Refused(forks=1000)}, 2.0)
    for _ in range(KEPT_LOOKS - 1):
        held = decide(held, {"one": Refused()}, 2.0)
    assert decide(held, {"one": Refused(forks=1)}, 2.0) == {"one": KEPT_LOOKS}
    assert decide(held, {}, 2.0) == {}


def test_it_is_told_and_put_in_force_and_taken_back_to_its_own_limit() -> None:
    async def life() -> list[dict[str, str]]:
        specs = {
            "bomb": spec("bomb", cores=1.5),
            "calm": spec("calm"),
            "foreign": spec("foreign", bundle="/b"),
        }
        told = []
        for count in (0, 5000, 5001, *[5001] * KEPT_LOOKS):
            told.append(await holding.look([Strain(id="bomb", forks_refused=count)], specs, 2.0))
            limits.append(calls.cores["bomb"])
        return told

    calls, limits = Calls(), list[float | None]()
    holding = Holding(calls)  # type: ignore[arg-type]
    first, began, *between, end = asyncio.run(life())
    assert first == {} and not any(between)
    assert (began, end) == ({"bomb": HELD}, {"bomb": FREED})
    assert "held back to 2% of a processor" in HELD
    assert limits == [1.5, *[CORES] * (KEPT_LOOKS + 1), 1.5]
    assert calls.cores == {"bomb": 1.5, "calm": None}


def test_what_was_refused_before_this_agent_began_does_not_count() -> None:
    async def life() -> list[dict[str, str]]:
        holding, specs = Holding(Calls()), {"busy": spec("busy"), "slept": spec("slept")}  # type: ignore[arg-type]
        busy, slept = (Strain(id=id_, forks_refused=10**6, memory_kills=50) for id_ in specs)
        return [await holding.look(strains, specs, 2.0) for strains in ([busy], [busy, slept], [busy, slept])]

    assert asyncio.run(life()) == [{}, {}, {}]


def test_one_that_is_new_counts_from_its_beginning() -> None:
    async def life() -> dict[str, str]:
        holding = Holding(Calls())  # type: ignore[arg-type]
        await holding.look([], {}, 2.0)
        return await holding.look([Strain(id="new", memory_kills=10)], {"new": spec("new")}, 2.0)

    assert asyncio.run(life()) == {"new": HELD}
