// Transport: this node's sockets towards other nodes. It moves whole messages and says who sent them; what they mean is not its business.
//
// Three TCP listeners, all CURVE with the node's transport key: *control* and *bulk* admit only the keys given to set_peers, *introduce*
// admits any key and is rate-limited. Nodes that have addresses are dialled too; both ends dial, so there may be two links to a peer on each
// channel: messages go over the one that came to life last. Who sent a message is known from the key that the handshake proved, asked for
// with every message and looked up in the set of now; routing ids, addresses and what a message says of its sender mean nothing.
//
// What it is not: reliable. A message that was taken may still be lost with its link; PeerDown or a second PeerUp says when. Nothing is
// promised about order between the channels, and none across a change of link.
// docs/transport.md has the frames and the numbers.
// Threads: one owner, but for wake(). A TransportKey handed over is copied into the sockets; libzmq keeps it in ordinary memory.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "crypto/identity.h"
#include "node/poll_item.h"
#include "node/rate_limit.h"

namespace dozo::node {

enum class Channel : std::uint8_t { control, bulk };

/// How a peer is known and reached. An endpoint is "tcp://host:port", or empty: not dialled, it calls us. Numeric hosts are better: libzmq
/// looks names up in its one I/O thread, and a slow name server holds up every link.
struct PeerAddress {
  NodeId id;
  crypto::TransportPublicKey key;
  std::string control, bulk;
};

struct PeerUp {
  NodeId peer;
};
struct PeerDown {
  NodeId peer;
};
struct Received {
  NodeId peer;
  Channel channel{};
  Bytes bytes;
};
/// Somebody of any key, on the introduce socket. `token` is for answer_stranger, and good while that connection lasts.
struct ReceivedFromStranger {
  Bytes token;
  crypto::TransportPublicKey key;
  Bytes bytes;
};
/// What the far end of introduce_to said.
struct IntroductionAnswered {
  std::uint64_t introduction{};
  Bytes bytes;
};
using TransportEvent = std::variant<PeerUp, PeerDown, Received, ReceivedFromStranger, IntroductionAnswered>;

enum class SendOutcome : std::uint8_t {
  taken,      ///< on its way; may still be lost with the link
  full,       ///< the queue of that link is full: later
  no_link,    ///< no live link on that channel, or not one of the peers
  too_large,  ///< over the channel's limit: never
};

struct TransportOptions {
  struct Listen {
    std::string host = "*";                        ///< a numeric address, an interface's name, or * for all
    std::uint16_t control{}, bulk{}, introduce{};  ///< 0: any free port (tests)
  };
  std::optional<Listen> listen;  ///< none: only dials (desks)

  std::size_t control_bytes_most = 1U << 20, bulk_bytes_most = 80U << 10, introduce_bytes_most = 300U << 10;  ///< of one message
  int control_queue = 1'000, bulk_queue = 64, introduce_queue = 16;                                           ///< messages waiting per link and direction
  int hello_ms = 2'000;                                                                                       ///< between two hellos over a link
  int silence_ms = 20'000;                         ///< a link over which nothing came for so long is dead
  int bulk_wait_ms = 2'000;                        ///< PeerUp waits so long for a bulk link beside the control link
  int handshake_ms = 5'000;                        ///< a handshake takes no longer; a refused caller learns it by this
  int redial_ms = 60'000;                          ///< a dialled link that did not come to life for so long is dialled with a new socket
  int introduction_ms = 60'000;                    ///< an introduction, either way, is cut after that
  std::size_t introduction_bytes_most = 8U << 20;  ///< all that one connection of a stranger may bring
  std::size_t strangers_most = 64;                 ///< their connections at a time; the oldest is cut
  RateLimit::Options strangers{.per_second = 20, .burst = 100, .key_per_second = 0.2, .key_burst = 64, .keys_most = 1'024};  ///< handshakes; messages
};

struct TransportCounts {
  std::uint64_t dropped_unknown{};    ///< messages of keys that are not, or no longer, peers
  std::uint64_t dropped_malformed{};  ///< messages that break the framing
  std::uint64_t dropped_strangers{};  ///< of strangers, over the rate
  std::uint64_t dropped_early{};      ///< of peers that are not up
};

class Transport {
 public:
  /// Binds the listeners. The handler that admits keys runs before the first socket is bound.
  /// Faults: unavailable (a port is taken, too few descriptors), malformed (a host that is no address); in one line that names the port.
  static Result<std::unique_ptr<Transport>> open(TransportOptions options, const crypto::TransportKey& key);
  ~Transport();  ///< tells the peers and closes; takes at most about 0.2 s; what was not sent by then is lost
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  /// The ports in use; zeros where nothing listens.
  TransportOptions::Listen listening() const;

  /// Who the peers are from now on, all of them (this node itself may stand among them and is passed over). New ones are dialled. One that is
  /// missing now, or has another key, is cut off: its connections are closed, what it still sends is dropped, PeerDown follows if it was up.
  /// Returns one line for each address that cannot be dialled; those peers may call us. A key or id that comes twice counts once.
  std::vector<std::string> set_peers(std::span<const PeerAddress> peers);

  /// Waits until there are events, an item is ready, wake() was called, or the time is over (-1: no limit). Marks the items that are ready. To be
  /// called again at once while it returns events: it takes a bounded number from each socket.
  /// An interrupting signal ends the wait as wake() does.
  std::vector<TransportEvent> poll(int timeout_ms, std::span<PollItem> items = {});
  /// Ends the poll of now or the next one. Any thread.
  void wake();

  /// Never blocks.
  [[nodiscard]] SendOutcome send(const NodeId& peer, Channel channel, ByteView bytes);
  /// False: that connection is gone or does not read.
  [[nodiscard]] bool answer_stranger(ByteView token, ByteView bytes);
  /// Calls an introduce socket and sends it `messages`; its answers come as IntroductionAnswered until end_introduction or introduction_ms.
  /// Faults: malformed (an address that is not tcp://), over_limit (64 are open, the messages are too large), unavailable.
  Result<std::uint64_t> introduce_to(const std::string& endpoint, const crypto::TransportPublicKey& server, std::span<const Bytes> messages);
  void end_introduction(std::uint64_t introduction);

  bool is_up(const NodeId& peer) const;
  TransportCounts counts() const;

 private:
  class Body;
  explicit Transport(std::unique_ptr<Body> body);
  std::unique_ptr<Body> body_;
};

}  // namespace dozo::node
