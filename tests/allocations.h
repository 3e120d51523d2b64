// How many allocations this process has made, and the bytes that it holds now: a measure of cost that follows from what is done, not from how busy the machine
// is. For test binaries that list allocations.cpp among their sources. Threads: one.
#pragma once
#include <cstddef>

namespace dozo::allocations {
std::size_t so_far();
std::size_t bytes_live();

/// Of those that are made while it watches, the n-th from now on throws std::bad_alloc, once; 0: none.
void fail_at(std::size_t n);
void watch(bool on);
std::size_t watched();  ///< since fail_at
}  // namespace dozo::allocations
