// Tags of a library: what the folder is made of now, and what it was made of when a tag was given.
//
// The history is a line in the order of stamps. A record that comes late goes between those that were there, and from there on no commit shows what a tag
// named that is older than its coming. So a tag is looked up by its records: where they are the first of the line its commit is one of the history's; else a
// line is derived from them alone, in rows of its own.
#include <algorithm>

#include "crypto/hash.h"
#include "node/library_body.h"

namespace dozo::node {

Result<Library::TagNow> Library::tag_now() const {
  TRY(readable());
  TagNow out;
  out.tag.library = body_->id_;
  // Named is, of each line, what has everything before it too: nothing that is not read here, or waits, and would be shown later.
  std::map<store::Branch, Sequence> first_waiting;
  const auto wait = [&](const store::Branch& branch, Sequence sequence) {
    const auto [at, added] = first_waiting.emplace(branch, sequence);
    if (!added) at->second = std::min(at->second, sequence);
  };
  for (const auto& [place, entry] : body_->unopened_) wait(place.first, {place.second});
  {
    const auto in = TRY(body_->context_.derived.read());
    for (const RecordNumber number : TRY(body_->rows_.not_counting(*in))) {
      const auto row = TRY(body_->rows_.record(*in, number));
      if (!row || !row->refusal) continue;
      for (const Carrier& carrier : row->carriers) {
        if (carrier.refusal && !store::is_final(*carrier.refusal)) wait(carrier.branch, carrier.sequence);
      }
    }
  }
  for (const auto& [branch, feed] : body_->feeds_) {
    Sequence end = feed.tail.sequence();
    if (const auto waiting = first_waiting.find(branch); waiting != first_waiting.end()) end = {waiting->second.value - 1};
    out.left_out += feed.tail.sequence().value - end.value;
    if (end.value == 0) continue;
    if (out.tag.points.size() == store::tag_points_most) return fail(Fault::over_limit, "the library has more feeds than a tag can name");
    const Digest root = TRY(root_at({branch.feed, feed.tail.sequence(), feed.tail.root()}, end));
    out.tag.points.push_back({branch.feed.node, branch.feed.incarnation, end, root});
  }
  if (out.tag.points.empty()) return fail(Fault::not_found, "nothing has been saved yet that a tag could name");
  std::ranges::sort(out.tag.points);
  const auto twice = std::ranges::unique(out.tag.points);  // lines of a forked feed, up to where both are alike
  out.tag.points.erase(twice.begin(), twice.end());
  return out;
}

/// How much of each line that is here is in the tag.
Result<Library::Body::Ends> Library::Body::ends_of(const store::Tag& tag) const {
  if (tag.library != id_) return fail(Fault::not_found, "a tag of another library");
  Ends out;
  for (const store::TagPoint& point : tag.points) {
    bool found = false, shorter = false;
    for (const auto& [branch, feed] : lines({id_, point.node, point.incarnation})) {
      shorter = shorter || feed.tail.sequence() < point.sequence;
      if (!TRY(on_line(branch, feed, point.sequence, point.root))) continue;
      found = true;
      Sequence& end = out[branch];
      end = std::max(end, point.sequence);
    }
    if (found) continue;
    const auto all = lines({id_, point.node, point.incarnation});
    if (shorter || all.begin() == all.end()) return fail(Fault::unavailable, "not all that the tag names is here yet");
    return fail(Fault::not_found, "the tag names entries of a feed that are not those which are here");
  }
  for (const auto& [place, entry] : unopened_) {
    const auto end = out.find(place.first);
    if (end != out.end() && place.second <= end->second.value) return fail(Fault::unavailable, "not all that the tag names can be read here yet");
  }
  return out;
}

Result<Library::Moment> Library::tagged(const store::Tag& tag) {
  const store::History* line = TRY(history());
  const Body::Ends ends = TRY(body_->ends_of(tag));
  std::vector<RecordNumber> numbers;
  crypto::Sha256 records;
  bool first_ones = true;  // of the history
  {
    const auto in = TRY(body_->context_.derived.read());
    bool one_left_out = false;
    TRY(body_->rows_.each_accepted(*in, 0, [&](RecordNumber number, const store::Stamp&) -> Result<bool> {
      const auto row = TRY(body_->rows_.record(*in, number));
      if (!row) return fail(Fault::corrupt, "rows of the derived store do not fit each other: run dozo fsck --rebuild");
      const bool named = std::ranges::any_of(row->carriers, [&](const Carrier& carrier) {
        const auto end = ends.find(carrier.branch);
        return !carrier.refusal && end != ends.end() && carrier.sequence <= end->second;
      });
      if (!named) {
        one_left_out = true;
        return true;
      }
      first_ones = first_ones && !one_left_out;
      numbers.push_back(number);
      records.update(row->id.view());
      return true;
    }));
  }
  if (numbers.empty()) return fail(Fault::not_found, "nothing of what the tag names counts any more");
  if (!first_ones) line = TRY(body_->beside(numbers, records.finish()));
  const Moment out{line, numbers.size()};
  body_->tagged_.insert_or_assign(TRY(line->id_at(out.number)).hex(), tag);
  if (body_->tagged_.size() > Body::tagged_most) body_->tagged_.erase(body_->tagged_.begin());
  return out;
}

/// The line of these records, in the order of their stamps.
Result<const store::History*> Library::Body::beside(std::span<const RecordNumber> numbers, const Digest& records) {
  for (const auto& it : beside_) {
    if (it && it->records == records) return &it->history;
  }
  const std::size_t slot = std::exchange(beside_next_, (beside_next_ + 1) % beside_most);
  beside_[slot].reset();
  Bytes of = bytes_of(id_.view());
  of.push_back(static_cast<std::uint8_t>(slot));
  const LibraryId place = *LibraryId::from(context_.local.keyed("line beside a history", of).view().first(LibraryId::size));
  const LibraryRows rows(context_.local, place);
  store::History history = TRY(store::History::open(context_.derived, context_.local, place));
  TRY(history.rewind_to(0));
  TRY(erase(rows.history_space()));
  store::Folder folder(store::Folder::Place{context_.derived, view_table, rows.history_space(), context_.local}, rule(), *this);
  for (std::span<const RecordNumber> left = numbers; !left.empty();) {
    const auto next = left.first(std::min(left.size(), history_steps_at_once));
    left = left.subspan(next.size());
    const auto out = TRY(context_.derived.write());
    Writing writing(*this, *out);
    const std::vector<store::HistoryStep> steps = TRY(apply_steps(*out, folder, next));
    TRY(out->commit());
    writing.committed();
    forget_some();
    TRY(history.extend(steps));
  }
  TRY(erase(rows.history_space()));  // the commits are all that is asked
  beside_[slot].emplace(Beside{records, std::move(history)});
  return &beside_[slot]->history;
}

Result<Library::Moment> Library::moment(const std::string& id) {
  const store::History* line = TRY(history());
  if (const auto parsed = store::GitId::parse(id)) {
    if (const auto number = TRY(line->number_of(*parsed))) return Moment{line, *number};
    for (const auto& it : body_->beside_) {
      if (!it) continue;
      if (const auto number = TRY(it->history.number_of(*parsed))) return Moment{&it->history, *number};
    }
  }
  // What came late, or other tags, may have taken the line away from which a tag was told to somebody who still reads by it.
  if (const auto told = body_->tagged_.find(id); told != body_->tagged_.end()) return tagged(store::Tag(told->second));
  return fail(Fault::not_found, "the history has no such commit: " + id);
}

}  // namespace dozo::node
