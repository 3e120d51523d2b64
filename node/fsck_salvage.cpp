// Fsck of a truth in ruins: its file is read from end to end, whatever LMDB makes of it, and what is whole goes into a new one.
//
// What lies in the file was written by this node once, but may have been deleted since or never committed. So only this is taken for true without more:
// documents of the authority (signed), entries that a head found here covers, and packs that an entry lists. The checks that follow judge all of it.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "node/files.h"
#include "node/fsck_body.h"
#include "store/truth_salvage.h"

namespace dozo::node {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t salvaged_puts_most = 4'000;      // of one transaction
constexpr std::size_t salvaged_bytes_most = 8U << 20;  // of packs in one transaction
constexpr std::size_t head_sequences_most = 8;         // of one branch that are kept, the highest
constexpr unsigned other_entries_most = 6;             // of one branch: each doubles what is tried

/// A new truth that is written in transactions of bounded size.
class NewTruth {
 public:
  explicit NewTruth(store::Truth& truth) : truth_(truth) {}
  Result<store::TruthWrite*> writing(std::size_t bytes) {
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
  Result<store::TruthRead> read() const { return truth_.read(); }

 private:
  store::Truth& truth_;
  std::optional<store::TruthWrite> writing_;
  std::size_t puts_ = 0, bytes_ = 0;
};

/// How many entries a head covers, as its second line says.
std::uint64_t covered(const std::string& note) {
  std::uint64_t out = 0;
  const std::size_t line = note.find('\n');
  if (line != std::string::npos) std::from_chars(note.data() + line + 1, note.data() + note.size(), out);
  return out;
}

/// The first reading: all but packs.
class Rows final : public store::SalvageSink {
 public:
  explicit Rows(NewTruth& to) : to_(to) {}

  Result<void> document(const store::DocumentKey& key, ByteView bytes) override {
    if (key.type.empty() || key.type.size() > 32 || key.name.size() > 255) return {};
    if (TRY((TRY(to_.writing(bytes.size())))->put_document(key, bytes)) == store::Kept::added) ++documents;
    return {};
  }
  Result<void> entry(const store::Branch& branch, Sequence sequence, ByteView bytes) override {
    const auto entry = store::decode_entry(bytes);
    if (!entry || entry->feed != branch.feed || entry->sequence != sequence) return {};
    const auto kept = (TRY(to_.writing(bytes.size())))->put_entry(branch, sequence, bytes);
    if (!kept && kept.error().fault != Fault::exists) return std::unexpected(kept.error());
    if (!kept) {  // one of them was never committed: the head says which
      std::vector<Bytes>& others = others_[branch][sequence];
      if (others_[branch].size() <= other_entries_most && std::ranges::none_of(others, [&](const Bytes& it) { return equal(it, bytes); }))
        others.push_back(bytes_of(bytes));
    } else if (*kept == store::Kept::added) {
      ++entries;
    }
    if (const auto* named = std::get_if<std::vector<store::PackListing>>(&entry->packs)) {
      for (const store::PackListing& pack : *named) listed_.insert(pack.address);
    } else {
      lists_.push_back(std::get<store::PackListObject>(entry->packs));
    }
    return {};
  }
  Result<void> head(const store::Branch& branch, const store::HeadRow& head) override {
    const auto tail = store::FeedTail::decode(head.tail);
    if (!tail || tail->feed() != branch.feed) return {};
    auto& found = heads_[branch];
    std::vector<store::HeadRow>& same = found[tail->sequence()];
    if (std::ranges::find(same, head) == same.end()) same.push_back(head);
    if (found.size() > head_sequences_most) found.erase(found.begin());
    return {};
  }
  Result<void> pack_list(const Digest& sha256, ByteView bytes) override { return (TRY(to_.writing(bytes.size())))->put_pack_list(sha256, bytes); }
  Result<void> statement(const store::StatementKey& key, const store::Statement& statement) override {
    if (key.subject.size() > 128) return {};
    TRY((TRY(to_.writing(statement.bytes.size())))->put_statement(key, statement));
    return {};
  }
  Result<bool> pack(const PackAddress&, ByteView) override { return false; }

  /// Each branch gets its newest head. Then what entries list is known.
  Result<void> finish() {
    TRY(to_.commit());
    for (const auto& [branch, found] : heads_) TRY(put_head(branch, found));
    TRY(to_.commit());
    auto in = TRY(to_.read());
    for (const store::PackListObject& object : lists_) {
      const auto bytes = TRY(in.pack_list(object.sha256));
      const auto list = bytes ? store::decode_list(*bytes, object) : Result<std::vector<store::PackListing>>(fail(Fault::not_found, ""));
      if (!list) continue;
      for (const store::PackListing& pack : *list) listed_.insert(pack.address);
    }
    return {};
  }
  const std::set<PackAddress>& listed() const { return listed_; }

  std::uint64_t documents = 0, entries = 0;

 private:
  using Found = std::map<Sequence, std::vector<store::HeadRow>>;

