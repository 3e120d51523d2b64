#include <doctest/doctest.h>

#include "crypto/hash.h"
#include "crypto/local_seal.h"
#include "crypto/pack_seal.h"
#include "crypto/start.h"
#include "store/kv_memory.h"
#include "store/truth.h"
#include "store/truth_rows.h"

using namespace dozo;
using namespace dozo::store;

namespace {

const bool started = crypto::start().has_value();  // before any test draws a key

class TestSealer final : public Sealer {
 public:
  Bytes seal(ByteView plain, ByteView associated) const override { return key_.seal(plain, associated); }
  Result<Bytes> open(ByteView sealed, ByteView associated) const override { return key_.open(sealed, associated); }

 private:
  crypto::LocalKey key_{*crypto::LocalKey::Root::from(Bytes(32, 7))};
};

template <class Id>
Id id_of(std::uint8_t number) {
  Id out;
  out.bytes.fill(number);
  return out;
}

Bytes a_pack(std::uint8_t number, std::size_t size = 100) {
  const auto key = *crypto::EpochKey::from(Bytes(32, 3));
  return crypto::seal_pack(key, crypto::PackKind::content, id_of<LibraryId>(1), {1}, Bytes{number}, Bytes(size, number));
}

struct Home {
  MemoryDisk disk;
  TestSealer sealer;
  std::unique_ptr<MemoryKv> kv;
  std::unique_ptr<Truth> truth;

  Home() {
    REQUIRE(started);
    kv = std::make_unique<MemoryKv>(disk, rows::table_count);
    truth = std::move(*Truth::create(*kv, sealer));
  }
  Result<void> reopen() {
    truth.reset();
    kv.reset();
    kv = std::make_unique<MemoryKv>(disk, rows::table_count);
    truth = TRY(Truth::open(*kv, sealer));
    return {};
  }
};

const DocumentKey mesh_1{"mesh", "", 1}, mesh_2{"mesh", "", 2};
const FeedId feed{id_of<LibraryId>(1), id_of<NodeId>(2), id_of<IncarnationId>(3)};

}  // namespace

TEST_CASE("store: the truth gives back what was committed, and after a restart too") {
  Home home;
  const Bytes pack = a_pack(5);
  const PackAddress address = crypto::address_of(pack);
  {
    auto write = *home.truth->write();
    CHECK(*write.put_document(mesh_1, bytes_of("one")) == Kept::added);
    CHECK(*write.put_document(mesh_2, bytes_of("two")) == Kept::added);
    CHECK(*write.put_document({"grants", "grants/ab", 7}, bytes_of("keys")) == Kept::added);
    CHECK(*write.put_pack(address, pack) == Kept::added);
    CHECK(*write.put_entry(feed, {1}, bytes_of("first")) == Kept::added);
    CHECK(*write.put_entry(feed, {2}, bytes_of("second")) == Kept::added);
    REQUIRE(write.put_head(feed, {"note", bytes_of("tail")}));
    REQUIRE(write.put_subtree(feed, {0, 1}, id_of<Digest>(9)));
    CHECK(*write.put_statement({feed.library, feed.node, "receipt"}, {4, bytes_of("held")}) == Kept::added);
    REQUIRE(write.put_local("trust", bytes_of("state")));
    REQUIRE(write.put_pack_list(id_of<Digest>(8), bytes_of("list")));
    REQUIRE(write.commit());
  }
  for (int restarts = 0; restarts < 2; ++restarts) {
    if (restarts == 1) REQUIRE(home.reopen());
    auto in = *home.truth->read();
    CHECK(equal(**in.document(mesh_2), bytes_of("two")));
    CHECK(**in.newest_version("mesh", "") == 2);
    CHECK(!*in.newest_version("root", ""));
    CHECK(in.marks()->size() == 3);
    CHECK(*in.has_pack(address));
    CHECK(equal(**in.pack_checked(address), pack));
    CHECK(in.usage(feed.library)->count == 1);
    CHECK(in.usage(feed.library)->bytes == pack.size());
    CHECK(equal(**in.entry(feed, {2}), bytes_of("second")));
    CHECK(!*in.entry(feed, {3}));
    CHECK((**in.head(feed)).note == "note");
    CHECK(**in.subtree(feed, {0, 1}) == id_of<Digest>(9));
    CHECK((**in.statement({feed.library, feed.node, "receipt"})).number == 4);
    CHECK(equal(**in.local("trust"), bytes_of("state")));
    CHECK(equal(**in.pack_list(id_of<Digest>(8)), bytes_of("list")));
    CHECK(in.verify_root());
    std::vector<std::uint64_t> sequences;
    REQUIRE(in.each_entry(feed, {2}, [&](Sequence at, ByteView) -> Result<bool> {
      sequences.push_back(at.value);
      return true;
    }));
    CHECK(sequences == std::vector<std::uint64_t>{2});
  }
  CHECK(Truth::create(*home.kv, home.sealer).error().fault == Fault::exists);
}

