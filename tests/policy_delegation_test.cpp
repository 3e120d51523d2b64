// What a unit's own administrators sign: how far it reaches, how it comes into force, and what is refused.
#include "tests/policy_unit_fixture.h"

using namespace dozo;
using namespace dozo::policy_fixture;

namespace {

struct Delegated : Repository {
  Unit north{"north"}, south{"south"};
  Delegated() { publish(source()); }
  std::string source() const { return with_units + north.table() + south.table(1, "osaka"); }
  /// Publishes what these units have signed.
  void list(std::vector<Bytes> orgs, const std::string& toml) {
    Changes changes;
    changes.orgs = std::move(orgs);
    publish(toml, changes);
  }
  void list(std::vector<Bytes> orgs) { list(std::move(orgs), source()); }
  bool may_write(const Policy& policy, const PersonId& who) const {
    return policy.decide({who, "editor", "", hq.id("sapporo"), Action::write, hq.library("works"), 0, hq.now_s * 1000, std::nullopt}).allowed;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Delegated, "delegation: a unit's people act by headquarters' rules once its document is listed") {
  Node node = client();
  REQUIRE(refresh(node));
  const OrgDocument says = north.says(hq, 1, {"abe", "baba"});
  CHECK_FALSE(opened(hq, node)->person(north.ids.at("abe")));
  list({north.signs(hq, says)});
  REQUIRE(refresh(node));
  const Policy policy = *opened(hq, node);
  CHECK(names_in(policy) == std::vector<std::string>{"north-abe", "north-baba", "sato"});
  CHECK(may_write(policy, north.ids.at("abe")));
  // The next version takes one out; what is in the policy of before stays as it was.
  list({north.signs(hq, north.says(hq, 2, {"baba"}))});
  REQUIRE(refresh(node));
  CHECK(names_in(*opened(hq, node)) == std::vector<std::string>{"north-baba", "sato"});
  CHECK(may_write(policy, north.ids.at("abe")));
  // A publication about something else keeps what is listed.
  list({}, replaced(source(), "zone = \"south\"", "zone = \"islands\""));
  REQUIRE(refresh(node));
  CHECK(names_in(*opened(hq, node)) == std::vector<std::string>{"north-baba", "sato"});
  // Without the delegation it is gone.
  list({}, with_units + south.table(1, "osaka"));
  REQUIRE(refresh(node));
  CHECK(names_in(*opened(hq, node)) == std::vector<std::string>{"sato"});
}

TEST_CASE_FIXTURE(Delegated, "delegation: it reaches no further than the unit, its roles, its names and its nodes") {
  Node node = client();
  REQUIRE(refresh(node));
  const DocumentSet& set = *node.trust.current();
  const KeyRing ring = *open_epochs_with_admission(hq.admission, set.epochs);
  const Directory directory = *open_directory(set.directory, ring);
  const OrgDocument good = north.says(hq, 1, {"abe"});
  REQUIRE(check_org(set.mesh, directory, good));
  const auto says = [&](const std::function<void(OrgDocument&)>& change) {
    OrgDocument it = good;
    change(it);
    const auto checked = check_org(set.mesh, directory, it);
    REQUIRE_FALSE(checked);
    CHECK(checked.error().fault == Fault::denied);
    // Nor is anything with it published.
    Changes changes;
    changes.orgs = {north.signs(hq, it)};
    CHECK_FALSE(policy::publish(hq.root, hq.realm, hq.compile(source()), &hq.last, changes, hq.admission, hq.signers(), hq.now_s));
    return checked.error().text;
  };
  CHECK(says([](OrgDocument& it) { it.posts.front().org = "south"; }) == "org/north: the post north-clerk is in the unit south, which is not below this one");
  CHECK(says([](OrgDocument& it) { it.posts.front().roles = {"minister"}; }) ==
        "org/north: the post north-clerk has the role minister, which is not delegated");
  CHECK(says([](OrgDocument& it) { it.posts.front().roles = {"service"}; }).ends_with("not delegated"));
  CHECK(says([](OrgDocument& it) { it.posts.front().id = "clerk2"; }) == "org/north: the post clerk2 does not begin with north-");
  CHECK(says([](OrgDocument& it) { it.people.front().name = "sato"; }) == "org/north: the person sato does not begin with north-");
  CHECK(says([](OrgDocument& it) { it.people.front().tenures = {{"clerk", 0, 0}}; }) ==
        "org/north: the person north-abe holds the post clerk, which is not this unit's");
  CHECK(says([](OrgDocument& it) { it.people.front().tenures.clear(); }) == "org/north: the person north-abe holds no post");
  CHECK(says([&](OrgDocument& it) { it.people.front().id = hq.person("sato"); }) == "org/north: the person north-abe is there already");
  CHECK(says([&](OrgDocument& it) { it.people.front().key = hq.people.at("sato").public_key(); }) == "org/north: the person north-abe is there already");
  MeshNode desk{crypto::NodeKeys::generate().public_part(), "north-desk", NodeKind::desk, "north", {}, hq.id("osaka")};
  CHECK(says([&](OrgDocument& it) { it.desks = {desk}; }) == "org/north: the desk north-desk is served by a node that is not this unit's");
  desk.served_by = hq.id("sapporo");
  OrgDocument with_desk = good;
  with_desk.desks = {desk};
  CHECK(check_org(set.mesh, directory, with_desk));
  CHECK(says([&](OrgDocument& it) { it.desks = {desk}, it.desks.front().name = "desk2"; }) == "org/north: the desk desk2 does not begin with north-");
  CHECK(says([&](OrgDocument& it) { it.desks = {desk}, it.desks.front().keys.seal = hq.nodes.at("osaka").public_part().seal; }).ends_with("is there already"));
  // Of a unit below it: that is its own.
  OrgDocument below = good;
  below.posts.front().org = "north-east";
  CHECK(check_org(set.mesh, directory, below));
}

TEST_CASE_FIXTURE(Delegated, "delegation: signed by others, by too few, by another unit, of another realm, unsigned: nothing comes of it") {
  Unit pair("north", 2);
  publish(with_units + pair.table(2) + south.table(1, "osaka"));
  Node node = client();
  REQUIRE(refresh(node));
  const OrgDocument says = pair.says(hq, 1, {"abe"});
  CHECK(node.refused(pair.signs(hq, says, 1)) == Fault::stale);
  CHECK(node.refused(pair.signs(hq, says, 0)) == Fault::stale);
  CHECK(node.refused(Unit("north", 2).signs(hq, says, 2)) == Fault::stale);
  // One key twice is one key, and the other unit's counts for nothing.
  Envelope it = *read_envelope(pair.signs(hq, says, 1));
  const Envelope by_south = *read_envelope(south.signs(hq, says));
  it.signatures.insert(it.signatures.end(), by_south.signatures.begin(), by_south.signatures.end());
  std::ranges::sort(it.signatures, {}, &EnvelopeSignature::key);
  CHECK(node.refused(write_envelope(it)) == Fault::stale);
  Bytes renamed = south.signs(hq, south.says(hq, 1, {"abe"}));
  it = *read_envelope(renamed);
  it.name = "org/north";
  CHECK_FALSE(node.offer(write_envelope(it)));
  OrgDocument foreign = says;
  foreign.header.realm.bytes.front() ^= 1;
  CHECK(node.refused(pair.signs(hq, foreign, 2)) == Fault::not_authentic);
  CHECK(node.trust.orgs_ahead().empty());
  CHECK(node.take(pair.signs(hq, says, 2)) == Outcome::advanced);
  // Nor does headquarters list one that too few signed.
  Changes changes;
  changes.orgs = {pair.signs(hq, says, 1)};
  CHECK_FALSE(hq.would_publish(with_units + pair.table(2) + south.table(1, "osaka"), changes).documents.contains("org/north"));
}

TEST_CASE_FIXTURE(Delegated, "delegation: its own version goes only up, also over a restart, and two of one version are a fork") {
  Node node = client();
  REQUIRE(refresh(node));
  const Bytes first = north.signs(hq, north.says(hq, 1, {"abe"})), second = north.signs(hq, north.says(hq, 2, {"baba"}));
  CHECK(node.take(first) == Outcome::advanced);
  CHECK(node.take(first) == Outcome::known);
  CHECK(node.take(second) == Outcome::advanced);
  CHECK(node.refused(first) == Fault::stale);
  CHECK(node.take(north.signs(hq, north.says(hq, 2, {"chiba"}))) == Outcome::forked);
  CHECK(node.trust.forks().size() == 1);
  std::vector<Bytes> kept;
  for (const Held& it : node.trust.documents()) kept.push_back(it.envelope);
  Node again(*Trust::restore(node.trust.encode(), kept, hq.id("sapporo")), hq.now_s);
  REQUIRE(again.trust.orgs_ahead().size() == 1);
  CHECK(again.trust.orgs_ahead().at("org/north").header.version == 2);
  CHECK(again.refused(first) == Fault::stale);
  // Listed, it is ahead no longer, and what is older than it neither.
  list({second});
  REQUIRE(refresh(again));
  CHECK(again.trust.orgs_ahead().empty());
  CHECK(again.take(second) == Outcome::known);
  CHECK(again.refused(first) == Fault::stale);
  // Dated ahead, or over: not before, and not after.
  OrgDocument late = north.says(hq, 3, {"baba"});
  late.header.issued_s += 2 * day_s;
  CHECK(again.refused(north.signs(hq, late)) == Fault::stale);
  late.header.issued_s = hq.now_s - 2 * day_s;
  late.header.expires_s = hq.now_s - day_s;
  CHECK(again.refused(north.signs(hq, late)) == Fault::stale);
}

TEST_CASE_FIXTURE(Delegated, "delegation: headquarters cannot take a listed one back or drop it, as long as the unit has the same keys") {
  list({north.signs(hq, north.says(hq, 5, {"abe"}))});
  const Publication good = hq.last;
  const std::uint64_t version = snapshot_of(good).header.version;
  const auto offered = [&](const std::function<void(Publication&)>& change) {
    Node node = client();
    REQUIRE(refresh(node));
    Publication next = good;
    change(next);
    next = hq.listed(next, version + 1, freshness_of(good).header.version + 1);
    std::string why;
    for (int round = 0; round < 2; ++round)
      for (const auto& [name, bytes] : next)
        if (const auto out = node.offer(bytes); !out) why += out.error().text + "\n";
    return node.version() == version + 1 ? std::string("taken") : why;
  };
  CHECK(offered([](Publication&) {}) == "taken");
  CHECK(offered([&](Publication& it) { it["org/north"] = north.signs(hq, north.says(hq, 6, {"abe"})); }) == "taken");
  CHECK(offered([&](Publication& it) { it.erase("org/north"); }).find("org/north has disappeared") != std::string::npos);
  CHECK(offered([&](Publication& it) { it["org/north"] = north.signs(hq, north.says(hq, 4, {"abe"})); }).find("goes back from version 5 to 4") !=
        std::string::npos);
  CHECK(offered([&](Publication& it) { it["org/north"] = north.signs(hq, north.says(hq, 5, {"baba"})); }).find("another org/north of version 5") !=
        std::string::npos);
}

TEST_CASE_FIXTURE(Delegated, "delegation: what is ahead is forgotten with the keys that signed it, and with the delegation") {
  const Bytes ahead = north.signs(hq, north.says(hq, 7, {"abe"}));
  for (const bool with_others : {true, false}) {
    Node node = client();
    REQUIRE(refresh(node));
    REQUIRE(node.take(ahead) == Outcome::advanced);
    Unit renewed("north");
    publish(with_others ? with_units + renewed.table() + south.table(1, "osaka") : with_units + south.table(1, "osaka"));
    REQUIRE(refresh(node));
    CHECK(node.trust.orgs_ahead().empty());
    CHECK(node.refused(ahead) == Fault::stale);
    publish(source());  // and back
    REQUIRE(refresh(node));
    CHECK(node.trust.orgs_ahead().empty());
  }
}

TEST_CASE_FIXTURE(Delegated, "delegation: with other keys the unit begins anew, and what the old ones signed counts no more") {
  // A thief of the unit's key has run its numbers up.
  const Bytes stolen = north.signs(hq, north.says(hq, json_most(), {"thief"}));
  Node node = client();
  REQUIRE(refresh(node));
  CHECK(node.refused(stolen) == Fault::denied);  // not before headquarters lists it, which its people would have to do
  CHECK(node.refused(north.signs(hq, north.says(hq, 65, {"thief"}))) == Fault::denied);
  CHECK(node.take(north.signs(hq, north.says(hq, 64, {"thief"}))) == Outcome::advanced);
  list({stolen});
  REQUIRE(refresh(node));
  Unit renewed("north");
  const std::string toml = with_units + renewed.table() + south.table(1, "osaka");
  const Bytes good = renewed.signs(hq, renewed.says(hq, 1, {"abe"}));
  Changes changes;
  changes.orgs = {stolen, good};
  const Published published = hq.would_publish(toml, changes);
  CHECK(std::ranges::any_of(published.notes,
                            [](const std::string& it) { return it.find("not signed by the keys that this unit has now") != std::string::npos; }));
  list({stolen, good}, toml);
  REQUIRE(refresh(node));
  CHECK(names_in(*opened(hq, node)) == std::vector<std::string>{"north-abe", "sato"});
  CHECK(node.refused(stolen) == Fault::stale);
}

TEST_CASE_FIXTURE(Delegated, "delegation: of two units, one that takes the other's people is not published, and not taken") {
  const OrgDocument ours = north.says(hq, 1, {"abe"});
  OrgDocument theirs = south.says(hq, 1, {"abe"});
  theirs.people.front().key = ours.people.front().key;
  Changes changes;
  changes.orgs = {north.signs(hq, ours), south.signs(hq, theirs)};
  const auto refused = policy::publish(hq.root, hq.realm, hq.compile(source()), &hq.last, changes, hq.admission, hq.signers(), hq.now_s);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().text == "org/south: the person south-abe is there already");
  // Signed anyway: a node that can open the directory takes none of it.
  list({north.signs(hq, ours)});
  Node node = client();
  REQUIRE(refresh(node));
  node.trust.set_check([&](const DocumentSet& set) -> Result<void> {
    TRY(open_policy(set.version, set.mesh, set.directory, set.orgs, nullptr, *open_epochs_with_admission(hq.admission, set.epochs)));
    return {};
  });
  Publication next = hq.last;
  next["org/south"] = south.signs(hq, theirs);
  node.hear(hq.listed(next, snapshot_of(hq.last).header.version + 1, freshness_of(hq.last).header.version + 1));
  CHECK(node.version() == snapshot_of(hq.last).header.version);
}

TEST_CASE_FIXTURE(Delegated, "delegation: an older version of the policy is known with what its units said then") {
  list({north.signs(hq, north.says(hq, 1, {"abe"}))});
  const Publication then = hq.last;
  Node early = client();
  REQUIRE(refresh(early));
  list({north.signs(hq, north.says(hq, 2, {"baba"}))});
  Node node = client();
  REQUIRE(refresh(node));
  Past past;
  past.anchor(*node.trust.current());
  const PolicyVersion old{snapshot_of(then).header.version};
  REQUIRE(past.offer(then.at("snapshot")));
  std::vector<std::string> wanted;
  for (const Want& it : past.wants(old)) wanted.push_back(it.name);
  CHECK(std::ranges::find(wanted, "org/north") != wanted.end());
  for (const char* name : {"mesh", "directory"}) (void)past.offer(then.at(name));
  CHECK_FALSE(past.complete(old));
  REQUIRE(past.offer(then.at("org/north")));
  REQUIRE(past.complete(old));
  const auto version = past.at(old);
  const Policy policy =
      *open_policy(old, *version->mesh, *version->directory, version->orgs, nullptr, *open_epochs_with_admission(hq.admission, epochs_of(hq.last)));
  CHECK(names_in(policy) == std::vector<std::string>{"north-abe", "sato"});
}

TEST_CASE_FIXTURE(Delegated, "delegation: mistakes in the source are said before anything is signed") {
  const auto says = [&](const std::string& toml, const std::string& text) {
    const Checked checked = check(toml, "policy.toml", 0);
    CHECK_MESSAGE(std::ranges::any_of(checked.mistakes, [&](const Mistake& it) { return it.text.find(text) != std::string::npos; }), text);
  };
  const std::string good = source();
  CHECK(check(good, "policy.toml", 0).mistakes.empty());
  says(replaced(good, "org = \"north\"\nthreshold = 1", "org = \"north\"\nthreshold = 2"), "\"threshold\" is 2, and there are 1 keys");
  says(replaced(good, "org = \"north\"\nthreshold", "org = \"nord\"\nthreshold"), "there is no unit \"nord\"");
  says(replaced(good, "roles = [\"editor\"]\nnodes = [\"sapporo\"]", "roles = [\"service\"]\nnodes = [\"sapporo\"]"), "belongs to nodes");
  says(replaced(good, "nodes = [\"sapporo\"]", "nodes = [\"naha\"]"), "\"naha\" is no bureau");
  says(good + Unit("north-east").table(), "one signs for both");
  says(good + "[[person]]\nname = \"north-abe\"\nshown = \"x\"\n[[person.posts]]\npost = \"clerk\"\n", "for the unit to name");
  says(good + "[[role]]\nid = \"editor\"\ntitle = \"x\"\nmost = 3\n", "its posts are headquarters' to give");
  says(replaced(good, north.keys.front().public_key().hex(), std::string(64, '0')), "not a public key");
  says(replaced(good, north.keys.front().public_key().hex(), "abc"), "64 characters");
}

TEST_CASE_FIXTURE(Delegated, "delegation: what is wrong inside is the unit's, and not laid at the door of who passed it on") {
  Node node = client();
  REQUIRE(refresh(node));
  node.trust.set_check_org(
      [&](const SealedOrg& org) -> Result<void> { return TRY(open_org(org, *open_epochs_with_admission(hq.admission, epochs_of(hq.last)))), Result<void>(); });
  SealedOrg junk{{hq.realm, 1, hq.now_s, hq.now_s + day_s}, "north", {1}, Bytes(200, 7)};
  const auto offered = [&] { return node.refused(*add_signature(unsigned_envelope(DocumentType::org, "org/north", format(junk)), north.keys.front())); };
  CHECK(offered() == Fault::denied);
  junk.generation.value = 9;  // of a policy that is still to come here
  CHECK(offered() == Fault::stale);
  CHECK(node.trust.orgs_ahead().empty());
}
