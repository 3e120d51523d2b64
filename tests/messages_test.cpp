// Goal: every message comes back as it was sent, no other bytes become one, and the bytes are those that the document shows.
#include <doctest/doctest.h>

#include "sync/messages.h"
#include "tests/documented.h"

using namespace dozo;
using namespace dozo::sync;

namespace {

template <class Id>
Id id(std::uint8_t fill) {
  Id out;
  out.bytes.fill(fill);
  return out;
}

const LibraryId library = id<LibraryId>(0x11);
const FeedId feed{library, id<NodeId>(0x22), id<IncarnationId>(0x33)};
const FeedPoint point{feed, {7}, id<Digest>(0x44)};
const ObjectId object{library, ObjectKind::list, id<Digest>(0x55)};

/// One of each kind, with something in every field.
std::vector<Message> one_of_each() {
  LibraryWanted wanted{library, {}, true, false, id<NodeId>(0x22), "receipt"};
  for (std::size_t i = 0; i < bucket_count; ++i) wanted.buckets[i] = i * 0x0101010101010101U;
  return {
      ObjectUnavailable{object},
      State{id<RealmId>(1), {2, 3, 4, id<Digest>(5)}, id<Digest>(6)},
      DocumentsWanted{{{"root", 3, false, std::nullopt}, {"freshness", 4, true, id<Digest>(7)}}, true},
      DocumentsGiven{{bytes_of("one"), {}, bytes_of("three")}},
      LibraryStates{{{library, id<Digest>(1), id<Digest>(2)}, {id<LibraryId>(0x12), id<Digest>(3), id<Digest>(4)}}, true},
      wanted,
      FeedHeads{library, {point, point}},
      EntriesWanted{point, {5}},
      EntriesGiven{point, {5}, {bytes_of("entry"), bytes_of("another")}, "a note\n", {id<Digest>(8), id<Digest>(9)}},
      StatementMarks{library, {{id<NodeId>(0x22), "receipt", 9}}, true},
      StatementWanted{library, id<NodeId>(0x22), "receipt"},
      StatementGiven{library, id<NodeId>(0x22), "receipt", 9, bytes_of("signed")},
      SliceWanted{object, 65'536},
      SliceGiven{object, 65'536, 70'000, bytes_of("slice")},
      Versions{id<RealmId>(1), 2, 3, 4},
  };
}

}  // namespace

TEST_CASE("messages: every kind comes back as it was") {
  const std::vector<Message> all = one_of_each();
  REQUIRE(all.size() == std::variant_size_v<Message>);
  for (std::size_t i = 0; i < all.size(); ++i) {
    CAPTURE(i);
    CHECK(all[i].index() == i);
    const Bytes bytes = encode(all[i]);
    const auto again = decode(bytes, control_bytes_most);
    REQUIRE(again);
    CHECK(again->index() == i);
    CHECK(encode(*again) == bytes);
  }
  const auto given = std::get<EntriesGiven>(*decode(encode(all[8]), control_bytes_most));
  CHECK((given.point == point && given.from.value == 5 && given.entries.at(1) == bytes_of("another") && given.head_note == "a note\n" &&
         given.proof.at(1) == id<Digest>(9)));
}

TEST_CASE("messages: no truncation is one, nor one with bytes after its end") {
  for (const Message& message : one_of_each()) {
    Bytes bytes = encode(message);
    for (std::size_t size = 0; size < bytes.size(); ++size) CHECK(!decode(ByteView(bytes).first(size), control_bytes_most));
    bytes.push_back(0);
    CHECK(!decode(bytes, control_bytes_most));
  }
}

TEST_CASE("messages: a changed byte gives a refusal, or another message whose encoding it is") {
  for (const Message& message : one_of_each()) {
    const Bytes bytes = encode(message);
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      for (int change = 1; change < 256; ++change) {
        Bytes changed = bytes;
        changed[at] ^= static_cast<std::uint8_t>(change);
        const auto decoded = decode(changed, control_bytes_most);
        if (decoded) REQUIRE(encode(*decoded) == changed);
      }
    }
  }
}

