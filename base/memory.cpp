#include "base/memory.h"

#include <cstdio>
#include <cstdlib>
#include <new>

namespace dozo {
namespace {

const char* last_line = "";
int last_status = 1;

/// Allocates nothing: standard error has no buffer.
void end() {
  std::fputs(last_line, stderr);
  std::_Exit(last_status);
}

}  // namespace

void end_when_out_of_memory(const char* line, int status) {
  last_line = line;
  last_status = status;
  std::set_new_handler(end);
}

void out_of_memory() {
  if (const std::new_handler handler = std::get_new_handler()) handler();
  throw std::bad_alloc();
}

}  // namespace dozo
