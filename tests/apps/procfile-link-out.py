"""Links out of the tree in the ways people (and attackers) make them; the first one is told."""

from pathlib import Path

Path("config").mkdir()
Path("config/database.yml").symlink_to("../../shared/database.yml")
Path("Procfile").write_text("web: cat config/database.yml\n")
