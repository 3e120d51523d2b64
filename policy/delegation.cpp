#include "policy/delegation.h"

#include <algorithm>
#include <set>

namespace dozo::policy {
namespace {

/// Whether the unit is this one, or below it.
bool is_below(const Directory& directory, const std::string& unit, const std::string& top) {
  for (std::string_view at = unit; !at.empty();) {  // no circle: the reader has refused that
    if (at == top) return true;
    const auto found = std::ranges::find(directory.orgs, at, &Org::id);
    at = found == directory.orgs.end() ? std::string_view() : found->parent;
  }
  return false;
}

}  // namespace

Result<void> check_org(const Mesh& mesh, const Directory& directory, const OrgDocument& org) {
  const auto refuse = [&](std::string text) { return fail(Fault::denied, org_name(org.org) + ": " + std::move(text)); };
  const Delegation* delegation = mesh.delegation(org.org);
  if (delegation == nullptr) return refuse("nothing is delegated to this unit");
  if (std::ranges::find(directory.orgs, org.org, &Org::id) == directory.orgs.end()) return refuse("headquarters has no such unit");
  const auto is_own = [&](const std::string& name) { return name.starts_with(org.org + "-"); };

  std::set<std::string_view> posts;
  for (const Post& it : directory.posts) posts.insert(it.id);
  std::set<std::string_view> own_posts;
  for (const Post& it : org.posts) {
    if (!is_own(it.id)) return refuse("the post " + it.id + " does not begin with " + org.org + "-");
    if (posts.contains(it.id)) return refuse("the post " + it.id + " is there already");
    if (!is_below(directory, it.org, org.org)) return refuse("the post " + it.id + " is in the unit " + it.org + ", which is not below this one");
    for (const std::string& role : it.roles)
      if (role == service_role || !std::ranges::binary_search(delegation->roles, role))
        return refuse("the post " + it.id + " has the role " + role + ", which is not delegated");
    own_posts.insert(it.id);
  }
  std::set<std::string_view> names;
  std::set<PersonId> ids;
  std::set<crypto::VerifyKey> keys;
  for (const Person& it : directory.people) {
    names.insert(it.name);
    ids.insert(it.id);
    keys.insert(it.key);
  }
  for (const Person& it : org.people) {
    if (!is_own(it.name)) return refuse("the person " + it.name + " does not begin with " + org.org + "-");
    if (names.contains(it.name) || ids.contains(it.id) || keys.contains(it.key)) return refuse("the person " + it.name + " is there already");
    if (it.tenures.empty()) return refuse("the person " + it.name + " holds no post");
    for (const Tenure& tenure : it.tenures)
      if (!own_posts.contains(tenure.post)) return refuse("the person " + it.name + " holds the post " + tenure.post + ", which is not this unit's");
  }
  std::set<std::string_view> node_names;
  std::set<NodeId> node_ids;
  std::set<std::array<std::uint8_t, 32>> node_keys;
  const auto add_keys = [&](const crypto::NodePublic& it) {
    return node_keys.insert(it.sign.bytes).second && node_keys.insert(it.seal.bytes).second && node_keys.insert(it.transport.bytes).second;
  };
  for (const MeshNode& it : mesh.nodes) {
    node_names.insert(it.name);
    node_ids.insert(it.keys.id);
    add_keys(it.keys);
  }
  for (const MeshNode& it : org.desks) {
    if (!is_own(it.name)) return refuse("the desk " + it.name + " does not begin with " + org.org + "-");
    if (!std::ranges::binary_search(delegation->nodes, *it.served_by)) return refuse("the desk " + it.name + " is served by a node that is not this unit's");
    if (node_names.contains(it.name) || node_ids.contains(it.keys.id) || !add_keys(it.keys)) return refuse("the desk " + it.name + " is there already");
  }
  return {};
}

Result<void> join(Mesh& mesh, Directory& directory, std::span<const OrgDocument> orgs) {
  for (const OrgDocument& it : orgs) {
    TRY(check_org(mesh, directory, it));
    directory.posts.insert(directory.posts.end(), it.posts.begin(), it.posts.end());
    directory.people.insert(directory.people.end(), it.people.begin(), it.people.end());
    mesh.nodes.insert(mesh.nodes.end(), it.desks.begin(), it.desks.end());
  }
  std::ranges::sort(directory.people, {}, &Person::id);
  std::ranges::sort(mesh.nodes, {}, [](const MeshNode& it) { return it.keys.id; });
  return {};
}

Result<Policy> open_policy(PolicyVersion version, const Mesh& mesh, const SealedDirectory& sealed, const std::map<std::string, SealedOrg>& orgs,
                           const SealedSlice* slice, const KeyRing& keys) {
  Result<Directory> directory = open_directory(sealed, keys);
  if (!directory && directory.error().fault == Fault::not_found) {
    Result<Directory> part = slice != nullptr ? open_slice(*slice, keys) : std::move(directory);  // units are in it
    if (!part && part.error().fault != Fault::not_found) return std::unexpected(std::move(part.error()));
    return Policy(version, mesh, part ? std::optional(std::move(*part)) : std::nullopt);
  }
  if (!directory) return std::unexpected(std::move(directory.error()));
  std::vector<OrgDocument> opened;
  for (const auto& [name, org] : orgs) opened.push_back(TRY(open_org(org, keys)));
  Mesh whole = mesh;
  TRY(join(whole, *directory, opened));
  return Policy(version, std::move(whole), std::move(*directory));
}

}  // namespace dozo::policy
