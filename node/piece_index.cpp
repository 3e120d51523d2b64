#include "node/piece_index.h"

#include <array>

namespace dozo::node {
namespace {

constexpr std::size_t name_bytes = 16, beginning_bytes = 16;  // of a piece's keyed name, and of its pack's address
constexpr std::string_view mark_use = "derived store 2";      // another number: rows that another version reads wrongly

const ByteView owner_row = view_of("owner");

ByteView beginning_of(const PackAddress& pack) { return pack.view().first(beginning_bytes); }

}  // namespace

std::span<const std::string> derived_tables() {
  static const std::array<std::string, 6> names{"history", "pieces", "indexed", "owner", "view", "seen"};  // history takes the first (history_rows.h)
  return names;
}

Result<std::optional<bool>> is_own_derived(store::Kv& derived, const crypto::LocalKey& local) {
  const auto in = TRY(derived.read());
  if (const auto found = TRY(in->get(owner_table, owner_row))) return std::optional(equal(*found, local.keyed(mark_use, {}).view()));
  for (const store::Table table : {history_table, pieces_table, indexed_table, view_table})
    if (TRY(in->count(table)) != 0) return std::optional(false);
  return std::optional<bool>{};
}

Result<bool> own_derived(store::Kv& derived, const crypto::LocalKey& local) {
  if (const auto known = TRY(is_own_derived(derived, local))) return *known;
  const auto out = TRY(derived.write());
  TRY(out->put(owner_table, owner_row, local.keyed(mark_use, {}).view()));
  TRY(out->commit());
  return true;
}

Bytes DerivedIndex::key_of(const PieceId& id) const {
  Bytes what = bytes_of(library_.view());
  append(what, id.view());
  return bytes_of(local_.keyed("piece", what).view().first(name_bytes));
}

std::optional<PackAddress> DerivedIndex::find(const PieceId& id) const {
  const auto transaction = derived_.read();
  if (!transaction) return std::nullopt;
  const auto found = (*transaction)->get(pieces_table, key_of(id));
  if (!found || !*found) return std::nullopt;
  const auto address = pack_of(**transaction, **found);
  if (!address || !*address) return std::nullopt;
  const std::scoped_lock lock(mutex_);
  return absent_.contains(**address) ? std::nullopt : *address;
}

Result<std::optional<PackAddress>> DerivedIndex::pack_of(store::ReadTransaction& in, ByteView value) {
  const auto packs = TRY(in.cursor(indexed_table));
  if (value.size() != beginning_bytes || !TRY(packs->seek(value))) return std::optional<PackAddress>{};
  const auto address = PackAddress::from(packs->key());
  return address && equal(beginning_of(*address), value) ? std::optional(*address) : std::nullopt;
}

void DerivedIndex::set_absent(const PackAddress& pack, bool absent) {
  const std::scoped_lock lock(mutex_);
  if (absent) {
    absent_.insert(pack);
  } else {
    absent_.erase(pack);
  }
}

Result<bool> DerivedIndex::has(const PackAddress& pack) const {
  const auto transaction = TRY(derived_.read());
  return TRY(transaction->get(indexed_table, pack.bytes)).has_value();
}

/// A row that is good stays: this one would not be before its pack is marked, and that may be never, when a later transaction fails.
Result<bool> DerivedIndex::leads_to_another(store::ReadTransaction& in, const Bytes& key, const PackAddress& than) const {
  const auto found = TRY(in.get(pieces_table, key));
  const auto address = found ? TRY(pack_of(in, *found)) : std::nullopt;
  if (!address || *address == than) return false;
  const std::scoped_lock lock(mutex_);
  return !absent_.contains(*address);
}

Result<void> DerivedIndex::put(const std::vector<Pack>& packs) {
  std::unique_ptr<store::WriteTransaction> transaction;
  std::size_t puts = 0;
  for (const Pack& pack : packs) {
    for (const store::PiecePlace& place : pack.places) {
      if (place.type == store::PieceType::record) continue;
      if (transaction && puts == puts_most) {
        TRY(transaction->commit());
        transaction.reset();
      }
      if (!transaction) transaction = TRY(derived_.write()), puts = 0;
      const Bytes key = key_of(place.id);
      if (TRY(leads_to_another(*transaction, key, pack.address))) continue;
      TRY(transaction->put(pieces_table, key, beginning_of(pack.address)));
      ++puts;
    }
    // After all its pieces: a pack that is marked is indexed altogether.
    if (!transaction) transaction = TRY(derived_.write()), puts = 0;
    TRY(transaction->put(indexed_table, pack.address.bytes, {}));
    ++puts;
  }
  return transaction ? transaction->commit() : Result<void>();
}

Result<void> DerivedIndex::put(store::WriteTransaction& out, const Pack& pack) const {
  for (const store::PiecePlace& place : pack.places) {
    if (place.type != store::PieceType::record) TRY(out.put(pieces_table, key_of(place.id), beginning_of(pack.address)));
  }
  return out.put(indexed_table, pack.address.bytes, {});
}

Result<store::OpenPack> IndexedPieces::open(const PackAddress& address) const {
  auto in = TRY(truth_.read());
  const auto sealed = TRY(in.pack_checked(address));
  if (!sealed) return fail(Fault::unavailable, "a pack that is not here yet");
  const crypto::PackHeader header = TRY(crypto::check_sealed(*sealed));
  const crypto::EpochKey* key = realm_.keys().find(library_, header.epoch);
  if (key == nullptr) return fail(Fault::denied, "a pack of an epoch whose key this node does not have");
  return store::OpenPack::open(*key, *sealed, library_);
}

Result<Bytes> IndexedPieces::piece(const PieceId& id, store::PieceType type) {
  const auto address = index_.find(id);
  if (!address) return fail(Fault::unavailable, "a piece that is not here yet");
  return cache_.piece(*address, id, type, [&] { return open(*address); });
}

}  // namespace dozo::node
