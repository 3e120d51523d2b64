// Nodes on the loopback, and strangers of every make, for the transport's tests.
#pragma once
#include <doctest/doctest.h>
#include <unistd.h>
#include <zmq.h>

#include <chrono>
#include <deque>
#include <string>
#include <thread>

#include "crypto/random.h"
#include "crypto/start.h"
#include "node/transport.h"

namespace transport_test {

using namespace dozo;
using namespace dozo::node;
using Clock = std::chrono::steady_clock;

inline constexpr int patience_ms = 30'000;  // only a broken transport takes so long

inline TransportOptions quick_options() {
  TransportOptions out;
  out.listen = TransportOptions::Listen{.host = "127.0.0.1"};
  out.hello_ms = 100;
  out.silence_ms = 3'000;
  out.bulk_wait_ms = 1'000;
  out.handshake_ms = 1'000;
  return out;
}

inline std::string at(std::uint16_t port) { return "tcp://127.0.0.1:" + std::to_string(port); }

struct Node {
  const bool is_started = crypto::start().has_value();  // before the first key
  NodeId id = crypto::random_id<NodeId>();
  crypto::TransportKey key = crypto::TransportKey::generate();
  TransportOptions options = quick_options();
  std::unique_ptr<Transport> transport;
  std::deque<TransportEvent> events;

  Node() { REQUIRE(is_started); }
  void start() {
    auto opened = Transport::open(options, key);
    REQUIRE_MESSAGE(opened, (opened ? "" : opened.error().text));
    transport = std::move(*opened);
  }
  /// Keeps its ports for the next start.
  void stop() {
    options.listen = transport->listening();
    transport.reset();
    events.clear();
  }
  TransportOptions::Listen ports() const { return transport->listening(); }
  PeerAddress address(bool dialled = true) const { return {id, key.public_key(), dialled ? at(ports().control) : "", dialled ? at(ports().bulk) : ""}; }
  void turn(int ms = 5) {
    for (TransportEvent& event : transport->poll(ms)) events.push_back(std::move(event));
  }
  template <class Kind>
  int count(const auto& which) const {
    int out = 0;
    for (const auto& event : events)
      if (const auto* it = std::get_if<Kind>(&event); it && which(*it)) ++out;
    return out;
  }
  int ups(const NodeId& peer) const {
    return count<PeerUp>([&](const PeerUp& it) { return it.peer == peer; });
  }
  int downs(const NodeId& peer) const {
    return count<PeerDown>([&](const PeerDown& it) { return it.peer == peer; });
  }
  int received(const NodeId& peer, Channel channel, ByteView bytes) const {
    return count<Received>([&](const Received& it) { return it.peer == peer && it.channel == channel && equal(it.bytes, bytes); });
  }
  int received() const {
    return count<Received>([](const Received&) { return true; });
  }
};

/// Turns all until `done`, or patience ends.
template <class Done>
bool pump(std::initializer_list<Node*> nodes, const Done& done) {
  for (const auto until = Clock::now() + std::chrono::milliseconds(patience_ms); Clock::now() < until;) {
    if (done()) return true;
    for (Node* node : nodes)
      if (node->transport) node->turn();
  }
  return done();
}
inline void pump_for(std::initializer_list<Node*> nodes, int ms) {
  for (const auto until = Clock::now() + std::chrono::milliseconds(ms); Clock::now() < until;)
    for (Node* node : nodes)
      if (node->transport) node->turn();
}

inline void acquaint(Node& a, Node& b) {
  const std::vector<PeerAddress> to_a{b.address()}, to_b{a.address()};
  CHECK(a.transport->set_peers(to_a).empty());
  CHECK(b.transport->set_peers(to_b).empty());
}
inline bool meet(Node& a, Node& b) {
  acquaint(a, b);
  return pump({&a, &b}, [&] { return a.transport->is_up(b.id) && b.transport->is_up(a.id); });
}

enum class Make { null, plain, curve };

/// A ZeroMQ socket that is none of ours.
class Raw {
 public:
  explicit Raw(Make make, const crypto::TransportKey* own = nullptr, const crypto::TransportPublicKey* server = nullptr) {
    context_ = zmq_ctx_new();
    socket_ = zmq_socket(context_, ZMQ_DEALER);
    const int none = 0, few = 100;
    zmq_setsockopt(socket_, ZMQ_LINGER, &none, sizeof none);
    zmq_setsockopt(socket_, ZMQ_RECONNECT_IVL, &few, sizeof few);
    if (make == Make::plain) {
      zmq_setsockopt(socket_, ZMQ_PLAIN_USERNAME, "admin", 5);
      zmq_setsockopt(socket_, ZMQ_PLAIN_PASSWORD, "admin", 5);
    }
    if (make == Make::curve) {
      REQUIRE(zmq_setsockopt(socket_, ZMQ_CURVE_SERVERKEY, server->bytes.data(), 32) == 0);
      REQUIRE(zmq_setsockopt(socket_, ZMQ_CURVE_PUBLICKEY, own->public_key().bytes.data(), 32) == 0);
      REQUIRE(zmq_setsockopt(socket_, ZMQ_CURVE_SECRETKEY, own->reveal().data(), 32) == 0);
    }
  }
  ~Raw() {
    zmq_close(socket_);
    zmq_ctx_term(context_);
  }
  Raw(const Raw&) = delete;
  Raw& operator=(const Raw&) = delete;
  void connect(std::uint16_t port) { REQUIRE(zmq_connect(socket_, at(port).c_str()) == 0); }
  bool send(ByteView bytes, int flags = 0) { return zmq_send(socket_, bytes.data(), bytes.size(), flags | ZMQ_DONTWAIT) >= 0; }
  std::optional<Bytes> receive() {
    Bytes out(1U << 20);
    const int size = zmq_recv(socket_, out.data(), out.size(), ZMQ_DONTWAIT);
    if (size < 0) return std::nullopt;
    out.resize(static_cast<std::size_t>(size));
    return out;
  }
  void* socket() { return socket_; }
  /// A socket that tells each time the connection ends; the caller closes it.
  void* watch() {
    const std::string endpoint = "inproc://watch";
    REQUIRE(zmq_socket_monitor(socket_, endpoint.c_str(), ZMQ_EVENT_DISCONNECTED) == 0);
    void* out = zmq_socket(context_, ZMQ_PAIR);
    REQUIRE(zmq_connect(out, endpoint.c_str()) == 0);
    return out;
  }

 private:
  void* context_{};
  void* socket_{};
};

}  // namespace transport_test
