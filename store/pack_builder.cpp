#include <zstd.h>

#include <set>

#include "base/invariant.h"
#include "base/memory.h"
#include "store/pack.h"

// A compressed group is one zstd frame: of a piece that is alone just that, else flushed after each piece. So the size is known before a piece is let in, and
// where a piece does not fit any more the frame is ended before it by a last block of nothing: no piece that is in is compressed twice.
namespace dozo::store {
namespace {

constexpr std::size_t table_head_bytes = 1 + 4, group_head_bytes = 1 + 4 + 4 + 4, table_piece_bytes = 1 + PieceId::size + 4;
constexpr std::array<std::uint8_t, 3> last_block = {1, 0, 0};  // RFC 8878, 3.1.1.2: last, raw, of no bytes

/// Compressed must save this part of a group's first piece, or the group stays raw: what does not shrink there seldom does later, and reading raw is faster.
constexpr std::size_t saving_least = 32;

constexpr int window_log = 21;  ///< 2 MiB: what a compressor keeps in memory

struct FreeCompressor {
  void operator()(ZSTD_CCtx* it) const { ZSTD_freeCCtx(it); }
};

bool fits(crypto::PackKind kind, PieceType type) { return (kind == crypto::PackKind::content) == (type == PieceType::content); }

}  // namespace

class PackBuilder::Body {
 public:
  Body(crypto::PackKind kind, int level) : kind_(kind), level_(level) { INVARIANT(level >= 1 && level <= 9); }

  void begin_document() { close_group(); }

  std::optional<PackImage> add(PieceType type, const PieceId& id, ByteView bytes, bool alone) {
    INVARIANT(!(alone && in_group_) && fits(kind_, type) && !bytes.empty() && bytes.size() <= piece_bytes_most(type));
    if (ids_.contains(id)) return std::nullopt;
    std::optional<PackImage> full;
    if (plain_total_ + bytes.size() > pack_groups_plain_most || ids_.size() == pack_pieces_most) full = close_pack(false);
    if (in_group_ && table_.groups.back().plain_size + bytes.size() > group_plain_most) close_group();
    if (!put(bytes, alone)) {
      full = close_pack(true);
      INVARIANT(put(bytes, alone));
    }
    TableGroup& group = table_.groups.back();
    group.pieces.push_back({type, id, static_cast<std::uint32_t>(bytes.size())});
    group.plain_size += static_cast<std::uint32_t>(bytes.size());
    plain_total_ += bytes.size();
    ids_.insert(id);
    if (alone) close_group();
    return full;
  }

  std::optional<PackImage> finish() {
    if (ids_.empty()) return std::nullopt;
    return close_pack(false);
  }

  std::size_t held_bytes() const { return stored_.capacity() + scratch_.capacity() + (zstd_ ? ZSTD_sizeof_CCtx(zstd_.get()) : 0); }

 private:
  /// Whether `stored` more bytes, this piece's line and, where there is none, its group's still leave room for the end of a frame.
  bool room_for(std::size_t stored) const {
    const std::size_t table = table_head_bytes + (table_.groups.size() + (in_group_ ? 0 : 1)) * group_head_bytes + (ids_.size() + 1) * table_piece_bytes;
    return crypto::pack_length_bytes + table + stored_.size() + stored + last_block.size() <= crypto::pack_plain_most;
  }

  /// Stores the bytes in the open group or in one that it begins. False: they do not fit, nothing has changed but that the open group can take no more.
  bool put(ByteView bytes, bool alone) {
    if (in_group_ && table_.groups.back().codec == Codec::raw) return put_raw(bytes);
    if (!in_group_) begin_frame();
    is_frame_whole_ = alone;
    compress(bytes);
    if (!in_group_ && scratch_.size() + (alone ? 0 : last_block.size()) + bytes.size() / saving_least > bytes.size()) {
      if (!room_for(bytes.size())) return false;
      begin_group(Codec::raw);
      return put_raw(bytes);
    }
    if (!room_for(scratch_.size())) return false;
    if (!in_group_) begin_group(Codec::zstd);
    append(stored_, scratch_);
    return true;
  }
  bool put_raw(ByteView bytes) {
    if (!room_for(bytes.size())) return false;
    append(stored_, bytes);
    return true;
  }

  void begin_group(Codec codec) {
    stored_.reserve(crypto::pack_plain_most);
    table_.groups.push_back({codec, 0, 0, {}});
    group_start_ = stored_.size();
    in_group_ = true;
  }
  void close_group() {
    if (!in_group_) return;
    TableGroup& group = table_.groups.back();
    if (group.codec == Codec::zstd && !is_frame_whole_) append(stored_, last_block);
    group.stored_size = static_cast<std::uint32_t>(stored_.size() - group_start_);
    in_group_ = false;
  }

