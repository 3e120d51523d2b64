#include "tests/fuzz/seeds.h"

#include <fstream>
#include <sstream>

#include "crypto/checkpoint.h"
#include "crypto/hash.h"
#include "crypto/key_file.h"
#include "crypto/session.h"
#include "crypto/shares.h"
#include "node/home.h"
#include "node/local_messages.h"
#include "node/receipts.h"
#include "policy/enrolment.h"
#include "policy/keys.h"
#include "policy/signing.h"
#include "store/acts.h"
#include "store/feed.h"
#include "store/manifest.h"
#include "store/pack.h"
#include "store/tag.h"
#include "sync/messages.h"
#include "tests/fuzz/targets.h"
#include "tests/policy_realm.h"

namespace dozo::fuzz {
namespace {

using Seeds = std::map<std::string, std::vector<Bytes>>;

Bytes bytes_of_text(std::string_view text) { return bytes_of(view_of(text)); }

void add_crypto(Seeds& to) {
  to["checkpoint"].push_back(bytes_of_text(crypto::sign_checkpoint({"dozo/example", 42, counted<Digest>(1)}, signing_key())));
  const crypto::SessionCertificate session{counted<PersonId>(0xc0),    counted<NodeId>(0x50), {feed.library},
                                           signing_key().public_key(), 1'700'000'000'000,     1'700'000'000'000 + 60 * 60 * 1000};
  to["certificate"].push_back(crypto::issue(session, signing_key()));
  to["key_file"].push_back(
      bytes_of_text(crypto::protect(view_of("a secret"), view_of("public"), {crypto::Protection::key, crypto::SecretBytes(Bytes(32, 'k'))}).value()));
  const auto shares = crypto::split(crypto::SharedSecret::from(counted<Digest>(7).view()).value(), 2, 3).value();
  to["shares"].push_back(bytes_of_text(shares[0] + "\n" + shares[2] + "\n"));
  const auto key = crypto::EpochKey::made_by([](auto out) { std::ranges::copy(counted<Digest>(0).bytes, out.begin()); });
  to["sealed_pack"].push_back(crypto::seal_pack(key, crypto::PackKind::content, feed.library, Epoch{3}, view_of("table"), view_of("table and what is in it")));
  crypto::Frontier frontier;
  to["frontier"].push_back(frontier.encode());
  for (std::uint8_t i = 0; i < 11; ++i) frontier.append(counted<Digest>(i));
  to["frontier"].push_back(frontier.encode());
}

void add_policy(Seeds& to) {
  const policy::test::Realm realm;
  policy::Changes changes;
  changes.cuts[realm.names.libraries.at("works")].push_back(
      {{}, realm.nodes.at("osaka").id, {{realm.nodes.at("osaka").id, counted<IncarnationId>(1), Sequence{9}, counted<Digest>(2)}}});
  const auto first = realm.publish();
  auto documents = realm.publish(&first, policy::test::begin_s + 100, policy::test::small_source, changes);
  documents["root"] = realm.first_root;
  const policy::Suspend suspend{{realm.id, 1, policy::test::begin_s, policy::test::begin_s + 3600},
                                {{realm.nodes.at("osaka").id}, {}, {"kinki"}, {"clerk"}, {realm.names.libraries.at("works")}, true},
                                "stolen"};
  documents["suspend"] = realm.made(policy::DocumentType::suspend, "suspend", suspend);
  for (const auto& [name, bytes] : documents) {
    const auto envelope = policy::read_envelope(bytes).value();
    const std::string type(policy::name_of(envelope.type));
    if (type == "grants" && to.contains("grants")) continue;
    to[type == "directory" ? "sealed_directory" : type].push_back(envelope.payload);
    if (bytes.size() < 4096) to["envelope"].push_back(bytes);
  }
  const auto epochs = policy::parse_epochs(policy::read_envelope(documents.at("epochs")).value().payload).value();
  const auto keys = policy::open_epochs_with_admission(realm.admission, epochs).value();
  const auto sealed = policy::parse_sealed_directory(policy::read_envelope(documents.at("directory")).value().payload).value();
  to["directory"].push_back(policy::format(policy::open_directory(sealed, keys).value()));

  policy::MeshNode desk{
      crypto::NodePublic{counted<NodeId>(0x70), signing_key().public_key(), counted<crypto::SealPublicKey>(1), counted<crypto::TransportPublicKey>(2)},
      "kinki-desk",
      policy::NodeKind::desk,
      "kinki",
      {},
      realm.nodes.at("osaka").id};
  const policy::OrgDocument org{{realm.id, 1, policy::test::begin_s, policy::test::begin_s + 3600},
                                "kinki",
                                {{"kinki-clerk", "係員", "kinki", {"clerk"}}},
                                {{counted<PersonId>(0xc1), "kinki-abe", "阿部", signing_key().public_key(), {{"kinki-clerk", 0, policy::test::begin_s + 60}}}},
                                {desk}};
  to["org"].push_back(policy::format(org));
  to["sealed_org"].push_back(policy::format(policy::seal_org(org, sealed.generation, *keys.find(policy::directory_library, sealed.generation))));
  to["sealed_slice"].push_back(
      policy::format(policy::seal_slice(policy::open_directory(sealed, keys).value(), "osaka", {1}, *keys.find(policy::directory_library, sealed.generation))));
  to["unit_source"].push_back(
      bytes_of_text("unit = \"kinki\"\ndays = 30\n[[post]]\nid = \"kinki-clerk\"\ntitle = \"係員\"\nroles = [\"clerk\"]\n[[person]]\nname = "
                    "\"kinki-abe\"\nshown = \"阿部\"\nrequest = \"abe.json\"\nposts = [{ post = \"kinki-clerk\", until = 2027-04-01 }]\n"));
  policy::Mesh delegating = policy::parse_mesh(policy::read_envelope(documents.at("mesh")).value().payload).value();
  delegating.delegations = {{"kinki", {{signing_key().public_key()}, 1}, {"clerk"}, {realm.nodes.at("osaka").id}}};
  to["mesh"].push_back(policy::format(delegating));

  to["policy_source"].push_back(bytes_of_text(policy::test::small_source));
  std::ifstream in(std::string(DOZO_SOURCE_DIR) + "/configs/policy.example.toml", std::ios::binary);
  std::ostringstream example;
  example << in.rdbuf();
  to["policy_source"].push_back(bytes_of_text(example.str()));

  policy::DraftFile draft{realm.id, {realm.first_root}, {}, {}, {}, {2}, 90, 24};
  for (const auto& [name, bytes] : documents) {
    const auto envelope = policy::read_envelope(bytes).value();
    if (name == "mesh") draft.documents[name] = policy::unsigned_envelope(envelope.type, name, envelope.payload);
    if (name == "directory" || name == "epochs" || name.starts_with("grants/")) draft.documents[name] = bytes;
  }
  for (const char* name : {"mesh", "directory", "epochs"}) draft.before[name] = first.at(name);
  for (const auto& [library, epoch] : keys.list())
    if (library == policy::directory_library) draft.directory_keys.put(library, epoch, keys.find(library, epoch)->copy());
  to["draft_file"].push_back(policy::write_draft_file(draft));
  to["signatures_file"].push_back(policy::write_signatures_file({realm.id, {{"mesh", counted<Digest>(3), {signing_key().public_key(), {}}}}}));

  const policy::Contact contact{realm.nodes.at("hq").id, "hq", realm.nodes.at("hq").transport.public_key(), {"tcp://hq:7700", "tcp://hq:7701", ""}};
  to["realm_file"].push_back(policy::write_realm_file({realm.id, realm.first_root, {contact}, realm.root}));
  const crypto::SealKey admission = crypto::SealKey::from(counted<Digest>(0x60).view()).value();
  policy::NodeRequest request;
  request.realm = realm.id;
  request.keys = realm.nodes.at("osaka").public_part();
  request.name = "osaka";
  request.zone = "kinki";
  request.kind = policy::NodeKind::bureau;
  request.addresses = contact.addresses;
  to["request"].push_back(policy::make_request(request, realm.nodes.at("osaka"), admission.public_key()).value());
  to["request"].push_back(policy::make_request({realm.id, counted<PersonId>(0xc0), "tani", "谷 健", realm.person_key.public_key()}, realm.person_key).value());
}

/// A pack in plain: kind, then what is sealed.
Bytes plain_pack(crypto::PackKind kind, store::PieceType type, const std::vector<Bytes>& pieces) {
  store::PackBuilder builder(kind, 3);
  for (const Bytes& it : pieces) {
    builder.begin_document();
    REQUIRE_FALSE(builder.add(type, store::piece_id(type, it), it));
  }
  const auto image = builder.finish();
  REQUIRE(image);
  Bytes out{static_cast<std::uint8_t>(kind)};
  append(out, image->plain);
  return out;
}

store::Entry entry(std::uint64_t sequence) {
  store::Entry out;
  out.feed = feed;
  out.sequence = {sequence};
  out.policy = {1};
  out.epoch = {1};
  out.time_ms = 1'700'000'000'000;
  out.view_rules = 1;
  out.record = counted<Digest>(static_cast<std::uint8_t>(sequence));
  out.packs =
      std::vector<store::PackListing>{{counted<PackAddress>(1), 512, crypto::PackKind::meta}, {counted<PackAddress>(2), 1024, crypto::PackKind::content}};
  out.reliances = {counted<PackAddress>(3)};
  return out;
}

void add_store(Seeds& to) {
  to["entry"].push_back(store::encode(entry(1)));
  store::Entry with_object = entry(2);
  with_object.packs = store::PackListObject{counted<Digest>(4), 300};
  to["entry"].push_back(store::encode(with_object));
  store::Entry later = entry(3);
  later.kind = 77;
  later.body = Bytes(20, 1);
  to["entry"].push_back(store::encode(later));

  std::vector<store::PackListing> listings;
  for (std::size_t i = 0; i <= store::entry_packs_most; ++i) {
    PackAddress address;
    put_u64(address.bytes.data(), i + 1);
    listings.push_back({address, 512, crypto::PackKind::content});
  }
  to["pack_list"].push_back(store::encode_list(listings));

  store::Record record;
  record.library = feed.library;
  record.hlc = std::uint64_t{1'700'000'000'000} << 16;
  record.device = feed.node;
  record.person = counted<PersonId>(0xc0);
  record.role = "engineer";
  record.policy = {1};
  record.who = "大阪 谷";
  record.text = "図面を直した";
  const auto document = counted<DocumentId>(0x30);
  const store::Content content{{store::ContentKind::file, counted<Digest>(9), false}, store::Source{counted<PieceId>(8), 1234}};
  store::Op path{document, store::Register::path, std::string("橋/図面.pdf"), {}, 0, {}, {}, {}};
  store::Op bytes{document, store::Register::content, content.value, {counted<VersionId>(1)}, 0, "橋/図面.pdf", {}, content.source};
  store::Op label{document, store::Register::label, store::Label{3}, {}, 0, {}, {}, {}};
  record.ops = {path, bytes, label};
  to["signed_record"].push_back(store::encode(store::sign(record, Bytes(40, 2), signing_key(), {}).value()));
  record.ops = {{document, store::Register::path, store::Deleted{}, {counted<VersionId>(1), counted<VersionId>(2)}, 1, {}, {}, {}}};
  record.chain = store::Chain{{}, 0, 2};
  to["signed_record"].push_back(store::encode(store::sign(record, {}, signing_key(), {}).value()));

  Bytes prose, noise;
  for (int i = 0; i < 200; ++i) append(prose, view_of("bridge inspection sheet " + std::to_string(i) + "\n"));
  for (std::uint32_t i = 0, state = 1; i < 300; ++i) noise.push_back(static_cast<std::uint8_t>((state = state * 1664525 + 1013904223) >> 24));
  to["open_pack"].push_back(plain_pack(crypto::PackKind::content, store::PieceType::content, {prose, noise, Bytes(1, 7)}));
  store::Manifest manifest;
  manifest.traits = {store::ContentKind::file, 0644, 1'700'000'000'000'000'000, "application/pdf"};
  manifest.size = 5000;
  manifest.sha256 = counted<Digest>(9);
  manifest.list = {0, {{counted<PieceId>(1), 3000}, {counted<PieceId>(2), 2000}}};
  to["manifest"].push_back(store::encode(manifest));
  to["open_pack"].push_back(plain_pack(crypto::PackKind::meta, store::PieceType::manifest, {to["manifest"].front()}));
  manifest.traits = {store::ContentKind::dir, 0, 0, ""};
  manifest.size = 0;
  manifest.sha256 = {};
  manifest.list = {};
  to["manifest"].push_back(store::encode(manifest));

  store::ListBuilder builder;
  std::vector<store::ListBuilder::Made> made;
  for (std::uint32_t i = 0; i < 300; ++i) {
    PieceId id;
    crypto::sha256(view_of(std::to_string(i)));
    id.bytes = crypto::sha256(view_of(std::to_string(i))).bytes;
    builder.add({id, 40'000 + i}, made);
  }
  REQUIRE(builder.finish(made));
  REQUIRE_FALSE(made.empty());
  Bytes node(9);
  node[0] = 1;
  put_u64(node.data() + 1, made.back().ref.size);
  append(node, made.back().bytes);
  to["list_node"].push_back(node);

  // Two logs of one feed that share three entries.
  struct Log {
    store::FeedTail tail{feed};
    std::vector<Bytes> entries;
    std::vector<std::string> heads;
    std::map<crypto::SubtreeId, Digest> subtrees;
    void grow(std::uint64_t number) {
      auto it = tail.append(entry(number), signing_key(), [this](const auto& id, const Digest& hash) { subtrees[id] = hash; });
      REQUIRE(it);
      entries.push_back(std::move(it->entry));
      heads.push_back(std::move(it->head_note));
    }
  };
  Log log, other;
  for (std::uint64_t i = 1; i <= 4; ++i) log.grow(i);
  for (const std::uint64_t i : {1U, 2U, 3U, 50U, 51U}) other.grow(i);
  to["head"].push_back(bytes_of_text(log.heads.back()));
  to["feed_tail"].push_back(log.tail.encode());
  const auto fetch = [&](const crypto::SubtreeId& id) -> Result<Digest> { return other.subtrees.at(id); };
  const store::ForkEvidence fork{log.heads[3], other.heads[4], crypto::root_at(4, fetch).value(), crypto::consistency_proof(4, 5, fetch).value()};
  REQUIRE(store::verify_fork(fork, feed, signing_key().public_key()));
  to["fork_evidence"].push_back(store::encode(fork));
  to["entries_given"].push_back(
      sync::encode(sync::EntriesGiven{{feed, Sequence{2}, counted<Digest>(1)}, Sequence{1}, {log.entries[0], log.entries[1]}, log.heads[1], {}}));
  to["entries_given"].push_back(sync::encode(sync::EntriesGiven{{feed, Sequence{4}, counted<Digest>(2)},
                                                                Sequence{1},
                                                                {other.entries[0], other.entries[1], other.entries[2], other.entries[3]},
                                                                other.heads[4],
                                                                fork.proof}));

  for (const char* it : {"図面/橋 (conflict, 大阪 佐藤 2026-11-23 14.05 abcdef).tar.gz", "ǅ/ß/İ/ﬃ", "CON/a\xcc\x81\xff\xfe", "가나/각", "a.b/.git/~1"})
    to["name"].push_back(bytes_of_text(it));
  const store::TagPoint first{feed.node, feed.incarnation, {1}, counted<Digest>(1)},
      second{feed.node, feed.incarnation, {~std::uint64_t{0}}, counted<Digest>(2)};
  to["tag"].push_back(bytes_of_text(store::encode(store::Tag{feed.library, {first}})));
  to["tag"].push_back(bytes_of_text(store::encode(store::Tag{feed.library, {first, second}})));
}

void add_sync(Seeds& to) {
  const sync::ObjectId pack{feed.library, sync::ObjectKind::pack, counted<Digest>(1)};
  sync::LibraryWanted wanted{feed.library, {}, true, false, feed.node, "receipt"};
  wanted.buckets.fill(7);
  const sync::DocumentWant want{"mesh", 3, false, counted<Digest>(5)};
  const std::vector<sync::Message> messages{
      sync::ObjectUnavailable{pack},
      sync::State{counted<RealmId>(0xe0), {1, 2, 1'700'000'000, counted<Digest>(3)}, counted<Digest>(4)},
      sync::DocumentsWanted{{want, {"freshness", 9, true, std::nullopt}}, true},
      sync::DocumentsGiven{{Bytes(30, 1), Bytes(1, 2)}},
      sync::LibraryStates{{{feed.library, counted<Digest>(1), counted<Digest>(2)}}, true},
      wanted,
      sync::FeedHeads{feed.library, {{feed, Sequence{4}, counted<Digest>(1)}}},
      sync::EntriesWanted{{feed, Sequence{4}, counted<Digest>(1)}, Sequence{4}},
      sync::EntriesGiven{{feed, Sequence{4}, counted<Digest>(1)}, Sequence{4}, {Bytes(20, 1)}, "note", {counted<Digest>(1)}},
      sync::StatementMarks{feed.library, {{feed.node, "receipt", 9}}, true},
      sync::StatementWanted{feed.library, feed.node, "receipt"},
      sync::StatementGiven{feed.library, feed.node, "receipt", 9, Bytes(60, 4)},
      sync::SliceWanted{pack, 65536},
      sync::SliceGiven{pack, 65536, 70000, Bytes(40, 5)},
      sync::Versions{counted<RealmId>(0xe0), 1, 2, 3},
  };
  REQUIRE(messages.size() == std::variant_size_v<sync::Message>);
  for (const sync::Message& it : messages) to["sync_message"].push_back(sync::encode(it));
}

template <class Variant, std::size_t i = 0, class Work>
void each_kind(const Work& work) {
  if constexpr (i < std::variant_size_v<Variant>) {
    work(Variant(std::in_place_index<i>));
    each_kind<Variant, i + 1>(work);
  }
}

void add_node(Seeds& to) {
  node::Receipt receipt{
      node::receipt_format, feed.library, feed.node, 12, 1'700'000'000'000, true, {{feed.node, feed.incarnation, Sequence{4}, counted<Digest>(1)}}};
  to["receipt"].push_back(node::sign(receipt, signing_key()));
  each_kind<node::local::Request>([&](const node::local::Request& it) { to["local_request"].push_back(node::local::encode_request(it)); });
  each_kind<node::local::Answer>([&](const node::local::Answer& it) { to["local_answer"].push_back(node::local::encode_answer(it)); });
  to["local_request"].push_back(node::local::encode_request(node::local::PutRequest{"works", "/srv/橋", "橋", "text", {"*.tmp"}, true}));
  node::local::Listing listing;
  listing.rows.resize(2);
  listing.rows[1].path = "橋/\xff";
  to["local_answer"].push_back(node::local::encode_answer(listing));
  node::Settings settings;
  settings.name = "osaka";
  settings.kind = policy::NodeKind::bureau;
  settings.zone = "kinki";
  REQUIRE(node::set_listen(settings, "10.1.0.5:7700"));
  settings.key_file = "/run/credentials/dozo";
  to["settings"].push_back(bytes_of_text(node::write_settings(settings)));
}

}  // namespace

std::map<std::string, std::vector<Bytes>> make_seeds() {
  Seeds out;
  add_crypto(out);
  add_policy(out);
  add_store(out);
  add_sync(out);
  add_node(out);
  return out;
}

}  // namespace dozo::fuzz
