"""What becomes of the classes of a module that is swapped.

- A class whose text is the same, and its bases, stays the class it is (`KEEP`): its instances,
  subclasses and comparisons go on, and its methods lead to the new module's. So a changed function
  beside a window's class does not ask for a restart.
- A changed class without living instances, and without subclasses elsewhere, is replaced
  (`REPLACE`).
- A changed class with instances is replaced, and the instances moved (`MIGRATE`), only if the
  module says so: `__hot_swappable__ = True`, or a list of names. `New.__migrate__(instance)`, if
  there is one, is called before `instance.__class__ = New`.
- Everything else means a restart: changed classes with instances that are not declared, changed Qt
  classes with instances (Qt took the class apart when it was made), instances that the garbage
  collector does not know.
"""

from __future__ import annotations

import ast
import enum
import gc
import types

from .errors import Reason
from .journal import Own

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable

    from .guard import Namespace

    # By qualified name, the texts of what defines it.
    Definitions = dict[str, list[str]]
    # What becomes of a class: KEEP, REPLACE, MIGRATE, or why a restart is needed.
    Verdict = str | Reason

__all__ = [
    "KEEP",
    "MIGRATE",
    "REPLACE",
    "all_subclasses",
    "assigned",
    "classes_of",
    "definitions",
    "instances_of",
    "is_qt",
    "judge",
    "same_values",
    "verdict",
]

KEEP, REPLACE, MIGRATE = "keep", "replace", "migrate"

# The collector sees an instance if its class has this flag (Py_TPFLAGS_HAVE_GC).
_COLLECTED = 1 << 14

_QT = ("PyQt", "PySide", "Shiboken", "shiboken", "sip")


