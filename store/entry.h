// Entry: one line of a feed: what a node did in a library, in clear for every node that carries it, blind ones included.
//
// It names the packs that it adds and commits to a record without showing it. docs/storage-format.md section 3 has the encoding.
// Threads: plain values and pure functions.
#pragma once
#include <compare>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "crypto/pack_seal.h"

namespace dozo::store {

inline constexpr std::uint8_t entry_format = 1;
inline constexpr std::size_t entry_bytes_most = 64 * 1024;
inline constexpr std::size_t entry_packs_most = 256;
inline constexpr std::size_t entry_reliances_most = 1024;
inline constexpr std::size_t entry_body_bytes_most = 16 * 1024;

/// Kinds of later days are stored and passed on by builds that do not know them, so an Entry has the byte, not this.
enum class EntryKind : std::uint8_t { change, repack, expire, veto, release, lost, checkpoint, close };

struct PackListing {
  PackAddress address;
  std::uint32_t size_bytes{};
  crypto::PackKind kind{};
  friend auto operator<=>(const PackListing&, const PackListing&) = default;
};
/// More packs than an entry can name: the hash of a list kept as an object of its own.
struct PackListObject {
  Digest sha256;          ///< of encode_list()
  std::uint32_t count{};  ///< above entry_packs_most
  friend auto operator<=>(const PackListObject&, const PackListObject&) = default;
};
using PackList = std::variant<std::vector<PackListing>, PackListObject>;
inline constexpr std::size_t list_object_packs_most = 262'144;

struct Entry {
  std::uint8_t format = entry_format;
  std::uint8_t kind{};  ///< an EntryKind, or one that this build does not know
  FeedId feed;
  Sequence sequence;
  PolicyVersion policy;
  Epoch epoch;
  std::int64_t time_ms{};  ///< as the node claims
  std::uint16_t view_rules{};
  std::uint64_t freshness{};           ///< version of the newest freshness document seen: the entry is not older than that
  Digest record;                       ///< commitment(SignedRecord); zero in kinds without a record
  PackList packs;                      ///< ascending by address, each once
  std::vector<PackAddress> reliances;  ///< older packs that it needs, ascending: listed longer ago than the policy's horizon
  Bytes body;                          ///< what the kind needs beyond this; empty in a change
  bool is(EntryKind what) const { return kind == static_cast<std::uint8_t>(what); }
  bool operator==(const Entry&) const = default;
};

/// Needs: within the limits above.
Bytes encode(const Entry& entry);
/// Faults: over_limit, malformed (order, repetition, a change without record or with a body, sequence or epoch 0), unsupported (a newer format).
Result<Entry> decode_entry(ByteView bytes);

Bytes encode_list(const std::vector<PackListing>& packs);
/// Faults: over_limit, malformed, not_authentic (another hash or count than `expected` says).
Result<std::vector<PackListing>> decode_list(ByteView bytes, const PackListObject& expected);

}  // namespace dozo::store
