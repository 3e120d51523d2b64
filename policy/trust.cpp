#include "policy/trust.h"

#include <algorithm>

#include "crypto/hash.h"
#include "policy/trust_state.h"

namespace dozo::policy {
namespace {

/// How many past roots a strange root is compared with: enough to notice a second chain, few enough to cost a sender more than us.
constexpr std::size_t fork_search_roots_most = 8;

std::string number(std::uint64_t value) { return std::to_string(value); }

}  // namespace

std::string_view name_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::known: return "known";
    case Outcome::staged: return "staged";
    case Outcome::advanced: return "advanced";
    case Outcome::committed: return "committed";
    case Outcome::suspended: return "suspended";
    case Outcome::forked: return "forked";
  }
  return "";
}

Trust::Trust(std::unique_ptr<State> state) : state_(std::move(state)) {}
Trust::Trust(Trust&&) noexcept = default;
Trust& Trust::operator=(Trust&&) noexcept = default;
Trust::~Trust() = default;

Result<Trust> Trust::begin(ByteView first_root_envelope, std::optional<NodeId> self) {
  const Envelope envelope = TRY(read_envelope(first_root_envelope));
  if (envelope.type != DocumentType::root) return fail(Fault::malformed, "a realm begins with a root, not with " + envelope.name);
  // The one payload that is read before anything vouches for it: it was pinned, and then vouches for itself.
  const Root root = TRY(parse_root(envelope.payload));
  if (root.version != 1) return fail(Fault::malformed, "root: version " + number(root.version) + " is not a first one");
  TRY(verify(envelope, root.keys_of(SigningRole::root)));
  auto state = std::make_unique<State>();
  state->self = self;
  state->realm.bytes = crypto::sha256(envelope.payload).bytes;
  state->put_root(root, {DocumentType::root, "root", 1, crypto::sha256(first_root_envelope), bytes_of(first_root_envelope)});
  return Trust(std::move(state));
}

void Trust::set_check(Check check) { state_->check = std::move(check); }
void Trust::set_check_org(CheckOrg check) { state_->check_org = std::move(check); }
void Trust::set_most_people(MostPeople ask) { state_->most_people = std::move(ask); }

Result<Offer> Trust::offer(ByteView bytes, std::int64_t wall_ms) {
  const Envelope envelope = TRY(read_envelope(bytes));
  Held held{envelope.type, envelope.name, 0, crypto::sha256(bytes), bytes_of(bytes)};
  switch (envelope.type) {
    case DocumentType::root: return state_->take_root(envelope, std::move(held));
    case DocumentType::freshness: return state_->take_freshness(envelope, std::move(held), wall_ms);
    case DocumentType::snapshot: return state_->take_snapshot(envelope, std::move(held), wall_ms);
    case DocumentType::org: return state_->take_org(envelope, std::move(held), wall_ms);
    case DocumentType::suspend: return state_->take_suspend(envelope, std::move(held), wall_ms);
    default: return state_->take_document(envelope, std::move(held), wall_ms);
  }
}

