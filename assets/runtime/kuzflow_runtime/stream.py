"""The connection to the launcher: a Unix domain socket, or a named pipe on Windows. Blocking; only
threads of this package wait here.

The token is a secret between the launcher and its app. So a socket is used only if its folder is
the user's own and closed to all others, and if a process of the same user listens.
"""

from __future__ import annotations

import importlib
import os
import socket
import stat
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["connect", "Stream"]

# A launcher that takes nothing for so long is not there any more; seconds.
_SENDING = 10.0
_CHUNK = 65536


def connect(address: str) -> Stream:
    """A Stream to the launcher that listens at `address`. Raises OSError."""
    if address.startswith("\\\\.\\pipe\\"):
        return _Pipe(address)
    return _Socket(address)


class Stream:
    """Bytes in both directions; one thread sends, one receives, any may close it."""

    def send(self, data: bytes) -> None:
        """Sends all of it. Raises OSError."""
        raise NotImplementedError

    def receive(self, timeout: float | None = None) -> bytes:
        """What is there, at least one byte; nothing at the end. Raises OSError, also after
        `timeout` seconds without a byte."""
        raise NotImplementedError

    def close(self) -> None:
        """Ends it; whoever waits in `receive` comes back."""
        raise NotImplementedError


class _Socket(Stream):
    def __init__(self, path: str) -> None:
        if not hasattr(socket, "AF_UNIX"):
            raise OSError(f"no Unix domain sockets here: {path}")
        folder = os.stat(os.path.dirname(path) or ".")
        if folder.st_uid != os.getuid() or stat.S_IMODE(folder.st_mode) & 0o077:
            raise OSError(f"{path} is not in a folder that only this user can open")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(_SENDING)
            self._socket.connect(path)
            self._check_peer()
        except BaseException:
            self._socket.close()
            raise

    def _check_peer(self) -> None:
        if sys.platform.startswith("linux"):
            size = struct.calcsize("3i")
            _, user, _ = struct.unpack(
                "3i", self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
            )
            if user != os.getuid():
                raise OSError("the launcher's socket belongs to another user")

    def send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[self._socket.send(view) :]
            except socket.timeout as error:
                raise OSError("the launcher takes nothing") from error

    def receive(self, timeout: float | None = None) -> bytes:
        # A time limit for the socket as a whole would also be one for `send`, in another thread:
        # waited for elsewhere.
        import select

        # `select` refuses the numbers of an app with more than a thousand files.
        if hasattr(select, "poll"):
            waiting = select.poll()
            waiting.register(self._socket, select.POLLIN)
            ready: list[Any] = waiting.poll(None if timeout is None else timeout * 1000)
        else:
            ready = select.select([self._socket], [], [], timeout)[0]
        if not ready:
            raise OSError("the launcher says nothing")
        return self._socket.recv(_CHUNK)

    def close(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()


class _Pipe(Stream):
    """Overlapped, since a pipe that is not would let nothing be sent while something is waited
    for."""

    def __init__(self, address: str) -> None:
        # By its name: only Windows has it, and so have only its type stubs.
        api = self._api = importlib.import_module("_winapi")
        try:
            self._handle = api.CreateFile(
                address,
                api.GENERIC_READ | api.GENERIC_WRITE,
                0,
                api.NULL,
                api.OPEN_EXISTING,
                api.FILE_FLAG_OVERLAPPED,
                api.NULL,
            )
        except FileNotFoundError as error:
            raise OSError(f"no launcher listens at {address}") from error
        self._closed = False

    def send(self, data: bytes) -> None:
        data = bytes(data)
        while data:
            self._refuse_closed()
            operation, _ = self._api.WriteFile(self._handle, data, overlapped=True)
            data = data[
                self._finish(operation, int(_SENDING * 1000), "the launcher takes nothing") :
            ]

    def receive(self, timeout: float | None = None) -> bytes:
        self._refuse_closed()
        operation, _ = self._api.ReadFile(self._handle, _CHUNK, overlapped=True)
        limit = self._api.INFINITE if timeout is None else int(timeout * 1000)
        try:
            count = self._finish(operation, limit, "the launcher says nothing")
        except BrokenPipeError:
            return b""
        return bytes(operation.getbuffer()[:count])

    def _refuse_closed(self) -> None:
        if self._closed:  # The number of the handle may be another one's by now.
            raise OSError("the pipe to the launcher is closed")

    def _finish(self, operation: Any, limit: int, late: str) -> int:
        if (
            self._api.WaitForMultipleObjects([operation.event], False, limit)
            != self._api.WAIT_OBJECT_0
        ):
            operation.cancel()
            operation.GetOverlappedResult(True)
            raise OSError(late)
        count, error = operation.GetOverlappedResult(False)
        if error not in (0, self._api.ERROR_MORE_DATA):
            raise OSError(f"the pipe to the launcher: error {error}")
        return int(count)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._api.CloseHandle(self._handle)
