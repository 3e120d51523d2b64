#include "store/acts.h"

#include <algorithm>

namespace dozo::store {
namespace {

/// Sets a register over all its live versions.
Op put(const Registers& registers, const Shown& shown, Register reg, Value value) {
  Op op{shown.document, reg, std::move(value), registers.live_ids(reg), 0, {}, {}, {}};
  if (reg == Register::content) op.at = shown.at;
  return op;
}
bool is_settled(const Registers& registers, Register reg) { return registers.groups(reg).size() == 1 && !registers.is_deleted_live(reg); }

}  // namespace

Result<Op> anew(const Folder& folder, Op op) {
  while (TRY(folder.is_replaced(op.document, op.reg, version_id(op)))) ++op.again;
  return op;
}

std::vector<Op> create(const DocumentId& document, const std::string& path, const Content& content) {
  return {{document, Register::path, path, {}, 0, {}, {}, {}}, {document, Register::content, content.value, {}, 0, path, {}, content.source}};
}

std::vector<Op> save(const Shown& shown, const Content& content) {
  return {{shown.document, Register::content, content.value, shown.replaces, 0, shown.at, shown.side, content.source}};
}

std::vector<Op> rename(const Registers& registers, const Shown& shown, const std::string& path) { return {put(registers, shown, Register::path, path)}; }

std::vector<Op> set_label(const Registers& registers, const Shown& shown, std::uint32_t number) {
  return {put(registers, shown, Register::label, Label{number})};
}

std::vector<Op> remove(const Registers& registers, const Shown& shown) {
  std::vector<Op> out;
  for (const Register reg : {Register::path, Register::content}) {
    if (!registers.groups(reg).empty()) out.push_back(put(registers, shown, reg, Deleted{}));
  }
  return out;
}

std::vector<Op> resolve(const Registers& registers, const Shown& shown, const Content& content) {
  std::vector<Op> out;
  if (!is_settled(registers, Register::path)) out.push_back(put(registers, shown, Register::path, shown.at));
  if (!is_settled(registers, Register::content)) {
    out.push_back(put(registers, shown, Register::content, content.value));
    out.back().source = content.source;
  }
  return out;
}

std::vector<Op> drop(const std::vector<Shown>& sides, const Shown& shown) {
  std::vector<Op> out;
  for (const Shown& other : sides) {
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

std::vector<Op> keep(const Registers& kept_registers, const Shown& kept, const Registers& gone_registers, const Shown& gone) {
  std::vector<Op> out = rename(kept_registers, kept, kept.at);
  for (Op& op : remove(gone_registers, gone)) out.push_back(std::move(op));
  return out;
}

}  // namespace dozo::store
