#include "node/home.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <sstream>

#include "base/archive.h"
#include "crypto/random.h"

namespace dozo::node {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t settings_bytes_most = 64 * 1024, secret_file_bytes_most = 64 * 1024, sealed_bytes_most = 64U << 20;
constexpr std::size_t node_secret_bytes = 112, recovered_keys_most = 1'000'000;
constexpr std::string_view recovered_use = "dozo recovered 1";

struct RecoveredKey {
  LibraryId library;
  Epoch epoch;
  FixedBytes<32, struct RecoveredKeyTag> key;
};
template <class A>
void serialize(A& archive, RecoveredKey& it) {
  archive(it.library, it.epoch, it.key);
}
struct Recovered {
  std::vector<RecoveredKey> keys;
};
template <class A>
void serialize(A& archive, Recovered& it) {
  archive(archive::capped<recovered_keys_most>(it.keys));
}

fs::path key_path(const fs::path& home) { return home / "keys" / "node.key"; }
fs::path session_path(const Home& home) { return home.path / "session"; }
fs::path running_path(const Home& home) { return home.path / "running"; }

Bytes public_bytes(const crypto::NodePublic& it) {
  Bytes out = bytes_of(it.id.view());
  append(out, it.sign.view());
  append(out, it.seal.view());
  append(out, it.transport.view());
  return out;
}
Result<crypto::NodePublic> read_public(ByteView bytes) {
  if (bytes.size() != 112) return fail(Fault::malformed, "not a node's key file");
  return crypto::NodePublic{TRY(NodeId::from(bytes.first(16))), TRY(crypto::VerifyKey::from(bytes.subspan(16, 32))),
                            TRY(crypto::SealPublicKey::from(bytes.subspan(48, 32))), TRY(crypto::TransportPublicKey::from(bytes.subspan(80, 32)))};
}

Result<std::string> key_text(const Home& home) {
  return std::string(text_of(TRY(read_file(key_path(home.path), crypto::key_file_bytes_most, Secrecy::secret))));
}

/// Everything of a home but the folder itself, in an order in which node.toml comes last: without it there is no home.
Result<crypto::NodePublic> fill_home(const fs::path& path, const Settings& settings, const policy::RealmFile& realm, const crypto::Unlocking& unlocking) {
  const crypto::NodeKeys keys = crypto::NodeKeys::generate();
  policy::NodeRequest request;
  request.realm = realm.realm;
  request.name = settings.name;
  request.zone = settings.zone;
  request.kind = settings.kind;
  request.addresses = settings.advertised();
  const Bytes request_text = TRY(policy::make_request(std::move(request), keys, realm.root.admission));
  Bytes secret;
  {
    const crypto::SecretBytes node = keys.reveal();
    const crypto::LocalKey::Root local = crypto::LocalKey::Root::random();
    secret.reserve(node.reveal().size() + local.reveal().size());
    append(secret, node.reveal());
    append(secret, local.reveal());
  }
  const crypto::SecretBytes whole(std::move(secret));
  const std::string file = TRY(crypto::protect(whole.reveal(), public_bytes(keys.public_part()), unlocking));
  for (const char* folder : {"keys", "truth", "derived", "run"}) TRY(make_private_folder(path / folder));
  if (settings.kind == policy::NodeKind::hq) TRY(make_private_folder(path / "hq"));
  TRY(write_file(key_path(path), view_of(file), Secrecy::secret));
  TRY(write_file(path / "realm.json", policy::write_realm_file(realm), Secrecy::open));
  TRY(write_file(path / "request.json", request_text, Secrecy::open));
  TRY(write_file(path / "node.toml", view_of(write_settings(settings)), Secrecy::open));
  return keys.public_part();
}

}  // namespace

Result<NewHome> create_home(const fs::path& path, const Settings& settings, const policy::RealmFile& realm, const crypto::Unlocking& unlocking) {
  TRY(read_settings(write_settings(settings), "node.toml"));
  std::error_code code;
  fs::path whole = fs::absolute(path, code).lexically_normal();
  if (code || path.empty()) return fail(Fault::malformed, "the home needs a folder");
  if (!whole.has_filename()) whole = whole.parent_path();
  const bool was_there = fs::exists(whole, code);
  TRY(make_private_folder(whole));
  const Result<crypto::NodePublic> filled = fill_home(whole, settings, realm, unlocking);
  if (!filled) {
    for (const char* name : {"node.toml", "request.json", "realm.json", "keys", "truth", "derived", "run", "hq"}) fs::remove_all(whole / name, code);
    if (!was_there) fs::remove(whole, code);
    return std::unexpected(filled.error());
  }
  return NewHome{{whole, settings, realm}, *filled};
}

