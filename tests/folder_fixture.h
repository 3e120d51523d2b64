// A folder in a Kv in memory, that is asked without faults in mind.
#pragma once
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <memory>

#include "crypto/local_seal.h"
#include "store/acts.h"
#include "store/folder.h"
#include "store/kv_memory.h"

namespace dozo::folder_fixture {

using store::RecordNumber;

class Records final : public store::RecordSource {
 public:
  Result<std::shared_ptr<const store::StoredRecord>> record(RecordNumber number) override {
    ++reads;
    return all.at(number.value);
  }
  /// The same record has one number, however often it comes.
  RecordNumber number_of(std::shared_ptr<const store::StoredRecord> record) {
    const auto [known, is_new] = numbers.try_emplace(record->id, RecordNumber{static_cast<std::uint32_t>(all.size())});
    if (is_new) all.push_back(std::move(record));
    return known->second;
  }
  std::vector<std::shared_ptr<const store::StoredRecord>> all;
  std::map<RecordId, RecordNumber> numbers;
  std::uint64_t reads = 0;
};

template <class T>
T value(Result<T> result) {
  if (!result) FAIL(result.error().text);
  return std::move(*result);
}
inline void value(Result<void> result) {
  if (!result) FAIL(result.error().text);
}

class TestFolder {
 public:
  explicit TestFolder(store::NameRule rule) : it_(std::make_unique<It>(rule)) {}

  std::vector<store::Change> apply(const store::StoredRecord& record) {
    std::vector<store::Change> out;
    const RecordNumber number = it_->records.number_of(std::make_shared<store::StoredRecord>(record));
    write([&](store::WriteTransaction& write) { value(it_->folder.apply(write, number, &out)); });
    return out;
  }
  std::vector<store::Change> apply(const store::Record& record) { return apply(store::StoredRecord(store::record_id(record), record)); }
  void apply_all(const std::vector<store::Record>& records) {
    for (const store::Record& record : records) apply(record);
  }
  /// `rest`: the records that are still accepted.
  std::vector<store::Change> reset(const DocumentId& document, const std::vector<RecordId>& rest) {
    std::vector<store::Change> out;
    write([&](store::WriteTransaction& write) {
      std::vector<RecordNumber> stay;
      for (const RecordNumber number : value(it_->folder.makers(write, document))) {
        if (std::ranges::find(rest, it_->records.all[number.value]->id) != rest.end()) stay.push_back(number);
      }
      for (const RecordId& id : rest) {  // one that was out and is accepted again
        const auto known = it_->records.numbers.find(id);
        if (known == it_->records.numbers.end() || std::ranges::find(stay, known->second) != stay.end()) continue;
        const auto& ops = it_->records.all[known->second.value]->record.ops;
        if (std::ranges::find(ops, document, &store::Op::document) != ops.end()) stay.push_back(known->second);
      }
      value(it_->folder.reset(write, document, stay, &out));
    });
    return out;
  }

  const store::Folder& folder() const { return it_->folder; }
  store::Registers registers(const DocumentId& document) const { return value(it_->folder.registers(document)); }
  std::optional<store::Shown> find(std::string_view path) const { return value(it_->folder.find(path)); }
  std::vector<store::Shown> of(const DocumentId& document) const { return value(it_->folder.of(document)); }
  bool shows(const DocumentId& document) const { return value(it_->folder.shows(document)); }
  bool is_replaced(const DocumentId& document, store::Register reg, const VersionId& id) const { return value(it_->folder.is_replaced(document, reg, id)); }
  std::map<std::string, store::Shown> entries() const { return value(it_->folder.entries()); }
  std::vector<store::Conflict> conflicts() const { return value(it_->folder.conflicts()); }
  std::vector<store::Conflict> conflicts_of(const DocumentId& document) const { return value(it_->folder.conflicts_of(document)); }
  store::Folder::Counts counts() const { return value(it_->folder.counts()); }
  /// All that a record named.
  std::vector<DocumentId> documents() const {
    std::set<DocumentId> out;
    for (const auto& record : it_->records.all) {
      for (const store::Op& op : record->record.ops) out.insert(op.document);
    }
    return {out.begin(), out.end()};
  }
  const store::MemoryDisk& disk() const { return it_->disk; }
  std::uint64_t calls() const { return it_->kv.calls(); }
  std::uint64_t reads() const { return it_->records.reads; }

 private:
  struct It {
    explicit It(store::NameRule rule) : folder({kv, {0}, bytes_of(view_of("space")), key}, rule, records) {}
    store::MemoryDisk disk;
    store::MemoryKv kv{disk, 1};
    crypto::LocalKey key{*crypto::LocalKey::Root::from(Bytes(32, 7))};
    Records records;
    store::Folder folder;
  };
  void write(const std::function<void(store::WriteTransaction&)>& what) {
    const auto out = value(it_->kv.write());
    what(*out);
    value(out->commit());
  }
  std::unique_ptr<It> it_;
};

// Acts upon what a folder shows.
inline std::vector<store::Op> rename(const TestFolder& folder, const store::Shown& shown, const std::string& path) {
  return store::rename(folder.registers(shown.document), shown, path);
}
inline std::vector<store::Op> remove(const TestFolder& folder, const store::Shown& shown) { return store::remove(folder.registers(shown.document), shown); }
inline std::vector<store::Op> resolve(const TestFolder& folder, const store::Shown& shown, const store::Content& content) {
  return store::resolve(folder.registers(shown.document), shown, content);
}
inline std::vector<store::Op> set_label(const TestFolder& folder, const store::Shown& shown, std::uint32_t number) {
  return store::set_label(folder.registers(shown.document), shown, number);
}
inline std::vector<store::Op> drop(const TestFolder& folder, const store::Shown& shown) { return store::drop(folder.of(shown.document), shown); }
inline std::vector<store::Op> keep(const TestFolder& folder, const store::Shown& kept, const store::Shown& gone) {
  return store::keep(folder.registers(kept.document), kept, folder.registers(gone.document), gone);
}
inline store::Op anew(const TestFolder& folder, store::Op op) { return value(store::anew(folder.folder(), std::move(op))); }

}  // namespace dozo::folder_fixture
