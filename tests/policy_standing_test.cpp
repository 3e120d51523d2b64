// Trust and time: the ladder, what HQ's online machine may say about the time, suspensions, and how the state is kept.
#include "tests/policy_fixture.h"

using namespace dozo;
using namespace dozo::policy_fixture;

namespace {

struct StandingFixture : Seeded {
  Headquarters hq;
  const std::string locking = "locked_after_days = 30\n" + country;
  StandingFixture() {
    hq.root_days = 3650;
    hq.publish(locking);
  }
  Node settled() const {
    Node out(hq, "sapporo");
    for (std::size_t i = 1; i < hq.roots.size(); ++i) REQUIRE(out.take(hq.roots[i]) == Outcome::advanced);
    out.hear(hq.last);
    REQUIRE(out.version() == snapshot_of(hq.last).header.version);
    return out;
  }
  static std::size_t rights_of(const Ladder& it) { return (it.may_admit ? 1U : 0U) + (it.may_open_locking ? 1U : 0U); }
};

}  // namespace

// ---- the ladder ------------------------------------------------------------------------------------------------------
TEST_CASE_FIXTURE(StandingFixture, "ladder: fresh, stale, locked, at the very second") {
  Node node = settled();
  const auto at = [&](std::int64_t after_s) { return node.trust.ladder((begin_s + after_s) * 1000); };
  CHECK(at(0).standing == Standing::fresh);
  CHECK(at(0).may_admit);
  CHECK(at(day_s - 1).standing == Standing::fresh);
  CHECK(at(day_s).standing == Standing::stale);
  CHECK_FALSE(at(day_s).may_admit);
  CHECK(at(day_s).may_open_locking);
  CHECK(at(30 * day_s).standing == Standing::stale);
  CHECK(at(30 * day_s + 1).standing == Standing::locked);
  CHECK_FALSE(at(30 * day_s + 1).may_open_locking);
  CHECK(at(30 * day_s + 1).text.find("720 hours") != std::string::npos);
}

TEST_CASE_FIXTURE(StandingFixture, "ladder: what people signed expires after 90 days, whatever HQ's machine goes on saying") {
  hq.now_s += 30;
  hq.publish();  // nothing locks
  Node node = settled();
  hq.now_s = begin_s + 30 + 89 * day_s;
  hq.last = hq.listed(hq.last, 3, static_cast<std::uint64_t>(hq.now_s));  // a snapshot lasts 14 days: signed anew
  node.now_s = hq.now_s;
  node.hear(hq.last);
  REQUIRE(node.version() == 3);
  CHECK(node.standing() == Standing::fresh);
  node.now_s = begin_s + 30 + 90 * day_s;
  hq.now_s = node.now_s - 60;
  node.take(hq.refresh());
  CHECK(node.standing() == Standing::expired);
  CHECK_FALSE(node.trust.ladder(node.now_s * 1000).may_admit);
  CHECK(node.trust.ladder(node.now_s * 1000).may_open_locking);
}

TEST_CASE_FIXTURE(StandingFixture, "ladder: warnings begin 60 days before an expiry") {
  Node node = settled();
  const auto warnings = [&](std::int64_t days) { return node.trust.ladder((begin_s + days * day_s) * 1000).warnings; };
  CHECK(warnings(29).empty());
  CHECK(warnings(30).size() == 4);  // mesh, directory, epochs, grants; the root lasts longer
  CHECK(warnings(30)[0].find("in 60 days") != std::string::npos);
  CHECK(warnings(90)[0].find("has expired") != std::string::npos);
}

TEST_CASE_FIXTURE(StandingFixture, "ladder: rights never grow with age, and one word from HQ brings them back") {
  Node node = settled();
  std::size_t before = 2;
  for (std::int64_t hours = 0; hours < 120 * 24; ++hours) {
    const std::size_t now = rights_of(node.trust.ladder((begin_s + hours * hour_s) * 1000));
    REQUIRE(now <= before);
    before = now;
  }
  CHECK(before == 0);
  hq.now_s = begin_s + 120 * day_s;
  hq.publish(locking);
  node.now_s = hq.now_s;
  node.hear(hq.last);
  CHECK(node.standing() == Standing::fresh);
}

