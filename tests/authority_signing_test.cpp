// Signing one key at a time: what custodians carry, see and sign on machines that know nothing of headquarters; roots with other keys.
#include "policy/signing.h"
#include "tests/authority_fixture.h"

using namespace dozo;
using namespace dozo::test;
using policy::SigningRole;

namespace {

struct Ceremony : AuthorityFixture {
  /// The keys that are signed with offline are carried away, each to its custodian.
  void carry_away() const {
    for (const char* role : {"root", "policy", "key-authority"})
      for (int i = 1; i <= 5; ++i) {
        const std::string name = std::string(role) + "-" + std::to_string(i);
        if (!fs::exists(at("hq/keys/" + name + ".key"))) continue;
        fs::create_directories(at(name));
        fs::rename(at("hq/keys/" + name + ".key"), at(name + "/" + name + ".key"));
      }
  }
  std::string realm() const { return policy::read_realm_file(view_of(slurp(at("hq/realm.json"))))->realm.hex(); }
  std::vector<std::string> signing(const std::string& custodian) const {
    return {"authority", "sign",  "draft",      "--key", custodian + "/" + custodian + ".key", "--output", custodian + "/signed", "--realm",
            realm(),     "--yes", "--key-file", "key"};
  }
  Ran sign(const std::string& custodian) const {
    fs::remove(at(custodian + "/signed"));
    return good(signing(custodian));
  }
  Ran draft() const {
    fs::remove(at("draft"));
    return good({"authority", "draft", "hq", "--output", "draft", "--key-file", "key"});
  }
  Ran import(const std::string& custodian) const { return good({"authority", "import", "hq", custodian + "/signed"}); }
  Ran publish_all() const {
    draft();
    for (const char* it : {"policy-1", "policy-3", "key-authority-2", "key-authority-3"}) {
      sign(it);
      import(it);
    }
    return good({"authority", "publish", "hq", "--key-file", "key"});
  }
  Ran root(std::vector<std::string> changes) const {
    fs::remove(at("draft"));
    changes.insert(changes.begin(), {"authority", "root", "hq", "--output", "draft", "--key-file", "key"});
    return good(changes);
  }
  /// A node that is given all that HQ has published, root by root.
  policy::Trust node_of(std::uint64_t version) const {
    auto trust = policy::Trust::begin(policy::read_realm_file(view_of(slurp(at("hq/realm.json"))))->first_root, std::nullopt);
    REQUIRE(trust);
    take(*trust, version);
    return std::move(*trust);
  }
  void take(policy::Trust& trust, std::uint64_t version) const {
    for (std::uint64_t i = 1; fs::exists(at("hq/roots/" + std::to_string(i))); ++i)
      REQUIRE(trust.offer(*node::read_file(at("hq/roots/" + std::to_string(i)), 1U << 20), now_ms()));
    for (const Bytes& it : published(version)) REQUIRE(trust.offer(it, now_ms()));
  }
};

}  // namespace

TEST_CASE_FIXTURE(Ceremony, "signing: a role begins with as many keys as its custodians, each in a file of its own") {
  make_realm();
  const policy::Root root = policy::read_realm_file(view_of(slurp(at("hq/realm.json"))))->root;
  const std::map<SigningRole, std::pair<std::uint32_t, std::size_t>> wanted{{SigningRole::root, {3, 5}},          {SigningRole::policy, {2, 3}},
                                                                            {SigningRole::key_authority, {2, 3}}, {SigningRole::snapshot, {1, 2}},
                                                                            {SigningRole::freshness, {1, 2}},     {SigningRole::emergency, {1, 3}}};
  for (const auto& [role, quorum] : wanted) {
    CHECK(root.keys_of(role).threshold == quorum.first);
    CHECK(root.keys_of(role).keys.size() == quorum.second);
    for (std::size_t i = 1; i <= quorum.second; ++i) CHECK(fs::exists(at("hq/keys/" + std::string(policy::name_of(role)) + "-" + std::to_string(i) + ".key")));
  }
}

