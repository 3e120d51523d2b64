#include "node/engine.h"

#include <algorithm>

#include "base/invariant.h"
#include "crypto/session.h"
#include "node/engine_body.h"
#include "policy/authoring.h"

namespace dozo::node {
namespace {

template <class... Fs>
struct Overloaded : Fs... {
  using Fs::operator()...;
};

}  // namespace

// ---- opening ---------------------------------------------------------------------------------------------------------
Engine::Engine(std::unique_ptr<Body> body) : body_(std::move(body)) {}
Engine::~Engine() = default;

Result<std::unique_ptr<Engine>> Engine::open(EngineContext context, Now now) {
  auto realm = TRY(Realm::open(context.truth, context.node, context.first_root, std::move(context.recovered)));
  auto body = std::make_unique<Body>(std::move(context), std::move(realm), now);
  body->open_libraries();
  body->settle(now);
  return std::unique_ptr<Engine>(new Engine(std::move(body)));
}

Engine::Body::Body(EngineContext context, std::unique_ptr<Realm> realm, Now now)
    : context_(std::move(context)),
      realm_(std::move(realm)),
      objects_(context_.truth, *realm_, libraries_, context_.node.id, context_.contacts, refusals_),
      sync_(objects_, objects_),
      arrived_(context_.truth, std::move(context_.woken)),
      started_ms_(now.steady_ms) {
  objects_.set_now(now);
}

LibraryContext Engine::Body::library_context() {
  return {context_.truth, context_.derived, context_.local, context_.node, *realm_, context_.incarnation, &refusals_};
}

/// Those that the policy gives this node and that are not open yet.
void Engine::Body::open_libraries() {
  const auto policy = realm_->policy();
  if (!policy) return;
  const auto given = policy->libraries_of(context_.node.id);
  std::erase_if(unopened_, [&](const auto& it) { return std::ranges::find(given, it.first) == given.end(); });
  for (const LibraryId& id : given) {
    if (libraries_.contains(id)) continue;
    Result<std::unique_ptr<Library>> opened = Library::open(library_context(), id);
    if (!opened) {
      // The others are served all the same; and a policy may yet come.
      unopened_.insert_or_assign(id, std::move(opened.error()));
      continue;
    }
    unopened_.erase(id);
    libraries_.emplace(id, std::move(*opened));
    receipts_due_.insert(id);
  }
}

// ---- inputs ----------------------------------------------------------------------------------------------------------
void Engine::on(const Input& input, Now now) {
  Body& it = *body_;
  it.objects_.set_now(now);
  std::visit(Overloaded{[&](const sync::LinkUp& up) {
                          it.up_.insert(up.peer);
                          it.introductions_.erase(up.peer);
                          it.tell_sync(up, now);
                        },
                        [&](const sync::LinkDown& down) {
                          it.up_.erase(down.peer);
                          it.introduce_due_ = true;
                          it.tell_sync(down, now);
                        },
                        [&](const auto& other) { it.tell_sync(other, now); }},
             input);
  it.settle(now);
}

bool Engine::has_news() const { return body_->arrived_.has_something(); }

std::vector<Engine::Output> Engine::take_outputs() { return std::exchange(body_->outputs_, {}); }

void Engine::Body::tell_sync(const sync::Input& input, Now now) {
  sync_wake_ms_.reset();
  for (sync::Output& output : sync_.on(input, now)) {
    std::visit(
        Overloaded{[&](sync::Send& send) { outputs_.emplace_back(std::move(send)); },
                   [&](sync::AnswerStranger& answer) { outputs_.emplace_back(std::move(answer)); },
                   [&](sync::KeepPack& keep) {
                     if (keeping_.empty()) keep_since_ms_ = now.steady_ms;
                     keeping_bytes_ += keep.bytes.size();
                     keeping_.push_back(std::move(keep));
                   },
                   [&](const sync::WakeAt& wake) { sync_wake_ms_ = wake.steady_ms; }, [&](const sync::ForkSeen& fork) { forked_.insert(fork.feed.node); }},
        output);
  }
}

/// All that follows from what happened, until nothing more does; then one timer for what is due later.
void Engine::Body::settle(Now now) {
  objects_.set_now(now);
  for (bool again = true; again;) {
    again = take_changes(now);
    again = keep_packs(now) || again;
    again = make_receipts(now) || again;
    again = sign_freshness(now) || again;
  }
  catch_up(now);
  judge_due(now);
  introduce(now);
  std::optional<std::int64_t> next = sync_wake_ms_;
  const auto sooner = [&](std::optional<std::int64_t> at_ms) {
    if (at_ms) next = next ? std::min(*next, *at_ms) : *at_ms;
  };
  if (!keeping_.empty() && !arrived_.is_busy()) sooner(std::max(keep_since_ms_ + keep_ms, keep_again_ms_));
  sooner(catch_up_ms_);
  sooner(receipt_wake_ms_);
  sooner(freshness_wake_ms_);
  sooner(introduce_wake_ms_);
  sooner(due_wake_ms_);
  if (next) outputs_.emplace_back(sync::WakeAt{std::max(*next, now.steady_ms + 1)});
}

bool Engine::Body::take_changes(Now now) {
  Objects::Changes changes = objects_.take_changes();
  if (changes.fault) store_fault_ = std::move(changes.fault);
  if (changes.policy || changes.past) {
    for (const auto& [id, library] : libraries_) library->judge_again();
  }
  if (changes.policy) {
    open_libraries();
    introductions_.clear();
    introduce_due_ = true;
    for (const auto& [id, library] : libraries_) receipts_due_.insert(id);
    outputs_.emplace_back(PeersChanged{});
  }
  for (const PackAddress& address : context_.truth.damaged_packs()) {
    if (damaged_.contains(address)) continue;
    bool told = true;
    for (const auto& [id, library] : libraries_) {
      const auto listed = noted(library->pack_damaged(address));
      told = told && listed;
      if (listed && *listed) changes.libraries.insert(id);  // less is held than the last receipt says
    }
    if (!told) continue;
    damaged_.insert(address);
    changes.documents = true;  // sync looks anew at what is missing
  }
  receipts_due_.insert(changes.libraries.begin(), changes.libraries.end());
  std::set<LibraryId> changed = std::exchange(changed_, {});
  changed.merge(changes.libraries);
  if (changes.policy || changes.past || changes.documents) {
    tell_sync(sync::Changed{}, now);
    return true;
  }
  for (const LibraryId& id : changed) tell_sync(sync::Changed{id}, now);
  return !changed.empty();
}

/// Records that were ahead of the time are judged again when that has come, all when a suspension begins or ends, and those that were not ahead when the clock
/// was put back.
void Engine::Body::judge_due(Now now) {
  constexpr std::int64_t wait_ms_most = 3'600'000;  // HQ's word may bring the time forward, and somebody may set the clock
  constexpr std::int64_t went_back_ms = 60'000;     // by less, what is ahead for a moment is soon past again
  constexpr std::int64_t wait_ms_least = 1'000;     // what should be over and is not, by another of the clocks, is no reason to run hot
  due_wake_ms_.reset();
  const std::int64_t at_ms = realm_->trusted_ms(now.wall_ms);
  Realm::StoppedNow stopped = realm_->stopped(now.wall_ms);
  const bool went_back = at_ms < judged_at_ms_ - went_back_ms;
  judged_at_ms_ = went_back ? at_ms : std::max(judged_at_ms_, at_ms);
  if (went_back || stopped != stopped_) {
    stopped_ = std::move(stopped);
    for (const auto& [id, library] : libraries_) library->judge_again();
  }
  const auto wake_at = [&](std::int64_t due_ms) {
    const std::int64_t wake_ms = now.steady_ms + std::clamp(due_ms - at_ms, wait_ms_least, wait_ms_most);
    due_wake_ms_ = due_wake_ms_ ? std::min(*due_wake_ms_, wake_ms) : wake_ms;
  };
  if (const auto until_ms = realm_->stops_change_ms(now.wall_ms)) wake_at(*until_ms);
  for (const auto& [id, library] : libraries_) {
    if (library->due_ms().value_or(at_ms + 1) <= at_ms) library->judge_due();
    if (const auto due_ms = library->due_ms()) wake_at(*due_ms);
  }
}

/// Packs of peers become durable in batches: one transaction each would cost a sync of the disk for every megabyte. What cannot be written, as on a full
/// disk, stays in memory and is tried again; until then nothing more is asked for, and nothing is asked for twice.
bool Engine::Body::keep_packs(Now now) {
  if (auto batch = arrived_.take()) return kept(std::move(*batch), now);
  if (arrived_.is_busy() || keeping_.empty() || now.steady_ms < keep_again_ms_) return false;
  if (keeping_bytes_ < keep_bytes && now.steady_ms < keep_since_ms_ + keep_ms) return false;
  ArrivedPacks::Batch batch;
  batch.expect_no_reads = keeping_bytes_ >= keep_bytes;  // a large transfer would otherwise push everything else out of the machine's memory
  std::map<std::pair<LibraryId, Epoch>, std::shared_ptr<const crypto::EpochKey>> keys;  // each takes locked memory
  for (sync::KeepPack& keep : std::exchange(keeping_, {})) {
    std::shared_ptr<const crypto::EpochKey> key;
    const auto header = crypto::check_sealed(keep.bytes);
    if (header && header->kind == crypto::PackKind::content) {
      auto& copy = keys[{keep.pack.library, header->epoch}];
      if (const crypto::EpochKey* held = copy ? nullptr : realm_->keys().find(keep.pack.library, header->epoch))
        copy = std::make_shared<const crypto::EpochKey>(held->copy());
      key = copy;
    }
    batch.packs.push_back({keep.pack, std::move(keep.bytes), std::move(key), {}});
  }
  keeping_bytes_ = 0;
  arrived_.write(std::move(batch));
  return true;
}

/// Says whether anything is to be looked at again.
bool Engine::Body::kept(ArrivedPacks::Batch batch, Now now) {
  if (!batch.written) {
    keep_fault_ = std::move(batch.written.error());
    keep_again_ms_ = now.steady_ms + keep_pause_ms;
    keep_since_ms_ = now.steady_ms;
    for (ArrivedPacks::Pack& pack : batch.packs) {
      keeping_bytes_ += pack.sealed.size();
      keeping_.push_back({pack.id, std::move(pack.sealed)});
    }
    objects_.pause(true);
    return false;
  }
  if (keep_fault_) {
    keep_fault_.reset();
    objects_.pause(false);
    tell_sync(sync::Changed{}, now);  // nothing was missing while it was paused
  }
  std::map<LibraryId, std::vector<Library::Arrived>> by_library;
  sync::PacksDurable durable;
  for (ArrivedPacks::Pack& pack : batch.packs) {
    const PackAddress address{pack.id.sha256.bytes};
    by_library[pack.id.library].push_back({address, std::move(pack.places)});
    damaged_.erase(address);
    durable.packs.push_back(pack.id);
  }
  for (auto& [id, packs] : by_library) {
    const auto library = libraries_.find(id);
    if (library == libraries_.end()) continue;
    if (library->second->packs_durable(std::move(packs))) receipts_due_.insert(id);
  }
  tell_sync(durable, now);
  return true;
}

/// What could not be opened, or derived from what is held, is tried again from time to time: a full disk, most likely.
void Engine::Body::catch_up(Now now) {
  if (catch_up_ms_ && now.steady_ms < *catch_up_ms_) return;
  const bool again = catch_up_ms_.has_value();
  catch_up_ms_.reset();
  for (const auto& [id, library] : libraries_) {
    if (!library->behind()) continue;
    if (again) library->catch_up();
    if (!library->behind()) {
      receipts_due_.insert(id);  // it says that all was opened
      receipt_wake_ms_ = now.steady_ms + receipt_ms;
    }
    if (library->behind()) catch_up_ms_ = now.steady_ms + catch_up_every_ms;
  }
  const std::size_t open = libraries_.size();
  if (again && !unopened_.empty()) open_libraries();
  if (!unopened_.empty()) catch_up_ms_ = now.steady_ms + catch_up_every_ms;
  if (libraries_.size() != open) tell_sync(sync::Changed{}, now);
}

// ---- receipts --------------------------------------------------------------------------------------------------------
Result<void> Engine::Body::make_receipt(const LibraryId& id, Now now) {
  const Library& library = *libraries_.at(id);
  Receipt receipt;
  receipt.library = id;
  receipt.signer = context_.node.id;
  receipt.time_ms = now.wall_ms;
  receipt.opened = library.all_opened();
  for (const Library::FeedState& feed : library.feeds()) {
    if (feed.held.value == 0 || receipt.feeds.size() == receipt_feeds_most) continue;
    receipt.feeds.push_back({feed.feed.node, feed.feed.incarnation, feed.held, TRY(library.root_at({feed.feed, feed.known, feed.root}, feed.held))});
  }
  std::ranges::sort(receipt.feeds);
  auto write = TRY(context_.truth.write());
  const store::StatementKey key{id, context_.node.id, std::string(receipt_subject)};
  const std::uint64_t heard = objects_.own_number(id);
  if (const auto last = TRY(write.statement(key))) {
    const auto said = read_receipt(last->bytes);
    if (said && said->feeds == receipt.feeds && said->opened == receipt.opened && last->number > heard) return {};
    receipt.number = last->number;
  } else if (receipt.feeds.empty()) {
    return {};
  }
  // Above all that were ever given, also when this disk was lost or is an old image: the time is, unless the clock went back.
  receipt.number = std::max({receipt.number + 1, heard + 1, static_cast<std::uint64_t>(std::max<std::int64_t>(now.wall_ms, 0))});
  (void)TRY(write.put_statement(key, {receipt.number, sign(receipt, context_.node.sign)}));
  TRY(write.commit());
  changed_.insert(id);
  return {};
}

bool Engine::Body::make_receipts(Now now) {
  receipt_wake_ms_.reset();
  std::set<LibraryId> failed;
  for (auto due = receipts_due_.begin(); due != receipts_due_.end();) {
    const LibraryId id = *due;
    const auto last = receipt_made_ms_.find(id);
    if (last != receipt_made_ms_.end() && now.steady_ms < last->second + receipt_ms) {
      receipt_wake_ms_ = receipt_wake_ms_ ? std::min(*receipt_wake_ms_, last->second + receipt_ms) : last->second + receipt_ms;
      ++due;
      continue;
    }
    due = receipts_due_.erase(due);
    receipt_made_ms_[id] = now.steady_ms;
    if (realm_->policy()->may_receive(context_.node.id, id) && !noted(make_receipt(id, now))) failed.insert(id);
  }
  receipts_due_.merge(failed);
  if (!receipts_due_.empty() && !receipt_wake_ms_) receipt_wake_ms_ = now.steady_ms + receipt_ms;
  return !changed_.empty();
}

// ---- what HQ's node does by itself -----------------------------------------------------------------------------------
bool Engine::Body::sign_freshness(Now now) {
  freshness_wake_ms_.reset();
  if (!context_.freshness) return false;
  const policy::Trust& trust = realm_->trust();
  const auto snapshot = trust.document("snapshot");
  const std::int64_t first_ms = std::max(started_ms_ + freshness_first_ms, freshness_tried_ms_);
  if (!snapshot || now.steady_ms < first_ms) {
    // By then a newer policy, which this node may have lost with its disk, has come from whoever is up.
    freshness_wake_ms_ = first_ms > now.steady_ms ? first_ms : now.steady_ms + freshness_first_ms;
    return false;
  }
  const std::int64_t age_ms = trust.freshness() == nullptr ? freshness_every_ms : now.wall_ms - trust.freshness()->header.issued_s * 1000;
  if (age_ms >= 0 && age_ms < freshness_every_ms) {
    freshness_wake_ms_ = now.steady_ms + freshness_every_ms - age_ms;
    return false;
  }
  freshness_tried_ms_ = now.steady_ms + freshness_first_ms * 6;
  freshness_wake_ms_ = freshness_tried_ms_;
  const crypto::SigningKey* key = &*context_.freshness;
  const std::uint64_t last = trust.freshness() != nullptr ? trust.freshness()->header.version : 0;
  const auto made = policy::refresh(realm_->id(), snapshot->envelope, last, context_.freshness_hours, policy::Signers(&key, 1), now.wall_ms / 1000);
  const auto taken = made ? objects_.take_document(*made) : Result<Realm::Taken>(std::unexpected(made.error()));
  if (!taken) {
    freshness_fault_ = taken.error();
    return false;
  }
  freshness_fault_.reset();
  return true;
}

/// A node that cannot be reached may have an old policy, which does not name this one: it is told the newest on the socket for strangers.
void Engine::Body::introduce(Now now) {
  if (!introduce_due_ && (!introduce_wake_ms_ || *introduce_wake_ms_ > now.steady_ms)) return;  // peers are many, and this is asked after every message
  introduce_due_ = false;
  introduce_wake_ms_.reset();
  if (!realm_->policy()) return;
  std::vector<Bytes> envelopes;
  for (const Peer& peer : peers()) {
    if (up_.contains(peer.id) || peer.addresses.introduce.empty()) continue;
    Introduction& introduction = introductions_.try_emplace(peer.id, Introduction{now.steady_ms + introduce_after_ms, introduce_after_ms}).first->second;
    if (introduction.at_ms <= now.steady_ms) {
      introduction.wait_ms = std::min(introduction.wait_ms * 4, introduce_most_ms);
      introduction.at_ms = now.steady_ms + introduction.wait_ms;
      outputs_.emplace_back(Introduce{peer.id, peer.addresses.introduce, peer.key, introduction_for(peer.id)});
    }
    introduce_wake_ms_ = introduce_wake_ms_ ? std::min(*introduce_wake_ms_, introduction.at_ms) : introduction.at_ms;
  }
}

/// What a node needs to come to the newest policy, in as few messages as will do.
std::vector<Bytes> Engine::Body::introduction_for(const NodeId& peer) const {
  constexpr std::size_t overhead_bytes = 64;
  std::vector<Bytes> messages, group;
  std::size_t group_bytes = 0;
  const auto close = [&] {
    if (!group.empty()) messages.push_back(sync::Sync::introduction(group));
    group.clear();
    group_bytes = 0;
  };
  for (policy::Held& held : realm_->trust().documents()) {
    if (held.type == policy::DocumentType::grants && held.name != policy::grants_name(peer)) continue;
    const std::size_t bytes = held.envelope.size() + overhead_bytes;
    if (bytes > sync::introduction_bytes_most - overhead_bytes) continue;  // of a very large realm: from a node that it knows
    if (group.size() == sync::strangers_documents_most || group_bytes + bytes > sync::introduction_bytes_most - overhead_bytes) close();
    group.push_back(std::move(held.envelope));
    group_bytes += bytes;
  }
  close();
  return messages;
}

// ---- who is there ----------------------------------------------------------------------------------------------------
const Realm& Engine::realm() const { return *body_->realm_; }
std::vector<Engine::Peer> Engine::peers() const { return body_->peers(); }

std::vector<Engine::Peer> Engine::Body::peers() const {
  std::vector<Peer> out;
  if (const auto policy = realm_->policy()) {
    for (const policy::MeshNode& node : policy->mesh().nodes) {
      if (node.keys.id == context_.node.id) continue;
      out.push_back({node.keys.id, node.keys.transport, node.addresses, node.name, node.zone, std::string(policy::name_of(node.kind))});
    }
    return out;
  }
  for (const policy::Contact& contact : context_.contacts) {
    if (contact.id != context_.node.id) out.push_back({contact.id, contact.transport, contact.addresses, contact.name, "", ""});
  }
  return out;
}

Library* Engine::library(const LibraryId& id) { return body_->find(id); }
Result<Library*> Engine::library_named(const std::string& name) { return body_->named(name); }

Library* Engine::Body::find(const LibraryId& id) const {
  const auto found = libraries_.find(id);
  return found == libraries_.end() ? nullptr : found->second.get();
}

Result<Library*> Engine::Body::named(const std::string& name) const {
  const auto policy = realm_->policy();
  if (!policy) return fail(Fault::unavailable, "this node has no policy yet");
  std::vector<Library*> found;
  for (const auto& [id, library] : libraries_) {
    const policy::LibraryTitle* title = policy->title(id);
    if (id.hex() == name || (title != nullptr && (title->name == name || title->title == name))) found.push_back(library.get());
  }
  if (found.empty()) return fail(Fault::not_found, "no library of this name is held here (dozo library list shows those that are): " + name);
  if (found.size() > 1) return fail(Fault::malformed, "several libraries have this title, use the name or id: " + name);
  return found.front();
}

std::vector<std::string> Engine::notices(Now now) const { return body_->notices(now); }

std::vector<std::string> Engine::Body::notices(Now now) const {
  std::vector<std::string> out;
  if (realm_->policy()) {
    policy::Ladder ladder = realm_->trust().ladder(now.wall_ms);
    if (ladder.standing != policy::Standing::fresh) out.push_back(std::move(ladder.text));
    for (std::string& warning : ladder.warnings) out.push_back(std::move(warning));
  } else {
    out.emplace_back("no policy yet: headquarters must admit this node and publish, and one of its contacts must be reached");
  }
  if (const std::int64_t behind_ms = realm_->trusted_ms(now.wall_ms) - now.wall_ms; behind_ms > store::lead_ms_most) {
    constexpr std::int64_t minute_ms = 60'000, hour_ms = 60 * minute_ms;
    const bool hours = behind_ms >= 2 * hour_ms;
    out.push_back("this machine's clock is behind headquarters' by " + std::to_string(behind_ms / (hours ? hour_ms : minute_ms)) +
                  (hours ? " hours" : " minutes") + ": one of them is wrong, and is to be set right");
  }
  if (realm_->stopped(now.wall_ms).nodes.contains(context_.node.id)) {
    out.emplace_back("headquarters has suspended this node: others keep what it saves, and show it when that ends, or not at all");
  }
  for (std::string& line : realm_->stop_lines(now.wall_ms)) out.push_back(std::move(line));
  for (std::string& line : realm_->closure_lines(now.wall_ms)) out.push_back(std::move(line));
  for (const policy::Fork& fork : realm_->trust().forks()) {
    out.push_back("headquarters has signed two different documents: " + fork.name + " " + std::to_string(fork.version) + "; tell headquarters at once");
  }
  for (const NodeId& node : forked_) out.push_back("node " + node.hex() + " has written two histories: its disk was put back, or it lies; tell headquarters");
  for (const auto& [id, library] : libraries_) {
    if (!library->due_ms()) continue;
    out.emplace_back("something that was saved elsewhere is dated ahead of this node's time, and is not shown before then: a clock is wrong, there or here");
    break;
  }
  if (store_fault_) out.push_back(store_fault_->text);
  if (keep_fault_) out.push_back("what peers send cannot be kept, and is not asked for: " + keep_fault_->text);
  for (const auto& [id, fault] : unopened_) out.push_back("library " + id.hex() + " cannot be opened: " + fault.text);
  for (const auto& [id, library] : libraries_) {
    if (library->behind()) out.push_back("library " + id.hex() + " does not follow what is held: " + library->behind()->text);
    if (library->was_damaged()) out.push_back("what was derived of library " + id.hex() + " was damaged, and has been made anew: look at the disk");
    for (const NodeId& node : library->beyond_quota())
      out.push_back("node " + node.hex() + " lists more in library " + id.hex() + " than its quota: what is beyond is not fetched");
  }
  if (freshness_fault_) out.push_back("freshness could not be signed: " + freshness_fault_->text);
  return out;
}

std::vector<std::string> Engine::take_refusals() { return body_->refusals_.take(); }

// ---- saving ----------------------------------------------------------------------------------------------------------
Result<SaveKeys> Engine::begin_save(const std::string& library, Now now) { return body_->begin_save(library, now); }

Result<std::vector<std::optional<store::ContentValue>>> Engine::shown(const LibraryId& id, std::span<const std::string> paths) const {
  const Library* library = body_->find(id);
  if (library == nullptr) return fail(Fault::not_found, "the library is held here no longer");
  const store::Folder* folder = TRY(library->readable());
  std::vector<std::optional<store::ContentValue>> out;
  for (const auto& shown : TRY(folder->find(paths))) out.push_back(shown ? std::optional(shown->value) : std::nullopt);
  return out;
}

Result<void> Engine::Body::check_open(const LibraryId& id, Now now) const {
  const auto policy = realm_->policy();
  const policy::MeshLibrary* library = policy ? policy->library(id) : nullptr;
  if (library == nullptr) return fail(Fault::denied, "the policy does not name this library any more");
  if (library->locks && !realm_->trust().ladder(now.wall_ms).may_open_locking) {
    refusals_.note_act("work", id, session_ ? session_->certificate.person : PersonId{}, context_.node.id, policy->version(),
                       "locked, as there is no word from headquarters");
    return fail(Fault::denied, "the library is closed until there is word from headquarters: its policy says so");
  }
  const PersonId person = session_ ? session_->certificate.person : PersonId{};
  const auto note = [&](std::string_view why) { refusals_.note_act("work", id, person, context_.node.id, policy->version(), why); };
  if (auto why = realm_->why_stopped(id, person, now.wall_ms)) {
    note("stopped by headquarters");
    return fail(Fault::denied, std::move(*why));
  }
  if (auto why = realm_->why_closed(id, session_ ? std::string_view(session_->role) : policy::service_role, now.wall_ms)) {
    note("outside of the hours, or in an interruption that was announced");
    return fail(Fault::denied, std::move(*why));
  }
  return {};
}

Result<SaveKeys> Engine::Body::begin_save(const std::string& name, Now now) {
  Library* library = TRY(named(name));
  TRY(check_open(library->id(), now));
  const auto epoch = library->epoch();
  const crypto::EpochKey* key = library->epoch_key();
  if (!library->has_keys() || !epoch || key == nullptr) return fail(Fault::denied, "this node has no keys for the library: it can keep it, not open it");
  TRY(capacity(library->id(), now));  // before much is read
  return SaveKeys{library->id(), *epoch, key->copy(), &library->index(), library->own_feed(now.wall_ms)};
}

/// In whose name: the session's, once one was begun; the node's own only where none was, or a person has ended it. Who logged in is not to find
/// afterwards that the work was saved as the node's.
Result<Capacity> Engine::Body::capacity(const LibraryId& id, Now now) const {
  const std::string ways = ": dozo person login begins another, dozo person logout has this node save in its own name";
  if (session_) {
    const crypto::SessionCertificate& certificate = session_->certificate;
    const std::int64_t at_ms = realm_->trusted_ms(now.wall_ms);  // by which it was dated
    if (certificate.not_after_ms <= at_ms) return fail(Fault::denied, "the session is over" + ways);
    if (certificate.not_before_ms > at_ms + store::lead_ms_most) return fail(Fault::denied, "the session begins later, by this machine's clock" + ways);
    if (!certificate.covers(id)) return fail(Fault::denied, "the session is not for this library" + ways);
    return Capacity{certificate.person, session_->role, session_->issued, &session_->key};
  }
  if (lost_session_) return fail(Fault::denied, "the session is over, it ended with the daemon that had it" + ways);
  return Capacity{{}, std::string(policy::service_role), {}, &context_.node.sign};
}

Result<Prepared> Engine::prepare_save(const LibraryId& library, std::span<const Act> acts, const std::string& text, Library::PassedOver* passed_over, Now now) {
  return body_->prepare(library, acts, text, passed_over, now);
}

Result<Prepared> Engine::Body::prepare(const LibraryId& id, std::span<const Act> acts, const std::string& text, Library::PassedOver* passed_over, Now now) {
  Library* library = find(id);
  if (library == nullptr) return fail(Fault::not_found, "a library that is not held here");
  TRY(check_open(id, now));
  const Capacity capacity = TRY(this->capacity(id, now));
  // A session is dated by what headquarters says where this machine's clock is behind that: so is what is saved in it.
  const std::int64_t session_ms = session_ ? std::min(session_->certificate.not_before_ms, realm_->trusted_ms(now.wall_ms)) : now.wall_ms;
  const std::int64_t wall_ms = std::max(now.wall_ms, session_ms);
  Result<Prepared> out = library->prepare(acts, capacity, text, wall_ms, passed_over);
  if (!out && out.error().fault == Fault::corrupt && library->mend()) {
    if (passed_over != nullptr) passed_over->clear();
    out = library->prepare(acts, capacity, text, wall_ms, passed_over);
  }
  return out;
}

Result<Sequence> Engine::commit_save(const LibraryId& library, const Prepared& prepared, std::vector<Library::StoredPack> stored,
                                     const std::vector<store::SealedPack>& with_entry, Now now) {
  return body_->commit(library, prepared, std::move(stored), with_entry, now);
}

Result<Sequence> Engine::Body::commit(const LibraryId& id, const Prepared& prepared, std::vector<Library::StoredPack> stored,
                                      const std::vector<store::SealedPack>& with_entry, Now now) {
  Library* library = find(id);
  if (library == nullptr) return fail(Fault::not_found, "a library that is not held here");
  const Sequence sequence = TRY(noted(library->commit(prepared, std::move(stored), with_entry, now.wall_ms)));
  receipts_due_.insert(id);
  changed_.insert(id);
  settle(now);
  return sequence;
}

std::uint32_t Engine::copies(const LibraryId& id) const {
  std::uint32_t out = 0;
  for (const local::ReplicaRow& row : body_->replicas(id).rows) {
    out += row.node != body_->context_.node.id && row.statement != "none" && row.entries_behind == 0 ? 1 : 0;
  }
  return out;
}

}  // namespace dozo::node
