"""libnftables in this process: a change takes under a millisecond where the nft command takes six.

In: nftables language (nft(8)).  Out: the kernel's tables are changed as one transaction, or not at all.
"""

from __future__ import annotations

import ctypes
import json
import threading

from runtime.container.port import EngineError

_JSON = 1 << 4  # NFT_CTX_OUTPUT_JSON of nftables/libnftables.h


class Nftables:
    """One library context; calls are serialised, as it is not thread-safe."""

    def __init__(self) -> None:
        try:
            library = ctypes.CDLL("libnftables.so.1")
        except OSError as error:
            raise EngineError("libnftables is missing: apt install libnftables1 nftables.") from error
        library.nft_ctx_new.restype = ctypes.c_void_p
        library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
        library.nft_ctx_get_output_buffer.restype = ctypes.c_char_p
        self._library = library
        self._lock = threading.Lock()
        self._context = ctypes.c_void_p(library.nft_ctx_new(0))
        library.nft_ctx_buffer_output(self._context)
        library.nft_ctx_buffer_error(self._context)

    def read(self, command: str) -> object:
        """Run a command that lists something; return its JSON, read. Raises EngineError with nft's words."""
        return json.loads(self._call(command, _JSON))

    def run(self, commands: str) -> str:
        """Apply commands in one transaction and return their output. Raises EngineError with nft's words."""
        return self._call(commands, 0)

    def _call(self, commands: str, output_flags: int) -> str:
        with self._lock:
            if not self._context:
                raise EngineError("The firewall is closed.")
            self._library.nft_ctx_output_set_flags(self._context, output_flags)
            failed = self._library.nft_run_cmd_from_buffer(self._context, commands.encode())
            output: bytes = self._library.nft_ctx_get_output_buffer(self._context) or b""
            error: bytes = self._library.nft_ctx_get_error_buffer(self._context) or b""
        if failed:
            first = error.decode(errors="replace").strip().splitlines()[:1]
            raise EngineError(f"The firewall refused a change: {''.join(first)}")
        return output.decode()

    def close(self) -> None:
        with self._lock:
            if self._context:
                self._library.nft_ctx_free(self._context)
                self._context = ctypes.c_void_p(None)
