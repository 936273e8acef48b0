"""A worker: prints a line every few seconds and ends cleanly when it is told to stop."""

import os
import signal
import threading

stop = threading.Event()
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: stop.set())

name = os.environ.get("DYNO", "worker")
pause = float(os.environ.get("WORKER_SECONDS", "5"))
count = 0
print(f"{name}: started", flush=True)
while not stop.wait(pause):
    count += 1
    print(f"{name}: did job {count}", flush=True)
print(f"{name}: stopped after {count} jobs", flush=True)
