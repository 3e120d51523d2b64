#include "policy/policy.h"

#include "policy/rules.h"

#include <algorithm>
#include <set>

namespace dozo::policy {
namespace {

template <class Map, class List, class Key>
auto* look_up(const Map& map, const List& list, const Key& key) {
  const auto at = map.find(key);
  return at == map.end() ? nullptr : &list[at->second];
}
std::string joined(const std::vector<std::string>& of) {
  std::string out;
  for (const std::string& it : of) out += (out.empty() ? "" : ", ") + it;
  return out;
}

}  // namespace

struct Policy::Asked : Rules::Asked {};

Policy::Policy(PolicyVersion version, Mesh mesh, std::optional<Directory> directory)
    : version_(version), mesh_(std::move(mesh)), directory_(directory ? std::make_shared<const Directory>(std::move(*directory)) : nullptr) {
  for (std::size_t i = 0; i < mesh_.nodes.size(); ++i) {
    nodes_[mesh_.nodes[i].keys.id] = i;
    transports_[mesh_.nodes[i].keys.transport] = i;
  }
  for (std::size_t i = 0; i < mesh_.libraries.size(); ++i) libraries_[mesh_.libraries[i].id] = i;
  if (!directory_) return;
  for (std::size_t i = 0; i < directory_->people.size(); ++i) people_[directory_->people[i].id] = i;
  for (std::size_t i = 0; i < directory_->posts.size(); ++i) posts_[directory_->posts[i].id] = i;
  for (std::size_t i = 0; i < directory_->libraries.size(); ++i) titles_[directory_->libraries[i].id] = i;
  rules_ = std::make_shared<const Rules>(*directory_);
}

// ---- the mesh --------------------------------------------------------------------------------------------------------
const MeshNode* Policy::node(const NodeId& id) const { return look_up(nodes_, mesh_.nodes, id); }
const MeshNode* Policy::node_by_transport(const crypto::TransportPublicKey& key) const { return look_up(transports_, mesh_.nodes, key); }
const MeshNode* Policy::node_by_name(std::string_view name) const {
  for (const MeshNode& it : mesh_.nodes)
    if (it.name == name) return &it;
  return nullptr;
}
const MeshLibrary* Policy::library(const LibraryId& id) const { return look_up(libraries_, mesh_.libraries, id); }

Rights Policy::rights(const NodeId& id, const LibraryId& library_id) const {
  const MeshNode* at = node(id);
  const MeshLibrary* library = this->library(library_id);
  if (at == nullptr || library == nullptr) return {};
  if (at->served_by) {
    // A desk has no place of its own: what its bureau may read it may keep in part, and it has no feed.
    const MeshNode* bureau = node(*at->served_by);
    if (bureau == nullptr || bureau->served_by) return {};
    return {rights(bureau->keys.id, library_id).holding >= Holding::partial ? Holding::partial : Holding::none, false, 0};
  }
  for (const Member& it : library->members)
    if (it.node == id) return {it.holding, it.may_write && it.holding >= Holding::partial, it.quota_bytes};
  return {};
}

std::vector<LibraryId> Policy::libraries_of(const NodeId& id) const {
  std::vector<LibraryId> out;
  for (const MeshLibrary& it : mesh_.libraries)
    if (may_receive(id, it.id)) out.push_back(it.id);
  return out;
}

std::optional<CutEnd> Policy::cut_of(const FeedId& feed, PolicyVersion named, std::span<const CutSubject> subjects) const {
  const MeshLibrary* library = this->library(feed.library);
  if (library == nullptr) return std::nullopt;
  const auto is_feed = [&](const FeedPoint& it) { return it.node == feed.node && it.incarnation == feed.incarnation; };
  std::optional<CutEnd> out;
  for (const Cut& cut : library->cuts) {
    if (named >= cut.since || std::find(subjects.begin(), subjects.end(), cut.subject) == subjects.end()) continue;
    CutEnd end{cut.since, {}, {}};
    const auto raise = [&](const FeedPoint& to) {
      if (is_feed(to) && to.sequence > end.sequence) end.sequence = to.sequence, end.root = to.root;
    };
    for (const FeedPoint& it : cut.ends) raise(it);
    for (const Admit& it : library->admits)
      if (it.cut == cut.since && it.subject == cut.subject) raise(it.up_to);
    if (!out || end.sequence < out->sequence) out = end;
  }
  return out;
}

// ---- the directory ---------------------------------------------------------------------------------------------------
const Person* Policy::person(const PersonId& id) const { return directory_ ? look_up(people_, directory_->people, id) : nullptr; }
const Person* Policy::person_by_name(std::string_view name) const {
  if (!directory_) return nullptr;
  for (const Person& it : directory_->people)
    if (it.name == name) return &it;
  return nullptr;
}
const LibraryTitle* Policy::title(const LibraryId& id) const {
  if (!directory_) return nullptr;
  return look_up(titles_, directory_->libraries, id);
}
const LibraryTitle* Policy::library_by_name(std::string_view name) const {
  if (!directory_) return nullptr;
  for (const LibraryTitle& it : directory_->libraries)
    if (it.name == name) return &it;
  for (const LibraryTitle& it : directory_->libraries)
    if (it.title == name) return &it;
  return nullptr;
}

std::vector<Policy::Capacity> Policy::capacities(const PersonId& id, std::int64_t time_ms) const {
  std::set<Capacity> out;
  const Person* who = person(id);
  if (who == nullptr) return {};
  for (const Tenure& tenure : who->tenures) {
    const Post* post = look_up(posts_, directory_->posts, tenure.post);
    if (post == nullptr || !in_time(tenure.from_s, tenure.until_s, time_ms)) continue;
    for (const std::string& role : post->roles)
      if (role != service_role) out.insert({role, post->id, post->org});
  }
  return {out.begin(), out.end()};
}

bool Policy::is_within(const std::string& org, const std::vector<std::string>& units) const {
  if (units.empty() || !directory_) return false;
  for (std::string_view at = org; !at.empty();) {  // no circle: the reader has refused that
    if (std::find(units.begin(), units.end(), at) != units.end()) return true;
    const auto unit = std::find_if(directory_->orgs.begin(), directory_->orgs.end(), [&](const Org& it) { return it.id == at; });
    at = unit == directory_->orgs.end() ? std::string_view() : unit->parent;
  }
  return false;
}

// ---- decisions -------------------------------------------------------------------------------------------------------
std::optional<std::string> Policy::refused_by_mesh(const Request& request) const {
  const MeshNode* at = node(request.node);
  if (at == nullptr) return "the node is not in this policy";
  if (library(request.library) == nullptr) return "the library is not in this policy";
  const Rights rights = this->rights(request.node, request.library);
  if (request.action == Action::replicate) {
    if (rights.holding == Holding::none) return "the node is no member of the library";
    return std::nullopt;
  }
  if (rights.holding < Holding::partial) return "the node may not have the library's keys";
  if (request.action == Action::write && !at->served_by && !rights.may_write) return "the node may not write to the library";
  return std::nullopt;
}

std::optional<std::string> Policy::refused_by_capacity(Asked& asked) const {
  const Request& request = *asked.request;
  if (!directory_) return "this node cannot open the directory of this policy";
  asked.role = rules_->name(request.role);
  asked.label_known = request.label && rules_->has_label(*request.label);
  if (request.acted_as) {
    asked.acted_as.emplace();
    for (const std::string& role : *request.acted_as) asked.acted_as->push_back(rules_->name(role));
  }
  if (request.person.is_zero()) {
    if (request.role != service_role) return "without a person there is only the capacity service";
    return std::nullopt;
  }
  const auto who = people_.find(request.person);
  if (who == people_.end()) return "the person is not in this policy";
  for (const Rules::Held& it : rules_->held_by(who->second)) {
    const bool fits = it.role == asked.role && (request.org.empty() || *it.org == request.org);
    if (fits && in_time(it.from_s, it.until_s, request.time_ms)) asked.held.push_back(&it);
  }
  if (asked.held.empty()) return "the person does not hold the role " + request.role + (request.org.empty() ? "" : " in " + request.org) + " at that time";
  return std::nullopt;
}

std::optional<std::string> Policy::refused_by_ceiling(const Request& request) const {
  const LibraryTitle* title = this->title(request.library);
  if (request.action != Action::write || title == nullptr || !title->ceiling) return std::nullopt;
  if (!request.label || !rules_->has_label(*request.label)) return "the library takes labels up to a ceiling, and the label is not known";
  if (*request.label > *title->ceiling) return "the label is above what the library takes";
  return std::nullopt;
}

Decision Policy::decide(const Request& request) const {
  Decision out;
  out.version = version_;
  if (auto why = refused_by_mesh(request)) return out.reason = std::move(*why), out;
  if (request.action == Action::replicate) {
    out.allowed = true;
    out.reason = "the node is a member of the library";
    return out;
  }
  Asked asked{{&request, node(request.node), Rules::no_name, {}, false, {}}};
  if (auto why = refused_by_capacity(asked)) return out.reason = std::move(*why), out;
  if (auto why = refused_by_ceiling(request)) return out.reason = std::move(*why), out;
  bool error_in_forbid = false;
  for (const bool forbids : {false, true})
    rules_->each_match(forbids, asked, [&](const Rule& rule, Rules::Match how) {
      if (how == Rules::Match::yes) return (forbids ? out.forbids : out.permits).push_back(rule.id);
      out.errors.push_back(rule.id);
      error_in_forbid = error_in_forbid || forbids;
    });
  for (auto* list : {&out.permits, &out.forbids, &out.errors}) std::sort(list->begin(), list->end());
  if (!out.forbids.empty()) {
    out.reason = "forbidden by " + joined(out.forbids);
  } else if (error_in_forbid) {
    out.reason = "a forbid cannot be judged, so it denies: " + joined(out.errors);
  } else if (out.permits.empty()) {
    out.reason = out.errors.empty() ? "no rule permits it" : "no rule permits it, and these cannot be judged: " + joined(out.errors);
  } else {
    out.allowed = true;
    out.reason = "permitted by " + joined(out.permits);
  }
  return out;
}

std::string Policy::explain(const Request& request) const {
  const Decision decision = decide(request);
  const auto named = [](const auto* it, const auto& id) { return it == nullptr ? id.hex() : it->name; };
  std::string out = decision.allowed ? "allowed" : "denied";
  out += ": " + decision.reason + "\n";
  out += "  policy " + std::to_string(version_.value) + ", ";
  out += request.person.is_zero() ? "the node itself" : named(person(request.person), request.person);
  out += " as " + request.role + (request.org.empty() ? "" : " in " + request.org) + ": " + std::string(name_of(request.action));
  out += " " + named(title(request.library), request.library) + " at " + named(node(request.node), request.node) + "\n";
  for (const std::string& it : decision.permits) out += "  permit " + it + "\n";
  for (const std::string& it : decision.forbids) out += "  forbid " + it + "\n";
  for (const std::string& it : decision.errors) out += "  cannot be judged: " + it + "\n";
  Asked asked{{&request, node(request.node), Rules::no_name, {}, false, {}}};
  if (decision.allowed || !decision.permits.empty() || refused_by_mesh(request) || refused_by_capacity(asked) || refused_by_ceiling(request)) return out;
  rules_->each_miss(asked, [&](const Rule& rule, const std::vector<std::string_view>& misses) {
    if (misses.size() == 1) out += "  permit " + rule.id + " would fit, but for the " + std::string(misses.front()) + "\n";
  });
  return out;
}

std::vector<Policy::FailedTest> Policy::failing_tests() const {
  std::vector<FailedTest> out;
  if (!directory_) return out;
  for (const PolicyTest& test : directory_->tests) {
    // The mesh may be newer than the directory: where the key authority is lost, a node is replaced in the mesh alone.
    if (!nodes_.contains(test.node)) continue;
    const Decision decision = decide({test.person, test.role, test.org, test.node, test.action, test.library, test.label, test.time_s * 1000, test.acted_as});
    if (decision.allowed != test.allowed)
      out.push_back({test.id, "test " + test.id + " expects " + (test.allowed ? "allow" : "deny") + ", but it is " +
                                  (decision.allowed ? "allowed: " : "denied: ") + decision.reason});
  }
  return out;
}

// ---- versions --------------------------------------------------------------------------------------------------------
void PolicySet::put(std::shared_ptr<const Policy> policy) {
  const std::uint64_t version = policy->version().value;
  policies_.insert_or_assign(version, std::move(policy));
}
std::shared_ptr<const Policy> PolicySet::at(PolicyVersion version) const {
  const auto at = policies_.find(version.value);
  return at == policies_.end() ? nullptr : at->second;
}
std::shared_ptr<const Policy> PolicySet::newest() const { return policies_.empty() ? nullptr : policies_.rbegin()->second; }
void PolicySet::drop_above(PolicyVersion version) { policies_.erase(policies_.upper_bound(version.value), policies_.end()); }
std::vector<PolicyVersion> PolicySet::versions() const {
  std::vector<PolicyVersion> out;
  for (const auto& [version, policy] : policies_) out.push_back({version});
  return out;
}

}  // namespace dozo::policy
