#include "store/tag.h"

#include <charconv>
#include <optional>

namespace dozo::store {
namespace {

constexpr std::string_view first_word = "dozo tag ", first_line = "dozo tag 1", library_word = "library ";

/// Takes the front of `text` up to `end`, and that too. Nothing: it is not there.
std::optional<std::string_view> take(std::string_view& text, char end) {
  const std::size_t at = text.find(end);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view out = text.substr(0, at);
  text.remove_prefix(at + 1);
  return out;
}

Result<TagPoint> read_point(std::string_view line) {
  constexpr std::string_view no_point = "a tag with a line that names no place in a feed";
  const auto node = take(line, ' '), incarnation = take(line, ' '), sequence = take(line, ' ');
  if (!sequence || sequence->empty() || sequence->front() == '0') return fail(Fault::malformed, std::string(no_point));
  TagPoint out{TRY(NodeId::parse(*node)), TRY(IncarnationId::parse(*incarnation)), {}, TRY(Digest::parse(line))};
  const auto read = std::from_chars(sequence->data(), sequence->data() + sequence->size(), out.sequence.value);
  if (read.ec != std::errc() || read.ptr != sequence->data() + sequence->size()) return fail(Fault::malformed, std::string(no_point));
  return out;
}

}  // namespace

std::string encode(const Tag& tag) {
  std::string out;
  out.append(first_line).append("\n").append(library_word).append(tag.library.hex()).append("\n");
  for (const TagPoint& point : tag.points) {
    out.append(point.node.hex()).append(" ").append(point.incarnation.hex()).append(" ").append(std::to_string(point.sequence.value));
    out.append(" ").append(point.root.hex()).append("\n");
  }
  return out;
}

Result<Tag> decode_tag(std::string_view text) {
  if (text.size() > tag_bytes_most) return fail(Fault::over_limit, "a tag that is too large");
  const auto first = take(text, '\n');
  if (!first || !first->starts_with(first_word)) return fail(Fault::malformed, "no tag: it does not begin as one");
  if (*first != first_line) return fail(Fault::unsupported, "a tag of another format");
  auto line = take(text, '\n');
  if (!line || !line->starts_with(library_word)) return fail(Fault::malformed, "a tag that names no library");
  Tag out{TRY(LibraryId::parse(line->substr(library_word.size()))), {}};
  while (!text.empty()) {
    line = take(text, '\n');
    if (!line) return fail(Fault::malformed, "a tag that ends in the middle of a line");
    if (out.points.size() == tag_points_most) return fail(Fault::over_limit, "a tag of too many feeds");
    TagPoint point = TRY(read_point(*line));
    if (!out.points.empty() && out.points.back() >= point) return fail(Fault::malformed, "a tag whose lines are not in order");
    out.points.push_back(point);
  }
  if (out.points.empty()) return fail(Fault::malformed, "a tag of nothing");
  return out;
}

}  // namespace dozo::store
