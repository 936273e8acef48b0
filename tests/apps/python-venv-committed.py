"""Makes the two environments that people commit, as they look on the machine that made them."""

from pathlib import Path

for name in (".venv", "venv"):
    folder = Path(name)
    (folder / "bin").mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text("home = /opt/homebrew/opt/python@3.9/bin\nversion = 3.9.6\n")
    (folder / "bin" / "python").symlink_to("python3")
    (folder / "bin" / "gunicorn").write_text("#!/Users/dev/app/venv/bin/python3\nraise SystemExit\n")
    (folder / "lib" / "python3.9" / "site-packages" / "flask").mkdir(parents=True)
    (folder / "lib" / "python3.9" / "site-packages" / "flask" / "__init__.py").write_text(
        "raise SystemExit\n"
    )
