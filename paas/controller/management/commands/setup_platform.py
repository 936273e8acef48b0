"""`manage.py setup_platform`: makes the database, the first account, this machine's rows, and the stack's images.

In: the configuration.  Out: rows and files that exist afterwards, whether they did before or not.
"""

from __future__ import annotations

import json
import secrets
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from paas import authority
from paas.configuration import Configuration
from paas.controller.management.stack_images import ensure_builder, ensure_stack
from paas.controller.models import Host, Router, User
from paas.controller.services import accounts
from paas.errors import PaasError
from paas.gateway import certificates
from paas.secrets import Secrets, drop_replaced, write_private
from paas.slugbuilder.squash import ImageError
from runtime.tls import CONTROLLER, host_identity, router_identity


class Command(BaseCommand):
    help = (
        "Makes the database, the first account, this machine's rows and the stack's images. Safe to repeat."
    )
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was half made is removed
        configuration: Configuration = settings.PAAS
        say = self.stdout.write
        try:
            write_tokens(configuration.home, settings.SECRETS)
            if migrate():
                say("The database was brought up to date.")
            ensure_credentials(configuration)
            ensure_machine(configuration)
            names = certificates.names_of(configuration.public_host, configuration.domain)
            if certificates.ensure(configuration.ca_file.parent, names):
                say("The gateway's certificate was made.")
            ensure_stack(configuration, say)
            ensure_builder(configuration.home, configuration.own_ca_bundle, say)
        except PaasError as error:
            raise CommandError(error.message) from error
        except ImageError as error:
            raise CommandError(str(error)) from error


def write_tokens(home: Path, known: Secrets) -> None:
    """Write the gateway's key into a file of its own: processes are told the file, never the key.

    The tokens of an installation from before machines had certificates go.
    """
    file = home / "tokens" / "gateway"
    if not file.exists() or file.read_text() != known.gateway_key:
        write_private(file, known.gateway_key)
    drop_replaced(home)
    for name in ("agent", "router", "machine"):
        (home / "tokens" / name).unlink(missing_ok=True)


def migrate() -> bool:
    """Apply what is missing in the database. Returns whether anything was."""
    executor = MigrationExecutor(connection)
    if not executor.migration_plan(executor.loader.graph.leaf_nodes()):
        return False
    if connection.vendor == "sqlite":
        Path(connection.settings_dict["NAME"]).chmod(0o600)  # its journals get the same mode
    call_command("migrate", interactive=False, verbosity=0)
    return True


def ensure_credentials(configuration: Configuration) -> None:
    """Make the first account and a token, and keep both in a file that only root reads.

    The start needs a token of an admin: when the account in the file is none any more, it is another admin's. A
    password that has been changed since is not kept.
    """
    file = configuration.home / "credentials.json"
    kept = json.loads(file.read_text()) if file.exists() else {}
    password = kept.get("admin_password", "")
    user = _admin(kept.get("admin_email", configuration.admin_email))
    if user is None:
        password = configuration.admin_password or secrets.token_urlsafe(12)
        user = accounts.create_user(configuration.admin_email, password, name="Admin", is_admin=True)
    elif password and not (user.email == kept.get("admin_email") and user.check_password(password)):
        password = ""
    token = kept.get("token", "")
    found = accounts.authenticate_token(token)
    if found is None or found[0] != user:
        token = accounts.create_token(user, "Made at the start of the platform")[1]
    made = {**kept, "admin_email": user.email, "admin_password": password, "token": token}
    if made != kept:
        write_private(file, json.dumps(made, indent=2) + "\n")


def _admin(email: str) -> User | None:
    """Return the account if it is an active admin, else the oldest one that is."""
    admins = User.objects.filter(is_admin=True, is_active=True)
    return admins.filter(email=email.lower()).first() or admins.order_by("created_at").first()


def ensure_machine(configuration: Configuration) -> None:
    """Enter this machine as a host and as a router, and write their ids for the processes that need them."""
    name = socket.gethostname()[:64]
    host = _row(Host, name, "127.0.0.1", configuration.agent_port)
    router = _row(Router, name, "127.0.0.1", configuration.router_control_port)
    ensure_certificates(configuration, host, router)
    ids = {"host_id": str(host.id), "router_id": str(router.id)}
    write_private(configuration.home / "machine.json", json.dumps(ids) + "\n")


def ensure_certificates(configuration: Configuration, host: Host | Router, router: Host | Router) -> None:
    """Certify the controller, and this machine's agent and router."""
    identities = {
        "controller": CONTROLLER,
        "agent": host_identity(str(host.id)),
        "router": router_identity(str(router.id)),
    }
    for name, identity in identities.items():
        files = configuration.credentials(name)
        authority.ensure_machine(configuration.ca_file.parent, files.machine, identity, authority.now())


def _row(model: type[Host] | type[Router], name: str, address: str, port: int) -> Host | Router:
    """Return the row of this machine: a new host name renames it. (Older installations spoke plain HTTP.)"""
    url = f"https://{address}:{port}"
    row = model.objects.filter(url__in=(url, f"http://{address}:{port}")).first()
    row = row or model.objects.filter(name=name).first() or model(name=name)
    if (row.name, row.url) != (name, url) or row._state.adding:
        row.name, row.url = name, url
        row.save()
    return row
