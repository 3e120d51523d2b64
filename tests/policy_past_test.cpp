// Past: older versions of the policy, taken by their hashes alone.
#include "policy/past.h"

#include "tests/policy_fixture.h"

using namespace dozo;
using namespace dozo::policy_fixture;

namespace {

struct PastFixture : Seeded {
  Headquarters hq;
  std::vector<Publication> all;  ///< versions 1, 2, ...
  Node node;
  PastFixture() : hq(made()), node(hq, "sapporo") {}
  static Headquarters made() {
    REQUIRE(crypto::start());
    crypto::use_seeded_randomness(1);
    Headquarters out;
    out.admit(read_source(country, "").source);
    return out;
  }
  /// Publishes until there are `count` versions, each with another mesh and directory.
  void publish_to(std::size_t count) {
    while (all.size() < count) {
      hq.now_s += 60;
      const std::string number = std::to_string(all.size());
      hq.publish(replaced(replaced(country, "zone = \"south\"", "zone = \"z" + number + "\""), "title = \"工事\"", "title = \"工事 " + number + "\""));
      all.push_back(hq.last);
    }
  }
  const Publication& version(std::size_t number) const { return all[number - 1]; }
  /// The set of this version, as it is in force at a node.
  DocumentSet set_of(const Publication& it) {
    Node fresh(hq, "sapporo");
    for (std::size_t i = 1; i < hq.roots.size(); ++i) (void)fresh.offer(hq.roots[i]);
    fresh.now_s = hq.now_s;
    fresh.hear(it);
    REQUIRE(fresh.trust.current() != nullptr);
    return *fresh.trust.current();
  }
  static std::vector<std::pair<std::string, std::uint64_t>> named(const std::vector<Want>& wants) {
    std::vector<std::pair<std::string, std::uint64_t>> out;
    for (const Want& it : wants) out.emplace_back(it.name, it.version);
    return out;
  }
  static Fault fault_of(Past& past, const Bytes& envelope) {
    const auto out = past.offer(envelope);
    REQUIRE_FALSE(out);
    return out.error().fault;
  }
};

using Wanted = std::vector<std::pair<std::string, std::uint64_t>>;

}  // namespace

TEST_CASE_FIXTURE(PastFixture, "past: an old version comes snapshot by snapshot, and exactly what is missing is asked for") {
  publish_to(6);
  Past past;
  past.anchor(set_of(version(6)));
  CHECK(past.complete({6}));
  CHECK(past.wants({6}).empty());
  CHECK(past.wants({7}).empty());
  CHECK_FALSE(past.complete({3}));
  for (std::uint64_t number = 5; number >= 3; --number) {
    REQUIRE(named(past.wants({3})) == Wanted{{"snapshot", number}});
    CHECK(past.wants({3})[0].sha256 == crypto::sha256(version(number).at("snapshot")));
    CHECK(past.offer(version(number).at("snapshot"))->outcome == Outcome::advanced);
    CHECK(past.offer(version(number).at("snapshot"))->outcome == Outcome::known);
  }
  CHECK(named(past.wants({3})) == Wanted{{"mesh", 3}, {"directory", 3}});
  CHECK(past.offer(version(3).at("directory"))->outcome == Outcome::advanced);
  CHECK(named(past.wants({3})) == Wanted{{"mesh", 3}});
  CHECK_FALSE(past.complete({3}));
  CHECK(past.offer(version(3).at("mesh"))->outcome == Outcome::advanced);
  CHECK(past.offer(version(3).at("mesh"))->outcome == Outcome::known);
  REQUIRE(past.complete({3}));
  CHECK(past.wants({3}).empty());
  CHECK(*past.at({3})->mesh == mesh_of(version(3)));
  CHECK(*past.at({3})->directory == directory_of(version(3)));
  CHECK(past.at({3})->snapshot_sha256 == crypto::sha256(version(3).at("snapshot")));
  CHECK(named(past.wants({1})) == Wanted{{"snapshot", 2}});
}

TEST_CASE_FIXTURE(PastFixture, "past: what no known snapshot names is refused, whoever signed it") {
  publish_to(4);
  Past past;
  CHECK(fault_of(past, version(1).at("snapshot")) == Fault::not_found);  // nothing is known yet
  past.anchor(set_of(version(4)));
  CHECK(fault_of(past, version(2).at("snapshot")) == Fault::not_found);  // the third comes first
  CHECK(fault_of(past, version(3).at("mesh")) == Fault::not_found);
  Snapshot forged = snapshot_of(version(3));
  forged.header.expires_s += 1;
  CHECK(fault_of(past, hq.sign(forged)) == Fault::not_found);
  Bytes bent = version(3).at("snapshot");
  bent[bent.size() / 2] ^= 1;
  CHECK_FALSE(past.offer(bent));
  CHECK_FALSE(past.offer(bytes_of("{}")));
  CHECK(past.offer(version(3).at("snapshot")));
  CHECK(fault_of(past, version(2).at("mesh")) == Fault::not_found);
  // Of the past only what rights follow from is kept.
  CHECK_FALSE(past.offer(version(3).at(grants_name(hq.id("sapporo")))));
  CHECK(past.documents().size() == 1);
}

TEST_CASE_FIXTURE(PastFixture, "past: keys that signed the past may be gone") {
  publish_to(2);
  hq.rotate({SigningRole::root, SigningRole::policy, SigningRole::snapshot, SigningRole::freshness, SigningRole::key_authority});
  publish_to(3);
  Past past;
  past.anchor(set_of(version(3)));
  for (const char* name : {"snapshot", "mesh", "directory"}) CHECK(past.offer(version(2).at(name))->outcome == Outcome::advanced);
  CHECK(past.complete({2}));
  CHECK(past.offer(version(1).at("snapshot")));
}

