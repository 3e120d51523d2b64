#include <array>

#include "base/invariant.h"
#include "store/feed.h"
#include "sync/messages.h"
#include "tests/fuzz/targets.h"

namespace dozo::fuzz {
namespace {

bool sync_message(ByteView bytes) {
  const auto it = sync::decode(bytes, sync::control_bytes_most);
  if (!it) return false;
  INVARIANT(sync::encode(*it) == bytes_of(bytes));
  return true;
}

/// Entries as a peer gives them, to a feed of which nothing is held yet. On a fault the tail must be as it was.
bool entries_given(ByteView bytes) {
  const auto it = sync::decode(bytes, sync::control_bytes_most);
  const auto* given = it ? std::get_if<sync::EntriesGiven>(&*it) : nullptr;
  if (given == nullptr) return false;
  store::FeedTail tail(feed);
  const Bytes before = tail.encode();
  const auto entries = tail.check_batch(given->entries, given->head_note, given->proof, signing_key().public_key());
  INVARIANT(entries ? tail.sequence().value == entries->size() : tail.encode() == before);
  return entries.has_value();
}

constexpr std::array targets{Target{"sync_message", sync_message}, Target{"entries_given", entries_given}};

}  // namespace

std::span<const Target> sync_targets() { return targets; }

}  // namespace dozo::fuzz
