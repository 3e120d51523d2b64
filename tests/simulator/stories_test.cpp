// Stories: whole realms of real engines under each attack that The Update Framework names, and those that it does not; each key of headquarters stolen; and
// what happens to headquarters itself. Each is told several times, with other chances of the network (DOZO_STORY_SEEDS: how often, 3).
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <cstdlib>

#include "crypto/hash.h"
#include "crypto/start.h"
#include "policy/envelope.h"
#include "tests/simulator/stage.h"

using namespace dozo;
using namespace dozo::simulator;
using policy::DocumentType, policy::SigningRole;

namespace {

constexpr std::int64_t second_ms = 1'000, minute_ms = 60'000;

/// hq; asahi, biei, chitose: bureaus with "works"; naha: a vault of it.
struct Story : Stage {
  explicit Story(std::uint64_t seed) : Stage(seed, 5) {
    add("hq", policy::NodeKind::hq, "tokyo");
    for (const char* name : {"asahi", "biei", "chitose"}) {
      add(name, policy::NodeKind::bureau, name);
      plan.libraries["works"][name] = {policy::Holding::full, true};
    }
    add("naha", policy::NodeKind::vault, "naha");
    plan.libraries["works"]["naha"] = {policy::Holding::blind, false};
    plan.homes["works"] = "asahi";
    begin();
    CHECK(all_at(1, 1));
  }
  /// Every node that runs goes by this policy, within so long.
  bool all_at(std::uint64_t wanted, std::int64_t most_ms = 2 * minute_ms) {
    return until([&] { return each([&](Process& it) { return version(it) == wanted; }); }, most_ms);
  }
  bool all_newest(std::int64_t most_ms = 2 * minute_ms) { return all_at(authority->version().value, most_ms); }
  bool each(const std::function<bool(Process&)>& holds) {
    for (std::size_t i = 0; i < size(); ++i)
      if (node(i).running() && !holds(node(i))) return false;
    return true;
  }
  /// Bureaus that run and are linked save, and each shows what all have.
  void work_goes_on(const std::string& mark, const std::vector<std::string>& at = {"asahi", "biei", "chitose"}) {
    std::set<std::string> all;
    for (const std::string& name : at) {
      const auto saved = save(node(name), "works", mark + "-" + name);
      CHECK_MESSAGE(saved, name, ": ", saved ? "" : saved.error().text);
      all.insert(mark + "-" + name + "/");
    }
    const auto shows = [&](const std::string& name) {
      const std::set<std::string> here = shown(node(name), "works");
      return std::ranges::includes(here, all);
    };
    CHECK_MESSAGE(until([&] { return std::ranges::all_of(at, shows); }, 2 * minute_ms), mark);
  }
  std::uint64_t forks(const Process& it) { return it.engine->realm().trust().forks().size(); }
  policy::Standing standing(const Process& it) { return it.engine->realm().trust().ladder(now_of(it).wall_ms).standing; }
  void rotate(const std::set<SigningRole>& roles) {
    (void)authority->rotate(roles, wall_s());
    publish();
  }
  static Bytes sign(DocumentType type, const std::string& name, const Bytes& payload, const crypto::SigningKey& key) {
    return *policy::add_signature(policy::unsigned_envelope(type, name, payload), key);
  }
  policy::Header header(std::uint64_t version) const { return {authority->realm(), version, wall_s(), wall_s() + 90 * policy::day_s}; }
  /// A publication over these documents, by whoever has the keys of snapshot and freshness.
  policy::Publication listed(policy::Publication documents, std::uint64_t version, const crypto::SigningKey& snapshot_key,
                             const crypto::SigningKey& freshness_key, std::int64_t hq_time_s) const {
    policy::Snapshot snapshot = *policy::parse_snapshot(policy::read_envelope(authority->published().at("snapshot"))->payload);
    const Bytes before = authority->published().at("snapshot");
    snapshot.previous = policy::Listing{snapshot.header.version, before.size(), crypto::sha256(before)};
    snapshot.header = header(version);
    for (auto& [name, listing] : snapshot.documents) {
      const Bytes& bytes = documents.at(name);
      const std::string payload(text_of(policy::read_envelope(bytes)->payload));
      const std::size_t at = payload.find("\"version\":") + 10;
      listing = {std::strtoull(payload.c_str() + at, nullptr, 10), bytes.size(), crypto::sha256(bytes)};
    }
    documents["snapshot"] = sign(DocumentType::snapshot, "snapshot", policy::format(snapshot), snapshot_key);
    const Bytes& bytes = documents["snapshot"];
    policy::Freshness freshness{header(static_cast<std::uint64_t>(hq_time_s)), hq_time_s, {version, bytes.size(), crypto::sha256(bytes)}};
    documents["freshness"] = sign(DocumentType::freshness, "freshness", policy::format(freshness), freshness_key);
    return documents;
  }
  static std::vector<Bytes> envelopes(const policy::Publication& it) {
    std::vector<Bytes> out;
    for (const auto& [name, bytes] : it) out.push_back(bytes);
    return out;
  }
  /// In which a stranger of the thief's is a full member, and HQ is not asked.
  policy::Mesh bent_mesh() const {
    policy::Mesh out = authority->mesh();
    ++out.header.version;
    for (policy::MeshNode& it : out.nodes)
      if (it.kind == policy::NodeKind::vault) it.kind = policy::NodeKind::bureau;
    return out;
  }
};

void told(const std::function<void(Story&)>& story) {
  static const bool started = crypto::start().has_value();
  REQUIRE(started);
  const char* wanted = std::getenv("DOZO_STORY_SEEDS");
  const std::uint64_t seeds = wanted == nullptr ? 3 : std::strtoull(wanted, nullptr, 10);
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    CAPTURE(seed);
    Story it(seed);
    story(it);
  }
}

}  // namespace

