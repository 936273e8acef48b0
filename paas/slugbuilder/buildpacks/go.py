"""Go apps: modules, built into programs in `bin/`.

In: go.mod, best with go.sum or vendor/.  Out: `bin/NAME` for every program; the Go sources themselves are left out.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from ..command import capture, run
from ..errors import BuildError
from ..go_module import Module, check_version, parse_go_mod
from ..workspace import Buildpack, Compiled, Workspace
from .go_errors import explain_go
from .hooks import run_hook

OLD = ("Gopkg.lock", "Godeps/Godeps.json", "vendor/vendor.json", "glide.yaml")
WEB_NAMES = ("web", "server", "app", "main", "api")
KEEP_SOURCES = "GO_KEEP_SOURCES"


def detect(app: Path) -> bool:
    return (app / "go.mod").is_file() or any((app / name).is_file() for name in OLD)


def compile_app(work: Workspace) -> Compiled:
    work.output.step("Go app detected")
    if not (work.app / "go.mod").is_file():
        message = "The app has the files of an old dependency manager of Go, and no go.mod."
        raise BuildError(
            "go_mod_missing", message, hint="Run `go mod init NAME && go mod tidy`, commit go.mod and go.sum."
        )
    module = parse_go_mod((work.app / "go.mod").read_text("utf-8", "replace"))
    env = go_environment(work)
    version = choose_go(work, module, env)
    run_hook(work, "go-pre-compile", env)
    with work.timed("install"):
        programs = build_programs(work, module, env)
    run_hook(work, "go-post-compile", env)
    drop_sources(work, env)
    web = web_program(programs, module)
    return Compiled(
        version=version,
        processes={"web": f"bin/{web}"} if web else {},
        env={"PATH": f"{work.app}/bin:/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"},
        no_web=""
        if web
        else f"None of the programs {', '.join(programs)} is named like the module or a server.",
    )


def go_environment(work: Workspace) -> dict[str, str]:
    """Caches outlive the build; nothing of the build's place or time gets into programs."""
    cache = work.cache_dir("go")
    defaults = {"GOTOOLCHAIN": "local", "GO111MODULE": "on"}
    flags = work.env.get("GOFLAGS", "").split()
    ours = [flag for flag in ("-trimpath", "-buildvcs=false", "-modcacherw") if flag not in flags]
    return {
        **defaults,
        **work.env,
        "GOFLAGS": " ".join([*ours, *flags]),
        "GOPATH": str(cache / "path"),
        "GOMODCACHE": str(cache / "mod"),
        "GOCACHE": str(cache / "build"),
        "GOENV": "off",
        "GOBIN": str(work.scratch / "programs"),
    }


def choose_go(work: Workspace, module: Module, env: Mapping[str, str]) -> str:
    """Return the version of the stack's Go. It fetches another one itself where the app's GOTOOLCHAIN says so."""
    local = capture(["go", "env", "GOVERSION"], {**env, "GOTOOLCHAIN": "local", "GOFLAGS": ""}).removeprefix(
        "go"
    )
    if not local:
        raise BuildError(
            "go_missing",
            f"Stack {work.stack.name} has no Go.",
            hint="Choose a stack made by the platform, such as debian-13; on the host stack install golang-go.",
        )
    if env["GOTOOLCHAIN"] == "local":
        check_version(module, local, work.stack.name)
    work.output.info(f"Using Go {local} (stack {work.stack.name})")
    if module.wanted and not local.startswith(module.wanted.removeprefix("go")):
        work.output.info(f"go.mod asks for {module.wanted.removeprefix('go')} or newer")
    return local


def build_programs(work: Workspace, module: Module, env: Mapping[str, str]) -> list[str]:
    """Build what the app names, else every program of the module. Returns their names."""
    vendored = (work.app / "vendor" / "modules.txt").is_file()
    options = ["-tags", work.env.get("GO_BUILD_TAGS", "heroku"), *linker(work.env)]
    if not any(
        flag.startswith("-mod") and not flag.startswith("-modcacherw") for flag in env["GOFLAGS"].split()
    ):
        options += ["-mod=vendor" if vendored else "-mod=readonly"]
    wanted = work.env.get("GO_INSTALL_PACKAGE_SPEC", "").split() or list(module.install)
    packages = wanted or main_packages(work, options, env)
    if vendored:
        work.output.info("Modules come from vendor/")
    work.output.step(f"Running go install {' '.join(packages)}")
    done = run(["go", "install", "-v", *options, *packages], cwd=work.app, env=env, output=work.output)
    if done.code != 0:
        raise explain_go(done.text, vendored)
    return place_programs(Path(env["GOBIN"]), work.app / "bin")


def place_programs(made: Path, folder: Path) -> list[str]:
    folder.mkdir(exist_ok=True)
    names = sorted(entry.name for entry in made.iterdir()) if made.is_dir() else []
    if not names:
        message = "Nothing that was built is a program: no package among them is named main."
        raise BuildError("go_no_program", message, hint="Name packages with a function main, or none.")
    for name in names:
        shutil.move(made / name, folder / name)
    return names


def linker(env: Mapping[str, str]) -> list[str]:
    """Heroku's GO_LINKER_SYMBOL: a string variable that is set while linking, for versions."""
    symbol = env.get("GO_LINKER_SYMBOL", "")
    value = env.get("GO_LINKER_VALUE") or env.get("SOURCE_VERSION", "")
    return ["-ldflags", f"-X '{symbol}={value}'"] if symbol else []


def main_packages(work: Workspace, options: list[str], env: Mapping[str, str]) -> list[str]:
    template = '{{if eq .Name "main"}}{{.ImportPath}}{{end}}'
    done = run(["go", "list", "-find", "-f", template, *options, "./..."], cwd=work.app, env=env, output=None)
    if done.code != 0:
        raise explain_go(done.text, "-mod=vendor" in options)
    found = [line for line in done.lines if line and " " not in line]
    if not found:
        message = "The module has no program: no package is named main."
        raise BuildError(
            "go_no_program", message, hint="Add a package main with a function main, commit and push."
        )
    return found


def web_program(programs: list[str], module: Module) -> str:
    """The only program, the one named like the module, else one with a server's name."""
    if len(programs) == 1:
        return programs[0]
    return next((name for name in (module.name, *WEB_NAMES) if name in programs), "")


def drop_sources(work: Workspace, env: Mapping[str, str]) -> None:
    """Programs hold all they need: sources and vendored modules stay out of the slug. Other files stay."""
    if work.env.get(KEEP_SOURCES):
        return
    if (work.app / "vendor" / "modules.txt").is_file():
        shutil.rmtree(work.app / "vendor")
    for folder, names, files in os.walk(work.app):
        names[:] = [name for name in names if name not in (".paas", "node_modules")]
        for name in files:
            if name.endswith(".go"):
                Path(folder, name).unlink()
    for folder, _, _ in os.walk(work.app, topdown=False):
        path = Path(folder)
        if path != work.app and not any(path.iterdir()):
            path.rmdir()
    work.output.info(f"Go sources are not part of the slug ({KEEP_SOURCES}=1 keeps them)")


GO = Buildpack("go", "Go", "go.mod", detect, compile_app)
