// Entitlement: nothing of a library goes to a node that HQ's plan does not give it to, as of the version that the sender has in force; and nobody has a
// key that no plan ever gave it.
#include <fmt/format.h>

#include "store/truth.h"
#include "tests/simulator/world.h"

namespace dozo::simulator {
namespace {

bool holds(const World& world, PolicyVersion version, const std::string& node, const std::string& library) {
  if (version.value == 0) return false;
  const Plan& plan = world.authority->plan_at(version);
  const auto members = plan.libraries.find(library);
  return members != plan.libraries.end() && members->second.contains(node);
}

bool ever(const World& world, const std::string& node, const std::string& library, policy::Holding least) {
  for (std::uint64_t version = 1; version <= world.authority->version().value; ++version) {
    const Plan& plan = world.authority->plan_at({version});
    const auto members = plan.libraries.find(library);
    if (members == plan.libraries.end()) continue;
    const auto member = members->second.find(node);
    if (member != members->second.end() && member->second.holding >= least) return true;
  }
  return false;
}

}  // namespace

void Entitlement::sent(World& world, const Sent& it) const {
  if (it.message == nullptr) return;
  const std::string& to = world.node(it.to).name;
  for (const LibraryId& id : libraries_of(*it.message)) {
    for (const auto& [name, known] : world.authority->libraries()) {
      if (known != id) continue;
      if (!holds(world, it.before, to, name) && !holds(world, it.after, to, name)) {
        world.violate("entitlement", fmt::format("{} sends {} a message ({}) of {}, which policy {} does not give it", world.node(it.from).name, to,
                                                 it.message->index(), name, it.after.value));
      }
    }
  }
}

void Entitlement::stranger_answered(World& world, const Process& node, ByteView bytes) const {
  const auto message = sync::decode(bytes, sync::introduction_bytes_most);
  if (!message || !std::holds_alternative<sync::Versions>(*message)) world.violate("entitlement", node.name + " tells a stranger more than versions");
}

void Entitlement::end(World& world) const {
  for (const auto& node : world.nodes) {
    if (!world.is_honest(node->index) || !node->running()) continue;
    for (const auto& [name, id] : world.authority->libraries()) {
      bool key = false;
      for (const auto& [library, epoch] : node->engine->realm().keys().list()) key = key || library == id;
      if (key && !ever(world, node->name, name, policy::Holding::partial)) world.violate("entitlement", node->name + " has a key of " + name);
      auto in = node->truth->read();
      const auto usage = in ? in->usage(id) : Result<store::PackUsage>(std::unexpected(in.error()));
      if (usage && usage->count != 0 && !ever(world, node->name, name, policy::Holding::blind)) {
        world.violate("entitlement", fmt::format("{} has {} packs of {}", node->name, usage->count, name));
      }
    }
  }
}

}  // namespace dozo::simulator
