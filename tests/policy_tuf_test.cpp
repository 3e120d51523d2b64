// The client tests of the conformance suite of The Update Framework, by their names, said in Dozo's documents.
//
// timestamp is freshness; targets are mesh, directory and epochs; a target file is a node's grants, a document that is named and hashed by the snapshot. What
// differs, on purpose: nothing comes into force by halves, so where the suite finds a newer timestamp or snapshot kept beside older targets, here all that was
// in force stays so and the newer waits; and what has expired is taken by a node that has a policy already, and narrows what may be done (docs/policy.md,
// sections 5 and 6), while for a node that has none it is refused. Delegations go one step, from the mesh to a unit's own keys, so that there
// is no search: of the suite's graphs those with more steps cannot be written down here, which is shown too.
#include <filesystem>
#include <fstream>

#include "tests/policy_unit_fixture.h"

using namespace dozo;
using namespace dozo::policy_fixture;

// ---- basic -----------------------------------------------------------------------------------------------------------
TEST_CASE_FIXTURE(Repository, "tuf: test_basic_refresh_requests") {
  Node node = client();
  REQUIRE(refresh(node));
  CHECK(asked == std::vector<std::string>{"root 2", "freshness", "snapshot", "directory", "epochs", own_grants(), "mesh"});
  REQUIRE(refresh(node));
  CHECK(asked == std::vector<std::string>{"root 2", "freshness"});  // nothing twice
}

TEST_CASE_FIXTURE(Repository, "tuf: test_basic_refresh_trusted_data") {
  Node node = client();
  REQUIRE(refresh(node));
  for (const char* name : {"freshness", "snapshot", "mesh", "directory", "epochs"}) CHECK(node.trust.document(name)->envelope == served.at(name));
  CHECK(node.trust.document("root")->envelope == served_roots.at(1));
  CHECK(node.trust.document(own_grants())->envelope == served.at(own_grants()));
}

TEST_CASE_FIXTURE(Repository, "tuf: test_implicit_refresh") {
  Node node = client();
  CHECK(node.trust.current() == nullptr);  // nothing can be decided, nothing is entitled to anything
  CHECK_FALSE(node.trust.ladder(node.now_s * 1000).may_admit);
  REQUIRE(refresh(node));
  CHECK(node.trust.current() != nullptr);
  CHECK(node.trust.ladder(node.now_s * 1000).may_admit);
}

TEST_CASE_FIXTURE(Repository, "tuf: test_invalid_initial_root") {
  CHECK(Trust::begin(changed(served_roots.at(1), "\"version\":1,", ""), std::nullopt).error().fault == Fault::malformed);
  CHECK(Trust::begin({}, std::nullopt).error().fault == Fault::malformed);
}

TEST_CASE_FIXTURE(Repository, "tuf: test_unsigned_initial_root") {
  Envelope it = *read_envelope(served_roots.at(1));
  it.signatures.front().signature.bytes.front() ^= 1;
  CHECK(Trust::begin(write_envelope(it), std::nullopt).error().fault == Fault::not_authentic);
  it.signatures.clear();
  CHECK(Trust::begin(write_envelope(it), std::nullopt).error().fault == Fault::not_authentic);
}

TEST_CASE_FIXTURE(Repository, "tuf: test_unsigned_metadata") {
  for (const bool has_policy : {false, true}) {
    Node settled = client();
    if (has_policy) REQUIRE(refresh(settled));
    const auto before = trusted(settled);
    hq.rotate({});
    publish(moved, {.new_epochs = {hq.library("works")}, .new_directory = true, .cuts = {}, .admits = {}});  // all of them are new
    const Publication good = served;
    const auto last_root = static_cast<std::uint64_t>(hq.roots.size());
    for (const std::string name : {"root", "freshness", "snapshot", "mesh", "directory", "epochs"}) {
      Node node(*Trust::restore(
                    settled.trust.encode(),
                    [&] {
                      std::vector<Bytes> out;
                      for (const Held& it : settled.trust.documents()) out.push_back(it.envelope);
                      return out;
                    }(),
                    hq.id("sapporo")),
                hq.now_s);
      serve();
      Bytes& target = name == "root" ? served_roots.at(last_root) : served[name];
      Envelope it = *read_envelope(target);
      it.signatures.clear();
      target = write_envelope(it);
      CHECK_FALSE(refresh(node));
      CHECK(node.version() == settled.version());
      CHECK(node.trust.root().version == (name == "root" ? before.at("root") : last_root));
      served = good;
      serve();
      CHECK(refresh(node));
    }
    reset();
  }
}

TEST_CASE_FIXTURE(Repository, "tuf: test_url_and_metadata_version_mismatch") {
  Node node = client();
  REQUIRE(refresh(node));
  const auto before = trusted(node);
  SUBCASE("root") {
    hq.rotate({});
    hq.rotate({});
    publish();
    served_roots.at(2) = served_roots.at(3);
    CHECK_FALSE(refresh(node));
    CHECK(trusted(node) == before);
  }
  SUBCASE("snapshot") {
    publish(moved);
    list_snapshot([](Freshness& it) { it.snapshot.version += 1; });
    CHECK_FALSE(refresh(node));
    CHECK(node.version() == 1);
  }
  SUBCASE("targets") {
    for (const char* name : {"mesh", "epochs", "directory"}) {
      publish(moved);
      served["snapshot"] = snapshot_listing([&](Snapshot& it) { it.documents.at(name).version += 1; });
      list_snapshot();
      CHECK_FALSE(refresh(node));
      CHECK(node.version() == 1);
    }
  }
}

