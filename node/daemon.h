// Daemon: the shell around one node's engine: its clock, sockets, local socket and saves, on one thread that waits in one place.
//
//   transport, local socket, put jobs, the clock -> Engine::on, answer, commit_save -> take_outputs -> transport
//
// What a link refuses comes back to the engine as an input; the transport learns of peers only from the engine.
// Not here: what messages mean (sync), what requests mean (engine), opening keys and stores (dozod.cpp).
// Threads: one owner; saves run on threads of their own (put_jobs.h), and so does what compacts the derived store.
#pragma once
#include <atomic>
#include <memory>

#include "node/compactor.h"
#include "node/daemon_log.h"
#include "node/home_store.h"
#include "node/local_socket.h"
#include "node/put_jobs.h"
#include "node/transport.h"

namespace dozo::node {

/// What ends the run: a number of signals, and a descriptor (eventfd) that becomes readable with the first.
struct StopRequest {
  const std::atomic<int>* asked{};
  int descriptor = -1;
};

class Daemon {
 public:
  static constexpr std::int64_t refused_again_ms = 20;  ///< a link that refuses what the engine makes of its refusal is not asked again before that
  static constexpr std::int64_t stop_ms = 20'000;       ///< a save that does not end by then is left behind

  /// Takes the ports and the local socket, then reads the store. All three outlive it. Faults: unavailable (a port is taken, another daemon), those of
  /// Transport::open, LocalServer::open, Engine::open.
  static Result<std::unique_ptr<Daemon>> open(const Home& home, const HomeKeys& keys, HomeStore& store, DaemonLog& log);
  ~Daemon();

  /// Until it is asked to stop. False: a save did not end in time; then nothing may be destroyed, and the process is to end at once.
  [[nodiscard]] bool run(const StopRequest& stop);

  std::string introduction() const;  ///< one line: who runs here, and where it listens

 private:
  Daemon(const Home& home, const SeenFiles& seen, DaemonLog& log) : home_(home), log_(log), seen_(seen) {}
  void turn(std::span<PollItem> items, std::int64_t wait_most_ms);
  void take(TransportEvent event);
  void take_requests();
  local::Answer answer(const local::Request& request);
  void serve_saves();
  void tell(const Engine::Input& input);
  void hand_out();
  void send(const NodeId& peer, sync::Channel channel, ByteView bytes);
  void set_peers();

  const Home& home_;
  DaemonLog& log_;
  SeenFiles seen_;
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<LocalServer> local_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<PutJobs> saves_;
  std::unique_ptr<Compactor> compactor_;
  std::optional<std::int64_t> wake_at_ms_;
  std::set<std::pair<NodeId, sync::Channel>> refused_;
};

}  // namespace dozo::node
