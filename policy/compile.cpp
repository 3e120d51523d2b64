// From names to ids: a checked source as the content of a mesh and a directory.
#include <algorithm>

#include "crypto/hash.h"
#include "policy/source.h"

namespace dozo::policy {
namespace {

template <class Id>
Id made_of(std::string_view kind, std::string_view name) {
  const Digest digest = crypto::sha256({view_of(kind), view_of("\n"), view_of(name)});
  return *Id::from(ByteView(digest.bytes).first(Id::size));
}

class Compiler {
 public:
  Compiler(const Source& source, const Names& names) : source_(source), names_(names) {}

  Result<Compiled> run() {
    out_.realm = source_.realm;
    out_.mesh_days = source_.mesh_days;
    out_.freshness_hours = source_.freshness_hours;
    out_.snapshot_days = source_.snapshot_days;
    out_.locked_after_days = source_.locked_after_days;
    out_.mesh.locked_after_s = static_cast<std::uint32_t>(source_.locked_after_days * day_s);
    nodes();
    TRY(libraries());
    people();
    rules(source_.permits, out_.directory.permits);
    rules(source_.forbids, out_.directory.forbids);
    tests();
    stops();
    windows(source_.hours, out_.mesh.hours, [](const SourceHours& from, Hours& to) {
      to.days = from.days;
      to.opens_minute = from.opens_minute;
      to.closes_minute = from.closes_minute;
    });
    windows(source_.closures, out_.mesh.closures, [](const SourceClosure& from, Closure& to) {
      to.from_s = from.from_s;
      to.until_s = from.until_s;
      to.reason = from.reason;
    });
    delegations();
    TRY(admits());
    std::sort(out_.absent.begin(), out_.absent.end());
    out_.absent.erase(std::unique(out_.absent.begin(), out_.absent.end()), out_.absent.end());
    return std::move(out_);
  }

 private:
  const crypto::NodePublic* node(const std::string& name) {
    const auto at = names_.nodes.find(name);
    if (at != names_.nodes.end()) return &at->second;
    out_.absent.push_back(name);
    return nullptr;
  }

  void nodes() {
    for (const SourceNode& it : source_.nodes) {
      const auto* keys = node(it.name);
      if (keys == nullptr) continue;
      MeshNode next{*keys, it.name, it.kind, it.zone, it.addresses, {}, it.is_sliced};
      if (!it.served_by.empty()) {
        const auto* bureau = node(it.served_by);
        if (bureau == nullptr) continue;
        next.served_by = bureau->id;
      }
      out_.mesh.nodes.push_back(std::move(next));
    }
    std::sort(out_.mesh.nodes.begin(), out_.mesh.nodes.end(), [](const auto& a, const auto& b) { return a.keys.id < b.keys.id; });
  }

