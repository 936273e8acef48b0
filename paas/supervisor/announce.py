"""What the operator needs once all is up: for eyes, and as a file for programs.

In: the configuration and the first credentials.  Out: lines, or one JSON file written atomically.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from paas.configuration import Configuration
from paas.supervisor.layout import write_document

SAMPLE = "sample"


def document(settings: Configuration, credentials: dict[str, Any]) -> dict[str, Any]:
    """Return the content of the ready file."""
    return {
        "api_url": settings.api_url,
        "dashboard_url": f"{settings.api_url}/",
        "git_url": settings.git_url,
        "gateway_url": settings.gateway_url,
        "ca_file": str(settings.ca_file),
        "router_url": settings.router_url,
        "domain": settings.domain,
        "token": credentials["token"],
        "admin_email": credentials["admin_email"],
        "admin_password": credentials["admin_password"],
    }


def write(file: Path, settings: Configuration, credentials: dict[str, Any]) -> None:
    """Write the ready file (mode 0600: it holds credentials)."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_document(file, document(settings, credentials))


def show(settings: Configuration, credentials: dict[str, Any], say: Callable[[str], None]) -> None:
    """Print where everything is and how to deploy the first app."""
    sample = settings.app_url(f"{SAMPLE}.{settings.domain}")
    rows = {
        "Dashboard": f"{settings.api_url}/",
        "Admin": f"{credentials['admin_email']}  password {credentials['admin_password'] or 'changed since'}",
        "API token": credentials["token"],
        "Sample app": sample if credentials.get("sample") else "not deployed",
        "Your app": f"git remote add paas {settings.git_url}/NAME.git  (create it: paas apps:create NAME)",
        "TLS": f"{settings.gateway_url}  (API, dashboard, git, attached runs; authority: {settings.ca_file})",
        "Push": "git push paas main  (user: any, password: the API token)",
        "Stop": "Ctrl-C",
    }
    say("")
    for name, text in rows.items():
        say(f"  {name:<11}{text}")
    say("")
