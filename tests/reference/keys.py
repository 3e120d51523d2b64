#!/usr/bin/env python3
"""A second maker of the worked examples in docs/keys.md, from that document alone: Python's standard library, and libsodium for its curves,
Argon2id and XChaCha20-Poly1305.

    tests/reference/keys.py                 prints them
    tests/reference/keys.py docs/keys.md    fails unless the document shows the same
"""
import base64
import ctypes
import hmac
import struct
import sys

from worked import expand, extract, main, sha256

sodium = ctypes.CDLL("libsodium.so.23")
assert sodium.sodium_init() >= 0


def size_of(run):
    return ctypes.c_ulonglong(len(run))


def u32_run(run):
    return struct.pack(">I", len(run)) + run


class Signer:
    """Ed25519 from its seed."""

    def __init__(self, seed):
        public, self.secret = ctypes.create_string_buffer(32), ctypes.create_string_buffer(64)
        assert sodium.crypto_sign_seed_keypair(public, self.secret, seed) == 0
        self.public = public.raw

    def sign_raw(self, message):
        out = ctypes.create_string_buffer(64)
        assert sodium.crypto_sign_detached(out, None, message, size_of(message), self.secret) == 0
        return out.raw

    def sign(self, context, message):
        return self.sign_raw(bytes([len(context)]) + context + message)


def x25519_public(secret):
    out = ctypes.create_string_buffer(32)
    assert sodium.crypto_scalarmult_base(out, secret) == 0
    return out.raw


def x25519(secret, public):
    out = ctypes.create_string_buffer(32)
    assert sodium.crypto_scalarmult(out, secret, public) == 0
    return out.raw


def xchacha(key, nonce, associated, plain):
    out = ctypes.create_string_buffer(len(plain) + 16)
    assert sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(out, None, plain, size_of(plain), associated, size_of(associated), None, nonce, key) == 0
    return out.raw


def argon2id(passphrase, salt, operations, memory):
    out = ctypes.create_string_buffer(32)
    assert sodium.crypto_pwhash(out, ctypes.c_ulonglong(32), passphrase, size_of(passphrase), salt, ctypes.c_ulonglong(operations),
                                ctypes.c_size_t(memory), 2) == 0
    return out.raw


def possession(node, signer, seal_secret, transport_secret, admission_public):
    public = node + signer.public + x25519_public(seal_secret) + x25519_public(transport_secret)

    def proof(secret, use):
        return hmac.new(x25519(secret, admission_public), b"dozo possession 1" + use + public, "sha256").digest()

    return signer.sign(b"dozo possession 1", public) + proof(seal_secret, b"seal") + proof(transport_secret, b"transport")


def key_file(secret, public_part, salt, nonce, key=None, passphrase=None, operations=0, memory=0):
    def content(commitment, nonce_shown, sealed):
        return (bytes([0 if passphrase else 1]) + u32_run(public_part) + struct.pack(">QQ", operations, memory) + salt + commitment + nonce_shown +
                u32_run(sealed))

    stretched = argon2id(passphrase, salt, operations, memory) if passphrase else extract(salt, key)
    header = content(bytes(32), bytes(24), b"")
    commitment = expand(stretched, b"dozo key file 1 commitment" + header, 32)
    sealed = xchacha(expand(stretched, b"dozo key file 1 seal" + header, 32), nonce, commitment, secret)
    text = base64.b64encode(content(commitment, nonce, sealed)).decode()
    return "dozo key file 1\n" + "".join(text[at:at + 76] + "\n" for at in range(0, len(text), 76))


def times(a, b):
    """In GF(2^8) with x^8 + x^4 + x^3 + x^2 + 1."""
    out = 0
    while b:
        if b & 1:
            out ^= a
        a = a << 1 ^ (0x11D if a & 0x80 else 0)
        b >>= 1
    return out


def share(secret, number, slopes, whole_set):
    """Of a set whose polynomials have the secret's bytes as constants and `slopes`, 32 bytes each, as further coefficients."""
    part = bytearray(32)
    for place in range(32):
        power, value = 1, secret[place]
        for slope in slopes:
            power = times(power, number)
            value ^= times(slope[place], power)
        part[place] = value
    whole = sha256(b"dozo share 1 whole", whole_set, secret)
    encoded = whole_set + bytes([len(slopes) + 1, number]) + whole + bytes(part)
    check = sha256(b"dozo share 1 check", encoded + bytes(4))[:4]
    return "dozo-share-1 " + base64.b64encode(encoded + check).decode()


def epoch_commitment(key, library, epoch):
    return hmac.new(expand(key, b"dozo epoch 1 commitment", 32), library + struct.pack(">I", epoch), "sha256").digest()


def wrap(successor, predecessor, library, epoch, nonce):
    return nonce + xchacha(expand(successor, b"dozo epoch 1 wrap", 32), nonce, library + struct.pack(">I", epoch), predecessor)


def session(signer, person, device, libraries, session_key, begin, end):
    certificate = person + device + struct.pack(">I", len(libraries)) + b"".join(libraries) + session_key + struct.pack(">qq", begin, end)
    return bytes([1]) + u32_run(certificate) + signer.sign(b"dozo session 1", certificate)


def checkpoint(signer, origin, size, root):
    body = f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"
    key_id = sha256(origin.encode() + b"\n\x01" + signer.public)[:4]
    signature = base64.b64encode(key_id + signer.sign_raw(body.encode())).decode()
    return f"{body}\n\u2014 {origin} {signature}\n"


if __name__ == "__main__":
    def run(first, size=32):
        return bytes((first + i) % 256 for i in range(size))

    node, library, person = run(0x50, 16), run(0xA0, 16), run(0xC0, 16)
    signer, seal_secret, transport_secret, admission_secret = Signer(run(0x00)), run(0x20), run(0x40), run(0x60)
    slopes = [run(0x91), run(0x13)]
    sys.exit(main({
        "sign public": signer.public, "seal public": x25519_public(seal_secret), "transport public": x25519_public(transport_secret),
        "admission public": x25519_public(admission_secret),
        "signed message": signer.sign(b"dozo example 1", b"message"),
        "possession": possession(node, signer, seal_secret, transport_secret, x25519_public(admission_secret)),
        "key file, by key": key_file(b"a secret", b"public", run(0x70, 16), run(0x80, 24), key=run(0x30)),
        "key file, by words": key_file(b"a secret", b"public", run(0x70, 16), run(0x80, 24), passphrase="\u571f\u8535".encode(), operations=1, memory=8192),
        "share 1": share(run(0xE0), 1, slopes, run(0x08, 8)), "share 2": share(run(0xE0), 2, slopes, run(0x08, 8)),
        "share 7": share(run(0xE0), 7, slopes, run(0x08, 8)),
        "commitment, epoch 1": epoch_commitment(run(0x00), library, 1), "commitment, epoch 2": epoch_commitment(run(0x20), library, 2),
        "epoch 1 under 2": wrap(run(0x20), run(0x00), library, 2, run(0x80, 24)),
        "certificate": session(signer, person, node, [library], Signer(run(0x20)).public, 1_700_000_000_000, 1_700_043_200_000),
        "checkpoint": checkpoint(signer, "dozo/example", 42, sha256(b"root")),
    }))
