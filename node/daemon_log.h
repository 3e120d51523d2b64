// Daemon log: what the daemon tells whoever runs it, one line each on standard error, with the time in UTC.
//
// Names of nodes and ids are fine in it. Names of documents, libraries and persons, and secrets, never are: errors that may hold one are logged by their
// kind. A log that cannot be written is lost, and nothing else.
// Threads: the daemon's.
#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "node/engine.h"
#include "node/transport.h"

namespace spdlog {
class logger;
}

namespace dozo::node {

class DaemonLog {
 public:
  static constexpr std::int64_t counts_ms = 60'000;  ///< at least between two lines of counts

  DaemonLog();
  ~DaemonLog();

  void info(std::string_view text);
  void warning(std::string_view text);
  void error(std::string_view text);

  /// Says what is new since the last time: policy, notices, and now and then what was refused.
  void look(Engine& engine, const TransportCounts& counts, Now now);
  /// What the engine has refused since the last time; whether there was anything.
  bool refusals(Engine& engine);
  void peer_up(const Engine& engine, const NodeId& peer);
  void peer_down(const Engine& engine, const NodeId& peer);

 private:
  std::unique_ptr<spdlog::logger> log_;
  std::uint64_t policy_ = 0;
  std::set<std::string> notices_;
  TransportCounts counts_;
  std::int64_t counts_at_ms_ = 0, notices_at_ms_ = 0, refusals_at_ms_ = 0;
};

/// "sapporo (3f9a02c1)", or the id alone where nobody has named it.
std::string node_text(const Engine& engine, const NodeId& node);

}  // namespace dozo::node
