// Chunker: where a content is cut into pieces. The cuts follow from the bytes around them (FastCDC, 2020, normalised), so that a change moves only the cuts
// near it. docs/storage-format.md section 2 has the rule and pins the table; everybody must cut alike, or nothing is found to be there already.
// Threads: pure functions.
#pragma once
#include "base/bytes.h"

namespace dozo::store {

inline constexpr std::size_t cut_bytes_min = 16 * 1024;
inline constexpr std::size_t cut_bytes_normal = 64 * 1024;  ///< what is left of a content is one piece when it is no longer than this
inline constexpr std::size_t cut_bytes_max = 256 * 1024;

/// Length of the piece that begins where `window` begins. `last`: the content ends where the window ends. 0: the window is too short to tell
/// (shorter than cut_bytes_max and not the last), or empty. Does not depend on how much more than that the window shows.
std::size_t next_cut(ByteView window, bool last);

/// The 256 numbers of the rolling sum: for byte i the first eight bytes, big-endian, of SHA-256("dozo gear 1" || i).
const std::array<std::uint64_t, 256>& gear_table();

}  // namespace dozo::store
