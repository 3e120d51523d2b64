#include "store/history.h"
#include "store/names.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

#include "tests/history_disk.h"
#include "tests/history_fixture.h"

using namespace dozo;
using namespace dozo::store;
using namespace dozo::history_fixture;

namespace {

std::vector<std::string> ids_of(const History& history) {
  std::vector<std::string> out;
  for (std::uint64_t k = 1; k <= history.size(); ++k) out.push_back(history.id_at(k)->hex());
  return out;
}

std::vector<std::uint64_t> numbers(const Result<std::vector<HistoryCommit>>& log) {
  std::vector<std::uint64_t> out;
  REQUIRE(log);
  for (const HistoryCommit& commit : *log) out.push_back(commit.number);
  return out;
}

Fault fault_of(const Result<void>& result) {
  REQUIRE(!result);
  return result.error().fault;
}

std::optional<TreeFile> file(const History& history, std::uint64_t number, std::string_view path) {
  auto found = history.file_at(number, path);
  REQUIRE(found);
  return *found;
}

std::optional<std::vector<HistoryEntry>> listed(const History& history, std::uint64_t number, std::string_view folder) {
  auto found = history.list(number, folder);
  REQUIRE(found);
  return *found;
}

std::optional<std::uint64_t> number(const History& history, const GitId& id) {
  const auto found = history.number_of(id);
  REQUIRE(found);
  return *found;
}

HistoryCommit newest(const History& history) {
  const auto log = history.log({});
  REQUIRE(log);
  REQUIRE(!log->empty());
  return log->front();
}

std::set<Bytes> keys_of(Disk& disk) {
  std::set<Bytes> out;
  for (const auto& [key, value] : disk.rows()) out.insert(key);
  return out;
}

}  // namespace

// ---- what everybody must derive --------------------------------------------------------------------------------------
TEST_CASE("history: the worked example of the format has the ids that git itself gave it") {
  Disk disk;
  History history = opened(disk);
  HistoryStep first{RecordId{}, 1764000000123ULL << 16 | 5, "大阪 佐藤", "平面図を追加", {}};
  first.record.bytes.fill(0x11);
  TreeFile plan = a_file(6, 1);
  plan.content_sha256 = *Digest::parse("5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
  first.changes = {{"図面/平面図.pdf", plan}};
  HistoryStep second{RecordId{}, first.hlc + (60000ULL << 16), "大阪 佐藤", "", {}};
  second.record.bytes.fill(0x22);
  TreeFile script = a_file(10, 2, true);
  script.content_sha256 = *Digest::parse("a8076d3d28d21e02012b20eaf7dbf75409a6277134439025f282e368e3305abf");
  second.changes = {{"空/", a_folder(3)}, {".git", script}};
  REQUIRE(history.extend(std::vector{first, second}));
  CHECK(history.tree_at(1)->hex() == "bb1416c463f1899c7dda589a5ce1671a9de58cd3");
  CHECK(history.id_at(1)->hex() == "3cc9323313e8b1526581cc852819636d876885a6");
  CHECK(history.tree_at(2)->hex() == "032768e6cd835fc26144d8268926308ae70d3f9e");
  CHECK(history.id_at(2)->hex() == "f79fbf3d9462dddb7af62a79aefc2ca1ac61ca2a");
}

TEST_CASE("history: two nodes with other keys, and other batches, derive the same commits and show what the records say") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    Story story(seed);
    std::vector<HistoryStep> steps;
    for (int i = 0; i < 12; ++i) steps.push_back(story.next());
    Disk one(1), two(2);
    History a = opened(one), b = opened(two);
    REQUIRE(a.extend(steps));
    for (const HistoryStep& step : steps) REQUIRE(b.extend(std::span(&step, 1)));
    CHECK(a.size() == steps.size());
    CHECK(ids_of(a) == ids_of(b));
    for (std::uint64_t k = 0; k <= steps.size(); ++k) CHECK((shown(a, k) == story.models[k]));
    for (std::uint64_t k = 0; k < steps.size(); ++k) {
      // The difference of any two commits, applied to the first, gives the second.
      const std::uint64_t to = (k * 7 + seed) % (steps.size() + 1);
      Model model = story.models[k];
      REQUIRE(a.diff(k, to, [&](const HistoryDifference& it) {
        CHECK((model.contains(it.path) == it.before.has_value()));
        if (it.before) CHECK((model[it.path] == *it.before));
        if (it.after) {
          model[it.path] = *it.after;
        } else {
          model.erase(it.path);
        }
        return true;
      }));
      CHECK((model == story.models[to]));
    }
    // And each by its own path.
    for (const auto& [path, it] : story.models.back()) {
      CHECK((file(a, steps.size(), path) == std::optional(it)));
    }
  }
}

