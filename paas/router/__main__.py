"""`python -m paas.router` runs the router; with `stop` it ends HAProxy. In: environment. Out: exit code."""

from __future__ import annotations

import asyncio
import logging
import os
import sys

from paas.router import precedence
from paas.router.client import RouterClient, RouterRefused, RouterUnavailable
from paas.router.config import Settings, SettingsError, read_settings
from paas.router.daemon import Daemon
from paas.router.masterline import HaproxyError
from runtime.tls import client_context, router_identity


def main(arguments: list[str]) -> int:
    """Return 0 when all went well, 1 after a failure, 2 for wrong settings or arguments."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        settings = read_settings(os.environ)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    if arguments == ["stop"]:
        return stop(settings)
    if arguments:
        print("usage: python -m paas.router [stop]", file=sys.stderr)
        return 2
    return serve(settings)


def serve(settings: Settings) -> int:
    """Run until a signal."""
    try:
        precedence.take()  # HAProxy inherits it
        asyncio.run(_serve(settings))
    except (HaproxyError, OSError) as error:
        print(f"the router cannot run: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(settings: Settings) -> None:
    await Daemon(settings).run()


def stop(settings: Settings) -> int:
    """End HAProxy through the running router."""
    if settings.credentials is None:
        client = RouterClient(f"http://{settings.listen}", settings.token)
    else:
        tls = client_context(settings.credentials, router_identity(settings.id))
        client = RouterClient(f"https://{settings.listen}", tls=tls)
    try:
        client.stop()
    except (RouterUnavailable, RouterRefused) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        client.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
