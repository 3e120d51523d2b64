#include "tools/authority_publish.h"

#include <algorithm>

#include "crypto/random.h"
#include "policy/compare.h"
#include "policy/delegation.h"
#include "policy/keys.h"
#include "policy/trust.h"

namespace dozo::tools {

using policy::SigningRole, policy::day_s;

namespace {

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string table_of(const policy::EnrolmentRequest& request) {
  if (const auto* node = std::get_if<policy::NodeRequest>(&request)) {
    std::string out =
        "\n[[node]]\nname = " + in_quotes(node->name) + "\nkind = " + in_quotes(policy::name_of(node->kind)) + "\nzone = " + in_quotes(node->zone) + "\n";
    const policy::Addresses& at = node->addresses;
    if (!at.control.empty()) out += "control = " + in_quotes(at.control) + "\nbulk = " + in_quotes(at.bulk) + "\nintroduce = " + in_quotes(at.introduce) + "\n";
    return out;
  }
  const auto& person = std::get<policy::PersonRequest>(request);
  return "\n[[person]]\nname = " + in_quotes(person.name) + "\nshown = " + in_quotes(person.shown) + "\n";
}

bool has_table(const policy::Source& source, const Admitted& it) {
  if (it.is_node) return std::any_of(source.nodes.begin(), source.nodes.end(), [&](const auto& node) { return node.name == it.name; });
  return std::any_of(source.people.begin(), source.people.end(), [&](const auto& person) { return person.name == it.name; });
}

/// The name under which `same` is known already, if it is.
template <class Map, class Same>
std::string known_as(const Map& map, Same&& same) {
  for (const auto& [name, it] : map)
    if (same(it)) return name;
  return {};
}

/// Takes one request into `into`. Its name stands for one set of keys, and its keys for one name. Who is replaced is not cut: what burnt has done no wrong, and
/// HQ's node may not have heard all that it wrote.
Result<Admitted> take(Register& into, const policy::EnrolmentRequest& request, bool replace, PolicyVersion newest) {
  Admitted out;
  out.table = table_of(request);
  std::string other;
  bool other_keys = false;
  policy::CutSubject before;
  if (const auto* node = std::get_if<policy::NodeRequest>(&request)) {
    out.name = node->name;
    out.is_node = true;
    other = known_as(into.nodes, [&](const crypto::NodePublic& it) {
      return it.id == node->keys.id || it.sign == node->keys.sign || it.seal == node->keys.seal || it.transport == node->keys.transport;
    });
    const auto at = into.nodes.find(node->name);
    if (at != into.nodes.end()) before = at->second.id;
    out.was_known = at != into.nodes.end() && at->second == node->keys;
    other_keys = at != into.nodes.end() && !out.was_known;
    if (other.empty() || other == node->name) into.nodes[node->name] = node->keys;
  } else {
    const auto& person = std::get<policy::PersonRequest>(request);
    out.name = person.name;
    other = known_as(into.people, [&](const Register::Person& it) { return it.id == person.id || it.key == person.key; });
    const auto at = into.people.find(person.name);
    if (at != into.people.end()) before = at->second.id;
    out.was_known = at != into.people.end() && at->second.id == person.id && at->second.key == person.key;
    other_keys = at != into.people.end() && !out.was_known;
    if (other.empty() || other == person.name) into.people[person.name] = {person.id, person.key};
  }
  if (!other.empty() && other != out.name) return fail(Fault::exists, "its keys are already admitted under the name \"" + other + "\"");
  if (other_keys && !replace) return fail(Fault::exists, "\"" + out.name + "\" is admitted already, with other keys: --replace if this one takes its place");
  if (other_keys) into.revoked.push_back({out.name, before, newest, false, {}, {}});
  return out;
}

/// A newcomer proves its keys to the admission key of the root in its realm.json, which may be an older one. `opened`: those tried so far, newest root first.
Result<void> check_possession(const AuthorityDirectory& directory, const policy::NodeRequest& request, std::vector<crypto::SealKey>& opened,
                              const SecretOptions& secret) {
  std::vector<crypto::SealPublicKey> wanted;
  for (auto at = directory.roots().rbegin(); at != directory.roots().rend(); ++at) {
    const crypto::SealPublicKey it = TRY(policy::parse_root(TRY(policy::read_envelope(*at)).payload)).admission;
    if (std::ranges::find(wanted, it) == wanted.end()) wanted.push_back(it);
  }
  std::optional<Error> first;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (i == opened.size()) {
      auto key = directory.admission_key(wanted[i], secret);
      if (!key) return std::unexpected(first.value_or(key.error()));
      opened.push_back(std::move(*key));
    }
    const auto checked = policy::check_request(request, directory.realm().realm, opened[i]);
    if (checked || checked.error().fault != Fault::not_authentic) return checked;
    if (!first) first = checked.error();
  }
  return std::unexpected(*first);
}

}  // namespace

