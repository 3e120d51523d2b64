// Entries and the lists of packs that are too long for one.
#include <doctest/doctest.h>

#include <functional>

#include "crypto/hash.h"
#include "store/entry.h"
#include "tests/record_fixture.h"

using namespace dozo;
using namespace dozo::store;
using namespace dozo::record_fixture;

namespace {

std::vector<PackListing> listings(std::size_t count) {
  std::vector<PackListing> out;
  for (std::uint64_t i = 0; i < count; ++i) {
    PackAddress address;
    put_u64(address.bytes.data(), i + 1);
    out.push_back({address, 512, i % 2 == 0 ? crypto::PackKind::meta : crypto::PackKind::content});
  }
  return out;
}
std::vector<PackAddress> addresses(std::size_t count) {
  std::vector<PackAddress> out;
  for (const PackListing& it : listings(count)) out.push_back(it.address);
  return out;
}
Entry change_entry() {
  Entry out;
  out.feed = {id_of<LibraryId>(9), id_of<NodeId>(3), id_of<IncarnationId>(1)};
  out.sequence = {7};
  out.policy = {2};
  out.epoch = {1};
  out.time_ms = -1;
  out.view_rules = 1;
  out.freshness = 1'795'410'300;
  out.record = id_of<Digest>(4);
  out.packs = listings(3);
  out.reliances = addresses(2);
  return out;
}
Fault fault_of(const Entry& entry) {
  const auto it = decode_entry(encode(entry));
  REQUIRE(!it);
  return it.error().fault;
}

}  // namespace

TEST_CASE("entry: decodes to what was encoded, with a list of its own or the name of one") {
  Entry entry = change_entry();
  CHECK((*decode_entry(encode(entry)) == entry));
  entry.packs = PackListObject{id_of<Digest>(5), 257};
  CHECK((*decode_entry(encode(entry)) == entry));
  entry.packs = std::vector<PackListing>{};
  entry.reliances.clear();
  CHECK((*decode_entry(encode(entry)) == entry));
}

TEST_CASE("entry: cut short anywhere, or with a byte more, it is refused, and a flipped bit never changes its encoding unseen") {
  const Bytes bytes = encode(change_entry());
  for (std::size_t size = 0; size < bytes.size(); ++size) CHECK(decode_entry(ByteView(bytes).first(size)).error().fault == Fault::malformed);
  Bytes longer = bytes;
  longer.push_back(0);
  CHECK(!decode_entry(longer));
  std::size_t refused = 0;
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    Bytes bad = bytes;
    bad[bit / 8] = static_cast<std::uint8_t>(bad[bit / 8] ^ 1 << bit % 8);
    const auto it = decode_entry(bad);
    if (!it) {
      ++refused;
    } else {
      CHECK((encode(*it) == bad));
    }
  }
  CHECK(refused > 50);
}

TEST_CASE("entry: what no entry may say is refused") {
  const auto refused = [](const std::string& what, const std::function<void(Entry&)>& spoil) {
    CAPTURE(what);
    Entry entry = change_entry();
    spoil(entry);
    CHECK(fault_of(entry) == Fault::malformed);
  };
  refused("sequence 0", [](Entry& it) { it.sequence = {0}; });
  refused("epoch 0", [](Entry& it) { it.epoch = {0}; });
  refused("policy 0", [](Entry& it) { it.policy = {0}; });
  refused("a change without a record", [](Entry& it) { it.record = {}; });
  refused("a change with a body", [](Entry& it) { it.body = {1}; });
  refused("packs out of order", [](Entry& it) { std::swap(std::get<0>(it.packs)[0], std::get<0>(it.packs)[1]); });
  refused("a pack twice", [](Entry& it) { std::get<0>(it.packs)[1].address = std::get<0>(it.packs)[0].address; });
  refused("reliances out of order", [](Entry& it) { std::swap(it.reliances[0], it.reliances[1]); });
  refused("a reliance twice", [](Entry& it) { it.reliances[1] = it.reliances[0]; });
  refused("a list object for what an entry holds", [](Entry& it) { it.packs = PackListObject{id_of<Digest>(5), entry_packs_most}; });
  refused("a list object of more than any", [](Entry& it) { it.packs = PackListObject{id_of<Digest>(5), list_object_packs_most + 1}; });
}

TEST_CASE("entry: each list holds its most and is refused with one more") {
  Entry entry = change_entry();
  entry.packs = listings(entry_packs_most);
  entry.reliances = addresses(entry_reliances_most);
  CHECK((*decode_entry(encode(entry)) == entry));
  entry.kind = static_cast<std::uint8_t>(EntryKind::lost);
  entry.body = Bytes(entry_body_bytes_most, 1);
  CHECK((*decode_entry(encode(entry)) == entry));  // the most of all together
  CHECK(encode(entry).size() <= entry_bytes_most);
  Entry over = entry;
  over.packs = listings(entry_packs_most + 1);
  CHECK(fault_of(over) == Fault::over_limit);
  over = entry;
  over.reliances = addresses(entry_reliances_most + 1);
  CHECK(fault_of(over) == Fault::over_limit);
  over = entry;
  over.body.push_back(1);
  CHECK(fault_of(over) == Fault::over_limit);
  CHECK(decode_entry(Bytes(entry_bytes_most + 1, 1)).error().fault == Fault::over_limit);
}

TEST_CASE("entry: kinds of later days are carried with all that they say; a newer format is told apart") {
  Entry entry = change_entry();
  for (unsigned kind = 1; kind <= 255; ++kind) {
    entry.kind = static_cast<std::uint8_t>(kind);
    entry.record = kind % 2 == 0 ? Digest{} : id_of<Digest>(4);
    entry.body = Bytes(kind, 7);
    CHECK((*decode_entry(encode(entry)) == entry));
  }
  CHECK(!entry.is(EntryKind::close));
  entry.format = 2;
  CHECK(fault_of(entry) == Fault::unsupported);
}

TEST_CASE("entry: a list object is taken by its hash and count alone") {
  const auto packs = listings(300);
  const Bytes bytes = encode_list(packs);
  const PackListObject name{crypto::sha256(bytes), 300};
  const auto list = decode_list(bytes, name);
  REQUIRE(list);
  CHECK((*list == packs));
  Bytes bad = bytes;
  bad[100] ^= 1;
  CHECK(decode_list(bad, name).error().fault == Fault::not_authentic);
  CHECK(decode_list(ByteView(bytes).first(bytes.size() - 1), name).error().fault == Fault::not_authentic);
  CHECK(decode_list(bytes, {name.sha256, 299}).error().fault == Fault::not_authentic);
  // Named by its right hash, but nothing that encode_list makes.
  const auto named = [](const Bytes& what, std::uint32_t count) { return decode_list(what, {crypto::sha256(what), count}); };
  auto wrong = packs;
  std::swap(wrong[5], wrong[6]);
  CHECK(named(encode_list(wrong), 300).error().fault == Fault::malformed);
  wrong[5] = wrong[6];
  CHECK(named(encode_list(wrong), 300).error().fault == Fault::malformed);
  Bytes longer = bytes;
  longer.push_back(0);
  CHECK(named(longer, 300).error().fault == Fault::malformed);
  CHECK(named({0xff, 0xff, 0xff, 0xff}, 300).error().fault == Fault::over_limit);
  CHECK(named({0, 0, 1, 44}, 300).error().fault == Fault::malformed);
  CHECK(named(Bytes(4 + 37 * list_object_packs_most + 1), 300).error().fault == Fault::over_limit);
}
