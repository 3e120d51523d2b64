// Tags: names for what a library showed, at every node alike, whatever comes late.
#include "tests/daemon_fixture.h"

using namespace dozo;
using nlohmann::json;
using test::comes_true, test::Daemons, test::Ran, test::slurp, test::spill;
namespace fs = std::filesystem;

namespace {

/// Two nodes with keys; the second is away at times.
struct Tagged : Daemons {
  Tagged() {
    make_realm();
    make_node("head", "hq");
    admit("head");
    make_node("sapporo", "bureau");
    admit("sapporo");
    add_source(R"([[library]]
name = "works"
title = "工事"
home = "head"
copies = 2
members.head = { holding = "full", write = true }
members.sapporo = { holding = "full", write = true }
[[permit]]
id = "service"
roles = ["service"]
actions = ["read", "write"]
)");
    start("head");
    start("sapporo");
    publish();
    for (const char* name : {"head", "sapporo"}) good({"node", "join", "--timeout", "10", "--home", name});
  }
  void save(const std::string& name, const std::string& path, const std::string& text) {
    spill(at("source"), text);
    good({"put", "source", "works:" + path, "-m", path, "--home", name});
  }
  std::string told(std::vector<std::string> words, const std::string& name = "head") {
    words.insert(words.end(), {"--home", name});
    const Ran ran = dozo(words);
    INFO(words[0], " ", words[1], ": ", ran.error);
    CHECK(ran.status == 0);
    return ran.out;
  }
  void refused(std::vector<std::string> words, int status, const std::string& says) {
    words.insert(words.end(), {"--home", "head"});
    const Ran ran = dozo(words);
    INFO(ran.error);
    CHECK(ran.status == status);
    CHECK(ran.error.find(says) != std::string::npos);
    CHECK(std::ranges::count(ran.error, '\n') == 1);
  }
  bool shows(const std::string& name, const std::string& path) { return dozo({"ls", "works:" + path, "--home", name}).status == 0; }
};

}  // namespace

TEST_CASE_FIXTURE(Tagged, "tag: a name for what is shown, taken wherever a moment is, refused where it would be another") {
  refused({"tag", "works", "empty"}, 3, "nothing has been saved yet");
  CHECK(told({"tag", "works"}).empty());
  save("head", "図面/plan.txt", "one\n");
  told({"tag", "works", "提出 第1回", "-m", "handed in"});
  save("head", "図面/plan.txt", "two\n");
  save("head", "more.txt", "more\n");
  CHECK(told({"get", "works:図面/plan.txt", "-", "--at", "提出 第1回"}) == "one\n");
  CHECK(told({"ls", "-r", "works:", "--at", "提出 第1回"}) == "図面/plan.txt\n");
  CHECK(told({"diff", "works:", "--from", "提出 第1回", "--names"}) == "added    .dozo/tags/提出 第1回\nadded    more.txt\nchanged  図面/plan.txt\n");
  CHECK(told({"show", "works:図面/plan.txt", "--at", "提出 第1回"}).ends_with("\none\n"));
  CHECK(told({"export", "works", "out", "--at", "提出 第1回"}).find('1') != std::string::npos);
  CHECK(slurp(at("out/図面/plan.txt")) == "one\n");
  CHECK(told({"restore", "works:図面", "--at", "提出 第1回"}) == "1 restored\n");
  CHECK(told({"get", "works:図面/plan.txt", "-"}) == "one\n");
  const json tags = asked({"tag", "works", "--home", "head"});
  REQUIRE(tags.size() == 1);
  CHECK(tags[0]["name"] == "提出 第1回");
  CHECK(told({"tag", "works"}).ends_with("  提出 第1回\n"));

  refused({"tag", "works", "提出 第1回"}, 5, "there is a tag of that name");
  told({"tag", "works", "Abgabe"});
  refused({"tag", "works", "ABGABE"}, 5, ".dozo/tags/Abgabe");
  told({"rm", "works:.dozo/tags/Abgabe"});
  refused({"tag", "works", "2026-11-28"}, 2, "would be read as a time or a commit");
  refused({"tag", "works", "deadbeef"}, 2, "would be read as a time or a commit");
  refused({"tag", "works", "a/b"}, 2, "without a slash");
  refused({"tag", "works:図面", "x"}, 2, "not for a part of it");
  refused({"tag", "nothing", "x"}, 3, "");
  refused({"ls", "works:", "--at", "提出"}, 2, "is no moment");
  // What lies there and is none, or another library's, is said to be so.
  save("head", ".dozo/tags/no-tag", "dozo tag 1\nlibrary 00\n");
  refused({"ls", "works:", "--at", "no-tag"}, 1, ".dozo/tags/no-tag is no tag");
  save("head", ".dozo/tags/foreign",
       "dozo tag 1\nlibrary 00000000000000000000000000000000\n" + std::string(32, '0') + " " + std::string(32, '0') + " 1 " + std::string(64, '0') + "\n");
  refused({"ls", "works:", "--at", "foreign"}, 3, "of another library");
  const std::string real = told({"get", "works:.dozo/tags/提出 第1回", "-"});
  std::string other_line = real, later = real, newer = real;
  other_line[real.size() - 2] = real[real.size() - 2] == '0' ? '1' : '0';
  later.insert(real.rfind(' '), "000");
  newer[9] = '2';
  save("head", ".dozo/tags/other-line", other_line);
  refused({"ls", "works:", "--at", "other-line"}, 3, "are not those which are here");
  save("head", ".dozo/tags/later", later);
  refused({"ls", "works:", "--at", "later"}, 7, "not all that the tag names is here yet");
  save("head", ".dozo/tags/newer", newer);
  refused({"ls", "works:", "--at", "newer"}, 4, "another format");
  // It is a document like others: gone, it can be given anew.
  told({"rm", "works:.dozo/tags/提出 第1回"});
  refused({"ls", "works:", "--at", "提出 第1回"}, 2, "is no moment");
  told({"tag", "works", "提出 第1回"});
}

