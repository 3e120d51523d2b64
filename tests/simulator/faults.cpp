#include "tests/simulator/faults.h"

#include <fmt/format.h>

#include "store/truth_check.h"
#include "tests/simulator/workload.h"

namespace dozo::simulator {
namespace {

/// Whether this node's disk may be lost without breaking a promise that only it still keeps; now and then it may anyway.
bool others_hold(World& world, NodeIndex index) {
  if (world.dice.chance(50)) return true;
  return std::none_of(world.saves.begin(), world.saves.end(), [&](const Save& save) { return save.holders.size() == 1 && save.holders.contains(index); });
}

void start_later(World& world, NodeIndex index) {
  world.at(world.now_ms() + world.dice.between(200, 60'000), [&world, index] { world.start(index); });
}

void crash_soon(World& world, Process& node) {
  if (!node.running()) return;
  node.crash_is_due = true;
  store::MemoryKv& kv = world.dice.chance(800) ? *node.truth_kv : *node.derived_kv;
  switch (world.dice.below(3)) {
    case 0:
      world.coverage.note(Seen::crash_in_call);
      kv.inject_at(1 + world.dice.below(400), store::Injected::crash);
      break;
    default: {
      const auto what = world.dice.chance(500) ? store::Injected::crash : store::Injected::crash_after;
      world.coverage.note(what == store::Injected::crash ? Seen::crash_before_commit : Seen::crash_after_commit);
      auto left = std::make_shared<std::uint64_t>(1 + world.dice.below(6));
      kv.inject([left, what](std::string_view operation) { return operation == "commit" && --*left == 0 ? what : store::Injected::none; });
    }
  }
}

void flip(World& world, Process& node) {
  if (world.dice.chance(500)) {
    if (!node.disks.derived.flip_any_bit(world.dice.next())) return;
    world.coverage.note(Seen::derived_bit_flipped);
    world.trace("bit flipped in derived of " + node.name);
    world.derived_doubtful.insert(node.index);
    return;
  }
  if (!others_hold(world, node.index) || !node.disks.truth.flip_any_bit(world.dice.next())) return;
  world.coverage.note(Seen::truth_bit_flipped);
  world.trace("bit flipped in truth of " + node.name);
  world.release_promises(node.index);
  world.doubtful.insert(node.index);
  if (node.save) node.save->bit_flipped = true;
}

void restore(World& world, Process& node) {
  auto& images = world.images[node.index];
  if (images.empty() || !others_hold(world, node.index)) return;
  const auto& [taken_ms, image] = images[world.dice.below(images.size())];
  world.stop(node.index);
  node.disks = image;
  world.coverage.note(Seen::image_restored);
  world.trace(fmt::format("image of {} restored: {} s old", node.name, (world.now_ms() - taken_ms) / 1000));
  world.release_promises(node.index, taken_ms);
  start_later(world, node.index);
}

}  // namespace

void befall(World& world) {
  Dice& dice = world.dice;
  // Images are taken all the time, of disks as they are.
  if (dice.chance(60)) {
    Process& node = world.some_honest_node();
    if (!world.doubtful.contains(node.index)) {
      auto& images = world.images[node.index];
      if (images.size() == 3) images.pop_front();
      images.emplace_back(world.now_ms(), node.disks);
    }
  }
  if (!dice.chance(180)) return;
  Process& node = world.some_honest_node();
  switch (dice.below(17)) {
    case 0:
    case 1:
    case 2: return crash_soon(world, node);
    case 3:
      if (!node.running()) return;
      world.coverage.note(Seen::crash_between_calls);
      world.stop(node.index);
      return start_later(world, node.index);
    case 4: {
      std::set<NodeIndex> island;
      for (NodeIndex i = 0; i < world.nodes.size(); ++i) {
        if (dice.chance(400)) island.insert(i);
      }
      world.coverage.note(Seen::partition);
      world.trace("partition");
      return world.network.separate(island);
    }
    case 5: return world.network.mend();
    case 6:
    case 7:
    case 8: {
      const NodeIndex other = dice.below(world.nodes.size());
      if (other == node.index) return;
      return world.network.break_link(node.index, other);
    }
    case 9: {
      const NodeIndex other = dice.below(world.nodes.size());
      if (other == node.index) return;
      const bool one_way = dice.chance(500);
      world.coverage.note(one_way ? Seen::slow_one_way : Seen::slow_link);
      const std::int64_t bytes_per_s = dice.between(3'000, 60'000), latency_ms = dice.between(100, 3'000);
      world.network.slow_down(node.index, other, bytes_per_s, latency_ms);
      if (!one_way) world.network.slow_down(other, node.index, bytes_per_s, latency_ms);
      return;
    }
    case 10: {
      world.coverage.note(Seen::disk_full);
      world.trace("disk of " + node.name + " is full");
      node.disks.truth.bytes_most = node.disks.truth.used_bytes + dice.below(20'000);
      world.at(world.now_ms() + dice.between(5'000, 120'000), [&node] { node.disks.truth.bytes_most = ~std::uint64_t{0}; });
      return;
    }
    case 11:
    case 12: return flip(world, node);
    case 13:
      world.coverage.note(Seen::derived_deleted);
      world.stop(node.index);
      node.disks.derived = {};
      return start_later(world, node.index);
    case 14: return restore(world, node);
    case 15: {
      // A battery is empty, or somebody mistyped the year. HQ's is never ahead: what its freshness says moves everybody's time.
      if (node.astray_ms != 0) return;
      constexpr std::int64_t day_ms = std::int64_t{24} * 60 * 60 * 1000;
      const bool ahead = node.index != World::hq && dice.chance(500);
      node.astray_ms = dice.between(300, 1'500) * day_ms * (ahead ? 1 : -1);
      world.coverage.note(Seen::clock_years_off);
      world.trace(fmt::format("the clock of {} is {} days off", node.name, node.astray_ms / day_ms));
      world.at(world.now_ms() + dice.between(5'000, 120'000), [&node] { node.astray_ms = 0; });
      return;
    }
    default:
      if (!others_hold(world, node.index)) return;
      world.coverage.note(Seen::disk_lost);
      world.wipe(node.index);
      return start_later(world, node.index);
  }
}

void heal(World& world) {
  world.network.calm();
  world.liar->stop_lying();
  for (const auto& it : world.nodes) {
    it->astray_ms = 0;
    it->disks.truth.bytes_most = ~std::uint64_t{0};
    if (it->running()) {
      it->crash_is_due = false;
      it->truth_kv->inject(nullptr);
      it->derived_kv->inject(nullptr);
      it->truth_kv->inject_at(0, store::Injected::none);
      it->derived_kv->inject_at(0, store::Injected::none);
      finish_save(world, *it);
    }
  }
  world.pass(70'000);  // whatever was to be started, is
  for (const NodeIndex index : world.doubtful) {
    // Damage that nobody met may be anywhere: the disk is made anew from the others.
    world.coverage.note(Seen::damage_repaired);
    world.wipe(index);
  }
  world.doubtful.clear();
  for (NodeIndex i = 0; i < world.nodes.size(); ++i) {
    if (world.derived_doubtful.contains(i)) {
      world.stop(i);
      world.node(i).disks.derived = {};
    }
    world.start(i);
  }
  // HQ's last word: everybody who should be there, is.
  world.plan.libraries["works"]["biei"] = {policy::Holding::full, true};
  if (!world.plan.nodes.contains("chitose")) {
    world.plan.nodes["chitose"] = {policy::NodeKind::bureau, "sapporo"};
    world.plan.libraries["works"]["chitose"] = {policy::Holding::full, true};
    world.plan.libraries["plans"]["chitose"] = {policy::Holding::full, false};
  }
  // An officer looks whether it came into force: what is published within seconds of HQ's own renewal may be dated before that (docs/status.md).
  for (int attempt = 0; attempt < 3; ++attempt) {
    world.publish();
    world.pass(30'000);
    const auto policy = world.node(World::hq).engine->realm().policy();
    if (policy && policy->version() == world.authority->version()) return;
  }
}

}  // namespace dozo::simulator
