"""Tells the launcher that the app is up, or that something is wrong. Needs nothing, not even the
rest of this package.

    import kuzflow_runtime
    window.show()
    kuzflow_runtime.up()    # in Qt, in its event loop: QTimer.singleShot(0, kuzflow_runtime.up)

A new version is on probation until it has said so (build it with `kuzflow build --reports-up`); one
that never does, or says `failed`, is rolled back. From a shell: echo up >> "$KUZFLOW_HEALTH"
"""

from __future__ import annotations

import os

__all__ = ["up", "failed"]


def up() -> None:
    """The app works."""
    _say("up")


def failed(reason: object) -> None:
    """Something that this version cannot do without does not work; `reason` is shown to the user.
    Then end the app."""
    _say("failed " + " ".join(str(reason).split()))


def _say(line: str) -> None:
    path = os.environ.get("KUZFLOW_HEALTH")
    if not path:
        return  # Not started by a launcher.
    try:
        with open(path, "a", encoding="utf-8") as health:
            health.write(line + "\n")
    except OSError:
        pass  # The app does not suffer from what its launcher cannot hear.
