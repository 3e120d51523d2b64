#include "policy/json.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

namespace dozo::policy {
namespace {

/// Builds a Json; stops at the first thing that is not allowed.
class Builder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Builder(std::size_t values_most) : values_most_(values_most) {}
  Json take() { return std::move(root_); }
  Error error{Fault::malformed, "not JSON"};

  bool null() override { return refuse("null"); }
  bool boolean(bool value) override { return add(Json(value)) != nullptr; }
  bool number_integer(number_integer_t) override { return refuse("a negative number"); }
  bool number_unsigned(number_unsigned_t value) override {
    if (value > json_integer_most) return refuse("a number above 2^53-1");
    return add(Json(std::uint64_t{value})) != nullptr;
  }
  bool number_float(number_float_t, const string_t&) override { return refuse("a number that is not a plain integer"); }
  bool string(string_t& value) override {
    if (value.find('\0') != std::string::npos) return refuse("U+0000 in a text");
    return add(Json(std::move(value))) != nullptr;
  }
  bool binary(binary_t&) override { return refuse("binary"); }
  bool start_object(std::size_t) override { return open(Json(Json::Object{})); }
  bool key(string_t& value) override {
    if (!open_.back().keys.insert(value).second) return refuse("a key that is there twice");
    if (value.find('\0') != std::string::npos) return refuse("U+0000 in a key");
    key_ = std::move(value);
    return true;
  }
  bool end_object() override { return close(); }
  bool start_array(std::size_t) override { return open(Json(Json::Array{})); }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    return refuse("not JSON, at byte " + std::to_string(position));
  }

 private:
  struct Open {
    Json* value;
    std::set<std::string> keys;
  };
  bool refuse(std::string why, Fault fault = Fault::malformed) {
    error = {fault, std::move(why)};
    return false;
  }
  /// Pointers into growing vectors stay good: only the innermost open value grows.
  Json* add(Json value) {
    if (++values_ > values_most_) return refuse("too many values", Fault::over_limit), nullptr;
    if (open_.empty()) return root_ = std::move(value), &root_;
    if (auto* array = std::get_if<Json::Array>(&open_.back().value->value)) return &array->emplace_back(std::move(value));
    return &std::get<Json::Object>(open_.back().value->value).emplace_back(std::move(key_), std::move(value)).second;
  }
  bool open(Json value) {
    if (open_.size() >= json_depth_most) return refuse("nested too deep", Fault::over_limit);
    Json* at = add(std::move(value));
    if (at == nullptr) return false;
    open_.push_back({at, {}});
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  std::size_t values_most_, values_ = 0;
  Json root_;
  std::vector<Open> open_;
  std::string key_;
};

void write_text(Bytes& to, std::string_view text) {
  static constexpr char hex[] = "0123456789abcdef";
  to.push_back('"');
  for (const char c : text) {
    const auto byte = static_cast<std::uint8_t>(c);
    if (c == '"' || c == '\\') {
      to.push_back('\\');
      to.push_back(byte);
    } else if (byte < 0x20) {
      append(to, view_of("\\u00"));
      to.push_back(static_cast<std::uint8_t>(hex[byte >> 4]));
      to.push_back(static_cast<std::uint8_t>(hex[byte & 15]));
    } else {
      to.push_back(byte);
    }
  }
  to.push_back('"');
}

void write(Bytes& to, const Json& it) {
  if (const auto* flag = std::get_if<bool>(&it.value)) return append(to, view_of(*flag ? "true" : "false"));
  if (const auto* number = std::get_if<std::uint64_t>(&it.value)) return append(to, view_of(std::to_string(*number)));
  if (const auto* text = std::get_if<std::string>(&it.value)) return write_text(to, *text);
  bool first = true;
  const auto comma = [&] {
    if (!first) to.push_back(',');
    first = false;
  };
  if (const auto* array = std::get_if<Json::Array>(&it.value)) {
    to.push_back('[');
    for (const Json& element : *array) comma(), write(to, element);
    to.push_back(']');
  } else {
    to.push_back('{');
    for (const auto& [key, value] : std::get<Json::Object>(it.value)) {
      comma();
      write_text(to, key);
      to.push_back(':');
      write(to, value);
    }
    to.push_back('}');
  }
}

}  // namespace

Result<Json> parse_json(ByteView text, std::size_t bytes_most, std::size_t values_most) {
  if (text.size() > bytes_most) return fail(Fault::over_limit, std::to_string(text.size()) + " bytes, and " + std::to_string(bytes_most) + " are allowed");
  // The library would skip a byte order mark, and take a zero byte for the end.
  if (text.empty() || text.front() >= 0x80) return fail(Fault::malformed, "not JSON, at byte 0");
  if (std::find(text.begin(), text.end(), std::uint8_t{0}) != text.end()) return fail(Fault::malformed, "a zero byte");
  Builder builder(values_most);
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &builder)) return std::unexpected(builder.error);
  return builder.take();
}

Bytes write_json(const Json& value) {
  Bytes out;
  write(out, value);
  return out;
}

bool is_name(std::string_view text) {
  if (text.empty() || text.size() > 63 || text.front() == '-' || text.back() == '-') return false;
  for (const char c : text)
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) return false;
  return true;
}

bool is_text(std::string_view text) {
  for (const char c : text)
    if (static_cast<std::uint8_t>(c) < 0x20 || c == 0x7f) return false;
  return true;
}

