"""What runs beside what, and what is said at the end."""

from __future__ import annotations

from tests.levels import LEVELS, PORTS, Result, Step, plan, report


def names(steps: tuple[Step, ...]) -> list[str]:
    return [step.name for step in steps]


def test_everything_runs_two_at_a_time_and_the_rest_alone() -> None:
    chosen = plan(LEVELS, ())
    assert chosen.lanes == len(PORTS) == 2
    checks = ["ruff check", "ruff format", "mypy", "imports", "unit"]
    assert names(chosen.steps) == [*checks, "e2e", "system", "integration", "postgresql", "apps"]
    assert names(chosen.alone) == [
        f"{name} alone" for name in ("unit", "integration", "postgresql", "system", "e2e", "apps")
    ]
    for step in chosen.steps:
        assert ("not alone" in step.command) is ("pytest" in step.command)


def test_one_level_or_arguments_for_pytest_run_in_order_and_whole() -> None:
    for chosen in (plan(["integration"], ()), plan(["system", "integration"], ("-k", "x"))):
        assert chosen.lanes == 1
        assert not chosen.alone
        assert not any("not alone" in step.command for step in chosen.steps)
    assert names(chosen.steps) == ["integration", "postgresql", "system"]
    assert chosen.steps[0].command[-2:] == ("-k", "x")
    assert chosen.steps[1].command[0] == "tests/postgres.sh"


def test_the_end_names_what_failed_last() -> None:
    results = [Result("unit", 44.6, failed=False), Result("system", 750, failed=True)]
    lines = report(results, ["FAILED tests/system/test_x.py::test_y: assert 1 == 2"], 812).splitlines()
    assert lines[1:3] == ["unit                 45 s  ok", "system              750 s  failed"]
    assert lines[-2:] == [
        "Failed in 13 min 32 s: system",
        "FAILED tests/system/test_x.py::test_y: assert 1 == 2",
    ]
    assert report(results[:1], [], 60).endswith("All passed in 1 min 0 s.")
