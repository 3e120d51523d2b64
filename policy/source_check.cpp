// Mistakes between the parts of a source, and the running of its own tests.
#include <algorithm>
#include <map>
#include <set>

#include "policy/policy.h"
#include "policy/slice.h"
#include "policy/source_reader.h"

namespace dozo::policy {
namespace {

class Checker {
 public:
  Checker(const Source& source, std::vector<Mistake>& mistakes, std::vector<Mistake>& warnings) : source_(source), mistakes_(mistakes), warnings_(warnings) {}

  void run() {
    for (const SourceClass& it : source_.classes) add(classes_, it.id, "class", it.line);
    for (const Org& it : source_.orgs) add(orgs_, it.id, "unit", line("unit", it.id));
    check_units();
    for (const LabelName& it : source_.labels) add(labels_, it.name, "label", line("label", it.name));
    for (const SourceNode& it : source_.nodes) add(nodes_, it.name, "node", it.line);
    for (const SourceLibrary& it : source_.libraries) add(libraries_, it.name, "library", it.line);
    for (const Post& it : source_.posts) {
      add(posts_, it.id, "post", line("post", it.id));
      want(orgs_, it.org, "unit", line("post", it.id));
      for (const std::string& role : it.roles) {
        if (role == service_role) wrong(line("post", it.id), "post \"" + it.id + "\": the role \"service\" belongs to nodes");
        if (!has(roles_, role)) roles_.push_back(role);
      }
    }
    for (const SourceDelegation& it : source_.delegations)
      for (const std::string& role : it.roles)
        if (!has(roles_, role)) roles_.push_back(role);
    roles_.emplace_back(service_role);
    check_roles();
    for (const SourcePerson& it : source_.people) {
      add(people_, it.name, "person", it.line);
      for (const Tenure& tenure : it.tenures) {
        want(posts_, tenure.post, "post", it.line);
        if (tenure.until_s != 0 && tenure.until_s <= tenure.from_s) wrong(it.line, "the post \"" + tenure.post + "\" ends before it begins");
      }
    }
    std::set<std::uint32_t> numbers;
    for (const LabelName& it : source_.labels) {
      if (it.name == "none") wrong(line("label", it.name), "\"none\" means that there is no label: call it something else");
      if (!numbers.insert(it.number).second) wrong(line("label", it.name), "two labels have the number " + std::to_string(it.number));
    }
    check_nodes();
    check_delegations();
    for (const SourceLibrary& it : source_.libraries) check_library(it);
    for (const SourceRule& it : source_.permits) {
      check_rule(it);
      if (it.people.empty() && it.roles.empty() && it.posts.empty() && it.orgs.empty() && it.classes.empty())
        warnings_.push_back({source_.file, it.line, 1, "permit \"" + it.id + "\" is wider than a group: it is for everybody, and for nodes by themselves", {}});
    }
    for (const SourceRule& it : source_.forbids) check_rule(it);
    for (const SourceTest& it : source_.tests) check_test(it);
    for (const SourceStop& it : source_.stops) check_stop(it);
    // A node that is served nothing cannot be told either that the stop is over.
    const auto is_stopped = [&](const SourceNode& node) {
      return std::any_of(source_.stops.begin(), source_.stops.end(), [&](const SourceStop& it) { return has(it.nodes, node.name); });
    };
    const auto is_running_hq = [&](const SourceNode& node) { return node.kind == NodeKind::hq && !is_stopped(node); };
    if (!source_.stops.empty() && std::none_of(source_.nodes.begin(), source_.nodes.end(), is_running_hq))
      wrong(source_.stops.back().line, "the stop leaves no node of kind \"hq\"");
    for (const SourceHours& it : source_.hours) check_window(it.nodes, it.libraries, it.except_roles, it.line);
    for (const SourceClosure& it : source_.closures) {
      check_window(it.nodes, it.libraries, it.except_roles, it.line);
      if (it.until_s <= it.from_s) wrong(it.line, "the closure ends before it begins");
    }
    for (const SourceAdmit& it : source_.admits) want(libraries_, it.library, "library", it.line);
    for (std::size_t i = 0; i < source_.lifts.size(); ++i)
      for (std::size_t j = 0; j < i; ++j)
        if (source_.lifts[i].officer == source_.lifts[j].officer)
          wrong(source_.lifts[i].line, "this officer's suspensions are lifted twice: keep the higher number");
  }

