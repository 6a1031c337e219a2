"""The import graph."""

import ast
import os
import unittest

from support import AppCase, write

from kuzflow_runtime import CircularDependencyError, DependencyTracker
from kuzflow_runtime.dependencies import bindings


class Order(unittest.TestCase):
    def tracker(self, **sources):
        tracker = DependencyTracker()
        for name, source in sources.items():
            is_package = name.endswith("__")
            tracker.add(name.rstrip("_").replace("__", "."), source, is_package)
        return tracker

    def test_dependencies_come_first(self):
        tracker = self.tracker(a="import b", b="from c import x\nimport os", c="", d="import a, c")
        self.assertEqual(tracker.order(["d", "a", "b", "c"]), ["c", "b", "a", "d"])
        self.assertEqual(tracker.order(["a", "c"]), ["c", "a"])  # By way of b.
        self.assertEqual(
            (tracker.dependencies("d"), tracker.dependents("c")), ({"a", "c"}, {"b", "d"})
        )

    def test_relative_and_package_imports(self):
        tracker = self.tracker(
            p__="from . import one\nfrom .two import x",
            p__one="from .two import x",
            p__two="",
            q="import p.one as o",
            r="from p import two",
        )
        self.assertEqual(tracker.dependencies("p"), {"p.one", "p.two"})
        self.assertEqual(tracker.dependencies("p.one"), {"p.two"})
        self.assertEqual(
            tracker.order(["p", "p.one", "p.two", "q", "r"]), ["p.two", "p.one", "p", "q", "r"]
        )
        self.assertEqual(tracker.dependencies("r"), {"p", "p.two"})

    def test_circles_are_reported(self):
        with self.assertRaises(CircularDependencyError) as caught:
            self.tracker(a="import b", b="import c", c="import a", d="").order(["a", "b", "d"])
        self.assertEqual(caught.exception.cycle, ["a", "b", "c", "a"])
        with self.assertRaises(CircularDependencyError):
            self.tracker(p__="from .one import f\nX = 1", p__one="from p import X").order(
                ["p", "p.one"]
            )

    def test_what_only_runs_later_is_no_circle(self):
        sources = {
            "a": "def f():\n    import b\nclass C:\n    import d",
            "b": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import a\nelse:\n    import c\ntry:\n    import d\nexcept ImportError:\n    pass",
            "c": "def g():\n    import b",
            "d": "",
        }
        tracker = self.tracker(**sources)
        self.assertEqual(tracker.dependencies("b"), {"c", "d"})
        self.assertEqual(tracker.order(["a", "b", "c", "d"]), ["d", "c", "b", "a"])

    def test_bindings(self):
        tree = ast.parse(
            "import a.b\nimport a.c as d\nfrom . import e as f\nfrom ..g import *\nwith x:\n    from h import i\ndef later():\n    import j"
        )
        found = {
            (each.name, each.module, each.attribute) for each in bindings(tree, "p.q.r", False)
        }
        self.assertEqual(
            found,
            {
                ("a", "a", None),
                ("d", "a.c", None),
                ("f", "p.q", "e"),
                ("*", "p.g", "*"),
                ("i", "h", "i"),
            },
        )


class Folder(AppCase):
    def test_a_folder(self):
        write(
            self.root,
            {
                "x.py": "import y.z",
                "y/__init__.py": "",
                "y/z.py": "",
                "y/bad.py": "(",
                "not-a-name.py": "",
                "y.py": "",
                "data/a.txt": "",
            },
        )
        tracker = DependencyTracker()
        failed = tracker.add_folder(self.root)
        self.assertEqual([name for name, _ in failed], ["y.bad"])
        self.assertEqual(tracker.order(["x", "y", "y.z"]), ["y", "y.z", "x"])
        self.assertTrue(os.path.isdir(self.root))


if __name__ == "__main__":
    unittest.main()
