#include "node/home_store.h"

#include "node/piece_index.h"

namespace dozo::node {
namespace {

namespace fs = std::filesystem;

Error with_fsck(Error error, const fs::path& folder) {
  error.text.insert(0, folder.string() + ": ");
  if (error.fault == Fault::corrupt && error.text.find("fsck") == std::string::npos) error.text += "; run dozo fsck";
  return error;
}

/// Notes whether anything opened.
class NotingSealer final : public store::Sealer {
 public:
  explicit NotingSealer(const store::Sealer& sealer) : sealer_(sealer) {}
  Bytes seal(ByteView plain, ByteView associated) const override { return sealer_.seal(plain, associated); }
  Result<Bytes> open(ByteView sealed, ByteView associated) const override {
    Result<Bytes> out = sealer_.open(sealed, associated);
    opened_ = opened_ || out.has_value();
    return out;
  }
  bool opened() const { return opened_; }

 private:
  const store::Sealer& sealer_;
  mutable bool opened_ = false;
};

/// Whether a damaged store is this node's: its root opens, or it has a feed of the node.
bool is_of(store::Kv& kv, const store::Sealer& sealer, const NodeId& node) {
  const NotingSealer noting(sealer);
  static_cast<void>(store::Truth::open(kv, noting).has_value());
  bool ours = noting.opened();
  const auto truth = store::Truth::open_damaged(kv, sealer);
  if (ours || !truth) return ours;
  auto read = (*truth)->read();
  if (!read) return false;
  const auto walked = read->each_head([&](const store::Branch& branch, const store::HeadRow&) -> Result<bool> {
    ours = branch.feed.node == node;
    return !ours;
  });
  return walked && ours;
}

}  // namespace

Result<std::unique_ptr<HomeStore>> HomeStore::open(const Home& home, const HomeKeys& keys, Before before) {
  std::unique_ptr<HomeStore> out(new HomeStore(keys.local));
  TRY(out->open_truth(home, keys, before));
  TRY(out->open_derived(home, keys, before));
  return out;
}

Result<void> HomeStore::open_truth(const Home& home, const HomeKeys& keys, Before before) {
  std::error_code code;
  if (fs::file_size(home.truth() / "data.mdb", code) == 0 && !code && fs::exists(home.derived() / "data.mdb", code))
    return fail(Fault::corrupt,
                home.truth().string() + ": its data.mdb is empty, and was not: put it back, or make the node anew from the others; see dozo fsck");
  for (const char* beside : {".fsck", ".ruined"}) {
    const fs::path other = home.truth().string() + beside;
    if (!fs::exists(home.truth() / "data.mdb", code) && fs::exists(other, code))
      return fail(Fault::corrupt,
                  home.truth().string() + " is not there, but " + other.string() + ": a rebuild was cut off; rename that, and run dozo fsck --rebuild");
  }
  // What is derived is made after it: without that, less than LMDB's two first pages is what a first start left that was cut off, on a full disk say.
  constexpr std::uintmax_t first_pages_bytes = 8192;
  if (const auto size = fs::file_size(home.truth() / "data.mdb", code); !code && size < first_pages_bytes && !fs::exists(home.derived() / "data.mdb", code)) {
    for (const char* file : {"data.mdb", "lock.mdb"}) fs::remove(home.truth() / file, code);
  }
  if (before == Before::died || store::looks_cut(home.truth())) {
    if (auto sound = store::check_lmdb_in_child(home.truth(), store::Truth::tables()); !sound)
      return std::unexpected(with_fsck(std::move(sound).error(), home.truth()));
  }
  auto opened = store::open_lmdb(home.truth(), store::Truth::tables());
  if (!opened) return std::unexpected(with_fsck(std::move(opened).error(), home.truth()));
  truth_kv_ = std::move(*opened);
  auto truth = store::Truth::open(*truth_kv_, sealer_);
  if (!truth && truth.error().fault == Fault::not_found) truth = store::Truth::create(*truth_kv_, sealer_);
  if (!truth && truth.error().fault == Fault::corrupt && !is_of(*truth_kv_, sealer_, keys.node.id)) {
    // A root that does not open says as little about whose it is as a damaged one.
    return fail(Fault::denied, home.truth().string() + " does not open with this node's key: it is another node's store, or its root is damaged (dozo fsck)");
  }
  if (!truth) return std::unexpected(with_fsck(std::move(truth).error(), home.truth()));
  truth_ = std::move(*truth);
  return {};
}

Result<void> HomeStore::open_derived(const Home& home, const HomeKeys& keys, Before before) {
  const auto sound = before == Before::died || store::looks_cut(home.derived()) ? store::check_lmdb_in_child(home.derived(), derived_tables()) : Result<void>();
  Result<std::unique_ptr<store::Kv>> opened = std::unexpected(sound ? Error{} : sound.error());
  store::LmdbOptions options;
  options.last_may_be_lost = true;  // what is missing is derived again at the next start; that no more is there than in the truth is all that counts
  if (sound) opened = store::open_lmdb(home.derived(), derived_tables(), options);
  Result<bool> ours = opened ? own_derived(**opened, keys.local) : Result<bool>(std::unexpected(opened.error()));
  const bool is_bad = ours ? !*ours : ours.error().fault == Fault::corrupt || ours.error().fault == Fault::unsupported;
  if (is_bad) {
    // Everything in it follows from the truth, but for what spares work (seen_files.h).
    derived_was_damaged_ = true;
    std::error_code code;
    if (opened) opened->reset();
    for (const char* file : {"data.mdb", "lock.mdb"}) fs::remove(home.derived() / file, code);
    opened = store::open_lmdb(home.derived(), derived_tables(), options);
    ours = opened ? own_derived(**opened, keys.local) : Result<bool>(std::unexpected(opened.error()));
  }
  if (!ours) return std::unexpected(with_fsck(std::move(ours).error(), home.derived()));
  derived_kv_ = std::move(*opened);
  return {};
}

}  // namespace dozo::node
