"""The nginx configuration of a static site.

In: a site, its folder, the hash of its files.  Out: the text of nginx.conf, with @PORT@ to be filled in at start.

Where a slug is packed with all times zero, nginx's own ETag (time and size) would call a changed file of equal size
unchanged: then the hash of the whole site is the ETag. Lines marked #tagged do that; the start program drops them
where times are kept.
"""

from __future__ import annotations

from .media_types import COMPRESSIBLE, DEFAULT, TYPES
from .staticfile import Site

TEMPLATE = """\
# Written by the build. Runs in the foreground as the app's user.
daemon off;
worker_processes 1;
pid /tmp/nginx.pid;
error_log stderr warn;
events { worker_connections 4096; }
http {
  types {
%(types)s
  }
  default_type %(default)s;
  charset utf-8;
  charset_types %(charset)s;
  access_log off;
  server_tokens off;
  sendfile on;
  tcp_nopush on;
  keepalive_timeout 75s;
  keepalive_requests 100000;
  client_max_body_size 1m;
  client_body_temp_path /tmp/nginx-body;
  proxy_temp_path /tmp/nginx-proxy;
  fastcgi_temp_path /tmp/nginx-fastcgi;
  uwsgi_temp_path /tmp/nginx-uwsgi;
  scgi_temp_path /tmp/nginx-scgi;
  gzip on;
  gzip_vary on;
  gzip_proxied any;
  gzip_min_length 1024;
  gzip_types %(gzip)s;
  etag off; #tagged
  if_modified_since off; #tagged
  server {
    listen 0.0.0.0:@PORT@;
    server_name _;
    root %(root)s;
    index index.html index.htm;
    absolute_redirect off;
    error_page 404 %(not_found)s;
    add_header ETag 'W/"%(tag)s"'; #tagged
    add_header Last-Modified ""; #tagged
    add_header Cache-Control "max-age=0, must-revalidate";
    add_header X-Content-Type-Options nosniff;
    location ~ /\\.(?!well-known(/|$)) { return 404; }
%(hidden)s    location / {
      if ($http_if_none_match ~ "%(tag)s") { return 304; } #tagged
      try_files $uri $uri/ %(fallback)s;
    }
  }
}
"""

HIDDEN = "    location ~ ^/(Procfile|Staticfile)$ { return 404; }\n"


def render_nginx(site: Site, root: str, tag: str) -> str:
    """Render the configuration. `root` is the absolute folder to serve, `tag` a hex hash."""
    suffixes: dict[str, list[str]] = {}
    for suffix, kind in TYPES.items():
        suffixes.setdefault(kind, []).append(suffix)
    types = "\n".join(f"    {kind} {' '.join(names)};" for kind, names in sorted(suffixes.items()))
    return TEMPLATE % {
        "types": types,
        "default": DEFAULT,
        "charset": " ".join(sorted({k for k in suffixes if k.startswith("text/")} - {"text/html"})),
        "gzip": " ".join(sorted(COMPRESSIBLE - {"text/html"})),
        "root": quote(root),
        "not_found": "/404.html",
        "tag": tag,
        "hidden": HIDDEN if site.root == "." else "",
        "fallback": "/index.html" if site.spa else "=404",
    }


def quote(path: str) -> str:
    """An nginx string: `$` cannot be escaped there, so such folders are refused by the caller's tree check."""
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'
