#include "policy/authoring.h"

#include <algorithm>

#include "crypto/hash.h"
#include "policy/delegation.h"
#include "policy/slice.h"

namespace dozo::policy {
namespace {

/// How long after a mesh has expired HQ's online machine is still believed about the time.
constexpr std::int64_t believed_after_s = 365 * day_s;

Result<Envelope> published(const Publication& documents, const std::string& name) {
  const auto at = documents.find(name);
  if (at == documents.end()) return fail(Fault::not_found, name + ": is not among what was published");
  return read_envelope(at->second);
}

Result<Bytes> checked(DocumentType type, std::string_view name, Bytes payload) {
  // What cannot be read back must not be signed.
  switch (type) {
    case DocumentType::root: TRY(parse_root(payload)); break;
    case DocumentType::mesh: TRY(parse_mesh(payload)); break;
    case DocumentType::directory: TRY(parse_sealed_directory(payload)); break;
    case DocumentType::epochs: TRY(parse_epochs(payload)); break;
    case DocumentType::grants: TRY(parse_grants(payload)); break;
    case DocumentType::snapshot: TRY(parse_snapshot(payload)); break;
    case DocumentType::freshness: TRY(parse_freshness(payload)); break;
    case DocumentType::suspend: TRY(parse_suspend(payload)); break;
    case DocumentType::org: TRY(parse_sealed_org(payload)); break;
    case DocumentType::slice: TRY(parse_sealed_slice(payload)); break;
  }
  return unsigned_envelope(type, name, payload);
}

std::string count(std::size_t number, std::string_view what) { return std::to_string(number) + " " + std::string(what); }

/// Nodes take no larger one. `what` makes it so.
Result<void> check_size(DocumentType type, const std::string& name, std::size_t payload_bytes, const std::string& what) {
  if (payload_bytes <= payload_bytes_most(type)) return {};
  return fail(Fault::over_limit, name + " would have " + std::to_string(payload_bytes >> 10) + " KiB, and nodes take at most " +
                                     std::to_string(payload_bytes_most(type) >> 10) + " KiB: it has " + what);
}

std::string contents_of(const Epochs& it) {
  std::size_t all = 0;
  for (const LibraryEpochs& library : it.libraries) all += library.epochs.size();
  return count(it.libraries.size(), "libraries with ") + count(all, "epochs");
}

/// What was published before, read.
struct Before {
  Mesh mesh;
  SealedDirectory directory;
  Epochs epochs;
  Snapshot snapshot;
};

class Drafting {
 public:
  Drafting(const Root& root, const RealmId& realm, const Compiled& compiled, const Publication* previous, const Changes& changes,
           const crypto::SealKey& admission, std::int64_t now_s)
      : root_(root), realm_(realm), compiled_(compiled), previous_(previous), changes_(changes), admission_(admission), now_s_(now_s) {}

  Result<Draft> run() {
    if (root_.expires_s <= now_s_) return fail(Fault::stale, "root has expired: a new one must be signed before anything can be granted");
    if (!changes_.new_sealing && admission_.public_key() != root_.admission) return fail(Fault::not_authentic, "this is not the realm's admission key");
    if (previous_ != nullptr) TRY(read_previous());
    out_.version.value = before_ ? before_->snapshot.header.version + 1 : 1;
    mesh_ = compiled_.mesh;
    TRY(epochs());
    TRY(mesh());
    TRY(orgs());
    TRY(directory());
    TRY(slices());
    TRY(grants());
    constexpr std::size_t listing_bytes = 320;  // as it stands in a snapshot
    TRY(check_size(DocumentType::snapshot, "snapshot", out_.documents.size() * listing_bytes, count(out_.documents.size(), "documents")));
    const Epoch generation = epochs_.find(directory_library)->epochs.back().epoch;
    std::set<Epoch> generations{generation, before_ ? before_->directory.generation : generation};
    for (const Publication* from : {previous_, static_cast<const Publication*>(&out_.documents)})
      if (from != nullptr)
        for (const auto& [name, bytes] : *from)
          if (is_org_name(name)) generations.insert(TRY(parse_sealed_org(TRY(read_envelope(bytes)).payload)).generation);
    for (const Epoch it : generations) out_.directory_keys.put(directory_library, it, keys_.find(directory_library, it)->copy());
    for (const auto& [name, bytes] : out_.documents) {
      if (!is_slice_name(name)) continue;
      const SealedSlice slice = TRY(parse_sealed_slice(TRY(read_envelope(bytes)).payload));
      const LibraryId under = slice_library(realm_, slice.node);
      out_.directory_keys.put(under, slice.generation, keys_.find(under, slice.generation)->copy());
    }
    return std::move(out_);
  }

