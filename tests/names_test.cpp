// Names: when two meet, how they are cut and cleaned, what a conflict name looks like. The hashes over many answers were made by another
// implementation of Unicode 14.0.0 (Python 3.11's unicodedata).
#include <doctest/doctest.h>

#include <array>
#include <set>

#include "crypto/hash.h"
#include "store/names.h"
#include "store/unicode_tables.h"

using namespace dozo;
using namespace dozo::store;

namespace {

std::string utf8(char32_t c) {
  const auto byte = [](char32_t value) { return static_cast<char>(static_cast<std::uint8_t>(value)); };
  if (c < 0x80) return {byte(c)};
  if (c < 0x800) return {byte(0xc0 | c >> 6), byte(0x80 | (c & 0x3f))};
  if (c < 0x10000) return {byte(0xe0 | c >> 12), byte(0x80 | (c >> 6 & 0x3f)), byte(0x80 | (c & 0x3f))};
  return {byte(0xf0 | c >> 18), byte(0x80 | (c >> 12 & 0x3f)), byte(0x80 | (c >> 6 & 0x3f)), byte(0x80 | (c & 0x3f))};
}

/// SHA-256 over answers, each followed by a line feed.
class Answers {
 public:
  void add(std::string_view text) { hash_.update(view_of(text)), hash_.update(view_of("\n")); }
  std::string hex() { return hash_.finish().hex(); }

 private:
  crypto::Sha256 hash_;
};

/// A linear congruential generator, Knuth's numbers: its upper half.
struct Picks {
  std::uint64_t x;
  std::size_t below(std::size_t bound) {
    x = x * 6364136223846793005U + 1442695040888963407U;
    return static_cast<std::size_t>((x >> 33) % bound);
  }
};

constexpr std::string_view tag = "0123456789abcdefghjkmnpqrs";

}  // namespace

TEST_CASE("names: every character of Unicode folds, composes and is cleaned as another implementation says") {
  Answers folds, composed, cleaned;
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c == 0xd800) c = 0xe000;
    const std::string text = utf8(c);
    folds.add(fold(text));
    composed.add(nfc(text));
    cleaned.add(clean("x" + text));
  }
  CHECK(folds.hex() == "c6ff7316e4065ec2c0e84dd01cadb84dfdc01f8a456300e75ae77972b7c045d8");
  CHECK(composed.hex() == "9cc65524a9d8082bf10840c616cd199bd2ac12ee49a3381bd6fb7957711f342b");
  CHECK(cleaned.hex() == "0fc2b3358eb19fda84e84c869297cc0d83369a053c1288b39cf1f259c0ba5191");
}

TEST_CASE("names: every pair that the tables make one is made one, in the midst of characters that nothing happens to") {
  for (const auto& it : unicode::compositions()) {
    const std::string apart = utf8(it.first) + utf8(it.second);
    INFO(apart);
    CHECK(nfc(apart) == utf8(it.to));
    CHECK(nfc("図か" + apart + "aＡ") == "図か" + utf8(it.to) + "aＡ");
  }
}

TEST_CASE("names: texts of characters that combine fold and compose as another implementation says") {
  constexpr std::array<char32_t, 59> chars{0x41,    0x61,    0x65,   0x6f,   0x73,   0xdf,   0x130,  0x149,  0x1e9e, 0x3a9,  0x3b1,   0x345,
                                           0x301,   0x300,   0x308,  0x307,  0x323,  0x328,  0x327,  0x30a,  0x338,  0x1f80, 0x1fb3,  0x304b,
                                           0x304c,  0x3099,  0x309a, 0x30cf, 0x1100, 0x1161, 0x11a8, 0xac00, 0xac01, 0x1112, 0x1175,  0x11c2,
                                           0xd7a3,  0xfa19,  0x212b, 0x2126, 0x958,  0x93c,  0x915,  0xfb2c, 0x5d1,  0x5bc,  0x110ba, 0x11099,
                                           0x1d15e, 0x1d165, 0x9c7,  0x9be,  0x9d7,  0x1026, 0x1025, 0x102e, 0x34f,  0x200d, 0x2f};
  Answers folds, composed;
  Picks picks{1};
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    for (int n = 0; n < 8; ++n) text += utf8(chars[picks.below(chars.size())]);
    composed.add(nfc(text));
    folds.add(fold(text));
  }
  CHECK(composed.hex() == "83de29c2f89ab71d86b45ef0b5e851eb258b7789a9425309b08c25618c54de44");
  CHECK(folds.hex() == "b1bdf369e7000ae088e19f37f16e633ce5e1966a1bd64ee1d7f4cca0cd2f8aa0");
}

TEST_CASE("names: bytes that are no UTF-8 stand for themselves, and a cut never splits a character") {
  constexpr std::string_view alphabet = "\x61\x41\x2e\xe3\x81\x8b\x82\x99\xff\xc3\x9f\xed\xa0\x80\xf0\x90\xf4\x8f\xbf\xc0\xe0\xcc\x81";
  Answers folds, cuts;
  Picks picks{2};
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    for (int n = 0; n < 9; ++n) text += alphabet[picks.below(alphabet.size())];
    folds.add(fold(text));
    cuts.add(cut(text, 5));
  }
  CHECK(folds.hex() == "af6ac0862d589ee247e38a4df2c04e5f31a979c08256f460ddea67fa86d350b1");
  CHECK(cuts.hex() == "81ea82d4fc7f5b73b5735e3554977a3f5786cbedbc5262ebfe8585e4049d30ee");
  CHECK(fold("\xff") != fold("\xfe"));
  CHECK(cut("神神", 5) == "神");
  CHECK(cut("神", 2).empty());
  CHECK(cut("\xe7\xa5", 1) == "\xe7");
  CHECK(cut("abc", 0).empty());
}

