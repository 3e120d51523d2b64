#include "node/put_job.h"

#include <algorithm>
#include <ctime>
#include <deque>
#include <future>
#include <memory>

#include "node/disk_source.h"
#include "node/pack_keeper.h"
#include "store/names.h"

namespace dozo::node {
namespace {

// A batch becomes one record: bounded by what a record may be, and so that a long save is acknowledged and synced bit by bit.
constexpr std::size_t items_most = 450;
constexpr std::size_t record_bytes_about = 180 * 1024;
constexpr std::uint64_t plain_bytes_about = std::uint64_t{1} << 30;
constexpr std::size_t with_entry_bytes_most = 4U << 20;  // of content packs that are committed with the entry, not ahead of it: a small save syncs once
constexpr std::uint64_t beside_bytes_most = 64U << 20;   // of plain bytes: a larger batch is read and committed by itself, so that two do not fill the memory
constexpr std::size_t skipped_lines_most = 1000;
constexpr int attempts_most = 3;
constexpr std::size_t seen_rows_most = 50'000;  ///< in memory

std::int64_t wall_clock_ns() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

std::string file_name(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}
std::string joined(const std::string& folder, const std::string& path) {
  if (folder.empty() || path.empty()) return folder + path;
  return folder + "/" + path;
}

/// A source that ends where the save is stopped, and says how far it is.
class WatchedSource final : public store::ContentSource {
 public:
  WatchedSource(DiskSource& source, const std::function<Result<void>(std::uint64_t)>& each) : source_(source), each_(each) {}
  Result<std::size_t> read(ByteSpan to) override {
    const std::size_t got = TRY(source_.read(to));
    bytes_ += got;
    TRY(each_(bytes_));
    return got;
  }
  std::optional<std::uint64_t> size_hint() const override { return source_.size_hint(); }
  Result<bool> changed_meanwhile() override { return source_.changed_meanwhile(); }

 private:
  DiskSource& source_;
  const std::function<Result<void>(std::uint64_t)>& each_;
  std::uint64_t bytes_ = 0;
};

/// What the library has, and what it will have once the batch before this one is committed.
class JobIndex final : public store::PieceIndex {
 public:
  JobIndex(const store::PieceIndex& library, const store::Ingest* before) : library_(library), before_(before) {}
  bool holds(const PieceId& id) const override { return (before_ != nullptr && before_->has_new(id)) || library_.holds(id); }

 private:
  const store::PieceIndex& library_;
  const store::Ingest* before_;
};

class Job {
 public:
  Job(const local::PutRequest& request, const OnEngine& engine, store::Truth& truth, const PutOptions& options)
      : request_(request), folder_(request.source), engine_(engine), truth_(truth), options_(options) {}

  Result<local::Saved> run() {
    // "folder" saves the folder itself, "folder/." its contents; a target that is given names the thing itself.
    base_ = request_.contents_only ? request_.target : !request_.target.empty() ? request_.target : file_name(request_.source);
    const auto visit = [this](const DiskItem& item) -> Result<bool> {
      batch_.push_back(item);
      batch_record_bytes_ += 2 * (base_.size() + item.path.size()) + 256;
      batch_plain_bytes_ += item.state.size_bytes;
      if (batch_.size() >= items_most || batch_record_bytes_ >= record_bytes_about || batch_plain_bytes_ >= plain_bytes_about) TRY(save_batch());
      return true;
    };
    const std::size_t above = base_.empty() ? 0 : store::parts_of(base_).size();
    const std::size_t parts_most = above < store::path_parts_most ? store::path_parts_most - above : 0;
    Result<void> done = walk_disk(request_.source, request_.exclude, parts_most, visit, [this](std::string line) { skip(std::move(line)); });
    if (done) done = save_batch();
    Result<bool> committed = end_commit();
    if (done && !committed) done = std::unexpected(std::move(committed.error()));
    keep_seen();
    TRY(std::move(done));
    return std::move(saved_);
  }

