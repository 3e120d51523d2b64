// The folder kept up to date against the folder built afresh, and what keeping it up to date costs.
#include <doctest/doctest.h>

#include <map>
#include <random>
#include <set>

#include "tests/allocations.h"
#include "tests/record_fixture.h"

using namespace dozo;
using namespace dozo::store;
using namespace dozo::record_fixture;
using namespace dozo::folder_fixture;

namespace {

/// People who see some of what others did, and change it.
class Crowd {
 public:
  Crowd(std::uint64_t seed, NameRule rule) : dice_(seed), rule_(rule) {}

  Record next() {
    // Somebody who has seen a random part of all.
    std::vector<Record> seen;
    for (const Record& record : records) {
      if (pick(8) != 0) seen.push_back(record);
    }
    const TestFolder folder = folder_of(seen, rule_);
    std::vector<Shown> all;
    for (const auto& [path, shown] : folder.entries()) all.push_back(shown);
    std::vector<Op> ops;
    if (all.empty() || pick(4) == 0) {
      ops = create(document(records.size() + 1), path(), pick(6) == 0 ? folder_content() : file(pick(30)));
    } else {
      const Shown& shown = all[pick(all.size())];
      switch (pick(7)) {
        case 0: ops = rename(folder, shown, path()); break;
        case 1: ops = folder_fixture::remove(folder, shown); break;
        case 2: ops = resolve(folder, shown, file(pick(30))); break;
        case 3: ops = drop(folder, shown); break;
        case 4: ops = set_label(folder, shown, static_cast<std::uint32_t>(pick(3))); break;
        default: ops = save(shown, file(pick(30)));
      }
      if (ops.empty()) ops = save(shown, file(pick(30)));
    }
    for (Op& op : ops) op = anew(folder, std::move(op));
    records.push_back(change(pick(1000), ops, pick(4), pick(3) == 0 ? "札幌 林" : "大阪 佐藤"));
    return records.back();
  }
  std::size_t pick(std::size_t below) { return static_cast<std::size_t>(dice_() % below); }

  std::vector<Record> records;

 private:
  std::string path() {
    static const std::vector<std::string> names{"a", "A", "b.txt", "B.TXT", "神", "\ufa19", "が", "か\u3099", "\xff"};
    std::string out = names[pick(names.size())];
    for (std::size_t depth = pick(3); depth > 0; --depth) out += "/" + names[pick(names.size())];
    return out;
  }
  std::mt19937_64 dice_;
  NameRule rule_;
};

std::vector<RecordId> ids_of(const std::vector<Record>& records) {
  std::vector<RecordId> out;
  for (const Record& record : records) out.push_back(record_id(record));
  return out;
}

void same(const TestFolder& a, const TestFolder& b) {
  CHECK((a.entries() == b.entries()));
  CHECK((a.conflicts() == b.conflicts()));
  for (const DocumentId& document : b.documents()) {
    CHECK((a.of(document) == b.of(document)));
    CHECK(a.shows(document) == b.shows(document));
  }
}

}  // namespace

TEST_CASE("folder: kept up to date in batches of any size it is what building afresh gives, and its changes lead there") {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    CAPTURE(seed);
    const NameRule rule = seed % 2 == 0 ? NameRule::bytes : NameRule::portable;
    Crowd crowd(seed, rule);
    TestFolder kept(rule);
    std::map<std::string, Shown> shown;
    const auto follow = [&](const std::vector<Change>& changes) {
      CHECK((std::ranges::adjacent_find(changes, std::ranges::greater_equal{}, &Change::path) == changes.end()));
      for (const Change& change : changes) {
        if (change.now) {
          shown.insert_or_assign(change.path, *change.now);
        } else {
          CHECK(shown.erase(change.path) == 1);
        }
      }
    };
    std::vector<Record> batch;
    for (int step = 0; step < 160; ++step) {
      batch.push_back(crowd.next());
      if (crowd.pick(3) != 0) continue;
      for (const Record& record : batch) follow(kept.apply(record));
      batch.clear();
      const TestFolder afresh = folder_of(crowd.records, rule);
      CHECK((shown == afresh.entries()));
      same(kept, afresh);
    }
    for (const Record& record : batch) follow(kept.apply(record));
    // Some records are accepted no longer.
    auto rest = crowd.records;
    std::set<DocumentId> documents;
    for (int i = 0; i < 20; ++i) {
      const auto out = rest.begin() + static_cast<std::ptrdiff_t>(crowd.pick(rest.size()));
      for (const Op& op : out->ops) documents.insert(op.document);
      rest.erase(out);
    }
    const auto left = ids_of(rest);
    for (const DocumentId& document : documents) follow(kept.reset(document, left));
    const TestFolder afresh = folder_of(rest, rule);
    CHECK((shown == afresh.entries()));
    CHECK((kept.entries() == afresh.entries()));
    CHECK((kept.conflicts() == afresh.conflicts()));
  }
}

