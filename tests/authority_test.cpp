// The command itself, as people run it: HQ's folder, newcomers, publications, shares. No daemon of ours runs here.
#include "tests/authority_fixture.h"

using namespace dozo;
using namespace dozo::test;
using Fixture = AuthorityFixture;

TEST_CASE_FIXTURE(Fixture, "authority: a realm is made once, with its secrets closed to others") {
  make_realm();
  for (const auto& it : fs::recursive_directory_iterator(at("hq"))) {
    struct stat mode{};
    REQUIRE(::stat(it.path().c_str(), &mode) == 0);
    INFO(it.path().string());
    const bool is_open = it.path().filename() == "realm.json" || it.path().parent_path().filename() == "roots";
    CHECK((is_open || (mode.st_mode & 077) == 0));
  }
  const std::string root = slurp(at("hq/roots/1"));
  refused(5, "is there already", {"authority", "init", "hq", "--realm", "again", "--key-file", "key"});
  CHECK(slurp(at("hq/roots/1")) == root);
}

TEST_CASE_FIXTURE(Fixture, "authority: what cannot be made leaves no folder behind") {
  refused(2, "K/N", {"authority", "init", "hq", "--realm", "r", "--root", "3/2", "--key-file", "key"});
  for (const char* none : {"0/3", "3/2", "2/256", "2", "2/", "/3", "2/3/4", "-1/3", "4294967297/4294967297"})
    refused(2, "K/N", {"authority", "init", "hq", "--realm", "r", "--recovery", none, "--key-file", "key"});
  for (const char* none : {"two", "0/1", "2/1", "1/21"}) refused(2, "K/N", {"authority", "init", "hq", "--realm", "r", "--policy", none, "--key-file", "key"});
  refused(1, "", {"authority", "init", "hq", "--realm", "two\nlines", "--key-file", "key"});
  refused(3, "no such file", {"authority", "init", "hq", "--realm", "r", "--key-file", "missing"});
  spill(at("loose"), std::string(32, 'x'), 0644);
  refused(4, "chmod 600", {"authority", "init", "hq", "--realm", "r", "--key-file", "loose"});
  refused(7, "no terminal", {"authority", "init", "hq", "--realm", "r"});
  CHECK_FALSE(fs::exists(at("hq")));
}

TEST_CASE_FIXTURE(Fixture, "authority: wrong usage is told from failure") {
  CHECK(run({"nonsense"}).status == 2);
  CHECK(run({"authority", "init"}).status == 2);
  CHECK(run({"node", "init", "h", "--kind", "king"}).status == 2);
  CHECK(run({"authority", "init", "a", "--realm", "r", "--key-file", "a", "--passphrase-file", "b"}).status == 2);
  for (const std::vector<std::string>& verb : std::vector<std::vector<std::string>>{{},
                                                                                    {"put"},
                                                                                    {"get"},
                                                                                    {"ls"},
                                                                                    {"log"},
                                                                                    {"mv"},
                                                                                    {"rm"},
                                                                                    {"conflicts"},
                                                                                    {"resolve"},
                                                                                    {"status"},
                                                                                    {"peers"},
                                                                                    {"replicas"},
                                                                                    {"library", "list"},
                                                                                    {"node", "init"},
                                                                                    {"node", "join"},
                                                                                    {"node", "recover"},
                                                                                    {"person", "new"},
                                                                                    {"person", "login"},
                                                                                    {"policy", "check"},
                                                                                    {"policy", "explain"},
                                                                                    {"policy", "who-can"},
                                                                                    {"policy", "diff"},
                                                                                    {"authority", "init"},
                                                                                    {"authority", "admit"},
                                                                                    {"authority", "revoke"},
                                                                                    {"authority", "publish"},
                                                                                    {"authority", "draft"},
                                                                                    {"authority", "sign"},
                                                                                    {"authority", "suspend"},
                                                                                    {"authority", "ratify"},
                                                                                    {"authority", "lift"},
                                                                                    {"authority", "show"},
                                                                                    {"authority", "import"},
                                                                                    {"authority", "root"},
                                                                                    {"authority", "key"},
                                                                                    {"authority", "rekey"},
                                                                                    {"authority", "offer"},
                                                                                    {"authority", "install"}}) {
    std::vector<std::string> arguments = verb;
    arguments.emplace_back("--help");
    const Ran ran = run(arguments);
    CHECK(ran.status == 0);
    CHECK(ran.out.find("--help") != std::string::npos);
    CHECK(ran.error.empty());
  }
  refused(7, "no daemon", {"status", "--home", "."});
  refused(2, "--home", {"status"});
}

