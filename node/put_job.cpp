#include "node/put_job.h"

#include <algorithm>
#include <ctime>
#include <deque>

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

class Job {
 public:
  Job(const local::PutRequest& request, const OnEngine& engine, store::Truth& truth, const PutOptions& options)
      : request_(request), engine_(engine), truth_(truth), options_(options) {}

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

  /// Which of the batch need not be read: the library shows at their places what they were saved as.
  std::vector<bool> unchanged(const LibraryId& library) const {
    std::vector<bool> out(batch_.size());
    if (options_.seen == nullptr || request_.reread) return out;
    if (!find_unchanged(library, out)) out.assign(batch_.size(), false);  // the save itself says what is wrong, or mends it
    return out;
  }
  Result<void> find_unchanged(const LibraryId& library, std::vector<bool>& out) const {
    std::vector<std::string> paths, places;
    for (const DiskItem& item : batch_) paths.push_back(path_of(item));
    const auto marks = TRY(options_.seen->marks(library, paths));
    std::vector<std::size_t> numbers;
    for (std::size_t i = 0; i < batch_.size(); ++i) {
      if (!marks[i] || batch_[i].kind != store::ContentKind::file) continue;
      numbers.push_back(i);
      places.push_back(joined(base_, batch_[i].path));
    }
    if (numbers.empty()) return {};
    using Values = std::vector<std::optional<store::ContentValue>>;
    const Values values = TRY(ask<Values>([&](Engine& engine, Now) { return engine.shown(library, places); }));
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      const std::size_t number = numbers[i];
      out[number] = values[i] && options_.seen->row_of(library, paths[number], batch_[number].state, *values[i]).mark == *marks[number];
    }
    return {};
  }
  /// Where that fails the next save reads again.
  void keep_seen() {
    if (options_.seen != nullptr) static_cast<void>(options_.seen->keep(std::exchange(seen_, {})).has_value());
  }

  Result<void> save_batch() {
    if (batch_.empty()) return {};
    for (int attempt = 1;; ++attempt) {
      Result<void> done = try_batch();
      // Policy changed under it; perhaps the packs are of an epoch that is over.
      if (done || done.error().fault != Fault::stale || attempt == attempts_most) {
        batch_.clear();
        batch_record_bytes_ = 0;
        batch_plain_bytes_ = 0;
        return done;
      }
    }
  }

  Result<void> try_batch() {
    SaveKeys keys = TRY(ask<SaveKeys>([&](Engine& engine, Now now) { return engine.begin_save(request_.library, now); }));
    PackKeeper keeper(truth_, options_.workers > 0);
    std::vector<Library::StoredPack> stored;
    std::vector<store::SealedPack> with_entry;
    std::deque<store::SealedPack> last;
    std::size_t last_bytes = 0;
    const store::PackSink sink = [&](store::SealedPack&& pack) -> Result<void> {
      if (pack.kind == crypto::PackKind::meta) {
        with_entry.push_back(std::move(pack));
        return {};
      }
      last_bytes += pack.bytes.size();
      last.push_back(std::move(pack));
      while (last_bytes > with_entry_bytes_most) {
        store::SealedPack ahead = std::move(last.front());
        last.pop_front();
        last_bytes -= ahead.bytes.size();
        stored.push_back({{ahead.address, static_cast<std::uint32_t>(ahead.bytes.size()), ahead.kind}, std::move(ahead.places)});
        TRY(keeper.keep(ahead.address, std::move(ahead.bytes)));
      }
      return {};
    };
    store::IngestOptions how;
    how.library = keys.library;
    how.epoch = keys.epoch;
    how.workers = options_.workers;
    store::Ingest ingest(how, keys.key, *keys.index, sink);

    std::vector<std::pair<const DiskItem*, FileState>> added;
    std::vector<Act> acts;
    std::uint64_t bytes = 0, same_count = 0;
    std::vector<std::string> skipped;
    const std::vector<bool> same = unchanged(keys.library);
    const std::int64_t began_ns = wall_clock_ns();
    for (std::size_t i = 0; i < batch_.size(); ++i) {
      const DiskItem& item = batch_[i];
      TRY(stopped());
      if (same[i]) {
        ++same_count;
        continue;
      }
      if (item.kind == store::ContentKind::dir) {
        acts.push_back(PutAct{joined(base_, item.path), {store::dir_value, std::nullopt}});
        continue;
      }
      const auto progress = [&](std::uint64_t of_this) -> Result<void> {
        if (options_.progress) options_.progress({saved_.files + saved_.unchanged + same_count + added.size(), saved_.bytes + bytes + of_this, 0, 0});
        return stopped();
      };
      FileState state;
      Result<void> read = add(ingest, item, progress, state);
      if (!read && (read.error().fault == Fault::unavailable || read.error().fault == Fault::corrupt)) return std::unexpected(std::move(read.error()));
      if (!read) {
        skipped.push_back(read.error().text);
        continue;
      }
      added.emplace_back(&item, state);
      bytes += item.state.size_bytes;
    }
    const std::vector<store::StoredContent> contents = TRY(ingest.settle());
    std::uint64_t new_bytes = 0;
    for (std::size_t i = 0; i < contents.size(); ++i) {
      acts.push_back(PutAct{joined(base_, added[i].first->path), {contents[i].value, contents[i].source}});
      new_bytes += contents[i].new_bytes;
    }
    Library::PassedOver passed_over;
    const Prepared prepared =
        TRY(ask<Prepared>([&](Engine& engine, Now now) { return engine.prepare_save(keys.library, acts, request_.text, &passed_over, now); }));
    for (const auto& [place, error] : passed_over) skipped.push_back(error.text);
    std::size_t changed = 0;
    if (!prepared.record.ops.empty()) {
      if (prepared.epoch != keys.epoch) return fail(Fault::stale, "the library has a new key since the save began");
      TRY(ingest.add_record(prepared.signed_record));
      TRY(ingest.finish());
      TRY(keeper.finish());
      std::ranges::move(last, std::back_inserter(with_entry));
      saved_.sequence =
          TRY(ask<Sequence>([&](Engine& engine, Now now) { return engine.commit_save(keys.library, prepared, std::move(stored), with_entry, now); }));
      saved_.feed = keys.feed;
      ++saved_.records;
      saved_.person = prepared.record.person;
      saved_.role = prepared.record.role;
      saved_.who = prepared.record.who;
      std::set<DocumentId> documents;
      for (const store::Op& op : prepared.record.ops) documents.insert(op.document);
      changed = documents.size();
    }
    saved_.files += changed;
    saved_.unchanged += same_count + acts.size() - passed_over.size() - changed;
    if (options_.seen != nullptr) {
      for (std::size_t i = 0; i < contents.size(); ++i) {
        if (added[i].first->kind != store::ContentKind::file || !SeenFiles::is_settled(added[i].second, began_ns)) continue;
        seen_.push_back(options_.seen->row_of(keys.library, path_of(*added[i].first), added[i].second, contents[i].value));
      }
      if (seen_.size() >= seen_rows_most) keep_seen();
    }
    saved_.bytes += bytes;
    saved_.new_bytes += new_bytes;
    for (std::string& line : skipped) skip(std::move(line));
    return {};
  }

  /// Tries again what changed while it was read. `state`: that in which it was read.
  Result<void> add(store::Ingest& ingest, const DiskItem& item, const std::function<Result<void>(std::uint64_t)>& progress, FileState& state) {
    const std::string path = path_of(item);
    for (int attempt = 1;; ++attempt) {
      DiskSource source = TRY(DiskSource::open(request_.source, item.path));
      WatchedSource watched(source, progress);
      state = source.state();
      Result<void> done = ingest.add(watched, source.traits());
      if (done) return {};
      if (done.error().fault != Fault::stale) return within(path, std::move(done));
      if (attempt == attempts_most) return fail(Fault::malformed, "it changes all the time; not saved: " + path);
    }
  }

  const local::PutRequest& request_;
  const OnEngine& engine_;
  store::Truth& truth_;
  const PutOptions& options_;
  std::string base_;
  std::vector<DiskItem> batch_;
  std::size_t batch_record_bytes_ = 0;
  std::uint64_t batch_plain_bytes_ = 0;
  std::vector<SeenFiles::Row> seen_;  ///< to be kept
  local::Saved saved_;
};

}  // namespace

Result<local::Saved> put(const local::PutRequest& request, const OnEngine& engine, store::Truth& truth, const PutOptions& options) {
  return Job(request, engine, truth, options).run();
}

}  // namespace dozo::node
