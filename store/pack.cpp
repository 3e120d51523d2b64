#include "store/pack.h"

#include <zstd.h>

#include <algorithm>
#include <numeric>

#include "base/archive.h"
#include "base/invariant.h"
#include "base/memory.h"

namespace dozo::store {

template <class A>
void serialize(A& archive, TablePiece& it) {
  archive(it.type, it.id, it.size);
}
template <class A>
void serialize(A& archive, TableGroup& it) {
  archive(it.codec, it.plain_size, it.stored_size, archive::capped<pack_pieces_most>(it.pieces));
}

namespace {

constexpr std::size_t length_bytes = 4;  ///< leads the plain bytes: how long the table is

struct TableForm {
  std::uint8_t format = table_format;
  ContentsTable table;
};
template <class A>
void serialize(A& archive, TableForm& it) {
  archive(it.format, archive::capped<pack_pieces_most>(it.table.groups));
}

struct FreeDecompressor {
  void operator()(ZSTD_DCtx* it) const { ZSTD_freeDCtx(it); }
};

Result<void> check_group(const TableGroup& group) {
  if (group.pieces.empty() || group.stored_size == 0) return fail(Fault::malformed, "a group of nothing");
  if (group.plain_size > group_plain_most) return fail(Fault::over_limit, "a group that would be too large");
  std::uint64_t sum = 0;
  for (const TablePiece& piece : group.pieces) {
    if (piece.size == 0 || piece.size > piece_bytes_most(piece.type)) return fail(Fault::malformed, "a piece of a size that none has");
    sum += piece.size;
  }
  if (sum != group.plain_size) return fail(Fault::malformed, "a group that is not as long as its pieces");
  if (group.codec == Codec::raw && group.stored_size != group.plain_size) return fail(Fault::malformed, "a raw group of two sizes");
  return {};
}

}  // namespace

Bytes encode(const ContentsTable& table) { return archive::encode(TableForm{table_format, table}); }

Result<ContentsTable> parse_table(ByteView bytes) {
  if (!bytes.empty() && bytes[0] != table_format) return fail(Fault::unsupported, "a contents table of format " + std::to_string(bytes[0]));
  TableForm form = TRY(archive::decode<TableForm>(bytes, crypto::pack_plain_most, "a contents table"));
  if (form.table.groups.empty()) return fail(Fault::malformed, "a pack of nothing");
  std::uint64_t plain = 0;
  std::size_t pieces = 0;
  for (const TableGroup& group : form.table.groups) {
    TRY(check_group(group));
    plain += group.plain_size;
    pieces += group.pieces.size();
  }
  if (plain > pack_groups_plain_most || pieces > pack_pieces_most) return fail(Fault::over_limit, "a pack that would be too large");
  return std::move(form.table);
}

Result<OpenPack> OpenPack::open(const crypto::EpochKey& key, ByteView sealed, const LibraryId& library) {
  Bytes plain = TRY(crypto::open_pack(key, sealed, library));
  const crypto::PackHeader header = TRY(crypto::check_sealed(sealed));
  return parse(header.kind, std::move(plain));
}

Result<OpenPack> OpenPack::parse(crypto::PackKind kind, Bytes plain) {
  OpenPack out;
  out.plain_ = std::move(plain);
  const ByteView bytes(out.plain_);
  if (bytes.size() < length_bytes || get_u32(bytes.data()) > bytes.size() - length_bytes) return fail(Fault::malformed, "a pack without a contents table");
  const std::size_t table_bytes = get_u32(bytes.data());
  out.table_ = TRY(parse_table(bytes.subspan(length_bytes, table_bytes)));
  std::size_t at = length_bytes + table_bytes;
  for (std::uint32_t number = 0; number < out.table_.groups.size(); ++number) {
    const TableGroup& group = out.table_.groups[number];
    if (group.stored_size > bytes.size() - at) return fail(Fault::malformed, "a group beyond the end of its pack");
    out.group_offsets_.push_back(at);
    at += group.stored_size;
    std::uint32_t offset = 0;
    for (const TablePiece& piece : group.pieces) {
      if ((kind == crypto::PackKind::content) != (piece.type == PieceType::content)) return fail(Fault::malformed, "a piece in a pack of the other kind");
      out.places_.push_back({piece.id, piece.type, number, offset, piece.size});
      offset += piece.size;
    }
  }
  const ByteView fill = bytes.subspan(at);
  if (!fill.empty() && (bytes.size() != crypto::pack_plain_most || std::ranges::any_of(fill, [](std::uint8_t byte) { return byte != 0; }))) {
    return fail(Fault::malformed, "a pack with bytes after its groups");
  }
  out.by_id_.resize(out.places_.size());
  std::iota(out.by_id_.begin(), out.by_id_.end(), 0U);
  const auto id = [&](std::uint32_t i) -> const PieceId& { return out.places_[i].id; };
  std::ranges::sort(out.by_id_, {}, id);
  if (std::ranges::adjacent_find(out.by_id_, {}, id) != out.by_id_.end()) return fail(Fault::malformed, "a pack that holds a piece twice");
  return out;
}

std::optional<PiecePlace> OpenPack::find(const PieceId& id, PieceType type) const {
  const auto found = std::ranges::lower_bound(by_id_, id, {}, [&](std::uint32_t i) -> const PieceId& { return places_[i].id; });
  if (found == by_id_.end() || places_[*found].id != id || places_[*found].type != type) return std::nullopt;
  return places_[*found];
}

std::optional<ByteView> OpenPack::raw_group(std::size_t number) const {
  INVARIANT(number < table_.groups.size());
  const TableGroup& group = table_.groups[number];
  if (group.codec != Codec::raw) return std::nullopt;
  return ByteView(plain_).subspan(group_offsets_[number], group.stored_size);
}

Result<Bytes> OpenPack::group(std::size_t number) const {
  if (const auto raw = raw_group(number)) return bytes_of(*raw);
  const TableGroup& group = table_.groups[number];
  const ByteView stored = ByteView(plain_).subspan(group_offsets_[number], group.stored_size);
  if (ZSTD_findFrameCompressedSize(stored.data(), stored.size()) != stored.size()) return fail(Fault::malformed, "a group that is not one frame");
  thread_local const std::unique_ptr<ZSTD_DCtx, FreeDecompressor> zstd(ZSTD_createDCtx());
  if (!zstd) out_of_memory();
  Bytes out(group.plain_size);
  if (ZSTD_decompressDCtx(zstd.get(), out.data(), out.size(), stored.data(), stored.size()) != out.size()) {
    return fail(Fault::malformed, "a group that does not decompress to its size");
  }
  return out;
}

Result<Bytes> OpenPack::piece_of(const PiecePlace& place, ByteView group) {
  if (place.offset > group.size() || place.size > group.size() - place.offset) return fail(Fault::not_authentic, "a piece beyond its group");
  const ByteView bytes = group.subspan(place.offset, place.size);
  if (piece_id(place.type, bytes) != place.id) return fail(Fault::not_authentic, "a piece that is not what its id says");
  return bytes_of(bytes);
}

Result<Bytes> OpenPack::piece(const PieceId& id, PieceType type) const {
  const auto place = find(id, type);
  if (!place) return fail(Fault::not_found, "a piece that is not in this pack");
  if (const auto raw = raw_group(place->group)) return piece_of(*place, *raw);
  const Bytes plain = TRY(group(place->group));
  return piece_of(*place, plain);
}

Result<void> OpenPack::verify_all() const {
  std::size_t next = 0;
  for (std::size_t number = 0; number < table_.groups.size(); ++number) {
    Bytes held;
    const auto raw = raw_group(number);
    if (!raw) held = TRY(group(number));
    const ByteView plain = raw ? *raw : ByteView(held);
    for (; next < places_.size() && places_[next].group == number; ++next) {
      const PiecePlace& place = places_[next];
      if (piece_id(place.type, plain.subspan(place.offset, place.size)) != place.id) return fail(Fault::not_authentic, "a piece that is not what its id says");
    }
  }
  return {};
}

}  // namespace dozo::store
