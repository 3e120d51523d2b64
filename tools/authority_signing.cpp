#include "tools/authority_signing.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <chrono>
#include <iostream>

#include "crypto/shares.h"
#include "tools/authority_publish.h"
#include "tools/print.h"

namespace dozo::tools {
namespace {

using policy::SigningRole;

std::int64_t clock_s() { return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count(); }

SigningRole role_named(std::string_view name) {
  std::string known;
  for (std::size_t i = 0; i < policy::signing_role_count; ++i) {
    const auto role = static_cast<SigningRole>(i);
    if (name == policy::name_of(role)) return role;
    known += (known.empty() ? "" : ", ") + std::string(policy::name_of(role));
  }
  misused("there is no role \"" + shown(std::string(name)) + "\": " + known);
}
template <class Key>
Key key_in(const std::string& hex) {
  const auto key = Key::parse(hex);
  if (!key) misused("\"" + shown(hex) + "\" is no public key: 64 characters of lower-case hex");
  return *key;
}
std::pair<std::string, std::string> halves(const std::string& text, char between, const char* example) {
  const std::size_t at = text.find(between);
  if (at == std::string::npos) misused("\"" + shown(text) + "\" is not like " + example);
  return {text.substr(0, at), text.substr(at + 1)};
}

// ---- key, rekey ------------------------------------------------------------------------------------------------------
struct KeyOptions {
  std::string file, role;
  SecretOptions secret, new_secret;
};

Result<void> make_key(const Common& common, const KeyOptions& options) {
  const SigningRole role = role_named(options.role);
  const crypto::VerifyKey key = TRY(make_signing_key_file(options.file, policy::name_of(role), TRY(new_secret(options.secret, "the key in " + options.file))));
  const std::string text = std::string(policy::name_of(role)) + ":" + key.hex();
  if (common.json) {
    print({{"key", text}});
  } else {
    std::printf("%s\n", text.c_str());
  }
  return {};
}

Result<void> rekey(const Common& common, const KeyOptions& options) {
  const std::string text(text_of(TRY(node::read_file(options.file, crypto::key_file_bytes_most, node::Secrecy::secret))));
  const crypto::KeyFile file = TRY(within(options.file, crypto::read_key_file(text)));
  const crypto::SecretBytes secret = TRY(within(options.file, crypto::unlock(text, TRY(secret_for(file.protection, options.secret, options.file)))));
  const crypto::Unlocking next = TRY(new_secret(options.new_secret, "the key in " + options.file + " from now on"));
  TRY(node::write_file(options.file, view_of(TRY(crypto::protect(secret.reveal(), file.public_part, next))), node::Secrecy::secret, node::Existing::replace));
  if (common.json) {
    print({{"file", options.file}});
  } else {
    std::printf("%s opens with the new secret alone\n", shown(options.file).c_str());
  }
  return {};
}

// ---- show ------------------------------------------------------------------------------------------------------------
Result<void> show_all(const Common& common, const std::string& path) {
  const AuthorityDirectory directory = TRY(AuthorityDirectory::open(path));
  const policy::Root& root = directory.root();
  const auto here = TRY(directory.keys_here());
  const auto draft = TRY(directory.draft());
  const std::string missing = draft ? TRY(missing_signatures(*draft)) : "";
  json roles = json::array();
  for (const auto& [role, keys] : root.roles) {
    json rows = json::array();
    for (const crypto::VerifyKey& key : keys.keys) rows.push_back({{"key", key.hex()}, {"file", here.contains(key) ? here.at(key) : ""}});
    roles.push_back({{"role", std::string(policy::name_of(role))}, {"threshold", keys.threshold}, {"keys", rows}});
  }
  const std::int64_t days = (root.expires_s - clock_s()) / policy::day_s;
  const PolicyVersion newest = TRY(directory.newest_version());
  if (common.json) {
    print({{"realm", directory.realm().realm.hex()},
           {"name", root.name},
           {"root", root.version},
           {"root_days", days},
           {"policy", newest.value},
           {"roles", roles},
           {"draft", draft ? json(missing) : json()}});
    return {};
  }
  std::printf("%s\nid %s\nroot %llu, good for %lld days\n", shown(root.name).c_str(), directory.realm().realm.hex().c_str(),
              static_cast<unsigned long long>(root.version), static_cast<long long>(days));
  for (const auto& [role, keys] : root.roles) {
    std::printf("%s: %u of %zu\n", std::string(policy::name_of(role)).c_str(), keys.threshold, keys.keys.size());
    for (const crypto::VerifyKey& key : keys.keys) std::printf("  %s %s\n", key.hex().c_str(), here.contains(key) ? shown(here.at(key)).c_str() : "not here");
  }
  std::printf("published: %llu\n", static_cast<unsigned long long>(newest.value));
  if (draft)
    std::printf("a draft of %s waits: %s\n", draft->is_root() ? "a root" : "a policy", missing.empty() ? "all have signed, publish it" : missing.c_str());
  return {};
}

// ---- root ------------------------------------------------------------------------------------------------------------
struct RootOptions {
  std::string directory, output, new_recovery;
  std::vector<std::string> added, dropped, thresholds;
  std::uint32_t days = 3650;
  bool new_admission = false;
  SecretOptions secret;
};

Result<void> draft_next_root(const Common& common, const RootOptions& options) {
  AuthorityDirectory directory = TRY(AuthorityDirectory::open(options.directory));
  if (TRY(directory.draft())) return fail(Fault::exists, "a draft waits for its signatures already: publish it, or drop it with dozo authority draft --drop");
  RootChanges changes;
  changes.days = options.days;
  for (const std::string& it : options.added) {
    const auto [role, hex] = halves(it, ':', "policy:KEY");
    changes.added.emplace_back(role_named(role), key_in<crypto::VerifyKey>(hex));
  }
  for (const std::string& it : options.dropped) changes.dropped.push_back(key_in<crypto::VerifyKey>(it));
  for (const std::string& it : options.thresholds) {
    const auto [role, digits] = halves(it, '=', "policy=2");
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc() || end != digits.data() + digits.size()) misused("\"" + shown(digits) + "\" is no number");
    changes.thresholds[role_named(role)] = number;
  }
  RealmPlan::Quorum shares{0, 0};
  if (!options.new_recovery.empty()) {
    const auto [threshold, count] = halves(options.new_recovery, '/', "3/5");
    const auto number = [](const std::string& digits) {
      std::uint32_t out = 0;
      const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
      return error == std::errc() && end == digits.data() + digits.size() ? out : 0;
    };
    shares = {number(threshold), number(count)};
    if (shares.threshold < 1 || shares.threshold > shares.count || shares.count > recovery_shares_most)
      misused("\"" + shown(options.new_recovery) + "\" is not K/N, like 3/5");
  }
  // The draft is tried before a key is made for it.
  TRY(draft_root(directory, changes, clock_s()));
  if (options.new_admission) changes.admission = TRY(directory.make_admission_key(TRY(new_secret(options.secret, "the new admission key"))));
  if (shares.count != 0) changes.recovery = TRY(directory.make_recovery_shares(shares));
  const policy::DraftFile draft = TRY(draft_root(directory, changes, clock_s()));
  const auto lines = TRY(policy::describe(draft, clock_s() * 1000));
  if (!common.json)
    for (const std::string& line : lines) std::printf("%s\n", line.c_str());
  std::fflush(stdout);
  return keep_draft(common, directory, draft, options.output);
}

// ---- sign, import ----------------------------------------------------------------------------------------------------
struct SignOptions {
  std::string draft, key, output, realm;
  bool yes = false;
  SecretOptions secret;
};

Result<void> sign_one(const Common& common, const SignOptions& options) {
  const policy::DraftFile draft = TRY(within(options.draft, policy::read_draft_file(TRY(node::read_file(options.draft, policy::draft_bytes_most)))));
  if (options.yes && options.realm.empty())
    misused("--yes needs --realm: the id of the realm that the key is for, as it was written down when the realm was made");
  if (!options.realm.empty() && key_in<RealmId>(options.realm) != draft.realm)
    return fail(Fault::denied, "the draft is of another realm: " + draft.realm.hex());
  const auto lines = TRY(policy::describe(draft, clock_s() * 1000));
  const policy::Root root = TRY(policy::root_of(draft));
  if (!common.json) {
    std::printf("realm %s\nid %s\n", shown(root.name).c_str(), draft.realm.hex().c_str());
    if (!draft.is_root())
      std::printf("policy %llu under root %llu\n", static_cast<unsigned long long>(draft.version.value), static_cast<unsigned long long>(root.version));
    for (const std::string& line : lines) std::printf("%s\n", shown(line).c_str());
    std::fflush(stdout);
  }
  if (!options.yes) {
    if (!on_terminal(STDIN_FILENO)) misused("nothing was signed: read the above, then say --yes and --realm (there is no terminal to ask)");
    std::fprintf(stderr, "is the realm's id the one that was written down, and is this to be signed? (yes/no) ");
    std::string answer;
    std::getline(std::cin, answer);
    if (answer != "yes") return fail(Fault::denied, "nothing was signed");
  }
  const crypto::SigningKey key = TRY(open_signing_key_file(options.key, options.secret));
  const policy::SignaturesFile made = TRY(policy::sign_draft(draft, key));
  TRY(node::write_file(options.output, policy::write_signatures_file(made), node::Secrecy::open));
  if (common.json) {
    json documents = json::array();
    for (const policy::MadeSignature& it : made.signatures) documents.push_back(it.document);
    print({{"key", key.public_key().hex()}, {"documents", documents}, {"description", lines}});
  } else {
    std::printf("signed %zu documents; bring %s back to headquarters\n", made.signatures.size(), shown(options.output).c_str());
  }
  return {};
}

struct ImportOptions {
  std::string directory;
  std::vector<std::string> files;
};

Result<void> import_all(const Common& common, const ImportOptions& options) {
  const AuthorityDirectory directory = TRY(AuthorityDirectory::open(options.directory));
  std::optional<policy::DraftFile> draft = TRY(directory.draft());
  if (!draft) return fail(Fault::not_found, "no draft waits for signatures in " + options.directory);
  for (const std::string& file : options.files) {
    const auto signatures = TRY(within(file, policy::read_signatures_file(TRY(node::read_file(file, policy::signatures_bytes_most)))));
    TRY(within(file, policy::add_signatures(*draft, signatures)));
  }
  TRY(directory.save_draft(*draft));
  const std::string missing = TRY(missing_signatures(*draft));
  if (common.json) {
    print({{"complete", missing.empty()}, {"missing", missing}});
  } else if (missing.empty()) {
    std::printf("all have signed: dozo authority publish %s\n", shown(options.directory).c_str());
  } else {
    std::printf("still missing: %s\n", missing.c_str());
  }
  return {};
}

}  // namespace

