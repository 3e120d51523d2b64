// What a contractor's node gets of the directory: enough to decide about its libraries as all others do, and nothing of anybody else.
#include "policy/signing.h"
#include "policy/slice.h"
#include "tests/policy_unit_fixture.h"

using namespace dozo;
using namespace dozo::policy_fixture;

namespace {

/// country with a contractor's node that is a member of "shared", where one post of the bureau and the contractor's people work.
const std::string& contracting() {
  static const std::string text = replaced(country, "name = \"lonely\"\nkind = \"bureau\"\n", "name = \"lonely\"\nkind = \"bureau\"\nslice = true\n") + R"(
[[library]]
name = "shared"
title = "橋梁工事"
home = "sapporo"
members.sapporo = { holding = "full", write = true }
members.lonely = { holding = "full", write = true }
[[label]]
number = 1
name = "caution"
[[org]]
id = "bridges"
title = "橋梁課"
parent = "roads"
[[org]]
id = "builder"
title = "建設会社"
[[post]]
id = "supervisor"
title = "監督員"
org = "bridges"
roles = ["supervisor"]
[[post]]
id = "secret"
title = "秘密"
org = "roads"
roles = ["agent"]
[[post]]
id = "site"
title = "現場代理人"
org = "builder"
roles = ["site"]
[[person]]
name = "mori"
shown = "森"
[[person.posts]]
post = "supervisor"
from = 2026-04-01
until = 2027-04-01
[[person.posts]]
post = "clerk"
[[person]]
name = "bond"
shown = "密"
[[person.posts]]
post = "secret"
[[person]]
name = "kato"
shown = "加藤"
[[person.posts]]
post = "site"
from = 2026-06-01
[[permit]]
id = "supervise"
orgs = ["roads"]
roles = ["supervisor"]
actions = ["read", "write", "administer"]
libraries = ["shared", "works"]
[[permit]]
id = "on-site"
roles = ["site"]
actions = ["read", "write"]
libraries = ["shared"]
[[permit]]
id = "agents"
roles = ["agent"]
actions = ["read", "write"]
libraries = ["works"]
[[permit]]
id = "nodes"
roles = ["service"]
actions = ["read"]
[[forbid]]
id = "caution-stays"
roles = ["site"]
labels = ["caution"]
actions = ["write"]
[[forbid]]
id = "not-twice"
roles = ["supervisor"]
acted_as = ["site"]
actions = ["administer"]
[[test]]
id = "kato-writes"
person = "kato"
role = "site"
node = "sapporo"
action = "write"
library = "shared"
time = 2026-07-01
expect = "allow"
[[test]]
id = "bond-works"
person = "bond"
role = "agent"
node = "sapporo"
action = "write"
library = "works"
time = 2026-07-01
expect = "allow"
)";
  return text;
}

struct Sliced : Repository {
  Sliced() { publish(contracting()); }
  Policy whole() const { return Policy({1}, mesh_of(hq.last), *open_directory(directory_of(hq.last), keys())); }
  KeyRing keys() const { return *open_epochs_with_admission(hq.admission, epochs_of(hq.last)); }
  KeyRing granted(const std::string& node) const { return *open_grants(hq.nodes.at(node).seal, grants_of(hq.last, hq.id(node)), epochs_of(hq.last)); }
  /// The contractor's unit signs for itself, and names one more person, whose post ends then (0: does not end). What was published.
  std::string publish_with_builder(std::int64_t until_s) {
    Unit builder("builder");
    std::string toml = replaced(
        contracting(), "[[permit]]\nid = \"on-site\"",
        "[[delegation]]\norg = \"builder\"\nroles = [\"site\"]\nkeys = [\"" + builder.keys.front().public_key().hex() + "\"]\n[[permit]]\nid = \"on-site\"");
    publish(toml);
    OrgDocument says = builder.says(hq, 1, {"ueda"});
    says.posts.front().roles = {"site"};
    says.people.front().tenures.front().until_s = until_s;
    Changes changes;
    changes.orgs = {builder.signs(hq, says)};
    publish(toml, changes);
    return toml;
  }
  /// As that node opens the policy that is in force at it.
  Policy seen_by(const Node& node, const std::string& name) const {
    const DocumentSet& set = *node.trust.current();
    const KeyRing ring = *open_grants(hq.nodes.at(name).seal, *set.grants, set.epochs);
    return *open_policy(set.version, set.mesh, set.directory, set.orgs, set.slice ? &*set.slice : nullptr, ring);
  }
};
std::vector<std::string> ids_of(const std::vector<Rule>& of) {
  std::vector<std::string> out;
  for (const Rule& it : of) out.push_back(it.id);
  return out;
}

}  // namespace

