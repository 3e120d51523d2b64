// Engine: one node, without sockets, clocks, threads or files of its own. It introduces store, sync and policy to each other, and is the
// same in the daemon and in the simulator.
//
//   shell (daemon or simulator)                     engine
//   ---------------------------                     ------
//   bytes of a peer, a timer                     -> on(input, now); take_outputs(): send this, call me then, these are the peers now
//   a person's request (local_messages.h)        -> answer(request, now); take_outputs()
//   packs that a save made (put_job.h)           -> begin_save, prepare_save, commit_save; take_outputs()
//
// The truth (documents, entries, packs) is written through Truth, everything else is derived from it and is made again when it is
// missing. What an output promises to a peer (a head, a receipt) was durable before the output was made.
//
// Not here: reading and writing of people's files (put_job.h), waiting (daemon.h), which messages are exchanged (sync).
// Threads: one owner; calls never wait for anything but the disk. With `woken` packs of peers are written on a thread of its own (arrived_packs.h). All that
// EngineContext refers to outlives it. After a fault of the
// store the engine goes on with what still works and says so in its notices.
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "node/library.h"
#include "node/local_messages.h"
#include "policy/enrolment.h"
#include "sync/sync.h"

namespace dozo::node {

struct EngineContext {
  store::Truth& truth;
  store::Kv& derived;  ///< opened with derived_tables()
  const crypto::LocalKey& local;
  const crypto::NodeKeys& node;
  Bytes first_root;                                    ///< pins the realm
  std::vector<policy::Contact> contacts;               ///< whom to ask as long as no policy is known
  policy::KeyRing recovered;                           ///< keys that came from shares of the recovery key
  IncarnationId incarnation;                           ///< fresh for this run
  std::optional<crypto::SigningKey> freshness;         ///< HQ's node alone: it signs freshness by itself
  std::uint32_t freshness_hours = 24;                  ///< how long what it signs is good
  std::optional<local::SessionRow> lost_session = {};  ///< a session that was begun, whose key is gone with the daemon that had it
  std::function<void()> woken = {};                    ///< called on another thread: has_news(). None: the engine has no other thread
};

/// With what a save begins. The key is a copy: the job outlives changes of policy.
struct SaveKeys {
  LibraryId library;
  Epoch epoch;
  crypto::EpochKey key;
  const store::PieceIndex* index{};  ///< may be asked from any thread as long as the engine lives
  FeedId feed;
};

class Engine {
 public:
  // ---- outputs besides those of sync
  struct PeersChanged {};  ///< peers() says something else than before: the transport is to be told
  /// Authority documents for a node that does not answer, perhaps because its policy does not know this one yet.
  struct Introduce {
    NodeId peer;
    std::string endpoint;
    crypto::TransportPublicKey key;
    std::vector<Bytes> messages;
  };
  using Output = std::variant<sync::Send, sync::AnswerStranger, sync::WakeAt, PeersChanged, Introduce>;
  using Input = std::variant<sync::LinkUp, sync::LinkDown, sync::Received, sync::ReceivedFromStranger, sync::Tick, sync::SendRefused>;

  static constexpr std::int64_t receipt_ms = 1'000;          ///< at least between two receipts for a library
  static constexpr std::int64_t introduce_after_ms = 5'000;  ///< without a link, from when on a peer is introduced to; then four times as long each time
  static constexpr std::int64_t introduce_most_ms = 600'000;
  static constexpr std::int64_t freshness_every_ms = 3'600'000, freshness_first_ms = 10'000;
  static constexpr std::int64_t keep_ms = 50;  ///< packs of peers wait so long at most for others, to be committed together
  static constexpr std::size_t keep_bytes = 8U << 20;
  static constexpr std::int64_t keep_pause_ms = 5'000;      ///< packs that could not be kept are tried again
  static constexpr std::int64_t catch_up_every_ms = 5'000;  ///< what could not be derived is tried again

  /// Reads everything from the truth. Faults: those of Realm::open. A library that cannot be opened is
  /// a notice: the others are served.
  static Result<std::unique_ptr<Engine>> open(EngineContext context, Now now);
  ~Engine();

  void on(const Input& input, Now now);
  bool has_news() const;  ///< another thread of its has done something: a Tick is wanted
  /// Since the last call, in the order in which they arose. Of several WakeAt the earliest counts; each on() says the next one anew.
  std::vector<Output> take_outputs();

  /// Every request but put.
  local::Answer answer(const local::Request& request, Now now);

  // ---- saving
  /// Faults: not_found (no such library), denied (no keys; closed by the age of the policy; a session is over, or not for this library).
  Result<SaveKeys> begin_save(const std::string& library, Now now);
  /// The contents that are shown at these paths; of files, so nothing where a folder or nothing is. Faults: not_found, denied (no keys), the store's.
  Result<std::vector<std::optional<store::ContentValue>>> shown(const LibraryId& library, std::span<const std::string> paths) const;
  Result<Prepared> prepare_save(const LibraryId& library, std::span<const Act> acts, const std::string& text, Library::PassedOver* passed_over, Now now);
  Result<Sequence> commit_save(const LibraryId& library, const Prepared& prepared, std::vector<Library::StoredPack> stored,
                               const std::vector<store::SealedPack>& with_entry, Now now);

  // ---- what the shell and tests look at
  const Realm& realm() const;
  /// Whom the transport is to let in and to dial: the other nodes of the mesh; as long as no policy is known the contacts.
  struct Peer {
    NodeId id;
    crypto::TransportPublicKey key;
    policy::Addresses addresses;
    std::string name, zone;
    std::string kind;
    bool operator==(const Peer&) const = default;
  };
  std::vector<Peer> peers() const;
  /// The person's session that was begun and not ended, whether it is over or not.
  std::optional<local::SessionRow> session(Now now) const;
  /// Null: not held here.
  Library* library(const LibraryId& id);
  /// By title, name or hexadecimal id.
  Result<Library*> library_named(const std::string& name);
  std::vector<std::string> notices(Now now) const;
  /// What was refused by the policy since the last time, one line each, without names.
  std::vector<std::string> take_refusals();
  /// How many other nodes have signed that they hold everything that is known here.
  std::uint32_t copies(const LibraryId& id) const;

 private:
  class Body;
  explicit Engine(std::unique_ptr<Body> body);
  std::unique_ptr<Body> body_;
};

}  // namespace dozo::node
