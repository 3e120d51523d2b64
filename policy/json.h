// Json: the strict subset of JSON in which the authority's documents are written, and readers that collect what is wrong with them.
//
// Refused: a byte order mark, duplicate keys, null, negative numbers, numbers with a point or an exponent, integers above 2^53-1, U+0000, text that
// is not UTF-8, anything after the value, too deep, too many values. Objects with keys that nobody asked for are refused by done(), except
// keys that begin with "x-".
// Not for other rooms. Threads: plain values.
#pragma once
#include <functional>
#include <initializer_list>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.h"

namespace dozo::policy {

inline constexpr std::uint64_t json_integer_most = (std::uint64_t{1} << 53) - 1;
inline constexpr std::size_t json_depth_most = 16;

struct Json {
  using Member = std::pair<std::string, Json>;
  using Object = std::vector<Member>;  ///< in the order of the text
  using Array = std::vector<Json>;
  std::variant<bool, std::uint64_t, std::string, Array, Object> value;

  Json() = default;
  Json(bool it) : value(it) {}
  Json(std::uint64_t it) : value(it) {}
  Json(std::int64_t it) : value(static_cast<std::uint64_t>(it < 0 ? 0 : it)) {}
  Json(std::uint32_t it) : value(std::uint64_t{it}) {}
  Json(std::string it) : value(std::move(it)) {}
  Json(std::string_view it) : value(std::string(it)) {}
  Json(const char* it) : value(std::string(it)) {}
  Json(Array it) : value(std::move(it)) {}
  Json(Object it) : value(std::move(it)) {}
};

/// Faults: over_limit (`bytes_most`, `values_most`), malformed.
Result<Json> parse_json(ByteView text, std::size_t bytes_most, std::size_t values_most);
/// Compact, members in their order.
Bytes write_json(const Json& value);

/// Reads the members of one object. The first thing that is wrong is kept in `problem`, shared by all readers of a document; everything read after it is
/// empty, and the document is refused at the end.
class ObjectReader {
 public:
  struct Problem {
    std::string text;
    bool any() const { return !text.empty(); }
  };
  ObjectReader(const Json& of, std::string where, Problem& problem);

  bool has(std::string_view key) const;
  std::uint64_t number(std::string_view key, std::uint64_t least, std::uint64_t most);
  bool flag(std::string_view key);
  /// Without control characters, `least`..`most` bytes.
  std::string text(std::string_view key, std::size_t least, std::size_t most);
  /// A name: [a-z0-9] and inner '-', at most 63 bytes; or empty where that is allowed.
  std::string name(std::string_view key, bool may_be_empty = false);
  Bytes base64(std::string_view key, std::size_t least, std::size_t most);
  template <class Id>
  Id id(std::string_view key) {
    Id out;
    const std::string hex = text(key, 2 * Id::size, 2 * Id::size);
    if (auto parsed = Id::parse(hex)) {
      out = *parsed;
    } else {
      wrong(key, "not an id in lower-case hex");
    }
    return out;
  }
  /// One of the names that `parse` knows (std::optional<T> parse(std::string_view)).
  template <class Parse>
  auto one_of(std::string_view key, Parse&& parse) {
    auto out = parse(text(key, 1, 64));
    using Value = typename decltype(out)::value_type;
    if (!out) wrong(key, "unknown word");
    return out.value_or(Value{});
  }
  ObjectReader object(std::string_view key);
  void each_object(std::string_view key, std::size_t most, const std::function<void(ObjectReader&)>& read);
  void each_text(std::string_view key, std::size_t most, const std::function<void(const std::string&)>& read);
  void each_number(std::string_view key, std::size_t most, const std::function<void(std::uint64_t)>& read);
  /// Members whose keys are names that `read` judges.
  void each_member(std::size_t most, const std::function<void(const std::string& key, ObjectReader&)>& read);

  /// Refuses keys that were not asked for.
  void done();
  void wrong(std::string_view key, std::string_view why);
  bool failed() const { return problem_->any(); }

 private:
  const Json* find(std::string_view key);
  template <class T>
  const T* get(std::string_view key, std::string_view kind);
  const Json::Object* members_;
  std::vector<bool> asked_;
  std::string where_;
  Problem* problem_;
};

bool is_name(std::string_view text);
bool is_text(std::string_view text);  ///< no control characters

}  // namespace dozo::policy
