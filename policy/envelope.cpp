#include "policy/envelope.h"

#include <algorithm>
#include <set>

#include "policy/documents_json.h"

namespace dozo::policy {
namespace {

constexpr std::string_view signing_context = "dozo document 1";

Bytes message_of(const Envelope& envelope) {
  Bytes out;
  out.reserve(envelope.payload.size() + 64);
  append(out, view_of(name_of(envelope.type)));
  out.push_back('\n');
  append(out, view_of(envelope.name));
  out.push_back('\n');
  append(out, envelope.payload);
  return out;
}

bool fits(DocumentType type, std::string_view name) {
  if (type == DocumentType::org) return is_org_name(name);
  if (type == DocumentType::slice) return is_slice_name(name);
  if (type != DocumentType::grants) return name == name_of(type);
  return name.starts_with("grants/") && NodeId::parse(name.substr(7)).has_value();
}

}  // namespace

Result<Envelope> read_envelope(ByteView bytes) {
  const Json json = TRY(within("envelope", parse_json(bytes, envelope_bytes_most(DocumentType::directory), 4 * envelope_signatures_most)));
  ObjectReader::Problem problem;
  ObjectReader from(json, "", problem);
  Envelope out;
  if (from.number("format", 1, json_integer_most) != 1) return fail(Fault::unsupported, "envelope: a newer format than this build knows");
  out.type = from.one_of("type", [](const std::string& name) { return document_type(name); });
  if (!problem.any() && bytes.size() > envelope_bytes_most(out.type))
    return fail(Fault::over_limit, "envelope: " + std::to_string(bytes.size()) + " bytes are too many for " + std::string(name_of(out.type)));
  out.name = from.text("name", 1, 64);
  if (!fits(out.type, out.name)) from.wrong("name", "does not fit the type");
  out.payload = from.base64("payload", 1, payload_bytes_most(out.type));
  from.each_object("sigs", envelope_signatures_most, [&](ObjectReader& it) {
    EnvelopeSignature& one = out.signatures.emplace_back();
    one.key = it.id<crypto::VerifyKey>("key");
    const Bytes signature = it.base64("sig", crypto::Signature::size, crypto::Signature::size);
    if (signature.size() == crypto::Signature::size) one.signature = *crypto::Signature::from(signature);
  });
  want_ascending(from, "sigs", out.signatures, [](const auto& it) { return it.key; });
  from.done();
  if (problem.any()) return fail(Fault::malformed, "envelope: " + problem.text);
  return out;
}

Bytes write_envelope(const Envelope& envelope) {
  return write_json(Json::Object{{"format", std::uint64_t{1}},
                                 {"type", name_of(envelope.type)},
                                 {"name", envelope.name},
                                 {"payload", to_base64(envelope.payload)},
                                 {"sigs", list_of(envelope.signatures, [](const EnvelopeSignature& it) {
                                    return Json::Object{{"key", hex_of(it.key)}, {"sig", to_base64(it.signature.view())}};
                                  })}});
}

Bytes unsigned_envelope(DocumentType type, std::string_view name, ByteView payload) { return write_envelope({type, std::string(name), bytes_of(payload), {}}); }

Result<Bytes> add_signature(ByteView bytes, const crypto::SigningKey& key) {
  Envelope envelope = TRY(read_envelope(bytes));
  std::erase_if(envelope.signatures, [&](const EnvelopeSignature& it) { return it.key == key.public_key(); });
  envelope.signatures.push_back({key.public_key(), crypto::sign(key, signing_context, message_of(envelope))});
  std::sort(envelope.signatures.begin(), envelope.signatures.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
  if (envelope.signatures.size() > envelope_signatures_most) return fail(Fault::over_limit, "envelope: too many signatures");
  return write_envelope(envelope);
}

Result<void> verify(const Envelope& envelope, const RoleKeys& keys) {
  const std::set<crypto::VerifyKey> distinct(keys.keys.begin(), keys.keys.end());
  if (keys.threshold == 0 || keys.threshold > distinct.size()) return fail(Fault::not_authentic, envelope.name + ": a threshold that no signatures can meet");
  const Bytes message = message_of(envelope);
  std::set<crypto::VerifyKey> signers;  // by public key: neither a repeated key nor a repeated signature counts twice
  for (const EnvelopeSignature& it : envelope.signatures) {
    if (signers.size() >= keys.threshold) break;
    if (distinct.contains(it.key) && crypto::verify(it.key, signing_context, message, it.signature)) signers.insert(it.key);
  }
  if (signers.size() < keys.threshold)
    return fail(Fault::not_authentic,
                envelope.name + ": signed by " + std::to_string(signers.size()) + " of the " + std::to_string(keys.threshold) + " keys that it needs");
  return {};
}

}  // namespace dozo::policy
