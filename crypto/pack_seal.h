// Pack seal: the sealed form of a pack, docs/storage-format.md section 1. Knows bytes: what lies inside a pack is store's.
// Threads: pure functions; the sealing draws from crypto/random.h.
#pragma once
#include <optional>
#include <string_view>

#include "base/ids.h"
#include "crypto/secret.h"

namespace dozo::crypto {

using EpochKey = Secret<32, struct EpochKeyPurpose>;

enum class PackKind : std::uint8_t { meta, content };
constexpr PackKind wire_last(PackKind) { return PackKind::content; }

inline constexpr std::string_view pack_magic = "DOZP";           ///< the first bytes of every pack
inline constexpr std::size_t bulk_pack_bytes = (1U << 20) - 16;  ///< with LMDB's page header exactly 256 pages of 4 KiB
inline constexpr std::size_t pack_bytes_min = 512;
inline constexpr std::size_t pack_header_bytes = 96;
inline constexpr std::size_t pack_tag_bytes = 16;
inline constexpr std::size_t pack_overhead_bytes = pack_header_bytes + pack_tag_bytes;
inline constexpr std::size_t pack_length_bytes = 4;  ///< leads the body: how much of it is plain
/// The most plain bytes that a pack can hold.
inline constexpr std::size_t pack_plain_most = bulk_pack_bytes - pack_overhead_bytes - pack_length_bytes;

/// What can be read without a key.
struct PackHeader {
  PackKind kind{};
  LibraryId library;
  Epoch epoch;
  std::uint32_t body_bytes{};
};

/// The size of the sealed whole for this much plain: the next Padmé length (PoPETs 2019(4)) from 512 on, or bulk_pack_bytes where that is less.
std::size_t sealed_bytes(std::size_t plain_bytes);

/// Seals `plain` (at most pack_plain_most, and the epoch from 1, else our own bug), whose contents table is `table` (hashed into the salt, so that a repeated
/// random number cannot repeat a key for another body).
Bytes seal_pack(const EpochKey& key, PackKind kind, const LibraryId& library, Epoch epoch, ByteView table, ByteView plain);
/// The same with the 32 random bytes given: for known answers alone.
Bytes seal_pack_with(const EpochKey& key, PackKind kind, const LibraryId& library, Epoch epoch, ByteView table, ByteView plain, ByteView random32);

PackAddress address_of(ByteView sealed);

/// How many bytes the pack has that begins with these (pack_header_bytes at least), as its header says. Nothing: none begins so.
std::optional<std::size_t> sealed_bytes_at(ByteView beginning);

/// All that a holder without keys can check beside the address. Faults: malformed, unsupported (another suite).
Result<PackHeader> check_sealed(ByteView sealed);

/// The plain bytes. Whatever is wrong (key, library, any byte) is one fault: not_authentic.
Result<Bytes> open_pack(const EpochKey& key, ByteView sealed, const LibraryId& library);

}  // namespace dozo::crypto
