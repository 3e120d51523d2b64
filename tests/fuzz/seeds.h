// Seeds: small valid values for every fuzz target, from which the corpus is written and fuzzers begin. Repeatable.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace dozo::fuzz {

/// By target; at least one for each. Needs doctest's context, and seeded randomness if they are to be the same again.
std::map<std::string, std::vector<Bytes>> make_seeds();

}  // namespace dozo::fuzz
