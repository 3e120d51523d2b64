// The worked examples of the format documents, so that a document and the code cannot drift apart. tests/reference/worked.py has the rules.
#pragma once
#include <doctest/doctest.h>

#include <fstream>
#include <map>
#include <string>

namespace dozo::documented {

/// name -> value; the lines of a longer value are joined by `joined_by`.
inline std::map<std::string, std::string> examples(const std::string& document, const std::string& joined_by = "") {
  std::ifstream in(std::string(DOZO_SOURCE_DIR) + "/docs/" + document);
  REQUIRE_MESSAGE(in, document);
  std::map<std::string, std::string> out;
  const auto trimmed = [](std::string_view text) {
    const std::size_t begin = text.find_first_not_of(' ');
    return std::string(begin == std::string_view::npos ? "" : text.substr(begin));
  };
  std::string name;
  bool inside = false;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("```")) {
      inside = !inside;
      name.clear();
    } else if (inside && !name.empty() && (line.empty() || line[0] == ' ')) {
      out[name] += joined_by + trimmed(line);
    } else if (const std::size_t gap = line.find("  "); inside && gap != std::string::npos) {
      name = line.substr(0, gap);
      out[name] = trimmed(line.substr(gap));
    }
  }
  return out;
}

}  // namespace dozo::documented
