// What two people do apart, and what the library shows when they meet.
#include <doctest/doctest.h>

#include <map>

#include "tests/record_fixture.h"

using namespace dozo;
using namespace dozo::store;
using namespace dozo::record_fixture;
using namespace dozo::folder_fixture;

namespace {

using Numbers = std::vector<std::uint64_t>;
using Kinds = std::vector<ConflictKind>;
const DocumentId D = document(1), E = document(2);

/// One file, D at a/b.txt with content 10, and what its writer sees.
struct Beginning {
  std::vector<Record> records{change(0, create(D, "a/b.txt", file(10)))};
  TestFolder folder = folder_of(records);
  Shown shown = folder.of(D).at(0);
  const TestFolder& view() const { return folder; }
  TestFolder meet(std::initializer_list<Record> more) const { return folder_of(with(records, more)); }
};

}  // namespace

TEST_CASE("view: a rename and an edit made apart merge") {
  const Beginning b;
  const TestFolder met = b.meet({change(1, rename(b.folder, b.shown, "c/d.txt")), change(2, save(b.shown, file(11)), 2)});
  CHECK((paths_of(met) == std::vector<std::string>{"c/d.txt"}));
  CHECK((contents_of(met, D) == Numbers{11}));
  CHECK(met.conflicts().empty());
}

TEST_CASE("view: two renames conflict, the later is shown, once") {
  const Beginning b;
  const TestFolder met = b.meet({change(2, rename(b.folder, b.shown, "later")), change(1, rename(b.folder, b.shown, "sooner"), 2)});
  CHECK((paths_of(met) == std::vector<std::string>{"later"}));
  CHECK((kinds_of(met, D) == Kinds{ConflictKind::path}));
}

TEST_CASE("view: two edits conflict, the later first, the other beside it under a name of its own record") {
  const Beginning b;
  const Record one = change(1, save(b.shown, file(11))), two = change(2, save(b.shown, file(12)), 2, "札幌 林");
  const TestFolder met = b.meet({one, two});
  CHECK((contents_of(met, D) == Numbers{12, 11}));
  CHECK((kinds_of(met, D) == Kinds{ConflictKind::content}));
  const std::string tag = tag_of(version_id(one.ops[0])).substr(0, 6);
  CHECK((paths_of(met) == std::vector<std::string>{"a/b (conflict, 大阪 佐藤 2026-11-23 14.06 " + tag + ").txt", "a/b.txt"}));
  CHECK(met.find("a/b.txt")->value == file(12).value);
}

TEST_CASE("view: an edit outlives a delete at the last path, and a resolution ends that") {
  const Beginning b;
  const std::vector<Record> apart = with(b.records, {change(1, remove(b.folder, b.shown)), change(2, save(b.shown, file(11)), 2)});
  const TestFolder met = folder_of(apart);
  CHECK((paths_of(met) == std::vector<std::string>{"a/b.txt"}));
  CHECK((contents_of(met, D) == Numbers{11}));
  CHECK((kinds_of(met, D) == Kinds{ConflictKind::deleted}));
  const TestFolder after = folder_of(with(apart, {change(3, resolve(met, met.of(D)[0], file(11)))}));
  CHECK((contents_of(after, D) == Numbers{11}));
  CHECK(after.conflicts().empty());
}

TEST_CASE("view: a rename outlives a delete with the content that the delete replaced, not a greater-stamped one") {
  const Beginning b;
  // The deleter had seen content 12 replaced by 11, though 12 has the greater stamp.
  const Record twelve = change(5, save(b.shown, file(12)));
  TestFolder met = b.meet({twelve});
  const Record eleven = change(4, save(met.of(D)[0], file(11)));  // a device that backdates
  met = b.meet({twelve, eleven});
  REQUIRE((contents_of(met, D) == Numbers{11}));
  const Record gone = change(6, remove(met, met.of(D)[0])), moved = change(7, rename(met, met.of(D)[0], "moved"), 2);
  met = b.meet({twelve, eleven, gone, moved});
  CHECK((paths_of(met) == std::vector<std::string>{"moved"}));
  CHECK((contents_of(met, D) == Numbers{11}));
  CHECK((kinds_of(met, D) == Kinds{ConflictKind::deleted}));
  // A save of what is shown replaces the deletion.
  const TestFolder saved = b.meet({twelve, eleven, gone, moved, change(8, save(met.of(D)[0], file(13)))});
  CHECK((contents_of(saved, D) == Numbers{13}));
  CHECK(!saved.registers(D).is_deleted_live(Register::content));
}

