// Fsck of what is derived: it is made once more from the truth, in a folder of its own, and the old is held against the new.
#include <algorithm>

#include "crypto/random.h"
#include "node/fsck_body.h"

namespace dozo::node {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t places_most = 65536;  // that are held at a time
constexpr std::size_t read_bytes = std::size_t{1} << 20;
constexpr std::size_t commits_most = 1000;

std::string count_text(std::uint64_t count, const char* what) { return std::to_string(count) + " " + what; }

}  // namespace

Result<void> Fsck::open_realm() {
  if (!has_policy_) {
    note(FsckKind::document, "no policy is in force here: libraries are not opened");
    return {};
  }
  auto recovered = read_recovered(home_, keys_->local);
  if (!recovered) damage(FsckKind::document, recovered.error().text);
  auto realm = Realm::open(*truth_, keys_->node, home_.realm.first_root, recovered ? std::move(*recovered) : policy::KeyRing());
  if (realm) {
    realm_ = std::move(*realm);
    if (salvaging_) realm_->set_wall_ms(options_.wall_ms);  // all writers are marked as suspended, and those that are not are known by the clock
    report_.opened = true;
    return {};
  }
  if (realm.error().fault == Fault::unavailable) return std::unexpected(std::move(realm.error()));
  note(FsckKind::document, "libraries are not opened before the truth is mended (--rebuild): " + realm.error().text);
  return {};
}

Result<void> Fsck::check_libraries() {
  // The old one.
  std::error_code code;
  const bool is_there = fs::exists(home_.derived() / "data.mdb", code);
  if (is_there && !derived_in_ruins_) {
    store::LmdbOptions how;
    how.read_only = true;
    auto opened = store::open_lmdb(home_.derived(), derived_tables(), how);
    if (opened) {
      stored_ = std::move(*opened);
      const auto own = is_own_derived(*stored_, keys_->local);
      if (!own && own.error().fault == Fault::unavailable) return std::unexpected(own.error());
      if (!own) damage_that(FsckState::mended, FsckKind::environment, own.error().text);
      if (own && *own && !**own) note(FsckKind::environment, "the derived store is another node's or another version's; dozod makes it anew at its next start");
      if (!own || (*own && !**own)) stored_.reset();
    } else if (opened.error().fault == Fault::corrupt || opened.error().fault == Fault::unsupported) {
      damage_that(FsckState::mended, FsckKind::environment, opened.error().text);
    } else if (opened.error().fault != Fault::not_found) {
      return std::unexpected(std::move(opened.error()));
    }
  }

  std::set<LibraryId> ids;
  if (const auto policy = realm_->policy()) {
    for (const LibraryId& id : policy->libraries_of(self_)) ids.insert(id);
  }
  for (const auto& [branch, line] : lines_) {
    if (line.has_head) ids.insert(branch.feed.library);
  }
  IncarnationId incarnation;
  crypto::random_bytes(incarnation.bytes);
  for (const LibraryId& id : ids) {
    tell("libraries");
    const std::string name = "library " + short_text(id);
    const LibraryContext context{*truth_, *scratch_, keys_->local, keys_->node, *realm_, incarnation};
    const auto library = Library::open(context, id);
    if (!library) {
      if (library.error().fault == Fault::unavailable) return std::unexpected(library.error());
      // Feeds that are damaged were named already.
      if (set_back_.empty() && !truth_differs_) {
        damage(FsckKind::feed, name + " cannot be opened: " + library.error().text);
      } else {
        note(FsckKind::feed, name + " cannot be opened before that is mended: " + library.error().text);
      }
      derived_complete_ = false;
      continue;
    }
    if (const auto& behind = (*library)->behind()) return std::unexpected(*behind);  // of the scratch store: nothing is wrong with the home
    const auto refused = TRY((*library)->refused()).size();
    if (refused > 0) note(FsckKind::record, name + ": " + count_text(refused, "records are stored and not accepted"));
    if (!(*library)->has_keys()) continue;
    if (stored_) TRY(check_view(*stored_, **library));
    TRY(check_contents(**library));
    tell("history");
    const auto history = (*library)->history();
    if (!history) {
      if (history.error().fault == Fault::unavailable) return std::unexpected(history.error());
      damage(FsckKind::history, name + ": its history cannot be made: " + history.error().text);
      continue;
    }
    report_.commits += (*history)->size();
    if (!stored_) continue;
    TRY(check_history(*stored_, id, **history));
    TRY(check_history_view(*stored_, **library));
  }
  if (stored_) {
    tell("index");
    TRY(check_index(*stored_));
    TRY(check_history_rows(*stored_));
  } else if (!derived_in_ruins_) {
    note(FsckKind::index, "nothing is derived yet; dozod does it at its next start");
  }
  return {};
}

