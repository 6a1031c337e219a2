"""Swaps that go well: who sees the new code, and what stays."""

import functools
import gc
import importlib
import inspect
import os
import sys
import threading
import unittest

from support import AppCase


class WhoSeesIt(AppCase):
    def test_import_and_from_import_and_later_imports(self):
        user = self.app(
            {
                "words.py": "LIMIT = 3\ndef say():\n    return 'old', LIMIT\n",
                "user.py": "import words\nfrom words import say, LIMIT as MOST\nfrom words import *\ndef ask():\n    return words.say(), say(), MOST, LIMIT\n",
            },
            "user",
        )
        words = sys.modules["words"]
        self.assertEqual(
            self.swap({"words.py": "LIMIT = 4\ndef say():\n    return 'new', LIMIT\n"}), ["words"]
        )
        self.assertEqual(user.ask(), (("new", 4), ("new", 4), 4, 4))
        self.assertEqual(words.say(), ("new", 4))
        self.assertEqual(importlib.import_module("words").say(), ("new", 4))
        self.assertTrue(sys.modules["words"].__file__.startswith(self.current))
        self.assertFalse(
            [
                each
                for _, folders, _ in os.walk(self.containers)
                for each in folders
                if each == "__pycache__"
            ]
        )

    def test_a_name_that_was_changed_since_is_left_alone(self):
        user = self.app({"words.py": "A = 1\n", "user.py": "from words import A\n"}, "user")
        user.A = 9
        self.swap({"words.py": "A = 2\n"})
        self.assertEqual(user.A, 9)

    def test_names_that_a_package_hands_on(self):
        user = self.app(
            {
                "tools/__init__.py": "from .inner import RATE, work\n",
                "tools/inner.py": "RATE = 500\ndef work():\n    return 'old'\n",
                "user.py": "from tools import RATE, work\n",
            },
            "user",
        )
        self.swap({"tools/inner.py": "RATE = 700\ndef work():\n    return 'new'\n"})
        self.assertEqual((user.RATE, user.work(), sys.modules["tools"].RATE), (700, "new", 700))
        self.assertIs(sys.modules["tools"].inner, sys.modules["tools.inner"])

    def test_old_functions_call_the_new_ones_wherever_they_are(self):
        words = self.app(
            {
                "words.py": "def say(one, two=2):\n    return 'old'\nclass Box:\n    def open(self, key):\n        return 'old'\n"
            },
            "words",
        )
        part = functools.partial(words.say, 1)
        mine = words.say
        self.swap(
            {
                "words.py": "def say(one, *, three=3):\n    return 'new', one, three\nclass Box:\n    def open(self, key):\n        return 'old'\n"
            }
        )
        self.assertEqual((part(), mine(5, three=4)), (("new", 1, 3), ("new", 5, 4)))
        self.assertEqual(str(inspect.signature(mine)), "(one, *, three=3)")
        try:
            mine()
        except TypeError as error:
            self.assertIsNone(
                error.__traceback__.tb_next
            )  # PyQt sees this way whether a slot takes fewer arguments.
        else:
            self.fail("a parameter is missing")

    def test_there_is_one_set_of_globals(self):
        words = self.app(
            {
                "words.py": "count = 0\ndef add():\n    global count\n    count += 1\ndef get():\n    return count\n"
            },
            "words",
        )
        add = words.add
        self.swap(
            {
                "words.py": "count = 100\ndef add():\n    global count\n    count += 10\ndef get():\n    return count\n"
            }
        )
        add()
        words.add()
        self.assertEqual((words.get(), words.count, sys.modules["words"].count), (120, 120, 120))
        words.count = 7
        self.assertEqual(words.get(), 7)

    def test_generators_coroutines_and_closures(self):
        words = self.app(
            {
                "words.py": """
                def numbers(): yield 1
                async def later(): return 'old'
                def make(step):
                    def inner(): return ('old', step, helper())
                    return inner
                def two():
                    return (lambda: 1, lambda: 2)
                def helper(): return 'old'
                """
            },
            "words",
        )
        numbers, later, closure, (one, two) = words.numbers, words.later, words.make(5), words.two()
        self.swap(
            {
                "words.py": """
                def numbers(): yield 2
                async def later(): return 'new'
                def make(step):
                    def inner(): return ('new', step, helper())
                    return inner
                def two():
                    return (lambda: 2, lambda: 3)
                def helper(): return 'new'
                """
            }
        )
        self.assertEqual(list(numbers()), [2])
        self.assertTrue(inspect.isgeneratorfunction(numbers) and inspect.iscoroutinefunction(later))
        with self.assertRaises(StopIteration) as caught:
            later().send(None)
        self.assertEqual(caught.exception.value, "new")
        self.assertEqual(closure(), ("new", 5, "new"))
        self.assertEqual((one(), two()), (1, 2))  # Which is which cannot be told.

    def test_decorators_and_registries(self):
        user = self.app(
            {
                "registry.py": "OPERATIONS = {}\nORDER = []\ndef operation(name):\n    def take(f):\n        OPERATIONS[name] = f\n        ORDER.append(f)\n        return f\n    return take\n",
                "words.py": "import functools\nfrom registry import operation\ndef loud(f):\n    @functools.wraps(f)\n    def wrapper(*a):\n        return f(*a).upper()\n    return wrapper\n@operation('say')\n@loud\ndef say():\n    return 'old'\n@functools.lru_cache()\ndef cached():\n    return 'old'\n",
                "user.py": "import registry, words\nfrom words import cached\ncached()\ncalls = [words.say, words.say]\nclass Holder:\n    cached = staticmethod(words.cached)\n    table = (words.cached,)\n",
            },
            "user",
        )
        bound = sys.modules["words"].say
        with open(os.path.join(self.current, "app", "words.py")) as file:
            new = file.read().replace("'old'", "'new'").replace(".upper()", ".title()")
        self.swap({"words.py": new})
        registry = sys.modules["registry"]
        self.assertEqual(registry.OPERATIONS["say"](), "New")
        self.assertEqual([each() for each in registry.ORDER], ["New"])
        self.assertEqual([each() for each in user.calls], ["New"] * 2)
        self.assertEqual((bound(), user.cached(), user.Holder.table[0]()), ("New", "new", "new"))
        self.assertTrue(self.manager.undo())
        self.assertEqual(
            (bound(), registry.OPERATIONS["say"](), len(registry.ORDER), user.cached()),
            ("OLD", "OLD", 1, "old"),
        )
        self.assertEqual(user.Holder.table[0](), "old")

    def test_where_the_code_comes_from_is_reported_after_going_back(self):
        self.app({"words.py": "def say():\n    return 'old'\n"}, "words")
        first = self.manager.in_use[-1]
        reported = []
        self.manager.on_moved = lambda: reported.append(self.manager.in_use[-1])
        self.swap({"words.py": "def say():\n    return 'new'\n"})
        second = self.manager.in_use[-1]
        self.assertNotEqual(first, second)
        self.assertTrue(self.manager.undo())
        self.assertEqual((reported, self.manager.in_use), ([first], [second, first]))

    def test_a_set_of_modules_that_need_each_other(self):
        user = self.app(
            {
                "base.py": "class Shape:\n    sides = 0\ndef area():\n    return 1\n",
                "square.py": "from base import Shape, area\nclass Square(Shape):\n    def area(self):\n        return area()\n",
                "user.py": "import square\ndef ask():\n    return square.Square().area(), square.Square.sides\n",
            },
            "user",
        )
        names = self.swap(
            {
                "base.py": "class Shape:\n    sides = 4\ndef area():\n    return 2\n",
                "square.py": "from base import Shape, area\nclass Square(Shape):\n    def area(self):\n        return area() * 10\n",
            }
        )
        self.assertEqual(names, ["base", "square"])
        self.assertEqual(user.ask(), (20, 4))
        self.assertIs(sys.modules["square"].Shape, sys.modules["base"].Shape)

    def test_packages_submodules_new_modules_and_lazy_imports(self):
        user = self.app(
            {
                "pack/__init__.py": "from . import one\nNAME = 'old'\n",
                "pack/one.py": "def f():\n    return 1\n",
                "pack/lazy.py": "VALUE = 'old'\n",
                "pack/same.py": "VALUE = 'same'\n",
                "user.py": "import pack\ndef ask():\n    from pack import lazy, same\n    return pack.NAME, pack.one.f(), lazy.VALUE, same.__file__\n",
            },
            "user",
        )
        first = self.current
        self.swap(
            {
                "pack/__init__.py": "from . import one\nfrom .fresh import NAME\n",
                "pack/fresh.py": "NAME = 'new'\n",
                "pack/lazy.py": "VALUE = 'new'\n",
                "deep/inner/mod.py": "X = 5\n",
            }
        )
        name, one, lazy, same = user.ask()
        self.assertEqual((name, one, lazy), ("new", 1, "new"))
        self.assertTrue(same.startswith((self.current, first)))
        self.assertEqual(importlib.import_module("deep.inner.mod").X, 5)

    def test_a_module_that_is_gone_is_not_found_any_more(self):
        self.app({"words.py": "A = 1\n", "late.py": "B = 1\n"}, "words")
        self.swap({"words.py": "A = 2\n"}, removed=["late.py"])
        with self.assertRaises(ModuleNotFoundError):
            importlib.import_module("late")

    def test_several_swaps_after_each_other(self):
        user = self.app(
            {
                "words.py": "A = 0\ndef say():\n    return 0\n",
                "user.py": "import words\nfrom words import say\n",
            },
            "user",
        )
        saved, module = user.say, sys.modules["words"]
        for number in range(1, 6):
            self.swap({"words.py": f"A = {number}\ndef say():\n    return {number}\n"})
            self.assertEqual(
                (user.say(), user.words.say(), saved(), module.A, module.say()), (number,) * 5
            )
        self.assertTrue(self.manager.undo())
        self.assertEqual((user.say(), user.words.say(), saved(), module.A), (4,) * 4)
        self.assertFalse(self.manager.undo())
        del module
        self.manager._last = None
        gc.collect()
        modules = [
            each
            for each in gc.get_objects()
            if type(each).__name__ == "Leading" and "words" in repr(each)
        ]
        self.assertLessEqual(len(modules), 1)