 private:
  using Known = std::vector<std::string>;
  static bool has(const Known& known, const std::string& name) { return std::find(known.begin(), known.end(), name) != known.end(); }
  void wrong(std::uint32_t line, std::string text, std::string suggestion = {}) {
    mistakes_.push_back({source_.file, line, 1, std::move(text), std::move(suggestion)});
  }
  std::uint32_t line(const char* kind, const std::string& name) const {
    const auto at = source_.lines.find({kind, name});
    return at == source_.lines.end() ? 1 : at->second;
  }
  void add(Known& to, const std::string& name, std::string_view what, std::uint32_t line) {
    if (has(to, name)) wrong(line, "there are two of the " + std::string(what) + " \"" + name + "\"");
    to.push_back(name);
  }
  bool want(const Known& known, const std::string& name, std::string_view what, std::uint32_t line) {
    if (has(known, name)) return true;
    wrong(line, "there is no " + std::string(what) + " \"" + name + "\"", nearest(name, known));
    return false;
  }
  const SourceNode* node(const std::string& name) const {
    for (const SourceNode& it : source_.nodes)
      if (it.name == name) return &it;
    return nullptr;
  }

  void check_nodes() {
    bool hq = false;
    for (const SourceNode& it : source_.nodes) {
      hq = hq || it.kind == NodeKind::hq;
      if (it.is_sliced && it.kind != NodeKind::bureau)
        wrong(it.line, "\"slice\" is for bureaus: headquarters sees all, and vaults and desks nothing of their own");
      if (it.is_sliced && it.name.size() > sliced_node_bytes_most)
        wrong(it.line, "the name of a node with a slice has at most " + std::to_string(sliced_node_bytes_most) + " characters");
      if ((it.kind == NodeKind::desk) == it.served_by.empty()) wrong(it.line, "\"served_by\" names the bureau of a desk, and is for desks only");
      if (it.served_by.empty() || !want(nodes_, it.served_by, "node", it.line)) continue;
      const NodeKind kind = node(it.served_by)->kind;
      if (kind == NodeKind::desk || kind == NodeKind::vault) wrong(it.line, "a desk is served by a bureau, and \"" + it.served_by + "\" is none");
    }
    if (!hq) wrong(1, "there is no node of kind \"hq\"");
  }

  const Org* org(const std::string& id) const {
    for (const Org& it : source_.orgs)
      if (it.id == id) return &it;
    return nullptr;
  }
  /// Whether a unit is one of these, or below one.
  bool is_within(const std::string& id, const std::vector<std::string>& orgs) const {
    std::size_t depth = 0;
    for (const Org* at = org(id); at != nullptr && depth < 64; at = org(at->parent), ++depth)
      if (has(orgs, at->id)) return true;
    return false;
  }

  /// The tree of units: who is above is there, of a class that may be, and no unit is above itself.
  void check_units() {
    for (const SourceClass& it : source_.classes)
      for (const std::string& above : it.under) want(classes_, above, "class", it.line);
    for (const Org& it : source_.orgs) {
      const std::uint32_t at = line("unit", it.id);
      if (!it.parent.empty()) want(orgs_, it.parent, "unit", at);
      if (source_.classes.empty() && it.kind.empty()) continue;
      if (it.kind.empty()) {
        wrong(at, "the unit \"" + it.id + "\" has no class");
        continue;
      }
      if (!want(classes_, it.kind, "class", at)) continue;
      const auto kind = std::find_if(source_.classes.begin(), source_.classes.end(), [&](const SourceClass& one) { return one.id == it.kind; });
      const Org* parent = org(it.parent);
      const std::string below = " must be below one of the class ";
      std::string allowed;
      for (const std::string& name : kind->under) allowed += (allowed.empty() ? "" : " or ") + name;
      if (kind->under.empty() && parent != nullptr) wrong(at, "the unit \"" + it.id + "\" is of the class " + it.kind + ", which stands at the top");
      if (!kind->under.empty() && (parent == nullptr || !has(kind->under, parent->kind))) wrong(at, "the unit \"" + it.id + "\"" + below + allowed);
    }
    for (const Org& it : source_.orgs) {
      std::size_t depth = 0;
      for (const Org* at = &it; at != nullptr && !at->parent.empty(); at = org(at->parent))
        if (++depth > 64) {
          wrong(line("unit", it.id), "the unit \"" + it.id + "\" is above itself");
          break;
        }
    }
  }

