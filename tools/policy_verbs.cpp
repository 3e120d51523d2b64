// The verbs policy check, explain, who-can and diff.
#include <CLI/CLI.hpp>
#include <chrono>

#include "policy/compare.h"
#include "policy/source.h"
#include "tools/command.h"
#include "tools/documents.h"
#include "tools/print.h"
#include "tools/secrets.h"

namespace dozo::tools {
namespace {

namespace local = node::local;
constexpr std::size_t source_bytes_most = 16U << 20;

std::int64_t now_ms() { return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count(); }

Result<void> check(const Common& common, const std::string& file) {
  const Bytes text = TRY(node::read_file(file, source_bytes_most));
  const auto [mistakes, warnings] = policy::check(text_of(text), file, now_ms() / 1000);
  json rows = json::array();
  for (const auto* list : {&mistakes, &warnings})
    for (const policy::Mistake& it : *list) {
      const bool is_warning = list == &warnings;
      if (common.json) {
        rows.push_back(
            {{"file", it.file}, {"line", it.line}, {"column", it.column}, {"text", it.text}, {"suggestion", it.suggestion}, {"warning", is_warning}});
      } else {
        std::printf("%s%s\n", shown(policy::text_of(it)).c_str(), is_warning ? " (a warning)" : "");
      }
    }
  if (common.json) print(rows);
  if (!mistakes.empty()) return fail(Fault::malformed, std::to_string(mistakes.size()) + (mistakes.size() == 1 ? " mistake in " : " mistakes in ") + file);
  if (!common.json) std::printf("%s: no mistakes\n", shown(file).c_str());
  return {};
}

constexpr const char* time_help = "as it will be or was then: a day, or a time of it (\"2026-11-27 14:05\")";

/// 0 where none is given.
std::int64_t time_of(const std::string& text) {
  if (text.empty()) return 0;
  const auto time_ms = time_ms_of(text);
  if (!time_ms) misused("\"" + shown(text) + "\" is no time: write a day, or a time of it (\"2026-11-27 14:05\")");
  return *time_ms;
}

/// As people wrote it, with ids that stand for those of who is not admitted yet.
Result<policy::Policy> policy_of(const std::string& file) {
  const Bytes text = TRY(node::read_file(file, source_bytes_most));
  const policy::Reading reading = policy::read_source(text_of(text), file);
  if (!reading.good()) return fail(Fault::malformed, policy::text_of(reading.mistakes.front()));
  policy::Compiled compiled = TRY(policy::compile(reading.source, policy::stand_in_names(reading.source)));
  return policy::Policy(PolicyVersion{0}, std::move(compiled.mesh), std::move(compiled.directory));
}

struct ExplainOptions {
  std::string who, action, library, source, role, when;
};

/// As the library's home node would decide it, for each capacity that the person has.
Result<local::Explained> explain_source(const ExplainOptions& options) {
  const policy::Policy policy = TRY(policy_of(options.source));
  const policy::Person* person = policy.person_by_name(options.who);
  if (person == nullptr) return fail(Fault::not_found, "no person \"" + options.who + "\" in " + options.source);
  const policy::LibraryTitle* title = policy.library_by_name(options.library);
  if (title == nullptr) return fail(Fault::not_found, "no library \"" + options.library + "\" in " + options.source);
  policy::Request request;
  request.person = person->id;
  request.node = policy.library(title->id)->home;
  request.action = *policy::action_named(options.action);  // one of those that the verb takes
  request.library = title->id;
  const std::int64_t time_ms = time_of(options.when);
  request.time_ms = time_ms != 0 ? time_ms : now_ms();
  local::Explained out;
  for (const policy::Policy::Capacity& it : policy.capacities(person->id, request.time_ms)) {
    if (!options.role.empty() && it.role != options.role) continue;
    request.role = it.role;
    request.org = it.org;
    out.allowed = out.allowed || policy.decide(request).allowed;
    out.text += (out.text.empty() ? "" : "\n") + policy.explain(request);
  }
  if (out.text.empty())
    out.text = options.who + " holds no post " + (time_ms != 0 ? "then" : "now") + (options.role.empty() ? "" : " with the role " + options.role) + ": denied";
  return out;
}

Result<void> explain(const Common& common, const ExplainOptions& options) {
  const auto explained = options.source.empty()
                             ? ask_for<local::Explained>(common, local::ExplainRequest{options.who, options.action, options.library, time_of(options.when)})
                             : explain_source(options);
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

struct WhoCanOptions {
  std::string action, library, source, when;
};

Result<local::Able> who_can_source(const WhoCanOptions& options) {
  const policy::Policy policy = TRY(policy_of(options.source));
  const policy::LibraryTitle* title = policy.library_by_name(options.library);
  if (title == nullptr) return fail(Fault::not_found, "no library \"" + options.library + "\" in " + options.source);
  const std::int64_t time_ms = time_of(options.when);
  local::Able out;
  for (policy::Able& it : policy::who_can(policy, *policy::action_named(options.action), title->id, time_ms != 0 ? time_ms : now_ms()))
    out.rows.push_back({std::move(it.name), std::move(it.shown), std::move(it.role), std::move(it.org), std::move(it.permits)});
  return out;
}

Result<void> who_can(const Common& common, const WhoCanOptions& options) {
  const auto able = options.source.empty() ? ask_for<local::Able>(common, local::WhoCanRequest{options.action, options.library, time_of(options.when)})
                                           : who_can_source(options);
  if (!able) return std::unexpected(able.error());
  json rows = json::array();
  for (const local::AbleRow& it : able->rows) {
    const bool is_node = it.role == policy::service_role;
    if (common.json) {
      rows.push_back(
          {{"name", it.name}, {"shown", it.shown}, {"kind", is_node ? "node" : "person"}, {"role", it.role}, {"org", it.org}, {"permits", it.permits}});
      continue;
    }
    std::string by;
    for (const std::string& permit : it.permits) by += (by.empty() ? " by " : ", ") + permit;
    if (is_node) {
      std::printf("node %s by itself%s\n", shown(it.name).c_str(), shown(by).c_str());
    } else {
      std::printf("%s (%s) as %s in %s%s\n", shown(it.name).c_str(), shown(it.shown).c_str(), shown(it.role).c_str(), shown(it.org).c_str(), shown(by).c_str());
    }
  }
  if (common.json) {
    print({{"policy", able->policy}, {"more", able->more}, {"rows", std::move(rows)}});
    return {};
  }
  if (able->rows.empty()) std::printf("nobody\n");
  if (able->more) std::printf("and more\n");
  if (options.source.empty()) std::printf("by policy %llu\n", static_cast<unsigned long long>(able->policy));
  return {};
}

struct SourcesOptions {
  std::string before, after, when;
};

Result<void> diff_sources(const Common& common, const SourcesOptions& options) {
  const policy::Policy before = TRY(policy_of(options.before)), after = TRY(policy_of(options.after));
  const std::int64_t time_ms = time_of(options.when);
  const std::vector<std::string> lines = policy::compare_rights(before, after, time_ms != 0 ? time_ms : now_ms());
  if (common.json) {
    print(json(lines));
    return {};
  }
  for (const std::string& line : lines) std::printf("%s\n", shown(line).c_str());
  if (lines.empty()) std::printf("nobody's rights change\n");
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
  const auto add_action = [](CLI::App& to, std::string& action) {
    to.add_option("action", action, "what is to be done")
        ->required()
        ->type_name("ACTION")
        ->check(CLI::IsMember({"discover", "read", "write", "replicate", "carry-out", "administer"}));
  };
  const auto add_time = [](CLI::App& to, std::string& when) { add_moment(to, "--at", when, time_help); };
  constexpr const char* source_help = "decide by this policy source instead of asking a node";
  add_action(*verb, options->action);
  verb->add_option("library", options->library, "name or title")->required()->type_name(takes::library);
  auto* source = verb->add_option("--source", options->source, source_help)->type_name(takes::file);
  verb->add_option("--role", options->role, "in this role alone")->needs(source)->type_name("ROLE");
  add_time(*verb, options->when);
  verb->callback([=, &common] { finish(explain(common, *options)); });

  auto who = std::make_shared<WhoCanOptions>();
  verb = policy->add_subcommand("who-can", "who may do ACTION in LIBRARY, in which capacity, and by which rules");
  add_action(*verb, who->action);
  verb->add_option("library", who->library, "name or title")->required()->type_name(takes::library);
  verb->add_option("--source", who->source, source_help)->type_name(takes::file);
  add_time(*verb, who->when);
  verb->callback([=, &common] { finish(who_can(common, *who)); });

  auto both = std::make_shared<SourcesOptions>();
  verb = policy->add_subcommand("diff", "who gains and loses what from one policy source to another");
  verb->add_option("before", both->before, "policy.toml")->required()->type_name(takes::file);
  verb->add_option("after", both->after, "policy.toml")->required()->type_name(takes::file);
  add_time(*verb, both->when);
  verb->callback([=, &common] { finish(diff_sources(common, *both)); });
}

}  // namespace dozo::tools
