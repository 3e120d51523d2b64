#include "policy/documents.h"

#include <algorithm>
#include <array>

#include "crypto/hash.h"
#include "policy/documents_json.h"

namespace dozo::policy {
namespace {

constexpr std::array<std::string_view, 10> type_names{"root", "mesh", "directory", "epochs", "grants", "snapshot", "freshness", "suspend", "org", "slice"};
constexpr std::array<std::string_view, signing_role_count> role_names{"root", "policy", "key-authority", "snapshot", "freshness", "emergency"};
constexpr std::size_t kib = 1024;
constexpr std::array<std::size_t, 10> payload_most{64 * kib,       16 * 1024 * kib, 24 * 1024 * kib, 16 * 1024 * kib, 4 * 1024 * kib,
                                                   4 * 1024 * kib, 16 * kib,        64 * kib,        2 * 1024 * kib,  24 * 1024 * kib};
constexpr std::size_t sealed_key_most = 512;

template <std::size_t size>
std::optional<std::size_t> place_of(const std::array<std::string_view, size>& names, std::string_view name) {
  const auto at = std::find(names.begin(), names.end(), name);
  if (at == names.end()) return std::nullopt;
  return static_cast<std::size_t>(at - names.begin());
}

}  // namespace

RoleKeys read_keys(ObjectReader& from) {
  constexpr std::size_t role_keys_most = 32;
  RoleKeys out;
  from.each_text("keys", role_keys_most, [&](const std::string& hex) {
    const auto key = crypto::VerifyKey::parse(hex);
    if (!key || !crypto::is_valid(*key)) return from.wrong("keys", "not a public key");
    out.keys.push_back(*key);
  });
  want_ascending(from, "keys", out.keys, [](const auto& key) { return key; });
  out.threshold = static_cast<std::uint32_t>(from.number("threshold", 1, role_keys_most));
  if (out.threshold > out.keys.size()) from.wrong("threshold", "more than there are keys");
  return out;
}

void write_keys(Json::Object& to, const RoleKeys& keys) {
  to.emplace_back("keys", list_of(keys.keys, [](const auto& key) { return hex_of(key); }));
  to.emplace_back("threshold", keys.threshold);
}

namespace {

void check_times(ObjectReader& from, std::int64_t issued_s, std::int64_t expires_s) {
  if (expires_s <= issued_s) from.wrong("expires", "not after it was issued");
}

bool is_document_name(std::string_view name) {
  if (name == "mesh" || name == "directory" || name == "epochs") return true;
  return is_org_name(name) || is_slice_name(name) || (name.starts_with("grants/") && NodeId::parse(name.substr(7)).has_value());
}

}  // namespace

std::string_view name_of(DocumentType type) { return type_names[static_cast<std::size_t>(type)]; }
std::optional<DocumentType> document_type(std::string_view name) {
  const auto at = place_of(type_names, name);
  if (!at) return std::nullopt;
  return static_cast<DocumentType>(*at);
}
std::size_t payload_bytes_most(DocumentType type) { return payload_most[static_cast<std::size_t>(type)]; }
std::size_t envelope_bytes_most(DocumentType type) { return payload_bytes_most(type) / 3 * 4 + 24 * kib; }
std::string_view name_of(SigningRole role) { return role_names[static_cast<std::size_t>(role)]; }

SigningRole signer_of(DocumentType type) {
  switch (type) {
    case DocumentType::root: return SigningRole::root;
    case DocumentType::mesh:
    case DocumentType::slice:
    case DocumentType::directory: return SigningRole::policy;
    case DocumentType::epochs:
    case DocumentType::grants: return SigningRole::key_authority;
    case DocumentType::snapshot: return SigningRole::snapshot;
    case DocumentType::freshness: return SigningRole::freshness;
    case DocumentType::suspend: return SigningRole::emergency;
    case DocumentType::org: break;
  }
  return SigningRole::root;
}

std::string grants_name(const NodeId& node) { return "grants/" + node.hex(); }
std::string org_name(std::string_view org) { return "org/" + std::string(org); }
std::string slice_name(std::string_view node) { return "slice/" + std::string(node); }
bool is_slice_name(std::string_view name) { return name.starts_with("slice/") && name.size() <= 6 + sliced_node_bytes_most && is_name(name.substr(6)); }
LibraryId slice_library(const RealmId& realm, std::string_view node) {
  const Digest digest = crypto::sha256({view_of("dozo slice 1"), realm.view(), view_of(node)});
  return *LibraryId::from(ByteView(digest.bytes).first(LibraryId::size));
}
bool is_org_name(std::string_view name) { return name.starts_with("org/") && name.size() <= 4 + delegated_org_bytes_most && is_name(name.substr(4)); }

const LibraryEpochs* Epochs::find(const LibraryId& library) const {
  const auto at = std::lower_bound(libraries.begin(), libraries.end(), library, [](const LibraryEpochs& it, const LibraryId& id) { return it.library < id; });
  return at == libraries.end() || at->library != library ? nullptr : &*at;
}

// ---- shared ----------------------------------------------------------------------------------------------------------
Header read_header(ObjectReader& from) {
  Header out;
  if (from.number("format", 1, json_integer_most) != 1) from.wrong("format", "a newer format than this build knows");
  out.realm = from.id<RealmId>("realm");
  out.version = from.number("version", 1, json_integer_most);
  out.issued_s = static_cast<std::int64_t>(from.number("issued", 0, json_integer_most / 1000));
  out.expires_s = static_cast<std::int64_t>(from.number("expires", 0, json_integer_most / 1000));
  check_times(from, out.issued_s, out.expires_s);
  return out;
}

void write_header(Json::Object& to, const Header& header) {
  to.emplace_back("format", std::uint64_t{1});
  to.emplace_back("realm", hex_of(header.realm));
  to.emplace_back("version", header.version);
  to.emplace_back("issued", header.issued_s);
  to.emplace_back("expires", header.expires_s);
}

Listing read_listing(ObjectReader& from) {
  Listing out;
  out.version = from.number("version", 1, json_integer_most);
  out.length = from.number("length", 1, envelope_bytes_most(DocumentType::directory));
  out.sha256 = from.id<Digest>("sha256");
  return out;
}

Json write_listing(const Listing& listing) {
  return Json::Object{{"version", listing.version}, {"length", listing.length}, {"sha256", hex_of(listing.sha256)}};
}

namespace {
template <class T>
bool includes(const std::vector<T>& all, const std::vector<T>& some) {
  return std::includes(all.begin(), all.end(), some.begin(), some.end());
}
}  // namespace

bool Stopped::covers(const Stopped& it) const {
  return includes(nodes, it.nodes) && includes(people, it.people) && includes(orgs, it.orgs) && includes(roles, it.roles) &&
         includes(libraries, it.libraries) && (realm || !it.realm);
}

Stopped read_stopped(ObjectReader& from) {
  Stopped out;
  const auto itself = [](const auto& it) { return it; };
  const auto ids = [&]<class Id>(std::string_view key, std::vector<Id>& to) {
    from.each_text(key, 1000, [&](const std::string& hex) {
      const auto id = Id::parse(hex);
      if (!id) return from.wrong(key, "not an id");
      to.push_back(*id);
    });
    want_ascending(from, key, to, itself);
  };
  const auto names = [&](std::string_view key, std::vector<std::string>& to) {
    if (!from.has(key)) return;
    from.each_text(key, 1000, [&](const std::string& name) {
      if (!is_name(name)) return from.wrong(key, "not a name");
      to.push_back(name);
    });
    want_ascending(from, key, to, itself);
  };
  ids("nodes", out.nodes);
  ids("people", out.people);
  names("orgs", out.orgs);
  names("roles", out.roles);
  if (from.has("libraries")) ids("libraries", out.libraries);
  if (from.has("realm_wide")) out.realm = from.flag("realm_wide");
  return out;
}

void write_stopped(Json::Object& to, const Stopped& it) {
  const auto hex = [](const auto& id) { return hex_of(id); };
  const auto text = [](const std::string& name) { return Json(name); };
  to.emplace_back("nodes", list_of(it.nodes, hex));
  to.emplace_back("people", list_of(it.people, hex));
  if (!it.orgs.empty()) to.emplace_back("orgs", list_of(it.orgs, text));
  if (!it.roles.empty()) to.emplace_back("roles", list_of(it.roles, text));
  if (!it.libraries.empty()) to.emplace_back("libraries", list_of(it.libraries, hex));
  if (it.realm) to.emplace_back("realm_wide", true);
}

// ---- root ------------------------------------------------------------------------------------------------------------
Result<Root> parse_root(ByteView payload) {
  return read_document<Root>(DocumentType::root, payload, [](ObjectReader& from) {
    Root out;
    if (from.number("format", 1, json_integer_most) != 1) from.wrong("format", "a newer format than this build knows");
    out.name = from.text("name", 1, 256);
    out.version = from.number("version", 1, json_integer_most);
    if (from.has("realm")) out.realm = from.id<RealmId>("realm");
    if (out.realm.has_value() == (out.version == 1)) from.wrong("realm", "every root but the first has it");
    out.issued_s = static_cast<std::int64_t>(from.number("issued", 0, json_integer_most / 1000));
    out.expires_s = static_cast<std::int64_t>(from.number("expires", 0, json_integer_most / 1000));
    check_times(from, out.issued_s, out.expires_s);
    ObjectReader roles = from.object("roles");
    for (std::size_t i = 0; i < signing_role_count; ++i) {
      ObjectReader role = roles.object(role_names[i]);
      out.roles[static_cast<SigningRole>(i)] = read_keys(role);
      role.done();
    }
    roles.done();
    out.admission = from.id<crypto::SealPublicKey>("admission");
    out.recovery = from.id<crypto::SealPublicKey>("recovery");
    return out;
  });
}

Bytes format(const Root& it) {
  Json::Object roles;
  for (const auto& [role, keys] : it.roles) {
    Json::Object one;
    write_keys(one, keys);
    roles.emplace_back(std::string(name_of(role)), std::move(one));
  }
  Json::Object out{{"format", std::uint64_t{1}}, {"name", it.name}, {"version", it.version}};
  if (it.realm) out.emplace_back("realm", hex_of(*it.realm));
  out.emplace_back("issued", it.issued_s);
  out.emplace_back("expires", it.expires_s);
  out.emplace_back("roles", std::move(roles));
  out.emplace_back("admission", hex_of(it.admission));
  out.emplace_back("recovery", hex_of(it.recovery));
  return write_json(std::move(out));
}

// ---- epochs, grants --------------------------------------------------------------------------------------------------
Result<Epochs> parse_epochs(ByteView payload) {
  return read_document<Epochs>(DocumentType::epochs, payload, [](ObjectReader& from) {
    Epochs out;
    out.header = read_header(from);
    from.each_object("libraries", 10'000, [&](ObjectReader& one) {
      LibraryEpochs& library = out.libraries.emplace_back();
      library.library = one.id<LibraryId>("id");
      one.each_object("epochs", 10'000, [&](ObjectReader& it) {
        EpochEntry& epoch = library.epochs.emplace_back();
        epoch.epoch.value = static_cast<std::uint32_t>(it.number("epoch", 1, UINT32_MAX));
        epoch.commitment = it.id<Digest>("commitment");
        epoch.predecessor = it.base64("predecessor", 0, sealed_key_most);
        epoch.admission = it.base64("admission", 1, sealed_key_most);
        epoch.recovery = it.base64("recovery", 1, sealed_key_most);
        if (epoch.epoch.value != library.epochs.size()) it.wrong("epoch", "not the next number");
        if (epoch.predecessor.empty() != (library.epochs.size() == 1)) it.wrong("predecessor", "every epoch but the first has one");
      });
      if (library.epochs.empty()) one.wrong("epochs", "empty");
    });
    want_ascending(from, "libraries", out.libraries, [](const auto& it) { return it.library; });
    return out;
  });
}

