// Authority fixture: runs `dozo` as people do at headquarters, in a scratch folder, without a terminal and without a daemon.
#pragma once
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>
#include <vector>

#include "crypto/random.h"
#include "crypto/start.h"
#include "node/home.h"
#include "node/local_socket.h"
#include "policy/authoring.h"
#include "policy/keys.h"
#include "policy/trust.h"
#include "tests/scratch.h"

namespace dozo::test {

using nlohmann::json;
namespace fs = std::filesystem;

struct Ran {
  int status{};
  std::string out, error;
};

inline std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}
inline void spill(const fs::path& path, const std::string& text, mode_t mode = 0600) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
  REQUIRE(::chmod(path.c_str(), mode) == 0);
}

/// A folder in which people at headquarters work.
struct AuthorityFixture {
  test::Scratch scratch;
  AuthorityFixture() {
    REQUIRE(crypto::start());
    ::unsetenv("DOZO_HOME");
    spill(at("key"), std::string(32, 'k'));
    spill(at("other-key"), std::string(32, 'o'));
  }
  fs::path at(const std::string& name) const { return scratch.path / name; }

  /// Runs `dozo` in the scratch folder, without a terminal.
  Ran run(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), DOZO_COMMAND);
    const std::string out = at(".out"), error = at(".error");
    const pid_t child = ::fork();
    if (child == 0) {
      ::setsid();  // no terminal to ask
      if (::chdir(scratch.path.c_str()) != 0) ::_exit(99);
      ::dup2(::open("/dev/null", O_RDONLY), 0);
      ::dup2(::open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), 1);
      ::dup2(::open(error.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), 2);
      std::vector<char*> raw;
      for (std::string& it : arguments) raw.push_back(it.data());
      raw.push_back(nullptr);
      ::execv(DOZO_COMMAND, raw.data());
      ::_exit(98);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 200, slurp(out), slurp(error)};
  }
  Ran good(const std::vector<std::string>& arguments) const {
    Ran ran = run(arguments);
    INFO(arguments[0], " ", arguments[1], ": ", ran.error, ran.out);
    REQUIRE(ran.status == 0);
    return ran;
  }
  void refused(int status, const std::string& says, const std::vector<std::string>& arguments) const {
    const Ran ran = run(arguments);
    INFO(arguments[0], " ", arguments[1], ": ", ran.status, " ", ran.error);
    CHECK(ran.status == status);
    CHECK(ran.error.find(says) != std::string::npos);
    CHECK(ran.error.starts_with("dozo: "));
  }

  void make_realm(const std::string& folder = "hq", const std::string& name = "realm") const {
    good({"authority", "init", folder, "--realm", name, "--recovery", "2/3", "--key-file", "key"});
  }
  void make_node(const std::string& name, const std::string& kind, const std::string& authority = "hq") const {
    good({"node", "init", "n-" + name, "--realm", authority + "/realm.json", "--name", name, "--kind", kind, "--zone", "z-" + name, "--listen",
          "127.0.0.1:7700", "--key-file", "key"});
  }
  Ran admit(const std::string& request) const { return good({"authority", "admit", "hq", request, "--key-file", "key"}); }
  json publish() const { return json::parse(good({"authority", "publish", "hq", "--yes", "--json", "--key-file", "key"}).out); }
  /// A realm of three nodes and one library at sapporo.
  void make_country() const {
    make_realm();
    make_node("head", "hq");
    make_node("sapporo", "bureau");
    make_node("naha", "vault");
    for (const char* name : {"head", "sapporo", "naha"}) admit("n-" + std::string(name) + "/request.json");
    add_source(R"([[library]]
name = "works"
title = "工事"
home = "head"
copies = 2
members.head = { holding = "full", write = true }
members.sapporo = { holding = "full", write = true }
members.naha = { holding = "blind" }
[[permit]]
id = "service"
roles = ["service"]
actions = ["read", "write"]
)");
  }
  void add_source(const std::string& text) const { spill(at("hq/policy.toml"), slurp(at("hq/policy.toml")) + text); }

  Bytes document(std::uint64_t version, const std::string& name) const {
    return *node::read_file(at("hq/published") / std::to_string(version) / name, 1U << 26);
  }
  policy::Epochs epochs(std::uint64_t version) const { return *policy::parse_epochs(policy::read_envelope(document(version, "epochs"))->payload); }
  policy::Mesh mesh(std::uint64_t version) const { return *policy::parse_mesh(policy::read_envelope(document(version, "mesh"))->payload); }
  std::vector<Bytes> published(std::uint64_t version) const {
    std::vector<Bytes> out;
    for (const char* first : {"freshness", "snapshot"}) out.push_back(document(version, first));
    for (const auto& it : fs::directory_iterator(at("hq/published") / std::to_string(version)))
      if (it.path().filename() != "freshness" && it.path().filename() != "snapshot") out.push_back(*node::read_file(it.path(), 1U << 26));
    return out;
  }
};

inline std::int64_t now_ms() { return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count(); }

}  // namespace dozo::test
