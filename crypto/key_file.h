// Key file: secret bytes on disk under a passphrase (Argon2id) or under the content of another file (for machines that start unattended).
// docs/keys.md has the format. The public part can be read by anybody and is authenticated at opening.
// Not here: files. Threads: pure functions, but for unlock_in_child.
#pragma once
#include <string>

#include "crypto/secret.h"

namespace dozo::crypto {

inline constexpr std::size_t key_file_bytes_most = 64 * 1024;
inline constexpr std::size_t key_file_part_bytes_most = 16 * 1024;  ///< of the public part; of the secret 16 bytes less

enum class Protection : std::uint8_t { passphrase, key };
constexpr Protection wire_last(Protection) { return Protection::key; }

struct Unlocking {
  Protection protection{};
  SecretBytes secret;  ///< the passphrase, or the other file's content (at least 32 bytes)
};

/// Text in lines: a title, the public part in base64, parameters, the sealed secret. Faults: malformed (an empty passphrase, a short key),
/// over_limit (key_file_part_bytes_most), unavailable (no memory).
Result<std::string> protect(ByteView secret, ByteView public_part, const Unlocking& with);

struct KeyFile {
  Protection protection{};
  Bytes public_part;
};
/// What can be read without the passphrase, and is not yet authentic. Strict: one text for one content. Faults: over_limit, malformed, unsupported.
Result<KeyFile> read_key_file(std::string_view text);
/// Faults: those of reading; denied (the wrong passphrase or key, or a changed file); not_authentic (changed); unavailable (no memory for Argon2id).
Result<SecretBytes> unlock(std::string_view text, const Unlocking& with);
/// The same, with a passphrase's 256 MiB of Argon2id in a child process that ends with the answer. Call before any thread is started.
Result<SecretBytes> unlock_in_child(std::string_view text, const Unlocking& with);

}  // namespace dozo::crypto
