#include "store/placement.h"

#include <algorithm>
#include <set>

namespace dozo::store {
namespace {

Shown shown_of(const Registers::Group& group, const std::string& at, const std::vector<VersionId>& instead) {
  const Version& version = *group.front();
  Shown out{version.op.document, std::get<ContentValue>(version.op.value), version.op.source, at, instead, {}, version.rank()};
  if (instead.empty()) {
    for (const Version* equal : group) out.replaces.push_back(equal->id);
    std::ranges::sort(out.replaces);
  }
  return out;
}

/// Gives each file after the first the side that it is shown as. Of two saves through one sibling the newer keeps the sibling's name.
std::vector<Shown> beside_of(std::vector<std::pair<const Version*, Shown>> files) {
  std::set<VersionId> used;
  for (const auto& [version, shown] : files) {
    if (!version->op.side) used.insert(version->id);
  }
  std::ranges::sort(files, [](const auto& a, const auto& b) { return std::tie(a.first->stamp, a.first->id) > std::tie(b.first->stamp, b.first->id); });
  std::vector<Shown> out;
  for (auto& [version, shown] : files) {
    const auto& side = version->op.side;
    shown.side = side && !used.contains(side->tag) ? *side : Side{version->rank(), version->text, version->id};
    used.insert(shown.side->tag);
    out.push_back(std::move(shown));
  }
  return out;
}

std::vector<ConflictKind> conflicts_in(const Registers& registers) {
  const auto several = [&](Register reg) { return registers.live(reg).size() > 1 && registers.groups(reg).size() > 1; };
  std::vector<ConflictKind> out;
  if (several(Register::content)) out.push_back(ConflictKind::content);
  if (registers.is_deleted_live(Register::path) || registers.is_deleted_live(Register::content)) out.push_back(ConflictKind::deleted);
  if (several(Register::label)) out.push_back(ConflictKind::label);
  if (several(Register::path)) out.push_back(ConflictKind::path);
  if (!registers.is_made(Register::path)) out.push_back(ConflictKind::pathless);
  return out;
}

}  // namespace

std::optional<Placement> place(const Registers& registers) {
  const auto paths = registers.groups(Register::path);
  auto contents = registers.groups(Register::content);
  std::vector<VersionId> instead;
  if (!paths.empty() && contents.empty()) {  // its path outlived a delete
    if (const auto& last = registers.last[static_cast<std::size_t>(Register::content)]) {
      contents = {{&*last}};
      instead = registers.live_ids(Register::content);
    }
  }
  if (contents.empty()) return std::nullopt;
  const auto& last_path = registers.last[static_cast<std::size_t>(Register::path)];
  const Version* path = paths.empty() ? (last_path ? &*last_path : nullptr) : paths.front().front();
  Placement out;
  out.age = path ? Age{paths.empty() ? 1 : 0, registers.age, {}} : Age{2, {}, registers.document};
  out.at = path ? std::get<std::string>(path->op.value) : contents.front().front()->op.at;
  std::vector<std::pair<const Version*, Shown>> files;
  for (const Registers::Group& group : contents) {
    Shown shown = shown_of(group, out.at, instead);
    if (shown.value == dir_value) {
      out.dir = std::move(shown);
    } else {
      files.emplace_back(group.front(), std::move(shown));
    }
  }
  if (!files.empty()) {
    out.first = std::move(files.front().second);
    out.first_text = path ? path->text : "";
    files.erase(files.begin());
    out.beside = beside_of(std::move(files));
  }
  out.conflicts = conflicts_in(registers);
  return out;
}

}  // namespace dozo::store
