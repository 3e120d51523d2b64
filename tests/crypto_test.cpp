// Goal: the primitives are the published ones, and whatever was sealed or signed opens only unchanged and for whom it was meant.
#include <doctest/doctest.h>
#include <sodium.h>

#include "crypto/hash.h"
#include "crypto/identity.h"
#include "crypto/random.h"
#include "crypto/start.h"
#include "tests/crypto_fixture.h"

using namespace dozo;
using namespace dozo::crypto;
using namespace dozo::crypto_fixture;

TEST_CASE("crypto: starts") { REQUIRE(start()); }

TEST_CASE("hash: RFC 4231 and RFC 5869 examples") {
  CHECK(sha256(view_of("abc")).hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(hmac_sha256(Bytes(20, 0x0b), {view_of("Hi There")}).hex() == "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  CHECK(hmac_sha256(view_of("Jefe"), {view_of("what do ya want "), view_of("for nothing?")}).hex() ==
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  CHECK(hmac_sha256(Bytes(20, 0xaa), {Bytes(50, 0xdd)}).hex() == "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
  CHECK(hmac_sha256(hex("0102030405060708090a0b0c0d0e0f10111213141516171819"), {Bytes(50, 0xcd)}).hex() ==
        "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b");
  CHECK(hmac_sha256(Bytes(131, 0xaa), {view_of("This is a test using a larger than block-size key and a larger than block-size data. The key needs to be "
                                               "hashed before being used by the HMAC algorithm.")})
            .hex() == "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
  CHECK(hmac_sha256(Bytes(131, 0xaa), {view_of("Test Using Larger Than Block-Size Key - Hash Key First")}).hex() ==
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
  Bytes out(42);
  hkdf_expand(hkdf_extract(hex("000102030405060708090a0b0c"), Bytes(22, 0x0b)).bytes, {hex("f0f1f2f3f4f5f6f7f8f9")}, out);
  CHECK(to_hex(out) == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
  hkdf_expand(hkdf_extract({}, Bytes(22, 0x0b)).bytes, {}, out);
  CHECK(to_hex(out) == "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
  const auto counted = [](int first, int size) {
    Bytes bytes;
    for (int i = 0; i < size; ++i) bytes.push_back(static_cast<std::uint8_t>(first + i));
    return bytes;
  };
  out.resize(82);
  hkdf_expand(hkdf_extract(counted(0x60, 80), counted(0, 80)).bytes, {counted(0xb0, 40), counted(0xb0 + 40, 40)}, out);
  CHECK(to_hex(out) ==
        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87"
        "c14c01d5c1f3434f1d87");
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

TEST_CASE("identity: RFC 8032 examples 1 to 3 and SHA(abc)") {
  struct Case {
    const char *seed, *key, *message, *signature;
  };
  for (const Case& it :
       {Case{"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
             "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
        Case{"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
             "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
        Case{"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7", "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
             "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"},
        Case{"833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42", "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
             "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
             "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704"}}) {
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

TEST_CASE("identity: a key that is none is refused however often it is asked, also after a good one that begins alike") {
  VerifyKey neutral{}, zero{};
  neutral.bytes[0] = 1;  // of order 1
  Bytes seed(32, 0);
  bool met = false;
  for (int i = 0; i < 10'000 && !met; ++i) {
    seed[0] = static_cast<std::uint8_t>(i), seed[1] = static_cast<std::uint8_t>(i >> 8);
    const SigningKey key = SigningKey::from_seed(seed).value();
    const VerifyKey good = key.public_key();
    met = good.bytes[0] == neutral.bytes[0];
    CHECK(is_valid(good));
    CHECK(is_valid(good));
    CHECK_FALSE(is_valid(neutral));
    CHECK_FALSE(is_valid(zero));
    CHECK(verify(good, "c", seed, sign(key, "c", seed)));
  }
  CHECK(met);
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
