// A folder of names, links and kinds of files that other programs stumble over, and whether another is the same.
#pragma once
#include "tests/daemon_fixture.h"

namespace dozo::test {

inline const std::string long_name(255, 'n');
/// A bad byte, what git will not have, what Windows will not have, what a terminal will not bear, two spellings of one name.
inline const std::vector<std::string> strange_names{
    "\xff\xfe stray",
    "cut \xe5\xb7",
    long_name,
    ".git",
    ".GIT",
    ".git ",
    "git~1",
    "con",
    "CON",
    "aux.txt",
    "dot.",
    "blank ",
    " blank",
    "new\nline",
    "tab\there",
    "\x1b[31mred",
    "left\u202etxt.exe",
    "-dash",
    "--help",
    "back\\slash",
    "a:b",
    "*?\"<>|",
    "\u6771\u4eac",
    "\u304c.txt",
    "\u304b\u3099.txt",
    "Case",
    "case",
    "~",
    "...",
    "\x7f",
    "zero\u200bwidth",
    "'quote\"",
    "%41",
};

struct Found {
  std::string kind, content;
  bool executable{};
  std::int64_t modified_ns{};
  bool operator==(const Found&) const = default;
};
inline std::int64_t modified_ns(const struct stat& status) { return status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec; }
/// All that lies there, by the bytes of its name. A folder's time is its system's own.
inline std::map<std::string, Found> tree(const fs::path& top) {
  std::map<std::string, Found> out;
  for (const auto& it : fs::recursive_directory_iterator(top)) {
    struct stat status{};
    REQUIRE(::lstat(it.path().c_str(), &status) == 0);
    Found found;
    if (S_ISLNK(status.st_mode)) {
      found = {"symlink", fs::read_symlink(it.path()).string(), false, modified_ns(status)};
    } else if (S_ISDIR(status.st_mode)) {
      found = {"folder", "", false, 0};
    } else {
      found = {"file", slurp(it.path()), (status.st_mode & 0100) != 0, modified_ns(status)};
    }
    out[it.path().lexically_relative(top).string()] = found;
  }
  return out;
}
inline void same_tree(const std::map<std::string, Found>& is, const std::map<std::string, Found>& should) {
  for (const auto& [name, found] : should) {
    INFO(name);
    REQUIRE(is.contains(name));
    CHECK(is.at(name).kind == found.kind);
    CHECK(is.at(name).content == found.content);
    CHECK(is.at(name).executable == found.executable);
    CHECK(is.at(name).modified_ns == found.modified_ns);
  }
  for (const auto& [name, found] : is) {
    INFO("beyond: ", name);
    CHECK(should.contains(name));
  }
}

inline void fill_strangely(const fs::path& top) {
  fs::create_directories(top / "names");
  std::size_t number = 0;
  for (const std::string& name : strange_names) {
    const fs::path path = top / "names" / name;
    spill(path, "content " + std::to_string(number));
    const timespec times[2] = {{0, UTIME_OMIT}, {1'600'000'000 + static_cast<std::time_t>(number), 123'456'789 + static_cast<long>(number)}};
    REQUIRE(::utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
    ++number;
  }
  fs::create_directories(top / "folder/.git/refs");
  spill(top / "folder/.git/config", "[core]");
  spill(top / "folder/.git/refs/x", "ref");
  spill(top / "run.sh", "#!/bin/sh\n");
  REQUIRE(::chmod((top / "run.sh").c_str(), 0755) == 0);
  spill(top / "empty", "");
  fs::create_directory(top / "empty-folder");
  fs::path deep = top / "deep";
  for (int level = 0; level < 60; ++level) deep /= "level" + std::to_string(level);
  fs::create_directories(deep);
  spill(deep / "bottom", "found");
  spill(top / "sparse", "begin");
  fs::resize_file(top / "sparse", 3'000'000);
  const timespec old[2] = {{0, UTIME_OMIT}, {-86'400, 5}};
  REQUIRE(::utimensat(AT_FDCWD, (top / "empty").c_str(), old, 0) == 0);  // before 1970
  fs::create_directory(top / "links");
  fs::create_symlink("/etc/passwd", top / "links/absolute");
  fs::create_symlink("../run.sh", top / "links/relative");
  fs::create_symlink("nowhere/at all\xff", top / "links/dangling");
  fs::create_symlink("loop", top / "links/loop");
  fs::create_symlink("..", top / "links/folder");
  fs::create_symlink(std::string(4'000, 't'), top / "links/long");
}

}  // namespace dozo::test
