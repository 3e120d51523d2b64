// Files and folders that change while they are read for a save.
#include <atomic>
#include <regex>

#include "tests/badinput_fixture.h"

using namespace dozo;
using nlohmann::json;
using test::lines_of, test::Pair, test::Ran, test::slurp, test::spill;
namespace fs = std::filesystem;

namespace {

/// Does something again and again beside the test.
class Meddler {
 public:
  explicit Meddler(std::function<void(unsigned)> what)
      : thread_([this, what = std::move(what)] {
          for (unsigned turn = 0; !stop_; ++turn) what(turn);
        }) {}
  ~Meddler() {
    stop_ = true;
    thread_.join();
  }
  Meddler(const Meddler&) = delete;
  Meddler& operator=(const Meddler&) = delete;

 private:
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

/// One 'a' or one 'b' all through, of one length.
std::string whole(char c) { return std::string(1'000'000, c); }

}  // namespace

TEST_CASE_FIXTURE(Pair, "bad input: a file that changes while it is read is saved as it was at one time, or left out by name") {
  start("head");
  publish();
  fs::create_directory(at("desk"));
  for (int i = 0; i < 20; ++i) spill(at("desk/still" + std::to_string(i)), "still " + std::to_string(i));
  spill(at("desk/grows"), "begin\n");
  spill(at("desk/turns"), whole('a'));

  std::size_t left_out = 0, saved = 0;
  {
    const Meddler meddler([&](unsigned turn) {
      std::ofstream(at("desk/grows"), std::ios::binary | std::ios::app) << "one more line\n";
      // In place: what a reader would see half of.
      std::fstream(at("desk/turns"), std::ios::binary | std::ios::in | std::ios::out) << whole(turn % 2 == 0 ? 'b' : 'a');
      std::this_thread::sleep_for(std::chrono::microseconds(turn * 61 % 3'000));  // now and then at rest for long enough
    });
    for (int round = 0; round < 8; ++round) {
      const Ran ran = dozo({"put", "desk", "works:", "--home", "head"});
      INFO(ran.error);
      REQUIRE((ran.status == 0 || ran.status == 4));
      left_out += ran.status == 4;
      if (ran.status == 4) {
        CHECK(lines_of(ran.error) <= 3);
        CHECK(std::regex_search(ran.error, std::regex("it changes all the time; not saved: .*desk/(grows|turns)\n")));
      }
      const Ran turns = dozo({"get", "works:desk/turns", "-", "--home", "head"});
      if (turns.status == 0) {
        ++saved;
        CHECK((turns.out == whole('a') || turns.out == whole('b')));
      }
      const Ran grows = dozo({"get", "works:desk/grows", "-", "--home", "head"});
      if (grows.status == 0) {
        CHECK(grows.out.starts_with("begin\n"));
        CHECK(grows.out.ends_with("\n"));
      }
    }
  }
  MESSAGE("of 8 saves of a changing folder ", left_out, " left something out; read back whole ", saved, " times");
  for (int i = 0; i < 20; ++i) CHECK(get("head", "desk/still" + std::to_string(i)) == "still " + std::to_string(i));
  good({"put", "desk", "works:", "--home", "head"});
  CHECK(get("head", "desk/turns") == slurp(at("desk/turns")));
  CHECK(get("head", "desk/grows") == slurp(at("desk/grows")));
}

TEST_CASE_FIXTURE(Pair, "bad input: a file or folder that becomes a link or goes away under a save is not followed, and named") {
  start("head");
  publish();
  fs::create_directories(at("outside"));
  spill(at("outside/paper"), "OUTSIDE");
  spill(at("secret"), "OUTSIDE");
  fs::create_directories(at("desk/folder"));
  for (int i = 0; i < 300; ++i) spill(at("desk/" + std::to_string(i)), "still");
  spill(at("desk/folder/paper"), "inside");
  spill(at("desk/paper"), "inside");
  spill(at("desk/comes"), "and goes");
  {
    // Each swap is atomic for who looks: a folder or the link, a file or the link.
    fs::create_directory_symlink(at("outside"), at("door"));
    fs::create_symlink(at("secret"), at("window"));
    const Meddler meddler([&](unsigned turn) {
      ::renameat2(AT_FDCWD, at("desk/folder").c_str(), AT_FDCWD, at("door").c_str(), RENAME_EXCHANGE);
      ::renameat2(AT_FDCWD, at("desk/paper").c_str(), AT_FDCWD, at("window").c_str(), RENAME_EXCHANGE);
      if (turn % 2 == 0) {
        fs::rename(at("desk/comes"), at("gone"));
      } else {
        fs::rename(at("gone"), at("desk/comes"));
      }
      std::this_thread::sleep_for(std::chrono::microseconds(turn * 37 % 900));
    });
    for (int round = 0; round < 15; ++round) {
      const Ran ran = dozo({"put", "desk", "works:", "--home", "head"});
      INFO(ran.error);
      REQUIRE((ran.status == 0 || ran.status == 4));
      CHECK(lines_of(ran.error) <= 5);
      for (const char* path : {"desk/folder/paper", "desk/paper"}) CHECK(dozo({"get", "works:" + std::string(path), "-", "--home", "head"}).out != "OUTSIDE");
      for (const char* path : {"desk/folder", "desk/paper", "desk/comes"}) dozo({"rm", "-r", "works:" + std::string(path), "--home", "head"});
    }
  }
  CHECK(get("head", "desk/299") == "still");
  CHECK(dozo({"status", "--home", "head"}).status == 0);
}
