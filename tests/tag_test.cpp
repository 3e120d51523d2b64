// Tags: their text, and what a reader refuses.
#include <doctest/doctest.h>

#include "store/tag.h"
#include "tests/documented.h"

using namespace dozo;
using namespace dozo::store;

namespace {

const std::string library_line = "library " + LibraryId{{0xa0}}.hex() + "\n";
std::string line_of(const TagPoint& point) {
  return point.node.hex() + " " + point.incarnation.hex() + " " + std::to_string(point.sequence.value) + " " + point.root.hex() + "\n";
}
Fault fault_of(const std::string& text) {
  const auto read = decode_tag(text);
  REQUIRE_FALSE(read);
  return read.error().fault;
}

}  // namespace

TEST_CASE("tag: the document's worked example") {
  const auto example = documented::examples("storage-format.md", "\n");
  REQUIRE(example.contains("a tag"));
  const auto tag = decode_tag(example.at("a tag") + "\n");
  REQUIRE_MESSAGE(tag, tag.error().text);
  REQUIRE(tag->points.size() == 1);
  CHECK(tag->library.hex() == "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf");
  CHECK(tag->points[0].sequence.value == 1);
  CHECK(tag->points[0].root.hex() == documented::examples("storage-format.md").at("entry's leaf"));
}

TEST_CASE("tag: its text is read back, and anything else is refused") {
  const TagPoint one{NodeId{{1}}, IncarnationId{{2}}, {3}, Digest{{4}}}, two{NodeId{{1}}, IncarnationId{{2}}, {18446744073709551615U}, Digest{{4}}};
  const std::string good = "dozo tag 1\n" + library_line + line_of(one) + line_of(two);
  CHECK(encode(Tag{LibraryId{{0xa0}}, {one, two}}) == good);
  const auto read = decode_tag(good);
  REQUIRE(read);
  CHECK(read->points == std::vector{one, two});

  for (std::size_t cut = 0; cut < good.size(); ++cut) {
    CAPTURE(cut);
    const bool whole_line = cut > library_line.size() + 11 && good[cut - 1] == '\n';
    CHECK(decode_tag(good.substr(0, cut)).has_value() == whole_line);
  }
  CHECK(fault_of("dozo tag 2\n" + library_line + line_of(one)) == Fault::unsupported);
  CHECK(fault_of("dozo tag 1\n" + library_line) == Fault::malformed);
  CHECK(fault_of("dozo tag 1\n" + library_line + line_of(two) + line_of(one)) == Fault::malformed);
  CHECK(fault_of("dozo tag 1\n" + library_line + line_of(one) + line_of(one)) == Fault::malformed);
  for (const char* sequence : {"0", "03", "-3", "+3", "3x", "", "18446744073709551616", " 3"}) {
    CAPTURE(sequence);
    CHECK(fault_of("dozo tag 1\n" + library_line + one.node.hex() + " " + one.incarnation.hex() + " " + sequence + " " + one.root.hex() + "\n") ==
          Fault::malformed);
  }
  std::string upper = good;
  upper[11 + 8] = 'A';
  CHECK(fault_of(upper) == Fault::malformed);
  CHECK(fault_of(std::string(tag_bytes_most + 1, 'x')) == Fault::over_limit);
  std::string many = "dozo tag 1\n" + library_line;
  for (std::size_t i = 0; i <= tag_points_most; ++i) many += line_of({NodeId{{1}}, IncarnationId{{2}}, {i + 1}, Digest{{4}}});
  CHECK(many.size() < tag_bytes_most);
  CHECK(fault_of(many) == Fault::over_limit);
}