// ---- root ------------------------------------------------------------------------------------------------------------
Result<Offer> Trust::State::take_root(const Envelope& envelope, Held offered) {
  for (const Held& past : roots)
    if (past.sha256 == offered.sha256) return offer_of(Outcome::known, past, "root " + number(past.version) + " is known");
  const auto signed_by_last = verify(envelope, root.keys_of(SigningRole::root));
  if (signed_by_last) {
    const Root next = TRY(parse_root(envelope.payload));
    offered.version = next.version;
    if (next.version <= root.version && next.realm == root.realm) {
      // Signed by the keys that count now, under a number that is taken. The same payload with other signatures is no second face.
      const Held& ours = roots[next.version - 1];
      if (TRY(read_envelope(ours.envelope)).payload == envelope.payload) return offer_of(Outcome::known, ours, "root " + number(next.version) + " is known");
      return fork(ours, offered, "two roots of version " + number(next.version));
    }
    if (next.realm != realm) return fail(Fault::not_authentic, "root: of another realm");
    if (next.version != root.version + 1)
      return fail(Fault::not_authentic, "root: version " + number(next.version) + " does not follow " + number(root.version));
    TRY(within("by its own keys", verify(envelope, next.keys_of(SigningRole::root))));
    put_root(next, offered);
    return offer_of(Outcome::advanced, offered, "root " + number(next.version) + " is in force");
  }
  // Another successor of one of the last roots is evidence against HQ's keys.
  for (std::size_t i = roots.size() - 1; i > 0 && i + fork_search_roots_most >= roots.size(); --i) {
    const Envelope before = TRY(read_envelope(roots[i - 1].envelope));
    if (!verify(envelope, TRY(parse_root(before.payload)).keys_of(SigningRole::root))) continue;
    const auto other = parse_root(envelope.payload);
    if (!other || other->version != i + 1 || other->realm != realm || !verify(envelope, other->keys_of(SigningRole::root))) continue;
    if (TRY(read_envelope(roots[i].envelope)).payload == envelope.payload) return offer_of(Outcome::known, roots[i], "root " + number(i + 1) + " is known");
    offered.version = other->version;
    return fork(roots[i], offered, "two roots of version " + number(i + 1));
  }
  return fail(Fault::not_authentic, "root: not the successor of root " + number(root.version) + " (they are taken one by one): " + signed_by_last.error().text);
}

void Trust::State::put_root(const Root& next, Held next_held) {
  const bool first = roots.empty();
  const auto differs = [&](SigningRole role) { return !first && root.keys_of(role) != next.keys_of(role); };
  for (std::size_t i = 0; i < signing_role_count; ++i)
    if (differs(static_cast<SigningRole>(i))) changed.insert(static_cast<SigningRole>(i));
  if (differs(SigningRole::snapshot) || differs(SigningRole::freshness)) {
    // Whoever had the old keys may have run the numbers up, and the time: both begin anew (TUF 5.3.11). What is in force stays until the next set.
    changed.insert({SigningRole::snapshot, SigningRole::freshness});
    freshness.reset();
    freshness_held.reset();
    floor_s = next.issued_s;
  }
  // Staged documents were authentic under the root before this one.
  staged_freshness.clear();
  staged.clear();
  parsed.clear();
  staged_snapshots.clear();
  root = next;
  const auto& officers = root.keys_of(SigningRole::emergency).keys;
  std::erase_if(suspensions, [&](const auto& it) { return std::find(officers.begin(), officers.end(), it.first) == officers.end(); });
  std::erase_if(before_wide, [&](const auto& it) { return !suspensions.contains(it.first); });
  floor_s = std::max(floor_s, first ? 0 : next.issued_s);
  roots.push_back(std::move(next_held));
}

