"""Detection: the first group of buildpacks that fits the app.

In: groups, the app's tree, an environment per buildpack.  Out: the buildpacks that take part and their plan, or a
BuildError with each one's reason. bin/detect: 0 passes, 100 does not fit, anything else is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import BuildError
from ..heroku.programs import SHORT_SECONDS, TookTooLong, ask
from ..workspace import Workspace
from .descriptor import Pack, Place, unfit
from .order import Group
from .plan import Need, Section, agree, parse_sections
from .tables import read_table

FITS_NOT = 100
MOST_PACKS = 20  # as the controller takes them in a result
SHOWN = 6  # last lines of what a buildpack says


@dataclass(frozen=True)
class Answer:
    """What one buildpack said; `reason` is '' when it passed."""

    reason: str = ""
    told: tuple[str, ...] = ()
    sections: tuple[Section, ...] = (Section(),)


@dataclass(frozen=True)
class Detected:
    packs: tuple[Pack, ...]
    needs: tuple[Need, ...]


def detect(groups: Sequence[Group], ask_one: Callable[[Pack], Answer], work: Workspace) -> Detected:
    """Each buildpack is asked once, however many groups name it."""
    answers: dict[Pack, Answer] = {}
    reasons: list[str] = []
    for number, group in enumerate(groups, 1):
        for member in group:
            if member.pack not in answers:
                answers[member.pack] = ask_one(member.pack)
        found, why = _agreed(group, answers)
        if found is not None:
            _check_number(found)
            _tell(group, answers, found, work)
            return found
        reasons += [f"Group {number}: {line}" for line in why] if len(groups) > 1 else why
    message = "None of the Cloud Native Buildpacks fits this app."
    if any(len(group) > 1 for group in groups):
        message = "No group of Cloud Native Buildpacks fits this app."
    hint = "Add the files that they look for, or choose others with `paas buildpacks:set` or in project.toml."
    raise BuildError("cnb_detect_failed", message, details=tuple(dict.fromkeys(reasons)), hint=hint)


def _check_number(found: Detected) -> None:
    if len(found.packs) > MOST_PACKS:
        number = len(found.packs)
        message = f"{number} Cloud Native Buildpacks take part, and {MOST_PACKS} at most can build an app."
        hint = "Choose fewer with `paas buildpacks:set`, or in the order or project.toml that names them."
        raise BuildError("cnb_invalid", message, hint=hint)


def _agreed(group: Group, answers: Mapping[Pack, Answer]) -> tuple[Detected | None, list[str]]:
    refused = [
        line
        for member in group
        if answers[member.pack].reason
        for line in _because(member.pack, answers[member.pack])
    ]
    passed = [member for member in group if not answers[member.pack].reason]
    if not passed or any(answers[one.pack].reason and not one.optional for one in group):
        return None, refused
    options = [(one.pack.descriptor.id, one.optional, answers[one.pack].sections) for one in passed]
    agreed, why = agree(options)
    if agreed is None:
        return None, [*refused, *why]
    packs = tuple(one.pack for one in passed if one.pack.descriptor.id in agreed.ids)
    return Detected(packs, agreed.needs), []


def _because(pack: Pack, answer: Answer) -> list[str]:
    return [f"{pack.descriptor.label}: {answer.reason}", *(f"    {line}" for line in answer.told)]


def _tell(group: Group, answers: Mapping[Pack, Answer], found: Detected, work: Workspace) -> None:
    for member in group:
        taken = member.pack in found.packs
        why = answers[member.pack].reason or "its dependencies are not needed or not there"
        work.output.info(f"{member.pack.descriptor.label}{'' if taken else f': left out, {why}'}")


def ask_pack(
    pack: Pack,
    place: Place,
    platform: Path,
    env: Mapping[str, str],
    work: Workspace,
    seconds: float = SHORT_SECONDS,
) -> Answer:
    """Run one bin/detect. `env` is its own already."""
    why = unfit(pack.descriptor, place)
    if why:
        return Answer(why)
    program = pack.root / "bin" / "detect"
    plan = work.scratch / "cnb" / "plans" / f"{pack.descriptor.folder}.toml"
    plan.parent.mkdir(parents=True, exist_ok=True)
    plan.write_bytes(b"")
    variables = {**env, "CNB_PLATFORM_DIR": str(platform), "CNB_BUILD_PLAN_PATH": str(plan)}
    try:
        code, said, told = ask([str(program), str(platform), str(plan)], work, variables, seconds)
    except TookTooLong as error:
        how = f"bin/detect took longer than {seconds:.0f} seconds and was stopped"
        message = f"The Cloud Native Buildpack {pack.descriptor.label} failed: {how}."
        raise BuildError("cnb_detect_failed", message) from error
    lines = tuple(line for line in (said + told).splitlines() if line.strip())[-SHOWN:]
    if code == FITS_NOT:
        return Answer("does not fit (bin/detect ended with 100)", lines)
    if code:
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return Answer(f"failed (bin/detect {how})", lines)
    table = read_table(plan, f"the build plan of {pack.descriptor.label}")
    return Answer(sections=parse_sections(table))
