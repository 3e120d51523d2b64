// Authoring: what HQ's tools make of a source and of what was published before.
#include "policy/authoring.h"

#include "policy/keys.h"
#include "tests/policy_fixture.h"

using namespace dozo;
using namespace dozo::policy_fixture;

namespace {

const std::string osaka_line = "members.osaka = { holding = \"full\", write = true }\n";
const std::string sapporo_bureau = "name = \"sapporo\"\nkind = \"bureau\"";

struct Fixture : Seeded {
  Headquarters hq;
  Fixture() { hq.publish(); }
  std::uint32_t epoch(const std::string& library) const { return library_in(mesh_of(hq.last), hq.library(library)).epoch.value; }
  std::uint32_t generation() const { return directory_of(hq.last).generation.value; }
  /// Names of the documents that the next publication makes anew.
  std::vector<std::string> anew(const std::string& toml, const Changes& changes = {}) {
    const Publication before = hq.last;
    hq.now_s += 60;
    hq.publish(toml, changes);
    std::vector<std::string> out;
    for (const auto& [name, bytes] : hq.last)
      if (name != "snapshot" && name != "freshness" && (!before.contains(name) || before.at(name) != bytes))
        out.push_back(name.starts_with("grants/") ? "grants/" + named(name.substr(7)) : name);
    std::sort(out.begin(), out.end());
    return out;
  }
  std::string named(const std::string& hex) const {
    for (const auto& [name, keys] : hq.nodes)
      if (keys.id.hex() == hex) return name;
    return hex;
  }
  Result<Draft> drafted(const std::string& toml, const Changes& changes = {}) {
    return draft(hq.root, hq.realm, hq.compile(toml), &hq.last, changes, hq.admission, hq.now_s);
  }
  /// That a node which follows every publication takes the newest.
  void check_taken() {
    Node node(hq, "sapporo");
    for (std::size_t i = 1; i < hq.roots.size(); ++i) (void)node.offer(hq.roots[i]);
    node.hear(hq.last);
    CHECK(node.version() == snapshot_of(hq.last).header.version);
  }
};

using Anew = std::vector<std::string>;

}  // namespace

TEST_CASE_FIXTURE(Fixture, "authoring: what did not change keeps version, signatures and bytes") {
  CHECK(anew(country).empty());
  CHECK(snapshot_of(hq.last).header.version == 2);
  CHECK(snapshot_of(hq.last).previous.has_value());
  CHECK(anew(replaced(country, "title = \"工事\"", "title = \"工事 二\"")) == Anew{"directory"});
  CHECK(directory_of(hq.last).header.version == 2);
  CHECK(anew(replaced(country, "zone = \"south\"", "zone = \"islands\"")) == Anew{"directory", "mesh"});  // and the old title again
  CHECK(mesh_of(hq.last).header.version == 2);
  CHECK(epochs_of(hq.last).header.version == 1);
  check_taken();
}

TEST_CASE_FIXTURE(Fixture, "authoring: after half of its time a document is signed anew, though it says the same") {
  hq.now_s += 45 * day_s - 61;
  CHECK(anew(country).empty());
  hq.now_s += 1;
  const auto all = anew(country);
  CHECK(all == Anew{"directory", "epochs", "grants/head", "grants/osaka", "grants/sapporo", "mesh"});
  CHECK(epoch("works") == 1);
  CHECK(mesh_of(hq.last).header.expires_s == hq.now_s + 90 * day_s);
  check_taken();
}

TEST_CASE_FIXTURE(Fixture, "authoring: a library that a node with keys leaves gets a new epoch, and so does what it could read besides") {
  const auto out = anew(replaced(country, osaka_line, ""));
  CHECK(out == Anew{"directory", "epochs", "grants/head", "grants/osaka", "grants/sapporo", "mesh"});
  CHECK(epoch("plans") == 2);
  CHECK(epoch("works") == 1);
  CHECK(generation() == 2);
  CHECK(anew(replaced(country, osaka_line, "")).empty());  // once
  check_taken();
}

