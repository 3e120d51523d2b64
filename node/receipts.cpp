#include "node/receipts.h"

#include <algorithm>

#include "base/archive.h"
#include "base/invariant.h"

namespace dozo::node {
namespace {

constexpr std::string_view context = "dozo receipt 1";

}  // namespace

template <class A>
void serialize(A& archive, HeldFeed& it) {
  archive(it.node, it.incarnation, it.sequence, it.root);
}
template <class A>
void serialize(A& archive, Receipt& it) {
  archive(it.format, it.library, it.signer, it.number, it.time_ms, it.opened, archive::capped<receipt_feeds_most>(it.feeds));
}
template <class A>
void serialize(A& archive, SignedReceipt& it) {
  archive(archive::capped<receipt_bytes_most>(it.receipt), it.signature);
}

Bytes sign(const Receipt& receipt, const crypto::SigningKey& key) {
  INVARIANT(receipt.feeds.size() <= receipt_feeds_most);
  SignedReceipt out{archive::encode(receipt), {}};
  out.signature = crypto::sign(key, context, out.receipt);
  return archive::encode(out);
}

namespace {

Result<std::pair<SignedReceipt, Receipt>> read(ByteView bytes) {
  SignedReceipt outer = TRY(archive::decode<SignedReceipt>(bytes, receipt_bytes_most + 128, "receipt"));
  if (!outer.receipt.empty() && outer.receipt.front() > receipt_format) return fail(Fault::unsupported, "a receipt of a newer format");
  Receipt inner = TRY(archive::decode<Receipt>(outer.receipt, receipt_bytes_most, "receipt"));
  if (inner.format != receipt_format) return fail(Fault::malformed, "receipt: format 0");
  for (std::size_t i = 0; i < inner.feeds.size(); ++i) {
    const HeldFeed& it = inner.feeds[i];
    if (it.sequence.value == 0) return fail(Fault::malformed, "receipt: a feed of which nothing is held");
    if (i > 0 && inner.feeds[i - 1] >= it) {
      return fail(Fault::malformed, "receipt: feeds out of order");
    }
  }
  return std::pair(std::move(outer), std::move(inner));
}

}  // namespace

Result<Receipt> read_receipt(ByteView bytes) { return std::move(TRY(read(bytes)).second); }

Result<Receipt> open_receipt(ByteView bytes, const crypto::VerifyKey& key) {
  auto [outer, inner] = TRY(read(bytes));
  TRY(crypto::verify(key, context, outer.receipt, outer.signature));
  return std::move(inner);
}

std::uint64_t entries_behind(const Receipt& receipt, const std::vector<KnownFeed>& known, const HasRoot& has_root) {
  std::uint64_t out = 0;
  for (const KnownFeed& it : known) {
    std::uint64_t covered = 0;
    const auto of_feed = std::ranges::equal_range(receipt.feeds, std::pair(it.feed.node, it.feed.incarnation), {},
                                                  [](const HeldFeed& feed) { return std::pair(feed.node, feed.incarnation); });
    for (const HeldFeed& feed : of_feed) {
      if (feed.sequence.value <= covered || feed.sequence > it.sequence) continue;
      if (feed.sequence == it.sequence ? feed.root == it.root : has_root(it, feed.sequence, feed.root)) covered = feed.sequence.value;
    }
    out += it.counted.value > covered ? it.counted.value - covered : 0;
  }
  return out;
}

}  // namespace dozo::node
