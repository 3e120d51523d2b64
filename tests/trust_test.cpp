// The client of The Update Framework: what an attacker who controls every peer and every line, and some of HQ's keys, can and cannot make a node believe.
#include "policy/trust.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "crypto/hash.h"
#include "policy/past.h"
#include "policy/policy.h"
#include "tests/policy_realm.h"

using namespace dozo;
using namespace dozo::policy;
using policy::test::begin_s;

namespace {

struct Node {
  policy::test::Realm realm;
  Publication first;
  std::int64_t wall_ms = begin_s * 1000;
  Trust trust;

  explicit Node(const std::map<SigningRole, std::pair<std::uint32_t, std::uint32_t>>& thresholds = {})
      : realm(thresholds), first(realm.publish()), trust(Trust::begin(realm.first_root, realm.nodes.at("osaka").id).value()) {}

  Result<Offer> offer(ByteView envelope) { return trust.offer(envelope, wall_ms); }
  PolicyVersion version() const { return trust.version(); }
  Outcome take(ByteView envelope) {
    const auto out = offer(envelope);
    REQUIRE_MESSAGE(out.has_value(), (out ? "" : out.error().text));
    return out->outcome;
  }
  Fault refused(ByteView envelope) {
    const auto out = offer(envelope);
    REQUIRE_FALSE(out.has_value());
    return out.error().fault;
  }
  /// Everything, in the order of names: freshness in the middle.
  void take_all(const Publication& documents) {
    for (const auto& [name, bytes] : documents) take(bytes);
  }
  Publication next(const std::string& changed_zone, const Publication& previous, std::int64_t now_s) const {
    std::string source = policy::test::small_source;
    const std::size_t at = source.find("kinki");
    source.replace(at, 5, changed_zone);
    return realm.publish(&previous, now_s, source);
  }
  template <class Document>
  Document parsed(const Publication& of, const std::string& name, Result<Document> (*parse)(ByteView)) const {
    return parse(read_envelope(of.at(name)).value().payload).value();
  }
};

}  // namespace

TEST_CASE_FIXTURE(Node, "trust: a realm begins with a first root that its own keys signed") {
  CHECK(Trust::begin(realm.first_root, std::nullopt));
  const Envelope root = read_envelope(realm.first_root).value();
  CHECK_FALSE(Trust::begin(unsigned_envelope(DocumentType::root, "root", root.payload), std::nullopt));
  CHECK_FALSE(Trust::begin(add_signature(unsigned_envelope(DocumentType::root, "root", root.payload), crypto::SigningKey::generate()).value(), std::nullopt));
  CHECK_FALSE(Trust::begin(first.at("mesh"), std::nullopt));
  CHECK_FALSE(Trust::begin(realm.rotate(SigningRole::policy, begin_s), std::nullopt));  // a second one
}

TEST_CASE_FIXTURE(Node, "trust: a policy comes into force whole, in whatever order its documents come") {
  std::vector<std::string> names;
  for (const auto& [name, bytes] : first)
    if (name != grants_name(realm.nodes.at("hq").id)) names.push_back(name);
  REQUIRE(names.size() == 6);
  std::mt19937 dice(1);
  for (int round = 0; round < 40; ++round) {
    std::shuffle(names.begin(), names.end(), dice);
    Trust it = Trust::begin(realm.first_root, realm.nodes.at("osaka").id).value();
    for (std::size_t i = 0; i < names.size(); ++i) {
      CHECK(it.current() == nullptr);
      const auto outcome = it.offer(first.at(names[i]), wall_ms).value().outcome;
      CHECK(outcome == (i + 1 == names.size() ? Outcome::committed : Outcome::staged));
    }
    REQUIRE(it.current() != nullptr);
    CHECK(it.version() == PolicyVersion{1});
    CHECK(it.offer(first.at("mesh"), wall_ms).value().outcome == Outcome::known);
    CHECK(it.offer(first.at(grants_name(realm.nodes.at("hq").id)), wall_ms).value().outcome == Outcome::advanced);
  }
}

