// Tag: names a state of a library by what it is made of: of each feed in it how many entries, and the root of the log there.
//
// docs/storage-format.md section 6 has the text. What comes later, a late record too, changes nothing of what a tag names.
// Not here: where tags are kept and what they show (node/library_tags.cpp).
// Threads: plain values and pure functions.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"

namespace dozo::store {

inline constexpr std::size_t tag_points_most = 4'096;  ///< as many as a receipt names
inline constexpr std::size_t tag_bytes_most = 1U << 20;

struct TagPoint {
  NodeId node;
  IncarnationId incarnation;
  Sequence sequence;  ///< from 1
  Digest root;        ///< of the log's first `sequence` entries: it tells the lines of a forked feed apart
  friend auto operator<=>(const TagPoint&, const TagPoint&) = default;
};

struct Tag {
  LibraryId library;
  std::vector<TagPoint> points;  ///< 1 to tag_points_most, ascending, each once
};

std::string encode(const Tag& tag);
/// Faults: over_limit, malformed, unsupported (a newer format). Encodes to the same bytes.
Result<Tag> decode_tag(std::string_view text);

}  // namespace dozo::store
