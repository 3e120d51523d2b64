// A unit with administrators of its own, for tests: what they would sign, and what headquarters delegates to them.
#pragma once
#include "policy/delegation.h"
#include "tests/policy_repository.h"

namespace dozo::policy_fixture {

/// country, with the unit "north" (and "north-east" below it) that signs for itself, "south", and a delegation of `more` keys beside.
struct Unit {
  std::string id;
  std::vector<crypto::SigningKey> keys;
  explicit Unit(std::string name, std::size_t count = 1) : id(std::move(name)) {
    for (std::size_t i = 0; i < count; ++i) keys.push_back(crypto::SigningKey::generate());
  }
  std::string table(std::uint32_t threshold = 1, const std::string& node = "sapporo") const {
    std::string out =
        "[[delegation]]\norg = \"" + id + "\"\nthreshold = " + std::to_string(threshold) + "\nroles = [\"editor\"]\nnodes = [\"" + node + "\"]\nkeys = [";
    for (const crypto::SigningKey& key : keys) out += (out.ends_with('[') ? "\"" : ", \"") + key.public_key().hex() + "\"";
    return out + "]\n";
  }
  /// A post "ID-clerk" and a person "ID-NAME" for each name, who holds it.
  OrgDocument says(const Headquarters& hq, std::uint64_t version, const std::vector<std::string>& names) {
    OrgDocument out{{hq.realm, version, hq.now_s, hq.now_s + 90 * day_s}, id, {{id + "-clerk", "係員", id, {"editor"}}}, {}, {}};
    for (const std::string& name : names) {
      const auto key = people.try_emplace(name, crypto::SigningKey::generate()).first;
      const auto person = ids.try_emplace(name, crypto::random_id<PersonId>()).first->second;
      out.people.push_back({person, id + "-" + name, name, key->second.public_key(), {{id + "-clerk", 0, 0}}});
    }
    std::ranges::sort(out.people, {}, &Person::id);
    return out;
  }
  Bytes signs(const Headquarters& hq, const OrgDocument& it, std::size_t count = 1) const {
    const KeyRing ring = *open_epochs_with_admission(hq.admission, epochs_of(hq.last));
    const Epoch generation = directory_of(hq.last).generation;
    Bytes out = unsigned_envelope(DocumentType::org, org_name(id), format(seal_org(it, generation, *ring.find(directory_library, generation))));
    for (std::size_t i = 0; i < count; ++i) out = *add_signature(out, keys.at(i));
    return out;
  }
  std::map<std::string, crypto::SigningKey> people;
  std::map<std::string, PersonId> ids;
};

inline const std::string with_units = country +
                                      "[[org]]\nid = \"north\"\ntitle = \"北部\"\n[[org]]\nid = \"north-east\"\ntitle = \"北東部\"\nparent = \"north\"\n"
                                      "[[org]]\nid = \"south\"\ntitle = \"南部\"\n";

/// The policy that a node has in force, opened with all keys.
inline Result<Policy> opened(const Headquarters& hq, const Node& node) {
  const DocumentSet& set = *node.trust.current();
  return open_policy(set.version, set.mesh, set.directory, set.orgs, nullptr, *open_epochs_with_admission(hq.admission, set.epochs));
}
inline std::vector<std::string> names_in(const Policy& policy) {
  std::vector<std::string> out;
  for (const Person& it : policy.directory()->people) out.push_back(it.name);
  std::ranges::sort(out);
  return out;
}

}  // namespace dozo::policy_fixture
