#include "store/folder.h"

#include <algorithm>

#include "store/folder_update.h"

namespace dozo::store {

class Folder::Body {
 public:
  Body(Place place, NameRule rule, RecordSource& source)
      : kv_(place.kv), rule_(rule), source_(source), view_(place.table, place.space, place.key, source), rows_(std::move(place)) {}

  FolderState state(ReadTransaction& in) const { return {rows_, view_, rule_, in}; }
  Result<FolderState::Placements> placements(ReadTransaction& in, const std::set<DocumentId>& documents) const;
  Result<std::optional<Shown>> find(const FolderState& state, std::string_view path) const;
  Result<bool> list(const FolderState& state, const std::string& folder, std::string_view after, const TakeOne& take) const;
  Result<bool> walk(const FolderState& state, const std::string& folder, std::string_view after, const Take& take) const;

  Kv& kv_;
  NameRule rule_;
  RecordSource& source_;
  View view_;
  FolderRows rows_;
};

Folder::Folder(Place place, NameRule rule, RecordSource& source) : body_(std::make_unique<Body>(std::move(place), rule, source)) {}
Folder::Folder(Folder&&) noexcept = default;
Folder& Folder::operator=(Folder&&) noexcept = default;
Folder::~Folder() = default;

// ---- writing -------------------------------------------------------------------------------------------------------------
Result<FolderState::Placements> Folder::Body::placements(ReadTransaction& in, const std::set<DocumentId>& documents) const {
  FolderState::Placements out;
  for (const DocumentId& document : documents) out.emplace(document, place(TRY(view_.load(in, document))));
  return out;
}

Result<void> Folder::apply(WriteTransaction& out, RecordNumber number, std::vector<Change>* changes) {
  Body& it = *body_;
  const auto record = TRY(it.source_.record(number));
  std::set<DocumentId> documents;
  for (const Op& op : record->record.ops) documents.insert(op.document);
  const auto before = TRY(it.placements(out, documents));
  TRY(it.view_.apply(out, number, *record));
  return FolderUpdate(it.rows_, it.view_, it.rule_, out).run(before, TRY(it.placements(out, documents)), changes);
}

Result<void> Folder::reset(WriteTransaction& out, const DocumentId& document, std::span<const RecordNumber> stay, std::vector<Change>* changes) {
  Body& it = *body_;
  const auto before = TRY(it.placements(out, {document}));
  TRY(it.view_.forget(out, document));
  for (const RecordNumber number : stay) TRY(it.view_.apply(out, number, *TRY(it.source_.record(number)), &document));
  return FolderUpdate(it.rows_, it.view_, it.rule_, out).run(before, TRY(it.placements(out, {document})), changes);
}

Result<std::set<RecordNumber>> Folder::makers(ReadTransaction& in, const DocumentId& document) const { return body_->view_.makers(in, document); }

// ---- reading -------------------------------------------------------------------------------------------------------------
NameRule Folder::rule() const { return body_->rule_; }

Result<Registers> Folder::registers(const DocumentId& document) const {
  const auto in = TRY(body_->kv_.read());
  return body_->view_.load(*in, document);
}

Result<bool> Folder::is_replaced(const DocumentId& document, Register reg, const VersionId& id) const {
  const auto in = TRY(body_->kv_.read());
  return body_->view_.is_replaced(*in, document, reg, id);
}

Result<std::optional<Shown>> Folder::Body::find(const FolderState& state, std::string_view path) const {
  const bool dir = path.ends_with('/');
  const std::string folded = name_key(rule_, dir ? path.substr(0, path.size() - 1) : path);
  if (dir) {
    auto own = TRY(state.own(folded));
    if (!own || TRY(state.shown(folded)) + '/' != path) return std::optional<Shown>{};
    return own;
  }
  // How its folders are spelt is asked last: mostly nothing is there.
  std::optional<Shown> found = TRY(state.plain(folded));
  const std::string folder(parent_of(folded));
  const std::string_view name = last_part(path);
  if (found && last_part(found->at) != name) found.reset();
  if (!found && name.find(conflict_mark) != std::string_view::npos) {
    for (FolderState::Slot& slot : TRY(state.conflict_names(folder))) {
      if (slot.name == name) found = std::move(slot.shown);
    }
  }
  if (found && !folder.empty() && TRY(state.shown(folder)) != path.substr(0, path.rfind('/'))) found.reset();
  return found;
}

Result<std::optional<Shown>> Folder::find(std::string_view path) const {
  const auto in = TRY(body_->kv_.read());
  return body_->find(body_->state(*in), path);
}

Result<std::vector<std::optional<Shown>>> Folder::find(std::span<const std::string> paths) const {
  const auto in = TRY(body_->kv_.read());
  const FolderState state = body_->state(*in);
  std::vector<std::optional<Shown>> out;
  for (const std::string& path : paths) out.push_back(TRY(body_->find(state, path)));
  return out;
}

Result<std::optional<Shown>> Folder::displaced(std::string_view path) const {
  const auto in = TRY(body_->kv_.read());
  const FolderState state = body_->state(*in);
  const std::string folded = name_key(body_->rule_, path);
  const std::vector<DocumentId> wanting = TRY(state.wanting(folded));
  if (wanting.empty()) return std::optional<Shown>{};
  bool is_free = !TRY(state.is_folder(folded));
  if (is_free && wanting.size() == 1) return std::optional<Shown>{};
  for (FolderState::Contender& it : TRY(state.contenders(wanting))) {
    if (!std::exchange(is_free, false) && it.shown.at == path) return std::optional(std::move(it.shown));
  }
  return std::optional<Shown>{};
}

Result<std::vector<Shown>> Folder::of(const DocumentId& document) const {
  const auto in = TRY(body_->kv_.read());
  const FolderState state = body_->state(*in);
  auto placed = TRY(state.placement(document));
  std::vector<Shown> out;
  if (!placed) return out;
  if (placed->dir) {
    auto own = TRY(state.own(name_key(body_->rule_, placed->at)));
    if (own && own->document == document) out.push_back(std::move(*own));
  }
  if (placed->first) out.push_back(std::move(*placed->first));
  for (Shown& shown : placed->beside) out.push_back(std::move(shown));
  std::ranges::stable_sort(out, [](const Shown& a, const Shown& b) {
    return std::tuple(!a.side, a.rank, a.value == dir_value) > std::tuple(!b.side, b.rank, b.value == dir_value);
  });
  return out;
}

Result<bool> Folder::shows(const DocumentId& document) const {
  const auto in = TRY(body_->kv_.read());
  return TRY(body_->state(*in).placement(document)).has_value();
}

Result<bool> Folder::is_folder(std::string_view path) const {
  if (path.empty()) return true;
  const auto in = TRY(body_->kv_.read());
  return body_->state(*in).is_folder(name_key(body_->rule_, path));
}

/// A part of a folder at a time, so that its size does not matter. False: `take` wants no more.
Result<bool> Folder::Body::list(const FolderState& state, const std::string& folder, std::string_view after, const TakeOne& take) const {
  constexpr std::size_t part_most = 4096;
  if (!folder.empty() && !TRY(state.is_folder(folder))) return true;
  const std::string at = TRY(state.shown(folder));
  std::string last(after);
  for (bool more = true; more;) {
    more = false;
    std::map<std::string, std::optional<Shown>> part;
    const auto offer = [&](std::string path, std::optional<Shown> shown) {
      if (path <= last || (part.size() == part_most && path > part.rbegin()->first)) return more = more || path > last, void();
      part.insert_or_assign(std::move(path), std::move(shown));
      if (part.size() <= part_most) return;
      part.erase(std::prev(part.end()));
      more = true;
    };
    TRY(state.each_plain(folder, [&](FolderState::Slot slot) -> Result<bool> {
      offer(below(at, slot.name), std::move(slot.shown));
      return true;
    }));
    for (FolderState::Slot& slot : TRY(state.conflict_names(folder))) offer(below(at, slot.name), std::move(slot.shown));
    for (const std::string& inner : TRY(state.folders_in(folder))) offer(TRY(state.shown(inner)) + '/', TRY(state.own(inner)));
    for (const auto& [path, shown] : part) {
      if (!take(path, shown)) return false;
    }
    if (more) last = part.rbegin()->first;
  }
  return true;
}

/// In the order of paths: all that is in a folder begins with its path and a slash, and so stands where that does among its neighbours.
Result<bool> Folder::Body::walk(const FolderState& state, const std::string& folder, std::string_view after, const Take& take) const {
  std::optional<Error> fault;
  // What lies in the folder that `after` is in comes after it, though the folder's own path comes before.
  std::string from(after);
  const std::string at = TRY(state.shown(folder));
  const std::size_t prefix = at.empty() ? 0 : at.size() + 1;
  if (after.size() > prefix && after.starts_with(prefix == 0 ? at : at + '/')) {
    const std::size_t slash = after.find('/', prefix);
    if (slash != std::string_view::npos) from = after.substr(0, slash);  // below the folder's own path, which ends in the slash
  }
  const bool all = TRY(list(state, folder, from, [&](const std::string& path, const std::optional<Shown>& shown) {
    if (shown && path > after && !take(path, *shown)) return false;
    if (!path.ends_with('/') || (path < after && !after.starts_with(path))) return true;
    auto inner = walk(state, name_key(rule_, path.substr(0, path.size() - 1)), after, take);
    if (!inner) fault = std::move(inner.error());
    return inner && *inner;
  }));
  if (fault) return std::unexpected(std::move(*fault));
  return all;
}

Result<void> Folder::walk(std::string_view folder, std::string_view after, const Take& take) const {
  const auto in = TRY(body_->kv_.read());
  const FolderState state = body_->state(*in);
  const std::string folded = name_key(body_->rule_, folder);
  if (!folded.empty()) {
    if (!TRY(state.is_folder(folded))) return {};
    if (const auto own = TRY(state.own(folded))) {
      const std::string path = TRY(state.shown(folded)) + '/';
      if (path > after && !take(path, *own)) return {};
    }
  }
  TRY(body_->walk(state, folded, after, take));
  return {};
}

Result<void> Folder::list(std::string_view folder, std::string_view after, const TakeOne& take) const {
  const auto in = TRY(body_->kv_.read());
  TRY(body_->list(body_->state(*in), name_key(body_->rule_, folder), after, take));
  return {};
}

Result<std::map<std::string, Shown>> Folder::entries() const {
  std::map<std::string, Shown> out;
  TRY(walk("", "", [&](const std::string& path, const Shown& shown) {
    out.emplace(path, shown);
    return true;
  }));
  return out;
}

// ---- conflicts -----------------------------------------------------------------------------------------------------------
Result<std::vector<Conflict>> Folder::conflicts_of(const DocumentId& document) const {
  const auto in = TRY(body_->kv_.read());
  const FolderState state = body_->state(*in);
  const auto placed = TRY(state.placement(document));
  std::vector<Conflict> out;
  if (!placed) return out;
  for (const ConflictKind kind : placed->conflicts) out.push_back({kind, document, {}});
  if (placed->first) {
    const std::string path = name_key(body_->rule_, placed->at);
    const std::vector<DocumentId> wanting = TRY(state.wanting(path));
    if (TRY(state.is_folder(path))) {
      out.push_back({ConflictKind::name, document, {}});
    } else if (wanting.size() > 1) {
      const DocumentId holder = TRY(state.contenders(wanting)).front().document;
      if (holder != document) out.push_back({ConflictKind::name, document, holder});
    }
  }
  std::ranges::sort(out);
  return out;
}

Result<std::vector<Conflict>> Folder::conflicts() const {
  std::vector<DocumentId> documents;
  {
    const auto in = TRY(body_->kv_.read());
    TRY(body_->rows_.each_in_conflict(*in, [&](const DocumentId& document) -> Result<bool> {
      documents.push_back(document);
      return true;
    }));
  }
  std::vector<Conflict> out;
  for (const DocumentId& document : documents) {
    for (const Conflict& conflict : TRY(conflicts_of(document))) out.push_back(conflict);
  }
  std::ranges::sort(out);
  return out;
}

Result<bool> Folder::is_in_conflict(const DocumentId& document) const {
  const auto in = TRY(body_->kv_.read());
  return body_->rows_.in_conflict(*in, document);
}

Result<void> Folder::check_versions() const {
  const auto in = TRY(body_->kv_.read());
  return body_->view_.check(*in);
}

Result<Folder::Counts> Folder::counts() const {
  const auto in = TRY(body_->kv_.read());
  return body_->rows_.counts(*in);
}

}  // namespace dozo::store
