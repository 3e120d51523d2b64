// Which entries count, reason by reason.
#include <doctest/doctest.h>

#include <limits>

#include "store/accept.h"
#include "tests/record_fixture.h"

using namespace dozo;
using namespace dozo::store;
using namespace dozo::record_fixture;

namespace {

const NodeId sequencer = id_of<NodeId>(50), device = id_of<NodeId>(3);
const PersonId person = id_of<PersonId>(1);
const FeedId feed{id_of<LibraryId>(9), sequencer, id_of<IncarnationId>(1)};

/// Policies 1 to 9 are known; the person has rights but under 5, the sequencer but under 6, the device but under 7.
class SomeRights : public Rights {
 public:
  bool knows(PolicyVersion version) const override { return version.value >= 1 && version.value <= 9; }
  bool allows(PolicyVersion version, const NodeId& by, const Record& record) const override {
    REQUIRE(knows(version));  // never asked about what is not known
    return !(version.value == 5 && record.person == person) && !(version.value == 6 && by == sequencer) && !(version.value == 7 && record.device == device);
  }
};

struct Question {
  Record record = change(0, create(document(1), "a", file(1)));
  EntryFacts facts{feed, {4}, {3}, {3}, &record, true, true, std::nullopt};
  std::vector<Cut> cuts;
  std::vector<Admit> admits;
  std::optional<std::int64_t> trusted_ms = static_cast<std::int64_t>(begin_ms);
  std::optional<Refusal> answer() const { return judge(facts, SomeRights(), cuts, admits, trusted_ms); }
};

}  // namespace

TEST_CASE("accept: an entry that nothing speaks against counts") {
  const Question q;
  CHECK(!q.answer());
}

TEST_CASE("accept: each reason refuses by itself, under its own name") {
  Question q;
  SUBCASE("a policy below an earlier entry's") {
    q.facts.highest_before = {4};
    CHECK(q.answer() == Refusal::policy_went_back);
  }
  SUBCASE("a policy that is not held") {
    q.facts.policy = {10};
    CHECK(q.answer() == Refusal::policy_not_known);
  }
  SUBCASE("a record that cannot be decoded") {
    q.facts.record = nullptr;
    CHECK(q.answer() == Refusal::malformed);
  }
  SUBCASE("a record that is not well formed") {
    q.facts.well_formed = false;
    CHECK(q.answer() == Refusal::malformed);
  }
  SUBCASE("a person, a sequencer, a device without the right") {
    for (const std::uint64_t policy : {5U, 6U, 7U}) {
      q.facts.policy = {policy};
      CHECK(q.answer() == Refusal::no_right);
    }
    q.facts.policy = {8};
    CHECK(!q.answer());
  }
  SUBCASE("meta packs that are not held") {
    q.facts.packs_held = false;
    CHECK(q.answer() == Refusal::packs_not_held);
  }
  for (std::uint8_t i = 0; i <= static_cast<std::uint8_t>(Refusal::wrong_time); ++i) CHECK(!name_of(static_cast<Refusal>(i)).empty());
}

TEST_CASE("accept: five minutes ahead of the trusted time count, a millisecond more waits, and nobody asks without a clock") {
  Question q;
  q.record.hlc = (begin_ms + static_cast<std::uint64_t>(lead_ms_most)) << 16 | 0xffff;
  CHECK(!q.answer());
  q.record.hlc = (begin_ms + static_cast<std::uint64_t>(lead_ms_most) + 1) << 16;
  CHECK(q.answer() == Refusal::ahead_of_clock);
  q.record.hlc = ~std::uint64_t{0};
  CHECK(q.answer() == Refusal::ahead_of_clock);
  q.trusted_ms = std::numeric_limits<std::int64_t>::min();
  CHECK(q.answer() == Refusal::ahead_of_clock);
  q.trusted_ms = std::numeric_limits<std::int64_t>::max();
  CHECK(!q.answer());
  q.trusted_ms = std::nullopt;
  CHECK(!q.answer());
}