// ---- the attacks of The Update Framework -----------------------------------------------------------------------------
TEST_CASE("attack: arbitrary installation") {
  told([](Story& it) {
    // A member of the realm makes a policy in which it may do everything, and gives it to all, unsigned, signed by itself, by an officer, by another role.
    const Bytes payload = policy::format(it.bent_mesh());
    const crypto::SigningKey own = crypto::SigningKey::generate();
    for (const Bytes& mesh : {policy::unsigned_envelope(DocumentType::mesh, "mesh", payload), Story::sign(DocumentType::mesh, "mesh", payload, own),
                              Story::sign(DocumentType::mesh, "mesh", payload, it.authority->stolen(SigningRole::emergency)),
                              Story::sign(DocumentType::mesh, "mesh", payload, it.authority->stolen(SigningRole::snapshot))}) {
      policy::Publication all = it.authority->published();
      all["mesh"] = mesh;
      for (std::size_t i = 0; i < it.size(); ++i)
        it.say(it.node("biei"), it.node(i), sync::DocumentsGiven{Story::envelopes(it.listed(all, 2, own, own, it.wall_s() + 9)), {}});
      it.run(10 * second_ms);
    }
    CHECK(it.all_at(1, 1));
    it.work_goes_on("after");
  });
}

TEST_CASE("attack: endless data") {
  told([](Story& it) {
    Process& victim = it.node("asahi");
    const std::uint64_t before = victim.disks.truth.used_bytes;
    Bytes large(900 * 1024, 'x');
    for (std::uint8_t round = 0; round < 200; ++round) {
      Digest sha256;
      sha256.bytes[0] = round;
      it.say(it.node("biei"), victim, sync::DocumentsGiven{{}, {{sha256, 64U << 20, 0, large}}});
      it.run(second_ms);
    }
    CHECK(victim.disks.truth.used_bytes < before + 64 * 1024);
    it.publish();
    CHECK(it.all_newest());
    it.work_goes_on("after");
  });
}

TEST_CASE("attack: fast-forward") {
  told([](Story& it) {
    // The keys of both online roles are stolen, and the numbers run up as far as they go.
    const crypto::SigningKey snapshot = it.authority->stolen(SigningRole::snapshot), freshness = it.authority->stolen(SigningRole::freshness);
    const std::int64_t most_s = it.authority->mesh().hq_time_most_s;
    it.offer(it.node("biei"), Story::envelopes(it.listed(it.authority->published(), (std::uint64_t{1} << 53) - 1, snapshot, freshness, most_s)));
    CHECK(it.all_at((std::uint64_t{1} << 53) - 1));
    it.publish();  // comes to nothing: its number is lower
    it.run(minute_ms);
    CHECK(it.all_at((std::uint64_t{1} << 53) - 1, 1));
    it.rotate({SigningRole::snapshot, SigningRole::freshness});
    CHECK(it.all_newest());
    it.work_goes_on("after");
  });
}

