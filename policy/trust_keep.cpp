// What Trust shows of its state, how old the word from HQ is, and how the state is kept.
#include <algorithm>

#include "base/archive.h"
#include "crypto/hash.h"
#include "policy/trust_state.h"

namespace dozo::policy {
namespace {

constexpr std::int64_t warning_s = 60 * day_s;
constexpr std::uint8_t state_format = 3;  ///< 1 had no spans, 2 no documents of units
constexpr std::size_t state_bytes_most = 4U << 20;

struct KeptDocument {
  std::string name;
  std::uint64_t version{};
  Digest sha256;
};
template <class A>
void serialize(A& archive, KeptDocument& it) {
  archive(archive::capped<64>(it.name), it.version, it.sha256);
}
struct KeptSpan {
  crypto::VerifyKey officer;
  std::int64_t from_s{}, until_s{};
  std::uint64_t number{};
};
template <class A>
void serialize(A& archive, KeptSpan& it) {
  archive(it.officer, it.from_s, it.until_s, it.number);
}
struct KeptName {
  std::string text;
};
template <class A>
void serialize(A& archive, KeptName& it) {
  archive(archive::capped<64>(it.text));
}
/// Of Stop, what was before a wide one.
struct KeptStop {
  crypto::VerifyKey officer;
  std::int64_t from_s{}, until_s{};
  std::uint64_t number{};
  std::string reason;
  std::vector<NodeId> nodes;
  std::vector<PersonId> people;
  std::vector<KeptName> orgs, roles;
  std::vector<LibraryId> libraries;
};
template <class A>
void serialize(A& archive, KeptStop& it) {
  archive(it.officer, it.from_s, it.until_s, it.number, archive::capped<1024>(it.reason), archive::capped<1000>(it.nodes), archive::capped<1000>(it.people),
          archive::capped<1000>(it.orgs), archive::capped<1000>(it.roles), archive::capped<1000>(it.libraries));
}
struct KeptState {
  std::uint8_t format = state_format;
  RealmId realm;
  std::int64_t floor_s{};
  std::uint8_t changed{};  ///< one bit for each signing role
  std::vector<KeptDocument> documents;
  std::vector<KeptSpan> wide;
  std::vector<KeptStop> before_wide;
};
template <class A>
void serialize(A& archive, KeptState& it) {
  archive(it.format, it.realm, it.floor_s, it.changed, archive::capped<40'000>(it.documents));
  if (it.format >= 2) archive(archive::capped<10'000>(it.wide), archive::capped<1000>(it.before_wide));
}

std::string in_days(std::int64_t seconds) { return seconds < day_s ? "in less than a day" : "in " + std::to_string(seconds / day_s) + " days"; }

}  // namespace

const RealmId& Trust::realm() const { return state_->realm; }
const Root& Trust::root() const { return state_->root; }
const DocumentSet* Trust::current() const { return state_->set ? &*state_->set : nullptr; }
const Freshness* Trust::freshness() const { return state_->freshness ? &*state_->freshness : nullptr; }
PolicyVersion Trust::version() const { return state_->set ? state_->set->version : PolicyVersion{}; }
const std::vector<Fork>& Trust::forks() const { return state_->forks; }
std::int64_t Trust::trusted_ms(std::int64_t wall_ms) const { return std::max(wall_ms, state_->floor_s * 1000); }

// ---- the ladder ------------------------------------------------------------------------------------------------------
std::string_view name_of(Standing standing) {
  switch (standing) {
    case Standing::fresh: return "fresh";
    case Standing::stale: return "stale";
    case Standing::expired: return "expired";
    case Standing::locked: return "locked";
  }
  return "";
}

Ladder Trust::ladder(std::int64_t wall_ms) const {
  const State& it = *state_;
  const std::int64_t now = it.now_s(wall_ms);
  Ladder out;
  if (!it.set) {
    out.standing = Standing::expired;
    out.text = "no policy is in force yet: this node waits for HQ's documents";
    return out;
  }
  const DocumentSet& set = *it.set;
  // Signed offline, by people: what expires here needs them.
  std::vector<std::pair<std::string_view, std::int64_t>> offline{
      {"root", it.root.expires_s}, {"mesh", set.mesh.header.expires_s}, {"directory", set.directory.header.expires_s}, {"epochs", set.epochs.header.expires_s}};
  if (set.grants) offline.emplace_back("grants", set.grants->header.expires_s);
  const auto first = *std::min_element(offline.begin(), offline.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  for (const auto& [name, expires] : offline)
    if (expires - warning_s <= now)
      out.warnings.push_back(expires <= now ? std::string(name) + " has expired: HQ must sign it anew"
                                            : std::string(name) + " expires " + in_days(expires - now));

  const bool fresh = it.freshness && it.freshness->header.expires_s > now && set.snapshot.header.expires_s > now;
  std::int64_t last_word = set.mesh.header.issued_s;
  if (it.freshness && it.freshness->hq_time_s <= set.mesh.hq_time_most_s) last_word = std::max(last_word, it.freshness->hq_time_s);
  const std::int64_t silence = std::max<std::int64_t>(now - last_word, 0);
  const std::string since = std::to_string(silence / 3600) + " hours";
  if (fresh) {
    out.standing = Standing::fresh;
    out.text = "HQ has confirmed policy " + std::to_string(set.version.value);
  } else {
    out.standing = Standing::stale;
    out.text = "no word from HQ for " + since + ": newer rules and suspensions may exist; look at the lines to HQ";
  }
  if (first.second <= now) {
    out.standing = Standing::expired;
    out.text = std::string(first.first) + " has expired: reading, writing and sync go on, nobody new is admitted; HQ must sign it anew";
  }
  if (set.mesh.locked_after_s != 0 && silence > set.mesh.locked_after_s) {
    out.standing = Standing::locked;
    out.text = "no word from HQ for " + since + ": libraries that the policy marks are closed until there is";
  }
  out.may_admit = out.standing == Standing::fresh;
  out.may_open_locking = out.standing != Standing::locked;
  return out;
}

// ---- stops -----------------------------------------------------------------------------------------------------------
std::vector<Stop> Trust::stops(std::int64_t wall_ms) const {
  const std::int64_t now = state_->now_s(wall_ms);
  std::vector<Stop> out;
  for (const auto& [officer, held] : state_->suspensions) {
    const Suspend& it = held.second;
    if (it.header.expires_s <= now) continue;
    Stop stop{it.whom, it.header.issued_s, it.header.expires_s, it.reason, officer, it.header.version};
    if (state_->is_wide(it.whom)) {
      // None: it was not known to be wide when it was taken in.
      std::int64_t until_s = stop.from_s + wide_s_most;
      if (const auto spans = state_->wide.find(officer); spans != state_->wide.end() && !spans->second.empty())
        until_s = spans->second.back().number == stop.number ? spans->second.back().until_s : std::min(until_s, now);
      if (until_s <= now) {
        // What the officer had stopped by itself goes on: who stole the key could lift it with the hours.
        stop.whom = state_->narrowed(it.whom);
        if (!stop.whom.is_empty()) out.push_back(stop);
        const auto before = state_->before_wide.find(officer);
        if (before != state_->before_wide.end() && before->second.until_s > now) out.push_back(before->second);
        continue;
      }
      stop.until_s = std::min(stop.until_s, until_s);
    }
    out.push_back(std::move(stop));
  }
  if (state_->set)
    for (const MeshStop& it : state_->set->mesh.stops)
      if (it.from_s <= now && (it.until_s == 0 || it.until_s > now)) out.push_back({it.whom, it.from_s, it.until_s, it.reason, {}, 0});
  return out;
}

std::optional<std::int64_t> Trust::stops_change_ms(std::int64_t wall_ms) const {
  const std::int64_t now = state_->now_s(wall_ms);
  std::optional<std::int64_t> out;
  const auto add = [&](std::int64_t at_s) {
    if (at_s > now) out = std::min(out.value_or(at_s * 1000), at_s * 1000);
  };
  for (const Stop& it : stops(wall_ms)) add(it.until_s);
  if (state_->set)
    for (const MeshStop& it : state_->set->mesh.stops) add(it.from_s);
  return out;
}

std::map<std::string, SealedOrg> Trust::orgs_ahead() const {
  std::map<std::string, SealedOrg> out;
  for (const auto& [name, it] : state_->orgs_ahead) out.emplace(name, it.second);
  return out;
}

// ---- keeping ---------------------------------------------------------------------------------------------------------
std::vector<Held> Trust::documents() const {
  std::vector<Held> out = state_->roots;
  if (state_->freshness_held) out.push_back(*state_->freshness_held);
  if (const auto snapshot = state_->held.find("snapshot"); snapshot != state_->held.end()) out.push_back(snapshot->second);
  for (const auto& [name, it] : state_->held)
    if (name != "snapshot") out.push_back(it);
  for (const auto& [name, it] : state_->orgs_ahead) out.push_back(it.first);
  for (const auto& [key, it] : state_->suspensions) out.push_back(it.first);
  return out;
}

std::vector<Held> Trust::unlisted() const {
  std::vector<Held> out;
  for (const auto& [key, it] : state_->suspensions) out.push_back(it.first);
  for (const auto& [name, it] : state_->orgs_ahead) out.push_back(it.first);
  return out;
}

std::optional<Held> Trust::document(std::string_view name) const {
  if (name == "root") return state_->roots.back();
  if (name == "freshness") return state_->freshness_held;
  const auto at = state_->held.find(std::string(name));
  if (at == state_->held.end()) return std::nullopt;
  return at->second;
}

std::optional<Held> Trust::root_at(std::uint64_t version) const {
  if (version == 0 || version > state_->roots.size()) return std::nullopt;
  return state_->roots[version - 1];
}

Bytes Trust::encode() const {
  KeptState out;
  out.realm = state_->realm;
  out.floor_s = state_->floor_s;
  for (const SigningRole role : state_->changed) out.changed = static_cast<std::uint8_t>(out.changed | (1U << static_cast<unsigned>(role)));
  for (const Held& it : documents()) out.documents.push_back({it.name, it.version, it.sha256});
  for (const auto& [officer, spans] : state_->wide)
    for (const State::Span& it : spans) out.wide.push_back({officer, it.from_s, it.until_s, it.number});
  for (const auto& [officer, it] : state_->before_wide) {
    KeptStop& kept =
        out.before_wide.emplace_back(KeptStop{officer, it.from_s, it.until_s, it.number, it.reason, it.whom.nodes, it.whom.people, {}, {}, it.whom.libraries});
    for (const std::string& name : it.whom.orgs) kept.orgs.push_back({name});
    for (const std::string& name : it.whom.roles) kept.roles.push_back({name});
  }
  return archive::encode(out);
}

Result<Trust> Trust::restore(ByteView encoded, const std::vector<Bytes>& envelopes, std::optional<NodeId> self) {
  const auto kept = TRY(archive::decode<KeptState>(encoded, state_bytes_most, "trust state"));
  if (kept.format == 0 || kept.format > state_format) return fail(Fault::unsupported, "trust state: a newer format than this build knows");
  std::map<Digest, const Bytes*> by_hash;
  for (const Bytes& it : envelopes) by_hash.emplace(crypto::sha256(it), &it);

  std::optional<Trust> out;
  for (const KeptDocument& it : kept.documents) {
    const auto damaged = [&](std::string_view why) {
      return fail(Fault::corrupt, "trust state: " + it.name + " " + std::to_string(it.version) + " " + std::string(why));
    };
    const auto at = by_hash.find(it.sha256);
    if (at == by_hash.end()) return damaged("is missing");
    const Bytes& bytes = *at->second;
    if (it.name == "root") {
      if (!out) {
        out = TRY(begin(bytes, self));
        if (out->realm() != kept.realm) return fail(Fault::corrupt, "trust state: of another realm than its root");
      } else if (const Offer took = TRY(out->offer(bytes, 0)); took.outcome != Outcome::advanced) {
        return damaged("does not continue the chain");
      }
      continue;
    }
    if (!out) return fail(Fault::corrupt, "trust state: does not begin with a root");
    // The rest was authentic when it was taken, by keys that may be gone since: its hash in the state vouches for it.
    State& state = *out->state_;
    const Envelope envelope = TRY(read_envelope(bytes));
    if (envelope.name != it.name) return damaged("is something else");
    Held held{envelope.type, it.name, it.version, it.sha256, bytes};
    const bool own = state.needs(it.name, it.name);
    switch (envelope.type) {
      case DocumentType::freshness:
        state.freshness = TRY(parse_freshness(envelope.payload));
        state.freshness_held = std::move(held);
        continue;
      case DocumentType::suspend: {
        const Suspend suspend = TRY(parse_suspend(envelope.payload));
        if (const crypto::VerifyKey* officer = state.officer_of(envelope)) state.suspensions.insert_or_assign(*officer, std::pair(held, suspend));
        continue;
      }
      case DocumentType::snapshot: {
        DocumentSet set;
        set.snapshot = TRY(parse_snapshot(envelope.payload));
        set.version.value = set.snapshot.header.version;
        set.snapshot_sha256 = it.sha256;
        state.set = std::move(set);
        break;
      }
      default: {
        if (!state.set) return fail(Fault::corrupt, "trust state: has no snapshot");
        const auto listed = state.set->snapshot.documents.find(it.name);
        if (envelope.type == DocumentType::org) {
          SealedOrg org = TRY(parse_sealed_org(envelope.payload));
          if (listed == state.set->snapshot.documents.end() || listed->second.sha256 != it.sha256) {
            state.orgs_ahead.insert_or_assign(it.name, std::pair(std::move(held), std::move(org)));
            continue;
          }
          state.set->orgs.insert_or_assign(it.name, std::move(org));
        }
        if (listed == state.set->snapshot.documents.end() || listed->second.sha256 != it.sha256) return damaged("is not the one of the snapshot");
        if (envelope.type == DocumentType::mesh) state.set->mesh = TRY(parse_mesh(envelope.payload));
        if (envelope.type == DocumentType::directory) state.set->directory = TRY(parse_sealed_directory(envelope.payload));
        if (envelope.type == DocumentType::epochs) state.set->epochs = TRY(parse_epochs(envelope.payload));
        if (envelope.type == DocumentType::slice && it.name == state.own_slice(state.set->mesh)) state.set->slice = TRY(parse_sealed_slice(envelope.payload));
        if (envelope.type == DocumentType::grants && own) state.set->grants = TRY(parse_grants(envelope.payload));
      }
    }
    state.held.insert_or_assign(it.name, std::move(held));
  }
  if (!out) return fail(Fault::corrupt, "trust state: empty");
  State& state = *out->state_;
  if (state.set)
    for (const auto& [name, listing] : state.set->snapshot.documents)
      if (state.needs(name, state.own_slice(state.set->mesh)) && !state.held.contains(name))
        return fail(Fault::corrupt, "trust state: " + name + " is missing");
  state.floor_s = kept.floor_s;
  for (const KeptSpan& it : kept.wide) state.wide[it.officer].push_back({it.from_s, it.until_s, it.number});
  for (const KeptStop& it : kept.before_wide) {
    Stop stop{{it.nodes, it.people, {}, {}, it.libraries, false}, it.from_s, it.until_s, it.reason, it.officer, it.number};
    for (const KeptName& name : it.orgs) stop.whom.orgs.push_back(name.text);
    for (const KeptName& name : it.roles) stop.whom.roles.push_back(name.text);
    state.before_wide.emplace(it.officer, std::move(stop));
  }
  state.changed.clear();
  for (std::size_t i = 0; i < signing_role_count; ++i)
    if ((kept.changed >> i & 1U) != 0) state.changed.insert(static_cast<SigningRole>(i));
  return std::move(*out);
}

}  // namespace dozo::policy