  /// Declared roles: held by no more persons at a time than may, by posts in the units where they may be.
  void check_roles() {
    Known declared;
    for (const SourceRole& it : source_.roles) {
      add(declared, it.id, "role", it.line);
      for (const std::string& name : it.orgs) want(orgs_, name, "unit", it.line);
      for (const std::string& name : it.classes) want(classes_, name, "class", it.line);
      for (const Post& post : source_.posts) {
        if (!has(post.roles, it.id)) continue;
        const Org* unit = org(post.org);
        if (unit == nullptr) continue;
        if (!it.orgs.empty() && !is_within(post.org, it.orgs))
          wrong(line("post", post.id), "post \"" + post.id + "\": the role " + it.id + " cannot be held in " + post.org);
        if (!it.classes.empty() && !has(it.classes, unit->kind))
          wrong(line("post", post.id), "post \"" + post.id + "\": the role " + it.id + " cannot be held in a unit of the class " + unit->kind);
      }
      if (it.most != 0) check_holders(it);
    }
    if (declared.empty()) return;
    for (const Post& post : source_.posts)
      for (const std::string& role : post.roles)
        if (role != service_role) want(declared, role, "role", line("post", post.id));
  }

  /// What a unit signs by itself is not in the source: what it could do there that the source rules out is a mistake here.
  void check_delegations() {
    Known seen;
    for (const SourceDelegation& it : source_.delegations) {
      add(seen, it.org, "delegation of the unit", it.line);
      want(orgs_, it.org, "unit", it.line);
      if (it.org.size() > delegated_org_bytes_most)
        wrong(it.line, "the id of a unit that signs by itself has at most " + std::to_string(delegated_org_bytes_most) + " characters");
      if (it.threshold > it.keys.size())
        wrong(it.line, "\"threshold\" is " + std::to_string(it.threshold) + ", and there are " + std::to_string(it.keys.size()) + " keys");
      for (const crypto::VerifyKey& key : it.keys)
        if (!crypto::is_valid(key)) wrong(it.line, "not a public key: " + key.hex());
      if (it.roles.empty()) wrong(it.line, "\"roles\" is missing: those that the unit's posts may have");
      for (const std::string& role : it.roles) {
        const auto declared = std::find_if(source_.roles.begin(), source_.roles.end(), [&](const SourceRole& one) { return one.id == role; });
        if (role == service_role) wrong(it.line, "the role \"service\" belongs to nodes");
        if (!source_.roles.empty() && role != service_role && declared == source_.roles.end()) wrong(it.line, "there is no role \"" + role + "\"");
        if (declared == source_.roles.end()) continue;
        if (declared->most != 0) wrong(it.line, "the role " + role + " may be held by so many persons only: its posts are headquarters' to give");
        if (!declared->classes.empty()) wrong(it.line, "the role " + role + " is for some classes of units only: its posts are headquarters' to give");
        if (!declared->orgs.empty() && !is_within(it.org, declared->orgs)) wrong(it.line, "the role " + role + " cannot be held in " + it.org);
      }
      for (const std::string& name : it.nodes) {
        if (!want(nodes_, name, "node", it.line)) continue;
        const NodeKind kind = node(name)->kind;
        if (kind == NodeKind::desk || kind == NodeKind::vault) wrong(it.line, "\"" + name + "\" is no bureau");
      }
      for (const SourceDelegation& other : source_.delegations)
        if (other.org != it.org && is_within(other.org, {it.org}))
          wrong(other.line, "the unit \"" + other.org + "\" is below \"" + it.org + "\", to which something is delegated already: one signs for both");
      const auto is_taken = [&](const std::string& name) { return name.starts_with(it.org + "-"); };
      for (const Post& post : source_.posts)
        if (is_taken(post.id)) wrong(line("post", post.id), "the post \"" + post.id + "\": what begins with \"" + it.org + "-\" is for the unit to name");
      for (const SourcePerson& who : source_.people)
        if (is_taken(who.name)) wrong(who.line, "the person \"" + who.name + "\": what begins with \"" + it.org + "-\" is for the unit to name");
    }
  }

