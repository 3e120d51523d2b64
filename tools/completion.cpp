#include "tools/completion.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <utility>

#include "tools/completion_scripts.h"

namespace dozo::tools {

namespace local = node::local;

namespace {

constexpr int patience_ms = 1000;         ///< longer than that nobody waits for a key press
constexpr unsigned patience_most_s = 3;   ///< whatever hangs, such as a home on a disk that does not answer
constexpr std::uint32_t rows_most = 500;  ///< more are not looked through

// ---- the daemon ------------------------------------------------------------------------------------------------------
/// Nothing, and no word about it, where there is no answer.
template <class T>
std::optional<T> asked(const std::string& home, const local::Request& request) {
  if (home.empty()) return std::nullopt;
  auto client = node::LocalClient::connect(home);
  if (!client) return std::nullopt;
  auto answer = (*client)->ask(request, {}, patience_ms);
  if (!answer) return std::nullopt;
  T* it = std::get_if<T>(&*answer);
  return it == nullptr ? std::nullopt : std::optional<T>(std::move(*it));
}

/// As a terminal shows it and a line carries it.
bool can_be_shown(const std::string& text) { return !text.empty() && shown(text) == text; }

/// As a place names it: what would be taken for an option, or ends before its own colon, is named by its id.
std::string name_in_place(const local::LibraryRow& row) {
  const bool plain = can_be_shown(row.title) && !row.title.starts_with('-') && row.title.find(':') == std::string::npos;
  return plain ? row.title : row.id.hex();
}

void offer_libraries(Offer& to, const std::string& home, const std::string& typed, bool as_places) {
  const auto found = asked<local::Libraries>(home, local::LibrariesRequest{});
  if (!found) return;
  for (const local::LibraryRow& row : found->rows) {
    const std::string name = name_in_place(row);
    if (as_places && row.holding == "blind") continue;
    if (name.starts_with(typed)) to.candidates.push_back({as_places ? name + ":" : name, {}});
  }
}

/// What lies beside `typed`, a path or its beginning; `before` is what stands in front of it in the word.
void offer_paths(Offer& to, const std::string& home, const std::string& library, const std::string& before, const std::string& typed) {
  const std::size_t slash = typed.rfind('/');
  const std::string folder = slash == std::string::npos ? "" : typed.substr(0, slash);
  // Rows come from beyond a path, in the order of bytes: that before all which begin with what is typed.
  std::string after = typed;
  if (!after.empty() && after.back() != '/') {
    after.back() = static_cast<char>(static_cast<unsigned char>(after.back()) - 1);
    after += "\xff";
  }
  const auto found = asked<local::Listing>(home, local::ListRequest{library, folder, after, false, rows_most, ""});
  if (!found) return;
  for (const local::ListRow& row : found->rows)
    if (row.path.starts_with(typed) && can_be_shown(row.path)) to.candidates.push_back({before + row.path, {}});
}

void offer_places(Offer& to, const std::string& home, const std::string& before, const std::string& typed) {
  const std::size_t colon = typed.find(':');
  if (colon == std::string::npos) {
    const std::size_t first = to.candidates.size();
    offer_libraries(to, home, typed, true);
    for (std::size_t i = first; i < to.candidates.size(); ++i) to.candidates[i].text.insert(0, before);
    return;
  }
  std::size_t path = colon + 1;
  while (path < typed.size() && typed[path] == '/') ++path;
  offer_paths(to, home, typed.substr(0, colon), before + typed.substr(0, path), typed.substr(path));
}

// ---- the words before the cursor -------------------------------------------------------------------------------------
bool takes_value(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

/// Of the verb, or one of those that may stand anywhere.
const CLI::Option* option_named(const CLI::App& app, const CLI::App& verb, const std::string& name) {
  const CLI::Option* out = verb.get_option_no_throw(name);
  return out != nullptr ? out : app.get_option_no_throw(name);
}

/// Reads the words before the cursor as the command would, without minding what is wrong in them.
struct Reading {
  const CLI::App* app;
  const CLI::App* verb = app;
  const CLI::Option* waits = nullptr;  ///< an option whose value is next
  std::size_t arguments = 0;           ///< of the verb, so far
  bool only_arguments = false;         ///< since --
  std::string home, library;           ///< the second: of the first place

  void take(const std::string& word) {
    if (waits != nullptr) return value(*std::exchange(waits, nullptr), word);
    if (!only_arguments && word == "--") return static_cast<void>(only_arguments = true);
    if (!only_arguments && word.starts_with("--")) return long_option(word);
    if (!only_arguments && word.size() > 1 && word.front() == '-') return short_options(word);
    if (const CLI::App* next = arguments == 0 ? verb_named(word) : nullptr) return static_cast<void>(verb = next);
    if (const CLI::Option* it = argument(); it != nullptr && it->get_type_name() == takes::place && library.empty())
      library = word.substr(0, std::min(word.find(':'), word.size()));
    ++arguments;
  }
  /// What stands at the next place, or nothing: the last one where it takes many.
  const CLI::Option* argument() const {
    const auto all = verb->get_options([](const CLI::Option* it) { return it->get_positional(); });
    if (all.empty()) return nullptr;
    if (arguments < all.size()) return all[arguments];
    return all.back()->get_items_expected_max() > 1 ? all.back() : nullptr;
  }
  bool wants_verb() const { return verb->get_require_subcommand_min() > 0; }

 private:
  const CLI::App* verb_named(const std::string& word) const {
    const auto found = verb->get_subcommands([&](const CLI::App* it) { return it->get_name() == word; });
    return found.empty() ? nullptr : found.front();
  }
  void value(const CLI::Option& option, const std::string& word) {
    if (option.check_lname("home")) home = word;
  }
  void long_option(const std::string& word) {
    const std::size_t equals = word.find('=');
    const CLI::Option* it = option_named(*app, *verb, word.substr(0, equals));
    if (it == nullptr || !takes_value(*it)) return;
    if (equals == std::string::npos) return static_cast<void>(waits = it);
    value(*it, word.substr(equals + 1));
  }
  void short_options(const std::string& word) {
    for (std::size_t i = 1; i < word.size(); ++i) {
      const CLI::Option* it = option_named(*app, *verb, std::string{'-', word[i]});
      if (it == nullptr || !takes_value(*it)) continue;
      if (i + 1 == word.size()) waits = it;
      return;
    }
  }
};

// ---- the word at the cursor ------------------------------------------------------------------------------------------
void offer_verbs(Offer& to, const CLI::App& of, const std::string& typed) {
  for (const CLI::App* it : of.get_subcommands([&](const CLI::App* verb) { return !verb->get_group().empty() && verb->get_name().starts_with(typed); }))
    to.candidates.push_back({it->get_name(), it->get_description().substr(0, it->get_description().rfind(": dozo "))});
}

void offer_options(Offer& to, const Reading& reading, const std::string& typed) {
  std::vector<const CLI::Option*> all = reading.verb->get_options();
  if (reading.verb != reading.app) {
    for (const CLI::Option* it : reading.app->get_options())
      if (!it->check_lname("help") && !it->check_lname("version")) all.push_back(it);
  }
  for (const CLI::Option* it : all) {
    if (it->get_positional() || it->get_group().empty()) continue;
    const std::string name = it->get_lnames().empty() ? "-" + it->get_snames().front() : "--" + it->get_lnames().front();
    if (name.starts_with(typed)) to.candidates.push_back({name, it->get_description()});
  }
}

/// What the option takes; `before` stands in front of it in the same word.
void offer_values(Offer& to, const Reading& reading, const CLI::Option& option, const std::string& before, const std::string& typed) {
  std::string takes = option.get_type_name();
  if (const std::size_t open = takes.find('{'); open != std::string::npos) {  // one of these: KIND:{hq,bureau,vault,desk}
    for (std::string& it : CLI::detail::split(takes.substr(open + 1, takes.rfind('}') - open - 1), ','))
      if (it.starts_with(typed)) to.candidates.push_back({before + it, {}});
    return;
  }
  if (takes == takes::file || takes == takes::source) to.files = Offer::Files::all;
  if (takes == takes::folder) to.files = Offer::Files::folders;
  if (takes == takes::library) {
    const std::size_t first = to.candidates.size();
    offer_libraries(to, reading.home, typed, false);
    for (std::size_t i = first; i < to.candidates.size(); ++i) to.candidates[i].text.insert(0, before);
  }
  const bool is_place =
      takes == takes::place || (takes == takes::source && reading.arguments > 0) || (takes == takes::path && typed.find(':') != std::string::npos);
  if (is_place) offer_places(to, reading.home, before, typed);
  if (takes == takes::path && !is_place && !reading.library.empty()) offer_paths(to, reading.home, reading.library, before, typed);
}

}  // namespace

Offer offer(const CLI::App& app, const Common& common, std::span<const std::string> words) {
  Offer out;
  if (words.empty()) return out;
  Reading reading{&app};
  reading.home = common.home;
  for (const std::string& word : words.first(words.size() - 1)) reading.take(word);
  // No shell expands it for us in the middle of typing.
  if (const char* own = std::getenv("HOME"); own != nullptr && reading.home.starts_with("~/")) reading.home.replace(0, 1, own);
  const std::string& typed = words.back();
  if (reading.waits != nullptr) {
    offer_values(out, reading, *reading.waits, "", typed);
  } else if (!reading.only_arguments && typed.starts_with('-')) {
    const std::size_t equals = typed.find('=');
    const CLI::Option* option = equals == std::string::npos ? nullptr : option_named(app, *reading.verb, typed.substr(0, equals));
    if (option != nullptr) {
      if (takes_value(*option)) offer_values(out, reading, *option, typed.substr(0, equals + 1), typed.substr(equals + 1));
    } else {
      offer_options(out, reading, typed);
    }
  } else if (reading.wants_verb()) {
    offer_verbs(out, *reading.verb, typed);
  } else if (const CLI::Option* argument = reading.argument()) {
    offer_values(out, reading, *argument, "", typed);
  }
  return out;
}

// ---- bash ------------------------------------------------------------------------------------------------------------
ShellLine read_shell_line(std::string_view text) {
  ShellLine out;
  std::string word;
  bool in_word = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (!in_word && (c == ' ' || c == '\t' || c == '\n')) continue;
    if (!in_word) in_word = true, out.last_begin = i;
    if (out.escapes) {
      if (out.quote == '"' && c != '$' && c != '`' && c != '"' && c != '\\') word += '\\';
      if (c != '\n') word += c;
      out.escapes = false;
    } else if (c == '\\' && out.quote != '\'') {
      out.escapes = true;
    } else if (out.quote != 0) {
      if (c == out.quote)
        out.quote = 0;
      else
        word += c;
    } else if (c == '\'' || c == '"') {
      out.quote = c;
    } else if (c == ' ' || c == '\t' || c == '\n') {
      out.words.push_back(std::exchange(word, {}));
      in_word = false;
    } else {
      word += c;
    }
  }
  if (!in_word) out.last_begin = text.size();
  out.words.push_back(word);
  return out;
}

std::string shell_quoted(std::string_view text, char quote) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (quote == '\'') {
      out += c == '\'' ? "'\\''" : std::string(1, c);
    } else if (quote == '"') {
      if (c == '!') {
        out += "\"\\!\"";  // between quotes even a backslash does not keep the history out
      } else {
        if (c == '$' || c == '`' || c == '"' || c == '\\') out += '\\';
        out += c;
      }
    } else {
      const bool plain = byte >= 0x80 || std::isalnum(byte) != 0 || std::string_view("_./:=@%+,-").find(c) != std::string_view::npos;
      if (!plain) out += '\\';
      out += c;
    }
  }
  return out;
}

