// Goal: a node whose policy is old can still say and learn what it must, and strangers can take no more than that.
#include "node/rate_limit.h"
#include "tests/transport_fixture.h"

using namespace transport_test;

namespace {

int from_strangers(const Node& node) {
  return node.count<ReceivedFromStranger>([](const auto&) { return true; });
}
bool has_ended(void* watch) {
  zmq_msg_t event;
  zmq_msg_init(&event);
  const bool out = zmq_msg_recv(&event, watch, ZMQ_DONTWAIT) >= 0;
  zmq_msg_close(&event);
  return out;
}
crypto::TransportPublicKey key_of(std::uint8_t byte) {
  crypto::TransportPublicKey out;
  out.bytes.fill(byte);
  return out;
}

}  // namespace

TEST_CASE("transport: a stranger is heard on the introduce socket under its key, and answered") {
  Node caller, node;
  caller.start();
  node.start();
  const std::vector<Bytes> documents{bytes_of("root 2"), Bytes(300U << 10, 0x44), bytes_of("freshness")};
  const auto number = caller.transport->introduce_to(at(node.ports().introduce), node.key.public_key(), documents);
  REQUIRE(number);
  REQUIRE(pump({&caller, &node}, [&] { return from_strangers(node) == 3; }));
  std::size_t next = 0;
  for (const auto& event : node.events)
    if (const auto* it = std::get_if<ReceivedFromStranger>(&event)) {
      CHECK(it->key == caller.key.public_key());
      CHECK(it->bytes == documents[next++]);
      CHECK(node.transport->answer_stranger(it->token, view_of("versions")));
    }
  const auto answers = [&] {
    return caller.count<IntroductionAnswered>(
        [&](const IntroductionAnswered& it) { return it.introduction == *number && equal(it.bytes, view_of("versions")); });
  };
  CHECK(pump({&caller, &node}, [&] { return answers() == 3; }));
  CHECK(!node.transport->is_up(caller.id));
  CHECK(node.received() == 0);
  caller.transport->end_introduction(*number);
  const Bytes token = std::get<ReceivedFromStranger>(node.events.front()).token;
  CHECK(pump({&caller, &node}, [&] { return !node.transport->answer_stranger(token, view_of("late")); }));
}

TEST_CASE("transport: an introduction that cannot be is refused before anything is sent, and one to nobody ends by itself") {
  Node caller;
  caller.options.introduction_ms = 500;
  caller.start();
  const auto key = crypto::TransportKey::generate().public_key();
  const std::vector<Bytes> one{bytes_of("x")}, large{Bytes((300U << 10) + 1)}, many(65, bytes_of("x")), heavy(30, Bytes(300U << 10));
  CHECK(caller.transport->introduce_to("ipc:///tmp/x", key, one).error().fault == Fault::malformed);
  CHECK(caller.transport->introduce_to("tcp://nowhere", key, one).error().fault == Fault::malformed);
  for (const auto& documents : {large, many, heavy})
    CHECK(caller.transport->introduce_to("tcp://127.0.0.1:9", key, documents).error().fault == Fault::over_limit);
  for (int i = 0; i < 64; ++i) REQUIRE(caller.transport->introduce_to("tcp://127.0.0.1:9", key, one));
  CHECK(caller.transport->introduce_to("tcp://127.0.0.1:9", key, one).error().fault == Fault::over_limit);
  CHECK(pump({&caller}, [&] { return caller.transport->introduce_to("tcp://127.0.0.1:9", key, one).has_value(); }));
}

TEST_CASE("transport: keys that are no proper points harm nobody") {
  Node caller, node;
  caller.start();
  node.start();
  const std::vector<Bytes> one{bytes_of("x")};
  for (const int byte : {0x00, 0x01, 0xff}) {
    crypto::TransportPublicKey key;
    key.bytes[0] = static_cast<std::uint8_t>(byte);
    REQUIRE(caller.transport->introduce_to(at(node.ports().introduce), key, one));
    const std::vector<PeerAddress> peers{{node.id, key, at(node.ports().control), at(node.ports().bulk)}};
    caller.transport->set_peers(peers);
    pump_for({&caller, &node}, 400);
  }
  CHECK(from_strangers(node) == 0);
  REQUIRE(caller.transport->introduce_to(at(node.ports().introduce), node.key.public_key(), one));
  CHECK(pump({&caller, &node}, [&] { return from_strangers(node) == 1; }));
}

TEST_CASE("transport: a stranger beyond its rate is dropped and cut, and another is still heard") {
  Node node;
  node.options.strangers = {.per_second = 0, .burst = 100, .key_per_second = 0, .key_burst = 5, .keys_most = 16};
  node.start();
  const auto loud = crypto::TransportKey::generate(), quiet = crypto::TransportKey::generate();
  const auto server = node.key.public_key();
  Raw a(Make::curve, &loud, &server), b(Make::curve, &quiet, &server);
  a.connect(node.ports().introduce);
  for (int i = 0; i < 50; ++i) a.send(view_of("again"));
  CHECK(pump({&node}, [&] { return node.transport->counts().dropped_strangers > 0; }));
  CHECK(from_strangers(node) == 5);
  b.connect(node.ports().introduce);
  REQUIRE(b.send(view_of("once")));
  CHECK(pump({&node}, [&] { return from_strangers(node) == 6; }));
  pump_for({&node}, 500);
  CHECK(from_strangers(node) == 6);
}

