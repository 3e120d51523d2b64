// Feeds: growing, being checked by others, forking.
#include <doctest/doctest.h>

#include <map>

#include "store/feed.h"
#include "tests/record_fixture.h"

using namespace dozo;
using namespace dozo::store;
using namespace dozo::record_fixture;

namespace {

const FeedId feed{id_of<LibraryId>(9), id_of<NodeId>(3), id_of<IncarnationId>(1)};
const crypto::SigningKey& key() {
  static const crypto::SigningKey it = key_of(1);
  return it;
}

Entry entry_of(std::uint64_t number, std::uint64_t policy = 1) {
  Entry out;
  out.policy = {policy};
  out.epoch = {1};
  out.record = id_of<Digest>(number);
  return out;
}

/// A node's own feed with all that it has said.
struct Log {
  FeedTail tail{feed};
  std::vector<Bytes> entries;
  std::vector<std::string> heads;  ///< heads[k]: after k entries
  std::map<crypto::SubtreeId, Digest> subtrees;

  Log() { heads.push_back(crypto::sign_checkpoint({feed_origin(feed), 0, crypto::empty_root()}, key())); }
  void grow(std::uint64_t number, std::uint64_t policy = 1) {
    auto it = tail.append(entry_of(number, policy), key(), [this](const crypto::SubtreeId& id, const Digest& hash) { subtrees[id] = hash; });
    REQUIRE(it);
    entries.push_back(std::move(it->entry));
    heads.push_back(std::move(it->head_note));
  }
  std::span<const Bytes> from(std::size_t begin, std::size_t end) const { return std::span(entries).subspan(begin, end - begin); }
  std::vector<Digest> proof(std::uint64_t from, std::uint64_t size) const {
    if (from == 0) return {};
    return *crypto::consistency_proof(from, size, [this](const crypto::SubtreeId& id) -> Result<Digest> { return subtrees.at(id); });
  }
};
Log log_of(std::uint64_t count, std::uint64_t first = 1) {
  Log out;
  for (std::uint64_t i = 0; i < count; ++i) out.grow(first + i);
  return out;
}
/// A second log that shares the first `common` entries.
Log fork_of(const Log& log, std::size_t common, std::uint64_t count) {
  Log out = log_of(common);
  REQUIRE((out.heads.back() == log.heads[common]));
  for (std::uint64_t i = 0; i < count; ++i) out.grow(1000 + i);
  return out;
}

}  // namespace

TEST_CASE("feed: what a node appends another takes in batches of any size, with a head at the end or beyond it") {
  const Log log = log_of(13);
  for (std::size_t step = 1; step <= 13; ++step) {
    for (const bool is_newest : {false, true}) {
      FeedTail tail(feed);
      for (std::size_t at = 0; at < 13;) {
        const std::size_t end = std::min<std::size_t>(at + step, 13), head = is_newest ? 13 : end;
        const auto took = tail.check_batch(log.from(at, end), log.heads[head], head == end ? std::vector<Digest>{} : log.proof(end, head), key().public_key());
        REQUIRE(took);
        CHECK(took->size() == end - at);
        CHECK(took->front().sequence.value == at + 1);
        CHECK(tail.sequence().value == end);
        at = end;
      }
      CHECK((tail == log.tail));
    }
  }
}

TEST_CASE("feed: an empty batch with a head tells nothing new, and a later head is checked by its proof alone") {
  const Log log = log_of(9);
  FeedTail tail(feed);
  CHECK(tail.check_batch({}, log.heads[0], {}, key().public_key()));
  CHECK(tail.check_head(log.heads[9], {}, key().public_key()));  // every log begins with an empty one
  REQUIRE(tail.check_batch(log.from(0, 5), log.heads[5], {}, key().public_key()));
  const FeedTail at_five = tail;
  const auto head = tail.check_head(log.heads[9], log.proof(5, 9), key().public_key());
  REQUIRE(head);
  CHECK(head->sequence.value == 9);
  CHECK(head->root == log.tail.root());
  CHECK(tail.check_head(log.heads[9], {}, key().public_key()).error().fault == Fault::not_authentic);
  CHECK(tail.check_head(log.heads[9], log.proof(4, 9), key().public_key()).error().fault == Fault::not_authentic);
  CHECK(tail.check_head(log.heads[4], {}, key().public_key()).error().fault == Fault::stale);
  CHECK((tail == at_five));
}

