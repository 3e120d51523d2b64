// Manifest: describes one content: kind, size, mode, time, media type, SHA-256 of the whole, and the pieces that it is made of. A piece itself.
// A symlink's content is its target. Not here: name, path, author, document (those are the record's).
// Threads: plain values and pure functions.
#pragma once
#include <string>

#include "store/piece_list.h"
#include "store/record.h"

namespace dozo::store {

inline constexpr std::uint8_t manifest_format = 1;
inline constexpr std::size_t media_type_bytes_most = 127;
inline constexpr std::uint64_t symlink_bytes_most = 4095;
inline constexpr std::uint16_t mode_bits = 0777;  ///< permissions alone: nobody gets a set-user-id file from another site

/// What is said about a content beside its bytes.
struct ContentTraits {
  ContentKind kind{};
  std::uint16_t mode = 0644;  ///< within mode_bits; 0 for dir and symlink
  std::int64_t mtime_ns{};    ///< since 1970, as the writer's file system said: shown, never judged by
  std::string media_type;     ///< printable ASCII without spaces, or empty
  bool operator==(const ContentTraits&) const = default;
};

struct Manifest {
  ContentTraits traits;
  std::uint64_t size{};
  Digest sha256;  ///< zero for dir
  ListRoot list;
  bool operator==(const Manifest&) const = default;
};

/// Whether it may be encoded: kinds, sizes and list fit each other. Fault: malformed.
Result<void> well_formed(const Manifest& manifest);
/// Whether a content may have these. Fault: malformed.
Result<void> well_formed(const ContentTraits& traits);

Bytes encode(const Manifest& manifest);
/// Faults: over_limit, malformed (also where not well_formed), unsupported (a newer format).
Result<Manifest> decode_manifest(ByteView bytes);

}  // namespace dozo::store
