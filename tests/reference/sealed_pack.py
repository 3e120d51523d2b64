#!/usr/bin/env python3
"""A second maker of sealed packs, from docs/storage-format.md section 1 alone, with nothing but Python's standard library.

    tests/reference/sealed_pack.py                          prints the worked example
    tests/reference/sealed_pack.py docs/storage-format.md   fails unless the document shows the same
"""
import hmac
import struct
import sys

from worked import expand, extract, main, sha256

HEADER, TAG, LEAST, BULK = 96, 16, 512, (1 << 20) - 16


def chacha20_block(key, counter, nonce):
    state = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574, *struct.unpack("<8I", key), counter, *struct.unpack("<3I", nonce)]
    x = list(state)

    def quarter(a, b, c, d):
        for p, q, r, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            x[p] = (x[p] + x[q]) & 0xFFFFFFFF
            x[r] ^= x[p]
            x[r] = (x[r] << turn | x[r] >> (32 - turn)) & 0xFFFFFFFF

    for _ in range(10):
        for column in range(4):
            quarter(column, column + 4, column + 8, column + 12)
        for a, b, c, d in ((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
            quarter(a, b, c, d)
    return struct.pack("<16I", *((p + q) & 0xFFFFFFFF for p, q in zip(x, state)))


def chacha20(key, counter, nonce, text):
    out = bytearray()
    for at in range(0, len(text), 64):
        out += bytes(a ^ b for a, b in zip(text[at:at + 64], chacha20_block(key, counter + at // 64, nonce)))
    return bytes(out)


def poly1305(key, message):
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for at in range(0, len(message), 16):
        total = (total + int.from_bytes(message[at:at + 16] + b"\1", "little")) * r % ((1 << 130) - 5)
    return ((total + int.from_bytes(key[16:], "little")) % (1 << 128)).to_bytes(16, "little")


def tag_of(key, nonce, associated, ciphertext):
    def padded(run):
        return run + bytes(-len(run) % 16)

    return poly1305(chacha20_block(key, 0, nonce)[:32], padded(associated) + padded(ciphertext) + struct.pack("<QQ", len(associated), len(ciphertext)))


def padme(size):
    exponent = size.bit_length() - 1
    mask = (1 << (exponent - exponent.bit_length())) - 1
    return (size + mask) & ~mask


def whole_length(plain):
    return min(padme(max(LEAST, plain + 4 + HEADER + TAG)), BULK)


class Keys:
    def __init__(self, epoch_key, header_with_salt=None):
        self.prk = extract(b"dozo pack 1", epoch_key)
        self.salt_key = expand(self.prk, b"dozo pack 1 salt", 32)
        self.seal_key = expand(self.prk, b"dozo pack 1 seal", 32)
        if header_with_salt:
            once = expand(self.seal_key, b"dozo pack 1 once" + header_with_salt, 76)
            self.key, self.nonce, self.commitment = once[:32], once[32:44], once[44:]


def seal(epoch_key, kind, library, epoch, table, plain, random32):
    whole = whole_length(len(plain))
    body = (struct.pack(">I", len(plain)) + plain).ljust(whole - HEADER - TAG, b"\0")
    header = b"DOZP" + bytes([1, kind, 0, 0]) + library + struct.pack(">II", epoch, len(body))
    header += hmac.new(Keys(epoch_key).salt_key, random32 + sha256(table), "sha256").digest()
    keys = Keys(epoch_key, header)
    header += keys.commitment
    ciphertext = chacha20(keys.key, 1, keys.nonce, body)
    return header + ciphertext + tag_of(keys.key, keys.nonce, header, ciphertext)


def opened(epoch_key, library, sealed):
    """The plain bytes, or None."""
    if not LEAST <= len(sealed) <= BULK or sealed[:5] != b"DOZP\1" or sealed[5] > 1 or sealed[6:8] != b"\0\0" or sealed[8:24] != library:
        return None
    epoch, length = struct.unpack(">II", sealed[24:32])
    if epoch == 0 or length != len(sealed) - HEADER - TAG or (len(sealed) != BULK and padme(len(sealed)) != len(sealed)):
        return None
    keys = Keys(epoch_key, sealed[:64])
    if not hmac.compare_digest(keys.commitment, sealed[64:96]):
        return None
    if not hmac.compare_digest(tag_of(keys.key, keys.nonce, sealed[:HEADER], sealed[HEADER:-TAG]), sealed[-TAG:]):
        return None
    body = chacha20(keys.key, 1, keys.nonce, sealed[HEADER:-TAG])
    size = struct.unpack(">I", body[:4])[0]
    if size > len(body) - 4 or whole_length(size) != len(sealed) or any(body[4 + size:]):
        return None
    return body[4:4 + size]


def check_rfc8439():
    """RFC 8439 section 2.8.2."""
    key, nonce, associated = bytes(range(0x80, 0xA0)), bytes.fromhex("070000004041424344454647"), bytes.fromhex("50515253c0c1c2c3c4c5c6c7")
    text = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it."
    sealed = chacha20(key, 1, nonce, text)
    assert sealed[:16].hex() == "d31a8d34648e60db7b86afbc53ef7ec2"
    assert tag_of(key, nonce, associated, sealed).hex() == "1ae10b594f09e26a7e902ecbd0600691"


if __name__ == "__main__":
    check_rfc8439()
    epoch_key, library, plain = bytes(range(32)), bytes(range(0xA0, 0xB0)), b"table and The quick brown fox jumps over the lazy dog"
    pack = seal(epoch_key, 0, library, 1, b"table", plain, bytes([0x11]) * 32)
    assert opened(epoch_key, library, pack) == plain
    for place in range(0, len(pack), 7):
        assert opened(epoch_key, library, pack[:place] + bytes([pack[place] ^ 1]) + pack[place + 1:]) is None
    keys = Keys(epoch_key, pack[:64])
    sys.exit(main({
        "PRK": keys.prk, "K_salt": keys.salt_key, "K_seal": keys.seal_key, "key": keys.key, "nonce": keys.nonce,
        "header, 0 to 31": pack[:32], "salt": pack[32:64], "commitment": pack[64:96], "tag": pack[-16:],
        "address": sha256(pack), "whole pack": pack,
    }))
