// The verbs of HQ: authority init, admit, revoke, draft, publish, offer, install.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <chrono>
#include <iostream>

#include "tools/authority_publish.h"
#include "tools/authority_signing.h"
#include "tools/command.h"
#include "tools/print.h"

namespace dozo::tools {
namespace {

namespace local = node::local;
using policy::SigningRole;

std::int64_t now_s() { return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count(); }

/// "K/N": K of N keys or shares, of which there may be `most`.
RealmPlan::Quorum quorum(const std::string& text, std::uint32_t most) {
  RealmPlan::Quorum out;
  const std::size_t slash = text.find('/');
  const auto number = [](std::string_view digits, std::uint32_t& to) {
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), to);
    return error == std::errc() && end == digits.data() + digits.size();
  };
  if (slash == std::string::npos || !number(std::string_view(text).substr(0, slash), out.threshold) ||
      !number(std::string_view(text).substr(slash + 1), out.count) || out.threshold < 1 || out.threshold > out.count || out.count > most)
    misused("\"" + shown(text) + "\" is not K/N, like 2/3, with N at most " + std::to_string(most));
  return out;
}

// ---- init ------------------------------------------------------------------------------------------------------------
struct InitOptions {
  std::string directory, realm, recovery = "2/3";
  std::map<SigningRole, std::string> quorums;
  std::uint32_t root_days = 3650;
  SecretOptions secret;
};

Result<void> init(const Common& common, const InitOptions& options) {
  RealmPlan plan;
  plan.name = options.realm;
  plan.root_days = options.root_days;
  plan.recovery = quorum(options.recovery, recovery_shares_most);
  for (const auto& [role, text] : options.quorums)
    if (!text.empty()) plan.roles[role] = quorum(text, role_keys_most);
  const crypto::Unlocking unlocking = TRY(new_secret(options.secret, "the keys in " + options.directory));
  TRY(AuthorityDirectory::create(options.directory, plan, unlocking, now_s()));
  const AuthorityDirectory made = TRY(AuthorityDirectory::open(options.directory));
  const std::string realm = made.realm().realm.hex();
  if (common.json) {
    print({{"realm", realm}, {"directory", options.directory}, {"recovery_threshold", plan.recovery.threshold}, {"recovery_shares", plan.recovery.count}});
  } else {
    std::printf("made the realm %s\nid %s\n", shown(options.realm).c_str(), realm.c_str());
    std::printf("give realm.json to the nodes, and the id to their people by another way\n");
    std::printf("carry shares/share-1 to share-%u to different places, then remove them here; %u of them bring every key back\n", plan.recovery.count,
                plan.recovery.threshold);
  }
  return {};
}

// ---- admit, revoke ---------------------------------------------------------------------------------------------------
struct AdmitOptions {
  std::string directory;
  std::vector<std::string> requests;
  bool replace = false, without_key_authority = false;
  SecretOptions secret;
};

Result<void> admit_all(const Common& common, const AdmitOptions& options) {
  AuthorityDirectory directory = TRY(AuthorityDirectory::open(options.directory));
  json rows = json::array();
  for (const Admitted& it : TRY(admit(directory, options.requests, options.replace,
                                      options.without_key_authority ? Checking::signature_alone : Checking::all_keys, options.secret))) {
    if (common.json) {
      rows.push_back({{"name", it.name}, {"kind", it.is_node ? "node" : "person"}, {"known", it.was_known}, {"in_source", it.in_source}});
      continue;
    }
    std::printf("%s %s %s\n", it.is_node ? "node" : "person", it.name.c_str(), it.was_known ? "was admitted already" : "admitted");
    if (!it.in_source) std::printf("policy.toml could not be added to; put this into it:\n%s", it.table.c_str());
  }
  if (common.json) print(rows);
  return {};
}

struct RevokeOptions {
  std::string directory, name;
  bool no_cut = false, cut_all = false;
};

