"""Runs the test programs under Wine, and accounts for every test in the sources.

    python3 .ci/wine/run.py MESSAGES FOLDER [WORD…]

MESSAGES is what `cargo test --no-run --message-format=json` wrote. The output of each program and
the table of all modules go to FOLDER. With words only the tests run whose names contain one of
them or whose program is one of them, also a test of `not-run` whose name is one of them, and
nothing is compared.

Every test in the sources has to run and pass, or has a line in `not-run` that says why it does not.
A test that passes since it finds out that its tools are missing needs a line as well, and a line
that nothing needs is an error. So no test is left out without a word. Nothing is tried twice, but
for a test in which Wine itself could not begin a process.

The tests of a program run in batches, two at a time, each on a Windows of its own.
"""

import json
import queue
import re
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Tuple

from installation import Installation
from inventory import (
    FAILED,
    PASSED,
    PASSED_OVER,
    Exemption,
    Source,
    differences,
    exemptions,
    sources,
    table,
)

HERE = Path(__file__).resolve().parent
# The longest run of one batch, seconds. Some take five minutes on two cores, and wait for minutes
# before they fail.
LIMIT = 900
# With more, programs that wait for seconds wait in vain on two cores.
INSTALLATIONS, THREADS = 2, "2"
# Each batch starts its program anew, and one that hangs costs the results of its tests.
BATCH = 30
RESULT = re.compile(r"^test (\S+)(?: - should panic)? \.\.\. (\w+)", re.M)
# With `--show-output` the output of each test follows at the end, under its name.
OUTPUT = re.compile(r"^---- (\S+) stdout ----\n(.*?)(?=^---- |^\w+:$|\Z)", re.M | re.S)

# How Rust names Wine's answer when a new process has ended before it had begun, which a program of
# ours cannot cause. It hits one start of some ten thousand.
NO_PROCESS = 'Os { code: 1359, kind: Uncategorized, message: "Internal error." }'


class Program(NamedTuple):
    """A built test program: cargo's name, the folder in which cargo would start it, its file."""

    name: str
    folder: Path
    file: str


def built(messages: Path) -> Iterator[Program]:
    for line in messages.read_text(encoding="utf-8").splitlines():
        message = json.loads(line)
        if message.get("executable") and message["profile"]["test"]:
            folder = Path(message["manifest_path"]).parent
            yield Program(message["target"]["name"], folder, message["executable"])


def in_sources() -> List[Source]:
    """The tests of every program of the workspace, also of those that are not built for Windows."""
    output = subprocess.run(
        ["cargo", "metadata", "--no-deps", "--locked", "--format-version", "1"],
        check=True,
        capture_output=True,
    ).stdout
    packages = json.loads(output)["packages"]
    targets = (target for package in packages for target in package["targets"])
    found: List[Source] = []
    for target in targets:
        if {"lib", "test"} & set(target["kind"]):
            tests = list(sources(target["name"], Path(target["src_path"])))
            # A program with a harness of its own.
            found += tests or [Source(target["name"], "", "main")]
    return found


def listed(program: Program, installation: Installation) -> List[str]:
    output = installation.output([program.file, "--list", "--format", "terse"])
    return [line.rsplit(":", 1)[0] for line in output.splitlines() if line.endswith(": test")]


def results(log: str) -> Dict[str, str]:
    """The result of each test in a program's output."""
    found = {test: PASSED if result == "ok" else FAILED for test, result in RESULT.findall(log)}
    for test, output in OUTPUT.findall(log):
        if output.startswith(PASSED_OVER + ":") and found.get(test) == PASSED:
            found[test] = PASSED_OVER
    return found


def not_begun(log: str) -> List[str]:
    """The failed tests in which Wine could not begin a process."""
    failed = results(log)
    return [
        test
        for test, output in OUTPUT.findall(log)
        if NO_PROCESS in output and failed.get(test) == FAILED
    ]