TEST_CASE_FIXTURE(Sliced, "slice: a contractor's node opens what bears on its libraries, and has no key of the directory") {
  Node node(hq, "lonely");
  REQUIRE(refresh(node));
  CHECK(std::ranges::find(asked, "slice/lonely") != asked.end());
  REQUIRE(node.trust.current()->slice);
  const KeyRing ring = granted("lonely");
  CHECK(ring.find(directory_library, directory_of(hq.last).generation) == nullptr);
  const Policy policy = seen_by(node, "lonely");
  REQUIRE(policy.directory() != nullptr);
  CHECK(names_in(policy) == std::vector<std::string>{"kato", "mori"});
  CHECK(policy.directory()->libraries.size() == 1);
  CHECK(ids_of(policy.directory()->permits) == std::vector<std::string>{"supervise", "on-site", "nodes"});
  CHECK(ids_of(policy.directory()->forbids) == std::vector<std::string>{"caution-stays", "not-twice"});
  CHECK(policy.directory()->permits.front().libraries == std::vector<LibraryId>{hq.library("shared")});
  CHECK(policy.directory()->tests.size() == 1);
  CHECK(policy.failing_tests().empty());
  // Nothing of whom and what it does not need stands in what it can open.
  const std::string plain(text_of(format(*policy.directory())));
  for (const char* secret : {"bond", "agent", "密", "\"工事\"", "図面", "sato"}) CHECK_MESSAGE(plain.find(secret) == std::string::npos, secret);
  CHECK(plain.find("橋梁工事") != std::string::npos);
  // Others neither need nor get it.
  Node bureau(hq, "sapporo");
  REQUIRE(refresh(bureau));
  CHECK(std::ranges::find(asked, "slice/lonely") == asked.end());
  CHECK(seen_by(bureau, "sapporo").directory()->people.size() == 4);
  CHECK(open_slice(*parse_sealed_slice(read_envelope(served.at("slice/lonely"))->payload), granted("sapporo")).error().fault == Fault::not_found);
}

TEST_CASE_FIXTURE(Sliced, "slice: it decides as the whole does, and one that does not is found") {
  const Policy all = whole();
  const std::vector<LibraryId> shared{hq.library("shared")};
  Directory slice = slice_of(*all.directory(), shared);
  CHECK(check_slice(all, Policy({1}, all.mesh(), slice), shared));
  const auto is_found = [&](const std::function<void(Directory&)>& change) {
    Directory other = slice;
    change(other);
    return !check_slice(all, Policy({1}, all.mesh(), other), shared);
  };
  CHECK(is_found([](Directory& it) { std::erase_if(it.people, [](const Person& who) { return who.name == "mori"; }); }));
  CHECK(is_found([](Directory& it) { it.forbids.erase(it.forbids.begin()); }));
  CHECK(is_found([](Directory& it) { it.forbids.pop_back(); }));
  CHECK(is_found([](Directory& it) { it.permits.pop_back(); }));
  CHECK(is_found([](Directory& it) { std::erase_if(it.orgs, [](const Org& org) { return org.id == "bridges"; }); }));
  CHECK(is_found([](Directory& it) {
    for (Person& who : it.people)
      for (Tenure& held : who.tenures)
        if (held.until_s != 0) held.until_s += 1;
  }));
  CHECK(is_found([&](Directory& it) { it.permits.front().libraries.clear(), it.permits.front().roles = {"site"}; }));
  // Of libraries about which no permit is, nobody is in it.
  CHECK(slice_of(*all.directory(), {hq.library("plans")}).people.empty());
}

