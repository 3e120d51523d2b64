// History as git sees it: names, objects and references through libgit2 itself.
#include <doctest/doctest.h>
#include <git2.h>

#include <set>

#include "store/git_backend.h"
#include "store/git_names.h"
#include "store/git_objects.h"
#include "store/git_tree.h"
#include "store/history_shelf.h"
#include "tests/history_disk.h"
#include "tests/history_fixture.h"

using namespace dozo;
using namespace dozo::store;
using namespace dozo::history_fixture;

namespace {

/// A history's repository, for libgit2's own functions.
struct Opened {
  std::unique_ptr<HistoryShelf> shelf;
  std::unique_ptr<GitRepository> git;
  Opened(Disk& disk, bool writing) {
    auto on = writing ? HistoryShelf::for_writing(disk.kv(), disk.key(), disk.library, History::puts_most)
                      : HistoryShelf::for_reading(disk.kv(), disk.key(), disk.library);
    REQUIRE(on);
    shelf = *std::move(on);
    auto repository = GitRepository::over(*shelf);
    REQUIRE(repository);
    git = *std::move(repository);
  }
  git_repository* raw() { return git->raw(); }
};

git_oid raw(const GitId& id) {
  git_oid out;
  git_oid_fromraw(&out, id.bytes.data());
  return out;
}
std::string hex(const git_oid* id) { return GitId::from({id->id, GIT_OID_RAWSZ})->hex(); }

History three_commits(Disk& disk) {
  auto history = disk.open();
  REQUIRE(history);
  REQUIRE(history->extend(std::vector{
      a_step(1, {{"a/b/c", a_file(1, 1)}, {".git", a_file(2, 2)}}),
      a_step(2, {{"a/b/d", a_file(3, 3)}, {"a/e/", a_folder(4)}}),
      a_step(3, {{"a/b/c", a_file(5, 1, true)}, {".git", std::nullopt}}),
  }));
  return *std::move(history);
}

}  // namespace

// ---- names -----------------------------------------------------------------------------------------------------------
TEST_CASE("git names: every short name over a nasty alphabet comes back, and no two meet") {
  const std::vector<std::string> letters{".", "g", "I", "t", "%", "=", "~", "1", "\\", " ", ":", "\n", "\xff", "\xe2\x80\x8c", "/", std::string(1, '\0')};
  std::vector<std::string> names{""};
  std::set<std::string> seen;
  std::size_t count = 0;
  for (int length = 0; length <= 4; ++length) {
    std::vector<std::string> longer;
    for (const std::string& name : names) {
      const std::string git_name = to_git_name(name);
      if (from_git_name(git_name) != name) FAIL("not the name itself: " << to_hex(view_of(name)));
      if (git_name.empty() || git_name == folder_mark || git_name.find('/') != std::string::npos || git_name.find('\0') != std::string::npos) {
        FAIL("no name for git: " << to_hex(view_of(name)));
      }
      seen.insert(git_name);
      ++count;
      if (length < 4)
        for (const std::string& letter : letters) longer.push_back(name + letter);
    }
    names = std::move(longer);
  }
  CHECK(seen.size() == count);
}

TEST_CASE("git names: the names that the format lists are escaped as it says, and others stand as they are") {
  const std::vector<std::pair<std::string, std::string>> escaped{{".git", "%=.git"},
                                                                 {".git.", "%=.git%2E"},
                                                                 {"git~1", "%=git%7E1"},
                                                                 {"..", "%=.%2E"},
                                                                 {"%folder", "%=%25folder"},
                                                                 {".GitModules", "%=.GitModules"},
                                                                 {"GI7EBA~1", "%=GI7EBA%7E1"},
                                                                 {"a\\.git", "%=a%5C.git"},
                                                                 {".git::$INDEX", "%=.git%3A%3A$INDEX"},
                                                                 {"a ", "%=a%20"},
                                                                 {".g\xe2\x80\x8cit", "%=.g\xe2\x80\x8cit"},
                                                                 {"\xef\xbb\xbf.git", "%=\xef\xbb\xbf.git"},
                                                                 {"%\n", "%=%25%0A"},
                                                                 {"", "%="}};
  for (const auto& [name, git_name] : escaped) {
    CHECK(to_git_name(name) == git_name);
    CHECK(from_git_name(git_name) == name);
  }
  for (const std::string& name :
       std::vector<std::string>{"100%", "a~b", "~1", "git", ".gi", "a.git", "図面", "\xff\xfe", "a\nb", "long name~1", "\u202efdp.exe"}) {
    if (name == "~1") continue;
    CHECK(to_git_name(name) == name);
  }
}