Bytes format(const Epochs& it) {
  Json::Object out;
  write_header(out, it.header);
  out.emplace_back("libraries", list_of(it.libraries, [](const LibraryEpochs& library) {
                     return Json::Object{{"id", hex_of(library.library)}, {"epochs", list_of(library.epochs, [](const EpochEntry& epoch) {
                                                                             return Json::Object{{"epoch", epoch.epoch.value},
                                                                                                 {"commitment", hex_of(epoch.commitment)},
                                                                                                 {"predecessor", to_base64(epoch.predecessor)},
                                                                                                 {"admission", to_base64(epoch.admission)},
                                                                                                 {"recovery", to_base64(epoch.recovery)}};
                                                                           })}};
                   }));
  return write_json(std::move(out));
}

Result<Grants> parse_grants(ByteView payload) {
  return read_document<Grants>(DocumentType::grants, payload, [](ObjectReader& from) {
    Grants out;
    out.header = read_header(from);
    out.node = from.id<NodeId>("node");
    from.each_object("grants", 10'000, [&](ObjectReader& it) {
      Grant& grant = out.grants.emplace_back();
      grant.library = it.id<LibraryId>("library");
      grant.epoch.value = static_cast<std::uint32_t>(it.number("epoch", 1, UINT32_MAX));
      grant.sealed = it.base64("sealed", 1, sealed_key_most);
    });
    want_ascending(from, "grants", out.grants, [](const auto& it) { return it.library; });
    return out;
  });
}