TEST_CASE("history: cutting back and deriving again leaves what deriving once leaves, row for row") {
  for (std::uint64_t seed = 1; seed <= 25; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 dice(seed);
    Story story(seed + 1000), other(seed + 2000);
    std::vector<HistoryStep> steps, wrong;
    for (int i = 0; i < 10; ++i) steps.push_back(story.next());
    for (int i = 0; i < 10; ++i) wrong.push_back(other.next());
    Disk straight(1), winding(1);
    History a = opened(straight), b = opened(winding);
    REQUIRE(a.extend(steps));
    for (int turn = 0; turn < 6; ++turn) {
      const std::uint64_t keep = dice() % (b.size() + 1);
      REQUIRE(b.rewind_to(keep));
      CHECK(b.size() == keep);
      // Steps of another story, from wherever this line is.
      const auto from = static_cast<std::size_t>(keep), count = static_cast<std::size_t>(dice() % (wrong.size() - from + 1));
      (void)b.extend(std::span(wrong).subspan(from, count));
    }
    REQUIRE(b.rewind_to(0));
    CHECK(winding.rows().size() == 1);  // where the line ends, and no more
    REQUIRE(b.extend(std::span(steps).first(6)));
    REQUIRE(b.rewind_to(3));
    REQUIRE(b.extend(std::span(steps).subspan(3)));
    CHECK(ids_of(a) == ids_of(b));
    CHECK((keys_of(straight) == keys_of(winding)));
    for (std::uint64_t k = 0; k <= steps.size(); ++k) CHECK((shown(b, k) == story.models[k]));
  }
}

TEST_CASE("history: opened again it goes on where it was") {
  Disk disk, straight;
  Story story(5);
  std::vector<HistoryStep> steps;
  for (int i = 0; i < 8; ++i) steps.push_back(story.next());
  {
    REQUIRE(opened(disk).extend(std::span(steps).first(5)));
  }
  History again = opened(disk);
  CHECK(again.size() == 5);
  REQUIRE(again.extend(std::span(steps).subspan(5)));
  History once = opened(straight);
  REQUIRE(once.extend(steps));
  CHECK(ids_of(again) == ids_of(once));
}

TEST_CASE("history: two libraries in one store keep apart") {
  Disk disk;
  auto other = disk.open(id_of<LibraryId>(8));
  History one = opened(disk);
  REQUIRE(other);
  REQUIRE(one.extend(std::vector{a_step(1, {{"a", a_file(1, 1)}})}));
  REQUIRE(other->extend(std::vector{a_step(1, {{"b", a_file(2, 2)}}), a_step(2, {})}));
  CHECK(one.size() == 1);
  CHECK(shown(one, 1).contains("a"));
  REQUIRE(other->rewind_to(0));
  CHECK(shown(one, 1).size() == 1);
  CHECK(opened(disk).size() == 1);
}

// ---- names and kinds -------------------------------------------------------------------------------------------------
TEST_CASE("history: any name that a library can hold is kept as it is") {
  Disk disk;
  History history = opened(disk);
  const std::vector<std::string> names{
      std::string(255, 'x'), std::string(254, 'y') + ".", ".git",    ".GIT",   ".git/x", ".gitmodules", "git~1",          "a\nb", "\u202efdp.exe",
      "\xff\xfe\x80",        ".g\xe2\x80\x8cit",          "%folder", "%=.git", "tail ",  "back\\slash", "図面/平面図.pdf"};
  std::vector<TreeChange> changes;
  Model model;
  for (const std::string& name : names) {
    if (name == ".git/x") continue;  // .git is a file here
    model[name] = a_file(changes.size() + 1, changes.size() + 1);
    changes.push_back({name, model[name]});
  }
  REQUIRE(history.extend(std::vector{a_step(1, changes)}));
  CHECK((shown(history, 1) == model));
  std::set<std::string> seen;
  const auto top = listed(history, 1, "");
  for (const HistoryEntry& entry : *top) seen.insert(entry.name + (entry.is_folder ? "/" : ""));
  for (const std::string& name : names)
    if (name != ".git/x" && !name.starts_with("図面")) CHECK(seen.contains(name));
  CHECK(seen.contains("図面/"));
  CHECK(seen.size() == model.size());
  const auto log = history.log({});
  REQUIRE(log);
  CHECK(log->front().changed_count == model.size());
  CHECK((std::set<std::string>(log->front().changed.begin(), log->front().changed.end()).size() == model.size()));
  CHECK(numbers(history.log({"a\nb"})) == std::vector<std::uint64_t>{1});
}

