// dozo fsck: a stopped home, checked and put right.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>

#include "node/fsck.h"
#include "tools/command.h"
#include "tools/print.h"
#include "tools/secrets.h"

namespace dozo::tools {
namespace {

struct FsckVerb {
  std::string home;
  bool rebuild{}, sealed{};
  SecretOptions secret;
};

void show_checked(const node::FsckProgress& it) {
  std::string line(it.step);
  if (it.bytes > 0) line += "  " + size_text(it.bytes);
  if (it.bytes > 0 && it.bytes_total > 0) line += " of " + size_text(it.bytes_total);
  std::fprintf(stderr, "\r\033[K%s", line.c_str());
  std::fflush(stderr);
}

void print_report(const node::FsckReport& it) {
  json findings = json::array();
  for (const node::Finding& finding : it.findings) {
    findings.push_back({{"kind", node::name_of(finding.kind)}, {"state", node::name_of(finding.state)}, {"text", finding.text}});
  }
  print({{"sound", it.sound()},
         {"opened", it.opened},
         {"damaged", it.damaged},
         {"findings", findings},
         {"findings_left_out", it.findings_left_out},
         {"documents", it.documents},
         {"feeds", it.feeds},
         {"entries", it.entries},
         {"packs", it.packs},
         {"pack_bytes", it.pack_bytes},
         {"pieces", it.pieces},
         {"records", it.records},
         {"contents", it.contents},
         {"content_bytes", it.content_bytes},
         {"commits", it.commits}});
}

void show_report(const node::FsckReport& it) {
  for (const node::Finding& finding : it.findings) {
    std::printf("%-8s %-11s %s\n", std::string(node::name_of(finding.state)).c_str(), std::string(node::name_of(finding.kind)).c_str(),
                shown(finding.text).c_str());
  }
  if (it.findings_left_out > 0) std::printf("and %llu more\n", static_cast<unsigned long long>(it.findings_left_out));
  const auto number = [](std::uint64_t value) { return static_cast<unsigned long long>(value); };
  std::printf("%llu documents, %llu feeds, %llu entries, %llu packs (%s)\n", number(it.documents), number(it.feeds), number(it.entries), number(it.packs),
              size_text(it.pack_bytes).c_str());
  if (it.opened) {
    std::printf("opened: %llu pieces, %llu records, %llu contents (%s), %llu commits\n", number(it.pieces), number(it.records), number(it.contents),
                size_text(it.content_bytes).c_str(), number(it.commits));
  }
}

Result<void> check_home(const Common& common, const FsckVerb& verb) {
  const node::Home home = TRY(node::open_home(verb.home));
  {
    const node::HomeLock free = TRY(node::lock_home(home));
  }  // before a passphrase is asked for
  std::optional<node::HomeKeys> keys;
  if (!verb.sealed) keys = TRY(open_home_keys(home, verb.secret));
  node::FsckOptions options;
  options.rebuild = verb.rebuild;
  options.wall_ms = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  const bool with_progress = on_terminal(STDERR_FILENO);
  if (with_progress) options.progress = show_checked;
  const auto report = node::fsck(home, keys ? &*keys : nullptr, options);
  if (with_progress) std::fputs("\r\033[K", stderr);
  if (!report) return std::unexpected(report.error());
  if (common.json) {
    print_report(*report);
  } else {
    show_report(*report);
  }
  if (report->sound()) return {};
  return fail(Fault::corrupt,
              std::to_string(report->damaged) + " damages in " + home.path.string() +
                  (verb.rebuild ? " could not be put right: docs/operations.md" : ": dozo fsck --rebuild puts right what can be put right from here"));
}

}  // namespace

void add_fsck_verb(CLI::App& app, Common& common) {
  auto options = std::make_shared<FsckVerb>();
  CLI::App* verb = app.add_subcommand("fsck", "check everything in the home of a node that does not run")->group("Nodes and persons");
  verb->add_option("folder", options->home, "the home to check")->required()->type_name(takes::folder);
  auto* rebuild = verb->add_flag("--rebuild", options->rebuild, "put right what can be, and make everything derived anew");
  verb->add_flag("--sealed", options->sealed, "without the home's keys: only what can be seen without any")->excludes(rebuild);
  add_secret_options(*verb, options->secret);
  verb->callback([=, &common] { finish(check_home(common, *options)); });
}

}  // namespace dozo::tools
