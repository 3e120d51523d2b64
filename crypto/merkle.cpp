#include "crypto/merkle.h"

#include <bit>

#include "base/invariant.h"
#include "crypto/hash.h"

namespace dozo::crypto {
namespace {

std::unexpected<Error> refuse() { return fail(Fault::not_authentic, "a Merkle proof that does not fit"); }

/// Root of the leaves [begin, end), from complete subtrees; `begin` is a multiple of the largest power of two that fits.
Result<Digest> range_root(std::uint64_t begin, std::uint64_t end, const Fetch& fetch) {
  const std::uint64_t count = end - begin;
  if (std::has_single_bit(count)) {
    const auto level = static_cast<std::uint8_t>(std::countr_zero(count));
    return fetch({level, begin >> level});
  }
  const std::uint64_t left = std::bit_floor(count);
  return node_hash(TRY(range_root(begin, begin + left, fetch)), TRY(range_root(begin + left, end, fetch)));
}

/// SUBPROOF of RFC 6962, 2.1.2: m leaves of [begin, end) are the old tree's; `known`: the verifier has the root of those already.
Result<void> subproof(std::uint64_t m, std::uint64_t begin, std::uint64_t end, bool known, const Fetch& fetch, std::vector<Digest>& out) {
  const std::uint64_t count = end - begin;
  if (m == count) {
    if (!known) out.push_back(TRY(range_root(begin, end, fetch)));
    return {};
  }
  const std::uint64_t left = std::bit_floor(count - 1);
  if (m <= left) {
    TRY(subproof(m, begin, begin + left, known, fetch, out));
    out.push_back(TRY(range_root(begin + left, end, fetch)));
  } else {
    TRY(subproof(m - left, begin + left, end, false, fetch, out));
    out.push_back(TRY(range_root(begin, begin + left, fetch)));
  }
  return {};
}

Result<void> path(std::uint64_t index, std::uint64_t begin, std::uint64_t end, const Fetch& fetch, std::vector<Digest>& out) {
  if (end - begin == 1) return {};
  const std::uint64_t middle = begin + std::bit_floor(end - begin - 1);
  if (index < middle) {
    TRY(path(index, begin, middle, fetch, out));
    out.push_back(TRY(range_root(middle, end, fetch)));
  } else {
    TRY(path(index, middle, end, fetch, out));
    out.push_back(TRY(range_root(begin, middle, fetch)));
  }
  return {};
}

}  // namespace

Digest leaf_hash(ByteView entry) {
  constexpr std::uint8_t prefix = 0;
  return sha256({ByteView(&prefix, 1), entry});
}
Digest node_hash(const Digest& left, const Digest& right) {
  constexpr std::uint8_t prefix = 1;
  return sha256({ByteView(&prefix, 1), left.bytes, right.bytes});
}
Digest empty_root() { return sha256(ByteView{}); }

Digest Frontier::root() const {
  if (peaks_.empty()) return empty_root();
  Digest out = peaks_.back();
  for (std::size_t i = peaks_.size() - 1; i-- > 0;) out = node_hash(peaks_[i], out);
  return out;
}

void Frontier::append(const Digest& leaf, const Keep& keep) {
  INVARIANT(size_ < log_size_most);
  Digest hash = leaf;
  if (keep) keep({0, size_}, hash);
  for (std::uint8_t level = 0; (size_ >> level & 1) != 0; ++level) {
    hash = node_hash(peaks_.back(), hash);
    peaks_.pop_back();
    if (keep) keep({static_cast<std::uint8_t>(level + 1), size_ >> (level + 1)}, hash);
  }
  peaks_.push_back(hash);
  ++size_;
}

Bytes Frontier::encode() const {
  Bytes out(8);
  put_u64(out.data(), size_);
  for (const Digest& peak : peaks_) dozo::append(out, peak.bytes);
  return out;
}

Result<Frontier> Frontier::decode(ByteView bytes) {
  if (bytes.size() < 8) return fail(Fault::malformed, "a Merkle frontier cut short");
  Frontier out;
  out.size_ = get_u64(bytes.data());
  if (out.size_ > log_size_most) return fail(Fault::malformed, "a Merkle frontier of a size that no log has");
  const auto peaks = static_cast<std::size_t>(std::popcount(out.size_));
  if (bytes.size() != 8 + peaks * Digest::size) return fail(Fault::malformed, "a Merkle frontier of the wrong length");
  for (std::size_t i = 0; i < peaks; ++i) out.peaks_.push_back(TRY(Digest::from(bytes.subspan(8 + i * Digest::size, Digest::size))));
  return out;
}

Result<void> Frontier::check_growth(std::uint64_t size, const Digest& root, std::span<const Digest> proof) const {
  if (size_ == 0) return proof.empty() && (size > 0 || root == empty_root()) ? Result<void>{} : Result<void>{refuse()};
  return check_consistency(size_, size, this->root(), root, proof);
}

Result<Digest> root_at(std::uint64_t size, const Fetch& fetch) {
  if (size == 0) return empty_root();
  return range_root(0, size, fetch);
}

Result<std::vector<Digest>> consistency_proof(std::uint64_t from, std::uint64_t size, const Fetch& fetch) {
  INVARIANT(from >= 1 && from <= size);
  std::vector<Digest> out;
  TRY(subproof(from, 0, size, true, fetch, out));
  return out;
}

Result<std::vector<Digest>> inclusion_proof(std::uint64_t index, std::uint64_t size, const Fetch& fetch) {
  INVARIANT(index < size);
  std::vector<Digest> out;
  TRY(path(index, 0, size, fetch, out));
  return out;
}

Result<void> check_consistency(std::uint64_t from, std::uint64_t size, const Digest& from_root, const Digest& root, std::span<const Digest> proof) {
  if (from == 0 || from > size) return refuse();
  if (from == size) return proof.empty() && from_root == root ? Result<void>{} : Result<void>{refuse()};
  std::size_t at = 0;
  const auto next = [&]() -> const Digest* { return at < proof.size() ? &proof[at++] : nullptr; };
  std::uint64_t old_node = from - 1, new_node = size - 1;
  while ((old_node & 1) != 0) {
    old_node >>= 1;
    new_node >>= 1;
  }
  Digest old_hash, new_hash;
  if (std::has_single_bit(from)) {
    old_hash = new_hash = from_root;
  } else {
    const Digest* first = next();
    if (first == nullptr) return refuse();
    old_hash = new_hash = *first;
  }
  for (; new_node != 0; old_node >>= 1, new_node >>= 1) {
    if ((old_node & 1) != 0 || old_node == new_node) {
      const Digest* step = next();
      if (step == nullptr) return refuse();
      old_hash = node_hash(*step, old_hash);
      new_hash = node_hash(*step, new_hash);
      while ((old_node & 1) == 0 && old_node != 0) {
        old_node >>= 1;
        new_node >>= 1;
      }
    } else {
      const Digest* step = next();
      if (step == nullptr) return refuse();
      new_hash = node_hash(new_hash, *step);
    }
  }
  return at == proof.size() && old_hash == from_root && new_hash == root ? Result<void>{} : Result<void>{refuse()};
}

Result<void> check_inclusion(std::uint64_t index, std::uint64_t size, const Digest& leaf, const Digest& root, std::span<const Digest> proof) {
  if (index >= size) return refuse();
  std::uint64_t node = index, last = size - 1;
  Digest hash = leaf;
  for (const Digest& step : proof) {
    if (last == 0) return refuse();
    if ((node & 1) != 0 || node == last) {
      hash = node_hash(step, hash);
      while ((node & 1) == 0 && node != 0) {
        node >>= 1;
        last >>= 1;
      }
    } else {
      hash = node_hash(hash, step);
    }
    node >>= 1;
    last >>= 1;
  }
  return last == 0 && hash == root ? Result<void>{} : Result<void>{refuse()};
}

}  // namespace dozo::crypto
