"""Connecting an app to a git repository elsewhere, and deploying from it; the folder of a repository that is the app.

In: what a user says of the repository, what its hooks say.  Out: rows; a build whose worker fetches the commit.
Token, key and secret are kept encrypted; only the secret of the hook is ever shown, once.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from django.db import IntegrityError, transaction
from django.utils import timezone

from paas.controller.encryption import decrypt, encrypt
from paas.controller.models import App, Build, Delivery, Source, User
from paas.controller.services import events, hook_records
from paas.controller.services.builds import create_build
from paas.controller.services.locking import lock_app
from paas.controller.services.source_fetching import reach
from paas.errors import Conflict, InvalidParams, NotFound, PaasError
from paas.sources.hooks import Hook
from paas.sources.urls import check_ref, parse_git_url

PATH_MOST = 500
TOKEN_USER = re.compile(r"[A-Za-z0-9._@-]{0,100}")


@dataclass(frozen=True)
class Repository:
    """What a user connects. `token`: for https; None keeps the one there is, '' forgets it. `again`: connected anew,
    not only used in another way, so that the server may have another host key."""

    url: str
    branch: str = "main"
    token: str | None = None
    token_user: str = ""
    automatic: bool = True
    again: bool = True


def connect(user: User, app: App, wanted: Repository) -> tuple[Source, str]:
    """Connect an app, or change what it is connected to. Returns the row and the hook's secret, '' when it stays.

    Another repository gets no token of the one before: whoever connects it may be another user than who gave that.
    """
    url, branch = parse_git_url(wanted.url), check_ref(wanted.branch)
    reach()
    if wanted.token and url.scheme == "ssh":
        raise InvalidParams("A token is for https; by ssh the repository is opened by the deploy key alone.")
    if wanted.token and not _printable(wanted.token):
        raise InvalidParams("The token holds blanks or characters that no header can carry.")
    if not TOKEN_USER.fullmatch(wanted.token_user):
        raise InvalidParams("The user of a token has at most 100 letters, digits, `.`, `_`, `@` and `-`.")
    with transaction.atomic():
        app = lock_app(app.id)
        source = Source.objects.filter(app=app).first()
        secret = "" if source else secrets.token_urlsafe(32)
        if source is None:
            source = Source(app=app, secret_encrypted=encrypt(secret.encode()))
        elif source.url != url.text:
            source.token_encrypted = b""
        if wanted.token is not None:
            source.token_encrypted = encrypt(wanted.token.encode()) if wanted.token else b""
        if wanted.again:
            source.host_keys = ""
        if url.scheme == "ssh" and not source.public_key:
            private, source.public_key = new_key(app.name)
            source.key_encrypted = encrypt(private)
        source.user, source.url, source.branch = user, url.text, branch
        source.token_user, source.automatic = wanted.token_user, wanted.automatic
        source.waiting_commit = ""
        source.save()
        events.record(user, "source.connect", source.id, app, url=url.text, branch=branch)
    return source, secret


def _printable(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text and len(text) <= 4000


def new_key(name: str) -> tuple[bytes, str]:
    """Return a private key as OpenSSH reads it, and the line that goes to the git server."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return private, f"{public.decode()} paas-{name}"


def disconnect(user: User, app: App) -> None:
    """Forget the repository with everything that opens it. A no-op without one."""
    with transaction.atomic():
        app = lock_app(app.id)
        source = Source.objects.filter(app=app).first()
        if source is not None:
            events.record(user, "source.disconnect", source.id, app, url=source.url)
            source.delete()


def new_secret(user: User, app: App) -> tuple[Source, str]:
    """Replace the secret of the hook; the old one is refused from now on."""
    secret = secrets.token_urlsafe(32)
    with transaction.atomic():
        app = lock_app(app.id)
        source = connected(app)
        source.secret_encrypted = encrypt(secret.encode())
        source.save(update_fields=["secret_encrypted", "updated_at"])
        events.record(user, "source.secret", source.id, app)
    return source, secret


def connected(app: App) -> Source:
    """Return the repository of an app. Raises NotFound saying how to connect one."""
    source = Source.objects.filter(app=app).first()
    if source is None:
        raise NotFound(
            f"{app.name} is not connected to a repository: paas source:connect URL.",
            app=app.name,
            resource="source",
        )
    return source


def set_path(user: User, app: App, path: str) -> App:
    """Choose the folder of the source that is the app, from the next build on; '' is all of it."""
    path = path.strip().strip("/")
    parts = path.split("/") if path else []
    if (
        any(part in ("", ".", "..") for part in parts)
        or "\0" in path
        or "\n" in path
        or len(path) > PATH_MOST
    ):
        raise InvalidParams(f"{path[:80]!r} is no folder of a repository; it looks like apps/api.")
    with transaction.atomic():
        app = lock_app(app.id)
        if app.source_path != path:
            app.source_path = path
            app.save(update_fields=["source_path", "updated_at"])
            events.record(user, "source.path", app.id, app, path=path)
    return app


def deploy(user: User | None, app: App, ref: str = "", origin: str = "source") -> Build:
    """Build what a branch, tag or commit of the repository is now. Raises NotFound, Conflict, SourceError."""
    source = connected(app)
    wanted = check_ref(ref or source.branch, "branch, tag or commit")
    commit = wanted if len(wanted) == 40 else ""
    place = {"kind": "git", "url": source.url, "ref": wanted}
    return create_build(user, app, source=place, commit=commit, origin=origin)


def secret_of(source: Source) -> str:
    return decrypt(source.secret_encrypted).decode()


def take_hook(source: Source, hook: Hook) -> tuple[str, Build | None]:
    """Build what a hook says was pushed. Returns what was done, in words, and the build if one was started."""
    try:
        words, build = _take(source, hook)
    except PaasError as error:
        hook_records.record(source, hook, error.message, None)
        raise
    hook_records.record(source, hook, words, build)
    return words, build


def _take(source: Source, hook: Hook) -> tuple[str, Build | None]:
    if hook.kind == "ping":
        return "pong", None
    if hook.kind != "push":
        return "ignored: not a push", None
    if hook.deleted or not hook.commit:
        return "ignored: no commit to build", None
    if hook.branch != source.branch:
        return f"ignored: {source.app.name} is built from {source.branch}", None
    if not source.automatic:
        return "ignored: automatic deploys are off", None
    try:
        with transaction.atomic():
            lock_app(source.app_id)
            for key in hook.keys:
                Delivery.objects.create(source=source, key=key)
            build = _start(source, hook.commit)
    except IntegrityError:
        return "ignored: this delivery was taken before", None
    return ("a build was started" if build else "noted: it is built when the running build is over"), build


def _start(source: Source, commit: str) -> Build | None:
    """Build a commit, or note it while another build runs: the newest one counts."""
    source.waiting_commit = ""
    try:
        with transaction.atomic():
            build = deploy(source.user, source.app, commit, origin="hook")
    except Conflict:
        build, source.waiting_commit = None, commit
    Source.objects.filter(id=source.id).update(
        waiting_commit=source.waiting_commit, updated_at=timezone.now()
    )
    return build


def start_waiting(app_id: str) -> None:
    """Build the commit that was pushed while another build ran. A no-op without one."""
    with transaction.atomic():
        source = (
            Source.objects.select_related("app", "user")
            .filter(app_id=app_id)
            .exclude(waiting_commit="")
            .first()
        )
        if source is None:
            return
        lock_app(source.app_id)
        source.refresh_from_db(fields=["waiting_commit"])
        commit = source.waiting_commit
        build = _start(source, commit) if commit else None
        if build is not None:
            hook_records.link_build(source, commit, build)
