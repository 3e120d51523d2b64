// Documents and decisions: the documented envelope, what a reader refuses, what rules say, and the example source.
#include "policy/policy.h"

#include <doctest/doctest.h>

#include <fstream>
#include <functional>
#include <sstream>

#include "crypto/hash.h"
#include "crypto/local_seal.h"
#include "policy/keys.h"
#include "tests/documented.h"
#include "tests/policy_realm.h"

using namespace dozo;
using namespace dozo::policy;

namespace {

template <class Id>
Id counted(std::uint8_t first) {
  Id out;
  for (std::size_t i = 0; i < Id::size; ++i) out.bytes[i] = static_cast<std::uint8_t>(first + i);
  return out;
}
std::string text(ByteView bytes) { return std::string(text_of(bytes)); }

/// The text with one change; it must be there to be changed.
std::string with(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE_MESSAGE(at != std::string::npos, from);
  return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("policy: the envelope of docs/policy.md, byte for byte") {
  REQUIRE(crypto::start());
  const auto shown = documented::examples("policy.md");
  Freshness freshness;
  freshness.header = {counted<RealmId>(0xe0), 1'700'000'000, 1'700'000'000, 1'700'086'400};
  freshness.hq_time_s = 1'700'000'000;
  freshness.snapshot = {7, 1234, counted<Digest>(0x80)};
  CHECK(text(format(freshness)) == shown.at("payload"));
  const auto parsed = parse_freshness(view_of(shown.at("payload")));
  REQUIRE(parsed);
  CHECK(*parsed == freshness);

  const crypto::SigningKey key = crypto::SigningKey::from_seed(counted<Digest>(0).view()).value();
  const Bytes envelope = add_signature(unsigned_envelope(DocumentType::freshness, "freshness", format(freshness)), key).value();
  CHECK(text(envelope) == shown.at("envelope"));
  CHECK(crypto::sha256(envelope).hex() == shown.at("envelope sha256"));
  const Envelope read = read_envelope(view_of(shown.at("envelope"))).value();
  CHECK(verify(read, {{key.public_key()}, 1}));
  // The documented bytes are what is signed: without the context's length and text they are the message.
  const Bytes signed_bytes = from_hex(shown.at("signed bytes")).value();
  CHECK(crypto::verify_raw(key.public_key(), signed_bytes, read.signatures.at(0).signature));
}

TEST_CASE("policy: an envelope of one type, name or payload is not taken for another") {
  const policy::test::Realm realm;
  const Publication published = realm.publish();
  const Envelope mesh = read_envelope(published.at("mesh")).value();
  const RoleKeys& keys = realm.root.keys_of(SigningRole::policy);
  REQUIRE(verify(mesh, keys));
  Envelope changed = mesh;
  changed.payload.back() ^= 1;
  CHECK_FALSE(verify(changed, keys));
  changed = mesh;
  changed.type = DocumentType::directory;
  CHECK_FALSE(verify(changed, keys));
  changed = mesh;
  changed.name = "epochs";
  CHECK_FALSE(verify(changed, keys));
  CHECK_FALSE(verify(mesh, realm.root.keys_of(SigningRole::snapshot)));
}

TEST_CASE("policy: a threshold counts distinct keys, not signatures") {
  const policy::test::Realm realm({{SigningRole::policy, {2, 3}}});
  const RoleKeys& keys = realm.root.keys_of(SigningRole::policy);
  const Bytes plain = unsigned_envelope(DocumentType::mesh, "mesh", view_of("{}"));
  const auto& three = realm.role_keys.at(SigningRole::policy);
  const Bytes once = add_signature(plain, three[0]).value();
  CHECK_FALSE(verify(read_envelope(once).value(), keys));
  const Bytes twice_the_same = add_signature(once, three[0]).value();
  CHECK(read_envelope(twice_the_same).value().signatures.size() == 1);
  CHECK_FALSE(verify(read_envelope(twice_the_same).value(), keys));
  // The same signature shown twice is refused as an envelope, and would not count.
  Envelope doubled = read_envelope(once).value();
  doubled.signatures.push_back(doubled.signatures[0]);
  CHECK_FALSE(read_envelope(write_envelope(doubled)));
  CHECK_FALSE(verify(doubled, keys));
  const Bytes with_stranger = add_signature(once, crypto::SigningKey::generate()).value();
  CHECK_FALSE(verify(read_envelope(with_stranger).value(), keys));
  CHECK(verify(read_envelope(add_signature(once, three[2]).value()).value(), keys));
  CHECK_FALSE(verify(read_envelope(once).value(), {{three[0].public_key()}, 0}));
  CHECK_FALSE(verify(read_envelope(once).value(), {{three[0].public_key(), three[0].public_key()}, 2}));
}

TEST_CASE("policy: every document of a publication reads, and is written as it was read") {
  const policy::test::Realm realm;
  for (const auto& [name, bytes] : realm.publish()) {
    INFO(name);
    const Envelope it = read_envelope(bytes).value();
    CHECK(write_envelope(it) == bytes);
    const auto same = [&](auto parse) { return format(parse(it.payload).value()) == it.payload; };
    switch (it.type) {
      case DocumentType::mesh: CHECK(same(parse_mesh)); break;
      case DocumentType::directory: CHECK(same(parse_sealed_directory)); break;
      case DocumentType::epochs: CHECK(same(parse_epochs)); break;
      case DocumentType::grants: CHECK(same(parse_grants)); break;
      case DocumentType::snapshot: CHECK(same(parse_snapshot)); break;
      case DocumentType::freshness: CHECK(same(parse_freshness)); break;
      default: FAIL("not part of a publication");
    }
  }
  CHECK(format(realm.root) == read_envelope(realm.first_root).value().payload);
}

TEST_CASE("policy: JSON that is not strict is refused") {
  const std::string good = documented::examples("policy.md").at("payload");
  REQUIRE(parse_freshness(view_of(good)));
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"{\"format\"", "\xef\xbb\xbf{\"format\""},
           {"\"format\":1", "\"format\":2"},
           {"\"format\":1", "\"format\":1.0"},
           {"\"format\":1", "\"format\":1e0"},
           {"\"format\":1", "\"format\":true"},
           {"\"format\":1", "\"format\":null"},
           {"\"format\":1", "\"format\":1,\"format\":1"},
           {"\"format\":1", "\"form\\u0061t\":1,\"format\":1"},
           {"\"format\":1", "\"format\":1,\"more\":1"},
           {"\"format\":1,", ""},
           {"\"version\":1700000000", "\"version\":-1"},
           {"\"version\":1700000000", "\"version\":0"},
           {"\"version\":1700000000", "\"version\":9007199254740992"},
           {"\"version\":1700000000", "\"version\":\"1700000000\""},
           {"\"version\":1700000000", "\"version\":1699999999"},
           {"\"expires\":1700086400", "\"expires\":1700000000"},
           {"e0e1e2", "E0E1E2"},
           {"e0e1e2", "e0e1"},
           {"\"length\":1234", "\"length\":0"},
           {"}}", "}}x"},
           {"}}", "}} {}"},
           {"}}", "}"},
           {"\"hq_time\"", "\"hq_tim\\u0000e\":1,\"hq_time\""},
           {"\"hq_time\"", "\"\xff\":1,\"hq_time\""},
           {"{\"version\":7", "[{\"version\":7"},
       }) {
    INFO(to);
    CHECK_FALSE(parse_freshness(view_of(with(good, from, to))));
  }
  // What is not refused: blanks around, another order, members for the future.
  CHECK(parse_freshness(view_of(" \n" + with(good, "\"format\":1", "\"x-note\":{\"a\":[]},\"format\":1") + " \t\r\n")));
  std::string deep;
  for (int i = 0; i < 40; ++i) deep += "[";
  const auto nested = parse_freshness(view_of(with(good, "\"format\":1", "\"x-deep\":" + deep)));
  REQUIRE_FALSE(nested);
  CHECK(nested.error().fault == Fault::over_limit);
  const auto large = parse_freshness(Bytes(payload_bytes_most(DocumentType::freshness) + 1, ' '));
  REQUIRE_FALSE(large);
  CHECK(large.error().fault == Fault::over_limit);
}

