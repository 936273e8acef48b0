"""The phases of a build by Cloud Native Buildpacks: detect, restore, build, export into the app's tree.

In: buildpacks with an order, a workspace.  Out: the same value as other buildpacks give, with a launcher in the tree.
Layers lie below <app>/.paas/layers, at the same path in the build and at launch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..command import run
from ..environment import architecture
from ..errors import BuildError
from ..heroku.variables import clean_environment, write_env_dir
from ..result import UsedBuildpack
from ..workspace import Compiled, Workspace
from .bringing import Brought
from .descriptor import Pack, Place
from .detecting import Answer, Detected, ask_pack, detect
from .exporting import Built, export
from .keeping import kept_of, restore
from .launching import write_launcher
from .layers import read_layers, set_ignored_aside
from .order import groups_of
from .plan import Need, entries_for, still_open
from .processes import Process, combined, commands, parse_processes
from .tables import read_table
from .toml_writing import to_toml
from .variables import BUILD_PATHS, apply, folder_changes, path_changes, with_users

LAYERS = ".paas/layers"
OS_RELEASE = Path("/etc/os-release")


@dataclass(frozen=True)
class Phases:
    """What the phases share. `users` are the app's config vars, and what project.toml adds to them."""

    work: Workspace
    place: Place
    platform: Path
    users: Mapping[str, str]

    def env_of(self, pack: Pack, before: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of one buildpack's programs, after what buildpacks before it gave."""
        env = dict(before) if pack.descriptor.clear_env else with_users(before, self.users)
        return {**env, "CNB_BUILDPACK_DIR": str(pack.root)}


def compile_cnb(
    brought: Brought, users: Mapping[str, str], work: Workspace
) -> tuple[Compiled, tuple[UsedBuildpack, ...]]:
    """Run all phases. Raises BuildError naming the buildpack that stopped it."""
    place = here(work.stack.name)
    env_dir = write_env_dir(work.scratch / "cnb" / "platform" / "env", users)
    phases = Phases(work, place, env_dir.parent, users)
    env = base_environment(work, place)
    work.output.step("Detecting Cloud Native Buildpacks")
    detected = _detect(brought, phases, env)
    built = _build_all(detected, phases, env)
    with work.timed("export"):
        launched, dependencies = export(built, work.app / LAYERS, work.app)
    texts = commands(combined(one.processes for one in built))
    write_launcher(work.app, launched, texts)
    _tell_unused(built, texts, work)
    compiled = Compiled(
        version="",
        processes={type: text for type, (text, _) in texts.items() if _is_type(type)},
        dependencies=dependencies,
        no_web="No buildpack declares a process type in its launch.toml.",
    )
    return compiled, tuple(
        UsedBuildpack(one.pack.descriptor.id, one.pack.descriptor.version) for one in built
    )


def _is_type(type: str) -> bool:
    return "." not in type


def here(stack: str, release: Path = OS_RELEASE) -> Place:
    """Return what the build container is, as buildpacks know it."""
    lines = release.read_text("utf-8", "replace").splitlines() if release.is_file() else []
    about = {name: value.strip("\"'") for name, _, value in (line.partition("=") for line in lines)}
    return Place(
        stack_id=f"io.paas.stacks.{stack}",
        arch=architecture(),
        distro=about.get("ID", ""),
        distro_version=about.get("VERSION_ID", ""),
    )


def base_environment(work: Workspace, place: Place) -> dict[str, str]:
    """No config var in it: each buildpack gets those as it wants them."""
    env = clean_environment(work.env, work.stack.name)
    del env["STACK"]  # the older API's
    return {
        **env,
        "CNB_STACK_ID": place.stack_id,
        "CNB_TARGET_OS": place.os,
        "CNB_TARGET_ARCH": place.arch,
        "CNB_TARGET_DISTRO_NAME": place.distro,
        "CNB_TARGET_DISTRO_VERSION": place.distro_version,
    }


def _detect(brought: Brought, phases: Phases, env: Mapping[str, str]) -> Detected:
    def asked(pack: Pack) -> Answer:
        return ask_pack(pack, phases.place, phases.platform, phases.env_of(pack, env), phases.work)

    with phases.work.timed("detect"):
        return detect(groups_of(brought.order, brought.packs), asked, phases.work)


def _build_all(detected: Detected, phases: Phases, env: dict[str, str]) -> tuple[Built, ...]:
    """Run bin/build of each; every one sees the build layers of those before it."""
    needs, built = detected.needs, []
    for pack in detected.packs:
        one, unmet = _build(pack, needs, phases, env)
        built.append(one)
        needs = still_open(pack.descriptor.id, needs, unmet)
        env = _with_layers(env, one)
    return tuple(built)


def _build(
    pack: Pack, needs: tuple[Need, ...], phases: Phases, env: Mapping[str, str]
) -> tuple[Built, tuple[str, ...]]:
    work, about = phases.work, pack.descriptor
    layers_dir = work.app / LAYERS / about.folder
    kept = kept_of(work.cache, about.folder)
    work.output.step(f"{about.name} ({about.label})")
    for name in restore(kept, layers_dir, about.label):
        work.output.info(f"Restored the layer {name} from the cache")
    plan = work.scratch / "cnb" / "plans" / f"{about.folder}-build.toml"
    plan.write_text(to_toml({"entries": entries_for(about.id, needs)}), "utf-8")
    _run(pack, layers_dir, plan, phases, env)
    layers = read_layers(layers_dir, about.label)
    set_ignored_aside(layers_dir, layers)
    unmet = read_table(layers_dir / "build.toml", f"build.toml of {about.label}").tables("unmet")
    launch = read_table(layers_dir / "launch.toml", f"launch.toml of {about.label}")
    labels = {one.text("key"): one.text("value") for one in launch.tables("labels")}
    processes = parse_processes(launch, about.api)
    return Built(pack, layers_dir, kept, layers, processes, labels), tuple(one.text("name") for one in unmet)


def _run(pack: Pack, layers: Path, plan: Path, phases: Phases, env: Mapping[str, str]) -> None:
    argv = [str(pack.root / "bin" / "build"), str(layers), str(phases.platform), str(plan)]
    variables = {
        **phases.env_of(pack, env),
        "CNB_LAYERS_DIR": str(layers),
        "CNB_PLATFORM_DIR": str(phases.platform),
        "CNB_BP_PLAN_PATH": str(plan),
    }
    with phases.work.timed("compile"):
        done = run(argv, cwd=phases.work.app, env=variables, output=phases.work.output)
    if done.code:
        how = f"was ended by signal {-done.code}" if done.code < 0 else f"ended with exit code {done.code}"
        message = f"The Cloud Native Buildpack {pack.descriptor.label} failed: bin/build {how}."
        raise BuildError("cnb_build_failed", message, hint="Its own output is above.")


def _with_layers(env: Mapping[str, str], built: Built) -> dict[str, str]:
    """Return the environment for the buildpacks after this one."""
    folders = [built.folder / layer.name for layer in built.layers if layer.build]
    changes = [*path_changes(folders, BUILD_PATHS)]
    for folder in folders:
        changes += [*folder_changes(folder / "env"), *folder_changes(folder / "env.build")]
    return apply(env, changes)


def _tell_unused(built: tuple[Built, ...], texts: Mapping[str, tuple[str, Process]], work: Workspace) -> None:
    """Of types with a dot one may be there as `web`."""
    there = {process.type for _, process in texts.values()}
    for one in built:
        for process in one.processes:
            if not _is_type(process.type) and process.type not in there:
                work.output.warn(f"The process type {process.type} is left out: here no type has a dot.")
