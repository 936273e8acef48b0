"""Writes what is hard to keep in a repository: odd names, execute bits, empty files, links inside the tree."""

import os
from pathlib import Path

NAMES = [
    "größe.txt",
    "日本語/ファイル.txt",
    "with space/and 'quotes'.txt",
    "emoji-🏠.txt",
    "-dash",
    "new\nline",
    "x" * 200,
]
for name in NAMES:
    file = Path(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{file.name}\n")
Path("empty").touch()
Path("link").symlink_to("日本語/ファイル.txt")
Path("linked-folder").symlink_to("with space")
Path("run.sh").write_text("#!/bin/sh\nexec python3 serve.py\n")
Path("run.sh").chmod(0o755)
Path("plain.sh").write_text("#!/bin/sh\n")
Path("serve.py").write_text(
    """import os
from http.server import BaseHTTPRequestHandler, HTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        found = sum(len(names) for folder, _, names in os.walk(".") if "/.paas" not in folder)
        modes = [oct(os.stat(name).st_mode & 0o777) for name in ("run.sh", "plain.sh")]
        text = open("link", encoding="utf-8").read().strip()
        names = all(os.path.exists(name) for name in NAMES)
        body = f"{found} files, {modes}, {text}, {names}, {sorted(os.listdir('linked-folder'))}"
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body.encode())


HTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
""".replace("NAMES", repr(NAMES))
)
Path("Procfile").write_text("web: ./run.sh\n")
assert os.access("run.sh", os.X_OK)
