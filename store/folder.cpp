#include "store/folder.h"

#include <algorithm>
#include <ranges>
#include <set>

#include "base/invariant.h"
#include "store/placement.h"

// Keys are folded paths: "" is the top, "ab/c" a name or folder below it, "ab/" the own document of folder "ab". So all below a folder is one range.
// Of a document a few keys are kept, never one for each folder on its way: folders hang below each other, each by its own name.
// Which name a document gets is settled key by key; only conflict names, which look for a free name, are given out anew for a whole folder, and
// only when one of them, or a name that they looked at, has changed.

namespace dozo::store {
namespace {

using Key = std::string;

Key parent_of(const Key& key) {
  const std::size_t slash = key.rfind('/');
  return slash == Key::npos ? Key() : key.substr(0, slash);
}
std::string below(const std::string& folder, std::string_view name) { return folder.empty() ? std::string(name) : folder + '/' + std::string(name); }
std::string_view last_part(std::string_view path) { return path.substr(path.rfind('/') + 1); }  // npos + 1 is 0

/// One document's word on how a folder is spelt; the least counts.
struct Spelling {
  Age age;
  std::string name;
  DocumentId document;
  friend auto operator<=>(const Spelling&, const Spelling&) = default;
};

/// A folder, or one that was there before this update: it is there while somebody spells it.
struct Spelt {
  Spelt* parent{};
  std::string_view name;  ///< folded; its bytes are the parent's
  std::map<std::string, std::unique_ptr<Spelt>, std::less<>> below;
  std::set<Spelling> spellings;
  bool touched{};  ///< by this update

  std::optional<std::string> spelling() const { return spellings.empty() ? std::nullopt : std::optional(spellings.begin()->name); }
  Key key() const { return parent == nullptr ? Key() : store::below(parent->key(), name); }
};

using Turn = std::pair<Age, DocumentId>;  ///< among documents at one name

struct BesideKey {
  VersionId tag;
  DocumentId document;
  std::vector<VersionId> replaces;
  friend auto operator<=>(const BesideKey&, const BesideKey&) = default;
};
struct Beside {
  std::string text;
  Shown shown;
};

struct Contender {
  std::string text;
  Shown shown;
};
struct Name {
  std::map<Turn, Contender> contenders;
  std::vector<BesideKey> displaced;  ///< those that stand beside, as settled last
};

struct ConflictNames {
  std::map<BesideKey, Beside> besides;
  std::set<Key> looked_at;     ///< every key that was tried
  std::vector<Key> given_out;  ///< the slots that they have
};

struct Slot {
  std::string name;  ///< last component as shown; empty for a folder's own document
  std::string path;
  Shown shown;
};

}  // namespace

class Folder::Body {
 public:
  explicit Body(NameRule rule) : rule_(rule) {}

  std::vector<Change> update(const std::set<DocumentId>& documents);

  NameRule rule_;
  View view_;
  std::map<DocumentId, Placement> placements_;
  std::map<DocumentId, std::vector<ConflictKind>> own_conflicts_;
  std::map<DocumentId, std::optional<DocumentId>> displaced_;  ///< document -> who has its name; nothing: a folder
  std::map<Key, Slot> slots_;
  std::map<DocumentId, std::set<Key>> slots_of_;

 private:
  /// What one update has touched, with what was there before.
  struct Touched {
    std::vector<std::pair<Spelt*, std::optional<std::string>>> folders;  ///< with their spelling before
    std::set<Key> names;
    std::set<Key> dirs;
    std::set<Key> conflict_names;  ///< folders whose conflict names are given out anew
    std::map<Key, std::optional<Slot>> slots;
  };

  void enter(const DocumentId& document, const Placement& it, bool in);
  void enter_beside(const Key& folder, const BesideKey& key, std::optional<Beside> it);
  void unsettle(const Key& key);
  void settle(const Key& key);
  void give_out(const Key& folder);
  void touch(const Key& slot);
  void set(const Key& key, std::string name, Shown shown);
  void clear(const Key& key);
  bool is_folder(const Key& key) const;
  std::string spelt(const Key& folder) const;
  void settle_folders();
  bool is_taken(const Key& key) const { return is_folder(key) || names_.contains(key); }

