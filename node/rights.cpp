#include "node/rights.h"

#include "crypto/session.h"
#include "store/names.h"

namespace dozo::node {
namespace {

constexpr std::int64_t clock_lead_ms_most = store::lead_ms_most;  // a device's clock may be ahead of the one that made the certificate

}  // namespace

bool PolicyRights::knows(PolicyVersion version) const {
  const auto policy = realm_.policy_at(version);
  return policy && policy->directory() != nullptr;
}

policy::Decision PolicyRights::decide(PolicyVersion version, const store::Record& record) const {
  return realm_.policy_at(version)->decide(request_of(record));
}

policy::Request request_of(const store::Record& record) {
  policy::Request out;
  out.person = record.person;
  out.role = record.role;
  out.node = record.device;
  out.action = policy::Action::write;
  out.library = record.library;
  out.time_ms = store::time_ms(record.hlc);
  return out;
}

bool PolicyRights::allows(PolicyVersion version, const NodeId& sequencer, const store::Record& record) const {
  const auto policy = realm_.policy_at(version);
  if (!policy || !policy->may_write(sequencer, record.library)) return false;
  const policy::MeshNode* device = policy->node(record.device);
  if (device == nullptr || (record.device != sequencer && device->kind != policy::NodeKind::desk)) return false;
  return decide(version, record).allowed;
}

std::string who_of(const policy::Policy& policy, const PersonId& person_id, const NodeId& device) {
  if (person_id.is_zero()) {
    const policy::MeshNode* node = policy.node(device);
    return node != nullptr ? store::cut(node->name, store::who_bytes_most) : "";
  }
  const policy::Person* person = policy.person(person_id);
  return person != nullptr ? store::cut(person->shown.empty() ? person->name : person->shown, store::who_bytes_most) : "";
}

Result<void> verify_record(const Realm& realm, PolicyVersion version, const store::SignedRecord& signed_record, const store::Record& record) {
  const auto policy = realm.policy_at(version);
  if (!policy) return fail(Fault::not_found, "a record under a policy that is not known here");
  if (record.who != who_of(*policy, record.person, record.device)) return fail(Fault::not_authentic, "a record in another name than its writer's");
  if (record.person.is_zero()) {
    const policy::MeshNode* device = policy->node(record.device);
    if (device == nullptr) return fail(Fault::not_authentic, "a record of a node that its policy does not name");
    if (!signed_record.certificate.empty()) return fail(Fault::not_authentic, "a record without a person, with a person's certificate");
    return store::verify(signed_record, device->keys.sign);
  }
  const policy::Person* person = policy->person(record.person);
  if (person == nullptr) return fail(Fault::not_authentic, "a record of a person that its policy does not name");
  const crypto::SessionCertificate session = TRY(crypto::open_certificate(signed_record.certificate, person->key));
  const std::int64_t at_ms = store::time_ms(record.hlc);
  if (session.person != record.person || session.device != record.device || !session.covers(record.library)) {
    return fail(Fault::not_authentic, "a session for another person, device or library");
  }
  if (at_ms < session.not_before_ms - clock_lead_ms_most || at_ms > session.not_after_ms) return fail(Fault::stale, "a record from outside its session");
  return store::verify(signed_record, session.session);
}

Result<void> check_entry(Realm& realm, const store::Entry& entry) {
  const auto policy = realm.policy_at(entry.policy);
  if (!policy) {
    realm.need(entry.policy);
    return fail(Fault::not_found, "policy " + std::to_string(entry.policy.value) + ", which an entry names, is not known here yet");
  }
  if (!policy->may_write(entry.feed.node, entry.feed.library)) return fail(Fault::denied, "an entry of a node that may not write");
  const policy::MeshLibrary* library = policy->library(entry.feed.library);
  if (library == nullptr || library->epoch != entry.epoch) return fail(Fault::denied, "an entry under an epoch that was not current");
  return {};
}

Cuts cuts_of(const policy::MeshLibrary& library, const MayHave& may_have) {
  Cuts out;
  const auto end_of = [&](const policy::FeedPoint& point) {
    return may_have({library.id, point.node, point.incarnation}, point.sequence, point.root) ? point.sequence : Sequence{0};
  };
  for (const policy::Cut& cut : library.cuts) {
    store::Cut& made = out.cuts.emplace_back(store::Cut{cut.since, cut.subject, {}});
    for (const policy::FeedPoint& point : cut.ends) made.ends[{library.id, point.node, point.incarnation}] = end_of(point);
  }
  for (const policy::Admit& admit : library.admits) {
    out.admits.push_back({admit.cut, admit.subject, {library.id, admit.up_to.node, admit.up_to.incarnation}, end_of(admit.up_to)});
  }
  return out;
}

}  // namespace dozo::node
