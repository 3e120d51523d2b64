// Sites: engines of headquarters' realm by themselves, with clocks that the test turns. For tests of the engine and of the libraries that it holds.
#pragma once
#include "node/engine.h"

#include "node/local_sealer.h"
#include "node/receipts.h"
#include "store/kv_memory.h"
#include "store/truth_rows.h"
#include "tests/policy_fixture.h"

namespace dozo::engine_fixture {

using namespace policy_fixture;
using node::Engine;

/// One node of headquarters' realm, with a clock that the test turns.
struct Site {
  const Headquarters& hq;
  std::string name;
  store::MemoryDisk truth_disk, derived_disk;
  crypto::LocalKey local{*crypto::LocalKey::Root::from(Bytes(32, 7))};
  node::LocalSealer sealer{local};
  store::MemoryKv truth_kv{truth_disk, store::rows::table_count}, derived_kv{derived_disk, node::derived_tables().size()};
  std::unique_ptr<store::Truth> truth = std::move(*store::Truth::create(truth_kv, sealer));
  Now now{1'000, begin_s * 1000};
  std::unique_ptr<Engine> engine;
  std::vector<Engine::Output> outputs;

  Site(const Headquarters& of, const std::string& as, bool signs_freshness = false) : hq(of), name(as) { open(signs_freshness); }
  void open(bool signs_freshness = false) {
    node::EngineContext context{*truth, derived_kv, local, hq.nodes.at(name), hq.roots[0], {}, {}, crypto::random_id<IncarnationId>(), std::nullopt};
    if (signs_freshness) context.freshness = hq.keys.at(SigningRole::freshness)[0].copy();
    auto opened = Engine::open(std::move(context), now);
    REQUIRE_MESSAGE(opened, opened.error().text);
    engine = std::move(*opened);
  }
  void restart() {
    engine.reset();
    truth = std::move(*store::Truth::open(truth_kv, sealer));
    open();
  }
  void take() {
    for (Engine::Output& it : engine->take_outputs()) outputs.push_back(std::move(it));
  }
  /// As a shell would: a tick whenever one is due, until `ms` have passed.
  void pass(std::int64_t ms) {
    const std::int64_t end_ms = now.steady_ms + ms;
    while (now.steady_ms < end_ms) {
      std::int64_t next_ms = end_ms;
      take();
      for (const Engine::Output& it : outputs)
        if (const auto* wake = std::get_if<sync::WakeAt>(&it)) next_ms = std::min(next_ms, std::max(wake->steady_ms, now.steady_ms + 1));
      std::erase_if(outputs, [](const Engine::Output& it) { return std::holds_alternative<sync::WakeAt>(it); });
      now.wall_ms += next_ms - now.steady_ms;
      now.steady_ms = next_ms;
      engine->on(sync::Tick{}, now);
    }
    take();
  }
  template <class T>
  std::vector<T> taken() {
    std::vector<T> out;
    for (Engine::Output& it : outputs)
      if (auto* found = std::get_if<T>(&it)) out.push_back(std::move(*found));
    outputs.clear();
    return out;
  }
  node::local::Answer ask(const node::local::Request& request) {
    auto answer = engine->answer(request, now);
    take();
    return answer;
  }
  void hear(const Publication& it) {
    std::vector<Bytes> all;
    for (const auto& [as, bytes] : it) all.push_back(bytes);
    for (int round = 0; round < 2; ++round) (void)ask(node::local::OfferRequest{all});
  }
  std::uint64_t freshness() { return std::get<node::local::Status>(ask(node::local::StatusRequest{})).freshness; }
  const LibraryId& library(const std::string& as) const { return hq.names.libraries.at(as); }
  /// A save of empty folders.
  Result<Sequence> save(const std::string& library, const std::vector<std::string>& folders) {
    const node::SaveKeys keys = TRY(engine->begin_save(library, now));
    std::vector<node::Act> acts;
    for (const std::string& it : folders) acts.push_back(node::PutAct{it, {store::dir_value, std::nullopt}});
    const node::Prepared prepared = TRY(engine->prepare_save(keys.library, acts, "", nullptr, now));
    std::vector<store::SealedPack> packs;
    store::Ingest ingest({keys.library, keys.epoch, 3, 0}, keys.key, *keys.index, [&](store::SealedPack&& pack) -> Result<void> {
      packs.push_back(std::move(pack));
      return {};
    });
    TRY(ingest.add_record(prepared.signed_record));
    TRY(ingest.finish());
    return engine->commit_save(keys.library, prepared, {}, packs, now);
  }
  std::optional<node::Receipt> receipt(const std::string& of) {
    auto in = truth->read();
    const auto found = in->statement({library(of), hq.nodes.at(name).id, std::string(node::receipt_subject)});
    return found && *found ? std::optional(*node::open_receipt((*found)->bytes, hq.nodes.at(name).sign.public_key())) : std::nullopt;
  }
};

/// The country, in which nodes may write by themselves and sapporo can be called.
inline std::string writable() {
  const std::string rule = "[[permit]]\nid = \"offices\"\nroles = [\"service\"]\nactions = [\"read\", \"write\"]\n[[permit]]";
  const std::string called = "control = \"tcp://127.0.0.1:7000\"\nbulk = \"tcp://127.0.0.1:7001\"\nintroduce = \"tcp://127.0.0.1:7002\"\n";
  return replaced(replaced(country, "[[permit]]", rule), "zone = \"north\"\n", "zone = \"north\"\n" + called);
}

struct Fixture : Seeded {
  Headquarters hq;
  Fixture() { hq.publish(writable()); }
};

}  // namespace dozo::engine_fixture
