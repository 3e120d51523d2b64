#include "tools/documents.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <ctime>

#include "crypto/hash.h"
#include "tools/print.h"

namespace dozo::tools {

namespace local = node::local;

json path_json(const std::string& path) { return json::parse(json(path).dump(-1, ' ', false, json::error_handler_t::replace)); }

json row_json(const local::ListRow& row) {
  return {{"path", path_json(row.path)},
          {"path_hex", to_hex(view_of(row.path))},
          {"kind", row.kind},
          {"document", row.document.hex()},
          {"sha256", row.sha256.hex()},
          {"size", row.size},
          {"time_ms", row.time_ms},
          {"executable", row.executable},
          {"conflict", row.in_conflict}};
}

// ---- places ----------------------------------------------------------------------------------------------------------
Place place_of(std::string_view text) {
  Result<Place> out = parse_place(text);
  if (!out) misused(out.error().text);
  return std::move(*out);
}

Place thing_of(std::string_view text) {
  Place out = place_of(text);
  while (out.path.ends_with('/')) out.path.pop_back();
  return out;
}

Place library_or_thing(const std::string& text) { return thing_of(text.find(':') == std::string::npos ? text + ":" : text); }

// ---- moments ---------------------------------------------------------------------------------------------------------
namespace {

/// Reads a time from front to back.
class TimeText {
 public:
  explicit TimeText(std::string_view text) : left_(text) {}
  bool take(char it) {
    if (!left_.starts_with(it)) return false;
    left_.remove_prefix(1);
    return true;
  }
  /// Exactly so many digits, with a value in these bounds.
  std::optional<int> number(std::size_t digits, int least, int most) {
    if (left_.size() < digits) return std::nullopt;
    int out = 0;
    for (const char it : left_.substr(0, digits)) {
      if (it < '0' || it > '9') return std::nullopt;
      out = out * 10 + (it - '0');
    }
    if (out < least || out > most) return std::nullopt;
    left_.remove_prefix(digits);
    return out;
  }
  bool at_end() const { return left_.empty(); }

