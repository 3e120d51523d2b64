// The daemon as people run it: start, stop, death, refusals, and what it says.
#include "tests/daemon_fixture.h"

using namespace dozo;
using nlohmann::json;
using test::comes_true, test::Daemons, test::Ran, test::slurp, test::spill;
namespace fs = std::filesystem;

namespace {

std::size_t lines_of(const std::string& text) { return static_cast<std::size_t>(std::ranges::count(text, '\n')); }

/// One line says why; lines of the log before it, where there are some, have a time in front.
void refused(const Ran& ran, int status, const std::string& says, std::size_t lines_of_log = 0) {
  INFO(ran.status, " ", ran.error);
  CHECK(ran.status == status);
  REQUIRE(lines_of(ran.error) == lines_of_log + 1);
  const std::size_t last = ran.error.rfind("dozod: ");
  REQUIRE(last != std::string::npos);
  CHECK(lines_of(ran.error.substr(last)) == 1);
  CHECK(ran.error.find(says, last) != std::string::npos);
}

/// Over the middle of a store's file: its tree pages.
void spoil(const fs::path& file) {
  REQUIRE(fs::exists(file));
  std::fstream out(file, std::ios::binary | std::ios::in | std::ios::out);
  const auto size = static_cast<std::streamoff>(fs::file_size(file));
  const std::string garbage(4096, '\x5a');
  for (std::streamoff at = 8192; at + 4096 <= size; at += 4096) out.seekp(at).write(garbage.data(), 4096);
}

}  // namespace

TEST_CASE_FIXTURE(Daemons, "daemon: one home has one daemon, ports are taken once, and --check says what would happen") {
  make_small();
  refused(dozod({}), 2, "which node");
  refused(dozod({"head", "--nonsense"}), 2, "unknown option");
  refused(dozod({"head", "--key-file", "key", "--passphrase-file", "key"}), 2, "exclude");
  refused(dozod({"nowhere"}), 3, "no home");
  refused(dozod({"head", "--key-file", "other-key"}), 4, "head/keys/node.key: wrong key");
  CHECK(dozod({"--help"}).status == 0);

  const Ran could = dozod({"head", "--check"});
  CHECK(could.status == 0);
  CHECK(could.out == "ok\n");
  CHECK(could.error.empty());
  CHECK_FALSE(fs::exists(at("head/running")));

  start("head");
  CHECK(fs::exists(at("head/running")));
  refused(dozod({"head"}), 7, "in use");
  refused(dozod({"head", "--check"}), 7, "in use");

  make_node("twin", "bureau");
  std::string settings = slurp(at("twin/node.toml"));
  const std::string theirs = ":" + std::to_string(ports["twin"]), taken = ":" + std::to_string(ports["head"] + 1);
  settings.replace(settings.find(theirs), theirs.size(), taken);
  spill(at("twin/node.toml"), settings);
  refused(dozod({"twin"}), 7, std::to_string(ports["head"] + 1));
  refused(dozod({"twin", "--check"}), 7, std::to_string(ports["head"] + 1));

  CHECK(end("head") == 0);
  CHECK_FALSE(fs::exists(at("head/running")));
  CHECK(log("head").find("stopped") != std::string::npos);
  CHECK(dozo({"status", "--home", "head"}).status == 7);
}

TEST_CASE_FIXTURE(Daemons, "daemon: keys under a passphrase do not open with other words, nor without a terminal to ask") {
  make_realm();
  spill(at("words"), "土蔵 の 鍵\n");
  spill(at("wrong"), "土蔵 の 錠\n");
  make_node("a", "bureau", {"--passphrase-file", "words"});
  refused(dozod({"a", "--passphrase-file", "wrong"}), 4, "a/keys/node.key: wrong passphrase");
  refused(dozod({"a"}), 7, "no terminal");
}

