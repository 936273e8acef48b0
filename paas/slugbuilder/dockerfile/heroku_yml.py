"""heroku.yml: which Dockerfiles make which process types.

In: the file's text.  Out: a `Plan`; ValueError in words for whoever wrote it. Pure. Runs in the platform.
Format: devcenter.heroku.com/articles/build-docker-images-heroku-yml: setup, build, release, run.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import Any, cast

import yaml

from .plan import Plan, Process, Target

FILE = "heroku.yml"
SECTIONS = ("setup", "build", "release", "run")
TYPE = re.compile(r"[A-Za-z0-9_-]{1,63}")
MOST_TYPES = 20
RELEASE = "release"


class _Loader(yaml.SafeLoader):
    """YAML without aliases: with them a few lines name more than memory holds."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            alias = cast(yaml.AliasEvent, self.get_event())  # type: ignore[no-untyped-call]
            problem = f"the alias *{alias.anchor} is not read here, write out what it stands for"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=cast(yaml.Mark, alias.start_mark))
        return super().compose_node(parent, index)


def parse_heroku_yml(text: str) -> Plan | None:
    """Return what is to be built; None when the file names no Dockerfile, so that it decides nothing here."""
    sections = _table(_read(text) or {}, "heroku.yml")
    unknown = sorted(set(map(str, sections)) - set(SECTIONS))
    if unknown:
        raise ValueError(
            f"heroku.yml has the section {unknown[0]!r}; it can have {', '.join(SECTIONS[:-1])} and run."
        )
    build = _table(sections.get("build") or {}, "build")
    docker = _table(build.get("docker") or {}, "build.docker")
    if not docker:
        return None
    if len(docker) > MOST_TYPES:
        raise ValueError(f"heroku.yml names {len(docker)} images; at most {MOST_TYPES} are built for an app.")
    images = {_type(name): _target(str(name), value) for name, value in docker.items()}
    runs = {_type(name): _process(str(name), value, images) for name, value in _runs(sections).items()}
    told = (*_left_out(build), *_setup(sections.get("setup")))
    return Plan(
        images, runs, {str(k): _text(k, v) for k, v in _config(build).items()}, tuple(told), file=FILE
    )


def _read(text: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" in line {where.line + 1}" if where else ""
        raise ValueError(
            f"heroku.yml cannot be read{line}: {getattr(error, 'problem', None) or 'it is no YAML'}."
        ) from error
    except RecursionError as error:
        raise ValueError("heroku.yml cannot be read: it is nested too deeply.") from error
    except (
        ValueError,
        LookupError,
        AttributeError,
        TypeError,
    ) as error:  # a date, or `!!bool x`, that is none
        raise ValueError(f"heroku.yml cannot be read: {error}. Write the value in quotes.") from error


def _table(value: Any, where: str) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{where} of heroku.yml is not a table of names and values.")  # noqa: TRY004
    return value


def _type(name: Any) -> str:
    if not isinstance(name, str) or not TYPE.fullmatch(name):
        raise ValueError(
            f"{name!r} in heroku.yml cannot name a process type: letters, digits, _ and -, at most 63."
        )
    return name


def _target(name: str, value: Any) -> Target:
    if isinstance(value, Mapping):
        known, stage = value.get("dockerfile"), value.get("target") or ""
        rest = sorted(set(map(str, value)) - {"dockerfile", "target"})
        if rest or not isinstance(known, str) or not isinstance(stage, str):
            raise ValueError(
                f"build.docker.{name} of heroku.yml takes `dockerfile`, and `target` for a stage."
            )
        return Target(_path(name, known), stage)
    if not isinstance(value, str):
        raise ValueError(f"build.docker.{name} of heroku.yml is not the path of a Dockerfile.")  # noqa: TRY004
    return Target(_path(name, value))


def _path(name: str, value: str) -> str:
    path = posixpath.normpath(value.strip())
    if not value.strip() or path.startswith(("/", "../")) or path in (".", "..") or "\0" in path:
        raise ValueError(
            f"build.docker.{name} of heroku.yml is {value[:100]!r}, which is no file of the repository."
        )
    return path


def _config(build: Mapping[Any, Any]) -> Mapping[Any, Any]:
    return _table(build.get("config") or {}, "build.config")


def _runs(sections: Mapping[Any, Any]) -> dict[Any, Any]:
    runs = dict(_table(sections.get("run") or {}, "run"))
    release = sections.get(RELEASE)
    return {**runs, RELEASE: release} if release else runs


def _process(name: str, value: Any, images: Mapping[str, Target]) -> Process:
    given = value if isinstance(value, Mapping) else {"command": value}
    rest = sorted(set(map(str, given)) - {"command", "image"})
    if rest:
        raise ValueError(f"{name} of heroku.yml has {rest[0]!r}; it can have `command` and `image`.")
    image = given.get("image") or (
        name if name in images else "web" if "web" in images else next(iter(images))
    )
    if not isinstance(image, str):
        raise ValueError(f"The image of {name} in heroku.yml is no text.")  # noqa: TRY004
    if image not in images:
        there = ", ".join(images)
        raise ValueError(
            f"{name} of heroku.yml runs in the image {image!r}, which build.docker does not make: {there}."
        )
    return Process(image, _command(name, given.get("command")))


def _command(name: str, value: Any) -> str:
    words = value if isinstance(value, list) else [value] if value is not None else []
    if any(not isinstance(word, str | int | float) or "\0" in str(word) for word in words):
        raise ValueError(f"The command of {name} in heroku.yml is neither text nor a list of texts.")
    return " ".join(str(word) for word in words).strip()


def _text(name: Any, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise ValueError(f"build.config.{name} of heroku.yml is no text: write it in quotes.")  # noqa: TRY004
    return str(value)


def _left_out(build: Mapping[Any, Any]) -> list[str]:
    rest = sorted(set(map(str, build)) - {"docker", "config"})
    return [f"build.{name} of heroku.yml is not read" for name in rest]


def _setup(setup: Any) -> list[str]:
    """What Heroku would make with the app; here it is told, as nothing makes it."""
    found = _table(setup or {}, "setup")
    told = [
        f"heroku.yml asks for the add-on {plan}: add-ons are not made here, set its config vars"
        for plan in _addons(found.get("addons") or [])
    ]
    config = _table(found.get("config") or {}, "setup.config")
    if config:
        names = ", ".join(map(str, config))
        told.append(f"setup.config of heroku.yml ({names}) is for new apps: set them with paas config:set")
    return told


def _addons(value: Any) -> list[str]:
    """Return the plans. Text alone: what is nested is not written out."""
    entries = value if isinstance(value, list) else [None]
    given = [one.get("plan") if isinstance(one, Mapping) else one for one in entries]
    plans = [plan for plan in given if isinstance(plan, str)]
    if len(plans) < len(given):
        raise ValueError("setup.addons of heroku.yml is no list of plans, each a text or {plan: text}.")
    return plans
