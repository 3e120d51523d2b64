// dozo fsck: a home that is sound, then one damage at a time, and what a rebuild makes of it.
#include "node/fsck.h"
#include "node/home_store.h"
#include "node/local_sealer.h"

#include <doctest/doctest.h>
#include <lmdb.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "crypto/hash.h"
#include "crypto/random.h"
#include "crypto/start.h"
#include "node/library.h"
#include "policy/authoring.h"
#include "store/kv_lmdb.h"
#include "store/kv_memory.h"
#include "store/truth_check.h"
#include "store/truth_rows.h"
#include "store/truth_salvage.h"
#include "tests/content_fixture.h"
#include "tests/lmdb_calls.h"
#include "tests/scratch.h"

using namespace dozo;
using namespace dozo::node;
using content_fixture::noise;
using content_fixture::prose;
using store::TruthTable;
namespace fs = std::filesystem;

namespace {

constexpr std::int64_t now_ms = 1'795'410'300'000;

/// A node's store, realm and one library, on whatever Kv.
struct Node {
  Node(store::Kv& truth_kv, store::Kv& derived_kv, const crypto::NodeKeys& keys_in, const crypto::LocalKey& local_in, const Bytes& first_root,
       const policy::Publication& documents, const LibraryId& id)
      : keys(keys_in), local(local_in), seal(local_in), derived(derived_kv) {
    truth = std::move(*store::Truth::create(truth_kv, seal));
    realm = std::move(*Realm::open(*truth, keys, first_root, {}));
    for (const auto& [name, document] : documents) offered = realm->offer(document, now_ms).has_value() && offered;
    context.emplace(LibraryContext{*truth, derived, local, keys, *realm, crypto::random_id<IncarnationId>()});
    library = std::move(*Library::open(*context, id));
  }
  /// Saves contents under their paths, as one record.
  void save(const std::vector<std::pair<std::string, Bytes>>& contents, std::int64_t wall_ms) {
    std::vector<Library::StoredPack> stored;
    std::vector<store::SealedPack> meta;
    store::IngestOptions how;
    how.library = library->id();
    how.epoch = *library->epoch();
    how.workers = 0;
    store::Ingest ingest(how, *library->epoch_key(), library->index(), [&](store::SealedPack&& pack) -> Result<void> {
      if (pack.kind == crypto::PackKind::meta) return meta.push_back(std::move(pack)), Result<void>();
      auto write = *truth->write();
      TRY(write.put_pack(pack.address, pack.bytes));
      TRY(write.commit());
      stored.push_back({{pack.address, static_cast<std::uint32_t>(pack.bytes.size()), pack.kind}, pack.places});
      return {};
    });
    std::vector<Act> acts;
    for (const auto& [path, bytes] : contents) {
      content_fixture::MemorySource source(bytes);
      REQUIRE(ingest.add(source, {store::ContentKind::file, 0644, 0, ""}));
    }
    const auto settled = ingest.settle();
    REQUIRE(settled);
    for (std::size_t i = 0; i < contents.size(); ++i) acts.push_back(PutAct{contents[i].first, {(*settled)[i].value, (*settled)[i].source}});
    Capacity capacity;
    capacity.role = policy::service_role;
    capacity.key = &keys.sign;
    const auto prepared = library->prepare(acts, capacity, "saved", wall_ms);
    REQUIRE_MESSAGE(prepared, prepared.error().text);
    REQUIRE(ingest.add_record(prepared->signed_record));
    REQUIRE(ingest.finish());
    REQUIRE(library->commit(*prepared, std::move(stored), meta, wall_ms));
  }
  const crypto::NodeKeys& keys;
  const crypto::LocalKey& local;
  LocalSealer seal;
  store::Kv& derived;
  std::unique_ptr<store::Truth> truth;
  std::unique_ptr<Realm> realm;
  std::optional<LibraryContext> context;
  std::unique_ptr<Library> library;
  bool offered = true;
};

/// All that `other` has of its own feed, as a peer gives it.
void fetch(Library& library, store::Truth& truth, const Node& other) {
  const Library::Point point = *other.library->first_line(other.library->own_feed());
  if (const Sequence from = *library.next(point); from.value != 0)
    REQUIRE(library.accept_entries(point, from, *other.library->entries(point, from, 1U << 30))->empty());
  std::vector<Library::Arrived> came;
  for (const node::Library::Missing& pack : library.missing(1000, 0)) {
    auto in = *other.truth->read();
    const auto sealed = *in.pack(pack.address);
    if (!sealed) continue;  // of a feed that it has not
    REQUIRE(library.check_pack(pack.address, *sealed));
    auto write = *truth.write();
    REQUIRE(write.put_pack(pack.address, *sealed));
    REQUIRE(write.commit());
    came.push_back({pack.address, {}});
  }
  (void)library.packs_durable(std::move(came));
}

/// Made once: a home of sapporo, with a feed of its own and one of head, history and all.
struct Made {
  bool started = crypto::start().has_value();
  test::Scratch scratch;
  LibraryId library;
  FeedId own, foreign;
  NodeId self;
  policy::Publication documents;
  // The peer goes on living.
  crypto::NodeKeys head = crypto::NodeKeys::generate();
  crypto::LocalKey head_local{crypto::LocalKey::Root::random()};
  store::MemoryDisk truth_disk, derived_disk;
  store::MemoryKv head_truth{truth_disk, store::Truth::tables().size()}, head_derived{derived_disk, derived_tables().size()};
  std::unique_ptr<Node> peer;

  Made() {
    REQUIRE(started);
    const crypto::SigningKey role = crypto::SigningKey::generate();
    const crypto::SealKey admission = crypto::SealKey::generate();
    const std::int64_t now_s = now_ms / 1000;
    policy::RootPlan plan{"realm", now_s - 1000, now_s + 400 * 86400, {}, admission.public_key(), crypto::SealKey::generate().public_key()};
    for (std::size_t i = 0; i < policy::signing_role_count; ++i) plan.roles[static_cast<policy::SigningRole>(i)] = {{role.public_key()}, 1};
    const crypto::SigningKey* signer = &role;
    const Bytes root = *policy::sign_with(*policy::draft_root(plan, nullptr, std::nullopt), {&signer, 1});
    const policy::RealmFile realm = *policy::read_realm_file(policy::write_realm_file({*policy::realm_of(root), root, {}, {}}));

    std::ofstream(scratch.path / "key") << std::string(32, 'k');
    fs::permissions(scratch.path / "key", fs::perms::owner_read | fs::perms::owner_write);
    Settings settings;
    settings.name = "sapporo";
    settings.kind = policy::NodeKind::bureau;
    settings.zone = "hokkaido";
    settings.key_file = (scratch.path / "key").string();
    const auto home = create_home(scratch.path / "sound", settings, realm, *unlocking_by_file(scratch.path / "key"));
    REQUIRE(home);
    const auto keys = open_keys(*home, *unlocking_by_file(scratch.path / "key"));

    const auto reading = policy::read_source(R"(realm = "realm"
mesh_days = 90
freshness_hours = 24
[[node]]
name = "head"
kind = "hq"
zone = "tokyo"
[[node]]
name = "sapporo"
kind = "bureau"
zone = "hokkaido"
[[library]]
name = "works"
title = "Works"
home = "head"
copies = 2
members.head = { holding = "full", write = true }
members.sapporo = { holding = "full", write = true }
[[permit]]
id = "service"
roles = ["service"]
actions = ["read", "write"]
)",
                                             "policy.toml");
    for (const auto& mistake : reading.mistakes) FAIL(policy::text_of(mistake));
    policy::Names names;
    names.nodes = {{"head", head.public_part()}, {"sapporo", keys->node.public_part()}};
    library = crypto::random_id<LibraryId>();
    names.libraries = {{"works", library}};
    const auto compiled = policy::compile(reading.source, names);
    REQUIRE_MESSAGE(compiled, compiled.error().text);
    policy::RoleSigners signers;
    for (std::size_t i = 0; i < policy::signing_role_count; ++i) signers[static_cast<policy::SigningRole>(i)] = {&role};
    const auto published = policy::publish(realm.root, realm.realm, *compiled, nullptr, {}, admission, signers, now_s);
    REQUIRE_MESSAGE(published, published.error().text);
    documents = published->documents;

