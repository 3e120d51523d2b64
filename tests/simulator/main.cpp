// simulate: runs realms, one for each seed, and says what did not hold and how to see it again.
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <string_view>

#include "crypto/start.h"
#include "tests/simulator/world.h"

using namespace dozo;
using namespace dozo::simulator;

namespace {

constexpr std::string_view usage =
    "usage: simulate [--seeds A..B] [--operations N] [--trace] [--twice] [--coverage] [--planted NAME | --all-planted]\n"
    "  --seeds A..B     one realm for each number (1..200)\n"
    "  --operations N   acts in the first phase of each (300)\n"
    "  --trace          what happens, line by line\n"
    "  --twice          each seed twice: both must do the same\n"
    "  --coverage       fail where a fault or a state never came about\n"
    "  --planted NAME   with a planted bug; fails where its invariant does not see it in any seed\n"
    "  --all-planted    that with each planted bug, some seeds each\n";

struct Arguments {
  std::uint64_t first = 1, last = 200;
  Options options;
  bool twice = false, coverage = false, all_planted = false;
};

[[noreturn]] void wrong(std::string_view what) {
  fmt::print(stderr, "simulate: {}\n{}", what, usage);
  std::exit(2);
}

Arguments read(int count, char** values) {
  Arguments out;
  const auto number = [](std::string_view text) {
    std::uint64_t value = 0;
    if (text.empty() || text.size() > 18) wrong("not a number");
    for (const char c : text) {
      if (c < '0' || c > '9') wrong("not a number");
      value = value * 10 + static_cast<std::uint64_t>(c - '0');
    }
    return value;
  };
  for (int i = 1; i < count; ++i) {
    const std::string_view it = values[i];
    const auto next = [&]() -> std::string_view {
      if (++i == count) wrong("something is missing after " + std::string(it));
      return values[i];
    };
    if (it == "--seeds") {
      const std::string_view range = next();
      const std::size_t dots = range.find("..");
      out.first = number(range.substr(0, dots));
      out.last = dots == std::string_view::npos ? out.first : number(range.substr(dots + 2));
    } else if (it == "--operations") {
      out.options.operations = number(next());
    } else if (it == "--trace") {
      out.options.trace = true;
    } else if (it == "--twice") {
      out.twice = true;
    } else if (it == "--coverage") {
      out.coverage = true;
    } else if (it == "--all-planted") {
      out.all_planted = true;
    } else if (it == "--planted") {
      const auto planted = planted_named(next());
      if (!planted) wrong("no such planted bug");
      out.options.planted = *planted;
    } else {
      wrong("unknown: " + std::string(it));
    }
  }
  return out;
}

struct Ran {
  std::vector<Violation> violations;
  Coverage coverage;
  std::uint64_t fingerprint = 0;
};
Ran run(Options options, std::uint64_t seed) {
  options.seed = seed;
  World world(options);
  world.run();
  return {world.violations(), world.coverage, world.fingerprint()};
}

void tell(std::uint64_t seed, const Arguments& arguments, const Violation& it) {
  fmt::print("seed {}, operation {}: {}: {}\n  again: tools/simulate --seeds {}..{} --operations {}{} --trace\n", seed, it.operation, it.invariant, it.text,
             seed, seed, arguments.options.operations,
             arguments.options.planted == Planted::none ? "" : " --planted " + std::string(name_of(arguments.options.planted)));
}

/// Some seed must show the planted bug to the invariant that it was planted for.
bool find_planted(Arguments arguments) {
  const std::string_view finder = finder_of(arguments.options.planted);
  for (std::uint64_t seed = arguments.first; seed <= arguments.last; ++seed) {
    const Ran ran = run(arguments.options, seed);
    for (const Violation& it : ran.violations) {
      if (it.invariant != finder) continue;
      fmt::print("planted {}: found by {} in seed {}: {}\n", name_of(arguments.options.planted), finder, seed, it.text);
      return true;
    }
  }
  fmt::print("planted {}: {} did not see it in seeds {}..{}\n", name_of(arguments.options.planted), finder, arguments.first, arguments.last);
  return false;
}

}  // namespace

int main(int count, char** values) {
  Arguments arguments = read(count, values);
  if (const auto started = crypto::start(); !started) {
    fmt::print(stderr, "simulate: {}\n", started.error().text);
    return 2;
  }
  if (arguments.all_planted) {
    bool all = true;
    arguments.last = std::min(arguments.last, arguments.first + 9);
    for (std::uint8_t i = 1; i <= static_cast<std::uint8_t>(Planted::swallowed_slices); ++i) {
      arguments.options.planted = static_cast<Planted>(i);
      all = find_planted(arguments) && all;
    }
    return all ? 0 : 1;
  }
  if (arguments.options.planted != Planted::none && !arguments.options.trace) return find_planted(arguments) ? 0 : 1;

  Coverage coverage;
  std::uint64_t failed = 0;
  const auto began = std::chrono::steady_clock::now();
  for (std::uint64_t seed = arguments.first; seed <= arguments.last; ++seed) {
    const Ran ran = run(arguments.options, seed);
    coverage.add(ran.coverage);
    for (const Violation& it : ran.violations) tell(seed, arguments, it);
    bool bad = !ran.violations.empty();
    if (arguments.twice && run(arguments.options, seed).fingerprint != ran.fingerprint) {
      fmt::print("seed {} does not do the same twice\n", seed);
      bad = true;
    }
    failed += bad ? 1 : 0;
  }
  const double took_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  fmt::print("seeds {}..{}, {} operations each: {} failed, {:.1f} s\n{}", arguments.first, arguments.last, arguments.options.operations, failed, took_s,
             coverage.table());
  if (arguments.coverage && !coverage.missing().empty()) {
    fmt::print("never came about: {}\n", coverage.missing());
    return 1;
  }
  return failed == 0 ? 0 : 1;
}
