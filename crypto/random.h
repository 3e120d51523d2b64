// Random: the one source of entropy, libsodium's. In a program that calls use_seeded_randomness (tests, the simulator) it repeats.
// Threads: any.
#pragma once
#include "base/bytes.h"

namespace dozo::crypto {

void random_bytes(ByteSpan out);

template <class Id>
Id random_id() {
  Id id;
  random_bytes(id.bytes);
  return id;
}

/// A whole number below `bound` (> 0), each alike.
std::uint32_t random_below(std::uint32_t bound);

}  // namespace dozo::crypto
