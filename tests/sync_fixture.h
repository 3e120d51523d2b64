// Nodes that speak with each other through queues in virtual time: Sync as it is, over stores made of maps.
//
// A fake feed's root is a chain of hashes, and a batch's proof is the root after its last entry; an entry's bytes are lines: "pack HEX SIZE", "list HEX",
// "policy N". A forked feed has several lines.
// A fake document is the line "document NAME VERSION", authentic as it is.
#pragma once
#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <sstream>

#include "base/archive.h"
#include "crypto/hash.h"
#include "sync/sync.h"

namespace dozo::sync::fake {

template <class Id>
Id id_of(std::string_view text) {
  Id out;
  const Digest hash = crypto::sha256(view_of(text));
  std::memcpy(out.bytes.data(), hash.bytes.data(), Id::size);
  return out;
}
inline LibraryId library(int n) { return id_of<LibraryId>("library " + std::to_string(n)); }
inline FeedId feed(const LibraryId& library, const std::string& node, int incarnation = 1) {
  return {library, id_of<NodeId>(node), id_of<IncarnationId>(node + std::to_string(incarnation))};
}
inline Bytes pack_bytes(int n, std::size_t size) {
  Bytes out(size);
  std::uint32_t x = 2463534242U + static_cast<std::uint32_t>(n) * 7919U;
  for (std::uint8_t& byte : out) {
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    byte = static_cast<std::uint8_t>(x);
  }
  return out;
}

struct Feed {
  std::vector<Bytes> entries;
  std::vector<Digest> roots{Digest{}};
  void add(Bytes entry) {
    roots.push_back(crypto::sha256({roots.back().view(), entry}));
    entries.push_back(std::move(entry));
  }
};

class Store : public ObjectStore, public Authoriser {
 public:
  void note_refused(const NodeId&, const LibraryId&) override { ++refused; }
  std::uint64_t refused = 0;
  Digest policy_sha256;

  // ---- what the test puts in
  std::map<std::string, std::uint64_t> documents{{"root", 1}, {"snapshot", 1}, {"freshness", 1}};
  std::set<std::string> suspended;
  std::uint64_t suspensions_root = 0;  ///< they are by a key that older roots do not name
  std::map<FeedId, std::vector<Feed>> logs;
  std::set<std::pair<FeedPoint, Digest>> not_from;
  std::map<Digest, Bytes> packs, lists;
  std::map<std::tuple<LibraryId, NodeId, std::string>, StatementGiven> said;
  std::map<NodeId, std::set<LibraryId>> shared;
  std::set<NodeId> known;
  std::uint64_t policy_needed{};
  std::size_t document_bytes{};  ///< of each that is given; 0: as they are
  // ---- what the test looks at
  mutable std::map<std::string, int> calls;
  std::map<ObjectId, int> lacking;  ///< by entries, and not here; size
  std::set<ObjectId> off;           ///< put off

  void save(const FeedId& feed, const std::string& lines) {
    std::vector<Feed>& its = logs[feed];
    if (its.empty()) its.emplace_back();
    its.front().add(bytes_of(lines));
    note(feed.library, lines);
  }
  void save_pack(const FeedId& feed, const Bytes& bytes, const std::string& more = "") {
    const Digest address = crypto::sha256(bytes);
    packs[address] = bytes;
    save(feed, "pack " + address.hex() + " " + std::to_string(bytes.size()) + "\n" + more);
  }
  void note(const LibraryId& library, const std::string& lines) {
    std::istringstream in(lines);
    for (std::string word; in >> word;) {
      std::string hex;
      int size = 0;
      if (word == "pack") {
        in >> hex >> size;
        const Digest address = *Digest::parse(hex);
        order.push_back({library, ObjectKind::pack, address});
        if (!packs.contains(address)) lacking[{library, ObjectKind::pack, address}] = size;
        belongs.insert({library, ObjectKind::pack, address});
      } else if (word == "list") {
        in >> hex;
        belongs.insert({library, ObjectKind::list, *Digest::parse(hex)});
        note(library, std::string(text_of(lists.at(*Digest::parse(hex)))));
      } else {
        in >> hex;
      }
    }
  }

