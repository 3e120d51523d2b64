// Planted: one bug for each invariant, made in the simulator's own adapters around the engine, so that each invariant is seen to fail.
// Threads: values.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

namespace dozo::simulator {

enum class Planted : std::uint8_t {
  none,
  forgetful_disk,    ///< a disk says that the last commit is durable, and loses it in a crash: durability
  dropped_pack,      ///< a node drops a pack that it has signed for: durability
  deaf_to_a_feed,    ///< one node never hears of one feed: convergence
  unsealed_copy,     ///< a node keeps a saved text in clear beside the truth: no_plaintext
  stolen_signature,  ///< entries pass that the named node never signed, as if signatures were not checked: authority
  open_door,         ///< what HQ publishes lets a node in that must not have the library: entitlement
  forgotten_point,   ///< what is kept of a tag lacks its last feed: tags
  swallowed_slices,  ///< what a node is given of packs is lost on its last step: liveness
};
/// By the name of the enumerator with hyphens.
std::optional<Planted> planted_named(std::string_view name);
std::string_view name_of(Planted planted);
/// The invariant that must see it.
std::string_view finder_of(Planted planted);

}  // namespace dozo::simulator
