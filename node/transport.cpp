#include "node/transport.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <set>

#include "crypto/random.h"
#include "node/steady_clock.h"
#include "node/transport_body.h"

namespace dozo::node {

namespace {

constexpr int sockets_most = 8'192;
constexpr int linger_ms = 200;                                                          // for the last word to each peer
constexpr int control_taken_most = 64, bulk_taken_most = 32, strangers_taken_most = 8;  // of one socket in one poll
constexpr std::size_t introductions_most = 64;
constexpr std::size_t endpoint_chars_most = 300;

/// Only tcp: an address from elsewhere must not open a socket of this machine. A ';' would name the near end.
bool may_be_dialled(const std::string& endpoint) {
  return endpoint.starts_with("tcp://") && endpoint.size() <= endpoint_chars_most && endpoint.find(';') == std::string::npos;
}

std::uint16_t port_of(const std::string& endpoint) {
  std::uint16_t port = 0;
  const std::size_t colon = endpoint.rfind(':');
  if (colon != std::string::npos) std::from_chars(endpoint.data() + colon + 1, endpoint.data() + endpoint.size(), port);
  return port;
}

}  // namespace

Transport::Transport(std::unique_ptr<Body> body) : body_(std::move(body)) {}
Transport::~Transport() = default;
Result<std::unique_ptr<Transport>> Transport::open(TransportOptions options, const crypto::TransportKey& key) {
  auto body = std::make_unique<Body>(std::move(options), key);
  TRY(body->open());
  return std::unique_ptr<Transport>(new Transport(std::move(body)));
}
TransportOptions::Listen Transport::listening() const { return body_->listening(); }
std::vector<std::string> Transport::set_peers(std::span<const PeerAddress> peers) { return body_->set_peers(peers); }
std::vector<TransportEvent> Transport::poll(int timeout_ms, std::span<PollItem> items) { return body_->poll(timeout_ms, items); }
void Transport::wake() { body_->wake(); }
SendOutcome Transport::send(const NodeId& peer, Channel channel, ByteView bytes) { return body_->send(peer, channel, bytes); }
bool Transport::answer_stranger(ByteView token, ByteView bytes) { return body_->answer_stranger(token, bytes); }
Result<std::uint64_t> Transport::introduce_to(const std::string& endpoint, const crypto::TransportPublicKey& server, std::span<const Bytes> messages) {
  return body_->introduce_to(endpoint, server, messages);
}
void Transport::end_introduction(std::uint64_t introduction) { body_->end_introduction(introduction); }
bool Transport::is_up(const NodeId& peer) const { return body_->is_up(peer); }
TransportCounts Transport::counts() const { return body_->counts(); }

Transport::Body::Body(TransportOptions options, const crypto::TransportKey& key)
    : options_(std::move(options)), key_(key.copy()), run_(crypto::random_id<RunId>()), now_ms_(steady_ms()), stranger_messages_(options_.strangers) {}

Transport::Body::~Body() {
  say_end_to_all();
  peers_.clear();
  introductions_.clear();
  strangers_.close();
  for (ZmqSocket& router : routers_) router.close();
  if (context_) shut_down(context_);
  zap_.reset();
  context_.reset();
  if (wake_fd_ >= 0) ::close(wake_fd_);
}

SocketLimits Transport::Body::limits(Channel channel) const {
  const bool control = channel == Channel::control;
  return {.message_bytes_most = (control ? options_.control_bytes_most : options_.bulk_bytes_most) + 1,
          .queue = control ? options_.control_queue : options_.bulk_queue,
          .linger_ms = linger_ms};
}

Result<void> Transport::Body::open() {
  wake_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_fd_ < 0) return fail(Fault::unavailable, "open the transport: no descriptor is left");
  context_ = TRY(make_context(1, sockets_most));
  zap_ = TRY(Zap::start(context_, options_.strangers));
  if (!options_.listen) return {};
  ports_ = *options_.listen;
  routers_[0] = TRY(listen(ports_.host, ports_.control, "control", limits(Channel::control), peers_domain, false));
  routers_[1] = TRY(listen(ports_.host, ports_.bulk, "bulk", limits(Channel::bulk), peers_domain, false));
  const SocketLimits introduce{.message_bytes_most = options_.introduce_bytes_most, .queue = options_.introduce_queue};
  strangers_ = TRY(listen(ports_.host, ports_.introduce, "introduce", introduce, strangers_domain, true));
  return {};
}

