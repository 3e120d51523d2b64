#include "crypto/secret.h"

#include <sodium.h>

#include "base/memory.h"
#include "crypto/random.h"

namespace dozo::crypto {

namespace detail {

void FreeLocked::operator()(std::uint8_t* bytes) const noexcept { sodium_free(bytes); }

Locked allocate_locked(std::size_t size) {
  auto* bytes = static_cast<std::uint8_t*>(sodium_malloc(size));
  if (bytes == nullptr) out_of_memory();
  return Locked(bytes);
}
void wipe(void* bytes, std::size_t size) { sodium_memzero(bytes, size); }
bool equal_in_constant_time(const std::uint8_t* a, const std::uint8_t* b, std::size_t size) { return sodium_memcmp(a, b, size) == 0; }
void fill_random(std::uint8_t* bytes, std::size_t size) {
  if (size > 0) randombytes_buf(bytes, size);  // it is not to be given null, which an empty span may hold
}

}  // namespace detail

void random_bytes(ByteSpan out) { detail::fill_random(out.data(), out.size()); }
std::uint32_t random_below(std::uint32_t bound) { return randombytes_uniform(bound); }

}  // namespace dozo::crypto