Result<std::vector<Admitted>> admit(AuthorityDirectory& directory, const std::vector<std::string>& files, bool replace, Checking checking,
                                    const SecretOptions& secret) {
  Register next = directory.entries();
  const PolicyVersion newest = TRY(directory.newest_version());
  std::vector<Admitted> out;
  std::vector<crypto::SealKey> admissions;
  for (const std::string& file : files) {
    const auto request = TRY(within(file, policy::read_request(TRY(node::read_file(file, policy::request_bytes_most)))));
    const RealmId realm = std::visit([](const auto& it) { return it.realm; }, request);
    if (realm != directory.realm().realm) return fail(Fault::denied, file + ": the request is for another realm");
    if (const auto* node = std::get_if<policy::NodeRequest>(&request); node != nullptr && checking == Checking::all_keys) {
      TRY(within(file, check_possession(directory, *node, admissions, secret)));
    }
    out.push_back(TRY(within(file, take(next, request, replace, newest))));
  }
  directory.entries() = std::move(next);
  TRY(directory.save_register());

  // Its table in policy.toml: only where the text can be read, and gets no worse by it.
  std::string text = TRY(directory.source_text());
  const std::string name = directory.source_path().string();
  policy::Reading reading = policy::read_source(text, name);
  for (Admitted& it : out) {
    it.in_source = has_table(reading.source, it);
    if (it.in_source) continue;
    const std::string longer = text + (text.ends_with('\n') || text.empty() ? "" : "\n") + it.table;
    policy::Reading after = policy::read_source(longer, name);
    if (!has_table(after.source, it) || after.mistakes.size() > reading.mistakes.size()) continue;
    text = longer;
    reading = std::move(after);
    it.in_source = true;
    TRY(directory.save_source(text));
  }
  return out;
}

namespace {

Result<Bytes> payload_of(const policy::Publication& documents, const char* name) { return TRY(policy::read_envelope(documents.at(name))).payload; }

Result<bool> is_only_hq(const AuthorityDirectory& directory, const NodeId& node) {
  const auto newest = TRY(directory.newest());
  if (!newest) return false;
  const policy::Mesh mesh = TRY(policy::parse_mesh(TRY(payload_of(*newest, "mesh"))));
  const auto is_hq = [](const policy::MeshNode& it) { return it.kind == policy::NodeKind::hq; };
  return std::ranges::count_if(mesh.nodes, is_hq) == 1 && std::ranges::find_if(mesh.nodes, is_hq)->keys.id == node;
}

}  // namespace

Result<std::optional<policy::CutSubject>> subject_named(const AuthorityDirectory& directory, const std::string& name) {
  const Register& in = directory.entries();
  if (const auto node = in.nodes.find(name); node != in.nodes.end()) return policy::CutSubject(node->second.id);
  if (const auto person = in.people.find(name); person != in.people.end()) return policy::CutSubject(person->second.id);
  const PolicyVersion newest = TRY(directory.newest_version());
  for (const Register::Revoked& it : in.revoked)
    if (it.name == name && it.after == newest) return it.subject;
  return std::optional<policy::CutSubject>();
}

