"""What runs beside what, and what is said at the end."""

from __future__ import annotations

from tests.levels import LEVELS, Result, Step, plan, report


def names(steps: tuple[Step, ...]) -> list[str]:
    return [step.name for step in steps]


def test_everything_runs_in_two_lanes_and_the_rest_alone() -> None:
    chosen = plan(LEVELS, ())
    first, second = map(names, chosen.lanes)
    assert first == ["ruff check", "ruff format", "mypy", "imports", "integration", "postgresql", "apps"]
    assert second == ["unit", "system", "e2e"]
    assert names(chosen.alone) == ["integration alone", "system alone", "e2e alone"]
    for lane in chosen.lanes:
        for step in lane:
            assert ("not alone" in step.command) is ("pytest" in step.command)


def test_lanes_share_no_port() -> None:
    first, second = ({step.environ["PAAS_TEST_PORTS"] for step in lane} for lane in plan(LEVELS, ()).lanes)
    assert len(first) == len(second) == 1
    assert not first & second


def test_one_level_or_arguments_for_pytest_run_in_order_and_whole() -> None:
    for chosen in (plan(["system", "e2e"], ()), plan(["system", "integration"], ("-k", "x"))):
        (lane,) = chosen.lanes
        assert not chosen.alone
        assert not any("not alone" in step.command for step in lane)
    assert names(lane) == ["integration", "postgresql", "system"]
    assert lane[0].command[-2:] == ("-k", "x")
    assert lane[1].command[0] == "tests/postgres.sh"


def test_the_end_names_what_failed_last() -> None:
    results = [Result("unit", 44.6, failed=False), Result("system", 750, failed=True)]
    lines = report(results, ["FAILED tests/system/test_x.py::test_y: assert 1 == 2"], 812).splitlines()
    assert lines[1:3] == ["unit                 45 s  ok", "system              750 s  failed"]
    assert lines[-2:] == [
        "Failed in 13 min 32 s: system",
        "FAILED tests/system/test_x.py::test_y: assert 1 == 2",
    ]
    assert report(results[:1], [], 60).endswith("All passed in 1 min 0 s.")