TEST_CASE_FIXTURE(Fixture, "authority: a request that was changed, or is for another realm, is not admitted") {
  make_realm();
  make_realm("foreign", "other");
  make_node("sapporo", "bureau");
  make_node("naha", "vault", "foreign");
  const std::string before = slurp(at("hq/register.json")), source = slurp(at("hq/policy.toml"));
  std::string text = slurp(at("n-sapporo/request.json"));
  const std::size_t kind = text.find("\"bureau\"");
  REQUIRE(kind != std::string::npos);
  spill(at("forged"), text.substr(0, kind) + "\"hq\"" + text.substr(kind + 8));
  refused(4, "not signed", {"authority", "admit", "hq", "forged", "--key-file", "key"});
  refused(4, "another realm", {"authority", "admit", "hq", "n-naha/request.json", "--key-file", "key"});
  spill(at("cut"), text.substr(0, text.size() / 2));
  refused(1, "cut", {"authority", "admit", "hq", "cut", "--key-file", "key"});
  refused(3, "no such file", {"authority", "admit", "hq", "missing", "--key-file", "key"});
  // One bad request, and the good one before it is not taken either.
  refused(4, "forged", {"authority", "admit", "hq", "n-sapporo/request.json", "forged", "--key-file", "key"});
  CHECK(slurp(at("hq/register.json")) == before);
  CHECK(slurp(at("hq/policy.toml")) == source);
}

TEST_CASE_FIXTURE(Fixture, "authority: somebody else's public keys under one's own signature are not admitted") {
  make_realm();
  const auto realm = policy::read_realm_file(view_of(slurp(at("hq/realm.json"))));
  REQUIRE(realm);
  // Possession is proven for the seal key of `mine`; the request names the victim's.
  const crypto::NodeKeys mine = crypto::NodeKeys::generate(), victim = crypto::NodeKeys::generate();
  auto mixed = crypto::NodeKeys::from(mine.reveal().reveal());
  REQUIRE(mixed);
  const auto foreign = policy::make_request(policy::NodeRequest{realm->realm, {}, {}, "thief", "z", policy::NodeKind::bureau, {}}, *mixed,
                                            crypto::SealKey::generate().public_key());
  REQUIRE(foreign);
  spill(at("thief"), std::string(text_of(*foreign)));
  refused(4, "thief", {"authority", "admit", "hq", "thief", "--key-file", "key"});
}

TEST_CASE_FIXTURE(Fixture, "authority: a name stands for one node, and one node for a name") {
  make_realm();
  make_node("sapporo", "bureau");
  CHECK(admit("n-sapporo/request.json").out.find("admitted") != std::string::npos);
  CHECK(admit("n-sapporo/request.json").out.find("already") != std::string::npos);
  fs::rename(at("n-sapporo"), at("old"));
  make_node("sapporo", "bureau");
  refused(5, "--replace", {"authority", "admit", "hq", "n-sapporo/request.json", "--key-file", "key"});
  good({"authority", "admit", "hq", "n-sapporo/request.json", "--replace", "--key-file", "key"});
  const auto request = std::get<policy::NodeRequest>(*policy::read_request(view_of(slurp(at("n-sapporo/request.json")))));
  CHECK(slurp(at("hq/register.json")).find(request.keys.id.hex()) != std::string::npos);
  const std::string source = slurp(at("hq/policy.toml"));
  CHECK(source.find("name = \"sapporo\"") == source.rfind("name = \"sapporo\""));
}

TEST_CASE_FIXTURE(Fixture, "authority: the wrong secret is refused with status 4, and nothing changes") {
  make_country();
  make_node("late", "bureau");
  refused(4, "hq/keys/admission.key: wrong key", {"authority", "admit", "hq", "n-late/request.json", "--key-file", "other-key"});
  refused(4, "hq/keys/admission.key: wrong key", {"authority", "publish", "hq", "--yes", "--key-file", "other-key"});
  spill(at("words"), "words\n");
  refused(4, "key file", {"authority", "publish", "hq", "--yes", "--passphrase-file", "words"});
  CHECK(fs::is_empty(at("hq/published")));
}

TEST_CASE_FIXTURE(Fixture, "authority: keys under a passphrase open with its words alone") {
  spill(at("words"), "土蔵 の 鍵\n");
  spill(at("wrong"), "土蔵 の 錠\n");
  make_country();
  good({"person", "new", "sato", "--realm", "hq/realm.json", "--passphrase-file", "words"});
  good({"node", "init", "n-a", "--realm", "hq/realm.json", "--name", "a", "--kind", "bureau", "--zone", "z", "--passphrase-file", "words"});
  good({"authority", "admit", "hq", "n-a/request.json", "sato.request.json", "--key-file", "key"});
  refused(1, "the person \"sato\" holds no post", {"authority", "publish", "hq", "--yes", "--key-file", "key"});
  std::string source = slurp(at("hq/policy.toml"));
  const std::string table = "name = \"sato\"\n";
  source.insert(source.find(table) + table.size(), "posts = [{ post = \"clerk\", until = 2020-04-01 }]\n");
  spill(at("hq/policy.toml"),
        source + "\n[[org]]\nid = \"roads\"\ntitle = \"r\"\n[[post]]\nid = \"clerk\"\ntitle = \"c\"\norg = \"roads\"\nroles = [\"editor\"]\n");
  refused(1, "the last post of \"sato\" is over", {"authority", "publish", "hq", "--yes", "--key-file", "key"});
  source.replace(source.find(", until = 2020-04-01"), 20, "");
  spill(at("hq/policy.toml"),
        source + "\n[[org]]\nid = \"roads\"\ntitle = \"r\"\n[[post]]\nid = \"clerk\"\ntitle = \"c\"\norg = \"roads\"\nroles = [\"editor\"]\n");
  publish();
  std::vector<std::string> recover{
      "node", "recover", "--home", "n-a", "--documents", "hq/published/1", "--share", "hq/shares/share-1", "--share", "hq/shares/share-2", "--passphrase-file",
      "wrong"};
  refused(4, "node.key: wrong passphrase", recover);
  recover.back() = "words";
  good(recover);
}

