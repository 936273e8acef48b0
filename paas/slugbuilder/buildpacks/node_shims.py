"""npm, yarn, pnpm and npx at run time.

In: an app folder.  Out: `.paas/bin/npm` and its like: they start scripts and installed programs and get out of the way,
so that the app gets the signals and no npm stays in memory. Run images have no npm; where one is, it does the rest.
"""

from __future__ import annotations

from pathlib import Path

NPM = r"""#!/bin/sh
# npm, yarn and pnpm at run time: `npm start`, `npm run NAME [-- ARGS]`, `yarn NAME`. Installing belongs to the build.
manager=${0##*/}
case "$manager:$1" in
  yarn:node | pnpm:node) shift; exec node "$@" ;;
  yarn:start | yarn:run | yarn:exec | yarn:test | pnpm:start | pnpm:run | pnpm:exec | pnpm:test) ;;
  yarn:* | pnpm:*)
    [ -x "node_modules/.bin/$1" ] && program=$1 && shift && exec "node_modules/.bin/$program" "$@"
    set -- run "$@"
    ;;
esac
case "$1" in
  start|test|stop|restart) script=$1; shift ;;
  run|run-script|rum|urn) script=${2:-}; shift; [ $# -gt 0 ] && shift ;;
  exec|x) shift; [ "$1" = "--" ] && shift; exec npx "$@" ;;
  *)
    [ $manager = npm ] && [ -x /usr/bin/npm ] && exec /usr/bin/npm "$@"
    echo "$manager $1: at run time there are start, test, run and exec; the build installs packages." >&2
    exit 1
    ;;
esac
[ "$1" = "--" ] && shift
command=$(node -e '
  const fs = require("fs"), [script, ...args] = process.argv.slice(1);
  const s = JSON.parse(fs.readFileSync("package.json", "utf8").replace(/^\uFEFF/, "")).scripts || {};
  const main = s[script] || (script === "start" && fs.existsSync("server.js") ? "node server.js" : "");
  if (!main) { console.error(`npm: package.json has no script "${script}"`); process.exit(1); }
  const quoted = args.map((arg) => " \x27" + arg.replace(/\x27/g, "\x27\\\x27\x27") + "\x27").join("");
  process.stdout.write((s["pre" + script] ? s["pre" + script] + " && " : "") + main + quoted);
' -- "$script" "$@") || exit 1
export npm_lifecycle_event="$script" PATH="$PWD/node_modules/.bin:$PATH"
echo "> $command"
exec "${0%/bin/*}/run" "$command"
"""

NPX = r"""#!/bin/sh
# npx at run time: programs that the build installed.
while [ "${1#-}" != "$1" ]; do shift; done
if [ -x "node_modules/.bin/$1" ]; then program=$1; shift; exec "node_modules/.bin/$program" "$@"; fi
echo "npx: $1 is not installed; add it to dependencies in package.json." >&2
exit 1
"""


def write_shims(app: Path) -> None:
    """Write the programs; they come first on PATH."""
    folder = app / ".paas" / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("npm", NPM), ("yarn", NPM), ("pnpm", NPM), ("npx", NPX)):
        program = folder / name
        program.write_text(text, encoding="utf-8")
        program.chmod(0o755)
