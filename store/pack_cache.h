// Pack cache: packs opened and groups decompressed lately, so that reading along a document opens each once. Bounded in bytes; the least used goes first.
// Holds plaintext, in memory alone. Not for packs whose address or key has not been checked.
// Threads: any.
#pragma once
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>

#include "store/pack.h"

namespace dozo::store {

class PackCache {
 public:
  using Opener = std::function<Result<OpenPack>()>;

  explicit PackCache(std::size_t bytes_most = 12U << 20) : bytes_most_(bytes_most) {}
  /// The piece from the pack, which `open` opens where it is not here. Faults: open's; not_found, malformed, not_authentic as of OpenPack::piece.
  Result<Bytes> piece(const PackAddress& pack, const PieceId& id, PieceType type, const Opener& open);
  void forget(const PackAddress& pack);
  void clear();
  std::size_t held_bytes() const;

 private:
  static constexpr std::uint32_t whole_pack = ~std::uint32_t{0};
  struct Key {
    PackAddress pack;
    std::uint32_t group{};  ///< or whole_pack
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  struct Held {
    Key key;
    std::shared_ptr<const OpenPack> pack;
    std::shared_ptr<const Bytes> group;
    std::size_t bytes{};
  };
  std::optional<Held> look(const Key& key);
  void keep(Held held);

  mutable std::mutex mutex_;
  const std::size_t bytes_most_;
  std::size_t bytes_ = 0;
  std::list<Held> used_;  ///< newest first
  std::map<Key, std::list<Held>::iterator> at_;
};

}  // namespace dozo::store
