// The manual page dozo(1), made from the command line itself, so that it cannot lag behind: the hidden verb `dozo man`, which the build runs.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cstdio>

#include "tools/command.h"

namespace dozo::tools {
namespace {

/// Text as roff prints it, as it stands: no hyphen becomes another sign, and nothing is a request.
std::string roff(std::string_view text) {
  std::string out;
  if (text.starts_with('.')) out += "\\&";
  for (const char c : text) {
    switch (c) {
      case '\\': out += "\\e"; break;
      case '-': out += "\\-"; break;
      case '"': out += "\\(dq"; break;
      case '\'': out += "\\(aq"; break;
      case '`': out += "\\(ga"; break;
      case '^': out += "\\(ha"; break;
      case '~': out += "\\(ti"; break;
      default: out += c;
    }
  }
  return out;
}

std::string capitals(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

/// What an option takes, without what its checks add: KIND of "KIND:{hq,bureau,vault,desk}".
std::string taken(const CLI::Option& option) {
  const std::string all = option.get_type_name();
  return all.substr(0, std::min({all.find(":{"), all.find(":UINT in ["), all.size()}));
}
bool is_flag(const CLI::Option& option) { return option.get_items_expected_max() == 0; }
bool takes_many(const CLI::Option& option) { return option.get_items_expected_max() > 1; }

void print_option(const CLI::Option& option) {
  std::string names, help = option.get_description();
  if (option.get_positional()) {
    names = "\\fI" + roff(capitals(option.get_name(true))) + "\\fR";
  } else {
    for (const std::string& it : option.get_snames()) names += (names.empty() ? "" : ", ") + ("\\fB\\-" + roff(it)) + "\\fR";
    for (const std::string& it : option.get_lnames()) names += (names.empty() ? "" : ", ") + ("\\fB\\-\\-" + roff(it)) + "\\fR";
    if (!is_flag(option)) names += " \\fI" + roff(taken(option)) + "\\fR";
  }
  if (!option.get_default_str().empty()) help += " (" + option.get_default_str() + ", if not given)";
  std::printf(".TP\n%s\n%s\n", names.c_str(), roff(help).c_str());
}

/// "dozo get LIBRARY:[PATH] TARGET": the end of the verb's description, or made of what it needs.
std::string how_to_call(const CLI::App& verb, const std::string& name) {
  const std::string& text = verb.get_description();
  if (const std::size_t at = text.rfind(": dozo "); at != std::string::npos) return text.substr(at + 2);
  std::string out = name;
  for (const CLI::Option* it : verb.get_options([](const CLI::Option* option) { return option->get_positional(); }))
    out += " " + capitals(it->get_name(true)) + (takes_many(*it) ? "..." : "");
  for (const CLI::Option* it : verb.get_options([](const CLI::Option* option) { return option->nonpositional() && option->get_required(); }))
    out += " --" + it->get_lnames().front() + " " + taken(*it) + (takes_many(*it) ? "..." : "");
  return out;
}

std::vector<const CLI::App*> verbs_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* it) { return !it->get_group().empty(); });
}

void print_verb(const CLI::App& verb, const std::string& before) {
  const std::string name = before + " " + verb.get_name(), call = how_to_call(verb, name);
  if (const auto below = verbs_of(verb); !below.empty()) {
    for (const CLI::App* it : below) print_verb(*it, name);
    return;
  }
  std::string help = verb.get_description();
  if (help.ends_with(": " + call)) help.resize(help.size() - call.size() - 2);
  help = capitals(help.substr(0, 1)) + help.substr(1);
  std::printf(".SS \"%s\"\n%s.\n", roff(call).c_str(), roff(help).c_str());
  for (const CLI::Option* it : verb.get_options()) {
    const bool said = it->get_positional() && call.find(it->get_description()) != std::string::npos;
    if (!it->check_lname("help") && !it->get_group().empty() && !said) print_option(*it);
  }
}

constexpr const char* introduction = R"(.SH SYNOPSIS
\fBdozo\fR [\fB\-\-home\fR \fIFOLDER\fR] [\fB\-\-json\fR] \fIVERB\fR ...
.SH DESCRIPTION
Dozo keeps an organisation\(aqs documents on the machines of its own sites: encrypted, every version kept, replicated from site to site under a policy that
its headquarters signs.
\fBdozo\fR is what people type.
Most verbs ask the daemon of a node,
.BR dozod (8);
those of headquarters work on a folder that is best kept off the network.
.PP
A \fIhome\fR is the folder of one node.
A \fIplace\fR is \fILIBRARY\fR:\fIPATH\fR: the library by its title, or by its id in hex, and a path without a leading slash;
\fIworks:\fR is the whole library \fIworks\fR.
A moment, as \fB\-\-at\fR, \fB\-\-from\fR and \fB\-\-to\fR take it, is a day (2026\-11\-27), a minute or second of it (2026\-11\-27T14:05), all of
which counts, the id of a commit, as \fBdozo log\fR shows it, or a tag.
.PP
A secret is never an argument: it is the content of a file that is closed to others, or is asked for on the terminal.
Results go to standard output, all else to standard error.
.SH OPTIONS
These may stand before or after the verb.
)";

constexpr const char* conclusion = R"(.SH EXIT STATUS
.TP
.B 0
done
.TP
.B 1
it failed: the line on standard error says why
.TP
.B 2
wrong usage
.TP
.B 3
not found
.TP
.B 4
refused: policy, signature, passphrase, a foreign or newer store
.TP
.B 5
in the way: it exists already, or changed meanwhile
.TP
.B 6
damaged: \fBdozo fsck\fR says what
.TP
.B 7
not now: no daemon, port taken, disk full, peers away, out of memory
.SH ENVIRONMENT
.TP
.B DOZO_HOME
the home of the node to ask, where \fB\-\-home\fR does not say
.SH SEE ALSO
.BR dozod (8),
.BR node.toml (5)
)";

void print_manual(const CLI::App& app) {
  std::printf(".\\\" made by `dozo man`\n.TH DOZO 1 \"\" \"%s\" \"Dozo\"\n.SH NAME\ndozo \\- documents shared among the nodes of a realm\n",
              roff("Dozo " DOZO_VERSION).c_str());
  std::fputs(introduction, stdout);
  for (const CLI::Option* it : app.get_options()) print_option(*it);
  std::string group;
  for (const CLI::App* verb : verbs_of(app)) {
    if (verb->get_group() != group) std::printf(".SH \"%s\"\n", roff(capitals(group = verb->get_group())).c_str());
    print_verb(*verb, "dozo");
  }
  std::fputs(conclusion, stdout);
}

}  // namespace

void add_manual_verb(CLI::App& app) {
  app.add_subcommand("man", "print dozo(1)")->group("")->callback([&app] { print_manual(app); });
}

}  // namespace dozo::tools
