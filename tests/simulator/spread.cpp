// spread: how long a policy and a suspension take to every node of a large realm, in virtual time: real engines, each linked with all others.
//
//     spread NODES [LOSS_PERCENT [SEED]]
//
// Every message takes 5 to 120 ms. One that is lost is sent again, as TCP does, after 0.2, 0.6, 1.4 s and so on, and those behind it on its channel wait. One
// JSON object.
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <unordered_map>

#include "crypto/seeded_random.h"
#include "crypto/start.h"
#include "policy/envelope.h"
#include "tests/simulator/authority.h"
#include "tests/simulator/process.h"

using namespace dozo;
using namespace dozo::simulator;

namespace {

constexpr std::int64_t begin_ms = 1'800'000'000'000;

template <class... Functions>
struct Overloaded : Functions... {
  using Functions::operator()...;
};

class Realm {
 public:
  Realm(std::size_t count, std::uint32_t loss_percent, std::uint64_t seed)
      : loss_percent_(loss_percent), dice_(seed), authority_("spread", begin_ms / 1000), arrivals_(count * count * 2, 0) {
    Plan plan;
    for (std::size_t i = 0; i < count; ++i) {
      const std::string name = i == 0 ? "hq" : "n" + std::to_string(i);
      nodes_.push_back(std::make_unique<Process>(name, i));
      by_id_[nodes_.back()->keys.id] = i;
      authority_.admit(name, nodes_.back()->keys.public_part());
      plan.nodes[name] = {i == 0 ? policy::NodeKind::hq : policy::NodeKind::bureau, "zone-" + std::to_string(i % 47)};
    }
    for (std::size_t i = 0; i < std::min<std::size_t>(count, 5); ++i) plan.libraries["works"][nodes_[i]->name] = {policy::Holding::full, true};
    plan.homes["works"] = nodes_[1]->name;
    plan_ = plan;
    first_ = authority_.publish(plan, {}, begin_ms / 1000);
  }

