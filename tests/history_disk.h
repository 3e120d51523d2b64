// A disk for tests of history: the memory body of Kv, which dies at a chosen call and counts what each transaction writes.
#pragma once
#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string_view>

#include "crypto/local_seal.h"
#include "crypto/start.h"
#include "store/history.h"
#include "store/kv_memory.h"

namespace dozo::history_fixture {

inline const bool started = crypto::start().has_value();

class Disk {
 public:
  LibraryId library{{7}};

  /// `node`: whose key seals it; two nodes' disks have no row in common.
  explicit Disk(std::uint8_t node = 1) : key_(crypto::LocalKey::Root::made_by([node](auto bytes) { std::ranges::fill(bytes, node); })) { revive(); }

  Result<store::History> open() { return open(library); }
  Result<store::History> open(const LibraryId& of) { return store::History::open(*kv_, key_, of); }
  store::Kv& kv() { return *kv_; }
  const crypto::LocalKey& key() const { return key_; }

  /// All that is stored. The reference holds as long as this.
  const store::MemoryDisk::Rows& rows() const { return disk_.tables.at(0); }
  void set(const Bytes& key, Bytes value) { disk_.tables.at(0)[key] = std::move(value); }
  void erase(const Bytes& key) { disk_.tables.at(0).erase(key); }

  /// That many more calls of the seam are answered; at the next one the process is dead.
  void die_after(long calls) { left_ = calls; }
  bool is_dead() const { return kv_->crashed(); }
  /// A new process on the same disk. Whatever was opened before must not be used any more.
  void revive() {
    kv_.reset();
    left_.reset();
    writes_ = 0;
    kv_ = std::make_unique<store::MemoryKv>(disk_, 1);
    kv_->inject([this](std::string_view operation) { return called(operation); });
  }

  std::size_t commits() const { return commits_; }
  std::size_t largest_transaction() const { return largest_; }  ///< in puts and erasures

 private:
  store::Injected called(std::string_view operation) {
    if (left_ && (*left_)-- == 0) return store::Injected::crash;
    if (operation == "write") writes_ = 0;
    if (operation == "put" || operation == "reserve" || operation == "erase") largest_ = std::max(largest_, ++writes_);
    if (operation == "commit") ++commits_;
    return store::Injected::none;
  }

  crypto::LocalKey key_;
  store::MemoryDisk disk_;
  std::unique_ptr<store::MemoryKv> kv_;
  std::optional<long> left_;
  std::size_t writes_ = 0, largest_ = 0, commits_ = 0;
};

inline store::History opened(Disk& disk) {
  auto history = disk.open();
  REQUIRE(history);
  return *std::move(history);
}

}  // namespace dozo::history_fixture
