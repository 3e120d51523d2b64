#include "tests/simulator/world.h"

#include <fmt/format.h>

#include "crypto/random.h"
#include "crypto/seeded_random.h"
#include "tests/simulator/faults.h"
#include "tests/simulator/workload.h"

namespace dozo::simulator {
namespace {

constexpr std::size_t violations_most = 20;
constexpr std::uint64_t events_most = 2'000'000;  // of one seed: more is a storm

struct Cast {
  const char* name;
  policy::NodeKind kind;
  const char* zone;
};
constexpr std::array<Cast, 12> cast{{{"hq", policy::NodeKind::hq, "tokyo"},
                                     {"asahi", policy::NodeKind::bureau, "sapporo"},
                                     {"biei", policy::NodeKind::bureau, "naha"},
                                     {"vault", policy::NodeKind::vault, "osaka"},
                                     {"chitose", policy::NodeKind::bureau, "sapporo"},
                                     {"dazai", policy::NodeKind::bureau, "osaka"},
                                     {"ema", policy::NodeKind::bureau, "naha"},
                                     {"fuji", policy::NodeKind::bureau, "tokyo"},
                                     {"gero", policy::NodeKind::bureau, "osaka"},
                                     {"hagi", policy::NodeKind::vault, "naha"},
                                     {"izumo", policy::NodeKind::bureau, "osaka"},
                                     {"joetsu", policy::NodeKind::vault, "sapporo"}}};
constexpr std::size_t cast_mostly = 7;

}  // namespace

World::World(const Options& how) : dice(how.seed), options(how) {
  crypto::use_seeded_randomness(how.seed);
  tag = "zq" + to_hex(dice.bytes(6)) + "qz";
  authority = std::make_unique<Authority>(tag, wall_s());
  using policy::Holding;
  const bool is_large = dice.chance(40);
  if (is_large) coverage.note(Seen::twelve_nodes);
  for (std::size_t i = 0; i < (is_large ? cast.size() : cast_mostly); ++i) {
    nodes.push_back(std::make_unique<Process>(cast[i].name, i));
    authority->admit(cast[i].name, nodes[i]->keys.public_part());
    network.add_node(i, nodes[i]->keys.id);
    if (std::string_view(cast[i].name) != "chitose") plan.nodes[cast[i].name] = {cast[i].kind, cast[i].zone};
    nodes[i]->skew_ms = dice.between(-20'000, 20'000);
  }
  if (dice.chance(300)) {
    Process& late = *nodes[1 + dice.below(5)];
    late.skew_ms = dice.between(-1'200'000, 1'200'000);  // what it dates ahead counts, when its time has come, before the end
    coverage.note(Seen::clock_skewed);
  }
  plan.homes = {{"works", "hq"}, {"plans", "asahi"}, {"notes", "dazai"}};
  plan.libraries["works"] = {
      {"hq", {Holding::full, true}}, {"asahi", {Holding::full, true}}, {"biei", {Holding::full, true}}, {"vault", {Holding::blind, false}}};
  plan.libraries["plans"] = {{"hq", {Holding::full, true}},
                             {"asahi", {Holding::full, true}},
                             {"biei", {Holding::full, false}},
                             {"ema", {Holding::full, true}},
                             {"vault", {Holding::blind, false}}};
  plan.libraries["notes"] = {{"dazai", {Holding::full, true}}, {"hq", {Holding::full, true}}, {"vault", {Holding::blind, false}}};
  if (is_large) {
    for (const char* name : {"fuji", "gero", "izumo"}) plan.libraries["works"][name] = {Holding::full, true};
    for (const char* name : {"hagi", "joetsu"}) plan.libraries["works"][name] = {Holding::blind, false};
    plan.libraries["plans"]["izumo"] = {Holding::full, true};
    plan.libraries["notes"]["joetsu"] = {Holding::blind, false};
  }
  liar = std::make_unique<Liar>(*this);
}

World::~World() = default;

// ---- surroundings --------------------------------------------------------------------------------------------------------
void World::at(std::int64_t when_ms, std::function<void()> what) { events_.emplace(std::pair(std::max(when_ms, now_ms_), ++event_number_), std::move(what)); }

bool World::want_link(NodeIndex a, NodeIndex b) const {
  return nodes[a]->running() && nodes[b]->running() && nodes[a]->peers.contains(nodes[b]->keys.id) && nodes[b]->peers.contains(nodes[a]->keys.id);
}

void World::give(NodeIndex to, node::Engine::Input input) {
  Process& it = node(to);
  if (!it.running()) return;
  if (const auto* received = std::get_if<sync::Received>(&input)) {
    ++it.messages_in;
    if (options.planted == Planted::swallowed_slices && it.name == "biei" && received->channel == sync::Channel::bulk) return;
    if (to == liar_index && liar->on_the_way_in(by_id(received->peer)->index, received->channel, received->bytes)) return;
  }
  it.engine->on(input, now_of(it));
  after_call(it, true);
}

Process* World::by_id(const NodeId& id) {
  for (const auto& it : nodes) {
    if (it->keys.id == id) return it.get();
  }
  return nullptr;
}

// ---- processes -----------------------------------------------------------------------------------------------------------
void World::start(NodeIndex index, bool same_incarnation) {
  Process& it = node(index);
  if (it.running()) return;
  std::optional<crypto::SigningKey> freshness;
  if (index == hq) freshness = authority->freshness_key();
  const Result<void> started =
      it.start({authority->first_root(), {authority->contact("hq"), authority->contact("asahi")}, std::move(freshness), now_of(it), same_incarnation});
  trace(fmt::format("start {}: {}", it.name, started ? "ok" : started.error().text));
  if (!started) {
    invariants.durability.start_refused(*this, it, started.error());
    coverage.note(Seen::start_refused);
    wipe(index);
    return start(index);
  }
  invariants.authority.started(*this, it);
  invariants.durability.started(*this, it);
  for (const node::Engine::Peer& peer : it.engine->peers()) it.peers.insert(peer.id);
  network.refresh();
  after_call(it, false);
}

void World::stop(NodeIndex index) {
  Process& it = node(index);
  if (!it.running()) return;
  if (it.save) coverage.note(Seen::crashed_under_save);
  trace("stop " + it.name);
  it.stop();
  if (const auto lost = before_commit.extract(index); !lost.empty()) it.disks = std::move(lost.mapped());
  network.node_gone(index);
}

void World::wipe(NodeIndex index) {
  Process& it = node(index);
  trace("disk of " + it.name + " is lost");
  it.stop();
  network.node_gone(index);
  it.disks = {};
  doubtful.erase(index);
  release_promises(index);
}

void World::release_promises(NodeIndex index, std::int64_t made_after_ms) {
  for (Save& save : saves) {
    const auto holder = save.holders.find(index);
    if (holder != save.holders.end() && holder->second >= made_after_ms) save.holders.erase(holder);
  }
  node(index).promises_since_ms = usual_wall_ms(node(index));
}

void World::after_call(Process& it, bool was_input) {
  if (it.crashed()) {
    trace("crashed " + it.name);
    stop(it.index);
    // A service manager starts it again.
    at(now_ms_ + dice.between(500, 20'000), [this, index = it.index] { start(index); });
    return;
  }
  pump(it, was_input);
}

void World::pump(Process& it, bool was_input) {
  if (!it.running()) return;
  if (was_input) it.wake_ms.reset();
  std::vector<node::Engine::Output> outputs = it.engine->take_outputs();
  const auto policy = it.engine->realm().policy();
  const PolicyVersion version = policy ? policy->version() : PolicyVersion{0};
  const PolicyVersion before = it.policy;
  it.policy = version;
  std::optional<std::int64_t> wake;
  for (node::Engine::Output& output : outputs) {
    std::visit(Overloaded{[&](sync::Send& send) {
                            const Process* to = by_id(send.peer);
                            if (to == nullptr) return;
                            if (it.index == liar_index) {
                              auto changed = liar->on_the_way_out(to->index, send.channel, std::move(send.bytes));
                              if (!changed) return;
                              send.bytes = std::move(*changed);
                            } else {
                              const auto message =
                                  sync::decode(send.bytes, send.channel == sync::Channel::control ? sync::control_bytes_most : sync::bulk_bytes_most);
                              const Sent sent{it.index, to->index, send.bytes, message ? &*message : nullptr, before, version};
                              invariants.entitlement.sent(*this, sent);
                              invariants.liveness.sent(*this, sent);
                              invariants.no_plaintext.sent(*this, sent);
                              const auto* wanted = message ? std::get_if<sync::DocumentsWanted>(&*message) : nullptr;
                              if (wanted != nullptr && std::ranges::any_of(wanted->wants, [&](const sync::DocumentWant& want) {
                                    return want.name == "snapshot" && want.version < version.value;
                                  })) {
                                coverage.note(Seen::older_policy_fetched);
                              }
                              if (message && options.planted == Planted::deaf_to_a_feed && to->name == "biei") {
                                const auto* heads = std::get_if<sync::FeedHeads>(&*message);
                                if (heads != nullptr && heads->library == authority->library("works")) return;
                              }
                            }
                            if (options.trace) trace_message(it, *to, send.channel, send.bytes);
                            network.send(it.index, to->index, send.channel, std::move(send.bytes));
                          },
                          [&](const sync::AnswerStranger& answer) {
                            invariants.entitlement.stranger_answered(*this, it, answer.bytes);
                            coverage.note(Seen::introduced);
                          },
                          [&](const sync::WakeAt& at_time) { wake = wake ? std::min(*wake, at_time.steady_ms) : at_time.steady_ms; },
                          [&](const node::Engine::PeersChanged&) {
                            it.peers.clear();
                            for (const node::Engine::Peer& peer : it.engine->peers()) it.peers.insert(peer.id);
                            network.refresh();
                          },
                          [&](const node::Engine::Introduce& what) { introduce(it, what); }},
               output);
    if (!it.running()) return;
  }
  if (!wake || (it.wake_ms && *it.wake_ms <= *wake)) return;
  it.wake_ms = wake;
  at(*wake, [this, index = it.index, run = it.run, when = *wake] {
    Process& node = *nodes[index];
    if (node.running() && node.run == run && node.wake_ms == when) give(index, sync::Tick{});
  });
}

void World::introduce(Process& from, const node::Engine::Introduce& what) {
  Process* to = by_id(what.peer);
  if (to == nullptr || what.endpoint != Authority::addresses_of(to->name).introduce || what.key != to->keys.transport.public_key()) return;
  for (const Bytes& bytes : what.messages) {
    invariants.liveness.introduced(*this, from, bytes);
    Sent sent{from.index, to->index, bytes, nullptr, {}, {}};
    invariants.no_plaintext.sent(*this, sent);
    at(now_ms_ + dice.between(20, 400), [this, from = from.index, to = to->index, bytes] {
      if (!network.reaches(from, to)) return;
      Bytes token(8);
      put_u64(token.data(), from);
      give(to, sync::ReceivedFromStranger{token, bytes});
    });
  }
}

// ---- time ----------------------------------------------------------------------------------------------------------------
void World::run_until(std::int64_t when_ms) {
  while (!events_.empty() && events_.begin()->first.first <= when_ms) {
    auto event = events_.extract(events_.begin());
    now_ms_ = event.key().first;
    event.mapped()();
    if (++events_done_ == events_most) {
      invariants.liveness.stormed(*this, events_done_);
      events_.clear();
    }
  }
  now_ms_ = std::max(now_ms_, when_ms);
}

// ---- what the simulator says -----------------------------------------------------------------------------------------------
void World::violate(std::string_view invariant, std::string text) {
  trace(fmt::format("VIOLATED {}: {}", invariant, text));
  if (violations_.size() < violations_most) violations_.push_back({std::string(invariant), std::move(text), operation});
}

void World::trace(const std::string& line) {
  for (const char c : line) fingerprint_ = (fingerprint_ ^ static_cast<std::uint8_t>(c)) * 1099511628211ULL;
  fingerprint_ ^= static_cast<std::uint64_t>(now_ms_);
  if (options.trace) fmt::print("{:>4} {:>9.3f}  {}\n", operation, static_cast<double>(now_ms_) / 1000, line);
}

/// For people alone: says nothing that the fingerprint counts.
void World::trace_message(const Process& from, const Process& to, sync::Channel channel, ByteView bytes) {
  static constexpr std::array<std::string_view, 15> kinds{"ObjectUnavailable", "State",          "DocumentsWanted", "DocumentsGiven", "LibraryStates",
                                                          "LibraryWanted",     "FeedHeads",      "EntriesWanted",   "EntriesGiven",   "StatementMarks",
                                                          "StatementWanted",   "StatementGiven", "SliceWanted",     "SliceGiven",     "Versions"};
  const auto message = sync::decode(bytes, sync::control_bytes_most);
  std::string more;
  if (message) {
    if (const auto* wanted = std::get_if<sync::DocumentsWanted>(&*message)) {
      for (const sync::DocumentWant& want : wanted->wants) more += fmt::format(" {} {}{}", want.name, want.version, want.or_later ? "+" : "");
    }
    if (const auto* given = std::get_if<sync::DocumentsGiven>(&*message)) more = fmt::format(" {} envelopes", given->envelopes.size());
    if (const auto* wanted = std::get_if<sync::EntriesWanted>(&*message)) {
      const Process* writer = by_id(wanted->point.feed.node);
      more = fmt::format(" of {} {} from {} to {}", writer != nullptr ? writer->name : "?", wanted->point.feed.incarnation.hex().substr(0, 6),
                         wanted->from.value, wanted->point.sequence.value);
    }
    if (const auto* given = std::get_if<sync::EntriesGiven>(&*message)) more = fmt::format(" {} from {}", given->entries.size(), given->from.value);
    if (const auto* wanted = std::get_if<sync::StatementWanted>(&*message)) {
      const Process* signer = by_id(wanted->signer);
      more = " of " + (signer != nullptr ? signer->name : "?");
    }
    if (const auto* given = std::get_if<sync::StatementGiven>(&*message)) {
      const Process* signer = by_id(given->signer);
      more = fmt::format(" of {} number {}", signer != nullptr ? signer->name : "?", given->number);
    }
    if (const auto* state = std::get_if<sync::State>(&*message)) more = fmt::format(" policy {}", state->documents.policy);
  }
  fmt::print("     {:>9.3f}    {} -> {} {} {} ({} bytes){}\n", static_cast<double>(now_ms_) / 1000, from.name, to.name, message ? kinds[message->index()] : "?",
             channel == sync::Channel::control ? "" : "bulk", bytes.size(), more);
}

// ---- the run -------------------------------------------------------------------------------------------------------------
void World::publish(const policy::Changes& changes) {
  std::optional<Plan> secretly;
  if (options.planted == Planted::open_door && authority->version().value >= 1) {
    secretly = plan;
    secretly->libraries["works"]["dazai"] = {policy::Holding::full, false};
  }
  (void)authority->publish(plan, changes, wall_s(), secretly ? &*secretly : nullptr);
  trace(fmt::format("publish policy {}", authority->version().value));
  coverage.note(Seen::policy_published);
  hand_over();
}

/// As HQ's officer does with `dozo authority offer`: to HQ's node, or to another one where that is away.
void World::hand_over() {
  for (const NodeIndex index : {hq, NodeIndex{1}, NodeIndex{2}}) {
    Process& it = node(index);
    if (!it.running()) continue;
    // What it was not there for too: each snapshot vouches for the one before it.
    for (const auto& envelopes : {authority->envelopes(), authority->missed({0})}) {
      if (!it.running()) break;
      const node::local::Answer answer = it.engine->answer(node::local::OfferRequest{envelopes}, now_of(it));
      if (const auto* offered = std::get_if<node::local::Offered>(&answer)) {
        for (const std::string& line : offered->refused) trace(it.name + " refuses: " + line);
      } else if (const auto* refusal = std::get_if<node::local::Refusal>(&answer)) {
        trace(it.name + " refuses what is offered: " + refusal->text);
      }
      after_call(it, false);
    }
    break;
  }
}

void World::run() {
  publish();
  for (NodeIndex i = 0; i < nodes.size(); ++i) start(i);
  hand_over();
  pass(20'000);
  safety();
  liveness();
}

void World::safety() {
  while (operation < options.operations && violations_.empty()) {
    ++operation;
    pass(dice.chance(30) ? dice.between(20'000, 300'000) : dice.between(1, 3'000));
    befall(*this);
    if (dice.chance(150)) liar->lie();
    if (options.planted == Planted::stolen_signature && dice.chance(50)) liar->forge_feed(hq, "plans", node(hq).keys.sign);
    act(*this);
  }
}

void World::liveness() {
  if (!violations_.empty() && options.planted == Planted::none) return;
  trace("heal");
  heal(*this);
  std::string unsettled_text = "not asked";
  const std::int64_t until = now_ms_ + 45 * 60'000;
  for (std::int64_t step = 1'000; now_ms_ < until && !unsettled_text.empty(); step = std::min<std::int64_t>(step * 3 / 2, 20'000)) {
    pass(step);
    unsettled_text = unsettled();
  }
  trace("settled or not: " + unsettled_text);
  invariants.liveness.settled_or_not(*this, unsettled_text);
  const auto count = [&] {
    std::uint64_t all = 0;
    for (const auto& it : nodes) all += it->messages_in;
    return all;
  };
  pass(60'000);
  const std::uint64_t before = count();
  constexpr std::int64_t rest_ms = 180'000;
  pass(rest_ms);
  invariants.liveness.at_rest(*this, count() - before, rest_ms);
  invariants.durability.end(*this);
  invariants.convergence.end(*this);
  invariants.tags.end(*this);
  invariants.authority.end(*this);
  invariants.entitlement.end(*this);
  invariants.no_plaintext.end(*this);
}

std::string World::unsettled() {
  for (const auto& it : nodes) {
    if (!is_honest(it->index)) continue;
    if (!it->running()) return it->name + " does not run";
    if (!it->engine->realm().policy() || it->engine->realm().policy()->version() != authority->version()) {
      return fmt::format("{} has policy {}, not {}", it->name, it->engine->realm().policy() ? it->engine->realm().policy()->version().value : 0,
                         authority->version().value);
    }
  }
  for (const auto& it : nodes) {
    if (!is_honest(it->index)) continue;
    for (const auto& [name, id] : authority->libraries()) {
      const node::Library* library = it->engine->library(id);
      if (library == nullptr || library->folder() == nullptr) continue;
      const auto refused = library->refused();
      if (!refused) return fmt::format("{} cannot read its records of {}: {}", it->name, name, refused.error().text);
      for (const auto& [record, why] : *refused) {
        const auto own = why == store::Refusal::ahead_of_clock ? made.find(record) : made.end();
        if (own != made.end() && !own->second.dated_ahead) return fmt::format("at {} a record of {} waits for its time", it->name, name);
      }
    }
  }
  for (const auto& [name, members] : authority->plan().libraries) {
    const LibraryId id = authority->library(name);
    const std::vector<node::Library::FeedState>* first = nullptr;
    std::vector<node::Library::FeedState> kept;
    std::string first_name;
    std::uint32_t honest = 0;
    for (const auto& it : nodes) {
      if (!members.contains(it->name) || !is_honest(it->index)) continue;
      ++honest;
      const node::Library* library = it->engine->library(id);
      if (library == nullptr) return it->name + " does not hold " + name;
      // A pack that the liar alone had, and threw away, is nobody's to give.
      const auto somebody_has = [&](const node::Library::Missing& pack) {
        return std::ranges::any_of(nodes, [&](const auto& other) {
          if (!is_honest(other->index)) return false;
          auto in = other->truth->read();
          const auto found = in ? in->has_pack(pack.address) : Result<bool>(false);
          return found && *found;
        });
      };
      if (std::ranges::any_of(library->missing(1000, std::numeric_limits<std::int64_t>::max()), somebody_has))
        return fmt::format("{} lacks {} packs of {}", it->name, library->missing_count(), name);
      std::vector<node::Library::FeedState> feeds = lines_of(*library);
      if (first == nullptr) {
        kept = std::move(feeds);
        first = &kept;
        first_name = it->name;
      } else if (feeds != *first) {
        return fmt::format("{} and {} have different feeds of {}", it->name, first_name, name);
      }
    }
    for (const auto& it : nodes) {
      if (!members.contains(it->name) || !is_honest(it->index) || kept.empty()) continue;
      if (it->engine->library(id)->missing_count() != 0) continue;  // nobody can sign for what nobody has
      if (it->engine->copies(id) + 1 < honest)
        return fmt::format("{} has receipts of {} others for {}, of {}", it->name, it->engine->copies(id), name, honest - 1);
    }
  }
  return {};
}

}  // namespace dozo::simulator
