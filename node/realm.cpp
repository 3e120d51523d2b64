#include "node/realm.h"

#include "policy/delegation.h"

#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <chrono>
#include <iterator>

namespace dozo::node {
namespace {

const policy::SealedSlice* slice_of(const policy::DocumentSet& set) { return set.slice ? &*set.slice : nullptr; }

/// As far as the keys go: one that does not open is known by its mesh alone.
std::shared_ptr<const policy::Policy> opened_policy(PolicyVersion version, const policy::Mesh& mesh, const policy::SealedDirectory& directory,
                                                    const std::map<std::string, policy::SealedOrg>& orgs, const policy::SealedSlice* slice,
                                                    const policy::KeyRing& keys) {
  if (auto opened = policy::open_policy(version, mesh, directory, orgs, slice, keys)) return std::make_shared<policy::Policy>(std::move(*opened));
  return std::make_shared<policy::Policy>(version, mesh, std::nullopt);
}

store::DocumentKey document_key(const policy::Held& held) { return {std::string(policy::name_of(held.type)), held.name, held.version}; }

}  // namespace

Realm::Realm(store::Truth& truth, const crypto::NodeKeys& keys, policy::Trust trust, policy::KeyRing recovered)
    : truth_(truth), node_keys_(keys), trust_(std::move(trust)), keys_(std::move(recovered)) {}

Result<Realm::Kept> Realm::read(store::Truth& truth) {
  Kept out;
  auto in = TRY(truth.read());
  if (const auto found = TRY(in.local(state_name))) out.state = bytes_of(*found);
  for (const store::DocumentMark& mark : TRY(in.marks())) {
    if (const auto found = TRY(in.document(mark.key))) out.envelopes.push_back(bytes_of(*found));
    // Two officers may use one number, and after new keys of the snapshot role numbers come again: what is in force may stand second here.
    for (Bytes& other : TRY(in.conflicting_documents(mark.key))) out.envelopes.push_back(std::move(other));
  }
  return out;
}

Result<std::unique_ptr<Realm>> Realm::open(store::Truth& truth, const crypto::NodeKeys& keys, ByteView first_root, policy::KeyRing recovered) {
  const auto [state, envelopes] = TRY(read(truth));
  policy::Trust trust = state ? TRY(policy::Trust::restore(*state, envelopes, keys.id)) : TRY(policy::Trust::begin(first_root, keys.id));
  auto realm = std::unique_ptr<Realm>(new Realm(truth, keys, std::move(trust), std::move(recovered)));
  realm->believe(std::move(realm->trust_));
  realm->take_in_force();
  // Those of the past are only believed where the chain of snapshots names them: several rounds, newest first, until nothing more fits.
  for (bool grown = true; grown;) {
    grown = false;
    for (const Bytes& envelope : envelopes) {
      if (envelope.empty()) continue;
      if (const auto taken = realm->past_.offer(envelope); taken && taken->outcome != policy::Outcome::known) grown = true;
    }
  }
  realm->take_past();
  // Versions in between may have come into force elsewhere and not here: without them the way back to those that were in force here is not shown.
  for (const Bytes& envelope : envelopes) {
    const auto kept = envelope.empty() ? Result<policy::Envelope>(fail(Fault::not_found, "")) : policy::read_envelope(envelope);
    if (!kept || kept->type != policy::DocumentType::snapshot) continue;
    if (const auto snapshot = policy::parse_snapshot(kept->payload)) realm->need({snapshot->header.version});
  }
  if (!state) TRY(realm->keep(realm->trust_.documents()));
  return realm;
}

Result<void> Realm::put_back() {
  if (!unkept_) return {};
  const auto [state, envelopes] = TRY(read(truth_));
  if (state) believe(TRY(policy::Trust::restore(*state, envelopes, node_keys_.id)));
  unkept_ = false;
  return {};
}

Result<Realm::Taken> Realm::offer(ByteView envelope, std::int64_t wall_ms) {
  TRY(put_back());
  const PolicyVersion before = trust_.version();
  Result<policy::Offer> offered = trust_.offer(envelope, wall_ms);
  stops_at_.reset();
  if (offered && offered->outcome != policy::Outcome::known) {
    Taken out{offered->outcome, trust_.version() != before, false, offered->text};
    const bool in_force =
        offered->outcome == policy::Outcome::advanced || offered->outcome == policy::Outcome::committed || offered->outcome == policy::Outcome::suspended;
    if (in_force) {
      if (Result<void> kept = keep(trust_.documents()); !kept) {
        // What is not durable is not in force: peers and entries would be told of a policy that a restart does not find. So it is read back, as a restart
        // would; and where the disk does not even give that, before anything else is looked at.
        unkept_ = true;
        TRY(put_back());
        return std::unexpected(std::move(kept.error()));
      }
      take_in_force();
      // Each snapshot vouches for the one before it: those that this node did not see in force are fetched, or nobody could go back beyond them.
      if (before.value != 0) {
        // Whoever stole the online keys may have run the number up as far as numbers go: that must not be counted through. The oldest leads down the whole
        // chain.
        constexpr std::uint64_t between_most = 1'000;
        const std::uint64_t newest = trust_.version().value;
        if (newest > before.value + 1) need({before.value + 1});
        for (std::uint64_t between = std::max(before.value + 1, newest - std::min(newest, between_most)); between < newest; ++between) need({between});
      }
    }
    return out;
  }
  // Not for now: perhaps it completes a version that an entry of the past names.
  Result<policy::Offer> old = past_.offer(envelope);
  if (!old) return offered ? Result<Taken>(Taken{policy::Outcome::known, false, false, offered->text}) : std::unexpected(std::move(offered.error()));
  if (old->outcome == policy::Outcome::known) return Taken{policy::Outcome::known, false, false, old->text};
  const std::size_t known = policies_.versions().size();
  TRY(keep(past_.documents()));
  take_past();
  return Taken{old->outcome, false, policies_.versions().size() != known, old->text};
}

/// Documents and state in one transaction: what is in force here is what a restart finds.
Result<void> Realm::keep(const std::vector<policy::Held>& documents) {
  store::TruthWrite write = TRY(truth_.write());
  for (const policy::Held& held : documents) TRY(write.put_document(document_key(held), held.envelope));
  TRY(write.put_local(state_name, trust_.encode()));
  return write.commit();
}

/// A policy of which a test fails here says something else than those who signed it meant. Names nothing of the directory: this goes into logs.
Result<void> Realm::judge(const policy::DocumentSet& set) {
  Judged out{set.snapshot_sha256, {}, nullptr};
  if (set.grants) {
    if (Result<policy::KeyRing> opened = policy::open_grants(node_keys_.seal, *set.grants, set.epochs)) out.granted = std::move(*opened);
  }
  const bool is_granted = out.granted.find(policy::directory_library, set.directory.generation) != nullptr ||
                          (set.slice && out.granted.find(policy::slice_library(id(), set.slice->node), set.slice->generation) != nullptr);
  policy::Policy opened = TRY(policy::open_policy(set.version, set.mesh, set.directory, set.orgs, slice_of(set), is_granted ? out.granted : keys_));
  if (opened.directory() != nullptr) {
    out.policy = std::make_shared<policy::Policy>(std::move(opened));
    const std::size_t failing = out.policy->failing_tests().size();
    if (failing != 0)
      return fail(Fault::denied, std::to_string(failing) + " of the policy's own tests fail here: HQ must look at it with \"dozo policy check\"");
  }
  judged_ = std::move(out);
  return {};
}

Result<void> Realm::judge_org(const policy::SealedOrg& org) const {
  const policy::DocumentSet* set = trust_.current();
  if (set == nullptr) return {};
  auto orgs = set->orgs;
  orgs.insert_or_assign(policy::org_name(org.org), org);
  TRY(policy::open_policy(set->version, set->mesh, set->directory, orgs, slice_of(*set), keys_));
  return {};
}

std::shared_ptr<const policy::Policy> Realm::live() const {
  const policy::DocumentSet* set = trust_.current();
  if (live_ || set == nullptr) return live_ ? live_ : policies_.newest();
  live_ = policies_.newest();
  auto orgs = set->orgs;
  for (auto& [name, org] : trust_.orgs_ahead()) {
    const policy::Delegation* delegation = set->mesh.delegation(org.org);
    if (delegation == nullptr || !std::ranges::binary_search(delegation->nodes, node_keys_.id)) continue;
    auto with = orgs;
    with.insert_or_assign(name, org);
    // One that meets another unit's is headquarters' to settle.
    if (auto opened = policy::open_policy(set->version, set->mesh, set->directory, with, slice_of(*set), keys_)) {
      orgs = std::move(with);
      live_ = std::make_shared<policy::Policy>(std::move(*opened));
    }
  }
  return live_;
}

void Realm::believe(policy::Trust trust) {
  trust_ = std::move(trust);
  stops_at_.reset();
  trust_.set_check([this](const policy::DocumentSet& set) { return judge(set); });
  trust_.set_check_org([this](const policy::SealedOrg& org) { return judge_org(org); });
  trust_.set_most_people([this](const policy::Stopped& whom) {
    const auto policy = policies_.newest();
    // Of a slice nobody can tell what part of the whole its people are: there an officer's word stands as long as it is dated.
    if (!policy || policy->directory() == nullptr || trust_.current()->slice) return false;
    std::set<PersonId> people;
    add_people(whom, wall_ms_.value_or(0), people);
    std::erase_if(people, [&](const PersonId& it) { return policy->person(it) == nullptr; });
    return people.size() > 1 && 2 * people.size() > policy->directory()->people.size();
  });
}

void Realm::take_in_force() {
  const policy::DocumentSet* set = trust_.current();
  if (set == nullptr) return;
  past_.anchor(*set);
  std::optional<Judged> judged = std::exchange(judged_, std::nullopt);
  if (judged && judged->snapshot_sha256 != set->snapshot_sha256) judged.reset();
  if (judged) {
    keys_.merge(std::move(judged->granted));
  } else if (set->grants) {
    // Grants that do not open leave this node without the key and with what it had: the peers and HQ see that it holds nothing new.
    if (Result<policy::KeyRing> granted = policy::open_grants(node_keys_.seal, *set->grants, set->epochs)) keys_.merge(std::move(*granted));
  }
  std::shared_ptr<const policy::Policy> policy = judged ? judged->policy : nullptr;
  if (!policy) {
    policy = opened_policy(set->version, set->mesh, set->directory, set->orgs, slice_of(*set), keys_);
  }
  policies_.drop_above(set->version);
  const std::vector<PolicyVersion> known = policies_.versions();
  if (std::any_of(known.begin(), known.end(), [&](PolicyVersion version) { return !past_.complete(version); })) {
    // Of a chain that keys of the snapshot role made which are gone: what entries name is taken anew, as far as this chain leads to it.
    policies_.drop_above({0});
    std::copy_if(known.begin(), known.end(), std::inserter(needed_, needed_.end()), [&](PolicyVersion version) { return version < set->version; });
  }
  policies_.put(std::move(policy));
  live_.reset();
  stops_at_.reset();  // who holds a post may be another now
  open_directories();
  take_past();
}

/// Of versions that were known before their key was: who becomes a holder with keys can read what old entries name.
void Realm::open_directories() {
  for (const PolicyVersion version : policies_.versions()) {
    const auto policy = policies_.at(version);
    const auto known = policy->directory() == nullptr ? past_.at(version) : std::nullopt;
    if (!known) continue;
    auto opened = opened_policy(version, *known->mesh, *known->directory, known->orgs, known->slice, keys_);
    if (opened->directory() != nullptr) policies_.put(std::move(opened));
  }
}

void Realm::take_past() {
  for (auto it = needed_.begin(); it != needed_.end();) {
    const PolicyVersion version = *it;
    const auto old = past_.complete(version) && !policies_.at(version) ? past_.at(version) : std::nullopt;
    if (old) {
      policies_.put(opened_policy(version, *old->mesh, *old->directory, old->orgs, old->slice, keys_));
    }
    it = policies_.at(version) ? needed_.erase(it) : std::next(it);
  }
  // Not a maximum of all that ever was: a policy that gives way takes its time along.
  issued_ms_ = 0;
  for (const PolicyVersion version : policies_.versions()) issued_ms_ = std::max(issued_ms_, policies_.at(version)->mesh().header.issued_s * 1000);
}

std::int64_t Realm::trusted_ms(std::int64_t wall_ms) const { return std::max(trust_.trusted_ms(wall_ms), issued_ms_); }

// ---- stops -----------------------------------------------------------------------------------------------------------
namespace {

/// As the policy's own times are written: of Japan.
std::string in_japan(std::int64_t time_s) {
  const std::chrono::sys_seconds at{std::chrono::seconds(time_s + policy::japan_s)};
  const auto day = std::chrono::floor<std::chrono::days>(at);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(at - day);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02} (Japan)", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()), clock.hours().count(), clock.minutes().count());
}

}  // namespace