  Spelt top_;
  std::map<Key, Name> names_;  ///< only with contenders
  std::map<Key, std::map<Turn, Shown>> dirs_;
  std::map<Key, ConflictNames> conflict_names_;
  Touched touched_;
};

bool Folder::Body::is_folder(const Key& key) const {
  const Spelt* at = &top_;
  for (const std::string_view part : parts_of(key)) {
    const auto it = at->below.find(part);
    if (it == at->below.end()) return false;
    at = it->second.get();
  }
  return !at->spellings.empty();
}

std::string Folder::Body::spelt(const Key& folder) const {
  std::string out;
  if (folder.empty()) return out;
  const Spelt* at = &top_;
  for (const std::string_view part : parts_of(folder)) {
    const auto it = at->below.find(part);
    INVARIANT(it != at->below.end() && !it->second->spellings.empty());  // whoever shows something in a folder has spelt it
    at = it->second.get();
    if (!out.empty()) out += '/';
    out += at->spellings.begin()->name;
  }
  return out;
}

/// What follows for names and slots where a folder came, went or is spelt otherwise; then folders that nobody spells are let go.
void Folder::Body::settle_folders() {
  for (const auto& [folder, before] : touched_.folders) {
    const auto now = folder->spelling();
    if (now == before) continue;
    const Key key = folder->key();
    // A name that nobody asks for, and that no conflict name looked at, does not depend on the folder.
    if (now.has_value() != before.has_value()) {
      const auto conflict_names = conflict_names_.find(parent_of(key));
      if (names_.contains(key) || (conflict_names != conflict_names_.end() && conflict_names->second.looked_at.contains(key))) touched_.names.insert(key);
    }
    for (auto it = slots_.lower_bound(key + '/'); it != slots_.end() && it->first.starts_with(key + '/'); ++it) touch(it->first);
  }
  // Whoever spells a folder spells those on the way to it too, from the top: so what lies in a folder was touched after it, and goes before it.
  for (const auto& [folder, before] : touched_.folders | std::views::reverse) {
    folder->touched = false;
    if (!folder->spellings.empty()) continue;
    INVARIANT(folder->below.empty());
    folder->parent->below.erase(folder->parent->below.find(folder->name));
  }
  touched_.folders.clear();
}

void Folder::Body::touch(const Key& slot) {
  if (touched_.slots.contains(slot)) return;
  const auto it = slots_.find(slot);
  touched_.slots.emplace(slot, it == slots_.end() ? std::nullopt : std::optional(it->second));
}

void Folder::Body::set(const Key& key, std::string name, Shown shown) {
  clear(key);
  slots_of_[shown.document].insert(key);
  slots_.emplace(key, Slot{std::move(name), {}, std::move(shown)});
}

void Folder::Body::clear(const Key& key) {
  touch(key);
  const auto it = slots_.find(key);
  if (it == slots_.end()) return;
  const auto own = slots_of_.find(it->second.shown.document);
  own->second.erase(key);
  if (own->second.empty()) slots_of_.erase(own);
  slots_.erase(it);
}

void Folder::Body::enter_beside(const Key& folder, const BesideKey& key, std::optional<Beside> it) {
  ConflictNames& names = conflict_names_[folder];
  if (it) {
    names.besides.insert_or_assign(key, std::move(*it));
  } else {
    names.besides.erase(key);
  }
  touched_.conflict_names.insert(folder);
}

/// Puts in, or takes out, all that a document asks for.
void Folder::Body::enter(const DocumentId& document, const Placement& it, bool in) {
  const auto parts = parts_of(it.at);
  const Turn turn{it.age, document};
  Spelt* at = &top_;
  Key folder;  // of the document's name
  Key key;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    folder = key;
    key = below(key, name_key(rule_, parts[i]));
    if (i + 1 == parts.size() && !it.dir) break;
    const std::string_view name = std::string_view(key).substr(folder.empty() ? 0 : folder.size() + 1);
    const auto [place, is_new] = at->below.try_emplace(std::string(name));
    if (is_new) place->second = std::make_unique<Spelt>(Spelt{at, place->first, {}, {}, false});
    at = place->second.get();
    if (!at->touched) {
      at->touched = true;
      touched_.folders.emplace_back(at, at->spelling());
    }
    const Spelling own{it.age, std::string(parts[i]), document};
    if (in) {
      at->spellings.insert(own);
    } else {
      at->spellings.erase(own);
    }
  }
  if (it.dir) {
    auto& all = dirs_[key];
    if (in) {
      all.insert_or_assign(turn, *it.dir);
    } else {
      all.erase(turn);
    }
    if (all.empty()) dirs_.erase(key);
    touched_.dirs.insert(key);
  }
  if (it.first) {
    auto& name = names_[key];  // settle() removes what has become empty
    if (in) {
      name.contenders.insert_or_assign(turn, Contender{it.first_text, *it.first});
    } else {
      name.contenders.erase(turn);
    }
    touched_.names.insert(key);
  }
  for (const Shown& shown : it.beside) {
    const BesideKey own{shown.side->tag, document, shown.replaces};
    enter_beside(folder, own, in ? std::optional(Beside{shown.side->text, shown}) : std::nullopt);
  }
}

