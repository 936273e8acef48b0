"""Config vars: show, set, unset.

In: KEY=VALUE pairs, files, stdin.  Out: a release with the new values.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from paas.cli.call import Call, command
from paas.cli.failures import Failure, Usage
from paas.cli.output import print_fields, remark, say


@command(
    click.option("-s", "--shell", is_flag=True, help="Print KEY=VALUE lines that a shell can read."),
    app=True,
    help="Show the config vars of an app.",
)
def config(call: Call, shell: bool) -> None:
    values = call.api.get(f"{call.path}/config-vars")

    def people() -> None:
        if shell:
            for key, value in sorted(values.items()):
                say(f"{key}={shlex.quote(value)}")
        elif values:
            print_fields(sorted(values.items()))
        else:
            remark(f"{call.app} has no config vars. Set one with `paas config:set KEY=VALUE`.")

    call.show(values, people)


@command(click.argument("key"), app=True, help="Print the value of one config var.")
def get(call: Call, key: str) -> None:
    values = call.api.get(f"{call.path}/config-vars")
    if key not in values:
        raise Failure(f"{call.app} has no config var {key}. `paas config` lists what there is.")
    call.show(values[key], lambda: say(values[key]))


@command(
    click.argument("pairs", nargs=-1, metavar="KEY=VALUE..."),
    click.option(
        "--from-file",
        "files",
        multiple=True,
        metavar="KEY=PATH",
        help="Take the value from a file; - is stdin.",
    ),
    app=True,
    help="Set config vars and release the app with them.",
)
def set_vars(call: Call, pairs: tuple[str, ...], files: tuple[str, ...]) -> None:
    changes = {
        **dict(map(split_pair, pairs)),
        **{key: read_value(path) for key, path in map(split_pair, files)},
    }
    if not changes:
        raise Usage("Say what to set: paas config:set KEY=VALUE ...")
    _change(call, dict(changes), "Set")


@command(
    click.argument("keys", nargs=-1, required=True, metavar="KEY..."),
    app=True,
    help="Unset config vars and release the app without them.",
)
def unset(call: Call, keys: tuple[str, ...]) -> None:
    _change(call, dict.fromkeys(keys), "Unset")


def _change(call: Call, changes: dict[str, str | None], verb: str) -> None:
    values = call.api.patch(f"{call.path}/config-vars", changes)
    newest = call.api.list(f"{call.path}/releases", "version ..; order=desc, max=1")
    version = f", v{newest[0]['version']}" if newest else ""
    call.show(values, lambda: say(f"{verb} {', '.join(changes)} of {call.app}{version}."))


def split_pair(pair: str) -> tuple[str, str]:
    """Return key and value of KEY=VALUE; the value may hold anything. Raises Usage."""
    key, equals, value = pair.partition("=")
    if not key or not equals:
        raise Usage(f"{pair!r} is not KEY=VALUE. Quote values with spaces: paas config:set 'NAME=two words'")
    return key, value


def read_value(path: str) -> str:
    """Return the text of a file (`-`: stdin), as it is. Raises Usage when it is no text."""
    try:
        content = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        return content.decode()
    except OSError as error:
        raise Usage(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise Usage(f"{path} is not UTF-8 text. Encode it first, for example with base64.") from error
