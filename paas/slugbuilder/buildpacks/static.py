"""Static sites: files served by nginx where the stack has it, else by our own small server. Sites with rules of their
own (redirects, headers) or with compressed files have the small server, which knows both.

In: index.html, public/index.html, a Staticfile or static.json.  Out: a configuration, a start program, the default web
process.
"""

from __future__ import annotations

import hashlib
import shlex
import shutil
from pathlib import Path

from ..errors import BuildError
from ..nginx_conf import render_nginx
from ..site_files import Declared, parse_static_json, read_rules_of, read_text
from ..site_rules import Rules, write_rules
from ..staticfile import Site, read_site
from ..workspace import Buildpack, Compiled, Workspace

HERE = Path(__file__).resolve().parent.parent
START = """\
#!/bin/sh
# Serves this app's static files on $PORT: nginx where the stack has it, Python otherwise.
PORT=${PORT:-5000}
if [ -x /usr/sbin/nginx ] && [ ! -e %(app)s/.paas/static_site/rules.json ]; then
  drop='#no such mark'
  [ "$(stat -c %%Y %(app)s/.paas/nginx.conf)" -gt 1 ] && drop='#tagged$'
  sed -e "s/@PORT@/$PORT/" -e "/$drop/d" %(app)s/.paas/nginx.conf > /tmp/nginx-$PORT.conf
  /usr/sbin/nginx -e stderr -c /tmp/nginx-$PORT.conf &
  server=$!
  # nginx drops its requests on TERM and finishes them on QUIT
  trap 'kill -QUIT $server' TERM INT
  wait $server; code=$?
  while kill -0 $server 2> /dev/null; do wait $server; code=$?; done
  exit $code
fi
if command -v python3 > /dev/null; then
  cd %(app)s/.paas || exit 1
  exec python3 -E -s -m static_site.static_server %(root)s "$PORT" %(options)s
fi
echo "This stack has neither nginx nor Python to serve static files: choose another stack." >&2
exit 1
"""


def detect(app: Path) -> bool:
    return any(
        (app / name).is_file() for name in ("Staticfile", "static.json", "index.html", "public/index.html")
    )


def compile_app(work: Workspace) -> Compiled:
    work.output.step("Static site detected")
    return serve_site(work)


def serve_site(work: Workspace, built: str = "") -> Compiled:
    """Write what serves the site. `built`: the folder that a build step has filled."""
    declared = read_declared(work.app)
    site, warnings = read_site(work.app, declared.root or built, spa=declared.spa)
    root = work.app / site.root if site.root != "." else work.app
    if "$" in site.root:
        raise BuildError(
            "staticfile_invalid", f"The root {site.root!r} holds a dollar sign.", hint="Rename the folder."
        )
    rules, told = read_rules_of(root, work.app, declared)
    for warning in (*warnings, *told):
        work.output.warn(warning)
    ruled = rules != Rules() or has_packed(root)
    nginx = Path("/usr/sbin/nginx").exists() and not ruled
    server = "nginx" if nginx else "the platform's own server"
    fallback = ", unknown paths answer with index.html" if site.spa else ""
    work.output.info(f"Serving {'the root' if site.root == '.' else site.root + '/'} with {server}{fallback}")
    if ruled:
        work.output.info(f"{len(rules.redirects)} redirects, {len(rules.headers)} headers")
    write_server(work.app, site, root)
    if ruled:
        write_rules(work.app / ".paas" / "static_site" / "rules.json", rules)
    command = f"{work.app}/.paas/static_site/start"
    return Compiled(version="", processes={"web": command}, env={"LANG": "C.UTF-8"})


def read_declared(app: Path) -> Declared:
    file = app / "static.json"
    return parse_static_json(read_text(file)) if file.is_file() else Declared()


def has_packed(root: Path) -> bool:
    """Whether the build has left compressed files beside the plain ones."""
    return any(
        path.with_suffix("").is_file() for suffix in ("br", "gz") for path in root.rglob(f"*.{suffix}")
    )


def write_server(app: Path, site: Site, root: Path) -> None:
    """Write both servers' files: which one runs is decided where the slug runs."""
    folder = app / ".paas" / "static_site"
    folder.mkdir(parents=True, exist_ok=True)
    (app / ".paas" / "nginx.conf").write_text(
        render_nginx(site, str(root), site_hash(root)), encoding="utf-8"
    )
    (folder / "__init__.py").touch()
    for name in ("static_server.py", "static_reply.py", "site_rules.py", "media_types.py"):
        shutil.copyfile(HERE / name, folder / name)
    options = "--spa" if site.spa else ""
    values = {"app": shlex.quote(str(app)), "root": shlex.quote(str(root)), "options": options}
    start = folder / "start"
    start.write_text(START % values, encoding="utf-8")
    start.chmod(0o755)


def site_hash(root: Path) -> str:
    """A hash over names and contents of all files to serve."""
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        if path.is_file() and relative.parts[0] != ".paas":
            digest.update(
                str(relative).encode("utf-8", "surrogateescape")
                + b"\0"
                + hashlib.sha256(path.read_bytes()).digest()
            )
    return digest.hexdigest()[:32]


STATIC = Buildpack(
    "static", "Static", "index.html, public/index.html, Staticfile or static.json", detect, compile_app
)
