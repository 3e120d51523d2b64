#include "node/zap.h"

#include <signal.h>
#include <zmq.h>

#include <mutex>
#include <thread>
#include <vector>

#include "node/steady_clock.h"

namespace dozo::node {

namespace {

// "Temporary failure": the connection ends without a word and the caller tries again, as it must, since it may be admitted by then. After a
// "400" libzmq's callers never try again.
constexpr const char* refused = "300";

}  // namespace

class Zap::Body {
 public:
  Body(void* socket, RateLimit::Options strangers) : socket_(socket), strangers_(strangers), thread_(start_thread()) {}
  ~Body() { thread_.join(); }

  void set_allowed(std::set<crypto::TransportPublicKey> keys) {
    const std::lock_guard lock(mutex_);
    allowed_ = std::move(keys);
  }

 private:
  // A request is seven parts: version, request id, domain, address, identity, mechanism, and for CURVE the key.
  enum Part : std::size_t { version, request, domain, address, identity, mechanism, key };

  /// Signals are for the program's own threads: they wait to be interrupted.
  std::thread start_thread() {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    std::thread out([this] { run(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return out;
  }

  void run() {
    std::vector<Bytes> parts;
    while (receive(parts)) {
      if (parts.size() <= Part::mechanism) {
        parts.resize(Part::mechanism + 1);
        reply(parts, refused, {});
        continue;
      }
      const auto client = parts.size() == Part::key + 1 && text_of(parts[Part::mechanism]) == "CURVE" && text_of(parts[Part::version]) == "1.0"
                              ? crypto::TransportPublicKey::from(parts[Part::key])
                              : Result<crypto::TransportPublicKey>(fail(Fault::malformed, ""));
      if (client && admits(text_of(parts[Part::domain]), *client))
        reply(parts, "200", client->hex());
      else
        reply(parts, refused, {});
    }
    zmq_close(socket_);
  }

  bool admits(std::string_view asked, const crypto::TransportPublicKey& client) {
    if (asked == strangers_domain) return strangers_.admit(client, steady_ms());
    if (asked != peers_domain) return false;
    const std::lock_guard lock(mutex_);
    return allowed_.contains(client);
  }

  /// False once the context is shut down.
  bool receive(std::vector<Bytes>& parts) {
    parts.clear();
    for (;;) {
      zmq_msg_t part;
      zmq_msg_init(&part);
      if (zmq_msg_recv(&part, socket_, 0) < 0) {
        const int error = zmq_errno();
        zmq_msg_close(&part);
        if (error == EINTR) continue;
        return false;
      }
      const auto* data = static_cast<const std::uint8_t*>(zmq_msg_data(&part));
      parts.emplace_back(data, data + zmq_msg_size(&part));
      const bool more = zmq_msg_more(&part) != 0;
      zmq_msg_close(&part);
      if (!more) return true;
    }
  }

  void reply(const std::vector<Bytes>& asked, std::string_view status, std::string_view user) {
    const auto part = [this](ByteView bytes, int flags) {
      while (zmq_send(socket_, bytes.data(), bytes.size(), flags) < 0 && zmq_errno() == EINTR) {
      }
    };
    part(view_of("1.0"), ZMQ_SNDMORE);
    part(asked[Part::request], ZMQ_SNDMORE);
    part(view_of(status), ZMQ_SNDMORE);
    part({}, ZMQ_SNDMORE);  // a text that nobody is to see
    part(view_of(user), ZMQ_SNDMORE);
    part({}, 0);
  }

  void* socket_;
  std::mutex mutex_;
  std::set<crypto::TransportPublicKey> allowed_;
  RateLimit strangers_;  ///< the thread's
  std::thread thread_;   ///< last: runs when all else is made
};

Zap::Zap(std::unique_ptr<Body> body) : body_(std::move(body)) {}
Zap::~Zap() = default;
void Zap::set_allowed(std::set<crypto::TransportPublicKey> keys) { body_->set_allowed(std::move(keys)); }

Result<std::unique_ptr<Zap>> Zap::start(const ZmqContext& context, RateLimit::Options strangers) {
  void* socket = zmq_socket(context.get(), ZMQ_REP);
  const int none = 0;
  if (socket != nullptr && zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof none) == 0 && zmq_bind(socket, "inproc://zeromq.zap.01") == 0)
    return std::unique_ptr<Zap>(new Zap(std::make_unique<Body>(socket, strangers)));
  const std::string why = zmq_strerror(zmq_errno());
  if (socket != nullptr) zmq_close(socket);
  return fail(Fault::unavailable, "start the handshake's handler: " + why);
}

}  // namespace dozo::node
