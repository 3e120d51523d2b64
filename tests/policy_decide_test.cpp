// Decisions: the rules of evaluation one by one, and a second evaluator, written from the contract in another style, over random policies.
#include <map>
#include <random>
#include <set>

#include "policy/compare.h"
#include "tests/policy_fixture.h"

using namespace dozo;
using namespace dozo::policy_fixture;

namespace {

constexpr std::int64_t now_ms = begin_s * 1000;

struct DecideFixture : Seeded {
  Headquarters hq;
  Mesh mesh;
  Directory directory;
  Request request;
  DecideFixture() {
    Compiled compiled = hq.compile(country);
    mesh = compiled.mesh;
    directory = compiled.directory;
    request = {hq.person("sato"), "editor", "", hq.id("sapporo"), Action::write, hq.library("works"), 0, now_ms};
  }
  Policy policy() const { return Policy({7}, mesh, directory); }
  Decision decide(const std::function<void(Request&)>& change = [](Request&) {}) const {
    Request it = request;
    change(it);
    return policy().decide(it);
  }
  bool allowed(const std::function<void(Request&)>& change = [](Request&) {}) const { return decide(change).allowed; }
  /// The one permit of the source, to be bent.
  Rule& permit() { return directory.permits.at(0); }
  Rule& forbid(const std::string& id = "never") {
    directory.forbids.push_back({id, {}, {}, {}, {}, {}, {Action::write}, {}, {}, 0, 0});
    return directory.forbids.back();
  }
};

}  // namespace

TEST_CASE_FIXTURE(DecideFixture, "decide: what a rule permits is allowed, and the decision names rule and version") {
  const Decision it = decide();
  CHECK(it.allowed);
  CHECK(it.permits == std::vector<std::string>{"editors"});
  CHECK(it.version.value == 7);
}

TEST_CASE_FIXTURE(DecideFixture, "decide: everything else is denied") {
  CHECK_FALSE(allowed([&](Request& it) { it.action = Action::administer; }));
  CHECK_FALSE(allowed([&](Request& it) { it.action = Action::discover; }));  // it does not follow from reading
  CHECK_FALSE(allowed([&](Request& it) { it.action = Action::carry_out; }));
  CHECK_FALSE(allowed([&](Request& it) { it.library = hq.library("plans"), it.node = hq.id("head"); }));
  CHECK_FALSE(allowed([&](Request& it) { it.library = crypto::random_id<LibraryId>(); }));
  CHECK_FALSE(allowed([&](Request& it) { it.node = crypto::random_id<NodeId>(); }));
  CHECK_FALSE(allowed([&](Request& it) { it.person = crypto::random_id<PersonId>(); }));
  CHECK_FALSE(allowed([&](Request& it) { it.role = "chief"; }));  // a capacity that the person does not hold
  CHECK_FALSE(allowed([&](Request& it) { it.role = ""; }));
  CHECK_FALSE(allowed([&](Request& it) { it.org = "rivers"; }));
  CHECK(allowed([&](Request& it) { it.org = "roads"; }));
  directory.permits.clear();
  CHECK_FALSE(allowed());
  CHECK_FALSE(Policy({7}, mesh, std::nullopt).decide(request).allowed);
}

TEST_CASE_FIXTURE(DecideFixture, "decide: the mesh comes first: no rule gives a node what it may not do") {
  permit().libraries.clear();
  CHECK(allowed([&](Request& it) { it.node = hq.id("head"); }));
  CHECK_FALSE(allowed([&](Request& it) { it.node = hq.id("osaka"); }));  // no member
  CHECK_FALSE(allowed([&](Request& it) { it.node = hq.id("naha"); }));   // blind
  CHECK_FALSE(allowed([&](Request& it) { it.node = hq.id("lonely"); }));
  for (MeshLibrary& library : mesh.libraries)
    for (Member& member : library.members)
      if (member.node == hq.id("head")) member.may_write = false;
  CHECK_FALSE(allowed([&](Request& it) { it.node = hq.id("head"); }));
  CHECK(allowed([&](Request& it) { it.node = hq.id("head"), it.action = Action::read; }));
}