TEST_CASE("view: two deletes delete, and what was deleted can be put back") {
  const Beginning b;
  const Record one = change(1, remove(b.folder, b.shown)), two = change(2, remove(b.folder, b.shown), 2);
  const TestFolder met = b.meet({one, two});
  CHECK(met.entries().empty());
  CHECK(met.conflicts().empty());
  CHECK(!met.shows(D));
  std::vector<Op> back;
  for (Op op : {Op{D, Register::path, std::string("a/b.txt"), met.registers(D).live_ids(Register::path), 0, {}, {}, {}},
                Op{D, Register::content, b.shown.value, met.registers(D).live_ids(Register::content), 0, "a/b.txt", {}, b.shown.source}})
    back.push_back(anew(met, std::move(op)));
  const TestFolder again = b.meet({one, two, change(3, back)});
  CHECK((contents_of(again, D) == Numbers{10}));
  CHECK(again.conflicts().empty());
}

TEST_CASE("view: the same change by two people is one version, with the strings and stamp of the smaller stamp, whoever comes first") {
  const Beginning b;
  const Record first = change(1, save(b.shown, file(11)), 1, "大阪 佐藤"), second = change(2, save(b.shown, file(11)), 2, "札幌 林");
  for (const auto& order : {std::vector{first, second}, std::vector{second, first}}) {
    const TestFolder met = b.meet({order[0], order[1]});
    CHECK((contents_of(met, D) == Numbers{11}));
    CHECK(met.conflicts().empty());
    const Registers registers = met.registers(D);
    const auto& live = registers.live(Register::content);
    REQUIRE(live.size() == 1);
    CHECK((live[0].stamp == Stamp{first.hlc, record_id(first)}));
    CHECK(live[0].text == "大阪 佐藤 2026-11-23 14.06");
  }
}

TEST_CASE("view: equal contents reached apart are no conflict, and the executable bit makes them two") {
  const Beginning b;
  const Record same = change(2, save(b.shown, file(12)));
  const TestFolder met = b.meet({same});
  const Record back = change(3, save(met.of(D)[0], file(11))), straight = change(1, save(b.shown, file(11)), 2);
  CHECK((contents_of(b.meet({same, back, straight}), D) == Numbers{11}));
  CHECK(b.meet({same, back, straight}).conflicts().empty());
  CHECK(b.meet({change(1, save(b.shown, file(11))), change(2, save(b.shown, file(11, true)), 2)}).of(D).size() == 2);
}

TEST_CASE("view: resolutions that agree are one, also after an edit of the one; those that differ conflict") {
  const Beginning b;
  const std::vector<Record> two = with(b.records, {change(1, save(b.shown, file(11))), change(2, save(b.shown, file(12)), 2)});
  const TestFolder met = folder_of(two);
  const Shown main = met.of(D)[0];
  const Record one = change(3, resolve(met, main, file(13))), other = change(4, resolve(met, main, file(13)), 2);
  CHECK((contents_of(folder_of(with(two, {one, other})), D) == Numbers{13}));
  const Record edit = change(5, save(folder_of(with(two, {one})).of(D)[0], file(14)), 3);
  CHECK((contents_of(folder_of(with(two, {one, edit, other})), D) == Numbers{14}));
  CHECK((contents_of(folder_of(with(two, {one, change(4, resolve(met, main, file(15)), 2)})), D) == Numbers{15, 13}));
}

TEST_CASE("view: a dropped side goes, and two who drop different sides lose neither") {
  const Beginning b;
  const std::vector<Record> two = with(b.records, {change(1, save(b.shown, file(11))), change(2, save(b.shown, file(12)), 2)});
  const TestFolder met = folder_of(two);
  const Shown main = met.of(D)[0], side = met.of(D)[1];
  CHECK((contents_of(folder_of(with(two, {change(3, drop(met, main))})), D) == Numbers{11}));
  CHECK((contents_of(folder_of(with(two, {change(3, drop(met, side))})), D) == Numbers{12}));
  CHECK((contents_of(folder_of(with(two, {change(3, drop(met, main)), change(4, drop(met, side), 2)})), D) == Numbers{12, 11}));
  CHECK(drop(b.folder, b.shown).empty());
}

