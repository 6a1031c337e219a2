"""A clock that changes while it runs: it prints what `words` says, and counts. See demo.py."""

import time

import kuzflow_runtime
import words
from words import greet

updates = kuzflow_runtime.start()
kuzflow_runtime.up()
if updates is not None:
    updates.on("swapped", lambda names: print("-- took over:", ", ".join(names), flush=True))
    updates.on(
        "swap_failed", lambda reasons: print("-- not taken over:", reasons[0]["text"], flush=True)
    )

for second in range(600):
    if updates is not None:
        updates.poll()
    print(greet(second), "| greeted", words.greeted, "times", flush=True)
    time.sleep(0.5)
