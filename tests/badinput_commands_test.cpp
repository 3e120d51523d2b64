// Mistakes at the command line: one line that names the thing, the documented exit status, and nothing is changed.
#include "tests/badinput_fixture.h"

using namespace dozo;
using nlohmann::json;
using test::one_line, test::Pair, test::Ran, test::slurp, test::spill;
namespace fs = std::filesystem;

TEST_CASE_FIXTURE(Pair, "bad input: a mistaken name or place is one line that names it, and changes nothing") {
  start("head");
  publish();
  fs::create_directories(at("folder/below"));
  spill(at("folder/below/paper"), "paper");
  spill(at("note"), "note");
  good({"put", "folder", "note", "works:", "--home", "head"});
  const std::string before = good({"ls", "-r", "works:", "--home", "head"}).out, history = good({"log", "works:", "--home", "head"}).out;
  const auto refused = [&](int status, const std::string& says, std::vector<std::string> arguments) {
    INFO(arguments[0], " ", arguments.back());
    arguments.insert(arguments.end(), {"--home", "head"});
    one_line(dozo(arguments), status, says);
  };
  refused(3, "nolibrary", {"ls", "nolibrary:"});
  refused(3, "nolibrary", {"put", "note", "nolibrary:"});
  refused(3, "no\\x0alibrary", {"log", "no\nlibrary:"});
  refused(3, "nolibrary", {"replicas", "nolibrary"});
  refused(3, "nolibrary", {"conflicts", "nolibrary"});
  refused(3, "absent", {"ls", "works:absent"});
  refused(3, "absent", {"get", "works:absent", "out"});
  refused(3, "absent", {"get", "works:absent", "-"});
  refused(3, "absent", {"mv", "works:absent", "there"});
  refused(3, "absent", {"rm", "works:absent"});
  refused(3, "absent", {"log", "works:absent"});
  refused(3, "absent", {"resolve", "works:absent"});
  refused(3, "note", {"resolve", "works:note"});
  refused(3, "absent", {"put", "absent", "works:"});
  refused(5, "folder", {"mv", "works:note", "folder"});
  refused(5, "folder/below/paper", {"mv", "works:note", "folder/below/paper"});
  refused(5, "-r", {"rm", "works:folder"});
  refused(1, "folder/inside", {"mv", "works:folder", "folder/inside"});
  refused(1, "..", {"mv", "works:note", "../note"});
  refused(1, "a//b", {"mv", "works:note", "a//b"});
  refused(2, "library", {"mv", "works:note", "office:/note"});
  refused(2, "note", {"put", "note", "note"});
  refused(2, "LIBRARY:", {"ls", "works"});
  refused(2, "there is no verb frobnicate", {"frobnicate"});
  refused(2, "there is no verb frobnicate", {"authority", "frobnicate"});
  refused(2, "LIBRARY:", {"get", "works", "out"});
  refused(2, "standard output", {"get", "works:folder", "-"});
  refused(3, "nobody", {"policy", "explain", "nobody", "read", "works"});
  refused(3, "nolibrary", {"policy", "explain", "head", "read", "nolibrary"});
  refused(3, "nolibrary", {"policy", "who-can", "read", "nolibrary"});
  refused(2, "never", {"policy", "who-can", "read", "works", "--at", "never"});

  // Onto a folder, through a file, and over what is there.
  for (const auto& [target, names] : std::vector<std::pair<std::string, std::string>>{{"works:folder", "folder"}, {"works:note/below", "note"}}) {
    const Ran ran = dozo({"put", "note", target, "--home", "head"});
    INFO(target, ": ", ran.status, " ", ran.error);
    CHECK(ran.status != 0);
    CHECK(ran.error.find(names) != std::string::npos);
  }
  spill(at("mine"), "mine");
  refused(5, "mine", {"get", "works:note", "mine"});
  CHECK(slurp(at("mine")) == "mine");
  good({"get", "works:note", "mine", "--force", "--home", "head"});
  CHECK(slurp(at("mine")) == "note");
  fs::create_symlink("mine", at("link"));
  refused(5, "link", {"get", "works:note", "link"});
  CHECK(fs::is_symlink(at("link")));
  fs::create_directory(at("taken"));
  spill(at("taken/below"), "a file where a folder should be");
  CHECK(dozo({"get", "works:folder", "taken", "--home", "head"}).status != 0);
  CHECK(slurp(at("taken/below")) == "a file where a folder should be");
  refused(4, "nofolder", {"get", "works:note", "nofolder/note"});
  for (const auto& it : fs::directory_iterator(scratch.path)) CHECK(it.path().filename().string().find(".dozo-get") == std::string::npos);

  CHECK(good({"ls", "-r", "works:", "--home", "head"}).out == before);
  CHECK(good({"log", "works:", "--home", "head"}).out == history);
  CHECK(end("head") == 0);
  for (const std::vector<std::string>& verb : std::vector<std::vector<std::string>>{{"status"}, {"ls", "works:"}, {"put", "note", "works:"}, {"peers"}})
    refused(7, "no daemon", verb);
  one_line(dozo({"status", "--home", "nowhere"}), 7, "nowhere");
}

TEST_CASE_FIXTURE(Pair, "bad input: what is written out never goes through a link that lay there") {
  start("head");
  publish();
  fs::create_directories(at("elsewhere"));
  fs::create_directories(at("tree"));
  fs::create_symlink(at("elsewhere"), at("tree/door"));
  good({"put", "tree", "works:", "--home", "head"});
  good({"get", "works:tree", "out", "--home", "head"});
  REQUIRE(fs::is_symlink(at("out/door")));
  // The link has become a folder since.
  fs::remove(at("tree/door"));
  fs::create_directories(at("tree/door/deep"));
  spill(at("tree/door/deep/paper"), "paper");
  good({"rm", "works:tree/door", "--home", "head"});
  good({"put", "tree", "works:", "--home", "head"});
  one_line(dozo({"get", "works:tree", "out", "--force", "--home", "head"}), 5, "out/door");
  CHECK(fs::is_empty(at("elsewhere")));
  // A file over a link replaces the link.
  spill(at("elsewhere/target"), "target");
  fs::create_symlink(at("elsewhere/target"), at("paper"));
  good({"get", "works:tree/door/deep/paper", "paper", "--force", "--home", "head"});
  CHECK(slurp(at("paper")) == "paper");
  CHECK(slurp(at("elsewhere/target")) == "target");
}