TEST_CASE_FIXTURE(StandingFixture, "ladder: freshness withheld makes stale, and freshness alone makes fresh again") {
  Node node = settled();
  node.now_s += 3 * day_s;
  CHECK(node.standing() == Standing::stale);
  hq.now_s += 3 * day_s - hour_s;
  const Bytes old = hq.refresh();
  hq.now_s += hour_s;
  const Bytes fresh = hq.refresh();
  CHECK(node.take(fresh) == Outcome::advanced);
  CHECK(node.standing() == Standing::fresh);
  CHECK(node.refused(old) == Fault::stale);
  CHECK(node.take(fresh) == Outcome::known);
  CHECK(node.version() == 1);
}

TEST_CASE_FIXTURE(StandingFixture, "ladder: without a policy nobody is admitted") {
  Node node(hq, "sapporo");
  CHECK(node.standing() == Standing::expired);
  CHECK_FALSE(node.trust.ladder(begin_s * 1000).may_admit);
}

TEST_CASE_FIXTURE(StandingFixture, "ladder: the first policy must be in date, later ones need not be") {
  Node late(hq, "sapporo");
  late.now_s = begin_s + day_s;  // freshness has expired by then
  late.hear(hq.last);
  CHECK(late.version() == 0);
  CHECK(late.refused(hq.last.at("mesh")) == Fault::stale);
  hq.now_s = late.now_s - hour_s;
  CHECK(late.take(hq.refresh()) == Outcome::committed);

  Node node = settled();
  hq.now_s += hour_s;
  hq.publish();
  node.now_s = hq.now_s + 100 * day_s;
  node.hear(hq.last);
  CHECK(node.version() == 2);
  CHECK(node.standing() != Standing::fresh);
}

TEST_CASE_FIXTURE(StandingFixture, "ladder: a first policy under a root that has expired is refused") {
  Headquarters brief;
  brief.root_days = 1;
  brief.now_s += 1;
  const auto before = brief.copies(SigningRole::root);
  brief.take_root(brief.make_root(before));
  brief.publish("freshness_hours = 100\n" + country);
  Node node(brief, "sapporo");
  node.take(brief.roots[1]);
  node.now_s = brief.now_s + 2 * day_s;
  node.hear(brief.last);
  CHECK(node.version() == 0);
  node.now_s = brief.now_s;
  node.take(brief.last.at("mesh"));
  CHECK(node.version() == 1);
}

// ---- time ------------------------------------------------------------------------------------------------------------
TEST_CASE_FIXTURE(StandingFixture, "time: a clock that goes back behind HQ's word is not believed") {
  Node node = settled();
  CHECK(node.trust.trusted_ms(0) == begin_s * 1000);
  CHECK(node.trust.trusted_ms((begin_s + 5) * 1000 + 7) == (begin_s + 5) * 1000 + 7);
  hq.now_s += 5 * day_s;
  node.take(hq.refresh());
  CHECK(node.trust.trusted_ms(0) == hq.now_s * 1000);
  node.now_s = 0;
  CHECK(node.standing() == Standing::fresh);
  // Nor does a later, smaller word take it back.
  Freshness it = freshness_of(hq.last);
  it.header.version += 1;
  it.hq_time_s = 1;
  CHECK(node.take(hq.sign(it)) == Outcome::advanced);
  CHECK(node.trust.trusted_ms(0) == hq.now_s * 1000);
}

TEST_CASE_FIXTURE(StandingFixture, "time: an hq_time beyond what the mesh allows is ignored") {
  Node node = settled();
  const std::int64_t most = mesh_of(hq.last).hq_time_most_s;
  CHECK(most == begin_s + (90 + 365) * day_s);
  const auto say = [&](std::int64_t hq_time_s) {
    Freshness it = freshness_of(hq.last);
    it.header.version = static_cast<std::uint64_t>(hq_time_s);
    it.header.expires_s = hq_time_s + day_s;
    it.hq_time_s = hq_time_s;
    return node.take(hq.sign(it));
  };
  CHECK(say(most) == Outcome::advanced);
  CHECK(node.trust.trusted_ms(0) == most * 1000);
  CHECK(say(most + 1) == Outcome::advanced);
  CHECK(node.trust.trusted_ms(0) == most * 1000);
  CHECK(say(most + 1000 * day_s) == Outcome::advanced);
  CHECK(node.trust.trusted_ms(0) == most * 1000);
}

