#include "tools/authority_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "crypto/shares.h"
#include "policy/trust.h"

namespace dozo::tools {

namespace fs = std::filesystem;
using node::Existing;
using node::Secrecy;
using policy::SigningRole, policy::day_s;

namespace {

constexpr std::size_t register_bytes_most = 64U << 20, source_bytes_most = 16U << 20, share_bytes_most = 4096;

std::string file_name(SigningRole role) { return std::string(policy::name_of(role)); }

/// "PURPOSE KEY-IN-HEX": what a key file of the authority says of itself.
std::string public_text(std::string_view purpose, const std::string& key) { return std::string(purpose) + " " + key; }

Result<void> keep_key(const fs::path& path, ByteView secret, const std::string& public_part, const crypto::Unlocking& unlocking) {
  return node::write_file(path, view_of(TRY(crypto::protect(secret, view_of(public_part), unlocking))), Secrecy::secret);
}

std::string source_template(const std::string& name) {
  std::string quoted;
  for (const char c : name) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return "# The policy of this realm. dozo policy check FILE finds mistakes; dozo authority publish signs it.\n"
         "# Admitted nodes and persons are added at the end by dozo authority admit.\n"
         "realm = \"" +
         quoted +
         "\"\n"
         "mesh_days = 90\n"
         "freshness_hours = 24\n"
         "\n"
         "# [[library]]\n"
         "# name = \"works\"\n"
         "# title = \"Works\"\n"
         "# home = \"hq\"\n"
         "# copies = 2\n"
         "# members.hq = { holding = \"full\", write = true }\n"
         "# members.vault = { holding = \"blind\" }\n";
}

/// Numbered things of a folder, ascending.
std::vector<std::uint64_t> numbers_in(const fs::path& folder) {
  std::vector<std::uint64_t> out;
  std::error_code code;
  for (const auto& it : fs::directory_iterator(folder, code)) {
    const std::string name = it.path().filename().string();
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error == std::errc() && end == name.data() + name.size() && number > 0) out.push_back(number);
  }
  std::sort(out.begin(), out.end());
  return out;
}

struct FoundKey {
  fs::path path;
  std::string text;
  crypto::KeyFile file;
};
/// Key files of these folders that say that they are for `purpose`.
Result<std::vector<FoundKey>> find_keys(const std::vector<fs::path>& folders, std::string_view purpose) {
  std::vector<FoundKey> out;
  for (const fs::path& folder : folders) {
    std::error_code code;
    std::vector<fs::path> paths;
    for (const auto& it : fs::directory_iterator(folder, code))
      if (it.path().extension() == ".key") paths.push_back(it.path());
    if (code) return fail(Fault::not_found, folder.string() + ": " + code.message());
    std::sort(paths.begin(), paths.end());
    for (const fs::path& path : paths) {
      std::string text(text_of(TRY(node::read_file(path, crypto::key_file_bytes_most, Secrecy::secret))));
      crypto::KeyFile file = TRY(within(path.string(), crypto::read_key_file(text)));
      if (text_of(file.public_part).starts_with(std::string(purpose) + " ")) out.push_back({path, std::move(text), std::move(file)});
    }
  }
  return out;
}

/// A later one has its name from its key: a root that is drafted again makes others.
Result<crypto::SealPublicKey> make_admission(const fs::path& folder, bool is_first, const crypto::Unlocking& unlocking) {
  const crypto::SealKey key = crypto::SealKey::generate();
  const fs::path file = folder / (is_first ? "admission.key" : "admission-" + key.public_key().hex().substr(0, 8) + ".key");
  TRY(keep_key(file, key.reveal(), public_text("admission", key.public_key().hex()), unlocking));
  return key.public_key();
}

/// The private half is nowhere but in the shares.
Result<crypto::SealPublicKey> make_recovery(const fs::path& folder, bool is_first, const RealmPlan::Quorum& quorum) {
  const crypto::SealKey key = crypto::SealKey::generate();
  const std::string name = is_first ? "share-" : "recovery-" + key.public_key().hex().substr(0, 8) + "-share-";
  const auto shares = TRY(crypto::split(TRY(crypto::SharedSecret::from(key.reveal())), quorum.threshold, quorum.count));
  for (std::size_t i = 0; i < shares.size(); ++i) TRY(node::write_file(folder / (name + std::to_string(i + 1)), view_of(shares[i] + "\n"), Secrecy::secret));
  return key.public_key();
}

struct MadeRealm {
  Bytes root;
  RealmId realm;
};
/// Keys, shares and the first root of a new realm, into its folder.
Result<MadeRealm> make_keys(const fs::path& path, const RealmPlan& plan, const crypto::Unlocking& unlocking, std::int64_t now_s) {
  policy::RootPlan root{plan.name, now_s, now_s + plan.root_days * day_s, {}, {}, {}};
  std::vector<crypto::SigningKey> root_keys;
  for (std::size_t i = 0; i < policy::signing_role_count; ++i) {
    const auto role = static_cast<SigningRole>(i);
    const auto planned = plan.roles.find(role);
    const RealmPlan::Quorum quorum = planned == plan.roles.end() ? default_quorum(role) : planned->second;
    if (quorum.threshold < 1 || quorum.threshold > quorum.count || quorum.count > role_keys_most)
      return fail(Fault::malformed, file_name(role) + ": K/N needs 1 <= K <= N <= " + std::to_string(role_keys_most));
    root.roles[role].threshold = quorum.threshold;
    for (std::uint32_t number = 1; number <= quorum.count; ++number) {
      crypto::SigningKey key = crypto::SigningKey::generate();
      root.roles[role].keys.push_back(key.public_key());
      TRY(keep_key(path / "keys" / (file_name(role) + "-" + std::to_string(number) + ".key"), key.reveal_seed(),
                   public_text(file_name(role), key.public_key().hex()), unlocking));
      if (role == SigningRole::root) root_keys.push_back(std::move(key));
    }
  }
  root.admission = TRY(make_admission(path / "keys", true, unlocking));
  root.recovery = TRY(make_recovery(path / "shares", true, plan.recovery));
  std::vector<const crypto::SigningKey*> signers;
  for (const crypto::SigningKey& key : root_keys) signers.push_back(&key);
  MadeRealm out;
  out.root = TRY(policy::sign_with(TRY(policy::draft_root(root, nullptr, std::nullopt)), signers));
  out.realm = TRY(policy::realm_of(out.root));
  return out;
}

Result<void> fill(const fs::path& path, const RealmPlan& plan, const crypto::Unlocking& unlocking, std::int64_t now_s) {
  for (const char* folder : {"keys", "shares", "roots", "published"}) TRY(node::make_private_folder(path / folder));
  const MadeRealm made = TRY(make_keys(path, plan, unlocking, now_s));
  TRY(node::write_file(path / "roots" / "1", made.root, Secrecy::open));
  TRY(node::write_file(path / "register.json", view_of(write_register({})), Secrecy::secret));
  TRY(node::write_file(path / "policy.toml", view_of(source_template(plan.name)), Secrecy::secret));
  return node::write_file(path / "realm.json", policy::write_realm_file({made.realm, made.root, {}, {}}), Secrecy::open);
}

std::string document_file(std::string name) {
  std::replace(name.begin(), name.end(), '/', '_');
  return name;
}

}  // namespace

