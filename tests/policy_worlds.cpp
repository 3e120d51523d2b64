// Random policies with requests and what dozo decides, one JSON object a line, for a second evaluator (reference/evaluate.py):
//
//     policy_worlds POLICIES REQUESTS [FIRST_SEED]
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "tests/policy_world.h"

using namespace dozo;
using namespace dozo::policy_fixture;
using nlohmann::json;

int main(int count, char** arguments) {
  if (count < 3) return std::fprintf(stderr, "usage: policy_worlds POLICIES REQUESTS [FIRST_SEED]\n"), 2;
  const std::uint64_t policies = std::strtoull(arguments[1], nullptr, 10), requests = std::strtoull(arguments[2], nullptr, 10);
  const std::uint64_t first = count > 3 ? std::strtoull(arguments[3], nullptr, 10) : 1;
  for (std::uint64_t seed = first; seed < first + policies; ++seed) {
    World world(seed);
    const Policy policy({1}, world.mesh, world.directory);
    json asked = json::array();
    for (std::uint64_t i = 0; i < requests; ++i) {
      const Request it = world.ask();
      const Decision decision = policy.decide(it);
      asked.push_back({it.person.hex(), it.role, it.org, it.node.hex(), std::string(name_of(it.action)), it.library.hex(), it.label ? json(*it.label) : json(),
                       it.time_ms, it.acted_as ? json(*it.acted_as) : json(), decision.allowed, decision.permits, decision.forbids, decision.errors});
    }
    const Bytes mesh = format(world.mesh), directory = format(world.directory);
    std::printf("{\"seed\":%llu,\"mesh\":%.*s,\"directory\":%.*s,\"asked\":%s}\n", static_cast<unsigned long long>(seed), static_cast<int>(mesh.size()),
                reinterpret_cast<const char*>(mesh.data()), static_cast<int>(directory.size()), reinterpret_cast<const char*>(directory.data()),
                asked.dump().c_str());
  }
  return 0;
}
