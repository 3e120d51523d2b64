// ZmqSocket: the few things of ZeroMQ that this room uses, so that zmq.h stands in two .cpp files and every option is set in one place.
//
// Messages are of one part: a peer that sends more breaks the framing. Nothing here waits but `wait`.
// Threads: a context any; a socket one owner.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "node/poll_item.h"

namespace dozo::node {

struct CloseContext {
  void operator()(void* context) const noexcept;
};
/// All sockets of a context are closed before it goes (it would wait for them).
using ZmqContext = std::unique_ptr<void, CloseContext>;
Result<ZmqContext> make_context(int io_threads, int sockets_most);
/// Every call on the context's sockets fails from now on: ends threads that wait in one.
void shut_down(const ZmqContext& context);

enum class SocketKind : std::uint8_t { router, dealer };
/// no_reader: that connection is gone.
enum class Sent : std::uint8_t { taken, full, no_reader };

struct SocketLimits {
  std::size_t message_bytes_most{};
  int queue{};
  int linger_ms{};
};

/// One message as it came in.
struct Incoming {
  Bytes routing;        ///< of the connection; empty on a dealer
  Bytes body;           ///< empty where the message was not of one part
  std::string user_id;  ///< what the handler of the handshake said; empty on a dealer and where there was none
  int fd = -1;          ///< the connection's, at the time at which the message was read: may be closed, even another's, by now
  bool whole = false;   ///< one part, as it must be
};

class ZmqSocket {
 public:
  ZmqSocket() = default;
  /// Fault: unavailable (too many sockets or descriptors).
  static Result<ZmqSocket> make(const ZmqContext& context, SocketKind kind, const SocketLimits& limits);
  ZmqSocket(ZmqSocket&& other) noexcept : socket_(std::exchange(other.socket_, nullptr)), watch_(std::exchange(other.watch_, nullptr)) {}
  ZmqSocket& operator=(ZmqSocket&& other) noexcept;
  ~ZmqSocket() { close(); }
  void close();
  explicit operator bool() const { return socket_ != nullptr; }

  /// CURVE, as the end that admits: asks the handler of its context with `domain`, and refuses everybody while there is none.
  void serve_curve(ByteView secret, const std::string& domain);
  /// CURVE, as the end that calls the holder of `server`.
  void call_curve(ByteView own_public, ByteView secret, ByteView server);
  /// Heartbeats, timeouts, backoff and IPv6, as every TCP socket has them. `only_connected`: messages wait only for connections that stand.
  void tune_tcp(bool only_connected, int handshake_ms);

  /// 0, or the errno of the failure.
  int bind(const std::string& endpoint);
  int connect(const std::string& endpoint);
  std::string bound_endpoint() const;
  /// Watches connections come and go, for next_connection; before bind. Fault: unavailable.
  Result<void> watch(const ZmqContext& context);
  struct Connection {
    int fd = -1;
    bool opened = false;
  };
  std::optional<Connection> next_connection();
  void* raw_watch() const { return watch_; }

  std::optional<Incoming> receive();
  /// `routing` is empty on a dealer.
  Sent send(ByteView routing, ByteView head, ByteView body);
  void* raw() const { return socket_; }

 private:
  void set(int option, int value);
  void set(int option, ByteView value);
  void* socket_ = nullptr;
  void* watch_ = nullptr;
};

enum class Waited : std::uint8_t { ready, over, interrupted };
/// Until an item is ready, the time is over (-1: no limit) or a signal came.
Waited wait(std::span<PollItem> items, int timeout_ms);

/// Bytes that a TCP connection has brought; 0 where `fd` is none with local port `port`.
std::uint64_t bytes_received(int fd, std::uint16_t port);

/// Ends a TCP connection of this process if `fd` is still one, with local port `port`: its owner sees the end of the stream. A descriptor that
/// was closed and used again since is left alone, unless it is of the same port, which costs a reconnect.
void cut(int fd, std::uint16_t port);

}  // namespace dozo::node
