// Keys: epoch keys of libraries and of the directory, as grants, the key authority and the recovery key open them.
//
// Every key that comes out fits its public commitment in `epochs`: everybody who opens a grant provably has the same key.
// Threads: one owner; const calls from any.
#pragma once
#include <map>

#include "crypto/epoch.h"
#include "policy/documents.h"

namespace dozo::policy {

/// Keys by library and epoch.
class KeyRing {
 public:
  const crypto::EpochKey* find(const LibraryId& library, Epoch epoch) const;  ///< null: not held. Valid until the ring changes
  void put(const LibraryId& library, Epoch epoch, crypto::EpochKey key);
  void merge(KeyRing other);
  std::vector<std::pair<LibraryId, Epoch>> list() const;  ///< ascending
  std::size_t size() const { return keys_.size(); }

 private:
  std::map<std::pair<LibraryId, Epoch>, crypto::EpochKey> keys_;
};

/// All keys that a node's grants give, those of earlier epochs walked back to. Grants of libraries or epochs that `epochs` does not name, or
/// that do not open to their commitment, are a fault: not_authentic.
Result<KeyRing> open_grants(const crypto::SealKey& node, const Grants& grants, const Epochs& epochs);
/// Every key there is. Fault: not_authentic.
Result<KeyRing> open_epochs_with_recovery(const crypto::SealKey& recovery, const Epochs& epochs);
Result<KeyRing> open_epochs_with_admission(const crypto::SealKey& admission, const Epochs& epochs);

/// The directory under the key of its generation.
SealedDirectory seal_directory(const Directory& directory, Epoch generation, const crypto::EpochKey& key);
/// Faults: not_found (the ring has no such key), not_authentic, malformed (also where what is inside names another version than the outside).
Result<Directory> open_directory(const SealedDirectory& sealed, const KeyRing& keys);

/// A part of the directory for that node (its name), under the key of its slice_library. Faults as there.
SealedSlice seal_slice(const Directory& slice, std::string_view node, Epoch generation, const crypto::EpochKey& key);
Result<Directory> open_slice(const SealedSlice& sealed, const KeyRing& keys);

/// A unit's document, likewise. Faults as there.
SealedOrg seal_org(const OrgDocument& org, Epoch generation, const crypto::EpochKey& key);
Result<OrgDocument> open_org(const SealedOrg& sealed, const KeyRing& keys);

}  // namespace dozo::policy
