#include "node/seen_files.h"

#include <algorithm>

#include "node/piece_index.h"

namespace dozo::node {
namespace {

template <class Id>
Id first_of(const Digest& digest) {
  Id out;
  std::ranges::copy(ByteView(digest.bytes).first(Id::size), out.bytes.begin());
  return out;
}

void append_u64(Bytes& to, std::uint64_t value) {
  std::array<std::uint8_t, 8> bytes{};
  put_u64(bytes.data(), value);
  append(to, bytes);
}

auto key_of(const crypto::LocalKey& local, const LibraryId& library, const std::string& path) {
  Bytes name = bytes_of(library.view());
  append(name, view_of(path));
  return first_of<decltype(SeenFiles::Row::key)>(local.keyed("seen file", name));
}

}  // namespace

SeenFiles::Row SeenFiles::row_of(const LibraryId& library, const std::string& path, const FileState& state, const store::ContentValue& saved) const {
  Row out;
  out.key = key_of(local_, library, path);
  Bytes what = bytes_of(out.key.view());
  for (const std::uint64_t value :
       {state.device, state.inode, state.size_bytes, std::uint64_t{state.mode}, static_cast<std::uint64_t>(state.modified_ns),
        static_cast<std::uint64_t>(state.changed_ns), std::uint64_t{static_cast<std::uint8_t>(saved.kind)}, std::uint64_t{saved.executable}})
    append_u64(what, value);
  append(what, saved.sha256.view());
  out.mark = first_of<Mark>(local_.keyed("seen state", what));
  return out;
}

Result<std::vector<std::optional<SeenFiles::Mark>>> SeenFiles::marks(const LibraryId& library, std::span<const std::string> paths) const {
  const auto in = TRY(derived_.read());
  std::vector<std::optional<Mark>> out;
  for (const std::string& path : paths) {
    const auto row = TRY(in->get(seen_table, key_of(local_, library, path).view()));
    auto& mark = out.emplace_back();
    if (row && row->size() == Mark::size) mark = TRY(Mark::from(*row));
  }
  return out;
}

Result<void> SeenFiles::keep(std::span<const Row> rows) const {
  constexpr std::size_t puts_most = 1000;  // the engine may be waiting to write there too
  while (!rows.empty()) {
    const auto some = rows.first(std::min(rows.size(), puts_most));
    const auto out = TRY(derived_.write());
    for (const Row& row : some) TRY(out->put(seen_table, row.key.view(), row.mark.view()));
    TRY(out->commit());
    rows = rows.subspan(some.size());
  }
  return {};
}

}  // namespace dozo::node
