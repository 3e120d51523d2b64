// Arrived packs: durable together or not at all, looked into with their key alone, on the caller's thread or on one of their own.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>

#include "node/arrived_packs.h"
#include "node/local_sealer.h"
#include "store/kv_memory.h"
#include "store/truth_rows.h"
#include "tests/content_fixture.h"

namespace {
using namespace dozo;
using node::ArrivedPacks;

struct Bench {
  bool started = content_fixture::started;
  LibraryId library{{5}};
  crypto::EpochKey key = made(3), other_key = made(4);
  store::MemoryDisk disk;
  crypto::LocalKey local{*crypto::LocalKey::Root::from(Bytes(32, 7))};
  node::LocalSealer sealer{local};
  store::MemoryKv kv{disk, store::rows::table_count};
  std::unique_ptr<store::Truth> truth = std::move(*store::Truth::create(kv, sealer));
  std::atomic<int> woken = 0;

  static crypto::EpochKey made(std::uint8_t of) {
    return crypto::EpochKey::made_by([&](auto bytes) { std::ranges::fill(bytes, of); });
  }
  /// `id`: under which its piece is said to lie there.
  store::SealedPack sealed(std::uint64_t seed, std::optional<PieceId> id = {}) const {
    const Bytes bytes = content_fixture::noise(seed, 40'000);
    store::PackBuilder builder(crypto::PackKind::content, 3);
    builder.begin_document();
    REQUIRE(!builder.add(store::PieceType::content, id.value_or(store::piece_id(store::PieceType::content, bytes)), bytes));
    return seal(key, library, Epoch{7}, *builder.finish());
  }
  ArrivedPacks::Pack pack(const store::SealedPack& it, const crypto::EpochKey* with) const {
    return {{library, sync::ObjectKind::pack, Digest{it.address.bytes}},
            it.bytes,
            with != nullptr ? std::make_shared<const crypto::EpochKey>(with->copy()) : nullptr,
            {}};
  }
  ArrivedPacks::Batch done(ArrivedPacks& packs) const {
    for (int i = 0; i < 1'000 && !packs.has_something(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    REQUIRE(packs.is_busy());
    auto out = packs.take();
    REQUIRE(out);
    CHECK_FALSE(packs.is_busy());
    CHECK_FALSE(packs.take());
    return std::move(*out);
  }
  bool has(const store::SealedPack& it) const { return *(*truth->read()).has_pack(it.address); }
};

}  // namespace

TEST_CASE("arrived packs: durable together or not at all, and looked into with their own key alone, on either thread") {
  for (const bool threaded : {false, true}) {
    CAPTURE(threaded);
    Bench bench;
    const auto a = bench.sealed(1), b = bench.sealed(2), c = bench.sealed(3), d = bench.sealed(4, PieceId{{9}});
    ArrivedPacks packs(*bench.truth, threaded ? std::function<void()>([&bench] { ++bench.woken; }) : nullptr);
    CHECK_FALSE(packs.is_busy());
    CHECK_FALSE(packs.take());
    const auto give = [&] {
      ArrivedPacks::Batch batch;
      batch.packs.push_back(bench.pack(a, &bench.key));
      batch.packs.push_back(bench.pack(b, &bench.other_key));
      batch.packs.push_back(bench.pack(c, nullptr));
      batch.packs.push_back(bench.pack(d, &bench.key));  // opens, and its piece is not what it says
      packs.write(std::move(batch));
      return bench.done(packs);
    };
    // The disk is full: nothing of it is there, nothing is said of pieces, and the bytes come back.
    bench.kv.inject_at(3, store::Injected::fail);
    auto failed = give();
    bench.kv.inject_at(0, store::Injected::none);
    CHECK_FALSE(failed.written);
    REQUIRE(failed.packs.size() == 4);
    CHECK(failed.packs[0].sealed == a.bytes);
    CHECK(std::ranges::none_of(failed.packs, [](const auto& it) { return it.places.has_value(); }));
    CHECK_FALSE((bench.has(a) || bench.has(b) || bench.has(c) || bench.has(d)));
    const auto kept = give();
    CHECK(kept.written);
    CHECK((bench.has(a) && bench.has(b) && bench.has(c) && bench.has(d)));
    REQUIRE(kept.packs[0].places);
    CHECK(*kept.packs[0].places == a.places);
    CHECK_FALSE(kept.packs[1].places);
    CHECK_FALSE(kept.packs[2].places);
    CHECK_FALSE(kept.packs[3].places);
    for (int i = 0; threaded && i < 1'000 && bench.woken < 2; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    CHECK(bench.woken == (threaded ? 2 : 0));
  }
}

TEST_CASE("arrived packs: what was given is written before the end, and nothing waits for it to be taken") {
  Bench bench;
  const auto a = bench.sealed(1);
  for (int i = 0; i < 20; ++i) {
    ArrivedPacks packs(*bench.truth, [&bench] { ++bench.woken; });
    ArrivedPacks::Batch batch;
    batch.packs.push_back(bench.pack(a, &bench.key));
    packs.write(std::move(batch));
  }
  CHECK(bench.has(a));
  CHECK(bench.woken == 20);
}
