// What an engine makes of its policy by itself: that refusals are said by rule and without names, and that what has a set time begins then, wherever.
#include "crypto/session.h"
#include "node/refusal_log.h"
#include "tests/engine_fixture.h"

using namespace dozo;
using namespace dozo::engine_fixture;

namespace {

bool has_line(const std::vector<std::string>& lines, const std::string& part) {
  return std::ranges::any_of(lines, [&](const std::string& it) { return it.find(part) != std::string::npos; });
}
/// A person's session at that site, from its time on.
node::local::Answer log_in(Site& at, const Headquarters& hq, const std::string& person, const std::string& role) {
  const crypto::SigningKey session = crypto::SigningKey::generate();
  const Bytes certificate =
      crypto::issue({hq.names.people.at(person).id, hq.nodes.at(at.name).id, {}, session.public_key(), at.now.wall_ms, at.now.wall_ms + 12 * 3'600'000},
                    hq.people.at(person));
  return at.ask(node::local::SessionRequest{certificate, {}, bytes_of(session.reveal_seed()), role, ""});
}

}  // namespace

TEST_CASE("refusal log: a line once, so many at most, and how many more there were") {
  node::RefusalLog log;
  CHECK(log.take().empty());
  for (int round = 0; round < 3; ++round)
    for (std::size_t i = 0; i < node::RefusalLog::kept_most; ++i) log.note("refused: " + std::to_string(i));
  CHECK(log.take().size() == node::RefusalLog::kept_most);
  CHECK(log.take().empty());
  for (std::size_t i = 0; i < node::RefusalLog::kept_most + 7; ++i) log.note("refused: " + std::to_string(i));
  const std::vector<std::string> lines = log.take();
  CHECK(lines.size() == node::RefusalLog::kept_most + 1);
  CHECK(lines.back() == "refused: 7 more of the kind");
}

TEST_CASE_FIXTURE(Fixture, "engine: what is refused is said by rule and version, in ids, without names") {
  hq.publish(writable() + "[[forbid]]\nid = \"quiet\"\nroles = [\"editor\"]\nlibraries = [\"works\"]\nactions = [\"write\"]\n");
  Site head(hq, "head");
  head.hear(hq.last);
  REQUIRE(std::holds_alternative<node::local::Done>(log_in(head, hq, "sato", "editor")));
  CHECK(head.engine->take_refusals().empty());
  CHECK_FALSE(head.save("works", {"a"}));
  const std::string by_sato = " by person " + hq.person("sato").hex() + ", policy 2: ";
  std::vector<std::string> lines = head.engine->take_refusals();
  CHECK(lines == std::vector<std::string>{"refused: write in library " + hq.library("works").hex() + by_sato + "by forbid quiet"});
  CHECK_FALSE(head.save("plans", {"a"}));
  CHECK(has_line(head.engine->take_refusals(), "write in library " + hq.library("plans").hex() + by_sato + "as no permit fits"));
  CHECK(std::holds_alternative<node::local::Refusal>(log_in(head, hq, "sato", "minister")));
  CHECK(has_line(head.engine->take_refusals(), "a session of person " + hq.person("sato").hex() + ", policy 2: holds no post with that role"));
  // Closed: by the clock, and by an officer, whose words are for people and not for logs.
  hq.publish(replaced(writable(), "[[permit]]", "[[closure]]\nfrom = 2026-01-01\nuntil = 2028-01-01\nreason = \"Mr Sato moves\"\n[[permit]]"));
  head.hear(hq.last);
  CHECK_FALSE(head.save("works", {"a"}));
  lines = head.engine->take_refusals();
  CHECK(has_line(lines, ", policy 3: outside of the hours, or in an interruption that was announced"));
  CHECK_FALSE(has_line(lines, "Mr Sato"));
  hq.publish(writable());
  head.hear(hq.last);
  Stopped whom;
  whom.libraries = {hq.library("works")};
  REQUIRE(std::get<node::local::Offered>(head.ask(node::local::OfferRequest{{hq.suspend(0, 1, whom)}})).refused.empty());
  CHECK_FALSE(head.save("works", {"a"}));
  CHECK(has_line(head.engine->take_refusals(), ", policy 4: stopped by headquarters"));
}

TEST_CASE_FIXTURE(Fixture, "engine: a rule and a post with a set time begin at that second at every node, one that was away or is alone included") {
  // 2027-01-15 18:00 in Japan is an hour after everything here begins.
  const std::string later = "2027-01-15T18:00:00";
  std::string toml = writable() + "[[forbid]]\nid = \"moved\"\nroles = [\"service\"]\nlibraries = [\"works\"]\nactions = [\"write\"]\nfrom = " + later + "\n";
  toml = replaced(toml, "post = \"clerk\"\n", "post = \"clerk\"\nfrom = " + later + "\n");
  hq.publish(toml);
  Site told(hq, "head"), away(hq, "sapporo");
  told.hear(hq.last);  // and nothing after that: it is alone from now on
  const std::int64_t at_ms = (begin_s + hour_s) * 1000;
  const auto until = [&](Site& site, std::int64_t wall_ms) { site.pass(wall_ms - site.now.wall_ms); };
  until(told, at_ms - 1);
  CHECK(told.save("works", {"before"}));
  CHECK(std::holds_alternative<node::local::Refusal>(log_in(told, hq, "sato", "editor")));
  until(told, at_ms);
  const auto refused = told.save("works", {"after"});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().text.find("forbidden by moved") != std::string::npos);
  CHECK(std::holds_alternative<node::local::Done>(log_in(told, hq, "sato", "editor")));
  CHECK(told.save("works", {"by sato"}));
  // It was away when that was published, and comes after it has begun.
  until(away, at_ms + 60'000);
  hq.now_s = away.now.wall_ms / 1000;
  away.hear(hq.last);
  CHECK_FALSE(away.save("works", {"after"}));
  CHECK(std::holds_alternative<node::local::Done>(log_in(away, hq, "sato", "editor")));
  CHECK(away.save("works", {"by sato too"}));
  // A clock that is behind: what headquarters has signed since says what time it is.
  Site behind(hq, "sapporo");
  behind.now.wall_ms = at_ms - 10 * 60'000;
  hq.refresh();
  behind.hear(hq.last);
  const auto late = behind.save("works", {"in time, by a clock that is not"});
  REQUIRE_FALSE(late);
  CHECK(late.error().text.find("forbidden by moved, by headquarters' time") != std::string::npos);
}
