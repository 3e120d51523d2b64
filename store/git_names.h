// Git names: the one-to-one map between the names that a library may hold and the names that git takes in a tree.
//
// git and libgit2 refuse or treat specially some names that people may well use (`.git` and all that HFS+ or NTFS take for it,
// `.gitmodules`, 8.3 names such as `git~1`, back-slashes, dots and blanks at the end). Those are escaped; every other name stands as
// it is, in its own bytes. docs/history.md has the rule. Two names never share one git name, and no name's git name is `%folder`.
// Threads: pure functions.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace dozo::store {

/// The entry that stands for a folder's own document (rule 8 of the view: an empty folder is a document), inside that folder.
inline constexpr std::string_view folder_mark = "%folder";

/// The git name of any bytes at all; never empty, without NUL and slash.
std::string to_git_name(std::string_view name);

/// The name whose git name this is; nothing when it is no name's (`folder_mark` among others).
std::optional<std::string> from_git_name(std::string_view git_name);

}  // namespace dozo::store
