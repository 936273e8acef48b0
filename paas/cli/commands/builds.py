"""Builds: start, list, show, output, cancel.

In: a folder, an archive or a URL; the id of a build, or none for the newest.  Out: what it said and how it ended.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click

from paas.cli.call import Call, command
from paas.cli.failures import Failure, Usage
from paas.cli.output import ago, print_fields, print_table, say


def _newest(call: Call, count: int) -> list[Any]:
    return call.api.list(f"{call.path}/builds", f"created_at ..; order=desc, max={count}")


def _build(call: Call, build_id: str | None) -> Any:
    from paas.cli.client import segment

    if build_id is not None:
        return call.api.get(f"{call.path}/builds/{segment(build_id)}")
    rows = _newest(call, 1)
    if not rows:
        raise Failure(f"{call.app} has no builds. Start one with `git push`.")
    return rows[0]


@command(
    click.option(
        "-n", "--num", type=click.IntRange(1, 1000), default=15, show_default=True, help="How many."
    ),
    app=True,
    help="List builds, the newest first.",
)
def builds(call: Call, num: int) -> None:
    rows = _newest(call, num)
    table = [
        (row["id"], row["state"], row["source_blob"]["version"][:8], row["message"], ago(row["created_at"]))
        for row in rows
    ]
    call.show(rows, lambda: print_table(table, ("BUILD", "STATE", "COMMIT", "MESSAGE", "WHEN")))


@command(
    click.option(
        "--dir", "folder", metavar="FOLDER", help="A folder, without what .gitignore names (default: .)."
    ),
    click.option(
        "--source-tar", metavar="FILE", help="An archive: tar (plain, gzip, bzip2, xz, zstd) or zip."
    ),
    click.option("--source-url", metavar="URL", help="An archive that the platform fetches."),
    click.option("--checksum", metavar="SHA256:HEX", default="", help="What the archive must have."),
    click.option("--version", metavar="TEXT", default="", help="What the build is called, such as a commit."),
    click.option("--no-wait", is_flag=True, help="Do not wait for the build."),
    app=True,
    help="Build and release a folder, an archive or a URL, without git.",
)
def create(
    call: Call,
    folder: str | None,
    source_tar: str | None,
    source_url: str | None,
    checksum: str,
    version: str,
    no_wait: bool,
) -> None:
    if sum(one is not None for one in (folder, source_tar, source_url)) > 1:
        raise Usage("Give one of --dir, --source-tar and --source-url.")
    url = source_url
    if url is None and source_tar is not None:
        url = _uploaded(call, Path(source_tar))
    elif url is None:
        url, known = _packed(call, Path(folder or "."))
        version = version or known
    blob = {"url": url, "version": version, "checksum": checksum}
    follow_build(call, call.api.post(f"{call.path}/builds", {"source_blob": blob}), wait=not no_wait)


def _uploaded(call: Call, file: Path) -> str:
    if not file.is_file():
        raise Usage(f"There is no file {file}.")
    blob = call.api.post(f"{call.path}/sources")["source_blob"]
    call.api.upload(blob["put_url"], file)
    return str(blob["get_url"])


def _packed(call: Call, folder: Path) -> tuple[str, str]:
    from paas.cli.local_source import commit_of, write_archive

    with tempfile.TemporaryDirectory(prefix="paas-source-") as place:
        archive = Path(place) / "source.tar.gz"
        count = write_archive(folder, archive)
        if not call.json:
            say(f"Sending {count} files, {archive.stat().st_size / 1024**2:.1f} MB")
        return _uploaded(call, archive), commit_of(folder)


def follow_build(call: Call, build: dict[str, Any], *, wait: bool = True) -> None:
    """Print a build's output until its release serves. Raises Failure when it does not come to that."""
    from paas.cli.commands.images import follow

    if call.json or not wait:
        call.show(build, lambda: say(f"Build {build['id']} has started; paas builds:output shows it."))
        return
    path = f"{call.path}/builds/{build['id']}"
    ended = follow(call, build["output_stream_url"], path, ("pending",))
    if ended["status"] == "failed":
        raise Failure(f"The build {ended['state']}: {ended['message']}")
    _check_release(call, ended)


def _check_release(call: Call, build: dict[str, Any]) -> None:
    rows = (
        call.api.list(f"{call.path}/deployments", "created_at ..; order=desc, max=20")
        if build["release"]
        else []
    )
    mine = [row for row in rows if row["release"]["id"] == build["release"]["id"]]
    if mine and mine[0]["status"] in ("failed", "cancelled"):
        raise Failure(f"The release did not go live: {mine[0]['message']}")


@command(click.argument("build", required=False), app=True, help="Show a build: source, state, times.")
def info(call: Call, build: str | None) -> None:
    found = _build(call, build)
    call.show(found, lambda: _print_build(found))


def _print_build(found: dict[str, Any]) -> None:
    blob, packs = found["source_blob"], ", ".join(pack["name"] for pack in found["buildpacks"])
    times = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in found["timings"].items())
    rows = [
        ("Build", found["id"]),
        ("State", found["state"]),
        ("Message", f"{found['message']} ({found['error_id']})" if found["error_id"] else ""),
        ("Origin", found["origin"]),
        ("Source", blob["url"]),
        ("Checksum", blob["checksum"]),
        ("Commit", f"{blob['version']} {blob['version_description']}".strip()),
        ("Stack", found["stack"]),
        ("Buildpacks", packs),
        ("By", found["user"]["email"]),
        ("Started", ago(found["created_at"])),
        ("Times", times),
    ]
    print_fields([(name, value) for name, value in rows if value])


@command(
    click.argument("build", required=False), app=True, help="Show the output of a build, live while it runs."
)
def output(call: Call, build: str | None) -> None:
    found = _build(call, build)
    lines = call.api.lines(found["output_stream_url"])
    if call.json:
        call.show({"build": found, "lines": list(lines)}, say)
        return
    for line in lines:
        say(line)


@command(click.argument("build", required=False), app=True, help="Cancel a build.")
def cancel(call: Call, build: str | None) -> None:
    cancelled = call.api.delete(f"{call.path}/builds/{_build(call, build)['id']}")
    call.show(cancelled, lambda: say(f"Build {cancelled['id']}: {cancelled['state']}."))


@command(app=True, help="Give up the build cache: the next build installs everything anew.")
def purge_cache(call: Call) -> None:
    call.api.delete(f"{call.path}/build-cache")
    call.show(
        {"app": call.app},
        lambda: say(f"Purged the build cache of {call.app}; the next build starts without."),
    )
