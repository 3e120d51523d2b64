// Links: which connections to a peer live, and what its frames do to them.
#include <algorithm>

#include "node/transport_body.h"

namespace dozo::node {

namespace {

constexpr std::size_t accepted_most = 4;  // connections of one peer on one channel; a peer that comes back leaves dead ones behind

}  // namespace

Bytes encode_hello(const Hello& hello) {
  Bytes out{static_cast<std::uint8_t>(FrameKind::hello)};
  append(out, hello.run.view());
  std::array<std::uint8_t, 8> link{};
  put_u64(link.data(), hello.link);
  append(out, link);
  return out;
}

std::optional<Hello> decode_hello(ByteView frame) {
  if (frame.size() != 1 + RunId::size + 8 || frame[0] != static_cast<std::uint8_t>(FrameKind::hello)) return std::nullopt;
  Hello out;
  std::copy_n(frame.begin() + 1, RunId::size, out.run.bytes.begin());
  out.link = get_u64(frame.data() + 1 + RunId::size);
  if (out.run.is_zero()) return std::nullopt;
  return out;
}

Bytes encode_end(const RunId& run) {
  Bytes out{static_cast<std::uint8_t>(FrameKind::end)};
  append(out, run.view());
  return out;
}

Link* Transport::Body::best_link(Peer& peer, Channel channel) {
  const auto i = static_cast<std::size_t>(channel);
  Link* best = nullptr;
  const auto see = [&best](Link& link) {
    if (link.is_live && (best == nullptr || link.order > best->order)) best = &link;
  };
  see(peer.dialled[i]);
  for (auto& [routing, link] : peer.accepted[i]) see(link);
  return best;
}

Sent Transport::Body::send_over(Peer& peer, Channel channel, const Link& link, ByteView head, ByteView body) {
  const auto i = static_cast<std::size_t>(channel);
  ZmqSocket& socket = link.routing.empty() ? peer.sockets[i] : routers_[i];
  return socket ? socket.send(link.routing, head, body) : Sent::no_reader;
}

SendOutcome Transport::Body::send(const NodeId& to, Channel channel, ByteView bytes) {
  if (bytes.size() > (channel == Channel::control ? options_.control_bytes_most : options_.bulk_bytes_most)) return SendOutcome::too_large;
  const auto it = peers_.find(to);
  if (it == peers_.end() || !it->second.is_up) return SendOutcome::no_link;
  Peer& peer = it->second;
  Link* link = best_link(peer, channel);
  if (link == nullptr) return SendOutcome::no_link;
  const std::array<std::uint8_t, 1> head{static_cast<std::uint8_t>(FrameKind::data)};
  switch (send_over(peer, channel, *link, head, bytes)) {
    case Sent::taken: link->sent_ms = now_ms_; return SendOutcome::taken;
    case Sent::full: return SendOutcome::full;
    case Sent::no_reader: break;
  }
  // The connection went while nobody looked. What was sent over it before may be lost, so that another link must not silently go on.
  lose(peer, *link);
  if (const Bytes routing = link->routing; !routing.empty()) peer.accepted[static_cast<std::size_t>(channel)].erase(routing);
  settle(peer);
  return SendOutcome::no_link;
}

// ---- what comes in ---------------------------------------------------------------------------------------------------

/// None: the frame breaks the format, and is counted. Kinds of later versions come back as they are.
std::optional<FrameKind> Transport::Body::kind_of(const Incoming& message, std::optional<Hello>& hello) {
  if (message.whole && !message.body.empty()) {
    const auto kind = static_cast<FrameKind>(message.body[0]);
    hello = decode_hello(message.body);
    if ((kind != FrameKind::hello || hello) && (kind != FrameKind::end || message.body.size() == 1 + RunId::size)) return kind;
  }
  ++counts_.dropped_malformed;
  return std::nullopt;
}

void Transport::Body::take_accepted(Channel channel, const Incoming& message) {
  // Admitted at its handshake says nothing about now: every message is judged by its key.
  const auto key = crypto::TransportPublicKey::parse(message.user_id);
  const auto known = key ? by_key_.find(*key) : by_key_.end();
  if (known == by_key_.end()) {
    ++counts_.dropped_unknown;
    end(channel, message.routing, message.fd);
    return;
  }
  Peer& peer = peers_.at(known->second);
  std::optional<Hello> hello;
  const auto kind = kind_of(message, hello);
  if (!kind) {
    end(channel, message.routing, message.fd);
  } else if (*kind == FrameKind::data) {
    take_data(peer, channel, accepted_link(peer, channel, message), message.body);
  } else if (*kind == FrameKind::hello) {
    take_hello(peer, channel, accepted_link(peer, channel, message), *hello);
  } else if (*kind == FrameKind::end) {
    auto& links = peer.accepted[static_cast<std::size_t>(channel)];
    const auto it = links.find(message.routing);
    take_end(peer, it != links.end() ? &it->second : nullptr, message.body);
    links.erase(message.routing);
  } else {
    ++counts_.dropped_malformed;
  }
}

void Transport::Body::take_dialled(Peer& peer, Channel channel, const Incoming& message) {
  Link& link = peer.dialled[static_cast<std::size_t>(channel)];
  std::optional<Hello> hello;
  const auto kind = kind_of(message, hello);
  if (!kind) return;
  if (*kind == FrameKind::data) {
    take_data(peer, channel, link, message.body);
  } else if (*kind == FrameKind::hello && hello->link != 0) {
    take_hello(peer, channel, link, *hello);
  } else if (*kind == FrameKind::end) {
    take_end(peer, &link, message.body);
  } else {
    ++counts_.dropped_malformed;
  }
}

void Transport::Body::take_end(Peer& peer, Link* link, ByteView frame) {
  if (const ByteView run = frame.subspan(1); !peer.run.is_zero() && equal(run, peer.run.view()))
    end_run(peer, link, {});
  else if (link != nullptr && equal(run, RunId{}.view()))
    lose(peer, *link);
  settle(peer);
}

Link& Transport::Body::accepted_link(Peer& peer, Channel channel, const Incoming& message) {
  auto& links = peer.accepted[static_cast<std::size_t>(channel)];
  auto it = links.find(message.routing);
  if (it == links.end()) {
    if (links.size() >= accepted_most) {
      const auto oldest = std::min_element(links.begin(), links.end(), [](const auto& a, const auto& b) { return a.second.heard_ms < b.second.heard_ms; });
      lose(peer, oldest->second);
      end(channel, oldest->first, oldest->second.fd);
      links.erase(oldest);
      settle(peer);
    }
    it = links.emplace(message.routing, Link{.routing = message.routing, .number = ++link_numbers_, .hello_ms = now_ms_}).first;
  }
  it->second.fd = message.fd;
  it->second.heard_ms = now_ms_;
  return it->second;
}

void Transport::Body::take_hello(Peer& peer, Channel channel, Link& link, const Hello& hello) {
  const bool is_dialled = link.routing.empty();
  if (hello.run == peer.run_before) return;  // the rest of a connection of a run that has ended
  meet_run(peer, link, hello.run);
  link.run = hello.run;
  link.heard_ms = now_ms_;
  if (is_dialled && link.is_live && link.number != hello.link) lose(peer, link);  // libzmq dialled again, unseen
  const bool was_live = link.is_live;
  if (is_dialled) link.number = hello.link;
  if (!was_live && link.number == hello.link) {
    link.is_live = true;
    link.order = ++link_order_;
  }
  // The far end must learn this link's number, or that it was learned.
  if (link.number != hello.link || (is_dialled && !was_live)) static_cast<void>(say_hello(peer, channel, link));
  settle(peer);
}

void Transport::Body::take_data(Peer& peer, Channel channel, Link& link, ByteView frame) {
  link.heard_ms = now_ms_;
  if (!link.is_live || link.run != peer.run) {
    ++counts_.dropped_early;
    static_cast<void>(say_hello(peer, channel, link));
    return;
  }
  if (!peer.is_up && peer.control_since_ms) {
    peer.is_up = true;
    events_.emplace_back(PeerUp{peer.address.id});
  }
  if (peer.is_up)
    events_.emplace_back(Received{peer.address.id, channel, bytes_of(frame.subspan(1))});
  else
    ++counts_.dropped_early;
}

/// Another run of the peer's program: whatever stood with the one before is over.
void Transport::Body::meet_run(Peer& peer, Link& link, const RunId& run) {
  if (run == peer.run) return;
  if (peer.run.is_zero())
    peer.run = run;
  else
    end_run(peer, &link, run);
}

/// No link lives from now on. Accepted ones of the run that ends go, but for `but`.
void Transport::Body::end_run(Peer& peer, const Link* but, const RunId& next) {
  peer.run_before = std::exchange(peer.run, next);
  for (const Channel channel : {Channel::control, Channel::bulk}) {
    const auto i = static_cast<std::size_t>(channel);
    peer.dialled[i].is_live = false;
    peer.dialled[i].number = 0;
    peer.dialled[i].sent_ms = 0;
    for (auto it = peer.accepted[i].begin(); it != peer.accepted[i].end();) {
      it->second.is_live = false;
      it->second.sent_ms = 0;
      if (&it->second == but || it->second.run != peer.run_before) {
        ++it;
      } else {
        end(channel, it->first, it->second.fd);
        it = peer.accepted[i].erase(it);
      }
    }
  }
  peer.control_since_ms.reset();
  if (std::exchange(peer.is_up, false)) events_.emplace_back(PeerDown{peer.address.id});
}

// ---- life and death of links -----------------------------------------------------------------------------------------

Sent Transport::Body::say_hello(Peer& peer, Channel channel, Link& link) {
  link.hello_ms = now_ms_;
  return send_over(peer, channel, link, encode_hello({run_, link.number}), {});
}

/// The link carries nothing from now on. The caller settles the peer.
void Transport::Body::lose(Peer& peer, Link& link) {
  if (link.routing.empty()) link.number = 0;
  if (!std::exchange(link.is_live, false)) return;
  // Data that was sent over it lately may not have arrived.
  const bool may_have_lost = link.sent_ms != 0 && now_ms_ - link.sent_ms <= 2 * std::int64_t{options_.silence_ms};
  link.sent_ms = 0;
  if (may_have_lost && std::exchange(peer.is_up, false)) events_.emplace_back(PeerDown{peer.address.id});
}

void Transport::Body::settle(Peer& peer) {
  const bool has_control = best_link(peer, Channel::control) != nullptr;
  if (!has_control) {
    peer.control_since_ms.reset();
    if (std::exchange(peer.is_up, false)) events_.emplace_back(PeerDown{peer.address.id});
    return;
  }
  if (!peer.control_since_ms) peer.control_since_ms = now_ms_;
  if (peer.is_up) return;
  if (best_link(peer, Channel::bulk) == nullptr && now_ms_ - *peer.control_since_ms < options_.bulk_wait_ms) return;
  peer.is_up = true;
  events_.emplace_back(PeerUp{peer.address.id});
}

void Transport::Body::tick_links(Peer& peer) {
  const auto is_silent = [this](const Link& link) { return now_ms_ - link.heard_ms > options_.silence_ms; };
  for (const Channel channel : {Channel::control, Channel::bulk}) {
    const auto i = static_cast<std::size_t>(channel);
    Link& dialled = peer.dialled[i];
    if (dialled.is_live && is_silent(dialled)) lose(peer, dialled);
    if (peer.sockets[i] && (!dialled.is_live || now_ms_ - dialled.hello_ms >= options_.hello_ms)) static_cast<void>(say_hello(peer, channel, dialled));
    for (auto it = peer.accepted[i].begin(); it != peer.accepted[i].end();) {
      Link& link = it->second;
      const bool is_gone = now_ms_ - link.hello_ms >= options_.hello_ms && say_hello(peer, channel, link) == Sent::no_reader;
      if (!is_gone && !is_silent(link)) {
        ++it;
        continue;
      }
      lose(peer, link);
      if (!is_gone) end(channel, it->first, link.fd);
      it = peer.accepted[i].erase(it);
    }
  }
  settle(peer);
}

/// Ends an accepted connection, if it is there: once it is gone its descriptor may be a newer connection's.
void Transport::Body::end(Channel channel, const Bytes& routing, int fd) {
  const Bytes frame = encode_end({});
  ZmqSocket& router = routers_[static_cast<std::size_t>(channel)];
  if (router && router.send(routing, frame, {}) != Sent::no_reader) cut(fd, port(channel));
}

void Transport::Body::say_end_to_all() {
  const Bytes frame = encode_end(run_);
  for (auto& [id, peer] : peers_)
    for (const Channel channel : {Channel::control, Channel::bulk}) {
      const auto i = static_cast<std::size_t>(channel);
      if (peer.dialled[i].is_live) static_cast<void>(send_over(peer, channel, peer.dialled[i], frame, {}));
      for (const auto& [routing, link] : peer.accepted[i]) static_cast<void>(send_over(peer, channel, link, frame, {}));
    }
}

}  // namespace dozo::node
