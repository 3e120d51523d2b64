#include "store/git_objects.h"

#include <algorithm>
#include <charconv>

namespace dozo::store {
namespace {

constexpr std::string_view replacement = "\xef\xbf\xbd";  // U+FFFD
constexpr std::string_view address = " <history@dozo.invalid> ";
constexpr std::string_view zone = " +0900";

std::string_view name_of_kind(ContentKind kind) {
  switch (kind) {
    case ContentKind::file: return "file";
    case ContentKind::symlink: return "symlink";
    case ContentKind::dir: return "dir";
  }
  return "file";
}

/// Reads one text from the front; every part of the formats below is either a fixed string or runs up to a line's end.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}
  bool skip(std::string_view expected) {
    if (!rest_.starts_with(expected)) return false;
    rest_.remove_prefix(expected.size());
    return true;
  }
  std::optional<std::string_view> line() {
    const std::size_t end = rest_.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view out = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return out;
  }
  std::optional<std::string_view> take(std::size_t size) {
    if (rest_.size() < size) return std::nullopt;
    const std::string_view out = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return out;
  }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

std::optional<std::uint64_t> number(std::string_view text, int base) {
  std::uint64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string hex16(std::uint64_t value) {
  std::array<std::uint8_t, 8> bytes{};
  put_u64(bytes.data(), value);
  return to_hex(bytes);
}

Result<GitMode> mode_of(std::string_view octal) {
  if (octal == "40000") return GitMode::folder;
  if (octal == "100644") return GitMode::plain;
  if (octal == "100755") return GitMode::executable;
  return fail(Fault::corrupt, "a tree of history with a mode that we do not write");
}

std::string_view octal_of(GitMode mode) {
  switch (mode) {
    case GitMode::folder: return "40000";
    case GitMode::plain: return "100644";
    case GitMode::executable: return "100755";
  }
  return "100644";
}

}  // namespace

const GitId empty_tree_id = GitId{{0x4b, 0x82, 0x5d, 0xc6, 0x42, 0xcb, 0x6e, 0xb9, 0xa0, 0x60, 0xe5, 0x4b, 0xf8, 0xd6, 0x92, 0x88, 0xfb, 0xee, 0x49, 0x04}};

// ---- blobs -----------------------------------------------------------------------------------------------------------
std::string encode_blob(const TreeFile& file) {
  const bool bare = file.kind == ContentKind::dir;
  std::string out = "dozo content 1\nkind ";
  out.append(name_of_kind(file.kind)).append("\nsha256 ").append((bare ? Digest{} : file.content_sha256).hex());
  out.append("\nsize ").append(std::to_string(bare ? 0 : file.size)).append("\ndocument ").append(file.document.hex()).append("\n");
  return out;
}

Result<TreeFile> decode_blob(ByteView bytes) {
  const auto bad = [] { return fail(Fault::corrupt, "a blob of history that we do not write"); };
  Reader in(text_of(bytes));
  TreeFile file;
  if (!in.skip("dozo content 1\nkind ")) return bad();
  const auto kind = in.line();
  if (!kind) return bad();
  for (const ContentKind each : {ContentKind::file, ContentKind::symlink, ContentKind::dir})
    if (*kind == name_of_kind(each)) file.kind = each;
  const auto hash = in.skip("sha256 ") ? in.line() : std::nullopt;
  const auto size = in.skip("size ") ? in.line() : std::nullopt;
  const auto document = in.skip("document ") ? in.line() : std::nullopt;
  if (!hash || !size || !document) return bad();
  const auto hash_value = Digest::parse(*hash);
  const auto size_value = number(*size, 10);
  const auto document_value = DocumentId::parse(*document);
  if (!hash_value || !size_value || !document_value) return bad();
  file.content_sha256 = *hash_value;
  file.size = *size_value;
  file.document = *document_value;
  if (encode_blob(file) != text_of(bytes)) return bad();
  return file;
}

// ---- trees -----------------------------------------------------------------------------------------------------------
bool git_before(std::string_view a, bool a_is_folder, std::string_view b, bool b_is_folder) {
  const std::size_t common = std::min(a.size(), b.size());
  if (const int order = a.substr(0, common).compare(b.substr(0, common))) return order < 0;
  const auto after = [&](std::string_view name, bool is_folder) {
    return name.size() > common ? static_cast<unsigned char>(name[common]) : static_cast<unsigned char>(is_folder ? '/' : 0);
  };
  return after(a, a_is_folder) < after(b, b_is_folder);
}

Bytes encode_tree(const std::vector<GitEntry>& entries) {
  Bytes out;
  std::size_t size = 0;
  for (const GitEntry& entry : entries) size += entry.name.size() + 28;
  out.reserve(size);
  for (const GitEntry& entry : entries) {
    append(out, view_of(octal_of(entry.mode)));
    out.push_back(' ');
    append(out, view_of(entry.name));
    out.push_back(0);
    append(out, entry.id.view());
  }
  return out;
}

Result<std::vector<GitEntry>> decode_tree(ByteView bytes) {
  const auto bad = [] { return fail(Fault::corrupt, "a tree of history that we do not write"); };
  std::vector<GitEntry> out;
  Reader in(text_of(bytes));
  while (!in.rest().empty()) {
    const std::size_t blank = in.rest().substr(0, 7).find(' '), end = in.rest().find('\0');
    if (blank == std::string_view::npos || end == std::string_view::npos || end <= blank + 1) return bad();
    GitEntry entry;
    entry.mode = TRY(mode_of(in.rest().substr(0, blank)));
    entry.name = in.rest().substr(blank + 1, end - blank - 1);
    in.take(end + 1);
    const auto id = in.take(GitId::size);
    if (!id) return bad();
    entry.id = TRY(GitId::from(view_of(*id)));
    if (!out.empty() && !git_before(out.back().name, out.back().mode == GitMode::folder, entry.name, entry.mode == GitMode::folder)) return bad();
    out.push_back(std::move(entry));
  }
  return out;
}

// ---- commits ---------------------------------------------------------------------------------------------------------
std::string shown_author(std::string_view who) {
  std::string out;
  for (const char c : who) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f || c == '<' || c == '>') {
      out += replacement;
    } else {
      out += c;
    }
  }
  const std::size_t first = out.find_first_not_of(' ');
  if (first == std::string::npos) return "?";
  return out.substr(first, out.find_last_not_of(' ') - first + 1);
}

