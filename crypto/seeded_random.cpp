#include "crypto/seeded_random.h"

#include <sodium.h>

#include <array>
#include <cstring>

namespace dozo::crypto {
namespace {

// ChaCha20 under the seed as key; the block counter is the place in the stream.
struct Stream {
  std::array<unsigned char, crypto_stream_chacha20_KEYBYTES> key{};
  std::uint64_t draws = 0;
};
Stream stream;

void fill(void* out, std::size_t size) {
  std::array<unsigned char, crypto_stream_chacha20_NONCEBYTES> nonce{};
  ++stream.draws;
  std::memcpy(nonce.data(), &stream.draws, sizeof stream.draws);
  crypto_stream_chacha20(static_cast<unsigned char*>(out), size, nonce.data(), stream.key.data());
}
std::uint32_t number() {
  std::uint32_t value = 0;
  fill(&value, sizeof value);
  return value;
}
const char* name() { return "seeded"; }

}  // namespace

void use_seeded_randomness(std::uint64_t seed) {
  static randombytes_implementation implementation{&name, &number, nullptr, nullptr, &fill, nullptr};
  stream = {};
  std::memcpy(stream.key.data(), &seed, sizeof seed);
  randombytes_set_implementation(&implementation);
}

}  // namespace dozo::crypto
