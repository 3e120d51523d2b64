#include "tests/simulator/process.h"

#include "crypto/random.h"
#include "store/truth_rows.h"

namespace dozo::simulator {

Process::Process(std::string name_, NodeIndex index_)
    : name(std::move(name_)), index(index_), keys(crypto::NodeKeys::generate()), local(crypto::LocalKey::Root::random()) {}

Result<void> Process::start(Start how) {
  ++run;
  crash_is_due = false;
  truth_kv = std::make_unique<store::MemoryKv>(disks.truth, store::Truth::tables().size());
  derived_kv = std::make_unique<store::MemoryKv>(disks.derived, node::derived_tables().size());
  truth_kv->inject(std::move(how.truth_hook));
  derived_kv->inject(std::move(how.derived_hook));
  if (!how.same_incarnation) incarnation = crypto::random_id<IncarnationId>();
  const auto begin = [&]() -> Result<void> {
    Result<std::unique_ptr<store::Truth>> opened = store::Truth::open(*truth_kv, sealer);
    if (!opened && opened.error().fault == Fault::not_found) opened = store::Truth::create(*truth_kv, sealer);
    truth = TRY(std::move(opened));
    node::EngineContext context{
        *truth, *derived_kv, local, keys, std::move(how.first_root), std::move(how.contacts), {}, incarnation, std::move(how.freshness)};
    engine = TRY(node::Engine::open(std::move(context), how.now));
    return {};
  };
  Result<void> done = begin();
  if (!done) stop();
  return done;
}

void Process::stop() {
  save.reset();
  engine.reset();
  truth.reset();
  derived_kv.reset();
  truth_kv.reset();
  wake_ms.reset();
  peers.clear();
}

}  // namespace dozo::simulator