def definitions(tree: ast.Module) -> Definitions:
    """What the names of a module are defined by, as text that leaves out places: {qualified name:
    text}. Names that are defined twice have all their texts."""
    found: Definitions = {}

    def walk(body: Iterable[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                found.setdefault(prefix + node.name, []).append(ast.dump(node))
                if isinstance(node, ast.ClassDef):
                    walk(node.body, prefix + node.name + ".")
            elif isinstance(node, (ast.Assign, ast.AnnAssign)):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for target in targets:
                    if isinstance(target, ast.Name):
                        found.setdefault(prefix + target.id, []).append(ast.dump(node))
            elif isinstance(node, ast.stmt):
                for field in ("body", "orelse", "finalbody"):
                    walk(getattr(node, field, ()), prefix)
                for handler in getattr(node, "handlers", ()):
                    walk(handler.body, prefix)

    walk(tree.body, "")
    return found


def assigned(tree: ast.Module) -> set[str]:
    """The names that a module's own statements assign, apart from imports, functions and
    classes."""
    return {
        target.id
        for node in tree.body
        if isinstance(node, (ast.Assign, ast.AnnAssign))
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }


def classes_of(spaces: dict[str, Namespace]) -> dict[str, Own[type]]:
    """All living classes of the modules with these namespaces ({name: namespace}), bases first:
    {name: [class, ...]}. Also those made in functions; not those of earlier modules of the same
    name, which old code may still hold."""
    found: dict[str, Own[type]] = {name: Own() for name in spaces}
    for each in all_subclasses(object):
        name = each.__dict__.get("__module__")
        if isinstance(name, str) and name in found and _is_of(each, spaces[name]):
            found[name].append(each)
    for classes in found.values():
        classes.sort(key=lambda each: len(each.__mro__))
    return found


def _is_of(cls: type, space: Namespace) -> bool:
    value: Any = space
    for part in cls.__qualname__.split("."):
        value = (
            value.get(part)
            if value is space
            else vars(value).get(part)
            if isinstance(value, type)
            else None
        )
    if value is cls:
        return True
    functions = [each for each in list(vars(cls).values()) if type(each) is types.FunctionType]
    return not functions or any(each.__globals__ is space for each in functions)


def all_subclasses(base: type) -> list[type]:
    """Every living class below `base`, in no order."""
    seen: dict[int, type] = {}
    waiting = [base]
    each: type
    while waiting:
        for each in type.__subclasses__(waiting.pop()):
            if id(each) not in seen:
                seen[id(each)] = each
                waiting.append(each)
    return list(seen.values())


def instances_of(
    classes: list[type], spaces: Iterable[Namespace] = (), ignore: Iterable[object] = ()
) -> dict[int, list[Any]]:
    """The living instances of each class and of its subclasses: {id(class): [instance, ...]}.

    Left out are those that only `spaces` hold, the old modules' own namespaces, which go with them;
    holders in `ignore` do not count.
    """
    kinds: dict[int, list[type]] = {}
    for each in classes:
        for kind in [each] + all_subclasses(each):
            kinds.setdefault(id(kind), []).append(each)
    found: dict[int, list[Any]] = {id(each): [] for each in classes}
    if not found:
        return found
    ignored = {id(each) for each in (*spaces, *ignore)}
    direct = {id(value) for space in spaces for value in list(space.values())}
    everything = gc.get_objects()
    for instance in everything:
        owners = kinds.get(id(type(instance)))
        if owners and not (id(instance) in direct and _held_only_by(instance, ignored, everything)):
            for owner in owners:
                found[id(owner)].append(instance)
    return found


def _held_only_by(instance: object, ignored: set[int], everything: list[Any]) -> bool:
    holders = [
        each
        for each in gc.get_referrers(instance)
        if each is not everything and not isinstance(each, types.FrameType)
    ]
    return bool(holders) and all(id(each) in ignored for each in holders)


def is_qt(cls: type) -> bool:
    """Whether Qt knows the class."""
    return any(base.__module__.partition(".")[0].startswith(_QT) for base in cls.__mro__[1:])


def verdict(
    cls: type,
    same: bool,
    swapped: list[type],
    living: list[Any],
    declared: bool,
    elsewhere: list[type],
) -> Verdict:
    """What becomes of one old class: KEEP, REPLACE, MIGRATE, or a Reason for a restart.

    `same`: its text did not change. `swapped`: which of its bases are not kept. `living`: its
    instances and those of its subclasses. `declared`: the module says that it may be swapped.
    `elsewhere`: its subclasses outside of what is swapped.
    """
    local = "<locals>" in cls.__qualname__
    if local:
        if living:
            return _reason(
                "live-class", cls, "objects of its class %s, which a function made, are in use"
            )
        return REPLACE
    if same and not swapped:
        return KEEP
    if not cls.__flags__ & _COLLECTED:
        return _reason("live-class", cls, "whether its class %s is in use cannot be seen")
    if issubclass(cls, enum.Enum):
        # Its members are compared by identity, and everyone may hold one.
        return (
            MIGRATE
            if declared
            else _reason(
                "live-class", cls, "its enumeration %s has changed and is not declared swappable"
            )
        )
    if not living and not elsewhere:
        return REPLACE
    if is_qt(cls):
        return _reason("live-qt-class", cls, "Qt objects of its class %s are in use")
    if not declared:
        what = (
            "objects of its class %s are in use" if living else "its class %s has subclasses in use"
        )
        return _reason("live-class", cls, what + ", and it is not declared swappable")
    return MIGRATE


def _reason(code: str, cls: type, text: str) -> Reason:
    name = cls.__module__
    return Reason(code, f"{name}: {text % cls.__qualname__}", module=name)


def same_values(old: type, new: type, texts: Definitions) -> str | None:
    """Whether a kept class would lose something that the new one has: a name whose value another
    one, the text being the same.

    A literal in the text is not looked at: if it is another value now, the app has changed it.
    `texts`: the class's own definitions. Returns the name of the attribute, or None.
    """
    for name, value in vars(new).items():
        if name.startswith("__") and name.endswith("__"):
            continue
        if name not in vars(old):
            return name
        before = vars(old)[name]
        if (
            not _plain(value)
            or not _plain(before)
            or (type(before) is type(value) and before == value)
        ):
            continue
        text = texts.get(f"{new.__qualname__}.{name}", [""])[-1]
        if (
            "value=Constant(" in text
            and "Call(" not in text
            and "Name(" not in text.partition("value=")[2]
        ):
            continue
        return name
    return None


def _plain(value: object) -> bool:
    if isinstance(value, (tuple, frozenset)) and type(value) in (tuple, frozenset):
        return all(_plain(each) for each in value)
    return value is None or type(value) in (int, float, complex, bool, str, bytes)


def judge(
    old_classes: list[type],
    texts: dict[str, tuple[Definitions, Definitions]],
    declared: Callable[[type], bool],
    spaces: list[Namespace],
    ignore: Iterable[object] = (),
) -> dict[int, Verdict]:
    """The verdict of each old class: {id(class): verdict}.

    `texts`: by module, the definitions of the old and the new source. `spaces`: the old modules'
    namespaces. `ignore`: what holds objects and does not count.
    """
    ids = {id(each) for each in old_classes}
    living = instances_of(old_classes, spaces, ignore)
    verdicts: dict[int, Verdict] = {}
    for cls in sorted(old_classes, key=lambda each: len(each.__mro__)):
        before, after = texts[cls.__module__]
        same = cls.__qualname__ in before and before[cls.__qualname__] == after.get(
            cls.__qualname__
        )
        swapped = [
            base for base in cls.__bases__ if id(base) in ids and verdicts.get(id(base)) != KEEP
        ]
        elsewhere = [each for each in all_subclasses(cls) if id(each) not in ids]
        verdicts[id(cls)] = verdict(cls, same, swapped, living[id(cls)], declared(cls), elsewhere)
    return verdicts
