// The libFuzzer program: fuzz --target=NAME FOLDER... -max_total_time=60. New finds go into the first folder.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "crypto/start.h"
#include "tests/fuzz/targets.h"

namespace {

const dozo::fuzz::Target* target = nullptr;

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* count, char*** arguments) {
  constexpr std::string_view option = "--target=";  // libFuzzer passes over what begins so
  if (!dozo::crypto::start()) std::abort();
  static const std::vector<dozo::fuzz::Target> targets = dozo::fuzz::all_targets();
  for (int i = 1; i < *count; ++i) {
    const std::string_view argument = (*arguments)[i];
    if (!argument.starts_with(option)) continue;
    const auto found = std::ranges::find(targets, argument.substr(option.size()), &dozo::fuzz::Target::name);
    if (found != targets.end()) target = &*found;
  }
  if (target != nullptr) return 0;
  std::fprintf(stderr, "name a target with --target=NAME:\n");
  for (const dozo::fuzz::Target& it : targets) std::fprintf(stderr, "  %s\n", std::string(it.name).c_str());
  std::exit(2);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  target->body({data, size});
  return 0;
}