class Batch(NamedTuple):
    """Some tests of a program, which run in one process."""

    program: Program
    number: int
    tests: List[str]

    def run(self, installation: Installation, folder: Path) -> Dict[str, str]:
        """The results of those tests that came to their end."""
        text, found = self.once(installation, folder, self.tests, "")
        again = not_begun(text)
        if again:
            print("-- Wine could not begin a process in these, once more:", *again, flush=True)
            found.update(self.once(installation, folder, again, "-again")[1])
        return found

    def once(
        self, installation: Installation, folder: Path, tests: List[str], suffix: str
    ) -> Tuple[str, Dict[str, str]]:
        """What the program printed, and the results in it."""
        began = time.monotonic()
        log = folder / f"{self.program.name}-{self.number}{suffix}.log"
        options = ["--test-threads", THREADS, "--show-output", "--exact"]
        installation.run([self.program.file, *options, *tests], self.program.folder, log, LIMIT)
        text = log.read_text(encoding="utf-8", errors="replace")
        found = results(text)
        counts = {result: list(found.values()).count(result) for result in set(found.values())}
        parts = f"-- {self.program.name}, {tests[0]} to {tests[-1]}: {counts}"
        print(f"{parts}, {time.monotonic() - began:.0f} s", flush=True)
        if FAILED in found.values() or len(found) < len(tests):
            failures = text.find("\nfailures:\n")
            print(text[failures:] if failures >= 0 else text[-3000:], flush=True)
        return text, found


def batches(programs: List[Program], chosen: Dict[str, List[str]]) -> Iterator[Batch]:
    """The batches of all programs, the slow program first: none of its batches then begins last."""
    for program in sorted(programs, key=lambda program: program.name != "it"):
        tests = chosen[program.name]
        for start in range(0, len(tests), BATCH):
            yield Batch(program, start // BATCH, tests[start : start + BATCH])


def run_all(
    every: List[Batch], installations: List[Installation], folder: Path
) -> Dict[str, Dict[str, str]]:
    """The results of each program's tests. A test without one has not come to its end."""
    waiting: queue.SimpleQueue[Batch] = queue.SimpleQueue()
    found: Dict[str, Dict[str, str]] = {batch.program.name: {} for batch in every}
    for batch in every:
        waiting.put(batch)

    def work(installation: Installation) -> None:
        while True:
            try:
                batch = waiting.get_nowait()
            except queue.Empty:
                return
            found[batch.program.name].update(batch.run(installation, folder))

    workers = [
        threading.Thread(target=work, args=(installation,)) for installation in installations
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return found


def chosen(
    programs: List[Program], installation: Installation, words: List[str], exempt: List[Exemption]
) -> Dict[str, List[str]]:
    """The tests to run: all without an exemption; with words those of them whose names have one or
    whose program is one, and those whose names are one of the words."""
    tests = {program.name: listed(program, installation) for program in programs}
    if words:
        return {
            name: [
                test
                for test in tests[name]
                if test in words
                or (name in words or any(word in test for word in words))
                and not any(line.covers(name, test) for line in exempt)
            ]
            for name in tests
        }
    return {
        name: [test for test in tests[name] if not any(line.covers(name, test) for line in exempt)]
        for name in tests
    }


def main() -> int:
    # Wine wants whole paths.
    messages, folder, words = Path(sys.argv[1]), Path(sys.argv[2]).resolve(), sys.argv[3:]
    exempt = exemptions((HERE / "not-run").read_text(encoding="utf-8"))
    whole = {line.program for line in exempt if line.test == "*"}
    programs = [program for program in built(messages) if program.name not in whole]
    shim = folder / "bcryptprimitives.dll"
    with ExitStack() as stack:
        installations = [
            stack.enter_context(Installation(folder / f"prefix-{number}", shim))
            for number in range(INSTALLATIONS)
        ]
        tests = chosen(programs, installations[0], words, exempt)
        all_results = run_all(list(batches(programs, tests)), installations, folder)
    wrong = [
        f"{name} {test}: did not come to its end"
        for name in tests
        for test in tests[name]
        if test not in all_results.get(name, {})
    ]
    if words:
        for name, found in all_results.items():
            wrong.extend(f"{name} {test}: failed" for test in found if found[test] == FAILED)
    else:
        wrong.extend(compared(folder, all_results, exempt))
    if wrong:
        print("wrong under Wine:", *wrong, sep="\n  ")
    return 1 if wrong else 0


def compared(
    folder: Path, all_results: Dict[str, Dict[str, str]], exempt: List[Exemption]
) -> List[str]:
    """Writes the table of all modules, and returns what is wrong."""
    found = in_sources()
    lines = list(table(found, all_results, exempt))
    (folder / "table").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    return differences(found, all_results, exempt)


if __name__ == "__main__":
    sys.exit(main())
