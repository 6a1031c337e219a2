"""The wire and the conversation with a launcher that may be slow, wrong, hostile or gone."""

import os
import socket
import stat
import sys
import time
import unittest

from launcher import TOKEN, FakeLauncher, announced
from support import AppCase

from kuzflow_runtime import channel, stream, wire
from kuzflow_runtime.updates import Updates


class Wire(unittest.TestCase):
    def test_messages_cut_anywhere(self):
        data = wire.encode({"id": 1, "type": "a", "text": "增量"}) + wire.encode(
            {"id": 2, "type": "b"}
        )
        for step in (1, 2, 3, 5, len(data)):
            decoder, found = wire.Decoder(), []
            for at in range(0, len(data), step):
                found += decoder.feed(data[at : at + step])
            self.assertEqual([message["id"] for message in found], [1, 2])
            self.assertEqual(found[0], {"protocol": 1, "id": 1, "type": "a", "text": "增量"})

    def test_what_is_no_message(self):
        for body in (
            b"",
            b"{",
            b"[]",
            b"5",
            b"null",
            b"\xff",
            b'{"id":1}',
            b'{"type":"a"}',
            b'{"type":5,"id":1}',
            b'{"type":"a","id":true}',
            b"[" * 100000,
        ):
            with self.assertRaises(wire.WireError, msg=body[:20]):
                wire.Decoder().feed(announced(len(body)) + body)
        with self.assertRaises(wire.WireError):
            wire.Decoder().feed(announced(wire.LONGEST + 1))
        self.assertEqual(wire.Decoder().feed(announced(wire.LONGEST)), [])
        with self.assertRaises(wire.WireError):
            wire.encode({"id": 1, "type": "a", "text": "x" * wire.LONGEST})


