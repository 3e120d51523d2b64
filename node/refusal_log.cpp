#include "node/refusal_log.h"

#include <fmt/format.h>

#include <utility>

namespace dozo::node {

std::string RefusalLog::rules_of(const policy::Decision& decision) {
  const auto joined = [](const std::vector<std::string>& ids) {
    std::string out;
    for (const std::string& id : ids) out += (out.empty() ? "" : ", ") + id;
    return out;
  };
  if (!decision.forbids.empty()) return "by forbid " + joined(decision.forbids);
  if (!decision.errors.empty()) return "by what cannot be judged, " + joined(decision.errors);
  return decision.permits.empty() ? "as no permit fits" : "though permitted by " + joined(decision.permits);
}

void RefusalLog::note_act(std::string_view act, const LibraryId& library, const PersonId& person, const NodeId& device, PolicyVersion policy,
                          std::string_view why) {
  note(fmt::format("refused: {} in library {} by {} {}, policy {}: {}", act, library.hex(), person.is_zero() ? "node" : "person",
                   person.is_zero() ? device.hex() : person.hex(), policy.value, why));
}

void RefusalLog::note(std::string line) {
  if (lines_.size() < kept_most) {
    lines_.insert(std::move(line));
  } else if (!lines_.contains(line)) {
    ++more_;
  }
}

std::vector<std::string> RefusalLog::take() {
  std::vector<std::string> out(lines_.begin(), lines_.end());
  lines_.clear();
  if (const std::uint64_t more = std::exchange(more_, 0); more > 0) out.push_back(fmt::format("refused: {} more of the kind", more));
  return out;
}

}  // namespace dozo::node
