"""Which module imports which, read from the sources and never by running them.

Only what runs while a module is imported ties it to another: imports in functions run later, and
those under `TYPE_CHECKING` never. A name may be a module or something in one (`from a import b`);
both are noted, and what is no module is dropped by whoever knows the modules.
"""

from __future__ import annotations

import ast
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Iterator

    # Modules, each with the name in it that is imported, or None for the module itself.
    Imported = set[tuple[str, str | None]]

__all__ = [
    "Binding",
    "CircularDependencyError",
    "DependencyTracker",
    "bindings",
    "imports",
    "module_files",
]


class CircularDependencyError(Exception):
    """Modules that import each other. `cycle` starts and ends with the same one."""

    def __init__(self, cycle: Iterable[str]) -> None:
        self.cycle = list(cycle)
        super().__init__("circular dependency: " + " -> ".join(self.cycle))


class Binding:
    """A name in a module that an import statement binds: `name` stands for `attribute` of `module`,
    or for the module itself (`attribute` is None). `from m import *` is a binding whose name is
    `*`."""

    __slots__ = ("name", "module", "attribute")

    def __init__(self, name: str, module: str, attribute: str | None) -> None:
        self.name = name
        self.module = module
        self.attribute = attribute


def bindings(tree: ast.Module, name: str, is_package: bool) -> list[Binding]:
    """The Bindings of the module `name` from its parsed source: of its own namespace, also in `if`
    and `try`."""
    return [
        binding
        for statement in _statements(tree, False)
        for binding in _bindings_of(statement, name, is_package)
    ]


def imports(tree: ast.Module, name: str, is_package: bool, deferred: bool = False) -> Imported:
    """What the import of module `name` imports, as (module, name in it or None); with `deferred`,
    also what it may import later."""
    found: Imported = set()
    for statement in _statements(tree, deferred):
        if isinstance(statement, ast.Import):
            found.update((alias.name, None) for alias in statement.names)
        else:
            base = _absolute(statement, name, is_package)
            if base is not None:
                found.update((base, alias.name) for alias in statement.names)
    return found


