// The verbs that look at documents, as they are and as they were: ls, find, du, show, log, diff. None changes anything.
#include <fnmatch.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <clocale>
#include <cstdio>
#include <map>

#include "store/text_patch.h"
#include "tools/documents.h"
#include "tools/print.h"

namespace dozo::tools {
namespace {

namespace local = node::local;

constexpr std::uint64_t text_bytes_most = 1U << 20;  ///< of a document that is shown as text

/// The content, where it is text that may be shown.
Result<std::optional<std::string>> text_of_content(const Common& common, const std::string& library, const local::ListRow& row) {
  if (row.size > text_bytes_most || row.kind == "folder") return std::nullopt;
  std::string out;
  TRY(read_content(common, library, row, [&](ByteView bytes) -> Result<void> {
    out += text_of(bytes);
    return {};
  }));
  if (!is_text(out)) return std::nullopt;
  return out;
}

// ---- ls --------------------------------------------------------------------------------------------------------------
struct ListOptions {
  std::string place, when;
  bool recursive = false, wide = false, nul = false;
};

Result<void> list(const Common& common, const ListOptions& options) {
  const Place place = TRY(at(common, thing_of(options.place), options.when));
  json rows = json::array();
  std::uint64_t count = 0;
  TRY(for_each_row(common, place, options.recursive, [&](const local::ListRow& row) -> Result<void> {
    ++count;
    if (common.json) {
      rows.push_back(row_json(row));
    } else if (options.nul) {
      std::fwrite(row.path.data(), 1, row.path.size() + 1, stdout);
    } else if (options.wide) {
      std::printf("%-8s %10s  %s  %s%s\n", row.kind.c_str(), row.kind == "folder" ? "" : size_text(row.size).c_str(),
                  row.kind == "folder" ? "                " : time_text(row.time_ms).c_str(), shown(row.path).c_str(), row.in_conflict ? "   [conflict]" : "");
    } else {
      std::printf("%s%s\n", shown(row.path).c_str(), row.in_conflict ? "   [conflict]" : "");
    }
    return {};
  }));
  if (count == 0 && !place.path.empty()) {
    const auto stat = TRY(ask_for<local::Stat>(common, local::StatRequest{place.library, place.path, place.at}));
    if (common.json)
      rows.push_back(row_json(stat.row));
    else
      std::printf("%s\n", shown(stat.row.path).c_str());
  }
  if (common.json) print(rows);
  return {};
}

// ---- find ------------------------------------------------------------------------------------------------------------
struct FindOptions {
  std::string place, name, when;
  bool nul = false;
};

/// A pattern as a shell has it, else a part of a name; large and small letters of ASCII alike.
class NamePattern {
 public:
  explicit NamePattern(const std::string& text) {
    if (text.find_first_of("*?[") != std::string::npos) {
      pattern_ = text;
      return;
    }
    pattern_ = "*";
    for (const char it : text) {
      if (it == '\\') pattern_ += '\\';
      pattern_ += it;
    }
    pattern_ += '*';
  }
  NamePattern(const NamePattern&) = delete;
  NamePattern& operator=(const NamePattern&) = delete;
  ~NamePattern() {
    if (utf8_ != nullptr) ::freelocale(utf8_);
  }
  /// By characters; a name that is not UTF-8 byte by byte.
  bool fits(const std::string& name) const {
    const int by_bytes = ::fnmatch(pattern_.c_str(), name.c_str(), FNM_CASEFOLD);
    if (utf8_ == nullptr) return by_bytes == 0;
    const locale_t before = ::uselocale(utf8_);
    const int found = ::fnmatch(pattern_.c_str(), name.c_str(), FNM_CASEFOLD);
    ::uselocale(before);
    return (found == 0 || found == FNM_NOMATCH ? found : by_bytes) == 0;
  }