  /// The highest on whose root all copies agree: where they do not, one was never committed, and nobody can say which.
  Result<void> put_head(const store::Branch& branch, const Found& found) {
    for (auto it = found.rbegin(); it != found.rend(); ++it) {
      const auto& rows = it->second;
      if (std::ranges::any_of(rows, [&](const store::HeadRow& row) { return row.tail != rows.front().tail; })) continue;
      const auto& row = *std::ranges::max_element(rows, {}, [](const store::HeadRow& one) { return covered(one.note); });
      TRY(choose_entries(branch, row));
      return (TRY(to_.writing(row.tail.size())))->put_head(branch, row);
    }
    return {};
  }
  /// Where several entries were found at a place: those that make the head's root.
  Result<void> choose_entries(const store::Branch& branch, const store::HeadRow& head) {
    const auto others = others_.find(branch);
    if (others == others_.end()) return {};
    const store::FeedTail wanted = TRY(store::FeedTail::decode(head.tail));
    std::vector<std::pair<Sequence, Bytes>> choices;
    for (const auto& [sequence, all] : others->second) {
      for (const Bytes& one : all) choices.emplace_back(sequence, one);
    }
    if (choices.size() > other_entries_most) return {};
    for (unsigned chosen = 0; chosen < 1U << choices.size(); ++chosen) {
      std::map<Sequence, ByteView> in_place;
      for (std::size_t i = 0; i < choices.size(); ++i) {
        if ((chosen >> i & 1U) != 0) in_place[choices[i].first] = choices[i].second;
      }
      if (!TRY(makes(branch, wanted, in_place))) continue;
      for (const auto& [sequence, bytes] : in_place) {
        store::TruthWrite& write = *TRY(to_.writing(bytes.size()));
        TRY(write.erase_entry(branch, sequence));
        TRY(write.put_entry(branch, sequence, bytes));
      }
      return to_.commit();
    }
    return {};
  }
  Result<bool> makes(const store::Branch& branch, const store::FeedTail& wanted, const std::map<Sequence, ByteView>& in_place) const {
    store::FeedTail tail(branch.feed);
    auto in = TRY(to_.read());
    TRY(in.each_entry(branch, {1}, [&](Sequence sequence, ByteView bytes) -> Result<bool> {
      const auto other = in_place.find(sequence);
      return tail.sequence() < wanted.sequence() && tail.take(other == in_place.end() ? bytes : other->second) && tail.sequence() < wanted.sequence();
    }));
    return tail == wanted;
  }

  NewTruth& to_;
  std::map<store::Branch, std::map<Sequence, std::vector<Bytes>>> others_;
  std::map<store::Branch, Found> heads_;
  std::set<PackAddress> listed_;
  std::vector<store::PackListObject> lists_;
};

/// The second reading: packs that entries list.
class Packs final : public store::SalvageSink {
 public:
  Packs(NewTruth& to, const std::set<PackAddress>& listed) : to_(to), listed_(listed) {}

  Result<void> document(const store::DocumentKey&, ByteView) override { return {}; }
  Result<void> entry(const store::Branch&, Sequence, ByteView) override { return {}; }
  Result<void> head(const store::Branch&, const store::HeadRow&) override { return {}; }
  Result<void> pack_list(const Digest&, ByteView) override { return {}; }
  Result<void> statement(const store::StatementKey&, const store::Statement&) override { return {}; }
  Result<bool> pack(const PackAddress& address, ByteView sealed) override {
    if (!listed_.contains(address)) return false;
    if (TRY((TRY(to_.writing(sealed.size())))->put_pack(address, sealed)) == store::Kept::added) ++packs;
    return true;
  }

  std::uint64_t packs = 0;

 private:
  NewTruth& to_;
  const std::set<PackAddress>& listed_;
};

/// Never a moment without either, where the file system can exchange two names.
Result<void> exchange(const fs::path& one, const fs::path& other) {
  if (::renameat2(AT_FDCWD, one.c_str(), AT_FDCWD, other.c_str(), RENAME_EXCHANGE) == 0) return {};
  std::error_code code;
  const fs::path aside = one.string() + ".exchanged";
  fs::rename(one, aside, code);
  if (!code) fs::rename(other, one, code);
  if (!code) fs::rename(aside, other, code);
  if (code) return fail(Fault::unavailable, one.string() + ": " + code.message());
  return {};
}

}  // namespace

Result<void> Fsck::salvage_truth(const Error& why) {
  const fs::path ruined = home_.truth().string() + ".ruined", fresh = home_.truth().string() + ".fsck";
  std::error_code code;
  if (fs::exists(ruined, code)) return fail(Fault::exists, ruined.string() + " is there already, from an earlier rebuild: move it away first");
  fs::remove_all(fresh, code);  // of a run that was stopped
  std::uint64_t documents = 0, entries = 0, packs = 0, unreadable_bytes = 0;
  {
    const auto kv = TRY(store::open_lmdb(fresh, store::Truth::tables()));
    const auto truth = TRY(store::Truth::create(*kv, sealer_));
    NewTruth to(*truth);
    const fs::path file = home_.truth() / "data.mdb";
    const auto progress = [&](std::uint64_t bytes, std::uint64_t bytes_total) { tell("salvage", bytes, bytes_total); };
    Rows rows(to);
    unreadable_bytes = TRY(store::salvage(file, rows, progress)).unreadable_bytes;
    TRY(rows.finish());
    Packs found(to, rows.listed());
    TRY(store::salvage(file, found, progress));
    TRY(to.commit());
    documents = rows.documents;
    entries = rows.entries;
    packs = found.packs;
  }
  TRY(sync_folder(fresh));
  TRY(exchange(home_.truth(), fresh));
  fs::rename(fresh, ruined, code);
  if (code) return fail(Fault::unavailable, ruined.string() + ": " + code.message());
  TRY(sync_folder(home_.path));
  find(FsckKind::environment, FsckState::mended,
       why.text + "; taken out of it: " + std::to_string(documents) + " documents of headquarters, " + std::to_string(entries) + " entries, " +
           std::to_string(packs) + " packs" + (unreadable_bytes > 0 ? "; the disk does not give " + std::to_string(unreadable_bytes) + " bytes of it" : "") +
           ". It is kept as " + ruined.filename().string() + ": remove that when the node is whole again");
  return {};
}

}  // namespace dozo::node
