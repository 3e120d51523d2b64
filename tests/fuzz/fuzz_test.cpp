// The fuzz targets in the ordinary tests: every file of the corpus, and each with a changed byte, a cut end or a byte more. No body may abort.
//
// A corpus file `valid-...` must be accepted: a format that changes needs its corpus written anew:
//
//     DOZO_WRITE_CORPUS=1 build/dev/tests/fuzz/fuzz_replay_test -tc='fuzz: the corpus is written'
//
// Other files are what fuzzers found: whatever is said about them, they must not abort.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "crypto/seeded_random.h"
#include "crypto/start.h"
#include "tests/fuzz/seeds.h"
#include "tests/fuzz/targets.h"

using namespace dozo;
namespace fs = std::filesystem;

namespace {

const fs::path corpus = fs::path(DOZO_SOURCE_DIR) / "tests" / "fuzz" / "corpus";
constexpr std::size_t changes_most = 600;  ///< of one kind to one file
constexpr std::uintmax_t corpus_bytes_most = 300 * 1024;

std::vector<fs::path> files_of(std::string_view target) {
  std::vector<fs::path> out;
  if (fs::exists(corpus / target))
    for (const auto& it : fs::directory_iterator(corpus / target)) out.push_back(it.path());
  std::sort(out.begin(), out.end());
  return out;
}

Bytes slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  REQUIRE(in);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

}  // namespace

TEST_CASE("fuzz: every target accepts its seeds, and no change to them does harm") {
  REQUIRE(crypto::start());
  std::size_t runs = 0;
  for (const fuzz::Target& target : fuzz::all_targets()) {
    const auto files = files_of(target.name);
    CHECK_MESSAGE(!files.empty(), target.name);
    target.body({});
    for (const fs::path& path : files) {
      INFO(path.string());
      const Bytes seed = slurp(path);
      const bool accepted = target.body(seed);
      if (path.filename().string().starts_with("valid-")) CHECK(accepted);
      const std::size_t step = seed.size() / changes_most + 1;
      for (std::size_t at = 0; at < seed.size(); at += step) {
        Bytes changed = seed;
        changed[at] = static_cast<std::uint8_t>(changed[at] ^ (1U << (at / step % 8)));
        target.body(changed);
        changed[at] = 0xff;
        target.body(changed);
        target.body(ByteView(seed).first(at));
        runs += 3;
      }
      Bytes longer = seed;
      longer.push_back(0);
      target.body(longer);
    }
  }
  CHECK(runs > 20'000);
}

TEST_CASE("fuzz: each folder of the corpus belongs to a target, and together they stay small") {
  std::uintmax_t bytes = 0;
  const auto targets = fuzz::all_targets();
  for (const auto& folder : fs::directory_iterator(corpus)) {
    const std::string name = folder.path().filename().string();
    CHECK_MESSAGE(std::any_of(targets.begin(), targets.end(), [&](const fuzz::Target& it) { return it.name == name; }), name);
    for (const auto& it : fs::directory_iterator(folder)) bytes += it.file_size();
  }
  CHECK(bytes <= corpus_bytes_most);
}

TEST_CASE("fuzz: the seeds of today are accepted, one for each target") {
  REQUIRE(crypto::start());
  const auto seeds = fuzz::make_seeds();
  for (const fuzz::Target& target : fuzz::all_targets()) {
    INFO(target.name);
    const auto at = seeds.find(std::string(target.name));
    REQUIRE(at != seeds.end());
    for (const Bytes& it : at->second) CHECK(target.body(it));
  }
  CHECK(seeds.size() == fuzz::all_targets().size());
}

TEST_CASE("fuzz: the corpus is written") {
  if (std::getenv("DOZO_WRITE_CORPUS") == nullptr) return;
  REQUIRE(crypto::start());
  crypto::use_seeded_randomness(1);
  for (const auto& [target, seeds] : fuzz::make_seeds()) {
    fs::create_directories(corpus / target);
    for (const fs::path& it : files_of(target))
      if (it.filename().string().starts_with("valid-")) fs::remove(it);
    for (std::size_t i = 0; i < seeds.size(); ++i) {
      std::ofstream out(corpus / target / ("valid-" + std::to_string(i + 1)), std::ios::binary);
      out.write(reinterpret_cast<const char*>(seeds[i].data()), static_cast<std::streamsize>(seeds[i].size()));
      REQUIRE(out.good());
    }
  }
}