  /// Two posts of one person are one holder: it is about persons.
  void check_holders(const SourceRole& role) {
    std::set<std::string> posts;
    for (const Post& it : source_.posts)
      if (has(it.roles, role.id)) posts.insert(it.id);
    std::vector<std::pair<const SourcePerson*, const Tenure*>> held;
    std::set<std::int64_t> moments;
    for (const SourcePerson& who : source_.people)
      for (const Tenure& it : who.tenures)
        if (posts.contains(it.post)) held.emplace_back(&who, &it), moments.insert(it.from_s);
    for (const std::int64_t at_s : moments) {
      std::vector<const SourcePerson*> holders;
      for (const auto& [who, it] : held)
        if (at_s >= it->from_s && (it->until_s == 0 || at_s < it->until_s) && (holders.empty() || holders.back() != who)) holders.push_back(who);
      if (holders.size() <= role.most) continue;
      std::string names;
      for (const SourcePerson* who : holders) names += (names.empty() ? "" : ", ") + who->name;
      return wrong(holders.back()->line, "the role " + role.id + " is held by " + std::to_string(holders.size()) + " persons at a time (" + names +
                                             "), and may be by " + std::to_string(role.most));
    }
  }

  void check_window(const std::vector<std::string>& nodes, const std::vector<std::string>& libraries, const std::vector<std::string>& roles, std::uint32_t at) {
    for (const std::string& name : nodes) want(nodes_, name, "node", at);
    for (const std::string& name : libraries) want(libraries_, name, "library", at);
    for (const std::string& name : roles) want(roles_, name, "role", at);
  }

  /// A label above the ceiling is not written there, and one that only nodes with keys may hold lies on no blind one.
  void check_labels(const SourceLibrary& it) {
    std::uint32_t ceiling = UINT32_MAX;
    if (!it.ceiling.empty() && it.ceiling != "none") want(labels_, it.ceiling, "label", it.line);
    if (it.ceiling == "none") ceiling = 0;
    for (const LabelName& label : source_.labels)
      if (label.name == it.ceiling) ceiling = label.number;
    for (const LabelName& label : source_.labels) {
      if (label.number > ceiling || !has(source_.keyed_labels, label.name)) continue;
      for (const SourceMember& member : it.members)
        if (member.holding == Holding::blind)
          return wrong(it.line, "the library takes the label \"" + label.name + "\", which only nodes with keys may hold, and \"" + member.node +
                                    "\" holds blind: set \"ceiling\" below it, or leave that member out");
    }
  }