RealmPlan::Quorum default_quorum(SigningRole role) {
  switch (role) {
    case SigningRole::root: return {3, 5};
    case SigningRole::policy:
    case SigningRole::key_authority: return {2, 3};
    case SigningRole::snapshot:
    case SigningRole::freshness: return {1, 2};
    case SigningRole::emergency: return {1, 3};
  }
  return {};
}

Result<void> AuthorityDirectory::create(const fs::path& path, const RealmPlan& plan, const crypto::Unlocking& unlocking, std::int64_t now_s) {
  const RealmPlan::Quorum& shares = plan.recovery;
  if (shares.threshold < 1 || shares.threshold > shares.count || shares.count > recovery_shares_most)
    return fail(Fault::malformed, "recovery: K/N needs 1 <= K <= N <= " + std::to_string(recovery_shares_most));
  std::error_code code;
  const bool was_there = fs::exists(path, code);
  TRY(node::make_private_folder(path));
  if (Result<void> filled = fill(path, plan, unlocking, now_s); !filled) {
    for (const char* name : {"keys", "shares", "roots", "published", "register.json", "policy.toml", "realm.json"}) fs::remove_all(path / name, code);
    if (!was_there) fs::remove(path, code);
    return filled;
  }
  return {};
}

Result<AuthorityDirectory> AuthorityDirectory::open(const fs::path& path) {
  AuthorityDirectory out;
  out.path_ = path;
  std::error_code code;
  if (!fs::exists(path / "register.json", code)) return fail(Fault::not_found, path.string() + " is no folder of an authority: dozo authority init makes one");
  TRY(node::want_private_folder(path));
  out.lock_ = ::open((path / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (out.lock_ < 0) return fail(Fault::denied, "lock " + path.string() + ": " + std::strerror(errno));
  if (::flock(out.lock_, LOCK_EX | LOCK_NB) != 0) return fail(Fault::unavailable, "another dozo works on " + path.string() + " now");
  const fs::path realm = path / "realm.json";
  out.realm_ = TRY(within(realm.string(), policy::read_realm_file(TRY(node::read_file(realm, policy::realm_file_bytes_most)))));
  const auto roots = numbers_in(path / "roots");
  policy::Trust trust = TRY(policy::Trust::begin(out.realm_.first_root, std::nullopt));
  for (std::size_t i = 0; i < roots.size(); ++i) {
    const fs::path file = path / "roots" / std::to_string(roots[i]);
    if (roots[i] != i + 1) return fail(Fault::corrupt, file.string() + ": the root before it is missing");
    out.roots_.push_back(TRY(node::read_file(file, policy::envelope_bytes_most(policy::DocumentType::root))));
    TRY(within(file.string(), trust.offer(out.roots_.back(), 0)));
  }
  if (roots.empty()) return fail(Fault::corrupt, (path / "roots").string() + " is empty");
  out.root_ = trust.root();
  const fs::path entries = path / "register.json";
  out.register_ = TRY(within(entries.string(), read_register(text_of(TRY(node::read_file(entries, register_bytes_most))))));
  return out;
}

AuthorityDirectory::AuthorityDirectory(AuthorityDirectory&& other) noexcept
    : path_(std::move(other.path_)),
      lock_(std::exchange(other.lock_, -1)),
      realm_(std::move(other.realm_)),
      root_(std::move(other.root_)),
      roots_(std::move(other.roots_)),
      register_(std::move(other.register_)),
      typed_(std::move(other.typed_)) {}
AuthorityDirectory::~AuthorityDirectory() {
  if (lock_ >= 0) ::close(lock_);
}

Result<void> AuthorityDirectory::save_register() const {
  return node::write_file(path_ / "register.json", view_of(write_register(register_)), Secrecy::secret, Existing::replace);
}

Result<void> AuthorityDirectory::save_contacts(std::vector<policy::Contact> contacts) {
  realm_.contacts = std::move(contacts);
  return node::write_file(path_ / "realm.json", policy::write_realm_file(realm_), Secrecy::open, Existing::replace);
}

Result<std::string> AuthorityDirectory::source_text() const { return std::string(text_of(TRY(node::read_file(source_path(), source_bytes_most)))); }
Result<void> AuthorityDirectory::save_source(std::string_view text) const {
  return node::write_file(source_path(), view_of(text), Secrecy::secret, Existing::replace);
}

// ---- published -------------------------------------------------------------------------------------------------------
Result<PolicyVersion> AuthorityDirectory::newest_version() const {
  const auto versions = numbers_in(path_ / "published");
  return PolicyVersion{versions.empty() ? 0 : versions.back()};
}

std::vector<PolicyVersion> AuthorityDirectory::versions() const {
  std::vector<PolicyVersion> out;
  for (const std::uint64_t number : numbers_in(path_ / "published")) out.push_back({number});
  return out;
}

Result<std::optional<policy::Publication>> AuthorityDirectory::newest() const {
  const PolicyVersion version = TRY(newest_version());
  if (version.value == 0) return std::optional<policy::Publication>();
  return std::optional(TRY(publication(version)));
}

Result<policy::Publication> AuthorityDirectory::publication(PolicyVersion version) const {
  const fs::path folder = path_ / "published" / std::to_string(version.value);
  policy::Publication out;
  std::error_code code;
  for (const auto& it : fs::directory_iterator(folder, code)) {
    Bytes bytes = TRY(node::read_file(it.path(), policy::envelope_bytes_most(policy::DocumentType::directory)));
    const policy::Envelope envelope = TRY(within(it.path().string(), policy::read_envelope(bytes)));
    if (document_file(envelope.name) != it.path().filename().string()) return fail(Fault::corrupt, it.path().string() + " holds another document");
    out[envelope.name] = std::move(bytes);
  }
  for (const char* name : {"mesh", "directory", "epochs", "snapshot", "freshness"})
    if (code || !out.contains(name)) return fail(Fault::corrupt, folder.string() + ": " + name + " is missing");
  return out;
}

Result<void> AuthorityDirectory::keep(PolicyVersion version, const policy::Publication& documents) const {
  const fs::path final = path_ / "published" / std::to_string(version.value), temporary = path_ / "published" / ".new";
  std::error_code code;
  if (fs::exists(final, code)) return fail(Fault::exists, final.string() + " is there already");
  fs::remove_all(temporary, code);
  TRY(node::make_private_folder(temporary));
  for (const auto& [name, bytes] : documents) TRY(node::write_file(temporary / document_file(name), bytes, Secrecy::open));
  if (::rename(temporary.c_str(), final.c_str()) != 0) return fail(Fault::unavailable, "write " + final.string() + ": " + std::strerror(errno));
  return node::sync_folder(path_ / "published");
}

// ---- what waits, and roots -------------------------------------------------------------------------------------------
Result<void> AuthorityDirectory::keep_root(const Bytes& envelope) {
  policy::Trust trust = TRY(policy::Trust::begin(realm_.first_root, std::nullopt));
  for (const Bytes& root : roots_) TRY(trust.offer(root, 0));
  if (TRY(trust.offer(envelope, 0)).outcome != policy::Outcome::advanced) return fail(Fault::exists, "this root is kept already");
  TRY(node::write_file(path_ / "roots" / std::to_string(trust.root().version), envelope, Secrecy::open));
  roots_.push_back(envelope);
  root_ = trust.root();
  return {};
}

Result<crypto::SealPublicKey> AuthorityDirectory::make_admission_key(const crypto::Unlocking& unlocking) const {
  return make_admission(path_ / "keys", false, unlocking);
}
Result<crypto::SealPublicKey> AuthorityDirectory::make_recovery_shares(const RealmPlan::Quorum& quorum) const {
  return make_recovery(path_ / "shares", false, quorum);
}

Result<std::optional<policy::DraftFile>> AuthorityDirectory::draft() const {
  std::error_code code;
  if (!fs::exists(draft_path(), code)) return std::optional<policy::DraftFile>();
  return std::optional(
      TRY(within(draft_path().string(), policy::read_draft_file(TRY(node::read_file(draft_path(), policy::draft_bytes_most, Secrecy::secret))))));
}
Result<void> AuthorityDirectory::save_draft(const policy::DraftFile& it) const {
  return node::write_file(draft_path(), policy::write_draft_file(it), Secrecy::secret, Existing::replace);
}
Result<void> AuthorityDirectory::drop_draft() const {
  std::error_code code;
  fs::remove(draft_path(), code);
  if (code) return fail(Fault::unavailable, "remove " + draft_path().string() + ": " + code.message());
  return node::sync_folder(path_);
}

Result<std::optional<policy::Root>> AuthorityDirectory::sealed_under() const {
  const auto published = TRY(newest());
  if (!published || roots_.size() < 2) return std::optional<policy::Root>();
  const std::int64_t sealed_s = TRY(policy::parse_epochs(TRY(policy::read_envelope(published->at("epochs"))).payload)).header.issued_s;
  // One draft waits at a time, so between a root's drafting and its coming nothing is published: what is dated before it is sealed to the keys before it.
  std::optional<policy::Root> out, next;
  for (auto at = roots_.rbegin(); at != roots_.rend(); ++at) {
    policy::Root it = TRY(policy::parse_root(TRY(policy::read_envelope(*at)).payload));
    if (next && sealed_s >= next->issued_s) break;
    if (next && (next->admission != it.admission || next->recovery != it.recovery)) out = it;
    next = std::move(it);
  }
  return out;
}

// ---- keys ------------------------------------------------------------------------------------------------------------
Result<crypto::SecretBytes> AuthorityDirectory::open_key(const fs::path& path, const std::string& text, crypto::Protection protection,
                                                         const SecretOptions& secret) const {
  if (typed_ && typed_->protection == protection && !secret.given()) {
    Result<crypto::SecretBytes> opened = crypto::unlock(text, *typed_);
    if (opened || opened.error().fault != Fault::denied) return within(path.string(), std::move(opened));
  }
  crypto::Unlocking with = TRY(secret_for(protection, secret, path.string()));
  Result<crypto::SecretBytes> opened = crypto::unlock(text, with);
  if (opened && !secret.given()) typed_ = std::move(with);
  return within(path.string(), std::move(opened));
}

Result<std::map<crypto::VerifyKey, std::string>> AuthorityDirectory::keys_here() const {
  std::map<crypto::VerifyKey, std::string> out;
  for (std::size_t i = 0; i < policy::signing_role_count; ++i) {
    const std::string role = file_name(static_cast<SigningRole>(i));
    for (const FoundKey& it : TRY(find_keys({path_ / "keys"}, role)))
      if (const auto key = crypto::VerifyKey::parse(text_of(it.file.public_part).substr(role.size() + 1)))
        out.emplace(*key, "keys/" + it.path.filename().string());
  }
  return out;
}

Result<crypto::SealKey> AuthorityDirectory::admission_key(const crypto::SealPublicKey& wanted, const SecretOptions& secret) const {
  for (const FoundKey& it : TRY(find_keys({path_ / "keys"}, "admission"))) {
    if (text_of(it.file.public_part) != public_text("admission", wanted.hex())) continue;
    crypto::SealKey key = TRY(crypto::SealKey::from(TRY(open_key(it.path, it.text, it.file.protection, secret)).reveal()));
    if (key.public_key() != wanted) return fail(Fault::not_authentic, it.path.string() + " is not the realm's admission key");
    return key;
  }
  return fail(Fault::not_found, (path_ / "keys").string() + " has not the realm's admission key");
}

Result<std::vector<crypto::SigningKey>> AuthorityDirectory::signing_keys(SigningRole role, const std::vector<std::string>& folders,
                                                                         const SecretOptions& secret) const {
  std::vector<fs::path> where{path_ / "keys"};
  where.insert(where.end(), folders.begin(), folders.end());
  const policy::RoleKeys& wanted = root_.keys_of(role);
  std::map<crypto::VerifyKey, FoundKey> found;
  for (FoundKey& it : TRY(find_keys(where, file_name(role))))
    for (const crypto::VerifyKey& key : wanted.keys)
      if (text_of(it.file.public_part) == public_text(file_name(role), key.hex())) found.try_emplace(key, std::move(it));
  if (found.size() < wanted.threshold)
    return fail(Fault::not_found, "the role " + file_name(role) + " needs " + std::to_string(wanted.threshold) + " keys, and " + std::to_string(found.size()) +
                                      " are here: name their folders with --keys");
  std::vector<crypto::SigningKey> out;
  for (const auto& [key, it] : found) {
    if (out.size() == wanted.threshold) break;
    crypto::SigningKey opened = TRY(crypto::SigningKey::from_seed(TRY(open_key(it.path, it.text, it.file.protection, secret)).reveal()));
    if (opened.public_key() != key) return fail(Fault::not_authentic, it.path.string() + " holds another key than it says");
    out.push_back(std::move(opened));
  }
  return out;
}

Result<crypto::VerifyKey> make_signing_key_file(const fs::path& path, std::string_view use, const crypto::Unlocking& unlocking) {
  const crypto::SigningKey key = crypto::SigningKey::generate();
  TRY(keep_key(path, key.reveal_seed(), public_text(std::string(use), key.public_key().hex()), unlocking));
  return key.public_key();
}

Result<crypto::SigningKey> open_signing_key_file(const fs::path& path, const SecretOptions& secret, std::string_view use) {
  const std::string text(text_of(TRY(node::read_file(path, crypto::key_file_bytes_most, Secrecy::secret))));
  const crypto::KeyFile file = TRY(within(path.string(), crypto::read_key_file(text)));
  const std::string_view says = text_of(file.public_part);
  const std::size_t space = says.find(' ');
  bool is_role = !use.empty() && says.substr(0, space) == use;
  for (std::size_t i = 0; use.empty() && i < policy::signing_role_count; ++i)
    is_role = is_role || says.substr(0, space) == policy::name_of(static_cast<SigningRole>(i));
  if (space == std::string_view::npos || !is_role)
    return fail(Fault::malformed, path.string() + " holds no signing key of " + (use.empty() ? "the authority" : "a unit's administrator"));
  const crypto::Unlocking with = TRY(secret_for(file.protection, secret, path.string()));
  crypto::SigningKey key = TRY(crypto::SigningKey::from_seed(TRY(within(path.string(), crypto::unlock(text, with))).reveal()));
  if (key.public_key().hex() != says.substr(space + 1)) return fail(Fault::not_authentic, path.string() + " holds another key than it says");
  return key;
}

Result<crypto::SealKey> recovery_key(const std::vector<std::string>& share_files, const std::vector<policy::Root>& roots) {
  std::vector<std::string> shares;
  for (const std::string& file : share_files) {
    const crypto::SecretBytes text = TRY(node::read_secret_file(file, share_bytes_most));
    shares.emplace_back(text_of(text.reveal()));
  }
  Result<crypto::SharedSecret> secret = crypto::combine(shares);
  for (std::string& share : shares) crypto::detail::wipe(share.data(), share.size());
  if (!secret) return std::unexpected(std::move(secret).error().within("the shares"));
  crypto::SealKey key = TRY(crypto::SealKey::from(secret->reveal()));
  if (std::ranges::none_of(roots, [&](const policy::Root& it) { return it.recovery == key.public_key(); }))
    return fail(Fault::not_authentic, "these are shares of another realm's recovery key");
  return key;
}

}  // namespace dozo::tools
