"""What names a buildpack: a built-in one, a folder of the repository, a git repository or an archive.

`cnb:` before a folder, repository, archive or `docker://` names a Cloud Native Buildpack, or a collection of them;
before an id, one that the platform's operator offers.

In: texts as people and Heroku's clients write them.  Out: references, or a ValueError in words. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

BUILT_IN = {
    "heroku/python": "python",
    "heroku/nodejs": "node",
    "heroku/static": "static",
    "heroku-community/static": "static",
    "heroku/procfile": "procfile",
    "heroku/go": "go",
    "heroku/ruby": "ruby",
    "heroku/php": "php",
    "heroku/java": "java",
    "heroku/gradle": "java",
    "python": "python",
    "node": "node",
    "nodejs": "node",
    "static": "static",
    "procfile": "procfile",
    "go": "go",
    "ruby": "ruby",
    "php": "php",
    "java": "java",
}
URN = "urn:buildpack:"
INDEX = "urn:cnb:registry:"
CNB = "cnb:"
REGISTRY = re.compile(r"https://buildpack-registry\.s3\.amazonaws\.com/buildpacks/([\w-]+/[\w-]+)\.tgz")
SCHEMES = ("https", "http", "file")
MOST = 16  # buildpacks of one app
WHERE = (  # a list of buildpacks is corrected
    "with `paas buildpacks:set`, or where the repository names it (.buildpacks, app.json, project.toml), "
    "and push again."
)
LONGEST = 500  # characters of one reference
FOLDER = re.compile(r"\./[^\0]+")
REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/@+-]*")
ARCHIVES = (".tgz", ".tar.gz")
OFFERED_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*(?:@[A-Za-z0-9._+-]+)?")
IMAGE = re.compile(
    r"docker://(?P<host>[A-Za-z0-9.-]+(?::\d+)?)/(?P<name>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


class Source(StrEnum):
    BUILT_IN = "built-in"
    FOLDER = "folder"
    GIT = "git"
    ARCHIVE = "archive"
    CNB = "cnb"
    IMAGE = "image"
    PLATFORM = "platform"


@dataclass(frozen=True)
class Reference:
    """`text` is the one spelling that is stored; `place` is a name, a relative folder or a URL without its ref.

    Of a Cloud Native Buildpack `place` is a reference itself: where it comes from.
    """

    text: str
    source: Source
    place: str
    ref: str = ""


def parse_reference(given: str, schemes: tuple[str, ...]) -> Reference:
    """Return what `given` names. Raises ValueError saying what is wrong with it."""
    text = given.strip().removeprefix(URN)
    if from_registry := REGISTRY.fullmatch(text):
        text = from_registry[1]
    if not text or len(text) > LONGEST or not text.isprintable():
        raise ValueError(f"A buildpack is named by 1 to {LONGEST} printable characters.")
    if text.removeprefix(CNB).startswith(INDEX):
        raise ValueError(
            f"{text.removeprefix(CNB)!r} cannot be found: the index of that registry is not read here. Give the URL of "
            "the buildpack's repository or archive, or docker://HOST/NAME of its image."
        )
    if text in BUILT_IN:
        return Reference(text, Source.BUILT_IN, BUILT_IN[text])
    if text.startswith(CNB):
        inner = parse_place(text.removeprefix(CNB), schemes)
        if inner.source in (Source.BUILT_IN, Source.CNB):
            raise ValueError(
                f"{text!r} is no Cloud Native Buildpack: give cnb:./FOLDER, cnb:ID, or cnb: before a URL."
            )
        return Reference(f"{CNB}{inner.text}", Source.CNB, inner.text)
    if text.startswith("./"):
        return _folder(text)
    if "://" in text:
        return _url(text, schemes)
    names = ", ".join(name for name in BUILT_IN if "/" in name)
    raise ValueError(
        f"There is no buildpack {text!r} here: give one of {names}, the URL of one, or ./FOLDER in the repository."
    )


def of_one_kind(references: Sequence[Reference]) -> bool:
    """Return whether they are Cloud Native Buildpacks; ValueError when some are and some are not."""
    kinds = {one.source is Source.CNB for one in references}
    if len(kinds) > 1:
        raise ValueError("Cloud Native Buildpacks (cnb:…) and others cannot build an app together.")
    return kinds == {True}


def _image(text: str) -> Reference | None:
    if not text.startswith("docker://"):
        return None
    if not IMAGE.fullmatch(text):
        raise ValueError(f"{text!r} names no image: write docker://HOST/NAME, then :TAG or @sha256:DIGEST.")
    return Reference(text, Source.IMAGE, text)


def parse_place(text: str, schemes: tuple[str, ...]) -> Reference:
    """Return where a Cloud Native Buildpack comes from: the place of its reference."""
    if text not in BUILT_IN and OFFERED_ID.fullmatch(text):
        return Reference(text, Source.PLATFORM, text)
    return _image(text) or parse_reference(text, schemes)


def _folder(text: str) -> Reference:
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if not parts or ".." in parts:
        raise ValueError(f"{text!r} is no folder inside the repository: write it as ./FOLDER.")
    return Reference(f"./{'/'.join(parts)}", Source.FOLDER, "/".join(parts))


def _url(text: str, schemes: tuple[str, ...]) -> Reference:
    url, _, ref = text.partition("#")
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ValueError(f"{text!r} is no URL: {error}.") from error
    if parts.scheme not in schemes:
        raise ValueError(f"{text!r} cannot be fetched: buildpacks come by {' or '.join(schemes)} only.")
    if parts.username is not None or parts.password is not None:
        raise ValueError(
            "A buildpack's URL is shown to everybody who sees the app, so it may hold no user or password."
        )
    if not parts.netloc and parts.scheme != "file":
        raise ValueError(f"{text!r} is no URL: it names no host.")
    if parts.path.endswith(ARCHIVES):
        if ref:
            raise ValueError(f"{text!r} is an archive, which has no #{ref}.")
        return Reference(text, Source.ARCHIVE, url)
    if ref and not REF.fullmatch(ref):
        raise ValueError(f"#{ref} is no branch, tag or commit.")
    return Reference(text, Source.GIT, url, ref)


def parse_schemes(text: str) -> tuple[str, ...]:
    """Return the schemes in `https,file`. Raises ValueError."""
    schemes = tuple(dict.fromkeys(part for part in re.split(r"[,\s]+", text.strip()) if part))
    unknown = [scheme for scheme in schemes if scheme not in SCHEMES]
    if unknown or not schemes:
        raise ValueError(f"buildpacks can come by {', '.join(SCHEMES)} only")
    return schemes


def parse_list(text: str) -> list[str]:
    """Return the references in a `.buildpacks` file: one a line, `#` before a remark."""
    lines = (line.strip() for line in text.lstrip("\ufeff").splitlines())
    return [line for line in lines if line and not line.startswith("#")]