std::string shown_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\0') {
      out += replacement;
    } else {
      out += c;
    }
  }
  return out;
}

Bytes encode_commit(const GitCommit& commit) {
  std::string who = shown_author(commit.author);
  who.append(address).append(std::to_string((commit.hlc >> 16) / 1000)).append(zone).append("\n");
  std::string out = "tree " + commit.tree.hex() + "\n";
  if (commit.parent) out += "parent " + commit.parent->hex() + "\n";
  out.append("author ").append(who).append("committer ").append(who).append("\n");
  out.append(shown_text(commit.text)).append("\n\nDozo-Record: ").append(commit.record.hex()).append("\nDozo-Time: ").append(hex16(commit.hlc)).append("\n");
  return bytes_of(out);
}

Result<GitCommit> decode_commit(ByteView bytes) {
  const auto bad = [] { return fail(Fault::corrupt, "a commit of history that we do not write"); };
  constexpr std::string_view record_label = "\n\nDozo-Record: ", time_label = "\nDozo-Time: ";
  constexpr std::size_t trailer_bytes = record_label.size() + 64 + time_label.size() + 16 + 1;
  Reader in(text_of(bytes));
  GitCommit commit;
  const auto tree = in.skip("tree ") ? in.line() : std::nullopt;
  if (!tree) return bad();
  std::optional<std::string_view> parent;
  if (in.skip("parent ")) {
    parent = in.line();
    if (!parent) return bad();
  }
  const auto author = in.skip("author ") ? in.line() : std::nullopt;
  if (!author || !in.skip("committer ") || !in.line() || !in.skip("\n")) return bad();
  const std::size_t name_end = author->find(address);
  if (name_end == std::string_view::npos || in.rest().size() < trailer_bytes) return bad();
  commit.author = author->substr(0, name_end);
  commit.text = *in.take(in.rest().size() - trailer_bytes);
  if (!in.skip(record_label)) return bad();
  const auto record = RecordId::parse(*in.take(64));
  if (!in.skip(time_label)) return bad();
  const auto hlc = number(*in.take(16), 16);
  const auto tree_value = GitId::parse(*tree);
  if (!record || !hlc || !tree_value) return bad();
  commit.record = *record;
  commit.hlc = *hlc;
  commit.tree = *tree_value;
  if (parent) {
    const auto parent_value = GitId::parse(*parent);
    if (!parent_value) return bad();
    commit.parent = *parent_value;
  }
  if (!equal(encode_commit(commit), bytes)) return bad();
  return commit;
}

}  // namespace dozo::store