TEST_CASE_FIXTURE(DecideFixture, "decide: replication is of members, whatever the rules say") {
  const auto replicates = [&](const std::string& node) {
    return allowed([&](Request& it) { it = {{}, "service", "", hq.id(node), Action::replicate, hq.library("works"), 0, now_ms}; });
  };
  forbid().actions = {Action::replicate};
  CHECK(replicates("naha"));
  CHECK(replicates("sapporo"));
  CHECK_FALSE(replicates("osaka"));
  CHECK_FALSE(Policy({1}, mesh, std::nullopt).decide({{}, "service", "", hq.id("osaka"), Action::replicate, hq.library("works"), 0, now_ms}).allowed);
}

TEST_CASE_FIXTURE(DecideFixture, "decide: a forbid beats every permit, and all that matched are named") {
  forbid("b");
  forbid("a");
  forbid("not-here").libraries = {hq.library("plans")};
  const Decision it = decide();
  CHECK_FALSE(it.allowed);
  CHECK(it.forbids == std::vector<std::string>{"a", "b"});
  CHECK(it.permits == std::vector<std::string>{"editors"});
  CHECK(allowed([](Request& one) { one.action = Action::read; }));
}

TEST_CASE_FIXTURE(DecideFixture, "decide: an error in a forbid denies, in a permit permits nothing, and elsewhere means nothing") {
  forbid().labels = {5};
  directory.labels = {{5, "secret"}};
  CHECK(allowed());
  CHECK_FALSE(allowed([](Request& it) { it.label = 5; }));
  const Decision unknown = decide([](Request& it) { it.label.reset(); });
  CHECK_FALSE(unknown.allowed);
  CHECK(unknown.errors == std::vector<std::string>{"never"});
  CHECK_FALSE(allowed([](Request& it) { it.label = 6; }));  // a label that this policy does not declare
  // Another condition that does not fit: no error.
  directory.forbids[0].libraries = {hq.library("plans")};
  CHECK(allowed([](Request& it) { it.label.reset(); }));
  directory.forbids.clear();
  permit().labels = {0};
  CHECK(allowed());
  CHECK_FALSE(allowed([](Request& it) { it.label.reset(); }));
  CHECK_FALSE(allowed([](Request& it) { it.label = 5; }));
  directory.permits.push_back(permit());
  directory.permits.back().labels.clear();
  directory.permits.back().id = "whatever";
  CHECK(allowed([](Request& it) { it.label.reset(); }));
  // A rule with a time, and a request without one.
  forbid().until_s = begin_s;
  CHECK(allowed());
  CHECK_FALSE(allowed([](Request& it) { it.time_ms = 0; }));
}

