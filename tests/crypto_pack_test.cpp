// Goal: a pack opens only whole, unchanged, with its key and as its library's; its bytes are the documented ones; few sizes exist.
#include <doctest/doctest.h>

#include <algorithm>

#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/pack_seal.h"
#include "crypto/random.h"
#include "tests/crypto_fixture.h"
#include "tests/documented.h"

using namespace dozo;
using namespace dozo::crypto;
using namespace dozo::crypto_fixture;

namespace {

const LibraryId library = LibraryId::parse("a0a1a2a3a4a5a6a7a8a9aaabacadaeaf").value();

EpochKey example_key() {
  Bytes bytes(32);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i);
  return EpochKey::from(bytes).value();
}
Bytes example_pack() {
  return seal_pack_with(example_key(), PackKind::meta, library, Epoch{1}, view_of("table"), view_of("table and The quick brown fox jumps over the lazy dog"),
                        Bytes(32, 0x11));
}

/// What somebody with the key can make who keeps to the seal and to nothing else: any header (whose salt counts, whose commitment is put in), any body.
Bytes forged(const EpochKey& key, Bytes header, Bytes body, std::uint8_t commitment_flip = 0) {
  Bytes seal_key(32), once(76);
  hkdf_expand(hkdf_extract(view_of("dozo pack 1"), key.reveal()).bytes, {view_of("dozo pack 1 seal")}, seal_key);
  hkdf_expand(seal_key, {view_of("dozo pack 1 once"), ByteView(header).first(64)}, once);
  std::copy_n(once.begin() + 44, 32, header.begin() + 64);
  header[95] ^= commitment_flip;
  std::array<std::uint8_t, 16> tag{};
  chacha_seal(ByteView(once).first<32>(), ByteView(once).subspan<32, 12>(), header, body, tag);
  append(header, body);
  append(header, tag);
  return header;
}
/// The header of the example and a body of 400 bytes that says to hold `plain` bytes, all of them `fill`, and zeros.
std::pair<Bytes, Bytes> parts(std::uint32_t plain, std::uint8_t fill = 1) {
  Bytes header = bytes_of(ByteView(example_pack()).first(pack_header_bytes)), body(400);
  put_u32(body.data(), plain);
  std::fill_n(body.begin() + 4, std::min<std::size_t>(plain, 396), fill);
  return {header, body};
}

}  // namespace

TEST_CASE("pack: has started") { REQUIRE(started); }

TEST_CASE("pack: the worked example has the bytes that the format document prints") {
  const Bytes pack = example_pack();
  const auto shown = documented::examples("storage-format.md");
  CHECK(to_hex(pack) == shown.at("whole pack"));
  CHECK(address_of(pack).hex() == shown.at("address"));
}

TEST_CASE("pack: what holders of the key forge is refused unless it is what sealing makes") {
  const EpochKey key = example_key();
  {
    auto [header, body] = parts(300);
    CHECK(open_pack(key, forged(key, header, body), library).value() == Bytes(300, 1));
    CHECK(!open_pack(EpochKey::random(), forged(key, header, body), library));
    CHECK(!open_pack(key, forged(key, header, body, 1), library));  // a tag that fits, over a commitment to another key
  }
  for (const std::size_t place : {304UL, 350UL, 399UL}) {  // padding that is not zero
    auto [header, body] = parts(300);
    body[place] = 1;
    CHECK(open_pack(key, forged(key, header, body), library).error().fault == Fault::not_authentic);
  }
  for (const std::uint32_t plain : {397U, 400U, 0x7fffffffU, 0xfffffffcU, 0xffffffffU}) {  // more than there is
    auto [header, body] = parts(plain);
    CHECK(!open_pack(key, forged(key, header, body), library));
  }
  {  // a whole length that is too long for its plain
    auto [header, body] = parts(0);
    body.resize(544 - pack_overhead_bytes);
    put_u32(&header[28], static_cast<std::uint32_t>(body.size()));
    REQUIRE(check_sealed(forged(key, header, body)));
    CHECK(!open_pack(key, forged(key, header, body), library));
    put_u32(body.data(), 410);
    CHECK(open_pack(key, forged(key, header, body), library));
  }
  for (const std::size_t place : {4UL, 5UL, 6UL, 7UL, 27UL, 31UL}) {  // a header that no pack has: suite, kind, zeros, epoch 0, length
    auto [header, body] = parts(300);
    header[place] = place == 27 ? 0 : 9;
    CHECK(!open_pack(key, forged(key, header, body), library));
    CHECK(!check_sealed(forged(key, header, body)));
  }
}

