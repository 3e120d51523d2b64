// Local seal: small values and index keys that never leave the node: what lies in its derived store, and its root value.
// Threads: const calls from any.
#pragma once
#include <string_view>

#include "base/ids.h"
#include "crypto/secret.h"

namespace dozo::crypto {

class LocalKey {
 public:
  using Root = Secret<32, struct LocalPurpose>;
  explicit LocalKey(const Root& root);

  /// XChaCha20-Poly1305 under a nonce from random bytes and the value: nonce 24, ciphertext, tag 16. `associated` must be the same at opening.
  Bytes seal(ByteView plain, ByteView associated) const;
  static constexpr std::size_t overhead_bytes = 40;
  /// Fault: corrupt.
  Result<Bytes> open(ByteView sealed, ByteView associated) const;
  /// HMAC under a key for names, of u8 length of `use` (at most 255), `use`, `what`: a name for a thing that says nothing about it.
  Digest keyed(std::string_view use, ByteView what) const;

 private:
  Secret<32, struct LocalSealPurpose> seal_key_;
  Secret<32, struct LocalNoncePurpose> nonce_key_;
  Secret<32, struct LocalNamePurpose> name_key_;
};

}  // namespace dozo::crypto
