#include "policy/past.h"

#include "crypto/hash.h"

namespace dozo::policy {

void Past::anchor(const DocumentSet& set) {
  const std::uint64_t version = set.version.value;
  const auto differs = [&](std::uint64_t number, const Digest& sha256) {
    const auto named = named_.find(number);
    return named != named_.end() && named->second != sha256;
  };
  const auto& previous = set.snapshot.previous;
  if (set.begins_chain || differs(version, set.snapshot_sha256) || (previous && differs(previous->version, previous->sha256))) {
    // Keys of the snapshot role were dropped. What they vouched for counts again once the new chain names it; what it says is still here.
    snapshots_.clear();
    named_.clear();
  }
  // Nothing above what is in force is a version of this realm.
  snapshots_.erase(snapshots_.upper_bound(version), snapshots_.end());
  named_.erase(named_.upper_bound(version), named_.end());
  snapshots_[version] = {set.snapshot_sha256, set.snapshot};
  named_[version] = set.snapshot_sha256;
  if (previous) named_[previous->version] = previous->sha256;
  meshes_[set.snapshot.documents.at("mesh").sha256] = set.mesh;
  directories_[set.snapshot.documents.at("directory").sha256] = set.directory;
  if (set.slice) {
    own_slice_ = slice_name(set.slice->node);
    slices_[set.snapshot.documents.at(own_slice_).sha256] = *set.slice;
  }
  for (const auto& [name, org] : set.orgs) orgs_[set.snapshot.documents.at(name).sha256] = org;
}

Result<Offer> Past::offer(ByteView bytes) {
  const Envelope envelope = TRY(read_envelope(bytes));
  Held held{envelope.type, envelope.name, 0, crypto::sha256(bytes), bytes_of(bytes)};
  const auto outcome = [&](Outcome what) { return Offer{what, held.type, held.name, held.version, "an older " + held.name}; };
  // No signature is asked for: a snapshot that was in force vouches by hash, through any number of steps.
  if (envelope.type == DocumentType::snapshot) {
    std::uint64_t version = 0;
    for (const auto& [number, sha256] : named_)
      if (sha256 == held.sha256) version = number;
    if (version == 0) return fail(Fault::not_found, "snapshot: no known policy follows it");
    held.version = version;
    if (snapshots_.contains(version)) return outcome(Outcome::known);
    const Snapshot snapshot = TRY(parse_snapshot(envelope.payload));
    if (snapshot.header.version != version) return fail(Fault::not_authentic, "snapshot: of another version than its successor says");
    if (snapshot.previous) {
      const auto [at, fresh] = named_.emplace(snapshot.previous->version, snapshot.previous->sha256);
      if (!fresh && at->second != snapshot.previous->sha256)
        return fail(Fault::denied, "snapshot: policy " + std::to_string(version) + " does not descend from policy " + std::to_string(at->first) +
                                       " that was in force here: a fork. Tell HQ");
    }
    snapshots_[version] = {held.sha256, snapshot};
    held_[held.sha256] = held;
    return outcome(Outcome::advanced);
  }
  for (const auto& [number, known] : snapshots_) {
    const auto listing = known.second.documents.find(envelope.name);
    if (listing == known.second.documents.end() || listing->second.sha256 != held.sha256) continue;
    held.version = listing->second.version;
    if (held_.contains(held.sha256)) return outcome(Outcome::known);
    if (envelope.type == DocumentType::mesh) {
      meshes_[held.sha256] = TRY(parse_mesh(envelope.payload));
    } else if (envelope.type == DocumentType::directory) {
      directories_[held.sha256] = TRY(parse_sealed_directory(envelope.payload));
    } else if (envelope.type == DocumentType::org) {
      orgs_[held.sha256] = TRY(parse_sealed_org(envelope.payload));
    } else if (envelope.name == own_slice_) {
      slices_[held.sha256] = TRY(parse_sealed_slice(envelope.payload));
    } else {
      return fail(Fault::unsupported, envelope.name + ": of older versions only mesh, directory, units' documents and the own slice are kept");
    }
    held_[held.sha256] = held;
    return outcome(Outcome::advanced);
  }
  return fail(Fault::not_found, envelope.name + ": no known policy names it");
}

std::vector<Want> Past::wants(PolicyVersion version) const {
  std::vector<Want> out;
  const auto known = snapshots_.find(version.value);
  if (known != snapshots_.end()) {
    const auto& documents = known->second.second.documents;
    const auto want = [&](const std::string& name, const auto& here) {
      const Listing& listing = documents.at(name);
      if (!here.contains(listing.sha256)) out.push_back({name, listing.version, listing.sha256, true});
    };
    want("mesh", meshes_);
    want("directory", directories_);
    for (const auto& [name, listing] : documents)
      if (is_org_name(name)) want(name, orgs_);
    if (documents.contains(own_slice_)) want(own_slice_, slices_);
    return out;
  }
  // The oldest gap above it is where the chain goes on downwards.
  for (const auto& [number, sha256] : named_)
    if (number >= version.value && !snapshots_.contains(number)) return {{"snapshot", number, sha256, true}};
  return out;
}

bool Past::complete(PolicyVersion version) const { return at(version).has_value(); }

std::optional<Past::Version> Past::at(PolicyVersion version) const {
  const auto known = snapshots_.find(version.value);
  if (known == snapshots_.end()) return std::nullopt;
  const auto mesh = meshes_.find(known->second.second.documents.at("mesh").sha256);
  const auto directory = directories_.find(known->second.second.documents.at("directory").sha256);
  if (mesh == meshes_.end() || directory == directories_.end()) return std::nullopt;
  Version out{known->second.first, &mesh->second, &directory->second, {}, nullptr};
  if (const auto listing = known->second.second.documents.find(own_slice_); listing != known->second.second.documents.end()) {
    const auto slice = slices_.find(listing->second.sha256);
    if (slice == slices_.end()) return std::nullopt;
    out.slice = &slice->second;
  }
  for (const auto& [name, listing] : known->second.second.documents) {
    if (!is_org_name(name)) continue;
    const auto org = orgs_.find(listing.sha256);
    if (org == orgs_.end()) return std::nullopt;
    out.orgs.emplace(name, org->second);
  }
  return out;
}

std::vector<Held> Past::documents() const {
  std::vector<Held> out;
  for (const auto& [sha256, it] : held_) out.push_back(it);
  return out;
}

}  // namespace dozo::policy
