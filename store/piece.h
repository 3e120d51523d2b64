// Piece: a run of plaintext bytes with a name of its own, the unit of which everything in packs is made.
//
// An id is the SHA-256 of the bytes, separated by type, so that bytes of one type never pass for another's. It stands only inside sealed bytes, or
// keyed in a local index: outside it would tell who knows a content that it is here.
// Threads: pure functions.
#pragma once
#include "base/ids.h"

namespace dozo::store {

enum class PieceType : std::uint8_t {
  content,   ///< a run of a document's bytes (chunker.h)
  manifest,  ///< what describes one content (manifest.h)
  list,      ///< a node of a long list of pieces (piece_list.h)
  record,    ///< a signed record (record.h)
};
constexpr PieceType wire_last(PieceType) { return PieceType::record; }

/// No piece is empty; none of the type is longer than this.
constexpr std::size_t piece_bytes_most(PieceType type) {
  switch (type) {
    case PieceType::content: return 256 * 1024;
    case PieceType::record: return 288 * 1024;
    default: return 16 * 1024;
  }
}

/// SHA-256 of "dozo piece 1", the type as one byte, and the bytes.
PieceId piece_id(PieceType type, ByteView bytes);

/// A piece as a list names it.
struct PieceRef {
  PieceId id;
  std::uint64_t size{};  ///< of the content that it stands for: its own bytes, or all those below a list node
  friend auto operator<=>(const PieceRef&, const PieceRef&) = default;
};

}  // namespace dozo::store
