"""Worked examples of the format documents: prints them, or checks that a document has them.

A document shows an example in a fenced block as lines `name  value`, at least two blanks between; lines that begin with a blank, and
empty ones, go on with the value.
"""
import hashlib
import hmac
import sys


def expand(prk, info, size):
    """HKDF-Expand of RFC 5869 with SHA-256."""
    out = last = b""
    counter = 1
    while len(out) < size:
        last = hmac.new(prk, last + info + bytes([counter]), "sha256").digest()
        out += last
        counter += 1
    return out[:size]


def extract(salt, key):
    """HKDF-Extract of RFC 5869 with SHA-256."""
    return hmac.new(salt, key, "sha256").digest()


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def documented(path):
    """Every example of a document: name -> list of lines."""
    found, inside, name = {}, False, None
    for line in open(path, encoding="utf-8").read().splitlines():
        if line.startswith("```"):
            inside, name = not inside, None
        elif inside and name and (not line or line.startswith(" ")):
            found[name].append(line.strip())
        elif inside and "  " in line:
            name, value = line.split("  ", 1)
            found[name] = [value.strip()]
    return found


def lines_of(value, width=64):
    """A long value in lines; text keeps its own."""
    if isinstance(value, str):
        return value.splitlines()
    text = value.hex()
    return [text[at:at + width] for at in range(0, len(text), width)]


def main(examples):
    """`examples`: name -> bytes (shown in hex) or text. With a path: fails unless the document shows the same."""
    if len(sys.argv) < 2:
        for name, value in examples.items():
            lines = lines_of(value)
            print(f"{name:<20}  {lines[0]}")
            for line in lines[1:]:
                print(" " * 22 + line if line else "")
        return 0
    shown, wrong = documented(sys.argv[1]), 0
    for name, value in examples.items():
        if shown.get(name) != lines_of(value):
            print(f"{sys.argv[1]}: '{name}' is shown as {shown.get(name)}, and is {lines_of(value)}")
            wrong += 1
    print(f"{len(examples)} examples, {wrong} differ")
    return 1 if wrong else 0
