// Fuzz targets: one for each decoder of foreign bytes. A body must come back whatever the bytes are, and says whether they were accepted; what it
// accepted it holds against what the decoder promises, with INVARIANT.
//
// The same bodies run in three ways: as a libFuzzer program (fuzzer.cpp, preset `fuzz`), over the corpus and its mutations in the ordinary tests
// (fuzz_test.cpp), and by hand over one file. Seeds come from seeds.cpp.
// Threads: one.
#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "crypto/identity.h"

namespace dozo::fuzz {

struct Target {
  std::string_view name;
  bool (*body)(ByteView bytes);
};
std::span<const Target> crypto_targets();
std::span<const Target> policy_targets();
std::span<const Target> store_targets();
std::span<const Target> sync_targets();
std::span<const Target> node_targets();
std::vector<Target> all_targets();

/// Public things that bodies and seeds agree on. The bytes 00 01 02 ... from `first` on.
template <class Id>
Id counted(std::uint8_t first) {
  Id out;
  for (std::size_t i = 0; i < Id::size; ++i) out.bytes[i] = static_cast<std::uint8_t>(first + i);
  return out;
}
inline const FeedId feed{counted<LibraryId>(0xa0), counted<NodeId>(0x50), counted<IncarnationId>(0x10)};
/// Signs heads, receipts, certificates.
inline const crypto::SigningKey& signing_key() {
  static const crypto::SigningKey key = crypto::SigningKey::from_seed(counted<Digest>(0).view()).value();
  return key;
}

}  // namespace dozo::fuzz
