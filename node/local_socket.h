// Local socket: the daemon's end and `dozo`'s end of HOME/run/socket, over which local_messages.h travel.
//
// Who may reach the socket may do what the daemon's user may: it lies in a directory of mode 0700, and that is all its protection. A lock
// beside it lets one daemon run per home. docs/transport.md has the frame.
// Threads: each object has one owner.
#pragma once
#include <csignal>
#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "node/local_messages.h"
#include "node/poll_item.h"

namespace dozo::node {

/// The daemon's end.
class LocalServer {
 public:
  /// Makes HOME/run with mode 0700 where it is missing (and narrows it where it is wider), locks it, and listens. What a killed daemon left
  /// there does no harm. Faults: unavailable (another daemon has the home, the directory cannot be used or is another user's), over_limit (the path
  /// of the home is too long for a socket).
  static Result<std::unique_ptr<LocalServer>> open(const std::filesystem::path& home);
  ~LocalServer();  ///< closes the socket and takes it away; answers not yet read by a client are given a second
  LocalServer(const LocalServer&) = delete;
  LocalServer& operator=(const LocalServer&) = delete;

  PollItem poll_item() const;

  /// Names one request of one client.
  struct Token {
    Bytes client;
    std::uint32_t number{};
    friend auto operator<=>(const Token&, const Token&) = default;
  };
  struct Asked {
    Token token;
    local::Request request;
  };
  /// What clients have asked since, without waiting; a bounded number, so to be called until it returns nothing. Requests that cannot be read (another
  /// version, malformed) are answered here with one line and are not returned.
  std::vector<Asked> receive();
  /// Any number of Progress, then one other. False: that client has gone, or does not read; its request may be given up.
  [[nodiscard]] bool answer(const Token& token, const local::Answer& answer);

 private:
  class Body;
  explicit LocalServer(std::unique_ptr<Body> body);
  std::unique_ptr<Body> body_;
};

/// The client's end: one request at a time.
class LocalClient {
 public:
  /// Faults, at once: unavailable (no daemon runs for that home, or its socket may not be used), over_limit (path too long).
  static Result<std::unique_ptr<LocalClient>> connect(const std::filesystem::path& home);
  ~LocalClient();
  LocalClient(const LocalClient&) = delete;
  LocalClient& operator=(const LocalClient&) = delete;

  using OnProgress = std::function<void(const local::Progress&)>;
  /// Asks and waits for the final answer, which may be a Refusal. `silence_ms` is the longest wait without any answer or Progress (-1: no limit).
  /// `stop`, set by a signal handler, ends the wait. Faults: unavailable (the daemon stopped, is silent, or `stop` was set), unsupported (it is of
  /// another version), malformed (its answer cannot be read), over_limit (the request is too large).
  Result<local::Answer> ask(const local::Request& request, const OnProgress& on_progress = {}, int silence_ms = -1,
                            const volatile std::sig_atomic_t* stop = nullptr);

 private:
  class Body;
  explicit LocalClient(std::unique_ptr<Body> body);
  std::unique_ptr<Body> body_;
};

}  // namespace dozo::node