TEST_CASE_FIXTURE(StandingFixture, "time: after new online keys the clock goes on from the root") {
  Node node = settled();
  Freshness it = freshness_of(hq.last);
  it.hq_time_s = mesh_of(hq.last).hq_time_most_s;
  it.header.version = static_cast<std::uint64_t>(it.hq_time_s);
  CHECK(node.take(hq.sign(it)) == Outcome::advanced);  // whoever had the key put all clocks a year ahead
  CHECK(node.trust.trusted_ms(0) > (begin_s + 365 * day_s) * 1000);
  hq.now_s += day_s;
  CHECK(node.take(hq.rotate({SigningRole::freshness})) == Outcome::advanced);
  CHECK(node.trust.trusted_ms(0) == hq.now_s * 1000);
}

// ---- suspensions -----------------------------------------------------------------------------------------------------
TEST_CASE_FIXTURE(StandingFixture, "suspend: each officer's key numbers its own, and the newest of each counts") {
  hq.new_keys(SigningRole::emergency, 2, 1);
  const auto before = hq.copies(SigningRole::root);
  hq.take_root(hq.make_root(before));
  Node node = settled();
  const auto count = [&] { return node.trust.stops(node.now_s * 1000).size(); };
  CHECK(node.take(hq.suspend(0, 5, {hq.id("osaka")})) == Outcome::suspended);
  CHECK(node.take(hq.suspend(1, 1, {hq.id("naha")})) == Outcome::suspended);
  CHECK(count() == 2);
  CHECK(node.refused(hq.suspend(0, 4, {hq.id("head")})) == Fault::stale);
  CHECK(node.take(hq.suspend(0, 5, {hq.id("osaka")})) == Outcome::known);
  CHECK(node.take(hq.suspend(0, 5, {hq.id("head")})) == Outcome::forked);
  // It does not take its word back, nor end it sooner: lifting needs the policy role.
  CHECK(node.refused(hq.suspend(0, 6, Stopped{})) == Fault::denied);
  CHECK(node.refused(hq.suspend(0, 6, {hq.id("osaka")}, 1)) == Fault::denied);
  std::vector<NodeId> both{hq.id("osaka"), hq.id("sapporo")};
  std::ranges::sort(both);
  CHECK(node.take(hq.suspend(0, 6, both, 300)) == Outcome::suspended);
  CHECK(count() == 2);
  for (const Stop& it : node.trust.stops(node.now_s * 1000)) CHECK(it.whom.nodes == (it.number == 6 ? both : std::vector{hq.id("naha")}));
  CHECK(node.version() == 1);
}

TEST_CASE_FIXTURE(StandingFixture, "suspend: it ends at its time, also where the clock was put back") {
  Node node = settled();
  const Bytes it = hq.suspend(0, 1, {hq.id("osaka")}, 24);
  CHECK(node.take(it) == Outcome::suspended);
  CHECK(node.trust.stops((begin_s + day_s) * 1000 - 1).size() == 1);
  CHECK(node.trust.stops((begin_s + day_s) * 1000).empty());
  hq.now_s += 2 * day_s;
  node.take(hq.refresh());
  CHECK(node.trust.stops(0).empty());
  Node other = settled();
  CHECK(other.refused(it) == Fault::stale);
}

TEST_CASE_FIXTURE(StandingFixture, "suspend: one officer is enough, and it is known before any policy is") {
  Headquarters two(3, 2);
  two.publish();
  Node node(two, "sapporo");
  CHECK(node.take(two.suspend(1, 1, {two.id("osaka")})) == Outcome::suspended);
  CHECK(node.trust.stops(begin_s * 1000).size() == 1);
}

