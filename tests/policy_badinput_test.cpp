// What must not come into force: refused before anything is signed, and again at the node if it was signed anyway.
#include "policy/delegation.h"
#include "tests/policy_unit_fixture.h"

using namespace dozo;
using namespace dozo::policy_fixture;

namespace {

struct Signed : Repository {
  KeyRing keys() const { return *open_epochs_with_admission(hq.admission, epochs_of(hq.last)); }
  Directory directory() const { return *open_directory(directory_of(hq.last), keys()); }
  /// Whether a node that can open everything takes what is signed with this in its place.
  bool taken(const std::string& name, const Bytes& envelope) {
    Node node = client();
    REQUIRE(refresh(node));
    node.trust.set_check([&](const DocumentSet& set) -> Result<void> {
      TRY(open_policy(set.version, set.mesh, set.directory, set.orgs, nullptr, *open_epochs_with_admission(hq.admission, set.epochs)));
      return {};
    });
    Publication next = hq.last;
    next[name] = envelope;
    const std::uint64_t version = snapshot_of(hq.last).header.version;
    Snapshot snapshot = snapshot_of(hq.last);
    snapshot.header.version = version + 1;
    snapshot.previous.reset();
    snapshot.documents.at(name) = {snapshot.documents.at(name).version + 1, envelope.size(), crypto::sha256(envelope)};
    next["snapshot"] = hq.sign(snapshot);
    const Bytes& bytes = next["snapshot"];
    next["freshness"] = hq.sign(Freshness{
        {hq.realm, freshness_of(hq.last).header.version + 1, hq.now_s, hq.now_s + day_s}, hq.now_s, {version + 1, bytes.size(), crypto::sha256(bytes)}});
    for (int round = 0; round < 2; ++round) node.hear(next);
    return node.version() == version + 1;
  }
  bool taken(const std::function<void(Mesh&)>& change) {
    Mesh it = mesh_of(hq.last);
    ++it.header.version;
    change(it);
    return taken("mesh", hq.sign(it));
  }
  bool taken_directory(const std::function<void(Directory&)>& change) {
    Directory it = directory();
    ++it.header.version;
    change(it);
    const Epoch generation = directory_of(hq.last).generation;
    return taken("directory", hq.sign(seal_directory(it, generation, *keys().find(directory_library, generation))));
  }
  static void is_mistake(const std::string& toml, const std::string& says) {
    const Checked checked = check(toml, "policy.toml", begin_s);
    const bool found = std::ranges::any_of(checked.mistakes, [&](const Mistake& it) { return it.text.find(says) != std::string::npos && it.line > 0; });
    std::string all;
    for (const Mistake& it : checked.mistakes) all += text_of(it) + "\n";
    CHECK_MESSAGE(found, says, ": ", all);
  }
};

/// The points of small order in the order of RFC 8032's encoding, as signature keys: whoever has one can make signatures that all take.
const std::vector<std::string> small_order{
    "0100000000000000000000000000000000000000000000000000000000000000", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000080", "0000000000000000000000000000000000000000000000000000000000000000",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"};

}  // namespace

TEST_CASE_FIXTURE(Signed, "bad policy: what this test changes nothing of is taken") {
  CHECK(taken([](Mesh&) {}));
  CHECK(taken_directory([](Directory&) {}));
}

TEST_CASE_FIXTURE(Signed, "bad policy: JSON with a key twice, and numbers beyond what is exact") {
  for (const char* name : {"mesh", "epochs", "snapshot", "freshness"}) {
    const std::string payload(text_of(read_envelope(hq.last.at(name))->payload));
    const auto parses = [&](const std::string& text) {
      const Envelope it{*document_type(name), name, bytes_of(text), {}};
      return std::string(name) == "mesh"       ? parse_mesh(it.payload).has_value()
             : std::string(name) == "epochs"   ? parse_epochs(it.payload).has_value()
             : std::string(name) == "snapshot" ? parse_snapshot(it.payload).has_value()
                                               : parse_freshness(it.payload).has_value();
    };
    CHECK(parses(payload));
    CHECK_FALSE(parses(replaced(payload, "{\"format\":1,", "{\"format\":1,\"format\":1,")));
    const std::string version = "\"version\":" + std::to_string(Headquarters::version_of(hq.last.at(name))) + ",";
    CHECK(parses(replaced(payload, version, "\"version\":9007199254740991,")));
    for (const char* number : {"9007199254740992", "18446744073709551616", "-1", "1.0", "1e3"})
      CHECK_FALSE(parses(replaced(payload, version, "\"version\":" + std::string(number) + ",")));
    const Bytes twice = changed(hq.last.at(name), "{\"format\":1,", "{\"format\":1,\"format\":1,");
    if (std::string(name) == "mesh" || std::string(name) == "epochs") CHECK_FALSE(taken(name, twice));
  }
}