TEST_CASE_FIXTURE(Sliced, "slice: it changes with what it is about, gets a new key when its node loses one, and the past opens with it") {
  Node node(hq, "lonely");
  REQUIRE(refresh(node));
  const Publication then = hq.last;
  const auto version = [&] { return parse_sealed_slice(read_envelope(hq.last.at("slice/lonely"))->payload)->header.version; };
  CHECK(version() == 2);  // that of the policy which made it
  publish(replaced(contracting(), "shown = \"密\"", "shown = \"密偵\""));
  CHECK(version() == 2);  // nothing of its
  publish(replaced(contracting(), "shown = \"加藤\"", "shown = \"加藤次郎\""));
  CHECK(version() == 4);
  REQUIRE(refresh(node));
  CHECK(seen_by(node, "lonely").person_by_name("kato")->shown == "加藤次郎");
  // The node is replaced under its name: another key, another epoch of the slice, and what was before is opened with it.
  const std::string as_now = replaced(contracting(), "shown = \"加藤\"", "shown = \"加藤次郎\"");
  hq.nodes.erase("lonely");
  publish(as_now);
  CHECK(parse_sealed_slice(read_envelope(hq.last.at("slice/lonely"))->payload)->generation.value == 2);
  Node next(hq, "lonely");
  REQUIRE(refresh(next));
  CHECK(seen_by(next, "lonely").person_by_name("kato") != nullptr);
  CHECK(open_slice(*parse_sealed_slice(read_envelope(then.at("slice/lonely"))->payload), granted("lonely")).has_value());
  // It becomes a bureau like others: now it has the directory.
  publish(replaced(as_now, "slice = true\n", ""));
  CHECK_FALSE(hq.last.contains("slice/lonely"));
  Node whole_again(hq, "lonely");
  REQUIRE(refresh(whole_again));
  CHECK(seen_by(whole_again, "lonely").directory()->people.size() == 4);
  // And back: the directory gets a key that it has not.
  const Epoch before = directory_of(hq.last).generation;
  publish(as_now);
  CHECK(directory_of(hq.last).generation > before);
}

TEST_CASE_FIXTURE(Sliced, "slice: an older version of the policy is complete with the slice of then") {
  const Publication then = hq.last;
  publish(replaced(contracting(), "shown = \"加藤\"", "shown = \"加藤次郎\""));
  Node node(hq, "lonely");
  REQUIRE(refresh(node));
  Past past;
  past.anchor(*node.trust.current());
  const PolicyVersion old{snapshot_of(then).header.version};
  REQUIRE(past.offer(then.at("snapshot")));
  for (const char* name : {"mesh", "directory"}) (void)past.offer(then.at(name));
  CHECK_FALSE(past.complete(old));
  REQUIRE(past.wants(old).size() == 1);
  CHECK(past.wants(old).front().name == "slice/lonely");
  REQUIRE(past.offer(then.at("slice/lonely")));
  REQUIRE(past.complete(old));
  CHECK(open_slice(*past.at(old)->slice, granted("lonely"))->people.size() == 2);
}

TEST_CASE_FIXTURE(Sliced, "slice: without it, with another's, or under a key that does not exist no policy comes into force") {
  const auto comes = [&](const std::function<void(Publication&)>& change) {
    Publication next = hq.last;
    change(next);
    next = hq.listed(next, snapshot_of(hq.last).header.version + 1, freshness_of(hq.last).header.version + 1);
    Node node(hq, "lonely");
    for (const auto& [name, bytes] : next) (void)node.offer(bytes);
    for (const auto& [name, bytes] : next) (void)node.offer(bytes);
    return node.version() == snapshot_of(hq.last).header.version + 1;
  };
  CHECK(comes([](Publication&) {}));
  CHECK_FALSE(comes([](Publication& it) { it.erase("slice/lonely"); }));
  SealedSlice slice = *parse_sealed_slice(read_envelope(hq.last.at("slice/lonely"))->payload);
  slice.generation.value = 9;
  CHECK_FALSE(comes([&](Publication& it) { it["slice/lonely"] = hq.sign(DocumentType::slice, "slice/lonely", format(slice)); }));
  slice.generation.value = 1;
  slice.node = "sapporo";
  CHECK_FALSE(comes([&](Publication& it) { it["slice/lonely"] = hq.sign(DocumentType::slice, "slice/lonely", format(slice)); }));
  CHECK_FALSE(
      comes([&](Publication& it) { it["slice/lonely"] = unsigned_envelope(DocumentType::slice, "slice/lonely", read_envelope(it["slice/lonely"])->payload); }));
}

