"""The conversation with the launcher, on threads of its own: connects, comes back quietly when the
launcher does, and never makes the app wait. What the messages mean is not decided here."""

from __future__ import annotations

import os
import queue
import threading
import time

from . import stream, wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    from .wire import Message

    # What is called with the answer to a request.
    Answered = Callable[[Message], object]

__all__ = ["NOT_CONNECTED", "Channel"]

# Seconds between two tries to connect, at first and at most.
_FIRST, _LONGEST = 0.2, 30.0
# Seconds that the launcher may take to answer the first message.
_HELLO = 10.0
# Seconds between two heartbeats, unless the launcher asks for another pace, and the bounds for
# that.
_HEARTBEAT, _FASTEST, _SLOWEST = 10.0, 1.0, 600.0
# More requests of ours than so many are not waiting at a time.
_WAITING = 256

NOT_CONNECTED: Message = {
    "ok": False,
    "error": {"code": "not-connected", "text": "the launcher is not there"},
}


class Channel:
    """A connection that is kept up. `handle(message)` is called, on a thread of this class, for
    each request of the launcher, and returns the fields of the answer; `hello()` gives the fields
    of the first message, `heartbeat()` those of each heartbeat; `changed(connected, answer)` is
    told when the connection comes and goes."""

    def __init__(
        self,
        address: str,
        token: str,
        handle: Callable[[Message], Message],
        hello: Callable[[], Message],
        heartbeat: Callable[[], Message],
        changed: Callable[[bool, Message | None], None],
    ) -> None:
        self._address = address
        self._token = token
        self._handle = handle
        self._hello = hello
        self._heartbeat = heartbeat
        self._changed = changed
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._waiting: dict[int, Answered] = {}
        self._outgoing: queue.Queue[bytes | None] | None = None
        self._number = 0
        self._thread = threading.Thread(target=self._run, name="kuzflow", daemon=True)

    def start(self) -> None:
        """Begins to connect."""
        self._thread.start()

    def stop(self) -> None:
        """Says goodbye and ends; does not wait for it."""
        self.send("bye", {})
        self._stopped.set()
        with self._lock:
            outgoing, self._outgoing = self._outgoing, None
        if outgoing is not None:
            outgoing.put(None)

    @property
    def is_connected(self) -> bool:
        """Whether the launcher listens now."""
        return self._outgoing is not None

    def send(self, kind: str, fields: Message, answered: Answered | None = None) -> bool:
        """Sends a request; `answered(answer)` is called on a thread of this class, also if there is
        no launcher. Never waits. Returns whether it was sent."""
        with self._lock:
            if self._outgoing is not None and len(self._waiting) < _WAITING:
                self._number += 1
                data: bytes | None
                try:
                    data = wire.encode(dict(fields, id=self._number, type=kind))
                except (wire.WireError, ValueError, TypeError):
                    data = None
                if data is not None:
                    if answered is not None:
                        self._waiting[self._number] = answered
                    self._outgoing.put(data)
                    return True
        if answered is not None:
            answered(dict(NOT_CONNECTED))
        return False

    def _run(self) -> None:
        pause = _FIRST
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                if not self._converse():
                    return  # The token is wrong: it will not become right.
            except (OSError, wire.WireError, ValueError):
                # ValueError: the sending thread has closed the connection between two looks at it.
                pass
            finally:
                self._disconnected()
            pause = _FIRST if time.monotonic() - began > _LONGEST else min(pause * 2, _LONGEST)
            # Not all apps of a launcher at the same instant.
            self._stopped.wait(pause * (0.5 + os.urandom(1)[0] / 512))

    def _converse(self) -> bool:
        """One connection, from its beginning to its end. False if the launcher does not want us."""
        connection = stream.connect(self._address)
        try:
            decoder = wire.Decoder()
            connection.send(wire.encode(dict(self._hello(), id=0, type="hello", token=self._token)))
            messages: list[Message] = []
            while not messages:
                data = connection.receive(_HELLO)
                if not data:
                    return True
                messages = decoder.feed(data)
            answer = messages.pop(0)
            if (
                answer["type"] != "answer"
                or answer["id"] != 0
                or answer.get("protocol") != wire.PROTOCOL
            ):
                raise wire.WireError("the launcher did not answer the first message")
            if answer.get("ok") is not True:
                return False
            self._talk(connection, decoder, messages, answer)
            return True
        finally:
            connection.close()

    def _talk(
        self,
        connection: stream.Stream,
        decoder: wire.Decoder,
        messages: list[Message],
        answer: Message,
    ) -> None:
        outgoing: queue.Queue[bytes | None] = queue.Queue()
        pace = answer.get("heartbeat_seconds")
        pace = min(max(pace, _FASTEST), _SLOWEST) if isinstance(pace, (int, float)) else _HEARTBEAT
        writer = threading.Thread(
            target=self._write, args=(connection, outgoing, pace), name="kuzflow-out", daemon=True
        )
        with self._lock:
            self._outgoing = outgoing
        writer.start()
        try:
            self._changed(True, answer)
            while True:
                for message in messages:
                    self._take(message, outgoing)
                data = connection.receive()
                if not data:
                    return
                messages = decoder.feed(data)
        finally:
            outgoing.put(None)

    def _take(self, message: Message, outgoing: queue.Queue[bytes | None]) -> None:
        """An answer goes to whoever asked; a request is answered, also one that is not known."""
        if message["type"] == "answer":
            with self._lock:
                answered = self._waiting.pop(message["id"], None)
            if answered is not None:
                answered(message)
            return
        if message.get("protocol") != wire.PROTOCOL:
            fields = _error("protocol", f"only protocol {wire.PROTOCOL} is spoken here")
        else:
            try:
                fields = self._handle(message)
            # Whatever a message may do, the app goes on and the launcher hears of it.
            except Exception as error:  # noqa: BLE001
                fields = _error("failed", repr(error))
        try:
            data = wire.encode(dict(fields, id=message["id"], type="answer"))
        except (wire.WireError, ValueError, TypeError) as error:
            data = wire.encode(
                dict(_error("failed", repr(error)[:1000]), id=message["id"], type="answer")
            )
        outgoing.put(data)

    def _write(
        self, connection: stream.Stream, outgoing: queue.Queue[bytes | None], pace: float
    ) -> None:
        due = time.monotonic() + pace
        while True:
            try:
                data = outgoing.get(timeout=max(0.0, due - time.monotonic()))
            except queue.Empty:
                due = time.monotonic() + pace
                self.send("heartbeat", self._heartbeat())
                continue
            try:
                if data is None:
                    connection.close()  # Whoever reads comes back.
                    return
                connection.send(data)
            except OSError:
                connection.close()
                return

    def _disconnected(self) -> None:
        with self._lock:
            was = self._outgoing is not None
            self._outgoing = None
            waiting, self._waiting = list(self._waiting.values()), {}
        for answered in waiting:
            answered(dict(NOT_CONNECTED))
        if was:
            self._changed(False, None)


def _error(code: str, text: str) -> Message:
    return {"ok": False, "error": {"code": code, "text": text}}
