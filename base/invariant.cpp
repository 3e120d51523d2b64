#include "base/invariant.h"

#include <cstdio>
#include <cstdlib>

namespace dozo {

void invariant_broken(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "dozo: broken invariant: %s (%s:%d)\n", condition, file, line);
  std::abort();
}

}  // namespace dozo
