// What the tests of the authority's documents share: a headquarters in memory, with its keys, its people and what it has published.
#pragma once
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "crypto/hash.h"
#include "crypto/random.h"
#include "crypto/seeded_random.h"
#include "crypto/start.h"
#include "policy/authoring.h"
#include "policy/past.h"
#include "policy/policy.h"

namespace dozo::policy_fixture {

using namespace dozo::policy;

inline constexpr std::int64_t begin_s = 1'800'000'000;
inline constexpr std::int64_t hour_s = 3600;
inline constexpr std::uint64_t json_most() { return (std::uint64_t{1} << 53) - 1; }

inline const std::string country = R"(realm = "realm"
[[node]]
name = "head"
kind = "hq"
zone = "tokyo"
[[node]]
name = "sapporo"
kind = "bureau"
zone = "north"
[[node]]
name = "osaka"
kind = "bureau"
zone = "west"
[[node]]
name = "lonely"
kind = "bureau"
zone = "west"
[[node]]
name = "naha"
kind = "vault"
zone = "south"
[[node]]
name = "desk"
kind = "desk"
zone = "north"
served_by = "sapporo"
[[library]]
name = "plans"
title = "図面"
home = "head"
members.head = { holding = "full", write = true }
members.osaka = { holding = "full", write = true }
[[library]]
name = "works"
title = "工事"
home = "sapporo"
copies = 2
members.head = { holding = "full", write = true }
members.sapporo = { holding = "full", write = true }
members.naha = { holding = "blind" }
[[org]]
id = "roads"
title = "道路課"
[[post]]
id = "clerk"
title = "係員"
org = "roads"
roles = ["editor"]
[[person]]
name = "sato"
shown = "佐藤"
[[person.posts]]
post = "clerk"
[[permit]]
id = "editors"
roles = ["editor"]
actions = ["read", "write"]
libraries = ["works"]
)";

/// The first `from` in `text` becomes `to`.
inline std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  REQUIRE_MESSAGE(at != std::string::npos, from);
  return text.replace(at, from.size(), to);
}

/// HQ: the keys of all its roles are at hand, and every publication follows the one before it.
struct Headquarters {
  std::string name = "realm";
  std::map<SigningRole, std::vector<crypto::SigningKey>> keys;
  std::map<SigningRole, std::uint32_t> thresholds;
  crypto::SealKey admission = crypto::SealKey::generate(), recovery = crypto::SealKey::generate();
  std::vector<Bytes> roots;  ///< envelopes, the first first
  Root root;
  RealmId realm;
  std::map<std::string, crypto::NodeKeys> nodes;
  std::map<std::string, crypto::SigningKey> people;
  Names names;
  Publication last;
  std::int64_t now_s = begin_s, root_days = 365;

  explicit Headquarters(std::size_t keys_each = 1, std::uint32_t threshold = 1) {
    for (std::size_t i = 0; i < signing_role_count; ++i) new_keys(static_cast<SigningRole>(i), keys_each, threshold);
    const Bytes bytes = sign(*draft_root(plan(), nullptr, std::nullopt), SigningRole::root);
    take_root(bytes);
    realm = *realm_of(bytes);
  }

  // ---- roots
  void new_keys(SigningRole role, std::size_t count = 1, std::uint32_t threshold = 1) {
    keys[role].clear();
    for (std::size_t i = 0; i < count; ++i) keys[role].push_back(crypto::SigningKey::generate());
    thresholds[role] = threshold;
  }
  RootPlan plan() const {
    RootPlan out{name, now_s, now_s + root_days * day_s, {}, admission.public_key(), recovery.public_key()};
    for (const auto& [role, list] : keys) {
      RoleKeys& to = out.roles[role];
      for (const crypto::SigningKey& key : list) to.keys.push_back(key.public_key());
      to.threshold = thresholds.at(role);
    }
    return out;
  }
  void take_root(const Bytes& envelope) {
    roots.push_back(envelope);
    root = *parse_root(read_envelope(envelope)->payload);
  }
  std::vector<crypto::SigningKey> copies(SigningRole role) const {
    std::vector<crypto::SigningKey> out;
    for (const crypto::SigningKey& key : keys.at(role)) out.push_back(key.copy());
    return out;
  }
  /// A root with the keys that there are now, signed by the root keys before and after. `before`: those of the root that it follows.
  Bytes make_root(const std::vector<crypto::SigningKey>& before) const {
    Bytes out = *draft_root(plan(), &root, realm);
    for (const crypto::SigningKey& key : before) out = *add_signature(out, key);
    return sign(out, SigningRole::root);
  }
  /// The next root, in which these roles have new keys.
  const Bytes& rotate(const std::vector<SigningRole>& roles) {
    const auto before = copies(SigningRole::root);
    for (const SigningRole role : roles) new_keys(role, keys[role].size(), thresholds[role]);
    take_root(make_root(before));
    return roots.back();
  }