  void begin_frame() {
    if (!zstd_) {
      zstd_.reset(ZSTD_createCCtx());
      if (!zstd_) out_of_memory();
      INVARIANT(ZSTD_isError(ZSTD_CCtx_setParameter(zstd_.get(), ZSTD_c_compressionLevel, level_)) == 0);
      INVARIANT(ZSTD_isError(ZSTD_CCtx_setParameter(zstd_.get(), ZSTD_c_windowLog, window_log)) == 0);
    }
    INVARIANT(ZSTD_isError(ZSTD_CCtx_reset(zstd_.get(), ZSTD_reset_session_only)) == 0);
  }
  /// The piece as the next blocks of the frame, or as the whole of it, into scratch_.
  void compress(ByteView bytes) {
    scratch_.resize(ZSTD_compressBound(bytes.size()) + 64);
    if (is_frame_whole_) {  // zstd knows the size beforehand, takes tables for it, and copies nothing
      const std::size_t size = ZSTD_compress2(zstd_.get(), scratch_.data(), scratch_.size(), bytes.data(), bytes.size());
      if (ZSTD_isError(size) != 0) out_of_memory();
      scratch_.resize(size);
      return;
    }
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    ZSTD_outBuffer out{scratch_.data(), scratch_.size(), 0};
    const std::size_t left = ZSTD_compressStream2(zstd_.get(), &out, &in, ZSTD_e_flush);
    if (ZSTD_isError(left) != 0) out_of_memory();  // with room for the output, memory is all that can be missing
    INVARIANT(left == 0 && in.pos == in.size);
    scratch_.resize(out.pos);
  }

  PackImage close_pack(bool full) {
    close_group();
    PackImage out;
    out.kind = kind_;
    const Bytes table = encode(table_);
    out.table_bytes = table.size();
    // A full pack is filled up to the one size that all full ones have: what room was left would tell the sizes of pieces.
    const std::size_t used = crypto::pack_length_bytes + table.size() + stored_.size();
    INVARIANT(used <= crypto::pack_plain_most);
    out.plain.reserve(full ? crypto::pack_plain_most : used);
    out.plain.resize(crypto::pack_length_bytes);
    put_u32(out.plain.data(), static_cast<std::uint32_t>(table.size()));
    append(out.plain, table);
    append(out.plain, stored_);
    if (full) out.plain.resize(crypto::pack_plain_most);
    out.places.reserve(ids_.size());
    for (std::uint32_t number = 0; number < table_.groups.size(); ++number) {
      std::uint32_t offset = 0;
      for (const TablePiece& piece : table_.groups[number].pieces) {
        out.places.push_back({piece.id, piece.type, number, offset, piece.size});
        offset += piece.size;
      }
    }
    table_.groups.clear();
    stored_.clear();
    ids_.clear();
    plain_total_ = 0;
    return out;
  }

  const crypto::PackKind kind_;
  const int level_;
  std::unique_ptr<ZSTD_CCtx, FreeCompressor> zstd_;
  ContentsTable table_;
  Bytes stored_;   ///< the groups' bodies
  Bytes scratch_;  ///< one compressed piece
  bool in_group_ = false;
  bool is_frame_whole_ = false;  ///< of the open group: its one piece is all that it will have
  std::size_t group_start_ = 0;
  std::size_t plain_total_ = 0;
  std::set<PieceId> ids_;
};

PackBuilder::PackBuilder(crypto::PackKind kind, int level) : body_(std::make_unique<Body>(kind, level)) {}
PackBuilder::PackBuilder(PackBuilder&&) noexcept = default;
PackBuilder& PackBuilder::operator=(PackBuilder&&) noexcept = default;
PackBuilder::~PackBuilder() = default;
void PackBuilder::begin_document() { body_->begin_document(); }
std::optional<PackImage> PackBuilder::add(PieceType type, const PieceId& id, ByteView bytes, bool alone) { return body_->add(type, id, bytes, alone); }
std::optional<PackImage> PackBuilder::finish() { return body_->finish(); }
std::size_t PackBuilder::held_bytes() const { return body_->held_bytes(); }

SealedPack seal(const crypto::EpochKey& key, const LibraryId& library, Epoch epoch, PackImage image) {
  const ByteView plain(image.plain);
  SealedPack out;
  out.kind = image.kind;
  out.bytes = crypto::seal_pack(key, image.kind, library, epoch, plain.subspan(crypto::pack_length_bytes, image.table_bytes), plain);
  out.address = crypto::address_of(out.bytes);
  out.places = std::move(image.places);
  return out;
}

}  // namespace dozo::store
