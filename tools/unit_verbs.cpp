// The verbs of a unit's own administrators: unit key, publish, sign, offer, show (docs/policy.md, section 10).
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <iostream>

#include "policy/authoring.h"
#include "policy/enrolment.h"
#include "policy/envelope.h"
#include "policy/signing.h"
#include "policy/source.h"
#include "tools/authority_directory.h"
#include "tools/command.h"
#include "tools/print.h"

namespace dozo::tools {
namespace {

namespace local = node::local;
namespace fs = std::filesystem;

struct UnitOptions {
  std::string file, unit, output;
  std::vector<std::string> keys;
  bool yes = false;
  SecretOptions secret;
};

Result<void> make_unit_key(const Common& common, const UnitOptions& options) {
  const crypto::VerifyKey key = TRY(make_signing_key_file(options.file, unit_key_use, TRY(new_secret(options.secret, "the key in " + options.file))));
  if (common.json) {
    print({{"key", key.hex()}});
  } else {
    std::printf("%s\nheadquarters puts this into \"keys\" of the unit's [[delegation]]\n", key.hex().c_str());
  }
  return {};
}

Result<policy::OrgDocument> newest_of(const local::Unit& unit, const std::string& name) {
  if (!unit.newest.empty()) return policy::parse_org(unit.newest);
  policy::OrgDocument nothing;
  nothing.org = name;
  return nothing;
}

/// Who holds what, by the requests that lie beside the source.
Result<std::vector<policy::Person>> people_of(const policy::UnitSource& source, const fs::path& folder, const RealmId& realm) {
  std::vector<policy::Person> out;
  for (const auto& [who, request_file] : source.people) {
    const std::string file = (folder / request_file).string();
    const auto request = TRY(within(file, policy::read_request(TRY(node::read_file(file, policy::request_bytes_most)))));
    const auto* person = std::get_if<policy::PersonRequest>(&request);
    if (person == nullptr) return fail(Fault::malformed, file + ": not a person's request");
    if (person->realm != realm) return fail(Fault::denied, file + ": the request is for another realm");
    if (person->name != who.name) return fail(Fault::denied, file + ": the request is of \"" + person->name + "\", not of \"" + who.name + "\"");
    out.push_back({person->id, who.name, who.shown, person->key, who.tenures});
  }
  std::ranges::sort(out, {}, &policy::Person::id);
  return out;
}

Result<void> show_changes(const Common& common, const policy::OrgDocument& before, const policy::OrgDocument& after) {
  if (common.json) return {};
  const std::vector<std::string> changes = TRY(policy::changes_of(before, after));
  for (const std::string& line : changes) std::printf("%s\n", shown(line).c_str());
  if (changes.empty()) std::printf("it says what version %llu says\n", static_cast<unsigned long long>(before.header.version));
  std::fflush(stdout);
  return {};
}

Result<void> confirm(const policy::OrgDocument& it, bool yes) {
  if (yes) return {};
  if (!on_terminal(STDIN_FILENO)) misused("nothing was signed: read the above, then say --yes (there is no terminal to ask)");
  std::fprintf(stderr, "sign this as %s version %llu? (yes/no) ", it.org.c_str(), static_cast<unsigned long long>(it.header.version));
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "yes" ? Result<void>() : fail(Fault::denied, "nothing was signed");
}

Result<Bytes> signed_by(Bytes envelope, const UnitOptions& options, const local::Unit& unit) {
  for (const std::string& file : options.keys) {
    const crypto::SigningKey key = TRY(open_signing_key_file(file, options.secret, unit_key_use));
    if (std::ranges::find(unit.keys, key.public_key()) == unit.keys.end()) return fail(Fault::denied, file + ": headquarters delegates nothing to this key");
    envelope = TRY(policy::add_signature(envelope, key));
  }
  return envelope;
}

/// Hands it to the node where enough have signed; else it lies in `file` for the others.
Result<void> go_on(const Common& common, const Bytes& envelope, const local::Unit& unit, const policy::OrgDocument& it, const std::string& file) {
  const policy::Envelope read = TRY(policy::read_envelope(envelope));
  const auto signatures = std::ranges::count_if(unit.keys, [&](const crypto::VerifyKey& key) { return policy::verify(read, {{key}, 1}).has_value(); });
  if (!file.empty()) TRY(node::write_file(file, envelope, node::Secrecy::open, node::Existing::replace));
  const bool is_complete = signatures >= unit.threshold;
  if (!is_complete && file.empty()) misused(std::to_string(unit.threshold) + " must sign: give --output, for the others (dozo unit sign)");
  if (is_complete) {
    const auto offered = TRY(ask_for<local::Offered>(common, local::OfferRequest{{envelope}}));
    if (!offered.refused.empty()) return fail(Fault::denied, "the node refused it: " + offered.refused.front());
  }
  if (common.json) {
    print({{"unit", it.org}, {"version", it.header.version}, {"signatures", signatures}, {"threshold", unit.threshold}});
  } else if (is_complete) {
    std::printf("%s version %llu is in force at the unit's own nodes; what its people write counts once headquarters has listed it\n", it.org.c_str(),
                static_cast<unsigned long long>(it.header.version));
  } else {
    std::printf("signed by %lld of %u; the others: dozo unit sign %s\n", static_cast<long long>(signatures), unit.threshold, shown(file).c_str());
  }
  return {};
}

Result<void> publish_unit(const Common& common, const UnitOptions& options) {
  const Bytes text = TRY(node::read_file(options.file, std::size_t{16} << 20));
  const policy::UnitSource source = policy::read_unit_source(text_of(text), options.file);
  std::string mistakes;
  for (const policy::Mistake& it : source.mistakes) mistakes += (mistakes.empty() ? "" : "\n") + policy::text_of(it);
  if (!mistakes.empty()) return fail(Fault::malformed, mistakes);
  const auto status = TRY(ask_for<local::Status>(common, local::StatusRequest{}));
  const auto unit = TRY(ask_for<local::Unit>(common, local::UnitRequest{source.unit, {}, {}}));
  const policy::OrgDocument before = TRY(newest_of(unit, source.unit));
  const std::int64_t now_s = status.time_ms / 1000;  // which its node goes by
  policy::OrgDocument next{{status.realm, before.header.version + 1, now_s, now_s + source.days * policy::day_s}, source.unit, source.posts, {}, before.desks};
  next.people = TRY(people_of(source, fs::path(options.file).parent_path(), status.realm));
  const auto sealed = TRY(ask_for<local::Unit>(common, local::UnitRequest{source.unit, policy::format(next), {}}));
  TRY(show_changes(common, before, next));
  TRY(confirm(next, options.yes));
  const Bytes envelope = TRY(signed_by(policy::unsigned_envelope(policy::DocumentType::org, policy::org_name(source.unit), sealed.sealed), options, unit));
  return go_on(common, envelope, unit, next, options.output);
}

struct Opened {
  Bytes envelope;
  local::Unit unit;
  policy::OrgDocument document;
};
Result<Opened> open_unit_file(const Common& common, const std::string& file) {
  Opened out;
  out.envelope = TRY(node::read_file(file, policy::envelope_bytes_most(policy::DocumentType::org)));
  const policy::Envelope envelope = TRY(within(file, policy::read_envelope(out.envelope)));
  if (envelope.type != policy::DocumentType::org) return fail(Fault::malformed, file + ": not a unit's document");
  out.unit = TRY(ask_for<local::Unit>(common, local::UnitRequest{envelope.name.substr(policy::org_name("").size()), {}, out.envelope}));
  out.document = TRY(policy::parse_org(out.unit.plain));
  return out;
}

Result<void> sign_unit(const Common& common, const UnitOptions& options) {
  const Opened it = TRY(open_unit_file(common, options.file));
  TRY(show_changes(common, TRY(newest_of(it.unit, it.document.org)), it.document));
  TRY(confirm(it.document, options.yes));
  return go_on(common, TRY(signed_by(it.envelope, options, it.unit)), it.unit, it.document, options.file);
}

Result<void> offer_unit(const Common& common, const UnitOptions& options) {
  const Opened it = TRY(open_unit_file(common, options.file));
  return go_on(common, it.envelope, it.unit, it.document, options.file);
}

Result<void> show_unit(const Common& common, const UnitOptions& options) {
  const auto unit = TRY(ask_for<local::Unit>(common, local::UnitRequest{options.unit, {}, {}}));
  const policy::OrgDocument it = TRY(newest_of(unit, options.unit));
  if (common.json) {
    json people = json::array();
    for (const policy::Person& who : it.people) people.push_back({{"name", who.name}, {"shown", who.shown}, {"id", who.id.hex()}});
    print({{"unit", it.org},
           {"version", it.header.version},
           {"listed", unit.listed},
           {"threshold", unit.threshold},
           {"keys", unit.keys.size()},
           {"people", people}});
    return {};
  }
  std::printf("%s: version %llu, headquarters lists %llu; %u of %zu keys sign\n", it.org.c_str(), static_cast<unsigned long long>(it.header.version),
              static_cast<unsigned long long>(unit.listed), unit.threshold, unit.keys.size());
  for (const policy::Person& who : it.people) {
    std::string posts;
    for (const policy::Tenure& held : who.tenures) posts += (posts.empty() ? "" : ", ") + held.post;
    std::printf("  %s  %s  %s\n", who.name.c_str(), shown(who.shown).c_str(), posts.c_str());
  }
  return {};
}

}  // namespace

void add_unit_verbs(CLI::App& app, Common& common) {
  CLI::App* unit = app.add_subcommand("unit", "posts and people of a unit to which headquarters has delegated that")->group("Headquarters");
  unit->require_subcommand(1);
  const auto add = [&](const char* name, const char* text, auto&& run) {
    auto options = std::make_shared<UnitOptions>();
    CLI::App* verb = unit->add_subcommand(name, text);
    verb->callback([options, run, &common] { finish(run(common, *options)); });
    return std::pair(verb, options);
  };
  const auto add_signing = [](CLI::App* verb, UnitOptions& options) {
    verb->add_option("--key", options.keys, "key file of an administrator (may be given again)")->required()->type_name(takes::file);
    verb->add_flag("-y,--yes", options.yes, "do not ask");
    add_secret_options(*verb, options.secret);
  };
  {
    const auto [verb, options] = add("key", "make the key of one of the unit's administrators", make_unit_key);
    verb->add_option("file", options->file, "where to put it")->required()->type_name(takes::file);
    add_secret_options(*verb, options->secret);
  }
  {
    const auto [verb, options] = add("publish", "sign what a file says of the unit's posts and people, and hand it to the node of --home", publish_unit);
    verb->add_option("source", options->file, "TOML; requests of its persons lie beside it")->required()->type_name(takes::file);
    verb->add_option("-o,--output", options->output, "where to write it, for others to sign")->type_name(takes::file);
    add_signing(verb, *options);
  }
  {
    const auto [verb, options] = add("sign", "add a signature to what another administrator wrote; with enough of them it is handed to the node", sign_unit);
    verb->add_option("file", options->file, "as unit publish --output wrote it")->required()->type_name(takes::file);
    add_signing(verb, *options);
  }
  {
    const auto [verb, options] = add("offer", "hand what is signed to the node of --home, once more", offer_unit);
    verb->add_option("file", options->file, "as unit publish --output wrote it")->required()->type_name(takes::file);
  }
  {
    const auto [verb, options] = add("show", "who holds what in the unit, as far as it signs that itself", show_unit);
    verb->add_option("unit", options->unit, "its id")->required()->type_name(takes::name);
  }
}

}  // namespace dozo::tools
