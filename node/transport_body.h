// The inside of Transport: peers, their links, and what is done with a frame.
//
// A link is one authenticated connection on one channel. It lives from the first hello that proves both ways until nothing was heard of it for too
// long, its connection changed under it, or its peer turned out to be another run of the program. Where data was sent over a link lately
// and the link dies, the peer is reported down and up again, so that the conversation begins anew.
// Threads: the transport's owner.
#pragma once
#include <array>
#include <map>

#include "node/transport.h"
#include "node/zap.h"
#include "node/zmq_socket.h"

namespace dozo::node {

inline constexpr std::size_t channels = 2;
using RunId = FixedBytes<16, struct RunIdTag>;  ///< random, of one Transport object

// ---- frames (docs/transport.md)
enum class FrameKind : std::uint8_t { data = 0, hello = 1, end = 2 };
struct Hello {
  RunId run;
  std::uint64_t link{};  ///< the number that the end which accepted the connection gave it; 0: not known yet
};
Bytes encode_hello(const Hello& hello);
std::optional<Hello> decode_hello(ByteView frame);
/// `run`: it ends as a whole; zero: this connection does.
Bytes encode_end(const RunId& run);

struct Link {
  Bytes routing;  ///< of the accepting socket; empty: this node dialled
  int fd = -1;
  std::uint64_t number{};
  bool is_live{};
  std::uint64_t order{};                                         ///< grows with each link that comes to life
  RunId run;                                                     ///< of the far end
  std::int64_t heard_ms{}, hello_ms{}, sent_ms{}, dialled_ms{};  ///< last frame, last hello of ours, last data of ours (0: none), last dialling
};

struct Peer {
  PeerAddress address;
  std::array<ZmqSocket, channels> sockets;
  std::array<Link, channels> dialled;
  std::array<std::map<Bytes, Link>, channels> accepted;
  RunId run, run_before;
  bool is_up{};
  std::optional<std::int64_t> control_since_ms;
};

class Transport::Body {
 public:
  Body(TransportOptions options, const crypto::TransportKey& key);
  ~Body();
  Result<void> open();

  std::vector<std::string> set_peers(std::span<const PeerAddress> peers);
  std::vector<TransportEvent> poll(int timeout_ms, std::span<PollItem> items);
  void wake();
  SendOutcome send(const NodeId& to, Channel channel, ByteView bytes);
  bool answer_stranger(ByteView token, ByteView bytes);
  Result<std::uint64_t> introduce_to(const std::string& endpoint, const crypto::TransportPublicKey& server, std::span<const Bytes> messages);
  void end_introduction(std::uint64_t introduction) { introductions_.erase(introduction); }

  TransportOptions::Listen listening() const;
  bool is_up(const NodeId& peer) const;
  TransportCounts counts() const { return counts_; }

 private:
  struct Introduction {
    ZmqSocket socket;
    std::int64_t until_ms{};
  };
  struct Connected {
    std::int64_t since_ms{};
    bool is_cut{};
  };

  // ---- transport.cpp
  Result<ZmqSocket> listen(const std::string& host, std::uint16_t& port, const char* name, const SocketLimits& limits, const char* domain, bool watched);
  SocketLimits limits(Channel channel) const;
  std::string dial(Peer& peer, Channel channel);
  void redial(Peer& peer);
  void drop(Peer& peer);
  bool turn(int timeout_ms, std::span<PollItem> items);
  void take_stranger(const Incoming& message);
  void watch_strangers();
  void tick();

  // ---- transport_links.cpp
  void take_accepted(Channel channel, const Incoming& message);
  void take_dialled(Peer& peer, Channel channel, const Incoming& message);
  void take_hello(Peer& peer, Channel channel, Link& link, const Hello& hello);
  void take_data(Peer& peer, Channel channel, Link& link, ByteView frame);
  std::optional<FrameKind> kind_of(const Incoming& message, std::optional<Hello>& hello);
  Link& accepted_link(Peer& peer, Channel channel, const Incoming& message);
  void meet_run(Peer& peer, Link& link, const RunId& run);
  Sent say_hello(Peer& peer, Channel channel, Link& link);
  void lose(Peer& peer, Link& link);
  void take_end(Peer& peer, Link* link, ByteView frame);
  void end_run(Peer& peer, const Link* but, const RunId& next);
  void end(Channel channel, const Bytes& routing, int fd);
  void say_end_to_all();
  void settle(Peer& peer);
  void tick_links(Peer& peer);
  Link* best_link(Peer& peer, Channel channel);
  Sent send_over(Peer& peer, Channel channel, const Link& link, ByteView head, ByteView body);
  std::uint16_t port(Channel channel) const { return channel == Channel::control ? ports_.control : ports_.bulk; }

  const TransportOptions options_;
  const crypto::TransportKey key_;
  const RunId run_;
  TransportOptions::Listen ports_;
  int wake_fd_ = -1;
  std::int64_t now_ms_{}, tick_ms_{};
  std::uint64_t link_order_{}, link_numbers_{}, introduction_numbers_{};
  std::vector<TransportEvent> events_;
  TransportCounts counts_;
  RateLimit stranger_messages_;

  // In this order: sockets go before the handler, the handler before the context.
  ZmqContext context_;
  std::unique_ptr<Zap> zap_;
  std::array<ZmqSocket, channels> routers_;
  ZmqSocket strangers_;
  std::map<int, Connected> stranger_connections_;
  std::map<std::uint64_t, Introduction> introductions_;
  std::map<NodeId, Peer> peers_;
  std::map<crypto::TransportPublicKey, NodeId> by_key_;
};

}  // namespace dozo::node