TEST_CASE_FIXTURE(Fixture, "authority: what is published comes into force at a node, and its grants open there") {
  make_country();
  refused(2, "--yes", {"authority", "publish", "hq", "--key-file", "key"});
  CHECK(fs::is_empty(at("hq/published")));
  const json first = publish();
  CHECK(first["policy"] == 1);
  const auto realm = policy::read_realm_file(view_of(slurp(at("hq/realm.json"))));
  REQUIRE(realm);
  CHECK(realm->contacts.size() == 3);
  CHECK(realm->contacts.front().name == "head");
  const auto home = node::open_home(at("n-sapporo"));
  REQUIRE(home);
  const auto keys = node::open_keys(*home, *node::unlocking_by_file(at("key")));
  REQUIRE(keys);
  auto trust = policy::Trust::begin(home->realm.first_root, keys->node.id);
  REQUIRE(trust);
  for (const Bytes& bytes : published(1)) REQUIRE(trust->offer(bytes, now_ms()));
  REQUIRE(trust->version().value == 1);
  REQUIRE(trust->current()->grants.has_value());
  const auto ring = policy::open_grants(keys->node.seal, *trust->current()->grants, trust->current()->epochs);
  REQUIRE(ring);
  CHECK(ring->size() == 2);  // the directory's and the library's
}

TEST_CASE_FIXTURE(Fixture, "authority: a second publication takes over what did not change, and follows the first") {
  make_country();
  publish();
  const json second = publish();
  CHECK(second["policy"] == 2);
  CHECK(second["notes"].empty());
  for (const char* name : {"mesh", "directory", "epochs"}) CHECK(document(1, name) == document(2, name));
  const auto snapshot = policy::parse_snapshot(policy::read_envelope(document(2, "snapshot"))->payload);
  REQUIRE(snapshot);
  REQUIRE(snapshot->previous.has_value());
  CHECK(snapshot->previous->version == 1);
}

TEST_CASE_FIXTURE(Fixture, "authority: a node that is revoked gets no key any more, and its libraries new epochs") {
  make_country();
  publish();
  const NodeId gone = std::get<policy::NodeRequest>(*policy::read_request(view_of(slurp(at("n-sapporo/request.json"))))).keys.id;
  refused(2, "--no-cut", {"authority", "revoke", "hq", "sapporo"});
  refused(3, "no node or person", {"authority", "revoke", "hq", "nobody", "--no-cut"});
  refused(7, "no daemon", {"authority", "revoke", "hq", "sapporo", "--home", "n-head"});
  good({"authority", "revoke", "hq", "sapporo", "--cut-all"});
  const json second = publish();
  const policy::Mesh mesh = this->mesh(2);
  CHECK(std::none_of(mesh.nodes.begin(), mesh.nodes.end(), [&](const auto& it) { return it.keys.id == gone; }));
  REQUIRE(mesh.libraries.size() == 1);
  CHECK(mesh.libraries[0].epoch.value == 2);
  REQUIRE(mesh.libraries[0].cuts.size() == 1);
  CHECK(std::get<NodeId>(mesh.libraries[0].cuts[0].subject) == gone);
  CHECK(mesh.libraries[0].cuts[0].since.value == 2);
  CHECK(mesh.libraries[0].cuts[0].ends.empty());
  for (const policy::LibraryEpochs& it : epochs(2).libraries) CHECK(it.epochs.size() == 2);
  const auto grants = policy::parse_grants(policy::read_envelope(document(2, "grants_" + gone.hex()))->payload);
  REQUIRE(grants);
  CHECK(grants->grants.empty());
  publish();
  CHECK(this->mesh(3).libraries[0].cuts.size() == 1);  // once
}

TEST_CASE_FIXTURE(Fixture, "authority: a node that holds no library gets no key of the directory, until it holds one") {
  make_country();
  make_node("sendai", "bureau");
  admit("n-sendai/request.json");
  publish();
  const NodeId sendai = std::get<policy::NodeRequest>(*policy::read_request(view_of(slurp(at("n-sendai/request.json"))))).keys.id;
  const fs::path grants = "grants_" + sendai.hex();
  CHECK_FALSE(fs::exists(at("hq/published/1") / grants));
  add_source("[[library]]\nname = \"notes\"\ntitle = \"n\"\nhome = \"sendai\"\nmembers.sendai = { holding = \"full\", write = true }\n");
  publish();
  const auto given = policy::parse_grants(policy::read_envelope(document(2, grants))->payload);
  REQUIRE(given);
  CHECK(given->grants.size() == 2);  // the directory's and the library's
}

TEST_CASE_FIXTURE(Fixture, "authority: a node that is taken out without a cut leaves what it wrote") {
  make_country();
  publish();
  good({"authority", "revoke", "hq", "sapporo", "--no-cut"});
  publish();
  CHECK(mesh(2).libraries[0].cuts.empty());
  CHECK(mesh(2).libraries[0].epoch.value == 2);
}

