// The verbs that save, write out and change documents: put, get, mv, rm, restore, conflicts, resolve. Each is a thin question to the daemon.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "tools/documents.h"
#include "tools/print.h"
#include "tools/write_out.h"

namespace dozo::tools {
namespace {

namespace local = node::local;

// ---- put -------------------------------------------------------------------------------------------------------------
struct PutOptions {
  std::vector<std::string> sources;
  std::string text;
  std::vector<std::string> exclude;
  bool reread = false;
  unsigned held = 0;
  unsigned timeout_s = 600;
};

/// How many nodes besides `self` have signed that they hold all.
Result<unsigned> copies_beside(const Common& common, const NodeId& self, const std::string& library) {
  const auto replicas = TRY(ask_for<local::Replicas>(common, local::ReplicasRequest{library}));
  unsigned count = 0;
  for (const local::ReplicaRow& row : replicas.rows) count += row.node != self && row.statement != "none" && row.entries_behind == 0 ? 1 : 0;
  return count;
}

/// Nobody is to wait for more nodes than there are.
Result<void> check_held(const Common& common, const std::string& library, unsigned held) {
  const NodeId self = TRY(ask_for<local::Status>(common, local::StatusRequest{})).node;
  const auto replicas = TRY(ask_for<local::Replicas>(common, local::ReplicasRequest{library}));
  const auto others = std::ranges::count_if(replicas.rows, [&](const local::ReplicaRow& row) { return row.node != self; });
  if (held > static_cast<std::size_t>(others)) misused("--held " + std::to_string(held) + ": only " + std::to_string(others) + " other nodes hold the library");
  return {};
}

Result<void> put(const Common& common, const PutOptions& options) {
  if (options.sources.size() < 2) misused("put needs a source and a place, as in: dozo put FOLDER works:");
  const Place place = place_of(options.sources.back());
  if (options.held > 0) TRY(check_held(common, place.library, options.held));
  local::Saved total;
  for (std::size_t i = 0; i + 1 < options.sources.size(); ++i) {
    std::error_code code;
    std::string source = options.sources[i];
    const bool contents_only = source.ends_with("/");
    while (source.size() > 1 && source.ends_with("/")) source.pop_back();
    const std::string absolute = std::filesystem::absolute(source, code).lexically_normal().string();
    std::string target = place.path;
    const bool is_folder = std::filesystem::is_directory(std::filesystem::symlink_status(absolute, code));
    if (!(is_folder && contents_only) && (target.empty() || target.ends_with("/") || options.sources.size() > 2)) {
      if (!target.empty() && !target.ends_with("/")) target += "/";
      target += std::filesystem::path(absolute).filename().string();
    }
    while (target.ends_with("/")) target.pop_back();
    const auto saved =
        TRY(ask_for<local::Saved>(common, local::PutRequest{place.library, absolute, target, options.text, options.exclude, contents_only, options.reread}));
    total.files += saved.files;
    total.unchanged += saved.unchanged;
    total.bytes += saved.bytes;
    total.new_bytes += saved.new_bytes;
    total.records += saved.records;
    total.feed = saved.feed;
    if (saved.records > 0) total.person = saved.person, total.role = saved.role, total.who = saved.who;
    total.sequence = saved.sequence;
    total.skipped.insert(total.skipped.end(), saved.skipped.begin(), saved.skipped.end());
  }
  name_not_saved(total);
  if (options.held > 0) {
    const NodeId self = TRY(ask_for<local::Status>(common, local::StatusRequest{})).node;
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(options.timeout_s);
    while (TRY(copies_beside(common, self, place.library)) < options.held) {
      if (std::chrono::steady_clock::now() >= until)
        return fail(Fault::unavailable, "saved here, but not yet held by " + std::to_string(options.held) + " other nodes");
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
  }
  return report_put(common, total);
}

// ---- get -------------------------------------------------------------------------------------------------------------
struct GetOptions {
  std::string place, target, when;
  bool force = false;
};

Result<void> get(const Common& common, const GetOptions& options) {
  const Place place = TRY(at(common, thing_of(options.place), options.when));
  std::optional<local::Stat> one;
  if (!place.path.empty()) {
    Result<local::Stat> stat = ask_for<local::Stat>(common, local::StatRequest{place.library, place.path, place.at});
    if (stat && stat->row.kind != "folder") one = std::move(*stat);
    if (!stat && (stat.error().fault != Fault::not_found || options.target == "-")) return std::unexpected(stat.error());
  }
  if (one && options.target == "-") {
    return read_content(common, place.library, one->row, [](ByteView bytes) { return write_all(STDOUT_FILENO, bytes, "standard output"); });
  }
  if (options.target == "-") misused("only a file can go to standard output");
  std::error_code code;
  if (one) {
    std::string target = options.target;
    if (std::filesystem::is_directory(target, code)) target += "/" + std::filesystem::path(one->row.path).filename().string();
    return write_document(common, place, one->row, target, options.force);
  }
  const Written written = TRY(write_folder(common, place, options.target, options.force));
  const std::uint64_t files = written.files + written.links;
  if (files == 0 && !std::filesystem::exists(options.target, code))
    return fail(Fault::not_found, shown(place.path.empty() ? place.library : place.path) + " is not there or is empty");
  if (!common.json)
    std::printf("wrote %llu files\n", static_cast<unsigned long long>(files));
  else
    print({{"files", files}});
  return {};
}

// ---- mv, rm, conflicts, resolve --------------------------------------------------------------------------------------
struct ChangeOptions {
  std::string place, to, text, use, with, when;
  bool recursive = false, yes = false, exact = false;
};

/// A whole library is not taken away by a path that was forgotten.
bool confirmed(const std::string& library, const std::string& what) {
  if (!on_terminal(STDIN_FILENO) || !on_terminal(STDERR_FILENO)) misused("this " + what + " of " + library + ": say so with --yes");
  std::fprintf(stderr, "%s: this %s. The history keeps it. Go on? [y/N] ", shown(library).c_str(), what.c_str());
  const int answer = std::getchar();
  return answer == 'y' || answer == 'Y';
}

Result<void> report(const Common& common, const local::Saved& saved) {
  if (common.json) print({{"files", saved.files}, {"records", saved.records}, {"as", as_json(saved)}});
  return {};
}

Result<void> move(const Common& common, const ChangeOptions& options) {
  const Place place = thing_of(options.place);
  std::string to = options.to;
  if (const auto other = parse_place(to); other && to.find('/') > to.find(':')) {
    if (other->library != place.library) misused("a document cannot move to another library; put it there and rm it here");
    to = other->path;
  }
  return report(common, TRY(ask_for<local::Saved>(common, local::MoveRequest{place.library, place.path, to, options.text})));
}

Result<void> remove(const Common& common, const ChangeOptions& options) {
  const Place place = thing_of(options.place);
  if (place.path.empty() && !options.recursive) misused("the whole library: to remove all in it say so (-r)");
  if (place.path.empty() && !options.yes && !confirmed(place.library, "removes all")) return fail(Fault::denied, "nothing was removed");
  return report(common, TRY(ask_for<local::Saved>(common, local::RemoveRequest{place.library, place.path, options.text, options.recursive})));
}

Result<void> restore(const Common& common, const ChangeOptions& options) {
  if (options.when.empty()) misused(std::string("as it was when? --at takes ") + moment_help);
  const Place place = TRY(at(common, thing_of(options.place), options.when));
  if (options.exact && place.path.empty() && !options.yes && !confirmed(place.library, "removes all that came since"))
    return fail(Fault::denied, "nothing was changed");
  const auto saved = TRY(ask_for<local::Saved>(common, local::RestoreRequest{place.library, place.path, place.at, options.text, options.exact}));
  for (const std::string& line : saved.skipped) std::fprintf(stderr, "dozo: not restored: %s\n", shown(line).c_str());
  if (common.json) {
    print({{"files", saved.files}, {"removed", saved.removed}, {"records", saved.records}, {"as", as_json(saved)}, {"skipped", saved.skipped}});
  } else {
    const std::string removed = options.exact ? ", " + std::to_string(saved.removed) + " removed" : "";
    std::printf("%llu restored%s%s\n", static_cast<unsigned long long>(saved.files), removed.c_str(),
                saved.records == 0 && saved.skipped.empty() ? ": it is as it was then" : "");
  }
  if (!saved.skipped.empty()) return fail(Fault::denied, std::to_string(saved.skipped.size()) + " not restored, named above; all else is");
  return {};
}

// ---- tag -------------------------------------------------------------------------------------------------------------
struct TagOptions {
  std::string library, name, text;
};

Result<void> list_tags(const Common& common, const std::string& library) {
  json rows = json::array();
  const Result<void> listed = for_each_row(common, {library, std::string(local::tags_folder), ""}, false, [&](const local::ListRow& row) -> Result<void> {
    if (row.kind != "file") return {};
    const std::string name = row.path.substr(local::tags_folder.size() + 1);
    if (common.json)
      rows.push_back({{"name", path_json(name)}, {"path", path_json(row.path)}, {"time_ms", row.time_ms}});
    else
      std::printf("%s  %s\n", time_text(row.time_ms).c_str(), shown(name).c_str());
    return {};
  });
  if (!listed && listed.error().fault != Fault::not_found) return listed;
  if (common.json) print(rows);
  return {};
}

Result<void> tag(const Common& common, const TagOptions& options) {
  const Place place = library_or_thing(options.library);
  if (!place.path.empty()) misused("a tag is for a library, not for a part of it");
  if (options.name.empty()) return list_tags(common, place.library);
  if (options.name.contains('/')) misused("a tag has one name, without a slash");
  if (is_moment(options.name)) misused("\"" + shown(options.name) + "\" would be read as a time or a commit: take another name");
  const auto saved = TRY(ask_for<local::Saved>(common, local::TagRequest{place.library, options.name, options.text}));
  for (const std::string& line : saved.skipped) std::fprintf(stderr, "dozo: %s\n", shown(line).c_str());
  if (common.json)
    print({{"name", path_json(options.name)}, {"path", path_json(local::tag_path(options.name))}, {"as", as_json(saved)}, {"left_out", saved.skipped}});
  return {};
}

Result<void> conflicts(const Common& common, const std::string& library) {
  const auto found = TRY(ask_for<local::Conflicts>(common, local::ConflictsRequest{library_or_thing(library).library}));
  json rows = json::array();
  for (const local::ConflictRow& row : found.rows) {
    if (common.json) {
      json paths = json::array();
      for (const std::string& path : row.paths) paths.push_back(path_json(path));
      rows.push_back({{"kind", row.kind}, {"document", row.document.hex()}, {"path", path_json(row.path)}, {"paths", paths}});
    } else {
      std::printf("%-8s %s\n", row.kind.c_str(), shown(row.path).c_str());
      for (const std::string& path : row.paths) {
        if (path != row.path) std::printf("         %s\n", shown(path).c_str());
      }
    }
  }
  if (common.json) print(rows);
  return {};
}

Result<void> resolve(const Common& common, const ChangeOptions& options) {
  const Place place = thing_of(options.place);
  if (!options.with.empty()) {
    // The file's content is saved over what is shown first; that version is then the one that ends the conflict.
    std::error_code code;
    const std::string absolute = std::filesystem::absolute(options.with, code).lexically_normal().string();
    TRY(ask_for<local::Saved>(common, local::PutRequest{place.library, absolute, place.path, options.text, {}}));
  }
  std::optional<std::string> use;
  if (!options.use.empty()) {
    const auto other = parse_place(options.use);
    use = other && other->library == place.library ? other->path : options.use;
  }
  return report(common, TRY(ask_for<local::Saved>(common, local::ResolveRequest{place.library, place.path, options.text, use})));
}

}  // namespace

void add_document_verbs(CLI::App& app, Common& common) {
  const std::string group = "Documents";
  auto put_options = std::make_shared<PutOptions>();
  CLI::App* verb = app.add_subcommand("put", "save files, links and folders: dozo put SOURCE... LIBRARY:[PATH]")->group(group);
  verb->add_option("source", put_options->sources, "what to save, then the place; a folder with a slash at its end: its contents")
      ->required()
      ->type_name(takes::source);
  verb->add_option("-m,--message", put_options->text, "what to say about it in the history");
  verb->add_option("--exclude", put_options->exclude, "leave out names that fit this pattern (may be given again)")->type_name("PATTERN");
  verb->add_flag("--reread", put_options->reread, "read also what by its times has not changed since it was saved");
  verb->add_option("--held", put_options->held, "wait until this many other nodes hold it durably")->type_name(takes::number);
  verb->add_option("--timeout", put_options->timeout_s, "seconds to wait for --held")->capture_default_str()->type_name(takes::seconds);
  verb->callback([=, &common] { finish(put(common, *put_options)); });

  auto get_options = std::make_shared<GetOptions>();
  verb = app.add_subcommand("get", "write a file or folder out: dozo get LIBRARY:[PATH] TARGET")->group(group);
  verb->add_option("place", get_options->place, "LIBRARY:[PATH]")->required()->type_name(takes::place);
  verb->add_option("target", get_options->target, "file or folder to write; - is standard output")->required()->type_name(takes::file);
  verb->add_flag("-f,--force", get_options->force, "replace what is there");
  add_moment(*verb, "--at", get_options->when, std::string("as it was then: ") + moment_help);
  verb->callback([=, &common] { finish(get(common, *get_options)); });

  auto change = std::make_shared<ChangeOptions>();
  verb = app.add_subcommand("mv", "rename a document or folder: dozo mv LIBRARY:FROM TO")->group(group);
  verb->add_option("from", change->place, "LIBRARY:PATH")->required()->type_name(takes::place);
  verb->add_option("to", change->to, "new path")->required()->type_name(takes::path);
  verb->add_option("-m,--message", change->text, "what to say about it in the history");
  verb->callback([=, &common] { finish(move(common, *change)); });

  verb = app.add_subcommand("rm", "delete a document; the history keeps it: dozo rm LIBRARY:PATH")->group(group);
  verb->add_option("place", change->place, "LIBRARY:PATH")->required()->type_name(takes::place);
  verb->add_flag("-r,--recursive", change->recursive, "a folder and all below");
  verb->add_flag("-y,--yes", change->yes, "do not ask before a whole library goes");
  verb->add_option("-m,--message", change->text, "what to say about it in the history");
  verb->callback([=, &common] { finish(remove(common, *change)); });

  verb = app.add_subcommand("restore", "save once more what was there then: dozo restore LIBRARY:[PATH] --at WHEN")->group(group);
  verb->add_option("place", change->place, "LIBRARY:[PATH]")->required()->type_name(takes::place);
  add_moment(*verb, "--at", change->when, moment_help);
  verb->add_flag("--exact", change->exact, "and remove what was not there then");
  verb->add_flag("-y,--yes", change->yes, "do not ask before a whole library loses what came since");
  verb->add_option("-m,--message", change->text, "what to say about it in the history");
  verb->callback([=, &common] { finish(restore(common, *change)); });

  auto tag_options = std::make_shared<TagOptions>();
  verb = app.add_subcommand("tag", "give what a library shows now a name that --at takes, or list such names: dozo tag LIBRARY [NAME]")->group(group);
  verb->add_option("library", tag_options->library, "LIBRARY")->required()->type_name(takes::library);
  verb->add_option("name", tag_options->name, "the tag; without one they are listed")->type_name(takes::name);
  verb->add_option("-m,--message", tag_options->text, "what to say about it in the history");
  verb->callback([=, &common] { finish(tag(common, *tag_options)); });

  verb = app.add_subcommand("conflicts", "what waits for a person: dozo conflicts LIBRARY")->group(group);
  verb->add_option("library", change->place, "LIBRARY")->required()->type_name(takes::library);
  verb->callback([=, &common] { finish(conflicts(common, change->place)); });

  verb = app.add_subcommand("resolve", "end a conflict with what is shown at the path: dozo resolve LIBRARY:PATH")->group(group);
  verb->add_option("place", change->place, "LIBRARY:PATH")->required()->type_name(takes::place);
  CLI::Option* use = verb->add_option("--use", change->use, "with what is shown at this other path of the same document")->type_name(takes::path);
  verb->add_option("--with", change->with, "with the content of this file")->excludes(use)->type_name(takes::file);
  verb->add_option("-m,--message", change->text, "what to say about it in the history");
  verb->callback([=, &common] { finish(resolve(common, *change)); });
}

}  // namespace dozo::tools