Result<void> revoke(AuthorityDirectory& directory, const std::string& name, bool cut, const std::optional<node::local::Heads>& heads) {
  Register& to = directory.entries();
  Register::Revoked gone{name, {}, TRY(directory.newest_version()), cut, {}, {}};
  if (heads) {
    gone.heads = heads->rows;
    gone.libraries.emplace(heads->libraries.begin(), heads->libraries.end());
  }
  const auto subject = TRY(subject_named(directory, name));
  if (!subject) return fail(Fault::not_found, "no node or person \"" + name + "\" is admitted");
  gone.subject = *subject;
  if (const auto node = to.nodes.find(name); node != to.nodes.end()) {
    if (TRY(is_only_hq(directory, node->second.id)))
      return fail(Fault::denied, name +
                                     " is HQ's only node: nothing could be published through it any more. Admit another first, or its successor under the same "
                                     "name: dozo authority admit --replace");
    to.nodes.erase(node);
  } else {
    to.people.erase(name);
  }
  to.revoked.push_back(std::move(gone));
  return directory.save_register();
}

namespace {

Result<policy::Source> good_source(const AuthorityDirectory& directory, std::int64_t now_s) {
  const std::string text = TRY(directory.source_text());
  std::string mistakes;
  for (const policy::Mistake& it : policy::check(text, directory.source_path().string(), now_s).mistakes)
    mistakes += (mistakes.empty() ? "" : "\n") + policy::text_of(it);
  if (!mistakes.empty()) return fail(Fault::malformed, mistakes);
  policy::Source source = policy::read_source(text, directory.source_path().string()).source;
  if (source.realm != directory.root().name)
    return fail(Fault::malformed, directory.source_path().string() + ": it is for the realm \"" + source.realm + "\", not \"" + directory.root().name + "\"");
  return source;
}

/// What no node accepts must not be kept as published. Keeps it, and renews realm.json.
Result<void> finish_publication(AuthorityDirectory& directory, const policy::Published& out, std::int64_t now_s) {
  policy::Trust trust = TRY(policy::Trust::begin(directory.realm().first_root, std::nullopt));
  for (const Bytes& root : directory.roots()) TRY(trust.offer(root, now_s * 1000));
  // As a node judges it that has the one before, where that is still vouched for by today's keys.
  if (const auto previous = TRY(directory.newest())) {
    const std::int64_t then_ms = TRY(policy::parse_snapshot(TRY(payload_of(*previous, "snapshot")))).header.issued_s * 1000;
    for (int round = 0; round < 2; ++round)
      for (const auto& [name, bytes] : *previous) (void)trust.offer(bytes, then_ms);
  }
  for (const char* first : {"freshness", "snapshot"}) TRY(trust.offer(out.documents.at(first), now_s * 1000));
  for (const auto& [name, bytes] : out.documents)
    if (name != "freshness" && name != "snapshot") TRY(within(name, trust.offer(bytes, now_s * 1000)));
  if (trust.version() != out.version) return fail(Fault::malformed, "what was signed does not come into force: nothing is published");
  TRY(directory.keep(out.version, out.documents));
  std::vector<policy::Contact> contacts;
  for (const bool hq : {true, false})
    for (const policy::MeshNode& it : trust.current()->mesh.nodes)
      if ((it.kind == policy::NodeKind::hq) == hq && it.kind != policy::NodeKind::desk && !it.addresses.control.empty())
        contacts.push_back({it.keys.id, it.name, it.keys.transport, it.addresses});
  return directory.save_contacts(std::move(contacts));
}

struct Signers {
  std::map<SigningRole, std::vector<crypto::SigningKey>> keys;
  policy::RoleSigners by_role;
};
Result<Signers> open_signers(const AuthorityDirectory& directory, std::initializer_list<SigningRole> roles, const std::vector<std::string>& folders,
                             const SecretOptions& secret) {
  Signers out;
  for (const SigningRole role : roles) {
    out.keys[role] = TRY(directory.signing_keys(role, folders, secret));
    for (const crypto::SigningKey& key : out.keys[role]) out.by_role[role].push_back(&key);
  }
  return out;
}

}  // namespace

