#include "store/pack_cache.h"

namespace dozo::store {

Result<Bytes> PackCache::piece(const PackAddress& address, const PieceId& id, PieceType type, const Opener& open) {
  std::shared_ptr<const OpenPack> pack;
  if (const auto held = look({address, whole_pack})) {
    pack = held->pack;
  } else {
    pack = std::make_shared<const OpenPack>(TRY(open()));
    keep({{address, whole_pack}, pack, nullptr, pack->size_bytes()});
  }
  const auto place = pack->find(id, type);
  if (!place) return fail(Fault::not_found, "a piece that is not in this pack");
  if (const auto raw = pack->raw_group(place->group)) return OpenPack::piece_of(*place, *raw);
  std::shared_ptr<const Bytes> group;
  if (const auto held = look({address, place->group})) {
    group = held->group;
  } else {
    group = std::make_shared<const Bytes>(TRY(pack->group(place->group)));
    keep({{address, place->group}, nullptr, group, group->size()});
  }
  return OpenPack::piece_of(*place, *group);
}

std::optional<PackCache::Held> PackCache::look(const Key& key) {
  const std::lock_guard lock(mutex_);
  const auto found = at_.find(key);
  if (found == at_.end()) return std::nullopt;
  used_.splice(used_.begin(), used_, found->second);
  return *found->second;
}

void PackCache::keep(Held held) {
  const std::lock_guard lock(mutex_);
  if (held.bytes > bytes_most_ || at_.contains(held.key)) return;
  bytes_ += held.bytes;
  used_.push_front(std::move(held));
  at_.emplace(used_.front().key, used_.begin());
  while (bytes_ > bytes_most_) {
    bytes_ -= used_.back().bytes;
    at_.erase(used_.back().key);
    used_.pop_back();
  }
}

void PackCache::forget(const PackAddress& pack) {
  const std::lock_guard lock(mutex_);
  for (auto it = at_.lower_bound({pack, 0}); it != at_.end() && it->first.pack == pack;) {
    bytes_ -= it->second->bytes;
    used_.erase(it->second);
    it = at_.erase(it);
  }
}

void PackCache::clear() {
  const std::lock_guard lock(mutex_);
  at_.clear();
  used_.clear();
  bytes_ = 0;
}

std::size_t PackCache::held_bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

}  // namespace dozo::store
