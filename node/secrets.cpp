#include "node/secrets.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>

namespace dozo::node {
namespace {

constexpr std::size_t passphrase_bytes_most = 1024;

/// Nothing is echoed while it lives.
class Silence {
 public:
  explicit Silence(int terminal) : terminal_(terminal), good_(::tcgetattr(terminal, &before_) == 0) {
    if (!good_) return;
    termios silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    ::tcsetattr(terminal_, TCSAFLUSH, &silent);
  }
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;
  ~Silence() {
    if (good_) ::tcsetattr(terminal_, TCSAFLUSH, &before_);
  }

 private:
  int terminal_;
  termios before_{};
  bool good_;
};

void say(int terminal, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(terminal, text.data(), text.size());
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

Result<crypto::SecretBytes> ask_terminal(const std::string& question) {
  const int terminal = ::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
  if (terminal < 0) return fail(Fault::unavailable, question + " is needed, and there is no terminal to ask: use --key-file or --passphrase-file");
  Bytes line;
  line.reserve(passphrase_bytes_most);  // never moved, so that no copy stays behind
  bool ended = false;
  {
    const Silence silence(terminal);
    say(terminal, question + ": ");
    std::uint8_t byte = 0;
    while (!ended && line.size() < passphrase_bytes_most) {
      const ssize_t got = ::read(terminal, &byte, 1);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0 || byte == '\n' || byte == '\r') ended = true;
      if (!ended) line.push_back(byte);
    }
    say(terminal, "\n");
  }
  ::close(terminal);
  crypto::SecretBytes out(std::move(line));
  if (!ended) return fail(Fault::over_limit, "a passphrase of more than " + std::to_string(passphrase_bytes_most) + " bytes");
  if (out.reveal().empty()) return fail(Fault::malformed, "an empty passphrase");
  return out;
}

bool same(ByteView a, ByteView b) { return a.size() == b.size() && crypto::detail::equal_in_constant_time(a.data(), b.data(), a.size()); }

Result<crypto::Unlocking> by_options(const SecretOptions& options) {
  if (!options.key_file.empty()) return unlocking_by_file(options.key_file);
  return unlocking_by_passphrase_file(options.passphrase_file);
}

}  // namespace

Result<crypto::Unlocking> new_secret(const SecretOptions& options, const std::string& what) {
  if (options.given()) return by_options(options);
  crypto::SecretBytes first = TRY(ask_terminal("new passphrase for " + what));
  const crypto::SecretBytes again = TRY(ask_terminal("the same again"));
  if (!same(first.reveal(), again.reveal())) return fail(Fault::malformed, "the two passphrases differ; nothing was made");
  return crypto::Unlocking{crypto::Protection::passphrase, std::move(first)};
}

Result<crypto::Unlocking> secret_for(crypto::Protection protection, const SecretOptions& options, const std::string& what) {
  if (options.given()) {
    crypto::Unlocking out = TRY(by_options(options));
    if (out.protection != protection)
      return fail(Fault::denied, what + " is opened by a " + (protection == crypto::Protection::key ? "key file" : "passphrase") + ", not by what was given");
    return out;
  }
  if (protection == crypto::Protection::key) return fail(Fault::denied, what + " is opened by a key file: name it with --key-file");
  return crypto::Unlocking{protection, TRY(ask_terminal("passphrase for " + what))};
}

Result<HomeKeys> open_home_keys(const Home& home, const SecretOptions& options) {
  SecretOptions with = options;
  if (!with.given() && home.settings.key_file) with.key_file = *home.settings.key_file;
  return open_keys(home, TRY(secret_for(TRY(protection_of(home)), with, "the keys of " + home.path.string())));
}

}  // namespace dozo::node
