#include "node/objects.h"

#include <algorithm>

#include "crypto/hash.h"
#include "crypto/pack_seal.h"
#include "node/receipts.h"

namespace dozo::node {
namespace {

static_assert(sync::whole_document_bytes_most >= (std::size_t{24} << 20) / 3 * 4 + (24U << 10), "what headquarters signs must get to the nodes");

std::string type_of(const std::string& name) { return name.substr(0, name.find('/')); }

/// A view of a pack or list that is held, in the transaction. Nothing: not held, or a pack of another library.
Result<std::optional<ByteView>> find_object(store::TruthRead& in, const sync::ObjectId& object) {
  // Whoever can name a list has seen an entry that names it: lists are not told apart by library.
  if (object.kind == sync::ObjectKind::list) return in.pack_list(object.sha256);
  auto sealed = TRY(in.pack(PackAddress{object.sha256.bytes}));
  if (!sealed) return sealed;
  const auto header = crypto::check_sealed(*sealed);
  return header && header->library == object.library ? sealed : std::nullopt;
}

Library::Point point_of(const sync::FeedPoint& point) { return {point.feed, point.sequence, point.root}; }

}  // namespace

/// Faults of this node's own store are told to the engine; those of what a peer sent are not worth a word.
template <class T>
Result<T> Objects::noted(Result<T> result) {
  if (!result && (result.error().fault == Fault::corrupt || result.error().fault == Fault::unavailable)) changes_.fault = result.error();
  return result;
}

Objects::Changes Objects::take_changes() { return std::exchange(changes_, {}); }

Library* Objects::find(const LibraryId& library) const {
  const auto found = libraries_.find(library);
  return found == libraries_.end() ? nullptr : found->second.get();
}

// ---- documents -----------------------------------------------------------------------------------------------------------
sync::DocumentVersions Objects::versions(Now) const {
  if (!versions_) {
    const policy::Trust& trust = realm_.trust();
    crypto::Sha256 suspensions;
    for (const policy::Held& held : trust.unlisted()) suspensions.update(held.sha256.view());
    versions_ = sync::DocumentVersions{trust.root().version, trust.version().value, trust.freshness() != nullptr ? trust.freshness()->header.version : 0,
                                       trust.current() != nullptr ? trust.current()->snapshot_sha256 : Digest{}, suspensions.finish()};
  }
  return *versions_;
}

std::vector<sync::DocumentWant> Objects::wants() const {
  std::vector<sync::DocumentWant> out;
  for (const policy::Want& want : realm_.wants()) out.push_back({want.name, want.version, want.name == "freshness", want.sha256});
  return out;
}

std::optional<Bytes> Objects::document(const sync::DocumentWant& want) const {
  const auto fits = [&](ByteView envelope) { return !want.sha256 || crypto::sha256(envelope) == *want.sha256; };
  if (want.or_later) {
    const auto newest = realm_.trust().document(want.name);
    if (!newest || newest->version < want.version) return std::nullopt;
    return newest->envelope;
  }
  auto in = truth_.read();
  if (!in) return std::nullopt;
  const store::DocumentKey key{type_of(want.name), want.name, want.version};
  if (const auto found = in->document(key); found && *found && fits(**found)) return bytes_of(**found);
  if (const auto others = in->conflicting_documents(key)) {
    for (const Bytes& other : *others) {
      if (want.sha256 && fits(other)) return other;
    }
  }
  return std::nullopt;
}

std::vector<Bytes> Objects::suspensions(Now) const {
  std::vector<Bytes> out;
  for (policy::Held& held : realm_.trust().unlisted()) out.push_back(std::move(held.envelope));
  return out;
}

Result<Realm::Taken> Objects::take_document(ByteView envelope) {
  Realm::Taken taken = TRY(noted(realm_.offer(envelope, now_.wall_ms)));
  changes_.policy = changes_.policy || taken.policy_changed;
  changes_.past = changes_.past || taken.past_changed;
  if (taken.outcome != policy::Outcome::known) {
    changes_.documents = true;
    versions_.reset();
  }
  return taken;
}

sync::ObjectStore::Offered Objects::offer(ByteView envelope, Now) {
  if (!realm_.put_back()) return {false, false};  // it cannot be verified: nobody is told anything for it
  const auto taken = take_document(envelope);
  // Older than what is held, or refused by its own tests, it still is the realm's; and that this node could not keep it is not the giver's fault.
  const auto is_by = [&](Fault fault) { return !taken && taken.error().fault == fault; };
  const bool is_own_fault = is_by(Fault::unavailable) || is_by(Fault::corrupt);
  if (is_own_fault) versions_.reset();
  const bool authentic = taken || is_by(Fault::stale) || is_by(Fault::denied) || is_own_fault;
  return {authentic, taken && taken->outcome != policy::Outcome::known, !is_own_fault};
}

// ---- feeds ---------------------------------------------------------------------------------------------------------------
std::vector<sync::FeedPoint> Objects::feeds(const LibraryId& id) const {
  std::vector<sync::FeedPoint> out;
  if (const Library* library = find(id)) {
    for (const Library::FeedState& feed : library->feeds()) out.push_back({feed.feed, feed.known, feed.root});
  }
  return out;
}

Result<Sequence> Objects::next(const sync::FeedPoint& point) const {
  const Library* library = find(point.feed.library);
  return library != nullptr ? library->next(point_of(point)) : Result<Sequence>(fail(Fault::not_found, "a library that is not held"));
}

Result<sync::Batch> Objects::entries(const sync::FeedPoint& point, Sequence from, std::size_t bytes_most) const {
  const Library* library = find(point.feed.library);
  if (library == nullptr) return fail(Fault::not_found, "a library that is not held");
  Library::Batch batch = TRY(library->entries(point_of(point), from, bytes_most));
  return sync::Batch{std::move(batch.entries), std::move(batch.head_note), std::move(batch.proof)};
}

Result<std::vector<Digest>> Objects::accept_entries(const sync::FeedPoint& point, Sequence from, const sync::Batch& batch) {
  Library* library = find(point.feed.library);
  if (library == nullptr) return fail(Fault::not_found, "a library that is not held");
  Library::Lists lists = TRY(noted(library->accept_entries(point_of(point), from, {batch.entries, batch.head_note, batch.proof})));
  if (lists.empty()) changes_.libraries.insert(point.feed.library);
  return lists;
}

// ---- packs ---------------------------------------------------------------------------------------------------------------
std::vector<sync::MissingPack> Objects::missing(const LibraryId& id, std::size_t most) const {
  std::vector<sync::MissingPack> out;
  if (paused_) return out;
  if (const Library* library = find(id)) {
    for (const Library::Missing& pack : library->missing(most, now_.steady_ms)) out.push_back({Digest{pack.address.bytes}, pack.size_bytes});
  }
  return out;
}

bool Objects::is_missing(const sync::ObjectId& pack) const {
  const Library* library = find(pack.library);
  return library != nullptr && library->is_missing(PackAddress{pack.sha256.bytes});
}

std::optional<std::uint32_t> Objects::size(const sync::ObjectId& object) const {
  auto in = truth_.read();
  if (!in) return std::nullopt;
  const auto found = find_object(*in, object);
  return found && *found ? std::optional(static_cast<std::uint32_t>((*found)->size())) : std::nullopt;
}

Result<Bytes> Objects::slice(const sync::ObjectId& object, std::uint32_t offset, std::size_t bytes_most) const {
  auto in = TRY(truth_.read());
  const auto whole = TRY(find_object(in, object));
  if (!whole) return fail(Fault::not_found, "a pack or list that is not held");
  if (offset >= whole->size()) return fail(Fault::malformed, "a slice beyond the end");
  return bytes_of(whole->subspan(offset, std::min(bytes_most, whole->size() - offset)));
}

void Objects::put_off(const sync::ObjectId& pack, Now now) {
  if (Library* library = find(pack.library)) library->put_off(PackAddress{pack.sha256.bytes}, now.steady_ms);
}

Result<void> Objects::check_pack(const sync::ObjectId& pack, ByteView bytes) {
  Library* library = find(pack.library);
  if (library == nullptr) return fail(Fault::not_found, "a library that is not held");
  return library->check_pack(PackAddress{pack.sha256.bytes}, bytes);
}

Result<void> Objects::keep_list(const sync::ObjectId& list, ByteView bytes) {
  Library* library = find(list.library);
  if (library == nullptr) return fail(Fault::not_found, "a library that is not held");
  return noted(library->keep_pack_list(list.sha256, bytes));
}

// ---- statements ----------------------------------------------------------------------------------------------------------
std::vector<sync::StatementMark> Objects::statements(const LibraryId& library) const {
  std::vector<sync::StatementMark> out;
  if (auto in = truth_.read()) {
    (void)in->each_statement(library, [&](const store::StatementKey& key, const store::Statement& statement) -> Result<bool> {
      out.push_back({key.signer, key.subject, statement.number});
      return true;
    });
  }
  std::ranges::sort(out);
  return out;
}

std::optional<sync::StatementGiven> Objects::statement(const LibraryId& library, const NodeId& signer, const std::string& subject) const {
  auto in = truth_.read();
  if (!in) return std::nullopt;
  auto found = in->statement({library, signer, subject});
  if (!found || !*found) return std::nullopt;
  return sync::StatementGiven{library, signer, subject, (*found)->number, std::move((*found)->bytes)};
}

Result<bool> Objects::accept_statement(const sync::StatementGiven& given) {
  if (given.subject != receipt_subject) return fail(Fault::unsupported, "a statement of a kind that this build does not know");
  const auto policy = realm_.policy();
  const auto key = realm_.key_of(given.signer);
  if (!policy || !key || !policy->may_receive(given.signer, given.library)) return fail(Fault::denied, "a receipt of a node that does not hold the library");
  const Receipt receipt = TRY(open_receipt(given.bytes, *key));
  if (receipt.library != given.library || receipt.signer != given.signer || receipt.number != given.number) {
    return fail(Fault::not_authentic, "a receipt of another signer, library or number than it is given as");
  }
  if (given.signer == self_) {
    // Of the time before this disk was lost or put back: it says more than is here, and counts with everybody until there is one above it.
    auto in = TRY(noted(truth_.read()));
    const auto last = TRY(noted(in.statement({given.library, given.signer, given.subject})));
    if (last && (given.number < last->number || last->bytes == given.bytes)) return false;
    std::uint64_t& heard = own_numbers_[given.library];
    heard = std::max(heard, given.number);
    changes_.libraries.insert(given.library);
    return false;
  }
  auto write = TRY(noted(truth_.write()));
  const store::Kept kept = TRY(noted(write.put_statement({given.library, given.signer, given.subject}, {given.number, given.bytes})));
  if (kept != store::Kept::added) return false;
  TRY(noted(write.commit()));
  return true;
}

// ---- what policy says ----------------------------------------------------------------------------------------------------
bool Objects::knows(const NodeId& peer) const {
  if (const auto policy = realm_.policy()) return policy->node(peer) != nullptr;
  return std::ranges::find(contacts_, peer, &policy::Contact::id) != contacts_.end();
}

bool Objects::shares(const NodeId& peer, const LibraryId& library) const {
  const auto policy = realm_.policy();
  return policy && find(library) != nullptr && policy->may_receive(self_, library) && policy->may_receive(peer, library) &&
         !realm_.is_stopped(peer, library, now_.wall_ms);
}

void Objects::note_refused(const NodeId& peer, const LibraryId& library) {
  const auto policy = realm_.policy();
  if (!policy || policy->library(library) == nullptr) return;  // of what is no library here a peer may ask as it likes: not worth a line
  const bool stopped = realm_.is_stopped(peer, library, now_.wall_ms);
  refusals_.note("refused: library " + library.hex() + " to node " + peer.hex() + ", policy " + std::to_string(policy->version().value) + ": " +
                 (stopped ? "stopped by headquarters" : "not a member, or not held here"));
}

std::vector<LibraryId> Objects::shared_libraries(const NodeId& peer) const {
  std::vector<LibraryId> out;
  for (const auto& [id, library] : libraries_) {
    if (shares(peer, id)) out.push_back(id);
  }
  return out;
}

}  // namespace dozo::node
