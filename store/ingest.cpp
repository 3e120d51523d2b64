#include "store/ingest.h"

#include <algorithm>
#include <cstring>
#include <unordered_set>
#include <utility>

#include "base/invariant.h"
#include "crypto/hash.h"
#include "store/chunker.h"
#include "store/ingest_pipeline.h"

namespace dozo::store {

Result<std::size_t> BytesSource::read(ByteSpan to) {
  const std::size_t count = std::min(to.size(), left_.size());
  std::copy_n(left_.begin(), count, to.begin());
  left_ = left_.subspan(count);
  return count;
}
namespace {

/// So that what was read is still near when it is hashed.
constexpr std::size_t read_bytes_most = 256 * 1024;
constexpr std::size_t buffer_bytes_min = 4096;

/// Ids that went into this save's packs, of which the index need not know yet. Remembers at least the last `generation_ids`: of what is older a
/// second copy may be stored.
class Seen {
 public:
  bool contains(const PieceId& id) const { return newer_.contains(id) || older_.contains(id); }
  void insert(const PieceId& id) {
    if (newer_.size() == generation_ids) older_ = std::exchange(newer_, {});
    newer_.insert(id);
  }

 private:
  static constexpr std::size_t generation_ids = 65'536;
  struct First {
    std::size_t operator()(const PieceId& id) const { return get_u64(id.bytes.data()); }
  };
  std::unordered_set<PieceId, First> newer_, older_;
};

}  // namespace

class Ingest::Body {
 public:
  Body(const IngestOptions& options, const crypto::EpochKey& key, const PieceIndex& index, PackSink sink)
      : index_(index),
        content_(crypto::PackKind::content, options.zstd_level),
        meta_(crypto::PackKind::meta, options.zstd_level),
        pipeline_(
            options.workers,
            {.hash = hash,
             .assemble = [this](const Batch& batch, std::vector<PackImage>& images) { assemble(batch, images); },
             .seal = [&key, library = options.library, epoch = options.epoch](PackImage image) { return store::seal(key, library, epoch, std::move(image)); }},
            std::move(sink)) {}

  Result<void> add(ContentSource& source, const ContentTraits& traits) {
    INVARIANT(!finished_ && traits.kind != ContentKind::dir);
    TRY(well_formed(traits));
    const std::uint64_t size_most = traits.kind == ContentKind::symlink ? symlink_bytes_most : content_bytes_most;
    Batch batch;
    batch.begins = true;
    const std::uint64_t hint = std::min<std::uint64_t>(source.size_hint().value_or(IngestPipeline::batch_bytes), IngestPipeline::batch_bytes - 1);
    batch.buffer = pipeline_.take_buffer(std::max<std::size_t>(hint + 1, buffer_bytes_min));
    std::size_t filled = 0;
    crypto::Sha256 whole;
    for (;;) {
      const ByteSpan room = ByteSpan(batch.buffer).subspan(filled);
      const auto count = source.read(room.first(std::min(room.size(), read_bytes_most)));
      if (!count) return drop(std::move(batch), std::move(count.error()));
      INVARIANT(*count <= room.size());
      if (*count == 0) break;
      whole.update(room.first(*count));
      filled += *count;
      batch.content_size += *count;
      if (batch.content_size > size_most) return drop(std::move(batch), {Fault::over_limit, "a content longer than its kind may be"});
      if (filled < batch.buffer.size()) continue;
      if (batch.buffer.size() < IngestPipeline::batch_bytes) {
        batch.buffer = grown(std::move(batch.buffer));
      } else {
        filled = TRY(hand_over(batch));
      }
    }
    const auto changed = source.changed_meanwhile();
    if (!changed) return drop(std::move(batch), std::move(changed.error()));
    if (*changed) return drop(std::move(batch), {Fault::stale, "the content changed while it was read"});
    if (traits.kind == ContentKind::symlink && batch.content_size == 0) return drop(std::move(batch), {Fault::malformed, "a symlink without a target"});
    const std::size_t cut = cut_all(batch, filled, true);
    INVARIANT(cut == filled);
    batch.ends = true;
    batch.traits = traits;
    batch.sha256 = whole.finish();
    totals_.contents += 1;
    totals_.plain_bytes += batch.content_size;
    return pipeline_.push(std::move(batch));
  }

  Result<std::vector<StoredContent>> settle() {
    TRY(pipeline_.assemble_all());
    return std::exchange(stored_, {});
  }

  bool has_new(const PieceId& id) const { return seen_.contains(id); }
  bool has_new() const { return has_new_; }

  Result<PieceId> add_record(ByteView record) {
    INVARIANT(!finished_ && !record.empty());
    if (record.size() > piece_bytes_most(PieceType::record)) return fail(Fault::over_limit, "a record longer than any may be");
    TRY(pipeline_.assemble_all());
    const PieceId id = piece_id(PieceType::record, record);
    meta_.begin_document();
    if (auto full = meta_.add(PieceType::record, id, record, true)) TRY(pipeline_.push_image(std::move(*full)));
    return id;
  }

  Result<IngestTotals> finish() {
    INVARIANT(!finished_);
    TRY(pipeline_.assemble_all());
    INVARIANT(stored_.empty());
    finished_ = true;
    if (auto last = content_.finish()) TRY(pipeline_.push_image(std::move(*last)));
    if (auto last = meta_.finish()) TRY(pipeline_.push_image(std::move(*last)));
    TRY(pipeline_.deliver_all());
    totals_.packs = pipeline_.packs();
    totals_.pack_bytes = pipeline_.pack_bytes();
    totals_.held_bytes_peak = pipeline_.held_bytes_peak() + content_.held_bytes() + meta_.held_bytes();
    return totals_;
  }