TEST_CASE("policy: a mesh whose parts contradict each other is refused") {
  const policy::test::Realm realm;
  const Mesh good = parse_mesh(read_envelope(realm.publish().at("mesh")).value().payload).value();
  REQUIRE(parse_mesh(format(good)));
  const auto node = [](Mesh& it, NodeKind kind) -> MeshNode& {
    for (MeshNode& one : it.nodes)
      if (one.kind == kind) return one;
    FAIL("no such node");
    return it.nodes.front();
  };
  const auto member = [](Mesh& it, const NodeId& id) -> Member& {
    for (Member& one : it.libraries[0].members)
      if (one.node == id) return one;
    FAIL("no such member");
    return it.libraries[0].members.front();
  };
  const std::vector<std::pair<const char*, std::function<void(Mesh&)>>> changes{
      {"two nodes of one name", [](Mesh& it) { it.nodes[0].name = it.nodes[1].name; }},
      {"one key for two nodes", [](Mesh& it) { it.nodes[0].keys.transport = it.nodes[1].keys.transport; }},
      {"one key for two uses", [](Mesh& it) { it.nodes[0].keys.seal.bytes = it.nodes[1].keys.transport.bytes; }},
      {"a signing key of small order", [](Mesh& it) { it.nodes[0].keys.sign = {}; }},
      {"nodes not ascending", [](Mesh& it) { std::swap(it.nodes[0], it.nodes[1]); }},
      {"a bureau that somebody serves", [&](Mesh& it) { node(it, NodeKind::bureau).served_by = node(it, NodeKind::hq).keys.id; }},
      {"a desk that nobody serves", [&](Mesh& it) { node(it, NodeKind::bureau).kind = NodeKind::desk; }},
      {"a vault with keys", [&](Mesh& it) { member(it, node(it, NodeKind::vault).keys.id).holding = Holding::full; }},
      {"a blind member that writes", [&](Mesh& it) { member(it, node(it, NodeKind::vault).keys.id).may_write = true; }},
      {"a member that holds nothing", [&](Mesh& it) { member(it, node(it, NodeKind::bureau).keys.id).holding = Holding::none; }},
      {"a home that does not write", [&](Mesh& it) { member(it, it.libraries[0].home).may_write = false; }},
      {"a home that is no member", [](Mesh& it) { it.libraries[0].home = {}; }},
      {"a member that is no node", [](Mesh& it) { it.libraries[0].members.back().node = NodeId::from(Bytes(16, 0xff)).value(); }},
      {"a library in the directory's place", [](Mesh& it) { it.libraries[0].id = directory_library; }},
      {"more zones than copies", [](Mesh& it) { it.libraries[0].duty = {1, 2, 1, 0, 0}; }},
      {"epoch 0", [](Mesh& it) { it.libraries[0].epoch.value = 0; }},
      {"an expiry before its issue", [](Mesh& it) { it.header.expires_s = it.header.issued_s; }},
  };
  for (const auto& [name, change] : changes) {
    INFO(name);
    Mesh changed = good;
    change(changed);
    const auto parsed = parse_mesh(format(changed));
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().fault == Fault::malformed);
  }
}