  // ---- signing
  Bytes sign(Bytes envelope, SigningRole role) const {
    for (const crypto::SigningKey& key : keys.at(role)) envelope = *add_signature(envelope, key);
    return envelope;
  }
  Bytes sign(DocumentType type, const std::string& as, const Bytes& payload) const { return sign(unsigned_envelope(type, as, payload), signer_of(type)); }
  Bytes sign(const Mesh& it) const { return sign(DocumentType::mesh, "mesh", format(it)); }
  Bytes sign(const Epochs& it) const { return sign(DocumentType::epochs, "epochs", format(it)); }
  Bytes sign(const SealedDirectory& it) const { return sign(DocumentType::directory, "directory", format(it)); }
  Bytes sign(const Grants& it) const { return sign(DocumentType::grants, grants_name(it.node), format(it)); }
  Bytes sign(const Snapshot& it) const { return sign(DocumentType::snapshot, "snapshot", format(it)); }
  Bytes sign(const Freshness& it) const { return sign(DocumentType::freshness, "freshness", format(it)); }
  Bytes suspend(std::size_t officer, std::uint64_t number, const std::vector<NodeId>& who, std::int64_t hours = 24) const {
    return suspend(officer, number, Stopped{who, {}, {}, {}, {}, false}, hours);
  }
  Bytes suspend(std::size_t officer, std::uint64_t number, const Stopped& whom, std::int64_t hours = 24) const {
    const Suspend it{{realm, number, now_s, now_s + hours * hour_s}, whom, "lost"};
    return *add_signature(unsigned_envelope(DocumentType::suspend, "suspend", format(it)), keys.at(SigningRole::emergency).at(officer));
  }

  // ---- publishing
  void admit(const Source& source) {
    for (const SourceNode& it : source.nodes)
      if (!nodes.contains(it.name)) names.nodes[it.name] = nodes.emplace(it.name, crypto::NodeKeys::generate()).first->second.public_part();
    for (const SourcePerson& it : source.people)
      if (!people.contains(it.name))
        names.people[it.name] = {crypto::random_id<PersonId>(), people.emplace(it.name, crypto::SigningKey::generate()).first->second.public_key()};
    for (const SourceLibrary& it : source.libraries)
      if (!names.libraries.contains(it.name)) names.libraries[it.name] = crypto::random_id<LibraryId>();
  }
  Compiled compile(const std::string& toml) {
    const Reading reading = read_source(toml, "policy.toml");
    for (const Mistake& it : reading.mistakes) FAIL(policy::text_of(it));
    admit(reading.source);
    return *policy::compile(reading.source, names);
  }
  RoleSigners signers() const {
    RoleSigners out;
    for (const auto& [role, list] : keys)
      for (const crypto::SigningKey& key : list) out[role].push_back(&key);
    return out;
  }
  /// What would be published now.
  Published would_publish(const std::string& toml = country, const Changes& changes = {}) {
    auto out = policy::publish(root, realm, compile(toml), last.empty() ? nullptr : &last, changes, admission, signers(), now_s);
    REQUIRE_MESSAGE(out, out.error().text);
    return std::move(*out);
  }
  Published publish(const std::string& toml = country, const Changes& changes = {}) {
    Published out = would_publish(toml, changes);
    last = out.documents;
    return out;
  }
  /// Freshness for what is published, at the time that it is now.
  Bytes refresh(std::uint32_t hours = 24) {
    const std::uint64_t version = parse_freshness(read_envelope(last.at("freshness"))->payload)->header.version;
    std::vector<const crypto::SigningKey*> with;
    for (const crypto::SigningKey& key : keys.at(SigningRole::freshness)) with.push_back(&key);
    return last["freshness"] = *policy::refresh(realm, last.at("snapshot"), version, hours, with, now_s);
  }
  /// A snapshot and freshness over these documents, by whoever has those two keys.
  Publication listed(Publication documents, std::uint64_t version, std::uint64_t freshness_version) const {
    documents.erase("snapshot");
    documents.erase("freshness");
    Snapshot snapshot;
    snapshot.header = {realm, version, now_s, now_s + 14 * day_s};
    for (const auto& [as, bytes] : documents) snapshot.documents[as] = {version_of(bytes), bytes.size(), crypto::sha256(bytes)};
    documents["snapshot"] = sign(snapshot);
    const Bytes& bytes = documents["snapshot"];
    documents["freshness"] = sign(Freshness{{realm, freshness_version, now_s, now_s + day_s}, now_s, {version, bytes.size(), crypto::sha256(bytes)}});
    return documents;
  }
  static std::uint64_t version_of(const Bytes& envelope) {
    const Envelope it = *read_envelope(envelope);
    switch (it.type) {
      case DocumentType::mesh: return parse_mesh(it.payload)->header.version;
      case DocumentType::directory: return parse_sealed_directory(it.payload)->header.version;
      case DocumentType::epochs: return parse_epochs(it.payload)->header.version;
      case DocumentType::grants: return parse_grants(it.payload)->header.version;
      case DocumentType::snapshot: return parse_snapshot(it.payload)->header.version;
      case DocumentType::org: return parse_sealed_org(it.payload)->header.version;
      case DocumentType::slice: return parse_sealed_slice(it.payload)->header.version;
      default: return parse_freshness(it.payload)->header.version;
    }
  }
  NodeId id(const std::string& node) const { return nodes.at(node).id; }
  LibraryId library(const std::string& of) const { return names.libraries.at(of); }
  PersonId person(const std::string& of) const { return names.people.at(of).id; }
};

