// Accept: whether a record counts, as a pure function of signed facts, so that all nodes come to the same answer.
//
// A refused record does not stop its feed, and one accepted carrier is enough: the same record may stand in several entries.
// Not here: signatures of feeds and sessions (feed.h, record.h), what policy says (the authoriser behind Rights).
// Threads: pure.
#pragma once
#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <variant>

#include "store/record.h"

namespace dozo::store {

inline constexpr std::int64_t lead_ms_most = 5 * 60 * 1000;

enum class Refusal : std::uint8_t {
  policy_went_back,  ///< an earlier entry of the feed names a newer policy
  policy_not_known,  ///< not held here yet: may change
  no_right,          ///< of the node, the device or the person, in that policy
  malformed,         ///< the record cannot be decoded, or is not well formed
  cut,               ///< lies beyond a cut of its node, device or person; a later policy may admit it
  packs_not_held,    ///< may change
  ahead_of_clock,    ///< more than five minutes ahead of this node's trusted time: will change
  suspended,         ///< its node is suspended: until that ends, or becomes a cut
  wrong_time,        ///< of the entry: before its feed's last or its policy's; or too far from the record's
};
std::string_view name_of(Refusal refusal);

/// A record is taken into a feed no later than this after it was stamped: as long as a session lasts.
inline constexpr std::int64_t entry_lag_ms_most = 12 * 60 * 60 * 1000;

/// When the entry was made, as its node says.
struct EntryTime {
  std::int64_t time_ms{};
  std::int64_t latest_before_ms{};  ///< of the entries before it in its feed
  std::int64_t policy_issued_ms{};  ///< the policy that it names
};

struct EntryFacts {
  FeedId feed;
  Sequence sequence;
  PolicyVersion policy;
  PolicyVersion highest_before;   ///< of the entries before it in its feed; 0 for the first
  const Record* record{};         ///< null: cannot be decoded. Its operations are not asked for
  bool well_formed{};             ///< the record, by itself (record.h)
  bool packs_held{};              ///< its meta packs
  std::optional<EntryTime> time;  ///< nothing: is not asked
};

/// What policy says. Must answer from signed documents alone: the same for everybody who holds them.
class Rights {
 public:
  virtual ~Rights() = default;
  virtual bool knows(PolicyVersion version) const = 0;
  /// The sequencing node, the record's device and its person (in its role) all had the right to this record under a known version.
  virtual bool allows(PolicyVersion version, const NodeId& sequencer, const Record& record) const = 0;
};

using CutSubject = std::variant<NodeId, PersonId>;  ///< a node is meant as sequencer and as device

/// Ends what its subject wrote, and nobody else: entries beyond the named sequence (0 for feeds not named) that name an older policy.
struct Cut {
  PolicyVersion since;
  CutSubject subject;
  std::map<FeedId, Sequence> ends;
};
/// Raises one cut for one feed.
struct Admit {
  PolicyVersion cut;
  CutSubject subject;
  FeedId feed;
  Sequence sequence;
};

/// Up to where the cut leaves the feed.
Sequence end_of(const Cut& cut, const FeedId& feed, std::span<const Admit> admits);
/// Will stay so by itself: neither time nor what may still come changes it, only a policy.
bool is_final(Refusal refusal);

/// Nothing: accepted. `cuts` and `admits` are those of the newest policy held. Without `trusted_ms` the clock is not asked.
std::optional<Refusal> judge(const EntryFacts& entry, const Rights& rights, std::span<const Cut> cuts, std::span<const Admit> admits,
                             std::optional<std::int64_t> trusted_ms);

}  // namespace dozo::store