def _parents(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def _absolute(statement: ast.ImportFrom, name: str, is_package: bool) -> str | None:
    """The module that `from ... import` names, or None if it leads out of the package."""
    if not statement.level:
        return statement.module
    parts = name.split(".")
    parts = parts[: len(parts) - statement.level + (1 if is_package else 0)]
    if not parts:
        return None
    return ".".join(parts + ([statement.module] if statement.module else []))


def _bindings_of(
    statement: ast.Import | ast.ImportFrom, name: str, is_package: bool
) -> Iterator[Binding]:
    if isinstance(statement, ast.Import):
        for alias in statement.names:
            if alias.asname:
                yield Binding(alias.asname, alias.name, None)
            else:
                top = alias.name.split(".")[0]
                yield Binding(top, top, None)
        return
    base = _absolute(statement, name, is_package)
    if base is not None:
        for alias in statement.names:
            yield Binding(alias.asname or alias.name, base, alias.name)


def _statements(tree: ast.Module, deferred: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """The import statements that run with the module; those in functions only if `deferred`."""
    waiting: list[ast.AST] = list(reversed(tree.body))
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) and not deferred:
            continue
        elif isinstance(node, ast.If) and _only_for_types(node.test):
            waiting.extend(reversed(node.orelse))
        elif isinstance(node, (ast.stmt, ast.ExceptHandler)) or type(node).__name__ == "match_case":
            waiting.extend(reversed(list(ast.iter_child_nodes(node))))


def _only_for_types(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def module_files(root: str) -> dict[str, tuple[str, bool]]:
    """Module names below `root`, a folder on `sys.path`, with their source files and whether they
    are packages."""
    found: dict[str, tuple[str, bool]] = {}
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(
            name for name in folders if name.isidentifier() and name != "__pycache__"
        )
        inner = os.path.relpath(folder, root)
        package = [] if inner == os.curdir else inner.split(os.sep)
        for file in sorted(files):
            stem, extension = os.path.splitext(file)
            if extension != ".py" or not stem.isidentifier():
                continue
            is_package = stem == "__init__" and bool(package)
            name = ".".join(package if is_package else package + [stem])
            if is_package or name not in found:  # A package wins over a module of the same name.
                found[name] = (os.path.join(folder, file), is_package)
    return found


class DependencyTracker:
    """The import graph of some modules: add them, then ask for an order in which each comes after
    all that it imports."""

    def __init__(self) -> None:
        self._imports: dict[str, Imported] = {}
        self._deferred: dict[str, Imported] = {}

    def add(self, name: str, source: str | bytes, is_package: bool = False) -> None:
        """Takes in a module's source, bytes or text. Raises SyntaxError or ValueError for what is
        no Python."""
        self.add_tree(name, ast.parse(source), is_package)

    def add_tree(self, name: str, tree: ast.Module, is_package: bool = False) -> None:
        """Takes in a module's parsed source."""
        self._imports[name] = imports(tree, name, is_package)
        self._deferred[name] = imports(tree, name, is_package, True)

    def add_folder(self, root: str) -> list[tuple[str, Exception]]:
        """Takes in all modules below `root`. Returns those that cannot be read or are no Python, as
        (name, exception)."""
        failed: list[tuple[str, Exception]] = []
        for name, (path, is_package) in module_files(root).items():
            try:
                with open(path, "rb") as file:
                    self.add(name, file.read(), is_package)
            except (OSError, SyntaxError, ValueError) as error:
                failed.append((name, error))
        return failed

    def dependencies(self, name: str) -> set[str]:
        """The known modules that `name` imports while it is imported."""
        return self._edges(name, self._imports)

    def dependents(self, name: str) -> set[str]:
        """The known modules that import `name` while they are imported."""
        return {module for module in self._imports if name in self.dependencies(module)}

    def order(self, names: Iterable[str]) -> list[str]:
        """`names` in an order in which each comes after those of them that it imports, also by way
        of other known modules.

        Imports in functions are heeded where that makes no circle. The order is the same for the
        same graph. Raises CircularDependencyError.
        """
        wanted = sorted(set(names))
        for name in wanted:
            if name in self._reach(name, self._imports):
                raise CircularDependencyError(self._circle(name))
        # With the imports in functions, unless those of the module are part of a circle.
        hard = {name: self._reach(name, self._imports) for name in wanted}
        soft = {name: self._reach(name, self._deferred) for name in wanted}
        needs = {
            name: {
                other
                for other in soft[name]
                if other in hard[name] or name not in soft.get(other, ())
            }
            & set(wanted)
            for name in wanted
        }
        ordered: list[str] = []
        done: set[str] = set()

        def visit(name: str) -> None:
            done.add(name)
            for needed in sorted(needs[name]):
                if needed not in done:
                    visit(needed)
            ordered.append(name)

        for name in wanted:
            if name not in done:
                visit(name)
        return ordered

    def _edges(self, name: str, graph: dict[str, Imported]) -> set[str]:
        """What `name` imports and the tracker knows. That a module's own packages are imported
        before it is no edge: Python sees to it; one that takes a name out of its package is."""
        found: set[str] = set()
        for module, inner in graph.get(name, ()):
            whole = f"{module}.{inner}"
            if inner is not None and whole in self._imports:
                found.add(whole)
            elif inner is not None and module in self._imports:
                found.add(module)
            found.update(
                parent
                for parent in _parents(module)
                if parent in self._imports and not name.startswith(parent + ".")
            )
        found.discard(name)
        return found

    def _reach(self, start: str, graph: dict[str, Imported]) -> set[str]:
        """What `start` imports, directly or not; `start` itself only if a circle leads back to
        it."""
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            new = self._edges(waiting.pop(), graph) - seen
            seen |= new
            waiting.extend(new)
        return seen

    def _circle(self, start: str) -> list[str]:
        """The shortest circle through `start`, which is in one."""
        before: dict[str, str | None] = {start: None}
        waiting = [start]
        for name in waiting:  # Grows while it is walked.
            for needed in sorted(self._edges(name, self._imports)):
                if needed == start:
                    circle = [start]
                    step: str | None = name
                    while step is not None:
                        circle.append(step)
                        step = before[step]
                    return circle[::-1]
                if needed not in before:
                    before[needed] = name
                    waiting.append(needed)
        return [start, start]
