// How staged documents become a policy in force.
#include <algorithm>

#include "crypto/hash.h"
#include "policy/slice.h"
#include "policy/trust_state.h"

namespace dozo::policy {

std::int64_t Trust::State::now_s(std::int64_t wall_ms) const { return std::max(wall_ms / 1000, floor_s); }

std::uint64_t Trust::State::floor_of(const std::string& name) const {
  const auto type = document_type(name.substr(0, name.find('/')));
  if (!set || !type || *type == DocumentType::org || changed.contains(signer_of(*type))) return 0;
  const auto listed = set->snapshot.documents.find(name);
  return listed == set->snapshot.documents.end() ? 0 : listed->second.version;
}

void Trust::State::believe_time(const Freshness& it, const Mesh& mesh) {
  // The freshness key lies on a machine that is always on: how far it may move our clocks is for those whose keys are not.
  if (it.hq_time_s <= mesh.hq_time_most_s) floor_s = std::max(floor_s, it.hq_time_s);
}

const Held* Trust::State::find(const std::string& name, const Digest& sha256) const {
  if (const auto names = staged.find(name); names != staged.end())
    if (const auto at = names->second.find(sha256); at != names->second.end()) return &at->second;
  if (const auto ahead = orgs_ahead.find(name); ahead != orgs_ahead.end() && ahead->second.first.sha256 == sha256) return &ahead->second.first;
  const auto ours = held.find(name);
  return ours != held.end() && ours->second.sha256 == sha256 ? &ours->second : nullptr;
}

Outcome Trust::State::staged_or_known(const Held& offered) const {
  const auto same_name = staged.find(offered.name);
  bool known = same_name != staged.end() && same_name->second.contains(offered.sha256);
  for (const auto& [version, one] : staged_freshness) known = known || one.first.sha256 == offered.sha256;
  return known ? Outcome::known : Outcome::staged;
}

void Trust::State::stage(Held offered) {
  auto& same_name = staged[offered.name];
  same_name.insert_or_assign(offered.sha256, std::move(offered));
  const auto forget = [&](std::map<std::string, std::map<Digest, Held>>::iterator names) {
    const auto oldest =
        std::min_element(names->second.begin(), names->second.end(), [](const auto& a, const auto& b) { return a.second.version < b.second.version; });
    staged_snapshots.erase(oldest->first);
    names->second.erase(oldest);
    if (names->second.empty()) staged.erase(names);
  };
  if (same_name.size() > staged_per_name_most) forget(staged.find(same_name.begin()->second.name));
  for (;;) {
    std::size_t bytes = 0;
    auto largest = staged.begin();
    std::size_t largest_bytes = 0;
    for (auto names = staged.begin(); names != staged.end(); ++names) {
      std::size_t here = 0;
      for (const auto& [sha256, it] : names->second) here += it.envelope.size();
      bytes += here;
      if (here > largest_bytes && names->second.size() > 1) largest = names, largest_bytes = here;
    }
    if (bytes <= staged_bytes_most || largest_bytes == 0) return;
    forget(largest);
  }
}

std::string Trust::State::own_slice(const Mesh& mesh) const {
  const auto at = self ? std::ranges::find(mesh.nodes, *self, [](const MeshNode& it) { return it.keys.id; }) : mesh.nodes.end();
  return at != mesh.nodes.end() && at->is_sliced && !sliced_libraries(mesh, at->keys.id).empty() ? slice_name(at->name) : std::string();
}

std::string Trust::State::own_slice(const Snapshot& snapshot) const {
  const Digest& sha256 = snapshot.documents.at("mesh").sha256;
  if (set && set->snapshot.documents.at("mesh").sha256 == sha256) return own_slice(set->mesh);
  if (const auto known = own_slices.find(sha256); known != own_slices.end()) return known->second;
  if (own_slices.size() >= staged_per_name_most) own_slices.clear();
  // What has the hash may be anything: whoever signs snapshots says under which name.
  const auto known = parsed.find(sha256);
  const Mesh* here = known == parsed.end() ? nullptr : std::get_if<Mesh>(&known->second);
  if (here != nullptr) return own_slices[sha256] = own_slice(*here);
  const Held* mesh = find("mesh", sha256);
  const auto envelope = mesh != nullptr ? read_envelope(mesh->envelope) : Result<Envelope>(fail(Fault::not_found, ""));
  const auto read = envelope ? parse_mesh(envelope->payload) : Result<Mesh>(fail(Fault::not_found, ""));
  if (!read) return {};
  return own_slices[sha256] = own_slice(*read);
}

Result<void> Trust::State::check_snapshot(const Snapshot& snapshot) const {
  if (!set) return {};
  for (const auto& [name, ours] : set->snapshot.documents) {
    const std::uint64_t floor = floor_of(name);
    if (floor == 0) continue;
    const auto theirs = snapshot.documents.find(name);
    if (theirs == snapshot.documents.end() && is_slice_name(name)) continue;  // its node has none any more: who needs it asks for it with the mesh (check_set)
    if (theirs == snapshot.documents.end()) return fail(Fault::stale, "snapshot: " + name + " has disappeared");
    if (theirs->second.version < floor)
      return fail(Fault::stale, "snapshot: " + name + " goes back from version " + std::to_string(floor) + " to " + std::to_string(theirs->second.version));
    if (theirs->second.version == floor && theirs->second.sha256 != ours.sha256)
      return fail(Fault::not_authentic, "snapshot: another " + name + " of version " + std::to_string(floor) + " than the one in force");
  }
  return {};
}

namespace {

struct Into {
  DocumentSet& set;
  void operator()(Mesh&& it) const { set.mesh = std::move(it); }
  void operator()(SealedDirectory&& it) const { set.directory = std::move(it); }
  void operator()(Epochs&& it) const { set.epochs = std::move(it); }
  void operator()(Grants&& it) const { set.grants = std::move(it); }
  void operator()(SealedOrg&& it) const {
    std::string name = org_name(it.org);
    set.orgs.insert_or_assign(std::move(name), std::move(it));
  }
  void operator()(SealedSlice&& it) const { set.slice = std::move(it); }
};

}  // namespace

Result<DocumentSet> Trust::State::assemble(const Digest& sha256, const Snapshot& snapshot) {
  DocumentSet out{PolicyVersion{snapshot.header.version}, sha256, snapshot, {}, {}, {}, {}, {}, {}, set && changed.contains(SigningRole::snapshot)};
  for (const auto& [name, listing] : snapshot.documents) {  // by name: the mesh before what it delegates
    if (!needs(name, is_slice_name(name) ? own_slice(out.mesh) : std::string())) continue;
    const Held& it = *find(name, listing.sha256);
    if (it.version != listing.version || it.envelope.size() != listing.length) return fail(Fault::not_authentic, name + ": version or length is not as listed");
    // What is staged was verified under this root: a new one drops it. What is carried over may be signed by keys that a root has dropped.
    const auto staged_at = staged.find(name);
    const bool is_staged = staged_at != staged.end() && staged_at->second.contains(listing.sha256);
    auto known = is_staged ? parsed.extract(listing.sha256) : decltype(parsed)::node_type();
    const Envelope envelope = known ? Envelope() : TRY(read_envelope(it.envelope));
    if (is_org_name(name)) {
      // Whenever it was taken, and by whose keys: it counts by the delegation that stands beside it.
      const Delegation* delegation = out.mesh.delegation(std::string_view(name).substr(4));
      if (delegation == nullptr) return fail(Fault::not_authentic, name + ": nothing is delegated to this unit");
      TRY(verify(known ? TRY(read_envelope(it.envelope)) : envelope, delegation->keys));
    } else if (!known) {
      TRY(verify(envelope, root.keys_of(signer_of(envelope.type))));
    }
    ParsedDocument document = known ? std::move(known.mapped()) : TRY(parse(envelope));
    std::visit(Into{out}, std::move(document));
  }
  return out;
}

Result<void> Trust::State::check_set(const DocumentSet& next) const {
  const auto last_epoch = [&](const LibraryId& library) -> std::uint64_t {
    const LibraryEpochs* epochs = next.epochs.find(library);
    return epochs == nullptr ? 0 : epochs->epochs.size();
  };
  for (const MeshLibrary& library : next.mesh.libraries)
    if (last_epoch(library.id) != library.epoch.value) return fail(Fault::not_authentic, "mesh and epochs do not belong together");
  if (next.slice && next.slice->generation.value > last_epoch(slice_library(realm, next.slice->node)))
    return fail(Fault::not_authentic, "slice and epochs do not belong together");
  if (const std::string slice = own_slice(next.mesh); !slice.empty() && !next.slice) return fail(Fault::not_authentic, "snapshot: " + slice + " is missing");
  if (next.directory.generation.value > last_epoch(directory_library)) return fail(Fault::not_authentic, "directory and epochs do not belong together");
  TRY(check_orgs(next));
  if (next.grants)
    for (const Grant& grant : next.grants->grants)
      if (grant.epoch.value > last_epoch(grant.library)) return fail(Fault::not_authentic, "grants and epochs do not belong together");
  if (set)
    for (const LibraryEpochs& ours : set->epochs.libraries) {
      const LibraryEpochs* theirs = next.epochs.find(ours.library);
      if (theirs == nullptr) return fail(Fault::not_authentic, "epochs: a library has disappeared");
      if (theirs->epochs.size() < ours.epochs.size()) return fail(Fault::stale, "epochs: a library goes back to an earlier epoch");
      for (std::size_t i = 0; i < ours.epochs.size(); ++i)
        if (ours.epochs[i].commitment != theirs->epochs[i].commitment) return fail(Fault::not_authentic, "epochs: another key for an epoch that is in force");
    }
  return {};
}

/// As long as a unit has the same keys, what it signed neither goes back nor disappears. With others it begins anew: who stole the old ones may have run its
/// numbers up.
Result<void> Trust::State::check_orgs(const DocumentSet& next) const {
  const LibraryEpochs* generations = next.epochs.find(directory_library);
  for (const auto& [name, org] : next.orgs)
    if (generations == nullptr || org.generation.value > generations->epochs.size())
      return fail(Fault::not_authentic, name + " and epochs do not belong together");
  if (!set) return {};
  for (const auto& [name, ours] : set->orgs) {
    const Delegation* then = set->mesh.delegation(ours.org);
    const Delegation* now = next.mesh.delegation(ours.org);
    if (then == nullptr || now == nullptr || then->keys != now->keys) continue;
    const auto theirs = next.snapshot.documents.find(name);
    if (theirs == next.snapshot.documents.end()) return fail(Fault::stale, name + " has disappeared");
    const Listing& listed = set->snapshot.documents.at(name);
    if (theirs->second.version < listed.version)
      return fail(Fault::stale, name + " goes back from version " + std::to_string(listed.version) + " to " + std::to_string(theirs->second.version));
    if (theirs->second.version == listed.version && theirs->second.sha256 != listed.sha256)
      return fail(Fault::not_authentic, "another " + name + " of version " + std::to_string(listed.version) + " than the one in force");
  }
  return {};
}

void Trust::State::drop_orgs_ahead() {
  std::erase_if(orgs_ahead, [&](const auto& it) {
    const auto& [name, ahead] = it;
    const Delegation* delegation = set->mesh.delegation(ahead.second.org);
    if (delegation == nullptr) return true;
    const auto envelope = read_envelope(ahead.first.envelope);
    if (!envelope || !verify(*envelope, delegation->keys)) return true;
    const auto listed = set->snapshot.documents.find(name);
    return listed != set->snapshot.documents.end() && listed->second.version >= ahead.first.version;
  });
}

Result<Offer> Trust::State::commit_if_complete(Offer offer, std::int64_t wall_ms) {
  for (auto at = staged_freshness.rbegin(); at != staged_freshness.rend(); ++at) {
    const auto [fresh_held, fresh] = at->second;
    const auto snapshot_at = staged_snapshots.find(fresh.snapshot.sha256);
    if (snapshot_at == staged_snapshots.end()) continue;
    const Snapshot snapshot = snapshot_at->second;
    const Held* snapshot_held = find("snapshot", fresh.snapshot.sha256);
    if (snapshot_held == nullptr) continue;
    const std::string slice = own_slice(snapshot);
    const bool complete = std::all_of(snapshot.documents.begin(), snapshot.documents.end(),
                                      [&](const auto& it) { return !needs(it.first, slice) || find(it.first, it.second.sha256) != nullptr; });
    if (!complete) continue;

    const auto drop = [&](Error error) -> Result<Offer> {
      if (refused.size() >= 64) refused.erase(refused.begin());
      refused.insert(fresh.snapshot.sha256);
      staged_freshness.erase(fresh.header.version);
      staged_snapshots.erase(fresh.snapshot.sha256);
      return std::unexpected(std::move(error).within("policy " + std::to_string(snapshot.header.version)));
    };
    if (fresh.snapshot.version != snapshot.header.version || fresh.snapshot.length != snapshot_held->envelope.size())
      return drop({Fault::not_authentic, "version or length is not as freshness says"});
    auto next = assemble(fresh.snapshot.sha256, snapshot);
    if (!next) return drop(next.error());
    if (const auto fits = check_set(*next); !fits) return drop(fits.error());
    if (!set) {
      // The first policy must be in date: a node that knows nothing could be shown any year.
      const std::int64_t now = now_s(wall_ms);
      for (const std::int64_t expires :
           {root.expires_s, fresh.header.expires_s, snapshot.header.expires_s, next->mesh.header.expires_s, next->directory.header.expires_s,
            next->epochs.header.expires_s, next->grants ? next->grants->header.expires_s : INT64_MAX, next->slice ? next->slice->header.expires_s : INT64_MAX})
        if (expires <= now)
          return fail(Fault::stale, "policy " + std::to_string(snapshot.header.version) + ": has expired, and cannot be a node's first; ask HQ to sign anew");
    }
    if (check)
      if (const auto passed = check(*next); !passed) return drop({Fault::denied, passed.error().text});

    std::map<std::string, Held> documents;
    documents.emplace("snapshot", *snapshot_held);
    for (const auto& [name, listing] : snapshot.documents)
      if (const Held* it = find(name, listing.sha256)) documents.emplace(name, *it);
    set = std::move(*next);
    held = std::move(documents);
    freshness = fresh;
    freshness_held = fresh_held;
    changed.clear();
    parsed.clear();
    drop_lifted();
    drop_orgs_ahead();
    believe_time(fresh, set->mesh);
    std::erase_if(staged_freshness,
                  [&](const auto& it) { return it.first <= fresh.header.version || it.second.second.snapshot.version <= set->version.value; });
    std::erase_if(staged_snapshots, [&](const auto& it) { return it.second.header.version <= set->version.value; });
    for (auto names = staged.begin(); names != staged.end();) {
      std::erase_if(names->second,
                    [&](const auto& it) { return it.second.version <= (names->first == "snapshot" ? set->version.value : floor_of(names->first)); });
      if (is_org_name(names->first)) names->second.clear();
      names = names->second.empty() ? staged.erase(names) : std::next(names);
    }
    offer.outcome = Outcome::committed;
    offer.text = "policy " + std::to_string(set->version.value) + " is in force";
    return offer;
  }
  return offer;
}

// ---- what is missing -------------------------------------------------------------------------------------------------
std::vector<Want> Trust::wants() const {
  const State& it = *state_;
  std::vector<Want> out;
  out.push_back({"root", it.root.version + 1, std::nullopt, false});
  out.push_back({"freshness", it.freshness ? it.freshness->header.version + 1 : 1, std::nullopt, !it.set});
  std::set<Digest> asked;
  const auto ask = [&](const std::string& name, const Listing& listing, bool needed) {
    if (it.find(name, listing.sha256) == nullptr && asked.insert(listing.sha256).second) out.push_back({name, listing.version, listing.sha256, needed});
  };
  for (const bool needed : {true, false}) {
    for (auto at = it.staged_freshness.rbegin(); at != it.staged_freshness.rend(); ++at) {
      const Listing& listing = at->second.second.snapshot;
      if (needed) ask("snapshot", listing, true);
      const auto snapshot = it.staged_snapshots.find(listing.sha256);
      if (snapshot == it.staged_snapshots.end()) continue;
      const std::string slice = it.own_slice(snapshot->second);
      for (const auto& [name, one] : snapshot->second.documents)
        if (it.needs(name, slice) == needed) ask(name, one, needed);
    }
    if (!needed && it.set)
      for (const auto& [name, one] : it.set->snapshot.documents) ask(name, one, false);
  }
  return out;
}

}  // namespace dozo::policy
