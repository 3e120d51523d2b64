// History under deaths, damage and weight.
#include <doctest/doctest.h>

#include <functional>

#include "store/git_names.h"
#include "store/history_rows.h"
#include "tests/history_disk.h"
#include "tests/history_fixture.h"

using namespace dozo;
using namespace dozo::store;
using namespace dozo::history_fixture;

namespace {

std::vector<TreeChange> many(std::size_t count, const std::function<std::string(std::size_t)>& path) {
  std::vector<TreeChange> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back({path(i), a_file(i + 1, i + 1)});
  return out;
}

std::size_t rows_of(Disk& disk, HistoryTable table) {
  std::size_t count = 0;
  for (const auto& [key, value] : disk.rows())
    if (key.size() > 8 && key[8] == static_cast<std::uint8_t>(table)) ++count;
  return count;
}

}  // namespace

// ---- deaths ----------------------------------------------------------------------------------------------------------
TEST_CASE("history: a death at any call leaves a whole line, and what follows makes it what it would have been") {
  Story story(77);
  std::vector<HistoryStep> steps;
  for (int i = 0; i < 4; ++i) steps.push_back(story.next());
  Disk straight;
  History once = opened(straight);
  REQUIRE(once.extend(steps));
  bool died = true;
  for (long calls = 0; died; ++calls) {
    CAPTURE(calls);
    Disk disk;
    {
      History history = opened(disk);
      REQUIRE(history.extend(std::span(steps).first(2)));
      disk.die_after(calls);
      Result<void> done = history.extend(std::span(steps).subspan(2, 1));
      if (done) done = history.rewind_to(1);
      if (done) done = history.extend(std::span(steps).subspan(1));
      died = disk.is_dead();
      CHECK(done.has_value() == !died);
    }
    disk.revive();
    History again = opened(disk);
    CHECK(again.size() >= 1);
    for (std::uint64_t k = 0; k <= again.size(); ++k) CHECK((shown(again, k) == story.models[static_cast<std::size_t>(k)]));
    REQUIRE(again.extend(std::span(steps).subspan(static_cast<std::size_t>(again.size()))));
    CHECK(*again.id_at(4) == *once.id_at(4));
    CHECK(disk.rows().size() == straight.rows().size());
  }
}

TEST_CASE("history: a step larger than a transaction comes in several, and a death between them leaves nothing of it") {
  const auto big = many(6000, [](std::size_t i) { return "d" + std::to_string(i % 50) + "/f" + std::to_string(i); });
  const std::vector steps{a_step(1, {{"keep", a_file(1, 1)}}), a_step(2, big), a_step(3, {{"d1/f1", std::nullopt}})};
  Disk straight;
  History once = opened(straight);
  REQUIRE(once.extend(steps));
  CHECK(straight.largest_transaction() <= History::puts_most);
  CHECK(straight.commits() >= 5);
  CHECK(once.log({})->at(1).changed_count == 6000);
  CHECK(once.log({})->at(1).changed.size() == changed_shown_most);
  for (const long calls : {9000L, 14000L, 20000L}) {
    CAPTURE(calls);
    Disk disk;
    {
      History history = opened(disk);
      REQUIRE(history.extend(std::span(steps).first(1)));
      disk.die_after(calls);
      CHECK(!history.extend(std::span(steps).subspan(1)));
      CHECK(history.size() == 1);
    }
    disk.revive();
    CHECK(disk.rows().size() > 4000);  // what the step had put by then
    History again = opened(disk);
    CHECK(again.size() == 1);
    CHECK(shown(again, 1).size() == 1);
    REQUIRE(again.rewind_to(1));
    CHECK(disk.rows().size() < 20);  // swept
    REQUIRE(again.extend(std::span(steps).subspan(1)));
    CHECK(*again.id_at(3) == *once.id_at(3));
    CHECK(disk.rows().size() == straight.rows().size());
    CHECK(disk.largest_transaction() <= History::puts_most);
  }
  // Taking it back is as large, and may be cut short as well.
  straight.die_after(7000);
  CHECK(!once.rewind_to(0));
  straight.revive();
  History after = opened(straight);
  CHECK(after.size() == 1);
  CHECK(shown(after, 1).size() == 1);
  REQUIRE(after.rewind_to(0));
  CHECK(straight.rows().size() == 1);
  CHECK(straight.largest_transaction() <= History::puts_most);
}

