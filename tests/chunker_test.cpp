// Where contents are cut, and the lists of what they were cut into.
#include <doctest/doctest.h>

#include <set>

#include "store/chunker.h"
#include "store/piece_list.h"
#include "tests/content_fixture.h"

namespace {
using namespace dozo;
using namespace dozo::store;
using content_fixture::Dice;
using content_fixture::noise;

std::vector<std::size_t> cuts(ByteView content) {
  std::vector<std::size_t> out;
  while (!content.empty()) {
    out.push_back(next_cut(content, true));
    REQUIRE(out.back() > 0);
    content = content.subspan(out.back());
  }
  return out;
}

/// The rule as docs/storage-format.md words it, a byte at a time.
std::size_t plain_cut(ByteView content) {
  if (content.size() <= 65536) return content.size();
  std::uint64_t sum = 0;
  for (std::size_t i = 16384; i < std::min<std::size_t>(content.size(), 262144); ++i) {
    sum = (sum << 1) + gear_table()[content[i]];
    const std::uint64_t mask = i < 65536 ? 0x7fffe00000000000 : 0x7ffe000000000000;
    if ((sum & mask) == 0) return i + 1;
  }
  return std::min<std::size_t>(content.size(), 262144);
}

struct Cost {
  std::set<PieceId> ids;
  std::size_t fresh = 0;
};
/// Counts bytes of pieces and nodes that `known` has not.
Cost cost_of(ByteView content, const std::set<PieceId>& known) {
  Cost out;
  ListBuilder list;
  std::vector<ListBuilder::Made> made;
  const auto count = [&](const PieceId& id, std::size_t size) {
    if (out.ids.insert(id).second && !known.contains(id)) out.fresh += size;
  };
  while (!content.empty()) {
    const ByteView piece = content.first(next_cut(content, true));
    const PieceId id = piece_id(PieceType::content, piece);
    count(id, piece.size());
    list.add({id, piece.size()}, made);
    content = content.subspan(piece.size());
  }
  REQUIRE(list.finish(made));
  for (const auto& node : made) count(node.ref.id, node.bytes.size());
  return out;
}

PieceRef numbered(std::uint64_t number, std::uint64_t size = 1000) {
  Bytes bytes(8);
  put_u64(bytes.data(), number);
  return {piece_id(PieceType::content, bytes), size};
}
struct Tree {
  ListRoot root;
  std::vector<ListBuilder::Made> nodes;
};
Tree tree_of(const std::vector<PieceRef>& pieces) {
  ListBuilder list;
  Tree out;
  for (const PieceRef& piece : pieces) list.add(piece, out.nodes);
  out.root = *list.finish(out.nodes);
  return out;
}
Result<void> flatten(const Tree& tree, const std::vector<PieceRef>& entries, std::uint8_t level, std::vector<PieceRef>& to) {
  for (const PieceRef& entry : entries) {
    if (level == 0) {
      to.push_back(entry);
      continue;
    }
    const auto found = std::ranges::find_if(tree.nodes, [&](const auto& node) { return node.ref.id == entry.id; });
    REQUIRE(found != tree.nodes.end());
    const ListNode node = TRY(decode_list_node(found->bytes, level, entry.size));
    TRY(flatten(tree, node.entries, static_cast<std::uint8_t>(level - 1), to));
  }
  return {};
}
}  // namespace

TEST_CASE("store: the gear table is the one that the format pins") {
  Bytes all;
  for (const std::uint64_t number : gear_table()) {
    Bytes eight(8);
    put_u64(eight.data(), number);
    append(all, eight);
  }
  CHECK(to_hex(ByteView(all).first(8)) == "0312e2b20a3e3ab6");
  CHECK(crypto::sha256(all).hex() == "9c0ad1407b33baab1ea26617666a966a044a65e745bd6df7c2645c23b9142ceb");
}