void Realm::add_people(const policy::Stopped& whom, std::int64_t wall_ms, std::set<PersonId>& to) const {
  to.insert(whom.people.begin(), whom.people.end());
  const auto policy = policies_.newest();
  if ((whom.orgs.empty() && whom.roles.empty()) || !policy || policy->directory() == nullptr) return;
  const auto add_from = [&](const policy::Policy& of) {
    for (const policy::Person& person : of.directory()->people) {
      const auto held = of.capacities(person.id, trusted_ms(wall_ms));
      const bool is_meant = std::any_of(held.begin(), held.end(), [&](const policy::Policy::Capacity& it) {
        return of.is_within(it.org, whom.orgs) || std::binary_search(whom.roles.begin(), whom.roles.end(), it.role);
      });
      if (is_meant) to.insert(person.id);
    }
  };
  add_from(*policy);
  // Whom a unit newly names at its own nodes is meant too.
  if (const auto at_work = live(); at_work != policy && at_work->directory() != nullptr) add_from(*at_work);
}

const std::vector<policy::Stop>& Realm::stops_at(std::int64_t wall_ms) const {
  const std::int64_t second = trusted_ms(wall_ms) / 1000;
  if (!stops_at_ || stops_at_->second != second) stops_at_ = StopsAt{second, trust_.stops(wall_ms), std::nullopt};
  return stops_at_->stops;
}

