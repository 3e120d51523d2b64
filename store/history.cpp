#include "store/history.h"

#include <algorithm>
#include <map>
#include <utility>

#include "store/git_backend.h"
#include "store/git_names.h"
#include "store/git_tree.h"
#include "store/history_shelf.h"
#include "store/names.h"

namespace dozo::store {
namespace {

/// A path without the slash at its end.
std::string_view trimmed(std::string_view path) { return path.ends_with('/') ? path.substr(0, path.size() - 1) : path; }

Result<std::vector<std::string_view>> parts_of_good(std::string_view path) {
  if (!good_path(path)) return fail(Fault::malformed, "a path that no library can hold");
  return parts_of(path);
}

/// The changes taken apart, in order, each path once.
Result<std::vector<ReadyChange>> ready(const std::vector<TreeChange>& changes) {
  std::vector<ReadyChange> out;
  out.reserve(changes.size());
  for (const TreeChange& change : changes) {
    ReadyChange it;
    it.parts = TRY(parts_of_good(trimmed(change.path)));
    it.now = change.now ? &*change.now : nullptr;
    it.folder_document = change.path.ends_with('/') || (change.now && change.now->kind == ContentKind::dir);
    if (it.now != nullptr && it.folder_document != (it.now->kind == ContentKind::dir)) {
      return fail(Fault::malformed, "a step of history with a file in a folder's place");
    }
    out.push_back(std::move(it));
  }
  const auto key = [](const ReadyChange& it) { return std::tie(it.parts, it.folder_document); };
  std::sort(out.begin(), out.end(), [&](const ReadyChange& a, const ReadyChange& b) { return key(a) < key(b); });
  if (std::adjacent_find(out.begin(), out.end(), [&](const ReadyChange& a, const ReadyChange& b) { return key(a) == key(b); }) != out.end()) {
    return fail(Fault::malformed, "a step of history with a path twice");
  }
  return out;
}

/// An open shelf and the repository on it.
struct Session {
  std::unique_ptr<HistoryShelf> shelf;
  std::unique_ptr<GitRepository> git;  // goes first
};

Result<Session> session_on(Result<std::unique_ptr<HistoryShelf>> shelf) {
  Session out;
  out.shelf = TRY(std::move(shelf));
  out.git = TRY(GitRepository::over(*out.shelf));
  return out;
}

}  // namespace

class History::Body {
 public:
  Body(Kv& kv, const crypto::LocalKey& key, const LibraryId& library) : kv_(kv), key_(key), library_(library) {}

  Result<Session> reading() const { return session_on(HistoryShelf::for_reading(kv_, key_, library_)); }
  Result<Session> writing() const { return session_on(HistoryShelf::for_writing(kv_, key_, library_, puts_most)); }

  Result<void> open() {
    Session session = TRY(reading());
    size_ = session.shelf->head().size;
    if (size_ == 0) return {};
    const CommitRow row = TRY(session.shelf->commit_row(size_));
    if (row.id != session.shelf->head().id) return fail(Fault::corrupt, "history whose end is not its last commit");
    return {};
  }

  Result<void> extend(std::span<const HistoryStep> steps) {
    Session session = TRY(writing());
    Result<void> done = add_all(session, steps);
    size_ = session.shelf->committed().size;
    return done;
  }

  Result<void> rewind_to(std::uint64_t count) {
    Session session = TRY(writing());
    Result<void> done = take_back_to(session, count);
    size_ = session.shelf->committed().size;
    return done;
  }

  Result<GitId> tree_of(Session& session, std::uint64_t number) const {
    if (number == 0) return empty_tree_id;
    return TRY(row_of(session, number)).tree;
  }

  Result<CommitRow> row_of(Session& session, std::uint64_t number) const {
    if (number == 0 || number > session.shelf->head().size) return fail(Fault::not_found, "history has no commit of that number");
    return session.shelf->commit_row(number);
  }