 private:
  std::string pattern_;
  const locale_t utf8_ = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
};

Result<void> find(const Common& common, const FindOptions& options) {
  const Place place = TRY(at(common, thing_of(options.place), options.when));
  const NamePattern pattern(options.name);
  json rows = json::array();
  std::uint64_t count = 0;
  const auto show = [&](const std::string& path, const json& row) {
    ++count;
    if (common.json)
      rows.push_back(row);
    else if (options.nul)
      std::fwrite(path.data(), 1, path.size() + 1, stdout);
    else
      std::printf("%s\n", shown(path).c_str());
  };
  std::string before = place.path.empty() ? "" : place.path + "/";  // the folder that was looked at last, with all above it
  TRY(for_each_row(common, place, true, [&](const local::ListRow& row) -> Result<void> {
    // Folders are seen by what is in them: each once, as rows come in order.
    const auto apart = std::ranges::mismatch(row.path, before).in1 - row.path.begin();
    std::size_t from = row.path.rfind('/', apart == 0 ? 0 : static_cast<std::size_t>(apart) - 1);
    from = from == std::string::npos ? 0 : from + 1;
    for (std::size_t end = 0; (end = row.path.find('/', from)) != std::string::npos; from = end + 1) {
      const std::string folder = row.path.substr(0, end + 1);
      if (pattern.fits(row.path.substr(from, end - from)))
        show(folder, {{"path", path_json(folder)}, {"path_hex", to_hex(view_of(folder))}, {"kind", "folder"}});
    }
    before = row.path.substr(0, row.path.rfind('/') + 1);
    if (row.kind != "folder" && pattern.fits(row.path.substr(from))) show(row.path, row_json(row));
    return {};
  }));
  if (common.json) print(rows);
  if (count == 0) return fail(Fault::not_found, "no name there fits: " + shown(options.name));
  return {};
}

// ---- du --------------------------------------------------------------------------------------------------------------
struct UsageOptions {
  std::string place, when;
  unsigned depth = 1;
};
struct Usage {
  std::uint64_t files{}, bytes{};
};

Result<Usage> usage_of(const Common& common, const Place& place, const std::function<void(const local::ListRow&)>& each = {}) {
  Usage out;
  TRY(for_each_row(common, place, true, [&](const local::ListRow& row) -> Result<void> {
    if (row.kind == "folder") return {};
    ++out.files;
    out.bytes += row.size;
    if (each) each(row);
    return {};
  }));
  return out;
}

Result<void> usage(const Common& common, const UsageOptions& options) {
  const Place place = TRY(at(common, thing_of(options.place), options.when));
  const std::size_t top = place.path.empty() ? 0 : place.path.size() + 1;
  std::map<std::string, Usage> folders;
  const Usage total = TRY(usage_of(common, place, [&](const local::ListRow& row) {
    std::size_t end = top;
    for (unsigned depth = 0; depth < options.depth && (end = row.path.find('/', end)) != std::string::npos; ++depth) {
      Usage& it = folders[row.path.substr(0, ++end)];
      ++it.files;
      it.bytes += row.size;
    }
  }));
  folders[place.path] = total;
  json rows = json::array();
  for (const auto& [path, it] : folders) {
    if (common.json)
      rows.push_back({{"path", path_json(path)}, {"path_hex", to_hex(view_of(path))}, {"files", it.files}, {"bytes", it.bytes}});
    else
      std::printf("%10s %8llu  %s\n", size_text(it.bytes).c_str(), static_cast<unsigned long long>(it.files),
                  path.empty() ? shown(place.library + ":").c_str() : shown(path).c_str());
  }
  if (common.json) print(rows);
  return {};
}

// ---- log -------------------------------------------------------------------------------------------------------------
struct LogOptions {
  std::string place;
  unsigned count = 20;
};

json commit_json(const local::LogRow& row) {
  json paths = json::array(), paths_hex = json::array();
  for (const std::string& path : row.paths) {
    paths.push_back(path_json(path));
    paths_hex.push_back(to_hex(view_of(path)));
  }
  return {{"number", row.number},
          {"commit", row.commit},
          {"author", path_json(row.author)},
          {"text", path_json(row.text)},
          {"person", row.person.is_zero() ? json() : json(row.person.hex())},
          {"role", path_json(row.role)},
          {"node", row.device.hex()},
          {"time_ms", row.time_ms},
          {"paths", paths},
          {"paths_hex", paths_hex},
          {"paths_cut", row.paths_cut}};
}

Result<void> log(const Common& common, const LogOptions& options) {
  const Place place = place_of(options.place.find(':') == std::string::npos ? options.place + ":" : options.place);
  json rows = json::array();
  std::uint64_t before = 0;
  for (unsigned left = options.count; left > 0;) {
    const auto page = TRY(ask_for<local::Log>(common, local::LogRequest{place.library, place.path, before, std::min(left, 100U)}));
    if (before == 0 && page.rows.empty() && !page.more && !place.path.empty())
      return fail(Fault::not_found, "nothing was ever saved there: " + shown(place.path));
    for (const local::LogRow& row : page.rows) {
      if (common.json) {
        rows.push_back(commit_json(row));
      } else {
        std::printf("%s %s  %s  %s\n", row.commit.substr(0, 12).c_str(), time_text(row.time_ms).c_str(), shown(row.author).c_str(), shown(row.text).c_str());
        std::size_t shown_paths = 0;
        for (const std::string& path : row.paths) {
          if (++shown_paths > 10) break;
          std::printf("    %s\n", shown(path).c_str());
        }
        if (row.paths.size() > 10 || row.paths_cut) std::printf("    and more\n");
      }
      before = row.number;
    }
    left -= std::min<unsigned>(left, static_cast<unsigned>(page.rows.size()));
    if (!page.more || page.rows.empty()) break;
  }
  if (common.json) print(rows);
  return {};
}

// ---- diff ------------------------------------------------------------------------------------------------------------
struct DiffOptions {
  std::string place, from, to;
  bool names = false;
};
struct Difference {
  std::string path, path_before;  ///< the second where it was moved
  std::optional<local::ListRow> before, after;

