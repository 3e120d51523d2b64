#include "store/folder_update.h"

#include <algorithm>

namespace dozo::store {
namespace {

void set_in(std::vector<DocumentId>& documents, const DocumentId& document, bool in) {
  const auto at = std::ranges::lower_bound(documents, document);
  const bool there = at != documents.end() && *at == document;
  if (in && !there) documents.insert(at, document);
  if (!in && there) documents.erase(at);
}

bool is_alike(const Placement& a, const Placement& b) {
  return a.at == b.at && a.age == b.age && a.dir.has_value() == b.dir.has_value() && a.first.has_value() == b.first.has_value() &&
         a.beside.empty() == b.beside.empty();
}

}  // namespace

Result<FolderRow*> FolderUpdate::folder(const std::string& path) {
  const FolderKey& key = keys_.of(path);
  auto row = overlay_.folders.find(key);
  if (row == overlay_.folders.end()) {
    row = overlay_.folders.emplace(key, TRY(rows_.folder(out_, key))).first;
    folders_.emplace(key, Touched{path, row->second});
  }
  return &row->second;
}

Result<std::vector<DocumentId>*> FolderUpdate::name(const std::string& path) {
  const FolderKey& folder = keys_.of(parent_of(path));
  auto& names = overlay_.names[folder];
  const NameKey name = rows_.name_key(last_part(path));
  auto it = names.find(name);
  if (it == names.end()) it = names.emplace(name, TRY(rows_.name(out_, folder, name))).first;
  return &it->second;
}

/// It shows something else and asks for the same: no row changes.
void FolderUpdate::touch(const Placement& it) {
  const std::string path = store::name_key(rule_, it.at);
  if (it.dir) own_.insert(path);
  if (it.first) names_.insert(path);
  if (!it.beside.empty()) beside_.emplace(parent_of(path));
}

/// Puts in, or takes out, all that a document asks for.
Result<void> FolderUpdate::enter(const DocumentId& document, const Placement& it, bool in, bool spells) {
  const auto parts = parts_of(it.at);
  std::string folder, path, spelt;  // the first two folded: of the document's name, and the name
  FolderKey parent = keys_.of(spelt);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    folder = path;
    path = below(path, store::name_key(rule_, parts[i]));
    spelt = below(spelt, parts[i]);
    if (i + 1 == parts.size() && !it.dir) break;
    if (!spells) continue;
    FolderRow& row = *TRY(this->folder(path));
    const bool was = !row.spellings.empty();
    const FolderKey key = keys_.of(spelt);
    auto spelling = std::ranges::lower_bound(row.spellings, key, {}, &Spelling::spelt);
    const bool there = spelling != row.spellings.end() && spelling->spelt == key;
    const Word word{it.age, document};
    if (in) {
      if (!there) spelling = row.spellings.insert(spelling, Spelling{key, parent, std::string(parts[i]), 0, word});
      ++spelling->count;
      if (spelling->oldest) spelling->oldest = std::min(*spelling->oldest, word);
    } else {
      if (!there) return fail(Fault::corrupt, "a folder that lacks a document's spelling: run dozo fsck --rebuild");
      if (spelling->oldest && spelling->oldest->document == document) spelling->oldest.reset();
      if (--spelling->count == 0) row.spellings.erase(spelling);
    }
    if (was != !row.spellings.empty()) {
      overlay_.below[keys_.of(folder)][keys_.of(path)] = !was;
      names_.insert(path);
    }
    parent = key;
  }
  if (it.dir) {
    set_in((TRY(this->folder(path)))->own, document, in);
    own_.insert(path);
  }
  if (it.first) {
    set_in(*TRY(name(path)), document, in);
    names_.insert(path);
  }
  if (!it.beside.empty()) {
    set_in((TRY(this->folder(folder)))->besides, document, in);
    beside_.insert(folder);
  }
  return {};
}

/// Where a folder is spelt apart, it is known who is oldest.
Result<void> FolderUpdate::settle_spellings(const FolderState& state) {
  for (auto& [key, row] : overlay_.folders) {
    if (!FolderState::is_spelt_apart(row)) continue;
    for (Spelling& it : row.spellings) it.oldest = TRY(state.oldest(folders_.at(key).path, it));
  }
  return {};
}

/// Which names are wanted by several.
Result<void> FolderUpdate::settle_names(const FolderState& state) {
  for (const std::string& path : names_) {
    const std::size_t count = TRY(state.wanting(path)).size();
    const bool is = count > 1 || (count == 1 && TRY(state.is_folder(path)));
    const std::string parent(parent_of(path));
    const std::string name(last_part(path));
    const FolderRow row = TRY(state.row(parent));
    const bool was = std::ranges::binary_search(row.contested, name);
    if (is == was) continue;
    std::vector<std::string>& contested = (TRY(folder(parent)))->contested;
    const auto at = std::ranges::lower_bound(contested, name);
    if (is) {
      contested.insert(at, name);
    } else {
      contested.erase(at);
    }
  }
  return {};
}

