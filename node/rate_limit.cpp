#include "node/rate_limit.h"

#include <algorithm>

namespace dozo::node {

void RateLimit::fill(Bucket& bucket, double per_second, double burst, std::int64_t now_ms) {
  if (now_ms <= bucket.filled_ms) return;
  bucket.tokens = std::min(burst, bucket.tokens + per_second * static_cast<double>(now_ms - bucket.filled_ms) / 1000.0);
  bucket.filled_ms = now_ms;
}

void RateLimit::forget_one() {
  const auto oldest = std::min_element(keys_.begin(), keys_.end(), [](const auto& a, const auto& b) { return a.second.filled_ms < b.second.filled_ms; });
  if (oldest != keys_.end()) keys_.erase(oldest);
}

bool RateLimit::admit(const crypto::TransportPublicKey& key, std::int64_t now_ms) {
  fill(all_, options_.per_second, options_.burst, now_ms);
  // The bucket of all first: while it is empty no key makes the table move.
  if (all_.tokens < 1) return false;
  auto it = keys_.find(key);
  if (it == keys_.end()) {
    if (options_.keys_most == 0) return false;
    if (keys_.size() >= options_.keys_most) forget_one();
    it = keys_.emplace(key, Bucket{options_.key_burst, now_ms}).first;
  }
  fill(it->second, options_.key_per_second, options_.key_burst, now_ms);
  if (it->second.tokens < 1) return false;
  it->second.tokens -= 1;
  all_.tokens -= 1;
  return true;
}

}  // namespace dozo::node
