// Seeded random: makes crypto/random.h repeatable. For test programs alone: only they link it.
#pragma once
#include <cstdint>

namespace dozo::crypto {

/// From now on every random byte of this process follows from `seed`. Not for threads that draw at the same time.
void use_seeded_randomness(std::uint64_t seed);

}  // namespace dozo::crypto
