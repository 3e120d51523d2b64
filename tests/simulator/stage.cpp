#include "tests/simulator/stage.h"

#include <cstdio>
#include <cstdlib>

#include "crypto/seeded_random.h"

namespace dozo::simulator {
namespace {

template <class... Functions>
struct Overloaded : Functions... {
  using Functions::operator()...;
};

[[noreturn]] void fail_with(const std::string& why) {
  std::fprintf(stderr, "stage: %s\n", why.c_str());
  std::abort();
}

}  // namespace

Stage::Stage(std::uint64_t seed, std::uint32_t loss_percent) : dice(seed), loss_percent_(loss_percent) {
  crypto::use_seeded_randomness(seed);
  authority = std::make_unique<Authority>("stage", begin_ms / 1000);
}

NodeIndex Stage::add(const std::string& name, policy::NodeKind kind, const std::string& zone) {
  const NodeIndex index = nodes_.size();
  nodes_.push_back(std::make_unique<Process>(name, index));
  by_id_[nodes_.back()->keys.id] = index;
  by_name_[name] = index;
  authority->admit(name, nodes_.back()->keys.public_part());
  plan.nodes[name] = {kind, zone};
  return index;
}

void Stage::begin() {
  arrivals_.assign(nodes_.size() * nodes_.size() * 2, 0);
  const std::vector<Bytes> first = authority->publish(plan, {}, wall_s());
  for (auto& it : nodes_) {
    start(*it);
    offer(*it, first);
  }
  for (std::size_t a = 0; a < nodes_.size(); ++a)
    for (std::size_t b = 0; b < nodes_.size(); ++b)
      if (a != b)
        at(now_ms_ + dice.between(0, 2'000), [this, a, b] {
          if (!cut_.contains(std::minmax(a, b))) give(a, sync::LinkUp{nodes_[b]->keys.id});
        });
  run(60'000);
}

// ---- nodes and links -------------------------------------------------------------------------------------------------
void Stage::start(Process& it) {
  std::optional<crypto::SigningKey> freshness;
  if (it.index == 0) freshness = authority->freshness_key();
  const auto started = it.start({authority->first_root(), {authority->contact(nodes_[0]->name)}, std::move(freshness), now_of(it)});
  if (!started) fail_with(it.name + ": " + started.error().text);
  pump(it);
  if (it.run == 1) return;
  for (auto& other : nodes_)
    if (other->index != it.index && other->running() && !cut_.contains(pair_of(it, *other))) {
      give(it.index, sync::LinkUp{other->keys.id});
      give(other->index, sync::LinkUp{it.keys.id});
    }
}

void Stage::stop(Process& it) {
  it.stop();
  for (auto& other : nodes_)
    if (other->index != it.index && other->running() && !cut_.contains(pair_of(it, *other))) give(other->index, sync::LinkDown{it.keys.id});
}

void Stage::cut(Process& a, Process& b) {
  if (!cut_.insert(pair_of(a, b)).second) return;
  give(a.index, sync::LinkDown{b.keys.id});
  give(b.index, sync::LinkDown{a.keys.id});
}
void Stage::cut_off(Process& it) {
  for (auto& other : nodes_)
    if (other->index != it.index) cut(it, *other);
}
void Stage::link(Process& a, Process& b) {
  if (cut_.erase(pair_of(a, b)) == 0) return;
  give(a.index, sync::LinkUp{b.keys.id});
  give(b.index, sync::LinkUp{a.keys.id});
}
void Stage::link_all() {
  for (const auto& [a, b] : std::set(cut_)) link(*nodes_[a], *nodes_[b]);
}

// ---- time ------------------------------------------------------------------------------------------------------------
void Stage::step() {
  auto event = events_.extract(events_.begin());
  now_ms_ = event.key().first;
  event.mapped()();
}
void Stage::run(std::int64_t some_ms) {
  const std::int64_t end_ms = now_ms_ + some_ms;
  while (!events_.empty() && events_.begin()->first.first <= end_ms) step();
  now_ms_ = std::max(now_ms_, end_ms);
}
bool Stage::until(const std::function<bool()>& holds, std::int64_t most_ms) {
  const std::int64_t end_ms = now_ms_ + most_ms;
  while (!holds()) {
    if (events_.empty() || events_.begin()->first.first > end_ms) return now_ms_ = end_ms, holds();
    step();
  }
  return true;
}

// ---- messages --------------------------------------------------------------------------------------------------------
void Stage::give(NodeIndex to, const node::Engine::Input& input) {
  Process& it = *nodes_[to];
  if (!it.running()) return;
  it.engine->on(input, now_of(it));
  it.wake_ms.reset();
  pump(it);
}

void Stage::send(NodeIndex from, NodeIndex to, sync::Channel channel, Bytes bytes) {
  if (cut_.contains(std::minmax(from, to)) || !nodes_[to]->running()) return;
  if (mute_.contains({from, to})) {
    auto message = sync::decode(bytes, sync::control_bytes_most);
    if (message && std::holds_alternative<sync::DocumentsGiven>(*message)) bytes = sync::encode(sync::DocumentsGiven{});
  }
  ++messages_;
  bytes_ += bytes.size();
  std::int64_t arrival_ms = now_ms_ + dice.between(5, 120);
  for (std::int64_t again_ms = 200; dice.below(100) < loss_percent_; again_ms *= 2) arrival_ms += again_ms;
  std::int64_t& last_ms = arrivals_[(from * nodes_.size() + to) * 2 + static_cast<std::size_t>(channel)];
  last_ms = arrival_ms = std::max(arrival_ms, last_ms);
  const std::uint64_t run = nodes_[to]->run, own_run = nodes_[from]->run;
  at(arrival_ms, [this, from, to, channel, run, own_run, bytes = std::move(bytes)] {
    // What was on its way on a line that broke is gone.
    if (nodes_[to]->run == run && nodes_[from]->run == own_run && nodes_[from]->running() && !cut_.contains(std::minmax(from, to)))
      give(to, sync::Received{nodes_[from]->keys.id, channel, bytes});
  });
}

void Stage::pump(Process& it) {
  std::optional<std::int64_t> wake;
  for (node::Engine::Output& output : it.engine->take_outputs())
    std::visit(Overloaded{[&](sync::Send& what) {
                            if (const auto to = by_id_.find(what.peer); to != by_id_.end()) send(it.index, to->second, what.channel, std::move(what.bytes));
                          },
                          [&](const sync::WakeAt& what) { wake = wake ? std::min(*wake, what.steady_ms) : what.steady_ms; }, [&](const auto&) {}},
               output);
  if (!wake || (it.wake_ms && *it.wake_ms <= *wake)) return;
  it.wake_ms = wake;
  at(*wake, [this, index = it.index, when = *wake, run = it.run] {
    if (nodes_[index]->run == run && nodes_[index]->wake_ms == when) give(index, sync::Tick{});
  });
}

// ---- what people do --------------------------------------------------------------------------------------------------
std::vector<Bytes> Stage::publish(const policy::Changes& changes) {
  std::vector<Bytes> out = authority->publish(plan, changes, wall_s());
  if (nodes_[0]->running()) offer(*nodes_[0], out);
  return out;
}

void Stage::offer(Process& to, const std::vector<Bytes>& envelopes) {
  for (int round = 0; round < 2; ++round) (void)to.engine->answer(node::local::OfferRequest{envelopes}, now_of(to));
  pump(to);
}

node::local::Answer Stage::ask(Process& of, const node::local::Request& request) {
  node::local::Answer out = of.engine->answer(request, now_of(of));
  pump(of);
  return out;
}

Result<Sequence> Stage::save(Process& at, const std::string& library, const std::string& name) {
  const node::SaveKeys keys = TRY(at.engine->begin_save(library, now_of(at)));
  const std::vector<node::Act> acts{node::PutAct{name, {store::dir_value, std::nullopt}}};
  const node::Prepared prepared = TRY(at.engine->prepare_save(keys.library, acts, "", nullptr, now_of(at)));
  std::vector<store::SealedPack> packs;
  store::Ingest ingest({keys.library, keys.epoch, 3, 0}, keys.key, *keys.index, [&](store::SealedPack&& pack) -> Result<void> {
    packs.push_back(std::move(pack));
    return {};
  });
  TRY(ingest.add_record(prepared.signed_record));
  TRY(ingest.finish());
  auto out = at.engine->commit_save(keys.library, prepared, {}, packs, now_of(at));
  pump(at);
  return out;
}

std::set<std::string> Stage::shown(Process& at, const std::string& library) {
  std::set<std::string> out;
  const node::local::Answer answer = ask(at, node::local::ListRequest{library, "", "", true});
  if (const auto* listing = std::get_if<node::local::Listing>(&answer))
    for (const node::local::ListRow& row : listing->rows) out.insert(row.path);
  return out;
}

}  // namespace dozo::simulator
