"""`python -m runtime`: the commands of `runtime.cli`.

In: arguments.  Out: an exit status.
"""

from __future__ import annotations

import sys

from runtime.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
