#include "sync/inventory.h"

#include <algorithm>

#include "crypto/hash.h"

namespace dozo::sync {

namespace {

void append_u64(Bytes& to, std::uint64_t value) {
  std::uint8_t bytes[8];
  put_u64(bytes, value);
  append(to, bytes);
}

void append_point(Bytes& to, const FeedPoint& point) {
  append(to, point.feed.node.view());
  append(to, point.feed.incarnation.view());
  append_u64(to, point.sequence.value);
  append(to, point.root.view());
}

bool before(const StatementMark& mark, const std::pair<const NodeId&, const std::string&>& key) {
  return mark.signer != key.first ? mark.signer < key.first : mark.subject < key.second;
}

template <class T>
std::vector<T> added(const std::vector<T>& before, const std::vector<T>& now) {
  std::vector<T> out;
  std::ranges::set_difference(now, before, std::back_inserter(out));
  return out;
}

}  // namespace

std::size_t bucket_of(const FeedId& feed) { return feed.incarnation.bytes[0] % bucket_count; }

bool Inventory::holds(const FeedPoint& point) const { return std::ranges::binary_search(feeds, point); }
std::size_t Inventory::lines_of(const FeedId& feed) const { return std::ranges::equal_range(feeds, feed, {}, &FeedPoint::feed).size(); }

const StatementMark* Inventory::find(const NodeId& signer, const std::string& subject) const {
  const auto at = std::lower_bound(marks.begin(), marks.end(), std::pair<const NodeId&, const std::string&>(signer, subject), before);
  return at != marks.end() && at->signer == signer && at->subject == subject ? &*at : nullptr;
}

Inventories::Kept& Inventories::fresh(const LibraryId& library) {
  Kept& it = kept_[library];
  Inventory& inventory = it.inventory;
  inventory.state.library = library;
  if (!it.feeds_fresh) {
    inventory.feeds = store_.feeds(library);
    std::ranges::sort(inventory.feeds);
    Bytes all = bytes_of("dozo feeds 1");
    std::array<Bytes, bucket_count> buckets;
    for (const FeedPoint& point : inventory.feeds) {
      append_point(all, point);
      append_point(buckets[bucket_of(point.feed)], point);
    }
    inventory.state.feeds = crypto::sha256(all);
    for (std::size_t i = 0; i < bucket_count; ++i) {
      inventory.buckets[i] = buckets[i].empty() ? 0 : get_u64(crypto::sha256(buckets[i]).bytes.data());
    }
    it.feeds_fresh = true;
  }
  if (!it.marks_fresh) {
    inventory.marks = store_.statements(library);
    std::ranges::sort(inventory.marks);
    Bytes all = bytes_of("dozo statements 1");
    for (const StatementMark& mark : inventory.marks) {
      append(all, mark.signer.view());
      append_u64(all, mark.subject.size());
      append(all, view_of(mark.subject));
      append_u64(all, mark.number);
    }
    inventory.state.statements = crypto::sha256(all);
    it.marks_fresh = true;
  }
  if (!it.told) {
    it.told = true;
    it.told_feeds = inventory.feeds;
    it.told_marks = inventory.marks;
  }
  return it;
}

const Inventory& Inventories::of(const LibraryId& library) { return fresh(library).inventory; }

void Inventories::feeds_changed(const LibraryId& library) { kept_[library].feeds_fresh = false; }
void Inventories::statements_changed(const LibraryId& library) { kept_[library].marks_fresh = false; }
void Inventories::all_changed() {
  for (auto& [library, it] : kept_) it.feeds_fresh = it.marks_fresh = false;
}

Inventories::News Inventories::news(const LibraryId& library) {
  Kept& it = fresh(library);
  News out{added(it.told_feeds, it.inventory.feeds), added(it.told_marks, it.inventory.marks)};
  it.told_feeds = it.inventory.feeds;
  it.told_marks = it.inventory.marks;
  return out;
}

Digest hash_of(const std::vector<LibraryState>& libraries) {
  Bytes all = bytes_of("dozo libraries 1");
  for (const LibraryState& one : libraries) {
    append(all, one.library.view());
    append(all, one.feeds.view());
    append(all, one.statements.view());
  }
  return crypto::sha256(all);
}

}  // namespace dozo::sync
