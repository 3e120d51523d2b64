#include <algorithm>

#include "sync/sync_body.h"

namespace dozo::sync {

/// Tells Fetch what is missing, most urgent first.
void Sync::Body::look_for_packs() {
  for (const ObjectId& pack : fetch_.take_given_up()) store_.put_off(pack, now_);
  for (auto at = look_.begin(); at != look_.end();) {
    const auto& [library, fresh] = *at;
    if (fetch_.room() < (fresh ? 1 : Fetch::objects_most / 2)) {
      ++at;
      continue;
    }
    // Those on their way, put aside or being kept stand among what is missing too.
    std::size_t known = 0;
    for (auto kept = keeping_.lower_bound({library, ObjectKind{}, {}}); kept != keeping_.end() && kept->first.library == library; ++kept) ++known;
    known += fetch_.wanted(library).size();
    const std::vector<MissingPack> missing = store_.missing(library, known + packs_looked_at);
    std::size_t rank = 0;
    bool more = missing.size() == known + packs_looked_at;
    for (const MissingPack& pack : missing) {
      const ObjectId id{library, ObjectKind::pack, pack.address};
      if (keeping_.contains(id)) continue;
      if (!fetch_.is_wanted(id) && fetch_.room() == 0) {
        more = true;
        break;
      }
      fetch_.want(id, pack.size_bytes, ++rank);
    }
    // More may be missing: to be looked at again when these are on their way.
    if (more) {
      at++->second = false;
    } else {
      at = look_.erase(at);
    }
  }
}

/// What came by another way, or is of a library that is not shared any more.
void Sync::Body::drop_packs_not_missing() {
  std::set<LibraryId> libraries;
  each_up([&](const NodeId& id, const Peer&) {
    for (const LibraryId& library : authoriser_.shared_libraries(id)) {
      if (all_changed_ || changed_.contains(library)) libraries.insert(library);
    }
  });
  for (const LibraryId& library : libraries) {
    for (const ObjectId& id : fetch_.wanted(library)) {
      if (id.kind == ObjectKind::pack ? !store_.is_missing(id) : !wanted_by_entries(id)) fetch_.forget(id);
    }
  }
}

void Sync::Body::take(const PacksDurable& it) {
  for (const ObjectId& pack : it.packs) {
    const auto kept = keeping_.find(pack);
    if (kept == keeping_.end()) continue;
    keeping_bytes_ -= kept->second;
    keeping_.erase(kept);
  }
}

bool Sync::Body::hear(const NodeId& from, Peer&, SliceWanted&& it) {
  if (!serves(from, it.object.library) || it.offset % slice_bytes_most != 0) return false;
  const auto size = store_.size(it.object);
  if (!size || it.offset >= *size) {
    send(from, ObjectUnavailable{it.object});
    return true;
  }
  auto bytes = store_.slice(it.object, it.offset, slice_bytes_most);
  if (!bytes || bytes->size() != std::min<std::size_t>(slice_bytes_most, *size - it.offset)) {
    send(from, ObjectUnavailable{it.object});
    return true;
  }
  send(from, SliceGiven{it.object, it.offset, *size, std::move(*bytes)});
  return true;
}

bool Sync::Body::hear(const NodeId& from, Peer&, SliceGiven&& it) {
  if (!authoriser_.shares(from, it.object.library)) return false;
  const ObjectId id = it.object;
  auto whole = fetch_.take(from, std::move(it), now_);
  if (!whole) return true;
  if (id.kind == ObjectKind::list) {
    if (!wanted_by_entries(id)) return true;
    const auto kept = store_.keep_list(id, whole->bytes);
    if (kept) {
      list_came(id);
      return true;
    }
    const bool ours = kept.error().fault == Fault::unavailable || kept.error().fault == Fault::corrupt;
    if (ours) whole->from_one = false;
    fetch_.refuse(from, id, *whole, now_);
    return ours || !whole->from_one;
  }
  if (!store_.is_missing(id)) return true;
  if (const auto checked = store_.check_pack(id, whole->bytes); !checked) {
    if (checked.error().fault == Fault::denied) return true;  // its entries are false; the peer gave what it was asked for
    fetch_.refuse(from, id, *whole, now_);
    return !whole->from_one;
  }
  keeping_.emplace(id, whole->bytes.size());
  keeping_bytes_ += whole->bytes.size();
  out_.push_back(KeepPack{id, std::move(whole->bytes)});
  return true;
}

bool Sync::Body::hear(const NodeId& from, Peer&, ObjectUnavailable&& it) {
  if (!authoriser_.shares(from, it.object.library)) return false;
  fetch_.unavailable(from, it.object, now_);
  return true;
}

}  // namespace dozo::sync
