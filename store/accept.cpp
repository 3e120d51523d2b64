#include "store/accept.h"

#include <algorithm>

namespace dozo::store {
namespace {

bool concerns(const CutSubject& subject, const NodeId& sequencer, const Record& record) {
  if (const auto* node = std::get_if<NodeId>(&subject)) return *node == sequencer || *node == record.device;
  return std::get<PersonId>(subject) == record.person;
}

/// The entry goes forward in its feed and from its policy, and the record was made shortly before it. A record of a desk, which may have been without its
/// bureau for days, may be older.
bool fits(const EntryTime& time, const FeedId& feed, const Record& record) {
  const std::int64_t made_ms = time_ms(record.hlc);
  // Clocks are set by seconds, and headquarters' is another.
  if (time.time_ms < std::max(time.latest_before_ms, time.policy_issued_ms) - lead_ms_most || made_ms - lead_ms_most > time.time_ms) return false;
  return record.device != feed.node || made_ms + entry_lag_ms_most >= time.time_ms;
}

}  // namespace

std::string_view name_of(Refusal refusal) {
  switch (refusal) {
    case Refusal::policy_went_back: return "policy went back";
    case Refusal::policy_not_known: return "policy not known yet";
    case Refusal::no_right: return "no right";
    case Refusal::malformed: return "malformed";
    case Refusal::cut: return "cut";
    case Refusal::packs_not_held: return "packs not held yet";
    case Refusal::ahead_of_clock: return "ahead of the clock";
    case Refusal::suspended: return "suspended";
    case Refusal::wrong_time: return "wrong time";
  }
  return "unknown";
}

Sequence end_of(const Cut& cut, const FeedId& feed, std::span<const Admit> admits) {
  const auto named = cut.ends.find(feed);
  Sequence end = named == cut.ends.end() ? Sequence{0} : named->second;
  for (const Admit& admit : admits) {
    if (admit.cut == cut.since && admit.subject == cut.subject && admit.feed == feed) end = std::max(end, admit.sequence);
  }
  return end;
}

bool is_final(Refusal refusal) {
  switch (refusal) {
    case Refusal::policy_went_back:
    case Refusal::no_right:
    case Refusal::malformed:
    case Refusal::cut:
    case Refusal::wrong_time: return true;
    case Refusal::policy_not_known:
    case Refusal::packs_not_held:
    case Refusal::ahead_of_clock:
    case Refusal::suspended: return false;
  }
  return false;
}

std::optional<Refusal> judge(const EntryFacts& entry, const Rights& rights, std::span<const Cut> cuts, std::span<const Admit> admits,
                             std::optional<std::int64_t> trusted_ms) {
  if (entry.policy < entry.highest_before) return Refusal::policy_went_back;
  if (!rights.knows(entry.policy)) return Refusal::policy_not_known;
  if (!entry.record) return Refusal::malformed;
  const Record& record = *entry.record;
  if (!rights.allows(entry.policy, entry.feed.node, record)) return Refusal::no_right;
  if (!entry.well_formed) return Refusal::malformed;
  if (entry.time && !fits(*entry.time, entry.feed, record)) return Refusal::wrong_time;
  for (const Cut& cut : cuts) {
    if (entry.policy < cut.since && concerns(cut.subject, entry.feed.node, record) && entry.sequence > end_of(cut, entry.feed, admits)) return Refusal::cut;
  }
  if (!entry.packs_held) return Refusal::packs_not_held;
  // The hybrid time has 48 bits of milliseconds; the trusted time may be anything, so the sum is made where it cannot overflow.
  if (trusted_ms && time_ms(record.hlc) - lead_ms_most > *trusted_ms) return Refusal::ahead_of_clock;
  return std::nullopt;
}

}  // namespace dozo::store