  // ---- ObjectStore
  RealmId realm() const override { return id_of<RealmId>("realm"); }
  DocumentVersions versions(Now) const override {
    std::string all;
    for (const std::string& one : suspended) all += one + "\n";
    return {documents.at("root"), documents.at("snapshot"), documents.at("freshness"), policy_sha256, crypto::sha256(view_of(all))};
  }
  std::vector<DocumentWant> wants() const override {
    ++calls["wants"];
    std::vector<DocumentWant> out{{"root", documents.at("root") + 1, false, {}}, {"freshness", documents.at("freshness") + 1, true, {}}};
    if (policy_needed > documents.at("snapshot")) out.push_back({"snapshot", policy_needed, false, {}});
    for (const Digest& it : large_wanted)
      if (!large.contains(it)) out.push_back({"mesh", 1, false, it});
    return out;
  }
  std::set<Digest> large_wanted;
  std::map<Digest, Bytes> large;  ///< documents that come in parts, authentic as they are
  std::optional<Bytes> document(const DocumentWant& want) const override {
    ++calls["document"];
    if (want.sha256) {
      const auto found = large.find(*want.sha256);
      return found == large.end() ? std::nullopt : std::optional(found->second);
    }
    const auto it = documents.find(want.name);
    if (it == documents.end() || it->second < want.version) return std::nullopt;
    if (document_bytes != 0) return Bytes(document_bytes);
    return bytes_of("document " + want.name + " " + std::to_string(want.or_later ? it->second : want.version));
  }
  std::vector<Bytes> suspensions(Now) const override {
    std::vector<Bytes> out;
    for (const std::string& one : suspended) out.push_back(bytes_of("suspension " + one + " 1"));
    return out;
  }
  bool full = false;  ///< no snapshot and no suspension can be kept
  Offered offer(ByteView envelope, Now) override {
    if (const Digest hash = crypto::sha256(envelope); large_wanted.contains(hash)) return {true, large.emplace(hash, bytes_of(envelope)).second};
    std::istringstream in{std::string(text_of(envelope))};
    std::string kind, name;
    std::uint64_t version = 0;
    if (!(in >> kind >> name >> version)) return {};
    if (kind == "suspension" && documents["root"] < suspensions_root) return {};
    if (kind == "suspension" && full) return {true, false, false};
    if (kind == "suspension") return {true, suspended.insert(name).second};
    if (kind != "document") return {};
    const bool newer = version > documents[name];
    if (newer && full && name == "snapshot") {
      documents["root"] = 1;  // what came before it is gone with it
      return {true, false, false};
    }
    if (newer) documents[name] = version;
    return {true, newer};
  }
  std::vector<FeedPoint> feeds(const LibraryId& library) const override {
    ++calls["feeds"];
    std::vector<FeedPoint> out;
    for (const auto& [id, lines] : logs) {
      if (id.library != library) continue;
      for (const Feed& line : lines) out.push_back({id, {line.entries.size()}, line.roots.back()});
    }
    std::ranges::sort(out);
    return out;
  }
  const Feed* line_of(const FeedPoint& point) const {
    const auto it = logs.find(point.feed);
    if (it == logs.end()) return nullptr;
    for (const Feed& line : it->second) {
      if (point.sequence.value < line.roots.size() && line.roots[point.sequence.value] == point.root) return &line;
    }
    return nullptr;
  }
  Result<Sequence> next(const FeedPoint& point) const override {
    if (line_of(point) != nullptr) return Sequence{0};
    const auto it = logs.find(point.feed);
    if (it == logs.end()) return Sequence{1};
    for (const Feed& line : it->second) {
      if (line.entries.size() < point.sequence.value && !not_from.contains({point, line.roots.back()})) return Sequence{line.entries.size() + 1};
    }
    return Sequence{1};
  }
  Result<Batch> entries(const FeedPoint& point, Sequence from, std::size_t bytes_most) const override {
    const Feed* line = line_of(point);
    if (line == nullptr || from.value == 0 || from.value > line->entries.size()) return fail(Fault::not_found, "no such entries");
    Batch out;
    std::size_t bytes = 0;
    for (std::size_t i = from.value - 1; i < line->entries.size() && out.entries.size() < entries_each; ++i) {
      bytes += line->entries[i].size();
      if (!out.entries.empty() && bytes > bytes_most) break;
      out.entries.push_back(line->entries[i]);
    }
    out.head_note = "a head";
    out.proof = {line->roots[from.value - 1 + out.entries.size()]};
    return out;
  }
  Result<std::vector<Digest>> accept_entries(const FeedPoint& point, Sequence from, const Batch& batch) override {
    ++calls["accept_entries"];
    std::vector<Digest> wanted;
    for (const Bytes& entry : batch.entries) {
      const std::string_view text = text_of(entry);
      if (!text.starts_with("list ")) continue;
      const Digest list = *Digest::parse(text.substr(5, 64));
      if (!lists.contains(list)) wanted.push_back(list);
    }
    if (!wanted.empty()) return wanted;
    for (const Bytes& entry : batch.entries) {
      if (text_of(entry).starts_with("lie")) return fail(Fault::not_authentic, "a lie");
      if (text_of(entry).starts_with("policy ")) {
        policy_needed = std::stoull(std::string(text_of(entry).substr(7)));
        if (policy_needed > documents.at("snapshot")) return fail(Fault::not_found, "a policy that is not here");
      }
    }
    const auto grown = [&](Feed line) {
      for (const Bytes& entry : batch.entries) line.add(entry);
      return line;
    };
    std::vector<Feed>& lines = logs[point.feed];
    for (Feed& line : lines) {
      if (line.entries.size() + 1 != from.value) continue;
      Feed longer = grown(line);
      if (longer.roots.back() != batch.proof.at(0)) {
        not_from.insert({point, line.roots.back()});
        return fail(Fault::exists, "another line");
      }
      line = std::move(longer);
      for (const Bytes& entry : batch.entries) note(point.feed.library, std::string(text_of(entry)));
      return wanted;
    }
    if (from.value != 1) return fail(Fault::stale, "nothing new");
    lines.push_back(grown({}));
    for (const Bytes& entry : batch.entries) note(point.feed.library, std::string(text_of(entry)));
    return wanted;
  }
  std::vector<MissingPack> missing(const LibraryId& library, std::size_t most) const override {
    ++calls["missing"];
    std::vector<MissingPack> out;
    for (const ObjectId& id : order) {
      if (out.size() == most) break;
      const auto it = lacking.find(id);
      if (id.library == library && it != lacking.end() && !off.contains(id)) out.push_back({id.sha256, static_cast<std::uint32_t>(it->second)});
    }
    return out;
  }
  bool is_missing(const ObjectId& pack) const override { return lacking.contains(pack); }
  std::optional<std::uint32_t> size(const ObjectId& object) const override {
    if (!belongs.contains(object)) return std::nullopt;
    const auto& from = object.kind == ObjectKind::list ? lists : packs;
    const auto it = from.find(object.sha256);
    if (it == from.end()) return std::nullopt;
    return static_cast<std::uint32_t>(it->second.size());
  }
  Result<Bytes> slice(const ObjectId& object, std::uint32_t offset, std::size_t bytes_most) const override {
    ++calls["slice"];
    const Bytes& all = (object.kind == ObjectKind::list ? lists : packs).at(object.sha256);
    return bytes_of(ByteView(all).subspan(offset, std::min(bytes_most, all.size() - offset)));
  }
  void put_off(const ObjectId& pack, Now) override { off.insert(pack); }
  Result<void> check_pack(const ObjectId& pack, ByteView bytes) override {
    if (crypto::sha256(bytes) != pack.sha256) return fail(Fault::not_authentic, "other bytes");
    if (text_of(bytes).starts_with("denied")) {
      lacking.erase(pack);
      return fail(Fault::denied, "what its entry says is false");
    }
    return {};
  }
  Result<void> keep_list(const ObjectId& list, ByteView bytes) override {
    if (crypto::sha256(bytes) != list.sha256) return fail(Fault::not_authentic, "other bytes");
    lists[list.sha256] = bytes_of(bytes);
    return {};
  }
  std::vector<StatementMark> statements(const LibraryId& library) const override {
    ++calls["statements"];
    std::vector<StatementMark> out;
    for (const auto& [key, it] : said) {
      if (it.library == library) out.push_back({it.signer, it.subject, it.number});
    }
    return out;
  }
  std::optional<StatementGiven> statement(const LibraryId& library, const NodeId& signer, const std::string& subject) const override {
    const auto it = said.find({library, signer, subject});
    return it == said.end() ? std::nullopt : std::optional(it->second);
  }
  Result<bool> accept_statement(const StatementGiven& statement) override {
    if (text_of(statement.bytes) == "lie") return fail(Fault::not_authentic, "a lie");
    StatementGiven& ours = said[{statement.library, statement.signer, statement.subject}];
    if (ours.number >= statement.number) return false;
    ours = statement;
    return true;
  }
  void say(const LibraryId& library, const std::string& signer, const std::string& subject, std::uint64_t number, const std::string& text) {
    said[{library, id_of<NodeId>(signer), subject}] = {library, id_of<NodeId>(signer), subject, number, bytes_of(text)};
  }

