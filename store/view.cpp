#include "store/view.h"

#include <algorithm>

#include "store/names.h"

namespace dozo::store {
namespace {

bool is_older(const Version* a, const Version* b) { return std::tie(a->stamp, a->id) < std::tie(b->stamp, b->id); }

void rank(View::Group& versions) {
  std::ranges::sort(versions, [](const Version* a, const Version* b) {
    if (a->rank() != b->rank()) return a->rank() > b->rank();
    return is_older(a, b);
  });
}

}  // namespace

std::vector<Version> versions_of(const Record& record, const RecordId& id) {
  const std::string text = clean(record.who) + time_text(record.hlc);
  std::vector<Version> out;
  out.reserve(record.ops.size());
  for (const Op& op : record.ops) out.push_back({op, version_id(op), {record.hlc, id}, text});
  return out;
}

void View::apply(const Version& version) {
  Slot& slot = documents_[version.op.document][static_cast<std::size_t>(version.op.reg)];
  for (const VersionId& replaced : version.op.replaces) {
    slot.dead.insert(replaced);
    slot.live.erase(replaced);
  }
  const auto [it, is_new] = slot.made.try_emplace(version.id, version);
  if (is_new && !slot.dead.contains(version.id)) slot.live.insert(version.id);
  if (!is_new && version.stamp < it->second.stamp) it->second = version;
}

void View::forget(const DocumentId& document) { documents_.erase(document); }

const View::Slot* View::slot_of(const DocumentId& document, Register reg) const {
  const auto it = documents_.find(document);
  return it == documents_.end() ? nullptr : &it->second[static_cast<std::size_t>(reg)];
}

View::Group View::live(const DocumentId& document, Register reg) const {
  Group out;
  if (const Slot* slot = slot_of(document, reg)) {
    for (const VersionId& id : slot->live) out.push_back(&slot->made.at(id));
  }
  rank(out);
  return out;
}

std::vector<VersionId> View::live_ids(const DocumentId& document, Register reg) const {
  const Slot* slot = slot_of(document, reg);
  return slot ? std::vector<VersionId>(slot->live.begin(), slot->live.end()) : std::vector<VersionId>{};
}

std::vector<View::Group> View::groups(const DocumentId& document, Register reg) const {
  std::vector<Group> out;
  std::map<Value, std::size_t> place;
  for (const Version* version : live(document, reg)) {
    if (is_deleted(version->op.value)) continue;
    const auto [it, is_new] = place.try_emplace(version->op.value, out.size());
    if (is_new) out.emplace_back();
    out[it->second].push_back(version);
  }
  return out;
}

bool View::is_deleted_live(const DocumentId& document, Register reg) const {
  return std::ranges::any_of(live(document, reg), [](const Version* version) { return is_deleted(version->op.value); });
}

bool View::is_made(const DocumentId& document, Register reg) const {
  const Slot* slot = slot_of(document, reg);
  return slot && !slot->made.empty();
}

bool View::is_replaced(const DocumentId& document, Register reg, const VersionId& id) const {
  const Slot* slot = slot_of(document, reg);
  return slot && slot->dead.contains(id);
}

const Version* View::last(const DocumentId& document, Register reg) const {
  const Slot* slot = slot_of(document, reg);
  if (!slot) return nullptr;
  Group undone;
  for (const VersionId& id : slot->live) {
    const Version& version = slot->made.at(id);
    if (!is_deleted(version.op.value)) continue;
    for (const VersionId& replaced : version.op.replaces) {
      const auto it = slot->made.find(replaced);
      if (it != slot->made.end() && !is_deleted(it->second.op.value)) undone.push_back(&it->second);
    }
  }
  rank(undone);
  if (!undone.empty()) return undone.front();
  const Version* newest = nullptr;
  for (const auto& [id, version] : slot->made) {
    if (!is_deleted(version.op.value) && (!newest || is_older(newest, &version))) newest = &version;
  }
  return newest;
}

Stamp View::age(const Version& path) const {
  const Slot* slot = slot_of(path.op.document, path.op.reg);
  Stamp oldest = path.stamp;
  std::set<VersionId> seen{path.id};
  Group todo{&path};
  while (slot && !todo.empty()) {
    const Version* version = todo.back();
    todo.pop_back();
    oldest = std::min(oldest, version->stamp);
    for (const VersionId& replaced : version->op.replaces) {
      const auto it = slot->made.find(replaced);
      if (it != slot->made.end() && it->second.op.value == path.op.value && seen.insert(replaced).second) todo.push_back(&it->second);
    }
  }
  return oldest;
}

std::uint32_t View::label(const DocumentId& document) const {
  std::uint32_t highest = 0;
  for (const Version* version : live(document, Register::label)) {
    if (const auto* label = std::get_if<Label>(&version->op.value)) highest = std::max(highest, label->number);
  }
  return highest;
}

std::vector<DocumentId> View::documents() const {
  std::vector<DocumentId> out;
  out.reserve(documents_.size());
  for (const auto& [document, slots] : documents_) out.push_back(document);
  return out;
}

}  // namespace dozo::store