TEST_CASE("folder: a change costs the same among a thousand documents and among twenty thousand") {
  const auto cost = [](std::uint64_t count) {
    std::vector<Op> ops;
    for (std::uint64_t i = 1; i <= count; ++i) {
      for (Op& op : create(document(i), "b" + std::to_string(i % 10) + "/d" + std::to_string(i % 100) + "/f" + std::to_string(i), file(i))) ops.push_back(op);
    }
    TestFolder folder = folder_of({change(0, ops)});
    REQUIRE(folder.entries().size() == count);
    const auto spent = [&](const std::vector<Op>& what) {
      const Record made = change(1, what);
      const std::size_t before = allocations::so_far();
      CHECK(folder.apply(made).size() <= 3);
      return allocations::so_far() - before;
    };
    std::size_t sum = spent(save(folder.of(document(7))[0], file(100'000)));
    sum += spent(rename(folder, folder.of(document(8))[0], "b1/d1/new"));
    sum += spent(create(document(900'000), "B2/d2/F2", file(1)));  // displaced: a conflict name in a full folder
    sum += spent(folder_fixture::remove(folder, folder.of(document(9))[0]));
    return sum;
  };
  const std::size_t small = cost(1000), large = cost(20'000);
  CHECK(small > 20);  // the count is at work
  CHECK(large <= small + small / 4);
}

TEST_CASE("folder: a deep path costs bytes in proportion to its length, not a copy of it for each folder on the way") {
  // Documents that each have 64 parts of their own: what a record of a few hundred bytes, well compressed, can name.
  constexpr std::uint64_t count = 200;
  std::vector<Op> ops;
  std::size_t path_bytes = 0;
  for (std::uint64_t i = 1; i <= count; ++i) {
    std::string path = "d" + std::to_string(i);
    for (int part = 1; part < 64; ++part) path += "/" + std::string(60, 'x');
    REQUIRE(good_path(path));
    path_bytes += path.size();
    for (Op& op : create(document(i), path, file(i))) ops.push_back(std::move(op));
  }
  const Record made = change(0, ops);
  TestFolder folder(NameRule::portable);
  const std::size_t before = allocations::bytes_live();
  CHECK(folder.apply(made).size() == count);
  const std::size_t spent = allocations::bytes_live() - before;
  CHECK(spent > path_bytes);       // the count is at work
  CHECK(spent < 30 * path_bytes);  // a copy of the path for each folder would alone be 32 times its length
  // Gone, it leaves nothing of the folders behind.
  std::vector<Op> gone;
  for (std::uint64_t i = 1; i <= count; ++i) {
    for (Op& op : folder_fixture::remove(folder, folder.of(document(i))[0])) gone.push_back(std::move(op));
  }
  folder.apply(change(1, gone));
  CHECK(folder.entries().empty());
  const auto again = folder.apply(change(2, create(document(count + 1), "D1/x", file(1))));
  REQUIRE(again.size() == 1);
  CHECK(again[0].path == "D1/x");  // spelt by nobody before it
}

TEST_CASE("folder: what changes nothing tells nothing, and a new document tells itself alone") {
  TestFolder folder = folder_of({change(0, create(document(1), "a", file(1)))});
  const auto same_again = folder.apply(change(0, create(document(1), "a", file(1))));
  CHECK(same_again.empty());
  const auto changes = folder.apply(change(1, create(document(2), "b", file(2))));
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].path == "b");
  CHECK(changes[0].now->document == document(2));
  CHECK(folder.reset(document(5), {}).empty());
  const auto gone = folder.reset(document(1), {});
  REQUIRE(gone.size() == 1);
  CHECK(!gone[0].now);
  CHECK(!folder.registers(document(1)).is_made(Register::path));
}

TEST_CASE("folder: no row has a path, a name, or a plain hash of what was done") {
  const std::string path = "Harbour/North pier.txt";
  TestFolder folder = folder_of({change(0, create(document(1), path, file(1)))});
  const Record renamed = change(1, rename(folder, folder.of(document(1))[0], "Harbour/South pier.txt"));
  const Record saved = change(2, save(folder.of(document(1))[0], file(2)));
  for (const Record& record : {renamed, saved}) folder.apply(record);
  std::vector<Bytes> telling;
  for (const char* text : {"Harbour", "harbour", "North", "north", "South", "pier"}) telling.push_back(bytes_of(view_of(std::string_view(text))));
  for (const auto& record : {change(0, create(document(1), path, file(1))), renamed, saved}) {
    const RecordId id = record_id(record);
    telling.push_back(bytes_of(id.view().first(8)));
    for (const Op& op : record.ops) {
      const VersionId version = version_id(op);
      telling.push_back(bytes_of(version.view().first(8)));
    }
  }
  std::size_t rows = 0;
  for (const auto& [key, value] : folder.disk().tables.at(0)) {
    ++rows;
    for (const Bytes& it : telling) {
      CHECK(std::ranges::search(key, it).empty());
      CHECK(std::ranges::search(value, it).empty());
    }
  }
  CHECK(rows >= 5);
}