TEST_CASE_FIXTURE(Ceremony, "signing: each custodian signs on a machine of his own, and the policy comes when the last one has") {
  make_country();
  carry_away();
  refused(3, "needs 2 keys", {"authority", "publish", "hq", "--yes", "--key-file", "key"});
  CHECK(draft().out.find("gained: node sapporo: full replica of works") != std::string::npos);
  refused(5, "waits for its signatures", {"authority", "draft", "hq", "--key-file", "key"});
  refused(5, "waits for its signatures", {"authority", "root", "hq", "--key-file", "key"});
  // The custodian sees what it is before it is signed, on a machine that has nothing but this file and the id of the realm.
  const std::string shown = sign("policy-1").out;
  for (const char* it : {"to sign: mesh", "to sign: directory", "gained: node sapporo: full replica of works", "gained: node naha: blind replica of works"})
    CHECK(shown.find(it) != std::string::npos);
  CHECK(shown.find(realm()) != std::string::npos);
  CHECK(import("policy-1").out.find("mesh (1 of 2 of policy)") != std::string::npos);
  refused(4, "signatures are missing: directory (1 of 2 of policy), epochs (0 of 2 of key-authority)", {"authority", "publish", "hq", "--key-file", "key"});
  // Once more the same one is still one.
  CHECK(import("policy-1").out.find("mesh (1 of 2 of policy)") != std::string::npos);
  CHECK_FALSE(fs::exists(at("hq/published/1")));
  for (const char* it : {"policy-3", "key-authority-2", "key-authority-3"}) {
    sign(it);
    import(it);
  }
  good({"authority", "publish", "hq", "--key-file", "key"});
  CHECK_FALSE(fs::exists(at("hq/draft.json")));
  CHECK(node_of(1).version().value == 1);

  // Nothing to sign is nothing to carry: what did not change keeps its signatures.
  draft();
  refused(4, "waits for the key", signing("policy-2"));
  good({"authority", "publish", "hq", "--key-file", "key"});
  CHECK(document(2, "mesh") == document(1, "mesh"));
}

TEST_CASE_FIXTURE(Ceremony, "signing: what was not drafted here, was changed, or is signed by the wrong key is not taken") {
  make_country();
  carry_away();
  draft();
  sign("policy-1");
  // Another realm's id, no id at all, no terminal.
  auto arguments = signing("policy-2");
  arguments[8] = std::string(64, '0');
  refused(4, "another realm", arguments);
  arguments.erase(arguments.begin() + 7, arguments.begin() + 9);
  refused(2, "--realm", arguments);
  arguments.erase(std::find(arguments.begin(), arguments.end(), "--yes"));
  refused(2, "no terminal", arguments);
  CHECK_FALSE(fs::exists(at("policy-2/signed")));
  // A root's custodian has nothing to sign in a publication.
  refused(4, "waits for the key", signing("root-1"));
  // A signature that was changed on its way.
  std::string text = slurp(at("policy-1/signed"));
  const std::size_t at_sig = text.find("\"sig\":\"") + 7;
  text[at_sig] = text[at_sig] == 'A' ? 'B' : 'A';
  spill(at("changed"), text);
  const std::string before = slurp(at("hq/draft.json"));
  refused(4, "does not hold", {"authority", "import", "hq", "changed"});
  CHECK(slurp(at("hq/draft.json")) == before);
  // Signatures of a draft that was dropped do not fit the next.
  good({"authority", "draft", "hq", "--drop"});
  refused(3, "no draft waits", {"authority", "import", "hq", "policy-1/signed"});
  add_source("\n[[org]]\nid = \"roads\"\ntitle = \"Roads\"\n");
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  draft();
  refused(4, "another draft was signed", {"authority", "import", "hq", "policy-1/signed"});
  // A draft in which HQ's machine gives a node a key that the policy does not: the custodian's machine sees it.
  const auto read = policy::read_draft_file(view_of(slurp(at("draft"))));
  REQUIRE(read);
  for (const char* what : {"mesh", "directory"}) {
    auto it = policy::read_draft_file(view_of(slurp(at("draft"))));
    it->documents.erase(what);
    spill(at("draft"), std::string(text_of(policy::write_draft_file(*it))));
    refused(1, what, signing("policy-2"));
    spill(at("draft"), std::string(text_of(policy::write_draft_file(*read))));
  }
  auto it = policy::read_draft_file(view_of(slurp(at("draft"))));
  const auto mesh_now = *policy::parse_mesh(policy::read_envelope(it->documents.at("mesh"))->payload);
  for (const policy::MeshNode& node : mesh_now.nodes) {
    if (node.kind != policy::NodeKind::vault) continue;
    const std::string name = policy::grants_name(node.keys.id);
    policy::Grants grants{mesh_now.header, node.keys.id, {{mesh_now.libraries.front().id, {1}, Bytes(80)}}};
    grants.header.version = 1;
    it->documents[name] = policy::unsigned_envelope(policy::DocumentType::grants, name, policy::format(grants));
  }
  spill(at("draft"), std::string(text_of(policy::write_draft_file(*it))));
  refused(4, "that the node may not have", signing("key-authority-1"));
}

