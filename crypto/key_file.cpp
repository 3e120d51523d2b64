#include "crypto/key_file.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/archive.h"
#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/random.h"

namespace dozo::crypto {
namespace {

constexpr std::string_view title = "dozo key file 1\n";
constexpr std::size_t line_characters = 76;
constexpr std::uint64_t memory_bytes_most = 1ULL << 30, operations_most = 16;

struct Content {
  Protection protection{};
  Bytes public_part;
  std::uint64_t operations{}, memory_bytes{};  ///< Argon2id; 0 with a key
  FixedBytes<16, struct SaltTag> salt;
  Digest commitment;
  FixedBytes<24, struct NonceTag> nonce;
  Bytes sealed;
};
template <class A>
void serialize(A& archive, Content& it) {
  archive(it.protection, dozo::archive::capped<key_file_part_bytes_most>(it.public_part), it.operations, it.memory_bytes, it.salt, it.commitment, it.nonce,
          dozo::archive::capped<key_file_part_bytes_most>(it.sealed));
}

struct Derived {
  Secret<32, struct WrappingPurpose> key;
  Digest commitment;
};

/// Everything before the commitment is bound to the key.
Result<Derived> derive(const Content& it, const Unlocking& with) {
  std::array<std::uint8_t, 32> stretched{};
  if (it.protection == Protection::passphrase) {
    const ByteView secret = with.secret.reveal();
    if (crypto_pwhash(stretched.data(), stretched.size(), reinterpret_cast<const char*>(secret.data()), secret.size(), it.salt.bytes.data(), it.operations,
                      static_cast<std::size_t>(it.memory_bytes), crypto_pwhash_ALG_ARGON2ID13) != 0) {
      return fail(Fault::unavailable, "not enough memory to unlock a key file");
    }
  } else {
    Digest extracted = hkdf_extract(it.salt.bytes, with.secret.reveal());
    std::ranges::copy(extracted.bytes, stretched.begin());
    detail::wipe(extracted.bytes.data(), extracted.bytes.size());
  }
  Content bound = it;
  bound.commitment = {};
  bound.nonce = {};
  bound.sealed.clear();
  const Bytes header = archive::encode(bound);
  Derived out{Secret<32, struct WrappingPurpose>::made_by(
                  [&](std::span<std::uint8_t, 32> key) { hkdf_expand(stretched, {view_of("dozo key file 1 seal"), header}, key); }),
              {}};
  hkdf_expand(stretched, {view_of("dozo key file 1 commitment"), header}, out.commitment.bytes);
  sodium_memzero(stretched.data(), stretched.size());
  return out;
}

Result<void> check_unlocking(const Unlocking& with) {
  if (with.protection == Protection::passphrase && with.secret.reveal().empty()) return fail(Fault::malformed, "an empty passphrase");
  if (with.protection == Protection::key && with.secret.reveal().size() < 32) return fail(Fault::malformed, "a key of fewer than 32 bytes");
  return {};
}

std::string render(const Content& it) {
  const std::string text = to_base64(archive::encode(it));
  std::string out(title);
  for (std::size_t at = 0; at < text.size(); at += line_characters) out += text.substr(at, line_characters) + "\n";
  return out;
}

Result<Content> parse(std::string_view text) {
  if (text.size() > key_file_bytes_most) return fail(Fault::over_limit, "too large for a key file");
  if (!text.starts_with("dozo key file ")) return fail(Fault::malformed, "not a key file");
  if (!text.starts_with(title)) return fail(Fault::unsupported, "a key file of a newer format");
  std::string joined;
  for (const char c : text.substr(title.size())) {
    if (c != '\n') joined += c;
  }
  Content it = TRY(archive::decode<Content>(TRY(from_base64(joined)), key_file_bytes_most, "a key file"));
  const bool stretched = it.protection == Protection::passphrase;
  if (stretched ? it.operations < 1 || it.operations > operations_most || it.memory_bytes < 8192 || it.memory_bytes > memory_bytes_most
                : it.operations != 0 || it.memory_bytes != 0) {
    return fail(Fault::malformed, "a key file with parameters out of bounds");
  }
  if (it.sealed.size() < aead_tag_bytes) return fail(Fault::malformed, "a key file cut short");
  // One text for one content, line breaks included.
  if (render(it) != text) return fail(Fault::malformed, "a key file that breaks its format");
  return it;
}

Result<SecretBytes> open(const Content& it, const Unlocking& with) {
  if (it.protection != with.protection)
    return fail(Fault::denied, it.protection == Protection::passphrase ? "this key file needs a passphrase" : "this key file needs a key file");
  const Derived derived = TRY(derive(it, with));
  if (sodium_memcmp(derived.commitment.bytes.data(), it.commitment.bytes.data(), Digest::size) != 0) {
    return fail(Fault::denied,
                it.protection == Protection::passphrase ? "wrong passphrase (or the key file was changed)" : "wrong key (or the key file was changed)");
  }
  Bytes out(it.sealed.size() - aead_tag_bytes);
  if (!xchacha_open(derived.key.reveal(), it.nonce.bytes, it.commitment.bytes, it.sealed, out)) return fail(Fault::not_authentic, "the key file was changed");
  return SecretBytes(std::move(out));
}

}  // namespace

Result<std::string> protect(ByteView secret, ByteView public_part, const Unlocking& with) {
  TRY(check_unlocking(with));
  if (secret.size() + aead_tag_bytes > key_file_part_bytes_most || public_part.size() > key_file_part_bytes_most) {
    return fail(Fault::over_limit, "more than a key file holds");
  }
  Content it;
  it.protection = with.protection;
  it.public_part = bytes_of(public_part);
  if (with.protection == Protection::passphrase) {
    it.operations = crypto_pwhash_OPSLIMIT_MODERATE;
    it.memory_bytes = crypto_pwhash_MEMLIMIT_MODERATE;
  }
  random_bytes(it.salt.bytes);
  random_bytes(it.nonce.bytes);
  const Derived derived = TRY(derive(it, with));
  it.commitment = derived.commitment;
  it.sealed.resize(secret.size() + aead_tag_bytes);
  xchacha_seal(derived.key.reveal(), it.nonce.bytes, it.commitment.bytes, secret, it.sealed);
  return render(it);
}

Result<KeyFile> read_key_file(std::string_view text) {
  Content it = TRY(parse(text));
  return KeyFile{it.protection, std::move(it.public_part)};
}

Result<SecretBytes> unlock(std::string_view text, const Unlocking& with) {
  TRY(check_unlocking(with));
  return open(TRY(parse(text)), with);
}

Result<SecretBytes> unlock_in_child(std::string_view text, const Unlocking& with) {
  TRY(check_unlocking(with));
  const Content it = TRY(parse(text));
  if (it.protection == Protection::key || with.protection == Protection::key) return open(it, with);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail(Fault::unavailable, "no pipe to unlock a key file");
  const pid_t child = ::fork();
  if (child < 0) {
    ::close(ends[0]);
    ::close(ends[1]);
    return fail(Fault::unavailable, "no process to unlock a key file");
  }
  if (child == 0) {
    ::close(ends[0]);
    // Answer: one byte (0, or 1 + fault), then the secret or the text.
    const Result<SecretBytes> opened = open(it, with);
    const ByteView said = opened ? opened->reveal() : view_of(opened.error().text);
    Bytes answer(1 + said.size(), static_cast<std::uint8_t>(opened ? 0 : 1 + static_cast<int>(opened.error().fault)));
    std::ranges::copy(said, answer.begin() + 1);
    // At most 16 KiB, which a pipe holds: written at once, or not at all.
    const bool written = ::write(ends[1], answer.data(), answer.size()) == static_cast<ssize_t>(answer.size());
    sodium_memzero(answer.data(), answer.size());
    ::_exit(written ? 0 : 1);
  }
  ::close(ends[1]);
  Bytes answer;
  answer.reserve(key_file_bytes_most);  // growing would leave copies of the secret behind
  std::array<std::uint8_t, 4096> buffer{};
  for (ssize_t size = 0; (size = ::read(ends[0], buffer.data(), buffer.size())) != 0;) {
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) break;
    append(answer, ByteView(buffer).first(static_cast<std::size_t>(size)));
  }
  sodium_memzero(buffer.data(), buffer.size());
  ::close(ends[0]);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  SecretBytes held(std::move(answer));
  const ByteView got = held.reveal();
  if (got.empty() || got[0] > 1 + static_cast<int>(Fault::unsupported) || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
    return fail(Fault::unavailable, "the process that unlocks a key file died; is there enough memory?");
  if (got[0] != 0) return fail(static_cast<Fault>(got[0] - 1), std::string(text_of(got.subspan(1))));
  return SecretBytes(bytes_of(got.subspan(1)));
}

}  // namespace dozo::crypto