TEST_CASE_FIXTURE(Repository, "tuf: test_timestamp_content_changes") {
  Node node = client();
  REQUIRE(refresh(node));
  const Bytes first = served.at("freshness");
  Freshness other = freshness_of(served);
  other.snapshot.version = 100;
  served["freshness"] = hq.sign(other);
  CHECK_FALSE(refresh(node));  // two faces of one version: the suite's client keeps quiet about it, this one keeps the evidence
  CHECK(node.trust.forks().size() == 1);
  CHECK(node.trust.document("freshness")->envelope == first);
  CHECK(node.trust.freshness()->snapshot.version == 1);
}

TEST_CASE_FIXTURE(Repository, "tuf: test_basic_metadata_hash_support") {
  Node node = client();
  CHECK(refresh(node));
  CHECK(freshness_of(served).snapshot.sha256 == crypto::sha256(served.at("snapshot")));
  for (const auto& [name, listing] : snapshot_of(served).documents) CHECK(listing.sha256 == crypto::sha256(served.at(name)));
}

TEST_CASE_FIXTURE(Repository, "tuf: test_targets_hash_mismatch") {
  Node node = client();
  REQUIRE(refresh(node));
  for (const std::string& name : {std::string("mesh"), std::string("directory"), std::string("epochs"), own_grants()}) {
    publish(moved);
    served["snapshot"] = snapshot_listing([&](Snapshot& it) { it.documents.at(name).sha256 = {}; });
    list_snapshot();
    CHECK_FALSE(refresh(node));
    CHECK(node.version() == 1);
  }
}

TEST_CASE_FIXTURE(Repository, "tuf: test_snapshot_hash_mismatch") {
  Node node = client();
  REQUIRE(refresh(node));
  publish(moved);
  list_snapshot([](Freshness& it) { it.snapshot.sha256 = {}; });
  CHECK_FALSE(refresh(node));
  CHECK(node.version() == 1);
}

TEST_CASE_FIXTURE(Repository, "tuf: test_metadata_bytes_match") {
  Node node = client();
  served["freshness"].push_back(' ');
  REQUIRE(refresh(node));
  CHECK(node.trust.document("freshness")->envelope == served.at("freshness"));
}

TEST_CASE_FIXTURE(Repository, "tuf: test_custom_fields") {
  Node node = client();
  REQUIRE(refresh(node));
  const auto before = hq.copies(SigningRole::root);
  const auto grown = [&](const std::string& field) {
    Bytes root = changed(*draft_root(hq.plan(), &hq.root, hq.realm), "{\"format\":1,", "{\"format\":1,\"" + field + "\":{\"a\":1,\"b\":[\"c\"]},");
    return changed(root, "\"snapshot\":{", "\"snapshot\":{\"" + field + "\":\"value\",");
  };
  CHECK(node.refused(grown("custom-field")) == Fault::malformed);  // unknown fields must say that they are to mean nothing
  CHECK(node.take(grown("x-custom-field")) == Outcome::advanced);
  CHECK(node.trust.root().version == 2);
}

TEST_CASE_FIXTURE(Repository, "tuf: test_deprecated_keyid_hash_algorithms") {
  Node node = client();
  REQUIRE(refresh(node));
  const auto before = hq.copies(SigningRole::root);
  hq.new_keys(SigningRole::snapshot);
  // A key is its bytes here, and its name is those bytes: nothing that is said beside it can change which key it is.
  const Bytes root = changed(*draft_root(hq.plan(), &hq.root, hq.realm), "\"snapshot\":{", "\"snapshot\":{\"x-keyid_hash_algorithms\":[\"md5\"],");
  hq.take_root(root);
  publish(moved);
  CHECK(refresh(node));
  CHECK(node.trust.root().version == 2);
  CHECK(node.trust.current()->mesh == mesh_of(served));
}

TEST_CASE_FIXTURE(Repository, "tuf: test_snapshot_404") {
  Node node = client();
  REQUIRE(refresh(node));
  const auto before = trusted(node);
  publish(moved);
  served.erase("snapshot");
  CHECK_FALSE(refresh(node));
  CHECK(asked.back() == "snapshot");
  CHECK(trusted(node) == before);
}

TEST_CASE_FIXTURE(Repository, "tuf: test_targets_404") {
  Node node = client();
  REQUIRE(refresh(node));
  const auto before = trusted(node);
  publish(moved);
  served.erase("mesh");
  CHECK_FALSE(refresh(node));
  CHECK(asked.back() == "mesh");
  CHECK(trusted(node) == before);
}

TEST_CASE_FIXTURE(Repository, "tuf: test_timestamp_404") {
  Node node = client();
  REQUIRE(refresh(node));
  served.erase("freshness");
  CHECK_FALSE(refresh(node));
  CHECK(asked.back() == "freshness");
  CHECK(node.version() == 1);
}

TEST_CASE_FIXTURE(Repository, "tuf: test_incorrect_metadata_type") {
  Node node = client();
  // What is right as a snapshot, signed by the key of freshness, and handed over as freshness.
  const Bytes payload = read_envelope(served.at("snapshot"))->payload;
  served["freshness"] = hq.sign(DocumentType::freshness, "freshness", payload);
  CHECK_FALSE(refresh(node));
  CHECK(node.trust.freshness() == nullptr);
  // Signed as what it is, and called something else afterwards: the signature is over the type too.
  Envelope it = *read_envelope(hq.sign(unsigned_envelope(DocumentType::snapshot, "snapshot", payload), SigningRole::freshness));
  it.type = DocumentType::freshness;
  it.name = "freshness";
  CHECK(node.refused(write_envelope(it)) == Fault::not_authentic);
}