namespace {

/// With what units say in this publication.
Result<policy::Policy> with_units(const policy::Policy& policy, const policy::Publication& documents, const policy::KeyRing& keys) {
  policy::Mesh mesh = policy.mesh();
  policy::Directory directory = *policy.directory();
  std::vector<policy::OrgDocument> orgs;
  for (const auto& [name, bytes] : documents)
    if (policy::is_org_name(name)) orgs.push_back(TRY(policy::open_org(TRY(policy::parse_sealed_org(TRY(policy::read_envelope(bytes)).payload)), keys)));
  TRY(policy::join(mesh, directory, orgs));
  return policy::Policy(policy.version(), std::move(mesh), std::move(directory));
}

}  // namespace

Result<Prepared> prepare(AuthorityDirectory& directory, const Cutting& cutting, std::vector<Bytes> orgs, const SecretOptions& secret, std::int64_t now_s) {
  now_s = std::max(now_s, directory.root().issued_s);  // by their dates it is told what was sealed before the root and what after it
  const std::optional<policy::Root> sealed_under = TRY(directory.sealed_under());
  const crypto::SealKey admission = TRY(directory.admission_key(sealed_under.value_or(directory.root()).admission, secret));
  const policy::Source source = TRY(good_source(directory, now_s));

  // The ids of new libraries are kept before anything with them can get out.
  bool new_ids = false;
  for (const policy::SourceLibrary& it : source.libraries) {
    const auto [at, is_new] = directory.entries().libraries.try_emplace(it.name);
    if (is_new) at->second = crypto::random_id<LibraryId>();
    new_ids = new_ids || is_new;
  }
  if (new_ids) TRY(directory.save_register());

  Prepared out;
  policy::Compiled compiled = TRY(policy::compile(source, directory.entries().names()));
  // Who was revoked is known to be out, though policy.toml may still have the table.
  for (const std::string& name : compiled.absent) {
    const auto& revoked = directory.entries().revoked;
    if (std::ranges::none_of(revoked, [&](const Register::Revoked& it) { return it.name == name; })) out.absent.push_back(name);
  }
  const std::optional<policy::Publication> previous = TRY(directory.newest());
  const PolicyVersion newest = TRY(directory.newest_version());
  // Cuts are made of whom headquarters itself takes something from: a unit's people come and go without.
  const policy::Policy after({newest.value + 1}, compiled.mesh, compiled.directory);
  policy::Policy before(newest, {}, policy::Directory{});
  policy::Changes changes;
  if (previous) {
    const policy::Epochs epochs = TRY(policy::parse_epochs(TRY(payload_of(*previous, "epochs"))));
    const policy::KeyRing keys = TRY(policy::open_epochs_with_admission(admission, epochs));
    const auto opened = [&](PolicyVersion version) -> Result<policy::Policy> {
      const policy::Publication documents = TRY(directory.publication(version));
      return policy::Policy(version, TRY(policy::parse_mesh(TRY(payload_of(documents, "mesh")))),
                            TRY(policy::open_directory(TRY(policy::parse_sealed_directory(TRY(payload_of(documents, "directory")))), keys)));
    };
    before = TRY(opened(newest));
    Cuts cuts = TRY(cuts_for(directory, after, cutting, opened, now_s));
    changes = std::move(cuts.changes);
    out.cuts = std::move(cuts.lines);
  }
  changes.new_sealing = sealed_under.has_value();
  changes.orgs = std::move(orgs);
  for (auto& [library, admits] : compiled.admits) {
    auto& to = changes.admits[library];
    to.insert(to.end(), admits.begin(), admits.end());
  }
  policy::Draft draft = TRY(policy::draft(directory.root(), directory.realm().realm, compiled, previous ? &*previous : nullptr, changes, admission, now_s));
  out.notes = std::move(draft.notes);
  out.rights = policy::compare_rights(TRY(with_units(before, previous ? *previous : policy::Publication(), draft.directory_keys)),
                                      TRY(with_units(after, draft.documents, draft.directory_keys)), now_s * 1000);
  out.draft = {directory.realm().realm,         directory.roots(), std::move(draft.documents), {},
               std::move(draft.directory_keys), draft.version,     compiled.snapshot_days,     compiled.freshness_hours};
  if (previous)
    for (const auto& [name, bytes] : *previous)
      if (name == "mesh" || name == "directory" || name == "epochs" || policy::is_org_name(name)) out.draft.before[name] = bytes;
  return out;
}