 private:
  Result<void> read_previous() {
    Before it;
    it.mesh = TRY(parse_mesh(TRY(published(*previous_, "mesh")).payload));
    it.directory = TRY(parse_sealed_directory(TRY(published(*previous_, "directory")).payload));
    it.epochs = TRY(parse_epochs(TRY(published(*previous_, "epochs")).payload));
    it.snapshot = TRY(parse_snapshot(TRY(published(*previous_, "snapshot")).payload));
    if (it.mesh.header.realm != realm_) return fail(Fault::not_authentic, "what was published before belongs to another realm");
    keys_ = TRY(open_epochs_with_admission(admission_, it.epochs));
    before_ = std::move(it);
    return {};
  }

  Header header(std::uint64_t version) const { return {realm_, version, now_s_, now_s_ + compiled_.mesh_days * day_s}; }
  bool in_date(const Header& it) const { return it.expires_s - now_s_ > (it.expires_s - it.issued_s) / 2; }
  /// By keys that count under this root: those of before may be gone.
  bool is_signed(const std::string& name) const {
    const auto envelope = published(*previous_, name);
    return envelope && verify(*envelope, root_.keys_of(signer_of(envelope->type)));
  }
  bool still_good(const std::string& name, const Header& it) const { return in_date(it) && is_signed(name); }
  Result<void> put(DocumentType type, const std::string& name, Bytes payload, const std::string& what) {
    TRY(check_size(type, name, payload.size(), what));
    out_.documents[name] = TRY(checked(type, name, std::move(payload)));
    out_.to_sign.push_back(name);
    return {};
  }
  void keep(const std::string& name) { out_.documents[name] = previous_->at(name); }

  // ---- who has keys, and new epochs where somebody lost them ---------------------------------------------------------
  using Holders = std::map<NodeId, crypto::SealPublicKey>;
  Holders holders(const Mesh& mesh, const LibraryId& library) const {
    Holders out;
    for (const MeshNode& node : mesh.nodes) {
      if (node.kind == NodeKind::vault || node.kind == NodeKind::desk) continue;
      if (node.is_sliced && library == slice_library(realm_, node.name) && !sliced_libraries(mesh, node.keys.id).empty()) out[node.keys.id] = node.keys.seal;
      if (node.is_sliced && library == directory_library) continue;
      // The directory has the titles of all libraries and the names of all people: it is for HQ, and for whoever must judge what they do somewhere.
      if (library == directory_library && node.kind == NodeKind::hq) out[node.keys.id] = node.keys.seal;
      for (const MeshLibrary& it : mesh.libraries)
        if (it.id == library || library == directory_library)
          for (const Member& member : it.members)
            if (member.node == node.keys.id && member.holding >= Holding::partial) out[node.keys.id] = node.keys.seal;
    }
    return out;
  }
  static std::string name_in(const Mesh& mesh, const NodeId& id) {
    for (const MeshNode& it : mesh.nodes)
      if (it.keys.id == id) return it.name;
    return id.hex();
  }
  std::string name_of_library(const LibraryId& id) const {
    if (id == directory_library) return "directory";
    for (const MeshNode& it : mesh_.nodes)
      if (it.is_sliced && id == slice_library(realm_, it.name)) return slice_name(it.name);
    for (const LibraryTitle& it : compiled_.directory.libraries)
      if (it.id == id) return it.name;
    return id.hex();
  }

