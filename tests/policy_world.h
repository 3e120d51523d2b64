// Random policies over few things, so that rules and requests meet. Repeatable by their seed.
#pragma once
#include <random>
#include <string>
#include <vector>

#include "policy/policy.h"

namespace dozo::policy_fixture {

using namespace dozo::policy;

/// What is drawn.
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
  const std::vector<std::string> roles{"editor", "reader", "service"}, posts{"p1", "p2", "p3"}, orgs{"o1", "o2", "o3"}, classes{"k1", "k2"};
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
    for (const LibraryId& it : libraries) {
      LibraryTitle& title = directory.libraries.emplace_back(LibraryTitle{it, "l" + std::to_string(it.bytes[0]), "l"});
      if (chance.one_in(3)) title.ceiling = chance.one(labels);
    }
    for (const std::string& it : classes) directory.classes.push_back({it, it});
    for (std::size_t i = 0; i < orgs.size(); ++i) {
      Org& org = directory.orgs.emplace_back(Org{orgs[i], orgs[i]});
      if (i > 0 && chance.one_in(2)) org.parent = orgs[chance.below(i)];
      if (!chance.one_in(3)) org.kind = chance.one(classes);
    }
    for (const std::string& it : posts) directory.posts.push_back({it, it, chance.one(orgs), chance.some(roles, 1)});
    for (const PersonId& it : people) {
      Person& person = directory.people.emplace_back();
      person.id = it;
      person.name = "n" + std::to_string(it.bytes[0]);
      const std::size_t held = chance.below(3);
      for (std::size_t i = 0; i < held; ++i) person.tenures.push_back({chance.one(posts), time_s(), time_s()});
    }
    const std::size_t permits = 1 + chance.below(5), forbids = chance.below(4);
    for (std::size_t i = 0; i < permits; ++i) directory.permits.push_back(rule("p" + std::to_string(i), 4));
    for (std::size_t i = 0; i < forbids; ++i) directory.forbids.push_back(rule("f" + std::to_string(i), 4));
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
    out.classes = chance.some(classes, rare + 2);
    out.acted_as = chance.some(roles, rare + 3);
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
    if (!chance.one_in(3)) out.acted_as = chance.some(roles);
    out.time_ms = chance.one(std::vector<std::int64_t>{0, 1, 99'999, 100'000, 150'000, 199'999, 200'000, 250'500, 300'000, 10'000'000});
    return out;
  }
};

}  // namespace dozo::policy_fixture