TEST_CASE("names: those meet that a person or another file system takes for one") {
  const auto meet = [](std::string_view a, std::string_view b) { return name_key(NameRule::portable, a) == name_key(NameRule::portable, b); };
  CHECK(meet("A.TXT", "a.txt"));
  CHECK(meet("が", "か\u3099"));
  CHECK(meet("\ufa19", "神"));
  CHECK(meet("Straße", "STRASSE"));
  CHECK(meet("Ａ", "ａ"));
  CHECK(!meet("①", "1"));
  CHECK(!meet("Ａ", "A"));
  CHECK(!meet("は", "ば"));
  CHECK(name_key(NameRule::bytes, "A") == "A");
  CHECK(name_key(NameRule::portable, "A/B") == "a/b");
}

TEST_CASE("names: what a path may be") {
  const auto of = [](std::size_t count) { return std::string(count, 'a'); };
  for (const std::string& good :
       {of(1), of(255), std::string(".git"), std::string("..."), std::string(" "), std::string("a/b\nc/\xff"), std::string("CON"), std::string("a\\b")}) {
    CAPTURE(good);
    CHECK(good_path(good));
  }
  using namespace std::string_literals;
  for (const std::string& bad : {""s, "/a"s, "a/"s, "a//b"s, "."s, ".."s, "a/../b"s, "a/."s, "a\0b"s, of(256), "a/" + of(256), "神" + of(253)}) {
    CAPTURE(bad);
    CHECK(!good_path(bad));
  }
  std::string longest = of(255);
  while (longest.size() + 256 <= path_bytes_most) longest += '/' + of(255);
  CHECK(longest.size() == 4095);
  CHECK(good_path(longest));
  longest.replace(200, 1, "/");
  CHECK(good_path(longest));
  CHECK(!good_path(longest + "/b"));
  std::string deepest = "a";
  for (std::size_t i = 1; i < 64; ++i) deepest += "/a";
  CHECK(good_path(deepest));
  CHECK(!good_path(deepest + "/a"));
}

TEST_CASE("names: who did it stands in a name without what would break it") {
  CHECK(clean("大阪 佐藤") == "大阪 佐藤");
  CHECK(clean("a/b\u202e\n") == "a_b__");
  CHECK(clean("x\xff\ue000\x7f") == "x___");
  CHECK(clean(std::string(200, 'a')).size() == who_shown_bytes_most);
  const std::string cut_off = clean("a" + std::string("長長長長長長長長長長長長長長長長長長長長長長長長長長長長長長長長長長長長長長長長"));
  CHECK(cut_off.size() == 94);
  CHECK(clean(cut_off) == cut_off);
}

TEST_CASE("names: times are Japan's, at the edges of days and of what an hour can be") {
  const auto at = [](std::uint64_t seconds) { return time_text(seconds * 1000 << 16); };
  CHECK(at(1'795'410'300) == " 2026-11-23 14.05");
  CHECK(at(0) == " 1970-01-01 09.00");
  CHECK(at(1'767'193'199) == " 2025-12-31 23.59");
  CHECK(at(1'767'193'200) == " 2026-01-01 00.00");
  CHECK(time_text(~std::uint64_t{0}).size() == 18);  // year 10889: still within what a sibling's text may be
}

TEST_CASE("names: a conflict name keeps the extension, cuts the stem at a character, and has room for all") {
  const std::string text = "大 佐 2026-11-23 14.05", tail = " (conflict, 大 佐 2026-11-23 14.05 012345)";
  const auto name = [&](std::string_view of, std::uint64_t attempt = 0) { return conflict_name(of, text, tag, attempt); };
  CHECK(name("図.pdf") == "図" + tail + ".pdf");
  CHECK(name("図.tar.gz") == "図" + tail + ".tar.gz");
  CHECK(name("図.TAR.gz") == "図" + tail + ".TAR.gz");
  CHECK(name(".tar.gz") == ".tar" + tail + ".gz");  // a stem must stay
  CHECK(name(".x") == ".x" + tail);
  CHECK(name("x.") == "x." + tail);
  CHECK(name("a.b c") == "a" + tail + ".b c");
  CHECK(name("a." + std::string(15, 'x')) == "a" + tail + "." + std::string(15, 'x'));
  CHECK(name("a." + std::string(16, 'x')) == "a." + std::string(16, 'x') + tail);
  std::string long_one;
  while (long_one.size() < 255) long_one += "字";
  CHECK(name(long_one) == long_one.substr(0, 210) + tail);
  CHECK(name("a", 1) == "a (conflict, 大 佐 2026-11-23 14.05 " + std::string(tag) + ")");
  CHECK(name("a", 2) == "a (conflict, 大 佐 2026-11-23 14.05 " + std::string(tag) + "-2)");
  CHECK(conflict_name("a.b", "", tag, 0) == "a (conflict, 012345).b");
  // The longest text, extension and number leave a name that fits.
  const std::string most(who_shown_bytes_most, 'w');
  for (std::uint64_t attempt : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{2}, ~std::uint64_t{0}}) {
    const std::string it = conflict_name(std::string(230, 's') + ".tar." + std::string(15, 'x'), most, tag, attempt);
    CHECK(it.size() <= name_bytes_most);
    CHECK(it.ends_with(".tar." + std::string(15, 'x')));
    CHECK(it.starts_with("ss"));
  }
  CHECK(conflict_name("\xff\xfe.bin", text, tag, 0) == "\xff\xfe" + tail + ".bin");
}
