// Published suites that are too large to type in: run where they are, else the test says that it skipped them.
#pragma once
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace dozo::vectors {

/// DOZO_VECTORS, or the folder shared/vectors beside the checkout.
inline std::optional<std::filesystem::path> folder() {
  const char* set = std::getenv("DOZO_VECTORS");
  const std::filesystem::path path = set != nullptr ? std::filesystem::path(set) : std::filesystem::path(DOZO_SOURCE_DIR) / ".." / "shared" / "vectors";
  if (std::filesystem::is_directory(path)) return path;
  std::cout << "skipped: no published suites at " << path.lexically_normal().string() << " (set DOZO_VECTORS)\n";
  return std::nullopt;
}

inline nlohmann::json load(const std::filesystem::path& file) {
  std::ifstream in(file);
  REQUIRE_MESSAGE(in, file.string());
  return nlohmann::json::parse(in);
}

}  // namespace dozo::vectors
