#include "node/fsck.h"

#include "node/fsck_body.h"

namespace dozo::node {

namespace fs = std::filesystem;

std::string_view name_of(FsckKind kind) {
  switch (kind) {
    case FsckKind::environment: return "environment";
    case FsckKind::root: return "root";
    case FsckKind::row: return "row";
    case FsckKind::document: return "document";
    case FsckKind::feed: return "feed";
    case FsckKind::subtree: return "subtree";
    case FsckKind::pack_list: return "pack list";
    case FsckKind::pack: return "pack";
    case FsckKind::pack_count: return "pack count";
    case FsckKind::record: return "record";
    case FsckKind::content: return "content";
    case FsckKind::index: return "index";
    case FsckKind::history: return "history";
  }
  return "";
}

std::string_view name_of(FsckState state) {
  switch (state) {
    case FsckState::note: return "note";
    case FsckState::damaged: return "damaged";
    case FsckState::mended: return "mended";
    case FsckState::dropped: return "dropped";
  }
  return "";
}

std::string feed_text(const FeedId& feed) {
  return "feed " + feed.library.hex().substr(0, 8) + "/" + feed.node.hex().substr(0, 8) + "/" + feed.incarnation.hex().substr(0, 8);
}

Bytes FsckSealer::seal(ByteView plain, ByteView associated) const { return key_ == nullptr ? Bytes() : key_->seal(plain, associated); }
Result<Bytes> FsckSealer::open(ByteView sealed, ByteView associated) const {
  if (key_ == nullptr) return fail(Fault::denied, "sealed, and no key was given");
  return key_->open(sealed, associated);
}

void Fsck::find(FsckKind kind, FsckState state, std::string text) {
  if (state == FsckState::damaged) ++report_.damaged;
  if (report_.findings.size() < FsckReport::findings_most) {
    report_.findings.push_back({kind, state, std::move(text)});
  } else {
    ++report_.findings_left_out;
  }
}

void Fsck::tell(std::string_view step, std::uint64_t bytes, std::uint64_t bytes_total) {
  if (!options_.progress) return;
  const auto now = std::chrono::steady_clock::now();
  if (bytes != 0 && now - told_ < std::chrono::milliseconds(200)) return;
  told_ = now;
  options_.progress({step, bytes, bytes_total});
}

Result<bool> Fsck::open_truth() {
  std::error_code code;
  const std::string name = home_.truth().string();
  if (!fs::exists(home_.truth() / "data.mdb", code)) {
    for (const fs::path& other : {salvaged_path(), ruined_path()}) {
      if (fs::exists(other, code)) return fail(Fault::corrupt, name + " is not there, but " + other.string() + ": a rebuild was cut off; rename that to it");
    }
    note(FsckKind::environment, name + ": there is no store yet; dozod makes one at its first start");
    return false;
  }
  tell("pages");
  // No newer version of ours has another file format than LMDB's, so what LMDB does not take for its own is damage.
  const auto in_ruins = [](const Error& error) { return error.fault == Fault::corrupt || error.fault == Fault::unsupported; };
  std::optional<Error> ruin;
  if (auto sound = store::check_lmdb_in_child(home_.truth(), store::Truth::tables()); !sound) {
    if (!in_ruins(sound.error())) return std::unexpected(std::move(sound.error()));
    ruin = std::move(sound.error());
  }
  // Both before any is opened: LMDB does not go through a fork.
  if (auto sound = store::check_lmdb_in_child(home_.derived(), derived_tables()); !sound) {
    if (!in_ruins(sound.error())) return std::unexpected(std::move(sound.error()));
    derived_in_ruins_ = true;
    damage_that(FsckState::mended, FsckKind::environment, sound.error().text);
  }
  store::LmdbOptions how;
  how.read_only = !options_.rebuild;
  const auto open = [&] { return store::open_lmdb(home_.truth(), store::Truth::tables(), how); };
  auto opened = ruin ? Result<std::unique_ptr<store::Kv>>(std::unexpected(*ruin)) : open();
  if (!opened && opened.error().fault == Fault::not_found) {
    note(FsckKind::environment, name + ": the store was never begun");
    return false;
  }
  if (!opened) {
    if (!in_ruins(opened.error())) return std::unexpected(std::move(opened.error()));
    if (!options_.rebuild) {
      damage(FsckKind::environment, opened.error().text + "; its own structure is damaged: a rebuild takes out of it what is whole (docs/operations.md)");
      return false;
    }
    TRY(begin_salvage(opened.error()));
    return true;
  }
  truth_kv_ = std::move(*opened);
  truth_ = TRY(store::Truth::open_damaged(*truth_kv_, sealer_));
  const auto whole = store::Truth::open(*truth_kv_, sealer_);
  if (const auto format = truth_->format(); format && *format < store::truth_format)
    note(FsckKind::environment, name + ": of format " + std::to_string(*format) + ": dozod brings it to format " + std::to_string(store::truth_format));
  if (!whole && whole.error().fault == Fault::not_found) {
    note(FsckKind::environment, name + ": the store was never begun");
    return false;
  }
  return true;
}

Result<FsckReport> Fsck::run() {
  if (options_.rebuild && keys_ == nullptr) return fail(Fault::denied, "a rebuild needs the home's keys");
  const HomeLock lock = TRY(lock_home(home_));
  self_ = keys_ != nullptr ? keys_->node.id : TRY(public_keys(home_)).id;
  std::error_code code;
  fs::remove_all(scratch_path(), code);  // of a run that was stopped
  Result<void> done = look();
  stored_.reset();
  scratch_.reset();
  if (done && salvaging_) done = end_salvage();
  if (done && options_.rebuild && looked_) done = swap_derived();
  fs::remove_all(scratch_path(), code);
  if (!done && salvaging_) {
    truth_.reset();
    truth_kv_.reset();
    fs::remove_all(salvaged_path(), code);
  }
  TRY(std::move(done));
  return std::move(report_);
}

Result<void> Fsck::look() {
  if (!TRY(open_truth())) return {};
  looked_ = true;
  {
    auto in = TRY(store::TruthCheck::begin(*truth_));
    tell("rows");
    TRY(check_rows(in));
    TRY(check_root(in));
    TRY(check_documents(in));
  }
  if (options_.rebuild && truth_differs_) TRY(mend_rows());
  if (salvaging_) TRY(salvage_feeds());
  {
    auto in = TRY(store::TruthCheck::begin(*truth_));
    tell("feeds");
    TRY(check_entries(in));
    TRY(check_heads(in));
  }
  if (options_.rebuild) TRY(mend_feeds());
  if (keys_ != nullptr) TRY(open_realm());
  if (realm_) {
    scratch_ = TRY(store::open_lmdb(scratch_path(), derived_tables()));
    TRY(own_derived(*scratch_, keys_->local));
  }
  TRY(check_packs());
  return realm_ ? check_libraries() : Result<void>();
}

Result<FsckReport> fsck(const Home& home, const HomeKeys* keys, const FsckOptions& options) { return Fsck(home, keys, options).run(); }

}  // namespace dozo::node