// ---- reading objects -------------------------------------------------------------------------------------------------
ObjectReader::ObjectReader(const Json& of, std::string where, Problem& problem) : members_(nullptr), where_(std::move(where)), problem_(&problem) {
  static const Json::Object nothing;
  members_ = std::get_if<Json::Object>(&of.value);
  if (members_ == nullptr) {
    members_ = &nothing;
    wrong("", "not an object");
  }
  asked_.resize(members_->size());
}

void ObjectReader::wrong(std::string_view key, std::string_view why) {
  if (problem_->any()) return;
  problem_->text = where_;
  if (!key.empty()) problem_->text += (where_.empty() ? "" : ".") + std::string(key);
  problem_->text += ": " + std::string(why);
}

const Json* ObjectReader::find(std::string_view key) {
  for (std::size_t i = 0; i < members_->size(); ++i) {
    if ((*members_)[i].first != key) continue;
    asked_[i] = true;
    return &(*members_)[i].second;
  }
  return nullptr;
}

bool ObjectReader::has(std::string_view key) const {
  for (const auto& member : *members_)
    if (member.first == key) return true;
  return false;
}

template <class T>
const T* ObjectReader::get(std::string_view key, std::string_view kind) {
  const Json* found = find(key);
  if (found == nullptr) return wrong(key, "missing"), nullptr;
  const T* value = std::get_if<T>(&found->value);
  if (value == nullptr) wrong(key, "not " + std::string(kind));
  return value;
}

std::uint64_t ObjectReader::number(std::string_view key, std::uint64_t least, std::uint64_t most) {
  const auto* value = get<std::uint64_t>(key, "a number");
  if (value == nullptr) return least;
  if (*value < least || *value > most) return wrong(key, "out of range"), least;
  return *value;
}

bool ObjectReader::flag(std::string_view key) {
  const bool* value = get<bool>(key, "true or false");
  return value != nullptr && *value;
}

std::string ObjectReader::text(std::string_view key, std::size_t least, std::size_t most) {
  const auto* value = get<std::string>(key, "a text");
  if (value == nullptr) return {};
  if (value->size() < least || value->size() > most) return wrong(key, "too short or too long"), std::string();
  if (!is_text(*value)) return wrong(key, "has control characters"), std::string();
  return *value;
}

std::string ObjectReader::name(std::string_view key, bool may_be_empty) {
  std::string out = text(key, 0, 63);
  if (!is_name(out) && !(may_be_empty && out.empty())) wrong(key, "not a name");
  return out;
}

Bytes ObjectReader::base64(std::string_view key, std::size_t least, std::size_t most) {
  const auto* value = get<std::string>(key, "a text");
  if (value == nullptr) return {};
  if (value->size() > most / 3 * 4 + 8) return wrong(key, "too long"), Bytes();
  auto bytes = from_base64(*value);
  if (!bytes) return wrong(key, "not base64"), Bytes();
  if (bytes->size() < least || bytes->size() > most) return wrong(key, "too short or too long"), Bytes();
  return std::move(*bytes);
}

ObjectReader ObjectReader::object(std::string_view key) {
  static const Json nothing{Json::Object{}};
  const Json* found = find(key);
  if (found == nullptr) wrong(key, "missing");
  return ObjectReader(found == nullptr ? nothing : *found, (where_.empty() ? "" : where_ + ".") + std::string(key), *problem_);
}

void ObjectReader::each_object(std::string_view key, std::size_t most, const std::function<void(ObjectReader&)>& read) {
  const auto* array = get<Json::Array>(key, "a list");
  if (array == nullptr) return;
  if (array->size() > most) return wrong(key, "too many");
  for (std::size_t i = 0; i < array->size() && !failed(); ++i) {
    ObjectReader reader((*array)[i], (where_.empty() ? "" : where_ + ".") + std::string(key) + "[" + std::to_string(i) + "]", *problem_);
    read(reader);
    reader.done();
  }
}

void ObjectReader::each_text(std::string_view key, std::size_t most, const std::function<void(const std::string&)>& read) {
  const auto* array = get<Json::Array>(key, "a list");
  if (array == nullptr) return;
  if (array->size() > most) return wrong(key, "too many");
  for (const Json& element : *array) {
    const auto* value = std::get_if<std::string>(&element.value);
    if (value == nullptr || !is_text(*value)) return wrong(key, "not a list of texts");
    read(*value);
  }
}

void ObjectReader::each_number(std::string_view key, std::size_t most, const std::function<void(std::uint64_t)>& read) {
  const auto* array = get<Json::Array>(key, "a list");
  if (array == nullptr) return;
  if (array->size() > most) return wrong(key, "too many");
  for (const Json& element : *array) {
    const auto* value = std::get_if<std::uint64_t>(&element.value);
    if (value == nullptr) return wrong(key, "not a list of numbers");
    read(*value);
  }
}

void ObjectReader::each_member(std::size_t most, const std::function<void(const std::string& key, ObjectReader&)>& read) {
  if (members_->size() > most) return wrong("", "too many members");
  for (std::size_t i = 0; i < members_->size() && !failed(); ++i) {
    const auto& [key, value] = (*members_)[i];
    asked_[i] = true;
    if (key.starts_with("x-")) continue;
    ObjectReader reader(value, (where_.empty() ? "" : where_ + ".") + key, *problem_);
    read(key, reader);
    reader.done();
  }
}

void ObjectReader::done() {
  for (std::size_t i = 0; i < members_->size(); ++i)
    if (!asked_[i] && !(*members_)[i].first.starts_with("x-")) wrong((*members_)[i].first, "unknown key");
}

}  // namespace dozo::policy