TEST_CASE("policy: the directory opens under the key of its generation alone, as what it is") {
  const policy::test::Realm realm;
  const Publication published = realm.publish();
  const auto sealed = parse_sealed_directory(read_envelope(published.at("directory")).value().payload).value();
  const auto epochs = parse_epochs(read_envelope(published.at("epochs")).value().payload).value();
  KeyRing keys = open_epochs_with_admission(realm.admission, epochs).value();
  const Directory directory = open_directory(sealed, keys).value();
  CHECK(directory.people.size() == 1);
  CHECK(sealed.sealed.size() % 4096 == crypto::LocalKey::overhead_bytes);
  CHECK(text_of(sealed.sealed).find("Tani") == std::string_view::npos);

  CHECK_FALSE(open_directory(sealed, KeyRing()));
  SealedDirectory changed = sealed;
  changed.sealed[100] ^= 1;
  CHECK_FALSE(open_directory(changed, keys));
  changed = sealed;
  changed.header.version += 1;
  CHECK_FALSE(open_directory(changed, keys));
  KeyRing others;
  others.put(directory_library, sealed.generation, crypto::EpochKey::random());
  CHECK_FALSE(open_directory(sealed, others));
}

TEST_CASE("policy: grants open at their node alone, and to the key that all have") {
  const policy::test::Realm realm;
  const Publication published = realm.publish();
  const auto epochs = parse_epochs(read_envelope(published.at("epochs")).value().payload).value();
  const crypto::NodeKeys& osaka = realm.nodes.at("osaka");
  const auto grants = parse_grants(read_envelope(published.at(grants_name(osaka.id))).value().payload).value();
  const LibraryId works = realm.names.libraries.at("works");
  const KeyRing keys = open_grants(osaka.seal, grants, epochs).value();
  const KeyRing recovered = open_epochs_with_recovery(realm.recovery, epochs).value();
  REQUIRE(keys.find(works, Epoch{1}) != nullptr);
  CHECK(std::ranges::equal(keys.find(works, Epoch{1})->reveal(), recovered.find(works, Epoch{1})->reveal()));
  CHECK_FALSE(open_grants(realm.nodes.at("hq").seal, grants, epochs));
  CHECK_FALSE(published.contains(grants_name(realm.nodes.at("naha").id)));
  // A grant that opens to another key than the published commitment is refused.
  Epochs others = epochs;
  for (LibraryEpochs& it : others.libraries) it.epochs[0].commitment.bytes[0] ^= 1;
  CHECK_FALSE(open_grants(osaka.seal, grants, others));
}

