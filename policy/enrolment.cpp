#include "policy/enrolment.h"

#include "policy/authoring.h"
#include "policy/documents_json.h"
#include "policy/trust.h"

namespace dozo::policy {
namespace {

constexpr std::string_view request_context = "dozo request 1";
constexpr std::string_view realm_format = "dozo realm 1", node_format = "dozo node request 1", person_format = "dozo person request 1";
constexpr std::size_t file_values_most = 20'000, contacts_most = 1000;
constexpr std::size_t address_bytes_most = 256;

std::optional<NodeKind> kind_named(std::string_view name) {
  for (const NodeKind kind : {NodeKind::hq, NodeKind::bureau, NodeKind::vault, NodeKind::desk})
    if (name_of(kind) == name) return kind;
  return std::nullopt;
}

Addresses read_addresses(ObjectReader& from) {
  Addresses out{from.text("control", 0, address_bytes_most), from.text("bulk", 0, address_bytes_most), from.text("introduce", 0, address_bytes_most)};
  for (const std::string& it : {out.control, out.bulk, out.introduce})
    if (!it.empty() && !it.starts_with("tcp://")) from.wrong("control", "not an address: tcp://HOST:PORT");
  return out;
}
void write_addresses(Json::Object& to, const Addresses& it) {
  to.emplace_back("control", it.control);
  to.emplace_back("bulk", it.bulk);
  to.emplace_back("introduce", it.introduce);
}

template <std::size_t size, class Tag>
FixedBytes<size, Tag> fixed(ObjectReader& from, std::string_view key) {
  const Bytes bytes = from.base64(key, size, size);
  return FixedBytes<size, Tag>::from(bytes).value_or(FixedBytes<size, Tag>());
}

/// What is signed: the object as written here, without its last member.
Json::Object members_of(const NodeRequest& it) {
  Json::Object out{{"format", node_format},
                   {"realm", hex_of(it.realm)},
                   {"name", it.name},
                   {"kind", name_of(it.kind)},
                   {"zone", it.zone},
                   {"id", hex_of(it.keys.id)},
                   {"sign", hex_of(it.keys.sign)},
                   {"seal", hex_of(it.keys.seal)},
                   {"transport", hex_of(it.keys.transport)}};
  write_addresses(out, it.addresses);
  out.emplace_back("possession", to_base64(it.possession.signature.view()));
  out.emplace_back("seal_proof", to_base64(it.possession.seal_proof.view()));
  out.emplace_back("transport_proof", to_base64(it.possession.transport_proof.view()));
  return out;
}
Json::Object members_of(const PersonRequest& it) {
  return {{"format", person_format}, {"realm", hex_of(it.realm)}, {"name", it.name}, {"shown", it.shown}, {"id", hex_of(it.id)}, {"key", hex_of(it.key)}};
}
Bytes signed_text(Json::Object members, const crypto::SigningKey& key) {
  const Bytes what = write_json(Json(members));
  members.emplace_back("signature", to_base64(crypto::sign(key, request_context, what).view()));
  Bytes out = write_json(Json(std::move(members)));
  out.push_back('\n');
  return out;
}
Result<void> verify_members(Json::Object members, const crypto::VerifyKey& key, const crypto::Signature& signature) {
  if (!crypto::is_valid(key) || !crypto::verify(key, request_context, write_json(Json(std::move(members))), signature))
    return fail(Fault::not_authentic, "the request was not signed by the key that it names, or was changed since");
  return {};
}

NodeRequest read_node(ObjectReader& from) {
  NodeRequest out;
  out.realm = from.id<RealmId>("realm");
  out.name = from.name("name");
  out.kind = from.one_of("kind", kind_named);
  out.zone = from.name("zone");
  out.keys.id = from.id<NodeId>("id");
  out.keys.sign = from.id<crypto::VerifyKey>("sign");
  out.keys.seal = from.id<crypto::SealPublicKey>("seal");
  out.keys.transport = from.id<crypto::TransportPublicKey>("transport");
  out.addresses = read_addresses(from);
  out.possession.signature = fixed<64, crypto::SignatureTag>(from, "possession");
  out.possession.seal_proof = fixed<32, DigestTag>(from, "seal_proof");
  out.possession.transport_proof = fixed<32, DigestTag>(from, "transport_proof");
  if (out.keys.id.is_zero()) from.wrong("id", "is zero");
  return out;
}
PersonRequest read_person_request(ObjectReader& from) {
  PersonRequest out;
  out.realm = from.id<RealmId>("realm");
  out.name = from.name("name");
  out.shown = from.text("shown", 1, 256);
  out.id = from.id<PersonId>("id");
  out.key = from.id<crypto::VerifyKey>("key");
  if (out.id.is_zero()) from.wrong("id", "is zero");
  return out;
}

}  // namespace

Result<RealmFile> read_realm_file(ByteView text) {
  const Json json = TRY(parse_json(text, realm_file_bytes_most, file_values_most));
  ObjectReader::Problem problem;
  ObjectReader from(json, "", problem);
  if (from.text("format", 1, 64) != realm_format) from.wrong("format", "not \"" + std::string(realm_format) + "\"");
  RealmFile out;
  out.realm = from.id<RealmId>("realm");
  out.first_root = from.base64("root", 1, envelope_bytes_most(DocumentType::root));
  from.each_object("contacts", contacts_most, [&](ObjectReader& it) {
    Contact& contact = out.contacts.emplace_back();
    contact.id = it.id<NodeId>("id");
    contact.name = it.name("name");
    contact.transport = it.id<crypto::TransportPublicKey>("transport");
    contact.addresses = read_addresses(it);
  });
  from.done();
  if (problem.any()) return fail(Fault::malformed, problem.text);
  const Trust trust = TRY(Trust::begin(out.first_root, std::nullopt));
  if (trust.realm() != out.realm) return fail(Fault::not_authentic, "the root in it is not that of the realm that it names");
  out.root = trust.root();
  return out;
}

Bytes write_realm_file(const RealmFile& it) {
  Json::Object out{{"format", realm_format}, {"realm", hex_of(it.realm)}, {"root", to_base64(it.first_root)}};
  out.emplace_back("contacts", list_of(it.contacts, [](const Contact& contact) {
                     Json::Object one{{"id", hex_of(contact.id)}, {"name", contact.name}, {"transport", hex_of(contact.transport)}};
                     write_addresses(one, contact.addresses);
                     return Json(std::move(one));
                   }));
  Bytes text = write_json(Json(std::move(out)));
  text.push_back('\n');
  return text;
}

Result<Bytes> make_request(NodeRequest request, const crypto::NodeKeys& keys, const crypto::SealPublicKey& admission) {
  request.keys = keys.public_part();
  request.possession = TRY(crypto::prove_possession(keys, admission));
  Bytes out = signed_text(members_of(request), keys.sign);
  TRY(read_request(out));  // what HQ could not read must not leave
  return out;
}

Result<Bytes> make_request(const PersonRequest& request, const crypto::SigningKey& key) {
  PersonRequest it = request;
  it.key = key.public_key();
  Bytes out = signed_text(members_of(it), key);
  TRY(read_request(out));
  return out;
}

Result<EnrolmentRequest> read_request(ByteView text) {
  const Json json = TRY(parse_json(text, request_bytes_most, file_values_most));
  ObjectReader::Problem problem;
  ObjectReader from(json, "", problem);
  const std::string format = from.text("format", 1, 64);
  EnrolmentRequest out;
  if (problem.any()) return fail(Fault::malformed, "not a request: " + problem.text);
  if (format == node_format) {
    out = read_node(from);
  } else if (format == person_format) {
    out = read_person_request(from);
  } else {
    return fail(Fault::unsupported, "not a request that this version knows");
  }
  const auto signature = fixed<64, crypto::SignatureTag>(from, "signature");
  from.done();
  if (problem.any()) return fail(Fault::malformed, problem.text);
  if (const NodeRequest* node = std::get_if<NodeRequest>(&out)) {
    TRY(verify_members(members_of(*node), node->keys.sign, signature));
  } else {
    const PersonRequest& person = std::get<PersonRequest>(out);
    TRY(verify_members(members_of(person), person.key, signature));
  }
  return out;
}

Result<void> check_request(const NodeRequest& request, const RealmId& realm, const crypto::SealKey& admission) {
  if (request.realm != realm) return fail(Fault::denied, "the request is for another realm");
  return crypto::check_possession(request.keys, request.possession, admission);
}

}  // namespace dozo::policy