TEST_CASE("history: a path as deep as paths may be is kept, read and taken away; a deeper one is refused") {
  Disk disk;
  History history = opened(disk);
  std::string path = "a";
  for (std::size_t part = 1; part < path_parts_most; ++part) path += "/a";
  CHECK(history.extend(std::vector{a_step(1, {{path + "/a", a_file(1, 1)}})}).error().fault == Fault::malformed);
  REQUIRE(history.extend(std::vector{a_step(1, {{path, a_file(1, 1)}}), a_step(2, {{path, std::nullopt}})}));
  CHECK(shown(history, 1).contains(path));
  CHECK(file(history, 1, path).has_value());
  CHECK(history.tree_at(2)->hex() == "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
  CHECK(shown(history, 2).empty());
}

TEST_CASE("history: a folder's own document stays when the folder empties and goes by itself") {
  Disk disk;
  History history = opened(disk);
  REQUIRE(history.extend(std::vector{
      a_step(1, {{"f/a", a_file(1, 1)}}),
      a_step(2, {{"f", a_folder(2)}}),  // the slash may be left out
      a_step(3, {{"f/a", std::nullopt}}),
      a_step(4, {{"f", std::nullopt}}),
      a_step(5, {{"f", a_file(3, 3)}}),
      a_step(6, {{"f", std::nullopt}, {"f/a", a_link(1, 1)}}),
      a_step(7, {{"f", a_file(3, 3)}, {"f/a", std::nullopt}}),
  }));
  CHECK((shown(history, 2) == Model{{"f/", a_folder(2)}, {"f/a", a_file(1, 1)}}));
  CHECK((shown(history, 3) == Model{{"f/", a_folder(2)}}));
  CHECK(shown(history, 4).empty());
  CHECK((shown(history, 5) == Model{{"f", a_file(3, 3)}}));
  CHECK((shown(history, 6) == Model{{"f/a", a_link(1, 1)}}));
  CHECK((shown(history, 7) == shown(history, 5)));
  CHECK(*history.tree_at(7) == *history.tree_at(5));
  const auto top = listed(history, 2, "");
  REQUIRE(top->size() == 1);
  CHECK(top->front().is_folder);
  CHECK((top->front().file == std::optional(a_folder(2))));
  CHECK((file(history, 2, "f") == std::optional(a_folder(2))));
  CHECK(!file(history, 1, "f"));
  CHECK(!file(history, 5, "f/"));
  CHECK(!listed(history, 5, "f"));
  CHECK(!listed(history, 5, "g"));
  CHECK(listed(history, 3, "f")->empty());
  CHECK(history.log({}).value().at(3).changed == std::vector<std::string>{"f/"});
  CHECK(numbers(history.log({"f"})) == std::vector<std::uint64_t>{7, 6, 5, 4, 3, 2, 1});
}

TEST_CASE("history: of equal contents each commit keeps the manifest of its time, also after cutting back") {
  Disk disk;
  History history = opened(disk);
  TreeFile again = a_file(1, 1);
  again.manifest = id_of<PieceId>(5);
  REQUIRE(history.extend(std::vector{a_step(1, {{"a", a_file(1, 1)}}), a_step(2, {}), a_step(3, {{"a", again}})}));
  CHECK(*history.tree_at(3) == *history.tree_at(1));
  CHECK(newest(history).changed_count == 0);
  CHECK(file(history, 2, "a")->manifest == a_file(1, 1).manifest);
  CHECK(file(history, 3, "a")->manifest == again.manifest);
  REQUIRE(history.rewind_to(2));
  REQUIRE(history.extend(std::vector{a_step(4, {})}));
  CHECK(file(history, 3, "a")->manifest == a_file(1, 1).manifest);
}

// ---- asking ----------------------------------------------------------------------------------------------------------
TEST_CASE("history: the log is newest first, by path, by limit and below a number") {
  Disk disk;
  History history = opened(disk);
  REQUIRE(history.extend(std::vector{
      a_step(1, {{"x/a", a_file(1, 1)}}), a_step(2, {{"x/b", a_file(2, 2)}}), a_step(3, {{"y", a_file(3, 3)}}),
      a_step(4, {{"x/a", a_file(4, 1)}, {"y", a_file(3, 3)}}),  // y as it was
  }));
  CHECK(numbers(history.log({})) == std::vector<std::uint64_t>{4, 3, 2, 1});
  CHECK(numbers(history.log({std::nullopt, 2, std::nullopt})) == std::vector<std::uint64_t>{4, 3});
  CHECK(numbers(history.log({std::nullopt, 2, 3})) == std::vector<std::uint64_t>{2, 1});
  CHECK(numbers(history.log({"x"})) == std::vector<std::uint64_t>{4, 2, 1});
  CHECK(numbers(history.log({"x/"})) == std::vector<std::uint64_t>{4, 2, 1});
  CHECK(numbers(history.log({"x/a"})) == std::vector<std::uint64_t>{4, 1});
  CHECK(numbers(history.log({"x/a", 1, 4})) == std::vector<std::uint64_t>{1});
  CHECK(numbers(history.log({"y"})) == std::vector<std::uint64_t>{3});
  CHECK(numbers(history.log({"z"})).empty());
  CHECK(numbers(history.log({std::nullopt, 5, 1})).empty());
  CHECK(numbers(history.log({std::nullopt, 5, 0})).empty());
  CHECK(numbers(history.log({"x", 5, 0})).empty());
  const HistoryCommit last = newest(history);
  CHECK(last.id == *history.id_at(4));
  CHECK(last.record == id_of<RecordId>(4));
  CHECK(last.author == "東京 鈴木");
  CHECK(last.text == "step 4");
  CHECK(last.hlc == a_step(4, {}).hlc);
  CHECK(last.changed == std::vector<std::string>{"x/a"});
}

TEST_CASE("history: numbers, ids and stamps lead to each other") {
  Disk disk;
  History history = opened(disk);
  CHECK(history.size() == 0);
  CHECK(*history.tree_at(0) == empty_tree_id);
  CHECK(*history.count_below(1, {}) == 0);
  REQUIRE(history.extend(std::vector{a_step(1, {{"a", a_file(1, 1)}}), a_step(3, {}), a_step(5, {{"a", std::nullopt}})}));
  for (std::uint64_t k = 1; k <= 3; ++k) {
    CHECK((number(history, *history.id_at(k)) == std::optional(k)));
    CHECK(*history.record_at(k) == id_of<RecordId>(2 * k - 1));
  }
  CHECK(!number(history, empty_tree_id));
  const auto stamp = [](std::uint64_t n) { return a_step(n, {}).hlc; };
  CHECK(*history.count_below(stamp(1), id_of<RecordId>(1)) == 0);
  CHECK(*history.count_below(stamp(1), id_of<RecordId>(2)) == 1);
  CHECK(*history.count_below(stamp(4), id_of<RecordId>(4)) == 2);
  CHECK(*history.count_below(stamp(6), id_of<RecordId>(6)) == 3);
  CHECK(*history.number_at_time(stamp(0)) == 0);
  CHECK(*history.number_at_time(stamp(3)) == 2);
  CHECK(*history.number_at_time(stamp(9)) == 3);
  const GitId gone = *history.id_at(3);
  REQUIRE(history.rewind_to(2));
  CHECK(!number(history, gone));
  CHECK(history.record_at(3).error().fault == Fault::not_found);
  CHECK(history.record_at(0).error().fault == Fault::not_found);
  CHECK(history.tree_at(3).error().fault == Fault::not_found);
  CHECK(fault_of(history.rewind_to(3)) == Fault::not_found);
}

TEST_CASE("history: what begins as the ids of two commits names both, newest first, and no more than are asked for") {
  Disk disk;
  History history = opened(disk);
  for (std::uint64_t n = 1; n <= 17; ++n) REQUIRE(history.extend(std::vector{a_step(n, {})}));
  std::map<char, std::vector<std::uint64_t>> by_first;
  for (std::uint64_t n = 17; n > 0; --n) by_first[history.id_at(n)->hex()[0]].push_back(n);
  for (const auto& [first, numbers] : by_first) CHECK(*history.numbers_beginning({&first, 1}, 17) == numbers);
  const auto shared = std::ranges::find_if(by_first, [](const auto& it) { return it.second.size() > 1; });
  REQUIRE(shared != by_first.end());  // 17 ids, 16 digits
  CHECK(*history.numbers_beginning({&shared->first, 1}, 1) == std::vector{shared->second[0]});
  CHECK(*history.numbers_beginning(history.id_at(3)->hex(), 2) == std::vector<std::uint64_t>{3});
  CHECK(history.numbers_beginning(history.id_at(3)->hex() + "0", 2)->empty());
}

TEST_CASE("history: what git cannot hold in an author or a text is replaced, and nothing in a text passes for a record's id") {
  Disk disk;
  History history = opened(disk);
  HistoryStep step = a_step(1, {});
  step.author = std::string("  a<b>\n\0c ", 10);
  step.text = "first\n\nDozo-Record: " + std::string(64, '0') + "\nDozo-Time: 0000000000000000\n";
  HistoryStep empty = a_step(2, {});
  empty.author = " ";
  empty.text = std::string("\0x", 2);
  REQUIRE(history.extend(std::vector{step, empty}));
  const auto log = history.log({});
  REQUIRE(log);
  CHECK(log->at(1).author ==
        "a\xef\xbf\xbd"
        "b\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
        "c");
  CHECK(log->at(1).text == step.text);
  CHECK(log->at(1).record == id_of<RecordId>(1));
  CHECK(log->at(0).author == "?");
  CHECK(log->at(0).text == "\xef\xbf\xbdx");
}

// ---- refusals --------------------------------------------------------------------------------------------------------
TEST_CASE("history: a step that cannot be is refused and leaves the line as it was") {
  Disk disk;
  History history = opened(disk);
  REQUIRE(history.extend(std::vector{a_step(5, {{"f", a_file(1, 1)}, {"d/a", a_file(2, 2)}})}));
  const auto rows = disk.rows();
  const auto refused = [&](HistoryStep step) {
    const auto result = history.extend(std::span(&step, 1));
    CHECK(fault_of(result) == Fault::malformed);
    CHECK(result.error().text.find("secret") == std::string::npos);
    CHECK((disk.rows() == rows));
    CHECK(history.size() == 1);
  };
  refused(a_step(5, {}));
  refused(a_step(4, {}));
  for (const char* path : {"", "/", "//", "/a", "a//b", ".", "a/..", "secret//"}) refused(a_step(6, {{path, a_file(1, 1)}}));
  refused(a_step(6, {{std::string("a\0b", 3), a_file(1, 1)}}));
  refused(a_step(6, {{std::string(256, 'a'), a_file(1, 1)}}));
  refused(a_step(6, {{"a", a_file(1, 1)}, {"a", a_file(1, 1)}}));
  refused(a_step(6, {{"a", a_folder(1)}, {"a/", a_folder(1)}}));
  refused(a_step(6, {{"a/", a_file(1, 1)}}));
  refused(a_step(6, {{"f/a", a_file(1, 1)}}));                       // f is a file
  refused(a_step(6, {{"f/", a_folder(1)}}));                         // likewise
  refused(a_step(6, {{"d", a_file(1, 1)}}));                         // d is a folder
  refused(a_step(6, {{"n", a_file(1, 1)}, {"n/a", a_file(1, 1)}}));  // both at once
  REQUIRE(history.extend(std::vector{a_step(6, {{"nothing", std::nullopt}, {"d/nothing/at/all", std::nullopt}, {"f/x", std::nullopt}, {"d", std::nullopt}})}));
  CHECK(*history.tree_at(2) == *history.tree_at(1));
  CHECK(newest(history).changed_count == 0);
}
