// Dice: every choice of a simulated realm follows from one seed.
// Threads: a value.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"

namespace dozo::simulator {

/// SplitMix64.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }
  std::int64_t between(std::int64_t least, std::int64_t most) { return least + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(most - least + 1))); }
  bool chance(std::uint64_t in_thousand) { return below(1000) < in_thousand; }
  template <class List>
  auto& pick(List& list) {
    return list[below(list.size())];
  }
  Bytes bytes(std::size_t size) {
    Bytes out((size + 7) / 8 * 8);
    for (std::size_t i = 0; i < out.size(); i += 8) put_u64(&out[i], next());
    out.resize(size);
    return out;
  }

 private:
  std::uint64_t state_;
};

}  // namespace dozo::simulator
