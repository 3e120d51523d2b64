// Documents of the authority that are not what they should be, offered to a running node: one line each, and the policy in force stays.
#include "crypto/start.h"
#include "node/files.h"
#include "node/local_socket.h"
#include "policy/envelope.h"
#include "tests/badinput_fixture.h"

using namespace dozo;
using nlohmann::json;
using test::one_line, test::Pair, test::Ran, test::spill;
namespace fs = std::filesystem;
namespace local = node::local;

namespace {

struct Offering : Pair {
  Offering() { REQUIRE(crypto::start()); }
  Bytes document(const std::string& hq, std::uint64_t version, const std::string& name) const {
    return *node::read_file(at(hq) / "published" / std::to_string(version) / name, 1U << 26);
  }
  local::Offered offer(std::vector<Bytes> envelopes) const {
    auto client = node::LocalClient::connect(at("head"));
    REQUIRE(client);
    const auto answer = (*client)->ask(local::OfferRequest{std::move(envelopes)});
    REQUIRE(answer);
    REQUIRE(std::holds_alternative<local::Offered>(*answer));
    return std::get<local::Offered>(*answer);
  }
  /// Refused in one line, with the policy in force as before.
  void refused(const char* what, const std::string& says, const Bytes& envelope, std::uint64_t in_force = 2) const {
    const local::Offered offered = offer({envelope});
    INFO(what, ": ", offered.refused.empty() ? "taken" : offered.refused[0]);
    CHECK(offered.policy == in_force);
    REQUIRE(offered.refused.size() == 1);
    CHECK(offered.refused[0].find('\n') == std::string::npos);
    CHECK(offered.refused[0].find(says) != std::string::npos);
  }
};

}  // namespace

TEST_CASE_FIXTURE(Offering, "bad input: documents unsigned, mixed, older, below threshold or of another realm are refused, and the policy stays") {
  start("head");
  publish();
  const Bytes first_snapshot = document("hq", 1, "snapshot"), first_freshness = document("hq", 1, "freshness");
  add_source("# changed\n");
  publish();
  const json before = asked({"status", "--home", "head"});
  REQUIRE(before["policy"] == 2);

  // A third one, which the node has not seen, to be spoilt in all ways.
  good({"authority", "publish", "hq", "--yes", "--key-file", "key"});
  for (const char* name : {"snapshot", "mesh", "directory", "epochs", "freshness"}) {
    INFO(name);
    auto envelope = policy::read_envelope(document("hq", 3, name));
    REQUIRE(envelope);
    refused("unsigned", name, policy::unsigned_envelope(envelope->type, envelope->name, envelope->payload));
    const auto strange = policy::add_signature(policy::unsigned_envelope(envelope->type, envelope->name, envelope->payload), crypto::SigningKey::generate());
    REQUIRE(strange);
    refused("signed by a stranger", name, *strange);
    policy::Envelope changed = *envelope;
    changed.payload[changed.payload.size() / 2] ^= 1;
    refused("changed", "", policy::write_envelope(changed));
    Bytes cut = document("hq", 3, name);
    cut.resize(cut.size() / 2);
    refused("cut", "", cut);
  }
  refused("no document", "", bytes_of(view_of("{}")));
  refused("nothing", "", {});
  refused("noise", "", Bytes(1'000, 0xff));

  // Another realm's, whole and well signed.
  good({"authority", "init", "foreign", "--realm", "other", "--recovery", "2/3", "--key-file", "key"});
  good({"node", "init", "there", "--realm", "foreign/realm.json", "--name", "there", "--kind", "hq", "--zone", "z", "--key-file", "key"});
  good({"authority", "admit", "foreign", "there/request.json", "--key-file", "key"});
  good({"authority", "publish", "foreign", "--yes", "--key-file", "key"});
  for (const char* name : {"snapshot", "mesh", "directory", "epochs", "freshness"}) refused("another realm's", name, document("foreign", 1, name));
  one_line(dozo({"authority", "offer", "nowhere", "--home", "head"}), 3, "nowhere");
  const Ran foreign = dozo({"authority", "offer", "foreign", "--home", "head"});
  one_line(foreign, 4, "another realm");

  // Older ones come back: known or refused, and nothing goes back. Documents of two versions together make no policy.
  for (const Bytes& old : {first_snapshot, first_freshness, document("hq", 1, "mesh")}) CHECK(offer({old}).policy == 2);
  CHECK(offer({document("hq", 3, "snapshot"), document("hq", 2, "mesh"), document("hq", 3, "directory"), document("hq", 2, "epochs")}).policy == 2);
  CHECK(asked({"status", "--home", "head"})["policy"] == 2);
  spill(at("note"), "written meanwhile");
  good({"put", "note", "works:", "--home", "head"});

  // The whole third is taken after all that, and the second comes back no more.
  good({"authority", "offer", "hq", "--home", "head"});
  CHECK(asked({"status", "--home", "head"})["policy"] == 3);
  CHECK(offer({document("hq", 2, "snapshot"), document("hq", 2, "freshness"), document("hq", 2, "mesh")}).policy == 3);
  CHECK(get("head", "note") == "written meanwhile");
}

TEST_CASE_FIXTURE(Offering, "bad input: a policy that two must sign is not taken from one") {
  fs::remove_all(at("hq"));
  fs::remove_all(at("head"));
  good({"authority", "init", "hq", "--realm", "two", "--policy", "2/2", "--recovery", "2/3", "--key-file", "key"});
  make_node("head", "hq");
  admit("head");
  start("head");
  publish();
  REQUIRE(asked({"status", "--home", "head"})["policy"] == 1);
  good({"authority", "publish", "hq", "--yes", "--key-file", "key"});
  for (const char* name : {"snapshot", "mesh", "directory", "epochs"}) {
    auto envelope = policy::read_envelope(document("hq", 2, name));
    REQUIRE(envelope);
    INFO(name, ": ", envelope->signatures.size());
    if (envelope->signatures.size() < 2) continue;
    envelope->signatures.resize(1);
    refused("one of two", name, policy::write_envelope(*envelope), 1);
  }
  good({"authority", "offer", "hq", "--home", "head"});
  CHECK(asked({"status", "--home", "head"})["policy"] == 2);
}
