// spread: how long a policy and a suspension take to every node of a large realm, in virtual time: real engines, each linked with all others.
//
//     spread NODES [LOSS_PERCENT [SEED]]
//
// One JSON object.
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>

#include "crypto/start.h"
#include "tests/simulator/stage.h"

using namespace dozo;
using namespace dozo::simulator;

namespace {

/// Virtual milliseconds until the last node has it.
template <class Has>
std::int64_t reached(Stage& stage, Has&& has) {
  const std::int64_t from_ms = stage.now_ms();
  std::size_t left = 0;
  const bool all = stage.until(
      [&] {
        while (left < stage.size() && has(stage.node(left))) ++left;
        return left == stage.size();
      },
      600'000);
  if (!all) {
    fmt::print(stderr, "spread: {} was not reached in ten minutes\n", stage.node(left).name);
    std::exit(1);
  }
  const std::int64_t took_ms = stage.now_ms() - from_ms;
  stage.run(60'000);
  return took_ms;
}

}  // namespace

int main(int count, char** arguments) {
  const std::size_t nodes = count > 1 ? std::strtoull(arguments[1], nullptr, 10) : 0;
  const auto loss = static_cast<std::uint32_t>(count > 2 ? std::strtoul(arguments[2], nullptr, 10) : 5);
  const std::uint64_t seed = count > 3 ? std::strtoull(arguments[3], nullptr, 10) : 1;
  if (nodes < 3 || nodes > 2000 || loss > 90 || !crypto::start())
    return fmt::print(stderr, "usage: spread NODES [LOSS_PERCENT [SEED]], of 3 to 2000 nodes\n"), 2;
  const auto begin = std::chrono::steady_clock::now();
  Stage stage(seed, loss);
  for (std::size_t i = 0; i < nodes; ++i)
    stage.add(i == 0 ? "hq" : "n" + std::to_string(i), i == 0 ? policy::NodeKind::hq : policy::NodeKind::bureau, "zone-" + std::to_string(i % 47));
  for (std::size_t i = 0; i < std::min<std::size_t>(nodes, 5); ++i) stage.plan.libraries["works"][stage.node(i).name] = {policy::Holding::full, true};
  stage.plan.homes["works"] = stage.node(1).name;
  stage.begin();

  const std::uint64_t messages_before = stage.messages();
  stage.plan.libraries["works"].erase(stage.node(2).name);
  stage.publish();
  const std::int64_t policy_ms = reached(stage, [&](const Process& it) { return it.engine->realm().trust().version() == stage.authority->version(); });
  const std::uint64_t policy_messages = stage.messages() - messages_before, bytes_before = stage.bytes();
  policy::Stopped whom;
  whom.nodes = {stage.node(1).keys.id};
  stage.offer(stage.node(0), {stage.authority->suspend(1, whom, stage.wall_s())});
  const std::int64_t suspension_ms =
      reached(stage, [&](const Process& it) { return it.engine->realm().stopped(stage.now_of(it).wall_ms).nodes.contains(whom.nodes.front()); });
  fmt::print(
      "{{\"scenario\":\"spread\",\"nodes\":{},\"loss_percent\":{},\"policy_seconds\":{:.3f},\"suspension_seconds\":{:.3f},\"policy_messages\":{},\"suspension_"
      "messages\":{},"
      "\"suspension_bytes\":{},\"took_seconds\":{:.1f}}}\n",
      nodes, loss, static_cast<double>(policy_ms) / 1000, static_cast<double>(suspension_ms) / 1000, policy_messages,
      stage.messages() - messages_before - policy_messages, stage.bytes() - bytes_before,
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  return 0;
}