TEST_CASE("feed: a batch that does not fit is refused for its reason, and the tail stays as it was") {
  const Log log = log_of(9);
  FeedTail tail(feed);
  REQUIRE(tail.check_batch(log.from(0, 4), log.heads[4], {}, key().public_key()));
  const FeedTail before = tail;
  const auto refused = [&](const std::string& what, std::vector<Bytes> entries, const std::string& head, const std::vector<Digest>& proof, Fault fault) {
    CAPTURE(what);
    const auto it = tail.check_batch(entries, head, proof, key().public_key());
    REQUIRE(!it);
    CHECK(it.error().fault == fault);
    CHECK((tail == before));
  };
  const auto batch = [&](std::size_t begin, std::size_t end) {
    return std::vector<Bytes>(log.entries.begin() + static_cast<std::ptrdiff_t>(begin), log.entries.begin() + static_cast<std::ptrdiff_t>(end));
  };
  refused("what is held already", batch(3, 6), log.heads[6], {}, Fault::not_authentic);
  refused("a gap", batch(5, 7), log.heads[7], {}, Fault::not_authentic);
  auto swapped = batch(4, 7);
  std::swap(swapped[0], swapped[1]);
  refused("another order", swapped, log.heads[7], {}, Fault::not_authentic);
  auto changed = batch(4, 7);
  Entry other = *decode_entry(changed[1]);
  other.time_ms = 5;
  changed[1] = encode(other);
  refused("an entry that the head does not cover", changed, log.heads[7], {}, Fault::not_authentic);
  other.feed.incarnation = id_of<IncarnationId>(2);
  changed[1] = encode(other);
  refused("an entry of another feed", changed, log.heads[7], {}, Fault::not_authentic);
  changed[1].pop_back();
  refused("an entry cut short", changed, log.heads[7], {}, Fault::malformed);
  changed[1] = batch(5, 6)[0];
  changed[1][0] = 2;
  refused("an entry of a newer format", changed, log.heads[7], {}, Fault::unsupported);
  changed[1] = Bytes(entry_bytes_most + 1, entry_format);
  refused("an entry that is too long", changed, log.heads[7], {}, Fault::over_limit);
  refused("a head below the batch's end", batch(4, 8), log.heads[6], {}, Fault::stale);
  refused("a head beyond it without proof", batch(4, 6), log.heads[9], {}, Fault::not_authentic);
  refused("with the proof from another size", batch(4, 6), log.heads[9], log.proof(5, 9), Fault::not_authentic);
  auto proof = log.proof(6, 9);
  proof.push_back(proof[0]);
  refused("with a hash too many", batch(4, 6), log.heads[9], proof, Fault::not_authentic);
  refused("with a proof where none is due", batch(4, 6), log.heads[6], log.proof(6, 9), Fault::not_authentic);
  refused("no head", batch(4, 6), "", {}, Fault::malformed);
  refused("a head that is far too long", batch(4, 6), std::string(crypto::note_bytes_most + 1, 'x'), {}, Fault::over_limit);
  std::string forged = log.heads[6];
  forged[forged.size() - 10] = forged[forged.size() - 10] == 'A' ? 'B' : 'A';
  refused("a head whose signature is spoilt", batch(4, 6), forged, {}, Fault::not_authentic);
  const auto of = [&](const FeedId& id, const crypto::SigningKey& by) { return crypto::sign_checkpoint({feed_origin(id), 6, log_of(6).tail.root()}, by); };
  refused("another node's head", batch(4, 6), of(feed, key_of(2)), {}, Fault::not_authentic);
  FeedId strange = feed;
  strange.incarnation = id_of<IncarnationId>(2);
  refused("another feed's head", batch(4, 6), of(strange, key()), {}, Fault::not_authentic);
  CHECK(tail.check_batch(log.from(4, 9), log.heads[9], {}, key().public_key()));
  CHECK((tail == log.tail));
}

TEST_CASE("feed: of two branches only that which the tail is on is taken, and the two heads show the fork to anybody") {
  const Log log = log_of(9), fork = fork_of(log, 5, 3);
  FeedTail tail(feed);
  REQUIRE(tail.check_batch(log.from(0, 6), log.heads[6], {}, key().public_key()));
  const FeedTail before = tail;
  CHECK(tail.check_batch(fork.from(6, 8), fork.heads[8], {}, key().public_key()).error().fault == Fault::not_authentic);
  CHECK(tail.check_head(fork.heads[8], fork.proof(6, 8), key().public_key()).error().fault == Fault::not_authentic);
  CHECK((tail == before));

  const auto root_of = [](const Log& of, std::uint64_t size) {
    return *crypto::root_at(size, [&](const crypto::SubtreeId& id) -> Result<Digest> { return of.subtrees.at(id); });
  };
  const ForkEvidence evidence{log.heads[6], fork.heads[8], root_of(fork, 6), fork.proof(6, 8)};
  CHECK(verify_fork(evidence, feed, key().public_key()));
  const auto again = decode_fork_evidence(encode(evidence));
  REQUIRE(again);
  CHECK((*again == evidence));
  const ForkEvidence equal_sizes{log.heads[8], fork.heads[8], fork.tail.root(), {}};
  CHECK(verify_fork(equal_sizes, feed, key().public_key()));

  const auto refused = [&](const std::string& what, const ForkEvidence& it, Fault fault, const FeedId& of = feed,
                           const crypto::VerifyKey& by = key().public_key()) {
    CAPTURE(what);
    const auto done = verify_fork(it, of, by);
    REQUIRE(!done);
    CHECK(done.error().fault == fault);
  };
  refused("one log", {log.heads[6], log.heads[9], root_of(log, 6), log.proof(6, 9)}, Fault::not_authentic);
  refused("one head", {log.heads[6], log.heads[6], root_of(log, 6), {}}, Fault::not_authentic);
  refused("a root that is made up", {log.heads[6], log.heads[9], id_of<Digest>(1), log.proof(6, 9)}, Fault::not_authentic);
  refused("the wrong way round", {fork.heads[8], log.heads[6], root_of(fork, 6), fork.proof(6, 8)}, Fault::malformed);
  refused("an empty log", {log.heads[0], log.heads[9], id_of<Digest>(1), {}}, Fault::not_authentic);
  refused("no proof", {log.heads[6], fork.heads[8], root_of(fork, 6), {}}, Fault::not_authentic);
  refused("another key", evidence, Fault::not_authentic, feed, key_of(2).public_key());
  FeedId other = feed;
  other.node = id_of<NodeId>(4);
  refused("another feed", evidence, Fault::not_authentic, other);
  const Bytes bytes = encode(evidence);
  for (std::size_t size = 0; size < bytes.size(); size += 5) CHECK(!decode_fork_evidence(ByteView(bytes).first(size)));
  CHECK(decode_fork_evidence(Bytes(fork_evidence_bytes_most + 1)).error().fault == Fault::over_limit);
}

