"""What holds for the package as a whole: what it hands out, and what its import costs."""

import ast
import importlib
import os
import subprocess
import sys
import unittest

RUNTIME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PACKAGE = os.path.join(RUNTIME, "kuzflow_runtime")
sys.path.insert(0, RUNTIME)


def modules():
    """The package and each of its modules by its name, with its source parsed."""
    for file_name in sorted(os.listdir(PACKAGE)):
        if file_name.endswith(".py"):
            with open(os.path.join(PACKAGE, file_name), encoding="utf-8") as file:
                tree = ast.parse(file.read())
            stem = file_name[: -len(".py")]
            yield "kuzflow_runtime" if stem == "__init__" else f"kuzflow_runtime.{stem}", tree


class Package(unittest.TestCase):
    def test_every_module_says_what_it_hands_out(self):
        for name, _ in modules():
            module = importlib.import_module(name)
            for public in module.__all__:
                self.assertTrue(hasattr(module, public), f"{name} has no {public}")

    def test_no_module_imports_what_another_keeps_for_itself(self):
        for name, tree in modules():
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and node.level:
                    names = [alias.name for alias in node.names if alias.name.startswith("_")]
                    self.assertEqual(names, [], name)

    def test_an_app_that_only_says_up_loads_little(self):
        script = (
            "import sys; before = set(sys.modules); import kuzflow_runtime; kuzflow_runtime.up(); "
            "print(*sorted(set(sys.modules) - before))"
        )
        loaded = subprocess.run(
            [
                sys.executable,
                "-I",
                "-S",
                "-c",
                f"import sys; sys.path.insert(0, {RUNTIME!r}); {script}",
            ],
            stdout=subprocess.PIPE,
            check=True,
        ).stdout.decode()
        ours = [each for each in loaded.split() if each.startswith("kuzflow")]
        expected = ["kuzflow_runtime", "kuzflow_runtime.container", "kuzflow_runtime.health"]
        self.assertEqual(ours, expected)
        self.assertNotIn("typing", loaded.split())


if __name__ == "__main__":
    unittest.main()
