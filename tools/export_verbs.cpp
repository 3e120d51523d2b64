// The verbs that hand a library over to who has no Dozo, and take in what comes from there: export and import.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "node/descriptor.h"
#include "node/files.h"
#include "tools/documents.h"
#include "tools/print.h"
#include "tools/tar.h"
#include "tools/unpack.h"
#include "tools/write_out.h"

namespace dozo::tools {
namespace {

namespace local = node::local;
namespace fs = std::filesystem;

// ---- export ----------------------------------------------------------------------------------------------------------
struct ExportOptions {
  std::string place, target, when;
  bool tar = false, force = false;
};

local::Progress progress_of(const Written& written) { return {written.files + written.links, written.bytes, 0, 0}; }

std::string file_name(const local::ListRow& row) { return fs::path(row.path).filename().string(); }

/// One document, or all in the folder.
Result<Written> write_archive(const Common& common, const Place& place, TarWriter::Give give) {
  TarWriter out = TRY(TarWriter::open(std::move(give)));
  Written written;
  ProgressLine line;
  TRY(for_each_row(common, place, true, [&](const local::ListRow& row) -> Result<void> {
    TarItem item;
    item.kind = row.kind == "folder" ? TarItem::Kind::folder : row.kind == "symlink" ? TarItem::Kind::symlink : TarItem::Kind::file;
    item.path = path_below(place, row);
    if (item.path.empty()) item.path = file_name(row);
    item.executable = row.executable;
    if (item.kind == TarItem::Kind::folder) {
      item.modified_ns = row.time_ms * 1'000'000;  // a folder has no time of its own
    } else {
      item.modified_ns = TRY(ask_for<local::Stat>(common, local::StatRequest{place.library, row.path, place.at})).modified_ns;
    }
    if (item.kind == TarItem::Kind::symlink) item.link = TRY(read_link(common, place.library, row));
    if (item.kind == TarItem::Kind::file) item.size = row.size;
    TRY(out.add(item));
    if (item.kind == TarItem::Kind::file) {
      local::Progress progress = progress_of(written);
      TRY(read_content(common, place.library, row, [&](ByteView bytes) {
        progress.bytes += bytes.size();
        line.show(progress);
        return out.write(bytes);
      }));
    }
    count(written, row);
    line.show(progress_of(written));
    return {};
  }));
  TRY(out.finish());
  return written;
}

Result<Written> write_archive_file(const Common& common, const Place& place, const std::string& target, bool force) {
  Written written;
  TRY(write_beside(target, force, [&](int descriptor) -> Result<void> {
    written = TRY(write_archive(common, place, [&](ByteView bytes) { return write_all(descriptor, bytes, target); }));
    if (::fchmod(descriptor, new_file_mode(false)) != 0 || ::fsync(descriptor) != 0) return failed("write", target);
    return {};
  }));
  const fs::path folder = fs::path(target).parent_path();
  TRY(node::sync_folder(folder.empty() ? "." : folder));
  return written;
}

Result<std::vector<std::string>> names_in(const std::string& folder) {
  std::vector<std::string> out;
  std::error_code code;
  for (fs::directory_iterator it(folder, code), end; !code && it != end; it.increment(code)) out.push_back(it->path().filename().string());
  if (!code) return out;
  errno = code.value();
  return failed("read", folder);
}

/// Into a hidden folder in `target` first, whose things go up when all are there: as long as it is there the export is not whole.
Result<Written> write_new_folder(const Common& common, const Place& place, const std::string& target) {
  std::optional<local::ListRow> one;
  if (!place.path.empty()) {
    const auto stat = TRY(ask_for<local::Stat>(common, local::StatRequest{place.library, place.path, place.at}));
    if (stat.row.kind != "folder") one = stat.row;
  }
  const bool is_new = ::mkdir(target.c_str(), 0777) == 0;
  if (!is_new && errno != EEXIST) return failed("make folder", target);
  std::error_code code;
  if (!is_new && (!fs::is_directory(target, code) || !TRY(names_in(target)).empty()))
    return fail(Fault::exists, shown(target) + " is in the way: it is not an empty folder");
  std::string hidden = target + "/.dozo-export-XXXXXX";
  const bool has_hidden = ::mkdtemp(hidden.data()) != nullptr;
  Result<Written> written = has_hidden ? Result<Written>(Written{}) : Result<Written>(failed("make folder", hidden));
  if (has_hidden && one) {
    const Result<void> done = write_document(common, place, *one, hidden + "/" + file_name(*one), false);
    if (done)
      count(*written, *one);
    else
      written = std::unexpected(done.error());
  } else if (has_hidden) {
    ProgressLine line;
    written = write_folder(common, place, hidden, false, [&](const Written& until_now) { line.show(progress_of(until_now)); });
  }
  const node::Descriptor folder(::open(target.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (written && (folder.get() < 0 || ::syncfs(folder.get()) != 0)) written = failed("write", target);
  std::vector<std::string> names;
  if (written) {
    if (auto found = names_in(hidden))
      names = std::move(*found);
    else
      written = std::unexpected(std::move(found).error());
  }
  if (!written) {
    if (has_hidden) fs::remove_all(hidden, code);
    if (is_new) ::rmdir(target.c_str());
    return written;
  }
  for (const std::string& name : names) {
    if (rename_new(hidden + "/" + name, target + "/" + name) != 0) return failed("rename to", target + "/" + name);
  }
  if (::rmdir(hidden.c_str()) != 0) return failed("remove", hidden);
  TRY(node::sync_folder(target));
  return written;
}

Result<void> export_documents(const Common& common, const ExportOptions& options) {
  const bool to_output = options.target == "-";
  const bool as_tar = options.tar || to_output || options.target.ends_with(".tar");
  for (const std::string_view end : {".tar.gz", ".tgz", ".tar.zst", ".tar.xz", ".tar.bz2"}) {
    if (options.target.ends_with(end)) misused("archives are written as they are: dozo export LIBRARY - | zstd > FILE.tar.zst");
  }
  if (to_output && on_terminal(STDOUT_FILENO)) misused("an archive is not for a terminal: name a file, or send it on");
  if (to_output && common.json) misused("the archive itself goes to standard output: no --json");
  if (options.force && (!as_tar || to_output)) misused("--force is for an archive; a folder must be new or empty");
  const Interruptible until_here;
  const Place place = TRY(at(common, library_or_thing(options.place), options.when));
  TRY(ask_for<local::Stat>(common, local::StatRequest{place.library, ""}));  // that there is such a library, before anything is made
  if (to_output) {
    TRY(write_archive(common, place, [](ByteView bytes) { return write_all(STDOUT_FILENO, bytes, "standard output"); }));
    return {};
  }
  const Written written = as_tar ? TRY(write_archive_file(common, place, options.target, options.force)) : TRY(write_new_folder(common, place, options.target));
  if (common.json) {
    print({{"files", written.files}, {"links", written.links}, {"folders", written.folders}, {"bytes", written.bytes}});
  } else {
    std::printf("wrote %llu files, %llu links, %llu folders of their own, %s\n", static_cast<unsigned long long>(written.files),
                static_cast<unsigned long long>(written.links), static_cast<unsigned long long>(written.folders), size_text(written.bytes).c_str());
  }
  return {};
}

// ---- import ----------------------------------------------------------------------------------------------------------
struct ImportOptions {
  std::string source, place, text;
};

Result<void> save(const Common& common, const Place& place, const std::string& folder, const ImportOptions& options,
                  const std::vector<std::string>& passed_over = {}) {
  auto answer = ask_for<local::Saved>(common, local::PutRequest{place.library, folder, place.path, options.text, {}, true});
  // The daemon stops reading when it notices. What it still reads must not be an emptied folder.
  if (!answer && Interruptible::was_interrupted()) std::this_thread::sleep_for(std::chrono::seconds(1));
  auto saved = TRY(std::move(answer));
  saved.skipped.insert(saved.skipped.begin(), passed_over.begin(), passed_over.end());
  name_not_saved(saved);
  return report_put(common, saved);
}

Result<void> import_documents(const Common& common, const ImportOptions& options) {
  const Place place = library_or_thing(options.place);
  const bool from_input = options.source == "-";
  std::error_code code;
  if (!from_input && fs::is_directory(options.source, code)) {
    const std::string folder = fs::canonical(options.source, code).string();
    if (!code) return save(common, place, folder, options);
  }
  if (from_input && on_terminal(STDIN_FILENO)) misused("an archive does not come from a terminal: name a file or folder");
  const node::Descriptor file(from_input ? ::dup(STDIN_FILENO) : ::open(options.source.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (file.get() < 0 && (errno == ENOENT || errno == ENOTDIR)) return fail(Fault::not_found, shown(options.source) + " is not there");
  if (file.get() < 0) return failed("read", options.source);
  TRY(ask_for<local::Stat>(common, local::StatRequest{place.library, ""}));  // that there is such a library, before all is unpacked
  const std::string name = from_input ? "standard input" : shown(options.source);
  const Interruptible until_here;
  const PrivateFolder folder = TRY(PrivateFolder::make());
  std::vector<std::string> passed_over;
  {
    ProgressLine line;
    const auto take = [&](ByteSpan to) -> Result<std::size_t> {
      for (;;) {
        if (Interruptible::was_interrupted()) return fail(Fault::unavailable, "interrupted; nothing was saved");
        const ssize_t count = ::read(file.get(), to.data(), to.size());
        if (count >= 0) return static_cast<std::size_t>(count);
        if (errno != EINTR) return failed("read", name);
      }
    };
    TarReader archive = TRY(within(name, TarReader::open(take)));
    passed_over = TRY(within(name, unpack(archive, folder, line)));
  }
  return save(common, place, folder.path(), options, passed_over);
}

}  // namespace

void add_export_verbs(CLI::App& app, Common& common) {
  const std::string group = "Documents";
  auto out = std::make_shared<ExportOptions>();
  CLI::App* verb =
      app.add_subcommand("export", "a library for who has no Dozo, as a plain folder or a tar archive: dozo export LIBRARY[:PATH] TO")->group(group);
  verb->add_option("place", out->place, "LIBRARY, or LIBRARY:PATH")->required();
  verb->add_option("target", out->target, "a new or empty folder; a file that ends in .tar; - is an archive on standard output")->required();
  verb->add_flag("--tar", out->tar, "an archive, whatever its name");
  verb->add_flag("-f,--force", out->force, "replace an archive that is there");
  add_moment(*verb, "--at", out->when, std::string("as it was then: ") + moment_help);
  verb->callback([=, &common] { finish(export_documents(common, *out)); });

  auto in = std::make_shared<ImportOptions>();
  verb = app.add_subcommand("import", "save what is in a folder or tar archive, with its times: dozo import FROM LIBRARY[:PATH]")->group(group);
  verb->add_option("source", in->source, "a folder; a tar archive, also compressed; - is an archive on standard input")->required();
  verb->add_option("place", in->place, "LIBRARY, or LIBRARY:PATH")->required();
  verb->add_option("-m,--message", in->text, "what to say about it in the history");
  verb->callback([=, &common] { finish(import_documents(common, *in)); });
}

}  // namespace dozo::tools
