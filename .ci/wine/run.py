"""Runs the test programs under Wine, and accounts for every test in the sources.

    python3 .ci/wine/run.py MESSAGES FOLDER [WORD…]

MESSAGES is what `cargo test --no-run --message-format=json` wrote. The output of each program and
the table of all modules go to FOLDER. With words only the tests run whose names contain one of
them, and nothing is compared.

Every test in the sources has to run and pass, or has a line in `not-run` that says why it does not.
A test that passes since it finds out that its tools are missing needs a line as well, and a line
that nothing needs is an error. So no test is left out without a word. Nothing is tried twice.
"""

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Tuple

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
# The longest run of one program, seconds. Some tests wait for minutes before they fail.
LIMIT = 1500
THREADS = "3"
RESULT = re.compile(r"^test (\S+)(?: - should panic)? \.\.\. (\w+)", re.M)
# With `--show-output` the output of each test follows at the end, under its name.
OUTPUT = re.compile(r"^---- (\S+) stdout ----\n(.*?)(?=^---- |^\w+:$|\Z)", re.M | re.S)


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


def listed(program: Program) -> List[str]:
    output = subprocess.run(
        ["wine", program.file, "--list", "--format", "terse"],
        check=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
    ).stdout.decode()
    return [line.rsplit(":", 1)[0] for line in output.splitlines() if line.endswith(": test")]


def results(log: str) -> Dict[str, str]:
    """The result of each test in a program's output."""
    found = {test: PASSED if result == "ok" else FAILED for test, result in RESULT.findall(log)}
    for test, output in OUTPUT.findall(log):
        if output.startswith(PASSED_OVER + ":") and found.get(test) == PASSED:
            found[test] = PASSED_OVER
    return found


def run(program: Program, arguments: List[str], log: Path) -> Tuple[Dict[str, str], bool]:
    """Runs a program. Returns its tests' results, and whether it came to its end."""
    command = ["wine", program.file, "--test-threads", THREADS, "--show-output", *arguments]
    with log.open("wb") as output:
        child = subprocess.Popen(
            command,
            cwd=program.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            child.wait(LIMIT)
        except subprocess.TimeoutExpired:
            child.kill()
    text = log.read_text(encoding="utf-8", errors="replace")
    # Wine's own status proves nothing: it may be 0 where a program could not start.
    return results(text), re.search(r"^test result: ", text, re.M) is not None


def show_failures(log: Path) -> None:
    text = log.read_text(encoding="utf-8", errors="replace")
    failures = text.find("\nfailures:\n")
    print(text[failures:] if failures >= 0 else text[-3000:])


def main() -> int:
    messages, folder, words = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    exempt = exemptions((HERE / "not-run").read_text(encoding="utf-8"))
    all_results: Dict[str, Dict[str, str]] = {}
    wrong: List[str] = []
    for program in built(messages):
        if any(line.test == "*" and line.program == program.name for line in exempt):
            continue
        print(f"== {program.name} under Wine", flush=True)
        tests = listed(program)
        left_out = [] if words else skipped(program, tests, exempt)
        arguments = words or ["--exact", *(part for test in left_out for part in ("--skip", test))]
        began, log = time.monotonic(), folder / f"{program.name}.log"
        found, has_ended = run(program, arguments, log)
        all_results[program.name] = found
        counts = {result: list(found.values()).count(result) for result in set(found.values())}
        print(f"-- {program.name}: {counts}, {time.monotonic() - began:.0f} s", flush=True)
        if not has_ended:
            missing = [test for test in tests if test not in found and test not in left_out]
            wrong.append(f"{program.name} did not come to its end; without a result: {missing}")
        if FAILED in found.values() or not has_ended:
            show_failures(log)
    found_in_sources = in_sources()
    if words:
        for name, found in all_results.items():
            wrong.extend(f"{name} {test}" for test in found if found[test] == FAILED)
    else:
        lines = list(table(found_in_sources, all_results, exempt))
        (folder / "table").write_text("\n".join(lines) + "\n", encoding="utf-8")
        print("\n".join(lines))
        wrong.extend(differences(found_in_sources, all_results, exempt))
    if wrong:
        print("wrong under Wine:", *wrong, sep="\n  ")
    return 1 if wrong else 0


def skipped(program: Program, tests: List[str], exempt: List[Exemption]) -> List[str]:
    return [test for test in tests if any(line.covers(program.name, test) for line in exempt)]


if __name__ == "__main__":
    sys.exit(main())