Bytes format(const Grants& it) {
  Json::Object out;
  write_header(out, it.header);
  out.emplace_back("node", hex_of(it.node));
  out.emplace_back("grants", list_of(it.grants, [](const Grant& grant) {
                     return Json::Object{{"library", hex_of(grant.library)}, {"epoch", grant.epoch.value}, {"sealed", to_base64(grant.sealed)}};
                   }));
  return write_json(std::move(out));
}

// ---- snapshot, freshness, suspend ------------------------------------------------------------------------------------
Result<Snapshot> parse_snapshot(ByteView payload) {
  return read_document<Snapshot>(DocumentType::snapshot, payload, [](ObjectReader& from) {
    Snapshot out;
    out.header = read_header(from);
    if (from.has("previous")) {
      ObjectReader previous = from.object("previous");
      out.previous = read_listing(previous);
      previous.done();
      if (out.previous->version >= out.header.version) from.wrong("previous", "not older than this one");
    }
    ObjectReader documents = from.object("documents");
    documents.each_member(10'000, [&](const std::string& name, ObjectReader& it) {
      if (!is_document_name(name)) it.wrong("", "no document has this name");
      out.documents[name] = read_listing(it);
    });
    documents.done();
    for (const char* name : {"mesh", "directory", "epochs"})
      if (!out.documents.contains(name)) from.wrong("documents", std::string(name) + " is missing");
    return out;
  });
}

