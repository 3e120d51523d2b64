// A small realm of real daemons on the loopback: headquarters, two bureaus and a vault.
#include <algorithm>

#include "tests/daemon_fixture.h"

using namespace dozo;
using nlohmann::json;
using test::comes_true, test::Daemons, test::Ran, test::slurp, test::spill;
namespace fs = std::filesystem;

namespace {

struct Country : Daemons {
  const std::vector<std::string> names{"head", "sapporo", "naha", "vault"};

  Country() {
    make_realm();
    make_node("head", "hq");
    admit("head");  // realm.json says from now on where headquarters can be reached
    make_node("sapporo", "bureau");
    make_node("naha", "bureau");
    make_node("vault", "vault");
    for (const char* name : {"sapporo", "naha", "vault"}) admit(name);
    good({"authority", "install", "hq", "--home", "head", "--key-file", "key"});
    add_source(R"([[library]]
name = "works"
title = "工事の書類"
home = "head"
copies = 3
members.head = { holding = "full", write = true }
members.sapporo = { holding = "full", write = true }
members.naha = { holding = "full", write = true }
members.vault = { holding = "blind" }
[[permit]]
id = "service"
roles = ["service"]
actions = ["read", "write"]
)");
    for (const std::string& name : names) start(name);
    publish();
    for (const std::string& name : names) good({"node", "join", "--timeout", "10", "--home", name});
  }
  std::string get(const std::string& name, const std::string& path) const {
    const Ran ran = dozo({"get", "works:" + path, "-", "--home", name});
    return ran.status == 0 ? ran.out : "status " + std::to_string(ran.status) + " " + ran.error;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Country, "realm: what is saved at one node is read at the others, held by all, and named in no log") {
  for (const std::string& name : names) {
    INFO(name);
    CHECK(comes_true([&] { return asked({"status", "--home", name})["peers_up"] == 3; }));
  }
  fs::create_directory(at("Kanmon-plans"));
  std::string large(3'000'000, '\0');
  std::uint64_t seed = 1;
  for (char& c : large) c = static_cast<char>((seed = seed * 6364136223846793005ULL + 1442695040888963407ULL) >> 56);
  spill(at("Kanmon-plans/tunnel"), large);
  spill(at("Kanmon-plans/small"), "a small file");
  good({"put", "Kanmon-plans", "works:", "--held", "3", "--timeout", "15", "--home", "sapporo"});

  for (const char* name : {"head", "naha", "sapporo"}) {
    INFO(name);
    CHECK(get(name, "Kanmon-plans/small") == "a small file");
    CHECK(get(name, "Kanmon-plans/tunnel") == large);
    CHECK(good({"log", "works:", "--home", name}).out == good({"log", "works:", "--home", "sapporo"}).out);
  }
  const json replicas = asked({"replicas", "works", "--home", "head"});
  INFO(replicas.dump());
  CHECK(comes_true([&] { return asked({"replicas", "works", "--home", "head"})["protected"] == true; }));

  // The vault has everything and can read nothing of it.
  const json held = asked({"library", "list", "--home", "vault"});
  INFO(held.dump());
  REQUIRE(held.size() == 1);
  CHECK(held[0]["holding"] == "blind");
  CHECK(held[0]["title"] == "");
  CHECK(held[0]["packs_missing"] == 0);
  CHECK(dozo({"ls", held[0]["id"].get<std::string>() + ":", "--home", "vault"}).status == 4);

  // Every node with keys says the same of who may do what; a vault cannot open the directory.
  const json able = asked({"policy", "who-can", "write", "works", "--home", "sapporo"});
  CHECK(able["policy"] == asked({"status", "--home", "sapporo"})["policy"]);
  CHECK(able["rows"].size() == 3);
  CHECK(able == asked({"policy", "who-can", "write", "works", "--home", "naha"}));
  CHECK(dozo({"policy", "who-can", "write", "works", "--home", "vault"}).status == 4);

  // Changed elsewhere, seen here; both ways.
  good({"mv", "works:Kanmon-plans/small", "Kanmon-plans/renamed", "--home", "naha"});
  CHECK(comes_true([&] { return get("sapporo", "Kanmon-plans/renamed") == "a small file"; }));
  good({"rm", "works:Kanmon-plans/renamed", "--home", "head"});
  CHECK(comes_true([&] { return dozo({"get", "works:Kanmon-plans/renamed", "-", "--home", "naha"}).status == 3; }));

  // Killed, written to meanwhile elsewhere, and back.
  end("naha", SIGKILL);
  spill(at("later"), "said while naha was away");
  good({"put", "later", "works:", "--held", "2", "--timeout", "15", "--home", "sapporo"});
  start("naha");
  CHECK(comes_true([&] { return get("naha", "later") == "said while naha was away"; }));
  spill(at("again"), "said by naha after its death");
  good({"put", "again", "works:", "--held", "3", "--timeout", "15", "--home", "naha"});
  CHECK(get("sapporo", "again") == "said by naha after its death");

  for (const std::string& name : names) CHECK(end(name) == 0);
  for (const std::string& name : names) {
    const std::string said = log(name);
    INFO(said);
    CHECK(said.find("peer up: ") != std::string::npos);
    CHECK(said.find("policy 1 is in force") != std::string::npos);
    for (const char* secret : {"Kanmon", "tunnel", "small", "renamed", "later", "again", "工事"}) CHECK(said.find(secret) == std::string::npos);
  }
}

TEST_CASE_FIXTURE(Country,
                  "realm: who loses writing keeps what is known of it, adds nothing under the policy from before, and writes again once the right is back") {
  const auto put = [&](const std::string& name, const std::string& path) {
    spill(at(path), "said by " + name);
    good({"put", path, "works:", "--home", name});
  };
  const std::string writer = "members.sapporo = { holding = \"full\", write = true }", reader = "members.sapporo = { holding = \"full\" }";
  const auto rewrite = [&](const std::string& from, const std::string& to) {
    std::string text = slurp(at("hq/policy.toml"));
    text.replace(text.find(from), from.size(), to);
    spill(at("hq/policy.toml"), text);
  };
  const auto publish_at_head = [&] { good({"authority", "publish", "hq", "--yes", "--key-file", "key", "--home", "head"}); };
  const auto at_policy = [&](const std::string& name, int version) {
    return comes_true([&] { return asked({"status", "--home", name})["policy"] == version; });
  };
  put("sapporo", "early");
  CHECK(comes_true([&] { return get("head", "early") == "said by sapporo"; }));
  const Ran own = dozo({"authority", "revoke", "hq", "head", "--home", "head"});
  CHECK(own.status == 4);
  CHECK(own.error.find("head is the node of --home") != std::string::npos);
  // By itself, in a new run and so a new feed, it writes on under the policy that it knows: what a liar does on purpose.
  for (const std::string& name : names) end(name);
  start("sapporo");
  put("sapporo", "late");
  end("sapporo");
  start("head");
  rewrite(writer, reader);
  publish_at_head();
  for (const char* name : {"sapporo", "naha"}) start(name);
  for (const char* name : {"head", "sapporo", "naha"}) REQUIRE(at_policy(name, 2));
  const auto refused = [&](const std::string& name) { return asked({"library", "list", "--home", name})[0].value("refused", 0); };
  for (const char* name : {"head", "sapporo", "naha"}) {
    INFO(name, " ", asked({"library", "list", "--home", name}).dump());
    CHECK(comes_true([&] { return refused(name) == 1; }));
    CHECK(get(name, "early") == "said by sapporo");
    CHECK(dozo({"get", "works:late", "-", "--home", name}).status == 3);
  }
  CHECK(dozo({"put", "late", "works:", "--home", "sapporo"}).status == 4);

  rewrite(reader, writer);
  publish_at_head();
  REQUIRE(at_policy("sapporo", 3));
  put("sapporo", "again");
  for (const char* name : {"head", "naha"}) CHECK(comes_true([&] { return get(name, "again") == "said by sapporo"; }));
  CHECK(dozo({"get", "works:late", "-", "--home", "naha"}).status == 3);
}
