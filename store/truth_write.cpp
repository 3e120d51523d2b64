#include "crypto/hash.h"
#include "crypto/pack_seal.h"
#include "store/truth.h"
#include "store/truth_rows.h"

namespace dozo::store {

using rows::Name;
using rows::table;

TruthWrite::TruthWrite(const Truth& truth, std::unique_ptr<WriteTransaction> transaction) : TruthRead(truth, nullptr), writing_(transaction.get()) {
  transaction_ = std::move(transaction);
}
TruthWrite::TruthWrite(TruthWrite&&) noexcept = default;
TruthWrite::~TruthWrite() = default;

Result<TruthWrite> Truth::write() const { return TruthWrite(*this, TRY(kv_.write())); }

// ---- rows ----------------------------------------------------------------------------------------------------------------
Result<void> TruthWrite::put_row(Table it, ByteView key, ByteView value) {
  const Bytes framed = rows::frame(it, key, value);
  if (TRY(counts(it))) {
    TableSum& sum = root_->tables[rows::letter(it)];
    if (const auto before = TRY(writing_->get(it, key))) {
      sum.sum.subtract(rows::letter(it), key, *before);
    } else {
      TRY(believe_miss(it));  // else a row that was lost would be taken for one that never was
      ++sum.count;
    }
    sum.sum.add(rows::letter(it), key, framed);
    root_changed_ = true;
  }
  return writing_->put(it, key, framed);
}

Result<bool> TruthWrite::erase_row(Table it, ByteView key) {
  const auto before = TRY(writing_->get(it, key));
  if (!before) {
    TRY(believe_miss(it));
    return false;
  }
  if (TRY(counts(it))) {
    TableSum& sum = root_->tables[rows::letter(it)];
    sum.sum.subtract(rows::letter(it), key, *before);
    --sum.count;
    root_changed_ = true;
  }
  return writing_->erase(it, key);
}

// ---- documents -----------------------------------------------------------------------------------------------------------
Result<Kept> TruthWrite::put_document(const DocumentKey& key, ByteView bytes) {
  if (key.type.empty() || key.type.size() > 32 || key.name.size() > 255) return fail(Fault::over_limit, "a document's type or name is too long");
  const Bytes its_key = rows::document_key(key);
  const auto before = row(table(Name::documents), its_key);
  if (!before && before.error().fault == Fault::corrupt) {
    // Damaged here and given anew: if these are the bytes that were here, the root's sum says so.
    TRY(writing_->put(table(Name::documents), its_key, rows::frame(table(Name::documents), its_key, bytes)));
    TRY(verify(table(Name::documents)));
    return Kept::added;
  }
  if (!before) return std::unexpected(before.error());
  if (*before) {
    if (equal(**before, bytes)) return Kept::same;
    Bytes beside = its_key;
    append(beside, crypto::sha256(bytes).view());
    TRY(put_row(table(Name::conflicts), beside, bytes));
    return Kept::conflict;
  }
  TRY(put_row(table(Name::documents), its_key, bytes));
  return Kept::added;
}

Result<bool> TruthWrite::erase_document(const DocumentKey& key) {
  const Bytes its_key = rows::document_key(key);
  std::vector<Bytes> beside;
  TRY(each_row(table(Name::conflicts), its_key, {}, [&](ByteView found, ByteView) -> Result<bool> {
    beside.push_back(bytes_of(found));
    return true;
  }));
  for (const Bytes& found : beside) TRY(erase_row(table(Name::conflicts), found));
  return erase_row(table(Name::documents), its_key);
}

// ---- packs ---------------------------------------------------------------------------------------------------------------
/// All of them anew, from the lists of packs.
Result<void> TruthWrite::recount_usages() {
  std::map<LibraryId, PackUsage> now;
  {
    const auto cursor = TRY(writing_->cursor(table(Name::owners)));
    for (bool found = TRY(cursor->seek({})); found; found = TRY(cursor->next())) {
      const auto value = rows::unframe(table(Name::owners), cursor->key(), cursor->value());
      if (!value || cursor->key().size() != LibraryId::size + PackAddress::size || value->size() != 4) continue;
      PackUsage& usage = now[*LibraryId::from(cursor->key().first(LibraryId::size))];
      ++usage.count, usage.bytes += get_u32(value->data());
    }
  }
  std::vector<Bytes> gone;
  {
    const auto cursor = TRY(writing_->cursor(table(Name::usages)));
    for (bool found = TRY(cursor->seek({})); found; found = TRY(cursor->next())) gone.push_back(bytes_of(cursor->key()));
  }
  for (const Bytes& key : gone) TRY(writing_->erase(table(Name::usages), key));
  for (const auto& [library, usage] : now) {
    std::array<std::uint8_t, 16> value{};
    put_u64(value.data(), usage.count);
    put_u64(value.data() + 8, usage.bytes);
    TRY(writing_->put(table(Name::usages), library.view(), rows::frame(table(Name::usages), library.view(), value)));
  }
  if (!TRY(counts(table(Name::usages)))) return {};
  root_->tables[rows::letter(table(Name::usages))] = TRY(counted(table(Name::usages)));
  root_changed_ = true;
  return {};
}

Result<void> TruthWrite::count_pack(const LibraryId& library, std::int64_t packs, std::int64_t bytes) {
  Result<PackUsage> before = usage_row(library);
  if (!before && before.error().fault == Fault::corrupt) return recount_usages();  // the list of packs has or lacks it already
  PackUsage now = TRY(std::move(before));
  now.count += static_cast<std::uint64_t>(packs);
  now.bytes += static_cast<std::uint64_t>(bytes);
  std::array<std::uint8_t, 16> value{};
  put_u64(value.data(), now.count);
  put_u64(value.data() + 8, now.bytes);
  return put_row(table(Name::usages), library.view(), value);
}

Result<Kept> TruthWrite::put_pack(const PackAddress& address, ByteView sealed) {
  const crypto::PackHeader header = TRY(crypto::check_sealed(sealed));
  if (const auto before = TRY(writing_->get(table(Name::packs), address.view()))) {
    healed_.push_back(address);  // also where it is so already: somebody may have found it damaged while another healed it
    if (equal(*before, sealed)) return Kept::same;
  } else {
    std::array<std::uint8_t, 4> size{};
    put_u32(size.data(), static_cast<std::uint32_t>(sealed.size()));
    TRY(put_row(table(Name::owners), rows::owner_key(header.library, address), size));
    TRY(count_pack(header.library, 1, static_cast<std::int64_t>(sealed.size())));
  }
  const ByteSpan room = TRY(writing_->reserve(table(Name::packs), address.view(), sealed.size()));
  std::memcpy(room.data(), sealed.data(), sealed.size());
  return Kept::added;
}

Result<bool> TruthWrite::erase_pack(const PackAddress& address) {
  const auto sealed = TRY(writing_->get(table(Name::packs), address.view()));
  if (!sealed) return false;
  if (const auto header = crypto::check_sealed(*sealed)) {
    const auto size = static_cast<std::int64_t>(sealed->size());
    if (TRY(erase_row(table(Name::owners), rows::owner_key(header->library, address)))) TRY(count_pack(header->library, -1, -size));
  }
  return writing_->erase(table(Name::packs), address.view());
}

Result<void> TruthWrite::put_pack_list(const Digest& sha256, ByteView bytes) { return put_row(table(Name::lists), sha256.view(), bytes); }
Result<bool> TruthWrite::erase_pack_list(const Digest& sha256) { return erase_row(table(Name::lists), sha256.view()); }

// ---- feeds ---------------------------------------------------------------------------------------------------------------
Result<Kept> TruthWrite::put_entry(const Branch& branch, Sequence sequence, ByteView bytes) {
  const Bytes key = rows::entry_key(branch, sequence);
  if (const auto before = TRY(row(table(Name::entries), key))) {
    if (equal(*before, bytes)) return Kept::same;
    return fail(Fault::exists, "another entry stands at this place of the feed");
  }
  TRY(put_row(table(Name::entries), key, bytes));
  return Kept::added;
}

Result<void> TruthWrite::put_head(const Branch& branch, const HeadRow& head) {
  return put_row(table(Name::heads), rows::branch_key(branch), rows::head_value(head));
}

Result<void> TruthWrite::put_subtree(const Branch& branch, const crypto::SubtreeId& id, const Digest& hash) {
  return put_row(table(Name::subtrees), rows::subtree_key(branch, id), hash.view());
}

crypto::Frontier::Keep TruthWrite::keep_subtrees(const Branch& branch) {
  return [this, branch](const crypto::SubtreeId& id, const Digest& hash) {
    if (late_fault_) return;
    if (Result<void> put = put_subtree(branch, id, hash); !put) late_fault_ = std::move(put.error());
  };
}

// ---- statements, local values --------------------------------------------------------------------------------------------
Result<Kept> TruthWrite::put_statement(const StatementKey& key, const Statement& statement) {
  if (key.subject.size() > 128) return fail(Fault::over_limit, "a statement's subject is too long");
  if (const auto before = TRY(this->statement(key))) {
    if (before->number > statement.number) return Kept::older;
    if (before->number == statement.number) return *before == statement ? Kept::same : Kept::conflict;
  }
  TRY(put_row(table(Name::statements), rows::statement_key(key), rows::statement_value(statement)));
  return Kept::added;
}
Result<bool> TruthWrite::erase_statement(const StatementKey& key) { return erase_row(table(Name::statements), rows::statement_key(key)); }

Result<void> TruthWrite::put_local(std::string_view name, ByteView sealed) {
  if (name.empty() || name.size() > 255) return fail(Fault::over_limit, "a local value's name is too long");
  return put_row(table(Name::locals), view_of(name), sealed);
}
Result<bool> TruthWrite::erase_local(std::string_view name) { return erase_row(table(Name::locals), view_of(name)); }

// ---- the whole -----------------------------------------------------------------------------------------------------------
Result<void> TruthWrite::commit() {
  if (late_fault_) return std::unexpected(*late_fault_);
  if (root_changed_) {
    TRY(writing_->put(table(Name::root), view_of("root"), truth_->sealer_.seal(root_->encode(), view_of("dozo truth root"))));
  }
  TRY(writing_->commit());
  const std::lock_guard lock(truth_->mutex_);
  for (const PackAddress& address : healed_) truth_->damaged_.erase(address);
  return {};
}

}  // namespace dozo::store
