// Truth rows: keys, and the frame around values, of the tables of Truth (docs/storage-format.md section 4). Private to the truth's sources.
//
// A frame says what it is: magic, table, key, a hash over all: so that a row that moved or changed is noticed, and a row can be found in a ruined file.
// Threads: pure functions.
#pragma once
#include <array>
#include <optional>
#include <string>

#include "store/truth.h"

namespace dozo::store::rows {

/// In the order in which the Kv has them. The letter stands in frames and in the root.
enum class Name : std::uint8_t { documents, conflicts, packs, owners, lists, entries, heads, subtrees, statements, locals, usages, root };
inline constexpr std::size_t table_count = 12;
inline constexpr std::array<char, table_count> letters{'d', 'x', 'p', 'o', 'l', 'e', 'h', 's', 't', 'v', 'u', 'r'};
inline Table table(Name name) { return {static_cast<std::uint8_t>(name)}; }
inline std::uint8_t letter(Table table) { return static_cast<std::uint8_t>(letters[table.number]); }
/// Tables of which the root counts every row, and since which format of the store it does.
struct UnderRoot {
  Name name;
  std::uint8_t since;
};
inline constexpr std::array under_root{UnderRoot{Name::documents, 1}, UnderRoot{Name::heads, 1}, UnderRoot{Name::statements, 1}, UnderRoot{Name::locals, 1},
                                       UnderRoot{Name::usages, 2}};
inline bool is_under_root(Table it, std::uint8_t format) {
  for (const auto& [name, since] : under_root) {
    if (table(name) == it) return since <= format;
  }
  return false;
}

inline constexpr std::array<std::uint8_t, 8> magic{0x8d, 'D', 'o', 'z', 'o', 'R', 'o', 'w'};
inline constexpr std::size_t hash_bytes = 16;
inline constexpr std::size_t frame_head_bytes = 8 + 1 + 2 + 4 + hash_bytes;  ///< magic, letter, key length, value length, hash

Bytes frame(Table table, ByteView key, ByteView value);
/// The value inside. Fault: corrupt.
Result<ByteView> unframe(Table table, ByteView key, ByteView framed);
/// How long the frame is whose head this is; nothing: none.
std::optional<std::size_t> frame_bytes(ByteView head);
/// A frame that begins at the first of these bytes, whatever follows it; the bytes end anywhere.
struct Found {
  Table table;
  ByteView key, value;
  std::size_t size{};
};
std::optional<Found> frame_at(ByteView bytes);

Bytes document_key(const DocumentKey& key);
Result<DocumentKey> read_document_key(ByteView bytes);
/// What all versions of one document begin with.
Bytes document_prefix(std::string_view type, std::string_view name);
Bytes branch_key(const Branch& branch);
inline constexpr std::size_t branch_key_bytes = 80;
Branch read_branch_key(ByteView bytes);  ///< needs branch_key_bytes
Bytes entry_key(const Branch& branch, Sequence sequence);
Bytes subtree_key(const Branch& branch, const crypto::SubtreeId& id);
Bytes owner_key(const LibraryId& library, const PackAddress& address);
Bytes statement_key(const StatementKey& key);
Result<StatementKey> read_statement_key(ByteView bytes);

Bytes head_value(const HeadRow& head);
Result<HeadRow> read_head_value(ByteView bytes);
Bytes statement_value(const Statement& statement);
Result<Statement> read_statement_value(ByteView bytes);

}  // namespace dozo::store::rows