Result<local::Heads> heads_of(const Common& common, const policy::CutSubject& subject) {
  local::HeadsRequest request;
  if (const auto* node = std::get_if<NodeId>(&subject)) {
    request.node = *node;
  } else {
    request.person = std::get<PersonId>(subject);
  }
  return ask_for<local::Heads>(common, request);
}

Result<void> revoke_one(const Common& common, const RevokeOptions& options) {
  AuthorityDirectory directory = TRY(AuthorityDirectory::open(options.directory));
  const auto subject = TRY(subject_named(directory, options.name));
  std::optional<local::Heads> heads;
  if (subject && !options.no_cut && !options.cut_all) {
    if (common.home.empty())
      misused("name the home of HQ's node with --home, so that what it knows of " + options.name +
              " stays; or say --no-cut (all that it wrote stays), or --cut-all (nothing does)");
    if (*subject == policy::CutSubject(TRY(ask_for<local::Status>(common, local::StatusRequest{})).node))
      return fail(Fault::denied, options.name + " is the node of --home, which is to say what stays and take the publication: name another of HQ's nodes");
    heads = TRY(heads_of(common, *subject));
  }
  const std::size_t known = heads ? heads->rows.size() : 0;
  TRY(revoke(directory, options.name, !options.no_cut, heads));
  if (common.json) {
    print({{"name", options.name}, {"feeds", known}});
  } else {
    std::printf("%s is out from the next publication on: dozo authority publish %s\n", options.name.c_str(), shown(options.directory).c_str());
  }
  return {};
}

// ---- publish, offer, install -----------------------------------------------------------------------------------------
struct PublishOptions {
  std::string directory;
  std::vector<std::string> keys, units;
  bool yes = false, without_key_authority = false, no_cut = false, cut_all = false;
  SecretOptions secret;
};

Cutting cutting_of(const Common& common, const PublishOptions& options) {
  Cutting out{options.no_cut ? Staying::all : options.cut_all ? Staying::nothing : Staying::known, nullptr};
  if (!common.home.empty()) out.ask = [&common](const policy::CutSubject& subject) { return heads_of(common, subject); };
  return out;
}

constexpr std::size_t offered_bytes_most = 4U << 20;  ///< at a time, of several documents

Result<std::uint64_t> hand_over(const Common& common, const AuthorityDirectory& directory) {
  if (TRY(ask_for<local::Status>(common, local::StatusRequest{})).realm != directory.realm().realm)
    return fail(Fault::denied, common.home + " is a node of another realm than " + directory.path().string());
  // As many at a time as a message holds; in the order in which a node takes them.
  local::Offered offered;
  local::OfferRequest some;
  std::size_t bytes = 0;
  const auto offer_some = [&]() -> Result<void> {
    offered = TRY(ask_for<local::Offered>(common, some));
    for (const std::string& line : offered.refused) std::fprintf(stderr, "dozo: the node refused %s\n", shown(line).c_str());
    some.envelopes.clear();
    bytes = 0;
    return {};
  };
  for (Bytes& envelope : TRY(envelopes_of(directory))) {
    if (!some.envelopes.empty() && bytes + envelope.size() > offered_bytes_most) TRY(offer_some());
    bytes += envelope.size();
    some.envelopes.push_back(std::move(envelope));
  }
  TRY(offer_some());
  const PolicyVersion version = TRY(directory.newest_version());
  if (offered.policy < version.value)
    return fail(Fault::denied, "the node is at policy " + std::to_string(offered.policy) + ", not at " + std::to_string(version.value) + " as published");
  // A version that no node ever took in would break the chain by which the older ones are known: each vouches for the one before it, so newest first.
  const std::vector<PolicyVersion> versions = directory.versions();
  for (std::size_t i = versions.size(); i-- > 1;) {
    const policy::Publication older = TRY(directory.publication(versions[i - 1]));
    TRY(ask_for<local::Offered>(common, local::OfferRequest{{older.at("snapshot")}}));
    for (const auto& [name, envelope] : older)
      if (name == "mesh" || name == "directory" || policy::is_org_name(name)) TRY(ask_for<local::Offered>(common, local::OfferRequest{{envelope}}));
  }
  return offered.policy;
}

