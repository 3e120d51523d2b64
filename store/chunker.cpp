#include "store/chunker.h"

#include <algorithm>

#include "crypto/hash.h"

// The rolling sum is sum = (sum << 1) + gear[byte] modulo 2^64, so bit 62 depends on the last 63 bytes. A piece ends after a byte at which the bits under the
// mask are all zero; 18 of them before the normal length and 14 after it draw the lengths towards it. Two bytes are taken per step: the sum after the first is
// kept doubled, and so are its table and mask, which is why no mask has bit 63.
namespace dozo::store {
namespace {

using Gear = std::array<std::uint64_t, 256>;

struct Tables {
  Gear single;
  Gear doubled;
  Tables() {
    for (unsigned i = 0; i < 256; ++i) {
      const auto byte = static_cast<std::uint8_t>(i);
      single[i] = get_u64(crypto::sha256({view_of("dozo gear 1"), ByteView(&byte, 1)}).bytes.data());
      doubled[i] = single[i] << 1;
    }
  }
};
const Tables& tables() {
  static const Tables made;
  return made;
}

constexpr std::uint64_t top_bits(unsigned count) { return ((std::uint64_t{1} << count) - 1) << (63 - count); }
constexpr std::uint64_t mask_before = top_bits(18), mask_after = top_bits(14);
static_assert(cut_bytes_min % 2 == 0 && cut_bytes_normal % 2 == 0 && cut_bytes_max % 2 == 0);

/// Length up to the first cut in [from, to), both even, or 0. Carries `sum` along.
template <std::uint64_t mask>
std::size_t scan(const std::uint8_t* bytes, std::size_t from, std::size_t to, std::uint64_t& sum, const Tables& table) {
  std::uint64_t rolling = sum;
  const std::uint64_t* const single = table.single.data();
  const std::uint64_t* const doubled = table.doubled.data();
  for (std::size_t at = from; at < to; at += 2) {
    rolling = (rolling << 2) + doubled[bytes[at]];
    if ((rolling & (mask << 1)) == 0) return at + 1;
    rolling += single[bytes[at + 1]];
    if ((rolling & mask) == 0) return at + 2;
  }
  sum = rolling;
  return 0;
}

}  // namespace

const std::array<std::uint64_t, 256>& gear_table() { return tables().single; }

std::size_t next_cut(ByteView window, bool last) {
  if (last && window.size() <= cut_bytes_normal) return window.size();
  if (!last && window.size() < cut_bytes_max) return 0;
  const Tables& table = tables();
  // An odd last byte ends its piece whatever the sum says.
  const std::size_t end = std::min(window.size(), cut_bytes_max) & ~std::size_t{1};
  std::uint64_t sum = 0;
  if (const std::size_t cut = scan<mask_before>(window.data(), cut_bytes_min, cut_bytes_normal, sum, table)) return cut;
  if (const std::size_t cut = scan<mask_after>(window.data(), cut_bytes_normal, end, sum, table)) return cut;
  return std::min(window.size(), cut_bytes_max);
}

}  // namespace dozo::store
