"""A Procfile from Windows: byte order mark, CRLF, comments, blank lines, tabs."""

from pathlib import Path

LINES = [
    "# what runs",
    "",
    "web:\tpython3 -m http.server $PORT",
    "  worker : sleep 1000",
    "clock: sh -c 'while :; do sleep 60; done'",
]
Path("Procfile").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(LINES).encode() + b"\r\n")
Path("hello.txt").write_text("hello\n")
