"""Putting new objects where old ones are held.

Found with the garbage collector: in modules, classes, instances, dicts, lists, sets, closures, and
tuples in one of those. What cannot be changed (a `functools.partial`, a bound method, something
inside of a C extension) is told, and whoever asked decides whether that matters: it does for
classes, and not for functions, since an old function leads to the new one.
"""

from __future__ import annotations

import functools
import gc
import types
import weakref

from .journal import Own, Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable

    from .guard import Namespace
    from .journal import Journal

    # Pairs by the id of their old object.
    ById = dict[int, "Pair"]

__all__ = ["Pair", "replace"]


class Pair:
    """An old object and what takes its place."""

    __slots__ = ("old", "new")

    def __init__(self, old: Any, new: Any) -> None:
        self.old = old
        self.new = new


# What may go on holding an old class without anyone noticing: annotations and caches of `typing`,
# descriptors, frames that are still running old code, weak references.
_HARMLESS = (
    types.FrameType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.ClassMethodDescriptorType,
    types.GeneratorType,
    types.CoroutineType,
    types.AsyncGeneratorType,
    types.BuiltinFunctionType,
    types.MethodWrapperType,
    weakref.ref,
    Pair,
    Own,
    Step,
    type(functools.lru_cache(lambda: None)),
)
_HARMLESS_MODULES = ("typing", "types", "_abc", "annotationlib")


def replace(
    pairs: list[Pair], journal: Journal, ignore: Iterable[object] = (), depth: int = 3
) -> list[tuple[Pair, Any]]:
    """Replaces the old object of each Pair wherever it is held. Returns what still holds one, as
    (Pair, holder).

    `ignore` are containers that go on holding old objects: the old modules' own namespaces.
    """
    by_id = {id(pair.old): pair for pair in pairs}
    if not by_id:
        return []
    ignored = {id(each) for each in ignore}
    held: Own[Any] = Own(pair.old for pair in pairs)
    ignored.update(id(each) for each in (held, pairs, by_id))
    holders: Own[Any] = Own(gc.get_referrers(*held))
    ignored.add(id(holders))
    namespaces = _class_namespaces([each for each in holders if type(each) is dict])
    left: list[tuple[Pair, Any]] = []
    for holder in holders:
        if id(holder) in ignored:
            continue
        for pair in _left_in(holder, by_id, namespaces, journal, ignored, depth):
            left.append((pair, holder))
    return left


def _class_namespaces(dicts: list[Any]) -> dict[int, type]:
    """Which of the dicts are the namespaces of classes, which must be changed by way of their
    class: {id(dict): class}."""
    wanted = {id(each) for each in dicts}
    found: dict[int, type] = {}
    if not dicts:
        return found
    for owner in gc.get_referrers(*dicts):
        if isinstance(owner, type):
            for referent in gc.get_referents(owner):
                if id(referent) in wanted and referent.keys() == vars(owner).keys():
                    found[id(referent)] = owner
    return found


def _left_in(
    holder: Any,
    by_id: ById,
    namespaces: dict[int, type],
    journal: Journal,
    ignored: set[int],
    depth: int,
) -> list[Pair]:
    """Replaces what `holder` holds; the pairs for which that is not possible."""
    if isinstance(holder, dict):
        owner = namespaces.get(id(holder))
        return (
            _in_class(owner, holder, by_id, journal)
            if owner is not None
            else _in_dict(holder, by_id, journal)
        )
    if isinstance(holder, list):
        return _in_list(holder, by_id, journal)
    if isinstance(holder, set):
        contents = {by_id[id(each)].new if id(each) in by_id else each for each in holder}
        journal.replace_contents(holder, contents)
        return []
    if isinstance(holder, types.CellType):
        return _in_cell(holder, by_id, journal)
    if type(holder) in (tuple, frozenset):
        return _in_tuple(holder, by_id, journal, ignored, depth)
    if isinstance(holder, type):
        return []  # A subclass, or the class of an instance: not a reference that is replaced here.
    if isinstance(holder, types.FunctionType):
        return _in_function(holder, by_id, journal)
    if isinstance(holder, _HARMLESS) or type(holder).__module__ in _HARMLESS_MODULES:
        return []
    return _in_object(holder, by_id, journal)


def _in_dict(holder: dict[Any, Any], by_id: ById, journal: Journal) -> list[Pair]:
    if any(id(key) in by_id for key in list(holder)):
        journal.replace_contents(
            holder,
            {
                _new(key, by_id): _new(value, by_id)
                for key, value in list(holder.items())
                if not _doubled(key, holder, by_id)
            },
        )
        return []
    for key, value in list(holder.items()):
        if id(value) in by_id:
            journal.set_item(holder, key, by_id[id(value)].new)
    return []


