"""The programs that start every process of a slug.

In: what the buildpack knows.  Out: `.paas/launch`, called as `launch -c COMMAND`, which prepares a login-like
environment and hands over to `.paas/run`.

Signals must reach the app. A simple command replaces the shell. A compound one (`cd src && gunicorn app`, pipes) gets
a shell that passes SIGTERM on to all of its processes and waits for them, as a Heroku dyno does.
"""

from __future__ import annotations

from pathlib import Path

LAUNCH = r"""#!/bin/sh
# Starts one process: `launch -c COMMAND`. COMMAND is run by a shell, with $PORT and the config vars expanded.
[ "$1" = -c ] && shift
cd @APP@ || exit 1
export HOME=@APP@
@CONCURRENCY@for file in .profile.d/*.sh; do
  [ -r "$file" ] && . "./$file"
done
[ -r .profile ] && . ./.profile
exec @APP@/.paas/run "$1"
"""

CONCURRENCY = r"""if [ -z "${WEB_CONCURRENCY:-}" ] && [ "${MEMORY_AVAILABLE:-0}" -gt 0 ]; then
  WEB_CONCURRENCY=$((MEMORY_AVAILABLE / @MEGABYTES@))
  most=$(($(nproc) * 2 + 1))
  [ "$WEB_CONCURRENCY" -gt "$most" ] && WEB_CONCURRENCY=$most
  [ "$WEB_CONCURRENCY" -lt 1 ] && WEB_CONCURRENCY=1
  export WEB_CONCURRENCY
fi
"""

RUN = r"""#!/bin/sh
# Runs one command line here and now: `run COMMAND`. SIGTERM and SIGINT reach whatever it starts.
command -v bash > /dev/null || exec sh -c "$1"
case "$1" in
  *[\;\&\|\(\)\{\}\<\>\`]* | *"
"*) ;;
  *) exec bash -c "$1" ;;
esac
# at a terminal the keys signal the whole foreground group already
[ -t 0 ] && exec bash -c "$1"
exec bash -c '
set -m
bash -c "trap \"exit 143\" TERM
$1" <&0 &
job=$!
set +m
trap "kill -TERM -- -$job 2> /dev/null" TERM
trap "kill -INT -- -$job 2> /dev/null" INT
wait $job; code=$?
while kill -0 $job 2> /dev/null; do wait $job; code=$?; done
exit $code
' run "$1"
"""


def write_launcher(app: Path, web_memory_mb: int, shell: str = "/bin/sh", own: bool = False) -> Path:
    """Write both programs; with `own` a `.paas/launch` that is there already stays.

    `web_memory_mb` > 0: WEB_CONCURRENCY follows MEMORY_AVAILABLE (in MB) when not set.

    `shell` reads .profile.d: buildpacks of others write those files for bash.
    """
    concurrency = CONCURRENCY.replace("@MEGABYTES@", str(web_memory_mb)) if web_memory_mb else ""
    launch = app / ".paas" / "launch"
    launch.parent.mkdir(parents=True, exist_ok=True)
    for program, text in (
        (launch, LAUNCH.replace("#!/bin/sh", f"#!{shell}", 1)),
        (launch.with_name("run"), RUN),
    ):
        if own and program == launch:
            continue
        program.write_text(
            text.replace("@CONCURRENCY@", concurrency).replace("@APP@", str(app)), encoding="utf-8"
        )
        program.chmod(0o755)
    return launch
