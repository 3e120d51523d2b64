// Piece index: where in this node's packs a piece lies, kept in the derived store, and reading pieces by way of it.
//
//   pieces    a piece's keyed name, 16 bytes: the first 16 bytes of its pack's address
//   indexed   a pack's address: nothing
//
// The disk says nothing about pieces. Only packs that a known entry lists
// are indexed, after every piece in them was hashed: what a save leaves out because it is here is then held by every replica.
// Not here: which packs are listed (library.h).
// Threads: `find` from any; the rest the engine's. Everything in the constructors outlives them.
#pragma once
#include <mutex>
#include <set>
#include <string>

#include "crypto/local_seal.h"
#include "node/realm.h"
#include "store/content.h"
#include "store/ingest.h"
#include "store/pack_cache.h"
#include "store/truth.h"

namespace dozo::node {

/// Tables of the derived store, to open its Kv with.
std::span<const std::string> derived_tables();
inline constexpr store::Table history_table{0}, pieces_table{1}, indexed_table{2}, owner_table{3}, view_table{4}, seen_table{5};

/// Marks a derived store that is empty as this node's, and of this version. False: it is another's, or says not whose, and is to be made anew.
Result<bool> own_derived(store::Kv& derived, const crypto::LocalKey& local);
/// The same question without marking it. Nothing: it is empty.
Result<std::optional<bool>> is_own_derived(store::Kv& derived, const crypto::LocalKey& local);

class DerivedIndex final : public store::PieceIndex {
 public:
  static constexpr std::size_t puts_most = 4000;  ///< of one transaction: more cost memory

  DerivedIndex(store::Kv& derived, const crypto::LocalKey& local, const LibraryId& library) : derived_(derived), local_(local), library_(library) {}

  /// Nothing also where the derived store fails: the piece is then stored anew.
  std::optional<PackAddress> find(const PieceId& id) const;
  bool holds(const PieceId& id) const override { return find(id).has_value(); }
  Result<bool> has(const PackAddress& pack) const;

  struct Pack {
    PackAddress address;
    std::vector<store::PiecePlace> places;
  };
  Result<void> put(const std::vector<Pack>& packs);  ///< in transactions of its own
  Result<void> put(store::WriteTransaction& out, const Pack& pack) const;
  /// A pack that is in the index, and is damaged: what lies in it is not found until it is healed. Held in memory, from any thread.
  void set_absent(const PackAddress& pack, bool absent);
  /// The row's key.
  Bytes key_of(const PieceId& id) const;
  /// The pack that a row's value means, if it is indexed altogether. Of two with the same beginning the first: nobody can make one to a pack that is here, and
  /// who has the library's keys makes two of his own with 2^64 hashes; pieces that lie in the second alone are then not found.
  static Result<std::optional<PackAddress>> pack_of(store::ReadTransaction& in, ByteView value);

 private:
  Result<bool> leads_to_another(store::ReadTransaction& in, const Bytes& key, const PackAddress& than) const;

  store::Kv& derived_;
  const crypto::LocalKey& local_;
  LibraryId library_;
  mutable std::mutex mutex_;
  std::set<PackAddress> absent_;
};

class IndexedPieces final : public store::PieceSource {
 public:
  IndexedPieces(store::Truth& truth, const Realm& realm, const LibraryId& library, const DerivedIndex& index)
      : truth_(truth), realm_(realm), library_(library), index_(index) {}

  /// Faults: unavailable (not here), denied (its epoch's key is not here), corrupt, not_authentic, malformed.
  Result<store::OpenPack> open(const PackAddress& address) const;
  Result<Bytes> piece(const PieceId& id, store::PieceType type) override;

 private:
  store::Truth& truth_;
  const Realm& realm_;
  LibraryId library_;
  const DerivedIndex& index_;
  store::PackCache cache_;
};

}  // namespace dozo::node
