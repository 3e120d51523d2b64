// History shelf: the rows of one library's history in a Kv, sealed, and the write transactions that they are put in.
//
// docs/history.md section 4 has the rows. A shelf is open for reading (one snapshot) or for writing (one transaction after another, each
// within the limit of puts). What a step puts is named in its traces, so that a step cut short can be swept and a commit taken back.
// Private to history.cpp. Threads: one; no transaction outlives the call of History that opened it.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "store/git_backend.h"

namespace dozo::crypto {
class LocalKey;
}

namespace dozo::store {

class Kv;

/// Where the line ends: the last whole step.
struct HistoryHead {
  std::uint64_t size{};
  GitId id;  ///< zero where size is 0
  friend bool operator==(const HistoryHead&, const HistoryHead&) = default;
};

/// What a commit's number leads to, beside the commit itself.
struct CommitRow {
  GitId id;
  GitId tree;
  RecordId record;
  std::uint64_t hlc{};
  std::uint64_t changed_count{};
};

class HistoryShelf : public GitShelf {
 public:
  static Result<std::unique_ptr<HistoryShelf>> for_reading(Kv& kv, const crypto::LocalKey& key, const LibraryId& library);
  /// Sweeps what a step cut short has left. `puts_most` bounds each transaction.
  static Result<std::unique_ptr<HistoryShelf>> for_writing(Kv& kv, const crypto::LocalKey& key, const LibraryId& library, std::size_t puts_most);
  ~HistoryShelf() override;  ///< what is not committed is dropped

  // ---- the line ------------------------------------------------------------------------------------------------------
  const HistoryHead& head() const;                     ///< with what this shelf has written
  const HistoryHead& committed() const;                ///< what would be found after a death now
  Result<CommitRow> commit_row(std::uint64_t number);  ///< Fault: corrupt when it is not there
  Result<std::optional<std::uint64_t>> number_of(const GitId& id);
  Result<std::optional<PieceId>> manifest_of(const GitId& blob, std::uint64_t number);  ///< as last set up to that commit
  /// The greatest number below `before` of a commit that changed this path or something below it.
  Result<std::optional<std::uint64_t>> last_change(std::string_view path, std::uint64_t before);
  Result<std::vector<std::string>> changed_paths(std::uint64_t number, std::size_t most);

  // ---- a step: any puts, then end_step ---------------------------------------------------------------------------------
  Result<void> put_manifest(const GitId& blob, const PieceId& manifest);
  Result<void> put_change(std::string_view path);        ///< for last_change
  Result<void> put_changed_path(std::string_view path);  ///< for changed_paths, in that order
  Result<void> end_step(const CommitRow& row);
  /// Takes the last commit back. Needs size above 0.
  Result<void> take_back();
  Result<void> commit();  ///< the last call

  // ---- GitShelf ------------------------------------------------------------------------------------------------------
  Result<std::optional<GitObject>> get(const GitId& id) override;
  Result<bool> has(const GitId& id) override;
  Result<void> put(const GitId& id, GitKind kind, ByteView body) override;
  void expect_change_of(const std::optional<GitId>& base) override;
  Result<void> each_id(const std::function<bool(const GitId&)>& take) override;
  Result<std::optional<GitRef>> get_ref(std::string_view name) override;
  Result<void> put_ref(const GitRef& ref) override;
  Result<void> drop_ref(std::string_view name) override;
  Result<void> each_ref(const std::function<bool(const GitRef&)>& take) override;

 private:
  struct Body;
  explicit HistoryShelf(std::unique_ptr<Body> body);
  std::unique_ptr<Body> body_;
};

}  // namespace dozo::store