  Result<void> new_epoch(LibraryEpochs& library, const std::string& why) {
    const Epoch epoch{static_cast<std::uint32_t>(library.epochs.size() + 1)};
    crypto::EpochKey key = crypto::EpochKey::random();
    EpochEntry entry{epoch,
                     crypto::commitment_of(key, library.library, epoch),
                     {},
                     TRY(crypto::seal_epoch_key(key, root_.admission)),
                     TRY(crypto::seal_epoch_key(key, root_.recovery))};
    if (epoch.value > 1) {
      const crypto::EpochKey* predecessor = keys_.find(library.library, {epoch.value - 1});
      if (predecessor == nullptr) return fail(Fault::not_found, "the key of an epoch is missing");
      entry.predecessor = crypto::wrap_predecessor(key, *predecessor, library.library, epoch);
    }
    keys_.put(library.library, epoch, std::move(key));
    library.epochs.push_back(std::move(entry));
    out_.notes.push_back(name_of_library(library.library) + ": epoch " + std::to_string(epoch.value) + ", " + why);
    epochs_changed_ = true;
    return {};
  }

  /// Every key there is to the keys of the newest root. Who had the old ones has what they opened: what comes is in new epochs.
  Result<void> seal_anew() {
    for (LibraryEpochs& library : epochs_.libraries)
      for (EpochEntry& entry : library.epochs) {
        const crypto::EpochKey* key = keys_.find(library.library, entry.epoch);
        if (key == nullptr) return fail(Fault::not_found, "the key of an epoch is missing");
        entry.admission = TRY(crypto::seal_epoch_key(*key, root_.admission));
        entry.recovery = TRY(crypto::seal_epoch_key(*key, root_.recovery));
      }
    return {};
  }

  Result<void> epochs() {
    if (before_) epochs_ = before_->epochs;
    if (changes_.new_sealing) TRY(seal_anew());
    std::vector<LibraryId> wanted{directory_library};
    for (const MeshNode& it : mesh_.nodes)
      if (it.is_sliced && !sliced_libraries(mesh_, it.keys.id).empty()) wanted.push_back(slice_library(realm_, it.name));
    const std::size_t pseudo = wanted.size();
    for (const MeshLibrary& it : mesh_.libraries) wanted.push_back(it.id);
    for (const LibraryId& id : wanted) {
      const bool is_library = std::find(wanted.begin() + static_cast<std::ptrdiff_t>(pseudo), wanted.end(), id) != wanted.end();
      auto at = std::find_if(epochs_.libraries.begin(), epochs_.libraries.end(), [&](const LibraryEpochs& it) { return it.library == id; });
      if (at == epochs_.libraries.end()) {
        LibraryEpochs first{id, {}};
        TRY(new_epoch(first, "the first"));
        epochs_.libraries.push_back(std::move(first));
        continue;
      }
      // Of a slice: its node has none before this, so that who had its key is not known.
      const bool is_slice_back = !is_library && id != directory_library && holders(before_->mesh, id).empty();
      const bool is_back =
          is_library && std::none_of(before_->mesh.libraries.begin(), before_->mesh.libraries.end(), [&](const MeshLibrary& it) { return it.id == id; });
      const Holders now = holders(mesh_, id);
      std::string left;
      for (const auto& [node, seal] : holders(before_->mesh, id)) {
        const auto still = now.find(node);
        if (still == now.end() || still->second != seal) left += (left.empty() ? "" : ", ") + name_in(before_->mesh, node);
      }
      if (!left.empty()) {
        TRY(new_epoch(*at, "because its key was left with " + left));
      } else if (is_back || is_slice_back) {
        TRY(new_epoch(*at, "because it was taken out before, and who had its key is not known"));
      } else if (changes_.new_sealing) {
        TRY(new_epoch(*at, "because root has another admission or recovery key"));
      } else if (id == directory_library ? changes_.new_directory : changes_.new_epochs.contains(id)) {
        TRY(new_epoch(*at, "as asked"));
      }
    }
    std::sort(epochs_.libraries.begin(), epochs_.libraries.end(), [](const auto& a, const auto& b) { return a.library < b.library; });
    if (!epochs_changed_ && still_good("epochs", epochs_.header)) return keep("epochs"), Result<void>();
    epochs_.header = header(before_ ? before_->epochs.header.version + 1 : 1);
    return put(DocumentType::epochs, "epochs", format(epochs_), contents_of(epochs_));
  }

