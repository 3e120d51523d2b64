#include "store/git_tree.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/invariant.h"
#include "store/git_names.h"

namespace dozo::store {
namespace {

bool is_folder(const GitEntry& entry) { return entry.mode == GitMode::folder; }
bool before(const GitEntry& a, const GitEntry& b) { return git_before(a.name, is_folder(a), b.name, is_folder(b)); }

/// The entry of that git name, be it a file or a folder; null: none. A tree has at most one of the two.
const GitEntry* entry_in(const std::vector<GitEntry>& entries, std::string_view git_name) {
  for (const bool folder : {false, true}) {
    const auto at = std::lower_bound(entries.begin(), entries.end(), git_name,
                                     [&](const GitEntry& entry, std::string_view name) { return git_before(entry.name, is_folder(entry), name, folder); });
    if (at != entries.end() && at->name == git_name && is_folder(*at) == folder) return &*at;
  }
  return nullptr;
}

Result<GitEntry> write_file(GitRepository& git, std::string_view git_name, const TreeFile& file) {
  const GitMode mode = file.kind == ContentKind::file && file.executable ? GitMode::executable : GitMode::plain;
  return GitEntry{std::string(git_name), mode, TRY(git.write(GitKind::blob, view_of(encode_blob(file))))};
}

/// The name as people know it, of an entry that is no folder's mark.
Result<std::string> name_of(const GitEntry& entry) {
  auto name = from_git_name(entry.name);
  if (!name) return fail(Fault::corrupt, "a tree of history with a name that we do not write");
  return *std::move(name);
}

// ---- writing ---------------------------------------------------------------------------------------------------------
/// A folder on the way down. Kept on a stack of our own: a path may have two thousand parts, and the thread's stack is small.
struct Level {
  std::optional<GitId> base;          // nothing: a folder that is not there yet
  std::vector<GitEntry> old;          // its entries
  std::vector<bool> dropped;          // of those, which do not stay
  std::vector<GitEntry> fresh;        // what comes instead
  std::span<const ReadyChange> rest;  // changes in it, still to be made
  const ReadyChange* file{};          // the change to the name itself whose folder is above this level on the stack
  std::string name;                   // of that folder
};

class Writer {
 public:
  Writer(GitRepository& git, std::span<const ReadyChange> changes) : git_(git), changes_(changes) {}

  Result<Written> write(const GitId& base) {
    TRY(open(base, changes_, nullptr));
    std::optional<GitId> top;
    while (!stack_.empty()) {
      if (!stack_.back().rest.empty()) {
        TRY(step());
        continue;
      }
      const std::optional<GitId> done = TRY(close());
      stack_.pop_back();
      if (stack_.empty()) {
        top = done;
      } else {
        TRY(settle(done));
      }
    }
    Written out{top.value_or(empty_tree_id), std::move(written_)};
    std::sort(out.changes.begin(), out.changes.end(), [](const WrittenChange& a, const WrittenChange& b) { return a.change < b.change; });
    return out;
  }

 private:
  /// Starts a folder: its entries, and the change to its own document. `unmark` is a change without a slash that takes the document away.
  Result<void> open(const std::optional<GitId>& base, std::span<const ReadyChange> changes, const ReadyChange* unmark) {
    const std::size_t depth = stack_.size();
    Level level;
    level.base = base;
    if (base) level.old = TRY(read_tree(git_, *base));
    level.dropped.resize(level.old.size());
    const ReadyChange* own = unmark;
    if (!changes.empty() && changes.front().parts.size() == depth) {
      INVARIANT(changes.front().folder_document);
      own = &changes.front();
      changes = changes.subspan(1);
    }
    level.rest = changes;
    if (own != nullptr) {
      const GitEntry* old = entry_in(level.old, folder_mark);
      std::optional<GitEntry> now;
      if (own->now != nullptr) now = TRY(write_file(git_, folder_mark, *own->now));
      replace(level, old, now, *own, true);
    }
    stack_.push_back(std::move(level));
    return {};
  }

