#include "store/acts.h"

#include <algorithm>

namespace dozo::store {
namespace {

/// Sets a register over all its live versions.
Op put(const View& view, const Shown& shown, Register reg, Value value) {
  Op op{shown.document, reg, std::move(value), view.live_ids(shown.document, reg), 0, {}, {}, {}};
  if (reg == Register::content) op.at = shown.at;
  return op;
}
bool is_settled(const View& view, const DocumentId& document, Register reg) {
  return view.groups(document, reg).size() == 1 && !view.is_deleted_live(document, reg);
}

}  // namespace

Op anew(const View& view, Op op) {
  while (view.is_replaced(op.document, op.reg, version_id(op))) ++op.again;
  return op;
}

std::vector<Op> create(const DocumentId& document, const std::string& path, const Content& content) {
  return {{document, Register::path, path, {}, 0, {}, {}, {}}, {document, Register::content, content.value, {}, 0, path, {}, content.source}};
}

std::vector<Op> save(const Shown& shown, const Content& content) {
  return {{shown.document, Register::content, content.value, shown.replaces, 0, shown.at, shown.side, content.source}};
}

std::vector<Op> rename(const View& view, const Shown& shown, const std::string& path) { return {put(view, shown, Register::path, path)}; }

std::vector<Op> set_label(const View& view, const Shown& shown, std::uint32_t number) { return {put(view, shown, Register::label, Label{number})}; }

std::vector<Op> remove(const View& view, const Shown& shown) {
  std::vector<Op> out;
  for (const Register reg : {Register::path, Register::content}) {
    if (!view.groups(shown.document, reg).empty()) out.push_back(put(view, shown, reg, Deleted{}));
  }
  return out;
}

std::vector<Op> resolve(const View& view, const Shown& shown, const Content& content) {
  std::vector<Op> out;
  if (!is_settled(view, shown.document, Register::path)) out.push_back(put(view, shown, Register::path, shown.at));
  if (!is_settled(view, shown.document, Register::content)) {
    out.push_back(put(view, shown, Register::content, content.value));
    out.back().source = content.source;
  }
  return out;
}

std::vector<Op> drop(const Folder& folder, const Shown& shown) {
  std::vector<Op> out;
  for (const Shown& other : folder.of(shown.document)) {
    if (other == shown) continue;
    std::vector<VersionId> replaces = other.replaces;
    replaces.insert(replaces.end(), shown.replaces.begin(), shown.replaces.end());
    std::ranges::sort(replaces);
    const auto repeated = std::ranges::unique(replaces);
    replaces.erase(repeated.begin(), repeated.end());
    out.push_back({other.document, Register::content, other.value, std::move(replaces), 0, other.at, out.empty() ? std::nullopt : other.side, other.source});
  }
  return out;
}

std::vector<Op> keep(const View& view, const Shown& kept, const Shown& gone) {
  std::vector<Op> out = rename(view, kept, kept.at);
  for (Op& op : remove(view, gone)) out.push_back(std::move(op));
  return out;
}

}  // namespace dozo::store
