#include "tests/simulator/liar.h"

#include "crypto/random.h"
#include "node/receipts.h"
#include "store/entry.h"
#include "store/feed.h"
#include "tests/simulator/workload.h"
#include "tests/simulator/world.h"

namespace dozo::simulator {

using sync::Channel;
using sync::Message;

std::optional<Bytes> Liar::on_the_way_out(NodeIndex, Channel channel, Bytes bytes) {
  if (!lying_) return bytes;
  Dice& dice = world_.dice;
  auto message = sync::decode(bytes, sync::control_bytes_most);
  if (!message) return bytes;
  if (auto* slice = std::get_if<sync::SliceGiven>(&*message); slice != nullptr && !slice->bytes.empty() && dice.chance(300)) {
    world_.coverage.note(Seen::lie_wrong_slice);
    switch (dice.below(3)) {
      case 0: slice->bytes[dice.below(slice->bytes.size())] ^= 0x10; break;
      case 1: slice->size_bytes += 64; break;
      default: slice->bytes.resize(slice->bytes.size() / 2); break;
    }
    return sync::encode(*message);
  }
  if (auto* given = std::get_if<sync::EntriesGiven>(&*message); given != nullptr && !given->entries.empty() && dice.chance(150)) {
    world_.coverage.note(Seen::lie_forged_entry);
    Bytes& entry = given->entries[dice.below(given->entries.size())];
    if (!entry.empty()) entry[dice.below(entry.size())] ^= 0x01;
    return sync::encode(*message);
  }
  if (channel == Channel::control && dice.chance(30)) return std::nullopt;
  return bytes;
}

bool Liar::on_the_way_in(NodeIndex from, Channel channel, ByteView bytes) {
  if (heard_.size() > 200) heard_.pop_front();
  heard_.emplace_back(channel, bytes_of(bytes));
  if (!lying_) return false;
  const auto message = sync::decode(bytes, sync::control_bytes_most);
  if (!message) return false;
  if (const auto* wanted = std::get_if<sync::EntriesWanted>(&*message)) {
    const auto forged = forged_.find(wanted->point.feed);
    if (forged == forged_.end()) return false;
    world_.coverage.note(Seen::lie_forged_entry);
    send(from, Channel::control, sync::EntriesGiven{wanted->point, {1}, forged->second.entries, forged->second.note, {}});
    return true;
  }
  if (const auto* wanted = std::get_if<sync::SliceWanted>(&*message)) {
    for (const auto& [feed, forged] : forged_) {
      const auto pack = forged.packs.find(wanted->object.sha256);
      if (pack == forged.packs.end() || wanted->offset >= pack->second.size()) continue;
      const ByteView rest = ByteView(pack->second).subspan(wanted->offset);
      send(from, Channel::bulk,
           sync::SliceGiven{wanted->object, wanted->offset, static_cast<std::uint32_t>(pack->second.size()),
                            bytes_of(rest.first(std::min(rest.size(), sync::slice_bytes_most)))});
      return true;
    }
  }
  return false;
}

void Liar::send(NodeIndex to, Channel channel, const Message& message) { world_.network.send(World::liar_index, to, channel, sync::encode(message)); }

void Liar::lie() {
  Process& self = world_.node(World::liar_index);
  if (!self.running() || !self.engine->realm().policy()) return;
  Dice& dice = world_.dice;
  const NodeIndex to = world_.some_honest_node().index;
  if (!world_.network.is_up(World::liar_index, to)) return;
  const LibraryId works = world_.authority->library("works");
  switch (dice.below(13)) {
    case 0: {
      world_.coverage.note(Seen::lie_garbage);
      const Channel channel = dice.chance(500) ? Channel::control : Channel::bulk;
      Bytes garbage = dice.bytes(dice.below(3'000));
      if (!garbage.empty() && dice.chance(700)) garbage[0] = sync::protocol_version;
      return world_.network.send(World::liar_index, to, channel, std::move(garbage));
    }
    case 1:
      world_.coverage.note(Seen::lie_oversized);
      return world_.network.send(World::liar_index, to, Channel::control, Bytes(sync::control_bytes_most + 1 + dice.below(1000), sync::protocol_version));
    case 2: {
      // For a library in which it has no business: everything that can be asked for.
      world_.coverage.note(Seen::lie_asked_for_more);
      sync::LibraryWanted wanted{works, {}, true, true};
      send(to, Channel::control, wanted);
      for (const Save& save : world_.saves) {
        if (save.feed.library != works || !dice.chance(100)) continue;
        send(to, Channel::control, sync::EntriesWanted{{save.feed, save.sequence, {}}, {1}});
        send(to, Channel::control, sync::StatementWanted{works, save.feed.node, "receipt"});
      }
      for (const auto& node : world_.nodes) {
        if (!node->truth) continue;
        auto in = node->truth->read();
        if (!in) continue;
        (void)in->each_pack(works, [&](const PackAddress& address, std::uint32_t) -> Result<bool> {
          send(to, Channel::control, sync::SliceWanted{{works, sync::ObjectKind::pack, Digest{address.bytes}}, 0});
          return dice.chance(700);
        });
        break;
      }
      return;
    }
    case 3:
    case 4: {
      if (heard_.empty()) return;
      world_.coverage.note(Seen::lie_replayed);
      const auto& [channel, bytes] = heard_[dice.below(heard_.size())];
      return world_.network.send(World::liar_index, to, channel, bytes);
    }
    case 5: {
      world_.coverage.note(Seen::lie_junk_document);
      std::vector<Bytes> envelopes = world_.authority->envelopes();
      Bytes& one = envelopes[dice.below(envelopes.size())];
      one[dice.below(one.size())] ^= static_cast<std::uint8_t>(1U << dice.below(8));
      envelopes.push_back(dice.bytes(dice.below(500)));
      return send(to, Channel::control, sync::DocumentsGiven{std::move(envelopes)});
    }
    case 6: {
      world_.coverage.note(Seen::lie_forged_receipt);
      const NodeIndex victim = world_.some_honest_node().index;
      const LibraryId library = world_.authority->library("plans");
      node::Receipt receipt;
      receipt.library = library;
      receipt.signer = world_.node(victim).keys.id;
      receipt.number = 1'000'000 + dice.below(1'000'000);
      receipt.time_ms = world_.now_of(self).wall_ms;
      receipt.opened = true;
      if (const node::Library* held = self.engine->library(library)) {
        for (const node::Library::FeedState& feed : held->feeds())
          receipt.feeds.push_back({feed.feed.node, feed.feed.incarnation, {feed.known.value + 5}, feed.root});
      }
      return send(to, Channel::control,
                  sync::StatementGiven{library, receipt.signer, std::string(node::receipt_subject), receipt.number, node::sign(receipt, self.keys.sign)});
    }
    case 7: world_.coverage.note(Seen::lie_foreign_write); return forge_feed(World::liar_index, "works", self.keys.sign);
    case 8: return forge_feed(world_.some_honest_node().index, dice.chance(500) ? "plans" : "works", self.keys.sign);
    case 9: return write_what_it_may_not();
    case 10: return list_falsely();
    case 11: return forge_feed(World::liar_index, "plans", self.keys.sign);
    default: return fork();
  }
}

void Liar::announce(const FeedId& feed, const Forged& forged) {
  for (NodeIndex to = 0; to < world_.nodes.size(); ++to) {
    if (!world_.is_honest(to) || !world_.network.is_up(World::liar_index, to)) continue;
    send(to, Channel::control, sync::FeedHeads{feed.library, {{feed, {forged.entries.size()}, forged.root}}});
    send(to, Channel::control, sync::EntriesGiven{{feed, {forged.entries.size()}, forged.root}, {1}, forged.entries, forged.note, {}});
  }
}

void Liar::forge_feed(NodeIndex victim, const std::string& library, const crypto::SigningKey& key) {
  const LibraryId id = world_.authority->library(library);
  const FeedId feed{id, world_.node(victim).keys.id, IncarnationId{}};
  FeedId made = feed;
  crypto::random_bytes(made.incarnation.bytes);
  const policy::KeyRing keys = world_.authority->keys();
  Epoch epoch{};
  for (const policy::MeshLibrary& it : world_.authority->mesh().libraries) {
    if (it.id == id) epoch = it.epoch;
  }
  Process& self = world_.node(World::liar_index);
  const auto policy = self.engine->realm().policy();
  if (!policy || policy->version() != world_.authority->version()) return;

  std::int64_t at_ms = world_.now_of(self).wall_ms;
  if (victim == World::liar_index && library == "plans") at_ms += std::int64_t{100} * 365 * 24 * 60 * 60 * 1000;
  store::Record record;
  record.library = id;
  record.hlc = static_cast<std::uint64_t>(at_ms) << 16;
  record.device = world_.node(victim).keys.id;
  record.role = "service";
  record.policy = world_.authority->version();
  record.who = world_.node(victim).name;
  store::ContentValue folder;
  folder.kind = store::ContentKind::dir;
  record.ops = store::create(crypto::random_id<DocumentId>(), "forged-" + std::to_string(world_.dice.below(1000)), {folder, std::nullopt});
  FixedBytes<32, struct store::BlindTag> blind;
  crypto::random_bytes(blind.bytes);
  const auto made_record = store::sign(record, {}, key, blind);
  if (!made_record) return;

  // A pack as it ought to be; the key is the library's own, so that everything but the right is there.
  const crypto::EpochKey* epoch_key = keys.find(id, epoch);
  if (epoch_key == nullptr) return;
  Forged forged;
  std::vector<store::PackListing> listed;
  struct NoIndex final : store::PieceIndex {
    bool holds(const PieceId&) const override { return false; }
  } none;
  store::IngestOptions how;
  how.library = id;
  how.epoch = epoch;
  how.workers = 0;
  {
    store::Ingest ingest(how, *epoch_key, none, [&](store::SealedPack&& pack) -> Result<void> {
      listed.push_back({pack.address, static_cast<std::uint32_t>(pack.bytes.size()), pack.kind});
      forged.packs[Digest{pack.address.bytes}] = std::move(pack.bytes);
      return {};
    });
    if (!ingest.add_record(store::encode(*made_record)) || !ingest.finish()) return;
  }
  store::Entry entry;
  entry.kind = static_cast<std::uint8_t>(store::EntryKind::change);
  entry.policy = world_.authority->version();
  entry.epoch = epoch;
  entry.time_ms = at_ms;
  entry.view_rules = 1;
  entry.record = store::commitment(*made_record);
  entry.packs = listed;
  store::FeedTail tail(made);
  const auto appended = tail.append(entry, key);
  if (!appended) return;
  forged.entries.push_back(appended->entry);
  forged.note = appended->head_note;
  forged.root = tail.root();
  const Forged& kept = forged_[made] = std::move(forged);
  announce(made, kept);
}

/// In its own feed, packs of others, each with something untrue about it: whoever believes the first who says something of a pack cannot take the true one.
void Liar::list_falsely() {
  Process& self = world_.node(World::liar_index);
  Dice& dice = world_.dice;
  const LibraryId id = world_.authority->library("plans");
  if (!self.engine->library(id)) return;
  std::vector<node::Library::StoredPack> stored;
  {
    auto in = self.truth->read();
    if (!in) return;
    (void)in->each_pack(id, [&](const PackAddress& address, std::uint32_t size_bytes) -> Result<bool> {
      if (!dice.chance(300)) return true;
      store::PackListing listing{address, size_bytes, crypto::PackKind::meta};
      if (dice.chance(700))
        listing.size_bytes = static_cast<std::uint32_t>(crypto::pack_bytes_min + dice.below(crypto::bulk_pack_bytes - crypto::pack_bytes_min));
      if (dice.chance(500)) listing.kind = crypto::PackKind::content;
      stored.push_back({listing, {}});
      return stored.size() < 20;
    });
  }
  if (stored.empty()) return;
  world_.coverage.note(Seen::lie_false_listing);
  commit_forged(id, "falsely-" + std::to_string(dice.below(1000)), World::liar_index, "chief", self.name, std::move(stored));
}

/// In its own library, in its own feed, a record that no policy allows: of another node as its device, in a role that it does not have,
/// under another's name, or of the day before yesterday.
void Liar::write_what_it_may_not() {
  world_.coverage.note(Seen::lie_bad_record);
  const std::uint64_t lie = world_.dice.below(4);
  const NodeIndex as = lie == 0 ? World::hq : World::liar_index;
  commit_forged(world_.authority->library("plans"), "not-allowed-" + std::to_string(world_.dice.below(1000)), as, lie == 1 ? "chief" : "service",
                lie == 2 ? world_.node(World::hq).name : world_.node(as).name, {}, lie == 3 ? std::int64_t{2 * 24 * 60 * 60 * 1000} : 0);
}

void Liar::commit_forged(const LibraryId& id, const std::string& folder_name, NodeIndex as, const std::string& role, const std::string& who,
                         std::vector<node::Library::StoredPack> stored, std::int64_t back_ms) {
  Process& self = world_.node(World::liar_index);
  node::Library* library = self.engine->library(id);
  if (library == nullptr || library->epoch_key() == nullptr) return;
  store::Record record;
  record.library = id;
  record.hlc = static_cast<std::uint64_t>(world_.now_of(self).wall_ms - back_ms) << 16;
  record.device = world_.node(as).keys.id;
  record.role = role;
  record.policy = self.engine->realm().policy()->version();
  record.who = who;
  store::ContentValue folder;
  folder.kind = store::ContentKind::dir;
  record.ops = store::create(crypto::random_id<DocumentId>(), folder_name, {folder, std::nullopt});
  FixedBytes<32, struct store::BlindTag> blind;
  crypto::random_bytes(blind.bytes);
  const auto made = store::sign(record, {}, self.keys.sign, blind);
  if (!made) return;
  std::vector<store::SealedPack> meta;
  store::IngestOptions how;
  how.library = id;
  how.epoch = *library->epoch();
  how.workers = 0;
  {
    store::Ingest ingest(how, *library->epoch_key(), library->index(), [&](store::SealedPack&& pack) -> Result<void> {
      meta.push_back(std::move(pack));
      return {};
    });
    if (!ingest.add_record(store::encode(*made)) || !ingest.finish()) return;
  }
  node::Prepared prepared{record.policy, how.epoch, store::record_id(made->record), record, store::encode(*made), store::commitment(*made)};
  (void)self.engine->commit_save(id, prepared, std::move(stored), meta, world_.now_of(self));
  world_.after_call(self, false);
}

/// Two histories of one feed: its disks are put back, and it goes on in the same feed.
void Liar::fork() {
  Process& self = world_.node(World::liar_index);
  if (!before_) {
    before_ = self.disks;
    incarnation_ = self.incarnation;
    return save_in(world_, self, "plans");
  }
  if (incarnation_ != self.incarnation) return before_.reset();
  world_.coverage.note(Seen::lie_forked);
  world_.trace("ema writes another history");
  world_.stop(World::liar_index);
  self.disks = std::move(*before_);
  before_.reset();
  world_.start(World::liar_index, true);
  if (self.running() && self.engine->realm().policy()) save_in(world_, self, "plans");
}

}  // namespace dozo::simulator
