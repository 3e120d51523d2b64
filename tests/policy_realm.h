// A realm in memory for tests: its role keys, two bureaus, a vault and a person, and publications as HQ makes them.
#pragma once
#include <doctest/doctest.h>

#include <map>
#include <string>

#include "crypto/start.h"
#include "policy/authoring.h"

namespace dozo::policy::test {

inline constexpr std::int64_t begin_s = 1'700'000'000;

inline const std::string small_source = R"(realm = "Test"
locked_after_days = 30
[[node]]
name = "hq"
kind = "hq"
zone = "tokyo"
[[node]]
name = "osaka"
kind = "bureau"
zone = "kinki"
[[node]]
name = "naha"
kind = "vault"
zone = "okinawa"
[[library]]
name = "works"
title = "Works"
home = "hq"
copies = 2
locks = true
members.hq = { holding = "full", write = true }
members.osaka = { holding = "full", write = true, quota = "1 GiB" }
members.naha = { holding = "blind" }
[[label]]
number = 1
name = "draft"
[[org]]
id = "kinki"
title = "Kinki"
[[post]]
id = "engineer"
title = "Engineer"
org = "kinki"
roles = ["engineer"]
[[person]]
name = "tani"
shown = "Tani"
posts = [{ post = "engineer", from = 2020-04-01, until = 2040-04-01 }]
[[permit]]
id = "engineers"
roles = ["engineer"]
actions = ["read", "write"]
[[permit]]
id = "service"
roles = ["service"]
actions = ["write"]
[[forbid]]
id = "no-drafts-out"
labels = ["draft"]
actions = ["carry-out"]
[[test]]
id = "engineers-write"
person = "tani"
role = "engineer"
node = "osaka"
action = "write"
library = "works"
time = 2026-04-01
expect = "allow"
)";

struct Realm {
  std::map<SigningRole, std::vector<crypto::SigningKey>> role_keys;
  crypto::SealKey admission, recovery;
  std::map<std::string, crypto::NodeKeys> nodes;
  crypto::SigningKey person_key;
  Bytes first_root;
  Root root;
  RealmId id;
  Names names;

  /// `thresholds`: K of N for a role, else 1 of 1.
  explicit Realm(const std::map<SigningRole, std::pair<std::uint32_t, std::uint32_t>>& thresholds = {})
      : admission(first_key()), recovery(crypto::SealKey::generate()), person_key(crypto::SigningKey::generate()) {
    RootPlan plan{"Test", begin_s, begin_s + 365 * day_s, {}, admission.public_key(), recovery.public_key()};
    for (std::size_t i = 0; i < signing_role_count; ++i) {
      const auto role = static_cast<SigningRole>(i);
      const auto at = thresholds.find(role);
      const auto [threshold, count] = at == thresholds.end() ? std::pair<std::uint32_t, std::uint32_t>{1, 1} : at->second;
      plan.roles[role].threshold = threshold;
      for (std::uint32_t n = 0; n < count; ++n) {
        role_keys[role].push_back(crypto::SigningKey::generate());
        plan.roles[role].keys.push_back(role_keys[role].back().public_key());
      }
    }
    first_root = signed_by(SigningRole::root, value_of(draft_root(plan, nullptr, std::nullopt)));
    root = value_of(parse_root(value_of(read_envelope(first_root)).payload));
    id = value_of(realm_of(first_root));
    for (const char* name : {"hq", "osaka", "naha"}) {
      nodes.emplace(name, crypto::NodeKeys::generate());
      names.nodes[name] = nodes.at(name).public_part();
    }
    names.people["tani"] = {PersonId::from(Bytes(16, 0xc1)).value(), person_key.public_key()};
    names.libraries["works"] = LibraryId::from(Bytes(16, 0xa1)).value();
  }

  template <class T>
  static T value_of(Result<T> result) {
    REQUIRE_MESSAGE(result.has_value(), (result ? "" : result.error().text));
    return std::move(*result);
  }
  std::vector<const crypto::SigningKey*> signers(SigningRole role) const {
    std::vector<const crypto::SigningKey*> out;
    for (const crypto::SigningKey& it : role_keys.at(role)) out.push_back(&it);
    return out;
  }
  Bytes signed_by(SigningRole role, ByteView envelope) const { return value_of(sign_with(envelope, signers(role))); }
  /// A document of any content, signed by the role that signs its type.
  template <class Document>
  Bytes made(DocumentType type, std::string_view name, const Document& it) const {
    return signed_by(signer_of(type), unsigned_envelope(type, name, format(it)));
  }

  Compiled compiled(const std::string& source = small_source) const {
    const Reading reading = read_source(source, "test.toml");
    REQUIRE_MESSAGE(reading.good(), (reading.good() ? "" : text_of(reading.mistakes.front())));
    return value_of(compile(reading.source, names));
  }
  Publication publish(const Publication* previous = nullptr, std::int64_t now_s = begin_s, const std::string& source = small_source,
                      const Changes& changes = {}) const {
    RoleSigners all;
    for (const auto& [role, keys] : role_keys) all[role] = signers(role);
    return value_of(policy::publish(root, id, compiled(source), previous, changes, admission, all, now_s)).documents;
  }
  /// The next root, with another key for `role`; signed by the old root keys and the new ones. The realm goes on with it.
  Bytes rotate(SigningRole role, std::int64_t now_s) {
    const Root before = root;
    const auto old_root_keys = role == SigningRole::root ? std::move(role_keys.at(SigningRole::root)) : std::vector<crypto::SigningKey>();
    role_keys.insert_or_assign(role, std::vector<crypto::SigningKey>());
    role_keys.at(role).push_back(crypto::SigningKey::generate());
    RootPlan plan{"Test", now_s, now_s + 365 * day_s, before.roles, before.admission, before.recovery};
    plan.roles[role] = {{role_keys.at(role).front().public_key()}, 1};
    Bytes next = signed_by(SigningRole::root, value_of(draft_root(plan, &before, id)));
    for (const crypto::SigningKey& key : old_root_keys) next = value_of(add_signature(next, key));
    root = value_of(parse_root(value_of(read_envelope(next)).payload));
    return next;
  }

 private:
  static crypto::SealKey first_key() {
    REQUIRE(crypto::start());
    return crypto::SealKey::generate();
  }
};

}  // namespace dozo::policy::test