TEST_CASE_FIXTURE(Node, "trust: it asks for what is missing, and for nothing else when all is there") {
  for (int step = 0; trust.current() == nullptr; ++step) {
    REQUIRE(step < 4);  // freshness, snapshot, what it names
    std::size_t needed = 0;
    for (const Want& want : trust.wants()) {
      if (!want.needed) continue;
      ++needed;
      REQUIRE(first.contains(want.name));
      if (want.sha256) CHECK(*want.sha256 == crypto::sha256(first.at(want.name)));
      take(first.at(want.name));
    }
    CHECK(needed > 0);
  }
  for (const Want& it : trust.wants()) CHECK_FALSE(it.needed);
}

TEST_CASE_FIXTURE(Node, "trust: signatures below the threshold, by strangers, or by another role are refused") {
  const Bytes payload = read_envelope(first.at("mesh")).value().payload;
  const Bytes bare = unsigned_envelope(DocumentType::mesh, "mesh", payload);
  CHECK(refused(bare) == Fault::not_authentic);
  CHECK(refused(add_signature(bare, crypto::SigningKey::generate()).value()) == Fault::not_authentic);
  CHECK(refused(realm.signed_by(SigningRole::snapshot, bare)) == Fault::not_authentic);
  CHECK(refused(realm.signed_by(SigningRole::policy, unsigned_envelope(DocumentType::epochs, "epochs", payload))) == Fault::not_authentic);
  const policy::test::Realm other;
  CHECK(refused(other.publish().at("mesh")) == Fault::not_authentic);
  // Of another realm, signed by the keys of this one: an officer of two realms cannot be made to speak for the wrong one.
  Mesh mesh = parsed<Mesh>(first, "mesh", parse_mesh);
  mesh.header.realm = other.id;
  CHECK(refused(realm.made(DocumentType::mesh, "mesh", mesh)) == Fault::not_authentic);
}

TEST_CASE_FIXTURE(Node, "trust: no changed byte of any document is believed") {
  std::size_t tried = 0;
  for (const auto& [name, bytes] : first) {
    for (std::size_t at = 0; at < bytes.size(); at += name == "freshness" ? 1 : 97) {
      Bytes changed = bytes;
      changed[at] ^= 1;
      Trust it = Trust::begin(realm.first_root, realm.nodes.at("osaka").id).value();
      // A changed signature beside enough good ones would be believed; there is one signature here. A changed letter of white space is none.
      CHECK_FALSE(it.offer(changed, wall_ms).has_value());
      ++tried;
    }
  }
  CHECK(tried > 700);
}

TEST_CASE_FIXTURE(Node, "trust: nothing goes back") {
  take_all(first);
  const Publication second = next("kansai", first, begin_s + 100);
  take_all(second);
  REQUIRE(trust.version() == PolicyVersion{2});
  CHECK(trust.current()->mesh.header.version == 2);
  CHECK(refused(first.at("freshness")) == Fault::stale);
  CHECK(refused(first.at("snapshot")) == Fault::stale);
  CHECK(refused(first.at("mesh")) == Fault::stale);
  // A newer freshness for the older policy, by whoever has the freshness key alone.
  const Bytes back = refresh(realm.id, first.at("snapshot"), 0, 24, realm.signers(SigningRole::freshness), begin_s + 1000).value();
  CHECK(refused(back) == Fault::stale);
  // A newer snapshot that lists the older mesh, by whoever has the snapshot key alone.
  Snapshot snapshot = parsed<Snapshot>(second, "snapshot", parse_snapshot);
  snapshot.header.version = 3;
  snapshot.previous.reset();
  snapshot.documents["mesh"] = parsed<Snapshot>(first, "snapshot", parse_snapshot).documents.at("mesh");
  CHECK(refused(realm.made(DocumentType::snapshot, "snapshot", snapshot)) == Fault::stale);
  snapshot = parsed<Snapshot>(second, "snapshot", parse_snapshot);
  snapshot.header.version = 3;
  snapshot.documents.erase(grants_name(realm.nodes.at("osaka").id));
  CHECK(refused(realm.made(DocumentType::snapshot, "snapshot", snapshot)) == Fault::stale);
  CHECK(trust.version() == PolicyVersion{2});
  CHECK(trust.current()->mesh.header.version == 2);
}

