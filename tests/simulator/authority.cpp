#include "tests/simulator/authority.h"

#include "policy/envelope.h"

#include <cstdio>
#include <cstdlib>

#include "crypto/random.h"

namespace dozo::simulator {
namespace {

using policy::SigningRole;

template <class T>
T must(Result<T> result, const char* what) {
  if (result) return std::move(*result);
  std::fprintf(stderr, "simulator: the authority cannot %s: %s\n", what, result.error().text.c_str());
  std::abort();
}

std::string source_of(const Plan& plan, const std::string& title_tag) {
  std::string out = "realm = \"realm\"\n";
  for (const auto& [name, node] : plan.nodes) {
    const policy::Addresses at = Authority::addresses_of(name);
    out += "[[node]]\nname = \"" + name + "\"\nkind = \"" + std::string(policy::name_of(node.kind)) + "\"\nzone = \"" + node.zone + "\"\n";
    out += "control = \"" + at.control + "\"\nbulk = \"" + at.bulk + "\"\nintroduce = \"" + at.introduce + "\"\n";
  }
  for (const auto& [name, members] : plan.libraries) {
    out += "[[library]]\nname = \"" + name + "\"\ntitle = \"" + name + " " + title_tag + "\"\nhome = \"" + plan.homes.at(name) + "\"\n";
    for (const auto& [node, member] : members) {
      out += "members." + node + " = { holding = \"" + std::string(policy::name_of(member.holding)) + "\", write = " + (member.may_write ? "true" : "false") +
             " }\n";
    }
  }
  return out + "[[permit]]\nid = \"service\"\nroles = [\"service\"]\nactions = [\"read\", \"write\"]\n";
}

}  // namespace

Authority::Authority(const std::string& title_tag, std::int64_t now_s)
    : title_tag_(title_tag), admission_(crypto::SealKey::generate()), recovery_(crypto::SealKey::generate()) {
  policy::RootPlan plan;
  plan.name = "realm";
  plan.issued_s = now_s;
  plan.expires_s = now_s + std::int64_t{10} * 365 * 24 * 60 * 60;
  for (std::size_t i = 0; i < policy::signing_role_count; ++i) {
    const auto role = static_cast<SigningRole>(i);
    signing_.emplace(role, crypto::SigningKey::generate());
    plan.roles[role] = {{signing_.at(role).public_key()}, 1};
  }
  plan.admission = admission_.public_key();
  plan.recovery = recovery_.public_key();
  const Bytes draft = must(policy::draft_root(plan, nullptr, std::nullopt), "draft a root");
  const crypto::SigningKey* signer = &signing_.at(SigningRole::root);
  first_root_ = must(policy::sign_with(draft, std::span(&signer, 1)), "sign a root");
  realm_ = must(policy::realm_of(first_root_), "read its root");
  root_ = must(policy::parse_root(must(policy::read_envelope(first_root_), "read its root").payload), "read its root");
  roots_.push_back(first_root_);
}

Bytes Authority::rotate(const std::set<SigningRole>& roles, std::int64_t now_s) {
  policy::RootPlan plan;
  plan.name = "realm";
  plan.issued_s = now_s;
  plan.expires_s = now_s + std::int64_t{10} * 365 * 24 * 60 * 60;
  const crypto::SigningKey before = signing_.at(SigningRole::root).copy();
  for (const SigningRole role : roles) signing_.insert_or_assign(role, crypto::SigningKey::generate());
  for (const auto& [role, key] : signing_) plan.roles[role] = {{key.public_key()}, 1};
  plan.admission = admission_.public_key();
  plan.recovery = recovery_.public_key();
  const Bytes draft = must(policy::draft_root(plan, &root_, realm_), "draft a root");
  const std::array<const crypto::SigningKey*, 2> signers{&before, &signing_.at(SigningRole::root)};
  roots_.push_back(must(policy::sign_with(draft, std::span(signers).first(roles.contains(SigningRole::root) ? 2 : 1)), "sign a root"));
  root_ = must(policy::parse_root(must(policy::read_envelope(roots_.back()), "read its root").payload), "read its root");
  return roots_.back();
}

void Authority::restore(const Folder& it) {
  published_ = it.published;
  version_ = it.version;
  mesh_ = it.mesh;
}

void Authority::admit(const std::string& name, const crypto::NodePublic& keys) { names_.nodes[name] = keys; }

std::vector<Bytes> Authority::publish(const Plan& plan, const policy::Changes& changes, std::int64_t now_s, const Plan* secretly) {
  const Plan& said = secretly != nullptr ? *secretly : plan;
  for (const auto& [name, members] : said.libraries) {
    if (!names_.libraries.contains(name)) names_.libraries[name] = crypto::random_id<LibraryId>();
  }
  const policy::Reading reading = policy::read_source(source_of(said, title_tag_), "policy.toml");
  if (!reading.good()) {
    std::fprintf(stderr, "simulator: %s\n", policy::text_of(reading.mistakes.front()).c_str());
    std::abort();
  }
  const policy::Compiled compiled = must(policy::compile(reading.source, names_), "compile its policy");
  policy::RoleSigners signers;
  for (const auto& [role, key] : signing_) signers[role] = {&key};
  policy::Published done =
      must(policy::publish(root_, realm_, compiled, published_.empty() ? nullptr : &published_, changes, admission_, signers, now_s), "publish");
  published_ = std::move(done.documents);
  version_ = done.version;
  all_[version_.value] = published_;
  plans_[version_.value] = plan;
  mesh_ = must(policy::parse_mesh(must(policy::read_envelope(published_.at("mesh")), "read its mesh").payload), "read its mesh");
  return envelopes();
}

std::vector<Bytes> Authority::envelopes() const {
  std::vector<Bytes> out = roots_;
  out.push_back(published_.at("freshness"));
  out.push_back(published_.at("snapshot"));
  for (const auto& [name, envelope] : published_) {
    if (name != "freshness" && name != "snapshot") out.push_back(envelope);
  }
  return out;
}

std::vector<Bytes> Authority::missed(PolicyVersion after) const {
  std::vector<Bytes> out;
  for (std::uint64_t version = version_.value; version-- > after.value + 1;) {
    for (const char* name : {"snapshot", "mesh", "directory"}) out.push_back(all_.at(version).at(name));
  }
  return out;
}

policy::Contact Authority::contact(const std::string& name) const {
  const crypto::NodePublic& keys = names_.nodes.at(name);
  return {keys.id, name, keys.transport, addresses_of(name)};
}

policy::KeyRing Authority::keys() const {
  const policy::Epochs epochs = must(policy::parse_epochs(must(policy::read_envelope(published_.at("epochs")), "read its epochs").payload), "read its epochs");
  return must(policy::open_epochs_with_admission(admission_, epochs), "open its epochs");
}

Bytes Authority::suspend(std::uint64_t number, const policy::Stopped& whom, std::int64_t now_s) const {
  const policy::Suspend it{{realm_, number, now_s, now_s + policy::day_s}, whom, "simulated"};
  return *policy::add_signature(policy::unsigned_envelope(policy::DocumentType::suspend, "suspend", policy::format(it)),
                                signing_.at(policy::SigningRole::emergency));
}

}  // namespace dozo::simulator
