#include "node/zmq_socket.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <zmq.h>

#include <array>
#include <atomic>
#include <vector>

#include "base/invariant.h"

namespace dozo::node {

namespace {

// In the library since 4.2.1 and in its stable ABI, but its name is among the drafts of the 4.3.4 header.
constexpr int zap_enforce_domain = 93;
constexpr int curve_overhead_bytes = 64;  // 33 of a MESSAGE command, and room to see what is over the limit

class Message {
 public:
  Message() { zmq_msg_init(&message_); }
  ~Message() { zmq_msg_close(&message_); }
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;
  zmq_msg_t* get() { return &message_; }
  ByteView view() { return {static_cast<const std::uint8_t*>(zmq_msg_data(&message_)), zmq_msg_size(&message_)}; }
  bool more() { return zmq_msg_more(&message_) != 0; }

 private:
  zmq_msg_t message_{};
};

/// Parts of one message arrive together, so only the first may find nothing.
bool receive_part(void* socket, Message& into) {
  for (;;) {
    if (zmq_msg_recv(into.get(), socket, ZMQ_DONTWAIT) >= 0) return true;
    if (zmq_errno() != EINTR) return false;
  }
}

Sent send_part(void* socket, zmq_msg_t* part, int flags) {
  for (;;) {
    if (zmq_msg_send(part, socket, flags | ZMQ_DONTWAIT) >= 0) return Sent::taken;
    switch (zmq_errno()) {
      case EINTR: continue;
      case EAGAIN: return Sent::full;
      default: return Sent::no_reader;
    }
  }
}

}  // namespace

void CloseContext::operator()(void* context) const noexcept {
  while (zmq_ctx_term(context) != 0 && zmq_errno() == EINTR) {
  }
}

Result<ZmqContext> make_context(int io_threads, int sockets_most) {
  ZmqContext context(zmq_ctx_new());
  if (!context) return fail(Fault::unavailable, std::string("start ZeroMQ: ") + zmq_strerror(zmq_errno()));
  zmq_ctx_set(context.get(), ZMQ_IO_THREADS, io_threads);
  zmq_ctx_set(context.get(), ZMQ_MAX_SOCKETS, sockets_most);
  return context;
}

void shut_down(const ZmqContext& context) { zmq_ctx_shutdown(context.get()); }

Result<ZmqSocket> ZmqSocket::make(const ZmqContext& context, SocketKind kind, const SocketLimits& limits) {
  ZmqSocket out;
  out.socket_ = zmq_socket(context.get(), kind == SocketKind::router ? ZMQ_ROUTER : ZMQ_DEALER);
  if (out.socket_ == nullptr) return fail(Fault::unavailable, std::string("open a socket: ") + zmq_strerror(zmq_errno()));
  const auto most = static_cast<std::int64_t>(limits.message_bytes_most) + curve_overhead_bytes;
  INVARIANT(zmq_setsockopt(out.socket_, ZMQ_MAXMSGSIZE, &most, sizeof most) == 0);
  out.set(ZMQ_SNDHWM, limits.queue);
  out.set(ZMQ_RCVHWM, limits.queue);
  out.set(ZMQ_LINGER, limits.linger_ms);
  if (kind == SocketKind::router) {
    out.set(ZMQ_ROUTER_MANDATORY, 1);
    out.set(ZMQ_ROUTER_HANDOVER, 0);
  }
  return out;
}

ZmqSocket& ZmqSocket::operator=(ZmqSocket&& other) noexcept {
  if (this != &other) {
    close();
    socket_ = std::exchange(other.socket_, nullptr);
    watch_ = std::exchange(other.watch_, nullptr);
  }
  return *this;
}

void ZmqSocket::close() {
  if (watch_ != nullptr) {
    zmq_socket_monitor(socket_, nullptr, 0);
    zmq_close(std::exchange(watch_, nullptr));
  }
  if (socket_ != nullptr) zmq_close(std::exchange(socket_, nullptr));
}

// An option that libzmq refuses would leave a socket open to all: never go on.
void ZmqSocket::set(int option, int value) { INVARIANT(zmq_setsockopt(socket_, option, &value, sizeof value) == 0); }
void ZmqSocket::set(int option, ByteView value) { INVARIANT(zmq_setsockopt(socket_, option, value.data(), value.size()) == 0); }

void ZmqSocket::serve_curve(ByteView secret, const std::string& domain) {
  INVARIANT(!domain.empty());
  set(ZMQ_CURVE_SERVER, 1);
  set(ZMQ_CURVE_SECRETKEY, secret);
  set(ZMQ_ZAP_DOMAIN, view_of(domain));
  set(zap_enforce_domain, 1);
}

void ZmqSocket::call_curve(ByteView own_public, ByteView secret, ByteView server) {
  set(ZMQ_CURVE_SERVERKEY, server);
  set(ZMQ_CURVE_PUBLICKEY, own_public);
  set(ZMQ_CURVE_SECRETKEY, secret);
}

void ZmqSocket::tune_tcp(bool only_connected, int handshake_ms) {
  set(ZMQ_IPV6, 1);
  set(ZMQ_IMMEDIATE, only_connected ? 1 : 0);
  set(ZMQ_BACKLOG, 64);
  set(ZMQ_HANDSHAKE_IVL, handshake_ms);
  set(ZMQ_HEARTBEAT_IVL, 5'000);
  set(ZMQ_HEARTBEAT_TIMEOUT, 20'000);
  set(ZMQ_HEARTBEAT_TTL, 20'000);
  set(ZMQ_RECONNECT_IVL, 200);
  set(ZMQ_RECONNECT_IVL_MAX, 20'000);
  set(ZMQ_CONNECT_TIMEOUT, 15'000);
  set(ZMQ_TCP_MAXRT, 20'000);
  set(ZMQ_TCP_KEEPALIVE, 1);
  set(ZMQ_TCP_KEEPALIVE_IDLE, 30);
  set(ZMQ_TCP_KEEPALIVE_INTVL, 10);
  set(ZMQ_TCP_KEEPALIVE_CNT, 3);
}

int ZmqSocket::bind(const std::string& endpoint) { return zmq_bind(socket_, endpoint.c_str()) == 0 ? 0 : zmq_errno(); }
int ZmqSocket::connect(const std::string& endpoint) { return zmq_connect(socket_, endpoint.c_str()) == 0 ? 0 : zmq_errno(); }

std::string ZmqSocket::bound_endpoint() const {
  std::array<char, 512> text{};
  std::size_t size = text.size();
  if (zmq_getsockopt(socket_, ZMQ_LAST_ENDPOINT, text.data(), &size) != 0) return {};
  return text.data();
}

Result<void> ZmqSocket::watch(const ZmqContext& context) {
  static std::atomic<std::uint64_t> number{0};
  const std::string endpoint = "inproc://watch-" + std::to_string(++number);
  if (zmq_socket_monitor(socket_, endpoint.c_str(), ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_CLOSED | ZMQ_EVENT_DISCONNECTED) != 0)
    return fail(Fault::unavailable, std::string("watch a socket: ") + zmq_strerror(zmq_errno()));
  // Without a limit: at a limit libzmq's I/O thread would wait for the reader of these events.
  const int none = 0;
  watch_ = zmq_socket(context.get(), ZMQ_PAIR);
  if (watch_ == nullptr || zmq_setsockopt(watch_, ZMQ_RCVHWM, &none, sizeof none) != 0 || zmq_setsockopt(watch_, ZMQ_LINGER, &none, sizeof none) != 0 ||
      zmq_connect(watch_, endpoint.c_str()) != 0)
    return fail(Fault::unavailable, std::string("watch a socket: ") + zmq_strerror(zmq_errno()));
  return {};
}

std::optional<ZmqSocket::Connection> ZmqSocket::next_connection() {
  Message event;
  if (watch_ == nullptr || !receive_part(watch_, event)) return std::nullopt;
  // u16 event, u32 value (the descriptor), both in the machine's order; then the address as a second part.
  std::uint16_t kind = 0;
  std::int32_t fd = -1;
  if (event.view().size() == sizeof kind + sizeof fd) {
    std::memcpy(&kind, event.view().data(), sizeof kind);
    std::memcpy(&fd, event.view().data() + sizeof kind, sizeof fd);
  }
  bool more = event.more();
  while (more) {
    Message rest;
    if (!receive_part(watch_, rest)) break;
    more = rest.more();
  }
  return Connection{fd, kind == ZMQ_EVENT_ACCEPTED};
}

std::optional<Incoming> ZmqSocket::receive() {
  Incoming out;
  int type = 0;
  std::size_t type_size = sizeof type;
  zmq_getsockopt(socket_, ZMQ_TYPE, &type, &type_size);
  Message first;
  if (!receive_part(socket_, first)) return std::nullopt;
  bool more = first.more();
  const auto take_body = [&](Message& part) {
    out.body = bytes_of(part.view());
    out.whole = !part.more();
    if (const char* user = zmq_msg_gets(part.get(), "User-Id")) out.user_id = user;
    out.fd = zmq_msg_get(part.get(), ZMQ_SRCFD);
  };
  if (type == ZMQ_ROUTER) {
    out.routing = bytes_of(first.view());
    if (more) {
      Message body;
      if (!receive_part(socket_, body)) return out;
      take_body(body);
      more = body.more();
    }
  } else {
    take_body(first);
  }
  if (!out.whole) out.body.clear();
  while (more) {
    Message rest;
    if (!receive_part(socket_, rest)) break;
    more = rest.more();
  }
  return out;
}

Sent ZmqSocket::send(ByteView routing, ByteView head, ByteView body) {
  zmq_msg_t whole;
  if (zmq_msg_init_size(&whole, head.size() + body.size()) != 0) return Sent::full;
  auto* to = static_cast<std::uint8_t*>(zmq_msg_data(&whole));
  if (!head.empty()) std::memcpy(to, head.data(), head.size());
  if (!body.empty()) std::memcpy(to + head.size(), body.data(), body.size());
  Sent sent = Sent::taken;
  if (!routing.empty()) {
    zmq_msg_t address;
    sent = zmq_msg_init_size(&address, routing.size()) == 0 ? Sent::taken : Sent::full;
    if (sent == Sent::taken) {
      std::memcpy(zmq_msg_data(&address), routing.data(), routing.size());
      sent = send_part(socket_, &address, ZMQ_SNDMORE);
      if (sent != Sent::taken) zmq_msg_close(&address);
    }
  }
  if (sent == Sent::taken) sent = send_part(socket_, &whole, 0);
  if (sent != Sent::taken) zmq_msg_close(&whole);
  return sent;
}

Waited wait(std::span<PollItem> items, int timeout_ms) {
  std::vector<zmq_pollitem_t> list(items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    list[i] = {items[i].socket, items[i].fd, ZMQ_POLLIN, 0};
    items[i].ready = false;
  }
  const int ready = zmq_poll(list.data(), static_cast<int>(list.size()), timeout_ms);
  if (ready < 0) return Waited::interrupted;
  for (std::size_t i = 0; i < items.size(); ++i) items[i].ready = list[i].revents != 0;
  return ready > 0 ? Waited::ready : Waited::over;
}

namespace {

bool is_of_port(int fd, std::uint16_t port) {
  if (fd < 0 || port == 0) return false;
  sockaddr_storage local{};
  socklen_t size = sizeof local;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&local), &size) != 0) return false;
  if (local.ss_family == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in*>(&local)->sin_port) == port;
  if (local.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6*>(&local)->sin6_port) == port;
  return false;
}

}  // namespace

std::uint64_t bytes_received(int fd, std::uint16_t port) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (!is_of_port(fd, port) || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return 0;
  return info.tcpi_bytes_received;
}

void cut(int fd, std::uint16_t port) {
  if (is_of_port(fd, port)) ::shutdown(fd, SHUT_RDWR);
}

}  // namespace dozo::node
