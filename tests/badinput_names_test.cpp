// Names, links and kinds of files that other programs stumble over: saved, passed on, and written out as they were.
#include <sys/socket.h>
#include <sys/un.h>

#include <set>

#include "tests/badinput_fixture.h"
#include "tests/strange_tree.h"

using namespace dozo;
using nlohmann::json;
using test::comes_true, test::fill_strangely, test::lines_of, test::one_line, test::Pair, test::Ran, test::same_tree, test::slurp, test::spill,
    test::strange_names, test::tree;
namespace fs = std::filesystem;

TEST_CASE_FIXTURE(Pair, "bad input: whatever a folder holds comes back at another node byte for byte, links as links") {
  run_both();
  fill_strangely(at("tree"));
  const auto before = tree(at("tree"));
  const Ran put = good({"put", "tree", "works:", "--held", "1", "--timeout", "15", "--home", "head"});
  CHECK(put.error.empty());
  good({"get", "works:tree", "back", "--home", "sapporo"});
  same_tree(tree(at("back")), before);

  {  // Listings name each, harmless to a terminal.
    const std::string shown = good({"ls", "works:tree/names", "--home", "sapporo"}).out;
    CHECK(lines_of(shown) == strange_names.size());
    for (const char c : {'\t', '\x1b', '\x7f', '\xff'}) CHECK(shown.find(c) == std::string::npos);
    for (const char* seen : {"\\xff\\xfe stray", "cut \\xe5\\xb7", "new\\x0aline", "tab\\x09here", "\\x1b[31mred", "left\\xe2\\x80\\xaetxt.exe", "東京"})
      CHECK(shown.find(seen) != std::string::npos);
    const json rows = asked({"ls", "works:tree/names", "--home", "sapporo"});
    std::set<std::string> hex;
    for (const json& row : rows) hex.insert(row["path_hex"].get<std::string>());
    for (const std::string& name : strange_names) {
      std::string wanted;
      for (const char as_char : "tree/names/" + name) {
        const auto c = static_cast<unsigned char>(as_char);
        static constexpr char digits[] = "0123456789abcdef";
        wanted += {digits[c >> 4], digits[c & 15]};
      }
      INFO(name);
      CHECK(hex.contains(wanted));
    }
    const std::string exact = good({"ls", "-0", "works:tree/names", "--home", "sapporo"}).out;
    for (const std::string& name : strange_names) CHECK(exact.find("tree/names/" + name + std::string(1, '\0')) != std::string::npos);
    CHECK(lines_of(good({"log", "works:", "--home", "sapporo"}).out) < 40);
    CHECK(asked({"log", "works:", "--home", "sapporo"}).size() >= 1);
  }

  {  // Where names must suit every system, those that meet step aside, and none is lost.
    good({"put", "tree/names", "office:", "--held", "1", "--timeout", "15", "--home", "head"});
    good({"get", "office:names", "office", "--home", "sapporo"});
    std::multiset<std::string> contents, should;
    for (const auto& [name, found] : tree(at("office"))) contents.insert(found.content);
    for (const auto& [name, found] : tree(at("tree/names"))) should.insert(found.content);
    CHECK(contents == should);
  }

  {  // Unchanged costs nothing, and one among them is put in its place.
    CHECK(asked({"put", "tree", "works:", "--home", "head"})["files"] == 0);
    spill(at("tree/names/new\nline"), "changed");
    CHECK(asked({"put", "tree/names/new\nline", "works:tree/names/", "--home", "head"})["files"] == 1);
    CHECK(get("head", "tree/names/new\nline") == "changed");
    CHECK(get("head", "tree/names/Case") != get("head", "tree/names/case"));
  }

  {  // Each can be asked for, moved and removed by its name.
    for (const std::string& name : strange_names) {
      INFO(name);
      const std::string path = "tree/names/" + name, moved = "moved/" + name;
      CHECK(get("sapporo", path) == slurp(at("tree/names") / name));
      const std::string said = good({"log", "works:" + path, "--home", "head"}).out;
      CHECK(lines_of(said) >= 1);
      CHECK(said.find('\x1b') == std::string::npos);
      good({"mv", "works:" + path, moved, "--home", "head"});
      good({"rm", "works:" + moved, "--home", "head"});
    }
    CHECK(comes_true([&] { return dozo({"ls", "works:tree/names", "--home", "sapporo"}).status == 3; }));
    one_line(dozo({"get", "works:moved/new\nline", "x", "--home", "head"}), 3, "new\\x0aline");
  }
}