TEST_CASE_FIXTURE(Repository, "tuf: test_faketime") {
  Node now = client(), later = client();
  CHECK(refresh(now));
  later.now_s += 400 * day_s;
  CHECK_FALSE(refresh(later));
  CHECK(later.version() == 0);
}

// ---- expiration ------------------------------------------------------------------------------------------------------
TEST_CASE_FIXTURE(Repository, "tuf: test_root_expired") {
  Node node = client();
  REQUIRE(refresh(node));
  hq.root_days = 1;
  hq.rotate({});
  publish();
  node.now_s = hq.now_s + 2 * day_s;
  REQUIRE(refresh(node));
  CHECK(node.trust.root().version == 2);  // taken, so that the next can be
  CHECK(node.standing() == Standing::expired);
  CHECK_FALSE(node.trust.ladder(node.now_s * 1000).may_admit);
  Node fresh = client();
  fresh.now_s = node.now_s;
  CHECK_FALSE(refresh(fresh));
  CHECK(fresh.version() == 0);
}

TEST_CASE_FIXTURE(Repository, "tuf: test_timestamp_expired") {
  Node node = client(), fresh = client();
  REQUIRE(refresh(node));
  hq.now_s += 60;
  served["freshness"] = hq.refresh(1);
  node.now_s = fresh.now_s = hq.now_s + 2 * hour_s;
  refresh(node);
  CHECK(node.standing() == Standing::stale);
  CHECK_FALSE(node.trust.ladder(node.now_s * 1000).may_admit);
  CHECK_FALSE(refresh(fresh));
  CHECK(fresh.version() == 0);
}

TEST_CASE_FIXTURE(Repository, "tuf: test_snapshot_expired") {
  Node node = client(), fresh = client();
  REQUIRE(refresh(node));
  publish(moved);
  served["snapshot"] = snapshot_listing([&](Snapshot& it) { it.header.expires_s = hq.now_s + day_s / 2; });
  list_snapshot();
  node.now_s = fresh.now_s = hq.now_s + day_s * 3 / 4;
  refresh(node);
  CHECK(node.standing() == Standing::stale);
  CHECK_FALSE(node.trust.ladder(node.now_s * 1000).may_admit);
  CHECK_FALSE(refresh(fresh));
  CHECK(fresh.version() == 0);
}

TEST_CASE_FIXTURE(Repository, "tuf: test_targets_expired") {
  Node node = client(), fresh = client();
  REQUIRE(refresh(node));
  publish(moved);
  Mesh mesh = mesh_of(served);
  mesh.header.expires_s = hq.now_s + day_s / 2;
  served["mesh"] = hq.sign(mesh);
  served["snapshot"] =
      snapshot_listing([&](Snapshot& it) { it.documents.at("mesh") = {mesh.header.version, served.at("mesh").size(), crypto::sha256(served.at("mesh"))}; });
  list_snapshot();
  node.now_s = fresh.now_s = hq.now_s + day_s * 3 / 4;
  refresh(node);
  CHECK(node.standing() == Standing::expired);
  CHECK_FALSE(node.trust.ladder(node.now_s * 1000).may_admit);
  CHECK_FALSE(refresh(fresh));
  CHECK(fresh.version() == 0);
}

TEST_CASE_FIXTURE(Repository, "tuf: test_expired_local_root") {
  hq.root_days = 7;
  hq.rotate({});
  publish();
  Node node = client();
  REQUIRE(refresh(node));
  hq.now_s += 18 * day_s;
  node.now_s = hq.now_s;
  CHECK(node.standing() == Standing::expired);
  hq.root_days = 365;
  hq.rotate({});
  publish(moved);
  REQUIRE(refresh(node));
  CHECK(node.trust.root().version == 3);
  CHECK(node.standing() == Standing::fresh);
}

TEST_CASE_FIXTURE(Repository, "tuf: test_expired_local_timestamp") {
  Node node = client();
  REQUIRE(refresh(node));
  hq.now_s += 3 * day_s;
  node.now_s = hq.now_s;
  CHECK(node.standing() == Standing::stale);
  publish(moved);
  REQUIRE(refresh(node));
  CHECK(node.standing() == Standing::fresh);
  CHECK(node.version() == 2);
}

// ---- keys ------------------------------------------------------------------------------------------------------------
TEST_CASE_FIXTURE(Repository, "tuf: test_snapshot_does_not_meet_threshold") {
  hq.new_keys(SigningRole::snapshot, 3, 3);
  hq.rotate({SigningRole::snapshot});
  publish();
  Node node = client();
  REQUIRE(refresh(node));
  const std::uint64_t before = node.version();
  publish(moved);
  Envelope it = *read_envelope(served.at("snapshot"));
  it.signatures.pop_back();
  served["snapshot"] = write_envelope(it);
  list_snapshot();
  CHECK_FALSE(refresh(node));
  CHECK(node.version() == before);
}

TEST_CASE_FIXTURE(Repository, "tuf: test_snapshot_has_too_few_keys") {
  Node node = client();
  REQUIRE(refresh(node));
  hq.new_keys(SigningRole::snapshot, 5, 6);
  CHECK(draft_root(hq.plan(), &hq.root, hq.realm).error().fault == Fault::malformed);  // nobody can sign it by mistake
  hq.thresholds[SigningRole::snapshot] = 5;
  const Bytes root = *draft_root(hq.plan(), &hq.root, hq.realm);
  CHECK(node.refused(changed(root, "\"threshold\":5", "\"threshold\":6")) == Fault::malformed);
  CHECK(node.refused(changed(root, "\"threshold\":5", "\"threshold\":0")) == Fault::malformed);
  CHECK(node.trust.root().version == 1);
}