TEST_CASE_FIXTURE(Node, "trust: documents of different publications are not mixed") {
  take_all(first);
  const Publication second = next("kansai", first, begin_s + 100);
  const Publication other = next("kobe", first, begin_s + 200);  // as if published instead of the second
  take(second.at("snapshot"));
  take(second.at("freshness"));
  take(other.at("mesh"));
  CHECK(trust.version() == PolicyVersion{1});
  CHECK(take(second.at("mesh")) == Outcome::committed);
  CHECK(trust.current()->mesh.header.version == 2);
  CHECK(std::any_of(trust.current()->mesh.nodes.begin(), trust.current()->mesh.nodes.end(), [](const MeshNode& it) { return it.zone == "kansai"; }));
}

TEST_CASE_FIXTURE(Node, "trust: two faces of one version are evidence, and change nothing") {
  take_all(first);
  const Publication second = next("kansai", first, begin_s + 100), other = next("kobe", first, begin_s + 200);
  take_all(second);
  CHECK(take(other.at("mesh")) == Outcome::forked);
  CHECK(take(other.at("snapshot")) == Outcome::forked);
  CHECK(take(other.at("freshness")) == Outcome::forked);
  CHECK(trust.forks().size() == 3);
  CHECK(take(other.at("mesh")) == Outcome::forked);
  CHECK(trust.forks().size() == 3);
  CHECK(trust.forks()[0].theirs == other.at("mesh"));
  CHECK(trust.forks()[0].ours == second.at("mesh"));
  // A successor of the other face.
  const Publication third = next("kyoto", other, begin_s + 300);
  CHECK(take(third.at("snapshot")) == Outcome::forked);
  CHECK(trust.version() == PolicyVersion{2});
  // The same content signed once more is no second face.
  Envelope again = read_envelope(second.at("mesh")).value();
  const Bytes resigned = add_signature(write_envelope(again), crypto::SigningKey::generate()).value();
  CHECK(refused(resigned) == Fault::not_authentic);
  CHECK(trust.forks().size() == 4);
}

TEST_CASE("trust: roots follow one by one, signed by the last and by themselves") {
  Node node({{SigningRole::root, {2, 3}}});
  const auto old_root = node.realm.signers(SigningRole::root);
  const Root before = node.realm.root;
  const Bytes second = node.realm.rotate(SigningRole::policy, begin_s + 10);
  const Bytes third = node.realm.rotate(SigningRole::policy, begin_s + 20);
  CHECK(node.refused(third) == Fault::not_authentic);  // 3 before 2
  CHECK(node.take(second) == Outcome::advanced);
  CHECK(node.take(second) == Outcome::known);
  CHECK(node.take(third) == Outcome::advanced);
  CHECK(node.trust.root().version == 3);
  // What the dropped key signed is nothing now.
  CHECK(node.refused(node.first.at("mesh")) == Fault::not_authentic);

  // A root by one of the three, or by the new keys alone.
  const Root now = node.realm.root;
  RootPlan plan{"Test", begin_s + 30, begin_s + 30 + day_s, now.roles, now.admission, now.recovery};
  const Bytes fourth = draft_root(plan, &now, node.realm.id).value();
  CHECK(node.refused(add_signature(fourth, *old_root[0]).value()) == Fault::not_authentic);
  const crypto::SigningKey mine = crypto::SigningKey::generate();
  plan.roles[SigningRole::root] = {{mine.public_key()}, 1};
  const Bytes taken_over = add_signature(draft_root(plan, &now, node.realm.id).value(), mine).value();
  CHECK(node.refused(taken_over) == Fault::not_authentic);
  // Signed by the old quorum, but not by the keys that it names.
  Bytes unwilling = add_signature(draft_root(plan, &now, node.realm.id).value(), *old_root[0]).value();
  unwilling = add_signature(unwilling, *old_root[1]).value();
  CHECK(node.refused(unwilling) == Fault::not_authentic);
  CHECK(node.trust.root().version == 3);
  CHECK(node.take(add_signature(unwilling, mine).value()) == Outcome::advanced);
}

