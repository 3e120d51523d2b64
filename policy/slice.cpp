#include "policy/slice.h"

#include <algorithm>
#include <set>

namespace dozo::policy {
namespace {

template <class T>
bool is_among(const std::vector<T>& list, const T& it) {
  return std::ranges::find(list, it) != list.end();
}

/// Leaves of a condition what is known; false: nothing is left of one that was there, so that the rule fits nobody.
template <class T, class Known>
bool narrow(std::vector<T>& condition, Known&& known) {
  if (condition.empty()) return true;
  std::erase_if(condition, [&](const T& it) { return !known(it); });
  return !condition.empty();
}

bool is_about(const Rule& rule, const std::vector<LibraryId>& libraries) {
  return rule.libraries.empty() || std::ranges::any_of(rule.libraries, [&](const LibraryId& id) { return is_among(libraries, id); });
}

class Slicing {
 public:
  Slicing(const Directory& whole, const std::vector<LibraryId>& libraries) : whole_(whole), libraries_(libraries) {
    for (const Org& it : whole.orgs) orgs_[it.id] = &it;
    for (const Post& it : whole.posts) posts_[it.id] = &it;
  }

  Directory run() {
    Directory out;
    out.header = whole_.header;
    out.labels = whole_.labels;
    for (const LibraryTitle& it : whole_.libraries)
      if (is_among(libraries_, it.id)) out.libraries.push_back(it);
    for (const Person& it : whole_.people)
      if (bears(it)) out.people.push_back(it);
    std::set<std::string_view> posts, orgs, classes;
    for (const Person& it : out.people)
      for (const Tenure& held : it.tenures) posts.insert(held.post);
    for (const Post& it : whole_.posts) {
      if (!posts.contains(it.id)) continue;
      out.posts.push_back(it);
      for (const Org* at = org(it.org); at != nullptr; at = org(at->parent))
        if (!orgs.insert(at->id).second) break;
    }
    for (const Org& it : whole_.orgs) {
      if (!orgs.contains(it.id)) continue;
      out.orgs.push_back(it);
      classes.insert(it.kind);
    }
    for (const OrgClass& it : whole_.classes)
      if (classes.contains(it.id)) out.classes.push_back(it);
    std::set<PersonId> people;
    for (const Person& it : out.people) people.insert(it.id);
    const auto rules = [&](const std::vector<Rule>& from, std::vector<Rule>& to) {
      for (Rule it : from) {
        const bool fits = narrow(it.libraries, [&](const LibraryId& id) { return is_among(libraries_, id); }) &&
                          narrow(it.people, [&](const PersonId& id) { return people.contains(id); }) &&
                          narrow(it.posts, [&](const std::string& id) { return posts.contains(id); }) &&
                          narrow(it.orgs, [&](const std::string& id) { return orgs.contains(id); }) &&
                          narrow(it.classes, [&](const std::string& id) { return classes.contains(id); });
        if (fits) to.push_back(std::move(it));
      }
    };
    rules(whole_.permits, out.permits);
    rules(whole_.forbids, out.forbids);
    for (const PolicyTest& it : whole_.tests)
      if (is_among(libraries_, it.library) && (it.person.is_zero() || people.contains(it.person)) && (it.org.empty() || orgs.contains(it.org)))
        out.tests.push_back(it);
    return out;
  }

 private:
  const Org* org(std::string_view id) const {
    const auto at = orgs_.find(id);
    return at == orgs_.end() ? nullptr : at->second;
  }
  bool is_within(std::string_view unit, const std::vector<std::string>& units) const {
    for (const Org* at = org(unit); at != nullptr; at = org(at->parent))
      if (is_among(units, at->id)) return true;
    return false;
  }
  /// Whether some permit about one of the libraries fits this person in some post. Without it he may do nothing there, as if he were not in the directory.
  bool bears(const Person& who) const {
    for (const Rule& it : whole_.permits) {
      if (!is_about(it, libraries_)) continue;
      if (!it.people.empty() && !is_among(it.people, who.id)) continue;
      for (const Tenure& held : who.tenures) {
        const auto at = posts_.find(held.post);
        if (at == posts_.end()) continue;
        const Post& post = *at->second;
        const Org* unit = org(post.org);
        const bool in_role = std::ranges::any_of(post.roles, [&](const std::string& role) { return it.roles.empty() || is_among(it.roles, role); });
        if (in_role && (it.posts.empty() || is_among(it.posts, post.id)) && (it.orgs.empty() || is_within(post.org, it.orgs)) &&
            (it.classes.empty() || (unit != nullptr && is_among(it.classes, unit->kind))))
          return true;
      }
    }
    return false;
  }