TEST_CASE_FIXTURE(Signed, "bad policy: thresholds of nothing, or that no keys can meet, of roles and of units") {
  for (const std::uint32_t threshold : {0U, 2U, 33U}) {
    RootPlan plan = hq.plan();
    plan.roles[SigningRole::policy].threshold = threshold;
    CHECK(draft_root(plan, &hq.root, hq.realm).error().fault == Fault::malformed);
    Root root = hq.root;
    root.version += 1;
    root.realm = hq.realm;
    root.roles[SigningRole::policy].threshold = threshold;
    Node node = client();
    CHECK_FALSE(node.offer(hq.sign(DocumentType::root, "root", format(root))));
    Unit north("north");
    CHECK_FALSE(taken([&](Mesh& it) { it.delegations = {{"north", {{north.keys.front().public_key()}, threshold}, {"editor"}, {}}}; }));
    if (threshold != 0) is_mistake(with_units + north.table(threshold), "threshold");
  }
}

TEST_CASE_FIXTURE(Signed, "bad policy: one key under two names, and keys of small order") {
  CHECK_FALSE(taken([](Mesh& it) { it.nodes[1].keys.sign = it.nodes[0].keys.sign; }));
  CHECK_FALSE(taken([](Mesh& it) { it.nodes[1].keys.transport = it.nodes[0].keys.transport; }));
  CHECK_FALSE(taken([](Mesh& it) { it.nodes[1].keys.seal.bytes = it.nodes[0].keys.sign.bytes; }));
  const crypto::VerifyKey sato = hq.people.at("sato").public_key();
  CHECK_FALSE(taken_directory([&](Directory& it) {
    it.people.push_back({crypto::random_id<PersonId>(), "other", "x", sato, it.people.front().tenures});
    std::ranges::sort(it.people, {}, &Person::id);
  }));
  RootPlan plan = hq.plan();
  plan.roles[SigningRole::policy].keys.push_back(plan.roles[SigningRole::policy].keys.front());
  CHECK_FALSE(draft_root(plan, &hq.root, hq.realm));
  for (const std::string& hex : small_order) {
    const auto key = *crypto::VerifyKey::parse(hex);
    CAPTURE(hex);
    CHECK_FALSE(taken([&](Mesh& it) { it.nodes[1].keys.sign = key; }));
    CHECK_FALSE(taken_directory([&](Directory& it) { it.people.front().key = key; }));
    CHECK_FALSE(taken([&](Mesh& it) { it.delegations = {{"roads", {{key}, 1}, {"editor"}, {}}}; }));
    plan = hq.plan();
    plan.roles[SigningRole::policy].keys = {key};
    CHECK_FALSE(draft_root(plan, &hq.root, hq.realm));
    is_mistake(with_units + "[[delegation]]\norg = \"north\"\nroles = [\"editor\"]\nkeys = [\"" + hex + "\"]\n", "not a public key");
  }
}

TEST_CASE_FIXTURE(Signed, "bad policy: units above each other in a circle") {
  const std::string circle = "[[org]]\nid = \"a\"\ntitle = \"a\"\nparent = \"b\"\n[[org]]\nid = \"b\"\ntitle = \"b\"\nparent = \"a\"\n";
  is_mistake(country + circle, "is above itself");
  is_mistake(country + "[[org]]\nid = \"c\"\ntitle = \"c\"\nparent = \"c\"\n", "is above itself");
  CHECK_FALSE(taken_directory([](Directory& it) {
    it.orgs.push_back({"a", "a", "b", ""});
    it.orgs.push_back({"b", "b", "a", ""});
  }));
  CHECK_FALSE(taken_directory([](Directory& it) { it.orgs.front().parent = it.orgs.front().id; }));
}

