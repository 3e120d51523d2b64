// Convergence: at rest, honest nodes with the same rights have the same feeds, show the same folder, and derive the same history, commit by commit.
#include <fmt/format.h>

#include "tests/simulator/world.h"

namespace dozo::simulator {
namespace {

struct Seen_by {
  std::string name;
  std::vector<node::Library::FeedState> feeds;
  std::map<std::string, store::Shown> folder;
  std::vector<store::Conflict> conflicts;
  std::vector<store::GitId> commits;
};

}  // namespace

void Convergence::end(World& world) const {
  for (const auto& [name, members] : world.authority->plan().libraries) {
    std::optional<Seen_by> first, first_keyed;
    for (const auto& node : world.nodes) {
      const auto member = members.find(node->name);
      if (member == members.end() || !world.is_honest(node->index) || !node->running()) continue;
      node::Library* library = node->engine->library(world.authority->library(name));
      if (library == nullptr) continue;  // liveness says so
      Seen_by here{node->name, lines_of(*library), {}, {}, {}};
      if (!first) first = Seen_by{here.name, here.feeds, {}, {}, {}};
      if (here.feeds != first->feeds) world.violate("convergence", fmt::format("{} and {} have different feeds of {}", first->name, here.name, name));
      if (member->second.holding != policy::Holding::full) continue;
      if (library->folder() == nullptr) {
        world.violate("convergence", fmt::format("{} has no keys of {}", node->name, name));
        continue;
      }
      const auto folder = library->folder()->entries();
      const auto conflicts = library->folder()->conflicts();
      const auto refused = library->refused();
      if (!folder || !conflicts || !refused) {
        const Error& why = !folder ? folder.error() : !conflicts ? conflicts.error() : refused.error();
        world.violate("convergence", fmt::format("{} cannot read its folder of {}: {}", node->name, name, why.text));
        continue;
      }
      here.folder = *folder;
      here.conflicts = *conflicts;
      world.coverage.note(Seen::conflict_shown, here.conflicts.size());
      world.coverage.note(Seen::feed_forked, library->forked_count());
      world.coverage.note(Seen::record_refused, refused->size());
      const auto history = library->history();
      if (!history) {
        world.violate("convergence", fmt::format("{} has no history of {}: {}", node->name, name, history.error().text));
        continue;
      }
      for (std::uint64_t k = 1; k <= (*history)->size(); ++k) {
        const auto id = (*history)->id_at(k);
        if (id) here.commits.push_back(*id);
      }
      if (!first_keyed) {
        first_keyed = std::move(here);
        continue;
      }
      const auto differ = [&](std::string_view what) {
        world.violate("convergence", fmt::format("{} and {} have different {} of {}", first_keyed->name, here.name, what, name));
      };
      if (here.folder != first_keyed->folder) differ("folders");
      if (here.conflicts != first_keyed->conflicts) differ("conflicts");
      if (here.commits != first_keyed->commits) differ("commits");
    }
  }
}

}  // namespace dozo::simulator
