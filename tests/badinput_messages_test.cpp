// A member of the realm that turned bad: it has a node's real keys and the real transport, and says whatever does harm. Nothing changes, the others are
// served meanwhile, and memory stays flat.
#include "crypto/random.h"
#include "crypto/start.h"
#include "node/home.h"
#include "node/transport.h"
#include "sync/messages.h"
#include "tests/badinput_fixture.h"

using namespace dozo;
using nlohmann::json;
using test::comes_true, test::Pair, test::slurp, test::spill;

namespace {

std::size_t memory_bytes(pid_t pid) {
  std::istringstream in(slurp("/proc/" + std::to_string(pid) + "/statm"));
  std::size_t all = 0, resident = 0;
  in >> all >> resident;
  return resident * 4'096;
}
template <class Id>
Id any() {
  return crypto::random_id<Id>();
}

struct Traitor : Pair {
  std::optional<node::HomeKeys> keys;
  std::unique_ptr<node::Transport> transport;
  NodeId head;
  std::size_t heard = 0, sent = 0;
  std::vector<Bytes> heard_bytes;  // to be said again

  Traitor() {
    REQUIRE(crypto::start());
    make_node("traitor", "bureau");
    admit("traitor");  // a member of the realm, of no library
    run_both();
    const auto home = node::open_home(at("traitor"));
    REQUIRE(home);
    keys.emplace(*node::open_keys(*home, *node::unlocking_by_file(at("key"))));
    const auto theirs = node::public_keys(*node::open_home(at("head")));
    REQUIRE(theirs);
    head = theirs->id;
    node::TransportOptions options;
    options.control_bytes_most = 16U << 20;  // says more than it may
    options.bulk_bytes_most = 16U << 20;
    transport = std::move(*node::Transport::open(options, keys->node.transport));
    const std::string host = "tcp://127.0.0.1:";
    const std::vector<node::PeerAddress> peers{{head, theirs->transport, host + std::to_string(ports["head"]), host + std::to_string(ports["head"] + 1)}};
    REQUIRE(transport->set_peers(peers).empty());
    REQUIRE(up());
  }
  bool up() {
    return comes_true([&] {
      turn();
      return transport->is_up(head);
    });
  }
  void turn() {
    for (node::TransportEvent& event : transport->poll(1)) {
      auto* it = std::get_if<node::Received>(&event);
      if (it == nullptr) continue;
      ++heard;
      if (heard_bytes.size() < 200) heard_bytes.push_back(std::move(it->bytes));
    }
  }
  void say(node::Channel channel, ByteView bytes) {
    for (int attempt = 0; attempt < 200; ++attempt) {
      if (transport->send(head, channel, bytes) == node::SendOutcome::taken) {
        ++sent;
        return;
      }
      turn();
    }
  }
  void say(const sync::Message& message, node::Channel channel = node::Channel::control) { say(channel, sync::encode(message)); }
};

}  // namespace

