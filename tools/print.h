// Print: results on standard output, as JSON that is always valid. Heavy: for .cpp files that show results.
// Threads: one.
#pragma once
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

namespace dozo::tools {

using nlohmann::json;

/// One line. Stray bytes of a text become U+FFFD.
inline void print(const json& value) { std::printf("%s\n", value.dump(-1, ' ', false, json::error_handler_t::replace).c_str()); }

}  // namespace dozo::tools