TEST_CASE_FIXTURE(Daemons, "daemon: it comes back from a death with all that was saved, and says what is damaged") {
  make_small();
  start("head");
  publish();
  spill(at("plan"), "a plan");
  good({"put", "plan", "works:", "--home", "head"});
  CHECK(end("head", SIGKILL) == 200 + SIGKILL);
  CHECK(fs::exists(at("head/running")));

  start("head");
  CHECK(log("head").find("did not end by itself") != std::string::npos);
  CHECK(good({"get", "works:plan", "-", "--home", "head"}).out == "a plan");
  end("head", SIGKILL);

  spoil(at("head/derived/data.mdb"));
  start("head");
  CHECK(log("head").find("derived store was damaged") != std::string::npos);
  CHECK(good({"get", "works:plan", "-", "--home", "head"}).out == "a plan");
  CHECK(end("head") == 0);

  // Another node's store, and then a damaged one.
  make_node("other", "bureau");
  CHECK(dozod({"other", "--check"}).status == 0);
  fs::remove_all(at("other/truth"));
  fs::copy(at("head/truth"), at("other/truth"));
  refused(dozod({"other"}), 4, "does not open with this node's key");
  CHECK_FALSE(fs::exists(at("other/running")));
  start("head");
  end("head", SIGKILL);
  spoil(at("head/truth/data.mdb"));
  refused(dozod({"head"}), 6, "dozo fsck", 1);
  CHECK(fs::exists(at("head/running")));
  refused(dozod({"head"}), 6, "dozo fsck", 1);
}

TEST_CASE_FIXTURE(Daemons, "daemon: versions that were published while HQ's node was away are handed over with the newest") {
  // The second version reached no node: without its snapshot nobody could tell afterwards that the first was ever in force.
  make_small();
  start("head");
  publish();
  CHECK(end("head") == 0);
  const auto documents = [&] { return asked({"fsck", "head", "--key-file", "key"})["documents"].get<int>(); };
  const int first = documents();
  const std::string source = slurp(at("hq/policy.toml"));
  for (const char* names : {"linux", "portable"}) {
    std::string changed = source;
    changed.replace(changed.find("copies = 1"), 10, "copies = 1\nnames = \"" + std::string(names) + "\"");
    spill(at("hq/policy.toml"), changed);
    good({"authority", "publish", "hq", "--yes", "--key-file", "key"});
  }
  start("head");
  good({"authority", "offer", "hq", "--home", "head"});
  CHECK(end("head") == 0);
  CHECK(documents() == first + 5);  // of both versions snapshot and mesh, and the newest freshness
}

TEST_CASE_FIXTURE(Daemons, "daemon: a folder's place may end in a slash, and what is no side of a conflict ends none") {
  make_small();
  start("head");
  publish();
  fs::create_directories(at("in/plans"));
  for (const char* name : {"a1", "b1"}) spill(at("in/plans") / name, name);
  good({"put", "in/", "works:", "--home", "head"});
  good({"get", "works:plans/", "out", "--home", "head"});
  for (const char* name : {"a1", "b1"}) CHECK(slurp(at("out") / name) == name);
  // A document that has nothing to do with the other is never taken away for it.
  CHECK(dozo({"resolve", "works:plans/a1", "--use", "plans/b1", "--home", "head"}).status != 0);
  CHECK(dozo({"resolve", "works:plans/a1", "--use", "plans/b1", "--with", "in/plans/b1", "--home", "head"}).status == 2);
  CHECK(good({"get", "works:plans/a1", "-", "--home", "head"}).out == "a1");
  // Only files and links are replaced.
  REQUIRE(::mkfifo(at("pipe").c_str(), 0600) == 0);
  CHECK(dozo({"get", "works:plans/a1", "pipe", "--force", "--home", "head"}).status == 5);
  CHECK(fs::is_fifo(at("pipe")));
  good({"mv", "works:plans/", "drawings", "--home", "head"});
  good({"rm", "-r", "works:drawings/", "--home", "head"});
  CHECK(good({"ls", "-r", "works:", "--home", "head"}).out.empty());
}

TEST_CASE_FIXTURE(Daemons, "daemon: names of one character are listed and written out like any other") {
  make_small();
  start("head");
  publish();
  fs::create_directories(at("in/b/c"));
  for (const char* name : {"a", "b/d", "b/ee"}) spill(at("in") / name, name);
  good({"put", "in/", "works:", "--home", "head"});
  CHECK(good({"ls", "-r", "works:", "--home", "head"}).out == "a\nb/c/\nb/d\nb/ee\n");
  CHECK(good({"ls", "-r", "works:b", "--home", "head"}).out == "b/c/\nb/d\nb/ee\n");
  good({"get", "works:", "out", "--home", "head"});
  CHECK(slurp(at("out/a")) == "a");
  CHECK(fs::is_directory(at("out/b/c")));
}

