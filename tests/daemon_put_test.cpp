// Saves of many files: batch after batch, of which one is read while the one before it is committed.
#include <random>

#include "tests/daemon_fixture.h"

using namespace dozo;
using test::Daemons, test::Ran, test::slurp, test::spill;
namespace fs = std::filesystem;

namespace {

constexpr int batch = 450;  ///< files of one record

struct Saves : Daemons {
  std::mt19937_64 dice{7};

  Saves() {
    make_small();
    start("head");
    publish();
  }
  std::string noise(std::size_t size) {
    std::string out(size, '\0');
    for (char& it : out) it = static_cast<char>(dice());
    return out;
  }
  static std::string number(int i) { return std::to_string(10'000 + i); }
  std::uint64_t stored() { return asked({"library", "list", "--home", "head"})[0]["pack_bytes"].get<std::uint64_t>(); }
  void same(const std::string& one, const std::string& other) const {
    std::size_t differ = 0, count = 0;
    for (const auto& it : fs::recursive_directory_iterator(at(one))) {
      if (!it.is_regular_file()) continue;
      ++count;
      differ += slurp(it.path()) != slurp(at(other) / fs::relative(it.path(), at(one)));
    }
    CHECK(count > 0);
    CHECK(differ == 0);
  }
};

}  // namespace

TEST_CASE_FIXTURE(Saves, "put: what the batches of a long save have in common is stored once, and all of it is read back") {
  fs::create_directory(at("in"));
  std::vector<std::string> texts;
  for (int i = 0; i < 2 * batch; ++i) {
    if (i < batch) texts.push_back(noise(3'000));
    spill(at("in") / number(i), texts[static_cast<std::size_t>(i % batch)]);
  }
  const auto saved = asked({"put", "in/", "works:", "--home", "head"});
  CHECK(saved["records"] == 2);
  CHECK(saved["files"] == 2 * batch);
  CHECK(stored() < std::uint64_t{batch} * 3'000 * 3 / 2);
  good({"get", "works:", "out", "--home", "head"});
  same("in", "out");
}

TEST_CASE_FIXTURE(Saves, "put: a batch that is left out altogether takes nothing away from the one that was read meanwhile") {
  // Nothing of the first batch can stand where it should; its contents are those of the second.
  spill(at("x"), "a file");
  good({"put", "x", "works:", "--home", "head"});
  fs::create_directories(at("in/x"));
  fs::create_directories(at("in/y"));
  for (int i = 0; i < batch; ++i) {
    spill(at("in/x") / number(i), noise(100));
    fs::copy(at("in/x") / number(i), at("in/y") / number(i));
  }
  const Ran ran = dozo({"put", "in/", "works:", "--home", "head"});
  CHECK(ran.status == 4);
  CHECK(ran.error.find("a file has the name of a folder on the way") != std::string::npos);
  good({"get", "works:y", "out", "--home", "head"});
  same("in/y", "out");
  CHECK(end("head") == 0);
  good({"fsck", "head"});
}
