// What the readers and writers of the several documents share. Internal to the room.
#pragma once
#include <set>

#include "policy/documents.h"
#include "policy/json.h"

namespace dozo::policy {

/// The members that all documents but root begin with.
Header read_header(ObjectReader& from);
void write_header(Json::Object& to, const Header& header);
Listing read_listing(ObjectReader& from);
Json write_listing(const Listing& listing);

/// Members that are empty are left out in writing, and may be missing in reading, but for `nodes` and `people`.
Stopped read_stopped(ObjectReader& from);
void write_stopped(Json::Object& to, const Stopped& it);

/// Keys and threshold of who signs something.
RoleKeys read_keys(ObjectReader& from);
void write_keys(Json::Object& to, const RoleKeys& keys);

/// Parts that the directory and a unit's document share.
MeshNode read_mesh_node(ObjectReader& from);
Json write_mesh_node(const MeshNode& it);
Post read_post(ObjectReader& from);
Json write_post(const Post& it);
Person read_person(ObjectReader& from);
Json write_person(const Person& it);

template <class Id>
Json hex_of(const Id& id) {
  return Json(id.hex());
}
template <class T, class Write>
Json list_of(const std::vector<T>& of, Write&& write) {
  Json::Array out;
  out.reserve(of.size());
  for (const T& it : of) out.push_back(write(it));
  return Json(std::move(out));
}

/// Parses, reads one object with `read(ObjectReader&) -> T`, refuses what is left over.
template <class T, class Read>
Result<T> read_document(DocumentType type, ByteView payload, Read&& read) {
  const std::string what(name_of(type));
  const Json json = TRY(within(what, parse_json(payload, payload_bytes_most(type), 4'000'000)));
  ObjectReader::Problem problem;
  ObjectReader reader(json, "", problem);
  T out = read(reader);
  reader.done();
  if (problem.any()) return fail(Fault::malformed, what + ": " + problem.text);
  return out;
}

/// Refuses lists in which `key(element)` is there twice.
template <class T, class Key>
void want_distinct(ObjectReader& reader, std::string_view where, const std::vector<T>& list, Key&& key) {
  std::set<std::decay_t<decltype(key(list.front()))>> seen;
  for (const T& it : list)
    if (!seen.insert(key(it)).second) return reader.wrong(where, "one is there twice");
}

/// Refuses lists that are not in ascending order of `key(element)`, each once.
template <class T, class Key>
void want_ascending(ObjectReader& reader, std::string_view where, const std::vector<T>& list, Key&& key) {
  for (std::size_t i = 1; i < list.size(); ++i)
    if (!(key(list[i - 1]) < key(list[i]))) return reader.wrong(where, "not in ascending order, or one is there twice");
}

}  // namespace dozo::policy