TEST_CASE_FIXTURE(Signed, "bad policy: one that locks headquarters out") {
  is_mistake(replaced(country, "kind = \"hq\"", "kind = \"bureau\""), "there is no node of kind \"hq\"");
  is_mistake(country + "[[stop]]\nnodes = [\"head\"]\nreason = \"x\"\n", "leaves no node of kind \"hq\"");
  CHECK_FALSE(taken([](Mesh& it) {
    for (MeshNode& node : it.nodes)
      if (node.kind == NodeKind::hq) node.kind = NodeKind::bureau;
  }));
  CHECK_FALSE(taken([&](Mesh& it) { it.stops = {{{{hq.id("head")}, {}, {}, {}, {}, false}, 0, 0, "x"}}; }));
  CHECK(taken([&](Mesh& it) { it.stops = {{{{hq.id("osaka")}, {}, {}, {}, {}, false}, 0, 0, "x"}}; }));
}

TEST_CASE_FIXTURE(Signed, "bad policy: TOML of wrong types says which line and what it should be") {
  is_mistake(replaced(country, "zone = \"west\"", "zone = 7"), "zone");
  is_mistake(replaced(country, "copies = 2", "copies = \"two\""), "copies");
  is_mistake(replaced(country, "roles = [\"editor\"]", "roles = \"editor\""), "must be a list");
  is_mistake(replaced(country, "write = true", "write = \"yes\""), "must be true or false");
  is_mistake(replaced(country, "[[person.posts]]\npost = \"clerk\"", "posts = \"clerk\""), "posts");
  is_mistake(replaced(country, "post = \"clerk\"\n", "post = \"clerk\"\nfrom = \"April\"\n"), "must be a date");
  is_mistake(replaced(country, "[[org]]", "[org]"), "write [[org]]");
  is_mistake("realm = \"realm\"\n[[node]\n", "");
}

TEST_CASE_FIXTURE(Signed, "bad policy: what ends before it begins") {
  const std::string dates = "from = 2027-04-01\nuntil = 2026-04-01\n";
  is_mistake(replaced(country, "post = \"clerk\"\n", "post = \"clerk\"\n" + dates), "ends before it begins");
  is_mistake(replaced(country, "id = \"editors\"\n", "id = \"editors\"\n" + dates), "ends before it begins");
  is_mistake(country + "[[stop]]\nlibraries = [\"works\"]\nreason = \"x\"\n" + dates, "ends before it begins");
  is_mistake(country + "[[closure]]\nreason = \"x\"\n" + dates, "ends before it begins");
  CHECK_FALSE(taken_directory([](Directory& it) { it.people.front().tenures.front() = {"clerk", begin_s + 200, begin_s + 100}; }));
  CHECK_FALSE(taken([&](Mesh& it) { it.stops = {{{{}, {}, {}, {}, {hq.library("works")}, false}, begin_s + 200, begin_s + 100, "x"}}; }));
  CHECK_FALSE(taken([&](Mesh& it) { it.closures = {{{}, {}, begin_s + 200, begin_s + 100, "x", {}}}; }));
  CHECK_FALSE(taken([](Mesh& it) { it.header.expires_s = it.header.issued_s; }));
}

TEST_CASE_FIXTURE(Signed, "bad policy: people without a post, and those left over when theirs has ended") {
  is_mistake(replaced(country, "[[person.posts]]\npost = \"clerk\"\n", ""), "the person \"sato\" holds no post");
  is_mistake(replaced(country, "post = \"clerk\"\n", "post = \"clerk\"\nuntil = 2026-04-01\n"), "the last post of \"sato\" is over");
  CHECK_FALSE(taken_directory([](Directory& it) { it.people.front().tenures.clear(); }));
  CHECK_FALSE(taken_directory([](Directory& it) { it.people.front().tenures = {{"clerk", 0, it.header.issued_s}}; }));
  CHECK(taken_directory([](Directory& it) { it.people.front().tenures = {{"clerk", 0, it.header.issued_s + 1}}; }));  // that day is still to come
}

TEST_CASE_FIXTURE(Signed, "bad policy: a duty that no set of nodes can meet") {
  is_mistake(replaced(country, "copies = 2", "copies = 9"), "cannot give 9 copies");
  is_mistake(replaced(country, "copies = 2", "copies = 2\nzones = 2\nkeyed = 9"), "\"copies\" is less than");
  is_mistake(replaced(country, "copies = 2", "copies = 3\nkeyed = 3"), "cannot give 3 keyed copies");
  CHECK_FALSE(taken([](Mesh& it) { it.libraries.front().duty.zones = it.libraries.front().duty.copies + 1; }));
  CHECK_FALSE(taken([](Mesh& it) { it.libraries.front().duty.keyed = it.libraries.front().duty.copies + 1; }));
}
