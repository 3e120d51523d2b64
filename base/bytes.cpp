#include "base/bytes.h"

#include <array>

namespace dozo {
namespace {

constexpr std::string_view hex_digits = "0123456789abcdef";
constexpr std::string_view base64_digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view base32_digits = "0123456789abcdefghjkmnpqrstvwxyz";

}  // namespace

std::string to_hex(ByteView bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const std::uint8_t byte : bytes) {
    out += hex_digits[byte >> 4];
    out += hex_digits[byte & 15];
  }
  return out;
}

Result<Bytes> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return fail(Fault::malformed, "hex text of odd length");
  Bytes out;
  out.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const auto high = hex_digits.find(text[i]);
    const auto low = hex_digits.find(text[i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) return fail(Fault::malformed, "not lower-case hex");
    out.push_back(static_cast<std::uint8_t>(high << 4 | low));
  }
  return out;
}

std::string to_base64(ByteView bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t left = bytes.size() - i;
    const std::uint32_t group = static_cast<std::uint32_t>(bytes[i]) << 16 | (left > 1 ? static_cast<std::uint32_t>(bytes[i + 1]) << 8 : 0U) |
                                (left > 2 ? static_cast<std::uint32_t>(bytes[i + 2]) : 0U);
    out += base64_digits[group >> 18];
    out += base64_digits[group >> 12 & 63];
    out += left > 1 ? base64_digits[group >> 6 & 63] : '=';
    out += left > 2 ? base64_digits[group & 63] : '=';
  }
  return out;
}

namespace {

/// By character: its digit, or above 63 for none.
constexpr std::array<std::uint8_t, 256> base64_values = [] {
  std::array<std::uint8_t, 256> out{};
  out.fill(0xff);
  for (std::size_t i = 0; i < base64_digits.size(); ++i) out[static_cast<std::uint8_t>(base64_digits[i])] = static_cast<std::uint8_t>(i);
  return out;
}();

}  // namespace

Result<Bytes> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return fail(Fault::malformed, "base64 text whose length is no multiple of 4");
  Bytes out;
  out.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    const bool last = i + 4 == text.size();
    const int pad = !last || text[i + 3] != '=' ? 0 : text[i + 2] == '=' ? 2 : 1;
    std::uint32_t group = 0;
    for (int j = 0; j < 4; ++j) {
      const std::uint8_t digit = j >= 4 - pad ? std::uint8_t{0} : base64_values[static_cast<std::uint8_t>(text[i + static_cast<std::size_t>(j)])];
      if (digit > 63) return fail(Fault::malformed, "not base64");
      group = group << 6 | digit;
    }
    const std::uint32_t stray = pad == 2 ? group & 0xffff : pad == 1 ? group & 0xff : 0;
    if (stray != 0) return fail(Fault::malformed, "base64 with stray bits");
    out.push_back(static_cast<std::uint8_t>(group >> 16));
    if (pad < 2) out.push_back(static_cast<std::uint8_t>(group >> 8));
    if (pad < 1) out.push_back(static_cast<std::uint8_t>(group));
  }
  return out;
}

std::string to_base32(ByteView bytes) {
  std::string out;
  std::uint32_t held = 0;
  int bits = 0;
  for (const std::uint8_t byte : bytes) {
    held = held << 8 | byte;
    for (bits += 8; bits >= 5; bits -= 5) out += base32_digits[held >> (bits - 5) & 31];
    held &= 0xff;
  }
  if (bits > 0) out += base32_digits[held << (5 - bits) & 31];
  return out;
}

}  // namespace dozo