TEST_CASE_FIXTURE(Ceremony, "signing: a draft that hides what it follows is not signed") {
  make_country();
  carry_away();
  publish_all();
  std::string source = slurp(at("hq/policy.toml"));
  source.replace(source.find("members.naha = { holding = \"blind\" }"), 36, "members.naha = { holding = \"blind\", quota = \"1 GiB\" }");
  spill(at("hq/policy.toml"), source);
  draft();
  const std::string good_draft = slurp(at("draft"));
  auto it = policy::read_draft_file(view_of(good_draft));
  REQUIRE(it);
  it->before.clear();
  spill(at("draft"), std::string(text_of(policy::write_draft_file(*it))));
  refused(4, "does not have what it follows", signing("policy-1"));
  // What it follows is another one than HQ published: nobody of this realm signed that.
  it = policy::read_draft_file(view_of(good_draft));
  policy::Mesh mesh = *policy::parse_mesh(policy::read_envelope(it->before.at("mesh"))->payload);
  mesh.nodes.front().zone = "elsewhere";
  it->before["mesh"] = policy::unsigned_envelope(policy::DocumentType::mesh, "mesh", policy::format(mesh));
  spill(at("draft"), std::string(text_of(policy::write_draft_file(*it))));
  refused(4, "not signed by this realm", signing("policy-1"));
  spill(at("draft"), good_draft);
  sign("policy-1");
}

TEST_CASE_FIXTURE(Ceremony, "signing: a root with other keys needs the root keys of both, and drops what the old ones could do") {
  make_country();
  std::string key_of_policy_1;
  const json roles = json::parse(good({"authority", "show", "hq", "--json"}).out)["roles"];
  for (const json& role : roles)
    for (const json& key : role["keys"])
      if (key["file"] == "keys/policy-1.key") key_of_policy_1 = key["key"];
  carry_away();
  CHECK(good({"authority", "show", "hq"}).out.find(key_of_policy_1 + " not here") != std::string::npos);
  publish_all();
  policy::Trust node = node_of(1);
  // A stolen policy key: its custodian makes another one on his own machine.
  fs::create_directories(at("policy-4"));
  const std::string added = good({"authority", "key", "policy-4/policy-4.key", "--role", "policy", "--key-file", "other-key"}).out;
  CHECK(added.starts_with("policy:"));
  good({"authority", "rekey", "policy-4/policy-4.key", "--key-file", "other-key", "--new-key-file", "key"});
  refused(4, "", {"authority", "rekey", "policy-4/policy-4.key", "--key-file", "other-key", "--new-key-file", "key"});
  const std::string stolen = key_of_policy_1;
  refused(3, "no role has the key", {"authority", "root", "hq", "--drop", std::string(64, '1')});
  refused(1, "cannot sign", {"authority", "root", "hq", "--threshold", "policy=4"});
  refused(2, "no role", {"authority", "root", "hq", "--threshold", "police=4"});
  const std::string text = root({"--add", added.substr(0, added.size() - 1), "--drop", stolen}).out;
  CHECK(text.find("dropped: policy " + stolen) != std::string::npos);
  refused(4, "root (0 of 3 of root before), root (0 of 3 of root)", {"authority", "publish", "hq", "--key-file", "key"});
  refused(4, "waits for the key", signing("policy-1"));  // who loses a key has no say
  for (const char* it : {"root-1", "root-3", "root-5"}) {
    CHECK(sign(it).out.find("dropped: policy " + stolen) != std::string::npos);
    import(it);
  }
  good({"authority", "publish", "hq", "--key-file", "key"});
  CHECK(fs::exists(at("hq/roots/2")));

  // A node takes the root, goes on with what it had, and takes the next policy by the new keys alone.
  REQUIRE(node.offer(*node::read_file(at("hq/roots/2"), 1U << 20), now_ms()));
  CHECK(node.root().version == 2);
  CHECK(node.version().value == 1);
  fs::remove(at("draft"));
  draft();
  sign("policy-4");
  import("policy-4");
  refused(4, "waits for the key", signing("policy-1"));
  sign("policy-2");
  import("policy-2");
  for (const char* it : {"key-authority-1", "key-authority-2"}) {
    const Ran ran = run(signing(it));
    CHECK(ran.status == 4);  // nothing of theirs has changed
  }
  good({"authority", "publish", "hq", "--key-file", "key"});
  take(node, 2);
  CHECK(node.version().value == 2);
  const auto mesh_signers = policy::read_envelope(document(2, "mesh"))->signatures;
  CHECK(std::ranges::none_of(mesh_signers, [&](const auto& it) { return it.key.hex() == stolen; }));
}