  // ---- Authoriser
  bool knows(const NodeId& peer) const override { return known.contains(peer); }
  bool shares(const NodeId& peer, const LibraryId& library) const override { return shared.contains(peer) && shared.at(peer).contains(library); }
  std::vector<LibraryId> shared_libraries(const NodeId& peer) const override {
    return shared.contains(peer) ? std::vector<LibraryId>(shared.at(peer).begin(), shared.at(peer).end()) : std::vector<LibraryId>{};
  }

  std::size_t entries_each = 1000;

 private:
  std::vector<ObjectId> order;
  std::set<ObjectId> belongs;
};

struct Parcel {
  std::size_t from{}, to{};
  Channel channel{};
  Bytes bytes;
};

/// A network of nodes 0, 1, 2 ... . Time passes only in run().
class Net {
 public:
  struct Node {
    NodeId id;
    Store store;
    std::unique_ptr<Sync> sync;
    std::optional<std::int64_t> wake_ms;
    std::vector<ForkSeen> forks;
    std::vector<Bytes> answers;  ///< to strangers
    std::uint64_t kept{};
    bool keeps = true;  ///< packs handed over become durable
  };
  std::deque<Node> nodes;
  std::int64_t latency_ms = 5, durable_ms = 20;
  std::size_t bytes_per_second = 0;                                    ///< of each direction of each link; 0: no limit
  std::function<bool(Parcel&)> passes = [](Parcel&) { return true; };  ///< false: lost; may change it
  std::vector<Parcel> sent;
  bool remembers = false;
  std::map<std::pair<std::size_t, std::size_t>, std::uint64_t> bytes_sent;
  std::uint64_t messages_sent = 0;
  std::int64_t now_ms = 1'000;

