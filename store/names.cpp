#include "store/names.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "store/unicode_tables.h"

namespace dozo::store {
namespace {

// Text as code points. A byte that is in no well-formed UTF-8 sequence is stray_first + byte: a surrogate, which no sequence can give.
using Points = std::u32string;
constexpr char32_t stray_first = 0xdc00;
bool is_stray(char32_t point) { return point >= stray_first && point < stray_first + 0x100; }

/// Bytes of the well-formed sequence at the start of `text` (not empty), or 0. Unicode 14.0, table 3-7.
std::size_t sequence_size(std::string_view text) {
  const auto at = [&](std::size_t i) { return i < text.size() ? static_cast<std::uint8_t>(text[i]) : std::uint8_t{0}; };
  const auto follows = [&](std::size_t i) { return (at(i) & 0xc0) == 0x80; };
  const std::uint8_t lead = at(0);
  if (lead < 0x80) return 1;
  if (lead < 0xc2) return 0;
  if (lead < 0xe0) return follows(1) ? 2 : 0;
  if (lead < 0xf0) {
    if (!follows(1) || !follows(2)) return 0;
    if (lead == 0xe0 && at(1) < 0xa0) return 0;
    if (lead == 0xed && at(1) > 0x9f) return 0;
    return 3;
  }
  if (lead > 0xf4 || !follows(1) || !follows(2) || !follows(3)) return 0;
  if (lead == 0xf0 && at(1) < 0x90) return 0;
  if (lead == 0xf4 && at(1) > 0x8f) return 0;
  return 4;
}

struct Point {
  char32_t value{};
  std::size_t size_bytes{};
};
Point first_point(std::string_view text) {
  const std::size_t size = sequence_size(text);
  const auto lead = static_cast<std::uint8_t>(text[0]);
  if (size == 0) return {stray_first + lead, 1};
  char32_t value = size == 1 ? lead : lead & (0x7fU >> size);
  for (std::size_t i = 1; i < size; ++i) value = value << 6 | (static_cast<std::uint8_t>(text[i]) & 0x3fU);
  return {value, size};
}
Points points_of(std::string_view text) {
  Points out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Point point = first_point(text);
    out += point.value;
    text.remove_prefix(point.size_bytes);
  }
  return out;
}
std::string bytes_of_points(const Points& points) {
  std::string out;
  out.reserve(points.size() * 2);
  const auto put = [&](char32_t value) { out += static_cast<char>(static_cast<std::uint8_t>(value)); };
  for (const char32_t point : points) {
    if (is_stray(point)) {
      put(point - stray_first);
    } else if (point < 0x80) {
      put(point);
    } else if (point < 0x800) {
      put(0xc0 | point >> 6), put(0x80 | (point & 0x3f));
    } else if (point < 0x10000) {
      put(0xe0 | point >> 12), put(0x80 | (point >> 6 & 0x3f)), put(0x80 | (point & 0x3f));
    } else {
      put(0xf0 | point >> 18), put(0x80 | (point >> 12 & 0x3f)), put(0x80 | (point >> 6 & 0x3f)), put(0x80 | (point & 0x3f));
    }
  }
  return out;
}
bool is_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<std::uint8_t>(c) < 0x80; });
}

/// The row of a table that ascends by `from`, or null.
template <class Row>
const Row* row_of(std::span<const Row> table, char32_t point) {
  const auto it = std::ranges::lower_bound(table, point, {}, &Row::from);
  return it != table.end() && it->from == point ? &*it : nullptr;
}
/// The range that holds the point, or null.
template <class Row>
const Row* range_of(std::span<const Row> table, char32_t point) {
  const auto it = std::ranges::lower_bound(table, point, {}, &Row::last);
  return it != table.end() && it->first <= point ? &*it : nullptr;
}
std::uint8_t combining_class(char32_t point) {
  const auto* row = range_of(unicode::combining_classes(), point);
  return row ? row->value : std::uint8_t{0};
}

