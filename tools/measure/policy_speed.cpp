// How fast a node decides and takes a policy in: one JSON object. tools/bench runs it; docs/performance.md has the figures.
//
//     policy_speed decide POLICY.toml     decisions a second, over the source's own tests and their mutations
//     policy_speed publish FOLDER         makes a policy of 13 nodes, 2,000 people, 5,000 libraries, and a node of it
//     policy_speed apply FOLDER           that node takes it in, from bytes to a policy that decides
#include <chrono>
#include <cstdio>
#include <fstream>
#include <random>
#include <sstream>

#include "crypto/start.h"
#include "policy/authoring.h"
#include "policy/policy.h"

using namespace dozo;
using namespace dozo::policy;

namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }
long anon_kib() {
  std::ifstream in("/proc/self/smaps_rollup");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("Anonymous:")) return std::strtol(line.c_str() + 10, nullptr, 10);
  return 0;
}
template <class T>
T wanted(Result<T> it) {
  if (it) return std::move(*it);
  std::fprintf(stderr, "%s\n", it.error().text.c_str());
  std::exit(1);
}

int decide(const char* file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  const Reading reading = read_source(text.str(), file);
  if (!reading.good()) return std::fprintf(stderr, "%s\n", text_of(reading.mistakes.front()).c_str()), 1;
  Compiled compiled = wanted(compile(reading.source, stand_in_names(reading.source)));
  const Policy policy({1}, compiled.mesh, compiled.directory);
  // Each test as it is, and with one thing of another test, or another time, in place of its own.
  std::mt19937_64 dice(1);
  std::vector<Request> requests;
  const auto& tests = compiled.directory.tests;
  const auto asked = [](const PolicyTest& it) {
    return Request{it.person, it.role, it.org, it.node, it.action, it.library, it.label, it.time_s * 1000, it.acted_as};
  };
  for (const PolicyTest& test : tests) {
    requests.push_back(asked(test));
    for (int i = 0; i < 15; ++i) {
      Request it = asked(test);
      const Request other = asked(tests[dice() % tests.size()]);
      switch (dice() % 7) {
        case 0: it.person = other.person, it.role = other.role; break;
        case 1: it.node = other.node; break;
        case 2: it.action = other.action; break;
        case 3: it.library = other.library; break;
        case 4: it.label = other.label; break;
        case 5: it.acted_as = other.acted_as; break;
        default: it.time_ms = other.time_ms; break;
      }
      requests.push_back(std::move(it));
    }
  }
  std::size_t allowed = 0, decided = 0;
  const auto begin = Clock::now();
  while (seconds_since(begin) < 3)
    for (const Request& it : requests) allowed += policy.decide(it).allowed ? 1 : 0, ++decided;
  const double seconds = seconds_since(begin);
  std::printf("{\"requests\":%zu,\"allowed\":%.3f,\"decisions_per_second\":%.0f}\n", requests.size(),
              static_cast<double>(allowed) / static_cast<double>(decided), static_cast<double>(decided) / seconds);
  return 0;
}

std::string country() {
  std::string out = "realm = \"Large\"\n";
  std::vector<std::string> nodes{"hq"};
  for (int i = 1; i <= 12; ++i) nodes.push_back("bureau-" + std::to_string(i));
  for (std::size_t i = 0; i < nodes.size(); ++i)
    out += "[[node]]\nname = \"" + nodes[i] + "\"\nkind = \"" + (i == 0 ? "hq" : "bureau") + "\"\nzone = \"zone-" + std::to_string(i) +
           "\"\ncontrol = \"tcp://" + nodes[i] + ":7700\"\n";
  for (std::size_t i = 0; i < 5000; ++i) {
    const std::string &home = nodes[1 + i % 12], &second = nodes[1 + (i + 1) % 12];
    out += "[[library]]\nname = \"works-" + std::to_string(i) + "\"\ntitle = \"工事 " + std::to_string(i) + "\"\nhome = \"" + home +
           "\"\ncopies = 3\nzones = 3\nmembers.hq = { holding = \"full\" }\nmembers." + home + " = { holding = \"full\", write = true }\nmembers." + second +
           " = { holding = \"blind\" }\n";
  }
  for (int i = 0; i < 12; ++i) {
    const std::string n = std::to_string(i + 1);
    out += "[[org]]\nid = \"org-" + n + "\"\ntitle = \"局 " + n + "\"\n[[post]]\nid = \"post-" + n + "\"\ntitle = \"技官\"\norg = \"org-" + n +
           "\"\nroles = [\"user\"]\n";
    out +=
        "[[permit]]\nid = \"permit-" + n + "\"\nroles = [\"user\"]\norgs = [\"org-" + n + "\"]\nactions = [\"discover\", \"read\", \"write\"]\nlibraries = [";
    for (std::size_t library = 0; library < 5000; ++library)
      if (static_cast<int>(library % 12) == i) out += "\"works-" + std::to_string(library) + "\", ";
    out += "]\n";
  }
  for (int i = 0; i < 2000; ++i)
    out += "[[person]]\nname = \"person-" + std::to_string(i) + "\"\nshown = \"職員 " + std::to_string(i) + "\"\nposts = [{ post = \"post-" +
           std::to_string(i % 12 + 1) + "\", from = 2025-04-01 }, { post = \"post-" + std::to_string((i + 1) % 12 + 1) + "\", from = 2027-04-01 }]\n";
  return out;
}

