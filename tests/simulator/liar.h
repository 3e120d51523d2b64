// Liar: a node with real keys and a real place in the realm that does what it likes: its engine's messages are changed on their way out, and others are
// made by hand.
//
// As a full member of "plans" it may write there; whatever else it says must come to nothing.
// Threads: one owner.
#pragma once
#include <deque>
#include <map>
#include <optional>

#include "node/library.h"
#include "sync/messages.h"
#include "tests/simulator/process.h"

namespace dozo::simulator {

class World;

class Liar {
 public:
  explicit Liar(World& world) : world_(world) {}

  /// What its engine wants to send: perhaps something else, perhaps nothing.
  std::optional<Bytes> on_the_way_out(NodeIndex to, sync::Channel channel, Bytes bytes);
  /// What comes to it; true: it was answered here, the engine does not see it.
  bool on_the_way_in(NodeIndex from, sync::Channel channel, ByteView bytes);
  /// One lie, made by hand.
  void lie();
  void stop_lying() { lying_ = false; }
  /// Entries in the name of `victim`, under a key that is not the victim's own unless `key` is. What it may write in its own name is of the next century.
  void forge_feed(NodeIndex victim, const std::string& library, const crypto::SigningKey& key);

 private:
  struct Forged {
    std::vector<Bytes> entries;
    std::string note;
    Digest root;
    std::map<Digest, Bytes> packs;
  };
  void send(NodeIndex to, sync::Channel channel, const sync::Message& message);
  void announce(const FeedId& feed, const Forged& forged);
  void write_what_it_may_not();
  void list_falsely();
  void commit_forged(const LibraryId& id, const std::string& folder_name, NodeIndex as, const std::string& role, const std::string& who,
                     std::vector<node::Library::StoredPack> stored, std::int64_t back_ms = 0);
  void fork();

  World& world_;
  bool lying_ = true;
  std::deque<std::pair<sync::Channel, Bytes>> heard_;  ///< to be said again
  std::map<FeedId, Forged> forged_;
  IncarnationId incarnation_;
  std::optional<Disks> before_;  ///< its disks, from which it will write another history
};

}  // namespace dozo::simulator
