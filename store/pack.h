// Pack: pieces laid out for sealing, and read again. crypto/pack_seal.h seals the whole; docs/storage-format.md section 2 has what is inside.
//
// Pieces of one document in a pack form groups, each compressed by itself, never two documents together: lengths would tell what one has in common
// with another. Reading one piece decompresses its group and nothing else.
// Threads: an OpenPack may be read by many; a PackBuilder has one owner.
#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "crypto/pack_seal.h"
#include "store/piece.h"

namespace dozo::store {

inline constexpr std::uint8_t table_format = 1;
inline constexpr std::size_t group_plain_most = 4U << 20;
inline constexpr std::size_t pack_groups_plain_most = 8U << 20;  ///< all groups of a pack
inline constexpr std::size_t pack_pieces_most = 16384;           ///< and so many groups at most

enum class Codec : std::uint8_t { raw, zstd };
constexpr Codec wire_last(Codec) { return Codec::zstd; }

struct TablePiece {
  PieceType type{};
  PieceId id;
  std::uint32_t size{};
  bool operator==(const TablePiece&) const = default;
};
struct TableGroup {
  Codec codec{};
  std::uint32_t plain_size{};
  std::uint32_t stored_size{};
  std::vector<TablePiece> pieces;
  bool operator==(const TableGroup&) const = default;
};
struct ContentsTable {
  std::vector<TableGroup> groups;
  bool operator==(const ContentsTable&) const = default;
};

Bytes encode(const ContentsTable& table);
/// Checks everything that can be seen in the table alone. Faults: malformed, over_limit, unsupported (a newer format).
Result<ContentsTable> parse_table(ByteView bytes);

/// Where a piece lies in its pack.
struct PiecePlace {
  PieceId id;
  PieceType type{};
  std::uint32_t group{};
  std::uint32_t offset{};  ///< in the group's plain bytes
  std::uint32_t size{};
  bool operator==(const PiecePlace&) const = default;
};

/// A pack laid out and not yet sealed.
struct PackImage {
  crypto::PackKind kind{};
  Bytes plain;
  std::size_t table_bytes{};  ///< the table is plain[4, 4 + table_bytes)
  std::vector<PiecePlace> places;
};
struct SealedPack {
  PackAddress address;
  crypto::PackKind kind{};
  Bytes bytes;
  std::vector<PiecePlace> places;
};
SealedPack seal(const crypto::EpochKey& key, const LibraryId& library, Epoch epoch, PackImage image);

/// Fills packs, one after the other. Not sealing, so that many can be sealed at a time.
class PackBuilder {
 public:
  /// `level`: zstd's, 1 to 9: those above take more memory than an ingest may.
  PackBuilder(crypto::PackKind kind, int level);
  PackBuilder(PackBuilder&&) noexcept;
  PackBuilder& operator=(PackBuilder&&) noexcept;
  ~PackBuilder();

  /// The next pieces belong to another document than those before.
  void begin_document();
  /// Adds a piece: of a size and type that the kind of pack takes (content packs hold content, meta packs all else), its bytes those of its id; anything
  /// else is our own bug. A piece that the open pack already holds is not added again. Comes back: the pack that was full without this piece.
  /// `alone`: its document has no other (none was added since begin_document, none is until the next): it is compressed by itself, which is faster.
  std::optional<PackImage> add(PieceType type, const PieceId& id, ByteView bytes, bool alone = false);
  /// What is left, if anything.
  std::optional<PackImage> finish();
  std::size_t held_bytes() const;  ///< memory for the open pack

 private:
  class Body;
  std::unique_ptr<Body> body_;
};

/// A pack opened and parsed. Nothing about its pieces is believed until their bytes are asked for.
class OpenPack {
 public:
  /// Faults: not_authentic (does not open), malformed, over_limit, unsupported (what is inside breaks the layout).
  static Result<OpenPack> open(const crypto::EpochKey& key, ByteView sealed, const LibraryId& library);
  /// The same of what was inside the seal.
  static Result<OpenPack> parse(crypto::PackKind kind, Bytes plain);

  const ContentsTable& table() const { return table_; }
  const std::vector<PiecePlace>& places() const { return places_; }  ///< in the pack's order
  std::optional<PiecePlace> find(const PieceId& id, PieceType type) const;
  std::size_t size_bytes() const { return plain_.size(); }

  /// The plain bytes of a group (a number below table().groups.size(), else our own bug). Memory: its declared size, at most
  /// group_plain_most. Fault: malformed (does not decompress to exactly that).
  Result<Bytes> group(std::size_t number) const;
  /// The piece out of its group's bytes. Faults: not_authentic (not the bytes of that id).
  static Result<Bytes> piece_of(const PiecePlace& place, ByteView group);
  /// Faults: not_found, malformed, not_authentic.
  Result<Bytes> piece(const PieceId& id, PieceType type) const;
  /// Every group decompresses and every piece has the bytes of its id: to be asked of a pack from elsewhere before it is indexed. Faults: malformed,
  /// not_authentic.
  Result<void> verify_all() const;
  /// A raw group's bytes where they lie; nothing for a compressed one. Lives as long as the pack.
  std::optional<ByteView> raw_group(std::size_t number) const;

 private:
  Bytes plain_;
  ContentsTable table_;
  std::vector<PiecePlace> places_;
  std::vector<std::uint32_t> by_id_;        ///< places in the order of their ids
  std::vector<std::size_t> group_offsets_;  ///< in plain_
};

}  // namespace dozo::store
