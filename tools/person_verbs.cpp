// The verbs person new, person login and person logout.
#include <CLI/CLI.hpp>

#include "crypto/random.h"
#include "crypto/session.h"
#include "policy/enrolment.h"
#include "tools/command.h"
#include "tools/print.h"
#include "tools/secrets.h"

namespace dozo::tools {
namespace {

namespace local = node::local;
namespace fs = std::filesystem;

/// What a person's key file says in its public part: "person REALM ID KEY NAME".
struct PersonFile {
  RealmId realm;
  PersonId id;
  crypto::VerifyKey key;
  std::string name;
};
std::string public_text(const PersonFile& it) { return "person " + it.realm.hex() + " " + it.id.hex() + " " + it.key.hex() + " " + it.name; }
Result<PersonFile> read_public(ByteView bytes) {
  std::vector<std::string> words{""};
  for (const char c : text_of(bytes)) c == ' ' ? words.emplace_back() : words.back() += std::string(1, c);
  if (words.size() != 5 || words[0] != "person") return fail(Fault::malformed, "not a person's key file");
  return PersonFile{TRY(RealmId::parse(words[1])), TRY(PersonId::parse(words[2])), TRY(crypto::VerifyKey::parse(words[3])), words[4]};
}

struct NewOptions {
  std::string name, shown, realm, output = ".";
  SecretOptions secret;
};

Result<void> make_person(const Common& common, const NewOptions& options) {
  const policy::RealmFile realm = TRY(within(options.realm, policy::read_realm_file(TRY(node::read_file(options.realm, policy::realm_file_bytes_most)))));
  const fs::path folder = options.output, key_path = folder / (options.name + ".key"), request_path = folder / (options.name + ".request.json");
  const crypto::SigningKey key = crypto::SigningKey::generate();
  const PersonFile file{realm.realm, crypto::random_id<PersonId>(), key.public_key(), options.name};
  const Bytes request = TRY(policy::make_request({file.realm, file.id, options.name, options.shown.empty() ? options.name : options.shown, file.key}, key));
  std::error_code code;
  for (const fs::path& path : {key_path, request_path})
    if (fs::exists(path, code)) return fail(Fault::exists, path.string() + " is there already");
  const crypto::Unlocking unlocking = TRY(new_secret(options.secret, "the key of " + options.name));
  TRY(node::write_file(key_path, view_of(TRY(crypto::protect(key.reveal_seed(), view_of(public_text(file)), unlocking))), node::Secrecy::secret));
  TRY(node::write_file(request_path, request, node::Secrecy::open));
  if (common.json) {
    print({{"id", file.id.hex()}, {"key", key_path.string()}, {"request", request_path.string()}, {"realm", file.realm.hex()}});
  } else {
    std::printf("made %s; keep it\nsend %s to headquarters\nrealm %s: compare this with what headquarters says\n", shown(key_path.string()).c_str(),
                shown(request_path.string()).c_str(), file.realm.hex().c_str());
  }
  return {};
}

struct LoginOptions {
  std::string key, role;
  std::vector<std::string> libraries;
  unsigned hours = 12;
  SecretOptions secret;
};

Result<void> login(const Common& common, const LoginOptions& options) {
  const std::string text(text_of(TRY(node::read_file(options.key, crypto::key_file_bytes_most, node::Secrecy::secret))));
  const crypto::KeyFile file = TRY(within(options.key, crypto::read_key_file(text)));
  const PersonFile who = TRY(within(options.key, read_public(file.public_part)));
  const auto status = TRY(ask_for<local::Status>(common, local::StatusRequest{}));
  if (status.realm != who.realm) return fail(Fault::denied, options.key + " is a key of another realm than the node's");
  crypto::SessionCertificate certificate;
  certificate.person = who.id;
  certificate.device = status.node;
  for (const std::string& name : options.libraries) {
    const auto at = std::find_if(status.libraries.begin(), status.libraries.end(), [&](const auto& it) { return it.title == name || it.id.hex() == name; });
    if (at == status.libraries.end()) return fail(Fault::not_found, "this node has no library \"" + name + "\"");
    certificate.libraries.push_back(at->id);
  }
  if (certificate.libraries.size() > crypto::session_libraries_most) misused("a session covers at most 64 libraries, or all: name none");
  const crypto::SigningKey session = crypto::SigningKey::generate();
  certificate.session = session.public_key();
  certificate.not_before_ms = status.time_ms;  // the node judges the session by it
  certificate.not_after_ms = certificate.not_before_ms + std::int64_t{options.hours} * 60 * 60 * 1000;
  const crypto::Unlocking unlocking = TRY(secret_for(file.protection, options.secret, options.key));
  const crypto::SigningKey person = TRY(within(options.key, crypto::SigningKey::from_seed(TRY(within(options.key, crypto::unlock(text, unlocking))).reveal())));
  if (person.public_key() != who.key) return fail(Fault::not_authentic, options.key + " holds another key than it says");
  local::SessionRequest request{crypto::issue(certificate, person), {}, bytes_of(session.reveal_seed()), options.role, who.name};
  const auto done = ask_for<local::Done>(common, request);
  crypto::detail::wipe(request.session_seed.data(), request.session_seed.size());
  if (!done) return std::unexpected(done.error());
  if (common.json) {
    print({{"person", who.id.hex()}, {"role", options.role}, {"until_ms", certificate.not_after_ms}});
  } else {
    std::printf("%s, as %s, until %s\n", who.name.c_str(), shown(options.role).c_str(), time_text(certificate.not_after_ms).c_str());
  }
  return {};
}

Result<void> logout(const Common& common) {
  TRY(ask_for<local::Done>(common, local::EndSessionRequest{}));
  if (common.json) print(json::object());
  return {};
}

}  // namespace

void add_person_verbs(CLI::App& app, Common& common) {
  CLI::App* person = app.add_subcommand("person", "a person's key, and saving in a person's name")->group("Nodes and persons");
  person->require_subcommand(1);
  auto made = std::make_shared<NewOptions>();
  CLI::App* verb = person->add_subcommand("new", "make a person's key, and a request for headquarters");
  verb->add_option("name", made->name, "as policies name the person: lower-case letters, digits, inner hyphens")->required()->type_name(takes::name);
  verb->add_option("--realm", made->realm, "realm.json from headquarters")->required()->type_name(takes::file);
  verb->add_option("--output", made->output, "folder for NAME.key and NAME.request.json")->capture_default_str()->type_name(takes::folder);
  verb->add_option("--shown", made->shown, "how people call the person (else the name)");
  add_secret_options(*verb, made->secret);
  verb->callback([=, &common] { finish(make_person(common, *made)); });

  auto options = std::make_shared<LoginOptions>();
  verb = person->add_subcommand("login", "let the node of --home save in this person's name, for at most 12 hours");
  verb->add_option("key", options->key, "the person's key file")->required()->type_name(takes::file);
  verb->add_option("--role", options->role, "the capacity to act in")->required()->type_name("ROLE");
  verb->add_option("--library", options->libraries, "only this library (may be given again)")->type_name(takes::library);
  verb->add_option("--hours", options->hours, "how long")->capture_default_str()->check(CLI::Range(1U, 12U))->type_name("HOURS");
  add_secret_options(*verb, options->secret);
  verb->callback([=, &common] { finish(login(common, *options)); });

  verb = person->add_subcommand("logout", "end the session at the node of --home: later saves are in the node's own name");
  verb->callback([&common] { finish(logout(common)); });
}

}  // namespace dozo::tools