TEST_CASE("git names: what is no name's git name is refused") {
  for (const char* name : {"%folder", "%", "%a", "%=a", "%=%2", "%=%2e", "%=%GG", "%=.git.", "%=.git~1", "%=.%67it", ".git", "a.", "a\\b", "git~1"}) {
    CAPTURE(name);
    CHECK(!from_git_name(name));
  }
}

TEST_CASE("git names: libgit2 with every protection takes all that we write, and not what we escape") {
  Disk disk;
  Opened it(disk, true);
  git_config* config = nullptr;
  git_treebuilder* builder = nullptr;
  REQUIRE(git_repository_config(&config, it.raw()) == 0);
  git_config_free(config);
  REQUIRE(git_treebuilder_new(&builder, it.raw(), nullptr) == 0);
  const git_oid id = raw(*it.git->write(GitKind::blob, view_of("x")));
  std::size_t refused = 0;
  for (const char* name : {".git", ".GIT", ".", "..", ".git.", ".git ", "git~1", "GIT~1", ".g\xe2\x80\x8cit", "\xe2\x80\xae.git", ".git::$INDEX_ALLOCATION",
                           ".git\\x", "%folder", "a.", "", ".gitmodules", "git~1.", "gi7eba~1"}) {
    CAPTURE(name);
    if (git_treebuilder_insert(nullptr, builder, name, &id, GIT_FILEMODE_BLOB) != 0) ++refused;
    CHECK(git_treebuilder_insert(nullptr, builder, to_git_name(name).c_str(), &id, GIT_FILEMODE_BLOB) == 0);
  }
  CHECK(refused >= 5);
  git_treebuilder_free(builder);
}

// ---- objects ---------------------------------------------------------------------------------------------------------
TEST_CASE("git objects: what we write we read, and every other byte is refused") {
  const TreeFile file = a_file(7, 9);
  const std::string blob = encode_blob(file);
  const Bytes tree = encode_tree({{"a", GitMode::plain, empty_tree_id}, {"a.b", GitMode::executable, empty_tree_id}, {"ab", GitMode::folder, empty_tree_id}});
  const Bytes commit = encode_commit({empty_tree_id, empty_tree_id, 1ULL << 40, "who", "text", id_of<RecordId>(3)});
  REQUIRE(decode_blob(view_of(blob)));
  REQUIRE(decode_tree(tree));
  REQUIRE(decode_commit(commit));
  CHECK(encode_blob(*decode_blob(view_of(blob))) == blob);
  CHECK(encode_tree(*decode_tree(tree)) == tree);
  CHECK(encode_commit(*decode_commit(commit)) == commit);
  for (std::size_t size = 0; size < blob.size(); ++size) CHECK(!decode_blob(view_of(blob).first(size)));
  for (std::size_t size = 0; size < commit.size(); ++size) CHECK(!decode_commit(ByteView(commit).first(size)));
  for (std::size_t size = 1; size < tree.size(); ++size)
    if (const auto part = decode_tree(ByteView(tree).first(size))) CHECK(encode_tree(*part).size() == size);
  for (const std::string& bad : std::vector<std::string>{blob + "\n", "x" + blob, "dozo content 2" + blob.substr(14)}) CHECK(!decode_blob(view_of(bad)));
  const auto tree_of = [](const std::string& head, const std::string& second) {
    Bytes out;
    for (const std::string& each : {head, second}) {
      append(out, view_of(each));
      out.push_back(0);
      append(out, empty_tree_id.view());
    }
    return out;
  };
  CHECK(decode_tree(tree_of("100644 a", "100644 b")));
  for (const auto& [a, b] : std::vector<std::pair<std::string, std::string>>{{"100644 b", "100644 a"},
                                                                             {"100644 a", "100644 a"},
                                                                             {"120000 a", "100644 b"},
                                                                             {"100644 ", "100644 b"},
                                                                             {"0100644 a", "100644 b"},
                                                                             {"160000 a", "100644 b"},
                                                                             {"", "100644 b"},
                                                                             {"100644", "100644 b"}}) {
    CHECK(!decode_tree(tree_of(a, b)));
  }
}

