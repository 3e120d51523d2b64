// Stage: a realm of real engines for stories and measurements: virtual time, links that lose, and clocks that the story turns. Unlike World nothing happens by
// chance but what the network does.
//
// Every message takes 5 to 120 ms; one that is lost is sent again, as TCP does, after 0.2, 0.6, 1.4 s and so on, and those behind it on its channel wait.
// Threads: one owner. Seeded randomness is the process's: one Stage at a time.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "tests/simulator/authority.h"
#include "tests/simulator/process.h"

namespace dozo::simulator {

class Stage {
 public:
  static constexpr std::int64_t begin_ms = 1'800'000'000'000;
  static constexpr std::int64_t day_ms = std::int64_t{24} * 60 * 60 * 1000;

  Stage(std::uint64_t seed, std::uint32_t loss_percent);

  /// Before begin(): a node of the realm. The first is headquarters' and signs freshness.
  NodeIndex add(const std::string& name, policy::NodeKind kind, const std::string& zone);
  /// Publishes `plan`, starts all nodes with it, and links them all.
  void begin();

  Plan plan;
  std::unique_ptr<Authority> authority;
  Process& node(NodeIndex index) { return *nodes_[index]; }
  Process& node(const std::string& name) { return *nodes_[by_name_.at(name)]; }
  std::size_t size() const { return nodes_.size(); }

  Now now_of(const Process& it) const { return {now_ms_, begin_ms + leapt_ms_ + now_ms_ + it.astray_ms}; }
  std::int64_t now_ms() const { return now_ms_; }
  std::int64_t wall_s() const { return (begin_ms + leapt_ms_ + now_ms_) / 1000; }
  /// So many days pass at once, for everybody's clock.
  void leap(std::int64_t days) { leapt_ms_ += days * day_ms; }
  void run(std::int64_t some_ms);
  /// Until it holds, at most so long. Whether it does.
  bool until(const std::function<bool()>& holds, std::int64_t most_ms);

  void start(Process& it);
  void stop(Process& it);
  void cut(Process& a, Process& b);
  void cut_off(Process& it);  ///< from all
  void link(Process& a, Process& b);
  void link_all();
  /// From now on `from` answers `to` without any document of the authority.
  void mute(Process& from, Process& to) { mute_.insert({from.index, to.index}); }
  /// A message that `from` did not mean to send.
  void say(Process& from, Process& to, const sync::Message& message) { send(from.index, to.index, sync::Channel::control, sync::encode(message)); }

  /// HQ's next publication of `plan`, handed to its node where that runs.
  std::vector<Bytes> publish(const policy::Changes& changes = {});
  void offer(Process& to, const std::vector<Bytes>& envelopes);
  node::local::Answer ask(Process& of, const node::local::Request& request);
  /// A new, empty folder of that name.
  Result<Sequence> save(Process& at, const std::string& library, const std::string& name);
  std::set<std::string> shown(Process& at, const std::string& library);
  std::uint64_t version(const Process& it) const { return it.engine->realm().trust().version().value; }

  std::uint64_t messages() const { return messages_; }
  std::uint64_t bytes() const { return bytes_; }
  Dice dice;

 private:
  void at(std::int64_t when_ms, std::function<void()> what) { events_.emplace(std::pair(when_ms, ++event_), std::move(what)); }
  void step();
  void give(NodeIndex to, const node::Engine::Input& input);
  void send(NodeIndex from, NodeIndex to, sync::Channel channel, Bytes bytes);
  void pump(Process& it);
  std::pair<NodeIndex, NodeIndex> pair_of(const Process& a, const Process& b) const { return std::minmax(a.index, b.index); }

  struct Hash {
    std::size_t operator()(const NodeId& id) const { return static_cast<std::size_t>(get_u64(id.bytes.data())); }
  };
  const std::uint32_t loss_percent_;
  std::vector<std::unique_ptr<Process>> nodes_;
  std::map<std::string, NodeIndex> by_name_;
  std::unordered_map<NodeId, NodeIndex, Hash> by_id_;
  std::set<std::pair<NodeIndex, NodeIndex>> cut_, mute_;
  std::vector<std::int64_t> arrivals_;  ///< the last one, by direction and channel
  std::map<std::pair<std::int64_t, std::uint64_t>, std::function<void()>> events_;
  std::uint64_t event_ = 0, messages_ = 0, bytes_ = 0;
  std::int64_t now_ms_ = 1'000, leapt_ms_ = 0;
};

}  // namespace dozo::simulator
