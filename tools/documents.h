// Documents: what the verbs on documents share: places, moments, rows and contents. Heavy: for .cpp files of verbs.
// Threads: one.
#pragma once
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "tools/command.h"

namespace dozo::tools {

/// JSON strings are UTF-8; stray bytes of a name become U+FFFD there, and `path_hex` beside it has the exact bytes.
nlohmann::json path_json(const std::string& path);
nlohmann::json row_json(const node::local::ListRow& row);

/// A place that is none ends the program as misused() does.
Place place_of(std::string_view text);
/// A place of which the verb takes a thing: "works:folder/" is the folder itself.
Place thing_of(std::string_view text);
/// The same, where a library may stand without its colon.
Place library_or_thing(const std::string& text);

/// The last millisecond of the day, minute or second that is named: 2026-11-27, "2026-11-27 14:05", 2026-11-27T14:05:10, in the local time zone or with Z or
/// +09:00 at the end. Nothing: it is no such text, or no such time.
std::optional<std::int64_t> time_ms_of(std::string_view text);
/// Whether it is read as a time or a commit: no tag may be called so.
bool is_moment(std::string_view text);
/// The commit that people mean by `when`: the last one not later than a time, the one with an id that begins so, or what a tag of that name names; "" is the
/// newest. Faults: not_found, exists (several begin so), those of ask.
Result<node::local::LogRow> commit_at(const Common& common, const std::string& library, const std::string& when);
/// The place as it was then; as it is now where `when` is "".
Result<Place> at(const Common& common, Place place, const std::string& when);
/// What --at, --from and --to take. An empty one, perhaps of a variable that is not set, is refused.
inline constexpr const char* moment_help = "a day, a time of it (\"2026-11-27 14:05\"), the id of a commit, or a tag";

void add_moment(CLI::App& verb, const std::string& name, std::string& to, const std::string& help);

/// Calls `each` for every row directly in the place, or for every document below it, page by page. Of a file: for the file.
using EachRow = std::function<Result<void>(const node::local::ListRow& row)>;
Result<void> for_each_row(const Common& common, const Place& place, bool recursive, const EachRow& each);

/// Gives the content to `take`, a part at a time, and checks its SHA-256. Faults: corrupt (it is another), those of ask and `take`.
Result<void> read_content(const Common& common, const std::string& library, const node::local::ListRow& row, const std::function<Result<void>(ByteView)>& take);

/// The target of a symlink. Faults: corrupt, malformed (no system can make it), those of ask.
Result<std::string> read_link(const Common& common, const std::string& library, const node::local::ListRow& row);

/// In whose name something was saved; null: nothing was. A node has no person.
nlohmann::json as_json(const node::local::Saved& saved);
/// A line for each thing that was not saved, on standard error.
void name_not_saved(const node::local::Saved& saved);
/// What was saved, on standard output. Fault: denied (something was not saved).
Result<void> report_put(const Common& common, const node::local::Saved& saved);

}  // namespace dozo::tools
