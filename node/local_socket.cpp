#include "node/local_socket.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "node/descriptor.h"
#include "node/steady_clock.h"
#include "node/zmq_socket.h"

namespace dozo::node {

namespace fs = std::filesystem;

namespace {

// u32 number of the request, then the message, whose first two bytes are the version of the local interface: these six bytes stay what they are
// in every version.
constexpr std::size_t head_bytes = 4, frame_bytes_least = 6;
constexpr int queue = 256;  // messages waiting for one client
constexpr int requests_taken_most = 32;
constexpr int look_ms = 250, look_for_daemon_ms = 1'000;

using Head = std::array<std::uint8_t, head_bytes>;

Head head_of(std::uint32_t number) {
  Head out{};
  put_u32(out.data(), number);
  return out;
}
std::uint32_t number_in(ByteView frame) { return get_u32(frame.data()); }
std::uint16_t version_in(ByteView frame) { return static_cast<std::uint16_t>(frame[4] << 8 | frame[5]); }

SocketLimits limits(int linger_ms) { return {.message_bytes_most = local::message_bytes_most + head_bytes, .queue = queue, .linger_ms = linger_ms}; }

struct Place {
  fs::path directory, socket, lock;
};
Result<Place> place_of(const fs::path& home) {
  std::error_code error;
  const fs::path whole = fs::absolute(home, error).lexically_normal();
  if (error || home.empty()) return fail(Fault::unavailable, "the home " + home.string() + " cannot be found");
  Place out{whole / "run", whole / "run" / "socket", whole / "run" / "lock"};
  constexpr std::size_t most = sizeof(sockaddr_un::sun_path) - 1;
  if (out.socket.native().size() > most)
    return fail(Fault::over_limit, "the path " + out.socket.string() + " is too long for a socket (" + std::to_string(out.socket.native().size()) +
                                       " bytes of at most " + std::to_string(most) + "): choose a home with a shorter path");
  return out;
}

/// 0: somebody listens there; else the errno.
int knock(const fs::path& socket) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return errno;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, socket.c_str(), std::min(socket.native().size(), sizeof address.sun_path - 1));
  int error = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ? 0 : errno;
  if (error == EAGAIN || error == EINPROGRESS) error = 0;  // busy, so there
  ::close(fd);
  return error;
}

/// One socket of one run of a daemon: another has another.
struct Made {
  ino_t inode{};
  std::int64_t seconds{}, nanoseconds{};
  bool operator==(const Made&) const = default;
};
Made made(const fs::path& socket) {
  struct stat it{};
  if (::lstat(socket.c_str(), &it) != 0) return {};
  return {it.st_ino, it.st_ctim.tv_sec, it.st_ctim.tv_nsec};
}

Result<void> prepare(const Place& place) {
  const std::string what = "the directory " + place.directory.string();
  if (::mkdir(place.directory.c_str(), 0700) != 0 && errno != EEXIST) return fail(Fault::unavailable, what + " cannot be made: " + std::strerror(errno));
  struct stat it{};
  if (::lstat(place.directory.c_str(), &it) != 0) return fail(Fault::unavailable, what + " cannot be used: " + std::strerror(errno));
  if (!S_ISDIR(it.st_mode)) return fail(Fault::unavailable, place.directory.string() + " is not a directory");
  if (it.st_uid != ::geteuid()) return fail(Fault::unavailable, what + " belongs to another user");
  if ((it.st_mode & 07777) != 0700 && ::chmod(place.directory.c_str(), 0700) != 0)
    return fail(Fault::unavailable, what + " cannot be closed to others: " + std::strerror(errno));
  return {};
}

}  // namespace

// ---- the daemon's end ------------------------------------------------------------------------------------------------

class LocalServer::Body {
 public:
  Body(fs::path path, Descriptor lock, ZmqContext context, ZmqSocket socket)
      : path_(std::move(path)), lock_(std::move(lock)), context_(std::move(context)), socket_(std::move(socket)) {}
  ~Body() {
    socket_.close();
    context_.reset();
    ::unlink(path_.c_str());  // still under the lock: it is not the next daemon's
  }

  void* raw() const { return socket_.raw(); }

  std::vector<Asked> receive() {
    std::vector<Asked> out;
    for (int taken = 0; taken < requests_taken_most; ++taken) {
      const auto message = socket_.receive();
      if (!message) break;
      if (!message->whole || message->body.size() < frame_bytes_least) continue;  // not one of ours: there is no way to answer
      const Token token{message->routing, number_in(message->body)};
      if (version_in(message->body) != local::protocol_version) {
        refuse(token, Fault::unsupported,
               "this daemon speaks version " + std::to_string(local::protocol_version) + " of the local interface, not " +
                   std::to_string(version_in(message->body)));
        continue;
      }
      auto request = local::decode_request(ByteView(message->body).subspan(head_bytes));
      if (request)
        out.push_back({token, std::move(*request)});
      else
        refuse(token, request.error().fault, "the request cannot be read: " + request.error().text);
    }
    return out;
  }

  bool answer(const Token& token, const local::Answer& answer) {
    if (token.client.empty()) return false;
    Bytes body = local::encode_answer(answer);
    if (body.size() > local::message_bytes_most)
      body = local::encode_answer(local::Refusal{static_cast<std::uint8_t>(Fault::over_limit), "the answer is too large: ask for less at a time"});
    return socket_.send(token.client, head_of(token.number), body) == Sent::taken;
  }

 private:
  void refuse(const Token& token, Fault fault, std::string text) {
    static_cast<void>(answer(token, local::Refusal{static_cast<std::uint8_t>(fault), std::move(text)}));
  }

  fs::path path_;
  Descriptor lock_;
  ZmqContext context_;
  ZmqSocket socket_;
};

