// Home store: the two LMDB environments of a home, opened: the truth under the node's own seal, and what is derived from it.
//
// Not here: repairing a damaged truth (dozo fsck), what lies in them. The home is locked by the caller.
// Threads: made by one, before any other is started; truth and derived may then be shared.
#pragma once
#include <memory>

#include "node/home.h"
#include "node/local_sealer.h"
#include "store/kv_lmdb.h"
#include "store/truth.h"

namespace dozo::node {

class HomeStore {
 public:
  enum class Before : std::uint8_t {
    ended,  ///< whoever had it open last closed it
    died,   ///< both environments are walked in a child process first: a damaged page could kill this one
  };
  /// A derived store that is damaged, or another node's, is made again; a truth that is missing is made new. `keys` outlives it. Faults: corrupt (the truth is
  /// damaged: dozo fsck), denied (it is another node's, or the folder another user's), unsupported, unavailable.
  static Result<std::unique_ptr<HomeStore>> open(const Home& home, const HomeKeys& keys, Before before);

  store::Truth& truth() { return *truth_; }
  store::Kv& derived() { return *derived_kv_; }
  bool derived_was_damaged() const { return derived_was_damaged_; }

 private:
  explicit HomeStore(const crypto::LocalKey& key) : sealer_(key) {}
  Result<void> open_truth(const Home& home, const HomeKeys& keys, Before before);
  Result<void> open_derived(const Home& home, const HomeKeys& keys, Before before);

  LocalSealer sealer_;
  std::unique_ptr<store::Kv> truth_kv_, derived_kv_;
  std::unique_ptr<store::Truth> truth_;
  bool derived_was_damaged_ = false;
};

}  // namespace dozo::node
