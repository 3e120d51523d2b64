#include "tools/command.h"

#include <sys/ioctl.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <ctime>

namespace dozo::tools {

namespace local = node::local;

namespace {

volatile std::sig_atomic_t interrupted = 0;

void on_signal(int) { interrupted = 1; }
int interruptible_depth = 0;  ///< the outermost alone sets handlers: an inner one would give a second ^C back what the first had used up

/// The code point that begins at `at`, and its length; length 0: not UTF-8.
std::pair<char32_t, std::size_t> code_point(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[at + i]); };
  const unsigned first = byte(0);
  if (first < 0x80) return {first, 1};
  const std::size_t length = first >= 0xf0 && first <= 0xf4 ? 4 : first >= 0xe0 && first < 0xf0 ? 3 : first >= 0xc2 && first < 0xe0 ? 2 : 0;
  if (length == 0 || at + length > text.size()) return {0, 0};
  char32_t value = first & (0x7fU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {0, 0};
    value = value << 6 | (byte(i) & 0x3fU);
  }
  const bool shortest = length == 2 || (length == 3 ? value >= 0x800 : value >= 0x10000);
  return shortest && value <= 0x10ffff && !(value >= 0xd800 && value < 0xe000) ? std::pair<char32_t, std::size_t>{value, length}
                                                                               : std::pair<char32_t, std::size_t>{0, 0};
}

/// What moves the cursor, turns the writing around or cannot be seen (Unicode's categories Cc, Cf, Zl, Zp).
bool misleads(char32_t c) {
  struct Range {
    char32_t first, last;
  };
  static constexpr Range ranges[] = {{0x00, 0x1f},       {0x7f, 0x9f},       {0xad, 0xad},      {0x600, 0x605},     {0x61c, 0x61c},     {0x6dd, 0x6dd},
                                     {0x70f, 0x70f},     {0x890, 0x891},     {0x8e2, 0x8e2},    {0x180e, 0x180e},   {0x200b, 0x200f},   {0x2028, 0x202e},
                                     {0x2060, 0x206f},   {0xfeff, 0xfeff},   {0xfff9, 0xfffb},  {0x110bd, 0x110bd}, {0x110cd, 0x110cd}, {0x13430, 0x1343f},
                                     {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0001, 0xe007f}};
  for (const Range& it : ranges)
    if (c >= it.first && c <= it.last) return true;
  return false;
}

}  // namespace

void misused(const std::string& why) { throw CLI::ValidationError(why); }

Result<Place> parse_place(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0)
    return fail(Fault::malformed, "\"" + shown(text) + "\" is no place: write LIBRARY:PATH, or LIBRARY: for the whole library");
  Place out{std::string(text.substr(0, colon)), std::string(text.substr(colon + 1))};
  while (out.path.starts_with('/')) out.path.erase(0, 1);
  return out;
}

Interruptible::Interruptible() {
  if (interruptible_depth++ > 0) return;
  struct sigaction action{};
  action.sa_handler = on_signal;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (std::size_t i = 0; i < signals.size(); ++i) {
    ::sigaction(signals[i], nullptr, &before_[i]);
    if (before_[i].sa_handler != SIG_IGN) ::sigaction(signals[i], &action, nullptr);  // nohup, and a shell's background
  }
}

Interruptible::~Interruptible() {
  if (--interruptible_depth > 0) return;
  for (std::size_t i = 0; i < signals.size(); ++i) ::sigaction(signals[i], &before_[i], nullptr);
}

bool Interruptible::was_interrupted() { return interrupted != 0; }

ProgressLine::ProgressLine() : on_terminal_(on_terminal(STDERR_FILENO)) {}

ProgressLine::~ProgressLine() {
  if (shown_ms_ != 0) std::fputs("\r\033[K", stderr);
}

void ProgressLine::show(const local::Progress& it) {
  if (!on_terminal_) return;
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  const std::int64_t now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  if (shown_ms_ != 0 && now_ms - shown_ms_ < 100) return;
  shown_ms_ = now_ms;
  std::string line = std::to_string(it.files) + (it.files_total > 0 ? " of " + std::to_string(it.files_total) : "") + " files, " + size_text(it.bytes);
  if (it.bytes_total > 0) line += " of " + size_text(it.bytes_total);
  std::fprintf(stderr, "\r\033[K%s", line.c_str());
  std::fflush(stderr);
}

Result<local::Answer> ask(const Common& common, const local::Request& request) {
  if (common.home.empty()) misused("which node? Name its home with --home, or set DOZO_HOME");
  if (!common.daemon) common.daemon = TRY(node::LocalClient::connect(common.home));
  const std::shared_ptr<node::LocalClient> client = common.daemon;
  ProgressLine line;
  const Interruptible until_here;
  Result<local::Answer> answer = client->ask(request, [&](const local::Progress& progress) { line.show(progress); }, -1, &interrupted);
  if (!answer) {
    common.daemon.reset();  // the next question may find another daemon there
    return answer;
  }
  if (const auto* refusal = std::get_if<local::Refusal>(&*answer)) {
    // It may name a document, and a name with a newline is to make no second line.
    if (refusal->fault > static_cast<std::uint8_t>(Fault::unsupported)) return fail(Fault::unavailable, shown(refusal->text));
    return fail(static_cast<Fault>(refusal->fault), shown(refusal->text));
  }
  return answer;
}

std::string shown(std::string_view text) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const auto [value, length] = code_point(text, at);
    const std::size_t taken = length == 0 ? 1 : length;
    for (std::size_t i = 0; i < taken; ++i) {
      const auto byte = static_cast<unsigned char>(text[at + i]);
      if (length == 0 || misleads(value)) {
        out += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
      } else {
        out += text[at + i];
      }
    }
    at += taken;
  }
  return out;
}

std::string shown_lines(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find_first_of("\t\n\r", at), text.size());
    out += shown(text.substr(at, end - at));
    const bool ends_line = end + 1 < text.size() && text[end] == '\r' && text[end + 1] == '\n';
    if (end < text.size() && !ends_line) out += text[end] == '\r' ? shown("\r") : std::string(1, text[end]);
    at = end + 1;
  }
  return out;
}

bool is_text(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const auto [value, length] = code_point(text, at);
    const bool is_white = value == '\t' || value == '\n' || value == '\r' || value == '\f';
    if (length == 0 || (!is_white && (value < 0x20 || value == 0x7f))) return false;
    at += length;
  }
  return true;
}

std::string size_text(std::uint64_t bytes) {
  static constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) return std::to_string(bytes) + " B";
  std::size_t unit = 0;
  auto value = static_cast<double>(bytes);
  while (value >= 1023.95 && unit + 1 < std::size(units)) value /= 1024, ++unit;
  char out[32];
  std::snprintf(out, sizeof out, "%.1f %s", value, units[unit]);
  return out;
}

std::string time_text(std::int64_t time_ms) {
  const auto seconds = static_cast<std::time_t>(time_ms / 1000 - (time_ms % 1000 < 0 ? 1 : 0));
  std::tm parts{};
  char out[32];
  if (::localtime_r(&seconds, &parts) == nullptr || std::strftime(out, sizeof out, "%Y-%m-%d %H:%M", &parts) == 0) return "-";
  return out;
}

bool on_terminal(int descriptor) { return ::isatty(descriptor) == 1; }

}  // namespace dozo::tools
