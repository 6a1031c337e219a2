"""One swap that is being done: loading, checking, and leading the app to the new code; and undoing all of it."""

import ast
import enum
import gc
import importlib
import os
import sys
import traceback
import types
import weakref

from . import classes, functions, guard, references
from .changes import current_file
from .errors import HotSwapError, Reason
from .guard import _namespace
from .journal import Journal
from .references import Own, Pair

__all__ = ["Swap"]


class _Refused(Exception):
    def __init__(self, reason):
        self.reason = reason
        super().__init__(reason.text)


class Swap:
    """One swap that is being done, and how to undo it."""

    def __init__(self, manager, prepared):
        self.manager = manager
        self.prepared = prepared
        self.journal = Journal()
        self.old = {name: sys.modules[name] for name in prepared.swap}
        self.new = {}
        self.old_classes = {}
        self.module = None
        self._ours = {}

    def run(self):
        snapshot = guard.Snapshot(self._is_ours)
        with guard.Guard() as watch:
            try:
                self._do(snapshot, watch)
            except BaseException as error:
                failures = self.journal.undo()
                snapshot.restore(self._is_gone, self._is_foreign)
                for function in watch.at_exit:
                    guard.atexit.unregister(function)
                reasons = [self._reason(error)] + [Reason("undo", "not undone: %r" % (failure,)) for failure in failures]
                self.new.clear()
                if isinstance(error, KeyboardInterrupt):
                    raise
                raise HotSwapError(reasons) from error

    def _reason(self, error):
        if isinstance(error, _Refused):
            return error.reason
        last = traceback.format_exception_only(type(error), error)[-1].strip()
        return Reason("failed", "%s: %s" % (self.module or "the swap", last), module=self.module)

    def _do(self, snapshot, watch):
        prepared = self.prepared
        self.manager._overlay.take(prepared.entries, prepared.gone, prepared.namespaces, self.journal)
        self.manager._overlay.install(self.journal)
        importlib.invalidate_caches()
        self.old_classes = classes.classes_of({name: _namespace(module) for name, module in self.old.items()})
        for name in prepared.swap:
            self._load(name, watch)
        snapshot.note_registrations(self.journal)
        for name in prepared.swap:
            self._check(name, watch)
        self.module = None
        self._commit(snapshot)
        for listener in list(self.manager._listeners):
            try:
                listener(list(prepared.swap))
            except Exception as error:
                raise _Refused(Reason("listener", "a listener refused the swap: %r" % (error,))) from error
        if watch.attempts:
            self._refuse("starts-thread", "%s was started while modules were swapped" % watch.attempts[0])

    def _refuse(self, code, text):
        raise _Refused(Reason(code, "%s: %s" % (self.module, text) if self.module else text, module=self.module))

    def _load(self, name, watch):
        """Imports the new module under its name. The old one comes back to `sys.modules` if anything fails."""
        self.module = name
        old = self.old[name]
        parent, _, last = name.rpartition(".")
        if type(old) is not types.ModuleType and type(old) not in _LEADING:
            self._refuse("special-module", "the module in use is a %s" % type(old).__name__)
        self.journal.set_item(sys.modules, name, old)
        if parent in sys.modules:
            self.journal.set_item(_namespace(sys.modules[parent]), last, old)
        del sys.modules[name]
        try:
            importlib.import_module(name)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            if watch.attempts:
                self._refuse("starts-thread", "it starts %s while it is loaded" % watch.attempts[0])
            last = traceback.format_exception_only(type(error), error)[-1].strip()
            raise _Refused(Reason("import-error", "%s: %s" % (name, last), module=name)) from error
        if watch.attempts:
            self._refuse("starts-thread", "it starts %s while it is loaded" % watch.attempts[0])
        new = sys.modules[name]
        if new is old or type(new) is not types.ModuleType:
            self._refuse("special-module", "it puts something else in its place")
        self.new[name] = new

    def _check(self, name, watch):
        self.module = name
        new, old = vars(self.new[name]), _namespace(self.old[name])
        registered = self.prepared.registered.get(name, {})
        required = {*old.get("__required_attrs__", ()), *new.get("__required_attrs__", ()), *registered.get("required", ())}
        for path in sorted(required):
            value = self.new[name]
            for part in path.split("."):
                try:
                    value = getattr(value, part)
                except AttributeError:
                    self._refuse("required-attribute", "it has no %s" % path)
        for reason in self.prepared.importers.missing(name, old, lambda each: hasattr(self.new[name], each)):
            raise _Refused(reason)
        checks = [new.get("__self_check__"), registered.get("self_check") and (lambda: registered["self_check"](self.new[name]))]
        for check in checks:
            if not check:
                continue
            try:
                answer = check()
            except Exception as error:
                raise _Refused(Reason("self-check", "%s: its self-check raised %r" % (name, error), module=name)) from error
            if answer is not None and not answer:
                self._refuse("self-check", "its self-check failed (%r)" % (answer,))

    # From here on the app is led to the new code.

    def _commit(self, snapshot):
        names = self.prepared.swap
        old_spaces = {name: _namespace(self.old[name]) for name in names}
        new_spaces = {name: vars(self.new[name]) for name in names}
        for name in names:
            keep = {*new_spaces[name].get("__keep__", ()), *self.prepared.registered.get(name, {}).get("keep", ())}
            new_spaces[name].update({each: old_spaces[name][each] for each in keep if each in old_spaces[name]})
        forwards = self._function_pairs(old_spaces, new_spaces)
        ignore = [*snapshot.holders(), *old_spaces.values(), sys.modules, self.old, self.new, self.__dict__]
        self._classes(old_spaces, new_spaces, ignore)
        for pair in forwards:
            try:
                self.manager._forwards.forward(pair.old, pair.new, self.journal)
            except ValueError:
                pass  # It goes on as it is.
        changed = {}
        others = Own(Pair(self.old[name], self.new[name]) for name in names)
        for name in names:
            defined = classes.definitions(self.prepared.old_trees[name])
            for each, old in list(old_spaces[name].items()):
                new = new_spaces[name].get(each)
                if each in new_spaces[name] and new is not old and not each.startswith("__"):
                    changed[(name, each)] = Pair(old, new)
                    if each in defined and not _is_plain(old) and not isinstance(old, type) and _is_defined(self.prepared.old_trees[name], each):
                        others.append(Pair(old, new))
        references.replace(others, self.journal, ignore)
        self._rebind(changed)
        for name in names:
            self._lead(name)

    def _function_pairs(self, old_spaces, new_spaces):
        everything = functions.functions_of([*old_spaces.values(), *new_spaces.values()])
        found = Own()
        for name, old in old_spaces.items():
            new = new_spaces[name]
            found.extend(functions.pairs(old, new, Own(everything[id(old)]), Own(everything[id(new)])))
        return found

    def _classes(self, old_spaces, new_spaces, ignore):
        prepared = self.prepared
        olds = Own(each for name in prepared.swap for each in self.old_classes[name])
        old_ids = {id(each) for each in olds}
        news = {}
        for name, found in classes.classes_of(new_spaces).items():
            for each in found:
                if id(each) not in old_ids and "<locals>" not in each.__qualname__:
                    news[(name, each.__qualname__)] = each
        texts = {
            name: (classes.definitions(prepared.old_trees[name]), classes.definitions(prepared.trees[name])) for name in prepared.swap
        }
        verdicts = classes.judge(olds, texts, prepared.declared, list(old_spaces.values()), ignore)
        kept, replaced, moved = Own(), Own(), Own()
        for old in olds:
            self.module = old.__module__
            decision, new = verdicts[id(old)], news.get((old.__module__, old.__qualname__))
            if isinstance(decision, Reason):
                raise _Refused(decision)
            if new is None:
                if decision == classes.MIGRATE or (decision == classes.KEEP and self._in_use(old, old_spaces, ignore)):
                    self._refuse("live-class", "its class %s is in use and no longer there" % old.__qualname__)
                continue
            pair = Pair(old, new)
            if decision == classes.KEEP:
                reason = self._cannot_keep(old, new, kept, texts[old.__module__][1])
                if reason is None:
                    kept.append(pair)
                    continue
                if self._in_use(old, old_spaces, ignore):
                    if not prepared.declared(old) or classes.is_qt(old):
                        self._refuse("live-class", "objects of its class %s are in use, and %s" % (old.__qualname__, reason))
                    decision = classes.MIGRATE
            (moved if decision == classes.MIGRATE else replaced).append(pair)
        self._keep(kept, ignore)
        exchanged = Own([*replaced, *moved])
        for pair in list(exchanged):
            exchanged.extend(self._members(pair))
            # An old class goes on holding what it holds.
            own = [each for each in gc.get_referents(pair.old) if type(each) is dict]
            ignore = [*ignore, *own, *(each for space in own for each in space.values() if type(each) in (dict, list))]
        left = [
            (pair, holder) for pair, holder in references.replace(exchanged, self.journal, ignore)
            if not self._is_old_world(holder, old_spaces, old_ids)
        ]
        for pair, holder in left:
            self.module = getattr(pair.old, "__module__", None)
            self._refuse("held", "%r is held by a %s, where it cannot be exchanged" % (pair.old, type(holder).__name__))
        for pair in exchanged:
            if isinstance(pair.old, type):
                self._move(pair.old, pair.new, old_ids)
        self.module = None

    def _in_use(self, old, old_spaces, ignore):
        living = classes.instances_of([old], list(old_spaces.values()), ignore)[id(old)]
        ids = {id(each) for found in self.old_classes.values() for each in found}
        return bool(living) or any(id(each) not in ids for each in classes.all_subclasses(old))

    def _cannot_keep(self, old, new, kept, texts):
        """Why a class whose text is the same cannot stay the class it is; None if it can."""
        canonical = {id(pair.new): pair.old for pair in kept}
        if type(new) is not type(old) and canonical.get(id(type(new))) is not type(old):
            return "its metaclass has changed"
        if tuple(canonical.get(id(base), base) for base in new.__bases__) != old.__bases__:
            return "its bases have changed"
        if isinstance(old, enum.EnumMeta):
            if [(name, member._value_) for name, member in old.__members__.items()] != [
                (name, member._value_) for name, member in new.__members__.items()
            ]:
                return "its members have changed"
            return None
        different = classes.same_values(old, new, texts)
        return None if different is None else "its %s has changed" % different

    def _keep(self, kept, ignore):
        """The old classes stay; what the new modules hold of the new ones is led to them."""
        pairs = Own()
        for pair in kept:
            pairs.append(Pair(pair.new, pair.old))
            if isinstance(pair.old, enum.EnumMeta):
                pairs.extend(Pair(member, pair.old.__members__[name]) for name, member in pair.new.__members__.items())
        for pair, holder in references.replace(pairs, self.journal, ignore):
            if not isinstance(holder, (types.MethodType, classmethod)) and not isinstance(pair.old, enum.Enum):
                self.module = pair.new.__module__ if isinstance(pair.new, type) else type(pair.new).__module__
                self._refuse("held", "%r is held by a %s, where it cannot be kept" % (pair.new, type(holder).__name__))
        made = classes.instances_of([pair.new for pair in kept])
        for pair in kept:
            if isinstance(pair.old, enum.EnumMeta):
                continue
            for instance in made[id(pair.new)]:
                if type(instance) is pair.new:
                    self._set_class(instance, pair.old)
            for inner in type.__subclasses__(pair.new):
                bases = tuple(pair.old if base is pair.new else base for base in inner.__bases__)
                if bases != inner.__bases__ and not any(each.new is inner for each in kept):
                    self._set_bases(inner, bases)

    def _members(self, pair):
        if not isinstance(pair.old, enum.EnumMeta) or not isinstance(pair.new, enum.EnumMeta):
            return []
        return [Pair(member, pair.new.__members__[name]) for name, member in pair.old.__members__.items() if name in pair.new.__members__]

    def _move(self, old, new, old_ids):
        """The instances of a declared class, and its subclasses elsewhere, become those of the new one."""
        self.module = old.__module__
        if isinstance(old, enum.EnumMeta):
            return
        for inner in type.__subclasses__(old):
            if id(inner) not in old_ids:
                self._set_bases(inner, tuple(new if base is old else base for base in inner.__bases__))
        hook = getattr(new, "__migrate__", None)
        for instance in classes.instances_of([old])[id(old)]:
            if type(instance) is not old:
                continue
            if hook is not None:
                attributes = getattr(instance, "__dict__", None)
                if type(attributes) is dict:
                    self.journal.replace_contents(attributes, dict(attributes))
                try:
                    hook(instance)
                except Exception as error:
                    raise _Refused(Reason("migrate", "%s: moving a %s raised %r" % (self.module, old.__qualname__, error), module=self.module)) from error
            self._set_class(instance, new)
        # Instances that the new class gets later go back with the others.
        self.journal.add(_back, new, old)

    def _set_class(self, instance, new):
        try:
            self.journal.set_slot(instance, "__class__", new)
        except TypeError as error:
            self._refuse("layout", "a %s cannot become one of the new class: %s" % (type(instance).__qualname__, error))

    def _set_bases(self, cls, bases):
        try:
            self.journal.set_slot(cls, "__bases__", bases)
        except TypeError as error:
            self._refuse("layout", "%s cannot get its new base: %s" % (cls.__qualname__, error))

    def _is_old_world(self, holder, old_spaces, old_ids):
        """Whether only old code gets at what `holder` holds."""
        return isinstance(holder, (classmethod, staticmethod, property)) or id(type(holder)) in old_ids

    def _rebind(self, changed):
        """`from m import name` in other modules, also of what they hand on, by their import statements and only where the name is still
        what it was."""
        waiting = dict(changed)
        while waiting:
            found = {}
            for importer, bound in self.prepared.importers.bindings.items():
                space = _namespace(sys.modules.get(importer))
                if space is None:
                    continue
                for binding in bound:
                    if binding.attribute == "*":
                        names = [(each, each) for module, each in waiting if module == binding.module]
                    else:
                        names = [(binding.name, binding.attribute)]
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

    def _lead(self, name):
        """The old module object, which someone may still hold, gives and takes what the new one has."""
        earlier = self.manager._earlier.setdefault(name, weakref.WeakSet())
        leading = _leading(self.new[name])
        for module in [*earlier, self.old[name]]:
            if module is not self.new[name]:
                self.journal.add(_set_module_class, module, type(module))
                _set_module_class(module, leading)
        if self.old[name] not in earlier:
            self.journal.add(earlier.discard, self.old[name])
            earlier.add(self.old[name])

    def _is_ours(self, module):
        """Whether a module belongs to the app: a source in one of its containers, but not in the Python there."""
        path = current_file(module)
        if not path:
            return False
        if path not in self._ours:
            self._ours[path] = self._is_our_file(module, path)
        return self._ours[path]

    def _is_our_file(self, module, path):
        if module.__name__.partition(".")[0] == __name__.partition(".")[0]:
            return False
        inner = self.prepared._layout.relative(path) or ""
        return (inner.startswith("app/") and inner.endswith(".py")) or self._is_new_file(path)

    def _is_gone(self, module):
        return any(module is each for each in self.new.values()) or self._is_ours(module)

    def _is_foreign(self, value):
        """Whether a value came with the new code: then nothing outside may go on holding it."""
        if isinstance(value, types.FunctionType):
            return self._is_new_file(value.__globals__.get("__file__"))
        if isinstance(value, types.ModuleType):
            return self._is_new_file(current_file(value))
        if isinstance(value, type):
            name = value.__dict__.get("__module__")
            return name in self.prepared.entries and not any(value is each for each in self.old_classes.get(name, ()))
        return False

    def _is_new_file(self, path):
        return isinstance(path, str) and path.startswith(self.prepared.container + os.sep)


_LEADING = weakref.WeakSet()


def _leading(target):
    """A class of modules that give and take what `target` has."""

    class Leading(types.ModuleType):
        """An old module after a hot update."""

        __slots__ = ()

        def __getattribute__(self, name):
            return getattr(target, name)

        def __setattr__(self, name, value):
            setattr(target, name, value)

        def __delattr__(self, name):
            delattr(target, name)

        def __dir__(self):
            return dir(target)

        def __repr__(self):
            return repr(target)

    _LEADING.add(Leading)
    return Leading


def _set_module_class(module, kind):
    # The module's own way of setting it may lead elsewhere.
    object.__setattr__(module, "__class__", kind)


def _back(new, old):
    for instance in classes.instances_of([new])[id(new)]:
        if type(instance) is new:
            instance.__class__ = old


def _is_plain(value):
    return value is None or isinstance(value, (int, float, complex, bool, str, bytes, tuple, frozenset, types.ModuleType))


def _is_defined(tree, name):
    """Whether a module's name is a function or a class of it, decorated or not: what references are exchanged for."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return any(isinstance(node, kinds) and node.name == name for node in ast.walk(tree))
