// Unicode tables: the parts of Unicode 14.0 that names are compared and cleaned by. For names.cpp alone.
// Made by tools/unicode-tables; each table ascends by its first member (compositions by the first two).
// Threads: constants.
#pragma once
#include <cstdint>
#include <span>

namespace dozo::store::unicode {

/// Full case folding of one character: one to three characters, zero at the end.
struct Fold {
  char32_t from, to[3];
};
/// One step of canonical decomposition; `second` is zero for a single character. Hangul is not here.
struct Decomposition {
  char32_t from, first, second;
};
/// A pair that NFC makes one.
struct Composition {
  char32_t first, second, to;
};
/// Characters that are not starters.
struct CombiningClass {
  char32_t first, last;
  std::uint8_t value;
};
struct Range {
  char32_t first, last;
};

std::span<const Fold> folds();
std::span<const Decomposition> decompositions();
std::span<const Composition> compositions();
std::span<const CombiningClass> combining_classes();
std::span<const Range> others();  ///< general category C: control, format, private, unassigned (surrogates are no characters here)

}  // namespace dozo::store::unicode