TEST_CASE_FIXTURE(Fixture, "authoring: epochs advance for a new key, another kind and a loss of keys, and for nothing less") {
  SUBCASE("the node has another seal key") {
    hq.nodes.erase("osaka");
    hq.names.nodes.erase("osaka");
    hq.now_s += 60;
    hq.publish();
    CHECK(epoch("plans") == 2);
    CHECK(generation() == 2);
  }
  SUBCASE("a full member becomes a blind one") {
    anew(replaced(country, osaka_line, "members.osaka = { holding = \"blind\" }\n"));
    CHECK(epoch("plans") == 2);
    CHECK(generation() == 2);
    CHECK(grants_of(hq.last, hq.id("osaka")).grants.empty());
  }
  SUBCASE("a full member becomes a partial one, and loses its pen") {
    anew(replaced(country, osaka_line, "members.osaka = { holding = \"partial\" }\n"));
    CHECK(epoch("plans") == 1);
  }
  SUBCASE("somebody comes") {
    CHECK(anew(replaced(country, "members.naha", "members.lonely = { holding = \"full\" }\nmembers.naha")) == Anew{"grants/lonely", "mesh"});
    CHECK(epoch("works") == 1);
    CHECK(grants_of(hq.last, hq.id("lonely")).grants.size() == 2);
  }
  SUBCASE("a vault goes") {
    anew(replaced(replaced(country, "members.naha = { holding = \"blind\" }\n", ""), "zone = \"south\"", "zone = \"islands\""));
    CHECK(epoch("works") == 1);
  }
  SUBCASE("as asked") {
    anew(country, {{hq.library("works")}, true, {}, {}});
    CHECK(epoch("works") == 2);
    CHECK(epoch("plans") == 1);
    CHECK(generation() == 2);
  }
  check_taken();
}

TEST_CASE_FIXTURE(Fixture, "authoring: a library that comes back is new to whoever held it before") {
  const auto at = country.find("[[library]]");
  const auto end = country.find("[[library]]", at + 1);
  const std::string without = country.substr(0, at) + country.substr(end);
  anew(without);  // no plans
  CHECK(grants_of(hq.last, hq.id("osaka")).grants.empty());
  anew(replaced(country, osaka_line, ""));  // and again, without osaka, which has its key of epoch 1
  CHECK(epoch("plans") == 2);
  check_taken();
}

TEST_CASE_FIXTURE(Fixture, "authoring: cuts stand from the version that makes them, and stay") {
  const NodeId osaka = hq.id("osaka");
  const FeedId feed{hq.library("plans"), osaka, crypto::random_id<IncarnationId>()};
  const FeedId strange{hq.library("works"), osaka, crypto::random_id<IncarnationId>()};
  const FeedPoint end{osaka, feed.incarnation, {12}, crypto::random_id<Digest>()}, other{osaka, strange.incarnation, {3}, crypto::random_id<Digest>()};
  Changes changes;
  const FeedId begun{hq.library("plans"), osaka, crypto::random_id<IncarnationId>()};
  // What lies elsewhere is not named, and neither is a feed that nothing was written to.
  changes.cuts = cuts_of(osaka, {hq.library("plans")}, {{feed, end}, {strange, other}, {begun, {osaka, begun.incarnation, {0}, {}}}});
  REQUIRE(changes.cuts.size() == 1);
  anew(country, changes);
  const auto plans = [&] { return library_in(mesh_of(hq.last), hq.library("plans")); };
  REQUIRE(plans().cuts.size() == 1);
  CHECK(plans().cuts[0] == Cut{{2}, osaka, {end}});
  anew(replaced(country, osaka_line, ""));
  REQUIRE(plans().cuts.size() == 1);
  // A later mesh raises it.
  Changes raise;
  raise.admits[hq.library("plans")] = {{{2}, osaka, {osaka, feed.incarnation, {20}, crypto::random_id<Digest>()}}};
  anew(country, raise);
  CHECK(plans().cuts.size() == 1);
  CHECK(plans().admits.size() == 1);
  anew(country);
  CHECK(plans().admits.size() == 1);
  // Twice the same subject in one version cannot be said.
  Changes twice;
  twice.cuts[hq.library("plans")] = {{{}, osaka, {}}, {{}, osaka, {}}};
  CHECK(drafted(country, twice).error().fault == Fault::malformed);
  check_taken();
}