TEST_CASE("feed: a node's own policy never goes back, and another's that does stays in its feed") {
  Log log;
  log.grow(1, 3);
  const FeedTail before = log.tail;
  CHECK(log.tail.append(entry_of(2, 2), key()).error().fault == Fault::stale);
  Entry bad = entry_of(2, 3);
  bad.record = {};
  CHECK(log.tail.append(bad, key()).error().fault == Fault::malformed);
  CHECK((log.tail == before));
  CHECK(log.tail.policy().value == 3);
  // Made by hand, as no honest node does.
  Entry back = entry_of(2, 2);
  back.feed = feed;
  back.sequence = {2};
  const Bytes bytes = encode(back);
  crypto::Frontier frontier;
  frontier.append(crypto::leaf_hash(log.entries[0]));
  frontier.append(crypto::leaf_hash(bytes));
  const std::string head = crypto::sign_checkpoint({feed_origin(feed), 2, frontier.root()}, key());
  const auto took = log.tail.check_batch(std::span(&bytes, 1), head, {}, key().public_key());
  REQUIRE(took);
  CHECK(took->front().policy.value == 2);
  CHECK(log.tail.policy().value == 3);
}

TEST_CASE("feed: append sets feed and place, whatever the entry said") {
  FeedTail tail(feed);
  Entry entry = entry_of(1);
  entry.feed.node = id_of<NodeId>(77);
  entry.sequence = {99};
  const auto made = tail.append(entry, key());
  REQUIRE(made);
  const auto it = decode_entry(made->entry);
  REQUIRE(it);
  CHECK((it->feed == feed));
  CHECK(it->sequence.value == 1);
  CHECK(verify_head(made->head_note, feed, key().public_key())->sequence.value == 1);
}

TEST_CASE("feed: whoever checks a batch is told the same subtrees as its writer") {
  const Log log = log_of(11);
  std::map<crypto::SubtreeId, Digest> told;
  FeedTail tail(feed);
  const auto keep = [&](const crypto::SubtreeId& id, const Digest& hash) { told[id] = hash; };
  REQUIRE(tail.check_batch(log.from(0, 6), log.heads[6], {}, key().public_key(), keep));
  REQUIRE(tail.check_batch(log.from(6, 11), log.heads[11], {}, key().public_key(), keep));
  CHECK((told == log.subtrees));
}

TEST_CASE("feed: a tail is kept in bytes, and only its own bytes are one") {
  for (const std::uint64_t count : {0U, 1U, 2U, 7U, 8U}) {
    const Log log = log_of(count);
    const Bytes bytes = log.tail.encode();
    const auto again = FeedTail::decode(bytes);
    REQUIRE(again);
    CHECK((*again == log.tail));
    for (std::size_t size = 0; size < bytes.size(); ++size) CHECK(FeedTail::decode(ByteView(bytes).first(size)).error().fault == Fault::malformed);
    Bytes longer = bytes;
    longer.push_back(0);
    CHECK(!FeedTail::decode(longer));
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
      Bytes bad = bytes;
      bad[bit / 8] = static_cast<std::uint8_t>(bad[bit / 8] ^ 1 << bit % 8);
      const auto it = FeedTail::decode(bad);
      if (it) CHECK((it->encode() == bad));
    }
  }
}

TEST_CASE("feed: its heads begin with its name") {
  CHECK(feed_origin(feed) == "dozo/feed/1/" + feed.library.hex() + "/" + feed.node.hex() + "/" + feed.incarnation.hex());
  CHECK(log_of(1).heads[1].starts_with(feed_origin(feed) + "\n1\n"));
}
