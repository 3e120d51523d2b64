#include <array>

#include "base/invariant.h"
#include "node/home.h"
#include "node/local_messages.h"
#include "node/receipts.h"
#include "tests/fuzz/targets.h"

namespace dozo::fuzz {
namespace {

bool receipt(ByteView bytes) {
  const auto read = node::read_receipt(bytes);
  const auto opened = node::open_receipt(bytes, signing_key().public_key());
  if (opened) INVARIANT(read && *read == *opened && node::sign(*opened, signing_key()) == bytes_of(bytes));
  return read.has_value();
}

bool local_request(ByteView bytes) {
  const auto it = node::local::decode_request(bytes);
  if (!it) return false;
  INVARIANT(node::local::encode_request(*it) == bytes_of(bytes));
  return true;
}

bool local_answer(ByteView bytes) {
  const auto it = node::local::decode_answer(bytes);
  if (!it) return false;
  INVARIANT(node::local::encode_answer(*it) == bytes_of(bytes));
  return true;
}

bool settings(ByteView bytes) {
  const auto it = node::read_settings(text_of(bytes), "node.toml");
  if (!it) return false;
  const auto again = node::read_settings(node::write_settings(*it), "node.toml");
  INVARIANT(again && *again == *it);
  return true;
}

constexpr std::array targets{Target{"receipt", receipt}, Target{"local_request", local_request}, Target{"local_answer", local_answer},
                             Target{"settings", settings}};

}  // namespace

std::span<const Target> node_targets() { return targets; }

}  // namespace dozo::fuzz
