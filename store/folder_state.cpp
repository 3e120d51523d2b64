#include "store/folder_state.h"

#include <algorithm>

namespace dozo::store {

std::string_view parent_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}
std::string_view last_part(std::string_view path) { return path.substr(path.rfind('/') + 1); }  // npos + 1 is 0
std::string below(std::string_view folder, std::string_view name) {
  std::string out(folder);
  if (!out.empty()) out += '/';
  return out += name;
}

namespace {

Error torn() { return {Fault::corrupt, "rows of the folder do not fit each other: run dozo fsck --rebuild"}; }

}  // namespace

const FolderKey& FolderKeys::of(std::string_view path) {
  const auto known = known_.find(path);
  return known != known_.end() ? known->second : known_.emplace(path, rows_.folder_key(path)).first->second;
}

// ---- rows ----------------------------------------------------------------------------------------------------------------
Result<FolderRow> FolderState::row(const FolderKey& key) const {
  if (overlay_ != nullptr) {
    if (const auto it = overlay_->folders.find(key); it != overlay_->folders.end()) return it->second;
  }
  return rows_.folder(in_, key);
}
Result<FolderRow> FolderState::row(std::string_view folder) const { return row(rows_.folder_key(folder)); }

Result<std::vector<DocumentId>> FolderState::wanting(std::string_view path) const {
  const FolderKey folder = keys_.of(parent_of(path));
  const NameKey name = rows_.name_key(last_part(path));
  if (overlay_ != nullptr) {
    if (const auto names = overlay_->names.find(folder); names != overlay_->names.end()) {
      if (const auto it = names->second.find(name); it != names->second.end()) return it->second;
    }
  }
  return rows_.name(in_, folder, name);
}

Result<void> FolderState::each_name(const FolderKey& folder, const std::function<Result<bool>(const std::vector<DocumentId>&)>& take) const {
  const std::map<NameKey, std::vector<DocumentId>>* changed = nullptr;
  if (overlay_ != nullptr) {
    if (const auto it = overlay_->names.find(folder); it != overlay_->names.end()) changed = &it->second;
  }
  bool go_on = true;
  TRY(rows_.each_name(in_, folder, [&](const NameKey& name, const std::vector<DocumentId>& documents) -> Result<bool> {
    if (changed == nullptr || !changed->contains(name)) go_on = TRY(take(documents));
    return go_on;
  }));
  if (changed == nullptr) return {};
  for (const auto& [name, documents] : *changed) {
    if (!go_on) break;
    if (!documents.empty()) go_on = TRY(take(documents));
  }
  return {};
}

Result<std::vector<FolderKey>> FolderState::keys_in(const FolderKey& folder) const {
  std::vector<FolderKey> out = TRY(rows_.below(in_, folder));
  if (overlay_ == nullptr) return out;
  const auto changed = overlay_->below.find(folder);
  if (changed == overlay_->below.end()) return out;
  std::erase_if(out, [&](const FolderKey& it) { return changed->second.contains(it); });
  for (const auto& [key, there] : changed->second) {
    if (there) out.push_back(key);
  }
  return out;
}

Result<std::optional<Placement>> FolderState::placement(const DocumentId& document) const {
  if (placed_ != nullptr) {
    if (const auto it = placed_->find(document); it != placed_->end()) return it->second;
  }
  return place(TRY(view_.load(in_, document)));
}

// ---- how folders are spelt -----------------------------------------------------------------------------------------------
bool FolderState::is_spelt_apart(const FolderRow& row) {
  return std::ranges::any_of(row.spellings, [&](const Spelling& it) { return it.name != row.spellings.front().name; });
}

Result<std::optional<Word>> FolderState::oldest(const std::string& folder, const Spelling& spelling) const {
  if (spelling.oldest) return spelling.oldest;
  std::optional<Word> out;
  const auto consider = [&](const Word& word) {
    if (!out || word < *out) out = word;
  };
  const FolderKey key = keys_.of(folder);
  const FolderRow row = TRY(this->row(key));
  for (const DocumentId& document : row.own) {
    const auto placed = TRY(placement(document));
    if (placed && keys_.of(placed->at) == spelling.spelt) consider({placed->age, document});
  }
  TRY(each_name(key, [&](const std::vector<DocumentId>& documents) -> Result<bool> {
    for (const DocumentId& document : documents) {
      const auto placed = TRY(placement(document));
      if (placed && keys_.of(parent_of(placed->at)) == spelling.spelt) consider({placed->age, document});
    }
    return true;
  }));
  for (const FolderKey& inner : TRY(keys_in(key))) {
    for (const Spelling& it : TRY(this->row(inner)).spellings) {
      if (it.parent != spelling.spelt) continue;
      if (const auto word = TRY(oldest(below(folder, store::name_key(rule_, it.name)), it))) consider(*word);
    }
  }
  return out;
}

Result<std::string> FolderState::name_of(const std::string& folder, const FolderRow& row) const {
  if (row.spellings.empty()) return std::unexpected(torn());  // whoever shows something in a folder has spelt it
  if (!is_spelt_apart(row)) return row.spellings.front().name;
  std::optional<std::tuple<Age, std::string, DocumentId>> first;
  for (const Spelling& it : row.spellings) {
    const auto word = TRY(oldest(folder, it));
    if (!word) return std::unexpected(torn());
    std::tuple here(word->age, it.name, word->document);
    if (!first || here < *first) first = std::move(here);
  }
  return std::get<1>(*first);
}

