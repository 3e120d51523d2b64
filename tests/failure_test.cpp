// The n-th call of each operation of the Kv seam fails, for every n or a stride of them: while documents are saved, travel, are recovered and a node starts.
//
// And the n-th allocation: what a node has in memory is then gone with it, as with a daemon that ends, and a new one starts on the same store.
//
// Each case is run once without a fault, which counts the calls, then once for each n and each kind of fault. Whatever failed: what was acknowledged is shown
// byte for byte at the node that acknowledged it, before and after a restart; nobody is shown wrong bytes; once the fault is over the replicas agree.
// DOZO_FAILURES: how many n of each operation and kind of fault (0: every one); DOZO_FAILURES_FROM: where the stride begins.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <functional>
#include <map>
#include <set>

#include "crypto/hash.h"
#include "crypto/seeded_random.h"
#include "crypto/start.h"
#include "node/put_job.h"
#include "tests/allocations.h"
#include "tests/content_fixture.h"
#include "tests/scratch.h"
#include "tests/simulator/authority.h"
#include "tests/simulator/process.h"

using namespace dozo;
using content_fixture::noise;
using content_fixture::prose;
using node::Engine;
using simulator::Authority;
using simulator::Process;
using store::Injected;
namespace fs = std::filesystem;
namespace local = node::local;

