// The verbs for the day when somebody must be stopped at once: authority suspend, ratify, lift.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <map>

#include "policy/envelope.h"
#include "policy/trust.h"
#include "tools/authority_signing.h"
#include "tools/print.h"

namespace dozo::tools {
namespace {

namespace local = node::local;

/// A suspension, and which of the root's officers signed it.
struct Known {
  policy::Suspend suspend;
  crypto::VerifyKey officer;
};
Result<std::vector<Known>> known_of(const std::vector<Bytes>& envelopes, std::span<const crypto::VerifyKey> officers) {
  std::vector<Known> out;
  for (const Bytes& bytes : envelopes) {
    const policy::Envelope envelope = TRY(policy::read_envelope(bytes));
    if (envelope.type != policy::DocumentType::suspend) continue;
    for (const crypto::VerifyKey& key : officers)
      if (policy::verify(envelope, {{key}, 1})) {
        out.push_back({TRY(policy::parse_suspend(envelope.payload)), key});
        break;
      }
  }
  return out;
}

template <class T>
void add_to(std::vector<T>& to, const std::vector<T>& from) {
  to.insert(to.end(), from.begin(), from.end());
  std::ranges::sort(to);
  to.erase(std::ranges::unique(to).begin(), to.end());
}

// ---- suspend ---------------------------------------------------------------------------------------------------------
struct SuspendOptions {
  std::string key, reason;
  std::vector<std::string> nodes, people, units, roles, libraries;
  bool everything = false, yes = false;
  std::uint32_t hours = 0;
  SecretOptions secret;
};

Result<void> suspend(const Common& common, const SuspendOptions& options) {
  if (options.nodes.empty() && options.people.empty() && options.units.empty() && options.roles.empty() && options.libraries.empty() && !options.everything)
    misused("say whom: --node, --person, --unit, --role, --library or --everything");
  if (!options.yes) {
    if (!on_terminal(STDIN_FILENO)) misused("nothing was signed: say --yes (there is no terminal to ask)");
    std::fprintf(stderr, "suspend at every node that can be reached? Only a publication by the policy's custodians ends it sooner. (yes/no) ");
    std::string answer;
    std::getline(std::cin, answer);
    if (answer != "yes") return fail(Fault::denied, "nothing was signed");
  }
  const auto subjects =
      TRY(ask_for<local::Subjects>(common, local::SubjectsRequest{options.nodes, options.people, options.libraries, options.units, options.roles}));
  const auto status = TRY(ask_for<local::Status>(common, local::StatusRequest{}));
  const crypto::SigningKey key = TRY(open_signing_key_file(options.key, options.secret));
  const std::vector<crypto::VerifyKey> self{key.public_key()};

  policy::Suspend it;
  const std::int64_t now = status.time_ms / 1000;  // which its node goes by
  const std::int64_t hours = options.hours != 0 ? options.hours : options.everything ? policy::wide_s_most / 3600 : policy::suspend_s_most / 3600;
  it.header = {status.realm, static_cast<std::uint64_t>(now), now, now + hours * 3600};
  it.reason = options.reason;
  it.whom.realm = options.everything;
  for (const Known& before : TRY(known_of(subjects.suspensions, self))) {
    it.header.version = std::max(it.header.version, before.suspend.header.version + 1);
    if (before.suspend.header.expires_s <= now) continue;
    it.whom = before.suspend.whom;  // what this officer has suspended stays
    it.whom.realm = it.whom.realm || options.everything;
    it.header.expires_s = std::max(it.header.expires_s, before.suspend.header.expires_s);
  }
  add_to(it.whom.nodes, subjects.nodes);
  add_to(it.whom.people, subjects.people);
  add_to(it.whom.libraries, subjects.libraries);
  add_to(it.whom.orgs, options.units);
  add_to(it.whom.roles, options.roles);
  const Bytes payload = policy::format(it);
  TRY(policy::parse_suspend(payload));
  const Bytes envelope = TRY(policy::add_signature(policy::unsigned_envelope(policy::DocumentType::suspend, "suspend", payload), key));
  const auto offered = TRY(ask_for<local::Offered>(common, local::OfferRequest{{envelope}}));
  if (!offered.refused.empty()) return fail(Fault::denied, "the node refused it: " + offered.refused.front());
  if (common.json) {
    print({{"number", it.header.version}, {"expires_s", it.header.expires_s}});
  } else {
    std::printf("suspended, and on its way to every node; without a word of the policy's custodians it ends in %lld hours\n",
                static_cast<long long>((it.header.expires_s - now) / 3600));
  }
  return {};
}

// ---- ratify, lift ----------------------------------------------------------------------------------------------------
struct SettleOptions {
  std::string directory;
};

std::string listed(const char* key, const std::vector<std::string>& names) {
  if (names.empty()) return {};
  std::string out = std::string(key) + " = [";
  for (std::size_t i = 0; i < names.size(); ++i) out += (i == 0 ? "\"" : ", \"") + names[i] + "\"";
  return out + "]\n";
}
template <class Map, class Id, class Get>
std::vector<std::string> names_of(const Map& map, const std::vector<Id>& ids, Get&& get, std::vector<std::string>& unknown) {
  std::vector<std::string> out;
  for (const Id& id : ids) {
    const auto at = std::ranges::find_if(map, [&](const auto& it) { return get(it.second) == id; });
    if (at == map.end()) {
      unknown.push_back(id.hex());
    } else {
      out.push_back(at->first);
    }
  }
  return out;
}

/// The number in the [[lift]] of that officer, whose table is there.
void raise_lift(std::string& text, const std::string& officer, std::uint64_t number) {
  const std::size_t officer_at = text.find(officer);
  const std::size_t table = officer_at == std::string::npos ? officer_at : text.rfind("[[lift]]", officer_at);
  const std::size_t key = table == std::string::npos ? table : text.find("up_to", table);
  const std::size_t digits = key == std::string::npos ? key : text.find_first_of("0123456789", key);
  if (digits == std::string::npos) return;
  const std::size_t end = text.find_first_not_of("0123456789", digits);
  text.replace(digits, (end == std::string::npos ? text.size() : end) - digits, std::to_string(number));
}

/// Puts tables into policy.toml: what officers have suspended as the policy's own (`keep`), and that theirs is over.
Result<void> settle(const Common& common, const SettleOptions& options, bool keep) {
  AuthorityDirectory directory = TRY(AuthorityDirectory::open(options.directory));
  const auto documents = TRY(ask_for<local::Documents>(common, local::DocumentsRequest{}));
  const std::int64_t now = TRY(ask_for<local::Status>(common, local::StatusRequest{})).time_ms / 1000;
  std::string text = TRY(directory.source_text());
  const std::string source_name = directory.source_path().string();
  const policy::Reading before = policy::read_source(text, source_name);
  if (!before.good()) return fail(Fault::malformed, policy::text_of(before.mistakes.front()));
  const Register& entries = directory.entries();
  std::size_t count = 0;
  std::map<crypto::VerifyKey, std::uint64_t> wanted;
  std::vector<std::string> unknown;
  for (const Known& it : TRY(known_of(documents.envelopes, directory.root().keys_of(policy::SigningRole::emergency).keys))) {
    const auto lifted = std::ranges::find(before.source.lifts, it.officer, &policy::SourceLift::officer);
    const bool is_there = lifted != before.source.lifts.end();
    if (it.suspend.header.expires_s <= now || (is_there && lifted->up_to >= it.suspend.header.version)) continue;
    ++count;
    wanted[it.officer] = it.suspend.header.version;
    if (!text.ends_with('\n')) text += '\n';
    const policy::Stopped& whom = it.suspend.whom;
    if (keep) {
      std::string reason;
      for (const char c : it.suspend.reason) reason += (c == '"' || c == '\\' ? "\\" : "") + std::string(1, c);
      text += "\n[[stop]]  # ratified\nreason = \"" + (reason.empty() ? "suspended by an officer" : reason) + "\"\n" +
              listed("nodes", names_of(
                                  entries.nodes, whom.nodes, [](const auto& node) { return node.id; }, unknown)) +
              listed("people", names_of(
                                   entries.people, whom.people, [](const auto& person) { return person.id; }, unknown)) +
              listed("libraries", names_of(
                                      entries.libraries, whom.libraries, [](const auto& id) { return id; }, unknown)) +
              listed("orgs", whom.orgs) + listed("roles", whom.roles) + (whom.realm ? "realm_wide = true\n" : "");
    }
    if (is_there) {
      raise_lift(text, it.officer.hex(), it.suspend.header.version);
    } else {
      text += "\n[[lift]]\nofficer = \"" + it.officer.hex() + "\"\nup_to = " + std::to_string(it.suspend.header.version) + "\n";
    }
  }
  if (count == 0) return fail(Fault::not_found, "no officer's suspension is in force");
  const policy::Reading after = policy::read_source(text, source_name);
  if (!after.good()) return fail(Fault::malformed, "policy.toml would have a mistake: " + policy::text_of(after.mistakes.front()));
  for (const policy::SourceLift& raised : after.source.lifts)
    for (const auto& [officer, number] : wanted)
      if (raised.officer == officer && raised.up_to < number)
        return fail(Fault::malformed,
                    source_name + ":" + std::to_string(raised.line) + ": raise this officer's up_to to " + std::to_string(number) + " by hand");
  TRY(directory.save_source(text));
  for (const std::string& id : unknown) std::fprintf(stderr, "dozo: nobody is admitted under the id %s, which was suspended: left out\n", id.c_str());
  if (common.json) {
    print({{"suspensions", count}, {"left_out", unknown}});
  } else {
    std::printf("%zu suspensions are %s in policy.toml; look at it, then publish\n", count, keep ? "the policy's own now," : "lifted");
  }
  return {};
}

}  // namespace

void add_suspend_verbs(CLI::App& authority, Common& common) {
  auto options = std::make_shared<SuspendOptions>();
  CLI::App* verb = authority.add_subcommand("suspend", "stop somebody or something at once, with one officer's key, through the node of --home");
  verb->add_option("--key", options->key, "the officer's key file")->required()->type_name(takes::file);
  verb->add_option("--node", options->nodes, "served nothing, and what it writes waits (may be given again, as the next ones)")->type_name(takes::name);
  verb->add_option("--person", options->people, "may not work at any node, and what he writes waits")->type_name(takes::name);
  verb->add_option("--unit", options->units, "everybody with a post there")->type_name(takes::name);
  verb->add_option("--role", options->roles, "everybody with that role")->type_name(takes::name);
  verb->add_option("--library", options->libraries, "nobody works in it, and it is served to nobody")->type_name(takes::name);
  verb->add_flag("--everything", options->everything, "every library; at most 4 hours in 7 days, as is all that stops most of the realm");
  verb->add_option("--reason", options->reason, "one line, shown to those whom it stops")->required()->type_name("TEXT");
  verb->add_option("--hours", options->hours, "for how long at most (336; with --everything 4)")->check(CLI::Range(1U, 336U))->type_name("HOURS");
  verb->add_flag("-y,--yes", options->yes, "do not ask");
  add_secret_options(*verb, options->secret);
  verb->callback([=, &common] { finish(suspend(common, *options)); });

  for (const bool keep : {true, false}) {
    auto settle_options = std::make_shared<SettleOptions>();
    verb = authority.add_subcommand(keep ? "ratify" : "lift", keep ? "make what officers have suspended the policy's own, in policy.toml"
                                                                   : "end what officers have suspended, in policy.toml");
    verb->add_option("directory", settle_options->directory, "the authority's folder")->required()->type_name(takes::folder);
    verb->callback([=, &common] { finish(settle(common, *settle_options, keep)); });
  }
}

}  // namespace dozo::tools
