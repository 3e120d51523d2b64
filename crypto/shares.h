// Shares: a secret of 32 bytes cut into n, any k of which make it again (Shamir's scheme over GF(2^8), by libgfshare).
// Threads: one at a time (the library's random source is global).
#pragma once
#include <span>
#include <string>
#include <vector>

#include "crypto/secret.h"

namespace dozo::crypto {

using SharedSecret = Secret<32, struct SharedPurpose>;

/// n texts of one line each, to be kept apart. Needs 1 <= k <= n <= 255. Each names its set, its number, k, and a hash that checks the whole.
Result<std::vector<std::string>> split(const SharedSecret& secret, unsigned threshold, unsigned count);
/// Faults: malformed (a damaged share: which), not_found (too few), not_authentic (of different sets, or not making what was cut).
Result<SharedSecret> combine(std::span<const std::string> shares);

}  // namespace dozo::crypto