TEST_CASE_FIXTURE(StandingFixture, "suspend: a root that drops a key drops its suspensions, and keeps those of others") {
  hq.new_keys(SigningRole::emergency, 2, 1);
  const auto before = hq.copies(SigningRole::root);
  hq.take_root(hq.make_root(before));
  Node node = settled();
  node.take(hq.suspend(0, 1, {hq.id("osaka")}));
  node.take(hq.suspend(1, 1, {hq.id("naha")}));
  const Bytes by_dropped = hq.suspend(0, 2, {hq.id("head")});
  hq.keys.at(SigningRole::emergency).erase(hq.keys.at(SigningRole::emergency).begin());
  hq.take_root(hq.make_root(before));
  CHECK(node.take(hq.roots.back()) == Outcome::advanced);
  const auto left = node.trust.stops(node.now_s * 1000);
  REQUIRE(left.size() == 1);
  CHECK(left[0].whom.nodes == std::vector{hq.id("naha")});
  CHECK(node.refused(by_dropped) == Fault::not_authentic);
}

TEST_CASE_FIXTURE(StandingFixture, "suspend: what stops most of the realm counts for four hours in seven days, of each officer") {
  hq.new_keys(SigningRole::emergency, 2, 1);
  const auto before = hq.copies(SigningRole::root);
  hq.take_root(hq.make_root(before));
  Node node = settled();
  std::vector<NodeId> most;
  for (const char* name : {"head", "sapporo", "osaka"}) most.push_back(hq.id(name));  // of five that are no desks
  std::ranges::sort(most);
  std::vector<LibraryId> libraries{hq.library("plans"), hq.library("works")};
  std::ranges::sort(libraries);
  Stopped whom;
  SUBCASE("by its word") { whom.realm = true; }
  SUBCASE("by naming most of its nodes") { whom.nodes = most; }
  SUBCASE("by naming most of its libraries") { whom.libraries = libraries; }
  SUBCASE("by naming most of its people") {
    whom.orgs = {"roads"};
    node.trust.set_most_people([](const Stopped& it) { return !it.orgs.empty(); });
  }
  const auto counts_at = [&](std::int64_t hours) { return !node.trust.stops((begin_s + hours * hour_s) * 1000).empty(); };
  const auto at = [&](std::int64_t hours) { hq.now_s = node.now_s = begin_s + hours * hour_s; };
  CHECK(node.take(hq.suspend(0, 1, whom, 14 * 24)) == Outcome::suspended);
  CHECK(counts_at(3));
  CHECK(node.trust.stops_change_ms(begin_s * 1000) == (begin_s + 4 * hour_s) * 1000);
  CHECK_FALSE(counts_at(4));
  // Another number brings no more hours, before or after these are used up.
  at(2);
  CHECK(node.take(hq.suspend(0, 2, whom, 14 * 24)) == Outcome::suspended);
  CHECK(counts_at(3));
  CHECK_FALSE(counts_at(4));
  // Nor does a restart.
  std::vector<Bytes> envelopes;
  for (const Held& it : node.trust.documents()) envelopes.push_back(it.envelope);
  auto restored = Trust::restore(node.trust.encode(), envelopes, hq.id("sapporo"));
  REQUIRE(restored);
  node.trust = std::move(*restored);
  node.trust.set_most_people([](const Stopped& it) { return !it.orgs.empty(); });
  at(6);
  CHECK(node.take(hq.suspend(0, 3, whom, 14 * 24)) == Outcome::suspended);
  CHECK_FALSE(counts_at(6));
  CHECK_FALSE(counts_at(100));
  // The other officer has hours of his own; and those of the first come back after seven days.
  CHECK(node.take(hq.suspend(1, 1, whom, 14 * 24)) == Outcome::suspended);
  CHECK(counts_at(9));
  CHECK_FALSE(counts_at(10));
  at(7 * 24 + 4);
  CHECK(node.take(hq.suspend(0, 4, whom, 14 * 24)) == Outcome::suspended);
  CHECK(counts_at(7 * 24 + 7));
  CHECK_FALSE(counts_at(7 * 24 + 8));
}