TEST_CASE_FIXTURE(DecideFixture, "decide: rules and posts count from their first to before their last second") {
  permit().from_s = begin_s;
  permit().until_s = begin_s + 100;
  const auto at = [&](std::int64_t ms) { return allowed([&](Request& it) { it.time_ms = ms; }); };
  CHECK_FALSE(at(now_ms - 1));
  CHECK(at(now_ms));
  CHECK(at(now_ms + 99'999));
  CHECK_FALSE(at(now_ms + 100'000));
  permit().from_s = permit().until_s = 0;
  directory.people[0].tenures = {{"clerk", begin_s, begin_s + 100}};
  CHECK_FALSE(at(now_ms - 1));
  CHECK(at(now_ms));
  CHECK(at(now_ms + 99'999));
  CHECK_FALSE(at(now_ms + 100'000));
  directory.people[0].tenures.push_back({"clerk", begin_s + 200, 0});  // back again
  CHECK_FALSE(at(now_ms + 199'999));
  CHECK(at(now_ms + 200'000));
  CHECK(at(now_ms * 2));
}

TEST_CASE_FIXTURE(DecideFixture, "decide: post and unit of a rule are of one and the same capacity") {
  directory.orgs.push_back({"rivers", "河川課"});
  directory.posts.push_back({"chief", "課長", "rivers", {"editor"}});
  directory.people[0].tenures.push_back({"chief", 0, 0});
  permit().posts = {"clerk"};
  permit().orgs = {"rivers"};
  CHECK_FALSE(allowed());  // clerk of roads and chief of rivers, but not clerk of rivers
  permit().orgs = {"roads"};
  CHECK(allowed());
  CHECK(allowed([](Request& it) { it.org = "roads"; }));
  CHECK_FALSE(allowed([](Request& it) { it.org = "rivers"; }));  // acting for the other unit
}

TEST_CASE_FIXTURE(DecideFixture, "decide: a node acts as service, and service is no person's") {
  const auto service = [&](const std::string& node, const std::string& role = "service") {
    return allowed([&](Request& it) { it.person = {}, it.role = role, it.node = hq.id(node); });
  };
  CHECK_FALSE(service("sapporo"));  // default deny here too
  directory.permits.push_back({"machines", {}, {"service"}, {}, {}, {hq.id("sapporo")}, {Action::write}, {}, {}, 0, 0});
  CHECK(service("sapporo"));
  CHECK_FALSE(service("head"));
  CHECK_FALSE(service("sapporo", "editor"));
  CHECK_FALSE(allowed([](Request& it) { it.role = "service"; }));
  // Not even by a post that would give it.
  directory.posts[0].roles.push_back("service");
  CHECK_FALSE(allowed([](Request& it) { it.role = "service"; }));
  CHECK(policy().capacities(hq.person("sato"), now_ms).size() == 1);
  // A permit about persons is none for machines.
  directory.permits.back() = permit();
  directory.permits.back().roles.clear();
  directory.permits.back().people = {hq.person("sato")};
  CHECK_FALSE(service("sapporo"));
}

TEST_CASE_FIXTURE(DecideFixture, "decide: a desk has its bureau's libraries, in part, and no feed") {
  const NodeId desk = hq.id("desk");
  CHECK(policy().rights(desk, hq.library("works")) == Rights{Holding::partial, false, 0});
  CHECK(policy().rights(desk, hq.library("plans")) == Rights{});
  CHECK(allowed([&](Request& it) { it.node = desk; }));  // by way of its bureau
  CHECK(allowed([&](Request& it) { it.node = desk, it.action = Action::read; }));
  CHECK_FALSE(allowed([&](Request& it) { it.node = desk, it.library = hq.library("plans"); }));
  permit().nodes = {hq.id("sapporo")};  // what is done at its desk is done at the bureau
  CHECK(allowed([&](Request& it) { it.node = desk; }));
  permit().nodes = {desk};
  CHECK(allowed([&](Request& it) { it.node = desk; }));
  CHECK_FALSE(allowed());
  // A bureau that lost the library: so did its desks.
  for (MeshLibrary& library : mesh.libraries) std::erase_if(library.members, [&](const Member& it) { return it.node == hq.id("sapporo"); });
  CHECK_FALSE(allowed([&](Request& it) { it.node = desk; }));
}

TEST_CASE_FIXTURE(DecideFixture, "decide: explain tells a near miss, and what a policy's own tests found") {
  CHECK(policy().explain(request).find("permit editors") != std::string::npos);
  Request it = request;
  it.action = Action::administer;
  CHECK(policy().explain(it).find("editors would fit, but for the action") != std::string::npos);
  directory.tests = {{"t", request.person, "editor", "", request.node, Action::write, request.library, 0, begin_s, false}};
  REQUIRE(policy().failing_tests().size() == 1);
  CHECK(policy().failing_tests()[0].id == "t");
  directory.tests[0].allowed = true;
  CHECK(policy().failing_tests().empty());
}

TEST_CASE_FIXTURE(DecideFixture, "decide: a policy's own test about a node that the mesh does not have is passed over") {
  directory.tests = {{"t", request.person, "editor", "", request.node, Action::write, request.library, 0, begin_s, false}};
  REQUIRE(policy().failing_tests().size() == 1);
  std::erase_if(mesh.nodes, [&](const MeshNode& it) { return it.keys.id == request.node; });
  CHECK(policy().failing_tests().empty());
}

TEST_CASE_FIXTURE(DecideFixture, "decide: rights gained and lost are listed between two policies") {
  const Policy before = policy();
  permit().actions = {Action::read, Action::administer};
  const auto lines = compare_rights(before, policy(), now_ms);
  CHECK(lines == std::vector<std::string>{"gained: sato as editor in roads: administer works", "lost: sato as editor in roads: write works"});
  CHECK(compare_rights(before, before, now_ms).empty());
}

// ---- the second evaluator --------------------------------------------------------------------------------------------
namespace {

/// Sets of facts instead of walks over rules: what each rule asks is a list of questions with three answers.
enum class Answer { no, unclear, yes };

struct Second {
  const Mesh& mesh;
  const Directory& directory;

  static Answer all_of(std::initializer_list<Answer> of) { return *std::min_element(of.begin(), of.end()); }
  static Answer is(bool it) { return it ? Answer::yes : Answer::no; }
  template <class T>
  static Answer listed(const std::vector<T>& list, const std::set<T>& any) {
    if (list.empty()) return Answer::yes;
    for (const T& it : any)
      if (std::count(list.begin(), list.end(), it) > 0) return Answer::yes;
    return Answer::no;
  }
  static Answer between(std::int64_t from_s, std::int64_t until_s, std::int64_t ms) {
    if (from_s == 0 && until_s == 0) return Answer::yes;
    if (ms <= 0) return Answer::unclear;
    return is((from_s == 0 || ms / 1000 >= from_s) && (until_s == 0 || ms / 1000 < until_s));
  }

  std::map<NodeId, Member> members(const LibraryId& library) const {
    std::map<NodeId, Member> out;
    for (const MeshLibrary& it : mesh.libraries)
      if (it.id == library)
        for (const Member& member : it.members) out[member.node] = member;
    return out;
  }
  const MeshNode* node(const NodeId& id) const {
    for (const MeshNode& it : mesh.nodes)
      if (it.keys.id == id) return &it;
    return nullptr;
  }

  bool allowed(const Request& asked) const {
    const MeshNode* at = node(asked.node);
    if (at == nullptr) return false;
    const auto held = members(asked.library);
    const auto own = held.find(at->served_by ? *at->served_by : asked.node);
    if (own == held.end()) return false;
    if (asked.action == Action::replicate) return !at->served_by || own->second.holding != Holding::blind;
    if (own->second.holding == Holding::blind) return false;
    if (asked.action == Action::write && !at->served_by && !own->second.may_write) return false;

    std::set<std::pair<std::string, std::string>> places;  // post and unit of the capacity acted in
    if (asked.person.is_zero()) {
      if (asked.role != "service") return false;
    } else {
      for (const Person& who : directory.people) {
        if (who.id != asked.person) continue;
        for (const Tenure& tenure : who.tenures)
          for (const Post& post : directory.posts) {
            const bool now = asked.time_ms >= tenure.from_s * 1000 && (tenure.until_s == 0 || asked.time_ms < tenure.until_s * 1000);
            if (post.id == tenure.post && now && asked.role != "service" && std::count(post.roles.begin(), post.roles.end(), asked.role) > 0)
              places.emplace(post.id, post.org);
          }
      }
      if (!asked.org.empty()) std::erase_if(places, [&](const auto& it) { return it.second != asked.org; });
      if (places.empty()) return false;
    }

    std::set<NodeId> where{asked.node};
    if (at->served_by) where.insert(*at->served_by);
    std::set<std::uint32_t> declared{0};
    for (const LabelName& it : directory.labels) declared.insert(it.number);
    const auto answer = [&](const Rule& rule) {
      Answer place = is(rule.posts.empty() && rule.orgs.empty());
      for (const auto& [post, org] : places) place = std::max(place, all_of({listed(rule.posts, {post}), listed(rule.orgs, {org})}));
      Answer label = Answer::yes;
      if (!rule.labels.empty()) label = asked.label && declared.contains(*asked.label) ? listed(rule.labels, {*asked.label}) : Answer::unclear;
      return all_of({is(std::count(rule.actions.begin(), rule.actions.end(), asked.action) > 0), listed(rule.people, {asked.person}),
                     listed(rule.roles, {asked.role}), listed(rule.libraries, {asked.library}), listed(rule.nodes, where), place, label,
                     between(rule.from_s, rule.until_s, asked.time_ms)});
    };
    const auto highest = [&](const std::vector<Rule>& rules) {
      Answer out = Answer::no;
      for (const Rule& it : rules) out = std::max(out, answer(it));
      return out;
    };
    return highest(directory.permits) == Answer::yes && highest(directory.forbids) == Answer::no;
  }
};

/// Random policies over few things, so that rules and requests meet.
struct Chance {
  std::mt19937_64 engine;
  std::size_t below(std::size_t bound) { return engine() % bound; }
  bool one_in(std::size_t of) { return below(of) == 0; }
  template <class T>
  const T& one(const std::vector<T>& of) {
    return of[below(of.size())];
  }
  template <class T>
  std::vector<T> some(const std::vector<T>& of, std::size_t empty_in = 2) {
    std::vector<T> out;
    if (!one_in(empty_in)) return out;
    while (out.empty())
      for (const T& it : of)
        if (one_in(2)) out.push_back(it);
    return out;
  }
};

template <class Id>
Id numbered(std::uint8_t number) {
  Id out;
  out.bytes[0] = number;
  return out;
}

struct World {
  Chance chance;
  std::vector<NodeId> nodes;
  std::vector<LibraryId> libraries;
  std::vector<PersonId> people;
  const std::vector<std::string> roles{"editor", "reader", "service"}, posts{"p1", "p2", "p3"}, orgs{"o1", "o2"};
  const std::vector<Action> actions{Action::discover, Action::read, Action::write, Action::replicate, Action::carry_out, Action::administer};
  const std::vector<std::uint32_t> labels{0, 1, 2, 9};
  Mesh mesh;
  Directory directory;

  explicit World(std::uint64_t seed) : chance{std::mt19937_64(seed)} {
    for (std::uint8_t i = 1; i <= 5; ++i) nodes.push_back(numbered<NodeId>(i));
    for (std::uint8_t i = 1; i <= 3; ++i) libraries.push_back(numbered<LibraryId>(i));
    for (std::uint8_t i = 1; i <= 3; ++i) people.push_back(numbered<PersonId>(i));
    for (const NodeId& it : nodes) {
      MeshNode& node = mesh.nodes.emplace_back();
      node.keys.id = it;
      node.keys.transport.bytes[0] = it.bytes[0];
      node.kind = NodeKind::bureau;
      if (it == nodes.back()) node.kind = NodeKind::desk, node.served_by = chance.one(nodes);  // perhaps by itself: nobody's
      if (node.served_by == it) node.served_by = nodes.front();
    }
    for (const LibraryId& it : libraries) {
      MeshLibrary& library = mesh.libraries.emplace_back();
      library.id = it;
      library.home = nodes[0];
      for (std::size_t i = 0; i + 1 < nodes.size(); ++i) {
        if (chance.one_in(4)) continue;
        const Holding holding = chance.one(std::vector{Holding::blind, Holding::partial, Holding::full});
        library.members.push_back({nodes[i], holding, holding != Holding::blind && chance.one_in(2), 0});
      }
    }
    directory.labels = {{1, "one"}, {2, "two"}};
    for (const std::string& it : posts) directory.posts.push_back({it, it, chance.one(orgs), chance.some(roles, 1)});
    for (const PersonId& it : people) {
      Person& person = directory.people.emplace_back();
      person.id = it;
      person.name = "n" + std::to_string(it.bytes[0]);
      const std::size_t held = chance.below(3);
      for (std::size_t i = 0; i < held; ++i) person.tenures.push_back({chance.one(posts), time_s(), time_s()});
    }
    const std::size_t permits = 1 + chance.below(5), forbids = chance.below(4);
    for (std::size_t i = 0; i < permits; ++i) directory.permits.push_back(rule("p" + std::to_string(i), 3));
    for (std::size_t i = 0; i < forbids; ++i) directory.forbids.push_back(rule("f" + std::to_string(i), 2));
  }
  std::int64_t time_s() { return chance.one(std::vector<std::int64_t>{0, 0, 0, 100, 200, 300}); }
  Rule rule(const std::string& id, std::size_t rare) {
    Rule out;
    out.id = id;
    out.people = chance.some(people, rare);
    out.roles = chance.some(roles, rare);
    out.posts = chance.some(posts, rare + 1);
    out.orgs = chance.some(orgs, rare + 1);
    out.nodes = chance.some(nodes, rare);
    out.actions = chance.some(actions, 1);
    out.libraries = chance.some(libraries, rare);
    out.labels = chance.some(labels, rare + 1);
    out.from_s = chance.one_in(3) ? time_s() : 0;
    out.until_s = chance.one_in(3) ? time_s() : 0;
    return out;
  }
  Request ask() {
    Request out;
    if (!chance.one_in(4)) out.person = chance.one_in(15) ? numbered<PersonId>(99) : chance.one(people);
    out.role = out.person.is_zero() && !chance.one_in(8) ? "service" : chance.one(roles);
    if (chance.one_in(3)) out.org = chance.one(orgs);
    out.node = chance.one_in(15) ? numbered<NodeId>(99) : chance.one(nodes);
    out.action = chance.one(actions);
    out.library = chance.one_in(15) ? numbered<LibraryId>(99) : chance.one(libraries);
    out.label = chance.one(labels);
    if (chance.one_in(6)) out.label.reset();
    out.time_ms = chance.one(std::vector<std::int64_t>{0, 1, 99'999, 100'000, 150'000, 199'999, 200'000, 250'500, 300'000, 10'000'000});
    return out;
  }
};

}  // namespace

TEST_CASE("decide: who-can names exactly those whom the decision allows, in each capacity, and by which permits") {
  std::size_t named = 0, nodes = 0;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    World world(seed);
    const Policy policy({1}, world.mesh, world.directory);
    for (int i = 0; i < 10; ++i) {
      const Request asked = world.ask();
      std::vector<Able> expected;
      if (const MeshLibrary* library = policy.library(asked.library)) {
        for (const Person& person : world.directory.people) {
          std::set<std::pair<std::string, std::string>> held;
          for (const Policy::Capacity& it : policy.capacities(person.id, asked.time_ms)) held.emplace(it.role, it.org);
          for (const auto& [role, org] : held) {
            const Decision it = policy.decide({person.id, role, org, library->home, asked.action, asked.library, 0, asked.time_ms});
            if (it.allowed) expected.push_back({person.name, person.shown, role, org, it.permits});
          }
        }
        for (const MeshNode& node : world.mesh.nodes) {
          const Decision it = policy.decide({{}, "service", "", node.keys.id, asked.action, asked.library, 0, asked.time_ms});
          if (it.allowed) expected.push_back({node.name, node.name, "service", "", it.permits}), ++nodes;
        }
      }
      const std::vector<Able> found = who_can(policy, asked.action, asked.library, asked.time_ms);
      REQUIRE(found.size() == expected.size());
      for (const Able& it : expected) REQUIRE(std::ranges::find(found, it) != found.end());
      named += found.size();
    }
    // Without the directory nodes alone can be told of.
    const Policy blind({1}, world.mesh, std::nullopt);
    for (const MeshLibrary& library : world.mesh.libraries)
      for (const Able& it : who_can(blind, Action::replicate, library.id, 1)) REQUIRE(it.role == service_role);
  }
  CHECK(named - nodes > 100);
  CHECK(nodes > 100);
}

TEST_CASE("decide: a second evaluator agrees, and the order of everything means nothing") {
  std::size_t allowed = 0, denied_by_forbid = 0, errors = 0;
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    World world(seed);
    const Policy policy({1}, world.mesh, world.directory);
    Directory shuffled = world.directory;
    for (auto* list : {&shuffled.permits, &shuffled.forbids}) {
      std::shuffle(list->begin(), list->end(), world.chance.engine);
      for (Rule& it : *list) std::reverse(it.actions.begin(), it.actions.end()), std::reverse(it.roles.begin(), it.roles.end());
    }
    const Policy other({1}, world.mesh, shuffled);
    const Second second{world.mesh, world.directory};
    for (int i = 0; i < 200; ++i) {
      const Request request = world.ask();
      const Decision decision = policy.decide(request);
      INFO("seed ", seed, ", request ", i, ": ", policy.explain(request));
      REQUIRE(decision.allowed == second.allowed(request));
      const Decision again = other.decide(request);
      REQUIRE(again.allowed == decision.allowed);
      REQUIRE(again.permits == decision.permits);
      REQUIRE(again.forbids == decision.forbids);
      REQUIRE(again.errors == decision.errors);
      REQUIRE(again.reason == decision.reason);
      allowed += decision.allowed ? 1 : 0;
      denied_by_forbid += !decision.allowed && !decision.permits.empty() && !decision.forbids.empty() ? 1 : 0;
      errors += decision.errors.empty() ? 0 : 1;
    }
  }
  // The policies are not so random that nothing ever happens.
  CHECK(allowed > 1000);
  CHECK(denied_by_forbid > 100);
  CHECK(errors > 100);
}

TEST_CASE("decide: one more permit takes nothing away, and one more forbid gives nothing") {
  for (std::uint64_t seed = 1001; seed <= 1200; ++seed) {
    World world(seed);
    const Policy policy({1}, world.mesh, world.directory);
    Directory more = world.directory, fewer = world.directory;
    more.permits.push_back(world.rule("more", 3));
    fewer.forbids.push_back(world.rule("fewer", 3));
    const Policy wider({1}, world.mesh, more), narrower({1}, world.mesh, fewer);
    for (int i = 0; i < 100; ++i) {
      const Request request = world.ask();
      const bool now = policy.decide(request).allowed;
      REQUIRE((!now || wider.decide(request).allowed));
      REQUIRE((now || !narrower.decide(request).allowed));
    }
  }
}