def _doubled(key: object, holder: dict[Any, Any], by_id: ById) -> bool:
    """Whether the new object is a key already: then its value is the one that counts."""
    return id(key) in by_id and by_id[id(key)].new in holder


def _new(value: Any, by_id: ById) -> Any:
    pair = by_id.get(id(value))
    return value if pair is None else pair.new


def _in_class(owner: type, namespace: Namespace, by_id: ById, journal: Journal) -> list[Pair]:
    left: list[Pair] = []
    for name, value in list(namespace.items()):
        if id(value) in by_id and name not in ("__dict__", "__weakref__"):
            try:
                journal.set_attribute(owner, name, by_id[id(value)].new)
            except (AttributeError, TypeError):
                left.append(by_id[id(value)])
    return left


def _in_list(holder: list[Any], by_id: ById, journal: Journal) -> list[Pair]:
    """A registry that the new module has added itself to must not name it twice: the old one's
    place is kept."""
    contents: list[Any] = []
    there = {id(by_id[id(each)].new) for each in holder if id(each) in by_id}
    for each in holder:
        if id(each) in by_id:
            contents.append(by_id[id(each)].new)
        elif id(each) not in there:
            contents.append(each)
    journal.replace_contents(holder, contents)
    return []


def _in_cell(holder: types.CellType, by_id: ById, journal: Journal) -> list[Pair]:
    try:
        old = holder.cell_contents
    except ValueError:  # Empty by now.
        return []

    if id(old) in by_id:
        journal.add(setattr, holder, "cell_contents", old)
        holder.cell_contents = by_id[id(old)].new
    return []


def _in_tuple(
    holder: Any, by_id: ById, journal: Journal, ignored: set[int], depth: int
) -> list[Pair]:
    """A tuple is replaced by another one. The bases and the order of resolution of a class, and
    arguments, are not ours to change."""
    if not any(id(each) in by_id for each in holder):
        return []
    users = [
        each
        for each in gc.get_referrers(holder)
        if id(each) not in ignored and not isinstance(each, (types.FrameType, Own))
    ]
    functions = [each for each in users if type(each) is types.FunctionType]
    for function in functions:
        # Since Python 3.10 annotations are a tuple until someone asks for them.
        _in_dict(function.__annotations__, by_id, journal)
    others = [
        each
        for each in users
        if type(each) is not types.FunctionType or holder is each.__defaults__
    ]
    if all(
        isinstance(each, (type, *_HARMLESS)) or type(each).__module__ in _HARMLESS_MODULES
        for each in others
    ):
        return []
    if depth <= 0:
        return [by_id[id(each)] for each in holder if id(each) in by_id]
    again = [Pair(holder, type(holder)(_new(each, by_id) for each in holder))]
    left = replace(again, journal, [users, others, functions], depth - 1)
    left = [user for _, user in left if user is not None]
    return [by_id[id(each)] for each in holder if id(each) in by_id] if left else []


def _in_function(holder: types.FunctionType, by_id: ById, journal: Journal) -> list[Pair]:
    defaults, keywords = holder.__defaults__, holder.__kwdefaults__
    if defaults and any(id(each) in by_id for each in (*defaults, defaults)):
        journal.set_slot(
            holder, "__defaults__", tuple(_new(each, by_id) for each in _new(defaults, by_id))
        )
    if keywords:
        _in_dict(keywords, by_id, journal)
    return []


def _in_object(holder: object, by_id: ById, journal: Journal) -> list[Pair]:
    """An instance: its attributes, also those that Python keeps without a dict."""
    found = False
    left: list[Pair] = []
    try:
        attributes = object.__getattribute__(holder, "__dict__")
    except AttributeError:
        attributes = None
    if type(attributes) is dict:
        for name, value in list(attributes.items()):
            if id(value) in by_id:
                found = True
                journal.set_item(attributes, name, by_id[id(value)].new)
    for kind in type(holder).__mro__:
        for member in vars(kind).values():
            if type(member) is types.MemberDescriptorType:
                try:
                    value = member.__get__(holder)
                except AttributeError:
                    continue
                if id(value) in by_id:
                    found = True
                    if not _set_member(member, holder, value, by_id[id(value)].new, journal):
                        left.append(by_id[id(value)])
    if left or found or id(type(holder)) in by_id:
        return (
            left  # Of an instance of an old class only its class is old; whoever asked sees to it.
        )
    mine = {id(each) for each in gc.get_referents(holder)}
    return [pair for key, pair in by_id.items() if key in mine]


def _set_member(
    member: types.MemberDescriptorType, holder: object, old: object, new: object, journal: Journal
) -> bool:
    try:
        member.__set__(holder, new)
    except (AttributeError, TypeError):
        return False
    journal.add(member.__set__, holder, old)
    return True
