// Accepting, view, folder, conflicts, acts and history of random realms, against an independent model's answers.
#include <doctest/doctest.h>

#include <random>

#include "crypto/hash.h"
#include "tests/folder_fixture.h"
#include "tests/vectors.h"
#include "tests/view_vectors.h"

using namespace dozo;
using namespace dozo::store;
using namespace dozo::view_vectors;
using namespace dozo::folder_fixture;

namespace {

void replay(const std::function<void(const Realm&)>& check) {
  CHECK(for_each(std::string(DOZO_SOURCE_DIR) + "/tests/vectors/view.jsonl", check) >= 40);
  if (const auto folder = vectors::folder()) {
    if (const auto larger = *folder / "view.jsonl"; std::filesystem::exists(larger)) {
      for_each(larger.string(), check);
    } else {
      std::cout << "skipped: no larger " << larger.lexically_normal().string() << "\n";
    }
  }
}

class GivenRights : public Rights {
 public:
  explicit GivenRights(const json& policies) {
    for (const json& policy : policies) {
      auto& [nodes, people] = policies_[{policy["version"].get<std::uint64_t>()}];
      for (const json& node : policy["nodes"]) nodes.insert(id_from<NodeId>(node));
      for (const json& person : policy["people"]) people.insert(id_from<PersonId>(person));
    }
  }
  bool knows(PolicyVersion version) const override { return policies_.contains(version); }
  bool allows(PolicyVersion version, const NodeId& sequencer, const Record& record) const override {
    const auto& [nodes, people] = policies_.at(version);
    return nodes.contains(sequencer) && nodes.contains(record.device) && people.contains(record.person);
  }

 private:
  std::map<PolicyVersion, std::pair<std::set<NodeId>, std::set<PersonId>>> policies_;
};

FeedId feed_of(const std::string& name) {
  const std::size_t slash = name.find('/');
  return {{}, id_from<NodeId>(name.substr(0, slash)), id_from<IncarnationId>(name.substr(slash + 1))};
}

Digest digest_of(const json& it) { return crypto::sha256(view_of(it.dump(-1, ' ', true))); }

/// The model's hash of a folder.
std::string hash_of(const TestFolder& folder) {
  json list = json::array();
  for (const auto& [path, shown] : folder.entries()) {
    const bool is_dir = shown.value.kind == ContentKind::dir;
    const json value{is_dir ? "dir" : "file", is_dir ? "" : to_hex(ByteView(shown.value.sha256.bytes).first(8)), shown.value.executable};
    list.push_back({to_hex(view_of(path)), value});
  }
  return digest_of(list).hex();
}

std::set<json> conflicts_of(const TestFolder& folder) {
  static const std::map<ConflictKind, std::string> names{{ConflictKind::content, "content"}, {ConflictKind::deleted, "deleted"},
                                                         {ConflictKind::label, "label"},     {ConflictKind::name, "name"},
                                                         {ConflictKind::path, "path"},       {ConflictKind::pathless, "pathless"}};
  std::set<json> out;
  for (const Conflict& it : folder.conflicts()) {
    json one{names.at(it.kind), it.document.hex()};
    if (it.kind == ConflictKind::name) one.push_back(it.holder ? it.holder->hex() : "folder");
    CHECK(out.insert(one).second);
  }
  return out;
}

void check_folder(const TestFolder& folder, const json& given) {
  const auto entries = folder.entries();
  CHECK(entries.size() == given["tree"].size());
  for (const auto& [hex, it] : given["tree"].items()) {
    const std::string path = text_from_hex(hex);
    CAPTURE(path);
    const auto found = entries.find(path);
    REQUIRE((found != entries.end()));
    const Shown& shown = found->second;
    CHECK(shown.document == id_from_hex<DocumentId>(it["doc"]));
    CHECK((shown.value == content_of(it["value"])));
    CHECK((shown.source == source_of(shown.value)));
    CHECK(shown.at == text_from_hex(it["at"]));
    std::vector<VersionId> replaces;
    for (const json& id : it["replaces"]) replaces.push_back(id_from_hex<VersionId>(id));
    CHECK((shown.replaces == replaces));
    CHECK((shown.side == side_of(it["side"])));
    CHECK((shown.rank == stamp_of(it["rank"])));
    CHECK((folder.find(path) == std::optional(shown)));
  }
  std::set<json> waits(given["conflicts"].begin(), given["conflicts"].end());
  CHECK((conflicts_of(folder) == waits));
}

void check_view(const TestFolder& folder, const json& given) {
  std::size_t known = 0;
  for (const DocumentId& document : folder.documents()) {
    for (const Register reg : {Register::path, Register::content, Register::label}) known += folder.registers(document).is_made(reg) ? 1 : 0;
  }
  CHECK(known == given["live"].size());
  for (const auto& [key, ids] : given["live"].items()) {
    const auto document = id_from_hex<DocumentId>(key.substr(0, 32));
    const std::string name = key.substr(33);
    const Register reg = name == "path" ? Register::path : name == "content" ? Register::content : Register::label;
    std::vector<VersionId> live;
    for (const json& id : ids) live.push_back(id_from_hex<VersionId>(id));
    CHECK((folder.registers(document).live_ids(reg) == live));
  }
  for (const auto& [document, label] : given["labels"].items()) CHECK(folder.registers(*DocumentId::parse(document)).label() == label.get<std::uint32_t>());
}

std::vector<RecordId> ids_of(const std::vector<const Held*>& records) {
  std::vector<RecordId> out;
  for (const Held* held : records) out.push_back(held->id);
  return out;
}

/// What changes say must lead from what was shown to what is.
void follow(std::map<std::string, Shown>& shown, const std::vector<Change>& changes) {
  CHECK((std::ranges::adjacent_find(changes, std::ranges::greater_equal{}, &Change::path) == changes.end()));  // ascending, each once
  for (const Change& change : changes) {
    if (change.now) {
      const auto old = shown.find(change.path);
      CHECK((old == shown.end() || !(old->second == *change.now)));
      shown.insert_or_assign(change.path, *change.now);
    } else {
      CHECK(shown.erase(change.path) == 1);
    }
  }
}

}  // namespace