TEST_CASE_FIXTURE(Repository, "tuf: test_duplicate_keys") {
  Node node = client();
  const std::string key = "\"" + hq.keys.at(SigningRole::snapshot).front().public_key().hex() + "\"";
  std::string nine = key;
  for (int i = 0; i < 8; ++i) nine += "," + key;
  const Bytes root = changed(*draft_root(hq.plan(), &hq.root, hq.realm), key, nine);
  CHECK(node.refused(root) == Fault::malformed);
  CHECK(node.trust.root().version == 1);
  Envelope it = *read_envelope(served.at("snapshot"));
  const RoleKeys twice{{it.signatures.front().key, it.signatures.front().key}, 2};
  CHECK(verify(it, twice).error().fault == Fault::not_authentic);  // and if it had come that far
}

TEST_CASE_FIXTURE(Repository, "tuf: test_duplicate_sig_keyids") {
  Node node = client();
  const std::string whole(text_of(served.at("snapshot")));
  const auto at = whole.find("\"sigs\":[") + 8;
  const std::string signature = whole.substr(at, whole.find(']', at) - at);
  served["snapshot"] = bytes_of(replaced(whole, signature, signature + "," + signature));
  Freshness it = freshness_of(served);
  it.snapshot = {1, served.at("snapshot").size(), crypto::sha256(served.at("snapshot"))};
  served["freshness"] = hq.sign(it);
  CHECK_FALSE(refresh(node));
  CHECK(node.refused(served.at("snapshot")) == Fault::malformed);
  CHECK(node.version() == 0);
}

TEST_CASE_FIXTURE(Repository, "tuf: test_keytype_and_scheme") {
  // There is one kind of key and of signature. What has the size of another's is none.
  Node node = client();
  const auto before = hq.copies(SigningRole::root);
  hq.keys[SigningRole::root].push_back(crypto::SigningKey::generate());
  hq.thresholds[SigningRole::root] = 2;
  hq.take_root(hq.make_root(before));
  CHECK(node.take(hq.roots.back()) == Outcome::advanced);
  const Bytes next = hq.make_root(hq.copies(SigningRole::root));
  Envelope it = *read_envelope(next);
  REQUIRE(it.signatures.size() == 2);
  it.signatures.back().signature = it.signatures.front().signature;
  CHECK(node.refused(write_envelope(it)) == Fault::not_authentic);
  const std::string text(text_of(next));
  const auto at = text.rfind("\"sig\":\"") + 7;
  const std::string signature = text.substr(at, text.find('"', at) - at);
  for (const std::size_t bytes : {0UL, 63UL, 65UL, 72UL, 384UL})
    CHECK(node.refused(bytes_of(replaced(text, signature, to_base64(Bytes(bytes, 0x30))))) == Fault::malformed);
  CHECK(node.trust.root().version == 2);
  CHECK(node.take(next) == Outcome::advanced);
}

TEST_CASE_FIXTURE(Repository, "tuf: test_invalid_sig_in_valid_metadata") {
  hq.new_keys(SigningRole::freshness, 2, 1);
  hq.take_root(hq.make_root(hq.copies(SigningRole::root)));
  publish();
  Node node = client();
  Envelope it = *read_envelope(served.at("freshness"));
  REQUIRE(it.signatures.size() == 2);
  it.signatures.front().signature = it.signatures.back().signature;  // plausible, and wrong
  served["freshness"] = write_envelope(it);
  CHECK(refresh(node));
  CHECK(node.version() == snapshot_of(served).header.version);
  it.signatures.front().signature = {};
  Freshness next = freshness_of(served);
  next.header.version += 1;
  Envelope zeros = *read_envelope(hq.sign(next));
  zeros.signatures.front().signature = {};
  CHECK(node.take(write_envelope(zeros)) == Outcome::advanced);
}

// ---- rollback --------------------------------------------------------------------------------------------------------
TEST_CASE_FIXTURE(Repository, "tuf: test_new_timestamp_version_rollback") {
  Node node = client();
  const Bytes first = served.at("freshness");
  hq.now_s += 60;
  served["freshness"] = hq.refresh();
  REQUIRE(refresh(node));
  const std::uint64_t version = node.trust.freshness()->header.version;
  served["freshness"] = first;
  CHECK_FALSE(refresh(node));
  CHECK(node.trust.freshness()->header.version == version);
}

TEST_CASE_FIXTURE(Repository, "tuf: test_snapshot_rollback") {
  const Publication first = served;
  publish(moved);
  Node node = client();
  REQUIRE(refresh(node));
  served["snapshot"] = first.at("snapshot");
  list_snapshot();
  CHECK_FALSE(refresh(node));
  CHECK(node.version() == 2);
  CHECK(node.trust.current()->mesh == mesh_of(hq.last));
}

TEST_CASE_FIXTURE(Repository, "tuf: test_targets_role_removal") {
  Node node = client();
  REQUIRE(refresh(node));
  for (const std::string& name : {std::string("mesh"), std::string("directory"), std::string("epochs"), own_grants(), grants_name(hq.id("osaka"))}) {
    publish(moved);
    const auto without = [&] { return snapshot_listing([&](Snapshot& it) { it.documents.erase(name); }); };
    served["snapshot"] = without();
    list_snapshot();
    CHECK_FALSE(refresh(node));
    CHECK(node.version() == 1);
  }
}