TEST_CASE("trust: another root of a number that is taken is evidence, and is not taken") {
  Node node;
  const Root first_root = node.realm.root;
  node.take(node.realm.rotate(SigningRole::policy, begin_s + 10));
  RootPlan plan{"Test", begin_s + 11, begin_s + day_s, first_root.roles, first_root.admission, first_root.recovery};
  const Bytes other = node.realm.signed_by(SigningRole::root, draft_root(plan, &first_root, node.realm.id).value());
  CHECK(node.take(other) == Outcome::forked);
  CHECK(node.trust.root().version == 2);
  CHECK(node.trust.forks().size() == 1);
}

TEST_CASE("trust: numbers that a thief of the freshness key ran up begin anew with the next root") {
  Node node;
  node.take_all(node.first);
  const auto thief = node.realm.signers(SigningRole::freshness);
  const std::int64_t far_s = begin_s + 80 * day_s;
  const Bytes run_up = refresh(node.realm.id, node.first.at("snapshot"), 0, 24, thief, far_s).value();
  CHECK(node.take(run_up) == Outcome::advanced);
  CHECK(node.trust.trusted_ms(node.wall_ms) == far_s * 1000);  // within what the mesh allows
  const Bytes honest = refresh(node.realm.id, node.first.at("snapshot"), 0, 24, thief, begin_s + 100).value();
  CHECK(node.refused(honest) == Fault::stale);

  CHECK(node.take(node.realm.rotate(SigningRole::freshness, begin_s + 200)) == Outcome::advanced);
  CHECK(node.version() == PolicyVersion{1});
  CHECK(node.trust.trusted_ms(node.wall_ms) == (begin_s + 200) * 1000);
  const Bytes anew = refresh(node.realm.id, node.first.at("snapshot"), 0, 24, node.realm.signers(SigningRole::freshness), begin_s + 300).value();
  node.take(anew);
  CHECK(node.take(node.first.at("snapshot")) != Outcome::forked);
  node.take_all([&] {
    Publication rest = node.first;
    rest.erase("freshness");
    return rest;
  }());
  REQUIRE(node.trust.freshness() != nullptr);
  CHECK(node.trust.freshness()->header.version == static_cast<std::uint64_t>(begin_s + 300));
}

TEST_CASE_FIXTURE(Node, "trust: HQ's time is not believed beyond what those who sign offline allow") {
  take_all(first);
  const std::int64_t most_s = trust.current()->mesh.hq_time_most_s;
  CHECK(most_s > begin_s + 90 * day_s);
  take(refresh(realm.id, first.at("snapshot"), 0, 24, realm.signers(SigningRole::freshness), most_s + 1).value());
  CHECK(trust.trusted_ms(wall_ms) == wall_ms);
  CHECK(trust.ladder(wall_ms).standing == Standing::fresh);
}

TEST_CASE_FIXTURE(Node, "trust: a policy that its own tests refuse never comes into force") {
  take_all(first);
  int asked = 0;
  trust.set_check([&](const DocumentSet&) -> Result<void> {
    ++asked;
    return fail(Fault::malformed, "a test fails");
  });
  const Publication second = next("kansai", first, begin_s + 100);
  Fault last{};
  for (const auto& [name, bytes] : second)
    if (const auto out = offer(bytes); !out) last = out.error().fault;
  CHECK(asked == 1);
  CHECK(last == Fault::denied);
  CHECK(trust.version() == PolicyVersion{1});
  CHECK(refused(second.at("freshness")) == Fault::denied);
  CHECK(trust.version() == PolicyVersion{1});
}

