// Goal: keys at rest, in shares, in grants and in certificates open for whom they are meant, and for nobody else.
#include <doctest/doctest.h>

#include <limits>
#include <set>

#include "crypto/aead.h"
#include "crypto/checkpoint.h"
#include "crypto/epoch.h"
#include "crypto/hash.h"
#include "crypto/key_file.h"
#include "crypto/local_seal.h"
#include "crypto/random.h"
#include "crypto/session.h"
#include "crypto/shares.h"
#include "tests/crypto_fixture.h"

using namespace dozo;
using namespace dozo::crypto;
using namespace dozo::crypto_fixture;

namespace {
Unlocking by_key(std::uint8_t fill) { return {Protection::key, SecretBytes(Bytes(32, fill))}; }
Unlocking by_passphrase(std::string_view text) { return {Protection::passphrase, SecretBytes(bytes_of(text))}; }
}  // namespace

TEST_CASE("crypto: has started") { REQUIRE(started); }

TEST_CASE("key file: opens with its passphrase alone, also in a child") {
  const std::string text = protect(view_of("secret"), view_of("public"), by_passphrase("土蔵")).value();
  CHECK(text_of(read_key_file(text).value().public_part) == "public");
  CHECK(text_of(unlock_in_child(text, by_passphrase("土蔵")).value().reveal()) == "secret");
  CHECK(unlock_in_child(text, by_passphrase("土")).error().fault == Fault::denied);
  CHECK(unlock(text, by_key(1)).error().fault == Fault::denied);
  CHECK(!protect(view_of("secret"), {}, by_passphrase("")));
}

TEST_CASE("key file: every changed or missing character is refused") {
  const std::string text = protect(view_of("secret"), view_of("public"), by_key(7)).value();
  REQUIRE(unlock(text, by_key(7)));
  CHECK(unlock(text, by_key(8)).error().fault == Fault::denied);
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string changed = text;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    CHECK(!unlock(changed, by_key(7)));
    if (i + 1 < text.size()) CHECK(!unlock(text.substr(0, i), by_key(7)));
  }
}

TEST_CASE("key file: what asks for more memory or work than is allowed is refused before any is used") {
  const std::string text = protect(view_of("secret"), view_of("public"), by_key(7)).value();
  const std::string title = text.substr(0, text.find('\n') + 1);
  std::string joined;
  for (const char c : text.substr(title.size())) {
    if (c != '\n') joined += c;
  }
  const Bytes content = from_base64(joined).value();
  const auto with = [&](std::uint8_t protection, std::uint64_t operations, std::uint64_t memory) {
    Bytes changed = content;
    changed[0] = protection;
    put_u64(&changed[1 + 4 + 6], operations);
    put_u64(&changed[1 + 4 + 6 + 8], memory);
    const std::string line = to_base64(changed);
    std::string out = title;
    for (std::size_t at = 0; at < line.size(); at += 76) out += line.substr(at, 76) + "\n";
    return out;
  };
  CHECK(read_key_file(with(1, 0, 0)));
  CHECK(read_key_file(with(0, 1, 8192)));
  CHECK(read_key_file(with(0, 16, 1ULL << 30)));
  for (const auto& [operations, memory] :
       std::vector<std::pair<std::uint64_t, std::uint64_t>>{{0, 8192}, {17, 8192}, {1, 8191}, {1, (1ULL << 30) + 1}, {1, ~0ULL}, {~0ULL, 8192}, {0, 0}}) {
    CHECK(read_key_file(with(0, operations, memory)).error().fault == Fault::malformed);
    CHECK(unlock(with(0, operations, memory), by_passphrase("x")).error().fault == Fault::malformed);
  }
  CHECK(read_key_file(with(1, 1, 0)).error().fault == Fault::malformed);
  CHECK(read_key_file(with(1, 0, 1)).error().fault == Fault::malformed);
  CHECK(!read_key_file(with(2, 0, 0)));
  CHECK(read_key_file(std::string(key_file_bytes_most + 1, 'A')).error().fault == Fault::over_limit);
  CHECK(read_key_file("dozo key file 2\n").error().fault == Fault::unsupported);
}