TEST_CASE_FIXTURE(Repository, "tuf: test_targets_fast_forward_recovery") {
  Node node = client();
  REQUIRE(refresh(node));
  const Publication good = hq.last;
  // Thieves of the policy's keys and of both online keys run the mesh's number up.
  Mesh mesh = mesh_of(good);
  mesh.header.version = json_most();
  Publication forged = good;
  forged["mesh"] = hq.sign(mesh);
  served = hq.listed(forged, 2, freshness_of(good).header.version + 1);
  REQUIRE(refresh(node));
  REQUIRE(node.trust.current()->mesh.header.version == json_most());
  hq.rotate({SigningRole::policy, SigningRole::snapshot, SigningRole::freshness});
  publish(moved);  // by headquarters' own count
  REQUIRE(mesh_of(served).header.version < 10);
  CHECK(refresh(node));
  CHECK(node.trust.current()->mesh == mesh_of(served));
}

TEST_CASE_FIXTURE(Repository, "tuf: test_new_snapshot_fast_forward_recovery") {
  Node node = client();
  REQUIRE(refresh(node));
  served = hq.listed(hq.last, json_most(), freshness_of(hq.last).header.version + 1);
  REQUIRE(refresh(node));
  REQUIRE(node.version() == json_most());
  hq.rotate({SigningRole::snapshot, SigningRole::freshness});
  publish(moved);
  CHECK(refresh(node));
  CHECK(node.version() == 2);
}

TEST_CASE_FIXTURE(Repository, "tuf: test_new_timestamp_fast_forward_recovery") {
  Node node = client();
  REQUIRE(refresh(node));
  Freshness far = freshness_of(served);
  far.header.version = json_most();
  served["freshness"] = hq.sign(far);
  REQUIRE(refresh(node));
  REQUIRE(node.trust.freshness()->header.version == json_most());
  hq.rotate({SigningRole::freshness});
  publish(moved);
  CHECK(refresh(node));
  CHECK(node.trust.freshness()->header.version == freshness_of(served).header.version);
}

TEST_CASE_FIXTURE(Repository, "tuf: test_targets_rollback") {
  const Publication first = served;
  publish(moved);
  Node node = client();
  REQUIRE(refresh(node));
  served["mesh"] = first.at("mesh");
  served["snapshot"] = snapshot_listing([&](Snapshot& it) {
    it.header.version += 1;
    it.previous = Listing{2, hq.last.at("snapshot").size(), crypto::sha256(hq.last.at("snapshot"))};
    it.documents["mesh"] = snapshot_of(first).documents.at("mesh");
  });
  list_snapshot();
  CHECK(node.refused(served.at("snapshot")) == Fault::stale);
  CHECK_FALSE(refresh(node));
  CHECK(node.version() == 2);
}

// ---- file download: a node's grants are what is named, hashed and fetched --------------------------------------------
TEST_CASE_FIXTURE(Repository, "tuf: test_client_downloads_expected_file") {
  Node node = client();
  REQUIRE(refresh(node));
  REQUIRE(node.trust.current()->grants);
  CHECK(*node.trust.current()->grants == grants_of(served, hq.id("sapporo")));
}

TEST_CASE_FIXTURE(Repository, "tuf: test_client_downloads_expected_file_in_sub_dir") {
  Node node = client();
  REQUIRE(refresh(node));
  const std::string name = grants_name(hq.id("osaka"));
  CHECK(name.find('/') != std::string::npos);
  CHECK_FALSE(node.trust.document(name));
  CHECK(node.take(served.at(name)) == Outcome::advanced);
  CHECK(node.trust.document(name)->envelope == served.at(name));
}

TEST_CASE_FIXTURE(Repository, "tuf: test_repository_substitutes_target_file") {
  Node node = client();
  REQUIRE(refresh(node));
  for (const std::string of : {"sapporo", "osaka"}) {
    Grants other = grants_of(served, hq.id(of));
    other.grants.clear();
    static_cast<void>(node.offer(hq.sign(other)).has_value());  // signed as it should be, and not what the snapshot names
  }
  CHECK(*node.trust.current()->grants == grants_of(served, hq.id("sapporo")));
  CHECK_FALSE(node.trust.document(grants_name(hq.id("osaka"))));
}

TEST_CASE_FIXTURE(Repository, "tuf: test_multiple_changes_to_target") {
  Node node = client();
  REQUIRE(refresh(node));
  for (int i = 0; i < 11; ++i) {
    publish(replaced(country, "title = \"工事\"", "title = \"工事 " + std::to_string(i) + "\""));
    if (i % 5 != 0) continue;
    REQUIRE(refresh(node));
    CHECK(node.version() == snapshot_of(served).header.version);
    const auto mesh = node.trust.current()->mesh;
    Mesh evil = mesh_of(served);
    evil.nodes.pop_back();
    served["mesh"] = hq.sign(evil);
    refresh(node);
    CHECK(node.trust.current()->mesh == mesh);
  }
}

TEST_CASE_FIXTURE(Repository, "tuf: test_download_with_hash_algorithms") {
  // SHA-256 is the one there is; another beside it is a field that means nothing.
  Node node = client();
  const std::string hash = snapshot_of(served).documents.at("mesh").sha256.hex();
  served["snapshot"] = changed(served.at("snapshot"), "\"sha256\":\"" + hash + "\"", "\"sha256\":\"" + hash + "\",\"x-sha512\":\"00\"");
  list_snapshot();
  CHECK(refresh(node));
  CHECK(node.version() == 1);
}