// Hangul syllables, composed and decomposed by arithmetic (Unicode 14.0, section 3.12).
constexpr char32_t syllable_first = 0xac00, lead_first = 0x1100, vowel_first = 0x1161, tail_none = 0x11a7;
constexpr char32_t lead_count = 19, vowel_count = 21, tail_count = 28, syllable_count = lead_count * vowel_count * tail_count;

void decompose(char32_t point, Points& out) {
  if (point >= syllable_first && point < syllable_first + syllable_count) {
    const char32_t index = point - syllable_first;
    out.push_back(lead_first + index / (vowel_count * tail_count));
    out.push_back(vowel_first + index % (vowel_count * tail_count) / tail_count);
    if (index % tail_count != 0) out.push_back(tail_none + index % tail_count);
  } else if (const auto* row = point < 0xc0 ? nullptr : row_of(unicode::decompositions(), point)) {
    decompose(row->first, out);
    if (row->second != 0) decompose(row->second, out);
  } else {
    out.push_back(point);
  }
}
/// What the pair composes to, or 0.
char32_t composed(char32_t first, char32_t second) {
  if (first >= lead_first && first < lead_first + lead_count && second >= vowel_first && second < vowel_first + vowel_count) {
    return syllable_first + ((first - lead_first) * vowel_count + (second - vowel_first)) * tail_count;
  }
  if (first >= syllable_first && first < syllable_first + syllable_count && (first - syllable_first) % tail_count == 0 && second > tail_none &&
      second < tail_none + tail_count) {
    return first + (second - tail_none);
  }
  const auto table = unicode::compositions();
  const auto it = std::ranges::lower_bound(table, std::pair(first, second), {}, [](const auto& row) { return std::pair(row.first, row.second); });
  return it != table.end() && it->first == first && it->second == second ? it->to : 0;
}

/// A text of these alone is in form C: of them none moves past another, no two compose, and what comes apart comes together again. Latin in one piece, kana,
/// ideographs, full and half widths.
bool is_inert(char32_t point) {
  return point < 0x300 || (point >= 0x3041 && point <= 0x3096) || (point >= 0x309b && point <= 0x30ff) || (point >= 0x3400 && point <= 0x9fff) ||
         (point >= 0xff01 && point <= 0xffee);
}
bool is_inert(const Points& points) {
  return std::ranges::all_of(points, [](char32_t point) { return is_inert(point); });
}
bool is_caseless(char32_t point) { return point >= 0x3041 && point <= 0x9fff; }  // kana, ideographs

Points nfc_of(Points from) {
  if (is_inert(from)) return from;
  Points apart;
  apart.reserve(from.size() + 8);
  for (const char32_t point : from) decompose(point, apart);
  for (std::size_t i = 0; i < apart.size();) {  // marks in the order of their classes
    std::size_t end = i;
    while (end < apart.size() && combining_class(apart[end]) != 0) ++end;
    std::ranges::stable_sort(apart.begin() + static_cast<std::ptrdiff_t>(i), apart.begin() + static_cast<std::ptrdiff_t>(end), {}, combining_class);
    i = end + 1;
  }
  Points out;
  out.reserve(apart.size());
  std::size_t starter = Points::npos;
  std::uint8_t last_class = 0;
  for (const char32_t point : apart) {
    const std::uint8_t own_class = combining_class(point);
    if (starter != Points::npos && (out.size() - 1 == starter || last_class < own_class)) {
      if (const char32_t one = composed(out[starter], point)) {
        out[starter] = one;
        continue;
      }
    }
    if (own_class == 0) starter = out.size();
    last_class = own_class;
    out += point;
  }
  return out;
}

std::string ascii_lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

/// Of ASCII, kana and ideographs alone (most names here): inert, so in form C, and but for ASCII without case. Nothing: something else is in it.
std::optional<std::string> fold_plain(std::string_view text) {
  std::string out = ascii_lower(text);
  for (std::size_t at = 0; at < out.size();) {
    const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(out[at + i]); };
    if (byte(0) < 0x80) {
      ++at;
      continue;
    }
    if (byte(0) < 0xe3 || byte(0) > 0xe9 || out.size() - at < 3 || (byte(1) & 0xc0) != 0x80 || (byte(2) & 0xc0) != 0x80) return std::nullopt;
    const char32_t point = static_cast<char32_t>(byte(0) & 0x0f) << 12 | static_cast<char32_t>(byte(1) & 0x3f) << 6 | static_cast<char32_t>(byte(2) & 0x3f);
    if (!is_inert(point) || !is_caseless(point)) return std::nullopt;
    at += 3;
  }
  return out;
}

}  // namespace

