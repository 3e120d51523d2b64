// How many allocations this process has made: a measure of cost that follows from what is done, not from how busy the machine is.
// For test binaries that list allocations.cpp among their sources. Threads: one.
#pragma once
#include <cstddef>

namespace dozo::allocations {
std::size_t so_far();
}
