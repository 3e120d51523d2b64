#include <doctest/doctest.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto/random.h"
#include "crypto/start.h"
#include "node/home.h"
#include "policy/authoring.h"
#include "tests/scratch.h"

using namespace dozo;
using namespace dozo::node;
namespace fs = std::filesystem;

namespace {

policy::RealmFile make_realm(const std::string& name, crypto::SealKey* admission_out = nullptr) {
  const crypto::SigningKey key = crypto::SigningKey::generate();
  crypto::SealKey admission = crypto::SealKey::generate();
  policy::RootPlan plan{name, 1'700'000'000, 1'900'000'000, {}, admission.public_key(), crypto::SealKey::generate().public_key()};
  for (std::size_t i = 0; i < policy::signing_role_count; ++i) plan.roles[static_cast<policy::SigningRole>(i)] = {{key.public_key()}, 1};
  const crypto::SigningKey* signer = &key;
  const Bytes root = *policy::sign_with(*policy::draft_root(plan, nullptr, std::nullopt), {&signer, 1});
  if (admission_out != nullptr) *admission_out = std::move(admission);
  return *policy::read_realm_file(policy::write_realm_file({*policy::realm_of(root), root, {}, {}}));
}

Settings settings(const std::string& name = "sapporo", policy::NodeKind kind = policy::NodeKind::bureau) {
  Settings out;
  out.name = name;
  out.kind = kind;
  out.zone = "hokkaido";
  out.listen_host = "127.0.0.1";
  out.port = 7700;
  out.key_file = "/nowhere/key";
  return out;
}
crypto::Unlocking key(std::uint8_t fill = 7) { return {crypto::Protection::key, crypto::SecretBytes(Bytes(32, fill))}; }

Fault fault_of(const auto& result) {
  REQUIRE_FALSE(result.has_value());
  return result.error().fault;
}

struct Fixture {
  Fixture() { REQUIRE(crypto::start()); }
  test::Scratch scratch;
  fs::path at(const std::string& name) const { return scratch.path / name; }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "home: one that is made is opened again with the same keys, and closed to others") {
  const policy::RealmFile realm = make_realm("r");
  const auto made = create_home(at("h"), settings(), realm, key());
  REQUIRE(made);
  const auto again = open_home(at("h"));
  REQUIRE(again);
  CHECK(again->settings == settings());
  CHECK(again->realm.realm == realm.realm);
  const auto keys = open_keys(*again, key());
  REQUIRE(keys);
  CHECK(keys->node.public_part() == *public_keys(*again));
  CHECK(keys->local.keyed("a", view_of("b")) == open_keys(*again, key())->local.keyed("a", view_of("b")));
  for (const char* name : {"", "keys", "truth", "derived", "run"}) {
    struct stat it{};
    REQUIRE(::stat((at("h") / name).c_str(), &it) == 0);
    CHECK((it.st_mode & 0777) == 0700);
  }
  struct stat it{};
  REQUIRE(::stat((at("h") / "keys" / "node.key").c_str(), &it) == 0);
  CHECK((it.st_mode & 0777) == 0600);
}

TEST_CASE_FIXTURE(Fixture, "home: a folder with something in it is refused and left as it is") {
  fs::create_directory(at("h"));
  REQUIRE(write_file(at("h") / "note", view_of("mine"), Secrecy::open));
  CHECK(fault_of(create_home(at("h"), settings(), make_realm("r"), key())) == Fault::exists);
  CHECK(text_of(*read_file(at("h") / "note", 10)) == "mine");
  CHECK(std::distance(fs::directory_iterator(at("h")), fs::directory_iterator()) == 1);
}

TEST_CASE_FIXTURE(Fixture, "home: what cannot be finished leaves nothing behind") {
  crypto::Unlocking weak{crypto::Protection::key, crypto::SecretBytes(Bytes(8, 1))};
  CHECK(fault_of(create_home(at("h"), settings(), make_realm("r"), weak)) == Fault::malformed);
  CHECK_FALSE(fs::exists(at("h")));
}

TEST_CASE_FIXTURE(Fixture, "home: a second one at the same place is refused, and the first keeps its keys") {
  const policy::RealmFile realm = make_realm("r");
  const auto first = create_home(at("h"), settings(), realm, key());
  REQUIRE(first);
  const auto keys = *public_keys(*first);
  CHECK(fault_of(create_home(at("h"), settings("naha"), realm, key())) == Fault::exists);
  CHECK(*public_keys(*open_home(at("h"))) == keys);
}

TEST_CASE_FIXTURE(Fixture, "home: the wrong secret is denied") {
  const auto home = create_home(at("h"), settings(), make_realm("r"), key());
  REQUIRE(home);
  CHECK(fault_of(open_keys(*home, key(8))) == Fault::denied);
  CHECK(fault_of(open_keys(*home, {crypto::Protection::passphrase, crypto::SecretBytes(bytes_of("words"))})) != Fault::not_found);
}

TEST_CASE_FIXTURE(Fixture, "home: keys that others may read, and a home that others may enter, are refused with what to do") {
  const auto home = create_home(at("h"), settings(), make_realm("r"), key());
  REQUIRE(home);
  REQUIRE(::chmod((at("h") / "keys" / "node.key").c_str(), 0640) == 0);
  const auto keys = open_keys(*home, key());
  CHECK(fault_of(keys) == Fault::denied);
  CHECK(keys.error().text.find("chmod 600") != std::string::npos);
  REQUIRE(::chmod((at("h") / "keys" / "node.key").c_str(), 0600) == 0);
  REQUIRE(::chmod(at("h").c_str(), 0755) == 0);
  CHECK(fault_of(open_home(at("h"))) == Fault::denied);
}

TEST_CASE_FIXTURE(Fixture, "home: a changed or cut key file never opens") {
  const auto home = create_home(at("h"), settings(), make_realm("r"), key());
  REQUIRE(home);
  const fs::path path = at("h") / "keys" / "node.key";
  const Bytes good = *read_file(path, 65536);
  for (const std::size_t place : {std::size_t{20}, good.size() / 2, good.size() - 3}) {
    Bytes bad = good;
    bad[place] = bad[place] == 'A' ? 'B' : 'A';
    REQUIRE(write_file(path, bad, Secrecy::secret, Existing::replace));
    CHECK_FALSE(open_keys(*home, key()).has_value());
  }
  REQUIRE(write_file(path, ByteView(good).first(good.size() / 2), Secrecy::secret, Existing::replace));
  CHECK_FALSE(open_keys(*home, key()).has_value());
}

TEST_CASE_FIXTURE(Fixture, "home: a folder that is none, or half of one, says so in one line") {
  const auto none = open_home(at("h"));
  CHECK(fault_of(none) == Fault::not_found);
  CHECK(none.error().text.find('\n') == std::string::npos);
  const policy::RealmFile realm = make_realm("r");
  REQUIRE(create_home(at("h"), settings(), realm, key()));
  fs::remove(at("h") / "realm.json");
  CHECK(fault_of(open_home(at("h"))) == Fault::not_found);
}

TEST_CASE_FIXTURE(Fixture, "home: a realm.json whose root is of another realm, or changed, is refused") {
  REQUIRE(create_home(at("h"), settings(), make_realm("r"), key()));
  policy::RealmFile mixed = make_realm("a");
  mixed.realm = make_realm("b").realm;
  REQUIRE(write_file(at("h") / "realm.json", policy::write_realm_file(mixed), Secrecy::open, Existing::replace));
  CHECK(fault_of(open_home(at("h"))) == Fault::not_authentic);
}

TEST_CASE_FIXTURE(Fixture, "home: its realm.json is renewed for the same realm, and for no other") {
  policy::RealmFile realm = make_realm("r");
  auto home = create_home(at("h"), settings(), realm, key());
  REQUIRE(home);
  realm.contacts.push_back({crypto::random_id<NodeId>(), "hq", crypto::TransportKey::generate().public_key(), {"tcp://a:1", "tcp://a:2", "tcp://a:3"}});
  REQUIRE(update_realm(*home, realm));
  CHECK(open_home(at("h"))->realm.contacts == realm.contacts);
  CHECK(fault_of(update_realm(*home, make_realm("r"))) == Fault::denied);
}

TEST_CASE_FIXTURE(Fixture, "home: the lock is one process's, and goes when it is let go") {
  const auto home = create_home(at("h"), settings(), make_realm("r"), key());
  REQUIRE(home);
  {
    const auto lock = lock_home(*home);
    REQUIRE(lock);
    const auto second = lock_home(*home);
    CHECK(fault_of(second) == Fault::unavailable);
    CHECK(second.error().text.find(std::to_string(::getpid())) != std::string::npos);
  }
  CHECK(lock_home(*home).has_value());
}

TEST_CASE_FIXTURE(Fixture, "home: a lock whose holder was killed is free again") {
  const auto home = create_home(at("h"), settings(), make_realm("r"), key());
  REQUIRE(home);
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto lock = lock_home(*home);
    const char byte = lock ? 'y' : 'n';
    if (::write(ready[1], &byte, 1) != 1) ::_exit(1);
    for (;;) ::pause();
  }
  char byte = 0;
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  CHECK(byte == 'y');
  CHECK(fault_of(lock_home(*home)) == Fault::unavailable);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  CHECK(lock_home(*home).has_value());
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_CASE_FIXTURE(Fixture, "home: recovered keys come back, sealed under this home's own key") {
  const policy::RealmFile realm = make_realm("r");
  const auto home = create_home(at("h"), settings(), realm, key());
  REQUIRE(home);
  const auto keys = open_keys(*home, key());
  REQUIRE(keys);
  CHECK(read_recovered(*home, keys->local)->size() == 0);
  policy::KeyRing ring;
  const auto library = crypto::random_id<LibraryId>();
  crypto::EpochKey epoch = crypto::EpochKey::random();
  const Bytes secret = bytes_of(ByteView(epoch.reveal()));
  ring.put(library, {3}, std::move(epoch));
  REQUIRE(write_recovered(*home, keys->local, ring));
  const auto back = read_recovered(*home, keys->local);
  REQUIRE(back);
  REQUIRE(back->find(library, {3}) != nullptr);
  CHECK(equal(back->find(library, {3})->reveal(), secret));
  const fs::path path = at("h") / "keys" / "recovered";
  Bytes file = *read_file(path, 4096);
  CHECK(std::search(file.begin(), file.end(), secret.begin(), secret.end()) == file.end());

  const auto other = create_home(at("other"), settings("naha"), realm, key());
  REQUIRE(other);
  CHECK(fault_of(read_recovered(*home, open_keys(*other, key())->local)) == Fault::corrupt);
  file[file.size() / 2] ^= 1;
  REQUIRE(write_file(path, file, Secrecy::secret, Existing::replace));
  CHECK(fault_of(read_recovered(*home, keys->local)) == Fault::corrupt);
}

TEST_CASE_FIXTURE(Fixture, "home: HQ's freshness key is for a node of kind hq, and only that node opens it") {
  const policy::RealmFile realm = make_realm("r");
  const auto hq = create_home(at("hq"), settings("hq", policy::NodeKind::hq), realm, key());
  const auto bureau = create_home(at("b"), settings(), realm, key());
  REQUIRE(hq);
  REQUIRE(bureau);
  const crypto::SigningKey freshness = crypto::SigningKey::generate();
  const auto keys = open_keys(*hq, key());
  CHECK_FALSE(read_freshness_key(*hq, keys->node)->has_value());
  REQUIRE(write_freshness_key(*hq, freshness));
  const auto back = read_freshness_key(*hq, keys->node);
  REQUIRE(back);
  REQUIRE(back->has_value());
  CHECK((*back)->public_key() == freshness.public_key());
  CHECK(fault_of(write_freshness_key(*bureau, freshness)) == Fault::denied);
  CHECK(fault_of(read_freshness_key(*hq, open_keys(*bureau, key())->node)) == Fault::corrupt);
}

TEST_CASE_FIXTURE(Fixture, "home: the request proves its keys to this realm's authority, and to no other") {
  crypto::SealKey admission = crypto::SealKey::generate(), other = crypto::SealKey::generate();
  const policy::RealmFile realm = make_realm("r", &admission), foreign = make_realm("f", &other);
  const auto home = create_home(at("h"), settings(), realm, key());
  REQUIRE(home);
  const Bytes text = *read_file(at("h") / "request.json", policy::request_bytes_most);
  const auto request = policy::read_request(text);
  REQUIRE(request);
  const auto& node = std::get<policy::NodeRequest>(*request);
  CHECK(node.name == "sapporo");
  CHECK(node.addresses.bulk == "tcp://127.0.0.1:7701");
  CHECK(policy::check_request(node, realm.realm, admission).has_value());
  CHECK(fault_of(policy::check_request(node, foreign.realm, admission)) == Fault::denied);
  CHECK(fault_of(policy::check_request(node, realm.realm, other)) == Fault::not_authentic);
}

TEST_CASE_FIXTURE(Fixture, "home: no byte of a request can be changed") {
  const policy::RealmFile realm = make_realm("r");
  REQUIRE(create_home(at("h"), settings(), realm, key()));
  const Bytes text = *read_file(at("h") / "request.json", policy::request_bytes_most);
  const auto good = policy::read_request(text);
  REQUIRE(good);
  for (std::size_t i = 0; i < text.size(); ++i) {
    Bytes bad = text;
    bad[i] ^= 1;
    INFO("byte ", i);
    CHECK_FALSE(policy::read_request(bad).has_value());
  }
}

TEST_CASE("home: settings are written as they are read, and mistakes name their line") {
  for (Settings it : {settings(), settings("naha", policy::NodeKind::vault)}) {
    CHECK(*read_settings(write_settings(it), "f") == it);
    it.key_file = "/with \"quotes\" \\ and 土蔵";
    it.listen_host = "::1";
    it.address = "node.example";
    CHECK(*read_settings(write_settings(it), "f") == it);
    it.key_file.reset();
    it.listen_host.clear();
    it.port = 0;
    CHECK(*read_settings(write_settings(it), "f") == it);
  }
  const std::string good = "name = \"a\"\nkind = \"bureau\"\nzone = \"z\"\nunlock = \"passphrase\"\n";
  REQUIRE(read_settings(good, "f"));
  for (const char* bad : {"colour = 1\n", "listen = \"nowhere\"\n", "listen = \"host:65534\"\n", "listen = \"host:0\"\n", "listen = 7\n", "address = \"a b\"\n",
                          "key_file = \"/k\"\n", "listen = \"a:1\"\nlisten = \"b:2\"\n", "x = \"\n"}) {
    const auto read = read_settings(good + bad, "f");
    CHECK_MESSAGE(fault_of(read) == Fault::malformed, bad);
    if (!read) CHECK_MESSAGE(read.error().text.starts_with("f:"), read.error().text);
  }
  for (const char* bad :
       {"name = \"A\"\nkind = \"bureau\"\nzone = \"z\"\nunlock = \"passphrase\"\n", "name = \"a\"\nkind = \"king\"\nzone = \"z\"\nunlock = \"passphrase\"\n",
        "name = \"a\"\nkind = \"bureau\"\nzone = \"z\"\nunlock = \"key file\"\nkey_file = \"relative\"\n",
        "name = \"a\"\nkind = \"bureau\"\nzone = \"z\"\nunlock = \"luck\"\n", "kind = \"bureau\"\n", ""})
    CHECK_MESSAGE(fault_of(read_settings(bad, "f")) == Fault::malformed, bad);
}

TEST_CASE_FIXTURE(Fixture, "files: a secret is refused where others may read it, and where it is no file") {
  REQUIRE(write_file(at("s"), view_of("secret"), Secrecy::secret));
  CHECK(read_secret_file(at("s"), 100).has_value());
  CHECK(fault_of(read_secret_file(at("s"), 5)) == Fault::over_limit);
  CHECK(fault_of(write_file(at("s"), view_of("other"), Secrecy::secret)) == Fault::exists);
  CHECK(text_of(read_secret_file(at("s"), 100)->reveal()) == "secret");
  REQUIRE(::chmod(at("s").c_str(), 0604) == 0);
  CHECK(fault_of(read_secret_file(at("s"), 100)) == Fault::denied);
  CHECK(fault_of(read_file(scratch.path, 100)) == Fault::denied);
  REQUIRE(::mkfifo(at("p").c_str(), 0600) == 0);
  CHECK(fault_of(read_file(at("p"), 100)) == Fault::denied);
  CHECK(fault_of(read_file(at("missing"), 100)) == Fault::not_found);
}

TEST_CASE_FIXTURE(Fixture, "files: a credential that root hands to a service's user is a secret, one that all may read is not") {
  if (::geteuid() != 0) {
    MESSAGE("skipped: needs root, to be another user");
    return;
  }
  REQUIRE(::chmod(scratch.path.c_str(), 0755) == 0);
  REQUIRE(write_file(at("s"), view_of("secret"), Secrecy::secret));
  const auto fault_as_nobody = [&](mode_t mode) {
    REQUIRE(::chmod(at("s").c_str(), mode) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
      const gid_t root_group = 0;  // instead of the access list
      if (::setgroups(1, &root_group) != 0 || ::setuid(65534) != 0) ::_exit(98);
      const auto read = read_secret_file(at("s"), 100);
      ::_exit(read ? 99 : static_cast<int>(read.error().fault));
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WEXITSTATUS(status);
  };
  CHECK(fault_as_nobody(0440) == 99);
  CHECK(fault_as_nobody(0444) == static_cast<int>(Fault::denied));
  CHECK(fault_as_nobody(0460) == static_cast<int>(Fault::denied));
}

TEST_CASE_FIXTURE(Fixture, "home: a run that did not end by itself is told from one that did") {
  const auto home = create_home(at("h"), settings(), make_realm("r"), key());
  REQUIRE(home);
  CHECK_FALSE(*mark_running(*home));
  CHECK(*mark_running(*home));
  REQUIRE(clear_running(*home));
  REQUIRE(clear_running(*home));
  CHECK_FALSE(*mark_running(*home));
}

TEST_CASE("home: the example of node.toml is read as it stands") {
  const auto text = read_file(fs::path(DOZO_SOURCE_DIR) / "configs" / "node.example.toml", 1U << 16);
  REQUIRE(text);
  const auto read = read_settings(text_of(*text), "node.example.toml");
  REQUIRE_MESSAGE(read.has_value(), (read ? "" : read.error().text));
  CHECK(read->listening().introduce == "tcp://10.1.0.5:7702");
  CHECK(read->advertised().control == "tcp://sapporo.dozo.example:7700");
}

TEST_CASE_FIXTURE(Fixture, "files: secrets come from a file's content or its first line, and too little is refused") {
  REQUIRE(write_file(at("k"), Bytes(32, 0), Secrecy::secret));
  CHECK(unlocking_by_file(at("k"))->protection == crypto::Protection::key);
  REQUIRE(write_file(at("short"), Bytes(31, 0), Secrecy::secret));
  CHECK(fault_of(unlocking_by_file(at("short"))) == Fault::malformed);
  REQUIRE(write_file(at("w"), view_of("土蔵 words \r\nsecond\n"), Secrecy::secret));
  CHECK(text_of(unlocking_by_passphrase_file(at("w"))->secret.reveal()) == "土蔵 words ");
  REQUIRE(write_file(at("empty"), view_of("\nsecond"), Secrecy::secret));
  CHECK(fault_of(unlocking_by_passphrase_file(at("empty"))) == Fault::malformed);
}
