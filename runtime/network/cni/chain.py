"""Running the plugins of a network for one container: ADD, CHECK and DEL of the CNI specification.

In: a `Chain` and an `Attachment`.  Out: the plugins' result; EngineError in a plugin's own words.
Plugins get everything by environment and stdin, and run in the mount namespace of the calling thread.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runtime.container.port import EngineError
from runtime.model import Struct
from runtime.network.cni.conf import Chain

Result = dict[str, Any]
_TAKES = 30.0  # seconds
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


def add(attachment: Attachment) -> Result:
    """Run ADD in order, each with the result of the one before. One that fails undoes all. Raises EngineError."""
    previous: Result | None = None
    try:
        for plugin in attachment.chain.plugins:
            previous = _run(attachment, plugin, "ADD", attachment.netns, previous)
    except EngineError:
        with contextlib.suppress(EngineError):  # the reason is that of the ADD
            delete(attachment)
        raise
    if previous is None:
        raise EngineError(f"The CNI network {attachment.chain.name} gave no result.")
    return previous


def delete(attachment: Attachment) -> None:
    """Run DEL in reverse, each of them whatever became of the others. Nothing to do is no error.

    Raises EngineError in the words of the first that failed.
    """
    netns = attachment.netns if _is_namespace(attachment.netns) else ""
    problems = []
    for plugin in reversed(attachment.chain.plugins):
        try:
            _run(attachment, plugin, "DEL", netns, attachment.result)
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
    attachment: Attachment, plugin: dict[str, Any], command: str, netns: str, previous: Result | None
) -> Result | None:
    program = Path(attachment.plugins, plugin["type"])
    document = plugin | {"name": attachment.chain.name, "cniVersion": attachment.chain.version}
    if previous is not None:
        document["prevResult"] = previous
    try:
        done = subprocess.run(
            [str(program)],
            input=json.dumps(document).encode(),
            env=_environment(attachment, command, netns),
            capture_output=True,
            timeout=_TAKES,
            cwd="/",
            check=False,
        )
    except FileNotFoundError as error:
        raise EngineError(
            f"The CNI plugin {program} does not exist: install it, or mend PAAS_AGENT_CNI_BIN_DIR."
        ) from error
    except (OSError, subprocess.SubprocessError) as error:
        raise EngineError(f"The CNI plugin {program.name} could not be run: {error}.") from error
    if done.returncode != 0:
        raise EngineError(
            f"The CNI plugin {program.name} refused {command}: {_words(done.stdout, done.stderr)}"
        )
    return _result(program.name, done.stdout) if command == "ADD" else None


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
    """A plugin's error is JSON with `msg` and `details` (section 5 of the specification)."""
    try:
        told = json.loads(output)
        words = [str(told[name]) for name in ("msg", "details") if told.get(name)]
    except (ValueError, AttributeError, TypeError):
        words = [(errors or output).decode(errors="replace")]
    return " ".join(" ".join(words).split())[:400] or "it said nothing."


def _is_namespace(path: str) -> bool:
    """A file that nothing is mounted on any more is no namespace: plugins would take it for a broken one."""
    with contextlib.suppress(OSError):
        return Path(path).stat().st_dev == Path("/proc/self/ns/net").stat().st_dev
    return False