TEST_CASE("transport: strangers beyond the rate of all are not even let in") {
  Node node;
  node.options.strangers = {.per_second = 0, .burst = 3, .key_per_second = 0, .key_burst = 3, .keys_most = 16};
  node.start();
  const auto server = node.key.public_key();
  std::deque<Raw> raws;
  std::deque<crypto::TransportKey> keys;
  for (int i = 0; i < 6; ++i) {
    keys.push_back(crypto::TransportKey::generate());
    raws.emplace_back(Make::curve, &keys.back(), &server).connect(node.ports().introduce);
    raws.back().send(view_of("let me in"));
    pump_for({&node}, 200);
  }
  pump_for({&node}, 500);
  CHECK(from_strangers(node) == 3);
}

TEST_CASE("transport: a stranger's connection that brings more than it may is cut") {
  Node node;
  node.options.introduction_bytes_most = 1U << 20;
  node.options.strangers = {.per_second = 0, .burst = 1'000, .key_per_second = 0, .key_burst = 1'000, .keys_most = 16};
  node.start();
  const auto key = crypto::TransportKey::generate();
  const auto server = node.key.public_key();
  Raw raw(Make::curve, &key, &server);
  void* watch = raw.watch();
  raw.connect(node.ports().introduce);
  const Bytes document(100U << 10);
  for (int i = 0; i < 8; ++i) REQUIRE(raw.send(document));
  REQUIRE(pump({&node}, [&] { return from_strangers(node) == 8; }));
  pump_for({&node}, 500);
  CHECK(!has_ended(watch));
  for (int i = 0; i < 8; ++i) raw.send(document);
  CHECK(pump({&node}, [&] { return has_ended(watch); }));
  zmq_close(watch);
}

TEST_CASE("transport: a stranger's connection that stays too long is cut") {
  Node node;
  node.options.introduction_ms = 1'000;
  node.start();
  const auto key = crypto::TransportKey::generate();
  const auto server = node.key.public_key();
  Raw raw(Make::curve, &key, &server);
  void* watch = raw.watch();
  raw.connect(node.ports().introduce);
  REQUIRE(raw.send(view_of("here")));
  REQUIRE(pump({&node}, [&] { return from_strangers(node) == 1; }));
  CHECK(pump({&node}, [&] { return has_ended(watch); }));
  zmq_close(watch);
}

TEST_CASE("transport: of more strangers than may be there at a time the oldest is cut") {
  Node node;
  node.options.strangers_most = 3;
  node.start();
  const auto key = crypto::TransportKey::generate();
  const auto server = node.key.public_key();
  std::deque<Raw> raws;
  void* watch = nullptr;
  for (int i = 0; i < 4; ++i) {
    raws.emplace_back(Make::curve, &key, &server);
    if (i == 0) watch = raws.back().watch();
    if (i == 3) CHECK(!has_ended(watch));
    raws.back().connect(node.ports().introduce);
    raws.back().send(view_of("here"));
    CHECK(pump({&node}, [&] { return from_strangers(node) >= i + 1; }));
  }
  CHECK(pump({&node}, [&] { return has_ended(watch); }));
  zmq_close(watch);
}

TEST_CASE("rate limit: a key has its burst, then its rate, whatever others do") {
  RateLimit limit({.per_second = 100, .burst = 100, .key_per_second = 1, .key_burst = 3, .keys_most = 8});
  for (int i = 0; i < 3; ++i) CHECK(limit.admit(key_of(1), 0));
  CHECK(!limit.admit(key_of(1), 0));
  CHECK(limit.admit(key_of(2), 0));
  CHECK(!limit.admit(key_of(1), 999));
  CHECK(limit.admit(key_of(1), 1'000));
  CHECK(!limit.admit(key_of(1), 1'000));
  CHECK(!limit.admit(key_of(1), 0));  // time that runs backwards refills nothing
  for (int i = 0; i < 3; ++i) CHECK(limit.admit(key_of(1), 1'000'000));
  CHECK(!limit.admit(key_of(1), 1'000'000));
}

TEST_CASE("rate limit: all keys together have one bucket, and a refused key takes nothing from it") {
  RateLimit limit({.per_second = 1, .burst = 4, .key_per_second = 1, .key_burst = 1, .keys_most = 8});
  CHECK(limit.admit(key_of(1), 0));
  for (int i = 0; i < 10; ++i) CHECK(!limit.admit(key_of(1), 0));
  for (std::uint8_t key = 2; key < 5; ++key) CHECK(limit.admit(key_of(key), 0));
  CHECK(!limit.admit(key_of(9), 0));
  CHECK(limit.admit(key_of(9), 1'000));
}

TEST_CASE("rate limit: the table never grows beyond its bound, and a flood of keys meets the bucket of all") {
  RateLimit limit({.per_second = 0, .burst = 50, .key_per_second = 0, .key_burst = 10, .keys_most = 8});
  int admitted = 0;
  for (int i = 0; i < 1'000; ++i) {
    crypto::TransportPublicKey key;
    put_u32(key.bytes.data(), static_cast<std::uint32_t>(i));
    admitted += limit.admit(key, i) ? 1 : 0;
    CHECK(limit.keys() <= 8);
  }
  CHECK(admitted == 50);
}
