// Fsck of a truth in ruins: its file is read from end to end, whatever LMDB makes of it, and what is whole and proved goes into a new one, which takes its
// place when all is checked.
//
// Nothing is true because it lies in that file: what looks like a row may have been replaced, never committed, or put into a pack by somebody else. So
// documents of the authority are taken by their signatures; of each node's first line of a feed the entries that a head covers which that node signed, and
// nothing beyond; lists and packs by their hashes, where such entries name them. Everything else comes from other nodes.
#include <algorithm>

#include "node/files.h"
#include "node/fsck_body.h"
#include "store/truth_salvage.h"

namespace dozo::node {

namespace fs = std::filesystem;
using store::TruthCheck;
using store::TruthTable;

namespace {

constexpr std::size_t salvaged_puts_most = 4'000;      // of one transaction
constexpr std::size_t salvaged_bytes_most = 8U << 20;  // the same
constexpr std::size_t heads_most = 16;                 // of one feed, the highest
constexpr std::size_t other_entries_most = 6;          // of one feed: each doubles what is tried

/// A truth that is written in transactions of bounded size.
class Writing {
 public:
  explicit Writing(store::Truth& truth) : truth_(truth) {}
  Result<store::TruthWrite*> to(std::size_t bytes) {
    if (writing_ && (++puts_ > salvaged_puts_most || bytes_ > salvaged_bytes_most)) TRY(commit());
    if (!writing_) writing_.emplace(TRY(truth_.write()));
    bytes_ += bytes;
    return &*writing_;
  }
  Result<void> commit() {
    if (!writing_) return {};
    const Result<void> done = writing_->commit();
    writing_.reset();
    puts_ = bytes_ = 0;
    return done;
  }

