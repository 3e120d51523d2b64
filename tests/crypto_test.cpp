// Goal: the primitives are the published ones, and whatever was sealed or signed opens only unchanged and for whom it was meant.
#include <doctest/doctest.h>
#include <sodium.h>

#include "crypto/hash.h"
#include "crypto/identity.h"
#include "crypto/pack_seal.h"
#include "crypto/random.h"
#include "crypto/start.h"
#include "tests/vectors.h"

using namespace dozo;
using namespace dozo::crypto;

namespace {

Bytes hex(std::string_view text) { return from_hex(text).value(); }

const LibraryId library = LibraryId::parse("a0a1a2a3a4a5a6a7a8a9aaabacadaeaf").value();
EpochKey example_key() {
  Bytes bytes(32);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i);
  return EpochKey::from(bytes).value();
}
Bytes example_pack() {
  return seal_pack_with(example_key(), PackKind::meta, library, Epoch{1}, view_of("table"), view_of("table and The quick brown fox jumps over the lazy dog"),
                        Bytes(32, 0x11));
}

}  // namespace

TEST_CASE("crypto: starts") { REQUIRE(start()); }

TEST_CASE("hash: RFC 4231 and RFC 5869 examples") {
  CHECK(sha256(view_of("abc")).hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(hmac_sha256(Bytes(20, 0x0b), {view_of("Hi There")}).hex() == "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  CHECK(hmac_sha256(view_of("Jefe"), {view_of("what do ya want "), view_of("for nothing?")}).hex() ==
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  CHECK(hmac_sha256(Bytes(131, 0xaa), {view_of("Test Using Larger Than Block-Size Key - Hash Key First")}).hex() ==
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
  Bytes out(42);
  hkdf_expand(hkdf_extract(hex("000102030405060708090a0b0c"), Bytes(22, 0x0b)).bytes, {hex("f0f1f2f3f4f5f6f7f8f9")}, out);
  CHECK(to_hex(out) == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
  hkdf_expand(hkdf_extract({}, Bytes(22, 0x0b)).bytes, {}, out);
  CHECK(to_hex(out) == "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

TEST_CASE("hash: libcrypto and libsodium agree on random input") {
  for (std::size_t size : {0UL, 1UL, 55UL, 56UL, 63UL, 64UL, 65UL, 1000UL, 70000UL}) {
    Bytes bytes(size), key(32);
    random_bytes(bytes);
    random_bytes(key);
    Digest other;
    crypto_hash_sha256(other.bytes.data(), bytes.data(), bytes.size());
    CHECK(sha256(bytes) == other);
    crypto_auth_hmacsha256(other.bytes.data(), bytes.data(), bytes.size(), key.data());
    CHECK(hmac_sha256(key, {bytes}) == other);
    Sha256 hash;
    for (std::size_t at = 0; at < size; at += 37) hash.update(ByteView(bytes).subspan(at, std::min<std::size_t>(37, size - at)));
    CHECK(hash.finish() == sha256(bytes));
  }
}

TEST_CASE("identity: RFC 8032 examples 1 to 3") {
  struct Case {
    const char *seed, *key, *message, *signature;
  };
  for (const Case& it :
       {Case{"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
             "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
        Case{"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
             "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
        Case{"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7", "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
             "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"}}) {
    const SigningKey key = SigningKey::from_seed(hex(it.seed)).value();
    CHECK(key.public_key().hex() == it.key);
    CHECK(sign_raw(key, hex(it.message)).hex() == it.signature);
    CHECK(verify_raw(key.public_key(), hex(it.message), sign_raw(key, hex(it.message))));
  }
}

TEST_CASE("identity: a signature fits only its key, context and message") {
  const SigningKey key = SigningKey::generate(), other = SigningKey::generate();
  const Signature signature = sign(key, "dozo test 1", view_of("message"));
  CHECK(verify(key.public_key(), "dozo test 1", view_of("message"), signature));
  CHECK(!verify(key.public_key(), "dozo test 2", view_of("message"), signature));
  CHECK(!verify(key.public_key(), "dozo test ", view_of("1message"), signature));
  CHECK(!verify(key.public_key(), "dozo test 1", view_of("massage"), signature));
  CHECK(!verify(other.public_key(), "dozo test 1", view_of("message"), signature));
  Signature changed = signature;
  changed.bytes[63] ^= 0x20;
  CHECK(!verify(key.public_key(), "dozo test 1", view_of("message"), changed));
  CHECK(!verify(VerifyKey{}, "dozo test 1", view_of("message"), signature));
}

TEST_CASE("identity: a sealed box opens only whole and for its key") {
  const SealKey key = SealKey::generate();
  Bytes sealed = seal_to(key.public_key(), view_of("epoch key")).value();
  CHECK(text_of(unseal(key, sealed).value().reveal()) == "epoch key");
  CHECK(!unseal(SealKey::generate(), sealed));
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    sealed[i] ^= 4;
    CHECK(!unseal(key, sealed));
    sealed[i] ^= 4;
  }
  for (std::size_t size = 0; size < sealed.size(); ++size) CHECK(!unseal(key, ByteView(sealed).first(size)));
  CHECK(seal_to(SealPublicKey{}, view_of("epoch key")).error().fault == Fault::not_authentic);
}

TEST_CASE("identity: possession of all three keys is proven, and of none that is another's") {
  const SealKey admission = SealKey::generate();
  const NodeKeys keys = NodeKeys::from(NodeKeys::generate().reveal().reveal()).value();
  const NodeKeys other = NodeKeys::generate();
  const Possession proof = prove_possession(keys, admission.public_key()).value();
  CHECK(check_possession(keys.public_part(), proof, admission));
  CHECK(!check_possession(keys.public_part(), proof, SealKey::generate()));
  for (int part = 0; part < 4; ++part) {
    NodePublic claimed = keys.public_part();
    if (part == 0) claimed.id = other.id;
    if (part == 1) claimed.sign = other.sign.public_key();
    if (part == 2) claimed.seal = other.seal.public_key();
    if (part == 3) claimed.transport = other.transport.public_key();
    CHECK(!check_possession(claimed, proof, admission));
  }
  CHECK(!prove_possession(keys, SealPublicKey{}));
}

TEST_CASE("pack: the worked example has the bytes that the format document prints") {
  const Bytes pack = example_pack();
  REQUIRE(pack.size() == 512);
  CHECK(to_hex(ByteView(pack).first(32)) == "444f5a5001000000a0a1a2a3a4a5a6a7a8a9aaabacadaeaf0000000100000190");
  CHECK(to_hex(ByteView(pack).subspan(32, 32)) == "d71a675071bc7fff1139f2deeda36a935ced02b41d2db239df2ce779e15a2d6a");
  CHECK(to_hex(ByteView(pack).subspan(64, 32)) == "aad75e7595f9a687fdf8813fbfa257b58e318a481281beab80a3619ab80d786e");
  CHECK(to_hex(ByteView(pack).subspan(96, 16)) == "10981761389afc65209c67215a1188a2");
  CHECK(to_hex(ByteView(pack).last(16)) == "a4583480696116c274aa97225e60305d");
  CHECK(address_of(pack).hex() == "cc198b877f98fe125e7eb1074004d12fe3b5eebc2e3cde87f24746af147bd0bb");
}

TEST_CASE("pack: opens to what was sealed, at every size where the length changes") {
  const EpochKey key = example_key();
  for (const std::size_t size : {0UL, 1UL, 395UL, 396UL, 397UL, 1000UL, 65536UL, 500000UL, pack_plain_most - 1, pack_plain_most}) {
    Bytes plain(size);
    random_bytes(plain);
    const Bytes pack = seal_pack(key, PackKind::content, library, Epoch{7}, ByteView(plain).first(size / 2), plain);
    CHECK(pack.size() == sealed_bytes(size));
    CHECK(pack.size() <= bulk_pack_bytes);
    const PackHeader header = check_sealed(pack).value();
    CHECK((header.kind == PackKind::content && header.library == library && header.epoch.value == 7));
    CHECK(open_pack(key, pack, library).value() == plain);
  }
}

TEST_CASE("pack: every single-bit change, every truncation and every wrong key or library is refused") {
  const EpochKey key = example_key();
  Bytes pack = example_pack();
  REQUIRE(open_pack(key, pack, library));
  for (std::size_t i = 0; i < pack.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      pack[i] = static_cast<std::uint8_t>(pack[i] ^ 1 << bit);
      CHECK(!open_pack(key, pack, library));
      pack[i] = static_cast<std::uint8_t>(pack[i] ^ 1 << bit);
    }
  }
  for (std::size_t size = 0; size < pack.size(); ++size) CHECK(!open_pack(key, ByteView(pack).first(size), library));
  pack.push_back(0);
  CHECK(!open_pack(key, pack, library));
  pack.pop_back();
  CHECK(!open_pack(EpochKey::random(), pack, library));
  CHECK(!open_pack(key, pack, LibraryId{}));
}

TEST_CASE("pack: the same dice make another key for another table") {
  const Bytes dice(32, 0x11);
  const Bytes one = seal_pack_with(example_key(), PackKind::meta, library, Epoch{1}, view_of("a"), view_of("a"), dice);
  const Bytes two = seal_pack_with(example_key(), PackKind::meta, library, Epoch{1}, view_of("b"), view_of("b"), dice);
  CHECK(!equal(ByteView(one).subspan(32, 64), ByteView(two).subspan(32, 64)));
}

TEST_CASE("pack: few sizes exist, each a Padmé length or the bulk size") {
  std::vector<std::size_t> sizes;
  for (std::size_t plain = 0; plain <= pack_plain_most; plain += 97) {
    const std::size_t size = sealed_bytes(plain);
    CHECK(size >= plain + pack_overhead_bytes + pack_length_bytes);
    if (sizes.empty() || sizes.back() != size) sizes.push_back(size);
  }
  CHECK(std::is_sorted(sizes.begin(), sizes.end()));
  CHECK(sizes.size() < 300);
  CHECK(sizes.back() == bulk_pack_bytes);
}