// ---- damage ----------------------------------------------------------------------------------------------------------
TEST_CASE("history: a damaged, swapped or missing row is a fault or changes nothing, whatever is asked") {
  Story story(31);
  std::vector<HistoryStep> steps;
  for (int i = 0; i < 6; ++i) steps.push_back(story.next());
  Disk good;
  REQUIRE(opened(good).extend(steps));
  const auto rows = good.rows();
  const auto ask_all = [&](Disk& disk, const char* what) {
    CAPTURE(what);
    std::vector<Fault> faults;
    const auto take = [&](const auto& result) {
      if (!result) faults.push_back(result.error().fault);
      return result.has_value();
    };
    auto history = disk.open();
    if (take(history)) {
      take(history->log({}));
      take(history->log({"a"}));
      for (std::uint64_t k = 1; k <= history->size(); ++k) {
        Model model;
        const auto walked = history->walk(k, "", [&](const std::string& path, const TreeFile& file) { return model.emplace(path, file).second; });
        // What comes without a fault is right.
        if (take(walked) && history->size() == steps.size()) CHECK((model == story.models[static_cast<std::size_t>(k)]));
        take(history->diff(k - 1, k, [](const HistoryDifference&) { return true; }));
        take(history->list(k, ""));
      }
      HistoryStep next = a_step(100, {{"new/one", a_file(1, 1)}});
      take(history->extend(std::span(&next, 1)));
      take(history->rewind_to(0));
    }
    for (const Fault fault : faults) CHECK(fault == Fault::corrupt);
    return faults.size();
  };
  std::size_t noticed = 0, asked = 0;
  for (auto it = rows.begin(); it != rows.end(); ++it) {
    Disk flipped, missing, swapped;
    for (const auto& [key, value] : rows) {
      flipped.set(key, value);
      missing.set(key, value);
      swapped.set(key, value);
    }
    Bytes bad = it->second;
    bad[bad.size() / 2] ^= 4;
    flipped.set(it->first, bad);
    const std::size_t faults = ask_all(flipped, "flipped");
    noticed += faults > 0 ? 1 : 0;
    ++asked;
    missing.erase(it->first);
    ask_all(missing, "missing");
    const auto other = std::next(it) != rows.end() ? std::next(it) : rows.begin();
    swapped.set(it->first, other->second);
    ask_all(swapped, "swapped");
    Disk short_one;
    for (const auto& [key, value] : rows) short_one.set(key, value);
    short_one.set(it->first, {});
    ask_all(short_one, "empty");
  }
  CHECK(noticed * 2 > asked);  // rows that no question above reads (an index of other paths) go unnoticed
}

// ---- what the disk shows -----------------------------------------------------------------------------------------------
TEST_CASE("history: no path, author, text, hash or id stands in any key or value") {
  Disk disk;
  History history = opened(disk);
  HistoryStep step = a_step(1, {{"MARKERfolder/MARKERname.pdf", a_file(0x4d41524b45523132, 0x4d41524b45523334)}, {"MARKERfolder/", a_folder(3)}});
  step.author = "MARKERauthor";
  step.text = "MARKERtext";
  step.record.bytes.fill('M');
  REQUIRE(history.extend(std::span(&step, 1)));
  const auto find = [&](ByteView what) {
    std::size_t hits = 0;
    for (const auto& [key, value] : disk.rows())
      for (const Bytes* each : {&key, &value})
        if (std::search(each->begin(), each->end(), what.begin(), what.end()) != each->end()) ++hits;
    return hits;
  };
  const auto key_of_any = disk.rows().begin()->first;
  CHECK(find(ByteView(key_of_any).first(8)) > 5);  // the search finds what is there
  for (const char* text : {"MARKER", "MMMM", "kind file", "tree ", "sha256", "Dozo-Record", "refs/", "history@"}) {
    CAPTURE(text);
    CHECK(find(view_of(text)) == 0);
  }
  const GitId commit = *history.id_at(1), tree = *history.tree_at(1);
  for (const GitId& id : {commit, tree}) {
    CHECK(find(id.view()) == 0);
    CHECK(find(view_of(id.hex())) == 0);
  }
  CHECK(find(disk.library.view()) == 0);
}