  explicit Net(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      Node& node = nodes.emplace_back();
      node.id = id_of<NodeId>("node " + std::to_string(i));
      node.sync = std::make_unique<Sync>(node.store, node.store);
    }
  }
  void all_know() {
    for (Node& a : nodes)
      for (Node& b : nodes)
        if (&a != &b) a.store.known.insert(b.id);
  }
  void share(const LibraryId& library, const std::vector<std::size_t>& among) {
    for (const std::size_t a : among)
      for (const std::size_t b : among)
        if (a != b) nodes[a].store.shared[nodes[b].id].insert(library);
  }
  void link(std::size_t a, std::size_t b) {
    links_.insert(std::minmax(a, b));
    give(a, LinkUp{nodes[b].id});
    give(b, LinkUp{nodes[a].id});
  }
  void cut(std::size_t a, std::size_t b) {
    links_.erase(std::minmax(a, b));
    std::erase_if(events_,
                  [&](const auto& it) { return it.second.message && std::minmax(it.second.message->from, it.second.message->to) == std::minmax(a, b); });
    give(a, LinkDown{nodes[b].id});
    give(b, LinkDown{nodes[a].id});
  }
  void give(std::size_t to, const Input& input) {
    Node& node = nodes[to];
    node.wake_ms.reset();
    int wakes = 0;
    for (Output& output : node.sync->on(input, {now_ms, now_ms})) {
      if (auto* send = std::get_if<Send>(&output)) {
        CHECK(send->bytes.size() <= (send->channel == Channel::bulk ? bulk_bytes_most : control_bytes_most));
        Parcel message{to, index_of(send->peer), send->channel, std::move(send->bytes)};
        ++messages_sent;
        bytes_sent[{message.from, message.to}] += message.bytes.size();
        if (remembers) sent.push_back(message);
        if (!links_.contains(std::minmax(message.from, message.to)) || !passes(message)) continue;
        std::int64_t at_ms = now_ms + latency_ms;
        if (bytes_per_second > 0) {
          std::int64_t& free_ms = line_free_ms_[{message.from, message.to}];
          free_ms = std::max(free_ms, now_ms) + static_cast<std::int64_t>(message.bytes.size() * 1000 / bytes_per_second);
          at_ms = free_ms + latency_ms;
        }
        events_.emplace(at_ms, Event{message.to, std::move(message), {}});
      } else if (auto* keep = std::get_if<KeepPack>(&output)) {
        ++node.kept;
        CHECK(node.store.check_pack(keep->pack, keep->bytes));
        if (node.keeps) events_.emplace(now_ms + durable_ms, Event{to, {}, std::pair(keep->pack, std::move(keep->bytes))});
      } else if (auto* wake = std::get_if<WakeAt>(&output)) {
        ++wakes;
        CHECK(wake->steady_ms > now_ms);
        node.wake_ms = wake->steady_ms;
      } else if (auto* fork = std::get_if<ForkSeen>(&output)) {
        node.forks.push_back(*fork);
      } else if (auto* answer = std::get_if<AnswerStranger>(&output)) {
        node.answers.push_back(std::move(answer->bytes));
      }
    }
    CHECK(wakes <= 1);
  }
  void changed(std::size_t node, std::optional<LibraryId> library = {}) { give(node, Changed{library}); }
  /// Until nothing happens before `until_ms` from now, or `done`.
  bool run(std::int64_t ms, const std::function<bool()>& done = [] { return false; }) {
    const std::int64_t end_ms = now_ms + ms;
    while (!done()) {
      std::int64_t next_ms = end_ms;
      std::optional<std::size_t> ticking;
      for (std::size_t i = 0; i < nodes.size(); ++i) {
        if (nodes[i].wake_ms && *nodes[i].wake_ms < next_ms) {
          next_ms = *nodes[i].wake_ms;
          ticking = i;
        }
      }
      if (!events_.empty() && events_.begin()->first <= next_ms) {
        now_ms = std::max(now_ms, events_.begin()->first);
        Event event = std::move(events_.begin()->second);
        events_.erase(events_.begin());
        if (event.message) {
          give(event.to, Received{nodes[event.message->from].id, event.message->channel, std::move(event.message->bytes)});
        } else {
          Store& store = nodes[event.to].store;
          store.packs[event.pack->first.sha256] = std::move(event.pack->second);
          store.lacking.erase(event.pack->first);
          give(event.to, PacksDurable{{event.pack->first}});
          changed(event.to, event.pack->first.library);
        }
        continue;
      }
      if (!ticking) {
        now_ms = end_ms;
        return done();
      }
      now_ms = next_ms;
      give(*ticking, Tick{});
    }
    return true;
  }
  bool same_feeds(std::size_t a, std::size_t b, const LibraryId& library) const { return nodes[a].store.feeds(library) == nodes[b].store.feeds(library); }
  bool in_step(std::size_t a, std::size_t b) const { return nodes[a].sync->peers().at(nodes[b].id).in_step && nodes[b].sync->peers().at(nodes[a].id).in_step; }
  std::uint64_t refused(std::size_t at, std::size_t of) const { return nodes[at].sync->peers().at(nodes[of].id).refused; }
  void send_as(std::size_t from, std::size_t to, Channel channel, const Bytes& bytes) { give(to, Received{nodes[from].id, channel, bytes}); }

 private:
  struct Event {
    std::size_t to{};
    std::optional<Parcel> message;
    std::optional<std::pair<ObjectId, Bytes>> pack;
  };
  std::size_t index_of(const NodeId& id) const {
    for (std::size_t i = 0; i < nodes.size(); ++i)
      if (nodes[i].id == id) return i;
    FAIL("a message to nobody");
    return 0;
  }
  std::set<std::pair<std::size_t, std::size_t>> links_;
  std::multimap<std::int64_t, Event> events_;
  std::map<std::pair<std::size_t, std::size_t>, std::int64_t> line_free_ms_;
};

}  // namespace dozo::sync::fake