TEST_CASE_FIXTURE(Node, "trust: a first policy must be in date, a later one need not be") {
  Trust late = Trust::begin(realm.first_root, realm.nodes.at("osaka").id).value();
  Fault last{};
  for (const auto& [name, bytes] : first)
    if (const auto out = late.offer(bytes, (begin_s + 2 * day_s) * 1000); !out) last = out.error().fault;
  CHECK(last == Fault::stale);
  CHECK(late.current() == nullptr);
  take_all(first);
  const Publication second = next("kansai", first, begin_s + 100);
  wall_ms = (begin_s + 80 * day_s) * 1000;
  take_all(second);
  CHECK(trust.version() == PolicyVersion{2});
}

TEST_CASE_FIXTURE(Node, "trust: age narrows what may be done, step by step, and never work between entitled nodes") {
  CHECK(trust.ladder(wall_ms).standing == Standing::expired);
  CHECK_FALSE(trust.ladder(wall_ms).may_admit);
  take_all(first);
  const auto at = [&](std::int64_t days) { return trust.ladder((begin_s + days * day_s) * 1000 + 1000); };
  CHECK(at(0).standing == Standing::fresh);
  CHECK(at(0).may_admit);
  CHECK(at(0).warnings.empty());
  CHECK(at(2).standing == Standing::stale);
  CHECK_FALSE(at(2).may_admit);
  CHECK(at(2).may_open_locking);
  CHECK(at(29).standing == Standing::stale);
  CHECK(at(31).standing == Standing::locked);
  CHECK_FALSE(at(31).may_open_locking);
  CHECK(at(31).warnings.size() == 4);  // mesh, directory, epochs, grants end in 90 days
  // With word from HQ every day, but a mesh that nobody signed again.
  take(refresh(realm.id, first.at("snapshot"), 0, 24 * 20, realm.signers(SigningRole::freshness), begin_s + 91 * day_s).value());
  CHECK(at(91).standing == Standing::expired);
  CHECK_FALSE(at(91).may_admit);
  CHECK(at(91).may_open_locking);
  CHECK_FALSE(at(91).warnings.empty());
}

TEST_CASE("trust: each officer's suspensions have their own numbers, and end by themselves") {
  Node node({{SigningRole::emergency, {2, 2}}});
  node.take_all(node.first);
  const auto officers = node.realm.signers(SigningRole::emergency);
  const NodeId osaka = node.realm.nodes.at("osaka").id, hq = node.realm.nodes.at("hq").id;
  const auto suspend = [&](std::size_t officer, std::uint64_t version, const NodeId& whom, std::int64_t hours = 4) {
    const Suspend it{{node.realm.id, version, begin_s, begin_s + hours * 3600}, {{whom}, {}, {}, {}, {}, false}, "stolen"};
    return add_signature(unsigned_envelope(DocumentType::suspend, "suspend", format(it)), *officers[officer]).value();
  };
  CHECK(node.take(suspend(0, 5, osaka)) == Outcome::suspended);
  CHECK(node.take(suspend(0, 5, osaka)) == Outcome::known);
  CHECK(node.take(suspend(1, 1, hq, 8)) == Outcome::suspended);  // another officer's first
  CHECK(node.trust.stops(node.wall_ms).size() == 2);
  CHECK(node.refused(suspend(0, 4, osaka)) == Fault::stale);
  CHECK(node.take(suspend(0, 5, hq)) == Outcome::forked);
  CHECK(node.refused(add_signature(unsigned_envelope(DocumentType::suspend, "suspend", read_envelope(suspend(0, 9, osaka)).value().payload),
                                   crypto::SigningKey::generate())
                         .value()) == Fault::not_authentic);
  CHECK(node.trust.stops((begin_s + 5 * 3600) * 1000).size() == 1);
  node.wall_ms = (begin_s + 9 * 3600) * 1000;
  CHECK(node.trust.stops(node.wall_ms).empty());
  CHECK(node.refused(suspend(0, 10, osaka)) == Fault::stale);
  // No right in the policy changes, so a decision at a policy version stays what it is.
  CHECK(node.trust.version() == PolicyVersion{1});
}