// ---- freshness and snapshot ------------------------------------------------------------------------------------------
Result<Offer> Trust::State::take_freshness(const Envelope& envelope, Held offered, std::int64_t wall_ms) {
  if (freshness_held && freshness_held->sha256 == offered.sha256) return offer_of(Outcome::known, *freshness_held, "this freshness is in force");
  TRY(verify(envelope, root.keys_of(SigningRole::freshness)));
  const Freshness it = TRY(parse_freshness(envelope.payload));
  if (it.header.realm != realm) return fail(Fault::not_authentic, "freshness: of another realm");
  offered.version = it.header.version;
  // Of whatever age: one that names another policy of the version in force was signed by who shows two.
  if (set && !changed.contains(SigningRole::snapshot) && it.snapshot.version == set->version.value && it.snapshot.sha256 != set->snapshot_sha256)
    return fork(freshness_held ? *freshness_held : held.at("snapshot"), offered, "two policies of version " + number(set->version.value));
  if (freshness && it.header.version <= freshness->header.version) {
    if (it.header.version < freshness->header.version) return fail(Fault::stale, "freshness: older than the one in force");
    if (it.snapshot == freshness->snapshot) return offer_of(Outcome::known, offered, "this freshness is in force");
    return fork(*freshness_held, offered, "two freshness documents of version " + number(it.header.version));
  }
  if (set && !changed.contains(SigningRole::snapshot)) {
    if (it.snapshot.version < set->version.value)
      return fail(Fault::stale, "freshness: names policy " + number(it.snapshot.version) + ", and " + number(set->version.value) + " is in force");
    if (it.snapshot.version == set->version.value) {
      freshness = it;
      freshness_held = offered;
      believe_time(it, set->mesh);
      std::erase_if(staged_freshness, [&](const auto& one) { return one.first <= it.header.version; });
      return offer_of(Outcome::advanced, offered, "policy " + number(set->version.value) + " is confirmed by HQ");
    }
  }
  if (refused.contains(it.snapshot.sha256)) return fail(Fault::denied, "freshness: names a policy that failed its own tests here");
  const Outcome outcome = staged_or_known(offered);
  staged_freshness[it.header.version] = {offered, it};
  if (staged_freshness.size() > staged_freshness_most) staged_freshness.erase(staged_freshness.begin());
  return commit_if_complete(offer_of(outcome, offered, "names policy " + number(it.snapshot.version)), wall_ms);
}

Result<Offer> Trust::State::take_snapshot(const Envelope& envelope, Held offered, std::int64_t wall_ms) {
  if (set && set->snapshot_sha256 == offered.sha256 && !changed.contains(SigningRole::snapshot))
    return offer_of(Outcome::known, held.at("snapshot"), "this policy is in force");
  TRY(verify(envelope, root.keys_of(SigningRole::snapshot)));
  const Snapshot it = TRY(parse_snapshot(envelope.payload));
  if (it.header.realm != realm) return fail(Fault::not_authentic, "snapshot: of another realm");
  offered.version = it.header.version;
  if (set && !changed.contains(SigningRole::snapshot)) {
    const std::uint64_t ours = set->version.value;
    if (it.header.version < ours)
      return fail(Fault::stale, "snapshot: policy " + number(it.header.version) + " is older than " + number(ours) + ", which is in force");
    if (it.header.version == ours) return fork(held.at("snapshot"), offered, "two policies of version " + number(ours));
    // A successor of another policy of our version: the same evidence, one step later.
    if (it.previous && it.previous->version == ours && it.previous->sha256 != set->snapshot_sha256)
      return fork(held.at("snapshot"), offered, "policy " + number(it.header.version) + " follows another policy " + number(ours) + " than the one in force");
  }
  if (refused.contains(offered.sha256)) return fail(Fault::denied, "snapshot: this policy failed its own tests here");
  TRY(check_snapshot(it));
  staged_snapshots[offered.sha256] = it;
  Offer out = offer_of(staged_or_known(offered), offered, "policy " + number(it.header.version) + ", incomplete");
  stage(std::move(offered));
  return commit_if_complete(std::move(out), wall_ms);
}

// ---- what a snapshot names -------------------------------------------------------------------------------------------
Result<ParsedDocument> parse(const Envelope& envelope) {
  switch (envelope.type) {
    case DocumentType::mesh: return ParsedDocument(TRY(parse_mesh(envelope.payload)));
    case DocumentType::directory: return ParsedDocument(TRY(parse_sealed_directory(envelope.payload)));
    case DocumentType::epochs: return ParsedDocument(TRY(parse_epochs(envelope.payload)));
    case DocumentType::grants: {
      Grants grants = TRY(parse_grants(envelope.payload));
      if (grants_name(grants.node) != envelope.name) return fail(Fault::malformed, "grants: for another node than the name says");
      return ParsedDocument(std::move(grants));
    }
    case DocumentType::org: {
      SealedOrg org = TRY(parse_sealed_org(envelope.payload));
      if (org_name(org.org) != envelope.name) return fail(Fault::malformed, envelope.name + ": of another unit than the name says");
      return ParsedDocument(std::move(org));
    }
    case DocumentType::slice: {
      SealedSlice slice = TRY(parse_sealed_slice(envelope.payload));
      if (slice_name(slice.node) != envelope.name) return fail(Fault::malformed, envelope.name + ": for another node than the name says");
      return ParsedDocument(std::move(slice));
    }
    default: return fail(Fault::unsupported, "no such document");
  }
}

