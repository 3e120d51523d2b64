// Documents as they are and as they were, asked as people ask: ls, get, show, find, du and diff with moments, and restore.
#include <ctime>
#include <set>

#include "tests/daemon_fixture.h"

using namespace dozo;
using nlohmann::json;
using test::Daemons, test::Ran, test::slurp, test::spill;
namespace fs = std::filesystem;

namespace {

struct Past : Daemons {
  std::vector<std::string> commits;  ///< of each save in turn

  /// A plan that is written, changed, and moved; a note that goes; a picture that comes.
  Past() {
    make_small();
    start("head");
    publish();
    fs::create_directories(at("in/図面/old"));
    spill(at("in/図面/plan.txt"), "one\ntwo\nthree\n");
    spill(at("in/図面/old/note.txt"), "a note\n");
    spill(at("in/top.txt"), "top\n");
    save("first");
    spill(at("in/図面/plan.txt"), "one\n2\nthree\n");
    spill(at("in/picture.bin"), std::string("\0\1\2", 3));
    save("second");
    good({"rm", "-r", "works:図面/old", "--home", "head"});
    noted();
    good({"mv", "works:図面/plan.txt", "図面/final.txt", "--home", "head"});
    noted();
  }
  void save(const std::string& text) {
    good({"put", "in/", "works:", "-m", text, "--home", "head"});
    noted();
  }
  void noted() { commits.push_back(asked({"log", "works:", "-n", "1", "--home", "head"})[0]["commit"].get<std::string>()); }
  Ran ask(std::vector<std::string> words) {
    words.insert(words.end(), {"--home", "head"});
    return dozo(words);
  }
  std::string told(const std::vector<std::string>& words) {
    const Ran ran = ask(words);
    INFO(ran.error);
    CHECK(ran.status == 0);
    return ran.out;
  }
  void refused(const std::vector<std::string>& words, int status, const std::string& says) {
    const Ran ran = ask(words);
    INFO(ran.error);
    CHECK(ran.status == status);
    CHECK(ran.error.find(says) != std::string::npos);
    CHECK(std::ranges::count(ran.error, '\n') == 1);
  }
};

}  // namespace

TEST_CASE_FIXTURE(Past, "past: folders are listed, found, measured and written out as they were then") {
  CHECK(told({"ls", "-r", "works:", "--at", commits[0]}) == "top.txt\n図面/old/note.txt\n図面/plan.txt\n");
  CHECK(told({"ls", "-r", "works:", "--at", commits[1].substr(0, 8)}) == "picture.bin\ntop.txt\n図面/old/note.txt\n図面/plan.txt\n");
  CHECK(told({"ls", "works:図面", "--at", commits[0]}) == "図面/old/\n図面/plan.txt\n");
  CHECK(told({"ls", "works:図面/plan.txt", "--at", commits[0]}) == "図面/plan.txt\n");
  CHECK(told({"ls", "-r", "works:", "--at", "2099-12-31"}) == told({"ls", "-r", "works:"}));
  CHECK(told({"ls", "-r", "works:"}) == "picture.bin\ntop.txt\n図面/final.txt\n");

  CHECK(told({"get", "works:図面/plan.txt", "-", "--at", commits[0]}) == "one\ntwo\nthree\n");
  CHECK(told({"get", "works:図面/plan.txt", "-", "--at", commits[2]}) == "one\n2\nthree\n");
  refused({"get", "works:図面/plan.txt", "-"}, 3, "nothing is shown there");
  told({"get", "works:", "out", "--at", commits[0]});
  CHECK(slurp(at("out/図面/old/note.txt")) == "a note\n");
  CHECK(fs::last_write_time(at("out/top.txt")) == fs::last_write_time(at("in/top.txt")));
  CHECK_FALSE(fs::exists(at("out/picture.bin")));

  CHECK(told({"find", "works:", "NOTE", "--at", commits[0]}) == "図面/old/note.txt\n");
  CHECK(told({"find", "works:", "o", "--at", commits[0]}) == "top.txt\n図面/old/\n図面/old/note.txt\n");
  CHECK(told({"find", "works:", "*.txt"}) == "top.txt\n図面/final.txt\n");
  CHECK(told({"find", "works:", "図面"}) == "図面/\n");
  CHECK(told({"find", "works:", "[図表]?"}) == "図面/\n");
  refused({"find", "works:", "note"}, 3, "no name there fits");

  CHECK(told({"du", "works:", "--at", commits[0]}) == "      25 B        3  works:\n      21 B        2  図面/\n");
  CHECK(asked({"du", "works:", "-d", "2", "--at", commits[0], "--home", "head"}).size() == 3);
  CHECK(asked({"du", "works:図面", "--home", "head"})[0]["bytes"] == 12);
}

