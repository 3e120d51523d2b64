// Reading of TOML: shapes and words. What the parts say together is checked in source_check.cpp.
#include "policy/source.h"

#include <toml++/toml.h>
#include <algorithm>
#include <array>
#include <chrono>
#include <functional>

#include "policy/json.h"
#include "policy/source_reader.h"

namespace dozo::policy {
namespace {

constexpr std::size_t source_bytes_most = 16U << 20;

/// One table of the source, whose keys are asked for one by one. Mistakes are collected, and reading goes on with empty values.
class TableReader {
 public:
  TableReader(const toml::table& table, std::string_view file, std::vector<Mistake>& mistakes) : table_(table), file_(file), mistakes_(mistakes) {}

  std::uint32_t line() const { return table_.source().begin.line; }
  const toml::node* find(std::string_view key) {
    known_.emplace_back(key);
    return table_.get(key);
  }
  void wrong(const toml::node& at, std::string text, std::string suggestion = {}) {
    mistakes_.push_back({file_, at.source().begin.line, at.source().begin.column, std::move(text), std::move(suggestion)});
  }
  void wrong(std::string text) { wrong(table_, std::move(text)); }

  std::string text(std::string_view key, bool needed = true) {
    const toml::node* it = find(key);
    if (it == nullptr) {
      if (needed) wrong("\"" + std::string(key) + "\" is missing");
      return {};
    }
    const auto value = it->value_exact<std::string>();
    if (!value || !is_text(*value) || value->size() > 256 || (needed && value->empty()))
      return wrong(*it, "\"" + std::string(key) + "\" must be a text of one line"), std::string();
    return *value;
  }
  std::string name(std::string_view key, bool needed = true) {
    std::string out = text(key, needed);
    if (!out.empty() && !is_name(out)) wrong(*table_.get(key), "\"" + out + "\" is no name: lower-case letters, digits and inner hyphens, at most 63");
    return out;
  }
  std::uint32_t number(std::string_view key, std::uint32_t otherwise, std::uint32_t least, std::uint32_t most) {
    const toml::node* it = find(key);
    if (it == nullptr) return otherwise;
    const auto value = it->value_exact<std::int64_t>();
    if (value && *value >= least && *value <= most) return static_cast<std::uint32_t>(*value);
    wrong(*it, "\"" + std::string(key) + "\" must be a number from " + std::to_string(least) + " to " + std::to_string(most));
    return otherwise;
  }
  bool flag(std::string_view key) {
    const toml::node* it = find(key);
    if (it == nullptr) return false;
    const auto value = it->value_exact<bool>();
    if (!value) wrong(*it, "\"" + std::string(key) + "\" must be true or false");
    return value.value_or(false);
  }
  std::vector<std::string> names(std::string_view key, bool may_be_empty = false) {
    std::vector<std::string> out;
    const toml::node* it = find(key);
    if (it == nullptr) return out;
    const toml::array* list = it->as_array();
    if (list == nullptr) return wrong(*it, "\"" + std::string(key) + "\" must be a list, like [\"" + it->value_or(std::string("name")) + "\"]"), out;
    if (list->empty() && !may_be_empty) wrong(*it, "\"" + std::string(key) + "\" is empty: leave it out to mean any");
    for (const toml::node& one : *list) {
      const auto value = one.value_exact<std::string>();
      if (!value || !is_name(*value)) {
        wrong(one, "not a name");
      } else if (std::find(out.begin(), out.end(), *value) != out.end()) {
        wrong(one, "\"" + *value + "\" is there twice");
      } else {
        out.push_back(*value);
      }
    }
    return out;
  }
  /// Seconds since 1970. A date alone is its midnight, and a time without an offset is, in Japan.
  std::int64_t time(std::string_view key) {
    const toml::node* it = find(key);
    if (it == nullptr) return 0;
    const auto days = [](const toml::date& date) -> std::int64_t {
      const std::chrono::year_month_day day{std::chrono::year(date.year), std::chrono::month(date.month), std::chrono::day(date.day)};
      return std::chrono::sys_days(day).time_since_epoch().count();
    };
    const auto clock = [](const toml::time& at) -> std::int64_t { return at.hour * 3600 + at.minute * 60 + at.second; };
    std::int64_t out = -1;
    if (const auto* date = it->as_date()) out = days(date->get()) * day_s - japan_s;
    if (const auto* moment = it->as_date_time()) {
      const toml::date_time& at = moment->get();
      out = days(at.date) * day_s + clock(at.time) - (at.offset ? std::int64_t{at.offset->minutes} * 60 : japan_s);
    }
    if (out <= 0) return wrong(*it, "\"" + std::string(key) + "\" must be a date after 1970, like 2026-04-01"), 0;
    return out;
  }
  /// "07:30", of a day; 24:00 is its end. In minutes.
  std::uint32_t clock(std::string_view key) {
    const std::string value = text(key);
    const auto digit = [&](std::size_t at) { return value[at] >= '0' && value[at] <= '9'; };
    if (value.size() == 5 && digit(0) && digit(1) && value[2] == ':' && digit(3) && digit(4)) {
      const auto two = [&](std::size_t at) { return static_cast<std::uint32_t>((value[at] - '0') * 10 + value[at + 1] - '0'); };
      if (two(3) < 60 && two(0) * 60 + two(3) <= 1440) return two(0) * 60 + two(3);
    }
    if (!value.empty()) wrong(*table_.get(key), "\"" + std::string(key) + "\" must be a time of the day, like \"07:30\"");
    return 0;
  }
  std::uint64_t large(std::string_view key) {
    const toml::node* it = find(key);
    const auto value = it == nullptr ? std::nullopt : it->value_exact<std::int64_t>();
    if (value && *value > 0 && static_cast<std::uint64_t>(*value) <= json_integer_most) return static_cast<std::uint64_t>(*value);
    wrong(it == nullptr ? static_cast<const toml::node&>(table_) : *it, "\"" + std::string(key) + "\" must be a number from 1 on");
    return 0;
  }
  template <class Id>
  Id id(std::string_view key) {
    const std::string value = text(key);
    const auto parsed = Id::parse(value);
    if (!parsed && !value.empty())
      wrong(*table_.get(key), "\"" + std::string(key) + "\" must be " + std::to_string(2 * Id::size) + " characters of lower-case hex");
    return parsed.value_or(Id{});
  }
  template <class Id>
  std::vector<Id> ids(std::string_view key) {
    std::vector<Id> out;
    const toml::node* it = find(key);
    const toml::array* list = it == nullptr ? nullptr : it->as_array();
    if (list == nullptr || list->empty()) {
      wrong(it == nullptr ? static_cast<const toml::node&>(table_) : *it, "\"" + std::string(key) + "\" must be a list, with one at least");
      return out;
    }
    for (const toml::node& one : *list) {
      const auto value = one.value_exact<std::string>();
      const auto parsed = Id::parse(value.value_or(""));
      if (!parsed) {
        wrong(one, "must be " + std::to_string(2 * Id::size) + " characters of lower-case hex");
      } else if (std::find(out.begin(), out.end(), *parsed) != out.end()) {
        wrong(one, "is there twice");
      } else {
        out.push_back(*parsed);
      }
    }
    return out;
  }
  template <class T, std::size_t size>
  T word(std::string_view key, const std::array<std::pair<std::string_view, T>, size>& words, bool needed = true) {
    const std::string value = text(key, needed);
    std::vector<std::string> known;
    for (const auto& [word, meaning] : words) {
      if (word == value) return meaning;
      known.emplace_back(word);
    }
    if (!value.empty()) wrong(*table_.get(key), "\"" + value + "\" is not known here", nearest(value, known));
    return words.front().second;
  }
  /// "500 GiB"; a bare number is bytes. 0 where it is missing: no limit of its own.
  std::uint64_t size(std::string_view key) {
    const toml::node* it = find(key);
    if (it == nullptr) return 0;
    constexpr std::array<std::pair<std::string_view, int>, 5> units{{{"B", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}}};
    if (const auto value = it->value_exact<std::string>()) {
      std::size_t digits = 0;
      std::uint64_t number = 0;
      while (digits < value->size() && digits < 9 && (*value)[digits] >= '0' && (*value)[digits] <= '9')
        number = number * 10 + static_cast<std::uint64_t>((*value)[digits++] - '0');
      for (const auto& [unit, shift] : units)
        if (digits > 0 && value->substr(digits) == " " + std::string(unit) && (number << shift) >> shift == number && number << shift <= json_integer_most)
          return number << shift;
    }
    wrong(*it, "\"" + std::string(key) + "\" must be a size, like \"500 GiB\"");
    return 0;
  }
  void each_table(std::string_view key, const std::function<void(TableReader&)>& read) {
    const toml::node* it = find(key);
    if (it == nullptr) return;
    const toml::array* list = it->as_array();
    if (list == nullptr) return wrong(*it, "write [[" + std::string(key) + "]], once for each");
    for (const toml::node& one : *list) {
      const toml::table* table = one.as_table();
      if (table == nullptr) {
        wrong(one, "must be a table");
        continue;
      }
      TableReader reader(*table, file_, mistakes_);
      read(reader);
      reader.done();
    }
  }
  /// The members of a table whose keys are names.
  void each_named(std::string_view key, const std::function<void(const std::string&, TableReader&)>& read) {
    const toml::node* it = find(key);
    if (it == nullptr) return;
    const toml::table* table = it->as_table();
    if (table == nullptr) return wrong(*it, "\"" + std::string(key) + "\" must be a table");
    for (const auto& [name, one] : *table) {
      const toml::table* inner = one.as_table();
      if (inner == nullptr) {
        wrong(one, "must be a table, like { holding = \"full\" }");
        continue;
      }
      TableReader reader(*inner, file_, mistakes_);
      read(std::string(name.str()), reader);
      reader.done();
    }
  }
  void done() {
    for (const auto& [key, it] : table_) {
      const std::string name(key.str());
      if (std::find(known_.begin(), known_.end(), name) != known_.end()) continue;
      mistakes_.push_back({file_, key.source().begin.line, key.source().begin.column, "unknown key \"" + name + "\"", nearest(name, known_)});
    }
  }