TEST_CASE_FIXTURE(Tagged, "tag: what comes late is in the history where its time is, and in no tag that was given before, at every node") {
  save("head", "a.txt", "a\n");
  REQUIRE(comes_true([&] { return shows("sapporo", "a.txt"); }));
  CHECK(end("head") == 0);
  save("sapporo", "late.txt", "late\n");
  CHECK(end("sapporo") == 0);
  start("head");
  save("head", "b.txt", "b\n");
  told({"tag", "works", "before"});
  save("head", "b.txt", "b, changed\n");
  start("sapporo");
  REQUIRE(comes_true([&] { return shows("head", "late.txt") && shows("sapporo", "b.txt"); }, 30'000));

  for (const std::string name : {"head", "sapporo"}) {
    CAPTURE(name);
    // The history has it in its place: none of its commits shows what the tag names.
    const json saves = asked({"log", "works:b.txt", "--home", name});
    REQUIRE(saves.size() == 2);
    const std::string first = saves[1]["commit"], last = saves[0]["commit"];
    CHECK(told({"ls", "-r", "works:", "--at", first}, name) == "a.txt\nb.txt\nlate.txt\n");
    CHECK(told({"ls", "-r", "works:", "--at", "before"}, name) == "a.txt\nb.txt\n");
    CHECK(told({"get", "works:b.txt", "-", "--at", "before"}, name) == "b\n");
    CHECK(dozo({"get", "works:late.txt", "-", "--at", "before", "--home", name}).status == 3);
    const json shown = asked({"show", "works:b.txt", "--at", "before", "--home", name});
    CHECK(shown["save"]["text"] == "b.txt");
    CHECK(shown["save"]["commit"] != first);
    CHECK(told({"diff", "works:", "--from", "before", "--names"}, name) == "added    .dozo/tags/before\nchanged  b.txt\nadded    late.txt\n");
    CHECK(told({"diff", "works:", "--from", first, "--to", "before", "--names"}, name) == "removed  late.txt\n");
    CHECK(told({"diff", "works:", "--from", "before", "--to", last}, name).find("+b, changed") != std::string::npos);
  }
  // What comes later still changes nothing of it, nor does a new start, nor an index that is made anew; and two such tags can be compared.
  save("sapporo", "c.txt", "c\n");
  REQUIRE(comes_true([&] { return shows("head", "c.txt"); }));
  told({"tag", "works", "after"});
  CHECK(told({"diff", "works:", "--from", "before", "--to", "after", "--names"}) ==
        "added    .dozo/tags/before\nchanged  b.txt\nadded    c.txt\nadded    late.txt\n");
  CHECK(told({"restore", "works:", "--at", "before", "--exact", "--yes"}) == "1 restored, 2 removed\n");
  CHECK(told({"ls", "-r", "works:"}) == ".dozo/tags/after\n.dozo/tags/before\na.txt\nb.txt\n");  // no tag goes with what came since
  CHECK(end("head") == 0);
  good({"fsck", "head"});
  fs::remove_all(at("head/derived"));
  start("head");
  CHECK(told({"ls", "-r", "works:", "--at", "before"}) == "a.txt\nb.txt\n");
}