 private:
  store::Truth& truth_;
  std::optional<store::TruthWrite> writing_;
  std::size_t puts_ = 0, bytes_ = 0;
};

}  // namespace

Result<void> Fsck::begin_salvage(const Error& why) {
  std::error_code code;
  if (fs::exists(ruined_path(), code)) return fail(Fault::exists, ruined_path().string() + " is there already, from an earlier rebuild: move it away first");
  salvaging_ = why.text;
  fs::remove_all(salvaged_path(), code);  // of a run that was stopped
  truth_kv_ = TRY(store::open_lmdb(salvaged_path(), store::Truth::tables()));
  truth_ = TRY(store::Truth::create(*truth_kv_, sealer_));
  Writing writing(*truth_);
  const auto take = [&](TruthTable table, ByteView key, ByteView value) -> Result<void> {
    const auto named = table == TruthTable::documents   ? TruthCheck::document_of(key)
                       : table == TruthTable::conflicts ? TruthCheck::conflict_of(key)
                                                        : std::nullopt;
    if (!named || named->type.empty() || named->type.size() > 32 || !policy::read_envelope(value)) return {};
    TRY((TRY(writing.to(value.size())))->put_document(*named, value));
    return {};
  };
  salvage_lost_bytes_ = TRY(store::salvage(home_.truth() / "data.mdb", {take, nullptr}, told("salvage: documents")));
  TRY(writing.commit());
  return mend_documents();
}

store::SalvageProgress Fsck::told(std::string_view step) {
  return [this, step](std::uint64_t bytes, std::uint64_t bytes_total) { tell(step, bytes, bytes_total); };
}

/// Heads of first lines that their nodes signed.
Result<void> Fsck::find_ends(SalvagedFeeds& feeds) {
  Writing writing(*truth_);
  const auto take = [&](TruthTable table, ByteView key, ByteView value) -> Result<void> {
    if (table == TruthTable::lists) {
      const auto sha256 = Digest::from(key);
      if (sha256 && crypto::sha256(value) == *sha256) TRY((TRY(writing.to(value.size())))->put_pack_list(*sha256, value));
      return {};
    }
    const auto branch = table == TruthTable::heads ? TruthCheck::branch_of(key) : std::nullopt;
    if (!branch || !branch->fork.is_zero()) return {};
    const auto row = TruthCheck::head_in(value);
    const auto tail = row ? store::FeedTail::decode(row->tail) : Result<store::FeedTail>(fail(Fault::malformed, ""));
    const auto keys = node_keys_.find(branch->feed.node);
    if (!tail || tail->feed() != branch->feed || keys == node_keys_.end()) return {};
    for (const crypto::VerifyKey& signer : keys->second) {
      const auto head = tail->check_head(row->note, row->proof, signer);
      if (!head) continue;
      auto& ends = feeds[branch->feed].ends;
      const auto [at, fresh] = ends.try_emplace(tail->sequence(), SalvagedEnd{*row, *tail, head->sequence.value});
      if (!fresh && at->second && at->second->tail.root() != tail->root()) at->second.reset();
      if (!fresh && at->second && at->second->covered < head->sequence.value) at->second = SalvagedEnd{*row, *tail, head->sequence.value};
      if (ends.size() > heads_most) ends.erase(ends.begin());
      break;
    }
    return {};
  };
  TRY(store::salvage(home_.truth() / "data.mdb", {take, nullptr}, told("salvage: heads")));
  return writing.commit();
}

/// Entries up to the highest end of their feed.
Result<void> Fsck::find_entries(SalvagedFeeds& feeds) {
  Writing writing(*truth_);
  const auto take = [&](TruthTable table, ByteView key, ByteView value) -> Result<void> {
    const auto place = table == TruthTable::entries ? TruthCheck::entry_of(key) : std::nullopt;
    if (!place || !place->first.fork.is_zero()) return {};
    const auto feed = feeds.find(place->first.feed);
    const auto entry = store::decode_entry(value);
    if (feed == feeds.end() || !entry || entry->feed != feed->first || entry->sequence != place->second) return {};
    if (place->second > feed->second.ends.rbegin()->first) return {};
    const auto kept = (TRY(writing.to(value.size())))->put_entry(feed->first, place->second, value);
    if (kept) return {};
    if (kept.error().fault != Fault::exists) return std::unexpected(kept.error());
    std::vector<Bytes>& others = feed->second.others[place->second];
    if (feed->second.others_count >= other_entries_most || std::ranges::any_of(others, [&](const Bytes& it) { return equal(it, value); })) return {};
    others.push_back(bytes_of(value));
    ++feed->second.others_count;
    return {};
  };
  TRY(store::salvage(home_.truth() / "data.mdb", {take, nullptr}, told("salvage: entries")));
  return writing.commit();
}

/// The highest end that the entries make, with those in place of others, and these others put there. Nothing: none.
Result<std::optional<Fsck::SalvagedEnd>> Fsck::settle_end(const FeedId& feed, SalvagedFeed& found) {
  std::vector<std::pair<Sequence, Bytes>> choices;
  for (auto& [sequence, all] : found.others) {
    for (Bytes& one : all) choices.emplace_back(sequence, std::move(one));
  }
  std::optional<SalvagedEnd> best;
  std::map<Sequence, ByteView> chosen;
  for (unsigned choice = 0; choice < 1U << choices.size(); ++choice) {
    std::map<Sequence, ByteView> in_place;
    for (std::size_t i = 0; i < choices.size(); ++i) {
      if ((choice >> i & 1U) != 0) in_place[choices[i].first] = choices[i].second;
    }
    store::FeedTail tail(feed);
    auto in = TRY(truth_->read());
    TRY(in.each_entry(feed, {1}, [&](Sequence sequence, ByteView bytes) -> Result<bool> {
      const auto other = in_place.find(sequence);
      if (!tail.take(other == in_place.end() ? bytes : other->second)) return false;
      const auto end = found.ends.find(tail.sequence());
      if (end != found.ends.end() && end->second && end->second->tail.root() == tail.root() && (!best || best->tail.sequence() < tail.sequence())) {
        best = *end->second;
        best->tail = tail;  // a head signs for the root alone: what else the stored tail says is the entries' to say
        best->row.tail = tail.encode();
        chosen = in_place;
      }
      return tail.sequence() < found.ends.rbegin()->first;
    }));
  }
  std::vector<Sequence> beyond;
  {
    auto in = TRY(truth_->read());
    TRY(in.each_entry(feed, {best ? best->tail.sequence().value + 1 : 1}, [&](Sequence sequence, ByteView) -> Result<bool> {
      beyond.push_back(sequence);
      return true;
    }));
  }
  Writing writing(*truth_);
  for (const Sequence sequence : beyond) TRY((TRY(writing.to(0)))->erase_entry(feed, sequence));
  for (const auto& [sequence, bytes] : chosen) {
    if (sequence > best->tail.sequence()) continue;
    TRY((TRY(writing.to(bytes.size())))->erase_entry(feed, sequence));
    TRY((TRY(writing.to(bytes.size())))->put_entry(feed, sequence, bytes));
  }
  if (best) TRY((TRY(writing.to(0)))->put_head(feed, best->row));
  TRY(writing.commit());
  return best;
}

Result<void> Fsck::salvage_feeds() {
  if (keys_ != nullptr) node_keys_[self_].push_back(keys_->node.sign.public_key());
  SalvagedFeeds feeds;
  TRY(find_ends(feeds));
  std::erase_if(feeds, [](const auto& it) { return std::ranges::none_of(it.second.ends, [](const auto& end) { return end.second.has_value(); }); });
  TRY(find_entries(feeds));
  std::uint64_t entries = 0, packs = 0;
  std::set<PackAddress> listed;
  std::set<std::string> writers;
  Writing writing(*truth_);  // nothing is open in it while an end is settled
  for (auto& [feed, found] : feeds) {
    const auto end = TRY(settle_end(feed, found));
    if (!end) continue;
    entries += end->tail.sequence().value;
    auto in = TRY(TruthCheck::begin(*truth_));
    TRY(in.each_entry(feed, {1}, [&](Sequence, ByteView bytes) -> Result<bool> {
      const auto its = listings(in, TRY(store::decode_entry(bytes)));
      if (its) std::ranges::transform(*its, std::inserter(listed, listed.end()), &store::PackListing::address);
      return true;
    }));
    if (feed.node != self_) writers.insert(Library::suspended_name(feed.library, feed.node));
  }
  // How far a node's feeds were known when it was suspended is not found again: while it is, all of its work waits here.
  for (const std::string& name : writers) TRY((TRY(writing.to(0)))->put_local(name, {}));
  TRY(writing.commit());
  const auto take = [&](const PackAddress& address, ByteView sealed) -> Result<bool> {
    if (!listed.contains(address)) return false;
    if (TRY((TRY(writing.to(sealed.size())))->put_pack(address, sealed)) == store::Kept::added) ++packs;
    return true;
  };
  TRY(store::salvage(home_.truth() / "data.mdb", {nullptr, take}, told("salvage: packs")));
  TRY(writing.commit());
  find(FsckKind::environment, FsckState::mended,
       *salvaging_ + "; taken out of it: " + std::to_string(report_.documents) + " documents of headquarters, " + std::to_string(entries) + " entries, " +
           std::to_string(packs) + " packs" +
           (salvage_lost_bytes_ > 0 ? "; the disk does not give " + std::to_string(salvage_lost_bytes_) + " bytes of it" : "") + ". It is kept as " +
           ruined_path().filename().string() + ": remove that when the node is whole again");
  return {};
}

/// The new truth, checked, takes the place of the ruined one. Between the two renames there is none: dozod and fsck see that by what lies beside it.
Result<void> Fsck::end_salvage() {
  realm_.reset();
  truth_.reset();
  truth_kv_.reset();
  std::error_code code;
  fs::rename(home_.truth(), ruined_path(), code);
  if (!code) fs::rename(salvaged_path(), home_.truth(), code);
  if (code) return fail(Fault::unavailable, home_.truth().string() + ": " + code.message());
  salvaging_.reset();
  return sync_folder(home_.path);
}

}  // namespace dozo::node
