"""Two containers in a temporary folder, and an app that runs from the first."""

import gc
import importlib
import os
import shutil
import sys
import tempfile
import textwrap
import types
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))

from kuzflow_runtime import HotSwapError, HotSwapManager
from kuzflow_runtime.changes import compare_containers


def write(folder, files):
    """Writes `{path: text or bytes}` below `folder`."""
    for path, content in files.items():
        whole = os.path.join(folder, *path.split("/"))
        os.makedirs(os.path.dirname(whole), exist_ok=True)
        with open(whole, "wb") as file:
            file.write(content if isinstance(content, bytes) else textwrap.dedent(content).encode())


def state():
    """The namespaces of all modules, by identity: what must be the same after a failed swap."""
    found = {}
    for name, module in sorted(sys.modules.items()):
        if not isinstance(module, types.ModuleType):
            continue
        space = types.ModuleType.__getattribute__(module, "__dict__")
        values = {key: id(value) for key, value in space.items() if key != "__warningregistry__"}
        found[name] = (id(module), type(module), values)
    return found


class AppCase(unittest.TestCase):
    """Each test has an app of its own, `self.app(files)`, and updates, `self.release(files)`."""

    def setUp(self):
        self.root = os.path.realpath(tempfile.mkdtemp())
        self.containers = os.path.join(self.root, "containers")
        self.current = os.path.join(self.containers, "app_1_Linux_x86_64")
        self.number = 1
        self.manager = HotSwapManager(self.current, self.containers)
        self._modules = dict(sys.modules)
        self._path = list(sys.path)
        self._meta = list(sys.meta_path)
        self._bytecode = sys.dont_write_bytecode
        sys.dont_write_bytecode = True

        self.addCleanup(self.clean)

    def clean(self):
        sys.path[:] = self._path
        sys.meta_path[:] = self._meta
        sys.dont_write_bytecode = self._bytecode
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None) or ""
            if name not in self._modules and (file.startswith(self.root) or not file):
                del sys.modules[name]
        importlib.invalidate_caches()
        self.manager = None
        gc.collect()
        shutil.rmtree(self.root)

    def app(self, files, *names):
        """Installs the first version and imports modules of it."""
        write(os.path.join(self.current, "app"), files)
        sys.path.insert(0, os.path.join(self.current, "app"))
        importlib.invalidate_caches()
        found = [importlib.import_module(name) for name in names]
        return found[0] if len(found) == 1 else found

    def release(self, files, removed=()):
        """Installs a next version: the last one with other files. Returns its folder and the changes."""
        self.number += 1
        folder = os.path.join(self.containers, f"app_{self.number}_Linux_x86_64")
        shutil.copytree(os.path.join(self.current, "app"), os.path.join(folder, "app"))
        write(os.path.join(folder, "app"), files)
        for path in removed:
            os.remove(os.path.join(folder, "app", *path.split("/")))
        changes = compare_containers(self.current, folder)
        self.last, self.current = self.current, folder
        return folder, changes

    def swap(self, files, removed=()):
        """A next version, swapped in."""
        return self.manager.swap(*self.release(files, removed))

    def refused(self, files, code, removed=(), in_plan=None):
        """A next version that must be refused with this code, and leave nothing. `in_plan`: whether the plan says so too."""
        folder, changes = self.release(files, removed)
        plan = self.manager.plan(folder, changes)
        if in_plan is not None:
            self.assertEqual(plan["requires_restart"], in_plan, plan)
        before = state()
        path, meta = list(sys.path), list(sys.meta_path)
        with self.assertRaises(HotSwapError) as caught:
            self.manager.swap(folder, changes)
        self.assertIn(
            code, [reason.code for reason in caught.exception.reasons], str(caught.exception)
        )
        after = state()
        added = [sys.modules[name] for name in after if name not in before]
        self.assertFalse(
            [
                module
                for module in added
                if (getattr(module, "__file__", None) or "").startswith(self.root)
            ]
        )
        for name in before:
            self.assertEqual(before[name], after.get(name), name)
        self.assertEqual((path, meta), (list(sys.path), list(sys.meta_path)))
        self.current = self.last
        return caught.exception
