// Objects: what sync may ask about this node: its documents, feeds, packs and statements, answered from the realm, the libraries and the truth; and what
// the policy in force says of a peer.
//
// Not here: when something is asked (sync), what follows from it (engine.cpp reads the changes that are noted here).
// Threads: the engine's. All that the constructor takes outlives it.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "node/library.h"
#include "policy/enrolment.h"
#include "sync/object_store.h"

namespace dozo::node {

using Libraries = std::map<LibraryId, std::unique_ptr<Library>>;

class Objects final : public sync::ObjectStore, public sync::Authoriser {
 public:
  Objects(store::Truth& truth, Realm& realm, Libraries& libraries, const NodeId& self, const std::vector<policy::Contact>& contacts, RefusalLog& refusals)
      : truth_(truth), realm_(realm), libraries_(libraries), self_(self), contacts_(contacts), refusals_(refusals) {}

  /// The time for what policy says of now. Before each question of sync.
  void set_now(Now now) {
    now_ = now;
    realm_.set_wall_ms(now.wall_ms);
  }

  /// While it pauses nothing is missing.
  void pause(bool is) { paused_ = is; }

  /// What happened since the last call.
  struct Changes {
    bool policy{};  ///< a newer policy is in force
    bool past{};    ///< an older version became known
    bool documents{};
    std::set<LibraryId> libraries;  ///< entries came
    std::optional<Error> fault;     ///< of the store, the last one
  };
  Changes take_changes();
  /// The highest number of a receipt of this node that a peer has and this node does not; 0: none.
  std::uint64_t own_number(const LibraryId& library) const { return own_numbers_.contains(library) ? own_numbers_.at(library) : 0; }
  /// Documents from elsewhere than a peer: HQ's own.
  Result<Realm::Taken> take_document(ByteView envelope);

  // ---- ObjectStore
  RealmId realm() const override { return realm_.id(); }
  sync::DocumentVersions versions(Now now) const override;
  std::vector<sync::DocumentWant> wants() const override;
  std::optional<Bytes> document(const sync::DocumentWant& want) const override;
  std::vector<Bytes> suspensions(Now now) const override;
  Offered offer(ByteView envelope, Now now) override;
  std::vector<sync::FeedPoint> feeds(const LibraryId& library) const override;
  Result<Sequence> next(const sync::FeedPoint& point) const override;
  Result<sync::Batch> entries(const sync::FeedPoint& point, Sequence from, std::size_t bytes_most) const override;
  Result<std::vector<Digest>> accept_entries(const sync::FeedPoint& point, Sequence from, const sync::Batch& batch) override;
  std::vector<sync::MissingPack> missing(const LibraryId& library, std::size_t most) const override;
  bool is_missing(const sync::ObjectId& pack) const override;
  std::optional<std::uint32_t> size(const sync::ObjectId& object) const override;
  Result<Bytes> slice(const sync::ObjectId& object, std::uint32_t offset, std::size_t bytes_most) const override;
  void put_off(const sync::ObjectId& pack, Now now) override;
  Result<void> check_pack(const sync::ObjectId& pack, ByteView bytes) override;
  Result<void> keep_list(const sync::ObjectId& list, ByteView bytes) override;
  std::vector<sync::StatementMark> statements(const LibraryId& library) const override;
  std::optional<sync::StatementGiven> statement(const LibraryId& library, const NodeId& signer, const std::string& subject) const override;
  Result<bool> accept_statement(const sync::StatementGiven& statement) override;

  // ---- Authoriser
  bool knows(const NodeId& peer) const override;
  bool shares(const NodeId& peer, const LibraryId& library) const override;
  std::vector<LibraryId> shared_libraries(const NodeId& peer) const override;
  void note_refused(const NodeId& peer, const LibraryId& library) override;

 private:
  Library* find(const LibraryId& library) const;
  template <class T>
  Result<T> noted(Result<T> result);

  store::Truth& truth_;
  Realm& realm_;
  Libraries& libraries_;
  NodeId self_;
  const std::vector<policy::Contact>& contacts_;
  RefusalLog& refusals_;
  Now now_;
  bool paused_ = false;
  Changes changes_;
  std::map<LibraryId, std::uint64_t> own_numbers_;          ///< of this node's receipts, as peers gave them back
  mutable std::optional<sync::DocumentVersions> versions_;  ///< until documents change
};

}  // namespace dozo::node
