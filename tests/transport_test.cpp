// Goal: what peers say arrives, with the right name under it; a peer that comes and goes is noticed.
#include "node/transport_body.h"
#include "tests/transport_fixture.h"

using namespace transport_test;

TEST_CASE("transport: two peers that dial each other exchange on both channels, each under the other's name") {
  Node a, b;
  a.start();
  b.start();
  REQUIRE(meet(a, b));
  CHECK(a.ups(b.id) == 1);
  const Bytes small = bytes_of("from a"), large(1U << 20, 0x5a), slice(64U << 10, 0x17);
  CHECK(a.transport->send(b.id, Channel::control, small) == SendOutcome::taken);
  CHECK(a.transport->send(b.id, Channel::bulk, slice) == SendOutcome::taken);
  CHECK(b.transport->send(a.id, Channel::control, large) == SendOutcome::taken);
  CHECK(b.transport->send(a.id, Channel::bulk, {}) == SendOutcome::taken);
  CHECK(pump({&a, &b}, [&] {
    return b.received(a.id, Channel::control, small) == 1 && b.received(a.id, Channel::bulk, slice) == 1 && a.received(b.id, Channel::control, large) == 1 &&
           a.received(b.id, Channel::bulk, {}) == 1;
  }));
  CHECK(a.downs(b.id) == 0);
}

TEST_CASE("transport: one dialled way is enough, and a node that only dials needs no port") {
  Node bureau, desk;
  desk.options.listen.reset();
  bureau.start();
  desk.start();
  CHECK(desk.ports().control == 0);
  const std::vector<PeerAddress> of_bureau{{desk.id, desk.key.public_key(), "", ""}}, of_desk{bureau.address()};
  bureau.transport->set_peers(of_bureau);
  desk.transport->set_peers(of_desk);
  REQUIRE(pump({&bureau, &desk}, [&] { return bureau.transport->is_up(desk.id) && desk.transport->is_up(bureau.id); }));
  CHECK(bureau.transport->send(desk.id, Channel::control, view_of("policy")) == SendOutcome::taken);
  CHECK(desk.transport->send(bureau.id, Channel::bulk, view_of("pack")) == SendOutcome::taken);
  CHECK(pump({&bureau, &desk}, [&] {
    return desk.received(bureau.id, Channel::control, view_of("policy")) == 1 && bureau.received(desk.id, Channel::bulk, view_of("pack")) == 1;
  }));
}

