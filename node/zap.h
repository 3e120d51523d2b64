// Zap: answers libzmq's question, at every handshake, whether the key that was proved may come in (ZMQ RFC 27). One thread and one handler per
// context. It decides about connections only: what a connection may say is decided per message, by the set of now.
// Threads: any.
#pragma once
#include <memory>
#include <set>

#include "node/rate_limit.h"
#include "node/zmq_socket.h"

namespace dozo::node {

inline constexpr const char* peers_domain = "peers";          ///< only the keys of set_allowed
inline constexpr const char* strangers_domain = "strangers";  ///< any key, at a limited rate

class Zap {
 public:
  /// Listens when it returns. Fault: unavailable.
  static Result<std::unique_ptr<Zap>> start(const ZmqContext& context, RateLimit::Options strangers);
  /// The context must have been shut down before.
  ~Zap();
  /// In force from the next handshake on, as one change.
  void set_allowed(std::set<crypto::TransportPublicKey> keys);

 private:
  class Body;
  explicit Zap(std::unique_ptr<Body> body);
  std::unique_ptr<Body> body_;
};

}  // namespace dozo::node
