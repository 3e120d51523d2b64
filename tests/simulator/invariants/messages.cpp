#include <algorithm>

#include "tests/simulator/invariants/invariant.h"
#include "tests/simulator/world.h"

namespace dozo::simulator {
std::vector<node::Library::FeedState> lines_of(const node::Library& library) {
  std::vector<node::Library::FeedState> out = library.feeds();
  std::ranges::sort(out, {}, [](const node::Library::FeedState& it) { return std::tuple(it.feed, it.known, it.root); });
  return out;
}

std::vector<LibraryId> libraries_of(const sync::Message& message) {
  return std::visit(
      Overloaded{[](const sync::State&) { return std::vector<LibraryId>{}; }, [](const sync::DocumentsWanted&) { return std::vector<LibraryId>{}; },
                 [](const sync::DocumentsGiven&) { return std::vector<LibraryId>{}; }, [](const sync::Versions&) { return std::vector<LibraryId>{}; },
                 [](const sync::LibraryStates& it) {
                   std::vector<LibraryId> out;
                   for (const sync::LibraryState& library : it.libraries) out.push_back(library.library);
                   return out;
                 },
                 [](const sync::EntriesWanted& it) { return std::vector{it.point.feed.library}; },
                 [](const sync::EntriesGiven& it) { return std::vector{it.point.feed.library}; },
                 [](const sync::SliceWanted& it) { return std::vector{it.object.library}; },
                 [](const sync::SliceGiven& it) { return std::vector{it.object.library}; },
                 [](const sync::ObjectUnavailable& it) { return std::vector{it.object.library}; }, [](const auto& it) { return std::vector{it.library}; }},
      message);
}

}  // namespace dozo::simulator
