// A libFuzzer program for the target that the build names: fuzz_NAME CORPUS_FOLDER -max_total_time=60
#include <cstdio>

#include "base/invariant.h"
#include "crypto/start.h"
#include "tests/fuzz/targets.h"

namespace {

const dozo::fuzz::Target& target() {
  static const dozo::fuzz::Target found = [] {
    INVARIANT(dozo::crypto::start());
    for (const dozo::fuzz::Target& it : dozo::fuzz::all_targets())
      if (it.name == DOZO_FUZZ_TARGET) return it;
    std::fprintf(stderr, "there is no target %s\n", DOZO_FUZZ_TARGET);
    std::abort();
  }();
  return found;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  target().body({data, size});
  return 0;
}
