"""Where modules come from after a hot update.

What did not change keeps coming from the container that the app was started in, also C extensions
and everything that is imported later; what changed comes from the new container, by its name. So no
library is loaded twice from two places, and `sys.path` stays as it is. Sources are loaded only if
they have the digest that was said, and no bytecode is read or written: a container does not change.
"""

from __future__ import annotations

import hashlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import types
    from typing import Any, Sequence

    from .journal import Journal

__all__ = ["Entry", "Overlay"]


class Entry:
    """A module of the new container: its source file, its digest as hexadecimal SHA-256, and
    whether it is a package."""

    __slots__ = ("path", "sha256", "is_package")

    def __init__(self, path: str, sha256: str, is_package: bool) -> None:
        self.path = path
        self.sha256 = sha256
        self.is_package = is_package


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a source that was proved, and prepares a package's namespace as the import of its
    submodules would have."""

    def __init__(self, name: str, entry: Entry) -> None:
        super().__init__(name, entry.path)
        self._sha256 = entry.sha256

    def get_code(self, fullname: str) -> types.CodeType | None:
        data = self.get_data(self.path)
        if hashlib.sha256(data).hexdigest() != self._sha256:
            raise ImportError(
                f"{self.path} is not the file that the update named", name=fullname, path=self.path
            )
        return self.source_to_code(data, self.path)

    def exec_module(self, module: types.ModuleType) -> None:
        if hasattr(module, "__path__"):
            prefix = module.__name__ + "."
            for name, inner in list(sys.modules.items()):
                if name.startswith(prefix) and "." not in name[len(prefix) :]:
                    module.__dict__.setdefault(name[len(prefix) :], inner)
        super().exec_module(module)

    def set_data(self, path: str, data: Any, *, _mode: int = 0o666) -> None:
        pass  # No bytecode.


class Overlay(importlib.abc.MetaPathFinder):
    """Finds the modules that changed; for all others the usual finders are asked."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.gone: set[str] = set()
        self.namespaces: dict[str, list[str]] = {}

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: types.ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        entry = self.entries.get(fullname)
        if entry is not None:
            places = [os.path.dirname(entry.path)] if entry.is_package else None
            spec = importlib.util.spec_from_file_location(
                fullname,
                entry.path,
                loader=_Loader(fullname, entry),
                submodule_search_locations=places,
            )
            if spec is not None:
                spec.cached = None
            return spec
        if fullname in self.gone:
            raise ModuleNotFoundError(
                f"No module named {fullname!r}: the update took it away", name=fullname
            )
        if fullname in self.namespaces:
            spec = importlib.machinery.ModuleSpec(fullname, None, is_package=True)
            spec.submodule_search_locations = list(self.namespaces[fullname])
            return spec
        return None

    def install(self, journal: Journal) -> None:
        """Asks this finder first from now on."""
        if self not in sys.meta_path:
            journal.replace_contents(sys.meta_path, [self] + sys.meta_path)

    def take(
        self,
        entries: dict[str, Entry],
        gone: set[str],
        namespaces: dict[str, list[str]],
        journal: Journal,
    ) -> None:
        """Adds what an update changed, over what earlier ones did."""
        journal.add(self._set, dict(self.entries), set(self.gone), dict(self.namespaces))
        self.entries = {name: entry for name, entry in self.entries.items() if name not in gone}
        self.entries.update(entries)
        self.gone = (self.gone | set(gone)) - set(entries)
        self.namespaces = dict(self.namespaces, **namespaces)

    def _set(
        self, entries: dict[str, Entry], gone: set[str], namespaces: dict[str, list[str]]
    ) -> None:
        self.entries, self.gone, self.namespaces = entries, gone, namespaces