  // ---- mesh ----------------------------------------------------------------------------------------------------------
  Result<void> mesh() {
    for (MeshLibrary& it : mesh_.libraries) {
      it.epoch = epochs_.find(it.id)->epochs.back().epoch;
      if (before_)
        for (const MeshLibrary& old : before_->mesh.libraries)
          if (old.id == it.id) it.cuts = old.cuts, it.admits = old.admits;
      if (const auto cuts = changes_.cuts.find(it.id); cuts != changes_.cuts.end())
        for (Cut cut : cuts->second) {
          if (cut.since.value == 0) cut.since = out_.version;
          std::sort(cut.ends.begin(), cut.ends.end(),
                    [](const auto& a, const auto& b) { return std::pair(a.node, a.incarnation) < std::pair(b.node, b.incarnation); });
          it.cuts.push_back(std::move(cut));
        }
      std::sort(it.cuts.begin(), it.cuts.end(), [](const Cut& a, const Cut& b) { return std::pair(a.since, a.subject) < std::pair(b.since, b.subject); });
      if (const auto admits = changes_.admits.find(it.id); admits != changes_.admits.end())
        for (const Admit& admit : admits->second) {
          const auto raises = [&](const Cut& cut) { return cut.since == admit.cut && cut.subject == admit.subject; };
          if (std::none_of(it.cuts.begin(), it.cuts.end(), raises))
            return fail(Fault::not_found, "admit: " + name_of_library(it.id) + " has no cut " + std::to_string(admit.cut.value) + " of that subject");
          if (std::find(it.admits.begin(), it.admits.end(), admit) == it.admits.end()) it.admits.push_back(admit);
        }
    }
    if (before_) {
      Mesh same = mesh_;
      same.header = before_->mesh.header;
      same.hq_time_most_s = before_->mesh.hq_time_most_s;
      if (same == before_->mesh && still_good("mesh", same.header)) return keep("mesh"), Result<void>();
    }
    mesh_.header = header(before_ ? before_->mesh.header.version + 1 : 1);
    mesh_.hq_time_most_s = mesh_.header.expires_s + believed_after_s;
    return put(DocumentType::mesh, "mesh", TRY(mesh_payload(mesh_)), "");
  }

  // ---- what units sign -----------------------------------------------------------------------------------------------
  /// The newest of each that its delegation vouches for. What cannot be listed beside the rest ends the draft: who it is about decides.
  Result<void> orgs() {
    Directory directory = compiled_.directory;
    for (const Delegation& delegation : mesh_.delegations) {
      const std::string name = org_name(delegation.org);
      std::optional<SealedOrg> newest;
      std::vector<const Bytes*> offered;
      if (previous_ != nullptr && previous_->contains(name)) offered.push_back(&previous_->at(name));
      for (const Bytes& it : changes_.orgs) offered.push_back(&it);
      for (const Bytes* bytes : offered) {
        const Envelope envelope = TRY(read_envelope(*bytes));
        if (envelope.name != name) continue;
        if (!verify(envelope, delegation.keys)) {
          out_.notes.push_back(name + ": one is left out, as it is not signed by the keys that this unit has now");
          continue;
        }
        SealedOrg it = TRY(parse_sealed_org(envelope.payload));
        if (it.header.realm != realm_ || it.org != delegation.org) return fail(Fault::not_authentic, name + ": of another realm or unit");
        if (newest && it.header.version <= newest->header.version) continue;
        newest = std::move(it);
        out_.documents[name] = *bytes;
      }
      if (newest) orgs_.push_back(TRY(open_org(*newest, keys_)));
    }
    Mesh mesh = mesh_;
    return join(mesh, directory, orgs_);
  }

