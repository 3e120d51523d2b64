// Record: one signed change to a library: who made it, in what capacity, under which policy, and what it does to documents.
//
// docs/storage-format.md section 3 has the encoding. A record says nothing about where it is stored: no pack, no epoch, no feed. It is
// the same record whichever feed carries it, however often.
// Not here: whether a record counts (accept.h), what the library then looks like (view.h).
// Threads: plain values and pure functions.
#pragma once
#include <compare>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "crypto/identity.h"

namespace dozo::store {

inline constexpr std::uint8_t record_format = 1;
inline constexpr std::size_t record_bytes_most = 256 * 1024;
inline constexpr std::size_t record_ops_most = 1000;
inline constexpr std::size_t op_replaces_most = 4096;
/// So that `who` and a time are together at most who_shown_bytes_most (names.h): a sibling file's whole name can be copied into a Side.
inline constexpr std::size_t who_bytes_most = 78;
inline constexpr std::size_t role_bytes_most = 64;
inline constexpr std::size_t text_bytes_most = 4096;
inline constexpr std::size_t certificate_bytes_most = 16 * 1024;
inline constexpr std::size_t signed_record_bytes_most = record_bytes_most + certificate_bytes_most + 256;

/// Where a record stands among all records of its library: the writer's hybrid time (milliseconds << 16 | counter), then its hash.
struct Stamp {
  std::uint64_t hlc{};
  RecordId record;
  friend auto operator<=>(const Stamp&, const Stamp&) = default;
};
inline std::int64_t time_ms(std::uint64_t hlc) { return static_cast<std::int64_t>(hlc >> 16); }

/// What an operation sets. A document has one of each.
enum class Register : std::uint8_t { path, content, label };
constexpr Register wire_last(Register) { return Register::label; }
inline constexpr std::size_t register_count = 3;

enum class ContentKind : std::uint8_t { file, symlink, dir };
constexpr ContentKind wire_last(ContentKind) { return ContentKind::dir; }

/// A content as far as two contents are the same or not: never its times, nor how it was cut into pieces. A symlink's bytes are its target.
struct ContentValue {
  ContentKind kind{};
  Digest sha256;      ///< of the whole; zero for dir
  bool executable{};  ///< files only
  friend auto operator<=>(const ContentValue&, const ContentValue&) = default;
};
inline constexpr ContentValue dir_value{ContentKind::dir, {}, false};

/// The document's path or content is gone; for a label: it has none.
struct Deleted {
  friend auto operator<=>(const Deleted&, const Deleted&) = default;
};
struct Label {
  std::uint32_t number{};
  friend auto operator<=>(const Label&, const Label&) = default;
};
using Value = std::variant<Deleted, std::string, ContentValue, Label>;  ///< the string is a path, as bytes
inline bool is_deleted(const Value& value) { return std::holds_alternative<Deleted>(value); }

/// The identity of the sibling file (`name (conflict, TEXT TAG).ext`) through which a save went: the saved version keeps its place and name.
struct Side {
  Stamp rank;
  std::string text;  ///< "大阪 佐藤 2026-11-23 14.05", clean
  VersionId tag;     ///< whose base 32 text stands in the name (a document's id in the case of two documents at one name)
  friend auto operator<=>(const Side&, const Side&) = default;
};

/// Where a content is found and how long it is. No part of what it *is*: two people who save the same bytes make one version, with the source of
/// the smallest-stamped.
struct Source {
  PieceId manifest;
  std::uint64_t size_bytes{};  ///< as the writer says; the manifest is the measure
  friend auto operator<=>(const Source&, const Source&) = default;
};

/// Sets one register of one document, replacing the versions that the writer was shown.
struct Op {
  DocumentId document;
  Register reg{};
  Value value;
  std::vector<VersionId> replaces;  ///< ascending, each once
  std::uint32_t again{};            ///< 0; counted up while the id is one that the writer's view has replaced (View::anew)
  // Of content alone, and no part of the version's id:
  std::string at;  ///< the document's path as shown to the writer
  std::optional<Side> side;
  std::optional<Source> source;  ///< of a file or symlink, and only of those
  bool operator==(const Op&) const = default;
};

/// First half of SHA-256 over (document, register, value, replaces, again): who does the same to the same makes the same version.
/// Needs `replaces` ascending.
VersionId version_id(const Op& op);

/// A record that is part of an act too long for one.
struct Chain {
  FixedBytes<16, struct ActIdTag> act;  ///< random
  std::uint32_t part{};                 ///< from 0
  std::uint32_t parts{};                ///< at least 2
  bool operator==(const Chain&) const = default;
};

struct Record {
  std::uint8_t format = record_format;
  LibraryId library;
  std::uint64_t hlc{};
  NodeId device;     ///< that made and stamped it; a desk too
  PersonId person;   ///< zero: the node's own capacity `service`
  std::string role;  ///< the capacity acted in, at most 64 bytes
  PolicyVersion policy;
  std::string who;   ///< "bureau name" for names and history, at most 78 bytes: nodes differ in whose names they may look up
  std::string text;  ///< what the writer says about it, at most 4096 bytes; may be empty
  std::optional<Chain> chain;
  std::vector<Op> ops;  ///< 1 to 1000
  bool operator==(const Record&) const = default;
};

Bytes encode(const Record& record);
/// Faults: over_limit, malformed, unsupported (a newer format). Encodes to the same bytes; well_formed() is a question of its own.
Result<Record> decode_record(ByteView bytes);
/// SHA-256 of the record's encoding under its own domain. The stamp is {record.hlc, this}.
RecordId record_id(ByteView encoded);
RecordId record_id(const Record& record);

/// All that a record must keep to by itself, beyond its encoding: its size, values that fit their registers, deletions that replace something, good
/// paths, ascending replaced ids, a side below the record's own stamp with clean text, a dir without bytes. Fault: malformed.
Result<void> well_formed(const Record& record, const RecordId& id);

/// A record as it is stored and sent.
struct SignedRecord {
  FixedBytes<32, struct BlindTag> blind;  ///< random: without it the commitment in the entry says nothing about the record
  Bytes record;                           ///< encode(Record)
  Bytes certificate;                      ///< of the person's session for that device; empty in capacity `service` (the node signs)
  crypto::Signature signature;
  bool operator==(const SignedRecord&) const = default;
};
Bytes encode(const SignedRecord& record);
Result<SignedRecord> decode_signed_record(ByteView bytes);  ///< Faults: over_limit, malformed. Checks neither signature nor inner record.
/// What a change entry names: SHA-256 over the blind and everything else of the signed record, under its own domain.
Digest commitment(const SignedRecord& record);

/// Signs with the session's or the node's key. Fault: malformed, over_limit (nobody would accept the record; a longer act is a chain).
Result<SignedRecord> sign(const Record& record, Bytes certificate, const crypto::SigningKey& key, const FixedBytes<32, struct BlindTag>& blind);
/// Fault: not_authentic. Whose key it must be is for the caller to know: the certificate's, or the device's own.
Result<void> verify(const SignedRecord& record, const crypto::VerifyKey& key);

}  // namespace dozo::store
