// Text patch: how one text became another, for people to read.
// Not here: what is text, applying a patch.
// Threads: any.
#pragma once
#include <string>
#include <string_view>

namespace dozo::store {

/// The lines that differ, each run with three lines around it, in the unified form of diff and git, without the lines that name the files. Empty: equal. Takes
/// a few times the memory of both.
std::string text_patch(std::string_view before, std::string_view after);

}  // namespace dozo::store
