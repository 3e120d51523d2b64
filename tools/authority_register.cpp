// register.json.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "tools/authority_register.h"

namespace dozo::tools {
namespace {

using nlohmann::json;
constexpr int register_format = 1;

template <class Id>
Id id_of(const json& from) {
  auto id = Id::parse(from.get<std::string>());
  if (!id) throw std::runtime_error("a wrong id");
  return *id;
}

}  // namespace

std::string write_register(const Register& it) {
  json out{{"format", register_format}, {"nodes", json::object()}, {"people", json::object()}, {"libraries", json::object()}, {"revoked", json::array()}};
  for (const auto& [name, node] : it.nodes)
    out["nodes"][name] = {{"id", node.id.hex()}, {"sign", node.sign.hex()}, {"seal", node.seal.hex()}, {"transport", node.transport.hex()}};
  for (const auto& [name, person] : it.people) out["people"][name] = {{"id", person.id.hex()}, {"key", person.key.hex()}};
  for (const auto& [name, id] : it.libraries) out["libraries"][name] = id.hex();
  for (const Register::Revoked& one : it.revoked) {
    json heads = json::array();
    for (const node::local::HeadRow& head : one.heads)
      heads.push_back({{"library", head.feed.library.hex()},
                       {"node", head.feed.node.hex()},
                       {"incarnation", head.feed.incarnation.hex()},
                       {"sequence", head.sequence.value},
                       {"root", head.root.hex()}});
    const auto* node = std::get_if<NodeId>(&one.subject);
    json row{{"name", one.name}, {"after", one.after.value}, {"cut", one.cut}, {"heads", std::move(heads)}};
    row[node != nullptr ? "id" : "person"] = node != nullptr ? node->hex() : std::get<PersonId>(one.subject).hex();
    if (one.libraries) {
      row["libraries"] = json::array();
      for (const LibraryId& library : *one.libraries) row["libraries"].push_back(library.hex());
    }
    out["revoked"].push_back(std::move(row));
  }
  return out.dump(1) + "\n";
}

Result<Register> read_register(std::string_view text) {
  try {
    const json from = json::parse(text);
    if (from.at("format").get<int>() != register_format) return fail(Fault::unsupported, "written by a newer version");
    Register out;
    for (const auto& [name, it] : from.at("nodes").items())
      out.nodes[name] = {id_of<NodeId>(it.at("id")), id_of<crypto::VerifyKey>(it.at("sign")), id_of<crypto::SealPublicKey>(it.at("seal")),
                         id_of<crypto::TransportPublicKey>(it.at("transport"))};
    for (const auto& [name, it] : from.at("people").items()) out.people[name] = {id_of<PersonId>(it.at("id")), id_of<crypto::VerifyKey>(it.at("key"))};
    for (const auto& [name, it] : from.at("libraries").items()) out.libraries[name] = id_of<LibraryId>(it);
    for (const json& it : from.at("revoked")) {
      Register::Revoked& one = out.revoked.emplace_back();
      one.name = it.at("name").get<std::string>();
      if (it.contains("person")) {
        one.subject = id_of<PersonId>(it.at("person"));
      } else {
        one.subject = id_of<NodeId>(it.at("id"));
      }
      one.after.value = it.at("after").get<std::uint64_t>();
      one.cut = it.at("cut").get<bool>();
      for (const json& head : it.at("heads")) {
        const NodeId node = head.contains("node") ? id_of<NodeId>(head.at("node")) : std::get<NodeId>(one.subject);
        one.heads.push_back({{id_of<LibraryId>(head.at("library")), node, id_of<IncarnationId>(head.at("incarnation"))},
                             {head.at("sequence").get<std::uint64_t>()},
                             id_of<Digest>(head.at("root"))});
      }
      if (!it.contains("libraries")) continue;
      one.libraries.emplace();
      for (const json& library : it.at("libraries")) one.libraries->insert(id_of<LibraryId>(library));
    }
    return out;
  } catch (const std::exception& error) {
    return fail(Fault::malformed, error.what());
  }
}

const Register::Revoked* Register::last_word(const policy::CutSubject& subject) const {
  if (const auto* id = std::get_if<NodeId>(&subject)) {
    if (std::any_of(nodes.begin(), nodes.end(), [&](const auto& it) { return it.second.id == *id; })) return nullptr;
  } else if (std::any_of(people.begin(), people.end(), [&](const auto& it) { return it.second.id == std::get<PersonId>(subject); })) {
    return nullptr;
  }
  const auto at = std::find_if(revoked.rbegin(), revoked.rend(), [&](const Revoked& it) { return it.subject == subject; });
  return at == revoked.rend() ? nullptr : &*at;
}

policy::Names Register::names() const {
  policy::Names out;
  out.nodes = nodes;
  for (const auto& [name, person] : people) out.people[name] = {person.id, person.key};
  out.libraries = libraries;
  for (const Revoked& it : revoked) out.gone.insert_or_assign(it.name, it.subject);
  return out;
}

}  // namespace dozo::tools
