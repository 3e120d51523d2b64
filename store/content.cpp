#include "store/content.h"

#include <algorithm>

#include "base/invariant.h"

namespace dozo::store {
namespace {

Result<ListNode> node_at(PieceSource& source, const PieceRef& ref, std::uint8_t level) {
  const Bytes bytes = TRY(source.piece(ref.id, PieceType::list));
  return decode_list_node(bytes, level, ref.size);
}

Result<void> walk_below(const std::vector<PieceRef>& entries, std::uint8_t level, PieceSource& source, const PieceVisitor& visit) {
  for (const PieceRef& entry : entries) {
    TRY(visit(level == 0 ? PieceType::content : PieceType::list, entry));
    if (level == 0) continue;
    const ListNode node = TRY(node_at(source, entry, level));
    TRY(walk_below(node.entries, static_cast<std::uint8_t>(level - 1), source, visit));
  }
  return {};
}

/// The entry in which `offset` lies, and where it begins. Needs: offset below what they are together.
std::pair<const PieceRef*, std::uint64_t> entry_at(const std::vector<PieceRef>& entries, std::uint64_t start, std::uint64_t offset) {
  for (const PieceRef& entry : entries) {
    if (offset - start < entry.size) return {&entry, start};
    start += entry.size;
  }
  INVARIANT(false);
}

}  // namespace

Result<void> walk(const Manifest& manifest, PieceSource& source, const PieceVisitor& visit) {
  return walk_below(manifest.list.entries, manifest.list.level, source, visit);
}

ContentReader::ContentReader(Manifest manifest, PieceSource& source) : manifest_(std::move(manifest)), source_(source) {
  INVARIANT(well_formed(manifest_).has_value());
  verified_ = manifest_.size == 0;
}

// Opens the piece in which `offset` lies, from the lowest node on the way that is open already.
Result<void> ContentReader::seek(std::uint64_t offset) {
  if (offset >= piece_start_ && offset - piece_start_ < piece_.size()) return {};
  const auto holds = [&](const Open& open) { return offset >= open.start && offset - open.start < open.size; };
  while (!path_.empty() && !holds(path_.back())) path_.pop_back();
  auto level = path_.empty() ? manifest_.list.level : static_cast<std::uint8_t>(path_.back().node.level - 1);
  for (;; --level) {
    const auto [entry, start] = path_.empty() ? entry_at(manifest_.list.entries, 0, offset) : entry_at(path_.back().node.entries, path_.back().start, offset);
    if (level == 0) {
      Bytes piece = TRY(source_.piece(entry->id, PieceType::content));
      if (piece.size() != entry->size) return fail(Fault::malformed, "a piece that is not as long as its list says");
      piece_ = std::move(piece);
      piece_start_ = start;
      return {};
    }
    path_.push_back({TRY(node_at(source_, *entry, level)), start, entry->size});
  }
}

Result<std::size_t> ContentReader::read(std::uint64_t offset, ByteSpan to) {
  std::size_t done = 0;
  while (done < to.size() && offset < manifest_.size) {
    TRY(seek(offset));
    const ByteView from = ByteView(piece_).subspan(static_cast<std::size_t>(offset - piece_start_));
    const std::size_t count = std::min(from.size(), to.size() - done);
    std::copy_n(from.begin(), count, to.begin() + static_cast<std::ptrdiff_t>(done));
    if (offset <= hashed_ && hashed_ < offset + count) {
      hash_.update(from.first(count).subspan(static_cast<std::size_t>(hashed_ - offset)));
      hashed_ = offset + count;
      if (hashed_ == manifest_.size) {
        verified_ = hash_.finish() == manifest_.sha256;
        if (!verified_) hashed_ = 0;
        if (!verified_) return fail(Fault::not_authentic, "a content that is not what its manifest says");
      }
    }
    offset += count;
    done += count;
  }
  return done;
}

}  // namespace dozo::store