TEST_CASE_FIXTURE(Ceremony, "signing: root's own keys are rotated, and every role's, and a node that slept catches up") {
  make_country();
  publish();  // with all keys at hand
  policy::Trust sleeper = node_of(1);
  carry_away();
  const int number = 6;
  for (const char* role : {"root", "policy", "key-authority", "snapshot", "freshness", "emergency"}) {
    const std::string name = std::string(role) + "-" + std::to_string(number);
    fs::create_directories(at(name));
    const bool online = std::string(role) == "snapshot" || std::string(role) == "freshness";
    const std::string file = online ? "hq/keys/" + name + ".key" : name + "/" + name + ".key";
    std::string added = good({"authority", "key", file, "--role", role, "--key-file", "key"}).out;
    added.pop_back();
    const auto at_role = std::ranges::find_if(sleeper.root().roles, [&](const auto& it) { return policy::name_of(it.first) == role; });
    const policy::RoleKeys before = at_role->second;  // as they were when it fell asleep
    root({"--add", added, "--drop", before.keys.front().hex()});
    for (int i = 1; i <= 6; ++i) {
      const std::string custodian = "root-" + std::to_string(i);
      fs::remove(at(custodian + "/signed"));
      if (fs::exists(at(custodian)) && run(signing(custodian)).status == 0) import(custodian);
    }
    good({"authority", "publish", "hq", "--key-file", "key"});
  }
  draft();
  for (const char* role : {"policy", "key-authority"})
    for (int i = 1; i <= 6; ++i) {
      const std::string custodian = std::string(role) + "-" + std::to_string(i);
      fs::remove(at(custodian + "/signed"));
      if (fs::exists(at(custodian)) && run(signing(custodian)).status == 0) import(custodian);
    }
  good({"authority", "publish", "hq", "--key-file", "key"});
  take(sleeper, 2);
  CHECK(sleeper.root().version == 7);
  CHECK(sleeper.version().value == 2);
}

