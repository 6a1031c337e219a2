"""What an app has of its updates: events, buttons of its own, and taking a new version over while
it runs.

    updates = kuzflow_runtime.start()
    updates.on("update_available", lambda info: button.show())
    button.clicked.connect(lambda: updates.start_update())

Events and answers come on the main thread (see `main_thread`). Nothing waits: without a launcher a
request is answered with `{"ok": False, "error": {"code": "not-connected", ...}}`.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time

from . import container, qt
from .channel import Channel
from .errors import HotSwapError, Reason
from .main_thread import MainThread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, TypeVar

    from .channel import Answered
    from .hotswap import HotSwapManager
    from .wire import Message

    Callback = TypeVar("Callback", bound=Callable[[Any], object])

__all__ = ["EVENTS", "Updates"]

# Between two looks at a dialog that has to be closed first; milliseconds.
_LOOK = 300
EVENTS = (
    "update_available",
    "update_progress",
    "swapped",
    "swap_failed",
    "quit_requested",
    "connected",
    "disconnected",
)


class Updates:
    """The app's side of the launcher."""

    def __init__(self, address: str, token: str, manager: HotSwapManager | None = None) -> None:
        self._manager = manager
        self.main_thread = MainThread()
        self.available: Message | None = None
        self._callbacks: dict[str, list[Callable[[Any], object]]] = {name: [] for name in EVENTS}
        self._signals: Any = None
        self._results: list[Message] = []
        self._pending: float | None = None
        self._seen: int | None = None
        self._lock = threading.Lock()
        self._making = threading.Lock()
        self._is_up = False
        self._wanted = False  # The app's windows shall be closed.
        self._channel = Channel(
            address, token, self._handle, self._hello, self._heartbeat, self._changed
        )

    def start(self) -> Updates:
        """Begins to talk to the launcher."""
        self._channel.start()
        atexit.register(self.stop)
        return self

    def stop(self) -> None:
        """Says goodbye; the app goes on without its launcher."""
        atexit.unregister(self.stop)
        self._channel.stop()

    # For the app.

    @property
    def manager(self) -> HotSwapManager:
        """The HotSwapManager: register modules and listeners there. Made when it is first asked
        for; what it needs takes a while to load."""
        with self._making:
            if self._manager is None:
                from .hotswap import HotSwapManager

                self._manager = HotSwapManager()
            if self._manager.on_moved is None:
                self._manager.on_moved = lambda: self._channel.send("runs", self._code())
            return self._manager

    def on(self, event: str, callback: Callback) -> Callback:
        """Has `callback(info)` called on the main thread for an event of EVENTS. Returns the
        callback, so that it can decorate."""
        self._callbacks[event].append(callback)
        return callback

    def signals(self) -> Any:
        """The events as Qt signals, on one QObject. On the main thread, after Qt was imported."""
        if self._signals is None:
            self._signals = qt.signals()
        return self._signals

    def poll(self) -> int:
        """For apps without Qt: makes the calls that wait for the main thread. Call it at least once
        a minute, best often."""
        return self.main_thread.poll()

    @property
    def is_connected(self) -> bool:
        """Whether the launcher is there now."""
        return self._channel.is_connected

    def up(self) -> None:
        """Tells the launcher at once that the app is up; `kuzflow_runtime.up()` does this and
        writes it down too."""
        self._is_up = True
        self._channel.send("up", {})

    def check_for_updates(self, answered: Answered | None = None) -> bool:
        """Has the launcher look for a release now. The answer has `available` (None or what the
        event `update_available` gives)."""
        return self._ask("check_for_updates", {}, answered)

    def channels(self, answered: Answered) -> bool:
        """Asks which channels the user may choose from. The answer has `channel`, the one that is
        followed, and `channels`, which is empty if the publisher offers no choice."""
        return self._ask("channels", {}, answered)

    def choose_channel(self, channel: str, answered: Answered | None = None) -> bool:
        """Follows another channel from now on, and has the launcher look for a release. A version
        that is newer than all of that channel stays until the channel has caught up."""
        return self._ask("choose_channel", {"channel": channel}, answered)

    def start_update(self, answered: Answered | None = None) -> bool:
        """Has the launcher fetch and install the release that is available; then it swaps or says
        that a restart is needed."""
        return self._ask("start_update", {}, answered)

    def goes_on(self) -> None:
        """Tells the launcher that this app, which was to end, goes on: its user has unsaved work
        and chose to cancel."""
        self._channel.send("goes_on", {})

    def restart(
        self, answered: Answered | None = None, end: Callable[[], object] | None = None
    ) -> bool:
        """Has the launcher start the newest installed version as soon as this app has ended. If it
        agrees, `end()` is called on the main thread; without one, the windows of a Qt application
        are closed, each of which may ask its user and refuse, and any other app hears the event
        `quit_requested`."""

        def agreed(answer: Message) -> None:
            if answered is not None:
                answered(answer)
            if answer.get("ok") is True:
                self._end(end)

        return self._ask("restart", {}, agreed)

    def _ask(self, kind: str, fields: Message, answered: Answered | None) -> bool:
        def on_channel(answer: Message) -> None:
            if answered is not None:
                self.main_thread.post(answered, answer)

        return self._channel.send(kind, fields, on_channel)

    def _end(self, end: Callable[[], object] | None) -> None:
        if end is not None:
            end()
        elif qt.application() is not None:
            self._begin_to_close()
        else:
            self._emit("quit_requested", {"reason": "restart"})

    def _close(self) -> None:
        """Closes the windows of a Qt application as its user would, and ends it if each of them
        lets itself be closed. A dialog that is open already is waited for; what a window asks its
        user is answered in here."""
        if not self._wanted:
            return
        if qt.is_asking():
            qt.later(_LOOK, self._close)
            return
        self._wanted = False
        if qt.close_all_windows() is False:
            self.goes_on()

    def _begin_to_close(self) -> None:
        begun, self._wanted = self._wanted, True
        if not begun:
            self.main_thread.post(self._close)

    # For the launcher: on the channel's thread.

    def _hello(self) -> Message:
        return {
            "role": "app",
            "pid": os.getpid(),
            "version": container.version(),
            "python": ".".join(map(str, sys.version_info[:3])),
            "up": self._is_up,
            **self._code(),
        }

    def _code(self) -> Message:
        """Which container the app takes new code from, and all that it has code of: those must not
        be removed while it runs."""
        folders = (
            [container.container_folder() or ""] if self._manager is None else self._manager.in_use
        )
        in_use = [os.path.basename(each) for each in folders if each]
        return {"container": in_use[-1] if in_use else None, "in_use": in_use}

    def _heartbeat(self) -> Message:
        """With the seconds since the main thread last made a call of ours; None if nobody makes
        them."""
        with self._lock:
            asked, self._pending = self._pending, self._pending or time.monotonic()
        if asked is None:
            self.main_thread.post(self._beat)
        late = (
            None
            if not self.main_thread.is_attended()
            else (time.monotonic() - asked if asked else 0.0)
        )
        return {"main_thread_seconds": late}

    def _beat(self) -> None:
        with self._lock:
            self._pending = None

    def _changed(self, connected: bool, answer: Message | None) -> None:
        self._emit_later("connected" if connected else "disconnected", answer or {})
        if connected:
            if self._is_up:
                self._channel.send(
                    "up", {}
                )  # It may have become so after the first message was written.
            for result in list(self._results):
                self._send_result(result)

    def _handle(self, message: Message) -> Message:
        kind = message["type"]
        if kind in ("update_available", "update_progress"):
            info = {
                key: value
                for key, value in message.items()
                if key not in ("protocol", "id", "type")
            }
            if kind == "update_available":
                self.available = info
            self._emit_later(kind, info)
            return {"ok": True}
        if kind == "plan_swap":
            return {"ok": True, "plan": self._plan(message)}
        if kind == "swap":
            return self._start_swap(message)
        if kind == "restart":
            if self._callbacks["quit_requested"] or qt.is_connected(
                self._signals, "quit_requested"
            ):
                self._emit_later(
                    "quit_requested", {"reason": str(message.get("reason", "restart"))}
                )
                return {"ok": True, "heard": True}
            closes = qt.application() is not None and self.main_thread.is_attended()
            if closes:
                self._begin_to_close()
            return {"ok": True, "heard": closes}
        if kind == "goes_on":
            self._wanted = False
            return {"ok": True}
        if kind in ("heartbeat", "bye"):
            return {"ok": True}
        return {
            "ok": False,
            "error": {
                "code": "unknown-type",
                "text": f"not a request of this protocol: {kind[:100]}",
            },
        }

    def _folder(self, message: Message) -> str:
        """The folder of the container that a message names: one beside ours, and nothing else."""
        name, containers = message.get("container"), self.manager.containers
        if (
            containers
            and isinstance(name, str)
            and name not in ("", ".", "..")
            and not set(name) & set("/\\:\0")
        ):
            folder = os.path.join(containers, name)
            if os.path.realpath(folder) == os.path.join(os.path.realpath(containers), name):
                return folder
        raise HotSwapError([Reason("bad-container", f"not an installed container: {name!r}")])

    def _plan(self, message: Message) -> Message:
        try:
            changes = message.get("changes")
            if not isinstance(changes, list):
                raise HotSwapError([Reason("bad-change", "no list of changes")])
            if not self.main_thread.is_attended():
                raise HotSwapError(
                    [
                        Reason(
                            "main-thread",
                            "the app makes no calls on its main thread: "
                            "it has no Qt and does not poll",
                        )
                    ]
                )
            return self.manager.plan(self._folder(message), changes)
        except HotSwapError as error:
            reasons = [reason.as_message() for reason in error.reasons]
            return {
                "swappable": [],
                "later": [],
                "requires_restart": True,
                "hot_swappable_count": 0,
                "reasons": reasons,
                "ignored": [],
            }

    def _start_swap(self, message: Message) -> Message:
        """Says at once whether it will be tried; the result comes later, as a message of its
        own."""
        with self._lock:
            if self._seen is not None:
                return {
                    "ok": False,
                    "error": {"code": "busy", "text": "another swap is being done"},
                }
            if message.get("container") == self._code()["container"]:
                return {
                    "ok": False,
                    "error": {"code": "already", "text": "the app runs the code of this container"},
                }
            plan = self._plan(message)
            if plan["requires_restart"]:
                return {
                    "ok": False,
                    "error": {"code": "requires-restart", "text": plan["reasons"][0]["text"]},
                    "plan": plan,
                }
            self._seen = message["id"]
        self.main_thread.post(self._swap, message)
        return {"ok": True}

    # On the main thread.

    def _swap(self, message: Message) -> None:
        result: Message = {
            "swap": message["id"],
            "ok": False,
            "swapped": [],
            "failed": None,
            "reasons": [],
        }
        try:
            result["swapped"] = self.manager.swap(self._folder(message), message["changes"])
            result["ok"] = True
        except HotSwapError as error:
            result["reasons"] = [reason.as_message() for reason in error.reasons]
        # A fault of ours is a refusal too: the app goes on.
        except Exception as error:  # noqa: BLE001
            result["reasons"] = [Reason("failed", repr(error)).as_message()]
        finally:
            with self._lock:
                self._seen = None
        if not result["ok"]:
            result["failed"] = {
                "module": result["reasons"][0]["module"],
                "reason": result["reasons"][0]["text"],
            }
        result.update(self._code())
        self._results.append(result)
        self._send_result(result)
        if result["ok"]:
            self._emit("swapped", result["swapped"])
        else:
            self._emit("swap_failed", result["reasons"])

    def _send_result(self, result: Message) -> None:
        """Until the launcher has said that it heard: it may have gone in the middle of the swap."""

        def answered(answer: Message) -> None:
            if answer.get("error", {}).get("code") != "not-connected" and result in self._results:
                self._results.remove(result)

        self._channel.send("swap_result", result, answered)

    def _emit_later(self, event: str, info: object) -> None:
        self.main_thread.post(self._emit, event, info)

    def _emit(self, event: str, info: object) -> None:
        for callback in list(self._callbacks[event]):
            self.main_thread.post(callback, info)
        signal = getattr(self._signals, event, None)
        if signal is not None:
            signal.emit(info)
