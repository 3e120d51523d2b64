#include "store/truth.h"

#include <algorithm>

#include "crypto/hash.h"
#include "crypto/pack_seal.h"
#include "store/truth_rows.h"

namespace dozo::store {

using rows::Name;
using rows::table;

namespace {

constexpr std::string_view root_key = "root";

Result<RootValue> read_root(ReadTransaction& transaction, const Sealer& sealer) {
  const auto sealed = TRY(transaction.get(table(Name::root), view_of(root_key)));
  if (!sealed) return fail(Fault::corrupt, "the store's root is gone: run dozo fsck");
  const Bytes plain = TRY(sealer.open(*sealed, view_of("dozo truth root")));
  return RootValue::decode(plain);
}

}  // namespace

TruthRead::TruthRead(const Truth& truth, std::unique_ptr<ReadTransaction> transaction) : truth_(&truth), transaction_(std::move(transaction)) {}
TruthRead::TruthRead(TruthRead&&) noexcept = default;
TruthRead::~TruthRead() = default;

// ---- rows ----------------------------------------------------------------------------------------------------------------
Result<const RootValue*> TruthRead::root() {
  if (!root_) root_ = TRY(read_root(*transaction_, truth_->sealer_));
  return &*root_;
}

/// Whether the root does, in a store of its format. Then it is at hand.
Result<bool> TruthRead::counts(Table it) {
  if (!rows::is_under_root(it, truth_format)) return false;
  return rows::is_under_root(it, TRY(root())->format);
}

Result<void> TruthRead::believe_miss(Table it) {
  if (!TRY(counts(it))) return {};
  const RootValue* value = TRY(root());
  const auto sum = value->tables.find(rows::letter(it));
  const std::uint64_t expected = sum == value->tables.end() ? 0 : sum->second.count;
  if (TRY(transaction_->count(it)) != expected) {
    return fail(Fault::corrupt, std::string("rows are missing from table ") + static_cast<char>(rows::letter(it)) + ": run dozo fsck");
  }
  return {};
}

Result<std::optional<ByteView>> TruthRead::row(Table it, ByteView key) {
  const auto framed = TRY(transaction_->get(it, key));
  if (!framed) {
    TRY(believe_miss(it));
    return std::nullopt;
  }
  return TRY(rows::unframe(it, key, *framed));
}

Result<void> TruthRead::each_row(Table it, ByteView beginning, ByteView from, const EachRow& each) {
  if (beginning.empty()) TRY(believe_miss(it));  // a walk over all is an answer about what is not there, too
  const auto cursor = TRY(transaction_->cursor(it));
  bool found = TRY(cursor->seek(from.empty() ? beginning : from));
  while (found && cursor->key().size() >= beginning.size() && equal(cursor->key().first(beginning.size()), beginning)) {
    const Bytes key = bytes_of(cursor->key());
    if (!TRY(each(key, TRY(rows::unframe(it, key, cursor->value()))))) return {};
    found = TRY(cursor->next());
  }
  return {};
}

Result<TableSum> TruthRead::counted(Table it) {
  TableSum out;
  const auto cursor = TRY(transaction_->cursor(it));
  for (bool found = TRY(cursor->seek({})); found; found = TRY(cursor->next())) {
    ++out.count;
    out.sum.add(rows::letter(it), cursor->key(), cursor->value());
  }
  return out;
}

Result<RootValue> TruthRead::counted(std::uint8_t format) {
  RootValue out;
  out.format = format;
  for (const auto& [name, since] : rows::under_root) {
    if (since <= format) out.tables[rows::letter(table(name))] = TRY(counted(table(name)));
  }
  return out;
}

Result<void> TruthRead::verify(Table it) {
  const RootValue* value = TRY(root());
  const TableSum sum = TRY(counted(it));
  const auto expected = value->tables.find(rows::letter(it));
  if (expected == value->tables.end() ? sum.count != 0 : expected->second != sum)
    return fail(Fault::corrupt, std::string("table ") + static_cast<char>(rows::letter(it)) + " is not what the store's root says");
  return {};
}

Result<void> TruthRead::verify_root() {
  for (const auto& [name, since] : rows::under_root) {
    if (since <= TRY(root())->format) TRY(verify(table(name)));
  }
  return {};
}

// ---- documents -----------------------------------------------------------------------------------------------------------
Result<std::optional<ByteView>> TruthRead::document(const DocumentKey& key) { return row(table(Name::documents), rows::document_key(key)); }

Result<std::optional<std::uint64_t>> TruthRead::newest_version(std::string_view type, std::string_view name) {
  TRY(believe_miss(table(Name::documents)));
  const Bytes beginning = rows::document_prefix(type, name);
  Bytes end = beginning;
  end.insert(end.end(), 9, 0xff);
  const auto cursor = TRY(transaction_->cursor(table(Name::documents)));
  if (!TRY(cursor->seek_last_below(end))) return std::nullopt;
  if (cursor->key().size() != beginning.size() + 8 || !equal(cursor->key().first(beginning.size()), beginning)) return std::nullopt;
  return get_u64(cursor->key().data() + beginning.size());
}

Result<std::vector<DocumentMark>> TruthRead::marks() {
  std::vector<DocumentMark> out;
  TRY(each_row(table(Name::documents), {}, {}, [&](ByteView key, ByteView bytes) -> Result<bool> {
    out.push_back({TRY(rows::read_document_key(key)), crypto::sha256(bytes), bytes.size()});
    return true;
  }));
  return out;
}

Result<std::vector<Bytes>> TruthRead::conflicting_documents(const DocumentKey& key) {
  std::vector<Bytes> out;
  TRY(each_row(table(Name::conflicts), rows::document_key(key), {}, [&](ByteView, ByteView bytes) -> Result<bool> {
    out.push_back(bytes_of(bytes));
    return true;
  }));
  return out;
}

// ---- packs ---------------------------------------------------------------------------------------------------------------
Result<bool> TruthRead::has_pack(const PackAddress& address) {
  {
    const std::lock_guard lock(truth_->mutex_);
    if (truth_->damaged_.contains(address)) return false;
  }
  return TRY(transaction_->get(table(Name::packs), address.view())).has_value();
}

Result<std::optional<ByteView>> TruthRead::pack(const PackAddress& address) { return transaction_->get(table(Name::packs), address.view()); }

Result<std::optional<ByteView>> TruthRead::pack_checked(const PackAddress& address) {
  const auto sealed = TRY(pack(address));
  if (!sealed) return std::nullopt;
  if (crypto::address_of(*sealed) == address) return sealed;
  const std::lock_guard lock(truth_->mutex_);
  truth_->damaged_.insert(address);
  return fail(Fault::corrupt, "pack " + address.hex().substr(0, 16) + " is damaged on this disk; it is fetched again from another node");
}

Result<void> TruthRead::each_pack(const LibraryId& library, const EachPack& each, const std::optional<PackAddress>& after) {
  Bytes from;
  if (after) {
    from = rows::owner_key(library, *after);
    from.push_back(0);
  }
  return each_row(table(Name::owners), library.view(), from, [&](ByteView key, ByteView value) -> Result<bool> {
    if (key.size() != 48 || value.size() != 4) return fail(Fault::corrupt, "a damaged row in the list of packs: run dozo fsck");
    return each(TRY(PackAddress::from(key.subspan(16))), get_u32(value.data()));
  });
}

Result<PackUsage> TruthRead::usage(const LibraryId& library) {
  Result<PackUsage> out = usage_row(library);
  if (out || out.error().fault != Fault::corrupt) return out;
  out = PackUsage{};
  TRY(each_pack(library, [&](const PackAddress&, std::uint32_t size_bytes) -> Result<bool> {
    ++out->count, out->bytes += size_bytes;
    return true;
  }));
  return out;
}

Result<PackUsage> TruthRead::usage_row(const LibraryId& library) {
  const auto value = TRY(row(table(Name::usages), library.view()));
  if (!value) return PackUsage{};
  if (value->size() != 16) return fail(Fault::corrupt, "a damaged row in the count of packs: run dozo fsck");
  return PackUsage{get_u64(value->data()), get_u64(value->data() + 8)};
}

Result<std::optional<ByteView>> TruthRead::pack_list(const Digest& sha256) { return row(table(Name::lists), sha256.view()); }

// ---- feeds ---------------------------------------------------------------------------------------------------------------
Result<std::optional<ByteView>> TruthRead::entry(const Branch& branch, Sequence sequence) {
  return row(table(Name::entries), rows::entry_key(branch, sequence));
}

Result<void> TruthRead::each_entry(const Branch& branch, Sequence first, const EachEntry& each) {
  return each_row(table(Name::entries), rows::branch_key(branch), rows::entry_key(branch, first), [&](ByteView key, ByteView value) -> Result<bool> {
    if (key.size() != rows::branch_key_bytes + 8) return fail(Fault::corrupt, "a damaged row among the entries: run dozo fsck");
    return each({get_u64(key.data() + rows::branch_key_bytes)}, value);
  });
}

Result<std::optional<HeadRow>> TruthRead::head(const Branch& branch) {
  const auto value = TRY(row(table(Name::heads), rows::branch_key(branch)));
  if (!value) return std::nullopt;
  return TRY(rows::read_head_value(*value));
}

Result<void> TruthRead::each_head(const EachHead& each) {
  return each_row(table(Name::heads), {}, {}, [&](ByteView key, ByteView value) -> Result<bool> {
    if (key.size() != rows::branch_key_bytes) return fail(Fault::corrupt, "a damaged row among the heads: run dozo fsck");
    return each(rows::read_branch_key(key), TRY(rows::read_head_value(value)));
  });
}

Result<void> TruthRead::each_head(const LibraryId& library, const EachHead& each) {
  TRY(believe_miss(table(Name::heads)));
  return each_row(table(Name::heads), library.view(), {}, [&](ByteView key, ByteView value) -> Result<bool> {
    if (key.size() != rows::branch_key_bytes) return fail(Fault::corrupt, "a damaged row among the heads: run dozo fsck");
    return each(rows::read_branch_key(key), TRY(rows::read_head_value(value)));
  });
}

Result<std::optional<Digest>> TruthRead::subtree(const Branch& branch, const crypto::SubtreeId& id) {
  const auto value = TRY(row(table(Name::subtrees), rows::subtree_key(branch, id)));
  if (!value) return std::nullopt;
  return TRY(Digest::from(*value));
}

crypto::Fetch TruthRead::subtrees(const Branch& branch) {
  return [this, branch](const crypto::SubtreeId& id) -> Result<Digest> {
    const auto found = TRY(subtree(branch, id));
    if (!found) return fail(Fault::corrupt, "a hash of a feed is missing: run dozo fsck");
    return *found;
  };
}

// ---- statements, local values --------------------------------------------------------------------------------------------
Result<std::optional<Statement>> TruthRead::statement(const StatementKey& key) {
  const auto value = TRY(row(table(Name::statements), rows::statement_key(key)));
  if (!value) return std::nullopt;
  return TRY(rows::read_statement_value(*value));
}

Result<void> TruthRead::each_statement(const LibraryId& library, const EachStatement& each) {
  return each_row(table(Name::statements), library.view(), {}, [&](ByteView key, ByteView value) -> Result<bool> {
    return each(TRY(rows::read_statement_key(key)), TRY(rows::read_statement_value(value)));
  });
}

Result<std::optional<ByteView>> TruthRead::local(std::string_view name) { return row(table(Name::locals), view_of(name)); }

// ---- the whole -----------------------------------------------------------------------------------------------------------
std::span<const std::string> Truth::tables() {
  static const std::array<std::string, rows::table_count> names{"documents", "conflicts", "packs",      "owners", "lists",  "entries",
                                                                "heads",     "subtrees",  "statements", "locals", "usages", "root"};
  return names;
}

Result<std::unique_ptr<Truth>> Truth::create(Kv& kv, const Sealer& sealer) {
  const auto transaction = TRY(kv.write());
  for (std::size_t i = 0; i < rows::table_count; ++i) {
    if (TRY(transaction->count({static_cast<std::uint8_t>(i)})) != 0) return fail(Fault::exists, "there is a store already");
  }
  RootValue root;
  for (const auto& [name, since] : rows::under_root) root.tables[rows::letter(table(name))];
  TRY(transaction->put(table(Name::root), view_of(root_key), sealer.seal(root.encode(), view_of("dozo truth root"))));
  TRY(transaction->commit());
  return std::unique_ptr<Truth>(new Truth(kv, sealer));
}

Result<std::unique_ptr<Truth>> Truth::open(Kv& kv, const Sealer& sealer) {
  const auto transaction = TRY(kv.read());
  bool any = false;
  for (std::size_t i = 0; i < rows::table_count && !any; ++i) any = TRY(transaction->count({static_cast<std::uint8_t>(i)})) != 0;
  if (!any) return fail(Fault::not_found, "no store here yet");
  Result<RootValue> root = read_root(*transaction, sealer);
  if (!root && root.error().fault == Fault::malformed) return fail(Fault::corrupt, std::move(root.error().text));
  if (!root) return std::unexpected(std::move(root.error()));
  for (const auto& [letter, sum] : root->tables) {
    if (letter == rows::letter(table(Name::usages))) continue;  // what is missing there is counted anew
    for (std::size_t i = 0; i < rows::table_count; ++i) {
      if (static_cast<std::uint8_t>(rows::letters[i]) != letter) continue;
      if (TRY(transaction->count({static_cast<std::uint8_t>(i)})) != sum.count) {
        return fail(Fault::corrupt, std::string("rows are missing from table ") + static_cast<char>(letter) + ": run dozo fsck");
      }
    }
  }
  return std::unique_ptr<Truth>(new Truth(kv, sealer));
}

Result<std::unique_ptr<Truth>> Truth::open_damaged(Kv& kv, const Sealer& sealer) { return std::unique_ptr<Truth>(new Truth(kv, sealer)); }

Result<std::uint8_t> Truth::format() const {
  TruthRead in = TRY(read());
  return TRY(in.root())->format;
}

Result<void> Truth::migrate(std::uint8_t format) const {
  if (format < truth_format_least || format > truth_format) return fail(Fault::unsupported, "this version knows no store of format " + std::to_string(format));
  TruthWrite write = TRY(this->write());
  TRY(write.root());
  if (write.root_->format == format) return {};
  // Rows are the same in both: what differs is which of them the root counts. What both count must be so.
  for (const auto& [name, since] : rows::under_root) {
    if (since <= std::min(format, write.root_->format)) TRY(write.verify(table(name)));
  }
  write.root_ = TRY(write.counted(format));
  write.root_changed_ = true;
  return write.commit();
}

Result<TruthRead> Truth::read() const { return TruthRead(*this, TRY(kv_.read())); }

std::vector<PackAddress> Truth::damaged_packs() const {
  const std::lock_guard lock(mutex_);
  return {damaged_.begin(), damaged_.end()};
}

}  // namespace dozo::store
