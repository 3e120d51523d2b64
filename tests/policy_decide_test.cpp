// Decisions: the rules of evaluation one by one, and laws that hold of all of them, over random policies. tests/reference/evaluate.py is a second evaluator.
#include <set>

#include "policy/compare.h"
#include "tests/policy_fixture.h"
#include "tests/policy_world.h"

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

TEST_CASE_FIXTURE(DecideFixture, "decide: a rule about a unit is about those below it, one about a class about that unit alone") {
  directory.classes = {{"bureau", "局"}, {"base", "基地"}};
  directory.orgs = {{"kinki", "近畿", "", "bureau"}, {"roads", "道路課", "kinki", "base"}, {"rivers", "河川課"}};
  permit().orgs = {"kinki"};
  CHECK(allowed());
  permit().orgs = {"rivers"};
  CHECK_FALSE(allowed());
  permit().orgs.clear();
  permit().classes = {"base"};
  CHECK(allowed());
  permit().classes = {"bureau"};
  CHECK_FALSE(allowed());
  permit().classes = {"base"};
  permit().orgs = {"kinki"};
  CHECK(allowed());
  permit().posts = {"chief"};
  CHECK_FALSE(allowed());
  // Acting for a unit is for that one, not for one above it.
  permit() = {"editors", {}, {"editor"}, {}, {}, {}, {Action::read, Action::write}, {}, {}, 0, 0};
  CHECK(allowed([](Request& it) { it.org = "roads"; }));
  CHECK_FALSE(allowed([](Request& it) { it.org = "kinki"; }));
}

TEST_CASE_FIXTURE(DecideFixture, "decide: a directory whose units are above each other in a circle, or that has dates the wrong way round, is not read") {
  directory.header = {hq.realm, 1, 1, 2};
  REQUIRE(parse_directory(format(directory)));
  const auto refused = [&](const std::function<void(Directory&)>& change, const std::string& why) {
    Directory it = directory;
    change(it);
    const auto read = parse_directory(format(it));
    REQUIRE(!read);
    CHECK(read.error().fault == Fault::malformed);
    CHECK_MESSAGE(read.error().text.find(why) != std::string::npos, read.error().text);
  };
  refused([](Directory& it) { it.orgs.front().parent = it.orgs.front().id; }, "in a circle");
  refused([](Directory& it) { it.orgs.push_back({"a", "a", "b"}), it.orgs.push_back({"b", "b", "a"}); }, "in a circle");
  refused([](Directory& it) { it.orgs.front().parent = "nowhere"; }, "not there");
  refused([](Directory& it) { it.people.front().tenures = {{"clerk", 200, 100}}; }, "before it begins");
}

TEST_CASE_FIXTURE(DecideFixture, "decide: nothing above a library's ceiling is written there, whatever permits it") {
  directory.labels = {{1, "care"}, {2, "strict"}};
  const auto write = [&](std::optional<std::uint32_t> label, Action action = Action::write) {
    return allowed([&](Request& it) { it.label = label, it.action = action; });
  };
  for (LibraryTitle& it : directory.libraries) it.ceiling = 1;
  CHECK(write(0));
  CHECK(write(1));
  CHECK_FALSE(write(2));
  CHECK_FALSE(write(3));             // no label of the realm
  CHECK_FALSE(write(std::nullopt));  // not known
  CHECK(write(2, Action::read));     // what is there is read
  for (LibraryTitle& it : directory.libraries) it.ceiling = 0;
  CHECK(write(0));
  CHECK_FALSE(write(1));
  for (LibraryTitle& it : directory.libraries) it.ceiling.reset();
  CHECK(write(2));
}

TEST_CASE_FIXTURE(DecideFixture, "decide: a rule about two persons is about persons, not roles, and denies where it is not known") {
  directory.posts[0].roles = {"editor", "requester", "approver"};
  permit() = {"approving", {}, {"approver"}, {}, {}, {}, {Action::carry_out}, {}, {}, 0, 0};
  directory.forbids.push_back({"four-eyes", {}, {}, {}, {}, {}, {Action::carry_out}, {}, {}, 0, 0, {}, {"requester"}});
  const auto approve = [&](std::optional<std::vector<std::string>> acted) {
    return allowed([&](Request& it) { it.role = "approver", it.action = Action::carry_out, it.acted_as = acted; });
  };
  CHECK(approve(std::vector<std::string>{}));
  CHECK(approve(std::vector<std::string>{"editor"}));
  CHECK_FALSE(approve(std::vector<std::string>{"editor", "requester"}));  // the same person, in another capacity
  CHECK_FALSE(approve(std::nullopt));
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

// ---- over random policies ---------------------------------------------------------------------------------------------

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

TEST_CASE("decide: the order of everything means nothing") {
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
    for (int i = 0; i < 200; ++i) {
      const Request request = world.ask();
      const Decision decision = policy.decide(request);
      INFO("seed ", seed, ", request ", i, ": ", policy.explain(request));
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

TEST_CASE("decide: who is taken out may nothing any more, and nobody else loses or gains by it") {
  for (std::uint64_t seed = 2001; seed <= 2200; ++seed) {
    World world(seed);
    const Policy policy({1}, world.mesh, world.directory);
    Directory fewer = world.directory;
    const PersonId gone = world.chance.one(world.people);
    std::erase_if(fewer.people, [&](const Person& it) { return it.id == gone; });
    const Policy without({1}, world.mesh, fewer);
    for (int i = 0; i < 100; ++i) {
      const Request request = world.ask();
      if (request.action == Action::replicate) continue;  // of nodes
      const bool then = without.decide(request).allowed;
      REQUIRE(then == (request.person != gone && policy.decide(request).allowed));
    }
  }
}

TEST_CASE("decide: what many libraries are gained or lost at once is one line, and people are told apart where a rule names them") {
  Headquarters hq;
  std::string toml = country;
  for (int i = 0; i < 30; ++i)
    toml += "[[library]]\nname = \"more-" + std::to_string(i) + "\"\ntitle = \"m\"\nhome = \"head\"\nmembers.head = { holding = \"full\", write = true }\n";
  toml += "[[person]]\nname = \"mori\"\nshown = \"森\"\nposts = [{ post = \"clerk\" }]\n";
  const std::string wide = "[[permit]]\nid = \"wide\"\nroles = [\"editor\"]\nactions = [\"read\"]\n";
  const std::string but = "[[forbid]]\nid = \"but\"\npeople = [\"mori\"]\nactions = [\"read\"]\nlibraries = [\"more-3\"]\n";
  const auto policy = [&](const std::string& source) {
    Compiled it = hq.compile(source);
    return Policy({1}, it.mesh, it.directory);
  };
  const auto lines = compare_rights(policy(toml), policy(toml + wide + but), begin_s * 1000);
  const auto has = [&](const std::string& line) { return std::ranges::find(lines, line) != lines.end(); };
  CHECK(lines.size() == 2);
  CHECK(has("gained: sato as editor in roads: read 31 libraries, from more-0 to plans"));
  CHECK(has("gained: mori as editor in roads: read 30 libraries, from more-0 to plans"));
}
