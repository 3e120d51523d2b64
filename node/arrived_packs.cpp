#include "node/arrived_packs.h"

#include "base/invariant.h"

namespace dozo::node {
namespace {

Result<void> put(store::Truth& truth, const ArrivedPacks::Batch& batch) {
  store::TruthWrite write = TRY(truth.write());
  if (batch.expect_no_reads) write.expect_no_reads();
  for (const ArrivedPacks::Pack& pack : batch.packs) TRY(write.put_pack(PackAddress{pack.id.sha256.bytes}, pack.sealed));
  return write.commit();
}

void do_all(store::Truth& truth, ArrivedPacks::Batch& batch) {
  batch.written = put(truth, batch);
  if (!batch.written) return;
  for (ArrivedPacks::Pack& pack : batch.packs) {
    if (!pack.key) continue;
    const auto opened = store::OpenPack::open(*pack.key, pack.sealed, pack.id.library);
    if (opened && opened->verify_all()) pack.places = opened->places();
  }
}

}  // namespace

ArrivedPacks::ArrivedPacks(store::Truth& truth, std::function<void()> woken) : truth_(truth), woken_(std::move(woken)) {
  if (woken_) thread_.emplace([this] { work(); });
}

ArrivedPacks::~ArrivedPacks() {
  if (!thread_) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_->join();
}

void ArrivedPacks::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stop_ || to_write_; });
    if (!to_write_) return;
    Batch batch = std::move(*to_write_);
    to_write_.reset();
    lock.unlock();
    do_all(truth_, batch);
    lock.lock();
    done_ = std::move(batch);
    lock.unlock();
    woken_();
    lock.lock();
  }
}

void ArrivedPacks::write(Batch batch) {
  INVARIANT(!busy_);
  busy_ = true;
  if (!thread_) {
    do_all(truth_, batch);
    done_ = std::move(batch);
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    to_write_ = std::move(batch);
  }
  changed_.notify_all();
}

std::optional<ArrivedPacks::Batch> ArrivedPacks::take() {
  const std::lock_guard lock(mutex_);
  if (!done_) return std::nullopt;
  busy_ = false;
  return std::exchange(done_, std::nullopt);
}

bool ArrivedPacks::has_something() const {
  const std::lock_guard lock(mutex_);
  return done_.has_value();
}

}  // namespace dozo::node
