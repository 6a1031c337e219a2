"""Old functions that lead to new ones.

A function that was connected to a signal, put into a `functools.partial`, decorated or bound to an
instance cannot be found and replaced everywhere, and its globals cannot be changed. So an old
function is given a body that calls the new one. The body has the new one's parameters: what looks
at them (PyQt, which tries a slot with fewer arguments) sees the new ones. The code of the new
module then always runs with the new module's globals, and there is never a second set of them that
something writes to.
"""

from __future__ import annotations

import functools
import gc
import inspect
import types
import warnings
import weakref

from .journal import Own
from .references import Pair

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterator, Sequence

    from .guard import Namespace
    from .journal import Journal

__all__ = ["Forwards", "functions_of", "pairs", "parts"]

_TARGET = "\0the new function"


class Forwards:
    """Which old functions lead to which new ones, over all swaps, so that no chain of old ones
    grows."""

    def __init__(self) -> None:
        self._all: weakref.WeakKeyDictionary[
            types.FunctionType, weakref.ref[types.FunctionType]
        ] = weakref.WeakKeyDictionary()

    def forward(self, old: types.FunctionType, new: types.FunctionType, journal: Journal) -> None:
        """Makes `old`, and what leads to it, lead to `new`. Raises ValueError if that cannot be
        done; nothing is changed then."""
        for earlier, target in list(self._all.items()):
            if target() is old:
                self._forward(earlier, new, journal)
        self._forward(old, new, journal)

    def _forward(self, old: types.FunctionType, new: types.FunctionType, journal: Journal) -> None:
        code = _leading_to(new, len(old.__code__.co_freevars), old.__name__)
        journal.add(
            self._back, old, old.__code__, old.__defaults__, old.__kwdefaults__, self._all.get(old)
        )
        old.__code__ = code
        old.__defaults__ = new.__defaults__
        old.__kwdefaults__ = dict(new.__kwdefaults__) if new.__kwdefaults__ else new.__kwdefaults__
        self._all[old] = weakref.ref(new)

    def _back(
        self,
        old: types.FunctionType,
        code: types.CodeType,
        defaults: tuple[Any, ...] | None,
        keywords: dict[str, Any],
        target: weakref.ref[types.FunctionType] | None,
    ) -> None:
        old.__code__, old.__defaults__, old.__kwdefaults__ = code, defaults, keywords
        if target is None:
            self._all.pop(old, None)
        else:
            self._all[old] = target


def _leading_to(new: types.FunctionType, free: int, name: str) -> types.CodeType:
    """Code with the parameters of `new`, and as many free variables as the old code had (Python
    asks for that), which calls `new`."""
    code = new.__code__
    names = list(code.co_varnames)
    positional, names = names[: code.co_argcount], names[code.co_argcount :]
    keyword, names = names[: code.co_kwonlyargcount], names[code.co_kwonlyargcount :]
    parameters, arguments = list(positional), list(positional)
    if code.co_posonlyargcount:
        parameters.insert(code.co_posonlyargcount, "/")
    if code.co_flags & inspect.CO_VARARGS:
        parameters.append("*" + names[0])
        arguments.append("*" + names.pop(0))
    elif keyword:
        parameters.append("*")
    parameters.extend(keyword)
    arguments.extend(f"{each}={each}" for each in keyword)
    if code.co_flags & inspect.CO_VARKEYWORDS:
        parameters.append("**" + names[0])
        arguments.append("**" + names[0])
    call = f"{_TARGET!r}({', '.join(arguments)})"
    if code.co_flags & inspect.CO_COROUTINE:
        define, call = "async def", "return await " + call
    elif code.co_flags & inspect.CO_GENERATOR:
        define, call = "def", f"return (yield from {call})"
    else:  # An asynchronous generator is handed on as it is.
        define, call = "def", "return " + call
    cells = [f"_kuzflow_{number}" for number in range(free)]
    source = ["def outer():"]
    if cells:
        source.append(f"    {' = '.join(cells)} = None")
    source.append(f"    {define} forward({', '.join(parameters)}):")
    if cells:
        source.append("        nonlocal " + ", ".join(cells))
    source.append("        " + call)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # That text cannot be called, which is what stands there until the function does.
        try:
            outer = compile(
                "\n".join(source), f"<kuzflow: leads to the new {name}>", "exec", dont_inherit=True
            )
        except (
            SyntaxError
        ) as error:  # A parameter without a name of its own, as a generator expression's `.0`.
            raise ValueError(f"no function can lead to {name}") from error
    for _part in (0, 1):
        outer = next(
            constant for constant in outer.co_consts if isinstance(constant, types.CodeType)
        )
    # Not the function itself: a tuple that holds one looks like something of the app's in which to
    # exchange it.
    target = functools.partial(new)
    constants = tuple(target if constant == _TARGET else constant for constant in outer.co_consts)
    return outer.replace(co_consts=constants, co_name=name)


def functions_of(namespaces: list[Namespace]) -> dict[int, list[types.FunctionType]]:
    """All living functions whose globals are one of `namespaces`, wherever they are:
    {id(namespace): [function, ...]}."""
    wanted = {id(namespace) for namespace in namespaces}
    found: dict[int, list[types.FunctionType]] = {each: [] for each in wanted}
    for referrer in gc.get_referrers(*namespaces) if namespaces else ():
        if type(referrer) is types.FunctionType and id(referrer.__globals__) in wanted:
            found[id(referrer.__globals__)].append(referrer)
    return found


