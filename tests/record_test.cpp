// Records: their encoding, what they must keep to, their ids, signatures and commitments.
#include <doctest/doctest.h>

#include <functional>
#include <set>

#include "tests/record_fixture.h"

using namespace dozo;
using namespace dozo::store;
using namespace dozo::record_fixture;

namespace {

using Blind = FixedBytes<32, struct BlindTag>;

/// One of everything.
Record full() {
  Record out = change(5, create(document(1), "図/a.txt", file(1, true)));
  out.text = "checked on site";
  out.chain = Chain{{{1, 2}}, 1, 3};
  Op edit = save({document(2),
                  {},
                  {},
                  "b",
                  {id_of<VersionId>(1), id_of<VersionId>(2)},
                  Side{{7, id_of<RecordId>(1)}, "大阪 佐藤 2026-11-23 14.05", id_of<VersionId>(3)},
                  {}},
                 file(2))[0];
  edit.again = 4;
  out.ops.push_back(edit);
  out.ops.push_back({document(3), Register::content, dir_value, {}, 0, "dir", {}, {}});
  out.ops.push_back({document(3), Register::label, Label{9}, {}, 0, {}, {}, {}});
  out.ops.push_back({document(4), Register::path, Deleted{}, {id_of<VersionId>(4)}, 0, {}, {}, {}});
  Content link = file(3);
  link.value.kind = ContentKind::symlink;
  out.ops.push_back({document(5), Register::content, link.value, {}, 0, "link", {}, link.source});
  return out;
}
bool good(const Record& record) { return well_formed(record, record_id(record)).has_value(); }
Fault fault_of(ByteView bytes) {
  const auto it = decode_record(bytes);
  REQUIRE(!it);
  return it.error().fault;
}

}  // namespace

TEST_CASE("record: decodes to what was encoded, and encodes to the same bytes") {
  const Record record = full();
  CHECK(good(record));
  const Bytes bytes = encode(record);
  const auto again = decode_record(bytes);
  REQUIRE(again);
  CHECK((*again == record));
  CHECK((encode(*again) == bytes));
  CHECK(record_id(bytes) == record_id(record));
}

TEST_CASE("record: cut short anywhere, or with a byte more, it is refused") {
  Bytes bytes = encode(full());
  for (std::size_t size = 0; size < bytes.size(); ++size) CHECK(fault_of(ByteView(bytes).first(size)) == Fault::malformed);
  bytes.push_back(0);
  CHECK(fault_of(bytes) == Fault::malformed);
}

TEST_CASE("record: any bit flipped is refused, or makes another record that encodes to just these bytes") {
  const Bytes bytes = encode(full());
  const RecordId id = record_id(bytes);
  std::size_t refused = 0;
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    Bytes bad = bytes;
    bad[bit / 8] = static_cast<std::uint8_t>(bad[bit / 8] ^ 1 << bit % 8);
    const auto it = decode_record(bad);
    if (!it) {
      ++refused;
      continue;
    }
    CHECK((encode(*it) == bad));
    CHECK(record_id(bad) != id);
    (void)well_formed(*it, record_id(bad));  // says yes or no, and no more
  }
  CHECK(refused > 300);
}

TEST_CASE("record: a newer format is told apart from a damaged one") {
  Bytes bytes = encode(full());
  bytes[0] = record_format + 1;
  CHECK(fault_of(bytes) == Fault::unsupported);
  bytes[0] = 0;
  CHECK(fault_of(bytes) == Fault::unsupported);
}

TEST_CASE("record: each field holds its most and is refused with one more") {
  const auto check = [](const std::string& what, const std::function<void(Record&, std::size_t)>& set, std::size_t most) {
    CAPTURE(what);
    Record record = change(0, create(document(1), "a", file(1)));
    set(record, most);
    REQUIRE(decode_record(encode(record)));
    CHECK((*decode_record(encode(record)) == record));
    set(record, most + 1);
    CHECK(fault_of(encode(record)) == Fault::over_limit);
  };
  check("role", [](Record& record, std::size_t size) { record.role.assign(size, 'r'); }, role_bytes_most);
  check("who", [](Record& record, std::size_t size) { record.who.assign(size, 'w'); }, who_bytes_most);
  check("text", [](Record& record, std::size_t size) { record.text.assign(size, 't'); }, text_bytes_most);
  check("path", [](Record& record, std::size_t size) { record.ops[0].value = std::string(size, 'p'); }, path_bytes_most);
  check("at", [](Record& record, std::size_t size) { record.ops[1].at.assign(size, 'p'); }, path_bytes_most);
  check("side", [](Record& record, std::size_t size) { record.ops[1].side = Side{{}, std::string(size, 's'), {}}; }, who_shown_bytes_most);
  check("replaces", [](Record& record, std::size_t size) { record.ops[1].replaces.assign(size, VersionId{}); }, op_replaces_most);
  check("ops", [](Record& record, std::size_t size) { record.ops.assign(size, {document(1), Register::label, Label{}, {}, 0, {}, {}, {}}); }, record_ops_most);
  // All together: more than a record may be, each field within its own bound.
  Record large = change(0, {});
  for (std::uint64_t i = 0; i < 70; ++i) large.ops.push_back({document(i), Register::path, std::string(4000, 'p'), {}, 0, {}, {}, {}});
  CHECK(fault_of(encode(large)) == Fault::over_limit);
}

