// Somebody whom no policy names calls a real daemon, with the real transport and a key of its own: it learns version numbers alone, and those only for a
// document of the daemon's realm that it brings.
#include <map>
#include <set>

#include "crypto/start.h"
#include "node/files.h"
#include "node/home.h"
#include "node/transport.h"
#include "sync/messages.h"
#include "tests/badinput_fixture.h"

using namespace dozo;
using nlohmann::json;
using test::comes_true, test::Pair, test::spill;

namespace {

struct Stranger : Pair {
  const bool is_started = crypto::start().has_value();
  crypto::TransportKey key = crypto::TransportKey::generate();
  std::unique_ptr<node::Transport> transport;
  crypto::TransportPublicKey head;
  RealmId realm;
  NodeId head_id;

  Stranger() {
    REQUIRE(is_started);
    run_both();
    const auto theirs = node::public_keys(*node::open_home(at("head")));
    REQUIRE(theirs);
    head = theirs->transport;
    head_id = theirs->id;
    realm = *RealmId::from(*from_hex(asked({"status", "--home", "head"})["realm"].get<std::string>()));
    transport = std::move(*node::Transport::open(node::TransportOptions{}, key));
  }
  std::string endpoint(int channel) { return "tcp://127.0.0.1:" + std::to_string(ports["head"] + channel); }
  Bytes document(const std::string& hq, const std::string& name) const { return *node::read_file(at(hq) / "published" / "1" / name, 1U << 26); }
  std::uint64_t bring(const Bytes& message) {
    const std::vector<Bytes> messages{message};
    const auto number = transport->introduce_to(endpoint(2), head, messages);
    REQUIRE(number);
    return *number;
  }
  void listen() {
    for (node::TransportEvent& event : transport->poll(5)) {
      if (auto* it = std::get_if<node::IntroductionAnswered>(&event)) answers[it->introduction].push_back(std::move(it->bytes));
    }
  }

  std::map<std::uint64_t, std::vector<Bytes>> answers;  ///< by the introduction
};

}  // namespace

TEST_CASE_FIXTURE(Stranger, "bad input: a stranger learns version numbers from a daemon, for a document of its realm that it brings, and nothing else") {
  spill(at("note"), "kept from strangers");
  good({"put", "note", "works:", "--held", "1", "--timeout", "15", "--home", "head"});

  // What is no document of this realm is not answered at all.
  good({"authority", "init", "foreign", "--realm", "other", "--recovery", "2/3", "--key-file", "key"});
  good({"node", "init", "there", "--realm", "foreign/realm.json", "--name", "there", "--kind", "hq", "--zone", "z", "--key-file", "key"});
  good({"authority", "admit", "foreign", "there/request.json", "--key-file", "key"});
  good({"authority", "publish", "foreign", "--yes", "--key-file", "key"});
  Bytes changed = document("hq", "snapshot");
  changed[changed.size() / 2] ^= 1;
  const auto given = [](const Bytes& document) { return sync::encode(sync::DocumentsGiven{{document}}); };
  for (const Bytes& message :
       {Bytes(5'000, 0xff), bytes_of(view_of("{}")), given({}), given(document("foreign", "snapshot")), given(document("foreign", "freshness")), given(changed),
        sync::encode(sync::DocumentsWanted{{{"directory", 1, false, std::nullopt}}, true}), sync::encode(sync::State{realm, {}, {}})}) {
    bring(message);
  }
  for (int i = 0; i < 100; ++i) listen();

  // One that it brings is answered by versions, and nothing more comes.
  std::set<std::uint64_t> good_ones;
  for (const char* name : {"snapshot", "freshness"}) good_ones.insert(bring(given(document("hq", name))));
  CHECK(comes_true(
      [&] {
        listen();
        return std::ranges::all_of(good_ones, [&](std::uint64_t it) { return answers.contains(it); });
      },
      20'000));
  for (int i = 0; i < 200; ++i) listen();
  CHECK(answers.size() == good_ones.size());
  for (const auto& [number, told] : answers) {
    CHECK(good_ones.contains(number));
    REQUIRE(told.size() == 1);
    CHECK(told[0].size() < 64);
    const auto message = sync::decode(told[0], sync::introduction_bytes_most);
    REQUIRE(message);
    const auto* versions = std::get_if<sync::Versions>(&*message);
    REQUIRE(versions != nullptr);
    CHECK(versions->realm == realm);
    CHECK(versions->policy == 1);
    CHECK(versions->root == 1);
  }

  // To the doors of members it does not come in.
  const std::vector<node::PeerAddress> peers{{head_id, head, endpoint(0), endpoint(1)}};
  REQUIRE(transport->set_peers(peers).empty());
  std::size_t heard = 0;
  CHECK_FALSE(comes_true(
      [&] {
        for (const node::TransportEvent& event : transport->poll(5)) heard += std::holds_alternative<node::Received>(event);
        (void)transport->send(head_id, node::Channel::control, sync::encode(sync::State{realm, {}, {}}));
        return transport->is_up(head_id);
      },
      4'000));
  CHECK(heard == 0);
  CHECK(asked({"status", "--home", "head"})["peers_up"] == 1);
  CHECK(get("sapporo", "note") == "kept from strangers");
}