TEST_CASE("attack: indefinite freeze") {
  told([](Story& it) {
    // chitose hears nothing but what is old. It says so at the second at which the last word expires, works on, and one honest line is enough.
    Process& victim = it.node("chitose");
    it.cut_off(victim);
    it.plan.libraries["works"]["biei"].may_write = false;
    it.publish();
    CHECK(it.until([&] { return it.version(it.node("asahi")) == 2; }, 2 * minute_ms));
    const auto* last = victim.engine->realm().trust().freshness();
    CHECK(it.standing(victim) == policy::Standing::fresh);
    victim.astray_ms += last->header.expires_s * 1000 - 1 - it.now_of(victim).wall_ms;
    CHECK(it.standing(victim) == policy::Standing::fresh);
    victim.astray_ms += 1;
    CHECK(it.standing(victim) == policy::Standing::stale);
    CHECK_FALSE(victim.engine->realm().trust().ladder(it.now_of(victim).wall_ms).may_admit);
    CHECK(it.save(victim, "works", "alone"));
    it.link(victim, it.node("naha"));
    CHECK(it.until([&] { return it.version(victim) == 2; }, 2 * minute_ms));
  });
}

TEST_CASE("attack: peers that prevent updates") {
  told([](Story& it) {
    // Of all its peers chitose reaches two that keep the new policy to themselves, and a vault.
    Process& victim = it.node("chitose");
    it.cut_off(victim);
    it.mute(it.node("asahi"), victim);
    it.mute(it.node("biei"), victim);
    it.publish();
    CHECK(it.until([&] { return it.version(it.node("naha")) == 2 && it.version(it.node("biei")) == 2; }, 2 * minute_ms));
    for (const char* name : {"asahi", "biei", "naha"}) it.link(victim, it.node(name));
    CHECK(it.until([&] { return it.version(victim) == 2; }, 5 * minute_ms));
  });
}

TEST_CASE("attack: mix-and-match") {
  told([](Story& it) {
    // biei lost its place in policy 2: it gives others the mesh of before, and grants of before, with the snapshot of now.
    it.cut_off(it.node("chitose"));
    const policy::Publication before = it.authority->published();
    it.plan.libraries["works"].erase("biei");
    it.publish();
    CHECK(it.until([&] { return it.version(it.node("biei")) == 2; }, 2 * minute_ms));
    policy::Publication mixed = it.authority->published();
    for (const auto& [name, bytes] : before)
      if (name == "mesh" || name == "epochs" || name.starts_with("grants/")) mixed[name] = bytes;
    it.offer(it.node("chitose"), Story::envelopes(mixed));
    CHECK(it.version(it.node("chitose")) == 1);
    it.link_all();
    CHECK(it.all_newest());
    CHECK_FALSE(it.node("chitose").engine->realm().policy()->may_receive(it.node("biei").keys.id, it.authority->library("works")));
    it.work_goes_on("after", {"asahi", "chitose"});
  });
}

TEST_CASE("attack: rollback") {
  told([](Story& it) {
    // Every older publication is given again to everybody, whole, and document by document.
    std::vector<policy::Publication> older{it.authority->published()};
    for (int round = 0; round < 4; ++round) {
      it.plan.libraries["works"]["biei"].may_write = round % 2 == 1;
      it.publish();
      CHECK(it.all_newest());
      older.push_back(it.authority->published());
    }
    for (const policy::Publication& one : older) {
      for (std::size_t i = 0; i < it.size(); ++i) {
        it.say(it.node("biei"), it.node(i), sync::DocumentsGiven{Story::envelopes(one), {}});
        for (const Bytes& document : Story::envelopes(one)) it.offer(it.node(i), {document});
      }
      it.run(5 * second_ms);
      CHECK(it.all_newest(1));
    }
    it.work_goes_on("after");
  });
}

