"""Writes the node_modules that somebody committed on another system."""

from pathlib import Path

folder = Path("node_modules/ms")
folder.mkdir(parents=True)
(folder / "package.json").write_text('{ "name": "ms", "version": "0.0.1", "main": "index.js" }')
(folder / "index.js").write_text('throw new Error("built for another system");')
(folder / "binding.node").write_bytes(b"MZ\0\0not for Linux")
