// What is done to the truth after damage. What must come back from elsewhere is for the caller to say.
#include "crypto/hash.h"
#include "crypto/pack_seal.h"
#include "store/truth.h"
#include "store/truth_rows.h"

namespace dozo::store {

using rows::Name;
using rows::table;

Result<std::uint64_t> TruthWrite::drop_damaged_rows() {
  std::uint64_t dropped = 0;
  for (std::size_t i = 0; i < rows::table_count; ++i) {
    const Table it{static_cast<std::uint8_t>(i)};
    if (it == table(Name::packs) || it == table(Name::root)) continue;
    std::vector<Bytes> bad;
    {
      const auto cursor = TRY(writing_->cursor(it));
      for (bool found = TRY(cursor->seek({})); found; found = TRY(cursor->next())) {
        if (!rows::unframe(it, cursor->key(), cursor->value())) bad.push_back(bytes_of(cursor->key()));
      }
    }
    for (const Bytes& key : bad) TRY(writing_->erase(it, key));
    dropped += bad.size();
  }
  root_ = TRY(counted(truth_format));
  root_changed_ = true;
  return dropped;
}

Branch TruthWrite::set_aside(const Branch& branch) { return {branch.feed, crypto::sha256({view_of("dozo entries set aside"), branch.fork.view()})}; }

Result<bool> TruthWrite::erase_entry(const Branch& branch, Sequence sequence) { return erase_row(table(Name::entries), rows::entry_key(branch, sequence)); }

Result<void> TruthWrite::set_back(const Branch& branch, Sequence last, const std::optional<HeadRow>& head) {
  std::vector<std::pair<Sequence, Bytes>> beyond;
  TRY(each_entry(branch, {last.value + 1}, [&](Sequence sequence, ByteView bytes) -> Result<bool> {
    beyond.emplace_back(sequence, bytes_of(bytes));
    return true;
  }));
  for (const auto& [sequence, bytes] : beyond) {
    TRY(put_row(table(Name::entries), rows::entry_key(set_aside(branch), sequence), bytes));
    TRY(erase_entry(branch, sequence));
  }
  std::vector<Bytes> gone;
  TRY(each_row(table(Name::subtrees), rows::branch_key(branch), {}, [&](ByteView key, ByteView) -> Result<bool> {
    const bool good = key.size() == rows::branch_key_bytes + 9;
    const std::uint8_t level = good ? key[rows::branch_key_bytes] : 0;
    const std::uint64_t index = good ? get_u64(key.data() + rows::branch_key_bytes + 1) : 0;
    if (!good || level >= 64 || index >= last.value >> level) gone.push_back(bytes_of(key));
    return true;
  }));
  for (const Bytes& key : gone) TRY(erase_row(table(Name::subtrees), key));
  if (head) return put_head(branch, *head);
  TRY(erase_row(table(Name::heads), rows::branch_key(branch)));
  return {};
}

Result<std::uint64_t> TruthWrite::recount_packs() {
  std::uint64_t changed = 0;
  std::map<LibraryId, PackUsage> usage_now;
  std::vector<std::pair<Bytes, std::uint32_t>> wanted;
  {
    const auto cursor = TRY(writing_->cursor(table(Name::packs)));
    for (bool found = TRY(cursor->seek({})); found; found = TRY(cursor->next())) {
      const auto header = crypto::check_sealed(cursor->value());
      const auto address = PackAddress::from(cursor->key());
      if (!header || !address) continue;
      const auto size = static_cast<std::uint32_t>(cursor->value().size());
      usage_now[header->library].count += 1;
      usage_now[header->library].bytes += size;
      Bytes key = rows::owner_key(header->library, *address);
      std::array<std::uint8_t, 4> value{};
      put_u32(value.data(), size);
      const auto framed = TRY(writing_->get(table(Name::owners), key));
      if (!framed || !equal(*framed, rows::frame(table(Name::owners), key, value))) wanted.emplace_back(std::move(key), size);
    }
  }
  std::vector<Bytes> gone;
  {
    const auto cursor = TRY(writing_->cursor(table(Name::owners)));
    for (bool found = TRY(cursor->seek({})); found; found = TRY(cursor->next())) {
      const ByteView key = cursor->key();
      const auto sealed = key.size() == 48 ? TRY(writing_->get(table(Name::packs), key.subspan(16))) : std::nullopt;
      const auto header = sealed ? crypto::check_sealed(*sealed) : Result<crypto::PackHeader>(fail(Fault::not_found, ""));
      if (!header || !equal(header->library.view(), key.first(16))) gone.push_back(bytes_of(key));
    }
  }
  for (const Bytes& key : gone) TRY(writing_->erase(table(Name::owners), key));
  for (const auto& [key, size] : wanted) {
    std::array<std::uint8_t, 4> value{};
    put_u32(value.data(), size);
    TRY(put_row(table(Name::owners), key, value));
  }
  changed += gone.size() + wanted.size();
  std::vector<Bytes> counted_no_more;
  {
    const auto cursor = TRY(writing_->cursor(table(Name::usages)));
    for (bool found = TRY(cursor->seek({})); found; found = TRY(cursor->next())) {
      const auto library = LibraryId::from(cursor->key());
      if (!library || !usage_now.contains(*library)) counted_no_more.push_back(bytes_of(cursor->key()));
    }
  }
  for (const Bytes& key : counted_no_more) TRY(erase_row(table(Name::usages), key));
  changed += counted_no_more.size();
  for (const auto& [library, now] : usage_now) {
    std::array<std::uint8_t, 16> value{};
    put_u64(value.data(), now.count);
    put_u64(value.data() + 8, now.bytes);
    const auto before = TRY(writing_->get(table(Name::usages), library.view()));
    if (before && equal(*before, rows::frame(table(Name::usages), library.view(), value))) continue;
    TRY(put_row(table(Name::usages), library.view(), value));
    ++changed;
  }
  return changed;
}

}  // namespace dozo::store