TEST_CASE("view: a save through a sibling keeps its name, and of two such saves the newer does") {
  const Beginning b;
  std::vector<Record> all = with(b.records, {change(1, save(b.shown, file(11))), change(2, save(b.shown, file(12)), 2)});
  const TestFolder met = folder_of(all);
  const Shown side = met.of(D)[1];
  const std::string name = paths_of(met)[0];
  REQUIRE((met.find(name) == std::optional(side)));
  all.push_back(change(30, save(side, file(13)), 3));
  const TestFolder once = folder_of(all);
  CHECK((paths_of(once) == paths_of(met)));
  CHECK((once.find(name)->value == file(13).value));
  CHECK((once.find("a/b.txt")->value == file(12).value));
  all.push_back(change(31, save(side, file(14)), 4, "札幌 林"));
  const TestFolder split = folder_of(all);
  CHECK(split.of(D).size() == 3);
  CHECK((split.find(name)->value == file(14).value));
  CHECK((split.find("a/b.txt")->value == file(12).value));
  // The older save of the sibling has a name by its own version, with its own maker's strings, and a save of any of the three renames nothing.
  for (const auto& [path, shown] : split.entries()) {
    auto more = all;
    more.push_back(change(40, save(shown, file(20)), 5));
    const TestFolder saved = folder_of(more);
    CHECK((paths_of(saved) == paths_of(split)));
    CHECK((saved.find(path)->value == file(20).value));
  }
}

TEST_CASE("view: of several labels the highest counts, and a delete leaves it") {
  const Beginning b;
  const Record low = change(1, set_label(b.folder, b.shown, 1)), high = change(2, set_label(b.folder, b.shown, 2), 2);
  const TestFolder met = b.meet({high, low});
  CHECK(met.registers(D).label() == 2);
  CHECK((kinds_of(met, D) == Kinds{ConflictKind::label}));
  CHECK(b.meet({low, high, change(3, remove(met, met.of(D)[0]))}).registers(D).label() == 2);
  CHECK(b.folder.registers(D).label() == 0);
  CHECK(b.folder.registers(E).label() == 0);
}

TEST_CASE("view: an id that is replaced before it appears is dead when it appears, and none waits for another") {
  const Beginning b;
  const Record one = change(1, save(b.shown, file(11)));
  const Record two = change(2, save(b.meet({one}).of(D)[0], file(12)));
  TestFolder folder(NameRule::portable);
  folder.apply(two);
  CHECK((contents_of(folder, D) == Numbers{12}));
  CHECK((kinds_of(folder, D) == Kinds{ConflictKind::pathless}));
  CHECK((paths_of(folder) == std::vector<std::string>{"a/b.txt"}));  // the place that the content operation names
  folder.apply(one);
  CHECK((contents_of(folder, D) == Numbers{12}));
  folder.apply(b.records[0]);
  CHECK((contents_of(folder, D) == Numbers{12}));
  CHECK(folder.conflicts().empty());
  CHECK(folder.is_replaced(D, Register::content, version_id(one.ops[0])));
}

TEST_CASE("view: what a cut left out can be put back, counted up where it would be dead at once") {
  const Beginning b;
  const Record cut_out = change(1, save(b.shown, file(11)));
  const TestFolder before = b.meet({cut_out});
  const Record later = change(2, save(before.of(D)[0], file(12)));
  const TestFolder now = b.meet({later});  // cut_out is left out
  // What it replaced is live again beside the later one: nobody accepted has replaced it.
  CHECK((contents_of(now, D) == Numbers{12, 10}));
  Op op{D, Register::content, file(11).value, {version_id(b.records[0].ops[1])}, 0, "a/b.txt", {}, file(11).source};
  CHECK(version_id(op) == version_id(cut_out.ops[0]));
  const Op again = anew(now, op);
  CHECK(again.again == 1);
  CHECK(anew(b.folder, op).again == 0);
  const auto numbers = contents_of(b.meet({later, change(3, {again})}), D);
  CHECK(std::ranges::count(numbers, 11U) == 1);
}

TEST_CASE("view: of two documents at one name the older keeps it; kept by two people apart, both stay") {
  const Beginning b;
  const Record other = change(1, create(E, "A/B.TXT", file(20)), 2, "札幌 林");
  const TestFolder met = b.meet({other});
  CHECK((paths_of(met) == std::vector<std::string>{"a/B (conflict, 札幌 林 2026-11-23 14.06 " + tag_of(E).substr(0, 6) + ").TXT", "a/b.txt"}));
  CHECK((met.conflicts() == std::vector<Conflict>{{ConflictKind::name, E, D}}));
  const Shown d = met.of(D)[0], e = met.of(E)[0];
  const TestFolder both = b.meet({other, change(2, keep(met, d, e)), change(3, keep(met, e, d), 2)});
  CHECK(both.shows(D));
  CHECK(both.shows(E));
  const TestFolder agreed = b.meet({other, change(2, keep(met, e, d)), change(3, keep(met, e, d), 2)});
  CHECK(!agreed.shows(D));
  CHECK((paths_of(agreed) == std::vector<std::string>{"A/B.TXT"}));
  CHECK(agreed.conflicts().empty());
  CHECK(folder_of(with(b.records, {other}), NameRule::bytes).conflicts().empty());
}

