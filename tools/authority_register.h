// Register: who stands behind the names of a policy source. HQ's own file, not published.
// Threads: plain values and pure functions.
#pragma once
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "node/local_messages.h"
#include "policy/source.h"

namespace dozo::tools {

struct Register {
  std::map<std::string, crypto::NodePublic> nodes;
  struct Person {
    PersonId id;
    crypto::VerifyKey key;
  };
  std::map<std::string, Person> people;
  std::map<std::string, LibraryId> libraries;
  /// Who was taken out after version `after` was published. What it says of cuts is done once a newer one is.
  struct Revoked {
    std::string name;
    policy::CutSubject subject;
    PolicyVersion after;
    bool cut{};                                      ///< false: what it wrote stays
    std::vector<node::local::HeadRow> heads;         ///< up to here, where it is cut
    std::optional<std::set<LibraryId>> libraries{};  ///< in which `heads` is all that is known of it; nothing: in all
  };
  std::vector<Revoked> revoked;
  /// The newest word about somebody who is out; null: there is none, or he was admitted again.
  const Revoked* last_word(const policy::CutSubject& subject) const;

  policy::Names names() const;
};

std::string write_register(const Register& it);
/// Faults: malformed, unsupported.
Result<Register> read_register(std::string_view text);

}  // namespace dozo::tools