TEST_CASE_FIXTURE(Repository, "tuf: test_download_with_unknown_hash_algorithm") {
  Node node = client();
  const std::string hash = snapshot_of(served).documents.at("mesh").sha256.hex();
  const Bytes good = served.at("snapshot");
  for (const std::string& as : {"\"unknown-hash\":\"" + hash + "\"", "\"x-unknown-hash\":\"" + hash + "\"", std::string("\"sha256\":\"\"")}) {
    const Bytes bad = changed(good, "\"sha256\":\"" + hash + "\"", as);
    CHECK(node.refused(bad) == Fault::malformed);
  }
  CHECK(node.version() == 0);
}

TEST_CASE_FIXTURE(Repository, "tuf: test_artifact_cache") {
  Node node = client();
  REQUIRE(refresh(node));
  publish(replaced(country, "title = \"工事\"", "title = \"別の工事\""));  // in the directory alone
  REQUIRE(refresh(node));
  CHECK(std::ranges::find(asked, own_grants()) == asked.end());
  CHECK(std::ranges::find(asked, "mesh") == asked.end());
  CHECK(std::ranges::find(asked, "directory") != asked.end());
  CHECK(node.take(served.at("mesh")) == Outcome::known);
}

// ---- names, static data, delegations ---------------------------------------------------------------------------------
TEST_CASE_FIXTURE(Repository, "tuf: test_unusual_role_name") {
  Node node = client();
  for (const std::string name : {"?", "#", "/delegatedrole", "../delegatedrole", "grants/../root", "grants/?", "grants/", "mesh/", ""}) {
    const std::string envelope(text_of(served.at("mesh")));
    CHECK(node.refused(bytes_of(replaced(envelope, "\"name\":\"mesh\"", "\"name\":\"" + name + "\""))) == Fault::malformed);
    CHECK(node.refused(changed(served.at("snapshot"), "\"mesh\":{", "\"" + name + "\":{")) == Fault::malformed);
  }
  CHECK(node.version() == 0);
}

// What was published once is taken for ever: tests/realms/first was made by the case below it, with the version of 28 November 2026.
TEST_CASE("tuf: test_static_repository") {
  const std::string folder = std::string(DOZO_SOURCE_DIR) + "/tests/realms/first/";
  const auto read = [&](const std::string& name) {
    std::ifstream file(folder + name + ".json", std::ios::binary);
    REQUIRE_MESSAGE(file, name);
    return bytes_of(std::string(std::istreambuf_iterator<char>(file), {}));
  };
  const NodeId self = *NodeId::from(*from_hex(std::string(text_of(read("node"))).substr(0, 2 * NodeId::size)));
  Node node(*Trust::begin(read("root-1"), self), begin_s + hour_s);
  for (int i = 2; i <= 12; ++i) CHECK(node.take(read("root-" + std::to_string(i))) == Outcome::advanced);
  for (const std::string name : {"freshness", "snapshot", "mesh", "directory", "epochs"}) CHECK(node.take(read(name)) == Outcome::staged);
  CHECK(node.take(read("grants")) == Outcome::committed);
  CHECK(node.trust.root().version == 12);
  CHECK(node.version() == 3);
  CHECK(node.trust.current()->mesh.libraries.size() == 2);
}

TEST_CASE_FIXTURE(Repository, "tuf: the static repository is written" * doctest::skip()) {
  for (int i = 2; i <= 12; ++i) hq.rotate({static_cast<SigningRole>(i % static_cast<int>(signing_role_count))});
  publish();
  publish(moved);
  const std::string folder = std::string(DOZO_SOURCE_DIR) + "/tests/realms/first/";
  std::filesystem::create_directories(folder);
  const auto write = [&](const std::string& name, const Bytes& bytes) { std::ofstream(folder + name + ".json", std::ios::binary) << text_of(bytes); };
  for (const auto& [version, bytes] : served_roots) write("root-" + std::to_string(version), bytes);
  for (const char* name : {"freshness", "snapshot", "mesh", "directory", "epochs"}) write(name, served.at(name));
  write("grants", served.at(own_grants()));
  write("node", bytes_of(hq.id("sapporo").hex() + "\n"));
}

TEST_CASE_FIXTURE(Repository, "tuf: test_delegation_not_in_snapshot") {
  Node node = client();
  const std::string name = grants_name(hq.id("osaka"));
  Snapshot without = snapshot_of(served);
  without.documents.erase(name);
  served["snapshot"] = hq.sign(without);
  list_snapshot();
  REQUIRE(refresh(node));
  static_cast<void>(node.offer(served.at(name)).has_value());  // authentic, and nothing that is in force names it
  CHECK_FALSE(node.trust.document(name));
}

