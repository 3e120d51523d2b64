// Keys: who can open what, from grants, from the key authority's key and from the recovery key.
#include "policy/keys.h"

#include "crypto/shares.h"
#include "tests/policy_fixture.h"

using namespace dozo;
using namespace dozo::policy_fixture;

namespace {

struct KeysFixture : Seeded {
  Headquarters hq;
  KeysFixture() { hq.publish(); }
  Result<KeyRing> opened(const std::string& node) const { return open_grants(hq.nodes.at(node).seal, grants_of(hq.last, hq.id(node)), epochs_of(hq.last)); }
  std::vector<std::pair<LibraryId, Epoch>> list_of(const std::string& node) const {
    const auto ring = opened(node);
    REQUIRE_MESSAGE(ring, ring.error().text);
    return ring->list();
  }
  bool has_grants(const std::string& node) const { return hq.last.contains(grants_name(hq.id(node))); }
  void check_all(const KeyRing& ring) const {
    for (const LibraryEpochs& library : epochs_of(hq.last).libraries)
      for (const EpochEntry& it : library.epochs) {
        const crypto::EpochKey* key = ring.find(library.library, it.epoch);
        REQUIRE(key != nullptr);
        CHECK(crypto::commitment_of(*key, library.library, it.epoch) == it.commitment);
      }
  }
};

}  // namespace

TEST_CASE_FIXTURE(KeysFixture, "keys: each node gets the libraries that it holds with keys, and nothing else") {
  const LibraryId works = hq.library("works"), plans = hq.library("plans");
  const auto sorted = [](std::vector<std::pair<LibraryId, Epoch>> it) {
    std::sort(it.begin(), it.end());
    return it;
  };
  CHECK(list_of("head") == sorted({{directory_library, {1}}, {works, {1}}, {plans, {1}}}));
  CHECK(list_of("sapporo") == sorted({{directory_library, {1}}, {works, {1}}}));
  CHECK(list_of("osaka") == sorted({{directory_library, {1}}, {plans, {1}}}));
  CHECK_FALSE(has_grants("naha"));
  CHECK_FALSE(has_grants("desk"));
  CHECK_FALSE(has_grants("lonely"));
}

TEST_CASE_FIXTURE(KeysFixture, "keys: the directory is for HQ and for nodes that hold keys of some library") {
  for (const char* name : {"head", "sapporo", "osaka"}) {
    const auto directory = open_directory(directory_of(hq.last), *opened(name));
    REQUIRE(directory);
    CHECK(directory->people.size() == 1);
  }
  // A bureau without a library, and a vault: both take the policy, and cannot open it.
  for (const char* name : {"lonely", "naha"}) {
    Node node(hq, name);
    node.hear(hq.last);
    REQUIRE(node.version() == 1);
    CHECK_FALSE(node.trust.current()->grants);
    CHECK(open_directory(node.trust.current()->directory, KeyRing()).error().fault == Fault::not_found);
    // Nor with what others were given.
    for (const char* other : {"head", "sapporo", "osaka"})
      CHECK(open_grants(hq.nodes.at(name).seal, grants_of(hq.last, hq.id(other)), epochs_of(hq.last)).error().fault == Fault::not_authentic);
  }
  // HQ's node without any library has it: it answers for HQ.
  hq.now_s += 60;
  std::string without = replaced(country, "members.head = { holding = \"full\", write = true }\nmembers.sapporo", "members.sapporo");
  without = replaced(replaced(without, "home = \"head\"", "home = \"osaka\""), "members.head = { holding = \"full\", write = true }\n", "");
  hq.publish(without);
  CHECK(list_of("head") == std::vector<std::pair<LibraryId, Epoch>>{{directory_library, {1}}});
}

TEST_CASE_FIXTURE(KeysFixture, "keys: who leaves its last library leaves the directory, which gets a new key") {
  hq.now_s += 60;
  const std::string gone = replaced(country, "members.osaka = { holding = \"full\", write = true }\n", "");
  const auto out = hq.publish(gone);
  CHECK(grants_of(hq.last, hq.id("osaka")).grants.empty());
  CHECK(directory_of(hq.last).generation.value == 2);
  CHECK(library_in(mesh_of(hq.last), hq.library("plans")).epoch.value == 2);
  CHECK(library_in(mesh_of(hq.last), hq.library("works")).epoch.value == 1);
  CHECK(out.notes.size() == 2);
  // What it had from before does not open what comes after.
  Headquarters& it = hq;
  Node node(it, "osaka");
  node.hear(it.last);
  REQUIRE(node.version() == 2);
  CHECK(open_grants(it.nodes.at("osaka").seal, *node.trust.current()->grants, node.trust.current()->epochs)->size() == 0);
}

TEST_CASE_FIXTURE(KeysFixture, "keys: a grant of the newest epoch gives all before it") {
  for (int i = 0; i < 4; ++i) {
    hq.now_s += 60;
    hq.publish(country, {{hq.library("works")}, i % 2 == 0, {}, {}});
  }
  CHECK(library_in(mesh_of(hq.last), hq.library("works")).epoch.value == 5);
  CHECK(directory_of(hq.last).generation.value == 3);
  for (const Grant& it : grants_of(hq.last, hq.id("sapporo")).grants) CHECK(it.epoch.value == (it.library == directory_library ? 3 : 5));
  const auto ring = opened("sapporo");
  REQUIRE(ring);
  CHECK(ring->size() == 8);
  for (std::uint32_t epoch = 1; epoch <= 5; ++epoch) {
    const crypto::EpochKey* key = ring->find(hq.library("works"), {epoch});
    REQUIRE(key != nullptr);
    CHECK(crypto::commitment_of(*key, hq.library("works"), {epoch}) == epochs_of(hq.last).find(hq.library("works"))->epochs[epoch - 1].commitment);
  }
  CHECK(ring->find(hq.library("works"), {6}) == nullptr);
  CHECK(ring->find(hq.library("plans"), {1}) == nullptr);
  check_all(*opened("head"));
}

