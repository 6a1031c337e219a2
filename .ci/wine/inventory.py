"""Which tests there are, which of them are not expected to pass under Wine, and what differs."""

import re
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Set

# The name of a test follows its attributes.
TEST = re.compile(r"#\[(?:tokio::)?test(?:\([^\]]*\))?\]\s*(?:#\[[^\]]*\]\s*)*(?:async )?fn (\w+)")
# `passed` is a test that ran; `passed over` one that found out that something it needs is missing.
PASSED, PASSED_OVER, FAILED = "passed", "passed over", "failed"


class Source(NamedTuple):
    """A test in the sources. Modules inside of a file are unknown, so its path may be longer."""

    program: str
    module: str
    function: str

    def is_same(self, test: str) -> bool:
        """Whether a program means this test by the name that it prints."""
        is_named = test == self.function or test.endswith("::" + self.function)
        return is_named and test.startswith(self.module)

    @property
    def name(self) -> str:
        return f"{self.module}::{self.function}" if self.module else self.function


class Exemption(NamedTuple):
    """A line of `not-run`: the program, a test or a module (`name::`, `*` is all), and why.

    The module of a test is that of its file; the name that a program prints may have more.
    """

    program: str
    test: str
    reason: str

    def covers(self, program: str, test: str) -> bool:
        if self.program != program:
            return False
        if self.test == "*":
            return True
        if self.test.endswith("::"):
            return test.startswith(self.test)
        module, _, function = self.test.rpartition("::")
        return Source(self.program, module, function).is_same(test)


def exemptions(text: str) -> List[Exemption]:
    lines = (line.split(None, 2) for line in text.splitlines() if line and line[0] != "#")
    return [Exemption(*fields) for fields in lines]


def sources(program: str, main: Path) -> Iterator[Source]:
    """The tests of a program whose first source file is `main`."""
    if main.stem not in ("main", "lib"):
        files, folder = [main], main.parent
    else:
        files, folder = sorted(main.parent.rglob("*.rs")), main.parent
    for file in files:
        parts = list(file.relative_to(folder).with_suffix("").parts)
        if file == main or parts[-1] == "mod":
            parts.pop()
        for function in TEST.findall(file.read_text(encoding="utf-8")):
            yield Source(program, "::".join(parts), function)


def differences(
    found: List[Source], results: Dict[str, Dict[str, str]], exempt: List[Exemption]
) -> List[str]:
    """What is wrong. `results` has the result of each test of each program that ran."""
    wrong: List[str] = []
    needed: Set[Exemption] = set()

    def explain(program: str, test: str, what: str) -> None:
        covering = [line for line in exempt if line.covers(program, test)]
        needed.update(covering)
        if not covering:
            wrong.append(f"{program} {test}: {what}")

    for program, tests in results.items():
        for test, result in tests.items():
            if result == FAILED:
                wrong.append(f"{program} {test}: failed")
            elif result == PASSED_OVER:
                explain(program, test, "passed over, without a reason in not-run")
    for source in found:
        tests = results.get(source.program, {})
        if not any(source.is_same(test) for test in tests):
            explain(source.program, source.name, "did not run, without a reason in not-run")
    wrong.extend(
        f"{line.program} {line.test}: not-run names it, and nothing needs that line"
        for line in exempt
        if line not in needed
    )
    return wrong


def table(
    found: List[Source], results: Dict[str, Dict[str, str]], exempt: List[Exemption]
) -> Iterator[str]:
    """A line for each module of each program, and below it the reasons for what did not run."""
    modules = sorted({(source.program, source.module.split("::")[0]) for source in found})
    for program, module in modules:
        here = [
            source
            for source in found
            if source.program == program and source.module.split("::")[0] == module
        ]
        ran = results.get(program, {})
        counts = {PASSED: 0, PASSED_OVER: 0, FAILED: 0, "not run": 0}
        reasons: Set[str] = set()
        for source in here:
            result = next((ran[test] for test in ran if source.is_same(test)), "not run")
            counts[result] += 1
            if result != PASSED:
                covering = (line for line in exempt if line.covers(program, source.name))
                reasons.update(line.reason for line in covering)
        numbers = ", ".join(f"{count} {result}" for result, count in counts.items() if count)
        yield f"{program} {module}: {numbers}".replace(" :", ":")
        yield from (f"    {reason}" for reason in sorted(reasons))