TEST_CASE("attack: wrong object") {
  told([](Story& it) {
    // A document under the name of another, with its own signatures; grants of one node for another.
    const auto& published = it.authority->published();
    for (const auto& [name, bytes] : published)
      for (const auto& [other, wrong] : published) {
        if (name == other) continue;
        policy::Envelope envelope = *policy::read_envelope(wrong);
        envelope.type = policy::read_envelope(bytes)->type;
        envelope.name = name;
        it.say(it.node("biei"), it.node("asahi"), sync::DocumentsGiven{{policy::write_envelope(envelope)}, {}});
      }
    it.run(minute_ms);
    CHECK(it.all_at(1, 1));
    for (std::size_t i = 0; i < it.size(); ++i) CHECK(it.forks(it.node(i)) == 0);
    it.work_goes_on("after");
  });
}

// ---- those that it does not name -------------------------------------------------------------------------------------
TEST_CASE("attack: headquarters shows two faces") {
  told([](Story& it) {
    // Whoever has all of headquarters' keys shows two halves two policies of one number. When they meet, both are kept as proof, at every node, and nothing
    // changes.
    const auto folder = it.authority->folder();
    for (const char* one : {"chitose", "naha"})
      for (const char* other : {"hq", "asahi", "biei"}) it.cut(it.node(one), it.node(other));
    const Plan honest = it.plan;
    it.publish();
    it.authority->restore(folder);
    it.plan.libraries["works"]["biei"].may_write = false;
    it.offer(it.node("chitose"), it.authority->publish(it.plan, {}, it.wall_s() + 5));
    CHECK(it.all_at(2));
    it.link_all();
    CHECK(it.until([&] { return it.each([&](Process& one) { return it.forks(one) > 0; }); }, 5 * minute_ms));
    const auto& writes = [&](const char* name) {
      return it.node(name).engine->realm().policy()->may_write(it.node("biei").keys.id, it.authority->library("works"));
    };
    CHECK(writes("asahi"));
    CHECK_FALSE(writes("chitose"));
    const policy::Fork fork = it.node("asahi").engine->realm().trust().forks().front();
    for (const Bytes& side : {fork.ours, fork.theirs}) CHECK(policy::read_envelope(side));
    // Headquarters' people settle it with new keys of what was stolen.
    it.plan = honest;
    it.rotate({SigningRole::policy, SigningRole::key_authority, SigningRole::snapshot, SigningRole::freshness});
    CHECK(it.all_newest(5 * minute_ms));
    CHECK(it.each([&](Process& one) { return one.engine->realm().policy()->may_write(it.node("biei").keys.id, it.authority->library("works")); }));
    it.work_goes_on("after");
  });
}

TEST_CASE("attack: new enemy, what is written after somebody is out is not served to him by who does not know yet") {
  told([](Story& it) {
    it.work_goes_on("before");
    // biei reaches chitose alone, and chitose does not hear of the policy that takes biei out before it hears of what is written under it.
    for (const char* name : {"hq", "asahi", "naha"}) it.cut(it.node("biei"), it.node(name));
    it.cut(it.node("chitose"), it.node("hq"));
    it.cut(it.node("chitose"), it.node("naha"));
    it.cut(it.node("chitose"), it.node("asahi"));
    it.plan.libraries["works"].erase("biei");
    it.publish();
    CHECK(it.until([&] { return it.version(it.node("asahi")) == 2; }, 2 * minute_ms));
    CHECK(it.save(it.node("asahi"), "works", "not-for-biei"));
    it.link(it.node("chitose"), it.node("asahi"));
    CHECK(it.until([&] { return it.shown(it.node("chitose"), "works").contains("not-for-biei/"); }, 2 * minute_ms));
    it.run(5 * minute_ms);
    CHECK_FALSE(it.shown(it.node("biei"), "works").contains("not-for-biei/"));
    CHECK(it.version(it.node("biei")) == 2);  // that it is told, by who served it before
  });
}

