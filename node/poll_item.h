// PollItem: what the daemon's one wait watches beside the transport's own sockets.
// Threads: a value.
#pragma once

namespace dozo::node {

/// A descriptor to be read, or (not null) a ZeroMQ socket. `ready` is set by the wait.
struct PollItem {
  int fd = -1;
  void* socket = nullptr;
  bool ready = false;
};

}  // namespace dozo::node
