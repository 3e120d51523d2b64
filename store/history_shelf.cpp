#include "store/history_shelf.h"

#include <algorithm>
#include <utility>

#include "base/archive.h"
#include "base/invariant.h"
#include "store/history_rows.h"

namespace dozo::store {
namespace {

// ---- what the rows hold: docs/history.md section 4 ---------------------------------------------------------------------
constexpr std::uint8_t rows_format = 1;
constexpr std::size_t object_bytes_most = std::size_t{1} << 30;
constexpr std::size_t trace_keys_most = 1000;
constexpr std::size_t path_list_bytes = 16 * 1024;  // a list is closed when it has grown beyond this
constexpr std::size_t path_list_bytes_most = path_list_bytes + 8 * 1024;
constexpr std::size_t splice_bytes_min = 4096;  // smaller objects are kept whole
constexpr std::uint8_t splice_depth_most = 64;  // then one is kept whole again
constexpr std::size_t puts_to_end = 8;          // that the end of a step or of a transaction needs
constexpr std::string_view main_branch = "refs/heads/main";

struct HeadRow {
  std::uint8_t format = rows_format;
  HistoryHead head;
};
template <class A>
void serialize(A& archive, HeadRow& it) {
  archive(it.format, it.head.size, it.head.id);
}

/// Kept as a change: the first `front` bytes of the base, the row's own, the last `back` bytes of the base.
struct Splice {
  GitId base;
  std::uint32_t front{}, back{};
  std::uint8_t depth{};  // of the base, plus one; a whole object has 0
};
template <class A>
void serialize(A& archive, Splice& it) {
  archive(it.base, it.front, it.back, it.depth);
}

struct ObjectRow {
  GitId id;
  GitKind kind{};
  std::optional<Splice> splice;
  Bytes body;
  std::uint8_t depth() const { return splice ? splice->depth : std::uint8_t{0}; }
};
template <class A>
void serialize(A& archive, ObjectRow& it) {
  archive(it.id, it.kind, it.splice, archive::capped<object_bytes_most>(it.body));
}

struct RefRow {
  GitRef ref;
};
template <class A>
void serialize(A& archive, RefRow& it) {
  archive(archive::capped<4096>(it.ref.name), it.ref.id, archive::capped<4096>(it.ref.target));
}

struct NumberRow {
  std::uint64_t number{};
};
template <class A>
void serialize(A& archive, NumberRow& it) {
  archive(it.number);
}

struct ManifestRow {
  PieceId manifest;
};
template <class A>
void serialize(A& archive, ManifestRow& it) {
  archive(it.manifest);
}

struct ChangeRow {};
template <class A>
void serialize(A&, ChangeRow&) {}

struct Run {
  Bytes bytes;
};
template <class A>
void serialize(A& archive, Run& it) {
  archive(archive::capped<4096 + 1>(it.bytes));
}

/// Paths of changed_paths, or keys of a trace.
struct ListRow {
  std::vector<Run> runs;
};
template <class A>
void serialize(A& archive, ListRow& it) {
  archive(archive::capped<path_list_bytes_most>(it.runs));
}

}  // namespace

constexpr GitKind wire_last(GitKind) { return GitKind::tag; }

template <class A>
void serialize(A& archive, CommitRow& it) {
  archive(it.id, it.tree, it.record, it.hlc, it.changed_count);
}

// ---- the shelf -------------------------------------------------------------------------------------------------------
struct HistoryShelf::Body {
  Body(std::unique_ptr<HistoryRows> its_rows, std::size_t most) : rows(std::move(its_rows)), puts_most(most) {}

  std::unique_ptr<HistoryRows> rows;
  std::size_t puts_most{};  // 0: open for reading
  HistoryHead head, committed;
  bool is_new{};  // without any row
  // Of the step under way, which is number head.size + 1.
  ListRow trace, paths;
  std::uint32_t traces{}, path_lists{};
  std::size_t paths_bytes{};
  std::optional<GitId> base;  // of the next object

  std::uint64_t step() const { return head.size + 1; }

  template <class Row>
  Result<std::optional<Row>> row(const Bytes& key) {
    const auto plain = TRY(rows->get(key));
    if (!plain) return std::nullopt;
    auto value = archive::decode<Row>(*plain, plain->size(), "a row of history");
    if (!value) return fail(Fault::corrupt, std::move(value.error().text));
    return *std::move(value);
  }
  template <class Row>
  Result<void> put(const Bytes& key, const Row& value) {
    return rows->put(key, archive::encode(value));
  }

  Result<void> read_head() {
    const auto found = TRY(row<HeadRow>(rows->key(HistoryTable::head)));
    if (found && found->format != rows_format) return fail(Fault::unsupported, "history kept by another version: delete and derive it again");
    if (!found && TRY(rows->seek(rows->space(), rows->space().size()))) return fail(Fault::corrupt, "history whose end is not known");
    head = found ? found->head : HistoryHead{};
    committed = head;
    is_new = !found;
    return {};
  }

