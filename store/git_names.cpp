#include "store/git_names.h"

#include <algorithm>
#include <array>

namespace dozo::store {
namespace {

constexpr std::string_view escape_mark = "%=";
constexpr std::string_view hex_digits = "0123456789ABCDEF";

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// The code points that HFS+ leaves out when it compares names, in UTF-8: how many bytes of one stand at the front of `text`; 0: none.
std::size_t ignored_by_hfs(std::string_view text) {
  if (text.size() < 3) return 0;
  const auto a = static_cast<unsigned char>(text[0]), b = static_cast<unsigned char>(text[1]), c = static_cast<unsigned char>(text[2]);
  const bool joiner_or_mark = a == 0xe2 && b == 0x80 && ((c >= 0x8c && c <= 0x8f) || (c >= 0xaa && c <= 0xae));  // U+200C..F, U+202A..E
  const bool shaping = a == 0xe2 && b == 0x81 && c >= 0xaa && c <= 0xaf;                                         // U+206A..F
  const bool byte_order_mark = a == 0xef && b == 0xbb && c == 0xbf;                                              // U+FEFF
  return joiner_or_mark || shaping || byte_order_mark ? 3 : 0;
}

/// Whether git or libgit2, with the protections for any file system on, might refuse the name or read a meaning into it. Wider than
/// their rules on purpose: theirs grew over the years, and an escaped name costs nothing but looks.
bool is_touchy(std::string_view name) {
  if (name.empty() || name.front() == '%' || name.back() == '.' || name.back() == ' ') return true;
  if (name.find_first_of(std::string_view("/\\\0", 3)) != std::string_view::npos) return true;
  std::array<char, 4> start{};
  std::size_t taken = 0;
  for (std::size_t i = 0; i < name.size() && taken < start.size();) {
    if (const std::size_t skip = ignored_by_hfs(name.substr(i))) {
      i += skip;
      continue;
    }
    start[taken++] = lower(name[i++]);
  }
  if (std::string_view(start.data(), taken) == ".git") return true;  // and .gitmodules, .gitattributes, ...
  for (std::size_t i = 0; i + 1 < std::min<std::size_t>(name.size(), 8); ++i)
    if (name[i] == '~' && name[i + 1] >= '0' && name[i + 1] <= '9') return true;  // GIT~1, GITMOD~1, GI7EBA~1: short names of NTFS
  return false;
}

bool stays_when_escaped(std::string_view name, std::size_t i) {
  const auto c = static_cast<unsigned char>(name[i]);
  if (c < 0x20 || c == 0x7f) return false;
  if (std::string_view("%/\\:~").find(name[i]) != std::string_view::npos) return false;
  return i + 1 != name.size() || (c != '.' && c != ' ');
}

int digit(char c) {
  const std::size_t at = hex_digits.find(c);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

}  // namespace

std::string to_git_name(std::string_view name) {
  if (!is_touchy(name)) return std::string(name);
  std::string out(escape_mark);
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (stays_when_escaped(name, i)) {
      out += name[i];
    } else {
      const auto c = static_cast<unsigned char>(name[i]);
      out += '%';
      out += hex_digits[c >> 4];
      out += hex_digits[c & 15];
    }
  }
  return out;
}

std::optional<std::string> from_git_name(std::string_view git_name) {
  std::string name;
  if (git_name.starts_with(escape_mark)) {
    const std::string_view rest = git_name.substr(escape_mark.size());
    for (std::size_t i = 0; i < rest.size(); ++i) {
      if (rest[i] != '%') {
        name += rest[i];
        continue;
      }
      if (rest.size() - i < 3) return std::nullopt;
      const int high = digit(rest[i + 1]), low = digit(rest[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      name += static_cast<char>(high << 4 | low);
      i += 2;
    }
  } else {
    name = git_name;
  }
  if (to_git_name(name) != git_name) return std::nullopt;  // one name, one git name
  return name;
}

}  // namespace dozo::store
