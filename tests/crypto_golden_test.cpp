// Goal: what was once written opens for ever. The examples of docs/keys.md were not made by this code (tests/reference/keys.py made them), and are
// opened here by a program that has made none before: a library that must first be set up for writing is noticed.
#include <doctest/doctest.h>

#include "crypto/checkpoint.h"
#include "crypto/epoch.h"
#include "crypto/hash.h"
#include "crypto/key_file.h"
#include "crypto/session.h"
#include "crypto/shares.h"
#include "tests/crypto_fixture.h"
#include "tests/documented.h"

using namespace dozo;
using namespace dozo::crypto;
using namespace dozo::crypto_fixture;

namespace {

Bytes counted(std::uint8_t first, std::size_t size = 32) {
  Bytes out;
  for (std::size_t i = 0; i < size; ++i) out.push_back(static_cast<std::uint8_t>(first + i));
  return out;
}
template <class Id>
Id id(std::uint8_t first) {
  return Id::from(counted(first, Id::size)).value();
}
std::string example(const std::string& name) { return documented::examples("keys.md").at(name); }
std::string text_example(const std::string& name) { return documented::examples("keys.md", "\n").at(name); }

const auto node = id<NodeId>(0x50);
const auto library = id<LibraryId>(0xa0);
SigningKey signer() { return SigningKey::from_seed(counted(0)).value(); }

}  // namespace

TEST_CASE("golden: a program that has cut no secret puts the documented shares together") {
  REQUIRE(started);
  const auto secret = SharedSecret::from(counted(0xe0)).value();
  const std::string one = example("share 1"), two = example("share 2"), seven = example("share 7");
  CHECK(combine(std::vector{one, two, seven}).value().equals(secret));
  CHECK(combine(std::vector{seven, one + "\n", two + "\r\n", one}).value().equals(secret));
  CHECK(combine(std::vector{one, seven}).error().fault == Fault::not_found);
  CHECK(combine(std::vector<std::string>{}).error().fault == Fault::not_found);
}

TEST_CASE("golden: the documented key files open") {
  const std::string by_key = text_example("key file, by key") + "\n", by_words = text_example("key file, by words") + "\n";
  CHECK(text_of(read_key_file(by_key).value().public_part) == "public");
  CHECK(text_of(unlock(by_key, {Protection::key, SecretBytes(counted(0x30))}).value().reveal()) == "a secret");
  CHECK(unlock(by_key, {Protection::key, SecretBytes(counted(0x31))}).error().fault == Fault::denied);
  CHECK(read_key_file(by_words).value().protection == Protection::passphrase);
  CHECK(text_of(unlock(by_words, {Protection::passphrase, SecretBytes(bytes_of("土蔵"))}).value().reveal()) == "a secret");
  CHECK(text_of(unlock_in_child(by_words, {Protection::passphrase, SecretBytes(bytes_of("土蔵"))}).value().reveal()) == "a secret");
  CHECK(unlock_in_child(by_words, {Protection::passphrase, SecretBytes(bytes_of("土"))}).error().fault == Fault::denied);
}

TEST_CASE("golden: the documented epoch keys open to each other") {
  const auto first = EpochKey::from(counted(0x00)).value(), second = EpochKey::from(counted(0x20)).value();
  CHECK(commitment_of(first, library, Epoch{1}).hex() == example("commitment, epoch 1"));
  CHECK(commitment_of(second, library, Epoch{2}).hex() == example("commitment, epoch 2"));
  const Bytes wrapped = from_hex(example("epoch 1 under 2")).value();
  CHECK(unwrap_predecessor(second, wrapped, library, Epoch{2}, commitment_of(first, library, Epoch{1})).value().equals(first));
}

TEST_CASE("golden: keys, signatures, possession, session and checkpoint are the documented ones") {
  const SigningKey sign_key = signer();
  NodeKeys keys{node, sign_key.copy(), SealKey::from(counted(0x20)).value(), TransportKey::from(counted(0x40)).value()};
  const SealKey admission = SealKey::from(counted(0x60)).value();
  CHECK(keys.public_part().sign.hex() == example("sign public"));
  CHECK(keys.public_part().seal.hex() == example("seal public"));
  CHECK(keys.public_part().transport.hex() == example("transport public"));
  CHECK(admission.public_key().hex() == example("admission public"));
  CHECK(sign(sign_key, "dozo example 1", view_of("message")).hex() == example("signed message"));

  const Possession proof = prove_possession(keys, admission.public_key()).value();
  CHECK(proof.signature.hex() + proof.seal_proof.hex() + proof.transport_proof.hex() == example("possession"));
  CHECK(check_possession(keys.public_part(), proof, admission));

  const SessionCertificate session{id<PersonId>(0xc0), node, {library}, SigningKey::from_seed(counted(0x20)).value().public_key(), 1'700'000'000'000,
                                   1'700'043'200'000};
  CHECK(to_hex(issue(session, sign_key)) == example("certificate"));
  CHECK(open_certificate(from_hex(example("certificate")).value(), sign_key.public_key()).value() == session);

  const Checkpoint checkpoint{"dozo/example", 42, sha256(view_of("root"))};
  CHECK(sign_checkpoint(checkpoint, sign_key) == text_example("checkpoint") + "\n");
  CHECK(open_checkpoint(text_example("checkpoint") + "\n", checkpoint.origin, sign_key.public_key()).value() == checkpoint);
}
