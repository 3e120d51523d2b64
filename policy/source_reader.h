// What reading and checking a source share. Internal to the room.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policy/source.h"

namespace dozo::policy {

/// The one of `known` that was probably meant by `name`; empty: none is near.
std::string nearest(std::string_view name, std::span<const std::string> known);

/// Mistakes between the parts of a source that reads well.
void check_source(const Source& source, std::vector<Mistake>& mistakes, std::vector<Mistake>& warnings);

}  // namespace dozo::policy
