"""What a swap would take over, before anything is touched: read, proved, parsed and judged. May run
in any thread."""

from __future__ import annotations

import ast
import enum
import gc
import hashlib
import os
import sys
import types

from . import changes as layouts
from . import classes, dependencies
from .errors import HotSwapError, Reason
from .guard import namespace_of
from .journal import Own, Step
from .overlay import Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterator, Sequence, TypedDict

    from .guard import Namespace
    from .wire import Message

    class Registration(TypedDict, total=False):
        """What someone else says of a module."""

        required: tuple[str, ...]
        self_check: Callable[[types.ModuleType], object] | None
        keep: tuple[str, ...]
        hot_swappable: bool | Sequence[str] | None


__all__ = ["Importers", "Prepared", "literal"]


class Prepared:
    """The judged changes of one update.

    `swap`: loaded modules that are loaded anew, in order. `entries`: all modules that come from the
    new container, `gone` those that it no longer has. `reasons`: why a restart is needed; empty if
    the swap may be tried.
    """

    def __init__(
        self,
        container: str,
        changes: list[layouts.Change],
        containers: list[str],
        registered: dict[str, Registration],
    ) -> None:
        self.container = os.path.abspath(container)
        self.reasons: list[Reason] = []
        self.ignored: list[str] = []
        self.entries: dict[str, Entry] = {}
        self.gone: set[str] = set()
        self.namespaces: dict[str, list[str]] = {}
        self.trees: dict[str, ast.Module] = {}
        self.old_trees: dict[str, ast.Module] = {}
        self.registered = registered
        self.layout = layouts.Layout(containers)
        self._containers = containers
        self._changes = changes
        for change in changes:
            try:
                self._judge(change)
            except HotSwapError as error:
                self.reasons.extend(error.reasons)
        self._find_namespaces()
        self.swap: list[str] = [name for name in self.entries if name in sys.modules]
        self._read_old()
        self._order()
        self.importers = Importers(self.layout, self.swap, self.trees)
        if not self.reasons:
            self._judge_names()
            self._judge_classes()
            self._judge_state()

    def as_message(self) -> Message:
        """What the launcher is told before: as the answer to `plan_swap`."""
        return {
            "swappable": list(self.swap),
            "later": sorted(name for name in self.entries if name not in self.swap),
            "requires_restart": bool(self.reasons),
            "hot_swappable_count": 0 if self.reasons else len(self.entries),
            "reasons": [reason.as_message() for reason in self.reasons],
            "ignored": sorted(self.ignored),
        }

    def refuse(
        self, code: str, text: str, module: str | None = None, path: str | None = None
    ) -> None:
        """Notes why a restart is needed."""
        self.reasons.append(Reason(code, text, module, path))

    def _judge(self, change: layouts.Change) -> None:
        path = change.path
        if layouts.is_ignored(path):
            self.ignored.append(path)
        elif layouts.is_compiled(path):
            self.refuse(
                "c-extension",
                f"{path} is compiled: a running Python cannot load it anew",
                path=path,
            )
        else:
            module = self.layout.module(path)
            if module is None:
                self._judge_resource(change)
            else:
                self._judge_module(change, *module)

    def _judge_resource(self, change: layouts.Change) -> None:
        readers = self.layout.readers(change.path)
        if not readers:
            self.refuse(
                "resource",
                f"{change.path} is read by no module that says so in __resources__",
                path=change.path,
            )
            return
        if change.kind != "removed":
            change.read(self.container)
        for name in readers:
            path = self.layout.names[name]
            if not any(other.path == path for other in self._changes):
                self._take(
                    name, path, _unchanged(sys.modules[name], path), path.endswith("/__init__.py")
                )

    def _judge_module(self, change: layouts.Change, name: str, is_package: bool) -> None:
        loaded = self.layout.loaded.get(change.path, [])
        about = {"path": change.path, "module": name}
        if name.partition(".")[0] == __name__.partition(".")[0]:
            self.refuse("runtime", f"{name} is part of what does the swapping", **about)
        elif "__main__" in loaded:
            self.refuse("main-module", f"{change.path} is the program that runs", **about)
        elif loaded not in ([], [name]):
            self.refuse("loaded-twice", f"{change.path} was loaded as {', '.join(loaded)}", **about)
        elif not loaded and name in sys.modules:
            self.refuse("other-file", f"the module {name} was loaded from another file", **about)
        elif change.kind == "removed":
            if loaded:
                self.refuse("removed-module", f"{name} is in use and no longer there", **about)
            else:
                self.gone.add(name)
        else:
            self._take(name, change.path, change, is_package)

    def _take(self, name: str, path: str, change: layouts.Change, is_package: bool) -> None:
        if name in self.entries:
            return
        data = change.read(self.container)
        try:
            tree = ast.parse(data, path)
            compile(tree, path, "exec", dont_inherit=True)
        except (SyntaxError, ValueError) as error:
            self.refuse("syntax", f"{path}: {error}", path=path, module=name)
            return
        advice = layouts.advise(tree)
        if advice:
            self.refuse("starts-thread", f"{name}: {advice}", path=path, module=name)
        self.trees[name] = tree
        whole = os.path.join(self.container, *path.split("/"))
        self.entries[name] = Entry(whole, change.sha256 or "", is_package)

    def _find_namespaces(self) -> None:
        """Folders without `__init__.py` that only the new container has: packages all the same."""
        for name, entry in self.entries.items():
            folder = os.path.dirname(
                os.path.dirname(entry.path) if entry.is_package else entry.path
            )
            while "." in name:
                name = name.rpartition(".")[0]
                if (
                    name not in self.entries
                    and name not in sys.modules
                    and not os.path.isfile(os.path.join(folder, "__init__.py"))
                ):
                    self.namespaces[name] = [folder] + [
                        old
                        for old in (
                            _moved(folder, self.container, each) for each in self._containers
                        )
                        if os.path.isdir(old)
                    ]
                folder = os.path.dirname(folder)

    def _read_old(self) -> None:
        for name in self.swap:
            space = namespace_of(sys.modules[name]) or {}
            if bool("__path__" in space) != self.entries[name].is_package:
                self.refuse(
                    "kind-of-module", f"{name} changes between a module and a package", module=name
                )
            try:
                with open(space["__file__"], "rb") as file:
                    self.old_trees[name] = ast.parse(file.read())
            except (OSError, KeyError, SyntaxError, ValueError) as error:
                self.refuse(
                    "unreadable",
                    f"the source of {name} that runs cannot be read: {error}",
                    module=name,
                )

    def _order(self) -> None:
        tracker = dependencies.DependencyTracker()
        for name, tree in self.trees.items():
            tracker.add_tree(name, tree, self.entries[name].is_package)
        try:
            self.swap = [name for name in tracker.order(self.entries) if name in self.swap]
        except dependencies.CircularDependencyError as error:
            self.refuse("circular", str(error), module=error.cycle[0])

    def _judge_names(self) -> None:
        """Names that other modules take out of the new ones, as far as the sources tell."""
        for name in self.swap:
            tree = self.trees[name]
            known = set(classes.definitions(tree))
            bound = dependencies.bindings(tree, name, self.entries[name].is_package)
            if (
                "__getattr__" in known
                or any(binding.name == "*" for binding in bound)
                or _has_odd_names(tree)
            ):
                continue  # Only loading it will tell.
            known.update(binding.name for binding in bound)
            self.reasons.extend(
                self.importers.missing(
                    name, namespace_of(sys.modules[name]) or {}, known.__contains__
                )
            )

    def _judge_classes(self) -> None:
        spaces = {name: namespace_of(sys.modules[name]) or {} for name in self.swap}
        everything = [each for found in classes.classes_of(spaces).values() for each in found]
        texts = {
            name: (classes.definitions(self.old_trees[name]), classes.definitions(self.trees[name]))
            for name in self.swap
        }
        self.reasons.extend(
            each
            for each in classes.judge(
                everything, texts, self.declared, list(spaces.values())
            ).values()
            if isinstance(each, Reason)
        )

    def _judge_state(self) -> None:
        """Objects that a module made for itself and others hold by now: the new module makes new
        ones, and nobody can tell whether the others should go on with the old. The module says so,
        in `__keep__` or `__fresh__`."""
        candidates: Own[tuple[str, str, Any]] = Own()
        spaces = {name: namespace_of(sys.modules[name]) or {} for name in self.swap}
        for name, space in spaces.items():
            declared = {
                *(literal(self.trees[name], "__keep__") or ()),
                *(literal(self.trees[name], "__fresh__") or ()),
            }
            declared.update(self.registered.get(name, {}).get("keep", ()))
            for each in classes.assigned(self.trees[name]):
                value = space.get(each)
                if each not in declared and not each.startswith("__") and self._is_state(value):
                    candidates.append((name, each, value))
        if not candidates:
            return
        allowed = {id(space) for space in spaces.values()}
        mine: Own[Any] = Own(value for _, _, value in candidates)
        found: dict[tuple[str, str], str] = {}
        for holder in gc.get_referrers(*mine):
            if (
                holder is mine
                or isinstance(holder, (types.FrameType, Own, Step))
                or id(holder) in allowed
            ):
                continue
            if type(holder) is tuple and (
                any(holder is each for each in candidates) or [*map(id, holder)] == [*map(id, mine)]
            ):
                # Ours: the candidates, and the arguments of the call that looks for holders.
                continue
            inside = {id(each) for each in gc.get_referents(holder)}
            for name, each, value in candidates:
                if id(value) in inside and not self.importers.rebinds(holder, name, each):
                    found[(name, each)] = type(holder).__name__
        for (name, each), kind in found.items():
            text = (
                f"{name}: a {kind} holds its {each}, which it names neither in __keep__ "
                "nor in __fresh__"
            )
            self.refuse("undeclared-state", text, module=name)

    def _is_state(self, value: object) -> bool:
        if isinstance(value, (type, enum.Enum, tuple)):
            return False
        return type(value) in (dict, list, set) or type(value).__module__ in self.layout.names

    def declared(self, cls: type) -> bool:
        """Whether the class's module, old or new, or whoever registered it, says that the class may
        be swapped with its instances."""
        name = cls.__module__
        values = [
            literal(self.trees.get(name), "__hot_swappable__"),
            literal(self.old_trees.get(name), "__hot_swappable__"),
        ]
        values.append(self.registered.get(name, {}).get("hot_swappable"))
        return any(
            value is True or (isinstance(value, (list, tuple, set)) and cls.__qualname__ in value)
            for value in values
        )


