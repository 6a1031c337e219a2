"""Swaps that must not be: each is undone in full, and the app goes on with its old code."""

import atexit
import json
import os
import random
import signal
import sys
import threading
import unittest
import unittest.mock
from concurrent.futures import ThreadPoolExecutor  # noqa: F401  It changes its package when it is first asked for.

from support import AppCase, HotSwapError, state, write

APP = {
    "registry.py": "OPERATIONS = {}\nORDER = []\nSEEN = set()\nclass Plugin:\n    all = []\n    def __init_subclass__(cls): Plugin.all.append(cls)\n",
    "words.py": "import registry\nLIMIT = 3\ndef say():\n    return 'old'\n",
    "other.py": "def f():\n    return 'old'\n",
    "user.py": "import words, other\nfrom words import say, LIMIT\nfrom other import f\ndef ask():\n    return words.say(), say(), other.f(), f()\n",
}
GOOD = "def f():\n    return 'new'\n"


class Faults(AppCase):
    def setUp(self):
        super().setUp()
        self.user = self.app(APP, "user")

    def tearDown(self):
        self.assertEqual(self.user.ask(), ("old",) * 4)
        self.user = None

    def fails(self, source, code, in_plan=False, **more):
        """The good module in the same update is not swapped either."""
        return self.refused({"other.py": GOOD, "words.py": source, **more}, code, in_plan=in_plan)

    def test_import_error(self):
        self.fails(
            "import no_such_module\nLIMIT = 4\ndef say():\n    return 'new'\n", "import-error"
        )
        self.fails("LIMIT = 4\ndef say():\n    return 'new'\n1 / 0\n", "import-error")
        self.fails(
            "import sys\nLIMIT = 4\ndef say():\n    return 'new'\nsys.exit(3)\n", "import-error"
        )

    def test_no_python(self):
        self.fails("def say(:\n", "syntax", True)
        self.fails(b"\0\0", "syntax", True)
        self.fails(b"# coding: no-such\n", "syntax", True)

    def test_self_check(self):
        good = "LIMIT = 4\ndef say():\n    return 'new'\n"
        error = self.fails(
            good + "def __self_check__():\n    return say() == 'expected'\n", "self-check"
        )
        self.assertEqual(error.reasons[0].module, "words")
        self.fails(good + "def __self_check__():\n    raise ValueError('no')\n", "self-check")

    def test_required_names(self):
        self.fails(
            "__required_attrs__ = ['more']\nLIMIT = 4\ndef say():\n    return 'new'\n",
            "required-attribute",
        )
        self.fails("LIMIT = 4\n", "missing-name", True)
        self.fails("def say():\n    return 'new'\n", "missing-name", True)
        self.fails(
            "LIMIT = 4\ndef say():\n    return 'new'\nfor name in ('say',):\n    del globals()[name]\n",
            "missing-name",
        )

    def test_circular_dependency(self):
        self.refused(
            {
                "words.py": "import other\nLIMIT = 1\ndef say(): return 'new'\n",
                "other.py": "import words\ndef f(): return 'new'\n",
            },
            "circular",
            in_plan=True,
        )

    def test_compiled_extension(self):
        self.refused(
            {"other.py": GOOD, "fast.cpython-311-x86_64-linux-gnu.so": b"\x7fELF"},
            "c-extension",
            in_plan=True,
        )
        self.refused({"other.py": GOOD, "fast.pyd": b"MZ"}, "c-extension", in_plan=True)

    def test_a_thread_that_is_started(self):
        before = threading.active_count()
        rest = "LIMIT = 4\ndef say():\n    return 'new'\n"
        self.fails(
            "import threading\nt = threading.Thread(target=print)\nt.start()\n" + rest,
            "starts-thread",
            True,
        )
        self.fails(
            "import threading\nclass Work(threading.Thread):\n    pass\nWork().start()\n" + rest,
            "starts-thread",
            True,
        )
        self.fails(
            "import _thread\n_thread.start_new_thread(print, ())\n" + rest, "starts-thread", True
        )
        self.fails(
            "import threading\ndef go():\n    threading.Thread(target=print).start()\ngo()\n"
            + rest,
            "starts-thread",
        )
        self.fails(
            "import threading\ndef go():\n    try:\n        threading.Thread(target=print).start()\n    except Exception:\n        pass\ngo()\n"
            + rest,
            "starts-thread",
        )
        self.fails(
            "from concurrent.futures import ThreadPoolExecutor\nThreadPoolExecutor().submit(print)\n"
            + rest,
            "starts-thread",
        )
        self.fails(
            "import threading\n"
            + rest
            + "def __self_check__():\n    threading.Thread(target=print).start()\n",
            "self-check",
        )
        self.assertEqual(threading.active_count(), before)
        other = threading.Thread(target=lambda: None)
        other.start()
        other.join()

    def test_live_objects_of_an_undeclared_class(self):
        write(
            os.path.join(self.current, "app"),
            {
                "live.py": "class Box:\n    a = 1\ndef make():\n    class Inner:\n        pass\n    return Inner()\n"
            },
        )
        live = __import__("live")
        self.user.box = live.Box()
        self.refused(
            {
                "live.py": "class Box:\n    a = 2\ndef make():\n    class Inner:\n        pass\n    return Inner()\n"
            },
            "live-class",
            in_plan=True,
        )
        self.user.box = None
        self.user.inner = live.make()
        self.refused(
            {
                "live.py": "class Box:\n    a = 1\ndef make():\n    class Inner:\n        pass\n    return Inner()\nX = 1\n"
            },
            "live-class",
            in_plan=True,
        )
        self.user.inner = None
        self.user.Sub = type("Sub", (live.Box,), {"__module__": "user"})
        self.refused(
            {"live.py": "class Box:\n    a = 2\ndef make(): pass\n"}, "live-class", in_plan=True
        )
        del self.user.Sub

    def test_state_that_others_hold(self):
        source = "%sclass Settings:\n    size = 1\nsettings = Settings()\ntable = {}\ndef f(): return %r\n"
        write(os.path.join(self.current, "app"), {"live.py": source % ("", "old")})
        live = __import__("live")
        self.user.holder = [live.settings]
        error = self.refused({"live.py": source % ("", "new")}, "undeclared-state", in_plan=True)
        self.assertIn("settings", str(error))
        self.user.holder = {"table": live.table}
        self.refused({"live.py": source % ("", "new")}, "undeclared-state", in_plan=True)
        live = None
        self.swap({"live.py": source % ("__keep__ = ['table']\n", "new")})
        live = sys.modules["live"]
        self.assertIs(live.table, self.user.holder["table"])
        self.user.holder = live.settings
        self.swap({"live.py": source % ("__fresh__ = ['settings', 'table']\n", "new")})
        self.assertIsNot(sys.modules["live"].settings, self.user.holder)
        self.user.holder = None

    def test_a_class_that_cannot_be_moved(self):
        write(
            os.path.join(self.current, "app"),
            {"live.py": "__hot_swappable__ = True\nclass Box:\n    __slots__ = ('a',)\n"},
        )
        self.user.box = __import__("live").Box()
        self.refused(
            {"live.py": "__hot_swappable__ = True\nclass Box:\n    __slots__ = ('a', 'b')\n"},
            "layout",
        )
        self.refused(
            {"live.py": "__hot_swappable__ = True\nclass Other:\n    pass\n"}, "live-class"
        )
        self.user.box = None

    def test_a_hook_that_fails_halfway(self):
        write(
            os.path.join(self.current, "app"),
            {"live.py": "__hot_swappable__ = True\nclass Box:\n    pass\n"},
        )
        live = __import__("live")
        self.user.boxes = [live.Box() for _ in range(5)]
        for number, box in enumerate(self.user.boxes):
            box.number = number
        new = "__hot_swappable__ = True\nclass Box:\n    x = 1\n    def __migrate__(self):\n        self.extra = 1 / (3 - self.__dict__.pop('number'))\n"
        self.refused({"live.py": new, "other.py": GOOD}, "migrate")
        self.assertEqual(
            [box.__dict__ for box in self.user.boxes], [{"number": number} for number in range(5)]
        )
        self.assertEqual({type(box) for box in self.user.boxes}, {live.Box})

    def test_something_that_holds_a_class_for_good(self):
        write(
            os.path.join(self.current, "app"),
            {"live.py": "class Box:\n    @classmethod\n    def make(cls): return cls\n"},
        )
        self.user.make = __import__("live").Box.make
        self.refused(
            {"live.py": "class Box:\n    x = 1\n    @classmethod\n    def make(cls): return cls\n"},
            "held",
        )
        self.user.make = None

    def test_a_listener_that_refuses(self):
        @self.manager.on_swapped
        def no(names):
            self.assertEqual(self.user.ask(), ("new",) * 4)
            raise RuntimeError("no")

        self.fails("LIMIT = 4\ndef say():\n    return 'new'\n", "listener")

    def test_side_effects_are_taken_back(self):
        before, handler = dict(os.environ), signal.getsignal(signal.SIGTERM)
        patch = unittest.mock.patch("atexit.unregister", wraps=atexit.unregister)
        unregister = patch.start()
        self.addCleanup(patch.stop)
        registry = sys.modules["registry"]
        registry.OPERATIONS["a"] = 1
        original = json.dumps
        self.fails(
            """
            import atexit, json, os, signal, sys, registry, user
            LIMIT = 4
            def say(): return 'new'
            atexit.register(say)
            os.environ['KUZFLOW_TEST_EXTRA'] = '1'
            signal.signal(signal.SIGTERM, lambda *_: None)
            sys.path.append('/nowhere')
            json.dumps = say
            registry.OPERATIONS['say'] = say
            registry.OPERATIONS['a'] = 2
            registry.ORDER.append(say)
            registry.SEEN.add(1)
            registry.EXTRA = 1
            class Mine(registry.Plugin): pass
            user.words = None
            del user.other
            from late import LATE
            import fractions
            raise ValueError('late')
            """,
            "import-error",
            **{"late.py": "from user import f as LATE\n"},
        )
        self.assertEqual(
            (registry.OPERATIONS, registry.ORDER, registry.SEEN, registry.Plugin.all),
            ({"a": 1}, [], set(), []),
        )
        self.assertEqual((dict(os.environ), signal.getsignal(signal.SIGTERM)), (before, handler))
        self.assertEqual(unregister.call_args[0][0].__name__, "say")
        self.assertIs(json.dumps, original)
        self.assertNotIn("late", sys.modules)

    def test_files_that_differ_from_what_was_announced(self):
        folder, changes = self.release({"words.py": "LIMIT = 4\ndef say(): return 'new'\n"})
        with open(os.path.join(folder, "app", "words.py"), "a") as file:
            file.write("\n")
        self.assertEqual(self.manager.plan(folder, changes)["reasons"][0]["code"], "wrong-digest")
        os.remove(os.path.join(folder, "app", "words.py"))
        self.assertEqual(self.manager.plan(folder, changes)["reasons"][0]["code"], "unreadable")
        if hasattr(os, "symlink"):
            os.symlink(__file__, os.path.join(folder, "app", "words.py"))
            self.assertEqual(self.manager.plan(folder, changes)["reasons"][0]["code"], "bad-path")
        for path in (
            "../x.py",
            "/etc/x.py",
            "app\\x.py",
            "c:/x.py",
            "app//x.py",
            "",
            None,
            5,
            "app/./x.py",
        ):
            plan = self.manager.plan(folder, [{"path": path, "kind": "added", "sha256": "0" * 64}])
            self.assertEqual(plan["reasons"][0]["code"], "bad-path", path)
        for change in (
            5,
            {"path": "app/x.py", "kind": "odd"},
            {"path": "app/x.py", "kind": "added", "sha256": "0"},
        ):
            self.assertTrue(self.manager.plan(folder, [change])["requires_restart"])

    def test_what_has_a_defined_answer(self):
        self.refused({}, "removed-module", removed=["other.py"], in_plan=True)
        self.refused({"data.txt": "new"}, "resource", in_plan=True)
        self.refused({"other/__init__.py": GOOD}, "other-file", removed=["other.py"])
        folder, changes = self.release(
            {
                "words.pyi": "x",
                "__pycache__/words.cpython-311.pyc": b"x",
                "words.py": "LIMIT = 3\ndef say():\n    return 'old'\n#\n",
            }
        )
        self.assertFalse(self.manager.plan(folder, changes)["requires_restart"])
        self.assertEqual(self.manager.plan(folder, changes)["ignored"], ["app/words.pyi"])

    def test_the_plan_touches_nothing(self):
        folder, changes = self.release(
            {"words.py": "LIMIT = 4\ndef say(): return 'new'\n", "fresh.py": "A = 1\n"}
        )
        before = state()
        plan = self.manager.plan(folder, changes)
        self.assertEqual(before, state())
        self.assertEqual(
            (
                plan["swappable"],
                plan["later"],
                plan["hot_swappable_count"],
                plan["requires_restart"],
            ),
            (["words"], ["fresh"], 2, False),
        )

    def test_many_odd_updates(self):
        """Whatever the new sources do and wherever they fail, what was before is there after it."""
        dice = random.Random(5)
        pieces = [
            "import registry\nregistry.ORDER.append(1)\n",
            "import user\nuser.extra = 1\n",
            "from registry import *\n",
            "import sys\nsys.modules['user'] = sys.modules[__name__]\n",
            "import sys\ndel sys.modules['registry']\n",
            "def more(): pass\n",
            "class Mine:\n    pass\n",
            "import user\nuser.f = lambda: 'bad'\n",
            "import colorsys\n",
            "import fresh\n",
            "import registry\nregistry.Plugin.all = 5\n",
            "import sys\nsys.meta_path.clear()\n",
            "import builtins\nbuiltins.print = print\n",
            "import user\nuser.ask.__defaults__ = None\n",
        ]
        import colorsys  # noqa: F401  What stays loaded after a failure is not looked at here.

        for _ in range(40):
            source = (
                "".join(dice.sample(pieces, dice.randint(1, 6)))
                + "LIMIT = 4\ndef say(): return 'new'\n"
            )
            end = dice.choice(
                [
                    "raise ValueError\n",
                    "def __self_check__(): return False\n",
                    "del say\n",
                    "__required_attrs__ = ['x']\n",
                ]
            )
            folder, changes = self.release(
                {"words.py": source + end, "other.py": GOOD, "fresh.py": "import words\n"}
            )
            before = state()
            with self.assertRaises(HotSwapError):
                self.manager.swap(folder, changes)
            self.assertEqual(before, state(), source + end)
            self.current = self.last
            self.assertEqual(self.user.ask(), ("old",) * 4)


if __name__ == "__main__":
    unittest.main()
