// The engine by itself, without peers that answer: what it does of its own accord, and what it refuses. Realms of many engines are the simulator's.
#include "tests/engine_fixture.h"

#include "crypto/session.h"

using namespace dozo;
using namespace dozo::engine_fixture;

namespace {

/// A member with keys who writes what it likes, in a feed of its own, as its peers are given it.
struct Writer {
  const Headquarters& hq;
  std::string name;
  LibraryId library;
  FeedId feed{library, hq.nodes.at(name).id, crypto::random_id<IncarnationId>()};
  store::FeedTail tail{feed};
  std::uint64_t made = 0;

  /// As an honest node would write it at that node's time.
  store::Record record(const Site& at) {
    store::Record out;
    out.library = library;
    out.hlc = static_cast<std::uint64_t>(at.now.wall_ms) << 16;
    out.device = feed.node;
    out.role = service_role;
    out.policy = at.engine->realm().policy()->version();
    out.who = name;
    out.ops = store::create(crypto::random_id<DocumentId>(), name + std::to_string(++made), {store::dir_value, std::nullopt});
    return out;
  }
  store::Entry entry(const Site& at) const {
    store::Entry out;
    out.kind = static_cast<std::uint8_t>(store::EntryKind::change);
    out.policy = at.engine->realm().policy()->version();
    out.epoch = at.engine->library(library)->epoch().value();
    out.time_ms = at.now.wall_ms;
    out.view_rules = 1;
    return out;
  }
  RecordId give(Site& to, const store::Record& record, store::Entry entry, const crypto::SigningKey& key, Bytes certificate = {},
                std::vector<store::PackListing> listed = {}) {
    node::Library& held = *to.engine->library(library);
    const auto signed_record = store::sign(record, std::move(certificate), key, FixedBytes<32, struct store::BlindTag>{});
    REQUIRE_MESSAGE(signed_record, signed_record.error().text);
    auto write = to.truth->write();
    {
      store::Ingest ingest({library, entry.epoch, 3, 0}, *held.epoch_key(), held.index(), [&](store::SealedPack&& pack) -> Result<void> {
        listed.push_back({pack.address, static_cast<std::uint32_t>(pack.bytes.size()), pack.kind});
        TRY(write->put_pack(pack.address, pack.bytes));
        return {};
      });
      REQUIRE(ingest.add_record(store::encode(*signed_record)));
      REQUIRE(ingest.finish());
    }
    REQUIRE(write->commit());
    entry.record = store::commitment(*signed_record);
    std::ranges::sort(listed);
    entry.packs = listed;
    const auto appended = tail.append(entry, hq.nodes.at(name).sign);
    REQUIRE(appended);
    const auto taken = held.accept_entries({feed, tail.sequence(), tail.root()}, tail.sequence(), {{appended->entry}, appended->head_note, {}});
    REQUIRE_MESSAGE(taken, taken.error().text);
    return store::record_id(record);
  }
  /// A receipt of its own for its feed as it stands.
  void sign_for_all(Site& at) const {
    node::Receipt receipt;
    receipt.library = library;
    receipt.signer = feed.node;
    receipt.number = 1;
    receipt.feeds = {{feed.node, feed.incarnation, tail.sequence(), tail.root()}};
    auto write = at.truth->write();
    REQUIRE(write->put_statement({library, feed.node, std::string(node::receipt_subject)}, {1, node::sign(receipt, hq.nodes.at(name).sign)}));
    REQUIRE(write->commit());
  }
  RecordId give(Site& to, const store::Record& record) { return give(to, record, entry(to), hq.nodes.at(name).sign); }
};

std::optional<store::Refusal> refusal(const Site& at, const std::string& library, const RecordId& id) {
  const auto refused = at.engine->library(at.library(library))->refused().value();
  const auto found = refused.find(id);
  return found == refused.end() ? std::nullopt : std::optional(found->second);
}
node::local::LogRow newest(Site& at, const std::string& library) {
  const auto log = at.ask(node::local::LogRequest{library, "", 0, 1});
  REQUIRE(std::holds_alternative<node::local::Log>(log));
  REQUIRE(!std::get<node::local::Log>(log).rows.empty());
  return std::get<node::local::Log>(log).rows.front();
}

}  // namespace

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