/// Which documents wait for a person: those that changed, and whoever wants a name that they want or wanted.
Result<void> FolderUpdate::settle_conflicts(const FolderState& state, const FolderState::Placements& before, const FolderState::Placements& after) {
  std::set<DocumentId> documents, displaced;
  std::set<std::string> names = names_;
  for (const auto& [document, placed] : after) {
    documents.insert(document);
    if (placed && placed->first) names.insert(store::name_key(rule_, placed->at));
  }
  for (const std::string& path : names) {
    const std::vector<DocumentId> wanting = TRY(state.wanting(path));
    documents.insert(wanting.begin(), wanting.end());
    bool is_free = !TRY(state.is_folder(path));
    if (is_free && wanting.size() < 2) continue;
    for (const FolderState::Contender& it : TRY(state.contenders(wanting))) {
      if (!std::exchange(is_free, false)) displaced.insert(it.document);
    }
  }
  Folder::Counts counts = TRY(rows_.counts(out_));
  const Folder::Counts then = counts;
  for (const auto& [document, placed] : after) {
    counts.documents += placed ? 1U : 0U;
    counts.documents -= before.at(document) ? 1U : 0U;
  }
  for (const DocumentId& document : documents) {
    const auto placed = TRY(state.placement(document));
    const bool is = placed && (displaced.contains(document) || !placed->conflicts.empty());
    const bool was = TRY(rows_.in_conflict(out_, document));
    if (is == was) continue;
    counts.conflicts += is ? 1U : 0U;
    counts.conflicts -= was ? 1U : 0U;
    TRY(rows_.put_in_conflict(out_, document, is));
  }
  if (counts != then) TRY(rows_.put_counts(out_, counts));
  return {};
}

/// What the touched paths show.
Result<std::map<std::string, Shown>> FolderUpdate::shown(const FolderState& state, const std::set<std::string>& respelt) const {
  std::map<std::string, Shown> out;
  std::map<std::string, std::string> folders;  // many names lie in few folders
  const auto path_of = [&](const std::string& folder, std::string_view name) -> Result<std::string> {
    auto known = folders.find(folder);
    if (known == folders.end()) known = folders.emplace(folder, TRY(state.shown(folder))).first;
    return below(known->second, name);
  };
  std::set<std::string> beside = beside_;
  for (const std::string& path : names_) {
    const std::string folder(parent_of(path));
    beside.insert(folder);
    if (auto it = TRY(state.plain(path))) {
      const std::string name(last_part(it->at));
      out.insert_or_assign(TRY(path_of(folder, name)), std::move(*it));
    }
  }
  for (const std::string& folder : own_) {
    if (auto it = TRY(state.own(folder))) out.insert_or_assign(TRY(state.shown(folder)) + '/', std::move(*it));
  }
  for (const std::string& folder : beside) {
    for (FolderState::Slot& slot : TRY(state.conflict_names(folder))) out.insert_or_assign(TRY(path_of(folder, slot.name)), std::move(slot.shown));
  }
  for (const std::string& folder : respelt) {
    if (!TRY(state.is_folder(folder))) continue;
    TRY(state.each_below(folder, [&](std::string path, Shown it) { out.insert_or_assign(std::move(path), std::move(it)); }));
  }
  return out;
}

Result<void> FolderUpdate::write() {
  for (const auto& [key, row] : overlay_.folders) TRY(rows_.put_folder(out_, key, row));
  for (const auto& [folder, names] : overlay_.names) {
    for (const auto& [name, documents] : names) TRY(rows_.put_name(out_, folder, name, documents));
  }
  for (const auto& [folder, all] : overlay_.below) {
    for (const auto& [inner, there] : all) TRY(rows_.put_below(out_, folder, inner, there));
  }
  return {};
}

Result<void> FolderUpdate::run(const FolderState::Placements& before, const FolderState::Placements& after, std::vector<Change>* changes) {
  for (const auto& [document, now] : after) {
    const auto& then = before.at(document);
    if (now == then) continue;
    if (then && now && is_alike(*then, *now)) {
      touch(*now);
      continue;
    }
    // Who goes on spelling its folders as before, as old as before, leaves them alone: otherwise the oldest in them would be looked for again.
    const bool spells = !then || !now || then->at != now->at || then->age != now->age || then->dir.has_value() != now->dir.has_value();
    if (then) TRY(enter(document, *then, false, spells));
    if (now) TRY(enter(document, *now, true, spells));
  }
  const FolderState old(rows_, view_, rule_, out_, nullptr, &before), state(rows_, view_, rule_, out_, &overlay_, &after);
  TRY(settle_spellings(state));
  TRY(settle_names(state));
  if (changes != nullptr) {
    std::set<std::string> respelt;
    for (const auto& [key, touched] : folders_) {
      if (touched.before.spellings.empty() || overlay_.folders.at(key).spellings.empty()) continue;
      if (last_part(TRY(old.shown(touched.path))) != last_part(TRY(state.shown(touched.path)))) respelt.insert(touched.path);
    }
    const auto then = TRY(shown(old, respelt));
    auto now = TRY(shown(state, respelt));
    for (const auto& [path, it] : then) {
      const auto same = now.find(path);
      if (same == now.end()) {
        changes->push_back({path, std::nullopt});
      } else if (same->second == it) {
        now.erase(same);
      }
    }
    for (auto& [path, it] : now) changes->push_back({path, std::move(it)});
    std::ranges::sort(*changes, {}, &Change::path);
  }
  TRY(settle_conflicts(state, before, after));
  return write();
}

}  // namespace dozo::store
