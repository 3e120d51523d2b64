// Merkle: the tree of RFC 6962 section 2.1 over the entries of a log, and its proofs (verified as RFC 9162 sections 2.1.3.2 and 2.1.4.2 say).
// Threads: pure functions and plain values.
#pragma once
#include <functional>
#include <span>
#include <vector>

#include "base/ids.h"

namespace dozo::crypto {

Digest leaf_hash(ByteView entry);                           ///< SHA-256(0x00, entry)
Digest node_hash(const Digest& left, const Digest& right);  ///< SHA-256(0x01, left, right)
Digest empty_root();                                        ///< SHA-256 of nothing

/// More entries than any log will have; keeps the arithmetic of sizes from wrapping.
inline constexpr std::uint64_t log_size_most = std::uint64_t{1} << 62;

/// Names a complete subtree: `level` 0 is the leaves; it covers leaves index * 2^level and on.
struct SubtreeId {
  std::uint8_t level{};
  std::uint64_t index{};
  friend auto operator<=>(const SubtreeId&, const SubtreeId&) = default;
};

/// A log's right edge: enough to append and to know the root; at most 64 hashes.
class Frontier {
 public:
  using Keep = std::function<void(const SubtreeId&, const Digest&)>;  ///< told each subtree that an append completes, leaf first

  std::uint64_t size() const { return size_; }
  Digest root() const;
  void append(const Digest& leaf, const Keep& keep = nullptr);  ///< size() must be under log_size_most
  Bytes encode() const;                                         ///< u64 size, then the hashes from the largest subtree down
  static Result<Frontier> decode(ByteView bytes);               ///< Fault: malformed
  /// A proof (RFC 6962, 2.1.2) that the log of `size` entries with `root` begins with this one. Fault: not_authentic.
  Result<void> check_growth(std::uint64_t size, const Digest& root, std::span<const Digest> proof) const;
  bool operator==(const Frontier&) const = default;

 private:
  std::uint64_t size_ = 0;
  std::vector<Digest> peaks_;  ///< one for each bit of size_, largest first
};

/// Where kept subtree hashes are found.
using Fetch = std::function<Result<Digest>(const SubtreeId&)>;
Result<Digest> root_at(std::uint64_t size, const Fetch& fetch);
/// Faults: those of `fetch`. Needs 1 <= from <= size; from == size gives an empty proof.
Result<std::vector<Digest>> consistency_proof(std::uint64_t from, std::uint64_t size, const Fetch& fetch);
Result<std::vector<Digest>> inclusion_proof(std::uint64_t index, std::uint64_t size, const Fetch& fetch);

/// Fault: not_authentic, whatever the numbers and the proof are.
Result<void> check_consistency(std::uint64_t from, std::uint64_t size, const Digest& from_root, const Digest& root, std::span<const Digest> proof);
Result<void> check_inclusion(std::uint64_t index, std::uint64_t size, const Digest& leaf, const Digest& root, std::span<const Digest> proof);

}  // namespace dozo::crypto
