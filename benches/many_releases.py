#!/usr/bin/env python3
"""What the metadata of many releases costs: bytes of each document, and the time of a publish at release 10 and at the last one.

    cargo build --release --bins
    benches/many_releases.py [--releases 275] [--programs target/release]

One app of one small file, one platform, no packs: what grows with the number of releases is the metadata alone. Each release is built and
published by the executables; the time is that of `kuzflow publish`, the best of five that follow each other. The repository is what
`kuzflow init` makes: a list for each app, channel and platform, or with executables from before there were these (--programs) one list of all.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROUNDS = 5


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--releases", type=int, default=275)
    parser.add_argument("--programs", type=pathlib.Path, default=ROOT / "target" / "release")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kuzflow-releases-") as folder:
        measure(pathlib.Path(folder), options)


def measure(work, options):
    def run(*command):
        words = [str(options.programs / "kuzflow"), *(str(part) for part in command)]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=work)

    run("init", "pub", "--app", "sample", "--node", "http://127.0.0.1:9/")
    app = work / "app"
    app.mkdir()
    times = []
    for number in range(1, options.releases + 1):
        (app / "run.sh").write_text(f"#!/bin/sh\necho {number}\n")
        (app / "run.sh").chmod(0o755)
        run("build", "--app", app, "--name", "sample", "--app-version", f"1.{number}.0", "--entry", "exe:run.sh", "--runtime", "none",
            "--level", "1", "--out", "package.kuzflow")
        begin = time.perf_counter()
        run("publish", "package.kuzflow", "--repo", "pub", "--no-patches")
        times.append(time.perf_counter() - begin)
        if number in (10, options.releases):
            best = min(times[-ROUNDS:])
            print(f"release {number}: published in {best * 1000:.0f} ms; {sizes(work / 'pub/repository/metadata')}")


def sizes(metadata):
    """The bytes of each current document."""
    timestamp = metadata / "timestamp.json"
    snapshot = metadata / f"{version(timestamp, 'snapshot.json')}.snapshot.json"
    found = {"timestamp": timestamp, "snapshot": snapshot}
    for name, entry in json.loads(snapshot.read_bytes())["signed"]["meta"].items():
        found[name.removesuffix(".json")] = metadata / f"{entry['version']}.{name}"
    return ", ".join(f"{name} {path.stat().st_size}" for name, path in found.items())


def version(document, name):
    return json.loads(document.read_bytes())["signed"]["meta"][name]["version"]


if __name__ == "__main__":
    main()