std::string nfc(std::string_view text) {
  if (is_ascii(text)) return std::string(text);
  return bytes_of_points(nfc_of(points_of(text)));
}

std::string fold(std::string_view text) {
  if (auto plain = fold_plain(text)) return std::move(*plain);
  Points folded;
  for (const char32_t point : nfc_of(points_of(text))) {
    const auto* row = is_caseless(point) ? nullptr : row_of(unicode::folds(), point);
    if (!row) folded += point;
    for (std::size_t i = 0; row && i < 3 && row->to[i] != 0; ++i) folded += row->to[i];
  }
  return bytes_of_points(nfc_of(std::move(folded)));
}

std::string name_key(NameRule rule, std::string_view name) { return rule == NameRule::portable ? fold(name) : std::string(name); }

std::string cut(std::string_view name, std::size_t size_bytes_most) {
  std::size_t size = 0;
  while (size < name.size()) {
    const std::size_t next = size + first_point(name.substr(size)).size_bytes;
    if (next > size_bytes_most) break;
    size = next;
  }
  return std::string(name.substr(0, size));
}

std::string clean(std::string_view who) {
  Points points = points_of(who);
  for (char32_t& point : points) {
    if (point == '/' || is_stray(point) || range_of(unicode::others(), point)) point = '_';
  }
  return cut(bytes_of_points(points), who_shown_bytes_most);
}

bool good_path(std::string_view path) {
  if (path.size() > path_bytes_most || path.find('\0') != std::string_view::npos) return false;
  if (std::ranges::count(path, '/') >= static_cast<std::ptrdiff_t>(path_parts_most)) return false;
  return std::ranges::all_of(parts_of(path),
                             [](std::string_view part) { return !part.empty() && part != "." && part != ".." && part.size() <= name_bytes_most; });
}

std::vector<std::string_view> parts_of(std::string_view path) {
  std::vector<std::string_view> out;
  for (std::size_t from = 0;;) {
    const std::size_t slash = path.find('/', from);
    out.push_back(path.substr(from, slash - from));
    if (slash == std::string_view::npos) return out;
    from = slash + 1;
  }
}

std::string time_text(std::uint64_t hlc) {
  using namespace std::chrono;
  constexpr seconds japan = hours(9);
  const auto local = sys_seconds(seconds((hlc >> 16) / 1000) + japan);
  const auto day = floor<days>(local);
  const year_month_day date(day);
  const hh_mm_ss time(local - day);
  return fmt::format(" {:04}-{:02}-{:02} {:02}.{:02}", static_cast<int>(date.year()), static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     time.hours().count(), time.minutes().count());
}

std::string conflict_name(std::string_view name, std::string_view text, std::string_view tag, std::uint64_t attempt) {
  constexpr std::size_t extension_bytes_most = 16, extension_bytes_min = 2;
  const std::size_t dot = name.rfind('.');
  std::string_view stem = name, ext;
  if (dot != std::string_view::npos && dot > 0 && name.size() - dot >= extension_bytes_min && name.size() - dot <= extension_bytes_most) {
    stem = name.substr(0, dot);
    if (stem.size() > 4 && ascii_lower(stem.substr(stem.size() - 4)) == ".tar") stem.remove_suffix(4);
    ext = name.substr(stem.size());
  }
  std::string shown(attempt == 0 ? tag.substr(0, 6) : tag);
  if (attempt >= 2) shown += fmt::format("-{}", attempt);
  const std::string tail = text.empty() ? fmt::format("{}{})", conflict_mark, shown) : fmt::format("{}{} {})", conflict_mark, text, shown);
  const std::size_t spent = tail.size() + ext.size();
  return cut(stem, spent < name_bytes_most ? name_bytes_most - spent : 0) + tail + std::string(ext);
}

}  // namespace dozo::store
