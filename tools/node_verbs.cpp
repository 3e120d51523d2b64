// The verbs about a node: node init, node join, node recover, node migrate, status, peers, replicas, library list.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <thread>

#include "node/home_store.h"
#include "policy/trust.h"
#include "tools/authority_directory.h"
#include "tools/command.h"
#include "tools/print.h"
#include "tools/secrets.h"

namespace dozo::tools {
namespace {

namespace local = node::local;

// ---- node init -------------------------------------------------------------------------------------------------------
struct InitOptions {
  std::string home, realm, name, kind, zone, listen, address;
  SecretOptions secret;
};

Result<policy::RealmFile> read_realm(const std::string& file) {
  return within(file, policy::read_realm_file(TRY(node::read_file(file, policy::realm_file_bytes_most))));
}

Result<void> init(const Common& common, const InitOptions& options) {
  const policy::RealmFile realm = TRY(read_realm(options.realm));
  node::Settings settings;
  settings.name = options.name;
  settings.zone = options.zone;
  settings.address = options.address;
  for (const policy::NodeKind kind : {policy::NodeKind::hq, policy::NodeKind::bureau, policy::NodeKind::vault, policy::NodeKind::desk})
    if (policy::name_of(kind) == options.kind) settings.kind = kind;
  if (!options.listen.empty()) {
    if (const auto set = node::set_listen(settings, options.listen); !set) misused(set.error().text);
  }
  if (!options.secret.key_file.empty()) settings.key_file = std::filesystem::absolute(options.secret.key_file).lexically_normal().string();
  const crypto::Unlocking unlocking = TRY(new_secret(options.secret, "the keys of " + options.home));
  const node::NewHome home = TRY(node::create_home(options.home, settings, realm, unlocking));
  const std::string request = (home.path / "request.json").string();
  if (common.json) {
    print({{"node", home.keys.id.hex()}, {"home", home.path.string()}, {"request", request}, {"realm", realm.realm.hex()}});
  } else {
    std::printf("made %s\nsend %s to headquarters\nrealm %s %s: compare this with what headquarters says\n", shown(home.path.string()).c_str(),
                shown(request).c_str(), shown(realm.root.name).c_str(), realm.realm.hex().c_str());
  }
  return {};
}

// ---- node join -------------------------------------------------------------------------------------------------------
struct JoinOptions {
  std::string realm;
  unsigned timeout_s = 600;
};

json library_json(const local::LibraryRow& row) {
  return {{"id", row.id.hex()},         {"title", row.title},           {"holding", row.holding},
          {"epoch", row.epoch},         {"documents", row.documents},   {"entries", row.entries},
          {"packs", row.packs},         {"pack_bytes", row.pack_bytes}, {"packs_missing", row.packs_missing},
          {"conflicts", row.conflicts}, {"refused", row.refused}};
}

Result<void> join(const Common& common, const JoinOptions& options) {
  if (!options.realm.empty()) {
    node::Home home = TRY(node::open_home(common.home));
    TRY(node::update_realm(home, TRY(read_realm(options.realm))));
  }
  for (unsigned waited_s = 0;; ++waited_s) {
    const auto status = TRY(ask_for<local::Status>(common, local::StatusRequest{}));
    const bool named =
        std::any_of(status.libraries.begin(), status.libraries.end(), [](const auto& it) { return !it.holding.empty() && it.holding != "none"; });
    if (status.policy > 0 && named) {
      json rows = json::array();
      for (const local::LibraryRow& row : status.libraries) rows.push_back(library_json(row));
      if (common.json) {
        print({{"policy", status.policy}, {"state", status.state}, {"libraries", rows}});
      } else {
        std::printf("joined: policy %llu, %s\n", static_cast<unsigned long long>(status.policy), status.state.c_str());
        for (const local::LibraryRow& row : status.libraries)
          std::printf("%-8s %s\n", row.holding.c_str(), row.title.empty() ? row.id.hex().c_str() : shown(row.title).c_str());
      }
      return {};
    }
    if (waited_s >= options.timeout_s)
      return fail(Fault::unavailable, status.policy == 0 ? "no policy has come yet: has headquarters admitted this node and published, and can it be reached?"
                                                         : "policy " + std::to_string(status.policy) + " gives this node no library");
    if (waited_s == 0 && on_terminal(STDERR_FILENO)) std::fprintf(stderr, "waiting for a policy that names this node\n");
    std::this_thread::sleep_for(std::chrono::seconds(1));
  }
}

// ---- node recover ----------------------------------------------------------------------------------------------------
struct RecoverOptions {
  std::vector<std::string> shares;
  std::string documents;
  SecretOptions secret;
};

struct Found {
  policy::Epochs epochs;
  std::vector<policy::Root> roots;
};
/// The newest `epochs` that these envelopes hold, signed by the key authority of one of the realm's roots among them.
Result<Found> epochs_in(const policy::RealmFile& realm, const std::vector<Bytes>& envelopes) {
  std::vector<policy::Envelope> epochs;
  std::map<std::uint64_t, const Bytes*> roots;
  for (const Bytes& bytes : envelopes) {
    auto envelope = policy::read_envelope(bytes);
    if (!envelope) continue;
    if (envelope->type == policy::DocumentType::epochs)
      epochs.push_back(std::move(*envelope));
    else if (envelope->type == policy::DocumentType::root)
      if (const auto root = policy::parse_root(envelope->payload)) roots[root->version] = &bytes;
  }
  policy::Trust trust = TRY(policy::Trust::begin(realm.first_root, std::nullopt));
  std::vector<policy::Root> chain{trust.root()};
  for (const auto& [version, bytes] : roots) {
    if (version <= trust.root().version) continue;
    TRY(within("root " + std::to_string(version), trust.offer(*bytes, 0)));
    chain.push_back(trust.root());
  }
  std::optional<policy::Epochs> newest;
  for (const policy::Envelope& it : epochs) {
    // A document may have been signed under a root before the newest: any of the chain vouches for it.
    const bool good = std::any_of(chain.begin(), chain.end(),
                                  [&](const policy::Root& root) { return policy::verify(it, root.keys_of(policy::SigningRole::key_authority)).has_value(); });
    if (!good) continue;
    policy::Epochs read = TRY(policy::parse_epochs(it.payload));
    if (read.header.realm == realm.realm && (!newest || newest->header.version < read.header.version)) newest = std::move(read);
  }
  if (!newest) return fail(Fault::not_found, "no epochs document of this realm is there: has the node its policy yet (dozo node join)?");
  return Found{std::move(*newest), std::move(chain)};
}

Result<std::vector<Bytes>> read_documents(const std::string& path) {
  std::vector<Bytes> out;
  std::error_code code;
  std::vector<std::filesystem::path> files;
  if (std::filesystem::is_directory(path, code)) {
    for (const auto& it : std::filesystem::directory_iterator(path, code)) files.push_back(it.path());
  } else {
    files.emplace_back(path);
  }
  std::sort(files.begin(), files.end());
  for (const auto& file : files) out.push_back(TRY(node::read_file(file, policy::envelope_bytes_most(policy::DocumentType::directory))));
  return out;
}

Result<void> recover(const Common& common, const RecoverOptions& options) {
  const node::Home home = TRY(node::open_home(common.home));
  const std::vector<Bytes> envelopes =
      options.documents.empty() ? TRY(ask_for<local::Documents>(common, local::DocumentsRequest{})).envelopes : TRY(read_documents(options.documents));
  const auto [epochs, roots] = TRY(epochs_in(home.realm, envelopes));
  const crypto::SealKey recovery = TRY(recovery_key(options.shares, roots));
  policy::KeyRing keys = TRY(policy::open_epochs_with_recovery(recovery, epochs));
  const node::HomeKeys own = TRY(open_home_keys(home, options.secret));
  policy::KeyRing all = TRY(node::read_recovered(home, own.local));
  all.merge(std::move(keys));
  TRY(node::write_recovered(home, own.local, all));
  if (common.json) {
    print({{"libraries", epochs.libraries.size()}, {"keys", all.size()}});
  } else {
    std::printf("%zu keys of %zu libraries are kept for this node; dozod uses them from its next start on\n", all.size(), epochs.libraries.size());
  }
  return {};
}

// ---- node migrate ----------------------------------------------------------------------------------------------------
struct MigrateOptions {
  unsigned format = store::truth_format;
  SecretOptions secret;
};

Result<void> migrate(const Common& common, const MigrateOptions& options) {
  const node::Home home = TRY(node::open_home(common.home));
  const node::HomeLock lock = TRY(node::lock_home(home));
  const node::HomeKeys keys = TRY(open_home_keys(home, options.secret));
  const auto opened = TRY(node::HomeStore::open(home, keys, node::HomeStore::Before::died));  // who had it open last may be anybody
  const std::uint8_t before = TRY(opened->truth().format());
  TRY(opened->truth().migrate(static_cast<std::uint8_t>(std::min(options.format, 255U))));
  const std::uint8_t now = TRY(opened->truth().format());
  if (common.json)
    print({{"format_before", before}, {"format", now}});
  else if (before == now)
    std::printf("the store is of format %u\n", now);
  else
    std::printf("the store was of format %u and is of format %u now\n", before, now);
  return {};
}

// ---- status, peers, replicas, library list ---------------------------------------------------------------------------
void show_libraries(const std::vector<local::LibraryRow>& rows) {
  for (const local::LibraryRow& row : rows) {
    std::printf("%-8s %s  %llu documents, %s", row.holding.c_str(), row.title.empty() ? row.id.hex().c_str() : shown(row.title).c_str(),
                static_cast<unsigned long long>(row.documents), size_text(row.pack_bytes).c_str());
    if (row.packs_missing > 0) std::printf(", %llu packs not here yet", static_cast<unsigned long long>(row.packs_missing));
    if (row.conflicts > 0) std::printf(", %llu conflicts", static_cast<unsigned long long>(row.conflicts));
    if (row.refused > 0) std::printf(", %llu refused", static_cast<unsigned long long>(row.refused));
    std::printf("\n");
  }
}

Result<void> status(const Common& common) {
  const auto it = TRY(ask_for<local::Status>(common, local::StatusRequest{}));
  if (common.json) {
    json rows = json::array(), session;
    for (const local::LibraryRow& row : it.libraries) rows.push_back(library_json(row));
    if (it.session) {
      json covered = json::array();
      for (const LibraryId& id : it.session->libraries) covered.push_back(id.hex());
      session = {{"person", it.session->person.hex()},
                 {"role", it.session->role},
                 {"until_ms", it.session->until_ms},
                 {"state", it.session->state},
                 {"libraries", covered}};
    }
    print({{"node", it.node.hex()},
           {"name", it.name},
           {"kind", it.kind},
           {"state", it.state},
           {"realm", it.realm.hex()},
           {"policy", it.policy},
           {"freshness", it.freshness},
           {"peers_up", it.peers_up},
           {"peers", it.peers},
           {"sent_bytes", it.sent_bytes},
           {"received_bytes", it.received_bytes},
           {"libraries", rows},
           {"session", session},
           {"notices", it.notices}});
    return {};
  }
  const std::string who = it.policy == 0 ? "node " + it.node.hex().substr(0, 8) + ", no policy yet"
                                         : it.kind + " " + shown(it.name) + ", policy " + std::to_string(it.policy) + " (" + it.state + ")";
  std::printf("%s, %u of %u peers, sent %s, received %s\n", who.c_str(), it.peers_up, it.peers, size_text(it.sent_bytes).c_str(),
              size_text(it.received_bytes).c_str());
  show_libraries(it.libraries);
  if (it.session) {
    const std::string only = it.session->libraries.empty() ? "" : ", for " + std::to_string(it.session->libraries.size()) + " libraries alone";
    const std::string state = it.session->state == "active" ? "until " + time_text(it.session->until_ms) + only
                                                            : "is over: nothing is saved until dozo person login or dozo person logout";
    std::printf("session of person %s as %s %s\n", it.session->person.hex().c_str(), shown(it.session->role).c_str(), state.c_str());
  }
  for (const std::string& notice : it.notices) std::printf("! %s\n", shown(notice).c_str());
  return {};
}

Result<void> peers(const Common& common) {
  const auto found = TRY(ask_for<local::Peers>(common, local::PeersRequest{}));
  json rows = json::array();
  for (const local::PeerRow& row : found.rows) {
    if (common.json) {
      rows.push_back({{"id", row.id.hex()},
                      {"name", row.name},
                      {"kind", row.kind},
                      {"zone", row.zone},
                      {"address", row.address},
                      {"up", row.up},
                      {"sent_bytes", row.sent_bytes},
                      {"received_bytes", row.received_bytes}});
    } else {
      std::printf("%-4s %-8s %-16s %-12s %s  sent %s, received %s\n", row.up ? "up" : "down", row.kind.c_str(), shown(row.name).c_str(),
                  shown(row.zone).c_str(), shown(row.address).c_str(), size_text(row.sent_bytes).c_str(), size_text(row.received_bytes).c_str());
    }
  }
  if (common.json) print(rows);
  return {};
}

Result<void> replicas(const Common& common, const std::string& library) {
  const std::string name = library.ends_with(':') ? library.substr(0, library.size() - 1) : library;
  const auto found = TRY(ask_for<local::Replicas>(common, local::ReplicasRequest{name}));
  json rows = json::array();
  for (const local::ReplicaRow& row : found.rows) {
    if (common.json) {
      rows.push_back({{"node", row.node.hex()},
                      {"name", row.name},
                      {"holding", row.holding},
                      {"statement", row.statement},
                      {"number", row.number},
                      {"time_ms", row.time_ms},
                      {"entries_behind", row.entries_behind}});
      continue;
    }
    const std::string behind = row.entries_behind == 0 ? "all" : std::to_string(row.entries_behind) + " entries behind";
    std::printf("%-16s %-8s %-7s %s  %s\n", shown(row.name).c_str(), row.holding.c_str(), row.statement.c_str(),
                row.statement == "none" ? "-" : time_text(row.time_ms).c_str(), row.statement == "none" ? "-" : behind.c_str());
  }
  if (common.json) {
    print({{"replicas", rows}, {"copies_wanted", found.copies_wanted}, {"protected", found.is_protected}});
  } else {
    std::printf("%s: %u copies are wanted\n", found.is_protected ? "protected" : "not protected yet", found.copies_wanted);
  }
  return {};
}

Result<void> libraries(const Common& common) {
  const auto found = TRY(ask_for<local::Libraries>(common, local::LibrariesRequest{}));
  if (!common.json) return show_libraries(found.rows), Result<void>();
  json rows = json::array();
  for (const local::LibraryRow& row : found.rows) rows.push_back(library_json(row));
  print(rows);
  return {};
}

}  // namespace

void add_node_verbs(CLI::App& app, Common& common) {
  const std::string group = "Nodes and persons";
  CLI::App* node = app.add_subcommand("node", "make a node, let it join, bring it back")->group(group);
  node->require_subcommand(1);

  auto init_options = std::make_shared<InitOptions>();
  CLI::App* verb = node->add_subcommand("init", "make a home with its keys, and a request for headquarters");
  verb->add_option("folder", init_options->home, "the home to make")->required()->type_name(takes::folder);
  verb->add_option("--realm", init_options->realm, "realm.json from headquarters")->required()->type_name(takes::file);
  verb->add_option("--name", init_options->name, "as policies name the node: lower-case letters, digits, inner hyphens")->required()->type_name(takes::name);
  verb->add_option("--kind", init_options->kind, "hq, bureau, vault or desk")
      ->required()
      ->check(CLI::IsMember({"hq", "bureau", "vault", "desk"}))
      ->type_name("KIND");
  verb->add_option("--zone", init_options->zone, "what burns and floods together: a site")->required()->type_name("ZONE");
  verb->add_option("--listen", init_options->listen, "HOST:PORT; three ports from PORT on. Without: the node only calls others")->type_name("HOST:PORT");
  verb->add_option("--address", init_options->address, "the host by which others reach it, where that is another")->type_name("HOST");
  add_secret_options(*verb, init_options->secret);
  verb->callback([=, &common] { finish(init(common, *init_options)); });

  auto join_options = std::make_shared<JoinOptions>();
  verb = node->add_subcommand("join", "wait until the running node of --home holds a policy that names it");
  verb->add_option("--realm", join_options->realm, "first take a newer realm.json into the home (dozod reads it when it starts)")->type_name(takes::file);
  verb->add_option("--timeout", join_options->timeout_s, "seconds")->capture_default_str()->type_name(takes::seconds);
  verb->callback([=, &common] { finish(join(common, *join_options)); });

  auto recover_options = std::make_shared<RecoverOptions>();
  verb = node->add_subcommand("recover", "give the node of --home the library keys, from shares of headquarters' recovery key");
  verb->add_option("--share", recover_options->shares, "a share's file (may be given again)")->required()->type_name(takes::file);
  verb->add_option("--documents", recover_options->documents, "authority documents: a file or folder; without, the running node is asked")
      ->type_name(takes::file);
  add_secret_options(*verb, recover_options->secret);
  verb->callback([=, &common] { finish(recover(common, *recover_options)); });

  auto migrate_options = std::make_shared<MigrateOptions>();
  verb = node->add_subcommand("migrate", "bring the store of --home, which must not run, to a format: before an older version of Dozo is to run it");
  verb->add_option("--format", migrate_options->format, "without: the newest, as dozod does by itself")->type_name(takes::number);
  add_secret_options(*verb, migrate_options->secret);
  verb->callback([=, &common] { finish(migrate(common, *migrate_options)); });

  verb = app.add_subcommand("status", "the node of --home, in short")->group(group);
  verb->callback([&common] { finish(status(common)); });
  verb = app.add_subcommand("peers", "the nodes that it knows")->group(group);
  verb->callback([&common] { finish(peers(common)); });
  auto library = std::make_shared<std::string>();
  verb = app.add_subcommand("replicas", "who holds a library, as they have signed")->group(group);
  verb->add_option("library", *library, "title or id")->required()->type_name(takes::library);
  verb->callback([=, &common] { finish(replicas(common, *library)); });
  CLI::App* list = app.add_subcommand("library", "libraries of the node")->group(group);
  list->require_subcommand(1);
  verb = list->add_subcommand("list", "those that it holds");
  verb->callback([&common] { finish(libraries(common)); });
}

}  // namespace dozo::tools
