// Mistakes between the parts of a source, and the running of its own tests.
#include <algorithm>
#include <map>
#include <set>

#include "policy/policy.h"
#include "policy/source_reader.h"

namespace dozo::policy {
namespace {

class Checker {
 public:
  Checker(const Source& source, std::vector<Mistake>& mistakes) : source_(source), mistakes_(mistakes) {}

  void run() {
    for (const Org& it : source_.orgs) add(orgs_, it.id, "unit", line("unit", it.id));
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
    roles_.emplace_back(service_role);
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
    for (const SourceLibrary& it : source_.libraries) check_library(it);
    for (const SourceRule& it : source_.permits) check_rule(it);
    for (const SourceRule& it : source_.forbids) check_rule(it);
    for (const SourceTest& it : source_.tests) check_test(it);
    for (const SourceStop& it : source_.stops) check_stop(it);
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
      if ((it.kind == NodeKind::desk) == it.served_by.empty()) wrong(it.line, "\"served_by\" names the bureau of a desk, and is for desks only");
      if (it.served_by.empty() || !want(nodes_, it.served_by, "node", it.line)) continue;
      const NodeKind kind = node(it.served_by)->kind;
      if (kind == NodeKind::desk || kind == NodeKind::vault) wrong(it.line, "a desk is served by a bureau, and \"" + it.served_by + "\" is none");
    }
    if (!hq) wrong(1, "there is no node of kind \"hq\"");
  }

  void check_library(const SourceLibrary& it) {
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
    if (mistakes_.size() == before && can_never_match(it)) wrong(it.line, "rule \"" + it.id + "\" can never match: nobody fits all its conditions");
  }

  bool can_never_match(const SourceRule& it) const {
    const auto in = [](const std::vector<std::string>& list, const std::string& name) { return list.empty() || has(list, name); };
    const bool personal = !it.people.empty() || !it.posts.empty() || !it.orgs.empty();
    if (!personal && in(it.roles, std::string(service_role))) return false;
    for (const Post& post : source_.posts) {
      if (!in(it.posts, post.id) || !in(it.orgs, post.org)) continue;
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
    if (!it.label.empty()) want(labels_, it.label, "label", it.line);
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
    // A node that is served nothing cannot be told either that the stop is over.
    const auto is_running_hq = [&](const SourceNode& node) { return node.kind == NodeKind::hq && !has(it.nodes, node.name); };
    if (!it.nodes.empty() && std::none_of(source_.nodes.begin(), source_.nodes.end(), is_running_hq)) wrong(it.line, "the stop leaves no node of kind \"hq\"");
  }

  const Source& source_;
  std::vector<Mistake>& mistakes_;
  Known orgs_, labels_, nodes_, libraries_, posts_, roles_, people_, rules_, tests_;
};

}  // namespace

void check_source(const Source& source, std::vector<Mistake>& mistakes) { Checker(source, mistakes).run(); }

std::vector<Mistake> check(std::string_view toml, std::string_view file) {
  Reading reading = read_source(toml, file);
  if (!reading.good()) return std::move(reading.mistakes);
  std::vector<Mistake> out;
  auto compiled = compile(reading.source, stand_in_names(reading.source));
  if (!compiled) {
    out.push_back({std::string(file), 1, 1, compiled.error().text, {}});
    return out;
  }
  const Policy policy({1}, std::move(compiled->mesh), std::move(compiled->directory));
  for (const auto& failed : policy.failing_tests()) {
    std::uint32_t line = 1;
    for (const SourceTest& it : reading.source.tests)
      if (it.id == failed.id) line = it.line;
    out.push_back({std::string(file), line, 1, failed.text, {}});
  }
  return out;
}

}  // namespace dozo::policy
