// Start: the one call that each program makes before any other of this room.
#pragma once
#include "base/result.h"

namespace dozo::crypto {

/// Starts libsodium and tests both providers: a point outside the main subgroup must be refused as a key (an old libsodium does not), and
/// libcrypto must agree with libsodium. May be called again. Fault: unsupported; nothing of this room may be used then.
Result<void> start();

}  // namespace dozo::crypto