TEST_CASE("store: the truth says what became of something that is there already") {
  Home home;
  auto write = *home.truth->write();
  CHECK(*write.put_document(mesh_1, bytes_of("one")) == Kept::added);
  CHECK(*write.put_document(mesh_1, bytes_of("one")) == Kept::same);
  CHECK(*write.put_document(mesh_1, bytes_of("other")) == Kept::conflict);
  CHECK(equal(**write.document(mesh_1), bytes_of("one")));
  CHECK(write.conflicting_documents(mesh_1)->size() == 1);
  CHECK(*write.put_entry(feed, {1}, bytes_of("a")) == Kept::added);
  CHECK(*write.put_entry(feed, {1}, bytes_of("a")) == Kept::same);
  const StatementKey key{feed.library, feed.node, "receipt"};
  CHECK(*write.put_statement(key, {4, bytes_of("b")}) == Kept::added);
  CHECK(*write.put_statement(key, {4, bytes_of("b")}) == Kept::same);
  CHECK(*write.put_statement(key, {4, bytes_of("c")}) == Kept::conflict);
  CHECK(*write.put_statement(key, {3, bytes_of("c")}) == Kept::older);
  CHECK(*write.put_statement(key, {5, bytes_of("c")}) == Kept::added);
  CHECK(write.put_entry(feed, {1}, bytes_of("b")).error().fault == Fault::exists);
  CHECK(write.put_document({std::string(33, 'x'), "", 1}, {}).error().fault == Fault::over_limit);
  CHECK(*write.erase_document(mesh_1));
  CHECK(!*write.erase_document(mesh_1));
  CHECK(write.conflicting_documents(mesh_1)->empty());
}

TEST_CASE("store: what is not committed did not happen") {
  Home home;
  {
    auto write = *home.truth->write();
    REQUIRE(write.put_document(mesh_1, bytes_of("one")));
  }
  CHECK(!*home.truth->read()->document(mesh_1));
  CHECK(home.truth->read()->verify_root());
}

TEST_CASE("store: a damaged pack is noticed, remembered and healed") {
  Home home;
  const Bytes pack = a_pack(5);
  const PackAddress address = crypto::address_of(pack);
  {
    auto write = *home.truth->write();
    REQUIRE(write.put_pack(address, pack));
    REQUIRE(write.commit());
  }
  REQUIRE(home.disk.flip_bit(rows::table(rows::Name::packs), address.view(), 999));
  CHECK(*home.truth->read()->has_pack(address));
  CHECK(home.truth->read()->pack_checked(address).error().fault == Fault::corrupt);
  CHECK(home.truth->damaged_packs() == std::vector<PackAddress>{address});
  CHECK(!*home.truth->read()->has_pack(address));
  {
    auto write = *home.truth->write();
    REQUIRE(write.put_pack(address, pack));
    CHECK(write.usage(feed.library)->count == 1);
    REQUIRE(write.commit());
  }
  CHECK(home.truth->damaged_packs().empty());
  // Who read before it was healed may find it damaged afterwards: once it was looked for without end, as it was here already.
  {
    REQUIRE(home.disk.flip_bit(rows::table(rows::Name::packs), address.view(), 999));
    CHECK(home.truth->read()->pack_checked(address).error().fault == Fault::corrupt);
    REQUIRE(home.disk.flip_bit(rows::table(rows::Name::packs), address.view(), 999));
    CHECK(home.truth->damaged_packs().size() == 1);
  }
  {
    auto write = *home.truth->write();
    CHECK(*write.put_pack(address, pack) == Kept::same);
    REQUIRE(write.commit());
  }
  CHECK(home.truth->damaged_packs().empty());
  CHECK(home.truth->read()->pack_checked(address).has_value());
  {
    auto write = *home.truth->write();
    CHECK(*write.erase_pack(address));
    CHECK(!*write.erase_pack(address));
    CHECK(write.usage(feed.library)->count == 0);
    REQUIRE(write.commit());
  }
}