TEST_CASE("accept: an entry's time goes forward, and its record was made shortly before it, but for a desk's, which may be older") {
  Question q;
  const auto made_ms = static_cast<std::int64_t>(begin_ms);
  const auto at = [&](std::int64_t time_ms, std::int64_t latest_before_ms, std::int64_t policy_issued_ms) {
    q.facts.time = {time_ms, latest_before_ms, policy_issued_ms};
    return q.answer();
  };
  constexpr std::int64_t least = std::numeric_limits<std::int64_t>::min(), most = std::numeric_limits<std::int64_t>::max();
  CHECK(!at(made_ms, made_ms, made_ms));
  CHECK(!at(made_ms, made_ms + lead_ms_most, made_ms + lead_ms_most));
  CHECK(at(made_ms, made_ms + lead_ms_most + 1, 0) == Refusal::wrong_time);
  CHECK(at(made_ms, 0, made_ms + lead_ms_most + 1) == Refusal::wrong_time);
  CHECK(!at(made_ms - lead_ms_most, least, 0));
  CHECK(at(made_ms - lead_ms_most - 1, least, 0) == Refusal::wrong_time);
  CHECK(at(least, least, 0) == Refusal::wrong_time);
  CHECK(q.record.device != sequencer);
  CHECK(!at(most, least, 0));
  q.record.device = sequencer;
  CHECK(!at(made_ms + entry_lag_ms_most, least, 0));
  CHECK(at(made_ms + entry_lag_ms_most + 1, least, 0) == Refusal::wrong_time);
  CHECK(at(most, least, 0) == Refusal::wrong_time);
  q.facts.time.reset();
  CHECK(!q.answer());
}

TEST_CASE("accept: a cut ends what its subject wrote beyond it under older policies, and nothing else") {
  Question q;
  const auto cut = [&](CutSubject subject, std::uint64_t since, std::map<FeedId, Sequence> ends) {
    q.cuts = {{{since}, std::move(subject), std::move(ends)}};
    return q.answer();
  };
  for (const CutSubject& subject : {CutSubject(sequencer), CutSubject(device), CutSubject(person)}) {
    CHECK(cut(subject, 4, {}) == Refusal::cut);  // a feed that is not named counts up to 0
    CHECK(cut(subject, 4, {{feed, {3}}}) == Refusal::cut);
    CHECK(!cut(subject, 4, {{feed, {4}}}));
    CHECK(!cut(subject, 3, {}));  // written under the policy that has the cut: after a return
    FeedId other = feed;
    other.incarnation = id_of<IncarnationId>(2);
    CHECK(cut(subject, 4, {{other, {9}}}) == Refusal::cut);
  }
  CHECK(!cut(id_of<NodeId>(51), 4, {}));
  CHECK(!cut(id_of<PersonId>(2), 4, {}));
  CHECK(!cut(NodeId{person.bytes}, 4, {}));  // a person is no node of the same bytes
}

TEST_CASE("accept: an admit raises one cut of one subject for one feed, and never lowers it") {
  Question q;
  q.cuts = {{{4}, person, {{feed, {2}}}}};
  CHECK(q.answer() == Refusal::cut);
  const auto with = [&](Admit admit) {
    q.admits = {admit};
    return !q.answer().has_value();
  };
  FeedId other = feed;
  other.node = id_of<NodeId>(51);
  CHECK(with({{4}, person, feed, {4}}));
  CHECK(!with({{4}, person, feed, {3}}));
  CHECK(!with({{5}, person, feed, {9}}));
  CHECK(!with({{4}, sequencer, feed, {9}}));
  CHECK(!with({{4}, person, other, {9}}));
  q.cuts = {{{4}, person, {{feed, {4}}}}};
  CHECK(with({{4}, person, feed, {1}}));
  q.cuts.push_back({{4}, sequencer, {{feed, {1}}}});  // another cut of the same policy stands
  CHECK(!with({{4}, person, feed, {9}}));
}
