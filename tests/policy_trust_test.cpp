// Trust: what comes into force, and what does not: the cases of TUF 5.1 to 5.7, against documents that come in any order.
#include "policy/trust.h"

#include <random>

#include "tests/policy_fixture.h"

using namespace dozo;
using namespace dozo::policy_fixture;

namespace {

struct Fixture : Seeded {
  Headquarters hq;
  Fixture() { hq.publish(); }
  const std::string changed = replaced(country, "title = \"工事\"", "title = \"工事 二\"");
  const std::string moved = replaced(country, "zone = \"south\"", "zone = \"islands\"");
  /// A node that has what is published now.
  Node settled(const std::string& name = "sapporo") const {
    Node out(hq, name);
    for (std::size_t i = 1; i < hq.roots.size(); ++i) CHECK(out.take(hq.roots[i]) == Outcome::advanced);
    out.hear(hq.last);
    REQUIRE(out.version() == published_version());
    return out;
  }
  std::uint64_t published_version() const { return snapshot_of(hq.last).header.version; }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "trust: a realm begins with a first root that signs itself") {
  CHECK(Trust::begin(hq.roots[0], std::nullopt)->realm() == hq.realm);
  CHECK(Trust::begin(hq.last.at("mesh"), std::nullopt).error().fault == Fault::malformed);
  CHECK(Trust::begin(hq.rotate({}), std::nullopt).error().fault == Fault::malformed);  // version 2
  const Envelope root = *read_envelope(hq.roots[0]);
  CHECK(Trust::begin(unsigned_envelope(DocumentType::root, "root", root.payload), std::nullopt).error().fault == Fault::not_authentic);
  Headquarters two(2, 2);
  const Bytes half = *add_signature(unsigned_envelope(DocumentType::root, "root", read_envelope(two.roots[0])->payload), two.keys.at(SigningRole::root)[1]);
  CHECK(Trust::begin(half, std::nullopt).error().fault == Fault::not_authentic);
  CHECK(Trust::begin(two.roots[0], std::nullopt));
}

TEST_CASE_FIXTURE(Fixture, "trust: a policy comes into force when all of it is there, in whatever order it came") {
  std::vector<std::string> order;
  for (const auto& [name, bytes] : hq.last)
    if (!name.starts_with("grants/") || name == grants_name(hq.id("sapporo"))) order.push_back(name);
  REQUIRE(order.size() == 6);
  int orders = 0;
  do {
    Node node(hq, "sapporo");
    for (std::size_t i = 0; i < order.size(); ++i) {
      const auto outcome = node.take(hq.last.at(order[i]));
      REQUIRE(outcome == (i + 1 == order.size() ? Outcome::committed : Outcome::staged));
      REQUIRE((node.trust.current() != nullptr) == (i + 1 == order.size()));
    }
    REQUIRE(node.version() == 1);
    ++orders;
  } while (std::next_permutation(order.begin(), order.end()));
  CHECK(orders == 720);
}

TEST_CASE_FIXTURE(Fixture, "trust: wants names exactly what is missing") {
  Node node(hq, "sapporo");
  const auto wanted = [&] {
    std::vector<std::string> out;
    for (const Want& it : node.trust.wants()) {
      if (!it.needed) continue;
      out.push_back(it.name);
      if (it.sha256) CHECK(*it.sha256 == crypto::sha256(hq.last.at(it.name)));
    }
    return out;
  };
  CHECK(wanted() == std::vector<std::string>{"freshness"});
  node.take(hq.last.at("freshness"));
  CHECK(wanted() == std::vector<std::string>{"freshness", "snapshot"});
  node.take(hq.last.at("snapshot"));
  CHECK(wanted() == std::vector<std::string>{"freshness", "directory", "epochs", grants_name(hq.id("sapporo")), "mesh"});
  node.take(hq.last.at("mesh"));
  node.take(hq.last.at("directory"));
  CHECK(wanted() == std::vector<std::string>{"freshness", "epochs", grants_name(hq.id("sapporo"))});
  node.take(hq.last.at("epochs"));
  CHECK(node.take(hq.last.at(grants_name(hq.id("sapporo")))) == Outcome::committed);
  CHECK(wanted().empty());
  // Other nodes' grants help those: taken in afterwards, and passed on.
  CHECK(node.take(hq.last.at(grants_name(hq.id("head")))) == Outcome::advanced);
  CHECK(node.trust.document(grants_name(hq.id("head"))));
  CHECK(node.take(hq.last.at(grants_name(hq.id("head")))) == Outcome::known);
}

TEST_CASE_FIXTURE(Fixture, "trust: what is in force is known when it comes again") {
  Node node = settled();
  for (const auto& [name, bytes] : hq.last) CHECK(node.take(bytes) == Outcome::known);
  CHECK(node.take(hq.roots[0]) == Outcome::known);
}

TEST_CASE_FIXTURE(Fixture, "trust: a payload that would not parse is refused for its signature first") {
  const Node before = settled();
  for (const auto type : {DocumentType::root, DocumentType::mesh, DocumentType::directory, DocumentType::epochs, DocumentType::snapshot,
                          DocumentType::freshness, DocumentType::suspend, DocumentType::grants}) {
    const std::string name = type == DocumentType::grants ? grants_name(hq.id("sapporo")) : std::string(name_of(type));
    Node node(hq, "sapporo");
    CHECK(node.refused(unsigned_envelope(type, name, bytes_of("{{{"))) == Fault::not_authentic);
    // By the right key it is the payload that is at fault.
    CHECK(node.refused(hq.sign(type, name, bytes_of("{{{"))) == Fault::malformed);
    // Another role's key is no key.
    const auto wrong = signer_of(type) == SigningRole::policy ? SigningRole::snapshot : SigningRole::policy;
    CHECK(node.refused(hq.sign(unsigned_envelope(type, name, bytes_of("{{{")), wrong)) == Fault::not_authentic);
  }
}

TEST_CASE_FIXTURE(Fixture, "trust: below the threshold nothing is taken") {
  Headquarters two(3, 2);
  two.publish();
  Node node(two, "sapporo");
  for (const auto& [name, bytes] : two.last) {
    Envelope it = *read_envelope(bytes);
    it.signatures.resize(1);
    CHECK(node.refused(write_envelope(it)) == Fault::not_authentic);
    it.signatures.clear();
    CHECK(node.refused(write_envelope(it)) == Fault::not_authentic);
  }
  CHECK(node.version() == 0);
  node.hear(two.last);
  CHECK(node.version() == 1);
}

TEST_CASE_FIXTURE(Fixture, "trust: documents of another realm are refused, though the same keys sign them") {
  Headquarters other;
  other.publish();
  Node node = settled();
  for (const auto& [name, bytes] : other.last) CHECK(node.refused(bytes) == Fault::not_authentic);
  hq.now_s += 60;
  const Publication next = hq.would_publish(changed).documents;
  const RealmId strange = crypto::random_id<RealmId>();
  auto mesh = mesh_of(next);
  auto epochs = epochs_of(next);
  auto directory = directory_of(next);
  auto snapshot = snapshot_of(next);
  auto freshness = freshness_of(next);
  mesh.header.realm = epochs.header.realm = directory.header.realm = snapshot.header.realm = freshness.header.realm = strange;
  for (const Bytes& bytes : {hq.sign(mesh), hq.sign(epochs), hq.sign(directory), hq.sign(snapshot), hq.sign(freshness)})
    CHECK(node.refused(bytes) == Fault::not_authentic);
  Suspend suspend{{strange, 1, hq.now_s, hq.now_s + day_s}, {{hq.id("osaka")}, {}, {}, {}, {}, false}, ""};
  CHECK(node.refused(hq.sign(DocumentType::suspend, "suspend", format(suspend))) == Fault::not_authentic);
  CHECK(node.version() == 1);
}

// ---- roots -----------------------------------------------------------------------------------------------------------
TEST_CASE_FIXTURE(Fixture, "trust: roots are followed one by one, through ten of them") {
  Node node = settled();
  std::vector<Bytes> chain;
  for (int i = 0; i < 10; ++i) chain.push_back(hq.rotate({SigningRole::root, SigningRole::policy}));
  for (std::size_t i = chain.size(); i-- > 1;) CHECK(node.refused(chain[i]) == Fault::not_authentic);  // none may be skipped
  for (std::size_t i = 0; i < chain.size(); ++i) {
    CHECK(node.take(chain[i]) == Outcome::advanced);
    CHECK(node.trust.root().version == i + 2);
    CHECK(node.take(chain[i]) == Outcome::known);
  }
  CHECK(node.version() == 1);  // what was in force stays
  CHECK(node.trust.root_at(11)->envelope == chain.back());
  CHECK_FALSE(node.trust.root_at(12));
  hq.now_s += day_s;
  hq.publish(changed);
  node.now_s = hq.now_s;
  node.hear(hq.last);
  CHECK(node.version() == 2);
}

TEST_CASE_FIXTURE(Fixture, "trust: who slept through fifty roots, with other keys and thresholds each time, catches up, whenever it fell asleep") {
  std::mt19937_64 random(50);
  std::vector<Node> sleepers;
  for (int i = 0; i < 50; ++i) {
    sleepers.push_back(settled());
    const auto before = hq.copies(SigningRole::root);
    for (std::size_t role = 0; role < signing_role_count; ++role) {
      if (random() % 3 == 0) continue;  // this one stays
      const std::size_t count = 1 + random() % 5;
      hq.new_keys(static_cast<SigningRole>(role), count, static_cast<std::uint32_t>(1 + random() % count));
    }
    hq.take_root(hq.make_root(before));
    hq.now_s += day_s;
    hq.publish(random() % 2 == 0 ? changed : country);
  }
  hq.publish(moved);
  REQUIRE(hq.roots.size() == 51);
  for (std::size_t i = 0; i < sleepers.size(); ++i) {
    Node& node = sleepers[i];
    CAPTURE(i);
    node.now_s = hq.now_s;
    // The newest alone says nothing to it; the order of the chain does.
    if (i + 1 < sleepers.size()) CHECK_FALSE(node.offer(hq.roots.back()));
    for (std::size_t root = node.trust.root().version; root < hq.roots.size(); ++root) CHECK(node.take(hq.roots[root]) == Outcome::advanced);
    node.hear(hq.last);
    CHECK(node.trust.root().version == 51);
    CHECK(node.version() == published_version());
    CHECK(node.trust.current()->mesh == mesh_of(hq.last));
    CHECK(node.standing() == Standing::fresh);
  }
}

TEST_CASE_FIXTURE(Fixture, "trust: a root needs the thresholds of the old keys and of its own") {
  Headquarters two(2, 2);
  two.publish();
  Node node(two, "sapporo");
  const auto old = two.copies(SigningRole::root);
  two.new_keys(SigningRole::root, 3, 2);
  const Bytes draft = *draft_root(two.plan(), &two.root, two.realm);
  const auto& fresh = two.keys.at(SigningRole::root);
  const auto by = [&](std::vector<const crypto::SigningKey*> keys) { return *sign_with(draft, keys); };
  CHECK(node.refused(draft) == Fault::not_authentic);
  CHECK(node.refused(by({&old[0], &old[1]})) == Fault::not_authentic);
  CHECK(node.refused(by({&fresh[0], &fresh[1], &fresh[2]})) == Fault::not_authentic);
  CHECK(node.refused(by({&old[0], &fresh[0], &fresh[1]})) == Fault::not_authentic);
  CHECK(node.refused(by({&old[0], &old[1], &fresh[0]})) == Fault::not_authentic);
  CHECK(node.trust.root().version == 1);
  CHECK(node.take(by({&old[0], &old[1], &fresh[0], &fresh[2]})) == Outcome::advanced);
}

TEST_CASE_FIXTURE(Fixture, "trust: a root by dropped keys, of another realm, or numbered wrongly is refused") {
  Node node = settled();
  const auto first_keys = hq.copies(SigningRole::root);
  const Root first = hq.root;
  CHECK(node.take(hq.rotate({SigningRole::root})) == Outcome::advanced);
  // The old keys make a third root: they count no more.
  Root third = hq.root;
  third.version = 3;
  Bytes forged = unsigned_envelope(DocumentType::root, "root", format(third));
  for (const auto& key : first_keys) forged = *add_signature(forged, key);
  CHECK(node.refused(forged) == Fault::not_authentic);
  const auto by_now = [&](const std::function<void(Root&)>& change) {
    Root it = hq.root;
    it.version = 3;
    change(it);
    return hq.sign(unsigned_envelope(DocumentType::root, "root", format(it)), SigningRole::root);
  };
  CHECK(node.refused(by_now([](Root& it) { it.realm = crypto::random_id<RealmId>(); })) == Fault::not_authentic);
  CHECK(node.refused(by_now([](Root& it) { it.version = 4; })) == Fault::not_authentic);
  CHECK(node.refused(by_now([](Root& it) { it.version = json_most(); })) == Fault::not_authentic);
  CHECK(node.refused(by_now([](Root& it) { it.version = 1, it.realm.reset(); })) == Fault::not_authentic);
  CHECK(node.trust.root().version == 2);
  CHECK(node.trust.forks().empty());
  CHECK(node.take(by_now([](Root&) {})) == Outcome::advanced);
}

TEST_CASE_FIXTURE(Fixture, "trust: two roots of one number are evidence, and the first stays") {
  Node node = settled();
  const auto before = hq.copies(SigningRole::root);
  hq.now_s += 1;
  const Bytes one = hq.make_root(before);
  hq.now_s += 1;
  hq.new_keys(SigningRole::snapshot);
  const Bytes two = hq.make_root(before);
  CHECK(node.take(one) == Outcome::advanced);
  CHECK(node.take(two) == Outcome::forked);
  CHECK(node.take(two) == Outcome::forked);
  REQUIRE(node.trust.forks().size() == 1);
  CHECK(node.trust.forks()[0].ours == one);
  CHECK(node.trust.forks()[0].theirs == two);
  CHECK(node.trust.root().version == 2);
  CHECK(node.trust.root_at(2)->envelope == one);
}

TEST_CASE_FIXTURE(Fixture, "trust: the same root with other signatures is no fork") {
  Headquarters three(3, 2);
  three.publish();
  Node node(three, "sapporo");
  const Bytes draft = *draft_root(three.plan(), &three.root, three.realm);
  const auto& keys = three.keys.at(SigningRole::root);
  const std::vector<const crypto::SigningKey*> first{&keys[0], &keys[1]}, second{&keys[1], &keys[2]};
  CHECK(node.take(*sign_with(draft, first)) == Outcome::advanced);
  CHECK(node.take(*sign_with(draft, second)) == Outcome::known);
  CHECK(node.trust.forks().empty());
}

// ---- rollback --------------------------------------------------------------------------------------------------------
TEST_CASE_FIXTURE(Fixture, "trust: no document goes back") {
  const Publication first = hq.last;
  hq.now_s += 60 * day_s;  // all of it is signed anew
  hq.publish(replaced(changed, "zone = \"south\"", "zone = \"islands\""), {{}, true, {}, {}});
  Node node = settled();
  REQUIRE(node.version() == 2);
  for (const char* name : {"freshness", "snapshot", "mesh", "directory", "epochs"}) {
    CHECK_MESSAGE(node.refused(first.at(name)) == Fault::stale, name);
  }
  CHECK(node.refused(first.at(grants_name(hq.id("sapporo")))) == Fault::stale);
  CHECK(node.version() == 2);
  CHECK(node.trust.forks().empty());
}

TEST_CASE_FIXTURE(Fixture, "trust: a new snapshot or freshness may not list what is older, or leave something out") {
  hq.now_s += 60 * day_s;
  const Publication first = hq.last;
  hq.publish(moved);
  const Node settled_node = settled();
  Publication old_mesh = hq.last;
  old_mesh["mesh"] = first.at("mesh");
  Publication without = hq.last;
  without.erase(grants_name(hq.id("head")));
  Publication other = hq.last;
  auto mesh = mesh_of(hq.last);
  mesh.locked_after_s += 1;
  other["mesh"] = hq.sign(mesh);  // the same version, another content
  const std::uint64_t fresh = freshness_of(hq.last).header.version;
  const std::vector<std::pair<Publication, Fault>> attempts{{old_mesh, Fault::stale}, {without, Fault::stale}, {other, Fault::not_authentic}};
  for (const auto& [documents, fault] : attempts) {
    Node node = settled();
    const Publication forged = hq.listed(documents, 3, fresh + 1);
    CHECK(node.refused(forged.at("snapshot")) == fault);
    node.hear(forged);
    CHECK(node.version() == 2);
  }
  // Freshness that goes back to an older snapshot, by who has that key alone.
  Node node = settled();
  const Bytes& snapshot = first.at("snapshot");
  const Freshness back{{hq.realm, fresh + 10, hq.now_s, hq.now_s + day_s}, hq.now_s, {1, snapshot.size(), crypto::sha256(snapshot)}};
  CHECK(node.refused(hq.sign(back)) == Fault::stale);
}

TEST_CASE_FIXTURE(Fixture, "trust: epochs may not go back, disappear or change their keys") {
  Node node = settled();
  const std::uint64_t fresh = freshness_of(hq.last).header.version;
  const auto with = [&](const std::function<void(Epochs&, Mesh&)>& change) {
    Publication documents = hq.last;
    Epochs epochs = epochs_of(hq.last);
    Mesh mesh = mesh_of(hq.last);
    epochs.header.version = mesh.header.version = 2;
    change(epochs, mesh);
    documents["epochs"] = hq.sign(epochs);
    documents["mesh"] = hq.sign(mesh);
    return hq.listed(documents, 2, fresh + 1);
  };
  const auto find = [&](Epochs& in, const LibraryId& id) -> LibraryEpochs& {
    return *std::find_if(in.libraries.begin(), in.libraries.end(), [&](const auto& it) { return it.library == id; });
  };
  const LibraryId works = hq.library("works");
  const Publication unchanged = with([](Epochs&, Mesh&) {});
  for (const Publication& forged : {
           with([&](Epochs& it, Mesh&) { find(it, works).epochs[0].commitment = crypto::random_id<Digest>(); }),
           with([&](Epochs& it, Mesh& mesh) {
             std::erase_if(it.libraries, [&](const auto& one) { return one.library == works; });
             std::erase_if(mesh.libraries, [&](const auto& one) { return one.id == works; });
           }),
           with([&](Epochs& it, Mesh&) { std::erase_if(it.libraries, [&](const auto& one) { return one.library == works; }); }),
           with([&](Epochs&, Mesh& mesh) { mesh.libraries[0].epoch.value = 2; }),  // a mesh that is ahead of its epochs
           with([&](Epochs& it, Mesh&) {
             EpochEntry more = find(it, works).epochs[0];
             more.epoch.value = 2;
             more.predecessor = Bytes(72);
             find(it, works).epochs.push_back(more);  // epochs that are ahead of their mesh
           }),
       }) {
    Node fresh_node = settled();
    fresh_node.hear(forged);
    CHECK(fresh_node.version() == 1);
    fresh_node.hear(forged);
    CHECK(fresh_node.version() == 1);
    // It is not stuck: HQ's own next policy comes into force.
    hq.now_s += 60;
    fresh_node.hear(hq.would_publish(changed).documents);
    CHECK(fresh_node.version() == 2);
  }
  node.hear(unchanged);  // so it was what was changed that was refused
  CHECK(node.version() == 2);
}

// ---- mix and match ---------------------------------------------------------------------------------------------------
TEST_CASE_FIXTURE(Fixture, "trust: nothing of two publications is mixed") {
  Node node = settled();
  const Publication first = hq.last;
  hq.now_s += 60;
  hq.publish(replaced(changed, "zone = \"south\"", "zone = \"islands\""));
  const Publication second = hq.last;
  hq.now_s += 60;
  hq.publish(replaced(replaced(country, "title = \"工事\"", "title = \"工事 三\""), "zone = \"south\"", "zone = \"sea\""));
  const Publication third = hq.last;
  // Of the second everything but its directory, of the third nothing but its directory.
  for (const char* name : {"freshness", "snapshot", "mesh"}) CHECK(node.take(second.at(name)) == Outcome::staged);
  CHECK(node.take(third.at("directory")) == Outcome::staged);
  CHECK(node.version() == 1);
  CHECK(node.take(third.at("mesh")) == Outcome::staged);
  CHECK(node.take(third.at("snapshot")) == Outcome::staged);
  CHECK(node.version() == 1);  // no freshness names it yet
  CHECK(node.take(second.at("directory")) == Outcome::committed);
  CHECK(node.version() == 2);
  CHECK(node.take(third.at("freshness")) == Outcome::committed);
  CHECK(node.version() == 3);
  CHECK(node.trust.current()->mesh == mesh_of(third));
}

TEST_CASE_FIXTURE(Fixture, "trust: a document of the right version and another hash is not the one") {
  Node node = settled();
  hq.now_s += 60;
  const Published ours = hq.would_publish(moved);
  const Published theirs = hq.would_publish(replaced(country, "zone = \"south\"", "zone = \"sea\""));
  for (const char* name : {"freshness", "snapshot"}) CHECK(node.take(ours.documents.at(name)) == Outcome::staged);
  CHECK(node.take(theirs.documents.at("mesh")) == Outcome::staged);
  CHECK(node.version() == 1);
  const auto wants = node.trust.wants();
  CHECK(std::any_of(wants.begin(), wants.end(), [&](const Want& it) { return it.sha256 == crypto::sha256(ours.documents.at("mesh")) && it.needed; }));
  CHECK(node.take(ours.documents.at("mesh")) == Outcome::committed);
  CHECK(node.trust.current()->mesh == mesh_of(ours.documents));
  // Now the other one is evidence.
  CHECK(node.take(theirs.documents.at("mesh")) == Outcome::forked);
  CHECK(node.take(theirs.documents.at("snapshot")) == Outcome::forked);
  CHECK(node.trust.forks().size() == 2);
  CHECK(node.trust.current()->mesh == mesh_of(ours.documents));
}

TEST_CASE_FIXTURE(Fixture, "trust: a listing's version and length must fit too") {
  const std::uint64_t fresh = freshness_of(hq.last).header.version;
  for (const bool version : {true, false}) {
    Publication forged = hq.last;
    hq.now_s += 1;
    Snapshot snapshot = snapshot_of(hq.last);
    snapshot.header.version = 2;
    (version ? snapshot.documents["directory"].version : snapshot.documents["directory"].length) += 1;
    forged["snapshot"] = hq.sign(snapshot);
    const Bytes& bytes = forged["snapshot"];
    forged["freshness"] = hq.sign(Freshness{{hq.realm, fresh + 1, hq.now_s, hq.now_s + day_s}, hq.now_s, {2, bytes.size(), crypto::sha256(bytes)}});
    Node node(hq, "sapporo");
    node.hear(forged);
    node.hear(forged);
    CHECK(node.version() == 0);
  }
  // And freshness's of the snapshot.
  for (const bool version : {true, false}) {
    Publication forged = hq.last;
    Freshness it = freshness_of(hq.last);
    (version ? it.snapshot.version : it.snapshot.length) += 1;
    forged["freshness"] = hq.sign(it);
    Node node(hq, "sapporo");
    node.hear(forged);
    node.hear(forged);
    CHECK(node.version() == 0);
  }
}

TEST_CASE_FIXTURE(Fixture, "trust: two policies of one number, and a successor of another one, are evidence") {
  Node node = settled();
  const Publication first = hq.last;
  hq.now_s += 60;
  const Published ours = hq.would_publish(changed);
  const Published theirs = hq.would_publish(moved);
  node.hear(ours.documents);
  REQUIRE(node.version() == 2);
  CHECK(node.take(theirs.documents.at("snapshot")) == Outcome::forked);
  hq.last = theirs.documents;
  hq.now_s += 60;
  hq.publish(changed);
  CHECK(node.take(hq.last.at("snapshot")) == Outcome::forked);
  CHECK(node.trust.forks().size() == 2);
  node.hear(hq.last);
  CHECK(node.version() == 2);
  // Two freshness documents of one number that name different policies.
  Node other(hq, "sapporo");
  other.now_s = hq.now_s;
  other.hear(ours.documents);
  REQUIRE(other.version() == 2);
  Freshness two = freshness_of(ours.documents);
  two.snapshot.sha256 = crypto::random_id<Digest>();
  CHECK(other.take(hq.sign(two)) == Outcome::forked);
}

// ---- fast forward and recovery ---------------------------------------------------------------------------------------
TEST_CASE_FIXTURE(Fixture, "trust: numbers that were run up are undone by new keys (TUF 5.3.11)") {
  hq.now_s += 60;
  hq.publish(changed);
  const Publication good = hq.last;
  for (const SigningRole role : {SigningRole::freshness, SigningRole::snapshot}) {
    Headquarters& it = hq;
    Node node = settled();
    // Whoever has both online keys runs both numbers up, over the documents that there are.
    const Publication forged = it.listed(it.last, json_most(), json_most());
    node.hear(forged);
    REQUIRE(node.version() == json_most());
    it.now_s += 60;
    const Publication next = it.would_publish(moved).documents;
    node.hear(next);
    CHECK(node.version() == json_most());  // frozen
    const Bytes& root = it.rotate({role});
    CHECK(node.take(root) == Outcome::advanced);
    CHECK(node.version() == json_most());  // until there is another
    CHECK(node.trust.freshness() == nullptr);
    node.hear(forged);  // by the old key: nothing
    CHECK(node.trust.freshness() == nullptr);
    it.now_s += 60;
    it.publish(moved);
    node.now_s = it.now_s;
    node.hear(it.last);
    CHECK(node.version() == snapshot_of(it.last).header.version);
    CHECK(node.trust.current()->mesh == mesh_of(it.last));
    // And from here on nothing goes back.
    const auto past = node.offer(good.at("snapshot"));
    CHECK_FALSE((past && past->outcome == Outcome::committed));
    CHECK(node.version() == snapshot_of(it.last).header.version);
  }
}

TEST_CASE_FIXTURE(Fixture, "trust: new keys of the policy role need all it signs signed anew") {
  Node node = settled();
  CHECK(node.take(hq.rotate({SigningRole::policy})) == Outcome::advanced);
  CHECK(node.version() == 1);
  // The mesh of before is known and hashed right, but by keys that are gone.
  const Publication carried = hq.listed(hq.last, 2, freshness_of(hq.last).header.version + 1);
  node.hear(carried);
  CHECK(node.version() == 1);
  hq.now_s += 60;
  hq.publish();
  node.hear(hq.last);
  CHECK(node.version() == 2);
  // A node that begins now has it too.
  Node fresh(hq, "sapporo");
  fresh.take(hq.roots[1]);
  fresh.hear(hq.last);
  CHECK(fresh.version() == 2);
}

TEST_CASE_FIXTURE(Fixture, "trust: what was staged under a root counts no more under the next") {
  Node node(hq, "sapporo");
  for (const char* name : {"mesh", "directory", "epochs"}) node.take(hq.last.at(name));
  const Bytes old_mesh = hq.last.at("mesh");
  CHECK(node.take(hq.rotate({SigningRole::policy})) == Outcome::advanced);
  node.take(hq.last.at("snapshot"));
  node.take(hq.last.at("freshness"));
  node.take(hq.last.at("epochs"));
  node.take(hq.last.at(grants_name(hq.id("sapporo"))));
  CHECK(node.version() == 0);
  CHECK(node.refused(old_mesh) == Fault::not_authentic);
}

// ---- checks of the set -----------------------------------------------------------------------------------------------
TEST_CASE_FIXTURE(Fixture, "trust: a set that fails its check is dropped, and what was in force stays") {
  Node node = settled();
  hq.now_s += 60;
  const Published bad = hq.would_publish(moved);
  const auto mesh = mesh_of(bad.documents);
  int asked = 0;
  node.trust.set_check([&](const DocumentSet& set) -> Result<void> {
    ++asked;
    CHECK(set.version.value == 2);
    if (set.mesh == mesh) return fail(Fault::malformed, "test x fails");
    return {};
  });
  Fault last{};
  for (const auto& [name, bytes] : bad.documents) {
    const auto out = node.offer(bytes);
    if (!out) last = out.error().fault;
  }
  CHECK(last == Fault::denied);
  CHECK(asked == 1);
  CHECK(node.version() == 1);
  CHECK(node.refused(bad.documents.at("snapshot")) == Fault::denied);
  CHECK(node.refused(bad.documents.at("freshness")) == Fault::denied);
  CHECK(asked == 1);
  // It does not ask for it again, and the next one is taken.
  for (const Want& it : node.trust.wants()) CHECK(it.name != "snapshot");
  hq.now_s += 60;
  const Published good = hq.would_publish(changed);
  node.hear(good.documents);
  CHECK(node.version() == 2);
  CHECK(asked == 2);
}

TEST_CASE_FIXTURE(Fixture, "trust: whatever is offered in whatever order, only whole publications come into force, and never an older one") {
  std::vector<Publication> all{hq.last};
  std::vector<Bytes> pool;
  for (int i = 0; i < 5; ++i) {
    hq.now_s += 30 * day_s;
    Changes changes;
    if (i % 2 == 0) changes.new_epochs.insert(hq.library("works"));
    hq.publish(replaced(country, "zone = \"south\"", "zone = \"z" + std::to_string(i) + "\""), changes);
    all.push_back(hq.last);
  }
  for (const Publication& it : all)
    for (const auto& [name, bytes] : it) pool.push_back(bytes);
  for (int round = 0; round < 40; ++round) {
    Node node(hq, round % 2 == 0 ? "sapporo" : "naha");
    node.now_s = begin_s;  // the first is in date
    std::uint64_t newest = 0;
    for (int i = 0; i < 400; ++i) {
      (void)node.offer(pool[crypto::random_below(static_cast<std::uint32_t>(pool.size()))]);
      const std::uint64_t version = node.version();
      REQUIRE(version >= newest);
      newest = version;
      if (version == 0) continue;
      const Publication& whole = all[version - 1];
      REQUIRE(node.trust.current()->mesh == mesh_of(whole));
      REQUIRE(node.trust.current()->epochs == epochs_of(whole));
      REQUIRE(node.trust.current()->directory == directory_of(whole));
    }
    // Asked for by name and version, the newest is there in the end.
    for (int i = 0; i < 10; ++i)
      for (const auto& [name, bytes] : all.back()) (void)node.offer(bytes);
    CHECK(node.version() == all.size());
    CHECK(node.trust.forks().empty());
  }
}
