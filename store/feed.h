// Feed: the arithmetic of one append-only log: its heads, its growth, and the evidence that it was forked.
//
// A feed is an RFC 6962 tree over its entries' bytes; its head is a signed checkpoint (crypto/checkpoint.h). Nothing here reads or writes: the caller
// keeps entries, the newest head and an encoded FeedTail together, in one transaction.
// Threads: plain values.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "crypto/checkpoint.h"
#include "crypto/merkle.h"
#include "store/entry.h"

namespace dozo::store {

/// "dozo/feed/1/LIBRARY/NODE/INCARNATION", ids in hex: the first line of its heads.
std::string feed_origin(const FeedId& feed);

struct Head {
  FeedId feed;
  Sequence sequence;  ///< entries that it covers; 0: an empty feed has a head too
  Digest root;
  bool operator==(const Head&) const = default;
};

/// Faults: over_limit, malformed, not_authentic (another feed's or key's too).
Result<Head> verify_head(std::string_view note, const FeedId& feed, const crypto::VerifyKey& key);

/// Two heads of one feed that cannot both grow into one log. Whoever holds it can show it to anybody.
struct ForkEvidence {
  std::string shorter, longer;  ///< notes, of sizes a <= b
  Digest root_in_longer;        ///< of the longer log's first a entries; differs from the shorter's root
  std::vector<Digest> proof;    ///< that it is that; empty where a == b
  bool operator==(const ForkEvidence&) const = default;
};
inline constexpr std::size_t fork_evidence_bytes_most = 8 * 1024;
Bytes encode(const ForkEvidence& evidence);
Result<ForkEvidence> decode_fork_evidence(ByteView bytes);  ///< Faults: over_limit, malformed
/// Fault: not_authentic, malformed: it shows no fork of this feed.
Result<void> verify_fork(const ForkEvidence& evidence, const FeedId& feed, const crypto::VerifyKey& key);

/// The end of a feed as far as it is held: enough to judge what comes next.
class FeedTail {
 public:
  /// A feed of which nothing is held.
  explicit FeedTail(const FeedId& feed) : feed_(feed) {}

  const FeedId& feed() const { return feed_; }
  Sequence sequence() const { return {frontier_.size()}; }
  PolicyVersion policy() const { return policy_; }  ///< highest so far
  Digest root() const { return frontier_.root(); }

  /// A batch as a peer sent it: the entries after this tail's, and a head that covers them, with a proof from the batch's end to the head where
  /// the batch ends before it (else empty). On success the tail is at the batch's end. On a fault it is as it was: malformed, unsupported,
  /// over_limit (an entry), not_authentic (an entry of another feed or place, a head that is not the feed's, or whose log does not begin with these
  /// entries), stale (a head below the batch's end).
  /// A policy version that goes back is no fault of the feed: such an entry stays in it, and is not accepted (accept.h).
  /// `keep` is told the subtrees that the entries complete, also where a fault follows.
  Result<std::vector<Entry>> check_batch(std::span<const Bytes> entries, std::string_view head_note, std::span<const Digest> proof,
                                         const crypto::VerifyKey& key, const crypto::Frontier::Keep& keep = nullptr);

  /// The next entry, on its own word: for what lies in a store, where head and root are looked at in the end. Faults: those of an entry in check_batch,
  /// and then the tail is as it was.
  Result<Entry> take(ByteView entry, const crypto::Frontier::Keep& keep = nullptr);

  /// That a newer head grows from what is held. Fault: as above; the tail stays as it is.
  Result<Head> check_head(std::string_view head_note, std::span<const Digest> proof, const crypto::VerifyKey& key) const;

  struct Appended {
    Bytes entry;
    std::string head_note;
  };
  /// The node's own next entry. Sets feed and sequence. Fault: stale (a policy below an earlier entry's), malformed (decode_entry would refuse it).
  /// `keep` is told the subtrees that it completes, as Frontier::append does.
  Result<Appended> append(Entry entry, const crypto::SigningKey& key, const crypto::Frontier::Keep& keep = nullptr);

  Bytes encode() const;
  static Result<FeedTail> decode(ByteView bytes);  ///< Fault: malformed
  bool operator==(const FeedTail&) const = default;

 private:
  FeedId feed_;
  PolicyVersion policy_;
  crypto::Frontier frontier_;
};

}  // namespace dozo::store
