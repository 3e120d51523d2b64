// Ingest: turns the contents of one save into packs: read, cut, hash, leave out what is there already, compress, seal. Memory stays within
// ingest_bytes_most whatever the size and number of contents.
//
// Many small contents share packs. Manifests, list nodes and records go into meta packs. The packs and their insides follow from what is added alone;
// with 0 workers the random numbers of the seals are drawn in order too.
// Threads: an Ingest has one owner, on whose thread sources are read and the sink is called. `workers` threads of its own hash, compress and seal; the index
// is asked on any of these threads, by one at a time.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "store/manifest.h"
#include "store/pack.h"

namespace dozo::store {

inline constexpr std::size_t ingest_bytes_most = 48U << 20;

/// The bytes of one content, from first to last.
class ContentSource {
 public:
  virtual ~ContentSource() = default;
  /// Fills the front of `to` (never empty) and says how much; 0: the end.
  virtual Result<std::size_t> read(ByteSpan to) = 0;
  /// How long it probably is: saves memory, decides nothing.
  virtual std::optional<std::uint64_t> size_hint() const { return std::nullopt; }
  /// Asked after the end: whether what was read may be a mixture of two states.
  virtual Result<bool> changed_meanwhile() = 0;
};

/// A content in memory, which outlives it.
class BytesSource final : public ContentSource {
 public:
  explicit BytesSource(ByteView bytes) : left_(bytes) {}
  Result<std::size_t> read(ByteSpan to) override;
  std::optional<std::uint64_t> size_hint() const override { return left_.size(); }
  Result<bool> changed_meanwhile() override { return false; }

 private:
  ByteView left_;
};

/// Content pieces and list nodes that the library has. What it answers, the save relies on: an index that a save must not lean on for some pack answers
/// nothing.
class PieceIndex {
 public:
  virtual ~PieceIndex() = default;
  virtual bool holds(const PieceId& id) const = 0;
};

/// Takes a pack, in the order in which they filled. A fault ends the ingest.
using PackSink = std::function<Result<void>(SealedPack&&)>;

struct IngestOptions {
  LibraryId library;
  Epoch epoch;
  int zstd_level = 3;    ///< 1 to 9
  unsigned workers = 2;  ///< 0: all on the caller's thread
};

/// What a record needs to know of a content that is stored.
struct StoredContent {
  ContentValue value;
  Source source;
  std::uint64_t new_bytes{};  ///< plain bytes that were not there yet
};

struct IngestTotals {
  std::uint64_t contents{};
  std::uint64_t plain_bytes{};
  std::uint64_t new_plain_bytes{};  ///< content alone
  std::uint64_t packs{};
  std::uint64_t pack_bytes{};
  std::size_t held_bytes_peak{};  ///< buffers at the fullest moment
};

class Ingest {
 public:
  /// `key` and `index` live longer than it.
  Ingest(const IngestOptions& options, const crypto::EpochKey& key, const PieceIndex& index, PackSink sink);
  Ingest(const Ingest&) = delete;
  Ingest& operator=(const Ingest&) = delete;
  ~Ingest();  ///< drops what is not finished

  /// Reads a content to its end. Not for directories, which have none. Faults, after which the next content can be added (pieces of this one may be in
  /// packs, to no harm): malformed (traits, or a symlink's length), stale (changed while it was read), over_limit, whatever the source says. A fault of the
  /// sink ends the ingest: every later call gives it again.
  Result<void> add(ContentSource& source, const ContentTraits& traits);
  /// What became of the contents added since the last settle, in their order.
  Result<std::vector<StoredContent>> settle();
  /// Adds a record (encode(SignedRecord), not empty, at most piece_bytes_most). Settle first what it names. Fault: over_limit.
  Result<PieceId> add_record(ByteView record);
  /// Whether its packs hold this piece, content or list node, as one that was not there yet. Needs: all settled, and nothing added meanwhile; then from any
  /// thread. May forget of what a very large save brought first.
  bool has_new(const PieceId& id) const;
  bool has_new() const;  ///< the same of any piece
  /// Gives the last packs to the sink, meta packs last. Needs: all settled. Nothing can be added afterwards.
  Result<IngestTotals> finish();

 private:
  class Body;
  std::unique_ptr<Body> body_;
};

}  // namespace dozo::store
