#include "node/daemon.h"

#include <algorithm>
#include <chrono>
#include <fstream>

#include "crypto/hash.h"
#include "crypto/random.h"
#include "crypto/session.h"

namespace dozo::node {
namespace {

Now read_clock() {
  using std::chrono::duration_cast, std::chrono::milliseconds;
  return {duration_cast<milliseconds>(std::chrono::steady_clock::now().time_since_epoch()).count(),
          duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count()};
}

/// A cloned machine may have the same dice, but not at the same time under the same boot id.
IncarnationId new_incarnation(Now now) {
  Bytes from(32);
  crypto::random_bytes(from);
  std::ifstream boot("/proc/sys/kernel/random/boot_id");
  std::string boot_id;
  std::getline(boot, boot_id);
  append(from, view_of(boot_id));
  std::array<std::uint8_t, 16> times{};
  put_u64(times.data(), static_cast<std::uint64_t>(now.wall_ms));
  put_u64(times.data() + 8, static_cast<std::uint64_t>(now.steady_ms));
  append(from, times);
  IncarnationId out;
  const Digest hash = crypto::sha256(from);
  std::copy_n(hash.bytes.begin(), out.bytes.size(), out.bytes.begin());
  return out;
}

TransportOptions transport_options(const Settings& settings) {
  TransportOptions out;
  if (settings.listen_host.empty()) return out;
  TransportOptions::Listen listen;
  listen.host = settings.listen_host;
  listen.control = settings.port;
  listen.bulk = static_cast<std::uint16_t>(settings.port + 1);
  listen.introduce = static_cast<std::uint16_t>(settings.port + 2);
  out.listen = listen;
  return out;
}

sync::Channel of(Channel channel) { return channel == Channel::control ? sync::Channel::control : sync::Channel::bulk; }
Channel of(sync::Channel channel) { return channel == sync::Channel::control ? Channel::control : Channel::bulk; }

}  // namespace

Result<std::unique_ptr<Daemon>> Daemon::open(const Home& home, const HomeKeys& keys, HomeStore& store, DaemonLog& log) {
  std::unique_ptr<Daemon> out(new Daemon(home, {store.derived(), keys.local}, log));
  std::optional<local::SessionRow> lost;
  if (const auto mark = TRY(read_session_mark(home))) lost = local::SessionRow{mark->person, mark->role, mark->until_ms, "lost", {}};
  EngineContext context{.truth = store.truth(),
                        .derived = store.derived(),
                        .local = keys.local,
                        .node = keys.node,
                        .first_root = home.realm.first_root,
                        .contacts = home.realm.contacts,
                        .recovered = TRY(read_recovered(home, keys.local)),
                        .incarnation = new_incarnation(read_clock()),
                        .freshness = TRY(read_freshness_key(home, keys.node)),
                        .lost_session = std::move(lost)};
  // Ports first: a mistake there shows at once, a large store takes its time.
  out->transport_ = TRY(Transport::open(transport_options(home.settings), keys.node.transport));
  context.woken = [transport = out->transport_.get()] { transport->wake(); };
  out->local_ = TRY(LocalServer::open(home.path));
  out->engine_ = TRY(Engine::open(std::move(context), read_clock()));
  out->saves_ = std::make_unique<PutJobs>(store.truth(), out->seen_, [transport = out->transport_.get()] { transport->wake(); });
  out->compactor_ = std::make_unique<Compactor>(store.derived());
  return out;
}

Daemon::~Daemon() = default;

std::string Daemon::introduction() const {
  const Settings& settings = home_.settings;
  return "node " + settings.name + ", " + std::string(policy::name_of(settings.kind)) + " in zone " + settings.zone + ", of realm " +
         engine_->realm().id().hex().substr(0, 16) + "; " +
         (settings.listen_host.empty() ? "only calls others" : "listens at " + settings.listening().control.substr(6) + " and the two ports after it");
}

bool Daemon::run(const StopRequest& stop) {
  std::array<PollItem, 2> items{local_->poll_item(), PollItem{.fd = stop.descriptor}};
  set_peers();
  hand_out();
  log_.look(*engine_, transport_->counts(), read_clock());
  while (*stop.asked == 0) turn(items, 60'000);
  log_.info("stopping");
  (void)log_.refusals(*engine_);
  saves_->stop();
  const std::int64_t until_ms = read_clock().steady_ms + stop_ms;
  while (!saves_->idle()) {
    const std::int64_t left_ms = until_ms - read_clock().steady_ms;
    if (left_ms <= 0) return false;
    turn(std::span(items).first(1), std::min<std::int64_t>(left_ms, 500));
  }
  serve_saves();
  return true;
}

void Daemon::turn(std::span<PollItem> items, std::int64_t wait_most_ms) {
  Now now = read_clock();
  std::int64_t wait_ms = wait_most_ms;
  if (wake_at_ms_) wait_ms = std::min(wait_ms, std::max<std::int64_t>(*wake_at_ms_ - now.steady_ms, 0));
  if (!refused_.empty()) wait_ms = std::min(wait_ms, refused_again_ms);
  std::vector<TransportEvent> events = transport_->poll(static_cast<int>(wait_ms), items);
  for (TransportEvent& event : events) take(std::move(event));
  for (const auto& [peer, channel] : std::exchange(refused_, {})) tell(sync::SendRefused{peer, channel});
  if (engine_->has_news() || (wake_at_ms_ && read_clock().steady_ms >= *wake_at_ms_)) tell(sync::Tick{});
  take_requests();
  serve_saves();
  for (const Compactor::News& it : compactor_->take_news()) it.failed ? log_.warning(it.text) : log_.info(it.text);
  log_.look(*engine_, transport_->counts(), read_clock());
}

void Daemon::take(TransportEvent event) {
  if (auto* up = std::get_if<PeerUp>(&event)) {
    log_.peer_up(*engine_, up->peer);
    tell(sync::LinkUp{up->peer});
  } else if (auto* down = std::get_if<PeerDown>(&event)) {
    log_.peer_down(*engine_, down->peer);
    tell(sync::LinkDown{down->peer});
  } else if (auto* received = std::get_if<Received>(&event)) {
    tell(sync::Received{received->peer, of(received->channel), std::move(received->bytes)});
  } else if (auto* stranger = std::get_if<ReceivedFromStranger>(&event)) {
    tell(sync::ReceivedFromStranger{std::move(stranger->token), std::move(stranger->bytes)});
  } else if (auto* answered = std::get_if<IntroductionAnswered>(&event)) {
    transport_->end_introduction(answered->introduction);  // it has the documents now; what it lacks it will ask for as a peer
  }
}

void Daemon::take_requests() {
  for (auto asked = local_->receive(); !asked.empty(); asked = local_->receive()) {
    for (LocalServer::Asked& it : asked) {
      if (auto* put = std::get_if<local::PutRequest>(&it.request)) {
        if (const auto begun = saves_->start(it.token, std::move(*put)); !begun)
          static_cast<void>(local_->answer(it.token, local::Refusal{static_cast<std::uint8_t>(begun.error().fault), begun.error().text}));
        continue;
      }
      const local::Answer answer = this->answer(it.request);
      hand_out();
      static_cast<void>(local_->answer(it.token, answer));  // who has gone needs no answer
    }
  }
}

/// What the engine answers; that there is a session is also written into the home, for the daemon after this one.
local::Answer Daemon::answer(const local::Request& request) {
  const auto refusal = [](const Error& error, std::string_view before) {
    return local::Refusal{static_cast<std::uint8_t>(error.fault), std::string(before) + error.text};
  };
  if (std::holds_alternative<local::EndSessionRequest>(request)) {
    if (const auto cleared = clear_session(home_); !cleared) return refusal(cleared.error(), "the session stays: ");
  }
  const Now now = read_clock();
  const auto* begun = std::get_if<local::SessionRequest>(&request);
  const auto claimed = begun != nullptr ? crypto::read_certificate(begun->certificate) : Result<crypto::SessionCertificate>(fail(Fault::not_found, ""));
  if (!claimed) return engine_->answer(request, now);
  // The mark first: a death in between leaves one session too many to be ended, never one that nobody knows of.
  if (const auto marked = mark_session(home_, {claimed->person, begun->role, claimed->not_after_ms}); !marked)
    return refusal(marked.error(), "no session begins of which the next daemon of this home would not know: ");
  local::Answer out = engine_->answer(request, now);
  if (std::holds_alternative<local::Done>(out)) return out;
  const auto before = engine_->session(now);
  const auto put_back = before ? mark_session(home_, {before->person, before->role, before->until_ms}) : clear_session(home_);
  if (!put_back) log_.warning("the mark of a session that was refused stays: " + put_back.error().text);
  return out;
}

void Daemon::serve_saves() {
  saves_->serve(*engine_, read_clock, [this] { hand_out(); });
  for (const PutJobs::Said& it : saves_->take()) {
    if (!local_->answer(it.token, it.answer)) saves_->give_up(it.token);
    if (const auto* saved = std::get_if<local::Saved>(&it.answer))
      log_.info("saved " + std::to_string(saved->files) + " documents in " + std::to_string(saved->records) + " records, " +
                std::to_string(saved->skipped.size()) + " left out");
    if (const auto* refused = std::get_if<local::Refusal>(&it.answer))
      log_.warning("a save ended early: " + std::string(name_of(static_cast<Fault>(refused->fault))));
  }
}

void Daemon::tell(const Engine::Input& input) {
  wake_at_ms_.reset();  // every input says anew when the next tick is wanted
  engine_->on(input, read_clock());
  hand_out();
}

void Daemon::hand_out() {
  for (Engine::Output& output : engine_->take_outputs()) {
    if (auto* it = std::get_if<sync::Send>(&output)) {
      send(it->peer, it->channel, it->bytes);
    } else if (auto* stranger = std::get_if<sync::AnswerStranger>(&output)) {
      static_cast<void>(transport_->answer_stranger(stranger->token, stranger->bytes));  // gone: it will come again
    } else if (auto* wake = std::get_if<sync::WakeAt>(&output)) {
      wake_at_ms_ = std::min(wake_at_ms_.value_or(wake->steady_ms), wake->steady_ms);
    } else if (std::holds_alternative<Engine::PeersChanged>(output)) {
      set_peers();
    } else if (auto* introduce = std::get_if<Engine::Introduce>(&output)) {
      const auto begun = transport_->introduce_to(introduce->endpoint, introduce->key, introduce->messages);
      if (!begun) log_.warning("cannot introduce this node to " + node_text(*engine_, introduce->peer) + ": " + begun.error().text);
    }
  }
}

void Daemon::send(const NodeId& peer, sync::Channel channel, ByteView bytes) {
  switch (transport_->send(peer, of(channel), bytes)) {
    case SendOutcome::taken: return;
    case SendOutcome::full:
    case SendOutcome::no_link: refused_.insert({peer, channel}); return;
    case SendOutcome::too_large:  // a bug of ours: the engine knows the limits
      log_.error("a message of " + std::to_string(bytes.size()) + " bytes is too large for its channel and was not sent");
  }
}

void Daemon::set_peers() {
  std::vector<PeerAddress> peers;
  for (Engine::Peer& it : engine_->peers()) peers.push_back({it.id, it.key, std::move(it.addresses.control), std::move(it.addresses.bulk)});
  for (const std::string& line : transport_->set_peers(peers)) log_.warning(line);
}

}  // namespace dozo::node
