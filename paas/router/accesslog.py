"""HAProxy's access lines, read. In: the JSON line of one request. Out: an `AccessLine` in Heroku's router format.

Codes and descriptions: https://devcenter.heroku.com/articles/error-codes; termination states: HAProxy's
configuration manual, section 8.5.
"""

from __future__ import annotations

import hmac

import msgspec

from paas.router.layout import NO_CODE, dyno_of
from paas.router.table import AccessLine

DESCRIPTIONS = {
    "H10": "App crashed",
    "H12": "Request timeout",
    "H13": "Connection closed without response",
    "H14": "No web processes running",
    "H15": "Idle connection",
    "H17": "Poorly formatted HTTP response",
    "H18": "Server Request Interrupted",
    "H19": "Backend connection timeout",
    "H20": "App boot timeout",
    "H21": "Backend connection refused",
    "H27": "Client Request Interrupted",
    "H28": "Client Connection Idle",
    "H80": "Maintenance mode",
    "H81": "Blank app",
    "H99": "Platform error",
}
NOT_THE_APPS_FAULT = frozenset({"H27", "H80", "H81"})
NO_SERVER = "<NOSRV>"
CLIENT_CLOSED = 499

# First letter: who ended it (C client, S server, P proxy, c and s their timeouts). Second: in which phase (R request,
# Q queue, C connection, H response headers, D data, T tarpit).
STATES = {
    "sH": "H12",
    "SH": "H13",
    "PH": "H17",
    "SD": "H18",
    "PD": "H18",
    "sD": "H15",
    "sC": "H19",
    "sQ": "H19",
    "SC": "H21",
    "SQ": "H21",
    "cR": "H28",
    "cH": "H28",
    "cD": "H28",
    "CR": "H27",
    "CQ": "H27",
    "CC": "H27",
    "CH": "H27",
    "CD": "H27",
    "PC": "H99",
}


class RawLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One request as `render.log_format` writes it. Times in milliseconds, -1: the phase was not reached."""

    k: str
    at: int
    app: str
    host: str
    method: str
    path: str
    status: int
    state: str
    server: str
    code: str
    id: str
    fwd: str
    receive: int
    wait: int
    connect: int
    active: int
    bytes: int
    tls: int


DECODER = msgspec.json.Decoder(RawLine)


def read_line(message: bytes, key: str) -> RawLine | None:
    """Return the request of a log message; None for HAProxy's own remarks and for lines without the right key."""
    if not message.startswith(b"{"):
        return None
    try:
        line = DECODER.decode(message.rstrip(b"\n\0"))
    except (ValueError, UnicodeDecodeError):
        return None
    return line if hmac.compare_digest(line.k.encode(), key.encode()) else None


def is_remark(message: bytes) -> bool:
    """Tell whether a message is HAProxy's remark on a server's health (`Server s1/web.1:... is DOWN, reason: ...`)."""
    return message.startswith((b"Server ", b"Backup Server ", b"backend "))


def code_of(line: RawLine) -> str:
    """Return the H-code of a request, or '' when nothing went wrong."""
    if line.code != NO_CODE:
        return line.code
    if line.status == 101 or line.state.startswith("-"):
        return ""
    if line.state.startswith("SC") and line.server == NO_SERVER:
        return "H10"
    if line.state[0] == "D":
        return "H10"
    if line.state[0] in "RI":
        return "H99"
    return STATES.get(line.state[:2], "")


def access_line(line: RawLine) -> AccessLine | None:
    """Return the line for the app's log; None when the request was for no app (unknown host, the platform itself)."""
    if line.app in ("", "-"):
        return None
    code = code_of(line)
    status = CLIENT_CLOSED if code == "H27" else max(line.status, 0)
    connect = max(line.connect, 0)
    service = max(line.active - connect - max(line.receive, 0) - max(line.wait, 0), 0)
    dyno = dyno_of(line.server)
    return AccessLine(
        app=line.app,
        at=line.at / 1000,
        text=logfmt(line, code, status, connect, service, dyno),
        status=status,
        service_ms=service,
        connect_ms=connect,
        bytes=line.bytes,
        code=code,
        dyno=dyno,
        host=line.host,
        method=line.method,
        path=line.path,
        request_id=line.id,
    )


def logfmt(line: RawLine, code: str, status: int, connect: int, service: int, dyno: str) -> str:
    """Return Heroku's router line."""
    level = "info" if not code or code in NOT_THE_APPS_FAULT else "error"
    error = f' code={code} desc="{DESCRIPTIONS[code]}"' if code else ""
    protocol = "https" if line.tls else "http"
    return (
        f"at={level}{error} method={bare(line.method)} path={quoted(line.path)} host={bare(line.host)} "
        f"request_id={bare(line.id)} fwd={quoted(line.fwd)} dyno={dyno} connect={connect}ms service={service}ms "
        f"status={status} bytes={line.bytes} protocol={protocol}"
    )


def quoted(text: str) -> str:
    """Return a value in quotes, on one line, whatever a client put into it."""
    safe = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(character if character.isprintable() else "?" for character in safe) + '"'


def bare(text: str) -> str:
    """Return a value without quotes if it can stand so."""
    plain = text.isprintable() and not any(character in " \"'=\\" for character in text)
    return text if plain else quoted(text)
