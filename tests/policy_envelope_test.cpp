// Envelopes, and the strict JSON in which they and their payloads are written.
#include "policy/envelope.h"

#include "policy/json.h"
#include "tests/policy_fixture.h"

using namespace dozo;
using namespace dozo::policy_fixture;

namespace {

Result<Json> parsed(std::string_view text) { return parse_json(view_of(text), 1000, 100); }
Fault fault_of(std::string_view text) {
  const auto out = parsed(text);
  REQUIRE_MESSAGE(!out, std::string(text));
  return out.error().fault;
}
std::string nested(std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

struct EnvelopeFixture : Seeded {
  std::vector<crypto::SigningKey> keys;
  Envelope document;
  EnvelopeFixture() {
    for (int i = 0; i < 3; ++i) keys.push_back(crypto::SigningKey::generate());
    std::sort(keys.begin(), keys.end(), [](const auto& a, const auto& b) { return a.public_key() < b.public_key(); });
    document = *read_envelope(unsigned_envelope(DocumentType::mesh, "mesh", bytes_of("payload")));
  }
  RoleKeys role(std::uint32_t threshold) const { return {{keys[0].public_key(), keys[1].public_key(), keys[2].public_key()}, threshold}; }
  Envelope signed_by(const std::vector<std::size_t>& which) const {
    Bytes out = write_envelope(document);
    for (const std::size_t i : which) out = *add_signature(out, keys[i]);
    return *read_envelope(out);
  }
  /// The text of the envelope with one thing changed.
  static Result<Envelope> changed(const Bytes& envelope, const std::string& from, const std::string& to) {
    return read_envelope(view_of(replaced(std::string(text_of(envelope)), from, to)));
  }
};

}  // namespace

TEST_CASE("json: the subset is read") {
  const auto json = parsed(R"( {"a": [1, 9007199254740991, true, false, "\u571f蔵\n", {}], "b":[]} )");
  REQUIRE(json);
  CHECK(text_of(write_json(*json)) == "{\"a\":[1,9007199254740991,true,false,\"土蔵\\u000a\",{}],\"b\":[]}");
  CHECK(parsed(nested(json_depth_most)));
}

TEST_CASE("json: all else is refused") {
  for (const char* text : {
           "",
           " ",
           "{",
           "{}}",
           "{} x",
           "{}{}",
           "[1,]",
           "{\"a\":1,}",
           "{a:1}",
           "{'a':1}",
           "nul",
           "null",
           "[null]",
           "-1",
           "[-0]",
           "1.0",
           "1e3",
           "01",
           "+1",
           "0x1",
           "NaN",
           "Infinity",
           "[1 2]",
           "// no\n{}",
           "{} /* no */",
           "[9007199254740992]",
           "[18446744073709551615]",
           "[18446744073709551616]",
           "[1e999]",
           "\"\\u0000\"",
           "{\"\\u0000\":1}",
           "\"a\nb\"",
           "\"\t\"",
           "\"\\x41\"",
           "\"\\ud800\"",
           "\"\\udc00\\ud800\"",
           "\"\\ud800x\"",
           "\"open",
       })
    CHECK_MESSAGE(fault_of(text) == Fault::malformed, text);
  CHECK(fault_of(std::string_view("{}\0", 3)) == Fault::malformed);
  CHECK(fault_of("\xef\xbb\xbf{}") == Fault::malformed);
}

TEST_CASE("json: a key that is there twice is refused, however it is written, at every depth") {
  CHECK(fault_of(R"({"a":1,"a":1})") == Fault::malformed);
  CHECK(fault_of(R"({"a":1,"\u0061":2})") == Fault::malformed);
  CHECK(fault_of(R"([{"b":{"a":[],"c":0,"a":{}}}])") == Fault::malformed);
  CHECK(parsed(R"([{"a":1},{"a":1,"b":{"a":1}}])"));
}

TEST_CASE("json: text that is not UTF-8 is refused") {
  for (const char* bytes : {"\x80", "\xc0\xaf", "\xc1\xbf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf0\x80\x80\xaf", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80",
                            "\xff", "\xe5\x9c", "\x93\x79\x91\xa0" /* 土蔵 in CP932 */}) {
    CHECK(fault_of("\"" + std::string(bytes) + "\"") == Fault::malformed);
    CHECK(fault_of("{\"" + std::string(bytes) + "\":1}") == Fault::malformed);
  }
  CHECK(parsed("\"\xf0\xa0\xae\xb7\""));  // 𠮷
}

TEST_CASE("json: depth, length and number of values are bounded") {
  CHECK(fault_of(nested(json_depth_most + 1)) == Fault::over_limit);
  CHECK(parse_json(view_of(nested(100'000)), 1'000'000, 1'000'000).error().fault == Fault::over_limit);
  CHECK(parse_json(view_of(std::string(1'000'000, '[')), 1'000'000, 1'000'000).error().fault == Fault::over_limit);
  CHECK(parse_json(view_of("[1,2,3]"), 7, 4));
  CHECK(parse_json(view_of("[1,2,3]"), 6, 4).error().fault == Fault::over_limit);
  CHECK(parse_json(view_of("[1,2,3]"), 7, 3).error().fault == Fault::over_limit);
}

TEST_CASE_FIXTURE(EnvelopeFixture, "envelope: what is written is read") {
  const Envelope it = signed_by({2, 0});
  CHECK(it.signatures.size() == 2);
  const Envelope again = *read_envelope(write_envelope(it));
  CHECK(again.signatures == it.signatures);
  CHECK(again.payload == it.payload);
  CHECK(again.name == it.name);
  CHECK(it.type == DocumentType::mesh);
  CHECK(text_of(it.payload) == "payload");
}

TEST_CASE_FIXTURE(EnvelopeFixture, "envelope: anything odd about it is refused") {
  const Bytes good = write_envelope(signed_by({0, 1}));
  const std::string text(text_of(good));
  REQUIRE(read_envelope(good));
  const auto fault = [&](const std::string& from, const std::string& to) {
    const auto out = changed(good, from, to);
    REQUIRE_MESSAGE(!out, to);
    return out.error().fault;
  };
  CHECK(fault("\"format\":1", "\"format\":1,\"format\":1") == Fault::malformed);
  CHECK(fault("\"format\":1", "\"format\":2") == Fault::unsupported);
  CHECK(fault("\"format\":1", "\"format\":\"1\"") == Fault::malformed);
  CHECK(fault("\"format\":1", "\"format\":1,\"more\":1") == Fault::malformed);
  CHECK(changed(good, "\"format\":1", "\"format\":1,\"x-more\":1"));
  CHECK(fault("\"type\":\"mesh\"", "\"type\":\"mash\"") == Fault::malformed);
  CHECK(fault("\"type\":\"mesh\"", "\"type\":\"epochs\"") == Fault::malformed);  // not the name of such a one
  CHECK(fault("\"name\":\"mesh\"", "\"name\":\"../mesh\"") == Fault::malformed);
  CHECK(fault("\"name\":\"mesh\"", "\"name\":\"\"") == Fault::malformed);
  CHECK(fault(to_base64(view_of("payload")), "") == Fault::malformed);
  CHECK(fault(to_base64(view_of("payload")), "!!!!") == Fault::malformed);
  CHECK(fault(to_base64(view_of("payload")), "cGF5bG9hZB==") == Fault::malformed);  // stray bits
  CHECK(fault("\"sigs\":[{", "\"sigs\":[{\"y\":1,") == Fault::malformed);
  CHECK(fault(keys[0].public_key().hex(), keys[1].public_key().hex()) == Fault::malformed);  // the second key twice
  CHECK(fault("{\"format\"", "[{\"format\"") == Fault::malformed);
  CHECK(read_envelope(view_of(text + "{}")).error().fault == Fault::malformed);
  CHECK(read_envelope(view_of(text.substr(0, text.size() - 1))).error().fault == Fault::malformed);
  CHECK(read_envelope(view_of("[]")).error().fault == Fault::malformed);
  CHECK(read_envelope({}).error().fault == Fault::malformed);
}

TEST_CASE_FIXTURE(EnvelopeFixture, "envelope: names of grants are a node's id and nothing else") {
  const std::string id = crypto::random_id<NodeId>().hex();
  const auto named = [](const std::string& name) { return read_envelope(unsigned_envelope(DocumentType::grants, name, bytes_of("x"))).has_value(); };
  CHECK(named("grants/" + id));
  for (const std::string& name : {std::string("grants"), "grants/" + id + "0", "grants/" + id.substr(1), "grants/../" + id.substr(3), id, "Grants/" + id})
    CHECK_FALSE(named(name));
  std::string upper = id;
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  CHECK_FALSE(named("grants/" + upper));
}

TEST_CASE("envelope: each type has its own greatest size") {
  for (const DocumentType type : {DocumentType::root, DocumentType::freshness, DocumentType::suspend, DocumentType::snapshot}) {
    const std::string name(name_of(type));
    CHECK(read_envelope(unsigned_envelope(type, name, Bytes(payload_bytes_most(type), 'x'))));
    CHECK_FALSE(read_envelope(unsigned_envelope(type, name, Bytes(payload_bytes_most(type) + 1, 'x'))));
    const std::string padded = std::string(text_of(unsigned_envelope(type, name, bytes_of("x")))) + std::string(envelope_bytes_most(type), ' ');
    CHECK(read_envelope(view_of(padded)).error().fault == Fault::over_limit);
  }
  const std::string huge(envelope_bytes_most(DocumentType::directory) + 1, ' ');
  CHECK(read_envelope(view_of(huge)).error().fault == Fault::over_limit);
}

TEST_CASE_FIXTURE(EnvelopeFixture, "envelope: at most 64 signatures") {
  Bytes out = write_envelope(document);
  for (std::size_t i = 0; i < envelope_signatures_most; ++i) out = *add_signature(out, crypto::SigningKey::generate());
  CHECK(read_envelope(out)->signatures.size() == envelope_signatures_most);
  CHECK(add_signature(out, crypto::SigningKey::generate()).error().fault == Fault::over_limit);
  Envelope more = *read_envelope(out);
  more.signatures.push_back({crypto::VerifyKey{}, {}});
  more.signatures.back().key.bytes.fill(0xff);
  CHECK_FALSE(read_envelope(write_envelope(more)));
}

TEST_CASE_FIXTURE(EnvelopeFixture, "verify: as many distinct keys as the threshold says, whatever else is there") {
  CHECK(verify(signed_by({0}), role(1)));
  CHECK(verify(signed_by({0, 2}), role(2)));
  CHECK(verify(signed_by({0, 1, 2}), role(3)));
  CHECK(verify(signed_by({}), role(1)).error().fault == Fault::not_authentic);
  CHECK(verify(signed_by({1}), role(2)).error().fault == Fault::not_authentic);
  CHECK(verify(signed_by({0, 1}), role(3)).error().fault == Fault::not_authentic);
  Bytes strangers = write_envelope(signed_by({1}));
  for (int i = 0; i < 20; ++i) strangers = *add_signature(strangers, crypto::SigningKey::generate());
  CHECK_FALSE(verify(*read_envelope(strangers), role(2)));
  CHECK(verify(*read_envelope(strangers), role(1)));
}

TEST_CASE_FIXTURE(EnvelopeFixture, "verify: one key counts once, however often it stands in the document or in the role") {
  Envelope twice = signed_by({0});
  twice.signatures.push_back(twice.signatures[0]);
  CHECK_FALSE(verify(twice, role(2)));
  const RoleKeys repeated{{keys[0].public_key(), keys[0].public_key()}, 2};
  CHECK_FALSE(verify(signed_by({0}), repeated));
  CHECK_FALSE(verify(twice, repeated));
  const Bytes again = *add_signature(write_envelope(signed_by({0})), keys[0]);
  CHECK(read_envelope(again)->signatures.size() == 1);
}

TEST_CASE_FIXTURE(EnvelopeFixture, "verify: a threshold that nothing or nobody can meet is met by nothing") {
  CHECK_FALSE(verify(signed_by({0, 1, 2}), role(0)));
  CHECK_FALSE(verify(signed_by({0, 1, 2}), role(4)));
  CHECK_FALSE(verify(signed_by({0, 1, 2}), RoleKeys{}));
}

TEST_CASE_FIXTURE(EnvelopeFixture, "verify: a signature is of this payload, this type and this name") {
  const Envelope good = signed_by({0});
  Envelope other = good;
  other.payload.push_back(' ');
  CHECK_FALSE(verify(other, role(1)));
  other = good;
  other.type = DocumentType::directory;
  CHECK_FALSE(verify(other, role(1)));
  other = good;
  other.name = "directory";
  CHECK_FALSE(verify(other, role(1)));
  other = good;
  other.signatures[0].signature.bytes[5] ^= 1;
  CHECK_FALSE(verify(other, role(1)));
  other = good;
  other.signatures[0].key = keys[1].public_key();  // somebody else's
  CHECK_FALSE(verify(other, role(1)));
  // Of the same bytes under another context: no document.
  other = good;
  other.signatures[0].signature = crypto::sign(keys[0], "dozo record 1", bytes_of("mesh\nmesh\npayload"));
  CHECK_FALSE(verify(other, role(1)));
  other.signatures[0].signature = crypto::sign(keys[0], "dozo document 1", bytes_of("mesh\nmesh\npayload"));
  CHECK(verify(other, role(1)));
}

TEST_CASE_FIXTURE(EnvelopeFixture, "verify: points of small order are no keys, in a role and in a root") {
  // The identity, the point of order two, one of order four, and one of order eight: under them one signature fits many messages.
  for (const char* hex :
       {"0100000000000000000000000000000000000000000000000000000000000000", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"}) {
    const crypto::VerifyKey key = *crypto::VerifyKey::parse(hex);
    Envelope it = document;
    it.signatures = {{key, {}}};
    it.signatures[0].signature.bytes[0] = 1;  // R = identity, S = 0
    CHECK_FALSE(verify(it, {{key}, 1}));
    Headquarters hq;
    RootPlan plan = hq.plan();
    plan.roles[SigningRole::freshness].keys = {key};
    CHECK(draft_root(plan, nullptr, std::nullopt).error().fault == Fault::malformed);
  }
}

TEST_CASE_FIXTURE(EnvelopeFixture, "root: thresholds and keys that make no sense are refused") {
  Headquarters hq(2, 2);
  const auto root_with = [&](const std::function<void(RootPlan&)>& change) {
    RootPlan plan = hq.plan();
    change(plan);
    return draft_root(plan, nullptr, std::nullopt);
  };
  CHECK(root_with([](RootPlan&) {}));
  CHECK_FALSE(root_with([](RootPlan& it) { it.roles[SigningRole::policy].threshold = 0; }));
  CHECK_FALSE(root_with([](RootPlan& it) { it.roles[SigningRole::policy].threshold = 3; }));
  CHECK_FALSE(root_with([](RootPlan& it) { it.roles[SigningRole::policy].keys.push_back(it.roles[SigningRole::policy].keys[0]); }));
  CHECK_FALSE(root_with([](RootPlan& it) { it.roles.erase(SigningRole::emergency); }));
  CHECK_FALSE(root_with([](RootPlan& it) { it.expires_s = it.issued_s; }));
  CHECK_FALSE(root_with([](RootPlan& it) { it.name = ""; }));
}

TEST_CASE_FIXTURE(EnvelopeFixture, "documents: what each says comes back, and anything else is refused") {
  Headquarters hq;
  hq.publish();
  const auto payload = [&](const std::string& name) { return std::string(text_of(read_envelope(hq.last.at(name))->payload)); };
  const std::string mesh = payload("mesh");
  CHECK(text_of(format(*parse_mesh(view_of(mesh)))) == mesh);
  CHECK(text_of(format(*parse_epochs(view_of(payload("epochs"))))) == payload("epochs"));
  CHECK(text_of(format(*parse_snapshot(view_of(payload("snapshot"))))) == payload("snapshot"));
  CHECK(text_of(format(*parse_freshness(view_of(payload("freshness"))))) == payload("freshness"));
  CHECK(text_of(format(*parse_sealed_directory(view_of(payload("directory"))))) == payload("directory"));

  const auto bad_mesh = [&](const std::string& from, const std::string& to) { return !parse_mesh(view_of(replaced(mesh, from, to))).has_value(); };
  CHECK(bad_mesh("\"version\":1", "\"version\":0"));
  CHECK(bad_mesh("\"version\":1", "\"version\":9007199254740992"));
  CHECK(bad_mesh("\"version\":1", "\"version\":1,\"verison\":1"));
  CHECK(bad_mesh("\"format\":1", "\"format\":2"));
  CHECK(bad_mesh("\"kind\":\"vault\"", "\"kind\":\"bank\""));
  CHECK(bad_mesh("\"kind\":\"vault\"", "\"kind\":\"desk\""));  // served by nobody
  CHECK(bad_mesh("\"holding\":\"blind\",\"may_write\":false", "\"holding\":\"blind\",\"may_write\":true"));
  CHECK(bad_mesh("\"holding\":\"blind\"", "\"holding\":\"full\""));  // a vault
  CHECK(bad_mesh("\"holding\":\"blind\"", "\"holding\":\"none\""));
  CHECK(bad_mesh("\"name\":\"osaka\"", "\"name\":\"sapporo\""));
  CHECK(bad_mesh(hq.nodes.at("osaka").seal.public_key().hex(), hq.nodes.at("sapporo").seal.public_key().hex()));
  CHECK(bad_mesh(hq.nodes.at("osaka").seal.public_key().hex(), hq.nodes.at("osaka").transport.public_key().hex()));
  CHECK(bad_mesh(hq.library("works").hex(), LibraryId{}.hex()));
  CHECK(bad_mesh("\"epoch\":1", "\"epoch\":0"));
  CHECK(bad_mesh("\"copies\":1", "\"copies\":0"));
  CHECK(parse_mesh(view_of(replaced(mesh, "\"format\":1", "\"format\":1,\"x-note\":[{}]"))));

  const std::string snapshot = payload("snapshot");
  CHECK_FALSE(parse_snapshot(view_of(replaced(snapshot, "\"epochs\":", "\"epoch\":"))));
  CHECK_FALSE(parse_snapshot(view_of(replaced(snapshot, "\"grants/", "\"grants/x"))));
  CHECK_FALSE(parse_snapshot(view_of(replaced(snapshot, "\"epochs\":", "\"freshness\":"))));
  const std::string epochs = payload("epochs");
  CHECK_FALSE(parse_epochs(view_of(replaced(epochs, "\"epoch\":1", "\"epoch\":2"))));
  CHECK_FALSE(parse_epochs(view_of(replaced(epochs, "\"predecessor\":\"\"", "\"predecessor\":\"AAAA\""))));
  const std::string freshness = payload("freshness");
  CHECK_FALSE(parse_freshness(view_of(replaced(freshness, "\"hq_time\":" + std::to_string(hq.now_s), "\"hq_time\":" + std::to_string(hq.now_s + 1)))));
}