namespace {

constexpr std::int64_t begin_wall_ms = 1'790'000'000'000;
constexpr std::size_t writer = 0, reader = 1, vault = 2, node_count = 3;

std::uint64_t number_of(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

// ---- the fault -----------------------------------------------------------------------------------------------------------
/// How a call fails.
enum class Kind : std::uint8_t {
  full,        ///< once: the disk is full, or busy
  damaged,     ///< once: the store is damaged there
  stays_full,  ///< that call and all of this operation after it, until it is over
  stays_damaged,
  in_doubt,  ///< a commit: what it says has failed is on the disk; then the store answers nothing until it is opened again, as LMDB after a failed sync
};
const std::vector<std::pair<Kind, std::string>> kinds{
    {Kind::full, "full"}, {Kind::damaged, "damaged"}, {Kind::stays_full, "stays full"}, {Kind::stays_damaged, "stays damaged"}, {Kind::in_doubt, "in doubt"}};

/// One node's store: counts calls, and has one of them fail.
struct Failing {
  std::string operation;  ///< such as "truth commit"; none: nothing fails
  std::uint64_t at = 0;
  Kind kind{};
  std::map<std::string, std::uint64_t> calls;
  bool counting = false, over = false, struck = false, at_work = false;

  store::InjectHook hook(const std::string& store) {
    return [this, store](std::string_view operation_) {
      // A commit is the disk's work, which a process that ends does not cut in two: the body in memory is not to be either.
      if (at_work) allocations::watch(operation_ != "commit");
      if (!counting) return Injected::none;
      const std::string name = store + " " + std::string(operation_);
      const std::uint64_t count = ++calls[name];
      if (over || name != operation) return Injected::none;
      const bool stays = kind == Kind::stays_full || kind == Kind::stays_damaged;
      if (stays ? count < at : count != at) return Injected::none;
      struck = true;
      switch (kind) {
        case Kind::full:
        case Kind::stays_full: return Injected::fail;
        case Kind::damaged:
        case Kind::stays_damaged: return Injected::damage;
        case Kind::in_doubt: return Injected::crash_after;
      }
      return Injected::none;
    };
  }
};

// ---- files to be saved ---------------------------------------------------------------------------------------------------
/// Made once; one source for each content.
struct Sources {
  test::Scratch scratch;
  std::map<std::string, Bytes> contents;
  std::map<Digest, std::string> names;
  Sources() {
    contents = {{"sheet", prose(1, 2'000)}, {"drawing", noise(2, 150'000)}, {"sheet again", prose(3, 2'500)}, {"late", prose(4, 900)}};
    for (const auto& [name, bytes] : contents) write(name, bytes);
    for (int i = 0; i < 3; ++i) {
      const std::string name = "survey/north/" + std::to_string(i);
      fs::create_directories((scratch.path / name).parent_path());
      contents[name] = prose(10 + static_cast<std::uint64_t>(i), 700);
      write(name, contents[name]);
    }
    for (const auto& [name, bytes] : contents) names[crypto::sha256(bytes)] = name;
  }
  void write(const std::string& name, const Bytes& bytes) const { std::ofstream(scratch.path / name, std::ios::binary) << text_of(bytes); }
};
const Sources& sources() {
  static const Sources it;
  return it;
}

/// What a library shows: the name of the content by path.
using State = std::map<std::string, std::string>;

std::string text(const State& state) {
  std::string out;
  for (const auto& [path, content] : state) out += path + "=" + content + "; ";
  return out;
}

// ---- the realm -----------------------------------------------------------------------------------------------------------
/// A node that saves, one that receives, a vault. Lines are quick and lose nothing.
class Realm {
 public:
  Realm() {
    REQUIRE(crypto::start());
    crypto::use_seeded_randomness(1);
    authority = std::make_unique<Authority>("tag", begin_wall_ms / 1000);
    constexpr std::array<const char*, node_count> names{"asahi", "biei", "vault"};
    simulator::Plan plan;
    plan.homes["works"] = "asahi";
    for (std::size_t i = 0; i < node_count; ++i) {
      nodes[i] = std::make_unique<Process>(names[i], i);
      authority->admit(names[i], nodes[i]->keys.public_part());
      plan.nodes[names[i]] = {i == writer ? policy::NodeKind::hq : i == vault ? policy::NodeKind::vault : policy::NodeKind::bureau, "sapporo"};
      plan.libraries["works"][names[i]] = {i == vault ? policy::Holding::blind : policy::Holding::full, i != vault};
    }
    const std::vector<Bytes> documents = authority->publish(plan, {}, begin_wall_ms / 1000);
    for (std::size_t i = 0; i < node_count; ++i) {
      REQUIRE(start(i));
      for (int round = 0; round < 2; ++round) (void)nodes[i]->engine->answer(local::OfferRequest{documents}, now());
    }
    pass(5'000);
    REQUIRE(save("sheet", "plans/old"));
    REQUIRE(save("drawing", "plans/bridge"));
    pass(20'000);
    at_first = {{"plans/old", "sheet"}, {"plans/bridge", "drawing"}};
    for (std::size_t i = 0; i < node_count; ++i) images.push_back(nodes[i]->disks);
    stop_all();
  }

  /// As it was at first, with nobody running; the same dice again.
  void reset() {
    stop_all();
    for (std::size_t i = 0; i < node_count; ++i) nodes[i]->disks = images[i];
    failing = {};
    now_ms = 1'000'000;
    steps = 0;
    ever = {};
    crypto::use_seeded_randomness(2);
  }

  Now now() const { return {now_ms, begin_wall_ms + now_ms}; }
  Result<void> start(std::size_t i) {
    Process::Start how{authority->first_root(), {authority->contact("asahi"), authority->contact("vault")}, std::nullopt, now()};
    if (i == victim) {
      how.truth_hook = failing.hook("truth");
      how.derived_hook = failing.hook("derived");
    }
    Result<void> started;
    if (!lives(i, [&] { started = nodes[i]->start(std::move(how)); })) return out_of_memory();
    TRY(std::move(started));
    wake_ms[i].reset();
    look_at_peers(i);
    take(i);
    return {};
  }
  void stop(std::size_t i) {
    for (std::size_t other = 0; other < node_count; ++other) cut(i, other);
    nodes[i]->stop();
  }
  void stop_all() {
    for (std::size_t i = 0; i < node_count; ++i) stop(i);
  }
  bool runs(std::size_t i) const { return nodes[i]->running(); }

  /// Until all is said, and every timer that is due in this time was.
  void pass(std::int64_t ms) {
    const std::int64_t end_ms = now_ms + ms;
    for (;;) {
      deliver();
      std::int64_t next_ms = end_ms;
      std::size_t whose = node_count;
      for (std::size_t i = 0; i < node_count; ++i) {
        if (!runs(i) || !wake_ms[i] || *wake_ms[i] > next_ms) continue;
        next_ms = *wake_ms[i];
        whose = i;
      }
      now_ms = std::max(now_ms, next_ms);
      if (whose == node_count) return;
      give(whose, sync::Tick{});
    }
  }

  Result<void> save(const std::string& source, const std::string& target) {
    local::PutRequest request;
    request.library = "works";
    request.source = (sources().scratch.path / source).string();
    request.target = target;
    Process& it = *nodes[writer];
    const node::OnEngine on_engine = [&](const std::function<void(Engine&, Now)>& what) {
      what(*it.engine, now());
      return true;
    };
    node::PutOptions options;
    options.workers = 0;
    Result<local::Saved> saved;
    if (!lives(writer, [&] { saved = node::put(request, on_engine, *it.truth, options); })) return out_of_memory();
    take(writer);
    if (!saved) return std::unexpected(saved.error());
    CHECK(saved->skipped.empty());
    CHECK(saved->records == 1);
    return {};
  }
  Result<void> ask(const local::Request& request) {
    local::Answer answer;
    if (!lives(writer, [&] { answer = nodes[writer]->engine->answer(request, now()); })) return out_of_memory();
    take(writer);
    if (const auto* refusal = std::get_if<local::Refusal>(&answer)) return fail(static_cast<Fault>(refusal->fault), refusal->text);
    return {};
  }

  /// What a node shows, each content read to its last byte. Faults: of the listing, or of what could not be read.
  Result<State> shown(std::size_t i) {
    State out;
    Engine& engine = *nodes[i]->engine;
    local::Answer answer;
    if (!lives(i, [&] { answer = engine.answer(local::ListRequest{"works", "", "", true}, now()); })) return std::unexpected(out_of_memory().error());
    take(i);
    if (const auto* refusal = std::get_if<local::Refusal>(&answer)) return fail(static_cast<Fault>(refusal->fault), refusal->text);
    std::optional<Error> unread;
    for (const local::ListRow& row : std::get<local::Listing>(answer).rows) {
      if (row.kind != "file") continue;
      const auto known = sources().names.find(row.sha256);
      REQUIRE_MESSAGE(known != sources().names.end(), "shows a content that nobody saved: " << row.path);
      const std::string& name = known->second;
      out[row.path] = name;
      Bytes read;
      while (read.size() < row.size) {
        local::Answer part;
        const local::ReadRequest request{"works", row.manifest, read.size(), local::read_bytes_most};
        if (!lives(i, [&] { part = engine.answer(request, now()); })) return std::unexpected(out_of_memory().error());
        take(i);
        if (const auto* refusal = std::get_if<local::Refusal>(&part)) {
          unread = Error{static_cast<Fault>(refusal->fault), row.path + ": " + refusal->text};
          break;
        }
        const Bytes& bytes = std::get<local::Data>(part).bytes;
        REQUIRE(!bytes.empty());
        append(read, bytes);
      }
      const Bytes& right = sources().contents.at(name);
      REQUIRE_MESSAGE(equal(read, ByteView(right).first(std::min(read.size(), right.size()))), "gives out wrong bytes of " << row.path);
    }
    if (unread) return std::unexpected(*unread);
    return out;
  }
  node::Library* library(std::size_t i) { return runs(i) ? nodes[i]->engine->library(authority->library("works")) : nullptr; }

  std::unique_ptr<Authority> authority;
  std::array<std::unique_ptr<Process>, node_count> nodes;
  std::vector<simulator::Disks> images;
  State at_first;
  std::size_t victim = node_count;
  Failing failing;
  std::set<std::pair<std::string, std::string>> ever;  ///< path and content that were shown at some time
  std::int64_t now_ms = 1'000;
  std::uint64_t steps = 0;

 private:
  struct Message {
    std::size_t from, to;
    sync::Channel channel;
    Bytes bytes;
  };
  /// Runs what a node does. False: its memory ran out, and it is gone.
  template <class Work>
  bool lives(std::size_t i, const Work& work) {
    if (i != victim || !failing.counting) return work(), true;
    try {
      const Watching watching(failing.at_work);
      work();
      return true;
    } catch (const std::bad_alloc&) {
      stop(i);
      return false;
    }
  }
  struct Watching {
    explicit Watching(bool& at_work) : at_work_(at_work) { allocations::watch(at_work_ = true); }
    Watching(const Watching&) = delete;
    Watching& operator=(const Watching&) = delete;
    ~Watching() { allocations::watch(at_work_ = false); }
    bool& at_work_;
  };
  static Result<void> out_of_memory() { return fail(Fault::unavailable, "out of memory: ended"); }
  void give(std::size_t i, const Engine::Input& input) {
    REQUIRE_MESSAGE(++steps < 200'000, "it does not come to rest");
    wake_ms[i].reset();
    if (lives(i, [&] { nodes[i]->engine->on(input, now()); })) take(i);
  }
  void deliver() {
    while (!messages.empty()) {
      const Message it = std::move(messages.front());
      messages.pop_front();
      if (it.bytes.empty()) {
        // A line that came up: each end is told.
        if (runs(it.to)) give(it.to, sync::LinkUp{nodes[it.from]->keys.id});
      } else if (runs(it.to) && up.contains({std::min(it.from, it.to), std::max(it.from, it.to)})) {
        give(it.to, sync::Received{nodes[it.from]->keys.id, it.channel, it.bytes});
      }
    }
  }
  void take(std::size_t i) {
    if (!runs(i)) return;
    std::vector<Engine::Output> outputs;
    if (!lives(i, [&] { outputs = nodes[i]->engine->take_outputs(); })) return;
    for (Engine::Output& output : outputs) {
      if (auto* send = std::get_if<sync::Send>(&output)) {
        for (std::size_t to = 0; to < node_count; ++to) {
          if (nodes[to]->keys.id == send->peer) messages.push_back({i, to, send->channel, std::move(send->bytes)});
        }
      } else if (const auto* wake = std::get_if<sync::WakeAt>(&output)) {
        wake_ms[i] = std::min(wake_ms[i].value_or(wake->steady_ms), wake->steady_ms);
      } else if (std::holds_alternative<Engine::PeersChanged>(output)) {
        look_at_peers(i);
      }
    }
  }
  void look_at_peers(std::size_t i) {
    nodes[i]->peers.clear();
    for (const Engine::Peer& peer : nodes[i]->engine->peers()) nodes[i]->peers.insert(peer.id);
    for (std::size_t other = 0; other < node_count; ++other) {
      const bool wanted = runs(other) && nodes[i]->peers.contains(nodes[other]->keys.id) && nodes[other]->peers.contains(nodes[i]->keys.id);
      if (!wanted || !up.insert({std::min(i, other), std::max(i, other)}).second) continue;
      messages.push_back({i, other, {}, {}});
      messages.push_back({other, i, {}, {}});
    }
  }
  void cut(std::size_t i, std::size_t other) {
    if (up.erase({std::min(i, other), std::max(i, other)}) == 0) return;
    std::erase_if(messages, [&](const Message& it) { return (it.from == i && it.to == other) || (it.from == other && it.to == i); });
    if (runs(other)) give(other, sync::LinkDown{nodes[i]->keys.id});
  }

  std::deque<Message> messages;
  std::set<std::pair<std::size_t, std::size_t>> up;
  std::array<std::optional<std::int64_t>, node_count> wake_ms;
};

// ---- what is done --------------------------------------------------------------------------------------------------------
/// A change of the library that somebody asks for.
struct Step {
  std::function<Result<void>(Realm&)> ask;
  std::function<void(State&)> change;
};
Step put(const std::string& source, const std::string& target) {
  return {[=](Realm& realm) { return realm.save(source, target); }, [=](State& state) { state[target] = source; }};
}
const std::vector<Step>& steps() {
  static const std::vector<Step> all{
      put("sheet", "a"),
      put("drawing", "plans/tunnel"),
      {[](Realm& realm) { return realm.save("survey", "survey"); },
       [](State& state) {
         for (int i = 0; i < 3; ++i) state["survey/north/" + std::to_string(i)] = "survey/north/" + std::to_string(i);
       }},
      put("sheet again", "plans/old"),
      {[](Realm& realm) { return realm.ask(local::MoveRequest{"works", "a", "moved/b", ""}); },
       [](State& state) {
         if (auto it = state.extract("a")) {
           it.key() = "moved/b";
           state.insert(std::move(it));
         }
       }},
      {[](Realm& realm) { return realm.ask(local::RemoveRequest{"works", "plans/bridge", "", false}); }, [](State& state) { state.erase("plans/bridge"); }},
      {[](Realm& realm) { return realm.ask(local::LogRequest{"works", "", 0, 100}); }, [](State&) {}},
  };
  return all;
}

/// What became of a run.
struct Outcome {
  std::size_t refused = 0;           ///< steps
  std::size_t refused_and_done = 0;  ///< of those: changes that are there all the same
  bool restarted = false;            ///< it took a restart for all to be well again
};

/// Where the store is the victim's, and what is done.
struct Case {
  std::string name;
  std::size_t victim;
  enum class What : std::uint8_t { put, recover, start, start_without_derived } what;
};
const std::vector<Case> cases{Case{"put", writer, Case::What::put},
                              Case{"sync", reader, Case::What::put},
                              Case{"sync of a vault", vault, Case::What::put},
                              Case{"recover", reader, Case::What::recover},
                              Case{"recover of a vault", vault, Case::What::recover},
                              Case{"recover of the writer", writer, Case::What::recover},
                              Case{"start", writer, Case::What::start},
                              Case{"start without what is derived", writer, Case::What::start_without_derived}};

class Run {
 public:
  Run(Realm& realm, const Case& which) : realm_(realm), case_(which) {}

  /// Calls of each operation.
  std::map<std::string, std::uint64_t> count() {
    (void)run({});
    return realm_.failing.calls;
  }
  /// `allocation`: the one of the victim's that fails; 0: none.
  Outcome run(const Failing& failing, std::size_t allocation = 0) {
    realm_.reset();
    allocations::fail_at(allocation);
    realm_.victim = case_.victim;
    realm_.failing = failing;
    states_ = {realm_.at_first};
    note_ever();
    const bool from_start = case_.what != Case::What::put;
    if (case_.what == Case::What::recover) realm_.nodes[case_.victim]->disks = {};
    if (case_.what == Case::What::start_without_derived) realm_.nodes[case_.victim]->disks.derived = {};
    for (std::size_t i = 0; i < node_count; ++i) {
      if (i != case_.victim) REQUIRE(realm_.start(i));
    }
    realm_.failing.counting = from_start;
    start_victim();
    realm_.pass(3'000);
    realm_.failing.counting = true;
    std::vector<const Step*> again;
    if (case_.what == Case::What::put) {
      for (const Step& step : steps()) {
        if (!attempt(step)) again.push_back(&step);
        realm_.pass(2'000);
        look();
        start_victim();
      }
    } else {
      realm_.pass(30'000);
      look();
    }
    realm_.failing.over = true;
    realm_.failing.counting = false;
    if (!realm_.runs(case_.victim)) start_victim();

    // The fault is over.
    realm_.pass(1'200'000);
    const auto well = [&] { return runs_well(again); };
    std::string wrong = well();
    if (!wrong.empty()) {
      outcome_.restarted = true;
      restart(case_.victim);
      realm_.pass(1'200'000);
      wrong = well();
    }
    REQUIRE_MESSAGE(wrong.empty(), wrong);
    restart(case_.victim);
    realm_.pass(60'000);
    wrong = well();
    REQUIRE_MESSAGE(wrong.empty(), "after a restart: " << wrong);
    return outcome_;
  }

 private:
  void note_ever() {
    for (const State& state : states_) realm_.ever.insert(state.begin(), state.end());
  }
  /// A service manager starts it again and again.
  void start_victim() {
    for (int attempt = 0; !realm_.runs(case_.victim); ++attempt) {
      if (const auto started = realm_.start(case_.victim); started)
        return;
      else
        CHECK(!started.error().text.empty());
      if (attempt == 3) realm_.failing.over = true;  // at last somebody makes room
      REQUIRE(attempt < 5);
      realm_.pass(1'000);
    }
  }
  void restart(std::size_t i) {
    realm_.stop(i);
    const auto started = realm_.start(i);
    REQUIRE_MESSAGE(started, realm_.nodes[i]->name << " does not start: " << started.error().text);
  }
  /// Says whether it was acknowledged. What was refused may have been done.
  bool attempt(const Step& step) {
    const Result<void> done = step.ask(realm_);
    std::vector<State> after = states_;
    for (State& it : after) step.change(it);
    if (!done) {
      CHECK((done.error().fault == Fault::unavailable || done.error().fault == Fault::corrupt || done.error().fault == Fault::not_found));
      CHECK(!done.error().text.empty());
      ++outcome_.refused;
      after.insert(after.end(), states_.begin(), states_.end());
    }
    std::ranges::sort(after);
    const auto same = std::ranges::unique(after);
    after.erase(same.begin(), same.end());
    states_ = std::move(after);
    note_ever();
    return done.has_value();
  }
  bool is_one(const State& state) const { return std::ranges::find(states_, state) != states_.end(); }

  /// While the fault may last: refusals, or what is true.
  void look() {
    for (const std::size_t i : {writer, reader}) {
      if (!realm_.runs(i)) continue;
      const auto shown = realm_.shown(i);
      if (!shown) {
        // The reader waits for what the writer could not give it, a minute at most.
        CHECK((i == case_.victim || shown.error().fault == Fault::unavailable));
        continue;
      }
      for (const auto& it : *shown) REQUIRE_MESSAGE(realm_.ever.contains(it), realm_.nodes[i]->name << " shows what never was: " << it.first);
      if (i != writer || is_one(*shown)) continue;
      const node::Library* library = realm_.library(i);
      const bool recovering = case_.what == Case::What::recover;
      REQUIRE_MESSAGE((recovering || (library != nullptr && library->behind())),
                      "shows less than was acknowledged, and does not say so: " << text(*shown) << " instead of " << text(states_.front()));
    }
  }
  /// What is not well; empty: all is as it was acknowledged, everywhere. Does again what was refused.
  std::string runs_well(std::vector<const Step*>& again) {
    for (const std::size_t i : {writer, reader, vault}) {
      if (!realm_.runs(i)) return realm_.nodes[i]->name + " does not run";
    }
    auto shown = realm_.shown(writer);
    if (!shown) return "the writer cannot show all: " + shown.error().text;
    if (!is_one(*shown)) return "what was acknowledged is not shown";
    states_ = {*shown};
    while (!again.empty()) {
      const Step& step = *again.front();
      State there = *shown;
      step.change(there);
      const bool was_done = there == *shown && &step != &steps().back();
      outcome_.refused_and_done += was_done ? 1 : 0;
      if (!was_done && !attempt(step)) return "what was refused cannot be done again";
      again.erase(again.begin());
      realm_.pass(2'000);
      shown = realm_.shown(writer);
      if (!shown) return "the writer cannot show all: " + shown.error().text;
      if (!is_one(*shown)) return "what was done again is not shown";
    }
    realm_.pass(60'000);
    const auto replica = realm_.shown(reader);
    if (!replica) return "the reader cannot show all: " + replica.error().text;
    if (*replica != *shown) return "the reader shows something else";
    const auto feeds = [&](std::size_t i) {
      auto out = realm_.library(i)->feeds();
      for (auto& it : out) {
        if (it.held != it.known) return std::vector<node::Library::FeedState>{};
      }
      return out;
    };
    for (const std::size_t i : {writer, reader, vault}) {
      node::Library* library = realm_.library(i);
      if (library == nullptr) return realm_.nodes[i]->name + " has not opened the library";
      if (library->missing_count() != 0) return realm_.nodes[i]->name + " misses packs";
      if (library->behind()) return realm_.nodes[i]->name + " does not follow: " + library->behind()->text;
      if (feeds(i).empty() || feeds(i) != feeds(writer)) return realm_.nodes[i]->name + " holds other feeds than the writer";
      auto in = realm_.nodes[i]->truth->read();
      if (!in) return in.error().text;
      if (const auto sound = in->verify_root(); !sound) return realm_.nodes[i]->name + ": " + sound.error().text;
      if (i == vault) continue;
      if (library->forked_count() != 0) return "a feed is forked";
      const auto history = library->history();
      if (!history) return realm_.nodes[i]->name + " has no history: " + history.error().text;
      if ((*history)->size() != library->counts().entries) return realm_.nodes[i]->name + " has a history of another length";
    }
    return {};
  }

  Realm& realm_;
  const Case& case_;
  std::vector<State> states_;  ///< of which one is the library's
  Outcome outcome_;
};

/// DOZO_FAILURES_CASE: one alone.
bool is_chosen(const Case& which) {
  const char* only = std::getenv("DOZO_FAILURES_CASE");
  return only == nullptr || which.name == only;
}

Realm& realm() {
  static Realm it;
  return it;
}

}  // namespace

TEST_CASE("failure: whichever allocation fails, a new run on the same store has all that was acknowledged") {
  const std::uint64_t most = number_of("DOZO_FAILURES", 1) * 20, from = number_of("DOZO_FAILURES_FROM", 7919);
  for (const Case& which : cases) {
    if (!is_chosen(which)) continue;
    CAPTURE(which.name);
    (void)Run(realm(), which).count();  // libraries keep what they allocate the first time
    (void)Run(realm(), which).count();
    const std::uint64_t count = allocations::watched();
    CHECK(count > 1'000);
    const std::uint64_t stride = most == 0 || count <= most ? 1 : (count + most - 1) / most;
    std::uint64_t runs = 0, refused = 0, done = 0;
    for (std::uint64_t n = 1 + from % stride; n <= count; n += stride) {
      CAPTURE(n);
      const Outcome outcome = Run(realm(), which).run({}, n);
      CHECK(allocations::watched() >= n);
      CHECK(!outcome.restarted);
      ++runs;
      refused += outcome.refused;
      done += outcome.refused_and_done;
    }
    MESSAGE(which.name << ": " << count << " allocations, " << runs << " of them failed; " << refused << " refusals (" << done
                       << " of what was done all the same)");
  }
}

TEST_CASE("failure: whichever call of the store fails, nothing acknowledged is lost, nothing wrong is shown, and all goes on") {
  const std::uint64_t most = number_of("DOZO_FAILURES", 1), from = number_of("DOZO_FAILURES_FROM", 7919);
  for (const Case& which : cases) {
    if (!is_chosen(which)) continue;
    CAPTURE(which.name);
    const auto calls = Run(realm(), which).count();
    std::uint64_t all = 0, runs = 0, refused = 0, done = 0, restarted = 0;
    for (const auto& [operation, count] : calls) {
      CAPTURE(operation);
      all += count;
      for (const auto& [kind, kind_name] : kinds) {
        if (kind == Kind::in_doubt && !operation.ends_with(" commit")) continue;
        CAPTURE(kind_name);
        const std::uint64_t stride = most == 0 || count <= most ? 1 : (count + most - 1) / most;
        for (std::uint64_t n = 1 + from % stride; n <= count; n += stride) {
          CAPTURE(n);
          Failing failing;
          failing.operation = operation;
          failing.at = n;
          failing.kind = kind;
          const Outcome outcome = Run(realm(), which).run(failing);
          CHECK(realm().failing.struck);
          // A store that answers again is gone on with by itself, and what is refused was not done. Only one that must be opened again needs a restart.
          CHECK((kind == Kind::in_doubt || (!outcome.restarted && outcome.refused_and_done == 0)));
          ++runs;
          refused += outcome.refused;
          done += outcome.refused_and_done;
          restarted += outcome.restarted ? 1 : 0;
        }
      }
    }
    MESSAGE(which.name << ": " << all << " calls, " << runs << " of them failed; " << refused << " refusals (" << done << " of what was done all the same), "
                       << restarted << " needed a restart");
    CHECK(all > 0);
  }
}