  /// Takes the changes to the next name of the innermost folder: goes down into it where some lie deeper.
  Result<void> step() {
    const std::size_t depth = stack_.size() - 1;
    Level& level = stack_.back();
    const std::string_view name = level.rest.front().parts[depth];
    std::size_t count = 1;
    while (count < level.rest.size() && level.rest[count].parts[depth] == name) ++count;
    std::span<const ReadyChange> group = level.rest.first(count);
    level.rest = level.rest.subspan(count);
    level.name = to_git_name(name);
    level.file = nullptr;
    if (group.front().parts.size() == depth + 1 && !group.front().folder_document) {
      level.file = &group.front();
      group = group.subspan(1);
    }
    const GitEntry* old = entry_in(level.old, level.name);
    const bool was_folder = old != nullptr && is_folder(*old);
    const bool unmarks = was_folder && level.file != nullptr && level.file->now == nullptr;
    if (group.empty() && !unmarks) return settle(was_folder ? std::optional(old->id) : std::nullopt);
    return open(was_folder ? std::optional(old->id) : std::nullopt, group, unmarks ? level.file : nullptr);
  }

  /// Puts together what becomes of the name that step() took, now that the folder of that name is known (nothing: there is none).
  Result<void> settle(const std::optional<GitId>& folder) {
    Level& level = stack_.back();
    const GitEntry* old = entry_in(level.old, level.name);
    const bool was_file = old != nullptr && !is_folder(*old);
    const bool becomes_file = level.file != nullptr && level.file->now != nullptr;
    const bool stays_file = was_file && level.file == nullptr;
    if (folder && (becomes_file || stays_file)) return fail(Fault::malformed, "a step of history with a path for a file and a folder at once");
    std::optional<GitEntry> now;
    if (folder) now = GitEntry{level.name, GitMode::folder, *folder};
    if (becomes_file) now = TRY(write_file(git_, level.name, *level.file->now));
    if (stays_file) now = *old;
    if (level.file != nullptr && (becomes_file || was_file)) {
      replace(level, old, now, *level.file, false);
    } else if (!same(old, now)) {
      put(level, old, now);
    }
    return {};
  }

  /// Ends the innermost folder: the id of what it has become; nothing when it has nothing in it.
  Result<std::optional<GitId>> close() {
    Level& level = stack_.back();
    const bool untouched = level.fresh.empty() && std::find(level.dropped.begin(), level.dropped.end(), true) == level.dropped.end();
    if (untouched && !level.old.empty()) return level.base;
    std::vector<GitEntry> kept, all;
    for (std::size_t i = 0; i < level.old.size(); ++i)
      if (!level.dropped[i]) kept.push_back(std::move(level.old[i]));
    std::sort(level.fresh.begin(), level.fresh.end(), before);
    std::merge(std::make_move_iterator(kept.begin()), std::make_move_iterator(kept.end()), std::make_move_iterator(level.fresh.begin()),
               std::make_move_iterator(level.fresh.end()), std::back_inserter(all), before);
    if (all.empty()) return std::nullopt;
    return TRY(git_.write(GitKind::tree, encode_tree(all), level.base));
  }

  static bool same(const GitEntry* old, const std::optional<GitEntry>& now) { return old == nullptr ? !now : now && *old == *now; }
  static void put(Level& level, const GitEntry* old, const std::optional<GitEntry>& now) {
    if (old != nullptr) level.dropped[static_cast<std::size_t>(old - level.old.data())] = true;
    if (now) level.fresh.push_back(*now);
  }
  /// put(), and notes it as a change that was asked for.
  void replace(Level& level, const GitEntry* old, const std::optional<GitEntry>& now, const ReadyChange& change, bool of_folder) {
    const bool differs = !same(old, now);
    if (differs) put(level, old, now);
    if (differs || change.now != nullptr) written_.push_back({&change, change.now != nullptr ? std::optional(now->id) : std::nullopt, differs, of_folder});
  }