/// Takes back what was settled about a name. For all touched names before any is settled anew: a document may go from one to the other.
void Folder::Body::unsettle(const Key& key) {
  const auto it = names_.find(key);
  if (it == names_.end()) return;
  for (const BesideKey& old : it->second.displaced) {
    enter_beside(parent_of(key), old, std::nullopt);
    displaced_.erase(old.document);
  }
  it->second.displaced.clear();
}

/// Who has this name, and who must stand beside.
void Folder::Body::settle(const Key& key) {
  const Key folder = parent_of(key);
  const auto conflict_names = conflict_names_.find(folder);
  if (conflict_names != conflict_names_.end() && conflict_names->second.looked_at.contains(key)) touched_.conflict_names.insert(folder);
  const auto it = names_.find(key);
  if (it == names_.end()) return;
  Name& name = it->second;
  std::optional<DocumentId> holder;
  bool is_free = !is_folder(key);
  for (const auto& [turn, contender] : name.contenders) {
    if (is_free) {
      is_free = false;
      holder = contender.shown.document;
      continue;
    }
    const DocumentId& document = contender.shown.document;
    name.displaced.push_back({tag_id(document), document, contender.shown.replaces});
    enter_beside(folder, name.displaced.back(), Beside{contender.text, contender.shown});
    displaced_[document] = holder;
  }
  if (name.contenders.empty()) names_.erase(it);
}

void Folder::Body::give_out(const Key& folder) {
  ConflictNames& names = conflict_names_[folder];
  names.looked_at.clear();
  names.given_out.clear();
  std::set<Key> given;
  for (const auto& [own, beside] : names.besides) {
    const std::string tag = tag_of(own.tag);
    for (std::uint64_t attempt = 0;; ++attempt) {
      std::string name = conflict_name(last_part(beside.shown.at), beside.text, tag, attempt);
      const Key key = below(folder, name_key(rule_, name));
      names.looked_at.insert(key);
      if (is_taken(key) || !given.insert(key).second) continue;
      names.given_out.push_back(key);
      set(key, std::move(name), beside.shown);
      break;
    }
  }
  if (names.besides.empty()) conflict_names_.erase(folder);
}

std::vector<Change> Folder::Body::update(const std::set<DocumentId>& documents) {
  touched_ = {};
  for (const DocumentId& document : documents) {
    auto now = place(view_, document);
    const auto conflicts = now ? own_conflicts(view_, document) : std::vector<ConflictKind>{};
    if (conflicts.empty()) {
      own_conflicts_.erase(document);
    } else {
      own_conflicts_[document] = conflicts;
    }
    const auto old = placements_.find(document);
    if (old != placements_.end()) {
      if (now && *now == old->second) continue;
      enter(document, old->second, false);
      placements_.erase(old);
    }
    if (!now) continue;
    enter(document, *now, true);
    placements_.emplace(document, std::move(*now));
  }

  settle_folders();
  for (const Key& key : touched_.names) unsettle(key);
  for (const Key& key : touched_.names) settle(key);

  // Conflict names give way before plain names are written, and look for free ones after.
  for (const Key& folder : touched_.conflict_names) {
    for (const Key& key : conflict_names_[folder].given_out) clear(key);
  }
  for (const Key& key : touched_.names) {
    clear(key);
    const auto it = names_.find(key);
    if (it == names_.end() || is_folder(key)) continue;
    const Shown& shown = it->second.contenders.begin()->second.shown;
    set(key, std::string(last_part(shown.at)), shown);
  }
  for (const Key& key : touched_.dirs) {
    clear(key + '/');
    const auto it = dirs_.find(key);
    if (it == dirs_.end()) continue;
    Shown all = it->second.begin()->second;  // several documents may be one folder
    for (auto other = std::next(it->second.begin()); other != it->second.end(); ++other) {
      all.replaces.insert(all.replaces.end(), other->second.replaces.begin(), other->second.replaces.end());
    }
    set(key + '/', {}, std::move(all));
  }
  for (const Key& folder : touched_.conflict_names) give_out(folder);

  std::map<std::string, std::optional<Shown>> changed;
  std::map<Key, std::string> spelt_now;  // of this update: many slots lie in few folders
  for (const auto& [key, old] : touched_.slots) {
    const auto it = slots_.find(key);
    if (it != slots_.end()) {
      const Key folder = parent_of(key);
      auto known = spelt_now.find(folder);
      if (known == spelt_now.end()) known = spelt_now.emplace(folder, spelt(folder)).first;
      it->second.path = below(known->second, it->second.name);
      if (old && old->path == it->second.path && old->shown == it->second.shown) continue;
      changed[it->second.path] = it->second.shown;
    }
    if (old) changed.try_emplace(old->path, std::nullopt);
  }
  touched_ = {};
  std::vector<Change> out;
  for (auto& [path, now] : changed) out.push_back({path, std::move(now)});
  return out;
}