TEST_CASE("messages: another protocol and an unknown kind are said to be that") {
  Bytes bytes = encode(Versions{});
  bytes[0] = protocol_version + 1;
  CHECK(decode(bytes, 1'000).error().fault == Fault::unsupported);
  bytes[0] = protocol_version;
  bytes[1] = std::variant_size_v<Message>;
  CHECK(decode(bytes, 1'000).error().fault == Fault::unsupported);
}

TEST_CASE("messages: what is over its cap is refused, also where the bytes would be there") {
  CHECK(decode(encode(DocumentsGiven{{Bytes(1'000)}}), 1'000).error().fault == Fault::over_limit);
  const std::size_t any = 16U << 20;
  CHECK(decode(encode(DocumentsGiven{{Bytes(document_bytes_most)}}), any));
  CHECK(!decode(encode(DocumentsGiven{{Bytes(document_bytes_most + 1)}}), any));
  CHECK(!decode(encode(DocumentsGiven{std::vector<Bytes>(documents_most + 1)}), any));
  CHECK(!decode(encode(DocumentsWanted{std::vector<DocumentWant>(documents_most + 1), false}), any));
  CHECK(!decode(encode(DocumentsWanted{{{std::string(65, 'x'), 1, false, {}}}, false}), any));
  CHECK(!decode(encode(LibraryStates{std::vector<LibraryState>(libraries_most + 1), false}), any));
  CHECK(decode(encode(FeedHeads{library, std::vector<FeedPoint>(feeds_most)}), control_bytes_most));
  CHECK(!decode(encode(FeedHeads{library, std::vector<FeedPoint>(feeds_most + 1)}), any));
  CHECK(!decode(encode(EntriesGiven{point, {1}, std::vector<Bytes>(entries_most + 1), "", {}}), any));
  CHECK(!decode(encode(EntriesGiven{point, {1}, {Bytes(entry_bytes_most + 1)}, "", {}}), any));
  CHECK(!decode(encode(EntriesGiven{point, {1}, {}, std::string(note_bytes_most + 1, 'x'), {}}), any));
  CHECK(!decode(encode(EntriesGiven{point, {1}, {}, "", std::vector<Digest>(proof_hashes_most + 1)}), any));
  CHECK(!decode(encode(StatementMarks{library, std::vector<StatementMark>(statements_most + 1), false}), any));
  CHECK(!decode(encode(StatementGiven{library, {}, "", 1, Bytes(statement_bytes_most + 1)}), any));
  CHECK(!decode(encode(StatementGiven{library, {}, std::string(subject_bytes_most + 1, 'x'), 1, {}}), any));
  CHECK(decode(encode(SliceGiven{object, 0, 1, Bytes(slice_bytes_most)}), bulk_bytes_most));
  CHECK(!decode(encode(SliceGiven{object, 0, 1, Bytes(slice_bytes_most + 1)}), any));
}

TEST_CASE("messages: a count that the bytes cannot hold is refused before anything is allocated") {
  Bytes bytes = encode(FeedHeads{library, {}});
  put_u32(bytes.data() + bytes.size() - 4, feeds_most);
  CHECK(decode(bytes, control_bytes_most).error().fault == Fault::malformed);
}

TEST_CASE("messages: the worked examples are the documented bytes") {
  const auto shown = documented::examples("wire-protocol.md");
  CHECK(shown.at("FeedHeads") == to_hex(encode(FeedHeads{library, {point}})));
  CHECK(shown.at("EntriesWanted") == to_hex(encode(EntriesWanted{point, {5}})));
  CHECK(shown.at("SliceWanted") == to_hex(encode(SliceWanted{{library, ObjectKind::pack, id<Digest>(0x55)}, 65'536})));
}