TEST_CASE("store: a flipped bit in any row but a pack is noticed by whoever reads it") {
  Home made;
  {
    auto write = *made.truth->write();
    REQUIRE(write.put_document(mesh_1, bytes_of("one")));
    REQUIRE(write.put_entry(feed, {1}, bytes_of("first")));
    REQUIRE(write.put_head(feed, {"note", bytes_of("tail")}));
    REQUIRE(write.put_subtree(feed, {0, 1}, id_of<Digest>(9)));
    REQUIRE(write.put_statement({feed.library, feed.node, "receipt"}, {4, bytes_of("held")}));
    REQUIRE(write.put_local("trust", bytes_of("state")));
    REQUIRE(write.put_pack_list(id_of<Digest>(8), bytes_of("list")));
    REQUIRE(write.put_pack(crypto::address_of(a_pack(5)), a_pack(5)));
    REQUIRE(write.commit());
  }
  const MemoryDisk image = made.disk;
  std::size_t tried = 0;
  for (std::uint8_t number = 0; number < rows::table_count; ++number) {
    if (number == static_cast<std::uint8_t>(rows::Name::packs)) continue;
    for (const auto& [key, value] : image.tables[number]) {
      for (std::uint64_t bit = 0; bit < value.size() * 8; bit += 7) {
        MemoryDisk disk = image;
        REQUIRE(disk.flip_bit({number}, key, bit));
        MemoryKv kv(disk, rows::table_count);
        ++tried;
        const auto truth = Truth::open(kv, made.sealer);
        if (!truth) continue;
        auto in = *(*truth)->read();
        // A row of usages is counted anew.
        if (number == static_cast<std::uint8_t>(rows::Name::usages)) {
          CHECK(in.usage(feed.library)->count == 1);
          CHECK_FALSE(in.verify_root());
          continue;
        }
        const bool good = in.document(mesh_1) && in.entry(feed, {1}) && in.head(feed) && in.subtree(feed, {0, 1}) &&
                          in.statement({feed.library, feed.node, "receipt"}) && in.local("trust") && in.pack_list(id_of<Digest>(8)) &&
                          in.each_pack(feed.library, [](const PackAddress&, std::uint32_t) -> Result<bool> { return true; });
        CHECK(!good);
      }
    }
  }
  CHECK(tried > 500);
}

TEST_CASE("store: a row that is gone is not taken for one that never was") {
  for (const auto& [name, since] : rows::under_root) {
    Home home;
    {
      auto write = *home.truth->write();
      REQUIRE(write.put_document(mesh_1, bytes_of("one")));
      REQUIRE(write.put_head(feed, {"note", bytes_of("tail")}));
      REQUIRE(write.put_statement({feed.library, feed.node, "receipt"}, {4, bytes_of("held")}));
      REQUIRE(write.put_local("trust", bytes_of("state")));
      REQUIRE(write.put_pack(crypto::address_of(a_pack(5)), a_pack(5)));
      REQUIRE(write.commit());
    }
    home.disk.tables[rows::table(name).number].clear();
    {
      auto in = *home.truth->read();
      const bool believed = in.document(mesh_1) && in.head(feed) && in.statement({feed.library, feed.node, "receipt"}) && in.local("trust");
      CHECK((name == rows::Name::usages ? believed && in.usage(feed.library)->count == 1 : !believed));
      CHECK(in.verify_root().error().fault == Fault::corrupt);
    }
    if (name == rows::Name::usages) {
      // That is no reason to refuse a store: it is counted anew, and with the next pack the root is right again.
      REQUIRE(home.reopen());
      auto write = *home.truth->write();
      REQUIRE(write.put_pack(crypto::address_of(a_pack(6)), a_pack(6)));
      REQUIRE(write.commit());
      CHECK(home.truth->read()->usage(feed.library)->count == 2);
      CHECK(home.truth->read()->verify_root());
      continue;
    }
    CHECK(home.reopen().error().fault == Fault::corrupt);
    // What fsck does then: what is left is a whole again.
    const auto damaged = *Truth::open_damaged(*home.kv, home.sealer);
    {
      auto write = *damaged->write();
      CHECK(*write.drop_damaged_rows() == 0);
      REQUIRE(write.commit());
    }
    CHECK(Truth::open(*home.kv, home.sealer).has_value());
  }
}

