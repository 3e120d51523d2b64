// Liveness: once everything is healed the realm comes to the newest policy, every entry and every pack is where it belongs, everybody has everybody's receipt,
// and then nothing is said any more but that all is well.
#include <fmt/format.h>

#include "tests/simulator/world.h"

namespace dozo::simulator {
namespace {

/// Of all nodes together, at rest: States now and then, HQ's hourly word, and asking for packs that nobody has.
constexpr std::uint64_t messages_per_minute_and_link_most = 34;

}  // namespace

void Liveness::sent(World& world, const Sent& it) const {
  if (it.message == nullptr) world.violate("liveness", fmt::format("{} sends what nobody takes ({} bytes)", world.node(it.from).name, it.bytes.size()));
}

void Liveness::introduced(World& world, const Process& from, ByteView bytes) const {
  if (bytes.size() > sync::introduction_bytes_most + 1024) world.violate("liveness", from.name + " introduces itself with too much");
}

void Liveness::stormed(World& world, std::uint64_t events) const { world.violate("liveness", fmt::format("a storm: {} events", events)); }

void Liveness::settled_or_not(World& world, const std::string& unsettled) const {
  if (!unsettled.empty()) world.violate("liveness", "45 minutes after all was healed: " + unsettled);
}

void Liveness::at_rest(World& world, std::uint64_t messages, std::int64_t over_ms) const {
  const std::uint64_t links = world.nodes.size() * (world.nodes.size() - 1) / 2;
  const std::uint64_t most = messages_per_minute_and_link_most * links * static_cast<std::uint64_t>(over_ms) / 60'000;
  if (messages > most) world.violate("liveness", fmt::format("at rest {} messages in {} s", messages, over_ms / 1000));
}

}  // namespace dozo::simulator