  /// A file entry's file, with the manifest that it had at that commit.
  Result<TreeFile> file_of(Session& session, const GitEntry& entry, std::uint64_t number) const {
    TreeFile file = TRY(read_file(*session.git, entry));
    if (file.kind == ContentKind::dir) return file;
    const auto manifest = TRY(session.shelf->manifest_of(entry.id, number));
    if (!manifest) return fail(Fault::corrupt, "a file of history whose manifest is not known");
    file.manifest = *manifest;
    return file;
  }

  /// The tree of a folder, "" being the top. Nothing: no folder there.
  Result<std::optional<GitId>> folder_tree(Session& session, std::uint64_t number, std::string_view folder) const {
    const GitId top = TRY(tree_of(session, number));
    if (folder.empty()) return top;
    const auto parts = TRY(parts_of_good(trimmed(folder)));
    const Found found = TRY(find(*session.git, top, parts));
    if (!found.entry || found.entry->mode != GitMode::folder) return std::nullopt;
    return found.entry->id;
  }

  Result<HistoryCommit> commit_of(Session& session, std::uint64_t number) const {
    const CommitRow row = TRY(row_of(session, number));
    auto bytes = session.git->read(GitKind::commit, row.id);
    if (!bytes) return fail(bytes.error().fault == Fault::not_found ? Fault::corrupt : bytes.error().fault, "read a commit of history: " + bytes.error().text);
    GitCommit commit = TRY(decode_commit(*bytes));
    if (commit.tree != row.tree || commit.record != row.record || commit.hlc != row.hlc)
      return fail(Fault::corrupt, "a commit of history that is not its row's");
    return HistoryCommit{number,
                         row.id,
                         row.record,
                         row.hlc,
                         std::move(commit.author),
                         std::move(commit.text),
                         row.changed_count,
                         TRY(session.shelf->changed_paths(number, changed_shown_most))};
  }