TEST_CASE_FIXTURE(Daemons, "daemon: a folder of thousands of documents moves and goes in several records, and what stops that says how far it was") {
  make_small();
  start("head");
  publish();
  constexpr int count = 2'500;
  for (int i = 0; i < count; ++i) {
    fs::create_directories(at("many") / std::to_string(i % 20));
    spill(at("many") / std::to_string(i % 20) / ("file" + std::to_string(i)), std::to_string(i));
  }
  good({"put", "many", "works:", "--home", "head"});
  const auto lines = [&](const char* place) { return lines_of(dozo({"ls", "-r", place, "--home", "head"}).out); };
  const json moved = asked({"mv", "works:many", "moved", "--home", "head"});
  CHECK(moved["files"] == count);
  CHECK(moved["records"].get<int>() > 2);
  CHECK(good({"ls", "works:", "--home", "head"}).out == "moved/\n");
  CHECK(lines("works:moved") == count);
  CHECK(good({"get", "works:moved/7/file2487", "-", "--home", "head"}).out == "2487");
  // What cannot end is not begun.
  CHECK(dozo({"mv", "works:moved", "moved/in", "--home", "head"}).status != 0);
  CHECK(lines("works:moved") == count);

  // The quota ends it in the middle.
  const std::uint64_t stored = asked({"library", "list", "--home", "head"})[0]["pack_bytes"];
  std::string source = slurp(at("hq/policy.toml"));
  const std::string before = "write = true }";
  source.replace(source.rfind(before), before.size(), "write = true, quota = \"" + std::to_string(stored / 1024 + 40) + " KiB\" }");
  spill(at("hq/policy.toml"), source);
  publish();
  const Ran ran = dozo({"mv", "works:moved", "again", "--home", "head"});
  INFO(ran.error);
  CHECK(ran.status == 4);
  CHECK(lines_of(ran.error) == 1);
  CHECK(ran.error.find("of 2500 documents, the others are where they were") != std::string::npos);
  const std::size_t there = lines("works:again");
  CHECK((there > 0 && there < count));
  CHECK(ran.error.find("done with " + std::to_string(there) + " of") != std::string::npos);
  CHECK(lines("works:moved") == count - there);
  spill(at("hq/policy.toml"), source.replace(source.rfind(", quota"), source.find(" }", source.rfind(", quota")) - source.rfind(", quota"), ""));
  publish();
  CHECK(asked({"rm", "-r", "works:moved", "--home", "head"})["files"] == count - there);
  CHECK(good({"ls", "works:", "--home", "head"}).out == "again/\n");
}