Result<Offer> Trust::State::take_document(const Envelope& envelope, Held offered, std::int64_t wall_ms) {
  const auto ours = held.find(offered.name);
  if (ours != held.end() && ours->second.sha256 == offered.sha256) return offer_of(Outcome::known, ours->second, offered.name + " is in force");
  TRY(verify(envelope, root.keys_of(signer_of(envelope.type))));
  ParsedDocument document = TRY(parse(envelope));
  const Header header = std::visit([](const auto& it) { return it.header; }, document);
  if (header.realm != realm) return fail(Fault::not_authentic, offered.name + ": of another realm");
  offered.version = header.version;
  if (set) {
    const auto listed = set->snapshot.documents.find(offered.name);
    if (listed != set->snapshot.documents.end()) {
      if (listed->second.sha256 == offered.sha256) {  // another node's grants: the rest came with the set
        if (listed->second.version != header.version || listed->second.length != offered.envelope.size())
          return fail(Fault::not_authentic, offered.name + ": version or length is not as listed");
        held[offered.name] = offered;
        return offer_of(Outcome::advanced, offered, offered.name + " is taken in");
      }
      const std::uint64_t floor = floor_of(offered.name);
      if (header.version < floor) return fail(Fault::stale, offered.name + ": version " + number(header.version) + " is older than " + number(floor));
      if (header.version == floor && ours != held.end()) {
        // A custodian may sign twice: other signatures around one payload are no second face, and not what the snapshot hashes.
        if (TRY(read_envelope(ours->second.envelope)).payload == envelope.payload)
          return fail(Fault::not_authentic, offered.name + ": not as the snapshot hashes it");
        return fork(ours->second, offered, "two of " + offered.name + " of version " + number(header.version));
      }
    }
  }
  Offer out = offer_of(staged_or_known(offered), offered, offered.name + " " + number(header.version) + " waits for its snapshot");
  if (parsed.size() >= 2 * staged_per_name_most) parsed.clear();
  if (needs(offered.name, {})) parsed.insert_or_assign(offered.sha256, std::move(document));
  stage(std::move(offered));
  return commit_if_complete(std::move(out), wall_ms);
}