TEST_CASE_FIXTURE(KeysFixture, "keys: a key that does not fit its commitment is refused, however it came") {
  hq.now_s += 60;
  hq.publish(country, {{hq.library("works")}, false, {}, {}});
  const Epochs good = epochs_of(hq.last);
  const Grants grants = grants_of(hq.last, hq.id("sapporo"));
  const auto works = [&](Epochs& in) -> std::vector<EpochEntry>& {
    return std::find_if(in.libraries.begin(), in.libraries.end(), [&](const auto& it) { return it.library == hq.library("works"); })->epochs;
  };
  const auto open = [&](const Epochs& epochs, const Grants& with) { return open_grants(hq.nodes.at("sapporo").seal, with, epochs); };
  REQUIRE(open(good, grants));
  for (const std::size_t at : {0U, 1U}) {
    Epochs other = good;
    works(other)[at].commitment.bytes[0] ^= 1;
    CHECK(open(other, grants).error().fault == Fault::not_authentic);
    CHECK(open_epochs_with_recovery(hq.recovery, other).error().fault == Fault::not_authentic);
    CHECK(open_epochs_with_admission(hq.admission, other).error().fault == Fault::not_authentic);
  }
  Epochs other = good;
  works(other)[1].predecessor.back() ^= 1;
  CHECK(open(other, grants).error().fault == Fault::not_authentic);
  other = good;
  works(other)[1].predecessor.clear();
  CHECK_FALSE(open(other, grants));
  // One library's key under another's name; an epoch or library that is not there.
  Grants mixed = grants;
  std::swap(mixed.grants[0].sealed, mixed.grants[1].sealed);
  CHECK(open(good, mixed).error().fault == Fault::not_authentic);
  mixed = grants;
  mixed.grants[1].epoch.value = 3;
  CHECK(open(good, mixed).error().fault == Fault::not_authentic);
  mixed.grants[1].epoch.value = 0;
  CHECK(open(good, mixed).error().fault == Fault::not_authentic);
  mixed = grants;
  mixed.grants[1].epoch.value = 1;  // the newest key as an older one
  CHECK(open(good, mixed).error().fault == Fault::not_authentic);
  mixed = grants;
  mixed.grants[1].library = crypto::random_id<LibraryId>();
  CHECK(open(good, mixed).error().fault == Fault::not_authentic);
  mixed = grants;
  mixed.grants[1].sealed.back() ^= 1;
  CHECK(open(good, mixed).error().fault == Fault::not_authentic);
}

TEST_CASE_FIXTURE(KeysFixture, "keys: shares of the recovery key bring every key of every epoch back, fewer do not") {
  hq.now_s += 60;
  hq.publish(country, {{hq.library("works"), hq.library("plans")}, true, {}, {}});
  const auto shares = crypto::split(*crypto::SharedSecret::from(hq.recovery.reveal()), 2, 3);
  REQUIRE(shares);
  const auto whole = crypto::combine(std::vector<std::string>{(*shares)[2], (*shares)[0]});
  REQUIRE(whole);
  const auto ring = open_epochs_with_recovery(*crypto::SealKey::from(whole->reveal()), epochs_of(hq.last));
  REQUIRE(ring);
  check_all(*ring);
  CHECK(open_directory(directory_of(hq.last), *ring));
  CHECK_FALSE(crypto::combine(std::vector<std::string>{(*shares)[1]}));
  CHECK(open_epochs_with_recovery(crypto::SealKey::generate(), epochs_of(hq.last)).error().fault == Fault::not_authentic);
  CHECK_FALSE(open_epochs_with_recovery(hq.admission, epochs_of(hq.last)));
  check_all(*open_epochs_with_admission(hq.admission, epochs_of(hq.last)));
}

TEST_CASE_FIXTURE(KeysFixture, "keys: a ring keeps one key for each place, and takes others in") {
  KeyRing ring, other;
  const LibraryId library = hq.library("works");
  ring.put(library, {1}, crypto::EpochKey::random());
  other.put(library, {1}, crypto::EpochKey::random());
  other.put(library, {2}, crypto::EpochKey::random());
  const auto wanted = crypto::commitment_of(*other.find(library, {1}), library, {1});
  ring.merge(std::move(other));
  CHECK(ring.size() == 2);
  CHECK(crypto::commitment_of(*ring.find(library, {1}), library, {1}) == wanted);
}

TEST_CASE_FIXTURE(KeysFixture, "directory: opens under its own generation, realm and version alone") {
  const auto ring = opened("sapporo");
  const SealedDirectory good = directory_of(hq.last);
  REQUIRE(open_directory(good, *ring));
  SealedDirectory bad = good;
  bad.sealed[bad.sealed.size() / 2] ^= 1;
  CHECK(open_directory(bad, *ring).error().fault == Fault::not_authentic);
  bad = good;
  bad.generation.value = 2;
  CHECK(open_directory(bad, *ring).error().fault == Fault::not_found);
  bad = good;
  bad.header.version = 2;
  CHECK(open_directory(bad, *ring).error().fault == Fault::not_authentic);
  bad = good;
  bad.header.realm.bytes[0] ^= 1;
  CHECK(open_directory(bad, *ring).error().fault == Fault::not_authentic);
  bad = good;
  bad.header.expires_s += 1;  // not sealed with it, but inside
  CHECK(open_directory(bad, *ring).error().fault == Fault::malformed);
  // Its length says little about how many people there are.
  CHECK(good.sealed.size() % 4096 < 64);
}