class State(AppCase):
    def test_what_is_retained(self):
        user = self.app(
            {
                "words.py": "__keep__ = ['cache']\ncache = {}\nother = {}\ndef put(k):\n    cache[k] = other[k] = 1\n",
                "user.py": "from words import cache, put\n",
            },
            "user",
        )
        user.put("a")
        cache = user.cache
        self.swap(
            {
                "words.py": "__keep__ = ['cache', 'unknown']\ncache = {'fresh': 1}\nother = {}\ndef put(k):\n    cache[k] = 2\n"
            }
        )
        user.put("b")
        self.assertIs(user.cache, cache)
        self.assertEqual((cache, sys.modules["words"].other), ({"a": 1, "b": 2}, {}))

    def test_a_class_that_did_not_change_stays_and_runs_new_code(self):
        user = self.app(
            {
                "words.py": """
                import enum, dataclasses, collections
                RATE = 5
                class Color(enum.Enum):
                    RED = 1
                @dataclasses.dataclass
                class Point:
                    x: int = 0
                    def far(self): return self.x * RATE + helper()
                class Base:
                    made = 0
                    def __init__(self): Base.made += 1
                    def who(self): return 'base', helper()
                class Child(Base):
                    def who(self): return ('child',) + super().who()
                Pair = collections.namedtuple('Pair', 'a b')
                DEFAULT = Color.RED
                ORIGIN = Point()
                def helper(): return 0
                """,
                "user.py": "import words\nchild, point, red, pair = words.Child(), words.Point(3), words.Color.RED, words.Pair(1, 2)\n",
            },
            "user",
        )
        words = user.words
        Child, Point = words.Child, words.Point
        with open(os.path.join(self.current, "app", "words.py")) as file:
            new = file.read().replace("RATE = 5", "RATE = 7").replace("return 0", "return 1000")
        self.swap({"words.py": new})
        words = sys.modules["words"]
        self.assertEqual(user.point.far(), 1021)
        self.assertEqual(user.child.who(), ("child", "base", 1000))
        self.assertIs(words.Child, Child)
        self.assertIs(words.Point, Point)
        self.assertIs(words.Color.RED, user.red)
        self.assertIs(words.DEFAULT, user.red)
        self.assertIs(type(words.ORIGIN), Point)
        self.assertIsInstance(user.pair, words.Pair)
        self.assertEqual(words.Child().who(), ("child", "base", 1000))
        self.assertEqual(words.Base.made, 2)
        self.assertTrue(self.manager.undo())
        self.assertEqual((user.point.far(), user.child.who()), (15, ("child", "base", 0)))

    def test_instances_of_a_declared_class_are_moved(self):
        user = self.app(
            {
                "words.py": "class Box:\n    def __init__(self): self.n = 1\n    def say(self): return 'old', self.n\n",
                "user.py": "from words import Box\nclass Sub(Box):\n    def say(self): return ('sub',) + super().say()\nbox, sub, kinds, table = Box(), Sub(), (Box, int), {Box: 1}\nsay = box.say\n",
            },
            "user",
        )
        new = "__hot_swappable__ = ['Box']\nclass Box:\n    def __init__(self): self.m = 0\n    def say(self): return 'new', self.m\n    @staticmethod\n    def __migrate__(old): old.m = old.__dict__.pop('n') * 10\n"
        Box = user.Box
        self.swap({"words.py": new.replace(" * 10", " * 20")})
        self.assertIsNot(user.Box, Box)
        self.assertEqual((user.box.say(), user.say()), (("new", 20), ("new", 20)))
        self.assertIsInstance(user.box, user.kinds)
        self.assertIn(user.Box, user.table)
        user.sub.m = 3
        self.assertEqual(user.sub.say(), ("sub", "new", 3))
        late = user.Box()
        self.assertTrue(self.manager.undo())
        self.assertIs(user.Box, Box)
        self.assertEqual((user.box.say(), user.box.__dict__), (("old", 1), {"n": 1}))
        self.assertIs(type(late), Box)
        self.assertIs(type(user.sub).__bases__[0], Box)

    def test_a_changed_class_without_instances_is_exchanged(self):
        user = self.app(
            {
                "words.py": "class Box:\n    def say(self): return 'old'\n",
                "user.py": "from words import Box\nmakers = [Box]\ndef make():\n    return makers[0]().say(), Box().say()\n",
            },
            "user",
        )
        self.swap({"words.py": "class Box:\n    def say(self): return 'new'\n"})
        self.assertEqual(user.make(), ("new", "new"))

    def test_a_singleton_nobody_else_holds(self):
        user = self.app(
            {
                "words.py": "class Manager:\n    def say(self): return 'old'\nmanager = Manager()\n",
                "user.py": "import words\n",
            },
            "user",
        )
        self.swap(
            {"words.py": "class Manager:\n    def say(self): return 'new'\nmanager = Manager()\n"}
        )
        self.assertEqual(user.words.manager.say(), "new")

    def test_a_retained_singleton_of_a_declared_class(self):
        user = self.app(
            {
                "words.py": "class Manager:\n    def say(self): return 'old', self.n\nmanager = Manager()\nmanager.n = 5\n",
                "user.py": "from words import manager\n",
            },
            "user",
        )
        self.swap(
            {
                "words.py": "__keep__ = ['manager']\n__hot_swappable__ = True\nclass Manager:\n    def say(self): return 'new', self.n\nmanager = Manager()\n"
            }
        )
        self.assertEqual(
            (user.manager.say(), sys.modules["words"].manager), (("new", 5), user.manager)
        )

    def test_a_declared_enumeration(self):
        user = self.app(
            {
                "words.py": "import enum\nclass Color(enum.Enum):\n    RED = 1\n",
                "user.py": "from words import Color\nlast = {'c': Color.RED}\n",
            },
            "user",
        )
        self.swap(
            {
                "words.py": "import enum\n__hot_swappable__ = True\nclass Color(enum.Enum):\n    RED = 1\n    BLUE = 2\n"
            }
        )
        self.assertIs(user.last["c"], user.Color.RED)
        self.assertEqual(user.Color.BLUE.value, 2)

    def test_a_resource_that_a_module_names(self):
        words = self.app(
            {
                "words.py": "import os\n__resources__ = ['*.txt']\ndef text():\n    with open(os.path.join(os.path.dirname(__file__), 'a.txt')) as f:\n        return f.read()\n",
                "a.txt": "old",
            },
            "words",
        )
        self.assertEqual(self.swap({"a.txt": "new"}), ["words"])
        self.assertEqual(words.text(), "new")

    def test_work_that_is_going_on_ends_as_it_began(self):
        words = self.app(
            {
                "words.py": "import threading\ngo, spoken = threading.Event(), []\n__keep__ = ['go', 'spoken']\ndef work():\n    go.wait(10)\n    spoken.append(say())\ndef say():\n    return 'old'\n"
            },
            "words",
        )
        thread = threading.Thread(target=words.work)
        thread.start()
        self.swap(
            {
                "words.py": "import threading\ngo, spoken = threading.Event(), []\n__keep__ = ['go', 'spoken']\ndef work():\n    pass\ndef say():\n    return 'new'\n"
            }
        )
        words.go.set()
        thread.join()
        self.assertEqual(words.spoken, ["new"])  # What it calls from now on is new.

    def test_listeners_and_registered_modules(self):
        self.app({"words.py": "A = 1\ncache = []\n"}, "words").cache.append(1)
        seen = []
        self.manager.on_swapped(seen.append)
        self.manager.register(
            "words", required=["A"], self_check=lambda module: module.A == 2, keep=["cache"]
        )
        self.swap({"words.py": "A = 2\ncache = []\n"})
        self.assertEqual((seen, sys.modules["words"].cache), ([["words"]], [1]))


if __name__ == "__main__":
    unittest.main()