TEST_CASE("attack: clocks ten years back and ten years ahead") {
  told([](Story& it) {
    for (const std::int64_t years : {-10, 10}) {
      CAPTURE(years);
      Process& victim = it.node("biei");
      victim.astray_ms = years * 365 * Stage::day_ms;
      it.publish();
      CHECK(it.all_newest());
      it.work_goes_on("others" + std::to_string(years), {"asahi", "chitose"});
      // One that is behind is not believed: headquarters has said what time it is. What one that is ahead writes waits at others until its time has come.
      const auto saved = it.save(victim, "works", "astray" + std::to_string(years));
      CHECK(saved.has_value());
      it.run(minute_ms);
      CHECK(it.shown(it.node("asahi"), "works").contains("astray" + std::to_string(years) + "/") == (years < 0));
      CHECK(it.standing(it.node("asahi")) == policy::Standing::fresh);
      CHECK((it.standing(victim) == policy::Standing::fresh) == (years < 0));
      victim.astray_ms = 0;
      it.run(minute_ms);
      CHECK(it.standing(victim) == policy::Standing::fresh);
      it.work_goes_on("again" + std::to_string(years));
      it.stop(victim);
      it.start(victim);
      CHECK(it.all_newest());
    }
  });
}

TEST_CASE("attack: a disk of yesterday") {
  told([](Story& it) {
    it.work_goes_on("first");
    std::map<std::string, Disks> images;
    for (const char* name : {"hq", "asahi", "naha"}) images[name] = it.node(name).disks;
    it.plan.libraries["works"]["biei"].may_write = false;
    it.publish();
    CHECK(it.all_newest());
    it.work_goes_on("second", {"asahi", "chitose"});
    for (const auto& [name, image] : images) {
      CAPTURE(name);
      Process& victim = it.node(name);
      it.stop(victim);
      victim.disks = image;
      it.start(victim);
      CHECK(it.until([&] { return it.version(victim) == 2; }, 2 * minute_ms));
      it.work_goes_on("after-" + name, {"asahi", "chitose"});
    }
    CHECK(it.each([&](Process& one) { return it.forks(one) == 0; }));
  });
}

// ---- each key of headquarters ----------------------------------------------------------------------------------------
TEST_CASE("theft: the freshness key moves clocks as far as people allowed, and nothing else; a root ends it") {
  told([](Story& it) {
    const crypto::SigningKey key = it.authority->stolen(SigningRole::freshness);
    const policy::Freshness last = *policy::parse_freshness(policy::read_envelope(it.authority->published().at("freshness"))->payload);
    const auto freshness = [&](std::int64_t hq_time_s) {
      policy::Freshness out{it.header(static_cast<std::uint64_t>(hq_time_s)), hq_time_s, last.snapshot};
      return Story::sign(DocumentType::freshness, "freshness", policy::format(out), key);
    };
    const std::int64_t most_s = it.authority->mesh().hq_time_most_s;
    it.offer(it.node("biei"), {freshness(most_s)});
    it.run(minute_ms);
    const auto time_s = [&](const char* name) { return it.node(name).engine->realm().trust().trusted_ms(it.now_of(it.node(name)).wall_ms) / 1000; };
    CHECK(time_s("asahi") == most_s);
    it.offer(it.node("biei"), {freshness(most_s + 100 * 365 * policy::day_s)});
    it.run(minute_ms);
    CHECK(time_s("asahi") == most_s);
    CHECK(it.all_at(1, 1));
    // Another policy it cannot bring: a snapshot of the thief's is nobody's.
    it.offer(it.node("biei"), Story::envelopes(it.listed(it.authority->published(), 2, key, key, most_s + 1)));
    it.run(minute_ms);
    CHECK(it.all_at(1, 1));
    it.rotate({SigningRole::freshness});
    CHECK(it.all_newest());
    CHECK(it.until(
        [&] { return it.each([&](Process& one) { return one.engine->realm().trust().trusted_ms(it.now_of(one).wall_ms) / 1000 <= it.wall_s() + 1; }); },
        minute_ms));
    it.work_goes_on("after");
  });
}

