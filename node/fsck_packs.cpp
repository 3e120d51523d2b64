// Fsck of packs: sealed, as every node can; and opened, where there are keys. What is opened is indexed in the scratch store on the way, so that each is read
// once.
#include <algorithm>

#include "node/fsck_body.h"

namespace dozo::node {

using store::TruthCheck;
using store::TruthTable;

namespace {

constexpr std::size_t index_packs_most = 64;   // whose places are held at a time
constexpr std::size_t erased_packs_most = 64;  // in one transaction

/// As the rows say, with keys or without. Fault: corrupt (one of them is damaged).
Result<std::map<LibraryId, store::PackUsage>> usages_in(TruthCheck& in) {
  std::map<LibraryId, store::PackUsage> out;
  TRY(in.each_raw(TruthTable::usages, [&](ByteView key, const std::optional<ByteView>& value) -> Result<bool> {
    const auto library = LibraryId::from(key);
    if (!library || !value || value->size() != 16) return fail(Fault::corrupt, "a damaged row in the count of packs");
    out[*library] = {get_u64(value->data()), get_u64(value->data() + 8)};
    return true;
  }));
  return out;
}

std::string size_text(std::uint64_t bytes) { return std::to_string((bytes + (1U << 20) - 1) >> 20) + " MiB"; }

}  // namespace

Result<void> Fsck::check_packs() {
  {
    auto in = TRY(TruthCheck::begin(*truth_));
    if (const auto usages = usages_in(in)) {
      for (const auto& [library, usage] : *usages) bytes_total_ += usage.bytes;
    }
    tell("packs", 0, bytes_total_);
    TRY(in.each_raw(TruthTable::packs, [&](ByteView key, const std::optional<ByteView>&) -> Result<bool> {
      const auto address = PackAddress::from(key);
      if (!address) {
        damage(FsckKind::row, "a row in table packs with a key of none");
        return true;
      }
      TRY(check_pack(in, *address));
      return true;
    }));
    TRY(flush_index());
    TRY(check_counts(in));
    TRY(check_records(in));
  }
  const std::uint64_t lacking = listed_.size() - listed_found_;
  if (lacking > 0) note(FsckKind::pack, std::to_string(lacking) + " packs that entries list are not here: they come from other nodes");
  const bool remove = options_.rebuild && listings_complete_ && !truth_differs_ && set_back_.empty();
  if (!unlisted_.empty()) {
    note(FsckKind::pack, std::to_string(unlisted_.size()) + " packs (" + size_text(unlisted_bytes_) + ") are listed by no entry, left by an interrupted save" +
                             (remove ? "; removed" : ""));
  }
  if (!remove) unlisted_.clear();
  if (options_.rebuild) TRY(mend_packs());
  return {};
}

Result<void> Fsck::check_pack(TruthCheck& in, const PackAddress& address) {
  const std::string name = "pack " + short_text(address);
  ++report_.packs;
  const auto it = std::ranges::lower_bound(listed_, address, {}, &Listed::address);
  const bool listed = it != listed_.end() && it->address == address;
  const auto sealed = in.pack_checked(address);
  if (!sealed && sealed.error().fault != Fault::corrupt) return std::unexpected(sealed.error());
  if (!sealed || !*sealed) {
    damaged_packs_.push_back(address);
    damage_that(FsckState::dropped, FsckKind::pack, name + " does not fit its address");
    return {};
  }
  const std::uint64_t size = (*sealed)->size();
  report_.pack_bytes += size;
  tell("packs", report_.pack_bytes, bytes_total_);
  const auto header = crypto::check_sealed(**sealed);
  if (!header) {
    damaged_packs_.push_back(address);
    damage_that(FsckState::dropped, FsckKind::pack, name + " is none: " + header.error().text);
    return {};
  }
  store::PackUsage& usage = usages_[header->library];
  ++usage.count;
  usage.bytes += size;
  if (!listed) {
    unlisted_.push_back(address);
    unlisted_bytes_ += size;
    return {};
  }
  ++listed_found_;
  if (it->size_bytes != size || it->kind != header->kind || it->epoch != header->epoch || it->library != header->library) {
    damage(FsckKind::pack, name + " is of another size, kind, epoch or library than its entry says");
    return {};
  }
  return realm_ ? open_pack(*it, **sealed) : Result<void>();
}

Result<void> Fsck::open_pack(const Listed& listed, ByteView sealed) {
  const auto policy = realm_->policy();
  if (!policy || !policy->has_keys(self_, listed.library)) return {};
  const crypto::EpochKey* key = realm_->keys().find(listed.library, listed.epoch);
  if (key == nullptr) {
    unopened_.insert(listed.address);
    return {};
  }
  const std::string name = "pack " + short_text(listed.address);
  std::vector<store::PiecePlace> places;
  const auto opened = store::OpenPack::open(*key, sealed, listed.library);
  const Result<void> whole = opened ? opened->verify_all() : Result<void>(std::unexpected(opened.error()));
  if (whole) {
    places = opened->places();
    report_.pieces += places.size();
    for (const store::PiecePlace& place : places) {
      if (place.type != store::PieceType::record) continue;
      ++report_.records;
      const auto signed_record = store::decode_signed_record(TRY(opened->piece(place.id, place.type)));
      if (signed_record && store::decode_record(signed_record->record)) {
        commitments_.insert(store::commitment(*signed_record));
      } else {
        damage(FsckKind::record, name + " has a record that cannot be read: its writer made it so");
      }
    }
  } else {
    // Its address fits, so every node has it like this: whoever sealed it made it so.
    damage(FsckKind::pack, name + " does not open: " + whole.error().text);
    unopened_.insert(listed.address);
  }
  if (!to_index_.empty() && to_index_library_ != listed.library) TRY(flush_index());
  to_index_library_ = listed.library;
  to_index_.push_back({listed.address, std::move(places)});
  return to_index_.size() == index_packs_most ? flush_index() : Result<void>();
}

Result<void> Fsck::flush_index() {
  if (to_index_.empty()) return {};
  TRY(DerivedIndex(*scratch_, keys_->local, to_index_library_).put(to_index_));
  to_index_.clear();
  return {};
}

/// The list of each library's packs, and their count, against the packs.
Result<void> Fsck::check_counts(TruthCheck& in) {
  bool differ = false;
  std::uint64_t owned = 0, counted = 0;
  TRY(in.each_raw(TruthTable::owners, [&](ByteView key, const std::optional<ByteView>& value) -> Result<bool> {
    if (!value) return true;  // said before
    const auto owner = TruthCheck::owner_of(key);
    const auto sealed = owner ? TRY(in.pack(owner->second)) : std::nullopt;
    const auto header = sealed ? crypto::check_sealed(*sealed) : Result<crypto::PackHeader>(fail(Fault::not_found, ""));
    const bool damaged_pack = owner && std::ranges::binary_search(damaged_packs_, owner->second);
    if (damaged_pack) return true;
    ++owned;
    if (!header || header->library != owner->first || value->size() != 4 || get_u32(value->data()) != sealed->size()) differ = true;
    return true;
  }));
  for (const auto& [library, usage] : usages_) counted += usage.count;
  if (owned != counted) differ = true;
  const auto stored = usages_in(in);
  if (!stored && stored.error().fault != Fault::corrupt) return std::unexpected(stored.error());
  if (damaged_packs_.empty() && stored) {
    std::map<LibraryId, store::PackUsage> now = *stored;
    std::erase_if(now, [](const auto& it) { return it.second.count == 0; });
    if (now != usages_) differ = true;
  }
  if (differ && !packs_miscounted_)
    damage_that(FsckState::mended, FsckKind::pack_count, "the list of packs of a library is not that of the packs which are here");
  packs_miscounted_ |= differ;
  return {};
}

/// Each change entry has the record that it commits to, where its meta packs are here and open.
Result<void> Fsck::check_records(TruthCheck& in) {
  if (!realm_) return {};
  for (const Committed& it : committed_) {
    const auto policy = realm_->policy();
    if (commitments_.contains(it.record) || !policy || !policy->has_keys(self_, it.branch->feed.library)) continue;
    const auto bytes = TRY(in.entry(*it.branch, it.sequence));
    const auto entry = bytes ? store::decode_entry(*bytes) : Result<store::Entry>(fail(Fault::not_found, ""));
    const auto packs = entry ? listings(in, *entry) : std::nullopt;
    if (!packs) continue;
    bool all_opened = true;
    for (const store::PackListing& pack : *packs) {
      if (pack.kind != crypto::PackKind::meta) continue;
      all_opened = all_opened && !unopened_.contains(pack.address) && TRY(in.has_pack(pack.address));
    }
    if (all_opened) {
      damage(FsckKind::record, "entry " + std::to_string(it.sequence.value) + " of " + feed_text(it.branch->feed) + ": no record that fits it is in its packs");
    }
  }
  return {};
}

Result<void> Fsck::mend_packs() {
  std::vector<PackAddress> gone = damaged_packs_;
  gone.insert(gone.end(), unlisted_.begin(), unlisted_.end());
  for (std::size_t i = 0; i < gone.size(); i += erased_packs_most) {
    auto write = TRY(truth_->write());
    for (std::size_t k = i; k < std::min(gone.size(), i + erased_packs_most); ++k) TRY(write.erase_pack(gone[k]));
    TRY(write.commit());
  }
  if (damaged_packs_.empty() && !packs_miscounted_) return {};
  auto write = TRY(truth_->write());
  TRY(write.recount_packs());
  return write.commit();
}

}  // namespace dozo::node
