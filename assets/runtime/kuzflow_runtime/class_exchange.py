"""Exchanging the classes of modules that are swapped, as `classes` has judged them.

A class that is kept takes the place of its new twin; a class that is not is replaced wherever it is
held, and its instances and subclasses become those of the new one. All of it stands in the journal.
"""

from __future__ import annotations

import enum
import gc
import types

from . import classes, references
from .errors import Reason, Refused
from .journal import Own
from .references import Pair

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from .guard import Namespace
    from .journal import Journal
    from .prepare import Prepared

__all__ = ["ClassExchange"]


class ClassExchange:
    """The exchange of all classes of one swap."""

    def __init__(
        self,
        prepared: Prepared,
        journal: Journal,
        old_classes: dict[str, Own[type]],
        old_spaces: dict[str, Namespace],
        ignore: list[object],
    ) -> None:
        """`old_classes` and `old_spaces`: classes and namespaces of the old modules; `ignore`: what
        goes on holding old objects."""
        # Whose class is being looked at.
        self.module: str | None = None
        self._prepared = prepared
        self._journal = journal
        self._old_classes = old_classes
        self._spaces = list(old_spaces.values())
        self._ignore = ignore

    def run(self, new_spaces: dict[str, Namespace]) -> None:
        """Does it. Raises Refused; what was done until then stands in the journal."""
        prepared, ignore = self._prepared, self._ignore
        olds: Own[type] = Own(each for name in prepared.swap for each in self._old_classes[name])
        old_ids = {id(each) for each in olds}
        news: dict[tuple[str, str], type] = {}
        for name, found in classes.classes_of(new_spaces).items():
            for each in found:
                if id(each) not in old_ids and "<locals>" not in each.__qualname__:
                    news[(name, each.__qualname__)] = each
        texts = {
            name: (
                classes.definitions(prepared.old_trees[name]),
                classes.definitions(prepared.trees[name]),
            )
            for name in prepared.swap
        }
        verdicts = classes.judge(olds, texts, prepared.declared, self._spaces, ignore)
        retained: Own[Pair] = Own()
        replaced: Own[Pair] = Own()
        moved: Own[Pair] = Own()
        for old in olds:
            self.module = old.__module__
            decision, new = verdicts[id(old)], news.get((old.__module__, old.__qualname__))
            if isinstance(decision, Reason):
                raise Refused(decision)
            if new is None:
                if decision == classes.MIGRATE or (decision == classes.KEEP and self._in_use(old)):
                    self._refuse(
                        "live-class", f"its class {old.__qualname__} is in use and no longer there"
                    )
                continue
            pair = Pair(old, new)
            if decision == classes.KEEP:
                reason = self._cannot_keep(old, new, retained, texts[old.__module__][1])
                if reason is None:
                    retained.append(pair)
                    continue
                if self._in_use(old):
                    if not prepared.declared(old) or classes.is_qt(old):
                        self._refuse(
                            "live-class",
                            f"objects of its class {old.__qualname__} are in use, and {reason}",
                        )
                    decision = classes.MIGRATE
            (moved if decision == classes.MIGRATE else replaced).append(pair)
        self._keep(retained)
        exchanged: Own[Pair] = Own([*replaced, *moved])
        for pair in list(exchanged):
            exchanged.extend(self._members(pair))
            # An old class goes on holding what it holds.
            own = [each for each in gc.get_referents(pair.old) if type(each) is dict]
            ignore = [
                *ignore,
                *own,
                *(each for space in own for each in space.values() if type(each) in (dict, list)),
            ]
        left = [
            (pair, holder)
            for pair, holder in references.replace(exchanged, self._journal, ignore)
            if not self._is_old_world(holder, old_ids)
        ]
        for pair, holder in left:
            self.module = getattr(pair.old, "__module__", None)
            self._refuse(
                "held",
                f"{pair.old!r} is held by a {type(holder).__name__}, where it cannot be exchanged",
            )
        for pair in exchanged:
            if isinstance(pair.old, type):
                self._move(pair.old, pair.new, old_ids)
        self.module = None

    def _in_use(self, old: type) -> bool:
        living = classes.instances_of([old], self._spaces, self._ignore)[id(old)]
        ids = {id(each) for found in self._old_classes.values() for each in found}
        return bool(living) or any(id(each) not in ids for each in classes.all_subclasses(old))

    def _cannot_keep(
        self, old: type, new: Any, retained: Own[Pair], texts: classes.Definitions
    ) -> str | None:
        """Why a class whose text is the same cannot stay the class it is; None if it can."""
        canonical = {id(pair.new): pair.old for pair in retained}
        if type(new) is not type(old) and canonical.get(id(type(new))) is not type(old):
            return "its metaclass has changed"
        if tuple(canonical.get(id(base), base) for base in new.__bases__) != old.__bases__:
            return "its bases have changed"
        if isinstance(old, enum.EnumMeta):
            if _member_values(old) != _member_values(new):
                return "its members have changed"
            return None
        different = classes.same_values(old, new, texts)
        return None if different is None else f"its {different} has changed"

    def _keep(self, retained: Own[Pair]) -> None:
        """The old classes stay; what the new modules hold of the new ones is led to them."""
        pairs: Own[Pair] = Own()
        for pair in retained:
            pairs.append(Pair(pair.new, pair.old))
            if isinstance(pair.old, enum.EnumMeta):
                pairs.extend(
                    Pair(member, pair.old.__members__[name])
                    for name, member in _members_of(pair.new)
                )
        for pair, holder in references.replace(pairs, self._journal, self._ignore):
            if not isinstance(holder, (types.MethodType, classmethod)) and not isinstance(
                pair.old, enum.Enum
            ):
                self.module = (
                    pair.new.__module__ if isinstance(pair.new, type) else type(pair.new).__module__
                )
                self._refuse(
                    "held",
                    f"{pair.new!r} is held by a {type(holder).__name__}, where it cannot be kept",
                )
        made = classes.instances_of([pair.new for pair in retained])
        for pair in retained:
            if isinstance(pair.old, enum.EnumMeta):
                continue
            for instance in made[id(pair.new)]:
                if type(instance) is pair.new:
                    self._set_class(instance, pair.old)
            for inner in type.__subclasses__(pair.new):
                bases = tuple(pair.old if base is pair.new else base for base in inner.__bases__)
                if bases != inner.__bases__ and not any(each.new is inner for each in retained):
                    self._set_bases(inner, bases)

    def _members(self, pair: Pair) -> list[Pair]:
        if not isinstance(pair.old, enum.EnumMeta) or not isinstance(pair.new, enum.EnumMeta):
            return []
        return [
            Pair(member, pair.new.__members__[name])
            for name, member in _members_of(pair.old)
            if name in pair.new.__members__
        ]

    def _move(self, old: type, new: type, old_ids: set[int]) -> None:
        """The instances of a declared class, and its subclasses elsewhere, become those of the new
        one."""
        self.module = old.__module__
        if isinstance(old, enum.EnumMeta):
            return
        inner: type
        for inner in type.__subclasses__(old):
            if id(inner) not in old_ids:
                self._set_bases(
                    inner, tuple(new if base is old else base for base in inner.__bases__)
                )
        hook = getattr(new, "__migrate__", None)
        for instance in classes.instances_of([old])[id(old)]:
            if type(instance) is not old:
                continue
            if hook is not None:
                attributes = getattr(instance, "__dict__", None)
                if type(attributes) is dict:
                    self._journal.replace_contents(attributes, dict(attributes))
                try:
                    hook(instance)
                except Exception as error:
                    raise Refused(
                        Reason(
                            "migrate",
                            f"{self.module}: moving a {old.__qualname__} raised {error!r}",
                            module=self.module,
                        )
                    ) from error
            self._set_class(instance, new)
        # Instances that the new class gets later go back with the others.
        self._journal.add(_back, new, old)

    def _set_class(self, instance: object, new: type) -> None:
        try:
            self._journal.set_slot(instance, "__class__", new)
        except TypeError as error:
            self._refuse(
                "layout",
                f"a {type(instance).__qualname__} cannot become one of the new class: {error}",
            )

    def _set_bases(self, cls: type, bases: tuple[type, ...]) -> None:
        try:
            self._journal.set_slot(cls, "__bases__", bases)
        except TypeError as error:
            self._refuse("layout", f"{cls.__qualname__} cannot get its new base: {error}")

    def _is_old_world(self, holder: object, old_ids: set[int]) -> bool:
        """Whether only old code gets at what `holder` holds."""
        return (
            isinstance(holder, (classmethod, staticmethod, property)) or id(type(holder)) in old_ids
        )

    def _refuse(self, code: str, text: str) -> NoReturn:
        raise Refused(Reason(code, f"{self.module}: {text}", module=self.module))


def _back(new: type, old: type) -> None:
    for instance in classes.instances_of([new])[id(new)]:
        if type(instance) is new:
            instance.__class__ = old


def _members_of(cls: Any) -> list[tuple[str, Any]]:
    """The members of an enumeration, by their names."""
    return list(cls.__members__.items())


def _member_values(cls: Any) -> list[tuple[str, Any]]:
    return [(name, member._value_) for name, member in _members_of(cls)]