TEST_CASE_FIXTURE(Daemons, "daemon: what has not changed since it was saved is not read again, and whatever has changed is") {
  make_small();
  start("head");
  publish();
  fs::create_directories(at("in"));
  for (const char* name : {"a", "b", "c"}) spill(at("in") / name, std::string("the text of ") + name);
  fs::create_symlink("a", at("in/link"));
  struct Put {
    int files, unchanged, bytes;
    bool operator==(const Put&) const = default;
  };
  const auto put = [&](const std::vector<std::string>& more = {}) {
    std::vector<std::string> words{"put", "in/", "works:", "--home", "head"};
    words.insert(words.end(), more.begin(), more.end());
    const json said = asked(words);
    return Put{said["files"].get<int>(), said["unchanged"].get<int>(), said["bytes"].get<int>()};
  };
  const auto shown = [&](const std::string& name) { return good({"get", "works:" + name, "-", "--home", "head"}).out; };
  // A file that has just changed is read once more: two changes may have one time.
  const auto settle = [] { std::this_thread::sleep_for(std::chrono::milliseconds(3200)); };
  constexpr int text = 13, link = 1;
  CHECK(put() == Put{4, 0, 3 * text + link});
  CHECK(put() == Put{0, 4, 3 * text + link});
  settle();
  CHECK(put() == Put{0, 4, 3 * text + link});
  CHECK(put() == Put{0, 4, link});
  CHECK(put({"--reread"}) == Put{0, 4, 3 * text + link});

  // Of the same size and time, and yet another: the file itself, or another file in its place.
  const auto time = fs::last_write_time(at("in/a"));
  spill(at("in/a"), "THE TEXT OF A");
  fs::last_write_time(at("in/a"), time);
  CHECK(put() == Put{1, 3, text + link});
  CHECK(shown("a") == "THE TEXT OF A");
  spill(at("other"), "the TEXT of b");
  fs::last_write_time(at("other"), fs::last_write_time(at("in/b")));
  fs::rename(at("other"), at("in/b"));
  CHECK(put() == Put{1, 3, 2 * text + link});
  CHECK(shown("b") == "the TEXT of b");
  fs::last_write_time(at("in/c"), time - std::chrono::hours(1));
  CHECK(put() == Put{0, 4, 3 * text + link});  // another time alone
  settle();
  CHECK(put() == Put{0, 4, 3 * text + link});
  fs::permissions(at("in/c"), fs::perms::owner_all);
  CHECK(put() == Put{1, 3, text + link});
  settle();
  CHECK(put() == Put{0, 4, text + link});
  CHECK(put() == Put{0, 4, link});

  // The library shows something else, or nothing, and what is here is to be seen there again.
  spill(at("else"), "something else");
  good({"put", "else", "works:a", "--home", "head"});
  CHECK(put() == Put{1, 3, text + link});
  CHECK(shown("a") == "THE TEXT OF A");
  good({"rm", "works:a", "--home", "head"});
  CHECK(put() == Put{1, 3, text + link});
  good({"mv", "works:b", "b2", "--home", "head"});
  CHECK(put() == Put{1, 3, text + link});

  // The next daemon knows it too; without what is derived all is read.
  CHECK(end("head") == 0);
  start("head");
  CHECK(put() == Put{0, 4, link});
  CHECK(end("head") == 0);
  fs::remove_all(at("head/derived"));
  start("head");
  CHECK(put() == Put{0, 4, 3 * text + link});
  CHECK(put() == Put{0, 4, link});
}

TEST_CASE_FIXTURE(Daemons, "daemon: after a login nothing is saved as the node's until a person says so, not elsewhere and not by the next daemon") {
  make_small();
  good({"person", "new", "sato", "--realm", "hq/realm.json", "--shown", "Sato", "--key-file", "key"});
  good({"authority", "admit", "hq", "sato.request.json", "--key-file", "key"});
  add_source(R"([[person.posts]]
post = "chief"
[[org]]
id = "roads"
title = "Roads"
[[post]]
id = "chief"
title = "Chief"
org = "roads"
roles = ["clerk"]
[[permit]]
id = "clerks"
roles = ["clerk"]
actions = ["read", "write"]
[[library]]
name = "other"
title = "other"
home = "head"
copies = 1
members.head = { holding = "full", write = true }
)");
  start("head");
  publish();
  int number = 0;
  const auto put = [&](const std::string& library) {
    spill(at("note"), std::to_string(++number));
    return dozo({"put", "note", library + ":", "--json", "--home", "head"});
  };
  const auto refused_put = [&](const std::string& library) {
    const Ran ran = put(library);
    INFO(ran.error, ran.out);
    CHECK(ran.status == 4);
    CHECK(lines_of(ran.error) == 1);
    CHECK(ran.error.find("dozo person logout") != std::string::npos);
  };
  const auto login = [&] { good({"person", "login", "sato.key", "--role", "clerk", "--library", "工事", "--key-file", "key", "--home", "head"}); };
  CHECK(asked({"status", "--home", "head"})["session"].is_null());
  CHECK(json::parse(put("works").out)["as"] == json({{"person", nullptr}, {"role", "service"}, {"who", "head"}}));

  login();
  const json session = asked({"status", "--home", "head"})["session"];
  CHECK(session["role"] == "clerk");
  CHECK(session["state"] == "active");
  CHECK(session["libraries"].size() == 1);
  const json as = json::parse(put("works").out)["as"];
  CHECK(as["person"] == session["person"]);
  CHECK(as["who"] == "Sato");
  refused_put("other");
  CHECK(good({"ls", "other:", "--home", "head"}).out.empty());

  // Gone with its daemon, whichever way that ended.
  for (const int signal : {SIGTERM, SIGKILL}) {
    end("head", signal);
    start("head");
    const json lost = asked({"status", "--home", "head"})["session"];
    CHECK(lost["state"] == "lost");
    CHECK(lost["person"] == session["person"]);
    CHECK(lost["role"] == "clerk");
    CHECK(good({"status", "--home", "head"}).out.find("is over") != std::string::npos);
    refused_put("works");
    CHECK(dozo({"rm", "works:note", "--home", "head"}).status == 4);
    CHECK(good({"get", "works:note", "-", "--home", "head"}).out == "2");
  }
  login();
  CHECK(put("works").status == 0);
  good({"person", "logout", "--home", "head"});
  CHECK(asked({"status", "--home", "head"})["session"].is_null());
  CHECK(json::parse(put("works").out)["as"]["role"] == "service");
  end("head");
  start("head");
  CHECK(put("other").status == 0);
}