Result<Home> open_home(const fs::path& path) {
  std::error_code code;
  Home out;
  out.path = fs::absolute(path, code).lexically_normal();
  if (code || path.empty()) return fail(Fault::not_found, "no home was named: use --home, or set DOZO_HOME");
  if (!out.path.has_filename()) out.path = out.path.parent_path();
  const fs::path settings = out.path / "node.toml";
  if (!fs::exists(settings, code)) return fail(Fault::not_found, out.path.string() + " is no home of a node: make one with dozo node init");
  TRY(want_private_folder(out.path));
  TRY(want_private_folder(out.path / "keys"));
  out.settings = TRY(read_settings(text_of(TRY(read_file(settings, settings_bytes_most))), settings.string()));
  const fs::path realm = out.path / "realm.json";
  out.realm = TRY(within(realm.string(), policy::read_realm_file(TRY(read_file(realm, policy::realm_file_bytes_most)))));
  return out;
}

// ---- lock ------------------------------------------------------------------------------------------------------------
HomeLock::HomeLock(HomeLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
HomeLock& HomeLock::operator=(HomeLock&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}
HomeLock::~HomeLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<HomeLock> lock_home(const Home& home) {
  const fs::path path = home.path / "lock";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return fail(Fault::unavailable, "lock " + path.string() + ": " + std::strerror(errno));
  HomeLock out(fd);
  std::array<char, 24> text{};
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    if (error != EWOULDBLOCK) return fail(Fault::unavailable, "lock " + path.string() + ": " + std::strerror(error));
    const ssize_t got = ::pread(fd, text.data(), text.size() - 1, 0);
    std::string who;
    for (ssize_t i = 0; i < got && text[static_cast<std::size_t>(i)] >= '0' && text[static_cast<std::size_t>(i)] <= '9'; ++i)
      who += text[static_cast<std::size_t>(i)];
    return fail(Fault::unavailable, home.path.string() + " is in use by process " + (who.empty() ? "(unknown)" : who) + ": stop it first");
  }
  // The number is for people; the lock itself is the system's. A number that cannot be written is no reason not to run.
  const std::string mine = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd, 0) == 0) [[maybe_unused]]
    const ssize_t written = ::pwrite(fd, mine.data(), mine.size(), 0);
  return out;
}

Result<bool> mark_running(const Home& home) {
  const Result<void> written = write_file(running_path(home), {}, Secrecy::secret);
  if (!written && written.error().fault == Fault::exists) return true;
  if (!written) return std::unexpected(written.error());
  return false;
}

Result<void> clear_running(const Home& home) {
  std::error_code code;
  fs::remove(running_path(home), code);
  if (code) return fail(Fault::unavailable, "remove " + running_path(home).string() + ": " + code.message());
  return sync_folder(home.path);
}

Result<std::optional<SessionMark>> read_session_mark(const Home& home) {
  const auto bytes = read_file(session_path(home), 4096);
  if (!bytes && bytes.error().fault == Fault::not_found) return std::optional<SessionMark>();
  if (!bytes) return std::unexpected(bytes.error());
  std::istringstream in{std::string(text_of(*bytes))};
  std::string person;
  SessionMark out;
  if (in >> person >> out.until_ms && in.get() == ' ' && std::getline(in, out.role)) {
    if (const auto id = PersonId::parse(person)) out.person = *id;
  }
  return out;
}

Result<void> mark_session(const Home& home, const SessionMark& mark) {
  const std::string text = mark.person.hex() + " " + std::to_string(mark.until_ms) + " " + mark.role + "\n";
  return write_file(session_path(home), view_of(text), Secrecy::secret, Existing::replace);
}

Result<void> clear_session(const Home& home) {
  std::error_code code;
  fs::remove(session_path(home), code);
  if (code) return fail(Fault::unavailable, "remove " + session_path(home).string() + ": " + code.message());
  return sync_folder(home.path);
}

// ---- keys ------------------------------------------------------------------------------------------------------------
Result<crypto::Protection> protection_of(const Home& home) {
  return TRY(within(key_path(home.path).string(), crypto::read_key_file(TRY(key_text(home))))).protection;
}

Result<crypto::NodePublic> public_keys(const Home& home) {
  const crypto::KeyFile file = TRY(within(key_path(home.path).string(), crypto::read_key_file(TRY(key_text(home)))));
  return within(key_path(home.path).string(), read_public(file.public_part));
}

Result<crypto::Unlocking> unlocking_by_file(const fs::path& key_file) {
  crypto::SecretBytes secret = TRY(read_secret_file(key_file, secret_file_bytes_most));
  if (secret.reveal().size() < 32)
    return fail(Fault::malformed, key_file.string() + " has fewer than 32 bytes: make one with head -c 32 /dev/urandom > FILE, mode 600");
  return crypto::Unlocking{crypto::Protection::key, std::move(secret)};
}

