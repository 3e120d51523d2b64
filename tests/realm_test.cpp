// The realm as a node knows it: which policy it takes into force, and what it finds again after a restart.
#include "node/realm.h"

#include "node/local_sealer.h"
#include "store/kv_memory.h"
#include "store/truth_rows.h"
#include "tests/allocations.h"
#include "tests/policy_fixture.h"

using namespace dozo;
using namespace dozo::policy_fixture;

namespace {

/// A node's truth on a disk in memory, and the realm over it.
struct Site {
  const Headquarters& hq;
  std::string name;
  store::MemoryDisk disk;
  crypto::LocalKey local{*crypto::LocalKey::Root::from(Bytes(32, 7))};
  node::LocalSealer sealer{local};
  std::unique_ptr<store::MemoryKv> kv;
  std::unique_ptr<store::Truth> truth;
  std::unique_ptr<node::Realm> realm;

  Site(const Headquarters& of, const std::string& as) : hq(of), name(as) {
    kv = std::make_unique<store::MemoryKv>(disk, store::rows::table_count);
    truth = std::move(*store::Truth::create(*kv, sealer));
    open();
  }
  void open() {
    auto opened = node::Realm::open(*truth, hq.nodes.at(name), hq.roots[0], {});
    REQUIRE_MESSAGE(opened, opened.error().text);
    realm = std::move(*opened);
  }
  void restart() {
    realm.reset();
    truth.reset();
    kv = std::make_unique<store::MemoryKv>(disk, store::rows::table_count);
    truth = std::move(*store::Truth::open(*kv, sealer));
    open();
  }
  Result<node::Realm::Taken> offer(const Bytes& envelope) { return realm->offer(envelope, hq.now_s * 1000); }
  void hear(const Publication& it) {
    for (const auto& [as, bytes] : it) (void)offer(bytes);
  }
  std::uint64_t version() const { return realm->policy() ? realm->policy()->version().value : 0; }
};

struct Fixture : Seeded {
  Headquarters hq;
  const std::string moved = replaced(country, "zone = \"south\"", "zone = \"islands\"");
  Fixture() { hq.publish(); }
};

/// A publication of HQ's own tools would not get so far: its directory is exchanged for one with another test.
Publication with_test(const Headquarters& hq, const Publication& from, bool allowed) {
  const auto keys = *open_epochs_with_admission(hq.admission, epochs_of(from));
  Directory directory = *open_directory(directory_of(from), keys);
  directory.header.version += 1;
  directory.tests = {{"secret-name", hq.person("sato"), "editor", "", hq.id("sapporo"), Action::write, hq.library("works"), 0, hq.now_s, allowed}};
  const Epoch generation = directory_of(from).generation;
  Publication out = from;
  out["directory"] = hq.sign(seal_directory(directory, generation, *keys.find(directory_library, generation)));
  return hq.listed(out, snapshot_of(from).header.version + 1, static_cast<std::uint64_t>(hq.now_s));
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "realm: a policy of which a test fails that the node can read never comes into force") {
  Site site(hq, "sapporo");
  site.hear(hq.last);
  REQUIRE(site.version() == 1);
  hq.now_s += 60;
  const Publication bad = with_test(hq, hq.last, false);
  Fault fault{};
  std::string text;
  for (const auto& [name, bytes] : bad)
    if (const auto out = site.offer(bytes); !out) fault = out.error().fault, text = out.error().text;
  CHECK(fault == Fault::denied);
  CHECK(text.find("1 of the policy's own tests") != std::string::npos);
  CHECK(text.find("secret") == std::string::npos);
  CHECK(site.version() == 1);
  site.restart();
  CHECK(site.version() == 1);
  site.hear(bad);
  CHECK(site.version() == 1);
  // The same with the test as it should be.
  hq.now_s += 60;
  site.hear(with_test(hq, hq.last, true));
  CHECK(site.version() == 2);
}

TEST_CASE_FIXTURE(Fixture, "realm: also a node's first policy is judged, and by a key that comes with it") {
  hq.now_s += 60;
  Changes changes;
  changes.new_directory = true;
  hq.publish(country, changes);
  const Publication bad = with_test(hq, hq.last, false);
  Site sapporo(hq, "sapporo");
  sapporo.hear(bad);
  CHECK(sapporo.version() == 0);
  sapporo.hear(hq.last);
  CHECK(sapporo.version() == 2);
  // Who cannot read the tests goes by the signatures.
  for (const char* name : {"naha", "lonely"}) {
    Site blind(hq, name);
    blind.hear(bad);
    CHECK(blind.version() == 3);
    CHECK(blind.realm->policy()->directory() == nullptr);
  }
}

TEST_CASE_FIXTURE(Fixture, "realm: a directory that is not as it should be is refused by who has its key") {
  Site site(hq, "sapporo");
  site.hear(hq.last);
  hq.now_s += 60;
  SealedDirectory directory = directory_of(hq.last);
  directory.header.version += 1;  // sealed as version 1
  Publication bad = hq.last;
  bad["directory"] = hq.sign(directory);
  site.hear(hq.listed(bad, 2, static_cast<std::uint64_t>(hq.now_s)));
  CHECK(site.version() == 1);
  CHECK(site.realm->policy()->directory() != nullptr);
}

TEST_CASE_FIXTURE(Fixture, "realm: a restart finds what was in force, the past, and two officers' suspensions of one number") {
  hq.new_keys(SigningRole::emergency, 2, 1);
  const auto before = hq.copies(SigningRole::root);
  hq.take_root(hq.make_root(before));
  Site site(hq, "sapporo");
  REQUIRE(site.offer(hq.roots[1]));
  site.hear(hq.last);
  const Publication first = hq.last;
  for (int i = 0; i < 2; ++i) {
    hq.now_s += 60;
    hq.publish(i == 0 ? moved : country);
    site.hear(hq.last);
  }
  REQUIRE(site.version() == 3);
  REQUIRE(site.offer(hq.suspend(0, 1, {hq.id("osaka")})));
  REQUIRE(site.offer(hq.suspend(1, 1, {hq.id("naha")})));
  site.restart();
  CHECK(site.version() == 3);
  CHECK(site.realm->trust().stops(hq.now_s * 1000).size() == 2);
  for (const std::uint64_t number : {1U, 2U}) {
    site.realm->need({number});
    REQUIRE(site.realm->policy_at({number}));
    CHECK(site.realm->policy_at({number})->directory() != nullptr);
  }
  CHECK(site.realm->policy_at({1})->mesh() == mesh_of(first));
}

TEST_CASE_FIXTURE(Fixture, "realm: a document that changes nothing costs by itself, and is not written again") {
  Site small(hq, "sapporo"), large(hq, "sapporo");
  small.hear(hq.last);
  for (int i = 0; i < 40; ++i) REQUIRE(large.offer(hq.rotate({SigningRole::emergency})));
  large.hear(hq.last);
  const Bytes old_mesh = hq.last.at("mesh"), old_snapshot = hq.last.at("snapshot");
  hq.now_s += 60;
  hq.publish(moved);
  large.hear(hq.last);
  REQUIRE(large.version() == 2);
  REQUIRE(large.realm->policy_at({1}));
  const std::vector<Bytes> known{hq.last.at("mesh"), hq.last.at("snapshot"), old_mesh, old_snapshot};
  for (const Bytes& envelope : known) REQUIRE(large.offer(envelope));
  int writes = 0;
  large.kv->set_hook([&](std::string_view operation) {
    writes += operation == "write" ? 1 : 0;
    return true;
  });
  const auto cost = [&](Site& site, const Bytes& envelope) {
    const std::size_t before = allocations::so_far();
    (void)site.offer(envelope);
    return allocations::so_far() - before;
  };
  const Bytes forged = *sign_with(unsigned_envelope(DocumentType::freshness, "freshness", read_envelope(hq.last.at("freshness"))->payload), {});
  for (const Bytes& envelope : {bytes_of("noise"), Bytes(), forged}) CHECK(cost(large, envelope) <= cost(small, envelope) + 4);
  for (const Bytes& envelope : known) CHECK(large.offer(envelope)->outcome == Outcome::known);
  (void)large.offer(forged);
  CHECK(writes == 0);
}

TEST_CASE_FIXTURE(Fixture, "realm: a policy that could not be kept is not in force, and the next is judged as ever") {
  Site site(hq, "sapporo");
  site.hear(hq.last);
  hq.now_s += 60;
  hq.publish(moved);
  const Publication second = hq.last;
  bool full = true;
  site.kv->set_hook([&](std::string_view operation) { return !full || operation != "commit"; });
  site.hear(second);
  CHECK(site.version() == 1);
  CHECK(site.realm->trust().version().value == 1);
  full = false;
  for (const auto& [name, bytes] : with_test(hq, second, false)) (void)site.offer(bytes);
  CHECK(site.version() == 1);
  site.hear(second);
  CHECK(site.version() == 2);
  site.restart();
  CHECK(site.version() == 2);
}

TEST_CASE_FIXTURE(Fixture, "realm: a disk that neither keeps a policy nor reads back what was there costs no policy, the first neither") {
  for (const bool first : {true, false}) {
    CAPTURE(first);
    Site site(hq, "sapporo");
    if (!first) {
      site.hear(hq.last);
      hq.now_s += 60;
      hq.publish(moved);
    }
    const std::uint64_t before = site.version();
    bool broken = false;
    site.kv->set_hook([&](std::string_view operation) {
      broken = broken || operation == "commit";
      return !broken;
    });
    site.hear(hq.last);
    REQUIRE(broken);
    CHECK(site.version() == before);
    site.kv->set_hook([](std::string_view) { return true; });
    site.hear(hq.last);
    CHECK(site.version() == before + 1);
    CHECK(site.realm->trust().version().value == before + 1);
    site.restart();
    CHECK(site.version() == before + 1);
  }
}

TEST_CASE_FIXTURE(Fixture, "realm: a thief's policy gives way to HQ's of the same number, also after a restart") {
  Site site(hq, "sapporo");
  site.hear(hq.last);
  hq.now_s += 60;
  const Publication honest = hq.would_publish(moved).documents;
  const Publication stolen = hq.listed(hq.last, 2, static_cast<std::uint64_t>(hq.now_s));
  site.hear(stolen);
  REQUIRE(site.version() == 2);
  const Mesh thiefs = site.realm->policy()->mesh();
  hq.last = honest;
  hq.now_s += 60;
  REQUIRE(site.offer(hq.rotate({SigningRole::snapshot, SigningRole::freshness})));
  SUBCASE("in force at once") {
    // HQ's second policy, by the new keys.
    Publication again = hq.listed(honest, 2, static_cast<std::uint64_t>(hq.now_s));
    site.hear(again);
    CHECK(site.realm->policy()->mesh() == mesh_of(honest));
    site.restart();
    CHECK(site.version() == 2);
    CHECK(site.realm->policy()->mesh() == mesh_of(honest));
  }
  SUBCASE("as the past of the third") {
    hq.publish();
    site.hear(hq.last);
    REQUIRE(site.version() == 3);
    CHECK_FALSE(site.realm->policy_at({2}));
    bool asked = false;
    for (const Want& it : site.realm->wants())
      asked = asked || (it.name == "snapshot" && it.version == 2 && it.sha256 == crypto::sha256(honest.at("snapshot")));
    CHECK(asked);
    site.hear(honest);
    site.hear(honest);  // the snapshot is the last by name, and leads to the others
    REQUIRE(site.realm->policy_at({2}));
    CHECK(site.realm->policy_at({2})->mesh() == mesh_of(honest));
    site.restart();
    site.realm->need({2});
    REQUIRE(site.realm->policy_at({2}));
    CHECK(site.realm->policy_at({2})->mesh() == mesh_of(honest));
  }
  CHECK(thiefs != mesh_of(honest));
}

TEST_CASE_FIXTURE(Fixture, "realm: keys of shares open the directory where no grants came") {
  KeyRing recovered = *open_epochs_with_recovery(hq.recovery, epochs_of(hq.last));
  Site site(hq, "lonely");
  site.realm = std::move(*node::Realm::open(*site.truth, hq.nodes.at("lonely"), hq.roots[0], std::move(recovered)));
  site.hear(hq.last);
  CHECK(site.version() == 1);
  CHECK(site.realm->policy()->directory() != nullptr);
  hq.now_s += 60;
  site.hear(with_test(hq, hq.last, false));
  CHECK(site.version() == 1);
}