Result<void> keep_draft(const Common& common, const AuthorityDirectory& directory, const policy::DraftFile& draft, const std::string& output) {
  if (!output.empty()) TRY(node::write_file(output, policy::write_draft_file(draft), node::Secrecy::secret));
  TRY(directory.save_draft(draft));
  const std::string missing = TRY(missing_signatures(draft)), where = output.empty() ? directory.draft_path().string() : output;
  if (common.json) {
    print({{"draft", where}, {"policy", draft.version.value}, {"missing", missing}});
  } else {
    std::printf("missing signatures: %s\n", missing.c_str());
    std::printf("carry %s to the custodians: dozo authority sign, and back here dozo authority import\n", shown(where).c_str());
  }
  return {};
}

void add_signing_verbs(CLI::App& authority, Common& common) {
  auto directory = std::make_shared<std::string>();
  CLI::App* verb = authority.add_subcommand("show", "roles, their keys and where those lie, what is published, and what waits for signatures");
  verb->add_option("directory", *directory, "the authority's folder")->required()->type_name(takes::folder);
  verb->callback([=, &common] { finish(show_all(common, *directory)); });

  auto root_options = std::make_shared<RootOptions>();
  verb = authority.add_subcommand("root", "draft the next root: other keys for roles, other thresholds, another expiry");
  verb->add_option("directory", root_options->directory, "the authority's folder")->required()->type_name(takes::folder);
  verb->add_option("--add", root_options->added, "ROLE:KEY, as dozo authority key prints it (may be given again)")->type_name("ROLE:KEY");
  verb->add_option("--drop", root_options->dropped, "a public key that no role shall have any more (may be given again)")->type_name("KEY");
  verb->add_option("--threshold", root_options->thresholds, "ROLE=K: how many of its keys must sign (may be given again)")->type_name("ROLE=K");
  verb->add_flag("--new-admission", root_options->new_admission, "make another admission key, and with the next publication new epochs of everything");
  verb->add_option("--new-recovery", root_options->new_recovery, "K/N: make another recovery key in as many shares, and new epochs of everything")
      ->type_name("K/N");
  verb->add_option("--days", root_options->days, "how long it is good")->capture_default_str()->check(CLI::Range(1U, 36500U))->type_name("DAYS");
  verb->add_option("-o,--output", root_options->output, "where to write it for the custodians")->type_name(takes::file);
  add_secret_options(*verb, root_options->secret);
  verb->callback([=, &common] { finish(draft_next_root(common, *root_options)); });

  auto key_options = std::make_shared<KeyOptions>();
  verb = authority.add_subcommand("key", "make a signing key on a custodian's own machine, and print what headquarters adds to the root");
  verb->add_option("file", key_options->file, "the key file to make")->required()->type_name(takes::file);
  verb->add_option("--role", key_options->role, "root, policy, key-authority, snapshot, freshness or emergency")->required()->type_name(takes::name);
  add_secret_options(*verb, key_options->secret);
  verb->callback([=, &common] { finish(make_key(common, *key_options)); });

  auto rekey_options = std::make_shared<KeyOptions>();
  verb = authority.add_subcommand("rekey", "put a key file under another passphrase or key file");
  verb->add_option("file", rekey_options->file, "the key file")->required()->type_name(takes::file);
  add_secret_options(*verb, rekey_options->secret);
  add_secret_options(*verb, rekey_options->new_secret, "new-");
  verb->callback([=, &common] { finish(rekey(common, *rekey_options)); });

  auto sign_options = std::make_shared<SignOptions>();
  verb = authority.add_subcommand("sign", "show what a draft changes, and sign it with one key, on a machine that needs nothing else");
  verb->add_option("draft", sign_options->draft, "what headquarters drafted")->required()->type_name(takes::file);
  verb->add_option("--key", sign_options->key, "the custodian's key file")->required()->type_name(takes::file);
  verb->add_option("-o,--output", sign_options->output, "where to write the signatures")->required()->type_name(takes::file);
  verb->add_option("--realm", sign_options->realm, "the realm's id, as it was written down")->type_name("ID");
  verb->add_flag("-y,--yes", sign_options->yes, "do not ask");
  add_secret_options(*verb, sign_options->secret);
  verb->callback([=, &common] { finish(sign_one(common, *sign_options)); });

  auto import_options = std::make_shared<ImportOptions>();
  verb = authority.add_subcommand("import", "take in the signatures that custodians made");
  verb->add_option("directory", import_options->directory, "the authority's folder")->required()->type_name(takes::folder);
  verb->add_option("signatures", import_options->files, "their files")->required()->type_name(takes::file);
  verb->callback([=, &common] { finish(import_all(common, *import_options)); });
}

}  // namespace dozo::tools
