"""`python -m paas.gateway` runs the gateway until a signal. In: environment. Out: exit code."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys

from paas.gateway.config import Settings, SettingsError, read_settings
from paas.gateway.server import Gateway


def main() -> int:
    """Return 0 after a signal, 1 when it cannot listen, 2 for wrong settings."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        settings = read_settings(os.environ)
    except SettingsError as error:
        print(f"The gateway cannot start:\n{error}", file=sys.stderr)
        return 2
    try:
        asyncio.run(_serve(settings))
    except OSError as error:
        print(f"The gateway cannot run: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(settings: Settings) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    gateway = Gateway(settings)
    server = await gateway.start()
    host, port = gateway.address
    logging.getLogger(__name__).info("the gateway listens on %s:%s", host, port)
    gc.collect()
    gc.freeze()
    await stopped.wait()
    server.close()
    await gateway.close()


if __name__ == "__main__":
    sys.exit(main())
