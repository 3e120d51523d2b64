#include "policy/keys.h"

#include "crypto/hash.h"
#include "crypto/local_seal.h"

namespace dozo::policy {
namespace {

/// Sealed sizes tell no more than this about the number of people.
constexpr std::size_t directory_grain_bytes = 4096;

/// The keys before `from` (which has the key of entry `at`), walked back to the first.
Result<void> walk_back(const LibraryEpochs& library, std::size_t at, KeyRing& ring) {
  for (std::size_t i = at; i > 0; --i) {
    const crypto::EpochKey* successor = ring.find(library.library, library.epochs[i].epoch);
    auto key =
        TRY(crypto::unwrap_predecessor(*successor, library.epochs[i].predecessor, library.library, library.epochs[i].epoch, library.epochs[i - 1].commitment));
    ring.put(library.library, library.epochs[i - 1].epoch, std::move(key));
  }
  return {};
}

Result<KeyRing> open_all(const crypto::SealKey& key, const Epochs& epochs, Bytes EpochEntry::* sealed) {
  KeyRing out;
  for (const LibraryEpochs& library : epochs.libraries)
    for (const EpochEntry& it : library.epochs)
      out.put(library.library, it.epoch, TRY(crypto::open_epoch_key(key, it.*sealed, library.library, it.epoch, it.commitment)));
  return out;
}

/// `use`: below.
crypto::LocalKey directory_key(std::string_view use, const crypto::EpochKey& key, const RealmId& realm, Epoch generation) {
  std::array<std::uint8_t, 4> number{};
  put_u32(number.data(), generation.value);
  return crypto::LocalKey(crypto::LocalKey::Root::made_by([&](auto out) { crypto::hkdf_expand(key.reveal(), {view_of(use), realm.view(), number}, out); }));
}

Bytes directory_associated(const Header& header, Epoch generation) {
  Bytes out = bytes_of(header.realm.view());
  std::array<std::uint8_t, 12> numbers{};
  put_u64(numbers.data(), header.version);
  put_u32(numbers.data() + 8, generation.value);
  append(out, numbers);
  return out;
}

constexpr std::string_view directory_use = "dozo directory 1", org_use = "dozo org 1", slice_use = "dozo slice 1";

Bytes padded(Bytes plain) {
  plain.resize((plain.size() + directory_grain_bytes - 1) / directory_grain_bytes * directory_grain_bytes, ' ');
  return plain;
}

Bytes named_associated(const Header& header, Epoch generation, std::string_view name) {
  Bytes out = directory_associated(header, generation);
  append(out, view_of(name));
  return out;
}

}  // namespace

const crypto::EpochKey* KeyRing::find(const LibraryId& library, Epoch epoch) const {
  const auto at = keys_.find({library, epoch});
  return at == keys_.end() ? nullptr : &at->second;
}
void KeyRing::put(const LibraryId& library, Epoch epoch, crypto::EpochKey key) { keys_.insert_or_assign({library, epoch}, std::move(key)); }
void KeyRing::merge(KeyRing other) {
  for (auto& [place, key] : other.keys_) keys_.insert_or_assign(place, std::move(key));
}
std::vector<std::pair<LibraryId, Epoch>> KeyRing::list() const {
  std::vector<std::pair<LibraryId, Epoch>> out;
  for (const auto& [place, key] : keys_) out.push_back(place);
  return out;
}

Result<KeyRing> open_grants(const crypto::SealKey& node, const Grants& grants, const Epochs& epochs) {
  KeyRing out;
  for (const Grant& grant : grants.grants) {
    const LibraryEpochs* library = epochs.find(grant.library);
    if (library == nullptr || grant.epoch.value == 0 || grant.epoch.value > library->epochs.size())
      return fail(Fault::not_authentic, "grants: a grant of an epoch that does not exist");
    const std::size_t at = grant.epoch.value - 1;
    out.put(grant.library, grant.epoch, TRY(crypto::open_epoch_key(node, grant.sealed, grant.library, grant.epoch, library->epochs[at].commitment)));
    TRY(walk_back(*library, at, out));
  }
  return out;
}

Result<KeyRing> open_epochs_with_recovery(const crypto::SealKey& recovery, const Epochs& epochs) { return open_all(recovery, epochs, &EpochEntry::recovery); }
Result<KeyRing> open_epochs_with_admission(const crypto::SealKey& admission, const Epochs& epochs) {
  return open_all(admission, epochs, &EpochEntry::admission);
}

SealedDirectory seal_directory(const Directory& directory, Epoch generation, const crypto::EpochKey& key) {
  return {directory.header, generation,
          directory_key(directory_use, key, directory.header.realm, generation)
              .seal(padded(format(directory)), directory_associated(directory.header, generation))};
}

Result<Directory> open_directory(const SealedDirectory& sealed, const KeyRing& keys) {
  const crypto::EpochKey* key = keys.find(directory_library, sealed.generation);
  if (key == nullptr) return fail(Fault::not_found, "directory: no key of generation " + std::to_string(sealed.generation.value));
  const auto plain =
      directory_key(directory_use, *key, sealed.header.realm, sealed.generation).open(sealed.sealed, directory_associated(sealed.header, sealed.generation));
  if (!plain) return fail(Fault::not_authentic, "directory: does not open under the key of its generation");
  Directory out = TRY(parse_directory(*plain));
  if (out.header != sealed.header) return fail(Fault::malformed, "directory: inside and outside disagree");
  return out;
}

SealedOrg seal_org(const OrgDocument& it, Epoch generation, const crypto::EpochKey& key) {
  return {it.header, it.org, generation,
          directory_key(org_use, key, it.header.realm, generation).seal(padded(format(it)), named_associated(it.header, generation, it.org))};
}

Result<OrgDocument> open_org(const SealedOrg& sealed, const KeyRing& keys) {
  const std::string name = org_name(sealed.org);
  const crypto::EpochKey* key = keys.find(directory_library, sealed.generation);
  if (key == nullptr) return fail(Fault::not_found, name + ": no key of generation " + std::to_string(sealed.generation.value));
  const auto plain =
      directory_key(org_use, *key, sealed.header.realm, sealed.generation).open(sealed.sealed, named_associated(sealed.header, sealed.generation, sealed.org));
  if (!plain) return fail(Fault::not_authentic, name + ": does not open under the key of its generation");
  OrgDocument out = TRY(parse_org(*plain));
  if (out.header != sealed.header || out.org != sealed.org) return fail(Fault::malformed, name + ": inside and outside disagree");
  return out;
}

SealedSlice seal_slice(const Directory& slice, std::string_view node, Epoch generation, const crypto::EpochKey& key) {
  return {slice.header, std::string(node), generation,
          directory_key(slice_use, key, slice.header.realm, generation).seal(padded(format(slice)), named_associated(slice.header, generation, node))};
}

Result<Directory> open_slice(const SealedSlice& sealed, const KeyRing& keys) {
  const std::string name = slice_name(sealed.node);
  const crypto::EpochKey* key = keys.find(slice_library(sealed.header.realm, sealed.node), sealed.generation);
  if (key == nullptr) return fail(Fault::not_found, name + ": no key of generation " + std::to_string(sealed.generation.value));
  const auto plain = directory_key(slice_use, *key, sealed.header.realm, sealed.generation)
                         .open(sealed.sealed, named_associated(sealed.header, sealed.generation, sealed.node));
  if (!plain) return fail(Fault::not_authentic, name + ": does not open under the key of its generation");
  Directory out = TRY(parse_slice(*plain));
  if (out.header != sealed.header) return fail(Fault::malformed, name + ": inside and outside disagree");
  return out;
}

}  // namespace dozo::policy
