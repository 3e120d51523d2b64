// Goal: `dozo` reaches its daemon, or learns at once and in one line why not.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "node/local_socket.h"

using namespace dozo;
using namespace dozo::node;
namespace fs = std::filesystem;

namespace {

constexpr int patience_ms = 30'000;

class Home {
 public:
  Home() {
    std::string name = (fs::temp_directory_path() / "dozo-local-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~Home() { fs::remove_all(path_); }
  Home(const Home&) = delete;
  Home& operator=(const Home&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

/// A daemon in a thread, which answers by `reply` until it goes.
class Daemon {
 public:
  using Reply = std::function<void(LocalServer&, const LocalServer::Asked&)>;
  Daemon(const fs::path& home, Reply reply) {
    auto opened = LocalServer::open(home);
    REQUIRE_MESSAGE(opened, (opened ? "" : opened.error().text));
    thread_ = std::thread([this, server = std::move(*opened), reply = std::move(reply)]() mutable {
      for (; !stop_; ::usleep(2'000))
        for (const auto& asked : server->receive()) {
          asked_ = asked_ + 1;
          reply(*server, asked);
        }
      server.reset();
    });
  }
  ~Daemon() { stop(); }
  void stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  int asked() const { return asked_; }

 private:
  std::atomic<bool> stop_ = false;
  std::atomic<int> asked_ = 0;
  std::thread thread_;
};

void echo(LocalServer& server, const LocalServer::Asked& asked) {
  const auto* explain = std::get_if<local::ExplainRequest>(&asked.request);
  CHECK(server.answer(asked.token, local::Done{explain ? explain->who : "done"}));
}
void say_nothing(LocalServer&, const LocalServer::Asked&) {}

std::unique_ptr<LocalClient> client_of(const fs::path& home) {
  auto out = LocalClient::connect(home);
  REQUIRE_MESSAGE(out, (out ? "" : out.error().text));
  return std::move(*out);
}
bool is_one_line(const Error& error) { return !error.text.empty() && error.text.find('\n') == std::string::npos; }

volatile std::sig_atomic_t interrupted = 0;

}  // namespace

TEST_CASE("local socket: a request gets its answer, several clients each their own") {
  Home home;
  Daemon daemon(home.path(), echo);
  const auto a = client_of(home.path()), b = client_of(home.path());
  for (int i = 0; i < 20; ++i) {
    CHECK(std::get<local::Done>(*a->ask(local::ExplainRequest{.who = "a" + std::to_string(i)}, {}, patience_ms)).text == "a" + std::to_string(i));
    CHECK(std::get<local::Done>(*b->ask(local::ExplainRequest{.who = "b" + std::to_string(i)}, {}, patience_ms)).text == "b" + std::to_string(i));
  }
}

TEST_CASE("local socket: progress comes in its order before the final answer") {
  Home home;
  Daemon daemon(home.path(), [](LocalServer& server, const LocalServer::Asked& asked) {
    for (std::uint64_t i = 1; i <= 50; ++i) CHECK(server.answer(asked.token, local::Progress{.files = i}));
    CHECK(server.answer(asked.token, local::Saved{.files = 50}));
  });
  std::vector<std::uint64_t> seen;
  const auto answer = client_of(home.path())->ask(local::PutRequest{}, [&](const local::Progress& it) { seen.push_back(it.files); }, patience_ms);
  REQUIRE(answer);
  CHECK(std::get<local::Saved>(*answer).files == 50);
  REQUIRE(seen.size() == 50);
  for (std::uint64_t i = 0; i < seen.size(); ++i) CHECK(seen[i] == i + 1);
}

TEST_CASE("local socket: large answers arrive whole, and one over the limit becomes a refusal") {
  Home home;
  Daemon daemon(home.path(), [](LocalServer& server, const LocalServer::Asked& asked) {
    const auto* read = std::get_if<local::ReadRequest>(&asked.request);
    if (read)
      CHECK(server.answer(asked.token, local::Data{Bytes(local::read_bytes_most, 0x33)}));
    else
      CHECK(server.answer(asked.token, local::Documents{std::vector<Bytes>(200, Bytes(250U << 10))}));
  });
  const auto client = client_of(home.path());
  CHECK(std::get<local::Data>(*client->ask(local::ReadRequest{}, {}, patience_ms)).bytes == Bytes(local::read_bytes_most, 0x33));
  const auto refused = client->ask(local::DocumentsRequest{}, {}, patience_ms);
  REQUIRE(refused);
  CHECK(std::get<local::Refusal>(*refused).fault == static_cast<std::uint8_t>(Fault::over_limit));
}

TEST_CASE("local socket: without a daemon the client says so at once") {
  Home home;
  const auto none = LocalClient::connect(home.path());
  REQUIRE(!none);
  CHECK(none.error().fault == Fault::unavailable);
  CHECK(is_one_line(none.error()));
  CHECK(!LocalClient::connect(home.path() / "missing"));
}

TEST_CASE("local socket: what a killed daemon leaves disturbs neither client nor next daemon") {
  Home home;
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    auto server = LocalServer::open(home.path());
    const char ok = server ? 'y' : 'n';
    if (::write(ready[1], &ok, 1) == 1) ::pause();
    ::_exit(0);
  }
  char ok = 0;
  REQUIRE(::read(ready[0], &ok, 1) == 1);
  REQUIRE(ok == 'y');
  CHECK(!LocalServer::open(home.path()));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ::close(ready[0]);
  ::close(ready[1]);
  REQUIRE(fs::exists(fs::symlink_status(home.path() / "run" / "socket")));
  const auto none = LocalClient::connect(home.path());
  REQUIRE(!none);
  CHECK(none.error().fault == Fault::unavailable);
  Daemon daemon(home.path(), echo);
  CHECK(client_of(home.path())->ask(local::StatusRequest{}, {}, patience_ms));
}

TEST_CASE("local socket: a second daemon of a home is refused and does not disturb the first") {
  Home home;
  Daemon daemon(home.path(), echo);
  const auto second = LocalServer::open(home.path());
  REQUIRE(!second);
  CHECK(second.error().fault == Fault::unavailable);
  CHECK(is_one_line(second.error()));
  CHECK(client_of(home.path())->ask(local::StatusRequest{}, {}, patience_ms));
}

TEST_CASE("local socket: a daemon that stops takes its socket away, and its home may be had again") {
  Home home;
  Daemon(home.path(), echo).stop();
  CHECK(!fs::exists(fs::symlink_status(home.path() / "run" / "socket")));
  Daemon again(home.path(), echo);
  CHECK(client_of(home.path())->ask(local::StatusRequest{}, {}, patience_ms));
}

TEST_CASE("local socket: a client that waits learns that the daemon stopped, and that it is silent") {
  Home home;
  auto daemon = std::make_unique<Daemon>(home.path(), say_nothing);
  const auto client = client_of(home.path());
  const auto silent = client->ask(local::StatusRequest{}, {}, 300);
  REQUIRE(!silent);
  CHECK(silent.error().fault == Fault::unavailable);
  std::thread stopper([&] {
    while (daemon->asked() < 2) ::usleep(2'000);
    daemon->stop();
  });
  const auto stopped = client->ask(local::StatusRequest{});
  stopper.join();
  REQUIRE(!stopped);
  CHECK(stopped.error().text.find("stopped") != std::string::npos);
}

TEST_CASE("local socket: a daemon restarted under a waiting client is noticed too") {
  Home home;
  auto daemon = std::make_unique<Daemon>(home.path(), say_nothing);
  const auto client = client_of(home.path());
  std::thread restarter([&] {
    while (daemon->asked() < 1) ::usleep(2'000);
    daemon->stop();
    daemon = std::make_unique<Daemon>(home.path(), say_nothing);
  });
  CHECK(!client->ask(local::StatusRequest{}));
  restarter.join();
}

TEST_CASE("local socket: an answer to a request that was given up is not taken for the next one's") {
  Home home;
  std::vector<LocalServer::Token> held;
  Daemon daemon(home.path(), [&](LocalServer& server, const LocalServer::Asked& asked) {
    held.push_back(asked.token);
    if (held.size() < 2) return;
    CHECK(server.answer(held[0], local::Done{"late"}));
    CHECK(server.answer(held[1], local::Done{"right"}));
  });
  const auto client = client_of(home.path());
  CHECK(!client->ask(local::StatusRequest{}, {}, 0));
  CHECK(std::get<local::Done>(*client->ask(local::StatusRequest{}, {}, patience_ms)).text == "right");
}

TEST_CASE("local socket: a signal that sets `stop` ends the wait, another does not") {
  Home home;
  Daemon daemon(home.path(), say_nothing);
  const auto client = client_of(home.path());
  struct sigaction action{}, before_int{}, before_usr{};
  action.sa_handler = [](int) { interrupted = 1; };
  ::sigaction(SIGINT, &action, &before_int);
  action.sa_handler = [](int) {};
  ::sigaction(SIGUSR1, &action, &before_usr);
  const pthread_t waiter = ::pthread_self();
  std::atomic<bool> was_waiting_after_usr = false;
  std::thread sender([&] {
    while (daemon.asked() < 1) ::usleep(2'000);
    ::pthread_kill(waiter, SIGUSR1);
    ::usleep(300'000);
    was_waiting_after_usr = true;
    ::pthread_kill(waiter, SIGINT);
  });
  const auto ended = client->ask(local::StatusRequest{}, {}, -1, &interrupted);
  CHECK(was_waiting_after_usr);
  sender.join();
  ::sigaction(SIGINT, &before_int, nullptr);
  ::sigaction(SIGUSR1, &before_usr, nullptr);
  interrupted = 0;
  REQUIRE(!ended);
  CHECK(ended.error().fault == Fault::unavailable);
}

TEST_CASE("local socket: another version gets one clear line, on either side") {
  Home home;
  Daemon daemon(home.path(), echo);
  void* context = zmq_ctx_new();
  void* old = zmq_socket(context, ZMQ_DEALER);
  const int none = 0, patience = patience_ms;
  zmq_setsockopt(old, ZMQ_LINGER, &none, sizeof none);
  zmq_setsockopt(old, ZMQ_RCVTIMEO, &patience, sizeof patience);
  REQUIRE(zmq_connect(old, ("ipc://" + (home.path() / "run" / "socket").string()).c_str()) == 0);
  const auto ask_raw = [&](const Bytes& frame) {
    REQUIRE(zmq_send(old, frame.data(), frame.size(), 0) >= 0);
    Bytes answer(4096);
    const int size = zmq_recv(old, answer.data(), answer.size(), 0);
    REQUIRE(size > 6);
    answer.resize(static_cast<std::size_t>(size));
    return std::get<local::Refusal>(*local::decode_answer(ByteView(answer).subspan(4)));
  };
  CHECK(ask_raw({0, 0, 0, 9, 0x7f, 0x01, 1, 2, 3}).fault == static_cast<std::uint8_t>(Fault::unsupported));
  CHECK(ask_raw({0, 0, 0, 9, 0, 7, 0xff}).fault == static_cast<std::uint8_t>(Fault::malformed));
  // Frames that are not even a head, and messages of many parts, are passed over.
  REQUIRE(zmq_send(old, "x", 1, 0) == 1);
  REQUIRE(zmq_send(old, "two", 3, ZMQ_SNDMORE) == 3);
  REQUIRE(zmq_send(old, "parts", 5, 0) == 5);
  CHECK(ask_raw({0, 0, 0, 9, 0, 7}).fault == static_cast<std::uint8_t>(Fault::malformed));
  CHECK(daemon.asked() == 0);
  zmq_close(old);
  zmq_ctx_term(context);
  daemon.stop();

  // A daemon of a later version.
  context = zmq_ctx_new();
  void* later = zmq_socket(context, ZMQ_ROUTER);
  zmq_setsockopt(later, ZMQ_LINGER, &none, sizeof none);
  REQUIRE(zmq_bind(later, ("ipc://" + (home.path() / "run" / "socket").string()).c_str()) == 0);
  std::thread speaker([&] {
    Bytes id(256), frame(4096);
    const int id_size = zmq_recv(later, id.data(), id.size(), 0);
    zmq_recv(later, frame.data(), frame.size(), 0);
    zmq_send(later, id.data(), static_cast<std::size_t>(id_size), ZMQ_SNDMORE);
    const Bytes answer{frame[0], frame[1], frame[2], frame[3], 0x00, 0x63, 0xde, 0xad};
    zmq_send(later, answer.data(), answer.size(), 0);
  });
  const auto refused = client_of(home.path())->ask(local::StatusRequest{}, {}, patience_ms);
  speaker.join();
  zmq_close(later);
  zmq_ctx_term(context);
  REQUIRE(!refused);
  CHECK(refused.error().fault == Fault::unsupported);
  CHECK(refused.error().text.find("99") != std::string::npos);
  CHECK(is_one_line(refused.error()));
}

TEST_CASE("local socket: its directory is closed to others, whatever it was") {
  Home home;
  fs::create_directory(home.path() / "run");
  fs::permissions(home.path() / "run", fs::perms::all);
  Daemon daemon(home.path(), echo);
  CHECK(fs::status(home.path() / "run").permissions() == fs::perms::owner_all);
}

TEST_CASE("local socket: a directory that is a file or a link elsewhere is refused") {
  Home home, other;
  std::ofstream(home.path() / "run") << "x";
  CHECK(!LocalServer::open(home.path()));
  fs::remove(home.path() / "run");
  fs::create_directory_symlink(other.path(), home.path() / "run");
  CHECK(!LocalServer::open(home.path()));
}

TEST_CASE("local socket: a home whose path is too long is one line that says so, and the longest that fits works") {
  Home home;
  const std::size_t rest = 107 - std::string("/run/socket").size() - home.path().native().size() - 1;
  const fs::path fits = home.path() / std::string(rest, 'x'), over = home.path() / std::string(rest + 1, 'x');
  fs::create_directory(fits);
  fs::create_directory(over);
  {
    Daemon daemon(fits, echo);
    CHECK(client_of(fits)->ask(local::StatusRequest{}, {}, patience_ms));
  }
  const auto server = LocalServer::open(over);
  const auto client = LocalClient::connect(over);
  REQUIRE((!server && !client));
  CHECK(server.error().fault == Fault::over_limit);
  CHECK(client.error().fault == Fault::over_limit);
  CHECK(is_one_line(server.error()));
}

TEST_CASE("local socket: an answer to a client that went is reported as such") {
  Home home;
  std::atomic<bool> is_gone = false, was_reported = false;
  Daemon daemon(home.path(), [&](LocalServer& server, const LocalServer::Asked& asked) {
    while (!is_gone) ::usleep(2'000);
    for (int i = 0; i < patience_ms / 2 && !was_reported; ++i, ::usleep(2'000))
      if (!server.answer(asked.token, local::Progress{})) was_reported = true;
  });
  CHECK(!client_of(home.path())->ask(local::StatusRequest{}, {}, 0));
  is_gone = true;
  daemon.stop();
  CHECK((was_reported || daemon.asked() == 0));
}

TEST_CASE("local socket: the frame is that of the document") {
  Home home;
  Daemon daemon(home.path(), echo);
  void* context = zmq_ctx_new();
  void* raw = zmq_socket(context, ZMQ_DEALER);
  const int none = 0, patience = patience_ms;
  zmq_setsockopt(raw, ZMQ_LINGER, &none, sizeof none);
  zmq_setsockopt(raw, ZMQ_RCVTIMEO, &patience, sizeof patience);
  REQUIRE(zmq_connect(raw, ("ipc://" + (home.path() / "run" / "socket").string()).c_str()) == 0);
  const Bytes request = *from_hex("00000003000700");
  REQUIRE(zmq_send(raw, request.data(), request.size(), 0) >= 0);
  Bytes answer(256);
  const int size = zmq_recv(raw, answer.data(), answer.size(), 0);
  REQUIRE(size > 6);
  answer.resize(static_cast<std::size_t>(size));
  CHECK(to_hex(ByteView(answer).first(6)) == "000000030007");
  CHECK(std::get<local::Done>(*local::decode_answer(ByteView(answer).subspan(4))).text == "done");
  zmq_close(raw);
  zmq_ctx_term(context);
}
