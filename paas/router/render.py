"""The files HAProxy reads. In: a layout and how HAProxy is to run. Out: haproxy.cfg, maps and pages, by file name.

Only what HAProxy 2.6 (Debian 12) to 3.0 (Debian 13) both accept. All paths are relative to the router's home, which is
HAProxy's working directory: a deep home cannot exceed the length limit of Unix socket paths.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from paas.router.config import HostPort
from paas.router.layout import Layout, Server
from paas.router.pages import page_name, render_pages

CONFIG = "haproxy.cfg"
MASTER_SOCKET = "master.sock"
INNER_SOCKET = "inner.sock"  # a path, not an abstract name: HAProxy 2.6 ends when it must pause one of those
HOSTS_MAP = "hosts.map"
ERRORS_MAP = "error_urls.map"
MAINTENANCE_MAP = "maintenance_urls.map"
HTML = '"text/html; charset=utf-8"'
VIA = "1.1 paas-router"

# The light check takes a dead instance out in 0.4 s after its first refused connection. An instance enters the table
# only when its host saw it healthy, so a new server is up at once and no first check is waited for.
SERVER_OPTIONS = (
    "check inter 2s fastinter 200ms downinter 500ms fall 2 rise 1 weight 100 "
    "observe layer4 error-limit 2 on-error fastinter"
)


@dataclass(frozen=True)
class Process:
    """How HAProxy runs here. `descriptors` is its limit; `log_key` marks its own log lines."""

    binds: tuple[HostPort, ...]
    descriptors: int
    log_port: int
    log_key: str
    user: str = ""
    group: str = ""
    threads: int = 1
    platform_host: str = ""
    platform_backend: HostPort | None = None


def render_files(process: Process, layout: Layout) -> dict[str, str]:
    """Return every file of the router's home that HAProxy reads."""
    return {
        **render_pages(),
        HOSTS_MAP: render_map(layout.hosts),
        ERRORS_MAP: render_map(layout.error_urls),
        MAINTENANCE_MAP: render_map(layout.maintenance_urls),
        CONFIG: render_config(
            process, layout.pool, layout.servers.values(), fingerprint(process, layout.pool)
        ),
    }


def fingerprint(process: Process, pool: int) -> str:
    """Return a name for all that only a reload can change. HAProxy shows the one it runs as its description."""
    text = render_config(process, pool, (), "") + "".join(render_pages().values())
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def render_map(entries: Mapping[str, str]) -> str:
    """Return a map file: one `key value` a line."""
    return "".join(f"{key} {value}\n" for key, value in sorted(entries.items()))


def render_config(process: Process, pool: int, servers: Iterable[Server], description: str) -> str:
    """Return haproxy.cfg with `pool` slots and `servers` in theirs."""
    by_slot: dict[int, list[Server]] = {}
    for server in servers:
        by_slot.setdefault(server.slot, []).append(server)
    sections = [
        _global(process, pool, description),
        _defaults(process),
        _frontend(process),
        SUCCESSOR,
        NO_APP,
    ]
    if process.platform_backend is not None:
        sections.append(_platform(process.platform_backend))
    sections.append(SLOTS)
    sections.extend(_slot(number, by_slot.get(number, ())) for number in range(1, pool + 1))
    sections.append(RING % process.log_port)
    return "\n".join(sections)


def _slot(number: int, servers: Iterable[Server]) -> str:
    lines = [f"backend s{number} from slots"]
    lines += [f"  server {server.name} {server.endpoint} {SERVER_OPTIONS}" for server in servers]
    return "\n".join(lines)