def literal(tree: ast.Module | None, name: str) -> Any:
    """The value of a module's name if it is written as a literal, else None."""
    for node in tree.body if tree is not None else ():
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == name for target in node.targets
        ):
            try:
                return ast.literal_eval(node.value)
            except ValueError:
                return None
    return None


def _moved(folder: str, container: str, other: str) -> str:
    return os.path.join(os.path.abspath(other), os.path.relpath(folder, container))


def _unchanged(module: types.ModuleType, path: str) -> layouts.Change:
    """The change of a file that did not change: its digest is that of the file that runs. Raises
    HotSwapError."""
    try:
        with open(layouts.current_file(module) or "", "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
    except OSError as error:
        raise HotSwapError([Reason("unreadable", f"{path}: {error}", path=path)]) from error
    return layouts.Change(path, "modified", digest)


def _has_odd_names(tree: ast.Module) -> bool:
    """Whether the module makes names other than by statements that `definitions` knows: loops,
    `with`, `globals()`, unpacking."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("globals", "vars", "exec", "setattr")
        ):
            return True
        if isinstance(node, (ast.For, ast.With, ast.Global)) or type(node).__name__ == "NamedExpr":
            return True
        if isinstance(node, ast.Assign) and any(
            not isinstance(target, ast.Name) for target in node.targets
        ):
            return True
    return False


class Importers:
    """Which loaded modules of the app hold names of those that are swapped, by their import
    statements."""

    def __init__(
        self, layout: layouts.Layout, swap: list[str], swapped_trees: dict[str, ast.Module]
    ) -> None:
        self.bindings: dict[str, list[dependencies.Binding]] = {}
        self.attributes: dict[str, ast.Module] = {}
        words = {name.rpartition(".")[2].encode() for name in swap}
        # A package may hand on names under another one, so all importers of what imports them count
        # too.
        sources: dict[str, tuple[bytes, bool]] = {}
        for name in layout.names:
            space = namespace_of(sys.modules.get(name))
            if (
                name in swapped_trees
                or not space
                or name.partition(".")[0] == __name__.partition(".")[0]
            ):
                continue
            try:
                with open(space["__file__"], "rb") as file:
                    sources[name] = (file.read(), "__path__" in space)
            except (OSError, KeyError):
                continue
        waiting = set(words)
        while waiting:
            word = waiting.pop()
            for name in [name for name, (source, _) in sources.items() if word in source]:
                source, is_package = sources.pop(name)
                try:
                    tree = ast.parse(source)
                except (SyntaxError, ValueError):
                    continue
                # What the launcher started is called `__main__`, and its own imports are absolute.
                self.bindings[name] = dependencies.bindings(tree, name, is_package)
                self.attributes[name] = tree
                waiting.add(name.rpartition(".")[2].encode())

    def rebinds(self, holder: object, module: str, attribute: str) -> bool:
        """Whether `holder` is the namespace of a module that took the name by an import statement:
        it gets the new object."""
        for name, bound in self.bindings.items():
            if namespace_of(sys.modules.get(name)) is holder:
                return any(
                    each.attribute in (attribute, "*") and each.module == module for each in bound
                )
        return False

    def missing(self, module: str, old: Namespace, has: Callable[[str], bool]) -> Iterator[Reason]:
        """The names of `module`, with the namespace `old` so far, that importers rely on and `has`
        does not know, as Reasons."""
        for name, bound in self.bindings.items():
            needed = {
                each.attribute
                for each in bound
                if each.module == module and each.attribute and each.attribute != "*"
            }
            aliases = {
                each.name for each in bound if each.module == module and each.attribute is None
            }
            parent, _, last = module.rpartition(".")
            aliases.update(
                each.name for each in bound if each.module == parent and each.attribute == last
            )
            for node in ast.walk(self.attributes[name]) if aliases else ():
                if (
                    isinstance(node, ast.Attribute)
                    and isinstance(node.value, ast.Name)
                    and node.value.id in aliases
                ):
                    needed.add(node.attr)
            for each in sorted(needed):
                if each in old and not has(each) and f"{module}.{each}" not in sys.modules:
                    yield Reason(
                        "missing-name",
                        f"{module} no longer has {each}, which {name} uses",
                        module=module,
                    )