Result<bool> confirmed(PolicyVersion version) {
  if (!on_terminal(STDIN_FILENO)) misused("nothing was signed: read the above, then say --yes (there is no terminal to ask)");
  std::fprintf(stderr, "sign and publish this as version %llu? (yes/no) ", static_cast<unsigned long long>(version.value));
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "yes";
}

/// What units have signed: in these files, and as the node of --home knows it.
Result<std::vector<Bytes>> units_of(const Common& common, const std::vector<std::string>& files) {
  std::vector<Bytes> out;
  for (const std::string& file : files) {
    Bytes bytes = TRY(node::read_file(file, policy::envelope_bytes_most(policy::DocumentType::org)));
    const policy::Envelope envelope = TRY(within(file, policy::read_envelope(bytes)));
    if (envelope.type != policy::DocumentType::org) return fail(Fault::malformed, file + ": not a unit's document");
    out.push_back(std::move(bytes));
  }
  if (common.home.empty()) return out;
  for (Bytes& it : TRY(ask_for<local::Unit>(common, local::UnitRequest{})).envelopes) out.push_back(std::move(it));
  return out;
}

Result<void> hand_over_after(const Common& common, const AuthorityDirectory& directory) {
  if (common.home.empty()) return {};
  const auto handed = hand_over(common, directory);
  if (!handed)
    return fail(handed.error().fault, "published, but not handed to the node of " + common.home + " (" + handed.error().text + "): then dozo authority offer");
  if (!common.json) std::printf("handed to the node of %s\n", shown(common.home).c_str());
  return {};
}

/// What is signed is dated: a date of before what the node of --home goes by is no node's time, one of the future holds up every node until it comes.
Result<void> check_clock(const Common& common) {
  constexpr std::int64_t apart_s_most = 300;
  if (common.home.empty()) return {};
  const std::int64_t apart_s = now_s() - TRY(ask_for<local::Status>(common, local::StatusRequest{})).time_ms / 1000;
  if (apart_s <= apart_s_most && apart_s >= -apart_s_most) return {};
  return fail(Fault::denied, std::string("nothing was signed: this machine's clock is ") + (apart_s < 0 ? "behind" : "ahead of") + " the time of the node of " +
                                 common.home + " by " + std::to_string((apart_s < 0 ? -apart_s : apart_s) / 60) +
                                 " minutes; set it right, or publish without --home and then say dozo authority offer");
}

Result<void> publish_mesh(const Common& common, const PublishOptions& options, AuthorityDirectory& directory) {
  const PolicyVersion next{TRY(directory.newest_version()).value + 1};
  if (!common.json) std::printf("only the mesh is published: nodes, members, cuts, stops, hours; people and rules stay as they were\n");
  std::fflush(stdout);
  if (!options.yes && !TRY(confirmed(next))) return fail(Fault::denied, "nothing was signed");
  const policy::Published published = TRY(publish_mesh_alone(directory, cutting_of(common, options), options.keys, options.secret, now_s()));
  if (common.json) {
    print({{"policy", published.version.value}, {"notes", published.notes}});
  } else {
    for (const std::string& note : published.notes) std::printf("%s\n", shown(note).c_str());
    std::printf("published as version %llu\n", static_cast<unsigned long long>(published.version.value));
  }
  return hand_over_after(common, directory);
}

void print_prepared(const Prepared& prepared) {
  for (const std::string& name : prepared.absent) std::printf("not admitted yet, left out: %s\n", shown(name).c_str());
  for (const std::string& line : prepared.cuts) std::printf("%s\n", shown(line).c_str());
  for (const std::string& line : prepared.rights) std::printf("%s\n", shown(line).c_str());
  if (prepared.rights.empty()) std::printf("nobody's rights change\n");
  std::fflush(stdout);
}