 private:
  void skip(std::string line) {
    if (saved_.skipped.size() < skipped_lines_most) saved_.skipped.push_back(std::move(line));
    if (saved_.skipped.size() == skipped_lines_most) saved_.skipped.back() = "and more";
  }
  Result<void> stopped() const {
    if (options_.stop != nullptr && options_.stop->load()) return fail(Fault::unavailable, "stopped; what was saved until now stays");
    return {};
  }
  template <class T>
  Result<T> ask(const std::function<Result<T>(Engine&, Now)>& what) const {
    std::optional<Result<T>> out;
    if (!engine_([&](Engine& engine, Now now) { out.emplace(what(engine, now)); })) return fail(Fault::unavailable, "the daemon is being stopped");
    return std::move(*out);
  }

  std::string path_of(const DiskItem& item) const { return item.path.empty() ? request_.source : joined(request_.source, item.path); }

  /// Which of them need not be read: the library shows at their places what they were saved as.
  std::vector<bool> unchanged(const LibraryId& library, const std::vector<DiskItem>& items) const {
    std::vector<bool> out(items.size());
    if (options_.seen == nullptr || request_.reread) return out;
    if (!find_unchanged(library, items, out)) out.assign(items.size(), false);  // the save itself says what is wrong, or mends it
    return out;
  }
  Result<void> find_unchanged(const LibraryId& library, const std::vector<DiskItem>& items, std::vector<bool>& out) const {
    std::vector<std::string> paths, places;
    for (const DiskItem& item : items) paths.push_back(path_of(item));
    const auto marks = TRY(options_.seen->marks(library, paths));
    std::vector<std::size_t> numbers;
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (!marks[i] || items[i].kind != store::ContentKind::file) continue;
      numbers.push_back(i);
      places.push_back(joined(base_, items[i].path));
    }
    if (numbers.empty()) return {};
    using Values = std::vector<std::optional<store::ContentValue>>;
    const Values values = TRY(ask<Values>([&](Engine& engine, Now) { return engine.shown(library, places); }));
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      const std::size_t number = numbers[i];
      out[number] = values[i] && options_.seen->row_of(library, paths[number], items[number].state, *values[i]).mark == *marks[number];
    }
    return {};
  }
  /// Where that fails the next save reads again.
  void keep_seen() {
    if (options_.seen != nullptr) static_cast<void>(options_.seen->keep(std::exchange(seen_, {})).has_value());
  }

  using Items = std::shared_ptr<const std::vector<DiskItem>>;

  /// A batch on its way: what was read of it, until it is committed. Stays where it is: its sink fills it.
  struct Saving {
    Saving(Items its_items, SaveKeys its_keys) : items(std::move(its_items)), keys(std::move(its_keys)) {}

    Items items;
    SaveKeys keys;
    std::unique_ptr<PackKeeper> keeper;
    std::vector<Library::StoredPack> stored;  ///< durable ahead of the entry
    std::vector<store::SealedPack> with_entry;
    std::deque<store::SealedPack> last;  ///< content packs, as long as they may still go with the entry
    std::size_t last_bytes = 0;
    std::unique_ptr<JobIndex> index;
    std::unique_ptr<store::Ingest> ingest;
    std::vector<std::pair<const DiskItem*, FileState>> added;
    std::vector<store::StoredContent> contents;  ///< of those
    std::vector<Act> acts;
    std::vector<std::string> skipped;
    std::uint64_t bytes = 0, new_bytes = 0, same_count = 0;
    std::int64_t began_ns = 0;
    // Once committed:
    std::optional<Prepared> prepared;
    Sequence sequence;
    std::size_t passed_over = 0;
  };

  /// Reads the batch while the one before it is committed.
  Result<void> save_batch() {
    if (batch_.empty()) return {};
    const auto items = std::make_shared<const std::vector<DiskItem>>(std::exchange(batch_, {}));
    batch_record_bytes_ = 0;
    const bool is_large = std::exchange(batch_plain_bytes_, 0) > beside_bytes_most;
    if (is_large) TRY(end_commit());
    auto next = read_in(items, committing_ ? committing_->ingest.get() : nullptr);
    const bool as_expected = TRY(end_commit());
    if (next && !as_expected) next = read_in(items, nullptr);  // it leant on pieces that are perhaps not there
    committing_ = TRY(std::move(next));
    if (options_.workers > 0 && !is_large) {
      committed_ = std::async(std::launch::async, [this] { return commit(*committing_); });
      return {};
    }
    TRY(end_commit());
    return {};
  }

