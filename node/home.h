// Home: what lies in a node's folder, and who may open it. The only place that knows these names:
//
//   node.toml        settings that people may edit: name, kind, zone, where it listens, how its keys are opened
//   realm.json       the realm's first root, and nodes to ask for the rest (policy/enrolment.h)
//   request.json     for HQ: who this node is, with proof that it holds its keys
//   keys/node.key    the node's keys and its own store's, in a key file (crypto/key_file.h)
//   keys/recovered   library keys that came from shares of the recovery key, sealed under the node's own key
//   hq/freshness     on HQ's node alone: the key with which it signs freshness, sealed to the node
//   truth/, derived/ the store       run/  the local socket       lock  held by the one daemon
//   session          whose session the daemon has, or had when it ended, until the person ends it; no secret
//   running          there as long as a daemon has the store open: one that was not taken away tells of a daemon that died
//
// Every file is replaced whole, or not at all. Folders have mode 0700, keys 0600; what others may touch is refused with the command that closes it.
// Threads: functions and plain values; keys have one owner. Error texts name files and settings, never secrets.
#pragma once
#include <filesystem>
#include <optional>

#include "crypto/identity.h"
#include "crypto/key_file.h"
#include "crypto/local_seal.h"
#include "node/files.h"
#include "policy/enrolment.h"
#include "policy/keys.h"

namespace dozo::node {

struct Settings {
  std::string name;  ///< as in the policy; [a-z0-9-]
  policy::NodeKind kind{};
  std::string zone;
  std::string listen_host;              ///< empty: the node only calls others
  std::uint16_t port{};                 ///< control; then bulk, then introduce
  std::string address;                  ///< the host by which others reach it; empty: listen_host
  std::optional<std::string> key_file;  ///< absolute path of the file whose content opens node.key; nothing: a passphrase does
  bool operator==(const Settings&) const = default;

  policy::Addresses listening() const;   ///< endpoints to bind
  policy::Addresses advertised() const;  ///< endpoints for others
};
/// "HOST:PORT" or "[ADDRESS]:PORT" into listen_host and port; three ports from PORT on must be there. Fault: malformed.
Result<void> set_listen(Settings& settings, std::string_view text);
/// TOML, strict: unknown keys and wrong words are refused with their line. Fault: malformed.
Result<Settings> read_settings(std::string_view toml, std::string_view file);
std::string write_settings(const Settings& settings);

struct Home {
  std::filesystem::path path;  ///< absolute
  Settings settings;
  policy::RealmFile realm;

  std::filesystem::path truth() const { return path / "truth"; }
  std::filesystem::path derived() const { return path / "derived"; }
  std::filesystem::path run() const { return path / "run"; }
};

/// What one opening of keys/node.key gives.
struct HomeKeys {
  crypto::NodeKeys node;
  crypto::LocalKey local;  ///< of the node's own store
};

struct NewHome : Home {
  crypto::NodePublic keys;
};
/// Makes the folder with new keys and request.json; all or nothing: what was begun is taken away again, and nothing is read back, which could fail. Faults:
/// exists (the folder has something in it), malformed (settings), not_authentic (the realm's admission key), unavailable, denied.
Result<NewHome> create_home(const std::filesystem::path& path, const Settings& settings, const policy::RealmFile& realm, const crypto::Unlocking& unlocking);

/// Reads and checks all but keys. Faults: not_found (no home), denied (open to others), malformed, not_authentic.
Result<Home> open_home(const std::filesystem::path& path);

/// Held as long as the object lives; the system lets go when the process ends.
class HomeLock {
 public:
  HomeLock(HomeLock&& other) noexcept;
  HomeLock& operator=(HomeLock&& other) noexcept;
  ~HomeLock();

 private:
  friend Result<HomeLock> lock_home(const Home& home);
  explicit HomeLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};
/// One daemon, check or repair per home. Fault: unavailable, with the process number of who has it.
Result<HomeLock> lock_home(const Home& home);

/// Says in the home that a daemon has the store open, and whether that was said already: then the last one did not end by itself. Under the lock.
/// Faults: denied, unavailable.
Result<bool> mark_running(const Home& home);
Result<void> clear_running(const Home& home);

/// Whose session was begun and not ended by a person.
struct SessionMark {
  PersonId person;  ///< zero: the mark cannot be read
  std::string role;
  std::int64_t until_ms{};
};
Result<std::optional<SessionMark>> read_session_mark(const Home& home);
Result<void> mark_session(const Home& home, const SessionMark& mark);
Result<void> clear_session(const Home& home);

/// How node.key is protected, as it says itself. Faults: those of reading it.
Result<crypto::Protection> protection_of(const Home& home);
/// A key file's content as a secret: at least 32 bytes. Faults: those of read_secret_file; malformed.
Result<crypto::Unlocking> unlocking_by_file(const std::filesystem::path& key_file);
/// A passphrase from a file's first line. Faults: those of read_secret_file; malformed (empty).
Result<crypto::Unlocking> unlocking_by_passphrase_file(const std::filesystem::path& file);
/// Opens keys/node.key, a passphrase's work in a child process: call before any thread is started. Faults: those of crypto::unlock_in_child; denied (open
/// to others, or the keys of another node than request.json names); corrupt.
Result<HomeKeys> open_keys(const Home& home, const crypto::Unlocking& unlocking);
/// The public halves, without a secret; authentic only once the file was opened.
Result<crypto::NodePublic> public_keys(const Home& home);

/// Keys from shares of the recovery key; none is an empty ring. Faults: corrupt, denied, unavailable.
Result<policy::KeyRing> read_recovered(const Home& home, const crypto::LocalKey& local);
Result<void> write_recovered(const Home& home, const crypto::LocalKey& local, const policy::KeyRing& keys);

/// HQ's freshness key. It counts only if the newest root names it. Nothing: not installed here. Faults: corrupt, denied.
Result<std::optional<crypto::SigningKey>> read_freshness_key(const Home& home, const crypto::NodeKeys& keys);
/// Needs no secret of the node: it is sealed to its key. Faults: those of public_keys; unavailable, denied (a home that is not of kind hq).
Result<void> write_freshness_key(const Home& home, const crypto::SigningKey& key);

/// realm.json anew, with other contacts. Faults: denied (another realm), unavailable.
Result<void> update_realm(Home& home, const policy::RealmFile& realm);

}  // namespace dozo::node