// ---- libgit2's own eyes ----------------------------------------------------------------------------------------------
TEST_CASE("git: libgit2 walks the commits, the trees and the differences of a history") {
  Disk disk;
  const History history = three_commits(disk);
  Opened it(disk, false);
  CHECK(git_repository_is_bare(it.raw()) == 1);
  CHECK(git_repository_workdir(it.raw()) == nullptr);

  git_revwalk* walk = nullptr;
  REQUIRE(git_revwalk_new(&walk, it.raw()) == 0);
  REQUIRE(git_revwalk_push_head(walk) == 0);
  std::vector<std::string> ids;
  git_oid oid;
  while (git_revwalk_next(&oid, walk) == 0) ids.push_back(hex(&oid));
  git_revwalk_free(walk);
  CHECK((ids == std::vector{history.id_at(3)->hex(), history.id_at(2)->hex(), history.id_at(1)->hex()}));

  git_commit* commit = nullptr;
  oid = raw(*history.id_at(2));
  REQUIRE(git_commit_lookup(&commit, it.raw(), &oid) == 0);
  CHECK(std::string(git_commit_author(commit)->name) == "東京 鈴木");
  CHECK(std::string(git_commit_author(commit)->email) == "history@dozo.invalid");
  CHECK(git_commit_time(commit) == 1'700'000'002);
  CHECK(git_commit_time_offset(commit) == 540);
  CHECK(std::string(git_commit_summary(commit)) == "step 2");
  git_tree *two = nullptr, *three = nullptr;
  REQUIRE(git_commit_tree(&two, commit) == 0);
  git_commit_free(commit);

  std::set<std::string> paths;
  REQUIRE(git_tree_walk(
              two, GIT_TREEWALK_PRE,
              [](const char* root, const git_tree_entry* entry, void* to) {
                static_cast<std::set<std::string>*>(to)->insert(std::string(root) + git_tree_entry_name(entry));
                return 0;
              },
              &paths) == 0);
  CHECK((paths == std::set<std::string>{"%=.git", "a", "a/b", "a/b/c", "a/b/d", "a/e", "a/e/%folder"}));

  oid = raw(*history.tree_at(3));
  REQUIRE(git_tree_lookup(&three, it.raw(), &oid) == 0);
  git_diff* diff = nullptr;
  REQUIRE(git_diff_tree_to_tree(&diff, it.raw(), two, three, nullptr) == 0);
  CHECK(git_diff_num_deltas(diff) == 2);
  CHECK(git_diff_num_deltas_of_type(diff, GIT_DELTA_DELETED) == 1);
  CHECK(git_diff_num_deltas_of_type(diff, GIT_DELTA_MODIFIED) == 1);
  git_diff_free(diff);
  git_tree_free(two);
  git_tree_free(three);
}

TEST_CASE("git: all objects are listed once, abbreviated ids find nothing, the empty tree is known without being there") {
  Disk disk;
  const History history = three_commits(disk);
  Opened it(disk, false);
  git_odb* odb = nullptr;
  REQUIRE(git_repository_odb(&odb, it.raw()) == 0);
  std::multiset<std::string> ids;
  REQUIRE(git_odb_foreach(
              odb,
              [](const git_oid* id, void* to) {
                static_cast<std::multiset<std::string>*>(to)->insert(hex(id));
                return 0;
              },
              &ids) == 0);
  // 3 commits; blobs: c, .git, d, the folder's, c anew; trees: top, a, b three times, and e.
  CHECK(ids.size() == 3 + 5 + 9 + 1);
  CHECK(std::set<std::string>(ids.begin(), ids.end()).size() == ids.size());
  CHECK(git_odb_foreach(odb, [](const git_oid*, void*) { return 7; }, nullptr) == 7);
  const git_oid id = raw(*history.id_at(1)), empty = raw(empty_tree_id);
  git_odb_object* object = nullptr;
  CHECK(git_odb_read_prefix(&object, odb, &id, 10) == GIT_ENOTFOUND);
  CHECK(git_odb_read_prefix(&object, odb, &id, 40) == 0);
  git_odb_object_free(object);
  git_oid whole;
  CHECK(git_odb_exists_prefix(&whole, odb, &id, 10) == GIT_ENOTFOUND);
  CHECK(git_odb_exists_prefix(&whole, odb, &id, 40) == 0);
  std::size_t size = 0;
  git_object_t type{};
  CHECK(git_odb_read_header(&size, &type, odb, &id) == 0);
  CHECK(type == GIT_OBJECT_COMMIT);
  git_tree* tree = nullptr;
  CHECK(git_tree_lookup(&tree, it.raw(), &empty) == 0);
  git_tree_free(tree);
  git_oid written;
  CHECK(git_odb_write(&written, odb, "new", 3, GIT_OBJECT_BLOB) != 0);  // open for reading
  CHECK(it.git->trouble(Fault::unavailable).fault == Fault::denied);
  git_odb_free(odb);
}

TEST_CASE("git: a reference changes only from what its writer saw") {
  Disk disk;
  const History history = three_commits(disk);
  Opened it(disk, true);
  const git_oid one = raw(*history.id_at(1)), two = raw(*history.id_at(2)), three = raw(*history.id_at(3));
  git_reference *ref = nullptr, *other = nullptr;
  REQUIRE(git_reference_lookup(&ref, it.raw(), "refs/heads/main") == 0);
  CHECK(hex(git_reference_target(ref)) == history.id_at(3)->hex());
  git_reference_free(ref);
  git_oid resolved;
  CHECK(git_reference_name_to_id(&resolved, it.raw(), "HEAD") == 0);
  CHECK(hex(&resolved) == history.id_at(3)->hex());
  CHECK(git_reference_lookup(&ref, it.raw(), "refs/tags/none") == GIT_ENOTFOUND);

  REQUIRE(git_reference_create(&ref, it.raw(), "refs/tags/t", &one, 0, nullptr) == 0);
  CHECK(git_reference_create(&other, it.raw(), "refs/tags/t", &two, 0, nullptr) == GIT_EEXISTS);
  CHECK(git_reference_create_matching(&other, it.raw(), "refs/tags/t", &two, 1, &three, nullptr) == GIT_EMODIFIED);
  REQUIRE(git_reference_create_matching(&other, it.raw(), "refs/tags/t", &two, 1, &one, nullptr) == 0);
  git_reference_free(other);
  CHECK(git_reference_set_target(&other, ref, &three, nullptr) == GIT_EMODIFIED);  // ref still says one
  CHECK(git_reference_delete(ref) == GIT_EMODIFIED);
  git_reference_free(ref);
  REQUIRE(git_reference_lookup(&ref, it.raw(), "refs/tags/t") == 0);
  CHECK(git_reference_rename(&other, ref, "refs/heads/main", 0, nullptr) == GIT_EEXISTS);
  REQUIRE(git_reference_rename(&other, ref, "refs/tags/u", 0, nullptr) == 0);
  git_reference_free(ref);
  git_reference_free(other);
  CHECK(git_reference_lookup(&ref, it.raw(), "refs/tags/t") == GIT_ENOTFOUND);
  REQUIRE(git_reference_symbolic_create(&ref, it.raw(), "refs/heads/alias", "refs/heads/main", 0, nullptr) == 0);
  git_reference_free(ref);

  git_strarray names{};
  REQUIRE(git_reference_list(&names, it.raw()) == 0);
  CHECK((std::set<std::string>(names.strings, names.strings + names.count) == std::set<std::string>{"refs/heads/alias", "refs/heads/main", "refs/tags/u"}));
  git_strarray_dispose(&names);
  std::size_t tags = 0;
  CHECK(git_reference_foreach_glob(it.raw(), "refs/tags/*", [](const char*, void* to) { return ++*static_cast<std::size_t*>(to), 0; }, &tags) == 0);
  CHECK(tags == 1);
  REQUIRE(git_reference_lookup(&ref, it.raw(), "refs/tags/u") == 0);
  REQUIRE(git_reference_delete(ref) == 0);
  git_reference_free(ref);
  CHECK(git_reference_has_log(it.raw(), "refs/heads/main") == 0);
  git_reflog* log = nullptr;
  CHECK(git_reflog_read(&log, it.raw(), "refs/heads/main") == GIT_ENOTFOUND);
}
