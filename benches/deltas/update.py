#!/usr/bin/env python3
"""Whole updates by the real launcher over a line of a given rate: by patches, in full, and what `unzip` of a full zip takes.

    benches/deltas/update.py OLD NEW [--mbit 1000] [--runs 3] [--bin target/release] [--level 19] [--entry scripts/launch.sh] [--work DIR]

Needs root, iproute2, tc and nginx; zip and unzip for the last row. OLD and NEW are folders. They are built and published as two releases,
which is timed: the full packages, then the patch between them, at one setting and on all cores. A copy of a home that has OLD is then
updated to NEW, in turn by patches and in full, by `kuzflow-launcher update` in a network namespace behind a token bucket; the bytes are
those that leave nginx's interface, headers and metadata included. The time is the whole process's: check, download, apply, install.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

PREFIX = "kzupdate-"
NODE, USER = PREFIX + "node", PREFIX + "user"


def run(*command, check=True, **more):
    done = subprocess.run([str(part) for part in command], text=True, capture_output=True, **more)
    if check and done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done


def inside(namespace, *command):
    return ["ip", "netns", "exec", namespace, *[str(part) for part in command]]


def down():
    for line in run("ip", "netns", "list").stdout.splitlines():
        if line.startswith(PREFIX):
            run("ip", "netns", "del", line.split()[0])


def up(mbit):
    down()
    for name in (NODE, USER):
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")
    run("ip", "link", "add", "line0", "netns", NODE, "type", "veth", "peer", "name", "eth0", "netns", USER)
    for name, device, address in ((NODE, "line0", "10.97.0.1/30"), (USER, "eth0", "10.97.0.2/30")):
        run("ip", "-n", name, "addr", "add", address, "dev", device)
        run("ip", "-n", name, "link", "set", device, "up")
        run("tc", "-n", name, "qdisc", "add", "dev", device, "root", "tbf", "rate", f"{mbit}mbit", "burst", "1mb", "latency", "50ms")


def timed(*command, **more):
    start = time.monotonic()
    run(*command, **more)
    return time.monotonic() - start


def publish(old, new, work, options):
    kuzflow, publisher = options.bin / "kuzflow", work / "publisher"
    run(kuzflow, "init", publisher, "--app", "sample", "--display-name", "Sample", "--node", "http://10.97.0.1/")
    built = []
    for version, folder in (("1.0.0", old), ("2.0.0", new)):
        package = work / f"{version}.kuzflow"
        seconds = timed(kuzflow, "build", "--app", folder, "--name", "sample", "--app-version", version, "--entry", f"exe:{options.entry}",
                        "--runtime", "none", "--display-name", "Sample", "--no-bytecode", "--level", options.level, "--out", package)
        run(kuzflow, "publish", package, "--repo", publisher, "--no-patches")
        built.append((seconds, package.stat().st_size))
    made = timed(kuzflow, "patch", "--from", "1.0.0", "--to", "2.0.0", "--repo", publisher)
    print(f"building NEW's package at level {options.level}: {built[1][0]:.1f} s, {built[1][1]:,} bytes; making the patch: {made:.1f} s", flush=True)
    (work / "nginx").mkdir()
    scratch = " ".join(f"{kind}_temp_path {work}/nginx/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (work / "nginx.conf").write_text(
        f"user root; worker_processes 1; pid {work}/nginx.pid; error_log {work}/nginx/error.log; events {{}} http {{ access_log off; "
        f"sendfile on; {scratch} server {{ listen 80; root {publisher}/repository; }} }}\n")
    return publisher


def configure(work, publisher, name, more):
    place = work / f"settings-{name}"
    place.mkdir()
    shutil.copy(publisher / "launcher" / "root.json", place)
    text = (publisher / "launcher" / "launcher.toml").read_text()
    (place / "launcher.toml").write_text(text + more)
    return place / "launcher.toml"


def update(options, home, config, *more):
    environment = {key: value for key, value in os.environ.items() if "DISPLAY" not in key}
    command = inside(USER, options.bin / "kuzflow-launcher", "--json", "--home", home, "--config", config, "update", *more)
    sent = int(run(*inside(NODE, "cat", "/sys/class/net/line0/statistics/tx_bytes")).stdout)
    start = time.monotonic()
    before = os.times()
    done = run(*command, env=environment)
    after = os.times()
    seconds = time.monotonic() - start
    sent = int(run(*inside(NODE, "cat", "/sys/class/net/line0/statistics/tx_bytes")).stdout) - sent
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return seconds, cpu, sent, done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=pathlib.Path)
    parser.add_argument("new", type=pathlib.Path)
    parser.add_argument("--mbit", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--bin", type=lambda text: pathlib.Path(text).resolve(), default=pathlib.Path("target/release").resolve())
    parser.add_argument("--level", default="19")
    parser.add_argument("--entry", default="scripts/launch.sh", help="a program in both folders")
    parser.add_argument("--work", type=pathlib.Path, help="where to work; kept, and its published releases are used again")
    options = parser.parse_args()
    work = (options.work or pathlib.Path(tempfile.mkdtemp(prefix="kuzflow-update-"))).resolve()
    work.mkdir(parents=True, exist_ok=True)
    publisher = work / "publisher"
    if not (work / "nginx.conf").exists():
        publish(options.old, options.new, work, options)
    # Nothing is deleted between runs: ext4 is slow at new files for a minute after many were deleted.
    place = pathlib.Path(tempfile.mkdtemp(prefix="runs-", dir=work))
    nginx = inside(NODE, "nginx", "-c", work / "nginx.conf", "-e", work / "nginx" / "error.log")
    try:
        up(options.mbit)
        run(*nginx)
        configs = {
            "by patches": configure(place, publisher, "patches", ""),
            "in full": configure(place, publisher, "full", "\n[incremental_update]\nenabled = false\n"),
        }
        update(options, place / "first", configs["in full"], "--to", "1.0.0")
        rows = {name: [] for name in configs}
        for number in range(options.runs):
            for name, config in configs.items():
                home = place / f"home-{number}-{config.parent.name}"
                run("cp", "-a", place / "first", home)
                run("sync")
                rows[name].append(update(options, home, config)[:3])
        print(f"over {options.mbit} Mbit/s, medians of {options.runs}:")
        for name, results in rows.items():
            seconds, cpu, sent = (statistics.median(column) for column in zip(*results))
            each = ", ".join(f"{result[0]:.2f}" for result in results)
            print(f"  {name:<12} {seconds:6.2f} s ({each})  {cpu:5.1f} s CPU  {sent:12,} bytes over the line", flush=True)
        if shutil.which("zip") and shutil.which("unzip"):
            package = work / "full.zip"
            if not package.exists():
                run("zip", "-q", "-r", "-9", "-y", package, ".", cwd=options.new)
            seconds = []
            for number in range(options.runs):
                run("sync")
                seconds.append(timed("unzip", "-q", package, "-d", place / f"unzipped-{number}"))
            line = package.stat().st_size * 8 / options.mbit / 1e6
            print(f"  {'a zip':<12} {statistics.median(seconds) + line:6.2f} s, of which {line:.2f} s the line's; {package.stat().st_size:,} bytes")
    finally:
        pid = work / "nginx.pid"
        if pid.exists():
            run("kill", pid.read_text().strip(), check=False)
        down()
        shutil.rmtree(place, ignore_errors=True)
        if not options.work:
            shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