  // ---- directory -----------------------------------------------------------------------------------------------------
  Result<void> directory() {
    const Epoch generation = epochs_.find(directory_library)->epochs.back().epoch;
    Directory next = compiled_.directory;
    Mesh with_desks = mesh_;
    Directory with_people = next;
    TRY(join(with_desks, with_people, orgs_));
    const auto failing = Policy(out_.version, std::move(with_desks), std::move(with_people)).failing_tests();
    if (!failing.empty()) return fail(Fault::denied, failing.front().text);
    if (before_ && before_->directory.generation == generation && still_good("directory", before_->directory.header)) {
      next.header = before_->directory.header;
      if (TRY(open_directory(before_->directory, keys_)) == next) return keep("directory"), Result<void>();
    }
    next.header = header(before_ ? before_->directory.header.version + 1 : 1);
    TRY(parse_directory(format(next)));
    return put(DocumentType::directory, "directory", format(seal_directory(next, generation, *keys_.find(directory_library, generation))),
               "the people, posts and rules of policy.toml");
  }

  // ---- slices --------------------------------------------------------------------------------------------------------
  Result<void> slices() {
    Mesh mesh = mesh_;
    Directory directory = compiled_.directory;
    TRY(join(mesh, directory, orgs_));
    const Policy whole(out_.version, mesh, directory);
    for (const MeshNode& node : mesh_.nodes) {
      const std::vector<LibraryId> libraries = sliced_libraries(mesh_, node.keys.id);
      if (!node.is_sliced || libraries.empty()) continue;
      const std::string name = slice_name(node.name);
      const LibraryId under = slice_library(realm_, node.name);
      const Epoch generation = epochs_.find(under)->epochs.back().epoch;
      Directory next = slice_of(directory, libraries);
      if (previous_ != nullptr && previous_->contains(name)) {
        const SealedSlice old = TRY(parse_sealed_slice(TRY(published(*previous_, name)).payload));
        next.header = old.header;
        if (old.generation == generation && still_good(name, old.header) && TRY(open_slice(old, keys_)) == next) {
          keep(name);
          continue;
        }
      }
      next.header = header(out_.version.value);  // the policy's: one that was away for some publications does not begin anew
      TRY(parse_slice(format(next)));
      TRY(within(name, check_slice(whole, Policy(out_.version, mesh, next), libraries)));
      TRY(put(DocumentType::slice, name, format(seal_slice(next, node.name, generation, *keys_.find(under, generation))),
              "the people, posts and rules of its libraries"));
    }
    return {};
  }

  // ---- grants --------------------------------------------------------------------------------------------------------
  Result<void> grants() {
    std::map<NodeId, std::vector<std::pair<LibraryId, Epoch>>> wanted;
    for (const LibraryEpochs& it : epochs_.libraries)
      for (const auto& [node, seal] : holders(mesh_, it.library)) wanted[node].push_back({it.library, it.epochs.back().epoch});
    // A document never disappears from a snapshot: whoever had grants and shall have none gets a list without any.
    if (before_)
      for (const auto& [name, listing] : before_->snapshot.documents)
        if (name.starts_with("grants/")) wanted.try_emplace(*NodeId::parse(name.substr(7)));
    for (const auto& [node, keys] : wanted) {
      const std::string name = grants_name(node);
      const auto* now = find_node(mesh_, node);
      const auto* then = before_ ? find_node(before_->mesh, node) : nullptr;
      std::uint64_t version = 1;
      if (previous_ != nullptr && previous_->contains(name)) {
        const Grants old = TRY(parse_grants(TRY(published(*previous_, name)).payload));
        std::vector<std::pair<LibraryId, Epoch>> had;
        for (const Grant& it : old.grants) had.push_back({it.library, it.epoch});
        const bool same_key = now != nullptr && then != nullptr && now->keys.seal == then->keys.seal;
        if (had == keys && is_signed(name) && (now == nullptr || in_date(old.header)) && (keys.empty() || same_key)) {
          keep(name);
          continue;
        }
        version = old.header.version + 1;
      }
      Grants next{header(version), node, {}};
      for (const auto& [library, epoch] : keys)
        next.grants.push_back({library, epoch, TRY(crypto::seal_epoch_key(*keys_.find(library, epoch), now->keys.seal))});
      TRY(put(DocumentType::grants, name, format(next), count(next.grants.size(), "grants")));
    }
    return {};
  }
  static const MeshNode* find_node(const Mesh& mesh, const NodeId& id) {
    for (const MeshNode& it : mesh.nodes)
      if (it.keys.id == id) return &it;
    return nullptr;
  }

