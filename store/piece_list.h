// Piece list: what a content is made of, in order, as a tree of small nodes that are themselves cut by content: changing one piece of a content
// of any length costs about one node of 4 KiB per level. Equal lists make equal trees.
// Threads: values; a builder has one owner.
#pragma once
#include <optional>
#include <vector>

#include "store/piece.h"

namespace dozo::store {

inline constexpr std::uint8_t list_format = 1;
inline constexpr std::size_t root_entries_most = 96;  ///< a list no longer than this stands in the manifest itself
inline constexpr std::size_t node_entries_min = 32;   ///< but for a level's last node
inline constexpr std::size_t node_entries_most = 400;
inline constexpr std::uint8_t list_levels_most = 8;
inline constexpr std::uint64_t content_bytes_most = std::uint64_t{1} << 50;

/// Level 1 names content pieces, level n nodes of level n - 1.
struct ListNode {
  std::uint8_t level{};
  std::vector<PieceRef> entries;
  bool operator==(const ListNode&) const = default;
};

/// The top of a list: at level 0 content pieces, at level n nodes of level n.
struct ListRoot {
  std::uint8_t level{};
  std::vector<PieceRef> entries;  ///< none: an empty content
  bool operator==(const ListRoot&) const = default;
};

Bytes encode(const ListNode& node);
/// The node that `expected` named as one of `level`. Faults: over_limit, malformed (also where level or size is another), unsupported (a newer format).
Result<ListNode> decode_list_node(ByteView bytes, std::uint8_t level, std::uint64_t expected_size);

/// Whether all of `entries` can stand at `level` and are `size` together; nothing here overflows, whatever they say. Fault: malformed.
Result<void> check_entries(const std::vector<PieceRef>& entries, std::uint8_t level, std::uint64_t size);

/// Makes the tree as the pieces come. Holds a few nodes, however long the list is.
class ListBuilder {
 public:
  struct Made {
    PieceRef ref;
    Bytes bytes;
  };
  /// Appends a content piece (1 to piece_bytes_most bytes; else our own bug). Nodes that it completed are added to `made`, lower ones first.
  void add(const PieceRef& piece, std::vector<Made>& made);
  /// The root, and the nodes that were still open; the builder is as new. Fault: over_limit (more than content_bytes_most).
  Result<ListRoot> finish(std::vector<Made>& made);

 private:
  struct Level {
    std::vector<PieceRef> open;  ///< up to root_entries_most while it may still be the root, then the node being filled
    bool in_nodes = false;
  };
  void push(std::size_t level, const PieceRef& entry, std::vector<Made>& made);
  void close(std::size_t level, std::size_t count, std::vector<Made>& made);
  std::vector<Level> levels_;
  std::uint64_t size_ = 0;
};

}  // namespace dozo::store
