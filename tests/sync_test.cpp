// Goal: nodes that share a library come to hold the same of it, whatever is lost on the way; nobody else learns anything; when all is told, all is quiet.
#include "sync/fetch.h"
#include "tests/sync_fixture.h"

using namespace dozo;
using namespace dozo::sync;
using fake::Net;

namespace {

const LibraryId works = fake::library(1);

Net pair_of_nodes() {
  Net net(2);
  net.all_know();
  net.share(works, {0, 1});
  return net;
}

/// Nodes 0 and 1 have it.
Net three_with_a_pack_of_no_known_size() {
  Net net(3);
  net.all_know();
  net.share(works, {0, 1, 2});
  const Bytes bytes = fake::pack_bytes(1, 700'000);
  const Digest address = crypto::sha256(bytes);
  for (const std::size_t i : {0U, 1U}) {
    net.nodes[i].store.packs[address] = bytes;
    net.nodes[i].store.save(fake::feed(works, "a"), "pack " + address.hex() + " 0");
  }
  return net;
}

}  // namespace

TEST_CASE("sync: entries and packs pass, and then all is quiet") {
  Net net = pair_of_nodes();
  for (int i = 0; i < 5; ++i) net.nodes[0].store.save_pack(fake::feed(works, "a"), fake::pack_bytes(i, 200'000 + static_cast<std::size_t>(i) * 70'000));
  net.nodes[1].store.save(fake::feed(works, "b"), "nothing");
  net.link(0, 1);
  CHECK(net.run(5'000, [&] { return net.nodes[1].store.packs.size() == 5 && net.in_step(0, 1); }));
  CHECK(net.same_feeds(0, 1, works));
  CHECK(net.nodes[1].kept == 5);
  CHECK(net.refused(0, 1) + net.refused(1, 0) == 0);
  net.run(2'000);
  const std::uint64_t before = net.messages_sent;
  net.run(300'000);
  CHECK(net.messages_sent - before <= 22);
}

TEST_CASE("sync: a small save is passed on at once, in one question and one answer") {
  Net net = pair_of_nodes();
  for (int i = 0; i < 300; ++i) {
    net.nodes[0].store.save(fake::feed(works, "a", i), "old");
    net.nodes[1].store.save(fake::feed(works, "a", i), "old");
  }
  net.link(0, 1);
  net.run(10'000);
  REQUIRE(net.in_step(0, 1));
  const auto bytes = net.bytes_sent;
  const std::uint64_t before = net.messages_sent;
  net.nodes[0].store.save_pack(fake::feed(works, "a", 7), fake::pack_bytes(1, 4'000));
  net.changed(0, works);
  const std::int64_t start_ms = net.now_ms;
  CHECK(net.run(1'000, [&] { return net.nodes[1].store.packs.size() == 1; }));
  CHECK(net.now_ms - start_ms <= 5 * net.latency_ms + net.durable_ms);  // news, question, answer, slice wanted, slice given
  CHECK(net.run(2'000, [&] { return net.in_step(0, 1); }));
  CHECK(net.messages_sent - before <= 10);
  CHECK(net.bytes_sent[{0, 1}] - bytes.at({0, 1}) < 4'000 + 1'500);
  CHECK(net.bytes_sent[{1, 0}] - bytes.at({1, 0}) < 1'000);
}

TEST_CASE("sync: many saves in a row are told together") {
  Net net = pair_of_nodes();
  net.link(0, 1);
  net.run(1'000);
  const std::uint64_t before = net.messages_sent;
  for (int i = 0; i < 200; ++i) {
    net.nodes[0].store.save(fake::feed(works, "a"), "save " + std::to_string(i));
    net.changed(0, works);
    net.run(2);
  }
  CHECK(net.run(5'000, [&] { return net.in_step(0, 1) && net.same_feeds(0, 1, works); }));
  CHECK(net.messages_sent - before < 120);  // 400 ms of saves: eight times news, state, question, answer, and the states back
}

TEST_CASE("sync: a reconnect after one change among 300 feeds costs by that change") {
  Net net = pair_of_nodes();
  for (int i = 0; i < 300; ++i) {
    net.nodes[0].store.save(fake::feed(works, "a", i), "old");
    net.nodes[1].store.save(fake::feed(works, "a", i), "old");
  }
  net.link(0, 1);
  net.run(10'000);
  net.cut(0, 1);
  net.nodes[0].store.save(fake::feed(works, "a", 3), "new");
  net.changed(0, works);
  net.nodes[1].store.save(fake::feed(works, "b"), "new");
  net.changed(1, works);
  const auto bytes = net.bytes_sent;
  net.link(0, 1);
  CHECK(net.run(5'000, [&] { return net.same_feeds(0, 1, works) && net.in_step(0, 1); }));
  CHECK(net.bytes_sent[{0, 1}] - bytes.at({0, 1}) < 6'000);
  CHECK(net.bytes_sent[{1, 0}] - bytes.at({1, 0}) < 6'000);
}

TEST_CASE("sync: more entries than one answer holds come in several, from where the last one ended") {
  Net net = pair_of_nodes();
  for (int i = 0; i < 3'000; ++i) net.nodes[0].store.save(fake::feed(works, "a"), std::string(500, 'x') + std::to_string(i));
  net.link(0, 1);
  CHECK(net.run(20'000, [&] { return net.same_feeds(0, 1, works); }));
  CHECK(net.nodes[1].store.calls["accept_entries"] <= 7);
}

TEST_CASE("sync: more feeds than one answer names come in several rounds") {
  Net net = pair_of_nodes();
  for (int i = 0; i < 9'000; ++i) net.nodes[0].store.save(fake::feed(works, "a", i), "x");
  net.latency_ms = 1;
  net.link(0, 1);
  for (int i = 0; i < 100 && net.nodes[1].store.logs.size() < 9'000; ++i) net.run(1'000);
  CHECK(net.same_feeds(0, 1, works));
}

TEST_CASE("sync: both lines of a forked feed reach everybody, and the fork is said") {
  Net net(3);
  net.all_know();
  net.share(works, {0, 1, 2});
  const FeedId feed = fake::feed(works, "a");
  for (std::size_t i = 0; i < 2; ++i) {
    net.nodes[i].store.save(feed, "first");
    net.nodes[i].store.save(feed, "second of " + std::to_string(i));
    for (std::size_t more = 0; more < i * 3; ++more) net.nodes[i].store.save(feed, "more");
  }
  net.link(0, 1);
  net.link(1, 2);
  CHECK(net.run(60'000, [&] { return net.same_feeds(0, 1, works) && net.same_feeds(1, 2, works) && net.nodes[2].store.feeds(works).size() == 2; }));
  net.run(5'000);
  for (const Net::Node& node : net.nodes) CHECK(node.forks.size() == 1);
  const std::uint64_t before = net.messages_sent;
  net.run(300'000);
  CHECK(net.messages_sent - before <= 44);
}

TEST_CASE("sync: a transfer that a lost link ended goes on where it was") {
  Net net = pair_of_nodes();
  net.nodes[0].store.save_pack(fake::feed(works, "a"), fake::pack_bytes(1, 4U << 20));
  net.bytes_per_second = 400'000;
  net.link(0, 1);
  net.run(6'000);
  net.cut(0, 1);
  CHECK(net.nodes[1].store.packs.empty());
  const std::uint64_t before = net.bytes_sent[{0, 1}];
  CHECK(before > 1'500'000);
  net.run(60'000);
  net.link(0, 1);
  CHECK(net.run(60'000, [&] { return net.nodes[1].store.packs.size() == 1; }));
  CHECK(net.bytes_sent[{0, 1}] < (4U << 20) + 700'000);
}

TEST_CASE("sync: on a slow line no more is on its way than it carries in seconds") {
  Net net = pair_of_nodes();
  for (int i = 0; i < 8; ++i) net.nodes[0].store.save_pack(fake::feed(works, "a"), fake::pack_bytes(i, 1U << 20));
  net.bytes_per_second = 20'000;
  net.link(0, 1);
  net.run(120'000);
  net.nodes[0].store.save(fake::feed(works, "b"), "urgent");
  net.changed(0, works);
  const std::int64_t start_ms = net.now_ms;
  CHECK(net.run(60'000, [&] { return net.nodes[1].store.feeds(works).size() == 2; }));
  CHECK(net.now_ms - start_ms < 15'000);
  CHECK(net.run(600'000, [&] { return net.nodes[1].store.packs.size() == 8; }));
  CHECK(net.bytes_sent[{0, 1}] < (8U << 20) + 600'000);
}

TEST_CASE("sync: whatever is lost on the way, what is missing comes") {
  for (const std::uint32_t seed : {1U, 2U, 3U, 4U}) {
    CAPTURE(seed);
    Net net(3);
    net.all_know();
    net.share(works, {0, 1, 2});
    std::uint32_t x = seed * 2654435761U;
    net.passes = [&](fake::Parcel&) {
      x ^= x << 13;
      x ^= x >> 17;
      x ^= x << 5;
      return x % 100 >= 15;
    };
    for (std::size_t i = 0; i < 20; ++i)
      net.nodes[i % 3].store.save_pack(fake::feed(works, "a" + std::to_string(i % 3)), fake::pack_bytes(static_cast<int>(i), 150'000));
    net.nodes[0].store.documents["freshness"] = 9;
    net.nodes[1].store.say(works, "node 1", "receipt", 4, "mine");
    net.link(0, 1);
    net.link(1, 2);
    net.link(0, 2);
    CHECK(net.run(1'800'000, [&] {
      return std::ranges::all_of(net.nodes, [](const Net::Node& node) {
        return node.store.packs.size() == 20 && node.store.said.size() == 1 && node.store.documents.at("freshness") == 9;
      });
    }));
  }
}

TEST_CASE("sync: what the transport refuses is sent again") {
  Net net = pair_of_nodes();
  net.nodes[0].store.save_pack(fake::feed(works, "a"), fake::pack_bytes(1, 300'000));
  int refusals = 0;
  std::vector<std::pair<std::size_t, SendRefused>> refused;
  net.passes = [&](fake::Parcel& message) {
    ++refusals;
    if (refusals % 3 != 0 || refusals > 60) return true;
    refused.emplace_back(message.from, SendRefused{net.nodes[message.to].id, message.channel});
    return false;
  };
  net.link(0, 1);
  for (int i = 0; i < 3'000 && net.nodes[1].store.packs.empty(); ++i) {
    net.run(10);
    for (const auto& [node, what] : std::exchange(refused, {})) net.give(node, what);
  }
  CHECK(net.nodes[1].store.packs.size() == 1);
  CHECK(net.now_ms < 31'000);
}

TEST_CASE("sync: several peers share the load of packs, and one that has none is passed over") {
  Net net(4);
  net.all_know();
  net.share(works, {0, 1, 2, 3});
  for (int i = 0; i < 40; ++i) {
    const Bytes bytes = fake::pack_bytes(i, 500'000);
    net.nodes[0].store.save_pack(fake::feed(works, "a"), bytes);
    net.nodes[1].store.packs[crypto::sha256(bytes)] = bytes;
  }
  net.nodes[1].store.logs = net.nodes[0].store.logs;
  net.nodes[2].store.logs = net.nodes[0].store.logs;
  for (const Bytes& entry : net.nodes[0].store.logs.begin()->second.front().entries) {
    net.nodes[1].store.note(works, std::string(text_of(entry)));
    net.nodes[2].store.note(works, std::string(text_of(entry)));
  }
  net.bytes_per_second = 2'000'000;
  for (const std::size_t i : {0U, 1U, 2U}) net.link(3, i);
  CHECK(net.run(60'000, [&] { return net.nodes[3].store.packs.size() == 40; }));
  CHECK(net.bytes_sent[{0, 3}] > 6'000'000);
  CHECK(net.bytes_sent[{1, 3}] > 6'000'000);
  CHECK(net.bytes_sent[{0, 3}] + net.bytes_sent[{1, 3}] < 22'000'000);
}

TEST_CASE("sync: what a peer does not give that has gone silent is asked of another who has nothing else to do, long before the silence ends") {
  Net net(3);
  net.all_know();
  net.share(works, {0, 1, 2});
  net.nodes[0].store.save(fake::feed(works, "a"), "pack " + crypto::sha256(fake::pack_bytes(1'000, 10)).hex() + " 900000");  // that nobody has
  for (const std::size_t i : {0U, 1U}) net.link(2, i);
  net.run(3'600'000);                                                 // it is asked for every five minutes by now
  net.passes = [&](const fake::Parcel& it) { return it.from != 1; };  // as over a line that takes a byte a second: it is up, and nothing comes
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < 6; ++i) net.nodes[0].store.save_pack(fake::feed(works, "a"), fake::pack_bytes(10 * round + i, 300'000));
    net.changed(0, works);
    const std::size_t all = 6 * (static_cast<std::size_t>(round) + 1);
    CHECK(net.run(6'000, [&] { return net.nodes[2].store.packs.size() == all; }));
  }
}

TEST_CASE("sync: two slow lines do not take packs from each other over and over") {
  Net net(3);
  net.all_know();
  net.share(works, {0, 1, 2});
  for (int i = 0; i < 6; ++i) {
    const Bytes bytes = fake::pack_bytes(i, 400'000);
    net.nodes[0].store.save_pack(fake::feed(works, "a"), bytes);
    net.nodes[1].store.packs[crypto::sha256(bytes)] = bytes;
  }
  net.nodes[1].store.logs = net.nodes[0].store.logs;
  for (const Bytes& entry : net.nodes[0].store.logs.begin()->second.front().entries) net.nodes[1].store.note(works, std::string(text_of(entry)));
  net.bytes_per_second = 8'000;  // eight seconds for each slice
  for (const std::size_t i : {0U, 1U}) net.link(2, i);
  CHECK(net.run(400'000, [&] { return net.nodes[2].store.packs.size() == 6; }));
  CHECK(net.bytes_sent[{0, 2}] + net.bytes_sent[{1, 2}] < 6 * 400'000 + 600'000);
}

TEST_CASE("sync: packs that nobody has hold up nothing, and are asked for ever more seldom") {
  Net net = pair_of_nodes();
  for (int i = 0; i < 300; ++i) net.nodes[0].store.save(fake::feed(works, "a"), "pack " + crypto::sha256(fake::pack_bytes(i, 10)).hex() + " 900000");
  net.nodes[0].store.save_pack(fake::feed(works, "b"), fake::pack_bytes(1'000, 900'000));
  net.link(0, 1);
  CHECK(net.run(20'000, [&] { return net.nodes[1].store.packs.size() == 1; }));
  net.run(3'600'000);
  const std::uint64_t before = net.messages_sent;
  net.run(600'000);
  CHECK(net.messages_sent - before < 300 * 4 * 3 + 100);  // question and answer, both ways, every five minutes
}

TEST_CASE("sync: a pack that is kept but not durable yet is not asked for again") {
  Net net = pair_of_nodes();
  net.nodes[0].store.save_pack(fake::feed(works, "a"), fake::pack_bytes(1, 100'000));
  net.nodes[1].keeps = false;
  net.link(0, 1);
  net.run(60'000);
  CHECK(net.nodes[1].kept == 1);
  CHECK(net.nodes[1].sync->packs_in_flight() == 1);
  net.nodes[1].store.lacking.clear();
  net.give(1, PacksDurable{{{works, ObjectKind::pack, net.nodes[0].store.packs.begin()->first}}});
  CHECK(net.nodes[1].sync->packs_in_flight() == 0);
}

TEST_CASE("sync: who gives other bytes is found out, and the pack comes from another") {
  Net net(3);
  net.all_know();
  net.share(works, {0, 1, 2});
  for (const std::size_t i : {0U, 1U}) {
    for (int pack = 0; pack < 6; ++pack) net.nodes[i].store.save_pack(fake::feed(works, "a"), fake::pack_bytes(pack, 200'000));
  }
  net.passes = [&](fake::Parcel& message) {
    if (message.from == 0 && message.channel == Channel::bulk && message.bytes.size() > 1'000) message.bytes[message.bytes.size() / 2] ^= 1;
    return true;
  };
  net.link(2, 0);
  net.link(2, 1);
  CHECK(net.run(60'000, [&] { return net.nodes[2].store.packs.size() == 6; }));
  CHECK(net.refused(2, 0) >= 1);
  CHECK(net.refused(2, 1) == 0);
}

TEST_CASE("sync: a lie that another peer's true slices completed is not laid at that peer's door") {
  Net net(3);
  net.all_know();
  net.share(works, {0, 1, 2});
  for (const std::size_t i : {0U, 1U}) net.nodes[i].store.save_pack(fake::feed(works, "a"), fake::pack_bytes(1, 3U << 20));
  net.passes = [&](fake::Parcel& message) {
    if (message.from == 0 && message.channel == Channel::bulk && message.bytes.size() > 1'000) message.bytes[message.bytes.size() / 2] ^= 1;
    return true;
  };
  net.bytes_per_second = 200'000;
  net.link(2, 0);
  net.run(5'000);
  net.cut(2, 0);
  net.link(2, 1);
  CHECK(net.run(60'000, [&] { return net.nodes[2].store.packs.size() == 1; }));
  CHECK(net.refused(2, 1) == 0);
}

TEST_CASE("sync: entries wait for their lists of packs") {
  Net net = pair_of_nodes();
  std::string lines;
  for (int i = 0; i < 3'000; ++i) lines += "pack " + crypto::sha256(fake::pack_bytes(i, 8)).hex() + " 8\n";
  for (int i = 0; i < 3'000; ++i) net.nodes[0].store.packs[crypto::sha256(fake::pack_bytes(i, 8))] = fake::pack_bytes(i, 8);
  const Digest list = crypto::sha256(view_of(lines));
  net.nodes[0].store.lists[list] = bytes_of(lines);
  net.nodes[0].store.save(fake::feed(works, "a"), "list " + list.hex());
  net.nodes[0].store.save(fake::feed(works, "a"), "after it");
  net.link(0, 1);
  CHECK(net.run(60'000, [&] { return net.same_feeds(0, 1, works) && net.nodes[1].store.packs.size() == 3'000; }));
  CHECK(net.nodes[1].store.lists.contains(list));
}

TEST_CASE("sync: entries whose policy is not here wait for it, and the documents come first") {
  Net net = pair_of_nodes();
  net.nodes[0].store.documents = {{"root", 4}, {"snapshot", 7}, {"freshness", 100}};
  net.nodes[0].store.suspended = {"officer"};
  net.nodes[0].store.save(fake::feed(works, "a"), "policy 7");
  net.link(0, 1);
  CHECK(net.run(10'000, [&] { return net.same_feeds(0, 1, works) && net.in_step(0, 1); }));
  CHECK(net.nodes[1].store.documents == net.nodes[0].store.documents);
  CHECK(net.nodes[1].store.suspended == net.nodes[0].store.suspended);
}

TEST_CASE("sync: a document that one peer has not is asked of the next") {
  Net net(3);
  net.all_know();
  net.nodes[2].store.policy_needed = 5;
  net.nodes[1].store.documents["snapshot"] = 6;
  net.link(0, 2);
  net.link(1, 2);
  CHECK(net.run(5'000, [&] { return net.nodes[2].store.documents["snapshot"] == 5; }));
  net.nodes[2].store.policy_needed = 99;
  net.changed(2);
  net.run(60'000);
  const int before = net.nodes[2].store.calls["wants"];
  const std::uint64_t messages = net.messages_sent;
  net.run(600'000);
  CHECK(net.messages_sent - messages < 180);
  CHECK(net.nodes[2].store.calls["wants"] - before < 200);
}

TEST_CASE("sync: documents that cannot be kept are asked for ever more seldom, and come when they can be") {
  Net net(2);
  net.all_know();
  for (const char* name : {"root", "freshness", "snapshot"}) net.nodes[0].store.documents[name] = 2;
  for (const char* name : {"root", "freshness", "snapshot"}) net.nodes[1].store.documents[name] = 1;
  net.nodes[1].store.policy_needed = 2;
  net.nodes[1].store.full = true;
  net.link(0, 1);
  net.run(600'000);
  CHECK(net.nodes[1].store.documents["snapshot"] == 1);
  CHECK(net.messages_sent < 400);
  net.nodes[1].store.full = false;
  net.run(1'200'000);
  CHECK(net.nodes[1].store.documents["root"] == 2);
  CHECK(net.nodes[1].store.documents["snapshot"] == 2);
}

TEST_CASE("sync: a suspension that could not be kept is asked for again, and not at once") {
  Net net(2);
  net.all_know();
  net.nodes[0].store.suspended.insert("sapporo");
  net.nodes[1].store.full = true;
  net.link(0, 1);
  net.run(600'000);
  CHECK(net.messages_sent < 400);
  net.nodes[1].store.full = false;
  net.run(120'000);
  CHECK(net.nodes[1].store.suspended.contains("sapporo"));
}

TEST_CASE("sync: an answer with documents ends when it is full, and nothing is asked twice in one question") {
  Net net(2);
  net.all_know();
  net.link(0, 1);
  net.run(1'000);
  fake::Store& store = net.nodes[0].store;
  store.document_bytes = document_bytes_most;
  DocumentsWanted wanted;
  for (std::uint64_t version = 1; version <= documents_most; ++version) wanted.wants.push_back({"snapshot", version, false, {}});
  store.documents["snapshot"] = documents_most;
  store.calls["document"] = 0;
  net.send_as(1, 0, Channel::control, encode(wanted));
  net.run(100);
  CHECK(store.calls["document"] == 2);  // one that fits, and one that does not
  store.calls["document"] = 0;
  const std::uint64_t refused = net.nodes[0].sync->peers().at(net.nodes[1].id).refused;
  net.send_as(1, 0, Channel::control, encode(DocumentsWanted{std::vector<DocumentWant>(2, {"snapshot", 1, false, {}}), false}));
  net.run(100);
  CHECK(store.calls["document"] == 0);
  CHECK(net.nodes[0].sync->peers().at(net.nodes[1].id).refused == refused + 1);
}

namespace {
Bytes large_document(std::uint8_t first, std::size_t bytes) {
  Bytes out(bytes);
  for (std::size_t i = 0; i < bytes; ++i) out[i] = static_cast<std::uint8_t>(first + i * 7 + i / 251);
  return out;
}
}  // namespace

TEST_CASE("sync: documents larger than a message come in parts, several of them, and go on from another peer where one falls silent") {
  Net net(3);
  net.all_know();
  std::set<Digest> wanted;
  for (std::uint8_t i = 0; i < 3; ++i) {
    const Bytes it = large_document(i, (std::size_t{5} << 20) + i);
    wanted.insert(crypto::sha256(it));
    for (std::size_t node : {0U, 1U}) net.nodes[node].store.large.emplace(crypto::sha256(it), it);
  }
  net.nodes[2].store.large_wanted = wanted;
  net.link(0, 2);
  const auto have = [&] { return net.nodes[2].store.large.size(); };
  CHECK(net.run(60'000, [&] { return have() == 1; }));
  net.cut(0, 2);
  net.link(1, 2);
  CHECK(net.run(120'000, [&] { return have() == 3; }));
  CHECK(net.nodes[2].store.large == net.nodes[0].store.large);
  for (const auto& node : net.nodes)
    for (const auto& [id, peer] : node.sync->peers()) CHECK(peer.refused == 0);
}

TEST_CASE("sync: parts that nobody asked for, or that lie, bring nothing, and the document comes from who has it") {
  Net net(3);
  net.all_know();
  const Bytes good = large_document(1, 3U << 20);
  const Digest hash = crypto::sha256(good);
  net.nodes[2].store.large_wanted = {hash};
  net.link(1, 2);
  net.run(1'000);  // asked of one that has it not
  const auto refused = [&] { return net.nodes[2].sync->peers().at(net.nodes[1].id).refused; };
  const auto give = [&](const DocumentPart& part) {
    net.send_as(1, 2, Channel::control, encode(DocumentsGiven{{}, {part}}));
    net.run(50);
  };
  // Nobody asks it now: it said that it has nothing.
  give({hash, 3U << 20, 0, Bytes(512U << 10, 9)});
  CHECK(refused() == 0);
  net.nodes[1].store.large.emplace(hash, Bytes(3U << 20, 9));  // it lies: other bytes under that hash
  CHECK(net.run(120'000, [&] { return refused() > 0; }));
  CHECK(net.nodes[2].store.large.empty());
  net.nodes[1].store.large.clear();
  net.nodes[0].store.large.emplace(hash, good);
  net.link(0, 2);
  CHECK(net.run(300'000, [&] { return net.nodes[2].store.large.contains(hash); }));
  CHECK(net.nodes[2].store.large.at(hash) == good);
}

TEST_CASE("sync: a suspension by a key of a root that is not here yet comes with that root, and holds up nothing") {
  Net net(2);
  net.all_know();
  net.nodes[0].store.documents["root"] = 2;
  net.nodes[0].store.suspended.insert("sapporo");
  net.nodes[1].store.suspensions_root = 2;
  net.link(0, 1);
  net.run(5'000);
  CHECK(net.nodes[1].store.documents["root"] == 2);
  CHECK(net.nodes[1].store.suspended.contains("sapporo"));
}

TEST_CASE("sync: of documents that a peer gives nothing is looked at after one that is forged") {
  Net net(2);
  net.all_know();
  net.link(0, 1);
  net.run(1'000);
  net.send_as(1, 0, Channel::control, encode(DocumentsGiven{{bytes_of("document root 2"), bytes_of("forged"), bytes_of("document snapshot 8")}}));
  net.run(100);
  CHECK(net.nodes[0].store.documents["root"] == 2);
  CHECK(net.nodes[0].store.documents["snapshot"] == 1);
}

TEST_CASE("sync: who gives entries that are refused is not asked for them again for long") {
  Net net(3);
  net.all_know();
  net.share(works, {0, 1, 2});
  net.nodes[0].store.save(fake::feed(works, "a"), "lie");
  net.nodes[0].store.save(fake::feed(works, "b"), "true");
  net.link(0, 1);
  CHECK(net.run(5'000, [&] { return !net.nodes[1].store.feeds(works).empty(); }));
  net.run(500'000);
  CHECK(net.refused(1, 0) == 1);
  CHECK(net.nodes[1].store.calls["accept_entries"] == 2);
}

TEST_CASE("sync: who answers with entries of a policy that nobody has does not keep another\'s true ones out") {
  Net net(3);
  net.all_know();
  net.share(works, {0, 1, 2});
  for (const std::size_t i : {0U, 1U}) net.nodes[i].store.save(fake::feed(works, "a"), "true");
  net.passes = [&](fake::Parcel& message) {
    auto decoded = decode(message.bytes, control_bytes_most);
    auto* given = decoded && message.from == 0 ? std::get_if<EntriesGiven>(&*decoded) : nullptr;
    if (given != nullptr && !given->entries.empty()) {
      given->entries[0] = bytes_of("policy 99");
      message.bytes = encode(*given);
    }
    return true;
  };
  net.link(2, 0);
  net.run(200);
  CHECK(net.nodes[2].store.feeds(works).empty());
  net.link(2, 1);
  CHECK(net.run(3'000, [&] { return net.same_feeds(1, 2, works); }));
}

TEST_CASE("sync: a pack of which a false size was told first comes all the same, and nobody is blamed") {
  Net net = pair_of_nodes();
  const Bytes bytes = fake::pack_bytes(1, 700'000);
  const Digest address = crypto::sha256(bytes);
  net.nodes[0].store.packs[address] = bytes;
  net.nodes[0].store.save(fake::feed(works, "a"), "pack " + address.hex() + " 600");
  net.link(0, 1);
  net.run(5'000);
  CHECK(net.nodes[1].store.packs.empty());
  SUBCASE("then it is not known") { net.nodes[0].store.save(fake::feed(works, "b"), "pack " + address.hex() + " 0"); }
  SUBCASE("then the true one") { net.nodes[0].store.save(fake::feed(works, "b"), "pack " + address.hex() + " 700000"); }
  net.changed(0, works);
  CHECK(net.run(5'000, [&] { return net.nodes[1].store.packs.size() == 1; }));
  CHECK(net.refused(1, 0) == 0);
}

TEST_CASE("sync: of a pack whose size is not known, who names a false one keeps it from nobody") {
  Net net = three_with_a_pack_of_no_known_size();
  net.passes = [&](fake::Parcel& message) {
    auto decoded = message.from == 0 ? decode(message.bytes, bulk_bytes_most) : fail(Fault::denied, "");
    auto* given = decoded ? std::get_if<SliceGiven>(&*decoded) : nullptr;
    if (given != nullptr) {
      given->size_bytes = 900'000;
      message.bytes = encode(*given);
    }
    return true;
  };
  net.link(2, 0);
  net.link(2, 1);
  CHECK(net.run(120'000, [&] { return net.nodes[2].store.packs.size() == 1; }));
  CHECK(net.refused(2, 1) == 0);
}

TEST_CASE("sync: who says a false size and then nothing, again and again, brings no blame on who says the true one") {
  Net net = three_with_a_pack_of_no_known_size();
  net.passes = [&](fake::Parcel& message) {
    auto decoded = message.from == 0 ? decode(message.bytes, bulk_bytes_most) : fail(Fault::denied, "");
    auto* given = decoded ? std::get_if<SliceGiven>(&*decoded) : nullptr;
    if (given == nullptr) return true;
    if (given->offset > 0) return false;
    given->size_bytes = 900'000;
    message.bytes = encode(*given);
    return true;
  };
  net.link(2, 0);
  net.run(1'000);
  net.link(2, 1);
  CHECK(net.run(180'000, [&] { return net.nodes[2].store.packs.size() == 1; }));
  CHECK(net.refused(2, 1) == 0);
}

TEST_CASE("sync: bytes that are what was asked for and not what entries say are no fault of their giver, and are not asked for again") {
  Net net = pair_of_nodes();
  net.nodes[0].store.save_pack(fake::feed(works, "a"), bytes_of("denied" + std::string(1'000, 'x')));
  net.link(0, 1);
  net.run(5'000);
  CHECK(net.nodes[1].store.packs.empty());
  CHECK(net.refused(1, 0) == 0);
  const std::uint64_t before = net.messages_sent;
  net.run(600'000);
  CHECK(net.messages_sent - before < 60);
}

TEST_CASE("sync: of thousands of packs that nobody has some are given up for now, and what somebody has comes") {
  Net net = pair_of_nodes();
  for (int i = 0; i < 3'000; ++i) net.nodes[0].store.save(fake::feed(works, "a"), "pack " + crypto::sha256(fake::pack_bytes(i, 10)).hex() + " 900000");
  net.link(0, 1);
  net.run(300);
  for (int i = 0; i < 20; ++i) net.nodes[0].store.save_pack(fake::feed(works, "b"), fake::pack_bytes(10'000 + i, 50'000));
  net.changed(0, works);
  CHECK(net.run(60'000, [&] { return net.nodes[1].store.packs.size() == 20; }));
  net.run(60'000);
  CHECK(net.nodes[1].store.off.size() >= 2'000);
  CHECK(net.nodes[1].sync->packs_in_flight() <= Fetch::aside_most + Fetch::objects_most);
}

TEST_CASE("sync: statements pass, the newest of each, and a refused one is not believed") {
  Net net = pair_of_nodes();
  for (int i = 0; i < 200; ++i) net.nodes[0].store.say(works, "node 0", "subject " + std::to_string(i), 3, "three");
  net.nodes[1].store.say(works, "node 0", "subject 5", 9, "nine");
  net.nodes[1].store.say(works, "node 1", "receipt", 1, "one");
  net.link(0, 1);
  CHECK(net.run(5'000, [&] { return net.in_step(0, 1); }));
  CHECK(net.nodes[0].store.said.size() == 201);
  CHECK(net.nodes[1].store.said.size() == 201);
  CHECK(net.nodes[0].store.said.at({works, fake::id_of<NodeId>("node 0"), "subject 5"}).number == 9);
  net.nodes[0].store.say(works, "node 0", "receipt", 2, "lie");
  net.nodes[1].store.say(works, "node 1", "receipt", 2, "two");
  const std::uint64_t before = net.messages_sent;
  net.changed(0, works);
  net.changed(1, works);
  net.run(1'000);
  CHECK(net.nodes[0].store.said.at({works, fake::id_of<NodeId>("node 1"), "receipt"}).number == 2);
  CHECK(net.nodes[1].store.said.size() == 201);
  CHECK(net.refused(1, 0) >= 1);
  CHECK(net.messages_sent - before < 40);
}

TEST_CASE("sync: more statements than one answer names come in several") {
  Net net = pair_of_nodes();
  for (int i = 0; i < 9'000; ++i) net.nodes[0].store.say(works, "node 0", "subject " + std::to_string(i), 1, "x");
  net.latency_ms = 1;
  net.link(0, 1);
  CHECK(net.run(300'000, [&] { return net.nodes[1].store.said.size() == 9'000; }));
}

// ---- who learns what ---------------------------------------------------------------------------------------------------

namespace {

bool contains(const Bytes& bytes, ByteView what) { return !std::ranges::search(bytes, what).empty(); }

/// A node 0 that holds two libraries, of which its peer 1 shares one, or none.
Net guarded(bool shares_one) {
  Net net(2);
  net.all_know();
  net.remembers = true;
  const LibraryId secret = fake::library(9);
  net.nodes[0].store.shared[net.nodes[1].id];
  if (shares_one) net.share(works, {0, 1});
  net.nodes[1].store.shared[net.nodes[0].id] = {works, secret};  // it takes itself for a holder
  for (const LibraryId& of : {works, secret}) {
    net.nodes[0].store.save_pack(fake::feed(of, "a"), fake::pack_bytes(of == works ? 1 : 2, 100'000));
    net.nodes[0].store.say(of, "node 0", "receipt", 1, "said of " + of.hex());
  }
  net.link(0, 1);
  return net;
}

}  // namespace

TEST_CASE("sync: a peer that does not share a library learns nothing of it, whatever it asks") {
  for (const bool shares_one : {false, true}) {
    Net net = guarded(shares_one);
    const LibraryId secret = fake::library(9);
    net.run(5'000);
    const Bytes pack = fake::pack_bytes(2, 100'000);
    const FeedPoint point = net.nodes[0].store.feeds(secret).at(0);
    const std::uint64_t refused = net.refused(0, 1);
    const std::size_t before = net.sent.size();
    net.send_as(1, 0, Channel::control, encode(LibraryStates{{{secret, {}, {}}}, false}));
    LibraryWanted wanted{secret, {}, true, true, {}, {}};
    wanted.buckets.fill(1);
    net.send_as(1, 0, Channel::control, encode(wanted));
    net.send_as(1, 0, Channel::control, encode(EntriesWanted{point, {1}}));
    net.send_as(1, 0, Channel::control, encode(StatementWanted{secret, net.nodes[0].id, "receipt"}));
    net.send_as(1, 0, Channel::bulk, encode(SliceWanted{{secret, ObjectKind::pack, crypto::sha256(pack)}, 0}));
    // Nor is it believed anything about it.
    net.send_as(1, 0, Channel::control, encode(FeedHeads{secret, {{fake::feed(secret, "z"), {3}, {}}}}));
    net.send_as(1, 0, Channel::control, encode(EntriesGiven{point, {2}, {bytes_of("x")}, "", {}}));
    net.send_as(1, 0, Channel::control, encode(StatementMarks{secret, {{net.nodes[1].id, "receipt", 3}}, false}));
    net.send_as(1, 0, Channel::control, encode(StatementGiven{secret, net.nodes[1].id, "receipt", 3, bytes_of("x")}));
    net.send_as(1, 0, Channel::bulk, encode(SliceGiven{{secret, ObjectKind::pack, {}}, 0, 1, bytes_of("x")}));
    net.send_as(1, 0, Channel::bulk, encode(ObjectUnavailable{{secret, ObjectKind::pack, {}}}));
    CHECK(net.refused(0, 1) - refused == 10);  // all but LibraryStates, which may name libraries that this node does not share
    CHECK(std::none_of(net.sent.begin() + static_cast<std::ptrdiff_t>(before), net.sent.end(), [](const fake::Parcel& sent) { return sent.from == 0; }));
    net.changed(0);
    net.nodes[0].store.save(fake::feed(secret, "a"), "more");
    net.changed(0, secret);
    net.run(100'000);
    CHECK(net.nodes[1].store.packs.size() == (shares_one ? 1U : 0U));
    CHECK(net.nodes[0].store.feeds(secret).size() == 1);
    for (const fake::Parcel& sent : net.sent) {
      if (sent.from != 0) continue;
      CHECK(!contains(sent.bytes, secret.view()));
      CHECK(!contains(sent.bytes, point.root.view()));
      CHECK(!contains(sent.bytes, ByteView(pack).first(16)));
    }
  }
}

TEST_CASE("sync: a peer whom the policy does not know is told nothing at all") {
  Net net = guarded(false);
  net.nodes[0].store.known.clear();
  net.sent.clear();
  net.nodes[0].store.documents["freshness"] = 50;
  net.changed(0);
  net.send_as(1, 0, Channel::control, encode(DocumentsWanted{{{"root", 1, false, {}}}, true}));
  net.send_as(1, 0, Channel::control, encode(DocumentsGiven{{bytes_of("document root 7")}}));
  net.send_as(1, 0, Channel::control, encode(State{fake::id_of<RealmId>("realm"), {}, {}}));
  net.run(100'000);
  CHECK(net.nodes[0].store.documents["root"] == 1);
  CHECK(std::ranges::none_of(net.sent, [](const fake::Parcel& sent) { return sent.from == 0; }));
}

TEST_CASE("sync: rights that end stop a transfer, in both directions") {
  Net net = pair_of_nodes();
  net.nodes[0].store.save_pack(fake::feed(works, "a"), fake::pack_bytes(1, 4U << 20));
  net.bytes_per_second = 200'000;
  net.link(0, 1);
  net.run(4'000);
  net.nodes[0].store.shared.clear();
  net.changed(0);
  const std::uint64_t before = net.bytes_sent[{0, 1}];
  net.run(60'000);
  CHECK(net.bytes_sent[{0, 1}] - before < 5'000);
  net.nodes[1].store.shared.clear();
  net.changed(1);
  const std::uint64_t asked = net.bytes_sent[{1, 0}];
  net.run(60'000);
  CHECK(net.bytes_sent[{1, 0}] - asked < 2'000);
}

TEST_CASE("sync: a stranger is answered with versions alone, and only after a document of this realm") {
  Net net(1);
  Net::Node& node = net.nodes[0];
  const auto push = [&](const Bytes& bytes) {
    node.answers.clear();
    net.give(0, ReceivedFromStranger{bytes_of("token"), bytes});
    return node.answers;
  };
  CHECK(push(bytes_of("noise")).empty());
  CHECK(push({}).empty());
  CHECK(push(Sync::introduction({})).empty());
  CHECK(push(Sync::introduction({bytes_of("forged")})).empty());
  for (const Message& message : {Message(State{fake::id_of<RealmId>("realm"), {}, {}}), Message(DocumentsWanted{{{"root", 1, false, {}}}, true}),
                                 Message(SliceWanted{}), Message(Versions{})}) {
    CHECK(push(encode(message)).empty());
  }
  // What follows a forged one is not looked at, nor is more than a stranger may give at a time.
  CHECK(push(Sync::introduction({bytes_of("forged"), bytes_of("document snapshot 8")})).empty());
  CHECK(node.store.documents["snapshot"] == 1);
  std::vector<Bytes> many(strangers_documents_most, bytes_of("document snapshot 7"));
  many.push_back(bytes_of("document snapshot 9"));
  CHECK(push(encode(DocumentsGiven{many})).size() == 1);
  CHECK(node.store.documents["snapshot"] == 7);
  const auto answers = push(Sync::introduction({bytes_of("document snapshot 8"), bytes_of("forged")}));
  REQUIRE(answers.size() == 1);
  const Versions versions = Sync::read_answer(answers[0]).value();
  CHECK((versions.root == 1 && versions.policy == 8 && versions.freshness == 1 && versions.realm == node.store.realm()));
  CHECK(!Sync::read_answer(encode(State{})));
  CHECK(!Sync::read_answer({}));
}

TEST_CASE("sync: an introduction takes what fits, most important first") {
  const Bytes large(200U << 10, 1), larger(100U << 10, 2), small(1U << 10, 3);
  const auto given = std::get<DocumentsGiven>(*decode(Sync::introduction({large, larger, small}), introduction_bytes_most));
  CHECK(given.envelopes == std::vector<Bytes>{large, small});
}

TEST_CASE("sync: what breaks the format or comes over the wrong channel is counted, and changes nothing") {
  Net net = pair_of_nodes();
  net.nodes[0].store.save_pack(fake::feed(works, "a"), fake::pack_bytes(1, 1'000));
  net.link(0, 1);
  net.run(5'000);
  const ObjectId pack{works, ObjectKind::pack, net.nodes[0].store.packs.begin()->first};
  const FeedPoint point = net.nodes[0].store.feeds(works).at(0);
  FeedPoint elsewhere = point;
  elsewhere.feed.library = fake::library(9);
  const std::uint64_t sent = net.messages_sent;
  std::uint64_t expected = 0;
  const auto refused = [&](Channel channel, const Bytes& bytes) {
    net.send_as(1, 0, channel, bytes);
    CHECK(net.refused(0, 1) == ++expected);
  };
  refused(Channel::control, {});
  refused(Channel::control, bytes_of("noise"));
  refused(Channel::control, Bytes(control_bytes_most + 1, 1));
  refused(Channel::control, encode(SliceWanted{pack, 0}));
  refused(Channel::bulk, encode(EntriesWanted{point, {1}}));
  refused(Channel::bulk, encode(SliceWanted{pack, 100}));
  refused(Channel::control, encode(Versions{}));
  refused(Channel::control, encode(State{}));
  refused(Channel::control, encode(FeedHeads{works, {elsewhere}}));
  refused(Channel::control, encode(FeedHeads{works, {point, point}}));
  refused(Channel::control, encode(LibraryStates{{{works, {}, {}}, {works, {}, {}}}, false}));
  refused(Channel::control, encode(StatementMarks{works, {{{}, "b", 1}, {{}, "a", 1}}, false}));
  refused(Channel::control, encode(StatementMarks{works, {}, true}));
  refused(Channel::control, encode(DocumentsGiven{{bytes_of("forged")}}));
  CHECK(net.messages_sent == sent);
}

TEST_CASE("sync: answers that nobody asked for change nothing") {
  Net net = pair_of_nodes();
  net.link(0, 1);
  net.run(5'000);
  const std::uint64_t sent = net.messages_sent;
  const FeedPoint point{fake::feed(works, "z"), {1}, {}};
  net.send_as(1, 0, Channel::control, encode(EntriesGiven{point, {1}, {bytes_of("x")}, "", {}}));
  net.send_as(1, 0, Channel::control, encode(StatementGiven{works, net.nodes[1].id, "receipt", 3, bytes_of("x")}));
  net.send_as(1, 0, Channel::bulk, encode(SliceGiven{{works, ObjectKind::pack, {}}, 0, 1, bytes_of("x")}));
  net.send_as(1, 0, Channel::bulk, encode(ObjectUnavailable{{works, ObjectKind::pack, {}}}));
  CHECK(net.nodes[0].store.feeds(works).empty());
  CHECK(net.nodes[0].store.said.empty());
  CHECK(net.messages_sent == sent);
  CHECK(net.refused(0, 1) == 0);
}

TEST_CASE("sync: no changed byte of any message does harm") {
  Net original = pair_of_nodes();
  original.remembers = true;
  original.nodes[0].store.save_pack(fake::feed(works, "a"), fake::pack_bytes(1, 2'000));
  original.nodes[1].store.say(works, "node 1", "receipt", 1, "x");
  original.nodes[1].store.documents["freshness"] = 4;
  original.link(0, 1);
  original.run(3'000);
  std::uint32_t x = 12345;
  for (const fake::Parcel& sent : original.sent) {
    Net net = pair_of_nodes();
    net.nodes[0].store.save_pack(fake::feed(works, "a"), fake::pack_bytes(1, 2'000));
    net.link(0, 1);
    for (std::size_t at = 0; at < std::min<std::size_t>(sent.bytes.size(), 300); ++at) {
      Bytes changed = sent.bytes;
      x ^= x << 13;
      x ^= x >> 17;
      x ^= x << 5;
      changed[at] ^= static_cast<std::uint8_t>(1 + x % 255);
      net.send_as(sent.from, sent.to, sent.channel, changed);
      net.run(3);
    }
    net.run(120'000);
    CHECK(net.nodes[1].store.packs.size() == 1);
  }
}

TEST_CASE("sync: the same inputs at the same times give the same outputs") {
  const auto run = [] {
    Net net(3);
    net.all_know();
    net.share(works, {0, 1, 2});
    net.remembers = true;
    for (std::size_t i = 0; i < 10; ++i)
      net.nodes[i % 2].store.save_pack(fake::feed(works, "a" + std::to_string(i % 2)), fake::pack_bytes(static_cast<int>(i), 90'000));
    net.link(0, 1);
    net.link(1, 2);
    net.link(0, 2);
    net.run(20'000);
    Bytes all;
    for (const fake::Parcel& sent : net.sent) append(all, sent.bytes);
    return crypto::sha256(all);
  };
  CHECK(run() == run());
}

TEST_CASE("sync: however many packs are missing, all come without anything else happening") {
  for (const int count : {63, 64, 65, 127, 128, 129, 191, 192, 193, 400}) {
    CAPTURE(count);
    Net net = pair_of_nodes();
    for (int i = 0; i < count; ++i) net.nodes[0].store.save_pack(fake::feed(works, "a"), fake::pack_bytes(i, 3'000));
    net.link(0, 1);
    CHECK(net.run(20'000, [&] { return net.nodes[1].store.packs.size() == static_cast<std::size_t>(count); }));
  }
}
