"""Config vars: any text, one release per change, encrypted wherever they rest."""

from __future__ import annotations

import dataclasses
import json
import logging
import re
import subprocess
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.core import serializers
from django.db import connection

from paas.controller.encryption import decrypt
from paas.controller.models import App, Event, Instance, OneOff, Release, User
from paas.controller.redis_connection import client as redis_client
from paas.controller.selectors.config import config_vars
from paas.controller.services.config import set_config
from paas.errors import InvalidParams
from runtime.model import InstanceSpec, decode
from tests.integration.controller.conftest import on_postgresql, run
from tests.integration.controller.machines import Platform
from tests.integration.controller.threads import failures, together

pytestmark = pytest.mark.integration

CANARY = "canary-7f3a9b-plain-value"


def test_any_text_comes_back_as_it_was(user: User, app: App) -> None:
    texts = [
        "",
        " ",
        "two\nlines\n",
        "\r\n\t",
        "ünïcödé ☃ 𝄞",
        "\"quotes\" 'and' $HOME `id`",
        "=",
        "\x01\x7f",
        "a" * 60_000,
    ]
    for text in texts:
        set_config(user, app, {"KEY": text})
        assert config_vars(app) == {"KEY": text}


def test_values_reach_the_host_as_they_are(platform: Platform, live: App, user: User) -> None:
    value = "two\nlines ☃ \x01"
    set_config(user, live, {"KEY": value})
    platform.settle()
    (spec,) = platform.agent.wanted.values()
    assert spec.container.env["KEY"] == value
    assert spec.container.env["PORT"] == "8080"


def test_one_bad_name_or_value_and_nothing_changes(user: User, app: App) -> None:
    for bad in ({"1A": "x"}, {"PORT": "1"}, {"A": "nul\0"}, {"A": 5}, {"A": "\ud800"}):
        with pytest.raises(InvalidParams):
            set_config(user, app, {"GOOD": "1"} | bad)  # type: ignore[arg-type]
    assert config_vars(app) == {}
    assert app.releases.count() == 1


def test_together_they_have_a_size(user: User, app: App) -> None:
    limit = django_settings.PAAS.config_max_bytes
    set_config(user, app, {"A": "x" * (limit - 1)})
    with pytest.raises(InvalidParams, match=f"the limit is {limit}"):
        set_config(user, app, {"B": ""})
    with pytest.raises(InvalidParams, match="limit"):
        set_config(user, app, {"A": "é" * (limit // 2)})
    assert set(config_vars(app)) == {"A"}


def test_what_has_become_too_much_can_still_be_made_less(user: User, app: App, settings: object) -> None:
    set_config(user, app, {"A": "x" * 5000, "B": "y" * 5000})
    settings.PAAS = dataclasses.replace(django_settings.PAAS, config_max_bytes=1000)  # type: ignore[attr-defined]
    set_config(user, app, {"A": None})
    with pytest.raises(InvalidParams, match="limit"):
        set_config(user, app, {"C": "z"})


def test_a_change_that_changes_nothing_makes_no_release(user: User, app: App) -> None:
    release = set_config(user, app, {"A": "1", "B": "2"})
    assert release is not None
    assert release.version == 2
    for nothing in ({}, {"A": "1"}, {"NEVER": None}, {"A": "1", "B": "2", "C": None}):
        assert set_config(user, app, nothing) is None
    assert (
        set_config(user, app, {"A": None, "B": "3"}).description
        == "Set B config vars and Remove A config vars"
    )
    assert config_vars(app) == {"B": "3"}


def test_many_changes_at_once_all_count(user: User, app: App) -> None:
    names = [f"KEY_{number}" for number in range(8)]
    results = together(*[lambda name=name: set_config(user, app, {name: name}) for name in names])
    assert failures(results) == []
    assert config_vars(app) == {name: name for name in names}
    assert sorted(one.version for one in results) == list(range(2, 10))


def test_values_rest_encrypted_everywhere(
    platform: Platform, live: App, user: User, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    set_config(user, live, {"SECRET_KEY": CANARY})
    run(user, live, "true", env={"ONE_OFF": CANARY})
    platform.settle()
    assert any(CANARY in spec.container.env.get("SECRET_KEY", "") for spec in platform.agent.wanted.values())
    instance = Instance.objects.get(app=live)
    assert CANARY in decode(decrypt(instance.spec), InstanceSpec).container.env.values()
    assert CANARY.encode() not in at_rest(tmp_path)
    assert b"SECRET_KEY" in at_rest(tmp_path), (
        "names are in descriptions: the dump really is of this database"
    )
    assert CANARY not in caplog.text
    rows = [*Event.objects.all(), *Release.objects.all(), *OneOff.objects.all(), *Instance.objects.all()]
    assert CANARY not in serializers.serialize("json", rows)
    assert all(CANARY not in json.dumps(read(key)) for key in redis_client().scan_iter("*"))


def at_rest(folder: Path) -> bytes:
    """Return what the database keeps on disk: SQLite's files as they are, PostgreSQL's as its own dump."""
    if not on_postgresql():
        name = str(connection.settings_dict["NAME"])
        return b"".join(path.read_bytes() for path in Path(name).parent.glob(Path(name).name + "*"))
    values = connection.settings_dict
    command = [
        "pg_dump",
        "-h",
        values["HOST"],
        "-U",
        values["USER"],
        "-d",
        values["NAME"],
        "-f",
        str(folder / "dump"),
    ]
    subprocess.run(command, check=True)
    text = (folder / "dump").read_bytes()
    return text + b"".join(bytes.fromhex(part.decode()) for part in _hex(text))


def _hex(text: bytes) -> list[bytes]:
    """Binary columns are dumped as \\\\x followed by hexadecimal digits."""
    return [match for match in re.findall(rb"\\\\x([0-9a-f]+)", text) if len(match) % 2 == 0]


def read(key: str) -> object:
    kind = redis_client().type(key)
    if kind == "stream":
        return redis_client().xrange(key)
    return redis_client().lrange(key, 0, -1) if kind == "list" else str(kind)