  Result<std::optional<ObjectRow>> object_row(const GitId& id) {
    auto found = TRY(row<ObjectRow>(rows->key(HistoryTable::object, id.view())));
    if (found && found->id != id) return fail(Fault::corrupt, "an object of history in another's place");
    return found;
  }
  /// An object with its whole body, whatever it is kept as. Its splice stays, to tell its depth.
  Result<std::optional<ObjectRow>> whole_object(const GitId& id) {
    auto found = TRY(object_row(id));
    if (!found || !found->splice) return found;
    std::vector<ObjectRow> changes{*std::move(found)};
    while (changes.back().splice) {
      const Splice splice = *changes.back().splice;
      auto below = TRY(object_row(splice.base));
      if (!below || below->depth() + 1 != splice.depth) return fail(Fault::corrupt, "an object of history that is a change of nothing");
      changes.push_back(*std::move(below));
    }
    Bytes body = std::move(changes.back().body);
    for (changes.pop_back(); !changes.empty(); changes.pop_back()) {
      const ObjectRow& change = changes.back();
      const std::size_t front = change.splice->front, back = change.splice->back;
      if (front > body.size() || back > body.size() - front) return fail(Fault::corrupt, "an object of history that does not fit its base");
      body.erase(body.begin() + static_cast<std::ptrdiff_t>(front), body.end() - static_cast<std::ptrdiff_t>(back));
      body.insert(body.begin() + static_cast<std::ptrdiff_t>(front), change.body.begin(), change.body.end());
      if (changes.size() == 1) return ObjectRow{id, change.kind, change.splice, std::move(body)};
    }
    return std::nullopt;
  }
  /// The row of an object: a change of `base` where that is much shorter. A base is never younger than what is kept as its change, so that
  /// it is never taken back before it.
  Result<ObjectRow> row_of(const GitId& id, GitKind kind, ByteView body) {
    ObjectRow out{id, kind, std::nullopt, {}};
    const std::optional<GitId> from = std::exchange(base, std::nullopt);
    if (from && body.size() >= splice_bytes_min) {
      const auto old = TRY(whole_object(*from));
      if (old && old->depth() < splice_depth_most) {
        const std::size_t most = std::min(old->body.size(), body.size());
        const auto front =
            static_cast<std::size_t>(std::mismatch(body.begin(), body.begin() + static_cast<std::ptrdiff_t>(most), old->body.begin()).first - body.begin());
        const auto back = static_cast<std::size_t>(
            std::mismatch(body.rbegin(), body.rbegin() + static_cast<std::ptrdiff_t>(most - front), old->body.rbegin()).first - body.rbegin());
        const std::size_t left = body.size() - front - back;
        if (left < body.size() / 4) {
          out.splice = {*from, static_cast<std::uint32_t>(front), static_cast<std::uint32_t>(back), static_cast<std::uint8_t>(old->depth() + 1)};
          body = body.subspan(front, left);
        }
      }
    }
    out.body = bytes_of(body);
    return out;
  }

  /// Puts a row of the step under way: named in its trace, and in a new transaction when this one is full.
  template <class Row>
  Result<void> put_traced(const Bytes& key, const Row& value) {
    if (rows->puts() + puts_to_end >= puts_most) {
      TRY(end_trace());
      TRY(turn());
    }
    TRY(put(key, value));
    trace.runs.push_back({key});
    if (trace.runs.size() == trace_keys_most) TRY(end_trace());
    return {};
  }
  Result<void> end_trace() {
    if (trace.runs.empty()) return {};
    TRY(put(rows->key(HistoryTable::trace, step(), traces++), trace));
    trace.runs.clear();
    return {};
  }
  /// Ends the transaction and begins the next.
  Result<void> turn() {
    TRY(rows->commit());
    committed = head;
    return rows->begin();
  }
  Result<void> end_path_list() {
    if (paths.runs.empty()) return {};
    TRY(put_traced(rows->key(HistoryTable::paths, step(), path_lists++), paths));
    paths.runs.clear();
    paths_bytes = 0;
    return {};
  }

  /// Writes down where the line ends now.
  Result<void> put_head() {
    TRY(put(rows->key(HistoryTable::head), HeadRow{rows_format, head}));
    const Bytes main_key = rows->key(HistoryTable::ref, view_of(main_branch));
    if (head.size == 0) return rows->drop(main_key);
    return put(main_key, RefRow{{std::string(main_branch), head.id, {}}});
  }

