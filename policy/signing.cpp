#include "policy/signing.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <set>

#include "crypto/hash.h"
#include "policy/compare.h"
#include "policy/delegation.h"
#include "policy/documents_json.h"
#include "policy/envelope.h"
#include "policy/slice.h"

namespace dozo::policy {
namespace {

constexpr std::string_view draft_format = "dozo draft 1", signatures_format = "dozo signatures 1";
constexpr std::size_t draft_values_most = 200'000, roots_most = 10'000, documents_most = 20'010, directory_keys_most = 20'000;

/// One of the two files: `read` takes what it says after its format.
template <class T, class Read>
Result<T> read_file_of(ByteView text, std::size_t bytes_most, std::string_view format, std::string_view what, Read&& read) {
  const Json json = TRY(parse_json(text, bytes_most, draft_values_most));
  ObjectReader::Problem problem;
  ObjectReader from(json, "", problem);
  const std::string is = from.text("format", 1, 64);
  if (problem.any()) return fail(Fault::malformed, "not " + std::string(what) + ": " + problem.text);
  if (is != format) return fail(Fault::unsupported, "not " + std::string(what) + " that this version knows");
  T out;
  out.realm = from.id<RealmId>("realm");
  read(from, out);
  from.done();
  if (problem.any()) return fail(Fault::malformed, std::string(what) + ": " + problem.text);
  return out;
}

/// Of these types alone: a key must not be led to sign what it was not shown.
void read_documents(ObjectReader& from, std::string_view key, std::initializer_list<DocumentType> types, Publication& to) {
  from.each_object(key, documents_most, [&](ObjectReader& it) {
    Bytes envelope = it.base64("envelope", 1, envelope_bytes_most(DocumentType::directory));
    const auto read = read_envelope(envelope);
    if (!read) return it.wrong("envelope", read.error().text);
    if (std::find(types.begin(), types.end(), read->type) == types.end()) return it.wrong("envelope", read->name + " is not for a draft");
    if (!to.emplace(read->name, std::move(envelope)).second) it.wrong("envelope", read->name + " is there twice");
  });
}
Json write_documents(const Publication& of) {
  Json::Array out;
  for (const auto& [name, bytes] : of) out.push_back(Json::Object{{"envelope", to_base64(bytes)}});
  return out;
}

/// Root by root: the newest, and the one that a drafted root follows is the same.
Result<std::vector<Root>> chain_of(const DraftFile& draft) {
  if (draft.roots.empty()) return fail(Fault::malformed, "the draft has no root");
  Trust trust = TRY(Trust::begin(draft.roots.front(), std::nullopt));
  if (trust.realm() != draft.realm) return fail(Fault::not_authentic, "the draft's first root is not that of the realm which it names");
  std::vector<Root> out{trust.root()};
  for (std::size_t i = 1; i < draft.roots.size(); ++i) {
    if (TRY(trust.offer(draft.roots[i], 0)).outcome != Outcome::advanced) return fail(Fault::not_authentic, "the draft's roots are no chain");
    out.push_back(trust.root());
  }
  return out;
}

/// Who may sign a document, and how many must: one set of keys, for a root two.
struct Wanted {
  std::string role;
  RoleKeys keys;
};
Result<std::vector<Wanted>> wanted(const DraftFile& draft, const Envelope& document, const Root& root) {
  if (document.type == DocumentType::org) {
    if (!draft.documents.contains("mesh")) return fail(Fault::malformed, "the draft has no mesh");
    const Mesh mesh = TRY(parse_mesh(TRY(read_envelope(draft.documents.at("mesh"))).payload));
    return std::vector<Wanted>{{"its unit", TRY(signers_of(root, mesh, document.type, document.name))}};
  }
  if (document.type != DocumentType::root) return std::vector<Wanted>{{std::string(name_of(signer_of(document.type))), root.keys_of(signer_of(document.type))}};
  const Root next = TRY(parse_root(document.payload));
  return std::vector<Wanted>{{"root before", root.keys_of(SigningRole::root)}, {"root", next.keys_of(SigningRole::root)}};
}

std::uint32_t signed_by(const Envelope& document, const RoleKeys& keys) {
  std::uint32_t out = 0;
  for (const crypto::VerifyKey& key : keys.keys)
    if (verify(document, {{key}, 1})) ++out;
  return out;
}

std::string text_of_json(const Json& value) {
  if (const auto* text = std::get_if<std::string>(&value.value)) return *text;
  const Bytes bytes = write_json(value);
  return std::string(dozo::text_of(bytes));
}

std::string plural(std::size_t number, std::string_view one) { return std::to_string(number) + " " + std::string(one) + (number == 1 ? "" : "s"); }

/// Of a time; dates are what a custodian can hold against a calendar.
std::string day_of(std::int64_t time_s) {
  const std::chrono::year_month_day day(std::chrono::floor<std::chrono::days>(std::chrono::sys_seconds(std::chrono::seconds(time_s))));
  const auto two = [](unsigned number) { return (number < 10 ? "0" : "") + std::to_string(number); };
  return std::to_string(static_cast<int>(day.year())) + "-" + two(static_cast<unsigned>(day.month())) + "-" + two(static_cast<unsigned>(day.day()));
}
Result<void> check_dates(const std::string& name, std::int64_t issued_s, std::int64_t before_s, std::int64_t now_ms) {
  if (issued_s > now_ms / 1000 + day_s)
    return fail(Fault::not_authentic, name + ": issued " + day_of(issued_s) + ", which is ahead of this machine's clock: every node would go by that");
  if (issued_s < before_s) return fail(Fault::not_authentic, name + ": issued " + day_of(issued_s) + ", before the one that it follows");
  return {};
}

// ---- what changed, member by member ----
/// By what an element of a list is told from others; empty: by all of it.
std::string key_of(const Json& element) {
  const auto* members = std::get_if<Json::Object>(&element.value);
  if (members == nullptr) return {};
  for (const char* key : {"id", "node", "officer", "number"})
    for (const auto& [name, value] : *members)
      if (name == key) return text_of_json(value);
  return {};
}

std::string label_of(const Json& element) {
  std::string out = key_of(element);
  if (const auto* members = std::get_if<Json::Object>(&element.value))
    for (const auto& [name, value] : *members)
      if (name == "name" && text_of_json(value) != out) out = text_of_json(value) + " (" + out + ")";
  return out.empty() ? text_of_json(element) : out;
}

/// A line for each member that one of the two has otherwise than the other, or not at all.
void add_changes(const std::string& where, const Json& before, const Json& after, std::vector<std::string>& to) {
  const auto* old_members = std::get_if<Json::Object>(&before.value);
  const auto* new_members = std::get_if<Json::Object>(&after.value);
  if (old_members != nullptr && new_members != nullptr) {
    const auto find = [](const Json::Object& in, const std::string& name) -> const Json* {
      const auto at = std::ranges::find(in, name, &Json::Member::first);
      return at == in.end() ? nullptr : &at->second;
    };
    for (const auto& [name, value] : *old_members) {
      const Json* now = find(*new_members, name);
      if (now == nullptr) {
        to.push_back("changed: " + where + " " + name + ": " + text_of_json(value) + " is gone");
      } else {
        add_changes(where + " " + name, value, *now, to);
      }
    }
    for (const auto& [name, value] : *new_members)
      if (find(*old_members, name) == nullptr) to.push_back("changed: " + where + " " + name + ": " + text_of_json(value) + " is new");
    return;
  }
  const auto* old_list = std::get_if<Json::Array>(&before.value);
  const auto* new_list = std::get_if<Json::Array>(&after.value);
  if (old_list == nullptr || new_list == nullptr) {
    if (const std::string was = text_of_json(before), is = text_of_json(after); was != is) to.push_back("changed: " + where + ": " + was + " becomes " + is);
    return;
  }
  // By their id where all have one of their own; cuts, ends of cuts and others by all that they say.
  const auto has_ids = [](const Json::Array& list) {
    std::set<std::string> ids;
    return std::ranges::all_of(list, [&](const Json& it) { return !key_of(it).empty() && ids.insert(key_of(it)).second; });
  };
  const bool by_id = has_ids(*old_list) && has_ids(*new_list);
  const auto by_key = [&](const Json::Array& list) {
    std::map<std::string, const Json*> out;
    for (const Json& it : list) out[by_id ? key_of(it) : text_of_json(it)] = &it;
    return out;
  };
  const auto then = by_key(*old_list), now = by_key(*new_list);
  for (const auto& [key, element] : then) {
    const auto at = now.find(key);
    if (at == now.end()) {
      to.push_back("changed: " + where + ": " + label_of(*element) + " is gone: " + text_of_json(*element));
    } else {
      add_changes(where + " " + label_of(*element), *element, *at->second, to);
    }
  }
  for (const auto& [key, element] : now)
    if (!then.contains(key)) to.push_back("changed: " + where + ": " + label_of(*element) + " is new: " + text_of_json(*element));
}

// ---- what a root changes ---------------------------------------------------------------------------------------------
Result<std::vector<std::string>> describe_root(const Root& before, const Root& next, std::int64_t now_ms) {
  TRY(check_dates("root", next.issued_s, before.issued_s, now_ms));
  if (next.version != before.version + 1)
    return fail(Fault::not_authentic, "root: version " + std::to_string(next.version) + " does not follow " + std::to_string(before.version));
  std::vector<std::string> out{"root " + std::to_string(next.version) + ", after " + std::to_string(before.version) + ", from " + day_of(next.issued_s) +
                               " to " + day_of(next.expires_s)};
  if (next.name != before.name) out.push_back("the realm is called " + next.name + ", not " + before.name);
  for (const auto& [role, keys] : next.roles) {
    const RoleKeys& old = before.keys_of(role);
    const std::string name(name_of(role));
    for (const crypto::VerifyKey& key : keys.keys)
      if (std::ranges::find(old.keys, key) == old.keys.end()) out.push_back("added: " + name + " " + key.hex());
    for (const crypto::VerifyKey& key : old.keys)
      if (std::ranges::find(keys.keys, key) == keys.keys.end()) out.push_back("dropped: " + name + " " + key.hex());
    if (keys.threshold != old.threshold || keys.keys.size() != old.keys.size())
      out.push_back(name + ": " + std::to_string(keys.threshold) + " of " + std::to_string(keys.keys.size()) + " sign, instead of " +
                    std::to_string(old.threshold) + " of " + std::to_string(old.keys.size()));
  }
  if (next.admission != before.admission) out.push_back("another admission key: " + next.admission.hex());
  if (next.recovery != before.recovery) out.push_back("another recovery key: " + next.recovery.hex());
  return out;
}

// ---- what a publication changes --------------------------------------------------------------------------------------
struct Whole {
  Mesh mesh;
  Directory directory;
  std::map<std::string, OrgDocument> orgs;  ///< signed as the mesh delegates
  Result<Policy> policy(PolicyVersion version) const {
    Mesh with_desks = mesh;
    Directory with_people = directory;
    std::vector<OrgDocument> all;
    for (const auto& [name, org] : orgs) all.push_back(org);
    TRY(join(with_desks, with_people, all));
    return Policy(version, std::move(with_desks), std::move(with_people));
  }
};
Result<Whole> open(const Publication& documents, const KeyRing& keys) {
  for (const char* name : {"mesh", "directory"})
    if (!documents.contains(name)) return fail(Fault::malformed, std::string("the draft has no ") + name);
  Whole out{TRY(parse_mesh(TRY(read_envelope(documents.at("mesh"))).payload)),
            TRY(open_directory(TRY(parse_sealed_directory(TRY(read_envelope(documents.at("directory"))).payload)), keys)),
            {}};
  for (const auto& [name, bytes] : documents) {
    if (!is_org_name(name)) continue;
    const Envelope envelope = TRY(read_envelope(bytes));
    const SealedOrg sealed = TRY(parse_sealed_org(envelope.payload));
    const Delegation* delegation = out.mesh.delegation(sealed.org);
    if (delegation == nullptr || org_name(sealed.org) != name || sealed.header.realm != out.mesh.header.realm)
      return fail(Fault::not_authentic, name + ": nothing is delegated to this unit");
    TRY(verify(envelope, delegation->keys));
    out.orgs.emplace(name, TRY(open_org(sealed, keys)));
  }
  return out;
}

/// That this is the one which the draft follows: signed, and of the version before, or the same. Says of which version and date both are, and who vouches.
Result<void> check_before(const DraftFile& draft, const std::vector<Root>& roots, const std::string& name, const Header& before, const Header& next,
                          std::int64_t now_ms, std::vector<std::string>& lines) {
  if (before.realm != draft.realm || next.realm != draft.realm) return fail(Fault::not_authentic, name + ": of another realm");
  const Envelope document = TRY(read_envelope(draft.before.at(name)));
  const auto vouches = [&](const Root& root) { return verify(document, root.keys_of(signer_of(document.type))).has_value(); };
  const auto by = std::find_if(roots.rbegin(), roots.rend(), vouches);
  if (by == roots.rend()) return fail(Fault::not_authentic, name + " before: not signed by this realm");
  if (by->version != roots.back().version)
    lines.push_back("beware: what is compared with, " + name + " " + std::to_string(before.version) + ", is vouched for by keys that root " +
                    std::to_string(by->version + 1) + " or a later one has dropped; compare it with what is known to be in force");
  if (draft.before.at(name) == draft.documents.at(name)) return {};
  if (before.version + 1 != next.version)
    return fail(Fault::not_authentic, name + ": version " + std::to_string(next.version) + " does not follow " + std::to_string(before.version));
  TRY(check_dates(name, next.issued_s, before.issued_s, now_ms));
  lines.push_back(name + " " + std::to_string(next.version) + " from " + day_of(next.issued_s) + " to " + day_of(next.expires_s) + ", after " +
                  std::to_string(before.version) + " of " + day_of(before.issued_s));
  return {};
}

/// Without what every version has anew.
Result<Json> body_of(ByteView payload, DocumentType type) {
  Json out = TRY(parse_json(payload, payload_bytes_most(type), 4'000'000));
  if (auto* members = std::get_if<Json::Object>(&out.value))
    std::erase_if(*members,
                  [](const Json::Member& it) { return it.first == "version" || it.first == "issued" || it.first == "expires" || it.first == "hq_time_most"; });
  return out;
}

template <class Document>
Result<std::vector<std::string>> changes_in(DocumentType type, const Document& before, const Document& after) {
  std::vector<std::string> out;
  add_changes(std::string(name_of(type)), TRY(body_of(format(before), type)), TRY(body_of(format(after), type)), out);
  return out;
}

/// Epochs are sealed; what can be told is that none is taken back, and which are new.
Result<void> check_epochs(const DraftFile& draft, const std::vector<Root>& roots, const Policy& after, std::int64_t now_ms, std::vector<std::string>& lines) {
  if (!draft.documents.contains("epochs")) return fail(Fault::malformed, "the draft has no epochs");
  const Epochs next = TRY(parse_epochs(TRY(read_envelope(draft.documents.at("epochs"))).payload));
  Epochs before;
  if (!draft.before.empty()) {
    if (!draft.before.contains("epochs")) return fail(Fault::malformed, "the draft does not have the epochs that it follows");
    before = TRY(parse_epochs(TRY(read_envelope(draft.before.at("epochs"))).payload));
    TRY(check_before(draft, roots, "epochs", before.header, next.header, now_ms, lines));
  } else if (next.header.realm != draft.realm || next.header.version != 1) {
    return fail(Fault::not_authentic, "epochs: not the first of this realm");
  }
  for (const LibraryEpochs& old : before.libraries) {
    const LibraryEpochs* now = next.find(old.library);
    const bool goes_on = now != nullptr && now->epochs.size() >= old.epochs.size() &&
                         std::equal(old.epochs.begin(), old.epochs.end(), now->epochs.begin(),
                                    [](const EpochEntry& a, const EpochEntry& b) { return a.commitment == b.commitment; });
    if (!goes_on) return fail(Fault::not_authentic, "epochs: one of a library that there was is gone or another");
  }
  std::size_t first = 0;
  for (const LibraryEpochs& now : next.libraries) {
    const LibraryEpochs* old = before.find(now.library);
    if (old == nullptr) {
      ++first;
    } else if (now.epochs.size() > old->epochs.size()) {
      const LibraryTitle* title = after.title(now.library);
      std::string what = now.library == directory_library ? "the directory" : title == nullptr ? now.library.hex() : title->name;
      for (const MeshNode& node : after.mesh().nodes)
        if (node.is_sliced && now.library == slice_library(draft.realm, node.name)) what = slice_name(node.name);
      lines.push_back("new epoch: " + what);
    }
  }
  if (first > 0) lines.push_back("first epochs of " + std::to_string(first) + " libraries, the directory and slices counted");
  for (const auto& [library, generation] : draft.directory_keys.list()) {
    const LibraryEpochs* of = next.find(library);
    if (of == nullptr || generation.value > of->epochs.size() ||
        crypto::commitment_of(*draft.directory_keys.find(library, generation), library, generation) != of->epochs[generation.value - 1].commitment)
      return fail(Fault::not_authentic, "the draft's key of the directory is not that of its epochs");
  }
  return {};
}

Result<void> check_grants(const DraftFile& draft, const Mesh& mesh) {
  const Policy policy(draft.version, mesh, std::nullopt);
  for (const auto& [name, bytes] : draft.documents) {
    if (!name.starts_with("grants/")) continue;
    const Grants grants = TRY(parse_grants(TRY(read_envelope(bytes)).payload));
    if (grants.header.realm != draft.realm || grants.header.version > draft.version.value)
      return fail(Fault::not_authentic, name + ": of another realm, or too high a version");
    const auto has_some = [&](const MeshLibrary& library) { return policy.has_keys(grants.node, library.id); };
    const MeshNode* node = policy.node(grants.node);
    const bool may_open_directory = node != nullptr && !node->is_sliced && (node->kind == NodeKind::hq || std::ranges::any_of(mesh.libraries, has_some));
    const LibraryId own_slice = node != nullptr && node->is_sliced ? slice_library(draft.realm, node->name) : directory_library;
    for (const Grant& it : grants.grants)
      if (it.library == directory_library ? !may_open_directory : it.library != own_slice && !policy.has_keys(grants.node, it.library))
        return fail(Fault::not_authentic, name + ": a key of a library that the node may not have");
  }
  return {};
}

/// A slice is sealed, and says nothing by itself: that it is what follows from mesh, directory and units is found here.
Result<void> check_slices(const DraftFile& draft, const Policy& whole, std::int64_t now_ms) {
  for (const MeshNode& node : whole.mesh().nodes) {
    const std::vector<LibraryId> libraries = sliced_libraries(whole.mesh(), node.keys.id);
    const auto at = draft.documents.find(slice_name(node.name));
    if (!node.is_sliced || libraries.empty()) continue;
    if (at == draft.documents.end()) return fail(Fault::malformed, "the draft has no " + slice_name(node.name));
    const SealedSlice sealed = TRY(parse_sealed_slice(TRY(read_envelope(at->second)).payload));
    if (sealed.header.version > draft.version.value) return fail(Fault::not_authentic, at->first + ": too high a version");
    TRY(check_dates(at->first, sealed.header.issued_s, 0, now_ms));
    Directory slice = slice_of(*whole.directory(), libraries);
    slice.header = sealed.header;
    if (sealed.node != node.name || sealed.header.realm != draft.realm || TRY(open_slice(sealed, draft.directory_keys)) != slice)
      return fail(Fault::not_authentic, at->first + ": not what follows from the draft's directory");
  }
  for (const auto& [name, bytes] : draft.documents) {
    const MeshNode* node = is_slice_name(name) ? whole.node_by_name(std::string_view(name).substr(slice_name("").size())) : nullptr;
    if (is_slice_name(name) && (node == nullptr || !node->is_sliced || sliced_libraries(whole.mesh(), node->keys.id).empty()))
      return fail(Fault::not_authentic, name + ": for a node that has none");
  }
  return {};
}

std::string name_of_subject(const CutSubject& subject, const Policy& before, const Policy& after) {
  for (const Policy* policy : {&after, &before}) {
    if (const auto* node = std::get_if<NodeId>(&subject)) {
      if (const MeshNode* it = policy->node(*node)) return "node " + it->name;
    } else if (const Person* it = policy->person(std::get<PersonId>(subject))) {
      return it->name;
    }
  }
  return std::visit([](const auto& id) { return id.hex(); }, subject);
}

std::vector<std::string> describe_cuts(const Policy& before, const Policy& after) {
  std::vector<std::string> out;
  for (const MeshLibrary& library : after.mesh().libraries) {
    const MeshLibrary* old = before.library(library.id);
    const LibraryTitle* title = after.title(library.id);
    const std::string where = title == nullptr ? library.id.hex() : title->name;
    for (const Cut& cut : library.cuts)
      if (old == nullptr || std::ranges::find(old->cuts, cut) == old->cuts.end())
        out.push_back("cut: what " + name_of_subject(cut.subject, before, after) + " wrote to " + where + ", but for what is known of " +
                      plural(cut.ends.size(), "feed"));
    for (const Admit& admit : library.admits)
      if (old == nullptr || std::ranges::find(old->admits, admit) == old->admits.end())
        out.push_back("admitted again: what " + name_of_subject(admit.subject, before, after) + " wrote to " + where + ", up to a point of one feed");
  }
  return out;
}

Result<std::vector<std::string>> describe_publication(const DraftFile& draft, const std::vector<Root>& roots, std::int64_t now_ms) {
  Whole next = TRY(within("the draft", open(draft.documents, draft.directory_keys)));
  Whole old{{}, {}, {}};
  std::vector<std::string> out, changes;
  if (!draft.before.empty()) {
    old = TRY(within("what is in force", open(draft.before, draft.directory_keys)));
    TRY(check_before(draft, roots, "mesh", old.mesh.header, next.mesh.header, now_ms, out));
    TRY(check_before(draft, roots, "directory", old.directory.header, next.directory.header, now_ms, out));
    changes = TRY(changes_of(old.mesh, next.mesh));
    for (std::string& it : TRY(changes_of(old.directory, next.directory))) changes.push_back(std::move(it));
    for (const auto& [name, org] : next.orgs) {
      const auto before = old.orgs.find(name);
      if (before != old.orgs.end() && before->second == org) continue;
      out.push_back(name + " " + std::to_string(org.header.version) + ", as its unit has signed it");
      OrgDocument nothing;
      nothing.header = org.header, nothing.org = org.org;
      for (std::string& it : TRY(changes_in(DocumentType::org, before == old.orgs.end() ? nothing : before->second, org))) changes.push_back(std::move(it));
    }
    for (const auto& [name, org] : old.orgs)
      if (!next.orgs.contains(name)) out.push_back(name + " is gone, with " + plural(org.people.size(), "person"));
  } else if (next.mesh.header.version != 1 || next.directory.header.version != 1 || draft.version.value != 1) {
    return fail(Fault::not_authentic, "the draft does not have what it follows");
  }
  for (const Header& header : {next.mesh.header, next.directory.header}) {
    if (header.realm != draft.realm) return fail(Fault::not_authentic, "a document of the draft is of another realm");
    TRY(check_dates("the draft", header.issued_s, 0, now_ms));
  }
  constexpr std::int64_t usual_hq_time_s = 366 * day_s;  // beyond the mesh's own end
  if (next.mesh.hq_time_most_s > next.mesh.header.expires_s + usual_hq_time_s)
    out.push_back("beware: HQ's machine is believed about the time until " + day_of(next.mesh.hq_time_most_s));
  TRY(check_grants(draft, next.mesh));
  const Policy before = TRY(old.policy({draft.version.value - 1})), after = TRY(next.policy(draft.version));
  TRY(check_slices(draft, after, now_ms));
  TRY(check_epochs(draft, roots, after, now_ms, out));
  std::size_t grants = 0;
  for (const auto& [name, bytes] : draft.documents) {
    const Envelope document = TRY(read_envelope(bytes));
    if (document.type == DocumentType::org || verify(document, roots.back().keys_of(signer_of(document.type)))) continue;
    if (name.starts_with("grants/")) {
      ++grants;
    } else {
      out.push_back("to sign: " + name);
    }
  }
  if (grants > 0) out.push_back("to sign: grants of " + plural(grants, "node"));
  const auto failing = after.failing_tests();
  if (!failing.empty()) return fail(Fault::denied, failing.front().text);
  std::vector<std::string> rights = compare_rights(before, after, now_ms);
  for (std::string& it : describe_cuts(before, after)) out.push_back(std::move(it));
  if (rights.empty()) out.emplace_back("nobody's rights change today");
  out.insert(out.end(), std::make_move_iterator(rights.begin()), std::make_move_iterator(rights.end()));
  out.insert(out.end(), std::make_move_iterator(changes.begin()), std::make_move_iterator(changes.end()));
  return out;
}

}  // namespace

// ---- the draft file --------------------------------------------------------------------------------------------------
Result<DraftFile> read_draft_file(ByteView text) {
  DraftFile out = TRY(read_file_of<DraftFile>(text, draft_bytes_most, draft_format, "a draft", [](ObjectReader& from, DraftFile& to) {
    from.each_object("roots", roots_most, [&](ObjectReader& it) { to.roots.push_back(it.base64("envelope", 1, envelope_bytes_most(DocumentType::root))); });
    to.version.value = from.number("version", 0, json_integer_most);
    to.snapshot_days = static_cast<std::uint32_t>(from.number("snapshot_days", 0, 3650));
    to.freshness_hours = static_cast<std::uint32_t>(from.number("freshness_hours", 0, 8760));
    using enum DocumentType;
    read_documents(from, "documents", {root, mesh, directory, epochs, grants, org, slice}, to.documents);
    read_documents(from, "before", {mesh, directory, epochs, org}, to.before);
    from.each_object("directory_keys", directory_keys_most, [&](ObjectReader& it) {
      const LibraryId library = it.has("library") ? it.id<LibraryId>("library") : directory_library;
      const Epoch generation{static_cast<std::uint32_t>(it.number("generation", 1, UINT32_MAX))};
      auto key = crypto::EpochKey::from(it.base64("key", crypto::EpochKey::size, crypto::EpochKey::size));
      if (key) to.directory_keys.put(library, generation, std::move(*key));
    });
  }));
  if (out.documents.empty()) return fail(Fault::malformed, "a draft: there is nothing in it");
  if (out.is_root() ? out.documents.size() != 1 || !out.before.empty() || out.version.value != 0 : out.version.value == 0)
    return fail(Fault::malformed, "a draft: a root stands alone");
  return out;
}

Bytes write_draft_file(const DraftFile& it) {
  Json::Array roots, keys;
  for (const Bytes& root : it.roots) roots.push_back(Json::Object{{"envelope", to_base64(root)}});
  for (const auto& [library, generation] : it.directory_keys.list()) {
    Json::Object key;
    if (library != directory_library) key.emplace_back("library", hex_of(library));
    key.emplace_back("generation", generation.value);
    key.emplace_back("key", to_base64(it.directory_keys.find(library, generation)->reveal()));
    keys.push_back(std::move(key));
  }
  Bytes out = write_json(Json::Object{{"format", draft_format},
                                      {"realm", hex_of(it.realm)},
                                      {"roots", std::move(roots)},
                                      {"version", it.version.value},
                                      {"snapshot_days", it.snapshot_days},
                                      {"freshness_hours", it.freshness_hours},
                                      {"documents", write_documents(it.documents)},
                                      {"before", write_documents(it.before)},
                                      {"directory_keys", std::move(keys)}});
  out.push_back('\n');
  return out;
}

Result<std::vector<std::string>> changes_of(const Mesh& before, const Mesh& after) { return changes_in(DocumentType::mesh, before, after); }
Result<std::vector<std::string>> changes_of(const Directory& before, const Directory& after) { return changes_in(DocumentType::directory, before, after); }

Result<std::vector<std::string>> changes_of(const OrgDocument& before, const OrgDocument& after) { return changes_in(DocumentType::org, before, after); }

Result<Root> root_of(const DraftFile& draft) { return TRY(chain_of(draft)).back(); }

Result<std::vector<Lack>> lacking(const DraftFile& draft) {
  const Root root = TRY(root_of(draft));
  std::vector<Lack> out;
  for (const auto& [name, bytes] : draft.documents) {
    const Envelope document = TRY(read_envelope(bytes));
    for (const Wanted& it : TRY(wanted(draft, document, root)))
      if (!verify(document, it.keys)) out.push_back({name, it.role, signed_by(document, it.keys), it.keys.threshold});
  }
  return out;
}

Result<std::vector<std::string>> describe(const DraftFile& draft, std::int64_t now_ms) {
  const std::vector<Root> roots = TRY(chain_of(draft));
  if (!draft.is_root()) return describe_publication(draft, roots, now_ms);
  const Root next = TRY(parse_root(TRY(read_envelope(draft.documents.at("root"))).payload));
  if (next.realm != draft.realm) return fail(Fault::not_authentic, "the drafted root is of another realm");
  return describe_root(roots.back(), next, now_ms);
}

// ---- signatures ------------------------------------------------------------------------------------------------------
Result<SignaturesFile> read_signatures_file(ByteView text) {
  return read_file_of<SignaturesFile>(text, signatures_bytes_most, signatures_format, "signatures", [](ObjectReader& from, SignaturesFile& to) {
    from.each_object("signatures", documents_most, [&](ObjectReader& it) {
      MadeSignature& one = to.signatures.emplace_back();
      one.document = it.text("document", 1, 64);
      one.payload_sha256 = it.id<Digest>("payload_sha256");
      one.signature.key = it.id<crypto::VerifyKey>("key");
      const Bytes signature = it.base64("sig", crypto::Signature::size, crypto::Signature::size);
      if (signature.size() == crypto::Signature::size) one.signature.signature = *crypto::Signature::from(signature);
    });
  });
}

Bytes write_signatures_file(const SignaturesFile& it) {
  Bytes out = write_json(
      Json::Object{{"format", signatures_format}, {"realm", hex_of(it.realm)}, {"signatures", list_of(it.signatures, [](const MadeSignature& one) {
                                                                                  return Json::Object{{"document", one.document},
                                                                                                      {"payload_sha256", hex_of(one.payload_sha256)},
                                                                                                      {"key", hex_of(one.signature.key)},
                                                                                                      {"sig", to_base64(one.signature.signature.view())}};
                                                                                })}});
  out.push_back('\n');
  return out;
}

Result<SignaturesFile> sign_draft(const DraftFile& draft, const crypto::SigningKey& key) {
  const Root root = TRY(root_of(draft));
  SignaturesFile out{draft.realm, {}};
  for (const auto& [name, bytes] : draft.documents) {
    const Envelope document = TRY(read_envelope(bytes));
    const auto sets = TRY(wanted(draft, document, root));
    const auto counts = [&](const Wanted& it) { return std::ranges::find(it.keys.keys, key.public_key()) != it.keys.keys.end() && !verify(document, it.keys); };
    if (std::ranges::none_of(sets, counts)) continue;
    const Envelope with = TRY(read_envelope(TRY(add_signature(bytes, key))));
    const auto made = std::ranges::find(with.signatures, key.public_key(), &EnvelopeSignature::key);
    out.signatures.push_back({name, crypto::sha256(document.payload), *made});
  }
  if (out.signatures.empty()) return fail(Fault::denied, "nothing in this draft waits for the key " + key.public_key().hex());
  return out;
}

Result<std::size_t> add_signatures(DraftFile& draft, const SignaturesFile& from) {
  if (from.realm != draft.realm) return fail(Fault::denied, "the signatures are for another realm");
  const Root root = TRY(root_of(draft));
  Publication documents = draft.documents;
  std::set<std::string> taken;
  for (const MadeSignature& it : from.signatures) {
    const auto at = documents.find(it.document);
    if (at == documents.end()) return fail(Fault::denied, it.document + ": is not in this draft; another one was signed");
    Envelope document = TRY(read_envelope(at->second));
    if (crypto::sha256(document.payload) != it.payload_sha256) return fail(Fault::denied, it.document + ": another draft was signed than the one that is here");
    const auto sets = TRY(wanted(draft, document, root));
    if (std::ranges::none_of(sets, [&](const Wanted& set) { return std::ranges::find(set.keys.keys, it.signature.key) != set.keys.keys.end(); }))
      return fail(Fault::not_authentic, it.document + ": the key " + it.signature.key.hex() + " has no role that signs it");
    std::erase_if(document.signatures, [&](const EnvelopeSignature& one) { return one.key == it.signature.key; });
    document.signatures.push_back(it.signature);
    std::ranges::sort(document.signatures, {}, &EnvelopeSignature::key);
    if (!verify(document, {{it.signature.key}, 1}))
      return fail(Fault::not_authentic, it.document + ": a signature of " + it.signature.key.hex() + " that does not hold");
    if (document.signatures.size() > envelope_signatures_most) return fail(Fault::over_limit, it.document + ": too many signatures");
    at->second = write_envelope(document);
    taken.insert(it.document);
  }
  draft.documents = std::move(documents);
  return taken.size();
}

}  // namespace dozo::policy
