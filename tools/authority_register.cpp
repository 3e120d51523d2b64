// register.json.
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
      heads.push_back(
          {{"library", head.feed.library.hex()}, {"incarnation", head.feed.incarnation.hex()}, {"sequence", head.sequence.value}, {"root", head.root.hex()}});
    out["revoked"].push_back({{"name", one.name}, {"id", one.node.hex()}, {"after", one.after.value}, {"cut", one.cut}, {"heads", std::move(heads)}});
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
      one.node = id_of<NodeId>(it.at("id"));
      one.after.value = it.at("after").get<std::uint64_t>();
      one.cut = it.at("cut").get<bool>();
      for (const json& head : it.at("heads"))
        one.heads.push_back({{id_of<LibraryId>(head.at("library")), one.node, id_of<IncarnationId>(head.at("incarnation"))},
                             {head.at("sequence").get<std::uint64_t>()},
                             id_of<Digest>(head.at("root"))});
    }
    return out;
  } catch (const std::exception& error) {
    return fail(Fault::malformed, error.what());
  }
}

policy::Names Register::names() const {
  policy::Names out;
  out.nodes = nodes;
  for (const auto& [name, person] : people) out.people[name] = {person.id, person.key};
  out.libraries = libraries;
  return out;
}

}  // namespace dozo::tools