Realm::StoppedNow Realm::stopped(std::int64_t wall_ms) const {
  const std::vector<policy::Stop>& stops = stops_at(wall_ms);
  if (stops_at_->stopped) return *stops_at_->stopped;
  StoppedNow out;
  for (const policy::Stop& stop : stops) {
    for (const NodeId& node : stop.whom.nodes) {
      std::int64_t& since_ms = out.nodes.try_emplace(node, stop.from_s * 1000).first->second;
      since_ms = std::min(since_ms, stop.from_s * 1000);
    }
    add_people(stop.whom, wall_ms, out.people);
    out.libraries.insert(stop.whom.libraries.begin(), stop.whom.libraries.end());
    out.realm = out.realm || stop.whom.realm;
  }
  stops_at_->stopped = out;
  return out;
}

bool Realm::is_stopped(const NodeId& peer, const LibraryId& library, std::int64_t wall_ms) const {
  const std::vector<policy::Stop>& stops = stops_at(wall_ms);
  return std::any_of(stops.begin(), stops.end(), [&](const policy::Stop& it) {
    return it.whom.realm || std::binary_search(it.whom.nodes.begin(), it.whom.nodes.end(), peer) ||
           std::binary_search(it.whom.libraries.begin(), it.whom.libraries.end(), library);
  });
}

