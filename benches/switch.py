#!/usr/bin/env python3
"""How long a switch takes when the user has much data, against `cp -a` of the same data in the same run.

    cargo build --release --bins
    benches/switch.py DIR [--megabytes 1024] [--files 2000] [--rounds 5]

DIR is on the file system to be measured (reflink: btrfs, XFS; else ext4). Two releases of an app of one file are published, installed from
a local server, and switched back and forth; half of the data is in ten large files, the rest in small ones. Each round also times `cp -a`
followed by `sync -f`, since a switch is durable when it ends.
"""

import argparse
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAMS = ROOT / "target" / "release"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    work = options.folder / "kuzflow-switch"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        measure(work, options)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def measure(work, options):
    kuzflow, launcher = PROGRAMS / "kuzflow", PROGRAMS / "kuzflow-launcher"

    def run(*command):
        subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL, cwd=work)

    port = 20000 + os.getpid() % 20000
    run(kuzflow, "init", "pub", "--app", "sample", "--node", f"http://127.0.0.1:{port}/")
    for version in ("1.0.0", "2.0.0"):
        app = work / f"app-{version}"
        app.mkdir()
        (app / "run.sh").write_text("#!/bin/sh\ntrue\n")
        (app / "run.sh").chmod(0o755)
        run(kuzflow, "build", "--app", app, "--name", "sample", "--app-version", version, "--entry", "exe:run.sh",
            "--runtime", "none", "--out", f"{version}.kuzflow")
        run(kuzflow, "publish", f"{version}.kuzflow", "--repo", "pub")
    server = subprocess.Popen([str(kuzflow), "serve", "--repo", "pub", "--listen", f"127.0.0.1:{port}", "--health-interval", "0"],
                              cwd=work, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    client = (launcher, "--config", "pub/launcher/launcher.toml", "--home", "home", "--headless")
    try:
        time.sleep(1)
        run(*client, "update", "--to", "1.0.0")
        run(*client, "update", "--to", "2.0.0")
    finally:
        server.kill()
        server.wait()
    data = next((work / "home" / "containers").glob("*_2.0.0_*")) / "data"
    fill(data, options.megabytes << 20, options.files)
    subprocess.run(["sync"], check=True)
    switches, copies = [], []
    for number in range(options.rounds):
        switches.append(timed(lambda: run(*client, "switch", "1.0.0" if number % 2 == 0 else "2.0.0")))
        active = next((work / "home" / "containers").glob("*_1.0.0_*" if number % 2 == 0 else "*_2.0.0_*")) / "data"

        def copy():
            run("cp", "-a", active, work / "copy")
            run("sync", "-f", work / "copy")

        copies.append(timed(copy))
        shutil.rmtree(work / "copy")
    ratio = statistics.median(a / b for a, b in zip(switches, copies))
    print(f"{options.megabytes} MiB in {options.files} files, {options.rounds} rounds, median (least, most):")
    for name, times in (("switch", switches), ("cp -a, sync", copies)):
        print(f"  {name:<12} {statistics.median(times):6.2f} s ({min(times):.2f}, {max(times):.2f})")
    print(f"  ratio of pairs, median: {ratio:.2f}")


def fill(folder, size, files):
    generator = random.Random(1)
    large = [size // 20] * 10
    small = [size // 2 // (files - 10)] * (files - 10)
    for number, length in enumerate(large + small):
        place = folder / f"{number % 50:02}"
        place.mkdir(exist_ok=True)
        (place / f"{number}.bin").write_bytes(generator.randbytes(length))


def timed(action):
    begin = time.monotonic()
    action()
    return time.monotonic() - begin


if __name__ == "__main__":
    main()
