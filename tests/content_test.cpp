// Contents: from bytes to packs and back.
#include <doctest/doctest.h>

#include <set>
#include <thread>

#include "store/chunker.h"
#include "tests/content_fixture.h"

namespace {
using namespace dozo;
using namespace dozo::store;
using content_fixture::Dice;
using content_fixture::Library;
using content_fixture::load;
using content_fixture::MemorySource;
using content_fixture::noise;
using content_fixture::prose;
using content_fixture::save;

constexpr std::size_t kib = 1024, mib = 1024 * 1024;

Manifest manifest_of(Library& library, const StoredContent& stored) { return *decode_manifest(*library.piece(stored.source.manifest, PieceType::manifest)); }
std::size_t packs_of(const Library& library, crypto::PackKind kind) {
  return static_cast<std::size_t>(std::ranges::count(library.sizes, kind, [](const auto& size) { return size.first; }));
}
}  // namespace

TEST_CASE("store: contents of every size around a boundary come back as they went in, with and without workers") {
  std::vector<Bytes> contents;
  std::uint64_t seed = 0;
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, 16 * kib, 64 * kib, 256 * kib, 320 * kib, mib, 2 * mib, 4 * mib}) {
    for (const std::size_t around : {size - 1, size, size + 1}) {
      if (around > 5 * mib) continue;
      contents.push_back(++seed % 2 == 0 ? noise(seed, around) : prose(seed, around));
    }
  }
  Dice dice{1};
  for (int i = 0; i < 4; ++i) contents.push_back(noise(dice.next(), dice.below(20 * mib)));
  contents.push_back(Bytes(9 * mib));
  for (const unsigned workers : {0U, 2U}) {
    CAPTURE(workers);
    Library library;
    IngestTotals totals;
    const auto stored = save(library, contents, workers, &totals);
    REQUIRE(stored.size() == contents.size());
    for (std::size_t i = 0; i < contents.size(); ++i) {
      CAPTURE(contents[i].size());
      const auto back = load(library, stored[i]);
      REQUIRE(back);
      CHECK(*back == contents[i]);
      CHECK(stored[i].value.sha256 == crypto::sha256(contents[i]));
      CHECK(stored[i].source.size_bytes == contents[i].size());
    }
    for (const PackAddress& address : library.order) CHECK(library.open(address)->verify_all());
    CHECK(totals.contents == contents.size());
    CHECK(totals.packs == library.packs.size());
    CHECK(totals.held_bytes_peak > 2 * mib);
    CHECK(totals.held_bytes_peak <= ingest_bytes_most);
  }
}

