#include "store/entry.h"

#include <algorithm>

#include "base/archive.h"
#include "crypto/hash.h"

namespace dozo::store {

template <class A>
void serialize(A& archive, PackListing& it) {
  archive(it.address, it.size_bytes, it.kind);
}
template <class A>
void serialize(A& archive, PackListObject& it) {
  archive(it.sha256, it.count);
}

namespace {

// The list inside its variant, and as an object of its own, each with its cap.
struct Listed {
  std::vector<PackListing> packs;
};
template <class A>
void serialize(A& archive, Listed& it) {
  archive(archive::capped<entry_packs_most>(it.packs));
}
struct ListObject {
  std::vector<PackListing> packs;
};
template <class A>
void serialize(A& archive, ListObject& it) {
  archive(archive::capped<list_object_packs_most>(it.packs));
}
using WireList = std::variant<Listed, PackListObject>;

constexpr std::size_t list_object_bytes_most = 4 + list_object_packs_most * (PackAddress::size + 4 + 1);

bool ascends(const std::vector<PackListing>& packs) { return std::ranges::is_sorted(packs, std::ranges::less_equal{}, &PackListing::address); }

/// What a decoded entry must keep to beyond its encoding, or null.
const char* wrong_with(const Entry& entry) {
  if (entry.sequence.value == 0) return "sequence 0";
  if (entry.epoch.value == 0) return "epoch 0";
  if (entry.policy.value == 0) return "policy version 0";
  if (const auto* packs = std::get_if<std::vector<PackListing>>(&entry.packs)) {
    if (!ascends(*packs)) return "packs out of order";
  } else if (const auto& object = std::get<PackListObject>(entry.packs); object.count <= entry_packs_most || object.count > list_object_packs_most) {
    return "a list object of a count that has none";
  }
  if (!std::ranges::is_sorted(entry.reliances, std::ranges::less_equal{})) return "reliances out of order";
  if (entry.is(EntryKind::change) && entry.record.is_zero()) return "a change without a record";
  if (entry.is(EntryKind::change) && !entry.body.empty()) return "a change with a body";
  return nullptr;
}

}  // namespace

template <class A>
void serialize(A& archive, Entry& it) {
  WireList packs;
  if (const auto* named = std::get_if<std::vector<PackListing>>(&it.packs)) {
    packs = Listed{*named};
  } else {
    packs = std::get<PackListObject>(it.packs);
  }
  archive(it.format, it.kind, it.feed, it.sequence, it.policy, it.epoch, it.time_ms, it.view_rules, it.freshness, it.record, packs,
          archive::capped<entry_reliances_most>(it.reliances), archive::capped<entry_body_bytes_most>(it.body));
  if (auto* named = std::get_if<Listed>(&packs)) {
    it.packs = std::move(named->packs);
  } else {
    it.packs = std::get<PackListObject>(packs);
  }
}

Bytes encode(const Entry& entry) { return archive::encode(entry); }

Result<Entry> decode_entry(ByteView bytes) {
  if (!bytes.empty() && bytes[0] != entry_format) return fail(Fault::unsupported, "an entry of format " + std::to_string(bytes[0]));
  Entry entry = TRY(archive::decode<Entry>(bytes, entry_bytes_most, "entry"));
  if (const char* wrong = wrong_with(entry)) return fail(Fault::malformed, std::string("entry: ") + wrong);
  return entry;
}

Bytes encode_list(const std::vector<PackListing>& packs) { return archive::encode(ListObject{packs}); }

Result<std::vector<PackListing>> decode_list(ByteView bytes, const PackListObject& expected) {
  if (bytes.size() > list_object_bytes_most) return fail(Fault::over_limit, "a list object of " + std::to_string(bytes.size()) + " bytes");
  if (crypto::sha256(bytes) != expected.sha256) return fail(Fault::not_authentic, "a list object that is not the one named");
  ListObject list = TRY(archive::decode<ListObject>(bytes, list_object_bytes_most, "list object"));
  if (list.packs.size() != expected.count) return fail(Fault::not_authentic, "a list object of another count than the entry says");
  if (!ascends(list.packs)) return fail(Fault::malformed, "list object: packs out of order");
  return std::move(list.packs);
}

}  // namespace dozo::store
