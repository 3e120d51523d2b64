// Messages: what nodes say to each other, as plain values, and their bytes. docs/wire-protocol.md says when each is sent and what a receiver refuses.
//
// One message is one byte of protocol, then a variant (base/archive.h). Foreign bytes are parsed here alone.
// Not here: what a message leads to (sync.h), links and their keys (the transport).
// Threads: plain values and pure functions.
#pragma once
#include <array>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"

namespace dozo::sync {

inline constexpr std::uint8_t protocol_version = 3;
inline constexpr std::size_t control_bytes_most = 1U << 20;
inline constexpr std::size_t slice_bytes_most = 64U << 10;
inline constexpr std::size_t bulk_bytes_most = slice_bytes_most + 256;
inline constexpr std::size_t introduction_bytes_most = 256U << 10;

inline constexpr std::size_t documents_most = 256;              ///< wanted or given at a time
inline constexpr std::size_t strangers_documents_most = 16;     ///< given to a stranger at a time, and looked at of a stranger's
inline constexpr std::size_t document_bytes_most = 900U << 10;  ///< of one that is given whole; larger ones come in parts
inline constexpr std::size_t document_part_bytes_most = 512U << 10;
inline constexpr std::size_t document_parts_most = 16;  ///< given at a time
inline constexpr std::size_t whole_document_bytes_most = 34U << 20;
inline constexpr std::size_t libraries_most = 10'000;  ///< as many as a mesh may have
inline constexpr std::size_t feeds_most = 4096;        ///< in one answer
inline constexpr std::size_t entries_most = 1000;
inline constexpr std::size_t entry_bytes_most = 64U << 10;
inline constexpr std::size_t note_bytes_most = 1024;
inline constexpr std::size_t proof_hashes_most = 128;
inline constexpr std::size_t statements_most = 4096;
inline constexpr std::size_t statement_bytes_most = 640U << 10;
inline constexpr std::size_t subject_bytes_most = 128;
inline constexpr std::size_t bucket_count = 64;

/// Which of two sockets a message goes over. Nothing relies on order between them.
enum class Channel : std::uint8_t { control, bulk };

/// How far the authority's documents are known.
struct DocumentVersions {
  std::uint64_t root{}, policy{}, freshness{};
  Digest policy_sha256;  ///< of the snapshot of that policy: two of one version are two faces of headquarters
  Digest suspensions;    ///< over what no snapshot lists: suspensions, then documents of units (policy::Trust::unlisted)
  bool operator==(const DocumentVersions&) const = default;
};

/// Where the sender stands; says nothing about a library that the receiver does not hold. Sent when a link comes up, after changes, and now and then.
struct State {
  RealmId realm;
  DocumentVersions documents;
  Digest libraries;  ///< over the LibraryStates of all libraries that both hold
};

struct DocumentWant {
  std::string name;  ///< "mesh", "grants/..."
  std::uint64_t version{};
  bool or_later{};               ///< freshness: whatever is newest, from this version on
  std::optional<Digest> sha256;  ///< of the envelope
  std::uint32_t offset{};        ///< from where on, of one that comes in parts; those before are here
  bool operator==(const DocumentWant&) const = default;
};
struct DocumentsWanted {
  std::vector<DocumentWant> wants;
  bool suspensions{};  ///< all that no snapshot lists
};
/// Of an envelope that is larger than document_bytes_most, and was asked for by its hash.
struct DocumentPart {
  Digest sha256;  ///< of the whole
  std::uint32_t total{}, offset{};
  Bytes bytes;
  bool operator==(const DocumentPart&) const = default;
};
struct DocumentsGiven {
  std::vector<Bytes> envelopes;
  std::vector<DocumentPart> parts{};
};

struct LibraryState {
  LibraryId library;
  Digest feeds, statements;
  bool operator==(const LibraryState&) const = default;
};
struct LibraryStates {
  std::vector<LibraryState> libraries;  ///< ascending
  bool answer{};                        ///< to the receiver's own, with those alone that differ
};
/// Asks for what differs: the sender's own hashes, for each bucket of feeds.
struct LibraryWanted {
  LibraryId library;
  std::array<std::uint64_t, bucket_count> buckets{};  ///< first 8 bytes of each bucket's hash
  bool feeds{}, statements{};
  NodeId after_signer;  ///< statements above this one alone
  std::string after_subject;
};
struct FeedPoint {
  FeedId feed;
  Sequence sequence;
  Digest root;
  friend auto operator<=>(const FeedPoint&, const FeedPoint&) = default;
};
/// An answer, or news: feeds that have just grown.
struct FeedHeads {
  LibraryId library;
  std::vector<FeedPoint> feeds;  ///< ascending
};
/// Asks for what leads to that point.
struct EntriesWanted {
  FeedPoint point;
  Sequence from;
};
struct EntriesGiven {
  FeedPoint point;  ///< as it was asked; the head may be further on
  Sequence from;
  std::vector<Bytes> entries;  ///< none: the sender has none from there on
  std::string head_note;
  std::vector<Digest> proof;  ///< from the last of these entries to the head
};

struct StatementMark {
  NodeId signer;
  std::string subject;
  std::uint64_t number{};
  friend auto operator<=>(const StatementMark&, const StatementMark&) = default;
};
/// An answer, or news.
struct StatementMarks {
  LibraryId library;
  std::vector<StatementMark> marks;  ///< ascending
  bool more{};                       ///< above these; only in an answer
};
struct StatementWanted {
  LibraryId library;
  NodeId signer;
  std::string subject;
};
struct StatementGiven {
  LibraryId library;
  NodeId signer;
  std::string subject;
  std::uint64_t number{};
  Bytes bytes;
};

/// Packs, and lists of packs, by the SHA-256 of their bytes.
enum class ObjectKind : std::uint8_t { pack, list };
constexpr ObjectKind wire_last(ObjectKind) { return ObjectKind::list; }
struct ObjectId {
  LibraryId library;
  ObjectKind kind{};
  Digest sha256;
  friend auto operator<=>(const ObjectId&, const ObjectId&) = default;
};
struct SliceWanted {
  ObjectId object;
  std::uint32_t offset{};  ///< a multiple of slice_bytes_most
};
struct SliceGiven {
  ObjectId object;
  std::uint32_t offset{};
  std::uint32_t size_bytes{};  ///< of the whole
  Bytes bytes;
};
struct ObjectUnavailable {
  ObjectId object;
};

/// All that a stranger is told, and only one that pushed a validly signed document of this realm.
struct Versions {
  RealmId realm;
  std::uint64_t root{}, policy{}, freshness{};
};

using Message = std::variant<ObjectUnavailable, State, DocumentsWanted, DocumentsGiven, LibraryStates, LibraryWanted, FeedHeads, EntriesWanted, EntriesGiven,
                             StatementMarks, StatementWanted, StatementGiven, SliceWanted, SliceGiven, Versions>;

Bytes encode(const Message& message);
/// Faults: over_limit, malformed, unsupported (another protocol, or a kind that this build does not know).
Result<Message> decode(ByteView bytes, std::size_t bytes_most);

}  // namespace dozo::sync
