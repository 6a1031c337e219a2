#!/usr/bin/env python3
"""How much later the app starts through the launcher than directly: the active version's entry point and `run`, in turn.

    benches/launch.py LAUNCHER CONFIG HOME [--pairs 30] [-- ARGUMENT...]

CONFIG must have `check = "never"` under `[update]`, and ARGUMENTs must make the app end by itself (`--help`, say). Both ways get the
same environment, which is the one that the version's own record names. Prints medians, milliseconds.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time


def direct(home: pathlib.Path) -> tuple[list[str], dict[str, str], str]:
    active = json.loads((home / "active.json").read_text())["container"]
    folder = home / "containers" / active
    launch = json.loads((folder / "metadata/installed.json").read_text())["launch"]
    expand = lambda text: text.replace("{container}", str(folder))
    environment = dict(os.environ, KUZFLOW_HOME=str(folder), KUZFLOW_VERSION=active.split("_")[1])
    environment.update({name: expand(value) for name, value in launch["environment"].items()})
    for name, folders in launch["prepend"].items():
        before = [str(folder / entry) for entry in folders]
        environment[name] = os.pathsep.join(before + [entry for entry in [os.environ.get(name, "")] if entry])
    command = [str(folder / launch["program"]), *map(expand, launch["arguments"])]
    return command, environment, str(folder / launch["working_folder"])


def seconds(command: list[str], environment: dict[str, str], folder: str) -> float:
    begin = time.perf_counter()
    subprocess.run(command, env=environment, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("launcher", type=pathlib.Path)
    parser.add_argument("config", type=pathlib.Path)
    parser.add_argument("home", type=pathlib.Path)
    parser.add_argument("--pairs", type=int, default=30)
    # argparse takes what stands behind `--` for unknown options once an option stands before it.
    typed = sys.argv[1:]
    end = typed.index("--") if "--" in typed else len(typed)
    options, arguments = parser.parse_args(typed[:end]), typed[end + 1 :]
    home = options.home.resolve()
    command, environment, folder = direct(home)
    command += arguments
    through = [str(options.launcher), "--config", str(options.config), "--home", str(home), "run", "--", *arguments]
    pairs = [(seconds(command, environment, folder), seconds(through, dict(os.environ), "/")) for _ in range(options.pairs + 3)][3:]
    median = lambda values: 1000 * statistics.median(values)
    print(f"direct {median(a for a, _ in pairs):.1f} ms, launcher {median(b for _, b in pairs):.1f} ms, "
          f"difference of pairs {median(b - a for a, b in pairs):.1f} ms ({len(pairs)} pairs)")


if __name__ == "__main__":
    main()
