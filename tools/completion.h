// Completion: what may stand where the cursor is, for shells. It goes by the command line itself (CLI11's App with all verbs), so that it cannot lag behind;
// the scripts of the shells only ask `dozo complete` and show what it says.
//
// Places are asked of the running daemon, once for each key press, and not longer than a second. Whatever goes wrong is silence: no daemon, no candidates.
// Names that a terminal cannot show as they are (control characters, stray bytes) are not offered. What `words` gives is plain text, which a shell must quote
// by itself, as zsh and fish do; what `line` gives is quoted.
// Threads: one.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tools/command.h"

namespace dozo::tools {

struct Offer {
  struct Candidate {
    std::string text;         ///< the whole word
    std::string description;  ///< of verbs and options
  };
  enum class Files : std::uint8_t { none, folders, all };

  std::vector<Candidate> candidates;
  Files files = Files::none;  ///< beside them; the shell knows these better
};
/// `words` without the command's name; the last one is that which is being typed, perhaps empty.
Offer offer(const CLI::App& app, const Common& common, std::span<const std::string> words);

/// A command line that bash has read up to the cursor: words without their quotes. Nothing is expanded.
struct ShellLine {
  std::vector<std::string> words;  ///< the last one is being typed
  std::size_t last_begin = 0;      ///< where it begins in the text
  char quote = 0;                  ///< that is open at the end, else 0
  bool escapes = false;            ///< ends with a backslash that takes the next character
};
ShellLine read_shell_line(std::string_view text);
/// So that bash reads exactly this text, where that quote is open (0: none): nothing is expanded, executed or taken out of the history of commands.
std::string shell_quoted(std::string_view text, char quote);

/// The hidden verb of the scripts, which takes its arguments as they are: `words WORD...`, as for offer(), or `line LINE TEXT`: bash's line up to the
/// cursor, of which it replaces TEXT, the end. Prints a line for each candidate, `CANDIDATE[<TAB>DESCRIPTION]`, and `:files` or `:folders`.
int complete(const CLI::App& app, const Common& common, std::span<const std::string> arguments);

}  // namespace dozo::tools
