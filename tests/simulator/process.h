// Process: one node of a simulated realm: its keys, its two disks, and the engine that runs on them now and then.
//
// Disks and keys outlive the engine, as they outlive a daemon. After a crash every call of the store fails until stop().
// Threads: one owner.
#pragma once
#include <memory>
#include <string>

#include "node/engine.h"
#include "node/local_sealer.h"
#include "store/ingest.h"
#include "store/kv_memory.h"
#include "tests/simulator/network.h"

namespace dozo::simulator {

/// A save between its beginning and its commit; the world goes on meanwhile.
struct OpenSave {
  std::string library_name;
  std::optional<node::SaveKeys> keys;  ///< once begun
  std::vector<node::Act> acts;         ///< without the contents that are being read
  std::vector<std::string> paths;      ///< of the contents, in order
  std::vector<Bytes> contents;
  std::vector<node::Library::StoredPack> stored;
  std::vector<store::SealedPack> meta;
  std::unique_ptr<store::Ingest> ingest;
  int attempts = 1;
  bool bit_flipped = false;  ///< in the truth since it began: a pack of it that was there already may be what was hit
};

struct Disks {
  store::MemoryDisk truth, derived;
};

class Process {
 public:
  Process(std::string name, NodeIndex index);

  /// What a start needs to know of the realm.
  struct Start {
    Bytes first_root;
    std::vector<policy::Contact> contacts;
    std::optional<crypto::SigningKey> freshness;
    Now now;
    bool same_incarnation = false;                         ///< as no honest node does: goes on writing the feed of its last run
    store::InjectHook truth_hook = {}, derived_hook = {};  ///< from the first call on
  };
  /// Opens what the disks hold; a new truth on an empty disk. Faults: those of Truth and Engine; nothing runs then.
  Result<void> start(Start how);
  void stop();
  bool running() const { return engine != nullptr; }
  bool crashed() const { return (truth_kv && truth_kv->crashed()) || (derived_kv && derived_kv->crashed()); }

  const std::string name;
  const NodeIndex index;
  const crypto::NodeKeys keys;
  const crypto::LocalKey local;
  const node::LocalSealer sealer{local};
  Disks disks;
  std::int64_t skew_ms = 0, astray_ms = 0;  ///< of its clock: always, and for a while

  std::unique_ptr<store::MemoryKv> truth_kv, derived_kv;
  std::unique_ptr<store::Truth> truth;
  std::unique_ptr<node::Engine> engine;
  std::unique_ptr<OpenSave> save;
  IncarnationId incarnation;  ///< of the last run
  std::uint64_t run = 0;      ///< counts starts
  std::optional<std::int64_t> wake_ms;
  std::set<NodeId> peers;              ///< of now
  std::int64_t promises_since_ms = 0;  ///< its own time since which its receipts stand for its disk
  bool crash_is_due = false;           ///< of its store, at some call to come
  std::uint64_t messages_in = 0;
  PolicyVersion policy;  ///< in force when its outputs were last taken
};

}  // namespace dozo::simulator