TEST_CASE("transport: many messages on one channel arrive once each and in their order, and a full queue says so") {
  Node a, b;
  a.start();
  b.start();
  REQUIRE(meet(a, b));
  std::uint32_t sent = 0, refused = 0;
  Bytes slice(64U << 10);
  const auto send_one = [&] {
    put_u32(slice.data(), sent);
    const SendOutcome outcome = a.transport->send(b.id, Channel::bulk, slice);
    if (outcome == SendOutcome::taken) ++sent;
    if (outcome == SendOutcome::full) ++refused;
  };
  // Nobody reads at b: the queues and the kernel's buffers are all there is.
  for (int i = 0; i < 20'000 && refused == 0; ++i) send_one();
  CHECK(refused > 0);
  CHECK(pump({&a, &b}, [&] { return b.received() == static_cast<int>(sent); }));
  std::uint32_t expected = 0;
  for (const auto& event : b.events)
    if (const auto* it = std::get_if<Received>(&event)) CHECK(get_u32(it->bytes.data()) == expected++);
  CHECK(b.transport->is_up(a.id));
}

TEST_CASE("transport: a peer that stops is down, and up again once it is back on its ports") {
  Node a, b;
  a.start();
  b.start();
  REQUIRE(meet(a, b));
  b.stop();
  CHECK(pump({&a}, [&] { return a.downs(b.id) == 1; }));
  CHECK(a.transport->send(b.id, Channel::control, view_of("x")) == SendOutcome::no_link);
  b.start();
  REQUIRE(meet(a, b));
  CHECK(a.ups(b.id) == 2);
  CHECK(a.transport->send(b.id, Channel::control, view_of("again")) == SendOutcome::taken);
  CHECK(pump({&a, &b}, [&] { return b.received(a.id, Channel::control, view_of("again")) == 1; }));
}

TEST_CASE("transport: a peer that stops says so: nobody waits for its silence") {
  Node a, b;
  a.options.silence_ms = b.options.silence_ms = 10 * patience_ms;
  a.start();
  b.start();
  REQUIRE(meet(a, b));
  b.stop();
  CHECK(pump({&a}, [&] { return a.downs(b.id) == 1 && !a.transport->is_up(b.id); }));
}

TEST_CASE("transport: a peer that restarts faster than silence is noticed is reported down and up") {
  Node a, b;
  a.options.silence_ms = b.options.silence_ms = 10 * patience_ms;
  a.start();
  b.start();
  REQUIRE(meet(a, b));
  b.stop();
  b.start();
  acquaint(b, a);
  CHECK(pump({&a, &b}, [&] { return a.downs(b.id) == 1 && a.ups(b.id) == 2 && b.transport->is_up(a.id); }));
  CHECK(a.transport->send(b.id, Channel::control, view_of("new")) == SendOutcome::taken);
  CHECK(pump({&a, &b}, [&] { return b.received(a.id, Channel::control, view_of("new")) == 1; }));
}

TEST_CASE("transport: a caller that was refused tries again, and is in once it is admitted") {
  Node a, b;
  a.start();
  b.start();
  const std::vector<PeerAddress> of_a{b.address()}, of_b{{a.id, a.key.public_key(), "", ""}};
  a.transport->set_peers(of_a);
  pump_for({&a, &b}, 1'500);
  CHECK(!a.transport->is_up(b.id));
  b.transport->set_peers(of_b);
  CHECK(pump({&a, &b}, [&] { return a.transport->is_up(b.id) && b.transport->is_up(a.id); }));
}

TEST_CASE("transport: a peer is reached in the end although something else answered at its address first") {
  Node a, b;
  a.options.redial_ms = 500;
  a.start();
  b.start();
  b.stop();
  void* context = zmq_ctx_new();
  void* impostor = zmq_socket(context, ZMQ_ROUTER);
  const int none = 0;
  zmq_setsockopt(impostor, ZMQ_LINGER, &none, sizeof none);
  REQUIRE(zmq_bind(impostor, at(b.options.listen->control).c_str()) == 0);
  const std::vector<PeerAddress> of_a{{b.id, b.key.public_key(), at(b.options.listen->control), at(b.options.listen->bulk)}},
      of_b{{a.id, a.key.public_key(), "", ""}};
  a.transport->set_peers(of_a);
  pump_for({&a}, 1'000);
  CHECK(!a.transport->is_up(b.id));
  zmq_close(impostor);
  zmq_ctx_term(context);
  b.start();
  b.transport->set_peers(of_b);
  CHECK(pump({&a, &b}, [&] { return a.transport->is_up(b.id) && b.transport->is_up(a.id); }));
}

TEST_CASE("transport: without a bulk link the peer is up after a while, and bulk is refused") {
  Node a, b;
  a.start();
  b.start();
  const std::vector<PeerAddress> of_a{{b.id, b.key.public_key(), at(b.ports().control), ""}}, of_b{{a.id, a.key.public_key(), "", ""}};
  a.transport->set_peers(of_a);
  b.transport->set_peers(of_b);
  REQUIRE(pump({&a, &b}, [&] { return a.transport->is_up(b.id) && b.transport->is_up(a.id); }));
  CHECK(a.transport->send(b.id, Channel::bulk, view_of("x")) == SendOutcome::no_link);
  CHECK(a.transport->send(b.id, Channel::control, view_of("x")) == SendOutcome::taken);
}

TEST_CASE("transport: what is too large, or for nobody, is refused at the sender") {
  Node a, b;
  a.start();
  b.start();
  CHECK(a.transport->send(b.id, Channel::control, view_of("x")) == SendOutcome::no_link);
  REQUIRE(meet(a, b));
  CHECK(a.transport->send(b.id, Channel::bulk, Bytes(a.options.bulk_bytes_most + 1)) == SendOutcome::too_large);
  CHECK(a.transport->send(b.id, Channel::control, Bytes(a.options.control_bytes_most + 1)) == SendOutcome::too_large);
  CHECK(a.transport->send(b.id, Channel::bulk, Bytes(a.options.bulk_bytes_most)) == SendOutcome::taken);
  CHECK(pump({&a, &b}, [&] { return b.received() == 1; }));
}

TEST_CASE("transport: a taken port is one clear line that names it") {
  Node a, b;
  a.start();
  for (const auto port : {&TransportOptions::Listen::control, &TransportOptions::Listen::bulk, &TransportOptions::Listen::introduce}) {
    b.options.listen = TransportOptions::Listen{.host = "127.0.0.1"};
    (*b.options.listen).*port = a.ports().*port;
    const auto opened = Transport::open(b.options, b.key);
    REQUIRE(!opened);
    CHECK(opened.error().fault == Fault::unavailable);
    CHECK(opened.error().text.find(std::to_string(a.ports().*port)) != std::string::npos);
    CHECK(opened.error().text.find('\n') == std::string::npos);
  }
  b.options.listen = TransportOptions::Listen{.host = "not an address"};
  CHECK(!Transport::open(b.options, b.key));
}

TEST_CASE("transport: addresses that are not tcp are named and not dialled, and the peer may still call") {
  Node a, b;
  a.start();
  b.start();
  const std::vector<PeerAddress> odd{{b.id, b.key.public_key(), "inproc://zeromq.zap.01", "ipc:///tmp/x"},
                                     {crypto::random_id<NodeId>(), crypto::random_id<crypto::TransportPublicKey>(), "tcp://", "tcp://a;b:1"}};
  const auto complaints = a.transport->set_peers(odd);
  CHECK(complaints.size() == 4);
  const std::vector<PeerAddress> of_b{a.address()};
  b.transport->set_peers(of_b);
  CHECK(pump({&a, &b}, [&] { return a.transport->is_up(b.id) && b.transport->is_up(a.id); }));
}

TEST_CASE("transport: the one wait ends for a wake from another thread and for a descriptor that is ready") {
  Node a;
  a.start();
  std::thread other([&] { a.transport->wake(); });
  CHECK(a.transport->poll(-1).empty());
  other.join();
  int pipe[2];
  REQUIRE(::pipe(pipe) == 0);
  std::vector<PollItem> items{{.fd = pipe[0]}};
  CHECK(a.transport->poll(0, items).empty());
  CHECK(!items[0].ready);
  REQUIRE(::write(pipe[1], "x", 1) == 1);
  CHECK(a.transport->poll(-1, items).empty());
  CHECK(items[0].ready);
  ::close(pipe[0]);
  ::close(pipe[1]);
}

TEST_CASE("transport: frames are those of the document, and no other bytes are a hello") {
  const RunId dialling{.bytes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};
  CHECK(to_hex(encode_hello({dialling, 0})) == "01000102030405060708090a0b0c0d0e0f0000000000000000");
  CHECK(to_hex(encode_hello({dialling, 7})) == "01000102030405060708090a0b0c0d0e0f0000000000000007");
  CHECK(to_hex(encode_end(dialling)) == "02000102030405060708090a0b0c0d0e0f");
  CHECK(to_hex(encode_end({})) == "0200000000000000000000000000000000");
  const Bytes whole = encode_hello({dialling, 0x0102030405060708});
  const auto back = decode_hello(whole);
  REQUIRE(back);
  CHECK((back->run == dialling && back->link == 0x0102030405060708));
  for (std::size_t size = 0; size < whole.size(); ++size) CHECK(!decode_hello(ByteView(whole).first(size)));
  Bytes longer = whole;
  longer.push_back(0);
  CHECK(!decode_hello(longer));
  CHECK(!decode_hello(encode_hello({RunId{}, 7})));
  Bytes other = whole;
  other[0] = 0;
  CHECK(!decode_hello(other));
}