/// What was drafted, once all have signed.
Result<void> publish_draft(const Common& common, AuthorityDirectory& directory, const policy::DraftFile& draft, const PublishOptions& options) {
  if (!draft.is_root()) {
    // A stop between keeping and dropping: it is published.
    bool is_kept = TRY(directory.newest_version()) == draft.version;
    if (is_kept) {
      const policy::Publication published = TRY(directory.publication(draft.version));
      is_kept = std::ranges::all_of(draft.documents, [&](const auto& it) { return published.contains(it.first) && published.at(it.first) == it.second; });
    }
    if (!is_kept) TRY(finish(directory, draft, options.keys, options.secret, now_s()));
    TRY(directory.drop_draft());
    if (common.json) return print({{"policy", draft.version.value}}), Result<void>();
    std::printf("published as version %llu\n", static_cast<unsigned long long>(draft.version.value));
    return {};
  }
  if (draft.documents.at("root") != directory.roots().back()) {
    if (draft.roots != directory.roots()) return fail(Fault::denied, "the draft follows another root than the newest: drop it, and draft again");
    if (const std::string missing = TRY(missing_signatures(draft)); !missing.empty()) return fail(Fault::denied, "signatures are missing: " + missing);
    TRY(directory.keep_root(draft.documents.at("root")));
  }
  TRY(directory.drop_draft());
  if (common.json) return print({{"root", directory.root().version}}), Result<void>();
  std::printf("root %llu is kept; what dropped keys have signed is signed anew by the next publication: dozo authority publish %s\n",
              static_cast<unsigned long long>(directory.root().version), shown(options.directory).c_str());
  return {};
}

Result<void> publish(const Common& common, const PublishOptions& options) {
  AuthorityDirectory directory = TRY(AuthorityDirectory::open(options.directory));
  TRY(check_clock(common));
  if (std::optional<policy::DraftFile> draft = TRY(directory.draft())) {
    if (options.without_key_authority) misused("a draft waits for its signatures: publish that, or drop it with dozo authority draft --drop");
    TRY(publish_draft(common, directory, *draft, options));
    return TRY(directory.newest_version()).value == 0 ? Result<void>() : hand_over_after(common, directory);
  }
  if (options.without_key_authority) return publish_mesh(common, options, directory);
  Prepared prepared = TRY(prepare(directory, cutting_of(common, options), TRY(units_of(common, options.units)), options.secret, now_s()));
  if (!common.json) print_prepared(prepared);
  if (!options.yes && !TRY(confirmed(prepared.draft.version))) return fail(Fault::denied, "nothing was signed");
  TRY(sign_at_hand(directory, prepared.draft, options.keys, options.secret));
  const policy::Published published = TRY(finish(directory, prepared.draft, options.keys, options.secret, now_s()));
  if (common.json) {
    print({{"policy", published.version.value}, {"notes", prepared.notes}, {"rights", prepared.rights}, {"absent", prepared.absent}, {"cuts", prepared.cuts}});
  } else {
    for (const std::string& note : prepared.notes) std::printf("%s\n", shown(note).c_str());
    std::printf("published as version %llu\n", static_cast<unsigned long long>(published.version.value));
  }
  return hand_over_after(common, directory);
}

struct DraftOptions {
  PublishOptions of;
  std::string output;
  bool drop = false;
};

/// What publish would sign, for custodians who sign on their own machines.
Result<void> draft(const Common& common, const DraftOptions& options) {
  AuthorityDirectory directory = TRY(AuthorityDirectory::open(options.of.directory));
  if (options.drop) return directory.drop_draft();
  if (TRY(directory.draft())) return fail(Fault::exists, "a draft waits for its signatures already: publish it, or drop it with --drop");
  TRY(check_clock(common));
  const Prepared prepared = TRY(prepare(directory, cutting_of(common, options.of), TRY(units_of(common, options.of.units)), options.of.secret, now_s()));
  if (!common.json) print_prepared(prepared);
  return keep_draft(common, directory, prepared.draft, options.output);
}

