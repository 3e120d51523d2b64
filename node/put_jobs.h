// Put jobs: the saves that run beside the engine's thread. Each has a thread of its own; what it asks of the engine waits in a queue until the
// daemon runs it, and what it has to say to its client waits until the daemon takes it.
//
// Not here: what a save is (put_job.h), sockets.
// Threads: the daemon's, but for what a job does inside. `truth`, `seen` and what `wake` uses outlive it.
#pragma once
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <thread>

#include "node/local_socket.h"
#include "node/put_job.h"

namespace dozo::node {

class PutJobs {
 public:
  static constexpr std::size_t running_most = 2;  ///< each reads and seals with threads and buffers of its own
  static constexpr std::size_t waiting_most = 1000;
  static constexpr std::int64_t progress_ms = 200;  ///< at least between two Progress of one job

  /// `wake`, called on any thread: there is something to run or to take.
  PutJobs(store::Truth& truth, const SeenFiles& seen, std::function<void()> wake);
  PutJobs(const PutJobs&) = delete;
  PutJobs& operator=(const PutJobs&) = delete;
  ~PutJobs();  ///< stops, and waits for the jobs: soon, as a job looks at its stop with every piece that it reads

  /// Begins now, or when another has ended. Fault: unavailable (too many wait; stopping).
  Result<void> start(const LocalServer::Token& token, local::PutRequest request);
  /// Its client has gone.
  void give_up(const LocalServer::Token& token);

  /// Runs what the jobs have asked of the engine since; `after` after each.
  void serve(Engine& engine, const std::function<Now()>& now, const std::function<void()>& after);

  struct Said {
    LocalServer::Token token;
    local::Answer answer;
  };
  /// What is to be sent. Jobs that have said their last are gone, and those that waited begin.
  std::vector<Said> take();

  /// Every job ends soon, with what it has committed. serve() goes on to be needed until idle().
  void stop();
  bool idle() const { return running_.empty() && waiting_.empty(); }

 private:
  struct Job {
    LocalServer::Token token;
    local::PutRequest request;
    std::atomic<bool> stop = false;
    std::thread thread;
    std::int64_t progress_last_ms = 0;
  };
  struct Call {
    const std::function<void(Engine&, Now)>* what;
    bool done = false, refused = false;
  };
  void begin(Job& job);
  void run(Job& job);
  bool call(const std::function<void(Engine&, Now)>& what);
  void say(const Job& job, local::Answer answer);

  store::Truth& truth_;
  const SeenFiles& seen_;
  std::function<void()> wake_;
  std::list<Job> running_, waiting_;  ///< the daemon's thread alone changes the lists
  bool stopping_ = false;

  mutable std::mutex mutex_;
  std::condition_variable served_;
  std::deque<Call*> calls_;
  std::vector<Said> said_;
  std::vector<const Job*> ended_;
  bool closed_ = false;  ///< nobody serves any more
};

}  // namespace dozo::node
