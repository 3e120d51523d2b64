#include "node/compactor.h"

#include <algorithm>
#include <utility>

namespace dozo::node {

Compactor::Compactor(store::Kv& kv, const CompactorOptions& options) : kv_(kv), options_(options), vain_ms_(options.vain_ms), thread_([this] { work(); }) {}

Compactor::~Compactor() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Compactor::work() {
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, std::chrono::milliseconds(options_.rest_ms), [this] { return stop_; })) {
    lock.unlock();
    look();
    lock.lock();
  }
}

void Compactor::say(News line) {
  const std::lock_guard lock(mutex_);
  news_.push_back(std::move(line));
}
std::vector<Compactor::News> Compactor::take_news() {
  const std::lock_guard lock(mutex_);
  return std::exchange(news_, {});
}

void Compactor::look() {
  const auto before = kv_.stats();
  if (!before) return;  // whoever needs the store says so
  const bool rests = std::exchange(commits_, before->commits) == before->commits;
  if (!rests || compacted_ == before->commits || std::chrono::steady_clock::now() < not_before_) return;
  if (before->free_bytes < std::max(options_.free_bytes_least, before->used_bytes / options_.free_part_least)) return;
  const auto done = kv_.compact([this] {
    const std::lock_guard lock(mutex_);
    return !stop_;
  });
  if (!done || !*done) {
    if (!done) say({true, "not compacted: " + done.error().text});
    not_before_ = std::chrono::steady_clock::now() + std::chrono::milliseconds(vain_ms_);
    vain_ms_ = std::min(2 * vain_ms_, options_.vain_ms_most);
    return;
  }
  vain_ms_ = options_.vain_ms;
  not_before_ = std::chrono::steady_clock::now() + std::chrono::milliseconds(vain_ms_);  // one that is written to now and then is not written anew each time
  const auto after = kv_.stats();
  if (!after) return;
  commits_ = compacted_ = after->commits;
  say({false, "the derived store is compacted: " + std::to_string(before->used_bytes >> 10) + " to " + std::to_string(after->used_bytes >> 10) + " KiB"});
}

}  // namespace dozo::node