Result<Offer> Trust::State::take_org(const Envelope& envelope, Held offered, std::int64_t wall_ms) {
  const std::string name = offered.name;
  const auto ours = held.find(name);
  if (ours != held.end() && ours->second.sha256 == offered.sha256) return offer_of(Outcome::known, ours->second, name + " is in force");
  const auto ahead = orgs_ahead.find(name);
  if (ahead != orgs_ahead.end() && ahead->second.first.sha256 == offered.sha256) return offer_of(Outcome::known, ahead->second.first, name + " is known");
  // One that a staged snapshot hashes is taken by that hash: its keys are judged with the set, by the mesh that comes with it.
  const bool is_listed = std::any_of(staged_snapshots.begin(), staged_snapshots.end(), [&](const auto& it) {
    const auto listing = it.second.documents.find(name);
    return listing != it.second.documents.end() && listing->second.sha256 == offered.sha256;
  });
  const Delegation* delegation = set ? set->mesh.delegation(std::string_view(name).substr(4)) : nullptr;
  if (!is_listed) {
    if (delegation == nullptr) return fail(Fault::stale, name + ": nothing is delegated to this unit here");
    // Not a lie of whoever gave it: another policy, which that peer has, may delegate to those keys.
    if (!verify(envelope, delegation->keys)) return fail(Fault::stale, name + ": not signed by keys that something is delegated to here");
  }
  SealedOrg it = std::get<SealedOrg>(TRY(parse(envelope)));
  if (it.header.realm != realm) return fail(Fault::not_authentic, name + ": of another realm");
  offered.version = it.header.version;
  if (is_listed) {
    Offer out = offer_of(staged_or_known(offered), offered, name + " " + number(offered.version) + " waits for its set");
    stage(std::move(offered));
    return commit_if_complete(std::move(out), wall_ms);
  }
  const auto is_newer = [&](const Held& than) -> Result<std::optional<Offer>> {
    if (offered.version > than.version) return std::nullopt;
    if (offered.version < than.version) return fail(Fault::stale, name + ": version " + number(offered.version) + " is older than " + number(than.version));
    if (TRY(read_envelope(than.envelope)).payload == envelope.payload) return offer_of(Outcome::known, than, name + " is known");
    return fork(than, offered, "two of " + name + " of version " + number(offered.version));
  };
  if (ours != held.end())
    if (auto settled = TRY(is_newer(ours->second))) return std::move(*settled);
  if (ahead != orgs_ahead.end())
    if (auto settled = TRY(is_newer(ahead->second.first))) return std::move(*settled);
  const std::int64_t now = now_s(wall_ms);
  if (it.header.expires_s <= now) return fail(Fault::stale, name + ": it has expired");
  if (it.header.issued_s > now + day_s) return fail(Fault::stale, name + ": it is dated ahead of the time here");
  // Of numbers that run away each would be kept and passed on: headquarters lists what goes on.
  const auto listed = set->snapshot.documents.find(name);
  if (offered.version > (listed == set->snapshot.documents.end() ? 0 : listed->second.version) + orgs_ahead_most)
    return fail(Fault::denied, name + ": version " + number(offered.version) + " is too far beyond the one that headquarters lists");
  if (check_org) {
    // Whatever is wrong inside is the unit's: whoever passed it on need not be able to read it.
    auto checked = check_org(it);
    if (!checked) return fail(checked.error().fault == Fault::not_found ? Fault::stale : Fault::denied, checked.error().text);
  }
  Offer out = offer_of(Outcome::advanced, offered, name + " " + number(offered.version) + " is taken in; headquarters will list it");
  orgs_ahead.insert_or_assign(name, std::pair(std::move(offered), std::move(it)));
  return out;
}

const crypto::VerifyKey* Trust::State::officer_of(const Envelope& suspension) const {
  for (const crypto::VerifyKey& key : root.keys_of(SigningRole::emergency).keys)
    if (verify(suspension, {{key}, 1})) return &key;
  return nullptr;
}

Result<Offer> Trust::State::take_suspend(const Envelope& envelope, Held offered, std::int64_t wall_ms) {
  for (const auto& [key, suspension] : suspensions)
    if (suspension.first.sha256 == offered.sha256) return offer_of(Outcome::known, suspension.first, "this suspension is known");
  // One key is enough, whatever the role's threshold: it can only take away.
  const crypto::VerifyKey* signer = officer_of(envelope);
  if (signer == nullptr) return fail(Fault::not_authentic, "suspend: signed by no officer's key");
  const Suspend it = TRY(parse_suspend(envelope.payload));
  if (it.header.realm != realm) return fail(Fault::not_authentic, "suspend: of another realm");
  offered.version = it.header.version;
  const std::int64_t now = now_s(wall_ms);
  if (it.header.expires_s <= now) return fail(Fault::stale, "suspend: it has expired");
  // It lasts from when it was issued: what is dated far ahead would outlast what an officer may.
  if (it.header.issued_s > now + day_s) return fail(Fault::stale, "suspend: it is dated ahead of the time here");
  if (is_lifted(*signer, it.header.version)) return fail(Fault::stale, "suspend: the policy has lifted it");
  const auto ours = suspensions.find(*signer);
  if (ours != suspensions.end()) {
    const Suspend& before = ours->second.second;
    if (it.header.version < before.header.version) return fail(Fault::stale, "suspend: this officer has signed a newer one");
    if (it.header.version == before.header.version) return fork(ours->second.first, offered, "two suspensions of one number");
    // Lifting is not for officers: who stole a key could undo with it what its owner has stopped.
    if (before.header.expires_s > now && !(it.whom.covers(before.whom) && it.header.expires_s >= before.header.expires_s))
      return fail(Fault::denied, "suspend: it leaves out what this officer has suspended; lifting needs the policy role");
  }
  begin_wide(*signer, it, now);
  suspensions.insert_or_assign(*signer, std::pair(offered, it));
  return offer_of(Outcome::suspended, offered, "a suspension was taken in");
}