 private:
  const toml::table& table_;
  std::string file_;
  std::vector<Mistake>& mistakes_;
  std::vector<std::string> known_;
};

constexpr std::array<std::pair<std::string_view, NodeKind>, 4> kinds{
    {{"bureau", NodeKind::bureau}, {"hq", NodeKind::hq}, {"vault", NodeKind::vault}, {"desk", NodeKind::desk}}};
constexpr std::array<std::pair<std::string_view, Holding>, 3> holdings{{{"full", Holding::full}, {"blind", Holding::blind}, {"partial", Holding::partial}}};
constexpr std::array<std::pair<std::string_view, NameRules>, 2> name_rules{{{"portable", NameRules::portable}, {"linux", NameRules::linux}}};
constexpr std::array<std::pair<std::string_view, bool>, 2> expectations{{{"allow", true}, {"deny", false}}};
constexpr std::array<std::pair<std::string_view, Action>, 6> action_words{{{"read", Action::read},
                                                                           {"discover", Action::discover},
                                                                           {"write", Action::write},
                                                                           {"replicate", Action::replicate},
                                                                           {"carry-out", Action::carry_out},
                                                                           {"administer", Action::administer}}};

SourceNode read_node(TableReader& from) {
  SourceNode out;
  out.line = from.line();
  out.name = from.name("name");
  out.kind = from.word("kind", kinds);
  out.zone = from.name("zone");
  out.addresses = {from.text("control", false), from.text("bulk", false), from.text("introduce", false)};
  out.served_by = from.name("served_by", false);
  out.is_sliced = from.flag("slice");
  return out;
}

SourceLibrary read_library(TableReader& from) {
  SourceLibrary out;
  out.line = from.line();
  out.name = from.name("name");
  out.title = from.text("title");
  out.home = from.name("home");
  out.names = from.word("names", name_rules, false);
  out.locks = from.flag("locks");
  out.ceiling = from.name("ceiling", false);
  out.duty.copies = from.number("copies", 1, 1, 1000);
  out.duty.zones = from.number("zones", 1, 1, 1000);
  out.duty.keyed = from.number("keyed", 1, 1, 1000);
  out.duty.fresh_s = from.number("fresh_hours", 0, 0, 10'000) * 3600;
  out.duty.keep_days = from.number("keep_days", 0, 0, 100'000);
  from.each_named("members", [&](const std::string& node, TableReader& it) {
    SourceMember& member = out.members.emplace_back();
    member.node = node;
    member.holding = it.word("holding", holdings);
    member.may_write = it.flag("write");
    member.quota_bytes = it.size("quota");
  });
  if (out.members.empty()) from.wrong("the library has no members");
  return out;
}

SourceRule read_rule(TableReader& from) {
  SourceRule out;
  out.line = from.line();
  out.id = from.name("id");
  out.people = from.names("people");
  out.roles = from.names("roles");
  out.posts = from.names("posts");
  out.orgs = from.names("orgs");
  out.nodes = from.names("nodes");
  out.libraries = from.names("libraries");
  out.labels = from.names("labels");
  out.classes = from.names("classes");
  out.acted_as = from.names("acted_as");
  std::vector<std::string> known;
  for (const auto& [word, action] : action_words) known.emplace_back(word);
  for (const std::string& word : from.names("actions")) {
    if (const auto action = action_named(word)) {
      out.actions.push_back(*action);
    } else {
      from.wrong(*from.find("actions"), "\"" + word + "\" is no action", nearest(word, known));
    }
  }
  if (from.find("actions") == nullptr) from.wrong("\"actions\" is missing");
  out.from_s = from.time("from");
  out.until_s = from.time("until");
  return out;
}

SourceTest read_test(TableReader& from) {
  SourceTest out;
  out.line = from.line();
  out.id = from.name("id");
  out.person = from.name("person", false);
  out.role = from.name("role", !out.person.empty());
  if (out.role.empty()) out.role = "service";
  out.org = from.name("org", false);
  out.node = from.name("node");
  out.action = from.word("action", action_words);
  out.library = from.name("library");
  out.label = from.name("label", false);
  out.time_s = from.time("time");
  out.allowed = from.word("expect", expectations);
  if (from.find("acted_as") != nullptr) out.acted_as = from.names("acted_as", true);
  if (out.time_s == 0 && from.find("time") == nullptr) from.wrong("\"time\" is missing: the day on which the test asks");
  return out;
}

SourceStop read_stop(TableReader& from) {
  SourceStop out;
  out.line = from.line();
  out.nodes = from.names("nodes");
  out.people = from.names("people");
  out.orgs = from.names("orgs");
  out.roles = from.names("roles");
  out.libraries = from.names("libraries");
  out.realm_wide = from.flag("realm_wide");
  out.from_s = from.time("from");
  out.until_s = from.time("until");
  out.reason = from.text("reason");
  return out;
}

SourceLift read_lift(TableReader& from) {
  SourceLift out;
  out.line = from.line();
  out.officer = from.id<crypto::VerifyKey>("officer");
  out.up_to = from.large("up_to");
  return out;
}

constexpr std::array<std::string_view, 7> day_names{"mon", "tue", "wed", "thu", "fri", "sat", "sun"};

SourceHours read_hours(TableReader& from) {
  SourceHours out;
  out.line = from.line();
  out.nodes = from.names("nodes");
  out.libraries = from.names("libraries");
  out.except_roles = from.names("except_roles");
  for (const std::string& day : from.names("days")) {
    const auto at = std::find(day_names.begin(), day_names.end(), day);
    if (at == day_names.end()) {
      from.wrong(*from.find("days"), "\"" + day + "\" is no day: mon, tue, wed, thu, fri, sat, sun");
    } else {
      out.days.push_back(static_cast<std::uint32_t>(at - day_names.begin()) + 1);
    }
  }
  if (out.days.empty()) out.days = {1, 2, 3, 4, 5, 6, 7};
  std::sort(out.days.begin(), out.days.end());
  out.opens_minute = from.clock("opens");
  out.closes_minute = from.clock("closes");
  if (out.closes_minute <= out.opens_minute) from.wrong("it closes before it opens: write two, one for each side of midnight");
  return out;
}

SourceClosure read_closure(TableReader& from) {
  SourceClosure out;
  out.line = from.line();
  out.nodes = from.names("nodes");
  out.libraries = from.names("libraries");
  out.except_roles = from.names("except_roles");
  for (const char* key : {"from", "until"})
    if (from.find(key) == nullptr) from.wrong("\"" + std::string(key) + "\" is missing");
  out.from_s = from.time("from");
  out.until_s = from.time("until");
  out.reason = from.text("reason");
  return out;
}

SourceAdmit read_admit(TableReader& from) {
  SourceAdmit out;
  out.line = from.line();
  out.library = from.name("library");
  out.subject = from.name("subject");
  out.cut = from.large("cut");
  out.up_to.node = from.id<NodeId>("node");
  out.up_to.incarnation = from.id<IncarnationId>("incarnation");
  out.up_to.sequence.value = from.large("sequence");
  out.up_to.root = from.id<Digest>("root");
  return out;
}

SourceRole read_role(TableReader& from) {
  SourceRole out;
  out.line = from.line();
  out.id = from.name("id");
  out.title = from.text("title");
  out.most = from.number("most", 0, 1, 1000);
  out.orgs = from.names("orgs");
  out.classes = from.names("classes");
  return out;
}

SourceDelegation read_delegation(TableReader& from) {
  SourceDelegation out;
  out.line = from.line();
  out.org = from.name("org");
  out.keys = from.ids<crypto::VerifyKey>("keys");
  out.threshold = from.number("threshold", 1, 1, 32);
  out.roles = from.names("roles");
  out.nodes = from.names("nodes");
  return out;
}

SourcePerson read_person(TableReader& from) {
  SourcePerson out;
  out.line = from.line();
  out.name = from.name("name");
  out.shown = from.text("shown");
  from.each_table("posts", [&](TableReader& held) { out.tenures.push_back({held.name("post"), held.time("from"), held.time("until")}); });
  return out;
}

void read_all(TableReader& from, Source& out) {
  out.realm = from.text("realm");
  out.mesh_days = from.number("mesh_days", out.mesh_days, 1, 3650);
  out.freshness_hours = from.number("freshness_hours", out.freshness_hours, 1, 8760);
  out.snapshot_days = from.number("snapshot_days", out.snapshot_days, 1, 3650);
  out.locked_after_days = from.number("locked_after_days", 0, 0, 3650);
  from.each_table("node", [&](TableReader& it) { out.nodes.push_back(read_node(it)); });
  from.each_table("library", [&](TableReader& it) { out.libraries.push_back(read_library(it)); });
  from.each_table("label", [&](TableReader& it) {
    LabelName& label = out.labels.emplace_back();
    label.number = it.number("number", 0, 1, UINT32_MAX);
    label.name = it.name("name");
    out.lines[{"label", label.name}] = it.line();
    if (it.find("number") == nullptr) it.wrong("\"number\" is missing");
    if (it.flag("keyed_only")) out.keyed_labels.push_back(label.name);
  });
  from.each_table("class", [&](TableReader& it) { out.classes.push_back({it.name("id"), it.text("title"), it.names("under"), it.line()}); });
  from.each_table("role", [&](TableReader& it) { out.roles.push_back(read_role(it)); });
  from.each_table("hours", [&](TableReader& it) { out.hours.push_back(read_hours(it)); });
  from.each_table("closure", [&](TableReader& it) { out.closures.push_back(read_closure(it)); });
  from.each_table("delegation", [&](TableReader& it) { out.delegations.push_back(read_delegation(it)); });
  from.each_table("admit", [&](TableReader& it) { out.admits.push_back(read_admit(it)); });
  from.each_table("org", [&](TableReader& it) {
    out.orgs.push_back({it.name("id"), it.text("title"), it.name("parent", false), it.name("class", false)});
    out.lines[{"unit", out.orgs.back().id}] = it.line();
  });
  from.each_table("post", [&](TableReader& it) {
    out.posts.push_back({it.name("id"), it.text("title"), it.name("org"), it.names("roles")});
    out.lines[{"post", out.posts.back().id}] = it.line();
  });
  from.each_table("person", [&](TableReader& it) { out.people.push_back(read_person(it)); });
  from.each_table("permit", [&](TableReader& it) { out.permits.push_back(read_rule(it)); });
  from.each_table("forbid", [&](TableReader& it) { out.forbids.push_back(read_rule(it)); });
  from.each_table("stop", [&](TableReader& it) { out.stops.push_back(read_stop(it)); });
  from.each_table("lift", [&](TableReader& it) { out.lifts.push_back(read_lift(it)); });
  from.each_table("test", [&](TableReader& it) { out.tests.push_back(read_test(it)); });
  from.done();
}

}  // namespace

std::string text_of(const Mistake& mistake) {
  std::string out = mistake.file + ":" + std::to_string(mistake.line) + ":" + std::to_string(mistake.column) + ": " + mistake.text;
  if (!mistake.suggestion.empty()) out += " (did you mean \"" + mistake.suggestion + "\"?)";
  return out;
}

std::string nearest(std::string_view name, std::span<const std::string> known) {
  std::string out;
  std::size_t best = std::max<std::size_t>(2, name.size() / 3) + 1;
  for (const std::string& candidate : known) {
    std::vector<std::size_t> row(candidate.size() + 1);  // edit distance, one row at a time
    for (std::size_t i = 0; i < row.size(); ++i) row[i] = i;
    for (std::size_t i = 1; i <= name.size(); ++i) {
      std::size_t diagonal = std::exchange(row[0], i);
      for (std::size_t j = 1; j < row.size(); ++j) {
        const std::size_t replaced = diagonal + (name[i - 1] == candidate[j - 1] ? 0 : 1);
        diagonal = row[j];
        row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
      }
    }
    if (row.back() < best) best = row.back(), out = candidate;
  }
  return out;
}

namespace {

/// The whole of a file, by `read`; what is wrong goes to `mistakes`.
template <class Read>
void read_toml(std::string_view text, std::string_view file, std::vector<Mistake>& mistakes, Read&& read) {
  if (text.size() > source_bytes_most) return mistakes.push_back({std::string(file), 1, 1, "too large", {}});
  try {
    const toml::table table = toml::parse(text, file);
    TableReader reader(table, file, mistakes);
    read(reader);
  } catch (const toml::parse_error& error) {
    mistakes.push_back({std::string(file), error.source().begin.line, error.source().begin.column, std::string(error.description()), {}});
  }
}

void sort_by_place(std::vector<Mistake>& mistakes) {
  std::stable_sort(mistakes.begin(), mistakes.end(),
                   [](const Mistake& a, const Mistake& b) { return std::pair(a.line, a.column) < std::pair(b.line, b.column); });
}

}  // namespace

Reading read_source(std::string_view text, std::string_view file) {
  Reading out;
  out.source.file = file;
  read_toml(text, file, out.mistakes, [&](TableReader& reader) { read_all(reader, out.source); });
  if (out.good()) check_source(out.source, out.mistakes, out.warnings);
  sort_by_place(out.mistakes);
  return out;
}

UnitSource read_unit_source(std::string_view text, std::string_view file) {
  UnitSource out;
  read_toml(text, file, out.mistakes, [&](TableReader& from) {
    out.unit = from.name("unit");
    out.days = from.number("days", out.days, 1, 3650);
    from.each_table("post", [&](TableReader& it) {
      Post post{it.name("id"), it.text("title"), it.name("org", false), it.names("roles")};
      if (post.org.empty()) post.org = out.unit;
      if (!post.id.starts_with(out.unit + "-")) it.wrong("the post \"" + post.id + "\" must begin with \"" + out.unit + "-\"");
      if (std::any_of(out.posts.begin(), out.posts.end(), [&](const Post& other) { return other.id == post.id; }))
        it.wrong("there are two of the post \"" + post.id + "\"");
      out.posts.push_back(std::move(post));
    });
    from.each_table("person", [&](TableReader& it) {
      UnitSource::UnitPerson& one = out.people.emplace_back(UnitSource::UnitPerson{read_person(it), it.text("request")});
      const SourcePerson& who = one.person;
      if (!who.name.starts_with(out.unit + "-")) it.wrong("the person \"" + who.name + "\" must begin with \"" + out.unit + "-\"");
      if (who.tenures.empty()) it.wrong("the person \"" + who.name + "\" holds no post");
      for (const Tenure& held : who.tenures) {
        if (held.until_s != 0 && held.until_s <= held.from_s) it.wrong("the post \"" + held.post + "\" ends before it begins");
        if (std::none_of(out.posts.begin(), out.posts.end(), [&](const Post& post) { return post.id == held.post; }))
          it.wrong("there is no post \"" + held.post + "\" in this file");
      }
      const auto same = std::count_if(out.people.begin(), out.people.end(), [&](const auto& other) { return other.person.name == who.name; });
      if (same > 1) it.wrong("there are two of the person \"" + who.name + "\"");
    });
    from.done();
  });
  sort_by_place(out.mistakes);
  return out;
}

}  // namespace dozo::policy
