// Saving: what is asked for becomes operations against the folder as shown, then a signed record, then an entry.
#include <algorithm>

#include "base/invariant.h"
#include "crypto/random.h"
#include "node/library_body.h"
#include "store/names.h"

namespace dozo::node {
namespace {

using store::Op;
using store::Shown;

constexpr const char* bad_path = "a path that cannot be kept: empty, too long, of more than 64 parts, or with . or .. in it";
static_assert(store::path_parts_most == 64);

/// The path of an act that a fault is about.
std::string about(const Act& act, Fault fault) {
  return std::visit(
      [&](const auto& it) -> std::string {
        if constexpr (requires { it.to; }) return fault == Fault::not_found ? it.from : it.to;
        if constexpr (requires { it.path; }) return it.path;
      },
      act);
}

bool is_dir(const Shown& shown) { return shown.value.kind == store::ContentKind::dir; }

/// The acts of one record, turned into operations one after the other. The folder does not change meanwhile.
class Operations {
 public:
  explicit Operations(const store::Folder& folder) : folder_(folder) {}

  Result<void> add(const PutAct& act) {
    if (!store::good_path(act.path)) return fail(Fault::malformed, bad_path);
    const bool dir = act.content.value.kind == store::ContentKind::dir;
    if (const auto shown = TRY(find(act.path, dir))) {
      return shown->value != act.content.value ? take(store::save(*shown, act.content)) : Result<void>();
    }
    // A folder that is shown because others lie in it needs no document, and a file does not push one aside.
    if (TRY(folder_.is_folder(act.path))) return dir ? Result<void>() : fail(Fault::exists, "a folder has this name");
    const std::size_t slash = act.path.rfind('/');
    if (slash != std::string::npos && !TRY(is_way(act.path.substr(0, slash)))) return fail(Fault::exists, "a file has the name of a folder on the way");
    if (dir && TRY(folder_.find(act.path))) return fail(Fault::exists, "a file has the name of the folder");
    const DocumentId document = new_document();
    for (Op& op : store::create(document, act.path, act.content)) ops.push_back(std::move(op));  // nobody has replaced anything of it
    return {};
  }

  Result<void> add(const MoveAct& act) {
    if (!store::good_path(act.to)) return fail(Fault::malformed, bad_path);
    if (const auto shown = TRY(folder_.find(act.from))) {
      // Only by the spelling of its name it may meet itself.
      const auto there = TRY(folder_.find(act.to));
      if ((there && there->document != shown->document) || TRY(folder_.is_folder(act.to))) return fail(Fault::exists, "something has the new name already");
      return take(store::rename(TRY(folder_.registers(shown->document)), *shown, act.to));
    }
    for (const Act& one : TRY(parts(act))) TRY(add(std::get<MoveOneAct>(one)));
    return {};
  }

  Result<void> add(const MoveOneAct& act) {
    const std::vector<Shown> shown = TRY(folder_.of(act.document));
    if (shown.empty()) return fail(Fault::not_found, "nothing is shown there");
    return take(store::rename(TRY(folder_.registers(act.document)), shown.front(), act.to));
  }

  Result<void> add(const RemoveAct& act) {
    if (const auto shown = TRY(folder_.find(act.path))) {
      return take(shown->side ? store::drop(TRY(folder_.of(shown->document)), *shown) : store::remove(TRY(folder_.registers(shown->document)), *shown));
    }
    for (const Act& one : TRY(parts(act))) TRY(add(std::get<RemoveOneAct>(one)));
    return {};
  }

  Result<void> add(const RemoveOneAct& act) {
    const std::vector<Shown> shown = TRY(folder_.of(act.document));
    if (shown.empty()) return fail(Fault::not_found, "nothing is shown there");
    return take(store::remove(TRY(folder_.registers(act.document)), shown.front()));
  }

