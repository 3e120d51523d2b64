// Register: who stands behind the names of a policy source. HQ's own file, not published.
// Threads: plain values and pure functions.
#pragma once
#include <map>
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
  /// A node that is to be cut in the version after `after`. That is done once a newer version than `after` is published.
  struct Revoked {
    std::string name;
    NodeId node;
    PolicyVersion after;
    bool cut{};                               ///< false: it only goes; what it wrote stays
    std::vector<node::local::HeadRow> heads;  ///< what it wrote up to here stays
  };
  std::vector<Revoked> revoked;

  policy::Names names() const;
};

std::string write_register(const Register& it);
/// Faults: malformed, unsupported.
Result<Register> read_register(std::string_view text);

}  // namespace dozo::tools