TEST_CASE_FIXTURE(Past, "past: show and diff say what changed, and show text as text") {
  CHECK(told({"diff", "works:", "--to", commits[1]}) ==
        "added    picture.bin\n    nothing -> 3 B, not shown as text\nchanged  図面/plan.txt\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n");
  CHECK(told({"diff", "works:", "--from", commits[1]}) == "moved    図面/plan.txt -> 図面/final.txt\nremoved  図面/old/note.txt\n@@ -1 +0,0 @@\n-a note\n");
  CHECK(told({"diff", "works:図面/old", "--from", commits[0], "--names"}) == "removed  図面/old/note.txt\n");
  CHECK(told({"diff", "works:", "--from", commits[3]}).empty());
  const json moved = asked({"diff", "works:", "--from", commits[2], "--home", "head"});
  REQUIRE(moved.size() == 1);
  CHECK(moved[0]["change"] == "moved");
  CHECK(moved[0]["before"]["path"] == "図面/plan.txt");

  const std::string shown = told({"show", "works:図面/final.txt"});
  CHECK(shown.find("size     12 bytes\n") != std::string::npos);
  CHECK(shown.ends_with("\n\none\n2\nthree\n"));
  CHECK(told({"show", "works:図面/plan.txt", "--at", commits[0]}).ends_with("\n\none\ntwo\nthree\n"));
  CHECK(told({"show", "works:picture.bin"}).find("not shown as text") != std::string::npos);
  CHECK(told({"show", "works:図面", "--at", commits[0]}).find("21 B in 2 files") != std::string::npos);
  CHECK(told({"show", "works:", "--at", commits[1]}).find("second") != std::string::npos);
  CHECK(asked({"show", "works:図面/plan.txt", "--at", commits[2], "--home", "head"})["save"]["commit"] == commits[1]);

  // What a text has in it moves no cursor.
  spill(at("in/top.txt"),
        "a\xe2\x80\xae"
        "b\n");
  save("hidden");
  CHECK(told({"show", "works:top.txt"}).find('\xe2') == std::string::npos);
  spill(at("in/top.txt"), "a\x1b[2J\n");
  save("worse");
  CHECK(told({"show", "works:top.txt"}).find('\x1b') == std::string::npos);
}

TEST_CASE_FIXTURE(Past, "past: restore saves once more what was there, keeps what came since, and --exact removes it") {
  CHECK(told({"restore", "works:図面", "--at", commits[0], "-m", "back"}) == "2 restored\n");
  CHECK(told({"ls", "-r", "works:"}) == "picture.bin\ntop.txt\n図面/final.txt\n図面/old/note.txt\n図面/plan.txt\n");
  CHECK(told({"get", "works:図面/plan.txt", "-"}) == "one\ntwo\nthree\n");
  CHECK(told({"restore", "works:図面", "--at", commits[0]}) == "0 restored: it is as it was then\n");
  CHECK(asked({"log", "works:", "-n", "1", "--home", "head"})[0]["text"] == "back");

  told({"restore", "works:", "--at", commits[0], "--exact", "--yes"});
  CHECK(told({"ls", "-r", "works:"}) == "top.txt\n図面/old/note.txt\n図面/plan.txt\n");
  CHECK(told({"diff", "works:", "--from", commits[0]}).empty());

  // A single document, and a file where a folder was.
  told({"restore", "works:picture.bin", "--at", commits[1]});
  CHECK(told({"get", "works:picture.bin", "-"}) == std::string("\0\1\2", 3));
  told({"rm", "-r", "works:図面"});
  spill(at("file"), "in the way\n");
  told({"put", "file", "works:図面"});
  const Ran in_the_way = ask({"restore", "works:図面", "--at", commits[0]});
  CHECK(in_the_way.status == 4);
  CHECK(in_the_way.error.find("not restored: a file has the name of a folder on the way: 図面/plan.txt\n") != std::string::npos);
  CHECK(told({"get", "works:図面", "-"}) == "in the way\n");
  told({"restore", "works:図面", "--at", commits[0], "--exact"});
  CHECK(told({"ls", "-r", "works:図面"}) == "図面/old/note.txt\n図面/plan.txt\n");
  told({"restore", "works:", "--at", commits[3], "--exact", "--yes"});
  CHECK(told({"ls", "-r", "works:"}) == "picture.bin\ntop.txt\n図面/final.txt\n");
  CHECK(end("head") == 0);
  CHECK(asked({"fsck", "head", "--key-file", "key"})["sound"] == true);
}

