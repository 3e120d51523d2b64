// Inventory: what is here of a library as messages tell it: its feeds, its statements, and the hashes over them.
//
// Made from the object store when somebody needs it, and kept until something changed, so that a message costs by what it is about and not by
// all feeds of all libraries.
// Threads: one owner.
#pragma once
#include <map>

#include "sync/object_store.h"

namespace dozo::sync {

struct Inventory {
  std::vector<FeedPoint> feeds;      ///< ascending
  std::vector<StatementMark> marks;  ///< ascending
  LibraryState state;
  std::array<std::uint64_t, bucket_count> buckets{};

  bool holds(const FeedPoint& point) const;  ///< as the end of a line
  std::size_t lines_of(const FeedId& feed) const;
  const StatementMark* find(const NodeId& signer, const std::string& subject) const;
};

std::size_t bucket_of(const FeedId& feed);

class Inventories {
 public:
  explicit Inventories(ObjectStore& store) : store_(store) {}

  /// Good until the next call with the same library.
  const Inventory& of(const LibraryId& library);
  void feeds_changed(const LibraryId& library);
  void statements_changed(const LibraryId& library);
  void all_changed();

  /// What is new in a library since this was asked last, or since anything was asked about it first.
  struct News {
    std::vector<FeedPoint> feeds;
    std::vector<StatementMark> marks;
  };
  News news(const LibraryId& library);

 private:
  struct Kept {
    Inventory inventory;
    bool feeds_fresh{}, marks_fresh{}, told{};
    std::vector<FeedPoint> told_feeds;
    std::vector<StatementMark> told_marks;
  };
  Kept& fresh(const LibraryId& library);

  ObjectStore& store_;
  std::map<LibraryId, Kept> kept_;
};

/// Over the states of libraries that two nodes share.
Digest hash_of(const std::vector<LibraryState>& libraries);

}  // namespace dozo::sync
