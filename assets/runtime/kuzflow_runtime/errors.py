"""Why a hot update is not done. Each refusal names the module and a short code that the launcher
can tell a person about."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable

    from .wire import Message

__all__ = ["HotSwapError", "Reason", "Refused"]


class Reason:
    """Why something means a new start: a `code` for machines, a `text` for logs, and the `module`
    or `path` it is about."""

    __slots__ = ("code", "text", "module", "path")

    def __init__(
        self, code: str, text: str, module: str | None = None, path: str | None = None
    ) -> None:
        self.code = code
        self.text = text
        self.module = module
        self.path = path

    def as_message(self) -> Message:
        """As a JSON object."""
        return {"code": self.code, "text": self.text, "module": self.module, "path": self.path}

    def __repr__(self) -> str:
        return f"Reason({self.code!r}, {self.text!r}, module={self.module!r}, path={self.path!r})"


class HotSwapError(Exception):
    """The swap was refused or failed; nothing of it is left. `reasons` is never empty."""

    def __init__(self, reasons: Iterable[Reason]) -> None:
        self.reasons = list(reasons)
        super().__init__("; ".join(reason.text for reason in self.reasons))


class Refused(Exception):
    """Ends a swap from within, for one reason; whoever does the swap undoes it and raises
    HotSwapError."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason
        super().__init__(reason.text)