def max_connections(descriptors: int, pool: int) -> int:
    """Return HAProxy's maxconn: two descriptors a connection, and room for the checks of some servers per app."""
    reserve = min(1024 + 4 * pool, descriptors // 2)
    return max(100, min(20000, (descriptors - reserve) // 2))


def _global(process: Process, pool: int, description: str) -> str:
    run_as = f"\n  user {process.user}\n  group {process.group}" if process.user else ""
    described = f"\n  description {description}" if description else ""
    return f"""global{described}{run_as}
  maxconn {max_connections(process.descriptors, pool)}
  no strict-limits
  nbthread {process.threads}
  noreuseport
  tune.pool-high-fd-ratio 90
  tune.pool-low-fd-ratio 80
  hard-stop-after 1h
  log ring@access len 16384 format raw local0
"""


def _defaults(process: Process) -> str:
    pages = {500: "500", 502: "H13", 503: "H21", 504: "H12"}
    errors = "\n".join(_http_error(status, code) for status, code in pages.items())
    return f"""defaults base
  mode http
  log global
  balance leastconn
  option redispatch 1
  option idle-close-on-response
  retries 3
  retry-on conn-failure empty-response
  http-reuse safe
  timeout connect 2s
  timeout client 60s
  timeout server 30s
  timeout http-request 10s
  timeout http-keep-alive 60s
  timeout tunnel 1h
  timeout queue 5s
  log-format '{log_format(process.log_key)}'
{errors}
"""


def _http_error(status: int, code: str) -> str:
    headers = "hdr Cache-Control no-store hdr X-Request-Id %[var(txn.rid)]"
    return f"  http-error status {status} content-type {HTML} {headers} lf-file {page_name(code)}"


def _return(code: str, condition: str, *, status: int = 503, more: str = "") -> str:
    headers = f"hdr Cache-Control no-store hdr X-Request-Id %[var(txn.rid)]{more}"
    return f"  http-request return status {status} content-type {HTML} {headers} lf-file {page_name(code)} {condition}"


def log_format(key: str) -> str:
    """Return the JSON access line. Client-chosen text is cut and escaped so that a line always fits and parses."""
    fields = {
        "k": json.dumps(key),
        "at": "%[date(0,ms)]",
        "app": '"%[var(txn.app)]"',
        "host": '"%[var(txn.host),bytes(0,255),json(utf8s)]"',
        "method": '"%[method,bytes(0,32),json(utf8s)]"',
        "path": '"%[var(txn.path),json(utf8s)]"',
        "status": "%ST",
        "state": '"%tsc"',
        "server": '"%s"',
        "code": '"%[var(txn.code)]"',
        "id": '"%[var(txn.rid)]"',
        "fwd": '"%[var(txn.fwd),bytes(0,255),json(utf8s)]"',
        "receive": "%TR",
        "wait": "%Tw",
        "connect": "%Tc",
        "active": "%Ta",
        "bytes": "%B",
        "tls": "%[ssl_fc]",
    }
    return "{" + ",".join(f'"{name}":{value}' for name, value in fields.items()) + "}"


def _frontend(process: Process) -> str:
    binds = "\n".join(f"  bind {bind}" for bind in process.binds)
    owner = f" user {process.user}" if process.user else ""
    platform = f"  use_backend platform if {{ var(txn.host) -m str {process.platform_host} }}\n"
    pages = "\n".join(
        _return(
            code, f"if {{ var(txn.code) -m str {code} }}", more=" hdr Retry-After 2" if code == "H20" else ""
        )
        for code in ("H80", "H81", "H14", "H10", "H20")
    )
    return FRONTEND % {
        "binds": binds,
        "inner": f"unix@{INNER_SOCKET} mode 600{owner}",
        "via": VIA,
        "pages": pages,
        "platform": platform if process.platform_backend is not None else "",
    }


# After a reload the old process still holds idle keep-alive connections, and the runtime API no longer lets anyone
# change its servers. So what it reads from them it hands, untouched, to the process that replaced it.
FRONTEND = """frontend edge from base
%(binds)s
  bind %(inner)s accept-proxy
  http-request set-log-level silent if { stopping }
  http-request allow if { stopping }
  http-request set-var(txn.host) req.hdr(host),host_only,lower
  http-request set-var(txn.path) pathq,bytes(0,2000)
  http-request set-var(txn.rid) uuid()
  http-request set-var(txn.rid) req.fhdr(x-request-id) if { req.fhdr(x-request-id) -m reg ^[A-Za-z0-9+/=-]{20,200}$ }
  http-request set-header X-Request-Id %%[var(txn.rid)]
  http-request set-header X-Request-Start %%[date(0,ms)]
  acl forwarded req.fhdr(x-forwarded-for) -m found
  http-request set-header X-Forwarded-For "%%[req.fhdr(x-forwarded-for)], %%[src]" if forwarded
  http-request set-header X-Forwarded-For %%[src] unless forwarded
  http-request set-var(txn.fwd) req.fhdr(x-forwarded-for)
  http-request set-header X-Forwarded-Proto http unless { ssl_fc }
  http-request set-header X-Forwarded-Proto https if { ssl_fc }
  http-request set-header X-Forwarded-Port %%[dst_port]
  http-request add-header Via "%(via)s"
  http-request del-header Proxy
  http-request disable-l7-retry unless { method GET HEAD OPTIONS TRACE PUT DELETE }
  http-request set-var(txn.route) var(txn.host),map(hosts.map)
  http-request set-var(txn.route) var(txn.host),regsub('^[^.]+','*'),map(hosts.map) if !{ var(txn.route) -m found }
  http-request set-var(txn.slot) var(txn.route),field(1,|)
  http-request set-var(txn.app) var(txn.route),field(2,|)
  http-request set-var(txn.timeout) var(txn.route),field(3,|)
  http-request set-var(txn.code) var(txn.route),field(4,|)
  http-request set-var(txn.name) var(txn.route),field(5,|)
  http-request set-var(txn.frame) var(txn.app),map(error_urls.map)
  http-request unset-var(txn.frame) if { var(txn.code) -m str H80 H81 }
  http-request set-var(txn.frame) var(txn.app),map(maintenance_urls.map) if { var(txn.code) -m str H80 }
%(pages)s
  http-after-response set-status 503 if { status 502 504 } !{ var(txn.answered) -m found }
  use_backend successor if { stopping }
%(platform)s  use_backend %%[var(txn.slot)] if { var(txn.slot) -m found }
  default_backend no_app
"""

SUCCESSOR = f"""backend successor from base
  timeout server 1h
  http-response set-var(txn.answered) bool(true)
  server next unix@{INNER_SOCKET} send-proxy-v2
"""

NO_APP = f"""backend no_app from base
{_return("404", "", status=404)}
"""

SLOTS = f"""defaults slots from base
  http-request set-timeout server var(txn.timeout)
  http-request set-var(txn.code) str(H10) if {{ nbsrv eq 0 }} !{{ stopping }}
{_return("H10", "if { nbsrv eq 0 } !{ stopping }")}
  http-response set-var(txn.answered) bool(true)
  http-response add-header Via "{VIA}"
"""

RING = """ring access
  format raw
  maxlen 16384
  size 4194304
  timeout connect 1s
  timeout server 10s
  server collector 127.0.0.1:%d log-proto octet-count
"""


def _platform(backend: HostPort) -> str:
    errors = "\n".join(_http_error(status, "platform") for status in (502, 503, 504))
    return f"""backend platform from base
  timeout server 1h
{errors}
  http-response set-var(txn.answered) bool(true)
  server web {backend}
"""
