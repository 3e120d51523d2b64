// Stores that are not this node's, or not what they were: one line at the start, and the documents are there once the right file is back.
#include "tests/badinput_fixture.h"

using namespace dozo;
using test::lines_of, test::Pair, test::Ran, test::slurp, test::spill;
namespace fs = std::filesystem;

TEST_CASE_FIXTURE(Pair, "bad input: a store's file that was cut, emptied or replaced is refused in one line, and its right one serves again") {
  start("head");
  publish();
  spill(at("plan"), std::string(300'000, 'p'));
  good({"put", "plan", "works:", "--home", "head"});
  CHECK(end("head") == 0);
  const std::string truth = slurp(at("head/truth/data.mdb")), derived = slurp(at("head/derived/data.mdb"));
  REQUIRE(truth.size() > 16'384);
  const std::vector<std::pair<const char*, std::string>> bad{
      {"cut in half", truth.substr(0, truth.size() / 2)},
      {"cut in a page", truth.substr(0, truth.size() / 2 + 1'000)},
      {"its first page", truth.substr(0, 4'096)},
      {"its two first pages", truth.substr(0, 8'192)},
      {"empty", ""},
      {"one byte", "x"},
      {"text", std::string(20'000, 't')},
      {"zeros", std::string(truth.size(), '\0')},
  };
  for (const auto& [what, bytes] : bad) {
    INFO(std::string(what));
    spill(at("head/truth/data.mdb"), bytes);
    const Ran ran = dozod({"head", "--check"});
    INFO(ran.error);
    CHECK((ran.status == 4 || ran.status == 6));
    const std::size_t last = ran.error.rfind("dozod: ");
    REQUIRE(last != std::string::npos);
    CHECK(lines_of(ran.error.substr(last)) == 1);
    CHECK(ran.error.find("head/truth", last) != std::string::npos);
    CHECK(slurp(at("head/truth/data.mdb")) == bytes);  // what may still be saved out of it stays as it was
    fs::remove(at("head/truth/lock.mdb"));
  }
  spill(at("head/truth/data.mdb"), truth);
  for (const auto& [what, bytes] : bad) {
    INFO("derived: ", std::string(what));
    spill(at("head/derived/data.mdb"), bytes == truth.substr(0, bytes.size()) ? derived.substr(0, std::min(bytes.size(), derived.size() / 2)) : bytes);
    if (bytes.empty()) spill(at("head/running"), "");  // the daemon died of what left it so
    start("head");
    CHECK(get("head", "plan") == std::string(300'000, 'p'));
    CHECK(end("head") == 0);
  }
}

TEST_CASE_FIXTURE(Pair, "bad input: a first start that was cut off, on a full disk say, is begun again") {
  start("head");
  CHECK(end("head") == 0);
  const std::string begun = slurp(at("head/truth/data.mdb"));
  for (const std::size_t size : {0U, 1'000U, 4'096U}) {
    INFO(size);
    for (const char* file : {"head/truth/data.mdb", "head/truth/lock.mdb", "head/derived/data.mdb", "head/derived/lock.mdb"}) fs::remove(at(file));
    spill(at("head/truth/data.mdb"), begun.substr(0, size));
    spill(at("head/running"), "");
    start("head");
    CHECK(end("head") == 0);
  }
}

TEST_CASE_FIXTURE(Pair, "bad input: another node's derived store loses nothing of what is saved with it") {
  run_both();
  spill(at("shared"), "held by both");
  good({"put", "shared", "works:", "--held", "1", "--timeout", "15", "--home", "head"});
  CHECK(end("head") == 0);
  // Known at sapporo alone: its index says that these pieces are there already.
  const std::string alone(500'000, 'q');
  spill(at("alone"), alone);
  good({"put", "alone", "works:", "--home", "sapporo"});
  CHECK(end("sapporo") == 0);
  fs::remove_all(at("head/derived"));
  fs::copy(at("sapporo/derived"), at("head/derived"));
  start("head");
  CHECK(get("head", "shared") == "held by both");
  fs::copy(at("alone"), at("again"));
  good({"put", "again", "works:", "--home", "head"});
  CHECK(get("head", "again") == alone);
  CHECK(end("head") == 0);
}
