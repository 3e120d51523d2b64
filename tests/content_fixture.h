// What the tests of pieces, packs and contents share: repeatable bytes, a source over memory, and a library of packs in memory.
#pragma once
#include <algorithm>
#include <map>
#include <string>

#include "crypto/hash.h"
#include "crypto/start.h"
#include "store/content.h"
#include "store/ingest.h"
#include "store/pack_cache.h"

namespace content_fixture {

using namespace dozo;

/// Before any test makes a key.
inline const bool started = crypto::start().has_value();

/// SplitMix64: numbers that look random and follow from the seed.
struct Dice {
  std::uint64_t state;
  std::uint64_t next() {
    std::uint64_t z = (state += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(next() % bound); }
};

inline Bytes noise(std::uint64_t seed, std::size_t size) {
  Dice dice{seed};
  Bytes out((size + 7) / 8 * 8);
  for (std::size_t i = 0; i < out.size(); i += 8) put_u64(&out[i], dice.next());
  out.resize(size);
  return out;
}
/// Compresses to about a third.
inline Bytes prose(std::uint64_t seed, std::size_t size) {
  static const std::vector<std::string> words = {"bridge ", "inspection ", "sheet ", "of the ", "northern ",
                                                 "bureau ", "crack ",      "width ", "in mm: ", "none\n"};
  Dice dice{seed};
  Bytes out;
  out.reserve(size + 32);
  while (out.size() < size) {
    append(out, view_of(words[dice.below(words.size())]));
    append(out, view_of(std::to_string(dice.below(10'000'000))));
  }
  out.resize(size);
  return out;
}

class MemorySource : public store::ContentSource {
 public:
  explicit MemorySource(ByteView bytes, bool hinted = true) : bytes_(bytes), hinted_(hinted) {}
  Result<std::size_t> read(ByteSpan to) override {
    if (fails_at && at_ >= *fails_at) return fail(Fault::unavailable, "the disk is gone");
    // In uneven portions, as pipes and networks give them.
    const std::size_t count = std::min({to.size(), bytes_.size() - at_, std::size_t{1} + dice_.below(400'000)});
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(at_), count, to.begin());
    at_ += count;
    return count;
  }
  std::optional<std::uint64_t> size_hint() const override { return hint ? hint : hinted_ ? std::optional<std::uint64_t>(bytes_.size()) : std::nullopt; }
  Result<bool> changed_meanwhile() override { return changed; }
  std::optional<std::size_t> fails_at;
  std::optional<std::uint64_t> hint;
  bool changed = false;

 private:
  ByteView bytes_;
  bool hinted_;
  std::size_t at_ = 0;
  Dice dice_{7};
};

/// All packs of a library, and where their pieces are.
class Library : public store::PieceIndex, public store::PieceSource {
 public:
  LibraryId id{{1, 2, 3}};
  crypto::EpochKey key = crypto::EpochKey::made_by([](auto bytes) { std::ranges::fill(bytes, std::uint8_t{9}); });
  std::map<PackAddress, Bytes> packs;
  std::vector<PackAddress> order;
  std::vector<std::pair<crypto::PackKind, std::size_t>> sizes;
  std::map<PieceId, PackAddress> index;
  std::size_t pieces_asked = 0;

  Result<void> take(store::SealedPack&& pack) {
    for (const store::PiecePlace& place : pack.places) index.emplace(place.id, pack.address);
    order.push_back(pack.address);
    sizes.emplace_back(pack.kind, pack.bytes.size());
    packs.emplace(pack.address, std::move(pack.bytes));
    return {};
  }
  store::PackSink sink() {
    return [this](store::SealedPack&& pack) { return take(std::move(pack)); };
  }
  /// What was there before the save under way: the sink runs while the index is asked.
  std::map<PieceId, PackAddress> known;
  bool holds(const PieceId& piece) const override { return known.contains(piece); }
  Result<Bytes> piece(const PieceId& piece, store::PieceType type) override {
    ++pieces_asked;
    const auto found = index.find(piece);
    if (found == index.end()) return fail(Fault::not_found, "no such piece");
    return cache.piece(found->second, piece, type, [&] { return open(found->second); });
  }
  Result<store::OpenPack> open(const PackAddress& address) const { return store::OpenPack::open(key, packs.at(address), id); }
  store::PackCache cache;
};

inline store::IngestOptions options_for(const Library& library, unsigned workers) {
  return {.library = library.id, .epoch = Epoch{1}, .zstd_level = 3, .workers = workers};
}

/// One save of these contents.
inline std::vector<store::StoredContent> save(Library& library, const std::vector<Bytes>& contents, unsigned workers, store::IngestTotals* totals = nullptr) {
  library.known = library.index;
  store::Ingest ingest(options_for(library, workers), library.key, library, library.sink());
  for (const Bytes& content : contents) {
    MemorySource source(content);
    if (!ingest.add(source, {})) throw std::runtime_error("add");
  }
  auto stored = ingest.settle();
  auto done = ingest.finish();
  if (!stored || !done) throw std::runtime_error("finish");
  if (totals != nullptr) *totals = *done;
  return *stored;
}

inline Result<Bytes> load(Library& library, const store::StoredContent& stored, std::size_t step = 100'003) {
  const Bytes encoded = TRY(library.piece(stored.source.manifest, store::PieceType::manifest));
  store::ContentReader reader(TRY(store::decode_manifest(encoded)), library);
  Bytes out;
  Bytes buffer(step);
  for (;;) {
    const std::size_t count = TRY(reader.read(out.size(), buffer));
    if (count == 0) break;
    append(out, ByteView(buffer).first(count));
  }
  if (!reader.verified()) return fail(Fault::not_authentic, "not verified");
  return out;
}

}  // namespace content_fixture
