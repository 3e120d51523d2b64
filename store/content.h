// Content: reading a content back from its manifest, piece by piece, from wherever pieces come.
// Threads: a ContentReader has one owner.
#pragma once
#include <functional>
#include <optional>
#include <vector>

#include "crypto/hash.h"
#include "store/manifest.h"

namespace dozo::store {

/// Whoever can get at pieces. Gives exactly the bytes of that id, or a fault: not_found, unavailable (held elsewhere), corrupt.
class PieceSource {
 public:
  virtual ~PieceSource() = default;
  virtual Result<Bytes> piece(const PieceId& id, PieceType type) = 0;
};

/// Every piece of the content and every node of its list, from first to last, each node before what is below it. Content pieces are named, not fetched.
using PieceVisitor = std::function<Result<void>(PieceType, const PieceRef&)>;
Result<void> walk(const Manifest& manifest, PieceSource& source, const PieceVisitor& visit);

/// Reads anywhere in a content; holds one piece and one node per level.
class ContentReader {
 public:
  /// `source` lives longer than it. Needs: a manifest from decode_manifest(), or well_formed().
  ContentReader(Manifest manifest, PieceSource& source);
  std::uint64_t size() const { return manifest_.size; }
  /// Fills `to` from `offset` on, as far as the content goes; 0: at or after its end. Faults: the source's; malformed (a list that does not fit);
  /// not_authentic: read from the beginning to the end without a gap, the whole is not what the manifest says. What was put into `to` before a fault is not to
  /// be used.
  Result<std::size_t> read(std::uint64_t offset, ByteSpan to);
  /// Every byte has been read in order and the whole is what the manifest says.
  bool verified() const { return verified_; }

 private:
  struct Open {
    ListNode node;
    std::uint64_t start{};
    std::uint64_t size{};
  };
  Result<void> seek(std::uint64_t offset);
  Manifest manifest_;
  PieceSource& source_;
  std::vector<Open> path_;  ///< from the root's child down to level 1
  Bytes piece_;
  std::uint64_t piece_start_ = 0;
  crypto::Sha256 hash_;
  std::uint64_t hashed_ = 0;
  bool verified_ = false;
};

}  // namespace dozo::store