Result<void> sign_at_hand(const AuthorityDirectory& directory, policy::DraftFile& draft, const std::vector<std::string>& folders, const SecretOptions& secret) {
  std::map<SigningRole, std::vector<crypto::SigningKey>> keys;
  for (auto& [name, bytes] : draft.documents) {
    const policy::Envelope document = TRY(policy::read_envelope(bytes));
    if (document.type == policy::DocumentType::org) continue;  // listed only where its unit has signed it
    const SigningRole role = policy::signer_of(document.type);
    if (policy::verify(document, directory.root().keys_of(role))) continue;
    const auto [at, is_new] = keys.try_emplace(role);
    if (is_new) at->second = TRY(directory.signing_keys(role, folders, secret));
    for (const crypto::SigningKey& key : at->second) bytes = TRY(policy::add_signature(bytes, key));
  }
  return {};
}

Result<policy::DraftFile> draft_root(const AuthorityDirectory& directory, const RootChanges& changes, std::int64_t now_s) {
  const policy::Root& root = directory.root();
  // What is sealed under the keys of this root is known by its date (AuthorityDirectory::sealed_under).
  std::int64_t issued_s = std::max(now_s, root.issued_s + 1);
  if (const auto published = TRY(directory.newest()))
    issued_s = std::max(issued_s, TRY(policy::parse_epochs(TRY(payload_of(*published, "epochs")))).header.issued_s + 1);
  policy::RootPlan plan{
      root.name, issued_s, issued_s + changes.days * day_s, root.roles, changes.admission.value_or(root.admission), changes.recovery.value_or(root.recovery)};
  for (const crypto::VerifyKey& key : changes.dropped) {
    std::size_t gone = 0;
    for (auto& [role, keys] : plan.roles) gone += std::erase(keys.keys, key);
    if (gone == 0) return fail(Fault::not_found, "no role has the key " + key.hex());
  }
  for (const auto& [role, key] : changes.added) {
    auto& keys = plan.roles[role].keys;
    if (std::ranges::find(keys, key) != keys.end())
      return fail(Fault::exists, "the role " + std::string(policy::name_of(role)) + " has the key " + key.hex() + " already");
    keys.push_back(key);
  }
  for (auto& [role, keys] : plan.roles) {
    if (const auto threshold = changes.thresholds.find(role); threshold != changes.thresholds.end()) keys.threshold = threshold->second;
    if (keys.threshold < 1 || keys.threshold > keys.keys.size())
      return fail(Fault::malformed, std::string(policy::name_of(role)) + ": " + std::to_string(keys.threshold) + " of " + std::to_string(keys.keys.size()) +
                                        " cannot sign: add keys, or set --threshold");
  }
  policy::DraftFile out;
  out.realm = directory.realm().realm;
  out.roots = directory.roots();
  out.documents["root"] = TRY(policy::draft_root(plan, &root, out.realm));
  return out;
}

Result<std::string> missing_signatures(const policy::DraftFile& draft) {
  std::string out;
  for (const policy::Lack& it : TRY(policy::lacking(draft)))
    out += (out.empty() ? "" : ", ") + it.document + " (" + std::to_string(it.signatures) + " of " + std::to_string(it.threshold) + " of " + it.role + ")";
  return out;
}