def pairs(
    old_namespace: Namespace,
    new_namespace: Namespace,
    old_functions: list[types.FunctionType],
    new_functions: list[types.FunctionType],
) -> Own[Pair]:
    """Which old function a new one stands for, as Pairs, from two namespaces and all living
    functions of each.

    By where they are found (names of the module, attributes of its classes, what decorators wrap),
    then by their qualified names where those are unique. A function in a function (a closure, a
    lambda) gets the code of its counterpart and keeps its own variables; of several of one name
    only those whose code is the same. What has no counterpart goes on as it is.
    """
    old_ids, new_ids = {id(each) for each in old_functions}, {id(each) for each in new_functions}
    found: Own[Pair] = Own()
    taken: set[int] = set()

    def take(old: types.FunctionType, new: types.FunctionType) -> None:
        if id(old) in old_ids and id(new) in new_ids and id(old) not in taken and old is not new:
            taken.add(id(old))
            found.append(Pair(old, new))

    for name, old in list(old_namespace.items()):
        if name in new_namespace:
            _walk(old, new_namespace[name], take, set())
    old_names, new_names = _by_name(old_functions), _by_name(new_functions)
    for name, olds in old_names.items():
        news = new_names.get(name, ())
        if "<locals>" not in name and len(olds) == 1 and len(news) == 1:
            take(olds[0], news[0])
    inner = _inner_code(new_functions)
    for name, olds in old_names.items():
        if "<locals>" in name:
            codes = inner.get(name, ())
            for old in olds:
                code = _counterpart(old.__code__, codes, _count_inner(old_functions, name))
                if (
                    code is not None
                    and id(old) not in taken
                    and code.co_freevars == old.__code__.co_freevars
                ):
                    new = types.FunctionType(
                        code, new_namespace, old.__name__, old.__defaults__, old.__closure__
                    )
                    new.__kwdefaults__ = old.__kwdefaults__
                    new.__qualname__ = old.__qualname__
                    new.__dict__.update(old.__dict__)
                    taken.add(id(old))
                    found.append(Pair(old, new))
    return found


def parts(value: Any) -> list[Any]:
    """The functions that a value is made of, in an order that depends on its kind only."""
    if isinstance(value, (staticmethod, classmethod)):
        return [value.__func__]
    if isinstance(value, property):
        return [value.fget, value.fset, value.fdel]
    if isinstance(value, types.MethodType):
        return [value.__func__]
    wrapped = getattr(value, "__wrapped__", None) if not isinstance(value, type) else None
    inner = getattr(value, "func", None) if type(value).__module__ == "functools" else None
    return [each for each in (wrapped, inner) if each is not None]


def _walk(
    old: Any,
    new: Any,
    take: Callable[[types.FunctionType, types.FunctionType], None],
    seen: set[int],
) -> None:
    if old is new or id(old) in seen or type(old) is not type(new):
        return
    seen.add(id(old))
    if type(old) is types.FunctionType:
        take(old, new)
    if isinstance(old, type):
        for name, value in list(vars(old).items()):
            if name in vars(new):
                _walk(value, vars(new)[name], take, seen)
        return
    for old_part, new_part in zip(parts(old), parts(new)):
        _walk(old_part, new_part, take, seen)


def _by_name(functions: list[types.FunctionType]) -> dict[str, list[types.FunctionType]]:
    names: dict[str, list[types.FunctionType]] = {}
    for function in functions:
        names.setdefault(function.__qualname__, []).append(function)
    return names


def _codes(code: types.CodeType, name: str) -> Iterator[tuple[str, types.CodeType]]:
    """The code in `code`, with qualified names."""
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            inner = f"{name}.<locals>.{constant.co_name}"
            yield inner, constant
            yield from _codes(constant, inner)


def _inner_code(functions: list[types.FunctionType]) -> dict[str, list[types.CodeType]]:
    found: dict[str, list[types.CodeType]] = {}
    for function in functions:
        if "<locals>" not in function.__qualname__:
            for name, code in _codes(function.__code__, function.__qualname__):
                found.setdefault(name, []).append(code)
    return found


def _count_inner(functions: list[types.FunctionType], name: str) -> int:
    outer = name.split(".<locals>.")[0]
    return max(
        [
            sum(1 for inner, _ in _codes(each.__code__, outer) if inner == name)
            for each in functions
            if each.__qualname__ == outer
        ]
        or [1]
    )


def _counterpart(
    code: types.CodeType, codes: Sequence[types.CodeType], count: int
) -> types.CodeType | None:
    if len(codes) == 1 and count <= 1:
        return codes[0]
    same = [each for each in codes if _same(each, code)]
    return same[0] if len(same) >= 1 else None


def _same(one: types.CodeType, other: types.CodeType) -> bool:
    """Whether two codes do the same, wherever they stand."""

    def plain(code: types.CodeType) -> tuple[object, ...]:
        constants = tuple(
            plain(each) if isinstance(each, types.CodeType) else (type(each), each)
            for each in code.co_consts
        )
        return (
            code.co_code,
            constants,
            code.co_names,
            code.co_varnames,
            code.co_freevars,
            code.co_cellvars,
        )

    return plain(one) == plain(other)
