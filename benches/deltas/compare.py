#!/usr/bin/env python3
"""Compares update methods on two folders of any application: bytes to fetch, time and memory to make and to apply an update.

    benches/deltas/compare.py OLD NEW [--methods zip,zstd,...] [--json FILE] [--kuzflow PATH] [--limit SECONDS] [--slow]

Prints one Markdown table. Every method runs in processes of its own, one at a time; every result is compared with NEW. A method
whose program or Python package is missing is named below the table. With --json the rows are kept in FILE, and the rows that FILE holds
already for these two folders are shown as well, so that methods can be run one by one. See README.md beside this file.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import methods

HERE = pathlib.Path(__file__).resolve().parent
LARGE = 300_000_000  # bytes in the new folder above which a slow method needs --slow


class Step:
    """One step of a method in a child process: its answer, or why it has none, and what it took with all its own children."""

    def __init__(self, step: str, name: str, job: pathlib.Path, limit: float):
        self.error, self.answer = None, {}
        output = (job / "output").open("w+b")
        errors = (job / "errors").open("w+b")
        started = time.monotonic()
        child = subprocess.Popen([sys.executable, str(HERE / "methods.py"), step, name, str(job)], stdin=subprocess.DEVNULL,
                                 stdout=output, stderr=errors, start_new_session=True)
        stop = threading.Timer(limit, lambda: os.killpg(child.pid, signal.SIGKILL))
        stop.start()
        _, status, usage = os.wait4(child.pid, 0)
        stop.cancel()
        child.returncode = os.waitstatus_to_exitcode(status)
        self.wall = time.monotonic() - started
        self.cpu = usage.ru_utime + usage.ru_stime
        self.memory = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)  # bytes; the largest process, not the sum
        output.seek(0)
        errors.seek(0)
        lines = output.read().decode().splitlines()
        if child.returncode == -signal.SIGKILL and self.wall >= limit:
            self.error = f"{step}: more than {limit:.0f} s"
        elif child.returncode or not lines:
            self.error = f"{step}: " + (errors.read().decode(errors="replace").strip().splitlines() or [f"status {child.returncode}"])[-1]
        else:
            self.answer = json.loads(lines[-1])
        output.close()
        errors.close()

    def cost(self) -> dict:
        return {"cpu": round(self.cpu, 3), "wall": round(self.wall, 3), "memory": self.memory}


def measure(name: str, job: pathlib.Path, limit: float) -> dict:
    """One row of the table."""
    method = methods.METHODS[name]
    row = {"label": method.label, "note": method.note}
    for leftover in ("wire", "out", "work"):
        shutil.rmtree(job / leftover, ignore_errors=True)
    if method.prepare and (error := Step("prepare", name, job, limit).error):
        return row | {"error": error}
    made = Step("make", name, job, limit)
    if made.error:
        return row | {"error": made.error, "make": made.cost()}
    row |= made.answer | {"make": made.cost()}
    applied = Step("apply", name, job, limit)
    row |= applied.answer | {"apply": applied.cost()}
    if applied.error:
        return row | {"error": applied.error}
    verified = Step("verify", name, job, limit)
    return row | (verified.answer if not verified.error else {"error": verified.error})


def smallest_per_file(rows: dict) -> dict | None:
    """What a publisher gets who keeps the smallest of bsdiff4, zstd and xz for each file; from the sizes measured already."""
    if not all("sizes" in rows.get(name, {}) for name in ("bsdiff4", "zstd")):
        return None
    wire = sum(min(rows[name]["sizes"][path] for name in ("bsdiff4", "zstd")) for path in rows["zstd"]["sizes"])
    return {"label": "per file, smallest of bsdiff4, zstd and xz", "wire": wire, "note": f"by sum of sizes; {methods.NEEDS_LIST}"}


def table(state: dict) -> str:
    facts, rows = state["facts"], dict(state["rows"])
    best = smallest_per_file(rows)
    lines = [f"{facts['old_files']:,} files, {facts['old_bytes']:,} bytes -> {facts['new_files']:,} files, {facts['new_bytes']:,} bytes; "
             f"{facts['changed']:,} changed ({facts['changed_bytes']:,} bytes), {facts['added']:,} added ({facts['added_bytes']:,} bytes), "
             f"{facts['removed']:,} removed.", "",
             "| method | bytes to fetch | make: CPU s | wall s | MiB | apply: CPU s | wall s | MiB | right | note |",
             "|---|--:|--:|--:|--:|--:|--:|--:|---|---|"]
    for name in methods.METHODS:
        if name in rows:
            lines.append(line(rows[name]))
        if name == "zstd-long" and best:
            lines.append(line(best))
    return "\n".join(lines)


def line(row: dict) -> str:
    cells = [row["label"], f"{row['wire']:,}" if row.get("wire") is not None else "-"]
    for step in ("make", "apply"):
        cost = row.get(step) if row.get("wire") is not None or step == "apply" else None
        cells += [f"{cost['cpu']:.2f}", f"{cost['wall']:.2f}", f"{cost['memory'] / 2**20:.0f}"] if cost else ["-"] * 3
    right = {True: "yes", False: "NO", None: "-"}[row.get("right")]
    return "| " + " | ".join([*cells, right, row.get("error") or row.get("note", "")]) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=pathlib.Path)
    parser.add_argument("new", type=pathlib.Path)
    parser.add_argument("--methods", help=f"of {','.join(methods.METHODS)}; all without it")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="keep the rows here")
    parser.add_argument("--kuzflow", default=str(HERE.parent.parent / "target/release/kuzflow"), metavar="PATH")
    parser.add_argument("--app-builder", default="app-builder", metavar="PATH", help="the program of the npm package app-builder-bin")
    parser.add_argument("--limit", type=float, default=1800.0, metavar="SECONDS", help="for each step of a method")
    parser.add_argument("--slow", action="store_true", help=f"also the methods that need gigabytes for folders above {LARGE // 10**6} MB")
    parser.add_argument("--work", type=pathlib.Path, metavar="FOLDER", help="where to put tars, patches and results (several times NEW)")
    options = parser.parse_args()
    names = options.methods.split(",") if options.methods else list(methods.METHODS)
    if unknown := [name for name in names if name not in methods.METHODS]:
        parser.error(f"no method {', '.join(unknown)}")
    for side in (options.old, options.new):
        if not side.is_dir():
            parser.error(f"{side} is not a folder")
    old, new = options.old.resolve(), options.new.resolve()
    tools = {"kuzflow": options.kuzflow, "app-builder": options.app_builder}
    state = {"old": str(old), "new": str(new), "rows": {}}
    if options.json and options.json.exists():
        before = json.loads(options.json.read_text())
        if (before["old"], before["new"]) != (str(old), str(new)):
            sys.exit(f"{options.json} is about other folders: {before['old']}, {before['new']}")
        state = before
    job = pathlib.Path(tempfile.mkdtemp(prefix="deltas-", dir=options.work))
    skipped = []
    try:
        (job / "job.json").write_text(json.dumps({"old": str(old), "new": str(new), "tools": tools}))
        listed = Step("list", "", job, options.limit)
        if listed.error:
            sys.exit(listed.error)
        state["facts"] = listed.answer
        for name in names:
            method = methods.METHODS[name]
            if missing := method.missing(tools):
                skipped.append(f"{name}: skipped, there is no {' and no '.join(missing)}")
            elif method.slow and state["facts"]["new_bytes"] > LARGE and not options.slow:
                skipped.append(f"{name}: skipped, it needs gigabytes and minutes for a folder of this size; ask with --slow")
            else:
                state["rows"][name] = measure(name, job, options.limit)
                print(line(state["rows"][name]), file=sys.stderr, flush=True)
                if options.json:
                    options.json.write_text(json.dumps(state, indent=1))
    finally:
        shutil.rmtree(job)
    print(table(state))
    for reason in skipped:
        print(reason)


if __name__ == "__main__":
    main()
