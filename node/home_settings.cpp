// node.toml: reading and writing of what people may edit.
#include <toml++/toml.h>

#include <algorithm>
#include <charconv>

#include "node/home.h"

namespace dozo::node {
namespace {

class SettingsReader {
 public:
  SettingsReader(const toml::table& table, std::string_view file) : table_(table), file_(file) {}

  /// One text of one line; empty where it is missing and need not be there.
  std::string text(std::string_view key, bool needed) {
    known_.emplace_back(key);
    const toml::node* it = table_.get(key);
    if (it == nullptr) {
      if (needed) wrong(table_, "\"" + std::string(key) + "\" is missing");
      return {};
    }
    const auto value = it->value_exact<std::string>();
    if (!value || value->empty() || value->size() > 4096) return wrong(*it, "\"" + std::string(key) + "\" must be a text"), std::string();
    for (const char c : *value)
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return wrong(*it, "\"" + std::string(key) + "\" must not have control characters"), std::string();
    return *value;
  }
  /// As names in the policy are.
  std::string name(std::string_view key) {
    std::string out = text(key, true);
    bool good = out.empty() || (out.size() <= 63 && out.front() != '-' && out.back() != '-');
    for (const char c : out) good = good && ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-');
    if (!good) wrong(at(key), "\"" + std::string(key) + "\" must be lower-case letters, digits and inner hyphens, at most 63");
    return out;
  }
  const toml::node& at(std::string_view key) const {
    const toml::node* it = table_.get(key);
    return it == nullptr ? table_ : *it;
  }
  void wrong(const toml::node& at, std::string_view why) {
    if (problem_.empty()) problem_ = file_ + ":" + std::to_string(at.source().begin.line) + ": " + std::string(why);
  }
  void done() {
    for (const auto& [key, it] : table_)
      if (std::find(known_.begin(), known_.end(), key.str()) == known_.end()) wrong(it, "unknown setting \"" + std::string(key.str()) + "\"");
  }
  const std::string& problem() const { return problem_; }

 private:
  const toml::table& table_;
  std::string file_, problem_;
  std::vector<std::string> known_;
};

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string endpoint(std::string_view host, unsigned port) {
  const bool six = host.find(':') != std::string_view::npos;
  return "tcp://" + std::string(six ? "[" : "") + std::string(host) + (six ? "]" : "") + ":" + std::to_string(port);
}
policy::Addresses addresses(std::string_view host, unsigned port) {
  if (host.empty() || port == 0) return {};
  return {endpoint(host, port), endpoint(host, port + 1), endpoint(host, port + 2)};
}

bool is_host(std::string_view text) {
  if (text.empty() || text.size() > 200) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == ':' || c == '_' || c == '%';
  });
}

}  // namespace

policy::Addresses Settings::listening() const { return addresses(listen_host, port); }
policy::Addresses Settings::advertised() const { return addresses(address.empty() ? listen_host : address, listen_host.empty() ? 0 : port); }

Result<void> set_listen(Settings& settings, std::string_view text) {
  const std::size_t colon = text.rfind(':');
  std::string_view host = text.substr(0, std::min(colon, text.size()));
  const std::string_view digits = colon == std::string_view::npos ? std::string_view() : text.substr(colon + 1);
  const bool six = host.starts_with('[') && host.ends_with(']');
  if (six) host = host.substr(1, host.size() - 2);
  unsigned port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size() || port < 1 || port > 65533 || !is_host(host) || (!six && host.find(':') != host.npos))
    return fail(Fault::malformed, "\"" + std::string(text) + "\" is not HOST:PORT, with a port from 1 to 65533 (the two after it are used too)");
  settings.listen_host = host;
  settings.port = static_cast<std::uint16_t>(port);
  return {};
}

Result<Settings> read_settings(std::string_view text, std::string_view file) {
  try {
    const toml::table table = toml::parse(text, file);
    SettingsReader from(table, file);
    Settings out;
    out.name = from.name("name");
    const std::string kind = from.text("kind", true);
    bool known = false;
    for (const policy::NodeKind it : {policy::NodeKind::hq, policy::NodeKind::bureau, policy::NodeKind::vault, policy::NodeKind::desk})
      if (policy::name_of(it) == kind) out.kind = it, known = true;
    if (!known) from.wrong(from.at("kind"), "\"kind\" must be hq, bureau, vault or desk");
    out.zone = from.name("zone");
    if (const std::string listen = from.text("listen", false); !listen.empty())
      if (const auto set = set_listen(out, listen); !set) from.wrong(from.at("listen"), set.error().text);
    out.address = from.text("address", false);
    if (!out.address.empty() && !is_host(out.address)) from.wrong(from.at("address"), "\"address\" must be a host, without a port");
    const std::string unlock = from.text("unlock", true);
    if (const std::string path = from.text("key_file", false); !path.empty()) out.key_file = path;
    if (unlock != "key file" && unlock != "passphrase") from.wrong(from.at("unlock"), "\"unlock\" must be \"key file\" or \"passphrase\"");
    if ((unlock == "key file") != out.key_file.has_value()) from.wrong(from.at("unlock"), "\"key_file\" belongs to unlock = \"key file\", and to nothing else");
    if (out.key_file && !out.key_file->starts_with('/')) from.wrong(from.at("key_file"), "\"key_file\" must be an absolute path");
    from.done();
    if (!from.problem().empty()) return fail(Fault::malformed, from.problem());
    return out;
  } catch (const toml::parse_error& error) {
    return fail(Fault::malformed, std::string(file) + ":" + std::to_string(error.source().begin.line) + ": " + std::string(error.description()));
  }
}

std::string write_settings(const Settings& it) {
  std::string out = "# Settings of one node. dozod reads them when it starts.\n";
  out += "name = " + in_quotes(it.name) + "\nkind = " + in_quotes(policy::name_of(it.kind)) + "\nzone = " + in_quotes(it.zone) + "\n";
  if (!it.listen_host.empty()) {
    const std::string whole = endpoint(it.listen_host, it.port);
    out += "\n# Three ports from this one on: control, bulk, introduce.\nlisten = " + in_quotes(whole.substr(6)) + "\n";
  }
  if (!it.address.empty()) out += "# The host by which other nodes reach this one.\naddress = " + in_quotes(it.address) + "\n";
  out += "\n# What opens keys/node.key: a \"passphrase\", or the content of the \"key file\" that key_file names.\nunlock = ";
  out += it.key_file ? "\"key file\"\nkey_file = " + in_quotes(*it.key_file) + "\n" : "\"passphrase\"\n";
  return out;
}

}  // namespace dozo::node
