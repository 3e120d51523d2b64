// Invariants: what must hold in a realm whatever happens, each in a file of its own, told by the simulator what it does and asked at the end.
//
// They judge by what the simulator itself planned and saw, not by what the code under test says of itself.
// Threads: one owner.
#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "node/library.h"
#include "sync/messages.h"
#include "tests/simulator/network.h"

namespace dozo::simulator {

class World;
class Process;

struct Violation {
  std::string invariant, text;
  std::uint64_t operation{};
};

/// A message as its sender hands it to the network.
struct Sent {
  NodeIndex from{}, to{};
  ByteView bytes;
  const sync::Message* message{};  ///< null: it does not decode
  PolicyVersion before, after;     ///< the sender's policy around the call that made it
};

/// Nothing acknowledged is lost, by its level: *local* survives every crash of its disk; held by n: the loss of n-1 of them.
struct Durability {
  void start_refused(World& world, const Process& node, const Error& why) const;
  void started(World& world, Process& node) const;
  void end(World& world) const;
};
/// Honest nodes with the same rights come to the same feeds, the same folder and the same history.
struct Convergence {
  void end(World& world) const;
};
/// No text that a person saved or named lies in clear on any disk, or goes over any line.
struct NoPlaintext {
  void sent(World& world, const Sent& it) const;
  void end(World& world) const;
};
/// Nothing is accepted that the policy, as HQ meant it, forbids, or that its node never made.
struct AuthorityHolds {
  void committed(World& world, Process& node, const FeedId& feed);
  void unheard(const FeedId& feed) { unheard_.insert(feed); }  ///< a commit of which nobody knows whether it was
  void started(World& world, Process& node);
  void end(World& world) const;

 private:
  std::map<std::pair<FeedId, std::uint64_t>, Digest> entries_;  ///< that honest nodes made
  std::map<FeedId, std::uint64_t> ends_;
  std::set<FeedId> unheard_;
};
/// Nothing of a library goes to a node that must not have it, and no key.
struct Entitlement {
  void sent(World& world, const Sent& it) const;
  void stranger_answered(World& world, const Process& node, ByteView bytes) const;
  void end(World& world) const;
};
/// Once all is healed the realm comes to rest with everything where it belongs; and honest nodes never say what nobody takes, or without end.
struct Liveness {
  void sent(World& world, const Sent& it) const;
  void introduced(World& world, const Process& from, ByteView bytes) const;
  void stormed(World& world, std::uint64_t events) const;
  void settled_or_not(World& world, const std::string& unsettled) const;
  void at_rest(World& world, std::uint64_t messages, std::int64_t over_ms) const;
};

/// The records up to there. Fault: the store's.
Result<std::vector<RecordId>> records_to(const node::Library::Moment& moment);
/// A tag shows the same at all honest nodes that can read the library, and, as long as as much of it counts, what it showed when it was given.
struct Tags {
  void end(World& world) const;
};

struct Invariants {
  Durability durability;
  Convergence convergence;
  NoPlaintext no_plaintext;
  AuthorityHolds authority;
  Entitlement entitlement;
  Liveness liveness;
  Tags tags;
};

/// All lines of all feeds, in an order that does not depend on which line of a forked feed came first.
std::vector<node::Library::FeedState> lines_of(const node::Library& library);

/// The libraries that a message is about.
std::vector<LibraryId> libraries_of(const sync::Message& message);

}  // namespace dozo::simulator