Result<ZmqSocket> Transport::Body::listen(const std::string& host, std::uint16_t& port, const char* name, const SocketLimits& limits, const char* domain,
                                          bool watched) {
  ZmqSocket socket = TRY(ZmqSocket::make(context_, SocketKind::router, limits));
  socket.serve_curve(key_.reveal(), domain);
  socket.tune_tcp(false, options_.handshake_ms);
  if (watched) TRY(socket.watch(context_));
  const bool bracket = host.find(':') != std::string::npos && !host.starts_with('[');
  const int error = socket.bind("tcp://" + (bracket ? "[" + host + "]" : host) + ":" + (port == 0 ? "*" : std::to_string(port)));
  const std::string place = "port " + std::to_string(port) + " (" + name + ") of " + host;
  switch (error) {
    case 0: break;
    case EADDRINUSE: return fail(Fault::unavailable, place + " is taken by another program");
    case EACCES: return fail(Fault::unavailable, place + " may not be used by this user");
    case EADDRNOTAVAIL: return fail(Fault::unavailable, place + ": this machine does not have that address");
    case EINVAL:
    case ENODEV: return fail(Fault::malformed, place + ": not an address to listen on");
    default: return fail(Fault::unavailable, place + ": " + std::strerror(error));
  }
  port = port_of(socket.bound_endpoint());
  return socket;
}

TransportOptions::Listen Transport::Body::listening() const { return options_.listen ? ports_ : TransportOptions::Listen{}; }

bool Transport::Body::is_up(const NodeId& peer) const {
  const auto it = peers_.find(peer);
  return it != peers_.end() && it->second.is_up;
}

// ---- who the peers are -----------------------------------------------------------------------------------------------

std::string Transport::Body::dial(Peer& peer, Channel channel) {
  const auto i = static_cast<std::size_t>(channel);
  const std::string& endpoint = channel == Channel::control ? peer.address.control : peer.address.bulk;
  if (endpoint.empty()) return {};
  const std::string what = "node " + peer.address.id.hex() + ": its " + (channel == Channel::control ? "control" : "bulk") + " address cannot be dialled";
  if (!may_be_dialled(endpoint)) return what;
  auto socket = ZmqSocket::make(context_, SocketKind::dealer, limits(channel));
  if (!socket) return what + ": " + socket.error().text;
  socket->call_curve(key_.public_key().view(), key_.reveal(), peer.address.key.view());
  socket->tune_tcp(true, options_.handshake_ms);
  if (const int error = socket->connect(endpoint); error != 0) return what + ": " + std::strerror(error);
  peer.sockets[i] = std::move(*socket);
  peer.dialled[i] = Link{.heard_ms = now_ms_, .dialled_ms = now_ms_};
  return {};
}

// libzmq dials again after a broken connection, but never after a breach of its protocol by the far end, whoever that was.
void Transport::Body::redial(Peer& peer) {
  for (const Channel channel : {Channel::control, Channel::bulk}) {
    const auto i = static_cast<std::size_t>(channel);
    const Link& link = peer.dialled[i];
    if (link.is_live || now_ms_ - std::max(link.heard_ms, link.dialled_ms) < options_.redial_ms) continue;
    peer.sockets[i].close();
    peer.dialled[i].dialled_ms = now_ms_;
    static_cast<void>(dial(peer, channel));  // what is wrong with the address was said by set_peers
  }
}

void Transport::Body::drop(Peer& peer) {
  for (const Channel channel : {Channel::control, Channel::bulk})
    for (const auto& [routing, link] : peer.accepted[static_cast<std::size_t>(channel)]) end(channel, routing, link.fd);
  if (peer.is_up) events_.emplace_back(PeerDown{peer.address.id});
  by_key_.erase(peer.address.key);
}