TEST_CASE_FIXTURE(StandingFixture, "suspend: what was stopped by itself goes on when the hours of what took it in are over") {
  Node node = settled();
  CHECK(node.take(hq.suspend(0, 1, {hq.id("osaka")}, 14 * 24)) == Outcome::suspended);
  Stopped all{{hq.id("osaka")}, {}, {}, {}, {}, true};
  SUBCASE("everything") {}
  SUBCASE("most nodes, the one among them") {
    for (const char* name : {"head", "sapporo"}) all.nodes.push_back(hq.id(name));
    std::ranges::sort(all.nodes);
  }
  CHECK(node.take(hq.suspend(0, 2, all, 14 * 24)) == Outcome::suspended);
  std::vector<Bytes> envelopes;
  for (const Held& it : node.trust.documents()) envelopes.push_back(it.envelope);
  auto restored = Trust::restore(node.trust.encode(), envelopes, hq.id("sapporo"));
  REQUIRE(restored);
  const auto osaka_alone = [&](std::int64_t hours) {
    const auto stops = restored->stops((begin_s + hours * hour_s) * 1000);
    return !stops.empty() && std::ranges::all_of(stops, [&](const Stop& it) { return it.whom.nodes == std::vector{hq.id("osaka")} && !it.whom.realm; });
  };
  CHECK(restored->stops((begin_s + hour_s) * 1000).front().whom.realm);
  CHECK(osaka_alone(5));
  CHECK(osaka_alone(14 * 24 - 1));
  CHECK(restored->stops((begin_s + 14 * day_s) * 1000).empty());
}

TEST_CASE_FIXTURE(StandingFixture, "suspend: what is dated ahead is not taken, and however many numbers leave a state that can be read") {
  Node node = settled();
  hq.now_s = begin_s + 30 * day_s;
  CHECK(node.refused(hq.suspend(0, 1, {hq.id("osaka")})) == Fault::stale);
  hq.now_s = begin_s;
  Stopped all;
  all.realm = true;
  for (std::uint64_t number = 1; number <= 300; ++number) {
    hq.now_s = node.now_s = begin_s + static_cast<std::int64_t>(number);
    CHECK(node.take(hq.suspend(0, number, all, 24 * 14)) == Outcome::suspended);
  }
  std::vector<Bytes> envelopes;
  for (const Held& it : node.trust.documents()) envelopes.push_back(it.envelope);
  CHECK(Trust::restore(node.trust.encode(), envelopes, hq.id("sapporo")));
}

TEST_CASE_FIXTURE(StandingFixture, "suspend: one node of a few counts until it expires, at most fourteen days") {
  Node node = settled();
  CHECK(node.refused(hq.suspend(0, 1, {hq.id("osaka")}, 14 * 24 + 1)) == Fault::malformed);
  CHECK(node.take(hq.suspend(0, 1, {hq.id("osaka")}, 14 * 24)) == Outcome::suspended);
  CHECK(node.trust.stops((begin_s + 14 * day_s - 1) * 1000).size() == 1);
  CHECK(node.trust.stops((begin_s + 14 * day_s) * 1000).empty());
}