TEST_CASE_FIXTURE(Fixture, "authority: HQ's only node is not revoked, and who is out is not called missing") {
  make_country();
  publish();
  refused(4, "HQ's only node", {"authority", "revoke", "hq", "head", "--cut-all"});
  good({"authority", "revoke", "hq", "sapporo", "--cut-all"});
  for (int i = 0; i < 2; ++i) CHECK(publish()["absent"].empty());
  make_node("second", "hq");
  admit("n-second/request.json");
  publish();
  good({"authority", "revoke", "hq", "head", "--no-cut"});
}

TEST_CASE_FIXTURE(Fixture, "authority: a node that loses writing is cut, once, and not before it was said what stays") {
  make_country();
  publish();
  const NodeId sapporo = std::get<policy::NodeRequest>(*policy::read_request(view_of(slurp(at("n-sapporo/request.json"))))).keys.id;
  const std::string source = slurp(at("hq/policy.toml"));
  const auto with = [&](const std::string& member, const std::string& rules = "") {
    std::string text = source;
    const std::string was = "members.sapporo = { holding = \"full\", write = true }\n";
    text.replace(text.find(was), was.size(), member);
    spill(at("hq/policy.toml"), text + rules);
  };
  const auto published = [&](const std::string& choice) {
    return json::parse(good({"authority", "publish", "hq", "--yes", "--json", "--key-file", "key", choice}).out);
  };
  const std::vector<std::string> plainly{"authority", "publish", "hq", "--yes", "--key-file", "key"};
  const auto cuts = [&](std::uint64_t version) { return mesh(version).libraries[0].cuts; };
  const std::string reader = "members.sapporo = { holding = \"full\", write = false }\n";
  const std::string writer = "members.sapporo = { holding = \"full\", write = true }\n";

  with(reader);
  refused(2, "sapporo may no longer write to works: name the home", plainly);
  refused(7, "no daemon", {"authority", "publish", "hq", "--yes", "--key-file", "key", "--home", "n-head"});
  CHECK_FALSE(fs::exists(at("hq/published/2")));
  const json second = published("--cut-all");
  CHECK(second["cuts"] == json::array({"sapporo: cut in works; what stays lies in 0 feeds"}));
  CHECK(second["rights"] == json::array({"lost: node sapporo by itself: write works", "lost: node sapporo: write works"}));
  REQUIRE(cuts(2).size() == 1);
  CHECK(cuts(2)[0] == policy::Cut{{2}, sapporo, {}});
  good(plainly);  // nothing new is lost: the cut is carried
  CHECK(cuts(3) == cuts(2));
  with(writer);
  const json fourth = json::parse(good({"authority", "publish", "hq", "--yes", "--json", "--key-file", "key"}).out);
  CHECK(fourth["rights"] == json::array({"gained: node sapporo by itself: write works", "gained: node sapporo: write works"}));
  CHECK(cuts(4) == cuts(2));
  // Lost again: what it wrote under version 4 ends too. From full to blind, and by a rule, and out of the library, it is the same.
  with("members.sapporo = { holding = \"blind\" }\n");
  published("--cut-all");
  CHECK(cuts(5).size() == 2);
  with(writer);
  good(plainly);
  with(writer, "[[forbid]]\nid = \"closed\"\nnodes = [\"sapporo\"]\nactions = [\"write\"]\n");
  refused(2, "sapporo may no longer write", plainly);
  published("--cut-all");
  CHECK(cuts(7).size() == 3);
  with(writer);
  good(plainly);
  with("");
  published("--no-cut");
  CHECK(cuts(9).size() == 3);
  with(writer);
  good(plainly);
  // Revoked and cut, it is cut once.
  good({"authority", "revoke", "hq", "sapporo", "--cut-all"});
  good(plainly);
  CHECK(cuts(11).size() == 4);
  CHECK(cuts(11).back() == policy::Cut{{11}, sapporo, {}});
}