 private:
  /// Cuts the front of `filled` bytes as far as that can be told, and says how far that is.
  static std::size_t cut_all(Batch& batch, std::size_t filled, bool last) {
    std::size_t at = 0;
    while (const std::size_t size = next_cut(ByteView(batch.buffer).subspan(at, filled - at), last)) {
      batch.cuts.push_back({static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(size)});
      at += size;
    }
    return at;
  }

  Bytes grown(Bytes small) {
    Bytes large = pipeline_.take_buffer(IngestPipeline::batch_bytes);
    std::memcpy(large.data(), small.data(), small.size());
    pipeline_.give_back(std::move(small));
    return large;
  }

  /// Hands a full batch over and leaves one that begins with the bytes behind the last cut: so many.
  Result<std::size_t> hand_over(Batch& batch) {
    const std::size_t cut = cut_all(batch, batch.buffer.size(), false);
    Batch next;
    next.content_size = batch.content_size;
    next.buffer = pipeline_.take_buffer(IngestPipeline::batch_bytes);
    const ByteView rest = ByteView(batch.buffer).subspan(cut);
    if (!rest.empty()) std::memcpy(next.buffer.data(), rest.data(), rest.size());  // ranges::copy goes byte by byte here
    const std::size_t filled = rest.size();
    TRY(pipeline_.push(std::exchange(batch, std::move(next))));
    return filled;
  }

  /// Gives a content up, and tells those behind if they have seen its beginning.
  Result<void> drop(Batch batch, Error why) {
    if (batch.begins) {
      pipeline_.give_back(std::move(batch.buffer));
    } else {
      batch.cuts.clear();
      batch.ends = batch.dropped = true;
      TRY(pipeline_.push(std::move(batch)));
    }
    return std::unexpected(std::move(why));
  }

  static void hash(Batch& batch) {
    batch.ids.reserve(batch.cuts.size());
    for (const Batch::Cut& cut : batch.cuts) batch.ids.push_back(piece_id(PieceType::content, ByteView(batch.buffer).subspan(cut.offset, cut.size)));
  }

  void assemble(const Batch& batch, std::vector<PackImage>& images) {
    const auto keep = [&](std::optional<PackImage> full) {
      if (full) images.push_back(std::move(*full));
    };
    std::vector<ListBuilder::Made> nodes;
    const auto keep_nodes = [&] {
      for (const ListBuilder::Made& node : nodes) {
        if (is_new(node.ref.id)) keep(meta_.add(PieceType::list, node.ref.id, node.bytes));
      }
      nodes.clear();
    };
    if (batch.begins) {
      content_.begin_document();
      meta_.begin_document();
      new_bytes_ = 0;
    }
    for (std::size_t i = 0; i < batch.cuts.size(); ++i) {
      const Batch::Cut& cut = batch.cuts[i];
      if (is_new(batch.ids[i])) {
        keep(content_.add(PieceType::content, batch.ids[i], ByteView(batch.buffer).subspan(cut.offset, cut.size),
                          batch.begins && batch.ends && batch.cuts.size() == 1));
        new_bytes_ += cut.size;
      }
      list_.add({batch.ids[i], cut.size}, nodes);
      keep_nodes();
    }
    if (!batch.ends) return;
    auto root = list_.finish(nodes);
    INVARIANT(root.has_value());
    totals_.new_plain_bytes += new_bytes_;
    if (batch.dropped) return;
    keep_nodes();
    const Manifest manifest{batch.traits, batch.content_size, batch.sha256, std::move(*root)};
    const Bytes encoded = encode(manifest);
    const PieceId id = piece_id(PieceType::manifest, encoded);
    // A save brings its manifests along, whatever the index knows: its meta packs alone must say what its contents are.
    if (!seen_.contains(id)) {
      seen_.insert(id);
      keep(meta_.add(PieceType::manifest, id, encoded, manifest.list.level == 0));
    }
    const bool executable = batch.traits.kind == ContentKind::file && (batch.traits.mode & 0100) != 0;
    stored_.push_back({{batch.traits.kind, batch.sha256, executable}, {id, batch.content_size}, new_bytes_});
  }

  bool is_new(const PieceId& id) {
    if (seen_.contains(id) || index_.holds(id)) return false;
    has_new_ = true;
    seen_.insert(id);
    return true;
  }

  const PieceIndex& index_;
  bool finished_ = false;
  IngestTotals totals_;
  // These belong to whoever assembles, and to the owner's thread while no batch is under way.
  PackBuilder content_, meta_;
  ListBuilder list_;
  Seen seen_;
  bool has_new_ = false;
  std::uint64_t new_bytes_ = 0;
  std::vector<StoredContent> stored_;
  IngestPipeline pipeline_;  // last: its threads end before anything that they use
};

Ingest::Ingest(const IngestOptions& options, const crypto::EpochKey& key, const PieceIndex& index, PackSink sink)
    : body_(std::make_unique<Body>(options, key, index, std::move(sink))) {}
Ingest::~Ingest() = default;
Result<void> Ingest::add(ContentSource& source, const ContentTraits& traits) { return body_->add(source, traits); }
Result<std::vector<StoredContent>> Ingest::settle() { return body_->settle(); }
bool Ingest::has_new(const PieceId& id) const { return body_->has_new(id); }
bool Ingest::has_new() const { return body_->has_new(); }
Result<PieceId> Ingest::add_record(ByteView record) { return body_->add_record(record); }
Result<IngestTotals> Ingest::finish() { return body_->finish(); }

}  // namespace dozo::store