TEST_CASE_FIXTURE(Pair, "bad input: what is no file, symlink or folder is named in one line, and all else is saved") {
  start("head");
  publish();
  fs::create_directory(at("mixed"));
  spill(at("mixed/good"), "good");
  REQUIRE(::mkfifo(at("mixed/pipe").c_str(), 0600) == 0);
  const int listening = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  REQUIRE(at("mixed/so\nck").string().size() < sizeof address.sun_path);
  std::ranges::copy(at("mixed/so\nck").string(), address.sun_path);
  REQUIRE(::bind(listening, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  ::close(listening);

  const Ran ran = dozo({"put", "mixed", "works:", "--home", "head"});
  INFO(ran.error);
  CHECK(ran.status == 4);
  CHECK(lines_of(ran.error) == 3);
  CHECK(ran.error.find("neither file, symlink nor folder: pipe\n") != std::string::npos);
  CHECK(ran.error.find("neither file, symlink nor folder: so\\x0ack\n") != std::string::npos);
  CHECK(ran.error.find("2 not saved") != std::string::npos);
  CHECK(good({"ls", "-r", "works:", "--home", "head"}).out == "mixed/good\n");

  one_line(dozo({"put", "mixed/pipe", "works:", "--home", "head"}), 1, "pipe");
  one_line(dozo({"put", "/dev/zero", "works:", "--home", "head"}), 1, "/dev/zero");
  one_line(dozo({"put", "nowhere", "works:", "--home", "head"}), 3, "nowhere");
  one_line(dozo({"put", "mixed/good/below", "works:", "--home", "head"}), 3, "below");
  // Something that the kernel gives no bytes of, root or not.
  fs::create_symlink("/proc/self/mem", at("mixed/mem"));
  CHECK(dozo({"put", "mixed/mem", "works:", "--home", "head"}).status == 0);
  const Ran unreadable = dozo({"put", "/proc/self/mem", "works:", "--home", "head"});
  CHECK(unreadable.status == 4);
  CHECK(unreadable.error.find("/proc/self/mem") != std::string::npos);
  CHECK(good({"ls", "-r", "works:", "--home", "head"}).out == "mem\nmixed/good\n");
}

TEST_CASE_FIXTURE(Pair, "bad input: a folder that lies too deep is named in one line, and all else is saved") {
  start("head");
  publish();
  std::string path = "deep";
  for (int part = 2; part <= 64; ++part) path += "/f";
  fs::create_directories(at(path));
  for (int i = 0; i < 5; ++i) spill(at(path) / std::to_string(i), "too deep");
  const std::string above = path.substr(0, path.size() - 2);
  spill(at(above) / "last", "just so");
  spill(at("deep/good"), "good");
  const Ran ran = dozo({"put", "deep", "works:", "--home", "head"});
  INFO(ran.error);
  CHECK(ran.status == 4);
  CHECK(lines_of(ran.error) == 2);
  CHECK(ran.error.find("at most 64 parts") != std::string::npos);
  CHECK(ran.error.find("1 not saved") != std::string::npos);
  CHECK(good({"ls", "-r", "works:", "--home", "head"}).out == above + "/last\ndeep/good\n");
  // Nor does it get there by a move.
  one_line(dozo({"mv", "works:deep", "below/this/deep", "--home", "head"}), 1, "64 parts");
  one_line(dozo({"mv", "works:deep/good", path + "/x", "--home", "head"}), 1, "64 parts");
  CHECK(good({"ls", "-r", "works:", "--home", "head"}).out == above + "/last\ndeep/good\n");
}

TEST_CASE_FIXTURE(Pair, "bad input: a file or folder that may not be read is named in one line, and all else is saved") {
  const std::vector<std::string> nobody{"--reuid=65534", "--regid=65534", "--clear-groups"};
  const auto as_nobody = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), nobody.begin(), nobody.end());
    return arguments;
  };
  if (::geteuid() != 0 || ::access("/usr/bin/setpriv", X_OK) != 0 || run("/usr/bin/setpriv", as_nobody({DOZO_DAEMON, "--help"})).status != 0) {
    MESSAGE("skipped: needs root, setpriv and programs that others may run: the daemon that reads must not be root's");
    return;
  }
  start("head");
  publish();
  CHECK(end("head") == 0);
  fs::create_directories(at("half/closed"));
  spill(at("half/good"), "good");
  spill(at("half/secret"), "secret");
  spill(at("half/closed/below"), "below");
  for (const auto& it : fs::recursive_directory_iterator(scratch.path)) REQUIRE(::lchown(it.path().c_str(), 65534, 65534) == 0);
  REQUIRE(::chown(scratch.path.c_str(), 65534, 65534) == 0);
  REQUIRE(::chmod(at("half/secret").c_str(), 0) == 0);
  REQUIRE(::chmod(at("half/closed").c_str(), 0) == 0);

  running["head"] = begin("/usr/bin/setpriv", as_nobody({DOZO_DAEMON, "head"}), at("head.out"), at("nobody.log"));
  const auto runs = [&] { return log("nobody").find("listens at") != std::string::npos; };
  REQUIRE_MESSAGE(comes_true(runs), log("nobody"));
  const Ran ran = run("/usr/bin/setpriv", as_nobody({DOZO_COMMAND, "put", "half", "works:", "--home", "head"}));
  INFO(ran.error);
  CHECK(ran.status == 4);
  CHECK(lines_of(ran.error) == 3);
  CHECK(ran.error.find("Permission denied: closed\n") != std::string::npos);
  CHECK(ran.error.find("half/secret\n") != std::string::npos);
  CHECK(run("/usr/bin/setpriv", as_nobody({DOZO_COMMAND, "ls", "-r", "works:", "--home", "head"})).out == "half/good\n");
  one_line(run("/usr/bin/setpriv", as_nobody({DOZO_COMMAND, "put", "half/closed", "works:", "--home", "head"})), 4, "half/closed");
}