TEST_CASE("trust: an officer whose key is dropped suspends nobody any more") {
  Node node;
  node.take_all(node.first);
  const Suspend it{{node.realm.id, 1, begin_s, begin_s + day_s}, {{node.realm.nodes.at("osaka").id}, {}, {}, {}, {}, false}, ""};
  const Bytes before = node.realm.made(DocumentType::suspend, "suspend", it);
  CHECK(node.take(before) == Outcome::suspended);
  node.take(node.realm.rotate(SigningRole::emergency, begin_s + 10));
  CHECK(node.trust.stops(node.wall_ms).empty());
  CHECK(node.refused(before) == Fault::not_authentic);
}

TEST_CASE_FIXTURE(Node, "trust: what was in force is in force after a restart, and a damaged state is noticed") {
  take_all(first);
  take(realm.rotate(SigningRole::emergency, begin_s + 10));
  const Suspend suspend{{realm.id, 1, begin_s, begin_s + day_s}, {{realm.nodes.at("hq").id}, {}, {}, {}, {}, false}, ""};
  take(realm.made(DocumentType::suspend, "suspend", suspend));
  std::vector<Bytes> envelopes;
  for (const Held& it : trust.documents()) envelopes.push_back(it.envelope);
  std::reverse(envelopes.begin(), envelopes.end());
  const std::optional<NodeId> self = realm.nodes.at("osaka").id;
  const Trust again = Trust::restore(trust.encode(), envelopes, self).value();
  CHECK(again.version() == trust.version());
  CHECK(again.root() == trust.root());
  CHECK(again.current()->mesh == trust.current()->mesh);
  CHECK(again.stops(wall_ms) == trust.stops(wall_ms));
  CHECK(again.trusted_ms(0) == trust.trusted_ms(0));
  CHECK(again.encode() == trust.encode());
  for (std::size_t i = 0; i < envelopes.size(); ++i) {
    std::vector<Bytes> fewer = envelopes;
    fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
    CHECK_FALSE(Trust::restore(trust.encode(), fewer, self));
    std::vector<Bytes> damaged = envelopes;
    damaged[i][damaged[i].size() / 2] ^= 1;
    CHECK_FALSE(Trust::restore(trust.encode(), damaged, self));
  }
  Bytes state = trust.encode();
  state.pop_back();
  CHECK_FALSE(Trust::restore(state, envelopes, self));
}

TEST_CASE_FIXTURE(Node, "trust: older versions are taken by hash from anybody, whatever keys are gone") {
  const Publication second = next("kansai", first, begin_s + 100), third = next("kobe", second, begin_s + 200);
  for (const Publication* it : {&third}) take_all(*it);
  REQUIRE(trust.version() == PolicyVersion{3});
  Past past;
  past.anchor(*trust.current());
  CHECK(past.complete(PolicyVersion{3}));
  CHECK_FALSE(past.complete(PolicyVersion{1}));
  CHECK_FALSE(past.offer(first.at("snapshot")));  // nothing known names it yet
  const auto strip = [](const Bytes& bytes) {     // signatures count for nothing here, but for the hash
    Envelope it = read_envelope(bytes).value();
    it.signatures.clear();
    return write_envelope(it);
  };
  CHECK_FALSE(past.offer(strip(second.at("snapshot"))));
  const std::map<std::uint64_t, const Publication*> all{{1, &first}, {2, &second}};
  int steps = 0;
  while (!past.complete(PolicyVersion{1})) {
    REQUIRE(++steps < 10);
    const auto wants = past.wants(PolicyVersion{1});
    REQUIRE_FALSE(wants.empty());
    for (const Want& want : wants) {
      bool found = false;
      for (const auto& [version, publication] : all)
        if (crypto::sha256(publication->at(want.name)) == *want.sha256 && !found) {
          CHECK(past.offer(publication->at(want.name)));
          found = true;
        }
      REQUIRE(found);
    }
  }
  CHECK(past.at(PolicyVersion{1})->mesh->header.version == 1);
}