TEST_CASE_FIXTURE(Fixture, "authoring: a document that no node takes is not made, and what makes it large is said") {
  const NodeId osaka = hq.id("osaka");
  const LibraryId plans = hq.library("plans");
  const auto with_ends = [&](std::size_t count) {
    std::map<FeedId, FeedPoint> ends;
    for (std::size_t i = 0; i < count; ++i) {
      const FeedId feed{plans, osaka, crypto::random_id<IncarnationId>()};
      ends[feed] = {osaka, feed.incarnation, {i + 1}, crypto::random_id<Digest>()};
    }
    Changes out;
    out.cuts = cuts_of(osaka, {plans}, ends);
    return out;
  };
  const auto long_cut = drafted(country, with_ends(10'001));
  REQUIRE_FALSE(long_cut);
  CHECK(long_cut.error().fault == Fault::over_limit);
  CHECK(long_cut.error().text.find("10001 of them in one cut of osaka") != std::string::npos);
  // Most of a realm's nodes cut after ten thousand feeds each.
  Mesh mesh = mesh_of(hq.publish().documents);
  for (std::uint8_t i = 0; i < 10; ++i) {
    Cut cut = with_ends(10'000).cuts.at(plans).front();
    cut.since = {std::uint64_t{1} + i};
    std::ranges::sort(cut.ends, {}, [](const FeedPoint& it) { return std::pair(it.node, it.incarnation); });
    mesh.libraries.front().cuts.push_back(std::move(cut));
    const auto payload = mesh_payload(mesh);
    if (i == 3) CHECK(payload);
    if (i < 9) continue;
    REQUIRE_FALSE(payload);
    CHECK(payload.error().fault == Fault::over_limit);
    CHECK(payload.error().text.find("mesh would have ") == 0);
    CHECK(payload.error().text.find("100000 feeds, 10000 of them in one cut of osaka") != std::string::npos);
  }
}

TEST_CASE_FIXTURE(Fixture, "authoring: nothing is made with a root that has expired, another admission key, or what another realm published") {
  const Compiled compiled = hq.compile(country);
  CHECK(draft(hq.root, hq.realm, compiled, &hq.last, {}, hq.admission, hq.root.expires_s).error().fault == Fault::stale);
  CHECK(draft(hq.root, hq.realm, compiled, &hq.last, {}, hq.admission, hq.root.expires_s - 1));
  CHECK(draft(hq.root, hq.realm, compiled, &hq.last, {}, crypto::SealKey::generate(), hq.now_s).error().fault == Fault::not_authentic);
  CHECK(draft(hq.root, crypto::random_id<RealmId>(), compiled, &hq.last, {}, hq.admission, hq.now_s).error().fault == Fault::not_authentic);
  Publication incomplete = hq.last;
  incomplete.erase("epochs");
  CHECK_FALSE(draft(hq.root, hq.realm, compiled, &incomplete, {}, hq.admission, hq.now_s));
}

TEST_CASE_FIXTURE(Fixture, "authoring: a policy whose own tests fail is not drafted: no node would take it") {
  Compiled compiled = hq.compile(country);
  PolicyTest test{"t", hq.person("sato"), "editor", "", hq.id("sapporo"), Action::write, hq.library("works"), 0, hq.now_s, true};
  compiled.directory.tests = {test};
  CHECK(draft(hq.root, hq.realm, compiled, &hq.last, {}, hq.admission, hq.now_s));
  compiled.directory.tests[0].allowed = false;
  const auto out = draft(hq.root, hq.realm, compiled, &hq.last, {}, hq.admission, hq.now_s);
  REQUIRE_FALSE(out);
  CHECK(out.error().fault == Fault::denied);
  CHECK(out.error().text.find("test t expects") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "authoring: custodians sign one after the other, and the snapshot waits for all of them") {
  Headquarters two(3, 2);
  auto next = draft(two.root, two.realm, two.compile(country), nullptr, {}, two.admission, two.now_s);
  REQUIRE(next);
  Draft signing = std::move(*next);
  CHECK(draft_snapshot(two.root, two.realm, signing, nullptr, 14, two.now_s).error().fault == Fault::not_authentic);
  for (int round = 0; round < 2; ++round) {
    CHECK_FALSE(draft_snapshot(two.root, two.realm, signing, nullptr, 14, two.now_s));
    for (const std::string& name : signing.to_sign) {
      Bytes& bytes = signing.documents.at(name);
      bytes = *add_signature(bytes, two.keys.at(signer_of(read_envelope(bytes)->type))[static_cast<std::size_t>(round)]);
    }
  }
  CHECK(draft_snapshot(two.root, two.realm, signing, nullptr, 14, two.now_s));
  // All at once, with too few keys.
  RoleSigners few = two.signers();
  few[SigningRole::snapshot].resize(1);
  CHECK(publish(two.root, two.realm, two.compile(country), nullptr, {}, two.admission, few, two.now_s).error().fault == Fault::not_authentic);
}

TEST_CASE_FIXTURE(Fixture, "authoring: freshness numbers go on where the clock went back") {
  const std::uint64_t before = freshness_of(hq.last).header.version;
  hq.now_s -= 1000;
  const Bytes next = hq.refresh();
  const Freshness it = *parse_freshness(read_envelope(next)->payload);
  CHECK(it.header.version == before + 1);
  CHECK(it.hq_time_s == hq.now_s);
}

TEST_CASE_FIXTURE(Fixture, "authoring: a node that lost all keys goes on getting its empty grants in date") {
  anew(replaced(country, osaka_line, ""));
  hq.now_s += 50 * day_s;
  hq.publish(replaced(country, osaka_line, ""));
  CHECK(grants_of(hq.last, hq.id("osaka")).header.expires_s == hq.now_s + 90 * day_s);
  // One that is gone altogether does not.
  const Grants old = grants_of(hq.last, hq.id("osaka"));
  const std::string gone = replaced(replaced(country, osaka_line, ""), "[[node]]\nname = \"osaka\"\nkind = \"bureau\"\nzone = \"west\"\n", "");
  hq.now_s += 50 * day_s;
  hq.publish(gone);
  CHECK(grants_of(hq.last, hq.id("osaka")) == old);
  check_taken();
}

TEST_CASE_FIXTURE(Fixture, "authoring: who is not admitted is left out, and its rules with it") {
  const std::string more =
      country +
      "[[permit]]\nid = \"one\"\npeople = [\"sato\"]\nactions = [\"administer\"]\n[[permit]]\nid = \"there\"\nnodes = [\"lonely\"]\nactions = [\"read\"]\n";
  Names names = hq.names;
  names.people.clear();
  names.nodes.erase("lonely");
  const auto compiled = compile(read_source(more, "").source, names);
  REQUIRE(compiled);
  CHECK(compiled->absent == std::vector<std::string>{"lonely", "sato"});
  CHECK(compiled->directory.people.empty());
  REQUIRE(compiled->directory.permits.size() == 1);  // the others would be about everybody, or everywhere
  CHECK(compiled->directory.permits[0].id == "editors");
  names.nodes.erase("sapporo");  // a home
  CHECK(compile(read_source(more, "").source, names).error().fault == Fault::not_found);
}

TEST_CASE_FIXTURE(Fixture, "authoring: an admit raises a cut that is there, once, and stays without its table") {
  const std::string incarnation(32, 'b'), root(64, 'c');
  const auto admit = [&](std::uint64_t cut) {
    return "[[admit]]\nlibrary = \"works\"\nsubject = \"sapporo\"\ncut = " + std::to_string(cut) + "\nnode = \"" + hq.id("sapporo").hex() +
           "\"\nincarnation = \"" + incarnation + "\"\nsequence = 4\nroot = \"" + root + "\"\n";
  };
  Changes cut;
  cut.cuts[hq.library("works")].push_back({{}, hq.id("sapporo"), {}});
  hq.publish(country, cut);
  const std::uint64_t version = snapshot_of(hq.last).header.version;
  const auto with = [&](const std::string& toml) {
    const Compiled compiled = hq.compile(toml);
    Changes changes;
    changes.admits = compiled.admits;
    return draft(hq.root, hq.realm, compiled, &hq.last, changes, hq.admission, hq.now_s);
  };
  const auto none = with(country + admit(version + 1));
  REQUIRE(!none);
  CHECK(none.error().text.find("has no cut") != std::string::npos);
  for (int round = 0; round < 2; ++round) {
    Changes changes;
    changes.admits = hq.compile(country + admit(version)).admits;
    hq.publish(country + admit(version), changes);
    REQUIRE(library_in(mesh_of(hq.last), hq.library("works")).admits.size() == 1);
  }
  hq.publish(country);
  const auto& admits = library_in(mesh_of(hq.last), hq.library("works")).admits;
  REQUIRE(admits.size() == 1);
  CHECK(admits[0].up_to.sequence.value == 4);
  CHECK(admits[0].up_to.root.hex() == root);
}

TEST_CASE_FIXTURE(
    Seeded, "authoring: April, 500 people of 2,000 move among 5,000 libraries: one publication, one document to sign, and each right changes on its day") {
  constexpr std::size_t bureaus = 12, libraries = 5'000, people = 2'000, moving = 500;
  const auto country_of = [&](bool moved) {
    std::string out = "realm = \"realm\"\n[[node]]\nname = \"head\"\nkind = \"hq\"\nzone = \"tokyo\"\n";
    for (std::size_t i = 0; i < bureaus; ++i) {
      const std::string n = std::to_string(i);
      out += "[[node]]\nname = \"b" + n + "\"\nkind = \"bureau\"\nzone = \"z" + n + "\"\n[[org]]\nid = \"o" + n + "\"\ntitle = \"o\"\n[[post]]\nid = \"p" + n +
             "\"\ntitle = \"p\"\norg = \"o" + n + "\"\nroles = [\"clerk\"]\n";
    }
    std::vector<std::string> of(bureaus);
    for (std::size_t i = 0; i < libraries; ++i) {
      const std::string n = std::to_string(i), home = std::to_string(i % bureaus);
      out += "[[library]]\nname = \"l" + n + "\"\ntitle = \"l" + n + "\"\nhome = \"b" + home + "\"\nmembers.b" + home +
             " = { holding = \"full\", write = true }\nmembers.head = { holding = \"full\" }\n";
      of[i % bureaus] += (of[i % bureaus].empty() ? "\"l" : ", \"l") + n + "\"";
    }
    for (std::size_t i = 0; i < bureaus; ++i)
      out += "[[permit]]\nid = \"r" + std::to_string(i) + "\"\norgs = [\"o" + std::to_string(i) +
             "\"]\nroles = [\"clerk\"]\nactions = [\"read\", \"write\"]\nlibraries = [" + of[i] + "]\n";
    for (std::size_t i = 0; i < people; ++i) {
      const std::string n = std::to_string(i), before = "p" + std::to_string(i % bureaus), after = "p" + std::to_string((i + 1) % bureaus);
      out += "[[person]]\nname = \"q" + n + "\"\nshown = \"q\"\n";
      out += moved && i < moving ? "posts = [{ post = \"" + before + "\", until = 2027-04-01 }, { post = \"" + after + "\", from = 2027-04-01 }]\n"
                                 : "posts = [{ post = \"" + before + "\" }]\n";
    }
    return out;
  };
  Headquarters hq(3, 2);
  hq.publish(country_of(false));
  Node node(hq, "head");
  node.hear(hq.last);
  node.hear(hq.last);
  REQUIRE(node.version() == 1);
  hq.now_s += day_s;
  const Draft draft = *policy::draft(hq.root, hq.realm, hq.compile(country_of(true)), &hq.last, {}, hq.admission, hq.now_s);
  CHECK(draft.to_sign == std::vector<std::string>{"directory"});
  hq.publish(country_of(true));
  node.now_s = hq.now_s;
  node.hear(hq.last);
  node.hear(hq.last);
  REQUIRE(node.version() == 2);
  const KeyRing ring = *open_grants(hq.nodes.at("head").seal, *node.trust.current()->grants, node.trust.current()->epochs);
  const Policy policy({2}, node.trust.current()->mesh, *open_directory(node.trust.current()->directory, ring));
  constexpr std::int64_t april_s = 1'806'505'200;  // 2027-04-01 in Japan
  const auto may = [&](std::size_t who, std::size_t library, std::int64_t at_s) {
    return policy
        .decide({hq.person("q" + std::to_string(who)), "clerk", "", hq.id("b" + std::to_string(library % bureaus)), Action::write,
                 hq.library("l" + std::to_string(library)), 0, at_s * 1000, std::nullopt})
        .allowed;
  };
  for (std::size_t who = 0; who < 700; who += 7) {
    CAPTURE(who);
    for (std::size_t library = who % bureaus; library < libraries; library += 97 * bureaus) {
      CHECK(may(who, library, april_s - 1));
      CHECK(may(who, library, april_s) == (who >= moving));
      CHECK_FALSE(may(who, library + 1, april_s - 1));
      CHECK(may(who, library + 1, april_s) == (who < moving));
    }
  }
}
