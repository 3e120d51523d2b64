// Local sealer: the node's own key as the truth wants it.
// Threads: const calls from any. The key outlives it.
#pragma once
#include "crypto/local_seal.h"
#include "store/truth_root.h"

namespace dozo::node {

class LocalSealer final : public store::Sealer {
 public:
  explicit LocalSealer(const crypto::LocalKey& key) : key_(key) {}
  Bytes seal(ByteView plain, ByteView associated) const override { return key_.seal(plain, associated); }
  Result<Bytes> open(ByteView sealed, ByteView associated) const override { return key_.open(sealed, associated); }

 private:
  const crypto::LocalKey& key_;
};

}  // namespace dozo::node
