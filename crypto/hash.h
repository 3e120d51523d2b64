// Hash: SHA-256 and what is built from it (HMAC, HKDF), from libcrypto, which uses the processor's instructions for it.
// Not here: naming things by their hash (ids.h), trees of hashes (merkle.h).
// Threads: pure functions; a Sha256 has one owner.
#pragma once
#include <initializer_list>
#include <memory>

#include "base/bytes.h"
#include "base/ids.h"

namespace dozo::crypto {

Digest sha256(ByteView bytes);
Digest sha256(std::initializer_list<ByteView> parts);  ///< of the parts one after the other; nothing marks where one ends

/// SHA-256 of bytes that come a run at a time.
class Sha256 {
 public:
  Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  ~Sha256();
  void update(ByteView bytes);
  Digest finish();  ///< and begins anew

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

Digest hmac_sha256(ByteView key, std::initializer_list<ByteView> parts);  ///< RFC 2104; a key of any length
Digest hkdf_extract(ByteView salt, ByteView input);                       ///< RFC 5869, 2.2
/// RFC 5869, 2.3. Fills `out`, at most 8160 bytes.
void hkdf_expand(ByteView pseudorandom_key, std::initializer_list<ByteView> info, ByteSpan out);

}  // namespace dozo::crypto