Result<policy::Published> finish(AuthorityDirectory& directory, const policy::DraftFile& draft, const std::vector<std::string>& folders,
                                 const SecretOptions& secret, std::int64_t now_s) {
  if (TRY(directory.newest_version()).value + 1 != draft.version.value || draft.roots != directory.roots())
    return fail(Fault::denied, "the draft follows another policy or root than the newest: drop it, and draft again");
  if (const std::string missing = TRY(missing_signatures(draft)); !missing.empty()) return fail(Fault::denied, "signatures are missing: " + missing);
  const Signers signers = TRY(open_signers(directory, {SigningRole::snapshot, SigningRole::freshness}, folders, secret));
  const RealmId& realm = directory.realm().realm;
  const std::optional<policy::Publication> previous = TRY(directory.newest());
  policy::Draft complete{draft.version, draft.documents, {}, {}, {}};
  policy::Published out{draft.documents, draft.version, {}};
  out.documents["snapshot"] =
      TRY(policy::sign_with(TRY(policy::draft_snapshot(directory.root(), realm, complete, previous ? &*previous : nullptr, draft.snapshot_days, now_s)),
                            signers.by_role.at(SigningRole::snapshot)));
  const std::uint64_t last = previous ? TRY(policy::parse_freshness(TRY(payload_of(*previous, "freshness")))).header.version : 0;
  out.documents["freshness"] =
      TRY(policy::refresh(realm, out.documents["snapshot"], last, draft.freshness_hours, signers.by_role.at(SigningRole::freshness), now_s));
  TRY(finish_publication(directory, out, now_s));
  return out;
}