  /// How many of the first commits satisfy `below`, which holds for a first part of the line and not for the rest.
  template <class Below>
  Result<std::uint64_t> count_while(Below below) const {
    Session session = TRY(reading());
    std::uint64_t low = 0, high = session.shelf->head().size;
    while (low < high) {
      const std::uint64_t middle = low + (high - low) / 2;
      if (below(TRY(session.shelf->commit_row(middle + 1)))) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  std::uint64_t size_{};

 private:
  Result<void> add_all(Session& session, std::span<const HistoryStep> steps) {
    std::optional<CommitRow> last;
    if (session.shelf->head().size > 0) last = TRY(session.shelf->commit_row(session.shelf->head().size));
    for (const HistoryStep& step : steps) last = TRY(add(session, step, last));
    return session.shelf->commit();
  }

  Result<CommitRow> add(Session& session, const HistoryStep& step, const std::optional<CommitRow>& last) {
    if (last && std::tie(step.hlc, step.record) <= std::tie(last->hlc, last->record)) {
      return fail(Fault::malformed, "a step of history that is not above the last commit");
    }
    const std::vector<ReadyChange> changes = TRY(ready(step.changes));
    const Written written = TRY(write_changes(*session.git, last ? last->tree : empty_tree_id, changes));
    CommitRow row{{}, written.tree, step.record, step.hlc, 0};
    std::vector<std::string_view> above;  // the folders of the path noted last: paths come in order, so each is noted once
    for (const WrittenChange& it : written.changes) {
      if (it.blob && it.change->now->kind != ContentKind::dir) TRY(session.shelf->put_manifest(*it.blob, it.change->now->manifest));
      if (!it.differs) continue;
      ++row.changed_count;
      TRY(note(session, it, above));
    }
    const GitCommit commit{written.tree, last ? std::optional(last->id) : std::nullopt, step.hlc, step.author, step.text, step.record};
    row.id = TRY(session.git->write(GitKind::commit, encode_commit(commit)));
    TRY(session.shelf->end_step(row));
    return row;
  }

  static Result<void> note(Session& session, const WrittenChange& it, std::vector<std::string_view>& above) {
    const std::vector<std::string_view>& parts = it.change->parts;
    std::size_t known = 0;
    while (known < std::min(parts.size(), above.size()) && parts[known] == above[known]) ++known;
    std::string path;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      path.append(i > 0 ? "/" : "").append(parts[i]);
      if (i >= known) TRY(session.shelf->put_change(path));
    }
    above = parts;
    if (it.of_folder) path += '/';
    return session.shelf->put_changed_path(path);
  }

  Result<void> take_back_to(Session& session, std::uint64_t count) {
    if (count > session.shelf->head().size) return fail(Fault::not_found, "history is shorter than that");
    while (session.shelf->head().size > count) TRY(session.shelf->take_back());
    return session.shelf->commit();
  }

  Kv& kv_;
  const crypto::LocalKey& key_;
  LibraryId library_;
};

History::History(std::unique_ptr<Body> body) : body_(std::move(body)) {}
History::History(History&&) noexcept = default;
History& History::operator=(History&&) noexcept = default;
History::~History() = default;

Result<History> History::open(Kv& kv, const crypto::LocalKey& key, const LibraryId& library) {
  auto body = std::make_unique<Body>(kv, key, library);
  TRY(body->open());
  return History(std::move(body));
}

Result<void> History::extend(std::span<const HistoryStep> steps) { return body_->extend(steps); }
Result<void> History::rewind_to(std::uint64_t count) { return body_->rewind_to(count); }

// ---- numbers ---------------------------------------------------------------------------------------------------------
std::uint64_t History::size() const { return body_->size_; }

Result<RecordId> History::record_at(std::uint64_t number) const {
  Session session = TRY(body_->reading());
  return TRY(body_->row_of(session, number)).record;
}

Result<GitId> History::id_at(std::uint64_t number) const {
  Session session = TRY(body_->reading());
  return TRY(body_->row_of(session, number)).id;
}

Result<std::optional<std::uint64_t>> History::number_of(const GitId& id) const {
  Session session = TRY(body_->reading());
  return session.shelf->number_of(id);
}

Result<std::vector<std::uint64_t>> History::numbers_beginning(std::string_view id_text, std::size_t most) const {
  Session session = TRY(body_->reading());
  std::vector<std::uint64_t> out;
  for (std::uint64_t number = session.shelf->head().size; number > 0 && out.size() < most; --number) {
    if (TRY(session.shelf->commit_row(number)).id.hex().starts_with(id_text)) out.push_back(number);
  }
  return out;
}

Result<std::uint64_t> History::count_below(std::uint64_t hlc, const RecordId& record) const {
  return body_->count_while([&](const CommitRow& row) { return std::tie(row.hlc, row.record) < std::tie(hlc, record); });
}

Result<std::uint64_t> History::number_at_time(std::uint64_t hlc) const {
  return body_->count_while([&](const CommitRow& row) { return row.hlc <= hlc; });
}

Result<std::uint64_t> History::changed_at(std::uint64_t number, std::string_view path) const {
  Session session = TRY(body_->reading());
  TRY(parts_of_good(trimmed(path)));
  const auto changed = TRY(session.shelf->last_change(trimmed(path), number + 1));
  return changed ? TRY(body_->row_of(session, *changed)).hlc : 0;
}

// ---- reading ---------------------------------------------------------------------------------------------------------
Result<std::vector<HistoryCommit>> History::log(const LogQuery& query) const {
  Session session = TRY(body_->reading());
  std::vector<HistoryCommit> out;
  std::uint64_t before = session.shelf->head().size + 1;
  if (query.before) before = std::min(before, *query.before);
  std::string_view path;
  if (query.path) {
    path = trimmed(*query.path);
    if (!path.empty()) TRY(parts_of_good(path));
  }
  while (out.size() < query.limit && before > 1) {
    std::uint64_t number = before - 1;
    if (!path.empty()) {
      const auto changed = TRY(session.shelf->last_change(path, before));
      if (!changed) break;
      number = *changed;
    }
    out.push_back(TRY(body_->commit_of(session, number)));
    before = number;
  }
  return out;
}

Result<GitId> History::tree_at(std::uint64_t number) const {
  Session session = TRY(body_->reading());
  return body_->tree_of(session, number);
}

Result<std::optional<std::vector<HistoryEntry>>> History::list(std::uint64_t number, std::string_view folder, std::string_view after, std::size_t limit) const {
  Session session = TRY(body_->reading());
  const auto tree = TRY(body_->folder_tree(session, number, folder));
  if (!tree) return std::nullopt;
  const std::string prefix = folder.empty() ? "" : std::string(trimmed(folder)) + "/";
  std::map<std::string, GitEntry> sorted;  // by path
  for (GitEntry& entry : TRY(read_tree(*session.git, *tree))) {
    if (entry.name == folder_mark) continue;  // the folder's own document is listed with the folder, in the folder above
    const auto name = from_git_name(entry.name);
    if (!name) return fail(Fault::corrupt, "a tree of history with a name that we do not write");
    std::string path = prefix + *name + (entry.mode == GitMode::folder ? "/" : "");
    if (path > after) sorted.emplace(std::move(path), std::move(entry));
  }
  std::vector<HistoryEntry> out;
  for (const auto& [path, entry] : sorted) {
    if (out.size() == limit) break;
    HistoryEntry& it = out.emplace_back(std::string(trimmed(path).substr(prefix.size())), entry.mode == GitMode::folder);
    std::optional<GitEntry> file = entry;
    if (it.is_folder) {
      const std::vector<GitEntry> inner = TRY(read_tree(*session.git, entry.id));
      const auto mark = std::find_if(inner.begin(), inner.end(), [](const GitEntry& each) { return each.name == folder_mark; });
      file = mark != inner.end() ? std::optional(*mark) : std::nullopt;
    }
    if (file) it.file = TRY(body_->file_of(session, *file, number));
    if (const auto changed = TRY(session.shelf->last_change(trimmed(path), number + 1))) it.changed_hlc = TRY(body_->row_of(session, *changed)).hlc;
  }
  return out;
}

Result<std::optional<TreeFile>> History::file_at(std::uint64_t number, std::string_view path) const {
  Session session = TRY(body_->reading());
  const GitId top = TRY(body_->tree_of(session, number));
  const auto parts = TRY(parts_of_good(trimmed(path)));
  const Found found = TRY(find(*session.git, top, parts));
  if (found.mark) return TRY(body_->file_of(session, *found.mark, number));
  if (!found.entry || found.entry->mode == GitMode::folder || path.ends_with('/')) return std::nullopt;
  return TRY(body_->file_of(session, *found.entry, number));
}

Result<void> History::walk(std::uint64_t number, std::string_view folder, const std::function<bool(const std::string&, const TreeFile&)>& each) const {
  Session session = TRY(body_->reading());
  const auto tree = TRY(body_->folder_tree(session, number, folder));
  if (!tree) return fail(Fault::not_found, "no such folder at that commit");
  const std::string prefix = folder.empty() ? "" : std::string(trimmed(folder)) + "/";
  const EachEntry take = [&](const std::string& path, const GitEntry& entry) -> Result<bool> {
    const TreeFile file = TRY(body_->file_of(session, entry, number));
    return each(path, file);
  };
  TRY(walk_tree(*session.git, *tree, prefix, take));
  return {};
}

Result<void> History::diff(std::uint64_t from, std::uint64_t to, const std::function<bool(const HistoryDifference&)>& each, const WantedPath& wanted) const {
  Session session = TRY(body_->reading());
  const GitId before = TRY(body_->tree_of(session, from)), after = TRY(body_->tree_of(session, to));
  const EachDifference take = [&](const std::string& path, const GitEntry* a, const GitEntry* b) -> Result<bool> {
    if (wanted && !wanted(path)) return true;
    HistoryDifference it{path, std::nullopt, std::nullopt};
    if (a != nullptr) it.before = TRY(body_->file_of(session, *a, from));
    if (b != nullptr) it.after = TRY(body_->file_of(session, *b, to));
    return each(it);
  };
  TRY(diff_trees(*session.git, before, after, "", take));
  return {};
}

}  // namespace dozo::store
