// A repository that serves what it likes, and how a node refreshes from it: by asking for what it wants.
#pragma once
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "policy/trust.h"
#include "tests/policy_fixture.h"

namespace dozo::policy_fixture {

inline std::string root_name(std::uint64_t version) { return "root " + std::to_string(version); }

struct Repository : Seeded {
  Headquarters hq;
  Publication served;
  std::map<std::uint64_t, Bytes> served_roots;
  std::vector<std::string> asked;

  Repository() { reset(); }
  explicit Repository(Headquarters it) : hq(std::move(it)) { reset(); }
  void reset() {
    hq.publish();
    serve();
  }
  /// Serves what was published last, and all roots.
  void serve() {
    served = hq.last;
    served_roots.clear();
    for (std::size_t i = 0; i < hq.roots.size(); ++i) served_roots[i + 1] = hq.roots[i];
  }
  /// A publication a minute later.
  void publish(const std::string& toml = country, const Changes& changes = {}) {
    hq.now_s += 60;
    hq.publish(toml, changes);
    serve();
  }
  Node client() const { return Node(hq, "sapporo"); }

  /// Roots, freshness, then what is wanted. False: something that was asked for was missing or refused, or what is needed did not come.
  bool refresh(Node& node) {
    asked.clear();
    for (auto next = served_roots.find(node.trust.root().version + 1); next != served_roots.end(); next = served_roots.find(node.trust.root().version + 1)) {
      asked.push_back(root_name(next->first));
      if (!taken(node, next->second)) return false;
    }
    asked.push_back(root_name(node.trust.root().version + 1));
    asked.emplace_back("freshness");
    if (!served.contains("freshness") || !taken(node, served.at("freshness"))) return false;
    std::set<std::string> tried{"freshness"};
    for (;;) {
      std::optional<std::string> wanted;
      for (const Want& it : node.trust.wants()) {
        if (it.needed && !wanted && tried.insert(it.name).second) wanted = it.name;
      }
      if (!wanted) break;
      asked.push_back(*wanted);
      if (!served.contains(*wanted) || !taken(node, served.at(*wanted))) return false;
    }
    for (const Want& it : node.trust.wants())
      if (it.needed) return false;
    return true;
  }
  static bool taken(Node& node, const Bytes& envelope) {
    const auto out = node.offer(envelope);
    return out && out->outcome != Outcome::forked;
  }
  /// The payload of a document, changed as text and signed again by the keys of its role.
  Bytes changed(const Bytes& envelope, const std::string& from, const std::string& to) const {
    const Envelope it = *read_envelope(envelope);
    return hq.sign(it.type, it.name, bytes_of(replaced(std::string(text_of(it.payload)), from, to)));
  }
  Bytes snapshot_listing(const std::function<void(Snapshot&)>& change) const {
    Snapshot it = snapshot_of(served);
    change(it);
    return hq.sign(it);
  }
  /// Freshness that names what is served as the snapshot now, and whatever is said of it.
  void list_snapshot(const std::function<void(Freshness&)>& change = {}) {
    Freshness it = freshness_of(served);
    const Bytes& snapshot = served.at("snapshot");
    it.header.version += 1;
    const auto parsed = parse_snapshot(read_envelope(snapshot)->payload);
    it.snapshot = {(parsed ? *parsed : snapshot_of(hq.last)).header.version, snapshot.size(), crypto::sha256(snapshot)};
    if (change) change(it);
    served["freshness"] = hq.sign(it);
  }
  const std::string moved = replaced(country, "zone = \"south\"", "zone = \"islands\"");
  std::string own_grants() const { return grants_name(hq.id("sapporo")); }
};

/// The versions of what is in force.
inline std::map<std::string, std::uint64_t> trusted(const Node& node) {
  std::map<std::string, std::uint64_t> out;
  for (const Held& it : node.trust.documents()) {
    if (!it.name.starts_with("grants/")) out[it.name] = std::max(out[it.name], it.version);
  }
  return out;
}

}  // namespace dozo::policy_fixture