TEST_CASE("store: what packs hold does not depend on the number of workers") {
  std::vector<Bytes> contents;
  for (std::uint64_t i = 0; i < 60; ++i) contents.push_back(i % 3 == 0 ? prose(i, 300'000) : noise(i, i * 2000));
  std::vector<std::vector<PiecePlace>> insides[2];
  for (const unsigned workers : {0U, 3U}) {
    Library library;
    save(library, contents, workers);
    for (const PackAddress& address : library.order) insides[workers == 0 ? 0 : 1].push_back(library.open(address)->places());
  }
  CHECK(insides[0] == insides[1]);
}

TEST_CASE("store: memory for a save stays bounded, however much is saved and however slow the sink is") {
  Library library;
  const Bytes content = noise(4, 96 * mib);
  std::size_t taken = 0;
  Ingest ingest(content_fixture::options_for(library, 2), library.key, library, [&](SealedPack&& pack) -> Result<void> {
    taken += pack.bytes.size();
    if (taken < 4 * mib) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return {};
  });
  MemorySource source(content, false);
  REQUIRE(ingest.add(source, {}));
  REQUIRE(ingest.settle());
  const auto totals = ingest.finish();
  REQUIRE(totals);
  CHECK(totals->new_plain_bytes == content.size());
  CHECK(totals->pack_bytes == taken);
  CHECK(totals->held_bytes_peak > 8 * mib);
  CHECK(totals->held_bytes_peak <= ingest_bytes_most);
}

TEST_CASE("store: a wrong size hint decides nothing") {
  const Bytes content = noise(8, 3 * mib);
  std::set<PieceId> manifests;
  for (const std::uint64_t hint : {std::uint64_t{0}, std::uint64_t{10}, 3 * std::uint64_t{mib}, ~std::uint64_t{0}}) {
    Library library;
    Ingest ingest(content_fixture::options_for(library, 0), library.key, library, library.sink());
    MemorySource source(content);
    source.hint = hint;
    REQUIRE(ingest.add(source, {}));
    manifests.insert(ingest.settle()->at(0).source.manifest);
  }
  CHECK(manifests.size() == 1);
}

TEST_CASE("store: what the library has already is not stored again") {
  Library library;
  const Bytes content = noise(1, 12 * mib);
  const auto first = save(library, {content, content}, 0);
  CHECK(first[0].new_bytes == content.size());
  CHECK(first[1].new_bytes == 0);
  CHECK(first[0].source == first[1].source);
  Bytes changed = content;
  changed[5 * mib] ^= 1;
  IngestTotals totals;
  const auto second = save(library, {content, changed}, 2, &totals);
  CHECK(second[0].new_bytes == 0);
  CHECK(second[1].new_bytes <= 512 * kib);
  CHECK(totals.pack_bytes < 700 * kib);
  CHECK(load(library, second[0]) == content);
  CHECK(load(library, second[1]) == changed);
}

TEST_CASE("store: 20,000 small contents share about as many packs as their bytes fill") {
  Library library;
  std::vector<Bytes> contents;
  for (std::uint64_t i = 0; i < 20'000; ++i) contents.push_back(noise(i, 200 + i % 700));
  const auto stored = save(library, contents, 2);
  CHECK(packs_of(library, crypto::PackKind::content) <= 13);
  CHECK(packs_of(library, crypto::PackKind::meta) <= 8);
  for (std::size_t i = 0; i < contents.size(); i += 997) CHECK(load(library, stored[i]) == contents[i]);
}

TEST_CASE("store: meta packs follow the content that they describe, and records come last") {
  Library library;
  Ingest ingest(content_fixture::options_for(library, 0), library.key, library, library.sink());
  const Bytes content = noise(1, 9 * mib);
  MemorySource source(content);
  REQUIRE(ingest.add(source, {.kind = ContentKind::file, .mode = 0755, .mtime_ns = -5, .media_type = "image/png"}));
  const auto stored = ingest.settle();
  REQUIRE(stored);
  CHECK(stored->at(0).value.executable);
  const Bytes record = prose(2, 5000);
  const auto id = ingest.add_record(record);
  REQUIRE(id);
  CHECK(!ingest.add_record(Bytes(289 * kib)));
  REQUIRE(ingest.finish());
  CHECK(packs_of(library, crypto::PackKind::meta) == 1);
  CHECK(library.sizes.back().first == crypto::PackKind::meta);
  CHECK(library.piece(*id, PieceType::record) == record);
  const Manifest manifest = manifest_of(library, stored->at(0));
  CHECK(manifest.traits == ContentTraits{ContentKind::file, 0755, -5, "image/png"});
  CHECK(manifest.list.level == 1);
}

TEST_CASE("store: a content that fails or changes while it is read is given up, and the next is stored") {
  for (const unsigned workers : {0U, 2U}) {
    Library library;
    Ingest ingest(content_fixture::options_for(library, workers), library.key, library, library.sink());
    const Bytes large = noise(1, 7 * mib), small = noise(2, 1000);
    for (const Bytes* content : {&large, &small}) {
      MemorySource gone(*content);
      gone.fails_at = content->size() / 2;
      CHECK(ingest.add(gone, {}).error().fault == Fault::unavailable);
      MemorySource changing(*content);
      changing.changed = true;
      CHECK(ingest.add(changing, {}).error().fault == Fault::stale);
    }
    MemorySource target(large), empty(ByteView{}), odd(small);
    const ContentTraits symlink{ContentKind::symlink, 0, 0, ""};
    CHECK(ingest.add(target, symlink).error().fault == Fault::over_limit);
    CHECK(ingest.add(empty, symlink).error().fault == Fault::malformed);
    CHECK(ingest.add(odd, {.mode = 04755}).error().fault == Fault::malformed);
    MemorySource good(large), link(view_of("../elsewhere"));
    REQUIRE(ingest.add(good, {}));
    REQUIRE(ingest.add(link, symlink));
    const auto stored = ingest.settle();
    REQUIRE(stored);
    REQUIRE(stored->size() == 2);
    REQUIRE(ingest.finish());
    CHECK(load(library, stored->at(0)) == large);
    CHECK(load(library, stored->at(1)) == bytes_of("../elsewhere"));
  }
}

TEST_CASE("store: a sink that fails ends the save and is named by every later call") {
  for (const unsigned workers : {0U, 2U}) {
    Library library;
    int packs = 0;
    Ingest ingest(content_fixture::options_for(library, workers), library.key, library,
                  [&](SealedPack&&) -> Result<void> { return ++packs < 3 ? Result<void>{} : fail(Fault::unavailable, "disk full"); });
    const Bytes content = noise(1, 40 * mib);
    MemorySource source(content);
    CHECK(ingest.add(source, {}).error().fault == Fault::unavailable);
    CHECK(ingest.settle().error().fault == Fault::unavailable);
    CHECK(ingest.finish().error().fault == Fault::unavailable);
    CHECK(packs == 3);
  }
}

TEST_CASE("store: an ingest that is dropped in the middle ends cleanly") {
  Library library;
  Ingest ingest(content_fixture::options_for(library, 3), library.key, library, library.sink());
  const Bytes content = noise(1, 20 * mib);
  MemorySource source(content);
  CHECK(ingest.add(source, {}));
}

TEST_CASE("store: reading anywhere gives the bytes of that place and opens each piece once") {
  Library library;
  const Bytes content = noise(3, 14 * mib);
  const auto stored = save(library, {content}, 0);
  const Manifest manifest = manifest_of(library, stored[0]);
  ContentReader reader(manifest, library);
  Dice dice{4};
  Bytes buffer(300'000);
  for (int trial = 0; trial < 60; ++trial) {
    const std::size_t offset = dice.below(content.size() + 10), size = dice.below(buffer.size());
    const auto count = reader.read(offset, ByteSpan(buffer).first(size));
    REQUIRE(count);
    const std::size_t there = offset < content.size() ? std::min(size, content.size() - offset) : 0;
    REQUIRE(*count == there);
    CHECK(equal(ByteView(buffer).first(there), ByteView(content).subspan(std::min(offset, content.size()), there)));
  }
  CHECK(!reader.verified());
  ContentReader inward(manifest, library);
  library.pieces_asked = 0;
  std::uint64_t at = 0;
  Bytes step(1000);
  while (*inward.read(at, step) > 0) at += step.size();
  CHECK(inward.verified());
  std::size_t named = 0;
  REQUIRE(walk(manifest, library, [&](PieceType, const PieceRef&) -> Result<void> {
    ++named;
    return {};
  }));
  CHECK(named > 150);
  CHECK(library.pieces_asked <= named + 10);
}

TEST_CASE("store: a manifest that names other pieces than its hash says is found out at the last byte") {
  Library library;
  const Bytes content = noise(3, 3 * mib);
  const auto stored = save(library, {content}, 0);
  Manifest manifest = manifest_of(library, stored[0]);
  manifest.sha256.bytes[0] ^= 1;
  ContentReader reader(manifest, library);
  Bytes buffer(content.size());
  CHECK(reader.read(0, ByteSpan(buffer).first(2 * mib)));
  CHECK(reader.read(2 * mib, buffer).error().fault == Fault::not_authentic);
  CHECK(!reader.verified());
  manifest = manifest_of(library, stored[0]);
  manifest.list.entries[1].size -= 1;
  manifest.size -= 1;
  ContentReader shorter(manifest, library);
  CHECK(shorter.read(0, buffer).error().fault == Fault::malformed);
  library.index.erase(manifest.list.entries[0].id);
  ContentReader lacking(manifest, library);
  CHECK(lacking.read(0, buffer).error().fault == Fault::not_found);
}

TEST_CASE("store: manifests that contradict themselves are refused") {
  const Bytes bytes = noise(1, 100);
  const PieceId id = piece_id(PieceType::content, bytes);
  const Manifest good{{ContentKind::file, 0644, 1'700'000'000'000'000'000, "text/plain"}, 100, crypto::sha256(bytes), {0, {{id, 100}}}};
  const Bytes encoded = encode(good);
  CHECK(decode_manifest(encoded) == good);
  for (std::size_t size = 0; size < encoded.size(); ++size) CHECK(!decode_manifest(ByteView(encoded).first(size)));
  Bytes newer = encoded;
  newer[0] = 2;
  CHECK(decode_manifest(newer).error().fault == Fault::unsupported);
  const auto refused = [&](auto change) {
    Manifest bad = good;
    change(bad);
    return !well_formed(bad);
  };
  CHECK(!refused([](Manifest&) {}));
  CHECK(refused([](Manifest& m) { m.size = 99; }));
  CHECK(refused([](Manifest& m) { m.size = m.list.entries[0].size = content_bytes_most + 1; }));
  CHECK(refused([](Manifest& m) { m.traits.mode = 04755; }));
  CHECK(refused([](Manifest& m) { m.traits.media_type = "text/pl ain"; }));
  CHECK(refused([](Manifest& m) { m.traits.media_type = std::string(128, 'a'); }));
  CHECK(refused([](Manifest& m) { m.traits.kind = ContentKind::symlink; }));
  CHECK(refused([](Manifest& m) { m.traits = {ContentKind::dir, 0, 0, ""}; }));
  CHECK(refused([](Manifest& m) { m.list.level = 9; }));
  CHECK(refused([](Manifest& m) { m.list.entries.clear(), m.size = 0; }));
  CHECK(refused([](Manifest& m) { m.list.entries.clear(), m.size = 0, m.list.level = 1, m.sha256 = crypto::sha256(ByteView{}); }));
  CHECK(!refused([](Manifest& m) { m.list.entries.clear(), m.size = 0, m.sha256 = crypto::sha256(ByteView{}); }));
  CHECK(!refused([](Manifest& m) { m = {{ContentKind::dir, 0, 5, ""}, 0, {}, {}}; }));
  CHECK(!refused([](Manifest& m) { m.traits = {ContentKind::symlink, 0, 5, ""}; }));
  CHECK(refused([](Manifest& m) { m.list.entries.resize(97, m.list.entries[0]), m.size = 9700; }));
  // Flipped bits give another manifest of this format or none, never harm.
  for (std::size_t at = 0; at < encoded.size(); ++at) {
    Bytes flipped = encoded;
    flipped[at] ^= 0x40;
    if (const auto other = decode_manifest(flipped)) CHECK(encode(*other) == flipped);
  }
}

TEST_CASE("store: the pack cache opens a pack once while it is used and stays within its bytes") {
  Library library;
  const Bytes a = prose(1, 3 * mib), b = prose(2, 3 * mib), c = noise(3, 2 * mib);
  const auto stored = save(library, {a, b, c}, 0);
  int opened = 0;
  PackCache cache(5 * mib);
  const auto read = [&](const StoredContent& content) {
    for (const PieceRef& ref : manifest_of(library, content).list.entries) {
      const PackAddress address = library.index.at(ref.id);
      REQUIRE(cache.piece(address, ref.id, PieceType::content, [&] {
        ++opened;
        return library.open(address);
      }));
      CHECK(cache.held_bytes() <= 5 * mib);
    }
  };
  read(stored[0]);
  const int first = opened;
  CHECK(first <= 2);
  read(stored[0]);
  CHECK(opened == first);
  read(stored[1]);
  read(stored[2]);
  CHECK(cache.held_bytes() > 0);
  const PackAddress somewhere = library.order[0];
  CHECK(cache.piece(somewhere, PieceId{}, PieceType::content, [&] { return library.open(somewhere); }).error().fault == Fault::not_found);
  cache.forget(somewhere);
  opened = 0;
  read(stored[0]);
  CHECK(opened >= 1);
  CHECK(cache.piece(PackAddress{}, PieceId{}, PieceType::content, []() -> Result<OpenPack> { return fail(Fault::unavailable, "away"); }).error().fault ==
        Fault::unavailable);
  cache.clear();
  CHECK(cache.held_bytes() == 0);
}
