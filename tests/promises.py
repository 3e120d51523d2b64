#!/usr/bin/env python3
"""Fails when docs/promises.md or docs/threat-model.md names a test that does not exist, or a promise names none."""
import os
import re
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
CASE = re.compile(r'(?:TEST_CASE|SCENARIO)(?:_FIXTURE|_TEMPLATE|_TEMPLATE_DEFINE)?\s*\([^"]*?"((?:[^"\\]|\\.)*)"')
NAMED = re.compile(r"(?:add_test\(NAME|dozo_test\()\s*(\w+)")


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def known():
    out = set()
    for folder, _, files in os.walk(os.path.join(ROOT, "tests")):
        for name in files:
            text = read(folder, name) if name.endswith((".cpp", ".h", ".txt")) else ""
            out.update(NAMED.findall(text) if name == "CMakeLists.txt" else CASE.findall(text))
    return out


def main():
    tests, wrong, rows = known(), [], 0
    for number, line in enumerate(read("docs", "promises.md").splitlines(), 1):
        cells = line.split("|")
        if len(cells) < 4 or cells[1].strip() in ("promise", "---"):
            continue
        rows += 1
        names = re.findall(r"`([^`]+)`", cells[2])
        if not names:
            wrong.append(f"docs/promises.md:{number}: a promise without a test: {cells[1].strip()}")
        wrong += [f"docs/promises.md:{number}: there is no test \"{it}\"" for it in names if it not in tests]
    # Names of tests in running text, which may go over the end of a line.
    for it in re.findall(r'"([a-z][a-z ]*: [^"]+)"', read("docs", "threat-model.md")):
        name = " ".join(it.split())
        if name not in tests:
            wrong.append(f"docs/threat-model.md: there is no test \"{name}\"")
    for it in wrong:
        print(it)
    print(f"{rows} promises, {len(tests)} tests, {len(wrong)} mistakes")
    return 1 if wrong or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
