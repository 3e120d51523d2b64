// What went wrong in other clients of The Update Framework, and does not here: a test for each advisory, by its number.
#include "tests/policy_repository.h"

using namespace dozo;
using namespace dozo::policy_fixture;

namespace {

/// The envelope with its first signature there so many times.
Bytes repeated(const Bytes& envelope, int times) {
  const std::string whole(text_of(envelope));
  const auto at = whole.find("\"sigs\":[") + 8;
  const std::string one = whole.substr(at, whole.find('}', at) + 1 - at);
  std::string many = one;
  for (int i = 1; i < times; ++i) many += "," + one;
  return bytes_of(whole.substr(0, at) + many + "]}");
}

}  // namespace

TEST_CASE_FIXTURE(Repository, "advisory: CVE-2020-6174, one key's signature counted as often as it is there") {
  hq.new_keys(SigningRole::policy, 3, 2);
  hq.take_root(hq.make_root(hq.copies(SigningRole::root)));
  publish();
  Node node = client();
  REQUIRE(node.take(hq.roots.back()) == Outcome::advanced);
  CHECK(node.refused(repeated(served.at("mesh"), 2)) == Fault::malformed);
  CHECK(node.refused(repeated(served.at("mesh"), 3)) == Fault::malformed);
  CHECK(node.refused(repeated(served.at("mesh"), 1)) == Fault::not_authentic);
  CHECK(node.take(served.at("mesh")) == Outcome::staged);
}

TEST_CASE_FIXTURE(Repository, "advisory: CVE-2020-15163, a root that was refused is kept, and trusted from the next start on") {
  Node node = client();
  REQUIRE(refresh(node));
  const Bytes state = node.trust.encode();
  const auto before = trusted(node);
  Headquarters thief;
  thief.realm = hq.realm;
  thief.root = hq.root;
  const Bytes forged = thief.make_root({});
  CHECK(node.refused(forged) == Fault::not_authentic);
  CHECK(node.trust.encode() == state);
  CHECK(trusted(node) == before);
  CHECK_FALSE(node.trust.root_at(2));
  std::vector<Bytes> kept;
  for (const Held& it : node.trust.documents()) kept.push_back(it.envelope);
  CHECK(Trust::restore(state, kept, hq.id("sapporo"))->root().version == 1);
  kept.push_back(forged);  // as if it had been written down all the same
  const auto again = Trust::restore(state, kept, hq.id("sapporo"));
  CHECK((!again || again->root().version == 1));
}

TEST_CASE_FIXTURE(Repository, "advisory: GHSA-r7vq-6425-j94w, a root need not reach its own threshold") {
  Node node = client();
  const auto before = hq.copies(SigningRole::root);
  hq.new_keys(SigningRole::root, 3, 3);
  Bytes root = *draft_root(hq.plan(), &hq.root, hq.realm);
  for (const crypto::SigningKey& key : before) root = *add_signature(root, key);
  CHECK(node.refused(root) == Fault::not_authentic);
  for (std::size_t i = 0; i < 2; ++i) {
    root = *add_signature(root, hq.keys.at(SigningRole::root)[i]);
    CHECK(node.refused(root) == Fault::not_authentic);
  }
  CHECK(node.take(*add_signature(root, hq.keys.at(SigningRole::root)[2])) == Outcome::advanced);
}

TEST_CASE_FIXTURE(Repository, "advisory: GHSA-3633-5h82-39pq, one key under two names reaches a threshold of two") {
  // A key's name is its bytes: it has no other.
  Node node = client();
  const std::string key = hq.keys.at(SigningRole::policy).front().public_key().hex();
  std::string upper = key;
  std::ranges::transform(upper, upper.begin(), [](char c) { return c >= 'a' && c <= 'f' ? static_cast<char>(c - 32) : c; });
  for (const std::string& second : {key, upper, key + "00", "x-" + key}) {
    const Bytes root = changed(*draft_root(hq.plan(), &hq.root, hq.realm), "\"" + key + "\"]", "\"" + key + "\",\"" + second + "\"]");
    CHECK(node.refused(root) == Fault::malformed);
  }
  CHECK(node.trust.root().version == 1);
}

TEST_CASE_FIXTURE(Repository, "advisory: CVE-2025-2885, a root follows that is not the next one") {
  Node node = client();
  std::vector<Bytes> roots;
  for (int i = 0; i < 4; ++i) roots.push_back(hq.rotate({SigningRole::freshness}));
  for (const std::size_t later : {1U, 2U, 3U}) CHECK_FALSE(node.offer(roots[later]));  // signed by the same root keys, all of them
  CHECK(node.trust.root().version == 1);
  for (const Bytes& root : roots) CHECK(node.take(root) == Outcome::advanced);
  CHECK(node.take(roots.front()) == Outcome::known);
  CHECK(node.trust.root().version == 5);
}

