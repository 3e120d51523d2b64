// Acts: the operations by which a folder or a request does something to what it was shown.
//
// Each replaces exactly the versions that were shown, so that what the writer did not see survives. Whoever puts operations into a record passes
// them through `anew` first.
// `registers` are those of the document that is shown. Threads: pure functions, but for `anew`.
#pragma once
#include <vector>

#include "store/folder.h"

namespace dozo::store {

/// A content to be written: its value, and where it is.
struct Content {
  ContentValue value;
  std::optional<Source> source;
};

/// The operation, counted up (`again`) until its version is one that the library has not replaced: otherwise it would be dead when it is written.
/// That happens where a cut left out what replaced an equal version.
Result<Op> anew(const Folder& folder, Op op);

std::vector<Op> create(const DocumentId& document, const std::string& path, const Content& content);
/// Over the shown file; through a sibling it stays that sibling.
std::vector<Op> save(const Shown& shown, const Content& content);
std::vector<Op> rename(const Registers& registers, const Shown& shown, const std::string& path);
std::vector<Op> set_label(const Registers& registers, const Shown& shown, std::uint32_t number);
/// The whole document, all its sides. A version that the view does not have survives it.
std::vector<Op> remove(const Registers& registers, const Shown& shown);
/// Ends each conflict inside the document with this content; a register without conflict is left alone. May be empty.
std::vector<Op> resolve(const Registers& registers, const Shown& shown, const Content& content);
/// One side goes of all that the document shows (Folder::of): the others are written anew over it, so that two who drop different sides lose neither. Empty: it
/// is the only side; remove().
std::vector<Op> drop(const std::vector<Shown>& sides, const Shown& shown);
/// Of two documents at one name one stays, written anew, and the other goes: two who keep different ones lose neither.
std::vector<Op> keep(const Registers& kept_registers, const Shown& kept, const Registers& gone_registers, const Shown& gone);

}  // namespace dozo::store