std::vector<std::string> Transport::Body::set_peers(std::span<const PeerAddress> peers) {
  now_ms_ = steady_ms();
  std::map<NodeId, PeerAddress> wanted;
  std::set<crypto::TransportPublicKey> keys;
  for (const PeerAddress& peer : peers)
    if (peer.key != key_.public_key() && !wanted.contains(peer.id) && keys.insert(peer.key).second) wanted.emplace(peer.id, peer);
  zap_->set_allowed(std::move(keys));
  for (auto it = peers_.begin(); it != peers_.end();) {
    const auto found = wanted.find(it->first);
    if (found != wanted.end() && found->second.key == it->second.address.key) {
      ++it;
    } else {
      drop(it->second);
      it = peers_.erase(it);
    }
  }
  std::vector<std::string> complaints;
  for (auto& [id, address] : wanted) {
    const auto [it, is_new] = peers_.try_emplace(id);
    Peer& peer = it->second;
    const PeerAddress before = std::exchange(peer.address, address);
    by_key_.insert_or_assign(address.key, id);
    for (const Channel channel : {Channel::control, Channel::bulk}) {
      const auto endpoint = channel == Channel::control ? &PeerAddress::control : &PeerAddress::bulk;
      if (!is_new && before.*endpoint == address.*endpoint) continue;
      const auto i = static_cast<std::size_t>(channel);
      if (peer.dialled[i].is_live) lose(peer, peer.dialled[i]);
      peer.sockets[i].close();
      if (std::string complaint = dial(peer, channel); !complaint.empty()) complaints.push_back(std::move(complaint));
      settle(peer);
    }
  }
  return complaints;
}

// ---- the one wait ----------------------------------------------------------------------------------------------------

void Transport::Body::wake() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake_fd_, &one, sizeof one);  // full: a wake is waiting already
}

std::vector<TransportEvent> Transport::Body::poll(int timeout_ms, std::span<PollItem> items) {
  const std::int64_t until = timeout_ms < 0 ? INT64_MAX : steady_ms() + timeout_ms;
  for (bool is_over = false; !is_over;) {
    now_ms_ = steady_ms();
    if (now_ms_ >= tick_ms_) tick();
    const std::int64_t pause = events_.empty() ? std::max<std::int64_t>(0, std::min(until, tick_ms_) - now_ms_) : 0;
    is_over = turn(static_cast<int>(pause), items) || !events_.empty() || now_ms_ >= until;
  }
  return std::exchange(events_, {});
}

/// One wait, and what it brought. True: the caller is wanted elsewhere.
bool Transport::Body::turn(int timeout_ms, std::span<PollItem> items) {
  struct Source {
    ZmqSocket* socket{};
    Channel channel{};
    Peer* peer{};                  ///< of a dialled link
    std::uint64_t introduction{};  ///< not 0: of that
  };
  std::vector<Source> sources;  // control first
  for (const Channel channel : {Channel::control, Channel::bulk}) {
    const auto i = static_cast<std::size_t>(channel);
    if (routers_[i]) sources.push_back({&routers_[i], channel});
    for (auto& [id, peer] : peers_)
      if (peer.sockets[i]) sources.push_back({&peer.sockets[i], channel, &peer});
  }
  for (auto& [number, introduction] : introductions_) sources.push_back({.socket = &introduction.socket, .introduction = number});
  std::vector<PollItem> all;
  all.reserve(sources.size() + 3 + items.size());
  for (const Source& source : sources) all.push_back({.socket = source.socket->raw()});
  all.push_back({.fd = wake_fd_});
  if (strangers_) all.insert(all.end(), {{.socket = strangers_.raw()}, {.socket = strangers_.raw_watch()}});
  const std::size_t wake = sources.size(), own = all.size();
  all.insert(all.end(), items.begin(), items.end());

  bool is_wanted = wait(all, timeout_ms) == Waited::interrupted;
  now_ms_ = steady_ms();
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const Source& source = sources[i];
    const int most = source.introduction != 0 ? strangers_taken_most : source.channel == Channel::control ? control_taken_most : bulk_taken_most;
    for (int taken = 0; all[i].ready && taken < most; ++taken) {
      const auto message = source.socket->receive();
      if (!message) break;
      if (source.introduction != 0) {
        if (message->whole) events_.emplace_back(IntroductionAnswered{source.introduction, message->body});
      } else if (source.peer != nullptr) {
        take_dialled(*source.peer, source.channel, *message);
      } else {
        take_accepted(source.channel, *message);
      }
    }
  }
  if (strangers_) watch_strangers();
  for (int taken = 0; strangers_ && all[wake + 1].ready && taken < strangers_taken_most; ++taken) {
    const auto message = strangers_.receive();
    if (!message) break;
    take_stranger(*message);
  }
  if (all[wake].ready) {
    std::uint64_t woken = 0;
    [[maybe_unused]] const auto count = ::read(wake_fd_, &woken, sizeof woken);
    is_wanted = true;
  }
  for (std::size_t i = 0; i < items.size(); ++i) {
    items[i].ready = all[own + i].ready;
    is_wanted = is_wanted || items[i].ready;
  }
  return is_wanted;
}

