// Refusal log: what this node has refused by the policy since somebody looked, for the daemon's log: which act of whom, by which rule of which version, in ids
// alone. Names of persons, libraries and documents never stand in it.
//
// Bounded: a line that is there already is not kept again, and beyond `kept_most` lines only their number is.
// Threads: the engine's.
#pragma once
#include <set>
#include <string>
#include <vector>

#include "node/realm.h"

namespace dozo::node {

class RefusalLog {
 public:
  static constexpr std::size_t kept_most = 50;

  /// "by forbid no-site": the rules that decided, or that no permit fits.
  static std::string rules_of(const policy::Decision& decision);
  /// An act of a person, or of the node by itself (zero), in a library.
  void note_act(std::string_view act, const LibraryId& library, const PersonId& person, const NodeId& device, PolicyVersion policy, std::string_view why);
  void note(std::string line);
  /// Those since the last time, and how many more there were. Empty: none.
  std::vector<std::string> take();

 private:
  std::set<std::string> lines_;
  std::uint64_t more_ = 0;
};

}  // namespace dozo::node