  /// Waits for the batch that is being committed, if one is, and tries again what can be. False: the pieces that were read first may not be there.
  Result<bool> end_commit() {
    if (!committing_) return true;
    Result<void> done = committed_.valid() ? committed_.get() : commit(*committing_);
    int attempts = 1;
    // Policy changed under it; perhaps the packs are of an epoch that is over.
    while (!done && done.error().fault == Fault::stale && attempts < attempts_most) {
      ++attempts;
      auto again = read_in(committing_->items, nullptr);
      if (again) committing_ = std::move(*again);
      done = again ? commit(*committing_) : Result<void>(std::unexpected(std::move(again.error())));
    }
    const std::unique_ptr<Saving> saving = std::move(committing_);
    TRY(std::move(done));
    account(*saving);
    return attempts == 1 && (!saving->prepared->record.ops.empty() || !saving->ingest->has_new());
  }

  /// `before`: whose pieces will be there when this is committed.
  Result<std::unique_ptr<Saving>> read_in(const Items& items, const store::Ingest* before) {
    auto saving = std::make_unique<Saving>(items, TRY(ask<SaveKeys>([&](Engine& engine, Now now) { return engine.begin_save(request_.library, now); })));
    Saving& it = *saving;
    it.keeper = std::make_unique<PackKeeper>(truth_, options_.workers > 0);
    it.index = std::make_unique<JobIndex>(*it.keys.index, before);
    store::IngestOptions how;
    how.library = it.keys.library;
    how.epoch = it.keys.epoch;
    how.workers = options_.workers;
    it.ingest = std::make_unique<store::Ingest>(how, it.keys.key, *it.index, [&it](store::SealedPack&& pack) { return take(it, std::move(pack)); });
    const std::vector<bool> same = unchanged(it.keys.library, *items);
    it.began_ns = wall_clock_ns();
    for (std::size_t i = 0; i < items->size(); ++i) {
      const DiskItem& item = (*items)[i];
      TRY(stopped());
      if (same[i]) {
        ++it.same_count;
        continue;
      }
      if (item.kind == store::ContentKind::dir) {
        it.acts.push_back(PutAct{joined(base_, item.path), {store::dir_value, std::nullopt}});
        continue;
      }
      const auto progress = [&](std::uint64_t of_this) -> Result<void> {
        if (options_.progress) options_.progress({files_before() + it.same_count + it.added.size(), bytes_before() + it.bytes + of_this, 0, 0});
        return stopped();
      };
      FileState state;
      Result<void> read = add(*it.ingest, item, progress, state);
      if (!read && (read.error().fault == Fault::unavailable || read.error().fault == Fault::corrupt)) return std::unexpected(std::move(read.error()));
      if (!read) {
        it.skipped.push_back(read.error().text);
        continue;
      }
      it.added.emplace_back(&item, state);
      it.bytes += item.state.size_bytes;
    }
    it.contents = TRY(it.ingest->settle());
    for (std::size_t i = 0; i < it.contents.size(); ++i) {
      it.acts.push_back(PutAct{joined(base_, it.added[i].first->path), {it.contents[i].value, it.contents[i].source}});
      it.new_bytes += it.contents[i].new_bytes;
    }
    return saving;
  }
  static Result<void> take(Saving& it, store::SealedPack&& pack) {
    if (pack.kind == crypto::PackKind::meta) {
      it.with_entry.push_back(std::move(pack));
      return {};
    }
    it.last_bytes += pack.bytes.size();
    it.last.push_back(std::move(pack));
    while (it.last_bytes > with_entry_bytes_most) {
      store::SealedPack ahead = std::move(it.last.front());
      it.last.pop_front();
      it.last_bytes -= ahead.bytes.size();
      it.stored.push_back({{ahead.address, static_cast<std::uint32_t>(ahead.bytes.size()), ahead.kind}, std::move(ahead.places)});
      TRY(it.keeper->keep(ahead.address, std::move(ahead.bytes)));
    }
    return {};
  }
  std::uint64_t files_before() const { return saved_.files + saved_.unchanged + (committing_ ? committing_->same_count + committing_->added.size() : 0); }
  std::uint64_t bytes_before() const { return saved_.bytes + (committing_ ? committing_->bytes : 0); }