TEST_CASE("view: realms of all kinds: the same entries are accepted, and the others refused for the same reasons") {
  replay([](const Realm& realm) {
    const GivenRights rights(realm.given["policies"]);
    std::vector<Cut> cuts;
    std::vector<Admit> admits;
    std::map<PolicyVersion, CutSubject> subjects;
    const auto subject_of = [](const std::string& name) -> CutSubject {
      if (name[0] == 'p') return id_from<PersonId>(name);
      return id_from<NodeId>(name);
    };
    for (const json& policy : realm.given["policies"]) {
      if (policy["cut"].is_null()) continue;
      Cut cut{{policy["version"].get<std::uint64_t>()}, subject_of(policy["cut"][0]), {}};
      for (const auto& [feed, end] : policy["cut"][1].items()) cut.ends[feed_of(feed)] = {end.get<std::uint64_t>()};
      subjects.emplace(cut.since, cut.subject);
      cuts.push_back(std::move(cut));
    }
    for (const json& policy : realm.given["policies"]) {
      for (const json& it : policy["admits"]) {
        const PolicyVersion since{it[0].get<std::uint64_t>()};
        if (subjects.contains(since)) admits.push_back({since, subjects.at(since), feed_of(it[1]), {it[2].get<std::uint64_t>()}});
      }
    }
    std::set<Stamp> accepted;
    std::map<std::string, std::string> refused;
    for (const auto& [name, entries] : realm.given["feeds"].items()) {
      PolicyVersion highest;
      std::uint64_t sequence = 0;
      for (const json& it : entries) {
        const Held& held = realm.records.at(it["record"]);
        const EntryFacts facts{
            feed_of(name),          {++sequence}, {it["policy"].get<std::uint64_t>()}, highest, &held.record, well_formed(held.record, held.id).has_value(),
            it["held"].get<bool>(), std::nullopt};
        if (const auto why = judge(facts, rights, cuts, admits, realm.given["now"].get<std::int64_t>())) {
          refused[name + "#" + std::to_string(sequence)] = name_of(*why);
        } else {
          accepted.insert(held.stamp());
        }
        highest = std::max(highest, facts.policy);
      }
    }
    std::set<Stamp> wanted;
    for (const Held* held : realm.accepted()) wanted.insert(held->stamp());
    CHECK((accepted == wanted));
    CHECK((json(refused) == realm.given["refused"]));
  });
}

