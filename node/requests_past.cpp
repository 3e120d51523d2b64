#include "node/requests_past.h"

#include <algorithm>
#include <set>

#include "node/requests.h"
#include "store/content.h"

namespace dozo::node {
namespace {

using store::History;
using store::TreeFile;

std::string trimmed(std::string path) {
  while (path.ends_with('/')) path.pop_back();
  return path;
}
bool is_below(std::string_view path, std::string_view top) {
  return top.empty() || path == top || (path.starts_with(top) && path.size() > top.size() && path[top.size()] == '/');
}
std::unexpected<Error> nothing_there(const std::string& path) { return fail(Fault::not_found, "nothing was shown there then: " + path); }

local::ListRow row_of(const std::string& path, const TreeFile& file, std::uint64_t hlc) {
  local::ListRow row;
  row.path = path;
  row.kind = name_of(file.kind);
  row.document = file.document;
  row.manifest = file.manifest;
  row.sha256 = file.content_sha256;
  row.size = file.size;
  row.time_ms = store::time_ms(hlc);
  row.executable = file.executable;
  return row;
}

/// The tag that is saved under this name.
Result<store::Tag> tag_named(Library& library, const std::string& name) {
  const store::Folder* folder = TRY(library.readable());
  const auto shown = TRY(folder->find(local::tag_path(name)));
  if (!shown || !shown->source || shown->value.kind != store::ContentKind::file) return fail(Fault::not_found, "the library has no tag of that name: " + name);
  store::Manifest manifest = TRY(library.manifest(shown->source->manifest));
  if (manifest.size > store::tag_bytes_most) return fail(Fault::over_limit, local::tag_path(name) + " is no tag: it is too large");
  std::string text(static_cast<std::size_t>(manifest.size), '\0');
  store::ContentReader reader(std::move(manifest), library.pieces());
  TRY(reader.read(0, {reinterpret_cast<std::uint8_t*>(text.data()), text.size()}));
  auto tag = store::decode_tag(text);
  if (!tag) tag.error().text.insert(0, local::tag_path(name) + " is no tag: ");
  return tag;
}

/// That all of it is here. Faults: whatever keeps it from being read.
Result<void> is_here(Library& library, const store::Content& content) {
  if (!content.source) return {};
  const store::Manifest manifest = TRY(library.manifest(content.source->manifest));
  return store::walk(manifest, library.pieces(), [&](store::PieceType, const store::PieceRef& piece) -> Result<void> {
    if (!library.index().holds(piece.id)) return fail(Fault::unavailable, "a piece of it is not here");
    return {};
  });
}

store::Content content_of(const TreeFile& file) {
  if (file.kind == store::ContentKind::dir) return {store::dir_value, std::nullopt};
  return {{file.kind, file.content_sha256, file.executable}, store::Source{file.manifest, file.size}};
}

}  // namespace

Result<local::Log> commit_named(Library& library, const local::CommitRequest& request) {
  Library::Moment moment{TRY(library.history()), 0};
  if (!request.tag.empty()) {
    moment = TRY(library.tagged(TRY(tag_named(library, request.tag))));
  } else if (request.id.size() == 2 * store::GitId::size) {
    moment = TRY(library.moment(request.id));
  } else if (!request.id.empty()) {
    const std::vector<std::uint64_t> found = TRY(moment.history->numbers_beginning(request.id, 2));
    if (found.empty()) return fail(Fault::not_found, "the history has no such commit: " + request.id);
    if (found.size() > 1) return fail(Fault::exists, "several commits have an id that begins so: " + request.id);
    moment.number = found.front();
  } else {
    // All of that millisecond counts.
    const std::int64_t time_ms = std::clamp<std::int64_t>(request.time_ms, -1, (std::int64_t{1} << 47) - 1);
    if (time_ms >= 0) moment.number = TRY(moment.history->number_at_time(static_cast<std::uint64_t>(time_ms) << 16 | 0xffff));
    if (moment.number == 0) return fail(Fault::not_found, "nothing had been saved by then");
  }
  local::Log out;
  std::vector<store::HistoryCommit> commits = TRY(moment.history->log({.limit = 1, .before = moment.number + 1}));
  for (store::HistoryCommit& commit : commits) out.rows.push_back(row_of(library, std::move(commit)));
  return out;
}

Result<local::Listing> list_past(Library& library, const local::ListRequest& request) {
  const auto [history, number] = TRY(library.moment(request.at));
  if (request.recursive) return fail(Fault::unsupported, "the past is listed folder by folder");
  const std::string top = trimmed(request.folder);
  local::Listing out;
  if (!top.empty()) {
    const auto file = TRY(history->file_at(number, top));
    if (file && file->kind != store::ContentKind::dir) {
      if (request.after < top) out.rows.push_back(row_of(top, *file, TRY(history->changed_at(number, top))));
      return out;
    }
  }
  const std::size_t limit = std::clamp<std::size_t>(request.limit, 1, 4000);
  const auto entries = TRY(history->list(number, top, request.after, limit + 1));
  if (!entries) return nothing_there(request.folder);
  for (const store::HistoryEntry& entry : *entries) {
    if (out.rows.size() == limit) {
      out.more = true;
      break;
    }
    const std::string path = (top.empty() ? "" : top + "/") + entry.name + (entry.is_folder ? "/" : "");
    local::ListRow row;
    if (entry.file) row = row_of(path, *entry.file, entry.is_folder ? 0 : entry.changed_hlc);
    row.path = path;
    if (entry.is_folder) row.kind = "folder";
    out.rows.push_back(std::move(row));
  }
  return out;
}

Result<local::Stat> stat_past(Library& library, const local::StatRequest& request) {
  const auto [history, number] = TRY(library.moment(request.at));
  const std::string path = trimmed(request.path);
  local::Stat out;
  const auto file = path.empty() ? std::nullopt : TRY(history->file_at(number, path));
  if (!file) {
    if (!TRY(history->list(number, path))) return nothing_there(request.path);
    out.row.path = path + "/";
    out.row.kind = "folder";
    return out;
  }
  const bool is_folder = file->kind == store::ContentKind::dir;
  out.row = row_of(is_folder ? path + "/" : path, *file, TRY(history->changed_at(number, path)));
  if (is_folder) return out;
  const store::Manifest manifest = TRY(library.manifest(file->manifest));
  out.row.size = manifest.size;
  out.mode = manifest.traits.mode;
  out.modified_ns = manifest.traits.mtime_ns;
  return out;
}

Result<local::Differences> differences(Library& library, const local::DiffRequest& request) {
  const History* line = TRY(library.history());
  const Library::Moment to = request.to.empty() ? Library::Moment{line, line->size()} : TRY(library.moment(request.to));
  Library::Moment from{to.history, to.number - std::min<std::uint64_t>(to.number, 1)};
  if (!request.from.empty()) from = TRY(library.moment(request.from));
  if (from.history != to.history) return fail(Fault::unsupported, "commits of two lines: both are to be listed");
  const std::string top = trimmed(request.path);
  const std::size_t limit = std::clamp<std::size_t>(request.limit, 1, 4000);
  std::uint64_t skip = request.skip;
  local::Differences out;
  const auto wanted = [&](const std::string& path) {
    if (!is_below(path, top)) return false;
    if (skip == 0) return true;
    --skip;
    return false;
  };
  const auto take = [&](const store::HistoryDifference& it) {
    if (out.rows.size() == limit) return out.more = true, false;
    local::DifferenceRow& row = out.rows.emplace_back(local::DifferenceRow{it.path, std::nullopt, std::nullopt});
    if (it.before) row.before = row_of("", *it.before, 0);
    if (it.after) row.after = row_of("", *it.after, 0);
    return true;
  };
  TRY(to.history->diff(from.number, to.number, take, wanted));
  return out;
}

Result<ActsToRestore> acts_to_restore(Library& library, const local::RestoreRequest& request) {
  const store::Folder* folder = TRY(library.readable());
  const auto [history, number] = TRY(library.moment(request.at));
  const std::string top = trimmed(request.path);
  ActsToRestore out;
  std::set<std::string> then;
  const auto take = [&](const std::string& path, const TreeFile& file) -> Result<void> {
    then.insert(path);
    const auto shown = TRY(folder->find(path));
    const store::Content content = content_of(file);
    if (shown && shown->value == content.value) return {};
    if (const auto here = is_here(library, content); !here) {
      out.left_out.push_back(path + ": cannot be read here: " + here.error().text);
      return {};
    }
    out.saves.emplace_back(PutAct{trimmed(path), content});
    return {};
  };
  const auto one = top.empty() ? std::nullopt : TRY(history->file_at(number, top));
  if (one && one->kind != store::ContentKind::dir) {
    TRY(take(top, *one));
  } else {
    Result<void> taken;
    const Result<void> walked = history->walk(number, top, [&](const std::string& path, const TreeFile& file) {
      taken = take(path, file);
      return taken.has_value();
    });
    if (!walked) return walked.error().fault == Fault::not_found ? nothing_there(request.path) : std::unexpected(walked.error());
    TRY(std::move(taken));
  }
  if (request.exact) {
    // A document in conflict is shown at several paths: it goes if it was at none of them.
    std::set<DocumentId> stay;
    std::vector<RemoveOneAct> go;
    const auto judge = [&](const std::string& path, const store::Shown& shown) {
      if (is_below(path, local::tags_folder) && !is_below(top, local::tags_folder)) return true;  // tags are given to what was: each is younger than it
      if (then.contains(path)) stay.insert(shown.document);
      if (go.empty() || go.back().document != shown.document) go.push_back({shown.document, path});
      return true;
    };
    if (const auto shown = top.empty() ? std::nullopt : TRY(folder->find(top))) judge(top, *shown);  // a file where a folder was
    TRY(folder->walk(top, "", judge));
    for (auto it = go.rbegin(); it != go.rend(); ++it) {  // a folder after what is in it
      if (stay.insert(it->document).second) out.removals.emplace_back(std::move(*it));
    }
  }
  return out;
}

}  // namespace dozo::node
