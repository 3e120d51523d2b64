// Command: what the verbs of `dozo` share: the home, the question to its daemon, how results and failures are shown.
//
// A verb is a function Result<void>(options); main turns its error into one line and an exit status (docs/cli.md).
// Threads: one.
#pragma once
#include <array>
#include <csignal>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "node/exit_status.h"
#include "node/local_socket.h"

namespace CLI {
class App;
}

namespace dozo::tools {

/// Options that every verb has.
struct Common {
  std::string home;  ///< --home or DOZO_HOME
  bool json{};
  mutable std::shared_ptr<node::LocalClient> daemon;  ///< of `home`, once it was asked: a connection costs more than most questions
};

/// `LIBRARY:PATH`.
struct Place {
  std::string library, path;
  std::string at{};  ///< the id of a commit: as it was then; "": as it is now
};
/// Takes a leading slash off the path. Fault: malformed (no colon, or no library before it).
Result<Place> parse_place(std::string_view text);

/// While one lives, ^C and its like (also the terminal's end) only leave a word, so that what is half done can be cleaned up; a second ^C ends the program.
/// Every question to the daemon has one around it.
class Interruptible {
 public:
  Interruptible();
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;
  ~Interruptible();
  static bool was_interrupted();

 private:
  static constexpr std::array<int, 3> signals{SIGINT, SIGTERM, SIGHUP};
  std::array<struct sigaction, signals.size()> before_{};
};

/// A line on standard error that says how far something is, where that is a terminal. Gone when this ends.
class ProgressLine {
 public:
  ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  ~ProgressLine();
  void show(const node::local::Progress& it);  ///< at most ten times in a second

 private:
  const bool on_terminal_;
  std::int64_t shown_ms_ = 0;  ///< 0: not yet
};

/// What is typed wrongly ends the program with status 2, whatever a node would say: thrown, for main.
[[noreturn]] void misused(const std::string& why);

/// One question to the daemon of `common.home`. Progress answers are shown on a terminal while waiting. Faults: unavailable (no daemon), what
/// the daemon refused, malformed.
Result<node::local::Answer> ask(const Common& common, const node::local::Request& request);

/// The same, where the answer must be a T.
template <class T>
Result<T> ask_for(const Common& common, const node::local::Request& request) {
  node::local::Answer answer = TRY(ask(common, request));
  if (T* it = std::get_if<T>(&answer)) return std::move(*it);
  return fail(Fault::malformed, "the daemon answered something else; are dozo and dozod of the same version?");
}

/// Text as it may stand on a terminal: control and format characters (newline, U+202E and their like) and stray bytes as \xNN.
std::string shown(std::string_view text);
/// The same of lines: tabs and line feeds stay.
std::string shown_lines(std::string_view text);
/// May be shown as lines: UTF-8 in which every character can be seen, but tabs, line feeds and carriage returns.
bool is_text(std::string_view text);
std::string size_text(std::uint64_t bytes);   ///< 12.3 MiB
std::string time_text(std::int64_t time_ms);  ///< 2026-11-23 14:05, in the local time zone
bool on_terminal(int descriptor);

using node::exit_status;

/// What an option or an argument takes, as its type_name: --help and the manual show it, and completion goes by it (tools/completion.h).
namespace takes {
inline constexpr const char* file = "FILE";
inline constexpr const char* folder = "FOLDER";
inline constexpr const char* source = "SOURCE";    ///< a file or folder of this machine; after the first, perhaps a place
inline constexpr const char* place = "PLACE";      ///< LIBRARY:PATH
inline constexpr const char* path = "PATH";        ///< in the library of the place before it
inline constexpr const char* library = "LIBRARY";  ///< alone, without a colon
inline constexpr const char* name = "NAME";
inline constexpr const char* number = "NUMBER";
inline constexpr const char* seconds = "SECONDS";
}  // namespace takes

/// Each adds its verbs to the command line; `run` is set to what the chosen verb does.
void add_document_verbs(CLI::App& app, Common& common);
void add_export_verbs(CLI::App& app, Common& common);
void add_reading_verbs(CLI::App& app, Common& common);
void add_node_verbs(CLI::App& app, Common& common);
void add_fsck_verb(CLI::App& app, Common& common);
void add_authority_verbs(CLI::App& app, Common& common);
void add_policy_verbs(CLI::App& app, Common& common);
void add_person_verbs(CLI::App& app, Common& common);
void add_unit_verbs(CLI::App& app, Common& common);
void add_completion_verb(CLI::App& app);
void add_manual_verb(CLI::App& app);

/// A verb's callback: throws Failed, which main catches.
struct Failed {
  Error error;
};
inline void finish(Result<void> result) {
  if (!result) throw Failed{std::move(result.error())};
}

}  // namespace dozo::tools
