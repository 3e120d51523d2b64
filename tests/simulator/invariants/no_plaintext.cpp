// No plaintext: every content, path, title and text of a run has the run's tag in it; no byte of any disk and of any message may show it.
#include <fmt/format.h>

#include <string.h>

#include "tests/simulator/world.h"

namespace dozo::simulator {
namespace {

bool shows(ByteView bytes, const std::string& tag) { return text_of(bytes).find(tag) != std::string_view::npos; }

}  // namespace

void NoPlaintext::sent(World& world, const Sent& it) const {
  if (shows(it.bytes, world.tag)) {
    world.violate("no_plaintext", fmt::format("{} sends {} something in clear (message {})", world.node(it.from).name, world.node(it.to).name,
                                              it.message != nullptr ? static_cast<int>(it.message->index()) : -1));
  }
}

void NoPlaintext::end(World& world) const {
  for (const auto& node : world.nodes) {
    for (const auto& [disk, which] : {std::pair(&node->disks.truth, "truth"), std::pair(&node->disks.derived, "derived")}) {
      for (std::size_t table = 0; table < disk->tables.size(); ++table) {
        for (const auto& [key, value] : disk->tables[table]) {
          if (shows(key, world.tag) || shows(value, world.tag)) {
            world.violate("no_plaintext", fmt::format("table {} of {} of {} has something in clear", table, which, node->name));
            break;
          }
        }
      }
    }
  }
}

}  // namespace dozo::simulator
