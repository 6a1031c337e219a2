"""The connection to the launcher: a Unix domain socket, or a named pipe on Windows. Blocking; only threads of this package wait here.

The token is a secret between the launcher and its app. So a socket is used only if its folder is the user's own and closed to all
others, and if a process of the same user listens.
"""

import os
import socket
import stat
import struct
import sys

__all__ = ["connect", "Stream"]

# A launcher that takes nothing for so long is not there any more; seconds.
_SENDING = 10.0
_CHUNK = 65536


def connect(address):
    """A Stream to the launcher that listens at `address`. Raises OSError."""
    if address.startswith("\\\\.\\pipe\\"):
        return _Pipe(address)
    return _Socket(address)


class Stream:
    """Bytes in both directions; one thread sends, one receives, any may close it."""

    def send(self, data):
        """Sends all of it. Raises OSError."""
        raise NotImplementedError

    def receive(self, timeout=None):
        """What is there, at least one byte; nothing at the end. Raises OSError, also after `timeout` seconds without a byte."""
        raise NotImplementedError

    def close(self):
        """Ends it; whoever waits in `receive` comes back."""
        raise NotImplementedError


class _Socket(Stream):
    def __init__(self, path):
        if not hasattr(socket, "AF_UNIX"):
            raise OSError("no Unix domain sockets here: %s" % path)
        folder = os.stat(os.path.dirname(path) or ".")
        if folder.st_uid != os.getuid() or stat.S_IMODE(folder.st_mode) & 0o077:
            raise OSError("%s is not in a folder that only this user can open" % path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(_SENDING)
            self._socket.connect(path)
            self._check_peer()
        except BaseException:
            self._socket.close()
            raise

    def _check_peer(self):
        if sys.platform.startswith("linux"):
            size = struct.calcsize("3i")
            _, user, _ = struct.unpack("3i", self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
            if user != os.getuid():
                raise OSError("the launcher's socket belongs to another user")

    def send(self, data):
        view = memoryview(data)
        while view:
            try:
                view = view[self._socket.send(view):]
            except socket.timeout as error:
                raise OSError("the launcher takes nothing") from error

    def receive(self, timeout=None):
        # A time limit for the socket as a whole would also be one for `send`, in another thread: waited for elsewhere.
        import select

        if hasattr(select, "poll"):  # `select` refuses the numbers of an app with more than a thousand files.
            waiting = select.poll()
            waiting.register(self._socket, select.POLLIN)
            ready = waiting.poll(None if timeout is None else timeout * 1000)
        else:
            ready, _, _ = select.select([self._socket], [], [], timeout)
        if not ready:
            raise OSError("the launcher says nothing")
        return self._socket.recv(_CHUNK)

    def close(self):
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()


class _Pipe(Stream):
    """Overlapped, since a pipe that is not would let nothing be sent while something is waited for."""

    def __init__(self, address):
        import _winapi

        self._api = _winapi
        try:
            self._handle = _winapi.CreateFile(
                address, _winapi.GENERIC_READ | _winapi.GENERIC_WRITE, 0, _winapi.NULL, _winapi.OPEN_EXISTING,
                _winapi.FILE_FLAG_OVERLAPPED, _winapi.NULL,
            )
        except FileNotFoundError as error:
            raise OSError("no launcher listens at %s" % address) from error
        self._closed = False

    def send(self, data):
        data = bytes(data)
        while data:
            self._refuse_closed()
            operation, _ = self._api.WriteFile(self._handle, data, overlapped=True)
            data = data[self._finish(operation, int(_SENDING * 1000), "the launcher takes nothing"):]

    def receive(self, timeout=None):
        self._refuse_closed()
        operation, _ = self._api.ReadFile(self._handle, _CHUNK, overlapped=True)
        limit = self._api.INFINITE if timeout is None else int(timeout * 1000)
        try:
            count = self._finish(operation, limit, "the launcher says nothing")
        except BrokenPipeError:
            return b""
        return bytes(operation.getbuffer()[:count])

    def _refuse_closed(self):
        if self._closed:  # The number of the handle may be another one's by now.
            raise OSError("the pipe to the launcher is closed")

    def _finish(self, operation, limit, late):
        if self._api.WaitForMultipleObjects([operation.event], False, limit) != self._api.WAIT_OBJECT_0:
            operation.cancel()
            operation.GetOverlappedResult(True)
            raise OSError(late)
        count, error = operation.GetOverlappedResult(False)
        if error not in (0, self._api.ERROR_MORE_DATA):
            raise OSError("the pipe to the launcher: error %d" % error)
        return count

    def close(self):
        if not self._closed:
            self._closed = True
            self._api.CloseHandle(self._handle)