// ---- delegation graphs -----------------------------------------------------------------------------------------------
TEST_CASE_FIXTURE(Repository, "tuf: test_graph_traversal") {
  // Each unit of the mesh is asked for once, in the order of their names, and after the mesh that delegates to it.
  Unit north("north"), south("south");
  const std::string toml = with_units + south.table() + north.table();
  publish(toml);
  Changes changes;
  changes.orgs = {south.signs(hq, south.says(hq, 1, {"abe"})), north.signs(hq, north.says(hq, 1, {"abe"}))};
  publish(toml, changes);
  Node node = client();
  REQUIRE(refresh(node));
  CHECK(std::vector<std::string>(asked.end() - 3, asked.end()) == std::vector<std::string>{"mesh", "org/north", "org/south"});
  REQUIRE(refresh(node));
  CHECK(asked.back() == "freshness");
  // Further steps, circles and a role with two that delegate to it: one signs for a unit and all below it, each once.
  CHECK_FALSE(check(toml + Unit("north-east").table(), "policy.toml", 0).mistakes.empty());
  CHECK_FALSE(check(toml + Unit("north").table(), "policy.toml", 0).mistakes.empty());
  Mesh mesh = mesh_of(served);
  mesh.delegations.push_back(mesh.delegations.front());
  CHECK(parse_mesh(format(mesh)).error().fault == Fault::malformed);
  // What a unit signs has no member with which it could delegate.
  const OrgDocument says = north.says(hq, 2, {"abe"});
  CHECK(parse_org(bytes_of(replaced(std::string(text_of(format(says))), "\"posts\"", "\"delegations\":[],\"posts\""))).error().fault == Fault::malformed);
}

TEST_CASE_FIXTURE(Repository, "tuf: test_targetfile_search") {
  // Who somebody is, is said by the document of the unit that the name begins with, or by headquarters: by nobody else, whatever it says.
  Unit north("north"), south("south");
  const std::string toml = with_units + south.table() + north.table();
  publish(toml);
  Changes changes;
  changes.orgs = {south.signs(hq, south.says(hq, 1, {"baba"})), north.signs(hq, north.says(hq, 1, {"abe"}))};
  publish(toml, changes);
  Node node = client();
  REQUIRE(refresh(node));
  const Policy policy = *opened(hq, node);
  CHECK(policy.person_by_name("sato")->key == hq.people.at("sato").public_key());
  CHECK(policy.person_by_name("north-abe")->key == north.people.at("abe").public_key());
  CHECK(policy.person_by_name("south-baba")->key == south.people.at("baba").public_key());
  for (const char* name : {"abe", "north-baba", "south-abe", "NORTH-abe", "north"}) CHECK(policy.person_by_name(name) == nullptr);
  OrgDocument liar = south.says(hq, 2, {"baba"});
  liar.people.front().name = "north-abe";
  CHECK(check_org(node.trust.current()->mesh, *policy.directory(), liar).error().fault == Fault::denied);
}

TEST_CASE_FIXTURE(Repository, "tuf: test_cached_role_is_verified_against_current_delegator") {
  // What a node holds of a unit counts by the keys in the mesh that stands beside it, not by those under which it was taken.
  Unit north("north"), renewed("north");
  publish(with_units + north.table());
  const Bytes document = north.signs(hq, north.says(hq, 1, {"abe"}));
  Changes changes;
  changes.orgs = {document};
  publish(with_units + north.table(), changes);
  Node node = client();
  REQUIRE(refresh(node));
  REQUIRE(node.trust.document("org/north"));
  const std::uint64_t version = node.version();
  const Publication next = hq.would_publish(with_units + renewed.table()).documents;
  REQUIRE_FALSE(next.contains("org/north"));
  Publication with = next;
  with["org/north"] = document;  // listed all the same
  node.hear(hq.listed(with, version + 1, freshness_of(served).header.version + 1));
  CHECK(node.version() == version);
  // And a node that never saw it before.
  Node fresh = client();
  fresh.hear(hq.listed(with, version + 1, freshness_of(served).header.version + 1));
  CHECK(fresh.version() == 0);
}

// ---- key rotations ---------------------------------------------------------------------------------------------------
namespace {

struct Signed {
  std::vector<std::size_t> keys;
  std::uint32_t threshold;
  std::vector<std::size_t> by;
  bool good = true;
};

RoleKeys role_of(const std::vector<crypto::SigningKey>& keys, const Signed& it) {
  RoleKeys out;
  for (const std::size_t i : it.keys) out.keys.push_back(keys.at(i).public_key());
  out.threshold = it.threshold;
  return out;
}
Bytes signed_by(Bytes envelope, const std::vector<crypto::SigningKey>& keys, const Signed& it) {
  for (const std::size_t i : it.by) envelope = *add_signature(envelope, keys.at(i));
  return envelope;
}

}  // namespace

