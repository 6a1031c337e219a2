"""The sample app of the demo: says who it is, and stays until it is asked to end."""

import os
import signal
import sys
import threading

from greeting import GREETING


def main() -> int:
    version = os.environ.get("KUZFLOW_VERSION", "?")
    print(f"{GREETING} (version {version}, Python {sys.version.split()[0]})", flush=True)
    if "--once" in sys.argv:
        return 0
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    # Long enough to look around; a demo that was forgotten ends by itself.
    ended.wait(600)
    print(f"version {version} ends", flush=True)
    return 0


sys.exit(main())
