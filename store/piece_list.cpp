#include "store/piece_list.h"

#include "base/archive.h"
#include "base/invariant.h"

namespace dozo::store {

template <class A>
void serialize(A& archive, PieceRef& it) {
  archive(it.id, it.size);
}

namespace {

struct NodeForm {
  std::uint8_t format = list_format;
  ListNode node;
};
template <class A>
void serialize(A& archive, NodeForm& it) {
  archive(it.format, it.node.level, archive::capped<node_entries_most>(it.node.entries));
}

/// Whether a node may end after this entry: one id in 64.
bool ends_node(const PieceId& id) { return (id.bytes.back() & 0x3f) == 0; }

std::uint64_t size_of(const std::vector<PieceRef>& entries, std::size_t count) {
  std::uint64_t out = 0;
  for (std::size_t i = 0; i < count; ++i) out += entries[i].size;
  return out;
}

}  // namespace

Bytes encode(const ListNode& node) { return archive::encode(NodeForm{list_format, node}); }

Result<ListNode> decode_list_node(ByteView bytes, std::uint8_t level, std::uint64_t expected_size) {
  if (!bytes.empty() && bytes[0] != list_format) return fail(Fault::unsupported, "a list node of format " + std::to_string(bytes[0]));
  NodeForm form = TRY(archive::decode<NodeForm>(bytes, piece_bytes_most(PieceType::list), "a list node"));
  if (level < 1 || form.node.level != level) return fail(Fault::malformed, "a list node of another level");
  TRY(check_entries(form.node.entries, static_cast<std::uint8_t>(level - 1), expected_size));
  if (form.node.entries.empty()) return fail(Fault::malformed, "a list node that is empty");
  return std::move(form.node);
}

Result<void> check_entries(const std::vector<PieceRef>& entries, std::uint8_t level, std::uint64_t size) {
  if (level > list_levels_most) return fail(Fault::malformed, "a list of too many levels");
  std::uint64_t sum = 0;
  for (const PieceRef& entry : entries) {
    // Each is at most 2^50 and there are at most node_entries_most: no overflow.
    const std::uint64_t most = level == 0 ? piece_bytes_most(PieceType::content) : content_bytes_most;
    if (entry.size == 0 || entry.size > most) return fail(Fault::malformed, "a list entry of a size that none has");
    sum += entry.size;
  }
  if (entries.size() > node_entries_most || sum > content_bytes_most || sum != size) return fail(Fault::malformed, "a list that is not as long as its content");
  return {};
}

void ListBuilder::add(const PieceRef& piece, std::vector<Made>& made) {
  INVARIANT(piece.size > 0 && piece.size <= piece_bytes_most(PieceType::content));
  size_ += piece.size;
  if (size_ <= content_bytes_most) push(0, piece, made);  // else finish() says so
}

// The first level that stays within root_entries_most to the end is the root. Until a level has gone over that, nothing of it is put into nodes.
void ListBuilder::push(std::size_t level, const PieceRef& entry, std::vector<Made>& made) {
  if (levels_.size() == level) levels_.emplace_back();
  levels_[level].open.push_back(entry);
  const auto cut_at = [&](std::size_t from) -> std::size_t {
    const auto& open = levels_[level].open;
    for (std::size_t i = from; i < open.size(); ++i) {
      if (i + 1 == node_entries_most || (i + 1 >= node_entries_min && ends_node(open[i].id))) return i + 1;
    }
    return 0;
  };
  if (levels_[level].in_nodes) {
    if (const std::size_t count = cut_at(levels_[level].open.size() - 1)) close(level, count, made);
    return;
  }
  if (levels_[level].open.size() <= root_entries_most) return;
  levels_[level].in_nodes = true;
  while (const std::size_t count = cut_at(0)) close(level, count, made);
}

void ListBuilder::close(std::size_t level, std::size_t count, std::vector<Made>& made) {
  auto& open = levels_[level].open;
  const auto end = open.begin() + static_cast<std::ptrdiff_t>(count);
  const ListNode node{static_cast<std::uint8_t>(level + 1), {open.begin(), end}};
  Made out{{{}, size_of(open, count)}, encode(node)};
  out.ref.id = piece_id(PieceType::list, out.bytes);
  open.erase(open.begin(), end);
  const PieceRef ref = out.ref;
  made.push_back(std::move(out));
  push(level + 1, ref, made);
}

Result<ListRoot> ListBuilder::finish(std::vector<Made>& made) {
  ListRoot root;
  const std::uint64_t size = size_;
  if (size <= content_bytes_most) {
    for (std::size_t level = 0; level < levels_.size(); ++level) {
      if (!levels_[level].in_nodes) {
        root = {static_cast<std::uint8_t>(level), std::move(levels_[level].open)};
        break;
      }
      if (!levels_[level].open.empty()) close(level, levels_[level].open.size(), made);
    }
  }
  levels_.clear();
  size_ = 0;
  if (size > content_bytes_most) return fail(Fault::over_limit, "a content longer than any may be");
  // Every node but a level's last has node_entries_min entries, so 2^50 bytes in pieces of 16 KiB take at most 7 levels of them.
  INVARIANT(root.level <= list_levels_most);
  return root;
}

}  // namespace dozo::store
