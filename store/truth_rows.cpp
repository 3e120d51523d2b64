#include "store/truth_rows.h"

#include "base/invariant.h"

#include <algorithm>

#include "crypto/hash.h"

namespace dozo::store::rows {
namespace {

std::array<std::uint8_t, hash_bytes> hash_of(std::uint8_t letter, ByteView key, ByteView value) {
  crypto::Sha256 hash;
  std::array<std::uint8_t, 7> head{letter, static_cast<std::uint8_t>(key.size() >> 8), static_cast<std::uint8_t>(key.size() & 0xff)};
  put_u32(head.data() + 3, static_cast<std::uint32_t>(value.size()));
  hash.update(view_of("dozo row 1"));
  hash.update(head);
  hash.update(key);
  hash.update(value);
  const Digest digest = hash.finish();
  std::array<std::uint8_t, hash_bytes> out{};
  std::copy_n(digest.bytes.begin(), hash_bytes, out.begin());
  return out;
}

void append_u64(Bytes& to, std::uint64_t value) {
  std::array<std::uint8_t, 8> bytes{};
  put_u64(bytes.data(), value);
  append(to, bytes);
}

}  // namespace

// ---- frames --------------------------------------------------------------------------------------------------------------
Bytes frame(Table table, ByteView key, ByteView value) {
  Bytes out;
  out.reserve(frame_head_bytes + key.size() + value.size());
  append(out, magic);
  out.push_back(letter(table));
  out.push_back(static_cast<std::uint8_t>(key.size() >> 8));
  out.push_back(static_cast<std::uint8_t>(key.size() & 0xff));
  std::array<std::uint8_t, 4> length{};
  put_u32(length.data(), static_cast<std::uint32_t>(value.size()));
  append(out, length);
  append(out, hash_of(letter(table), key, value));
  append(out, key);
  append(out, value);
  return out;
}

std::optional<std::size_t> frame_bytes(ByteView head) {
  if (head.size() < frame_head_bytes || !equal(head.first(magic.size()), magic)) return std::nullopt;
  return frame_head_bytes + (static_cast<std::size_t>(head[9]) << 8 | head[10]) + get_u32(head.data() + 11);
}

std::optional<Found> frame_at(ByteView bytes) {
  if (bytes.size() < frame_head_bytes || !equal(bytes.first(magic.size()), magic)) return std::nullopt;
  const std::uint8_t its_letter = bytes[8];
  const std::size_t key_size = static_cast<std::size_t>(bytes[9]) << 8 | bytes[10];
  const std::size_t value_size = get_u32(bytes.data() + 11);
  const auto found = std::ranges::find(letters, static_cast<char>(its_letter));
  if (found == letters.end() || key_size > key_bytes_most || value_size > bytes.size() - frame_head_bytes) return std::nullopt;
  if (key_size > bytes.size() - frame_head_bytes - value_size) return std::nullopt;
  const ByteView key = bytes.subspan(frame_head_bytes, key_size), value = bytes.subspan(frame_head_bytes + key_size, value_size);
  if (!equal(bytes.subspan(15, hash_bytes), hash_of(its_letter, key, value))) return std::nullopt;
  return Found{{static_cast<std::uint8_t>(found - letters.begin())}, key, value, frame_head_bytes + key_size + value_size};
}

Result<ByteView> unframe(Table table, ByteView key, ByteView framed) {
  const auto found = frame_at(framed);
  if (!found || found->size != framed.size() || found->table != table || !equal(found->key, key)) {
    return fail(Fault::corrupt, std::string("a damaged row in table ") + static_cast<char>(letter(table)) + ": run dozo fsck");
  }
  return found->value;
}

// ---- keys ----------------------------------------------------------------------------------------------------------------
Bytes document_prefix(std::string_view type, std::string_view name) {
  Bytes out{static_cast<std::uint8_t>(type.size())};
  append(out, view_of(type));
  out.push_back(static_cast<std::uint8_t>(name.size()));
  append(out, view_of(name));
  return out;
}
Bytes document_key(const DocumentKey& key) {
  Bytes out = document_prefix(key.type, key.name);
  append_u64(out, key.version);
  return out;
}
Result<DocumentKey> read_document_key(ByteView bytes) {
  DocumentKey out;
  for (std::string* text : {&out.type, &out.name}) {
    if (bytes.empty() || bytes.size() - 1 < bytes[0]) return fail(Fault::corrupt, "a document's mark is damaged");
    *text = std::string(text_of(bytes.subspan(1, bytes[0])));
    bytes = bytes.subspan(1 + text->size());
  }
  if (bytes.size() < 8) return fail(Fault::corrupt, "a document's mark is damaged");
  out.version = get_u64(bytes.data());
  return out;
}

Bytes branch_key(const Branch& branch) {
  Bytes out;
  out.reserve(branch_key_bytes);
  append(out, branch.feed.library.view());
  append(out, branch.feed.node.view());
  append(out, branch.feed.incarnation.view());
  append(out, branch.fork.view());
  return out;
}
Branch read_branch_key(ByteView bytes) {
  Branch out;
  std::memcpy(out.feed.library.bytes.data(), bytes.data(), 16);
  std::memcpy(out.feed.node.bytes.data(), bytes.data() + 16, 16);
  std::memcpy(out.feed.incarnation.bytes.data(), bytes.data() + 32, 16);
  std::memcpy(out.fork.bytes.data(), bytes.data() + 48, 32);
  return out;
}
Bytes entry_key(const Branch& branch, Sequence sequence) {
  Bytes out = branch_key(branch);
  append_u64(out, sequence.value);
  return out;
}
Bytes subtree_key(const Branch& branch, const crypto::SubtreeId& id) {
  Bytes out = branch_key(branch);
  out.push_back(id.level);
  append_u64(out, id.index);
  return out;
}
Bytes owner_key(const LibraryId& library, const PackAddress& address) {
  Bytes out = bytes_of(library.view());
  append(out, address.view());
  return out;
}
Bytes statement_key(const StatementKey& key) {
  Bytes out = bytes_of(key.library.view());
  append(out, key.signer.view());
  append(out, view_of(key.subject));
  return out;
}
Result<StatementKey> read_statement_key(ByteView bytes) {
  if (bytes.size() < 32) return fail(Fault::corrupt, "a statement's key is damaged");
  return StatementKey{TRY(LibraryId::from(bytes.first(16))), TRY(NodeId::from(bytes.subspan(16, 16))), std::string(text_of(bytes.subspan(32)))};
}

// ---- values --------------------------------------------------------------------------------------------------------------
Bytes head_value(const HeadRow& head) {
  Bytes out(4);
  put_u32(out.data(), static_cast<std::uint32_t>(head.note.size()));
  append(out, view_of(head.note));
  INVARIANT(head.proof.size() <= head_proof_most);
  out.push_back(static_cast<std::uint8_t>(head.proof.size()));
  for (const Digest& hash : head.proof) append(out, hash.view());
  append(out, head.tail);
  return out;
}
Result<HeadRow> read_head_value(ByteView bytes) {
  if (bytes.size() < 5 || get_u32(bytes.data()) > bytes.size() - 5) return fail(Fault::corrupt, "a head is damaged");
  const std::size_t note = get_u32(bytes.data());
  const std::size_t count = bytes[4 + note];
  const std::size_t proof = 5 + note;
  if (count > head_proof_most || bytes.size() - proof < count * Digest::size) return fail(Fault::corrupt, "a head is damaged");
  HeadRow out{std::string(text_of(bytes.subspan(4, note))), bytes_of(bytes.subspan(proof + count * Digest::size)), {}};
  for (std::size_t i = 0; i < count; ++i) out.proof.push_back(*Digest::from(bytes.subspan(proof + i * Digest::size, Digest::size)));
  return out;
}
Bytes statement_value(const Statement& statement) {
  Bytes out;
  append_u64(out, statement.number);
  append(out, statement.bytes);
  return out;
}
Result<Statement> read_statement_value(ByteView bytes) {
  if (bytes.size() < 8) return fail(Fault::corrupt, "a statement is damaged");
  return Statement{get_u64(bytes.data()), bytes_of(bytes.subspan(8))};
}

}  // namespace dozo::store::rows
