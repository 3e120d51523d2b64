// Checkpoint: a log's signed state as a C2SP signed note (c2sp.org/tlog-checkpoint, c2sp.org/signed-note) with one Ed25519 signature and no
// extension lines.
// Threads: pure functions.
#pragma once
#include <string>

#include "crypto/identity.h"

namespace dozo::crypto {

inline constexpr std::size_t note_bytes_most = 1024;

struct Checkpoint {
  std::string origin;  ///< one line, not empty, no '+' or blank: also the key's name
  std::uint64_t size{};
  Digest root;
  bool operator==(const Checkpoint&) const = default;
};

std::string sign_checkpoint(const Checkpoint& checkpoint, const SigningKey& key);
/// Strict: exactly what sign_checkpoint makes for this origin. Faults: over_limit, malformed, not_authentic.
Result<Checkpoint> open_checkpoint(std::string_view note, std::string_view origin, const VerifyKey& key);

}  // namespace dozo::crypto
