#include "tests/simulator/planted.h"

#include <array>

namespace dozo::simulator {
namespace {

struct Row {
  std::string_view name, finder;
};
constexpr std::array<Row, 9> rows{{{"none", ""},
                                   {"forgetful-disk", "durability"},
                                   {"dropped-pack", "durability"},
                                   {"deaf-to-a-feed", "convergence"},
                                   {"unsealed-copy", "no_plaintext"},
                                   {"stolen-signature", "authority"},
                                   {"open-door", "entitlement"},
                                   {"forgotten-point", "tags"},
                                   {"swallowed-slices", "liveness"}}};

}  // namespace

std::optional<Planted> planted_named(std::string_view name) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].name == name) return static_cast<Planted>(i);
  }
  return std::nullopt;
}
std::string_view name_of(Planted planted) { return rows[static_cast<std::size_t>(planted)].name; }
std::string_view finder_of(Planted planted) { return rows[static_cast<std::size_t>(planted)].finder; }

}  // namespace dozo::simulator