TEST_CASE_FIXTURE(Daemons, "daemon: what is typed wrongly ends with 2, and a whole library does not go by a path that was forgotten") {
  make_small();
  start("head");
  publish();
  spill(at("note"), "a note");
  spill(at("stray\xff"), "a name that is not UTF-8");
  good({"put", "note", "stray\xff", "works:", "--home", "head"});
  for (const std::vector<std::string>& wrong : std::vector<std::vector<std::string>>{{"put", "works:"},
                                                                                     {"put", "note", "works"},
                                                                                     {"get", "note", "x"},
                                                                                     {"get", "works:", "-"},
                                                                                     {"ls", "works"},
                                                                                     {"rm", "note"},
                                                                                     {"rm", "works:"},
                                                                                     {"rm", "-r", "works:"},
                                                                                     {"rm", "-rf", "works:"},
                                                                                     {"mv", "works:note", "other:a/b"},
                                                                                     {"resolve", "note"},
                                                                                     {"put", "note", "works:", "--held", "1"},
                                                                                     {"nonsense"}}) {
    std::vector<std::string> arguments = wrong;
    arguments.insert(arguments.end(), {"--home", "head"});
    const Ran ran = dozo(arguments);
    INFO(wrong[0], " ", wrong.back(), ": ", ran.error);
    CHECK(ran.status == 2);
    CHECK(lines_of(ran.error) == 1);
  }
  CHECK(good({"get", "works:note", "-", "--home", "head"}).out == "a note");
  const json paths = asked({"log", "works:", "--home", "head"})[0]["paths_hex"];
  CHECK(paths.back() == "7374726179ff");
  good({"rm", "-r", "works:", "--yes", "--home", "head"});
  CHECK(good({"ls", "works:", "--home", "head"}).out.empty());
}

TEST_CASE_FIXTURE(Daemons, "daemon: get does not go through a symlink that an earlier get made") {
  make_small();
  start("head");
  publish();
  fs::create_directory(at("in"));
  fs::create_directory(at("elsewhere"));
  fs::create_symlink(at("elsewhere"), at("in/plans"));
  good({"put", "in/", "works:", "--home", "head"});
  good({"get", "works:", "out", "--home", "head"});
  REQUIRE(fs::is_symlink(at("out/plans")));
  good({"rm", "works:plans", "--home", "head"});
  fs::remove(at("in/plans"));
  fs::create_directory(at("in/plans"));
  spill(at("in/plans/mine"), "not there");
  good({"put", "in/", "works:", "--home", "head"});
  for (const char* force : {"--json", "--force"}) {
    const Ran ran = dozo({"get", "works:", "out", force, "--home", "head"});
    INFO(ran.error);
    CHECK(ran.status == 5);
    CHECK(fs::is_empty(at("elsewhere")));
  }
}

