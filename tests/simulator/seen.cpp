#include "tests/simulator/seen.h"

#include <fmt/format.h>

namespace dozo::simulator {

std::string_view name_of(Seen seen) {
  static constexpr std::array<std::string_view, static_cast<std::size_t>(Seen::count_of_them)> names{
      "crash between calls",
      "crash in a call of the store",
      "crash before a commit",
      "crash after a commit",
      "partition",
      "link broken",
      "link broken in the midst of a pack",
      "slow link",
      "link slow one way",
      "message duplicated",
      "control and bulk reordered",
      "send refused",
      "disk full",
      "bit flipped in the truth",
      "bit flipped in what is derived",
      "what is derived deleted",
      "image restored",
      "disk lost",
      "clock skewed",
      "clock years off",
      "saved by a clock years ahead",
      "twelve nodes",
      "lie: wrong slice",
      "lie: replayed message",
      "lie: forged entry",
      "lie: write to a foreign library",
      "lie: asked for what it may not have",
      "lie: garbage",
      "lie: oversized",
      "lie: junk document",
      "lie: forged receipt",
      "lie: record that it may not write",
      "lie: two histories of one feed",
      "lie: packs of others listed falsely",
      "saved",
      "saved: many slices",
      "saved: many documents in one record",
      "moved",
      "removed",
      "read back",
      "save denied",
      "save stale: tried again",
      "epoch changed under a save",
      "crash under a save",
      "conflict shown",
      "conflict resolved",
      "past looked at",
      "past brought back",
      "tagged",
      "tag shown beside the history",
      "policy published",
      "member removed",
      "member returned",
      "newcomer admitted",
      "introduction used",
      "older policy fetched",
      "held by two",
      "held by three",
      "start refused for damage",
      "damage repaired",
      "record refused",
      "feed with two lines",
  };
  return names[static_cast<std::size_t>(seen)];
}

void Coverage::add(const Coverage& other) {
  for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
}

std::string Coverage::table() const {
  std::string out;
  for (std::size_t i = 0; i < counts_.size(); ++i) out += fmt::format("  {:<42}{:>10}\n", name_of(static_cast<Seen>(i)), counts_[i]);
  return out;
}

std::string Coverage::missing() const {
  std::string out;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    if (counts_[i] == 0) out += (out.empty() ? "" : ", ") + std::string(name_of(static_cast<Seen>(i)));
  }
  return out;
}

}  // namespace dozo::simulator
