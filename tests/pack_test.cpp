// Packs: how pieces are laid out for sealing, and what of foreign packs is refused.
#include <doctest/doctest.h>
#include <zstd.h>

#include <set>

#include "base/archive.h"
#include "store/pack.h"
#include "store/record.h"
#include "tests/content_fixture.h"

namespace {
using namespace dozo;
using namespace dozo::store;
using content_fixture::Dice;
using content_fixture::noise;
using content_fixture::prose;
using crypto::PackKind;

static_assert(signed_record_bytes_most <= piece_bytes_most(PieceType::record));

const LibraryId library{{5}};
const crypto::EpochKey& key() {
  static const auto made = crypto::EpochKey::made_by([](auto bytes) { std::ranges::fill(bytes, std::uint8_t{3}); });
  return made;
}
PieceId add(PackBuilder& builder, PieceType type, ByteView bytes, std::vector<PackImage>& full) {
  const PieceId id = piece_id(type, bytes);
  if (auto image = builder.add(type, id, bytes)) full.push_back(std::move(*image));
  return id;
}
PackImage pack_of(const std::vector<Bytes>& documents) {
  PackBuilder builder(PackKind::content, 3);
  std::vector<PackImage> full;
  for (const Bytes& document : documents) {
    builder.begin_document();
    add(builder, PieceType::content, document, full);
  }
  REQUIRE(full.empty());
  return *builder.finish();
}
/// A plain pack with this table and these bodies.
Bytes laid_out(const ContentsTable& table, ByteView bodies) {
  const Bytes encoded = encode(table);
  Bytes out(4);
  put_u32(out.data(), static_cast<std::uint32_t>(encoded.size()));
  append(out, encoded);
  append(out, bodies);
  return out;
}
TableGroup raw_group_of(const Bytes& piece) {
  const auto size = static_cast<std::uint32_t>(piece.size());
  return {Codec::raw, size, size, {{PieceType::content, piece_id(PieceType::content, piece), size}}};
}
Bytes zstd_of(ByteView bytes) {
  Bytes out(ZSTD_compressBound(bytes.size()));
  out.resize(ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), 3));
  return out;
}
}  // namespace

TEST_CASE("store: ids of the same bytes differ by type") {
  std::set<PieceId> ids;
  for (const PieceType type : {PieceType::content, PieceType::manifest, PieceType::list, PieceType::record}) ids.insert(piece_id(type, view_of("same")));
  CHECK(ids.size() == 4);
  CHECK(piece_id(PieceType::content, view_of("same")).hex() == crypto::sha256(view_of(std::string_view("dozo piece 1\0same", 17))).hex());
}

TEST_CASE("store: a sealed pack gives its pieces back and nothing under another key or library") {
  const std::vector<Bytes> documents = {prose(1, 50'000), noise(2, 50'000), prose(3, 10), noise(4, 1)};
  const SealedPack sealed = seal(key(), library, Epoch{7}, pack_of(documents));
  CHECK(sealed.address == crypto::address_of(sealed.bytes));
  CHECK(sealed.places.size() == 4);
  const auto pack = OpenPack::open(key(), sealed.bytes, library);
  REQUIRE(pack);
  CHECK(pack->verify_all());
  CHECK(pack->places() == sealed.places);
  CHECK(pack->table().groups.size() == 4);
  CHECK(pack->table().groups[0].codec == Codec::zstd);
  CHECK(pack->table().groups[1].codec == Codec::raw);
  for (const Bytes& document : documents) {
    const PieceId id = piece_id(PieceType::content, document);
    CHECK(pack->piece(id, PieceType::content) == document);
    CHECK(pack->piece(id, PieceType::list).error().fault == Fault::not_found);
  }
  CHECK(OpenPack::open(key(), sealed.bytes, LibraryId{{6}}).error().fault == Fault::not_authentic);
  const auto other = crypto::EpochKey::random();
  CHECK(OpenPack::open(other, sealed.bytes, library).error().fault == Fault::not_authentic);
}

