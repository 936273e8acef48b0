"""Fixtures of the git tests. In: a temporary folder.  Out: `receive`, which ingests pack bytes as a push would."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
