#include "store/truth_check.h"

#include "store/truth_rows.h"

namespace dozo::store {
namespace {

// The two lists of tables are one, but for the root.
static_assert(truth_table_count + 1 == rows::table_count);
static_assert(static_cast<int>(TruthTable::documents) == static_cast<int>(rows::Name::documents));
static_assert(static_cast<int>(TruthTable::packs) == static_cast<int>(rows::Name::packs));
static_assert(static_cast<int>(TruthTable::entries) == static_cast<int>(rows::Name::entries));
static_assert(static_cast<int>(TruthTable::usages) == static_cast<int>(rows::Name::usages));

Table number(TruthTable it) { return {static_cast<std::uint8_t>(it)}; }

}  // namespace

std::string_view name_of(TruthTable it) { return Truth::tables()[static_cast<std::size_t>(it)]; }

Result<TruthCheck> TruthCheck::begin(const Truth& truth) { return TruthCheck(truth, TRY(truth.kv_.read())); }

Result<void> TruthCheck::each_raw(TruthTable it, const EachRaw& each) {
  const auto cursor = TRY(transaction_->cursor(number(it)));
  for (bool found = TRY(cursor->seek({})); found; found = TRY(cursor->next())) {
    std::optional<ByteView> value;
    if (it == TruthTable::packs) {
      value = cursor->value();
    } else if (const auto whole = rows::unframe(number(it), cursor->key(), cursor->value())) {
      value = *whole;
    }
    if (!TRY(each(cursor->key(), value))) return {};
  }
  return {};
}

Result<std::uint64_t> TruthCheck::count(TruthTable it) { return transaction_->count(number(it)); }

std::optional<DocumentKey> TruthCheck::document_of(ByteView key) {
  const auto found = rows::read_document_key(key);
  return found ? std::optional(*found) : std::nullopt;
}
std::optional<DocumentKey> TruthCheck::conflict_of(ByteView key) {
  return key.size() > Digest::size ? document_of(key.first(key.size() - Digest::size)) : std::nullopt;
}
std::optional<HeadRow> TruthCheck::head_in(ByteView value) {
  auto found = rows::read_head_value(value);
  return found ? std::optional(std::move(*found)) : std::nullopt;
}
std::optional<Branch> TruthCheck::branch_of(ByteView key) {
  return key.size() == rows::branch_key_bytes ? std::optional(rows::read_branch_key(key)) : std::nullopt;
}
std::optional<std::pair<Branch, Sequence>> TruthCheck::entry_of(ByteView key) {
  if (key.size() != rows::branch_key_bytes + 8) return std::nullopt;
  return std::pair(rows::read_branch_key(key), Sequence{get_u64(key.data() + rows::branch_key_bytes)});
}
std::optional<std::pair<Branch, crypto::SubtreeId>> TruthCheck::subtree_of(ByteView key) {
  if (key.size() != rows::branch_key_bytes + 9) return std::nullopt;
  return std::pair(rows::read_branch_key(key), crypto::SubtreeId{key[rows::branch_key_bytes], get_u64(key.data() + rows::branch_key_bytes + 1)});
}
std::optional<std::pair<LibraryId, PackAddress>> TruthCheck::owner_of(ByteView key) {
  if (key.size() != 48) return std::nullopt;
  return std::pair(*LibraryId::from(key.first(16)), *PackAddress::from(key.subspan(16)));
}

}  // namespace dozo::store