TEST_CASE("record: what no record may say is not well formed") {
  const auto refused = [](const std::string& what, const std::function<void(Record&)>& spoil) {
    CAPTURE(what);
    Record record = full();
    spoil(record);
    const auto it = well_formed(record, record_id(record));
    REQUIRE(!it);
    CHECK(it.error().fault == Fault::malformed);
  };
  const auto op = [&](const char* what, std::size_t number, const std::function<void(Op&)>& spoil) {
    refused(what, [&](Record& record) { spoil(record.ops.at(number)); });
  };
  refused("another format", [](Record& record) { record.format = 2; });
  refused("nothing done", [](Record& record) { record.ops.clear(); });
  refused("too much done", [](Record& record) { record.ops.resize(record_ops_most + 1, record.ops[0]); });
  refused("a chain of one", [](Record& record) { record.chain->parts = 1, record.chain->part = 0; });
  refused("a part beyond the chain", [](Record& record) { record.chain->part = 3; });
  for (const std::string& path : {std::string(), std::string("/a"), std::string("a/../b"), std::string("a\0b", 3), std::string(256, 'x')}) {
    op("a bad path", 0, [&](Op& it) { it.value = path; });
    op("a bad place", 1, [&](Op& it) { it.at = path; });
  }
  op("a content in a path", 0, [](Op& it) { it.value = dir_value; });
  op("a path in a content", 1, [](Op& it) { it.value = std::string("a"); });
  op("a label in a content", 1, [](Op& it) { it.value = Label{1}; });
  op("a path in a label", 4, [](Op& it) { it.value = std::string("a"); });
  op("a place of a path", 0, [](Op& it) { it.at = "a"; });
  op("a source of a path", 0, [](Op& it) { it.source = Source{}; });
  op("a side of a label", 4, [](Op& it) { it.side = Side{}; });
  op("a place of a label", 4, [](Op& it) { it.at = "a"; });
  op("a deletion of nothing", 5, [](Op& it) { it.replaces.clear(); });
  op("replaced ids out of order", 2, [](Op& it) { std::swap(it.replaces[0], it.replaces[1]); });
  op("a replaced id twice", 2, [](Op& it) { it.replaces[1] = it.replaces[0]; });
  op("a side whose text is not clean", 2, [](Op& it) { it.side->text = "a/b"; });
  op("a file without a source", 1, [](Op& it) { it.source.reset(); });
  op("a deleted content with a source", 1, [](Op& it) { it.value = Deleted{}, it.replaces = {VersionId{}}; });
  op("a dir with a source", 3, [](Op& it) { it.source = Source{}; });
  op("a dir with a hash", 3, [](Op& it) { it.value = ContentValue{ContentKind::dir, id_of<Digest>(1), false}; });
  op("an executable dir", 3, [](Op& it) { it.value = ContentValue{ContentKind::dir, {}, true}; });
  op("an executable link", 6, [](Op& it) { std::get<ContentValue>(it.value).executable = true; });
}

TEST_CASE("record: a side stands below the record's own stamp, also at the same time") {
  Record record = change(0, save({document(1), {}, {}, "a", {}, Side{}, {}}, file(1)));
  const std::uint64_t hlc = record.hlc;
  const auto with = [&](Stamp rank) {
    record.ops[0].side->rank = rank;
    return record;
  };
  CHECK(good(with({hlc - 1, {}})));
  CHECK(!good(with({hlc + 1, {}})));
  // The record's id depends on what is inside it, so equal times are settled by an id given from outside.
  const Record same = with({hlc, id_of<RecordId>(5)});
  CHECK(well_formed(same, id_of<RecordId>(6)));
  CHECK(!well_formed(same, id_of<RecordId>(5)));
  CHECK(!well_formed(same, id_of<RecordId>(4)));
}

TEST_CASE("record: a version's id is what is done to what, not who did it, when, where it was shown or where its bytes are") {
  const Op op = full().ops[2];
  const VersionId id = version_id(op);
  const auto with = [&](const std::function<void(Op&)>& spoil) {
    Op other = op;
    spoil(other);
    return version_id(other);
  };
  CHECK(with([](Op& it) { it.at = "elsewhere"; }) == id);
  CHECK(with([](Op& it) { it.side.reset(); }) == id);
  CHECK(with([](Op& it) { it.source = Source{id_of<PieceId>(9), 9}; }) == id);
  std::set<VersionId> all{id};
  all.insert(with([](Op& it) { it.document = document(9); }));
  all.insert(with([](Op& it) { it.reg = Register::path, it.value = std::string("a"); }));
  all.insert(with([](Op& it) { it.value = file(9).value; }));
  all.insert(with([](Op& it) { it.value = file(2, true).value; }));
  all.insert(with([](Op& it) { it.value = Deleted{}; }));
  all.insert(with([](Op& it) { it.replaces.pop_back(); }));
  all.insert(with([](Op& it) { it.again = 5; }));
  CHECK(all.size() == 8);
}

