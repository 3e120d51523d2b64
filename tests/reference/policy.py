#!/usr/bin/env python3
"""A second maker of the worked example in docs/policy.md, from that document alone.

    tests/reference/policy.py                   prints it
    tests/reference/policy.py docs/policy.md    fails unless the document shows the same
"""
import base64
import json
import sys

from keys import Signer
from worked import main, sha256


def lines(text, width=110):
    return "\n".join(text[at:at + width] for at in range(0, len(text), width))


def run(first, size=32):
    return bytes((first + i) % 256 for i in range(size))


if __name__ == "__main__":
    signer, begin = Signer(run(0x00)), 1_700_000_000
    payload = json.dumps({
        "format": 1, "realm": run(0xE0).hex(), "version": begin, "issued": begin, "expires": begin + 86400, "hq_time": begin,
        "snapshot": {"version": 7, "length": 1234, "sha256": run(0x80).hex()}}, separators=(",", ":"))
    message = b"freshness\nfreshness\n" + payload.encode()
    context = b"dozo document 1"
    envelope = json.dumps({
        "format": 1, "type": "freshness", "name": "freshness", "payload": base64.b64encode(payload.encode()).decode(),
        "sigs": [{"key": signer.public.hex(), "sig": base64.b64encode(signer.sign(context, message)).decode()}]}, separators=(",", ":"))
    sys.exit(main({
        "payload": lines(payload), "signed bytes": bytes([len(context)]) + context + message, "envelope": lines(envelope),
        "envelope sha256": sha256(envelope.encode())}))