TEST_CASE("pack: a holder without keys refuses what no pack is, and says when it is only newer") {
  Bytes pack = example_pack();
  REQUIRE(check_sealed(pack));
  for (std::size_t size = 0; size < pack.size(); ++size) CHECK(!check_sealed(ByteView(pack).first(size)));
  for (const std::size_t size : {513UL, 520UL, 1000UL, bulk_pack_bytes - 1, bulk_pack_bytes + 1, bulk_pack_bytes + 16}) {
    Bytes longer = pack;
    longer.resize(size);
    put_u32(&longer[28], static_cast<std::uint32_t>(size - pack_overhead_bytes));
    CHECK(check_sealed(longer).error().fault == Fault::malformed);
  }
  pack[4] = 2;
  CHECK(check_sealed(pack).error().fault == Fault::unsupported);
}

TEST_CASE("pack: opens to what was sealed, at every size where the length changes") {
  const EpochKey key = example_key();
  for (const std::size_t size : {0UL, 1UL, 395UL, 396UL, 397UL, 1000UL, 65536UL, 500000UL, pack_plain_most - 1, pack_plain_most}) {
    Bytes plain(size);
    random_bytes(plain);
    const Bytes pack = seal_pack(key, PackKind::content, library, Epoch{7}, ByteView(plain).first(size / 2), plain);
    CHECK(pack.size() == sealed_bytes(size));
    CHECK(pack.size() <= bulk_pack_bytes);
    const PackHeader header = check_sealed(pack).value();
    CHECK((header.kind == PackKind::content && header.library == library && header.epoch.value == 7));
    CHECK(open_pack(key, pack, library).value() == plain);
  }
}

TEST_CASE("pack: every single-bit change, every truncation and every wrong key or library is refused") {
  const EpochKey key = example_key();
  Bytes pack = example_pack();
  REQUIRE(open_pack(key, pack, library));
  for (std::size_t i = 0; i < pack.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      pack[i] = static_cast<std::uint8_t>(pack[i] ^ 1 << bit);
      CHECK(!open_pack(key, pack, library));
      pack[i] = static_cast<std::uint8_t>(pack[i] ^ 1 << bit);
    }
  }
  for (std::size_t size = 0; size < pack.size(); ++size) CHECK(!open_pack(key, ByteView(pack).first(size), library));
  pack.push_back(0);
  CHECK(!open_pack(key, pack, library));
  pack.pop_back();
  CHECK(!open_pack(EpochKey::random(), pack, library));
  CHECK(!open_pack(key, pack, LibraryId{}));
}

TEST_CASE("pack: the same dice make another key for another table") {
  const Bytes dice(32, 0x11);
  const Bytes one = seal_pack_with(example_key(), PackKind::meta, library, Epoch{1}, view_of("a"), view_of("a"), dice);
  const Bytes two = seal_pack_with(example_key(), PackKind::meta, library, Epoch{1}, view_of("b"), view_of("b"), dice);
  CHECK(!equal(ByteView(one).subspan(32, 64), ByteView(two).subspan(32, 64)));
}

TEST_CASE("pack: few sizes exist, each a Padmé length or the bulk size") {
  std::vector<std::size_t> sizes;
  for (std::size_t plain = 0; plain <= pack_plain_most; plain += 97) {
    const std::size_t size = sealed_bytes(plain);
    CHECK(size >= plain + pack_overhead_bytes + pack_length_bytes);
    if (sizes.empty() || sizes.back() != size) sizes.push_back(size);
  }
  CHECK(std::is_sorted(sizes.begin(), sizes.end()));
  CHECK(sizes.size() < 300);
  CHECK(sizes.back() == bulk_pack_bytes);
}
