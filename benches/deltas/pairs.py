#!/usr/bin/env python3
"""Makes version pairs of real applications from PyPI, for measuring updates: DIR/NAME/{old,new}, each a container folder.

    benches/deltas/pairs.py DIR [NAME...]

    T  labelImg 1.8.5 -> 1.8.6    a few changed text files among 245 MB
    M  labelme 5.4.0 -> 5.4.1     many changed files, native libraries move; 590 MB
    S  puddletag 2.4.0 -> 2.5.0   text changes with bytecode beside the sources, no native code of its own; small
    W  puddletag for Windows      .pyd and .dll files move (PyQt5, numpy, onnxruntime, pillow, lxml)
    Q  Qt 5.15.2 -> 5.15.17       nearly every library changes, the application stays
    P  opencv, pillow, shapely    libraries whose names hold a hash of their content, so they are renamed when they change
    D  W backwards                a downgrade (links, no copy)

A folder holds app/ runtime/ config/ scripts/ metadata/. Needs CPython 3.11 with pip (the pins want that version), `strip`, Linux on
x86-64. A Windows folder has no interpreter (the index has none), only the packages.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys

LABELIMG = {"lxml": "4.9.2", "pyqt5": "5.15.7", "pyqt5-qt5": "5.15.2", "pyqt5-sip": "12.11.0"}
LABELME = dict(pin.split("==") for pin in """contourpy==1.2.0 coloredlogs==15.0.1 charset-normalizer==3.3.2 cycler==0.12.1
    filelock==3.13.1 flatbuffers==23.5.26 humanfriendly==10.0 idna==3.6 imageio==2.33.1 imgviz==1.7.5 kiwisolver==1.4.5 lazy-loader==0.3
    matplotlib==3.8.2 mpmath==1.3.0 natsort==8.4.0 networkx==3.2.1 packaging==23.2 pillow==10.2.0 pyparsing==3.1.1 pyqt5==5.15.10
    pyqt5-qt5==5.15.2 pyqt5-sip==12.13.0 pysocks==1.7.1 python-dateutil==2.8.2 pyyaml==6.0.1 qtpy==2.4.1 requests==2.31.0
    scikit-image==0.22.0 six==1.16.0 soupsieve==2.5 sympy==1.12 termcolor==2.4.0""".split())
PUDDLETAG = dict(pin.split("==") for pin in """mutagen==1.47.0 pyparsing==3.1.2 configobj==5.0.8 six==1.16.0 unidecode==1.3.8
    requests==2.31.0 urllib3==1.26.19 idna==3.7 certifi==2023.7.22 charset-normalizer==2.0.10""".split())

# For each name: the target, whether bytecode is made, which packages become app/, what both sides hold, what each side holds.
PAIRS = {
    "T": ("linux", False, ["labelImg", "libs"], LABELIMG, {"labelimg": "1.8.5"}, {"labelimg": "1.8.6"}),
    "M": ("linux", False, ["labelme"], LABELME,
          {"labelme": "5.4.0", "beautifulsoup4": "4.12.2", "certifi": "2023.11.17", "fonttools": "4.47.0", "gdown": "4.7.1",
           "numpy": "1.26.3", "onnxruntime": "1.16.3", "protobuf": "4.25.1", "scipy": "1.11.4", "tifffile": "2023.12.9",
           "tqdm": "4.66.1", "urllib3": "2.1.0"},
          {"labelme": "5.4.1", "beautifulsoup4": "4.12.3", "certifi": "2024.2.2", "fonttools": "4.48.1", "gdown": "5.1.0",
           "numpy": "1.26.4", "onnxruntime": "1.17.0", "protobuf": "4.25.2", "scipy": "1.12.0", "tifffile": "2024.1.30",
           "tqdm": "4.66.2", "urllib3": "2.2.0"}),
    "S": ("linux", True, ["puddlestuff"], PUDDLETAG, {"puddletag": "2.4.0"}, {"puddletag": "2.5.0"}),
    "W": ("windows", False, ["puddlestuff"], PUDDLETAG | {"pyqt5-qt5": "5.15.2"},
          {"puddletag": "2.4.0", "pyqt5": "5.15.10", "pyqt5-sip": "12.13.0", "numpy": "1.26.2", "onnxruntime": "1.16.3",
           "pillow": "10.1.0", "lxml": "4.9.4"},
          {"puddletag": "2.5.0", "pyqt5": "5.15.11", "pyqt5-sip": "12.15.0", "numpy": "1.26.4", "onnxruntime": "1.17.1",
           "pillow": "10.2.0", "lxml": "5.1.0"}),
    "Q": ("linux", False, ["puddlestuff"], PUDDLETAG | {"puddletag": "2.5.0", "pyqt5": "5.15.10", "pyqt5-sip": "12.13.0"},
          {"pyqt5-qt5": "5.15.2"}, {"pyqt5-qt5": "5.15.17"}),
    "P": ("linux", False, ["puddlestuff"], PUDDLETAG | {"puddletag": "2.5.0", "numpy": "1.26.4"},
          {"opencv-python-headless": "4.8.1.78", "pillow": "10.2.0", "shapely": "2.0.2"},
          {"opencv-python-headless": "4.9.0.80", "pillow": "10.3.0", "shapely": "2.0.4"}),
}
BACKWARDS = {"D": "W"}
LEFT_OUT = shutil.ignore_patterns("test", "tests", "site-packages", "config-3.11*", "idlelib", "tkinter", "turtledemo", "ensurepip",
                                  "__pycache__", "*.a")
LAUNCH = """#!/bin/sh
d=$(cd "$(dirname "$0")/.." && pwd)
export LD_LIBRARY_PATH="$d/runtime/lib" PYTHONHOME="$d/runtime" PYTHONPATH="$d/app"
exec "$d/runtime/bin/python3.11" "$@"
"""
YEAR_2024 = 1_704_067_200  # every file's time, in seconds since 1970, so that the same pins make the same folder


def runtime(out: pathlib.Path) -> None:
    """A stripped copy of the running Python, without its tests, static libraries and site-packages."""
    prefix = pathlib.Path(sys.base_prefix)
    (out / "bin").mkdir(parents=True)
    shutil.copy(prefix / "bin/python3.11", out / "bin/python3.11")
    (out / "bin/python3").symlink_to("python3.11")
    shutil.copytree(prefix / "lib/python3.11", out / "lib/python3.11", symlinks=True, ignore=LEFT_OUT)
    library = prefix / "lib/libpython3.11.so.1.0"
    if library.exists():
        shutil.copy(library, out / "lib" / library.name)
        (out / "lib/libpython3.11.so").symlink_to(library.name)
    native = [path for path in out.rglob("*") if path.is_file() and not path.is_symlink()
              and (path.suffix == ".so" or ".so." in path.name or path.name == "python3.11")]
    subprocess.run(["strip", "--strip-unneeded", *native], check=True)


def folder(out: pathlib.Path, name: str, release: str, pins: dict[str, str], target: str, bytecode: bool, application: list[str]) -> None:
    shutil.rmtree(out, ignore_errors=True)
    for part in ("app", "config", "scripts", "metadata", "runtime"):
        (out / part).mkdir(parents=True)
    site = out / "runtime/Lib/site-packages"
    where = ["--platform", "win_amd64", "--python-version", "3.11", "--only-binary=:all:"]
    if target == "linux":
        runtime(out / "runtime")
        site, where = out / "runtime/lib/python3.11/site-packages", []
    requirements = "".join(f"{package}=={version}\n" for package, version in sorted(pins.items()))
    (out / "metadata/requirements.txt").write_text(requirements)
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-compile", *where, "--target", site,
                    "-r", out / "metadata/requirements.txt"], check=True)
    for cache in list(site.rglob("__pycache__")):
        shutil.rmtree(cache)
    for package in application:
        shutil.move(site / package, out / "app" / package)
    (out / "config/app.json").write_text(json.dumps({"name": name, "entry": f"app/{application[0]}"}) + "\n")
    (out / "scripts/launch.sh").write_text(LAUNCH)
    (out / "scripts/launch.sh").chmod(0o755)
    (out / "metadata/release.json").write_text(json.dumps({"version": release}) + "\n")
    if bytecode:  # by the source's hash, which nothing checks later, and without this machine's paths: the same source, the same bytes
        subprocess.run([sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "-s", out, out],
                       check=False, stderr=subprocess.DEVNULL)
    for path in [out, *out.rglob("*")]:
        os.utime(path, (YEAR_2024, YEAR_2024), follow_symlinks=False)
    sizes = [path.lstat().st_size for path in out.rglob("*") if path.is_file() and not path.is_symlink()]
    print(f"{name}/{out.name}: {len(sizes)} files, {sum(sizes):,} bytes", flush=True)


def make(root: pathlib.Path, name: str) -> None:
    if name in BACKWARDS:
        forwards = BACKWARDS[name]
        if not (root / forwards).exists():
            make(root, forwards)
        (root / name).mkdir(parents=True, exist_ok=True)
        for side, other in (("old", "new"), ("new", "old")):
            (root / name / side).unlink(missing_ok=True)
            (root / name / side).symlink_to(pathlib.Path("..", forwards, other))
        return
    target, bytecode, application, both, old, new = PAIRS[name]
    for side, pins in (("old", old), ("new", new)):  # the first pin of a side names the release
        folder(root / name / side, name, next(iter(pins.values())), both | pins, target, bytecode, application)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=pathlib.Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {' '.join([*PAIRS, *BACKWARDS])}; all without one")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in PAIRS and name not in BACKWARDS]
    if unknown:
        parser.error(f"no pair {', '.join(unknown)}")
    if sys.version_info[:2] != (3, 11):
        sys.exit(f"the pins want CPython 3.11; this is {sys.version.split()[0]}")
    for name in options.names or [*PAIRS, *BACKWARDS]:
        make(options.dir.resolve(), name)


if __name__ == "__main__":
    main()
