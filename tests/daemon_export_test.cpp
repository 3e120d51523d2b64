// Libraries handed over to who has no Dozo, and taken in from there: export and import, as folders and as archives, also hostile ones.
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cstring>
#include <optional>

#include "tests/badinput_fixture.h"
#include "tests/strange_tree.h"

using namespace dozo;
using nlohmann::json;
using test::comes_true, test::fill_strangely, test::one_line, test::Pair, test::Ran, test::same_tree, test::slurp, test::spill, test::tree;
namespace fs = std::filesystem;

namespace {

/// Headquarters' node alone, with two libraries, and a place of its own for what import unpacks.
struct Handover : Pair {
  std::optional<std::string> other_place;  ///< TMPDIR of before

  Handover() {
    add_source(R"([[library]]
name = "second"
title = "二番"
home = "head"
copies = 1
names = "linux"
members.head = { holding = "full", write = true }
)");
    start("head");
    publish();
    fs::create_directory(at("tmp"));
    if (const char* was = std::getenv("TMPDIR")) other_place = was;
    ::setenv("TMPDIR", at("tmp").c_str(), 1);
  }
  ~Handover() {
    if (other_place)
      ::setenv("TMPDIR", other_place->c_str(), 1);
    else
      ::unsetenv("TMPDIR");
  }
  Ran ask(std::vector<std::string> words) const {
    words.insert(words.end(), {"--home", "head"});
    return dozo(words);
  }
  std::string told(const std::vector<std::string>& words) const {
    const Ran ran = ask(words);
    INFO(words[0], ": ", ran.error);
    CHECK(ran.status == 0);
    return ran.out;
  }
  std::string newest(const std::string& library) const {
    const json log = asked({"log", library, "-n", "1", "--home", "head"});
    return log.empty() ? "" : log[0]["commit"].get<std::string>();
  }
  /// Nothing that was unpacked is left.
  bool is_tidy() const { return fs::is_empty(at("tmp")); }
  Ran shell(const std::string& script) const { return run("/bin/sh", {"-c", script}); }
  void good_shell(const std::string& script) const {
    const Ran ran = shell(script);
    INFO(script, ": ", ran.error);
    REQUIRE(ran.status == 0);
  }
  bool has(const std::string& program) const { return shell("command -v " + program).status == 0; }
  std::vector<std::string> hidden_in(const fs::path& folder) const {
    std::vector<std::string> out;
    for (const auto& it : fs::directory_iterator(folder))
      if (it.path().filename().string().starts_with(".dozo-")) out.push_back(it.path().filename().string());
    return out;
  }
};

std::string octal(std::uint64_t value, std::size_t digits) {
  std::string out(digits, '0');
  for (std::size_t i = digits; i > 0; value >>= 3) out[--i] = static_cast<char>('0' + (value & 7));
  return out;
}

/// One member of a tar archive, as whoever wants harm may write it.
std::string member(const std::string& name, char type, const std::string& content = "", const std::string& link = "", std::optional<std::uint64_t> size = {}) {
  std::string header(512, '\0');
  const auto put = [&](std::size_t at, const std::string& text) { header.replace(at, text.size(), text); };
  put(0, name);
  put(100, "0000644");
  put(108, "0000000");
  put(116, "0000000");
  put(124, octal(size.value_or(content.size()), 11));
  put(136, octal(1'700'000'000, 11));
  put(148, "        ");
  header[156] = type;
  put(157, link);
  put(257, std::string("ustar\00000", 8));
  unsigned sum = 0;
  for (const char it : header) sum += static_cast<unsigned char>(it);
  put(148, octal(sum, 6) + std::string("\0 ", 2));
  return header + content + std::string((512 - content.size() % 512) % 512, '\0');
}
/// A member whose pax header says so.
std::string member_with(const std::vector<std::pair<std::string, std::string>>& attributes, const std::string& body) {
  std::string text;
  for (const auto& [key, value] : attributes) {
    const std::size_t rest = key.size() + value.size() + 3;
    std::size_t length = rest + 1;
    while (std::to_string(length).size() + rest != length) ++length;
    text += std::to_string(length) + " " + key + "=" + value + "\n";
  }
  return member("pax", 'x', text) + body;
}
const std::string archive_end(1024, '\0');

constexpr const char* gnu_tar = "tar --numeric-owner -p ";

}  // namespace

TEST_CASE_FIXTURE(Handover, "export: a folder goes through a library, an archive and another library, and is the same") {
  fill_strangely(at("in"));
  spill(at("in/\xe2\x84\xaa kelvin"), "a sign that composes to a plain letter");
  fs::create_directories(at("in/図面/空"));
  good_shell("cd in && for it in a b c d e f g h i j k l m n; do n=$(printf \"%250s\" | tr ' ' $it); mkdir $n && cd $n; done; echo deep > bottom");
  const auto before = tree(at("in"));
  told({"import", "in", "works:", "-m", "from a folder"});
  CHECK(asked({"log", "works:", "-n", "1", "--home", "head"})[0]["text"] == "from a folder");

  told({"export", "works", "out.tar"});
  const json counts = asked({"export", "works:", "again.tar", "--home", "head"});
  CHECK(slurp(at("out.tar")) == slurp(at("again.tar")));
  const auto of_kind = [&](const std::string& kind) { return std::ranges::count_if(before, [&](const auto& it) { return it.second.kind == kind; }); };
  CHECK(counts["files"] == of_kind("file"));
  CHECK(counts["links"] == of_kind("symlink"));
  CHECK(counts["folders"] == 2);
  CHECK(told({"export", "works", "-"}) == slurp(at("out.tar")));
  CHECK(told({"export", "works", "plain-name", "--tar"}).starts_with("wrote "));
  CHECK(slurp(at("plain-name")) == slurp(at("out.tar")));

  const std::string said = told({"import", "out.tar", "二番"});
  CHECK(said.starts_with("saved " + std::to_string(of_kind("file") + of_kind("symlink") + 2) + ", unchanged 0"));
  CHECK(is_tidy());
  told({"export", "二番:", "back"});
  same_tree(tree(at("back")), before);
  CHECK(hidden_in(at("back")).empty());
  CHECK(hidden_in(scratch.path).empty());

  // Once more is nothing new, from an empty folder that is there, a part, and one document.
  const std::string commit = newest("二番:");
  told({"import", "out.tar", "二番"});
  CHECK(newest("二番:") == commit);
  fs::create_directory(at("part"));
  told({"export", "works:links", "part"});
  same_tree(tree(at("part")), tree(at("in/links")));
  told({"export", "works:run.sh", "one"});
  CHECK(slurp(at("one/run.sh")) == "#!/bin/sh\n");
  told({"export", "works:run.sh", "one.tar"});
  told({"import", "one.tar", "二番:below/this"});
  CHECK(told({"ls", "-r", "二番:below"}) == "below/this/run.sh\n");
}

TEST_CASE_FIXTURE(Handover, "export: GNU tar reads what is written, and what it writes is read, compressed too") {
  fill_strangely(at("in"));
  const timespec old[2] = {{0, UTIME_OMIT}, {-1'000'000, 250'000'000}};
  spill(at("in/年度.txt"), "before 1970, and not on the second");
  REQUIRE(::utimensat(AT_FDCWD, at("in/年度.txt").c_str(), old, 0) == 0);
  spill(at("in/one"), "of two names\n");
  fs::create_hard_link(at("in/one"), at("in/two"));
  const auto before = tree(at("in"));
  told({"import", "in", "works"});

  told({"export", "works", "ours.tar"});
  fs::create_directory(at("theirs"));
  const Ran read = shell(std::string(gnu_tar) + "-xf ours.tar -C theirs");
  CHECK(read.status == 0);
  same_tree(tree(at("theirs")), before);
  // Nothing is strange to it, but for three names that are no text, and two times before 1970.
  INFO(read.error);
  CHECK(test::lines_of(read.error) == 5);

  for (const std::string how : {"", "-z", "--zstd", "-J", "-j", "--sparse"}) {
    INFO(how);
    const std::string program = how == "-z" ? "gzip" : how == "--zstd" ? "zstd" : how == "-J" ? "xz" : how == "-j" ? "bzip2" : "tar";
    if (!has(program)) continue;
    const std::string to = "第" + how;
    good_shell(std::string(gnu_tar) + "--format=pax " + how + " -cf theirs.tar -C in .");
    told({"import", "theirs.tar", "二番:" + to});
    told({"export", "二番:" + to, "back" + how});
    same_tree(tree(at("back" + how)), before);
    CHECK(is_tidy());
  }
  // The older formats have whole seconds.
  for (const std::string how : {"gnu", "oldgnu"}) {
    good_shell(std::string(gnu_tar) + "--format=" + how + " --sparse -cf theirs.tar -C in .");
    told({"import", "theirs.tar", "二番:" + how});
    told({"export", "二番:" + how, how});
    auto whole = before;
    for (auto& [name, found] : whole) found.modified_ns -= (found.modified_ns % 1'000'000'000 + 1'000'000'000) % 1'000'000'000;
    same_tree(tree(at(how)), whole);
  }
}

TEST_CASE_FIXTURE(Handover, "export: as it was then, and conflicts as get has them") {
  fs::create_directory(at("in"));
  spill(at("in/plan"), "first");
  told({"import", "in", "works"});
  const std::string then = newest("works:");
  spill(at("in/plan"), "second");
  spill(at("in/new"), "new");
  told({"import", "in", "works"});
  told({"export", "works", "then.tar", "--at", then});
  told({"import", "then.tar", "二番"});
  CHECK(told({"get", "二番:plan", "-"}) == "first");
  CHECK(told({"ls", "-r", "二番:"}) == "plan\n");
  told({"export", "works", "then", "--at", then.substr(0, 8)});
  CHECK(tree(at("then")).size() == 1);

  // Two names that meet: one steps aside, and goes along under the name that is shown.
  fs::create_directory(at("meet"));
  spill(at("meet/a"), "lower");
  spill(at("meet/A"), "upper");
  told({"import", "meet", "office"});
  told({"get", "office:", "got"});
  told({"export", "office", "folder"});
  told({"export", "office", "office.tar"});
  fs::create_directory(at("unpacked"));
  good_shell(std::string(gnu_tar) + "-xf office.tar -C unpacked");
  CHECK(tree(at("got")).size() == 2);
  same_tree(tree(at("folder")), tree(at("got")));
  same_tree(tree(at("unpacked")), tree(at("got")));
}

TEST_CASE_FIXTURE(Handover, "export: what is in the way stays, and what is asked wrongly is one line") {
  fs::create_directory(at("in"));
  spill(at("in/plan"), "plan");
  told({"import", "in", "works"});
  spill(at("there.tar"), "mine");
  fs::create_directories(at("full"));
  spill(at("full/mine"), "mine");
  fs::create_directories(at("folder.tar"));
  one_line(ask({"export", "works", "there.tar"}), 5, "there.tar exists");
  one_line(ask({"export", "works", "full"}), 5, "not an empty folder");
  one_line(ask({"export", "works", "there.tar", "--at", "2001-01-01"}), 3, "nothing had been saved");
  one_line(ask({"export", "works", "folder.tar", "--force"}), 5, "in the way");
  one_line(ask({"export", "works", "full", "--force"}), 2, "--force");
  one_line(ask({"export", "works", "new", "--force"}), 2, "--force");
  one_line(ask({"export", "works", "works.tar.gz"}), 2, "zstd");
  one_line(ask({"export", "works", "-", "--json"}), 2, "--json");
  one_line(ask({"export", "works:nowhere", "new.tar"}), 3, "nowhere");
  one_line(ask({"export", "works:nowhere", "new"}), 3, "nowhere");
  one_line(ask({"export", "nothing", "new.tar"}), 3, "nothing");
  one_line(ask({"export", "works", "no/where.tar"}), 4, "no/where.tar");
  one_line(ask({"export", "works", "there.tar/below"}), 4, "there.tar/below");
  one_line(ask({"import", "nowhere", "works"}), 3, "nowhere");
  one_line(ask({"import", "in", "nothing"}), 3, "nothing");
  one_line(ask({"import", "there.tar", "nothing"}), 3, "nothing");
  for (const char* name : {"new", "new.tar", "works.tar.gz"}) CHECK_FALSE(fs::exists(at(name)));
  CHECK(slurp(at("there.tar")) == "mine");
  CHECK(tree(at("full")).size() == 1);
  CHECK(hidden_in(scratch.path).empty());
  {
    const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    REQUIRE(terminal >= 0);
    REQUIRE(::grantpt(terminal) == 0);
    REQUIRE(::unlockpt(terminal) == 0);
    int status = 0;
    ::waitpid(begin(DOZO_COMMAND, {"export", "works", "-", "--home", "head"}, ::ptsname(terminal), at("pty.error")), &status, 0);
    CHECK(WEXITSTATUS(status) == 2);
    CHECK(slurp(at("pty.error")).find("not for a terminal") != std::string::npos);
    ::close(terminal);
  }
  told({"export", "works", "there.tar", "--force"});
  told({"import", "there.tar", "二番"});
  CHECK(told({"ls", "-r", "二番:"}) == "plan\n");
  // An empty library is an empty archive, and an empty folder.
  told({"export", "office", "empty.tar"});
  told({"export", "office", "empty"});
  CHECK(fs::is_empty(at("empty")));
  const std::string commit = newest("二番:");
  told({"import", "empty.tar", "二番"});
  CHECK(newest("二番:") == commit);
}

TEST_CASE_FIXTURE(Handover, "export: what is cut off is never taken for whole") {
  fs::create_directory(at("in"));
  spill(at("in/a"), "small");
  spill(at("in/large"), "");
  fs::resize_file(at("in/large"), 600'000'000);
  told({"import", "in", "works"});
  const auto half_way = [&](const std::string& target, int signal) {
    const pid_t child = begin(DOZO_COMMAND, {"export", "works", target, "--home", "head"}, at("half.out"), at("half.error"));
    const auto has_begun = [&] {
      const fs::path folder = fs::is_directory(at(target)) ? at(target) : scratch.path;
      return !hidden_in(folder).empty() || (fs::exists(at("half.out")) && fs::file_size(at("half.out")) > 100'000);
    };
    const bool begun = comes_true(has_begun);
    ::kill(signal == 0 ? running.at("head") : child, signal == 0 ? SIGKILL : signal);
    int status = 0;
    ::waitpid(child, &status, 0);
    REQUIRE(begun);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 200 + WTERMSIG(status);
  };
  // Interrupted: nothing is left. Killed: not under its name.
  CHECK(half_way("out.tar", SIGTERM) == 7);
  CHECK(half_way("out", SIGTERM) == 7);
  CHECK(hidden_in(scratch.path).empty());
  CHECK_FALSE(fs::exists(at("out")));
  CHECK(half_way("out", SIGKILL) == 200 + SIGKILL);
  CHECK(hidden_in(at("out")).size() == 1);
  CHECK(std::ranges::distance(fs::directory_iterator(at("out"))) == 1);
  CHECK(half_way("out.tar", SIGKILL) == 200 + SIGKILL);
  CHECK_FALSE(fs::exists(at("out.tar")));

  // What went elsewhere has no end, and is not taken in.
  const std::string commit = newest("works:");
  fs::remove(at("half.out"));
  for (const std::string& it : hidden_in(scratch.path)) fs::remove(at(it));
  CHECK(half_way("-", 0) == 7);
  ::waitpid(running.at("head"), nullptr, 0);
  running.erase("head");
  start("head");
  CHECK(fs::file_size(at("half.out")) > 100'000);
  one_line(ask({"import", "half.out", "works"}), 1, "no whole tar archive");
  CHECK(newest("works:") == commit);
  CHECK(is_tidy());
}

TEST_CASE_FIXTURE(Handover, "import: what a hostile archive has in it gets nowhere, and is named") {
  fs::create_directory(at("victim"));
  spill(at("victim/file"), "untouched");
  spill(at("secret"), "secret");
  const std::string outside = at("victim").string();
  REQUIRE(outside.size() < 90);
  std::string text =
      member("good", '0', "good") + member(outside + "/absolute", '0', "bad") + member("../victim/up", '0', "bad") + member("a/../../victim/up", '0', "bad") +
      member("way", '2', "", outside) + member("way/through", '0', "bad") + member("way/link", '1', "", "good") + member("way/folder", '5') +
      member("file", '2', "", outside + "/file") + member("file", '0', "bad") + member("of", '1', "", at("secret").string()) +
      member("of2", '1', "", "../secret") + member("of3", '1', "", "way/file") + member("of4", '1', "", "nothing") + member("pipe", '6') + member("null", '3') +
      member("disk", '4') + member("", '0', "bad") + member("same", '1', "", "good") + member("good", '0', "later") + member("./d//e/./f", '0', "deep") +
      member("good/below", '0', "bad") + member("d", '0', "bad") + member("g", '0', "gone") + member("g/", '5') + member("h", '2', "", "g") +
      member("h/", '5') + member("h/i", '0', "in a folder") + member("to", '2', "", outside + "/file") + member("to2", '1', "", "to") +
      member_with({{"path", outside + "/pax"}}, member("x", '0', "bad")) + member_with({{"linkpath", "/etc/passwd"}}, member("p", '2', "", "x")) +
      member_with({{"path", std::string(300, 'l')}}, member("x", '0', "bad"));
  std::string deep;
  for (int i = 0; i < 70; ++i) deep += "d/";
  text += member_with({{"path", deep + "x"}}, member("x", '0', "bad")) + archive_end;
  spill(at("evil.tar"), text);
  const Ran ran = ask({"import", "evil.tar", "works"});
  INFO(ran.error);
  CHECK(ran.status == 4);
  const std::vector<std::string> lines{
      "its name is absolute: " + outside + "/absolute",
      "its name leads upwards: ../victim/up",
      "its name leads upwards: a/../../victim/up",
      "its name goes through way, which is no folder: way/through",
      "its name goes through way, which is no folder: way/link",
      "its name goes through way, which is no folder: way/folder",
      "a second name of what the archive does not have, " + at("secret").string() + ": of",
      "a second name of what the archive does not have, ../secret: of2",
      "a second name of what the archive does not have, way/file: of3",
      "a second name of what the archive does not have, nothing: of4",
      "neither file, symlink nor folder: pipe",
      "neither file, symlink nor folder: null",
      "neither file, symlink nor folder: disk",
      "it has no name: ",
      "its name goes through good, which is no folder: good/below",
      "a folder has that name, with something in it: d",
      "its name is absolute: " + outside + "/pax",
      "its name is too long or lies too deep: " + std::string(300, 'l'),
      "its name is too long or lies too deep: " + deep + "x",
  };
  for (const std::string& line : lines) {
    INFO(line);
    CHECK(ran.error.find("dozo: not saved: " + line + "\n") != std::string::npos);
  }
  CHECK(test::lines_of(ran.error) == lines.size() + 1);
  CHECK(ran.error.find(std::to_string(lines.size()) + " not saved, named above; all else is\n") != std::string::npos);
  CHECK(told({"ls", "-r", "works:"}) == "d/e/f\nfile\ng/\ngood\nh/i\np\nsame\nto\nto2\nway\n");
  CHECK(told({"get", "works:good", "-"}) == "later");
  CHECK(told({"get", "works:same", "-"}) == "good");
  CHECK(told({"get", "works:file", "-"}) == "bad");
  CHECK(asked({"show", "works:to2", "--home", "head"})["kind"] == "symlink");
  CHECK(tree(at("victim")).size() == 1);
  CHECK(slurp(at("victim/file")) == "untouched");
  CHECK(is_tidy());
}

TEST_CASE_FIXTURE(Handover, "import: an archive that is cut off, damaged or lies changes nothing, and is one line") {
  fs::create_directories(at("in/図面"));
  spill(at("in/図面/plan"), std::string(3000, 'p'));
  spill(at("in/b"), "b");
  fs::create_symlink("b", at("in/link"));
  told({"import", "in", "works"});
  told({"export", "works", "whole.tar"});
  const std::string whole = slurp(at("whole.tar"));
  const std::string commit = newest("works:");
  spill(at("in/new"), "must not come");  // an import that is not whole must not bring this either
  good_shell("tar -b 8192 -cf new.tar -C in .");
  for (const std::string program : {"gzip", "xz", "zstd", "bzip2"})
    if (has(program)) good_shell(program + " -k -q new.tar");

  const auto refused = [&](const std::string& what, const std::string& bytes, int status, const std::string& says) {
    INFO(what);
    spill(at("bad"), bytes);
    one_line(ask({"import", "bad", "works"}), status, says);
    CHECK(newest("works:") == commit);
    CHECK(is_tidy());
  };
  const std::string not_whole = "no whole tar archive";
  refused("nothing at all", "", 1, not_whole);
  refused("a picture", "\x89PNG\r\n\x1a\n" + std::string(3000, 'x'), 1, not_whole);
  const std::size_t end = whole.find_last_not_of('\0') / 512 * 512 + 512;
  for (std::size_t length = 512; length <= end; length += 512) refused("cut at " + std::to_string(length), whole.substr(0, length), 1, not_whole);
  for (const std::size_t length : {std::size_t{100}, std::size_t{700}, end - 1, end + 100})
    refused("cut at " + std::to_string(length), whole.substr(0, length), 1, not_whole);
  for (const char* name : {"new.tar.gz", "new.tar.xz", "new.tar.zst", "new.tar.bz2"}) {
    if (!fs::exists(at(name))) continue;
    const std::string packed = slurp(at(name));
    for (const std::size_t length : {packed.size() / 2, packed.size() - 9, packed.size() - 1})
      refused(name + std::string(" cut at ") + std::to_string(length), packed.substr(0, length), 1, not_whole);
  }
  std::string damaged = whole;
  damaged[whole.find("ustar") + 100] ^= 1;
  refused("a header with a flipped bit", damaged, 1, not_whole);
  const std::string good = member("new", '0', "must not come");
  refused("a size beyond the end", good + member("x", '0', "x", "", 100'000) + archive_end, 1, not_whole);
  refused("a size that is too small", good + member("x", '0', std::string(2000, 'x'), "", 10) + archive_end, 1, not_whole);
  refused("a pax size that lies", good + member_with({{"size", "99999"}}, member("x", '0', "x")) + archive_end, 1, not_whole);
  refused("a pax header of nonsense", good + member("pax", 'x', "nonsense\n") + member("x", '0', "x") + archive_end, 1, not_whole);
  const auto sparse = [&](const std::string& map, const std::string& size) {
    return good + member_with({{"GNU.sparse.map", map}, {"GNU.sparse.size", size}}, member("x", '0', "xx")) + archive_end;
  };
  refused("a hole of a pebibyte", sparse("0,2", "1125899906842624"), 7, "TMPDIR");
  refused("a part beyond the size", sparse("100,2", "50"), 1, not_whole);
  refused("parts in the wrong order", sparse("50,1,0,1", "60"), 1, not_whole);
  // A second name is another file to whoever saves it.
  struct statvfs disk{};
  REQUIRE(::statvfs(at("tmp").c_str(), &disk) == 0);
  const std::string half = std::to_string(disk.f_bavail * disk.f_frsize / 2);
  const std::string big = member_with({{"GNU.sparse.map", "0,2"}, {"GNU.sparse.size", half}}, member("big", '0', "xx"));
  refused("more second names than there is room", good + big + member("again", '1', "", "big") + archive_end, 7, "TMPDIR");
  // Padding, and a hole that is no lie, are all right.
  spill(at("fine"),
        good + member_with({{"GNU.sparse.map", "10,2"}, {"GNU.sparse.size", "20"}}, member("x", '0', "xx")) + archive_end + std::string(20'480, '\0'));
  told({"import", "fine", "works"});
  CHECK(told({"get", "works:x", "-"}) == std::string(10, '\0') + "xx" + std::string(8, '\0'));
}

TEST_CASE_FIXTURE(Handover, "import: an archive that comes slowly can be interrupted, and leaves nothing") {
  REQUIRE(::mkfifo(at("pipe").c_str(), 0600) == 0);
  const pid_t child = begin(DOZO_COMMAND, {"import", "pipe", "works", "--home", "head"}, at("slow.out"), at("slow.error"));
  const int pipe = ::open(at("pipe").c_str(), O_WRONLY | O_CLOEXEC);
  const std::string begun = member("secret plan", '0', std::string(600'000, 's')) + member("more", '0', "", "", 5'000'000);
  std::size_t given = 0;
  while (given < begun.size()) {
    const ssize_t count = ::write(pipe, begun.data() + given, begun.size() - given);
    REQUIRE(count > 0);
    given += static_cast<std::size_t>(count);
  }
  const bool unpacks = comes_true([&] { return !is_tidy() && !tree(at("tmp")).empty() && tree(at("tmp")).size() > 1; });
  struct stat status{};
  for (const auto& it : fs::directory_iterator(at("tmp"))) {
    CHECK(::lstat(it.path().c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0700);
  }
  ::kill(child, SIGTERM);
  int ended = 0;
  ::waitpid(child, &ended, 0);
  ::close(pipe);
  CHECK(unpacks);
  CHECK(WEXITSTATUS(ended) == 7);
  CHECK(slurp(at("slow.error")) == "dozo: pipe: interrupted; nothing was saved\n");
  CHECK(is_tidy());
  CHECK(told({"ls", "-r", "works:"}).empty());
}
