"""What serves a PHP app: nginx before php-fpm, both of the stack, in one process type.

In: the document root.  Out: `.paas/php/heroku-php-nginx`, called `heroku-php-nginx [-C nginx.conf] [-F fpm.conf]
[-i php.ini] [-p PORT] [DOCUMENT_ROOT]` as at Heroku, and the templates that it fills in.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from .media_types import COMPRESSIBLE, DEFAULT, TYPES

SHIMS = ("heroku-php-nginx", "heroku-php-apache2")

START = r"""#!/bin/bash
# Serves PHP on $PORT: nginx answers for files, php-fpm for the rest. Both end when one does.
name=${0##*/} app=@APP@ conf="" fpm="" ini="" PORT=${PORT:-5000}
fail() { echo "$name: $1" >&2; exit 1; }
while getopts C:F:i:p:l:vh option; do
  case $option in
    C) conf=$OPTARG ;; F) fpm=$OPTARG ;; i) ini=$OPTARG ;; p) PORT=$OPTARG ;; l | v) ;;
    *) echo "usage: $name [-C NGINX.CONF] [-F FPM.CONF] [-i PHP.INI] [-p PORT] [DOCUMENT_ROOT]" >&2; exit 2 ;;
  esac
done
shift $((OPTIND - 1))
cd "$app" || exit 1
place() { case $1 in "" | /*) echo "$1" ;; *) echo "$app/$1" ;; esac; }
root=$(place "${1-@ROOT@}") conf=$(place "$conf") fpm=$(place "$fpm") ini=$(place "$ini")
root=${root:-$app} root=${root%/}
# Packages are not for visitors where they lie below what is served; another folder of that name is, as public/vendor.
real=$(readlink -f "$root") vendor=$(readlink -m "$app"/@VENDOR@) hidden=""
case $vendor in "$real"/*) hidden="location ~ ^${vendor#"$real"}/ { return 404; }" ;; esac
[ -d "$root" ] || fail "there is no folder $root to serve"
for file in "$conf" "$fpm" "$ini"; do
  [ -z "$file" ] || [ -r "$file" ] || fail "there is no file $file"
done
case "$root$conf$fpm$vendor" in *[!A-Za-z0-9._/-]*) fail "names have letters, digits and . _ / - only" ;; esac
if [ "$name" = heroku-php-apache2 ]; then
  [ -z "$conf" ] || fail "-C names a configuration of Apache, and nginx serves here; give heroku-php-nginx one of nginx"
  [ ! -e "$root/.htaccess" ] || echo "$name: nginx serves here, .htaccess is not read" >&2
fi
shopt -s nullglob
servers=(/usr/sbin/php-fpm*)
[ ${#servers[@]} -gt 0 ] || fail "this stack has no php-fpm"
[ -x /usr/sbin/nginx ] || fail "this stack has no nginx"
work=$(mktemp -d /tmp/php.XXXXXX) || exit 1
if [ -n "$ini" ]; then
  mkdir "$work/ini" && cp "$ini" "$work/ini/90-app.ini"
  export PHP_INI_SCAN_DIR=":$work/ini"
fi
for file in fpm.conf nginx.conf; do
  sed -e "s|@PORT@|$PORT|g" -e "s|@WORK@|$work|g" -e "s|@DOCUMENTS@|$root|g" -e "s|@MOST@|${WEB_CONCURRENCY:-4}|g" \
    -e "s|#@HIDDEN@|$hidden|" \
    -e "s|#@CONF@|${conf:+include $conf;}|" -e "s|;@FPM@|${fpm:+include=$fpm}|" ".paas/php/$file" > "$work/$file"
done
"${servers[-1]}" --nodaemonize --fpm-config "$work/fpm.conf" &
php=$!
# nginx answers as soon as it listens: not before php-fpm does
until [ -S "$work/fpm.sock" ]; do kill -0 $php 2> /dev/null || exit 1; sleep 0.02; done
/usr/sbin/nginx -e stderr -c "$work/nginx.conf" &
web=$!
# Both end their requests on QUIT and drop them on TERM; nginx goes first, as it still needs php-fpm.
leave() {
  trap '' TERM INT
  kill -QUIT $web 2> /dev/null; wait $web
  kill -QUIT $php 2> /dev/null; wait $php
  rm -rf "$work"
  exit "$1"
}
trap 'leave 143' TERM INT
wait -n
echo "$name: php-fpm or nginx has ended" >&2
leave 1
"""

FPM = """\
[global]
error_log = /proc/self/fd/2
log_limit = 8192
daemonize = no
[www]
listen = @WORK@/fpm.sock
pm = dynamic
pm.max_children = @MOST@
pm.start_servers = 1
pm.min_spare_servers = 1
pm.max_spare_servers = @MOST@
clear_env = no
catch_workers_output = yes
decorate_workers_output = no
security.limit_extensions = .php
php_admin_value[error_log] = /proc/self/fd/2
php_admin_flag[log_errors] = on
php_flag[display_errors] = off
php_flag[expose_php] = off
;@FPM@
"""

NGINX = r"""
daemon off;
worker_processes 1;
pid @WORK@/nginx.pid;
error_log stderr warn;
events { worker_connections 1024; }
http {
  types {
%(types)s
  }
  default_type %(default)s;
  access_log off;
  server_tokens off;
  sendfile on;
  tcp_nopush on;
  keepalive_timeout 75s;
  gzip on;
  gzip_vary on;
  gzip_proxied any;
  gzip_min_length 1024;
  gzip_types %(gzip)s;
  client_max_body_size 0;
  client_body_temp_path @WORK@/body;
  fastcgi_temp_path @WORK@/fastcgi;
  proxy_temp_path @WORK@/proxy;
  uwsgi_temp_path @WORK@/uwsgi;
  scgi_temp_path @WORK@/scgi;
  map $http_x_forwarded_proto $behind_tls { default ""; https on; }
  map $http_x_forwarded_port $outside_port { default $http_x_forwarded_port; "" $server_port; }
  server {
    listen 0.0.0.0:@PORT@;
    server_name _;
    root @DOCUMENTS@;
    index index.php index.html index.htm;
    absolute_redirect off;
    location ~ /\.(?!well-known(/|$)) { return 404; }
    #@HIDDEN@
    location ~ ^/(composer\.(json|lock)|Procfile|app\.json|package\.json)$ { return 404; }
    #@CONF@
    location / { try_files $uri $uri/ /index.php$is_args$args; }
    location ~ \.php(/|$) {
      fastcgi_split_path_info ^(.+?\.php)(/.*)$;
      set $path_info $fastcgi_path_info;
      if (!-f $document_root$fastcgi_script_name) { return 404; }
%(parameters)s
      fastcgi_param HTTPS $behind_tls if_not_empty;
      fastcgi_read_timeout 3600s;
      fastcgi_pass unix:@WORK@/fpm.sock;
    }
  }
}
""".lstrip()

PARAMETERS = {
    "SCRIPT_FILENAME": "$document_root$fastcgi_script_name",
    "PATH_INFO": "$path_info",
    "QUERY_STRING": "$query_string",
    "REQUEST_METHOD": "$request_method",
    "CONTENT_TYPE": "$content_type",
    "CONTENT_LENGTH": "$content_length",
    "SCRIPT_NAME": "$fastcgi_script_name",
    "REQUEST_URI": "$request_uri",
    "DOCUMENT_URI": "$document_uri",
    "DOCUMENT_ROOT": "$document_root",
    "SERVER_PROTOCOL": "$server_protocol",
    "REQUEST_SCHEME": "$scheme",
    "GATEWAY_INTERFACE": "CGI/1.1",
    "SERVER_SOFTWARE": "nginx",
    "REMOTE_ADDR": "$remote_addr",
    "REMOTE_PORT": "$remote_port",
    "SERVER_ADDR": "$server_addr",
    "SERVER_PORT": "$outside_port",
    "SERVER_NAME": "$host",
    "REDIRECT_STATUS": "200",
    "HTTP_PROXY": '""',
}


def nginx_template() -> str:
    """The configuration, with @…@ for the start program to fill in; a stack's own /etc/nginx is not needed."""
    suffixes: dict[str, list[str]] = {}
    for suffix, kind in TYPES.items():
        suffixes.setdefault(kind, []).append(suffix)
    return NGINX % {
        "types": "\n".join(f"    {kind} {' '.join(names)};" for kind, names in sorted(suffixes.items())),
        "default": DEFAULT,
        "gzip": " ".join(sorted(COMPRESSIBLE - {"text/html"})),
        "parameters": "\n".join(f"      fastcgi_param {name} {value};" for name, value in PARAMETERS.items()),
    }


def write_server(app: Path, root: str, vendor: str, bin_dir: str) -> None:
    """Write the program and its templates; Procfiles also call it as vendor/bin/heroku-php-nginx."""
    folder = app / ".paas" / "php"
    folder.mkdir(parents=True, exist_ok=True)
    program = START.replace("@APP@", shlex.quote(str(app))).replace("@ROOT@", root)
    program = program.replace("@VENDOR@", shlex.quote(vendor))
    for name in SHIMS:
        (folder / name).write_text(program, encoding="utf-8")
        (folder / name).chmod(0o755)
        link = app / bin_dir / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(folder / name)
    (folder / "fpm.conf").write_text(FPM, encoding="utf-8")
    (folder / "nginx.conf").write_text(nginx_template(), encoding="utf-8")
