// steady_ms: the clock that measures waits, for the shell around the engine. The engine itself is told the time.
// Threads: any.
#pragma once
#include <chrono>
#include <cstdint>

namespace dozo::node {

/// Milliseconds since some moment before the program began; never set back.
inline std::int64_t steady_ms() { return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace dozo::node