TEST_CASE("store: known bytes are cut at the places that the format names") {
  Bytes content(1'000'000);
  std::uint32_t x = 1;
  for (std::uint8_t& byte : content) {
    x = x * 1664525 + 1013904223;
    byte = static_cast<std::uint8_t>(x >> 24);
  }
  CHECK(cuts(content) == std::vector<std::size_t>{88161, 69713, 102215, 72966, 97737, 73582, 16788, 46377, 67919, 66088, 86732, 87154, 70614, 53954});
}

TEST_CASE("store: taking two bytes at a time cuts as the plain rule does") {
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    const Bytes content = noise(seed, 900'000 + seed * 77'777);
    ByteView left(content);
    while (!left.empty()) {
      const std::size_t cut = next_cut(left, true);
      REQUIRE(cut == plain_cut(left));
      left = left.subspan(cut);
    }
  }
}

TEST_CASE("store: pieces keep to their bounds, and a content up to 64 KiB is one") {
  for (const std::size_t size : {1U, 16'384U, 16'385U, 65'535U, 65'536U}) CHECK(cuts(noise(1, size)) == std::vector<std::size_t>{size});
  CHECK(next_cut({}, true) == 0);
  CHECK(next_cut({}, false) == 0);
  const Bytes content = noise(3, 16 << 20);
  const auto lengths = cuts(content);
  for (std::size_t i = 0; i + 1 < lengths.size(); ++i) CHECK((lengths[i] > cut_bytes_min && lengths[i] <= cut_bytes_max));
  const std::size_t average = content.size() / lengths.size();
  CHECK(average > 56 * 1024);
  CHECK(average < 80 * 1024);
  for (const std::size_t length : cuts(Bytes(1 << 20))) CHECK(length == cut_bytes_max);
  CHECK(cuts(Bytes((1 << 18) + 65'537)).size() == 2);
}

TEST_CASE("store: a cut does not depend on how much of the content the window shows") {
  const Bytes content = noise(5, 3 << 20);
  for (std::size_t at = 0; at + cut_bytes_max < content.size(); at += 99'991) {
    const ByteView rest = ByteView(content).subspan(at);
    CHECK(next_cut(rest.first(cut_bytes_max - 1), false) == 0);
    const std::size_t cut = next_cut(rest.first(cut_bytes_max), false);
    CHECK(cut == next_cut(rest, false));
    CHECK(cut == next_cut(rest, true));
  }
}

TEST_CASE("store: one byte put into 16 MiB makes few new bytes of pieces and lists") {
  const Bytes content = noise(11, 16 << 20);
  const Cost before = cost_of(content, {});
  Dice dice{12};
  std::size_t total = 0;
  const int trials = 12;
  for (int trial = 0; trial < trials; ++trial) {
    Bytes changed = content;
    changed.insert(changed.begin() + static_cast<std::ptrdiff_t>(dice.below(changed.size())), std::uint8_t{'x'});
    const std::size_t fresh = cost_of(changed, before.ids).fresh;
    CHECK(fresh < 700 * 1024);
    CHECK(fresh > 1000);
    total += fresh;
  }
  CHECK(total / trials < 200 * 1024);
}

TEST_CASE("store: a short list stands in the manifest, a longer one in nodes of about 4 KiB") {
  std::vector<PieceRef> pieces;
  for (std::uint64_t i = 0; i < root_entries_most; ++i) pieces.push_back(numbered(i));
  const Tree small = tree_of(pieces);
  CHECK(small.root.level == 0);
  CHECK(small.root.entries == pieces);
  CHECK(small.nodes.empty());
  CHECK(tree_of({}).root == ListRoot{});
  for (std::uint64_t i = pieces.size(); i < 40'000; ++i) pieces.push_back(numbered(i));
  const Tree large = tree_of(pieces);
  CHECK(large.root.level == 2);
  CHECK(large.root.entries.size() <= root_entries_most);
  std::size_t bytes = 0;
  for (const auto& node : large.nodes) {
    CHECK(node.bytes.size() <= piece_bytes_most(PieceType::list));
    bytes += node.bytes.size();
  }
  CHECK(bytes / large.nodes.size() > 3 * 1024);
  CHECK(bytes / large.nodes.size() < 5 * 1024);
  std::vector<PieceRef> back;
  REQUIRE(flatten(large, large.root.entries, large.root.level, back));
  CHECK(back == pieces);
}

TEST_CASE("store: changing one entry of a long list makes about one node per level") {
  std::vector<PieceRef> pieces;
  for (std::uint64_t i = 0; i < 40'000; ++i) pieces.push_back(numbered(i));
  std::set<PieceId> known;
  for (const auto& node : tree_of(pieces).nodes) known.insert(node.ref.id);
  Dice dice{5};
  std::size_t total = 0;
  const int trials = 20;
  for (int trial = 0; trial < trials; ++trial) {
    auto changed = pieces;
    const auto at = changed.begin() + static_cast<std::ptrdiff_t>(dice.below(changed.size()));
    if (trial % 2 == 0) *at = numbered(1'000'000 + static_cast<std::uint64_t>(trial));
    if (trial % 2 == 1) changed.insert(at, numbered(2'000'000 + static_cast<std::uint64_t>(trial)));
    for (const auto& node : tree_of(changed).nodes) total += known.contains(node.ref.id) ? 0 : node.bytes.size();
  }
  CHECK(total / trials < 16 * 1024);
}

TEST_CASE("store: entries that never end a node, or always do, still make bounded nodes") {
  PieceRef never = numbered(0), always = numbered(0);
  never.id.bytes.back() = 1;
  always.id.bytes.back() = 0;
  for (const PieceRef& ref : {never, always}) {
    const Tree tree = tree_of(std::vector<PieceRef>(50'000, ref));
    for (const auto& node : tree.nodes) CHECK(node.bytes.size() <= piece_bytes_most(PieceType::list));
    std::vector<PieceRef> back;
    std::uint64_t sum = 0;
    for (const PieceRef& entry : tree.root.entries) sum += entry.size;
    CHECK(sum == 50'000'000);
  }
}

TEST_CASE("store: a list node that is not what its parent says is refused") {
  const ListNode node{1, {numbered(1, 100), numbered(2, 200)}};
  const Bytes good = encode(node);
  REQUIRE(decode_list_node(good, 1, 300));
  CHECK(*decode_list_node(good, 1, 300) == node);
  CHECK(decode_list_node(good, 1, 299).error().fault == Fault::malformed);
  CHECK(decode_list_node(good, 2, 300).error().fault == Fault::malformed);
  CHECK(decode_list_node(good, 0, 300).error().fault == Fault::malformed);
  for (std::size_t size = 0; size < good.size(); ++size) CHECK(!decode_list_node(ByteView(good).first(size), 1, 300));
  Bytes more = good;
  more.push_back(0);
  CHECK(!decode_list_node(more, 1, 300));
  Bytes newer = good;
  newer[0] = 2;
  CHECK(decode_list_node(newer, 1, 300).error().fault == Fault::unsupported);
  CHECK(!decode_list_node(encode(ListNode{1, {}}), 1, 0));
  CHECK(!decode_list_node(encode(ListNode{1, {numbered(1, 0)}}), 1, 0));
  CHECK(!decode_list_node(encode(ListNode{1, {numbered(1, 256 * 1024 + 1)}}), 1, 256 * 1024 + 1));
  CHECK(decode_list_node(encode(ListNode{2, {numbered(1, 256 * 1024 + 1)}}), 2, 256 * 1024 + 1));
  CHECK(!decode_list_node(encode(ListNode{9, {numbered(1, content_bytes_most)}}), 10, content_bytes_most));
  // Sums that come round to the right number.
  const ListNode round{2, {numbered(1, ~std::uint64_t{0}), numbered(2, 301)}};
  CHECK(!decode_list_node(encode(round), 2, 300));
  CHECK(!decode_list_node(encode(ListNode{1, std::vector<PieceRef>(401, numbered(1, 1))}), 1, 401));
}
