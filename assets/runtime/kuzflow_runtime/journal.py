"""What a swap did, so that it can be taken back.

Every step that changes something writes down how to undo it *before* it is done. `undo` runs them backwards and never stops
halfway: a step that cannot be undone is told, and the others are undone all the same.
"""

__all__ = ["Journal"]

_MISSING = object()


class Journal:
    """The undo steps of one swap, in the order in which their steps were done."""

    def __init__(self):
        self._steps = []

    def add(self, step):
        """Notes a function without arguments that undoes what comes next."""
        self._steps.append(step)

    def set_item(self, mapping, key, value):
        """`mapping[key] = value`. The order of the keys of a dict comes back too, if it was the last one."""
        before = mapping.get(key, _MISSING)

        def back():
            if before is _MISSING:
                mapping.pop(key, None)
            else:
                mapping[key] = before

        self.add(back)
        mapping[key] = value

    def remove_item(self, mapping, key):
        """`del mapping[key]`, if it is there."""
        before = mapping.get(key, _MISSING)
        if before is _MISSING:
            return

        def back():
            mapping[key] = before

        self.add(back)
        del mapping[key]

    def set_attribute(self, owner, name, value):
        """`owner.name = value` for what `owner` itself holds. Raises what setting it raises; nothing is changed then."""
        before = vars(owner).get(name, _MISSING) if hasattr(owner, "__dict__") else getattr(owner, name, _MISSING)

        def back():
            if before is _MISSING:
                delattr(owner, name)
            else:
                setattr(owner, name, before)

        setattr(owner, name, value)
        self.add(back)

    def set_slot(self, owner, name, value):
        """`owner.name = value` for a name that is always there, as a function's `__defaults__`."""
        before = getattr(owner, name)
        setattr(owner, name, value)
        self.add(lambda: setattr(owner, name, before))

    def replace_contents(self, container, contents):
        """Makes a list, dict or set hold `contents` and nothing else."""
        before = type(contents)(container)
        self.add(lambda: _fill(container, before))
        _fill(container, contents)

    def undo(self):
        """Undoes all steps, the last first. Returns the exceptions of those that could not be undone."""
        failures = []
        while self._steps:
            try:
                self._steps.pop()()
            except Exception as error:  # The others must be undone all the same.
                failures.append(error)
        return failures

    def forget(self):
        """What was done stays."""
        self._steps.clear()


def _fill(container, contents):
    """The plain method of the built-in type: a subclass may guard its own."""
    for kind, extend in ((dict, dict.update), (set, set.update), (list, list.extend)):
        if isinstance(container, kind):
            kind.clear(container)
            extend(container, contents)
            return