TEST_CASE("store: full packs have one size, whatever pieces are in them") {
  PackBuilder builder(PackKind::content, 3);
  std::vector<PackImage> full;
  Dice dice{9};
  for (int document = 0; document < 20; ++document) {
    builder.begin_document();
    for (int piece = 0; piece < 8; ++piece) add(builder, PieceType::content, noise(dice.next(), 1 + dice.below(250'000)), full);
  }
  CHECK(full.size() >= 15);
  for (PackImage& image : full) {
    const auto used = OpenPack::parse(PackKind::content, image.plain);
    REQUIRE(used);
    CHECK(used->verify_all());
    CHECK(seal(key(), library, Epoch{1}, std::move(image)).bytes.size() == crypto::bulk_pack_bytes);
  }
}

TEST_CASE("store: pieces go in to the last byte of room and not beyond") {
  // One raw piece of 256 KiB at a time, then one that leaves exactly nothing, or lacks one byte.
  const std::size_t room = crypto::pack_plain_most - 4 - 5 - 13 - 37 * 4 - 3;
  for (const std::size_t beyond : {0U, 1U}) {
    PackBuilder builder(PackKind::content, 3);
    std::vector<PackImage> full;
    for (std::uint64_t i = 0; i < 3; ++i) add(builder, PieceType::content, noise(i, 256 * 1024), full);
    add(builder, PieceType::content, noise(99, room - 3 * 256 * 1024 + beyond), full);
    CHECK(full.size() == beyond);
    for (const PackImage& image : full) CHECK(OpenPack::parse(PackKind::content, image.plain)->places().size() == 3);
    const auto last = builder.finish();
    REQUIRE(last);
    CHECK(OpenPack::parse(PackKind::content, last->plain)->places().size() == (beyond == 0 ? 4 : 1));
  }
}

TEST_CASE("store: a group holds one document and 4 MiB at most, a pack 8 MiB of plain bytes") {
  PackBuilder builder(PackKind::content, 3);
  std::vector<PackImage> images;
  builder.begin_document();
  for (std::uint8_t i = 0; i < 70; ++i) add(builder, PieceType::content, Bytes(256 * 1024, i), images);
  builder.begin_document();
  add(builder, PieceType::content, prose(1, 1000), images);
  images.push_back(*builder.finish());
  CHECK(images.size() == 3);
  std::size_t pieces = 0;
  for (PackImage& image : images) {
    const auto pack = OpenPack::parse(PackKind::content, image.plain);
    REQUIRE(pack);
    CHECK(pack->verify_all());
    std::size_t plain = 0;
    for (const TableGroup& group : pack->table().groups) {
      CHECK(group.plain_size <= group_plain_most);
      plain += group.plain_size;
    }
    CHECK(plain <= pack_groups_plain_most);
    pieces += pack->places().size();
    CHECK(seal(key(), library, Epoch{1}, std::move(image)).bytes.size() < 64 * 1024);
  }
  CHECK(pieces == 71);
}

TEST_CASE("store: a compressed group that fills its pack ends at a piece") {
  PackBuilder builder(PackKind::content, 3);
  std::vector<PackImage> images;
  std::vector<PieceId> ids;
  builder.begin_document();
  for (std::uint64_t i = 0; i < 120; ++i) ids.push_back(add(builder, PieceType::content, prose(i, 60'000), images));
  images.push_back(*builder.finish());
  CHECK(images.size() > 2);
  std::vector<PieceId> back;
  for (const PackImage& image : images) {
    const auto pack = OpenPack::parse(PackKind::content, image.plain);
    REQUIRE(pack);
    CHECK(pack->verify_all());
    for (const PiecePlace& place : pack->places()) back.push_back(place.id);
    for (const TableGroup& group : pack->table().groups) {
      CHECK(group.codec == Codec::zstd);
      CHECK(group.stored_size < group.plain_size / 2);
    }
  }
  CHECK(back == ids);
}

TEST_CASE("store: a piece given twice is in the pack once") {
  PackBuilder builder(PackKind::meta, 3);
  std::vector<PackImage> full;
  add(builder, PieceType::record, prose(1, 278'784), full);
  builder.begin_document();
  add(builder, PieceType::record, prose(1, 278'784), full);
  const auto pack = OpenPack::parse(PackKind::meta, builder.finish()->plain);
  REQUIRE(pack);
  CHECK(pack->places().size() == 1);
  CHECK(!builder.finish());
}

TEST_CASE("store: a group that declares 4 MiB and a byte is refused before anything is allocated") {
  ContentsTable table;
  TableGroup group{Codec::zstd, static_cast<std::uint32_t>(group_plain_most), 10, {}};
  for (std::uint8_t i = 0; i < 16; ++i) group.pieces.push_back({PieceType::content, piece_id(PieceType::content, Bytes{i}), 256 * 1024});
  table.groups = {group};
  CHECK(parse_table(encode(table)));
  table.groups[0].plain_size += 1;
  CHECK(parse_table(encode(table)).error().fault == Fault::over_limit);
  table.groups[0].pieces.push_back({PieceType::content, {}, 1});
  CHECK(parse_table(encode(table)).error().fault == Fault::over_limit);
  // Three groups, each within its limit, together over the pack's.
  table.groups = {group, group, group};
  CHECK(parse_table(encode(table)).error().fault == Fault::over_limit);
}

TEST_CASE("store: a frame that holds more, less or other than declared is refused") {
  const Bytes piece(100'000, 7);
  const Bytes frame = zstd_of(piece);
  const auto table = [&](std::uint32_t plain, std::size_t stored) {
    return ContentsTable{{{Codec::zstd, plain, static_cast<std::uint32_t>(stored), {{PieceType::content, piece_id(PieceType::content, piece), plain}}}}};
  };
  CHECK(OpenPack::parse(PackKind::content, laid_out(table(100'000, frame.size()), frame))->verify_all());
  for (const std::uint32_t plain : {99'999U, 100'001U, 1U, 262'144U}) {
    const auto pack = OpenPack::parse(PackKind::content, laid_out(table(plain, frame.size()), frame));
    REQUIRE(pack);
    CHECK(pack->verify_all().error().fault == Fault::malformed);
    CHECK(pack->piece(piece_id(PieceType::content, piece), PieceType::content).error().fault == Fault::malformed);
  }
  // A bomb: a small frame of 64 MiB that declares a plausible size.
  const Bytes bomb = zstd_of(Bytes(64 << 20));
  CHECK(OpenPack::parse(PackKind::content, laid_out(table(200'000, bomb.size()), bomb))->verify_all().error().fault == Fault::malformed);
  // Two frames, a frame and a skippable one, a frame cut short.
  const Bytes half = zstd_of(Bytes(50'000, 7));
  Bytes twice = half;
  append(twice, half);
  CHECK(OpenPack::parse(PackKind::content, laid_out(table(100'000, twice.size()), twice))->verify_all().error().fault == Fault::malformed);
  Bytes skippable = frame;
  append(skippable, Bytes{0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0});
  CHECK(OpenPack::parse(PackKind::content, laid_out(table(100'000, skippable.size()), skippable))->verify_all().error().fault == Fault::malformed);
  const ByteView cut = ByteView(frame).first(frame.size() - 1);
  CHECK(OpenPack::parse(PackKind::content, laid_out(table(100'000, cut.size()), cut))->verify_all().error().fault == Fault::malformed);
}

TEST_CASE("store: a pack that breaks the layout is refused") {
  const Bytes piece = noise(1, 300);
  const TableGroup good = raw_group_of(piece);
  const auto refused = [&](const ContentsTable& table, ByteView bodies, PackKind kind = PackKind::content) {
    return !OpenPack::parse(kind, laid_out(table, bodies));
  };
  CHECK(!refused({{good}}, piece));
  CHECK(refused({{good}}, piece, PackKind::meta));
  CHECK(refused({{}}, {}));
  CHECK(refused({{good}}, ByteView(piece).first(299)));
  Bytes longer = piece;
  longer.push_back(0);
  CHECK(refused({{good}}, longer));  // filled, and not a full pack
  Bytes both = piece;
  append(both, piece);
  CHECK(refused({{good, good}}, both));  // one piece twice
  TableGroup bad = good;
  bad.pieces.clear();
  bad.plain_size = 0;
  CHECK(refused({{bad}}, piece));
  bad = good;
  bad.stored_size = 299;
  CHECK(refused({{bad}}, ByteView(piece).first(299)));
  bad = good;
  bad.pieces[0].size = 299;
  CHECK(refused({{bad}}, piece));
  bad = good;
  bad.pieces[0].type = PieceType::list;
  CHECK(refused({{bad}}, piece));
  bad = good;
  bad.pieces.push_back({PieceType::content, {}, 0});
  CHECK(refused({{bad}}, piece));
  const Bytes large = noise(1, 256 * 1024 + 1);
  CHECK(refused({{raw_group_of(large)}}, large));
  // The fill of a full pack is of zeros.
  Bytes filled = laid_out({{good}}, piece);
  filled.resize(crypto::pack_plain_most);
  CHECK(OpenPack::parse(PackKind::content, filled));
  filled.back() = 1;
  CHECK(!OpenPack::parse(PackKind::content, filled));
  CHECK(!OpenPack::parse(PackKind::content, {}));
  CHECK(!OpenPack::parse(PackKind::content, Bytes{0, 0, 0}));
  CHECK(!OpenPack::parse(PackKind::content, Bytes{255, 255, 255, 255}));
  Bytes newer = laid_out({{good}}, piece);
  newer[4] = 2;
  CHECK(OpenPack::parse(PackKind::content, newer).error().fault == Fault::unsupported);
}

TEST_CASE("store: every bit flipped in a plain pack is refused or caught by a hash") {
  const std::vector<Bytes> documents = {prose(1, 3000), noise(2, 700), prose(3, 40)};
  const PackImage image = pack_of(documents);
  for (std::size_t at = 0; at < image.plain.size(); ++at) {
    for (const int bit : {0, 1, 7}) {
      Bytes flipped = image.plain;
      flipped[at] = static_cast<std::uint8_t>(flipped[at] ^ (1 << bit));
      const auto pack = OpenPack::parse(PackKind::content, std::move(flipped));
      if (!pack) continue;
      // zstd has a bit or two that say nothing about the content: then every piece is still what its id says.
      if (!pack->verify_all()) continue;
      CAPTURE(at);
      CHECK(at >= 4 + image.table_bytes);
      for (const Bytes& document : documents) CHECK(pack->piece(piece_id(PieceType::content, document), PieceType::content) == document);
    }
  }
}

TEST_CASE("store: tables of random bytes are refused without harm, and what is accepted encodes alike") {
  Dice dice{77};
  const Bytes good = encode(ContentsTable{{raw_group_of(noise(1, 300)), raw_group_of(noise(2, 40))}});
  for (int trial = 0; trial < 3000; ++trial) {
    Bytes bytes = trial % 2 == 0 ? noise(dice.next(), dice.below(200)) : good;
    if (trial % 2 == 1) {
      for (int change = 0; change < 3; ++change) bytes[dice.below(bytes.size())] = static_cast<std::uint8_t>(dice.next());
    }
    if (!bytes.empty()) bytes[0] = table_format;
    const auto table = parse_table(bytes);
    if (table) CHECK(encode(*table) == bytes);
  }
}
