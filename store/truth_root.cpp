#include "store/truth_root.h"

#include "crypto/hash.h"

namespace dozo::store {
namespace {

constexpr std::size_t table_bytes = 1 + 8 + 32;
constexpr std::size_t tables_most = 16;

std::array<std::uint64_t, 4> lanes_of(std::uint8_t table, ByteView key, ByteView value) {
  crypto::Sha256 hash;
  std::array<std::uint8_t, 5> head{table};
  put_u32(head.data() + 1, static_cast<std::uint32_t>(key.size()));
  hash.update(head);
  hash.update(key);
  hash.update(value);
  const Digest digest = hash.finish();
  std::array<std::uint64_t, 4> out{};
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = get_u64(digest.bytes.data() + 8 * i);
  return out;
}

}  // namespace

void RowSum::add(std::uint8_t table, ByteView key, ByteView value) {
  const auto row = lanes_of(table, key, value);
  for (std::size_t i = 0; i < lanes.size(); ++i) lanes[i] += row[i];
}
void RowSum::subtract(std::uint8_t table, ByteView key, ByteView value) {
  const auto row = lanes_of(table, key, value);
  for (std::size_t i = 0; i < lanes.size(); ++i) lanes[i] -= row[i];
}

Bytes RootValue::encode() const {
  Bytes out(2 + tables.size() * table_bytes);
  out[0] = format;
  out[1] = static_cast<std::uint8_t>(tables.size());
  std::uint8_t* at = out.data() + 2;
  for (const auto& [letter, sum] : tables) {
    *at++ = letter;
    put_u64(at, sum.count);
    at += 8;
    for (const std::uint64_t lane : sum.sum.lanes) {
      put_u64(at, lane);
      at += 8;
    }
  }
  return out;
}

Result<RootValue> RootValue::decode(ByteView bytes) {
  if (bytes.size() < 2) return fail(Fault::malformed, "truth root: cut short");
  if (bytes[0] > truth_format) return fail(Fault::unsupported, "a store of a newer format");
  if (bytes[0] < truth_format_least || bytes[1] > tables_most || bytes.size() != 2 + bytes[1] * table_bytes)
    return fail(Fault::malformed, "truth root: malformed");
  RootValue out;
  out.format = bytes[0];
  const std::uint8_t* at = bytes.data() + 2;
  for (std::size_t i = 0; i < bytes[1]; ++i) {
    const std::uint8_t letter = *at++;
    if (!out.tables.empty() && out.tables.rbegin()->first >= letter) return fail(Fault::malformed, "truth root: tables out of order");
    TableSum& sum = out.tables[letter];
    sum.count = get_u64(at);
    at += 8;
    for (std::uint64_t& lane : sum.sum.lanes) {
      lane = get_u64(at);
      at += 8;
    }
  }
  return out;
}

}  // namespace dozo::store