TEST_CASE_FIXTURE(PastFixture, "past: what was in force here need not be fetched, and numbers between are found from above") {
  publish_to(9);
  Past past;
  past.anchor(set_of(version(2)));
  past.anchor(set_of(version(5)));
  past.anchor(set_of(version(9)));
  CHECK(past.complete({2}));
  CHECK(past.complete({5}));
  CHECK(named(past.wants({7})) == Wanted{{"snapshot", 8}});
  CHECK(named(past.wants({3})) == Wanted{{"snapshot", 4}});
  for (const std::uint64_t number : {8U, 7U, 6U, 4U, 3U}) CHECK(past.offer(version(number).at("snapshot")));
  CHECK(named(past.wants({6})) == Wanted{{"mesh", 6}, {"directory", 6}});
  CHECK(past.offer(version(1).at("snapshot")));  // the second, in force once, names it
}

TEST_CASE_FIXTURE(PastFixture, "past: a chain that contradicts what was in force here is a fork") {
  publish_to(2);
  const Publication second = version(2);
  // Another second, and a third upon it.
  hq.last = version(1);
  hq.now_s += 60;
  hq.publish(replaced(country, "zone = \"south\"", "zone = \"other\""));
  const Publication other_second = hq.last;
  hq.now_s += 60;
  hq.publish();
  const Publication other_third = hq.last;
  hq.now_s += 60;
  hq.publish();
  Past past;
  past.anchor(set_of(second));
  past.anchor(set_of(hq.last));
  CHECK(fault_of(past, other_third.at("snapshot")) == Fault::denied);
  CHECK(past.at({2})->snapshot_sha256 == crypto::sha256(second.at("snapshot")));
  CHECK(fault_of(past, other_second.at("snapshot")) == Fault::not_found);
}

TEST_CASE_FIXTURE(PastFixture, "past: after new keys of the snapshot role what does not lead to the new policy is forgotten") {
  publish_to(3);
  const Publication honest = version(3);
  // Whoever has the online keys: another third, in force at this node, and a fifth.
  const auto stolen = [&](std::uint64_t number) { return hq.listed(version(2), number, static_cast<std::uint64_t>(hq.now_s) + number); };
  Past past;
  past.anchor(set_of(version(2)));
  past.anchor(set_of(stolen(3)));
  past.anchor(set_of(stolen(5)));
  CHECK(past.complete({3}));
  hq.rotate({SigningRole::snapshot, SigningRole::freshness});
  hq.last = honest;
  publish_to(4);
  past.anchor(set_of(version(4)));
  CHECK_FALSE(past.complete({5}));
  CHECK(past.wants({5}).empty());
  CHECK_FALSE(past.complete({3}));  // it was the thief's
  CHECK(named(past.wants({3})) == Wanted{{"snapshot", 3}});
  for (const char* name : {"snapshot", "mesh", "directory"}) CHECK(past.offer(honest.at(name)));
  CHECK(*past.at({3})->mesh == mesh_of(honest));
  // The second was in force before the theft: what it says is here, once the third has named it.
  CHECK(named(past.wants({2})) == Wanted{{"snapshot", 2}});
  CHECK(past.offer(version(2).at("snapshot")));
  CHECK(past.complete({2}));
}

TEST_CASE_FIXTURE(PastFixture, "past: also where the new chain meets the thief's only further back") {
  publish_to(2);
  node.now_s = hq.now_s;
  node.hear(version(2));
  Past past;
  past.anchor(*node.trust.current());
  node.hear(hq.listed(version(2), 3, static_cast<std::uint64_t>(hq.now_s) + 3));  // the thief's
  REQUIRE(node.version() == 3);
  past.anchor(*node.trust.current());
  publish_to(4);  // HQ's own third and fourth, which this node never heard of
  node.take(hq.rotate({SigningRole::snapshot, SigningRole::freshness}));
  publish_to(5);
  node.now_s = hq.now_s;
  node.hear(version(5));
  REQUIRE(node.version() == 5);
  past.anchor(*node.trust.current());
  CHECK_FALSE(past.complete({3}));
  for (const std::uint64_t number : {4U, 3U})
    for (const char* name : {"snapshot", "mesh", "directory"}) CHECK(past.offer(version(number).at(name)));
  REQUIRE(past.complete({3}));
  CHECK(*past.at({3})->mesh == mesh_of(version(3)));
}

TEST_CASE_FIXTURE(PastFixture, "past: after a restart documents may be offered in any order, again and again") {
  publish_to(5);
  Past past;
  past.anchor(set_of(version(5)));
  for (const std::uint64_t number : {4U, 3U, 2U})
    for (const char* name : {"snapshot", "mesh", "directory"}) REQUIRE(past.offer(version(number).at(name)));
  const auto documents = past.documents();
  CHECK(documents.size() == 9);
  Past again;
  again.anchor(set_of(version(5)));
  for (bool grown = true; grown;) {
    grown = false;
    for (const Held& it : documents)
      if (const auto out = again.offer(it.envelope); out && out->outcome == Outcome::advanced) grown = true;
  }
  for (const std::uint64_t number : {2U, 3U, 4U}) CHECK(again.complete({number}));
  CHECK(again.documents().size() == 9);
}
