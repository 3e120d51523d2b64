// World: one seed's whole realm in one thread: virtual time, the network, HQ's authority, honest nodes, a liar, and what the simulator itself knows to be
// true of them. Real code runs from the key-value seam up to the engine; everything around the engine is here.
//
//   hq, asahi, biei: full replicas of "works"; vault: a blind one; chitose: a bureau that comes during the run; dazai: has a library of its own and
//   no other; ema: the liar, a full member of "plans", which has no business in "works". Now and then five more nodes, most of them in "works".
//
// A run has a safety phase (acts and faults) and a liveness phase (all is healed; it must come to rest, in agreement).
// Not here: what is done (workload.h, faults.h, liar.h), what must hold (invariants/).
// Threads: one owner. Seeded randomness is the process's: one World at a time.
#pragma once
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/simulator/authority.h"
#include "tests/simulator/invariants/invariant.h"
#include "tests/simulator/liar.h"
#include "tests/simulator/network.h"
#include "tests/simulator/planted.h"
#include "tests/simulator/process.h"

namespace dozo::simulator {

/// One function of several, by the kind of a message.
template <class... Fs>
struct Overloaded : Fs... {
  using Fs::operator()...;
};

struct Options {
  std::uint64_t seed = 1;
  std::uint64_t operations = 300;
  bool trace = false;
  Planted planted = Planted::none;
};

/// A save that a node said was done.
struct Save {
  NodeIndex origin{};
  FeedId feed;
  Sequence sequence;
  RecordId record;
  std::uint64_t operation{};
  std::map<NodeIndex, std::int64_t> holders;  ///< nodes that promise to hold it, and since when (virtual time); none: no promise is left
};
/// A record that a node of the simulator made and signed, acknowledged or not.
struct Made {
  NodeIndex origin{};
  LibraryId library;
  PolicyVersion policy;
  bool dated_ahead{};  ///< by a clock that was years ahead: it waits for its time
};

/// A tag that somebody gave, and what it showed then.
struct Tagged {
  LibraryId library;
  store::Tag tag;
  std::vector<RecordId> records;    ///< that it showed
  std::set<RecordId> not_counting;  ///< that were refused then; a cut that is raised may yet bring them back
  store::GitId tree;
};

class World final : public Surroundings {
 public:
  explicit World(const Options& options);
  ~World() override;

  /// Both phases.
  void run();
  const std::vector<Violation>& violations() const { return violations_; }

  // ---- surroundings of the network
  std::int64_t now_ms() const override { return now_ms_; }
  void at(std::int64_t when_ms, std::function<void()> what) override;
  void give(NodeIndex to, node::Engine::Input input) override;
  bool want_link(NodeIndex a, NodeIndex b) const override;

  // ---- for workload, faults, liar and invariants
  Dice dice;
  Coverage coverage;
  Network network{*this, dice, coverage};
  std::unique_ptr<Authority> authority;
  std::vector<std::unique_ptr<Process>> nodes;
  Invariants invariants;
  std::unique_ptr<Liar> liar;
  const Options options;
  std::string tag;  ///< stands in every content, path, text and title, and nowhere else
  std::vector<Save> saves;
  std::map<RecordId, Made> made;
  std::vector<Made> unseen;  ///< made while the history of its node, which alone tells the record, could not be read
  std::vector<Tagged> tags;
  Plan plan;  ///< that HQ would publish next
  std::uint64_t operation = 0;
  std::map<NodeIndex, std::deque<std::pair<std::int64_t, Disks>>> images;  ///< of disks, and when they were taken
  std::set<NodeIndex> doubtful;                                            ///< a bit of their truth was turned over
  std::set<NodeIndex> derived_doubtful;                                    ///< the same of what they derive
  std::map<NodeIndex, Disks> before_commit;                                ///< planted forgetful_disk alone

  static constexpr NodeIndex hq = 0, liar_index = 6;
  Process& node(NodeIndex index) { return *nodes[index]; }
  Now now_of(const Process& node) const { return {now_ms_, usual_wall_ms(node) + node.astray_ms}; }
  /// What its clock says when it is not astray.
  std::int64_t usual_wall_ms(const Process& node) const { return base_wall_ms + now_ms_ + node.skew_ms; }
  Process* by_id(const NodeId& id);
  Process& some_honest_node() {
    const NodeIndex index = dice.below(nodes.size() - 1);
    return node(index < liar_index ? index : index + 1);
  }
  bool is_honest(NodeIndex index) const { return index != liar_index; }
  std::int64_t wall_s() const { return (base_wall_ms + now_ms_) / 1000; }

  void start(NodeIndex index, bool same_incarnation = false);
  /// Between two calls, as `kill -9` does.
  void stop(NodeIndex index);
  /// Whatever was called on an engine: a crash of its store ends it; else its outputs are done.
  void after_call(Process& node, bool was_input);
  /// Runs events until then.
  void run_until(std::int64_t when_ms);
  void pass(std::int64_t some_ms) { run_until(now_ms_ + some_ms); }
  /// What this node held it no longer stands for: all of it, or what it promised after a time.
  void release_promises(NodeIndex index, std::int64_t made_after_ms = -1);
  void wipe(NodeIndex index);

  void publish(const policy::Changes& changes = {});
  void hand_over();
  void violate(std::string_view invariant, std::string text);
  void trace(const std::string& line);
  /// Of everything traced so far: the same for the same seed.
  std::uint64_t fingerprint() const { return fingerprint_; }
  /// Nothing but timers of idle nodes; else what is not done yet.
  std::string unsettled();

  static constexpr std::int64_t base_wall_ms = 1'790'000'000'000;

 private:
  void safety();
  void liveness();
  void pump(Process& node, bool was_input);
  void introduce(Process& from, const node::Engine::Introduce& what);
  void trace_message(const Process& from, const Process& to, sync::Channel channel, ByteView bytes);

  std::int64_t now_ms_ = 1'000;
  std::uint64_t events_done_ = 0;
  std::uint64_t event_number_ = 0;
  std::multimap<std::pair<std::int64_t, std::uint64_t>, std::function<void()>> events_;
  std::vector<Violation> violations_;
  std::uint64_t fingerprint_ = 14695981039346656037ULL;
};

}  // namespace dozo::simulator
