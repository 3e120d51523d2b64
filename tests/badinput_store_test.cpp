// Stores that are not this node's, or not what they were: one line at the start, and the documents are there once the right file is back.
#include "tests/badinput_fixture.h"

using namespace dozo;
using test::Daemons, test::lines_of, test::Pair, test::Ran, test::slurp, test::spill;
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

// tests/stores/format-1.tar.gz: a home as Dozo made it before format 2 (commit 44e2745): two documents, one of them changed, then the other removed.
TEST_CASE_FIXTURE(Daemons, "bad input: a store of an older format is migrated at the start, serves all that it held, and goes back") {
  REQUIRE(run("/bin/tar", {"-xpzf", DOZO_SOURCE_DIR "/tests/stores/format-1.tar.gz", "--no-same-owner"}).status == 0);
  std::string settings = slurp(at("head/node.toml"));
  settings.replace(settings.find("127.0.0.1:21000"), 15, "127.0.0.1:" + std::to_string(test::free_ports()));
  spill(at("head/node.toml"), settings);
  const auto format = [&](const std::vector<std::string>& options) {
    std::vector<std::string> words{"node", "migrate", "--home", "head", "--key-file", "key", "--json"};
    words.insert(words.end(), options.begin(), options.end());
    const auto told = nlohmann::json::parse(good(words).out);
    return std::pair(told["format_before"].get<int>(), told["format"].get<int>());
  };
  const auto serves = [&](std::size_t saves) {
    CHECK(good({"get", "works:図面/plan.txt", "-", "--home", "head"}).out == "two\n");
    CHECK(good({"ls", "-r", "works:", "--home", "head"}).out.ends_with("図面/plan.txt\n"));
    CHECK(asked({"log", "works:", "--home", "head"}).size() == saves);
  };
  // Who only looks changes nothing.
  CHECK(dozod({"head", "--check", "--key-file", "key"}).status == 0);
  CHECK(good({"fsck", "head", "--key-file", "key"}).out.find("of format 1") != std::string::npos);
  CHECK(format({"--format", "1"}) == std::pair(1, 1));
  start("head", {"--key-file", "key"});
  CHECK(log("head").find("the store was of format 1 and is of format 2 now") != std::string::npos);
  serves(3);
  spill(at("new"), "new\n");
  good({"put", "new", "works:", "--home", "head"});
  CHECK(dozo({"node", "migrate", "--home", "head", "--key-file", "key"}).status == 7);  // it runs
  CHECK(end("head") == 0);
  // One that is damaged is not migrated: its root would say that what is left is all. It serves as before, and fsck makes it whole.
  CHECK(format({"--format", "1"}) == std::pair(2, 1));
  const std::string whole = slurp(at("head/truth/data.mdb"));
  std::string bad = whole;
  const std::size_t row = bad.find(
      "\x8d"
      "DozoRowt");  // a receipt of its own
  REQUIRE(row != std::string::npos);
  bad[row + 40] = static_cast<char>(bad[row + 40] ^ 1);
  spill(at("head/truth/data.mdb"), bad);
  start("head", {"--key-file", "key"});
  CHECK(log("head").find("the store stays of format 1") != std::string::npos);
  serves(4);
  CHECK(end("head") == 0);
  CHECK(dozo({"fsck", "head", "--key-file", "key"}).status == 6);
  CHECK(dozo({"fsck", "head", "--key-file", "key", "--rebuild"}).status == 0);
  CHECK(format({}) == std::pair(2, 2));
  spill(at("head/truth/data.mdb"), whole);
  CHECK(format({}) == std::pair(1, 2));
  // The way back, with what was saved since.
  CHECK(format({"--format", "1"}) == std::pair(2, 1));
  CHECK(good({"fsck", "head", "--key-file", "key"}).out.find("of format 1") != std::string::npos);
  start("head", {"--key-file", "key"});
  serves(4);
  CHECK(end("head") == 0);
  CHECK(format({}) == std::pair(2, 2));
  CHECK(good({"fsck", "head", "--key-file", "key"}).out.find("of format") == std::string::npos);
  for (const char* none : {"0", "3", "999"}) CHECK(dozo({"node", "migrate", "--home", "head", "--key-file", "key", "--format", none}).status == 4);
  CHECK(format({}) == std::pair(2, 2));
}
