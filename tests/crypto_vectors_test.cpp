// Goal: the primitives decide as the published suites say, edge cases included.
#include <sodium.h>

#include "crypto/aead.h"
#include "crypto/checkpoint.h"
#include "crypto/hash.h"
#include "crypto/identity.h"
#include "crypto/random.h"
#include "tests/crypto_fixture.h"
#include "tests/vectors.h"

using namespace dozo;
using namespace dozo::crypto;
using namespace dozo::crypto_fixture;

namespace {

struct Tally {
  int valid = 0, refused = 0;
};
/// Calls `decide(group, test)` for every test of a Wycheproof file and compares what it returns with the published verdict.
template <class Decide>
Tally run(const std::filesystem::path& file, Decide&& decide) {
  Tally out;
  const auto suite = vectors::load(file);
  for (const auto& group : suite["testGroups"]) {
    for (const auto& test : group["tests"]) {
      const bool valid = test["result"] != "invalid";
      CHECK_MESSAGE(decide(group, test) == valid, file.filename().string(), " ", test["tcId"].dump());
      ++(valid ? out.valid : out.refused);
    }
  }
  return out;
}

}  // namespace

TEST_CASE("vectors: have started") { REQUIRE(started); }

TEST_CASE("aead: RFC 8439, 2.8.2") {
  const Bytes key = hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"), nonce = hex("070000004041424344454647");
  const Bytes associated = hex("50515253c0c1c2c3c4c5c6c7");
  const Bytes plain = bytes_of("Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.");
  Bytes body = plain;
  std::array<std::uint8_t, 16> tag{};
  chacha_seal(ByteView(key).first<32>(), ByteView(nonce).first<12>(), associated, body, tag);
  CHECK(to_hex(body) ==
        "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c"
        "9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b6116");
  CHECK(to_hex(tag) == "1ae10b594f09e26a7e902ecbd0600691");
  Bytes opened(body.size());
  CHECK(chacha_open(ByteView(key).first<32>(), ByteView(nonce).first<12>(), associated, body, tag, opened));
  CHECK(opened == plain);
  tag[0] ^= 1;
  CHECK(!chacha_open(ByteView(key).first<32>(), ByteView(nonce).first<12>(), associated, body, tag, opened));
  CHECK(opened == Bytes(body.size()));  // nothing unauthentic comes out
}

TEST_CASE("aead: libcrypto and libsodium agree on random input") {
  for (const std::size_t size : {0UL, 1UL, 15UL, 16UL, 17UL, 63UL, 64UL, 65UL, 255UL, 4096UL, 70001UL}) {
    for (const std::size_t associated_size : {0UL, 1UL, 16UL, 96UL}) {
      Bytes key(32), nonce(12), associated(associated_size), plain(size);
      for (Bytes* bytes : {&key, &nonce, &associated, &plain}) random_bytes(*bytes);
      Bytes ours = plain, theirs(size + 16), opened(size);
      std::array<std::uint8_t, 16> tag{};
      chacha_seal(ByteView(key).first<32>(), ByteView(nonce).first<12>(), associated, ours, tag);
      crypto_aead_chacha20poly1305_ietf_encrypt(theirs.data(), nullptr, plain.data(), plain.size(), associated.data(), associated.size(), nullptr, nonce.data(),
                                                key.data());
      CHECK(chacha_open(ByteView(key).first<32>(), ByteView(nonce).first<12>(), associated, ours, tag, opened));
      append(ours, tag);
      CHECK(ours == theirs);
      CHECK(opened == plain);
    }
  }
}

TEST_CASE("vectors: Wycheproof, ChaCha20-Poly1305 and XChaCha20-Poly1305") {
  const auto folder = vectors::folder();
  if (!folder) return;
  const auto decided = [](const auto& test, std::size_t nonce_bytes, auto&& open) {
    const Bytes key = hex(test["key"].template get<std::string>()), nonce = hex(test["iv"].template get<std::string>());
    if (nonce.size() != nonce_bytes) return false;  // the types do not admit it
    const Bytes plain = hex(test["msg"].template get<std::string>()), sealed = hex(test["ct"].template get<std::string>());
    const Bytes associated = hex(test["aad"].template get<std::string>()), tag = hex(test["tag"].template get<std::string>());
    Bytes opened(sealed.size());
    return open(key, nonce, associated, sealed, tag, opened) && opened == plain;
  };
  const Tally bulk = run(*folder / "wycheproof" / "chacha20_poly1305_test.json", [&](const auto&, const auto& test) {
    return decided(test, 12, [](ByteView key, ByteView nonce, ByteView associated, ByteView sealed, ByteView tag, ByteSpan opened) {
      if (!chacha_open(key.first<32>(), nonce.first<12>(), associated, sealed, tag.first<16>(), opened)) return false;
      Bytes again = bytes_of(ByteView(opened));
      std::array<std::uint8_t, 16> made{};
      chacha_seal(key.first<32>(), nonce.first<12>(), associated, again, made);
      return equal(again, sealed) && equal(made, tag);
    });
  });
  const Tally small = run(*folder / "wycheproof" / "xchacha20_poly1305_test.json", [&](const auto&, const auto& test) {
    return decided(test, 24, [](ByteView key, ByteView nonce, ByteView associated, ByteView sealed, ByteView tag, ByteSpan opened) {
      Bytes whole = bytes_of(sealed);
      append(whole, tag);
      if (!xchacha_open(key.first<32>(), nonce.first<24>(), associated, whole, opened)) return false;
      Bytes again(whole.size());
      xchacha_seal(key.first<32>(), nonce.first<24>(), associated, opened, again);
      return again == whole;
    });
  });
  CHECK((bulk.valid > 200 && bulk.refused > 50 && small.valid > 200 && small.refused > 50));
}

