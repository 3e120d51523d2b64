// A home that was moved, and files with more holes than bytes.
#include "tests/badinput_fixture.h"

using namespace dozo;
using test::Pair, test::spill;
namespace fs = std::filesystem;

TEST_CASE_FIXTURE(Pair, "bad input: a home that was moved, to another disk or machine, works on") {
  run_both();
  spill(at("before"), "saved before");
  good({"put", "before", "works:", "--held", "1", "--timeout", "15", "--home", "sapporo"});
  CHECK(end("sapporo") == 0);
  fs::create_directory(at("elsewhere"));
  fs::copy(at("sapporo"), at("elsewhere/札幌 home"), fs::copy_options::recursive);  // as to another disk: files have other numbers
  fs::remove_all(at("sapporo"));
  fs::permissions(at("elsewhere/札幌 home"), fs::perms::owner_all);
  fs::permissions(at("elsewhere/札幌 home/keys"), fs::perms::owner_all);
  start("elsewhere/札幌 home");
  CHECK(get("elsewhere/札幌 home", "before") == "saved before");
  spill(at("after"), "saved after");
  good({"put", "after", "works:", "--held", "1", "--timeout", "15", "--home", "elsewhere/札幌 home"});
  CHECK(get("head", "after") == "saved after");
}

TEST_CASE_FIXTURE(Pair, "bad input: a file with more holes than bytes takes little room, and comes back as it reads") {
  run_both();
  constexpr std::uintmax_t size = 64U << 20;
  const fs::path image = at("disk.img");
  spill(image, "first");
  fs::resize_file(image, size);
  {
    std::fstream file(image, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(size / 2));
    file << "in the middle";
  }
  const auto stored = [&] {
    struct stat it{};
    REQUIRE(::stat(at("head/truth/data.mdb").c_str(), &it) == 0);
    return static_cast<std::uintmax_t>(it.st_blocks) * 512;
  };
  const std::uintmax_t before = stored();
  good({"put", "disk.img", "works:", "--held", "1", "--timeout", "60", "--home", "head"});
  CHECK(stored() - before < 4U << 20);
  good({"get", "works:disk.img", "back.img", "--home", "sapporo"});
  REQUIRE(fs::file_size(at("back.img")) == size);
  const test::Ran same = run("/usr/bin/cmp", {"disk.img", "back.img"});
  CHECK(same.status == 0);
}
