// The verbs policy check and policy explain.
#include <CLI/CLI.hpp>
#include <chrono>

#include "policy/policy.h"
#include "policy/source.h"
#include "tools/command.h"
#include "tools/print.h"
#include "tools/secrets.h"

namespace dozo::tools {
namespace {

namespace local = node::local;
constexpr std::size_t source_bytes_most = 16U << 20;

Result<void> check(const Common& common, const std::string& file) {
  const Bytes text = TRY(node::read_file(file, source_bytes_most));
  const auto mistakes = policy::check(text_of(text), file);
  json rows = json::array();
  for (const policy::Mistake& it : mistakes) {
    if (common.json) {
      rows.push_back({{"file", it.file}, {"line", it.line}, {"column", it.column}, {"text", it.text}, {"suggestion", it.suggestion}});
    } else {
      std::printf("%s\n", shown(policy::text_of(it)).c_str());
    }
  }
  if (common.json) print(rows);
  if (!mistakes.empty()) return fail(Fault::malformed, std::to_string(mistakes.size()) + (mistakes.size() == 1 ? " mistake in " : " mistakes in ") + file);
  if (!common.json) std::printf("%s: no mistakes\n", shown(file).c_str());
  return {};
}

struct ExplainOptions {
  std::string who, action, library, source, role;
};

/// As the library's home node would decide it now, for each capacity that the person has.
Result<local::Explained> explain_source(const ExplainOptions& options) {
  const Bytes text = TRY(node::read_file(options.source, source_bytes_most));
  const policy::Reading reading = policy::read_source(text_of(text), options.source);
  if (!reading.good()) return fail(Fault::malformed, policy::text_of(reading.mistakes.front()));
  policy::Compiled compiled = TRY(policy::compile(reading.source, policy::stand_in_names(reading.source)));
  const policy::Policy policy(PolicyVersion{0}, std::move(compiled.mesh), std::move(compiled.directory));
  const policy::Person* person = policy.person_by_name(options.who);
  if (person == nullptr) return fail(Fault::not_found, "no person \"" + options.who + "\" in " + options.source);
  const policy::LibraryTitle* title = policy.library_by_name(options.library);
  if (title == nullptr) return fail(Fault::not_found, "no library \"" + options.library + "\" in " + options.source);
  policy::Request request;
  request.person = person->id;
  request.node = policy.library(title->id)->home;
  request.action = *policy::action_named(options.action);  // one of those that the verb takes
  request.library = title->id;
  request.time_ms = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  local::Explained out;
  for (const policy::Policy::Capacity& it : policy.capacities(person->id, request.time_ms)) {
    if (!options.role.empty() && it.role != options.role) continue;
    request.role = it.role;
    request.org = it.org;
    out.allowed = out.allowed || policy.decide(request).allowed;
    out.text += (out.text.empty() ? "" : "\n") + policy.explain(request);
  }
  if (out.text.empty()) out.text = options.who + " holds no post now" + (options.role.empty() ? "" : " with the role " + options.role) + ": denied";
  return out;
}

Result<void> explain(const Common& common, const ExplainOptions& options) {
  const auto explained =
      options.source.empty() ? ask_for<local::Explained>(common, local::ExplainRequest{options.who, options.action, options.library}) : explain_source(options);
  if (!explained) return std::unexpected(explained.error());
  if (common.json) {
    print({{"allowed", explained->allowed}, {"text", explained->text}});
  } else {
    for (std::string_view left = explained->text; !left.empty();) {
      const std::size_t end = std::min(left.find('\n'), left.size());
      std::printf("%s\n", shown(left.substr(0, end)).c_str());
      left.remove_prefix(std::min(end + 1, left.size()));
    }
  }
  return {};
}

}  // namespace

void add_policy_verbs(CLI::App& app, Common& common) {
  CLI::App* policy = app.add_subcommand("policy", "check a policy, and ask why it decides as it does")->group("Headquarters");
  policy->require_subcommand(1);
  auto file = std::make_shared<std::string>();
  CLI::App* verb = policy->add_subcommand("check", "find the mistakes of a policy source, and run its own tests");
  verb->add_option("file", *file, "policy.toml")->required()->type_name(takes::file);
  verb->callback([=, &common] { finish(check(common, *file)); });

  auto options = std::make_shared<ExplainOptions>();
  verb = policy->add_subcommand("explain", "may WHO do ACTION in LIBRARY, and by which rules");
  verb->add_option("who", options->who, "a person's name")->required()->type_name(takes::name);
  verb->add_option("action", options->action, "what is to be done")
      ->required()
      ->type_name("ACTION")
      ->check(CLI::IsMember({"discover", "read", "write", "replicate", "carry-out", "administer"}));
  verb->add_option("library", options->library, "name or title")->required()->type_name(takes::library);
  auto* source = verb->add_option("--source", options->source, "decide by this policy source instead of asking a node")->type_name(takes::file);
  verb->add_option("--role", options->role, "in this role alone")->needs(source)->type_name("ROLE");
  verb->callback([=, &common] { finish(explain(common, *options)); });
}

}  // namespace dozo::tools