Result<void> offer(const Common& common, const std::string& path) {
  const AuthorityDirectory directory = TRY(AuthorityDirectory::open(path));
  const std::uint64_t version = TRY(hand_over(common, directory));
  if (common.json) {
    print({{"policy", version}});
  } else {
    std::printf("the node of %s is at policy %llu\n", shown(common.home).c_str(), static_cast<unsigned long long>(version));
  }
  return {};
}

struct InstallOptions {
  std::string directory;
  std::vector<std::string> keys;
  SecretOptions secret;
};

Result<void> install(const Common& common, const InstallOptions& options) {
  const AuthorityDirectory directory = TRY(AuthorityDirectory::open(options.directory));
  const node::Home home = TRY(node::open_home(common.home));
  if (home.realm.realm != directory.realm().realm) return fail(Fault::denied, home.path.string() + " is a node of another realm");
  if (directory.root().keys_of(SigningRole::freshness).threshold != 1)
    return fail(Fault::denied, "freshness needs more than one signature here: a node cannot renew it by itself");
  const crypto::NodePublic node = TRY(node::public_keys(home));
  const auto& nodes = directory.entries().nodes;
  const auto at = nodes.find(home.settings.name);
  if (at == nodes.end() || at->second != node)
    return fail(Fault::denied, "the node \"" + home.settings.name + "\" with these keys is not admitted: dozo authority admit first");
  const auto keys = TRY(directory.signing_keys(SigningRole::freshness, options.keys, options.secret));
  TRY(node::write_freshness_key(home, keys.front()));
  if (common.json) {
    print({{"home", home.path.string()}, {"installed", "freshness"}});
  } else {
    std::printf("%s renews freshness by itself from its next start on\n", shown(home.path.string()).c_str());
  }
  return {};
}

}  // namespace

