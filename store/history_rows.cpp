#include "store/history_rows.h"

#include <utility>

#include "base/invariant.h"
#include "crypto/local_seal.h"
#include "store/kv.h"

namespace dozo::store {
namespace {

constexpr Table history_table{0};
constexpr std::size_t space_bytes = 8;  // of a library
constexpr std::size_t name_bytes = 16;  // of an id, a path or a reference's name

}  // namespace

struct HistoryRows::Body {
  Kv& kv;
  const crypto::LocalKey& local;
  bool writing{};
  Bytes space;
  std::unique_ptr<ReadTransaction> reading;
  std::unique_ptr<WriteTransaction> transaction;  // or this
  std::size_t puts = 0;
  ReadTransaction& any() const { return transaction ? *transaction : *reading; }
};

HistoryRows::HistoryRows(std::unique_ptr<Body> body) : body_(std::move(body)) {}
HistoryRows::~HistoryRows() = default;

Result<std::unique_ptr<HistoryRows>> HistoryRows::open(Kv& kv, const crypto::LocalKey& key, const LibraryId& library, bool writing) {
  std::unique_ptr<HistoryRows> out(new HistoryRows(std::make_unique<Body>(kv, key, writing)));
  const Digest hash = key.keyed("history space", library.view());
  out->body_->space.assign(hash.bytes.begin(), hash.bytes.begin() + space_bytes);
  TRY(out->begin());
  return out;
}
Result<void> HistoryRows::begin() {
  body_->puts = 0;
  if (body_->writing) {
    body_->transaction = TRY(body_->kv.write());
  } else {
    body_->reading = TRY(body_->kv.read());
  }
  return {};
}

const Bytes& HistoryRows::space() const { return body_->space; }
Bytes HistoryRows::key(HistoryTable table) const {
  Bytes out = body_->space;
  out.push_back(static_cast<std::uint8_t>(table));
  return out;
}
Bytes HistoryRows::key(HistoryTable table, std::uint64_t number) const {
  Bytes out = key(table);
  std::array<std::uint8_t, 8> bytes{};
  put_u64(bytes.data(), number);
  append(out, bytes);
  return out;
}
Bytes HistoryRows::key(HistoryTable table, std::uint64_t number, std::uint32_t part) const {
  Bytes out = key(table, number);
  std::array<std::uint8_t, 4> bytes{};
  put_u32(bytes.data(), part);
  append(out, bytes);
  return out;
}
Bytes HistoryRows::key(HistoryTable table, ByteView name) const {
  Bytes out = key(table), what = out;
  append(what, name);
  const Digest hash = body_->local.keyed("history", what);
  out.insert(out.end(), hash.bytes.begin(), hash.bytes.begin() + name_bytes);
  return out;
}
Bytes HistoryRows::key(HistoryTable table, ByteView name, std::uint64_t number) const {
  Bytes out = key(table, name);
  std::array<std::uint8_t, 8> bytes{};
  put_u64(bytes.data(), number);
  append(out, bytes);
  return out;
}
bool HistoryRows::is_own(ByteView key) const { return key.size() > space_bytes && equal(key.first(space_bytes), body_->space); }

Result<std::optional<Bytes>> HistoryRows::get(const Bytes& key) {
  const auto sealed = TRY(body_->any().get(history_table, key));
  if (!sealed) return std::nullopt;
  auto plain = body_->local.open(*sealed, key);
  if (!plain) return fail(Fault::corrupt, "a row of history that does not open");
  return *std::move(plain);
}
Result<bool> HistoryRows::has(const Bytes& key) { return TRY(body_->any().get(history_table, key)).has_value(); }
Result<std::optional<HistoryRows::Row>> HistoryRows::seek(const Bytes& from, std::size_t common) {
  const auto cursor = TRY(body_->any().cursor(history_table));
  if (!TRY(cursor->seek(from)) || cursor->key().size() < common || !equal(cursor->key().first(common), ByteView(from).first(common))) return std::nullopt;
  auto plain = body_->local.open(cursor->value(), cursor->key());
  if (!plain) return fail(Fault::corrupt, "a row of history that does not open");
  return Row{bytes_of(cursor->key()), *std::move(plain)};
}
Result<void> HistoryRows::each(HistoryTable table, const std::function<Result<bool>(ByteView plain)>& take) {
  Bytes from = key(table);
  const std::size_t common = from.size();
  for (;;) {
    const auto row = TRY(seek(from, common));
    if (!row) return {};
    if (!TRY(take(row->plain))) return {};
    from = row->key;
    from.push_back(0);
  }
}
Result<void> HistoryRows::put(const Bytes& key, ByteView plain) {
  INVARIANT(body_->transaction != nullptr);
  ++body_->puts;
  return body_->transaction->put(history_table, key, body_->local.seal(plain, key));
}
Result<void> HistoryRows::drop(const Bytes& key) {
  INVARIANT(body_->transaction != nullptr);
  ++body_->puts;
  TRY(body_->transaction->erase(history_table, key));
  return {};
}
std::size_t HistoryRows::puts() const { return body_->puts; }
Result<void> HistoryRows::commit() {
  INVARIANT(body_->transaction != nullptr);
  TRY(body_->transaction->commit());
  body_->transaction.reset();
  return {};
}

}  // namespace dozo::store