TEST_CASE_FIXTURE(Fixture, "engine: an act on more documents than one record holds becomes several records") {
  Site head(hq, "head");
  head.hear(hq.last);
  for (int part = 0; part < 3; ++part) {
    std::vector<std::string> folders;
    for (int i = 0; i < 400; ++i) folders.push_back("all/" + std::to_string(part) + "/" + std::to_string(i));
    REQUIRE(head.save("works", folders));
  }
  const auto removed = head.ask(node::local::RemoveRequest{"works", "all", "", true});
  REQUIRE(std::holds_alternative<node::local::Saved>(removed));
  CHECK(std::get<node::local::Saved>(removed).files == 1'200);
  CHECK(std::get<node::local::Saved>(removed).records == 3);
  CHECK(std::get<node::local::Listing>(head.ask(node::local::ListRequest{"works", "", "", true, 5'000})).rows.empty());
}

TEST_CASE_FIXTURE(Fixture, "engine: a record under another name than its writer's is refused, a person's and a node's") {
  Site head(hq, "head");
  head.hear(hq.last);
  Writer sapporo{hq, "sapporo", head.library("works")};
  CHECK(!refusal(head, "works", sapporo.give(head, sapporo.record(head))));
  CHECK(newest(head, "works").author.starts_with("sapporo"));
  store::Record lie = sapporo.record(head);
  lie.who = "head";
  CHECK(refusal(head, "works", sapporo.give(head, lie)) == store::Refusal::no_right);

  const crypto::SigningKey session = crypto::SigningKey::generate();
  const PersonId sato = hq.names.people.at("sato").id;
  const Bytes certificate =
      crypto::issue({sato, sapporo.feed.node, {}, session.public_key(), head.now.wall_ms, head.now.wall_ms + 3'600'000}, hq.people.at("sato"));
  const auto by_sato = [&](const std::string& who) {
    store::Record out = sapporo.record(head);
    out.person = sato;
    out.role = "editor";
    out.who = who;
    out.hlc += 1;
    return out;
  };
  CHECK(!refusal(head, "works", sapporo.give(head, by_sato("佐藤"), sapporo.entry(head), session, certificate)));
  const node::local::LogRow row = newest(head, "works");
  CHECK(row.author.starts_with("佐藤"));
  CHECK(row.person == sato);
  CHECK(row.role == "editor");
  CHECK(row.device == sapporo.feed.node);
  for (const char* who : {"部長", "sato", ""}) {
    CAPTURE(who);
    CHECK(refusal(head, "works", sapporo.give(head, by_sato(who), sapporo.entry(head), session, certificate)) == store::Refusal::no_right);
  }
}

TEST_CASE_FIXTURE(Fixture, "engine: a session outlives a change of its person's name, and saves go under the new one") {
  Site head(hq, "head");
  head.hear(hq.last);
  const PersonId sato = hq.names.people.at("sato").id;
  const crypto::SigningKey session = crypto::SigningKey::generate();
  const Bytes certificate =
      crypto::issue({sato, hq.nodes.at("head").id, {}, session.public_key(), head.now.wall_ms, head.now.wall_ms + 3'600'000}, hq.people.at("sato"));
  REQUIRE(std::holds_alternative<node::local::Done>(head.ask(node::local::SessionRequest{certificate, {}, bytes_of(session.reveal_seed()), "editor", ""})));
  REQUIRE(head.save("works", {"a"}));
  CHECK(newest(head, "works").author.starts_with("佐藤"));
  std::string longer;
  while (longer.size() <= store::who_bytes_most) longer += "斎藤";
  hq.publish(replaced(writable(), "shown = \"佐藤\"", "shown = \"" + longer + "\""));
  head.hear(hq.last);
  REQUIRE(head.save("works", {"b"}));
  CHECK(newest(head, "works").person == sato);
  CHECK(head.engine->library(head.library("works"))->refused().value().empty());
}

TEST_CASE_FIXTURE(Fixture, "engine: where the clock is behind headquarters' by hours a person saves all the same, and that is said") {
  constexpr std::int64_t hour_ms = 3'600'000;
  Site head(hq, "head");
  head.hear(hq.last);
  const PersonId sato = hq.names.people.at("sato").id;
  const auto status = [&] { return std::get<node::local::Status>(head.ask(node::local::StatusRequest{})); };
  const auto login = [&](std::int64_t from_ms) {
    const crypto::SigningKey session = crypto::SigningKey::generate();
    const Bytes certificate = crypto::issue({sato, hq.nodes.at("head").id, {}, session.public_key(), from_ms, from_ms + 12 * hour_ms}, hq.people.at("sato"));
    return head.ask(node::local::SessionRequest{certificate, {}, bytes_of(session.reveal_seed()), "editor", ""});
  };
  const auto says_so = [&] {
    return std::ranges::any_of(head.engine->notices(head.now),
                               [](const std::string& it) { return it.find("behind headquarters' by 13 hours") != std::string::npos; });
  };
  const std::int64_t right_ms = status().time_ms;
  CHECK(right_ms == head.now.wall_ms);
  CHECK(!says_so());
  head.now.wall_ms -= 13 * hour_ms;
  CHECK(status().time_ms == right_ms);
  CHECK(says_so());
  REQUIRE(std::holds_alternative<node::local::Done>(login(status().time_ms)));
  REQUIRE(head.save("works", {"late"}));
  CHECK(newest(head, "works").person == sato);
  CHECK(head.engine->library(head.library("works"))->refused().value().empty());

  // A word of headquarters' that comes as freshness alone, not as a policy.
  hq.now_s += 20 * 3600;
  (void)hq.refresh();
  head.hear(hq.last);
  REQUIRE(status().time_ms == hq.now_s * 1000);
  REQUIRE(!head.save("works", {"over"}));
  REQUIRE(std::holds_alternative<node::local::Done>(login(status().time_ms)));
  REQUIRE(head.save("works", {"later"}));
  CHECK(newest(head, "works").person == sato);
  CHECK(head.engine->library(head.library("works"))->refused().value().empty());

  // A clock that steps back a little denies nobody, one that is put right does not either.
  head.now.wall_ms = hq.now_s * 1000 + 60'000;
  REQUIRE(std::holds_alternative<node::local::Done>(login(status().time_ms)));
  head.now.wall_ms -= 30'000;
  CHECK(head.save("works", {"stepped"}));
}

TEST_CASE_FIXTURE(Fixture, "engine: a library that could not be opened is tried again") {
  Site head(hq, "head");
  const auto says_so = [&] {
    return std::ranges::any_of(head.engine->notices(head.now), [](const std::string& it) { return it.find("cannot be opened") != std::string::npos; });
  };
  bool broken = true;  // from when the policy is in force on
  head.truth_kv.set_hook([&](std::string_view) { return !broken || head.engine->realm().policy() == nullptr; });
  head.hear(hq.last);
  REQUIRE(head.engine->realm().policy() != nullptr);
  REQUIRE(says_so());
  CHECK(head.engine->library(head.library("works")) == nullptr);
  broken = false;
  head.pass(10 * 60'000);
  CHECK(!says_so());
  CHECK(head.engine->library(head.library("works")) != nullptr);
}

TEST_CASE_FIXTURE(Fixture, "engine: a library that could not be opened and is then taken away is not spoken of any more") {
  Site naha(hq, "naha");
  const auto says_so = [&] {
    return std::ranges::any_of(naha.engine->notices(naha.now), [](const std::string& it) { return it.find("cannot be opened") != std::string::npos; });
  };
  std::uint64_t broken_from = 1;  // from when this policy is in force on
  naha.truth_kv.set_hook(
      [&](std::string_view) { return naha.engine->realm().policy() == nullptr || naha.engine->realm().policy()->version().value < broken_from; });
  naha.hear(hq.last);
  REQUIRE(says_so());
  broken_from = 2;
  hq.publish(replaced(writable(), "members.naha = { holding = \"blind\" }\n", ""));
  naha.hear(hq.last);
  REQUIRE(naha.engine->realm().policy()->version().value == 2);
  CHECK(!says_so());
}

TEST_CASE_FIXTURE(Fixture, "engine: that a document cannot be kept here is not held against who brought it") {
  // Each by itself, as a stranger's: answered if it is this realm's.
  const auto answers = [&](Site& site, const Publication& documents) {
    for (const auto& [name, envelope] : documents)
      site.engine->on(sync::ReceivedFromStranger{bytes_of("token"), sync::encode(sync::DocumentsGiven{{envelope}})}, site.now);
    site.take();
    return site.taken<sync::AnswerStranger>().size();
  };
  Site sapporo(hq, "sapporo");
  std::string broken = "commit";
  sapporo.truth_kv.set_hook([&](std::string_view operation) { return operation != broken && broken != "all"; });
  const std::size_t while_broken = answers(sapporo, hq.last);
  CHECK(sapporo.engine->realm().policy() == nullptr);
  Site sound(hq, "sapporo");
  CHECK(while_broken == answers(sound, hq.last));
  // What is another realm's is not answered, whatever the disk does; nor is anything while what could not be kept cannot be read back either.
  Headquarters other;
  other.publish(writable());
  CHECK(answers(sapporo, other.last) == 0);
  broken = "all";
  CHECK(answers(sapporo, hq.last) > 0);  // verified, and then neither kept nor read back
  CHECK(answers(sapporo, other.last) == 0);
  broken = "";
  for (int round = 0; round < 2; ++round) (void)answers(sapporo, hq.last);
  REQUIRE(sapporo.engine->realm().policy() != nullptr);
}

TEST_CASE_FIXTURE(Fixture, "engine: a blind holder that is given keys reads also the versions that old entries name") {
  // In a library of its own osaka has keys, and with them the directory: here it has none but what comes with "works".
  const std::string without = replaced(writable(), "members.osaka = { holding = \"full\", write = true }\n", "");
  const std::string line = "members.naha = { holding = \"blind\" }\n";
  hq.publish(replaced(without, line, line + "members.osaka = { holding = \"blind\" }\n"));
  Site osaka(hq, "osaka");
  osaka.hear(hq.last);
  const PolicyVersion before = osaka.engine->realm().policy()->version();
  CHECK(osaka.engine->realm().policy()->directory() == nullptr);
  Writer sapporo{hq, "sapporo", osaka.library("works")};
  const store::Record record = sapporo.record(osaka);
  const store::Entry entry = sapporo.entry(osaka);
  hq.publish(replaced(without, line, line + "members.osaka = { holding = \"full\" }\n"));
  osaka.hear(hq.last);
  REQUIRE(osaka.engine->realm().policy()->version() > before);
  CHECK(osaka.engine->realm().policy_at(before)->directory() != nullptr);
  CHECK(!refusal(osaka, "works", sapporo.give(osaka, record, entry, hq.nodes.at("sapporo").sign)));
}

TEST_CASE_FIXTURE(Fixture, "engine: a record ahead of the time waits until that has come, and pulls nobody's stamps along") {
  constexpr std::int64_t minute_ms = 60'000;
  Site head(hq, "head");
  head.hear(hq.last);
  Writer sapporo{hq, "sapporo", head.library("works")};
  const auto ahead = [&](std::int64_t by_ms) {
    store::Record record = sapporo.record(head);
    record.hlc += static_cast<std::uint64_t>(by_ms) << 16;
    store::Entry entry = sapporo.entry(head);
    entry.time_ms += by_ms - store::lead_ms_most;
    return sapporo.give(head, record, entry, hq.nodes.at("sapporo").sign);
  };
  CHECK(!refusal(head, "works", ahead(5 * minute_ms)));
  const RecordId soon = ahead(20 * minute_ms);
  const RecordId never = ahead(174 * 365 * day_s * 1000);
  CHECK(refusal(head, "works", soon) == store::Refusal::ahead_of_clock);
  CHECK(refusal(head, "works", never) == store::Refusal::ahead_of_clock);
  REQUIRE(head.save("works", {"own"}));
  CHECK(newest(head, "works").author.starts_with("head"));  // above the five minutes that it was shown, far below the rest
  CHECK(newest(head, "works").time_ms < head.now.wall_ms + 6 * minute_ms);
  CHECK(std::ranges::any_of(head.engine->notices(head.now), [](const std::string& it) { return it.find("clock") != std::string::npos; }));

  head.pass(14 * minute_ms);
  CHECK(refusal(head, "works", soon) == store::Refusal::ahead_of_clock);
  head.pass(minute_ms + 1);  // by its own timer: nobody tells it anything
  CHECK(!refusal(head, "works", soon));
  CHECK(newest(head, "works").author.starts_with("sapporo"));
  CHECK(refusal(head, "works", never) == store::Refusal::ahead_of_clock);
}

TEST_CASE_FIXTURE(Fixture, "engine: an entry's time goes forward in its feed and from its policy, and its record's is near") {
  constexpr std::int64_t minute_ms = 60'000, hour_ms = 60 * minute_ms;
  Site head(hq, "head");
  head.hear(hq.last);
  head.pass(24 * hour_ms);
  // Each in a feed of its own, as an incarnation costs a liar nothing.
  const auto judged = [&](std::int64_t entry_ms, std::int64_t record_ms, std::optional<std::int64_t> before_ms) {
    Writer sapporo{hq, "sapporo", head.library("works")};
    const auto give = [&](std::int64_t at_ms, std::int64_t made_ms) {
      store::Record record = sapporo.record(head);
      record.hlc = static_cast<std::uint64_t>(head.now.wall_ms + made_ms) << 16;
      store::Entry entry = sapporo.entry(head);
      entry.time_ms = head.now.wall_ms + at_ms;
      return refusal(head, "works", sapporo.give(head, record, entry, hq.nodes.at("sapporo").sign));
    };
    if (before_ms) CHECK(!give(*before_ms, *before_ms));
    return give(entry_ms, record_ms);
  };
  CHECK(!judged(0, 0, 0));
  CHECK(!judged(-5 * minute_ms, -1, 0));  // a clock may be put back a little
  CHECK(judged(-5 * minute_ms - 1, -1, 0) == store::Refusal::wrong_time);
  CHECK(!judged(-24 * hour_ms - 5 * minute_ms, -24 * hour_ms, std::nullopt));
  CHECK(judged(-24 * hour_ms - 5 * minute_ms - 1, -24 * hour_ms - 1, std::nullopt) == store::Refusal::wrong_time);  // before the policy was
  CHECK(!judged(0, -12 * hour_ms, std::nullopt));
  CHECK(judged(0, -12 * hour_ms - 1, std::nullopt) == store::Refusal::wrong_time);
  CHECK(!judged(-5 * minute_ms, 0, std::nullopt));
  CHECK(judged(-5 * minute_ms - 1, 0, std::nullopt) == store::Refusal::wrong_time);
}

TEST_CASE_FIXTURE(Fixture, "engine: whatever its clock says, an honest node's saves count") {
  Site head(hq, "head");
  head.hear(hq.last);
  const auto refused = [&] { return head.engine->library(head.library("works"))->refused().value(); };
  head.now.wall_ms -= 400 * day_s * 1000;  // long before there was a policy
  REQUIRE(head.save("works", {"slow"}));
  CHECK(refused().empty());
  head.now.wall_ms += 800 * day_s * 1000;
  REQUIRE(head.save("works", {"fast"}));
  CHECK(refused().empty());
  // Put right: what was dated ahead waits, as it does everywhere, and what is saved from now on does not.
  head.now.wall_ms -= 400 * day_s * 1000;
  REQUIRE(head.save("works", {"right"}));
  REQUIRE(head.save("works", {"right too"}));
  CHECK(refused().size() == 1);
  CHECK(head.engine->library(head.library("works"))->folder()->find("right too/").value());
  CHECK(!head.engine->library(head.library("works"))->folder()->find("fast/").value());
}

// The simulator saw two nodes show different folders: what the one with the wrong clock had taken for past stayed in its folder until it saved something.
TEST_CASE_FIXTURE(Fixture, "engine: what was saved by a clock that was years ahead waits as soon as that is put right, also after a restart") {
  Site head(hq, "head");
  head.hear(hq.last);
  const auto shows = [&] { return head.engine->library(head.library("works"))->folder()->find("fast/").value().has_value(); };
  const auto saved_ahead = [&] {
    head.now.wall_ms += 400 * day_s * 1000;
    REQUIRE(head.save("works", {"fast"}));
    CHECK(shows());
  };
  saved_ahead();
  SUBCASE("while it runs") {
    head.now.wall_ms -= 400 * day_s * 1000;
    head.pass(1'000);
  }
  SUBCASE("while it is down") {
    head.now.wall_ms -= 400 * day_s * 1000;
    head.restart();
    head.pass(1'000);
  }
  CHECK(!shows());
}

TEST_CASE_FIXTURE(Fixture, "engine: what a suspended node writes waits, by whatever way it comes, and its receipts do not count") {
  constexpr std::int64_t minute_ms = 60'000;
  Site head(hq, "head");
  head.hear(hq.last);
  const auto works = head.library("works");
  Writer sapporo{hq, "sapporo", works};
  const RecordId before = sapporo.give(head, sapporo.record(head));
  sapporo.sign_for_all(head);
  CHECK(head.engine->copies(works) == 1);
  const store::Record old = sapporo.record(head);
  const store::Entry old_entry = sapporo.entry(head);

  head.pass(minute_ms);
  hq.now_s = head.now.wall_ms / 1000;
  const auto offered = head.ask(node::local::OfferRequest{{hq.suspend(0, 1, {sapporo.feed.node}, 4)}});
  REQUIRE(std::get<node::local::Offered>(offered).refused.empty());
  CHECK(!refusal(head, "works", before));
  const RecordId meanwhile = sapporo.give(head, sapporo.record(head));
  CHECK(refusal(head, "works", meanwhile) == store::Refusal::suspended);
  Writer again{hq, "sapporo", works};
  const RecordId dated_back = again.give(head, old, old_entry, hq.nodes.at("sapporo").sign);
  CHECK(refusal(head, "works", dated_back) == store::Refusal::suspended);
  CHECK(head.engine->copies(works) == 0);
  const auto replicas = std::get<node::local::Replicas>(head.ask(node::local::ReplicasRequest{"works"}));
  CHECK(std::ranges::any_of(replicas.rows, [](const auto& row) { return row.name == "sapporo" && row.statement == "suspended"; }));
  REQUIRE(head.save("works", {"others go on"}));
  CHECK(head.engine->library(works)->folder()->find("others go on/").value());

  // A cut leaves what is in the view, and not what waits behind it.
  const auto heads = [&] { return std::get<node::local::Heads>(head.ask(node::local::HeadsRequest{sapporo.feed.node, {}})).rows; };
  REQUIRE(heads().size() == 1);
  CHECK(heads()[0].feed == sapporo.feed);
  CHECK(heads()[0].sequence == Sequence{1});

  // A restart forgets nothing of this: what came later is known for that, whatever it says of its time.
  head.restart();
  head.pass(minute_ms);
  CHECK(!refusal(head, "works", before));
  for (const RecordId& id : {meanwhile, dated_back}) CHECK(refusal(head, "works", id) == store::Refusal::suspended);
  CHECK(heads().size() == 1);

  head.pass(240 * minute_ms);  // by its own timer
  for (const RecordId& id : {before, meanwhile, dated_back}) CHECK(!refusal(head, "works", id));
  CHECK(heads().size() == 2);
}

TEST_CASE_FIXTURE(Fixture, "engine: a suspended node is told so, and sees its own work") {
  Site sapporo(hq, "sapporo");
  sapporo.hear(hq.last);
  (void)sapporo.ask(node::local::OfferRequest{{hq.suspend(0, 1, {hq.id("sapporo")}, 4)}});
  REQUIRE(sapporo.save("works", {"meanwhile"}));
  CHECK(sapporo.engine->library(sapporo.library("works"))->folder()->find("meanwhile/").value());
  const auto notices = sapporo.engine->notices(sapporo.now);
  CHECK(std::ranges::any_of(notices, [](const std::string& it) { return it.find("suspended this node") != std::string::npos; }));
}

TEST_CASE_FIXTURE(Fixture, "engine: a suspended person works nowhere, what comes of his waits, and what came before stays") {
  constexpr std::int64_t minute_ms = 60'000;
  Site head(hq, "head");
  head.hear(hq.last);
  const PersonId sato = hq.person("sato");
  const crypto::SigningKey session = crypto::SigningKey::generate();
  const auto login = [&] {
    const Bytes certificate =
        crypto::issue({sato, hq.id("head"), {}, session.public_key(), head.now.wall_ms, head.now.wall_ms + 600 * minute_ms}, hq.people.at("sato"));
    return head.ask(node::local::SessionRequest{certificate, {}, bytes_of(session.reveal_seed()), "editor", ""});
  };
  REQUIRE(std::holds_alternative<node::local::Done>(login()));
  REQUIRE(head.save("works", {"before"}));
  Writer sapporo{hq, "sapporo", head.library("works")};
  const Bytes there =
      crypto::issue({sato, sapporo.feed.node, {}, session.public_key(), head.now.wall_ms, head.now.wall_ms + 600 * minute_ms}, hq.people.at("sato"));
  const auto by_sato = [&] {
    store::Record out = sapporo.record(head);
    out.person = sato;
    out.role = "editor";
    out.who = "佐藤";
    return sapporo.give(head, out, sapporo.entry(head), session, there);
  };
  const RecordId before = by_sato();

  head.pass(minute_ms);
  hq.now_s = head.now.wall_ms / 1000;
  Stopped whom;
  SUBCASE("by name") { whom.people = {sato}; }
  SUBCASE("by unit") { whom.orgs = {"roads"}; }
  SUBCASE("by role") { whom.roles = {"editor"}; }
  const auto offered = head.ask(node::local::OfferRequest{{hq.suspend(0, 1, whom, 4)}});
  REQUIRE(std::get<node::local::Offered>(offered).refused.empty());
  const auto saved = head.save("works", {"after"});
  REQUIRE(!saved);
  CHECK(saved.error().fault == Fault::denied);
  CHECK(saved.error().text.find("headquarters has stopped this person's work until 2027-01-15 21:01 (Japan): lost") != std::string::npos);
  const auto refused = [&](const node::local::Answer& answer) {
    const auto* it = std::get_if<node::local::Refusal>(&answer);
    return it != nullptr && it->text.find("has stopped this person's work") != std::string::npos;
  };
  CHECK(refused(login()));
  node::local::ListRequest list;
  list.library = "works";
  CHECK(refused(head.ask(list)));
  const RecordId meanwhile = by_sato();
  CHECK(refusal(head, "works", meanwhile) == store::Refusal::suspended);
  CHECK(!refusal(head, "works", before));
  CHECK(!refusal(head, "works", sapporo.give(head, sapporo.record(head))));  // the node's own work goes on
  CHECK(std::ranges::any_of(head.engine->notices(head.now), [](const std::string& it) { return it.starts_with("an officer has suspended"); }));

  head.restart();
  head.pass(minute_ms);
  CHECK(refusal(head, "works", meanwhile) == store::Refusal::suspended);
  CHECK(!refusal(head, "works", before));
  CHECK(head.engine->library(head.library("works"))->folder()->find("before/").value());

  head.pass(240 * minute_ms);  // by its own timer
  CHECK(!refusal(head, "works", meanwhile));
  REQUIRE(std::holds_alternative<node::local::Done>(login()));
  REQUIRE(head.save("works", {"again"}));
}

TEST_CASE_FIXTURE(Fixture, "engine: a unit with most of the realm's people is stopped for hours, one of them for days") {
  constexpr std::int64_t hour_ms = 3'600'000;
  hq.publish(writable() + "[[person]]\nname = \"mori\"\nshown = \"森\"\nposts = [{ post = \"clerk\" }]\n");
  Site head(hq, "head");
  head.hear(hq.last);
  Stopped whom;
  bool most = true;
  SUBCASE("all who hold a post there") { whom.orgs = {"roads"}; }
  SUBCASE("one of two") {
    whom.people = {hq.person("mori")};
    most = false;
  }
  hq.now_s = head.now.wall_ms / 1000;
  REQUIRE(std::get<node::local::Offered>(head.ask(node::local::OfferRequest{{hq.suspend(0, 1, whom, 14 * 24)}})).refused.empty());
  const auto is_stopped = [&] { return head.engine->realm().stopped(head.now.wall_ms).people.contains(hq.person("mori")); };
  CHECK(is_stopped());
  head.pass(3 * hour_ms);
  CHECK(is_stopped());
  head.pass(2 * hour_ms);
  CHECK(is_stopped() == !most);
}

TEST_CASE_FIXTURE(Fixture, "engine: in a library or realm that is stopped nobody works, and all goes on when that ends") {
  Site head(hq, "head");
  head.hear(hq.last);
  REQUIRE(head.save("works", {"before"}));
  Stopped whom;
  bool others = true, lifted = true;
  SUBCASE("a library, lifted") {}
  SUBCASE("a library, until it is over") { lifted = false; }
  SUBCASE("everything, lifted") { others = false; }
  SUBCASE("everything, until it is over") { others = lifted = false; }
  whom.realm = !others;
  if (others) whom.libraries = {hq.library("works")};
  hq.now_s = head.now.wall_ms / 1000;
  REQUIRE(std::get<node::local::Offered>(head.ask(node::local::OfferRequest{{hq.suspend(0, 1, whom, 4)}})).refused.empty());
  CHECK(head.save("works", {"meanwhile"}).error().fault == Fault::denied);
  CHECK(head.save("plans", {"meanwhile"}).has_value() == others);
  // Headquarters' own documents are taken all the while, and a policy that lifts it ends it.
  head.now.wall_ms += 60'000;
  hq.now_s += 60;
  const std::string officer = hq.keys.at(SigningRole::emergency)[0].public_key().hex();
  if (lifted) {
    hq.publish(writable() + "[[lift]]\nofficer = \"" + officer + "\"\nup_to = 1\n");
    head.hear(hq.last);
  } else {
    head.pass(241 * 60'000);
  }
  const auto after = head.save("works", {"after"});
  REQUIRE_MESSAGE(after, after.error().text);
}

TEST_CASE_FIXTURE(Fixture, "engine: outside of the hours, and in an interruption, nobody works but who may, and nodes go on between themselves") {
  constexpr std::int64_t hour_ms = 3'600'000;
  Site head(hq, "head");  // it is Friday, 17:00 in Japan
  const std::string hours =
      "[[hours]]\ndays = [\"mon\", \"fri\"]\nopens = \"07:00\"\ncloses = \"18:00\"\nlibraries = [\"works\"]\nexcept_roles = [\"editor\"]\n"
      "[[hours]]\ndays = [\"sun\"]\nopens = \"00:00\"\ncloses = \"24:00\"\nnodes = [\"sapporo\"]\n";
  const std::string closure = "[[closure]]\nfrom = 2027-01-18T09:00:00\nuntil = 2027-01-18T10:30:00\nreason = \"入替\"\n";
  hq.publish(writable() + hours + closure);
  head.hear(hq.last);
  const auto refused = [&](const std::string& library) {
    const auto saved = head.save(library, {"f" + std::to_string(head.now.wall_ms)});
    return saved ? std::string() : saved.error().text;
  };
  CHECK(refused("works").empty());
  head.pass(hour_ms);
  CHECK(refused("works") == "outside of the operating hours, which are Mon Fri 07:00 to 18:00 (Japan)");
  CHECK(refused("plans").empty());  // these hours are not about it
  Writer sapporo{hq, "sapporo", head.library("works")};
  CHECK(!refusal(head, "works", sapporo.give(head, sapporo.record(head))));  // what others wrote is judged without them
  const crypto::SigningKey session = crypto::SigningKey::generate();
  const Bytes certificate =
      crypto::issue({hq.person("sato"), hq.id("head"), {}, session.public_key(), head.now.wall_ms, head.now.wall_ms + 12 * hour_ms}, hq.people.at("sato"));
  REQUIRE(std::holds_alternative<node::local::Done>(head.ask(node::local::SessionRequest{certificate, {}, bytes_of(session.reveal_seed()), "editor", ""})));
  CHECK(refused("works").empty());
  (void)head.ask(node::local::EndSessionRequest{});
  head.pass(48 * hour_ms);  // Sunday, 18:00: open at sapporo alone
  CHECK(refused("works").starts_with("outside"));
  CHECK(std::ranges::any_of(head.engine->notices(head.now),
                            [](const std::string& it) { return it == "work is closed from 2027-01-18 09:00 (Japan) to 2027-01-18 10:30 (Japan): 入替"; }));
  head.pass(14 * hour_ms);  // Monday, 08:00
  CHECK(refused("works").empty());
  head.pass(hour_ms);
  CHECK(refused("works") == "closed until 2027-01-18 10:30 (Japan): 入替");
  CHECK(refused("plans") == "closed until 2027-01-18 10:30 (Japan): 入替");
  head.pass(3 * hour_ms / 2);
  CHECK(refused("plans").empty());
}

TEST_CASE("engine: a receipt covers entries by the roots that it names, and what is not known here by nothing") {
  const auto root = [](std::uint8_t number) { return *Digest::from(Bytes(32, number)); };
  const FeedId feed{{}, *NodeId::from(Bytes(16, 1)), *IncarnationId::from(Bytes(16, 2))};
  const node::HasRoot has_root = [&](const node::KnownFeed& it, Sequence sequence, const Digest& asked) {
    REQUIRE(sequence < it.sequence);
    return sequence == Sequence{3} && asked == root(3);
  };
  const auto behind = [&](std::uint64_t sequence, std::uint8_t number, std::uint64_t counted = 5) {
    node::Receipt receipt;
    receipt.feeds = {{feed.node, feed.incarnation, {sequence}, root(number)}};
    return node::entries_behind(receipt, {{feed, {5}, root(5), {counted}}}, has_root);
  };
  CHECK(behind(5, 5) == 0);
  CHECK(behind(5, 9) == 5);
  CHECK(behind(3, 3) == 2);
  CHECK(behind(3, 9) == 5);
  CHECK(behind(6, 5) == 5);
  CHECK(behind(~std::uint64_t{0}, 5) == 5);
  CHECK(behind(3, 3, 3) == 0);
  CHECK(behind(3, 3, 0) == 0);
  CHECK(behind(3, 9, 4) == 4);
}

TEST_CASE_FIXTURE(Fixture, "engine: what is refused at a feed's end, or cut, keeps no copy behind") {
  Site head(hq, "head");
  head.hear(hq.last);
  const auto works = head.library("works");
  Writer sapporo{hq, "sapporo", works};
  sapporo.give(head, sapporo.record(head));
  sapporo.sign_for_all(head);
  const policy::FeedPoint end{sapporo.feed.node, sapporo.feed.incarnation, sapporo.tail.sequence(), sapporo.tail.root()};
  CHECK(head.engine->copies(works) == 1);
  store::Record lie = sapporo.record(head);
  lie.who = "head";
  CHECK(refusal(head, "works", sapporo.give(head, lie)) == store::Refusal::no_right);
  CHECK(head.engine->copies(works) == 1);

  // A pack that nobody has: its entry counts, and so nobody holds all.
  const store::PackListing nowhere{crypto::random_id<PackAddress>(), 1024, crypto::PackKind::content};
  CHECK(!refusal(head, "works", sapporo.give(head, sapporo.record(head), sapporo.entry(head), hq.nodes.at("sapporo").sign, {}, {nowhere})));
  CHECK(head.engine->copies(works) == 0);
  Changes changes;
  changes.cuts = cuts_of(sapporo.feed.node, {works}, {{sapporo.feed, end}});
  hq.publish(writable(), changes);
  head.hear(hq.last);
  CHECK(head.engine->copies(works) == 1);
  // It goes on under the policy that cut it, and that counts again.
  sapporo.give(head, sapporo.record(head));
  CHECK(head.engine->copies(works) == 0);
}