TEST_CASE("vectors: Wycheproof, HMAC and HKDF") {
  const auto folder = vectors::folder();
  if (!folder) return;
  const Tally mac = run(*folder / "wycheproof" / "hmac_sha256_test.json", [](const auto& group, const auto& test) {
    const Bytes tag = hex(test["tag"].template get<std::string>());
    const Digest made = hmac_sha256(hex(test["key"].template get<std::string>()), {hex(test["msg"].template get<std::string>())});
    return tag.size() * 8 == group["tagSize"].template get<std::size_t>() && equal(made.view().first(tag.size()), tag);
  });
  CHECK((mac.valid > 50 && mac.refused > 50));
  const Tally derived = run(*folder / "wycheproof" / "hkdf_sha256_test.json", [](const auto&, const auto& test) {
    const auto size = test["size"].template get<std::size_t>();
    if (size > 8160) return false;  // the caller's to know: a longer one is our own bug
    Bytes out(size);
    hkdf_expand(hkdf_extract(hex(test["salt"].template get<std::string>()), hex(test["ikm"].template get<std::string>())).bytes,
                {hex(test["info"].template get<std::string>())}, out);
    return to_hex(out) == test["okm"].template get<std::string>();
  });
  CHECK(derived.valid > 50);
}

TEST_CASE("vectors: Wycheproof, Ed25519 and X25519") {
  const auto folder = vectors::folder();
  if (!folder) return;
  const Tally signatures = run(*folder / "wycheproof" / "ed25519_test.json", [](const auto& group, const auto& test) {
    const auto key = VerifyKey::parse(group["publicKey"]["pk"].template get<std::string>()).value();
    const auto signature = Signature::from(hex(test["sig"].template get<std::string>()));
    return signature && verify_raw(key, hex(test["msg"].template get<std::string>()), *signature).has_value();
  });
  CHECK((signatures.valid > 50 && signatures.refused > 40));
  // Where the shared secret would be zero, the provider must say so: proofs and sealed boxes rely on that.
  int zero = 0;
  run(*folder / "wycheproof" / "x25519_test.json", [&](const auto&, const auto& test) {
    const Bytes secret = hex(test["private"].template get<std::string>()), key = hex(test["public"].template get<std::string>());
    Digest shared;
    const bool proper = crypto_scalarmult(shared.bytes.data(), secret.data(), key.data()) == 0;
    const auto published = test["shared"].template get<std::string>();
    const bool expected_zero = published == Digest{}.hex();
    zero += expected_zero ? 1 : 0;
    if (expected_zero) CHECK(!seal_to(SealPublicKey::from(key).value(), view_of("x")));
    return expected_zero ? !proper : proper && shared.hex() == published;
  });
  CHECK(zero > 20);
}

TEST_CASE("vectors: CCTV, no Ed25519 key or signature of low order is taken") {
  const auto folder = vectors::folder();
  if (!folder) return;
  int taken = 0, all = 0;
  for (const auto& test : vectors::load(*folder / "ed25519" / "cctv_ed25519vectors.json")) {
    ++all;
    const auto key = VerifyKey::parse(test["key"].get<std::string>()).value();
    if (!verify_raw(key, view_of(test["msg"].get<std::string>()), Signature::parse(test["sig"].get<std::string>()).value())) continue;
    ++taken;
    CHECK_MESSAGE((test["flags"].is_null() || test["flags"].empty()), test.dump());
  }
  CHECK(taken == 1);
  CHECK(all == 914);
}

TEST_CASE("checkpoint: a key has the published id of signed notes") {
  // The signer of the signed-note package's own documentation, c74f20a3.
  const Bytes published = from_base64("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz").value();
  const SigningKey key = SigningKey::from_seed(ByteView(published).subspan(1)).value();
  const std::string note = sign_checkpoint({"PeterNeumann", 1, {}}, key);
  const std::string_view line = std::string_view(note).substr(note.rfind(' ') + 1);
  CHECK(to_hex(ByteView(from_base64(line.substr(0, line.size() - 1)).value()).first(4)) == "c74f20a3");
}
