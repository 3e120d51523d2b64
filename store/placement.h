// Placement: what one document asks of the folder: its path, its age there, and what it would show. A function of that document's registers alone;
// who gets which name is decided among the documents (folder.h).
// Threads: pure functions and plain values.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "store/folder.h"

namespace dozo::store {

/// Who was first at a name. Documents with a live path come first, then those whose path is deleted, then those without any accepted path.
struct Age {
  int standing{};       ///< 0, 1, 2 in that order
  Stamp since;          ///< standing 0 and 1
  DocumentId document;  ///< standing 2; else zero
  friend auto operator<=>(const Age&, const Age&) = default;
};

struct Placement {
  Age age;
  std::string at;
  std::optional<Shown> dir;             ///< it asks for a folder at `at`
  std::optional<Shown> first;           ///< it asks for the name itself
  std::string first_text;               ///< if it must step aside: the text of its conflict name, whose tag is the document's id
  std::vector<Shown> beside;            ///< other contents, each with its side
  std::vector<ConflictKind> conflicts;  ///< that lie inside the document: all kinds but `name`
  bool operator==(const Placement&) const = default;
};

/// Nothing: the document is deleted, or none of its content is accepted.
std::optional<Placement> place(const Registers& registers);

/// A document's id as the tag of its conflict name.
inline VersionId tag_id(const DocumentId& document) { return {document.bytes}; }

}  // namespace dozo::store
