#include "tests/simulator/workload.h"

#include <fmt/format.h>

#include "crypto/hash.h"
#include "node/pack_keeper.h"
#include "store/entry.h"

namespace dozo::simulator {
namespace {

using node::Act;
namespace local = node::local;

Process* running_node(World& world, bool with_liar) {
  std::vector<Process*> all;
  for (const auto& it : world.nodes) {
    if (it->running() && (with_liar || world.is_honest(it->index))) all.push_back(it.get());
  }
  return all.empty() ? nullptr : world.dice.pick(all);
}

/// Mostly one that the node holds; now and then any.
std::string some_library(World& world, const Process& node) {
  std::vector<std::string> own, all;
  for (const auto& [name, members] : world.authority->plan().libraries) {
    all.push_back(name);
    const auto member = members.find(node.name);
    if (member != members.end() && member->second.holding == policy::Holding::full) own.push_back(name);
  }
  return own.empty() || world.dice.chance(30) ? world.dice.pick(all) : world.dice.pick(own);
}

/// Few names, so that people meet.
std::string some_path(World& world) {
  static constexpr std::array<const char*, 3> folders{"", "bridges/", "bridges/north/"};
  return std::string(folders[world.dice.below(3)]) + world.tag + "-" + std::to_string(world.dice.below(12));
}

std::vector<std::string> shown_paths(Process& node, const std::string& library) {
  const auto found = node.engine->library_named(library);
  std::vector<std::string> out;
  if (!found || (*found)->folder() == nullptr) return out;
  const auto entries = (*found)->folder()->entries();
  if (!entries) return out;
  for (const auto& [path, shown] : *entries) out.push_back(path);
  return out;
}

Bytes some_content(World& world, std::size_t size) {
  Bytes out = bytes_of(world.tag + " ");
  if (size > 4'000 && world.dice.chance(500)) {
    append(out, world.dice.bytes(size));  // does not compress
  } else {
    while (out.size() < size) append(out, view_of("crack " + std::to_string(world.dice.below(100'000)) + " " + world.tag + "\n"));
    out.resize(std::max<std::size_t>(size, 20));
  }
  return out;
}

/// Of an honest node: what its own feed grew by is what it made.
void note_commits(World& world, Process& node) {
  if (!node.running() || !world.is_honest(node.index)) return;
  for (const auto& [name, id] : world.authority->libraries()) {
    const node::Library* library = node.engine->library(id);
    if (library != nullptr) world.invariants.authority.committed(world, node, library->own_feed());
  }
}

void acknowledge(World& world, Process& node, const FeedId& feed, Sequence sequence, const RecordId& record) {
  world.coverage.note(Seen::saved);
  Save& save = world.saves.emplace_back(Save{node.index, feed, sequence, record, world.operation, {}});
  save.holders[node.index] = world.now_ms();
}

bool begin(World& world, Process& node, std::unique_ptr<OpenSave> save) {
  auto keys = node.engine->begin_save(save->library_name, world.now_of(node));
  if (!keys) {
    world.trace(fmt::format("{}: save in {} denied: {}", node.name, save->library_name, keys.error().text));
    world.coverage.note(Seen::save_denied);
    world.after_call(node, false);
    return false;
  }
  save->keys = std::move(*keys);
  save->stored.clear();
  save->meta.clear();
  OpenSave* raw = save.get();
  const auto sink = [&node, raw](store::SealedPack&& pack) -> Result<void> {
    if (pack.kind == crypto::PackKind::meta) {
      raw->meta.push_back(std::move(pack));
      return {};
    }
    raw->stored.push_back({{pack.address, static_cast<std::uint32_t>(pack.bytes.size()), pack.kind}, std::move(pack.places)});
    node::PackKeeper keeper(*node.truth, false);
    TRY(keeper.keep(pack.address, std::move(pack.bytes)));
    return keeper.finish();
  };
  store::IngestOptions how;
  how.library = raw->keys->library;
  how.epoch = raw->keys->epoch;
  how.zstd_level = 1;
  how.workers = 0;
  raw->ingest = std::make_unique<store::Ingest>(how, raw->keys->key, *raw->keys->index, sink);
  for (const Bytes& content : raw->contents) {
    store::BytesSource source(content);
    store::ContentTraits traits;
    traits.kind = store::ContentKind::file;
    if (const auto added = raw->ingest->add(source, traits); !added) {
      world.trace(node.name + ": reading for a save: " + added.error().text);
      save.reset();
      world.after_call(node, false);
      return false;
    }
  }
  node.save = std::move(save);
  world.after_call(node, false);
  return node.running() && node.save != nullptr;
}

Result<void> try_finish(World& world, Process& node, OpenSave& save) {
  std::vector<Act> acts = save.acts;
  const std::vector<store::StoredContent> contents = TRY(save.ingest->settle());
  for (std::size_t i = 0; i < contents.size(); ++i) acts.push_back(node::PutAct{save.paths[i], {contents[i].value, contents[i].source}});
  node::Library::PassedOver passed_over;
  const node::Prepared prepared =
      TRY(node.engine->prepare_save(save.keys->library, acts, "by " + node.name + " " + world.tag, &passed_over, world.now_of(node)));
  if (prepared.record.ops.empty()) return {};
  if (prepared.epoch != save.keys->epoch) {
    world.coverage.note(Seen::epoch_changed_under_save);
    return fail(Fault::stale, "another epoch");
  }
  TRY(save.ingest->add_record(prepared.signed_record));
  TRY(save.ingest->finish());
  world.made[prepared.id] = {node.index, save.keys->library, prepared.policy, node.astray_ms > 0};
  const FeedId feed = node.engine->library(save.keys->library)->own_feed();
  if (world.options.planted == Planted::forgetful_disk) world.before_commit[node.index] = node.disks;
  const Result<Sequence> done = node.engine->commit_save(save.keys->library, prepared, std::move(save.stored), save.meta, world.now_of(node));
  if (!done) return std::unexpected(done.error());
  world.trace(fmt::format("{}: saved {} ops in {} as {} {}", node.name, prepared.record.ops.size(), save.library_name, feed.incarnation.hex().substr(0, 6),
                          done->value));
  acknowledge(world, node, feed, *done, prepared.id);
  if (save.bit_flipped) world.saves.back().holders.erase(node.index);
  if (node.astray_ms > 0) world.coverage.note(Seen::saved_years_ahead);
  if (acts.size() > 3) world.coverage.note(Seen::saved_many_at_once);
  if (!save.contents.empty() && save.contents[0].size() > 2 * sync::slice_bytes_most) world.coverage.note(Seen::saved_large);
  for (const Act& it : save.acts) {
    if (std::holds_alternative<node::MoveAct>(it)) world.coverage.note(Seen::moved);
    if (std::holds_alternative<node::RemoveAct>(it)) world.coverage.note(Seen::removed);
    if (std::holds_alternative<node::ResolveAct>(it)) world.coverage.note(Seen::conflict_resolved);
  }
  if (world.options.planted == Planted::unsealed_copy && !save.contents.empty() && world.dice.chance(100)) {
    auto write = TRY(node.truth->write());
    TRY(write.put_local("copy", save.contents[0]));
    TRY(write.commit());
  }
  return {};
}

void save_some(World& world, Process& node) {
  auto save = std::make_unique<OpenSave>();
  save->library_name = some_library(world, node);
  std::size_t count = 1, size = 30 + world.dice.below(1'500);
  if (world.dice.chance(60)) size = 140'000 + world.dice.below(250'000);
  if (world.dice.chance(60)) count = 4 + world.dice.below(12);
  for (std::size_t i = 0; i < count; ++i) {
    save->paths.push_back(some_path(world));
    save->contents.push_back(some_content(world, size));
  }
  if (begin(world, node, std::move(save)) && !world.dice.chance(250)) finish_save(world, node);
}

void change_some(World& world, Process& node) {
  auto save = std::make_unique<OpenSave>();
  save->library_name = some_library(world, node);
  const std::vector<std::string> paths = shown_paths(node, save->library_name);
  if (paths.empty()) return save_some(world, node);
  const std::string path = world.dice.pick(paths);
  switch (world.dice.below(4)) {
    case 0:
    case 1: save->acts.push_back(node::MoveAct{path, some_path(world)}); break;
    case 2: save->acts.push_back(node::RemoveAct{path, true}); break;
    default: {  // a folder
      const std::size_t slash = path.find('/');
      const std::string folder = slash == std::string::npos ? path : path.substr(0, slash);
      if (world.dice.chance(500)) {
        save->acts.push_back(node::MoveAct{folder, "kept/" + world.tag + std::to_string(world.dice.below(3))});
      } else {
        save->acts.push_back(node::RemoveAct{folder, true});
      }
    }
  }
  if (begin(world, node, std::move(save))) finish_save(world, node);
}

void resolve_some(World& world, Process& node) {
  const std::string library = some_library(world, node);
  const local::Answer answer = node.engine->answer(local::ConflictsRequest{library}, world.now_of(node));
  const auto* conflicts = std::get_if<local::Conflicts>(&answer);
  if (conflicts == nullptr || conflicts->rows.empty()) return;
  world.coverage.note(Seen::conflict_shown);
  const local::ConflictRow& row = conflicts->rows[world.dice.below(conflicts->rows.size())];
  if (row.path.empty()) return;
  auto save = std::make_unique<OpenSave>();
  save->library_name = library;
  node::ResolveAct act{row.path, std::nullopt};
  if (!row.paths.empty() && world.dice.chance(500)) act.use = row.paths[world.dice.below(row.paths.size())];
  save->acts.push_back(std::move(act));
  if (begin(world, node, std::move(save))) finish_save(world, node);
}

/// Any of the history. Empty: there is none.
std::string some_commit(World& world, node::Library& library) {
  const auto history = library.history();
  if (!history || (*history)->size() == 0) return {};
  const auto id = (*history)->id_at(1 + world.dice.below((*history)->size()));
  return id ? id->hex() : std::string();
}

/// What a tag that is given now names. It shows what the newest commit does, where all that is known can be read.
std::optional<Tagged> tag_of(World& world, const Process& node, node::Library& library) {
  const auto now = library.tag_now();
  if (!now) return std::nullopt;
  const auto moment = library.tagged(now->tag);
  if (!moment) return std::nullopt;  // a bit that flipped; the end asks again
  const auto tree = moment->history->tree_at(moment->number);
  const auto history = library.history();
  const auto newest = history ? (*history)->tree_at((*history)->size()) : Result<store::GitId>(std::unexpected(history.error()));
  const auto records = records_to(*moment);
  const auto refused = library.refused();
  if (!tree || !newest || !records || !refused) return std::nullopt;
  if (now->left_out == 0 && *tree != *newest) world.violate("tags", fmt::format("{}: a tag given now shows something else than now", node.name));
  Tagged out{library.id(), now->tag, *records, {}, *tree};
  for (const auto& [record, why] : *refused) {
    if (store::is_final(why)) out.not_counting.insert(record);
  }
  return out;
}

/// The same acts as a person's command gives them.
void request_some(World& world, Process& node) {
  const std::string library = some_library(world, node);
  const std::vector<std::string> paths = shown_paths(node, library);
  if (paths.empty()) return;
  const std::string& path = paths[world.dice.below(paths.size())];
  local::Request request;
  // What it makes is known only by its outcome: not while a crash, or a bit that flipped in the history, may hide that.
  const auto found = node.engine->library_named(library);
  const bool is_hidden = node.crash_is_due || !found || !(*found)->history();
  const std::string then = is_hidden ? "" : some_commit(world, **found);
  const std::uint64_t what = then.empty() ? 4 + world.dice.below(4) : world.dice.below(12);
  const bool writes = what < 4;
  std::optional<Tagged> tagged;
  switch (what) {
    case 0: request = local::MoveRequest{library, path, some_path(world), world.tag}; break;
    case 1: request = local::RemoveRequest{library, path, world.tag, true}; break;
    case 2: request = local::RestoreRequest{library, world.dice.chance(500) ? "" : path, then, world.tag, world.dice.chance(300)}; break;
    case 3:
      tagged = tag_of(world, node, **found);
      request = local::TagRequest{library, world.tag + "-tag-" + std::to_string(world.tags.size()), world.tag};
      break;
    case 4: request = local::ListRequest{library, "", "", true}; break;
    case 5: request = local::LogRequest{library, path}; break;
    case 6: request = local::StatusRequest{}; break;
    case 7: request = local::PeersRequest{}; break;
    case 8: request = local::ListRequest{library, "", "", false, 1000, then}; break;
    case 9: request = local::DiffRequest{library, "", then, ""}; break;
    case 10: request = local::CommitRequest{library, "", world.now_of(node).wall_ms - static_cast<std::int64_t>(world.dice.below(600'000))}; break;
    default: request = local::StatRequest{library, path, then}; break;
  }
  if (what >= 8) world.coverage.note(Seen::looked_back);
  const PolicyVersion policy = node.engine->realm().policy()->version();
  const auto end = [&] {
    const auto point = (*found)->first_line((*found)->own_feed());
    return point ? point->sequence : Sequence{0};
  };
  const FeedId feed = found ? (*found)->own_feed() : FeedId{};
  const Sequence before = found ? end() : Sequence{0};
  const local::Answer answer = node.engine->answer(request, world.now_of(node));
  if (node.crashed()) return world.after_call(node, false);
  if (const auto* refusal = std::get_if<local::Refusal>(&answer)) world.trace(node.name + ": refused: " + refusal->text);
  if (writes && found) {
    const Sequence after = end();
    if (after > before || (*found)->own_feed() != feed) {  // after a clock was put right it writes in another one
      // The records are those that were not in the history, the last of them that of the last entry.
      const auto history = (*found)->history();
      if (!history) world.unseen.push_back({node.index, (*found)->id(), policy, node.astray_ms > 0});
      Sequence sequence = after;
      const Sequence first{(*found)->own_feed() == feed ? before.value + 1 : 1};
      for (std::uint64_t k = history ? (*history)->size() : 0; k > 0 && sequence >= first; --k) {
        const auto record = (*history)->record_at(k);
        if (!record || world.made.contains(*record)) continue;
        world.made[*record] = {node.index, (*found)->id(), policy, node.astray_ms > 0};
        world.trace(fmt::format("{}: asked for a change in {}: {}", node.name, library, sequence.value));
        if (std::holds_alternative<local::Saved>(answer)) acknowledge(world, node, (*found)->own_feed(), sequence, *record);
        --sequence.value;
      }
      if (what == 2) world.coverage.note(Seen::brought_back);
    }
    if (tagged && std::holds_alternative<local::Saved>(answer)) {
      world.coverage.note(Seen::tagged);
      if (world.options.planted == Planted::forgotten_point && tagged->tag.points.size() > 1) tagged->tag.points.pop_back();
      world.tags.push_back(std::move(*tagged));
    }
  }
  world.after_call(node, false);
}

void publish_some(World& world) {
  using policy::Holding;
  policy::Changes changes;
  auto& works = world.plan.libraries["works"];
  auto& plans = world.plan.libraries["plans"];
  switch (world.dice.below(5)) {
    case 0: changes.new_epochs.insert(world.authority->library(world.dice.chance(500) ? "works" : "plans")); break;
    case 1:
      if (works.contains("biei")) {
        works.erase("biei");
        world.coverage.note(Seen::member_removed);
      } else {
        works["biei"] = {Holding::full, true};
        world.coverage.note(Seen::member_returned);
      }
      break;
    case 2: plans["biei"].may_write = !plans["biei"].may_write; break;
    case 3:
      if (!world.plan.nodes.contains("chitose")) {
        world.plan.nodes["chitose"] = {policy::NodeKind::bureau, "sapporo"};
        works["chitose"] = {Holding::full, true};
        plans["chitose"] = {Holding::full, false};
        world.coverage.note(Seen::newcomer_admitted);
      } else {
        plans["chitose"].may_write = !plans["chitose"].may_write;
      }
      break;
    default: break;  // the same again
  }
  world.publish(changes);
}

}  // namespace

void finish_save(World& world, Process& node) {
  while (node.running() && node.save) {
    std::unique_ptr<OpenSave> save = std::move(node.save);
    const Result<void> done = try_finish(world, node, *save);
    if (node.crashed()) {
      if (world.is_honest(node.index)) world.invariants.authority.unheard(save->keys->feed);
      world.coverage.note(Seen::crashed_under_save);
      save.reset();  // before the engine that its index is of
      return world.after_call(node, false);
    }
    if (!done) world.trace(fmt::format("{}: save in {}: {}", node.name, save->library_name, done.error().text));
    if (!done && done.error().fault == Fault::denied) world.coverage.note(Seen::save_denied);
    note_commits(world, node);
    world.after_call(node, false);
    if (done || done.error().fault != Fault::stale || save->attempts == 3 || !node.running()) return;
    world.coverage.note(Seen::save_stale);
    ++save->attempts;
    save->ingest.reset();
    if (!begin(world, node, std::move(save))) return;
  }
}

namespace {

/// A planted bug: it signed for the pack, and does not have it.
void drop_pack(Process& holder, const Save& save) {
  if (!holder.running()) return;
  auto write = holder.truth->write();
  if (!write) return;
  const auto bytes = write->entry(store::Branch(save.feed), save.sequence);
  if (!bytes || !*bytes) return;
  const auto entry = store::decode_entry(**bytes);
  const auto* packs = entry ? std::get_if<std::vector<store::PackListing>>(&entry->packs) : nullptr;
  if (packs != nullptr && !packs->empty() && write->erase_pack(packs->front().address)) (void)write->commit();
}

}  // namespace

void save_in(World& world, Process& node, const std::string& library) {
  auto save = std::make_unique<OpenSave>();
  save->library_name = library;
  save->paths.push_back(some_path(world));
  save->contents.push_back(some_content(world, 200));
  if (begin(world, node, std::move(save))) finish_save(world, node);
}

void note_promises(World& world, Process& node, const std::string& library) {
  const LibraryId id = world.authority->library(library);
  const node::Library* held = node.engine->library(id);
  if (held == nullptr) return;
  const local::Answer answer = node.engine->answer(local::ReplicasRequest{id.hex()}, world.now_of(node));
  const auto* replicas = std::get_if<local::Replicas>(&answer);
  if (replicas != nullptr) {
    std::map<FeedId, Sequence> known;
    for (const node::Library::FeedState& feed : held->feeds()) known[feed.feed] = feed.known;
    for (const local::ReplicaRow& row : replicas->rows) {
      Process* holder = world.by_id(row.node);
      if (holder == nullptr || row.statement == "none" || row.entries_behind != 0 || row.time_ms <= holder->promises_since_ms) continue;
      // Said by a clock that was years off: before or after which loss is not to be told.
      if (std::abs(row.time_ms - world.usual_wall_ms(*holder)) > std::int64_t{24} * 60 * 60 * 1000) continue;
      if (!world.is_honest(holder->index) || holder->index == node.index || world.doubtful.contains(holder->index)) continue;
      for (Save& save : world.saves) {
        const auto at = known.find(save.feed);
        if (at == known.end() || at->second < save.sequence) continue;
        if (!save.holders.try_emplace(holder->index, world.now_ms()).second) continue;
        if (world.options.planted == Planted::dropped_pack && world.dice.chance(50)) drop_pack(*holder, save);
        if (save.holders.size() == 2) world.coverage.note(Seen::held_by_two);
        if (save.holders.size() == 3) world.coverage.note(Seen::held_by_three);
      }
    }
  }
  world.after_call(node, false);
}

std::string read_all(World& world, Process& node, const std::string& library) {
  const auto found = node.engine->library_named(library);
  if (!found) return "no such library: " + found.error().text;
  if ((*found)->folder() == nullptr) return "no keys";
  const auto entries = (*found)->folder()->entries();
  if (!entries) return "no folder: " + entries.error().text;
  for (const auto& [path, shown] : *entries) {
    if (shown.value.kind != store::ContentKind::file) continue;
    if (!shown.source) return "no source of a file";
    Bytes content;
    for (;;) {
      const local::Answer answer =
          node.engine->answer(local::ReadRequest{library, shown.source->manifest, content.size(), local::read_bytes_most}, world.now_of(node));
      const auto* data = std::get_if<local::Data>(&answer);
      if (data == nullptr) return std::get<local::Refusal>(answer).text;
      if (data->bytes.empty()) break;
      append(content, data->bytes);
    }
    if (crypto::sha256(content) != shown.value.sha256) return "other bytes than the record says";
  }
  return {};
}

void act(World& world) {
  Process* node = running_node(world, true);
  if (node == nullptr) return;
  if (node->save && world.dice.chance(600)) return finish_save(world, *node);
  if (node->save) return;
  if (!node->engine->realm().policy()) return;
  const std::uint64_t what = world.dice.below(100);
  if (what < 50) return save_some(world, *node);
  if (what < 64) return change_some(world, *node);
  if (what < 71) return resolve_some(world, *node);
  if (what < 78) {
    request_some(world, *node);
    return note_commits(world, *node);
  }
  if (what < 80) return world.dice.chance(600) ? publish_some(world) : world.hand_over();
  if (what < 92) return note_promises(world, *node, some_library(world, *node));
  const std::string library = some_library(world, *node);
  const std::string wrong = read_all(world, *node, library);
  if (wrong.empty()) world.coverage.note(Seen::read_back);
  world.after_call(*node, false);
}

}  // namespace dozo::simulator