  void check_library(const SourceLibrary& it) {
    check_labels(it);
    std::set<std::string> zones;
    std::uint32_t keyed = 0;
    bool good = true;
    const SourceMember* home = nullptr;
    for (const SourceMember& member : it.members) {
      if (!want(nodes_, member.node, "node", it.line)) {
        good = false;
        continue;
      }
      const SourceNode& at = *node(member.node);
      zones.insert(at.zone);
      if (member.holding != Holding::blind) ++keyed;
      if (member.node == it.home) home = &member;
      if (at.kind == NodeKind::vault && member.holding != Holding::blind) wrong(it.line, "\"" + at.name + "\" is a vault: it holds blind");
      if (at.kind == NodeKind::desk) wrong(it.line, "\"" + at.name + "\" is a desk: name the bureau that serves it");
      if (member.holding == Holding::blind && member.may_write) wrong(it.line, "\"" + at.name + "\" holds blind, and so cannot write");
    }
    if (!want(nodes_, it.home, "node", it.line) || !good) return;
    if (home == nullptr || home->holding != Holding::full || !home->may_write)
      wrong(it.line, "the home node \"" + it.home + "\" must be a member with holding = \"full\" and write = true");
    const Duty& duty = it.duty;
    const auto cannot = [&](std::string_view what, std::size_t wanted, std::size_t there) {
      if (wanted > there)
        wrong(it.line,
              "the members of \"" + it.name + "\" cannot give " + std::to_string(wanted) + " " + std::string(what) + ": there are " + std::to_string(there));
    };
    cannot("copies", duty.copies, it.members.size());
    cannot("zones", duty.zones, zones.size());
    cannot("keyed copies", duty.keyed, keyed);
    if (duty.zones > duty.copies || duty.keyed > duty.copies) wrong(it.line, "\"copies\" is less than \"zones\" or \"keyed\"");
  }

  void check_rule(const SourceRule& it) {
    add(rules_, it.id, "rule", it.line);
    const std::size_t before = mistakes_.size();
    const auto all = [&](const Known& known, const std::vector<std::string>& names, std::string_view what) {
      for (const std::string& name : names) want(known, name, what, it.line);
    };
    all(people_, it.people, "person");
    all(roles_, it.roles, "role");
    all(posts_, it.posts, "post");
    all(orgs_, it.orgs, "unit");
    all(classes_, it.classes, "class");
    all(roles_, it.acted_as, "role");
    all(nodes_, it.nodes, "node");
    all(libraries_, it.libraries, "library");
    Known labels = labels_;
    labels.emplace_back("none");
    all(labels, it.labels, "label");
    if (it.until_s != 0 && it.until_s <= it.from_s) wrong(it.line, "rule \"" + it.id + "\" ends before it begins");
    // Whoever has the library's key can read all of it: a label cannot stop that, and must not seem to.
    if (!it.labels.empty() && std::find(it.actions.begin(), it.actions.end(), Action::read) != it.actions.end())
      wrong(it.line, "rule \"" + it.id + "\": reading is decided by the library, not by labels; make a library for what fewer may read");
    if (std::find(it.actions.begin(), it.actions.end(), Action::replicate) != it.actions.end())
      wrong(it.line, "rule \"" + it.id + "\": who replicates is said by the members of the library, not by rules");
    const auto needs_matter = [](Action action) { return action != Action::carry_out && action != Action::administer; };
    if (!it.acted_as.empty() && std::any_of(it.actions.begin(), it.actions.end(), needs_matter))
      wrong(it.line, "rule \"" + it.id + "\": who acted before is known of matters alone: carry-out and administer");
    if (mistakes_.size() == before && can_never_match(it)) wrong(it.line, "rule \"" + it.id + "\" can never match: nobody fits all its conditions");
  }

  bool can_never_match(const SourceRule& it) const {
    const auto in = [](const std::vector<std::string>& list, const std::string& name) { return list.empty() || has(list, name); };
    const bool personal = !it.people.empty() || !it.posts.empty() || !it.orgs.empty() || !it.classes.empty();
    if (!personal && in(it.roles, std::string(service_role))) return false;
    // Posts that a unit signs by itself are not known here.
    for (const SourceDelegation& delegation : source_.delegations) {
      const bool has_role =
          it.roles.empty() || std::any_of(delegation.roles.begin(), delegation.roles.end(), [&](const std::string& role) { return has(it.roles, role); });
      if (has_role && it.people.empty() && it.posts.empty()) return false;
    }
    for (const Post& post : source_.posts) {
      const Org* unit = org(post.org);
      if (!in(it.posts, post.id) || (!it.orgs.empty() && !is_within(post.org, it.orgs)) ||
          (!it.classes.empty() && (unit == nullptr || !has(it.classes, unit->kind))))
        continue;
      if (std::none_of(post.roles.begin(), post.roles.end(), [&](const std::string& role) { return in(it.roles, role); })) continue;
      if (it.people.empty()) return false;  // a post may be vacant today
      for (const SourcePerson& who : source_.people)
        if (has(it.people, who.name) && std::any_of(who.tenures.begin(), who.tenures.end(), [&](const Tenure& held) { return held.post == post.id; }))
          return false;
    }
    return true;
  }

