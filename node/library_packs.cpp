// Packs of a library: what entries list, what of it is missing here and is to be fetched, and what came.
#include <algorithm>

#include "node/library_body.h"

namespace dozo::node {

using store::Entry;
using store::PackListing;

Result<std::vector<PackListing>> Library::Body::listings(const Entry& entry, store::TruthRead& in) const {
  if (const auto* listed = std::get_if<std::vector<PackListing>>(&entry.packs)) return *listed;
  const auto& object = std::get<store::PackListObject>(entry.packs);
  const auto bytes = TRY(in.pack_list(object.sha256));
  if (!bytes) return fail(Fault::not_found, "a list of packs that is not here");
  return store::decode_list(*bytes, object);
}

Result<Library::Body::Fresh> Library::Body::read_fresh(Entry entry, store::TruthRead& in) const {
  Fresh out{{}, TRY(listings(entry, in)), {}};
  for (const PackListing& pack : out.packs) out.here.push_back(TRY(in.has_pack(pack.address)));
  out.entry = std::move(entry);
  return out;
}

/// Notes which of its packs are missing here, and that its record is to be read.
void Library::Body::know_entry(const store::Branch& branch, Feed& feed, Fresh fresh) {
  const Entry& entry = fresh.entry;
  ++entry_count_;
  context_.realm.need(entry.policy);
  Unopened unopened{{branch, entry.sequence, entry.policy, feed.highest, false, entry.time_ms, feed.latest_ms, std::nullopt}, entry.record, {}};
  if (feed.listed_bytes.empty()) feed.first_ms = entry.time_ms;
  feed.listed_bytes.push_back(feed.listed_bytes.empty() ? 0 : feed.listed_bytes.back());
  feed.highest = std::max(feed.highest, entry.policy);
  feed.latest_ms = std::max(feed.latest_ms, entry.time_ms);
  feed.policies.insert(entry.policy);
  for (std::size_t i = 0; i < fresh.packs.size(); ++i) {
    const PackListing& pack = fresh.packs[i];
    feed.listed_bytes.back() += pack.size_bytes;
    if (pack.kind == crypto::PackKind::meta) unopened.meta.push_back(pack.address);
    if (fresh.here[i]) {
      unindexed_.insert(pack.address);
      continue;
    }
    feed.lacking[entry.sequence.value].insert(pack.address);
    Wanted& wanted = missing_[pack.address];
    wanted.by.emplace(branch, entry.sequence.value);
    if (wanted.claims.insert({pack.size_bytes, pack.kind, entry.epoch}).second) wanted.not_before_ms = wanted.step_ms = 0;
  }
  if (folder_ && entry.is(store::EntryKind::change)) unopened_.emplace(std::pair(branch, entry.sequence.value), std::move(unopened));
}

/// Of packs that a node's entries list: what its quota is for. Of a feed with several lines the longest counts: they begin alike.
std::uint64_t Library::Body::listed_bytes(const NodeId& node) const {
  std::map<FeedId, std::uint64_t> by_feed;
  for (auto at = feeds_.lower_bound(store::Branch(FeedId{id_, node, {}})); at != feeds_.end() && at->first.feed.node == node; ++at) {
    std::uint64_t& bytes = by_feed[at->first.feed];
    if (!at->second.listed_bytes.empty()) bytes = std::max(bytes, at->second.listed_bytes.back());
  }
  std::uint64_t out = 0;
  for (const auto& [feed, bytes] : by_feed) out += bytes;
  return out;
}

/// The most that a policy allowed which the node's entries name: an honest one stays below (commit), also when its quota was made smaller since. Nothing: no
/// limit.
std::optional<std::uint64_t> Library::Body::quota(const NodeId& node) const {
  std::uint64_t most = 0;
  for (auto at = feeds_.lower_bound(store::Branch(FeedId{id_, node, {}})); at != feeds_.end() && at->first.feed.node == node; ++at) {
    for (const PolicyVersion& version : at->second.policies) {
      const auto policy = context_.realm.policy_at(version);
      const std::uint64_t bytes = policy ? policy->quota_bytes(node, id_) : 0;
      if (bytes == 0) return std::nullopt;
      most = std::max(most, bytes);
    }
  }
  return most;
}

/// Up to which entry of each line packs are fetched: what is listed within its node's quota. The oldest feeds come first, and those that a cut ends altogether
/// last; what lies beyond a cut is fetched like the rest, as a later policy may raise it. A function of what is known, in whatever order it came. `beyond`:
/// the nodes that list more than that.
std::map<store::Branch, Sequence> Library::Body::fetched_to(std::set<NodeId>* beyond) const {
  std::map<store::Branch, Sequence> out;
  for (auto at = feeds_.begin(); at != feeds_.end();) {
    const NodeId node = at->first.feed.node;
    const std::optional<std::uint64_t> most = quota(node);
    std::vector<std::tuple<bool, std::int64_t, FeedId, store::Branch>> lines;
    for (; at != feeds_.end() && at->first.feed.node == node; ++at) {
      if (most) {
        lines.emplace_back(uncut(at->first, at->second).value == 0, at->second.first_ms, at->first.feed, at->first);
      } else {
        out.emplace(at->first, at->second.tail.sequence());
      }
    }
    std::ranges::sort(lines);
    std::uint64_t before = 0, of_feed = 0;  // of the feeds before this one; of the longest line of this one
    FeedId last;
    for (const auto& [cut, first_ms, id, branch] : lines) {
      const Feed& feed = feeds_.at(branch);
      if (id != last) before += std::exchange(of_feed, 0), last = id;
      const auto fits = std::ranges::upper_bound(feed.listed_bytes, *most - std::min(*most, before));
      const Sequence end{before > *most ? 0 : static_cast<std::uint64_t>(fits - feed.listed_bytes.begin())};
      if (end < feed.tail.sequence() && beyond != nullptr) beyond->insert(node);
      if (end.value > 0) of_feed = std::max(of_feed, feed.listed_bytes[end.value - 1]);
      out.emplace(branch, end);
    }
  }
  return out;
}

void Library::Body::settle(Feed& feed) { feed.held = feed.lacking.empty() ? feed.tail.sequence() : Sequence{feed.lacking.begin()->first - 1}; }

Result<void> Library::keep_pack_list(const Digest& sha256, ByteView bytes) {
  if (crypto::sha256(bytes) != sha256) return fail(Fault::not_authentic, "a list of packs with another hash");
  auto write = TRY(body_->context_.truth.write());
  TRY(write.put_pack_list(sha256, bytes));
  return write.commit();
}

std::vector<Library::Missing> Library::missing(std::size_t most, std::int64_t now_ms) const {
  using Packs = const std::set<PackAddress>*;
  std::map<NodeId, std::vector<Packs>> by_writer;
  const std::map<store::Branch, Sequence> ends = body_->fetched_to();
  for (const auto& [branch, feed] : body_->feeds_) {
    for (const auto& [sequence, packs] : feed.lacking) {
      if (sequence <= ends.at(branch).value) by_writer[branch.feed.node].push_back(&packs);
    }
  }
  struct Turn {
    std::span<const Packs> left;
    std::set<PackAddress>::const_iterator next;
  };
  std::vector<Turn> turns;
  for (auto& [node, entries] : by_writer) {
    std::ranges::stable_sort(entries, {}, [](Packs packs) { return packs->size(); });
    turns.push_back({entries, entries.front()->begin()});
  }
  std::vector<Missing> out;
  std::set<PackAddress> seen;
  while (!turns.empty()) {
    for (Turn& turn : turns) {
      for (bool taken = false; !taken && !turn.left.empty();) {
        const PackAddress& address = *turn.next;
        const Body::Wanted& wanted = body_->missing_.at(address);
        if (!wanted.claims.empty() && wanted.not_before_ms <= now_ms && seen.insert(address).second) {
          if (out.size() == most) return out;
          const std::uint32_t size = wanted.claims.begin()->size_bytes;
          const bool agreed = std::ranges::all_of(wanted.claims, [&](const Body::Claim& claim) { return claim.size_bytes == size; });
          out.push_back({address, agreed ? size : 0});
          taken = true;
        }
        if (++turn.next != turn.left.front()->end()) continue;
        turn.left = turn.left.subspan(1);
        if (!turn.left.empty()) turn.next = turn.left.front()->begin();
      }
    }
    std::erase_if(turns, [](const Turn& turn) { return turn.left.empty(); });
  }
  return out;
}

std::uint64_t Library::missing_count() const { return body_->missing_.size(); }

bool Library::is_missing(const PackAddress& address) const {
  const auto wanted = body_->missing_.find(address);
  return wanted != body_->missing_.end() && !wanted->second.claims.empty();
}

void Library::put_off(const PackAddress& address, std::int64_t now_ms) {
  constexpr std::int64_t step_ms_least = 60'000, step_ms_most = 3'600'000;
  const auto wanted = body_->missing_.find(address);
  if (wanted == body_->missing_.end()) return;
  wanted->second.step_ms = std::clamp(2 * wanted->second.step_ms, step_ms_least, step_ms_most);
  wanted->second.not_before_ms = now_ms + wanted->second.step_ms;
}

Result<void> Library::check_pack(const PackAddress& address, ByteView sealed) {
  const auto wanted = body_->missing_.find(address);
  if (wanted == body_->missing_.end()) return fail(Fault::denied, "a pack that no entry here lacks");
  if (crypto::address_of(sealed) != address) return fail(Fault::not_authentic, "a pack of another address");
  const auto header = crypto::check_sealed(sealed);
  const bool ours = header && header->library == body_->id_;
  std::erase_if(wanted->second.claims, [&](const Body::Claim& claim) {
    return !ours || claim != Body::Claim{static_cast<std::uint32_t>(sealed.size()), header->kind, header->epoch};
  });
  if (wanted->second.claims.empty()) return fail(Fault::denied, "a pack of another library, size, kind or epoch than any entry says");
  return {};
}

bool Library::packs_durable(std::vector<Arrived> packs) {
  bool changed = false;
  std::set<store::Branch> touched;
  std::vector<DerivedIndex::Pack> looked_into;
  for (Arrived& pack : packs) {
    const PackAddress& address = pack.address;
    const auto wanted = body_->missing_.find(address);
    if (wanted == body_->missing_.end()) continue;
    for (const auto& [id, sequence] : wanted->second.by) {
      Body::Feed& feed = body_->feeds_.at(id);
      const auto lacking = feed.lacking.find(sequence);
      lacking->second.erase(address);
      if (lacking->second.empty()) feed.lacking.erase(lacking);
      touched.insert(id);
    }
    body_->missing_.erase(wanted);
    body_->unindexed_.insert(address);
    body_->index_.set_absent(address, false);
    if (pack.places && body_->has_keys()) looked_into.push_back({address, std::move(*pack.places)});
    changed = true;
  }
  if (!looked_into.empty() && body_->index_.put(looked_into)) {  // after a fault derive() opens them itself, and says what is wrong
    for (const DerivedIndex::Pack& pack : looked_into) body_->unindexed_.erase(pack.address);
  }
  for (const store::Branch& branch : touched) body_->settle(body_->feeds_.at(branch));
  if (changed) body_->derive(Body::Judge::fresh);
  return changed;
}

std::set<NodeId> Library::beyond_quota() const {
  std::set<NodeId> out;
  (void)body_->fetched_to(&out);
  return out;
}

bool Library::all_opened() const { return body_->folder_.has_value() && body_->unindexed_.empty(); }

Result<bool> Library::pack_damaged(const PackAddress& address) {
  Body& it = *body_;
  if (it.missing_.contains(address)) return true;
  Body::Wanted wanted;
  auto in = TRY(it.context_.truth.read());
  for (const auto& [branch, feed] : it.feeds_) {
    TRY(in.each_entry(branch, {1}, [&](Sequence sequence, ByteView bytes) -> Result<bool> {
      const Entry entry = TRY(store::decode_entry(bytes));
      for (const PackListing& pack : TRY(it.listings(entry, in))) {
        if (pack.address != address) continue;
        wanted.claims.insert({pack.size_bytes, pack.kind, entry.epoch});
        wanted.by.emplace(branch, sequence.value);
      }
      return true;
    }));
  }
  if (wanted.by.empty()) return false;
  for (const auto& [branch, sequence] : wanted.by) {
    Body::Feed& feed = it.feeds_.at(branch);
    feed.lacking[sequence].insert(address);
    it.settle(feed);
  }
  it.missing_.emplace(address, std::move(wanted));
  it.unindexed_.erase(address);
  it.index_.set_absent(address, true);
  return true;
}

}  // namespace dozo::node
