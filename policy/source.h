// Source: the policy as people write it, in TOML (docs/policy.md, section 8; configs/policy.example.toml), checked and compiled.
//
// Not here: keys, versions and signatures (authoring.h); files: the text is a parameter.
// Threads: plain values and pure functions.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/documents.h"

namespace dozo::policy {

/// A mistake with its place. `suggestion` is empty or the name that was probably meant.
struct Mistake {
  std::string file;
  std::uint32_t line{}, column{};
  std::string text, suggestion;
};
/// "FILE:LINE:COLUMN: TEXT (did you mean "SUGGESTION"?)"
std::string text_of(const Mistake& mistake);

// What the source says, by the names that people gave. Lines are where the thing begins, for later mistakes.
struct SourceNode {
  std::string name, zone, served_by;
  NodeKind kind{};
  Addresses addresses;
  bool is_sliced{};
  std::uint32_t line{};
};
struct SourceMember {
  std::string node;
  Holding holding{};
  bool may_write{};
  std::uint64_t quota_bytes{};
};
struct SourceLibrary {
  std::string name, title, home;
  NameRules names{};
  bool locks{};
  std::string ceiling;  ///< a label, "none", or nothing: any
  Duty duty;
  std::vector<SourceMember> members;
  std::uint32_t line{};
};
/// A role that is declared: how many may hold it at a time, and in which units its posts may be.
struct SourceRole {
  std::string id, title;
  std::uint32_t most{};  ///< persons at a time; 0: any number
  std::vector<std::string> orgs, classes;
  std::uint32_t line{};
};
struct SourceClass {
  std::string id, title;
  std::vector<std::string> under;  ///< classes of the unit above; none: there is none above
  std::uint32_t line{};
};
struct SourceHours {
  std::vector<std::string> nodes, libraries, except_roles;
  std::vector<std::uint32_t> days;
  std::uint32_t opens_minute{}, closes_minute{};
  std::uint32_t line{};
};
struct SourceClosure {
  std::vector<std::string> nodes, libraries, except_roles;
  std::int64_t from_s{}, until_s{};
  std::string reason;
  std::uint32_t line{};
};
/// Raises a cut (documents.h): what somebody wrote in a library, up to a point of one feed, counts again.
struct SourceAdmit {
  std::string library, subject;
  std::uint64_t cut{};
  FeedPoint up_to;
  std::uint32_t line{};
};
/// A unit whose own administrators sign its posts, people and desks.
struct SourceDelegation {
  std::string org;
  std::vector<crypto::VerifyKey> keys;
  std::uint32_t threshold{1};
  std::vector<std::string> roles, nodes;
  std::uint32_t line{};
};
struct SourcePerson {
  std::string name, shown;
  std::vector<Tenure> tenures;
  std::uint32_t line{};
};
struct SourceRule {
  std::string id;
  std::vector<std::string> people, roles, posts, orgs, classes, nodes, libraries, labels, acted_as;
  std::vector<Action> actions;
  std::int64_t from_s{}, until_s{};
  std::uint32_t line{};
};
struct SourceTest {
  std::string id, person, role, org, node, library, label;
  Action action{};
  std::int64_t time_s{};
  bool allowed{};
  std::optional<std::vector<std::string>> acted_as;
  std::uint32_t line{};
};
/// Names, as in Stopped.
struct SourceStop {
  std::vector<std::string> nodes, people, orgs, roles, libraries;
  bool realm_wide{};
  std::int64_t from_s{}, until_s{};
  std::string reason;
  std::uint32_t line{};
};
struct SourceLift {
  crypto::VerifyKey officer;
  std::uint64_t up_to{};
  std::uint32_t line{};
};
struct Source {
  std::string file, realm;
  std::uint32_t mesh_days{90}, freshness_hours{24}, snapshot_days{90}, locked_after_days{};
  std::vector<SourceNode> nodes;
  std::vector<SourceLibrary> libraries;
  std::vector<LabelName> labels;
  std::vector<std::string> keyed_labels;  ///< those that no blind member may hold
  std::vector<SourceClass> classes;
  std::vector<SourceRole> roles;
  std::vector<Org> orgs;
  std::vector<Post> posts;
  std::vector<SourcePerson> people;
  std::vector<SourceRule> permits, forbids;
  std::vector<SourceTest> tests;
  std::vector<SourceStop> stops;
  std::vector<SourceLift> lifts;
  std::vector<SourceHours> hours;
  std::vector<SourceClosure> closures;
  std::vector<SourceAdmit> admits;
  std::vector<SourceDelegation> delegations;
  std::map<std::pair<std::string, std::string>, std::uint32_t> lines;  ///< of a (last) unit, post or label by kind and name
};

/// The source, or every mistake found in it. A mistake is also: a name that nothing has; a rule that can never match; a read permit that is
/// narrower than a library; a duty that its members cannot meet.
struct Reading {
  Source source;
  std::vector<Mistake> mistakes;  ///< none: the source may be used
  std::vector<Mistake> warnings;  ///< what may be meant, and is worth a look: permits wider than a group
  bool good() const { return mistakes.empty(); }
};
Reading read_source(std::string_view toml, std::string_view file);

/// What a unit's administrators write (docs/policy.md, section 10): its posts, and who holds them.
struct UnitSource {
  std::string unit;
  std::uint32_t days{90};
  std::vector<Post> posts;
  struct UnitPerson {
    SourcePerson person;
    std::string request;  ///< the file in which the person's key is
  };
  std::vector<UnitPerson> people;
  std::vector<Mistake> mistakes;  ///< none: it may be used
};
UnitSource read_unit_source(std::string_view toml, std::string_view file);

/// Who stands behind the names: admitted nodes and persons with their keys, and the ids of libraries.
struct Names {
  std::map<std::string, crypto::NodePublic> nodes;
  struct PersonKey {
    PersonId id;
    crypto::VerifyKey key;
  };
  std::map<std::string, PersonKey> people;
  std::map<std::string, LibraryId> libraries;
  std::map<std::string, CutSubject> gone;  ///< who was revoked
};
/// Ids and keys made from the names alone: enough to check and explain a source, never to be signed.
Names stand_in_names(const Source& source);

struct Compiled {
  std::string realm;
  std::uint32_t mesh_days{}, freshness_hours{}, snapshot_days{}, locked_after_days{};
  Mesh mesh;                                       ///< without header, epochs, cuts, admits
  Directory directory;                             ///< without header
  std::map<LibraryId, std::vector<Admit>> admits;  ///< for Changes
  std::vector<std::string> absent;                 ///< nodes and persons of the source that are not admitted yet, and are left out with all that names them
};
/// Needs a good source. Nodes and persons that `names` does not have are left out. Faults: not_found (a library without an id, or whose home
/// node is not admitted).
Result<Compiled> compile(const Source& source, const Names& names);

struct Checked {
  std::vector<Mistake> mistakes, warnings;
};
/// Everything that can be wrong with a source: its mistakes, then, if there are none, its own tests run on it. `now_s`: persons whose last post is over by then
/// are mistakes; 0: nobody is.
Checked check(std::string_view toml, std::string_view file, std::int64_t now_s);

}  // namespace dozo::policy