 private:
  std::string_view left_;
};

/// Enough of an id to be meant as one. Digits alone count too, as one id in forty begins with eight of them: a day without
/// its dashes is said to be a commit that is not there.
bool is_id(std::string_view text) {
  return text.size() >= 7 && std::ranges::all_of(text, [](char it) { return (it >= '0' && it <= '9') || (it >= 'a' && it <= 'f'); });
}

}  // namespace

std::optional<std::int64_t> time_ms_of(std::string_view text) {
  TimeText in(text);
  std::tm parts{};
  const auto year = in.number(4, 1970, 9999);
  if (!year || !in.take('-')) return std::nullopt;
  const auto month = in.number(2, 1, 12);
  if (!month || !in.take('-')) return std::nullopt;
  const auto day = in.number(2, 1, 31);
  if (!day) return std::nullopt;
  parts.tm_year = *year - 1900;
  parts.tm_mon = *month - 1;
  parts.tm_mday = *day;
  parts.tm_hour = 23;
  parts.tm_min = 59;
  parts.tm_sec = 59;
  parts.tm_isdst = -1;
  std::optional<int> zone_min;
  if (in.take(' ') || in.take('T')) {
    const auto hour = in.number(2, 0, 23);
    if (!hour || !in.take(':')) return std::nullopt;
    const auto minute = in.number(2, 0, 59);
    if (!minute) return std::nullopt;
    parts.tm_hour = *hour;
    parts.tm_min = *minute;
    if (in.take(':')) {
      const auto second = in.number(2, 0, 59);
      if (!second) return std::nullopt;
      parts.tm_sec = *second;
    }
    const bool is_east = in.take('+');
    if (is_east || in.take('-')) {
      const auto hours = in.number(2, 0, 14);
      in.take(':');
      const auto minutes = in.number(2, 0, 59);
      if (!hours || !minutes) return std::nullopt;
      zone_min = (is_east ? 1 : -1) * (*hours * 60 + *minutes);
    } else if (in.take('Z')) {
      zone_min = 0;
    }
  }
  if (!in.at_end()) return std::nullopt;
  const std::time_t seconds = zone_min ? ::timegm(&parts) - *zone_min * 60 : std::mktime(&parts);
  if (parts.tm_mday != *day) return std::nullopt;  // 31 February
  return static_cast<std::int64_t>(seconds) * 1000 + 999;
}

bool is_moment(std::string_view text) { return time_ms_of(text) || is_id(text); }

void add_moment(CLI::App& verb, const std::string& name, std::string& to, const std::string& help) {
  verb.add_option(name, to, help)
      ->check([](const std::string& text) { return text.empty() ? std::string("no moment is given: it is empty") : std::string(); })
      ->type_name("WHEN");
}

Result<local::LogRow> commit_at(const Common& common, const std::string& library, const std::string& when) {
  local::CommitRequest request{library, "", std::numeric_limits<std::int64_t>::max()};
  if (const auto time_ms = time_ms_of(when)) {
    request.time_ms = *time_ms;
  } else if (is_id(when)) {
    request.id = when;
  } else if (!when.empty()) {
    const auto tag = ask_for<local::Stat>(common, local::StatRequest{library, local::tag_path(when)});
    if (!tag && (tag.error().fault == Fault::not_found || tag.error().fault == Fault::malformed))
      misused("\"" + shown(when) + "\" is no moment: write " + moment_help);
    request.tag = when;
  }
  local::Log log = TRY(ask_for<local::Log>(common, request));
  if (log.rows.empty()) return fail(Fault::not_found, "the history has no such commit");
  return std::move(log.rows.front());
}

Result<Place> at(const Common& common, Place place, const std::string& when) {
  if (!when.empty()) place.at = TRY(commit_at(common, place.library, when)).commit;
  return place;
}

// ---- rows and contents -----------------------------------------------------------------------------------------------
Result<void> for_each_row(const Common& common, const Place& place, bool recursive, const EachRow& each) {
  const bool folder_by_folder = recursive && !place.at.empty();
  std::string after;
  for (bool more = true; more;) {
    const auto page =
        TRY(ask_for<local::Listing>(common, local::ListRequest{place.library, place.path, after, recursive && !folder_by_folder, 1000, place.at}));
    for (const local::ListRow& row : page.rows) {
      const bool goes_in = folder_by_folder && row.kind == "folder";
      if (!goes_in || !row.document.is_zero()) TRY(each(row));
      if (goes_in) TRY(for_each_row(common, {place.library, row.path.substr(0, row.path.size() - 1), place.at}, true, each));
    }
    more = page.more && !page.rows.empty();
    if (more) after = page.rows.back().path;
  }
  return {};
}

Result<void> read_content(const Common& common, const std::string& library, const local::ListRow& row, const std::function<Result<void>(ByteView)>& take) {
  crypto::Sha256 hash;
  for (std::uint64_t offset = 0; offset < row.size;) {
    const auto length = static_cast<std::uint32_t>(std::min<std::uint64_t>(local::read_bytes_most, row.size - offset));
    const auto data = TRY(ask_for<local::Data>(common, local::ReadRequest{library, row.manifest, offset, length}));
    if (data.bytes.empty()) return fail(Fault::corrupt, shown(row.path) + " ends early");
    hash.update(data.bytes);
    TRY(take(data.bytes));
    offset += data.bytes.size();
  }
  if (hash.finish() != row.sha256) return fail(Fault::corrupt, shown(row.path) + " is not what was saved; run dozo fsck");
  return {};
}

Result<std::string> read_link(const Common& common, const std::string& library, const local::ListRow& row) {
  std::string link;
  TRY(read_content(common, library, row, [&](ByteView bytes) -> Result<void> {
    link += text_of(bytes);
    return {};
  }));
  if (link.contains('\0')) return fail(Fault::malformed, shown(row.path) + " is a link that no system can make: its target has a zero byte in it");
  return link;
}

// ---- saves -----------------------------------------------------------------------------------------------------------
json as_json(const local::Saved& saved) {
  if (saved.records == 0) return nullptr;
  return {{"person", saved.person == PersonId{} ? json() : json(saved.person.hex())}, {"role", saved.role}, {"who", path_json(saved.who)}};
}

void name_not_saved(const local::Saved& saved) {
  for (const std::string& line : saved.skipped) std::fprintf(stderr, "dozo: not saved: %s\n", shown(line).c_str());
}

Result<void> report_put(const Common& common, const local::Saved& saved) {
  if (common.json) {
    print({{"files", saved.files},
           {"unchanged", saved.unchanged},
           {"bytes", saved.bytes},
           {"stored_bytes", saved.new_bytes},
           {"records", saved.records},
           {"as", as_json(saved)},
           {"skipped", saved.skipped}});
  } else {
    const std::string as = saved.records == 0           ? ""
                           : saved.person == PersonId{} ? ", as this node"
                                                        : ", as " + shown(saved.who) + " (" + shown(saved.role) + ")";
    std::printf("saved %llu, unchanged %llu, %s read, %s stored%s\n", static_cast<unsigned long long>(saved.files),
                static_cast<unsigned long long>(saved.unchanged), size_text(saved.bytes).c_str(), size_text(saved.new_bytes).c_str(), as.c_str());
  }
  if (!saved.skipped.empty()) return fail(Fault::denied, std::to_string(saved.skipped.size()) + " not saved, named above; all else is");
  return {};
}

}  // namespace dozo::tools