TEST_CASE_FIXTURE(Ceremony, "signing: with another admission and recovery key everything is sealed anew, and the old ones open nothing that comes") {
  make_country();
  publish();
  root({"--new-admission", "--new-recovery", "2/4"});
  for (const char* it : {"root-1", "root-2", "root-3"}) {
    good({"authority", "sign", "draft", "--key", "hq/keys/" + std::string(it) + ".key", "--output", std::string(it) + ".signed", "--realm", realm(), "--yes",
          "--key-file", "key"});
    good({"authority", "import", "hq", std::string(it) + ".signed"});
  }
  good({"authority", "publish", "hq", "--key-file", "key"});
  // Before the publication the old shares are what opens, after it the new ones.
  const auto recover = [&](const std::string& documents, const std::string& first, const std::string& second) {
    return std::vector<std::string>{"node", "recover", "--home", "n-sapporo", "--documents", documents, "--share", first, "--share", second};
  };
  publish();
  fs::create_directories(at("all"));
  for (const auto& it : fs::directory_iterator(at("hq/published/2"))) fs::copy(it.path(), at("all") / it.path().filename());
  fs::copy(at("hq/roots/2"), at("all/root"));
  refused(4, "", recover("all", "hq/shares/share-1", "hq/shares/share-2"));
  std::string named;
  for (const auto& it : fs::directory_iterator(at("hq/shares")))
    if (it.path().filename().string().starts_with("recovery-") && it.path().string().ends_with("-1")) named = "hq/shares/" + it.path().filename().string();
  REQUIRE(!named.empty());
  good(recover("all", named, named.substr(0, named.size() - 1) + "4"));
  const policy::Epochs before = epochs(1), after = epochs(2);
  for (std::size_t i = 0; i < before.libraries.size(); ++i) {
    CHECK(after.libraries[i].epochs.size() == before.libraries[i].epochs.size() + 1);
    CHECK(after.libraries[i].epochs[0].commitment == before.libraries[i].epochs[0].commitment);
    CHECK(after.libraries[i].epochs[0].recovery != before.libraries[i].epochs[0].recovery);
  }
  CHECK(node_of(2).version().value == 2);
  // Once is enough: the next publication makes no epochs.
  add_source("\n[[org]]\nid = \"roads\"\ntitle = \"Roads\"\n");
  CHECK(publish()["notes"].empty());
  // A newcomer that has the realm.json of the first day proves its keys to the first admission key.
  make_node("late", "bureau");
  admit("n-late/request.json");
}

TEST_CASE_FIXTURE(Ceremony, "signing: whatever a draft changes is shown, also what gives or takes no right today") {
  make_country();
  carry_away();
  publish_all();
  add_source("[[org]]\nid = \"roads\"\ntitle = \"Roads\"\n");
  draft();
  const std::string good_draft = slurp(at("draft"));
  const auto with = [&](const std::function<void(policy::Mesh&)>& change) {
    auto it = policy::read_draft_file(view_of(good_draft));
    REQUIRE(it);
    policy::Mesh mesh = *policy::parse_mesh(policy::read_envelope(it->before.at("mesh"))->payload);
    ++mesh.header.version;
    change(mesh);
    it->documents["mesh"] = policy::unsigned_envelope(policy::DocumentType::mesh, "mesh", policy::format(mesh));
    spill(at("draft"), std::string(text_of(policy::write_draft_file(*it))));
    return sign("policy-1").out;
  };
  const auto says = [](const std::string& text, const std::string& what) {
    INFO(text);
    CHECK(text.find(what) != std::string::npos);
  };
  const std::string plain = with([](policy::Mesh&) {});
  CHECK(plain.find("changed: mesh") == std::string::npos);
  says(plain, "changed: directory orgs: roads is new");
  says(plain, "nobody's rights change today");
  says(with([](policy::Mesh& it) { it.nodes.front().keys.transport.bytes[3] ^= 1; }), " transport: ");
  says(with([](policy::Mesh& it) { it.nodes.front().addresses.control = "tcp://elsewhere:1"; }), "control: tcp://127.0.0.1:7700 becomes tcp://elsewhere:1");
  says(with([](policy::Mesh& it) { it.locked_after_s = 60; }), "changed: mesh locked_after: 0 becomes 60");
  says(with([](policy::Mesh& it) { it.hq_time_most_s += 4000 * policy::day_s; }), "beware: HQ's machine is believed about the time until");
  says(with([](policy::Mesh& it) { it.lifts.push_back({crypto::SigningKey::generate().public_key(), 9}); }), "changed: mesh lifts: [");
  says(with([](policy::Mesh& it) { it.stops.push_back({{}, 0, 0, "quietly"}), it.stops.front().whom.realm = true; }), "quietly");
  says(with([](policy::Mesh& it) { it.libraries.front().duty.copies = 1; }), "duty copies: 2 becomes 1");
  const auto cut = [](policy::Mesh& it, std::uint8_t second) {
    const NodeId node = it.nodes.front().keys.id;
    it.libraries.front().cuts = {{{1}, node, {{node, *IncarnationId::from(Bytes(16, 1)), {7}, {}}, {node, *IncarnationId::from(Bytes(16, 2)), {second}, {}}}}};
  };
  says(with([&](policy::Mesh& it) { cut(it, 5); }), "cut: what node ");
  says(with([](policy::Mesh& it) { it.header.expires_s += 365 * policy::day_s; }), "mesh 2 from ");

  // What the custodian's machine does not sign at all.
  const auto never = [&](const std::function<void(policy::DraftFile&)>& change, const std::string& why, int status = 4) {
    auto it = policy::read_draft_file(view_of(good_draft));
    change(*it);
    spill(at("draft"), std::string(text_of(policy::write_draft_file(*it))));
    fs::remove(at("policy-1/signed"));
    refused(status, why, signing("policy-1"));
  };
  never(
      [](policy::DraftFile& it) {
        const policy::Suspend suspend{{it.realm, 1, 1, 2}, {}, "x"};
        it.documents["suspend"] = policy::unsigned_envelope(policy::DocumentType::suspend, "suspend", policy::format(suspend));
      },
      "suspend is not for a draft", 1);
  never(
      [](policy::DraftFile& it) {
        policy::Epochs epochs = *policy::parse_epochs(policy::read_envelope(it.documents.at("epochs"))->payload);
        epochs.libraries.back().epochs.back().commitment.bytes[0] ^= 1;
        ++epochs.header.version;
        it.documents["epochs"] = policy::unsigned_envelope(policy::DocumentType::epochs, "epochs", policy::format(epochs));
      },
      "is gone or another");
  never(
      [](policy::DraftFile& it) {
        policy::Mesh mesh = *policy::parse_mesh(policy::read_envelope(it.before.at("mesh"))->payload);
        ++mesh.header.version;
        mesh.header.issued_s += 60 * policy::day_s;
        mesh.header.expires_s += 60 * policy::day_s;
        it.documents["mesh"] = policy::unsigned_envelope(policy::DocumentType::mesh, "mesh", policy::format(mesh));
      },
      "ahead of this machine's clock");
}