TEST_CASE("tuf: test_root_rotation") {
  const std::map<std::string, std::vector<Signed>> cases{
      {"one key for another", {{{1}, 1, {1}}, {{2}, 1, {2, 1}}, {{2}, 1, {2}}}},
      {"one key for another, and strangers sign too", {{{1}, 1, {3, 1, 4}}, {{2}, 1, {3, 2, 1, 4}}, {{2}, 1, {3, 2, 4}}}},
      {"three of five, others each time",
       {{{0, 1, 2, 3, 4}, 3, {0, 2, 4}}, {{0, 1, 2, 3, 4}, 3, {0, 4, 1}}, {{0, 1, 2, 3, 4}, 3, {0, 1, 3}}, {{0, 1, 2, 3, 4}, 3, {0, 1, 3}}}},
      {"three of five, one key new", {{{0, 1, 2, 3, 4}, 3, {0, 2, 4}}, {{0, 1, 3, 4, 5}, 3, {0, 4, 1}}}},
      {"three of five, one key new, a step between", {{{0, 1, 2, 3, 4}, 3, {0, 2, 4}}, {{0, 1, 3, 4, 5}, 3, {0, 2, 4, 5}}, {{0, 1, 3, 4, 5}, 3, {0, 4, 5}}}},
      {"three of five, all keys new, a step between",
       {{{0, 1, 2, 3, 4}, 3, {0, 2, 4}}, {{5, 6, 7, 8, 9}, 3, {0, 2, 4, 5, 6, 7}}, {{5, 6, 7, 8, 9}, 3, {5, 6, 7}}}},
      {"the threshold rises", {{{1, 2, 3}, 1, {1}}, {{1, 2, 3}, 2, {1, 2}}}},
      {"the threshold falls", {{{1, 2, 3}, 2, {1, 2}}, {{1, 2, 3}, 1, {1, 2}}, {{1, 2, 3}, 1, {1}}}},
      {"a key more, and the threshold with it", {{{1}, 1, {1}}, {{1, 2}, 2, {1, 2}}}},
      {"refused: not by the old key", {{{1}, 1, {1}}, {{2}, 1, {2, 3, 4}, false}}},
      {"refused: not by the new key", {{{1}, 1, {1}}, {{2}, 1, {1, 3, 4}, false}}},
      {"refused: not by three of the new", {{{0, 1, 2, 3, 4}, 3, {0, 2, 4}}, {{0, 1, 3, 4, 5}, 3, {0, 2, 4}, false}}},
      {"refused: not by three of the old", {{{0, 1, 2, 3, 4}, 3, {0, 2, 4}}, {{0, 1, 3, 4, 5}, 3, {0, 4, 5}, false}}},
      {"refused: the new threshold is not reached", {{{1, 2, 3}, 1, {1}}, {{1, 2, 3}, 2, {2}, false}}},
      {"refused: the old threshold is not reached", {{{1, 2, 3}, 2, {1, 2}}, {{1, 2, 3}, 1, {1}, false}}},
  };
  const Repository it;
  std::vector<crypto::SigningKey> keys;
  for (int i = 0; i < 10; ++i) keys.push_back(crypto::SigningKey::generate());
  for (const auto& [what, versions] : cases) {
    CAPTURE(what);
    RootPlan plan = it.hq.plan();
    std::optional<Trust> trust;
    std::optional<Root> root;
    std::optional<RealmId> realm;
    std::uint64_t version = 0;
    for (const Signed& next : versions) {
      plan.roles[SigningRole::root] = role_of(keys, next);
      const Bytes bytes = signed_by(*draft_root(plan, root ? &*root : nullptr, realm), keys, next);
      if (!trust) {
        trust = std::move(*Trust::begin(bytes, std::nullopt));
        realm = *realm_of(bytes);
      } else {
        const auto out = trust->offer(bytes, begin_s * 1000);
        CHECK(out.has_value() == next.good);
        if (!next.good) CHECK(out.error().fault == Fault::not_authentic);
      }
      if (!next.good) break;
      root = *parse_root(read_envelope(bytes)->payload);
      CHECK(trust->root().version == ++version);
      CHECK(trust->document("root")->envelope == bytes);
    }
    CHECK(trust->root().version == version);
  }
}

TEST_CASE("tuf: test_non_root_rotations") {
  const std::map<std::string, Signed> cases{
      {"another key", {{2}, 1, {2}}},
      {"strangers sign too", {{1}, 1, {3, 1, 4}}},
      {"refused: not by the new key", {{2}, 1, {1, 3, 4}, false}},
      {"refused: one of three is no key", {{0, 1, 3, 4, 5}, 3, {0, 2, 4}, false}},
      {"refused: two of three", {{0, 1, 3, 4, 5}, 3, {0, 4}, false}},
      {"three of five, one", {{0, 1, 2, 3, 4}, 3, {0, 2, 4}}},
      {"three of five, two", {{0, 1, 2, 3, 4}, 3, {0, 4, 1}}},
      {"three of five, three", {{0, 1, 2, 3, 4}, 3, {0, 1, 3}}},
      {"three of five, four", {{0, 1, 2, 3, 4}, 3, {1, 2, 3}}},
      {"three of five, five", {{0, 1, 2, 3, 4}, 3, {2, 3, 4}}},
  };
  std::vector<crypto::SigningKey> keys;
  for (const auto& [what, how] : cases) {
    for (const SigningRole role : {SigningRole::freshness, SigningRole::snapshot, SigningRole::policy, SigningRole::key_authority}) {
      CAPTURE(what);
      CAPTURE(static_cast<int>(role));
      Repository it;
      while (keys.size() < 10) keys.push_back(crypto::SigningKey::generate());
      Node node = it.client();
      REQUIRE(it.refresh(node));
      RootPlan plan = it.hq.plan();
      plan.roles[role] = role_of(keys, how);
      it.hq.take_root(it.hq.sign(*draft_root(plan, &it.hq.root, it.hq.realm), SigningRole::root));
      // Whoever signs for this role now: all of its documents anew.
      it.hq.now_s += 60;
      const auto anew = [&](const Bytes& envelope) {
        const Envelope one = *read_envelope(envelope);
        return signed_by(unsigned_envelope(one.type, one.name, one.payload), keys, how);
      };
      Publication documents = it.hq.last;
      for (auto& [name, bytes] : documents)
        if (signer_of(read_envelope(bytes)->type) == role) bytes = anew(bytes);
      it.served = it.hq.listed(documents, 2, freshness_of(it.hq.last).header.version + 60);
      if (role == SigningRole::snapshot) {
        it.served["snapshot"] = anew(it.served.at("snapshot"));
        it.list_snapshot();
      }
      if (role == SigningRole::freshness) it.served["freshness"] = anew(it.served.at("freshness"));
      it.served_roots[2] = it.hq.roots.back();
      node.now_s = it.hq.now_s;
      CHECK(it.refresh(node) == how.good);
      CHECK(node.trust.root().version == 2);
      CHECK(node.version() == (how.good ? 2U : 1U));
    }
  }
}