namespace {

template <class Window>
bool is_about(const Window& it, const NodeId& node, const LibraryId& library) {
  const auto covers = [](const auto& list, const auto& id) { return list.empty() || std::ranges::find(list, id) != list.end(); };
  return covers(it.nodes, node) && covers(it.libraries, library);
}
bool is_excepted(const std::vector<std::string>& roles, std::string_view role) { return std::ranges::find(roles, role) != roles.end(); }

/// Day of the week in Japan, 1 Monday to 7 Sunday, and minute of that day.
std::pair<std::uint32_t, std::uint32_t> week_place(std::int64_t time_s) {
  const std::int64_t local_s = time_s + policy::japan_s, day = local_s / policy::day_s;  // 1970-01-01 was a Thursday
  return {static_cast<std::uint32_t>((day + 3) % 7 + 1), static_cast<std::uint32_t>(local_s % policy::day_s / 60)};
}
std::string clock_text(std::uint32_t minute) { return fmt::format("{:02}:{:02}", minute / 60, minute % 60); }

}  // namespace

std::optional<std::string> Realm::why_closed(const LibraryId& library, std::string_view role, std::int64_t wall_ms) const {
  const auto policy = policies_.newest();
  if (!policy) return std::nullopt;
  const std::int64_t now_s = trusted_ms(wall_ms) / 1000;
  for (const policy::Closure& it : policy->mesh().closures)
    if (it.from_s <= now_s && now_s < it.until_s && is_about(it, node_keys_.id, library) && !is_excepted(it.except_roles, role))
      return "closed until " + in_japan(it.until_s) + ": " + it.reason;
  static constexpr std::array days{"", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
  const auto [day, minute] = week_place(now_s);
  std::string windows;
  for (const policy::Hours& it : policy->mesh().hours) {
    if (!is_about(it, node_keys_.id, library)) continue;
    const bool is_open = std::ranges::find(it.days, day) != it.days.end() && it.opens_minute <= minute && minute < it.closes_minute;
    if (is_open || is_excepted(it.except_roles, role)) return std::nullopt;
    windows += windows.empty() ? "" : "; ";
    for (const std::uint32_t one : it.days) windows += std::string(days[one]) + " ";
    windows += clock_text(it.opens_minute) + " to " + clock_text(it.closes_minute);
  }
  if (windows.empty()) return std::nullopt;
  return "outside of the operating hours, which are " + windows + " (Japan)";
}

std::vector<std::string> Realm::closure_lines(std::int64_t wall_ms) const {
  std::vector<std::string> out;
  const auto policy = policies_.newest();
  if (!policy) return out;
  const std::int64_t now_s = trusted_ms(wall_ms) / 1000;
  for (const policy::Closure& it : policy->mesh().closures) {
    if (it.until_s <= now_s || it.from_s > now_s + 7 * policy::day_s || (!it.nodes.empty() && std::ranges::find(it.nodes, node_keys_.id) == it.nodes.end()))
      continue;
    std::string what;
    for (const LibraryId& id : it.libraries) {
      const policy::LibraryTitle* title = policy->title(id);
      what += (what.empty() ? "" : ", ") + (title == nullptr ? id.hex() : title->name);
    }
    out.push_back((what.empty() ? "work" : "work in " + what) + " is closed from " + in_japan(it.from_s) + " to " + in_japan(it.until_s) + ": " + it.reason);
  }
  return out;
}

std::vector<std::string> Realm::stop_lines(std::int64_t wall_ms) const {
  const auto policy = policies_.newest();
  std::vector<std::string> out;
  for (const policy::Stop& it : stops_at(wall_ms)) {
    std::string what = it.whom.realm ? "everything" : "";
    const auto add = [&](std::string_view kind, const std::string& name) { what += (what.empty() ? "" : ", ") + std::string(kind) + " " + name; };
    const auto named = [&](const auto* known, const auto& id) { return known == nullptr ? id.hex() : known->name; };
    for (const NodeId& id : it.whom.nodes) add("node", named(policy ? policy->node(id) : nullptr, id));
    for (const PersonId& id : it.whom.people) add("person", named(policy ? policy->person(id) : nullptr, id));
    for (const std::string& name : it.whom.orgs) add("unit", name);
    for (const std::string& name : it.whom.roles) add("role", name);
    for (const LibraryId& id : it.whom.libraries) add("library", named(policy ? policy->title(id) : nullptr, id));
    out.push_back(std::string(it.officer ? "an officer has suspended " : "the policy stops ") + what +
                  (it.until_s == 0 ? "" : " until " + in_japan(it.until_s)) + (it.reason.empty() ? "" : ": " + it.reason));
  }
  return out;
}

std::optional<std::string> Realm::why_stopped(const LibraryId& library, const PersonId& person, std::int64_t wall_ms) const {
  for (const policy::Stop& it : stops_at(wall_ms)) {
    std::string what;
    std::set<PersonId> people;
    if (!person.is_zero()) add_people(it.whom, wall_ms, people);
    if (it.whom.realm) {
      what = "all work in this realm";
    } else if (std::binary_search(it.whom.libraries.begin(), it.whom.libraries.end(), library)) {
      what = "all work in this library";
    } else if (people.contains(person)) {
      what = "this person's work";
    }
    if (what.empty()) continue;
    return "headquarters has stopped " + what + (it.until_s == 0 ? "" : " until " + in_japan(it.until_s)) + (it.reason.empty() ? "" : ": " + it.reason);
  }
  return std::nullopt;
}

void Realm::need(PolicyVersion version) {
  if (version.value == 0 || version > trust_.version() || policies_.at(version)) return;
  needed_.insert(version);
  take_past();
}

std::optional<crypto::VerifyKey> Realm::key_of(const NodeId& node) const {
  const std::vector<PolicyVersion> versions = policies_.versions();
  for (auto version = versions.rbegin(); version != versions.rend(); ++version) {
    if (const policy::MeshNode* found = policies_.at(*version)->node(node)) return found->keys.sign;
  }
  return std::nullopt;
}

std::vector<policy::Want> Realm::wants() const {
  std::vector<policy::Want> out = trust_.wants();
  for (const PolicyVersion version : needed_) {
    for (policy::Want& want : past_.wants(version)) out.push_back(std::move(want));
  }
  return out;
}

std::vector<policy::Held> Realm::documents() const {
  std::vector<policy::Held> out = trust_.documents();
  for (policy::Held& held : past_.documents()) out.push_back(std::move(held));
  return out;
}

}  // namespace dozo::node