// ---- decisions -------------------------------------------------------------------------------------------------------
namespace {

struct Asking {
  policy::test::Realm realm;
  Policy policy;
  Asking() : policy(make(realm, policy::test::small_source)) {}
  static Policy make(const policy::test::Realm& realm, const std::string& source) {
    Compiled compiled = realm.compiled(source);
    return Policy({1}, std::move(compiled.mesh), std::move(compiled.directory));
  }
  Request request(const std::string& node, Action action, const std::string& role = "engineer") const {
    Request out;
    out.person = role == "service" ? PersonId{} : realm.names.people.at("tani").id;
    out.role = role;
    out.node = realm.names.nodes.at(node).id;
    out.action = action;
    out.library = realm.names.libraries.at("works");
    out.time_ms = policy::test::begin_s * 1000;
    return out;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Asking, "policy: what nothing permits is denied") {
  CHECK(policy.decide(request("osaka", Action::write)).allowed);
  CHECK_FALSE(policy.decide(request("osaka", Action::administer)).allowed);
  CHECK_FALSE(policy.decide(request("osaka", Action::carry_out)).allowed);
  CHECK_FALSE(policy.decide(request("osaka", Action::read, "service")).allowed);
  CHECK(policy.decide(request("osaka", Action::write, "service")).allowed);
  Request stranger = request("osaka", Action::write);
  stranger.person = PersonId::from(Bytes(16, 9)).value();
  CHECK_FALSE(policy.decide(stranger).allowed);
  Request other_role = request("osaka", Action::write);
  other_role.role = "director";
  CHECK_FALSE(policy.decide(other_role).allowed);
  Request as_service = request("osaka", Action::write);
  as_service.role = "service";  // a person does not act as a node
  CHECK_FALSE(policy.decide(as_service).allowed);
  Request before = request("osaka", Action::write);
  before.time_ms = 0;
  CHECK_FALSE(policy.decide(before).allowed);
}

TEST_CASE_FIXTURE(Asking, "policy: a blind node replicates, and nothing else is done there") {
  CHECK(policy.decide(request("naha", Action::replicate, "service")).allowed);
  for (const Action action : {Action::discover, Action::read, Action::write, Action::carry_out, Action::administer})
    CHECK_FALSE(policy.decide(request("naha", action, "service")).allowed);
  const NodeId naha = realm.names.nodes.at("naha").id;
  const LibraryId works = realm.names.libraries.at("works");
  CHECK(policy.may_receive(naha, works));
  CHECK_FALSE(policy.has_keys(naha, works));
  CHECK_FALSE(policy.may_write(naha, works));
  CHECK_FALSE(policy.may_receive(NodeId::from(Bytes(16, 9)).value(), works));
}

TEST_CASE_FIXTURE(Asking, "policy: a forbid beats every permit, whatever the order") {
  const std::string forbid = "\n[[forbid]]\nid = \"no-osaka\"\nactions = [\"write\"]\nnodes = [\"osaka\"]\n";
  for (const std::string& source : {with(policy::test::small_source, "\n[[permit]]", forbid + "[[permit]]"),
                                    with(with(policy::test::small_source, "[[test]]", forbid + "[[test]]"), "expect = \"allow\"", "expect = \"deny\"")}) {
    const Policy now = make(realm, source);
    const Decision denied = now.decide(request("osaka", Action::write));
    CHECK_FALSE(denied.allowed);
    CHECK(denied.forbids == std::vector<std::string>{"no-osaka"});
    CHECK(denied.permits == std::vector<std::string>{"engineers"});
    CHECK(now.decide(request("hq", Action::write)).allowed);
  }
}

TEST_CASE_FIXTURE(Asking, "policy: an error in a forbid denies, and in a permit permits nothing") {
  const std::string permit = "\n[[permit]]\nid = \"all-out\"\nactions = [\"carry-out\"]\n";
  const Policy now = make(realm, with(policy::test::small_source, "\n[[test]]", permit + "[[test]]"));
  Request out = request("osaka", Action::carry_out);
  CHECK(now.decide(out).allowed);
  out.label = 1;
  CHECK_FALSE(now.decide(out).allowed);
  for (const std::optional<std::uint32_t> label : {std::optional<std::uint32_t>(), std::optional<std::uint32_t>(7)}) {
    out.label = label;  // not said, or not declared
    const Decision decision = now.decide(out);
    CHECK_FALSE(decision.allowed);
    CHECK(decision.errors == std::vector<std::string>{"no-drafts-out"});
  }
  const Policy labelled =
      make(realm, with(policy::test::small_source, "actions = [\"read\", \"write\"]", "actions = [\"write\"]\nlabels = [\"draft\"]") + "label = \"draft\"\n");
  Request save = request("osaka", Action::write);
  save.label.reset();
  CHECK_FALSE(labelled.decide(save).allowed);
  save.label = 1;
  CHECK(labelled.decide(save).allowed);
}

TEST_CASE_FIXTURE(Asking, "policy: a cut ends its subject's feed where it says, and an admit raises it") {
  Mesh mesh = policy.mesh();
  const NodeId osaka = realm.names.nodes.at("osaka").id;
  const LibraryId works = realm.names.libraries.at("works");
  const IncarnationId first = IncarnationId::from(Bytes(16, 1)).value(), second = IncarnationId::from(Bytes(16, 2)).value();
  const FeedPoint end{osaka, first, Sequence{5}, Digest::from(Bytes(32, 5)).value()};
  mesh.libraries[0].cuts = {{PolicyVersion{4}, osaka, {end}}};
  const std::vector<CutSubject> subjects{osaka}, others{realm.names.nodes.at("hq").id};
  const Policy cut({4}, mesh, std::nullopt);
  const auto at = cut.cut_of({works, osaka, first}, PolicyVersion{3}, subjects);
  REQUIRE(at);
  CHECK(at->sequence == Sequence{5});
  CHECK(at->root == end.root);
  CHECK(cut.cut_of({works, osaka, second}, PolicyVersion{3}, subjects)->sequence == Sequence{0});
  CHECK_FALSE(cut.cut_of({works, osaka, first}, PolicyVersion{4}, subjects));
  CHECK_FALSE(cut.cut_of({works, osaka, first}, PolicyVersion{3}, others));
  mesh.libraries[0].admits = {{PolicyVersion{4}, osaka, {osaka, second, Sequence{9}, Digest::from(Bytes(32, 9)).value()}}};
  CHECK(Policy({5}, mesh, std::nullopt).cut_of({works, osaka, second}, PolicyVersion{3}, subjects)->sequence == Sequence{9});
}

// ---- the source ------------------------------------------------------------------------------------------------------
TEST_CASE("policy: the example source has no mistakes and its tests pass, and a wrong test is found") {
  REQUIRE(crypto::start());
  std::ifstream in(std::string(DOZO_SOURCE_DIR) + "/configs/policy.example.toml", std::ios::binary);
  REQUIRE(in);
  std::ostringstream read;
  read << in.rdbuf();
  const std::string example = read.str();
  const auto at_example = check(example, "policy.example.toml", 0);
  for (const Mistake& it : at_example.mistakes) FAIL_CHECK(text_of(it));
  CHECK(read_source(example, "").source.tests.size() >= 40);

  const auto wrong_test = check(with(example, "expect = \"allow\"", "expect = \"deny\""), "it.toml", 0).mistakes;
  REQUIRE(wrong_test.size() == 1);
  CHECK(wrong_test[0].text.find("tani-writes-in-hokkaido") != std::string::npos);
}

TEST_CASE("policy: mistakes of a source are found, with their line and what was meant") {
  REQUIRE(crypto::start());
  const std::string& good = policy::test::small_source;
  REQUIRE(check(good, "it.toml", 0).mistakes.empty());
  for (const auto& [from, to, says] : std::vector<std::array<std::string, 3>>{
           {"title = \"Works\"", "titel = \"Works\"", "unknown key \"titel\" (did you mean \"title\"?)"},
           {"members.osaka", "members.osaca", "there is no node \"osaca\" (did you mean \"osaka\"?)"},
           {"kind = \"vault\"", "kind = \"volt\"", "did you mean \"vault\""},
           {"home = \"hq\"", "home = \"naha\"", "the home node \"naha\" must be a member"},
           {"holding = \"blind\"", "holding = \"full\"", "is a vault: it holds blind"},
           {"holding = \"blind\"", "holding = \"blind\", write = true", "holds blind, and so cannot write"},
           {"copies = 2", "copies = 4", "cannot give 4 copies"},
           {"copies = 2", "copies = 3\nzones = 4", "cannot give 4 zones"},
           {"copies = 2", "copies = 3\nkeyed = 3", "cannot give 3 keyed copies"},
           {"actions = [\"carry-out\"]", "actions = [\"read\"]", "reading is decided by the library"},
           {"actions = [\"write\"]", "actions = [\"replicate\"]", "who replicates is said by the members"},
           {"roles = [\"service\"]", "roles = [\"service\"]\norgs = [\"kinki\"]", "can never match"},
           {"roles = [\"service\"]", "roles = []", "leave it out to mean any"},
           {"roles = [\"engineer\"]\n[[person]]", "roles = [\"engineer\", \"service\"]\n[[person]]", "belongs to nodes"},
           {"until = 2040-04-01", "until = 2010-04-01", "ends before it begins"},
           {"kind = \"hq\"", "kind = \"bureau\"", "there is no node of kind \"hq\""},
           {"quota = \"1 GiB\"", "quota = \"1GB\"", "must be a size"},
           {"id = \"service\"", "id = \"engineers\"", "there are two of the rule"},
           {"locks = true", "locks = 1", "must be true or false"},
           {"realm = \"Test\"", "realm = ", "it.toml:1:"},
       }) {
    const auto mistakes = check(with(good, from, to), "it.toml", 0).mistakes;
    std::string all;
    for (const Mistake& it : mistakes) all += text_of(it) + "\n";
    INFO(to, "\n", all);
    CHECK(all.find(says) != std::string::npos);
    CHECK(all.find("it.toml:") == 0);
  }
}

TEST_CASE("policy: who is not admitted is left out, and no rule becomes wider by it") {
  policy::test::Realm realm;
  const std::string source = with(policy::test::small_source, "roles = [\"engineer\"]\nactions", "people = [\"tani\"]\nactions");
  realm.names.people.clear();
  realm.names.nodes.erase("naha");
  const Compiled compiled = realm.compiled(source);
  CHECK(compiled.absent == std::vector<std::string>{"naha", "tani"});
  CHECK(compiled.mesh.nodes.size() == 2);
  for (const Rule& it : compiled.directory.permits) CHECK(it.id != "engineers");
}