TEST_CASE_FIXTURE(Sliced, "slice: what a unit says stands in it too, and is there after a restart") {
  publish_with_builder(0);
  Node node(hq, "lonely");
  REQUIRE(refresh(node));
  std::vector<Bytes> kept;
  for (const Held& it : node.trust.documents()) kept.push_back(it.envelope);
  Node again(*Trust::restore(node.trust.encode(), kept, hq.id("lonely")), hq.now_s);
  CHECK(names_in(seen_by(again, "lonely")) == std::vector<std::string>{"builder-ueda", "kato", "mori"});
  // Without the slice the state is not whole.
  std::erase_if(kept, [](const Bytes& it) { return read_envelope(it)->type == DocumentType::slice; });
  CHECK(Trust::restore(node.trust.encode(), kept, hq.id("lonely")).error().fault == Fault::corrupt);
}

TEST_CASE_FIXTURE(Sliced, "slice: a custodian signs none that does not follow from the directory") {
  const Draft draft = *policy::draft(hq.root, hq.realm, hq.compile(contracting()), nullptr, {}, hq.admission, hq.now_s);
  const auto said = [&](const std::function<void(DraftFile&)>& change) {
    DraftFile it{hq.realm, hq.roots, draft.documents, {}, {}, {1}, 90, 24};
    for (const auto& [library, epoch] : draft.directory_keys.list()) it.directory_keys.put(library, epoch, draft.directory_keys.find(library, epoch)->copy());
    change(it);
    const auto out = describe(*read_draft_file(write_draft_file(it)), hq.now_s * 1000);
    return out ? std::string("good") : out.error().text;
  };
  const LibraryId under = slice_library(hq.realm, "lonely");
  const auto with = [&](const std::function<void(Directory&)>& change) {
    return [&, change](DraftFile& it) {
      Directory slice = *open_slice(*parse_sealed_slice(read_envelope(it.documents.at("slice/lonely"))->payload), it.directory_keys);
      change(slice);
      const SealedSlice sealed = seal_slice(slice, "lonely", {1}, *it.directory_keys.find(under, {1}));
      it.documents["slice/lonely"] = unsigned_envelope(DocumentType::slice, "slice/lonely", format(sealed));
    };
  };
  CHECK(said([](DraftFile&) {}) == "good");
  CHECK(said(with([](Directory&) {})) == "good");
  const std::string why = "slice/lonely: not what follows from the draft's directory";
  CHECK(said(with([](Directory& it) { it.header.version = json_most(); })) == "slice/lonely: too high a version");
  CHECK(said(with([](Directory& it) { it.header.issued_s += 30 * day_s, it.header.expires_s += 30 * day_s; })).find("ahead of this machine's clock") !=
        std::string::npos);
  CHECK(said(with([](Directory& it) { it.people.pop_back(); })) == why);
  CHECK(said(with([](Directory& it) { it.forbids.clear(); })) == why);
  CHECK(said([](DraftFile& it) { it.documents.erase("slice/lonely"); }) == "the draft has no slice/lonely");
  CHECK(said([](DraftFile& it) {
          SealedSlice other = *parse_sealed_slice(read_envelope(it.documents.at("slice/lonely"))->payload);
          other.node = "sapporo";
          it.documents["slice/sapporo"] = unsigned_envelope(DocumentType::slice, "slice/sapporo", format(other));
        }) == "slice/sapporo: for a node that has none");
}

