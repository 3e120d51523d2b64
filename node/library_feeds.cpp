// Feeds of a library: lines of entries, known and held, and what peers send of them.
#include <algorithm>

#include "node/library_body.h"

namespace dozo::node {

using store::Entry;
using store::PackListing;

/// Whether this line's log begins with that one.
Result<bool> Library::Body::on_line(const store::Branch& branch, const Feed& feed, Sequence sequence, const Digest& root) const {
  if (sequence > feed.tail.sequence()) return false;
  if (sequence == feed.tail.sequence()) return feed.tail.root() == root;
  if (sequence.value == 0) return root == crypto::empty_root();
  auto in = TRY(context_.truth.read());
  return TRY(crypto::root_at(sequence.value, in.subtrees(branch))) == root;
}

bool Library::Body::is_forked(const FeedId& id) const {
  const auto all = lines(id);
  return all.begin() != all.end() && std::next(all.begin()) != all.end();
}

/// A cut ends the line whose log has its root. Of another line of that feed nothing counts but what both begin with, and the first one carries that.
Cuts Library::Body::cuts(const store::Branch& branch) const {
  const policy::MeshLibrary* library = mesh();
  if (library == nullptr || library->cuts.empty()) return {};
  return cuts_of(*library, [&](const FeedId& id, Sequence sequence, const Digest& root) {
    if (id != branch.feed) return true;
    const Feed& line = feeds_.at(branch);
    if (line.tail.sequence() >= sequence) return on_line(branch, line, sequence, root).value_or(false);
    for (const auto& [other, feed] : lines(id)) {
      if (other == branch || !on_line(other, feed, sequence, root).value_or(false)) continue;
      return on_line(other, feed, line.tail.sequence(), line.tail.root()).value_or(false);
    }
    return true;  // it may still grow into it
  });
}

/// Of a node that has left since, an older policy must be known: the entries say which.
Result<crypto::VerifyKey> Library::Body::writer_key(const FeedId& id, std::span<const Bytes> entries) const {
  if (const auto key = context_.realm.key_of(id.node)) return *key;
  for (const Bytes& bytes : entries) {
    const Entry entry = TRY(store::decode_entry(bytes));
    if (context_.realm.policy_at(entry.policy)) continue;
    context_.realm.need(entry.policy);
    return fail(Fault::not_found, "entries of a node that a policy named which is not known here yet");
  }
  return fail(Fault::denied, "entries of a node that no policy named");
}

Result<void> Library::Body::load() {
  std::vector<std::pair<store::Branch, store::HeadRow>> heads;
  auto in = TRY(context_.truth.read());
  TRY(in.each_head(id_, [&](const store::Branch& branch, const store::HeadRow& row) -> Result<bool> {
    heads.emplace_back(branch, row);
    return true;
  }));
  for (const auto& [branch, row] : heads) {
    std::vector<Entry> entries;
    TRY(in.each_entry(branch, {1}, [&](Sequence, ByteView bytes) -> Result<bool> {
      entries.push_back(TRY(store::decode_entry(bytes)));
      return true;
    }));
    Feed& feed = feeds_.emplace(branch, Feed{TRY(store::FeedTail::decode(row.tail)), row.note, row.proof, {}, {}, {}}).first->second;
    if (entries.size() != feed.tail.sequence().value) return fail(Fault::corrupt, "a feed of another length than its head says: run dozo fsck");
    for (Entry& entry : entries) know_entry(branch, feed, TRY(read_fresh(std::move(entry), in)));
    settle(feed);
  }
  return {};
}

/// Up to where a cut of its node lets the line count.
Sequence Library::Body::uncut(const store::Branch& branch, const Feed& feed) const {
  Sequence end = feed.tail.sequence();
  const Cuts in_force = cuts(branch);
  for (const store::Cut& cut : in_force.cuts) {
    // Entries of a feed never name an older policy than one before them, or do not count: so all beyond the end are cut, or the node goes on.
    if (cut.subject != store::CutSubject(branch.feed.node) || feed.highest >= cut.since) continue;
    end = std::min(end, store::end_of(cut, branch.feed, in_force.admits));
  }
  return end;
}

std::vector<Library::FeedState> Library::feeds() const {
  std::vector<FeedState> out;
  for (const auto& [branch, feed] : body_->feeds_) out.push_back({branch.feed, feed.tail.sequence(), feed.held, feed.tail.root()});
  return out;
}

std::vector<Sequence> Library::counted() const {
  std::vector<Sequence> out;
  for (const auto& [branch, feed] : body_->feeds_) {
    Sequence end = body_->uncut(branch, feed);
    while (end.value > 0 && body_->refused_at_.contains({branch, end.value})) --end.value;
    out.push_back(end);
  }
  return out;
}

Result<Library::Point> Library::first_line(const FeedId& id) const {
  const auto feed = body_->feeds_.find(store::Branch(id));
  if (feed == body_->feeds_.end()) return fail(Fault::not_found, "a feed that is not held");
  return Point{id, feed->second.tail.sequence(), feed->second.tail.root()};
}

std::size_t Library::forked_count() const {
  std::set<FeedId> out;
  for (const auto& [branch, feed] : body_->feeds_) {
    if (!branch.fork.is_zero()) out.insert(branch.feed);
  }
  return out.size();
}

Result<std::vector<Library::Point>> Library::heads_of(const store::CutSubject& subject) const {
  const auto* node = std::get_if<NodeId>(&subject);
  const auto* person = std::get_if<PersonId>(&subject);
  std::map<FeedId, Sequence> ends;
  if (!body_->has_keys()) {
    for (const auto& [branch, feed] : body_->feeds_) {
      if (branch.fork.is_zero() && (node == nullptr || branch.feed.node == *node)) ends[branch.feed] = feed.tail.sequence();
    }
  }
  if (body_->folder_) {
    const auto in = TRY(body_->context_.derived.read());
    TRY(body_->rows_.each_record(*in, {0}, [&](RecordNumber, const RecordRow& row) -> Result<bool> {
      if (row.refusal) return true;
      for (const Carrier& carrier : row.carriers) {
        const bool is_its = node != nullptr ? carrier.branch.feed.node == *node || row.device == *node : row.person == *person;
        if (!is_its || carrier.refusal || !carrier.branch.fork.is_zero()) continue;
        Sequence& end = ends[carrier.branch.feed];
        end = std::max(end, carrier.sequence);
      }
      return true;
    }));
  }
  std::vector<Point> out;
  for (const auto& [feed, end] : ends) out.push_back({feed, end, TRY(root_at(TRY(first_line(feed)), end))});
  return out;
}

Result<Digest> Library::root_at(const Point& point, Sequence size) const {
  if (size.value == 0) return crypto::empty_root();
  for (const auto& [branch, feed] : body_->lines(point.feed)) {
    if (size > feed.tail.sequence() || !TRY(body_->on_line(branch, feed, point.sequence, point.root))) continue;
    if (size == feed.tail.sequence()) return feed.tail.root();
    auto in = TRY(body_->context_.truth.read());
    return crypto::root_at(size.value, in.subtrees(branch));
  }
  return fail(Fault::not_found, "a feed that is not held so far");
}

Result<Sequence> Library::next(const Point& point) const {
  std::size_t count = 0;
  for (const auto& [branch, feed] : body_->lines(point.feed)) {
    ++count;
    if (TRY(body_->on_line(branch, feed, point.sequence, point.root))) return Sequence{0};
  }
  if (count == 0) return Sequence{1};
  for (const auto& [branch, feed] : body_->lines(point.feed)) {
    if (feed.tail.sequence() < point.sequence && !body_->not_from_.contains({branch, point.root})) return Sequence{feed.tail.sequence().value + 1};
  }
  const auto walked = body_->walked_.find({point.feed, point.root});
  if (walked == body_->walked_.end()) return Sequence{count < lines_most ? 1U : 0U};
  return Sequence{walked->second.value >= point.sequence.value ? 0 : walked->second.value + 1};
}

Result<Library::Batch> Library::entries(const Point& point, Sequence from, std::size_t bytes_most) const {
  constexpr std::size_t entries_most = 1000, unfinished_bytes_most = 900U << 10;
  for (const auto& [branch, feed] : body_->lines(point.feed)) {
    if (from.value == 0 || from > feed.tail.sequence() || !TRY(body_->on_line(branch, feed, point.sequence, point.root))) continue;
    // Of a line whose head covers more than is here, only the whole of it can be proved: by what its last batch came with.
    if (!feed.proof.empty()) bytes_most = unfinished_bytes_most;
    Batch out{{}, feed.note, {}};
    auto in = TRY(body_->context_.truth.read());
    std::size_t bytes = 0;
    TRY(in.each_entry(branch, from, [&](Sequence, ByteView entry) -> Result<bool> {
      bytes += entry.size();
      if (!out.entries.empty() && bytes > bytes_most) return false;
      out.entries.push_back(bytes_of(entry));
      return out.entries.size() < entries_most;
    }));
    if (out.entries.empty()) return fail(Fault::corrupt, "entries of a feed are gone: run dozo fsck");
    const std::uint64_t end = from.value - 1 + out.entries.size();
    if (!feed.proof.empty()) {
      if (end != feed.tail.sequence().value) return fail(Fault::not_found, "a feed of which this node has too much to show without its end");
      out.proof = feed.proof;
      return out;
    }
    out.proof = TRY(crypto::consistency_proof(end, feed.tail.sequence().value, in.subtrees(branch)));
    return out;
  }
  return fail(Fault::not_found, "a feed that is not held so far");
}

Result<Library::Lists> Library::accept_entries(const Point& point, Sequence from, const Batch& batch) {
  constexpr std::size_t memos_most = 4096;
  Body& it = *body_;
  const FeedId& id = point.feed;
  if (id.library != it.id_) return fail(Fault::malformed, "entries of another library");
  if (from.value == 0 || batch.entries.empty()) return fail(Fault::malformed, "entries without a place");
  const std::uint64_t end = from.value - 1 + batch.entries.size();
  const crypto::VerifyKey key = TRY(it.writer_key(id, batch.entries));
  if (it.lines(id).empty()) return it.put_batch(store::Branch(id), store::FeedTail(id), from, batch, key);
  std::optional<Error> why;
  for (const auto& [branch, feed] : it.lines(id)) {
    const std::uint64_t known = feed.tail.sequence().value;
    if (end <= known || from.value > known + 1 || it.not_from_.contains({branch, point.root})) continue;
    Result<Lists> put = it.put_batch(branch, feed.tail, from, batch, key);
    if (put || put.error().fault != Fault::not_authentic) return put;
    // A head that its node signed, and these entries do not lead from this line to it: two lines, or a peer that lies. walk() finds out.
    if (!store::verify_head(batch.head_note, id, key)) return put;
    if (it.not_from_.size() >= memos_most) it.not_from_.clear();
    it.not_from_.emplace(branch, point.root);
    it.walked_.erase({id, point.root});  // an earlier walk may have ended here, and would not be made again
    why = std::move(put.error());
  }
  if (why) return fail(Fault::exists, "entries that do not continue what is held: their node has written two histories, or they are not its");
  return it.walk(point, from, batch, key);
}

/// Entries that are asked for from the first on, because no line here leads to the point: compared with what is held until the first that differs. Only
/// there, under its node's signature, a new line begins.
Result<Library::Lists> Library::Body::walk(const Point& point, Sequence from, const Batch& batch, const crypto::VerifyKey& key) {
  constexpr std::size_t memos_most = 4096;
  const store::Branch first = lines(point.feed).begin()->first;
  const std::uint64_t known = feeds_.at(first).tail.sequence().value;
  const std::uint64_t end = from.value - 1 + batch.entries.size();
  if (from.value > known) return fail(Fault::stale, "entries that do not follow what is held");
  const std::size_t count = std::min<std::size_t>(batch.entries.size(), known - from.value + 1);
  if (std::ranges::equal(std::span(batch.entries).first(count), TRY(entries_of(first, from, count)))) {
    if (end > known) {
      // They do continue this line: whoever sent others for this point before was lying.
      not_from_.erase({first, point.root});
      return put_batch(first, feeds_.at(first).tail, from, batch, key);
    }
    if (walked_.size() >= memos_most) walked_.clear();
    walked_[{point.feed, point.root}] = {end};
    if (end < known && end < point.sequence.value) return Lists{};
    // The same all along: it was the peer that lied about the point, or about what follows.
    if (point.sequence.value > known) not_from_.erase({first, point.root});
    return fail(Fault::not_authentic, "a point of a feed to which its entries do not lead");
  }
  Batch all{TRY(entries_of(first, {1}, from.value - 1)), batch.head_note, batch.proof};
  all.entries.insert(all.entries.end(), batch.entries.begin(), batch.entries.end());
  for (const auto& [branch, feed] : lines(point.feed)) {
    if (branch == first) continue;
    const std::vector<Bytes> theirs = TRY(entries_of(branch, {1}, feed.tail.sequence().value));
    const std::size_t common = std::min(theirs.size(), all.entries.size());
    if (!std::ranges::equal(std::span(theirs).first(common), std::span(all.entries).first(common))) continue;
    if (all.entries.size() <= theirs.size()) return fail(Fault::stale, "entries that are known already");
    return put_batch(branch, feed.tail, {1}, all, key);
  }
  if (std::ranges::distance(lines(point.feed)) >= static_cast<std::ptrdiff_t>(lines_most)) return fail(Fault::over_limit, "a feed of more lines than are kept");
  return put_batch(store::Branch(point.feed, point.root), store::FeedTail(point.feed), {1}, all, key);
}

Result<std::vector<Bytes>> Library::Body::entries_of(const store::Branch& branch, Sequence from, std::uint64_t count) const {
  std::vector<Bytes> out;
  if (count == 0) return out;
  auto in = TRY(context_.truth.read());
  TRY(in.each_entry(branch, from, [&](Sequence, ByteView entry) -> Result<bool> {
    out.push_back(bytes_of(entry));
    return out.size() < count;
  }));
  return out;
}

/// The entries of a batch that follow `tail`, into the truth and what is known. `branch` may be new.
Result<Library::Lists> Library::Body::put_batch(const store::Branch& branch, store::FeedTail tail, Sequence from, const Batch& batch,
                                                const crypto::VerifyKey& key) {
  if (from.value > tail.sequence().value + 1) return fail(Fault::stale, "entries with a gap before them");
  const std::span<const Bytes> fresh_bytes = std::span(batch.entries).subspan(tail.sequence().value + 1 - from.value);
  auto write = TRY(context_.truth.write());
  std::vector<Entry> entries = TRY(tail.check_batch(fresh_bytes, batch.head_note, batch.proof, key, write.keep_subtrees(branch)));
  Lists lists;
  for (const Entry& entry : entries) {
    TRY(check_entry(context_.realm, entry));
    const auto* object = std::get_if<store::PackListObject>(&entry.packs);
    if (object != nullptr && !TRY(write.pack_list(object->sha256))) lists.push_back(object->sha256);
  }
  if (!lists.empty()) return lists;
  std::vector<Fresh> fresh;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    TRY(write.put_entry(branch, entries[i].sequence, fresh_bytes[i]));
    fresh.push_back(TRY(read_fresh(std::move(entries[i]), write)));
    const auto none_has = [](const PackListing& pack) { return pack.size_bytes < crypto::pack_bytes_min || pack.size_bytes > crypto::bulk_pack_bytes; };
    if (std::ranges::any_of(fresh.back().packs, none_has)) return fail(Fault::malformed, "an entry that lists a pack of a size that none has");
  }
  TRY(write.put_head(branch, {batch.head_note, tail.encode(), batch.proof}));
  TRY(write.commit());

  // Durable: from here on nothing fails but what is derived, which is tried again (behind).
  Feed& feed = feeds_.try_emplace(branch, Feed{store::FeedTail(branch.feed)}).first->second;
  feed.tail = std::move(tail);
  feed.note = batch.head_note;
  feed.proof = batch.proof;
  for (Fresh& entry : fresh) know_entry(branch, feed, std::move(entry));
  settle(feed);
  const bool cut = mesh() != nullptr && !mesh()->cuts.empty();
  derive(cut ? Judge::anew : Judge::fresh);  // entries whose packs are all here already; and which line a cut means may only now be known
  return lists;
}

}  // namespace dozo::node
