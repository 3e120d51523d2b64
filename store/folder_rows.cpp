#include "store/folder_rows.h"

#include "base/archive.h"
#include "crypto/local_seal.h"

namespace dozo::store {

// ---- what is sealed ------------------------------------------------------------------------------------------------------
template <class A>
void serialize(A& archive, Stamp& it) {
  archive(it.hlc, it.record);
}
template <class A>
void serialize(A& archive, Age& it) {
  auto standing = static_cast<std::uint8_t>(it.standing);
  archive(standing, it.since, it.document);
  it.standing = standing;
}
template <class A>
void serialize(A& archive, Word& it) {
  archive(it.age, it.document);
}
template <class A>
void serialize(A& archive, Spelling& it) {
  archive(it.spelt, it.parent, archive::capped<name_bytes_most>(it.name), it.count, it.oldest);
}

namespace {

constexpr std::size_t items_most = 1U << 24, row_bytes_most = 1U << 30;  // our own rows: whatever a folder has

struct ContestedName {
  std::string name;
};
template <class A>
void serialize(A& archive, ContestedName& it) {
  archive(archive::capped<4 * name_bytes_most>(it.name));
}

struct StoredFolder {
  std::vector<Spelling> spellings;
  std::vector<DocumentId> own, besides;
  std::vector<ContestedName> contested;
};
template <class A>
void serialize(A& archive, StoredFolder& it) {
  archive(archive::capped<items_most>(it.spellings), archive::capped<items_most>(it.own), archive::capped<items_most>(it.besides),
          archive::capped<items_most>(it.contested));
}

struct StoredCounts {
  std::uint64_t documents{}, conflicts{};
};
template <class A>
void serialize(A& archive, StoredCounts& it) {
  archive(it.documents, it.conflicts);
}

Result<std::vector<DocumentId>> documents_in(ByteView bytes) {
  if (bytes.size() % DocumentId::size != 0) return fail(Fault::corrupt, "a row of the folder is damaged: run dozo fsck --rebuild");
  std::vector<DocumentId> out;
  for (; !bytes.empty(); bytes = bytes.subspan(DocumentId::size)) out.push_back(*DocumentId::from(bytes.first(DocumentId::size)));
  return out;
}

}  // namespace

// ---- keys ----------------------------------------------------------------------------------------------------------------
Digest FolderRows::keyed(std::string_view use, std::string_view folded) const {
  Bytes what = place_.space;
  append(what, view_of(folded));
  return place_.key.keyed(use, what);
}
FolderKey FolderRows::folder_key(std::string_view path) const { return *FolderKey::from(keyed("folder", path).view().first(FolderKey::size)); }
NameKey FolderRows::name_key(std::string_view folded) const { return *NameKey::from(keyed("name", folded).view().first(NameKey::size)); }

Bytes FolderRows::key(char kind, ByteView a, ByteView b) const {
  Bytes out = place_.space;
  out.push_back(static_cast<std::uint8_t>(kind));
  append(out, a);
  append(out, b);
  return out;
}

// ---- reading -------------------------------------------------------------------------------------------------------------
Result<FolderRow> FolderRows::folder(ReadTransaction& in, const FolderKey& key) const {
  const Bytes name = this->key('f', key.view());
  const auto found = TRY(in.get(place_.table, name));
  if (!found) return FolderRow{};
  auto stored = archive::decode<StoredFolder>(TRY(place_.key.open(*found, name)), row_bytes_most, "a row of the folder");
  if (!stored) return fail(Fault::corrupt, stored.error().text);
  FolderRow out{std::move(stored->spellings), std::move(stored->own), std::move(stored->besides), {}};
  for (ContestedName& it : stored->contested) out.contested.push_back(std::move(it.name));
  return out;
}

Result<std::vector<DocumentId>> FolderRows::name(ReadTransaction& in, const FolderKey& folder, const NameKey& name) const {
  const auto found = TRY(in.get(place_.table, key('n', folder.view(), name.view())));
  if (!found) return std::vector<DocumentId>{};
  return documents_in(*found);
}

Result<void> FolderRows::each(ReadTransaction& in, const Bytes& prefix, std::size_t rest_bytes,
                              const std::function<Result<bool>(ByteView, ByteView)>& take) const {
  const auto rows = TRY(in.cursor(place_.table));
  for (bool found = TRY(rows->seek(prefix)); found; found = TRY(rows->next())) {
    if (rows->key().size() != prefix.size() + rest_bytes || !equal(rows->key().first(prefix.size()), prefix)) break;
    if (!TRY(take(rows->key().subspan(prefix.size()), rows->value()))) break;
  }
  return {};
}

Result<void> FolderRows::each_name(ReadTransaction& in, const FolderKey& folder, const TakeName& take) const {
  return each(in, key('n', folder.view()), NameKey::size,
              [&](ByteView rest, ByteView value) -> Result<bool> { return take(*NameKey::from(rest), TRY(documents_in(value))); });
}

Result<std::vector<FolderKey>> FolderRows::below(ReadTransaction& in, const FolderKey& folder) const {
  std::vector<FolderKey> out;
  TRY(each(in, key('s', folder.view()), FolderKey::size, [&](ByteView rest, ByteView) -> Result<bool> {
    out.push_back(*FolderKey::from(rest));
    return true;
  }));
  return out;
}

Result<bool> FolderRows::in_conflict(ReadTransaction& in, const DocumentId& document) const {
  return TRY(in.get(place_.table, key('c', document.view()))).has_value();
}

Result<void> FolderRows::each_in_conflict(ReadTransaction& in, const std::function<Result<bool>(const DocumentId&)>& take) const {
  return each(in, key('c'), DocumentId::size, [&](ByteView rest, ByteView) { return take(*DocumentId::from(rest)); });
}

Result<Folder::Counts> FolderRows::counts(ReadTransaction& in) const {
  const Bytes name = key('m');
  const auto found = TRY(in.get(place_.table, name));
  if (!found) return Folder::Counts{};
  const auto stored = archive::decode<StoredCounts>(TRY(place_.key.open(*found, name)), row_bytes_most, "a row of the folder");
  if (!stored) return fail(Fault::corrupt, stored.error().text);
  return Folder::Counts{stored->documents, stored->conflicts};
}

// ---- writing -------------------------------------------------------------------------------------------------------------
Result<void> FolderRows::put(WriteTransaction& out, const Bytes& key, const std::optional<Bytes>& value) const {
  if (value) return out.put(place_.table, key, *value);
  TRY(out.erase(place_.table, key));
  return {};
}

Result<void> FolderRows::put_folder(WriteTransaction& out, const FolderKey& folder, const FolderRow& row) const {
  const Bytes name = key('f', folder.view());
  if (row.is_empty()) return put(out, name, std::nullopt);
  StoredFolder stored{row.spellings, row.own, row.besides, {}};
  for (const std::string& it : row.contested) stored.contested.push_back({it});
  return put(out, name, place_.key.seal(archive::encode(stored), name));
}

Result<void> FolderRows::put_name(WriteTransaction& out, const FolderKey& folder, const NameKey& name, const std::vector<DocumentId>& documents) const {
  Bytes value;
  for (const DocumentId& document : documents) append(value, document.view());
  return put(out, key('n', folder.view(), name.view()), documents.empty() ? std::nullopt : std::optional(std::move(value)));
}

Result<void> FolderRows::put_below(WriteTransaction& out, const FolderKey& folder, const FolderKey& in_it, bool there) const {
  return put(out, key('s', folder.view(), in_it.view()), there ? std::optional(Bytes{}) : std::nullopt);
}

Result<void> FolderRows::put_in_conflict(WriteTransaction& out, const DocumentId& document, bool is) const {
  return put(out, key('c', document.view()), is ? std::optional(Bytes{}) : std::nullopt);
}

Result<void> FolderRows::put_counts(WriteTransaction& out, const Folder::Counts& counts) const {
  const Bytes name = key('m');
  return put(out, name, place_.key.seal(archive::encode(StoredCounts{counts.documents, counts.conflicts}), name));
}

}  // namespace dozo::store
