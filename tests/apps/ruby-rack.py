"""The gems of the app, from Debian's packages."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from gems_of_debian import make_gems

make_gems("rack", "webrick", "rake")
