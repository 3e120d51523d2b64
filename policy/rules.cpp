#include "policy/rules.h"

#include <algorithm>
#include <cstring>

namespace dozo::policy {
namespace {

template <class T>
bool has(const std::vector<T>& ascending, const T& it) {
  if (ascending.size() > 8) return std::binary_search(ascending.begin(), ascending.end(), it);
  return std::find(ascending.begin(), ascending.end(), it) != ascending.end();
}
template <class T>
bool meet(const std::vector<T>& a, const std::vector<T>& b) {
  return std::any_of(b.begin(), b.end(), [&](const T& it) { return has(a, it); });
}
template <class T>
std::vector<T> ascending(std::vector<T> list) {
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
  return list;
}

}  // namespace

std::size_t Rules::IdHash::operator()(const LibraryId& id) const {
  std::size_t out = 0;  // ids are random
  std::memcpy(&out, id.bytes.data(), sizeof out);
  return out;
}

Rules::Name Rules::intern(const std::string& text) { return names_.try_emplace(text, static_cast<Name>(names_.size())).first->second; }
Rules::Name Rules::name(std::string_view text) const {
  const auto at = names_.find(text);
  return at == names_.end() ? no_name : at->second;
}
bool Rules::has_label(std::uint32_t number) const { return number == 0 || std::binary_search(labels_.begin(), labels_.end(), number); }

Rules::Rules(const Directory& directory) {
  std::map<std::string_view, const Org*> orgs;
  for (const Org& it : directory.orgs) orgs[it.id] = &it;
  const auto above = [&](const std::string& org) -> const std::vector<Name>& {
    const auto [at, is_new] = above_.try_emplace(org);
    if (!is_new) return at->second;
    std::vector<Name>& out = at->second;
    std::string_view id = org;
    while (!id.empty()) {  // no circle: the reader has refused that
      out.push_back(intern(std::string(id)));
      const auto known = orgs.find(id);
      id = known == orgs.end() ? std::string_view() : known->second->parent;
    }
    out = ascending(std::move(out));
    return out;
  };
  std::map<std::string_view, const Post*> posts;
  for (const Post& it : directory.posts) posts[it.id] = &it;
  for (const Person& person : directory.people) {
    std::vector<Held>& held = people_.emplace_back();
    for (const Tenure& tenure : person.tenures) {
      const auto at = posts.find(tenure.post);
      if (at == posts.end()) continue;
      const Post& post = *at->second;
      const auto org = orgs.find(post.org);
      for (const std::string& role : post.roles) {
        if (role == service_role) continue;
        held.push_back({intern(role), intern(post.id), org == orgs.end() || org->second->kind.empty() ? no_name : intern(org->second->kind), &above(post.org),
                        &post.org, tenure.from_s, tenure.until_s});
      }
    }
  }
  for (const LabelName& it : directory.labels) labels_.push_back(it.number);
  std::sort(labels_.begin(), labels_.end());

  const auto numbers = [&](const std::vector<std::string>& list) {
    std::vector<Name> out;
    for (const std::string& it : list) out.push_back(intern(it));
    return ascending(std::move(out));
  };
  for (const bool is_forbid : {false, true})
    for (const Rule& rule : is_forbid ? directory.forbids : directory.permits) {
      const auto number = static_cast<std::uint32_t>(rules_.size());
      Ready& ready =
          rules_.emplace_back(Ready{&rule, is_forbid, ascending(rule.people), ascending(rule.nodes), ascending(rule.libraries), numbers(rule.roles),
                                    numbers(rule.posts), numbers(rule.orgs), numbers(rule.classes), numbers(rule.acted_as), ascending(rule.labels), 0});
      for (const Action action : rule.actions) ready.actions |= 1U << static_cast<unsigned>(action);
      Lists& lists = of_[is_forbid ? 1 : 0];
      for (std::size_t action = 0; action < action_count; ++action) {
        if ((ready.actions >> action & 1U) == 0) continue;
        if (ready.libraries.empty()) lists.general[action].push_back(number);
        for (const LibraryId& library : ready.libraries) lists.by_library[library][action].push_back(number);
      }
    }
}

Rules::Match Rules::match(const Ready& rule, const Asked& asked, std::vector<std::string_view>* misses) const {
  const Request& it = *asked.request;
  Match out = Match::yes;
  const auto missed = [&](std::string_view name, bool fits) {
    if (fits) return false;
    out = Match::no;
    if (misses == nullptr) return true;
    misses->push_back(name);
    return false;
  };
  if (missed("action", (rule.actions >> static_cast<unsigned>(it.action) & 1U) != 0)) return out;
  if (missed("role", rule.roles.empty() || has(rule.roles, asked.role))) return out;
  if (missed("library", rule.libraries.empty() || has(rule.libraries, it.library))) return out;
  if (missed("person", rule.people.empty() || has(rule.people, it.person))) return out;
  if (missed("node", rule.nodes.empty() || has(rule.nodes, it.node) || (asked.at != nullptr && asked.at->served_by && has(rule.nodes, *asked.at->served_by))))
    return out;
  if (!rule.posts.empty() || !rule.orgs.empty() || !rule.classes.empty()) {
    // Post, unit and class of one and the same capacity.
    const bool fits = std::any_of(asked.held.begin(), asked.held.end(), [&](const Held* held) {
      return (rule.posts.empty() || has(rule.posts, held->post)) && (rule.orgs.empty() || meet(rule.orgs, *held->orgs)) &&
             (rule.classes.empty() || has(rule.classes, held->kind));
    });
    if (missed(rule.orgs.empty() && rule.classes.empty() ? "post" : "unit", fits)) return out;
  }
  bool error = false;
  if (!rule.labels.empty()) {
    if (!asked.label_known) {
      error = true;
    } else if (missed("label", has(rule.labels, *it.label))) {
      return out;
    }
  }
  if (rule.rule->from_s != 0 || rule.rule->until_s != 0) {
    if (it.time_ms <= 0) {
      error = true;
    } else if (missed("time", in_time(rule.rule->from_s, rule.rule->until_s, it.time_ms))) {
      return out;
    }
  }
  if (!rule.acted_as.empty()) {
    if (!asked.acted_as) {
      error = true;
    } else if (missed("former role", meet(rule.acted_as, *asked.acted_as))) {
      return out;
    }
  }
  return out == Match::yes && error ? Match::error : out;
}

}  // namespace dozo::policy
