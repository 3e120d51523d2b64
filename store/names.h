// Names: how a document's name is compared, cut, cleaned and, when it must step aside, made over.
//
// A name is bytes, kept as they came. Only its *fold* decides which names meet: NFC(casefold(NFC(name))) where what is not
// well-formed UTF-8 stands byte for byte for itself. The tables are Unicode 14.0, in this room, and never the system's: two nodes that
// fold differently would show different folders. A newer table is a new version of the view's rules.
// Not here: which document gets which name (folder.h), what a file system can store (the desk).
// Threads: pure functions.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"

namespace dozo::store {

inline constexpr std::size_t path_bytes_most = 4096;
/// Components of a path. A library's cost grows with the folders that it shows, and a record of a few bytes could name thousands in one path.
inline constexpr std::size_t path_parts_most = 64;
inline constexpr std::size_t name_bytes_most = 255;
inline constexpr std::size_t who_shown_bytes_most = 96;

/// Which names meet: by their bytes, or as people and other systems' file systems see them. A library has one rule, set by policy.
enum class NameRule { bytes, portable };
constexpr NameRule wire_last(NameRule) { return NameRule::portable; }

/// The key by which a name or a whole path is compared (a fold neither makes nor takes a slash).
std::string name_key(NameRule rule, std::string_view name);

/// Unicode normalisation form C, and NFC(casefold(NFC)); stray bytes stand for themselves.
std::string nfc(std::string_view text);
std::string fold(std::string_view text);

/// At most `size_bytes_most` bytes of `name`, ending between characters: a well-formed UTF-8 sequence, or one byte that is in none.
std::string cut(std::string_view name, std::size_t size_bytes_most);

/// `who` as it may stand in a name: separators, control, format, private and unassigned characters and stray bytes become `_`;
/// at most 96 bytes.
std::string clean(std::string_view who);

/// Relative, of 1 to 4096 bytes and at most 64 components, none of them empty, `.`, `..`, with a NUL or above 255 bytes.
bool good_path(std::string_view path);

/// The components of a good path.
std::vector<std::string_view> parts_of(std::string_view path);

/// " 2026-11-23 14.05": the hour in Japan (UTC+9) of a hybrid time, with the blank before it.
std::string time_text(std::uint64_t hlc);

/// 26 characters of Crockford's base 32 (to_base32) of a version's or a document's id; names show the first six.
template <class Id>
std::string tag_of(const Id& id) {
  static_assert(Id::size == 16);
  return to_base32(id.view());
}

/// `name (conflict, TEXT TAG).ext` in at most 255 bytes: the stem is cut, never the extension (at most 16 bytes with its dot, a `.tar`
/// before it apart). `tag` has 26 characters: attempt 0 shows six of them, 1 all, from 2 on the attempt's number too.
inline constexpr std::string_view conflict_mark = " (conflict, ";  ///< in every such name
std::string conflict_name(std::string_view name, std::string_view text, std::string_view tag, std::uint64_t attempt);

}  // namespace dozo::store