// ---- contents ------------------------------------------------------------------------------------------------------------
Result<void> Fsck::check_contents(Library& library) {
  struct Current {
    PieceId manifest;
    DocumentId document;
    Digest sha256;
    auto operator<=>(const Current&) const = default;
  };
  std::set<std::pair<PieceId, Digest>> seen;
  std::vector<Current> current;
  TRY(TRY(library.readable())->walk("", "", [&](const std::string&, const store::Shown& shown) {
    if (shown.source && seen.emplace(shown.source->manifest, shown.value.sha256).second) {
      current.push_back({shown.source->manifest, shown.document, shown.value.sha256});
    }
    return true;
  }));
  std::uint64_t waiting = 0;
  Bytes buffer(read_bytes);
  for (const Current& it : current) {
    const auto read = [&]() -> Result<void> {
      const store::Manifest manifest = TRY(library.manifest(it.manifest));
      if (manifest.sha256 != it.sha256) return fail(Fault::not_authentic, "its manifest is of another content than its record says");
      store::ContentReader reader(manifest, library.pieces());
      for (std::uint64_t offset = 0; offset < reader.size();) {
        offset += TRY(reader.read(offset, buffer));
        tell("contents", report_.content_bytes + offset);
      }
      report_.content_bytes += reader.size();
      if (!reader.verified()) return fail(Fault::not_authentic, "the whole is not what its manifest says");
      return {};
    };
    const Result<void> done = read();
    ++report_.contents;
    if (done) continue;
    const Fault fault = done.error().fault;
    if ((fault == Fault::unavailable && library.missing_count() > 0) || fault == Fault::denied) {
      ++waiting;
      continue;
    }
    damage(FsckKind::content, "document " + short_text(it.document) + " of library " + short_text(library.id()) + ": " + done.error().text);
  }
  if (waiting > 0) note(FsckKind::content, count_text(waiting, "contents wait for packs or keys that are not here"));
  return {};
}

// ---- index ---------------------------------------------------------------------------------------------------------------
Result<void> Fsck::check_index(store::Kv& stored) {
  const auto old = TRY(stored.read()), anew = TRY(scratch_->read());
  std::uint64_t lacking = 0, stray = 0, wrong = 0, behind = 0;
  // Packs that are not marked as indexed are looked at by dozod when it starts.
  const auto packs = TRY(anew->cursor(indexed_table));
  for (bool found = TRY(packs->seek({})); found; found = TRY(packs->next())) {
    if (!TRY(old->get(indexed_table, packs->key()))) ++behind;
  }
  std::vector<std::pair<Bytes, PackAddress>> differing;
  const auto a = TRY(old->cursor(pieces_table)), b = TRY(anew->cursor(pieces_table));
  bool in_a = TRY(a->seek({})), in_b = TRY(b->seek({}));
  while (in_a || in_b) {
    const auto order = !in_a   ? std::strong_ordering::greater
                       : !in_b ? std::strong_ordering::less
                               : std::lexicographical_compare_three_way(a->key().begin(), a->key().end(), b->key().begin(), b->key().end());
    if (order > 0) {
      if (TRY(DerivedIndex::pack_of(*old, b->value()))) ++lacking;
      in_b = TRY(b->next());
      continue;
    }
    if (order < 0) {
      ++stray;
      in_a = TRY(a->next());
      continue;
    }
    if (!equal(a->value(), b->value())) {  // a piece may lie in several packs
      const auto address = TRY(DerivedIndex::pack_of(*anew, a->value()));
      if (address) {
        differing.emplace_back(bytes_of(a->key()), *address);
      } else {
        ++wrong;
      }
      if (differing.size() == places_most) TRY(confirm_places(differing, wrong));
    }
    in_a = TRY(a->next());
    in_b = TRY(b->next());
  }
  TRY(confirm_places(differing, wrong));
  const auto say = [&](std::uint64_t count, const char* what) {
    if (count > 0) damage_that(FsckState::mended, FsckKind::index, count_text(count, what));
  };
  say(lacking, "pieces are not in the index, though their packs are marked as indexed");
  say(wrong, "rows of the index lead to a pack that does not have the piece");
  if (stray > 0 && damaged_packs_.empty() && derived_complete_ && listed_found_ == listed_.size()) {
    say(stray, "rows of the index are of pieces that no pack has");
  } else if (stray > 0) {
    note(FsckKind::index, count_text(stray, "rows of the index lead to packs that are not here"));
  }
  if (behind > 0) note(FsckKind::index, count_text(behind, "packs are not indexed yet; dozod does it at its next start"));
  return {};
}