TEST_CASE_FIXTURE(Ceremony, "signing: a root that would move every clock is not signed") {
  make_country();
  publish();
  carry_away();
  root({"--threshold", "policy=1"});
  auto it = policy::read_draft_file(view_of(slurp(at("draft"))));
  REQUIRE(it);
  policy::Root next = *policy::parse_root(policy::read_envelope(it->documents.at("root"))->payload);
  next.issued_s += 60 * 365 * policy::day_s;
  next.expires_s += 60 * 365 * policy::day_s;
  it->documents["root"] = policy::unsigned_envelope(policy::DocumentType::root, "root", policy::format(next));
  spill(at("draft"), std::string(text_of(policy::write_draft_file(*it))));
  refused(4, "ahead of this machine's clock", signing("root-1"));
}

// A review by reading saw that of two ends of one node in a cut neither would have been shown: they were told apart by the node alone.
TEST_CASE("signing: what is changed in a list is shown, also where its elements share an id") {
  REQUIRE(crypto::start());
  const auto key = [](std::uint8_t number) { return *IncarnationId::from(Bytes(16, number)); };
  policy::Mesh before;
  const NodeId node = *NodeId::from(Bytes(16, 9));
  before.libraries.emplace_back();
  before.libraries.front().cuts = {{{1}, node, {{node, key(1), {7}, {}}, {node, key(2), {8}, {}}}}};
  policy::Mesh after = before;
  CHECK(policy::changes_of(before, after)->empty());
  after.libraries.front().cuts.front().ends[1].sequence = {800};
  std::string all;
  const auto changed = policy::changes_of(before, after);
  REQUIRE(changed);
  for (const std::string& line : *changed) all += line + "\n";
  INFO(all);
  CHECK(all.find("800") != std::string::npos);
  policy::Directory then, now;
  then.permits = {{"a", {}, {}, {}, {}, {}, {policy::Action::read}, {}, {}, 0, 0}};
  now = then;
  now.permits.front().until_s = 5;
  const auto lines = policy::changes_of(then, now);
  REQUIRE(lines);
  REQUIRE(lines->size() == 1);
  CHECK(lines->front() == "changed: directory permits a until: 5 is new");
}
