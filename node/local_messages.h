// Local messages: what `dozo` asks of the daemon of a home, and what it answers, as plain values. One request has one answer, but
// for `put`, whose answer may be preceded by any number of Progress.
//
// Not foreign in the sense of the wire (the socket lies in a directory of mode 0700), yet decoded with the same bounded archive: a
// client of another version must get one clear line, never a crash.
// A library is named by its title or by its id in hex. Paths are those shown, without a leading slash.
// Threads: values.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "crypto/identity.h"

namespace dozo::node::local {

inline constexpr std::uint16_t protocol_version = 7;
inline constexpr std::size_t read_bytes_most = 1U << 20;      ///< of one Read
inline constexpr std::size_t message_bytes_most = 40U << 20;  ///< of one request or answer

/// In which tags lie: they are documents, seen, moved, compared and deleted like others.
inline constexpr std::string_view tags_folder = ".dozo/tags";
inline std::string tag_path(std::string_view name) { return std::string(tags_folder) + "/" + std::string(name); }

// ---- requests --------------------------------------------------------------------------------------------------------
struct StatusRequest {};
struct PeersRequest {};
struct LibrariesRequest {};
struct ReplicasRequest {
  std::string library;
};
/// Entries of a folder ("" is the top) in byte order of their shown paths, from beyond `after`, at most `limit`.
struct ListRequest {
  std::string library, folder, after;
  bool recursive{};  ///< not of the past: that is listed folder by folder
  std::uint32_t limit{1000};
  std::string at{};  ///< a commit's whole id: as it was then; "": as it is now
};
struct LogRequest {
  std::string library, path;
  std::uint64_t before{};  ///< only commits below this number; 0: from the newest
  std::uint32_t limit{100};
  std::string at{};  ///< a commit's whole id: from that one on; "": from the newest
};
/// A state of the library: the commit with this id, or the only one whose id begins so; or what this tag names; without either the last that is not later than
/// `time_ms`, as writers say. Answered by a Log of that one.
struct CommitRequest {
  std::string library, id;
  std::int64_t time_ms{};
  std::string tag{};
};
/// Saves a tag under this name: what the library shows now.
struct TagRequest {
  std::string library, name, text;
};
/// What differs at or below `path` between two commits; without `from`, what the commit `to` changed; without `to`, until now. `skip`: how many to leave out.
/// Refused as unsupported where both are not commits of one line, as a tag's may be: whoever asks lists both.
struct DiffRequest {
  std::string library, path, from, to;
  std::uint64_t skip{};
  std::uint32_t limit{1000};
};
/// Saves what stood at or below `path` in that commit once more; `exact`: and removes what did not.
struct RestoreRequest {
  std::string library, path, at, text;
  bool exact{};
};
/// Saves a file, a symlink or a whole folder of this machine under `target` ("" : its own name at the top).
struct PutRequest {
  std::string library, source, target, text;
  std::vector<std::string> exclude;
  bool contents_only{};  ///< a folder's contents rather than the folder itself
  bool reread{};         ///< also what has not changed since it was saved, as far as its times tell
};
struct MoveRequest {
  std::string library, from, to, text;
};
struct RemoveRequest {
  std::string library, path, text;
  bool recursive{};
};
struct ConflictsRequest {
  std::string library;
};
/// Ends the conflicts of the document shown at `path`: with the content shown there, or (`use`) with that shown at another path of it.
struct ResolveRequest {
  std::string library, path, text;
  std::optional<std::string> use;
};
/// What is shown at `path`, for reading: answered by Stat.
struct StatRequest {
  std::string library, path;
  std::string at{};  ///< as in ListRequest
};
struct ReadRequest {
  std::string library;
  PieceId manifest;
  std::uint64_t offset{};
  std::uint32_t length{};
};
/// Authority documents to be checked and taken in, as a peer would offer them.
struct OfferRequest {
  std::vector<Bytes> envelopes;
};
/// A person's session: later saves are signed by it. When it is over, or where it does not cover the library, saves are refused, also by the next daemon of
/// the home: they are the node's again only after EndSessionRequest.
struct SessionRequest {
  Bytes certificate, signature, session_seed;
  std::string role, who;
};
struct EndSessionRequest {};
struct ExplainRequest {
  std::string who, action, library;
  std::int64_t time_ms{};  ///< 0: now
};
struct WhoCanRequest {
  std::string action, library;
  std::int64_t time_ms{};  ///< 0: now
};
/// Who and what is meant by these names, and which suspensions are known: for an officer, who signs ids and numbers.
struct SubjectsRequest {
  std::vector<std::string> nodes, people, libraries;
  std::vector<std::string> orgs, roles;  ///< that they are there
};
/// What a cut must name of a node, or of a person (the other is zero), to leave what it wrote in the view as it is here.
struct HeadsRequest {
  NodeId node;
  PersonId person;
};
/// The documents held, newest of each, for taking elsewhere.
struct DocumentsRequest {};
/// For a unit's administrators, who sign what is sealed with keys of the node. `plain`: a document to be judged and sealed; `envelope`: one to be opened and
/// judged; neither: what there is. Without a unit: what units have signed that no policy lists yet.
struct UnitRequest {
  std::string unit;
  Bytes plain, envelope;
};

using Request =
    std::variant<StatusRequest, PeersRequest, LibrariesRequest, ReplicasRequest, ListRequest, LogRequest, PutRequest, MoveRequest, RemoveRequest,
                 ConflictsRequest, ResolveRequest, StatRequest, ReadRequest, OfferRequest, SessionRequest, ExplainRequest, HeadsRequest, DocumentsRequest,
                 EndSessionRequest, CommitRequest, DiffRequest, RestoreRequest, TagRequest, WhoCanRequest, SubjectsRequest, UnitRequest>;

// ---- answers ---------------------------------------------------------------------------------------------------------
struct Refusal {
  std::uint8_t fault{};  ///< dozo::Fault
  std::string text;
};
struct Done {
  std::string text;
};
struct LibraryRow {
  LibraryId id;
  std::string title;    ///< empty where this node cannot read it
  std::string holding;  ///< full, blind, none
  std::uint32_t epoch{};
  std::uint64_t documents{}, entries{}, packs{}, pack_bytes{}, packs_missing{}, conflicts{}, refused{};
};
struct SessionRow {
  PersonId person;
  std::string role;
  std::int64_t until_ms{};
  std::string state;                 ///< active, over (in time), lost (with the daemon that had it)
  std::vector<LibraryId> libraries;  ///< none: all
};
struct Status {
  NodeId node;
  std::string name, kind, state;  ///< state: fresh, stale, expired, locked
  RealmId realm;
  std::uint64_t policy{}, freshness{};
  std::int64_t time_ms{};  ///< which the node goes by: its clock's, or headquarters' where that is later
  std::uint32_t peers_up{}, peers{};
  std::uint64_t sent_bytes{}, received_bytes{};
  std::vector<LibraryRow> libraries;
  std::vector<std::string> notices;
  std::optional<SessionRow> session;  ///< begun and not ended by a person
};
struct PeerRow {
  NodeId id;
  std::string name, kind, zone, address;
  bool up{};
  std::uint64_t sent_bytes{}, received_bytes{};
};
struct Peers {
  std::vector<PeerRow> rows;
};
struct Libraries {
  std::vector<LibraryRow> rows;
};
struct ReplicaRow {
  NodeId node;
  std::string name, holding, statement;  ///< statement: none, held, opened
  std::uint64_t number{};
  std::int64_t time_ms{};
  std::uint64_t entries_behind{};  ///< of what this node holds
};
struct Replicas {
  std::vector<ReplicaRow> rows;
  std::uint32_t copies_wanted{};
  bool is_protected{};
};
struct ListRow {
  std::string path;  ///< shown; a folder's ends in /
  std::string kind;  ///< file, symlink, folder
  DocumentId document;
  PieceId manifest;
  Digest sha256;
  std::uint64_t size{};
  std::int64_t time_ms{};  ///< of the save
  bool executable{}, in_conflict{};
};
struct Listing {
  std::vector<ListRow> rows;
  bool more{};
};
struct LogRow {
  std::uint64_t number{};
  std::string commit, author, text;
  PersonId person;  ///< zero: the node by itself
  NodeId device;
  std::string role;
  std::int64_t time_ms{};
  std::vector<std::string> paths;
  bool paths_cut{};
};
struct Log {
  std::vector<LogRow> rows;
  bool more{};
};
struct DifferenceRow {
  std::string path;                      ///< a folder's own document's ends in /
  std::optional<ListRow> before, after;  ///< without their paths
};
struct Differences {
  std::vector<DifferenceRow> rows;
  bool more{};
};
struct Progress {
  std::uint64_t files{}, bytes{}, files_total{}, bytes_total{};
};
struct Saved {
  std::uint64_t files{}, unchanged{}, bytes{}, new_bytes{}, records{};
  std::uint64_t removed{};  ///< by restore
  FeedId feed;
  Sequence sequence;
  std::vector<std::string> skipped;  ///< one line each: the thing and why
  // In whose name, of the last record; empty where there was nothing to save.
  PersonId person;  ///< zero: the node itself
  std::string role, who;
};
struct ConflictRow {
  std::string kind, path;
  DocumentId document;
  std::vector<std::string> paths;  ///< all that is shown of it
};
struct Conflicts {
  std::vector<ConflictRow> rows;
};
struct Stat {
  ListRow row;
  std::uint32_t mode{};
  std::int64_t modified_ns{};
};
struct Data {
  Bytes bytes;
};
struct Offered {
  std::vector<std::string> refused;  ///< one line each
  std::uint64_t policy{};
};
struct Explained {
  bool allowed{};
  std::string text;
};
struct AbleRow {
  std::string name, shown, role, org;  ///< as policy::Able has them
  std::vector<std::string> permits;
};
struct Able {
  static constexpr std::size_t rows_most = 10'000;  ///< the first of more
  std::vector<AbleRow> rows;
  bool more{};
  std::uint64_t policy{};
};
struct Subjects {
  std::vector<NodeId> nodes;  ///< in the order of the request
  std::vector<PersonId> people;
  std::vector<LibraryId> libraries;
  std::vector<Bytes> suspensions;  ///< envelopes
};
struct HeadRow {
  FeedId feed;
  Sequence sequence;
  Digest root;
};
struct Heads {
  std::vector<HeadRow> rows;         ///< of feeds with something of it in the view; without keys, of those in which there may be
  std::vector<LibraryId> libraries;  ///< that are held here: of others nothing is known
};
struct Documents {
  std::vector<Bytes> envelopes;
};
struct Unit {
  std::vector<crypto::VerifyKey> keys;  ///< that sign for it
  std::uint32_t threshold{};
  std::uint64_t listed{};        ///< the version that the policy in force lists; 0: none
  Bytes newest;                  ///< the newest that is known, plain; empty: none
  Bytes plain;                   ///< of the one that was to be opened
  Bytes sealed;                  ///< payload to be signed, of the one that was to be sealed
  std::vector<Bytes> envelopes;  ///< without a unit
};

using Answer = std::variant<Done, Refusal, Status, Peers, Libraries, Replicas, Listing, Log, Progress, Saved, Conflicts, Stat, Data, Offered, Explained, Heads,
                            Documents, Differences, Able, Subjects, Unit>;

Bytes encode_request(const Request& request);
Result<Request> decode_request(ByteView bytes);
Bytes encode_answer(const Answer& answer);
Result<Answer> decode_answer(ByteView bytes);

}  // namespace dozo::node::local
