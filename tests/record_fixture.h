// What the tests of records, views and feeds share: short ways to make documents, contents and records.
#pragma once
#include <algorithm>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "crypto/identity.h"
#include "crypto/start.h"
#include "tests/folder_fixture.h"

namespace dozo::record_fixture {

inline const bool started = crypto::start().has_value();

template <class Id>
Id id_of(std::uint64_t number) {
  Id out;
  put_u64(out.bytes.data(), number << 56);  // small numbers in the first byte, so that conflict names show them
  put_u64(out.bytes.data() + Id::size - 8, number);
  return out;
}
inline crypto::SigningKey key_of(std::uint8_t seed) { return *crypto::SigningKey::from_seed(Bytes(32, seed)); }
inline DocumentId document(std::uint64_t number) { return id_of<DocumentId>(number); }

/// A file's content that is known by a number.
inline store::Content file(std::uint64_t number, bool executable = false) {
  return {{store::ContentKind::file, id_of<Digest>(number), executable}, store::Source{id_of<PieceId>(number), number}};
}
inline store::Content folder_content() { return {store::dir_value, std::nullopt}; }

inline constexpr std::uint64_t begin_ms = 1'795'410'300'000;  // 2026-11-23 14.05 in Japan

/// The change that somebody makes `minute` minutes after the beginning.
inline store::Record change(std::uint64_t minute, std::vector<store::Op> ops, std::uint64_t person = 1, const std::string& who = "大阪 佐藤") {
  store::Record out;
  out.library = id_of<LibraryId>(9);
  out.hlc = (begin_ms + minute * 60'000) << 16;
  out.device = id_of<NodeId>(3);
  out.person = id_of<PersonId>(person);
  out.role = "editor";
  out.policy = {1};
  out.who = who;
  out.ops = std::move(ops);
  return out;
}

using folder_fixture::TestFolder;

/// What all these records make.
inline TestFolder folder_of(const std::vector<store::Record>& records, store::NameRule rule = store::NameRule::portable) {
  TestFolder out(rule);
  out.apply_all(records);
  return out;
}
inline std::vector<store::Record> with(std::vector<store::Record> records, std::initializer_list<store::Record> more) {
  records.insert(records.end(), more);
  return records;
}
inline std::vector<std::string> paths_of(const TestFolder& folder) {
  std::vector<std::string> out;
  for (const auto& [path, shown] : folder.entries()) out.push_back(path);
  return out;
}
/// The numbers of the contents that a document shows, the first first.
inline std::vector<std::uint64_t> contents_of(const TestFolder& folder, const DocumentId& document) {
  std::vector<std::uint64_t> out;
  for (const store::Shown& shown : folder.of(document)) out.push_back(get_u64(shown.value.sha256.bytes.data() + Digest::size - 8));
  return out;
}
inline std::vector<store::ConflictKind> kinds_of(const TestFolder& folder, const DocumentId& document) {
  std::vector<store::ConflictKind> out;
  for (const store::Conflict& it : folder.conflicts_of(document)) out.push_back(it.kind);
  return out;
}

}  // namespace dozo::record_fixture