void add_authority_verbs(CLI::App& app, Common& common) {
  CLI::App* authority = app.add_subcommand("authority", "make a realm and publish its policy")->group("Headquarters");
  authority->require_subcommand(1);

  auto init_options = std::make_shared<InitOptions>();
  CLI::App* verb = authority->add_subcommand("init", "make a realm: its keys, recovery shares, first root, and a policy to edit");
  verb->add_option("directory", init_options->directory, "folder to make")->required()->type_name(takes::folder);
  verb->add_option("--realm", init_options->realm, "the realm's name, for people")->required()->type_name(takes::name);
  for (std::size_t i = 0; i < policy::signing_role_count; ++i) {
    const auto role = static_cast<SigningRole>(i);
    std::string name(policy::name_of(role));
    std::replace(name.begin(), name.end(), '_', '-');
    verb->add_option("--" + name, init_options->quorums[role],
                     "K/N: how many of how many keys sign as " + name + " (" + std::to_string(default_quorum(role).threshold) + "/" +
                         std::to_string(default_quorum(role).count) + ")")
        ->type_name("K/N");
  }
  verb->add_option("--recovery", init_options->recovery, "K/N: how many of how many shares bring the recovery key back")
      ->capture_default_str()
      ->type_name("K/N");
  verb->add_option("--root-days", init_options->root_days, "how long the first root is good")
      ->capture_default_str()
      ->check(CLI::Range(1U, 36500U))
      ->type_name("DAYS");
  add_secret_options(*verb, init_options->secret);
  verb->callback([=, &common] { finish(init(common, *init_options)); });

  auto admit_options = std::make_shared<AdmitOptions>();
  verb = authority->add_subcommand("admit", "take in nodes and persons, after checking that they hold their keys");
  verb->add_option("directory", admit_options->directory, "the authority's folder")->required()->type_name(takes::folder);
  verb->add_option("request", admit_options->requests, "request files")->required()->type_name(takes::file);
  verb->add_flag("--replace", admit_options->replace, "a name that is known may get these other keys");
  verb->add_flag("--without-key-authority", admit_options->without_key_authority, "its files are lost: check a node's signature alone");
  add_secret_options(*verb, admit_options->secret);
  verb->callback([=, &common] { finish(admit_all(common, *admit_options)); });

  auto revoke_options = std::make_shared<RevokeOptions>();
  verb = authority->add_subcommand("revoke", "take a node or person out, from the next publication on");
  verb->add_option("directory", revoke_options->directory, "the authority's folder")->required()->type_name(takes::folder);
  verb->add_option("name", revoke_options->name, "of the node or person")->required()->type_name(takes::name);
  auto* no_cut = verb->add_flag("--no-cut", revoke_options->no_cut, "all that it wrote stays (a site burnt down, a person left in peace)");
  verb->add_flag("--cut-all", revoke_options->cut_all, "nothing that it wrote stays")->excludes(no_cut);
  verb->callback([=, &common] { finish(revoke_one(common, *revoke_options)); });

  auto publish_options = std::make_shared<PublishOptions>();
  verb = authority->add_subcommand("publish", "check, sign and keep the policy; with --home, hand it to HQ's running node");
  verb->add_option("directory", publish_options->directory, "the authority's folder")->required()->type_name(takes::folder);
  verb->add_option("--keys", publish_options->keys, "another folder with key files (may be given again)")->type_name(takes::folder);
  verb->add_option("--unit", publish_options->units,
                   "a document that a unit has signed (may be given again); those that the node of --home knows are taken too")
      ->type_name(takes::file);
  verb->add_flag("-y,--yes", publish_options->yes, "do not ask");
  verb->add_flag("--without-key-authority", publish_options->without_key_authority,
                 "its files are lost: publish nodes, members and cuts alone, without new keys and grants");
  auto* publish_no_cut = verb->add_flag("--no-cut", publish_options->no_cut, "all stays that those wrote who lose writing now");
  verb->add_flag("--cut-all", publish_options->cut_all, "nothing stays of it")->excludes(publish_no_cut);
  add_secret_options(*verb, publish_options->secret);
  verb->callback([=, &common] { finish(publish(common, *publish_options)); });

  auto draft_options = std::make_shared<DraftOptions>();
  verb = authority->add_subcommand("draft", "write what publish would sign into a file, for custodians who sign on their own machines");
  verb->add_option("directory", draft_options->of.directory, "the authority's folder")->required()->type_name(takes::folder);
  verb->add_option("-o,--output", draft_options->output, "where to write it for them; it shows who is in the directory: keep it as secret")
      ->type_name(takes::file);
  verb->add_option("--unit", draft_options->of.units,
                   "a document that a unit has signed (may be given again); those that the node of --home knows are taken too")
      ->type_name(takes::file);
  verb->add_flag("--drop", draft_options->drop, "forget the one that waits");
  auto* draft_no_cut = verb->add_flag("--no-cut", draft_options->of.no_cut, "all stays that those wrote who lose writing now");
  verb->add_flag("--cut-all", draft_options->of.cut_all, "nothing stays of it")->excludes(draft_no_cut);
  add_secret_options(*verb, draft_options->of.secret);
  verb->callback([=, &common] { finish(draft(common, *draft_options)); });

  add_signing_verbs(*authority, common);
  add_suspend_verbs(*authority, common);

  auto directory = std::make_shared<std::string>();
  verb = authority->add_subcommand("offer", "hand what is published to the running node of --home, once more");
  verb->add_option("directory", *directory, "the authority's folder")->required()->type_name(takes::folder);
  verb->callback([=, &common] { finish(offer(common, *directory)); });

  auto install_options = std::make_shared<InstallOptions>();
  verb = authority->add_subcommand("install", "give HQ's own node (--home) the key with which it renews freshness every hour");
  verb->add_option("directory", install_options->directory, "the authority's folder")->required()->type_name(takes::folder);
  verb->add_option("--keys", install_options->keys, "another folder with key files (may be given again)")->type_name(takes::folder);
  add_secret_options(*verb, install_options->secret);
  verb->callback([=, &common] { finish(install(common, *install_options)); });
}

}  // namespace dozo::tools
