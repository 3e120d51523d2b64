// Seen: which faults were done and which states came about, and how often, over all seeds of a run. A run of many seeds that never saw one of those
// listed here tests less than it says, and fails.
// Threads: a value.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace dozo::simulator {

enum class Seen : std::uint8_t {
  // faults
  crash_between_calls,
  crash_in_call,
  crash_before_commit,
  crash_after_commit,
  partition,
  link_broken,
  link_broken_mid_pack,
  slow_link,
  slow_one_way,
  duplicated,
  reordered,
  send_refused,
  disk_full,
  truth_bit_flipped,
  derived_bit_flipped,
  derived_deleted,
  image_restored,
  disk_lost,
  clock_skewed,
  clock_years_off,
  saved_years_ahead,
  twelve_nodes,
  // lies
  lie_wrong_slice,
  lie_replayed,
  lie_forged_entry,
  lie_foreign_write,
  lie_asked_for_more,
  lie_garbage,
  lie_oversized,
  lie_junk_document,
  lie_forged_receipt,
  lie_bad_record,
  lie_forked,
  lie_false_listing,
  // states
  saved,
  saved_large,
  saved_many_at_once,
  moved,
  removed,
  read_back,
  save_denied,
  save_stale,
  epoch_changed_under_save,
  crashed_under_save,
  conflict_shown,
  conflict_resolved,
  looked_back,
  brought_back,
  tagged,
  tag_shown_beside,
  policy_published,
  member_removed,
  member_returned,
  newcomer_admitted,
  introduced,
  older_policy_fetched,
  held_by_two,
  held_by_three,
  start_refused,
  damage_repaired,
  record_refused,
  feed_forked,
  count_of_them,
};
std::string_view name_of(Seen seen);

class Coverage {
 public:
  void note(Seen seen, std::uint64_t times = 1) { counts_[static_cast<std::size_t>(seen)] += times; }
  std::uint64_t of(Seen seen) const { return counts_[static_cast<std::size_t>(seen)]; }
  void add(const Coverage& other);
  std::string table() const;
  /// Names of those that never came about.
  std::string missing() const;

 private:
  std::array<std::uint64_t, static_cast<std::size_t>(Seen::count_of_them)> counts_{};
};

}  // namespace dozo::simulator