TEST_CASE("key file: a seal that fits, over a commitment to another key, is refused") {
  const std::string text = protect(view_of("secret"), {}, by_key(7)).value();
  const std::string title = text.substr(0, text.find('\n') + 1);
  std::string joined;
  for (const char c : text.substr(title.size())) {
    if (c != '\n') joined += c;
  }
  Bytes content = from_base64(joined).value();
  constexpr std::size_t salt_at = 1 + 4 + 8 + 8, commitment_at = salt_at + 16, nonce_at = commitment_at + 32, sealed_at = nonce_at + 24 + 4;
  Bytes header = bytes_of(ByteView(content).first(sealed_at)), key(32);
  std::fill(header.begin() + commitment_at, header.end(), std::uint8_t{0});
  const Digest stretched = hkdf_extract(ByteView(content).subspan(salt_at, 16), by_key(7).secret.reveal());
  hkdf_expand(stretched.bytes, {view_of("dozo key file 1 seal"), header}, key);
  const auto resealed = [&](std::uint8_t flip) {
    Bytes changed = content;
    changed[commitment_at] ^= flip;
    const ByteSpan whole(changed);
    xchacha_seal(ByteView(key).first<32>(), ByteView(changed).subspan<nonce_at, 24>(), ByteView(changed).subspan(commitment_at, 32), view_of("secret"),
                 whole.subspan(sealed_at));
    const std::string line = to_base64(changed);
    std::string out = title;
    for (std::size_t at = 0; at < line.size(); at += 76) out += line.substr(at, 76) + "\n";
    return out;
  };
  CHECK(text_of(unlock(resealed(0), by_key(7)).value().reveal()) == "secret");
  CHECK(unlock(resealed(1), by_key(7)).error().fault == Fault::denied);
}

TEST_CASE("key file: the longest secret comes back, and a longer one is not written") {
  const Bytes longest(key_file_part_bytes_most - 16, 5), longest_public(key_file_part_bytes_most, 6);
  const std::string text = protect(longest, longest_public, by_key(7)).value();
  CHECK(equal(unlock_in_child(text, by_key(7)).value().reveal(), longest));
  CHECK(protect(Bytes(longest.size() + 1), {}, by_key(7)).error().fault == Fault::over_limit);
  CHECK(protect({}, Bytes(longest_public.size() + 1), by_key(7)).error().fault == Fault::over_limit);
  CHECK(protect({}, {}, {Protection::key, SecretBytes(Bytes(31, 7))}).error().fault == Fault::malformed);
  CHECK(unlock(protect({}, {}, by_key(7)).value(), by_key(7)).value().reveal().empty());
}

TEST_CASE("shares: any k make the secret again, fewer or mixed or damaged ones do not") {
  const SharedSecret secret = SharedSecret::random();
  const auto shares = split(secret, 3, 5).value();
  const auto others = split(secret, 3, 5).value();
  CHECK(std::set<std::string>(shares.begin(), shares.end()).size() == 5);
  for (unsigned mask = 0; mask < 32; ++mask) {
    std::vector<std::string> some;
    for (unsigned i = 0; i < 5; ++i) {
      if ((mask >> i & 1) != 0) some.push_back(shares[i]);
    }
    const auto back = combine(some);
    if (some.size() < 3)
      CHECK(back.error().fault == Fault::not_found);
    else
      CHECK(back.value().equals(secret));
  }
  CHECK(combine(std::vector{shares[0], shares[0], shares[0]}).error().fault == Fault::not_found);
  CHECK(combine(std::vector{shares[0], shares[1], others[2]}).error().fault == Fault::not_authentic);
  for (std::size_t i = 0; i < shares[0].size(); ++i) {
    std::string changed = shares[0];
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    CHECK(!combine(std::vector{changed, shares[1], shares[2]}));
  }
  CHECK(!split(secret, 0, 3));
  CHECK(!split(secret, 4, 3));
}

TEST_CASE("epoch: a key is opened by its receiver, is the published one, and leads to all before it") {
  const LibraryId library = random_id<LibraryId>();
  const EpochKey first = EpochKey::random(), second = EpochKey::random();
  const SealKey node = SealKey::generate();
  const Digest published = commitment_of(second, library, Epoch{2});
  const Bytes grant = seal_epoch_key(second, node.public_key()).value();
  CHECK(open_epoch_key(node, grant, library, Epoch{2}, published).value().equals(second));
  CHECK(!open_epoch_key(SealKey::generate(), grant, library, Epoch{2}, published));
  CHECK(!open_epoch_key(node, grant, library, Epoch{3}, published));
  CHECK(!open_epoch_key(node, seal_epoch_key(first, node.public_key()).value(), library, Epoch{2}, published));
  Bytes wrapped = wrap_predecessor(second, first, library, Epoch{2});
  const Digest before = commitment_of(first, library, Epoch{1});
  CHECK(unwrap_predecessor(second, wrapped, library, Epoch{2}, before).value().equals(first));
  CHECK(!unwrap_predecessor(first, wrapped, library, Epoch{2}, before));
  CHECK(!unwrap_predecessor(second, wrapped, LibraryId{}, Epoch{2}, before));
  CHECK(!unwrap_predecessor(second, wrapped, library, Epoch{2}, published));
  for (std::uint8_t& byte : wrapped) {
    byte ^= 1;
    CHECK(!unwrap_predecessor(second, wrapped, library, Epoch{2}, before));
    byte ^= 1;
  }
}

