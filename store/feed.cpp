#include "store/feed.h"

#include "base/archive.h"

namespace dozo::store {

namespace {
constexpr std::string_view origin_prefix = "dozo/feed/1/";
constexpr std::size_t proof_hashes_most = 130;  // two for each level of the largest tree
constexpr std::size_t tail_bytes_most = 8 * 1024;

struct Tail {
  FeedId feed;
  PolicyVersion policy;
  Bytes frontier;
};
template <class A>
void serialize(A& archive, Tail& it) {
  archive(it.feed, it.policy, archive::capped<tail_bytes_most>(it.frontier));
}
}  // namespace

template <class A>
void serialize(A& archive, ForkEvidence& it) {
  archive(archive::capped<crypto::note_bytes_most>(it.shorter), archive::capped<crypto::note_bytes_most>(it.longer), it.root_in_longer,
          archive::capped<proof_hashes_most>(it.proof));
}

std::string feed_origin(const FeedId& feed) { return std::string(origin_prefix) + feed.library.hex() + '/' + feed.node.hex() + '/' + feed.incarnation.hex(); }

Result<Head> verify_head(std::string_view note, const FeedId& feed, const crypto::VerifyKey& key) {
  const std::string origin = feed_origin(feed);
  const std::string_view named = note.substr(0, note.find('\n'));
  if (named != origin && named.starts_with(origin_prefix)) return fail(Fault::not_authentic, "a head of another feed");
  const crypto::Checkpoint checkpoint = TRY(crypto::open_checkpoint(note, origin, key));
  return Head{feed, {checkpoint.size}, checkpoint.root};
}

Bytes encode(const ForkEvidence& evidence) { return archive::encode(evidence); }
Result<ForkEvidence> decode_fork_evidence(ByteView bytes) { return archive::decode<ForkEvidence>(bytes, fork_evidence_bytes_most, "fork evidence"); }

Result<void> verify_fork(const ForkEvidence& evidence, const FeedId& feed, const crypto::VerifyKey& key) {
  const Head shorter = TRY(verify_head(evidence.shorter, feed, key));
  const Head longer = TRY(verify_head(evidence.longer, feed, key));
  if (shorter.sequence > longer.sequence) return fail(Fault::malformed, "fork evidence with its heads the wrong way round");
  if (shorter.sequence.value == 0) return fail(Fault::not_authentic, "every log grows from an empty one");
  TRY(crypto::check_consistency(shorter.sequence.value, longer.sequence.value, evidence.root_in_longer, longer.root, evidence.proof));
  if (evidence.root_in_longer == shorter.root) return fail(Fault::not_authentic, "the two heads are of one log");
  return {};
}

Result<std::vector<Entry>> FeedTail::check_batch(std::span<const Bytes> entries, std::string_view head_note, std::span<const Digest> proof,
                                                 const crypto::VerifyKey& key, const crypto::Frontier::Keep& keep) {
  FeedTail grown = *this;
  std::vector<Entry> out;
  out.reserve(entries.size());
  for (const Bytes& bytes : entries) {
    out.push_back(TRY(grown.take(bytes, keep)));
  }
  TRY(grown.check_head(head_note, proof, key));
  *this = std::move(grown);
  return out;
}

Result<Entry> FeedTail::take(ByteView bytes, const crypto::Frontier::Keep& keep) {
  Entry entry = TRY(decode_entry(bytes));
  if (entry.feed != feed_) return fail(Fault::not_authentic, "an entry of another feed");
  if (entry.sequence.value != frontier_.size() + 1) {
    return fail(Fault::not_authentic, "entry " + std::to_string(entry.sequence.value) + " where " + std::to_string(frontier_.size() + 1) + " follows");
  }
  policy_ = std::max(policy_, entry.policy);
  frontier_.append(crypto::leaf_hash(bytes), keep);
  return entry;
}

Result<Head> FeedTail::check_head(std::string_view head_note, std::span<const Digest> proof, const crypto::VerifyKey& key) const {
  const Head head = TRY(verify_head(head_note, feed_, key));
  if (head.sequence < sequence()) return fail(Fault::stale, "a head at " + std::to_string(head.sequence.value) + ", below what is held");
  TRY(frontier_.check_growth(head.sequence.value, head.root, proof));
  return head;
}

Result<FeedTail::Appended> FeedTail::append(Entry entry, const crypto::SigningKey& key, const crypto::Frontier::Keep& keep) {
  if (entry.policy < policy_) return fail(Fault::stale, "an entry under an older policy than the feed's last");
  entry.feed = feed_;
  entry.sequence = {frontier_.size() + 1};
  Appended out{store::encode(entry), {}};
  TRY(decode_entry(out.entry));
  frontier_.append(crypto::leaf_hash(out.entry), keep);
  policy_ = entry.policy;
  out.head_note = crypto::sign_checkpoint({feed_origin(feed_), frontier_.size(), frontier_.root()}, key);
  return out;
}

Bytes FeedTail::encode() const { return archive::encode(Tail{feed_, policy_, frontier_.encode()}); }
Result<FeedTail> FeedTail::decode(ByteView bytes) {
  const Tail tail = TRY(archive::decode<Tail>(bytes, tail_bytes_most, "feed tail"));
  FeedTail out(tail.feed);
  out.policy_ = tail.policy;
  out.frontier_ = TRY(crypto::Frontier::decode(tail.frontier));
  return out;
}

}  // namespace dozo::store
