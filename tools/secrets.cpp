#include "tools/secrets.h"

#include <CLI/CLI.hpp>

#include "tools/command.h"

namespace dozo::tools {

void add_secret_options(CLI::App& verb, SecretOptions& options, const std::string& prefix) {
  auto* key = verb.add_option("--" + prefix + "key-file", options.key_file, "file whose content is the secret (at least 32 bytes; for machines)")
                  ->type_name(takes::file);
  verb.add_option("--" + prefix + "passphrase-file", options.passphrase_file, "file whose first line is the passphrase")->excludes(key)->type_name(takes::file);
}

}  // namespace dozo::tools
