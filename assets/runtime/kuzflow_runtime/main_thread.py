"""Calls on the app's main thread, from any thread.

Qt runs them in its event loop if the app uses Qt; asyncio in its loop if the app says so; else the
app calls `poll()` now and then. A call that fails is told on the standard error output and harms
nothing else.
"""

from __future__ import annotations

import collections
import sys
import threading
import time
import traceback

from . import qt

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from typing import Any, Callable

__all__ = ["MainThread"]

# An app that polls by itself does so at least as often; seconds.
_OFTEN = 60.0
# Calls that wait for an app that makes none; then the oldest go.
_MOST = 10000


class MainThread:
    """A queue of calls, and what wakes the main thread for them."""

    def __init__(self) -> None:
        self._calls: collections.deque[tuple[Callable[..., object], tuple[Any, ...]]] = (
            collections.deque(maxlen=_MOST)
        )
        self._lock = threading.Lock()
        self._bridge: qt.Bridge | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._polled: float | None = None

    def use_asyncio(self, loop: asyncio.AbstractEventLoop) -> None:
        """Has a running asyncio loop, in the main thread, make the calls."""
        self._loop = loop

    def is_attended(self) -> bool:
        """Whether someone makes the calls: an event loop, or an app that has polled lately."""
        if self._find_bridge() is not None or (self._loop is not None and self._loop.is_running()):
            return True
        return self._polled is not None and time.monotonic() - self._polled < _OFTEN

    def post(self, function: Callable[..., object], *arguments: Any) -> None:
        """Has `function(*arguments)` called soon. Never waits."""
        self._calls.append((function, arguments))
        try:
            bridge = self._find_bridge()
            if bridge is not None:
                bridge.wake()
            elif self._loop is not None:
                self._loop.call_soon_threadsafe(self.run)
        except RuntimeError:
            pass  # The loop, or Qt, is gone: the app ends.

    def poll(self) -> int:
        """Makes the calls that are waiting; to be called on the main thread. Returns how many they
        were."""
        self._polled = time.monotonic()
        return self.run()

    def run(self) -> int:
        """Makes the calls that are waiting, not those that they add."""
        count = 0
        for _ in range(len(self._calls)):
            try:
                function, arguments = self._calls.popleft()
            except IndexError:
                break  # A call has polled itself.
            count += 1
            try:
                function(*arguments)
            except Exception:  # noqa: BLE001 -- a fault of one does not stop the others
                if sys.stderr is not None:  # None in a program without a console.
                    traceback.print_exc()
        return count

    def _find_bridge(self) -> qt.Bridge | None:
        """Qt's part, as soon as there is a Qt application: apps often start this before it."""
        with self._lock:
            if self._bridge is None:
                self._bridge = qt.bridge(self.run)
            return self._bridge
