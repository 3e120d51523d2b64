#include "store/record.h"

#include <algorithm>

#include "base/archive.h"
#include "crypto/hash.h"
#include "store/names.h"

namespace dozo::store {

template <class A>
void serialize(A& archive, Stamp& it) {
  archive(it.hlc, it.record);
}
template <class A>
void serialize(A& archive, ContentValue& it) {
  archive(it.kind, it.sha256, it.executable);
}
template <class A>
void serialize(A&, Deleted&) {}
template <class A>
void serialize(A& archive, Label& it) {
  archive(it.number);
}
template <class A>
void serialize(A& archive, Side& it) {
  archive(it.rank, archive::capped<who_shown_bytes_most>(it.text), it.tag);
}
template <class A>
void serialize(A& archive, Source& it) {
  archive(it.manifest, it.size_bytes);
}
template <class A>
void serialize(A& archive, Chain& it) {
  archive(it.act, it.part, it.parts);
}

namespace {

// A path inside a Value takes part through a type of its own, as strings stand in the archive only with a cap.
struct PathValue {
  std::string bytes;
};
template <class A>
void serialize(A& archive, PathValue& it) {
  archive(archive::capped<path_bytes_most>(it.bytes));
}
using WireValue = std::variant<Deleted, PathValue, ContentValue, Label>;
WireValue to_wire(const Value& value) {
  if (const auto* path = std::get_if<std::string>(&value)) return PathValue{*path};
  if (const auto* content = std::get_if<ContentValue>(&value)) return *content;
  if (const auto* label = std::get_if<Label>(&value)) return *label;
  return Deleted{};
}
Value from_wire(WireValue&& value) {
  if (auto* path = std::get_if<PathValue>(&value)) return std::move(path->bytes);
  if (const auto* content = std::get_if<ContentValue>(&value)) return *content;
  if (const auto* label = std::get_if<Label>(&value)) return *label;
  return Deleted{};
}

/// What a version's id hashes, in its order.
struct Identity {
  DocumentId document;
  Register reg{};
  WireValue value;
  std::vector<VersionId> replaces;
  std::uint32_t again{};
};
template <class A>
void serialize(A& archive, Identity& it) {
  archive(it.document, it.reg, it.value, archive::capped<op_replaces_most>(it.replaces), it.again);
}

}  // namespace

template <class A>
void serialize(A& archive, Op& it) {
  WireValue value = to_wire(it.value);
  archive(it.document, it.reg, value, archive::capped<op_replaces_most>(it.replaces), it.again, archive::capped<path_bytes_most>(it.at), it.side, it.source);
  it.value = from_wire(std::move(value));
}
template <class A>
void serialize(A& archive, Record& it) {
  archive(it.format, it.library, it.hlc, it.device, it.person, archive::capped<role_bytes_most>(it.role), it.policy, archive::capped<who_bytes_most>(it.who),
          archive::capped<text_bytes_most>(it.text), it.chain, archive::capped<record_ops_most>(it.ops));
}
template <class A>
void serialize(A& archive, SignedRecord& it) {
  archive(it.blind, archive::capped<record_bytes_most>(it.record), archive::capped<certificate_bytes_most>(it.certificate), it.signature);
}

namespace {

constexpr std::string_view version_domain = "dozo version 1";
constexpr std::string_view record_domain = "dozo record 1";
constexpr std::string_view commitment_domain = "dozo commitment 1";

/// SHA-256 of the domain's length (one byte), the domain and the bytes: no hash of one use is one of another.
Digest hash_in(std::string_view domain, ByteView bytes) {
  const auto size = static_cast<std::uint8_t>(domain.size());
  return crypto::sha256({ByteView(&size, 1), view_of(domain), bytes});
}

bool fits(Register reg, const Value& value) {
  if (is_deleted(value)) return true;
  switch (reg) {
    case Register::path: return std::holds_alternative<std::string>(value);
    case Register::content: return std::holds_alternative<ContentValue>(value);
    case Register::label: return std::holds_alternative<Label>(value);
  }
  return false;
}

/// What is wrong with an operation of a record with this stamp, or null.
const char* wrong_with(const Op& op, const Stamp& stamp) {
  if (op.reg > Register::label || !fits(op.reg, op.value)) return "a value that is none of its register";
  if (op.replaces.size() > op_replaces_most) return "too many replaced versions";
  if (!std::ranges::is_sorted(op.replaces, std::ranges::less_equal{})) return "replaced versions out of order";
  if (is_deleted(op.value) && op.replaces.empty()) return "a deletion of nothing";
  if (op.reg != Register::content) {
    if (!op.at.empty() || op.side || op.source) return "a place where no content is";
    return op.reg == Register::path && !is_deleted(op.value) && !good_path(std::get<std::string>(op.value)) ? "a path that cannot be" : nullptr;
  }
  if (!good_path(op.at)) return "a place that cannot be";
  if (op.side && (op.side->rank >= stamp || op.side->text != clean(op.side->text))) return "a side that cannot be";
  const auto* content = std::get_if<ContentValue>(&op.value);
  const bool has_bytes = content && content->kind != ContentKind::dir;
  if (has_bytes != op.source.has_value()) return "a content without its source, or a source without content";
  if (content && content->kind > ContentKind::dir) return "a kind of content that does not exist";
  if (content && content->executable && content->kind != ContentKind::file) return "what is no file is executable";
  if (content && content->kind == ContentKind::dir && !content->sha256.is_zero()) return "a dir with bytes";
  return nullptr;
}

}  // namespace

VersionId version_id(const Op& op) {
  const Digest digest = hash_in(version_domain, archive::encode(Identity{op.document, op.reg, to_wire(op.value), op.replaces, op.again}));
  VersionId out;
  std::ranges::copy_n(digest.bytes.begin(), VersionId::size, out.bytes.begin());
  return out;
}

Bytes encode(const Record& record) { return archive::encode(record); }
Result<Record> decode_record(ByteView bytes) {
  if (!bytes.empty() && bytes[0] != record_format) return fail(Fault::unsupported, "a record of format " + std::to_string(bytes[0]));
  return archive::decode<Record>(bytes, record_bytes_most, "record");
}
RecordId record_id(ByteView encoded) { return {hash_in(record_domain, encoded).bytes}; }
RecordId record_id(const Record& record) { return record_id(encode(record)); }

Result<void> well_formed(const Record& record, const RecordId& id) {
  if (record.format != record_format) return fail(Fault::malformed, "a record of another format");
  if (record.ops.empty()) return fail(Fault::malformed, "a record without operations");
  if (record.ops.size() > record_ops_most) return fail(Fault::malformed, "a record of too many operations");
  if (record.chain && (record.chain->parts < 2 || record.chain->part >= record.chain->parts)) return fail(Fault::malformed, "a part of no chain");
  const Stamp stamp{record.hlc, id};
  for (std::size_t i = 0; i < record.ops.size(); ++i) {
    if (const char* wrong = wrong_with(record.ops[i], stamp)) return fail(Fault::malformed, "operation " + std::to_string(i) + ": " + wrong);
  }
  return {};
}

Bytes encode(const SignedRecord& record) { return archive::encode(record); }
Result<SignedRecord> decode_signed_record(ByteView bytes) { return archive::decode<SignedRecord>(bytes, signed_record_bytes_most, "signed record"); }
Digest commitment(const SignedRecord& record) { return hash_in(commitment_domain, encode(record)); }

Result<SignedRecord> sign(const Record& record, Bytes certificate, const crypto::SigningKey& key, const FixedBytes<32, struct BlindTag>& blind) {
  SignedRecord out{blind, encode(record), std::move(certificate), {}};
  if (out.certificate.size() > certificate_bytes_most) return fail(Fault::over_limit, "a certificate of " + std::to_string(out.certificate.size()) + " bytes");
  TRY(decode_record(out.record));
  if (auto good = well_formed(record, record_id(out.record)); !good) return std::unexpected(std::move(good).error());
  out.signature = crypto::sign(key, record_domain, out.record);
  return out;
}
Result<void> verify(const SignedRecord& record, const crypto::VerifyKey& key) { return crypto::verify(key, record_domain, record.record, record.signature); }

}  // namespace dozo::store