TEST_CASE_FIXTURE(Traitor, "bad input: a member that lies, floods and repeats changes nothing, learns nothing and holds up nobody") {
  spill(at("note"), "before");
  good({"put", "note", "works:", "--held", "1", "--timeout", "15", "--home", "head"});
  const json held = asked({"library", "list", "--home", "head"});
  LibraryId works;
  for (const json& row : held)
    if (row["title"] == "works") works = *LibraryId::from(*from_hex(row["id"].get<std::string>()));
  const std::string history = good({"log", "works:", "--home", "head"}).out, listing = good({"ls", "-r", "works:", "--home", "head"}).out;
  const std::uint64_t policy = asked({"status", "--home", "head"})["policy"];

  const auto all_kinds = [&](const LibraryId& library) {
    const FeedId feed{library, any<NodeId>(), any<IncarnationId>()}, own{library, keys->node.id, any<IncarnationId>()};
    const sync::FeedPoint point{feed, Sequence{7}, any<Digest>()};
    const sync::ObjectId object{library, sync::ObjectKind::pack, any<Digest>()}, list{library, sync::ObjectKind::list, any<Digest>()};
    return std::vector<sync::Message>{
        sync::State{any<RealmId>(), {~0ULL, ~0ULL, ~0ULL, any<Digest>()}, any<Digest>()},
        sync::LibraryStates{{{library, any<Digest>(), any<Digest>()}}, false},
        sync::LibraryWanted{library, {}, true, true, {}, ""},
        sync::FeedHeads{library, {point}},
        sync::FeedHeads{library, {{own, Sequence{~0ULL}, any<Digest>()}}},
        sync::EntriesWanted{point, Sequence{1}},
        sync::EntriesWanted{point, Sequence{~0ULL}},
        sync::EntriesGiven{point, Sequence{1}, {Bytes(1'000, 7), Bytes{}}, "note", {any<Digest>()}},
        sync::StatementMarks{library, {{any<NodeId>(), "held", 9}}, true},
        sync::StatementWanted{library, head, "held"},
        sync::StatementGiven{library, head, "held", 1'000'000, Bytes(200, 3)},  // another's, unsigned
        sync::StatementGiven{library, keys->node.id, "held", 1, Bytes(200, 3)},
        sync::SliceWanted{object, 0},
        sync::SliceWanted{list, 65'536},
        sync::SliceGiven{object, 0, 70'000, Bytes(65'536, 1)},
        sync::SliceGiven{object, 0, ~0U, Bytes(65'536, 1)},
        sync::ObjectUnavailable{object},
        sync::DocumentsWanted{{{"mesh", 1, false, std::nullopt}, {"grants/" + head.hex(), 1, true, any<Digest>()}}, true},
        sync::DocumentsGiven{{Bytes(500, 0x7b), bytes_of(view_of("{\"type\":\"root\"}"))}},
        sync::Versions{any<RealmId>(), ~0ULL, ~0ULL, ~0ULL},
    };
  };
  std::size_t memory = 0;
  for (int round = 0; round < 30; ++round) {
    for (const LibraryId& library : {works, any<LibraryId>()}) {
      for (const sync::Message& message : all_kinds(library)) {
        const auto channel = std::holds_alternative<sync::SliceGiven>(message) ? node::Channel::bulk : node::Channel::control;
        const Bytes whole = sync::encode(message);
        say(channel, whole);
        say(channel, whole);  // once more
        say(channel, ByteView(whole).first(whole.size() / 2));
        Bytes changed = whole;
        changed[crypto::random_id<Digest>().bytes[0] % changed.size()] ^= 0x40;
        say(channel, changed);
        changed = whole;
        changed.resize(changed.size() + 9, 0xff);
        say(channel, changed);
      }
    }
    for (const Bytes& again : heard_bytes) say(node::Channel::control, again);  // of head's own words
    Bytes noise(1 + 97 * static_cast<std::size_t>(round), 0);
    crypto::random_bytes(noise);
    say(node::Channel::control, noise);
    say(node::Channel::bulk, noise);
    if (round == 10) memory = memory_bytes(running["head"]);
    if (round == 15) {  // beside all this the others are served
      spill(at("meanwhile"), "saved under fire");
      const auto begin = std::chrono::steady_clock::now();
      good({"put", "meanwhile", "works:", "--held", "1", "--timeout", "10", "--home", "head"});
      CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(10));
      CHECK(get("sapporo", "meanwhile") == "saved under fire");
    }
  }
  CHECK(sent > 5'000);
  CHECK(heard > 10);
  CHECK(comes_true([&] {
    turn();
    return asked({"status", "--home", "head"})["peers_up"] == 2;
  }));
  const std::size_t now = memory_bytes(running["head"]);
  MESSAGE(sent, " messages; resident ", memory >> 20, " MiB after a third of them, ", now >> 20, " MiB after all");
  CHECK(now < memory + (24U << 20));

  // Too large: the connection ends, and comes again.
  for (const node::Channel channel : {node::Channel::control, node::Channel::bulk}) {
    say(channel, Bytes(4U << 20, 0));
    for (int i = 0; i < 100; ++i) turn();
  }
  CHECK(up());

  CHECK_FALSE(ended("head"));
  CHECK(asked({"status", "--home", "head"})["policy"] == policy);
  CHECK(get("head", "note") == "before");
  CHECK(good({"rm", "works:meanwhile", "--home", "head"}).status == 0);
  CHECK(comes_true([&] { return good({"ls", "-r", "works:", "--home", "sapporo"}).out == listing; }));
  CHECK(good({"log", "works:note", "--home", "head"}).out == history);
  // It was told nothing of a library that it is no member of.
  for (const Bytes& bytes : heard_bytes) {
    const auto message = sync::decode(bytes, 1U << 20);
    if (!message) continue;
    CHECK_FALSE((std::holds_alternative<sync::EntriesGiven>(*message) || std::holds_alternative<sync::SliceGiven>(*message) ||
                 std::holds_alternative<sync::StatementGiven>(*message) || std::holds_alternative<sync::FeedHeads>(*message) ||
                 std::holds_alternative<sync::StatementMarks>(*message)));
  }
  const std::string said = log("head");
  CHECK(test::lines_of(said) < 200);
  CHECK(end("head") == 0);
}
