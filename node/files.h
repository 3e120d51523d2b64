// Files: whole small files, read and written so that a crash or a careless mode does no harm: keys, settings, published documents.
//
// Not here: the store, documents of people. Threads: functions without state. Error texts name the file, never what is in it.
#pragma once
#include <filesystem>

#include "base/bytes.h"
#include "crypto/secret.h"

namespace dozo::node {

enum class Secrecy : std::uint8_t {
  open,    ///< mode 0644 less the umask
  secret,  ///< mode 0600; at reading a file that group or others may touch is refused (root's group may read what root hands to another user)
};
enum class Existing : std::uint8_t { refuse, replace };

/// Faults: not_found, denied (no right to read it; not a regular file; secret, yet open to others), over_limit.
Result<Bytes> read_file(const std::filesystem::path& path, std::size_t bytes_most, Secrecy secrecy = Secrecy::open);
/// The same into memory that is wiped.
Result<crypto::SecretBytes> read_secret_file(const std::filesystem::path& path, std::size_t bytes_most);
/// Written beside it, synced, moved into place, and the folder synced: after a crash the old one, the new one or (a first writing) none is there.
/// Faults: exists, denied, unavailable (disk full), not_found (no such folder).
Result<void> write_file(const std::filesystem::path& path, ByteView bytes, Secrecy secrecy, Existing existing = Existing::refuse);
/// A new folder of mode 0700 whose parent is there. Faults: exists (something is there that is not an empty folder of ours), denied, not_found, unavailable.
/// An empty folder is taken over, and closed to others.
Result<void> make_private_folder(const std::filesystem::path& path);
/// Fault: not_found, denied (no folder, another user's, or one that others may enter).
Result<void> want_private_folder(const std::filesystem::path& path);
Result<void> sync_folder(const std::filesystem::path& path);

}  // namespace dozo::node