Folder::Folder(NameRule rule) : body_(std::make_unique<Body>(rule)) {}
Folder::Folder(Folder&&) noexcept = default;
Folder& Folder::operator=(Folder&&) noexcept = default;
Folder::~Folder() = default;

std::vector<Change> Folder::apply(std::span<const Version> versions) {
  std::set<DocumentId> documents;
  for (const Version& version : versions) {
    body_->view_.apply(version);
    documents.insert(version.op.document);
  }
  return body_->update(documents);
}

std::vector<Change> Folder::reset(const DocumentId& document, std::span<const Version> versions) {
  body_->view_.forget(document);
  for (const Version& version : versions) {
    if (version.op.document == document) body_->view_.apply(version);
  }
  return body_->update({document});
}

NameRule Folder::rule() const { return body_->rule_; }
const View& Folder::view() const { return body_->view_; }

std::optional<Shown> Folder::find(std::string_view path) const {
  const auto it = body_->slots_.find(name_key(body_->rule_, path));
  if (it == body_->slots_.end() || it->second.path != path) return std::nullopt;
  return it->second.shown;
}

std::vector<Shown> Folder::of(const DocumentId& document) const {
  std::vector<Shown> out;
  if (const auto it = body_->slots_of_.find(document); it != body_->slots_of_.end()) {
    for (const Key& key : it->second) out.push_back(body_->slots_.at(key).shown);
  }
  std::ranges::stable_sort(out, [](const Shown& a, const Shown& b) {
    return std::tuple(!a.side, a.rank, a.value == dir_value) > std::tuple(!b.side, b.rank, b.value == dir_value);
  });
  return out;
}

bool Folder::shows(const DocumentId& document) const { return body_->placements_.contains(document); }

void Folder::walk(std::string_view folder, const std::function<bool(const std::string&, const Shown&)>& each) const {
  const Key prefix = folder.empty() ? Key() : name_key(body_->rule_, folder) + '/';
  for (auto it = body_->slots_.lower_bound(prefix); it != body_->slots_.end() && it->first.starts_with(prefix); ++it) {
    if (!each(it->second.path, it->second.shown)) return;
  }
}

std::map<std::string, Shown> Folder::entries() const {
  std::map<std::string, Shown> out;
  for (const auto& [key, slot] : body_->slots_) out.emplace(slot.path, slot.shown);
  return out;
}

std::vector<Conflict> Folder::conflicts_of(const DocumentId& document) const {
  std::vector<Conflict> out;
  if (const auto it = body_->own_conflicts_.find(document); it != body_->own_conflicts_.end()) {
    for (const ConflictKind kind : it->second) out.push_back({kind, document, {}});
  }
  if (const auto it = body_->displaced_.find(document); it != body_->displaced_.end()) out.push_back({ConflictKind::name, document, it->second});
  std::ranges::sort(out);
  return out;
}

std::vector<Conflict> Folder::conflicts() const {
  std::set<DocumentId> documents;
  for (const auto& [document, kinds] : body_->own_conflicts_) documents.insert(document);
  for (const auto& [document, holder] : body_->displaced_) documents.insert(document);
  std::vector<Conflict> out;
  for (const DocumentId& document : documents) {
    for (const Conflict& conflict : conflicts_of(document)) out.push_back(conflict);
  }
  std::ranges::sort(out);
  return out;
}

}  // namespace dozo::store