TEST_CASE_FIXTURE(Daemons, "daemon: a stop does not wait for a large save, and a save whose client has gone is given up") {
  make_small();
  start("head");
  publish();
  fs::create_directory(at("large"));
  spill(at("large/file"), "");
  fs::resize_file(at("large/file"), std::uintmax_t{1} << 40);  // a hole: nothing is read of the disk
  const auto bytes_read = [&] {
    std::ifstream io("/proc/" + std::to_string(running.at("head")) + "/io");
    std::string name;
    std::uint64_t bytes = 0;
    io >> name >> bytes;
    REQUIRE(name == "rchar:");
    return bytes;
  };
  /// Comes back when the daemon is at it: under a sanitizer the command alone takes its time.
  const auto put_large = [&] {
    const std::uint64_t before = bytes_read();
    const pid_t client = begin(DOZO_COMMAND, {"put", "large", "works:", "--home", "head"}, at("put.out"), at("put.error"));
    CHECK(comes_true([&] { return bytes_read() > before + (16U << 20); }));
    return client;
  };
  const auto ended_early = [&] { return log("head").find("ended early") != std::string::npos; };

  pid_t client = put_large();
  std::istringstream limits(slurp("/proc/" + std::to_string(client) + "/limits"));
  std::string soft, hard;
  for (std::string line; std::getline(limits, line);)
    if (line.starts_with("Max core file size")) std::istringstream(line.substr(18)) >> soft >> hard;
  CHECK((soft == "0" && hard == "0"));  // secrets are in it, at times
  ::kill(client, SIGKILL);
  ::waitpid(client, nullptr, 0);
  CHECK(comes_true(ended_early));

  client = put_large();
  spill(at("plan"), "a plan");
  good({"put", "plan", "works:", "--home", "head"});  // beside the other
  CHECK(end("head") == 0);
  int status = 0;
  ::waitpid(client, &status, 0);
  CHECK(WEXITSTATUS(status) == 7);
  CHECK(slurp(at("put.error")).find("stopped") != std::string::npos);
  CHECK_FALSE(fs::exists(at("head/running")));
  start("head");
  CHECK(good({"ls", "-r", "works:", "--home", "head"}).out == "plan\n");
}

TEST_CASE_FIXTURE(Daemons, "daemon: two saves run at once, others wait their turn, and questions are answered meanwhile") {
  make_small();
  start("head");
  publish();
  fs::create_directory(at("large"));
  spill(at("large/file"), "");
  fs::resize_file(at("large/file"), std::uintmax_t{1} << 40);
  spill(at("plan"), "a plan");
  const auto put = [&](const char* source) { return begin(DOZO_COMMAND, {"put", source, "works:", "--home", "head"}, at("put.out"), at("put.error")); };
  const pid_t first = put("large"), second = put("large");
  const auto files_read = [&] {
    std::size_t count = 0;
    std::error_code code;
    for (const auto& it : fs::directory_iterator("/proc/" + std::to_string(running["head"]) + "/fd", code))
      count += fs::read_symlink(it.path(), code) == fs::canonical(at("large/file")) ? 1 : 0;
    return count;
  };
  REQUIRE(comes_true([&] { return files_read() == 2; }));
  const pid_t third = put("plan");
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  int status = 0;
  CHECK(::waitpid(third, &status, WNOHANG) == 0);  // waits
  CHECK(asked({"status", "--home", "head"})["policy"] == 1);
  ::kill(first, SIGKILL);
  ::waitpid(first, nullptr, 0);
  CHECK(comes_true([&] { return ::waitpid(third, &status, WNOHANG) == third; }));
  CHECK(status == 0);
  CHECK(good({"get", "works:plan", "-", "--home", "head"}).out == "a plan");
  CHECK(end("head") == 0);
  ::waitpid(second, &status, 0);
  CHECK(WEXITSTATUS(status) == 7);
}

TEST_CASE_FIXTURE(Daemons, "daemon: hanging up does no harm, one signal is a stop, two are an end") {
  make_small();
  start("head");
  publish();
  ::kill(running["head"], SIGHUP);
  ::kill(running["head"], SIGPIPE);
  CHECK(asked({"status", "--home", "head"})["policy"] == 1);
  CHECK(end("head", SIGINT) == 0);

  start("head");
  ::kill(running["head"], SIGSTOP);
  ::kill(running["head"], SIGTERM);
  ::kill(running["head"], SIGINT);  // both wait until it goes on
  CHECK(end("head", SIGCONT) == 1);
  CHECK(fs::exists(at("head/running")));
}
