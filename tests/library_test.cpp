// A library between peers, without a network: what entries and packs of others do to it, honest ones and others, in one order and another.
#include "node/library.h"

#include "node/library_rows.h"

#include "store/pack.h"
#include "tests/content_fixture.h"
#include "tests/engine_fixture.h"

using namespace dozo;
using namespace dozo::engine_fixture;
using node::Library;

namespace {

/// A feed that its node writes as it likes.
struct Pen {
  const crypto::NodeKeys& keys;
  FeedId feed;
  store::FeedTail tail;
  std::vector<Bytes> entries;
  std::string note;

  Pen(const Headquarters& hq, const std::string& node, const LibraryId& library, std::uint8_t incarnation = 1)
      : keys(hq.nodes.at(node)), feed{library, keys.id, IncarnationId{}}, tail((feed.incarnation.bytes.fill(incarnation), feed)) {}
  void write(const Library& library, std::vector<store::PackListing> packs, const Digest& record = crypto::sha256(view_of("no record")),
             PolicyVersion policy = {1}) {
    store::Entry entry;
    entry.policy = policy;
    entry.epoch = *library.epoch();
    entry.record = record;
    entry.view_rules = 1;
    std::ranges::sort(packs);
    entry.packs = std::move(packs);
    const auto appended = tail.append(entry, keys.sign);
    REQUIRE(appended);
    entries.push_back(appended->entry);
    note = appended->head_note;
  }
  Library::Point point() const { return {feed, tail.sequence(), tail.root()}; }
  Library::Batch batch() const { return {entries, note, {}}; }
  Result<Library::Lists> give(Library& to) const { return to.accept_entries(point(), {1}, batch()); }
};

PackAddress address(int i) { return {crypto::sha256(view_of("pack " + std::to_string(i))).bytes}; }

struct Between : Fixture {
  Site head{hq, "head"}, sapporo{hq, "sapporo"}, naha{hq, "naha"};
  Between() {
    for (Site* it : {&head, &sapporo, &naha}) it->hear(hq.last);
  }
  Library& works(Site& site) const {
    Library* it = site.engine->library(site.library("works"));
    REQUIRE(it != nullptr);
    return *it;
  }
  /// All entries of this node's own feed.
  void give_entries(Site& from, Site& to) const {
    const Library::Point point = *works(from).first_line(works(from).own_feed());
    const Sequence next = *works(to).next(point);
    if (next.value != 0) REQUIRE(works(to).accept_entries(point, next, *works(from).entries(point, next, 1U << 20))->empty());
  }
  Bytes pack(Site& at, const PackAddress& which) const {
    auto in = *at.truth->read();
    const auto found = *in.pack(which);
    REQUIRE(found);
    return bytes_of(*found);
  }
  void keep(Site& at, const PackAddress& which, const Bytes& bytes) const {
    auto write = *at.truth->write();
    REQUIRE(write.put_pack(which, bytes));
    REQUIRE(write.commit());
    CHECK(works(at).packs_durable({{which, {}}}));
  }
  /// All that is missing here and that the other has.
  void give_packs(Site& from, Site& to) const {
    for (const Library::Missing& it : works(to).missing(1000, 0)) {
      const Bytes bytes = pack(from, it.address);
      REQUIRE(works(to).check_pack(it.address, bytes));
      keep(to, it.address, bytes);
    }
  }
  store::StoredContent save_file(Site& at, const std::string& path, const Bytes& content) const {
    std::vector<store::SealedPack> packs;
    const node::SaveKeys keys = *at.engine->begin_save("works", at.now);
    store::Ingest ingest({keys.library, keys.epoch, 3, 0}, keys.key, *keys.index, [&](store::SealedPack&& it) -> Result<void> {
      packs.push_back(std::move(it));
      return {};
    });
    content_fixture::MemorySource source(content);
    REQUIRE(ingest.add(source, {}));
    const auto stored = ingest.settle()->at(0);
    const std::vector<node::Act> acts{node::PutAct{path, {stored.value, stored.source}}};
    const node::Prepared prepared = *at.engine->prepare_save(keys.library, acts, "", nullptr, at.now);
    REQUIRE(ingest.add_record(prepared.signed_record));
    REQUIRE(ingest.finish());
    REQUIRE(at.engine->commit_save(keys.library, prepared, {}, packs, at.now));
    return stored;
  }
  std::string names(Site& at) const {
    std::string out;
    const auto listing = std::get<node::local::Listing>(at.ask(node::local::ListRequest{"works", "", "", true, 1000}));
    for (const auto& row : listing.rows) out += row.path + "; ";
    return out;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Between, "library: what another says of a pack, earlier, does not keep the true one out") {
  REQUIRE(head.save("works", {"plans"}));
  const Library::Missing true_one = [&] {
    give_entries(head, sapporo);
    return works(sapporo).missing(10, 0).at(0);
  }();
  const Bytes bytes = pack(head, true_one.address);

  Pen liar(hq, "sapporo", head.library("works"));
  liar.write(works(head), {{true_one.address, true_one.size_bytes == 512 ? 1024U : 512U, crypto::PackKind::content}});
  REQUIRE(liar.give(works(naha))->empty());
  SUBCASE("the true entry comes before the pack") {
    give_entries(head, naha);
    CHECK(works(naha).missing(10, 0).at(0).size_bytes == 0);  // they differ
    CHECK(works(naha).check_pack(true_one.address, bytes));
  }
  SUBCASE("the pack comes first") {
    const auto refused = works(naha).check_pack(true_one.address, bytes);
    REQUIRE(!refused);
    CHECK(refused.error().fault == Fault::denied);  // not the fault of whoever gave it
    CHECK(works(naha).missing(10, 0).empty());      // nor is it asked for again
    CHECK_FALSE(works(naha).is_missing(true_one.address));
    give_entries(head, naha);
    CHECK(works(naha).missing(10, 0).at(0).size_bytes == true_one.size_bytes);
    CHECK(works(naha).check_pack(true_one.address, bytes));
  }
  SUBCASE("other bytes are whose giver gave them") {
    Bytes other = bytes;
    other[100] ^= 1;
    CHECK(works(naha).check_pack(true_one.address, other).error().fault == Fault::not_authentic);
    CHECK(works(naha).is_missing(true_one.address));
    give_entries(head, naha);
  }
  CHECK(works(naha).check_pack(true_one.address, bytes));
  keep(naha, true_one.address, bytes);
  CHECK(works(naha).missing_count() == 0);
}

TEST_CASE_FIXTURE(Between, "library: a meta pack that is made so as not to open stops nothing but its own record") {
  const crypto::EpochKey& key = *works(sapporo).epoch_key();
  const Epoch epoch = *works(sapporo).epoch();
  // Contents tables of a format that this build does not know, and none at all.
  const std::vector<Bytes> plains{Bytes(400, 0xfe), Bytes{}, Bytes(3, 1)};
  for (const Bytes& plain : plains) {
    const Bytes sealed = crypto::seal_pack(key, crypto::PackKind::meta, head.library("works"), epoch, plain, plain);
    Pen liar(hq, "sapporo", head.library("works"), static_cast<std::uint8_t>(10 + plain.size() % 100));
    liar.write(works(head), {{crypto::address_of(sealed), static_cast<std::uint32_t>(sealed.size()), crypto::PackKind::meta}});
    REQUIRE(liar.give(works(head))->empty());
    REQUIRE(works(head).check_pack(crypto::address_of(sealed), sealed));
    keep(head, crypto::address_of(sealed), sealed);
  }
  REQUIRE(sapporo.save("works", {"of sapporo"}));
  give_entries(sapporo, head);
  give_packs(sapporo, head);
  REQUIRE(head.save("works", {"of head"}));
  CHECK(names(head) == "of head/; of sapporo/; ");
  CHECK_FALSE(works(head).behind());
  head.restart();
  CHECK(names(head) == "of head/; of sapporo/; ");
}

TEST_CASE_FIXTURE(Between, "library: a quota decides what is fetched, not what is known, and in any order alike") {
  const std::string limited = replaced(writable(), "members.sapporo = { holding = \"full\", write = true }",
                                       "members.sapporo = { holding = \"full\", write = true, quota = \"1 MiB\" }");
  hq.publish(limited);
  for (Site* it : {&head, &sapporo, &naha}) it->hear(hq.last);
  const std::uint32_t size = crypto::bulk_pack_bytes / 2 + 20'000;
  std::vector<Pen> pens;
  for (int i = 0; i < 2; ++i) {
    pens.emplace_back(hq, "sapporo", head.library("works"), static_cast<std::uint8_t>(i + 1));
    pens.back().write(works(head), {{address(i), size, crypto::PackKind::content}}, crypto::sha256(view_of("no record")), {2});
  }
  REQUIRE(pens[0].give(works(head))->empty());
  REQUIRE(pens[1].give(works(naha))->empty());
  CHECK(works(head).beyond_quota().empty());
  CHECK(works(head).missing(10, 0).size() == 1);
  REQUIRE(pens[1].give(works(head))->empty());
  REQUIRE(pens[0].give(works(naha))->empty());
  CHECK(works(head).feeds() == works(naha).feeds());
  for (Site* it : {&head, &naha}) {
    CHECK(works(*it).beyond_quota() == std::set{hq.id("sapporo")});
    REQUIRE(works(*it).missing(10, 0).size() == 1);
    CHECK(works(*it).missing(10, 0)[0].address == address(0));  // of the feed that is first everywhere
  }
  // Another's pack is fetched all the same, also where the one beyond its quota lists it too.
  REQUIRE(head.save("works", {"plans"}));
  give_entries(head, naha);
  CHECK(works(naha).missing(10, 0).size() == 2);
  head.restart();
  CHECK(works(head).beyond_quota() == std::set{hq.id("sapporo")});
  // What a cut leaves comes before what it ends: junk in one feed does not keep back what is honest in another.
  Changes changes;
  const Library::Point end = pens[1].point();
  changes.cuts = cuts_of(hq.id("sapporo"), {head.library("works")}, {{end.feed, {end.feed.node, end.feed.incarnation, end.sequence, end.root}}});
  hq.publish(limited, changes);
  naha.hear(hq.last);
  const auto wanted = works(naha).missing(10, 0);
  CHECK(wanted.size() == 2);
  CHECK(std::ranges::any_of(wanted, [](const Library::Missing& it) { return it.address == address(1); }));
  CHECK(std::ranges::none_of(wanted, [](const Library::Missing& it) { return it.address == address(0); }));
}

TEST_CASE_FIXTURE(Between, "library: what was within its quota is needed, also when the quota is made smaller since") {
  Pen pen(hq, "sapporo", head.library("works"));
  for (int i = 0; i < 3; ++i) pen.write(works(head), {{address(i), crypto::bulk_pack_bytes, crypto::PackKind::content}});
  hq.publish(replaced(writable(), "members.sapporo = { holding = \"full\", write = true }",
                      "members.sapporo = { holding = \"full\", write = true, quota = \"1 MiB\" }"));
  naha.hear(hq.last);
  REQUIRE(pen.give(works(naha))->empty());
  CHECK(works(naha).beyond_quota().empty());
  CHECK(works(naha).missing(10, 0).size() == 3);
}

TEST_CASE_FIXTURE(Between, "library: garbage for a point that is honest does not keep its true entries out") {
  Pen pen(hq, "sapporo", head.library("works"));
  pen.write(works(head), {});
  REQUIRE(pen.give(works(head))->empty());
  Pen longer = pen;
  longer.write(works(head), {});
  Pen other(hq, "sapporo", head.library("works"));
  for (int i = 0; i < 2; ++i) other.write(works(head), {{address(i), 512, crypto::PackKind::content}});

  // True head, other entries.
  const Library::Batch garbage{{other.entries[1]}, longer.note, {}};
  REQUIRE(*works(head).next(longer.point()) == Sequence{2});
  CHECK(works(head).accept_entries(longer.point(), {2}, garbage).error().fault == Fault::exists);
  const Sequence again = *works(head).next(longer.point());
  CHECK(again == Sequence{1});  // from the first on: it might be another line
  CHECK(works(head).accept_entries(longer.point(), again, longer.batch())->empty());
  CHECK(works(head).forked_count() == 0);
  CHECK(*works(head).next(longer.point()) == Sequence{0});
}

TEST_CASE_FIXTURE(Between, "library: entries that list a pack of a size that none has are refused") {
  for (const std::uint32_t size : {0U, 511U, static_cast<std::uint32_t>(crypto::bulk_pack_bytes + 1), 16U << 20}) {
    Pen pen(hq, "sapporo", head.library("works"));
    pen.write(works(head), {{address(0), size, crypto::PackKind::content}});
    CHECK(pen.give(works(head)).error().fault == Fault::malformed);
  }
  CHECK(works(head).feeds().empty());
}

TEST_CASE_FIXTURE(Between, "library: writers take turns, and who lists what nobody has holds up nobody") {
  Pen liar(hq, "sapporo", head.library("works"));
  std::vector<store::PackListing> listed;
  for (int i = 0; i < 250; ++i) listed.push_back({address(i), 512, crypto::PackKind::content});
  liar.write(works(head), listed);
  REQUIRE(liar.give(works(naha))->empty());
  for (int i = 0; i < 3; ++i) REQUIRE(head.save("works", {"folder " + std::to_string(i)}));
  give_entries(head, naha);
  std::size_t of_head = 0;
  for (const Library::Missing& it : works(naha).missing(6, 0))
    of_head += std::ranges::none_of(listed, [&](const auto& pack) { return pack.address == it.address; });
  CHECK(of_head == 3);
  // What nobody has is put off, each time for longer.
  works(naha).put_off(listed[0].address, 1'000);
  const auto asked = [&](std::int64_t now_ms) {
    return std::ranges::any_of(works(naha).missing(1000, now_ms), [&](const Library::Missing& it) { return it.address == listed[0].address; });
  };
  CHECK_FALSE(asked(60'999));
  CHECK(asked(61'000));
  works(naha).put_off(listed[0].address, 61'000);
  CHECK_FALSE(asked(180'999));
  CHECK(asked(181'000));
}

TEST_CASE_FIXTURE(Between, "library: lists of packs are asked for only after everything else was checked") {
  Pen pen(hq, "sapporo", head.library("works"));
  std::vector<store::PackListing> listed;
  for (int i = 0; i < 300; ++i) listed.push_back({address(i), 512, crypto::PackKind::content});
  std::ranges::sort(listed);
  const Bytes list = store::encode_list(listed);
  store::Entry entry;
  entry.policy = {1};
  entry.epoch = *works(head).epoch();
  entry.record = crypto::sha256(view_of("no record"));
  entry.packs = store::PackListObject{crypto::sha256(list), 300};
  const auto appended = *pen.tail.append(entry, pen.keys.sign);
  pen.entries = {appended.entry};
  pen.note = appended.head_note;

  Library::Batch forged = pen.batch();
  forged.entries[0].back() ^= 1;
  CHECK_FALSE(works(head).accept_entries(pen.point(), {1}, forged));
  CHECK(*pen.give(works(head)) == Library::Lists{crypto::sha256(list)});
  CHECK(works(head).feeds().empty());
  CHECK(works(head).keep_pack_list(crypto::sha256(list), ByteView(list).first(list.size() - 1)).error().fault == Fault::not_authentic);
  REQUIRE(works(head).keep_pack_list(crypto::sha256(list), list));
  CHECK(pen.give(works(head))->empty());
  CHECK(works(head).missing_count() == 300);
}

TEST_CASE_FIXTURE(Between, "library: a folder moves also when its name is typed in another spelling, and a whole library does not") {
  REQUIRE(head.save("works", {"がく/図"}));
  const auto move = [&](const std::string& from, const std::string& to) {
    return std::holds_alternative<node::local::Saved>(head.ask(node::local::MoveRequest{"works", from, to, ""}));
  };
  CHECK(move("\u304b\u3099く", "gaku"));  // two code points for the one that is shown
  CHECK(names(head) == "gaku/図/; ");
  CHECK_FALSE(move("GAKU", "gaku/below"));
  CHECK_FALSE(move("", "x"));
  CHECK(names(head) == "gaku/図/; ");
}

TEST_CASE_FIXTURE(Between, "library: of two names that were given apart both are shown, and either can be chosen") {
  REQUIRE(head.save("works", {"plan"}));
  give_entries(head, sapporo);
  give_packs(head, sapporo);
  const auto move = [](Site& at, const std::string& to) {
    return std::holds_alternative<node::local::Saved>(at.ask(node::local::MoveRequest{"works", "plan", to, ""}));
  };
  REQUIRE(move(head, "of head"));
  REQUIRE(move(sapporo, "of sapporo"));
  give_entries(sapporo, head);
  give_packs(sapporo, head);
  const auto conflicts = [&] { return std::get<node::local::Conflicts>(head.ask(node::local::ConflictsRequest{"works"})).rows; };
  REQUIRE(conflicts().size() == 1);
  const node::local::ConflictRow row = conflicts()[0];
  CHECK(row.kind == "path");
  REQUIRE(row.paths.size() == 2);
  std::string shown = row.path;
  while (shown.ends_with('/')) shown.pop_back();
  const std::string other = shown == "of head" ? "of sapporo" : "of head";
  CHECK(std::ranges::find(row.paths, other) != row.paths.end());
  CHECK(std::holds_alternative<node::local::Refusal>(head.ask(node::local::ResolveRequest{"works", shown, "", "of nobody"})));
  CHECK(std::holds_alternative<node::local::Saved>(head.ask(node::local::ResolveRequest{"works", shown, "", other})));
  CHECK(conflicts().empty());
  CHECK(names(head) == other + "/; ");
}

TEST_CASE_FIXTURE(Between, "library: a tag names what is here whole, and shows nothing until all that it names is") {
  save_file(head, "one", content_fixture::noise(1, 60'000));
  give_entries(head, sapporo);
  give_packs(head, sapporo);
  save_file(head, "two", content_fixture::noise(2, 60'000));
  give_entries(head, sapporo);  // and no packs
  const auto whole = works(head).tag_now(), part = works(sapporo).tag_now();
  REQUIRE(whole);
  REQUIRE(part);
  CHECK(whole->left_out == 0);
  CHECK(part->left_out == 1);
  CHECK(part->tag.points.at(0).sequence.value == whole->tag.points.at(0).sequence.value - 1);
  const auto shows = [&](Site& at, const store::Tag& tag) {
    const auto moment = works(at).tagged(tag);
    REQUIRE_MESSAGE(moment, moment.error().text);
    std::string out;
    const auto entries = moment->history->list(moment->number, "", "", 10);
    REQUIRE(entries);
    for (const auto& entry : **entries) out += entry.name + "; ";
    return out;
  };
  CHECK(shows(head, whole->tag) == "one; two; ");
  CHECK(shows(head, part->tag) == "one; ");
  CHECK(shows(sapporo, part->tag) == "one; ");
  CHECK(works(sapporo).tagged(whole->tag).error().fault == Fault::unavailable);  // known, and not to be read yet
  CHECK_FALSE(works(naha).tagged(whole->tag));
  give_packs(head, sapporo);
  CHECK(works(sapporo).tag_now()->left_out == 0);
  CHECK(shows(sapporo, whole->tag) == "one; two; ");
  store::Tag wrong = whole->tag;
  wrong.points[0].root.bytes[0] ^= 1;
  CHECK(works(head).tagged(wrong).error().fault == Fault::not_found);
  wrong = whole->tag;
  wrong.points[0].node.bytes[0] ^= 1;
  CHECK(works(head).tagged(wrong).error().fault == Fault::unavailable);
  wrong = whole->tag;
  wrong.library.bytes[0] ^= 1;
  CHECK(works(head).tagged(wrong).error().fault == Fault::not_found);
}

TEST_CASE_FIXTURE(Between, "library: packs that were looked into as they came are in the index, and a fault of that is made good") {
  save_file(head, "one", content_fixture::noise(1, 60'000));
  give_entries(head, sapporo);
  const auto give = [&](bool fails) {
    std::vector<Library::Arrived> came;
    for (const Library::Missing& it : works(sapporo).missing(1000, 0)) {
      const Bytes bytes = pack(head, it.address);
      auto write = *sapporo.truth->write();
      REQUIRE(write.put_pack(it.address, bytes));
      REQUIRE(write.commit());
      const auto opened = store::OpenPack::open(*works(sapporo).epoch_key(), bytes, works(sapporo).id());
      REQUIRE(opened);
      came.push_back({it.address, opened->places()});
    }
    if (fails) sapporo.derived_kv.inject_at(1, store::Injected::fail);
    CHECK(works(sapporo).packs_durable(std::move(came)));
    sapporo.derived_kv.inject_at(0, store::Injected::none);
    CHECK((works(sapporo).behind() || (works(sapporo).all_opened() && names(sapporo) == names(head))));
    sapporo.pass(2 * Engine::catch_up_every_ms);
    CHECK_FALSE(works(sapporo).behind());
    CHECK(works(sapporo).all_opened());
    CHECK(names(sapporo) == names(head));
  };
  give(false);
  save_file(head, "two", content_fixture::noise(2, 60'000));
  give_entries(head, sapporo);
  give(true);
}

TEST_CASE_FIXTURE(Between, "library: a fault of what is derived holds up nothing else, is said, and is made good") {
  REQUIRE(sapporo.save("works", {"of sapporo"}));
  head.derived_kv.set_hook([](std::string_view operation) { return operation != "write"; });
  give_entries(sapporo, head);
  give_packs(sapporo, head);
  REQUIRE(works(head).behind());
  CHECK(names(head).empty());  // the folder is derived too
  CHECK_FALSE(works(head).all_opened());
  head.pass(1'000);
  CHECK(std::ranges::any_of(head.engine->notices(head.now), [](const std::string& it) { return it.find("does not follow") != std::string::npos; }));
  head.derived_kv.set_hook(nullptr);
  head.pass(2 * Engine::catch_up_every_ms);
  CHECK_FALSE(works(head).behind());
  CHECK(names(head) == "of sapporo/; ");
  CHECK(works(head).all_opened());
  CHECK(head.receipt("works")->opened);  // and that is told
}

TEST_CASE_FIXTURE(Between, "library: a pack that the store did not give is no bad pack: that is said, and it is opened the next time") {
  std::uint64_t number = 0;
  for (const auto how : {store::Injected::fail, store::Injected::damage}) {
    for (std::uint64_t n = 1;; ++n) {
      CAPTURE(n);
      ++number;
      const store::StoredContent stored = save_file(head, "plan " + std::to_string(number), content_fixture::noise(number, 100'000));
      give_entries(head, sapporo);
      std::vector<Library::Arrived> came;
      for (const Library::Missing& it : works(sapporo).missing(1000, 0)) {
        auto write = *sapporo.truth->write();
        REQUIRE(write.put_pack(it.address, pack(head, it.address)));
        REQUIRE(write.commit());
        came.push_back({it.address, {}});
      }
      const std::uint64_t before = sapporo.truth_kv.calls();
      sapporo.truth_kv.inject_at(n, how);
      CHECK(works(sapporo).packs_durable(std::move(came)));
      const bool struck = sapporo.truth_kv.calls() - before >= n;
      sapporo.truth_kv.inject_at(0, store::Injected::none);
      CHECK((works(sapporo).behind() || (works(sapporo).all_opened() && names(sapporo) == names(head))));
      sapporo.pass(1'000);
      sapporo.pass(2 * Engine::catch_up_every_ms);
      CHECK_FALSE(works(sapporo).behind());
      CHECK(works(sapporo).all_opened());
      CHECK(names(sapporo) == names(head));
      CHECK(works(sapporo).manifest(stored.source.manifest));
      if (struck) continue;
      CHECK(n > 5);
      break;
    }
  }
}

TEST_CASE_FIXTURE(Between,
                  "library: what the store does not give under a save is no mistake of a path's, and what is damaged of what is derived is made anew") {
  REQUIRE(head.save("works", {"old"}));
  const std::vector<node::Act> acts{node::PutAct{"new", {store::dir_value, std::nullopt}}};
  const auto prepare = [&](Library::PassedOver& passed_over) { return head.engine->prepare_save(head.library("works"), acts, "", &passed_over, head.now); };
  std::uint64_t damages = 0;
  for (std::uint64_t n = 1;; ++n) {
    for (const auto how : {store::Injected::fail, store::Injected::damage}) {
      Library::PassedOver passed_over;
      const std::uint64_t before = head.derived_kv.calls();
      head.derived_kv.inject_at(n, how);
      const auto prepared = prepare(passed_over);
      const bool struck = head.derived_kv.calls() - before >= n;
      head.derived_kv.inject_at(0, store::Injected::none);
      CHECK(passed_over.empty());
      if (how == store::Injected::fail) CHECK(prepared.has_value() != struck);
      if (prepared) CHECK(prepared->record.ops.size() == 2);
      if (struck && how == store::Injected::damage) ++damages;
      if (struck) continue;
      CHECK(damages > 2);
      CHECK(names(head) == "old/; ");
      return;
    }
  }
}

TEST_CASE_FIXTURE(Between, "library: a document of which a record is damaged keeps back no other that is saved with it") {
  save_file(head, "a", content_fixture::noise(1, 10));
  std::optional<PackAddress> of_a;
  {
    auto in = *head.truth->read();
    REQUIRE(in.each_pack(head.library("works"), [&](const PackAddress& which, std::uint32_t) -> Result<bool> {
      if (crypto::check_sealed(**in.pack(which))->kind == crypto::PackKind::meta) of_a = which;
      return true;
    }));
  }
  REQUIRE(of_a);
  head.restart();
  REQUIRE(head.truth_disk.flip_bit(store::Table{static_cast<std::uint8_t>(store::rows::Name::packs)}, of_a->bytes, 300));
  node::Act file{node::PutAct{"a", {store::dir_value, std::nullopt}}};
  const node::Act beside{node::PutAct{"b", {store::dir_value, std::nullopt}}};
  std::get<node::PutAct>(file).content.value.kind = store::ContentKind::file;
  std::get<node::PutAct>(file).content.source = store::Source{};
  Library::PassedOver passed_over;
  const auto prepared = head.engine->prepare_save(head.library("works"), std::vector{file, beside}, "", &passed_over, head.now);
  REQUIRE(prepared);
  CHECK(prepared->record.ops.size() == 2);
  REQUIRE(passed_over.size() == 1);
  CHECK(passed_over[0].second.text.ends_with(": a"));
}

TEST_CASE_FIXTURE(Between, "library: a name of one letter at the top is listed with all others") {
  save_file(head, "a", content_fixture::noise(1, 10));
  save_file(head, "b/c", content_fixture::noise(2, 10));
  REQUIRE(head.save("works", {"d"}));
  CHECK(names(head) == "a; b/c; d/; ");
}

TEST_CASE_FIXTURE(Between, "library: a pack that is damaged counts as not here, until it is healed") {
  const Bytes content = content_fixture::noise(1, 100'000);
  const auto save = [&](const std::string& path) { return save_file(head, path, content); };
  const auto first = save("a");
  head.pass(2'000);
  REQUIRE(head.receipt("works")->feeds.at(0).sequence.value == 1);
  CHECK(save("b").new_bytes == 0);  // it is here
  head.pass(2'000);
  REQUIRE(head.receipt("works")->feeds.at(0).sequence.value == 2);

  std::optional<store::SealedPack> broken;
  {
    auto in = *head.truth->read();
    REQUIRE(in.each_pack(head.library("works"), [&](const PackAddress& which, std::uint32_t) -> Result<bool> {
      const auto sealed = bytes_of(**in.pack(which));
      if (crypto::check_sealed(sealed)->kind == crypto::PackKind::content) broken = store::SealedPack{which, crypto::PackKind::content, sealed, {}};
      return true;
    }));
  }
  REQUIRE(broken);
  head.restart();
  REQUIRE(head.truth_disk.flip_bit(store::Table{static_cast<std::uint8_t>(store::rows::Name::packs)}, broken->address.bytes, 4'000));
  const auto manifest = works(head).manifest(first.source.manifest);
  REQUIRE(manifest);
  const store::PieceRef piece = manifest->list.entries.at(0);
  CHECK(works(head).pieces().piece(piece.id, store::PieceType::content).error().fault == Fault::corrupt);
  head.pass(2'000);
  CHECK(works(head).is_missing(broken->address));
  CHECK(head.receipt("works")->feeds.empty());
  CHECK(save("c").new_bytes == content.size());  // what lies in it is stored anew
  keep(head, broken->address, broken->bytes);
  head.pass(2'000);
  CHECK(works(head).missing_count() == 0);
  CHECK(works(head).pieces().piece(piece.id, store::PieceType::content));
}

TEST_CASE_FIXTURE(Between, "library: a start goes on from what is derived, and takes in only what is not in it") {
  for (int i = 0; i < 20; ++i) REQUIRE(head.save("works", {"plan " + std::to_string(i)}));
  const store::MemoryDisk older = head.derived_disk;
  const std::string before = names(head);
  REQUIRE(head.save("works", {"one more"}));
  const auto calls_of_start = [&] {
    const std::uint64_t calls = head.truth_kv.calls();
    head.restart();
    return head.truth_kv.calls() - calls;
  };
  const std::uint64_t kept = calls_of_start();
  CHECK(names(head) == "one more/; " + before);
  SUBCASE("none of it is there") {
    for (auto& rows : head.derived_disk.tables) rows.clear();
    CHECK(calls_of_start() > kept + 20);
    CHECK(names(head) == "one more/; " + before);
  }
  SUBCASE("it is older") {
    head.engine.reset();
    head.derived_disk.tables = older.tables;
    head.restart();
    CHECK(names(head) == "one more/; " + before);
  }
}

TEST_CASE_FIXTURE(Between, "library: what is derived from entries that the truth does not have any more is made anew") {
  REQUIRE(head.save("works", {"stays"}));
  head.engine.reset();
  const store::MemoryDisk older = head.truth_disk;
  head.restart();
  REQUIRE(head.save("works", {"is lost"}));
  CHECK(names(head) == "is lost/; stays/; ");
  head.engine.reset();
  head.truth.reset();
  head.truth_disk.tables = older.tables;
  head.restart();
  CHECK(names(head) == "stays/; ");
}

TEST_CASE_FIXTURE(Between, "library: whatever is damaged in what is derived, the folder shows what it showed, or it is made anew") {
  REQUIRE(head.save("works", {"plans", "plans/old", "photos"}));
  REQUIRE(sapporo.save("works", {"Plans", "reports"}));
  give_entries(sapporo, head);
  give_packs(sapporo, head);
  REQUIRE(std::holds_alternative<node::local::Saved>(head.ask(node::local::MoveRequest{"works", "photos", "pictures", ""})));
  const std::string before = names(head);
  REQUIRE(before.size() > 30);
  head.engine.reset();
  const auto image = head.derived_disk.tables, truth_image = head.truth_disk.tables;
  std::size_t made_anew = 0, tellings = 0;
  for (const auto& [key, value] : image.at(node::view_table.number)) {
    if (value.empty()) continue;
    head.engine.reset();
    head.truth.reset();
    head.derived_disk.tables = image;
    head.truth_disk.tables = truth_image;
    for (std::uint64_t bit : {3U, 77U}) REQUIRE(head.derived_disk.flip_bit(node::view_table, key, bit));
    const auto damaged = head.derived_disk.tables.at(node::view_table.number).at(key);
    head.restart();
    INFO(to_hex(key));
    CHECK(names(head) == before);
    const bool told = std::ranges::any_of(head.engine->notices(head.now), [](const std::string& it) { return it.find("was damaged") != std::string::npos; });
    CHECK(head.save("works", {"A new one"}));
    CHECK(names(head) == "A new one/; " + before);
    const auto& rows = head.derived_disk.tables.at(node::view_table.number);
    const auto now = rows.find(key);
    made_anew += now == rows.end() || now->second != damaged ? 1 : 0;
    tellings += told ? 1 : 0;
  }
  CHECK(made_anew > 10);
  CHECK(tellings > 5);  // some are met by what comes later, or by nobody
}

TEST_CASE_FIXTURE(Between, "library: what is derived says nothing of what a record says, nor by a plain hash") {
  REQUIRE(head.save("works", {"Harbour plans"}));
  REQUIRE(head.engine->library(head.library("works"))->history());
  const auto in = *head.derived_kv.read();
  const node::LibraryRows rows(head.local, head.library("works"));
  const auto row = rows.record(*in, {1});
  REQUIRE((row && *row));
  const auto record = works(head).record((*row)->id);
  REQUIRE(record);
  std::vector<Bytes> telling{bytes_of(view_of(std::string_view("Harbour"))), bytes_of((*row)->id.view().first(8)), bytes_of((*row)->device.view())};
  for (const VersionId& version : (*record)->versions) telling.push_back(bytes_of(version.view().first(8)));
  REQUIRE(telling.size() >= 5);
  for (const auto& table : head.derived_disk.tables) {
    for (const auto& [key, value] : table) {
      for (const Bytes& it : telling) {
        CHECK(std::ranges::search(key, it).empty());
        CHECK(std::ranges::search(value, it).empty());
      }
    }
  }
}