Result<crypto::Unlocking> unlocking_by_passphrase_file(const fs::path& file) {
  const crypto::SecretBytes whole = TRY(read_secret_file(file, secret_file_bytes_most));
  ByteView line = whole.reveal();
  for (std::size_t i = 0; i < line.size(); ++i)
    if (line[i] == '\n') line = line.first(i);
  if (!line.empty() && line.back() == '\r') line = line.first(line.size() - 1);
  if (line.empty()) return fail(Fault::malformed, file.string() + " has no passphrase in its first line");
  return crypto::Unlocking{crypto::Protection::passphrase, crypto::SecretBytes(bytes_of(line))};
}

Result<HomeKeys> open_keys(const Home& home, const crypto::Unlocking& unlocking) {
  const std::string where = key_path(home.path).string();
  const std::string text = TRY(key_text(home));
  const crypto::NodePublic named = TRY(public_keys(home));
  const crypto::SecretBytes secret = TRY(within(where, crypto::unlock_in_child(text, unlocking)));
  if (secret.reveal().size() != node_secret_bytes + crypto::LocalKey::Root::size) return fail(Fault::malformed, where + ": not a node's key file");
  crypto::NodeKeys node = TRY(crypto::NodeKeys::from(secret.reveal().first(node_secret_bytes)));
  if (node.public_part() != named) return fail(Fault::corrupt, where + ": its public part is of other keys");
  return HomeKeys{std::move(node), crypto::LocalKey(TRY(crypto::LocalKey::Root::from(secret.reveal().subspan(node_secret_bytes))))};
}

// ---- what is sealed under them ---------------------------------------------------------------------------------------
Result<policy::KeyRing> read_recovered(const Home& home, const crypto::LocalKey& local) {
  const fs::path path = home.path / "keys" / "recovered";
  policy::KeyRing out;
  const auto sealed = read_file(path, sealed_bytes_most, Secrecy::secret);
  if (!sealed && sealed.error().fault == Fault::not_found) return out;
  if (!sealed) return std::unexpected(sealed.error());
  Bytes plain = TRY(within(path.string(), local.open(*sealed, view_of(recovered_use))));
  const crypto::SecretBytes kept(std::move(plain));
  Recovered it = TRY(archive::decode<Recovered>(kept.reveal(), sealed_bytes_most, path.string()));
  for (RecoveredKey& key : it.keys) {
    out.put(key.library, key.epoch, TRY(crypto::EpochKey::from(key.key.view())));
    crypto::detail::wipe(key.key.bytes.data(), key.key.bytes.size());
  }
  return out;
}

Result<void> write_recovered(const Home& home, const crypto::LocalKey& local, const policy::KeyRing& keys) {
  Recovered it;
  const auto all = keys.list();
  it.keys.reserve(all.size());  // so that no copy of keys is left behind by growing
  for (const auto& [library, epoch] : all) {
    const crypto::EpochKey* key = keys.find(library, epoch);
    it.keys.push_back({library, epoch, {}});
    std::memcpy(it.keys.back().key.bytes.data(), key->reveal().data(), key->reveal().size());
  }
  Bytes plain = archive::encode(it);
  for (RecoveredKey& key : it.keys) crypto::detail::wipe(key.key.bytes.data(), key.key.bytes.size());
  const crypto::SecretBytes kept(std::move(plain));
  return write_file(home.path / "keys" / "recovered", local.seal(kept.reveal(), view_of(recovered_use)), Secrecy::secret, Existing::replace);
}

Result<std::optional<crypto::SigningKey>> read_freshness_key(const Home& home, const crypto::NodeKeys& keys) {
  const fs::path path = home.path / "hq" / "freshness";
  const auto sealed = read_file(path, 4096, Secrecy::secret);
  if (!sealed && sealed.error().fault == Fault::not_found) return std::optional<crypto::SigningKey>();
  if (!sealed) return std::unexpected(sealed.error());
  const auto seed = crypto::unseal(keys.seal, *sealed);
  if (!seed) return fail(Fault::corrupt, path.string() + " does not open with this node's key: install it again (dozo authority install)");
  return std::optional(TRY(within(path.string(), crypto::SigningKey::from_seed(seed->reveal()))));
}

Result<void> write_freshness_key(const Home& home, const crypto::SigningKey& key) {
  if (home.settings.kind != policy::NodeKind::hq) return fail(Fault::denied, home.path.string() + " is not a node of kind hq");
  const crypto::NodePublic node = TRY(public_keys(home));
  TRY(want_private_folder(home.path / "hq"));
  return write_file(home.path / "hq" / "freshness", TRY(crypto::seal_to(node.seal, key.reveal_seed())), Secrecy::secret, Existing::replace);
}

Result<void> update_realm(Home& home, const policy::RealmFile& realm) {
  if (realm.realm != home.realm.realm) return fail(Fault::denied, "that is another realm's file");
  TRY(write_file(home.path / "realm.json", policy::write_realm_file(realm), Secrecy::open, Existing::replace));
  home.realm = realm;
  return {};
}

}  // namespace dozo::node