  bool is_moved() const { return !path_before.empty(); }
  std::string_view kind() const { return is_moved() ? "moved" : !before ? "added" : !after ? "removed" : "changed"; }
};

/// What went and what came of one document is a move.
void join_moves(std::vector<Difference>& rows) {
  std::map<DocumentId, std::size_t> gone;
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (!rows[i].after) gone.emplace(rows[i].before->document, i);
  std::vector<bool> joined(rows.size());
  for (Difference& row : rows) {
    if (row.before || !row.after) continue;
    const auto found = gone.find(row.after->document);
    if (found == gone.end() || joined[found->second]) continue;
    row.before = rows[found->second].before;
    row.path_before = rows[found->second].path;
    joined[found->second] = true;
  }
  std::size_t at = 0;
  std::erase_if(rows, [&](const Difference&) { return static_cast<bool>(joined[at++]); });
}

/// The same where the daemon has no line on which both stand: both are listed.
Result<std::vector<Difference>> differences_listed(const Common& common, const std::string& library, const std::string& path, const std::string& from,
                                                   const std::string& to) {
  std::map<std::string, Difference> rows;
  for (const bool is_after : {false, true}) {
    const Result<void> listed = for_each_row(common, {library, path, is_after ? to : from}, true, [&](const local::ListRow& row) -> Result<void> {
      Difference& it = rows[row.path];
      it.path = row.path;
      (is_after ? it.after : it.before) = row;
      return {};
    });
    if (!listed && listed.error().fault != Fault::not_found) return std::unexpected(listed.error());  // it may be there at one of them alone
  }
  std::vector<Difference> out;
  for (auto& [at, it] : rows) out.push_back(std::move(it));
  return out;
}

Result<std::vector<Difference>> differences(const Common& common, const std::string& library, const std::string& path, const std::string& from,
                                            const std::string& to) {
  std::vector<Difference> out;
  for (bool more = true; more;) {
    Result<local::Differences> asked = ask_for<local::Differences>(common, local::DiffRequest{library, path, from, to, out.size(), 1000});
    if (!asked && asked.error().fault == Fault::unsupported) {
      out = TRY(differences_listed(common, library, path, from, to));
      break;
    }
    const local::Differences page = TRY(std::move(asked));
    for (const local::DifferenceRow& row : page.rows) {
      Difference& it = out.emplace_back(Difference{row.path, "", row.before, row.after});
      for (auto* side : {&it.before, &it.after})
        if (*side) (*side)->path = row.path;
    }
    more = page.more && !page.rows.empty();
  }
  join_moves(out);
  // Another document with the same content at the same place is no difference that people see.
  std::erase_if(out, [](const Difference& it) {
    return !it.is_moved() && it.before && it.after && it.before->kind == it.after->kind && it.before->sha256 == it.after->sha256 &&
           it.before->executable == it.after->executable;
  });
  return out;
}

/// One line, and below it the lines of a text that differ.
Result<void> show_difference(const Common& common, const std::string& library, const Difference& row, bool names_alone) {
  std::printf("%-8s %s%s%s\n", std::string(row.kind()).c_str(), row.is_moved() ? shown(row.path_before).c_str() : "", row.is_moved() ? " -> " : "",
              shown(row.path).c_str());
  if (names_alone) return {};
  const bool same = row.before && row.after && row.before->sha256 == row.after->sha256 && row.before->kind == row.after->kind;
  if (same) {
    if (row.before->executable != row.after->executable) std::printf("    %s\n", row.after->executable ? "is a program now" : "is no program any more");
    return {};
  }
  const auto text = [&](const std::optional<local::ListRow>& side) -> Result<std::optional<std::string>> {
    return side ? text_of_content(common, library, *side) : Result<std::optional<std::string>>(std::string());
  };
  const auto before = TRY(text(row.before)), after = TRY(text(row.after));
  if (before && after) {
    std::fputs(shown_lines(store::text_patch(*before, *after)).c_str(), stdout);
    return {};
  }
  if ((row.before ? row.before : row.after)->kind == "folder") return {};
  const auto size = [](const std::optional<local::ListRow>& side) { return side ? size_text(side->size) : std::string("nothing"); };
  std::printf("    %s -> %s, not shown as text\n", size(row.before).c_str(), size(row.after).c_str());
  return {};
}

json difference_json(const Difference& row) {
  json out{{"change", row.kind()}, {"path", path_json(row.path)}, {"path_hex", to_hex(view_of(row.path))}};
  out["before"] = row.before ? row_json(*row.before) : json();
  out["after"] = row.after ? row_json(*row.after) : json();
  for (const char* side : {"before", "after"}) {
    if (out[side].is_null()) continue;
    for (const char* unknown : {"time_ms", "conflict"}) out[side].erase(unknown);
  }
  return out;
}

Result<void> diff(const Common& common, const DiffOptions& options) {
  const Place place = thing_of(options.place);
  const std::string to = TRY(commit_at(common, place.library, options.to)).commit;  // one for all pages, whatever is saved meanwhile
  const std::string from = options.from.empty() ? "" : TRY(commit_at(common, place.library, options.from)).commit;
  const std::vector<Difference> rows = TRY(differences(common, place.library, place.path, from, to));
  json out = json::array();
  for (const Difference& row : rows) {
    if (common.json)
      out.push_back(difference_json(row));
    else
      TRY(show_difference(common, place.library, row, options.names));
  }
  if (common.json) print(out);
  return {};
}

// ---- show ------------------------------------------------------------------------------------------------------------
struct ShowOptions {
  std::string place, when;
};

std::string in_whose_name(const local::LogRow& row) { return shown(row.author) + (row.role.empty() ? "" : " (" + shown(row.role) + ")"); }

/// A commit with what it changed.
Result<void> show_commit(const Common& common, const std::string& library, const std::string& when) {
  const local::LogRow row = TRY(commit_at(common, library, when));
  const std::vector<Difference> changes = TRY(differences(common, library, "", "", row.commit));
  if (common.json) {
    json out = commit_json(row), list = json::array();
    for (const Difference& it : changes) list.push_back(difference_json(it));
    out["changes"] = list;
    print(out);
    return {};
  }
  std::printf("commit   %s\nsaved    %s by %s\n", row.commit.c_str(), time_text(row.time_ms).c_str(), in_whose_name(row).c_str());
  if (!row.text.empty()) std::printf("\n    %s\n", shown_lines(row.text).c_str());
  std::printf("\n");
  for (const Difference& it : changes) TRY(show_difference(common, library, it, false));
  return {};
}

Result<void> show(const Common& common, const ShowOptions& options) {
  const Place named = thing_of(options.place);
  if (named.path.empty()) return show_commit(common, named.library, options.when);
  const local::LogRow moment = TRY(commit_at(common, named.library, options.when));
  const Place place{named.library, named.path, options.when.empty() ? "" : moment.commit};
  const auto stat = TRY(ask_for<local::Stat>(common, local::StatRequest{place.library, place.path, place.at}));
  const auto saves = TRY(ask_for<local::Log>(common, local::LogRequest{place.library, place.path, 0, 1, moment.commit}));
  std::optional<Usage> below;
  if (stat.row.kind == "folder") below = TRY(usage_of(common, place));
  if (common.json) {
    json out = row_json(stat.row);
    out["mode"] = stat.mode;
    out["modified_ns"] = stat.modified_ns;
    out["save"] = saves.rows.empty() ? json() : commit_json(saves.rows.front());
    if (below) out["files"] = below->files, out["size"] = below->bytes;
    print(out);
    return {};
  }
  std::printf("path     %s\nkind     %s%s\n", shown(stat.row.path).c_str(), stat.row.kind.c_str(), stat.row.executable ? ", a program" : "");
  if (below) {
    std::printf("size     %s in %llu files\n", size_text(below->bytes).c_str(), static_cast<unsigned long long>(below->files));
  } else {
    std::printf("size     %llu bytes\nsha256   %s\nmodified %s\n", static_cast<unsigned long long>(stat.row.size), stat.row.sha256.hex().c_str(),
                time_text(stat.modified_ns / 1'000'000).c_str());
  }
  if (!stat.row.document.is_zero()) std::printf("document %s\n", stat.row.document.hex().c_str());
  if (!saves.rows.empty()) {
    const local::LogRow& row = saves.rows.front();
    std::printf("saved    %s by %s\ncommit   %s  %s\n", time_text(row.time_ms).c_str(), in_whose_name(row).c_str(), row.commit.c_str(),
                shown(row.text).c_str());
  }
  if (stat.row.in_conflict) std::printf("conflict dozo conflicts %s\n", shown(place.library).c_str());
  if (below) return {};
  if (const auto text = TRY(text_of_content(common, place.library, stat.row))) {
    std::printf("\n%s%s", shown_lines(*text).c_str(), text->empty() || text->ends_with('\n') ? "" : "\n");
  } else {
    std::printf("\nnot shown as text: dozo get %s FILE writes it out\n", shown(options.place).c_str());
  }
  return {};
}

}  // namespace

void add_reading_verbs(CLI::App& app, Common& common) {
  const std::string group = "Documents";
  const std::string then = std::string("as it was then: ") + moment_help;

  auto list_options = std::make_shared<ListOptions>();
  CLI::App* verb = app.add_subcommand("ls", "list a folder: dozo ls LIBRARY:[PATH]")->group(group);
  verb->add_option("place", list_options->place, "LIBRARY:[PATH]")->required()->type_name(takes::place);
  verb->add_flag("-r,--recursive", list_options->recursive, "all below");
  verb->add_flag("-l,--long", list_options->wide, "kinds, sizes and times");
  verb->add_flag("-0,--null", list_options->nul, "end each path with NUL, exact bytes");
  add_moment(*verb, "--at", list_options->when, then);
  verb->callback([=, &common] { finish(list(common, *list_options)); });

  auto find_options = std::make_shared<FindOptions>();
  verb = app.add_subcommand("find", "files and folders by their names: dozo find LIBRARY:[PATH] NAME")->group(group);
  verb->add_option("place", find_options->place, "LIBRARY:[PATH]")->required()->type_name(takes::place);
  verb->add_option("name", find_options->name, "a part of the name, or a pattern with * ? [ ]; large and small letters are alike")
      ->required()
      ->type_name(takes::name);
  verb->add_flag("-0,--null", find_options->nul, "end each path with NUL, exact bytes");
  add_moment(*verb, "--at", find_options->when, then);
  verb->callback([=, &common] { finish(find(common, *find_options)); });

  auto usage_options = std::make_shared<UsageOptions>();
  verb = app.add_subcommand("du", "how large folders are: dozo du LIBRARY:[PATH]")->group(group);
  verb->add_option("place", usage_options->place, "LIBRARY:[PATH]")->required()->type_name(takes::place);
  verb->add_option("-d,--depth", usage_options->depth, "folders so many levels below")->capture_default_str()->type_name(takes::number);
  add_moment(*verb, "--at", usage_options->when, then);
  verb->callback([=, &common] { finish(usage(common, *usage_options)); });

  auto show_options = std::make_shared<ShowOptions>();
  verb = app.add_subcommand("show", "what is known of a document, and its text; of a library: its newest commit: dozo show LIBRARY:[PATH]")->group(group);
  verb->add_option("place", show_options->place, "LIBRARY:[PATH]")->required()->type_name(takes::place);
  add_moment(*verb, "--at", show_options->when, then);
  verb->callback([=, &common] { finish(show(common, *show_options)); });

  auto log_options = std::make_shared<LogOptions>();
  verb = app.add_subcommand("log", "history, newest first: dozo log LIBRARY:[PATH]")->group(group);
  verb->add_option("place", log_options->place, "LIBRARY:[PATH]")->required()->type_name(takes::place);
  verb->add_option("-n,--count", log_options->count, "at most this many")->capture_default_str()->type_name(takes::number);
  verb->callback([=, &common] { finish(log(common, *log_options)); });

  auto diff_options = std::make_shared<DiffOptions>();
  verb = app.add_subcommand("diff", "what differs: dozo diff LIBRARY:[PATH] --from WHEN")->group(group);
  verb->add_option("place", diff_options->place, "LIBRARY:[PATH]")->required()->type_name(takes::place);
  add_moment(*verb, "--from", diff_options->from, std::string(moment_help) + "; without it: the commit before --to");
  add_moment(*verb, "--to", diff_options->to, "the same; without it: now");
  verb->add_flag("--names", diff_options->names, "names alone, no lines of texts");
  verb->callback([=, &common] { finish(diff(common, *diff_options)); });
}

}  // namespace dozo::tools
