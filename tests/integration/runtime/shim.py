"""A stand-in for conmon and crun: runs one command as a plain process that outlives the agent.

In: argv[1] = a directory with spec.json.  Out: pid, log (CRI format), exit (status), as conmon leaves them.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path


def main() -> None:
    place = Path(sys.argv[1])
    spec = json.loads((place / "spec.json").read_text())
    os.setsid()
    log = Log(spec["log"])
    signal.signal(signal.SIGHUP, lambda *_: log.reopen())
    (place / "shim.pid").write_text(str(os.getpid()))
    # `create` leaves a process that waits for `start`, like crun's init on its exec fifo.
    gate_read, gate_write = os.pipe()
    command = ["/bin/sh", "-c", 'read go <&3; exec 3<&-; exec "$@"', "sh", *spec["argv"]]
    process = subprocess.Popen(
        command,
        env=spec["env"],
        cwd=spec["cwd"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: os.dup2(gate_read, 3),
        close_fds=False,
        start_new_session=True,
    )
    os.close(gate_read)
    write(place / "pid", str(process.pid))
    threading.Thread(target=wait_for_start, args=(place, gate_write), daemon=True).start()
    readers = [
        threading.Thread(target=log.copy, args=(process.stdout, "stdout")),
        threading.Thread(target=log.copy, args=(process.stderr, "stderr")),
    ]
    for reader in readers:
        reader.start()
    code = process.wait()
    for reader in readers:
        reader.join()
    write(place / "exit", str(code if code >= 0 else 128 - code))


def wait_for_start(place: Path, gate: int) -> None:
    while not (place / "start").exists():
        time.sleep(0.005)
    os.write(gate, b"go\n")
    os.close(gate)


def write(path: Path, text: str) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_text(text)
    temporary.rename(path)


class Log:
    def __init__(self, path: str) -> None:
        self.path = path
        self.lock = threading.RLock()
        self.file = None
        self.reopen()

    def reopen(self) -> None:
        with self.lock:
            if self.file is not None:
                os.close(self.file)
            self.file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)

    def copy(self, pipe, stream: str) -> None:
        while chunk := os.read(pipe.fileno(), 8192):
            data = b""
            for line in chunk.splitlines(keepends=True):
                stamp = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "000Z")
                tag = "F" if line.endswith(b"\n") else "P"
                data += f"{stamp} {stream} {tag} ".encode() + line.rstrip(b"\n") + b"\n"
            with self.lock:
                os.write(self.file, data)


if __name__ == "__main__":
    main()
