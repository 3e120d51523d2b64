// Object store and authoriser: what sync needs to know of the node that it speaks for. The engine implements both.
//
// Threads: as Sync.
#pragma once
#include "sync/messages.h"

namespace dozo::sync {

struct Batch {
  std::vector<Bytes> entries;
  std::string head_note;
  std::vector<Digest> proof;
};
struct MissingPack {
  Digest address;
  std::uint32_t size_bytes{};  ///< 0: not known
};

/// What the node holds. Whatever comes from a peer is checked behind this before it counts.
class ObjectStore {
 public:
  virtual ~ObjectStore() = default;

  // ---- documents
  virtual RealmId realm() const = 0;
  virtual DocumentVersions versions(Now now) const = 0;
  virtual std::vector<DocumentWant> wants() const = 0;  ///< most urgent first
  virtual std::optional<Bytes> document(const DocumentWant& want) const = 0;
  virtual std::vector<Bytes> suspensions(Now now) const = 0;  ///< all that no snapshot lists: suspensions first
  struct Offered {
    bool authentic{};  ///< validly signed, of this realm
    bool changed{};    ///< something came of it
    bool kept = true;  ///< false: this node could not keep it, nor what came of others before it; to be asked for again, but not at once
  };
  virtual Offered offer(ByteView envelope, Now now) = 0;

  // ---- feeds; a library is always one that the authoriser says is shared
  // A feed that its node forked has several lines: each stands among the feeds with its own point, and a point names the line that it is on.
  virtual std::vector<FeedPoint> feeds(const LibraryId& library) const = 0;
  /// From which entry on to ask for what leads to this point; 0: nothing, it is held.
  virtual Result<Sequence> next(const FeedPoint& point) const = 0;
  /// Of the line that `point` is on.
  virtual Result<Batch> entries(const FeedPoint& point, Sequence from, std::size_t bytes_most) const = 0;
  /// Nothing was kept where lists come back: those that the batch names and that are not here, after all of it was checked. To be given again when they came.
  /// Faults: not_found (waits for documents), stale (nothing new in it), exists (another line of the feed: next() says from where on), denied,
  /// not_authentic, malformed ...
  virtual Result<std::vector<Digest>> accept_entries(const FeedPoint& point, Sequence from, const Batch& batch) = 0;

  // ---- packs and lists of packs
  virtual std::vector<MissingPack> missing(const LibraryId& library, std::size_t most) const = 0;  ///< most urgent first
  virtual bool is_missing(const ObjectId& pack) const = 0;
  virtual void put_off(const ObjectId& pack, Now now) = 0;                      ///< nobody has it: not among what is missing for some minutes, or hours
  virtual std::optional<std::uint32_t> size(const ObjectId& object) const = 0;  ///< nothing: not held, or not of that library
  virtual Result<Bytes> slice(const ObjectId& object, std::uint32_t offset, std::size_t bytes_most) const = 0;
  /// Fault: denied (what was asked for, and what entries say of it is false: it is not missing any more), or the giver's.
  virtual Result<void> check_pack(const ObjectId& pack, ByteView bytes) = 0;
  virtual Result<void> keep_list(const ObjectId& list, ByteView bytes) = 0;

  // ---- statements
  virtual std::vector<StatementMark> statements(const LibraryId& library) const = 0;  ///< ascending
  virtual std::optional<StatementGiven> statement(const LibraryId& library, const NodeId& signer, const std::string& subject) const = 0;
  virtual Result<bool> accept_statement(const StatementGiven& statement) = 0;  ///< false: known already
};

/// What the policy in force, and suspensions, say of peers now. Asked at every message, in both directions.
class Authoriser {
 public:
  virtual ~Authoriser() = default;
  virtual bool knows(const NodeId& peer) const = 0;                               ///< it may have the authority's documents
  virtual bool shares(const NodeId& peer, const LibraryId& library) const = 0;    ///< this node and the peer both hold it, and the peer is not suspended
  virtual std::vector<LibraryId> shared_libraries(const NodeId& peer) const = 0;  ///< ascending
  /// The peer was refused what it asked for of a library that is not shared with it.
  virtual void note_refused(const NodeId& peer, const LibraryId& library) = 0;
};

}  // namespace dozo::sync
