// Goal: a seed repeats every draw of a program, keys included, so that a simulated failure can be run again.
#include <doctest/doctest.h>

#include "crypto/identity.h"
#include "crypto/local_seal.h"
#include "crypto/pack_seal.h"
#include "crypto/random.h"
#include "crypto/seeded_random.h"
#include "crypto/start.h"

using namespace dozo;
using namespace dozo::crypto;

namespace {

/// One of everything that draws.
Bytes drawn() {
  Bytes out = bytes_of(random_id<NodeId>().view());
  append(out, SigningKey::generate().public_key().view());
  append(out, SealKey::generate().public_key().view());
  const EpochKey key = EpochKey::random();
  append(out, seal_pack(key, PackKind::meta, random_id<LibraryId>(), Epoch{1}, {}, {}));
  append(out, seal_to(SealKey::generate().public_key(), key.reveal()).value());
  for (int i = 0; i < 20; ++i) out.push_back(static_cast<std::uint8_t>(random_below(256)));
  return out;
}

}  // namespace

TEST_CASE("seeded: a machine whose dice repeat uses no nonce for two local values, and no pack key for two tables") {
  REQUIRE(start());
  const LocalKey key(LocalKey::Root::random());
  const EpochKey epoch_key = EpochKey::random();
  const auto sealed = [&](std::string_view value, std::string_view place) {
    use_seeded_randomness(3);
    return key.seal(view_of(value), view_of(place));
  };
  const auto nonce = [](const Bytes& bytes) { return bytes_of(ByteView(bytes).first(24)); };
  CHECK(sealed("value", "place") == sealed("value", "place"));  // the dice do repeat
  CHECK(nonce(sealed("value", "place")) != nonce(sealed("other", "place")));
  CHECK(nonce(sealed("value", "place")) != nonce(sealed("value", "other")));
  CHECK(nonce(sealed("evalue", "plac")) != nonce(sealed("value", "place")));
  const auto pack = [&](std::string_view table) {
    use_seeded_randomness(3);
    return seal_pack(epoch_key, PackKind::meta, LibraryId{}, Epoch{1}, view_of(table), view_of(table));
  };
  CHECK(pack("a") == pack("a"));
  CHECK(!equal(ByteView(pack("a")).subspan(32, 64), ByteView(pack("b")).subspan(32, 64)));  // salt and commitment
}

TEST_CASE("seeded: the same seed draws the same, another seed something else, and no draw repeats within one") {
  use_seeded_randomness(1);
  REQUIRE(start());
  use_seeded_randomness(7);
  const Bytes once = drawn(), further = drawn();
  use_seeded_randomness(8);
  const Bytes other = drawn();
  use_seeded_randomness(7);
  CHECK(drawn() == once);
  CHECK(drawn() == further);
  CHECK(once != further);
  CHECK(other != once);
}
