#include <array>

#include "base/invariant.h"
#include "policy/delegation.h"
#include "policy/enrolment.h"
#include "policy/envelope.h"
#include "policy/policy.h"
#include "policy/signing.h"
#include "policy/source.h"
#include "policy/trust.h"
#include "tests/fuzz/targets.h"

namespace dozo::fuzz {
namespace {

using namespace policy;

/// A reader goes by meaning, so the bytes may differ; what is written is read as the same.
template <class Document>
bool reads_again(const Result<Document>& it, Result<Document> (*parse)(ByteView)) {
  if (!it) return false;
  const auto again = parse(format(*it));
  INVARIANT(again && *again == *it);
  return true;
}

bool envelope(ByteView bytes) {
  const auto it = read_envelope(bytes);
  if (!it) return false;
  const auto again = read_envelope(write_envelope(*it));
  INVARIANT(again && again->type == it->type && again->name == it->name && again->payload == it->payload && again->signatures == it->signatures);
  (void)verify(*it, {{signing_key().public_key()}, 1});
  INVARIANT(add_signature(bytes, signing_key()) || it->signatures.size() == envelope_signatures_most);
  return true;
}

bool root(ByteView bytes) { return reads_again(parse_root(bytes), parse_root); }
bool mesh(ByteView bytes) {
  const auto it = parse_mesh(bytes);
  if (it) {  // what was read can be asked
    const Policy policy({it->header.version}, *it, std::nullopt);
    for (const MeshLibrary& library : it->libraries)
      for (const Member& member : library.members) INVARIANT(policy.rights(member.node, library.id).holding == member.holding);
  }
  return reads_again(it, parse_mesh);
}
bool directory(ByteView bytes) {
  const auto it = parse_directory(bytes);
  if (it) (void)Policy({it->header.version}, Mesh{}, *it).failing_tests();
  return reads_again(it, parse_directory);
}
bool sealed_directory(ByteView bytes) { return reads_again(parse_sealed_directory(bytes), parse_sealed_directory); }
bool epochs(ByteView bytes) { return reads_again(parse_epochs(bytes), parse_epochs); }
bool grants(ByteView bytes) { return reads_again(parse_grants(bytes), parse_grants); }
bool snapshot(ByteView bytes) { return reads_again(parse_snapshot(bytes), parse_snapshot); }
bool freshness(ByteView bytes) { return reads_again(parse_freshness(bytes), parse_freshness); }
bool sealed_slice(ByteView bytes) { return reads_again(parse_sealed_slice(bytes), parse_sealed_slice); }
bool sealed_org(ByteView bytes) { return reads_again(parse_sealed_org(bytes), parse_sealed_org); }
bool org(ByteView bytes) {
  const auto it = parse_org(bytes);
  if (it) (void)check_org(Mesh{}, Directory{}, *it);
  return reads_again(it, parse_org);
}
bool suspend(ByteView bytes) { return reads_again(parse_suspend(bytes), parse_suspend); }

bool unit_source(ByteView bytes) {
  const UnitSource source = read_unit_source(text_of(bytes), "fuzz.toml");
  for (const Mistake& it : source.mistakes) INVARIANT(text_of(it).starts_with("fuzz.toml:"));
  return source.mistakes.empty();
}

bool policy_source(ByteView bytes) {
  const Reading reading = read_source(text_of(bytes), "fuzz.toml");
  const auto mistakes = check(text_of(bytes), "fuzz.toml", 1'800'000'000).mistakes;
  INVARIANT(reading.good() || mistakes.size() == reading.mistakes.size());
  for (const Mistake& it : mistakes) INVARIANT(text_of(it).starts_with("fuzz.toml:"));
  return reading.good();
}

bool realm_file(ByteView bytes) {
  const auto it = read_realm_file(bytes);
  if (!it) return false;
  const auto again = read_realm_file(write_realm_file(*it));
  INVARIANT(again && again->realm == it->realm && again->contacts == it->contacts && again->root == it->root);
  return true;
}

bool draft_file(ByteView bytes) {
  auto it = read_draft_file(bytes);
  if (!it) return false;
  const auto again = read_draft_file(write_draft_file(*it));
  INVARIANT(again && again->documents == it->documents && again->before == it->before && again->roots == it->roots);
  (void)lacking(*it);
  (void)describe(*it, 1'800'000'000'000);
  if (const auto made = sign_draft(*it, signing_key())) INVARIANT(add_signatures(*it, *made));
  return true;
}
bool signatures_file(ByteView bytes) {
  const auto it = read_signatures_file(bytes);
  if (!it) return false;
  const auto again = read_signatures_file(write_signatures_file(*it));
  INVARIANT(again && *again == *it);
  return true;
}
bool request(ByteView bytes) {
  static const crypto::SealKey admission = crypto::SealKey::from(counted<Digest>(0x60).view()).value();
  const auto it = read_request(bytes);
  if (!it) return false;
  if (const auto* node = std::get_if<NodeRequest>(&*it)) (void)check_request(*node, node->realm, admission);
  return true;
}

constexpr std::array targets{Target{"envelope", envelope},
                             Target{"root", root},
                             Target{"mesh", mesh},
                             Target{"directory", directory},
                             Target{"epochs", epochs},
                             Target{"sealed_directory", sealed_directory},
                             Target{"grants", grants},
                             Target{"snapshot", snapshot},
                             Target{"freshness", freshness},
                             Target{"suspend", suspend},
                             Target{"sealed_org", sealed_org},
                             Target{"org", org},
                             Target{"sealed_slice", sealed_slice},
                             Target{"unit_source", unit_source},
                             Target{"request", request},
                             Target{"policy_source", policy_source},
                             Target{"realm_file", realm_file},
                             Target{"draft_file", draft_file},
                             Target{"signatures_file", signatures_file}};

}  // namespace

std::span<const Target> policy_targets() { return targets; }

}  // namespace dozo::fuzz