TEST_CASE_FIXTURE(Daemons, "past: a time is all of the second that it names, in any zone") {
  make_small();
  start("head");
  publish();
  std::vector<std::int64_t> times_ms;
  for (const char* text : {"first", "second"}) {
    if (!times_ms.empty()) std::this_thread::sleep_for(std::chrono::milliseconds(2100));
    spill(at("note"), text);
    good({"put", "note", "works:", "--home", "head"});
    times_ms.push_back(asked({"log", "works:", "-n", "1", "--home", "head"})[0]["time_ms"].get<std::int64_t>());
  }
  const auto then = [&](std::int64_t time_ms, int zone_hours, const std::string& zone) {
    const std::time_t seconds = time_ms / 1000 + zone_hours * 3600;
    std::tm parts{};
    char text[40];
    REQUIRE(::gmtime_r(&seconds, &parts) != nullptr);
    REQUIRE(std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts) > 0);
    return dozo({"get", "works:note", "-", "--at", text + zone, "--home", "head"});
  };
  for (const auto& [hours, zone] : std::vector<std::pair<int, std::string>>{{0, "Z"}, {9, "+09:00"}, {-3, "-0300"}}) {
    CHECK(then(times_ms[0], hours, zone).out == "first");
    CHECK(then(times_ms[1] - 1000, hours, zone).out == "first");
    CHECK(then(times_ms[1], hours, zone).out == "second");
    CHECK(then(times_ms[0] - 1000, hours, zone).status == 3);
  }
}

TEST_CASE_FIXTURE(Past, "past: folders, differences and restores of thousands go page by page and in several records, each thing once") {
  constexpr int count = 2100;
  fs::create_directories(at("many/many"));
  for (int i = 0; i < count; ++i) spill(at("many/many/" + std::to_string(i)), std::to_string(i));
  good({"put", "many/", "works:", "--home", "head"});
  noted();
  const auto paths = [&](const std::vector<std::string>& words) {
    std::set<std::string> out;
    std::size_t rows = 0;
    for (const json& row : asked(words)) out.insert(row["path"].get<std::string>()), ++rows;
    CHECK(out.size() == rows);
    return out;
  };
  const auto now = paths({"ls", "works:many", "--home", "head"});
  CHECK(now.size() == count);
  CHECK((paths({"ls", "works:many", "--at", commits.back(), "--home", "head"}) == now));
  CHECK((paths({"diff", "works:many", "--from", commits[3], "--home", "head"}) == now));
  good({"rm", "-r", "works:many", "--home", "head"});
  CHECK(told({"restore", "works:", "--at", commits.back()}) == "2100 restored\n");
  CHECK((paths({"ls", "works:many", "--home", "head"}) == now));
  CHECK(told({"restore", "works:", "--at", commits[3], "--exact", "--yes"}) == "0 restored, 2100 removed\n");
  CHECK(told({"diff", "works:", "--from", commits[3]}).empty());
}

TEST_CASE_FIXTURE(Past, "past: what is no moment, or before all, is one clear line and changes nothing") {
  refused({"ls", "works:", "--at", "yesterday"}, 2, "is no moment");
  refused({"ls", "works:", "--at", "2026-02-31"}, 2, "is no moment");
  refused({"ls", "works:", "--at", "2026-01-01 24:00"}, 2, "is no moment");
  refused({"ls", "works:", "--at", "2001-01-01"}, 3, "nothing had been saved by then");
  refused({"ls", "works:", "--at", "000000000000"}, 3, "no such commit");
  // Once only twelve digits or more were taken for an id, and the first eight of one may be digits alone.
  refused({"ls", "works:", "--at", "0000000"}, 3, "no such commit");
  refused({"ls", "works:", "--at", "20261127"}, 3, "no such commit");
  refused({"ls", "works:図面/final.txt", "--at", commits[0]}, 3, "nothing was shown there then");
  refused({"restore", "works:nowhere", "--at", commits[0]}, 3, "nothing was shown there then");
  refused({"restore", "works:"}, 2, "--at");
  refused({"restore", "works:", "--at", ""}, 2, "--at");
  refused({"get", "works:", "out", "--at", ""}, 2, "it is empty");
  refused({"restore", "works:", "--at", commits[0], "--exact"}, 2, "--yes");
  refused({"ls", "works:", "--at", "2026"}, 2, "is no moment");
  refused({"show", "works:nowhere"}, 3, "nothing is shown there");
  refused({"diff", "nothing:", "--from", commits[0]}, 3, "");
  CHECK(told({"ls", "-r", "works:"}) == "picture.bin\ntop.txt\n図面/final.txt\n");
}
