// Durability: an acknowledged save is on every disk that promised to hold it and was not lost since, and in the end, while one such promise is left, with
// everybody who may have it.
#include <fmt/format.h>

#include "store/entry.h"
#include "store/truth.h"
#include "tests/simulator/workload.h"
#include "tests/simulator/world.h"

namespace dozo::simulator {
namespace {

/// What is not there of a save; empty: all is.
std::string lacking(Process& node, const Save& save) {
  auto in = node.truth->read();
  if (!in) return in.error().text;
  const auto bytes = in->entry(store::Branch(save.feed), save.sequence);
  if (!bytes) return bytes.error().text;
  if (!*bytes) return "its entry";
  const auto entry = store::decode_entry(**bytes);
  if (!entry) return entry.error().text;
  const auto* packs = std::get_if<std::vector<store::PackListing>>(&entry->packs);
  if (packs == nullptr) return {};
  for (const store::PackListing& pack : *packs) {
    const auto found = in->pack_checked(pack.address);
    if (!found) return found.error().text;
    if (!*found) return "a pack of it";
  }
  return {};
}

}  // namespace

void Durability::start_refused(World& world, const Process& node, const Error& why) const {
  // Damage that the node itself found: it is made anew from the others.
  if (why.fault == Fault::corrupt || why.fault == Fault::unavailable) return;
  world.violate("durability", fmt::format("{} does not start: {}", node.name, why.text));
}

void Durability::started(World& world, Process& node) const {
  if (!world.is_honest(node.index)) return;
  for (const Save& save : world.saves) {
    if (!world.is_honest(save.origin) || !save.holders.contains(node.index)) continue;  // a forked feed has no one place
    const std::string lacks = lacking(node, save);
    if (lacks.empty()) continue;
    world.violate("durability", fmt::format("{} said that it holds the save of operation {} (by {}), and after a start lacks: {}", node.name, save.operation,
                                            world.node(save.origin).name, lacks));
    return;
  }
}

void Durability::end(World& world) const {
  for (const Save& save : world.saves) {
    if (save.holders.empty() || !world.is_honest(save.origin)) continue;
    std::string library;
    for (const auto& [name, id] : world.authority->libraries()) {
      if (id == save.feed.library) library = name;
    }
    const auto& members = world.authority->plan().libraries.at(library);
    for (const auto& node : world.nodes) {
      if (!world.is_honest(node->index) || !members.contains(node->name) || !node->running()) continue;
      const std::string lacks = lacking(*node, save);
      if (!lacks.empty()) {
        world.violate("durability", fmt::format("the save of operation {} by {} in {} (entry {}) is promised by {} nodes; {} lacks: {}", save.operation,
                                                world.node(save.origin).name, library, save.sequence.value, save.holders.size(), node->name, lacks));
        return;
      }
      const node::Library* held = node->engine->library(save.feed.library);
      if (held == nullptr || held->folder() == nullptr) continue;
      const auto refused = held->refused();
      if (!refused) continue;  // convergence says so
      const auto found = refused->find(save.record);
      if (found == refused->end()) continue;
      const auto made = world.made.find(save.record);
      if (found->second == store::Refusal::ahead_of_clock && made != world.made.end() && made->second.dated_ahead) continue;
      world.violate("durability", fmt::format("the save of operation {} by {} in {} is refused by {}: {}", save.operation, world.node(save.origin).name,
                                              library, node->name, store::name_of(found->second)));
      return;
    }
  }
  // What is shown can be read, to the last byte.
  for (const auto& [name, members] : world.authority->plan().libraries) {
    for (const auto& node : world.nodes) {
      const auto member = members.find(node->name);
      if (member == members.end() || member->second.holding != policy::Holding::full || !world.is_honest(node->index) || !node->running()) continue;
      const node::Library* library = node->engine->library(world.authority->library(name));
      if (library == nullptr || library->missing_count() != 0) continue;  // liveness says what must be there
      const std::string wrong = read_all(world, *node, name);
      if (!wrong.empty()) world.violate("durability", fmt::format("{} cannot read all of {}: {}", node->name, name, wrong));
    }
  }
}

}  // namespace dozo::simulator