/// Whether each piece lies in the pack that its row names.
Result<void> Fsck::confirm_places(std::vector<std::pair<Bytes, PackAddress>>& places, std::uint64_t& wrong) {
  std::ranges::sort(places, {}, [](const auto& it) { return it.second; });
  auto in = TRY(truth_->read());
  for (auto it = places.begin(); it != places.end();) {
    const PackAddress address = it->second;
    std::set<Bytes> keys;
    const auto listed = std::ranges::lower_bound(listed_, address, {}, &Listed::address);
    const bool known = listed != listed_.end() && listed->address == address;
    const auto sealed = known ? in.pack_checked(address) : Result<std::optional<ByteView>>(std::nullopt);
    const crypto::EpochKey* key = known ? realm_->keys().find(listed->library, listed->epoch) : nullptr;
    if (sealed && *sealed && key != nullptr) {
      const DerivedIndex index(*scratch_, keys_->local, listed->library);
      if (const auto opened = store::OpenPack::open(*key, **sealed, listed->library)) {
        for (const store::PiecePlace& place : opened->places()) keys.insert(index.key_of(place.id));
      }
    }
    for (; it != places.end() && it->second == address; ++it) wrong += keys.contains(it->first) ? 0 : 1;
  }
  places.clear();
  return {};
}

// ---- history -------------------------------------------------------------------------------------------------------------
Result<void> Fsck::check_history(store::Kv& stored, const LibraryId& id, store::History& anew) {
  const std::string name = "library " + short_text(id) + ": ";
  const auto look = [&]() -> Result<void> {
    const store::History old = TRY(store::History::open(stored, keys_->local, id));
    std::uint64_t same = 0;
    while (same < old.size() && same < anew.size() && TRY(old.record_at(same + 1)) == TRY(anew.record_at(same + 1))) ++same;
    // Late records change commits from their place on; that is done when somebody asks for the history.
    if (same < old.size() || same < anew.size()) history_behind_ = true;
    for (std::uint64_t number = 1; number <= same; ++number) {
      if (TRY(old.id_at(number)) != TRY(anew.id_at(number))) return fail(Fault::corrupt, "commit " + std::to_string(number) + " is another one");
      TRY(old.diff(number - 1, number, [](const store::HistoryDifference&) { return true; }));
    }
    for (std::uint64_t before = same + 1; before > 1; before -= std::min<std::uint64_t>(before - 1, commits_most)) {
      store::LogQuery query;
      query.limit = commits_most;
      query.before = before;
      const auto here = TRY(old.log(query)), there = TRY(anew.log(query));
      for (std::size_t i = 0; i < there.size(); ++i) {
        if (i >= here.size() || here[i].id != there[i].id || here[i].changed != there[i].changed) return fail(Fault::corrupt, "its log is another one");
      }
    }
    return {};
  };
  const Result<void> sound = look();
  if (sound) return {};
  if (sound.error().fault == Fault::unavailable) return sound;
  damage_that(FsckState::mended, FsckKind::history, name + "history: " + sound.error().text);
  return {};
}

Result<void> Fsck::check_history_rows(store::Kv& stored) {
  const auto old = TRY(stored.read()), anew = TRY(scratch_->read());
  std::uint64_t damaged = 0, lacking = 0;
  const auto rows = TRY(old->cursor(history_table));
  for (bool found = TRY(rows->seek({})); found; found = TRY(rows->next())) {
    if (!keys_->local.open(rows->value(), rows->key())) ++damaged;
  }
  if (!history_behind_) {
    const auto wanted = TRY(anew->cursor(history_table));
    for (bool found = TRY(wanted->seek({})); found; found = TRY(wanted->next())) {
      if (!TRY(old->get(history_table, wanted->key()))) ++lacking;
    }
  }
  if (damaged > 0) damage_that(FsckState::mended, FsckKind::history, count_text(damaged, "rows of the history do not open"));
  if (lacking > 0) damage_that(FsckState::mended, FsckKind::history, count_text(lacking, "rows of the history are missing"));
  return {};
}

// ---- the new one in place of the old -------------------------------------------------------------------------------------
Result<void> Fsck::swap_derived() {
  // Without libraries there is nothing to put there: dozod makes it when it starts.
  std::error_code code;
  fs::remove_all(home_.derived(), code);
  if (!code && fs::exists(scratch_path(), code)) fs::rename(scratch_path(), home_.derived(), code);
  if (!code && !fs::exists(home_.derived(), code)) return make_private_folder(home_.derived());
  if (code) return fail(Fault::unavailable, home_.derived().string() + ": " + code.message());
  return sync_folder(home_.path);
}

}  // namespace dozo::node