  /// On a thread of its own: touches nothing but the batch.
  Result<void> commit(Saving& it) const {
    Library::PassedOver passed_over;
    it.prepared = TRY(ask<Prepared>([&](Engine& engine, Now now) { return engine.prepare_save(it.keys.library, it.acts, request_.text, &passed_over, now); }));
    for (const auto& [place, error] : passed_over) it.skipped.push_back(error.text);
    it.passed_over = passed_over.size();
    if (it.prepared->record.ops.empty()) return {};
    if (it.prepared->epoch != it.keys.epoch) return fail(Fault::stale, "the library has a new key since the save began");
    TRY(it.ingest->add_record(it.prepared->signed_record));
    TRY(it.ingest->finish());
    TRY(it.keeper->finish());
    std::ranges::move(it.last, std::back_inserter(it.with_entry));
    it.sequence = TRY(ask<Sequence>([&](Engine& engine, Now now) {
      auto out = engine.commit_save(it.keys.library, *it.prepared, std::move(it.stored), it.with_entry, now);
      if (out) it.keys.feed = engine.library(it.keys.library)->own_feed();  // another than at the beginning where the clock was put back
      return out;
    }));
    return {};
  }

  void account(Saving& it) {
    std::size_t changed = 0;
    if (!it.prepared->record.ops.empty()) {
      saved_.sequence = it.sequence;
      saved_.feed = it.keys.feed;
      ++saved_.records;
      saved_.person = it.prepared->record.person;
      saved_.role = it.prepared->record.role;
      saved_.who = it.prepared->record.who;
      std::set<DocumentId> documents;
      for (const store::Op& op : it.prepared->record.ops) documents.insert(op.document);
      changed = documents.size();
    }
    saved_.files += changed;
    saved_.unchanged += it.same_count + it.acts.size() - it.passed_over - changed;
    if (options_.seen != nullptr) {
      for (std::size_t i = 0; i < it.contents.size(); ++i) {
        const auto& [item, state] = it.added[i];
        if (item->kind != store::ContentKind::file || !SeenFiles::is_settled(state, it.began_ns)) continue;
        seen_.push_back(options_.seen->row_of(it.keys.library, path_of(*item), state, it.contents[i].value));
      }
      if (seen_.size() >= seen_rows_most) keep_seen();
    }
    saved_.bytes += it.bytes;
    saved_.new_bytes += it.new_bytes;
    for (std::string& line : it.skipped) skip(std::move(line));
  }

  /// Tries again what changed while it was read. `state`: that in which it was read.
  Result<void> add(store::Ingest& ingest, const DiskItem& item, const std::function<Result<void>(std::uint64_t)>& progress, FileState& state) {
    const std::string path = path_of(item);
    for (int attempt = 1;; ++attempt) {
      DiskSource source = TRY(DiskSource::open(folder_, item.path));
      WatchedSource watched(source, progress);
      state = source.state();
      Result<void> done = ingest.add(watched, source.traits());
      if (done) return {};
      if (done.error().fault != Fault::stale) return within(path, std::move(done));
      if (attempt == attempts_most) return fail(Fault::malformed, "it changes all the time; not saved: " + path);
    }
  }

  const local::PutRequest& request_;
  DiskFolder folder_;
  const OnEngine& engine_;
  store::Truth& truth_;
  const PutOptions& options_;
  std::string base_;
  std::vector<DiskItem> batch_;
  std::size_t batch_record_bytes_ = 0;
  std::uint64_t batch_plain_bytes_ = 0;
  std::vector<SeenFiles::Row> seen_;  ///< to be kept
  local::Saved saved_;
  std::unique_ptr<Saving> committing_;
  std::future<Result<void>> committed_;  ///< last: its thread ends before what it uses
};

}  // namespace

Result<local::Saved> put(const local::PutRequest& request, const OnEngine& engine, store::Truth& truth, const PutOptions& options) {
  return Job(request, engine, truth, options).run();
}

}  // namespace dozo::node