  Result<void> add(const ResolveAct& act) {
    auto shown = TRY(find(act.path, false));
    if (!shown) shown = TRY(find(act.path, true));
    if (!shown) return fail(Fault::not_found, "nothing is shown there");
    std::optional<Shown> use = shown;
    const store::Registers registers = TRY(folder_.registers(shown->document));
    if (act.use && is_other_path(registers, *shown, *act.use)) return take(store::rename(registers, *shown, *act.use));
    if (act.use) {
      use = TRY(find(*act.use, false));
      if (!use) return fail(Fault::not_found, "nothing is shown where the other side should be: " + *act.use);
    }
    if (use->document != shown->document) {
      if (!TRY(meet(*use, *shown))) return fail(Fault::malformed, "another document, which is in no conflict with this one: " + *act.use);
      return take(store::keep(TRY(folder_.registers(use->document)), *use, registers, *shown));
    }
    const std::vector<store::Conflict> conflicts = TRY(folder_.conflicts_of(shown->document));
    if (conflicts.empty()) return fail(Fault::not_found, "no conflict there");
    std::vector<Op> resolved = store::resolve(registers, *shown, {use->value, use->source});
    if (resolved.empty()) return fail(Fault::exists, "two documents have this name: keep one with --use PATH, or rename one of them");
    return take(std::move(resolved));
  }

  /// The documents of a folder that moves: folders before what is in them.
  Result<std::vector<Act>> parts(const MoveAct& act) const {
    if (!store::good_path(act.to)) return fail(Fault::malformed, bad_path);
    if (act.from.empty()) return fail(Fault::malformed, "a library cannot be moved, but what is in it");
    if (!TRY(folder_.is_folder(act.from))) return fail(Fault::not_found, "nothing is shown there");
    if (TRY(folder_.find(act.to)) || TRY(folder_.is_folder(act.to))) return fail(Fault::exists, "something has the new name already");
    // As typed, the folder's name may have other bytes than as shown: parts count.
    const std::vector<std::string_view> from = store::parts_of(act.from), to_parts = store::parts_of(act.to);
    const auto same = [&](std::string_view a, std::string_view b) { return store::name_key(folder_.rule(), a) == store::name_key(folder_.rule(), b); };
    if (to_parts.size() > from.size() && std::ranges::equal(from, std::span(to_parts).first(from.size()), same)) {
      return fail(Fault::malformed, "a folder cannot be moved into itself");
    }
    const auto below_it = [&](const std::string& path) {
      std::size_t at = 0;
      for (std::size_t part = 1; part < from.size(); ++part) at = path.find('/', at) + 1;
      return path.substr(std::min(path.find('/', at), path.size()));
    };
    std::map<std::string, Shown> all;
    TRY(folder_.walk(act.from, "", [&](const std::string& path, const Shown& shown) {
      all.emplace(path, shown);
      return true;
    }));
    std::set<DocumentId> moved;
    std::vector<Act> out;
    for (const auto& [path, shown] : all) {
      if (!moved.insert(shown.document).second) continue;
      std::string to = act.to + below_it(path);
      if (to.ends_with('/')) to.pop_back();
      // A name that was made over is not the document's: it keeps its own at the new place.
      if (!is_dir(shown)) {
        const std::size_t own = shown.at.rfind('/');
        to = to.substr(0, to.rfind('/') + 1) + (own == std::string::npos ? shown.at : shown.at.substr(own + 1));
      }
      if (!store::good_path(to))
        return fail(Fault::malformed, "what lies in it would have a path that cannot be kept, too long or of more than 64 parts: " + to);
      out.emplace_back(MoveOneAct{shown.document, path, std::move(to)});
    }
    return out;
  }

  /// The documents of a folder that goes: what is in folders before them.
  Result<std::vector<Act>> parts(const RemoveAct& act) const {
    if (!TRY(is_any(act.path))) return fail(Fault::not_found, "nothing is shown there");
    if (!act.recursive) return fail(Fault::exists, "a folder: to remove it with all in it say so (-r)");
    std::map<std::string, DocumentId, std::greater<>> all;
    TRY(folder_.walk(act.path, "", [&](const std::string& path, const Shown& shown) {
      all.emplace(path, shown.document);
      return true;
    }));
    std::set<DocumentId> removed;
    std::vector<Act> out;
    for (const auto& [path, document] : all) {
      if (removed.insert(document).second) out.emplace_back(RemoveOneAct{document, path});
    }
    return out;
  }

  std::vector<Op> ops;