TEST_CASE_FIXTURE(Sliced, "slice: one that goes, and comes back for another node of its name, stops nobody, and is closed to who had it before") {
  Node bureau(hq, "sapporo"), contractor(hq, "lonely");
  REQUIRE(refresh(bureau));
  REQUIRE(refresh(contractor));
  const std::string member = "members.lonely = { holding = \"full\", write = true }\n";
  const std::string without = replaced(contracting(), member, "");
  publish(without);
  CHECK_FALSE(hq.last.contains("slice/lonely"));
  CHECK(refresh(bureau));  // each had the policy before, in which it was
  CHECK(refresh(contractor));
  CHECK(contractor.version() == snapshot_of(hq.last).header.version);
  const KeyRing before = *open_grants(hq.nodes.at("lonely").seal, grants_of(hq.last, hq.id("lonely")), epochs_of(hq.last));
  hq.nodes.erase("lonely");
  publish(contracting());
  CHECK(refresh(bureau));
  Node next(hq, "lonely");
  CHECK(refresh(next));
  REQUIRE(next.trust.current()->slice);
  CHECK(next.trust.current()->slice->generation.value == 2);
  CHECK(open_slice(*next.trust.current()->slice, granted("lonely")));
  // Publications go on.
  publish(replaced(contracting(), "shown = \"加藤\"", "shown = \"加藤次郎\""));
  CHECK(refresh(bureau));
  CHECK(refresh(next));
}

TEST_CASE_FIXTURE(Sliced, "slice: a bureau that has none yet, or keeps blind alone, takes policies all the same") {
  const std::string blind = replaced(contracting(), "members.lonely = { holding = \"full\", write = true }\n", "members.lonely = { holding = \"blind\" }\n");
  publish(blind);
  Node node(hq, "lonely");
  CHECK(refresh(node));
  CHECK(node.version() == snapshot_of(hq.last).header.version);
}

TEST_CASE_FIXTURE(Sliced, "slice: who is named by a unit, and whose post there has ended, makes none that cannot be opened") {
  const std::string toml = publish_with_builder(hq.now_s + 70);  // it is over when the slice is made
  Node node(hq, "lonely");
  REQUIRE(refresh(node));
  CHECK(names_in(seen_by(node, "lonely")) == std::vector<std::string>{"builder-ueda", "kato", "mori"});
  publish(replaced(toml, "shown = \"加藤\"", "shown = \"加藤次郎\""));
  CHECK(refresh(node));
}

TEST_CASE_FIXTURE(Sliced, "slice: a thief of the online keys who lists another document as the mesh crashes nobody") {
  Node node(hq, "lonely");
  REQUIRE(refresh(node));
  for (const char* other : {"epochs", "slice/lonely", "directory"}) {
    Publication next = hq.last;
    next = hq.listed(next, snapshot_of(hq.last).header.version + 1, freshness_of(hq.last).header.version + 1);
    Snapshot snapshot = snapshot_of(next);
    snapshot.documents.at("mesh") = snapshot.documents.at(other);
    next["snapshot"] = hq.sign(snapshot);
    const Bytes& bytes = next["snapshot"];
    next["freshness"] = hq.sign(Freshness{{hq.realm, freshness_of(hq.last).header.version + 1, hq.now_s, hq.now_s + day_s},
                                          hq.now_s,
                                          {snapshot.header.version, bytes.size(), crypto::sha256(bytes)}});
    Node fresh(hq, "lonely");  // to which all of them are new, and staged as what they are
    for (Node* one : {&node, &fresh}) {
      for (int round = 0; round < 2; ++round) one->hear(next);
      (void)one->trust.wants();
    }
    CHECK(fresh.version() == 0);
    CHECK(node.version() == snapshot_of(hq.last).header.version);
  }
}

TEST_CASE_FIXTURE(Sliced, "slice: only bureaus have one, and a name too long is a mistake") {
  const auto says = [&](const std::string& toml, const std::string& text) {
    const Checked checked = check(toml, "policy.toml", 0);
    CHECK_MESSAGE(std::ranges::any_of(checked.mistakes, [&](const Mistake& it) { return it.text.find(text) != std::string::npos; }), text);
  };
  CHECK(check(contracting(), "policy.toml", 0).mistakes.empty());
  says(replaced(contracting(), "kind = \"vault\"\n", "kind = \"vault\"\nslice = true\n"), "is for bureaus");
  says(replaced(contracting(), "kind = \"hq\"\n", "kind = \"hq\"\nslice = true\n"), "is for bureaus");
  const std::string name(60, 'x');
  says(contracting() + "[[node]]\nname = \"" + name + "\"\nkind = \"bureau\"\nzone = \"west\"\nslice = true\n", "at most 58 characters");
}