constexpr std::int64_t now_s = 1'790'000'000;

void keep(const std::string& path, ByteView bytes) {
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}
Bytes kept(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

int publish_large(const std::string& folder) {
  const Reading reading = read_source(country(), "large.toml");
  if (!reading.good()) return std::fprintf(stderr, "%s\n", text_of(reading.mistakes.front()).c_str()), 1;
  Names names = stand_in_names(reading.source);
  std::map<std::string, crypto::NodeKeys> nodes;
  for (auto& [name, keys] : names.nodes) keys = nodes.emplace(name, crypto::NodeKeys::generate()).first->second.public_part();
  for (auto& [name, person] : names.people) person.key = crypto::SigningKey::generate().public_key();
  const Compiled compiled = wanted(compile(reading.source, names));

  std::map<SigningRole, crypto::SigningKey> keys;
  RootPlan plan{"Large", now_s, now_s + 3650 * day_s, {}, {}, {}};
  RoleSigners signers;
  for (std::size_t i = 0; i < signing_role_count; ++i) {
    const auto role = static_cast<SigningRole>(i);
    const auto& key = keys.emplace(role, crypto::SigningKey::generate()).first->second;
    plan.roles[role] = {{key.public_key()}, 1};
    signers[role] = {&key};
  }
  const crypto::SealKey admission = crypto::SealKey::generate(), recovery = crypto::SealKey::generate();
  plan.admission = admission.public_key();
  plan.recovery = recovery.public_key();
  const Bytes root_envelope = wanted(sign_with(wanted(draft_root(plan, nullptr, std::nullopt)), signers[SigningRole::root]));
  const Trust own = wanted(Trust::begin(root_envelope, std::nullopt));
  const auto begin = Clock::now();
  const Published first = wanted(publish(own.root(), own.realm(), compiled, nullptr, {}, admission, signers, now_s));
  const double made_seconds = seconds_since(begin);
  std::size_t bytes = 0, largest = 0;
  const crypto::NodeKeys& self = nodes.at("bureau-1");
  for (const auto& [name, it] : first.documents) {
    bytes += it.size();
    largest = std::max(largest, it.size());
    if (!name.starts_with("grants/")) keep(folder + "/" + name, it);
  }
  keep(folder + "/root", root_envelope);
  keep(folder + "/grants", first.documents.at(grants_name(self.id)));
  keep(folder + "/id", self.id.view());
  keep(folder + "/seal", self.seal.reveal());
  std::printf("{\"documents_bytes\":%zu,\"largest_bytes\":%zu,\"published_seconds\":%.3f}\n", bytes, largest, made_seconds);
  return 0;
}

int apply(const std::string& folder) {
  const NodeId self = *NodeId::from(kept(folder + "/id"));
  const crypto::SealKey seal = wanted(crypto::SealKey::from(kept(folder + "/seal")));
  std::vector<Bytes> envelopes;
  for (const char* name : {"freshness", "snapshot", "mesh", "directory", "epochs", "grants"}) envelopes.push_back(kept(folder + "/" + name));
  const Bytes root_envelope = kept(folder + "/root");
  const long before_kib = anon_kib();
  const auto begin = Clock::now();
  Trust trust = wanted(Trust::begin(root_envelope, self));
  for (const Bytes& it : envelopes) wanted(trust.offer(it, now_s * 1000));
  if (trust.version().value != 1) return std::fprintf(stderr, "it did not come into force\n"), 1;
  const double trusted_seconds = seconds_since(begin);
  const KeyRing ring = wanted(open_grants(seal, *trust.current()->grants, trust.current()->epochs));
  const double opened_seconds = seconds_since(begin);
  const Policy policy(trust.version(), trust.current()->mesh, wanted(open_directory(trust.current()->directory, ring)));
  const bool holds = policy.failing_tests().empty();
  const double seconds = seconds_since(begin);
  std::ifstream status("/proc/self/status");
  long most_kib = 0;
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) most_kib = std::strtol(line.c_str() + 6, nullptr, 10);
  std::printf("{\"trusted_seconds\":%.3f,\"opened_seconds\":%.3f,\"seconds\":%.3f,\"anon_mib\":%.1f,\"resident_mib_most\":%.1f,\"holds\":%s}\n",
              trusted_seconds, opened_seconds, seconds, static_cast<double>(anon_kib() - before_kib) / 1024, static_cast<double>(most_kib) / 1024,
              holds ? "true" : "false");
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  if (!crypto::start()) return 1;
  const std::string what = count > 1 ? arguments[1] : "";
  if (what == "decide" && count == 3) return decide(arguments[2]);
  if (what == "publish" && count == 3) return publish_large(arguments[2]);
  if (what == "apply" && count == 3) return apply(arguments[2]);
  return std::fprintf(stderr, "usage: policy_speed decide POLICY.toml | publish FOLDER | apply FOLDER\n"), 2;
}