void Transport::Body::tick() {
  tick_ms_ = now_ms_ + std::clamp(options_.hello_ms / 8, 20, 250);
  for (auto& [id, peer] : peers_) {
    tick_links(peer);
    redial(peer);
  }
  std::erase_if(introductions_, [this](const auto& it) { return it.second.until_ms <= now_ms_; });
  for (auto& [fd, connection] : stranger_connections_) {
    if (connection.is_cut) continue;
    connection.is_cut = now_ms_ - connection.since_ms > options_.introduction_ms || bytes_received(fd, ports_.introduce) > options_.introduction_bytes_most;
    if (connection.is_cut) cut(fd, ports_.introduce);
  }
}

// ---- strangers -------------------------------------------------------------------------------------------------------

void Transport::Body::watch_strangers() {
  while (const auto seen = strangers_.next_connection()) {
    if (!seen->opened) {
      stranger_connections_.erase(seen->fd);
      continue;
    }
    stranger_connections_.insert_or_assign(seen->fd, Connected{now_ms_});
    if (stranger_connections_.size() <= options_.strangers_most) continue;
    const auto oldest = std::min_element(stranger_connections_.begin(), stranger_connections_.end(), [](const auto& a, const auto& b) {
      return std::pair(a.second.is_cut, a.second.since_ms) < std::pair(b.second.is_cut, b.second.since_ms);
    });
    cut(oldest->first, ports_.introduce);
    oldest->second.is_cut = true;
  }
}

void Transport::Body::take_stranger(const Incoming& message) {
  const auto key = crypto::TransportPublicKey::parse(message.user_id);
  if (!key || !message.whole || message.body.empty()) {
    ++counts_.dropped_malformed;
    cut(message.fd, ports_.introduce);
  } else if (!stranger_messages_.admit(*key, now_ms_)) {
    ++counts_.dropped_strangers;
    cut(message.fd, ports_.introduce);
  } else {
    events_.emplace_back(ReceivedFromStranger{message.routing, *key, message.body});
  }
}

bool Transport::Body::answer_stranger(ByteView token, ByteView bytes) {
  if (!strangers_ || token.empty() || bytes.size() > options_.introduce_bytes_most) return false;
  return strangers_.send(token, {}, bytes) == Sent::taken;
}

Result<std::uint64_t> Transport::Body::introduce_to(const std::string& endpoint, const crypto::TransportPublicKey& server, std::span<const Bytes> messages) {
  if (!may_be_dialled(endpoint)) return fail(Fault::malformed, "introduce this node: not an address to dial");
  if (introductions_.size() >= introductions_most) return fail(Fault::over_limit, "introduce this node: too many introductions are under way");
  std::size_t all = 0;
  for (const Bytes& message : messages) {
    all += message.size();
    if (message.size() > options_.introduce_bytes_most) return fail(Fault::over_limit, "introduce this node: a document is too large");
  }
  if (all > options_.introduction_bytes_most / 4 * 3 || messages.size() > static_cast<std::size_t>(options_.strangers.key_burst))
    return fail(Fault::over_limit, "introduce this node: too many documents for one introduction");
  ZmqSocket socket = TRY(
      ZmqSocket::make(context_, SocketKind::dealer, {.message_bytes_most = options_.introduce_bytes_most, .queue = static_cast<int>(messages.size()) + 16}));
  socket.call_curve(key_.public_key().view(), key_.reveal(), server.view());
  socket.tune_tcp(false, options_.handshake_ms);
  if (const int error = socket.connect(endpoint); error != 0) return fail(Fault::malformed, std::string("introduce this node: ") + std::strerror(error));
  for (const Bytes& message : messages)
    if (socket.send({}, {}, message) != Sent::taken) return fail(Fault::unavailable, "introduce this node: no room to send");
  introductions_.insert_or_assign(++introduction_numbers_, Introduction{std::move(socket), steady_ms() + options_.introduction_ms});
  return introduction_numbers_;
}

}  // namespace dozo::node