TEST_CASE_FIXTURE(Repository, "advisory: CVE-2026-23992, a threshold of nothing lets anything through") {
  Node node = client();
  const Bytes root = *draft_root(hq.plan(), &hq.root, hq.realm);
  for (const char* role : {"root", "policy", "key-authority", "snapshot", "freshness", "emergency"}) {
    const std::string text(text_of(read_envelope(root)->payload));
    const auto at = text.find("\"threshold\":1", text.find("\"" + std::string(role) + "\":{"));
    REQUIRE(at != std::string::npos);
    std::string none = text;
    none.replace(at, 13, "\"threshold\":0");
    CHECK(node.refused(hq.sign(DocumentType::root, "root", bytes_of(none))) == Fault::malformed);
  }
  RootPlan plan = hq.plan();
  plan.roles[SigningRole::policy].threshold = 0;
  CHECK(draft_root(plan, &hq.root, hq.realm).error().fault == Fault::malformed);
  const Envelope mesh = *read_envelope(unsigned_envelope(DocumentType::mesh, "mesh", read_envelope(served.at("mesh"))->payload));
  CHECK(verify(mesh, {{hq.keys.at(SigningRole::policy).front().public_key()}, 0}).error().fault == Fault::not_authentic);
}

TEST_CASE_FIXTURE(Repository, "advisory: CVE-2026-23991, what is JSON and no document ends the program before a signature is looked at") {
  Node node = client();
  for (const char* text :
       {"{}", "[]", "0", "\"\"", "null", "true", R"({"format":1})", R"({"signed":{},"signatures":[]})",
        R"({"format":1,"type":"root","name":"root","payload":"","sigs":{}})", R"({"format":1,"type":"root","name":"root","payload":[],"sigs":[]})",
        R"({"format":1,"type":"mesh","name":"mesh","payload":"e30=","sigs":[[]]})", R"({"format":1,"type":{},"name":"mesh","payload":"e30=","sigs":[]})"}) {
    CHECK(node.refused(bytes_of(text)) == Fault::malformed);
    CHECK_FALSE(Trust::begin(bytes_of(text), std::nullopt));
  }
  // The same inside, by the right keys.
  for (const char* text : {"{}", "[]", "0", "null", R"({"format":1,"roles":[]})", R"({"format":1,"version":{}})"}) {
    for (const auto type : {DocumentType::root, DocumentType::mesh, DocumentType::directory, DocumentType::epochs, DocumentType::snapshot,
                            DocumentType::freshness, DocumentType::suspend})
      CHECK(node.refused(hq.sign(type, std::string(name_of(type)), bytes_of(text))) == Fault::malformed);
  }
}

TEST_CASE_FIXTURE(Repository, "advisory: CVE-2021-41131, a document's name leads out of the folder that it is kept in") {
  Node node = client();
  for (const char* name : {"../../../etc/cron.d/x", "/etc/passwd", "mesh/../../x", "..", "grants/../../x", "grants/00/../..", "mesh\\u0000",
                           "grants/00000000000000000000000000000000/x"}) {
    CHECK(node.refused(bytes_of(replaced(std::string(text_of(served.at("mesh"))), "\"name\":\"mesh\"", "\"name\":\"" + std::string(name) + "\""))) ==
          Fault::malformed);
    CHECK(node.refused(changed(served.at("snapshot"), "\"mesh\":{", "\"" + std::string(name) + "\":{")) == Fault::malformed);
  }
}

TEST_CASE_FIXTURE(Repository, "advisory: CVE-2022-29173, what is not root may go back") {
  const Publication first = served;
  publish(moved, {.new_epochs = {hq.library("works")}, .new_directory = true, .cuts = {}, .admits = {}});
  Node node = client();
  REQUIRE(refresh(node));
  const auto before = trusted(node);
  for (const auto& [name, bytes] : first) {
    if (bytes == served.at(name)) continue;
    const auto out = node.offer(bytes);
    if (out) CHECK(out->outcome == Outcome::known);  // a snapshot of before is in the chain
    CHECK(trusted(node) == before);
  }
  // A new start has forgotten nothing.
  std::vector<Bytes> kept;
  for (const Held& it : node.trust.documents()) kept.push_back(it.envelope);
  Node again(std::move(*Trust::restore(node.trust.encode(), kept, hq.id("sapporo"))), node.now_s);
  for (const char* name : {"freshness", "mesh", "epochs", "directory"}) CHECK(again.refused(first.at(name)) == Fault::stale);
  CHECK(trusted(again) == before);
}
