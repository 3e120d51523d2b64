#include "crypto/checkpoint.h"

#include <algorithm>
#include <charconv>

#include "base/invariant.h"
#include "crypto/hash.h"

// ORIGIN \n SIZE \n base64(ROOT) \n \n "— " ORIGIN " " base64(key id 4, signature 64) \n
namespace dozo::crypto {
namespace {

constexpr std::string_view dash = "\u2014 ";
constexpr std::uint8_t ed25519 = 1;

std::string body(const Checkpoint& it) { return it.origin + "\n" + std::to_string(it.size) + "\n" + to_base64(it.root.bytes) + "\n"; }

/// First four bytes of SHA-256(name, newline, algorithm, public key).
Bytes key_id(std::string_view name, const VerifyKey& key) {
  constexpr std::uint8_t separator[] = {'\n', ed25519};
  return bytes_of(sha256({view_of(name), separator, key.bytes}).view().first(4));
}

}  // namespace

std::string sign_checkpoint(const Checkpoint& checkpoint, const SigningKey& key) {
  INVARIANT(!checkpoint.origin.empty() && checkpoint.origin.find_first_of("+ \n\t\r") == std::string::npos);
  const std::string text = body(checkpoint);
  Bytes signature = key_id(checkpoint.origin, key.public_key());
  append(signature, sign_raw(key, view_of(text)).bytes);
  return text + "\n" + std::string(dash) + checkpoint.origin + " " + to_base64(signature) + "\n";
}

Result<Checkpoint> open_checkpoint(std::string_view note, std::string_view origin, const VerifyKey& key) {
  const auto malformed = [] { return fail(Fault::malformed, "a checkpoint that breaks its format"); };
  if (note.size() > note_bytes_most) return fail(Fault::over_limit, "a checkpoint of " + std::to_string(note.size()) + " bytes");
  std::string_view rest = note;
  const auto line = [&]() -> std::string_view {
    const std::size_t end = rest.find('\n');
    const std::string_view out = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
    return out;
  };
  if (line() != origin) return malformed();
  Checkpoint out{std::string(origin), 0, {}};
  const std::string_view size = line();
  const auto [end, error] = std::from_chars(size.data(), size.data() + size.size(), out.size);
  if (error != std::errc{} || end != size.data() + size.size()) return malformed();
  out.root = TRY(Digest::from(TRY(from_base64(line()))));
  if (!line().empty()) return malformed();
  const std::string_view signature_line = line();
  const std::string prefix = std::string(dash) + out.origin + " ";
  if (!signature_line.starts_with(prefix) || !rest.empty()) return malformed();
  const Bytes signature = TRY(from_base64(signature_line.substr(prefix.size())));
  if (signature.size() != 4 + Signature::size) return malformed();
  // One text for one checkpoint: a leading zero, a missing newline at the end and the like would make two.
  if (body(out) + "\n" + std::string(signature_line) + "\n" != note) return malformed();
  if (!equal(ByteView(signature).first(4), key_id(origin, key))) return fail(Fault::not_authentic, "a checkpoint by another key");
  TRY(verify_raw(key, view_of(body(out)), TRY(Signature::from(ByteView(signature).subspan(4)))));
  return out;
}

}  // namespace dozo::crypto
