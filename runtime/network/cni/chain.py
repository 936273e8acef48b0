"""Running the plugins of a network for one container: ADD, CHECK and DEL of the CNI specification.

In: a `Chain` and an `Attachment`.  Out: the plugins' result; EngineError in a plugin's own words.
Plugins get everything by environment and stdin, and run in the mount namespace of the calling thread.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runtime.container.port import EngineError
from runtime.model import Struct
from runtime.network.cni.conf import Chain

Result = dict[str, Any]
TAKES = 30.0  # seconds that one call of a plugin may take
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_WITHOUT_CHECK = ("0.3.0", "0.3.1")


class Attachment(Struct):
    """A container on a network, as it is kept on disk from before its ADD until after its DEL. `plugins`: the folder
    of their programs. `result`: what ADD answered; None while it has not. Whoever ends it uses the network as it was
    when it began."""

    number: int
    container: str
    netns: str
    chain: Chain
    plugins: str
    interface: str = "eth0"
    result: Result | None = None


def add(attachment: Attachment, seconds: float = TAKES) -> Result:
    """Run ADD in order, each with the result of the one before. One that fails undoes all. Raises EngineError."""
    previous: Result | None = None
    try:
        for plugin in attachment.chain.plugins:
            previous = _run(attachment, plugin, "ADD", attachment.netns, previous, seconds)
    except EngineError:
        with contextlib.suppress(EngineError):  # the reason is that of the ADD
            delete(attachment, seconds)
        raise
    if previous is None:
        raise EngineError(f"The CNI network {attachment.chain.name} gave no result.")
    return previous


def delete(attachment: Attachment, seconds: float = TAKES) -> None:
    """Run DEL in reverse, each of them whatever became of the others. Nothing to do is no error.

    Raises EngineError in the words of the first that failed.
    """
    netns = attachment.netns if _is_namespace(attachment.netns) else ""
    problems = []
    for plugin in reversed(attachment.chain.plugins):
        try:
            _run(attachment, plugin, "DEL", netns, attachment.result, seconds)
        except EngineError as error:
            problems.append(error)
    if problems:
        raise problems[0]


def check(attachment: Attachment) -> None:
    """Ask the plugins whether all is as ADD left it. Raises EngineError in the words of the first that says no."""
    chain = attachment.chain
    if chain.disable_check or chain.version in _WITHOUT_CHECK or attachment.result is None:
        return
    for plugin in chain.plugins:
        _run(attachment, plugin, "CHECK", attachment.netns, attachment.result)


def address_of(result: Mapping[str, Any]) -> str:
    """Return the first IPv4 address of a result. Raises EngineError when there is none."""
    for one in result.get("ips") or ():
        address = str(one.get("address", "")).partition("/")[0]
        if "." in address:
            return address
    raise EngineError("The CNI network gave the container no IPv4 address; its ipam section must.")


def host_interface_of(result: Mapping[str, Any]) -> str:
    """Return the host's end of the container's link, '' when the network has none (macvlan, ipvlan)."""
    outside = [one for one in result.get("interfaces") or () if not one.get("sandbox")]
    return str(outside[-1].get("name", "")) if outside else ""


def nameservers_of(result: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(map(str, (result.get("dns") or {}).get("nameservers") or ()))


def _run(
    attachment: Attachment,
    plugin: dict[str, Any],
    command: str,
    netns: str,
    previous: Result | None,
    seconds: float = TAKES,
) -> Result | None:
    program = Path(attachment.plugins, plugin["type"])
    document = plugin | {"name": attachment.chain.name, "cniVersion": attachment.chain.version}
    if previous is not None:
        document["prevResult"] = previous
    told, environment = json.dumps(document).encode(), _environment(attachment, command, netns)
    try:
        code, output, errors = _execute(program, told, environment, seconds)
    except FileNotFoundError as error:
        raise EngineError(
            f"The CNI plugin {program} does not exist: install it, or mend PAAS_AGENT_CNI_BIN_DIR."
        ) from error
    except subprocess.TimeoutExpired as error:
        said = _text(error.stderr or error.stdout or b"")
        raise EngineError(
            f"The CNI plugin {program.name} did not end within {seconds:g} s of {command} and was stopped"
            + (f"; it said: {said}" if said else ".")
        ) from error
    except (OSError, subprocess.SubprocessError) as error:
        raise EngineError(f"The CNI plugin {program.name} could not be run: {error}.") from error
    if code != 0:
        words = _words(output, errors) or f"it said nothing and ended with status {code}."
        raise EngineError(f"The CNI plugin {program.name} refused {command}: {words}")
    return _result(program.name, output) if command == "ADD" else None


def _execute(
    program: Path, told: bytes, environment: dict[str, str], seconds: float
) -> tuple[int, bytes, bytes]:
    """Run a plugin to its end: its status, its output and its errors. Raises TimeoutExpired, OSError."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [str(program)], stdin=pipe, stdout=pipe, stderr=pipe, env=environment, cwd="/", start_new_session=True
    ) as process:
        try:
            output, errors = process.communicate(told, timeout=seconds)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)  # with what it started, which holds its output open
            raise
    return process.returncode, output, errors


def _environment(attachment: Attachment, command: str, netns: str) -> dict[str, str]:
    return {
        "PATH": _PATH,
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": attachment.container,
        "CNI_NETNS": netns,
        "CNI_IFNAME": attachment.interface,
        "CNI_PATH": attachment.plugins,
        "CNI_ARGS": "IgnoreUnknown=1",
    }


def _result(plugin: str, output: bytes) -> Result:
    try:
        result = json.loads(output)
    except ValueError as error:
        raise EngineError(f"The CNI plugin {plugin} answered ADD with no JSON.") from error
    if not isinstance(result, dict):
        raise EngineError(f"The CNI plugin {plugin} answered ADD with no result.")
    return result


def _words(output: bytes, errors: bytes) -> str:
    """A plugin's error is JSON with `code`, `msg` and `details` (section 5 of the specification); '' for none."""
    try:
        told = json.loads(output)
        words = ": ".join(_text(str(told[name]).encode()) for name in ("msg", "details") if told.get(name))
        code = f"code {told['code']}" if "code" in told else ""
    except (ValueError, AttributeError, TypeError):
        return _text(errors) or _text(output)
    return f"{words} ({code})" if words and code else words or code


def _text(words: bytes) -> str:
    return " ".join(words.decode(errors="replace").split())[:400]


def _is_namespace(path: str) -> bool:
    """A file that nothing is mounted on any more is no namespace: plugins would take it for a broken one."""
    with contextlib.suppress(OSError):
        return Path(path).stat().st_dev == Path("/proc/self/ns/net").stat().st_dev
    return False
