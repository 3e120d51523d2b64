// Authority directory: HQ's folder, in which a realm is made and its policy published from:
//
//   policy.toml             what HQ's officers edit
//   realm.json              for newcomers (policy/enrolment.h)
//   register.json           who stands behind the names: admitted nodes and persons, ids of libraries, nodes that were revoked
//   roots/N                 root envelopes, from 1
//   keys/ROLE-N.key         one key file (docs/keys.md) for each signing key; keys/admission.key. They may be moved to other media
//   shares/share-N          of the recovery key; made once, to be carried away
//   published/N/            the documents of policy version N, by their names ("/" as "_"); the newest is in force
//   draft.json              what waits for its signatures (policy/signing.h), as long as there is something
//
// Every change is one file or folder moved into place. One process works on a folder at a time. No private key is in clear anywhere, but draft.json has the key
// of the directory, beside policy.toml which says the same. Threads: one.
#pragma once
#include <filesystem>
#include <optional>

#include "node/home.h"
#include "policy/signing.h"
#include "tools/authority_register.h"
#include "tools/secrets.h"

namespace dozo::tools {

/// The most keys of a role, and shares of the recovery key, that a realm may begin with.
inline constexpr std::uint32_t role_keys_most = 20, recovery_shares_most = 255;

/// What a realm begins with. Thresholds and numbers of keys by role.
struct RealmPlan {
  std::string name;
  struct Quorum {
    std::uint32_t threshold{1}, count{1};
  };
  std::map<policy::SigningRole, Quorum> roles;  ///< those not named: default_quorum
  Quorum recovery{2, 3};
  std::uint32_t root_days{3650};
};

/// What a role begins with where nobody says otherwise: three of five for root, two of three for what is signed offline, one of two online, one of three
/// officers.
RealmPlan::Quorum default_quorum(policy::SigningRole role);

class AuthorityDirectory {
 public:
  /// Makes the folder; all or nothing. Faults: exists, malformed (thresholds), unavailable, denied.
  static Result<void> create(const std::filesystem::path& path, const RealmPlan& plan, const crypto::Unlocking& unlocking, std::int64_t now_s);
  /// Faults: not_found (no such folder), unavailable (another process works on it), denied, malformed, not_authentic, corrupt.
  static Result<AuthorityDirectory> open(const std::filesystem::path& path);
  AuthorityDirectory(AuthorityDirectory&& other) noexcept;
  AuthorityDirectory& operator=(AuthorityDirectory&&) = delete;
  ~AuthorityDirectory();

  const std::filesystem::path& path() const { return path_; }
  const policy::RealmFile& realm() const { return realm_; }
  const policy::Root& root() const { return root_; }  ///< the newest
  const std::vector<Bytes>& roots() const { return roots_; }
  Register& entries() { return register_; }
  const Register& entries() const { return register_; }
  Result<void> save_register() const;
  /// realm.json with these nodes to ask.
  Result<void> save_contacts(std::vector<policy::Contact> contacts);

  Result<std::string> source_text() const;
  std::filesystem::path source_path() const { return path_ / "policy.toml"; }
  Result<void> save_source(std::string_view text) const;

  /// 0 before the first.
  Result<PolicyVersion> newest_version() const;
  Result<std::optional<policy::Publication>> newest() const;
  std::vector<PolicyVersion> versions() const;                           ///< kept here, ascending
  Result<policy::Publication> publication(PolicyVersion version) const;  ///< Faults: corrupt, unavailable
  /// Fault: exists.
  Result<void> keep(PolicyVersion version, const policy::Publication& documents) const;

  /// The next root, signed up to both thresholds. Faults: not_authentic, and those of Trust::offer; exists.
  Result<void> keep_root(const Bytes& envelope);

  /// What waits for signatures; nothing: there is no draft. Faults: those of read_draft_file.
  Result<std::optional<policy::DraftFile>> draft() const;
  std::filesystem::path draft_path() const { return path_ / "draft.json"; }
  Result<void> save_draft(const policy::DraftFile& it) const;
  Result<void> drop_draft() const;

  /// The root under whose admission and recovery keys the newest publication is sealed, where a root since has others. Nothing: they are those of root().
  Result<std::optional<policy::Root>> sealed_under() const;

  /// Public halves of the signing keys whose files lie in keys/, and the files' names. Faults: those of reading.
  Result<std::map<crypto::VerifyKey, std::string>> keys_here() const;

  /// Opens key files as far as thresholds need them. `folders`: where else key files lie. Faults: not_found (too few keys of a role), denied.
  /// New ones for the next root, in keys/ and shares/, beside those that there are: the public half. Faults: those of writing.
  Result<crypto::SealPublicKey> make_admission_key(const crypto::Unlocking& unlocking) const;
  Result<crypto::SealPublicKey> make_recovery_shares(const RealmPlan::Quorum& quorum) const;

  /// Of root(), or of an earlier one.
  Result<crypto::SealKey> admission_key(const crypto::SealPublicKey& wanted, const SecretOptions& secret) const;
  Result<std::vector<crypto::SigningKey>> signing_keys(policy::SigningRole role, const std::vector<std::string>& folders, const SecretOptions& secret) const;

 private:
  AuthorityDirectory() = default;
  /// One passphrase is often that of several key files: what was typed is tried again before asking again.
  Result<crypto::SecretBytes> open_key(const std::filesystem::path& path, const std::string& text, crypto::Protection protection,
                                       const SecretOptions& secret) const;
  std::filesystem::path path_;
  int lock_ = -1;
  policy::RealmFile realm_;
  policy::Root root_;
  std::vector<Bytes> roots_;
  Register register_;
  mutable std::optional<crypto::Unlocking> typed_;
};

/// Where the recovery key comes from on the worst day: that of one of these roots. Faults: those of crypto::combine; not_authentic (of another realm).
Result<crypto::SealKey> recovery_key(const std::vector<std::string>& share_files, const std::vector<policy::Root>& roots);

/// What a key file of a unit's administrators says that it is, as those of roles say the role's name.
inline constexpr std::string_view unit_key_use = "unit";
/// A key file with a signing key, as all are made. `use`: the name of a role, or unit_key_use. Faults: exists, those of writing.
Result<crypto::VerifyKey> make_signing_key_file(const std::filesystem::path& path, std::string_view use, const crypto::Unlocking& unlocking);
/// The signing key of one key file, of a role or (`use`) of that alone. Faults: those of reading and unlocking; malformed (it holds another kind of key).
Result<crypto::SigningKey> open_signing_key_file(const std::filesystem::path& path, const SecretOptions& secret, std::string_view use = {});

}  // namespace dozo::tools
