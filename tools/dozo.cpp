// dozo: the command that people type (docs/cli.md).
#include <sys/prctl.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "base/memory.h"
#include "crypto/start.h"
#include "tools/command.h"
#include "tools/completion.h"

namespace {

int fail_with(int status, std::string_view text) {
  std::fflush(stdout);
  for (std::string_view left = text; !left.empty();) {  // a list of mistakes has several lines
    const std::size_t end = std::min(left.find('\n'), left.size());
    std::fprintf(stderr, "dozo: %s\n", dozo::tools::shown(left.substr(0, end)).c_str());
    left.remove_prefix(std::min(end + 1, left.size()));
  }
  return status;
}

/// Results that could not be written are no results.
int flushed(int status) {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return status;
  return fail_with(status != 0 ? status : 1, "standard output cannot be written");
}

/// Passphrases and keys pass through: no core file, and no other process of this user may look in.
void close_process() {
  ::prctl(PR_SET_DUMPABLE, 0);
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
}

int run(int argc, char** argv) {
  using namespace dozo;
  if (const auto started = crypto::start(); !started) return fail_with(tools::exit_status(started.error().fault), started.error().text);
  tools::Common common;
  if (const char* home = std::getenv("DOZO_HOME")) common.home = home;
  CLI::App app("Dozo: documents shared among the nodes of a realm, under the policy of its headquarters.", "dozo");
  app.require_subcommand(1);
  app.fallthrough();  // --home and --json may stand before or after the verb
  app.set_version_flag("--version", std::string("dozo " DOZO_VERSION));
  app.add_option("--home", common.home, "the home of the node to ask (else DOZO_HOME)")->type_name(tools::takes::folder);
  app.add_flag("--json", common.json, "results as JSON");
  tools::add_document_verbs(app, common);
  tools::add_export_verbs(app, common);
  tools::add_reading_verbs(app, common);
  tools::add_node_verbs(app, common);
  tools::add_fsck_verb(app, common);
  tools::add_person_verbs(app, common);
  tools::add_unit_verbs(app, common);
  tools::add_authority_verbs(app, common);
  tools::add_policy_verbs(app, common);
  tools::add_completion_verb(app);
  tools::add_manual_verb(app);
  if (argc > 1 && std::string_view(argv[1]) == "complete")  // before CLI11 reads what people are still typing
    return tools::complete(app, common, std::vector<std::string>(argv + 2, argv + argc));
  try {
    app.parse(argc, argv);
    return flushed(0);
  } catch (const tools::Failed& failed) {
    return flushed(fail_with(tools::exit_status(failed.error.fault), failed.error.text));
  } catch (const CLI::Success& asked) {  // --help, --version
    return flushed(app.exit(asked));
  } catch (const CLI::RequiredError& error) {
    const CLI::App* at = &app;
    while (!at->get_subcommands().empty()) at = at->get_subcommands().front();
    const std::vector<std::string> rest = app.remaining(true);  // what falls through from a verb's verbs, too
    // What is missing may be there, and be no verb.
    const std::string why = rest.empty() || !at->get_require_subcommand_min() ? error.what() : "there is no verb " + tools::shown(rest.front());
    return fail_with(2, why + " (dozo --help, dozo VERB --help)");
  } catch (const CLI::ParseError& error) {
    return fail_with(2, std::string(error.what()) + " (dozo --help, dozo VERB --help)");
  }
}

}  // namespace

int main(int argc, char** argv) {
  close_process();
  dozo::end_when_out_of_memory("dozo: out of memory\n", dozo::tools::exit_status(dozo::Fault::unavailable));
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    return fail_with(1, error.what());
  }
}
