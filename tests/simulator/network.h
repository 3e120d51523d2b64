// Network: links between the nodes of a simulated realm, as the transport gives them: whole messages, in order on each channel of a link, lost only with
// their link; no order between the channels; a send may be refused.
//
// A link comes up some time after both ends want it and nothing is between them, and each end is told of its end on its own; sometimes of a new link
// without a word that the old one is gone.
// Threads: one owner. World drives it.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <set>

#include "node/engine.h"
#include "tests/simulator/dice.h"
#include "tests/simulator/seen.h"

namespace dozo::simulator {

using NodeIndex = std::size_t;

/// What the network needs of the world.
class Surroundings {
 public:
  virtual ~Surroundings() = default;
  virtual std::int64_t now_ms() const = 0;
  virtual void at(std::int64_t when_ms, std::function<void()> what) = 0;
  virtual void give(NodeIndex to, node::Engine::Input input) = 0;
  /// Both run and each names the other among its peers.
  virtual bool want_link(NodeIndex a, NodeIndex b) const = 0;
};

class Network {
 public:
  Network(Surroundings& world, Dice& dice, Coverage& coverage) : world_(world), dice_(dice), coverage_(coverage) {}

  void add_node(NodeIndex node, const NodeId& id);
  /// Peers, processes or partitions changed: links go and come.
  void refresh();
  void send(NodeIndex from, NodeIndex to, sync::Channel channel, const Bytes& bytes);
  /// Over no link, as an introduction or its answer: arrives some time, or never.
  bool reaches(NodeIndex a, NodeIndex b) const;

  // ---- faults
  void separate(const std::set<NodeIndex>& island);  ///< from all others
  void mend();                                       ///< every partition
  void break_link(NodeIndex a, NodeIndex b);
  void slow_down(NodeIndex from, NodeIndex to, std::int64_t bytes_per_s, std::int64_t latency_ms);  ///< this way alone
  void calm();                                                                                      ///< from now on nothing is refused, doubled, slow or cut
  /// A process is gone: its links with it, its peers are told in time.
  void node_gone(NodeIndex node);
  bool any_up() const;
  bool is_up(NodeIndex a, NodeIndex b) const;

 private:
  struct Line {  ///< one channel in one direction
    std::int64_t free_ms = 0, last_arrival_ms = 0;
    std::size_t waiting = 0;
  };
  struct Way {
    std::int64_t bytes_per_s = 4'000'000, latency_ms = 20;
  };
  struct Link {
    enum class State : std::uint8_t { down, coming, up } state = State::down;
    std::uint64_t generation = 0;
    std::int64_t not_before_ms = 0;
    std::array<Way, 2> ways;                   ///< by direction: from the lower end, from the higher
    std::array<std::array<Line, 2>, 2> lines;  ///< by direction, by channel
    std::size_t slices_waiting = 0;            ///< of packs of more than one
  };
  using Ends = std::pair<NodeIndex, NodeIndex>;  ///< lower first
  static Ends ends(NodeIndex a, NodeIndex b) { return {std::min(a, b), std::max(a, b)}; }
  void bring_up(const Ends& which);
  void take_down(const Ends& which, Link& link, bool silently_for_gone, NodeIndex gone);

  Surroundings& world_;
  Dice& dice_;
  Coverage& coverage_;
  bool calm_ = false;
  std::map<NodeIndex, NodeId> ids_;
  std::map<Ends, Link> links_;
  std::map<NodeIndex, int> side_;
};

}  // namespace dozo::simulator