TEST_CASE("record: signed by its key it verifies, and nothing else does") {
  const auto key = key_of(1), other = key_of(2);
  const Record record = full();
  const auto made = sign(record, Bytes{1, 2, 3}, key, Blind{{7}});
  REQUIRE(made);
  CHECK(verify(*made, key.public_key()));
  CHECK(verify(*made, other.public_key()).error().fault == Fault::not_authentic);
  CHECK((made->record == encode(record)));
  const Bytes bytes = encode(*made);
  const auto again = decode_signed_record(bytes);
  REQUIRE(again);
  CHECK((*again == *made));
  for (std::size_t i = 0; i < made->record.size(); i += 7) {
    SignedRecord bad = *made;
    bad.record[i] ^= 1;
    CHECK(verify(bad, key.public_key()).error().fault == Fault::not_authentic);
  }
  SignedRecord bad = *made;
  bad.signature.bytes[5] ^= 1;
  CHECK(!verify(bad, key.public_key()));
  CHECK(!verify(*made, crypto::VerifyKey{}));
  // A signature of the same bytes for another use is none.
  bad.signature = crypto::sign(key, "dozo commitment 1", made->record);
  CHECK(!verify(bad, key.public_key()));
  for (std::size_t size = 0; size < bytes.size(); size += 3) CHECK(decode_signed_record(ByteView(bytes).first(size)).error().fault == Fault::malformed);
  Bytes longer = bytes;
  longer.push_back(0);
  CHECK(!decode_signed_record(longer));
  CHECK(decode_signed_record(Bytes(signed_record_bytes_most + 1)).error().fault == Fault::over_limit);
}

TEST_CASE("record: nobody signs what nobody would accept") {
  const auto key = key_of(1);
  Record empty = full();
  empty.ops.clear();
  CHECK(sign(empty, {}, key, {}).error().fault == Fault::malformed);
  Record wordy = full();
  wordy.text.assign(text_bytes_most + 1, 't');
  CHECK(sign(wordy, {}, key, {}).error().fault == Fault::over_limit);
  Record large = full();
  for (std::uint64_t i = 0; i < 70; ++i)
    large.ops.push_back({document(i), Register::path, std::string(250, 'p') + "/" + std::string(250, 'p'), {}, 0, {}, {}, {}});
  CHECK(sign(large, {}, key, {}));
  for (std::uint64_t i = 0; i < 500; ++i)
    large.ops.push_back({document(i), Register::path, std::string(250, 'p') + "/" + std::string(250, 'p'), {}, 0, {}, {}, {}});
  CHECK(sign(large, {}, key, {}).error().fault == Fault::over_limit);
  CHECK(sign(full(), Bytes(certificate_bytes_most), key, {}));
  CHECK(sign(full(), Bytes(certificate_bytes_most + 1), key, {}).error().fault == Fault::over_limit);
  Record newer = full();
  newer.format = 2;
  CHECK(!sign(newer, {}, key, {}));
}

TEST_CASE("record: a commitment changes with every byte of the signed record, the blind among them") {
  const auto made = sign(full(), Bytes{1, 2, 3}, key_of(1), Blind{{7}});
  REQUIRE(made);
  std::set<Digest> all{commitment(*made)};
  SignedRecord other = *made;
  other.blind.bytes[31] ^= 1;
  all.insert(commitment(other));
  other = *made;
  other.certificate.push_back(4);
  all.insert(commitment(other));
  other = *made;
  other.record.back() ^= 1;
  all.insert(commitment(other));
  other = *made;
  other.signature.bytes[0] ^= 1;
  all.insert(commitment(other));
  CHECK(all.size() == 5);
}

TEST_CASE("record: the text of a sibling's name always fits into a save through it") {
  Record record = change(0, create(document(1), "a", file(1)), 1, std::string(who_bytes_most, 'w'));
  record.hlc = ~std::uint64_t{0} - 5;  // the longest year
  const std::string text = StoredRecord(record_id(record), record).text;
  CHECK(text.size() <= who_shown_bytes_most);
  Record through = change(0, save({document(1), {}, {}, "a", {}, Side{{record.hlc, record_id(record)}, text, {}}, {}}, file(2)));
  through.hlc = record.hlc + 1;
  CHECK(good(through));
  CHECK(sign(through, {}, key_of(1), {}));
}
