#!/usr/bin/env python3
"""How many reports a server takes, over the real protocol on loopback.

    benches/reports.py [--seconds 20] [--clients 4] [--data postgres://…] [--bin target/release]

A repository with one release, `kuzflow serve --data`, and clients that send batches of 64 reports
over connections that stay open; each batch is durable before its answer. An update has nine
reports, as launchers send them: nine in ten updates come up, the others fail or go back. Reports
a second a core are reports by the seconds that the server's process ran, so the clients' own work
does not count; beside it stand the wall clock's rate and the time of a batch. At the end each
report that was acknowledged is in `kuzflow stats`, once.
"""

import argparse
import http.client
import json
import multiprocessing
import os
import pathlib
import random
import statistics
import subprocess
import tempfile
import time

BATCH = 64
REGIONS = ("Asia-Pacific", "Europe", "Americas", "Global")
PLATFORMS = ("Windows_AMD64", "Linux_x86_64", "Darwin_arm64")


def run(*command):
    return subprocess.run(
        [str(part) for part in command], check=True, text=True, capture_output=True
    )


def publish(folder, kuzflow):
    """A repository with one release, so that reports about its app are counted."""
    app, package, publisher = folder / "app", folder / "sample.kuzflow", folder / "publisher"
    app.mkdir()
    (app / "run.sh").write_text("#!/bin/sh\n")
    (app / "run.sh").chmod(0o755)
    run(
        kuzflow,
        "init",
        publisher,
        "--app",
        "sample",
        "--display-name",
        "Sample",
        "--node",
        "http://127.0.0.1:9/",
    )
    run(
        kuzflow,
        "build",
        "--app",
        app,
        "--name",
        "sample",
        "--app-version",
        "1.0.0",
        "--entry",
        "exe:run.sh",
        "--runtime",
        "none",
        "--display-name",
        "Sample",
        "--level",
        "1",
        "--out",
        package,
    )
    run(kuzflow, "publish", package, "--repo", publisher, "--no-patches")
    return publisher


def update(source, now):
    """The reports of one update."""

    def digits():
        return f"{source.getrandbits(128):032x}"

    region = source.choice(REGIONS)
    common = {
        "installation": digits(),
        "update": digits(),
        "at": now,
        "app": "sample",
        "channel": "stable",
        "platform": source.choice(PLATFORMS),
        "from": f"1.{source.randrange(8)}.0",
        "to": "1.9.0",
        "launcher": "0.1.0",
        "region": region,
        "way": "patches",
    }
    size = source.randrange(100_000, 9_000_000)
    fetched = {
        "bytes": size,
        "full_bytes": 90_000_000,
        "milliseconds": size // 2000,
        "nodes": [{"node": f"{region}-{number}", "bytes": size // 3} for number in range(3)],
    }
    end = source.choices(("up", "rolled_back", "failed"), (90, 2, 8))[0]
    more = {"rolled_back": {"reason": "crashed"}, "failed": {"problem": "disk_full"}}
    for kind in (
        "offered",
        "started",
        "fetched",
        "installed",
        "switched",
        end,
        "active",
        "active",
        "active",
    ):
        yield {
            **common,
            "id": digits(),
            "kind": kind,
            **(fetched if kind == "fetched" else {}),
            **more.get(kind, {}),
        }


def client(address, seed, seconds, ready, answers):
    """Sends batches until the time is over; says how many reports were taken, and the times."""
    source, now, bodies = random.Random(seed), int(time.time()), []
    waiting = []
    # Made before, so that making them costs nothing while the server is measured.
    for _ in range(400 * seconds):
        while len(waiting) < BATCH:
            waiting.extend(update(source, now))
        bodies.append(json.dumps({"reports": waiting[:BATCH], "dropped": 0}))
        del waiting[:BATCH]
    ready.wait()
    connection, taken, times, end = (
        http.client.HTTPConnection(address, timeout=60),
        0,
        [],
        time.monotonic() + seconds,
    )
    for body in bodies:
        began = time.monotonic()
        if began >= end:
            break
        connection.request("POST", "/api/reports", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status == 200:
            taken += json.loads(text)["accepted"]
            times.append(time.monotonic() - began)
    answers.put((taken, times))


def processor_seconds(process):
    fields = pathlib.Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(folder, kuzflow, place, clients, seconds):
    publisher = publish(folder, kuzflow)
    server = subprocess.Popen(
        [
            kuzflow,
            "serve",
            "--repo",
            publisher,
            "--listen",
            "127.0.0.1:0",
            "--data",
            place,
            "--json",
            "--health-interval",
            "0",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        address = json.loads(server.stdout.readline())["address"]
        ready, answers = multiprocessing.Barrier(clients + 1), multiprocessing.Queue()
        seed = random.randrange(1 << 30)
        senders = [
            multiprocessing.Process(
                target=client, args=(address, seed + number, seconds, ready, answers)
            )
            for number in range(clients)
        ]
        for sender in senders:
            sender.start()
        ready.wait()
        before, began = processor_seconds(server.pid), time.monotonic()
        results = [answers.get() for _ in senders]
        took, used = time.monotonic() - began, processor_seconds(server.pid) - before
        for sender in senders:
            sender.join()
    finally:
        server.terminate()
        server.wait()
    taken = sum(count for count, _ in results)
    times = sorted(span for _, spans in results for span in spans)
    print(f"{taken} reports in {took:.1f} s: {taken / took:.0f} a second")
    print(f"{taken / used:.0f} a second a core ({used:.1f} s of processor)")
    middle, slow = statistics.median(times) * 1000, times[int(len(times) * 0.99)] * 1000
    print(f"a batch of {BATCH}: median {middle:.0f} ms, 99 of 100 within {slow:.0f} ms")
    counted = json.loads(run(kuzflow, "stats", "--data", place, "--json").stdout.splitlines()[-1])[
        "result"
    ]["statistics"]
    there = sum(row["n"] for row in counted["outcomes"])
    assert there == taken, f"{taken} were acknowledged, {there} are counted"
    load, cores = os.getloadavg()[0], os.cpu_count()
    print(f"counted: {there}; load of this computer: {load:.1f} on {cores} cores")


def main():
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--seconds", type=int, default=20)
    arguments.add_argument("--clients", type=int, default=4)
    arguments.add_argument("--data", help="a new PostgreSQL database in place of a folder")
    arguments.add_argument("--bin", type=pathlib.Path, default=pathlib.Path("target/release"))
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="kuzflow-reports-") as name:
        folder = pathlib.Path(name)
        measure(
            folder,
            (given.bin / "kuzflow").resolve(),
            given.data or folder / "data",
            given.clients,
            given.seconds,
        )


if __name__ == "__main__":
    main()
