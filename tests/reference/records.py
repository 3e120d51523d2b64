#!/usr/bin/env python3
"""A second maker of the worked example of section 3 of docs/storage-format.md, from that document alone.

    tests/reference/records.py                          prints it
    tests/reference/records.py docs/storage-format.md   fails unless the document shows the same
"""
import struct
import sys

from keys import Signer, checkpoint
from worked import main, sha256


def run(first, size=32):
    return bytes((first + i) % 256 for i in range(size))


def u8(value):
    return bytes([value])


def u32(value):
    return struct.pack(">I", value)


def u64(value):
    return struct.pack(">Q", value)


def text(value):
    encoded = value.encode()
    return u32(len(encoded)) + encoded


def listed(values):
    return u32(len(values)) + b"".join(values)


def in_domain(domain, data):
    return sha256(u8(len(domain)) + domain + data)


NONE = u8(0)


def some(value):
    return u8(1) + value


def leaf(entry):
    return sha256(u8(0) + entry)


if __name__ == "__main__":
    library, node, incarnation, document, person = run(0xA0, 16), run(0x50, 16), run(0x10, 16), run(0x30, 16), run(0xC0, 16)
    time_ms = 1_700_000_000_000
    path = (document, u8(0), u8(1) + text("bridge/plan.pdf"), listed([]), u32(0))
    content = (document, u8(1), u8(2) + u8(0) + run(0x80) + u8(0), listed([run(0x01, 16)]), u32(0))
    operations = [b"".join(path) + text("") + NONE + NONE,
                  b"".join(content) + text("bridge/plan.pdf") + NONE + some(run(0x40) + u64(1234))]
    record = (u8(1) + library + u64(time_ms << 16) + node + person + text("engineer") + u64(7) + text("Osaka Tani") + text("drawn anew") + NONE +
              listed(operations))
    signer = Signer(run(0x00))
    signed = run(0x60) + u32(len(record)) + record + u32(0) + signer.sign(b"dozo record 1", record)
    commitment = in_domain(b"dozo commitment 1", signed)
    entry = (u8(1) + u8(0) + library + node + incarnation + u64(3) + u64(7) + u32(2) + struct.pack(">q", time_ms) + struct.pack(">H", 1) + u64(1_700_000_000) +
             commitment + u8(0) + listed([run(0x20) + u32(512) + u8(0)]) + listed([]) + u32(0))
    sys.exit(main({
        "record": record, "record id": in_domain(b"dozo record 1", record),
        "version id, path": in_domain(b"dozo version 1", b"".join(path))[:16], "version id, content": in_domain(b"dozo version 1", b"".join(content))[:16],
        "record's signature": signed[-64:], "record's commitment": commitment, "entry": entry, "entry's leaf": leaf(entry),
        "head of it alone": checkpoint(signer, f"dozo/feed/1/{library.hex()}/{node.hex()}/{incarnation.hex()}", 1, leaf(entry)),
    }))