TEST_CASE_FIXTURE(StandingFixture, "suspend: the policy lifts what an officer signed up to a number, and makes it its own") {
  Node node = settled();
  const Bytes first = hq.suspend(0, 5, {hq.id("osaka")}, 14 * 24);
  CHECK(node.take(first) == Outcome::suspended);
  const std::string officer = hq.keys.at(SigningRole::emergency)[0].public_key().hex();
  const std::string lift = "[[lift]]\nofficer = \"" + officer + "\"\nup_to = 5\n";
  hq.now_s = node.now_s = begin_s + 60;
  SUBCASE("lifted") {
    node.hear(hq.publish(country + lift).documents);
    CHECK(node.version() == 2);
    CHECK(node.trust.stops(node.now_s * 1000).empty());
    CHECK(node.refused(first) == Fault::stale);
    Node later(hq, "osaka");  // to whom it comes late
    later.hear(hq.last);
    CHECK(later.refused(first) == Fault::stale);
    CHECK(node.take(hq.suspend(0, 6, {hq.id("naha")})) == Outcome::suspended);  // what the officer says from then on counts
  }
  SUBCASE("ratified") {
    const std::string stop =
        "[[stop]]\nreason = \"stolen\"\nnodes = [\"osaka\"]\npeople = [\"sato\"]\norgs = [\"roads\"]\nroles = [\"editor\"]\nlibraries = "
        "[\"plans\"]\nrealm_wide = true\n"
        "from = 2027-01-15T17:25:00\nuntil = 2027-04-01\n";
    node.hear(hq.publish(country + stop + lift).documents);
    CHECK(node.version() == 2);
    const std::int64_t from_s = begin_s + 25 * 60;  // that time in Japan
    CHECK(node.trust.stops((from_s - 1) * 1000).empty());
    CHECK(node.trust.stops_change_ms(node.now_s * 1000) == from_s * 1000);
    const auto stops = node.trust.stops((from_s + 30 * day_s) * 1000);
    REQUIRE(stops.size() == 1);
    CHECK_FALSE(stops[0].officer);
    CHECK(stops[0].reason == "stolen");
    CHECK(stops[0].whom == Stopped{{hq.id("osaka")}, {hq.person("sato")}, {"roads"}, {"editor"}, {hq.library("plans")}, true});
    CHECK(node.trust.stops((from_s + 100 * day_s) * 1000).empty());
  }
}

// ---- keeping ---------------------------------------------------------------------------------------------------------
namespace {

struct Kept {
  Bytes state;
  std::vector<Bytes> envelopes;
  explicit Kept(const Trust& of) : state(of.encode()) {
    for (const Held& it : of.documents()) envelopes.push_back(it.envelope);
  }
  Result<Trust> restored(const NodeId& self) const { return Trust::restore(state, envelopes, self); }
};

}  // namespace

TEST_CASE_FIXTURE(StandingFixture, "keeping: the state of a version before suspensions had hours is taken") {
  Node node = settled();
  Kept kept(node.trust);
  REQUIRE(kept.state[0] == 3);
  kept.state[0] = 1;
  kept.state.resize(kept.state.size() - 8);  // two counts: none
  const auto again = kept.restored(hq.id("sapporo"));
  REQUIRE(again);
  CHECK(again->version() == node.trust.version());
  CHECK(again->encode() == node.trust.encode());
}

TEST_CASE_FIXTURE(StandingFixture, "keeping: what is restored is what was there, and goes on from there") {
  hq.new_keys(SigningRole::emergency, 2, 1);
  auto before = hq.copies(SigningRole::root);
  hq.take_root(hq.make_root(before));
  Node node(hq, "sapporo");
  const auto same = [&] {
    const Kept kept(node.trust);
    std::vector<Bytes> turned(kept.envelopes.rbegin(), kept.envelopes.rend());
    const auto again = Trust::restore(kept.state, turned, hq.id("sapporo"));
    REQUIRE_MESSAGE(again, again.error().text);
    CHECK(again->encode() == kept.state);
    CHECK(again->realm() == node.trust.realm());
    CHECK(again->root() == node.trust.root());
    CHECK(again->version() == node.trust.version());
    CHECK(again->trusted_ms(0) == node.trust.trusted_ms(0));
    CHECK(again->stops(node.now_s * 1000) == node.trust.stops(node.now_s * 1000));
    CHECK((again->freshness() == nullptr) == (node.trust.freshness() == nullptr));
    CHECK((again->current() == nullptr) == (node.trust.current() == nullptr));
    if (again->current() != nullptr && node.trust.current() != nullptr) {
      CHECK(again->current()->mesh == node.trust.current()->mesh);
      CHECK(again->current()->directory == node.trust.current()->directory);
      CHECK(again->current()->epochs == node.trust.current()->epochs);
      CHECK(again->current()->grants == node.trust.current()->grants);
    }
    CHECK(again->ladder(node.now_s * 1000).text == node.trust.ladder(node.now_s * 1000).text);
    CHECK(again->wants().size() == node.trust.wants().size());
    return Node(std::move(*Trust::restore(kept.state, kept.envelopes, hq.id("sapporo"))), node.now_s);
  };
  same();
  node.take(hq.roots[1]);
  node.take(hq.suspend(0, 3, {hq.id("osaka")}));
  node.take(hq.suspend(1, 3, {hq.id("osaka")}));
  same();
  node.hear(hq.last);
  REQUIRE(node.version() == 1);
  same();
  // After a reset of the online keys, before the next policy: numbers may begin anew after a restart as well.
  hq.now_s += 60;
  node.take(hq.rotate({SigningRole::snapshot}));
  Node again = same();
  CHECK(again.version() == 1);
  hq.now_s += 60;
  hq.last.erase("freshness");
  Publication low = hq.listed(hq.last, 1, static_cast<std::uint64_t>(hq.now_s));
  again.hear(low);
  CHECK(again.trust.current()->snapshot_sha256 == crypto::sha256(low.at("snapshot")));
  // Without a reset what is restored refuses what is older.
  node = std::move(again);
  hq.last = low;
  hq.now_s += 60;
  hq.publish(replaced(locking, "title = \"工事\"", "title = \"工事 二\""));
  node.hear(hq.last);
  REQUIRE(node.version() == 2);
  CHECK(same().refused(low.at("snapshot")) == Fault::stale);
}