TEST_CASE("local seal: a value opens in its place alone; names differ by use") {
  const LocalKey key(LocalKey::Root::random()), other(LocalKey::Root::random());
  const Bytes sealed = key.seal(view_of("value"), view_of("place"));
  CHECK(text_of(key.open(sealed, view_of("place")).value()) == "value");
  CHECK(key.open(sealed, view_of("elsewhere")).error().fault == Fault::corrupt);
  CHECK(!other.open(sealed, view_of("place")));
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    Bytes changed = sealed;
    changed[i] ^= 0x80;
    CHECK(!key.open(changed, view_of("place")));
    CHECK(!key.open(ByteView(sealed).first(i), view_of("place")));
  }
  CHECK(key.keyed("piece", view_of("x")) == key.keyed("piece", view_of("x")));
  CHECK(key.keyed("piece", view_of("x")) != key.keyed("path", view_of("x")));
  CHECK(key.keyed("piec", view_of("ex")) != key.keyed("piece", view_of("x")));
}

TEST_CASE("checkpoint: what was signed opens to the same, and no other text does") {
  const SigningKey key = SigningKey::generate();
  const Checkpoint it{"dozo/feed/00ff", 42, sha256(view_of("root"))};
  const std::string note = sign_checkpoint(it, key);
  CHECK(open_checkpoint(note, it.origin, key.public_key()).value() == it);
  CHECK(!open_checkpoint(note, "dozo/feed/00fe", key.public_key()));
  CHECK(!open_checkpoint(note, it.origin, SigningKey::generate().public_key()));
  CHECK(!open_checkpoint(note + "\n", it.origin, key.public_key()));
  CHECK(open_checkpoint(std::string(2000, 'x'), it.origin, key.public_key()).error().fault == Fault::over_limit);
  for (std::size_t i = 0; i < note.size(); ++i) {
    for (const char other : {'0', '\n', 'A', ' '}) {
      std::string changed = note;
      if (changed[i] == other) continue;
      changed[i] = other;
      CHECK(!open_checkpoint(changed, it.origin, key.public_key()));
    }
    CHECK(!open_checkpoint(note.substr(0, i), it.origin, key.public_key()));
  }
}

TEST_CASE("checkpoint: a second way to write the same is refused") {
  const SigningKey key = SigningKey::generate();
  // Signed well, by the key itself: only the text is not the one for what it says.
  const auto signed_note = [&](const std::string& body) {
    const std::string_view origin = "dozo/x";
    Bytes signature = bytes_of(sha256({view_of(origin), view_of("\n\x01"), key.public_key().view()}).view().first(4));
    append(signature, sign_raw(key, view_of(body)).view());
    return body + "\n\u2014 dozo/x " + to_base64(signature) + "\n";
  };
  const std::string root = to_base64(Digest{}.view());
  REQUIRE(open_checkpoint(signed_note("dozo/x\n7\n" + root + "\n"), "dozo/x", key.public_key()));
  for (const char* size : {"07", "+7", "-7", " 7", "7 ", "", "7.0", "18446744073709551616"})
    CHECK(!open_checkpoint(signed_note("dozo/x\n" + std::string(size) + "\n" + root + "\n"), "dozo/x", key.public_key()));
  CHECK(!open_checkpoint(signed_note("dozo/x\n7\n" + root + "\nextension\n"), "dozo/x", key.public_key()));
  CHECK(!open_checkpoint(signed_note("dozo/x\n7\n" + to_base64(Bytes(31)) + "\n"), "dozo/x", key.public_key()));
  const std::string good = signed_note("dozo/x\n7\n" + root + "\n");
  CHECK(!open_checkpoint(good + good.substr(good.find("\u2014")), "dozo/x", key.public_key()));  // two signatures
  CHECK(!open_checkpoint(good, "", key.public_key()));
}

TEST_CASE("session: a certificate is the person's, for at most twelve hours") {
  const SigningKey person = SigningKey::generate();
  SessionCertificate it{random_id<PersonId>(), random_id<NodeId>(), {random_id<LibraryId>()}, SigningKey::generate().public_key(), 1000,
                        1000 + session_ms_most};
  const Bytes issued = issue(it, person);
  CHECK(open_certificate(issued, person.public_key()).value() == it);
  CHECK(read_certificate(issued).value() == it);
  CHECK(it.covers(it.libraries[0]));
  CHECK(!it.covers(LibraryId{}));
  CHECK(!open_certificate(issued, SigningKey::generate().public_key()));
  for (std::size_t i = 0; i < issued.size(); ++i) {
    Bytes changed = issued;
    changed[i] ^= 2;
    CHECK(!open_certificate(changed, person.public_key()));
    CHECK(!open_certificate(ByteView(issued).first(i), person.public_key()));
  }
  ++it.not_after_ms;
  CHECK(!open_certificate(issue(it, person), person.public_key()));
  it.not_after_ms = 1000;
  CHECK(!open_certificate(issue(it, person), person.public_key()));
  it.not_before_ms = std::numeric_limits<std::int64_t>::min();
  it.not_after_ms = std::numeric_limits<std::int64_t>::max();
  CHECK(!open_certificate(issue(it, person), person.public_key()));
  it.not_before_ms = -1;
  it.not_after_ms = 1;
  CHECK(!open_certificate(issue(it, person), person.public_key()));
}