TEST_CASE("store: one of an older format is read and written as it is, migrated, and taken back; a failure on the way leaves it as it was") {
  Home home;
  const auto write_some = [&](std::uint8_t number) {
    auto write = *home.truth->write();
    REQUIRE(write.put_document({"mesh", "", number}, bytes_of("one")));
    REQUIRE(write.put_pack(crypto::address_of(a_pack(number)), a_pack(number)));
    REQUIRE(write.commit());
  };
  const auto whole = [&](std::uint8_t format, std::uint64_t packs) {
    CHECK(home.reopen());
    CHECK(*home.truth->format() == format);
    auto in = *home.truth->read();
    CHECK(in.verify_root());
    CHECK(in.usage(feed.library)->count == packs);
  };
  write_some(1);
  whole(2, 1);
  REQUIRE(home.truth->migrate(1));
  whole(1, 1);
  write_some(2);  // as the older version would
  whole(1, 2);
  // What only the newer format counts is not missed in the older.
  {
    MemoryDisk disk = home.disk;
    disk.tables[rows::table(rows::Name::usages).number].clear();
    MemoryKv kv(disk, rows::table_count);
    const auto truth = *Truth::open(kv, home.sealer);
    CHECK(truth->read()->usage(feed.library)->count == 0);
    CHECK(truth->migrate(2));  // which counts what is there
  }
  std::uint64_t failures = 0;
  for (const auto how : {Injected::fail, Injected::damage, Injected::crash}) {
    for (std::uint64_t n = 1;; ++n) {
      CAPTURE(n);
      MemoryDisk disk = home.disk;
      Result<void> done;
      {
        MemoryKv kv(disk, rows::table_count);
        const auto truth = *Truth::open(kv, home.sealer);
        const std::uint64_t before = kv.calls();
        kv.inject_at(n, how);
        done = truth->migrate(2);
        if (kv.calls() - before < n) break;
        kv.inject_at(0, Injected::none);
      }
      ++failures;
      MemoryKv kv(disk, rows::table_count);
      const auto truth = Truth::open(kv, home.sealer);
      REQUIRE(truth);
      CHECK(*(*truth)->format() == (done ? 2 : 1));
      CHECK((*truth)->read()->verify_root());
    }
  }
  CHECK(failures > 10);
  // Not from one that is damaged: what is missing there would be taken for right.
  {
    MemoryDisk disk = home.disk;
    REQUIRE(disk.flip_bit(rows::table(rows::Name::documents), disk.tables[rows::table(rows::Name::documents).number].begin()->first, 500));
    MemoryKv kv(disk, rows::table_count);
    const auto truth = *Truth::open(kv, home.sealer);
    CHECK(truth->migrate(2).error().fault == Fault::corrupt);
    CHECK(*truth->format() == 1);
  }
  REQUIRE(home.truth->migrate(2));
  whole(2, 2);
  // The way back does not ask for what the older one does not count.
  {
    MemoryDisk disk = home.disk;
    disk.tables[rows::table(rows::Name::usages).number].clear();
    MemoryKv kv(disk, rows::table_count);
    const auto truth = *Truth::open(kv, home.sealer);
    CHECK(truth->migrate(1));
  }
  write_some(3);
  whole(2, 3);
  for (const std::uint8_t format : {std::uint8_t{0}, std::uint8_t{3}, std::uint8_t{255}})
    CHECK(home.truth->migrate(format).error().fault == Fault::unsupported);
}

TEST_CASE("store: an exchanged row under the root is found by its sum, where its own frame is whole") {
  Home home;
  {
    auto write = *home.truth->write();
    REQUIRE(write.put_local("trust", bytes_of("old")));
    REQUIRE(write.commit());
  }
  const Bytes key = bytes_of("trust");
  const Bytes old = home.disk.tables[rows::table(rows::Name::locals).number].at(key);
  {
    auto write = *home.truth->write();
    REQUIRE(write.put_local("trust", bytes_of("new")));
    REQUIRE(write.commit());
  }
  CHECK(home.truth->read()->verify_root());
  home.disk.tables[rows::table(rows::Name::locals).number].at(key) = old;
  CHECK(home.truth->read()->verify_root().error().fault == Fault::corrupt);
}

TEST_CASE("store: a failure at any call of the seam leaves the truth as it was, or as it was to be") {
  const Bytes pack = a_pack(5);
  for (std::uint64_t n = 1;; ++n) {
    Home home;
    {
      auto write = *home.truth->write();
      REQUIRE(write.put_document(mesh_1, bytes_of("one")));
      REQUIRE(write.commit());
    }
    home.kv->inject_at(n, Injected::fail);
    const auto change = [&]() -> Result<void> {
      auto write = TRY(home.truth->write());
      TRY(write.put_document(mesh_2, bytes_of("two")));
      TRY(write.put_pack(crypto::address_of(pack), pack));
      TRY(write.put_entry(feed, {1}, bytes_of("first")));
      TRY(write.put_head(feed, {"note", bytes_of("tail")}));
      return write.commit();
    };
    const bool done = change().has_value();
    home.kv->inject_at(0, Injected::none);
    REQUIRE(home.reopen());
    auto in = *home.truth->read();
    CHECK(in.verify_root());
    CHECK(in.document(mesh_2)->has_value() == done);
    CHECK(in.head(feed)->has_value() == done);
    CHECK(*in.has_pack(crypto::address_of(pack)) == done);
    if (done) {
      CHECK(n > 10);
      break;
    }
  }
}
