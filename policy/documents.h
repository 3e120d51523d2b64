// Documents: what each of the authority's documents says, as plain values, and the strict reading and writing of their payloads.
//
// docs/policy.md is the specification. A payload is read only after its envelope was verified (envelope.h), the root chain excepted.
// One value has one payload as written here, but a reader goes by meaning, not by bytes: what is signed and hashed are bytes as shipped.
// Not here: whether a document is the newest, or fits the others (trust.h); what it allows (policy.h).
// Threads: plain values and pure functions.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "crypto/identity.h"

namespace dozo::policy {

enum class DocumentType : std::uint8_t { root, mesh, directory, epochs, grants, snapshot, freshness, suspend, org, slice };
std::string_view name_of(DocumentType type);
std::optional<DocumentType> document_type(std::string_view name);
/// The most bytes that a payload, and a whole envelope, of this type may have.
std::size_t payload_bytes_most(DocumentType type);
std::size_t envelope_bytes_most(DocumentType type);

/// HQ's signing roles. Each document has the one that signs it, but for `org`: that is signed by the keys which the mesh delegates to.
enum class SigningRole : std::uint8_t { root, policy, key_authority, snapshot, freshness, emergency };
inline constexpr std::size_t signing_role_count = 6;
std::string_view name_of(SigningRole role);
SigningRole signer_of(DocumentType type);  ///< not of an org

/// The pseudo-library under whose epochs the directory is sealed.
inline constexpr LibraryId directory_library{};

inline constexpr std::int64_t day_s = 24 * 60 * 60;
/// What people write and read is time of Japan: so much ahead of UTC.
inline constexpr std::int64_t japan_s = 9 * 60 * 60;

/// How long an officer's suspension is good, and for how long in how many days one that stops most of the realm counts.
inline constexpr std::int64_t suspend_s_most = 14 * day_s, wide_s_most = 4 * 60 * 60, wide_window_s = 7 * day_s;

/// What all documents but root begin with. Times are seconds since 1970.
struct Header {
  RealmId realm;
  std::uint64_t version{};  ///< from 1
  std::int64_t issued_s{}, expires_s{};
  bool operator==(const Header&) const = default;
};

// ---- root ------------------------------------------------------------------------------------------------------------
struct RoleKeys {
  std::vector<crypto::VerifyKey> keys;  ///< distinct, proper points, ascending
  std::uint32_t threshold{};            ///< 1..number of keys
  bool operator==(const RoleKeys&) const = default;
};
struct Root {
  std::string name;              ///< of the realm, for people
  std::optional<RealmId> realm;  ///< in every root but the first, whose payload it hashes
  std::uint64_t version{};
  std::int64_t issued_s{}, expires_s{};
  std::map<SigningRole, RoleKeys> roles;  ///< all of them
  crypto::SealPublicKey admission;        ///< the key authority opens what is sealed to it
  crypto::SealPublicKey recovery;         ///< its private half exists as shares only
  const RoleKeys& keys_of(SigningRole role) const { return roles.at(role); }
  bool operator==(const Root&) const = default;
};

// ---- mesh ------------------------------------------------------------------------------------------------------------
enum class NodeKind : std::uint8_t { hq, bureau, vault, desk };
enum class Holding : std::uint8_t { none, blind, partial, full };
enum class NameRules : std::uint8_t { portable, linux };
std::string_view name_of(NodeKind kind);
std::string_view name_of(Holding holding);
std::string_view name_of(NameRules rules);

struct Addresses {
  std::string control, bulk, introduce;  ///< ZeroMQ endpoints ("tcp://host:port"); empty: none, the node only calls others
  bool operator==(const Addresses&) const = default;
};
struct MeshNode {
  crypto::NodePublic keys;  ///< id and public keys
  std::string name;         ///< [a-z0-9-], unique in the realm
  NodeKind kind{};
  std::string zone;
  Addresses addresses;
  std::optional<NodeId> served_by;  ///< desks only: its bureau
  bool is_sliced{};                 ///< bureaus only: of the directory it gets what bears on its libraries (slice.h)
  bool operator==(const MeshNode&) const = default;
};
struct Member {
  NodeId node;
  Holding holding{};  ///< not none
  bool may_write{};   ///< has feeds; never with a blind holding
  std::uint64_t quota_bytes{};
  bool operator==(const Member&) const = default;
};
struct Duty {
  std::uint32_t copies{1};    ///< nodes that must hold the library
  std::uint32_t zones{1};     ///< in at least so many zones
  std::uint32_t keyed{1};     ///< of the copies, with keys
  std::uint32_t fresh_s{};    ///< a receipt older than this warns; 0: never
  std::uint32_t keep_days{};  ///< how long replaced versions stay at least; 0: for ever
  bool operator==(const Duty&) const = default;
};
/// A place in a feed: the log of the first `sequence` entries has this root. Sequence 0 has the root of the empty log.
struct FeedPoint {
  NodeId node;
  IncarnationId incarnation;
  Sequence sequence;
  Digest root;
  bool operator==(const FeedPoint&) const = default;
};
using CutSubject = std::variant<NodeId, PersonId>;  ///< a node is meant as sequencer and as device
/// Ends what its subject wrote in the library, and nobody else: entries beyond the point that its feed has in `ends` (feeds not named: all
/// entries) which name a policy older than `since`.
struct Cut {
  PolicyVersion since;
  CutSubject subject;
  std::vector<FeedPoint> ends;
  bool operator==(const Cut&) const = default;
};
/// Raises the cut of that version and subject for one feed.
struct Admit {
  PolicyVersion cut;
  CutSubject subject;
  FeedPoint up_to;
  bool operator==(const Admit&) const = default;
};
struct MeshLibrary {
  LibraryId id;
  NodeId home;
  Epoch epoch;  ///< current: new packs are sealed in it
  NameRules names{};
  std::uint16_t view_rules{1};
  bool locks{};  ///< closed to reading and writing at a node that is `locked` (trust.h)
  Duty duty;
  std::vector<Member> members;  ///< ascending by node
  std::vector<Cut> cuts;
  std::vector<Admit> admits;
  bool operator==(const MeshLibrary&) const = default;
};
/// Whom and what a suspension, or a stop by the policy role, is about. Each list ascending.
struct Stopped {
  std::vector<NodeId> nodes;
  std::vector<PersonId> people;
  std::vector<std::string> orgs, roles;  ///< whoever holds a post there, or with that role, now: judged by nodes that can open the directory
  std::vector<LibraryId> libraries;
  bool realm{};  ///< every library
  bool operator==(const Stopped&) const = default;
  bool is_empty() const { return nodes.empty() && people.empty() && orgs.empty() && roles.empty() && libraries.empty() && !realm; }
  /// Whether all that `it` names is named here.
  bool covers(const Stopped& it) const;
};
/// A suspension that the policy role has made its own.
struct MeshStop {
  Stopped whom;
  std::int64_t from_s{}, until_s{};  ///< 0: at once; until a publication without it
  std::string reason;
  bool operator==(const MeshStop&) const = default;
};
/// Ends what an officer has signed, up to that number.
struct Lift {
  crypto::VerifyKey officer;
  std::uint64_t up_to{};
  bool operator==(const Lift&) const = default;
};
/// When work in a library at a node is open, in a week of Japan. Where any of these is about the node and the library, it is open in these windows alone.
struct Hours {
  std::vector<NodeId> nodes;                      ///< none: all
  std::vector<LibraryId> libraries;               ///< none: all
  std::vector<std::uint32_t> days;                ///< 1 Monday to 7 Sunday, ascending
  std::uint32_t opens_minute{}, closes_minute{};  ///< of the day, at most 1440
  std::vector<std::string> except_roles;          ///< who works at any time
  bool operator==(const Hours&) const = default;
};
/// An interruption that was announced.
struct Closure {
  std::vector<NodeId> nodes;         ///< none: all
  std::vector<LibraryId> libraries;  ///< none: all
  std::int64_t from_s{}, until_s{};
  std::string reason;
  std::vector<std::string> except_roles;
  bool operator==(const Closure&) const = default;
};
/// Of the id of a unit to which something is delegated: its document's name has at most 64.
inline constexpr std::size_t delegated_org_bytes_most = 60;
/// A unit whose own administrators sign its posts, people and desks (OrgDocument).
struct Delegation {
  std::string org;
  RoleKeys keys;
  std::vector<std::string> roles;  ///< that its posts may have, ascending
  std::vector<NodeId> nodes;       ///< ascending: at which what it signs is honoured before HQ lists it, and which may serve its desks
  bool operator==(const Delegation&) const = default;
};
struct Mesh {
  Header header;
  std::int64_t hq_time_most_s{};       ///< a later hq_time in freshness is ignored
  std::uint32_t locked_after_s{};      ///< without fresh word from HQ for so long a node is `locked`; 0: never
  std::vector<MeshNode> nodes;         ///< ascending by id
  std::vector<MeshLibrary> libraries;  ///< ascending by id
  std::vector<MeshStop> stops;
  std::vector<Lift> lifts;  ///< ascending by officer
  std::vector<Hours> hours;
  std::vector<Closure> closures;
  std::vector<Delegation> delegations;                       ///< ascending by org
  const Delegation* delegation(std::string_view org) const;  ///< null: none
  bool operator==(const Mesh&) const = default;
};

// ---- directory -------------------------------------------------------------------------------------------------------
enum class Action : std::uint8_t { discover, read, write, replicate, carry_out, administer };
std::string_view name_of(Action action);
std::optional<Action> action_named(std::string_view name);

/// What kind of unit: bureau, institution, base.
struct OrgClass {
  std::string id, title;
  bool operator==(const OrgClass&) const = default;
};
struct Org {
  std::string id, title;
  std::string parent{}, kind{};  ///< the unit above it and its class; or none
  bool operator==(const Org&) const = default;
};
struct Post {
  std::string id, title, org;
  std::vector<std::string> roles;
  bool operator==(const Post&) const = default;
};
/// A post held for a time. 0: without beginning, without end.
struct Tenure {
  std::string post;
  std::int64_t from_s{}, until_s{};
  bool operator==(const Tenure&) const = default;
};
struct Person {
  PersonId id;
  std::string name;   ///< how rules and tests name the person
  std::string shown;  ///< how people do
  crypto::VerifyKey key;
  std::vector<Tenure> tenures;
  bool operator==(const Person&) const = default;
};
struct LibraryTitle {
  LibraryId id;
  std::string name, title;
  std::optional<std::uint32_t> ceiling{};  ///< nothing with a greater label is written there; nothing: any
  bool operator==(const LibraryTitle&) const = default;
};
struct LabelName {
  std::uint32_t number{};  ///< from 1; 0 is "no label"
  std::string name;
  bool operator==(const LabelName&) const = default;
};
/// Matches a request when every condition that is not empty matches. A condition about something that the request does not say is an error.
struct Rule {
  std::string id;
  std::vector<PersonId> people;
  std::vector<std::string> roles, posts, orgs;
  std::vector<NodeId> nodes;  ///< at which the act is done
  std::vector<Action> actions;
  std::vector<LibraryId> libraries;
  std::vector<std::uint32_t> labels;    ///< 0: without a label
  std::int64_t from_s{}, until_s{};     ///< 0: without beginning, without end
  std::vector<std::string> classes{};   ///< of the unit; `orgs` are that unit or one above it
  std::vector<std::string> acted_as{};  ///< roles in one of which this same person has acted in the matter before
  bool operator==(const Rule&) const = default;
};
struct PolicyTest {
  std::string id;
  PersonId person;  ///< zero: the capacity `service`
  std::string role, org;
  NodeId node;
  Action action{};
  LibraryId library;
  std::optional<std::uint32_t> label;
  std::int64_t time_s{};
  bool allowed{};
  std::optional<std::vector<std::string>> acted_as{};  ///< nothing: not said, and rules about it are in error
  bool operator==(const PolicyTest&) const = default;
};
struct Directory {
  Header header;
  std::vector<LibraryTitle> libraries;
  std::vector<LabelName> labels;  ///< ascending by number
  std::vector<OrgClass> classes;
  std::vector<Org> orgs;
  std::vector<Post> posts;
  std::vector<Person> people;  ///< ascending by id
  std::vector<Rule> permits, forbids;
  std::vector<PolicyTest> tests;
  bool operator==(const Directory&) const = default;
};
/// The directory as it travels: readable by whoever has the key of its generation.
struct SealedDirectory {
  Header header;
  Epoch generation;  ///< epoch of directory_library
  Bytes sealed;
  bool operator==(const SealedDirectory&) const = default;
};

// ---- org -------------------------------------------------------------------------------------------------------------
/// What a unit's administrators say, and nothing else: posts in it and in units below it, people who hold these, and desks.
struct OrgDocument {
  Header header;
  std::string org;
  std::vector<Post> posts;
  std::vector<Person> people;   ///< ascending by id
  std::vector<MeshNode> desks;  ///< ascending by id
  bool operator==(const OrgDocument&) const = default;
};
/// As it travels: readable by whoever can read the directory.
struct SealedOrg {
  Header header;
  std::string org;
  Epoch generation;  ///< epoch of directory_library
  Bytes sealed;
  bool operator==(const SealedOrg&) const = default;
};

/// What a contractor's node gets of the directory, as it travels. Inside is a directory.
struct SealedSlice {
  Header header;
  std::string node;  ///< its name
  Epoch generation;  ///< epoch of slice_library
  Bytes sealed;
  bool operator==(const SealedSlice&) const = default;
};
/// The pseudo-library under whose epochs that node's slice is sealed: the same when the node is replaced.
LibraryId slice_library(const RealmId& realm, std::string_view node);
/// Of the name of a node with a slice: its document's name has at most 64.
inline constexpr std::size_t sliced_node_bytes_most = 58;

// ---- epochs, grants --------------------------------------------------------------------------------------------------
struct EpochEntry {
  Epoch epoch;
  Digest commitment;
  Bytes predecessor;  ///< key of epoch - 1 under this one; empty in the first
  Bytes admission;    ///< this key, sealed to root's admission key
  Bytes recovery;     ///< this key, sealed to root's recovery key
  bool operator==(const EpochEntry&) const = default;
};
struct LibraryEpochs {
  LibraryId library;
  std::vector<EpochEntry> epochs;  ///< 1, 2, 3 ... without a gap
  bool operator==(const LibraryEpochs&) const = default;
};
struct Epochs {
  Header header;
  std::vector<LibraryEpochs> libraries;  ///< ascending by id
  const LibraryEpochs* find(const LibraryId& library) const;
  bool operator==(const Epochs&) const = default;
};
struct Grant {
  LibraryId library;
  Epoch epoch;  ///< the newest: those before it follow by their predecessors
  Bytes sealed;
  bool operator==(const Grant&) const = default;
};
struct Grants {
  Header header;
  NodeId node;
  std::vector<Grant> grants;  ///< ascending by library
  bool operator==(const Grants&) const = default;
};

// ---- snapshot, freshness, suspend ------------------------------------------------------------------------------------
struct Listing {
  std::uint64_t version{};
  std::uint64_t length{};  ///< of the envelope
  Digest sha256;           ///< of the envelope
  bool operator==(const Listing&) const = default;
};
struct Snapshot {
  Header header;                             ///< its version is the policy version
  std::optional<Listing> previous;           ///< the snapshot before it; none in the first
  std::map<std::string, Listing> documents;  ///< by name: every one but root, snapshot, freshness and suspend
  bool operator==(const Snapshot&) const = default;
};
struct Freshness {
  Header header;             ///< version: its time in seconds, or one more than the last where the clock went back
  std::int64_t hq_time_s{};  ///< not above the version
  Listing snapshot;
  bool operator==(const Freshness&) const = default;
};
struct Suspend {
  Header header;  ///< the version counts for the one key that signs it; at most suspend_s_most long
  Stopped whom;
  std::string reason;
  bool operator==(const Suspend&) const = default;
};

/// Reading: strict JSON of the shape in docs/policy.md, and all that can be told from the one document alone. Faults: over_limit, malformed.
Result<Root> parse_root(ByteView payload);
Result<Mesh> parse_mesh(ByteView payload);
Result<SealedDirectory> parse_sealed_directory(ByteView payload);
Result<Directory> parse_directory(ByteView plain);
/// A part of one: people stand in it whose last post is over, as a unit may still name them.
Result<Directory> parse_slice(ByteView plain);
Result<Epochs> parse_epochs(ByteView payload);
Result<Grants> parse_grants(ByteView payload);
Result<Snapshot> parse_snapshot(ByteView payload);
Result<Freshness> parse_freshness(ByteView payload);
Result<Suspend> parse_suspend(ByteView payload);
Result<SealedOrg> parse_sealed_org(ByteView payload);
Result<OrgDocument> parse_org(ByteView plain);
Result<SealedSlice> parse_sealed_slice(ByteView payload);

/// Writing. What the value says is not judged: parse what comes out to know that it can be read.
Bytes format(const Root& it);
Bytes format(const Mesh& it);
Bytes format(const SealedDirectory& it);
Bytes format(const Directory& it);
Bytes format(const Epochs& it);
Bytes format(const Grants& it);
Bytes format(const Snapshot& it);
Bytes format(const Freshness& it);
Bytes format(const Suspend& it);
Bytes format(const SealedOrg& it);
Bytes format(const OrgDocument& it);
Bytes format(const SealedSlice& it);

/// The document's name in a snapshot and an envelope: that of its type; for grants "grants/" and the node's id; for an org "org/" and the unit's; for a slice
/// "slice/" and the node's name.
std::string grants_name(const NodeId& node);
std::string org_name(std::string_view org);
bool is_org_name(std::string_view name);
std::string slice_name(std::string_view node);
bool is_slice_name(std::string_view name);

}  // namespace dozo::policy