// ---- weight ----------------------------------------------------------------------------------------------------------
TEST_CASE("history: among a hundred thousand files one change writes the folders on its path and no more") {
  Disk disk;
  History history = opened(disk);
  std::uint64_t number = 0;
  for (std::size_t part = 0; part < 20; ++part) {
    const auto step = a_step(++number, many(5000, [&](std::size_t i) {
      const std::size_t n = part * 5000 + i;
      return "b" + std::to_string(n / 10000) + "/d" + std::to_string(n / 100 % 100) + "/f" + std::to_string(n % 100);
    }));
    REQUIRE(history.extend(std::span(&step, 1)));
  }
  CHECK(disk.largest_transaction() <= History::puts_most);
  const std::size_t objects = rows_of(disk, HistoryTable::object), all = disk.rows().size();
  const auto change = a_step(++number, {{"b3/d7/f9", a_file(1, 100'001)}});
  REQUIRE(history.extend(std::span(&change, 1)));
  CHECK(rows_of(disk, HistoryTable::object) - objects == 5);     // the blob, two folders, the top, the commit
  CHECK(disk.rows().size() - all == 5 + 3 + 1 + 1 + 1 + 1 + 1);  // 3 names in the index, manifest, paths, trace, number, commit
  std::size_t differences = 0;
  REQUIRE(history.diff(number - 1, number, [&](const HistoryDifference& it) { return ++differences, it.path == "b3/d7/f9"; }));
  CHECK(differences == 1);
  REQUIRE(history.rewind_to(number - 1));
  CHECK(disk.rows().size() == all);
}

TEST_CASE("history: in a flat folder of thousands a small change takes little room, however long they follow each other") {
  Disk disk;
  History history = opened(disk);
  const auto first = a_step(1, many(3000, [](std::size_t i) { return "flat/f" + std::to_string(i); }));
  REQUIRE(history.extend(std::span(&first, 1)));
  const auto bytes = [&] {
    std::size_t sum = 0;
    for (const auto& [key, value] : disk.rows()) sum += key.size() + value.size();
    return sum;
  };
  const std::size_t before = bytes();
  std::vector<HistoryStep> steps;
  for (std::uint64_t i = 0; i < 150; ++i) {
    // Changed, added, taken away.
    const std::string path = "flat/f" + std::to_string(i * 7919 % 3000);
    steps.push_back(a_step(2 + i, {{i % 3 == 1 ? path + "x" : path, i % 3 == 2 ? std::nullopt : std::optional(a_file(50'000 + i, i))}}));
  }
  REQUIRE(history.extend(steps));
  // Whole, each would have written 100 KB of tree.
  CHECK(bytes() - before < 150 * 10'000);
  Disk straight;
  History other = opened(straight);
  REQUIRE(other.extend(std::span(&first, 1)));
  for (const HistoryStep& step : steps) REQUIRE(other.extend(std::span(&step, 1)));
  CHECK(*other.id_at(151) == *history.id_at(151));
  CHECK(shown(history, 151).size() == 3000);
  std::size_t differences = 0;
  REQUIRE(history.diff(60, 130, [&](const HistoryDifference&) { return ++differences, true; }));
  CHECK(differences == 70);
  REQUIRE(history.rewind_to(1));
  CHECK(bytes() == before);
}
