"""Source in, slug out: unpack, detect, compile, describe.

In: a tar of one commit.  Out: a compiled `/app` and `result.json`; on the host, the images that builds run in.
Everything but `image.py` and `stacks.py` runs inside the build container as the top-level package `slugbuilder`:
it imports the standard library and itself (relatively) and nothing else.
"""

if __name__ == "slugbuilder":
    from pathlib import Path

    from .bytecode import keep_bytecode

    keep_bytecode(Path(__file__).parent)