bool Trust::State::is_wide(const Stopped& whom) const { return narrowed(whom) != whom; }

Stopped Trust::State::narrowed(Stopped whom) const {
  whom.realm = false;
  if (most_people && most_people({{}, whom.people, whom.orgs, whom.roles, {}, false})) whom.people.clear(), whom.orgs.clear(), whom.roles.clear();
  if (!set) return whom;
  std::size_t nodes = 0, libraries = 0, all = 0;
  for (const MeshNode& it : set->mesh.nodes) {
    if (it.kind == NodeKind::desk) continue;
    ++all;
    if (std::binary_search(whom.nodes.begin(), whom.nodes.end(), it.keys.id)) ++nodes;
  }
  for (const MeshLibrary& it : set->mesh.libraries)
    if (std::binary_search(whom.libraries.begin(), whom.libraries.end(), it.id)) ++libraries;
  if (2 * nodes > all) whom.nodes.clear();
  if (libraries > 1 && 2 * libraries > set->mesh.libraries.size()) whom.libraries.clear();
  return whom;
}

bool Trust::State::is_lifted(const crypto::VerifyKey& officer, std::uint64_t number) const {
  return set && std::any_of(set->mesh.lifts.begin(), set->mesh.lifts.end(), [&](const Lift& it) { return it.officer == officer && number <= it.up_to; });
}

void Trust::State::drop_lifted() {
  std::erase_if(suspensions, [&](const auto& it) { return is_lifted(it.first, it.second.first.version); });
  std::erase_if(before_wide, [&](const auto& it) { return !suspensions.contains(it.first); });
}

void Trust::State::begin_wide(const crypto::VerifyKey& officer, const Suspend& it, std::int64_t now) {
  constexpr std::size_t spans_most = 64;
  std::vector<Span>& spans = wide[officer];
  std::int64_t used = 0;
  for (Span& span : spans) {
    span.until_s = std::min(span.until_s, now);  // what this one replaces
    used += std::max<std::int64_t>(span.until_s - std::max(span.from_s, now - wide_window_s), 0);
  }
  std::erase_if(spans, [&](const Span& span) { return span.until_s <= now - wide_window_s || span.until_s <= span.from_s; });
  if (!is_wide(it.whom)) {
    before_wide.erase(officer);
    return;
  }
  if (const auto before = suspensions.find(officer); before != suspensions.end() && before->second.second.header.expires_s > now) {
    const Suspend& old = before->second.second;
    if (!is_wide(old.whom)) before_wide[officer] = {old.whom, old.header.issued_s, old.header.expires_s, old.reason, officer, old.header.version};
  } else {
    before_wide.erase(officer);
  }
  if (used < wide_s_most && spans.size() < spans_most) spans.push_back({now, std::min(it.header.expires_s, now + wide_s_most - used), it.header.version});
}

Offer Trust::State::fork(const Held& ours, const Held& theirs, std::string text) {
  const bool known = std::any_of(forks.begin(), forks.end(), [&](const Fork& it) { return it.theirs == theirs.envelope; });
  if (!known && forks.size() < forks_most) forks.push_back({theirs.name, theirs.version, ours.envelope, theirs.envelope});
  return offer_of(Outcome::forked, theirs, "fork: " + std::move(text) + ". Tell HQ; nothing was changed");
}

}  // namespace dozo::policy
