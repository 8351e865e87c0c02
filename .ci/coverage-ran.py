#!/usr/bin/env python3
"""Compares the tests that docs/COVERAGE.md names with the tests that the last `make test` ran.

    coverage-ran.py <junit.xml> <COVERAGE.md>

The tidy test asks whether a named test is there; this asks whether it ran and passed. Prints one line at the end.
"""

import sys
import xml.etree.ElementTree as xml


def named_tests(text):
    """The tests of every row below a heading `| promise | test |`: (line, test)."""
    inside = False
    for number, line in enumerate(text.splitlines(), start=1):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.lstrip().startswith("|"):
            inside = False
        elif cells == ["promise", "test"]:
            inside = True
        elif inside and set(line) - set("|-: "):
            for test in cells[-1].split(","):
                yield number, test.strip().strip("`")


def outcomes(path):
    """Every test of the run by its full name, `<package>::<binary>::<module path>::<test>`: True if it passed."""
    ran = {}
    for case in xml.parse(path).getroot().iter("testcase"):
        bad = any(case.find(tag) is not None for tag in ("failure", "error", "skipped"))
        ran[f"{case.get('classname')}::{case.get('name')}"] = not bad
    return ran


def main():
    junit, coverage = sys.argv[1:]
    try:
        ran = outcomes(junit)
        with open(coverage, encoding="utf-8") as file:
            rows = list(named_tests(file.read()))
    except FileNotFoundError as missing:
        print(f"coverage: there is no {missing.filename}")
        return 1
    faults = [] if rows else [f"{coverage}: no row below a heading `| promise | test |`"]
    for number, test in rows:
        hits = [name for name in ran if name.endswith("::" + test)]
        if not hits:
            faults.append(f"{coverage}:{number}: {test} did not run")
        elif not all(ran[name] for name in hits):
            faults.append(f"{coverage}:{number}: {test} ran and did not pass")
    for fault in faults:
        print(fault)
    print(f"coverage: {len(rows)} tests named, {len(faults)} faults")
    failed = sum(not passed for passed in ran.values())
    print(f"tests: {len(ran) - failed} passed, {failed} failed")
    return 1 if faults or failed or not ran else 0


if __name__ == "__main__":
    sys.exit(main())
