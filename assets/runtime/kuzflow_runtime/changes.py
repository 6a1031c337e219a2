"""What an update changes, as the launcher says it, and what that means for the running app.

A path is below the container, with `/`. Sources below a folder of `sys.path` are modules; bytecode
goes with them. Compiled extensions are never loaded anew. Other files are read by modules: one that
names them in `__resources__` (patterns, relative to the module's folder) is loaded anew with them;
without one, a restart.
"""

from __future__ import annotations

import ast
import fnmatch
import hashlib
import os
import re
import sys

from .errors import HotSwapError, Reason
from .guard import namespace_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import types
    from typing import Iterable, Iterator

    from .wire import Message

__all__ = [
    "LONGEST_SOURCE",
    "Change",
    "Layout",
    "advise",
    "compare_containers",
    "current_file",
    "is_compiled",
    "is_ignored",
]

# More is no module that someone wrote; bytes.
LONGEST_SOURCE = 16 << 20

_KINDS = ("modified", "added", "removed")
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_COMPILED = re.compile(r"\.(so|pyd|dll|dylib)(\.[0-9.]+)?\Z")
# Say which version it is; no part of a running app.
_IGNORED = re.compile(r"(metadata/.*|scripts/launch\.(sh|bat)|(.*/)?__pycache__/.*\.pyc|.*\.pyi)\Z")


class Change:
    """One file of an update: `path` below the container, `kind` modified, added or removed,
    `sha256` of the new file (None if removed)."""

    __slots__ = ("path", "kind", "sha256")

    def __init__(self, path: str, kind: str, sha256: str | None = None) -> None:
        parts = path.split("/") if isinstance(path, str) else [""]
        if any(
            part in ("", ".", "..") or "\\" in part or ":" in part or "\0" in part for part in parts
        ):
            raise HotSwapError([Reason("bad-path", f"not a path in a container: {path!r}")])
        if kind not in _KINDS:
            raise HotSwapError([Reason("bad-kind", f"not a kind of change: {kind!r}", path=path)])
        if kind != "removed" and not (isinstance(sha256, str) and _DIGEST.match(sha256)):
            raise HotSwapError([Reason("bad-digest", f"{path} has no SHA-256", path=path)])
        self.path = path
        self.kind = kind
        self.sha256 = sha256

    @classmethod
    def from_message(cls, value: Message) -> Change:
        """From a JSON object. Raises HotSwapError."""
        if not isinstance(value, dict):
            raise HotSwapError([Reason("bad-change", f"not a change: {value!r}")])
        return cls(value.get("path", ""), value.get("kind", ""), value.get("sha256"))

    def as_message(self) -> Message:
        """As a JSON object."""
        return {"path": self.path, "kind": self.kind, "sha256": self.sha256}

    def read(self, container: str) -> bytes:
        """The new file's bytes, proved. Raises HotSwapError if it lies elsewhere (a link), cannot
        be read, or is another file."""
        root = os.path.realpath(container)
        path = os.path.realpath(os.path.join(root, *self.path.split("/")))
        if not path.startswith(root + os.sep):
            raise HotSwapError(
                [Reason("bad-path", f"{self.path} does not lie in {container}", path=self.path)]
            )
        try:
            with open(path, "rb") as file:
                data = file.read(LONGEST_SOURCE + 1)
        except OSError as error:
            raise HotSwapError(
                [Reason("unreadable", f"{self.path}: {error}", path=self.path)]
            ) from error
        if len(data) > LONGEST_SOURCE or hashlib.sha256(data).hexdigest() != self.sha256:
            raise HotSwapError(
                [
                    Reason(
                        "wrong-digest",
                        f"{self.path} is not the file that the update named",
                        path=self.path,
                    )
                ]
            )
        return data


def compare_containers(old: str, new: str, below: str = "app") -> list[Change]:
    """The changes of the files below a folder of two containers, by content. The launcher does it
    from manifests."""

    def digests(container: str) -> dict[str, str]:
        found: dict[str, str] = {}
        root = os.path.join(container, below)
        for folder, folders, files in os.walk(root):
            folders[:] = [name for name in folders if name != "__pycache__"]
            for name in files:
                path = os.path.join(folder, name)
                with open(path, "rb") as file:
                    found[os.path.relpath(path, container).replace(os.sep, "/")] = hashlib.sha256(
                        file.read()
                    ).hexdigest()
        return found

    before, after = digests(old), digests(new)
    changes = [Change(path, "removed") for path in before if path not in after]
    changes += [
        Change(path, "modified" if path in before else "added", digest)
        for path, digest in after.items()
        if before.get(path) != digest
    ]
    return sorted(changes, key=lambda change: change.path)


