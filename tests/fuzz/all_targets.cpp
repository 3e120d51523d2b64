#include "tests/fuzz/targets.h"

namespace dozo::fuzz {

std::vector<Target> all_targets() {
  std::vector<Target> out;
  for (const auto& room : {crypto_targets(), policy_targets(), store_targets(), sync_targets(), node_targets()})
    out.insert(out.end(), room.begin(), room.end());
  return out;
}

}  // namespace dozo::fuzz
