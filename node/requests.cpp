#include "node/requests.h"

#include <algorithm>

#include "store/content.h"

namespace dozo::node {

std::string_view name_of(store::ContentKind kind) {
  switch (kind) {
    case store::ContentKind::file: return "file";
    case store::ContentKind::symlink: return "symlink";
    case store::ContentKind::dir: return "folder";
  }
  return "file";
}

namespace {

using store::Shown;

local::ListRow row_of(const std::string& path, const Shown& shown, bool in_conflict) {
  local::ListRow row;
  row.path = path;
  row.kind = name_of(shown.value.kind);
  row.document = shown.document;
  row.sha256 = shown.value.sha256;
  if (shown.source) row.manifest = shown.source->manifest, row.size = shown.source->size_bytes;
  row.time_ms = store::time_ms(shown.rank.hlc);
  row.executable = shown.value.executable;
  row.in_conflict = in_conflict;
  return row;
}

std::string_view conflict_name(store::ConflictKind kind) {
  switch (kind) {
    case store::ConflictKind::content: return "content";
    case store::ConflictKind::deleted: return "deleted";
    case store::ConflictKind::label: return "label";
    case store::ConflictKind::name: return "name";
    case store::ConflictKind::path: return "path";
    case store::ConflictKind::pathless: return "pathless";
  }
  return "conflict";
}

}  // namespace

Result<local::Listing> list(Library& library, const local::ListRequest& request) {
  const store::Folder* folder = TRY(library.readable());
  std::string top = request.folder;
  while (top.ends_with('/')) top.pop_back();
  const std::size_t limit = std::clamp<std::size_t>(request.limit, 1, 10'000);
  if (!top.empty()) {
    if (const auto shown = TRY(folder->find(top))) {
      local::Listing out;
      if (request.after < top) out.rows.push_back(row_of(top, *shown, TRY(folder->is_in_conflict(shown->document))));
      return out;
    }
  }
  if (!TRY(folder->is_folder(top))) return fail(Fault::not_found, "nothing is shown there: " + request.folder);
  local::Listing out;
  const auto take = [&](const std::string& path, const std::optional<Shown>& shown) {
    if (out.rows.size() == limit) return out.more = true, false;
    local::ListRow row = shown ? row_of(path, *shown, false) : local::ListRow{};
    row.path = path;
    if (path.ends_with('/')) row.kind = "folder";
    out.rows.push_back(std::move(row));
    return true;
  };
  if (!request.recursive) {
    TRY(folder->list(top, request.after, take));
  } else {
    // A folder's own document is no row below itself.
    const auto is_own = [&](const std::string& path) {
      return !top.empty() && path.ends_with('/') && std::ranges::count(path, '/') == std::ranges::count(top, '/') + 1;
    };
    TRY(folder->walk(top, request.after, [&](const std::string& path, const Shown& shown) { return is_own(path) || take(path, shown); }));
  }
  for (local::ListRow& row : out.rows) {
    if (!row.document.is_zero()) row.in_conflict = TRY(folder->is_in_conflict(row.document));
  }
  return out;
}

local::LogRow row_of(const Library& library, store::HistoryCommit commit) {
  constexpr std::size_t paths_most = 100;
  local::LogRow row;
  row.number = commit.number;
  row.commit = commit.id.hex();
  row.author = std::move(commit.author);
  row.text = std::move(commit.text);
  if (const auto found = library.record(commit.record)) {
    row.person = (*found)->record.person;
    row.device = (*found)->record.device;
    row.role = (*found)->record.role;
  }
  row.time_ms = store::time_ms(commit.hlc);
  row.paths_cut = commit.changed_count > std::min(commit.changed.size(), paths_most);
  if (commit.changed.size() > paths_most) commit.changed.resize(paths_most);
  row.paths = std::move(commit.changed);
  return row;
}

Result<local::Log> log(Library& library, const local::LogRequest& request) {
  Library::Moment end{TRY(library.history()), 0};
  if (!request.at.empty()) end = TRY(library.moment(request.at));
  const std::size_t limit = std::clamp<std::size_t>(request.limit, 1, 1000);
  store::LogQuery query;
  if (!request.path.empty()) query.path = request.path;
  query.limit = limit + 1;
  if (request.before != 0) query.before = request.before;
  if (end.number != 0) query.before = std::min(query.before.value_or(end.number + 1), end.number + 1);
  std::vector<store::HistoryCommit> commits = TRY(end.history->log(query));
  local::Log out;
  out.more = commits.size() > limit;
  if (out.more) commits.resize(limit);
  for (store::HistoryCommit& commit : commits) out.rows.push_back(row_of(library, std::move(commit)));
  return out;
}

Result<local::Conflicts> conflicts(Library& library) {
  const store::Folder* folder = TRY(library.readable());
  const std::vector<store::Conflict> found = TRY(folder->conflicts());
  std::map<DocumentId, std::vector<std::string>> paths;
  for (const store::Conflict& conflict : found) {
    paths[conflict.document];
    if (conflict.holder) paths[*conflict.holder];
  }
  if (!paths.empty()) {
    TRY(folder->walk("", "", [&](const std::string& path, const Shown& shown) {
      if (const auto it = paths.find(shown.document); it != paths.end()) it->second.push_back(path);
      return true;
    }));
  }
  for (auto& [document, list] : paths) std::ranges::sort(list);
  local::Conflicts out;
  for (const store::Conflict& conflict : found) {
    local::ConflictRow row{std::string(conflict_name(conflict.kind)), {}, conflict.document, paths[conflict.document]};
    for (const std::string& path : row.paths) {
      const auto shown = TRY(folder->find(path));
      if (shown && !shown->side) row.path = path;
    }
    if (row.path.empty() && !row.paths.empty()) row.path = row.paths.front();
    if (conflict.kind == store::ConflictKind::path) {
      // The names that were given to it apart. One is shown; resolve --use takes any of them.
      const store::Registers registers = TRY(folder->registers(conflict.document));
      for (const store::Registers::Group& group : registers.groups(store::Register::path)) {
        const auto& path = std::get<std::string>(group.front()->op.value);
        const auto is_shown = [&](const std::string& it) { return it == path || it == path + "/"; };
        if (std::ranges::none_of(row.paths, is_shown)) row.paths.push_back(path);
      }
    }
    if (conflict.holder) {
      const std::vector<std::string>& held = paths[*conflict.holder];
      row.paths.insert(row.paths.end(), held.begin(), held.end());
    }
    out.rows.push_back(std::move(row));
  }
  return out;
}

Result<local::Stat> stat(Library& library, const local::StatRequest& request) {
  const store::Folder* folder = TRY(library.readable());
  std::string path = request.path;
  while (path.ends_with('/')) path.pop_back();
  std::optional<Shown> shown;
  if (!path.empty()) shown = TRY(folder->find(path));
  if (!shown && !path.empty()) shown = TRY(folder->find(path + "/"));
  if (!shown) {
    if (!TRY(folder->is_folder(path))) return fail(Fault::not_found, "nothing is shown there: " + request.path);
    local::Stat out;
    out.row.path = path + "/";
    out.row.kind = "folder";
    return out;
  }
  local::Stat out{row_of(path, *shown, TRY(folder->is_in_conflict(shown->document))), 0, 0};
  if (shown->source) {
    const store::Manifest manifest = TRY(library.manifest(shown->source->manifest));
    out.row.size = manifest.size;
    out.mode = manifest.traits.mode;
    out.modified_ns = manifest.traits.mtime_ns;
  }
  return out;
}

Result<local::Data> read(Library& library, const local::ReadRequest& request) {
  TRY(library.readable());
  if (request.length > local::read_bytes_most) return fail(Fault::over_limit, "more than one read gives");
  store::ContentReader reader(TRY(library.manifest(request.manifest)), library.pieces());
  local::Data out{Bytes(request.length)};
  std::size_t filled = 0;
  while (filled < out.bytes.size()) {
    const std::size_t count = TRY(reader.read(request.offset + filled, ByteSpan(out.bytes).subspan(filled)));
    if (count == 0) break;
    filled += count;
  }
  out.bytes.resize(filled);
  return out;
}

}  // namespace dozo::node
