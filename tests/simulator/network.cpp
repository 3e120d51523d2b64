#include "tests/simulator/network.h"

namespace dozo::simulator {
namespace {

constexpr std::size_t control_queue = 1000, bulk_queue = 64;
constexpr std::int64_t told_ms_most = 3'000;  // of a link that broke

}  // namespace

void Network::add_node(NodeIndex node, const NodeId& id) {
  for (const auto& [other, its] : ids_) {
    Link& link = links_[ends(node, other)];
    for (Way& way : link.ways) way = {dice_.between(1, 40) * 100'000, dice_.between(2, 120)};
  }
  ids_[node] = id;
}

bool Network::reaches(NodeIndex a, NodeIndex b) const {
  const auto side = [&](NodeIndex node) {
    const auto found = side_.find(node);
    return found == side_.end() ? 0 : found->second;
  };
  return side(a) == side(b);
}

void Network::refresh() {
  for (auto& [which, link] : links_) {
    const bool wanted = reaches(which.first, which.second) && world_.want_link(which.first, which.second);
    if (!wanted && link.state != Link::State::down) take_down(which, link, false, which.first);
    if (wanted && link.state == Link::State::down) {
      link.state = Link::State::coming;
      const std::uint64_t generation = ++link.generation;
      const std::int64_t when = std::max(world_.now_ms(), link.not_before_ms) + dice_.between(5, 700);
      world_.at(when, [this, which, generation] {
        Link& it = links_.at(which);
        if (it.generation == generation && it.state == Link::State::coming) bring_up(which);
      });
    }
  }
}

void Network::bring_up(const Ends& which) {
  Link& link = links_.at(which);
  link.state = Link::State::up;
  link.lines = {};
  link.slices_waiting = 0;
  const std::uint64_t generation = link.generation;
  for (const auto& [to, peer] : {which, Ends{which.second, which.first}}) {
    world_.at(world_.now_ms() + dice_.between(0, 50), [this, which, generation, to, peer] {
      if (links_.at(which).generation == generation) world_.give(to, sync::LinkUp{ids_.at(peer)});
    });
  }
}

void Network::take_down(const Ends& which, Link& link, bool silently_for_gone, NodeIndex gone) {
  const bool was_up = link.state == Link::State::up;
  if (was_up && link.slices_waiting > 0) coverage_.note(Seen::link_broken_mid_pack);
  link.state = Link::State::down;
  ++link.generation;
  link.not_before_ms = world_.now_ms() + told_ms_most + 100;
  if (!was_up) return;
  for (const auto& [to, peer] : {which, Ends{which.second, which.first}}) {
    if (silently_for_gone && to == gone) continue;
    // Now and then the next thing that an end hears is that the link is up again.
    if (!calm_ && dice_.chance(150)) continue;
    world_.at(world_.now_ms() + (calm_ ? 0 : dice_.between(0, told_ms_most)), [this, to, peer] { world_.give(to, sync::LinkDown{ids_.at(peer)}); });
  }
}

void Network::send(NodeIndex from, NodeIndex to, sync::Channel channel, const Bytes& bytes) {
  const Ends which = ends(from, to);
  Link& link = links_.at(which);
  const auto refuse = [&] {
    coverage_.note(Seen::send_refused);
    world_.at(world_.now_ms(), [this, from, peer = ids_.at(to), channel] { world_.give(from, sync::SendRefused{peer, channel}); });
  };
  if (link.state != Link::State::up) return refuse();
  const std::size_t direction = from < to ? 0 : 1;
  const Way& way = link.ways[direction];
  Line& line = link.lines[direction][static_cast<std::size_t>(channel)];
  if (line.waiting >= (channel == sync::Channel::control ? control_queue : bulk_queue)) return refuse();
  if (!calm_ && dice_.chance(4)) return refuse();

  const bool of_many = bytes.size() > sync::slice_bytes_most / 2 && channel == sync::Channel::bulk;
  const std::int64_t begin = std::max(world_.now_ms(), line.free_ms);
  line.free_ms = begin + static_cast<std::int64_t>(bytes.size()) * 1000 / way.bytes_per_s;
  std::int64_t arrival = line.free_ms + way.latency_ms;
  if (!calm_ && dice_.chance(20)) arrival += dice_.between(50, 2'000);
  line.last_arrival_ms = std::max(line.last_arrival_ms, arrival);
  const Line& beside = link.lines[direction][channel == sync::Channel::control ? 1 : 0];
  if (beside.last_arrival_ms > line.last_arrival_ms) coverage_.note(Seen::reordered);
  const int copies = !calm_ && dice_.chance(10) ? 2 : 1;
  if (copies == 2) coverage_.note(Seen::duplicated);
  for (int copy = 0; copy < copies; ++copy) {
    ++line.waiting;
    if (of_many) ++link.slices_waiting;
    const auto arrive = [this, which, generation = link.generation, from, to, channel, of_many, bytes]() {
      Link& it = links_.at(which);
      if (it.generation != generation) return;
      --it.lines[from < to ? 0 : 1][static_cast<std::size_t>(channel)].waiting;
      if (of_many) --it.slices_waiting;
      world_.give(to, sync::Received{ids_.at(from), channel, bytes});
    };
    world_.at(line.last_arrival_ms, arrive);
    if (copies == 2) line.last_arrival_ms += dice_.between(0, 500);
  }
}

void Network::separate(const std::set<NodeIndex>& island) {
  const int number = static_cast<int>(dice_.below(1'000'000)) + 1;
  for (const NodeIndex node : island) side_[node] = number;
  refresh();
}
void Network::mend() {
  side_.clear();
  refresh();
}
void Network::break_link(NodeIndex a, NodeIndex b) {
  const Ends which = ends(a, b);
  Link& link = links_.at(which);
  if (link.state == Link::State::up) coverage_.note(Seen::link_broken);
  take_down(which, link, false, a);
  refresh();
}
void Network::slow_down(NodeIndex from, NodeIndex to, std::int64_t bytes_per_s, std::int64_t latency_ms) {
  links_.at(ends(from, to)).ways[from < to ? 0 : 1] = {bytes_per_s, latency_ms};
}
void Network::calm() {
  calm_ = true;
  for (auto& [which, link] : links_) link.ways = {};
  mend();
}
void Network::node_gone(NodeIndex node) {
  for (auto& [which, link] : links_) {
    if ((which.first == node || which.second == node) && link.state != Link::State::down) take_down(which, link, true, node);
  }
}
bool Network::is_up(NodeIndex a, NodeIndex b) const { return links_.at(ends(a, b)).state == Link::State::up; }
bool Network::any_up() const {
  for (const auto& [which, link] : links_) {
    if (link.state == Link::State::up) return true;
  }
  return false;
}

}  // namespace dozo::simulator