TEST_CASE_FIXTURE(Fixture, "authority: a cut that makes the mesh too large to be passed on is not signed, and can be said otherwise") {
  make_country();
  publish();
  good({"authority", "revoke", "hq", "sapporo", "--cut-all"});
  // As if HQ's node had known of so many feeds.
  json entries = json::parse(slurp(at("hq/register.json")));
  json& word = entries["revoked"][0];
  for (int i = 0; i < 10'001; ++i)
    word["heads"].push_back({{"library", entries["libraries"]["works"]},
                             {"node", word["id"]},
                             {"incarnation", crypto::random_id<IncarnationId>().hex()},
                             {"sequence", 1},
                             {"root", crypto::random_id<Digest>().hex()}});
  spill(at("hq/register.json"), entries.dump());
  for (const char* way : {"--yes", "--without-key-authority"}) refused(1, "mesh would have", {"authority", "publish", "hq", "--yes", way, "--key-file", "key"});
  CHECK_FALSE(fs::exists(at("hq/published/2")));
  good({"authority", "revoke", "hq", "sapporo", "--cut-all"});
  publish();
  REQUIRE(mesh(2).libraries[0].cuts.size() == 1);
  CHECK(mesh(2).libraries[0].cuts[0].ends.empty());
  refused(3, "no node or person", {"authority", "revoke", "hq", "sapporo", "--cut-all"});
}

TEST_CASE_FIXTURE(Fixture, "authority: a person who leaves is cut where the person could write, whatever the date") {
  make_country();
  for (const char* name : {"sato", "tani", "mori"}) {
    good({"person", "new", name, "--realm", "hq/realm.json", "--key-file", "key"});
    admit(std::string(name) + ".request.json");
  }
  std::string text = slurp(at("hq/policy.toml"));
  const auto post = [&](const std::string& name, const std::string& posts) {
    const std::string table = "[[person]]\nname = \"" + name + "\"\n";
    text.insert(text.find(table) + table.size(), "posts = [" + posts + "]\n");
  };
  post("sato", "{ post = \"clerk\", until = 2020-04-01 }, { post = \"guest\" }");
  post("tani", "{ post = \"guest\" }");
  post("mori", "{ post = \"clerk\" }");
  spill(at("hq/policy.toml"), text + R"([[library]]
name = "notes"
title = "n"
home = "head"
members.head = { holding = "full", write = true }
[[org]]
id = "roads"
title = "r"
[[post]]
id = "clerk"
title = "c"
org = "roads"
roles = ["editor"]
[[post]]
id = "guest"
title = "g"
org = "roads"
roles = ["reader"]
[[permit]]
id = "editors"
roles = ["editor"]
actions = ["read", "write"]
libraries = ["works"]
)");
  const auto person = [&](const std::string& name) {
    return std::get<policy::PersonRequest>(*policy::read_request(view_of(slurp(at(name + ".request.json"))))).id;
  };
  const auto cuts = [&](std::uint64_t version) {
    std::map<std::string, std::vector<policy::Cut>> out;
    const json ids = json::parse(slurp(at("hq/register.json")))["libraries"];
    for (const policy::MeshLibrary& it : mesh(version).libraries)
      for (const auto& [name, id] : ids.items())
        if (id == it.id.hex()) out[name] = it.cuts;
    return out;
  };
  publish();
  refused(2, "--no-cut", {"authority", "revoke", "hq", "sato"});
  good({"authority", "revoke", "hq", "sato", "--cut-all"});
  good({"authority", "revoke", "hq", "tani", "--cut-all"});
  publish();
  CHECK(cuts(2)["works"] == std::vector<policy::Cut>{{{2}, person("sato"), {}}});
  CHECK(cuts(2)["notes"].empty());
  // Out of policy.toml alone is the same, and so is what was said before.
  text = slurp(at("hq/policy.toml"));
  const auto from = text.find("[[person]]\nname = \"mori\"");
  spill(at("hq/policy.toml"), text.substr(0, from) + text.substr(text.find("[[", from + 2)));
  refused(2, "mori may no longer write to works: name the home", {"authority", "publish", "hq", "--yes", "--key-file", "key"});
  good({"authority", "revoke", "hq", "mori", "--no-cut"});
  publish();
  CHECK(cuts(3)["works"].size() == 1);
}

TEST_CASE_FIXTURE(Fixture, "authority: a library that comes back has its cuts, and those who lost it meanwhile are cut") {
  make_country();
  add_source("[[library]]\nname = \"notes\"\ntitle = \"n\"\nhome = \"head\"\nmembers.head = { holding = \"full\", write = true }\n");
  make_node("naze", "bureau");
  admit("n-naze/request.json");
  std::string source = slurp(at("hq/policy.toml"));
  source.insert(source.find("members.naha"), "members.naze = { holding = \"full\", write = true }\n");
  spill(at("hq/policy.toml"), source);
  publish();
  good({"authority", "revoke", "hq", "sapporo", "--cut-all"});
  publish();
  const auto works = source.find("[[library]]\nname = \"works\""), end = source.find("[[", works + 2);
  spill(at("hq/policy.toml"), source.substr(0, works) + source.substr(end));
  publish();
  REQUIRE(mesh(3).libraries.size() == 1);
  good({"authority", "revoke", "hq", "naze", "--cut-all"});
  publish();
  spill(at("hq/policy.toml"), source);
  publish();
  const policy::Mesh after = mesh(5);
  std::vector<policy::Cut> cuts;
  for (const policy::MeshLibrary& it : after.libraries) cuts.insert(cuts.end(), it.cuts.begin(), it.cuts.end());
  REQUIRE(cuts.size() == 2);
  CHECK(cuts[0].since.value == 2);
  CHECK(cuts[1].since.value == 5);
  CHECK(cuts[0].subject != cuts[1].subject);
}

TEST_CASE_FIXTURE(Fixture, "authority: a library whose home is not admitted stops the publication, and says so") {
  make_country();
  add_source("[[library]]\nname = \"notes\"\ntitle = \"n\"\nhome = \"sapporo\"\nmembers.sapporo = { holding = \"full\", write = true }\n");
  publish();
  good({"authority", "revoke", "hq", "sapporo", "--no-cut"});
  refused(3, "home node sapporo", {"authority", "publish", "hq", "--yes", "--key-file", "key"});
  CHECK_FALSE(fs::exists(at("hq/published/2")));
}

TEST_CASE_FIXTURE(Fixture, "authority: signing needs as many keys as the realm was made with, wherever they lie") {
  good({"authority", "init", "hq", "--realm", "realm", "--policy", "2/3", "--key-file", "key"});
  make_node("head", "hq");
  admit("n-head/request.json");
  fs::create_directory(at("stick"));
  fs::rename(at("hq/keys/policy-1.key"), at("stick/policy-1.key"));
  fs::rename(at("hq/keys/policy-2.key"), at("stick/policy-2.key"));
  refused(3, "needs 2 keys", {"authority", "publish", "hq", "--yes", "--key-file", "key"});
  good({"authority", "publish", "hq", "--yes", "--keys", "stick", "--key-file", "key"});
  // One key twice is one key.
  add_source("\n[[org]]\nid = \"roads\"\ntitle = \"Roads\"\n");
  fs::copy(at("hq/keys/policy-3.key"), at("hq/keys/policy-9.key"));
  refused(3, "needs 2 keys", {"authority", "publish", "hq", "--yes", "--key-file", "key"});
}

TEST_CASE_FIXTURE(Fixture, "authority: freshness is installed at HQ's admitted node alone") {
  make_country();
  make_node("false", "hq");
  refused(4, "not admitted", {"authority", "install", "hq", "--home", "n-false", "--key-file", "key"});
  refused(4, "kind hq", {"authority", "install", "hq", "--home", "n-sapporo", "--key-file", "key"});
  good({"authority", "install", "hq", "--home", "n-head", "--key-file", "key"});
  const auto home = node::open_home(at("n-head"));
  const auto keys = node::open_keys(*home, *node::unlocking_by_file(at("key")));
  REQUIRE(keys);
  const auto installed = node::read_freshness_key(*home, keys->node);
  REQUIRE(installed);
  REQUIRE(installed->has_value());
  const auto& wanted = home->realm.root.keys_of(policy::SigningRole::freshness).keys;
  CHECK(std::find(wanted.begin(), wanted.end(), (*installed)->public_key()) != wanted.end());
}

TEST_CASE_FIXTURE(Fixture, "authority: two of three shares bring every key back, one does not, nor shares of another realm") {
  make_country();
  publish();
  make_realm("foreign", "other");
  const auto recover = [](const std::vector<std::string>& shares) {
    std::vector<std::string> out{"node", "recover", "--home", "n-sapporo", "--documents", "hq/published/1"};
    for (const std::string& it : shares) out.insert(out.end(), {"--share", it});
    return out;
  };
  refused(3, "2 are needed", recover({"hq/shares/share-1"}));
  refused(3, "2 are needed", recover({"hq/shares/share-1", "hq/shares/share-1"}));
  refused(4, "another realm", recover({"foreign/shares/share-1", "foreign/shares/share-2"}));
  refused(4, "", recover({"hq/shares/share-1", "foreign/shares/share-2"}));
  CHECK_FALSE(fs::exists(at("n-sapporo/keys/recovered")));
  good(recover({"hq/shares/share-3", "hq/shares/share-1"}));
  const auto home = node::open_home(at("n-sapporo"));
  const auto keys = node::open_keys(*home, *node::unlocking_by_file(at("key")));
  const auto ring = node::read_recovered(*home, keys->local);
  REQUIRE(ring);
  for (const policy::LibraryEpochs& it : epochs(1).libraries) {
    const crypto::EpochKey* key = ring->find(it.library, {1});
    REQUIRE(key != nullptr);
    CHECK(crypto::commitment_of(*key, it.library, {1}) == it.epochs[0].commitment);
  }
}

TEST_CASE_FIXTURE(Fixture, "authority: without the key authority's files a replacement is listed, and shares give it every key") {
  make_country();
  publish();
  for (const char* it : {"1", "2", "3"}) fs::remove(at("hq/keys/key-authority-" + std::string(it) + ".key"));
  fs::remove(at("hq/keys/admission.key"));
  make_node("again", "bureau");
  refused(3, "admission", {"authority", "admit", "hq", "n-again/request.json", "--key-file", "key"});
  good({"authority", "admit", "hq", "n-again/request.json", "--without-key-authority"});
  std::string source = slurp(at("hq/policy.toml"));
  const std::string member = "members.naha = ";
  source.insert(source.find(member), "members.again = { holding = \"full\", write = true }\n");
  spill(at("hq/policy.toml"), source);
  refused(3, "admission", {"authority", "publish", "hq", "--yes", "--key-file", "key"});
  const json out = json::parse(good({"authority", "publish", "hq", "--without-key-authority", "--yes", "--json", "--key-file", "key"}).out);
  CHECK(out["policy"] == 2);
  CHECK(document(1, "epochs") == document(2, "epochs"));

  const auto home = node::open_home(at("n-again"));
  const auto keys = node::open_keys(*home, *node::unlocking_by_file(at("key")));
  REQUIRE(keys);
  auto trust = policy::Trust::begin(home->realm.first_root, keys->node.id);
  for (const Bytes& bytes : published(2)) REQUIRE(trust->offer(bytes, now_ms()));
  REQUIRE(trust->version().value == 2);
  CHECK_FALSE(trust->current()->grants.has_value());
  good({"node", "recover", "--home", "n-again", "--documents", "hq/published/2", "--share", "hq/shares/share-1", "--share", "hq/shares/share-2"});
  const auto ring = node::read_recovered(*home, keys->local);
  REQUIRE(ring);
  CHECK(ring->size() == 2);
  CHECK(policy::open_directory(trust->current()->directory, *ring).has_value());

  add_source("[[library]]\nname = \"new\"\ntitle = \"new\"\nhome = \"head\"\nmembers.head = { holding = \"full\", write = true }\n");
  refused(4, "needs the key authority", {"authority", "publish", "hq", "--without-key-authority", "--yes", "--key-file", "key"});
}

TEST_CASE_FIXTURE(Fixture, "authority: documents of another realm give a node no keys") {
  make_country();
  publish();
  make_realm("foreign", "other");
  good({"node", "init", "n-x", "--realm", "foreign/realm.json", "--name", "x", "--kind", "bureau", "--zone", "z", "--key-file", "key"});
  refused(3, "no epochs document of this realm",
          {"node", "recover", "--home", "n-x", "--documents", "hq/published/1", "--share", "foreign/shares/share-1", "--share", "foreign/shares/share-2"});
}

TEST_CASE_FIXTURE(Fixture, "authority: mistakes of the policy are shown with their lines, and stop a publication") {
  make_country();
  add_source("[[forbid]]\nid = \"f\"\nactions = [\"wirte\"]\n");
  const std::string source = slurp(at("hq/policy.toml"));
  const auto line = std::count(source.begin(), source.end(), '\n');
  const Ran checked = run({"policy", "check", "hq/policy.toml", "--json"});
  CHECK(checked.status == 1);
  const json mistakes = json::parse(checked.out);
  REQUIRE(mistakes.size() == 1);
  CHECK(mistakes[0]["line"] == line);
  CHECK(mistakes[0]["suggestion"] == "write");
  refused(1, "hq/policy.toml:" + std::to_string(line), {"authority", "publish", "hq", "--yes", "--key-file", "key"});
  CHECK(fs::is_empty(at("hq/published")));
}

TEST_CASE_FIXTURE(Fixture, "authority: a policy for a realm of another name is not published") {
  make_country();
  std::string source = slurp(at("hq/policy.toml"));
  source.replace(source.find("realm = \"realm\""), 15, "realm = \"other\"");
  spill(at("hq/policy.toml"), source);
  refused(1, "for the realm", {"authority", "publish", "hq", "--yes", "--key-file", "key"});
}

TEST_CASE_FIXTURE(Fixture, "authority: rights gained are shown before signing, and explained from the source") {
  make_country();
  good({"person", "new", "sato", "--realm", "hq/realm.json", "--shown", "佐藤 \"花\" \\", "--key-file", "key"});
  admit("sato.request.json");
  add_source("[[person.posts]]\npost = \"chief\"\n");
  add_source("[[org]]\nid = \"roads\"\ntitle = \"道路課\"\n[[post]]\nid = \"chief\"\ntitle = \"課長\"\norg = \"roads\"\nroles = [\"clerk\"]\n");
  add_source("[[permit]]\nid = \"clerks\"\nroles = [\"clerk\"]\nactions = [\"write\"]\nlibraries = [\"works\"]\n");
  const std::string source = slurp(at("hq/policy.toml"));
  // The table of the person was added last, so that the post belongs to it.
  REQUIRE(source.find("[[person]]") < source.find("[[person.posts]]"));
  const json out = publish();
  CHECK(out["rights"] ==
        json::array({"gained: node head by itself: write works", "gained: node head: full replica of works", "gained: node head: write works",
                     "gained: node naha: blind replica of works", "gained: node sapporo by itself: write works", "gained: node sapporo: full replica of works",
                     "gained: node sapporo: write works", "gained: sato as clerk in roads: write works"}));
  const json yes = json::parse(good({"policy", "explain", "sato", "write", "works", "--source", "hq/policy.toml", "--json"}).out);
  CHECK(yes["allowed"] == true);
  const json no = json::parse(good({"policy", "explain", "sato", "administer", "works", "--source", "hq/policy.toml", "--json"}).out);
  CHECK(no["allowed"] == false);
  refused(2, "reed", {"policy", "explain", "sato", "reed", "works", "--source", "hq/policy.toml"});
  refused(3, "no person", {"policy", "explain", "sota", "write", "works", "--source", "hq/policy.toml"});

  // Who can, now and at another time; and who gains and loses what from one source to the next.
  const auto who = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments{"policy", "who-can", "write", "works", "--source", "hq/policy.toml", "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    std::vector<std::string> names;
    const json answer = json::parse(good(arguments).out);
    for (const json& it : answer["rows"]) names.push_back(it["name"].get<std::string>() + " " + it["role"].get<std::string>());
    return names;
  };
  CHECK(who({}) == std::vector<std::string>{"sato clerk", "head service", "sapporo service"});
  CHECK(good({"policy", "who-can", "administer", "works", "--source", "hq/policy.toml"}).out == "nobody\n");
  CHECK(good({"policy", "who-can", "write", "works", "--source", "hq/policy.toml"}).out.starts_with("sato (佐藤 \"花\" \\) as clerk in roads by clerks\n"));
  const std::string tenure = "post = \"chief\"\n";
  spill(at("next.toml"), std::string(source).replace(source.find(tenure), tenure.size(), tenure + "from = 2031-04-01\nuntil = 2032-04-01\n"));
  const auto difference = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments{"policy", "diff", "hq/policy.toml", "next.toml"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return good(arguments).out;
  };
  CHECK(difference({}) == "lost: sato as clerk in roads: write works\n");
  CHECK(difference({"--at", "2031-04-01"}) == "nobody's rights change\n");
  CHECK(difference({"--at", "2032-04-01"}) == "lost: sato as clerk in roads: write works\n");
  CHECK(json::parse(good({"policy", "diff", "next.toml", "hq/policy.toml", "--json"}).out) == json::array({"gained: sato as clerk in roads: write works"}));
  const auto then = [&](const char* when) {
    return json::parse(good({"policy", "explain", "sato", "write", "works", "--source", "next.toml", "--at", when, "--json"}).out)["allowed"];
  };
  CHECK(then("2031-03-31 23:59+09:00") == false);
  CHECK(then("2031-04-01 00:00+09:00") == true);
  CHECK(then("2032-03-31 23:59+09:00") == true);
  CHECK(then("2032-04-01 00:00+09:00") == false);
  refused(2, "tomorrow", {"policy", "explain", "sato", "write", "works", "--source", "next.toml", "--at", "tomorrow"});
  refused(3, "no library", {"policy", "who-can", "write", "nowhere", "--source", "hq/policy.toml"});
  refused(2, "wirte", {"policy", "who-can", "wirte", "works", "--source", "hq/policy.toml"});
  spill(at("broken.toml"), source + "[[oops]]\n");
  refused(1, "broken.toml:", {"policy", "diff", "hq/policy.toml", "broken.toml"});
}

TEST_CASE_FIXTURE(Fixture, "authority: odd names are refused or shown without harm") {
  make_realm();
  for (const char* name : {"Sapporo", "a b", "-a", "a-", "", "../a", "a\n", "札幌"}) {
    const Ran ran = run({"node", "init", "x", "--realm", "hq/realm.json", "--name", name, "--kind", "bureau", "--zone", "z", "--key-file", "key"});
    CHECK_MESSAGE(ran.status != 0, name);
    const Ran person = run({"person", "new", name, "--realm", "hq/realm.json", "--key-file", "key"});
    CHECK_MESSAGE(person.status != 0, name);
    CHECK_FALSE(fs::exists(at("x")));
  }
  CHECK(std::none_of(fs::directory_iterator(scratch.path), fs::directory_iterator(), [](const auto& it) { return it.path().extension() == ".key"; }));
  const Ran ran = run({"policy", "check", "no\x1b[31m\xe2\x80\xae\xff"});
  CHECK(ran.status == 3);
  CHECK(ran.error.find('\x1b') == std::string::npos);
  CHECK(ran.error.find("\\x1b[31m\\xe2\\x80\\xae\\xff") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "authority: one process works on a folder at a time") {
  make_realm();
  make_node("sapporo", "bureau");
  const int lock = ::open(at("hq/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  REQUIRE(::flock(lock, LOCK_EX | LOCK_NB) == 0);
  refused(7, "another dozo", {"authority", "admit", "hq", "n-sapporo/request.json", "--key-file", "key"});
  ::close(lock);
  admit("n-sapporo/request.json");
}

TEST_CASE_FIXTURE(Fixture, "authority: what would be dated wrong is not signed") {
  make_country();
  // A node that goes by another time than this machine: what it says of itself is all that is asked.
  fs::create_directory(at("there"));
  auto opened = node::LocalServer::open(at("there"));
  REQUIRE(opened);
  std::atomic<std::int64_t> apart_s = 0;
  const std::jthread there([&server = **opened, &apart_s](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      for (const auto& asked : server.receive()) {
        node::local::Status status;
        status.time_ms = (std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count() + apart_s) * 1000;
        node::local::Answer answer = node::local::Done{};
        if (std::holds_alternative<node::local::StatusRequest>(asked.request)) answer = status;
        if (std::holds_alternative<node::local::UnitRequest>(asked.request)) answer = node::local::Unit{};
        (void)server.answer(asked.token, answer);
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  });
  const std::vector<std::string> publish = {"authority", "publish", "hq", "--yes", "--json", "--key-file", "key", "--home", "there"};
  apart_s = 2 * 3600;
  refused(4, "this machine's clock is behind the time of the node of there by 120 minutes", publish);
  apart_s = -2 * 3600;
  refused(4, "this machine's clock is ahead of the time of the node of there by 120 minutes", publish);
  CHECK_FALSE(fs::exists(at("hq/published/1")));
  apart_s = 60;
  refused(4, "published, but not handed to the node of there", publish);  // it says of itself no realm
  CHECK(fs::exists(at("hq/published/1")));
}
