// The engine by itself, without peers that answer: what it does of its own accord, and what it refuses. Realms of many engines are the simulator's.
#include "tests/engine_fixture.h"

using namespace dozo;
using namespace dozo::engine_fixture;

TEST_CASE_FIXTURE(Fixture, "engine: HQ's node renews freshness every hour by itself, and no other node does") {
  Site head(hq, "head", true), osaka(hq, "osaka");
  for (Site* it : {&head, &osaka}) it->hear(hq.last);
  const std::uint64_t published = head.freshness();
  REQUIRE(published > 0);
  head.pass(Engine::freshness_every_ms - 60'000);
  CHECK(head.freshness() == published);
  head.pass(120'000);
  const std::uint64_t renewed = head.freshness();
  CHECK(renewed > published);
  head.pass(Engine::freshness_every_ms);
  CHECK(head.freshness() > renewed);

  // A month without word: only HQ's node is fresh.
  osaka.pass(30 * day_s * 1000);
  CHECK(osaka.freshness() == published);
  CHECK(std::get<node::local::Status>(osaka.ask(node::local::StatusRequest{})).state == "stale");
  head.pass(30 * day_s * 1000);
  CHECK(std::get<node::local::Status>(head.ask(node::local::StatusRequest{})).state == "fresh");
}

TEST_CASE_FIXTURE(Fixture, "engine: a key that the root does not name renews nothing, and that is said") {
  hq.keys[SigningRole::freshness][0] = crypto::SigningKey::generate();
  Site head(hq, "head", true);
  head.hear(hq.last);
  const std::uint64_t published = head.freshness();
  head.pass(2 * Engine::freshness_every_ms);
  CHECK(head.freshness() == published);
  const auto notices = head.engine->notices(head.now);
  CHECK(std::any_of(notices.begin(), notices.end(), [](const std::string& it) { return it.starts_with("freshness could not be signed"); }));
}

TEST_CASE_FIXTURE(Fixture, "engine: a peer that stays away is told the newest policy on the socket for strangers, ever more seldom") {
  Site head(hq, "head");
  head.hear(hq.last);
  head.taken<Engine::Introduce>();
  head.pass(Engine::introduce_after_ms - 1);
  CHECK(head.taken<Engine::Introduce>().empty());
  head.pass(2);
  const auto first = head.taken<Engine::Introduce>();
  REQUIRE(first.size() == 1);  // of all peers only sapporo can be called
  CHECK(first[0].peer == hq.nodes.at("sapporo").id);
  CHECK(first[0].endpoint == "tcp://127.0.0.1:7002");
  head.pass(3'600'000);
  CHECK(head.taken<Engine::Introduce>().size() <= 12);

  // What it is told is enough to come to the policy, and has nobody else's grants.
  Site sapporo(hq, "sapporo");
  for (const Bytes& message : first[0].messages) sapporo.engine->on(sync::ReceivedFromStranger{bytes_of("token"), message}, sapporo.now);
  CHECK(sapporo.engine->realm().policy()->version().value == 1);
  sapporo.take();
  CHECK(sapporo.taken<sync::AnswerStranger>().size() == first[0].messages.size());
  auto in = sapporo.truth->read();
  const auto marks = *in->marks();
  for (const store::DocumentMark& mark : marks) {
    if (mark.key.type == "grants") CHECK(mark.key.name == grants_name(hq.nodes.at("sapporo").id));
  }
  // A link is all that is needed from then on.
  head.engine->on(sync::LinkUp{hq.nodes.at("sapporo").id}, head.now);
  head.pass(3'600'000);
  CHECK(head.taken<Engine::Introduce>().empty());
}

TEST_CASE_FIXTURE(Fixture, "engine: a receipt follows what is held, at most one a second, with numbers that grow") {
  Site head(hq, "head");
  head.hear(hq.last);
  head.pass(5'000);
  CHECK(!head.receipt("works"));  // of nothing nothing is said
  REQUIRE(head.save("works", {"a"}));
  REQUIRE(head.receipt("works"));
  const node::Receipt first = *head.receipt("works");
  CHECK(first.opened);
  CHECK(first.feeds.size() == 1);
  CHECK(first.feeds[0].sequence.value == 1);
  REQUIRE(head.save("works", {"b"}));
  REQUIRE(head.save("works", {"c"}));
  CHECK(head.receipt("works")->number == first.number);
  head.pass(Engine::receipt_ms + 1);
  const node::Receipt second = *head.receipt("works");
  CHECK(second.number > first.number);
  CHECK(second.feeds[0].sequence.value == 3);
  head.pass(60'000);
  CHECK(head.receipt("works")->number == second.number);
}

TEST_CASE_FIXTURE(Fixture, "engine: who may not save, or has no keys, is told why; nothing is written") {
  Site head(hq, "head"), naha(hq, "naha"), lonely(hq, "lonely"), osaka(hq, "osaka"), nobody(hq, "sapporo");
  for (Site* it : {&head, &naha, &lonely, &osaka}) it->hear(hq.last);
  CHECK(nobody.save("works", {"a"}).error().fault == Fault::unavailable);  // no policy yet
  CHECK(head.save("nothing", {"a"}).error().fault == Fault::not_found);
  CHECK(lonely.save("works", {"a"}).error().fault == Fault::not_found);
  CHECK(naha.save(naha.library("works").hex(), {"a"}).error().fault == Fault::denied);  // blind
  CHECK(osaka.save("works", {"a"}).error().fault == Fault::not_found);                  // no member
  CHECK(head.save("works", {"../up"}).error().fault == Fault::malformed);
  for (Site* it : {&head, &naha, &lonely, &osaka}) {
    auto in = it->truth->read();
    std::size_t heads = 0;
    REQUIRE(in->each_head([&](const store::Branch&, const store::HeadRow&) -> Result<bool> { return ++heads > 0; }));
    CHECK(heads == 0);
  }
  REQUIRE(head.save("works", {"a"}));
  CHECK(std::holds_alternative<node::local::Listing>(head.ask(node::local::ListRequest{"works", "", "", true, 10})));
  CHECK(std::holds_alternative<node::local::Refusal>(naha.ask(node::local::ListRequest{naha.library("works").hex(), "", "", true, 10})));
}

TEST_CASE_FIXTURE(Fixture, "engine: a save that began before the policy changed is told to begin anew, and does") {
  Site head(hq, "head");
  head.hear(hq.last);
  const node::SaveKeys keys = *head.engine->begin_save("works", head.now);
  const node::Act act = node::PutAct{"a", {store::dir_value, std::nullopt}};
  const node::Prepared prepared = *head.engine->prepare_save(keys.library, std::span(&act, 1), "", nullptr, head.now);
  hq.publish(replaced(writable(), "copies = 2", "copies = 1"));
  head.hear(hq.last);
  REQUIRE(head.engine->realm().policy()->version().value == 2);
  CHECK(head.engine->commit_save(keys.library, prepared, {}, {}, head.now).error().fault == Fault::stale);
  CHECK(head.save("works", {"a"}));
}

TEST_CASE_FIXTURE(Fixture, "engine: an act on more documents than one record holds is refused whole, with a way round") {
  Site head(hq, "head");
  head.hear(hq.last);
  for (int part = 0; part < 3; ++part) {
    std::vector<std::string> folders;
    for (int i = 0; i < 400; ++i) folders.push_back("all/" + std::to_string(part) + "/" + std::to_string(i));
    REQUIRE(head.save("works", folders));
  }
  const auto refused = head.ask(node::local::RemoveRequest{"works", "all", "", true});
  REQUIRE(std::holds_alternative<node::local::Refusal>(refused));
  CHECK(std::get<node::local::Refusal>(refused).text.find("one by one") != std::string::npos);
  CHECK(std::get<node::local::Listing>(head.ask(node::local::ListRequest{"works", "", "", true, 5'000})).rows.size() == 1'200);
  for (const char* part : {"all/0", "all/1", "all/2"})
    CHECK(std::holds_alternative<node::local::Saved>(head.ask(node::local::RemoveRequest{"works", part, "", true})));
  CHECK(std::get<node::local::Listing>(head.ask(node::local::ListRequest{"works", "", "", true, 5'000})).rows.empty());
}
