// Reading and writing of the mesh.
#include <algorithm>
#include <array>
#include <set>

#include "policy/documents_json.h"

namespace dozo::policy {
namespace {

constexpr std::array<std::string_view, 4> kind_names{"hq", "bureau", "vault", "desk"};
constexpr std::array<std::string_view, 4> holding_names{"none", "blind", "partial", "full"};
constexpr std::array<std::string_view, 2> rules_names{"portable", "linux"};

/// Where in `names` the text stands, as a T.
template <class T, std::size_t size>
auto word_of(const std::array<std::string_view, size>& names) {
  return [&names](const std::string& text) -> std::optional<T> {
    const auto at = std::find(names.begin(), names.end(), text);
    if (at == names.end()) return std::nullopt;
    return static_cast<T>(at - names.begin());
  };
}

std::uint32_t small(ObjectReader& from, std::string_view key, std::uint32_t least = 0) {
  return static_cast<std::uint32_t>(from.number(key, least, UINT32_MAX));
}

}  // namespace

MeshNode read_mesh_node(ObjectReader& from) {
  MeshNode out;
  out.keys.id = from.id<NodeId>("id");
  out.keys.sign = from.id<crypto::VerifyKey>("sign");
  if (!from.failed() && !crypto::is_valid(out.keys.sign)) from.wrong("sign", "not a public key");
  out.keys.seal = from.id<crypto::SealPublicKey>("seal");
  out.keys.transport = from.id<crypto::TransportPublicKey>("transport");
  out.name = from.name("name");
  out.kind = from.one_of("kind", word_of<NodeKind>(kind_names));
  out.zone = from.name("zone");
  ObjectReader addresses = from.object("addresses");
  out.addresses.control = addresses.text("control", 0, 256);
  out.addresses.bulk = addresses.text("bulk", 0, 256);
  out.addresses.introduce = addresses.text("introduce", 0, 256);
  addresses.done();
  if (from.has("served_by")) out.served_by = from.id<NodeId>("served_by");
  if (from.has("slice")) out.is_sliced = from.flag("slice");
  if (out.is_sliced && (out.kind != NodeKind::bureau || out.name.size() > sliced_node_bytes_most))
    from.wrong("slice", "only bureaus have one, of names that are not too long");
  if (out.served_by.has_value() != (out.kind == NodeKind::desk)) from.wrong("served_by", "desks have it, and only desks");
  return out;
}

Json write_mesh_node(const MeshNode& it) {
  Json::Object out{{"id", hex_of(it.keys.id)},
                   {"name", it.name},
                   {"kind", name_of(it.kind)},
                   {"zone", it.zone},
                   {"sign", hex_of(it.keys.sign)},
                   {"seal", hex_of(it.keys.seal)},
                   {"transport", hex_of(it.keys.transport)},
                   {"addresses", Json::Object{{"control", it.addresses.control}, {"bulk", it.addresses.bulk}, {"introduce", it.addresses.introduce}}}};
  if (it.served_by) out.emplace_back("served_by", hex_of(*it.served_by));
  if (it.is_sliced) out.emplace_back("slice", true);
  return out;
}

namespace {

FeedPoint read_point(ObjectReader& from) {
  FeedPoint out;
  out.node = from.id<NodeId>("node");
  out.incarnation = from.id<IncarnationId>("incarnation");
  out.sequence.value = from.number("sequence", 0, json_integer_most);
  out.root = from.id<Digest>("root");
  return out;
}
Json write_point(const FeedPoint& it) {
  return Json::Object{{"node", hex_of(it.node)}, {"incarnation", hex_of(it.incarnation)}, {"sequence", it.sequence.value}, {"root", hex_of(it.root)}};
}

CutSubject read_subject(ObjectReader& from) {
  if (from.has("person")) return from.id<PersonId>("person");
  return from.id<NodeId>("subject");
}
void write_subject(Json::Object& to, const CutSubject& subject) {
  if (const auto* node = std::get_if<NodeId>(&subject)) {
    to.emplace_back("subject", hex_of(*node));
  } else {
    to.emplace_back("person", hex_of(std::get<PersonId>(subject)));
  }
}

std::pair<NodeId, IncarnationId> place_of(const FeedPoint& point) { return {point.node, point.incarnation}; }

Cut read_cut(ObjectReader& from) {
  Cut out;
  out.since.value = from.number("since", 1, json_integer_most);
  out.subject = read_subject(from);
  from.each_object("ends", 10'000, [&](ObjectReader& it) { out.ends.push_back(read_point(it)); });
  want_ascending(from, "ends", out.ends, place_of);
  return out;
}
Json write_cut(const Cut& it) {
  Json::Object out{{"since", it.since.value}};
  write_subject(out, it.subject);
  out.emplace_back("ends", list_of(it.ends, write_point));
  return out;
}
Admit read_admit(ObjectReader& from) {
  Admit out;
  out.cut.value = from.number("cut", 1, json_integer_most);
  out.subject = read_subject(from);
  ObjectReader point = from.object("up_to");
  out.up_to = read_point(point);
  point.done();
  return out;
}
Json write_admit(const Admit& it) {
  Json::Object out{{"cut", it.cut.value}};
  write_subject(out, it.subject);
  out.emplace_back("up_to", write_point(it.up_to));
  return out;
}

Duty read_duty(ObjectReader& from) {
  Duty out;
  out.copies = small(from, "copies", 1);
  out.zones = small(from, "zones", 1);
  out.keyed = small(from, "keyed", 1);
  out.fresh_s = small(from, "fresh");
  out.keep_days = small(from, "keep_days");
  if (out.zones > out.copies || out.keyed > out.copies) from.wrong("copies", "fewer than zones or keyed copies");
  return out;
}
Json write_duty(const Duty& it) {
  return Json::Object{{"copies", it.copies}, {"zones", it.zones}, {"keyed", it.keyed}, {"fresh", it.fresh_s}, {"keep_days", it.keep_days}};
}

MeshLibrary read_library(ObjectReader& from) {
  MeshLibrary out;
  out.id = from.id<LibraryId>("id");
  if (out.id == directory_library) from.wrong("id", "stands for the directory");
  out.home = from.id<NodeId>("home");
  out.epoch.value = small(from, "epoch", 1);
  out.names = from.one_of("names", word_of<NameRules>(rules_names));
  out.view_rules = static_cast<std::uint16_t>(from.number("view_rules", 1, UINT16_MAX));
  out.locks = from.flag("locks");
  ObjectReader duty = from.object("duty");
  out.duty = read_duty(duty);
  duty.done();
  from.each_object("members", 10'000, [&](ObjectReader& it) {
    Member& member = out.members.emplace_back();
    member.node = it.id<NodeId>("node");
    member.holding = it.one_of("holding", word_of<Holding>(holding_names));
    member.may_write = it.flag("may_write");
    member.quota_bytes = it.number("quota", 0, json_integer_most);
    if (member.holding == Holding::none) it.wrong("holding", "a member holds something");
    if (member.holding == Holding::blind && member.may_write) it.wrong("may_write", "a blind member cannot write");
  });
  want_ascending(from, "members", out.members, [](const auto& it) { return it.node; });
  from.each_object("cuts", 10'000, [&](ObjectReader& it) { out.cuts.push_back(read_cut(it)); });
  want_ascending(from, "cuts", out.cuts, [](const auto& it) { return std::pair(it.since, it.subject); });
  from.each_object("admits", 10'000, [&](ObjectReader& it) { out.admits.push_back(read_admit(it)); });
  return out;
}

Json write_library(const MeshLibrary& it) {
  return Json::Object{{"id", hex_of(it.id)},
                      {"home", hex_of(it.home)},
                      {"epoch", it.epoch.value},
                      {"names", name_of(it.names)},
                      {"view_rules", std::uint64_t{it.view_rules}},
                      {"locks", it.locks},
                      {"duty", write_duty(it.duty)},
                      {"members", list_of(it.members,
                                          [](const Member& member) {
                                            return Json::Object{{"node", hex_of(member.node)},
                                                                {"holding", name_of(member.holding)},
                                                                {"may_write", member.may_write},
                                                                {"quota", member.quota_bytes}};
                                          })},
                      {"cuts", list_of(it.cuts, write_cut)},
                      {"admits", list_of(it.admits, write_admit)}};
}

/// Nodes, libraries and roles that hours and closures are about; each is left out where it means all, or none.
template <class Window>
void read_place(ObjectReader& from, Window& to) {
  const auto ids = [&]<class Id>(std::string_view key, std::vector<Id>& list) {
    if (!from.has(key)) return;
    from.each_text(key, 10'000, [&](const std::string& hex) {
      const auto id = Id::parse(hex);
      if (!id) return from.wrong(key, "not an id");
      list.push_back(*id);
    });
    if (list.empty()) from.wrong(key, "empty: leave it out to mean any");
  };
  ids("nodes", to.nodes);
  ids("libraries", to.libraries);
  if (!from.has("except_roles")) return;
  from.each_text("except_roles", 1000, [&](const std::string& name) {
    if (!is_name(name)) return from.wrong("except_roles", "not a name");
    to.except_roles.push_back(name);
  });
}
template <class Window>
void write_place(Json::Object& to, const Window& it) {
  const auto hex = [](const auto& id) { return hex_of(id); };
  if (!it.nodes.empty()) to.emplace_back("nodes", list_of(it.nodes, hex));
  if (!it.libraries.empty()) to.emplace_back("libraries", list_of(it.libraries, hex));
  if (!it.except_roles.empty()) to.emplace_back("except_roles", list_of(it.except_roles, [](const std::string& name) { return Json(name); }));
}

Hours read_hours(ObjectReader& from) {
  Hours out;
  read_place(from, out);
  from.each_number("days", 7, [&](std::uint64_t day) {
    if (day < 1 || day > 7) return from.wrong("days", "1 is Monday, 7 is Sunday");
    out.days.push_back(static_cast<std::uint32_t>(day));
  });
  want_ascending(from, "days", out.days, [](const auto& day) { return day; });
  out.opens_minute = static_cast<std::uint32_t>(from.number("opens", 0, 1439));
  out.closes_minute = static_cast<std::uint32_t>(from.number("closes", 1, 1440));
  if (out.closes_minute <= out.opens_minute) from.wrong("closes", "before it opens");
  return out;
}
Json write_hours(const Hours& it) {
  Json::Object out;
  write_place(out, it);
  out.emplace_back("days", list_of(it.days, [](std::uint32_t day) { return Json(day); }));
  out.emplace_back("opens", it.opens_minute);
  out.emplace_back("closes", it.closes_minute);
  return out;
}
Closure read_closure(ObjectReader& from) {
  Closure out;
  read_place(from, out);
  out.from_s = static_cast<std::int64_t>(from.number("from", 1, json_integer_most / 1000));
  out.until_s = static_cast<std::int64_t>(from.number("until", 1, json_integer_most / 1000));
  if (out.until_s <= out.from_s) from.wrong("until", "before it begins");
  out.reason = from.text("reason", 1, 256);
  return out;
}
Json write_closure(const Closure& it) {
  Json::Object out;
  write_place(out, it);
  out.emplace_back("from", it.from_s);
  out.emplace_back("until", it.until_s);
  out.emplace_back("reason", it.reason);
  return out;
}

Delegation read_delegation(ObjectReader& from) {
  Delegation out;
  out.org = from.name("org");
  if (out.org.size() > delegated_org_bytes_most) from.wrong("org", "too long");
  out.keys = read_keys(from);
  const auto itself = [](const auto& it) { return it; };
  from.each_text("roles", 1000, [&](const std::string& name) {
    if (!is_name(name)) return from.wrong("roles", "not a name");
    out.roles.push_back(name);
  });
  want_ascending(from, "roles", out.roles, itself);
  from.each_text("nodes", 10'000, [&](const std::string& hex) {
    const auto id = NodeId::parse(hex);
    if (!id) return from.wrong("nodes", "not an id");
    out.nodes.push_back(*id);
  });
  want_ascending(from, "nodes", out.nodes, itself);
  return out;
}
Json write_delegation(const Delegation& it) {
  Json::Object out{{"org", it.org}};
  write_keys(out, it.keys);
  out.emplace_back("roles", list_of(it.roles, [](const std::string& name) { return Json(name); }));
  out.emplace_back("nodes", list_of(it.nodes, [](const NodeId& id) { return hex_of(id); }));
  return out;
}

/// What must hold between the parts: keys and names are nobody else's, and libraries and desks name nodes that are there.
void check_together(ObjectReader& from, const Mesh& mesh) {
  std::map<NodeId, const MeshNode*> nodes;
  std::set<std::string> names;
  std::set<std::array<std::uint8_t, 32>> keys;
  for (const MeshNode& node : mesh.nodes) {
    nodes[node.keys.id] = &node;
    if (!names.insert(node.name).second) from.wrong("nodes", "two with one name");
    // A key with two owners would let one speak for the other.
    for (const auto& key : {node.keys.sign.bytes, node.keys.seal.bytes, node.keys.transport.bytes})
      if (!keys.insert(key).second) from.wrong("nodes", "a key that is there twice");
  }
  for (const MeshNode& node : mesh.nodes) {
    if (!node.served_by) continue;
    const auto bureau = nodes.find(*node.served_by);
    if (bureau == nodes.end() || bureau->second->kind == NodeKind::desk || bureau->second->kind == NodeKind::vault)
      from.wrong("nodes", "a desk that no bureau serves");
  }
  // Headquarters is where a policy comes from: one that leaves it no node is nobody's last word.
  const auto is_open_hq = [&](const MeshNode& node) {
    const auto is_about = [&](const MeshStop& stop) { return std::ranges::binary_search(stop.whom.nodes, node.keys.id); };
    return node.kind == NodeKind::hq && std::ranges::none_of(mesh.stops, is_about);
  };
  if (std::ranges::none_of(mesh.nodes, is_open_hq)) from.wrong("nodes", "no node of headquarters, or none that is not stopped");
  for (const MeshLibrary& library : mesh.libraries) {
    bool home = false;
    for (const Member& member : library.members) {
      const auto node = nodes.find(member.node);
      if (node == nodes.end()) {
        from.wrong("libraries", "a member that is no node");
      } else if (node->second->kind == NodeKind::vault && member.holding != Holding::blind) {
        from.wrong("libraries", "a vault holds blind");
      } else if (node->second->kind == NodeKind::desk) {
        from.wrong("libraries", "a desk is no member: its bureau is");
      }
      home = home || (member.node == library.home && member.holding == Holding::full && member.may_write);
    }
    if (!home) from.wrong("libraries", "the home node is no full, writing member");
  }
  for (const Delegation& delegation : mesh.delegations)
    for (const NodeId& id : delegation.nodes) {
      const auto node = nodes.find(id);
      if (node == nodes.end() || node->second->kind == NodeKind::desk || node->second->kind == NodeKind::vault)
        from.wrong("delegations", "a node that is no bureau");
    }
}

}  // namespace

std::string_view name_of(NodeKind kind) { return kind_names[static_cast<std::size_t>(kind)]; }
std::string_view name_of(Holding holding) { return holding_names[static_cast<std::size_t>(holding)]; }
std::string_view name_of(NameRules rules) { return rules_names[static_cast<std::size_t>(rules)]; }

const Delegation* Mesh::delegation(std::string_view org) const {
  const auto at = std::ranges::find(delegations, org, &Delegation::org);
  return at == delegations.end() ? nullptr : &*at;
}

Result<Mesh> parse_mesh(ByteView payload) {
  return read_document<Mesh>(DocumentType::mesh, payload, [](ObjectReader& from) {
    Mesh out;
    out.header = read_header(from);
    out.hq_time_most_s = static_cast<std::int64_t>(from.number("hq_time_most", 0, json_integer_most / 1000));
    out.locked_after_s = small(from, "locked_after");
    from.each_object("nodes", 20'000, [&](ObjectReader& it) { out.nodes.push_back(read_mesh_node(it)); });
    want_ascending(from, "nodes", out.nodes, [](const auto& it) { return it.keys.id; });
    from.each_object("libraries", 10'000, [&](ObjectReader& it) { out.libraries.push_back(read_library(it)); });
    want_ascending(from, "libraries", out.libraries, [](const auto& it) { return it.id; });
    if (from.has("stops"))
      from.each_object("stops", 1000, [&](ObjectReader& it) {
        MeshStop& stop = out.stops.emplace_back();
        stop.whom = read_stopped(it);
        stop.from_s = static_cast<std::int64_t>(it.number("from", 0, json_integer_most / 1000));
        stop.until_s = static_cast<std::int64_t>(it.number("until", 0, json_integer_most / 1000));
        stop.reason = it.text("reason", 0, 1024);
        if (stop.until_s != 0 && stop.until_s <= stop.from_s) it.wrong("until", "before it begins");
      });
    if (from.has("lifts")) {
      from.each_object("lifts", 1000,
                       [&](ObjectReader& it) { out.lifts.push_back({it.id<crypto::VerifyKey>("officer"), it.number("up_to", 1, json_integer_most)}); });
      want_ascending(from, "lifts", out.lifts, [](const auto& it) { return it.officer; });
    }
    if (from.has("hours")) from.each_object("hours", 1000, [&](ObjectReader& it) { out.hours.push_back(read_hours(it)); });
    if (from.has("closures")) from.each_object("closures", 1000, [&](ObjectReader& it) { out.closures.push_back(read_closure(it)); });
    if (from.has("delegations")) {
      from.each_object("delegations", 1000, [&](ObjectReader& it) { out.delegations.push_back(read_delegation(it)); });
      want_ascending(from, "delegations", out.delegations, [](const auto& it) { return it.org; });
    }
    if (!from.failed()) check_together(from, out);
    return out;
  });
}

Bytes format(const Mesh& it) {
  Json::Object out;
  write_header(out, it.header);
  out.emplace_back("hq_time_most", it.hq_time_most_s);
  out.emplace_back("locked_after", it.locked_after_s);
  out.emplace_back("nodes", list_of(it.nodes, write_mesh_node));
  out.emplace_back("libraries", list_of(it.libraries, write_library));
  if (!it.stops.empty())
    out.emplace_back("stops", list_of(it.stops, [](const MeshStop& stop) {
                       Json::Object one;
                       write_stopped(one, stop.whom);
                       one.emplace_back("from", stop.from_s);
                       one.emplace_back("until", stop.until_s);
                       one.emplace_back("reason", stop.reason);
                       return Json(std::move(one));
                     }));
  if (!it.lifts.empty())
    out.emplace_back("lifts", list_of(it.lifts, [](const Lift& lift) { return Json(Json::Object{{"officer", hex_of(lift.officer)}, {"up_to", lift.up_to}}); }));
  if (!it.hours.empty()) out.emplace_back("hours", list_of(it.hours, write_hours));
  if (!it.closures.empty()) out.emplace_back("closures", list_of(it.closures, write_closure));
  if (!it.delegations.empty()) out.emplace_back("delegations", list_of(it.delegations, write_delegation));
  return write_json(std::move(out));
}

}  // namespace dozo::policy