  void check_test(const SourceTest& it) {
    add(tests_, it.id, "test", it.line);
    if (!it.person.empty()) want(people_, it.person, "person", it.line);
    want(roles_, it.role, "role", it.line);
    if (!it.org.empty()) want(orgs_, it.org, "unit", it.line);
    want(nodes_, it.node, "node", it.line);
    want(libraries_, it.library, "library", it.line);
    if (!it.label.empty() && it.label != "none") want(labels_, it.label, "label", it.line);
    if (it.acted_as)
      for (const std::string& role : *it.acted_as) want(roles_, role, "role", it.line);
  }

  void check_stop(const SourceStop& it) {
    for (const std::string& name : it.nodes) want(nodes_, name, "node", it.line);
    for (const std::string& name : it.people) want(people_, name, "person", it.line);
    for (const std::string& name : it.orgs) want(orgs_, name, "unit", it.line);
    for (const std::string& name : it.roles) want(roles_, name, "role", it.line);
    for (const std::string& name : it.libraries) want(libraries_, name, "library", it.line);
    if (it.nodes.empty() && it.people.empty() && it.orgs.empty() && it.roles.empty() && it.libraries.empty() && !it.realm_wide)
      wrong(it.line, "the stop stops nothing");
    if (it.until_s != 0 && it.until_s <= it.from_s) wrong(it.line, "the stop ends before it begins");
  }

  const Source& source_;
  std::vector<Mistake>& mistakes_;
  std::vector<Mistake>& warnings_;
  Known classes_, orgs_, labels_, nodes_, libraries_, posts_, roles_, people_, rules_, tests_;
};

}  // namespace

void check_source(const Source& source, std::vector<Mistake>& mistakes, std::vector<Mistake>& warnings) { Checker(source, mistakes, warnings).run(); }

Checked check(std::string_view toml, std::string_view file, std::int64_t now_s) {
  Reading reading = read_source(toml, file);
  Checked out{std::move(reading.mistakes), std::move(reading.warnings)};
  if (!out.mistakes.empty()) return out;
  const auto wrong = [&](std::uint32_t line, std::string text) { out.mistakes.push_back({std::string(file), line, 1, std::move(text), {}}); };
  // Not in read_source(): who was just admitted is written into the source without one.
  for (const SourcePerson& it : reading.source.people) {
    if (it.tenures.empty()) {
      wrong(it.line, "the person \"" + it.name + "\" holds no post");
    } else if (now_s != 0 &&
               std::all_of(it.tenures.begin(), it.tenures.end(), [&](const Tenure& held) { return held.until_s != 0 && held.until_s <= now_s; })) {
      wrong(it.line, "the last post of \"" + it.name + "\" is over: give the person another one, or take the person out");
    }
  }
  auto compiled = compile(reading.source, stand_in_names(reading.source));
  if (!compiled) {
    wrong(1, compiled.error().text);
    return out;
  }
  const Policy policy({1}, std::move(compiled->mesh), std::move(compiled->directory));
  for (const SourceNode& it : reading.source.nodes) {
    const MeshNode* node = policy.node_by_name(it.name);
    if (!it.is_sliced || node == nullptr) continue;
    const std::vector<LibraryId> libraries = sliced_libraries(policy.mesh(), node->keys.id);
    const auto checked = check_slice(policy, Policy({1}, policy.mesh(), slice_of(*policy.directory(), libraries)), libraries);
    if (!checked) wrong(it.line, checked.error().text);
  }
  for (const auto& failed : policy.failing_tests()) {
    std::uint32_t line = 1;
    for (const SourceTest& it : reading.source.tests)
      if (it.id == failed.id) line = it.line;
    wrong(line, failed.text);
  }
  return out;
}

}  // namespace dozo::policy
