// Random realms with what a library must make of them, worked out by an independent model of the rules in another language. One JSON object a line:
// policies, feeds, records and what follows: which are accepted, why the others are not, live versions, labels, conflicts, the folder, the history.
//
// Ids of records and versions are given, as the model's encoding is not ours; node and person names become ids by their bytes. A content's
// 16 hex digits stand at the beginning of its SHA-256.
#pragma once
#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "store/accept.h"
#include "store/acts.h"
#include "store/folder.h"

namespace dozo::view_vectors {

using nlohmann::json;

template <class Id>
Id id_from(const std::string& text) {
  Id out;
  std::copy_n(text.begin(), std::min(text.size(), Id::size), out.bytes.begin());
  return out;
}
template <class Id>
Id id_from_hex(const json& hex) {
  return *Id::parse(hex.get<std::string>());
}
inline std::string text_from_hex(const json& hex) {
  const Bytes bytes = *from_hex(hex.get<std::string>());
  return {bytes.begin(), bytes.end()};
}
/// The id of which this is tag_of.
inline VersionId id_from_tag(const std::string& tag) {
  static const std::string digits = "0123456789abcdefghjkmnpqrstvwxyz";
  VersionId out;
  for (std::size_t i = 0; i < 128; ++i) {
    const auto digit = static_cast<unsigned>(digits.find(tag.at(i / 5)));
    if (digit >> (4 - i % 5) & 1) out.bytes[i / 8] = static_cast<std::uint8_t>(out.bytes[i / 8] | 0x80 >> i % 8);
  }
  return out;
}
inline store::Stamp stamp_of(const json& it) { return {it.at(0).get<std::uint64_t>(), id_from_hex<RecordId>(it.at(1))}; }
inline std::optional<store::Side> side_of(const json& it) {
  if (it.is_null()) return std::nullopt;
  return store::Side{stamp_of(it["rank"]), it["text"].get<std::string>(), id_from_tag(it["tag"].get<std::string>())};
}
inline store::ContentValue content_of(const json& it) {
  if (it.at(0) == "dir") return store::dir_value;
  store::ContentValue out{store::ContentKind::file, {}, it.at(2).get<bool>()};
  const Bytes start = *from_hex(it.at(1).get<std::string>());
  std::ranges::copy(start, out.sha256.bytes.begin());
  return out;
}
/// Where a content is, made up from what it is.
inline std::optional<store::Source> source_of(const store::ContentValue& value) {
  if (value.kind == store::ContentKind::dir) return std::nullopt;
  return store::Source{{value.sha256.bytes}, 1};
}
inline store::Op op_of(const json& it) {
  store::Op out;
  out.document = id_from_hex<DocumentId>(it["doc"]);
  const std::string reg = it["reg"];
  out.reg = reg == "path" ? store::Register::path : reg == "content" ? store::Register::content : store::Register::label;
  if (it["value"].is_null()) {
    out.value = store::Deleted{};
  } else if (out.reg == store::Register::path) {
    out.value = text_from_hex(it["value"]);
  } else if (out.reg == store::Register::label) {
    out.value = store::Label{it["value"].get<std::uint32_t>()};
  } else {
    const store::ContentValue value = content_of(it["value"]);
    out.value = value;
    out.source = source_of(value);
  }
  for (const json& id : it["replaces"]) out.replaces.push_back(id_from_hex<VersionId>(id));
  out.at = text_from_hex(it["at"]);
  out.side = side_of(it["side"]);
  out.again = it.value("again", 0U);
  return out;
}

struct Held {
  store::Record record;
  RecordId id;
  std::vector<VersionId> versions;  ///< that its operations make
  store::Stamp stamp() const { return {record.hlc, id}; }
  store::StoredRecord stored() const {
    store::StoredRecord out(id, record);
    out.versions = versions;
    return out;
  }
};

struct Realm {
  json given;
  store::NameRule rule{};
  std::map<std::string, Held> records;  ///< by the hex of their ids
  /// The accepted, in the order of their stamps, as the vector says.
  std::vector<const Held*> accepted() const {
    std::vector<const Held*> out;
    for (const json& id : given["accepted"]) out.push_back(&records.at(id.get<std::string>()));
    return out;
  }
};

inline Realm realm_of(json given) {
  Realm out;
  out.rule = given["names"] == "linux" ? store::NameRule::bytes : store::NameRule::portable;
  for (const auto& [id, it] : given["records"].items()) {
    Held held;
    held.id = *RecordId::parse(id);
    held.record.hlc = it["hlc"].get<std::uint64_t>();
    held.record.device = id_from<NodeId>(it["node"]);
    held.record.person = id_from<PersonId>(it["person"]);
    held.record.who = it["who"];
    for (const json& op : it["ops"]) held.record.ops.push_back(op_of(op));
    for (const json& op : it["ops"]) held.versions.push_back(id_from_hex<VersionId>(op["vid"]));
    out.records.emplace(id, std::move(held));
  }
  out.given = std::move(given);
  return out;
}

/// Each realm of a file. Returns how many there were.
inline std::size_t for_each(const std::string& file, const std::function<void(const Realm&)>& check) {
  std::ifstream in(file);
  REQUIRE_MESSAGE(in, file);
  std::size_t count = 0;
  for (std::string line; std::getline(in, line); ++count) {
    const Realm realm = realm_of(json::parse(line));
    const int number = realm.given["vector"];
    CAPTURE(number);
    check(realm);
  }
  return count;
}

}  // namespace dozo::view_vectors
