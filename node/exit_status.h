// Exit status: with which number `dozo` and `dozod` end for a fault (docs/cli.md has the table).
// Threads: a pure function.
#pragma once
#include "base/result.h"

namespace dozo::node {

constexpr int exit_status(Fault fault) {
  switch (fault) {
    case Fault::not_found: return 3;
    case Fault::exists:
    case Fault::stale: return 5;
    case Fault::not_authentic:
    case Fault::denied:
    case Fault::unsupported: return 4;
    case Fault::corrupt: return 6;
    case Fault::unavailable: return 7;
    case Fault::malformed:
    case Fault::over_limit: return 1;
  }
  return 1;
}

}  // namespace dozo::node
