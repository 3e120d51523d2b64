#include "store/kv.h"

namespace dozo::store {

Result<void> check_key(ByteView key) {
  if (key.empty()) return fail(Fault::malformed, "an empty key");
  if (key.size() > key_bytes_most) return fail(Fault::over_limit, "a key of " + std::to_string(key.size()) + " bytes");
  return {};
}

}  // namespace dozo::store