  const Root& root_;
  const RealmId& realm_;
  const Compiled& compiled_;
  const Publication* previous_;
  const Changes& changes_;
  const crypto::SealKey& admission_;
  std::int64_t now_s_;
  std::optional<Before> before_;
  KeyRing keys_;
  Mesh mesh_;
  Epochs epochs_;
  std::vector<OrgDocument> orgs_;
  bool epochs_changed_ = false;
  Draft out_;
};

Listing listing_of(std::uint64_t version, ByteView envelope) { return {version, envelope.size(), crypto::sha256(envelope)}; }

Result<std::uint64_t> version_of(const Envelope& it) {
  switch (it.type) {
    case DocumentType::mesh: return TRY(parse_mesh(it.payload)).header.version;
    case DocumentType::directory: return TRY(parse_sealed_directory(it.payload)).header.version;
    case DocumentType::epochs: return TRY(parse_epochs(it.payload)).header.version;
    case DocumentType::grants: return TRY(parse_grants(it.payload)).header.version;
    case DocumentType::snapshot: return TRY(parse_snapshot(it.payload)).header.version;
    case DocumentType::org: return TRY(parse_sealed_org(it.payload)).header.version;
    case DocumentType::slice: return TRY(parse_sealed_slice(it.payload)).header.version;
    default: return fail(Fault::malformed, it.name + ": stands in no snapshot");
  }
}

}  // namespace

Result<Bytes> draft_root(const RootPlan& plan, const Root* previous, const std::optional<RealmId>& realm) {
  Root root{plan.name, realm, previous == nullptr ? 1 : previous->version + 1, plan.issued_s, plan.expires_s, plan.roles, plan.admission, plan.recovery};
  for (auto& [role, keys] : root.roles) std::sort(keys.keys.begin(), keys.keys.end());
  return checked(DocumentType::root, "root", format(root));
}

Result<RoleKeys> signers_of(const Root& root, const Mesh& mesh, DocumentType type, std::string_view name) {
  if (type != DocumentType::org) return root.keys_of(signer_of(type));
  const Delegation* delegation = is_org_name(name) ? mesh.delegation(name.substr(org_name("").size())) : nullptr;
  if (delegation == nullptr) return fail(Fault::not_authentic, std::string(name) + ": nothing is delegated to this unit");
  return delegation->keys;
}

Result<Bytes> sign_with(ByteView envelope, Signers keys) {
  Bytes out = bytes_of(envelope);
  for (const crypto::SigningKey* key : keys) out = TRY(add_signature(out, *key));
  return out;
}

Result<Draft> draft(const Root& root, const RealmId& realm, const Compiled& compiled, const Publication* previous, const Changes& changes,
                    const crypto::SealKey& admission, std::int64_t now_s) {
  return Drafting(root, realm, compiled, previous, changes, admission, now_s).run();
}

std::map<LibraryId, std::vector<Cut>> cuts_of(const CutSubject& subject, const std::set<LibraryId>& libraries, const std::map<FeedId, FeedPoint>& ends) {
  std::map<LibraryId, std::vector<Cut>> out;
  for (const LibraryId& library : libraries) {
    Cut cut{{}, subject, {}};
    for (const auto& [feed, point] : ends)
      if (feed.library == library && point.sequence.value != 0) cut.ends.push_back(point);
    out[library].push_back(std::move(cut));
  }
  return out;
}

Result<Bytes> mesh_payload(const Mesh& mesh) {
  constexpr std::size_t ends_most = 10'000;  // of one cut
  std::size_t cuts = 0, ends = 0, most = 0;
  std::string largest;
  for (const MeshLibrary& library : mesh.libraries)
    for (const Cut& cut : library.cuts) {
      ++cuts;
      ends += cut.ends.size();
      if (cut.ends.size() <= most) continue;
      most = cut.ends.size();
      largest = std::visit([](const auto& id) { return id.hex(); }, cut.subject);
      for (const MeshNode& node : mesh.nodes)
        if (cut.subject == CutSubject(node.keys.id)) largest = node.name;
    }
  const std::string in_one = count(most, "of them in one cut of ") + largest + " (--cut-all makes one that names none)";
  if (most > ends_most)
    return fail(Fault::over_limit, "mesh would have cuts of " + count(ends, "feeds, ") + in_one + ", and a cut names at most " + std::to_string(ends_most));
  Bytes payload = format(mesh);
  TRY(check_size(DocumentType::mesh, "mesh", payload.size(),
                 count(mesh.nodes.size(), "nodes, ") + count(mesh.libraries.size(), "libraries, and ") + count(cuts, "cuts that name ") +
                     count(ends, "feeds, ") + in_one));
  TRY(parse_mesh(payload));
  return payload;
}

Result<Bytes> draft_snapshot(const Root& root, const RealmId& realm, const Draft& draft, const Publication* previous, std::uint32_t days, std::int64_t now_s) {
  Snapshot out;
  out.header = {realm, draft.version.value, now_s, now_s + days * day_s};
  if (previous != nullptr) {
    const Envelope before = TRY(published(*previous, "snapshot"));
    out.previous = listing_of(TRY(version_of(before)), previous->at("snapshot"));
  }
  const Mesh mesh = TRY(parse_mesh(TRY(published(draft.documents, "mesh")).payload));
  for (const auto& [name, bytes] : draft.documents) {
    const Envelope envelope = TRY(read_envelope(bytes));
    TRY(verify(envelope, TRY(signers_of(root, mesh, envelope.type, name))));
    out.documents[name] = listing_of(TRY(version_of(envelope)), bytes);
  }
  return checked(DocumentType::snapshot, "snapshot", format(out));
}

Result<Bytes> refresh(const RealmId& realm, ByteView snapshot_envelope, std::uint64_t last_version, std::uint32_t hours, Signers keys, std::int64_t now_s) {
  const Envelope snapshot = TRY(read_envelope(snapshot_envelope));
  Freshness out;
  out.header = {realm, std::max(static_cast<std::uint64_t>(now_s), last_version + 1), now_s, now_s + std::int64_t{hours} * 3600};
  out.hq_time_s = now_s;
  out.snapshot = listing_of(TRY(version_of(snapshot)), snapshot_envelope);
  return sign_with(TRY(checked(DocumentType::freshness, "freshness", format(out))), keys);
}

Result<Published> publish(const Root& root, const RealmId& realm, const Compiled& compiled, const Publication* previous, const Changes& changes,
                          const crypto::SealKey& admission, const RoleSigners& signers, std::int64_t now_s) {
  const auto keys_for = [&](SigningRole role) -> Signers {
    const auto at = signers.find(role);
    return at == signers.end() ? Signers() : Signers(at->second);
  };
  Draft next = TRY(draft(root, realm, compiled, previous, changes, admission, now_s));
  for (const std::string& name : next.to_sign) {
    Bytes& bytes = next.documents[name];
    bytes = TRY(sign_with(bytes, keys_for(signer_of(TRY(read_envelope(bytes)).type))));
  }
  Bytes snapshot = TRY(sign_with(TRY(draft_snapshot(root, realm, next, previous, compiled.snapshot_days, now_s)), keys_for(SigningRole::snapshot)));
  TRY(verify(TRY(read_envelope(snapshot)), root.keys_of(SigningRole::snapshot)));
  std::uint64_t last = 0;
  if (previous != nullptr && previous->contains("freshness")) last = TRY(parse_freshness(TRY(published(*previous, "freshness")).payload)).header.version;
  Bytes freshness = TRY(refresh(realm, snapshot, last, compiled.freshness_hours, keys_for(SigningRole::freshness), now_s));
  TRY(verify(TRY(read_envelope(freshness)), root.keys_of(SigningRole::freshness)));
  Published out{std::move(next.documents), next.version, std::move(next.notes)};
  out.documents["snapshot"] = std::move(snapshot);
  out.documents["freshness"] = std::move(freshness);
  return out;
}

Result<RealmId> realm_of(ByteView first_root_envelope) {
  const Envelope envelope = TRY(read_envelope(first_root_envelope));
  return RealmId{crypto::sha256(envelope.payload).bytes};
}

}  // namespace dozo::policy
