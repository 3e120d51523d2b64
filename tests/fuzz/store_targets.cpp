#include <algorithm>
#include <array>

#include "base/invariant.h"
#include "crypto/hash.h"
#include "store/entry.h"
#include "store/feed.h"
#include "store/manifest.h"
#include "store/names.h"
#include "store/pack.h"
#include "store/piece_list.h"
#include "store/record.h"
#include "store/tag.h"
#include "tests/fuzz/targets.h"

namespace dozo::fuzz {
namespace {

using namespace store;

bool entry(ByteView bytes) {
  const auto it = decode_entry(bytes);
  if (!it) return false;
  INVARIANT(encode(*it) == bytes_of(bytes));
  return true;
}

bool pack_list(ByteView bytes) {
  const std::uint32_t count = bytes.size() < 4 ? 0 : get_u32(bytes.data());  // as the entry says it
  const auto it = decode_list(bytes, {crypto::sha256(bytes), count});
  if (!it) return false;
  INVARIANT(encode_list(*it) == bytes_of(bytes));
  return true;
}

bool signed_record(ByteView bytes) {
  const auto it = decode_signed_record(bytes);
  if (!it) return false;
  INVARIANT(encode(*it) == bytes_of(bytes));
  const auto record = decode_record(it->record);
  if (!record) return false;
  INVARIANT(encode(*record) == it->record && record_id(*record) == record_id(it->record));
  for (const Op& op : record->ops)
    if (std::ranges::is_sorted(op.replaces)) (void)version_id(op);
  (void)verify(*it, signing_key().public_key());
  return well_formed(*record, record_id(*record)).has_value();
}

/// First byte: kind of the pack. Then what was inside its seal.
bool open_pack(ByteView bytes) {
  if (bytes.empty()) return false;
  const auto pack = OpenPack::parse(bytes[0] % 2 == 0 ? crypto::PackKind::meta : crypto::PackKind::content, bytes_of(bytes.subspan(1)));
  if (!pack) return false;
  const Bytes table = encode(pack->table());
  INVARIANT(parse_table(table) && std::ranges::equal(table, bytes.subspan(5, table.size())));
  const bool whole = pack->verify_all().has_value();
  for (const PiecePlace& place : pack->places()) {
    const auto piece = pack->piece(place.id, place.type);
    INVARIANT(!whole || (piece && piece_id(place.type, *piece) == place.id));
  }
  return whole;
}

bool manifest(ByteView bytes) {
  const auto it = decode_manifest(bytes);
  if (!it) return false;
  INVARIANT(encode(*it) == bytes_of(bytes) && well_formed(*it));
  return true;
}

/// First byte: level, then 8 bytes of the size that its parent says.
bool list_node(ByteView bytes) {
  if (bytes.size() < 9) return false;
  const auto it = decode_list_node(bytes.subspan(9), bytes[0], get_u64(bytes.data() + 1));
  if (!it) return false;
  INVARIANT(std::ranges::equal(encode(*it), bytes.subspan(9)) && it->level == bytes[0]);
  return true;
}

bool head(ByteView bytes) {
  const auto it = verify_head(text_of(bytes), feed, signing_key().public_key());
  return it && it->feed == feed;
}

bool fork_evidence(ByteView bytes) {
  const auto it = decode_fork_evidence(bytes);
  if (!it) return false;
  INVARIANT(encode(*it) == bytes_of(bytes));
  return verify_fork(*it, feed, signing_key().public_key()).has_value();
}

bool feed_tail(ByteView bytes) {
  const auto it = FeedTail::decode(bytes);
  if (!it) return false;
  INVARIANT(it->encode() == bytes_of(bytes));
  return true;
}

/// Names come from other systems and other people. What a name is compared by has one form; what is made of a name can be a name.
bool name(ByteView bytes) {
  const std::string_view text = text_of(bytes);
  const std::string folded = fold(text), composed = nfc(text);
  INVARIANT(fold(folded) == folded && nfc(composed) == composed && fold(composed) == folded);
  INVARIANT(name_key(NameRule::portable, text) == name_key(NameRule::portable, composed));
  const std::string who = clean(text);
  INVARIANT(clean(who) == who);
  if (!good_path(text)) return false;
  std::string whole;
  for (const std::string_view part : parts_of(text)) {
    INVARIANT(good_path(part) && parts_of(part).size() == 1);
    INVARIANT(good_path(conflict_name(part, who, "0123456789abcdefghjkmnpqrs", 0)));
    whole += (whole.empty() ? "" : "/") + std::string(part);
  }
  INVARIANT(whole == text);
  return true;
}

bool tag(ByteView bytes) {
  const auto it = decode_tag(text_of(bytes));
  if (!it) return false;
  INVARIANT(encode(*it) == text_of(bytes));
  return true;
}

constexpr std::array targets{Target{"entry", entry},
                             Target{"pack_list", pack_list},
                             Target{"signed_record", signed_record},
                             Target{"open_pack", open_pack},
                             Target{"manifest", manifest},
                             Target{"list_node", list_node},
                             Target{"head", head},
                             Target{"name", name},
                             Target{"fork_evidence", fork_evidence},
                             Target{"feed_tail", feed_tail},
                             Target{"tag", tag}};

}  // namespace

std::span<const Target> store_targets() { return targets; }

}  // namespace dozo::fuzz