TEST_CASE("theft: the snapshot key alone brings nothing into force, and with the freshness key nothing that others did not sign, or older") {
  told([](Story& it) {
    it.plan.libraries["works"]["biei"].may_write = false;
    const policy::Publication before = it.authority->published();
    it.publish();
    CHECK(it.all_newest());
    const crypto::SigningKey snapshot = it.authority->stolen(SigningRole::snapshot), freshness = it.authority->stolen(SigningRole::freshness),
                             other = crypto::SigningKey::generate();
    it.offer(it.node("biei"), Story::envelopes(it.listed(it.authority->published(), 3, snapshot, other, it.wall_s() + 60)));
    it.run(minute_ms);
    CHECK(it.all_at(2, 1));
    policy::Publication old = it.authority->published();
    old["mesh"] = before.at("mesh");
    it.offer(it.node("biei"), Story::envelopes(it.listed(old, 3, snapshot, freshness, it.wall_s() + 60)));
    policy::Publication bent = it.authority->published();
    bent["mesh"] = Story::sign(DocumentType::mesh, "mesh", policy::format(it.bent_mesh()), snapshot);
    it.offer(it.node("biei"), Story::envelopes(it.listed(bent, 3, snapshot, freshness, it.wall_s() + 60)));
    it.run(minute_ms);
    CHECK(it.all_at(2, 1));
    it.rotate({SigningRole::snapshot, SigningRole::freshness});
    CHECK(it.all_newest());
    it.work_goes_on("after", {"asahi", "chitose"});
  });
}

TEST_CASE("theft: what the policy key or the key authority's signs is in force nowhere before snapshot and freshness name it") {
  told([](Story& it) {
    const crypto::SigningKey policy_key = it.authority->stolen(SigningRole::policy), authority_key = it.authority->stolen(SigningRole::key_authority);
    const Bytes mesh = Story::sign(DocumentType::mesh, "mesh", policy::format(it.bent_mesh()), policy_key);
    policy::Epochs epochs = *policy::parse_epochs(policy::read_envelope(it.authority->published().at("epochs"))->payload);
    ++epochs.header.version;
    policy::Grants grants = *policy::parse_grants(policy::read_envelope(it.authority->published().at(policy::grants_name(it.node("biei").keys.id)))->payload);
    ++grants.header.version;
    const std::vector<Bytes> forged{mesh, Story::sign(DocumentType::epochs, "epochs", policy::format(epochs), authority_key),
                                    Story::sign(DocumentType::grants, policy::grants_name(grants.node), policy::format(grants), authority_key),
                                    Story::sign(DocumentType::epochs, "epochs", policy::format(epochs), policy_key),
                                    Story::sign(DocumentType::mesh, "mesh", policy::format(it.bent_mesh()), authority_key)};
    for (std::size_t i = 0; i < it.size(); ++i)
      for (const Bytes& one : forged) it.offer(it.node(i), {one});
    it.run(minute_ms);
    CHECK(it.all_at(1, 1));
    it.rotate({SigningRole::policy, SigningRole::key_authority});
    CHECK(it.all_newest());
    it.work_goes_on("after");
  });
}

TEST_CASE("theft: an officer's key takes away for a while, gives nothing, loses no save, and goes with the next root") {
  told([](Story& it) {
    policy::Stopped whom;
    whom.nodes = {it.node("chitose").keys.id};
    it.offer(it.node("biei"), {it.authority->suspend(7, whom, it.wall_s())});
    const auto is_stopped = [&](Process& one) { return one.engine->realm().stopped(it.now_of(one).wall_ms).nodes.contains(it.node("chitose").keys.id); };
    CHECK(it.until([&] { return it.each(is_stopped); }, 10 * second_ms));
    it.work_goes_on("others", {"asahi", "biei"});
    CHECK(it.save(it.node("chitose"), "works", "meanwhile"));
    it.rotate({SigningRole::emergency});
    CHECK(it.all_newest());
    CHECK(it.until([&] { return it.each([&](Process& one) { return !is_stopped(one); }); }, minute_ms));
    CHECK(it.until([&] { return it.shown(it.node("asahi"), "works").contains("meanwhile/"); }, 2 * minute_ms));
    it.work_goes_on("after");
  });
}

