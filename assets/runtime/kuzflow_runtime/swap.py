"""One swap that is being done: loading, checking, and leading the app to the new code; and undoing
all of it."""

from __future__ import annotations

import ast
import atexit
import functools
import importlib
import os
import sys
import traceback
import types
import weakref

from . import classes, guard, references
from . import functions as living_functions
from .changes import current_file
from .class_exchange import ClassExchange
from .errors import HotSwapError, Reason, Refused
from .guard import namespace_of
from .journal import Journal, Own
from .references import Pair

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from .guard import Namespace
    from .hotswap import HotSwapManager
    from .prepare import Prepared, Registration

__all__ = ["Swap"]


class Swap:
    """One swap that is being done, and how to undo it."""

    def __init__(self, manager: HotSwapManager, prepared: Prepared) -> None:
        self.manager = manager
        self.prepared = prepared
        self.journal = Journal()
        self.old = {name: sys.modules[name] for name in prepared.swap}
        self.new: dict[str, types.ModuleType] = {}
        self.old_classes: dict[str, Own[type]] = {}
        self.module: str | None = None
        self._ours: dict[str, bool] = {}

    def run(self) -> None:
        """Does it. Raises HotSwapError after everything was undone."""
        snapshot = guard.Snapshot(self._is_ours)
        with guard.Guard() as watch:
            try:
                self._do(snapshot, watch)
            except BaseException as error:
                failures = self.journal.undo()
                snapshot.restore(self._is_gone, self._is_foreign)
                for function in watch.at_exit:
                    atexit.unregister(function)
                reasons = [self._reason(error)] + [
                    Reason("undo", f"not undone: {failure!r}") for failure in failures
                ]
                self.new.clear()
                if isinstance(error, KeyboardInterrupt):
                    raise
                raise HotSwapError(reasons) from error

    def _reason(self, error: BaseException) -> Reason:
        if isinstance(error, Refused):
            return error.reason
        last = traceback.format_exception_only(type(error), error)[-1].strip()
        return Reason("failed", f"{self.module or 'the swap'}: {last}", module=self.module)

    def _do(self, snapshot: guard.Snapshot, watch: guard.Guard) -> None:
        prepared = self.prepared
        self.manager.overlay.take(
            prepared.entries, prepared.gone, prepared.namespaces, self.journal
        )
        self.manager.overlay.install(self.journal)
        importlib.invalidate_caches()
        self.old_classes = classes.classes_of(
            {name: namespace_of(module) or {} for name, module in self.old.items()}
        )
        for name in prepared.swap:
            self._load(name, watch)
        snapshot.note_registrations(self.journal)
        for name in prepared.swap:
            self._check(name)
        self.module = None
        self._commit(snapshot)
        for listener in list(self.manager.listeners):
            try:
                listener(list(prepared.swap))
            except Exception as error:
                raise Refused(
                    Reason("listener", f"a listener refused the swap: {error!r}")
                ) from error
        if watch.attempts:
            self._refuse(
                "starts-thread", f"{watch.attempts[0]} was started while modules were swapped"
            )

    def _refuse(self, code: str, text: str) -> NoReturn:
        raise Refused(
            Reason(code, f"{self.module}: {text}" if self.module else text, module=self.module)
        )

    def _load(self, name: str, watch: guard.Guard) -> None:
        """Imports the new module under its name. The old one comes back to `sys.modules` if
        anything fails."""
        self.module = name
        old = self.old[name]
        parent, _, last = name.rpartition(".")
        if type(old) is not types.ModuleType and type(old) not in _LEADING:
            self._refuse("special-module", f"the module in use is a {type(old).__name__}")
        self.journal.set_item(sys.modules, name, old)
        if parent in sys.modules:
            self.journal.set_item(namespace_of(sys.modules[parent]) or {}, last, old)
        del sys.modules[name]
        try:
            importlib.import_module(name)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            if watch.attempts:
                self._refuse("starts-thread", f"it starts {watch.attempts[0]} while it is loaded")
            last = traceback.format_exception_only(type(error), error)[-1].strip()
            raise Refused(Reason("import-error", f"{name}: {last}", module=name)) from error
        if watch.attempts:
            self._refuse("starts-thread", f"it starts {watch.attempts[0]} while it is loaded")
        new = sys.modules[name]
        if new is old or type(new) is not types.ModuleType:
            self._refuse("special-module", "it puts something else in its place")
        self.new[name] = new

    def _check(self, name: str) -> None:
        self.module = name
        new, old = vars(self.new[name]), namespace_of(self.old[name]) or {}
        registered: Registration = self.prepared.registered.get(name, {})
        required = {
            *old.get("__required_attrs__", ()),
            *new.get("__required_attrs__", ()),
            *registered.get("required", ()),
        }
        for path in sorted(required):
            value: Any = self.new[name]
            for part in path.split("."):
                try:
                    value = getattr(value, part)
                except AttributeError:
                    self._refuse("required-attribute", f"it has no {path}")
        for reason in self.prepared.importers.missing(
            name, old, lambda each: hasattr(self.new[name], each)
        ):
            raise Refused(reason)
        own, registered_check = new.get("__self_check__"), registered.get("self_check")
        checks = [own] if own else []
        if registered_check:
            checks.append(functools.partial(registered_check, self.new[name]))
        for check in checks:
            try:
                answer = check()
            except Exception as error:
                raise Refused(
                    Reason("self-check", f"{name}: its self-check raised {error!r}", module=name)
                ) from error
            if answer is not None and not answer:
                self._refuse("self-check", f"its self-check failed ({answer!r})")

    # From here on the app is led to the new code.

    def _commit(self, snapshot: guard.Snapshot) -> None:
        names = self.prepared.swap
        old_spaces = {name: namespace_of(self.old[name]) or {} for name in names}
        new_spaces = {name: vars(self.new[name]) for name in names}
        for name in names:
            keep = {
                *new_spaces[name].get("__keep__", ()),
                *self.prepared.registered.get(name, {}).get("keep", ()),
            }
            new_spaces[name].update(
                {each: old_spaces[name][each] for each in keep if each in old_spaces[name]}
            )
        forwards = self._function_pairs(old_spaces, new_spaces)
        ignore = [
            *snapshot.holders(),
            *old_spaces.values(),
            sys.modules,
            self.old,
            self.new,
            self.__dict__,
        ]
        self._exchange_classes(old_spaces, new_spaces, ignore)
        for pair in forwards:
            try:
                self.manager.forwards.forward(pair.old, pair.new, self.journal)
            except ValueError:
                pass  # It goes on as it is.
        changed: dict[tuple[str, str], Pair] = {}
        others: Own[Pair] = Own(Pair(self.old[name], self.new[name]) for name in names)
        for name in names:
            defined = classes.definitions(self.prepared.old_trees[name])
            for each, old in list(old_spaces[name].items()):
                new = new_spaces[name].get(each)
                if each in new_spaces[name] and new is not old and not each.startswith("__"):
                    changed[(name, each)] = Pair(old, new)
                    if (
                        each in defined
                        and not _is_plain(old)
                        and not isinstance(old, type)
                        and _is_defined(self.prepared.old_trees[name], each)
                    ):
                        others.append(Pair(old, new))
        references.replace(others, self.journal, ignore)
        self._rebind(changed)
        for name in names:
            self._lead(name)

    def _function_pairs(
        self, old_spaces: dict[str, Namespace], new_spaces: dict[str, Namespace]
    ) -> Own[Pair]:
        everything = living_functions.functions_of([*old_spaces.values(), *new_spaces.values()])
        found: Own[Pair] = Own()
        for name, old in old_spaces.items():
            new = new_spaces[name]
            found.extend(
                living_functions.pairs(old, new, Own(everything[id(old)]), Own(everything[id(new)]))
            )
        return found

    def _exchange_classes(
        self,
        old_spaces: dict[str, Namespace],
        new_spaces: dict[str, Namespace],
        ignore: list[object],
    ) -> None:
        exchange = ClassExchange(self.prepared, self.journal, self.old_classes, old_spaces, ignore)
        try:
            exchange.run(new_spaces)
        finally:
            self.module = exchange.module

    def _rebind(self, changed: dict[tuple[str, str], Pair]) -> None:
        """`from m import name` in other modules, also of what they hand on, by their import
        statements and only where the name is still what it was."""
        waiting = dict(changed)
        while waiting:
            found: dict[tuple[str, str], Pair] = {}
            for importer, bound in self.prepared.importers.bindings.items():
                space = namespace_of(sys.modules.get(importer))
                if space is None:
                    continue
                for binding in bound:
                    if binding.attribute == "*":
                        names = [
                            (each, each) for module, each in waiting if module == binding.module
                        ]
                    else:
                        names = [(binding.name, binding.attribute or "")]
                    for name, attribute in names:
                        pair = waiting.get((binding.module, attribute))
                        if pair is None or name not in space:
                            continue
                        if space[name] is pair.old:
                            self.journal.set_item(space, name, pair.new)
                        if space[name] is pair.new and (importer, name) not in changed:
                            found[(importer, name)] = pair
            changed.update(found)
            waiting = found

    def _lead(self, name: str) -> None:
        """The old module object, which someone may still hold, gives and takes what the new one
        has."""
        earlier = self.manager.earlier.setdefault(name, weakref.WeakSet())
        leading = _leading(self.new[name])
        for module in [*earlier, self.old[name]]:
            if module is not self.new[name]:
                self.journal.add(_set_module_class, module, type(module))
                _set_module_class(module, leading)
        if self.old[name] not in earlier:
            self.journal.add(earlier.discard, self.old[name])
            earlier.add(self.old[name])

    def _is_ours(self, module: Any) -> bool:
        """Whether a module belongs to the app: a source in one of its containers, but not in the
        Python there."""
        path = current_file(module)
        if not path:
            return False
        if path not in self._ours:
            self._ours[path] = self._is_our_file(module, path)
        return self._ours[path]

    def _is_our_file(self, module: types.ModuleType, path: str) -> bool:
        if module.__name__.partition(".")[0] == __name__.partition(".")[0]:
            return False
        inner = self.prepared.layout.relative(path) or ""
        return (inner.startswith("app/") and inner.endswith(".py")) or self._is_new_file(path)

    def _is_gone(self, module: Any) -> bool:
        return any(module is each for each in self.new.values()) or self._is_ours(module)

    def _is_foreign(self, value: object) -> bool:
        """Whether a value came with the new code: then nothing outside may go on holding it."""
        if isinstance(value, types.FunctionType):
            return self._is_new_file(value.__globals__.get("__file__"))
        if isinstance(value, types.ModuleType):
            return self._is_new_file(current_file(value))
        if isinstance(value, type):
            name = value.__dict__.get("__module__")
            return name in self.prepared.entries and not any(
                value is each for each in self.old_classes.get(name, ())
            )
        return False

    def _is_new_file(self, path: object) -> bool:
        return isinstance(path, str) and path.startswith(self.prepared.container + os.sep)