Result<std::string> FolderState::shown(const std::string& folder) const {
  if (folder.empty()) return std::string();
  if (const auto known = shown_.find(folder); known != shown_.end()) return known->second;
  std::string out = below(TRY(shown(std::string(parent_of(folder)))), TRY(name_of(folder, TRY(row(folder)))));
  if (overlay_ == nullptr) shown_.emplace(folder, out);
  return out;
}

// ---- what stands where -----------------------------------------------------------------------------------------------------
Result<std::vector<FolderState::Contender>> FolderState::contenders(const std::vector<DocumentId>& documents) const {
  std::vector<Contender> out;
  for (const DocumentId& document : documents) {
    auto placed = TRY(placement(document));
    if (!placed || !placed->first) return std::unexpected(torn());
    out.push_back({placed->age, document, std::move(placed->first_text), std::move(*placed->first)});
  }
  std::ranges::sort(out, {}, [](const Contender& it) { return std::tie(it.age, it.document); });
  return out;
}

Result<std::optional<Shown>> FolderState::plain(const std::string& path) const {
  const std::vector<DocumentId> documents = TRY(wanting(path));
  if (documents.empty() || TRY(is_folder(path))) return std::optional<Shown>{};
  return std::optional(std::move(TRY(contenders(documents)).front().shown));
}

Result<std::optional<Shown>> FolderState::own(const std::string& folder) const {
  std::vector<std::tuple<Age, DocumentId, Shown>> all;
  for (const DocumentId& document : TRY(row(folder)).own) {
    auto placed = TRY(placement(document));
    if (!placed || !placed->dir) return std::unexpected(torn());
    all.emplace_back(placed->age, document, std::move(*placed->dir));
  }
  if (all.empty()) return std::optional<Shown>{};
  std::ranges::sort(all, {}, [](const auto& it) { return std::tie(std::get<Age>(it), std::get<DocumentId>(it)); });
  Shown out = std::get<Shown>(all.front());  // several documents may be one folder
  for (std::size_t i = 1; i < all.size(); ++i) {
    const std::vector<VersionId>& more = std::get<Shown>(all[i]).replaces;
    out.replaces.insert(out.replaces.end(), more.begin(), more.end());
  }
  return std::optional(std::move(out));
}

Result<std::vector<FolderState::Slot>> FolderState::conflict_names(const std::string& folder) const {
  const FolderRow row = TRY(this->row(folder));
  std::map<std::tuple<VersionId, DocumentId, std::vector<VersionId>>, std::pair<std::string, Shown>> besides;
  for (const DocumentId& document : row.besides) {
    auto placed = TRY(placement(document));
    if (!placed) return std::unexpected(torn());
    for (Shown& shown : placed->beside) {
      const Side side = *shown.side;
      besides.try_emplace({side.tag, document, shown.replaces}, side.text, std::move(shown));
    }
  }
  for (const std::string& name : row.contested) {
    const std::string path = below(folder, name);
    bool is_free = !TRY(is_folder(path));
    for (Contender& it : TRY(contenders(TRY(wanting(path))))) {
      if (std::exchange(is_free, false)) continue;
      besides.try_emplace({tag_id(it.document), it.document, it.shown.replaces}, it.text, std::move(it.shown));
    }
  }
  std::vector<Slot> out;
  std::set<std::string> given;
  for (auto& [key, beside] : besides) {
    const std::string tag = tag_of(std::get<VersionId>(key));
    for (std::uint64_t attempt = 0;; ++attempt) {
      std::string name = conflict_name(last_part(beside.second.at), beside.first, tag, attempt);
      const std::string path = below(folder, store::name_key(rule_, name));
      if (given.contains(path) || !TRY(wanting(path)).empty() || TRY(is_folder(path))) continue;
      given.insert(path);
      out.push_back({std::move(name), std::move(beside.second)});
      break;
    }
  }
  return out;
}

Result<void> FolderState::each_plain(const std::string& folder, const std::function<Result<bool>(Slot)>& take) const {
  return each_name(keys_.of(folder), [&](const std::vector<DocumentId>& documents) -> Result<bool> {
    Shown shown = std::move(TRY(contenders(documents)).front().shown);
    std::string name(last_part(shown.at));
    if (TRY(is_folder(below(folder, store::name_key(rule_, name))))) return true;
    return take({std::move(name), std::move(shown)});
  });
}

Result<std::vector<std::string>> FolderState::folders_in(const std::string& folder) const {
  std::vector<std::string> out;
  for (const FolderKey& key : TRY(keys_in(keys_.of(folder)))) {
    const FolderRow row = TRY(this->row(key));
    if (row.spellings.empty()) return std::unexpected(torn());
    out.push_back(below(folder, store::name_key(rule_, row.spellings.front().name)));
  }
  return out;
}

Result<void> FolderState::each_below(const std::string& folder, const std::function<void(std::string, Shown)>& take) const {
  const std::string at = TRY(shown(folder));
  if (auto it = TRY(own(folder))) take(at + '/', std::move(*it));
  TRY(each_plain(folder, [&](Slot slot) -> Result<bool> {
    take(below(at, slot.name), std::move(slot.shown));
    return true;
  }));
  for (Slot& slot : TRY(conflict_names(folder))) take(below(at, slot.name), std::move(slot.shown));
  for (const std::string& inner : TRY(folders_in(folder))) TRY(each_below(inner, take));
  return {};
}

}  // namespace dozo::store