  const Directory& whole_;
  const std::vector<LibraryId>& libraries_;
  std::map<std::string_view, const Org*> orgs_;
  std::map<std::string_view, const Post*> posts_;
};

/// What requests about these libraries can differ in, for the rules of the whole directory.
struct Axes {
  std::set<std::int64_t> moments_s{0, 1};  ///< 0: not said
  std::vector<NodeId> nodes;
  std::vector<std::optional<std::uint32_t>> labels{std::nullopt, 0};
  std::vector<std::optional<std::vector<std::string>>> acted_as{std::nullopt, std::vector<std::string>{}};

  void add_moment(std::int64_t at_s) {
    if (at_s > 1) moments_s.insert({at_s - 1, at_s});
  }
  Axes(const Policy& whole, const std::vector<LibraryId>& libraries) {
    std::set<NodeId> named;
    std::set<std::string> roles;
    for (const auto* rules : {&whole.directory()->permits, &whole.directory()->forbids})
      for (const Rule& rule : *rules) {
        if (!is_about(rule, libraries)) continue;
        add_moment(rule.from_s);
        add_moment(rule.until_s);
        named.insert(rule.nodes.begin(), rule.nodes.end());
        roles.insert(rule.acted_as.begin(), rule.acted_as.end());
      }
    for (const LibraryId& id : libraries)
      if (const MeshLibrary* library = whole.library(id)) named.insert(library->home);  // stands for all that no rule names
    nodes.assign(named.begin(), named.end());
    for (const LabelName& it : whole.directory()->labels) labels.emplace_back(it.number);
    for (const std::string& role : roles) acted_as.emplace_back(std::vector<std::string>{role});
  }
};

}  // namespace

std::vector<LibraryId> sliced_libraries(const Mesh& mesh, const NodeId& node) {
  std::vector<LibraryId> out;
  for (const MeshLibrary& it : mesh.libraries)
    for (const Member& member : it.members)
      if (member.node == node && member.holding >= Holding::partial) out.push_back(it.id);
  return out;
}

Directory slice_of(const Directory& whole, const std::vector<LibraryId>& libraries) { return Slicing(whole, libraries).run(); }

Result<void> check_slice(const Policy& whole, const Policy& slice, const std::vector<LibraryId>& libraries) {
  const Axes axes(whole, libraries);
  std::map<std::string_view, const Post*> posts;
  for (const Post& it : whole.directory()->posts) posts[it.id] = &it;
  Request request;
  const auto ask = [&](const std::set<std::int64_t>& moments_s) -> Result<void> {
    for (const LibraryId& library : libraries)
      for (const NodeId& node : axes.nodes)
        for (const Action action : {Action::discover, Action::read, Action::write, Action::carry_out, Action::administer})
          for (const auto& label : axes.labels)
            for (const auto& acted_as : axes.acted_as)
              for (const std::int64_t moment_s : moments_s) {
                request.library = library;
                request.node = node;
                request.action = action;
                request.label = label;
                request.acted_as = acted_as;
                request.time_ms = moment_s * 1000;
                if (whole.decide(request).allowed != slice.decide(request).allowed)
                  return fail(Fault::denied, "the slice decides otherwise than the whole directory: " + slice.explain(request));
              }
    return {};
  };
  request.role = service_role;
  TRY(ask(axes.moments_s));
  for (const Person& who : whole.directory()->people) {
    Axes own = axes;
    std::set<std::pair<std::string, std::string>> capacities;
    for (const Tenure& held : who.tenures) {
      own.add_moment(held.from_s);
      own.add_moment(held.until_s);
      const auto post = posts.find(held.post);
      if (post == posts.end()) continue;
      for (const std::string& role : post->second->roles) capacities.insert({{role, post->second->org}, {role, ""}});
    }
    request.person = who.id;
    for (const auto& [role, org] : capacities) {
      request.role = role;
      request.org = org;
      TRY(ask(own.moments_s));
    }
  }
  return {};
}

}  // namespace dozo::policy