TEST_CASE("theft: a root key that has been replaced makes no root, and what it makes is proof") {
  told([](Story& it) {
    const crypto::SigningKey stolen = it.authority->stolen(SigningRole::root);
    it.rotate({SigningRole::root});
    CHECK(it.all_newest());
    policy::Root other = *policy::parse_root(policy::read_envelope(it.authority->roots().back())->payload);
    other.roles[SigningRole::policy].keys = {stolen.public_key()};
    other.roles[SigningRole::root].keys = {stolen.public_key()};
    it.offer(it.node("biei"), {Story::sign(DocumentType::root, "root", policy::format(other), stolen)});
    CHECK(it.forks(it.node("biei")) == 1);
    other.version += 1;
    it.offer(it.node("asahi"), {Story::sign(DocumentType::root, "root", policy::format(other), stolen)});
    it.run(minute_ms);
    CHECK(it.each([&](Process& one) { return one.engine->realm().trust().root().version == 2; }));
    it.publish();
    CHECK(it.all_newest());
    it.work_goes_on("after");
  });
}

// ---- headquarters itself ---------------------------------------------------------------------------------------------
TEST_CASE("headquarters: who slept through fifty rotations of any roles catches up") {
  told([](Story& it) {
    Process& sleeper = it.node("chitose");
    it.stop(sleeper);
    for (int round = 0; round < 50; ++round) {
      std::set<SigningRole> roles;
      while (roles.empty())
        for (std::size_t i = 0; i < policy::signing_role_count; ++i)
          if (it.dice.chance(300)) roles.insert(static_cast<SigningRole>(i));
      it.leap(7);
      it.rotate(roles);
      it.run(5 * second_ms);
      if (round == 25) it.work_goes_on("meanwhile", {"asahi", "biei"});
    }
    CHECK(it.all_newest());
    it.start(sleeper);
    CHECK(it.until([&] { return it.version(sleeper) == it.authority->version().value; }, 5 * minute_ms));
    CHECK(sleeper.engine->realm().trust().root().version == 51);
    it.work_goes_on("after");
  });
}

TEST_CASE("headquarters: its folder of yesterday publishes a number again; that is noticed, changes nothing, and the next number is taken") {
  told([](Story& it) {
    const auto yesterday = it.authority->folder();
    it.plan.libraries["works"]["biei"].may_write = false;
    it.publish();
    CHECK(it.all_newest());
    const auto today = it.authority->folder();
    it.authority->restore(yesterday);
    it.plan.libraries["works"]["biei"].may_write = true;
    it.run(10 * second_ms);
    it.publish();
    CHECK(it.forks(it.node("hq")) >= 1);
    it.run(minute_ms);
    CHECK(it.all_at(2, 1));
    CHECK_FALSE(it.node("asahi").engine->realm().policy()->may_write(it.node("biei").keys.id, it.authority->library("works")));
    it.authority->restore(today);  // as its node has it
    it.publish();
    CHECK(it.all_newest());
    CHECK(it.node("asahi").engine->realm().policy()->may_write(it.node("biei").keys.id, it.authority->library("works")));
    it.work_goes_on("after");
  });
}

TEST_CASE("headquarters: a month without it, and everything but admissions goes on") {
  told([](Story& it) {
    it.stop(it.node("hq"));
    for (int day = 0; day < 31; ++day) {
      it.leap(1);
      it.run(2 * minute_ms);
      if (day % 5 == 0) it.work_goes_on("day" + std::to_string(day));
    }
    Process& asahi = it.node("asahi");
    CHECK(it.standing(asahi) == policy::Standing::stale);
    CHECK_FALSE(asahi.engine->realm().trust().ladder(it.now_of(asahi).wall_ms).may_admit);
    // A node that was away, one whose disk is gone, and an officer's word: all without headquarters.
    Process& chitose = it.node("chitose");
    it.stop(chitose);
    chitose.disks = {};
    it.start(chitose);
    CHECK_FALSE(it.until([&] { return it.version(chitose) == 1; }, 5 * minute_ms));  // as if it were new: that is an admission
    policy::Stopped whom;
    whom.nodes = {it.node("naha").keys.id};
    it.offer(asahi, {it.authority->suspend(1, whom, it.wall_s())});
    CHECK(it.until([&] { return it.node("biei").engine->realm().stopped(it.now_of(it.node("biei")).wall_ms).nodes.size() == 1; }, 10 * second_ms));
    it.work_goes_on("late", {"asahi", "biei"});
    it.start(it.node("hq"));
    it.publish();
    CHECK(it.all_newest(5 * minute_ms));
    CHECK(it.standing(asahi) == policy::Standing::fresh);
    it.work_goes_on("after");
  });
}
