#include "policy/compare.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <memory>
#include <tuple>

namespace dozo::policy {
namespace {

std::string library_name(const Policy& policy, const LibraryId& id) {
  const LibraryTitle* title = policy.title(id);
  return title == nullptr ? id.hex() : title->name;
}

bool is_writer(const Policy& policy, const NodeId& id, const LibraryId& library) {
  const MeshNode* node = policy.node(id);
  if (node == nullptr) return false;
  return node->served_by ? policy.has_keys(id, library) : policy.may_write(id, library);
}

bool writes_by_itself(const Policy& policy, const NodeId& node, const LibraryId& library, std::int64_t time_ms) {
  return policy.decide({{}, std::string(service_role), "", node, Action::write, library, 0, time_ms}).allowed;
}

bool writes(const Policy& policy, const PersonId& person, const NodeId& node, const LibraryId& library, std::int64_t time_ms) {
  const auto capacities = policy.capacities(person, time_ms);
  return std::any_of(capacities.begin(), capacities.end(),
                     [&](const Policy::Capacity& it) { return policy.decide({person, it.role, it.org, node, Action::write, library, 0, time_ms}).allowed; });
}

bool writes_anywhere(const Policy& policy, const PersonId& person, const LibraryId& library, std::int64_t time_ms) {
  return std::any_of(policy.mesh().nodes.begin(), policy.mesh().nodes.end(),
                     [&](const MeshNode& node) { return is_writer(policy, node.keys.id, library) && writes(policy, person, node.keys.id, library, time_ms); });
}

/// Whether somebody could write at the node, and all of them can now do so at other nodes alone.
bool is_closed_to_people(const Policy& before, const Policy& after, const NodeId& node, const LibraryId& library, std::int64_t time_ms) {
  if (before.directory()->permits == after.directory()->permits && before.directory()->forbids == after.directory()->forbids) return false;
  const auto& now = after.directory()->people;
  if (std::any_of(now.begin(), now.end(), [&](const Person& it) { return writes(after, it.id, node, library, time_ms); })) return false;
  const auto& then = before.directory()->people;
  return std::any_of(then.begin(), then.end(),
                     [&](const Person& it) { return writes(before, it.id, node, library, time_ms) && writes_anywhere(after, it.id, library, time_ms); });
}

bool loses(const Policy& before, const Policy& after, const NodeId& node, const LibraryId& library, std::int64_t time_ms) {
  if (!is_writer(before, node, library)) return false;
  if (!is_writer(after, node, library)) return true;
  if (before.directory() == nullptr || after.directory() == nullptr) return false;
  if (writes_by_itself(before, node, library, time_ms) && !writes_by_itself(after, node, library, time_ms)) return true;
  return is_closed_to_people(before, after, node, library, time_ms);
}

/// All times at which what somebody may do begins or is about to end, and the given one.
std::set<std::int64_t> moments(const Policy& policy, const Person& person, std::int64_t time_ms) {
  std::set<std::int64_t> out{time_ms};
  const auto add = [&](std::int64_t from_s, std::int64_t until_s) {
    if (from_s != 0) out.insert(from_s * 1000);
    if (until_s != 0) out.insert(until_s * 1000 - 1);
  };
  for (const Tenure& it : person.tenures) add(it.from_s, it.until_s);
  for (const auto* rules : {&policy.directory()->permits, &policy.directory()->forbids})
    for (const Rule& it : *rules) {
      add(it.from_s, it.until_s);
      if (it.from_s != 0) out.insert(it.from_s * 1000 - 1);
      if (it.until_s != 0) out.insert(it.until_s * 1000);
    }
  return out;
}

/// Who may do what ("sato as clerk in roads: read"), and in which libraries, ascending.
using Libraries = std::shared_ptr<const std::vector<LibraryId>>;
using RightsBy = std::map<std::string, Libraries>;

RightsBy rights_of_nodes(const Policy& policy, std::int64_t time_ms) {
  std::map<std::string, std::vector<LibraryId>> found;
  for (const MeshNode& node : policy.mesh().nodes)
    for (const MeshLibrary& library : policy.mesh().libraries) {
      const Rights rights = policy.rights(node.keys.id, library.id);
      if (rights.holding == Holding::none) continue;
      found["node " + node.name + ": " + std::string(name_of(rights.holding)) + " replica of"].push_back(library.id);
      if (is_writer(policy, node.keys.id, library.id)) found["node " + node.name + ": write"].push_back(library.id);
      if (policy.directory() != nullptr && writes_by_itself(policy, node.keys.id, library.id, time_ms))
        found["node " + node.name + " by itself: write"].push_back(library.id);
    }
  RightsBy out;
  for (auto& [what, libraries] : found) out[what] = std::make_shared<const std::vector<LibraryId>>(std::move(libraries));
  return out;
}

/// At each library's home. Who holds the same posts and is named in no rule may do the same: that is asked once.
RightsBy rights_of_people(const Policy& policy, std::int64_t time_ms) {
  constexpr std::array actions{Action::discover, Action::read, Action::write, Action::carry_out, Action::administer};
  RightsBy out;
  if (policy.directory() == nullptr) return out;
  std::set<PersonId> named;
  for (const auto* rules : {&policy.directory()->permits, &policy.directory()->forbids})
    for (const Rule& rule : *rules) named.insert(rule.people.begin(), rule.people.end());
  std::map<std::tuple<PersonId, std::string, std::string, std::set<std::string>>, std::array<Libraries, actions.size()>> asked;
  for (const Person& who : policy.directory()->people) {
    std::map<std::pair<std::string, std::string>, std::set<std::string>> held;  // posts, by role and unit
    for (const Policy::Capacity& it : policy.capacities(who.id, time_ms)) held[{it.role, it.org}].insert(it.post);
    for (const auto& [capacity, posts] : held) {
      const auto& [role, org] = capacity;
      const auto [at, is_new] = asked.try_emplace({named.contains(who.id) ? who.id : PersonId{}, role, org, posts});
      for (std::size_t i = 0; i < actions.size() && is_new; ++i) {
        std::vector<LibraryId> libraries;
        for (const MeshLibrary& library : policy.mesh().libraries)
          if (policy.decide({who.id, role, org, library.home, actions[i], library.id, 0, time_ms}).allowed) libraries.push_back(library.id);
        at->second[i] = std::make_shared<const std::vector<LibraryId>>(std::move(libraries));
      }
      for (std::size_t i = 0; i < actions.size(); ++i)
        if (!at->second[i]->empty()) out[who.name + " as " + role + " in " + org + ": " + std::string(name_of(actions[i]))] = at->second[i];
    }
  }
  return out;
}

/// What `of` has and `without` has not: a line for each library, or one for many.
void add_difference(const RightsBy& of, const RightsBy& without, const Policy& names, std::string_view word, std::vector<std::string>& to) {
  constexpr std::size_t lines_most = 20;
  for (const auto& [what, libraries] : of) {
    std::vector<LibraryId> left = *libraries;
    if (const auto at = without.find(what); at != without.end()) {
      left.clear();
      if (at->second != libraries) std::ranges::set_difference(*libraries, *at->second, std::back_inserter(left));
    }
    std::vector<std::string> shown;
    for (const LibraryId& id : left) shown.push_back(library_name(names, id));
    std::ranges::sort(shown);
    const std::string begin = std::string(word) + ": " + what + " ";
    if (shown.size() > lines_most) {
      to.push_back(begin + std::to_string(shown.size()) + " libraries, from " + shown.front() + " to " + shown.back());
    } else {
      for (const std::string& name : shown) to.push_back(begin + name);
    }
  }
}

}  // namespace

std::vector<std::string> compare_rights(const Policy& before, const Policy& after, std::int64_t time_ms) {
  std::vector<std::string> out;
  for (const auto rights : {rights_of_nodes, rights_of_people}) {
    const RightsBy old_rights = rights(before, time_ms), new_rights = rights(after, time_ms);
    add_difference(new_rights, old_rights, after, "gained", out);
    add_difference(old_rights, new_rights, before, "lost", out);
  }
  return out;
}

std::vector<Able> who_can(const Policy& policy, Action action, const LibraryId& library, std::int64_t time_ms) {
  std::vector<Able> out;
  const MeshLibrary* mesh = policy.library(library);
  if (mesh == nullptr) return out;
  if (policy.directory() != nullptr) {
    for (const Person& who : policy.directory()->people) {
      std::set<std::pair<std::string, std::string>> held;  // by several posts the same
      for (const auto& it : policy.capacities(who.id, time_ms)) held.emplace(it.role, it.org);
      for (const auto& [role, org] : held) {
        Decision decision = policy.decide({who.id, role, org, mesh->home, action, library, 0, time_ms});
        if (decision.allowed) out.push_back({who.name, who.shown, role, org, std::move(decision.permits)});
      }
    }
    std::ranges::sort(out, {}, [](const Able& it) { return std::tie(it.name, it.role, it.org); });
  }
  const std::size_t people = out.size();
  for (const MeshNode& node : policy.mesh().nodes) {
    Decision decision = policy.decide({{}, std::string(service_role), "", node.keys.id, action, library, 0, time_ms});
    if (decision.allowed) out.push_back({node.name, node.name, std::string(service_role), "", std::move(decision.permits)});
  }
  std::ranges::sort(out.begin() + static_cast<std::ptrdiff_t>(people), out.end(), {}, &Able::name);
  return out;
}

std::vector<Loss> lost_rights(const Policy& before, const Policy& after, std::int64_t time_ms) {
  std::vector<LibraryId> libraries;
  for (const MeshLibrary& it : after.mesh().libraries)
    if (before.library(it.id) != nullptr) libraries.push_back(it.id);
  std::vector<Loss> out;
  const auto add = [&](const CutSubject& subject, const std::string& name, auto&& lost) {
    Loss loss{subject, name, {}};
    for (const LibraryId& library : libraries)
      if (lost(library)) loss.libraries.insert(library);
    if (!loss.libraries.empty()) out.push_back(std::move(loss));
  };
  for (const MeshNode& node : before.mesh().nodes)
    add(node.keys.id, node.name, [&](const LibraryId& library) { return loses(before, after, node.keys.id, library, time_ms); });
  if (before.directory() == nullptr || after.directory() == nullptr) return out;
  for (const Person& person : before.directory()->people) {
    if (after.person(person.id) != nullptr) continue;
    const auto times = moments(before, person, time_ms);
    add(person.id, person.name, [&](const LibraryId& library) {
      return std::any_of(times.begin(), times.end(), [&](std::int64_t at_ms) { return writes_anywhere(before, person.id, library, at_ms); });
    });
  }
  return out;
}

}  // namespace dozo::policy