Result<policy::Published> publish_mesh_alone(AuthorityDirectory& directory, const Cutting& cutting, const std::vector<std::string>& folders,
                                             const SecretOptions& secret, std::int64_t now_s) {
  constexpr std::int64_t believed_after_s = 365 * day_s;
  const policy::Source source = TRY(good_source(directory, now_s));
  const std::optional<policy::Publication> previous = TRY(directory.newest());
  if (!previous) return fail(Fault::not_found, "nothing was published before: the first publication needs the key authority");
  const PolicyVersion newest = TRY(directory.newest_version());
  const policy::Mesh before = TRY(policy::parse_mesh(TRY(payload_of(*previous, "mesh"))));
  for (const policy::SourceLibrary& it : source.libraries)
    if (!directory.entries().libraries.contains(it.name)) return fail(Fault::denied, "the library " + it.name + " is new: its key needs the key authority");
  policy::Compiled compiled = TRY(policy::compile(source, directory.entries().names()));
  policy::Mesh mesh = std::move(compiled.mesh);
  const auto opened = [&](PolicyVersion version) -> Result<policy::Policy> {
    return policy::Policy(version, TRY(policy::parse_mesh(TRY(payload_of(TRY(directory.publication(version)), "mesh")))), std::nullopt);
  };
  Cuts cuts = TRY(cuts_for(directory, policy::Policy({newest.value + 1}, mesh, std::nullopt), cutting, opened, now_s));
  policy::Draft draft;
  draft.version.value = newest.value + 1;
  for (policy::MeshLibrary& it : mesh.libraries) {
    const auto old = std::find_if(before.libraries.begin(), before.libraries.end(), [&](const auto& library) { return library.id == it.id; });
    if (old == before.libraries.end()) return fail(Fault::denied, "a library of the source was never published: its key needs the key authority");
    it.epoch = old->epoch;
    it.cuts = old->cuts;
    it.admits = old->admits;
    for (const policy::Admit& admit : compiled.admits[it.id]) {
      const auto raises = [&](const policy::Cut& cut) { return cut.since == admit.cut && cut.subject == admit.subject; };
      if (std::ranges::none_of(it.cuts, raises)) return fail(Fault::not_found, "an [[admit]] names a cut that is not there");
      if (std::ranges::find(it.admits, admit) == it.admits.end()) it.admits.push_back(admit);
    }
    for (policy::Cut& cut : cuts.changes.cuts[it.id]) {
      cut.since = draft.version;
      std::sort(cut.ends.begin(), cut.ends.end(),
                [](const auto& a, const auto& b) { return std::pair(a.node, a.incarnation) < std::pair(b.node, b.incarnation); });
      it.cuts.push_back(std::move(cut));
    }
    std::sort(it.cuts.begin(), it.cuts.end(), [](const auto& a, const auto& b) { return std::pair(a.since, a.subject) < std::pair(b.since, b.subject); });
  }
  mesh.header = {directory.realm().realm, before.header.version + 1, now_s, now_s + compiled.mesh_days * day_s};
  mesh.hq_time_most_s = mesh.header.expires_s + believed_after_s;
  const Bytes payload = TRY(policy::mesh_payload(mesh));

  draft.documents = *previous;
  draft.documents.erase("snapshot");
  draft.documents.erase("freshness");
  // What units have signed can be left out here, and not judged: it is sealed.
  for (const policy::Delegation& old : before.delegations) {
    const policy::Delegation* now = mesh.delegation(old.org);
    if (now == nullptr || now->keys != old.keys) {
      draft.documents.erase(policy::org_name(old.org));
    } else if (*now != old && draft.documents.contains(policy::org_name(old.org))) {
      return fail(Fault::denied,
                  "what is delegated to the unit " + old.org + " cannot be changed without the key authority: take it away, or give it other keys");
    }
  }
  for (const policy::MeshNode& it : mesh.nodes) {
    const auto old = std::ranges::find_if(before.nodes, [&](const policy::MeshNode& node) { return node.keys.id == it.keys.id; });
    if (it.is_sliced != (old != before.nodes.end() && old->is_sliced))
      return fail(Fault::denied, "whether " + it.name + " has a slice cannot be changed without the key authority: its key is new");
  }
  draft.documents["mesh"] = policy::unsigned_envelope(policy::DocumentType::mesh, "mesh", payload);

  const Signers signers = TRY(open_signers(directory, {SigningRole::policy, SigningRole::snapshot, SigningRole::freshness}, folders, secret));
  draft.documents["mesh"] =
      TRY(policy::sign_with(policy::unsigned_envelope(policy::DocumentType::mesh, "mesh", payload), signers.by_role.at(SigningRole::policy)));
  policy::Published out{draft.documents, draft.version, std::move(cuts.lines)};
  out.documents["snapshot"] =
      TRY(policy::sign_with(TRY(policy::draft_snapshot(directory.root(), directory.realm().realm, draft, &*previous, compiled.snapshot_days, now_s)),
                            signers.by_role.at(SigningRole::snapshot)));
  const std::uint64_t last = TRY(policy::parse_freshness(TRY(payload_of(*previous, "freshness")))).header.version;
  out.documents["freshness"] = TRY(
      policy::refresh(directory.realm().realm, out.documents["snapshot"], last, compiled.freshness_hours, signers.by_role.at(SigningRole::freshness), now_s));
  for (const policy::MeshNode& it : mesh.nodes)
    if (std::none_of(before.nodes.begin(), before.nodes.end(), [&](const auto& node) { return node.keys == it.keys; }))
      out.notes.push_back(it.name + " is listed, without grants: it needs shares of the recovery key (dozo node recover)");
  for (const policy::MeshNode& it : before.nodes)
    if (std::none_of(mesh.nodes.begin(), mesh.nodes.end(), [&](const auto& node) { return node.keys == it.keys; }))
      out.notes.push_back(it.name + " is out, but its keys open what is written until the key authority makes new epochs");
  TRY(finish_publication(directory, out, now_s));
  return out;
}

Result<std::vector<Bytes>> envelopes_of(const AuthorityDirectory& directory) {
  const auto newest = TRY(directory.newest());
  if (!newest) return fail(Fault::not_found, directory.path().string() + ": nothing is published yet (dozo authority publish)");
  std::vector<Bytes> out = directory.roots();
  for (const char* first : {"freshness", "snapshot"}) out.push_back(newest->at(first));
  for (const auto& [name, bytes] : *newest)
    if (name != "freshness" && name != "snapshot") out.push_back(bytes);
  return out;
}

}  // namespace dozo::tools