 private:
  /// Random. What is made together has the last half in common, and so lies together in the view (View::key).
  DocumentId new_document() {
    DocumentId out;
    if (!last_) crypto::random_bytes(out.bytes), last_ = out;
    const ByteSpan first = ByteSpan(out.bytes).first(DocumentId::size / 2);
    out = *last_;
    crypto::random_bytes(first);
    return out;
  }
  Result<void> take(std::vector<Op> made) {
    for (Op& op : made) ops.push_back(TRY(store::anew(folder_, std::move(op))));
    return {};
  }
  /// One of the names that were given to the document apart, and not the one that is shown.
  static bool is_other_path(const store::Registers& registers, const Shown& shown, const std::string& path) {
    const auto groups = registers.groups(store::Register::path);
    return groups.size() > 1 && path != shown.at &&
           std::ranges::any_of(groups, [&](const store::Registers::Group& group) { return std::get<std::string>(group.front()->op.value) == path; });
  }
  /// The two documents ask for one name.
  Result<bool> meet(const Shown& one, const Shown& other) const {
    for (const auto& [who, holder] : {std::pair(one.document, other.document), std::pair(other.document, one.document)}) {
      for (const store::Conflict& it : TRY(folder_.conflicts_of(who))) {
        if (it.holder == holder) return true;
      }
    }
    return false;
  }
  /// No file has the name of this folder, or of one on the way to it.
  Result<bool> is_way(const std::string& folder) {
    if (ways_.contains(folder)) return true;
    if (!TRY(folder_.is_folder(folder))) {
      if (TRY(folder_.find(folder))) return false;
      const std::size_t slash = folder.rfind('/');
      if (slash != std::string::npos && !TRY(is_way(folder.substr(0, slash)))) return false;
    }
    ways_.insert(folder);
    return true;
  }
  /// Something is shown below it. An empty library is none.
  Result<bool> is_any(const std::string& folder) const {
    bool any = false;
    TRY(folder_.walk(folder, "", [&](const std::string&, const Shown&) {
      any = true;
      return false;
    }));
    return any;
  }
  /// As shown; or, where the name was made over because another document has it, by the document's own path.
  Result<std::optional<Shown>> find(const std::string& path, bool dir) const {
    if (auto shown = TRY(folder_.find(dir ? path + "/" : path))) return shown;
    return dir ? std::optional<Shown>() : TRY(folder_.displaced(path));
  }

