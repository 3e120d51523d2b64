// Goal: the encoding is canonical and its decoder cannot be made to misbehave; the text forms are strict.
#include <doctest/doctest.h>

#include "base/archive.h"

using namespace dozo;

namespace sample {
enum class Kind { first, second, third };
constexpr Kind wire_last(Kind) { return Kind::third; }
struct Pair {
  Kind kind{};
  std::uint32_t number{};
  bool operator==(const Pair&) const = default;
};
template <class A>
void serialize(A& archive, Pair& it) {
  archive(it.kind, it.number);
}
struct Message {
  std::string name;
  std::vector<Pair> pairs;
  std::optional<NodeId> node;
  std::variant<Sequence, Pair> either;
  bool flag{};
  Bytes body;
  bool operator==(const Message&) const = default;
};
template <class A>
void serialize(A& archive, Message& it) {
  archive(archive::capped<8>(it.name), archive::capped<3>(it.pairs), it.node, it.either, it.flag, archive::capped<4>(it.body));
}
Message example() { return {"node", {{Kind::second, 7}, {Kind::third, 9}}, NodeId{{1, 2}}, Sequence{77}, true, {1, 2}}; }
}  // namespace sample

TEST_CASE("archive: the example has the bytes that it had when the format was fixed") {
  CHECK(to_hex(archive::encode(sample::example())) ==
        "000000046e6f646500000002010000000702000000090101020000000000000000000000000000"
        "00000000000000004d01000000020102");
}

TEST_CASE("archive: what was encoded decodes to the same, and encodes to the same bytes") {
  const Bytes bytes = archive::encode(sample::example());
  const auto back = archive::decode<sample::Message>(bytes, 1000, "message");
  REQUIRE(back);
  CHECK(*back == sample::example());
  CHECK(archive::encode(*back) == bytes);
}

TEST_CASE("archive: every truncation and every lengthening is refused") {
  Bytes bytes = archive::encode(sample::example());
  for (std::size_t size = 0; size < bytes.size(); ++size) CHECK(!archive::decode<sample::Message>(ByteView(bytes).first(size), 1000, "message"));
  bytes.push_back(0);
  CHECK(!archive::decode<sample::Message>(bytes, 1000, "message"));
}

TEST_CASE("archive: a changed byte is refused or is another value, never the same one") {
  const Bytes bytes = archive::encode(sample::example());
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    for (int change = 1; change < 256; ++change) {
      Bytes other = bytes;
      other[at] = static_cast<std::uint8_t>(other[at] ^ change);
      const auto back = archive::decode<sample::Message>(other, 1000, "message");
      if (back) CHECK((!(*back == sample::example()) && archive::encode(*back) == other));
    }
  }
}

TEST_CASE("archive: counts are refused before anything is allocated") {
  CHECK(archive::decode<sample::Message>(Bytes{0xff, 0xff, 0xff, 0xff}, 1000, "message").error().fault == Fault::over_limit);
  CHECK(archive::decode<sample::Message>(Bytes{0, 0, 0, 8}, 1000, "message").error().fault == Fault::malformed);
  CHECK(archive::decode<sample::Message>(Bytes(1001), 1000, "message").error().fault == Fault::over_limit);
}

TEST_CASE("archive: a bool is 0 or 1, a kind is one that exists") {
  CHECK(archive::decode<bool>(Bytes{1}, 1, "flag"));
  CHECK(!archive::decode<bool>(Bytes{2}, 1, "flag"));
  CHECK(archive::decode<sample::Kind>(Bytes{2}, 1, "kind"));
  CHECK(!archive::decode<sample::Kind>(Bytes{3}, 1, "kind"));
  CHECK(!archive::decode<std::variant<Sequence, sample::Pair>>(Bytes(9, 2), 9, "either"));
}

TEST_CASE("bytes: text forms are strict and reversible") {
  CHECK(to_base64(view_of("foobar")) == "Zm9vYmFy");
  CHECK(to_base64(view_of("fooba")) == "Zm9vYmE=");
  CHECK(to_base64(view_of("foob")) == "Zm9vYg==");
  for (const char* bad : {"Zg=", "Zh==", "Z===", "Zg==Zg==", "Zm9v\n", "Zm-v", "===="}) CHECK(!from_base64(bad));
  for (std::size_t size = 0; size < 70; ++size) {
    Bytes bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i * 37 + size);
    CHECK(from_base64(to_base64(bytes)).value() == bytes);
    CHECK(from_hex(to_hex(bytes)).value() == bytes);
  }
  CHECK(!from_hex("AB"));
  CHECK(!from_hex("abc"));
  Bytes id(16);
  id[0] = 0xf8;
  CHECK(to_base32(id) == "z0000000000000000000000000");
}
