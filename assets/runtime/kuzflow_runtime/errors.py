"""Why a hot update is not done. Each refusal names the module and a short code that the launcher can tell a person about."""

__all__ = ["HotSwapError", "Reason"]


class Reason:
    """Why something means a new start: a `code` for machines, a `text` for logs, and the `module` or `path` it is about."""

    __slots__ = ("code", "text", "module", "path")

    def __init__(self, code, text, module=None, path=None):
        self.code = code
        self.text = text
        self.module = module
        self.path = path

    def as_message(self):
        """As a JSON object."""
        return {"code": self.code, "text": self.text, "module": self.module, "path": self.path}

    def __repr__(self):
        return "Reason(%r, %r, module=%r, path=%r)" % (self.code, self.text, self.module, self.path)


class HotSwapError(Exception):
    """The swap was refused or failed; nothing of it is left. `reasons` is never empty."""

    def __init__(self, reasons):
        self.reasons = list(reasons)
        super().__init__("; ".join(reason.text for reason in self.reasons))
