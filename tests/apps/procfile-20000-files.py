"""Writes 20,000 small files in 100 folders."""

from pathlib import Path

for folder in range(100):
    place = Path(f"data/{folder:03}")
    place.mkdir(parents=True)
    for number in range(200):
        (place / f"{number}.txt").write_text(f"{folder} {number}\n")
Path("Procfile").write_text("web: cd data && python3 -m http.server $PORT\n")