@unittest.skipUnless(
    hasattr(socket, "AF_UNIX"), "needs Unix domain sockets; the named pipe has no test here"
)
class Conversation(AppCase):
    def setUp(self):
        super().setUp()
        self.user = self.app(
            {"words.py": "def say():\n    return 'old'\n", "user.py": "from words import say\n"},
            "user",
        )
        self.launcher = FakeLauncher({"hello": {"ok": True, "heartbeat_seconds": 1}})
        self.addCleanup(self.launcher.close)
        self.updates = Updates(self.launcher.address, TOKEN, self.manager)
        self.addCleanup(self.updates.stop)
        self.events = []
        for event in (
            "update_available",
            "swapped",
            "swap_failed",
            "connected",
            "disconnected",
            "quit_requested",
        ):
            self.updates.on(event, lambda info, event=event: self.events.append((event, info)))
        # No waiting in tests.
        self.addCleanup(setattr, channel, "_FIRST", channel._FIRST)
        self.addCleanup(setattr, channel, "_LONGEST", channel._LONGEST)
        channel._FIRST, channel._LONGEST = 0.01, 0.02

    def begin(self):
        self.updates.poll()
        self.updates.start()
        hello = self.launcher.hear("hello")
        self.until("connected")
        return hello

    def until(self, event):
        """Polls until the event came; its info."""
        limit = time.monotonic() + 120
        while time.monotonic() < limit:
            self.updates.poll()
            for known, info in self.events:
                if known == event:
                    self.events.remove((known, info))
                    return info
            time.sleep(0.005)
        self.fail(f"no {event}")

    def update(self, files):
        folder, changes = self.release(files)
        return {
            "container": os.path.basename(folder),
            "changes": [change.as_message() for change in changes],
        }

    def test_a_swap_from_the_first_message_to_the_result(self):
        for piecewise in (False, True):
            self.launcher.piecewise = piecewise
            if not piecewise:
                hello = self.begin()
                self.assertEqual(
                    (hello["id"], hello["token"], hello["protocol"], hello["container"]),
                    (0, TOKEN, 1, "app_1_Linux_x86_64"),
                )
            word = f"new {piecewise}"
            asked = self.update({"words.py": f"def say():\n    return {word!r}\n"})
            plan = self.launcher.ask("plan_swap", **asked)["plan"]
            self.assertEqual(
                (plan["requires_restart"], plan["swappable"], plan["hot_swappable_count"]),
                (False, ["words"], 1),
            )
            self.assertTrue(self.launcher.ask("swap", **asked)["ok"])
            self.assertEqual(self.until("swapped"), ["words"])
            result = self.launcher.hear("swap_result")
            self.assertEqual(
                (result["ok"], result["swapped"], result["container"]),
                (True, ["words"], asked["container"]),
            )
            self.assertEqual(self.user.say(), word)
            self.assertEqual(self.launcher.ask("swap", **asked)["error"]["code"], "already")

    def test_a_swap_that_fails_is_reported(self):
        self.begin()
        asked = self.update({"words.py": "def say():\n    return 'new'\n1 / 0\n"})
        self.assertTrue(self.launcher.ask("swap", **asked)["ok"])
        self.assertEqual(self.until("swap_failed")[0]["code"], "import-error")
        result = self.launcher.hear("swap_result")
        self.assertEqual(
            (result["ok"], result["failed"]["module"], result["in_use"]),
            (False, "words", ["app_1_Linux_x86_64"]),
        )
        self.assertEqual(self.user.say(), "old")

    def test_what_needs_a_restart_is_reported_at_once(self):
        self.begin()
        asked = self.update({"data.bin": b"x"})
        answer = self.launcher.ask("swap", **asked)
        self.assertEqual(
            (answer["ok"], answer["error"]["code"], answer["plan"]["reasons"][0]["code"]),
            (False, "requires-restart", "resource"),
        )

    def test_other_containers_than_installed_ones(self):
        self.begin()
        os.makedirs(os.path.join(self.root, "elsewhere", "app"))
        os.symlink(os.path.join(self.root, "elsewhere"), os.path.join(self.containers, "link"))
        for name in (
            "../elsewhere",
            "/tmp",
            "..",
            ".",
            "",
            None,
            5,
            "link",
            "missing/../app_1",
            "a\\b",
        ):
            plan = self.launcher.ask("plan_swap", container=name, changes=[])["plan"]
            self.assertEqual(plan["reasons"][0]["code"], "bad-container", name)
        self.assertEqual(
            self.launcher.ask("plan_swap", container="app_1_Linux_x86_64")["plan"]["reasons"][0][
                "code"
            ],
            "bad-change",
        )

    def test_unknown_and_other_protocols_are_answered(self):
        self.begin()
        self.assertEqual(self.launcher.ask("dance")["error"]["code"], "unknown-type")
        self.launcher.raw(
            wire.encode({"id": 7, "type": "plan_swap"}).replace(b'"protocol": 1', b'"protocol": 9')
        )
        self.assertEqual(self.launcher.hear("answer")["error"]["code"], "protocol")
        self.launcher.raw(wire.encode({"id": 999, "type": "answer", "ok": True}))  # To nothing.
        self.assertTrue(self.launcher.ask("bye")["ok"])

    def test_garbage_ends_the_connection_and_another_is_made(self):
        self.begin()
        for garbage in (
            b"GET / HTTP/1.1\r\n\r\n",
            announced(wire.LONGEST + 1),
            announced(3) + b"{}}",
            b"\xff" * 4,
        ):
            before = self.launcher.connected
            self.launcher.raw(garbage)
            self.launcher.hear("hello")
            self.assertGreater(self.launcher.connected, before)
            self.until("disconnected")
            self.until("connected")
        self.assertTrue(self.launcher.ask("update_available", version="2.0.0")["ok"])
        self.assertEqual(self.until("update_available"), {"version": "2.0.0"})
        self.assertEqual(self.updates.available, {"version": "2.0.0"})

    def test_a_wrong_token_is_tried_once(self):
        self.updates.stop()
        self.updates = Updates(self.launcher.address, "wrong", self.manager)
        self.updates.start()
        self.updates._channel._thread.join(120)
        self.assertFalse(self.updates._channel._thread.is_alive())
        self.assertEqual((self.launcher.connected, self.updates.is_connected), (1, False))

    def test_the_launcher_goes_in_the_middle_of_a_swap(self):
        self.begin()
        asked = self.update({"words.py": "def say():\n    return 'new'\n"})

        @self.manager.on_swapped
        def gone(names):
            self.launcher.answers["swap_result"] = None  # Not heard, should it get out.
            self.launcher.drop()

        self.assertTrue(self.launcher.ask("swap", **asked)["ok"])
        self.until("swapped")
        self.assertEqual(self.user.say(), "new")
        self.launcher.hear("end")
        del self.launcher.answers["swap_result"]
        self.assertEqual(self.launcher.hear("hello")["container"], asked["container"])
        self.assertTrue(self.launcher.hear("swap_result")["ok"])

    def test_requests_and_events_of_the_app(self):
        answers = []
        self.assertFalse(self.updates.check_for_updates(answers.append))
        self.updates.poll()
        self.assertEqual(answers.pop()["error"]["code"], "not-connected")
        self.begin()
        self.launcher.answers["check_for_updates"] = {"ok": True, "available": None}
        for ask, kind in (
            (self.updates.check_for_updates, "check_for_updates"),
            (self.updates.start_update, "start_update"),
            (self.updates.restart, "restart"),
        ):
            self.assertTrue(ask(answers.append))
            self.launcher.hear(kind)
        self.until("quit_requested")
        self.assertEqual([answer["ok"] for answer in answers], [True] * 3)
        self.updates.up()
        self.launcher.hear("up")
        self.assertIsNotNone(self.launcher.hear("heartbeat")["main_thread_seconds"])
        self.assertTrue(self.launcher.ask("restart", reason="mandatory")["heard"])
        self.assertEqual(self.until("quit_requested"), {"reason": "mandatory"})

    def test_an_app_that_goes_on_says_so(self):
        self.begin()
        self.updates.goes_on()
        self.launcher.hear("goes_on")
        # Without Qt, and with nobody who listens, the launcher has to ask the windows.
        self.updates._callbacks["quit_requested"].clear()
        self.assertFalse(self.launcher.ask("restart", reason="another version")["heard"])
        self.assertTrue(self.launcher.ask("goes_on")["ok"])

    def test_an_app_that_nobody_polls(self):
        self.updates.start()
        self.launcher.hear("hello")
        asked = self.update({"words.py": "def say():\n    return 'new'\n"})
        self.assertEqual(
            self.launcher.ask("plan_swap", **asked)["plan"]["reasons"][0]["code"], "main-thread"
        )

    def test_a_callback_that_fails_harms_nothing(self):
        self.updates.on("connected", lambda info: 1 / 0)
        error, sys.stderr = sys.stderr, open(os.devnull, "w")
        try:
            self.begin()
        finally:
            sys.stderr.close()
            sys.stderr = error
        self.assertTrue(self.launcher.ask("update_available")["ok"])

    def test_a_folder_that_others_can_open_is_not_trusted(self):
        os.chmod(self.launcher.folder, 0o755)
        with self.assertRaises(OSError):
            stream.connect(self.launcher.address)
        os.chmod(self.launcher.folder, stat.S_IRWXU)
        stream.connect(self.launcher.address).close()

    def test_start_takes_the_token_out_of_the_environment(self):
        import subprocess

        code = (
            "import kuzflow_runtime as k, os, time\n"
            "u = k.start(); assert u is k.start(); k.up()\n"
            "assert 'KUZFLOW_TOKEN' not in os.environ and 'KUZFLOW_CHANNEL' not in os.environ\n"
            "while not u.is_connected: time.sleep(0.01)\n"
            "print(k.version(), k.folder('data') == os.path.join(k.container_folder(), 'data'))\n"
            "input()"
        )
        environment = dict(
            os.environ,
            KUZFLOW_HOME=self.current,
            KUZFLOW_VERSION="1.0.0",
            KUZFLOW_CHANNEL=self.launcher.address,
            KUZFLOW_TOKEN=TOKEN,
            KUZFLOW_HEALTH=os.path.join(self.root, "health"),
            PYTHONPATH=os.path.join(os.path.dirname(__file__), os.pardir),
        )
        app = subprocess.Popen(
            [sys.executable, "-c", code],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            self.launcher.hear(lambda message: message["type"] == "up" or message.get("up") is True)
        finally:
            output = app.communicate(b"\n", timeout=60)[0]
        self.assertEqual(app.returncode, 0)
        self.assertEqual(output.split(), [b"1.0.0", b"True"])
        with open(environment["KUZFLOW_HEALTH"]) as health:
            self.assertEqual(health.read(), "up\n")


if __name__ == "__main__":
    unittest.main()