class Layout:
    """Which files of the containers in use are which modules, now."""

    def __init__(self, containers: Iterable[str]) -> None:
        self._roots = [os.path.realpath(container) for container in containers]
        self.loaded: dict[str, list[str]] = {}
        self.names: dict[str, str] = {}
        for name, module in list(sys.modules.items()):
            path = self.relative(current_file(module))
            if path is not None:
                self.loaded.setdefault(path, []).append(name)
                self.names[name] = path
        self._folders = {"app"}
        for entry in sys.path:
            inner = self.relative(entry or os.getcwd())
            if inner:
                self._folders.add(inner)

    def relative(self, path: str | None) -> str | None:
        """The path below one of the containers, with `/`, or None."""
        if not path:
            return None
        whole = os.path.realpath(path)
        for root in self._roots:
            if whole.startswith(root + os.sep):
                return whole[len(root) + 1 :].replace(os.sep, "/")
        return None

    def module(self, path: str) -> tuple[str, bool] | None:
        """The name of the module that a source at `path` is, and whether it is a package; None if
        it is none."""
        if not path.endswith(".py"):
            return None
        for folder in sorted(self._folders, key=len, reverse=True):
            if path.startswith(folder + "/"):
                parts = path[len(folder) + 1 : -3].split("/")
                is_package = parts[-1] == "__init__" and len(parts) > 1
                if is_package:
                    parts.pop()
                return (
                    (".".join(parts), is_package)
                    if all(part.isidentifier() for part in parts)
                    else None
                )
        return None

    def readers(self, path: str) -> list[str]:
        """The loaded modules that say in `__resources__` that they read the file at `path`."""
        found = []
        for name, own in self.names.items():
            patterns = namespace_of(sys.modules.get(name)) or {}
            folder = own.rpartition("/")[0]
            for pattern in patterns.get("__resources__", ()):
                if fnmatch.fnmatchcase(path, f"{folder}/{pattern}"):
                    found.append(name)
                    break
        return found


def current_file(module: types.ModuleType | None) -> str | None:
    """The source file of a module, by what its own namespace says."""
    path = (namespace_of(module) or {}).get("__file__")
    return path if isinstance(path, str) else None


def is_compiled(path: str) -> bool:
    """Whether it is a library or a compiled extension module."""
    return bool(_COMPILED.search(path))


def is_ignored(path: str) -> bool:
    """Whether a running app cannot notice a change of it."""
    return bool(_IGNORED.match(path))


def advise(tree: ast.Module) -> str | None:
    """What can be seen in a module's source of what it may not do while it is loaded: a text, or
    None. What this does not see is refused when it is tried."""
    threads = {"Thread", "Timer", "QThread", "Process"}
    started: set[str | None] = set()
    for node in _run_at_import(tree):
        if isinstance(node, ast.ClassDef) and any(
            _last_name(base) in threads for base in node.bases
        ):
            threads.add(node.name)
        if (
            isinstance(node, (ast.Assign, ast.AnnAssign))
            and isinstance(node.value, ast.Call)
            and _last_name(node.value.func) in threads
        ):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            started.update(_last_name(target) for target in targets)
        if not isinstance(node, ast.Call):
            continue
        if _last_name(node.func) == "start_new_thread":
            return f"it starts a thread while it is loaded (line {node.lineno})"
        if isinstance(node.func, ast.Attribute) and node.func.attr == "start":
            owner = node.func.value
            if (isinstance(owner, ast.Call) and _last_name(owner.func) in threads) or _last_name(
                owner
            ) in started:
                return f"it starts a thread while it is loaded (line {node.lineno})"
    return None


def _last_name(node: ast.AST) -> str | None:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", None)


def _run_at_import(tree: ast.Module) -> Iterator[ast.AST]:
    """The nodes that run with the module, in their order; what only runs as a program is left
    out."""
    waiting: list[ast.AST] = list(reversed(tree.body))
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if (
            isinstance(node, ast.If)
            and isinstance(node.test, ast.Compare)
            and _last_name(node.test.left) == "__name__"
        ):
            waiting.extend(reversed(node.orelse))
            continue
        yield node
        waiting.extend(reversed(list(ast.iter_child_nodes(node))))
