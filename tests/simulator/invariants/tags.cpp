// Tags: what a tag names is shown alike everywhere, and never changes for what comes later, or late.
#include <fmt/format.h>

#include <algorithm>

#include "tests/simulator/world.h"

namespace dozo::simulator {
namespace {

/// All records that count.
std::set<RecordId> accepted(node::Library& library) {
  const auto history = library.history();
  const auto records = history ? records_to({*history, (*history)->size()}) : Result<std::vector<RecordId>>(std::unexpected(history.error()));
  return records ? std::set<RecordId>(records->begin(), records->end()) : std::set<RecordId>();
}

}  // namespace

Result<std::vector<RecordId>> records_to(const node::Library::Moment& moment) {
  std::vector<RecordId> out;
  for (std::uint64_t k = 1; k <= moment.number; ++k) out.push_back(TRY(moment.history->record_at(k)));
  return out;
}

void Tags::end(World& world) const {
  for (const Tagged& it : world.tags) {
    std::optional<std::string> first;  // what it shows, or why not
    std::string first_name;
    for (const auto& node : world.nodes) {
      if (!world.is_honest(node->index) || !node->running()) continue;
      node::Library* library = node->engine->library(it.library);
      if (library == nullptr || library->folder() == nullptr) continue;
      const std::set<RecordId> all = accepted(*library);
      const auto moment = library->tagged(it.tag);
      const auto tree = moment ? moment->history->tree_at(moment->number) : Result<store::GitId>(std::unexpected(moment.error()));
      const auto records = moment ? records_to(*moment) : Result<std::vector<RecordId>>(std::vector<RecordId>());
      const std::string shown = tree ? tree->hex() : std::string(name_of(tree.error().fault));
      if (!first) first = shown, first_name = node->name;
      if (shown != *first) world.violate("tags", fmt::format("{} and {} differ about a tag: {} and {}", first_name, node->name, *first, shown));
      if (!tree || !records) continue;
      if (*library->history() != moment->history) world.coverage.note(Seen::tag_shown_beside);
      const auto was_there = [&](const RecordId& record) { return std::ranges::find(it.records, record) != it.records.end(); };
      for (const RecordId& record : *records) {
        if (!was_there(record) && !it.not_counting.contains(record)) world.violate("tags", fmt::format("{}: a tag shows what came after it", node->name));
      }
      for (const RecordId& record : it.records) {
        if (all.contains(record) && std::ranges::find(*records, record) == records->end())
          world.violate("tags", fmt::format("{}: a tag lacks what it named", node->name));
      }
      if (*records == it.records && *tree != it.tree) world.violate("tags", fmt::format("{}: a tag shows the same records otherwise", node->name));
    }
  }
}

}  // namespace dozo::simulator