TEST_CASE("view: a name goes to the oldest live path, which rewriting it keeps and renaming away and back does not") {
  const Beginning b;
  const Record other = change(1, create(E, "a/b.txt", file(20)), 2);
  TestFolder met = b.meet({other});
  CHECK((met.find("a/b.txt")->document == D));
  const Record rewritten = change(2, rename(met, met.of(D)[0], "a/b.txt"));
  CHECK((b.meet({other, rewritten}).find("a/b.txt")->document == D));
  const Record away = change(2, rename(met, met.of(D)[0], "x"));
  met = b.meet({other, away});
  CHECK((met.find("a/b.txt")->document == E));
  const Record back = change(3, {anew(met, rename(met, met.of(D)[0], "a/b.txt")[0])});
  CHECK((b.meet({other, away, back}).find("a/b.txt")->document == E));
}

TEST_CASE("view: a folder keeps its name against a document, and is spelt as its oldest document spells it") {
  const TestFolder folder = folder_of({change(0, create(document(1), "図/Sub/a", file(1))), change(1, create(document(2), "図/SUB", file(2))),
                                       change(2, create(document(3), "図/sub/b", file(3))), change(3, create(document(4), "図/sUB/E", folder_content()))});
  const std::string aside = "図/SUB (conflict, 大阪 佐藤 2026-11-23 14.06 " + tag_of(document(2)).substr(0, 6) + ")";
  CHECK((paths_of(folder) == std::vector<std::string>{aside, "図/Sub/E/", "図/Sub/a", "図/Sub/b"}));
  CHECK((folder.conflicts() == std::vector<Conflict>{{ConflictKind::name, document(2), std::nullopt}}));
  CHECK(folder.find("図/Sub/b")->at == "図/sub/b");
  CHECK(!folder.find("図/sub/b"));
  std::vector<std::string> below;
  const auto walk = [&](std::string_view top, std::string_view after, bool more) {
    folder_fixture::value(folder.folder().walk(top, after, [&](const std::string& path, const Shown&) { return below.push_back(path), more; }));
  };
  walk("図/Sub", "", true);
  CHECK(below.size() == 3);
  walk("図/Sub", "", false);
  CHECK(below.size() == 4);
  walk("nowhere", "", true);
  CHECK(below.size() == 4);
}

TEST_CASE("view: when the document that spells a folder goes, all in it moves to the next spelling") {
  const Record one = change(0, create(document(1), "Sub/a", file(1)));
  std::vector<Op> many;
  for (std::uint64_t i = 2; i < 40; ++i) {
    for (Op& op : create(document(i), "sub/f" + std::to_string(i), file(i))) many.push_back(op);
  }
  TestFolder folder = folder_of({one, change(1, many)});
  CHECK(folder.find("Sub/f7"));
  const auto changes = folder.apply(change(2, remove(folder, folder.of(document(1))[0])));
  CHECK(changes.size() == 1 + 2 * 38);
  CHECK(folder.find("sub/f7"));
  CHECK(!folder.find("Sub/f7"));
}

TEST_CASE("view: an operation that says it replaces another register's version replaces nothing, in whatever order") {
  const Beginning b;
  const VersionId path = version_id(b.records[0].ops[0]), content = version_id(b.records[0].ops[1]);
  const Record one = change(1, {Op{D, Register::content, file(11).value, {path}, 0, "a/b.txt", {}, file(11).source}}, 2);
  const Record other = change(2, {Op{D, Register::path, std::string("a/b.txt"), {content}, 0, {}, {}, {}}}, 2);
  // Of its own record too: a deletion that names the path that the next operation makes.
  const Op made{E, Register::path, std::string("x"), {}, 0, {}, {}, {}};
  const Record whole =
      change(3, {Op{E, Register::content, Deleted{}, {version_id(made)}, 0, "x", {}, {}}, made, Op{E, Register::path, std::string("y"), {}, 0, {}, {}, {}}}, 2);
  std::vector<Record> order{b.records[0], one, other, whole};
  const TestFolder first = folder_of(order);
  CHECK((contents_of(first, D) == Numbers{11, 10}));
  std::ranges::reverse(order);
  const TestFolder last = folder_of(order);
  CHECK((last.entries() == first.entries()));
  CHECK((last.conflicts() == first.conflicts()));
}
