"""The agent, as `python -m runtime agent` runs it, over plain processes instead of crun."""

import logging
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[3]))

from process_engine import ProcessEngine

from runtime.agent.daemon import run
from runtime.config import read_settings

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = read_settings(os.environ)
    run(settings, ProcessEngine(settings.home))
