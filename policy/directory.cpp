// Reading and writing of the directory, sealed and open.
#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "policy/documents_json.h"

namespace dozo::policy {
namespace {

constexpr std::array<std::string_view, 6> action_names{"discover", "read", "write", "replicate", "carry-out", "administer"};
constexpr std::size_t rule_list_most = 10'000, org_depth_most = 64;
constexpr std::int64_t time_most_s = static_cast<std::int64_t>(json_integer_most / 1000);

std::int64_t read_time(ObjectReader& from, std::string_view key) {
  return static_cast<std::int64_t>(from.number(key, 0, static_cast<std::uint64_t>(time_most_s)));
}

template <class Id>
std::vector<Id> read_ids(ObjectReader& from, std::string_view key) {
  std::vector<Id> out;
  from.each_text(key, rule_list_most, [&](const std::string& hex) {
    const auto id = Id::parse(hex);
    if (!id) return from.wrong(key, "not an id");
    out.push_back(*id);
  });
  return out;
}
std::vector<std::string> read_names(ObjectReader& from, std::string_view key) {
  std::vector<std::string> out;
  from.each_text(key, rule_list_most, [&](const std::string& name) {
    if (!is_name(name)) return from.wrong(key, "not a name");
    out.push_back(name);
  });
  return out;
}
Json texts(const std::vector<std::string>& of) {
  return list_of(of, [](const std::string& it) { return Json(it); });
}
template <class Id>
Json ids(const std::vector<Id>& of) {
  return list_of(of, [](const Id& id) { return hex_of(id); });
}

/// Conditions that are empty are not written, so a rule shows what it asks for.
Rule read_rule(ObjectReader& from) {
  Rule out;
  out.id = from.name("id");
  if (from.has("people")) out.people = read_ids<PersonId>(from, "people");
  if (from.has("roles")) out.roles = read_names(from, "roles");
  if (from.has("posts")) out.posts = read_names(from, "posts");
  if (from.has("orgs")) out.orgs = read_names(from, "orgs");
  if (from.has("nodes")) out.nodes = read_ids<NodeId>(from, "nodes");
  from.each_text("actions", action_names.size(), [&](const std::string& name) {
    const auto action = action_named(name);
    if (!action) return from.wrong("actions", "unknown word");
    out.actions.push_back(*action);
  });
  if (out.actions.empty()) from.wrong("actions", "empty");
  if (from.has("libraries")) out.libraries = read_ids<LibraryId>(from, "libraries");
  if (from.has("labels"))
    from.each_number("labels", 1000, [&](std::uint64_t number) {
      if (number > UINT32_MAX) return from.wrong("labels", "out of range");
      out.labels.push_back(static_cast<std::uint32_t>(number));
    });
  if (from.has("from")) out.from_s = read_time(from, "from");
  if (from.has("until")) out.until_s = read_time(from, "until");
  if (from.has("classes")) out.classes = read_names(from, "classes");
  if (from.has("acted_as")) out.acted_as = read_names(from, "acted_as");
  // An empty list, were it allowed, would read as "nobody" and mean "everybody".
  const auto not_empty = [&](std::string_view key, const auto& list) {
    if (from.has(key) && list.empty()) from.wrong(key, "empty: leave it out to mean any");
  };
  not_empty("people", out.people);
  not_empty("roles", out.roles);
  not_empty("posts", out.posts);
  not_empty("orgs", out.orgs);
  not_empty("nodes", out.nodes);
  not_empty("libraries", out.libraries);
  not_empty("labels", out.labels);
  not_empty("classes", out.classes);
  not_empty("acted_as", out.acted_as);
  return out;
}

Json write_rule(const Rule& it) {
  Json::Object out{{"id", it.id}};
  if (!it.people.empty()) out.emplace_back("people", ids(it.people));
  if (!it.roles.empty()) out.emplace_back("roles", texts(it.roles));
  if (!it.posts.empty()) out.emplace_back("posts", texts(it.posts));
  if (!it.orgs.empty()) out.emplace_back("orgs", texts(it.orgs));
  if (!it.nodes.empty()) out.emplace_back("nodes", ids(it.nodes));
  out.emplace_back("actions", list_of(it.actions, [](Action action) { return Json(name_of(action)); }));
  if (!it.libraries.empty()) out.emplace_back("libraries", ids(it.libraries));
  if (!it.labels.empty()) out.emplace_back("labels", list_of(it.labels, [](std::uint32_t number) { return Json(number); }));
  if (it.from_s != 0) out.emplace_back("from", it.from_s);
  if (it.until_s != 0) out.emplace_back("until", it.until_s);
  if (!it.classes.empty()) out.emplace_back("classes", texts(it.classes));
  if (!it.acted_as.empty()) out.emplace_back("acted_as", texts(it.acted_as));
  return out;
}

PolicyTest read_test(ObjectReader& from) {
  PolicyTest out;
  out.id = from.name("id");
  out.person = from.id<PersonId>("person");
  out.role = from.name("role");
  out.org = from.name("org", true);
  out.node = from.id<NodeId>("node");
  out.action = from.one_of("action", [](const std::string& name) { return action_named(name); });
  out.library = from.id<LibraryId>("library");
  if (from.has("label")) out.label = static_cast<std::uint32_t>(from.number("label", 0, UINT32_MAX));
  out.time_s = read_time(from, "time");
  out.allowed = from.flag("allowed");
  if (from.has("acted_as")) out.acted_as = read_names(from, "acted_as");
  return out;
}
Json write_test(const PolicyTest& it) {
  Json::Object out{{"id", it.id},
                   {"person", hex_of(it.person)},
                   {"role", it.role},
                   {"org", it.org},
                   {"node", hex_of(it.node)},
                   {"action", name_of(it.action)},
                   {"library", hex_of(it.library)}};
  if (it.label) out.emplace_back("label", *it.label);
  out.emplace_back("time", it.time_s);
  out.emplace_back("allowed", it.allowed);
  if (it.acted_as) out.emplace_back("acted_as", texts(*it.acted_as));
  return out;
}

}  // namespace

Post read_post(ObjectReader& from) { return {from.name("id"), from.text("title", 1, 256), from.name("org"), read_names(from, "roles")}; }
Json write_post(const Post& it) { return Json::Object{{"id", it.id}, {"title", it.title}, {"org", it.org}, {"roles", texts(it.roles)}}; }

Person read_person(ObjectReader& from) {
  Person out;
  out.id = from.id<PersonId>("id");
  if (out.id.is_zero()) from.wrong("id", "stands for no person");
  out.name = from.name("name");
  out.shown = from.text("shown", 1, 256);
  out.key = from.id<crypto::VerifyKey>("key");
  if (!from.failed() && !crypto::is_valid(out.key)) from.wrong("key", "not a public key");
  from.each_object("posts", 100, [&](ObjectReader& it) {
    Tenure& tenure = out.tenures.emplace_back();
    tenure.post = it.name("post");
    if (it.has("from")) tenure.from_s = read_time(it, "from");
    if (it.has("until")) tenure.until_s = read_time(it, "until");
    if (tenure.until_s != 0 && tenure.until_s <= tenure.from_s) it.wrong("until", "before it begins");
  });
  return out;
}
Json write_person(const Person& it) {
  return Json::Object{
      {"id", hex_of(it.id)}, {"name", it.name}, {"shown", it.shown}, {"key", hex_of(it.key)}, {"posts", list_of(it.tenures, [](const Tenure& tenure) {
                                                                                                 Json::Object out{{"post", tenure.post}};
                                                                                                 if (tenure.from_s != 0)
                                                                                                   out.emplace_back("from", tenure.from_s);
                                                                                                 if (tenure.until_s != 0)
                                                                                                   out.emplace_back("until", tenure.until_s);
                                                                                                 return out;
                                                                                               })}};
}

namespace {

/// Nobody is there without a post that goes on when the document is made: who has left is forgotten in it otherwise.
void want_posts(ObjectReader& from, const Header& header, const std::vector<Person>& people) {
  for (const Person& it : people)
    if (std::ranges::none_of(it.tenures, [&](const Tenure& held) { return held.until_s == 0 || held.until_s > header.issued_s; }))
      return from.wrong("people", "one without a post, or whose last post was over when this was made");
}

/// Units above units: they are there, and none is above itself. Empty: so it is.
std::string wrong_tree(const Directory& it) {
  std::map<std::string_view, const Org*> orgs;
  for (const Org& org : it.orgs) orgs[org.id] = &org;
  for (const Org& org : it.orgs) {
    std::size_t depth = 0;
    for (const Org* at = &org; !at->parent.empty(); ++depth) {
      const auto above = orgs.find(at->parent);
      if (above == orgs.end()) return "a unit above that is not there";
      if (depth == org_depth_most) return "units above each other in a circle, or too many";
      at = above->second;
    }
  }
  return {};
}

void check_together(ObjectReader& from, const Directory& it) {
  want_ascending(from, "libraries", it.libraries, [](const auto& one) { return one.id; });
  want_distinct(from, "libraries", it.libraries, [](const auto& one) { return one.name; });
  want_ascending(from, "labels", it.labels, [](const auto& one) { return one.number; });
  want_distinct(from, "labels", it.labels, [](const auto& one) { return one.name; });
  want_distinct(from, "orgs", it.orgs, [](const auto& one) { return one.id; });
  want_distinct(from, "classes", it.classes, [](const auto& one) { return one.id; });
  if (const std::string why = wrong_tree(it); !why.empty()) from.wrong("orgs", why);
  want_distinct(from, "posts", it.posts, [](const auto& one) { return one.id; });
  want_ascending(from, "people", it.people, [](const auto& one) { return one.id; });
  want_distinct(from, "people", it.people, [](const auto& one) { return one.name; });
  want_distinct(from, "people", it.people, [](const auto& one) { return one.key; });
  std::set<std::string> rules;
  for (const auto* list : {&it.permits, &it.forbids})
    for (const Rule& rule : *list)
      if (!rules.insert(rule.id).second) from.wrong("permits", "two rules with one id");
  want_distinct(from, "tests", it.tests, [](const auto& one) { return one.id; });
}

}  // namespace

std::string_view name_of(Action action) { return action_names[static_cast<std::size_t>(action)]; }
std::optional<Action> action_named(std::string_view name) {
  const auto at = std::find(action_names.begin(), action_names.end(), name);
  if (at == action_names.end()) return std::nullopt;
  return static_cast<Action>(at - action_names.begin());
}

Result<SealedDirectory> parse_sealed_directory(ByteView payload) {
  return read_document<SealedDirectory>(DocumentType::directory, payload, [](ObjectReader& from) {
    SealedDirectory out;
    out.header = read_header(from);
    out.generation.value = static_cast<std::uint32_t>(from.number("generation", 1, UINT32_MAX));
    out.sealed = from.base64("sealed", 1, payload_bytes_most(DocumentType::directory));
    return out;
  });
}

Bytes format(const SealedDirectory& it) {
  Json::Object out;
  write_header(out, it.header);
  out.emplace_back("generation", it.generation.value);
  out.emplace_back("sealed", to_base64(it.sealed));
  return write_json(std::move(out));
}

namespace {

enum class Whole : std::uint8_t { all, part };

Result<Directory> parse(ByteView plain, Whole whole) {
  return read_document<Directory>(DocumentType::directory, plain, [&](ObjectReader& from) {
    Directory out;
    out.header = read_header(from);
    from.each_object("libraries", 10'000, [&](ObjectReader& it) {
      LibraryTitle& one = out.libraries.emplace_back(LibraryTitle{it.id<LibraryId>("id"), it.name("name"), it.text("title", 1, 256)});
      if (it.has("ceiling")) one.ceiling = static_cast<std::uint32_t>(it.number("ceiling", 0, UINT32_MAX));
    });
    if (from.has("classes")) from.each_object("classes", 1000, [&](ObjectReader& it) { out.classes.push_back({it.name("id"), it.text("title", 1, 256)}); });
    from.each_object("labels", 1000,
                     [&](ObjectReader& it) { out.labels.push_back({static_cast<std::uint32_t>(it.number("number", 1, UINT32_MAX)), it.name("name")}); });
    from.each_object("orgs", 10'000, [&](ObjectReader& it) {
      Org& one = out.orgs.emplace_back(Org{it.name("id"), it.text("title", 1, 256)});
      if (it.has("parent")) one.parent = it.name("parent");
      if (it.has("class")) one.kind = it.name("class");
    });
    from.each_object("posts", 100'000, [&](ObjectReader& it) { out.posts.push_back(read_post(it)); });
    from.each_object("people", 100'000, [&](ObjectReader& it) { out.people.push_back(read_person(it)); });
    from.each_object("permits", 10'000, [&](ObjectReader& it) { out.permits.push_back(read_rule(it)); });
    from.each_object("forbids", 10'000, [&](ObjectReader& it) { out.forbids.push_back(read_rule(it)); });
    from.each_object("tests", 10'000, [&](ObjectReader& it) { out.tests.push_back(read_test(it)); });
    if (whole == Whole::all) want_posts(from, out.header, out.people);
    if (!from.failed()) check_together(from, out);
    return out;
  });
}

}  // namespace

Result<Directory> parse_directory(ByteView plain) { return parse(plain, Whole::all); }
Result<Directory> parse_slice(ByteView plain) { return parse(plain, Whole::part); }

Bytes format(const Directory& it) {
  Json::Object out;
  write_header(out, it.header);
  out.emplace_back("libraries", list_of(it.libraries, [](const LibraryTitle& one) {
                     Json::Object row{{"id", hex_of(one.id)}, {"name", one.name}, {"title", one.title}};
                     if (one.ceiling) row.emplace_back("ceiling", *one.ceiling);
                     return Json(std::move(row));
                   }));
  out.emplace_back("labels", list_of(it.labels, [](const LabelName& one) { return Json::Object{{"number", one.number}, {"name", one.name}}; }));
  if (!it.classes.empty())
    out.emplace_back("classes", list_of(it.classes, [](const OrgClass& one) { return Json::Object{{"id", one.id}, {"title", one.title}}; }));
  out.emplace_back("orgs", list_of(it.orgs, [](const Org& one) {
                     Json::Object row{{"id", one.id}, {"title", one.title}};
                     if (!one.parent.empty()) row.emplace_back("parent", one.parent);
                     if (!one.kind.empty()) row.emplace_back("class", one.kind);
                     return Json(std::move(row));
                   }));
  out.emplace_back("posts", list_of(it.posts, write_post));
  out.emplace_back("people", list_of(it.people, write_person));
  out.emplace_back("permits", list_of(it.permits, write_rule));
  out.emplace_back("forbids", list_of(it.forbids, write_rule));
  out.emplace_back("tests", list_of(it.tests, write_test));
  return write_json(std::move(out));
}

// ---- org -------------------------------------------------------------------------------------------------------------
Result<SealedOrg> parse_sealed_org(ByteView payload) {
  return read_document<SealedOrg>(DocumentType::org, payload, [](ObjectReader& from) {
    SealedOrg out;
    out.header = read_header(from);
    out.org = from.name("org");
    out.generation.value = static_cast<std::uint32_t>(from.number("generation", 1, UINT32_MAX));
    out.sealed = from.base64("sealed", 1, payload_bytes_most(DocumentType::org));
    return out;
  });
}

Bytes format(const SealedOrg& it) {
  Json::Object out;
  write_header(out, it.header);
  out.emplace_back("org", it.org);
  out.emplace_back("generation", it.generation.value);
  out.emplace_back("sealed", to_base64(it.sealed));
  return write_json(std::move(out));
}

Result<OrgDocument> parse_org(ByteView plain) {
  return read_document<OrgDocument>(DocumentType::org, plain, [](ObjectReader& from) {
    OrgDocument out;
    out.header = read_header(from);
    out.org = from.name("org");
    from.each_object("posts", 10'000, [&](ObjectReader& it) { out.posts.push_back(read_post(it)); });
    from.each_object("people", 10'000, [&](ObjectReader& it) { out.people.push_back(read_person(it)); });
    from.each_object("desks", 10'000, [&](ObjectReader& it) {
      out.desks.push_back(read_mesh_node(it));
      if (!out.desks.back().served_by) it.wrong("kind", "not a desk");
    });
    want_distinct(from, "posts", out.posts, [](const auto& it) { return it.id; });
    want_ascending(from, "people", out.people, [](const auto& it) { return it.id; });
    want_distinct(from, "people", out.people, [](const auto& it) { return it.name; });
    want_distinct(from, "people", out.people, [](const auto& it) { return it.key; });
    want_posts(from, out.header, out.people);
    want_ascending(from, "desks", out.desks, [](const auto& it) { return it.keys.id; });
    want_distinct(from, "desks", out.desks, [](const auto& it) { return it.name; });
    return out;
  });
}

Bytes format(const OrgDocument& it) {
  Json::Object out;
  write_header(out, it.header);
  out.emplace_back("org", it.org);
  out.emplace_back("posts", list_of(it.posts, write_post));
  out.emplace_back("people", list_of(it.people, write_person));
  out.emplace_back("desks", list_of(it.desks, write_mesh_node));
  return write_json(std::move(out));
}

// ---- slice -----------------------------------------------------------------------------------------------------------
Result<SealedSlice> parse_sealed_slice(ByteView payload) {
  return read_document<SealedSlice>(DocumentType::slice, payload, [](ObjectReader& from) {
    SealedSlice out;
    out.header = read_header(from);
    out.node = from.name("node");
    out.generation.value = static_cast<std::uint32_t>(from.number("generation", 1, UINT32_MAX));
    out.sealed = from.base64("sealed", 1, payload_bytes_most(DocumentType::slice));
    return out;
  });
}

Bytes format(const SealedSlice& it) {
  Json::Object out;
  write_header(out, it.header);
  out.emplace_back("node", it.node);
  out.emplace_back("generation", it.generation.value);
  out.emplace_back("sealed", to_base64(it.sealed));
  return write_json(std::move(out));
}

}  // namespace dozo::policy