Bytes format(const Snapshot& it) {
  Json::Object out;
  write_header(out, it.header);
  if (it.previous) out.emplace_back("previous", write_listing(*it.previous));
  Json::Object documents;
  for (const auto& [name, listing] : it.documents) documents.emplace_back(name, write_listing(listing));
  out.emplace_back("documents", std::move(documents));
  return write_json(std::move(out));
}

Result<Freshness> parse_freshness(ByteView payload) {
  return read_document<Freshness>(DocumentType::freshness, payload, [](ObjectReader& from) {
    Freshness out;
    out.header = read_header(from);
    out.hq_time_s = static_cast<std::int64_t>(from.number("hq_time", 0, json_integer_most / 1000));
    if (static_cast<std::uint64_t>(out.hq_time_s) > out.header.version) from.wrong("hq_time", "above the version");
    ObjectReader snapshot = from.object("snapshot");
    out.snapshot = read_listing(snapshot);
    snapshot.done();
    return out;
  });
}

Bytes format(const Freshness& it) {
  Json::Object out;
  write_header(out, it.header);
  out.emplace_back("hq_time", it.hq_time_s);
  out.emplace_back("snapshot", write_listing(it.snapshot));
  return write_json(std::move(out));
}

Result<Suspend> parse_suspend(ByteView payload) {
  return read_document<Suspend>(DocumentType::suspend, payload, [](ObjectReader& from) {
    Suspend out;
    out.header = read_header(from);
    out.whom = read_stopped(from);
    if (out.header.expires_s - out.header.issued_s > suspend_s_most) from.wrong("expires", "longer than an officer may");
    out.reason = from.text("reason", 0, 1024);
    return out;
  });
}

Bytes format(const Suspend& it) {
  Json::Object out;
  write_header(out, it.header);
  write_stopped(out, it.whom);
  out.emplace_back("reason", it.reason);
  return write_json(std::move(out));
}

}  // namespace dozo::policy
