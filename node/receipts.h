// Receipts: a replica's signed word that it durably holds a state of a library. docs/storage-format.md section 5 has the encoding.
//
// Of each signer and library only the newest counts and is kept and exchanged. A receipt is made after what it says is durable, and never causes another:
// it covers entries, not statements. It names for each feed how many entries are held with all their packs, and the log's root there, from which
// the packs follow.
// Threads: plain values and pure functions.
#pragma once
#include <functional>
#include <map>
#include <vector>

#include "base/ids.h"
#include "crypto/identity.h"

namespace dozo::node {

inline constexpr std::uint8_t receipt_format = 1;
inline constexpr std::size_t receipt_feeds_most = 4096;
inline constexpr std::size_t receipt_bytes_most = 512 * 1024;
inline constexpr std::string_view receipt_subject = "receipt";

struct HeldFeed {
  NodeId node;
  IncarnationId incarnation;
  Sequence sequence;  ///< from 1
  Digest root;
  friend auto operator<=>(const HeldFeed&, const HeldFeed&) = default;
};

struct Receipt {
  std::uint8_t format = receipt_format;
  LibraryId library;
  NodeId signer;
  std::uint64_t number{};       ///< grows from one receipt of this signer to the next, also over restarts
  std::int64_t time_ms{};       ///< as the signer claims
  bool opened{};                ///< it has keys, and opened every pack and checked every piece in it
  std::vector<HeldFeed> feeds;  ///< ascending; of a forked feed each line
  bool operator==(const Receipt&) const = default;
};

struct SignedReceipt {
  Bytes receipt;  ///< encode(Receipt)
  crypto::Signature signature;
};

/// Needs: ascending feeds, at most receipt_feeds_most. The encoded SignedReceipt.
Bytes sign(const Receipt& receipt, const crypto::SigningKey& key);
/// What it says, unchecked: whose key must be looked up. Faults: over_limit, malformed, unsupported.
Result<Receipt> read_receipt(ByteView bytes);
/// Faults: those of read_receipt, not_authentic.
Result<Receipt> open_receipt(ByteView bytes, const crypto::VerifyKey& key);

struct KnownFeed {
  FeedId feed;
  Sequence sequence;
  Digest root;
  Sequence counted;  ///< as far as copies are wanted: not of what is cut or refused at its end
};
/// Whether the log of the feed has that root there. Asked only below its end.
using HasRoot = std::function<bool(const KnownFeed&, Sequence, const Digest& root)>;
/// How many of these entries the receipt does not cover. It covers a line of a feed (of a forked one there are several) by a root of that line alone, and
/// says nothing by a place that is not known here.
std::uint64_t entries_behind(const Receipt& receipt, const std::vector<KnownFeed>& known, const HasRoot& has_root);

}  // namespace dozo::node
