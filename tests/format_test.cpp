// The worked example of records and feeds in docs/storage-format.md: what store makes of the documented values is what the document shows, and what
// tests/reference/records.py made of them is read.
#include <doctest/doctest.h>

#include "crypto/hash.h"
#include "crypto/start.h"
#include "store/acts.h"
#include "store/entry.h"
#include "store/feed.h"
#include "store/record.h"
#include "tests/documented.h"

using namespace dozo;
using namespace dozo::store;

namespace {

template <class Id>
Id counted(std::uint8_t first) {
  Id out;
  for (std::size_t i = 0; i < Id::size; ++i) out.bytes[i] = static_cast<std::uint8_t>(first + i);
  return out;
}
constexpr std::int64_t time_ms_shown = 1'700'000'000'000;

Record documented_record() {
  Record out;
  out.library = counted<LibraryId>(0xa0);
  out.hlc = static_cast<std::uint64_t>(time_ms_shown) << 16;
  out.device = counted<NodeId>(0x50);
  out.person = counted<PersonId>(0xc0);
  out.role = "engineer";
  out.policy = {7};
  out.who = "Osaka Tani";
  out.text = "drawn anew";
  const auto document = counted<DocumentId>(0x30);
  out.ops.push_back({document, Register::path, std::string("bridge/plan.pdf"), {}, 0, {}, {}, {}});
  out.ops.push_back({document,
                     Register::content,
                     ContentValue{ContentKind::file, counted<Digest>(0x80), false},
                     {counted<VersionId>(0x01)},
                     0,
                     "bridge/plan.pdf",
                     {},
                     Source{counted<PieceId>(0x40), 1234}});
  return out;
}

}  // namespace

TEST_CASE("formats: the record and the entry of docs/storage-format.md, byte for byte") {
  REQUIRE(crypto::start());
  const auto shown = documented::examples("storage-format.md");
  const Record record = documented_record();
  CHECK(to_hex(encode(record)) == shown.at("record"));
  const auto read = decode_record(from_hex(shown.at("record")).value());
  REQUIRE(read);
  CHECK((*read == record));
  CHECK(record_id(record).hex() == shown.at("record id"));
  CHECK(version_id(record.ops[0]).hex() == shown.at("version id, path"));
  CHECK(version_id(record.ops[1]).hex() == shown.at("version id, content"));

  const crypto::SigningKey key = crypto::SigningKey::from_seed(counted<Digest>(0).view()).value();
  const SignedRecord signed_record = sign(record, {}, key, counted<FixedBytes<32, BlindTag>>(0x60)).value();
  CHECK(signed_record.signature.hex() == shown.at("record's signature"));
  CHECK(commitment(signed_record).hex() == shown.at("record's commitment"));

  Entry entry;
  entry.feed = {counted<LibraryId>(0xa0), counted<NodeId>(0x50), counted<IncarnationId>(0x10)};
  entry.sequence = {3};
  entry.policy = {7};
  entry.epoch = {2};
  entry.time_ms = time_ms_shown;
  entry.view_rules = 1;
  entry.freshness = 1'700'000'000;
  entry.record = commitment(signed_record);
  entry.packs = std::vector<PackListing>{{counted<PackAddress>(0x20), 512, crypto::PackKind::meta}};
  CHECK(to_hex(encode(entry)) == shown.at("entry"));
  const auto entry_read = decode_entry(from_hex(shown.at("entry")).value());
  REQUIRE(entry_read);
  CHECK((*entry_read == entry));
  const Digest leaf = crypto::leaf_hash(encode(entry));
  CHECK(leaf.hex() == shown.at("entry's leaf"));

  // A log of one entry has that leaf for its root.
  const std::string note = documented::examples("storage-format.md", "\n").at("head of it alone") + "\n";
  const auto head = verify_head(note, entry.feed, key.public_key());
  REQUIRE_MESSAGE(head, (head ? "" : head.error().text));
  CHECK(head->sequence.value == 1);
  CHECK(head->root == leaf);
}
