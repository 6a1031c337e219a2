"""A Windows of its own: a folder of Wine's, and a display. Two of them disturb each other nowhere.

Wine serves all processes of one such Windows by a single thread, so two are nearly twice as fast.
"""

import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Dict, List, Optional, Type

# Beginning and ending such a Windows takes some seconds; the rest is for a busy machine.
PREPARATION_LIMIT = 240
DISPLAY = ["Xvfb", "-displayfd", "1", "-screen", "0", "1280x1000x24", "-nolisten", "tcp"]


class Installation:
    """Runs programs one after the other. `shim` is a library that this Wine lacks."""

    def __init__(self, prefix: Path, shim: Path) -> None:
        self._prefix = prefix
        self._shim = shim
        self._display: Optional[subprocess.Popen[bytes]] = None
        self._environment: Dict[str, str] = {}

    def __enter__(self) -> "Installation":
        # One display for all: Wine's desktop stays on the display of the first program.
        self._display = subprocess.Popen(DISPLAY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self._display.stdout is not None
        number = self._display.stdout.readline().decode().strip()
        if not number:
            raise OSError("Xvfb gives no display")
        self._environment = {
            **os.environ,
            "DISPLAY": f":{number}",
            "WINEPREFIX": str(self._prefix),
            "WINEDEBUG": "-all",
            # Without the parts of Wine that ask or fetch something.
            "WINEDLLOVERRIDES": "winemenubuilder.exe=d;mscoree=d;mshtml=d",
        }
        library = self._prefix / "drive_c/windows/system32" / self._shim.name
        if not library.exists():
            self._quietly(["wine", "wineboot", "-i"])
            shutil.copyfile(self._shim, library)
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self._quietly(["wineserver", "-k"])
        if self._display is not None:
            self._display.kill()
            self._display.wait()

    def _quietly(self, command: List[str]) -> None:
        subprocess.run(
            command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PREPARATION_LIMIT,
            check=False,
        )

    def output(self, command: List[str]) -> str:
        """What a program of Windows prints that ends by itself."""
        result = subprocess.run(
            ["wine", *command],
            env=self._environment,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            timeout=PREPARATION_LIMIT,
        )
        return result.stdout.decode()

    def run(self, command: List[str], folder: Path, log: Path, limit: float) -> None:
        """Runs a program of Windows in a folder, its output in `log`, for `limit` seconds at most.

        Wine's own status proves nothing: it may be 0 where a program could not start.
        """
        with log.open("wb") as output:
            child = subprocess.Popen(
                ["wine", *command],
                env=self._environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            try:
                child.wait(limit)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
                # What the program had started would disturb the next one.
                self._quietly(["wineserver", "-k"])
