#include "tests/allocations.h"

#include <malloc.h>

#include <cstdlib>
#include <new>

namespace {
std::size_t count = 0, live = 0, watched_count = 0, fails_at = 0;
bool watching = false;
}  // namespace
std::size_t dozo::allocations::so_far() { return count; }
std::size_t dozo::allocations::bytes_live() { return live; }
void dozo::allocations::fail_at(std::size_t n) {
  watched_count = 0;
  fails_at = n;
}
void dozo::allocations::watch(bool on) { watching = on; }
std::size_t dozo::allocations::watched() { return watched_count; }

// In a file of their own, where the compiler does not see the one that a pointer came from beside the one that it goes to.
void* operator new(std::size_t size) {
  ++count;
  if (watching && ++watched_count == fails_at) throw std::bad_alloc();
  void* it = std::malloc(size > 0 ? size : 1);
  if (it == nullptr) throw std::bad_alloc();
  live += malloc_usable_size(it);
  return it;
}
// As the library's own; a sanitizer's would not go through the one above.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  try {
    return operator new(size);
  } catch (...) {
    return nullptr;
  }
}
void operator delete(void* it) noexcept {
  live -= malloc_usable_size(it);  // 0 of null
  std::free(it);
}
void operator delete(void* it, std::size_t) noexcept { operator delete(it); }