  const store::Folder& folder_;
  std::optional<DocumentId> last_;
  std::set<std::string> ways_;  ///< folders that is_way() found to be one
};

}  // namespace

FeedId Library::own_feed() const { return {body_->id_, body_->context_.node.id, body_->incarnation_}; }

FeedId Library::own_feed(std::int64_t wall_ms) {
  Body& it = *body_;
  const auto feed = it.feeds_.find(store::Branch(own_feed()));
  if (feed != it.feeds_.end() && feed->second.latest_ms > it.context_.realm.trusted_ms(wall_ms) + store::lead_ms_most) {
    it.incarnation_ = crypto::random_id<IncarnationId>();
  }
  return own_feed();
}

/// The time of what is written now: whatever this clock says, not before the policy or the entry before it.
std::int64_t Library::Body::entry_ms(std::int64_t wall_ms) const {
  std::int64_t out = std::max(wall_ms, context_.realm.issued_ms());
  const auto own = feeds_.find(store::Branch(FeedId{id_, context_.node.id, incarnation_}));
  if (own != feeds_.end()) out = std::max(out, own->second.latest_ms);
  return out;
}

Result<std::vector<Act>> Library::plan(const Act& act) const {
  const store::Folder* folder = TRY(readable());
  const Operations operations(*folder);
  Result<std::vector<Act>> out = std::vector<Act>{act};
  if (const auto* move = std::get_if<MoveAct>(&act); move != nullptr && !TRY(folder->find(move->from))) out = operations.parts(*move);
  if (const auto* remove = std::get_if<RemoveAct>(&act); remove != nullptr && !TRY(folder->find(remove->path))) out = operations.parts(*remove);
  if (!out) out.error().text += ": " + about(act, out.error().fault);
  return out;
}

Result<Prepared> Library::prepare(std::span<const Act> acts, const Capacity& capacity, std::string text, std::int64_t wall_ms, PassedOver* passed_over) {
  Body& it = *body_;
  const auto policy = it.context_.realm.policy();
  if (!policy || it.mesh() == nullptr) return fail(Fault::denied, "this node has no keys for the library");
  TRY(readable());
  it.context_.realm.set_wall_ms(wall_ms);
  // The clock was put back: what is ahead of it now waits, like what comes anew, instead of pulling this node's stamps along.
  std::uint64_t last_hlc = TRY(it.last_hlc());
  if (store::time_ms(last_hlc) > it.context_.realm.trusted_ms(wall_ms) + store::lead_ms_most) {
    it.derive(Body::Judge::anew);
    TRY(readable());
    last_hlc = TRY(it.last_hlc());
  }
  Operations operations(*it.folder_);
  for (std::size_t i = 0; i < acts.size(); ++i) {
    it.record_is_away_ = false;
    Result<void> added = std::visit([&](const auto& act) { return operations.add(act); }, acts[i]);
    if (added) continue;
    added.error().text += ": " + about(acts[i], added.error().fault);
    // What the store does not say now is no mistake of the act's; a document of which a pack is damaged or not here keeps back no other.
    const bool is_store = !it.record_is_away_ && (added.error().fault == Fault::corrupt || added.error().fault == Fault::unavailable);
    if (passed_over == nullptr || is_store) return std::unexpected(std::move(added.error()));
    passed_over->emplace_back(i, std::move(added.error()));
  }
  Prepared out{policy->version(), it.mesh()->epoch, {}, {}, {}, {}};
  if (operations.ops.empty()) return out;
  store::Record& record = out.record;
  record.library = it.id_;
  record.hlc = std::max(static_cast<std::uint64_t>(it.entry_ms(wall_ms)) << 16, last_hlc + 1);  // above all that was shown
  record.device = it.context_.node.id;
  record.person = capacity.person;
  record.role = capacity.role;
  record.policy = policy->version();
  record.who = who_of(*policy, record.person, record.device);  // now: a session outlives a change of the name
  record.text = std::move(text);
  record.ops = std::move(operations.ops);
  if (!it.rights_.allows(policy->version(), record.device, record)) {
    const policy::Decision decision = it.rights_.decide(policy->version(), record);
    const bool may_write = policy->may_write(record.device, it.id_);
    const std::string reason = may_write ? decision.reason : "this node may not write there";
    it.note_refused("write", record, policy->version(), may_write ? RefusalLog::rules_of(decision) : "the node is no writing member");
    const auto live = it.context_.realm.live();
    if (live != policy && live->decide(request_of(record)).allowed)
      return fail(Fault::denied, "the unit's administrators allow that, and headquarters has not listed it yet: it counts from the next publication on");
    return fail(Fault::denied, reason);
  }
  // What begins or ends at a set time does so by headquarters' time too, where this machine's clock is behind it.
  policy::Request at_headquarters = request_of(record);
  at_headquarters.time_ms = std::max(at_headquarters.time_ms, it.context_.realm.trusted_ms(wall_ms));
  if (const policy::Decision decision = policy->decide(at_headquarters); !decision.allowed) {
    it.note_refused("write", record, policy->version(), RefusalLog::rules_of(decision));
    return fail(Fault::denied, decision.reason + ", by headquarters' time, which this machine's clock is behind");
  }
  // Whom the unit has taken something from since writes no more here, also before headquarters says so.
  if (const auto live = it.context_.realm.live(); live != policy && !live->decide(request_of(record)).allowed) {
    it.note_refused("write", record, policy->version(), "by what its unit has signed since");
    return fail(Fault::denied, "the unit's administrators have ended that: " + live->decide(request_of(record)).reason);
  }
  FixedBytes<32, struct store::BlindTag> blind;
  crypto::random_bytes(blind.bytes);
  const store::SignedRecord made = TRY(store::sign(record, capacity.certificate, *capacity.key, blind));
  TRY(verify_record(it.context_.realm, policy->version(), made, record));
  out.id = store::record_id(made.record);
  out.signed_record = store::encode(made);
  out.commitment = store::commitment(made);
  return out;
}

Result<Sequence> Library::commit(const Prepared& prepared, std::vector<StoredPack> stored, const std::vector<store::SealedPack>& with_entry,
                                 std::int64_t wall_ms) {
  Body& it = *body_;
  INVARIANT(!prepared.record.ops.empty());
  const auto policy = it.context_.realm.policy();
  if (!policy || policy->version() != prepared.policy || it.mesh() == nullptr) return fail(Fault::stale, "the policy has changed meanwhile");
  const std::int64_t entry_ms = std::max(it.entry_ms(wall_ms), store::time_ms(prepared.record.hlc) - store::lead_ms_most);
  if (entry_ms > it.context_.realm.trusted_ms(wall_ms) + store::lead_ms_most) return fail(Fault::stale, "this node's clock was put back meanwhile");
  // A clock that was set meanwhile: no node would take a record that is so much older than its entry.
  if (entry_ms > store::time_ms(prepared.record.hlc) + store::entry_lag_ms_most) return fail(Fault::stale, "this node's clock was put forward meanwhile");
  for (const store::SealedPack& pack : with_entry) {
    stored.push_back({{pack.address, static_cast<std::uint32_t>(pack.bytes.size()), pack.kind}, pack.places});
  }
  std::ranges::sort(stored, {}, [](const StoredPack& pack) { return pack.listing; });
  const auto repeated = std::ranges::unique(stored, {}, [](const StoredPack& pack) { return pack.listing; });
  stored.erase(repeated.begin(), repeated.end());
  std::vector<store::PackListing> listed;
  std::uint64_t bytes = it.listed_bytes(it.context_.node.id);
  for (const StoredPack& pack : stored) {
    listed.push_back(pack.listing);
    bytes += pack.listing.size_bytes;
  }
  const std::uint64_t quota = policy->quota_bytes(it.context_.node.id, it.id_);
  if (quota != 0 && bytes > quota) return fail(Fault::denied, "beyond this node's quota for the library: HQ's policy sets it");

  store::Entry entry;
  entry.kind = static_cast<std::uint8_t>(store::EntryKind::change);
  entry.policy = policy->version();
  entry.epoch = it.mesh()->epoch;
  entry.time_ms = entry_ms;
  entry.view_rules = it.mesh()->view_rules;
  const policy::Freshness* freshness = it.context_.realm.trust().freshness();
  entry.freshness = freshness != nullptr ? freshness->header.version : 0;
  entry.record = prepared.commitment;

  auto write = TRY(it.context_.truth.write());
  for (const store::SealedPack& pack : with_entry) TRY(write.put_pack(pack.address, pack.bytes));
  if (listed.size() > store::entry_packs_most) {
    const Bytes list = store::encode_list(listed);
    const Digest sha256 = crypto::sha256(list);
    TRY(write.put_pack_list(sha256, list));
    entry.packs = store::PackListObject{sha256, static_cast<std::uint32_t>(listed.size())};
  } else {
    entry.packs = listed;
  }
  const FeedId id = own_feed();
  const auto held = it.feeds_.find(id);
  store::FeedTail tail = held == it.feeds_.end() ? store::FeedTail(id) : held->second.tail;
  const store::FeedTail::Appended appended = TRY(tail.append(entry, it.context_.node.sign, write.keep_subtrees(id)));
  TRY(write.put_entry(id, tail.sequence(), appended.entry));
  TRY(write.put_head(id, {appended.head_note, tail.encode(), {}}));
  Body::Fresh fresh = TRY(it.read_fresh(TRY(store::decode_entry(appended.entry)), write));
  TRY(write.commit());

  // Durable: what follows is derived, and a fault there is tried again (behind), not a save that failed.
  Body::Feed& feed = it.feeds_.try_emplace(id, Body::Feed{store::FeedTail(id)}).first->second;
  feed.tail = std::move(tail);
  feed.note = appended.head_note;
  feed.proof.clear();
  const Sequence sequence = feed.tail.sequence();
  std::vector<DerivedIndex::Pack> places;
  for (StoredPack& pack : stored) places.push_back({pack.listing.address, std::move(pack.places)});
  std::vector<PackAddress> indexed;
  std::size_t puts = 0;
  for (const DerivedIndex::Pack& pack : places) puts += pack.places.size() + 1;
  // A large save's are written by themselves, and what that cannot do is done when the rest is derived.
  const bool apart = puts > DerivedIndex::puts_most / 2;
  if (apart && it.index_.put(places)) {
    for (const DerivedIndex::Pack& pack : places) indexed.push_back(pack.address);
  }
  it.know_entry(id, feed, std::move(fresh));
  for (const PackAddress& address : indexed) it.unindexed_.erase(address);
  it.settle(feed);
  // The record needs no reading back.
  const auto unopened = it.unopened_.find({id, sequence.value});
  if (unopened != it.unopened_.end()) {
    auto signed_record = store::decode_signed_record(prepared.signed_record);
    INVARIANT(signed_record.has_value());
    const Body::Opened opened{unopened->second.carrier, LibraryRows::entry_row({}, appended.entry), std::move(*signed_record)};
    const auto with_it = apart ? std::span<const DerivedIndex::Pack>() : std::span<const DerivedIndex::Pack>(places);
    if (Result<void> taken = it.take({&opened, 1}, with_it); !taken) {
      const bool damaged = taken.error().fault == Fault::corrupt;
      it.behind_ = std::move(taken.error());
      if (damaged) it.derive(Body::Judge::fresh);  // which makes it anew
    }
  }
  return sequence;
}

}  // namespace dozo::node
