// Real `dozod` and `dozo` processes in a folder of the test's own, on free ports of the loopback.
// Threads: one. Daemons that a test leaves running are killed at its end.
#pragma once
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>
#include <vector>

#include "tests/scratch.h"

namespace dozo::test {

namespace fs = std::filesystem;
using nlohmann::json;

inline std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}
inline void spill(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
  REQUIRE(::chmod(path.c_str(), 0600) == 0);
}

/// That no other test takes this port between now and the start of a daemon there: a socket of that name, held until this process ends.
inline bool reserve_port(int port) {
  const std::string name = "dozo test port " + std::to_string(port);
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  std::ranges::copy(name, at.sun_path + 1);  // abstract: it is no file
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&at), static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size())) == 0) return true;
  ::close(fd);
  return false;
}

/// A port that is free with the two after it, below those that the system gives out itself.
inline int free_ports() {
  static int next = 20'001 + 3 * ((::getpid() * 37) % 3'900);
  for (int attempt = 0; attempt < 1'000; ++attempt) {
    next = next >= 31'990 ? 20'001 : next + 3;  // all tests go by the same threes
    bool free = reserve_port(next);
    for (int port = next; port < next + 3 && free; ++port) {
      const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      sockaddr_in at{};
      at.sin_family = AF_INET;
      at.sin_port = htons(static_cast<std::uint16_t>(port));
      at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      free = ::bind(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0;
      ::close(fd);
    }
    if (free) return next;
  }
  FAIL("no free ports");
  return 0;
}

/// Until `what` holds; false: it does not within the time.
inline bool comes_true(const std::function<bool()>& what, int most_ms = 10'000) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(most_ms);
  while (!what()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

struct Ran {
  int status{};
  std::string out, error;
};

struct Daemons {
  Scratch scratch;
  std::map<std::string, pid_t> running;  ///< by the home's name
  std::map<std::string, int> ports;

  Daemons() {
    ::unsetenv("DOZO_HOME");
    spill(at("key"), std::string(32, 'k'));
    spill(at("other-key"), std::string(32, 'o'));
  }
  ~Daemons() {
    for (const auto& [name, pid] : running) {
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
    }
  }
  fs::path at(const std::string& name) const { return scratch.path / name; }
  std::string log(const std::string& name) const { return slurp(at(name + ".log")); }

  pid_t begin(const std::string& program, std::vector<std::string> arguments, const fs::path& out, const fs::path& error) const {
    arguments.insert(arguments.begin(), program);
    const pid_t child = ::fork();
    if (child != 0) return child;
    ::setsid();  // no terminal to ask
    if (::chdir(scratch.path.c_str()) != 0) ::_exit(99);
    ::dup2(::open("/dev/null", O_RDONLY), 0);
    ::dup2(::open(out.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600), 1);
    ::dup2(::open(error.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600), 2);
    std::vector<char*> raw;
    for (std::string& it : arguments) raw.push_back(it.data());
    raw.push_back(nullptr);
    ::execv(program.c_str(), raw.data());
    ::_exit(98);
  }
  Ran run(const std::string& program, const std::vector<std::string>& arguments) const {
    fs::remove(at(".out"));
    fs::remove(at(".error"));
    int status = 0;
    ::waitpid(begin(program, arguments, at(".out"), at(".error")), &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 200 + WTERMSIG(status), slurp(at(".out")), slurp(at(".error"))};
  }
  Ran dozo(const std::vector<std::string>& arguments) const { return run(DOZO_COMMAND, arguments); }
  Ran dozod(const std::vector<std::string>& arguments) const { return run(DOZO_DAEMON, arguments); }
  Ran good(const std::vector<std::string>& arguments) const {
    Ran ran = dozo(arguments);
    INFO(arguments[0], " ", arguments[1], ": ", ran.status, " ", ran.error, ran.out);
    REQUIRE(ran.status == 0);
    return ran;
  }
  json asked(std::vector<std::string> arguments) const {
    arguments.emplace_back("--json");
    return json::parse(good(arguments).out);
  }

  void start(const std::string& name, std::vector<std::string> options = {}) {
    options.insert(options.begin(), name);
    fs::remove(at(name + ".log"));
    running[name] = begin(DOZO_DAEMON, options, at(name + ".out"), at(name + ".log"));
    const bool runs = comes_true([&] { return log(name).find("listens at") != std::string::npos || ended(name); });
    INFO(name, ": ", log(name));
    REQUIRE(runs);
    REQUIRE_FALSE(ended(name));
  }
  bool ended(const std::string& name) const {
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(running.at(name)), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
  }
  /// The exit status, or 200 and the number of the signal that ended it.
  int end(const std::string& name, int signal = SIGTERM) {
    const pid_t pid = running.at(name);
    ::kill(pid, signal);
    const bool gone = comes_true([&] { return ended(name); });
    INFO(name, ": ", log(name));
    REQUIRE(gone);
    running.erase(name);
    int status = 0;
    ::waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 200 + WTERMSIG(status);
  }

  void make_realm() const { good({"authority", "init", "hq", "--realm", "r", "--recovery", "2/3", "--key-file", "key"}); }
  void make_node(const std::string& name, const std::string& kind, const std::vector<std::string>& secret = {"--key-file", "key"}) {
    ports[name] = free_ports();
    std::vector<std::string> arguments{"node",
                                       "init",
                                       name,
                                       "--realm",
                                       "hq/realm.json",
                                       "--name",
                                       name,
                                       "--kind",
                                       kind,
                                       "--zone",
                                       "z-" + name,
                                       "--listen",
                                       "127.0.0.1:" + std::to_string(ports[name])};
    arguments.insert(arguments.end(), secret.begin(), secret.end());
    good(arguments);
  }
  void admit(const std::string& name) const { good({"authority", "admit", "hq", name + "/request.json", "--key-file", "key"}); }
  void add_source(const std::string& text) const { spill(at("hq/policy.toml"), slurp(at("hq/policy.toml")) + text); }
  /// A realm of HQ's node alone, with the library `works`.
  void make_small() {
    make_realm();
    make_node("head", "hq");
    admit("head");
    add_source(R"([[library]]
name = "works"
title = "工事"
home = "head"
copies = 1
members.head = { holding = "full", write = true }
[[permit]]
id = "service"
roles = ["service"]
actions = ["read", "write"]
)");
  }
  void publish() const { good({"authority", "publish", "hq", "--yes", "--key-file", "key", "--home", "head"}); }
};

}  // namespace dozo::test
