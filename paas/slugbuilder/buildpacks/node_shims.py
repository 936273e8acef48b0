"""npm and npx for the run stack, which has neither.

In: an app folder.  Out: `.paas/bin/npm` and `npx`: they start scripts and installed programs and get out of the way,
so that the app is a direct child of its init, gets the signals, and no npm stays in memory.
"""

from __future__ import annotations

from pathlib import Path

NPM = r"""#!/bin/sh
# npm at run time: `npm start`, `npm run NAME [-- ARGS]`, `npm test`. Installing belongs to the build.
case "$1" in
  start|test|stop|restart) script=$1; shift ;;
  run|run-script|rum|urn) script=${2:-}; shift; [ $# -gt 0 ] && shift ;;
  exec|x) shift; [ "$1" = "--" ] && shift; exec npx "$@" ;;
  -v|--version) echo "script runner of the platform (npm itself is in the build stack only)"; exit 0 ;;
  *) echo "npm $1: at run time there are start, test, run and exec; the build installs packages." >&2; exit 1 ;;
esac
[ "$1" = "--" ] && shift
command=$(node -e '
  const fs = require("fs"), script = process.argv[1];
  const s = JSON.parse(fs.readFileSync("package.json", "utf8").replace(/^\uFEFF/, "")).scripts || {};
  const main = s[script] || (script === "start" && fs.existsSync("server.js") ? "node server.js" : "");
  if (!main) { console.error(`npm: package.json has no script "${script}"`); process.exit(1); }
  process.stdout.write((s["pre" + script] ? s["pre" + script] + " && " : "") + main);
' "$script") || exit 1
export npm_lifecycle_event="$script" PATH="$PWD/node_modules/.bin:$PATH"
echo "> $command $*"
exec sh -c "$command \"\$@\"" sh "$@"
"""

NPX = r"""#!/bin/sh
# npx at run time: programs that the build installed.
while [ "${1#-}" != "$1" ]; do shift; done
if [ -x "node_modules/.bin/$1" ]; then program=$1; shift; exec "node_modules/.bin/$program" "$@"; fi
echo "npx: $1 is not installed; add it to dependencies in package.json." >&2
exit 1
"""


def write_shims(app: Path) -> None:
    """Write both programs; they come last on PATH, so that a stack's own npm wins."""
    folder = app / ".paas" / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("npm", NPM), ("npx", NPX)):
        program = folder / name
        program.write_text(text, encoding="utf-8")
        program.chmod(0o755)
