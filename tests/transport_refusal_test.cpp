// Goal: nobody gets anything through under a name that is not theirs, and no bytes of anybody stop the others.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "node/zap.h"
#include "node/zmq_socket.h"
#include "tests/transport_fixture.h"

using namespace transport_test;

namespace {

/// Frames by hand, as docs/transport.md has them.
Bytes hello_frame(std::uint8_t run, std::uint64_t link) {
  Bytes out(25, run);
  out[0] = 1;
  put_u64(out.data() + 17, link);
  return out;
}
Bytes data_frame(std::string_view text) {
  Bytes out{0};
  append(out, view_of(text));
  return out;
}

PeerAddress caller(const NodeId& id, const crypto::TransportKey& key) { return {id, key.public_key(), "", ""}; }

/// The number that the node gives this connection, once it said hello.
std::optional<std::uint64_t> number_from(Node& node, Raw& raw) {
  std::optional<std::uint64_t> out;
  pump({&node}, [&] {
    while (const auto frame = raw.receive())
      if (frame->size() == 25 && (*frame)[0] == 1) out = get_u64(frame->data() + 17);
    return out.has_value();
  });
  return out;
}
bool say_hello(Node& node, Raw& raw, std::uint8_t run) {
  if (!raw.send(hello_frame(run, 0))) return false;
  const auto number = number_from(node, raw);
  return number && *number != 0 && raw.send(hello_frame(run, *number));
}

struct Caller {
  NodeId id = crypto::random_id<NodeId>();
  crypto::TransportKey key = crypto::TransportKey::generate();
};

int tcp_to(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  return fd;
}

bool is_quiet(const Node& node, const NodeId& allowed) {
  for (const auto& event : node.events) {
    if (std::holds_alternative<ReceivedFromStranger>(event)) return false;
    if (const auto* it = std::get_if<Received>(&event); it && it->peer != allowed) return false;
    if (const auto* it = std::get_if<PeerUp>(&event); it && it->peer != allowed) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("transport: without CURVE, with an unknown key or for another server nothing gets through, and the known key beside them does") {
  Node node;
  node.start();
  Caller known;
  const crypto::TransportKey stranger = crypto::TransportKey::generate();
  const crypto::TransportPublicKey server = node.key.public_key(), other = stranger.public_key();
  const std::vector<PeerAddress> peers{caller(known.id, known.key)};
  node.transport->set_peers(peers);
  for (const auto port : {&TransportOptions::Listen::control, &TransportOptions::Listen::bulk}) {
    Raw null(Make::null), plain(Make::plain), unknown(Make::curve, &stranger, &server), misled(Make::curve, &known.key, &other);
    for (Raw* raw : {&null, &plain, &unknown, &misled}) {
      raw->connect(node.ports().*port);
      raw->send(hello_frame(7, 0));
      raw->send(data_frame("forged"));
    }
    pump_for({&node}, 700);
    for (Raw* raw : {&null, &plain, &unknown, &misled}) CHECK(!raw->receive());
  }
  Raw null(Make::null), plain(Make::plain), misled(Make::curve, &known.key, &other);
  for (Raw* raw : {&null, &plain, &misled}) {
    raw->connect(node.ports().introduce);
    raw->send(view_of("a document"));
  }
  Raw proper(Make::curve, &known.key, &server);
  proper.connect(node.ports().control);
  REQUIRE(say_hello(node, proper, 7));
  REQUIRE(proper.send(data_frame("true")));
  CHECK(pump({&node}, [&] { return node.received(known.id, Channel::control, view_of("true")) == 1; }));
  CHECK(is_quiet(node, known.id));
  CHECK(node.received() == 1);
  CHECK(node.transport->counts().dropped_unknown == 0);  // refused at their handshakes
}

TEST_CASE("transport: two callers with the same routing id are told apart by their keys") {
  Node node;
  node.start();
  Caller first, second;
  const std::vector<PeerAddress> peers{caller(first.id, first.key), caller(second.id, second.key)};
  node.transport->set_peers(peers);
  const auto server = node.key.public_key();
  Raw a(Make::curve, &first.key, &server), b(Make::curve, &second.key, &server), c(Make::curve, &second.key, &server);
  for (Raw* raw : {&a, &b}) REQUIRE(zmq_setsockopt(raw->socket(), ZMQ_ROUTING_ID, "same", 4) == 0);
  a.connect(node.ports().control);
  REQUIRE(say_hello(node, a, 1));
  b.connect(node.ports().control);
  b.send(hello_frame(2, 0));
  b.send(data_frame("under another's id"));
  c.connect(node.ports().control);
  REQUIRE(say_hello(node, c, 2));
  REQUIRE((a.send(data_frame("of the first")) && c.send(data_frame("of the second"))));
  CHECK(pump({&node}, [&] {
    return node.received(first.id, Channel::control, view_of("of the first")) == 1 && node.received(second.id, Channel::control, view_of("of the second")) == 1;
  }));
  CHECK(node.received(first.id, Channel::control, view_of("under another's id")) == 0);
}

TEST_CASE("transport: a removed peer is cut off at once, also what it had sent already") {
  Node node;
  node.start();
  Caller gone, stays;
  const std::vector<PeerAddress> both{caller(gone.id, gone.key), caller(stays.id, stays.key)}, one{caller(stays.id, stays.key)};
  node.transport->set_peers(both);
  const auto server = node.key.public_key();
  Raw a(Make::curve, &gone.key, &server), b(Make::curve, &stays.key, &server);
  for (Raw* raw : {&a, &b}) {
    raw->connect(node.ports().control);
    REQUIRE(say_hello(node, *raw, 3));
  }
  REQUIRE(a.send(data_frame("before")));
  REQUIRE(pump({&node}, [&] { return node.received(gone.id, Channel::control, view_of("before")) == 1 && node.transport->is_up(stays.id); }));
  REQUIRE(a.send(data_frame("on its way")));
  std::this_thread::sleep_for(std::chrono::milliseconds(300));  // now it lies in the node's queue
  node.transport->set_peers(one);
  CHECK(!node.transport->is_up(gone.id));
  CHECK(node.transport->send(gone.id, Channel::control, view_of("x")) == SendOutcome::no_link);
  CHECK(pump({&node}, [&] { return node.downs(gone.id) == 1 && node.transport->counts().dropped_unknown > 0; }));
  for (int i = 0; i < 10; ++i) a.send(data_frame("after"));
  REQUIRE(b.send(data_frame("stays")));
  CHECK(pump({&node}, [&] { return node.received(stays.id, Channel::control, view_of("stays")) == 1; }));
  pump_for({&node}, 500);
  CHECK(node.received(gone.id, Channel::control, view_of("on its way")) == 0);
  CHECK(node.received(gone.id, Channel::control, view_of("after")) == 0);
  CHECK(node.downs(stays.id) == 0);
  // Admitted again, it may come back.
  node.transport->set_peers(both);
  CHECK(pump({&node}, [&] {
    a.send(hello_frame(3, 0));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    while (const auto frame = a.receive())
      if (frame->size() == 25) a.send(hello_frame(3, get_u64(frame->data() + 17)));
    return node.transport->is_up(gone.id);
  }));
}

TEST_CASE("transport: a peer whose connection goes, or that falls silent, is down") {
  Node node;
  node.start();
  Caller peer;
  const std::vector<PeerAddress> peers{caller(peer.id, peer.key)};
  node.transport->set_peers(peers);
  const auto server = node.key.public_key();
  {
    Raw raw(Make::curve, &peer.key, &server);
    raw.connect(node.ports().control);
    REQUIRE(say_hello(node, raw, 1));
    REQUIRE(pump({&node}, [&] { return node.transport->is_up(peer.id); }));
  }
  CHECK(pump({&node}, [&] { return node.downs(peer.id) == 1; }));
  Raw raw(Make::curve, &peer.key, &server);
  raw.connect(node.ports().control);
  REQUIRE(say_hello(node, raw, 1));
  REQUIRE(pump({&node}, [&] { return node.ups(peer.id) == 2; }));
  CHECK(pump({&node}, [&] { return node.downs(peer.id) == 2; }));
}

TEST_CASE("transport: a link that dies after data went over it is reported although another lives") {
  Node node;
  node.start();
  Caller peer;
  const std::vector<PeerAddress> peers{caller(peer.id, peer.key)};
  node.transport->set_peers(peers);
  const auto server = node.key.public_key();
  Raw lasting(Make::curve, &peer.key, &server);
  lasting.connect(node.ports().control);
  REQUIRE(say_hello(node, lasting, 1));
  auto passing = std::make_unique<Raw>(Make::curve, &peer.key, &server);
  passing->connect(node.ports().control);
  REQUIRE(say_hello(node, *passing, 1));
  REQUIRE(passing->send(data_frame("here")));
  REQUIRE(pump({&node}, [&] { return node.received() == 1; }));
  REQUIRE(node.transport->send(peer.id, Channel::control, view_of("perhaps lost")) == SendOutcome::taken);
  passing.reset();
  CHECK(pump({&node}, [&] {
    lasting.send(hello_frame(1, 0));
    return node.downs(peer.id) == 1 && node.ups(peer.id) == 2;
  }));
}

TEST_CASE("transport: a peer whose key changes is known by the new one alone") {
  Node node;
  node.start();
  Caller before, after;
  const std::vector<PeerAddress> first{caller(before.id, before.key)}, then{caller(before.id, after.key)};
  const auto server = node.key.public_key();
  node.transport->set_peers(first);
  Raw a(Make::curve, &before.key, &server), b(Make::curve, &after.key, &server);
  a.connect(node.ports().control);
  REQUIRE(say_hello(node, a, 4));
  REQUIRE(pump({&node}, [&] { return node.transport->is_up(before.id); }));
  node.transport->set_peers(then);
  b.connect(node.ports().control);
  REQUIRE(say_hello(node, b, 5));
  REQUIRE((b.send(data_frame("new")), pump({&node}, [&] { return node.received(before.id, Channel::control, view_of("new")) == 1; })));
  a.send(data_frame("old"));
  pump_for({&node}, 500);
  CHECK(node.received() == 1);
  CHECK(node.downs(before.id) == 1);
}

TEST_CASE("transport: a message over the limit costs its sender the connection, and nobody else anything") {
  Node node;
  node.start();
  Caller large, stays;
  const std::vector<PeerAddress> peers{caller(large.id, large.key), caller(stays.id, stays.key)};
  node.transport->set_peers(peers);
  const auto server = node.key.public_key();
  struct Way {
    std::uint16_t TransportOptions::Listen::* port;
    Channel channel;
    std::size_t size;
  };
  for (const Way way : {Way{&TransportOptions::Listen::bulk, Channel::bulk, 200U << 10}, Way{&TransportOptions::Listen::control, Channel::control, 2U << 20}}) {
    Raw a(Make::curve, &large.key, &server), b(Make::curve, &stays.key, &server), control(Make::curve, &stays.key, &server);
    control.connect(node.ports().control);
    REQUIRE(say_hello(node, control, 9));
    a.connect(node.ports().*way.port);
    b.connect(node.ports().*way.port);
    REQUIRE(say_hello(node, a, 8));
    REQUIRE(say_hello(node, b, 9));
    const int before = node.received();
    Bytes over(way.size);
    REQUIRE(a.send(over));
    a.send(data_frame("behind it"));
    REQUIRE(pump({&node}, [&] { return node.transport->is_up(stays.id); }));
    REQUIRE(b.send(data_frame("well")));
    CHECK(pump({&node}, [&] { return node.received(stays.id, way.channel, view_of("well")) > 0; }));
    pump_for({&node}, 300);
    CHECK(node.received() == before + 1);
    node.events.clear();
  }
  Raw stranger(Make::curve, &large.key, &server);
  stranger.connect(node.ports().introduce);
  REQUIRE(stranger.send(Bytes(400U << 10)));
  pump_for({&node}, 500);
  CHECK(node.count<ReceivedFromStranger>([](const auto&) { return true; }) == 0);
}

TEST_CASE("transport: frames that break the format are dropped, whole or not") {
  Node node;
  node.start();
  Caller peer;
  const std::vector<PeerAddress> peers{caller(peer.id, peer.key)};
  node.transport->set_peers(peers);
  const auto server = node.key.public_key();
  const std::vector<Bytes> bad{{}, {1}, hello_frame(0, 0), Bytes(24, 1), Bytes(26, 1), {2, 1, 2}, {2}, Bytes(18, 2), {0xff}};
  std::uint64_t dropped = 0;
  for (const Bytes& frame : bad) {
    Raw raw(Make::curve, &peer.key, &server);
    raw.connect(node.ports().control);
    REQUIRE(raw.send(frame));
    CHECK(pump({&node}, [&] { return node.transport->counts().dropped_malformed == dropped + 1; }));
    dropped = node.transport->counts().dropped_malformed;
  }
  Raw parts(Make::curve, &peer.key, &server);
  parts.connect(node.ports().control);
  REQUIRE(say_hello(node, parts, 2));
  REQUIRE((parts.send(data_frame("one"), ZMQ_SNDMORE) && parts.send(data_frame("two"))));
  CHECK(pump({&node}, [&] { return node.transport->counts().dropped_malformed == dropped + 1; }));
  CHECK(node.received() == 0);
}

TEST_CASE("transport: data before the hellos is dropped, and answered by the hello that is missing") {
  Node node;
  node.start();
  Caller peer;
  const std::vector<PeerAddress> peers{caller(peer.id, peer.key)};
  node.transport->set_peers(peers);
  const auto server = node.key.public_key();
  Raw raw(Make::curve, &peer.key, &server);
  raw.connect(node.ports().control);
  REQUIRE(raw.send(data_frame("early")));
  const auto number = number_from(node, raw);
  REQUIRE(number);
  CHECK(node.transport->counts().dropped_early == 1);
  REQUIRE((raw.send(hello_frame(6, *number + 1)) && raw.send(data_frame("with a wrong number"))));
  CHECK(pump({&node}, [&] { return node.transport->counts().dropped_early == 2; }));
  REQUIRE((raw.send(hello_frame(6, *number)) && raw.send(data_frame("now"))));
  CHECK(pump({&node}, [&] { return node.received(peer.id, Channel::control, view_of("now")) == 1; }));
  CHECK(node.received() == 1);
}

TEST_CASE("transport: a peer's new run ends what stood with the old one, whose rest counts no more") {
  Node node;
  node.start();
  Caller peer;
  const std::vector<PeerAddress> peers{caller(peer.id, peer.key)};
  node.transport->set_peers(peers);
  const auto server = node.key.public_key();
  Raw before(Make::curve, &peer.key, &server), after(Make::curve, &peer.key, &server);
  before.connect(node.ports().control);
  after.connect(node.ports().control);
  REQUIRE(say_hello(node, before, 1));
  REQUIRE(pump({&node}, [&] { return node.transport->is_up(peer.id); }));
  REQUIRE(say_hello(node, after, 2));
  REQUIRE(pump({&node}, [&] { return node.downs(peer.id) == 1 && node.ups(peer.id) == 2; }));
  before.send(hello_frame(1, 0));
  before.send(data_frame("of the old run"));
  REQUIRE(after.send(data_frame("of the new run")));
  CHECK(pump({&node}, [&] { return node.received(peer.id, Channel::control, view_of("of the new run")) == 1; }));
  pump_for({&node}, 300);
  CHECK(node.received() == 1);
  CHECK(node.downs(peer.id) == 1);
}

TEST_CASE("transport: bytes that are no ZeroMQ, and connections that say nothing, stop nobody") {
  Node node;
  node.start();
  Caller peer;
  const std::vector<PeerAddress> peers{caller(peer.id, peer.key)};
  node.transport->set_peers(peers);
  std::vector<int> fds;
  for (const std::uint16_t port : {node.ports().control, node.ports().bulk, node.ports().introduce}) {
    for (const Bytes& bytes : {Bytes{}, bytes_of("GET / HTTP/1.1\r\n\r\n"), Bytes(4096, 0xff), Bytes{0x01, 0x00},
                               Bytes{0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 0}, Bytes{0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 0, 0, 0, 0}}) {
      fds.push_back(tcp_to(port));
      if (!bytes.empty()) CHECK(::send(fds.back(), bytes.data(), bytes.size(), MSG_NOSIGNAL) >= 0);
    }
  }
  const auto server = node.key.public_key();
  Raw raw(Make::curve, &peer.key, &server);
  raw.connect(node.ports().control);
  REQUIRE(say_hello(node, raw, 1));
  REQUIRE(raw.send(data_frame("through")));
  CHECK(pump({&node}, [&] { return node.received(peer.id, Channel::control, view_of("through")) == 1; }));
  for (const int fd : fds) ::close(fd);
}

TEST_CASE("transport: a listening socket whose handler is missing lets nobody in") {
  REQUIRE(crypto::start());
  const auto own = crypto::TransportKey::generate(), stranger = crypto::TransportKey::generate();
  const auto server = own.public_key();
  for (const bool is_handled : {false, true}) {
    ZmqContext context = *make_context(1, 64);
    std::unique_ptr<Zap> zap;
    if (is_handled) {
      zap = *Zap::start(context, {});
      zap->set_allowed({stranger.public_key()});
    }
    ZmqSocket listener = *ZmqSocket::make(context, SocketKind::router, {.message_bytes_most = 1'000, .queue = 10});
    listener.serve_curve(own.reveal(), peers_domain);
    listener.tune_tcp(false, 1'000);
    REQUIRE(listener.bind("tcp://127.0.0.1:*") == 0);
    Raw raw(Make::curve, &stranger, &server);
    REQUIRE(zmq_connect(raw.socket(), listener.bound_endpoint().c_str()) == 0);
    REQUIRE(raw.send(view_of("x")));
    std::vector<PollItem> items{{.socket = listener.raw()}};
    // The same caller gets through where the handler is there, so that the silence without it says something.
    CHECK((wait(items, is_handled ? patience_ms : 1'500) == Waited::ready) == is_handled);
    listener.close();
    shut_down(context);
    zap.reset();
  }
}