TEST_CASE("view: realms of all kinds: view, labels, folder and conflicts are the model's, in whatever order and however often records come") {
  replay([](const Realm& realm) {
    const auto records = realm.accepted();
    std::mt19937_64 dice(realm.given["vector"].get<std::uint64_t>());
    {
      TestFolder at_once(realm.rule);
      for (const Held* held : records) at_once.apply(held->stored());
      check_view(at_once, realm.given);
      check_folder(at_once, realm.given);
    }
    for (int turn = 0; turn < 4; ++turn) {
      auto order = records;
      if (turn % 2 == 1) order.insert(order.end(), records.begin(), records.end());
      if (turn == 0) {
        std::ranges::reverse(order);
      } else {
        std::shuffle(order.begin(), order.end(), dice);
      }
      TestFolder folder(realm.rule);
      std::map<std::string, Shown> shown;
      for (const Held* held : order) follow(shown, folder.apply(held->stored()));
      CHECK((shown == folder.entries()));
      check_view(folder, realm.given);
      check_folder(folder, realm.given);
    }
  });
}

TEST_CASE("view: realms of all kinds: after each record in the order of stamps the folder is the one that the model's history hashes") {
  replay([](const Realm& realm) {
    TestFolder folder(realm.rule);
    std::string last;
    std::size_t k = 0;
    for (const Held* held : realm.accepted()) {
      folder.apply(held->stored());
      last = digest_of({last, hash_of(folder), held->id.hex()}).hex();
      REQUIRE(last == realm.given["history"][k++].get<std::string>());
    }
    CHECK(hash_of(folder) == realm.given["tree_hash"].get<std::string>());
    CHECK(k == realm.given["history"].size());
  });
}

TEST_CASE("view: realms of all kinds: taking a record out and back in gives what building afresh gives") {
  replay([](const Realm& realm) {
    const auto records = realm.accepted();
    if (records.empty()) return;
    std::mt19937_64 dice(realm.given["vector"].get<std::uint64_t>() + 1);
    TestFolder folder(realm.rule);
    for (const Held* held : records) folder.apply(held->stored());
    auto shown = folder.entries();
    for (int turn = 0; turn < 3; ++turn) {
      const Held* out = records[static_cast<std::size_t>(dice() % records.size())];
      auto rest = records;
      std::erase(rest, out);
      std::set<DocumentId> documents;
      for (const Op& op : out->record.ops) documents.insert(op.document);
      const auto all = ids_of(records), left = ids_of(rest);
      for (const DocumentId& document : documents) follow(shown, folder.reset(document, left));
      TestFolder afresh(realm.rule);
      for (const Held* held : rest) afresh.apply(held->stored());
      CHECK((shown == afresh.entries()));
      CHECK((folder.entries() == afresh.entries()));
      CHECK((folder.conflicts() == afresh.conflicts()));
      CHECK(hash_of(folder) == hash_of(afresh));
      for (const DocumentId& document : documents) follow(shown, folder.reset(document, all));
      check_folder(folder, realm.given);
    }
  });
}

TEST_CASE("view: realms of all kinds: acts replace what was shown, as the model's do") {
  std::map<std::string, std::size_t> done;
  for_each(std::string(DOZO_SOURCE_DIR) + "/tests/vectors/view.jsonl", [&](const Realm& realm) {
    TestFolder folder(realm.rule);
    for (const Held* held : realm.accepted()) folder.apply(held->stored());
    const ContentValue value = content_of({"file", "00000000000000aa", false});
    const Content content{value, source_of(value)};
    for (const json& it : realm.given["acts"]) {
      const std::string act = it["act"];
      CAPTURE(act);
      std::vector<Op> ops;
      if (act == "keep") {
        const auto kept = folder.of(id_from_hex<DocumentId>(it["doc"])), gone = folder.of(id_from_hex<DocumentId>(it["other"]));
        REQUIRE((!kept.empty() && !gone.empty()));
        ops = keep(folder, kept.front(), gone.front());
      } else {
        const auto shown = folder.find(text_from_hex(it["path"]));
        REQUIRE(shown);
        ops = act == "save"      ? save(*shown, content)
              : act == "rename"  ? rename(folder, *shown, "new/name")
              : act == "remove"  ? folder_fixture::remove(folder, *shown)
              : act == "resolve" ? resolve(folder, *shown, content)
              : act == "drop"    ? drop(folder, *shown)
                                 : set_label(folder, *shown, 7);
      }
      std::vector<Op> wanted;
      for (const json& op : it["ops"]) wanted.push_back(op_of(op));
      CHECK((ops == wanted));
      ++done[act + std::to_string(ops.size())];
    }
  });
  for (const char* act :
       {"save1", "rename1", "remove1", "remove2", "resolve0", "resolve1", "resolve2", "drop0", "drop1", "drop2", "drop3", "label1", "keep2", "keep3"}) {
    CAPTURE(act);
    CHECK(done[act] > 0);
  }
}