LocalServer::LocalServer(std::unique_ptr<Body> body) : body_(std::move(body)) {}
LocalServer::~LocalServer() = default;
PollItem LocalServer::poll_item() const { return {.socket = body_->raw()}; }
std::vector<LocalServer::Asked> LocalServer::receive() { return body_->receive(); }
bool LocalServer::answer(const Token& token, const local::Answer& answer) { return body_->answer(token, answer); }

Result<std::unique_ptr<LocalServer>> LocalServer::open(const fs::path& home) {
  const Place place = TRY(place_of(home));
  TRY(prepare(place));
  Descriptor lock(::open(place.lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (lock.get() < 0) return fail(Fault::unavailable, "the file " + place.lock.string() + " cannot be opened: " + std::strerror(errno));
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) return fail(Fault::unavailable, "another dozod runs for " + home.string());
  ZmqContext context = TRY(make_context(1, 1'023));
  ZmqSocket socket = TRY(ZmqSocket::make(context, SocketKind::router, limits(1'000)));
  // libzmq takes a file that is in the way away first; under the lock it can only be a dead daemon's.
  if (const int error = socket.bind("ipc://" + place.socket.string()); error != 0)
    return fail(Fault::unavailable, "the socket " + place.socket.string() + " cannot be made: " + std::strerror(error));
  return std::unique_ptr<LocalServer>(new LocalServer(std::make_unique<Body>(place.socket, std::move(lock), std::move(context), std::move(socket))));
}

// ---- the client's end ------------------------------------------------------------------------------------------------

class LocalClient::Body {
 public:
  Body(fs::path home, fs::path path, ZmqContext context, ZmqSocket socket)
      : home_(std::move(home)), path_(std::move(path)), made_(made(path_)), context_(std::move(context)), socket_(std::move(socket)) {}

  Result<local::Answer> ask(const local::Request& request, const OnProgress& on_progress, int silence_ms, const volatile std::sig_atomic_t* stop) {
    const Bytes body = local::encode_request(request);
    if (body.size() > local::message_bytes_most) return fail(Fault::over_limit, "the request is too large");
    const std::uint32_t number = ++number_;
    if (socket_.send({}, head_of(number), body) != Sent::taken) return fail(Fault::unavailable, "the daemon does not read");
    std::int64_t heard_ms = steady_ms(), looked_ms = heard_ms;
    for (;;) {
      if (stop != nullptr && *stop != 0) return fail(Fault::unavailable, "interrupted; what was under way may still be finished by the daemon");
      PollItem item{.socket = socket_.raw()};
      static_cast<void>(wait(std::span(&item, 1), look_ms));
      while (const auto message = socket_.receive()) {
        if (!message->whole || message->body.size() < frame_bytes_least) return fail(Fault::malformed, "the daemon's answer cannot be read");
        if (number_in(message->body) != number) continue;  // to a request that was given up
        if (version_in(message->body) != local::protocol_version)
          return fail(Fault::unsupported, "the daemon speaks version " + std::to_string(version_in(message->body)) +
                                              " of the local interface and this program version " + std::to_string(local::protocol_version) +
                                              ": restart the daemon after an update");
        local::Answer answer = TRY(within("the daemon's answer", local::decode_answer(ByteView(message->body).subspan(head_bytes))));
        const auto* progress = std::get_if<local::Progress>(&answer);
        if (progress == nullptr) return answer;
        if (on_progress) on_progress(*progress);
        heard_ms = steady_ms();
      }
      const std::int64_t now_ms = steady_ms();
      if (now_ms - looked_ms >= look_for_daemon_ms) {
        looked_ms = now_ms;
        if (made(path_) != made_ || knock(path_) != 0) return fail(Fault::unavailable, "the daemon of " + home_.string() + " stopped before it answered");
      }
      if (silence_ms >= 0 && now_ms - heard_ms >= silence_ms) return fail(Fault::unavailable, "the daemon of " + home_.string() + " does not answer");
    }
  }

 private:
  fs::path home_, path_;
  Made made_;
  ZmqContext context_;
  ZmqSocket socket_;
  std::uint32_t number_{};
};

LocalClient::LocalClient(std::unique_ptr<Body> body) : body_(std::move(body)) {}
LocalClient::~LocalClient() = default;

Result<std::unique_ptr<LocalClient>> LocalClient::connect(const fs::path& home) {
  const Place place = TRY(place_of(home));
  switch (const int error = knock(place.socket); error) {
    case 0: break;
    case ENOENT:
    case ENOTDIR:
    case ECONNREFUSED: return fail(Fault::unavailable, "no daemon runs for " + home.string() + ": start dozod first");
    case EACCES:
    case EPERM: return fail(Fault::unavailable, "the daemon of " + home.string() + " is another user's");
    default: return fail(Fault::unavailable, "the daemon of " + home.string() + " cannot be reached: " + std::strerror(error));
  }
  ZmqContext context = TRY(make_context(1, 16));
  ZmqSocket socket = TRY(ZmqSocket::make(context, SocketKind::dealer, limits(0)));
  if (const int error = socket.connect("ipc://" + place.socket.string()); error != 0)
    return fail(Fault::unavailable, "the daemon of " + home.string() + " cannot be reached: " + std::strerror(error));
  return std::unique_ptr<LocalClient>(new LocalClient(std::make_unique<Body>(home, place.socket, std::move(context), std::move(socket))));
}

Result<local::Answer> LocalClient::ask(const local::Request& request, const OnProgress& on_progress, int silence_ms, const volatile std::sig_atomic_t* stop) {
  return body_->ask(request, on_progress, silence_ms, stop);
}

}  // namespace dozo::node
