// RateLimit: token buckets, one for all and one for each key, in a table that never grows beyond its bound.
//
// A full table forgets the key that was refilled longest ago: whoever floods it with fresh keys meets the bucket of all.
// Threads: none of its own; one owner at a time. Time is a parameter.
#pragma once
#include <cstdint>
#include <map>

#include "crypto/identity.h"

namespace dozo::node {

class RateLimit {
 public:
  struct Options {
    double per_second{}, burst{};          ///< of all together
    double key_per_second{}, key_burst{};  ///< of one key
    std::size_t keys_most = 1'024;
  };
  explicit RateLimit(Options options) : options_(options), all_{options.burst, 0} {}

  /// Takes one token of the key's bucket and one of all; false, and none taken, where either is empty. Time that runs backwards refills nothing.
  bool admit(const crypto::TransportPublicKey& key, std::int64_t now_ms);
  std::size_t keys() const { return keys_.size(); }

 private:
  struct Bucket {
    double tokens{};
    std::int64_t filled_ms{};
  };
  static void fill(Bucket& bucket, double per_second, double burst, std::int64_t now_ms);
  void forget_one();

  Options options_;
  Bucket all_;
  std::map<crypto::TransportPublicKey, Bucket> keys_;
};

}  // namespace dozo::node
