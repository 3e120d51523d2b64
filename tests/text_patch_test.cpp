#include "store/text_patch.h"

#include <doctest/doctest.h>

using dozo::store::text_patch;

TEST_CASE("text patch: the lines that differ, with three around them") {
  CHECK(text_patch("a\nb\nc\nd\ne\nf\n", "a\nb\nc\nD\ne\nf\n") == "@@ -1,6 +1,6 @@\n a\n b\n c\n-d\n+D\n e\n f\n");
  CHECK(text_patch("", "新\n") == "@@ -0,0 +1 @@\n+新\n");
  CHECK(text_patch("same\n", "same\n").empty());
  CHECK(text_patch("", "").empty());
}

TEST_CASE("text patch: a last line without an end, a zero byte and stray bytes are lines like others") {
  CHECK(text_patch("a", "b") == "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+b\n\\ No newline at end of file\n");
  CHECK(text_patch(std::string_view("x\0y\n", 4), "z\n") == std::string("@@ -1 +1 @@\n-x\0y\n+z\n", 20));
  CHECK(text_patch("\xff\n", "\xfe\n") == "@@ -1 +1 @@\n-\xff\n+\xfe\n");
}