  GitRepository& git_;
  std::span<const ReadyChange> changes_;
  std::vector<Level> stack_;
  std::vector<WrittenChange> written_;
};

}  // namespace

Result<Written> write_changes(GitRepository& git, const GitId& base, std::span<const ReadyChange> changes) {
  if (changes.empty()) return Written{base, {}};
  return Writer(git, changes).write(base);
}

// ---- reading ---------------------------------------------------------------------------------------------------------
Result<std::vector<GitEntry>> read_tree(GitRepository& git, const GitId& id) {
  if (id == empty_tree_id) return std::vector<GitEntry>{};
  auto body = git.read(GitKind::tree, id);
  // Asked for by an id that another object names: that it is missing is damage.
  if (!body) return fail(body.error().fault == Fault::not_found ? Fault::corrupt : body.error().fault, "read a tree of history: " + body.error().text);
  return decode_tree(*body);
}

Result<TreeFile> read_file(GitRepository& git, const GitEntry& entry) {
  auto body = git.read(GitKind::blob, entry.id);
  if (!body) return fail(body.error().fault == Fault::not_found ? Fault::corrupt : body.error().fault, "read a blob of history: " + body.error().text);
  TreeFile file = TRY(decode_blob(*body));
  file.executable = entry.mode == GitMode::executable;
  return file;
}

Result<Found> find(GitRepository& git, const GitId& tree, std::span<const std::string_view> parts) {
  Found found;
  GitId at = tree;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::vector<GitEntry> entries = TRY(read_tree(git, at));
    const GitEntry* entry = entry_in(entries, to_git_name(parts[i]));
    if (entry == nullptr || (i + 1 < parts.size() && !is_folder(*entry))) return Found{};
    at = entry->id;
    if (i + 1 == parts.size()) found.entry = *entry;
  }
  if (found.entry && is_folder(*found.entry)) {
    const std::vector<GitEntry> entries = TRY(read_tree(git, at));
    if (const GitEntry* mark = entry_in(entries, folder_mark)) found.mark = *mark;
  }
  return found;
}

Result<bool> walk_tree(GitRepository& git, const GitId& tree, const std::string& prefix, const EachEntry& each) {
  const EachDifference take = [&](const std::string& path, const GitEntry*, const GitEntry* after) { return each(path, *after); };
  return diff_trees(git, empty_tree_id, tree, prefix, take);
}

namespace {

/// Two folders of one path, side by side.
struct Pair {
  std::vector<GitEntry> from, to;
  std::size_t i{}, j{};
  std::size_t prefix_bytes{};  // of the path that is this folder's
};

}  // namespace

Result<bool> diff_trees(GitRepository& git, const GitId& from, const GitId& to, const std::string& prefix, const EachDifference& each) {
  std::string path = prefix;
  std::vector<Pair> stack;
  if (from != to) stack.push_back({TRY(read_tree(git, from)), TRY(read_tree(git, to)), 0, 0, path.size()});
  while (!stack.empty()) {
    Pair& pair = stack.back();
    path.resize(pair.prefix_bytes);
    const GitEntry* a = pair.i < pair.from.size() ? &pair.from[pair.i] : nullptr;
    const GitEntry* b = pair.j < pair.to.size() ? &pair.to[pair.j] : nullptr;
    if (a == nullptr && b == nullptr) {
      stack.pop_back();
      continue;
    }
    if (a != nullptr && b != nullptr && before(*a, *b)) b = nullptr;
    if (a != nullptr && b != nullptr && before(*b, *a)) a = nullptr;
    if (a != nullptr) ++pair.i;
    if (b != nullptr) ++pair.j;
    if (a != nullptr && b != nullptr && *a == *b) continue;
    const GitEntry& one = a != nullptr ? *a : *b;
    if (is_folder(one)) {
      path += TRY(name_of(one));
      path += '/';
      const GitId below_a = a != nullptr ? a->id : empty_tree_id, below_b = b != nullptr ? b->id : empty_tree_id;
      stack.push_back({TRY(read_tree(git, below_a)), TRY(read_tree(git, below_b)), 0, 0, path.size()});
      continue;
    }
    if (one.name != folder_mark) path += TRY(name_of(one));
    if (!TRY(each(path, a, b))) return false;
  }
  return true;
}

}  // namespace dozo::store