inline Mesh mesh_of(const Publication& it) { return *parse_mesh(read_envelope(it.at("mesh"))->payload); }
inline Epochs epochs_of(const Publication& it) { return *parse_epochs(read_envelope(it.at("epochs"))->payload); }
inline SealedDirectory directory_of(const Publication& it) { return *parse_sealed_directory(read_envelope(it.at("directory"))->payload); }
inline Snapshot snapshot_of(const Publication& it) { return *parse_snapshot(read_envelope(it.at("snapshot"))->payload); }
inline Freshness freshness_of(const Publication& it) { return *parse_freshness(read_envelope(it.at("freshness"))->payload); }
inline Grants grants_of(const Publication& it, const NodeId& node) { return *parse_grants(read_envelope(it.at(grants_name(node)))->payload); }
inline const MeshLibrary& library_in(const Mesh& mesh, const LibraryId& id) {
  for (const MeshLibrary& it : mesh.libraries)
    if (it.id == id) return it;
  FAIL("no such library");
  return mesh.libraries.front();
}

/// A node's trust, and short ways to feed it.
struct Node {
  Trust trust;
  std::int64_t now_s;
  Node(const Headquarters& hq, const std::string& name) : trust(*Trust::begin(hq.roots.front(), hq.id(name))), now_s(hq.now_s) {}
  Node(Trust it, std::int64_t at_s) : trust(std::move(it)), now_s(at_s) {}

  Result<Offer> offer(const Bytes& envelope) { return trust.offer(envelope, now_s * 1000); }
  Outcome take(const Bytes& envelope) {
    const auto out = offer(envelope);
    REQUIRE_MESSAGE(out, out.error().text);
    return out->outcome;
  }
  /// All of a publication, in the order of names: whatever comes of each.
  void hear(const Publication& it) {
    for (const auto& [name, bytes] : it) (void)offer(bytes);
  }
  /// The fault with which it is refused; fails where it is not.
  Fault refused(const Bytes& envelope) {
    const auto out = offer(envelope);
    REQUIRE_MESSAGE(!out, std::string(name_of(out->outcome)));
    return out.error().fault;
  }
  std::uint64_t version() const { return trust.version().value; }
  Standing standing() const { return trust.ladder(now_s * 1000).standing; }
};

struct Seeded {
  Seeded() {
    REQUIRE(crypto::start());
    crypto::use_seeded_randomness(1);
  }
};

}  // namespace dozo::policy_fixture