    const auto truth_kv = *store::open_lmdb(home->truth(), store::Truth::tables());
    const auto derived_kv = *store::open_lmdb(home->derived(), derived_tables());
    REQUIRE(own_derived(*derived_kv, keys->local));
    Node sapporo(*truth_kv, *derived_kv, keys->node, keys->local, root, documents, library);
    REQUIRE(sapporo.realm->policy() != nullptr);
    peer = std::make_unique<Node>(head_truth, head_derived, head, head_local, root, documents, library);
    Node& other = *peer;

    sapporo.save({{"plans/bridge.txt", prose(1, 200'000)}, {"plans/tunnel.txt", prose(2, 5'000)}}, now_ms + 1000);
    sapporo.save({{"plans/bridge.txt", prose(3, 300'000)}}, now_ms + 2000);
    sapporo.save({{"photo", noise(4, 1'500'000)}}, now_ms + 3000);
    for (int i = 0; i < 5; ++i) other.save({{"sheet " + std::to_string(i), prose(10 + static_cast<std::uint64_t>(i), 4'000)}}, now_ms + 4000 + i);
    fetch(*sapporo.library, *sapporo.truth, other);
    REQUIRE(sapporo.library->folder()->entries()->size() == 8);
    const auto history = sapporo.library->history();
    REQUIRE(history);
    REQUIRE((*history)->size() == 8);
    own = sapporo.library->own_feed();
    foreign = other.library->own_feed();
    self = keys->node.id;
  }
};

const Made& made() {
  static const Made it;
  return it;
}

/// A copy to be damaged.
struct Fixture {
  Made const& from = made();
  test::Scratch scratch;
  Home home;
  HomeKeys keys;

  static Home copied(const Made& made, const fs::path& to) {
    fs::copy(made.scratch.path / "sound", to, fs::copy_options::recursive);
    return *open_home(to);
  }
  Fixture() : home(copied(from, scratch.path / "home")), keys(*open_keys(home, *unlocking_by_file(from.scratch.path / "key"))) {}

  FsckReport check(bool rebuild = false) const {
    FsckOptions options;
    options.rebuild = rebuild;
    options.wall_ms = now_ms + 10'000;
    auto report = fsck(home, &keys, options);
    REQUIRE_MESSAGE(report, report.error().text);
    CHECK_FALSE(fs::exists(home.path / "derived.fsck"));
    return std::move(*report);
  }
  using Do = std::function<void(store::WriteTransaction&)>;
  void raw(const fs::path& folder, std::span<const std::string> tables, const Do& what) const {
    const auto kv = *store::open_lmdb(folder, tables);
    const auto write = *kv->write();
    what(*write);
    REQUIRE(write->commit());
  }
  void truth(const Do& what) const { raw(home.truth(), store::Truth::tables(), what); }
  void derived(const Do& what) const { raw(home.derived(), derived_tables(), what); }
};

store::Table number(TruthTable it) { return {static_cast<std::uint8_t>(it)}; }

/// Keys of a table that have this beginning.
std::vector<Bytes> keys_of(store::ReadTransaction& in, store::Table table, ByteView beginning = {}) {
  std::vector<Bytes> out;
  const auto cursor = *in.cursor(table);
  for (bool found = *cursor->seek(beginning); found && cursor->key().size() >= beginning.size() && equal(cursor->key().first(beginning.size()), beginning);
       found = *cursor->next())
    out.push_back(bytes_of(cursor->key()));
  return out;
}
Bytes beginning_of(const FeedId& feed) {
  Bytes out = bytes_of(feed.library.view());
  append(out, feed.node.view());
  append(out, feed.incarnation.view());
  return out;
}
void flip(store::WriteTransaction& write, store::Table table, const Bytes& key, std::size_t place) {
  Bytes value = bytes_of(**write.get(table, key));
  value[place % value.size()] ^= 0x10;
  REQUIRE(write.put(table, key, value));
}
/// The packs of a kind, as their headers say.
std::vector<Bytes> packs_of(store::ReadTransaction& in, crypto::PackKind kind) {
  std::vector<Bytes> out;
  for (const Bytes& key : keys_of(in, number(TruthTable::packs))) {
    if (crypto::check_sealed(**in.get(number(TruthTable::packs), key))->kind == kind) out.push_back(key);
  }
  return out;
}

std::string lines_of(const FsckReport& report) {
  std::string out;
  for (const Finding& it : report.findings) out += std::string(name_of(it.state)) + " " + std::string(name_of(it.kind)) + ": " + it.text + "\n";
  return out;
}
bool names(const FsckReport& report, FsckKind kind, FsckState state, std::string_view text = {}) {
  return std::ranges::any_of(report.findings,
                             [&](const Finding& it) { return it.kind == kind && it.state == state && it.text.find(text) != std::string::npos; });
}
bool has_mended(const FsckReport& report) {
  return std::ranges::any_of(report.findings, [](const Finding& it) { return it.state == FsckState::mended || it.state == FsckState::dropped; });
}

/// The damage is named without a rebuild, nothing changes by it; a rebuild deals with it; and then all is sound.
void damaged(const Fixture& it, FsckKind kind, FsckState after, std::string_view text = {}) {
  const FsckReport first = it.check();
  INFO(lines_of(first));
  CHECK_FALSE(first.sound());
  CHECK(names(first, kind, FsckState::damaged, text));
  const FsckReport again = it.check();
  CHECK(lines_of(again) == lines_of(first));
  const FsckReport rebuilt = it.check(true);
  INFO("rebuilt:\n", lines_of(rebuilt));
  CHECK(rebuilt.sound());
  CHECK(names(rebuilt, kind, after));
  const FsckReport last = it.check();
  INFO("after:\n", lines_of(last));
  CHECK(last.sound());
  CHECK_FALSE(has_mended(last));
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "fsck: a sound home has no findings, and all of it was looked at") {
  const FsckReport report = check();
  CHECK_MESSAGE(report.findings.empty(), lines_of(report));
  CHECK(report.sound());
  CHECK(report.opened);
  CHECK(report.documents >= 6);
  CHECK(report.feeds == 2);
  CHECK(report.entries == 8);
  CHECK(report.records == 8);
  CHECK(report.contents == 8);
  CHECK(report.content_bytes == 300'000 + 5'000 + 1'500'000 + 5 * 4'000);
  CHECK(report.commits == 8);
  CHECK(report.packs > 10);
  SUBCASE("after a rebuild too") {
    const FsckReport rebuilt = check(true);
    CHECK_MESSAGE(rebuilt.findings.empty(), lines_of(rebuilt));
    const FsckReport again = check();
    CHECK_MESSAGE(again.findings.empty(), lines_of(again));
  }
  SUBCASE("and without keys, as far as that goes") {
    const auto sealed = fsck(home, nullptr, {});
    REQUIRE(sealed);
    CHECK_MESSAGE(sealed->findings.empty(), lines_of(*sealed));
    CHECK_FALSE(sealed->opened);
    CHECK(sealed->packs == report.packs);
    FsckOptions options;
    options.rebuild = true;
    CHECK(fsck(home, nullptr, options).error().fault == Fault::denied);
  }
}

TEST_CASE_FIXTURE(Fixture, "fsck: a running daemon is in the way, and a home without a store is sound") {
  {
    const auto lock = lock_home(home);
    REQUIRE(lock);
    const auto refused = fsck(home, &keys, {});
    CHECK(refused.error().fault == Fault::unavailable);
  }
  fs::remove_all(home.truth());
  const FsckReport report = check();
  CHECK(report.sound());
  CHECK(names(report, FsckKind::environment, FsckState::note));
}

TEST_CASE_FIXTURE(Fixture, "fsck: a flipped bit in a pack") {
  for (const crypto::PackKind kind : {crypto::PackKind::content, crypto::PackKind::meta}) {
    for (const std::size_t place : {std::size_t{2}, std::size_t{20}, std::size_t{50}, std::size_t{400}}) {
      Fixture it;
      it.truth([&](store::WriteTransaction& write) { flip(write, number(TruthTable::packs), packs_of(write, kind).at(1), place); });
      INFO(place);
      damaged(it, FsckKind::pack, FsckState::dropped, "does not fit its address");
      CHECK(names(it.check(), FsckKind::pack, FsckState::note, "1 packs that entries list are not here"));
      const auto sealed = fsck(it.home, nullptr, {});
      CHECK(sealed->sound());
    }
  }
}

TEST_CASE_FIXTURE(Fixture, "fsck: two packs exchanged, and a pack gone") {
  SUBCASE("exchanged") {
    truth([&](store::WriteTransaction& write) {
      const auto packs = packs_of(write, crypto::PackKind::content);
      const Bytes one = bytes_of(**write.get(number(TruthTable::packs), packs.at(0))), two = bytes_of(**write.get(number(TruthTable::packs), packs.at(1)));
      REQUIRE(write.put(number(TruthTable::packs), packs.at(0), two));
      REQUIRE(write.put(number(TruthTable::packs), packs.at(1), one));
    });
    CHECK(check().damaged == 2);
    damaged(*this, FsckKind::pack, FsckState::dropped);
    CHECK(names(check(), FsckKind::pack, FsckState::note, "2 packs"));
  }
  SUBCASE("gone") {
    truth([&](store::WriteTransaction& write) { REQUIRE(*write.erase(number(TruthTable::packs), packs_of(write, crypto::PackKind::content).at(0))); });
    CHECK(names(check(), FsckKind::pack, FsckState::note, "1 packs"));
    damaged(*this, FsckKind::pack_count, FsckState::mended);
  }
}

TEST_CASE_FIXTURE(Fixture, "fsck: packs that nothing lists are told of, and removed by a rebuild of a store that is whole") {
  const auto key = *crypto::EpochKey::from(Bytes(32, 3));
  const Bytes left = crypto::seal_pack(key, crypto::PackKind::content, from.library, {1}, Bytes{1}, Bytes(5000, 7));
  {
    const auto kv = *store::open_lmdb(home.truth(), store::Truth::tables());
    const LocalSealer seal(keys.local);
    const auto store = *store::Truth::open(*kv, seal);
    auto write = *store->write();
    REQUIRE(write.put_pack(crypto::address_of(left), left));
    REQUIRE(write.commit());
  }
  const FsckReport report = check();
  CHECK(report.sound());
  CHECK(names(report, FsckKind::pack, FsckState::note, "1 packs"));
  SUBCASE("whole") {
    CHECK(names(check(true), FsckKind::pack, FsckState::note, "removed"));
    CHECK(check().findings.empty());
  }
  SUBCASE("an entry is gone that may have listed it") {
    truth([&](store::WriteTransaction& write) { REQUIRE(*write.erase(number(TruthTable::entries), keys_of(write, number(TruthTable::entries)).back())); });
    const FsckReport rebuilt = check(true);
    CHECK_FALSE(names(rebuilt, FsckKind::pack, FsckState::note, "removed"));
    CHECK(rebuilt.packs == report.packs);
  }
}

TEST_CASE("fsck: a damaged or missing entry ends its feed before it; what follows is kept aside") {
  for (const bool own : {true, false}) {
    for (const bool missing : {true, false}) {
      Fixture it;
      const FeedId feed = own ? it.from.own : it.from.foreign;
      it.truth([&](store::WriteTransaction& write) {
        const Bytes key = keys_of(write, number(TruthTable::entries), beginning_of(feed)).at(1);
        if (missing) {
          REQUIRE(*write.erase(number(TruthTable::entries), key));
        } else {
          flip(write, number(TruthTable::entries), key, 300);
        }
      });
      INFO(own, missing);
      damaged(it, FsckKind::feed, FsckState::dropped, missing ? "entry 2 is missing" : "entry 2");
      const FsckReport after = it.check();
      CHECK(names(after, FsckKind::feed, FsckState::note, "set aside"));
      CHECK(after.entries == 7);
    }
  }
}

TEST_CASE("fsck: the last entry missing, an entry of another place, and entries beyond the end") {
  Fixture it;
  const Bytes beginning = beginning_of(it.from.foreign);
  SUBCASE("the last is missing") {
    it.truth([&](store::WriteTransaction& write) {
      REQUIRE(*write.erase(number(TruthTable::entries), keys_of(write, number(TruthTable::entries), beginning).back()));
    });
    damaged(it, FsckKind::feed, FsckState::dropped, "entries 5 to 5 are missing");
  }
  SUBCASE("all are missing") {
    it.truth([&](store::WriteTransaction& write) {
      for (const Bytes& key : keys_of(write, number(TruthTable::entries), beginning)) REQUIRE(*write.erase(number(TruthTable::entries), key));
    });
    damaged(it, FsckKind::feed, FsckState::dropped, "entries 1 to 5 are missing");
  }
  SUBCASE("a row moved to another place") {
    it.truth([&](store::WriteTransaction& write) {
      const auto keys = keys_of(write, number(TruthTable::entries), beginning);
      const Bytes value = bytes_of(**write.get(number(TruthTable::entries), keys.at(3)));
      REQUIRE(write.put(number(TruthTable::entries), keys.at(2), value));
    });
    damaged(it, FsckKind::feed, FsckState::dropped, "entry 3");
  }
}

TEST_CASE("fsck: heads") {
  for (const bool own : {true, false}) {
    for (const bool missing : {true, false}) {
      Fixture it;
      const FeedId feed = own ? it.from.own : it.from.foreign;
      it.truth([&](store::WriteTransaction& write) {
        const Bytes key = keys_of(write, number(TruthTable::heads), beginning_of(feed)).at(0);
        if (missing) {
          REQUIRE(*write.erase(number(TruthTable::heads), key));
        } else {
          flip(write, number(TruthTable::heads), key, 200);
        }
      });
      INFO(own, missing);
      damaged(it, missing ? FsckKind::root : FsckKind::feed, FsckState::dropped, missing ? "table h" : "head of feed");
      const FsckReport after = it.check();
      CHECK(after.feeds == (own ? 2 : 1));  // its own head is signed once more
      CHECK(names(after, FsckKind::feed, FsckState::note, "without a head") == !own);
    }
  }
}

TEST_CASE("fsck: heads whose rows are whole, and say something else") {
  for (const bool own : {true, false}) {
    for (const int what : {0, 1, 2}) {
      Fixture it;
      const FeedId feed = own ? it.from.own : it.from.foreign;
      {
        const auto kv = *store::open_lmdb(it.home.truth(), store::Truth::tables());
        const LocalSealer seal(it.keys.local);
        const auto store = *store::Truth::open(*kv, seal);
        auto write = *store->write();
        store::HeadRow head = **write.head(feed);
        if (what == 0) head.note[head.note.size() - 10] = head.note[head.note.size() - 10] == 'A' ? 'B' : 'A';
        if (what == 1) head.tail[head.tail.size() - 5] ^= 1;
        if (what == 2) head.tail.clear();
        REQUIRE(write.put_head(feed, head));
        REQUIRE(write.commit());
      }
      INFO(own, what);
      damaged(it, FsckKind::feed, what > 0 || own ? FsckState::mended : FsckState::dropped, what == 0 ? "its head is not its node's" : "its stored end");
      CHECK(it.check().feeds == (own || what > 0 ? 2 : 1));
    }
  }
}

TEST_CASE("fsck: hashes of a feed, missing, wrong or too many") {
  for (const int what : {0, 1, 2, 3}) {
    Fixture it;
    it.truth([&](store::WriteTransaction& write) {
      const auto keys = keys_of(write, number(TruthTable::subtrees), beginning_of(it.from.foreign));
      if (what == 0) REQUIRE(*write.erase(number(TruthTable::subtrees), keys.at(2)));
      if (what == 1) flip(write, number(TruthTable::subtrees), keys.at(3), 5);
      if (what == 2) flip(write, number(TruthTable::subtrees), keys.back(), 150);
    });
    if (what == 3) {
      const auto kv = *store::open_lmdb(it.home.truth(), store::Truth::tables());
      const LocalSealer seal(it.keys.local);
      const auto store = *store::Truth::open(*kv, seal);
      auto write = *store->write();
      REQUIRE(write.put_subtree(it.from.foreign, {0, 9}, Digest{}));
      REQUIRE(write.commit());
    }
    INFO(what);
    damaged(it, FsckKind::subtree, FsckState::mended);
  }
}

TEST_CASE("fsck: what a rebuild drops comes back from a peer, and all is as before") {
  for (const int what : {0, 1, 2}) {
    Fixture it;
    it.truth([&](store::WriteTransaction& write) {
      const auto entries = keys_of(write, number(TruthTable::entries), beginning_of(it.from.foreign));
      if (what == 0) flip(write, number(TruthTable::entries), entries.at(2), 200);
      if (what == 1) REQUIRE(*write.erase(number(TruthTable::heads), keys_of(write, number(TruthTable::heads), beginning_of(it.from.foreign)).at(0)));
      if (what == 2) {  // the packs of the peer's last entry
        const auto framed = **write.get(number(TruthTable::entries), entries.back());
        for (const Bytes& pack : keys_of(write, number(TruthTable::packs))) {
          if (std::search(framed.begin(), framed.end(), pack.begin(), pack.end()) != framed.end()) flip(write, number(TruthTable::packs), pack, 300);
        }
      }
    });
    CHECK_FALSE(it.check().sound());
    CHECK(it.check(true).sound());
    {
      const auto truth_kv = *store::open_lmdb(it.home.truth(), store::Truth::tables());
      const auto derived_kv = *store::open_lmdb(it.home.derived(), derived_tables());
      const LocalSealer seal(it.keys.local);
      const auto truth = *store::Truth::open(*truth_kv, seal);
      const auto realm = *Realm::open(*truth, it.keys.node, it.home.realm.first_root, {});
      const auto library = *Library::open({*truth, *derived_kv, it.keys.local, it.keys.node, *realm, crypto::random_id<IncarnationId>()}, it.from.library);
      CHECK(library->folder()->entries()->size() == (what == 0 ? 5 : what == 1 ? 3 : 7));
      fetch(*library, *truth, *it.from.peer);
      CHECK(library->folder()->entries()->size() == 8);
    }
    INFO(what);
    CHECK(it.check().sound());
    CHECK(it.check(true).sound());
    const FsckReport last = it.check();
    CHECK_MESSAGE(last.findings.empty(), lines_of(last));
    CHECK(last.contents == 8);
  }
}

TEST_CASE("fsck: documents of the authority, the state of the policy, and the root") {
  std::vector<Bytes> documents;
  {
    Fixture it;
    it.truth([&](store::WriteTransaction& write) { documents = keys_of(write, number(TruthTable::documents)); });
  }
  REQUIRE(documents.size() >= 6);
  for (const Bytes& key : documents) {
    Fixture it;
    it.truth([&](store::WriteTransaction& write) { flip(write, number(TruthTable::documents), key, 500); });
    INFO(text_of(key));
    damaged(it, FsckKind::document, FsckState::dropped, "a damaged row in table documents");
    // Nothing that is left was lost: the feeds and packs are as they were.
    CHECK(it.check().entries == 8);
  }
  Fixture it;
  const auto state = bytes_of(view_of(Realm::state_name));
  SUBCASE("a document is gone") {
    it.truth([&](store::WriteTransaction& write) { REQUIRE(*write.erase(number(TruthTable::documents), documents.at(1))); });
    damaged(it, FsckKind::root, FsckState::dropped, "table d");
  }
  SUBCASE("the state is damaged: made again from the documents") {
    it.truth([&](store::WriteTransaction& write) { flip(write, number(TruthTable::locals), state, 60); });
    damaged(it, FsckKind::document, FsckState::dropped);
    const FsckReport after = it.check();
    CHECK(after.opened);
    CHECK(after.findings.empty());
  }
  SUBCASE("the root is gone, or damaged") {
    const store::Table root{static_cast<std::uint8_t>(store::truth_table_count)};
    it.truth([&](store::WriteTransaction& write) { flip(write, root, keys_of(write, root).at(0), 30); });
    damaged(it, FsckKind::root, FsckState::dropped);
    it.truth([&](store::WriteTransaction& write) { REQUIRE(*write.erase(root, keys_of(write, root).at(0))); });
    damaged(it, FsckKind::root, FsckState::dropped);
    CHECK(it.check().findings.empty());
  }
}

TEST_CASE("fsck: statements, and what counts packs") {
  Fixture it;
  {
    const auto kv = *store::open_lmdb(it.home.truth(), store::Truth::tables());
    const LocalSealer seal(it.keys.local);
    const auto store = *store::Truth::open(*kv, seal);
    auto write = *store->write();
    REQUIRE(write.put_statement({it.from.library, it.from.self, "receipt"}, {3, Bytes(100, 5)}));
    REQUIRE(write.commit());
  }
  CHECK(it.check().findings.empty());
  SUBCASE("a statement") {
    it.truth([&](store::WriteTransaction& write) { flip(write, number(TruthTable::statements), keys_of(write, number(TruthTable::statements)).at(0), 90); });
    damaged(it, FsckKind::row, FsckState::dropped, "statements");
  }
  SUBCASE("a row of the list of packs") {
    it.truth([&](store::WriteTransaction& write) { REQUIRE(*write.erase(number(TruthTable::owners), keys_of(write, number(TruthTable::owners)).at(2))); });
    damaged(it, FsckKind::pack_count, FsckState::mended);
  }
  SUBCASE("a damaged one") {
    it.truth([&](store::WriteTransaction& write) { flip(write, number(TruthTable::owners), keys_of(write, number(TruthTable::owners)).at(2), 80); });
    damaged(it, FsckKind::pack_count, FsckState::mended);
  }
  SUBCASE("the count") {
    it.truth([&](store::WriteTransaction& write) { flip(write, number(TruthTable::usages), keys_of(write, number(TruthTable::usages)).at(0), 40); });
    damaged(it, FsckKind::pack_count, FsckState::mended);
  }
}

TEST_CASE("fsck: the index of pieces") {
  Fixture it;
  SUBCASE("a row gone") {
    it.derived([&](store::WriteTransaction& write) { REQUIRE(*write.erase(pieces_table, keys_of(write, pieces_table).at(3))); });
    damaged(it, FsckKind::index, FsckState::mended, "1 pieces are not in the index");
  }
  SUBCASE("a row that leads elsewhere") {
    it.derived([&](store::WriteTransaction& write) { flip(write, pieces_table, keys_of(write, pieces_table).at(3), 3); });
    damaged(it, FsckKind::index, FsckState::mended, "lead to a pack that does not have the piece");
  }
  SUBCASE("a row that leads to another pack that is here") {
    it.derived([&](store::WriteTransaction& write) {
      const auto keys = keys_of(write, pieces_table);
      const Bytes first = bytes_of(**write.get(pieces_table, keys.at(0)));
      for (const Bytes& key : keys) {
        if (equal(**write.get(pieces_table, key), first)) continue;
        REQUIRE(write.put(pieces_table, key, first));
        return;
      }
      FAIL("all pieces in one pack");
    });
    damaged(it, FsckKind::index, FsckState::mended, "lead to a pack that does not have the piece");
  }
  SUBCASE("a row of nothing") {
    it.derived([&](store::WriteTransaction& write) { REQUIRE(write.put(pieces_table, Bytes(16, 1), Bytes(16, 1))); });
    damaged(it, FsckKind::index, FsckState::mended, "of pieces that no pack has");
  }
  SUBCASE("of another version of dozod: nothing in it is looked at, and none of it is damage") {
    it.derived([&](store::WriteTransaction& write) {
      const Bytes mark = keys_of(write, owner_table).at(0);
      REQUIRE(write.put(owner_table, mark, Bytes(32, 7)));
      for (const Bytes& key : keys_of(write, pieces_table)) REQUIRE(write.put(pieces_table, key, Bytes(32, 1)));
    });
    const FsckReport report = it.check();
    CHECK(report.sound());
    CHECK(names(report, FsckKind::environment, FsckState::note, "another version's"));
  }
  SUBCASE("a pack that is not marked is indexed later: no damage") {
    it.derived([&](store::WriteTransaction& write) { REQUIRE(*write.erase(indexed_table, keys_of(write, indexed_table).at(0))); });
    const FsckReport report = it.check();
    CHECK(report.sound());
    CHECK(names(report, FsckKind::index, FsckState::note, "1 packs are not indexed yet"));
  }
}

TEST_CASE("fsck: every row of the history, damaged or gone") {
  std::size_t rows = 0;
  {
    Fixture it;
    it.derived([&](store::WriteTransaction& write) { rows = keys_of(write, history_table).size(); });
  }
  REQUIRE(rows > 40);
  for (std::size_t i = 0; i < rows; i += 7) {
    for (const bool missing : {true, false}) {
      Fixture it;
      it.derived([&](store::WriteTransaction& write) {
        const Bytes key = keys_of(write, history_table).at(i);
        if (missing) {
          REQUIRE(*write.erase(history_table, key));
        } else {
          flip(write, history_table, key, 30);
        }
      });
      INFO(i, missing);
      damaged(it, FsckKind::history, FsckState::mended);
    }
  }
}

TEST_CASE("fsck: every row of records and folder, damaged or gone") {
  std::size_t rows = 0;
  {
    Fixture it;
    it.derived([&](store::WriteTransaction& write) { rows = keys_of(write, view_table).size(); });
  }
  REQUIRE(rows > 60);
  std::set<std::uint8_t> kinds;
  for (std::size_t i = 0; i < rows; i += 3) {
    for (const bool missing : {true, false}) {
      Fixture it;
      bool done = true, state = false, of_history = false;
      it.derived([&](store::WriteTransaction& write) {
        const Bytes key = keys_of(write, view_table).at(i);
        kinds.insert(key.at(8));
        // Two spaces, and that of the library alone has its state.
        const auto all = keys_of(write, view_table);
        of_history =
            std::ranges::none_of(all, [&](const Bytes& other) { return other.at(8) == 'l' && std::equal(key.begin(), key.begin() + 8, other.begin()); });
        state = missing && key.at(8) == 'l';
        if (missing) {
          REQUIRE(*write.erase(view_table, key));
        } else if ((**write.get(view_table, key)).empty()) {
          done = false;
        } else {
          flip(write, view_table, key, 5);
        }
      });
      if (!done || state) continue;  // without its state nothing is derived yet
      INFO(i, missing);
      damaged(it, of_history ? FsckKind::history : FsckKind::index, FsckState::mended, of_history ? "the folder of its history" : "the folder as it is stored");
    }
  }
  CHECK(kinds.size() >= 9);
}

TEST_CASE("fsck: a derived store that is gone is made again, one that nobody can read too") {
  Fixture it;
  SUBCASE("gone") {
    fs::remove_all(it.home.derived());
    const FsckReport report = it.check();
    CHECK(report.sound());
    CHECK(names(report, FsckKind::index, FsckState::note, "nothing is derived yet"));
    CHECK(it.check(true).sound());
    CHECK(it.check().findings.empty());
  }
  SUBCASE("its pages are overwritten") {
    {
      std::fstream file(it.home.derived() / "data.mdb", std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(2 * 4096);
      for (int i = 0; i < 20 * 4096; ++i) file.put('x');
    }
    damaged(it, FsckKind::environment, FsckState::mended);
    CHECK(it.check().findings.empty());
  }
}

namespace {

void zero_page(const fs::path& file, std::uint64_t page) {
  std::fstream out(file, std::ios::in | std::ios::out | std::ios::binary);
  out.seekp(static_cast<std::streamoff>(page * 4096));
  out.write(std::string(4096, '\0').data(), 4096);
}

}  // namespace

TEST_CASE("fsck: any page of what is derived in zeros is said or of no matter, never a crash, and healed by a rebuild") {
  const Made& from = made();
  const auto size = fs::file_size(from.scratch.path / "sound" / "derived" / "data.mdb");
  std::size_t said = 0;
  for (std::uint64_t page = 0; page < size / 4096; page += page < 30 ? 1 : 11) {
    Fixture it;
    zero_page(it.home.derived() / "data.mdb", page);
    INFO("page ", page);
    said += it.check().sound() ? 0 : 1;
    const FsckReport rebuilt = it.check(true);
    CHECK_MESSAGE(rebuilt.sound(), lines_of(rebuilt));
    CHECK(it.check().findings.empty());
  }
  CHECK(said > 10);
}

TEST_CASE("fsck: any page of the truth's file in zeros is said or of no matter, and never a crash") {
  const Made& from = made();
  const auto size = fs::file_size(from.scratch.path / "sound" / "truth" / "data.mdb");
  std::size_t ruins = 0, said = 0;
  for (std::uint64_t page = 0; page < size / 4096; page += page < 12 ? 1 : 37) {
    Fixture it;
    zero_page(it.home.truth() / "data.mdb", page);
    INFO("page ", page);
    const FsckReport report = it.check();
    if (report.sound()) continue;
    ++said;
    if (report.findings[0].kind != FsckKind::environment) continue;
    ++ruins;
    CHECK_MESSAGE(report.findings.size() == 1, lines_of(report));
    CHECK(report.findings[0].text.find("docs/operations.md") != std::string::npos);
  }
  CHECK(ruins > 0);
  CHECK(said > ruins);
}

namespace {

/// What the home shows when it is opened as a daemon does, before and after a peer has given what it has.
std::pair<std::size_t, std::size_t> shown(const Fixture& it) {
  const auto truth_kv = *store::open_lmdb(it.home.truth(), store::Truth::tables());
  const auto derived_kv = *store::open_lmdb(it.home.derived(), derived_tables());
  const LocalSealer seal(it.keys.local);
  const auto truth = *store::Truth::open(*truth_kv, seal);
  const auto realm = *Realm::open(*truth, it.keys.node, it.home.realm.first_root, {});
  for (const auto& [name, document] : it.from.documents) (void)realm->offer(document, now_ms);
  REQUIRE(realm->policy() != nullptr);
  realm->set_wall_ms(now_ms + 10'000);  // without a clock nobody's suspension is over
  const auto library = *Library::open({*truth, *derived_kv, it.keys.local, it.keys.node, *realm, crypto::random_id<IncarnationId>()}, it.from.library);
  const std::size_t before = library->folder()->entries()->size();
  fetch(*library, *truth, *it.from.peer);
  return {before, library->folder()->entries()->size()};
}

}  // namespace

TEST_CASE("fsck: out of a truth in ruins a rebuild takes what is whole, keeps the ruins, and a peer gives the rest") {
  const Made& from = made();
  const auto pages = fs::file_size(from.scratch.path / "sound" / "truth" / "data.mdb") / 4096;
  std::size_t ruins = 0, all_here = 0, all_after = 0;
  for (std::uint64_t page = 0; page < pages; page += page < 12 ? 1 : 5) {
    Fixture it;
    zero_page(it.home.truth() / "data.mdb", page);
    const FsckReport report = it.check();
    if (report.sound() || report.findings[0].kind != FsckKind::environment) continue;
    ++ruins;
    INFO("page ", page);
    const FsckReport rebuilt = it.check(true);
    CHECK_MESSAGE(rebuilt.sound(), lines_of(rebuilt));
    CHECK(names(rebuilt, FsckKind::environment, FsckState::mended, "truth.ruined"));
    CHECK(fs::exists(it.home.truth().string() + ".ruined/data.mdb"));
    CHECK_FALSE(fs::exists(it.home.truth().string() + ".fsck"));
    const auto [here, after] = shown(it);
    CHECK(after >= 5);  // the peer's own are there whatever was lost here
    all_here += here == 8;
    all_after += after == 8;
    CHECK(it.check().sound());
  }
  MESSAGE(ruins, " ruins: all documents were in ", all_here, ", and with the peer in ", all_after);
  REQUIRE(ruins > 3);
  CHECK(all_here * 2 > ruins);
  CHECK(all_after >= all_here);
}

TEST_CASE("fsck: what somebody put into a pack, so that it looks like rows, is not taken out of a truth in ruins") {
  Fixture it;
  const crypto::SigningKey stranger = crypto::SigningKey::generate();
  const store::StatementKey receipt{it.from.library, it.from.self, "held"};
  const FeedId invented{it.from.library, it.from.self, crypto::random_id<IncarnationId>()};
  std::vector<std::pair<store::Branch, store::HeadRow>> before;
  {
    const auto kv = *store::open_lmdb(it.home.truth(), store::Truth::tables());
    const LocalSealer seal(it.keys.local);
    const auto truth = *store::Truth::open(*kv, seal);
    auto write = *truth->write();
    REQUIRE(write.each_head([&](const store::Branch& branch, const store::HeadRow& row) -> Result<bool> {
      before.emplace_back(branch, row);
      return true;
    }));
    REQUIRE(before.size() == 2);
    Bytes body;
    const auto add = [&](TruthTable table, const Bytes& key, const Bytes& value) { append(body, store::rows::frame(number(table), key, value)); };
    // One entry more of each feed, one of a feed that never was, each under a head that somebody else signed; and a word of this node's about what it holds.
    for (const FeedId& feed : {it.from.own, it.from.foreign, invented}) {
      store::FeedTail tail(feed);
      for (const auto& [branch, row] : before) {
        if (branch.feed == feed) tail = *store::FeedTail::decode(row.tail);
      }
      store::Entry entry;
      entry.kind = static_cast<std::uint8_t>(store::EntryKind::change);
      entry.policy = {1};
      entry.epoch = {1};
      entry.record.bytes.fill(9);
      entry.packs = std::vector<store::PackListing>{{crypto::random_id<PackAddress>(), 512, crypto::PackKind::meta}};
      const auto made = *tail.append(entry, stranger);
      add(TruthTable::entries, store::rows::entry_key(feed, tail.sequence()), made.entry);
      add(TruthTable::heads, store::rows::branch_key(feed), store::rows::head_value({made.head_note, tail.encode(), {}}));
    }
    add(TruthTable::statements, store::rows::statement_key(receipt), store::rows::statement_value({~0ULL, Bytes(100, 1)}));
    Bytes pack(65'536);
    std::memcpy(pack.data(), crypto::pack_magic.data(), 4);
    pack[4] = 1;
    pack[5] = 1;
    std::memcpy(&pack[8], it.from.library.bytes.data(), 16);
    put_u32(&pack[24], 1);
    put_u32(&pack[28], static_cast<std::uint32_t>(pack.size() - crypto::pack_overhead_bytes));
    std::memcpy(&pack[crypto::pack_header_bytes], body.data(), body.size());
    REQUIRE(crypto::check_sealed(pack));
    REQUIRE(write.put_pack(crypto::address_of(pack), pack));
    REQUIRE(write.commit());
  }
  std::size_t looked_like_rows = 0;
  REQUIRE(store::salvage(it.home.truth() / "data.mdb", {[&](TruthTable table, ByteView key, ByteView) -> Result<void> {
                                                          looked_like_rows +=
                                                              table == TruthTable::statements && equal(key, store::rows::statement_key(receipt));
                                                          return {};
                                                        },
                                                        nullptr}));
  CHECK(looked_like_rows == 1);  // so the search meets them
  for (const std::uint64_t page : {0U, 1U}) zero_page(it.home.truth() / "data.mdb", page);
  const FsckReport rebuilt = it.check(true);
  CHECK_MESSAGE(rebuilt.sound(), lines_of(rebuilt));
  {
    const auto kv = *store::open_lmdb(it.home.truth(), store::Truth::tables());
    const LocalSealer seal(it.keys.local);
    const auto truth = *store::Truth::open(*kv, seal);
    auto read = *truth->read();
    std::vector<std::pair<store::Branch, store::HeadRow>> after;
    REQUIRE(read.each_head([&](const store::Branch& branch, const store::HeadRow& row) -> Result<bool> {
      after.emplace_back(branch, row);
      return true;
    }));
    CHECK(after == before);
    CHECK_FALSE(*read.statement(receipt));
    CHECK_FALSE(*read.entry(invented, {1}));
  }
  CHECK(shown(it).first == 8);
}

TEST_CASE("fsck: a rebuild of ruins that is cut off leaves them as they were, or says what to do") {
  Fixture it;
  for (const std::uint64_t page : {0U, 1U}) zero_page(it.home.truth() / "data.mdb", page);
  const auto refused = [&](const std::string& says) {
    const auto store = HomeStore::open(it.home, it.keys, HomeStore::Before::ended);
    REQUIRE_FALSE(store);
    INFO(store.error().text);
    CHECK(store.error().text.find(says) != std::string::npos);
    const auto report = fsck(it.home, &it.keys, {});
    REQUIRE_FALSE(report);
    CHECK(report.error().text.find(says) != std::string::npos);
  };
  const fs::path fresh = it.home.truth().string() + ".fsck";
  fs::create_directory(fresh);  // as a run leaves it that was killed
  std::ofstream(fresh / "data.mdb") << "half of it";
  CHECK(it.check(true).sound());
  CHECK_FALSE(fs::exists(fresh));
  // Between its two renames.
  fs::rename(it.home.truth(), fresh);
  refused("truth.fsck: a rebuild was cut off");
  fs::rename(fresh, it.home.truth());
  CHECK(it.check().sound());
  CHECK(shown(it).second == 8);
}

TEST_CASE("fsck: of two ruins the first is not overwritten, and a file with nothing in it gives nothing") {
  Fixture it;
  const fs::path file = it.home.truth() / "data.mdb";
  for (const std::uint64_t page : {0U, 1U}) zero_page(file, page);
  CHECK(it.check(true).sound());
  for (const std::uint64_t page : {0U, 1U}) zero_page(file, page);
  FsckOptions options;
  options.rebuild = true;
  options.wall_ms = now_ms + 10'000;
  const auto again = fsck(it.home, &it.keys, options);
  REQUIRE_FALSE(again);
  CHECK(again.error().fault == Fault::exists);
  CHECK(again.error().text.find("move it away") != std::string::npos);
  fs::rename(it.home.truth().string() + ".ruined", it.home.path / "elsewhere");
  CHECK(it.check(true).sound());
  CHECK(shown(it).second == 8);

  fs::rename(it.home.truth().string() + ".ruined", it.home.path / "elsewhere too");
  std::ofstream(file, std::ios::binary | std::ios::trunc) << std::string(1U << 20, 'x');
  const FsckReport empty = it.check(true);
  CHECK_MESSAGE(empty.sound(), lines_of(empty));
  CHECK(names(empty, FsckKind::environment, FsckState::mended, "0 entries, 0 packs"));
  CHECK(shown(it).second == 5);
}

namespace {

/// An entry that this node's key vouches for, in a feed of its own; what it says is for the test.
void write_entry(const Fixture& it, const std::vector<Bytes>& packs, const std::function<void(store::Entry&, store::TruthWrite&)>& say) {
  const auto kv = *store::open_lmdb(it.home.truth(), store::Truth::tables());
  const LocalSealer seal(it.keys.local);
  const auto store = *store::Truth::open(*kv, seal);
  auto write = *store->write();
  const FeedId feed{it.from.library, it.from.self, crypto::random_id<IncarnationId>()};
  store::Entry entry;
  entry.kind = static_cast<std::uint8_t>(store::EntryKind::change);
  entry.policy = {1};
  entry.epoch = {1};
  entry.record.bytes.fill(9);
  std::vector<store::PackListing> listed;
  for (const Bytes& pack : packs) {
    const auto header = *crypto::check_sealed(pack);
    listed.push_back({crypto::address_of(pack), static_cast<std::uint32_t>(pack.size()), header.kind});
    REQUIRE(write.put_pack(listed.back().address, pack));
  }
  std::ranges::sort(listed);
  entry.packs = listed;
  say(entry, write);
  store::FeedTail tail(feed);
  const auto made = tail.append(entry, it.keys.node.sign, write.keep_subtrees(feed));
  REQUIRE_MESSAGE(made, made.error().text);
  REQUIRE(write.put_entry(feed, {1}, made->entry));
  REQUIRE(write.put_head(feed, {made->head_note, tail.encode()}));
  REQUIRE(write.commit());
}

/// Made so by its writer: named, and no rebuild helps.
void stays(const Fixture& it, FsckKind kind, std::string_view text) {
  for (const bool rebuild : {false, true}) {
    const FsckReport report = it.check(rebuild);
    INFO(lines_of(report));
    CHECK(report.damaged == 1);
    CHECK(names(report, kind, FsckState::damaged, text));
  }
}

}  // namespace

TEST_CASE("fsck: what a writer with keys made wrong is named") {
  Fixture it;
  const auto foreign_key = *crypto::EpochKey::from(Bytes(32, 3));
  SUBCASE("an entry without its record") {
    write_entry(it, {}, [](store::Entry&, store::TruthWrite&) {});
    stays(it, FsckKind::record, "entry 1 of feed");
  }
  SUBCASE("a pack under another key: one line, and none for the record that was in it") {
    write_entry(it, {crypto::seal_pack(foreign_key, crypto::PackKind::meta, it.from.library, {1}, Bytes{1}, Bytes(100, 1))},
                [](store::Entry&, store::TruthWrite&) {});
    stays(it, FsckKind::pack, "does not open");
  }
  SUBCASE("a pack of another epoch than its entry says") {
    write_entry(it, {crypto::seal_pack(foreign_key, crypto::PackKind::content, it.from.library, {2}, Bytes{1}, Bytes(100, 1))},
                [](store::Entry& entry, store::TruthWrite&) {
                  entry.kind = static_cast<std::uint8_t>(store::EntryKind::checkpoint);
                  entry.record = {};
                });
    stays(it, FsckKind::pack, "another size, kind, epoch or library");
  }
}

TEST_CASE("fsck: a record that names another content than its manifest") {
  Fixture it;
  {
    const auto truth_kv = *store::open_lmdb(it.home.truth(), store::Truth::tables());
    const auto derived_kv = *store::open_lmdb(it.home.derived(), derived_tables());
    const LocalSealer seal(it.keys.local);
    const auto truth = *store::Truth::open(*truth_kv, seal);
    const auto realm = *Realm::open(*truth, it.keys.node, it.home.realm.first_root, {});
    const auto library = *Library::open({*truth, *derived_kv, it.keys.local, it.keys.node, *realm, crypto::random_id<IncarnationId>()}, it.from.library);
    store::Content content{library->folder()->find("photo").value()->value, library->folder()->find("photo").value()->source};
    content.value.sha256.bytes[3] ^= 1;
    std::vector<store::SealedPack> meta;
    store::IngestOptions how;
    how.library = it.from.library;
    how.epoch = {1};
    how.workers = 0;
    store::Ingest ingest(how, *library->epoch_key(), library->index(),
                         [&](store::SealedPack&& pack) { return meta.push_back(std::move(pack)), Result<void>(); });
    Capacity capacity;
    capacity.role = policy::service_role;
    capacity.key = &it.keys.node.sign;
    const std::vector<Act> acts{PutAct{"false", content}};
    const auto prepared = *library->prepare(acts, capacity, "", now_ms + 5000);
    REQUIRE(ingest.add_record(prepared.signed_record));
    REQUIRE(ingest.finish());
    REQUIRE(library->commit(prepared, {}, meta, now_ms + 5000));
  }
  stays(it, FsckKind::content, "another content than its record says");
}

TEST_CASE("fsck: a list of packs that an entry names by its hash") {
  Fixture it;
  Digest sha256;
  write_entry(it, {}, [&](store::Entry& entry, store::TruthWrite& write) {
    std::vector<store::PackListing> packs(300);
    for (std::size_t i = 0; i < packs.size(); ++i) {
      put_u32(packs[i].address.bytes.data(), static_cast<std::uint32_t>(i));
      packs[i].size_bytes = 512;
    }
    const Bytes list = store::encode_list(packs);
    sha256 = crypto::sha256(list);
    REQUIRE(write.put_pack_list(sha256, list));
    entry.packs = store::PackListObject{sha256, 300};
    entry.kind = static_cast<std::uint8_t>(store::EntryKind::checkpoint);
    entry.record = {};
  });
  const FsckReport whole = it.check();
  CHECK(whole.sound());
  CHECK(names(whole, FsckKind::pack, FsckState::note, "300 packs that entries list are not here"));
  SUBCASE("damaged") {
    it.truth([&](store::WriteTransaction& write) { flip(write, number(TruthTable::lists), bytes_of(sha256.view()), 100); });
    CHECK(names(it.check(), FsckKind::pack_list, FsckState::damaged));
  }
  SUBCASE("gone") {
    it.truth([&](store::WriteTransaction& write) { REQUIRE(*write.erase(number(TruthTable::lists), bytes_of(sha256.view()))); });
  }
  damaged(it, FsckKind::feed, FsckState::dropped, "the list of packs of entry 1");
  CHECK(it.check().feeds == 2);
}

// ---- the command -------------------------------------------------------------------------------------------------------
namespace {

struct Ran {
  int status{};
  std::string out, error;
};

Ran run(const fs::path& scratch, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), DOZO_COMMAND);
  const std::string out = scratch / "out", error = scratch / "error";
  std::fflush(stdout);
  const pid_t child = ::fork();
  if (child == 0) {
    const bool turned = std::freopen("/dev/null", "r", stdin) && std::freopen(out.c_str(), "w", stdout) && std::freopen(error.c_str(), "w", stderr);
    if (!turned) ::_exit(97);
    std::vector<char*> raw;
    for (std::string& it : arguments) raw.push_back(it.data());
    raw.push_back(nullptr);
    ::execv(DOZO_COMMAND, raw.data());
    ::_exit(98);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  const auto slurp = [](const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
  };
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 200, slurp(out), slurp(error)};
}

}  // namespace

// DOZO_FAILURES: how many n of each call and each way to fail (0: every one); DOZO_FAILURES_FROM: where the stride begins.
TEST_CASE("fsck: whichever call of LMDB fails, that is said, and nothing is lost by it or by the rebuild after it") {
  const auto number = [](const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
  };
  const std::uint64_t most = number("DOZO_FAILURES", 1), from = number("DOZO_FAILURES_FROM", 7919);
  const auto counts_of = [](const FsckReport& it) {
    return std::vector{it.documents, it.feeds, it.entries, it.packs, it.pack_bytes, it.pieces, it.records, it.contents, it.content_bytes, it.commits};
  };
  std::uint64_t runs = 0, faults = 0, reports = 0;
  for (const bool rebuild : {false, true}) {
    CAPTURE(rebuild);
    lmdb_calls::Counts calls;
    std::vector<std::uint64_t> whole;
    {
      const Fixture it;
      lmdb_calls::count();
      whole = counts_of(it.check(rebuild));
      calls = lmdb_calls::counted();
      lmdb_calls::leave();
    }
    CHECK(calls.size() >= (rebuild ? 8 : 6));
    for (const auto& [operation, count] : calls) {
      CAPTURE(operation);
      const bool writes = operation == "put" || operation == "del" || operation == "commit";
      for (const int code : writes ? std::vector{ENOSPC, MDB_MAP_FULL, EIO} : std::vector{ENOMEM, MDB_CORRUPTED}) {
        CAPTURE(code);
        for (const bool stays : {false, true}) {
          CAPTURE(stays);
          const std::uint64_t stride = most == 0 || count <= most ? 1 : (count + most - 1) / most;
          for (std::uint64_t n = 1 + from % stride; n <= count; n += stride) {
            CAPTURE(n);
            const Fixture it;
            FsckOptions options;
            options.rebuild = rebuild;
            options.wall_ms = now_ms + 10'000;
            lmdb_calls::fail_at(operation, n, code, stays);
            const auto report = fsck(it.home, &it.keys, options);
            lmdb_calls::leave();
            ++runs;
            ++(report ? reports : faults);
            const std::string said = report ? lines_of(*report) : report.error().text;
            INFO("it said: ", said);
            // Where it goes on it tried again, and saw all.
            CHECK((!said.empty() || counts_of(*report) == whole));
            // Nothing is lost by it; at most a rebuild is needed.
            FsckReport after = it.check();
            if (!after.sound()) after = it.check(true);
            const FsckReport last = it.check();
            INFO("at last: ", lines_of(last));
            CHECK(last.sound());
            CHECK(counts_of(last) == whole);
          }
        }
      }
    }
  }
  MESSAGE(runs << " calls failed: " << faults << " faults, " << reports << " reports");
}

TEST_CASE_FIXTURE(Fixture, "fsck: the command: what it prints, and how it ends") {
  const std::string folder = home.path.string();
  Ran ran = run(scratch.path, {"fsck", folder});
  INFO(ran.out, ran.error);
  CHECK(ran.status == 0);
  CHECK(ran.error.empty());
  CHECK(ran.out.find("opened: ") != std::string::npos);
  {
    const auto lock = lock_home(home);
    ran = run(scratch.path, {"fsck", folder});
    CHECK(ran.status == 7);
    CHECK(ran.error.find("is in use by process") != std::string::npos);
    CHECK(std::ranges::count(ran.error, '\n') == 1);
  }
  truth([&](store::WriteTransaction& write) { flip(write, number(TruthTable::packs), packs_of(write, crypto::PackKind::content).at(1), 400); });
  ran = run(scratch.path, {"fsck", folder});
  CHECK(ran.status == 6);
  CHECK(ran.out.starts_with("damaged  pack"));
  CHECK(std::ranges::count(ran.error, '\n') == 1);
  ran = run(scratch.path, {"fsck", folder, "--sealed", "--json"});
  CHECK(ran.status == 6);
  nlohmann::json json = nlohmann::json::parse(ran.out);
  CHECK(json["sound"] == false);
  CHECK(json["opened"] == false);
  CHECK(json["findings"][0]["kind"] == "pack");
  CHECK(json["findings"][0]["state"] == "damaged");
  CHECK(run(scratch.path, {"fsck", folder, "--sealed", "--rebuild"}).status == 2);
  ran = run(scratch.path, {"fsck", folder, "--rebuild", "--json"});
  CHECK(ran.status == 0);
  CHECK(nlohmann::json::parse(ran.out)["findings"][0]["state"] == "dropped");
  ran = run(scratch.path, {"fsck", folder});
  CHECK(ran.status == 0);
  CHECK(ran.out.starts_with("note     pack"));
  // Neither names nor texts of people's come out.
  for (const char* name : {"bridge", "photo", "Works", "sapporo"}) CHECK(ran.out.find(name) == std::string::npos);
  CHECK(run(scratch.path, {"fsck", (scratch.path / "nothing").string()}).status == 3);
}
