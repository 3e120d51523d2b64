#include "node/daemon_log.h"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <algorithm>

namespace dozo::node {
namespace {

constexpr std::int64_t notices_ms = 5'000;

std::string one_line(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return out;
}

}  // namespace

std::string node_text(const Engine& engine, const NodeId& node) {
  const std::string id = node.hex().substr(0, 8);
  for (const Engine::Peer& peer : engine.peers())
    if (peer.id == node && !peer.name.empty()) return peer.name + " (" + id + ")";
  return id;
}

DaemonLog::DaemonLog() : log_(std::make_unique<spdlog::logger>("dozod", std::make_shared<spdlog::sinks::stderr_sink_st>())) {
  log_->set_formatter(std::make_unique<spdlog::pattern_formatter>("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc));
  log_->set_error_handler([](const std::string&) {});  // standard error is gone: there is nobody to tell
  log_->flush_on(spdlog::level::info);
}
DaemonLog::~DaemonLog() = default;

void DaemonLog::info(std::string_view text) { log_->info("{}", one_line(text)); }
void DaemonLog::warning(std::string_view text) { log_->warn("{}", one_line(text)); }
void DaemonLog::error(std::string_view text) { log_->error("{}", one_line(text)); }

void DaemonLog::peer_up(const Engine& engine, const NodeId& peer) { info("peer up: " + node_text(engine, peer)); }
void DaemonLog::peer_down(const Engine& engine, const NodeId& peer) { info("peer down: " + node_text(engine, peer)); }

bool DaemonLog::refusals(Engine& engine) {
  const std::vector<std::string> lines = engine.take_refusals();
  for (const std::string& it : lines) warning(it);
  return !lines.empty();
}

void DaemonLog::look(Engine& engine, const TransportCounts& counts, Now now) {
  if (const auto policy = engine.realm().policy(); policy != nullptr && policy->version().value != policy_) {
    policy_ = policy->version().value;
    info("policy " + std::to_string(policy_) + " is in force");
  }
  if (now.steady_ms - notices_at_ms_ >= notices_ms) {
    notices_at_ms_ = now.steady_ms;
    std::set<std::string> notices;
    for (std::string& it : engine.notices(now)) notices.insert(std::move(it));
    for (const std::string& it : notices)
      if (!notices_.contains(it)) warning(it);
    for (const std::string& it : notices_)
      if (!notices.contains(it)) info("no longer: " + it);
    notices_ = std::move(notices);
  }
  if (now.steady_ms - refusals_at_ms_ >= notices_ms) {  // the first after a while at once
    if (refusals(engine)) refusals_at_ms_ = now.steady_ms;
  }
  if (now.steady_ms - counts_at_ms_ < counts_ms) return;
  const auto line = [&](std::uint64_t before, std::uint64_t after, const char* what) {
    if (after > before) warning("refused " + std::to_string(after - before) + " messages " + what);
  };
  line(counts_.dropped_unknown, counts.dropped_unknown, "of keys that are no peers");
  line(counts_.dropped_malformed, counts.dropped_malformed, "that break the framing");
  line(counts_.dropped_strangers, counts.dropped_strangers, "of strangers, over the rate");
  counts_ = counts;
  counts_at_ms_ = now.steady_ms;
}

}  // namespace dozo::node
