// Two nodes that hold the libraries `works` and `office` (whose names must be such as all systems take), and what a good refusal looks like.
#pragma once
#include <algorithm>

#include "tests/daemon_fixture.h"

namespace dozo::test {

inline std::size_t lines_of(const std::string& text) { return static_cast<std::size_t>(std::ranges::count(text, '\n')); }

/// Refused in one line that says so, with that status.
inline void one_line(const Ran& ran, int status, const std::string& says) {
  INFO(ran.status, " ", ran.error, ran.out);
  CHECK(ran.status == status);
  CHECK(lines_of(ran.error) == 1);
  CHECK((ran.error.starts_with("dozo: ") || ran.error.starts_with("dozod: ")));
  CHECK(ran.error.find(says) != std::string::npos);
}

struct Pair : Daemons {
  Pair() {
    make_realm();
    make_node("head", "hq");
    admit("head");
    make_node("sapporo", "bureau");
    admit("sapporo");
    add_source(R"([[library]]
name = "works"
title = "works"
home = "head"
copies = 2
names = "linux"
members.head = { holding = "full", write = true }
members.sapporo = { holding = "full", write = true }
[[library]]
name = "office"
title = "office"
home = "head"
copies = 2
names = "portable"
members.head = { holding = "full", write = true }
members.sapporo = { holding = "full", write = true }
[[permit]]
id = "service"
roles = ["service"]
actions = ["read", "write"]
)");
  }
  void run_both() {
    start("head");
    publish();
    start("sapporo");
    for (const char* name : {"head", "sapporo"}) good({"node", "join", "--timeout", "10", "--home", name});
  }
  std::string get(const std::string& name, const std::string& path) const {
    const Ran ran = dozo({"get", "works:" + path, "-", "--home", name});
    return ran.status == 0 ? ran.out : "status " + std::to_string(ran.status) + " " + ran.error;
  }
};

}  // namespace dozo::test
