// Sync: what to tell each peer, and what to make of what it tells: the protocol of docs/wire-protocol.md, without socket, clock, thread or file.
//
// Everything is pulled: a node says where it stands (State), and whoever sees a difference asks. Authority documents first; then the feeds that differ;
// then entries; then packs, in slices, from several peers at once, within a credit for each peer of about a second of its measured rate. Requests
// are repeated by timers; answers that nobody asked for do no harm. A pack counts as held once the shell says that it is durable.
// Every message of a library is answered and believed only while the policy says that both hold it.
// Not here: whether what came is right (object_store.h), links (the transport).
// Threads: one owner.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "sync/object_store.h"

namespace dozo::sync {

// ---- inputs
struct LinkUp {
  NodeId peer;
};
struct LinkDown {
  NodeId peer;
};
struct Received {
  NodeId peer;
  Channel channel{};
  Bytes bytes;
};
/// Somebody with any key, on the introduce socket. `token` is for the answer.
struct ReceivedFromStranger {
  Bytes token;
  Bytes bytes;
};
struct Tick {};  ///< the time of the last WakeAt
/// Documents, entries, held packs or statements changed here. With a library: nothing but what is in that library.
struct Changed {
  std::optional<LibraryId> library;
};
struct PacksDurable {  ///< packs of KeepPack are committed
  std::vector<ObjectId> packs;
};
struct SendRefused {  ///< the transport would not take it
  NodeId peer;
  Channel channel{};
};
using Input = std::variant<LinkUp, LinkDown, Received, ReceivedFromStranger, Tick, Changed, PacksDurable, SendRefused>;

// ---- outputs
struct Send {
  NodeId peer;
  Channel channel{};
  Bytes bytes;
};
struct AnswerStranger {
  Bytes token;
  Bytes bytes;
};
struct KeepPack {
  ObjectId pack;
  Bytes bytes;
};
struct WakeAt {
  std::int64_t steady_ms{};
};
/// Two lines of one feed are held: its node lies, or its disk was put back.
struct ForkSeen {
  FeedId feed;
};
using Output = std::variant<Send, AnswerStranger, KeepPack, WakeAt, ForkSeen>;

struct PeerStatus {
  bool up{};
  std::uint64_t sent_bytes{}, received_bytes{};
  std::uint64_t refused{};  ///< messages that broke the format, or were not allowed
  bool in_step{};           ///< its last State says what this node's would
};

class Sync {
 public:
  /// Both outlive it.
  Sync(ObjectStore& store, Authoriser& authoriser);
  ~Sync();

  std::vector<Output> on(const Input& input, Now now);
  std::map<NodeId, PeerStatus> peers() const;
  std::size_t packs_in_flight() const;

  /// What is pushed to a node that may not know this one yet: documents, as many as one message takes, most important first.
  static Bytes introduction(const std::vector<Bytes>& envelopes);
  /// What a node that was introduced to answers.
  static Result<Versions> read_answer(ByteView bytes);

 private:
  class Body;
  std::unique_ptr<Body> body_;
};

}  // namespace dozo::sync