  /// Deletes what the traces of a number name, which no commit has (any more).
  Result<void> sweep(std::uint64_t number) {
    const Bytes first = rows->key(HistoryTable::trace, number, 0);
    for (;;) {
      const auto found = TRY(rows->seek(first, first.size() - sizeof(std::uint32_t)));
      if (!found) return {};
      auto list = archive::decode<ListRow>(found->plain, found->plain.size(), "a trace of history");
      if (!list) return fail(Fault::corrupt, std::move(list.error().text));
      if (rows->puts() + list->runs.size() + puts_to_end > puts_most) TRY(turn());
      for (const Run& run : list->runs) {
        if (!rows->is_own(run.bytes)) return fail(Fault::corrupt, "a trace of history that names what is not history's");
        TRY(rows->drop(run.bytes));
      }
      TRY(rows->drop(found->key));
    }
  }
};

HistoryShelf::HistoryShelf(std::unique_ptr<Body> body) : body_(std::move(body)) {}
HistoryShelf::~HistoryShelf() = default;

Result<std::unique_ptr<HistoryShelf>> HistoryShelf::for_reading(Kv& kv, const crypto::LocalKey& key, const LibraryId& library) {
  auto body = std::make_unique<Body>(TRY(HistoryRows::open(kv, key, library, false)), 0);
  TRY(body->read_head());
  return std::unique_ptr<HistoryShelf>(new HistoryShelf(std::move(body)));
}

Result<std::unique_ptr<HistoryShelf>> HistoryShelf::for_writing(Kv& kv, const crypto::LocalKey& key, const LibraryId& library, std::size_t puts_most) {
  INVARIANT(puts_most > trace_keys_most + 2 * puts_to_end);
  auto body = std::make_unique<Body>(TRY(HistoryRows::open(kv, key, library, true)), puts_most);
  TRY(body->read_head());
  if (body->is_new) TRY(body->put_head());  // from here on a history without this row is damaged
  TRY(body->sweep(body->step()));
  return std::unique_ptr<HistoryShelf>(new HistoryShelf(std::move(body)));
}

// ---- the line --------------------------------------------------------------------------------------------------------
const HistoryHead& HistoryShelf::head() const { return body_->head; }
const HistoryHead& HistoryShelf::committed() const { return body_->committed; }

Result<CommitRow> HistoryShelf::commit_row(std::uint64_t number) {
  auto found = TRY(body_->row<CommitRow>(body_->rows->key(HistoryTable::commit, number)));
  if (!found) return fail(Fault::corrupt, "history lacks a commit");
  return *found;
}

Result<std::optional<std::uint64_t>> HistoryShelf::number_of(const GitId& id) {
  const auto found = TRY(body_->row<NumberRow>(body_->rows->key(HistoryTable::number, id.view())));
  if (!found || found->number == 0 || found->number > body_->head.size) return std::nullopt;
  return found->number;
}

Result<std::optional<PieceId>> HistoryShelf::manifest_of(const GitId& blob, std::uint64_t number) {
  // Keys have the number's complement, so that the first from here on is the last one set up to that commit.
  const Bytes from = body_->rows->key(HistoryTable::manifest, blob.view(), ~number);
  const auto found = TRY(body_->rows->seek(from, from.size() - sizeof(std::uint64_t)));
  if (!found) return std::nullopt;
  const auto row = archive::decode<ManifestRow>(found->plain, PieceId::size, "a row of history");
  if (!row) return fail(Fault::corrupt, row.error().text);
  return row->manifest;
}

Result<std::optional<std::uint64_t>> HistoryShelf::last_change(std::string_view path, std::uint64_t before) {
  const Bytes from = body_->rows->key(HistoryTable::change, view_of(path), ~(before - 1));
  const auto found = TRY(body_->rows->seek(from, from.size() - sizeof(std::uint64_t)));
  if (!found) return std::nullopt;
  const std::uint64_t number = ~get_u64(found->key.data() + found->key.size() - sizeof(std::uint64_t));
  if (number == 0) return fail(Fault::corrupt, "a row of history for commit 0");
  return number;
}

Result<std::vector<std::string>> HistoryShelf::changed_paths(std::uint64_t number, std::size_t most) {
  std::vector<std::string> out;
  for (std::uint32_t part = 0; out.size() < most; ++part) {
    const auto list = TRY(body_->row<ListRow>(body_->rows->key(HistoryTable::paths, number, part)));
    if (!list) break;
    for (const Run& run : list->runs)
      if (out.size() < most) out.emplace_back(text_of(run.bytes));
  }
  return out;
}

// ---- a step ----------------------------------------------------------------------------------------------------------
Result<void> HistoryShelf::put_manifest(const GitId& blob, const PieceId& manifest) {
  return body_->put_traced(body_->rows->key(HistoryTable::manifest, blob.view(), ~body_->step()), ManifestRow{manifest});
}

Result<void> HistoryShelf::put_change(std::string_view path) {
  return body_->put_traced(body_->rows->key(HistoryTable::change, view_of(path), ~body_->step()), ChangeRow{});
}

Result<void> HistoryShelf::put_changed_path(std::string_view path) {
  body_->paths.runs.push_back({bytes_of(path)});
  body_->paths_bytes += path.size() + sizeof(std::uint32_t);
  if (body_->paths_bytes >= path_list_bytes) TRY(body_->end_path_list());
  return {};
}

Result<void> HistoryShelf::end_step(const CommitRow& row) {
  TRY(body_->end_path_list());
  TRY(body_->put_traced(body_->rows->key(HistoryTable::number, row.id.view()), NumberRow{body_->step()}));
  TRY(body_->end_trace());
  TRY(body_->put(body_->rows->key(HistoryTable::commit, body_->step()), row));
  body_->head = {body_->step(), row.id};
  body_->traces = body_->path_lists = 0;
  TRY(body_->put_head());
  // A step's end is the best place for a transaction's end: what follows would have to be traced across.
  if (body_->rows->puts() > body_->puts_most / 2) TRY(body_->turn());
  return {};
}

Result<void> HistoryShelf::take_back() {
  INVARIANT(body_->head.size > 0);
  const std::uint64_t number = body_->head.size;
  HistoryHead head{number - 1, {}};
  if (head.size > 0) head.id = TRY(commit_row(head.size)).id;
  if (body_->rows->puts() + puts_to_end > body_->puts_most) TRY(body_->turn());
  TRY(body_->rows->drop(body_->rows->key(HistoryTable::commit, number)));
  body_->head = head;
  TRY(body_->put_head());
  return body_->sweep(number);  // may take several transactions; the line ends before them from the first on
}

Result<void> HistoryShelf::commit() {
  TRY(body_->rows->commit());
  body_->committed = body_->head;
  return {};
}

// ---- objects ---------------------------------------------------------------------------------------------------------
Result<std::optional<GitObject>> HistoryShelf::get(const GitId& id) {
  auto found = TRY(body_->whole_object(id));
  if (!found) return std::nullopt;
  return GitObject{found->kind, std::move(found->body)};
}

Result<bool> HistoryShelf::has(const GitId& id) { return body_->rows->has(body_->rows->key(HistoryTable::object, id.view())); }

Result<void> HistoryShelf::put(const GitId& id, GitKind kind, ByteView body) {
  if (body_->puts_most == 0) return fail(Fault::denied, "history is open for reading");
  if (body.size() > object_bytes_most) return fail(Fault::over_limit, "an object of history over its limit");
  const ObjectRow row = TRY(body_->row_of(id, kind, body));
  return body_->put_traced(body_->rows->key(HistoryTable::object, id.view()), row);
}

void HistoryShelf::expect_change_of(const std::optional<GitId>& base) { body_->base = base; }

Result<void> HistoryShelf::each_id(const std::function<bool(const GitId&)>& take) {
  return body_->rows->each(HistoryTable::object, [&](ByteView plain) -> Result<bool> {
    const auto row = archive::decode<ObjectRow>(plain, plain.size(), "a row of history");
    if (!row) return fail(Fault::corrupt, row.error().text);
    return take(row->id);
  });
}

// ---- references ------------------------------------------------------------------------------------------------------
Result<std::optional<GitRef>> HistoryShelf::get_ref(std::string_view name) {
  auto found = TRY(body_->row<RefRow>(body_->rows->key(HistoryTable::ref, view_of(name))));
  if (!found && name == "HEAD") return GitRef{"HEAD", std::nullopt, std::string(main_branch)};
  if (!found) return std::nullopt;
  if (found->ref.name != name) return fail(Fault::corrupt, "a reference of history in another's place");
  return std::move(found->ref);
}

Result<void> HistoryShelf::put_ref(const GitRef& ref) {
  if (body_->puts_most == 0) return fail(Fault::denied, "history is open for reading");
  if (ref.name.size() > 4096 || ref.target.size() > 4096) return fail(Fault::over_limit, "a reference's name over its limit");
  return body_->put(body_->rows->key(HistoryTable::ref, view_of(ref.name)), RefRow{ref});
}

Result<void> HistoryShelf::drop_ref(std::string_view name) {
  if (body_->puts_most == 0) return fail(Fault::denied, "history is open for reading");
  return body_->rows->drop(body_->rows->key(HistoryTable::ref, view_of(name)));
}

Result<void> HistoryShelf::each_ref(const std::function<bool(const GitRef&)>& take) {
  return body_->rows->each(HistoryTable::ref, [&](ByteView plain) -> Result<bool> {
    const auto row = archive::decode<RefRow>(plain, plain.size(), "a row of history");
    if (!row) return fail(Fault::corrupt, row.error().text);
    return take(row->ref);
  });
}

}  // namespace dozo::store
