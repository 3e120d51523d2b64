// What people ask of the engine through the local socket, but for put.
#include <algorithm>

#include "node/engine_body.h"
#include "node/requests.h"
#include "node/requests_past.h"
#include "policy/compare.h"

namespace dozo::node {
namespace {

local::Refusal refusal_of(const Error& error) { return {static_cast<std::uint8_t>(error.fault), error.text}; }

}  // namespace

local::Answer Engine::answer(const local::Request& request, Now now) {
  Body& it = *body_;
  it.objects_.set_now(now);
  const auto answer = [&](const auto& asked) { return it.answer(asked, now); };
  Result<local::Answer> made = std::visit(answer, request);
  if (!made && made.error().fault == Fault::corrupt) {
    // Of those who ask for the folder alone it is that which is damaged: it is made anew from the truth, and asked once more.
    const auto folder_of = [&](const auto& asked) -> Library* {
      using Asked = std::remove_cvref_t<decltype(asked)>;
      if constexpr (std::is_same_v<Asked, local::ListRequest> || std::is_same_v<Asked, local::ConflictsRequest> ||
                    std::is_same_v<Asked, local::CommitRequest> || std::is_same_v<Asked, local::TagRequest>)
        return it.named(asked.library).value_or(nullptr);
      return nullptr;
    };
    Library* library = std::visit(folder_of, request);
    if (library != nullptr && library->mend()) made = std::visit(answer, request);
  }
  it.settle(now);
  return made ? std::move(*made) : local::Answer(refusal_of(made.error()));
}

// ---- the node --------------------------------------------------------------------------------------------------------
local::LibraryRow Engine::Body::row_of(const Library& library) const {
  local::LibraryRow out;
  out.id = library.id();
  const auto policy = realm_->policy();
  if (const policy::LibraryTitle* title = policy->title(out.id)) out.title = title->title.empty() ? title->name : title->title;
  out.holding = policy::name_of(policy->holds(context_.node.id, out.id));
  if (const auto epoch = library.epoch()) out.epoch = epoch->value;
  const Library::Counts counts = library.counts();
  out.documents = counts.documents;
  out.entries = counts.entries;
  out.packs_missing = counts.packs_missing;
  out.conflicts = counts.conflicts;
  out.refused = counts.refused;
  if (auto in = context_.truth.read()) {
    if (const auto usage = in->usage(out.id)) out.packs = usage->count, out.pack_bytes = usage->bytes;
  }
  return out;
}

Result<local::Answer> Engine::Body::answer(const local::LibrariesRequest&, Now) {
  local::Libraries out;
  if (realm_->policy()) {
    for (const auto& [id, library] : libraries_) out.rows.push_back(row_of(*library));
  }
  return out;
}

Result<local::Answer> Engine::Body::answer(const local::StatusRequest&, Now now) {
  local::Status out;
  out.node = context_.node.id;
  out.realm = realm_->id();
  out.state = "no policy";
  if (const auto policy = realm_->policy()) {
    if (const policy::MeshNode* self = policy->node(context_.node.id)) out.name = self->name, out.kind = policy::name_of(self->kind);
    out.state = policy::name_of(realm_->trust().ladder(now.wall_ms).standing);
    for (const auto& [id, library] : libraries_) out.libraries.push_back(row_of(*library));
  }
  out.policy = realm_->trust().version().value;
  out.time_ms = realm_->trusted_ms(now.wall_ms);
  out.freshness = realm_->trust().freshness() != nullptr ? realm_->trust().freshness()->header.version : 0;
  const auto traffic = sync_.peers();
  for (const Peer& peer : peers()) {
    ++out.peers;
    out.peers_up += up_.contains(peer.id) ? 1 : 0;
  }
  for (const auto& [id, status] : traffic) out.sent_bytes += status.sent_bytes, out.received_bytes += status.received_bytes;
  out.notices = notices(now);
  out.session = session(now);
  return out;
}

Result<local::Answer> Engine::Body::answer(const local::PeersRequest&, Now) {
  local::Peers out;
  const auto traffic = sync_.peers();
  for (const Peer& peer : peers()) {
    local::PeerRow& row = out.rows.emplace_back(local::PeerRow{peer.id, peer.name, peer.kind, peer.zone, peer.addresses.control, up_.contains(peer.id), 0, 0});
    if (const auto status = traffic.find(peer.id); status != traffic.end()) {
      row.sent_bytes = status->second.sent_bytes;
      row.received_bytes = status->second.received_bytes;
    }
  }
  return out;
}

/// Protected: as many copies, zones and keyed copies as the duty says; and, of what each node wrote, one copy that another node has opened, where another
/// has keys.
local::Replicas Engine::Body::replicas(const LibraryId& id) const {
  local::Replicas out;
  const auto policy = realm_->policy();
  const policy::MeshLibrary* mesh = policy ? policy->library(id) : nullptr;
  const Library* library = find(id);
  if (mesh == nullptr || library == nullptr) return out;
  std::vector<KnownFeed> known;
  std::set<NodeId> authors;
  const std::vector<Sequence> counted = library->counted();
  for (const Library::FeedState& feed : library->feeds()) {
    known.push_back({feed.feed, feed.known, feed.root, counted[known.size()]});
    if (known.back().counted.value > 0) authors.insert(feed.feed.node);
  }
  const HasRoot has_root = [&](const KnownFeed& feed, Sequence sequence, const Digest& root) {
    const auto found = library->root_at({feed.feed, feed.sequence, feed.root}, sequence);
    return found && *found == root;
  };
  auto in = context_.truth.read();
  std::set<std::string> zones;
  std::uint32_t copies = 0, keyed = 0;
  std::set<NodeId> opened_by;
  for (const policy::Member& member : mesh->members) {
    const policy::MeshNode* node = policy->node(member.node);
    local::ReplicaRow& row = out.rows.emplace_back();
    row.node = member.node;
    row.name = node != nullptr ? node->name : member.node.hex();
    row.holding = policy::name_of(member.holding);
    row.statement = "none";
    const auto found = in ? in->statement({id, member.node, std::string(receipt_subject)}) : Result<std::optional<store::Statement>>(std::nullopt);
    if (!found || !*found) continue;
    const auto receipt = read_receipt((*found)->bytes);
    if (!receipt) continue;
    row.statement = receipt->opened ? "opened" : "held";
    row.number = receipt->number;
    row.time_ms = receipt->time_ms;
    row.entries_behind = entries_behind(*receipt, known, has_root);
    if (stopped_.nodes.contains(member.node)) {
      row.statement = "suspended";  // its word does not count now
      row.entries_behind = std::max<std::uint64_t>(row.entries_behind, 1);
    }
    if (row.entries_behind > 0) continue;
    ++copies;
    if (node != nullptr) zones.insert(node->zone);
    if (receipt->opened) ++keyed, opened_by.insert(member.node);
  }
  out.copies_wanted = mesh->duty.copies;
  const auto has_keys = [&](const NodeId& node) { return policy->has_keys(node, id); };
  const bool all_opened = std::ranges::all_of(authors, [&](const NodeId& author) {
    const bool others = std::ranges::any_of(mesh->members, [&](const policy::Member& it) { return it.node != author && has_keys(it.node); });
    return !others || std::ranges::any_of(opened_by, [&](const NodeId& node) { return node != author; });
  });
  out.is_protected = copies >= mesh->duty.copies && zones.size() >= mesh->duty.zones && keyed >= mesh->duty.keyed && all_opened;
  return out;
}

Result<local::Answer> Engine::Body::answer(const local::ReplicasRequest& request, Now) { return replicas(TRY(named(request.library))->id()); }

// ---- documents -------------------------------------------------------------------------------------------------------
Result<Library*> Engine::Body::readable(const std::string& name, Now now) const {
  Library* library = TRY(named(name));
  TRY(check_open(library->id(), now));
  return library;
}

Result<local::Answer> Engine::Body::answer(const local::ListRequest& request, Now now) {
  Library& library = *TRY(readable(request.library, now));
  return request.at.empty() ? TRY(list(library, request)) : TRY(noted(list_past(library, request)));
}
Result<local::Answer> Engine::Body::answer(const local::LogRequest& request, Now now) { return TRY(noted(log(*TRY(readable(request.library, now)), request))); }
Result<local::Answer> Engine::Body::answer(const local::ConflictsRequest& request, Now now) { return TRY(conflicts(*TRY(readable(request.library, now)))); }
Result<local::Answer> Engine::Body::answer(const local::CommitRequest& request, Now now) {
  return TRY(noted(commit_named(*TRY(readable(request.library, now)), request)));
}
Result<local::Answer> Engine::Body::answer(const local::DiffRequest& request, Now now) {
  return TRY(noted(differences(*TRY(readable(request.library, now)), request)));
}
Result<local::Answer> Engine::Body::answer(const local::StatRequest& request, Now now) {
  Library& library = *TRY(readable(request.library, now));
  return request.at.empty() ? TRY(stat(library, request)) : TRY(noted(stat_past(library, request)));
}
Result<local::Answer> Engine::Body::answer(const local::ReadRequest& request, Now now) { return TRY(read(*TRY(readable(request.library, now)), request)); }

Result<local::Answer> Engine::Body::answer(const local::PutRequest&, Now) { return fail(Fault::unsupported, "put is the daemon's: it reads files"); }

Result<local::Answer> Engine::Body::answer(const local::MoveRequest& request, Now now) {
  return act(request.library, MoveAct{request.from, request.to}, request.text, now);
}
Result<local::Answer> Engine::Body::answer(const local::RemoveRequest& request, Now now) {
  return act(request.library, RemoveAct{request.path, request.recursive}, request.text, now);
}
Result<local::Answer> Engine::Body::answer(const local::ResolveRequest& request, Now now) {
  return act(request.library, ResolveAct{request.path, request.use}, request.text, now);
}

Result<local::Answer> Engine::Body::answer(const local::RestoreRequest& request, Now now) {
  const SaveKeys keys = TRY(begin_save(request.library, now));
  const ActsToRestore acts = TRY(noted(acts_to_restore(*find(keys.library), request)));
  local::Saved removed, out;
  TRY(save_parts(keys, acts.removals, request.text, removed, now));
  out.skipped = acts.left_out;
  Result<void> saved = save_parts(keys, acts.saves, request.text, out, now, &out.skipped);
  if (!saved && removed.records > 0)
    saved.error().text =
        std::to_string(removed.files) + " documents are removed, and not all is back that is to come; the same command goes on: " + saved.error().text;
  TRY(std::move(saved));
  out.removed = removed.files;
  if (out.records == 0) out.person = removed.person, out.role = removed.role, out.who = removed.who;
  out.records += removed.records;
  return out;
}

/// A tag is a small document, saved where it is asked for: reading it from a file of the asker's would need a put job.
Result<local::Answer> Engine::Body::answer(const local::TagRequest& request, Now now) {
  const SaveKeys keys = TRY(begin_save(request.library, now));
  Library& library = *find(keys.library);
  if (request.name.empty() || request.name.contains('/')) return fail(Fault::malformed, "a tag's name is one name, without a slash");
  const std::string path = local::tag_path(request.name);
  const store::Folder* folder = TRY(library.readable());
  std::optional<std::string> same;  // as file systems and people take names
  TRY(folder->walk(std::string(local::tags_folder), "", [&](const std::string& shown, const store::Shown&) {
    if (store::fold(shown) == store::fold(path)) same = shown;
    return true;
  }));
  if (same || TRY(folder->displaced(path)) || TRY(folder->is_folder(path)))
    return fail(Fault::exists, "there is a tag of that name: " + same.value_or(path) + "; remove it first, or take another name");
  const Library::TagNow made = TRY(library.tag_now());
  const SmallContent content{path, store::encode(made.tag)};
  local::Saved out;
  TRY(save_acts(keys, {}, request.text, out, now, nullptr, &content));
  if (made.left_out > 0) out.skipped.push_back(std::to_string(made.left_out) + " entries are not in the tag: not all that they need is here yet");
  return out;
}

Result<local::Answer> Engine::Body::act(const std::string& name, const Act& act, const std::string& text, Now now) {
  const SaveKeys keys = TRY(begin_save(name, now));
  local::Saved out;
  TRY(save_parts(keys, TRY(find(keys.library)->plan(act)), text, out, now));
  return out;
}

/// What is too large for one record becomes several, one after the other, of whole documents each.
Result<void> Engine::Body::save_parts(const SaveKeys& keys, std::span<const Act> parts, const std::string& text, local::Saved& out, Now now,
                                      std::vector<std::string>* passed_over) {
  constexpr std::size_t acts_most = 450;  // removing takes two operations
  std::size_t done = 0;
  for (std::size_t most = acts_most; done < parts.size();) {
    const auto some = parts.subspan(done, std::min(most, parts.size() - done));
    Library::PassedOver passed;
    Result<void> saved = save_acts(keys, some, text, out, now, passed_over != nullptr ? &passed : nullptr);
    if (saved) {
      done += some.size();
      for (const auto& [place, error] : passed) passed_over->push_back(error.text);
    } else if (saved.error().fault == Fault::over_limit && some.size() > 1) {
      most = some.size() / 2;
    } else {
      if (done > 0)
        saved.error().text =
            "done with " + std::to_string(done) + " of " + std::to_string(parts.size()) + " documents, the others are where they were: " + saved.error().text;
      return std::unexpected(std::move(saved.error()));
    }
  }
  return {};
}

/// `content`: that is saved with them, and where; else their record is all that is packed.
Result<void> Engine::Body::save_acts(const SaveKeys& keys, std::span<const Act> acts, const std::string& text, local::Saved& saved, Now now,
                                     Library::PassedOver* passed_over, const SmallContent* content) {
  std::vector<store::SealedPack> packs;
  store::IngestOptions how;
  how.library = keys.library;
  how.epoch = keys.epoch;
  how.workers = 0;
  store::Ingest ingest(how, keys.key, *keys.index, [&](store::SealedPack&& pack) -> Result<void> {
    packs.push_back(std::move(pack));
    return {};
  });
  std::vector<Act> all(acts.begin(), acts.end());
  if (content != nullptr) {
    store::BytesSource source(view_of(content->text));
    TRY(ingest.add(source, {store::ContentKind::file, 0644, now.wall_ms * 1'000'000, "text/plain"}));
    const std::vector<store::StoredContent> stored = TRY(ingest.settle());
    all.emplace_back(PutAct{content->path, {stored.front().value, stored.front().source}});
    saved.bytes += content->text.size();
    saved.new_bytes += stored.front().new_bytes;
  }
  const Prepared prepared = TRY(prepare(keys.library, all, text, passed_over, now));
  if (prepared.record.ops.empty()) return {};
  TRY(ingest.add_record(prepared.signed_record));
  TRY(ingest.finish());
  saved.sequence = TRY(commit(keys.library, prepared, {}, packs, now));
  saved.feed = keys.feed;
  ++saved.records;
  saved.person = prepared.record.person;
  saved.role = prepared.record.role;
  saved.who = prepared.record.who;
  std::set<DocumentId> documents;
  for (const store::Op& op : prepared.record.ops) documents.insert(op.document);
  saved.files += documents.size();
  return {};
}

// ---- policy ----------------------------------------------------------------------------------------------------------
Result<local::Answer> Engine::Body::answer(const local::OfferRequest& request, Now) {
  local::Offered out;
  for (const Bytes& envelope : request.envelopes) {
    if (const auto taken = objects_.take_document(envelope); !taken) out.refused.push_back(taken.error().text);
  }
  out.policy = realm_->trust().version().value;
  return out;
}

Result<local::Answer> Engine::Body::answer(const local::SessionRequest& request, Now now) {
  const auto policy = realm_->live();
  if (!policy || policy->directory() == nullptr)
    return fail(Fault::unavailable, "this node cannot read who is who: it has no policy with a directory that it can open");
  const crypto::SessionCertificate claimed = TRY(crypto::read_certificate(request.certificate));
  const auto note = [&](std::string_view why) {
    refusals_.note("refused: a session of person " + claimed.person.hex() + ", policy " + std::to_string(policy->version().value) + ": " + std::string(why));
  };
  const policy::Person* person = policy->person(claimed.person);
  if (person == nullptr) {
    note("not in it");
    return fail(Fault::denied, "the policy does not name this person");
  }
  Session session{TRY(crypto::open_certificate(request.certificate, person->key)), request.certificate,
                  TRY(crypto::SigningKey::from_seed(request.session_seed)), request.role};
  if (session.key.public_key() != session.certificate.session) return fail(Fault::not_authentic, "the session's key is not the certificate's");
  if (session.certificate.device != context_.node.id) return fail(Fault::denied, "the session is for another node");
  if (session.certificate.not_after_ms <= realm_->trusted_ms(now.wall_ms)) return fail(Fault::stale, "the session is over");
  const auto capacities = policy->capacities(person->id, now.wall_ms);
  if (std::ranges::none_of(capacities, [&](const auto& it) { return it.role == request.role; })) {
    std::string held;
    note("holds no post with that role");
    for (const auto& it : capacities) held += (held.empty() ? "" : ", ") + it.role;
    return fail(Fault::denied, held.empty() ? "the person holds no post now" : "the person does not hold that role now, but: " + held);
  }
  if (auto why = realm_->why_stopped({}, person->id, now.wall_ms)) {
    note("stopped by headquarters");
    return fail(Fault::denied, std::move(*why));
  }
  session_ = std::move(session);
  lost_session_.reset();
  return local::Done{};
}

Result<local::Answer> Engine::Body::answer(const local::EndSessionRequest&, Now) {
  session_.reset();
  lost_session_.reset();
  return local::Done{};
}

std::optional<local::SessionRow> Engine::session(Now now) const { return body_->session(now); }

std::optional<local::SessionRow> Engine::Body::session(Now now) const {
  if (!session_) return lost_session_;
  const crypto::SessionCertificate& it = session_->certificate;
  return local::SessionRow{it.person, session_->role, it.not_after_ms, it.not_after_ms <= realm_->trusted_ms(now.wall_ms) ? "over" : "active", it.libraries};
}

Result<local::Answer> Engine::Body::answer(const local::ExplainRequest& request, Now now) {
  const auto policy = realm_->policy();
  if (!policy) return fail(Fault::unavailable, "this node has no policy yet");
  if (policy->directory() == nullptr) return fail(Fault::denied, "this node cannot open the directory: it knows what nodes may do, not what persons may");
  policy::Request asked;
  const auto action = policy::action_named(request.action);
  if (!action) return fail(Fault::malformed, "no such action: discover, read, write, replicate, carry-out or administer");
  asked.action = *action;
  asked.node = context_.node.id;
  asked.time_ms = request.time_ms != 0 ? request.time_ms : now.wall_ms;
  const policy::LibraryTitle* library = policy->library_by_name(request.library);
  if (library == nullptr) return fail(Fault::not_found, "the policy names no such library: " + request.library);
  asked.library = library->id;
  // PERSON, PERSON/ROLE, or a node by its name.
  const std::size_t slash = request.who.find('/');
  const std::string role = slash == std::string::npos ? "" : request.who.substr(slash + 1);
  local::Explained out;
  if (const policy::Person* person = policy->person_by_name(request.who.substr(0, slash))) {
    asked.person = person->id;
    for (const policy::Policy::Capacity& it : policy->capacities(person->id, asked.time_ms)) {
      if (!role.empty() && it.role != role) continue;
      asked.role = it.role;
      asked.org = it.org;
      out.allowed = out.allowed || policy->decide(asked).allowed;
      out.text += (out.text.empty() ? "" : "\n") + policy->explain(asked);
    }
    if (out.text.empty())
      out.text = person->name + " holds no post " + (request.time_ms != 0 ? "then" : "now") + (role.empty() ? "" : " with the role " + role) + ": denied";
    return out;
  }
  const policy::MeshNode* node = policy->node_by_name(request.who);
  if (node == nullptr) return fail(Fault::not_found, "the policy names no such person or node: " + request.who);
  asked.node = node->keys.id;
  asked.role = policy::service_role;
  return local::Explained{policy->decide(asked).allowed, policy->explain(asked)};
}

Result<local::Answer> Engine::Body::answer(const local::WhoCanRequest& request, Now now) {
  const auto policy = realm_->policy();
  if (!policy) return fail(Fault::unavailable, "this node has no policy yet");
  if (policy->directory() == nullptr) return fail(Fault::denied, "this node cannot open the directory: it knows what nodes may do, not what persons may");
  const auto action = policy::action_named(request.action);
  if (!action) return fail(Fault::malformed, "no such action: discover, read, write, replicate, carry-out or administer");
  const policy::LibraryTitle* library = policy->library_by_name(request.library);
  if (library == nullptr) return fail(Fault::not_found, "the policy names no such library: " + request.library);
  local::Able out;
  out.policy = policy->version().value;
  for (policy::Able& it : policy::who_can(*policy, *action, library->id, request.time_ms != 0 ? request.time_ms : now.wall_ms)) {
    if (out.rows.size() == local::Able::rows_most) {
      out.more = true;
      break;
    }
    out.rows.push_back({std::move(it.name), std::move(it.shown), std::move(it.role), std::move(it.org), std::move(it.permits)});
  }
  return out;
}

Result<local::Answer> Engine::Body::answer(const local::SubjectsRequest& request, Now) {
  const auto policy = realm_->policy();
  if (!policy) return fail(Fault::unavailable, "this node has no policy yet");
  if (policy->directory() == nullptr) return fail(Fault::denied, "this node cannot open the directory: it does not know people and libraries by name");
  local::Subjects out;
  for (const std::string& name : request.nodes) {
    const policy::MeshNode* it = policy->node_by_name(name);
    if (it == nullptr) return fail(Fault::not_found, "the policy names no such node: " + name);
    out.nodes.push_back(it->keys.id);
  }
  for (const std::string& name : request.people) {
    const policy::Person* it = policy->person_by_name(name);
    if (it == nullptr) return fail(Fault::not_found, "the policy names no such person: " + name);
    out.people.push_back(it->id);
  }
  for (const std::string& name : request.libraries) {
    const policy::LibraryTitle* it = policy->library_by_name(name);
    if (it == nullptr) return fail(Fault::not_found, "the policy names no such library: " + name);
    out.libraries.push_back(it->id);
  }
  for (const std::string& name : request.orgs)
    if (std::ranges::find(policy->directory()->orgs, name, &policy::Org::id) == policy->directory()->orgs.end())
      return fail(Fault::not_found, "the policy names no such unit: " + name);
  for (const std::string& name : request.roles)
    if (std::ranges::none_of(policy->directory()->posts, [&](const policy::Post& it) { return std::ranges::find(it.roles, name) != it.roles.end(); }))
      return fail(Fault::not_found, "no post of the policy has the role: " + name);
  for (policy::Held& held : realm_->trust().documents())
    if (held.type == policy::DocumentType::suspend) out.suspensions.push_back(std::move(held.envelope));
  return out;
}

Result<local::Answer> Engine::Body::answer(const local::UnitRequest& request, Now) {
  local::Unit out;
  const policy::Trust& trust = realm_->trust();
  if (request.unit.empty()) {
    for (policy::Held& held : trust.unlisted())
      if (held.type == policy::DocumentType::org) out.envelopes.push_back(std::move(held.envelope));
    return out;
  }
  const policy::DocumentSet* set = trust.current();
  if (set == nullptr) return fail(Fault::unavailable, "this node has no policy yet");
  const policy::Delegation* delegation = set->mesh.delegation(request.unit);
  if (delegation == nullptr) return fail(Fault::not_found, "headquarters delegates nothing to a unit \"" + request.unit + "\"");
  const crypto::EpochKey* key = realm_->keys().find(policy::directory_library, set->directory.generation);
  if (key == nullptr) return fail(Fault::denied, "this node cannot open the directory: it does not know units and people");
  out.keys = delegation->keys.keys;
  out.threshold = delegation->keys.threshold;
  const std::string name = policy::org_name(request.unit);
  if (const auto listed = set->orgs.find(name); listed != set->orgs.end()) {
    out.listed = listed->second.header.version;
    out.newest = policy::format(TRY(policy::open_org(listed->second, realm_->keys())));
  }
  const auto ahead = trust.orgs_ahead();
  if (const auto at = ahead.find(name); at != ahead.end()) out.newest = policy::format(TRY(policy::open_org(at->second, realm_->keys())));
  if (!request.plain.empty()) {
    const policy::OrgDocument plain = TRY(policy::parse_org(request.plain));
    if (plain.header.realm != realm_->id() || plain.org != request.unit) return fail(Fault::denied, "the document is of another realm or unit");
    const policy::SealedOrg sealed = policy::seal_org(plain, set->directory.generation, *key);
    TRY(realm_->judge_org(sealed));
    out.sealed = policy::format(sealed);
  }
  if (!request.envelope.empty()) {
    const policy::Envelope envelope = TRY(policy::read_envelope(request.envelope));
    if (envelope.name != name) return fail(Fault::denied, "that is " + envelope.name + ", not " + name);
    const policy::SealedOrg sealed = TRY(policy::parse_sealed_org(envelope.payload));
    TRY(realm_->judge_org(sealed));
    out.plain = policy::format(TRY(policy::open_org(sealed, realm_->keys())));
  }
  return out;
}

Result<local::Answer> Engine::Body::answer(const local::HeadsRequest& request, Now) {
  local::Heads out;
  const store::CutSubject subject = request.person.is_zero() ? store::CutSubject(request.node) : store::CutSubject(request.person);
  for (const auto& [id, library] : libraries_) {
    out.libraries.push_back(id);
    for (const Library::Point& head : TRY(library->heads_of(subject))) out.rows.push_back({head.feed, head.sequence, head.root});
  }
  return out;
}

Result<local::Answer> Engine::Body::answer(const local::DocumentsRequest&, Now) {
  local::Documents out;
  const std::string own = policy::grants_name(context_.node.id);
  for (policy::Held& held : realm_->documents())
    if (held.type != policy::DocumentType::grants || held.name == own) out.envelopes.push_back(std::move(held.envelope));  // others' are for nobody here
  return out;
}

}  // namespace dozo::node