namespace {

/// The ends of the words that replace `text`, the end of `line`.
std::vector<std::string> replacements(const Offer& offered, std::string_view line, std::string_view text) {
  const ShellLine whole = read_shell_line(line);
  const std::string_view word = line.substr(whole.last_begin);
  if (!word.ends_with(text)) return {};
  const ShellLine kept = read_shell_line(word.substr(0, word.size() - text.size()));  // what stays of the word as it was typed
  if (kept.escapes) return {};
  std::vector<std::string> out;
  for (const Offer::Candidate& it : offered.candidates) {
    if (!it.text.starts_with(kept.words.back())) continue;
    std::string& end = out.emplace_back(shell_quoted(std::string_view(it.text).substr(kept.words.back().size()), kept.quote));
    // readline closes a quote that is open, unless it sees one at the end, whichever that is.
    if (kept.quote != 0 && end.ends_with(kept.quote)) end += kept.quote;
  }
  return out;
}

}  // namespace

int complete(const CLI::App& app, const Common& common, std::span<const std::string> arguments) {
  ::alarm(patience_most_s);  // ends the process, without a word
  if (arguments.empty()) return 2;
  Offer offered;
  if (arguments.front() == "words") {
    offered = offer(app, common, arguments.subspan(1));
    for (const Offer::Candidate& it : offered.candidates) std::printf("%s%s%s\n", it.text.c_str(), it.description.empty() ? "" : "\t", it.description.c_str());
  } else if (arguments.front() == "line" && arguments.size() == 3) {
    const ShellLine line = read_shell_line(arguments[1]);
    if (line.words.size() < 2) return 0;
    offered = offer(app, common, std::span(line.words).subspan(1));
    for (const std::string& it : replacements(offered, arguments[1], arguments[2])) std::printf("%s\n", it.c_str());
  } else {
    return 2;
  }
  if (offered.files != Offer::Files::none) std::printf("%s\n", offered.files == Offer::Files::all ? ":files" : ":folders");
  return 0;
}

void add_completion_verb(CLI::App& app) {
  auto shell = std::make_shared<std::string>();
  CLI::App* verb = app.add_subcommand("completion", "print what lets a shell complete commands: dozo completion SHELL")->group("This command");
  verb->add_option("shell", *shell, "bash: source <(dozo completion bash); zsh: the same, after compinit; fish: dozo completion fish | source")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}))
      ->type_name("SHELL");
  verb->callback([shell] {
    const char* script = *shell == "bash" ? bash_completion : *shell == "zsh" ? zsh_completion : fish_completion;
    std::fputs(script, stdout);
  });
}

}  // namespace dozo::tools