  /// All nodes run, hold the first policy, and each pair is linked.
  void begin() {
    for (auto& it : nodes_) {
      std::optional<crypto::SigningKey> freshness;
      if (it->index == 0) freshness = authority_.freshness_key();
      const auto started = it->start({authority_.first_root(), {authority_.contact("hq")}, std::move(freshness), now()});
      if (!started) fail_with(started.error().text);
      for (int round = 0; round < 2; ++round) (void)it->engine->answer(node::local::OfferRequest{first_}, now());
      pump(*it);
    }
    for (std::size_t a = 0; a < nodes_.size(); ++a)
      for (std::size_t b = 0; b < nodes_.size(); ++b)
        if (a != b) at(now_ms_ + dice_.between(0, 2'000), [this, a, b] { give(a, sync::LinkUp{nodes_[b]->keys.id}); });
    run_until(now_ms_ + 60'000);
  }

  /// Virtual milliseconds from a new policy at HQ until the last node goes by it.
  std::int64_t new_policy() {
    plan_.libraries["works"].erase(nodes_[2]->name);
    const std::vector<Bytes> envelopes = authority_.publish(plan_, {}, wall_s());
    return from_hq(envelopes, [&](const Process& it) { return it.engine->realm().trust().version() == authority_.version(); });
  }
  std::int64_t suspension() {
    policy::Stopped whom;
    whom.nodes = {nodes_[1]->keys.id};
    const Bytes envelope = authority_.suspend(1, whom, wall_s());
    return from_hq({envelope}, [&](const Process& it) { return it.engine->realm().stopped(now().wall_ms).nodes.contains(whom.nodes.front()); });
  }
  std::uint64_t messages() const { return messages_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  [[noreturn]] static void fail_with(const std::string& why) {
    fmt::print(stderr, "spread: {}\n", why);
    std::exit(1);
  }
  Now now() const { return {now_ms_, begin_ms + now_ms_}; }
  std::int64_t wall_s() const { return now().wall_ms / 1000; }
  void at(std::int64_t when_ms, std::function<void()> what) { events_.emplace(std::pair(when_ms, ++event_), std::move(what)); }

  template <class Has>
  std::int64_t from_hq(const std::vector<Bytes>& envelopes, Has&& has) {
    const std::int64_t from_ms = now_ms_;
    for (int round = 0; round < 2; ++round) (void)nodes_[0]->engine->answer(node::local::OfferRequest{envelopes}, now());
    pump(*nodes_[0]);
    std::size_t left = 0;
    const auto all = [&] {
      for (; left < nodes_.size(); ++left)
        if (!has(*nodes_[left])) return false;
      return true;
    };
    while (!all()) {
      if (events_.empty() || now_ms_ > from_ms + 600'000) fail_with(nodes_[left]->name + " was not reached in ten minutes");
      step();
    }
    const std::int64_t took_ms = now_ms_ - from_ms;
    run_until(now_ms_ + 60'000);
    return took_ms;
  }

  void step() {
    auto event = events_.extract(events_.begin());
    now_ms_ = event.key().first;
    event.mapped()();
  }
  void run_until(std::int64_t when_ms) {
    while (!events_.empty() && events_.begin()->first.first <= when_ms) step();
    now_ms_ = std::max(now_ms_, when_ms);
  }
  void give(NodeIndex to, const node::Engine::Input& input) {
    Process& it = *nodes_[to];
    it.engine->on(input, now());
    it.wake_ms.reset();
    pump(it);
  }
  void send(NodeIndex from, NodeIndex to, sync::Channel channel, Bytes bytes) {
    ++messages_;
    bytes_ += bytes.size();
    std::int64_t arrival_ms = now_ms_ + dice_.between(5, 120);
    for (std::int64_t again_ms = 200; dice_.below(100) < loss_percent_; again_ms *= 2) arrival_ms += again_ms;
    std::int64_t& last_ms = arrivals_[(from * nodes_.size() + to) * 2 + static_cast<std::size_t>(channel)];
    last_ms = arrival_ms = std::max(arrival_ms, last_ms);
    at(arrival_ms, [this, from, to, channel, bytes = std::move(bytes)] { give(to, sync::Received{nodes_[from]->keys.id, channel, bytes}); });
  }
  void pump(Process& it) {
    std::optional<std::int64_t> wake;
    for (node::Engine::Output& output : it.engine->take_outputs())
      std::visit(Overloaded{[&](sync::Send& what) {
                              if (const auto to = by_id_.find(what.peer); to != by_id_.end()) send(it.index, to->second, what.channel, std::move(what.bytes));
                            },
                            [&](const sync::WakeAt& what) { wake = wake ? std::min(*wake, what.steady_ms) : what.steady_ms; }, [&](const auto&) {}},
                 output);
    if (!wake || (it.wake_ms && *it.wake_ms <= *wake)) return;
    it.wake_ms = wake;
    at(*wake, [this, index = it.index, when = *wake] {
      if (nodes_[index]->wake_ms == when) give(index, sync::Tick{});
    });
  }

  struct Hash {
    std::size_t operator()(const NodeId& id) const { return static_cast<std::size_t>(get_u64(id.bytes.data())); }
  };
  const std::uint32_t loss_percent_;
  Dice dice_;
  Authority authority_;
  Plan plan_;
  std::vector<Bytes> first_;
  std::vector<std::unique_ptr<Process>> nodes_;
  std::unordered_map<NodeId, NodeIndex, Hash> by_id_;
  std::vector<std::int64_t> arrivals_;  ///< the last one, by direction and channel
  std::map<std::pair<std::int64_t, std::uint64_t>, std::function<void()>> events_;
  std::uint64_t event_ = 0, messages_ = 0, bytes_ = 0;
  std::int64_t now_ms_ = 1'000;
};

}  // namespace

int main(int count, char** arguments) {
  const std::size_t nodes = count > 1 ? std::strtoull(arguments[1], nullptr, 10) : 0;
  const auto loss = static_cast<std::uint32_t>(count > 2 ? std::strtoul(arguments[2], nullptr, 10) : 5);
  const std::uint64_t seed = count > 3 ? std::strtoull(arguments[3], nullptr, 10) : 1;
  if (nodes < 3 || nodes > 2000 || loss > 90 || !crypto::start())
    return fmt::print(stderr, "usage: spread NODES [LOSS_PERCENT [SEED]], of 3 to 2000 nodes\n"), 2;
  crypto::use_seeded_randomness(seed);
  const auto begin = std::chrono::steady_clock::now();
  Realm realm(nodes, loss, seed);
  realm.begin();
  const std::uint64_t messages_before = realm.messages();
  const std::int64_t policy_ms = realm.new_policy();
  const std::uint64_t policy_messages = realm.messages() - messages_before, bytes_before = realm.bytes();
  const std::int64_t suspension_ms = realm.suspension();
  fmt::print(
      "{{\"nodes\":{},\"loss_percent\":{},\"policy_seconds\":{:.3f},\"suspension_seconds\":{:.3f},\"policy_messages\":{},\"suspension_messages\":{},"
      "\"suspension_bytes\":{},\"took_seconds\":{:.1f}}}\n",
      nodes, loss, static_cast<double>(policy_ms) / 1000, static_cast<double>(suspension_ms) / 1000, policy_messages,
      realm.messages() - messages_before - policy_messages, realm.bytes() - bytes_before,
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  return 0;
}