  Result<void> libraries() {
    for (const SourceLibrary& it : source_.libraries) {
      const auto id = names_.libraries.find(it.name);
      if (id == names_.libraries.end()) return fail(Fault::not_found, "library " + it.name + " has no id");
      MeshLibrary library;
      library.id = id->second;
      library.epoch.value = 1;
      library.names = it.names;
      library.locks = it.locks;
      library.duty = it.duty;
      const auto* home = node(it.home);
      if (home == nullptr) return fail(Fault::not_found, "library " + it.name + ": its home node " + it.home + " is not admitted yet");
      library.home = home->id;
      for (const SourceMember& member : it.members)
        if (const auto* keys = node(member.node)) library.members.push_back({keys->id, member.holding, member.may_write, member.quota_bytes});
      std::sort(library.members.begin(), library.members.end(), [](const auto& a, const auto& b) { return a.node < b.node; });
      out_.mesh.libraries.push_back(std::move(library));
      LibraryTitle title{id->second, it.name, it.title};
      if (!it.ceiling.empty()) title.ceiling = label(it.ceiling);
      out_.directory.libraries.push_back(std::move(title));
    }
    std::sort(out_.mesh.libraries.begin(), out_.mesh.libraries.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
    std::sort(out_.directory.libraries.begin(), out_.directory.libraries.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
    return {};
  }

  void people() {
    Directory& to = out_.directory;
    to.labels = source_.labels;
    std::sort(to.labels.begin(), to.labels.end(), [](const auto& a, const auto& b) { return a.number < b.number; });
    for (const SourceClass& it : source_.classes) to.classes.push_back({it.id, it.title});
    to.orgs = source_.orgs;
    to.posts = source_.posts;
    for (const SourcePerson& it : source_.people) {
      const auto key = names_.people.find(it.name);
      if (key == names_.people.end()) {
        out_.absent.push_back(it.name);
        continue;
      }
      to.people.push_back({key->second.id, it.name, it.shown, key->second.key, it.tenures});
    }
    std::sort(to.people.begin(), to.people.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  }

  std::uint32_t label(const std::string& name) const {
    for (const LabelName& it : source_.labels)
      if (it.name == name) return it.number;
    return 0;
  }

  /// A rule whose every person or node is absent must go: left without that condition it would be about everybody.
  void rules(const std::vector<SourceRule>& from, std::vector<Rule>& to) {
    for (const SourceRule& it : from) {
      Rule rule;
      rule.id = it.id;
      for (const std::string& name : it.people)
        if (const auto key = names_.people.find(name); key != names_.people.end()) rule.people.push_back(key->second.id);
      for (const std::string& name : it.nodes)
        if (const auto* keys = node(name)) rule.nodes.push_back(keys->id);
      if (rule.people.empty() != it.people.empty() || rule.nodes.empty() != it.nodes.empty()) continue;
      rule.roles = it.roles;
      rule.posts = it.posts;
      rule.orgs = it.orgs;
      rule.classes = it.classes;
      rule.acted_as = it.acted_as;
      rule.actions = it.actions;
      for (const std::string& name : it.libraries) rule.libraries.push_back(names_.libraries.at(name));
      for (const std::string& name : it.labels) rule.labels.push_back(label(name));
      rule.from_s = it.from_s;
      rule.until_s = it.until_s;
      to.push_back(std::move(rule));
    }
  }

  void tests() {
    for (const SourceTest& it : source_.tests) {
      PolicyTest test{it.id, {}, it.role, it.org, {}, it.action, names_.libraries.at(it.library), label(it.label), it.time_s, it.allowed, it.acted_as};
      const auto* at = node(it.node);
      const auto key = names_.people.find(it.person);
      if (at == nullptr || (!it.person.empty() && key == names_.people.end())) continue;
      test.node = at->id;
      if (!it.person.empty()) test.person = key->second.id;
      out_.directory.tests.push_back(std::move(test));
    }
  }

  /// One whose every node is absent must go: left without them it would be about all.
  template <class From, class To, class Fill>
  void windows(const std::vector<From>& from, std::vector<To>& to, Fill&& fill) {
    for (const From& it : from) {
      To out;
      for (const std::string& name : it.nodes)
        if (const auto* keys = node(name)) out.nodes.push_back(keys->id);
      if (out.nodes.empty() != it.nodes.empty()) continue;
      for (const std::string& name : it.libraries) out.libraries.push_back(names_.libraries.at(name));
      out.except_roles = it.except_roles;
      fill(it, out);
      to.push_back(std::move(out));
    }
  }

  /// Who was cut need not be admitted any more: then the subject is named by its id.
  Result<void> admits() {
    for (const SourceAdmit& it : source_.admits) {
      Admit admit{{it.cut}, {}, it.up_to};
      const auto known_node = names_.nodes.find(it.subject);
      const auto known_person = names_.people.find(it.subject);
      if (known_node != names_.nodes.end()) {
        admit.subject = known_node->second.id;
      } else if (known_person != names_.people.end()) {
        admit.subject = known_person->second.id;
      } else if (const auto gone = names_.gone.find(it.subject); gone != names_.gone.end()) {
        admit.subject = gone->second;
      } else {
        return fail(Fault::not_found, source_.file + ":" + std::to_string(it.line) + ": nobody was ever admitted under the name \"" + it.subject + "\"");
      }
      out_.admits[names_.libraries.at(it.library)].push_back(std::move(admit));
    }
    return {};
  }

  void delegations() {
    for (const SourceDelegation& it : source_.delegations) {
      Delegation delegation{it.org, {it.keys, it.threshold}, it.roles, {}};
      for (const std::string& name : it.nodes)
        if (const auto* keys = node(name)) delegation.nodes.push_back(keys->id);
      std::sort(delegation.keys.keys.begin(), delegation.keys.keys.end());
      std::sort(delegation.roles.begin(), delegation.roles.end());
      std::sort(delegation.nodes.begin(), delegation.nodes.end());
      out_.mesh.delegations.push_back(std::move(delegation));
    }
    std::sort(out_.mesh.delegations.begin(), out_.mesh.delegations.end(), [](const auto& a, const auto& b) { return a.org < b.org; });
  }

  /// Who is not admitted needs no stopping.
  void stops() {
    const auto sorted = [](auto list) {
      std::sort(list.begin(), list.end());
      return list;
    };
    for (const SourceStop& it : source_.stops) {
      MeshStop stop{{}, it.from_s, it.until_s, it.reason};
      for (const std::string& name : it.nodes)
        if (const auto* keys = node(name)) stop.whom.nodes.push_back(keys->id);
      for (const std::string& name : it.people)
        if (const auto key = names_.people.find(name); key != names_.people.end()) stop.whom.people.push_back(key->second.id);
      for (const std::string& name : it.libraries) stop.whom.libraries.push_back(names_.libraries.at(name));
      stop.whom = {sorted(stop.whom.nodes), sorted(stop.whom.people), sorted(it.orgs), sorted(it.roles), sorted(stop.whom.libraries), it.realm_wide};
      if (!stop.whom.is_empty()) out_.mesh.stops.push_back(std::move(stop));
    }
    for (const SourceLift& it : source_.lifts) out_.mesh.lifts.push_back({it.officer, it.up_to});
    std::sort(out_.mesh.lifts.begin(), out_.mesh.lifts.end(), [](const Lift& a, const Lift& b) { return a.officer < b.officer; });
  }

  const Source& source_;
  const Names& names_;
  Compiled out_;
};

}  // namespace

Names stand_in_names(const Source& source) {
  Names out;
  for (const SourceNode& it : source.nodes)
    out.nodes[it.name] = {made_of<NodeId>("node", it.name), made_of<crypto::VerifyKey>("sign", it.name), made_of<crypto::SealPublicKey>("seal", it.name),
                          made_of<crypto::TransportPublicKey>("transport", it.name)};
  for (const SourcePerson& it : source.people) out.people[it.name] = {made_of<PersonId>("person", it.name), made_of<crypto::VerifyKey>("key", it.name)};
  for (const SourceLibrary& it : source.libraries) out.libraries[it.name] = made_of<LibraryId>("library", it.name);
  for (const SourceAdmit& it : source.admits)
    if (!out.nodes.contains(it.subject) && !out.people.contains(it.subject)) out.gone[it.subject] = made_of<PersonId>("gone", it.subject);
  return out;
}

Result<Compiled> compile(const Source& source, const Names& names) { return Compiler(source, names).run(); }

}  // namespace dozo::policy