_LEADING: weakref.WeakSet[type[types.ModuleType]] = weakref.WeakSet()


def _leading(target: types.ModuleType) -> type[types.ModuleType]:
    """A class of modules that give and take what `target` has."""

    class Leading(types.ModuleType):
        """An old module after a hot update."""

        __slots__ = ()

        def __getattribute__(self, name: str) -> Any:
            return getattr(target, name)

        def __setattr__(self, name: str, value: object) -> None:
            setattr(target, name, value)

        def __delattr__(self, name: str) -> None:
            delattr(target, name)

        def __dir__(self) -> list[str]:
            return dir(target)

        def __repr__(self) -> str:
            return repr(target)

    _LEADING.add(Leading)
    return Leading


def _set_module_class(module: types.ModuleType, kind: type) -> None:
    # The module's own way of setting it may lead elsewhere.
    object.__setattr__(module, "__class__", kind)


def _is_plain(value: object) -> bool:
    return value is None or isinstance(
        value, (int, float, complex, bool, str, bytes, tuple, frozenset, types.ModuleType)
    )


def _is_defined(tree: ast.Module, name: str) -> bool:
    """Whether a module's name is a function or a class of it, decorated or not: what references are
    exchanged for."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return any(isinstance(node, kinds) and node.name == name for node in ast.walk(tree))
