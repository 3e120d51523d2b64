// AEAD: the two authenticated ciphers from which everything sealed in this room is made. Not for other rooms: nothing here chooses a nonce or
// commits to a key, and a pair of key and nonce must never be used for two messages. What chooses and commits: pack_seal.h, local_seal.h, key_file.h.
// Threads: pure functions.
#pragma once
#include <optional>

#include "base/bytes.h"

namespace dozo::crypto {

using Key32 = std::span<const std::uint8_t, 32>;
using Tag16 = std::span<std::uint8_t, 16>;
inline constexpr std::size_t aead_tag_bytes = 16;
inline constexpr std::size_t xchacha_nonce_bytes = 24;

/// ChaCha20-Poly1305 of RFC 8439, from libcrypto: for bulk. Encrypts `body` in place and fills `tag`.
void chacha_seal(Key32 key, std::span<const std::uint8_t, 12> nonce, ByteView associated, ByteSpan body, Tag16 tag);
/// False: not authentic; `to`, which is as long as `from`, is then all zero.
[[nodiscard]] bool chacha_open(Key32 key, std::span<const std::uint8_t, 12> nonce, ByteView associated, ByteView from, std::span<const std::uint8_t, 16> tag,
                               ByteSpan to);

/// XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha), from libsodium: its nonce is long enough to be drawn at random. `to` is 16 bytes longer than `plain`.
void xchacha_seal(Key32 key, std::span<const std::uint8_t, xchacha_nonce_bytes> nonce, ByteView associated, ByteView plain, ByteSpan to);
/// False: not authentic, or `sealed` is not 16 bytes longer than `to`; `to` is then all zero.
[[nodiscard]] bool xchacha_open(Key32 key, std::span<const std::uint8_t, xchacha_nonce_bytes> nonce, ByteView associated, ByteView sealed, ByteSpan to);

}  // namespace dozo::crypto
