"""A launcher that does as a test says."""

import os
import queue
import shutil
import socket
import struct
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))

from kuzflow_runtime import wire

TOKEN = "secret"
TIMEOUT = 120


class FakeLauncher:
    """Listens on a socket in a private folder. Each connection's messages are in `self.heard`, in the order in which they came."""

    def __init__(self, answers=None):
        self.folder = tempfile.mkdtemp()
        self.address = os.path.join(self.folder, "channel")
        self.heard = queue.Queue()
        self.answers = dict(answers or {})
        self.connection = None
        self.connected = 0
        self.piecewise = False
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(self.address)
        self._server.listen(5)
        self._number = 100
        self._sending = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._server.close()
        self.drop()
        shutil.rmtree(self.folder)

    def drop(self):
        """The launcher vanishes."""
        if self.connection is not None:
            try:
                self.connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def raw(self, data):
        with self._sending:
            for at in range(len(data)) if self.piecewise else (0,):
                self.connection.sendall(data[at : at + 1] if self.piecewise else data)

    def ask(self, kind, **fields):
        """Sends a request and gives the answer; other messages stay in `heard`."""
        self._number += 1
        number = self._number
        self.raw(wire.encode(dict(fields, id=number, type=kind)))
        return self.hear(lambda message: message["type"] == "answer" and message["id"] == number)

    def hear(self, wanted):
        """The first message for which `wanted` holds; those before it are lost."""
        if isinstance(wanted, str):
            kind = wanted
            return self.hear(lambda message: message["type"] == kind)
        limit = time.monotonic() + TIMEOUT
        while True:
            message = self.heard.get(timeout=max(0.0, limit - time.monotonic()))
            if wanted(message):
                return message

    def _accept(self):
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self.connection = connection
            self.connected += 1
            threading.Thread(target=self._listen, args=(connection,), daemon=True).start()

    def _listen(self, connection):
        with connection:
            self._hear_all(connection)

    def _hear_all(self, connection):
        decoder = wire.Decoder()
        while True:
            try:
                data = connection.recv(7 if self.piecewise else 65536)
            except OSError:
                return
            if not data:
                self.heard.put({"type": "end", "id": -1})
                return
            for message in decoder.feed(data):
                fields = self.answers.get(message["type"], {"ok": True})
                if message["type"] == "hello" and message.get("token") != TOKEN:
                    fields = {"ok": False, "error": {"code": "token", "text": "no"}}
                if message["type"] != "answer" and fields is not None:
                    try:
                        self.raw(wire.encode(dict(fields, id=message["id"], type="answer")))
                    except OSError:
                        pass
                self.heard.put(message)


def announced(length):
    return struct.pack("<I", length)