TEST_CASE_FIXTURE(StandingFixture, "keeping: one suspension that two officers signed is one, before and after a restart") {
  hq.new_keys(SigningRole::emergency, 2, 1);
  const auto before = hq.copies(SigningRole::root);
  hq.take_root(hq.make_root(before));
  Node node = settled();
  node.take(*add_signature(hq.suspend(0, 3, {hq.id("osaka")}), hq.keys.at(SigningRole::emergency)[1]));
  const Kept kept(node.trust);
  const auto again = kept.restored(hq.id("sapporo"));
  REQUIRE(again);
  CHECK(again->encode() == kept.state);
  CHECK(again->stops(node.now_s * 1000).size() == node.trust.stops(node.now_s * 1000).size());
}

TEST_CASE_FIXTURE(StandingFixture, "keeping: a damaged or incomplete state is refused") {
  hq.rotate({SigningRole::emergency});
  Node node = settled();
  node.take(hq.suspend(0, 1, {hq.id("osaka")}));
  const Kept kept(node.trust);
  const NodeId self = hq.id("sapporo");
  REQUIRE(kept.restored(self));
  for (std::size_t i = 0; i < kept.envelopes.size(); ++i) {
    Kept less = kept;
    less.envelopes.erase(less.envelopes.begin() + static_cast<std::ptrdiff_t>(i));
    const auto out = less.restored(self);
    REQUIRE_FALSE(out);
    CHECK(out.error().fault == Fault::corrupt);
    Kept bent = kept;
    bent.envelopes[i][bent.envelopes[i].size() / 2] ^= 1;
    CHECK_FALSE(bent.restored(self));
  }
  for (std::size_t size = 0; size < kept.state.size(); ++size) {
    Kept cut = kept;
    cut.state.resize(size);
    REQUIRE_FALSE(cut.restored(self));
  }
  Kept longer = kept;
  longer.state.push_back(0);
  CHECK_FALSE(longer.restored(self));
  Kept newer = kept;
  newer.state[0] = 4;
  CHECK(newer.restored(self).error().fault == Fault::unsupported);
  Kept other = kept;
  other.state[5] ^= 1;  // the realm
  CHECK_FALSE(other.restored(self));
  CHECK_FALSE(Trust::restore({}, kept.envelopes, self));
  // A node's own grants are among what it needs.
  Publication without = hq.last;
  without.erase(grants_name(hq.id("osaka")));
  Node sparing(hq, "sapporo");
  sparing.take(hq.roots[1]);
  sparing.hear(without);
  REQUIRE(sparing.version() == 1);
  CHECK(Kept(sparing.trust).restored(self));
  CHECK(Kept(sparing.trust).restored(hq.id("osaka")).error().fault == Fault::corrupt);
}
