// Bytes: owning and borrowed runs of bytes, and the text forms in which they are shown.
//
// Not for secrets: those are crypto::Secret, which wipes itself.
#pragma once
#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace dozo {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;  ///< valid as long as what it points into
using ByteSpan = std::span<std::uint8_t>;

inline ByteView view_of(std::string_view text) { return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}; }
inline std::string_view text_of(ByteView bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
inline Bytes bytes_of(std::string_view text) { return {text.begin(), text.end()}; }
inline Bytes bytes_of(ByteView view) { return {view.begin(), view.end()}; }
inline void append(Bytes& to, ByteView what) {
  if (what.empty()) return;
  const std::size_t before = to.size();
  to.resize(before + what.size());
  std::memcpy(to.data() + before, what.data(), what.size());
}
inline bool equal(ByteView a, ByteView b) { return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0); }

std::string to_hex(ByteView bytes);                ///< lower case
Result<Bytes> from_hex(std::string_view text);     ///< lower case, even length; else malformed
std::string to_base64(ByteView bytes);             ///< RFC 4648 section 4, padded
Result<Bytes> from_base64(std::string_view text);  ///< strict: padded, no white space, no stray bits; else malformed
std::string to_base32(ByteView bytes);             ///< Crockford's alphabet in lower case, first bits first, zero bits at the end

/// A fixed-size name: an id, a hash, a public key. `Tag` keeps different kinds apart. Ordered by bytes.
template <std::size_t size_bytes, class Tag>
struct FixedBytes {
  static constexpr std::size_t size = size_bytes;
  std::array<std::uint8_t, size_bytes> bytes{};

  ByteView view() const { return bytes; }
  bool is_zero() const { return bytes == std::array<std::uint8_t, size_bytes>{}; }
  std::string hex() const { return to_hex(bytes); }
  friend auto operator<=>(const FixedBytes&, const FixedBytes&) = default;

  /// Exactly `size` bytes; else malformed.
  static Result<FixedBytes> from(ByteView view) {
    if (view.size() != size_bytes) return fail(Fault::malformed, "an id of " + std::to_string(view.size()) + " bytes, not " + std::to_string(size_bytes));
    FixedBytes out;
    std::memcpy(out.bytes.data(), view.data(), size_bytes);
    return out;
  }
  static Result<FixedBytes> parse(std::string_view hex) { return from(TRY(from_hex(hex))); }
};

/// Big-endian integers at a place, for headers and keys (everything longer goes through archive.h).
inline void put_u32(std::uint8_t* at, std::uint32_t value) {
  for (int i = 3; i >= 0; --i, value >>= 8) at[i] = static_cast<std::uint8_t>(value);
}
inline void put_u64(std::uint8_t* at, std::uint64_t value) {
  for (int i = 7; i >= 0; --i, value >>= 8) at[i] = static_cast<std::uint8_t>(value);
}
inline std::uint32_t get_u32(const std::uint8_t* at) {
  std::uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | at[i];
  return value;
}
inline std::uint64_t get_u64(const std::uint8_t* at) {
  std::uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | at[i];
  return value;
}

}  // namespace dozo
