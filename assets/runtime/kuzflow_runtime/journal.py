"""What a swap did, so that it can be taken back.

Every step that changes something writes down how to undo it. `undo` runs them backwards and never
stops halfway: a step that cannot be undone is told, and the others are undone all the same. Steps
are objects and not closures: what exchanges references everywhere must be able to tell the old
objects that are remembered here from those that the app holds.
"""

from __future__ import annotations

import collections

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable, TypeVar

    _Item = TypeVar("_Item")
    # What holds objects and can be written to.
    Container = dict[Any, Any] | list[Any] | set[Any]

__all__ = ["Journal", "Own", "Step"]

_MISSING = object()


if TYPE_CHECKING:

    class Own(list[_Item]):
        """A list of ours that holds old objects and must go on doing so."""

else:  # Python 3.8 has no `list[...]` yet.

    class Own(list):
        """A list of ours that holds old objects and must go on doing so."""

        __slots__ = ()


class Step:
    """A function and its arguments."""

    __slots__ = ("function", "arguments")

    def __init__(self, function: Callable[..., object], arguments: Iterable[Any]) -> None:
        self.function = function
        self.arguments: Own[Any] = Own(arguments)


class Journal:
    """The undo steps of one swap, in the order in which their steps were done."""

    def __init__(self) -> None:
        self._steps: Own[Step] = Own()

    def add(self, function: Callable[..., object], *arguments: Any) -> None:
        """Notes how to undo something: by a call. The function must not be a closure over old
        objects."""
        self._steps.append(Step(function, arguments))

    def set_item(self, mapping: dict[Any, Any], key: object, value: object) -> None:
        """`mapping[key] = value`."""
        self.add(_set_item, mapping, key, mapping.get(key, _MISSING))
        mapping[key] = value

    def set_attribute(self, owner: object, name: str, value: object) -> None:
        """`setattr(owner, name, value)` for what `owner` itself holds. Raises what that raises;
        nothing is changed then."""
        before = vars(owner).get(name, _MISSING)
        setattr(owner, name, value)
        self.add(_set_attribute, owner, name, before)

    def set_slot(self, owner: object, name: str, value: object) -> None:
        """`setattr(owner, name, value)` for a name that is always there, as a function's
        `__defaults__`."""
        before = getattr(owner, name)
        setattr(owner, name, value)
        self.add(setattr, owner, name, before)

    def replace_contents(self, container: Container, contents: Container) -> None:
        """Makes a list, dict or set hold `contents` and nothing else."""
        self.add(_fill, container, _flat(container))
        _fill(container, _flat(contents))

    def undo(self) -> list[Exception]:
        """Undoes all steps, the last first. Returns the exceptions of those that could not be
        undone."""
        failures: list[Exception] = []
        while self._steps:
            step = self._steps.pop()
            try:
                step.function(*step.arguments)
            except Exception as error:  # noqa: BLE001 -- The others must be undone all the same.
                failures.append(error)
        return failures


def _set_item(mapping: dict[Any, Any], key: object, before: object) -> None:
    if before is _MISSING:
        mapping.pop(key, None)
    else:
        mapping[key] = before


def _set_attribute(owner: object, name: str, before: object) -> None:
    if before is _MISSING:
        delattr(owner, name)
    else:
        setattr(owner, name, before)


def _flat(container: Container) -> Own[Any]:
    """What it holds, as a list that is known to be ours; of a dict, keys and values in turn."""
    if isinstance(container, dict):
        return Own(each for item in dict.items(container) for each in item)
    return Own(container)


def _fill(container: Container, contents: Own[Any]) -> None:
    """By the built-in type's own methods: a subclass may guard its own."""
    if isinstance(container, dict):
        # An ordered one keeps its order apart.
        kind = collections.OrderedDict if isinstance(container, collections.OrderedDict) else dict
        kind.clear(container)
        kind.update(container, zip(contents[::2], contents[1::2]))
    elif isinstance(container, set):
        set.clear(container)
        set.update(container, contents)
    else:
        list.__setitem__(container, slice(None), contents)
